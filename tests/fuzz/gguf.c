// SPDX-License-Identifier: MIT
/*
 * Fuzz target of all that happens to a model's file: reader, plan, vocabulary, loading, evaluation, and what
 * quantizing it would do. Without libFuzzer it is a program:
 *
 *	gguf FILE...				all that with each; 1 and a line on stderr if one is refused
 *	gguf --random COUNT SEED FILE...	mutates the files COUNT times; crashes or is content
 *
 * The second counts inputs and not seconds, so that a test run does the same work everywhere.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <zen5rt.h>

#include "gguf/gguf.h"

/* Inputs above are no better and only slower. */
#define MAX_INPUT (256 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static volatile uint32_t fuzz_sink;

static void fuzz_touch(const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		fuzz_sink += b[i];
}

static void fuzz_key(const struct gguf *g, const char *key)
{
	static const enum gguf_value_type kinds[] = {
		GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
		GGUF_STRING, GGUF_U64, GGUF_I64, GGUF_F64,
	};
	struct zen5rt_error err;
	struct gguf_array a;
	struct gguf_str s;
	uint32_t u;
	float f;
	bool b;

	if (gguf_get_u32(g, key, &u, &err) > 0)
		fuzz_touch(&u, sizeof(u));
	if (gguf_get_f32(g, key, &f, &err) > 0)
		fuzz_touch(&f, sizeof(f));
	if (gguf_get_bool(g, key, &b, &err) > 0)
		fuzz_touch(&b, sizeof(b));
	if (gguf_get_str(g, key, &s, &err) > 0)
		fuzz_touch(s.p, s.len);
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (gguf_get_array(g, key, kinds[k], &a, &err) <= 0)
			continue;
		for (size_t i = 0; i <= a.n; i++) {
			f = gguf_array_f32(&a, i);
			fuzz_touch(&f, sizeof(f));
			u = (uint32_t)gguf_array_i32(&a, i);
			fuzz_touch(&u, sizeof(u));
			s = gguf_array_str(&a, i);
			fuzz_touch(s.p, s.len);
		}
	}
}

/* Everything that a caller could reach. Returns 0 or gguf_pread()'s error. */
static int fuzz_walk(const struct gguf *g, struct zen5rt_error *err)
{
	static char buf[65536];

	for (size_t i = 0; i < gguf_n_keys(g); i++) {
		struct gguf_str k = gguf_key(g, i);
		char *key = strndup(k.p, k.len);

		if (!key || gguf_kind(g, key) < 0)
			abort();
		fuzz_key(g, key);
		free(key);
	}
	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor(g, i);

		if (gguf_find_tensor(g, t->name) != t || t->offset > gguf_file_size(g) ||
		    t->size > gguf_file_size(g) - t->offset || !gguf_type_info(t->type))
			abort();
		for (uint64_t off = 0; off < t->size; off += sizeof(buf)) {
			uint64_t left = t->size - off;
			size_t n = left < sizeof(buf) ? left : sizeof(buf);
			int rc = gguf_pread(g, t, buf, off, n, err);

			if (rc)
				return rc;
		}
	}
	return 0;
}

/* The rules of the error line hold for every input. */
static void fuzz_check_error(int rc, const struct zen5rt_error *err)
{
	size_t len = strnlen(err->message, sizeof(err->message));

	if (rc >= 0 || !len || len == sizeof(err->message))
		abort();
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)err->message[i] < 0x20 || err->message[i] == 0x7f)
			abort();
}

static void fuzz_text(const struct zen5rt_vocab *v)
{
	static const char text[] = "The old owl\n  12 \xc3\xa9 <s>x";
	struct zen5rt_detok *d;
	int32_t ids[64];
	int64_t n = zen5rt_tokenize(v, text, sizeof(text), 3, ids, 64, NULL);
	size_t len;

	if (n < 0 || zen5rt_detok_new(v, true, &d, NULL))
		abort();
	for (int64_t i = 0; i < n && i < 64; i++) {
		const char *p = zen5rt_detok_next(d, ids[i], &len);

		fuzz_touch(p, len);
	}
	zen5rt_detok_free(d);
}

/* Three tokens at once, then one: both ways through the layers. */
static void fuzz_eval(struct zen5rt_model *m)
{
	uint32_t n_vocab = zen5rt_vocab_size(zen5rt_model_vocab(m));
	struct zen5rt_session_params p;
	struct zen5rt_error err = { "" };
	struct zen5rt_session *s;
	int32_t ids[4];
	int rc;

	zen5rt_session_params_init(&p);
	p.n_ctx = 8;
	p.n_ubatch = 2;
	p.kv_type = zen5rt_kv_type(n_vocab % 4);
	rc = zen5rt_session_new(m, &p, &s, &err);
	if (rc) {
		fuzz_check_error(rc, &err);
		return;
	}
	for (uint32_t i = 0; i < 4; i++)
		ids[i] = (int32_t)((i * 5 + n_vocab - 1) % n_vocab);
	if (zen5rt_eval(s, ids, 3, &err) || zen5rt_eval(s, ids + 3, 1, &err))
		abort();
	fuzz_touch(zen5rt_logits(s), n_vocab * sizeof(float));
	zen5rt_session_free(s);
}

