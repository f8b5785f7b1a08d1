// SPDX-License-Identifier: MIT
/* zen5-mem: the regions of the module zen5mem, and the memory that it keeps for them. */
#include <argp.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>
#include <zen5rt.h>

#include "common.h"
#include "mem.h"

const char *argp_program_version = "zen5-mem " Z5_VERSION;
const char *argp_program_bug_address = "the project's issues";

enum {
	OPT_JSON = 256, OPT_REQUIRE, OPT_CCD, OPT_NODE, OPT_ORDER, OPT_STRICT, OPT_OTHER, OPT_MOVABLE, OPT_SEAL,
	OPT_FROM, OPT_TIMEOUT,
};

static const struct argp_option options[] = {
	{ "json", OPT_JSON, NULL, 0, "One JSON value on standard output instead of text", 1 },
	{ "require-zen5", OPT_REQUIRE, NULL, 0, "Exit status 3 and one line unless the CPU is a Zen 5", 1 },
	{ NULL, 0, NULL, 0, "For create:", 2 },
	{ "ccd", OPT_CCD, "N", 0, "Near L3 domain N", 0 },
	{ "node", OPT_NODE, "N", 0, "On NUMA node N", 0 },
	{ "order", OPT_ORDER, "1g|2m|4k", 0, "Largest pages wanted (default 1g)", 0 },
	{ "strict", OPT_STRICT, NULL, 0, "Those pages or none", 0 },
	{ "other-nodes", OPT_OTHER, NULL, 0, "Another node rather than smaller pages", 0 },
	{ "from", OPT_FROM, "FILE", 0, "Fill it with the contents of FILE", 0 },
	{ "seal", OPT_SEAL, NULL, 0, "Read-only for everybody from the beginning", 0 },
	{ "movable", OPT_MOVABLE, NULL, 0, "Take memory of ZONE_MOVABLE, too (also for reserve)", 0 },
	{ NULL, 0, NULL, 0, "For wait:", 3 },
	{ "timeout", OPT_TIMEOUT, "S", 0, "Give up after S seconds, exit status 2", 0 },
	{ 0 }
};

/* What each verb takes. */
static const struct verb {
	const char *name;
	int (*run)(const struct mem_options *o);
	unsigned int min, max;	/* arguments */
	const char *args;
} verbs[] = {
	{ "list", mem_list, 0, 0, "" },
	{ "info", mem_info, 1, -1u, " NAME..." },
	{ "create", mem_create, 1, 2, " NAME SIZE" },
	{ "destroy", mem_destroy, 1, -1u, " NAME..." },
	{ "reserve", mem_reserve, 1, -1u, " N[@NODE]..." },
	{ "wait", mem_wait, 1, 1, " NAME" },
	{ 0 }
};

static const struct verb *find_verb(const char *name)
{
	const struct verb *v = verbs;

	while (v->name && strcmp(v->name, name))
		v++;
	return v->name ? v : NULL;
}

static unsigned int parse_order(const char *arg, struct argp_state *state)
{
	if (!strcasecmp(arg, "1g"))
		return Z5M_ORDER_1G;
	if (!strcasecmp(arg, "2m"))
		return Z5M_ORDER_2M;
	if (strcasecmp(arg, "4k"))
		argp_error(state, "--order %s: take one of 1g, 2m, 4k", arg);
	return Z5M_ORDER_4K;
}

