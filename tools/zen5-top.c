// SPDX-License-Identifier: MIT
/* zen5-top: what L3 caches, memory channels, regions and running models do. */
#include <argp.h>
#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>
#include <zen5rt.h>

#include "common.h"
#include "top.h"

const char *argp_program_version = "zen5-top " Z5_VERSION;
const char *argp_program_bug_address = "the project's issues";

enum { OPT_JSON = 256, OPT_CSV, OPT_RECORD, OPT_EVENTS, OPT_MODULE_INTERVAL, OPT_REQUIRE };

static const struct argp_option options[] = {
	{ "interval", 'd', "S", 0, "Seconds between snapshots, 0.05 to 3600 (default 1)", 1 },
	{ "iterations", 'n', "N", 0, "End after N snapshots", 1 },
	{ "batch", 'b', NULL, 0, "Text on standard output instead of a screen", 1 },
	{ "json", OPT_JSON, NULL, 0, "The same as one JSON object a line", 1 },
	{ "csv", OPT_CSV, NULL, 0, "The same as comma-separated values, a number a line", 1 },
	{ "record", OPT_RECORD, "FILE", 0, "Append each snapshot to FILE, as --json writes it", 1 },
	{ "events", OPT_EVENTS, NULL, 0, "Print what the module tells: regions that come and go, thresholds (root)", 1 },
	{ "module-interval", OPT_MODULE_INTERVAL, "S", 0, "Set the module's time between samples, 0.001 to 10 s, and end (root)", 1 },
	{ "require-zen5", OPT_REQUIRE, NULL, 0, "Exit status 3 and one line unless the CPU is a Zen 5", 1 },
	{ 0 }
};

static const char doc[] =
	"Shows, for each L3 domain, hit rate, traffic of misses and DRAM latency; for each memory channel, traffic and use of its "
	"bus; the regions of the module zen5mem and who has them; and running models with their rates and throttle. What cannot "
	"be known here is said with its reason."
	"\vKeys: q ends, p pauses, + and - change the interval, arrows and page keys scroll, ? helps.\n"
	"Exit status: 0 done, 1 failed, 3 not a Zen 5 (with --require-zen5), 64 wrong usage.";

enum form { SCREEN, BATCH, JSON, CSV };

struct top_options {
	double interval;
	unsigned long iterations;	/* 0: no end */
	enum form form;
	const char *record;
	bool events;
	double module_interval;		/* 0: not given */
};

static void set_form(struct top_options *o, enum form form, struct argp_state *state)
{
	if (o->form != SCREEN && o->form != form && !(o->form == BATCH || form == BATCH))
		argp_error(state, "--json and --csv: one of them");
	if (form != BATCH || o->form == SCREEN)
		o->form = form;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct top_options *o = state->input;

	switch (key) {
	case 'd': o->interval = arg_float("--interval", arg, TOP_INTERVAL_MIN, TOP_INTERVAL_MAX); break;
	case 'n': o->iterations = (unsigned long)arg_int("--iterations", arg, 1, 1 << 30); break;
	case 'b': set_form(o, BATCH, state); break;
	case OPT_JSON: set_form(o, JSON, state); break;
	case OPT_CSV: set_form(o, CSV, state); break;
	case OPT_RECORD: o->record = arg; break;
	case OPT_EVENTS: o->events = true; break;
	case OPT_MODULE_INTERVAL: o->module_interval = arg_float("--module-interval", arg, 0.001, 10); break;
	case OPT_REQUIRE: require_zen5(NULL); break;
	case ARGP_KEY_ARG: argp_error(state, "%s: what is that?", arg); break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

bool top_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

static void put_text(const struct top *t, double interval, bool first)
{
	struct top_text text = { .utf8 = top_utf8() };

	top_text_make(&text, t, interval);
	if (!first)
		putchar('\n');
	for (size_t i = 0; i < text.n; i++) {
		fwrite(text.line[i].text, 1, text.line[i].len, stdout);
		putchar('\n');
	}
	top_text_free(&text);
}

static void put(const struct top *t, const struct top_options *o, bool first)
{
	char *line;

	switch (o->form) {
	case JSON:
		line = top_json_line(t);
		fputs(line, stdout);
		free(line);
		break;
	case CSV:
		if (first)
			top_csv_head(stdout);
		top_csv(stdout, t);
		break;
	case BATCH:
	case SCREEN:
		put_text(t, o->interval, first);
		break;
	}
	finish_stdout();
}

static void wait_until(double at)
{
	struct timespec t = { .tv_sec = (time_t)at, .tv_nsec = (long)((at - floor(at)) * 1e9) };

	clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
}

/* The first snapshot has nothing to be compared with: it is taken, and shown only once there is a second one. */
static void batch(struct top_source *s, struct top_record *r, const struct top_options *o)
{
	struct top before, now;
	double at;

	top_take(s, &before, NULL);
	at = before.taken;
	for (unsigned long i = 0; !o->iterations || i < o->iterations; i++) {
		at += o->interval;
		wait_until(at);
		top_take(s, &now, &before);
		/* slept through several: no burst to make up for it */
		at = now.taken > at + o->interval ? now.taken : at;
		put(&now, o, !i);
		top_record_add(r, &now);
		top_free(&before);
		before = now;
	}
	top_free(&before);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, NULL, doc, NULL, NULL, NULL };
	struct top_options o = { .interval = 1 };
	struct top_record r = { .fd = -1 };
	struct top_source *s;
	int sig = 0;

	setlocale(LC_ALL, "");
	/* numbers for machines have a point */
	setlocale(LC_NUMERIC, "C");
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.module_interval > 0) {
		top_module_interval((uint32_t)(o.module_interval * 1e6 + 0.5));
		return 0;
	}
	if (o.events)
		top_events();
	if (o.form == SCREEN && top_no_screen()) {
		fprintf(stderr, "zen5-top: %s: use -b, --json or --csv\n", top_no_screen());
		return EX_USAGE;
	}
	if (o.record)
		top_record_open(&r, o.record);
	s = top_open();
	if (o.form == SCREEN)
		sig = top_screen(s, &r, o.interval, o.iterations);
	else
		batch(s, &r, &o);
	top_close(s);
	if (r.fd >= 0)
		close(r.fd);
	if (sig) {
		signal(sig, SIG_DFL);
		raise(sig);
	}
	return 0;
}
