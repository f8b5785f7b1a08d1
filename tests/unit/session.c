// SPDX-License-Identifier: MIT
/*
 * The library as a program meets it: errors leave handles as they were, rewinding is exact, a token allocates
 * nothing.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

#include "../tap.h"

#define MODEL "tests/models/zen5-tiny.gguf"

/* Sanitizers bring their own malloc. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define COUNTING 0
#else
#define COUNTING 1
#endif

static _Atomic long allocations;

#if COUNTING
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t m);
extern void *__libc_realloc(void *p, size_t n);
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void *realloc(void *p, size_t n);

void *malloc(size_t n)
{
	allocations++;
	return __libc_malloc(n);
}

void *calloc(size_t n, size_t m)
{
	allocations++;
	return __libc_calloc(n, m);
}

void *realloc(void *p, size_t n)
{
	allocations++;
	return __libc_realloc(p, n);
}
#endif

struct progress {
	unsigned int loads, chunks;
	unsigned int cancel_at;		/* number of the chunk to cancel, 0: none */
	bool cancel_load;
	struct zen5rt_session *intruder;	/* evaluates from inside the callback */
	int intruder_ret;
	uint64_t done, total;
};

static int on_progress(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	struct progress *p = user;

	if (stage == ZEN5RT_STAGE_LOAD) {
		p->loads++;
		p->done = done;
		p->total = total;
		return p->cancel_load;
	}
	if (p->intruder) {
		int32_t id = 1;

		p->intruder_ret = zen5rt_eval(p->intruder, &id, 1, NULL);
		p->intruder = NULL;
	}
	return p->cancel_at && ++p->chunks == p->cancel_at;
}

static float *copy_logits(const struct zen5rt_session *s, size_t n)
{
	float *p = malloc(n * sizeof(*p));

	memcpy(p, zen5rt_logits(s), n * sizeof(*p));
	return p;
}

static void test_open(void)
{
	struct zen5rt_params p;
	struct zen5rt_error err = { "" };
	struct zen5rt *rt;

	zen5rt_params_init(&p);
	p.level = "neon";
	ok(zen5rt_open(&p, &rt, &err) == -EINVAL && strstr(err.message, "neon"), "an unknown level: %s", err.message);
	p.level = NULL;
	p.n_threads = 100000;
	ok(zen5rt_open(&p, &rt, &err) == -EINVAL && strstr(err.message, "1024"), "too many threads: %s", err.message);
	p.n_threads = 0;
	p.size = sizeof(p) + 8;
	ok(zen5rt_open(&p, &rt, &err) == -EINVAL, "a structure of a later version: %s", err.message);
	ok(zen5rt_open(&p, &rt, NULL) == -EINVAL, "the error may be NULL");
	ok(!zen5rt_open(NULL, &rt, &err) && zen5rt_n_threads(rt) >= 1, "all defaults");
	zen5rt_close(rt);
	zen5rt_close(NULL);
	zen5rt_model_free(NULL);
	zen5rt_session_free(NULL);
}

static void test_load(struct zen5rt *rt, struct progress *pr)
{
	struct zen5rt_error err = { "" };
	struct zen5rt_model *m = NULL;

	ok(zen5rt_model_load(rt, "/nonexistent", &m, &err) == -ENOENT && strstr(err.message, "/nonexistent"),
	   "no such file: %s", err.message);
	pr->cancel_load = true;
	ok(zen5rt_model_load(rt, MODEL, &m, &err) == -ECANCELED, "loading is cancelled by the callback: %s",
	   err.message);
	pr->cancel_load = false;
	ok(!m, "nothing is returned on failure");
}

