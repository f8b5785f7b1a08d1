// SPDX-License-Identifier: MIT
/* zen5-detect: what this machine offers to zen5rt, and what it would take for a model. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

#include "common.h"
#include "detect.h"

const char *argp_program_version = "zen5-detect " Z5_VERSION;
const char *argp_program_bug_address = "the project's issues";

enum { OPT_JSON = 256, OPT_REQUIRE, OPT_ROOT, OPT_RECORD };

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "One JSON object on standard output", 0 },
	{ "ctx-size", 'c', "N", 0, "Positions of context that the model shall have room for (default: as zen5-run)",
	  0 },
	{ "require-zen5", OPT_REQUIRE, NULL, 0, "Exit status 3 and one line unless the CPU is a Zen 5", 0 },
	{ "record", OPT_RECORD, "DIR", 0,
	  "Make DIR and write there what the report is made of, to send it to others", 0 },
	{ "root", OPT_ROOT, "DIR", 0, "Report on the machine that is recorded in DIR", 0 },
	{ 0 }
};

struct args {
	struct model model;
	const char *root, *record;
	bool json, require;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'c': a->model.ctx = arg_int("-c", arg, 1, 1 << 30); break;
	case OPT_JSON: a->json = true; break;
	case OPT_REQUIRE: a->require = true; break;
	case OPT_RECORD: a->record = arg; break;
	case OPT_ROOT:
		if (!*arg)
			argp_error(state, "--root: which directory?");
		a->root = arg;
		break;
	case ARGP_KEY_ARG:
		if (a->model.path)
			argp_error(state, "more than one model: %s and %s", a->model.path, arg);
		a->model.path = arg;
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const char doc[] =
	"Tells what CPU, caches, memory pages and counters this machine has for zen5rt, what to do where something is "
	"absent, and, with MODEL.gguf, what memory that model takes and the commands that reserve it."
	"\vOnly the header of MODEL.gguf is read; nothing is changed.\n"
	"Exit status: 0 done, 1 failed, 3 not a Zen 5 (with --require-zen5), 64 wrong usage.";

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "[MODEL.gguf]", doc, NULL, NULL, NULL };
	struct args a = { .root = "" };
	struct zen5rt_error err;
	struct advice advice;
	struct machine m;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	machine_read(&m, a.root);
	if (a.require)
		require_zen5(&m.cpu);
	if (a.model.path && zen5rt_model_plan(a.model.path, (uint32_t)a.model.ctx, &a.model.plan, &err))
		die("%s", err.message);
	if (a.record)
		record(&m, a.record);
	advice_make(&advice, &m, &a.model);
	if (a.json)
		print_json_report(&m, &a.model, &advice);
	else
		print_text(&m, &a.model, &advice);
	finish_stdout();
	advice_free(&advice);
	machine_free(&m);
	return 0;
}
