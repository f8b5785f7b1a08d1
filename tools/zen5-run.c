// SPDX-License-Identifier: MIT
/* zen5-run: continues a text with a GGUF model. */
#include <argp.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include <zen5rt.h>

#include "common.h"
#include "explain.h"

const char *argp_program_version = "zen5-run " Z5_VERSION;
const char *argp_program_bug_address = "the project's issues";

enum {
	OPT_TEMP = 256, OPT_TOP_K, OPT_TOP_P, OPT_MIN_P, OPT_REPEAT, OPT_REPEAT_N, OPT_UBATCH, OPT_TOKENS,
	OPT_LOGITS, OPT_JSON, OPT_EXPLAIN, OPT_NO_DISPLAY, OPT_IGNORE_EOS, OPT_NO_PIN,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Text:", 1 },
	{ "model", 'm', "FILE", 0, "The model, if not given as argument", 0 },
	{ "prompt", 'p', "TEXT", 0, "Text to continue (else -f, else standard input if it is no terminal)", 0 },
	{ "file", 'f', "FILE", 0, "Read the prompt from FILE (- for standard input)", 0 },
	{ "n-predict", 'n', "N", 0, "Tokens to generate; -1: until the answer ends or the context is full (default -1)", 0 },
	{ "no-display-prompt", OPT_NO_DISPLAY, NULL, 0, "Print only what is generated", 0 },
	{ "ignore-eos", OPT_IGNORE_EOS, NULL, 0, "Go on after the end of the answer", 0 },
	{ NULL, 0, NULL, 0, "Evaluation:", 2 },
	{ "ctx-size", 'c', "N", 0, "Positions of context; 0: as many as the model was trained for (default: that, at most 4096)", 0 },
	{ "threads", 't', "N", 0, "Threads (default: one a physical core)", 0 },
	{ "ubatch", OPT_UBATCH, "N", 0, "Tokens a prefill chunk (default 512)", 0 },
	{ "no-pin", OPT_NO_PIN, NULL, 0, "Leave the threads unpinned", 0 },
	{ NULL, 0, NULL, 0, "Sampling:", 3 },
	{ "temp", OPT_TEMP, "T", 0, "Temperature; 0: always the likeliest token (default 0.8)", 0 },
	{ "top-k", OPT_TOP_K, "N", 0, "Only the N likeliest tokens; 0: off (default 40)", 0 },
	{ "top-p", OPT_TOP_P, "P", 0, "Only the likeliest tokens that together have probability P; 1: off (default 0.95)", 0 },
	{ "min-p", OPT_MIN_P, "P", 0, "Only tokens at least P times as likely as the likeliest; 0: off (default 0.05)", 0 },
	{ "repeat-penalty", OPT_REPEAT, "X", 0, "Make recent tokens less likely; 1: off (default 1)", 0 },
	{ "repeat-last-n", OPT_REPEAT_N, "N", 0, "How far back that looks (default 64)", 0 },
	{ "seed", 's', "N", 0, "Same seed, same text (default: random)", 0 },
	{ NULL, 0, NULL, 0, "For machines and the curious:", 4 },
	{ "tokens", OPT_TOKENS, "1,2,3", 0, "Feed token ids instead of text", 0 },
	{ "logits", OPT_LOGITS, "FILE", 0, "Write the raw float32 logits after the last prompt token", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object on standard output instead of text", 0 },
	{ "explain", OPT_EXPLAIN, NULL, 0, "Say what ran where: level, memory, threads, kernels, GB/s", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] =
	"Continues a text with the GGUF model MODEL."
	"\vThe text goes to standard output, everything else to standard error. Ctrl-C ends the answer.\n"
	"Environment: ZEN5RT_LEVEL=scalar|avx2|avx512vnni chooses the instruction set.\n"
	"Exit status: 0 done, 1 failed, 64 wrong usage, 130 ended by Ctrl-C.";

struct args {
	const char *model, *prompt, *prompt_file, *tokens, *logits;
	long long n_predict, ctx, threads, ubatch, seed;
	bool no_display, ignore_eos, json, explain, no_pin;
	struct zen5rt_sampler_params sampler;
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 'm': a->model = arg; break;
	case 'p': a->prompt = arg; break;
	case 'f': a->prompt_file = arg; break;
	case 'n': a->n_predict = arg_int("-n", arg, -1, 1 << 30); break;
	case 'c': a->ctx = arg_int("-c", arg, 0, 1 << 30); break;
	case 't': a->threads = arg_int("-t", arg, 1, 1024); break;
	case 's': a->seed = arg_int("--seed", arg, -1, INT64_MAX); break;
	case OPT_UBATCH: a->ubatch = arg_int("--ubatch", arg, 1, 1 << 20); break;
	case OPT_TEMP: a->sampler.temp = (float)arg_float("--temp", arg, 0, 1000); break;
	case OPT_TOP_K: a->sampler.top_k = (uint32_t)arg_int("--top-k", arg, 0, 1 << 30); break;
	case OPT_TOP_P: a->sampler.top_p = (float)arg_float("--top-p", arg, 0, 1); break;
	case OPT_MIN_P: a->sampler.min_p = (float)arg_float("--min-p", arg, 0, 1); break;
	case OPT_REPEAT: a->sampler.repeat_penalty = (float)arg_float("--repeat-penalty", arg, 0.01, 100); break;
	case OPT_REPEAT_N: a->sampler.repeat_last_n = (uint32_t)arg_int("--repeat-last-n", arg, 0, 1 << 20); break;
	case OPT_TOKENS: a->tokens = arg; break;
	case OPT_LOGITS: a->logits = arg; break;
	case OPT_JSON: a->json = true; break;
	case OPT_EXPLAIN: a->explain = true; break;
	case OPT_NO_DISPLAY: a->no_display = true; break;
	case OPT_IGNORE_EOS: a->ignore_eos = true; break;
	case OPT_NO_PIN: a->no_pin = true; break;
	case ARGP_KEY_ARG:
		if (a->model)
			argp_error(state, "more than one model: %s and %s", a->model, arg);
		a->model = arg;
		break;
	case ARGP_KEY_END:
		if (!a->model)
			argp_error(state, "which model? zen5-run MODEL.gguf");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

static volatile sig_atomic_t interrupted;

static void on_interrupt(int sig)
{
	/* a second Ctrl-C ends the process, should the first one not get through */
	if (interrupted)
		_exit(128 + sig);
	interrupted = 1;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- callbacks of the library ---- */

struct progress {
	bool terminal;
	bool shown;
	double start;
};

static int on_progress(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	struct progress *p = user;
	double s = now() - p->start;

	if (interrupted)
		return 1;
	if (stage != ZEN5RT_STAGE_LOAD || !p->terminal || s < 0.2)
		return 0;
	fprintf(stderr, "\rloading %3.0f %%  %.2f GiB/s ", 100.0 * (double)done / (double)total,
		(double)done / s / 1073741824.0);
	p->shown = true;
	return 0;
}

static void clear_progress(struct progress *p)
{
	if (p->shown)
		fputs("\r\033[K", stderr);
	p->shown = false;
}

static void on_log(void *user, enum zen5rt_log_level level, const char *line)
{
	struct progress *p = user;

	if (level > ZEN5RT_LOG_WARNING)
		return;
	clear_progress(p);
	fprintf(stderr, "zen5-run: %s\n", line);
}

/* ---- prompt ---- */

struct ids {
	int32_t *id;
	size_t n;
};

static struct ids parse_ids(const char *s)
{
	struct ids r = { malloc((strlen(s) / 2 + 1) * sizeof(int32_t)), 0 };

	if (!r.id)
		die("out of memory");
	while (*s) {
		char *end;
		long long v;

		errno = 0;
		v = strtoll(s, &end, 10);
		if (end == s || errno || v < 0 || v > INT32_MAX || (*end && (*end != ',' || !end[1])))
			die("--tokens: expected ids separated by commas, found \"%.20s\"", s);
		r.id[r.n++] = (int32_t)v;
		s = *end ? end + 1 : end;
	}
	if (!r.n)
		die("--tokens: no ids");
	return r;
}

static struct ids tokenize(const struct zen5rt_vocab *v, const char *text, size_t len)
{
	const unsigned int flags = ZEN5RT_TOKENIZE_BOS | ZEN5RT_TOKENIZE_SPECIAL;
	struct zen5rt_error err;
	struct ids r;
	int64_t n = zen5rt_tokenize(v, text, len, flags, NULL, 0, &err);

	if (n < 0)
		die("%s", err.message);
	r.n = (size_t)n;
	r.id = malloc((r.n + 1) * sizeof(*r.id));
	if (!r.id)
		die("out of memory");
	if (zen5rt_tokenize(v, text, len, flags, r.id, r.n, &err) < 0)
		die("%s", err.message);
	return r;
}

/* Text of the prompt, for the caller to free; NULL if it is given as ids. */
static char *prompt_text(const struct args *a, size_t *len)
{
	char *text;
	int fd;

	if (a->tokens)
		return NULL;
	if (a->prompt) {
		*len = strlen(a->prompt);
		text = strdup(a->prompt);
		if (!text)
			die("out of memory");
		return text;
	}
	if (!a->prompt_file || !strcmp(a->prompt_file, "-")) {
		if (!a->prompt_file && isatty(0))
			die("no prompt: give one with -p TEXT, -f FILE or on standard input");
		return read_all(0, "standard input", len);
	}
	fd = open(a->prompt_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", a->prompt_file, strerror(errno));
	text = read_all(fd, a->prompt_file, len);
	close(fd);
	return text;
}

/* ---- output ---- */

/* Opened before the prompt is evaluated, so that a path that cannot be written is said early; emptied when written. */
static int open_logits(const char *path, const char *model)
{
	struct stat a, b;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (!fstat(fd, &a) && !stat(model, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		die("%s: is the model itself, choose another file for --logits", path);
	return fd;
}

static void write_logits(int fd, const char *path, const float *logits, uint32_t n)
{
	struct stat st;
	int ret;

	if (!fstat(fd, &st) && S_ISREG(st.st_mode) && ftruncate(fd, 0))
		die("%s: %s", path, strerror(errno));
	ret = write_all(fd, (const char *)logits, n * sizeof(*logits));
	if (!ret && close(fd))
		ret = -errno;
	if (ret == -EINTR && interrupted)
		exit(130);
	if (ret)
		die("%s: %s", path, strerror(-ret));
}

/* Prints a piece at once, unless it is kept for JSON. What an interrupt cut off is not printed later. */
static void emit(FILE *keep, const char *text, size_t len)
{
	int ret;

	if (keep) {
		fwrite(text, 1, len, keep);
		return;
	}
	ret = write_all(1, text, len);
	if (ret && !(ret == -EINTR && interrupted))
		die("standard output: %s", strerror(-ret));
}

/* ---- the run ---- */

static struct zen5rt_sampler *make_sampler(const struct args *a, uint32_t n_vocab, uint64_t *seed)
{
	struct zen5rt_sampler_params p = a->sampler;
	struct zen5rt_sampler *smp;
	struct zen5rt_error err;

	p.seed = (uint64_t)a->seed;
	if (a->seed < 0) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		p.seed = ((uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec) >> 1 & 0xffffffff;
	}
	*seed = p.seed;
	if (zen5rt_sampler_new(&p, n_vocab, &smp, &err))
		die("%s", err.message);
	return smp;
}

/* Generates until something ends it; fills the run's ids, times and reason. */
static void generate(const struct args *a, struct zen5rt_session *s, struct zen5rt_sampler *smp,
		     const struct zen5rt_vocab *vocab, FILE *keep, struct run *r)
{
	struct zen5rt_detok *detok;
	struct zen5rt_error err;
	const char *text;
	double start = now();
	size_t len;
	int ret;

	if (zen5rt_detok_new(vocab, false, &detok, &err))
		die("%s", err.message);
	/* the prompt goes through the detokenizer, so that what follows is spaced as its continuation */
	for (size_t i = 0; i < r->n_prompt; i++) {
		text = zen5rt_detok_next(detok, r->ids[i], &len);
		if (!a->no_display && !a->json)
			emit(keep, text, len);
	}
	r->end = "length";
	for (;;) {
		int32_t id;

		if (a->n_predict >= 0 && r->n_out >= (size_t)a->n_predict)
			break;
		if (interrupted) {
			r->end = "interrupted";
			break;
		}
		id = zen5rt_sampler_pick(smp, zen5rt_logits(s));
		if (id < 0)
			die("%s: the logits are not numbers: the model's weights are damaged", a->model);
		if (r->n_out == 0)
			r->first_s = now() - r->prompt_start;
		if (zen5rt_vocab_is_eog(vocab, id) && !a->ignore_eos) {
			r->end = "eos";
			break;
		}
		zen5rt_sampler_accept(smp, id);
		r->ids[r->n_prompt + r->n_out++] = id;
		text = zen5rt_detok_next(detok, id, &len);
		emit(keep, text, len);
		if (zen5rt_session_pos(s) == zen5rt_session_n_ctx(s)) {
			r->end = "context full";
			break;
		}
		if (a->n_predict >= 0 && r->n_out >= (size_t)a->n_predict)
			break;
		ret = zen5rt_eval(s, &id, 1, &err);
		if (ret == -ECANCELED) {
			r->end = "interrupted";
			break;
		}
		if (ret)
			die("%s", err.message);
		r->n_eval++;
	}
	text = zen5rt_detok_end(detok, &len);
	emit(keep, text, len);
	r->decode_s = now() - start;
	zen5rt_detok_free(detok);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "MODEL", doc, NULL, NULL, NULL };
	struct args a = { .n_predict = -1, .ctx = -1, .seed = -1 };
	struct sigaction sa = { .sa_handler = on_interrupt }, old;
	struct progress progress = { .terminal = isatty(2) };
	struct zen5rt_params rp;
	struct zen5rt_session_params sp;
	struct zen5rt_error err;
	struct zen5rt *rt;
	struct zen5rt_model *model;
	struct zen5rt_session *s;
	struct zen5rt_sampler *smp;
	struct zen5rt_model_info info;
	struct ids prompt;
	struct run r = { 0 };
	size_t text_len = 0, kept_len = 0;
	char *text, *kept = NULL;
	FILE *keep = NULL;
	int ret, logits_fd = -1;

	zen5rt_sampler_params_init(&a.sampler);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	signal(SIGPIPE, SIG_IGN);

	zen5rt_params_init(&rp);
	rp.n_threads = (unsigned int)a.threads;
	rp.pin = !a.no_pin;
	rp.progress = on_progress;
	rp.log = on_log;
	rp.user = &progress;
	if (zen5rt_open(&rp, &rt, &err))
		die("%s", err.message);
	text = prompt_text(&a, &text_len);
	/* Until here Ctrl-C simply ends the process; and who started it with SIGINT ignored wants it left alone. */
	if (!sigaction(SIGINT, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &sa, NULL);
	progress.start = now();
	ret = zen5rt_model_load(rt, a.model, &model, &err);
	clear_progress(&progress);
	if (ret == -ECANCELED)
		return 130;
	if (ret)
		die("%s", err.message);
	zen5rt_model_info(model, &info);
	if (a.logits)
		logits_fd = open_logits(a.logits, a.model);

	zen5rt_session_params_init(&sp);
	sp.n_ubatch = (uint32_t)a.ubatch;
	sp.n_ctx = a.ctx < 0 ? 0 : a.ctx ? (uint32_t)a.ctx : info.n_ctx_train;
	prompt = a.tokens ? parse_ids(a.tokens) : tokenize(zen5rt_model_vocab(model), text, text_len);
	if (!prompt.n)
		die("the prompt is empty, and this model has no token to begin with: give one with -p");
	if (zen5rt_session_new(model, &sp, &s, &err))
		die("%s", err.message);
	if (prompt.n > zen5rt_session_n_ctx(s))
		die("the prompt has %zu tokens, the context %u: make it larger with -c", prompt.n,
		    zen5rt_session_n_ctx(s));

	r = (struct run){ .rt = rt, .model = model, .session = s, .n_prompt = prompt.n, .load_s = info.load_s };
	r.ids = realloc(prompt.id, (prompt.n + zen5rt_session_n_ctx(s) + 1) * sizeof(*r.ids));
	if (!r.ids)
		die("out of memory");
	smp = make_sampler(&a, info.n_vocab, &r.seed);
	for (size_t i = 0; i < prompt.n; i++)
		zen5rt_sampler_accept(smp, r.ids[i]);
	r.prompt_start = now();
	ret = zen5rt_eval(s, r.ids, r.n_prompt, &err);
	if (ret && ret != -ECANCELED)
		die("%s", err.message);
	r.prompt_s = now() - r.prompt_start;
	if (ret == -ECANCELED) {
		if (!a.json)
			return 130;
		r.end = "interrupted";
	}
	if (a.logits && !ret)
		write_logits(logits_fd, a.logits, zen5rt_logits(s), info.n_vocab);

	if (a.json) {
		keep = open_memstream(&kept, &kept_len);
		if (!keep)
			die("out of memory");
	}
	if (a.n_predict && !r.end)
		generate(&a, s, smp, zen5rt_model_vocab(model), keep, &r);
	if (keep)
		fclose(keep);
	if (a.explain && !zen5rt_read_bandwidth(rt, &r.bandwidth, NULL))
		r.have_bandwidth = true;
	if (a.json) {
		print_json(&r, kept, kept_len, a.explain);
	} else {
		if (a.n_predict) {
			putchar('\n');
			finish_stdout();
		}
		if (a.explain)
			explain(&r);
		if (a.n_predict || a.explain)
			summary(&r);
	}
	finish_stdout();
	ret = interrupted ? 130 : 0;

	free(kept);
	free(text);
	free(r.ids);
	zen5rt_sampler_free(smp);
	zen5rt_session_free(s);
	zen5rt_model_free(model);
	zen5rt_close(rt);
	return ret;
}
