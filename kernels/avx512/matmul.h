/* SPDX-License-Identifier: MIT */
/*
 * What the matrix products share. A register of weights is 16 rows x 4 columns, the activation's 4 columns are
 * broadcast, so that each lane sums one output row and nothing is ever added across lanes.
 */
#ifndef Z5_AVX512_MATMUL_H
#define Z5_AVX512_MATMUL_H

#include "avx512.h"

/*
 * A tile is ng groups by nt tokens, one of them 1. Many tokens share one pass over a group's weights. A lone token
 * takes several groups side by side instead: what it costs is the stream of weights, and a core reads four streams
 * half as fast again as one (its prefetchers follow each of them on its own; measured in
 * Documentation/performance.rst).
 */
#define LONE_GROUPS 4
#define TILE_ARGS float *y, size_t ys, const uint8_t *w, size_t gb, size_t k, const uint8_t *x, size_t xs, \
		  const int ng, const int nt

/* Asks for what a lone token's stream holds next: hardware prefetchers stop at each 4 KiB. In bytes. */
#define AHEAD 1024

AVX512_INLINE void ahead(const uint8_t *p, size_t lines, const int nt)
{
	if (nt == 1)
		for (size_t i = 0; i < lines; i++)
			_mm_prefetch((const char *)p + AHEAD + 64 * i, _MM_HINT_T0);
}

AVX512_INLINE void tile_zero(__m512 *acc, const int n)
{
	for (int i = 0; i < n; i++)
		acc[i] = _mm512_setzero_ps();
}

/* The same for sums of integers. */
AVX512_INLINE void zero(__m512i *s, const int n)
{
	for (int i = 0; i < n; i++)
		s[i] = _mm512_setzero_si512();
}

AVX512_INLINE void tile_store(float *y, size_t ys, const __m512 *acc, const int ng, const int nt)
{
	for (int g = 0; g < ng; g++)
		for (int t = 0; t < nt; t++)
			_mm512_storeu_ps(y + t * ys + g * Z5_GROUP, acc[g * nt + t]);
}

/*
 * Adds to the sums of nt tokens their quads at q, of n lines v. The tokens advance side by side: each vpdpbusd of a sum
 * waits for the one before, and if a token's came one after the other, those that wait would fill the scheduler before
 * it saw another token's.
 */
AVX512_INLINE void dots(__m512i *s, const __m512i *v, const int n, const uint8_t *q, size_t xs, const int nt)
{
	for (int j = 0; j < n; j++)
		for (int t = 0; t < nt; t++)
			s[t] = _mm512_dpbusd_epi32(s[t], v[j], avx512_quad(q + t * xs + 4 * j));
}

/*
 * The same for the 32 columns in v, of which a lone token has those in v[4] and above 1 << up times too large. It takes
 * two chains, since it has nothing else to do while they wait.
 */
AVX512_INLINE void dots32(__m512i *s, const __m512i *v, const uint8_t *q, size_t xs, const int up, const int nt)
{
	__m512i s1 = _mm512_setzero_si512();

	if (nt > 1) {
		dots(s, v, 8, q, xs, nt);
		return;
	}
	dots(s, v, 4, q, 0, 1);
	dots(&s1, v + 4, 4, q + 16, 0, 1);
	*s = _mm512_add_epi32(*s, up ? _mm512_srai_epi32(s1, up) : s1);
}

/*
 * Fifth bits of a line (see kernels.h) moved to where pair i of nibbles needs them: bit 4 for the low, bit 3 for the
 * high one. The result of low_five() is the weight, that of high_five() 8 times the weight.
 */
AVX512_INLINE __m512i fifth_bits(__m512i h, int i)
{
	h = _mm512_rolv_epi32(h, _mm512_set1_epi32(3 - 2 * i));
	return _mm512_and_si512(h, _mm512_set1_epi8(0x18));
}

/* Bits of a where mask has them set, of b elsewhere. */
AVX512_INLINE __m512i choose(__m512i mask, __m512i a, __m512i b)
{
	return _mm512_ternarylogic_epi32(mask, a, b, 0xca);
}

AVX512_INLINE __m512i low_five(__m512i nibbles, __m512i fifth)
{
	return choose(_mm512_set1_epi8(15), nibbles, fifth);
}

AVX512_INLINE __m512i high_five(__m512i nibbles, __m512i fifth)
{
	return choose(_mm512_set1_epi8(15), fifth, nibbles);
}

AVX512_INLINE __m512 scale_of(const uint8_t *xt, size_t at)
{
	return _mm512_set1_ps(*(const alias_f32 *)(xt + at));
}

/* acc = fma(d * dx, sum, acc): what a block adds */
AVX512_INLINE __m512 block(__m512 acc, const uint8_t *d, __m512 dx, __m512i sum)
{
	return _mm512_fmadd_ps(_mm512_mul_ps(avx512_halves(d), dx), _mm512_cvtepi32_ps(sum), acc);
}

/* The same with a minus: what its minimum takes away. */
AVX512_INLINE __m512 block_less(__m512 acc, const uint8_t *d, __m512 dx, __m512i sum)
{
	return _mm512_fnmadd_ps(_mm512_mul_ps(avx512_halves(d), dx), _mm512_cvtepi32_ps(sum), acc);
}

typedef void (*tile_fn)(TILE_ARGS);

AVX512_INLINE void matmul(tile_fn tile, size_t gb, Z5_MATMUL_ARGS)
{
	const uint8_t *wg = (const uint8_t *)w + g0 * gb, *xb = x;

	y += g0 * Z5_GROUP;
	if (n == 1)
		for (; g1 - g0 >= LONE_GROUPS; g0 += LONE_GROUPS) {
			tile(y, 0, wg, gb, k, xb, 0, LONE_GROUPS, 1);
			wg += LONE_GROUPS * gb;
			y += LONE_GROUPS * Z5_GROUP;
		}
	for (; g0 < g1; g0++, wg += gb, y += Z5_GROUP) {
#define TILE(nt) tile(y + t * y_stride, y_stride, wg, gb, k, xb + t * x_stride, x_stride, 1, nt)
		AVX512_TOKENS(n, t, TILE);
#undef TILE
	}
}

#define MATMUL(type, name)								\
void z5_avx512_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	matmul(tile_##name, z5_types[type].group_bytes(k), y, y_stride, w, k, g0, g1,	\
	       x, x_stride, n);								\
}

#endif
