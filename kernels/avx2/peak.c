// SPDX-License-Identifier: MIT
/* How fast the multipliers go with nothing to wait for: the yardstick of prefill. */
#include "avx2.h"

/* As many as stay in registers. */
#define CHAINS 10

/* Products that nobody has to compute twice: the compiler must not know that an operand is the same again. */
AVX2_INLINE __m256i unknown(__m256i v)
{
	__asm__ volatile("" : "+x"(v));
	return v;
}

/* vpmaddubsw and the vpaddw that each of its results needs. */
uint64_t z5_avx2_peak_int8(uint64_t rounds, uint64_t *ops)
{
	__m256i acc[CHAINS], a = unknown(_mm256_set1_epi8(3)), b = unknown(_mm256_set1_epi8(1));

	for (int i = 0; i < CHAINS; i++)
		acc[i] = unknown(_mm256_set1_epi16((short)i));
	for (uint64_t r = 0; r < rounds; r++)
		for (int i = 0; i < CHAINS; i++) {
			a = unknown(a);
			acc[i] = _mm256_add_epi16(acc[i], _mm256_maddubs_epi16(a, b));
		}
	for (int i = 1; i < CHAINS; i++)
		acc[0] = _mm256_xor_si256(acc[0], acc[i]);
	*ops = rounds * CHAINS * 64;
	return (uint64_t)_mm256_extract_epi64(acc[0], 0);
}

uint64_t z5_avx2_peak_f32(uint64_t rounds, uint64_t *ops)
{
	__m256 acc[CHAINS], a = _mm256_castsi256_ps(unknown(_mm256_set1_epi32(0x3f000000)));

	for (int i = 0; i < CHAINS; i++)
		acc[i] = _mm256_set1_ps((float)i);
	for (uint64_t r = 0; r < rounds; r++)
		for (int i = 0; i < CHAINS; i++)
			acc[i] = _mm256_fmadd_ps(acc[i], a, a);
	for (int i = 1; i < CHAINS; i++)
		acc[0] = _mm256_xor_ps(acc[0], acc[i]);
	*ops = rounds * CHAINS * 16;
	return (uint64_t)_mm256_extract_epi64(_mm256_castps_si256(acc[0]), 0);
}
