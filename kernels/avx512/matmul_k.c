// SPDX-License-Identifier: MIT
/* Products with K-quants: blocks of 256 columns, integer scales for sub-blocks of 16 or 32. */
#include "matmul.h"

/*
 * A lone token uses what lies in the upper bits of a byte where it lies, 1 << up times too large, and shifts sums. Many
 * tokens share shifts of the weights instead, so that a sum has nothing to put right. Loops over parts of a block stay
 * loops: unrolled, with nine tiles a type, they were 260 KB of code.
 */

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

/* Line j of pair i as weights of the even or odd sub-block; the odd ones 1 << up times too large. */
AVX512_INLINE __m512i weights_k32(const uint8_t *wg, int i, int j, const bool odd, const bool five)
{
	const __m512i q = avx512_load(wg + (8 * i + j) * 64), low = _mm512_set1_epi8(15);

	if (five) {
		const __m512i fifth = fifth_bits(avx512_load(wg + (32 + j) * 64), i);

		return odd ? high_five(q, fifth) : low_five(q, fifth);
	}
	return odd ? _mm512_andnot_si512(low, q) : _mm512_and_si512(q, low);
}

AVX512_INLINE void lone_k32(const uint8_t *wg, int i, const uint8_t *q, __m512i scales, __m512i *sum,
			    __m512i *high, const bool five)
{
	__m512i even = _mm512_setzero_si512(), odd = _mm512_setzero_si512();

	ahead(wg + i * 512, 8, 1);
	if (five)
		ahead(wg + (32 + 2 * i) * 64, 2, 1);
	for (int j = 0; j < 8; j++) {
		even = dot(even, weights_k32(wg, i, j, false, five), q, j);
		odd = dot(odd, weights_k32(wg, i, j, true, five), q + 32, j);
	}
	*sum = _mm512_add_epi32(*sum, _mm512_mullo_epi32(even, even_u16(scales)));
	*high = _mm512_add_epi32(*high, _mm512_mullo_epi32(odd, odd_u16(scales)));
}

AVX512_INLINE void many_k32(const uint8_t *wg, int i, const uint8_t *q, size_t xs, __m512i scales, __m512i *sum,
			    const int nt, const bool odd, const bool five)
{
	const __m512i scale = odd ? odd_u16(scales) : even_u16(scales);
	__m512i v[8], s[AVX512_TILE];

	for (int j = 0; j < 8; j++) {
		v[j] = weights_k32(wg, i, j, odd, five);
		if (odd)
			v[j] = _mm512_srli_epi16(v[j], five ? 3 : 4);
	}
	zero(s, nt);
	dots(s, v, 8, q + 32 * odd, xs, nt);
	for (int t = 0; t < nt; t++)
		sum[t] = _mm512_add_epi32(sum[t], _mm512_mullo_epi32(s[t], scale));
}

AVX512_INLINE void tile_k32(TILE_ARGS, const bool five)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	const int lines = five ? 44 : 36;
	uint8_t sc[LONE_GROUPS][128] __attribute__((aligned(64))), m[LONE_GROUPS][128] __attribute__((aligned(64)));
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE], high[LONE_GROUPS];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * lines * 64;

		for (int g = 0; g < ng; g++) {
			ahead(wb + g * gb + (lines - 4) * 64, 4, nt);
			q4_k_scales(wb + g * gb + (lines - 4) * 64, sc[g], m[g]);
			high[g] = _mm512_setzero_si512();
		}
		zero(sum, ng * nt);
