// SPDX-License-Identifier: MIT
/*
 * Sessions of recurrent models and hybrids: their state is the same however tokens come, goes back where it can and
 * says no where it cannot, and is not touched by what fails. And sessions of all models in files and in other sessions.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zen5rt.h>

#include "../tap.h"

static const char *const recurrent[] = {
	"small-mamba", "small-falcon-mamba", "small-mamba2", "small-rwkv6", "small-rwkv7", "small-rwkv7-Q8_0",
	"small-rwkv6qwen2", "small-rwkv6qwen2-Q8_0", "small-arwkv7", "small-arwkv7-Q8_0",
};
static const char *const hybrid[] = { "small-granitehybrid", "small-granitehybrid-moe", "small-granitehybrid-Q8_0",
					"small-nemotron_h", "small-falcon-h1", "small-falcon-h1-norm",
					"small-jamba" };

#define DATA "tests/golden/data"
#define N 64

static int32_t ids[N];
static unsigned int cancel_at, asked;
static char path[64], other[80];

static int on_progress(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	(void)user;
	(void)done;
	(void)total;
	return stage == ZEN5RT_STAGE_PREFILL && cancel_at && ++asked == cancel_at;
}

/* A session, and the size of its logits. */
struct trial {
	struct zen5rt_model *m;
	const char *name, *kv_type;
	size_t row;
};

static struct zen5rt_session *session(const struct trial *t, uint32_t n_ctx, uint32_t n_ubatch)
{
	struct zen5rt_session_params p;
	struct zen5rt_session *s = NULL;
	struct zen5rt_error err;

	zen5rt_session_params_init(&p);
	p.n_ctx = n_ctx;
	p.n_ubatch = n_ubatch;
	p.kv_type = t->kv_type;
	if (zen5rt_session_new(t->m, &p, &s, &err)) {
		printf("Bail out! %s\n", err.message);
		exit(1);
	}
	return s;
}

/* Logits after each of the first n tokens, one evaluation a token. */
static float *one_by_one(const struct trial *t, size_t n)
{
	struct zen5rt_session *s = session(t, N, 8);
	float *rows = malloc(n * t->row);

	for (size_t i = 0; i < n; i++) {
		zen5rt_eval(s, ids + i, 1, NULL);
		memcpy((char *)rows + i * t->row, zen5rt_logits(s), t->row);
	}
	zen5rt_session_free(s);
	return rows;
}

static bool stands(const struct trial *t, const struct zen5rt_session *s, const float *rows, uint32_t pos)
{
	const char *row = (const char *)rows + (pos - 1) * t->row;

	return zen5rt_session_pos(s) == pos && !memcmp(zen5rt_logits(s), row, t->row);
}

static void test_chunks(const struct trial *t, const float *rows)
{
	static const uint32_t chunks[] = { 1, 2, 7, 16, 17, N };

	for (size_t i = 0; i < sizeof(chunks) / sizeof(chunks[0]); i++) {
		struct zen5rt_session *s = session(t, N, chunks[i]);
		float *all = malloc(N * t->row);

		ok(!zen5rt_eval_all(s, ids, N, all, NULL) && !memcmp(all, rows, N * t->row),
		   "%s: chunks of %u: the same bytes as one by one", t->name, chunks[i]);
		zen5rt_session_free(s);
		free(all);
	}
}

