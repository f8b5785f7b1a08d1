// SPDX-License-Identifier: MIT
/* zen5-bench: how fast models run here, next to what the machine can do and to other engines. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench.h"
#include "common.h"
#include "watch.h"

const char *argp_program_version = "zen5-bench " Z5_VERSION;

enum {
	OPT_PG = 256, OPT_PAGES, OPT_PEER, OPT_COLD, OPT_NO_WARMUP, OPT_NO_PIN, OPT_LEVEL, OPT_REQUIRE_ZEN5, OPT_JSON,
	OPT_KV_TYPE, OPT_TERNARY,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "What is timed; lists are N,N,... or N-N", 1 },
	{ "n-prompt", 'p', "LIST", 0, "Tokens of prompt (default 512; 0: none)", 1 },
	{ "n-gen", 'n', "LIST", 0, "Tokens decoded one by one (default 128; 0: none)", 1 },
	{ "pg", OPT_PG, "PP,TG", 0, "A prompt and then a decode, timed together; may be given several times", 1 },
	{ "depth", 'd', "LIST", 0, "Tokens of context ahead of what is timed (default 0)", 1 },
	{ "repetitions", 'r', "N", 0, "Repetitions, of all tests in turn (default 5)", 1 },
	{ "no-warmup", OPT_NO_WARMUP, NULL, 0, "Time the first run of each test too", 1 },
	{ NULL, 0, NULL, 0, "In which settings", 2 },
	{ "model", 'm', "FILE", 0, "A model; may be given several times, also as arguments", 2 },
	{ "threads", 't', "LIST", 0, "Threads (default: one a physical core)", 2 },
	{ "ubatch", 'b', "LIST", 0, "Tokens a prefill chunk (default 512)", 2 },
	{ "pages", OPT_PAGES, "LIST", 0, "The largest pages to try for weights: 1g (default), 2m, 4k", 2 },
	{ "kv-type", OPT_KV_TYPE, "LIST", 0, "How keys and values are kept: f32 (default), f16, bf16, q8_0", 2 },
	{ "ternary", OPT_TERNARY, "auto|on|off", 0, "Two bits a weight where floats are ternary (default auto: for BitNet)", 2 },
	{ "level", OPT_LEVEL, "NAME", 0, "scalar, avx2 or avx512vnni (default: the best of this CPU)", 2 },
	{ "no-pin", OPT_NO_PIN, NULL, 0, "Leave the threads unpinned", 2 },
	{ "cold", OPT_COLD, NULL, 0, "Load each model from the disk first, with nothing of it in memory", 2 },
	{ "require-zen5", OPT_REQUIRE_ZEN5, NULL, 0, "Fail with status 3 unless this is an AMD Zen 5", 2 },
	{ NULL, 0, NULL, 0, "Beside whom", 3 },
	{ "peer", OPT_PEER, "NAME=COMMAND", 0,
	  "Another engine's llama-bench and its own options, run in turn with us on the same files; may be given several "
	  "times",
	  3 },
	{ NULL, 0, NULL, 0, "Output", 4 },
	{ "output", 'o', "FORMAT", 0, "md (default), csv, json, jsonl or sql", 4 },
	{ "json", OPT_JSON, NULL, 0, "-o json", 4 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

#define MAX_MODELS	64
#define MAX_PEERS	8
#define MAX_TESTS	256

struct args {
	const char *model[MAX_MODELS];
	size_t n_models;
	struct bench_peer peer[MAX_PEERS];
	size_t n_peers;
	struct bench_test pg[MAX_TESTS], test[MAX_TESTS];
	size_t n_pg, n_tests;
	struct numbers prompt, gen, depth, threads, ubatch;
	const char *pages[4], *kv_type[4], *level, *ternary;
	size_t n_pages, n_kv_types;
	enum bench_format format;
	long long reps;
	bool cold, no_warmup, no_pin, require_zen5;
};

/* ---- options ---- */

static void add_number(struct numbers *l, uint32_t v, const char *option)
{
	if (l->n >= 64)
		die("%s: more than 64 values", option);
	l->v = realloc(l->v, (l->n + 1) * sizeof(*l->v));
	if (!l->v)
		die("out of memory");
	l->v[l->n++] = v;
}

