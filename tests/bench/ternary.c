// SPDX-License-Identifier: MIT
/*
 * ternary: ways to multiply a lone token with ternary weights, in one process and in turns, from memory and from the
 * second-level cache: two bits a weight as they ship (kernels/avx2), base 3 at five weights a byte, and lookup tables
 * after T-MAC (Wei et al., arXiv 2407.00088). All are exact, and compared with each other before they are timed.
 */
#include <kernels/avx2/avx2.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define BLOCK	256
#define MOST_K	8192

/* 16 rows of a block; plain[r][i] is a weight + 1 of it. */
typedef void (*pack_fn)(uint8_t *dst, uint8_t plain[16][BLOCK]);
typedef void (*run_fn)(float *y, const uint8_t *w, size_t k, size_t groups, const uint8_t *x);

struct way {
	const char *name;
	size_t bytes;		/* of a block of 16 rows, without its scales */
	pack_fn pack;
	run_fn run;
	uint8_t *w;
	double best;
};

/* What is left when a block's sum of weights + 1 is in isum, the same everywhere. */
AVX2_INLINE void finish(__m256 acc[2], const __m256i isum[2], const uint8_t *x, size_t k, size_t b)
{
	const float *dx = (const void *)(x + z5_q8_256_d(k));
	__m128i s = _mm_load_si128((const __m128i *)(const void *)(x + z5_q8_256_s32(k) + 16 * b));
	__m256i v;

	s = _mm_madd_epi16(s, _mm_set1_epi16(1));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	v = _mm256_broadcastd_epi32(s);
	for (int i = 0; i < 2; i++)
		acc[i] = _mm256_fmadd_ps(_mm256_set1_ps(dx[b]), _mm256_cvtepi32_ps(_mm256_sub_epi32(isum[i], v)),
					 acc[i]);
}

AVX2_INLINE void ask(const uint8_t *p, size_t ahead, size_t lines)
{
	for (size_t i = 0; i < lines; i++)
		_mm_prefetch((const char *)p + ahead + 64 * i, _MM_HINT_T0);
}

/* ---- two bits ---- */

static void pack_two(uint8_t *dst, uint8_t plain[16][BLOCK])
{
	for (int r = 0; r < 16; r++)
		for (int i = 0; i < BLOCK; i++) {
			uint8_t *p = dst + (i / 128 * 8 + i % 32 / 4) * 64 + 4 * r + i % 4;
			const int at = i % 128 / 32 * 2;

			*p = (uint8_t)((*p & ~(3 << at)) | plain[r][i] << at);
		}
}

static void run_two(float *y, const uint8_t *w, size_t k, size_t groups, const uint8_t *x)
{
	z5_avx2_matmul_i2_s(y, groups * 16, w, k, 0, groups, x, 0, 1);
}

/* ---- base 3: 12 lines with five quads and one with four, a quad's byte for each digit ---- */

#define LINES3 13

static void pack_three(uint8_t *dst, uint8_t plain[16][BLOCK])
{
	for (int l = 0; l < LINES3; l++)
		for (int r = 0; r < 16; r++)
			for (int i = 0; i < 4; i++) {
				unsigned int v = 0;

				for (int n = 0; n < 5; n++)
					v = 3 * v + (l * 5 + n < 64 ? plain[r][(l * 5 + n) * 4 + i] : 0);
				/* a fraction of 256, less 128 so that comparisons are signed */
				dst[l * 64 + 4 * r + i] = (uint8_t)(((v * 256 + 242) / 243) ^ 0x80);
			}
}

/* The digit that a multiplication by 3 carries out is the sum of two comparisons. */
AVX2_INLINE __m256i digit(__m256i v)
{
	return _mm256_abs_epi8(_mm256_add_epi8(_mm256_cmpgt_epi8(v, _mm256_set1_epi8(85 - 128)),
					       _mm256_cmpgt_epi8(v, _mm256_set1_epi8(170 - 128))));
}

static void run_three(float *y, const uint8_t *w, size_t k, size_t groups, const uint8_t *x)
{
	const __m256i one = _mm256_set1_epi16(1);

	for (size_t g = 0; g < groups; g++, y += 16) {
		__m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };

		for (size_t b = 0; b < k / BLOCK; b++, w += LINES3 * 64) {
			__m256i sum[2] = { _mm256_setzero_si256(), _mm256_setzero_si256() };
			__m256i isum[2] = { sum[0], sum[0] };
			const int8_t *q = (const int8_t *)x + BLOCK * b;

			ask(w, 2048, LINES3);
			for (int l = 0; l < LINES3; l++, q += 20) {
				__m256i v[2] = { avx2_load(w + 64 * l), avx2_load(w + 64 * l + 32) };

#pragma GCC unroll 5
				for (int n = 0; n < 5; n++) {
					/* the digits beyond the block's end are 0 */
					const __m256i a = avx2_quad(q + (l == 12 && n == 4 ? 0 : 4 * n));

					for (int i = 0; i < 2; i++) {
						sum[i] = _mm256_add_epi16(sum[i], _mm256_maddubs_epi16(digit(v[i]), a));
						v[i] = _mm256_add_epi8(v[i], _mm256_add_epi8(v[i], v[i]));
					}
				}
				if (l == 5 || l == 12)
					for (int i = 0; i < 2; i++) {
						isum[i] = _mm256_add_epi32(isum[i], _mm256_madd_epi16(sum[i], one));
						sum[i] = _mm256_setzero_si256();
					}
			}
			finish(acc, isum, x, k, b);
		}
		_mm256_storeu_ps(y, acc[0]);
		_mm256_storeu_ps(y + 8, acc[1]);
	}
}

