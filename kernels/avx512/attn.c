// SPDX-License-Identifier: MIT
/*
 * Attention with a running softmax. Scores: lanes are positions. Values: lanes are dimensions. No sum across lanes
 * but the softmax's.
 */
#include "avx512.h"

/* Queries that share one pass over a chunk's keys and values. */
#define ATTN_TILE 4

/* nq queries from i on, a constant, and what they see of the chunk at p0. */
#define ATTN_ARGS const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees, const int nq

/* 16 elements from element `at` on; type is a constant. */
AVX512_INLINE __m512 attn_widened(const enum z5_kv_type type, const void *p, size_t at)
{
	const uint16_t *h = (const uint16_t *)p + at;

	if (type == Z5_KV_F32)
		return _mm512_load_ps((const float *)p + at);
	if (type == Z5_KV_F16)
		return avx512_halves((const uint8_t *)h);
	return _mm512_castsi512_ps(_mm512_slli_epi32(
		_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)h)), 16));
}

/* Scale and cap of 32 dots, groups g and g + 1. */
AVX512_INLINE void attn_scaled(const struct z5_attn *a, float *s, size_t g, __m512 d0, __m512 d1)
{
	const __m512 scale = _mm512_set1_ps(a->scale);

	d0 = _mm512_mul_ps(d0, scale);
	d1 = _mm512_mul_ps(d1, scale);
	if (a->softcap != 0) {
		d0 = avx512_softcap(d0, a->softcap);
		d1 = avx512_softcap(d1, a->softcap);
	}
	_mm512_store_ps(s + g * 16, d0);
	_mm512_store_ps(s + g * 16 + 16, d1);
}

/* s[q][64] = scale * q . k for the groups of 16 positions that are seen */
AVX512_INLINE void attn_scores(const enum z5_kv_type type, ATTN_ARGS, float (*s)[Z5_ATTN_CHUNK])
{
	const size_t step = z5_kv_k_group(type, a->hd_k), first = sees.from / 32 * 2, groups = (sees.to + 15) / 16;
	const uint8_t *k = (const uint8_t *)a->k + (p0 / 16 + first) * step;

	for (size_t g = first; g < groups; g += 2, k += 2 * step) {
		const uint8_t *k1 = g + 1 < groups ? k + step : k;
		__m512 d0[ATTN_TILE], d1[ATTN_TILE];

		for (int q = 0; q < nq; q++)
			d0[q] = d1[q] = _mm512_setzero_ps();
		for (size_t d = 0; d < a->hd_k; d++) {
			const __m512 v0 = attn_widened(type, k, d * 16), v1 = attn_widened(type, k1, d * 16);

			for (int q = 0; q < nq; q++) {
				const __m512 x = _mm512_set1_ps(a->q[i + q][d]);

				d0[q] = _mm512_fmadd_ps(v0, x, d0[q]);
				d1[q] = _mm512_fmadd_ps(v1, x, d1[q]);
			}
		}
		for (int q = 0; q < nq; q++)
			attn_scaled(a, s[q], g, d0[q], d1[q]);
	}
}

/* The same for Q8_0. */
AVX512_INLINE void attn_scores_q8(ATTN_ARGS, float (*s)[Z5_ATTN_CHUNK])
{
	const size_t step = z5_kv_k_group(Z5_KV_Q8_0, a->hd_k), blocks = z5_kv_blocks(a->hd_k);
	const size_t first = sees.from / 32 * 2, groups = (sees.to + 15) / 16;
	const uint8_t *k = (const uint8_t *)a->k + (p0 / 16 + first) * step;
	const struct z5_attn_block *x = a->blocks + i * blocks;

	for (size_t g = first; g < groups; g += 2, k += 2 * step) {
		const uint8_t *k1 = g + 1 < groups ? k + step : k;
		__m512 d0[ATTN_TILE], d1[ATTN_TILE];

		for (int q = 0; q < nq; q++)
			d0[q] = d1[q] = _mm512_setzero_ps();
		for (size_t b = 0; b < blocks; b++) {
			const uint8_t *l0 = k + b * 9 * 64, *l1 = k1 + b * 9 * 64;
			const __m512 s0 = _mm512_load_ps(l0 + 8 * 64), s1 = _mm512_load_ps(l1 + 8 * 64);
			__m512i i0[ATTN_TILE], i1[ATTN_TILE];

			/* keys are stored + 128 */
			for (int q = 0; q < nq; q++)
				i0[q] = i1[q] = _mm512_set1_epi32(128 * x[(size_t)q * blocks + b].nsum);
			for (int j = 0; j < 8; j++) {
				const __m512i v0 = avx512_load(l0 + 64 * j), v1 = avx512_load(l1 + 64 * j);

				for (int q = 0; q < nq; q++) {
					const int8_t *quad = x[(size_t)q * blocks + b].q + 4 * j;

					i0[q] = _mm512_dpbusd_epi32(i0[q], v0, avx512_quad((const uint8_t *)quad));
					i1[q] = _mm512_dpbusd_epi32(i1[q], v1, avx512_quad((const uint8_t *)quad));
				}
			}
			for (int q = 0; q < nq; q++) {
				const __m512 d = _mm512_set1_ps(x[(size_t)q * blocks + b].d);

				d0[q] = _mm512_fmadd_ps(_mm512_mul_ps(s0, d), _mm512_cvtepi32_ps(i0[q]), d0[q]);
				d1[q] = _mm512_fmadd_ps(_mm512_mul_ps(s1, d), _mm512_cvtepi32_ps(i1[q]), d1[q]);
			}
		}
		for (int q = 0; q < nq; q++)
			attn_scaled(a, s[q], g, d0[q], d1[q]);
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
AVX512_INLINE void attn_values(const enum z5_kv_type type, ATTN_ARGS, const float (*s)[Z5_ATTN_CHUNK],
			       const float *corr)
{
	const uint8_t *v = (const uint8_t *)a->v + p0 / 16 * z5_kv_v_group(type, a->hd_v);

	for (size_t d = 0; d < a->hd_v; d += 32) {
		const size_t second = d + 16 < a->hd_v ? 16 : 0;
		__m512 o0[ATTN_TILE], o1[ATTN_TILE];

		for (int q = 0; q < nq; q++) {
			const __m512 c = _mm512_set1_ps(corr[q]);

			o0[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d), c);
			o1[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d + second), c);
		}
		for (size_t j = sees.from; j < sees.to; j++) {
			const __m512 v0 = attn_widened(type, v, j * a->hd_v + d);
			const __m512 v1 = attn_widened(type, v, j * a->hd_v + d + second);

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

/* 16 quanta as floats. */
AVX512_INLINE __m512 attn_quanta(const uint8_t *q)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)q)));
}

