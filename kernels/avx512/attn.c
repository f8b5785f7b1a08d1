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

/* Groups [g, g + ng) against nq queries; type, ng and nq are constants, ng * nq is 8 at most. */
AVX512_INLINE void attn_scores_tile(const enum z5_kv_type type, const int ng, const struct z5_attn *a, unsigned int i,
				    const uint8_t *k, const int nq, float (*s)[Z5_ATTN_CHUNK], size_t g)
{
	const size_t step = z5_kv_k_group(type, a->hd_k);
	const __m512 scale = _mm512_set1_ps(a->scale);
	__m512 acc[8];

	for (int j = 0; j < ng * nq; j++)
		acc[j] = _mm512_setzero_ps();
	for (size_t d = 0; d < a->hd_k; d++)
		for (int j = 0; j < ng; j++) {
			const __m512 v = attn_widened(type, k + (g + (size_t)j) * step, d * 16);

			for (int q = 0; q < nq; q++)
				acc[j * nq + q] = _mm512_fmadd_ps(v, _mm512_set1_ps(a->q[i + q][d]), acc[j * nq + q]);
		}
	for (int j = 0; j < ng; j++)
		for (int q = 0; q < nq; q++)
			_mm512_store_ps(s[q] + 16 * (g + (size_t)j), _mm512_mul_ps(acc[j * nq + q], scale));
}

/* The same for Q8_0. */
AVX512_INLINE void attn_scores_q8(const int ng, const struct z5_attn *a, unsigned int i, const uint8_t *k, const int nq,
				  float (*s)[Z5_ATTN_CHUNK], size_t g)
{
	const size_t step = z5_kv_k_group(Z5_KV_Q8_0, a->hd_k), blocks = z5_kv_blocks(a->hd_k);
	const struct z5_attn_block *x = a->blocks + i * blocks;
	const __m512 scale = _mm512_set1_ps(a->scale);
	__m512 acc[8];

	for (int j = 0; j < ng * nq; j++)
		acc[j] = _mm512_setzero_ps();
	k += g * step;
	for (size_t b = 0; b < blocks; b++, k += 9 * 64) {
		__m512i sum[8];

		/* keys are stored + 128 */
		for (int j = 0; j < ng * nq; j++)
			sum[j] = _mm512_set1_epi32(128 * x[(size_t)(j % nq) * blocks + b].nsum);
		for (int quad = 0; quad < 8; quad++)
			for (int j = 0; j < ng; j++) {
				const __m512i v = avx512_load(k + (size_t)j * step + 64 * quad);

				for (int q = 0; q < nq; q++) {
					const int8_t *by = x[(size_t)q * blocks + b].q + 4 * quad;

					sum[j * nq + q] = _mm512_dpbusd_epi32(sum[j * nq + q], v,
									      avx512_quad((const uint8_t *)by));
				}
			}
		for (int j = 0; j < ng; j++) {
			const __m512 d = _mm512_load_ps(k + (size_t)j * step + 8 * 64);

			for (int q = 0; q < nq; q++)
				acc[j * nq + q] = _mm512_fmadd_ps(
					_mm512_mul_ps(d, _mm512_set1_ps(x[(size_t)q * blocks + b].d)),
					_mm512_cvtepi32_ps(sum[j * nq + q]), acc[j * nq + q]);
		}
	}
	for (int j = 0; j < ng; j++)
		for (int q = 0; q < nq; q++)
			_mm512_store_ps(s[q] + 16 * (g + (size_t)j), _mm512_mul_ps(acc[j * nq + q], scale));
}

/* s[q][64] = scale * q . k for the groups of 16 positions that are seen */
AVX512_INLINE void attn_scores(const enum z5_kv_type type, ATTN_ARGS, float (*s)[Z5_ATTN_CHUNK])
{
	const uint8_t *k = (const uint8_t *)a->k + p0 / 16 * z5_kv_k_group(type, a->hd_k);
	const size_t end = (sees.to + 15) / 16;
	size_t g = sees.from / 16;

#define GROUPS(ng)							\
	for (; g + (ng) <= end; g += (ng)) {				\
		if (type == Z5_KV_Q8_0)					\
			attn_scores_q8(ng, a, i, k, nq, s, g);		\
		else							\
			attn_scores_tile(type, ng, a, i, k, nq, s, g);	\
	}
	if (nq <= 2)
		GROUPS(4)
	GROUPS(2)
	GROUPS(1)
#undef GROUPS
}