static void test_rewind(const struct trial *t, const float *rows)
{
	struct zen5rt_session *s = session(t, N, 8);

	zen5rt_eval(s, ids, 20, NULL);
	for (int i = 20; i < 25; i++)
		zen5rt_eval(s, ids + i, 1, NULL);
	ok(zen5rt_session_can_rewind(s, 30) == 25 && zen5rt_session_can_rewind(s, 25) == 25 &&
	   zen5rt_session_can_rewind(s, 24) == 20 && zen5rt_session_can_rewind(s, 20) == 20 &&
	   zen5rt_session_can_rewind(s, 19) == 0, "%s: goes back to the end of a prompt, and to nothing", t->name);
	ok(zen5rt_session_rewind(s, 26) == -EINVAL && zen5rt_session_rewind(s, 22) == -ENOTSUP &&
	   zen5rt_session_rewind(s, 19) == -ENOTSUP && !zen5rt_session_rewind(s, 25), "and to no other position");
	zen5rt_eval(s, ids + 25, 1, NULL);
	ok(stands(t, s, rows, 26), "which is refused without a trace");
	ok(!zen5rt_session_rewind(s, 20) && zen5rt_session_pos(s) == 20, "rewind");
	zen5rt_eval(s, ids + 7, 9, NULL);
	ok(!stands(t, s, rows, 29), "another continuation");
	ok(zen5rt_session_can_rewind(s, 28) == 20 && !zen5rt_session_rewind(s, 20), "which began there");
	zen5rt_eval(s, ids + 20, 9, NULL);
	ok(stands(t, s, rows, 29), "and the first one again: the same bytes");
	zen5rt_eval(s, ids + 29, 2, NULL);
	zen5rt_eval(s, ids + 31, 2, NULL);
	ok(zen5rt_session_can_rewind(s, 32) == 31 && zen5rt_session_can_rewind(s, 30) == 29 &&
	   !zen5rt_session_can_rewind(s, 28), "two positions are remembered");
	ok(!zen5rt_session_rewind(s, 29) && !zen5rt_session_can_rewind(s, 28), "later ones are forgotten with what they were of");
	zen5rt_eval(s, ids + 29, 4, NULL);
	ok(stands(t, s, rows, 33), "and it goes on as before");
	zen5rt_eval(s, ids + 33, 2, NULL);
	ok(zen5rt_session_can_rewind(s, 32) == 29, "what was forgotten makes room first");
	ok(!zen5rt_session_rewind(s, 0) && !zen5rt_session_pos(s), "back to nothing");
	zen5rt_eval(s, ids, 33, NULL);
	ok(stands(t, s, rows, 33), "which has no memory");
	zen5rt_session_free(s);
}

static void test_cancel(const struct trial *t, const float *rows)
{
	struct zen5rt_session *s = session(t, N, 8);
	struct zen5rt_error err;
	unsigned int points = 0;
	bool good = true;

	zen5rt_eval(s, ids, 10, NULL);
	zen5rt_eval(s, ids + 10, 1, NULL);
	/* at every chunk and between all layers, until nobody asks any more */
	for (cancel_at = 1; ; cancel_at++) {
		int ret;

		asked = 0;
		ret = zen5rt_eval(s, ids + 11, 21, &err);
		if (!ret)
			break;
		points++;
		good &= ret == -ECANCELED && stands(t, s, rows, 11);
		if (!good)
			break;
	}
	cancel_at = 0;
	ok(good && points > 5 && stands(t, s, rows, 32), "%s: cancelled at %u points: as if nothing had been", t->name,
	   points);
	zen5rt_session_free(s);
}

/* Logits of tokens that are no longer there would be saved as those of the ones that are. */
static void test_cancel_all(const struct trial *t, const float *rows)
{
	float *all = malloc(N * t->row);
	struct zen5rt_error err;
	bool good = true;

	for (uint32_t chunk = 1; chunk <= 8; chunk += 7) {
		struct zen5rt_session *s = session(t, N, chunk);

		zen5rt_eval(s, ids, 11, NULL);
		for (cancel_at = 1; ; cancel_at++) {
			asked = 0;
			if (!zen5rt_eval_all(s, ids + 11, 21, all, &err))
				break;
			good &= zen5rt_session_pos(s) == 11 && (!zen5rt_logits(s) || stands(t, s, rows, 11));
			if (!good)
				break;
		}
		cancel_at = 0;
		good &= stands(t, s, rows, 32);
		zen5rt_session_free(s);
	}
	ok(good, "%s: cancelled where logits of all are wanted: none are of what was taken back", t->name);
	free(all);
}

static void test_copy(const struct trial *t, const float *rows)
{
	struct zen5rt_session *a = session(t, N, 8), *b = session(t, 40, 3), *c = session(t, 19, 3);
	struct zen5rt_error err = { "" };
	float *after = malloc(t->row);

	zen5rt_eval(b, ids + 9, 9, NULL);
	zen5rt_eval(a, ids, 20, NULL);
	ok(!zen5rt_session_copy(b, a, &err) && stands(t, b, rows, 20), "%s: a copy stands where the original does", t->name);
	zen5rt_eval(a, ids + 3, 5, NULL);
	memcpy(after, zen5rt_logits(a), t->row);
	zen5rt_eval(b, ids + 20, 9, NULL);
	ok(stands(t, b, rows, 29), "goes on by itself");
	ok(zen5rt_session_can_rewind(b, 28) >= 20 && !zen5rt_session_rewind(b, 20), "can come back to there");
	zen5rt_eval(b, ids + 3, 5, NULL);
	ok(!memcmp(zen5rt_logits(b), after, t->row), "and take the other way");
	ok(zen5rt_session_copy(c, a, &err) == -ENOSPC && !zen5rt_session_pos(c), "a context that is too small: %s",
	   err.message);
	zen5rt_session_free(a);
	zen5rt_session_free(b);
	zen5rt_session_free(c);
	free(after);
}

