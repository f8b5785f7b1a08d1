// SPDX-License-Identifier: MIT
/*
 * Products with nibbles that stand for levels: IQ4_NL, IQ4_XS, MXFP4. A byte shuffle puts in the
 * level, biased to unsigned as vpdpbusd takes it; the bias comes off with the sums of x.
 */
#include <kernels/iq.h>

#include "matmul.h"

#define IQ4_BIAS	128
#define MXFP4_BIAS	16

/* The 16 levels + bias in each 128 bits. */
AVX512_INLINE __m512i levels_of(const int8_t *levels, int bias)
{
	__m128i v = _mm_loadu_si128((const __m128i *)levels);

	return _mm512_broadcast_i32x4(_mm_add_epi8(v, _mm_set1_epi8((char)bias)));
}

/* 32 columns of 4 lines, quads j and j + 4 in line j. */
AVX512_INLINE void nibbles(const uint8_t *lines, __m512i levels, __m512i *v)
{
	const __m512i low = _mm512_set1_epi8(15);

	for (int j = 0; j < 4; j++) {
		__m512i u = avx512_load(lines + 64 * j);

		v[j] = _mm512_shuffle_epi8(levels, _mm512_and_si512(u, low));
		v[j + 4] = _mm512_shuffle_epi8(levels,
					       _mm512_and_si512(_mm512_srli_epi16(u, 4), low));
	}
}

/* z5_mxfp4_scale() of 16 rows */
AVX512_INLINE __m512 mxfp4_scales(const uint8_t *e)
{
	__m128i v = _mm_subs_epu8(_mm_load_si128((const __m128i *)e), _mm_set1_epi8(1));

	return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu8_epi32(v), 23));
}

/* ---- IQ4_NL, MXFP4 ---- */

AVX512_INLINE void tile_block32(TILE_ARGS, const bool mx)
{
	const size_t nb = k / 32, od = z5_q8_32_d(k), on = z5_q8_32_nsum(k);
	const __m512i levels = mx ? levels_of(z5_mxfp4_levels, MXFP4_BIAS) :
				    levels_of(z5_iq4_levels, IQ4_BIAS);
	__m512 acc[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		for (int g = 0; g < ng; g++) {
			const uint8_t *wg = w + g * gb;
			const __m512 dw = mx ? mxfp4_scales(wg + 256 * nb + 16 * b) :
					       avx512_halves(wg + 256 * nb + 32 * b);
			__m512i v[8];

			ahead(wg + 256 * b, 4, nt);
			nibbles(wg + 256 * b, levels, v);
			for (int t = 0; t < nt; t++) {
				const uint8_t *xt = x + t * xs;
				__m512i s = _mm512_slli_epi32(avx512_quad(xt + on + 4 * b), mx ? 4 : 7);
				__m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
				__m512 *a = &acc[g * nt + t];

				s = dot32(s, v, xt + 32 * b, nt);
				*a = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(s), *a);
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

/* ---- IQ4_XS ---- */

/* Scales of sub-blocks 2p (low half of a lane) and 2p + 1 from a block's low words and high halfwords. */
AVX512_INLINE __m512i iq4_xs_pair(__m512i low, __m512i high, int p)
{
	const __m512i even = _mm512_set1_epi32(15), odd = _mm512_set1_epi32(15 << 16);
	const __m512i even2 = _mm512_set1_epi32(3 << 4), odd2 = _mm512_set1_epi32(3 << 20);
	const __m512i l = _mm512_srli_epi32(low, 8 * p), h = _mm512_srli_epi32(high, 4 * p);
	__m512i s = _mm512_or_si512(_mm512_and_si512(l, even),
				    _mm512_and_si512(_mm512_slli_epi32(l, 12), odd));

	s = _mm512_or_si512(s, _mm512_and_si512(_mm512_slli_epi32(h, 4), even2));
	s = _mm512_or_si512(s, _mm512_and_si512(_mm512_slli_epi32(h, 18), odd2));
	return _mm512_sub_epi16(s, _mm512_set1_epi16(32));
}

AVX512_INLINE void tile_iq4_xs(TILE_ARGS)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	const __m512i levels = levels_of(z5_iq4_levels, IQ4_BIAS);
	__m512i pair[4][LONE_GROUPS];
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * 34 * 64;

		for (int g = 0; g < ng; g++) {
			const uint8_t *s = wb + g * gb + 32 * 64;
			const __m512i low = avx512_load(s);
			const __m512i high = _mm512_cvtepu16_epi32(
				_mm256_load_si256((const __m256i *)(s + 64)));

			ahead(s, 2, nt);
			for (int p = 0; p < 4; p++)
				pair[p][g] = iq4_xs_pair(low, high, p);
		}
		for (int i = 0; i < ng * nt; i++)
			sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
		for (int s = 0; s < 8; s++) {
			for (int g = 0; g < ng; g++) {
				const uint8_t *lines = wb + g * gb + s * 256;
				const __m512i two = pair[s / 2][g];
				const __m512i scale = _mm512_srai_epi32(
					s % 2 ? two : _mm512_slli_epi32(two, 16), 16);
				__m512i v[8];

				ahead(lines, 4, nt);
				nibbles(lines, levels, v);
				for (int t = 0; t < nt; t++) {
					const uint8_t *q = x + t * xs + b * 256 + s * 32;
					__m512i dot = dot32(_mm512_setzero_si512(), v, q, nt);
					__m512i *a = &sum[g * nt + t];

					*a = _mm512_add_epi32(*a, _mm512_mullo_epi32(dot, scale));
				}
			}
		}
		for (int i = 0; i < ng * nt; i++) {
			const int g = i / nt, t = i % nt;
			const uint8_t *xt = x + t * xs;
			const __m512 dw = avx512_halves(wb + g * gb + 33 * 64 + 32);
			const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
			__m512i bias = _mm512_setzero_si512();

			for (int p = 0; p < 4; p++)
				bias = _mm512_dpwssd_epi32(bias, pair[p][g],
							   avx512_quad(xt + os + 16 * b + 4 * p));
			bias = _mm512_sub_epi32(sum[i], _mm512_slli_epi32(bias, 7));
			acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(bias), acc[i]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

MATMUL(Z5_IQ4_NL, iq4_nl)
MATMUL(Z5_IQ4_XS, iq4_xs)
MATMUL(Z5_MXFP4, mxfp4)
