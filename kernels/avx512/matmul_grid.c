// SPDX-License-Identifier: MIT
/*
 * Products with blocks of 256 that are looked up: those with a grid (IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS,
 * IQ3_S, IQ1_S, IQ1_M) and IQ4_XS, which has levels but the same outline. The indices of 16 rows are gathered at
 * once, which gives 8 weights a row (IQ3: 4) in lines as vpdpbusd takes them, biased to unsigned; the bias comes
 * off with the sums of x. A gather costs as much as a dozen products, so a block is expanded once for all tokens:
 * its 64 lines wait in the first-level cache, and the sums of the tokens in y, which is loaded and stored once a
 * block. A lone token uses the lines as they come.
 *
 *  IQ2  levels 8, 25, 43 with a sign: biased by 43
 *  IQ3  weights up to 62 (XXS) or 15 (S) with a sign: biased by that
 *  IQ4  levels of -127..113: biased by 128
 *  IQ1  8 * level + delta, in eighths, -9..9: biased by 9, so that it is 8 * (level + 1) + (0 or 2)
 */
#include "levels.h"

#define IQ2_BIAS	43
#define IQ1_BIAS	9

/* One block of one group, ready for tokens. */
struct expanded {
	__m512i lines[64];
	__m512i pair[8];	/* the scales of sub-blocks 2p and 2p + 1, 16 bits each, of 16 rows */
	__m512 d;		/* with the power of two that makes the integers whole */
};

/* What a type defines; all are constants where they are inlined. unit expands sub-block ib, 8 lines. */
typedef void (*unit_fn)(const uint8_t *o, int ib, __m512i *v);
typedef __m512i (*pair_fn)(const uint8_t *o, int p);
struct grid_type {
	unit_fn unit;
	pair_fn pair;
	int lines, sub, bias;
	float by;
	int d_line;	/* the line whose second half is d; 0: after all blocks */
};

/* ---- a block's parts ---- */

AVX512_INLINE __m512i gather(const uint32_t *grid, __m512i at)
{
	return _mm512_i32gather_epi32(at, grid, 4);
}

/* Byte l of each row's word. */
AVX512_INLINE __m512i byte_of(__m512i word, int l)
{
	return _mm512_and_si512(_mm512_srli_epi32(word, 8 * l), _mm512_set1_epi32(255));
}

/* The n bits from `from` on of each row's word, put at bit 8: where they belong in an index. */
AVX512_INLINE __m512i high_of(__m512i word, int from, int n)
{
	__m512i v = _mm512_slli_epi32(_mm512_srli_epi32(word, from), 8);

	return _mm512_and_si512(v, _mm512_set1_epi32(((1 << n) - 1) << 8));
}

AVX512_INLINE __mmask64 signs_of(const uint8_t *o, int line, int quad)
{
	return _load_mask64((__mmask64 *)(uintptr_t)(o + 64 * line + 8 * quad));
}

/* Nibbles 2p and 2p + 1 of the words of scales, as 2 s + 1. */
AVX512_INLINE __m512i odd_pair(const uint8_t *o, int line, int p)
{
	__m512i w = _mm512_srli_epi32(avx512_load(o + 64 * (line + p / 4)), p % 4 * 8);
	__m512i s = _mm512_or_si512(
		_mm512_and_si512(w, _mm512_set1_epi32(15)),
		_mm512_and_si512(_mm512_slli_epi32(w, 12), _mm512_set1_epi32(15 << 16)));

	return _mm512_add_epi16(_mm512_add_epi16(s, s), _mm512_set1_epi16(1));
}

/* ---- IQ2 ---- */

/* The level of code c, biased, with or without a sign. Of a byte vpshufb sees bits 0..3 and 7 only: the 8 codes of a
 * gathered word, 2 at most, need no masking. */
