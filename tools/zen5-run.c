// SPDX-License-Identifier: MIT
/* zen5-run: continues a text with a GGUF model, or converses with it. */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zen5rt.h>

#include "common.h"
#include "constrain.h"
#include "converse.h"
#include "explain.h"
#include "generate.h"
#include "options.h"
#include "prompt.h"
#include "repl.h"
#include "watch.h"

const char *argp_program_version = "zen5-run " Z5_VERSION;
const char *argp_program_bug_address = "the project's issues";

static bool starts_as_model(const char *path)
{
	char magic[4] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	bool is = fd >= 0 && read(fd, magic, 4) == 4 && !memcmp(magic, "GGUF", 4);

	if (fd >= 0)
		close(fd);
	return is;
}

/* Opened before the prompt is evaluated, so that a path that cannot be written is said early; emptied when written. */
static int open_logits(const char *path, const char *model)
{
	struct stat a, b;
	int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	if (!fstat(fd, &a) && !stat(model, &b) && a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		die("%s: is the model itself, choose another file for --logits", path);
	/* another part of it, or any model */
	if (!fstat(fd, &a) && S_ISREG(a.st_mode) && starts_as_model(path))
		die("%s: is a GGUF file, choose another one for --logits", path);
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

/* Loads the model; Ctrl-C ends the process, as before the handler was there. */
static struct zen5rt_model *load(const struct options *o, struct zen5rt *rt, struct watch *w)
{
	struct zen5rt_model_params mp;
	struct zen5rt_model *model;
	struct zen5rt_error err;
	int ret;

	zen5rt_model_params_init(&mp);
	mp.resident = o->resident;
	mp.ternary = o->ternary;
	w->start = now();
	ret = zen5rt_model_load_with(rt, o->model, &mp, &model, &err);
	watch_clear(w);
	if (ret == -ECANCELED)
		exit(130);
	if (ret)
		die("%s", err.message);
	return model;
}

static struct zen5rt_session *open_session(const struct options *o, struct zen5rt_model *model)
{
	struct zen5rt_session_params sp;
	struct zen5rt_model_info info;
	struct zen5rt_session *s;
	struct zen5rt_error err;

	zen5rt_model_info(model, &info);
	zen5rt_session_params_init(&sp);
	sp.n_ubatch = (uint32_t)o->ubatch;
	sp.kv_type = o->kv_type;
	sp.n_ctx = o->ctx < 0 ? 0 : o->ctx ? (uint32_t)o->ctx : info.n_ctx_train;
	if (zen5rt_session_new(model, &sp, &s, &err))
		die("%s", err.message);
	return s;
}

/* The sampler of a run, held to the grammar that the options ask for. */
static struct zen5rt_sampler *open_sampler(const struct options *o, struct run *r, struct constraint *c)
{
	struct zen5rt_sampler *smp;
	struct zen5rt_model_info info;

	zen5rt_model_info(r->model, &info);
	smp = make_sampler(o, info.n_vocab, &r->seed);
	constrain_open(c, o, zen5rt_model_vocab(r->model), smp);
	r->constraint = c;
	return smp;
}

/*
 * Takes the session up where another run has saved it, as far as the prompt is the same, and returns how much of it
 * need not be evaluated. A file that is something else ends the run: it will be written over.
 */
static size_t take_up(const char *path, struct run *r)
{
	int32_t *ids = malloc(zen5rt_session_n_ctx(r->session) * sizeof(*ids));
	size_t held, same = 0;
	struct zen5rt_error err;
	int ret;

	if (!ids)
		die("out of memory");
	ret = zen5rt_session_restore(r->session, path, ids, &err);
	if (ret && ret != -ENOENT)
		die("%s", err.message);
	held = zen5rt_session_pos(r->session);
	while (same < held && same < r->n_prompt && ids[same] == r->ids[same])
		same++;
	free(ids);
	/* the last token is evaluated for its logits, unless they were saved, too */
	if (same == r->n_prompt && (held > same || !zen5rt_logits(r->session)))
		same--;
	same = zen5rt_session_can_rewind(r->session, (uint32_t)same);
	zen5rt_session_rewind(r->session, (uint32_t)same);
	return same;
}

/* Dies where no file can be made, before the prompt is evaluated in vain. */
static void check_directory(const char *path)
{
	char *copy = strdup(path);

	if (!copy)
		die("out of memory");
	if (access(dirname(copy), W_OK | X_OK))
		die("%s: its directory takes no new file: %s", path, strerror(errno));
	free(copy);
}

/* Evaluates the prompt of r; -ECANCELED by Ctrl-C. */
static int evaluate(const struct options *o, struct zen5rt_sampler *smp, struct run *r)
{
	struct zen5rt_error err;
	int ret = 0;

	for (size_t i = 0; i < r->n_prompt; i++)
		zen5rt_sampler_accept(smp, r->ids[i]);
	r->prompt_start = now();
	if (o->prompt_cache)
		r->n_kept = take_up(o->prompt_cache, r);
	if (o->prompt_cache && r->n_kept < r->n_prompt)
		check_directory(o->prompt_cache);
	if (r->n_kept < r->n_prompt)
		ret = zen5rt_eval(r->session, r->ids + r->n_kept, r->n_prompt - r->n_kept, &err);
	if (ret && ret != -ECANCELED)
		die("%s", err.message);
	r->prompt_s = now() - r->prompt_start;
	if (o->prompt_cache && !ret && r->n_kept < r->n_prompt &&
	    zen5rt_session_save(r->session, o->prompt_cache, r->ids, &err))
		die("%s", err.message);
	if (ret)
		r->end = "interrupted";
	return ret;
}

static void measure_bandwidth(struct run *r)
{
	r->have_bandwidth = !zen5rt_read_bandwidth(r->rt, &r->bandwidth, NULL);
}

/* What the run tells when it is over. */
static void report(const struct options *o, struct run *r, const char *kept, size_t kept_len)
{
	if (o->explain)
		measure_bandwidth(r);
	if (o->json) {
		print_json(r, kept, kept_len, o->explain);
	} else {
		if (o->n_predict) {
			putchar('\n');
			finish_stdout();
		}
		if (o->explain)
			explain(r);
		if (!strcmp(r->end ? r->end : "", "context full"))
			fprintf(stderr, "zen5-run: the context of %u positions is full: a larger one is had with -c\n",
				zen5rt_session_n_ctx(r->session));
		if (o->n_predict || o->explain)
			summary(r);
	}
	finish_stdout();
}

/* Text that is kept for JSON instead of being printed. */
struct kept {
	char *text;
	size_t len;
	FILE *file;		/* NULL: it is printed */
};

static void keep(struct kept *k, bool json)
{
	*k = (struct kept){ 0 };
	if (!json)
		return;
	k->file = open_memstream(&k->text, &k->len);
	if (!k->file)
		die("out of memory");
}

/* Prompt and continuation. */
static void continuation(const struct options *o, struct zen5rt_sampler *smp, FILE *file, struct run *r)
{
	struct answer answer;
	struct generation g = { .o = o, .sampler = smp, .answer = &answer, .end = -1 };
	struct zen5rt_error err;

	if (answer_begin(&answer, zen5rt_model_vocab(r->model), o->stops, o->n_stops, false, emit, file, &err))
		die("%s", err.message);
	for (size_t i = 0; i < r->n_prompt; i++) {
		size_t len;
		const char *text = answer_prompt(&answer, r->ids[i], &len);

		if (!o->no_display && !o->json)
			emit(NULL, text, len);
	}
	generate(&g, r);
	answer_end(&answer);
	answer_free(&answer);
}

/* Continues a prompt; returns the exit status. */
static int continue_text(const struct options *o, struct run *r, struct ids prompt, int logits_fd)
{
	uint32_t n_ctx = zen5rt_session_n_ctx(r->session);
	struct zen5rt_sampler *smp;
	struct constraint constraint;
	struct zen5rt_model_info info;
	struct kept kept;
	int ret;

	zen5rt_model_info(r->model, &info);
	if (prompt.n > n_ctx)
		die("the prompt has %zu tokens, the context %u: make it larger with -c", prompt.n, n_ctx);
	r->n_prompt = prompt.n;
	r->ids = realloc(prompt.id, (prompt.n + n_ctx + 1) * sizeof(*r->ids));
	if (!r->ids)
		die("out of memory");
	smp = open_sampler(o, r, &constraint);
	ret = evaluate(o, smp, r);
	if (ret && !o->json) {
		r->constraint = NULL;
		return 130;
	}
	if (o->logits && !ret)
		write_logits(logits_fd, o->logits, zen5rt_logits(r->session), info.n_vocab);
	keep(&kept, o->json);
	if (o->n_predict && !ret)
		continuation(o, smp, kept.file, r);
	if (kept.file)
		fclose(kept.file);
	report(o, r, kept.text, kept.len);
	free(kept.text);
	free(r->ids);
	zen5rt_sampler_free(smp);
	constrain_close(&constraint);
	r->constraint = NULL;
	return interrupted ? 130 : 0;
}

/* ---- chat ---- */

static void note(const char *line)
{
	fprintf(stderr, "zen5-run: %s\n", line);
}

/* The template that is asked for, else the model's own; dies with the list of names if that is unknown. */
static const struct chat_template *choose_template(const struct options *o, const struct zen5rt_vocab *vocab)
{
	const char *jinja = zen5rt_vocab_chat_template(vocab);
	const struct chat_template *t = o->chat_template;
	char names[512];

	if (!t)
		t = jinja ? chat_by_jinja(jinja) : o->chat == CHAT_ON ? chat_by_tokens(vocab) : NULL;
	if (t)
		return t;
	if (!jinja && o->chat == CHAT_AUTO)
		die("no prompt: give one with -p TEXT, -f FILE or on standard input; to converse, the model lacks a chat template: choose one with --chat-template");
	die("the model's chat template %s: choose one with --chat-template NAME (%s), or continue text with --no-chat and -p",
	    jinja ? "is none that is known here" : "is missing", chat_names(names, sizeof(names)));
}

/* One turn if there is a text, else as many as standard input has; returns the exit status. */
static int converse(const struct options *o, struct run *r, const char *text, size_t len)
{
	const struct chat_template *t = choose_template(o, zen5rt_model_vocab(r->model));
	struct zen5rt_sampler *smp;
	struct constraint constraint;
	struct zen5rt_error err;
	struct converse c;
	struct kept kept;
	int ret;

	smp = open_sampler(o, r, &constraint);
	if (constraint.matcher && t->flags & CHAT_HARMONY)
		die("this model answers in channels, which no grammar here knows of: use --no-chat with it");
	keep(&kept, o->json);
	converse_init(&c, o, t, smp, r, emit, kept.file, note);
	if (text) {
		ret = converse_say(&c, text, len, &err);
		if (ret == -ENOSPC)
			die("%s", err.message);
		if (kept.file)
			fclose(kept.file);
		if (!ret || o->json)
			report(o, r, kept.text, kept.len);
		ret = interrupted ? 130 : 0;
	} else {
		ret = repl(&c);
		if (o->explain) {
			measure_bandwidth(r);
			explain(r);
		}
	}
	free(kept.text);
	converse_free(&c);
	zen5rt_sampler_free(smp);
	constrain_close(&constraint);
	r->constraint = NULL;
	return ret;
}

/* A conversation where one is asked for; else where a person is at the terminal and there is nothing to continue. */
static bool wants_chat(const struct options *o)
{
	if (o->chat != CHAT_AUTO)
		return o->chat == CHAT_ON;
	return isatty(0) && !o->prompt && !o->prompt_file && !o->tokens && !o->logits && !o->json &&
	       !o->prompt_cache;
}

int main(int argc, char **argv)
{
	struct options o;
	struct watch watch;
	struct zen5rt_params rp;
	struct zen5rt_model_info info;
	struct zen5rt_error err;
	struct run r = { 0 };
	struct ids prompt = { 0 };
	size_t text_len = 0;
	char *text = NULL;
	int ret, logits_fd = -1;
	bool chat;

	parse_options(argc, argv, &o);
	if (o.require_zen5)
		require_zen5(NULL);
	signal(SIGPIPE, SIG_IGN);

	zen5rt_params_init(&rp);
	rp.n_threads = (unsigned int)o.threads;
	rp.pin = !o.no_pin;
	rp.throttle = o.throttle;
	rp.bandwidth_budget = o.bandwidth_budget;
	rp.cap_others = o.cap_others;
	watch_params(&watch, &rp);
	if (zen5rt_open(&rp, &r.rt, &err))
		die("%s", err.message);
	chat = wants_chat(&o);
	if (!chat || o.prompt || o.prompt_file)
		text = prompt_text(&o, &text_len);
	/* until here Ctrl-C simply ends the process */
	watch_interrupts();
	r.model = load(&o, r.rt, &watch);
	zen5rt_model_info(r.model, &info);
	r.load_s = info.load_s;
	if (o.logits)
		logits_fd = open_logits(o.logits, o.model);
	if (!chat)
		prompt = o.tokens ? parse_ids(o.tokens) : prompt_ids(zen5rt_model_vocab(r.model), text, text_len);
	if (!chat && !prompt.n)
		die("the prompt is empty, and this model has no token to begin with: give one with -p");
	r.session = open_session(&o, r.model);
	ret = chat ? converse(&o, &r, text, text_len) : continue_text(&o, &r, prompt, logits_fd);

	free(text);
	free(o.stops);
	zen5rt_session_free(r.session);
	zen5rt_model_free(r.model);
	zen5rt_close(r.rt);
	return ret;
}
