/* SPDX-License-Identifier: MIT */
/*
 * What a fuzz target is without libFuzzer:
 *
 *	FILE...				each file is an input
 *	--random COUNT SEED FILE...	mutates the files COUNT times; crashes or is content
 *	--corpus DIR			writes inputs to begin with into DIR
 *
 * --random counts inputs and not seconds, so that a test run does the same work everywhere. A target includes this
 * last and defines fuzz_seeds before: its first inputs, texts, ending with NULL.
 */
#ifndef FUZZ_DRIVER_H
#define FUZZ_DRIVER_H

/* libFuzzer brings its own main(). */
#ifndef FUZZER
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t driver_random(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

/* Flips, copies of a part over another or between others, words from another seed, cuts. p has room for 2 * n. */
static size_t driver_mutate(uint8_t *p, size_t n, uint64_t *state)
{
	static const char marks[] = "()[]{}*+?|\"\\^$.,:-<>!#\n 019az_";
	size_t room = 2 * n;

	for (uint64_t k = 1 + driver_random(state) % 3; k && n > 2; k--) {
		size_t a = driver_random(state) % n, b = driver_random(state) % n;
		size_t most = n - (a > b ? a : b), len = 1 + driver_random(state) % (most < 64 ? most : 64);

		switch (driver_random(state) % 6) {
		case 0:
			p[a] ^= (uint8_t)(1u << driver_random(state) % 8);
			break;
		case 1:
			p[a] = (uint8_t)marks[driver_random(state) % (sizeof(marks) - 1)];
			break;
		case 2:
			memmove(p + a, p + b, len);
			break;
		case 3:
			if (n + len > room)
				break;
			memmove(p + a + len, p + a, n - a);
			n += len;
			memmove(p + a, p + (b + len < n ? b : 0), len);
			break;
		case 4:
			memmove(p + a, p + a + len, n - a - len);
			n -= len;
			break;
		default:
			n = driver_random(state) % 16 ? n : a + 1;
		}
	}
	return n;
}

static uint8_t *driver_read(const char *path, size_t *n)
{
	FILE *f = fopen(path, "rb");
	uint8_t *p = malloc(1 << 20);

	if (!f || !p) {
		perror(path);
		exit(1);
	}
	*n = fread(p, 1, 1 << 20, f);
	fclose(f);
	return p;
}

static int driver_corpus(const char *dir)
{
	for (unsigned int i = 0; fuzz_seeds[i]; i++) {
		size_t n = strlen(fuzz_seeds[i]);
		char path[4096];
		FILE *f;

		snprintf(path, sizeof(path), "%s/seed-%u", dir, i);
		f = fopen(path, "wb");
		if (!f || fwrite(fuzz_seeds[i], 1, n, f) != n || fclose(f)) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

static void driver_random_runs(unsigned long count, uint64_t seed, char **files, int n_files)
{
	for (int i = 0; i < n_files; i++) {
		size_t n;
		uint8_t *good = driver_read(files[i], &n), *bad = malloc(2 * n + 1);

		for (unsigned long k = 0; bad && k < count / (unsigned long)n_files; k++) {
			memcpy(bad, good, n);
			LLVMFuzzerTestOneInput(bad, driver_mutate(bad, n, &seed));
		}
		free(bad);
		free(good);
	}
}

int main(int argc, char **argv)
{
	size_t n;

	if (argc == 3 && !strcmp(argv[1], "--corpus"))
		return driver_corpus(argv[2]);
	if (argc > 4 && !strcmp(argv[1], "--random")) {
		driver_random_runs(strtoul(argv[2], NULL, 0), strtoull(argv[3], NULL, 0), argv + 4, argc - 4);
		return 0;
	}
	if (argc < 2 || argv[1][0] == '-') {
		fprintf(stderr, "usage: %s FILE... | --random COUNT SEED FILE... | --corpus DIR\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++) {
		uint8_t *p = driver_read(argv[i], &n);

		LLVMFuzzerTestOneInput(p, n);
		free(p);
	}
	return 0;
}
#endif
#endif