AVX512_INLINE __m512i iq2_line(__m512i c, __mmask64 negative)
{
	const __m512i plus = _mm512_set1_epi32((IQ2_BIAS + 8) | (IQ2_BIAS + 25) << 8 |
					       (IQ2_BIAS + 43) << 16);
	const __m512i minus = _mm512_set1_epi32((IQ2_BIAS - 8) | (IQ2_BIAS - 25) << 8);

	return _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(plus, c), negative, minus, c);
}

AVX512_INLINE void iq2_lines(const uint8_t *o, int quad, __m512i e, __m512i *v)
{
	v[0] = iq2_line(e, signs_of(o, 8, quad));
	v[1] = iq2_line(_mm512_srli_epi32(e, 4), signs_of(o, 8, quad + 1));
}

AVX512_INLINE void unit_iq2_xxs(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i low = avx512_load(o + 64 * ib);

	for (int l = 0; l < 4; l++)
		iq2_lines(o, 8 * ib + 2 * l, gather(z5_iq2_xxs_grid, byte_of(low, l)), v + 2 * l);
}

AVX512_INLINE void unit_iq2_xs(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i low = avx512_load(o + 64 * ib);
	const __m512i high = _mm512_srli_epi32(avx512_load(o + 18 * 64), 4 * ib);

	for (int l = 0; l < 4; l++) {
		__m512i at = _mm512_or_si512(byte_of(low, l), high_of(high, l, 1));

		iq2_lines(o, 8 * ib + 2 * l, gather(z5_iq2_xs_grid, at), v + 2 * l);
	}
}

AVX512_INLINE void unit_iq2_s(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i low = avx512_load(o + 64 * ib);
	const __m512i high = _mm512_srli_epi32(avx512_load(o + (18 + ib / 4) * 64), ib % 4 * 8);

	for (int l = 0; l < 4; l++) {
		__m512i at = _mm512_or_si512(byte_of(low, l), high_of(high, 2 * l, 2));

		iq2_lines(o, 8 * ib + 2 * l, gather(z5_iq2_s_grid, at), v + 2 * l);
	}
}

AVX512_INLINE __m512i pair_iq2(const uint8_t *o, int p)
{
	return odd_pair(o, 16, p);
}

/* ---- IQ3 ---- */

AVX512_INLINE __m512i iq3_line(__m512i e, __mmask64 negative, int most)
{
	const __m512i bias = _mm512_set1_epi8((char)most);

	return _mm512_mask_sub_epi8(_mm512_add_epi8(bias, e), negative, bias, e);
}

AVX512_INLINE void unit_iq3_xxs(const uint8_t *o, int ib, __m512i *v)
{
	for (int i = 0; i < 8; i++) {
		const __m512i low = avx512_load(o + 64 * (2 * ib + i / 4));

		v[i] = iq3_line(gather(z5_iq3_xxs_grid, byte_of(low, i % 4)),
				signs_of(o, 16, 8 * ib + i), 62);
	}
}

AVX512_INLINE void unit_iq3_s(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i high = _mm512_srli_epi32(avx512_load(o + (25 + ib / 4) * 64), ib % 4 * 8);

	for (int i = 0; i < 8; i++) {
		const __m512i low = avx512_load(o + 64 * (2 * ib + i / 4));
		__m512i at = _mm512_or_si512(byte_of(low, i % 4), high_of(high, i, 1));

		v[i] = iq3_line(gather(z5_iq3_s_grid, at), signs_of(o, 16, 8 * ib + i), 15);
	}
}

AVX512_INLINE __m512i pair_iq3(const uint8_t *o, int p)
{
	return odd_pair(o, 24, p);
}

/* ---- IQ1 ---- */

/* delta: 2 in each byte of the rows where it is positive */
AVX512_INLINE void iq1_lines(__m512i e, __m512i delta, __m512i *v)
{
	const __m512i at3 = _mm512_set1_epi8(0x18);

	v[0] = _mm512_or_si512(_mm512_and_si512(_mm512_slli_epi32(e, 3), at3), delta);
	v[1] = _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi32(e, 1), at3), delta);
}

