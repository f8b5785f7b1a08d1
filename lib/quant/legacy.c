// SPDX-License-Identifier: MIT
/*
 * Floats, and the types of 32 columns a block with a scale, or a scale and an offset, in half precision (formats:
 * ggml's block structures). Scales are rounded to halves before the values are rounded with them.
 */
#include "fit.h"
#include "quant.h"

#include <kernels/half.h>
#include <string.h>

void z5_quant_f32(uint8_t *dst, const float *x, const float *w, size_t k)
{
	(void)w;
	memcpy(dst, x, k * sizeof(*x));
}

void z5_quant_f16(uint8_t *dst, const float *x, const float *w, size_t k)
{
	(void)w;
	for (size_t i = 0; i < k; i++)
		z5_put16(dst + 2 * i, z5_to_f16(x[i]));
}

void z5_quant_bf16(uint8_t *dst, const float *x, const float *w, size_t k)
{
	(void)w;
	for (size_t i = 0; i < k; i++)
		z5_put16(dst + 2 * i, z5_to_bf16(x[i]));
}

struct range {
	float lo, hi;
};

Z5_INLINE float in_range(float x, const void *arg)
{
	const struct range *r = arg;

	return z5_round(z5_clamp(x, r->lo, r->hi));
}

/* Columns j and j + 16 in the nibbles of byte j. */
static void put_nibbles(uint8_t *dst, const uint8_t *q)
{
	for (int j = 0; j < 16; j++)
		dst[j] = (uint8_t)((q[j] & 15) | (q[j + 16] & 15) << 4);
}

static void put_fifth_bits(uint8_t *dst, const uint8_t *q)
{
	uint32_t bits = 0;

	for (int j = 0; j < 32; j++)
		bits |= (uint32_t)(q[j] >> 4 & 1) << j;
	memcpy(dst, &bits, 4);
}

/* Levels of one block at the half-precision scale that is written to dst; q gets level - lo. */
Z5_INLINE void scaled_block(uint8_t *dst, uint8_t *q, const float *x, const float *w, struct range r, float from,
			    float to, unsigned int steps)
{
	float d, level[32];

	w = z5_weights(w, 32);
	d = z5_put_f16(dst, z5_fit_scale(x, w, 32, in_range, &r, from, to, steps, -r.lo != r.hi));
	z5_scale_error(x, w, 32, d, in_range, &r, level);
	for (int i = 0; i < 32; i++)
		q[i] = (uint8_t)(int)(level[i] - r.lo);
}

/* Block: d, 32 int8 */
void z5_quant_q8_0(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t b = 0; b < k / 32; b++, dst += 34, x += 32) {
		uint8_t q[32];

		scaled_block(dst, q, x, w ? w + 32 * b : NULL, (struct range){ -127, 127 }, 125.6f, 127.4f, 7);
		for (int i = 0; i < 32; i++)
			dst[2 + i] = (uint8_t)(q[i] - 127);
	}
}

/* Block: d, nibbles of level + 8 */
void z5_quant_q4_0(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t b = 0; b < k / 32; b++, dst += 18, x += 32) {
		uint8_t q[32];

		scaled_block(dst, q, x, w ? w + 32 * b : NULL, (struct range){ -8, 7 }, 5, 8.8f, 20);
		put_nibbles(dst + 2, q);
	}
}

/* Block: d, fifth bits, nibbles of level + 16 */
void z5_quant_q5_0(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t b = 0; b < k / 32; b++, dst += 22, x += 32) {
		uint8_t q[32];

		scaled_block(dst, q, x, w ? w + 32 * b : NULL, (struct range){ -16, 15 }, 12, 16.8f, 24);
		put_fifth_bits(dst + 2, q);
		put_nibbles(dst + 6, q);
	}
}

Z5_INLINE void offset_block(uint8_t *dst, uint8_t *q, const float *x, const float *w, float top, unsigned int steps,
			    float inward)
{
	struct z5_affine a;
	float level[32];

	w = z5_weights(w, 32);
	a = z5_fit_affine(x, w, 32, top, true, steps, inward);
	a.d = z5_put_f16(dst, a.d);
	a.m = z5_put_f16(dst + 2, a.m);
	z5_affine_error(x, w, 32, a, top, level);
	for (int i = 0; i < 32; i++)
		q[i] = (uint8_t)(int)level[i];
}

/* Block: d, m, nibbles */
void z5_quant_q4_1(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t b = 0; b < k / 32; b++, dst += 20, x += 32) {
		uint8_t q[32];

		offset_block(dst, q, x, w ? w + 32 * b : NULL, 15, 6, 0.025f);
		put_nibbles(dst + 4, q);
	}
}

/* Block: d, m, fifth bits, nibbles */
void z5_quant_q5_1(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t b = 0; b < k / 32; b++, dst += 24, x += 32) {
		uint8_t q[32];

		offset_block(dst, q, x, w ? w + 32 * b : NULL, 31, 6, 0.0125f);
		put_fifth_bits(dst + 4, q);
		put_nibbles(dst + 8, q);
	}
}
