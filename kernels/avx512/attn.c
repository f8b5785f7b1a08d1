// SPDX-License-Identifier: MIT
/*
 * Attention with a running softmax. Scores: lanes are positions. Values: lanes are dimensions. No sum across lanes
 * but the softmax's.
 */
#include "avx512.h"

/* Queries that share one pass over a chunk's keys and values. */
#define ATTN_TILE 4

/* s[q][64] = scale * q . k for the groups of 16 positions that are seen */
AVX512_INLINE void attn_scores(const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees,
			       const int nq, float (*s)[Z5_ATTN_CHUNK])
{
	const size_t step = a->hd_k * 16, first = sees.from / 32 * 2, groups = (sees.to + 15) / 16;
	const float *k = a->k + p0 * a->hd_k + first * step;
	const __m512 scale = _mm512_set1_ps(a->scale);

	for (size_t g = first; g < groups; g += 2, k += 2 * step) {
		const float *k1 = g + 1 < groups ? k + step : k;
		__m512 d0[ATTN_TILE], d1[ATTN_TILE];

		for (int q = 0; q < nq; q++)
			d0[q] = d1[q] = _mm512_setzero_ps();
		for (size_t d = 0; d < a->hd_k; d++) {
			const __m512 v0 = _mm512_load_ps(k + d * 16), v1 = _mm512_load_ps(k1 + d * 16);

			for (int q = 0; q < nq; q++) {
				const __m512 x = _mm512_set1_ps(a->q[i + q][d]);

				d0[q] = _mm512_fmadd_ps(v0, x, d0[q]);
				d1[q] = _mm512_fmadd_ps(v1, x, d1[q]);
			}
		}
		for (int q = 0; q < nq; q++) {
			d0[q] = _mm512_mul_ps(d0[q], scale);
			d1[q] = _mm512_mul_ps(d1[q], scale);
			if (a->softcap != 0) {
				d0[q] = avx512_softcap(d0[q], a->softcap);
				d1[q] = avx512_softcap(d1[q], a->softcap);
			}
			_mm512_store_ps(s[q] + g * 16, d0[q]);
			_mm512_store_ps(s[q] + g * 16 + 16, d1[q]);
		}
	}
}

/* Scores to weights, in place; returns the factor for what was summed before. */
AVX512_INLINE float attn_softmax(float *s, struct z5_attn_span sees, float *mx, float *l)
{
	const uint64_t upto = sees.to < 64 ? (1ull << sees.to) - 1 : UINT64_MAX;
	const uint64_t seen = upto & ~((1ull << sees.from) - 1);
	const __m512 none = _mm512_set1_ps(-INFINITY);
	__m512 v[4], vm;
	float m, corr;

	for (size_t g = 0; g < 4; g++) {
		v[g] = _mm512_mask_load_ps(none, (__mmask16)(seen >> g * 16), s + g * 16);
	}
	m = z5_max(*mx, avx512_tree_max(_mm512_max_ps(_mm512_max_ps(v[0], v[1]),
						      _mm512_max_ps(v[2], v[3]))));
	corr = z5_exp(*mx - m);
	vm = _mm512_set1_ps(m);
	for (int g = 0; g < 4; g++) {
		v[g] = avx512_exp(_mm512_sub_ps(v[g], vm));
		_mm512_store_ps(s + g * 16, v[g]);
	}
	*l = fmaf(*l, corr, avx512_tree_add(_mm512_add_ps(_mm512_add_ps(v[0], v[1]),
							  _mm512_add_ps(v[2], v[3]))));
	*mx = m;
	return corr;
}

/* out = out * corr + s . v over the positions seen, 32 dimensions at a time */
AVX512_INLINE void attn_values(const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees,
			       const int nq, const float (*s)[Z5_ATTN_CHUNK], const float *corr)
{
	for (size_t d = 0; d < a->hd_v; d += 32) {
		const float *v = a->v + (p0 + sees.from) * a->hd_v + d;
		const size_t second = d + 16 < a->hd_v ? 16 : 0;
		__m512 o0[ATTN_TILE], o1[ATTN_TILE];

		for (int q = 0; q < nq; q++) {
			const __m512 c = _mm512_set1_ps(corr[q]);

			o0[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d), c);
			o1[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d + second), c);
		}
		for (size_t j = sees.from; j < sees.to; j++, v += a->hd_v) {
			const __m512 v0 = _mm512_load_ps(v), v1 = _mm512_load_ps(v + second);

			for (int q = 0; q < nq; q++) {
				const __m512 w = _mm512_set1_ps(s[q][j]);

				o0[q] = _mm512_fmadd_ps(w, v0, o0[q]);
				o1[q] = _mm512_fmadd_ps(w, v1, o1[q]);
			}
		}
		for (int q = 0; q < nq; q++) {
			_mm512_storeu_ps(a->out[i + q] + d, o0[q]);
			_mm512_storeu_ps(a->out[i + q] + d + second, o1[q]);
		}
	}
}

AVX512_INLINE void attn_chunk(const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees,
			      const int nq)
{
	float s[ATTN_TILE][Z5_ATTN_CHUNK] __attribute__((aligned(64)));
	float corr[ATTN_TILE];

	attn_scores(a, i, p0, sees, nq, s);
	for (int q = 0; q < nq; q++)
		corr[q] = attn_softmax(s[q], sees, &a->state[2 * (i + q)], &a->state[2 * (i + q) + 1]);
	attn_values(a, i, p0, sees, nq, (const float (*)[Z5_ATTN_CHUNK])s, corr);
}

static bool attn_same(const struct z5_attn *a, unsigned int i, size_t p, struct z5_attn_span sees)
{
	const struct z5_attn_span other = z5_attn_sees(a, i, p);

	return other.from == sees.from && other.to == sees.to;
}

void z5_avx512_attn(const struct z5_attn *a)
{
	const struct z5_attn_span all = z5_attn_begin(a);

	for (size_t p = all.from; p < all.to; p += Z5_ATTN_CHUNK) {
		for (unsigned int i = 0; i < a->n_q; ) {
			const struct z5_attn_span sees = z5_attn_sees(a, i, p);
			unsigned int same = 1;

			while (same < ATTN_TILE && i + same < a->n_q && attn_same(a, i + same, p, sees))
				same++;
			if (sees.from == sees.to)
				;
			else if (same == ATTN_TILE)
				attn_chunk(a, i, p, sees, ATTN_TILE);
			else if (same >= 2)
				attn_chunk(a, i, p, sees, same = 2);
			else
				attn_chunk(a, i, p, sees, 1);
			i += same;
		}
	}
	z5_attn_end(a);
}
