// SPDX-License-Identifier: MIT
/*
 * Products with types whose weights are entries of a grid: IQ2_XXS, IQ2_XS, IQ2_S, IQ3_XXS, IQ3_S, IQ1_S,
 * IQ1_M. A block is expanded once for all tokens to 64 lines of unsigned bytes, as in avx512/matmul_grid.c;
 * the sums of the tokens are in y, loaded and stored once a block. vpmaddubsw saturates at 16 bits:
 *
 *  IQ2      43 + level * sign, 86 at most: 2 * 86 * 127 = 21844, 1 quad
 *  IQ3_XXS  62 + weight * sign, 124 at most: 2 * 124 * 127 = 31496 < 32767, 1 quad
 *  IQ3_S    15 + weight * sign, 30 at most: 4 quads 30480
 *  IQ1      in eighths 9 + 8 * level + delta, 18 at most: 4 quads 18288
 */
#include <kernels/iq.h>

#include "matmul.h"

#define IQ2_BIAS	43
#define IQ1_BIAS	9

/* One block of one group, ready for tokens. */
struct expanded {
	struct rows lines[64];
	struct rows pair[8];	/* the scales of columns 32p.. and 32p + 16.., 16 bits each */
	struct rows scale[16];	/* that of columns 16s.. in both halves */
	struct sums d;		/* with the power of two that makes the integers whole */
};

/*
 * What a type defines; all are constants where they are inlined. half expands sub-block ib for the 8 rows of half h:
 * quads[j] is that of line j.
 */
typedef void (*half_fn)(const uint8_t *o, int ib, int h, __m256i *quads);
typedef __m256i (*pair_fn)(const uint8_t *o, int p, int h);
struct grid_type {
	half_fn half;
	pair_fn pair;
	int lines, chain, bias;	/* chain: quads that 16 bits hold */
	float by;
};

/* ---- a block's parts, 8 rows each ---- */

AVX2_INLINE __m256i words(const uint8_t *o, int line, int h)
{
	return avx2_load(o + 64 * line + 32 * h);
}

AVX2_INLINE __m256i gather(const uint32_t *grid, __m256i at)
{
	return _mm256_i32gather_epi32((const int *)grid, at, 4);
}

/* Byte l of each row's word. */
AVX2_INLINE __m256i byte_of(__m256i word, int l)
{
	return _mm256_and_si256(_mm256_srli_epi32(word, 8 * l), _mm256_set1_epi32(255));
}

/* The n bits from `from` on of each row's word, put at bit 8: where they belong in an index. */
AVX2_INLINE __m256i high_of(__m256i word, int from, int n)
{
	__m256i v = _mm256_slli_epi32(_mm256_srli_epi32(word, from), 8);

	return _mm256_and_si256(v, _mm256_set1_epi32(((1 << n) - 1) << 8));
}

/* 0xff in the bytes whose sign is set. */
AVX2_INLINE __m256i signs_of(const uint8_t *o, int line, int quad, int h)
{
	const __m256i at = _mm256_set_epi64x(0x0303030303030303, 0x0202020202020202,
					     0x0101010101010101, 0);
	const __m256i bit = _mm256_set1_epi64x((long long)0x8040201008040201);
	__m256i v = avx2_quad((const int8_t *)o + 64 * line + 8 * quad + 4 * h);

	return _mm256_cmpeq_epi8(_mm256_and_si256(_mm256_shuffle_epi8(v, at), bit), bit);
}

/* Nibbles 2p and 2p + 1 of the words of scales, as 2 s + 1. */
AVX2_INLINE __m256i odd_pair(const uint8_t *o, int line, int p, int h)
{
	__m256i w = _mm256_srli_epi32(words(o, line + p / 4, h), p % 4 * 8);
	__m256i s = _mm256_or_si256(
		_mm256_and_si256(w, _mm256_set1_epi32(15)),
		_mm256_and_si256(_mm256_slli_epi32(w, 12), _mm256_set1_epi32(15 << 16)));

	return _mm256_add_epi16(_mm256_add_epi16(s, s), _mm256_set1_epi16(1));
}

AVX2_INLINE __m256i even_twice(__m256i pair)
{
	return _mm256_or_si256(_mm256_and_si256(pair, _mm256_set1_epi32(0xffff)),
			       _mm256_slli_epi32(pair, 16));
}

