// SPDX-License-Identifier: MIT
/* MXFP4: 32 values of 4 bits (1 sign, 2 exponent, 1 mantissa) and a power of two (OCP Microscaling Formats 1.0). */
#include "fit.h"
#include "quant.h"

#include <kernels/half.h>
#include <string.h>

static const float fp4[8] = { 0, 0.5f, 1, 1.5f, 2, 3, 4, 6 };

static unsigned int fp4_index(float a)
{
	unsigned int i = 0;

	while (i < 7 && a + a > fp4[i] + fp4[i + 1])
		i++;
	return i;
}

Z5_INLINE float fp4_level(float x, const void *arg)
{
	(void)arg;
	return x < 0 ? -fp4[fp4_index(-x)] : fp4[fp4_index(x)];
}

/* Exponent e stands for 2^(e - 127); 0, below the smallest normal float, is never chosen. */
static float power(int e)
{
	return z5_bits_f32((uint32_t)e << 23);
}

/* Block: exponent, nibbles (columns j, j + 16; the sign on top) */
void z5_quant_mxfp4(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t i = 0; i < k / 32; i++, dst += 17, x += 32) {
		const float *wb = z5_weights(w ? w + 32 * i : NULL, 32);
		float max = z5_extreme(x, 32), best = FLT_MAX, q[32];
		int top = (int)(z5_f32_bits(max) >> 23 & 255), e = 1;

		memset(dst, 0, 17);
		if (!(max >= Z5_FIT_TINY || max <= -Z5_FIT_TINY))
			continue;
		/* the largest value fits at top - 2, almost at top - 3; beyond, too much would be cut or lost */
		for (int c = top - 3; c <= top - 1; c++) {
			float err;

			if (c < 1)
				continue;
			err = z5_scale_error(x, wb, 32, power(c), fp4_level, NULL, NULL);
			if (err < best) {
				best = err;
				e = c;
			}
		}
		z5_scale_error(x, wb, 32, power(e), fp4_level, NULL, q);
		dst[0] = (uint8_t)e;
		for (int j = 0; j < 32; j++) {
			unsigned int v = q[j] < 0 ? 8 | fp4_index(-q[j]) : fp4_index(q[j]);

			dst[1 + j % 16] |= (uint8_t)(v << (j / 16 * 4));
		}
	}
}
