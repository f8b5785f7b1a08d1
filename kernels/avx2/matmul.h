/* SPDX-License-Identifier: MIT */
/*
 * What the products with quantized weights share. AVX2 multiplies bytes only with vpmaddubsw, unsigned by signed,
 * which adds two products and saturates at 16 bits. Every use of it here stays inside, |x| being
 * 127 at most by contract:
 *
 *  Q4_0, Q4_K  weights 0..15: 2 * 15 * 127 = 3810 a quad, 8 quads 30480 < 32767. So a block, or
 *              sub-block, of 32 columns is summed in 16 bits and widened once.
 *  Q5_0, Q5_1, Q5_K
 *              weights 0..31: 2 * 31 * 127 = 7874 a quad, 4 quads 31496 < 32767.
 *  Q2_K, Q3_K  weights 0..7: 2 * 7 * 127 = 1778 a quad, the 4 quads of a sub-block 7112; 4 times that
 *              28448 < 32767.
 *  Q6_K        weights 0..63: 2 * 63 * 127 = 16002 a quad, 2 quads 32004 < 32767.
 *  TQ2_0, I2_S weights 0..3 likewise: 762 a quad, the 32 quads of half a block 24384 < 32767; 4 times that in
 *              8 quads 24384.
 *  Q8_0        |w| by x with the sign of w, |w| 128 at most: 2 * 128 * 127 = 32512 < 32767, 1 quad.
 *
 * What the unsigned form has too much comes off with the sums of the activation, in exact integers.
 */
#ifndef Z5_AVX2_MATMUL_H
#define Z5_AVX2_MATMUL_H

#include "avx2.h"

/* Tokens that share one look at the weights: 8 sums of 16 bits in registers. */
#define TILE 4

/* 16 rows; of int32, of int16 pairs or of floats. */
struct rows {
	__m256i lo, hi;
};

struct sums {
	__m256 lo, hi;
};

AVX2_INLINE struct rows line(const uint8_t *p)
{
	return (struct rows){ avx2_load(p), avx2_load(p + 32) };
}

AVX2_INLINE struct rows masked(struct rows w, int shift, int mask)
{
	__m256i m = _mm256_set1_epi8((char)mask);

	if (shift) {
		w.lo = _mm256_srli_epi16(w.lo, shift);
		w.hi = _mm256_srli_epi16(w.hi, shift);
	}
	return (struct rows){ _mm256_and_si256(w.lo, m), _mm256_and_si256(w.hi, m) };
}

/* Bits of a under mask_a, those of b under mask_b. */
AVX2_INLINE struct rows merged(struct rows a, int mask_a, struct rows b, int mask_b)
{
	a = masked(a, 0, mask_a);
	b = masked(b, 0, mask_b);
	return (struct rows){ _mm256_or_si256(a.lo, b.lo), _mm256_or_si256(a.hi, b.hi) };
}

AVX2_INLINE struct rows up16(struct rows a, const int by)
{
	return (struct rows){ _mm256_slli_epi16(a.lo, by), _mm256_slli_epi16(a.hi, by) };
}

AVX2_INLINE struct rows down16(struct rows a, const int by)
{
	return (struct rows){ _mm256_srli_epi16(a.lo, by), _mm256_srli_epi16(a.hi, by) };
}

/* Five bits: the low and the high quads of a line of nibbles, pair i of the fifth bits with them (see kernels.h). */
AVX2_INLINE void five(struct rows q, struct rows fifth, const int i, struct rows *low, struct rows *high)
{
	fifth = i < 2 ? up16(fifth, 3 - 2 * i) : down16(fifth, 2 * i - 3);
	*low = merged(q, 0x0f, fifth, 0x10);
	*high = down16(merged(q, 0xf0, fifth, 0x08), 3);
}

/* Unsigned w times one quad of x for all rows, as pairs of 16 bits. */
AVX2_INLINE struct rows pairs(struct rows w, const int8_t *q)
{
	__m256i x = avx2_quad(q);

	return (struct rows){ _mm256_maddubs_epi16(w.lo, x), _mm256_maddubs_epi16(w.hi, x) };
}

/*
 * A sum stays one chain: gcc knows that integer sums may be reordered, makes a tree of the products
 * of a whole block and spills nearly all of them.
 */
AVX2_INLINE struct rows in_order(struct rows a)
{
	__asm__("" : "+x"(a.lo), "+x"(a.hi));
	return a;
}

AVX2_INLINE struct rows add16(struct rows a, struct rows b)
{
	return in_order(
		(struct rows){ _mm256_add_epi16(a.lo, b.lo), _mm256_add_epi16(a.hi, b.hi) });
}

AVX2_INLINE struct rows add32(struct rows a, struct rows b)
{
	return in_order(
		(struct rows){ _mm256_add_epi32(a.lo, b.lo), _mm256_add_epi32(a.hi, b.hi) });
}

/* Both pairs of each row times by, added to 32 bits. */
AVX2_INLINE struct rows widen(struct rows a, struct rows by)
{
	return (struct rows){ _mm256_madd_epi16(a.lo, by.lo), _mm256_madd_epi16(a.hi, by.hi) };
}

AVX2_INLINE struct rows both(__m256i v)
{
	return (struct rows){ v, v };
}

AVX2_INLINE struct sums halves(const uint8_t *p)
{
	return (struct sums){ avx2_halves(p), avx2_halves(p + 16) };
}

