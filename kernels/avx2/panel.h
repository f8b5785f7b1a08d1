/* SPDX-License-Identifier: MIT */
/*
 * Products of more than a few tokens, where unpacking is dear. What a tile of matmul.h does to the weights for each
 * four tokens is done once for all: a panel has 256 columns of one group as plain bytes, with its scales as the
 * products take them. Four panels stay in the first-level cache (21 KiB) while the tokens pass by in fours, whose
 * activations so come from the second level once for 64 rows. In between the sums of the columns so far wait beside:
 * rows of y are often a power of two apart, where caches hold few of them.
 *
 * Sums of 16 bits may wrap as long as the end fits: with signed weights that are stored + 2^m, a sum that starts with
 * -2^m times the activations of its lane ends as that of the signed ones, in bounds where that of the stored ones is
 * not, and nothing is left to come off.
 *
 *  Q6_K  weights -32..31: 8 columns a lane in a sub-block of 16, 8 * 32 * 127 = 32512 < 32767.
 *  Q3_K  weights -4..3 likewise.
 */
#ifndef Z5_AVX2_PANEL_H
#define Z5_AVX2_PANEL_H

#include "matmul.h"

/* So many tokens are a tile, which has the weights from registers. */
#define FEW TILE

#define PANELS 4
#define PANEL_COLUMNS 256
/* Tokens that one look at the weights serves: 16 KiB of sums. */
#define PANEL_TOKENS 64

struct panel {
	struct rows line[PANEL_COLUMNS / 4];	/* quad j of each row */
	struct rows scale[16];			/* of each run of quads, in both halves of a lane */
	struct rows min[8];			/* those of two neighbouring sub-blocks as a pair */
	struct sums d[8], dm[8];		/* of each block */
};

/* Some tokens and a panel. */
struct meeting {
	const struct panel *p;
	const float *from;			/* the sums of the columns before, if any */
	float *y;
	size_t y_stride;
	const uint8_t *x;
	size_t x_stride, k;
	size_t column, columns;			/* where the panel begins, and its width */
	const struct lanes *lanes;		/* a token each */
};

/* What the sums of each 16 columns start with: the two halves of a lane. */
struct lanes {
	_Alignas(32) int32_t of[16];
};