/* ---- files ---- */

static void flip(off_t at)
{
	int fd = open(path, O_RDWR);
	unsigned char c = 0;

	if (pread(fd, &c, 1, at) == 1) {
		c ^= 0x40;
		if (pwrite(fd, &c, 1, at) != 1)
			exit(1);
	}
	close(fd);
}

static off_t size_of(void)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_size;
}

static mode_t mode_of(void)
{
	struct stat st;

	return stat(path, &st) ? 0 : st.st_mode & 07777;
}

/* A byte of every part is another one, then the end is missing, then there is more: each is refused with a line. */
static void test_damaged(const struct trial *t)
{
	struct zen5rt_session *s = session(t, N, 8);
	struct zen5rt_error err;
	const off_t size = size_of();
	int32_t tokens[N];
	bool good = true, empty = true;

	for (off_t at = 0; at < size; at += at < 400 ? 1 : size / 50) {
		flip(at);
		strcpy(err.message, "");
		good &= zen5rt_session_restore(s, path, tokens, &err) < 0 && *err.message;
		empty &= !zen5rt_session_pos(s);
		if (!good)
			diag("byte %lld", (long long)at);
		flip(at);
	}
	ok(good && empty, "%s: a byte that is another one is refused, and leaves an empty session", t->name);
	ok(!truncate(path, size - 4) && zen5rt_session_restore(s, path, tokens, &err) == -EINVAL, "cut short: %s",
	   err.message);
	ok(!truncate(path, size / 2) && !truncate(path, size) &&
	   zen5rt_session_restore(s, path, tokens, &err) == -EINVAL, "zeros there: %s", err.message);
	ok(!truncate(path, size + 4) && zen5rt_session_restore(s, path, tokens, &err) == -EINVAL, "too long: %s",
	   err.message);
	ok(!truncate(path, 5) && zen5rt_session_restore(s, path, tokens, &err) == -EINVAL, "hardly anything: %s",
	   err.message);
	zen5rt_session_free(s);
}

/* What was restored is saved again, which another session restores. */
static void test_again(const struct trial *t, const struct zen5rt_session *s, const float *rows)
{
	struct zen5rt_session *b = session(t, N, 8);
	struct zen5rt_error err = { "" };
	int32_t tokens[N];

	ok(!zen5rt_session_save(s, path, ids, &err) && !zen5rt_session_restore(b, path, tokens, &err) &&
	   zen5rt_logits(b) && stands(t, b, rows, 20), "and once more, logits too %s", err.message);
	zen5rt_session_free(b);
}

static void test_save(const struct trial *t, const float *rows)
{
	struct zen5rt_session *a = session(t, N, 8), *b = session(t, 40, 3), *c = session(t, 19, 3);
	struct zen5rt_error err = { "" };
	int32_t tokens[N];

	ok(zen5rt_session_save(a, path, ids, &err) == -EINVAL, "%s: nothing to save: %s", t->name, err.message);
	zen5rt_eval(a, ids, 20, NULL);
	if (!ok(!zen5rt_session_save(a, path, ids, &err), "saved %s", err.message))
		return;
	ok(!chmod(path, 0640) && !zen5rt_session_save(a, path, ids, &err) && mode_of() == 0640,
	   "what is nobody else's stays so");
	zen5rt_eval(b, ids + 9, 9, NULL);
	memset(tokens, 0, sizeof(tokens));
	ok(!zen5rt_session_restore(b, path, tokens, &err) && stands(t, b, rows, 20) &&
	   !memcmp(tokens, ids, 20 * sizeof(*ids)), "restored in another session, with its tokens and logits %s", err.message);
	test_again(t, b, rows);
	zen5rt_eval(b, ids + 20, 12, NULL);
	ok(stands(t, b, rows, 32), "goes on: the same bytes");
	zen5rt_session_rewind(a, 0);
	zen5rt_eval(a, ids, 1, NULL);
	zen5rt_eval(a, ids + 1, 1, NULL);
	zen5rt_session_rewind(a, 0);
	zen5rt_session_restore(a, path, tokens, NULL);
	zen5rt_eval(a, ids + 20, 1, NULL);
	ok(stands(t, a, rows, 21), "and in its own");
	ok(zen5rt_session_restore(c, path, tokens, &err) == -ENOSPC, "a context that is too small: %s", err.message);
	ok(zen5rt_session_restore(c, "/nonexistent", tokens, &err) == -ENOENT, "no file: %s", err.message);
	ok(zen5rt_session_restore(c, "/dev/null", tokens, &err) == -EINVAL, "no ordinary file: %s", err.message);
	zen5rt_session_free(a);
	zen5rt_session_free(b);
	zen5rt_session_free(c);
	test_damaged(t);
}

