// SPDX-License-Identifier: MIT
/*
 * Files that are cut, deleted, replaced or overwritten while a model is read from them, and afterwards: an error or
 * the right answer, and a process that lives.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zen5rt.h>

#include "gguf/gguf.h"
#include "tests/tap.h"

#define DATA "tests/golden/data/small-"

static char dir[] = "/tmp/vanish-XXXXXX";
static struct zen5rt *rt;

/* ---- files ---- */

struct bytes {
	uint8_t *p;
	size_t n;
};

static struct bytes slurp(const char *path)
{
	struct bytes b = { malloc(1 << 20), 0 };
	FILE *f = fopen(path, "rb");

	if (!f || !b.p)
		abort();
	b.n = fread(b.p, 1, 1 << 20, f);
	fclose(f);
	return b;
}

static const char *in_dir(const char *name)
{
	static char path[2][128];
	static int i;

	i = !i;
	snprintf(path[i], sizeof(path[i]), "%s/%s", dir, name);
	return path[i];
}

static void spill(const char *name, const void *p, size_t n)
{
	FILE *f = fopen(in_dir(name), "wb");

	if (!f || fwrite(p, 1, n, f) != n || fclose(f))
		abort();
}

/* ---- what happens to them ---- */

/* Name of the file that it happens to, and when: at the first report of progress while loading. */
static const char *victim;
static void (*event)(void);

static int on_progress(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	void (*now)(void) = event;

	(void)user;
	(void)done;
	(void)total;
	event = NULL;
	if (stage == ZEN5RT_STAGE_LOAD && now)
		now();
	return 0;
}

static void cut_half(void)
{
	struct stat st;

	if (stat(in_dir(victim), &st) || truncate(in_dir(victim), st.st_size / 2))
		abort();
}

static void cut_all(void)
{
	if (truncate(in_dir(victim), 0))
		abort();
}

static void delete(void)
{
	if (unlink(in_dir(victim)))
		abort();
}

static void replace(void)
{
	spill("new", "not a model", 11);
	if (rename(in_dir("new"), in_dir(victim)))
		abort();
}

static void overwrite(void)
{
	struct stat st;
	int fd = open(in_dir(victim), O_WRONLY);
	uint8_t *p;

	if (fd < 0 || fstat(fd, &st))
		abort();
	p = malloc((size_t)st.st_size);
	memset(p, 0xff, (size_t)st.st_size);
	if (write(fd, p, (size_t)st.st_size) != st.st_size)
		abort();
	free(p);
	close(fd);
}

/* ---- a model in two parts: one with the keys, one with the tensors ---- */

static void add(struct bytes *b, const void *p, size_t n)
{
	memcpy(b->p + b->n, p, n);
	b->n += n;
}

static void add_split(struct bytes *b, uint16_t no, uint32_t tensors)
{
	static const struct { const char *name; uint32_t type; } keys[] = {
		{ "split.no", GGUF_U16 }, { "split.count", GGUF_U32 }, { "split.tensors.count", GGUF_I32 },
	};
	const uint32_t count = 2;

	for (int i = 0; i < 3; i++) {
		const uint64_t len = strlen(keys[i].name);

		add(b, &len, 8);
		add(b, keys[i].name, len);
		add(b, &keys[i].type, 4);
		add(b, i == 0 ? (const void *)&no : i == 1 ? &count : &tensors, i ? 4 : 2);
	}
}

/* Where the description of a tensor begins in a file. */
static size_t info_at(const struct bytes *b, const struct gguf_tensor *t)
{
	const uint64_t len = strlen(t->name);
	uint8_t s[8 + 64], *p;

	if (len > 64)
		abort();
	memcpy(s, &len, 8);
	memcpy(s + 8, t->name, len);
	p = memmem(b->p, b->n, s, 8 + len);
	if (!p)
		abort();
	return (size_t)(p - b->p);
}

static void split(const struct bytes *whole)
{
	struct bytes out = { calloc(1, whole->n + 4096), 0 };
	uint64_t n_tensors, n_kv, zero = 0, three = 3, data = UINT64_MAX;
	size_t infos, end;
	uint32_t n_dims;
	struct gguf *g;

	if (!out.p || gguf_open(in_dir("m.gguf"), &g, NULL))
		abort();
	n_tensors = gguf_n_tensors(g);
	n_kv = gguf_n_keys(g) + 3;
	for (size_t i = 0; i < n_tensors; i++)
		data = gguf_tensor(g, i)->offset < data ? gguf_tensor(g, i)->offset : data;
	infos = info_at(whole, gguf_tensor(g, 0));
	end = info_at(whole, gguf_tensor(g, n_tensors - 1)) + 8 + strlen(gguf_tensor(g, n_tensors - 1)->name);
	memcpy(&n_dims, whole->p + end, 4);
	end += 4 + 8 * n_dims + 4 + 8;

	add(&out, whole->p, 8);
	add(&out, &zero, 8);
	add(&out, &n_kv, 8);
	add(&out, whole->p + 24, infos - 24);
	add_split(&out, 0, (uint32_t)n_tensors);
	spill("m-00001-of-00002.gguf", out.p, out.n);

	out.n = 0;
	add(&out, whole->p, 8);
	add(&out, &n_tensors, 8);
	add(&out, &three, 8);
	add_split(&out, 1, (uint32_t)n_tensors);
	add(&out, whole->p + infos, end - infos);
	while (out.n % 32)
		add(&out, "", 1);
	add(&out, whole->p + data, whole->n - data);
	spill("m-00002-of-00002.gguf", out.p, out.n);
	gguf_close(g);
	free(out.p);
}