static void parse_numbers(struct numbers *l, const char *option, const char *arg, long long lo, long long hi)
{
	char *copy = strdup(arg), *save = NULL, *word, *dash;

	if (!copy)
		die("out of memory");
	l->n = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		long long from, to;

		dash = strchr(word, '-');
		if (dash)
			*dash = '\0';
		from = arg_int(option, word, lo, hi);
		to = dash ? arg_int(option, dash + 1, from, hi) : from;
		for (; from <= to; from++)
			add_number(l, (uint32_t)from, option);
	}
	free(copy);
	if (!l->n)
		die("%s %s: no number", option, arg);
}

static void parse_pages(struct args *a, const char *arg, struct argp_state *state)
{
	static const char *const known[] = { "1g", "2m", "4k" };
	char *copy = strdup(arg), *save = NULL, *word;

	if (!copy)
		die("out of memory");
	a->n_pages = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		size_t i = 0;

		while (i < 3 && strcmp(word, known[i]))
			i++;
		if (i == 3 || a->n_pages == 3)
			argp_error(state, "--pages %s: a list of 1g, 2m, 4k", arg);
		a->pages[a->n_pages++] = known[i];
	}
	free(copy);
	if (!a->n_pages)
		argp_error(state, "--pages %s: a list of 1g, 2m, 4k", arg);
}