#pragma GCC unroll 1
		for (int i = 0; i < 4; i++) {
			const uint8_t *q = x + b * 256 + i * 64;

			if (nt == 1) {
				for (int g = 0; g < ng; g++)
					lone_k32(wb + g * gb, i, q, pair_u8(sc[g] + 32 * i), &sum[g], &high[g], five);
			} else {
				const __m512i scales = pair_u8(sc[0] + 32 * i);

				many_k32(wb, i, q, xs, scales, sum, nt, false, five);
				many_k32(wb, i, q, xs, scales, sum, nt, true, five);
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
				sum[i] = _mm512_add_epi32(sum[i], _mm512_srai_epi32(high[g], five ? 3 : 4));
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

/* ---- Q2_K, Q3_K: sums of 16 columns fit in 16 bits (7 * 127 * 16 at most), so that one vpdpwssd scales a pair ---- */

/* Line j of half h as weights of quad j + 8p, 1 << up_k16() times too large. */
AVX512_INLINE __m512i weights_k16(const uint8_t *wg, int h, int j, int p, const bool three)
{
	static const uint8_t all[] = { 0x07, 0x1c, 0x38, 0xe0 };
	const __m512i two = avx512_load(wg + (8 * h + j) * 64), field = _mm512_set1_epi8((char)(3 << 2 * p));
	__m512i third;

	if (!three)
		return _mm512_and_si512(two, field);
	/* the half's bits to 2..5, each next to the two that it belongs to */
	third = _mm512_rolv_epi32(avx512_load(wg + (16 + j) * 64), _mm512_set1_epi32(2 - 4 * h));
	return _mm512_and_si512(choose(field, two, third), _mm512_set1_epi8((char)all[p]));
}

AVX512_INLINE int up_k16(int p, const bool three)
{
	return p < 2 || !three ? 2 * p : 2 * p - 1;
}

/* Sums of two sub-blocks, 1 << up times too large, as a pair of 16 bits. */
AVX512_INLINE __m512i pair_of(__m512i even, __m512i odd, int up)
{
	even = _mm512_srlv_epi32(even, _mm512_set1_epi32(up));
	odd = _mm512_sllv_epi32(odd, _mm512_set1_epi32(16 - up));
	return _mm512_mask_mov_epi16(even, 0xaaaaaaaa, odd);
}

AVX512_INLINE __m512i scales_k16(const uint8_t *p, const bool three)
{
	return three ? pair_i8(p) : _mm512_and_si512(pair_u8(p), _mm512_set1_epi16(15));
}

/* Half a block, four pairs of sub-blocks. */
AVX512_INLINE void lone_k16(const uint8_t *wg, int h, const uint8_t *q, const uint8_t *scales, __m512i *sum,
			    const bool three)
{
	__m512i even[4], odd[4];

	ahead(wg + h * (three ? 14 : 11) * 64, three ? 14 : 11 - h, 1);
	zero(even, 4);
	zero(odd, 4);
#pragma GCC unroll 1
	for (int j = 0; j < 4; j++) {
		for (int p = 0; p < 4; p++) {
			even[p] = dot(even[p], weights_k16(wg, h, j, p, three), q + 32 * p, j);
			odd[p] = dot(odd[p], weights_k16(wg, h, j + 4, p, three), q + 32 * p, j + 4);
		}
	}
	for (int p = 0; p < 4; p++)
		*sum = _mm512_dpwssd_epi32(*sum, scales_k16(scales + 128 * h + 32 * p, three),
					   pair_of(even[p], odd[p], up_k16(p, three)));
}

AVX512_INLINE void many_k16(const uint8_t *wg, int h, int p, const uint8_t *q, size_t xs, __m512i scales, __m512i *sum,
			    const int nt, const bool three)
{
	__m512i v[8], even[AVX512_TILE], odd[AVX512_TILE];

	for (int j = 0; j < 8; j++)
		v[j] = weights_k16(wg, h, j, p, three);
	zero(even, nt);
	zero(odd, nt);
	dots(even, v, 4, q, xs, nt);
	dots(odd, v + 4, 4, q + 16, xs, nt);
	for (int t = 0; t < nt; t++)
		sum[t] = _mm512_dpwssd_epi32(sum[t], scales, pair_of(even[t], odd[t], up_k16(p, three)));
}

AVX512_INLINE void tile_k16(TILE_ARGS, const bool three)
{
	const size_t nb = k / 256, size = (three ? 28 : 21) * 64, scales = (three ? 24 : 16) * 64;
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s16(k);
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < nb; b++) {
		const uint8_t *wb = w + b * size;

		zero(sum, ng * nt);
#pragma GCC unroll 1
		for (int h = 0; h < 2; h++) {
			const uint8_t *q = x + b * 256 + h * 128;

			if (nt == 1) {
				for (int g = 0; g < ng; g++)
					lone_k16(wb + g * gb, h, q, wb + g * gb + scales, &sum[g], three);
				continue;
			}
#pragma GCC unroll 1
			for (int p = 0; p < 4; p++)
				many_k16(wb, h, p, q + 32 * p, xs, scales_k16(wb + scales + 128 * h + 32 * p, three),
					 sum, nt, three);
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

/* Line j of the eight from 8i on, as low or as high quads; the high ones 4 times too large. */
AVX512_INLINE __m512i weights_q6_k(const uint8_t *wg, int i, int j, const bool high)
{
	const __m512i q = avx512_load(wg + (8 * i + j) * 64), low = _mm512_set1_epi8(15);
	__m512i more = avx512_load(wg + (32 + i / 2 * 8 + j) * 64);

	more = _mm512_and_si512(_mm512_rolv_epi32(more, _mm512_set1_epi32(2 - i % 2 * 4)), _mm512_set1_epi8(0x3c));
	return high ? choose(low, more, q) : choose(low, q, more);
}

/* sum + the sums of a pair of sub-blocks by their scales */
AVX512_INLINE __m512i scaled(__m512i sum, __m512i even, __m512i odd, __m512i pair)
{
	even = _mm512_mullo_epi32(even, _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16));
	odd = _mm512_mullo_epi32(odd, _mm512_srai_epi32(pair, 16));
	return _mm512_add_epi32(sum, _mm512_add_epi32(even, odd));
}

/* Eight lines: columns q of the low quads, and 64 further on those of the high ones. */
AVX512_INLINE void lone_q6_k(const uint8_t *wg, int i, const uint8_t *q, const uint8_t *scales, __m512i *sum,
			     __m512i *high)
{
	__m512i s[4];

	ahead(wg + i * 13 * 64, 13, 1);
	zero(s, 4);
	for (int j = 0; j < 4; j++) {
		s[0] = dot(s[0], weights_q6_k(wg, i, j, false), q, j);
		s[1] = dot(s[1], weights_q6_k(wg, i, j + 4, false), q, j + 4);
		s[2] = dot(s[2], weights_q6_k(wg, i, j, true), q + 64, j);
		s[3] = dot(s[3], weights_q6_k(wg, i, j + 4, true), q + 64, j + 4);
	}
	*sum = scaled(*sum, s[0], s[1], pair_i8(scales));
	*high = scaled(*high, s[2], s[3], pair_i8(scales + 64));
}

AVX512_INLINE void many_q6_k(const uint8_t *wg, int i, const uint8_t *q, size_t xs, __m512i scales, __m512i *sum,
			     const int nt, const bool high)
{
	__m512i v[8], even[AVX512_TILE], odd[AVX512_TILE];

	for (int j = 0; j < 8; j++) {
		v[j] = weights_q6_k(wg, i, j, high);
		if (high)
			v[j] = _mm512_srli_epi16(v[j], 2);
	}
	zero(even, nt);
	zero(odd, nt);
	dots(even, v, 4, q, xs, nt);
	dots(odd, v + 4, 4, q + 16, xs, nt);
	for (int t = 0; t < nt; t++)
		sum[t] = scaled(sum[t], even[t], odd[t], scales);
}

AVX512_INLINE void tile_q6_k(TILE_ARGS)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s16(k);
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE], high[LONE_GROUPS];

	tile_zero(acc, ng * nt);
	for (size_t b = 0; b < k / 256; b++) {
		const uint8_t *wb = w + b * 52 * 64, *scales = wb + 48 * 64;

		zero(high, ng);
		zero(sum, ng * nt);
#pragma GCC unroll 1
		for (int i = 0; i < 4; i++) {
			const int unit = i / 2 * 4 + i % 2;	/* of 32 columns; that of the high quads is 2 on */
			const uint8_t *q = x + b * 256 + unit * 32, *sc = scales + unit * 32;

			if (nt == 1) {
				for (int g = 0; g < ng; g++)
					lone_q6_k(wb + g * gb, i, q, sc + g * gb, &sum[g], &high[g]);
			} else {
				many_q6_k(wb, i, q, xs, pair_i8(sc), sum, nt, false);
				many_q6_k(wb, i, q + 64, xs, pair_i8(sc + 64), sum, nt, true);
			}
		}
		for (int i = 0; i < ng * nt; i++) {
			const int g = i / nt, t = i % nt;
			const uint8_t *xt = x + t * xs;
			__m512i bias = _mm512_setzero_si512();

			for (int p = 0; p < 8; p++)
				bias = _mm512_dpwssd_epi32(bias, pair_i8(scales + g * gb + 32 * p),
							   avx512_quad(xt + os + 32 * b + 4 * p));
			sum[i] = _mm512_sub_epi32(sum[i], _mm512_slli_epi32(bias, 5));
			if (nt == 1)
				sum[i] = _mm512_add_epi32(sum[i], _mm512_srai_epi32(high[g], 2));
			acc[i] = block(acc[i], w + g * gb + k / 256 * 52 * 64 + 32 * b, scale_of(xt, od + 4 * b),
				       sum[i]);
		}
	}
	tile_store(y, ys, acc, ng, nt);
}

MATMUL(Z5_Q2_K, q2_k)
MATMUL(Z5_Q3_K, q3_k)
MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q5_K, q5_k)
MATMUL(Z5_Q6_K, q6_k)
