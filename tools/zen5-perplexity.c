// SPDX-License-Identifier: MIT
/* zen5-perplexity: how well a model foretells a text, alone or beside another run. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zen5rt.h>

#include "base.h"
#include "common.h"
#include "score.h"
#include "watch.h"

const char *argp_program_version = "zen5-perplexity " Z5_VERSION;

/* Logits that are held at a time. */
#define ROWS_BYTES (64u << 20)

enum {
	OPT_CHUNKS = 256, OPT_BASE, OPT_KL, OPT_FORMAT, OPT_JSON, OPT_TOKENS, OPT_NO_PIN,
	OPT_REQUIRE_ZEN5, OPT_KV_TYPE, OPT_TERNARY,
};

static const struct argp_option options[] = {
	{ "file", 'f', "TEXT", 0, "Text to score (- or none: standard input)", 0 },
	{ "tokens", OPT_TOKENS, NULL, 0, "TEXT is token ids, separated by spaces, commas or lines", 0 },
	{ "ctx-size", 'c', "N", 0, "Tokens a chunk (default 512)", 0 },
	{ "chunks", OPT_CHUNKS, "N", 0, "Score the first N chunks only", 0 },
	{ "kl-divergence-base", OPT_BASE, "FILE", 0, "Alone: write the run's logits to FILE", 0 },
	{ "kl-divergence", OPT_KL, NULL, 0, "Compare with the run in FILE, on its tokens: no TEXT", 0 },
	{ "kl-format", OPT_FORMAT, "FORMAT", 0,
	  "zen5 (exact, default) or llama.cpp (half the size): how FILE is written; "
	  "both are read",
	  0 },
	{ "kv-type", OPT_KV_TYPE, "f32|f16|bf16|q8_0", 0, "How keys and values are kept (default f32)", 0 },
	{ "ternary", OPT_TERNARY, "auto|on|off", 0, "Two bits a weight where floats are ternary (default auto: for BitNet)", 0 },
	{ "threads", 't', "N", 0, "Threads (default: one a physical core)", 0 },
	{ "no-pin", OPT_NO_PIN, NULL, 0, "Leave the threads unpinned", 0 },
	{ "require-zen5", OPT_REQUIRE_ZEN5, NULL, 0, "Fail with status 3 unless this is an AMD Zen 5", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object on standard output", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

struct args {
	const char *model, *file, *base, *kv_type, *ternary;
	long long ctx, chunks, threads;
	bool ids, kl, llama, json, no_pin, require_zen5;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'f': a->file = arg; break;
	case 'c': a->ctx = arg_int("-c", arg, 4, 1 << 20); break;
	case 't': a->threads = arg_int("-t", arg, 1, 1024); break;
	case OPT_KV_TYPE: a->kv_type = arg_kv_type("--kv-type", arg); break;
	case OPT_TERNARY: a->ternary = arg_auto("--ternary", arg); break;
	case OPT_CHUNKS: a->chunks = arg_int("--chunks", arg, 1, INT32_MAX); break;
	case OPT_TOKENS: a->ids = true; break;
	case OPT_BASE: a->base = arg; break;
	case OPT_KL: a->kl = true; break;
	case OPT_NO_PIN: a->no_pin = true; break;
	case OPT_JSON: a->json = true; break;
	case OPT_REQUIRE_ZEN5: a->require_zen5 = true; break;
	case OPT_FORMAT:
		a->llama = !strcmp(arg, "llama.cpp");
		if (!a->llama && strcmp(arg, "zen5"))
			argp_error(state, "--kl-format %s: zen5 or llama.cpp", arg);
		break;
	case ARGP_KEY_ARG:
		if (a->model)
			argp_error(state, "more than one model: %s and %s", a->model, arg);
		a->model = arg;
		break;
	case ARGP_KEY_END:
		if (!a->model)
			argp_error(state, "which model? zen5-perplexity MODEL -f TEXT");
		if (a->kl && !a->base)
			argp_error(state, "--kl-divergence compares with the file of --kl-divergence-base");
		if (a->kl && (a->file || a->ids || a->ctx))
			argp_error(
				state,
				"--kl-divergence takes the tokens and their chunks from its file: no -f, --tokens, -c");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static const struct argp argp = {
	options, parse, "MODEL -f TEXT",
	"Prints the perplexity of a text: exp of the mean negative log-probability of a token, given those before it."
	"\vThe text is cut into chunks of N tokens; of each the second half is scored, and its first token is replaced by BOS "
	"where the model wants one, as llama-perplexity does.\n"
	"Exit status: 0 done, 1 failed, 64 wrong usage, 130 ended by Ctrl-C (what was scored until then is printed).",
	NULL, NULL, NULL
};

/* ---- the text ---- */

struct text {
	int32_t *id;
	size_t n;
	int32_t bos;		/* put at the start of every chunk; -1: none */
};

/* BOS, if this vocabulary puts one ahead of a text. */
static int32_t leading_bos(const struct zen5rt_vocab *v)
{
	int32_t id[4];
	struct zen5rt_error err;
	int64_t n = zen5rt_tokenize(v, "", 0, ZEN5RT_TOKENIZE_BOS, id, 4, &err);

	return n > 0 && id[0] == zen5rt_vocab_bos(v) ? id[0] : -1;
}

static void tokenize(struct text *t, const struct zen5rt_vocab *v, const char *s, size_t len)
{
	size_t cap = len / 2 + 64, lead = t->bos >= 0;
	struct zen5rt_error err;
	int64_t n;

	for (;;) {
		free(t->id);
		t->id = malloc((cap + 1) * sizeof(*t->id));
		if (!t->id)
			die("out of memory for the tokens");
		t->id[0] = t->bos;
		n = zen5rt_tokenize(v, s, len, 0, t->id + lead, cap, &err);
		if (n < 0)
			die("%s", err.message);
		t->n = (size_t)n + lead;
		if ((size_t)n <= cap)
			return;
		cap = (size_t)n;
	}
}

static void parse_tokens(struct text *t, const char *s, const char *name)
{
	size_t cap = 0;

	for (;;) {
		char *end;
		long v;

		s += strspn(s, " \t\r\n,");
		if (!*s)
			return;
		errno = 0;
		v = strtol(s, &end, 10);
		if (end == s || errno || v < 0 || v > INT32_MAX)
			die("%s: token %zu: no token id", name, t->n);
		s = end;
		if (t->n == cap) {
			cap = cap ? 2 * cap : 1024;
			t->id = realloc(t->id, cap * sizeof(*t->id));
			if (!t->id)
				die("out of memory for the tokens");
		}
		t->id[t->n++] = (int32_t)v;
	}
}

static void read_text(struct text *t, const struct args *a, const struct zen5rt_vocab *v)
{
	bool in = !a->file || !strcmp(a->file, "-");
	const char *name = in ? "standard input" : a->file;
	size_t len;
	char *s;
	int fd;

	if (!a->file && isatty(0))
		die("which text? -f FILE");
	fd = in ? 0 : open(a->file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", name, strerror(errno));
	s = read_all(fd, name, &len);
	if (!in)
		close(fd);
	if (a->ids)
		parse_tokens(t, s, name);
	else
		tokenize(t, v, s, len);
	free(s);
}

/* ---- scoring ---- */

struct run {
	const struct args *a;
	struct zen5rt *rt;
	struct zen5rt_model *model;
	struct zen5rt_session *s;
	struct watch *watch;
	uint32_t n_ctx, n_vocab, n_chunk, chunks_done;
	const int32_t *tokens;		/* [n_chunk][n_ctx] */
	int32_t bos;
	float *logits;			/* rows of one piece */
	size_t piece;
	struct base base;
	struct mean nll, nll_base, kl, dp, ratio;
	double nll_product;		/* sum of nll * nll_base, for their covariance */
	size_t same_top;
	double *kls, *dps, *running;
	double start, seconds;
};

static bool score_row(struct run *r, const float *logits, int32_t next)
{
	if (r->a->kl) {
		struct base_row row = base_read(&r->base);
		struct divergence d = divergence(logits, &row, r->n_vocab, next);

		r->kls[r->nll.n] = d.kl;
		r->dps[r->nll.n] = d.dp;
		mean_add(&r->nll, d.nll);
		mean_add(&r->nll_base, d.nll_base);
		mean_add(&r->ratio, d.nll - d.nll_base);
		mean_add(&r->kl, d.kl);
		mean_add(&r->dp, d.dp);
		r->nll_product += d.nll * d.nll_base;
		r->same_top += (size_t)d.same_top;
	} else {
		mean_add(&r->nll, log_sum_exp(logits, r->n_vocab) - logits[next]);
		if (r->a->base)
			base_write(&r->base, logits);
	}
	return isfinite(r->nll.sum);
}

static void fail_eval(struct run *r, const char *message)
{
	watch_clear(r->watch);
	base_discard();
	die("%s", message);
}

__attribute__((noreturn))
static void fail_numbers(struct run *r)
{
	watch_clear(r->watch);
	base_discard();
	die("%s: the model's logits are no numbers", r->a->model);
}

/* The second half of a chunk. The first one's logits are needed by nobody, so they are not computed. */
static bool score_chunk(struct run *r, const int32_t *tokens)
{
	uint32_t first = r->n_ctx / 2;
	struct zen5rt_error err;
	int32_t *copy = malloc(r->n_ctx * sizeof(*copy));
	int ret;

	if (!copy)
		fail_eval(r, "out of memory");
	memcpy(copy, tokens, r->n_ctx * sizeof(*copy));
	if (r->bos >= 0)
		copy[0] = r->bos;
	zen5rt_session_rewind(r->s, 0);
	ret = zen5rt_eval(r->s, copy, first, &err);
	for (uint32_t i = first; i < r->n_ctx - 1 && !ret; ) {
		uint32_t n = r->n_ctx - 1 - i < r->piece ? r->n_ctx - 1 - i : (uint32_t)r->piece;

		ret = zen5rt_eval_all(r->s, copy + i, n, r->logits, &err);
		for (uint32_t j = 0; j < n && !ret; j++)
			if (!score_row(r, r->logits + (size_t)j * r->n_vocab, copy[i + j + 1]))
				fail_numbers(r);
		i += n;
	}
	free(copy);
	if (ret == -ECANCELED)
		return false;
	if (ret)
		fail_eval(r, err.message);
	return true;
}

static void show_progress(struct run *r, uint32_t done)
{
	double s = now() - r->start;

	if (!isatty(2) || s < 0.2)
		return;
	fprintf(stderr, "\r\033[Kchunk %u of %u  PPL %.4f +/- %.4f  %.0f s left ", done, r->n_chunk,
		exp(mean_of(&r->nll)), exp(mean_of(&r->nll)) * mean_error(&r->nll), s / done * (r->n_chunk - done));
	r->watch->shown = true;
}

static double *doubles(size_t n)
{
	double *p = malloc((n ? n : 1) * sizeof(*p));

	if (!p)
		die("out of memory for the results");
	return p;
}

/* False if Ctrl-C ended it before the last chunk. */
static bool score(struct run *r)
{
	size_t rows = (size_t)r->n_chunk * (r->n_ctx - 1 - r->n_ctx / 2);

	r->running = doubles(r->n_chunk);
	if (r->a->kl) {
		r->kls = doubles(rows);
		r->dps = doubles(rows);
	}
	r->piece = ROWS_BYTES / sizeof(float) / r->n_vocab;
	r->piece = r->piece < 16 ? 16 : r->piece > r->n_ctx ? r->n_ctx : r->piece;
	r->logits = malloc(r->piece * r->n_vocab * sizeof(float));
	if (!r->logits)
		die("out of memory for the logits");
	r->start = now();
	for (uint32_t c = 0; c < r->n_chunk; c++) {
		if (interrupted || !score_chunk(r, r->tokens + (size_t)c * r->n_ctx))
			break;
		r->running[c] = exp(mean_of(&r->nll));
		r->chunks_done = c + 1;
		show_progress(r, c + 1);
	}
	r->seconds = now() - r->start;
	watch_clear(r->watch);
	return r->chunks_done == r->n_chunk;
}

/* ---- the report ---- */

static const struct {
	const char *name;
	double q;
} quantiles[] = {
	{ "min", 0 },	{ "p1", 0.01 },	 { "p5", 0.05 },  { "p10", 0.1 },     { "median", 0.5 },
	{ "p90", 0.9 }, { "p95", 0.95 }, { "p99", 0.99 }, { "p99.9", 0.999 }, { "max", 1 },
};
#define N_QUANTILES (sizeof(quantiles) / sizeof(quantiles[0]))

/* Perplexities of two runs over the same text go together, which makes their ratio surer than either of them. */
static double correlation(const struct run *r)
{
	double n = (double)r->nll.n, a = mean_of(&r->nll), b = mean_of(&r->nll_base);
	double va = r->nll.sum2 / n - a * a, vb = r->nll_base.sum2 / n - b * b;

	return va > 0 && vb > 0 ? (r->nll_product / n - a * b) / sqrt(va * vb) : 1;
}

static double rms(const struct mean *m)
{
	return sqrt(m->sum2 / (double)m->n);
}

static json_t *json_mean(const struct mean *m, const double *sorted)
{
	json_t *j = json_pack("{s:f,s:f}", "mean", mean_of(m), "error", mean_error(m));

	for (size_t i = 0; i < N_QUANTILES; i++)
		json_object_set_new(j, quantiles[i].name, json_real(quantile(sorted, m->n, quantiles[i].q)));
	return j;
}

static void print_json(const struct run *r)
{
	double ppl = exp(mean_of(&r->nll));
	json_t *j, *running = json_array();

	for (uint32_t c = 0; c < r->chunks_done; c++)
		json_array_append_new(running, json_real(r->running[c]));
	j = json_pack("{s:f,s:f,s:f,s:f,s:I,s:I,s:I,s:I,s:f,s:s,s:o}", "ppl", ppl, "ppl_error", ppl * mean_error(&r->nll),
		      "nll", mean_of(&r->nll), "nll_error", mean_error(&r->nll), "n_ctx", (json_int_t)r->n_ctx,
		      "chunks", (json_int_t)r->chunks_done, "chunks_asked", (json_int_t)r->n_chunk, "scored",
		      (json_int_t)r->nll.n, "seconds", r->seconds, "kv_type", zen5rt_session_kv_type(r->s), "running",
		      running);
	if (j && r->a->kl) {
		json_t *dp = json_mean(&r->dp, r->dps);

		json_object_set_new(dp, "rms", json_real(rms(&r->dp)));
		json_object_set_new(j, "kl", json_mean(&r->kl, r->kls));
		json_object_set_new(j, "delta_p", dp);
		json_object_set_new(j, "same_top", json_real((double)r->same_top / (double)r->nll.n));
		json_object_set_new(j, "ppl_base", json_real(exp(mean_of(&r->nll_base))));
		json_object_set_new(j, "ln_ratio", json_real(mean_of(&r->ratio)));
		json_object_set_new(j, "ln_ratio_error", json_real(mean_error(&r->ratio)));
		json_object_set_new(j, "correlation", json_real(correlation(r)));
	}
	if (!j || json_dumpf(j, stdout, JSON_COMPACT | JSON_REAL_PRECISION(17)))
		die("cannot print JSON");
	putchar('\n');
	json_decref(j);
}

static void print_quantiles(const struct mean *m, const double *sorted, double scale)
{
	for (size_t i = N_QUANTILES; i-- > 0; )
		printf("  %-7s %12.6f\n", quantiles[i].name, scale * quantile(sorted, m->n, quantiles[i].q));
}

static void print_text(const struct run *r)
{
	double ppl = exp(mean_of(&r->nll)), base = exp(mean_of(&r->nll_base)),
	       top = (double)r->same_top / (double)r->nll.n;

	printf("PPL = %.4f +/- %.5f (%zu tokens in %u chunks of %u)\n", ppl, ppl * mean_error(&r->nll), r->nll.n,
	       r->chunks_done, r->n_ctx);
	if (!r->a->kl)
		return;
	printf("base PPL = %.4f +/- %.5f\n", base, base * mean_error(&r->nll_base));
	printf("ln(PPL / base) = %.6f +/- %.6f, correlation %.2f %%\n", mean_of(&r->ratio), mean_error(&r->ratio),
	       100 * correlation(r));
	printf("KL divergence: mean %.6f +/- %.6f\n", mean_of(&r->kl), mean_error(&r->kl));
	print_quantiles(&r->kl, r->kls, 1);
	printf("difference of the next token's probability: mean %.3f +/- %.3f %%, RMS %.3f %%\n",
	       100 * mean_of(&r->dp), 100 * mean_error(&r->dp), 100 * rms(&r->dp));
	print_quantiles(&r->dp, r->dps, 100);
	printf("same likeliest token: %.3f +/- %.3f %%\n", 100 * top,
	       100 * sqrt(top * (1 - top) / (double)(r->nll.n > 1 ? r->nll.n - 1 : 1)));
}

/* ---- before ---- */

static void prepare(struct run *r, struct text *t)
{
	struct zen5rt_session_params sp;
	struct zen5rt_model_info info;
	struct zen5rt_error err;

	zen5rt_model_info(r->model, &info);
	r->n_vocab = info.n_vocab;
	r->bos = t->bos = leading_bos(zen5rt_model_vocab(r->model));
	if (r->a->kl) {
		base_open(&r->base, r->a->base);
		if (r->base.n_vocab != r->n_vocab)
			die("%s: is of a vocabulary of %u, the model has %u", r->a->base, r->base.n_vocab, r->n_vocab);
		r->n_ctx = r->base.n_ctx;
		r->n_chunk = r->base.n_chunk;
		r->tokens = r->base.tokens;
	} else {
		read_text(t, r->a, zen5rt_model_vocab(r->model));
		r->n_ctx = r->a->ctx ? (uint32_t)r->a->ctx : 512;
		if (t->n / r->n_ctx > INT32_MAX)
			die("the text is too long");
		r->n_chunk = (uint32_t)(t->n / r->n_ctx);
		r->tokens = t->id;
		if (!r->n_chunk)
			die("the text has %zu tokens, less than a chunk of %u: take a longer one or a smaller -c",
			    t->n, r->n_ctx);
		for (size_t i = 0; i < t->n; i++)
			if ((uint32_t)t->id[i] >= r->n_vocab)
				die("token %d is outside the vocabulary of %u", t->id[i], r->n_vocab);
	}
	if (r->a->chunks && r->a->chunks < r->n_chunk)
		r->n_chunk = (uint32_t)r->a->chunks;
	zen5rt_session_params_init(&sp);
	sp.n_ctx = r->n_ctx;
	sp.kv_type = r->a->kv_type;
	if (zen5rt_session_new(r->model, &sp, &r->s, &err))
		die("%s", err.message);
	if (r->a->base && !r->a->kl)
		base_create(&r->base, r->a->base, r->a->llama, r->n_ctx, r->n_vocab, r->n_chunk, r->tokens);
}

int main(int argc, char **argv)
{
	struct args a = { 0 };
	struct run r = { .a = &a };
	struct text t = { 0 };
	struct zen5rt_model_params mp;
	struct zen5rt_params rp;
	struct zen5rt_error err;
	struct watch watch;
	bool complete;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.require_zen5)
		require_zen5(NULL);
	watch_interrupts();
	zen5rt_params_init(&rp);
	rp.n_threads = (unsigned int)a.threads;
	rp.pin = !a.no_pin;
	watch_params(&watch, &rp);
	r.watch = &watch;
	zen5rt_model_params_init(&mp);
	mp.ternary = a.ternary;
	if (zen5rt_open(&rp, &r.rt, &err) || zen5rt_model_load_with(r.rt, a.model, &mp, &r.model, &err)) {
		watch_clear(&watch);
		zen5rt_close(r.rt);
		if (interrupted)
			return 130;
		die("%s", err.message);
	}
	watch_clear(&watch);
	prepare(&r, &t);
	complete = score(&r);
	base_close(&r.base, complete);
	if (a.kl) {
		sort_doubles(r.kls, r.kl.n);
		sort_doubles(r.dps, r.dp.n);
	}
	if (r.chunks_done && a.json)
		print_json(&r);
	else if (r.chunks_done)
		print_text(&r);
	finish_stdout();
	zen5rt_session_free(r.s);
	zen5rt_model_free(r.model);
	zen5rt_close(r.rt);
	free(r.logits);
	free(r.kls);
	free(r.dps);
	free(r.running);
	free(t.id);
	return complete ? 0 : 130;
}