/* Scores to weights, in place; returns the factor for what was summed before. */
AVX512_INLINE float attn_softmax(const struct z5_attn *a, float *s, struct z5_attn_span sees, float *mx, float *l)
{
	const uint64_t upto = sees.to < 64 ? (1ull << sees.to) - 1 : UINT64_MAX;
	const uint64_t seen = upto & ~((1ull << sees.from) - 1);
	const __m512 none = _mm512_set1_ps(-INFINITY);
	__m512 v[4], vm;
	float m, corr;

	for (size_t g = 0; g < 4; g++) {
		const __mmask16 mask = (__mmask16)(seen >> g * 16);

		v[g] = _mm512_mask_load_ps(none, mask, s + g * 16);
		if (a->softcap != 0 && mask)
			v[g] = _mm512_mask_mov_ps(none, mask, avx512_softcap(v[g], a->softcap));
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

/* 16 quanta as floats. */
AVX512_INLINE __m512 attn_quanta(const uint8_t *q)
{
	return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)q)));
}

/*
 * nv times 16 dimensions from d on, nv and nq constants, nv * nq 8 at most. In Q8_0, where d is the first of a block,
 * weights of a group of positions take the scales of each block.
 */
AVX512_INLINE void attn_values_tile(const enum z5_kv_type type, const int nv, ATTN_ARGS,
				    const float (*s)[Z5_ATTN_CHUNK], const float *corr, size_t d)
{
	const size_t hd = a->hd_v, step = z5_kv_v_group(type, hd);
	const uint8_t *v = (const uint8_t *)a->v + (p0 + sees.from) / 16 * step;
	float w[ATTN_TILE][4][16] __attribute__((aligned(64)));
	__m512 acc[8];

	for (int q = 0; q < nq; q++)
		for (int j = 0; j < nv; j++)
			acc[j * nq + q] = _mm512_mul_ps(_mm512_loadu_ps(a->out[i + q] + d + 16 * j),
							_mm512_set1_ps(corr[q]));
	for (size_t g = sees.from / 16; g < (sees.to + 15) / 16; g++, v += step) {
		const size_t from = g * 16 < sees.from ? sees.from % 16 : 0;
		const size_t to = sees.to - g * 16 < 16 ? sees.to - g * 16 : 16;

		if (type == Z5_KV_Q8_0)
			for (int b = 0; b < (nv + 1) / 2; b++) {
				const __m512 by = _mm512_load_ps(v + 16 * hd + (d / 32 + (size_t)b) * 64);

				for (int q = 0; q < nq; q++)
					_mm512_store_ps(w[q][b], _mm512_mul_ps(_mm512_load_ps(s[q] + g * 16), by));
			}
		for (size_t p = from; p < to; p++)
			for (int j = 0; j < nv; j++) {
				const size_t at = p * hd + d + 16 * (size_t)j;
				const __m512 x = type == Z5_KV_Q8_0 ? attn_quanta(v + at) : attn_widened(type, v, at);

				for (int q = 0; q < nq; q++) {
					const float *weight = type == Z5_KV_Q8_0 ? w[q][j / 2] : s[q] + g * 16;

					acc[j * nq + q] = _mm512_fmadd_ps(_mm512_set1_ps(weight[p]), x,
									  acc[j * nq + q]);
				}
			}
	}
	for (int q = 0; q < nq; q++)
		for (int j = 0; j < nv; j++)
			_mm512_storeu_ps(a->out[i + q] + d + 16 * j, acc[j * nq + q]);
}

/* out = out * corr + s . v over the positions seen */
AVX512_INLINE void attn_values(const enum z5_kv_type type, ATTN_ARGS, const float (*s)[Z5_ATTN_CHUNK],
			       const float *corr)
{
	size_t d = 0;

#define DIMENSIONS(nv)							\
	for (; d + 16 * (nv) <= a->hd_v; d += 16 * (nv))		\
		attn_values_tile(type, nv, a, i, p0, sees, nq, s, corr, d);
	if (nq == 1)
		DIMENSIONS(8)
	if (nq <= 2)
		DIMENSIONS(4)
	DIMENSIONS(2)
	DIMENSIONS(1)
#undef DIMENSIONS
}

AVX512_INLINE void attn_chunk(const enum z5_kv_type type, ATTN_ARGS)
{
	float s[ATTN_TILE][Z5_ATTN_CHUNK] __attribute__((aligned(64)));
	float corr[ATTN_TILE];

	attn_scores(type, a, i, p0, sees, nq, s);
	for (int q = 0; q < nq; q++)
		corr[q] = attn_softmax(a, s[q], sees, &a->state[2 * (i + q)], &a->state[2 * (i + q) + 1]);
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