/* 2 in each byte of the rows whose bit of word is clear. */
AVX512_INLINE __m512i iq1_delta(__m512i word, int bit)
{
	__mmask16 clear = _mm512_testn_epi32_mask(word, _mm512_set1_epi32((int)(1u << bit)));

	return _mm512_maskz_set1_epi32(clear, 0x02020202);
}

AVX512_INLINE void unit_iq1_s(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i low = avx512_load(o + 64 * ib);
	const __m512i high = _mm512_srli_epi32(avx512_load(o + (8 + ib / 2) * 64), ib % 2 * 16);
	const __m512i delta = iq1_delta(high, 15);

	for (int l = 0; l < 4; l++) {
		__m512i at = _mm512_or_si512(byte_of(low, l), high_of(high, 3 * l, 3));

		iq1_lines(gather(z5_iq1_grid, at), delta, v + 2 * l);
	}
}

AVX512_INLINE __m512i pair_iq1_s(const uint8_t *o, int p)
{
	__m512i s = _mm512_and_si512(_mm512_srli_epi32(avx512_load(o + (8 + p) * 64), 12),
				     _mm512_set1_epi16(7));

	return _mm512_add_epi16(_mm512_add_epi16(s, s), _mm512_set1_epi16(1));
}

AVX512_INLINE void unit_iq1_m(const uint8_t *o, int ib, __m512i *v)
{
	const __m512i low = avx512_load(o + 64 * ib);
	const __m512i high = _mm512_srli_epi32(avx512_load(o + (8 + ib / 2) * 64), ib % 2 * 16);

	for (int l = 0; l < 4; l++) {
		__m512i at = _mm512_or_si512(byte_of(low, l), high_of(high, 4 * l, 3));

		iq1_lines(gather(z5_iq1_grid, at), iq1_delta(high, 4 * l + 3), v + 2 * l);
	}
}

AVX512_INLINE __m512i pair_iq1_m(const uint8_t *o, int p)
{
	return odd_pair(o, 12, p);
}

/* ---- IQ4_XS ---- */

AVX512_INLINE void unit_iq4_xs(const uint8_t *o, int ib, __m512i *v)
{
	avx512_nibbles(o + 256 * ib, avx512_levels(z5_iq4_levels, IQ4_BIAS), v);
}

/* From the words of low nibbles and the halfwords of high bits. */
AVX512_INLINE __m512i pair_iq4_xs(const uint8_t *o, int p)
{
	const __m256i halfwords = _mm256_load_si256((const __m256i *)(o + 33 * 64));
	const __m512i even = _mm512_set1_epi32(15), odd = _mm512_set1_epi32(15 << 16);
	const __m512i even2 = _mm512_set1_epi32(3 << 4), odd2 = _mm512_set1_epi32(3 << 20);
	const __m512i l = _mm512_srli_epi32(avx512_load(o + 32 * 64), 8 * p);
	const __m512i h = _mm512_srli_epi32(_mm512_cvtepu16_epi32(halfwords), 4 * p);
	__m512i s = _mm512_or_si512(_mm512_and_si512(l, even),
				    _mm512_and_si512(_mm512_slli_epi32(l, 12), odd));

	s = _mm512_or_si512(s, _mm512_and_si512(_mm512_slli_epi32(h, 4), even2));
	s = _mm512_or_si512(s, _mm512_and_si512(_mm512_slli_epi32(h, 18), odd2));
	return _mm512_sub_epi16(s, _mm512_set1_epi16(32));
}

/* ---- sums ---- */

AVX512_INLINE __m512i even_of(__m512i pair)
{
	return _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16);
}

AVX512_INLINE __m512i odd_of(__m512i pair)
{
	return _mm512_srai_epi32(pair, 16);
}