/*
 * ---- tables ----
 *
 * Weights + 1 as two planes of one bit. Four columns of a plane are an index into a table of what the 16 subsets of
 * four activations sum to, in two bytes, low and high, that a byte shuffle each looks up for 16 rows and two tables at
 * once. A line of 64 bytes has tables c and c + 1 of 16 rows side by side in 32 bytes for each plane, and tables c + 2
 * and c + 3 in the upper nibbles.
 */
struct table {
	uint8_t low[16], high[16];
};

static void pack_table(uint8_t *dst, uint8_t plain[16][BLOCK])
{
	memset(dst, 0, BLOCK / 16 * 64);
	for (int r = 0; r < 16; r++)
		for (int i = 0; i < BLOCK; i++)
			for (int plane = 0; plane < 2; plane++) {
				const int c = i / 4;

				dst[c / 4 * 64 + plane * 32 + c % 2 * 16 + r] |=
					(uint8_t)((plain[r][i] >> plane & 1) << (i % 4 + c % 4 / 2 * 4));
			}
}

static void make_tables(struct table *t, const int8_t *q, size_t k)
{
	for (size_t c = 0; c < k / 4; c++, q += 4) {
		int16_t sum[16] = { 0 };

		for (int i = 1; i < 16; i++)
			sum[i] = (int16_t)(sum[i & (i - 1)] + q[__builtin_ctz((unsigned int)i)]);
		/* two tables share a register of low bytes and one of high ones */
		for (int i = 0; i < 16; i++) {
			uint8_t *at = (uint8_t *)(t + c / 2 * 2) + c % 2 * 16 + i;

			at[0] = (uint8_t)sum[i];
			at[32] = (uint8_t)(sum[i] >> 8);
		}
	}
}

AVX2_INLINE void look_up(__m256i sum[2], __m256i low, __m256i high, __m256i at)
{
	low = _mm256_shuffle_epi8(low, at);
	high = _mm256_shuffle_epi8(high, at);
	sum[0] = _mm256_add_epi16(sum[0], _mm256_unpacklo_epi8(low, high));
	sum[1] = _mm256_add_epi16(sum[1], _mm256_unpackhi_epi8(low, high));
}

/* 16 sums of 16 bits, of two tables each, to 32 bits; lanes 0 and 1 are the two. */
AVX2_INLINE __m256i across(__m256i v)
{
	return _mm256_add_epi32(_mm256_cvtepi16_epi32(_mm256_castsi256_si128(v)),
				_mm256_cvtepi16_epi32(_mm256_extracti128_si256(v, 1)));
}

static void run_table(float *y, const uint8_t *w, size_t k, size_t groups, const uint8_t *x)
{
	static _Thread_local struct table tables[MOST_K / 4] __attribute__((aligned(64)));
	static _Thread_local bool made;
	const __m256i low = _mm256_set1_epi8(15);

	/* a thread is made for one turn, or many in the cache, of which only the first one pays */
	if (!made)
		make_tables(tables, (const int8_t *)x, k);
	made = true;
	for (size_t g = 0; g < groups; g++, y += 16) {
		const uint8_t *t = (const uint8_t *)tables;
		__m256 acc[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() };

		for (size_t b = 0; b < k / BLOCK; b++) {
			__m256i sum[2][2] = { { _mm256_setzero_si256() } }, isum[2];

			ask(w, 2048, 16);
#pragma GCC unroll 4
			for (int l = 0; l < 16; l++, w += 64, t += 128) {
				for (int plane = 0; plane < 2; plane++) {
					const __m256i v = avx2_load(w + 32 * plane);

					look_up(sum[plane], avx2_load(t), avx2_load(t + 32), _mm256_and_si256(v, low));
					look_up(sum[plane], avx2_load(t + 64), avx2_load(t + 96),
						_mm256_and_si256(_mm256_srli_epi16(v, 4), low));
				}
			}
			for (int i = 0; i < 2; i++)
				isum[i] = _mm256_add_epi32(across(sum[0][i]), _mm256_slli_epi32(across(sum[1][i]), 1));
			finish(acc, isum, x, k, b);
		}
		_mm256_storeu_ps(y, acc[0]);
		_mm256_storeu_ps(y + 8, acc[1]);
	}
}

/* ---- the three in turn ---- */