AVX2_INLINE __m256i odd_twice(__m256i pair)
{
	return even_twice(_mm256_srli_epi32(pair, 16));
}

/* Where a scale is for 32 columns: nibble p of the words. */
AVX2_INLINE __m256i odd_scale(const uint8_t *o, int line, int p, int h)
{
	__m256i two = odd_pair(o, line, p / 2, h);

	return p % 2 ? odd_twice(two) : even_twice(two);
}

/* ---- IQ2 ---- */

/*
 * The level of code c, biased. Of a byte vpshufb sees bits 0..3 and 7 only; c is 2 at most,
 * bit 2 takes the sign. */
AVX2_INLINE __m256i iq2_line(__m256i c, __m256i negative)
{
	const __m256i levels = _mm256_set1_epi64x(
		(IQ2_BIAS + 8) | (IQ2_BIAS + 25) << 8 | (IQ2_BIAS + 43) << 16 |
		(long long)(IQ2_BIAS - 8) << 32 | (long long)(IQ2_BIAS - 25) << 40);

	return _mm256_shuffle_epi8(
		levels, _mm256_or_si256(c, _mm256_and_si256(negative, _mm256_set1_epi8(4))));
}

AVX2_INLINE void iq2_lines(const uint8_t *o, int quad, int h, __m256i e, __m256i *v)
{
	v[0] = iq2_line(e, signs_of(o, 8, quad, h));
	v[1] = iq2_line(_mm256_srli_epi32(e, 4), signs_of(o, 8, quad + 1, h));
}

AVX2_INLINE void half_iq2_xxs(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i low = words(o, ib, h);

	for (int l = 0; l < 4; l++)
		iq2_lines(o, 8 * ib + 2 * l, h, gather(z5_iq2_xxs_grid, byte_of(low, l)),
			  v + 2 * l);
}

AVX2_INLINE void half_iq2_xs(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i low = words(o, ib, h), high = _mm256_srli_epi32(words(o, 18, h), 4 * ib);

	for (int l = 0; l < 4; l++) {
		__m256i at = _mm256_or_si256(byte_of(low, l), high_of(high, l, 1));

		iq2_lines(o, 8 * ib + 2 * l, h, gather(z5_iq2_xs_grid, at), v + 2 * l);
	}
}

AVX2_INLINE void half_iq2_s(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i low = words(o, ib, h),
		      high = _mm256_srli_epi32(words(o, 18 + ib / 4, h), ib % 4 * 8);

	for (int l = 0; l < 4; l++) {
		__m256i at = _mm256_or_si256(byte_of(low, l), high_of(high, 2 * l, 2));

		iq2_lines(o, 8 * ib + 2 * l, h, gather(z5_iq2_s_grid, at), v + 2 * l);
	}
}

AVX2_INLINE __m256i pair_iq2_xxs(const uint8_t *o, int p, int h)
{
	return odd_scale(o, 16, p, h);
}

AVX2_INLINE __m256i pair_iq2(const uint8_t *o, int p, int h)
{
	return odd_pair(o, 16, p, h);
}

/* ---- IQ3 ---- */

AVX2_INLINE __m256i iq3_line(__m256i e, __m256i negative, int most)
{
	__m256i sign = _mm256_or_si256(negative, _mm256_set1_epi8(1));

	return _mm256_add_epi8(_mm256_sign_epi8(e, sign), _mm256_set1_epi8((char)most));
}

AVX2_INLINE void half_iq3_xxs(const uint8_t *o, int ib, int h, __m256i *v)
{
	for (int i = 0; i < 8; i++) {
		const __m256i low = words(o, 2 * ib + i / 4, h);

		v[i] = iq3_line(gather(z5_iq3_xxs_grid, byte_of(low, i % 4)),
				signs_of(o, 16, 8 * ib + i, h), 62);
	}
}

AVX2_INLINE void half_iq3_s(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i high = _mm256_srli_epi32(words(o, 25 + ib / 4, h), ib % 4 * 8);

	for (int i = 0; i < 8; i++) {
		const __m256i low = words(o, 2 * ib + i / 4, h);
		__m256i at = _mm256_or_si256(byte_of(low, i % 4), high_of(high, i, 1));

		v[i] = iq3_line(gather(z5_iq3_s_grid, at), signs_of(o, 16, 8 * ib + i, h), 15);
	}
}