/* Those of the 256 columns at q, whose weights are stored + (1 << bits). */
AVX2_INLINE void lanes_of(struct lanes *l, const int8_t *q, const int bits)
{
	const __m256i ones = _mm256_set1_epi8(1);

	for (int i = 0; i < 2; i++) {
		__m256i v[4], a, b;

		/* sub-blocks 2c and 2c + 1 are the halves of a register, 4 lanes each to be added */
		for (int c = 0; c < 4; c++)
			v[c] = _mm256_maddubs_epi16(ones, avx2_load(q + 128 * i + 32 * c));
		a = _mm256_add_epi16(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
		b = _mm256_add_epi16(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
		a = _mm256_add_epi16(_mm256_unpacklo_epi64(a, b), _mm256_unpackhi_epi64(a, b));
		a = _mm256_permutevar8x32_epi32(a, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
		a = _mm256_sub_epi16(_mm256_setzero_si256(), _mm256_slli_epi16(a, bits));
		_mm256_store_si256((__m256i *)&l->of[8 * i], a);
	}
}

/* ---- one panel and nt tokens, a constant ---- */

AVX2_INLINE void sums_load(const int nt, struct sums *acc, const struct meeting *m)
{
	for (int t = 0; t < nt; t++) {
		const float *y = m->from + (size_t)t * PANELS * Z5_GROUP;

		acc[t].lo = m->column ? _mm256_load_ps(y) : _mm256_setzero_ps();
		acc[t].hi = m->column ? _mm256_load_ps(y + 8) : _mm256_setzero_ps();
	}
}

AVX2_INLINE void sums_store(const int nt, const struct sums *acc, const struct meeting *m)
{
	for (int t = 0; t < nt; t++) {
		float *y = m->y + (size_t)t * m->y_stride;

		_mm256_storeu_ps(y, acc[t].lo);
		_mm256_storeu_ps(y + 8, acc[t].hi);
	}
}

/* What waits in memory while a run needs the registers; left to choose, gcc spills within the run. */
#define IN_MEMORY(a) __asm__("" : "+m"(a))

/* The sums of `run` quads in 16 bits. */
AVX2_INLINE void panel_run(const int nt, struct rows *sum, const struct rows *w, const uint8_t *x, size_t x_stride,
			   const int run)
{
#pragma GCC unroll 8
	for (int i = 0; i < run; i++) {
		for (int t = 0; t < nt; t++) {
			struct rows p = pairs(w[i], (const int8_t *)x + (size_t)t * x_stride + 4 * i);

			sum[t] = i ? add16(sum[t], p) : in_order(p);
		}
	}
}

/* Blocks of 32 with weights of 5 bits: stored + (1 << bits), or, with bits -1, with a minimum. */
AVX2_INLINE void panel_32(const int nt, const struct meeting *m, const int bits)
{
	const struct rows one = both(_mm256_set1_epi16(1)), *w = m->p->line;
	const struct sums *d = m->p->d, *const end = d + m->columns / 32;
	const size_t x_stride = m->x_stride;
	const uint8_t *x = m->x + m->column;
	const uint8_t *dx = m->x + z5_q8_32_d(m->k) + m->column / 8, *nsum = m->x + z5_q8_32_nsum(m->k) + m->column / 8;
	struct sums acc[TILE];

	sums_load(nt, acc, m);
	for (; d < end; d++, w += 8, x += 32, dx += 4, nsum += 4) {
		struct rows isum[TILE], sum[TILE];

#pragma GCC unroll 2
		for (int j = 0; j < 8; j += 4) {
			panel_run(nt, sum, w + j, x + 4 * j, x_stride, 4);
			for (int t = 0; t < nt; t++) {
				isum[t] = j ? add32(isum[t], widen(sum[t], one)) : widen(sum[t], one);
				IN_MEMORY(isum[t]);
			}
		}
		for (int t = 0; t < nt; t++) {
			const size_t at = (size_t)t * x_stride;
			const __m256i ns = _mm256_set1_epi32(*(const avx2_i32 *)(nsum + at));

			if (bits >= 0)
				isum[t] = add32(isum[t], both(_mm256_slli_epi32(ns, bits)));
			block(&acc[t], *d, *(const float *)(const void *)(dx + at), isum[t]);
			if (bits < 0)
				block_less(&acc[t], d[8], *(const float *)(const void *)(dx + at), both(ns));
			IN_MEMORY(acc[t]);
		}
	}
	sums_store(nt, acc, m);
}

/*
 * A block of 256 with sub-blocks of `sub` quads, 8 or 4, which fit in 16 bits by `run`. mins: how many pairs of them
 * there are, 4 or 8, or 0 and the weights are signed.
 */
AVX2_INLINE void panel_256(const int nt, const struct meeting *m, const int sub, const int run, const int mins)
{
	const size_t b = m->column / 256, x_stride = m->x_stride;
	const struct rows *w = m->p->line;
	const uint8_t *x = m->x + m->column;
	struct rows isum[TILE], sum[TILE];
	struct sums acc[TILE];

	for (int t = 0; t < nt; t++) {
		isum[t] = both(_mm256_setzero_si256());
		IN_MEMORY(isum[t]);
	}
	for (int s = 0; s < 64 / sub; s++, w += sub, x += 4 * sub) {
		const struct rows scale = m->p->scale[s];

#pragma GCC unroll 2
		for (int j = 0; j < sub; j += run) {
			panel_run(nt, sum, w + j, x + 4 * j, x_stride, run);
			for (int t = 0; t < nt; t++) {
				if (!mins)
					sum[t] = add16(sum[t], both(_mm256_set1_epi32(m->lanes[t].of[s])));
				isum[t] = add32(isum[t], widen(sum[t], scale));
				IN_MEMORY(isum[t]);
			}
		}
	}
	sums_load(nt, acc, m);
	for (int t = 0; t < nt; t++) {
		const uint8_t *a = m->x + (size_t)t * x_stride;
		const float *dx = (const void *)(a + z5_q8_256_d(m->k));
		const int8_t *of = (const int8_t *)a + (mins == 4 ? z5_q8_256_s32(m->k) + 16 * b :
								    z5_q8_256_s16(m->k) + 32 * b);

		block(&acc[t], m->p->d[0], dx[b], isum[t]);
		if (mins) {
			struct rows min = widen(m->p->min[0], both(avx2_quad(of)));

			for (int i = 1; i < mins; i++)
				min = add32(min, widen(m->p->min[i], both(avx2_quad(of + 4 * i))));
			block_less(&acc[t], m->p->dm[0], dx[b], min);
		}
	}
	sums_store(nt, acc, m);
}

/* ---- groups and tokens ---- */

struct panel_type {
	/* The panel from a column of the group at w on, so many wide. */
	void (*unpack)(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns);
	void (*meet[3])(const struct meeting *m);	/* with 1, 2 and 4 tokens */
	int bits;					/* for lanes_of(); 0: none */
};

AVX2_INLINE void panel_tokens(const struct panel_type type, const int log, const struct panel *p, unsigned int groups,
			      struct meeting m)
{
	struct lanes lanes[TILE];

	if (type.bits)
		for (int t = 0; t < 1 << log; t++)
			lanes_of(&lanes[t], (const int8_t *)m.x + (size_t)t * m.x_stride + m.column, type.bits);
	m.lanes = lanes;
	for (unsigned int g = 0; g < groups; g++) {
		m.p = p + g;
		type.meet[log](&m);
		m.y += Z5_GROUP;
		m.from += Z5_GROUP;
	}
}

AVX2_INLINE void panel_next(struct meeting *m, size_t n)
{
	m->x += n * m->x_stride;
	m->y += n * m->y_stride;
	m->from += n * PANELS * Z5_GROUP;
}

/* n tokens of PANEL_TOKENS at most and up to PANELS groups, over all of k. */
AVX2_INLINE void panel_rows(const struct panel_type type, size_t gb, float *y, size_t y_stride, const uint8_t *w,
			    size_t k, unsigned int groups, const uint8_t *x, size_t x_stride, size_t n)
{
	_Alignas(64) float sums[PANEL_TOKENS][PANELS * Z5_GROUP];
	struct panel p[PANELS];

	for (size_t c = 0; c < k; c += PANEL_COLUMNS) {
		struct meeting m = { .x = x, .x_stride = x_stride, .k = k, .column = c, .columns = PANEL_COLUMNS,
				     .from = sums[0], .y = sums[0], .y_stride = PANELS * Z5_GROUP };
		size_t left = n;

		if (k - c <= PANEL_COLUMNS) {
			m.columns = k - c;
			m.y = y;
			m.y_stride = y_stride;
		}
		for (unsigned int i = 0; i < groups; i++)
			type.unpack(&p[i], w + i * gb, k, c, m.columns);
		for (; left >= 4; left -= 4, panel_next(&m, 4))
			panel_tokens(type, 2, p, groups, m);
		if (left >= 2) {
			panel_tokens(type, 1, p, groups, m);
			left -= 2;
			panel_next(&m, 2);
		}
		if (left)
			panel_tokens(type, 0, p, groups, m);
	}
}

AVX2_INLINE void panel_matmul(const struct panel_type type, size_t gb, Z5_MATMUL_ARGS)
{
	for (size_t g = g0; g < g1; g += PANELS) {
		unsigned int groups = g1 - g < PANELS ? (unsigned int)(g1 - g) : PANELS;

		for (size_t t = 0; t < n; t += PANEL_TOKENS)
			panel_rows(type, gb, y + t * y_stride + g * Z5_GROUP, y_stride,
				   (const uint8_t *)w + g * gb, k, groups, (const uint8_t *)x + t * x_stride, x_stride,
				   n - t < PANEL_TOKENS ? n - t : PANEL_TOKENS);
	}
}

/* Each by itself: inlined, they would share their registers with the loops around. */
#define MEET(name, fn, ...)								\
static __attribute__((noinline)) void name##_1(const struct meeting *m)			\
{											\
	fn(1, m, ##__VA_ARGS__);							\
}											\
static __attribute__((noinline)) void name##_2(const struct meeting *m)			\
{											\
	fn(2, m, ##__VA_ARGS__);							\
}											\
static __attribute__((noinline)) void name##_4(const struct meeting *m)			\
{											\
	fn(4, m, ##__VA_ARGS__);							\
}

#define MATMUL_PANELS(type, name, block, meeting, stored)				\
static __attribute__((noinline)) void panels_##name(size_t gb, Z5_MATMUL_ARGS)		\
{											\
	panel_matmul((struct panel_type){ panel_##name,					\
					  { meeting##_1, meeting##_2, meeting##_4 }, stored },	\
		     gb, y, y_stride, w, k, g0, g1, x, x_stride, n);			\
}											\
void z5_avx2_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	size_t gb = z5_types[type].group_bytes(k);					\
											\
	if (n > FEW)									\
		panels_##name(gb, y, y_stride, w, k, g0, g1, x, x_stride, n);		\
	else										\
		matmul(tile_##name, block, gb, y, y_stride, w, k, g0, g1, x, x_stride, n); \
}

#endif
