// SPDX-License-Identifier: MIT
/*
 * Attention. Scores: a lane is a position, the sum runs over the dimensions. Output: a lane is a dimension, the sum
 * runs over the positions. Queries that see the same share each load of keys and values; eight registers of sums in
 * every tile hide the latency of their chains.
 */
#include "attn.h"

#include <math.h>

/* 16 elements from element `at` on; type is a constant. */
AVX2_INLINE void widened(const enum z5_kv_type type, const void *p, size_t at, __m256 *lo, __m256 *hi)
{
	if (type == Z5_KV_F32) {
		const float *f = (const float *)p + at;

		*lo = _mm256_load_ps(f);
		*hi = _mm256_load_ps(f + 8);
	} else {
		const __m128i *h = (const __m128i *)((const uint16_t *)p + at);
		const __m128i a = _mm_load_si128(h), b = _mm_load_si128(h + 1);

		if (type == Z5_KV_F16) {
			*lo = _mm256_cvtph_ps(a);
			*hi = _mm256_cvtph_ps(b);
		} else {
			*lo = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(a), 16));
			*hi = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(b), 16));
		}
	}
}

/* Groups [g, g + ng) against nq queries; type, ng and nq are constants, ng * nq is 4. */
AVX2_INLINE void scores_tile(const enum z5_kv_type type, const int ng, const int nq, const uint8_t *k, size_t hd,
			     const uint8_t *next, const float *const *q, __m256 scale, float (*s)[Z5_ATTN_CHUNK],
			     size_t g)
{
	const size_t step = z5_kv_k_group(type, hd);
	__m256 acc[8];

	for (int i = 0; i < 8; i++)
		acc[i] = _mm256_setzero_ps();
	for (size_t d = 0; d < hd; d++) {
		for (int j = 0; j < ng; j++) {
			__m256 lo, hi;

			attn_ahead(next + (g + (size_t)j) * step + d * z5_kv_k_group(type, 1));
			widened(type, k + (g + (size_t)j) * step, d * 16, &lo, &hi);
			for (int t = 0; t < nq; t++) {
				const __m256 x = _mm256_broadcast_ss(q[t] + d);
				__m256 *to = &acc[2 * (j * nq + t)];

				to[0] = _mm256_fmadd_ps(lo, x, to[0]);
				to[1] = _mm256_fmadd_ps(hi, x, to[1]);
			}
		}
	}
	for (int t = 0; t < nq; t++)
		for (int j = 0; j < ng; j++) {
			const __m256 *dot = &acc[2 * (j * nq + t)];
			float *to = s[t] + 16 * (g + (size_t)j);

			_mm256_store_ps(to, _mm256_mul_ps(dot[0], scale));
			_mm256_store_ps(to + 8, _mm256_mul_ps(dot[1], scale));
		}
}

AVX2_INLINE void scores(const enum z5_kv_type type, const int nq, SCORES_ARGS)
{
	const size_t end = (sees.to + 15) / 16;
	const uint8_t *k = (const uint8_t *)a->k + p0 / 16 * z5_kv_k_group(type, a->hd_k);
	const uint8_t *next = (const uint8_t *)a->v + p0 / 16 * z5_kv_v_group(type, a->hd_v);
	const __m256 scale = _mm256_set1_ps(a->scale);
	const float *const *q = a->q + i;
	size_t g = sees.from / 16;

	if (nq == 1)
		for (; g + 4 <= end; g += 4)
			scores_tile(type, 4, nq, k, a->hd_k, next, q, scale, s, g);
	if (nq <= 2)
		for (; g + 2 <= end; g += 2)
			scores_tile(type, 2, nq, k, a->hd_k, next, q, scale, s, g);
	for (; g < end; g++)
		scores_tile(type, 1, nq, k, a->hd_k, next, q, scale, s, g);
}

/* nv times 16 dimensions of nq queries from the values of the positions seen; type, nv and nq are constants. */
AVX2_INLINE void values_tile(const enum z5_kv_type type, const int nv, const int nq, float *const *out, size_t d,
			     const void *v, size_t hd, const uint8_t *next, struct z5_attn_span sees,
			     const float (*s)[Z5_ATTN_CHUNK], const float *corr)
{
	__m256 acc[8];

	for (int t = 0; t < nq; t++)
		for (int j = 0; j < 2 * nv; j++)
			acc[t * 2 * nv + j] = _mm256_mul_ps(_mm256_loadu_ps(out[t] + d + 8 * j),
							    _mm256_set1_ps(corr[t]));
	for (size_t p = sees.from; p < sees.to; p++) {
		for (int j = 0; j < nv; j++) {
			__m256 lo, hi;

			attn_ahead(next + (p * hd + d + 16 * (size_t)j) * (z5_kv_k_group(type, 1) / 16));
			widened(type, v, p * hd + d + 16 * (size_t)j, &lo, &hi);
			for (int t = 0; t < nq; t++) {
				const __m256 w = _mm256_broadcast_ss(s[t] + p);
				__m256 *to = &acc[2 * (t * nv + j)];

				to[0] = _mm256_fmadd_ps(w, lo, to[0]);
				to[1] = _mm256_fmadd_ps(w, hi, to[1]);
			}
		}
	}
	for (int t = 0; t < nq; t++)
		for (int j = 0; j < 2 * nv; j++)
			_mm256_storeu_ps(out[t] + d + 8 * j, acc[t * 2 * nv + j]);
}

