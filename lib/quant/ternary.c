// SPDX-License-Identifier: MIT
/*
 * TQ1_0 and TQ2_0: each weight is 0 or the largest of its block with either sign. The format's own rule
 * (llama.cpp#8151), since what is ternary already comes out exactly and nothing else is worth storing so; importance
 * has no say.
 */
#include "fit.h"
#include "quant.h"

#include <kernels/half.h>
#include <string.h>

/* Weights + 1 of 256 columns; the largest goes to d as a half. */
static void signs(uint8_t *sign, uint8_t *d, const float *x)
{
	float max = 0, by;

	for (int i = 0; i < 256; i++)
		max = (x[i] < 0 ? -x[i] : x[i]) > max ? (x[i] < 0 ? -x[i] : x[i]) : max;
	by = max > 0 ? 1.0f / max : 0;
	for (int i = 0; i < 256; i++) {
		/* halves go away from zero */
		const float v = x[i] * by;

		sign[i] = v >= 0.5f ? 2 : v <= -0.5f ? 0 : 1;
	}
	z5_put_f16(d, max);
}

/* Block: for each half of 128 columns 32 bytes of columns i, i + 32, i + 64 and i + 96; d */
void z5_quant_tq2_0(uint8_t *dst, const float *x, const float *w, size_t k)
{
	uint8_t sign[256];

	(void)w;
	for (size_t b = 0; b < k / 256; b++, dst += 66, x += 256) {
		signs(sign, dst + 64, x);
		for (int i = 0; i < 64; i++) {
			const uint8_t *s = sign + i / 32 * 128 + i % 32;

			dst[i] = (uint8_t)(s[0] | s[32] << 2 | s[64] << 4 | s[96] << 6);
		}
	}
}

/* n digits to base 3, `step` apart, and what is missing of five as zeros: a fraction of 256, rounded up. */
static uint8_t fraction(const uint8_t *sign, int n, int step)
{
	unsigned int v = 0;

	for (int i = 0; i < 5; i++)
		v = 3 * v + (i < n ? sign[i * step] : 0);
	return (uint8_t)((v * 256 + 242) / 243);
}

/* Block: 32 bytes of five columns each, 32 apart, 16 of five, 16 apart, 4 of four, 4 apart; d */
void z5_quant_tq1_0(uint8_t *dst, const float *x, const float *w, size_t k)
{
	uint8_t sign[256];

	(void)w;
	for (size_t b = 0; b < k / 256; b++, dst += 54, x += 256) {
		signs(sign, dst + 52, x);
		for (int i = 0; i < 32; i++)
			dst[i] = fraction(sign + i, 5, 32);
		for (int i = 0; i < 16; i++)
			dst[32 + i] = fraction(sign + 160 + i, 5, 16);
		for (int i = 0; i < 4; i++)
			dst[48 + i] = fraction(sign + 240 + i, 4, 4);
	}
}
