// SPDX-License-Identifier: MIT
/*
 * Products with float weights: a lane is a row, K runs in order with one fma a column. The chain of
 * fmas of one sum cannot be cut, so what keeps the unit busy is several sums at once: groups times
 * tokens, eight registers or more.
 */
#include "avx2.h"

/* Bytes ahead of the loads of one token; several groups at once are as many streams. */
#define AHEAD 1024

/* 16 rows of one column. */
struct lanes {
	__m256 lo, hi;
};

AVX2_INLINE struct lanes column_f32(const uint8_t *g, size_t i)
{
	const float *w = (const float *)g + 16 * i;

	return (struct lanes){ _mm256_load_ps(w), _mm256_load_ps(w + 8) };
}

AVX2_INLINE struct lanes column_f16(const uint8_t *g, size_t i)
{
	return (struct lanes){ avx2_halves(g + 32 * i), avx2_halves(g + 32 * i + 16) };
}

/* The odd columns are the upper halves of the words as they are, the even ones want a shift. */
AVX2_INLINE __m256 half_bf16(__m256i w, int odd)
{
	return _mm256_castsi256_ps(odd ? _mm256_and_si256(w, _mm256_set1_epi32((int)0xffff0000)) :
					 _mm256_slli_epi32(w, 16));
}

AVX2_INLINE struct lanes column_bf16(const uint8_t *g, size_t i)
{
	const uint8_t *w = g + i / 2 * 64;

	return (struct lanes){ half_bf16(avx2_load(w), i & 1),
			       half_bf16(avx2_load(w + 32), i & 1) };
}

AVX2_INLINE struct lanes column(enum z5_type type, const uint8_t *g, size_t i)
{
	if (type == Z5_F32)
		return column_f32(g, i);
	if (type == Z5_F16)
		return column_f16(g, i);
	return column_bf16(g, i);
}

/* Always called with constant type, ng and nt, so that acc is registers. */
AVX2_INLINE void step(enum z5_type type, const int ng, const int nt, struct lanes acc[4][4],
		      const uint8_t *w, size_t gb, const float *const *x, size_t i)
{
	for (int g = 0; g < ng; g++) {
		struct lanes c = column(type, w + (size_t)g * gb, i);

		for (int t = 0; t < nt; t++) {
			__m256 v = _mm256_broadcast_ss(x[t] + i);

			acc[g][t].lo = _mm256_fmadd_ps(c.lo, v, acc[g][t].lo);
			acc[g][t].hi = _mm256_fmadd_ps(c.hi, v, acc[g][t].hi);
		}
	}
}

AVX2_INLINE void tile(enum z5_type type, const int ng, const int nt, float *y, size_t y_stride,
		      const uint8_t *w, size_t gb, size_t k, const uint8_t *x, size_t x_stride)
{
	struct lanes acc[4][4];
	const float *xs[4];
	size_t i = 0;

	for (int g = 0; g < ng; g++)
		for (int t = 0; t < nt; t++)
			acc[g][t].lo = acc[g][t].hi = _mm256_setzero_ps();
	for (int t = 0; t < nt; t++)
		xs[t] = (const float *)(const void *)(x + (size_t)t * x_stride);

	for (; i + 2 <= k; i += 2) {
		if (nt == 1)
			for (int g = 0; g < ng; g++)
				_mm_prefetch((const char *)w + (size_t)g * gb +
						     i * (type == Z5_F32 ? 64 : 32) + AHEAD,
					     _MM_HINT_T0);
		step(type, ng, nt, acc, w, gb, xs, i);
		step(type, ng, nt, acc, w, gb, xs, i + 1);
	}
	if (i < k)
		step(type, ng, nt, acc, w, gb, xs, i);

	for (int t = 0; t < nt; t++) {
		for (int g = 0; g < ng; g++) {
			float *out = y + (size_t)t * y_stride + g * Z5_GROUP;

			_mm256_storeu_ps(out, acc[g][t].lo);
			_mm256_storeu_ps(out + 8, acc[g][t].hi);
		}
	}
}

/* Tokens in fours, twos and one, over ng groups. */
AVX2_INLINE void tokens(enum z5_type type, const int ng, float *y, size_t y_stride,
			const uint8_t *w, size_t gb, size_t k, const uint8_t *x, size_t x_stride,
			size_t n)
{
	for (; n >= 4 && ng == 1; n -= 4, x += 4 * x_stride, y += 4 * y_stride)
		tile(type, ng, 4, y, y_stride, w, gb, k, x, x_stride);
	for (; n >= 2 && ng <= 2; n -= 2, x += 2 * x_stride, y += 2 * y_stride)
		tile(type, ng, 2, y, y_stride, w, gb, k, x, x_stride);
	for (; n; n--, x += x_stride, y += y_stride)
		tile(type, ng, 1, y, y_stride, w, gb, k, x, x_stride);
}

AVX2_INLINE void matmul(enum z5_type type, size_t gb, Z5_MATMUL_ARGS)
{
	const uint8_t *p = (const uint8_t *)w + g0 * gb;

	y += g0 * Z5_GROUP;
	for (; n == 1 && g1 - g0 >= 4; g0 += 4, p += 4 * gb, y += 4 * Z5_GROUP)
		tokens(type, 4, y, y_stride, p, gb, k, x, x_stride, n);
	for (; n <= 2 && g1 - g0 >= 2; g0 += 2, p += 2 * gb, y += 2 * Z5_GROUP)
		tokens(type, 2, y, y_stride, p, gb, k, x, x_stride, n);
	for (; g0 < g1; g0++, p += gb, y += Z5_GROUP)
		tokens(type, 1, y, y_stride, p, gb, k, x, x_stride, n);
}

#define MATMUL(type, name)								\
void z5_avx2_matmul_##name(Z5_MATMUL_ARGS)						\
{											\
	matmul(type, z5_types[type].group_bytes(k), y, y_stride, w, k, g0, g1,		\
	       x, x_stride, n);								\
}

MATMUL(Z5_F32, f32)
MATMUL(Z5_F16, f16)
MATMUL(Z5_BF16, bf16)
