/* SPDX-License-Identifier: MIT */
#ifndef Z5_AVX512_H
#define Z5_AVX512_H

#include <immintrin.h>
#include <kernels/kernels.h>
#include <kernels/scalar.h>
#include <stdbool.h>

#define AVX512_INLINE static inline __attribute__((always_inline))

/* Tokens that share one pass over a group's weights: 8 sums and 8 weight registers leave room for the rest. */
#define AVX512_TILE 8

/*
 * Calls tile(..., nt) for n tokens in steps of AVX512_TILE and once for what is left, with nt a constant in each
 * call so that the compiler keeps the sums in registers.
 */
#define AVX512_TOKENS(n, t, tile)						\
do {										\
	size_t t = 0;								\
	for (; (n) - t >= 8; t += 8)						\
		tile(8);							\
	switch ((n) - t) {							\
	case 7: tile(7); break;							\
	case 6: tile(6); break;							\
	case 5: tile(5); break;							\
	case 4: tile(4); break;							\
	case 3: tile(3); break;							\
	case 2: tile(2); break;							\
	case 1: tile(1); break;							\
	}									\
} while (0)

typedef int32_t __attribute__((may_alias)) alias_i32;
typedef float __attribute__((may_alias)) alias_f32;

AVX512_INLINE __m512i avx512_load(const void *p)
{
	return _mm512_load_si512(p);
}

AVX512_INLINE __m512i avx512_quad(const uint8_t *x)
{
	return _mm512_set1_epi32(*(const alias_i32 *)x);
}

AVX512_INLINE __m512 avx512_halves(const uint8_t *p)
{
	return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}

AVX512_INLINE float avx512_tree_add(__m512 v)
{
	__m256 a = _mm256_add_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 b = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	b = _mm_add_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_add_ss(b, _mm_shuffle_ps(b, b, 1)));
}

AVX512_INLINE float avx512_tree_max(__m512 v)
{
	__m256 a = _mm256_max_ps(_mm512_castps512_ps256(v), _mm512_extractf32x8_ps(v, 1));
	__m128 b = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));

	b = _mm_max_ps(b, _mm_movehl_ps(b, b));
	return _mm_cvtss_f32(_mm_max_ss(b, _mm_shuffle_ps(b, b, 1)));
}

/* z5_exp() on 16 lanes */
AVX512_INLINE __m512 avx512_exp(__m512 x)
{
	__mmask16 keep = _mm512_cmp_ps_mask(x, _mm512_set1_ps(Z5_EXP_LO), _CMP_NLT_UQ);
	__m512 n, r, p;
	__m512i e;

	x = _mm512_min_ps(_mm512_set1_ps(Z5_EXP_HI), x);
	n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(Z5_EXP_LOG2E)),
				 _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(Z5_EXP_LN2_HI), x);
	r = _mm512_fnmadd_ps(n, _mm512_set1_ps(Z5_EXP_LN2_LO), r);
	p = _mm512_set1_ps(Z5_EXP_P0);
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(Z5_EXP_P1));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(Z5_EXP_P2));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(Z5_EXP_P3));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(Z5_EXP_P4));
	p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(Z5_EXP_P5));
	p = _mm512_add_ps(_mm512_fmadd_ps(p, _mm512_mul_ps(r, r), r), _mm512_set1_ps(1.0f));
	e = _mm512_slli_epi32(_mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127)), 23);
	return _mm512_maskz_mul_ps(keep, p, _mm512_castsi512_ps(e));
}

/* z5_tanh() on 16 lanes */
AVX512_INLINE __m512 avx512_tanh(__m512 x)
{
	const __m512 one = _mm512_set1_ps(1.0f), sign = _mm512_set1_ps(-0.0f);
	__m512 e = avx512_exp(_mm512_mul_ps(_mm512_set1_ps(-2.0f), _mm512_andnot_ps(sign, x)));
	__m512 y = _mm512_div_ps(_mm512_sub_ps(one, e), _mm512_add_ps(one, e));

	return _mm512_or_ps(_mm512_andnot_ps(sign, y), _mm512_and_ps(sign, x));
}

/* z5_softcap_fn on 16 lanes */
AVX512_INLINE __m512 avx512_softcap(__m512 x, float cap)
{
	return _mm512_mul_ps(_mm512_set1_ps(cap), avx512_tanh(_mm512_mul_ps(x, _mm512_set1_ps(1.0f / cap))));
}

void z5_avx512_matmul_f32(Z5_MATMUL_ARGS);
void z5_avx512_matmul_f16(Z5_MATMUL_ARGS);
void z5_avx512_matmul_bf16(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q8_0(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q4_0(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q4_k(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q6_k(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q4_1(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q5_0(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q5_1(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q2_k(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q3_k(Z5_MATMUL_ARGS);
void z5_avx512_matmul_q5_k(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq4_nl(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq4_xs(Z5_MATMUL_ARGS);
void z5_avx512_matmul_mxfp4(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq2_xxs(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq2_xs(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq2_s(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq3_xxs(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq3_s(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq1_s(Z5_MATMUL_ARGS);
void z5_avx512_matmul_iq1_m(Z5_MATMUL_ARGS);
void z5_avx512_matmul_tq2_0(Z5_MATMUL_ARGS);
void z5_avx512_matmul_i2_s(Z5_MATMUL_ARGS);
void z5_avx512_quant_q8_32(void *dst, const float *x, size_t k);
void z5_avx512_quant_q8_256(void *dst, const float *x, size_t k);
void z5_avx512_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps);
void z5_avx512_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps);
void z5_avx512_silu_mul(float *g, const float *u, size_t n);
void z5_avx512_gelu_mul(float *g, const float *u, size_t n);
void z5_avx512_swiglu_oai(float *g, const float *u, size_t n);
void z5_avx512_exp(float *y, const float *x, float shift, size_t n);
void z5_avx512_softcap(float *x, size_t n, float cap);
void z5_avx512_attn(const struct z5_attn *a);
extern const z5_map_fn z5_avx512_map[Z5_N_MAPS];
void z5_avx512_conv(const struct z5_conv *c);
void z5_avx512_scan(const struct z5_scan *s);
void z5_avx512_wkv6(const struct z5_wkv *w);
void z5_avx512_wkv7(const struct z5_wkv *w);
void z5_avx512_gla(const struct z5_wkv *w);
uint64_t z5_avx512_read(const void *p, size_t n);
uint64_t z5_avx512_peak_int8(uint64_t rounds, uint64_t *ops);
uint64_t z5_avx512_peak_f32(uint64_t rounds, uint64_t *ops);

#endif
