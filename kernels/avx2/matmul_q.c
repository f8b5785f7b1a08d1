// SPDX-License-Identifier: MIT
/* Products with blocks of 32 columns. nt is a constant wherever tiles are inlined. */
#include "matmul.h"

AVX2_INLINE void tile_q8_0(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const __m256i bias = _mm256_set1_epi8((char)0x80);
	const uint8_t *dw = w + k / 32 * 512;

	for (size_t b = 0; b < k / 32; b++, w += 512, dw += 32) {
		struct rows isum[TILE];

		if (nt == 1)
			ahead(w, 8);
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

AVX2_INLINE void tile_q4_0(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const uint8_t *dw = w + k / 32 * 256;

	for (size_t b = 0; b < k / 32; b++, w += 256, dw += 32) {
		struct rows sum[TILE];

		if (nt == 1)
			ahead(w, 4);
		for (int t = 0; t < nt; t++)
			sum[t] = both(_mm256_setzero_si256());
		for (int j = 0; j < 4; j++) {
			struct rows v = line(w + 64 * j);
			struct rows low = masked(v, 0, 15), high = masked(v, 4, 15);

			for (int t = 0; t < nt; t++) {
				const int8_t *q =
					(const int8_t *)x + (size_t)t * x_stride + 32 * b + 4 * j;

				sum[t] = add16(sum[t], pairs(low, q));
				sum[t] = add16(sum[t], pairs(high, q + 16));
			}
		}
		for (int t = 0; t < nt; t++) {
			const uint8_t *a = x + (size_t)t * x_stride;
			const float *dx = (const void *)(a + z5_q8_32_d(k));
			const int32_t *nsum = (const void *)(a + z5_q8_32_nsum(k));

			block(&acc[t], halves(dw), dx[b],
			      add32(widen(sum[t], one), both(_mm256_set1_epi32(8 * nsum[b]))));
		}
	}
}

MATMUL(Z5_Q8_0, q8_0)
MATMUL(Z5_Q4_0, q4_0)