/* Adds to the sums of nt tokens sub-block ib in v by q, times the scales of its 32 columns or of its halves. */
AVX512_INLINE void unit_sums(__m512i *sum, const __m512i *v, const __m512i *pair, int ib, const uint8_t *q, size_t xs,
			     const int sub, const int nt)
{
	__m512i a[AVX512_TILE], c[AVX512_TILE];

	zero(a, nt);
	zero(c, nt);
	dots(a, v, 4, q, xs, nt);
	dots(c, v + 4, 4, q + 16, xs, nt);
	for (int t = 0; t < nt; t++) {
		if (sub == 16)
			a[t] = _mm512_add_epi32(_mm512_mullo_epi32(a[t], even_of(pair[ib])),
						_mm512_mullo_epi32(c[t], odd_of(pair[ib])));
		else
			a[t] = _mm512_mullo_epi32(_mm512_add_epi32(a[t], c[t]),
						  ib % 2 ? odd_of(pair[ib / 2]) : even_of(pair[ib / 2]));
		sum[t] = _mm512_add_epi32(sum[t], a[t]);
	}
}

/* The end of block b of a token: takes the bias off sum and adds it to y. */
AVX512_INLINE void unit_end(float *y, __m512i sum, const __m512i *pair, __m512 d, const uint8_t *x, size_t k,
			    size_t b, const int sub, int bias)
{
	const uint8_t *sums = sub == 16 ? x + z5_q8_256_s16(k) + 32 * b : x + z5_q8_256_s32(k) + 16 * b;
	const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(x + z5_q8_256_d(k) + 4 * b));
	__m512i all = _mm512_setzero_si512();
	__m512 acc = b ? _mm512_loadu_ps(y) : _mm512_setzero_ps();

	for (int p = 0; p < 128 / sub; p++)
		all = _mm512_dpwssd_epi32(all, pair[p], avx512_quad(sums + 4 * p));
	sum = _mm512_sub_epi32(sum, _mm512_mullo_epi32(all, _mm512_set1_epi32(bias)));
	_mm512_storeu_ps(y, _mm512_fmadd_ps(_mm512_mul_ps(d, dx), _mm512_cvtepi32_ps(sum), acc));
}

/* An expanded block for nt tokens. */
AVX512_INLINE void tile_tokens(const struct expanded *e, float *y, size_t ys, const uint8_t *x, size_t xs,
			       size_t k, size_t b, const int sub, int bias, const int nt)
{
	__m512i sum[AVX512_TILE];

	zero(sum, nt);
	for (int ib = 0; ib < 8; ib++)
		unit_sums(sum, e->lines + 8 * ib, e->pair, ib, x + 256 * b + 32 * ib, xs, sub, nt);
	for (int t = 0; t < nt; t++)
		unit_end(y + t * ys, sum[t], e->pair, e->d, x + t * xs, k, b, sub, bias);
}

