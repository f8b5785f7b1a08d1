// SPDX-License-Identifier: MIT
/* Products with ternary weights, two bits each and stored + 1: blocks of 256 columns. */
#include "matmul.h"

/*
 * Half a block. A lone token uses each of a line's quads where it lies, 1 << 2p times too large, and shifts the sum of
 * all; many share the shifts of lines.
 */
AVX512_INLINE void lone_half(const uint8_t *w, const uint8_t *q, __m512i *sum)
{
	ahead(w, 8, 1);
#pragma GCC unroll 1
	for (int j = 0; j < 8; j++) {
		const __m512i v = avx512_load(w + 64 * j);

		for (int p = 0; p < 4; p++)
			sum[p] = _mm512_dpbusd_epi32(sum[p], _mm512_and_si512(v, _mm512_set1_epi8((char)(3 << 2 * p))),
						     avx512_quad(q + 4 * j + 32 * p));
	}
}

AVX512_INLINE void many_quarter(const uint8_t *w, const int p, const uint8_t *q, size_t xs, __m512i *sum, const int nt)
{
	__m512i v[8];

	for (int j = 0; j < 8; j++)
		v[j] = _mm512_and_si512(_mm512_srlv_epi32(avx512_load(w + 64 * j), _mm512_set1_epi32(2 * p)),
					_mm512_set1_epi8(3));
	for (int t = 0; t < nt; t++)
		for (int j = 0; j < 8; j++)
			sum[t] = _mm512_dpbusd_epi32(sum[t], v[j], avx512_quad(q + t * xs + 4 * j));
}

AVX512_INLINE void tile_ternary(TILE_ARGS, const bool scaled)
{
	const size_t nb = k / 256, od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		if (nt == 1) {
			for (int g = 0; g < ng; g++) {
				const uint8_t *wb = w + g * gb + b * 16 * 64;
				__m512i s[4];

				for (int p = 0; p < 4; p++)
					s[p] = _mm512_setzero_si512();
				lone_half(wb, x + 256 * b, s);
				lone_half(wb + 8 * 64, x + 256 * b + 128, s);
				s[0] = _mm512_add_epi32(s[0], _mm512_srai_epi32(s[1], 2));
				s[2] = _mm512_add_epi32(_mm512_srai_epi32(s[2], 4), _mm512_srai_epi32(s[3], 6));
				sum[g] = _mm512_add_epi32(s[0], s[2]);
			}
		} else {
			for (int t = 0; t < nt; t++)
				sum[t] = _mm512_setzero_si512();
#pragma GCC unroll 1
			for (int i = 0; i < 8; i++)
				many_quarter(w + (b * 16 + i / 4 * 8) * 64, i % 4, x + 256 * b + 32 * i, xs, sum, nt);
		}
		for (int i = 0; i < ng * nt; i++) {
			const uint8_t *xt = x + (i % nt) * xs;
			const __m512 dx = scale_of(xt, od + 4 * b);
			__m512i all = _mm512_setzero_si512();

			for (int p = 0; p < 4; p++)
				all = _mm512_dpwssd_epi32(all, _mm512_set1_epi16(1),
							  avx512_quad(xt + os + 16 * b + 4 * p));
			sum[i] = _mm512_sub_epi32(sum[i], all);
			if (scaled)
				acc[i] = block(acc[i], w + (i / nt) * gb + nb * 16 * 64 + 32 * b, dx, sum[i]);
			else
				acc[i] = _mm512_fmadd_ps(dx, _mm512_cvtepi32_ps(sum[i]), acc[i]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_tq2_0(TILE_ARGS)
{
	tile_ternary(y, ys, w, gb, k, x, xs, ng, nt, true);
}

AVX512_INLINE void tile_i2_s(TILE_ARGS)
{
	tile_ternary(y, ys, w, gb, k, x, xs, ng, nt, false);
}

MATMUL(Z5_TQ2_0, tq2_0)
MATMUL(Z5_I2_S, i2_s)
