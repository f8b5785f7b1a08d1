// SPDX-License-Identifier: MIT
/* Quantization, norm, activation function and the bandwidth reader. */
#include "avx2.h"

#include <math.h>

/* All ones in the first n of 8 lanes. */
AVX2_INLINE __m256i first(size_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n),
				  _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* Largest |x| as bits: the same in any order, and a NaN is above everything. */
AVX2_INLINE float largest(const float *x, size_t n)
{
	const __m256i abs = _mm256_set1_epi32(0x7fffffff);
	__m256i m = _mm256_setzero_si256();
	__m128i v;

	for (size_t i = 0; i < n; i += 8)
		m = _mm256_max_epi32(
			m, _mm256_and_si256(_mm256_loadu_si256((const __m256i *)(x + i)), abs));
	v = _mm_max_epi32(_mm256_castsi256_si128(m), _mm256_extracti128_si256(m, 1));
	v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0x4e));
	v = _mm_max_epi32(v, _mm_shuffle_epi32(v, 0xb1));
	return z5_bits_f32((uint32_t)_mm_cvtsi128_si32(v));
}

AVX2_INLINE __m256i quantized8(const float *x, __m256 inv)
{
	__m256 v = _mm256_mul_ps(_mm256_loadu_ps(x), inv);

	/* bounds second: maxps gives its second operand for a NaN, as z5_max() does */
	v = _mm256_min_ps(_mm256_max_ps(v, _mm256_set1_ps(-127.0f)), _mm256_set1_ps(127.0f));
	return _mm256_cvtps_epi32(v);
}

/* 32 quanta; returns four sums of four of the first 16 and four of the second 16. */
AVX2_INLINE __m256i quantized32(int8_t *q, const float *x, float inv)
{
	__m256 i = _mm256_set1_ps(inv);
	__m256i a = _mm256_packs_epi32(quantized8(x, i), quantized8(x + 8, i));
	__m256i b = _mm256_packs_epi32(quantized8(x + 16, i), quantized8(x + 24, i));

	/* packing is by halves of a register: the quads come out as 0 2 4 6 1 3 5 7 */
	a = _mm256_permutevar8x32_epi32(_mm256_packs_epi16(a, b),
					_mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
	_mm256_store_si256((__m256i *)q, a);
	return _mm256_madd_epi16(_mm256_maddubs_epi16(_mm256_set1_epi8(1), a),
				 _mm256_set1_epi16(1));
}

AVX2_INLINE float inverse(float amax)
{
	return amax >= 1e-30f ? 127.0f / amax : 0.0f;
}

AVX2_INLINE float scale(float amax)
{
	return amax < 1e-30f ? 0.0f : amax / 127.0f;
}

/* Sums of the two halves of 16 columns. */
AVX2_INLINE void halves(__m256i v, int *lo, int *hi)
{
	v = _mm256_hadd_epi32(v, v);
	v = _mm256_hadd_epi32(v, v);
	*lo = _mm_cvtsi128_si32(_mm256_castsi256_si128(v));
	*hi = _mm_cvtsi128_si32(_mm256_extracti128_si256(v, 1));
}

void z5_avx2_quant_q8_32(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_32_d(k));
	int32_t *nsum = (void *)((uint8_t *)dst + z5_q8_32_nsum(k));

	for (size_t b = 0; b < k / 32; b++) {
		float amax = largest(x + 32 * b, 32);
		int lo, hi;

		halves(quantized32(q + 32 * b, x + 32 * b, inverse(amax)), &lo, &hi);
		d[b] = scale(amax);
		nsum[b] = -(lo + hi);
	}
}

void z5_avx2_quant_q8_256(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_256_d(k));
	int16_t *s16 = (void *)((uint8_t *)dst + z5_q8_256_s16(k));
	int16_t *s32 = (void *)((uint8_t *)dst + z5_q8_256_s32(k));

	for (size_t b = 0; b < k / 256; b++) {
		float amax = largest(x + 256 * b, 256), inv = inverse(amax);

		d[b] = scale(amax);
		for (size_t i = 8 * b; i < 8 * b + 8; i++) {
			int lo, hi;

			halves(quantized32(q + 32 * i, x + 32 * i, inv), &lo, &hi);
			s16[2 * i] = (int16_t)lo;
			s16[2 * i + 1] = (int16_t)hi;
			s32[i] = (int16_t)(lo + hi);
		}
	}
}

