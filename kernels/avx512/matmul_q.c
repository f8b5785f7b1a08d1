// SPDX-License-Identifier: MIT
/* Products with blocks of 32 columns. */
#include "matmul.h"

/* ---- Q8_0, Q4_0: weights are stored + 128 and + 8, so a block's sum starts from -128 and -8 times that of x ---- */

AVX512_INLINE void tile_block32(TILE_ARGS, const bool nibbles)
{
	const size_t nb = k / 32, line = nibbles ? 256 : 512;
	const size_t od = z5_q8_32_d(k), on = z5_q8_32_nsum(k);
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		for (int g = 0; g < ng; g++) {
			const uint8_t *wb = w + g * gb + b * line;
			const __m512 dw = avx512_halves(w + g * gb + nb * line + 32 * b);
			__m512i v[8];

			ahead(wb, nibbles ? 4 : 8, nt);
			for (int j = 0; j < (nibbles ? 4 : 8); j++) {
				const __m512i low = _mm512_set1_epi8(15);

				v[j] = avx512_load(wb + 64 * j);
				if (nibbles) {
					v[j + 4] = _mm512_and_si512(_mm512_srli_epi16(v[j], 4), low);
					v[j] = _mm512_and_si512(v[j], low);
				}
			}
			for (int t = 0; t < nt; t++) {
				const uint8_t *xt = x + t * xs;
				__m512i s = _mm512_slli_epi32(avx512_quad(xt + on + 4 * b), nibbles ? 3 : 7);
				__m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
				__m512 *a = &acc[g * nt + t];

				s = dot32(s, v, xt + 32 * b, nt);
				*a = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(s), *a);
			}
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_q8_0(TILE_ARGS)
{
	tile_block32(y, ys, w, gb, k, x, xs, ng, nt, false);
}

AVX512_INLINE void tile_q4_0(TILE_ARGS)
{
	tile_block32(y, ys, w, gb, k, x, xs, ng, nt, true);
}

MATMUL(Z5_Q8_0, q8_0)
MATMUL(Z5_Q4_0, q4_0)