/* What another model, or type of KV cache, has left at `other`. */
static void test_foreign(const struct trial *t)
{
	struct zen5rt_session *s = session(t, N, 8);
	struct zen5rt_error err;
	int32_t tokens[N];

	if (!access(other, F_OK))
		ok(zen5rt_session_restore(s, other, tokens, &err) == -EINVAL && strstr(err.message, "another"),
		   "%s: %s", t->name, err.message);
	zen5rt_eval(s, ids, 3, NULL);
	zen5rt_session_save(s, other, ids, NULL);
	zen5rt_session_free(s);
}

static struct zen5rt_model *load(struct zen5rt *rt, const char *dir, const char *name, struct trial *t)
{
	struct zen5rt_model_info info;
	struct zen5rt_model *m = NULL;
	struct zen5rt_error err = { "" };
	char file[128];

	snprintf(file, sizeof(file), "%s/%s.gguf", dir, name);
	if (!ok(!zen5rt_model_load(rt, file, &m, &err), "%s loads %s", name, err.message))
		return NULL;
	zen5rt_model_info(m, &info);
	*t = (struct trial){ m, name, NULL, info.n_vocab * sizeof(float) };
	return m;
}

/* A copy of a model with n other bytes at an offset. */
static void altered(const char *file, const char *bytes, size_t size, size_t at, const char *with, size_t n)
{
	FILE *f = fopen(file, "w");

	if (!f || fwrite(bytes, 1, at, f) != at || fwrite(with, 1, n, f) != n ||
	    fwrite(bytes + at + n, 1, size - at - n, f) != size - at - n || fclose(f)) {
		printf("Bail out! %s\n", file);
		exit(1);
	}
}

static void test_sibling(struct zen5rt *rt, const char *what)
{
	struct zen5rt_session_params p;
	struct zen5rt_session *s = NULL;
	struct zen5rt_model *m = NULL;
	struct zen5rt_error err = { "" };
	int32_t tokens[N];

	zen5rt_session_params_init(&p);
	p.n_ctx = N;
	if (ok(!zen5rt_model_load(rt, other, &m, &err) && !zen5rt_session_new(m, &p, &s, &err), "a model with %s %s", what,
	       err.message))
		ok(zen5rt_session_restore(s, path, tokens, &err) == -EINVAL && strstr(err.message, "another model"),
		   "is another one: %s", err.message);
	zen5rt_session_free(s);
	zen5rt_model_free(m);
}

/* Models that have the same shape and nearly the same bytes. */
static void test_siblings(struct zen5rt *rt)
{
	static const char key[] = "mamba.attention.layer_norm_rms_epsilon";
	static char bytes[1 << 17];
	const float eps = 1e-3f, weight = 0.5f;
	struct zen5rt_session *s;
	struct trial t;
	FILE *f = fopen(DATA "/small-mamba.gguf", "r");
	const size_t size = f ? fread(bytes, 1, sizeof(bytes), f) : 0;
	const char *at = memmem(bytes, size, key, strlen(key));

	if (f)
		fclose(f);
	if (!ok(at && size < sizeof(bytes), "a file to alter") || !load(rt, DATA, "small-mamba", &t))
		return;
	s = session(&t, N, 8);
	zen5rt_eval(s, ids, 5, NULL);
	zen5rt_session_save(s, path, ids, NULL);
	zen5rt_session_free(s);
	zen5rt_model_free(t.m);
	altered(other, bytes, size, (size_t)(at - bytes) + strlen(key) + 4, (const char *)&eps, 4);
	test_sibling(rt, "another epsilon");
	altered(other, bytes, size, size - 64, (const char *)&weight, 4);
	test_sibling(rt, "another weight");
}

static void test_all(struct trial *t, bool is_recurrent)
{
	float *rows = one_by_one(t, N);

	if (is_recurrent) {
		test_chunks(t, rows);
		test_rewind(t, rows);
	}
	test_cancel(t, rows);
	test_cancel_all(t, rows);
	test_copy(t, rows);
	test_save(t, rows);
	test_foreign(t);
	free(rows);
}