/* The same for Q8_0; the 32 dimensions are a block, for which weights take its positions' scales. */
AVX512_INLINE void attn_values_q8(ATTN_ARGS, const float (*s)[Z5_ATTN_CHUNK], const float *corr)
{
	const size_t hd = a->hd_v, step = z5_kv_v_group(Z5_KV_Q8_0, hd);
	const uint8_t *v = (const uint8_t *)a->v + p0 / 16 * step;
	float w[ATTN_TILE][16] __attribute__((aligned(64)));

	for (size_t d = 0; d < hd; d += 32) {
		const size_t second = d + 16 < hd ? 16 : 0;
		__m512 o0[ATTN_TILE], o1[ATTN_TILE];

		for (int q = 0; q < nq; q++) {
			const __m512 c = _mm512_set1_ps(corr[q]);

			o0[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d), c);
			o1[q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d + second), c);
		}
		for (size_t g = sees.from / 16; g < (sees.to + 15) / 16; g++) {
			const size_t from = g * 16 < sees.from ? sees.from % 16 : 0;
			const size_t to = sees.to - g * 16 < 16 ? sees.to - g * 16 : 16;
			const uint8_t *group = v + g * step + d;
			const __m512 by = _mm512_load_ps(v + g * step + 16 * hd + d / 32 * 64);

			for (int q = 0; q < nq; q++)
				_mm512_store_ps(w[q], _mm512_mul_ps(_mm512_load_ps(s[q] + g * 16), by));
			for (size_t j = from; j < to; j++) {
				const __m512 v0 = attn_quanta(group + j * hd);
				const __m512 v1 = attn_quanta(group + j * hd + second);

				for (int q = 0; q < nq; q++) {
					const __m512 x = _mm512_set1_ps(w[q][j]);

					o0[q] = _mm512_fmadd_ps(x, v0, o0[q]);
					o1[q] = _mm512_fmadd_ps(x, v1, o1[q]);
				}
			}
		}
		for (int q = 0; q < nq; q++) {
			_mm512_storeu_ps(a->out[i + q] + d, o0[q]);
			_mm512_storeu_ps(a->out[i + q] + d + second, o1[q]);
		}
	}
}

AVX512_INLINE void attn_chunk(const enum z5_kv_type type, ATTN_ARGS)
{
	float s[ATTN_TILE][Z5_ATTN_CHUNK] __attribute__((aligned(64)));
	float corr[ATTN_TILE];

	if (type == Z5_KV_Q8_0)
		attn_scores_q8(a, i, p0, sees, nq, s);
	else
		attn_scores(type, a, i, p0, sees, nq, s);
	for (int q = 0; q < nq; q++)
		corr[q] = attn_softmax(s[q], sees, &a->state[2 * (i + q)], &a->state[2 * (i + q) + 1]);
	if (type == Z5_KV_Q8_0)
		attn_values_q8(a, i, p0, sees, nq, (const float (*)[Z5_ATTN_CHUNK])s, corr);
	else
		attn_values(type, a, i, p0, sees, nq, (const float (*)[Z5_ATTN_CHUNK])s, corr);
}

AVX512_INLINE void attn_all(const enum z5_kv_type type, const struct z5_attn *a)
{
	const struct z5_attn_span all = z5_attn_begin(a, z5_avx512_quant_q8_32);

	for (size_t p = all.from; p < all.to; p += Z5_ATTN_CHUNK) {
		for (unsigned int i = 0, same; i < a->n_q; i += same) {
			const struct z5_attn_span sees = z5_attn_sees(a, i, p);

			same = z5_attn_alike(a, i, p, ATTN_TILE);
			if (sees.from == sees.to)
				continue;
			if (same == ATTN_TILE)
				attn_chunk(type, a, i, p, sees, ATTN_TILE);
			else if (same >= 2)
				attn_chunk(type, a, i, p, sees, same = 2);
			else
				attn_chunk(type, a, i, p, sees, 1);
		}
	}
	z5_attn_end(a);
}

void z5_avx512_attn(const struct z5_attn *a)
{
	switch (a->type) {
	case Z5_KV_F16:
		attn_all(Z5_KV_F16, a);
		break;
	case Z5_KV_BF16:
		attn_all(Z5_KV_BF16, a);
		break;
	case Z5_KV_Q8_0:
		attn_all(Z5_KV_Q8_0, a);
		break;
	default:
		attn_all(Z5_KV_F32, a);
		break;
	}
}
