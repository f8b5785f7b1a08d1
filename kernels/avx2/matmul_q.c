// SPDX-License-Identifier: MIT
/* Products with blocks of 32 columns. nt is a constant wherever tiles are inlined. */
#include "panel.h"

/* What block b adds to a token's sums: its weights are stored + bias, or, with bias 0, have minima at dw + 32. */
AVX2_INLINE void block32(struct sums *acc, const uint8_t *dw, const uint8_t *x, size_t k, size_t b,
			 struct rows isum, const int bias)
{
	const float *dx = (const void *)(x + z5_q8_32_d(k));
	const int32_t *nsum = (const void *)(x + z5_q8_32_nsum(k));

	if (bias)
		isum = add32(isum, both(_mm256_set1_epi32(bias * nsum[b])));
	block(acc, halves(dw), dx[b], isum);
	if (!bias)
		block_less(acc, halves(dw + 32), dx[b], both(_mm256_set1_epi32(nsum[b])));
}

AVX2_INLINE void tile_q8_0(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const __m256i bias = _mm256_set1_epi8((char)0x80);
	const uint8_t *dw = w + k / 32 * 512;

	for (size_t b = 0; b < blocks; b++, w += 512, dw += 32) {
		struct rows isum[TILE];

		ask(next, 512 + 32);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int j = 0; j < 8; j++) {
			struct rows v = line(w + 64 * j), size;

			v.lo = _mm256_xor_si256(v.lo, bias);
			v.hi = _mm256_xor_si256(v.hi, bias);
			size.lo = _mm256_abs_epi8(v.lo);
			size.hi = _mm256_abs_epi8(v.hi);
			for (int t = 0; t < nt; t++) {
				const int8_t *q = (const int8_t *)x + (size_t)t * x_stride + 32 * b;
				__m256i a = avx2_quad(q + 4 * j);
				struct rows p = {
					_mm256_maddubs_epi16(size.lo, _mm256_sign_epi8(a, v.lo)),
					_mm256_maddubs_epi16(size.hi, _mm256_sign_epi8(a, v.hi))
				};

				isum[t] = add32(isum[t], widen(p, one));
			}
		}
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_32_d(k));

			block(&acc[t], halves(dw), dx[b], isum[t]);
		}
	}
}

/* A block of nibbles. Without a minimum they are stored + 8; with one, a line of d and m follows. */
AVX2_INLINE void tile_four(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next, const int min)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const size_t size = min ? 320 : 256;
	const uint8_t *dw = min ? w + 256 : w + k / 32 * 256;

	for (size_t b = 0; b < blocks; b++, w += size, dw += min ? size : 32) {
		struct rows sum[TILE];

		ask(next, size + (min ? 0 : 32));
		for (int t = 0; t < nt; t++)
			sum[t] = both(_mm256_setzero_si256());
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++) {
			struct rows v = line(w + 64 * j);
			struct rows low = masked(v, 0, 15), high = masked(v, 4, 15);

			for (int t = 0; t < nt; t++) {
				const int8_t *q =
					(const int8_t *)x + (size_t)t * x_stride + 32 * b + 4 * j;

				sum[t] = j ? add16(sum[t], pairs(low, q)) : in_order(pairs(low, q));
				sum[t] = add16(sum[t], pairs(high, q + 16));
			}
		}
		for (int t = 0; t < nt; t++)
			block32(&acc[t], dw, x + (size_t)t * x_stride, k, b, widen(sum[t], one), min ? 0 : 8);
	}
}

AVX2_INLINE void tile_q4_0(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_four(nt, acc, w, k, blocks, x, x_stride, next, 0);
}

AVX2_INLINE void tile_q4_1(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_four(nt, acc, w, k, blocks, x, x_stride, next, 1);
}

/* The same with five bits, stored + 16. */
AVX2_INLINE void tile_five(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next, const int min)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const size_t size = min ? 384 : 320;
	const uint8_t *dw = min ? w + 320 : w + k / 32 * 320;

	for (size_t b = 0; b < blocks; b++, w += size, dw += min ? size : 32) {
		struct rows sum[2][TILE], fifth = line(w + 256);

		ask(next, size + (min ? 0 : 32));
		for (int t = 0; t < nt; t++)
			sum[0][t] = sum[1][t] = both(_mm256_setzero_si256());
		for (int j = 0; j < 4; j++) {
			struct rows low, high;

			five(line(w + 64 * j), fifth, j, &low, &high);
			for (int t = 0; t < nt; t++) {
				const int8_t *q =
					(const int8_t *)x + (size_t)t * x_stride + 32 * b + 4 * j;

				sum[0][t] = add16(sum[0][t], pairs(low, q));
				sum[1][t] = add16(sum[1][t], pairs(high, q + 16));
			}
		}
		for (int t = 0; t < nt; t++)
			block32(&acc[t], dw, x + (size_t)t * x_stride, k, b,
				add32(widen(sum[0][t], one), widen(sum[1][t], one)), min ? 0 : 16);
	}
}

AVX2_INLINE void tile_q5_0(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_five(nt, acc, w, k, blocks, x, x_stride, next, 0);
}

AVX2_INLINE void tile_q5_1(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_five(nt, acc, w, k, blocks, x, x_stride, next, 1);
}

/* ---- panels ---- */

AVX2_INLINE void panel_five(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns, const int min)
{
	const size_t size = min ? 384 : 320;
	const uint8_t *dw = w + k * 10 + column;

	w += column / 32 * size;
	for (size_t b = 0; b < columns / 32; b++, w += size) {
#pragma GCC unroll 4
		for (int j = 0; j < 4; j++)
			five(line(w + 64 * j), line(w + 256), j, &p->line[8 * b + (size_t)j],
			     &p->line[8 * b + (size_t)j + 4]);
		p->d[b] = halves(min ? w + 320 : dw + 32 * b);
		if (min)
			p->dm[b] = halves(w + 320 + 32);
	}
}

static void panel_q5_0(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	panel_five(p, w, k, column, columns, 0);
}

static void panel_q5_1(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	panel_five(p, w, k, column, columns, 1);
}

MEET(meet_five, panel_32, 4)
MEET(meet_five_min, panel_32, -1)

MATMUL(Z5_Q8_0, q8_0, 32)
MATMUL(Z5_Q4_0, q4_0, 32)
MATMUL(Z5_Q4_1, q4_1, 32)
MATMUL_PANELS(Z5_Q5_0, q5_0, 32, meet_five, 0)
MATMUL_PANELS(Z5_Q5_1, q5_1, 32, meet_five_min, 0)
