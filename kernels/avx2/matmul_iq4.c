// SPDX-License-Identifier: MIT
/*
 * Products with nibbles that stand for levels: IQ4_NL, IQ4_XS, MXFP4. A byte shuffle puts in the
 * level. vpmaddubsw saturates at 16 bits (see matmul.h), so:
 *
 *  IQ4_NL, IQ4_XS  levels of -127..113: |w| by x with the sign of w as Q8_0, 1 quad.
 *  MXFP4           |w| <= 12 likewise: 2 * 12 * 127 = 3048 a quad, 8 quads 24384 < 32767.
 */
#include <kernels/iq.h>

#include "matmul.h"

AVX2_INLINE __m256i levels_of(const int8_t *levels)
{
	return _mm256_broadcastsi128_si256(_mm_loadu_si128((const __m128i *)levels));
}

AVX2_INLINE struct rows look_up(__m256i levels, struct rows at)
{
	return (struct rows){ _mm256_shuffle_epi8(levels, at.lo),
			      _mm256_shuffle_epi8(levels, at.hi) };
}

AVX2_INLINE struct rows size_of(struct rows v)
{
	return (struct rows){ _mm256_abs_epi8(v.lo), _mm256_abs_epi8(v.hi) };
}

/* |v| times one quad of x with the signs of v, as pairs of 16 bits. */
AVX2_INLINE struct rows signed_pairs(struct rows size, struct rows v, const int8_t *q)
{
	__m256i x = avx2_quad(q);

	return (struct rows){ _mm256_maddubs_epi16(size.lo, _mm256_sign_epi8(x, v.lo)),
			      _mm256_maddubs_epi16(size.hi, _mm256_sign_epi8(x, v.hi)) };
}

/* Adds 32 columns, each quad widened by scale; the tokens at q. */
AVX2_INLINE void add_iq4(const int nt, struct rows *isum, const uint8_t *w, struct rows scale,
			 const uint8_t *q, size_t x_stride)
{
	const __m256i levels = levels_of(z5_iq4_levels);

	for (int j = 0; j < 8; j++) {
		struct rows v = look_up(levels, masked(line(w + j % 4 * 64), j / 4 * 4, 15));
		struct rows size = size_of(v);

		for (int t = 0; t < nt; t++) {
			const int8_t *at = (const int8_t *)q + (size_t)t * x_stride + 4 * j;

			isum[t] = add32(isum[t], widen(signed_pairs(size, v, at), scale));
		}
	}
}

AVX2_INLINE void tile_iq4_nl(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			     const uint8_t *x, size_t x_stride, struct asking *next)
{
	const uint8_t *dw = w + k / 32 * 256;

	for (size_t b = 0; b < blocks; b++, w += 256, dw += 32) {
		struct rows isum[TILE];

		ask(next, 256 + 32);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		add_iq4(nt, isum, w, both(_mm256_set1_epi16(1)), x + 32 * b, x_stride);
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_32_d(k));

			block(&acc[t], halves(dw), dx[b], isum[t]);
		}
	}
}

/* z5_mxfp4_scale() of 16 rows */
AVX2_INLINE struct sums scales_mxfp4(const uint8_t *e)
{
	__m128i v = _mm_subs_epu8(_mm_load_si128((const __m128i *)e), _mm_set1_epi8(1));
	__m256i lo = _mm256_cvtepu8_epi32(v), hi = _mm256_cvtepu8_epi32(_mm_srli_si128(v, 8));

	return (struct sums){ _mm256_castsi256_ps(_mm256_slli_epi32(lo, 23)),
			      _mm256_castsi256_ps(_mm256_slli_epi32(hi, 23)) };
}

AVX2_INLINE void tile_mxfp4(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			    const uint8_t *x, size_t x_stride, struct asking *next)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const __m256i levels = levels_of(z5_mxfp4_levels);
	const uint8_t *e = w + k / 32 * 256;

	for (size_t b = 0; b < blocks; b++, w += 256, e += 16) {
		struct rows sum[TILE];

		ask(next, 256 + 16);
		for (int t = 0; t < nt; t++)
			sum[t] = both(_mm256_setzero_si256());
		for (int j = 0; j < 8; j++) {
			struct rows v = look_up(levels, masked(line(w + j % 4 * 64), j / 4 * 4, 15));
			struct rows size = size_of(v);

			for (int t = 0; t < nt; t++) {
				const int8_t *q =
					(const int8_t *)x + (size_t)t * x_stride + 32 * b + 4 * j;

				sum[t] = add16(sum[t], signed_pairs(size, v, q));
			}
		}
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_32_d(k));

			block(&acc[t], scales_mxfp4(e), dx[b], widen(sum[t], one));
		}
	}
}

/* Scale s of a block in both 16-bit halves of 8 rows' lanes. */
AVX2_INLINE __m256i scale_iq4_xs(const uint8_t *low, const uint8_t *high, int s)
{
	__m256i l = _mm256_srli_epi32(avx2_load(low), 4 * s);
	__m256i h = _mm256_cvtepu16_epi32(_mm_load_si128((const __m128i *)high));
	__m256i v = _mm256_and_si256(l, _mm256_set1_epi32(15));

	h = _mm256_and_si256(_mm256_slli_epi32(_mm256_srli_epi32(h, 2 * s), 4),
			     _mm256_set1_epi32(48));
	v = _mm256_or_si256(v, h);
	v = _mm256_or_si256(v, _mm256_slli_epi32(v, 16));
	return _mm256_sub_epi16(v, _mm256_set1_epi16(32));
}

AVX2_INLINE void tile_iq4_xs(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			     const uint8_t *x, size_t x_stride, struct asking *next)
{
	for (size_t b = 0; b < blocks; b++, w += 34 * 64) {
		const uint8_t *low = w + 32 * 64, *high = w + 33 * 64;
		struct rows isum[TILE];

		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int s = 0; s < 8; s++) {
			struct rows scale = { scale_iq4_xs(low, high, s),
					      scale_iq4_xs(low + 32, high + 16, s) };

			ask(next, 34 * 64 / 8);
			add_iq4(nt, isum, w + 256 * s, scale, x + 256 * b + 32 * s, x_stride);
		}
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_256_d(k));

			block(&acc[t], halves(high + 32), dx[b], isum[t]);
		}
	}
}

MATMUL(Z5_IQ4_NL, iq4_nl, 32)
MATMUL(Z5_IQ4_XS, iq4_xs, 256)
MATMUL(Z5_MXFP4, mxfp4, 32)