#define TOKENS(sub)									\
static __attribute__((noinline))							\
void tokens_##sub(const struct expanded *e, float *y, size_t ys, const uint8_t *x,	\
		  size_t xs, size_t n, size_t k, size_t b, int bias)			\
{											\
	AVX512_TOKENS(n, t, TILE_##sub);						\
}
#define TILE(sub, nt)	tile_tokens(e, y + t * ys, ys, x + t * xs, xs, k, b, sub, bias, nt)
#define TILE_16(nt)	TILE(16, nt)
#define TILE_32(nt)	TILE(32, nt)
TOKENS(16)
TOKENS(32)

/* ---- groups ---- */

AVX512_INLINE void expand_scales(struct expanded *e, const struct grid_type type, const uint8_t *group,
				 size_t k, size_t b)
{
	const uint8_t *o = group + b * type.lines * 64;
	const uint8_t *d = type.d_line ? o + type.d_line * 64 + 32 : group + k / 256 * type.lines * 64 + 32 * b;

	for (int p = 0; p < 128 / type.sub; p++)
		e->pair[p] = type.pair(o, p);
	e->d = _mm512_mul_ps(avx512_halves(d), _mm512_set1_ps(type.by));
}

/* One token and ng groups, side by side as matmul.h says. */
AVX512_INLINE void lone(const struct grid_type type, float *y, const uint8_t *w, size_t gb, size_t k,
			const uint8_t *x, const int ng)
{
	const size_t block = (size_t)type.lines * 64;

	for (size_t b = 0; b < k / 256; b++, w += block) {
		struct expanded e[LONE_GROUPS];
		__m512i sum[LONE_GROUPS];

		for (int g = 0; g < ng; g++) {
			ahead(w + g * gb, type.lines % 8, 1);
			expand_scales(&e[g], type, w + g * gb - b * block, k, b);
			sum[g] = _mm512_setzero_si512();
		}
#pragma GCC unroll 8
		for (int ib = 0; ib < 8; ib++) {
			for (int g = 0; g < ng; g++) {
				__m512i v[8];

				ahead(w + g * gb + (type.lines % 8 + type.lines / 8 * ib) * 64, type.lines / 8, 1);
				type.unit(w + g * gb, ib, v);
				unit_sums(&sum[g], v, e[g].pair, ib, x + 256 * b + 32 * ib, 0, type.sub, 1);
			}
		}
		for (int g = 0; g < ng; g++)
			unit_end(y + g * Z5_GROUP, sum[g], e[g].pair, e[g].d, x, k, b, type.sub, type.bias);
	}
}

AVX512_INLINE void grid_matmul(const struct grid_type type, size_t gb, Z5_MATMUL_ARGS)
{
	const uint8_t *wg = (const uint8_t *)w + g0 * gb;

	y += g0 * Z5_GROUP;
	if (n == 1) {
		for (; g1 - g0 >= LONE_GROUPS; g0 += LONE_GROUPS) {
			lone(type, y, wg, gb, k, x, LONE_GROUPS);
			wg += LONE_GROUPS * gb;
			y += LONE_GROUPS * Z5_GROUP;
		}
		for (; g0 < g1; g0++, wg += gb, y += Z5_GROUP)
			lone(type, y, wg, gb, k, x, 1);
		return;
	}
	for (; g0 < g1; g0++, wg += gb, y += Z5_GROUP) {
		for (size_t b = 0; b < k / 256; b++) {
			struct expanded e;

			expand_scales(&e, type, wg, k, b);
			for (int ib = 0; ib < 8; ib++)
				type.unit(wg + b * type.lines * 64, ib, e.lines + 8 * ib);
			(type.sub == 16 ? tokens_16 : tokens_32)(&e, y, y_stride, x, x_stride, n, k, b, type.bias);
		}
	}
}

#define GRID(type, name, ...)								\
void z5_avx512_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	grid_matmul((struct grid_type){ unit_##name, __VA_ARGS__ },			\
		    z5_types[type].group_bytes(k), y, y_stride, w, k, g0, g1, x, x_stride, n);	\
}

GRID(Z5_IQ2_XXS, iq2_xxs, pair_iq2, 17, 32, IQ2_BIAS, 0.125f, 0)
GRID(Z5_IQ2_XS, iq2_xs, pair_iq2, 19, 16, IQ2_BIAS, 0.125f, 0)
GRID(Z5_IQ2_S, iq2_s, pair_iq2, 20, 16, IQ2_BIAS, 0.125f, 0)
GRID(Z5_IQ3_XXS, iq3_xxs, pair_iq3, 25, 32, 62, 0.25f, 0)
GRID(Z5_IQ3_S, iq3_s, pair_iq3, 27, 32, 15, 1.0f, 0)
GRID(Z5_IQ1_S, iq1_s, pair_iq1_s, 12, 32, IQ1_BIAS, 0.125f, 0)
GRID(Z5_IQ1_M, iq1_m, pair_iq1_m, 14, 16, IQ1_BIAS, 0.125f, 0)
GRID(Z5_IQ4_XS, iq4_xs, pair_iq4_xs, 34, 32, IQ4_BIAS, 1.0f, 33)
