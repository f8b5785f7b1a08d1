// SPDX-License-Identifier: MIT
/*
 * Products with blocks of 32 nibbles that stand for levels: IQ4_NL, MXFP4. A byte shuffle puts in the
 * level, biased to unsigned as vpdpbusd takes it; the bias comes off with the sums of x.
 */
#include "levels.h"

/* z5_mxfp4_scale() of 16 rows */
AVX512_INLINE __m512 mxfp4_scales(const uint8_t *e)
{
	__m128i v = _mm_subs_epu8(_mm_load_si128((const __m128i *)e), _mm_set1_epi8(1));

	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(v), 23));
}

AVX512_INLINE void tile_block32(TILE_ARGS, const bool mx)
{
	const size_t nb = k / 32, od = z5_q8_32_d(k), on = z5_q8_32_nsum(k);
	const __m512i levels = mx ? avx512_levels(z5_mxfp4_levels, MXFP4_BIAS) :
				    avx512_levels(z5_iq4_levels, IQ4_BIAS);
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		for (int g = 0; g < ng; g++) {
			const uint8_t *wg = w + g * gb;
			const __m512 dw = mx ? mxfp4_scales(wg + 256 * nb + 16 * b) :
					       avx512_halves(wg + 256 * nb + 32 * b);
			__m512i v[8], sum[AVX512_TILE];

			ahead(wg + 256 * b, 4, nt);
			avx512_nibbles(wg + 256 * b, levels, v);
			for (int t = 0; t < nt; t++)
				sum[t] = _mm512_slli_epi32(avx512_quad(x + t * xs + on + 4 * b), mx ? 4 : 7);
			dots32(sum, v, x + 32 * b, xs, 0, nt);
			for (int t = 0; t < nt; t++) {
				const __m512 dx = scale_of(x + t * xs, od + 4 * b);
				__m512 *a = &acc[g * nt + t];

				*a = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(sum[t]), *a);
			}
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_iq4_nl(TILE_ARGS)
{
	tile_block32(y, ys, w, gb, k, x, xs, ng, nt, false);
}

AVX512_INLINE void tile_mxfp4(TILE_ARGS)
{
	tile_block32(y, ys, w, gb, k, x, xs, ng, nt, true);
}

MATMUL(Z5_IQ4_NL, iq4_nl)
MATMUL(Z5_MXFP4, mxfp4)
