// SPDX-License-Identifier: MIT
/*
 * Fuzz target of the tokenizers. An input is text, or a GGUF file that brings a vocabulary:
 *
 *	GGUF...		the vocabulary is read; if it is accepted, a few texts go through it
 *	K text...	K mod 8 chooses one of the vocabularies below, bit 3 asks for special tokens
 *
 * Of every text: as many ids as are counted without room for them, all inside the vocabulary; and
 * back to text, the same where the tokenizer loses nothing and the text is UTF-8.
 *
 * Without libFuzzer it is a program:
 *
 *	tokenize FILE...			each file is an input
 *	tokenize --random COUNT SEED FILE...	mutates the files COUNT times
 *	tokenize --corpus DIR			writes inputs to begin with into DIR
 */
#include <stdint.h>

#include "tests/unit/vocab_small.h"
#include "vocab/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct zen5rt_vocab *fuzz_vocab[N_KINDS];

static void fuzz_fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static bool fuzz_is_utf8(const char *p, size_t len)
{
	uint32_t cp;

	for (size_t i = 0; i < len; ) {
		i += utf8_next(p + i, len - i, &cp);
		if (cp >= UTF8_STRAY || cp == 0x2581)	/* the escape comes back as a space */
			return false;
	}
	return true;
}

static void fuzz_back(const struct zen5rt_vocab *v, const int32_t *ids, int64_t n, const char *text,
		      size_t len, bool exact)
{
	struct zen5rt_detok *d;
	const char *piece;
	size_t at = 0, k;
	uint32_t cp;

	if (zen5rt_detok_new(v, true, &d, NULL))
		return;
	for (int64_t i = 0; i <= n; i++) {
		piece = i < n ? zen5rt_detok_next(d, ids[i], &k) : zen5rt_detok_end(d, &k);
		if (!piece || piece[k])
			fuzz_fail("a piece that does not end");
		for (size_t c = 0; c < k; ) {
			c += utf8_next(piece + c, k - c, &cp);
			if (cp >= UTF8_STRAY)
				fuzz_fail("a piece that is not UTF-8");
		}
		if (exact && (k > len - at || memcmp(text + at, piece, k)))
			fuzz_fail("other text came back");
		at += exact ? k : 0;
	}
	zen5rt_detok_free(d);
	if (exact && at != len)
		fuzz_fail("less text came back");
}

static void fuzz_text(const struct zen5rt_vocab *v, const char *text, size_t len,
		      unsigned int flags, bool lossless)
{
	int64_t n = zen5rt_tokenize(v, text, len, flags, NULL, 0, NULL), m;
	int32_t *ids;

	if (n < 0)
		return;
	ids = malloc((size_t)n * sizeof(*ids) + 1);
	if (!ids)
		return;
	m = zen5rt_tokenize(v, text, len, flags, ids, (size_t)n, NULL);
	if (m >= 0 && m != n)
		fuzz_fail("another number of ids at the second try");
	for (int64_t i = 0; i < m; i++)
		if (ids[i] < 0 || (uint32_t)ids[i] >= zen5rt_vocab_size(v))
			fuzz_fail("an id outside the vocabulary");
	if (m >= 0)
		fuzz_back(v, ids, m, text, len, lossless && fuzz_is_utf8(text, len));
	free(ids);
}

/* A vocabulary from nobody knows where. */
static void fuzz_file(const uint8_t *data, size_t size)
{
	static const char text[] =
		"the \xe4\xbd\xa0 th\xff 12 <|x|>y\n\n  a\0 \xef\xac\x81 abababab";
	struct zen5rt_error err = { "" };
	struct zen5rt_vocab *v;
	struct gguf *g;
	int r;

	if (open_bytes(data, size, &g, &err))
		return;
	r = z5_vocab_read(g, &v, &err);
	gguf_close(g);
	if (r && !*err.message)
		fuzz_fail("refused without a word");
	if (r)
		return;
	for (unsigned int flags = 0; flags < 4; flags++)
		fuzz_text(v, text, sizeof(text), flags, false);
	zen5rt_vocab_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const bool lossless[N_KINDS] = { [0] = true, [4] = true, [5] = true };
	unsigned int kind, flags;

	for (kind = 0; kind < N_KINDS && !fuzz_vocab[kind]; kind++) {
		small_write(kind);
		fuzz_vocab[kind] = must();
	}
	if (size >= 4 && !memcmp(data, "GGUF", 4)) {
		fuzz_file(data, size);
		return 0;
	}
	if (!size)
		return 0;
	kind = data[0] % N_KINDS;
	flags = data[0] & 8 ? ZEN5RT_TOKENIZE_SPECIAL : 0;
	fuzz_text(fuzz_vocab[kind], (const char *)data + 1, size - 1, flags, lossless[kind]);
	return 0;
}

