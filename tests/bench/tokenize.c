// SPDX-License-Identifier: MIT
/*
 * How fast a vocabulary is read and a text becomes ids, on one core:
 *
 *	tokenize TEXT VOCAB.gguf...
 *
 * Seconds are CPU time of this thread, the best of five; MB are 10^6 bytes of text.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <zen5rt.h>

#define ROUNDS 5

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static char *slurp(const char *path, size_t *len)
{
	FILE *f = fopen(path, "rb");
	char *text = NULL;

	if (f && !fseek(f, 0, SEEK_END)) {
		*len = (size_t)ftell(f);
		rewind(f);
		text = malloc(*len + 1);
		if (text && fread(text, 1, *len, f) != *len) {
			free(text);
			text = NULL;
		}
	}
	if (f)
		fclose(f);
	if (!text)
		perror(path);
	return text;
}

static int bench(const char *path, const char *text, size_t len, int32_t *ids)
{
	double load = 1e9, best = 1e9, start;
	struct zen5rt_vocab *v;
	struct zen5rt_error err;
	int64_t n = 0;

	for (int i = 0; i < ROUNDS; i++) {
		start = now();
		if (zen5rt_vocab_load(path, &v, &err)) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
		load = now() - start < load ? now() - start : load;
		start = now();
		n = zen5rt_tokenize(v, text, len, 0, ids, len, &err);
		best = now() - start < best ? now() - start : best;
		zen5rt_vocab_free(v);
		if (n < 0) {
			fprintf(stderr, "%s\n", err.message);
			return 1;
		}
	}
	printf("%-40s load %6.1f ms  %8ld ids  %6.2f MB/s\n", path, load * 1e3, (long)n,
	       (double)len / best / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	size_t len = 0;
	char *text = argc > 2 ? slurp(argv[1], &len) : NULL;
	int32_t *ids = text ? malloc((len + 1) * sizeof(*ids)) : NULL;
	int r = !ids;

	if (argc < 3)
		fprintf(stderr, "usage: %s TEXT VOCAB.gguf...\n", argv[0]);
	for (int i = 2; i < argc && !r; i++)
		r = bench(argv[i], text, len, ids);
	free(ids);
	free(text);
	return r;
}
