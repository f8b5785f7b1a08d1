// SPDX-License-Identifier: MIT
/* Attention over keys and values in Q8_0. Scores are a matrix product's tiles: a row is a position. */
#include "attn.h"
#include "matmul.h"

/* One group of 16 positions against nq queries, a constant. */
AVX2_INLINE void scores_group(const int nq, const uint8_t *k, size_t blocks, const uint8_t *next,
			      const struct z5_attn_block *x, __m256 scale, float (*s)[Z5_ATTN_CHUNK], size_t g)
{
	const struct rows one = both(_mm256_set1_epi16(1));
	const __m256i bias = _mm256_set1_epi8((char)0x80);
	struct sums acc[ATTN_TILE];

	for (int t = 0; t < nq; t++)
		acc[t].lo = acc[t].hi = _mm256_setzero_ps();
	for (size_t b = 0; b < blocks; b++, k += 9 * 64, next += 9 * 64) {
		const float *d = (const void *)(k + 8 * 64);
		struct rows isum[ATTN_TILE];
		struct sums dk;

		for (int t = 0; t < nq; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int j = 0; j < 8; j++) {
			struct rows v = line(k + 64 * j), size;

			attn_ahead(next + 64 * j);
			v.lo = _mm256_xor_si256(v.lo, bias);
			v.hi = _mm256_xor_si256(v.hi, bias);
			size.lo = _mm256_abs_epi8(v.lo);
			size.hi = _mm256_abs_epi8(v.hi);
			for (int t = 0; t < nq; t++) {
				const __m256i q = avx2_quad(x[(size_t)t * blocks + b].q + 4 * j);
				const struct rows p = {
					_mm256_maddubs_epi16(size.lo, _mm256_sign_epi8(q, v.lo)),
					_mm256_maddubs_epi16(size.hi, _mm256_sign_epi8(q, v.hi))
				};

				isum[t] = add32(isum[t], widen(p, one));
			}
		}
		attn_ahead(next + 8 * 64);
		dk = (struct sums){ _mm256_load_ps(d), _mm256_load_ps(d + 8) };
		for (int t = 0; t < nq; t++)
			block(&acc[t], dk, x[(size_t)t * blocks + b].d, isum[t]);
	}
	for (int t = 0; t < nq; t++) {
		_mm256_store_ps(s[t] + 16 * g, _mm256_mul_ps(acc[t].lo, scale));
		_mm256_store_ps(s[t] + 16 * g + 8, _mm256_mul_ps(acc[t].hi, scale));
	}
}

AVX2_INLINE void scores(const int nq, SCORES_ARGS)
{
	const size_t blocks = z5_kv_blocks(a->hd_k), step = z5_kv_k_group(Z5_KV_Q8_0, a->hd_k);
	const uint8_t *k = (const uint8_t *)a->k + p0 / 16 * step;
	const uint8_t *next = (const uint8_t *)a->v + p0 / 16 * z5_kv_v_group(Z5_KV_Q8_0, a->hd_v);
	const __m256 scale = _mm256_set1_ps(a->scale);

	for (size_t g = sees.from / 16; g < (sees.to + 15) / 16; g++)
		scores_group(nq, k + g * step, blocks, next + g * step, a->blocks + i * blocks, scale, s, g);
}

/* 8 quanta as floats. */
AVX2_INLINE __m256 quanta(const uint8_t *q)
{
	return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)q)));
}

/* nv times 8 dimensions of nq queries, constants; w are the weights of positions times their scales. */
AVX2_INLINE void values_tile(const int nv, const int nq, float *const *out, size_t d, const uint8_t *v, size_t hd,
			     const uint8_t *next, struct z5_attn_span sees, const float (*w)[Z5_ATTN_CHUNK],
			     const float *corr)
{
	const size_t step = z5_kv_v_group(Z5_KV_Q8_0, hd);
	__m256 acc[8];

	for (int t = 0; t < nq; t++)
		for (int j = 0; j < nv; j++)
			acc[t * nv + j] = _mm256_mul_ps(_mm256_loadu_ps(out[t] + d + 8 * j), _mm256_set1_ps(corr[t]));
	for (size_t p = sees.from; p < sees.to; ) {
		const size_t end = p / 16 * 16 + 16 < sees.to ? p / 16 * 16 + 16 : sees.to;
		const uint8_t *q = v + p / 16 * step + p % 16 * hd + d;

		for (; p < end; p++, q += hd) {
			attn_ahead(next + (q - v));
			for (int j = 0; j < nv; j++) {
				const __m256 x = quanta(q + 8 * j);

				for (int t = 0; t < nq; t++)
					acc[t * nv + j] = _mm256_fmadd_ps(_mm256_broadcast_ss(w[t] + p), x,
									  acc[t * nv + j]);
			}
		}
	}
	for (int t = 0; t < nq; t++)
		for (int j = 0; j < nv; j++)
			_mm256_storeu_ps(out[t] + d + 8 * j, acc[t * nv + j]);
}

AVX2_INLINE void values(const int nq, VALUES_ARGS)
{
	const size_t hd = a->hd_v, step = z5_kv_v_group(Z5_KV_Q8_0, hd);
	const uint8_t *v = (const uint8_t *)a->v + p0 / 16 * step;
	const uint8_t *next = (const uint8_t *)a->k + (p0 + Z5_ATTN_CHUNK) / 16 * z5_kv_k_group(Z5_KV_Q8_0, a->hd_k);
	const float (*by_scale)[Z5_ATTN_CHUNK];
	float w[ATTN_TILE][Z5_ATTN_CHUNK] __attribute__((aligned(64)));

	by_scale = (const float (*)[Z5_ATTN_CHUNK])w;
	for (size_t d = 0; d < hd; d += 32) {
		for (size_t g = sees.from / 16; g < (sees.to + 15) / 16; g++) {
			const float *by = (const void *)(v + g * step + 16 * hd + d / 32 * 64);

			for (int t = 0; t < nq; t++)
				for (size_t j = 0; j < 16; j += 8)
					_mm256_store_ps(w[t] + 16 * g + j,
							_mm256_mul_ps(_mm256_load_ps(s[t] + 16 * g + j),
								      _mm256_load_ps(by + j)));
		}
		if (nq <= 2 && d + 32 <= hd) {
			values_tile(4, nq, a->out + i, d, v, hd, next, sees, by_scale, corr);
			continue;
		}
		values_tile(2, nq, a->out + i, d, v, hd, next, sees, by_scale, corr);
		if (d + 32 <= hd)
			values_tile(2, nq, a->out + i, d + 16, v, hd, next, sees, by_scale, corr);
	}
}

#define TILES(nq)									\
void z5_avx2_attn_scores_q8_##nq(SCORES_ARGS)						\
{											\
	scores(nq, a, i, p0, sees, s);							\
}											\
void z5_avx2_attn_values_q8_##nq(VALUES_ARGS)						\
{											\
	values(nq, a, i, p0, sees, s, corr);						\
}

TILES(1)
TILES(2)
TILES(4)
