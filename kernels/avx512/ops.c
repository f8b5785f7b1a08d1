// SPDX-License-Identifier: MIT
/* Quantisation, norms, activation functions. */
#include "avx512.h"

AVX512_INLINE __m512i abs_bits(__m512 v)
{
	return _mm512_and_si512(_mm512_castps_si512(v), _mm512_set1_epi32(0x7fffffff));
}

/* Inverse scale of a block, and its scale, from the bits of max|x|; as ref_quant_block(). */
AVX512_INLINE float quant_scale(uint32_t bits, float *inv)
{
	float amax = z5_bits_f32(bits);

	*inv = amax >= 1e-30f ? 127.0f / amax : 0.0f;
	return amax < 1e-30f ? 0.0f : amax / 127.0f;
}

/* 16 quanta stored, their sum returned. */
AVX512_INLINE int quant_16(int8_t *q, __m512 v, __m512 inv)
{
	const __m512 top = _mm512_set1_ps(127.0f), bottom = _mm512_set1_ps(-127.0f);
	__m512i i = _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(_mm512_mul_ps(v, inv), bottom), top));

	_mm_storeu_si128((__m128i *)q, _mm512_cvtepi32_epi8(i));
	return _mm512_reduce_add_epi32(i);
}

void z5_avx512_quant_q8_32(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_32_d(k));
	int32_t *nsum = (void *)((uint8_t *)dst + z5_q8_32_nsum(k));

	for (size_t b = 0; b < k / 32; b++, x += 32, q += 32) {
		__m512 v0 = _mm512_loadu_ps(x), v1 = _mm512_loadu_ps(x + 16), vi;
		float inv;

		d[b] = quant_scale(_mm512_reduce_max_epu32(_mm512_max_epu32(abs_bits(v0), abs_bits(v1))),
				   &inv);
		vi = _mm512_set1_ps(inv);
		nsum[b] = -(quant_16(q, v0, vi) + quant_16(q + 16, v1, vi));
	}
}

void z5_avx512_quant_q8_256(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_256_d(k));
	int16_t *s16 = (void *)((uint8_t *)dst + z5_q8_256_s16(k));
	int16_t *s32 = (void *)((uint8_t *)dst + z5_q8_256_s32(k));

	for (size_t b = 0; b < k / 256; b++) {
		__m512i m = _mm512_setzero_si512();
		__m512 vi;
		float inv;

		for (int i = 0; i < 16; i++)
			m = _mm512_max_epu32(m, abs_bits(_mm512_loadu_ps(x + 16 * i)));
		d[b] = quant_scale(_mm512_reduce_max_epu32(m), &inv);
		vi = _mm512_set1_ps(inv);
		for (int i = 0; i < 8; i++, x += 32, q += 32, s16 += 2, s32++) {
			s16[0] = (int16_t)quant_16(q, _mm512_loadu_ps(x), vi);
			s16[1] = (int16_t)quant_16(q + 16, _mm512_loadu_ps(x + 16), vi);
			*s32 = (int16_t)(s16[0] + s16[1]);
		}
	}
}

AVX512_INLINE __mmask16 tail_mask(size_t left)
{
	return left >= 16 ? 0xffff : (__mmask16)((1u << left) - 1);
}

void z5_avx512_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
	__m512 lanes = _mm512_setzero_ps(), vs;
	float scale;

	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, x + i);

		lanes = _mm512_mask3_fmadd_ps(v, v, lanes, m);
	}
	scale = 1.0f / sqrtf(avx512_tree_add(lanes) / (float)n + eps);
	vs = _mm512_set1_ps(scale);
	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_mul_ps(_mm512_maskz_loadu_ps(m, x + i), vs);

		_mm512_mask_storeu_ps(y + i, m, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, w + i)));
	}
}