static void test_eval(struct zen5rt_model *m, struct progress *pr)
{
	struct zen5rt_session_params sp;
	struct zen5rt_model_info info;
	struct zen5rt_error err = { "" };
	struct zen5rt_session *s;
	int32_t ids[64], bad[3] = { 1, 2, -1 };
	float *at20, *at40;
	long before;

	zen5rt_model_info(m, &info);
	for (int i = 0; i < 64; i++)
		ids[i] = 3 + (i * 37) % 250;
	zen5rt_session_params_init(&sp);
	sp.n_ctx = 50;
	sp.n_ubatch = 8;
	ok(!zen5rt_session_new(m, &sp, &s, &err), "a session of 50 positions");
	ok(!zen5rt_logits(s) && !zen5rt_session_pos(s), "is empty");
	ok(zen5rt_eval(s, ids, 0, &err) == -EINVAL, "no tokens: %s", err.message);
	ok(zen5rt_eval(s, bad, 3, &err) == -EINVAL && strstr(err.message, "-1"), "a negative token: %s", err.message);
	bad[2] = (int32_t)info.n_vocab;
	ok(zen5rt_eval(s, bad, 3, &err) == -EINVAL, "one past the vocabulary: %s", err.message);
	ok(zen5rt_eval(s, ids, 51, &err) == -ENOSPC, "more than the context: %s", err.message);
	ok(!zen5rt_logits(s) && !zen5rt_session_pos(s), "errors leave it as it was");

	ok(!zen5rt_eval(s, ids, 20, &err) && zen5rt_session_pos(s) == 20, "20 tokens");
	at20 = copy_logits(s, info.n_vocab);
	ok(!zen5rt_eval(s, ids + 20, 20, &err), "20 more");
	at40 = copy_logits(s, info.n_vocab);
	ok(memcmp(at20, at40, info.n_vocab * sizeof(float)) != 0, "give other logits");

	/* other tokens over the old ones, then back: the cache holds what the last eval wrote */
	ok(!zen5rt_session_rewind(s, 20), "rewind");
	ok(!zen5rt_eval(s, ids + 3, 20, &err), "another continuation");
	ok(memcmp(zen5rt_logits(s), at40, info.n_vocab * sizeof(float)) != 0, "differs");
	zen5rt_session_rewind(s, 20);
	for (int i = 20; i < 40; i++)
		zen5rt_eval(s, ids + i, 1, &err);
	ok(!memcmp(zen5rt_logits(s), at40, info.n_vocab * sizeof(float)), "rewound and token by token: the same bytes");
	ok(zen5rt_session_rewind(s, 41) == -EINVAL, "no rewinding forward");

	zen5rt_session_rewind(s, 0);
	pr->chunks = 0;
	pr->cancel_at = 3;
	ok(zen5rt_eval(s, ids, 40, &err) == -ECANCELED && zen5rt_session_pos(s) == 0,
	   "prefill is cancelled at a chunk: %s", err.message);
	pr->cancel_at = 0;
	ok(!zen5rt_eval(s, ids, 20, &err) && !memcmp(zen5rt_logits(s), at20, info.n_vocab * sizeof(float)),
	   "and runs again as if nothing had been");

	/* with one chunk only, the callback is asked between its layers */
	zen5rt_session_rewind(s, 0);
	pr->chunks = 0;
	pr->cancel_at = 2;
	ok(zen5rt_eval(s, ids, 8, &err) == -ECANCELED && zen5rt_session_pos(s) == 0, "and inside a chunk");
	pr->cancel_at = 0;
	zen5rt_eval(s, ids, 20, &err);
	ok(!memcmp(zen5rt_logits(s), at20, info.n_vocab * sizeof(float)), "without a trace");

	before = allocations;
	for (int i = 20; i < 50; i++)
		zen5rt_eval(s, ids + i % 40, 1, &err);
	if (COUNTING)
		ok(allocations == before && before > 0, "30 tokens allocate nothing");
	ok(zen5rt_eval(s, ids, 1, &err) == -ENOSPC, "the context is full: %s", err.message);
	zen5rt_session_free(s);
	free(at20);
	free(at40);
}

/* 41 tokens in chunks of 1, 7 and 41 (more than one slab of rows) against one by one. */
static void test_all(struct zen5rt_model *m)
{
	static const uint32_t chunks[] = { 1, 7, 41 };
	struct zen5rt_session_params sp;
	struct zen5rt_model_info info;
	struct zen5rt_session *s;
	int32_t ids[41];
	float *one, *all;
	size_t row;

	zen5rt_model_info(m, &info);
	row = info.n_vocab;
	one = calloc(41 * row, sizeof(*one));
	zen5rt_session_params_init(&sp);
	sp.n_ctx = 41;
	zen5rt_session_new(m, &sp, &s, NULL);
	for (int i = 0; i < 41; i++) {
		ids[i] = 3 + (i * 41) % 250;
		zen5rt_eval(s, ids + i, 1, NULL);
		memcpy(one + i * row, zen5rt_logits(s), row * sizeof(*one));
	}
	zen5rt_session_free(s);
	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		/* its own block, so that a sanitizer sees a write past the last row */
		all = malloc(41 * row * sizeof(*all));
		sp.n_ubatch = chunks[i];
		zen5rt_session_new(m, &sp, &s, NULL);
		ok(!zen5rt_eval_all(s, ids, 41, all, NULL) && !memcmp(one, all, 41 * row * sizeof(*one)),
		   "logits of every token, chunks of %u: the same bytes as one by one", chunks[i]);
		ok(zen5rt_session_pos(s) == 41 && !memcmp(zen5rt_logits(s), one + 40 * row, row * sizeof(*one)),
		   "and the last of them are those of the session");
		zen5rt_session_free(s);
		free(all);
	}
	free(one);
}

