// SPDX-License-Identifier: MIT
/*
 * Memory runs out at every point: each allocation of each call below is refused in turn, alone and with all that
 * follow. The call says so or does without, holds nothing afterwards, and works the next time with the same result.
 */
#include "alloc_inject.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

#include "error.h"
#include "vocab_small.h"

#define DATA "tests/golden/data/small-"
#define TEXT "The old owl sat in the tree, 12 times, <s> and th the ab."

static struct zen5rt *rt;

/* What a call is given, what it made, and a sum over what it answered. */
struct call {
	const char *path;
	struct zen5rt_model *model;		/* these are the setup's and stay */
	struct zen5rt_session *session;
	const struct zen5rt_vocab *vocab;
	struct zen5rt_grammar *grammar;
	const char *text;
	uint64_t sum;
};

/* Makes something, uses it, gives it back; on failure there is nothing to give back. */
typedef int (*call_fn)(struct call *c, struct zen5rt_error *err);

static uint64_t sum_bytes(uint64_t sum, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ b[i]) * 0x100000001b3;
	return sum;
}

static int count_fds(void)
{
	DIR *d = opendir("/proc/self/fd");
	int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

struct held {
	long live, mapped;
	int fds;
};

static struct held held(void)
{
	/* counting opens a directory */
	const int fds = count_fds();

	/* a sanitizer brings some functions that allocate past us, and tells of leaks itself */
#ifdef __SANITIZE_ADDRESS__
	return (struct held){ .fds = fds };
#endif
	return (struct held){ alloc_live, alloc_mapped, fds };
}

/* One call with its at'th allocation refused. Returns false where there was none. */
static bool refuse_one(const char *name, call_fn fn, struct call *c, long at, int rest, int *bad, int *without)
{
	const struct held before = held();
	const uint64_t want = c->sum;
	struct zen5rt_error err = { "" };
	struct held after;
	long refused;
	int ret;

	c->sum = 0;
	alloc_arm(at, rest);
	ret = fn(c, &err);
	refused = alloc_disarm();
	after = held();
	if (refused && !ret)
		++*without;
	if ((ret && !refused) || (ret && ret != -ENOMEM && ret != -EAGAIN) || (ret && !*err.message) ||
	    (!ret && c->sum != want)) {
		++*bad;
		diag("%s: allocation %ld%s refused: returns %d, \"%s\"%s", name, at, rest ? " and all later ones" : "", ret,
		     err.message, !ret ? ", another result" : "");
	}
	if (after.live != before.live || after.mapped != before.mapped || after.fds != before.fds) {
		++*bad;
		diag("%s: allocation %ld%s refused (\"%s\"): %ld blocks, %ld mapped bytes, %d descriptors are left over", name, at,
		     rest ? " and all later ones" : "", err.message, after.live - before.live, after.mapped - before.mapped,
		     after.fds - before.fds);
	}
	c->sum = want;
	return refused;
}

/* All of them. least is how many allocations the call is known to have at least. */
static void refuse_all(const char *name, call_fn fn, struct call *c, long least)
{
	struct zen5rt_error err = { "" };
	int bad = 0, without = 0;
	uint64_t want;
	long n = 0;

	/* what libraries keep for ever is there after the first time */
	for (int i = 0; i < 2; i++) {
		c->sum = 0;
		if (fn(c, &err)) {
			ok(false, "%s: %s", name, err.message);
			return;
		}
	}
	want = c->sum;
	for (int rest = 0; rest < 2; rest++) {
		for (n = 1; bad < 5 && refuse_one(name, fn, c, n, rest, &bad, &without); n++) {
			/* and with memory it works again */
			c->sum = 0;
			if (fn(c, &err) || c->sum != want) {
				bad++;
				diag("%s: does not work after allocation %ld was refused: %s", name, n, err.message);
			}
			c->sum = want;
		}
	}
	ok(!bad && n - 1 >= least, "%s: %ld allocations refused in turn, %d times it did without", name, n - 1, without);
}

/* ---- the calls ---- */

static int call_open(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_params p;
	struct zen5rt *r;
	int ret;

	zen5rt_params_init(&p);
	p.n_threads = 2;
	ret = zen5rt_open(&p, &r, err);
	if (ret)
		return ret;
	c->sum = zen5rt_n_threads(r);
	zen5rt_close(r);
	return 0;
}

static int call_load(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_model_info info;
	struct zen5rt_model *m;
	int ret = zen5rt_model_load(rt, c->path, &m, err);

	if (ret)
		return ret;
	zen5rt_model_info(m, &info);
	c->sum = info.weight_bytes;
	zen5rt_model_free(m);
	return 0;
}

static int call_plan(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_model_plan plan;
	int ret = zen5rt_model_plan(c->path, 0, &plan, err);

	if (!ret)
		c->sum = plan.weight_bytes + plan.kv_bytes + plan.state_bytes;
	return ret;
}

static int call_session(struct call *c, struct zen5rt_error *err)
{
	static const int32_t ids[] = { 1, 9, 17, 5, 20 };
	struct zen5rt_session_params p;
	struct zen5rt_session *s;
	int ret;

	zen5rt_session_params_init(&p);
	p.n_ctx = 16;
	p.n_ubatch = 4;
	ret = zen5rt_session_new(c->model, &p, &s, err);
	if (ret)
		return ret;
	ret = zen5rt_eval(s, ids, 5, err);
	if (!ret)
		c->sum = sum_bytes(0, zen5rt_logits(s), 4 * zen5rt_vocab_size(c->vocab));
	zen5rt_session_free(s);
	return ret;
}

static int call_tokens(struct call *c, struct zen5rt_error *err)
{
	static const int32_t ids[] = { 1, 9, 17, 5, 20 };
	int ret;

	zen5rt_session_rewind(c->session, 0);
	ret = zen5rt_eval(c->session, ids, 4, err);
	if (!ret)
		ret = zen5rt_eval(c->session, ids + 4, 1, err);
	if (!ret)
		c->sum = sum_bytes(0, zen5rt_logits(c->session), 4 * zen5rt_vocab_size(c->vocab));
	return ret;
}

static char out_path[64];

/* The session in a file and back. */
static int call_saved(struct call *c, struct zen5rt_error *err)
{
	static const int32_t ids[] = { 1, 9, 17, 5, 20 };
	int32_t back[16];
	int ret = zen5rt_session_save(c->session, out_path, ids, err);

	if (ret && !access(out_path, F_OK)) {
		z5_fail(err, -EEXIST, "the file is there although saving failed");
		return -EEXIST;
	}
	if (!ret)
		ret = zen5rt_session_restore(c->session, out_path, back, err);
	if (!ret)
		c->sum = sum_bytes(sum_bytes(0, back, sizeof(ids)), zen5rt_logits(c->session),
				   4 * zen5rt_vocab_size(c->vocab));
	unlink(out_path);
	return ret;
}

static int call_text(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_detok *d;
	int32_t ids[256];
	int64_t n = zen5rt_tokenize(c->vocab, TEXT, strlen(TEXT), 3, ids, 256, err);
	int ret;
	size_t len;

	if (n < 0)
		return (int)n;
	ret = zen5rt_detok_new(c->vocab, true, &d, err);
	if (ret)
		return ret;
	for (int64_t i = 0; i < n; i++) {
		const char *p = zen5rt_detok_next(d, ids[i], &len);

		c->sum = sum_bytes(c->sum, p, len);
	}
	zen5rt_detok_free(d);
	return 0;
}

static int call_vocab(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_vocab *v;
	int64_t n;
	int ret = zen5rt_vocab_load(c->path, &v, err);

	if (ret)
		return ret;
	n = zen5rt_tokenize(v, "the tree", 8, 0, NULL, 0, err);
	c->sum = zen5rt_vocab_size(v) * 1000 + (uint64_t)n;
	zen5rt_vocab_free(v);
	return n < 0 ? (int)n : 0;
}

static int call_written(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_vocab *v;
	int ret = end(&v, err);

	if (ret)
		return ret;
	c->sum = zen5rt_vocab_size(v);
	zen5rt_vocab_free(v);
	return 0;
}

static int call_grammar(struct call *c, struct zen5rt_error *err)
{
	struct zen5rt_grammar *g;
	int ret = zen5rt_grammar_new(c->vocab, c->text, strlen(c->text), NULL, &g, err);

	if (ret)
		return ret;
	c->sum = 1;
	zen5rt_grammar_free(g);
	return 0;
}

static int call_schema(struct call *c, struct zen5rt_error *err)
{
	char *gbnf;
	int ret = zen5rt_grammar_from_schema(c->text, strlen(c->text), &gbnf, err);

	if (ret)
		return ret;
	c->sum = sum_bytes(0, gbnf, strlen(gbnf));
	free(gbnf);
	return 0;
}

/* A choice under a grammar that nobody has followed yet. */
static int call_pick(struct call *c, struct zen5rt_error *err)
{
	const uint32_t n = zen5rt_vocab_size(c->vocab);
	struct zen5rt_sampler_params p;
	struct zen5rt_sampler *s = NULL;
	struct zen5rt_matcher *m = NULL;
	struct zen5rt_grammar *g = NULL;
	float logits[512];
	int64_t allowed;
	int ret;

	for (uint32_t i = 0; i < n; i++)
		logits[i] = (float)(i * 37 % 101);
	zen5rt_sampler_params_init(&p);
	p.repeat_penalty = 1.1f;
	if ((ret = zen5rt_grammar_new(c->vocab, c->text, strlen(c->text), NULL, &g, err)) ||
	    (ret = zen5rt_matcher_new(g, &m, err)) ||
	    (ret = zen5rt_sampler_new(&p, n, &s, err)) ||
	    (ret = zen5rt_sampler_set_matcher(s, m, err)))
		goto out;
	for (int i = 0; i < 4; i++) {
		int32_t id = zen5rt_sampler_pick(s, logits);

		if (id < 0) {
			allowed = zen5rt_matcher_mask(m, NULL, 0, err);
			ret = allowed < 0 ? (int)allowed : id;
			if (allowed >= 0)
				z5_fail(err, id, "the mask is there when asked for again");
			goto out;
		}
		zen5rt_sampler_accept(s, id);
		ret = zen5rt_matcher_accept(m, id, err);
		if (ret)
			goto out;
		c->sum = c->sum * 1000 + (uint64_t)id;
	}
out:
	zen5rt_sampler_free(s);
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
	return ret;
}

static int call_quantize(struct call *c, struct zen5rt_error *err)
{
	static const struct zen5rt_quantize_override over[] = { { "ffn_(up|down)", "Q8_0" } };
	struct zen5rt_quantize_params p;
	struct zen5rt_quantize_info info;
	int ret;

	zen5rt_quantize_params_init(&p);
	p.type = "Q4_0";
	p.overrides = over;
	p.n_overrides = 1;
	ret = zen5rt_quantize(rt, c->path, out_path, &p, &info, err);
	/* nothing stays behind when it fails: checked by rmdir at the end, and here by the name */
	if (ret && !access(out_path, F_OK)) {
		z5_fail(err, -EEXIST, "the output is there although it failed");
		return -EEXIST;
	}
	if (!ret) {
		c->sum = info.bytes_to;
		unlink(out_path);
	}
	return ret;
}

/* ---- */

static void test_model(const char *name)
{
	char path[128], what[160];
	struct zen5rt_session_params p;
	struct zen5rt_error err = { "" };
	struct call c = { .path = path };

	snprintf(path, sizeof(path), DATA "%s.gguf", name);
	snprintf(what, sizeof(what), "load %s", name);
	refuse_all(what, call_load, &c, 20);
	snprintf(what, sizeof(what), "plan %s", name);
	refuse_all(what, call_plan, &c, 5);
	if (!ok(!zen5rt_model_load(rt, path, &c.model, &err), "%s loads: %s", name, err.message))
		return;
	c.vocab = zen5rt_model_vocab(c.model);
	snprintf(what, sizeof(what), "a session and a prefill of %s", name);
	refuse_all(what, call_session, &c, 3);
	zen5rt_session_params_init(&p);
	p.n_ctx = 16;
	zen5rt_session_new(c.model, &p, &c.session, &err);
	snprintf(what, sizeof(what), "tokens of %s", name);
	refuse_all(what, call_tokens, &c, 0);
	snprintf(what, sizeof(what), "a session of %s in a file", name);
	refuse_all(what, call_saved, &c, 1);
	snprintf(what, sizeof(what), "text and ids of %s", name);
	refuse_all(what, call_text, &c, 1);
	snprintf(what, sizeof(what), "vocabulary of %s", name);
	refuse_all(what, call_vocab, &c, 10);
	zen5rt_session_free(c.session);
	zen5rt_model_free(c.model);
}

static void test_vocabs(void)
{
	for (unsigned int kind = 0; kind < N_KINDS; kind++) {
		struct call c = { 0 };
		struct zen5rt_vocab *v;
		char what[64];

		small_write(kind);
		snprintf(what, sizeof(what), "vocabulary of kind %u", kind);
		refuse_all(what, call_written, &c, 5);
		v = must();
		c.vocab = v;
		snprintf(what, sizeof(what), "text and ids of kind %u", kind);
		refuse_all(what, call_text, &c, 1);
		zen5rt_vocab_free(v);
	}
}

static void test_grammar(void)
{
	struct call c = {
		.text = "root ::= item+ (\",\" item){0,4} | [a-z]{3} \"x\"\nitem ::= \"th\" \"e\"? | [^0-9] | number\n"
			"number ::= [0-9]+ (\".\" [0-9]+)?\n",
	};
	struct zen5rt_vocab *v;

	small_write(0);
	v = must();
	refuse_all("a grammar for text", call_grammar, &c, 5);
	c.vocab = v;
	refuse_all("a grammar for a vocabulary", call_grammar, &c, 5);
	refuse_all("choices under a grammar", call_pick, &c, 10);
	zen5rt_vocab_free(v);
	c.text = "{ \"type\": \"object\", \"properties\": { \"a\": { \"type\": \"integer\", \"minimum\": -3, \"maximum\": 1234 },"
		 " \"b\": { \"enum\": [ \"x\", null, 1.5 ] }, \"c\": { \"$ref\": \"#/$defs/c\" },"
		 " \"d\": { \"type\": \"string\", \"pattern\": \"^[a-f0-9]{2,8}$\" }, \"e\": { \"type\": \"string\","
		 " \"format\": \"date\" } }, \"required\": [ \"a\" ], \"additionalProperties\": false,"
		 " \"$defs\": { \"c\": { \"type\": \"array\", \"items\": { \"type\": \"boolean\" }, \"maxItems\": 3 } } }";
	refuse_all("a JSON schema", call_schema, &c, 20);
}

int main(void)
{
	static const char *const models[] = { "llama-Q4_0", "mixtral-Q8_0", "deepseek2-Q4_0", "phi3-long", "qwen3-F16",
					      "mamba2", "rwkv7", "granitehybrid-moe" };
	char dir[] = "/tmp/alloc-XXXXXX";
	struct call c = { .path = DATA "llama-headdim.gguf" };
	struct zen5rt_params p;
	struct zen5rt_error err;

	refuse_all("open", call_open, &c, 5);
	zen5rt_params_init(&p);
	p.n_threads = 2;
	if (!mkdtemp(dir) || !ok(!zen5rt_open(&p, &rt, &err), "two threads"))
		return done();
	snprintf(out_path, sizeof(out_path), "%s/out.gguf", dir);
	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++)
		test_model(models[i]);
	test_vocabs();
	test_grammar();
	refuse_all("quantize", call_quantize, &c, 10);
	ok(!rmdir(dir), "no file is left in the directory of the output");
	zen5rt_close(rt);
	ok(alloc_count > 1000, "%ld allocations in all", (long)alloc_count);
	return done();
}
