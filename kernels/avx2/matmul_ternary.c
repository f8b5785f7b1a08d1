// SPDX-License-Identifier: MIT
/*
 * Products with ternary weights, two bits each and stored + 1: blocks of 256 columns, half of which 16 bits can sum.
 * However many the tokens, there are no panels: four share two operations a quad of unpacking, and panels, which share
 * them among all, were slower up to 16 tokens and no faster at 128 (Zen 3).
 */
#include "matmul.h"

/* What block b adds, whose weights are still stored + 1; dw: the scales of its rows. */
AVX2_INLINE void block_ternary(struct sums *acc, struct sums dw, const uint8_t *x, size_t k, size_t b, struct rows isum)
{
	const float *dx = (const void *)(x + z5_q8_256_d(k));
	/* eight sums of 32 columns to one in every lane */
	__m128i s = _mm_load_si128((const __m128i *)(const void *)(x + z5_q8_256_s32(k) + 16 * b));
	__m256i v;

	s = _mm_madd_epi16(s, _mm_set1_epi16(1));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4e));
	s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xb1));
	v = _mm256_broadcastd_epi32(s);
	isum.lo = _mm256_sub_epi32(isum.lo, v);
	isum.hi = _mm256_sub_epi32(isum.hi, v);
	block(acc, dw, dx[b], isum);
}

AVX2_INLINE struct sums ones(void)
{
	return (struct sums){ _mm256_set1_ps(1.0f), _mm256_set1_ps(1.0f) };
}

/*
 * Half a block for a lone token: one shift puts two quads of a line where they are used in place, the second 4 times
 * too large. Sums of 8 such fit.
 */
AVX2_INLINE struct rows lone_half(const uint8_t *w, const int8_t *q, struct asking *next)
{
	struct rows sum = both(_mm256_setzero_si256());

	for (int j0 = 0; j0 < 8; j0 += 4) {
		struct rows four = both(_mm256_setzero_si256());

		ask(next, 4 * 64);
#pragma GCC unroll 4
		for (int j = j0; j < j0 + 4; j++) {
			struct rows v = line(w + 64 * j), up = down16(v, 4);

			sum = add16(sum, pairs(masked(v, 0, 0x03), q + 4 * j));
			four = add16(four, pairs(masked(v, 0, 0x0c), q + 4 * j + 32));
			sum = add16(sum, pairs(masked(up, 0, 0x03), q + 4 * j + 64));
			four = add16(four, pairs(masked(up, 0, 0x0c), q + 4 * j + 96));
		}
		four.lo = _mm256_srai_epi16(four.lo, 2);
		four.hi = _mm256_srai_epi16(four.hi, 2);
		sum = add16(sum, four);
	}
	return sum;
}

/* The same for a few, who share the shifts: two sums each would not fit in registers. */
AVX2_INLINE void few_half(const int nt, struct rows *sum, const uint8_t *w, const int8_t *q, size_t x_stride,
			  struct asking *next)
{
	for (int t = 0; t < nt; t++)
		sum[t] = both(_mm256_setzero_si256());
	for (int j = 0; j < 8; j++) {
		struct rows v = line(w + 64 * j);

		ask(next, 64);
#pragma GCC unroll 4
		for (int p = 0; p < 4; p++) {
			struct rows two = masked(v, 2 * p, 3);

			for (int t = 0; t < nt; t++)
				sum[t] = add16(sum[t], pairs(two, q + (size_t)t * x_stride + 4 * j + 32 * p));
		}
	}
}

AVX2_INLINE void tile_ternary(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			      const uint8_t *x, size_t x_stride, struct asking *next, const int scaled)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const uint8_t *dw = w + k / 256 * 16 * 64;

	for (size_t b = 0; b < blocks; b++, w += 16 * 64, dw += 32) {
		const int8_t *q = (const int8_t *)x + 256 * b;
		struct rows isum[TILE], sum[TILE];

		if (scaled)
			ask(next, 32);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int h = 0; h < 2; h++) {
			if (nt == 1)
				sum[0] = lone_half(w + 512 * h, q + 128 * h, next);
			else
				few_half(nt, sum, w + 512 * h, q + 128 * h, x_stride, next);
			for (int t = 0; t < nt; t++)
				isum[t] = add32(isum[t], widen(sum[t], one));
		}
		for (int t = 0; t < nt; t++)
			block_ternary(&acc[t], scaled ? halves(dw) : ones(), x + (size_t)t * x_stride, k, b, isum[t]);
	}
}

AVX2_INLINE void tile_tq2_0(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			    const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_ternary(nt, acc, w, k, blocks, x, x_stride, next, 1);
}

AVX2_INLINE void tile_i2_s(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_ternary(nt, acc, w, k, blocks, x, x_stride, next, 0);
}

MATMUL(Z5_TQ2_0, tq2_0, 256)
MATMUL(Z5_I2_S, i2_s, 256)