void z5_avx2_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
	__m256 lo = _mm256_setzero_ps(), hi = lo, a, b, s;
	size_t i = 0, left = n % 16;
	__m256i m0 = first(left), m1 = first(left < 8 ? 0 : left - 8);

	for (; i + 16 <= n; i += 16) {
		a = _mm256_loadu_ps(x + i);
		b = _mm256_loadu_ps(x + i + 8);
		lo = _mm256_fmadd_ps(a, a, lo);
		hi = _mm256_fmadd_ps(b, b, hi);
	}
	/* a sum of squares is never -0, so that lanes beyond the end may add 0 */
	if (left) {
		a = _mm256_maskload_ps(x + i, m0);
		b = _mm256_maskload_ps(x + i + 8, m1);
		lo = _mm256_fmadd_ps(a, a, lo);
		hi = _mm256_fmadd_ps(b, b, hi);
	}
	s = _mm256_set1_ps(1.0f / sqrtf(avx2_tree_add(lo, hi) / (float)n + eps));

	for (i = 0; i + 8 <= n; i += 8) {
		a = _mm256_mul_ps(_mm256_loadu_ps(x + i), s);
		_mm256_storeu_ps(y + i, _mm256_mul_ps(a, _mm256_loadu_ps(w + i)));
	}
	if (i < n) {
		m0 = first(n - i);
		a = _mm256_mul_ps(_mm256_maskload_ps(x + i, m0), s);
		_mm256_maskstore_ps(y + i, m0, _mm256_mul_ps(a, _mm256_maskload_ps(w + i, m0)));
	}
}

/* The first n of 8 floats at x, n <= 8; the others are 0. */
AVX2_INLINE __m256 load_first(const float *x, size_t n)
{
	return n == 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(n));
}

AVX2_INLINE void store_first(float *x, __m256 v, size_t n)
{
	if (n == 8)
		_mm256_storeu_ps(x, v);
	else
		_mm256_maskstore_ps(x, first(n), v);
}

AVX2_INLINE size_t at_most_8(size_t n)
{
	return n < 8 ? n : 8;
}

void z5_avx2_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
	__m256 lanes[2] = { _mm256_setzero_ps(), _mm256_setzero_ps() }, mean, scale;

	for (size_t i = 0; i < n; i += 8)
		lanes[i / 8 % 2] = _mm256_add_ps(lanes[i / 8 % 2], load_first(x + i, at_most_8(n - i)));
	mean = _mm256_set1_ps(avx2_tree_add(lanes[0], lanes[1]) / (float)n);
	lanes[0] = lanes[1] = _mm256_setzero_ps();
	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);
		__m256 v = _mm256_sub_ps(load_first(x + i, left), mean);

		v = _mm256_and_ps(v, _mm256_castsi256_ps(first(left)));
		lanes[i / 8 % 2] = _mm256_fmadd_ps(v, v, lanes[i / 8 % 2]);
	}
	scale = _mm256_set1_ps(1.0f / sqrtf(avx2_tree_add(lanes[0], lanes[1]) / (float)n + eps));
	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);
		__m256 v = _mm256_mul_ps(_mm256_sub_ps(load_first(x + i, left), mean), scale);
		__m256 vw = load_first(w + i, left);

		v = b ? _mm256_fmadd_ps(v, vw, load_first(b + i, left)) : _mm256_mul_ps(v, vw);
		store_first(y + i, v, left);
	}
}

AVX2_INLINE __m256 silu_mul8(__m256 g, __m256 u)
{
	__m256 e = avx2_exp(_mm256_xor_ps(g, _mm256_set1_ps(-0.0f)));

	return _mm256_mul_ps(_mm256_div_ps(g, _mm256_add_ps(_mm256_set1_ps(1.0f), e)), u);
}

