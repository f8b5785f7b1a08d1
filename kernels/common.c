// SPDX-License-Identifier: MIT
/*
 * Work that is the same code at every level: moves and elementwise sums, which the compiler vectorises without a
 * choice.
 */
#include "kernels.h"
#include "scalar.h"

size_t z5_act_bytes(enum z5_act act, size_t k)
{
	switch (act) {
	case Z5_ACT_Q8_32:
		return z5_q8_32_nsum(k) + Z5_ALIGN64(k / 32 * 4);
	case Z5_ACT_Q8_256:
		return z5_q8_256_s32(k) + Z5_ALIGN64(k / 32 * 2);
	default:
		return Z5_ALIGN64(k * sizeof(float));
	}
}

void z5_add(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i];
}

void z5_add_scaled(float *x, const float *y, float by, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] += y[i] * by;
}

void z5_scale(float *x, float s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= s;
}

void z5_relu2_mul(float *g, const float *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		g[i] = z5_relu2(g[i]) * u[i];
}

void z5_rope(float *x, const float *cs, size_t n_rot, int neox)
{
	size_t half = n_rot / 2, step = neox ? 1 : 2, pair = neox ? half : 1;

	for (size_t i = 0; i < half; i++) {
		float *p = x + i * step;
		float a = p[0], b = p[pair], c = cs[2 * i], s = cs[2 * i + 1];

		p[0] = a * c - b * s;
		p[pair] = a * s + b * c;
	}
}
