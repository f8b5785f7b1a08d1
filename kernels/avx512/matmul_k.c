// SPDX-License-Identifier: MIT
/* Products with K-quants: blocks of 256 columns, integer scales for sub-blocks of 16 or 32. */
#include "matmul.h"

/* ---- Q4_K ---- */

/* The 6-bit scales and minima of 16 rows as bytes: sc[32 p + 2 r + i] for sub-block 2p + i. */
AVX512_INLINE void q4_k_scales(const uint8_t *s, uint8_t *sc, uint8_t *m)
{
	const __m512i b0 = avx512_load(s), b4 = avx512_load(s + 64), b8 = avx512_load(s + 128);
	const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15),
		      high2 = _mm512_set1_epi8(0x30);

	_mm512_store_si512(sc, _mm512_and_si512(b0, low6));
	_mm512_store_si512(m, _mm512_and_si512(b4, low6));
	_mm512_store_si512(sc + 64, _mm512_or_si512(_mm512_and_si512(b8, low4),
			   _mm512_and_si512(_mm512_srli_epi16(b0, 2), high2)));
	_mm512_store_si512(m + 64, _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(b8, 4), low4),
			   _mm512_and_si512(_mm512_srli_epi16(b4, 2), high2)));
}

AVX512_INLINE __m512i pair_u8(const uint8_t *p)
{
	return _mm512_cvtepu8_epi16(_mm256_load_si256((const __m256i *)p));
}

AVX512_INLINE void tile_q4_k(TILE_ARGS)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	const __m512i low = _mm512_set1_epi8(15);
	uint8_t sc[4][128] __attribute__((aligned(64))), m[4][128] __attribute__((aligned(64)));
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * 36 * 64;

		for (int g = 0; g < ng; g++) {
			ahead(wb + g * gb + 32 * 64, 4, nt);
			q4_k_scales(wb + g * gb + 32 * 64, sc[g], m[g]);
		}
		for (int i = 0; i < ng * nt; i++)
			sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
		for (int s = 0; s < 8; s++) {
			for (int g = 0; g < ng; g++) {
				const uint8_t *lines = wb + g * gb + s / 2 * 512;
				const __m512i pair = pair_u8(sc[g] + s / 2 * 32);
				const __m512i scale = s % 2 ? _mm512_srli_epi32(pair, 16) :
						      _mm512_and_si512(pair, _mm512_set1_epi32(0xffff));
				__m512i v[8];

				ahead(lines, s % 2 ? 0 : 8, nt);
				for (int j = 0; j < 8; j++) {
					__m512i u = avx512_load(lines + j * 64);

					v[j] = _mm512_and_si512(s % 2 ? _mm512_srli_epi16(u, 4) : u, low);
				}
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
			const uint8_t *xt = x + t * xs, *h = wb + g * gb + 35 * 64;
			const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
			__m512i min = _mm512_setzero_si512();

			for (int p = 0; p < 4; p++)
				min = _mm512_dpwssd_epi32(min, pair_u8(m[g] + 32 * p),
							  avx512_quad(xt + os + 16 * b + 4 * p));
			acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(avx512_halves(h), dx),
						 _mm512_cvtepi32_ps(sum[i]), acc[i]);
			acc[i] = _mm512_fnmadd_ps(_mm512_mul_ps(avx512_halves(h + 32), dx),
						  _mm512_cvtepi32_ps(min), acc[i]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

/* ---- Q6_K: weights are stored + 32 ---- */

AVX512_INLINE __m512i pair_i8(const uint8_t *p)
{
	return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)p));
}

/* Columns 32u..32u+31 of a block, two sub-blocks. */
AVX512_INLINE void q6_k_unit(const uint8_t *wb, int u, __m512i *v)
{
	const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(0x30);

	for (int j = 0; j < 8; j++) {
		__m512i l = avx512_load(wb + (u / 4 * 16 + u % 2 * 8 + j) * 64);
		__m512i h = avx512_load(wb + (32 + u / 4 * 8 + j) * 64);

		l = _mm512_and_si512(u % 4 < 2 ? l : _mm512_srli_epi16(l, 4), low);
		h = u % 4 == 0 ? _mm512_slli_epi16(h, 4) :
		    u % 4 == 1 ? _mm512_slli_epi16(h, 2) :
		    u % 4 == 2 ? h : _mm512_srli_epi16(h, 2);
		v[j] = _mm512_or_si512(l, _mm512_and_si512(h, high));
	}
}

AVX512_INLINE void tile_q6_k(TILE_ARGS)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s16(k);
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * 52 * 64;

		for (int i = 0; i < ng * nt; i++)
			sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 8
		for (int u = 0; u < 8; u++) {
			for (int g = 0; g < ng; g++) {
				const __m512i pair = pair_i8(wb + g * gb + 48 * 64 + 32 * u);
				const __m512i even = _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16);
				const __m512i odd = _mm512_srai_epi32(pair, 16);
				__m512i v[8];

				ahead(wb + g * gb + u * 416, 7, nt);
				q6_k_unit(wb + g * gb, u, v);
				for (int t = 0; t < nt; t++) {
					const uint8_t *q = x + t * xs + b * 256 + u * 32;
					__m512i a = _mm512_setzero_si512(), c = _mm512_setzero_si512();

					for (int j = 0; j < 4; j++) {
						a = _mm512_dpbusd_epi32(a, v[j], avx512_quad(q + 4 * j));
						c = _mm512_dpbusd_epi32(c, v[j + 4], avx512_quad(q + 16 + 4 * j));
					}
					a = _mm512_add_epi32(_mm512_mullo_epi32(a, even),
							     _mm512_mullo_epi32(c, odd));
					sum[g * nt + t] = _mm512_add_epi32(sum[g * nt + t], a);
				}
			}
		}
		for (int i = 0; i < ng * nt; i++) {
			const int g = i / nt, t = i % nt;
			const uint8_t *xt = x + t * xs, *wg = wb + g * gb;
			const __m512 dw = avx512_halves(w + g * gb + k / 256 * 52 * 64 + 32 * b);
			const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
			__m512i bias = _mm512_setzero_si512();

			for (int p = 0; p < 8; p++)
				bias = _mm512_dpwssd_epi32(bias, pair_i8(wg + 48 * 64 + 32 * p),
							   avx512_quad(xt + os + 32 * b + 4 * p));
			bias = _mm512_sub_epi32(sum[i], _mm512_slli_epi32(bias, 5));
			acc[i] = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(bias), acc[i]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q6_K, q6_k)