AVX2_INLINE __m256i pair_iq3(const uint8_t *o, int p, int h)
{
	return odd_scale(o, 24, p, h);
}

/* ---- IQ1 ---- */

/* delta: 2 in each byte of the rows where it is positive */
AVX2_INLINE void iq1_lines(__m256i e, __m256i delta, __m256i *v)
{
	const __m256i at3 = _mm256_set1_epi8(0x18);

	v[0] = _mm256_or_si256(_mm256_and_si256(_mm256_slli_epi32(e, 3), at3), delta);
	v[1] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi32(e, 1), at3), delta);
}

/* 2 in each byte of the rows whose bit of word is clear. */
AVX2_INLINE __m256i iq1_delta(__m256i word, int bit)
{
	__m256i set = _mm256_srai_epi32(_mm256_slli_epi32(word, 31 - bit), 31);

	return _mm256_andnot_si256(set, _mm256_set1_epi8(2));
}

AVX2_INLINE void half_iq1_s(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i low = words(o, ib, h),
		      high = _mm256_srli_epi32(words(o, 8 + ib / 2, h), ib % 2 * 16);
	const __m256i delta = iq1_delta(high, 15);

	for (int l = 0; l < 4; l++) {
		__m256i at = _mm256_or_si256(byte_of(low, l), high_of(high, 3 * l, 3));

		iq1_lines(gather(z5_iq1_grid, at), delta, v + 2 * l);
	}
}

AVX2_INLINE __m256i pair_iq1_s(const uint8_t *o, int p, int h)
{
	__m256i w = _mm256_srli_epi32(words(o, 8 + p / 2, h), p % 2 * 16 + 12);
	__m256i s = _mm256_and_si256(w, _mm256_set1_epi32(7));

	return even_twice(_mm256_add_epi32(_mm256_add_epi32(s, s), _mm256_set1_epi32(1)));
}

AVX2_INLINE void half_iq1_m(const uint8_t *o, int ib, int h, __m256i *v)
{
	const __m256i low = words(o, ib, h),
		      high = _mm256_srli_epi32(words(o, 8 + ib / 2, h), ib % 2 * 16);

	for (int l = 0; l < 4; l++) {
		__m256i at = _mm256_or_si256(byte_of(low, l), high_of(high, 4 * l, 3));

		iq1_lines(gather(z5_iq1_grid, at), iq1_delta(high, 4 * l + 3), v + 2 * l);
	}
}

AVX2_INLINE __m256i pair_iq1_m(const uint8_t *o, int p, int h)
{
	return odd_pair(o, 12, p, h);
}

/* ---- groups and tokens ---- */

AVX2_INLINE void expand(struct expanded *e, const struct grid_type type, const uint8_t *o)
{
	for (int ib = 0; ib < 8; ib++) {
		__m256i lo[8], hi[8];
		struct rows two = { type.pair(o, ib, 0), type.pair(o, ib, 1) };

		type.half(o, ib, 0, lo);
		type.half(o, ib, 1, hi);
		for (int j = 0; j < 8; j++)
			e->lines[8 * ib + j] = (struct rows){ lo[j], hi[j] };
		e->pair[ib] = two;
		e->scale[2 * ib] = (struct rows){ even_twice(two.lo), even_twice(two.hi) };
		e->scale[2 * ib + 1] = (struct rows){ odd_twice(two.lo), odd_twice(two.hi) };
	}
}

