// SPDX-License-Identifier: MIT
/* Products with float weights: columns in order, one fma each. */
#include "matmul.h"

AVX512_INLINE __m512 xf(const uint8_t *x, size_t xs, int t, size_t i)
{
	return _mm512_set1_ps(((const alias_f32 *)(x + t * xs))[i]);
}

AVX512_INLINE void tile_f32(TILE_ARGS)
{
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t i = 0; i < k; i++) {
		for (int g = 0; g < ng; g++) {
			const __m512 v = _mm512_load_ps(w + g * gb + i * 64);

			for (int t = 0; t < nt; t++)
				acc[g * nt + t] = _mm512_fmadd_ps(v, xf(x, xs, t, i), acc[g * nt + t]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_f16(TILE_ARGS)
{
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t i = 0; i < k; i++) {
		for (int g = 0; g < ng; g++) {
			const __m512 v = avx512_halves(w + g * gb + i * 32);

			for (int t = 0; t < nt; t++)
				acc[g * nt + t] = _mm512_fmadd_ps(v, xf(x, xs, t, i), acc[g * nt + t]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_bf16(TILE_ARGS)
{
	const __m512i top = _mm512_set1_epi32((int)0xffff0000);
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t i = 0; i < k; i += 2) {
		/* of an odd k the last column stands alone */
		const bool pair = i + 1 < k;

		for (int g = 0; g < ng; g++) {
			const __m512i v = avx512_load(w + g * gb + i * 32);
			const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
			const __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(v, top));

			for (int t = 0; t < nt; t++) {
				__m512 *a = &acc[g * nt + t];

				*a = _mm512_fmadd_ps(even, xf(x, xs, t, i), *a);
				if (pair)
					*a = _mm512_fmadd_ps(odd, xf(x, xs, t, i + 1), *a);
			}
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

MATMUL(Z5_F32, f32)
MATMUL(Z5_F16, f16)
MATMUL(Z5_BF16, bf16)