/* libFuzzer brings its own main(). */
#ifndef FUZZER
static int fuzz_save(const char *dir, const char *kind, unsigned int i, const void *p, size_t n)
{
	char path[4096];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s-%u", dir, kind, i);
	f = fopen(path, "wb");
	if (!f || fwrite(p, 1, n, f) != n || fclose(f)) {
		perror(path);
		return 1;
	}
	return 0;
}

static int fuzz_corpus(const char *dir)
{
	static const char *const texts[] = {
		"the in the   abababab 12 1234567 12.5%", "don't I'LL <|x|>y</s><s> <|x|>",
		"\xe4\xbd\xa0\xe5\xa5\xbd\xef\xac\x81 \xf0\x9f\x98\x80 e\xcc\x81 \xc3\xa9 \xd0\xb6",
		"a\n\nb\r\n\t x  \xc2\xa0y", "\xff\xc0\xe4\xbd th" LB "e",
	};
	char text[256];
	int r = 0;

	for (unsigned int kind = 0; kind < N_KINDS; kind++) {
		small_write(kind);
		r |= fuzz_save(dir, "vocab", kind, file.p, file.n);
		for (unsigned int i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
			snprintf(text, sizeof(text), "%c%s", (char)('0' | kind | (i & 1) << 3),
				 texts[i]);
			r |= fuzz_save(dir, "text", kind * 8 + i, text, strlen(text));
		}
	}
	return r;
}

static uint64_t fuzz_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static uint8_t *fuzz_read(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	size_t cap = 1 << 22;
	uint8_t *p = malloc(cap);

	if (!f || !p) {
		perror(path);
		exit(1);
	}
	*n = fread(p, 1, cap, f);
	fclose(f);
	return p;
}

/* Flips, copies of a part over another, cuts. */
static size_t fuzz_mutate(uint8_t *p, size_t n, uint64_t *state)
{
	for (uint64_t k = 1 + fuzz_random(state) % 6; k && n > 2; k--) {
		size_t a = fuzz_random(state) % n, b = fuzz_random(state) % n;
		size_t most = n - (a > b ? a : b);
		size_t len = 1 + fuzz_random(state) % (most < 64 ? most : 64);

		switch (fuzz_random(state) % 4) {
		case 0:
			p[a] ^= (uint8_t)(1u << fuzz_random(state) % 8);
			break;
		case 1:
			p[a] = (uint8_t)fuzz_random(state);
			break;
		case 2:
			memmove(p + a, p + b, len);
			break;
		default:
			n = fuzz_random(state) % 16 ? n : a + 1;
		}
	}
	return n;
}

int main(int argc, char **argv)
{
	uint64_t state;
	unsigned long count;
	size_t n, m;

	if (argc == 3 && !strcmp(argv[1], "--corpus"))
		return fuzz_corpus(argv[2]);
	if (argc > 4 && !strcmp(argv[1], "--random")) {
		count = strtoul(argv[2], NULL, 0) / (unsigned long)(argc - 4);
		state = strtoull(argv[3], NULL, 0);
		for (int i = 4; i < argc; i++) {
			uint8_t *good = fuzz_read(argv[i], &n), *bad = malloc(n + 1);

			for (unsigned long k = 0; bad && k < count; k++) {
				memcpy(bad, good, n);
				m = fuzz_mutate(bad, n, &state);
				LLVMFuzzerTestOneInput(bad, m);
			}
			free(bad);
			free(good);
		}
		return 0;
	}
	for (int i = 1; i < argc && argv[1][0] != '-'; i++) {
		uint8_t *p = fuzz_read(argv[i], &n);

		LLVMFuzzerTestOneInput(p, n);
		free(p);
	}
	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s FILE... | --random COUNT SEED FILE... | --corpus DIR\n",
			argv[0]);
		return 2;
	}
	return 0;
}
#endif
