// SPDX-License-Identifier: MIT
/* Products with K-quants: blocks of 256 columns, integer scales for sub-blocks of 16 or 32. */
#include "matmul.h"

/* 16 pairs of bytes, those of neighbouring sub-blocks, as pairs of 16 bits. */
AVX512_INLINE __m512i pair_u8(const uint8_t *p)
{
	return _mm512_cvtepu8_epi16(_mm256_load_si256((const __m256i *)p));
}

AVX512_INLINE __m512i pair_i8(const uint8_t *p)
{
	return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)p));
}

/* The even or the odd one of each pair as 32 bits. */
AVX512_INLINE __m512i even_u16(__m512i pair)
{
	return _mm512_and_si512(pair, _mm512_set1_epi32(0xffff));
}

AVX512_INLINE __m512i odd_u16(__m512i pair)
{
	return _mm512_srli_epi32(pair, 16);
}

/* Line j times its quad of q, after those before it. */
AVX512_INLINE __m512i dot(__m512i sum, __m512i v, const uint8_t *q, int j)
{
	return _mm512_dpbusd_epi32(sum, v, avx512_quad(q + 4 * j));
}

/* ---- Q4_K, Q5_K ---- */

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

/* Line j of nibbles as weights of the even or odd sub-block of pair i; the odd ones 1 << up times too large. */
AVX512_INLINE __m512i nibbles(const uint8_t *wb, int i, int j, const bool odd, const bool five)
{
	const __m512i q = avx512_load(wb + (8 * i + j) * 64), low = _mm512_set1_epi8(15);

	if (five) {
		const __m512i fifth = fifth_bits(avx512_load(wb + (32 + j) * 64), i);

		return odd ? high_five(q, fifth) : low_five(q, fifth);
	}
	return odd ? _mm512_andnot_si512(low, q) : _mm512_and_si512(q, low);
}