/* What the tools do with a file, to the end. Returns what loading it says. */
static int fuzz_use(const char *path, struct zen5rt_error *err)
{
	static struct zen5rt *rt;
	struct zen5rt_quantize_params qp;
	struct zen5rt_model_plan plan;
	struct zen5rt_params p;
	struct zen5rt_vocab *v;
	struct zen5rt_model *m;
	int rc;

	if (!rt) {
		zen5rt_params_init(&p);
		p.n_threads = 1;
		p.pin = false;
		if (zen5rt_open(&p, &rt, err))
			abort();
	}
	rc = zen5rt_model_plan(path, 0, &plan, err);
	if (rc)
		fuzz_check_error(rc, err);
	rc = zen5rt_vocab_load(path, &v, err);
	if (rc) {
		fuzz_check_error(rc, err);
	} else {
		fuzz_text(v);
		zen5rt_vocab_free(v);
	}
	zen5rt_quantize_params_init(&qp);
	qp.type = "Q4_K_M";
	qp.dry_run = true;
	qp.allow_requantize = true;
	rc = zen5rt_quantize(rt, path, NULL, &qp, NULL, err);
	if (rc)
		fuzz_check_error(rc, err);
	rc = zen5rt_model_load(rt, path, &m, err);
	if (rc) {
		fuzz_check_error(rc, err);
		return rc;
	}
	fuzz_eval(m);
	zen5rt_model_free(m);
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);
	struct zen5rt_error err = { "" };
	char path[32];
	struct gguf *g;
	int rc;

	if (size > MAX_INPUT)
		return 0;
	if (fd < 0 || write(fd, data, size) != (ssize_t)size)
		abort();
	rc = gguf_open_fd(fd, "input", &g, &err);
	if (rc) {
		fuzz_check_error(rc, &err);
		if (strncmp(err.message, "input: ", 7))
			abort();
	} else {
		if (fuzz_walk(g, &err))
			abort();
		gguf_close(g);
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		fuzz_use(path, &err);
	}
	close(fd);
	return 0;
}

static uint64_t fuzz_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Most of a file is data that no parser looks at; half of the hits go to its first bytes. */
static size_t fuzz_place(uint64_t *state, size_t size)
{
	size_t head = size < 1024 ? size : 1024;

	return fuzz_random(state) % (fuzz_random(state) & 1 ? head : size);
}

static size_t fuzz_mutate(uint8_t *p, size_t size, uint64_t *state)
{
	static const uint64_t evil[] = {
		0, 1, 2, 7, 9, 31, 63, 64, 65, 0x7f, 0x80, 0xff, 0xffff, 0x10000, 0x7fffffff,
		0x80000000, 0xffffffff, 1ull << 32, 1ull << 40, 1ull << 61, 1ull << 62, INT64_MAX,
		1ull << 63, UINT64_MAX - 31, UINT64_MAX,
	};
	unsigned int n = 1 + fuzz_random(state) % 4;

	while (n-- && size) {
		size_t at = fuzz_place(state, size), width = (size_t)1 << fuzz_random(state) % 4;
		uint64_t v = evil[fuzz_random(state) % (sizeof(evil) / sizeof(evil[0]))];

		switch (fuzz_random(state) % 6) {
		case 0:
			p[at] ^= 1u << fuzz_random(state) % 8;
			break;
		case 1:
			p[at] = (uint8_t)fuzz_random(state);
			break;
		case 2:
		case 3:
			if (width <= size - at)
				memcpy(p + at, &v, width);
			break;
		case 4: {
			size_t from = fuzz_place(state, size), len = fuzz_random(state) % 64;

			if (len <= size - at && len <= size - from)
				memmove(p + at, p + from, len);
			break;
		}
		default:
			if (fuzz_random(state) % 8 == 0)
				size = at;
		}
	}
	return size;
}

#ifdef FUZZER
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* libFuzzer's own mutations seldom hit the header of a file that is mostly data: every other one is of ours. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed)
{
	uint64_t state = seed;
	size_t n;

	if (seed & 1)
		return LLVMFuzzerMutate(data, size, max);
	n = fuzz_mutate(data, size, &state);
	return n ? n : LLVMFuzzerMutate(data, size, max);
}

/* libFuzzer brings its own main(). */
#else
static uint8_t *fuzz_load(const char *path, size_t *size)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = NULL;
	long n;

	if (f && !fseek(f, 0, SEEK_END) && (n = ftell(f)) >= 0 && !fseek(f, 0, SEEK_SET)) {
		p = malloc((size_t)n + 1);
		if (p)
			*size = fread(p, 1, (size_t)n, f);
	}
	if (f)
		fclose(f);
	if (!p)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	return p;
}

static int fuzz_loop(unsigned long count, uint64_t seed, char **files, int n_files)
{
	for (int i = 0; i < n_files; i++) {
		size_t size;
		uint8_t *good = fuzz_load(files[i], &size);
		uint8_t *bad = good ? malloc(size + 1) : NULL;

		if (!bad) {
			free(good);
			return 1;
		}
		for (unsigned long k = 0; k < count / n_files; k++) {
			memcpy(bad, good, size);
			LLVMFuzzerTestOneInput(bad, fuzz_mutate(bad, size, &seed));
		}
		free(bad);
		free(good);
	}
	return 0;
}

static int fuzz_files(char **files, int n_files)
{
	int failed = 0;

	for (int i = 0; i < n_files; i++) {
		struct zen5rt_error err;
		struct gguf *g;
		int rc = gguf_open(files[i], &g, &err);

		if (!rc) {
			rc = fuzz_walk(g, &err);
			gguf_close(g);
		}
		if (!rc)
			rc = fuzz_use(files[i], &err);
		if (rc) {
			fprintf(stderr, "%s\n", err.message);
			failed = 1;
		}
	}
	return failed;
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "--random"))
		return fuzz_loop(strtoul(argv[2], NULL, 0), strtoull(argv[3], NULL, 0), argv + 4,
				 argc - 4);
	if (argc > 1 && argv[1][0] != '-')
		return fuzz_files(argv + 1, argc - 1);
	fprintf(stderr, "usage: %s FILE... | --random COUNT SEED FILE...\n", argv[0]);
	return 2;
}
#endif
