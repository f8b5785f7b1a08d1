// SPDX-License-Identifier: MIT
/* How fast the multipliers go with nothing to wait for: the yardstick of prefill. */
#include "avx512.h"

/* Enough to hide a latency of 6 at two a clock. */
#define CHAINS 16

uint64_t z5_avx512_peak_int8(uint64_t rounds, uint64_t *ops)
{
	__m512i acc[CHAINS], a = _mm512_set1_epi8(3), b = _mm512_set1_epi32((int)(rounds | 1));

	for (int i = 0; i < CHAINS; i++)
		acc[i] = _mm512_set1_epi32(i);
	for (uint64_t r = 0; r < rounds; r++) {
		for (int i = 0; i < CHAINS; i++)
			acc[i] = _mm512_dpbusd_epi32(acc[i], a, b);
		/* else two turns of the loop may become one with twice the product */
		__asm__ volatile("" : : : "memory");
	}
	for (int i = 1; i < CHAINS; i++)
		acc[0] = _mm512_xor_si512(acc[0], acc[i]);
	*ops = rounds * CHAINS * 128;
	return (uint32_t)_mm512_reduce_add_epi32(acc[0]);
}

uint64_t z5_avx512_peak_f32(uint64_t rounds, uint64_t *ops)
{
	__m512 acc[CHAINS], a = _mm512_set1_ps(1.0f / (float)(rounds + 2));

	for (int i = 0; i < CHAINS; i++)
		acc[i] = _mm512_set1_ps((float)i);
	for (uint64_t r = 0; r < rounds; r++)
		for (int i = 0; i < CHAINS; i++)
			acc[i] = _mm512_fmadd_ps(acc[i], a, a);
	for (int i = 1; i < CHAINS; i++)
		acc[0] = _mm512_add_ps(acc[0], acc[i]);
	*ops = rounds * CHAINS * 32;
	return (uint32_t)_mm512_reduce_add_epi32(_mm512_castps_si512(acc[0]));
}
