/* SPDX-License-Identifier: MIT */
/* Single precision to the 16-bit formats, to nearest even, in integers: no instruction of any level, no MXCSR. */
#ifndef Z5_HALF_H
#define Z5_HALF_H

#include "scalar.h"

static inline uint16_t z5_to_f16(float f)
{
	uint32_t u = z5_f32_bits(f), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;

	if (a > 0x7f800000)
		return (uint16_t)(sign | 0x7e00);
	if (a >= 0x477ff000)	/* 65520 and above */
		return (uint16_t)(sign | 0x7c00);
	if (a < 0x33000000)	/* below 2^-25 */
		return (uint16_t)sign;
	if (a < 0x38800000) {	/* below 2^-14: a multiple of 2^-24 */
		uint32_t shift = 126 - (a >> 23), m = (a & 0x7fffff) | 0x800000;
		uint32_t q = m >> shift, rest = m & ((1u << shift) - 1), half = 1u << (shift - 1);

		return (uint16_t)(sign | (q + (rest > half || (rest == half && (q & 1)))));
	}
	return (uint16_t)(sign | (a - (112u << 23) + 0xfff + (a >> 13 & 1)) >> 13);
}

static inline uint16_t z5_to_bf16(float f)
{
	uint32_t u = z5_f32_bits(f);

	if ((u & 0x7fffffff) > 0x7f800000)
		return (uint16_t)(u >> 16 | 0x40);
	return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static inline void z5_put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

/* The value that a half stored at p will have; f is what it should have. */
static inline float z5_put_f16(uint8_t *p, float f)
{
	uint16_t h = z5_to_f16(f);

	memcpy(p, &h, 2);
	return z5_f16(h);
}

#endif