void z5_avx2_silu_mul(float *g, const float *u, size_t n)
{
	size_t i = 0;

	for (; i + 8 <= n; i += 8)
		_mm256_storeu_ps(g + i, silu_mul8(_mm256_loadu_ps(g + i), _mm256_loadu_ps(u + i)));
	if (i < n) {
		__m256i m = first(n - i);

		_mm256_maskstore_ps(g + i, m, silu_mul8(_mm256_maskload_ps(g + i, m),
							_mm256_maskload_ps(u + i, m)));
	}
}

void z5_avx2_gelu_mul(float *g, const float *u, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f), a = _mm256_set1_ps(Z5_GELU_A);
	const __m256 b = _mm256_set1_ps(Z5_GELU_B);

	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);
		__m256 v = load_first(g + i, left);
		__m256 e = avx2_exp(_mm256_mul_ps(v, _mm256_fmadd_ps(b, _mm256_mul_ps(v, v), a)));

		v = _mm256_div_ps(v, _mm256_add_ps(one, e));
		if (u)
			v = _mm256_mul_ps(v, load_first(u + i, left));
		store_first(g + i, v, left);
	}
}

void z5_avx2_swiglu_oai(float *g, const float *u, size_t n)
{
	const __m256 one = _mm256_set1_ps(1.0f), top = _mm256_set1_ps(Z5_OAI_LIMIT);
	const __m256 bottom = _mm256_set1_ps(-Z5_OAI_LIMIT), alpha = _mm256_set1_ps(-Z5_OAI_ALPHA);

	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);
		__m256 v = _mm256_min_ps(top, load_first(g + i, left));
		__m256 y = _mm256_max_ps(bottom, _mm256_min_ps(top, load_first(u + i, left)));
		__m256 e = avx2_exp(_mm256_mul_ps(alpha, v));

		v = _mm256_div_ps(v, _mm256_add_ps(one, e));
		store_first(g + i, _mm256_mul_ps(v, _mm256_add_ps(y, one)), left);
	}
}

void z5_avx2_exp(float *y, const float *x, float shift, size_t n)
{
	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);

		store_first(y + i, avx2_exp(_mm256_sub_ps(load_first(x + i, left), _mm256_set1_ps(shift))), left);
	}
}

void z5_avx2_softcap(float *x, size_t n, float cap)
{
	for (size_t i = 0; i < n; i += 8) {
		const size_t left = at_most_8(n - i);

		store_first(x + i, avx2_softcap(load_first(x + i, left), cap), left);
	}
}

/* In four streams, which is the fastest way to read that was found; see matmul.h. */
#define STREAMS 4
uint64_t z5_avx2_read(const void *p, size_t n)
{
	const size_t part = n / STREAMS & ~(size_t)63;
	const uint8_t *b = p;
	__m256i s[2 * STREAMS] = { 0 };
	__m128i v;

	for (size_t i = 0; i < part; i += 64) {
		for (int k = 0; k < STREAMS; k++) {
			const uint8_t *q = b + k * part + i;

			/* the hardware's prefetch stops at the end of a page, and would be measured */
			_mm_prefetch((const char *)q + 1024, _MM_HINT_T0);
			s[2 * k] = _mm256_xor_si256(s[2 * k], avx2_load(q));
			s[2 * k + 1] = _mm256_xor_si256(s[2 * k + 1], avx2_load(q + 32));
		}
	}
	for (size_t i = STREAMS * part; i < n; i += 32)
		s[0] = _mm256_xor_si256(s[0], avx2_load(b + i));
	for (int i = 1; i < 2 * STREAMS; i++)
		s[0] = _mm256_xor_si256(s[0], s[i]);
	v = _mm_xor_si128(_mm256_castsi256_si128(s[0]), _mm256_extracti128_si256(s[0], 1));
	return (uint64_t)_mm_cvtsi128_si64(v) ^ (uint64_t)_mm_extract_epi64(v, 1);
}