static void test_recurrent(struct zen5rt *rt, const char *name)
{
	struct zen5rt_session_params p;
	struct zen5rt_region_info small, large;
	struct zen5rt_model_info info;
	struct zen5rt_model_plan plan;
	struct zen5rt_session *s = NULL;
	struct zen5rt_error err;
	struct trial t;
	char file[128];

	if (!load(rt, DATA, name, &t))
		return;
	zen5rt_model_info(t.m, &info);
	zen5rt_session_params_init(&p);
	p.kv_type = "f16";
	ok(zen5rt_session_new(t.m, &p, &s, &err) == -EINVAL && strstr(err.message, "f16"), "no type of KV cache: %s",
	   err.message);
	s = session(&t, 16, 8);
	ok(!zen5rt_session_region(s, 0, &small) && !strcmp(small.use, "state") && !*zen5rt_session_kv_type(s) &&
	   info.state_bytes && small.asked == 3 * info.state_bytes, "a state of %llu bytes",
	   (unsigned long long)info.state_bytes);
	zen5rt_session_free(s);
	s = session(&t, 1u << 30, 8);
	zen5rt_session_region(s, 0, &large);
	ok(large.asked == small.asked, "for any number of positions");
	zen5rt_session_free(s);
	snprintf(file, sizeof(file), DATA "/%s.gguf", name);
	ok(!zen5rt_model_plan(file, 0, &plan, &err) && !*plan.refused && plan.state_bytes == small.asked &&
	   !plan.kv_bytes && plan.weight_bytes == info.weight_bytes, "which the plan knows");
	test_all(&t, true);
	zen5rt_model_free(t.m);
}

/* Some layers attend: beside the state there is a cache, of any type. */
static void test_hybrid(struct zen5rt *rt, const char *name)
{
	struct zen5rt_region_info kv, scratch, state, last;
	struct zen5rt_model_info info;
	struct zen5rt_model_plan plan;
	struct zen5rt_session *s;
	struct zen5rt_error err;
	struct trial t;
	char file[128];

	if (!load(rt, DATA, name, &t))
		return;
	zen5rt_model_info(t.m, &info);
	s = session(&t, 64, 8);
	ok(!zen5rt_session_region(s, 0, &kv) && !zen5rt_session_region(s, 1, &scratch) &&
	   !zen5rt_session_region(s, 2, &state) && zen5rt_session_region(s, 3, &last) == -EINVAL &&
	   !strcmp(kv.use, "KV cache") && !strcmp(scratch.use, "scratch") && !strcmp(state.use, "state") &&
	   !strcmp(zen5rt_session_kv_type(s), "f32") && info.state_bytes && state.asked == 3 * info.state_bytes,
	   "a cache of %llu bytes and a state of %llu", (unsigned long long)kv.asked,
	   (unsigned long long)info.state_bytes);
	zen5rt_session_free(s);
	snprintf(file, sizeof(file), DATA "/%s.gguf", name);
	ok(!zen5rt_model_plan(file, 64, &plan, &err) && !*plan.refused && plan.state_bytes == state.asked &&
	   plan.kv_bytes == kv.asked && plan.weight_bytes == info.weight_bytes, "which the plan knows");
	s = session(&t, 128, 8);
	zen5rt_session_region(s, 0, &last);
	ok(last.asked == 2 * kv.asked && !zen5rt_session_region(s, 2, &last) && last.asked == state.asked,
	   "only the cache grows with the context");
	zen5rt_session_free(s);
	for (t.kv_type = "f32"; t.kv_type; t.kv_type = *t.kv_type == 'f' ? "q8_0" : NULL)
		test_all(&t, true);
	zen5rt_model_free(t.m);
}

int main(void)
{
	struct zen5rt_params p;
	struct zen5rt_error err;
	struct zen5rt *rt;
	struct trial t;

	snprintf(path, sizeof(path), "/tmp/zen5-recurrent-%d", (int)getpid());
	snprintf(other, sizeof(other), "%s-other", path);
	for (int i = 0; i < N; i++)
		ids[i] = 3 + (i * 37) % 250;
	zen5rt_params_init(&p);
	p.n_threads = 3;
	p.progress = on_progress;
	if (!ok(!zen5rt_open(&p, &rt, &err), "three threads"))
		return done();
	for (size_t i = 0; i < sizeof(recurrent) / sizeof(recurrent[0]); i++)
		test_recurrent(rt, recurrent[i]);
	for (size_t i = 0; i < sizeof(hybrid) / sizeof(hybrid[0]); i++)
		test_hybrid(rt, hybrid[i]);
	if (load(rt, "tests/models", "zen5-tiny", &t)) {
		for (unsigned int i = 0; (t.kv_type = zen5rt_kv_type(i)); i++)
			test_all(&t, false);
		zen5rt_model_free(t.m);
	}
	if (load(rt, DATA, "small-deepseek2-lite", &t)) {
		test_all(&t, false);
		zen5rt_model_free(t.m);
	}
	test_siblings(rt);
	zen5rt_close(rt);
	unlink(path);
	unlink(other);
	return done();
}
