// SPDX-License-Identifier: MIT
/* Products with blocks of 32 columns. */
#include "matmul.h"

/*
 * Nibbles and fifth bits into weights. High quads are left where they stand in their bytes, 1 << up times too
 * large: one shift of a lone token's sum costs less than one of each line. Many tokens share the shifts of lines.
 */
AVX512_INLINE void weights(__m512i *v, const uint8_t *w, const int bits, const int up, const int nt)
{
	const __m512i low = _mm512_set1_epi8(15);

	if (bits == 8) {
		for (int j = 0; j < 8; j++)
			v[j] = avx512_load(w + 64 * j);
		return;
	}
	for (int j = 0; j < 4; j++) {
		const __m512i q = avx512_load(w + 64 * j);

		if (bits == 5) {
			const __m512i fifth = fifth_bits(avx512_load(w + 4 * 64), j);

			v[j] = low_five(q, fifth);
			v[j + 4] = high_five(q, fifth);
		} else {
			v[j] = _mm512_and_si512(q, low);
			v[j + 4] = _mm512_andnot_si512(low, q);
		}
		if (nt > 1)
			v[j + 4] = _mm512_srli_epi16(v[j + 4], up);
	}
}

/*
 * A block is one line a bit of its weights. Without a minimum it stores them plus half their range, so that its sum
 * starts from minus that times the sum of x, and scales follow the last block; with one, a line of d and m follows.
 */
AVX512_INLINE void tile_block32(TILE_ARGS, const int bits, const bool min)
{
	const size_t nb = k / 32, size = 64 * (bits + min);
	const size_t od = z5_q8_32_d(k), on = z5_q8_32_nsum(k);
	const int up = bits == 8 ? 0 : 8 - bits;
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		for (int g = 0; g < ng; g++) {
			const uint8_t *wb = w + g * gb + b * size;
			const uint8_t *dw = min ? wb + 64 * bits : w + g * gb + nb * size + 32 * b;
			__m512i v[8], sum[AVX512_TILE];

			ahead(wb, bits + min, nt);
			weights(v, wb, bits, up, nt);
			for (int t = 0; t < nt; t++)
				sum[t] = min ? _mm512_setzero_si512() :
					 _mm512_slli_epi32(avx512_quad(x + t * xs + on + 4 * b), bits - 1);
			dots32(sum, v, x + 32 * b, xs, up, nt);
			for (int t = 0; t < nt; t++) {
				const uint8_t *xt = x + t * xs;
				const __m512 dx = scale_of(xt, od + 4 * b);
				__m512 *a = &acc[g * nt + t];

				*a = block(*a, dw, dx, sum[t]);
				if (min)
					*a = block_less(*a, dw + 32, dx, avx512_quad(xt + on + 4 * b));
			}
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

#define TILE32(name, bits, min)									\
AVX512_INLINE void tile_##name(TILE_ARGS)							\
{												\
	tile_block32(y, ys, w, gb, k, x, xs, ng, nt, bits, min);				\
}

TILE32(q8_0, 8, false)
TILE32(q4_0, 4, false)
TILE32(q4_1, 4, true)
TILE32(q5_0, 5, false)
TILE32(q5_1, 5, true)

MATMUL(Z5_Q8_0, q8_0)
MATMUL(Z5_Q4_0, q4_0)
MATMUL(Z5_Q4_1, q4_1)
MATMUL(Z5_Q5_0, q5_0)
MATMUL(Z5_Q5_1, q5_1)