/* Every type of KV cache: its size, one answer of its own, and what has no such field or an unknown name in it. */
static void test_kv_types(struct zen5rt_model *m)
{
	struct zen5rt_region_info kv, f32 = { 0 };
	struct zen5rt_session_params sp;
	struct zen5rt_model_info info;
	struct zen5rt_session *s = NULL;
	struct zen5rt_error err = { "" };
	float *logits[8] = { NULL };
	unsigned int n = 0;
	int32_t ids[70];

	zen5rt_model_info(m, &info);
	for (int i = 0; i < 70; i++)
		ids[i] = 3 + (i * 37) % 250;
	zen5rt_session_params_init(&sp);
	sp.n_ctx = 100;
	for (; zen5rt_kv_type(n); n++) {
		sp.kv_type = zen5rt_kv_type(n);
		if (!ok(!zen5rt_session_new(m, &sp, &s, &err), "KV cache in %s %s", sp.kv_type, err.message))
			return;
		ok(!strcmp(zen5rt_session_kv_type(s), sp.kv_type), "the session says so");
		zen5rt_session_region(s, 0, &kv);
		f32 = n ? f32 : kv;
		ok(n ? kv.asked < f32.asked && kv.asked * 4 > f32.asked : !strcmp(sp.kv_type, "f32"), "%llu bytes",
		   (unsigned long long)kv.asked);
		zen5rt_eval(s, ids, 70, &err);
		logits[n] = copy_logits(s, info.n_vocab);
		zen5rt_session_rewind(s, 0);
		for (int i = 0; i < 70; i++)
			zen5rt_eval(s, ids + i, 1, &err);
		ok(!memcmp(zen5rt_logits(s), logits[n], info.n_vocab * sizeof(float)), "one by one: the same bytes");
		for (unsigned int i = 0; i < n; i++)
			ok(memcmp(logits[i], logits[n], info.n_vocab * sizeof(float)) != 0, "not those of %s",
			   zen5rt_kv_type(i));
		zen5rt_session_free(s);
	}
	sp.kv_type = "q3";
	ok(n == 4 && zen5rt_session_new(m, &sp, &s, &err) == -EINVAL && strstr(err.message, "q3") &&
	   strstr(err.message, "q8_0"), "an unknown type: %s", err.message);
	sp.size = offsetof(struct zen5rt_session_params, kv_type);
	ok(!zen5rt_session_new(m, &sp, &s, &err) && !strcmp(zen5rt_session_kv_type(s), "f32"),
	   "who does not know of types gets f32");
	zen5rt_session_free(s);
	for (unsigned int i = 0; i < n; i++)
		free(logits[i]);
}

static void test_many(struct zen5rt_model *m, struct progress *pr)
{
	struct zen5rt_session *a, *b;
	struct zen5rt_model_info info;
	int32_t x[] = { 1, 300, 301, 302 }, y[] = { 1, 310, 320 };
	struct zen5rt_error err;
	float *alone;

	zen5rt_model_info(m, &info);
	zen5rt_session_new(m, NULL, &a, &err);
	zen5rt_session_new(m, NULL, &b, &err);
	zen5rt_eval(a, x, 4, &err);
	alone = copy_logits(a, info.n_vocab);
	zen5rt_session_rewind(a, 0);
	for (int i = 0; i < 4; i++) {
		zen5rt_eval(a, x + i, 1, &err);
		zen5rt_eval(b, y + i % 3, 1, &err);
	}
	ok(!memcmp(zen5rt_logits(a), alone, info.n_vocab * sizeof(float)), "sessions do not see each other");
	zen5rt_session_rewind(a, 0);
	pr->intruder = b;
	ok(!zen5rt_eval(a, x, 4, &err) && pr->intruder_ret == -EBUSY &&
	   !memcmp(zen5rt_logits(a), alone, info.n_vocab * sizeof(float)),
	   "a second evaluation meanwhile gets -EBUSY, the first one is not disturbed");
	zen5rt_session_free(a);
	zen5rt_session_free(b);
	free(alone);
}

int main(void)
{
	struct progress pr = { 0 };
	struct zen5rt_params p;
	struct zen5rt_error err;
	struct zen5rt_model *m;
	struct zen5rt *rt;

	test_open();
	zen5rt_params_init(&p);
	p.n_threads = 2;
	p.progress = on_progress;
	p.user = &pr;
	if (!ok(!zen5rt_open(&p, &rt, &err), "two threads"))
		return done();
	test_load(rt, &pr);
	pr = (struct progress){ 0 };
	if (!ok(!zen5rt_model_load(rt, MODEL, &m, &err), "the shipped model loads"))
		return done();
	ok(pr.loads > 0 && pr.done <= pr.total && pr.total > 1000000, "and told of its progress");
	test_eval(m, &pr);
	test_all(m);
	test_kv_types(m);
	test_many(m, &pr);
	zen5rt_model_free(m);
	zen5rt_close(rt);
	return done();
}