AVX2_INLINE void values(const enum z5_kv_type type, const int nq, VALUES_ARGS)
{
	const void *v = (const uint8_t *)a->v + p0 / 16 * z5_kv_v_group(type, a->hd_v);
	const uint8_t *next = (const uint8_t *)a->k + (p0 + Z5_ATTN_CHUNK) / 16 * z5_kv_k_group(type, a->hd_k);
	size_t d = 0;

	if (nq == 1)
		for (; d + 64 <= a->hd_v; d += 64)
			values_tile(type, 4, nq, a->out + i, d, v, a->hd_v, next, sees, s, corr);
	if (nq <= 2)
		for (; d + 32 <= a->hd_v; d += 32)
			values_tile(type, 2, nq, a->out + i, d, v, a->hd_v, next, sees, s, corr);
	for (; d < a->hd_v; d += 16)
		values_tile(type, 1, nq, a->out + i, d, v, a->hd_v, next, sees, s, corr);
}

/* Scores to weights, in place; returns the factor for what was summed before. */
static float softmax(const struct z5_attn *a, float *s, struct z5_attn_span sees, float *mx, float *l)
{
	__m256 r[8], top;
	float m, corr, sum;

	if (a->softcap != 0)
		z5_avx2_softcap(s + sees.from, sees.to - sees.from, a->softcap);
	for (size_t j = 0; j < sees.from; j++)
		s[j] = -INFINITY;
	for (size_t j = sees.to; j < Z5_ATTN_CHUNK; j++)
		s[j] = -INFINITY;

	/* register i and i + 1 for even i: lanes 0..7 and 8..15 of a 16-lane row */
	for (int i = 0; i < 8; i++)
		r[i] = _mm256_load_ps(s + 8 * i);
	m = avx2_tree_max(_mm256_max_ps(_mm256_max_ps(r[0], r[2]), _mm256_max_ps(r[4], r[6])),
			  _mm256_max_ps(_mm256_max_ps(r[1], r[3]), _mm256_max_ps(r[5], r[7])));
	m = z5_max(*mx, m);
	corr = z5_exp(*mx - m);
	top = _mm256_set1_ps(m);
	for (int i = 0; i < 8; i++) {
		r[i] = avx2_exp(_mm256_sub_ps(r[i], top));
		_mm256_store_ps(s + 8 * i, r[i]);
	}
	sum = avx2_tree_add(_mm256_add_ps(_mm256_add_ps(r[0], r[2]), _mm256_add_ps(r[4], r[6])),
			    _mm256_add_ps(_mm256_add_ps(r[1], r[3]), _mm256_add_ps(r[5], r[7])));
	*l = fmaf(*l, corr, sum);
	*mx = m;
	return corr;
}

typedef void (*scores_fn)(SCORES_ARGS);
typedef void (*values_fn)(VALUES_ARGS);

#define TILES(type, name, nq)								\
static void scores_##name##_##nq(SCORES_ARGS)						\
{											\
	scores(type, nq, a, i, p0, sees, s);						\
}											\
static void values_##name##_##nq(VALUES_ARGS)						\
{											\
	values(type, nq, a, i, p0, sees, s, corr);					\
}

TILES(Z5_KV_F32, f32, 1)
TILES(Z5_KV_F32, f32, 2)
TILES(Z5_KV_F32, f32, 4)
TILES(Z5_KV_F16, f16, 1)
TILES(Z5_KV_F16, f16, 2)
TILES(Z5_KV_F16, f16, 4)
TILES(Z5_KV_BF16, bf16, 1)
TILES(Z5_KV_BF16, bf16, 2)
TILES(Z5_KV_BF16, bf16, 4)

/* By the number of queries: 1, 2, and 4 in the place of 3. */
static const struct {
	scores_fn scores[3];
	values_fn values[3];
} tiles[Z5_N_KV_TYPES] = {
	[Z5_KV_F32] = { { scores_f32_1, scores_f32_2, scores_f32_4 }, { values_f32_1, values_f32_2, values_f32_4 } },
	[Z5_KV_F16] = { { scores_f16_1, scores_f16_2, scores_f16_4 }, { values_f16_1, values_f16_2, values_f16_4 } },
	[Z5_KV_BF16] = { { scores_bf16_1, scores_bf16_2, scores_bf16_4 },
			 { values_bf16_1, values_bf16_2, values_bf16_4 } },
	[Z5_KV_Q8_0] = { { z5_avx2_attn_scores_q8_1, z5_avx2_attn_scores_q8_2, z5_avx2_attn_scores_q8_4 },
			 { z5_avx2_attn_values_q8_1, z5_avx2_attn_values_q8_2, z5_avx2_attn_values_q8_4 } },
};

void z5_avx2_attn(const struct z5_attn *a)
{
	const struct z5_attn_span all = z5_attn_begin(a, z5_avx2_quant_q8_32);
	float s[ATTN_TILE][Z5_ATTN_CHUNK] __attribute__((aligned(64)));

	/* all queries over one chunk before the next: it is read from memory once */
	for (size_t p = all.from; p < all.to; p += Z5_ATTN_CHUNK) {
		for (unsigned int i = 0, n; i < a->n_q; i += n) {
			const struct z5_attn_span sees = z5_attn_sees(a, i, p);
			float corr[ATTN_TILE];

			n = z5_attn_alike(a, i, p, ATTN_TILE);
			if (sees.from == sees.to)
				continue;
			n = n == 3 ? 2 : n;
			tiles[a->type].scores[n / 2](a, i, p, sees, s);
			for (unsigned int q = 0; q < n; q++)
				corr[q] = softmax(a, s[q], sees, &a->state[2 * (i + q)], &a->state[2 * (i + q) + 1]);
			tiles[a->type].values[n / 2](a, i, p, sees, (const float (*)[Z5_ATTN_CHUNK])s, corr);
		}
	}
	z5_attn_end(a);
}
