/* SPDX-License-Identifier: MIT */
#ifndef Z5_AVX2_H
#define Z5_AVX2_H

#include <immintrin.h>
#include <kernels/kernels.h>
#include <kernels/scalar.h>

#define AVX2_INLINE static inline __attribute__((always_inline))

typedef int32_t __attribute__((may_alias)) avx2_i32;

AVX2_INLINE __m256i avx2_load(const void *p)
{
	return _mm256_load_si256(p);
}

AVX2_INLINE __m256i avx2_quad(const int8_t *q)
{
	return _mm256_set1_epi32(*(const avx2_i32 *)q);
}

AVX2_INLINE __m256 avx2_halves(const uint8_t *p)
{
	return _mm256_cvtph_ps(_mm_load_si128((const __m128i *)p));
}

/* Lanes 0..7 and 8..15 of the tree: a and b. */
AVX2_INLINE float avx2_tree_add(__m256 a, __m256 b)
{
	__m128 v;

	a = _mm256_add_ps(a, b);
	v = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	v = _mm_add_ps(v, _mm_movehl_ps(v, v));
	return _mm_cvtss_f32(_mm_add_ss(v, _mm_shuffle_ps(v, v, 1)));
}

AVX2_INLINE float avx2_tree_max(__m256 a, __m256 b)
{
	__m128 v;

	a = _mm256_max_ps(a, b);
	v = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
	v = _mm_max_ps(v, _mm_movehl_ps(v, v));
	return _mm_cvtss_f32(_mm_max_ss(v, _mm_shuffle_ps(v, v, 1)));
}

/* z5_exp() on 8 lanes */
AVX2_INLINE __m256 avx2_exp(__m256 x)
{
	__m256 keep = _mm256_cmp_ps(x, _mm256_set1_ps(Z5_EXP_LO), _CMP_NLT_UQ);
	__m256 n, r, p;
	__m256i e;

	x = _mm256_min_ps(_mm256_set1_ps(Z5_EXP_HI), x);
	n = _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(Z5_EXP_LOG2E)),
			    _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(Z5_EXP_LN2_HI), x);
	r = _mm256_fnmadd_ps(n, _mm256_set1_ps(Z5_EXP_LN2_LO), r);
	p = _mm256_set1_ps(Z5_EXP_P0);
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(Z5_EXP_P1));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(Z5_EXP_P2));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(Z5_EXP_P3));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(Z5_EXP_P4));
	p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(Z5_EXP_P5));
	p = _mm256_add_ps(_mm256_fmadd_ps(p, _mm256_mul_ps(r, r), r), _mm256_set1_ps(1.0f));
	e = _mm256_slli_epi32(_mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127)), 23);
	return _mm256_and_ps(keep, _mm256_mul_ps(p, _mm256_castsi256_ps(e)));
}

/* z5_tanh() on 8 lanes */
AVX2_INLINE __m256 avx2_tanh(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
	__m256 e = avx2_exp(_mm256_mul_ps(_mm256_set1_ps(-2.0f), _mm256_andnot_ps(sign, x)));
	__m256 y = _mm256_div_ps(_mm256_sub_ps(one, e), _mm256_add_ps(one, e));

	return _mm256_or_ps(_mm256_andnot_ps(sign, y), _mm256_and_ps(sign, x));
}

/* z5_softcap_fn on 8 lanes */
AVX2_INLINE __m256 avx2_softcap(__m256 x, float cap)
{
	return _mm256_mul_ps(_mm256_set1_ps(cap), avx2_tanh(_mm256_mul_ps(x, _mm256_set1_ps(1.0f / cap))));
}

void z5_avx2_matmul_f32(Z5_MATMUL_ARGS);
void z5_avx2_matmul_f16(Z5_MATMUL_ARGS);
void z5_avx2_matmul_bf16(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q8_0(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q4_0(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q4_k(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q6_k(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q4_1(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q5_0(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q5_1(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q2_k(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q3_k(Z5_MATMUL_ARGS);
void z5_avx2_matmul_q5_k(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq4_nl(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq4_xs(Z5_MATMUL_ARGS);
void z5_avx2_matmul_mxfp4(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq2_xxs(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq2_xs(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq2_s(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq3_xxs(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq3_s(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq1_s(Z5_MATMUL_ARGS);
void z5_avx2_matmul_iq1_m(Z5_MATMUL_ARGS);
void z5_avx2_matmul_tq2_0(Z5_MATMUL_ARGS);
void z5_avx2_matmul_i2_s(Z5_MATMUL_ARGS);
void z5_avx2_quant_q8_32(void *dst, const float *x, size_t k);
void z5_avx2_quant_q8_256(void *dst, const float *x, size_t k);
void z5_avx2_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps);
void z5_avx2_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps);
void z5_avx2_silu_mul(float *g, const float *u, size_t n);
void z5_avx2_gelu_mul(float *g, const float *u, size_t n);
void z5_avx2_swiglu_oai(float *g, const float *u, size_t n);
void z5_avx2_exp(float *y, const float *x, float shift, size_t n);
void z5_avx2_softcap(float *x, size_t n, float cap);
void z5_avx2_attn(const struct z5_attn *a);
extern const z5_map_fn z5_avx2_map[Z5_N_MAPS];
void z5_avx2_conv(const struct z5_conv *c);
void z5_avx2_scan(const struct z5_scan *s);
void z5_avx2_wkv6(const struct z5_wkv *w);
void z5_avx2_wkv7(const struct z5_wkv *w);
void z5_avx2_gla(const struct z5_wkv *w);
uint64_t z5_avx2_read(const void *p, size_t n);
uint64_t z5_avx2_peak_int8(uint64_t rounds, uint64_t *ops);
uint64_t z5_avx2_peak_f32(uint64_t rounds, uint64_t *ops);

#endif