/* ---- the tests ---- */

static uint64_t answer(struct zen5rt_model *m)
{
	static const int32_t ids[] = { 1, 9, 17, 5, 20, 33 };
	const struct zen5rt_vocab *v = zen5rt_model_vocab(m);
	uint64_t sum = (uint64_t)zen5rt_tokenize(v, "The old owl", 11, 0, NULL, 0, NULL);
	struct zen5rt_session_params p;
	struct zen5rt_session *s;
	const uint8_t *b;

	zen5rt_session_params_init(&p);
	p.n_ctx = 16;
	if (zen5rt_session_new(m, &p, &s, NULL) || zen5rt_eval(s, ids, 5, NULL) || zen5rt_eval(s, ids + 5, 1, NULL))
		abort();
	b = (const uint8_t *)zen5rt_logits(s);
	for (size_t i = 0; i < zen5rt_vocab_size(v) * sizeof(float); i++)
		sum = (sum ^ b[i]) * 0x100000001b3;
	zen5rt_session_free(s);
	return sum;
}

/* Loads a model while something happens to one of its files. Returns what loading returned. */
static int load(const char *name, const char *what, void (*happens)(void), uint64_t *sum, struct zen5rt_error *err)
{
	struct zen5rt_model *m = NULL;
	int ret;

	victim = what;
	event = happens;
	err->message[0] = '\0';
	ret = zen5rt_model_load(rt, in_dir(name), &m, err);
	if (ret)
		return ret;
	*sum = answer(m);
	zen5rt_model_free(m);
	return 0;
}

static void test_while(const char *name, const char *what, const struct bytes *b, uint64_t want)
{
	static const struct { const char *what; void (*fn)(void); } gone[] = { { "cut to half", cut_half }, { "emptied", cut_all } };
	static const struct { const char *what; void (*fn)(void); } kept[] = { { "deleted", delete }, { "replaced", replace } };
	struct zen5rt_error err;
	uint64_t sum;
	int ret;

	for (int i = 0; i < 2; i++) {
		ret = load(name, what, gone[i].fn, &sum, &err);
		ok(ret == -EIO && strstr(err.message, what) && strstr(err.message, "shorter"), "%s while it is read: %s",
		   gone[i].what, err.message);
		spill(what, b->p, b->n);
		ret = load(name, what, kept[i].fn, &sum, &err);
		ok(!ret && sum == want, "%s while it is read: the model that it was %s", kept[i].what, err.message);
		spill(what, b->p, b->n);
	}
	/* what comes of it is as good as the file, and none of it is a crash */
	ret = load(name, what, overwrite, &sum, &err);
	ok(!ret || *err.message, "overwritten while it is read: %s", ret ? err.message : "loads");
	spill(what, b->p, b->n);
	ok(!load(name, what, NULL, &sum, &err) && sum == want, "and whole again %s", err.message);
}

static void test_after(const char *name, const char *what, const struct bytes *b, uint64_t want)
{
	static void (*const events[])(void) = { overwrite, cut_all, delete };
	struct zen5rt_error err = { "" };
	struct zen5rt_model *m;
	int same = 0;

	if (!ok(!zen5rt_model_load(rt, in_dir(name), &m, &err), "loaded %s", err.message))
		return;
	victim = what;
	for (int i = 0; i < 3; i++) {
		events[i]();
		same += answer(m) == want;
	}
	ok(same == 3, "overwritten, emptied, deleted after it was loaded: the same answers");
	zen5rt_model_free(m);
	spill(what, b->p, b->n);
}

int main(void)
{
	static const char part1[] = "m-00001-of-00002.gguf", part2[] = "m-00002-of-00002.gguf";
	struct zen5rt_params p;
	struct zen5rt_error err = { "" };
	struct bytes whole, tensors;
	char command[64];
	uint64_t want, sum;

	zen5rt_params_init(&p);
	p.n_threads = 2;
	p.progress = on_progress;
	if (!mkdtemp(dir) || !ok(!zen5rt_open(&p, &rt, &err), "two threads"))
		return done();
	whole = slurp(DATA "llama-F32.gguf");
	spill("m.gguf", whole.p, whole.n);
	if (!ok(!load("m.gguf", "m.gguf", NULL, &want, &err), "a model %s", err.message))
		return done();
	test_while("m.gguf", "m.gguf", &whole, want);
	test_after("m.gguf", "m.gguf", &whole, want);
	split(&whole);
	tensors = slurp(in_dir(part2));
	if (ok(!load(part1, part2, NULL, &sum, &err) && sum == want, "the same in two parts %s", err.message)) {
		test_while(part1, part2, &tensors, want);
		test_after(part1, part2, &tensors, want);
	}
	zen5rt_close(rt);
	free(whole.p);
	free(tensors.p);
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ok(!system(command), "cleaned up");
	return done();
}