static void check(struct mem_options *o, struct argp_state *state)
{
	const struct verb *v;

	if (!o->verb) {
		argp_error(state, "what to do? One of list, info, create, destroy, reserve, wait");
		return;
	}
	v = find_verb(o->verb);
	if (!v) {
		argp_error(state, "%s: unknown, take one of list, info, create, destroy, reserve, wait", o->verb);
		return;
	}
	o->run = v->run;
	if (o->n_args < v->min || o->n_args > v->max)
		argp_error(state, "zen5-mem %s%s", v->name, v->args);
	if (strcmp(o->verb, "create") && (o->ccd >= 0 || o->node >= 0 || o->has_order || o->strict || o->other_nodes ||
	    o->from || o->seal))
		argp_error(state, "--ccd, --node, --order, --strict, --other-nodes, --from and --seal are for create");
	if (strcmp(o->verb, "create") && strcmp(o->verb, "reserve") && o->movable)
		argp_error(state, "--movable is for create and reserve");
	if (strcmp(o->verb, "wait") && o->timeout >= 0)
		argp_error(state, "--timeout is for wait");
	if (o->ccd >= 0 && o->node >= 0)
		argp_error(state, "--ccd and --node: one of them");
	if (!strcmp(o->verb, "create") && o->n_args < 2 && !o->from)
		argp_error(state, "zen5-mem create NAME SIZE: how large?");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct mem_options *o = state->input;

	switch (key) {
	case OPT_JSON: o->json = true; break;
	case OPT_REQUIRE: require_zen5(NULL); break;
	case OPT_CCD: o->ccd = (int)arg_int("--ccd", arg, 0, 65535); break;
	case OPT_NODE: o->node = (int)arg_int("--node", arg, 0, 65535); break;
	case OPT_ORDER: o->order = parse_order(arg, state); o->has_order = true; break;
	case OPT_STRICT: o->strict = true; break;
	case OPT_OTHER: o->other_nodes = true; break;
	case OPT_MOVABLE: o->movable = true; break;
	case OPT_SEAL: o->seal = true; break;
	case OPT_FROM: o->from = arg; break;
	case OPT_TIMEOUT: o->timeout = arg_float("--timeout", arg, 0, 1e9); break;
	case ARGP_KEY_ARG:
		if (!o->verb)
			o->verb = arg;
		else
			o->args[o->n_args++] = arg;
		break;
	case ARGP_KEY_END: check(o, state); break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

int mem_device(struct z5m_version *v)
{
	struct z5m_version version;
	char why[256];
	int fd = z5_dev_open(v ? v : &version, why, sizeof(why));

	if (fd < 0)
		die("%s", why);
	return fd;
}

void mem_check_name(const char *text)
{
	if (z5_dev_name_ok(text))
		return;
	fflush(stdout);
	fprintf(stderr, "zen5-mem: \"%.80s\" is no name: 1 to 63 of A-Z a-z 0-9 . _ : @ + -, the first one a letter or a digit\n",
		text);
	exit(EX_USAGE);
}

int mem_open(int dev, const char *name)
{
	struct z5m_open o = { .flags = 0 };
	int fd;

	mem_check_name(name);
	snprintf(o.name, sizeof(o.name), "%s", name);
	fd = z5_dev_ioctl(dev, Z5M_IOC_OPEN, &o);
	if (fd == -ENOENT)
		die("%s: no region has this name (zen5-mem list)", name);
	if (fd < 0)
		die("%s: %s", name, strerror(-fd));
	return fd;
}

void mem_dump(json_t *value)
{
	if (json_dumpf(value, stdout, JSON_INDENT(1)) || putchar('\n') == EOF)
		die("standard output: cannot write JSON");
	json_decref(value);
}

static const char doc[] =
	"Memory regions of the module zen5mem: 1 GiB pages near an L3 domain, which stay when their process ends if they have "
	"a name.\n\n"
	"  list                what regions there are, what they hold, who has them, and what could still be had\n"
	"  info NAME...        a region slot by slot (1 GiB each)\n"
	"  create NAME SIZE    makes one; SIZE in bytes or with K, M, G or T behind it\n"
	"  destroy NAME...     takes the name away: the memory goes when nobody has it any more\n"
	"  reserve N[@NODE]... keeps N pages of 1 GiB for regions, on all nodes together or on NODE; 0 gives them back\n"
	"  wait NAME           until there is a sealed region of that name"
	"\vExit status: 0 done, 1 failed, 2 the time of wait is over, 3 not a Zen 5 (with --require-zen5), 64 wrong usage.";

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "VERB [ARGUMENT...]", doc, NULL, NULL, NULL };
	struct mem_options o = { .ccd = -1, .node = -1, .order = Z5M_ORDER_1G, .timeout = -1 };
	int ret;

	o.args = calloc((size_t)argc + 1, sizeof(*o.args));
	if (!o.args)
		die("out of memory");
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	ret = o.run(&o);
	finish_stdout();
	free(o.args);
	return ret;
}
