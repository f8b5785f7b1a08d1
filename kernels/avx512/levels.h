/* SPDX-License-Identifier: MIT */
/* Nibbles that stand for levels, as bytes biased to unsigned. */
#ifndef Z5_AVX512_LEVELS_H
#define Z5_AVX512_LEVELS_H

#include <kernels/iq.h>

#include "matmul.h"

#define IQ4_BIAS	128
#define MXFP4_BIAS	16

/* The 16 levels + bias in each 128 bits. */
AVX512_INLINE __m512i avx512_levels(const int8_t *levels, int bias)
{
	__m128i v = _mm_loadu_si128((const __m128i *)levels);

	return _mm512_broadcast_i32x4(_mm_add_epi8(v, _mm_set1_epi8((char)bias)));
}

/* 32 columns of 4 lines, quads j and j + 4 in line j. */
AVX512_INLINE void avx512_nibbles(const uint8_t *lines, __m512i levels, __m512i *v)
{
	const __m512i low = _mm512_set1_epi8(15);

	for (int j = 0; j < 4; j++) {
		__m512i u = avx512_load(lines + 64 * j);

		v[j] = _mm512_shuffle_epi8(levels, _mm512_and_si512(u, low));
		v[j + 4] = _mm512_shuffle_epi8(levels,
					       _mm512_and_si512(_mm512_srli_epi16(u, 4), low));
	}
}

#endif
