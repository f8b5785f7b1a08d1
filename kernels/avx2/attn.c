// SPDX-License-Identifier: MIT
/*
 * Attention. Scores: a lane is a position, the sum runs over the dimensions. Output: a lane is a
 * dimension, the sum runs over the positions. Eight registers of sums in both, to hide the latency
 * of their chains.
 */
#include "avx2.h"

#include <math.h>
#include <string.h>

#define GROUPS (Z5_ATTN_CHUNK / 16)

/* ng groups of 16 positions against one query; ng is a constant. */
AVX2_INLINE void scores(const int ng, float *s, const float *k, size_t hd, const float *q,
			__m256 scale)
{
	__m256 acc[2 * GROUPS];

	for (int i = 0; i < 2 * ng; i++)
		acc[i] = _mm256_setzero_ps();
	for (size_t d = 0; d < hd; d++) {
		__m256 v = _mm256_broadcast_ss(q + d);

		for (int g = 0; g < ng; g++) {
			const float *p = k + ((size_t)g * hd + d) * 16;

			acc[2 * g] = _mm256_fmadd_ps(_mm256_load_ps(p), v, acc[2 * g]);
			acc[2 * g + 1] = _mm256_fmadd_ps(_mm256_load_ps(p + 8), v, acc[2 * g + 1]);
		}
	}
	for (int i = 0; i < 2 * ng; i++)
		_mm256_store_ps(s + 8 * i, _mm256_mul_ps(acc[i], scale));
}

/* nv registers of dimensions from the values of n positions; nv is a constant. */
AVX2_INLINE void values(const int nv, float *out, const float *v, size_t hd, const float *s,
			size_t n, __m256 corr)
{
	__m256 acc[8];

	for (int i = 0; i < nv; i++)
		acc[i] = _mm256_mul_ps(_mm256_loadu_ps(out + 8 * i), corr);
	for (size_t j = 0; j < n; j++, v += hd) {
		__m256 p = _mm256_broadcast_ss(s + j);

		for (int i = 0; i < nv; i++)
			acc[i] = _mm256_fmadd_ps(p, _mm256_load_ps(v + 8 * i), acc[i]);
	}
	for (int i = 0; i < nv; i++)
		_mm256_storeu_ps(out + 8 * i, acc[i]);
}

static void chunk(const struct z5_attn *a, unsigned int query, size_t p0, struct z5_attn_span sees)
{
	_Alignas(32) float s[Z5_ATTN_CHUNK];
	float *mx = &a->state[2 * query], *l = &a->state[2 * query + 1], *out = a->out[query];
	float m, corr, sum;
	const float *k = a->k + p0 * a->hd_k, *v = a->v + p0 * a->hd_v, *q = a->q[query];
	__m256 scale = _mm256_set1_ps(a->scale), r[2 * GROUPS], top, c;
	size_t d = 0;

	switch ((sees.to + 15) / 16) {
	case 4:
		scores(4, s, k, a->hd_k, q, scale);
		break;
	case 3:
		scores(3, s, k, a->hd_k, q, scale);
		break;
	case 2:
		scores(2, s, k, a->hd_k, q, scale);
		break;
	default:
		scores(1, s, k, a->hd_k, q, scale);
		break;
	}
	if (a->softcap != 0)
		z5_avx2_softcap(s, sees.to, a->softcap);
	for (size_t j = 0; j < sees.from; j++)
		s[j] = -INFINITY;
	for (size_t j = sees.to; j < Z5_ATTN_CHUNK; j++)
		s[j] = -INFINITY;

	/* register i and i + 1 for even i: lanes 0..7 and 8..15 of a 16-lane row */
	for (int i = 0; i < 2 * GROUPS; i++)
		r[i] = _mm256_load_ps(s + 8 * i);
	m = avx2_tree_max(_mm256_max_ps(_mm256_max_ps(r[0], r[2]), _mm256_max_ps(r[4], r[6])),
			  _mm256_max_ps(_mm256_max_ps(r[1], r[3]), _mm256_max_ps(r[5], r[7])));
	m = z5_max(*mx, m);
	corr = z5_exp(*mx - m);
	top = _mm256_set1_ps(m);
	for (int i = 0; i < 2 * GROUPS; i++) {
		r[i] = avx2_exp(_mm256_sub_ps(r[i], top));
		_mm256_store_ps(s + 8 * i, r[i]);
	}
	sum = avx2_tree_add(_mm256_add_ps(_mm256_add_ps(r[0], r[2]), _mm256_add_ps(r[4], r[6])),
			    _mm256_add_ps(_mm256_add_ps(r[1], r[3]), _mm256_add_ps(r[5], r[7])));
	*l = fmaf(*l, corr, sum);
	*mx = m;

	c = _mm256_set1_ps(corr);
	v += sees.from * a->hd_v;
	for (; d + 64 <= a->hd_v; d += 64)
		values(8, out + d, v + d, a->hd_v, s + sees.from, sees.to - sees.from, c);
	switch ((a->hd_v - d) / 16) {
	case 3:
		values(6, out + d, v + d, a->hd_v, s + sees.from, sees.to - sees.from, c);
		break;
	case 2:
		values(4, out + d, v + d, a->hd_v, s + sees.from, sees.to - sees.from, c);
		break;
	case 1:
		values(2, out + d, v + d, a->hd_v, s + sees.from, sees.to - sees.from, c);
		break;
	}
}

void z5_avx2_attn(const struct z5_attn *a)
{
	const struct z5_attn_span all = z5_attn_begin(a);

	/* all queries over one chunk before the next: it is read from memory once */
	for (size_t p = all.from; p < all.to; p += Z5_ATTN_CHUNK) {
		for (unsigned int i = 0; i < a->n_q; i++) {
			const struct z5_attn_span sees = z5_attn_sees(a, i, p);

			if (sees.from < sees.to)
				chunk(a, i, p, sees);
		}
	}
	z5_attn_end(a);
}
