/* SPDX-License-Identifier: MIT */
/*
 * AVX-512 for machines that have none, so that kernels/avx512 is compared with kernels/ref everywhere: SIMDe's portable
 * forms, and here what its release in Debian bookworm (0.7.4) lacks. Slow, and for nothing but that. Takes the place of
 * the compiler's header (Makefile: EMULATE).
 */
#ifndef Z5_EMULATE_IMMINTRIN_H
#define Z5_EMULATE_IMMINTRIN_H

#include_next <immintrin.h>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>

#include <string.h>

/* A register as its lanes. */
union z5_lanes {
	__m512i v;
	__m512 ps;
	float f[16];
	int32_t i[16];
	uint32_t u[16];
	__m256 half[2];
	__m256i quarter[2];
};

static inline __m512 z5_maskz_loadu_ps(__mmask16 m, const float *p)
{
	union z5_lanes r = { .u = { 0 } };

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			r.f[i] = p[i];
	return r.ps;
}
#define _mm512_maskz_loadu_ps(m, p) z5_maskz_loadu_ps(m, p)

static inline __m512 z5_mask_load_ps(__m512 src, __mmask16 m, const float *p)
{
	union z5_lanes r = { .ps = src };

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			r.f[i] = p[i];
	return r.ps;
}
#define _mm512_mask_load_ps(src, m, p) z5_mask_load_ps(src, m, p)

static inline void z5_mask_storeu_ps(float *p, __mmask16 m, __m512 v)
{
	const union z5_lanes a = { .ps = v };

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			p[i] = a.f[i];
}
#define _mm512_mask_storeu_ps(p, m, v) z5_mask_storeu_ps(p, m, v)

/* Lanes without their bit are c's. */
static inline __m512 z5_mask3_fmadd_ps(__m512 a, __m512 b, __m512 c, __mmask16 m)
{
	const union z5_lanes sum = { .ps = _mm512_fmadd_ps(a, b, c) };
	union z5_lanes r = { .ps = c };

	for (int i = 0; i < 16; i++)
		if (m >> i & 1)
			r.f[i] = sum.f[i];
	return r.ps;
}
#define _mm512_mask3_fmadd_ps(a, b, c, m) z5_mask3_fmadd_ps(a, b, c, m)

static inline __m512i z5_srai_epi32(__m512i a, unsigned int by)
{
	union z5_lanes r = { .v = a };

	for (int i = 0; i < 16; i++)
		r.i[i] >>= by > 31 ? 31 : by;
	return r.v;
}
#define _mm512_srai_epi32(a, by) z5_srai_epi32(a, by)

static inline __m512 z5_cvtepi32_ps(__m512i a)
{
	union z5_lanes r = { .v = a };

	r.half[0] = _mm256_cvtepi32_ps(r.quarter[0]);
	r.half[1] = _mm256_cvtepi32_ps(r.quarter[1]);
	return r.ps;
}
#define _mm512_cvtepi32_ps(a) z5_cvtepi32_ps(a)

static inline __m512i z5_cvtps_epi32(__m512 a)
{
	union z5_lanes r = { .ps = a };

	r.quarter[0] = _mm256_cvtps_epi32(r.half[0]);
	r.quarter[1] = _mm256_cvtps_epi32(r.half[1]);
	return r.v;
}
#define _mm512_cvtps_epi32(a) z5_cvtps_epi32(a)

static inline __m512 z5_cvtph_ps(__m256i a)
{
	union z5_lanes r;

	r.half[0] = _mm256_cvtph_ps(_mm256_castsi256_si128(a));
	r.half[1] = _mm256_cvtph_ps(_mm256_extracti128_si256(a, 1));
	return r.ps;
}
#define _mm512_cvtph_ps(a) z5_cvtph_ps(a)