static struct way ways[] = {
	{ "two bits", 1024, pack_two, run_two, NULL, 0 },
	{ "base 3", LINES3 * 64, pack_three, run_three, NULL, 0 },
	{ "tables", 1024, pack_table, run_table, NULL, 0 },
};
#define N_WAYS (sizeof(ways) / sizeof(*ways))

static void *memory(size_t n)
{
	uint8_t *p = mmap(NULL, n + (4 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED) {
		perror("ternary");
		exit(1);
	}
	p = (uint8_t *)(((uintptr_t)p + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
	madvise(p, n, MADV_HUGEPAGE);
	return p;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

struct job {
	const struct way *way;
	float *y;
	size_t k, g0, g1, turns;
	const uint8_t *x;
	pthread_barrier_t *start;
	double from, to;
};

static void *work(void *arg)
{
	struct job *j = arg;
	const uint8_t *w = j->way->w + j->g0 * (j->k / BLOCK) * j->way->bytes;

	_mm_setcsr(_mm_getcsr() | 0x8040);
	pthread_barrier_wait(j->start);
	j->from = now();
	for (size_t i = 0; i < j->turns; i++)
		j->way->run(j->y + j->g0 * 16, w, j->k, j->g1 - j->g0, j->x);
	j->to = now();
	return NULL;
}

/* Seconds that n threads take for all groups, `turns` times. */
static double timed(const struct way *way, size_t k, size_t groups, size_t turns, float *y, const uint8_t *x, size_t n)
{
	pthread_barrier_t start;
	struct job job[16];
	double from = 1e99, to = 0;
	pthread_t id[16];

	pthread_barrier_init(&start, NULL, (unsigned int)n);
	for (size_t i = 0; i < n; i++) {
		job[i] = (struct job){ way, y, k, groups * i / n, groups * (i + 1) / n, turns, x, &start, 0, 0 };
		pthread_create(&id[i], NULL, work, &job[i]);
	}
	for (size_t i = 0; i < n; i++) {
		pthread_join(id[i], NULL);
		from = job[i].from < from ? job[i].from : from;
		to = job[i].to > to ? job[i].to : to;
	}
	pthread_barrier_destroy(&start);
	return (to - from) / (double)turns;
}

static void compare(const char *from, size_t k, size_t groups, size_t turns, size_t rounds, size_t n)
{
	const size_t nb = k / BLOCK, y_n = groups * 16;
	uint8_t *x = memory(z5_act_bytes(Z5_ACT_Q8_256, k)), plain[16][BLOCK];
	float *f = memory(k * sizeof(*f)), *y[N_WAYS];
	uint32_t state = 1;

	for (size_t i = 0; i < N_WAYS; i++) {
		ways[i].w = memory(groups * nb * ways[i].bytes);
		ways[i].best = 1e9;
		y[i] = memory(y_n * sizeof(float));
	}
	for (size_t i = 0; i < k; i++)
		f[i] = (float)(state = state * 1664525 + 1013904223) / 4294967296.0f - 0.5f;
	z5_avx2_quant_q8_256(x, f, k);
	for (size_t b = 0; b < groups * nb; b++) {
		for (size_t r = 0; r < 16; r++)
			for (size_t i = 0; i < BLOCK; i++)
				plain[r][i] = (uint8_t)(((state = state * 1664525 + 1013904223) >> 16) % 3);
		for (size_t i = 0; i < N_WAYS; i++)
			ways[i].pack(ways[i].w + b * ways[i].bytes, plain);
	}
	for (size_t round = 0; round < rounds; round++)
		for (size_t i = 0; i < N_WAYS; i++) {
			const double t = timed(&ways[i], k, groups, turns, y[i], x, n);

			ways[i].best = t < ways[i].best ? t : ways[i].best;
		}
	for (size_t i = 0; i < N_WAYS; i++) {
		if (memcmp(y[i], y[0], y_n * sizeof(float))) {
			fprintf(stderr, "ternary: %s: not the same sums\n", ways[i].name);
			exit(1);
		}
		printf("%-6s k %4zu threads %zu  %-8s %7.2f Gweights/s %7.2f GB/s  %5.2f of two bits\n", from, k, n,
		       ways[i].name, (double)(y_n * k) / ways[i].best * 1e-9,
		       (double)(groups * nb * ways[i].bytes) / ways[i].best * 1e-9, ways[0].best / ways[i].best);
		munmap(ways[i].w, groups * nb * ways[i].bytes);
	}
}

int main(int argc, char **argv)
{
	static const size_t ks[] = { 2560, 6912 };
	const size_t rounds = argc > 1 ? strtoul(argv[1], NULL, 10) : 21;

	_mm_setcsr(_mm_getcsr() | 0x8040);
	for (size_t i = 0; i < 2; i++) {
		for (size_t n = 1; n <= 2; n++) {
			const size_t bytes = ks[i] / BLOCK * 1024;

			compare("L2", ks[i], (192u << 10) / bytes * n, 200, rounds, n);
			compare("memory", ks[i], (160u << 20) / bytes, 1, rounds, n);
		}
	}
	return 0;
}