AVX512_INLINE void tile_k32(TILE_ARGS, const bool five)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	const int lines = five ? 44 : 36, up = five ? 3 : 4;
	uint8_t sc[4][128] __attribute__((aligned(64))), m[4][128] __attribute__((aligned(64)));
	__m512 acc[AVX512_TILE];
	/* high: what is 1 << up times too large; many tokens share the shifts of the weights and need none */
	__m512i sum[AVX512_TILE], high[LONE_GROUPS];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * lines * 64;

		for (int g = 0; g < ng; g++) {
			ahead(wb + g * gb + (lines - 4) * 64, 4, nt);
			q4_k_scales(wb + g * gb + (lines - 4) * 64, sc[g], m[g]);
			high[g] = _mm512_setzero_si512();
		}
		for (int i = 0; i < ng * nt; i++)
			sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			for (int g = 0; g < ng; g++) {
				const uint8_t *wg = wb + g * gb, *xb = x + b * 256 + i * 64;
				const __m512i pair = pair_u8(sc[g] + 32 * i);

				if (nt == 1) {
					__m512i lo = _mm512_setzero_si512(), hi = _mm512_setzero_si512();

					ahead(wg + i * 512, 8, 1);
					if (five)
						ahead(wg + (32 + 2 * i) * 64, 2, 1);
					for (int j = 0; j < 8; j++) {
						lo = dot(lo, nibbles(wg, i, j, false, five), xb, j);
						hi = dot(hi, nibbles(wg, i, j, true, five), xb + 32, j);
					}
					lo = _mm512_mullo_epi32(lo, even_u16(pair));
					hi = _mm512_mullo_epi32(hi, odd_u16(pair));
					sum[g] = _mm512_add_epi32(sum[g], lo);
					high[g] = _mm512_add_epi32(high[g], hi);
					continue;
				}
				for (int odd = 0; odd < 2; odd++) {
					const __m512i scale = odd ? odd_u16(pair) : even_u16(pair);
					__m512i v[8];

					for (int j = 0; j < 8; j++) {
						v[j] = nibbles(wg, i, j, odd, five);
						if (odd)
							v[j] = _mm512_srli_epi16(v[j], up);
					}
					for (int t = 0; t < nt; t++) {
						__m512i s = _mm512_setzero_si512();

						for (int j = 0; j < 8; j++)
							s = dot(s, v[j], xb + t * xs + 32 * odd, j);
						s = _mm512_mullo_epi32(s, scale);
						sum[t] = _mm512_add_epi32(sum[t], s);
					}
				}
			}
		}
		for (int i = 0; i < ng * nt; i++) {
			const int g = i / nt, t = i % nt;
			const uint8_t *xt = x + t * xs, *d = wb + g * gb + (lines - 1) * 64;
			const __m512 dx = scale_of(xt, od + 4 * b);
			__m512i min = _mm512_setzero_si512();

			for (int p = 0; p < 4; p++)
				min = _mm512_dpwssd_epi32(min, pair_u8(m[g] + 32 * p),
							  avx512_quad(xt + os + 16 * b + 4 * p));
			if (nt == 1)
				sum[i] = _mm512_add_epi32(sum[i], _mm512_srai_epi32(high[g], up));
			acc[i] = block(acc[i], d, dx, sum[i]);
			acc[i] = block_less(acc[i], d + 32, dx, min);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_q4_k(TILE_ARGS)
{
	tile_k32(y, ys, w, gb, k, x, xs, ng, nt, false);
}

AVX512_INLINE void tile_q5_k(TILE_ARGS)
{
	tile_k32(y, ys, w, gb, k, x, xs, ng, nt, true);
}

/* ---- Q2_K, Q3_K: sums of 16 columns fit in 16 bits, at most 7 * 127 * 16 ---- */

/* A weight stays where it lies in its byte, 1 << up[p] times too large. */
static const int up_k16[2][4] = { { 0, 2, 4, 6 }, { 0, 2, 3, 5 } };

/* Line j of half h as weights of quad j + 8p. */
AVX512_INLINE __m512i bits_k16(const uint8_t *wb, int h, int j, const int p, const bool three)
{
	const __m512i two = avx512_load(wb + (8 * h + j) * 64);
	const __m512i field = _mm512_set1_epi8((char)(3 << 2 * p));
	__m512i third;

	if (!three)
		return _mm512_and_si512(two, field);
	third = avx512_load(wb + (16 + j) * 64);
	/* bits 2..5 are those of the half: of p = 0 above its two, of 1 above, of 2 below, of 3 below */
	third = h ? _mm512_srli_epi16(third, 2) : _mm512_slli_epi16(third, 2);
	return _mm512_and_si512(choose(field, two, third),
				_mm512_set1_epi8((char)(p == 0 ? 0x07 : p == 1 ? 0x1c : p == 2 ? 0x38 : 0xe0)));
}

/* Sums of two sub-blocks, 1 << up times too large, as a pair of 16 bits. */
AVX512_INLINE __m512i pair_of(__m512i even, __m512i odd, const int up)
{
	return _mm512_mask_mov_epi16(_mm512_srli_epi32(even, up), 0xaaaaaaaa,
				     _mm512_slli_epi32(odd, 16 - up));
}

AVX512_INLINE void tile_k16(TILE_ARGS, const bool three)
{
	const size_t nb = k / 256, size = (three ? 28 : 21) * 64, scales = (three ? 24 : 16) * 64;
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s16(k);
	const __m512i low = _mm512_set1_epi16(15);
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		const uint8_t *wb = w + b * size;

		for (int i = 0; i < ng * nt; i++)
			sum[i] = _mm512_setzero_si512();
#pragma GCC unroll 2
		for (int h = 0; h < 2; h++) {
			for (int g = 0; g < ng; g++) {
				const uint8_t *wg = wb + g * gb, *xb = x + b * 256 + h * 128;
				__m512i scale[4];

				for (int p = 0; p < 4; p++)
					scale[p] = three ? pair_i8(wg + scales + 128 * h + 32 * p) :
						   _mm512_and_si512(pair_u8(wg + scales + 128 * h + 32 * p), low);
				if (nt == 1) {
					__m512i dots[4][2];

					ahead(wg + h * (size / 2), (three ? 14 : 11) - (!three && h), 1);
					for (int p = 0; p < 4; p++)
						dots[p][0] = dots[p][1] = _mm512_setzero_si512();
					for (int j = 0; j < 8; j++)
						for (int p = 0; p < 4; p++)
							dots[p][j / 4] = dot(dots[p][j / 4],
									     bits_k16(wg, h, j, p, three),
									     xb + 32 * p, j);
					for (int p = 0; p < 4; p++)
						sum[g] = _mm512_dpwssd_epi32(sum[g], scale[p],
							pair_of(dots[p][0], dots[p][1], up_k16[three][p]));
					continue;
				}
				for (int p = 0; p < 4; p++) {
					__m512i v[8];

					for (int j = 0; j < 8; j++)
						v[j] = bits_k16(wg, h, j, p, three);
					for (int t = 0; t < nt; t++) {
						__m512i e = _mm512_setzero_si512(), o = e;

						for (int j = 0; j < 4; j++) {
							e = dot(e, v[j], xb + t * xs + 32 * p, j);
							o = dot(o, v[j + 4], xb + t * xs + 32 * p, j + 4);
						}
						sum[t] = _mm512_dpwssd_epi32(sum[t], scale[p],
							pair_of(e, o, up_k16[three][p]));
					}
				}
			}
		}
		for (int i = 0; i < ng * nt; i++) {
			const int g = i / nt, t = i % nt;
			const uint8_t *xt = x + t * xs, *wg = wb + g * gb;
			const __m512 dx = scale_of(xt, od + 4 * b);
			__m512i min = _mm512_setzero_si512();

			for (int p = 0; p < 8; p++) {
				const uint8_t *s = wg + scales + 32 * p;

				min = _mm512_dpwssd_epi32(min, three ? pair_i8(s) : _mm512_srli_epi16(pair_u8(s), 4),
							  avx512_quad(xt + os + 32 * b + 4 * p));
			}
			if (three) {
				/* weights are stored + 4 */
				sum[i] = _mm512_sub_epi32(sum[i], _mm512_slli_epi32(min, 2));
				acc[i] = block(acc[i], w + g * gb + nb * size + 32 * b, dx, sum[i]);
			} else {
				acc[i] = block(acc[i], wg + 20 * 64, dx, sum[i]);
				acc[i] = block_less(acc[i], wg + 20 * 64 + 32, dx, min);
			}
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

AVX512_INLINE void tile_q2_k(TILE_ARGS)
{
	tile_k16(y, ys, w, gb, k, x, xs, ng, nt, false);
}

AVX512_INLINE void tile_q3_k(TILE_ARGS)
{
	tile_k16(y, ys, w, gb, k, x, xs, ng, nt, true);
}

/* ---- Q6_K: weights are stored + 32 ---- */

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

MATMUL(Z5_Q2_K, q2_k)
MATMUL(Z5_Q3_K, q3_k)
MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q5_K, q5_k)
MATMUL(Z5_Q6_K, q6_k)