static inline __m512i z5_cvtepu8_epi32(__m128i a)
{
	union z5_lanes r;
	uint8_t b[16];

	memcpy(b, &a, sizeof(b));
	for (int i = 0; i < 16; i++)
		r.u[i] = b[i];
	return r.v;
}
#define _mm512_cvtepu8_epi32(a) z5_cvtepu8_epi32(a)

static inline __m512i z5_cvtepi8_epi32(__m128i a)
{
	union z5_lanes r;
	int8_t b[16];

	memcpy(b, &a, sizeof(b));
	for (int i = 0; i < 16; i++)
		r.i[i] = b[i];
	return r.v;
}
#define _mm512_cvtepi8_epi32(a) z5_cvtepi8_epi32(a)

static inline __m512i z5_cvtepu8_epi16(__m256i a)
{
	union z5_lanes r;

	r.quarter[0] = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(a));
	r.quarter[1] = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(a, 1));
	return r.v;
}
#define _mm512_cvtepu8_epi16(a) z5_cvtepu8_epi16(a)

static inline __m512i z5_cvtepu16_epi32(__m256i a)
{
	union z5_lanes r;

	r.quarter[0] = _mm256_cvtepu16_epi32(_mm256_castsi256_si128(a));
	r.quarter[1] = _mm256_cvtepu16_epi32(_mm256_extracti128_si256(a, 1));
	return r.v;
}
#define _mm512_cvtepu16_epi32(a) z5_cvtepu16_epi32(a)

static inline __m128i z5_cvtepi32_epi8(__m512i a)
{
	const union z5_lanes r = { .v = a };
	uint8_t b[16];
	__m128i v;

	for (int i = 0; i < 16; i++)
		b[i] = (uint8_t)r.u[i];
	memcpy(&v, b, sizeof(v));
	return v;
}
#define _mm512_cvtepi32_epi8(a) z5_cvtepi32_epi8(a)

static inline __m256 z5_extractf32x8_ps(__m512 a, int which)
{
	const union z5_lanes r = { .ps = a };

	return r.half[which & 1];
}
#define _mm512_extractf32x8_ps(a, which) z5_extractf32x8_ps(a, which)

static inline uint32_t z5_reduce_max_epu32(__m512i a)
{
	const union z5_lanes r = { .v = a };
	uint32_t max = 0;

	for (int i = 0; i < 16; i++)
		max = r.u[i] > max ? r.u[i] : max;
	return max;
}
#define _mm512_reduce_max_epu32(a) z5_reduce_max_epu32(a)

static inline int z5_reduce_add_epi32(__m512i a)
{
	const union z5_lanes r = { .v = a };
	uint32_t sum = 0;

	for (int i = 0; i < 16; i++)
		sum += r.u[i];
	return (int)sum;
}
#define _mm512_reduce_add_epi32(a) z5_reduce_add_epi32(a)

static inline __mmask16 z5_testn_epi32_mask(__m512i a, __m512i b)
{
	const union z5_lanes x = { .v = a }, y = { .v = b };
	unsigned int m = 0;

	for (int i = 0; i < 16; i++)
		m |= (unsigned int)!(x.u[i] & y.u[i]) << i;
	return (__mmask16)m;
}
#define _mm512_testn_epi32_mask(a, b) z5_testn_epi32_mask(a, b)

static inline __m512i z5_i32gather_epi32(__m512i at, const void *from, int scale)
{
	const union z5_lanes a = { .v = at };
	union z5_lanes r;

	for (int i = 0; i < 16; i++)
		memcpy(&r.i[i], (const char *)from + (ptrdiff_t)a.i[i] * scale, 4);
	return r.v;
}
#define _mm512_i32gather_epi32(at, from, scale) z5_i32gather_epi32(at, from, scale)

static inline __mmask64 z5_load_mask64(const void *p)
{
	__mmask64 m;

	memcpy(&m, p, sizeof(m));
	return m;
}
#define _load_mask64(p) z5_load_mask64(p)

#endif