/* Block b of nt tokens, added to y. */
AVX2_INLINE void tile_tokens(const int nt, const struct expanded *e, float *y, size_t ys, const uint8_t *x,
			     size_t xs, size_t k, size_t b, const int chain, int bias)
{
	struct rows isum[TILE];

	for (int t = 0; t < nt; t++)
		isum[t] = both(_mm256_setzero_si256());
	for (int j = 0; j < 64; j += chain) {
		for (int t = 0; t < nt; t++) {
			const int8_t *q = (const int8_t *)x + (size_t)t * xs + 256 * b + 4 * j;
			struct rows sum = pairs(e->lines[j], q);

			for (int i = 1; i < chain; i++)
				sum = add16(sum, pairs(e->lines[j + i], q + 4 * i));
			isum[t] = add32(isum[t], widen(sum, e->scale[j / 4]));
		}
	}
	for (int t = 0; t < nt; t++) {
		const uint8_t *a = x + (size_t)t * xs;
		const int8_t *s16 = (const int8_t *)a + z5_q8_256_s16(k) + 32 * b;
		const float *dx = (const void *)(a + z5_q8_256_d(k));
		float *out = y + (size_t)t * ys;
		const __m256i by = _mm256_set1_epi32(bias);
		struct rows all = both(_mm256_setzero_si256());
		struct sums acc = { _mm256_setzero_ps(), _mm256_setzero_ps() };

		if (b)
			acc = (struct sums){ _mm256_loadu_ps(out), _mm256_loadu_ps(out + 8) };
		for (int p = 0; p < 8; p++)
			all = add32(all, widen(e->pair[p], both(avx2_quad(s16 + 4 * p))));
		isum[t].lo = _mm256_sub_epi32(isum[t].lo, _mm256_mullo_epi32(all.lo, by));
		isum[t].hi = _mm256_sub_epi32(isum[t].hi, _mm256_mullo_epi32(all.hi, by));
		block(&acc, e->d, dx[b], isum[t]);
		_mm256_storeu_ps(out, acc.lo);
		_mm256_storeu_ps(out + 8, acc.hi);
	}
}

#define TOKENS(chain)									\
static __attribute__((noinline))							\
void tokens_##chain(const struct expanded *e, float *y, size_t ys, const uint8_t *x,	\
		    size_t xs, size_t n, size_t k, size_t b, int bias)			\
{											\
	for (; n >= 4; n -= 4, x += 4 * xs, y += 4 * ys)				\
		tile_tokens(4, e, y, ys, x, xs, k, b, chain, bias);			\
	for (; n; n--, x += xs, y += ys)						\
		tile_tokens(1, e, y, ys, x, xs, k, b, chain, bias);			\
}
TOKENS(1)
TOKENS(4)

AVX2_INLINE void grid_matmul(const struct grid_type type, size_t gb, Z5_MATMUL_ARGS)
{
	const __m256 by = _mm256_set1_ps(type.by);
	const size_t lot = lot_groups(gb);
	struct asking next = { 0 };

	for (size_t g = g0; g < g1 && n; g++) {
		const uint8_t *o = (const uint8_t *)w + g * gb, *d = o + k / 256 * type.lines * 64;

		if ((g - g0) % lot == 0)
			next = asking_lot(w, gb, g + lot, g1);
		for (size_t b = 0; b < k / 256; b++, o += type.lines * 64, d += 32) {
			struct expanded e;

			ask(&next, type.lines * 64 + 32);
			expand(&e, type, o);
			e.d = halves(d);
			e.d.lo = _mm256_mul_ps(e.d.lo, by);
			e.d.hi = _mm256_mul_ps(e.d.hi, by);
			(type.chain == 1 ? tokens_1 : tokens_4)(&e, y + g * Z5_GROUP, y_stride, x,
								x_stride, n, k, b, type.bias);
		}
	}
}

#define GRID(type, name, ...)								\
void z5_avx2_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	grid_matmul((struct grid_type){ half_##name, __VA_ARGS__ },			\
		    z5_types[type].group_bytes(k), y, y_stride, w, k, g0, g1, x, x_stride, n);	\
}

GRID(Z5_IQ2_XXS, iq2_xxs, pair_iq2_xxs, 17, 1, IQ2_BIAS, 0.125f)
GRID(Z5_IQ2_XS, iq2_xs, pair_iq2, 19, 1, IQ2_BIAS, 0.125f)
GRID(Z5_IQ2_S, iq2_s, pair_iq2, 20, 1, IQ2_BIAS, 0.125f)
GRID(Z5_IQ3_XXS, iq3_xxs, pair_iq3, 25, 1, 62, 0.25f)
GRID(Z5_IQ3_S, iq3_s, pair_iq3, 27, 4, 15, 1.0f)
GRID(Z5_IQ1_S, iq1_s, pair_iq1_s, 12, 4, IQ1_BIAS, 0.125f)
GRID(Z5_IQ1_M, iq1_m, pair_iq1_m, 14, 4, IQ1_BIAS, 0.125f)