/* acc = fma(d_w * d_x, isum, acc), the one rounding of a block */
AVX2_INLINE void block(struct sums *acc, struct sums dw, float dx, struct rows isum)
{
	__m256 d = _mm256_set1_ps(dx);

	acc->lo = _mm256_fmadd_ps(_mm256_mul_ps(dw.lo, d), _mm256_cvtepi32_ps(isum.lo), acc->lo);
	acc->hi = _mm256_fmadd_ps(_mm256_mul_ps(dw.hi, d), _mm256_cvtepi32_ps(isum.hi), acc->hi);
}

AVX2_INLINE void block_less(struct sums *acc, struct sums dw, float dx, struct rows isum)
{
	__m256 d = _mm256_set1_ps(dx);

	acc->lo = _mm256_fnmadd_ps(_mm256_mul_ps(dw.lo, d), _mm256_cvtepi32_ps(isum.lo), acc->lo);
	acc->hi = _mm256_fnmadd_ps(_mm256_mul_ps(dw.hi, d), _mm256_cvtepi32_ps(isum.hi), acc->hi);
}

/*
 * Few tokens cost the stream of weights, and a core reads several streams at once faster than one (measured in
 * Documentation/performance.rst). So while some groups are worked on, in whatever order that is, the next ones are
 * asked for in STREAMS parts side by side; they wait in the second-level cache.
 */
#define STREAMS 4

struct asking {
	const uint8_t *at, *end;	/* in the first part */
	size_t part;
	size_t owed;			/* bytes read since the last question */
};

/* bytes at p; 0: there is nothing to ask for. */
AVX2_INLINE struct asking asking_for(const uint8_t *p, size_t bytes)
{
	const size_t part = Z5_ALIGN64(bytes / STREAMS);

	return (struct asking){ p, p + part, part, 0 };
}

/* So many bytes are about to be read. */
AVX2_INLINE void ask(struct asking *a, const size_t bytes)
{
	for (a->owed += bytes; a->owed >= 64 * STREAMS && a->at < a->end; a->owed -= 64 * STREAMS, a->at += 64)
		for (int i = 0; i < STREAMS; i++)
			_mm_prefetch((const char *)a->at + i * a->part, _MM_HINT_T1);
}

/* Bytes asked for at once: shorter streams are slow to start, and two lots have to fit beside all else. */
#define LOT (64u << 10)

AVX2_INLINE size_t lot_groups(size_t gb)
{
	return gb < LOT ? LOT / gb : 1;
}

/* The lot that begins with group g of a matrix of gb bytes a group, of which those before g1 are to be read. */
AVX2_INLINE struct asking asking_lot(const uint8_t *w, size_t gb, size_t g, size_t g1)
{
	const size_t lot = lot_groups(gb);

	return g < g1 ? asking_for(w + g * gb, (g1 - g < lot ? g1 - g : lot) * gb) : asking_for(w, 0);
}

/* ---- groups and tokens ---- */

/* Adds all blocks of a group to the sums of nt tokens. */
typedef void (*tile_fn)(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			const uint8_t *x, size_t x_stride, struct asking *next);

AVX2_INLINE void sums_zero(struct sums *acc, const int n)
{
	for (int i = 0; i < n; i++)
		acc[i].lo = acc[i].hi = _mm256_setzero_ps();
}

AVX2_INLINE void sums_put(float *y, struct sums acc)
{
	_mm256_storeu_ps(y, acc.lo);
	_mm256_storeu_ps(y + 8, acc.hi);
}

AVX2_INLINE void tile(tile_fn fn, const int nt, size_t blocks, float *y, size_t y_stride, const uint8_t *w,
		      size_t k, const uint8_t *x, size_t x_stride, struct asking *next)
{
	struct sums acc[TILE];

	for (int t = 0; t < nt; t++)
		acc[t].lo = acc[t].hi = _mm256_setzero_ps();
	fn(nt, acc, w, k, blocks, x, x_stride, next);
	for (int t = 0; t < nt; t++) {
		_mm256_storeu_ps(y + (size_t)t * y_stride, acc[t].lo);
		_mm256_storeu_ps(y + (size_t)t * y_stride + 8, acc[t].hi);
	}
}

/* block: columns of one */
AVX2_INLINE void matmul(tile_fn fn, size_t block, size_t gb, Z5_MATMUL_ARGS)
{
	const size_t blocks = k / block, lot = lot_groups(gb);
	struct asking next = { 0 };

	for (size_t g = g0; g < g1; g++) {
		const uint8_t *p = (const uint8_t *)w + g * gb, *a = x;
		float *out = y + g * Z5_GROUP;
		size_t left = n;

		if ((g - g0) % lot == 0)
			next = asking_lot(w, gb, g + lot, g1);
		for (; left >= 4; left -= 4, a += 4 * x_stride, out += 4 * y_stride)
			tile(fn, 4, blocks, out, y_stride, p, k, a, x_stride, &next);
		for (; left >= 2; left -= 2, a += 2 * x_stride, out += 2 * y_stride)
			tile(fn, 2, blocks, out, y_stride, p, k, a, x_stride, &next);
		if (left)
			tile(fn, 1, blocks, out, y_stride, p, k, a, x_stride, &next);
	}
}

#define MATMUL(type, name, block)								\
void z5_avx2_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	matmul(tile_##name, block, z5_types[type].group_bytes(k), y, y_stride,		\
	       w, k, g0, g1, x, x_stride, n);						\
}

#endif