static void parse_kv_types(struct args *a, const char *arg)
{
	char *copy = strdup(arg), *save = NULL, *word;

	if (!copy)
		die("out of memory");
	a->n_kv_types = 0;
	for (word = strtok_r(copy, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
		if (a->n_kv_types == 4)
			die("--kv-type %s: more than four", arg);
		a->kv_type[a->n_kv_types++] = arg_kv_type("--kv-type", word);
	}
	free(copy);
	if (!a->n_kv_types)
		die("--kv-type: no type");
}

static void parse_pg(struct args *a, const char *arg)
{
	struct numbers l = { 0 };

	parse_numbers(&l, "--pg", arg, 1, 1 << 20);
	if (l.n != 2)
		die("--pg %s: two numbers, tokens of prompt and tokens decoded", arg);
	if (a->n_pg == MAX_TESTS)
		die("--pg: more than %d", MAX_TESTS);
	a->pg[a->n_pg++] = (struct bench_test){ l.v[0], l.v[1], 0 };
	free(l.v);
}

static void add_model(struct args *a, const char *path)
{
	if (a->n_models == MAX_MODELS)
		die("more than %d models", MAX_MODELS);
	a->model[a->n_models++] = path;
}

static void add_test(struct args *a, uint32_t pp, uint32_t tg, uint32_t depth)
{
	if (a->n_tests == MAX_TESTS)
		die("more than %d tests", MAX_TESTS);
	a->test[a->n_tests++] = (struct bench_test){ pp, tg, depth };
}

static void make_tests(struct args *a, struct argp_state *state)
{
	for (size_t d = 0; d < a->depth.n; d++) {
		for (size_t i = 0; i < a->prompt.n; i++)
			if (a->prompt.v[i])
				add_test(a, a->prompt.v[i], 0, a->depth.v[d]);
		for (size_t i = 0; i < a->gen.n; i++)
			if (a->gen.v[i])
				add_test(a, 0, a->gen.v[i], a->depth.v[d]);
		for (size_t i = 0; i < a->n_pg; i++)
			add_test(a, a->pg[i].pp, a->pg[i].tg, a->depth.v[d]);
	}
	if (!a->n_tests)
		argp_error(state, "nothing to time: -p and -n are 0 and there is no --pg");
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'p': parse_numbers(&a->prompt, "-p", arg, 0, 1 << 20); break;
	case 'n': parse_numbers(&a->gen, "-n", arg, 0, 1 << 20); break;
	case 'd': parse_numbers(&a->depth, "-d", arg, 0, 1 << 20); break;
	case 't': parse_numbers(&a->threads, "-t", arg, 1, 1024); break;
	case 'b': parse_numbers(&a->ubatch, "-b", arg, 1, 1 << 16); break;
	case 'r': a->reps = arg_int("-r", arg, 1, 10000); break;
	case 'm': add_model(a, arg); break;
	case OPT_PG: parse_pg(a, arg); break;
	case OPT_PAGES: parse_pages(a, arg, state); break;
	case OPT_TERNARY: a->ternary = arg_auto("--ternary", arg); break;
	case OPT_KV_TYPE: parse_kv_types(a, arg); break;
	case OPT_LEVEL: a->level = arg; break;
	case OPT_PEER:
		if (a->n_peers == MAX_PEERS)
			die("--peer: more than %d", MAX_PEERS);
		a->peer[a->n_peers++] = bench_peer_parse(arg);
		break;
	case OPT_COLD: a->cold = true; break;
	case OPT_NO_WARMUP: a->no_warmup = true; break;
	case OPT_NO_PIN: a->no_pin = true; break;
	case OPT_REQUIRE_ZEN5: a->require_zen5 = true; break;
	case OPT_JSON: a->format = BENCH_JSON; break;
	case 'o':
		for (a->format = 0; a->format < BENCH_N_FORMATS; a->format++)
			if (!strcmp(arg, bench_formats[a->format]))
				break;
		if (a->format == BENCH_N_FORMATS)
			argp_error(state, "-o %s: md, csv, json, jsonl or sql", arg);
		break;
	case ARGP_KEY_ARG: add_model(a, arg); break;
	case ARGP_KEY_END:
		if (!a->n_models)
			argp_error(state, "which model? zen5-bench MODEL");
		make_tests(a, state);
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	options, parse, "MODEL...\ncompare A.json B.json",
	"Times prompts (pp) and decoding (tg) of GGUF models, beside the read bandwidth and the arithmetic peak that this "
	"machine shows in the same run."
	"\vAll tests of a setting take turns, repetition by repetition, and so do other engines; medians count. A/A is what "
	"repetitions differ by from their neighbours: a gain within it is none. "
	"`compare` says of two files of -o json what is faster, slower, or not to be told apart.\n"
	"Exit status: 0 done, 1 failed, or with compare something is slower; 64 wrong usage; 130 ended by Ctrl-C.",
	NULL, NULL, NULL
};

/* ---- one setting ---- */

struct setting {
	const struct args *a;
	const char *model, *pages, *kv_type;
	uint32_t threads, ubatch;
	struct zen5rt *rt;
	struct zen5rt_model *m;
	struct zen5rt_session **session;	/* one a test */
	int32_t *tokens;
	uint32_t n_tokens;
	struct bench_row *row;			/* 1 + n_peers a test, ours first */
	double cold_load_s;
};

static void check_interrupt(void)
{
	if (!interrupted)
		return;
	fputs("zen5-bench: interrupted\n", stderr);
	exit(130);
}

static void check(int ret, const struct zen5rt_error *err)
{
	if (!ret)
		return;
	check_interrupt();
	die("%s", err->message);
}

/* Puts the file out of memory, as far as the kernel lets us. */
static bool drop_cache(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = !fdatasync(fd) && !posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
	return done;
}

static void load(struct setting *s)
{
	struct zen5rt_model_params p;
	struct zen5rt_model_info info;
	struct zen5rt_model_plan plan;
	struct zen5rt_error err;

	zen5rt_model_params_init(&p);
	p.pages = s->pages;
	p.ternary = s->a->ternary;
	s->cold_load_s = NAN;
	if (s->a->cold && !zen5rt_model_plan(s->model, 0, &plan, NULL) && plan.n_parts <= 1 && drop_cache(s->model)) {
		check(zen5rt_model_load_with(s->rt, s->model, &p, &s->m, &err), &err);
		zen5rt_model_info(s->m, &info);
		s->cold_load_s = info.load_s;
		zen5rt_model_free(s->m);
	}
	check(zen5rt_model_load_with(s->rt, s->model, &p, &s->m, &err), &err);
}

static uint32_t longest(const struct args *a)
{
	uint32_t n = 1;

	for (size_t i = 0; i < a->n_tests; i++) {
		const struct bench_test *t = &a->test[i];

		n = t->pp > n ? t->pp : n;
		n = t->depth > n ? t->depth : n;
		n = t->tg > n ? t->tg : n;
	}
	return n;
}

/* Any tokens do, and the same for everybody who asks for the same test. */
static void make_tokens(struct setting *s)
{
	struct zen5rt_model_info info;
	uint64_t x = 88172645463325252u;

	zen5rt_model_info(s->m, &info);
	s->n_tokens = longest(s->a);
	s->tokens = malloc(s->n_tokens * sizeof(*s->tokens));
	if (!s->tokens)
		die("out of memory for %u tokens", s->n_tokens);
	for (uint32_t i = 0; i < s->n_tokens; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		s->tokens[i] = (int32_t)(x % info.n_vocab);
	}
}

/* Puts the session where a test begins. */
static void go_to_depth(const struct setting *s, size_t i)
{
	const uint32_t depth = s->a->test[i].depth, at = zen5rt_session_can_rewind(s->session[i], depth);
	struct zen5rt_error err;

	zen5rt_session_rewind(s->session[i], at);
	if (at < depth)
		check(zen5rt_eval(s->session[i], s->tokens + at, depth - at, &err), &err);
}

/* Seconds of one repetition. */
static double run(const struct setting *s, size_t i, uint32_t pp, uint32_t tg)
{
	struct zen5rt_error err;
	double start;

	go_to_depth(s, i);
	start = now();
	if (pp)
		check(zen5rt_eval(s->session[i], s->tokens, pp, &err), &err);
	for (uint32_t t = 0; t < tg; t++)
		check(zen5rt_eval(s->session[i], s->tokens + t, 1, &err), &err);
	return now() - start;
}

/* Operations of matrix products so far; those with weights that are no integers in float_ops. */
static double all_ops(const struct zen5rt_model *m, double *float_ops)
{
	struct zen5rt_weight_info w;
	double sum = 0;

	*float_ops = 0;
	for (unsigned int i = 0; !zen5rt_weight_info(m, i, &w); i++) {
		const double ops = 2.0 * (double)w.rows * (double)w.cols * (double)w.columns;

		sum += ops;
		if (!strcmp(w.type, "F32") || !strcmp(w.type, "F16") || !strcmp(w.type, "BF16"))
			*float_ops += ops;
	}
	return sum;
}

static double token_bytes(const struct setting *s, size_t i)
{
	const struct bench_test *t = &s->a->test[i];
	struct zen5rt_region_info kv;
	struct zen5rt_model_info info;
	const double middle = (double)t->depth + (double)t->pp + (double)t->tg / 2;

	zen5rt_model_info(s->m, &info);
	if (!*zen5rt_session_kv_type(s->session[i]) || zen5rt_session_region(s->session[i], 0, &kv))
		return (double)info.decode_bytes + 2 * (double)info.state_bytes;
	return (double)info.decode_bytes + 2 * (double)info.state_bytes +
	       (double)kv.asked * middle / (double)zen5rt_session_n_ctx(s->session[i]);
}

static void add_sample(struct bench_samples *s, double v)
{
	s->v = realloc(s->v, (s->n + 1) * sizeof(*s->v));
	if (!s->v)
		die("out of memory");
	s->v[s->n++] = v;
}

static void say_progress(const struct setting *s, long long rep, size_t test, const char *who)
{
	char name[64];

	if (isatty(2))
		fprintf(stderr, "\r\033[K%s, %u threads: %lld of %lld, %s, %s", s->model, s->threads, rep + 1, s->a->reps,
			bench_test_name(&s->a->test[test], name, sizeof(name)), who);
}

/* Bytes a second that this machine reads of the weights just now. */
static double read_bandwidth(const struct setting *s)
{
	struct zen5rt_error err;
	double bandwidth = 0;

	check(zen5rt_model_read_bandwidth(s->m, &bandwidth, &err), &err);
	check_interrupt();
	return bandwidth;
}

/* A repetition of everything. */
static void repetition(const struct setting *s, long long rep)
{
	const size_t per = 1 + s->a->n_peers;

	for (size_t i = 0; i < s->a->n_tests; i++) {
		const struct bench_test *t = &s->a->test[i];
		struct bench_row *row = &s->row[i * per];
		const double n = (double)t->pp + (double)t->tg;

		say_progress(s, rep, i, "zen5");
		if (t->tg)
			add_sample(&row->read, read_bandwidth(s));
		add_sample(&row->rate, n / run(s, i, t->pp, t->tg));
		for (size_t k = 0; k < s->a->n_peers; k++) {
			struct bench_row *peer = &row[1 + k];

			if (*peer->failed)
				continue;
			say_progress(s, rep, i, s->a->peer[k].name);
			add_sample(&peer->rate, bench_peer_run(&s->a->peer[k], s->model, t, s->threads, s->ubatch,
							       peer->failed, sizeof(peer->failed)));
			if (*peer->failed)
				peer->rate.n = 0;
			check_interrupt();
		}
	}
}

static void fill_rows(struct setting *s)
{
	const size_t per = 1 + s->a->n_peers;
	struct zen5rt_region_info region;
	struct zen5rt_model_info info;

	zen5rt_model_info(s->m, &info);
	zen5rt_model_region(s->m, 0, &region);
	for (size_t i = 0; i < s->a->n_tests * per; i++) {
		struct bench_row *r = &s->row[i];

		r->model = s->model;
		r->peer = i % per ? &s->a->peer[i % per - 1] : NULL;
		r->test = s->a->test[i / per];
		r->threads = s->threads;
		r->ubatch = s->ubatch;
		r->cold_load_s = NAN;
		r->pages = s->pages ? s->pages : "";
		r->kv_type = zen5rt_session_kv_type(s->session[i / per]);
		r->level = r->peer ? "" : zen5rt_level(s->rt);
		r->backend = r->peer ? "" : region.backend;
		if (r->peer)
			continue;
		r->page = region.page;
		r->page_bytes = region.page_bytes;
		r->region_bytes = region.size;
		r->load_s = info.load_s;
		r->cold_load_s = s->cold_load_s;
		r->bytes = r->test.tg ? token_bytes(s, i / per) : 0;
	}
}

/* The machine's limits, twice: before and after, since it is not always the same machine. */
static void limits(struct setting *s)
{
	const size_t per = 1 + s->a->n_peers;
	const double bandwidth = read_bandwidth(s);
	struct zen5rt_error err;
	struct zen5rt_peak peak;

	check(zen5rt_compute_peak(s->rt, &peak, &err), &err);
	check_interrupt();
	for (size_t i = 0; i < s->a->n_tests; i++) {
		struct bench_row *r = &s->row[i * per];

		r->bandwidth = bandwidth > r->bandwidth ? bandwidth : r->bandwidth;
		if (peak.int8_ops > r->peak.int8_ops)
			r->peak.int8_ops = peak.int8_ops;
		if (peak.f32_ops > r->peak.f32_ops)
			r->peak.f32_ops = peak.f32_ops;
		r->peak.int8_by = peak.int8_by;
	}
}

static void finish_rows(struct setting *s)
{
	const size_t per = 1 + s->a->n_peers;

	for (size_t i = 0; i < s->a->n_tests; i++) {
		struct bench_row *r = &s->row[i * per];
		const size_t pairs = r->rate.n / 2;
		double *first = malloc((2 * pairs + 1) * sizeof(*first)), *second = first + pairs;

		if (!first)
			die("out of memory");
		if (r->read.n)
			r->bandwidth = bench_stats(&r->read).median;
		r->rss = bench_rss();
		for (size_t k = 0; k < 2 * pairs; k++)
			(k % 2 ? second : first)[k / 2] = r->rate.v[k];
		bench_ratio(first, second, pairs, &r->aa, &r->aa_lo, &r->aa_hi);
		free(first);
		for (size_t k = 1; k < per; k++)
			bench_ratio(r[k].rate.v, r->rate.v, r[k].rate.n, &r[k].ratio, &r[k].ratio_lo, &r[k].ratio_hi);
	}
}

static void run_setting(struct setting *s, struct watch *w)
{
	const struct args *a = s->a;
	struct zen5rt_session_params sp;
	struct zen5rt_params p;
	struct zen5rt_error err;

	zen5rt_params_init(&p);
	watch_params(w, &p);
	p.n_threads = s->threads;
	p.level = a->level;
	p.pin = !a->no_pin;
	/* what is compared is all threads */
	p.throttle = "off";
	check(zen5rt_open(&p, &s->rt, &err), &err);
	s->threads = zen5rt_n_threads(s->rt);
	load(s);
	make_tokens(s);
	s->session = calloc(a->n_tests, sizeof(*s->session));
	if (!s->session)
		die("out of memory");
	for (size_t i = 0; i < a->n_tests; i++) {
		const struct bench_test *t = &a->test[i];

		zen5rt_session_params_init(&sp);
		sp.n_ctx = t->depth + t->pp + t->tg;
		sp.n_ubatch = s->ubatch;
		sp.kv_type = s->kv_type;
		check(zen5rt_session_new(s->m, &sp, &s->session[i], &err), &err);
	}
	fill_rows(s);
	for (size_t i = 0; i < a->n_tests && !a->no_warmup; i++)
		run(s, i, a->test[i].pp, a->test[i].tg < 4 ? a->test[i].tg : 4);
	limits(s);
	for (size_t i = 0; i < a->n_tests; i++) {
		const struct bench_test *t = &a->test[i];
		struct bench_row *row = &s->row[i * (1 + a->n_peers)];
		double before, float_before, float_ops;

		if (!t->pp)
			continue;
		go_to_depth(s, i);
		before = all_ops(s->m, &float_before);
		run(s, i, t->pp, 0);
		row->ops = (all_ops(s->m, &float_ops) - before) / t->pp;
		row->float_ops = (float_ops - float_before) / t->pp;
	}
	for (long long rep = 0; rep < a->reps; rep++)
		repetition(s, rep);
	limits(s);
	finish_rows(s);
	if (isatty(2))
		fputs("\r\033[K", stderr);
	for (size_t i = 0; i < a->n_tests; i++)
		zen5rt_session_free(s->session[i]);
	free(s->session);
	free(s->tokens);
	zen5rt_model_free(s->m);
	zen5rt_close(s->rt);
}

/* ---- all of them ---- */

static void bench(const struct args *a)
{
	const size_t per = a->n_tests * (1 + a->n_peers);
	const size_t n = a->n_models * a->threads.n * a->ubatch.n * a->n_pages * a->n_kv_types;
	struct bench_report r = { .n = n * per, .reps = (uint32_t)a->reps };
	struct watch w = { 0 };

	r.row = calloc(r.n, sizeof(*r.row));
	if (!r.row)
		die("out of memory");
	bench_machine_begin(&r.machine);
	for (size_t i = 0; i < n; i++) {
		struct setting s = { .a = a, .row = r.row + i * per };
		size_t k = i;

		s.kv_type = a->kv_type[k % a->n_kv_types];
		k /= a->n_kv_types;
		s.pages = a->pages[k % a->n_pages];
		k /= a->n_pages;
		s.ubatch = a->ubatch.v[k % a->ubatch.n];
		k /= a->ubatch.n;
		s.threads = a->threads.v[k % a->threads.n];
		s.model = a->model[k / a->threads.n];
		run_setting(&s, &w);
	}
	bench_machine_end(&r.machine);
	bench_print(&r, a->format, stdout);
	finish_stdout();
	for (size_t i = 0; i < r.n; i++) {
		free(r.row[i].rate.v);
		free(r.row[i].read.v);
	}
	free(r.row);
}

static int compare(int argc, char **argv)
{
	const bool json = argc > 2 && !strcmp(argv[2], "--json");
	int first = json ? 3 : 2;

	if (argc - first != 2) {
		fputs("usage: zen5-bench compare [--json] A.json B.json\n", stderr);
		return 64;
	}
	return bench_compare(argv[first], argv[first + 1], json);
}

int main(int argc, char **argv)
{
	struct args a = { .reps = 5, .n_pages = 1, .n_kv_types = 1 };

	if (argc > 1 && !strcmp(argv[1], "compare"))
		return compare(argc, argv);
	add_number(&a.prompt, 512, "-p");
	add_number(&a.gen, 128, "-n");
	add_number(&a.depth, 0, "-d");
	add_number(&a.threads, 0, "-t");
	add_number(&a.ubatch, 512, "-b");
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.require_zen5)
		require_zen5(NULL);
	watch_interrupts();
	bench(&a);
	for (size_t i = 0; i < a.n_peers; i++) {
		free(a.peer[i].name);
		free(a.peer[i].args);
	}
	free(a.prompt.v);
	free(a.gen.v);
	free(a.depth.v);
	free(a.threads.v);
	free(a.ubatch.v);
	return 0;
}
