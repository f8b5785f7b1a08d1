// SPDX-License-Identifier: MIT
/*
 * Reads at random places on pages of 4 KiB, 2 MiB and 1 GiB, in turn: each read waits for the one before it, or eight
 * chains of such reads run side by side. pages [MiB [rounds]]
 */
#include <stdio.h>
#include <stdlib.h>

#include <mem/region.h>

#include "timing.h"

#define LINE		64
#define CHAINS		8
#define READS		(2u << 20)
#define MAX_ROUNDS	99

static const struct {
	const char *name;
	enum z5_page page;
} sizes[] = {
	{ "4 KiB", Z5_PAGE_4K },
	{ "2 MiB", Z5_PAGE_2M },
	{ "1 GiB", Z5_PAGE_1G },
};

#define N_SIZES		(sizeof(sizes) / sizeof(*sizes))

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* One cycle through all lines (Sattolo's shuffle), so that a chain comes to each of them once. */
static void make_chain(uint8_t *p, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		*(uint64_t *)(void *)(p + i * LINE) = i;
	for (size_t i = lines - 1; i; i--) {
		uint64_t *a = (uint64_t *)(void *)(p + i * LINE), t = *a;
		uint64_t *b = (uint64_t *)(void *)(p + rnd() % i * LINE);

		*a = *b;
		*b = t;
	}
}

static double read_chains(const uint8_t *p, unsigned int n, uint64_t *at)
{
	const double start = now();

	for (unsigned int i = 0; i < READS / n; i++)
		for (unsigned int c = 0; c < n; c++)
			at[c] = *(const volatile uint64_t *)(const void *)(p + at[c] * LINE);
	return (now() - start) / READS;
}

int main(int argc, char **argv)
{
	const size_t size = (argc > 1 ? strtoul(argv[1], NULL, 10) : 1024) << 20, lines = size / LINE;
	unsigned int rounds = argc > 2 ? (unsigned int)strtoul(argv[2], NULL, 10) : 9;
	static double took[N_SIZES][2][MAX_ROUNDS];
	struct z5_region r[N_SIZES] = { 0 };
	uint64_t at[N_SIZES][CHAINS];
	struct zen5rt_error err;

	if (size < 1u << 20 || !rounds || rounds > MAX_ROUNDS) {
		fprintf(stderr, "usage: pages [MiB [rounds]]: 1 MiB or more, 1 to %d rounds\n", MAX_ROUNDS);
		return 64;
	}
	for (size_t s = 0; s < N_SIZES; s++) {
		if (z5_region_alloc(&r[s], "pages", size, sizes[s].page, &err)) {
			fprintf(stderr, "pages: %s\n", err.message);
			return 1;
		}
		make_chain(r[s].addr, lines);
		for (unsigned int c = 0; c < CHAINS; c++)
			at[s][c] = rnd() % lines;
	}
	for (unsigned int i = 0; i < rounds; i++)
		for (size_t s = 0; s < N_SIZES; s++)
			for (unsigned int c = 0; c < 2; c++)
				took[s][c][i] = read_chains(r[s].addr, c ? CHAINS : 1, at[s]);
	printf("%zu MiB, ns a read, medians (quartiles) of %u rounds of %u reads in turn\n", size >> 20, rounds, READS);
	for (size_t s = 0; s < N_SIZES; s++) {
		printf("%s asked, %s of %3.0f %% on such pages:", sizes[s].name, r[s].backend->name,
		       100.0 * (double)z5_region_page_bytes(&r[s]) / (double)r[s].size);
		for (unsigned int c = 0; c < 2; c++) {
			double *v = took[s][c];

			in_order(v, rounds);
			printf("  %u at once %6.2f (%.2f to %.2f)", c ? CHAINS : 1, v[rounds / 2] * 1e9, v[rounds / 4] * 1e9,
			       v[rounds * 3 / 4] * 1e9);
		}
		putchar('\n');
		z5_region_free(&r[s]);
	}
	return 0;
}