void z5_avx512_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
	__m512 lanes = _mm512_setzero_ps(), vm, vs;

	for (size_t i = 0; i < n; i += 16)
		lanes = _mm512_add_ps(lanes, _mm512_maskz_loadu_ps(tail_mask(n - i), x + i));
	vm = _mm512_set1_ps(avx512_tree_add(lanes) / (float)n);
	lanes = _mm512_setzero_ps();
	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), vm);

		lanes = _mm512_mask3_fmadd_ps(v, v, lanes, m);
	}
	vs = _mm512_set1_ps(1.0f / sqrtf(avx512_tree_add(lanes) / (float)n + eps));
	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_mul_ps(_mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), vm), vs);
		__m512 vw = _mm512_maskz_loadu_ps(m, w + i);

		v = b ? _mm512_fmadd_ps(v, vw, _mm512_maskz_loadu_ps(m, b + i)) : _mm512_mul_ps(v, vw);
		_mm512_mask_storeu_ps(y + i, m, v);
	}
}

void z5_avx512_silu_mul(float *g, const float *u, size_t n)
{
	const __m512 one = _mm512_set1_ps(1.0f);

	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, g + i);
		__m512 e = avx512_exp(_mm512_xor_ps(v, _mm512_set1_ps(-0.0f)));

		v = _mm512_div_ps(v, _mm512_add_ps(one, e));
		_mm512_mask_storeu_ps(g + i, m, _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, u + i)));
	}
}

void z5_avx512_gelu_mul(float *g, const float *u, size_t n)
{
	const __m512 one = _mm512_set1_ps(1.0f), a = _mm512_set1_ps(Z5_GELU_A);
	const __m512 b = _mm512_set1_ps(Z5_GELU_B);

	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_maskz_loadu_ps(m, g + i);
		__m512 e = avx512_exp(_mm512_mul_ps(v, _mm512_fmadd_ps(b, _mm512_mul_ps(v, v), a)));

		v = _mm512_div_ps(v, _mm512_add_ps(one, e));
		if (u)
			v = _mm512_mul_ps(v, _mm512_maskz_loadu_ps(m, u + i));
		_mm512_mask_storeu_ps(g + i, m, v);
	}
}

void z5_avx512_swiglu_oai(float *g, const float *u, size_t n)
{
	const __m512 one = _mm512_set1_ps(1.0f), top = _mm512_set1_ps(Z5_OAI_LIMIT);
	const __m512 bottom = _mm512_set1_ps(-Z5_OAI_LIMIT), alpha = _mm512_set1_ps(-Z5_OAI_ALPHA);

	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_min_ps(top, _mm512_maskz_loadu_ps(m, g + i));
		__m512 y = _mm512_max_ps(bottom, _mm512_min_ps(top, _mm512_maskz_loadu_ps(m, u + i)));
		__m512 e = avx512_exp(_mm512_mul_ps(alpha, v));

		v = _mm512_div_ps(v, _mm512_add_ps(one, e));
		_mm512_mask_storeu_ps(g + i, m, _mm512_mul_ps(v, _mm512_add_ps(y, one)));
	}
}

void z5_avx512_exp(float *y, const float *x, float shift, size_t n)
{
	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);
		__m512 v = _mm512_sub_ps(_mm512_maskz_loadu_ps(m, x + i), _mm512_set1_ps(shift));

		_mm512_mask_storeu_ps(y + i, m, avx512_exp(v));
	}
}

void z5_avx512_softcap(float *x, size_t n, float cap)
{
	for (size_t i = 0; i < n; i += 16) {
		__mmask16 m = tail_mask(n - i);

		_mm512_mask_storeu_ps(x + i, m, avx512_softcap(_mm512_maskz_loadu_ps(m, x + i), cap));
	}
}

/* In eight streams, which is the fastest way to read that was found; see matmul.h. */
uint64_t z5_avx512_read(const void *p, size_t n)
{
	const size_t part = n / 8 & ~(size_t)63;
	__m512i x[8] = { 0 };
	uint64_t w[8], f = 0;

	for (size_t i = 0; i < part; i += 64)
		for (int j = 0; j < 8; j++)
			x[j] = _mm512_xor_si512(x[j], avx512_load((const uint8_t *)p + j * part + i));
	for (size_t i = 8 * part; i < n; i += 64)
		x[0] = _mm512_xor_si512(x[0], avx512_load((const uint8_t *)p + i));
	for (int j = 1; j < 8; j++)
		x[0] = _mm512_xor_si512(x[0], x[j]);
	_mm512_storeu_si512(w, x[0]);
	for (int j = 0; j < 8; j++)
		f ^= w[j];
	return f;
}
