/* SPDX-License-Identifier: MIT */
/* Scalar pieces of the definition, for ref/ and for the tails of vector code. */
#ifndef Z5_SCALAR_H
#define Z5_SCALAR_H

#include <math.h>
#include <stdint.h>
#include <string.h>

/* The operand order of maxps and minps: the second one wins when either is NaN. */
static inline float z5_max(float a, float b) { return a > b ? a : b; }
static inline float z5_min(float a, float b) { return a < b ? a : b; }

static inline float z5_bits_f32(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

static inline uint32_t z5_f32_bits(float f)
{
	uint32_t u;

	memcpy(&u, &f, 4);
	return u;
}

/* IEEE half to single, exact. Integer operations only: DAZ must not touch half denormals, as in vcvtph2ps. */
static inline float z5_f16(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t exp = h >> 10 & 31, man = h & 1023;

	if (exp == 31)	/* vcvtph2ps makes a NaN quiet */
		return z5_bits_f32(sign | 0x7f800000 | man << 13 | (man ? 0x400000 : 0));
	if (exp == 0) {
		if (man == 0)
			return z5_bits_f32(sign);
		exp = 1;
		while (!(man & 1024)) {
			man <<= 1;
			exp--;
		}
		man &= 1023;
	}
	return z5_bits_f32(sign | (exp + 112) << 23 | man << 13);
}

static inline float z5_bf16(uint16_t h)
{
	return z5_bits_f32((uint32_t)h << 16);
}

/*
 * exp(x) within 1.02 ulp for x in [-87.3, 88.37], 0 below, exp(88.37) above. Range reduction by ln 2 in two parts and a
 * polynomial of degree 7 (coefficients: Cephes expf, S. Moshier).
 */
#define Z5_EXP_HI	88.37f
#define Z5_EXP_LO	-87.3f
#define Z5_EXP_LOG2E	1.44269504f
#define Z5_EXP_LN2_HI	0.693359375f
#define Z5_EXP_LN2_LO	-2.12194440e-4f
#define Z5_EXP_P0	1.9875691500e-4f
#define Z5_EXP_P1	1.3981999507e-3f
#define Z5_EXP_P2	8.3334519073e-3f
#define Z5_EXP_P3	4.1665795894e-2f
#define Z5_EXP_P4	1.6666665459e-1f
#define Z5_EXP_P5	5.0000001201e-1f

static inline float z5_exp(float x)
{
	float n, r, p;

	if (x < Z5_EXP_LO)
		return 0;
	x = z5_min(Z5_EXP_HI, x);
	if (x != x)
		return x;
	n = rintf(x * Z5_EXP_LOG2E);
	r = fmaf(-n, Z5_EXP_LN2_HI, x);
	r = fmaf(-n, Z5_EXP_LN2_LO, r);
	p = Z5_EXP_P0;
	p = fmaf(p, r, Z5_EXP_P1);
	p = fmaf(p, r, Z5_EXP_P2);
	p = fmaf(p, r, Z5_EXP_P3);
	p = fmaf(p, r, Z5_EXP_P4);
	p = fmaf(p, r, Z5_EXP_P5);
	p = fmaf(p, r * r, r) + 1.0f;
	return p * z5_bits_f32((uint32_t)((int32_t)n + 127) << 23);
}

/* tanh(x) within 1.2e-7; from the exponential of -2 |x|, which cannot overflow. */
static inline float z5_tanh(float x)
{
	float e = z5_exp(-2.0f * fabsf(x));

	return copysignf((1.0f - e) / (1.0f + e), x);
}

static inline float z5_sigmoid(float x)
{
	return 1.0f / (1.0f + z5_exp(-x));
}

/*
 * log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|), within 4 ulp: log(1 + e) = 2 atanh(e / (2 + e)), of which
 * the series ends at a part of 1e-9.
 */
static inline float z5_softplus(float x)
{
	float e = z5_exp(-fabsf(x)), s = e / (2.0f + e), q = s * s, p = 1.0f / 15;

	for (int i = 13; i > 0; i -= 2)
		p = fmaf(p, q, 1.0f / (float)i);
	return fmaf(s + s, p, z5_max(x, 0.0f));
}

/*
 * max(x, 0)^2; a NaN stays one. By a mask, since compilers make a jump of a choice between two floats, which signs at
 * random mispredict.
 */
static inline float z5_relu2(float x)
{
	uint32_t keep = x < 0 ? 0 : UINT32_MAX, u;
	float v = x * x;

	memcpy(&u, &v, 4);
	return z5_bits_f32(u & keep);
}

/* gelu(x) = x / (1 + exp(x (A + B x^2))), A = -2 sqrt(2 / pi), B = 0.044715 A */
#define Z5_GELU_A	-1.59576912f
#define Z5_GELU_B	-0.0713548163f

static inline float z5_gelu(float x)
{
	return x / (1.0f + z5_exp(x * fmaf(Z5_GELU_B, x * x, Z5_GELU_A)));
}

/* swiglu_oai, see z5_swiglu_oai_fn; a NaN stays one */
#define Z5_OAI_LIMIT	7.0f
#define Z5_OAI_ALPHA	1.702f

static inline float z5_swiglu_oai(float g, float u)
{
	g = z5_min(Z5_OAI_LIMIT, g);
	u = z5_max(-Z5_OAI_LIMIT, z5_min(Z5_OAI_LIMIT, u));
	return g / (1.0f + z5_exp(-Z5_OAI_ALPHA * g)) * (u + 1.0f);
}

/* Sum and maximum of 16 lanes: halves are folded onto each other, 8, 4, 2, 1. Destroys l. */
static inline float z5_tree_add(float *l)
{
	for (int w = 8; w; w /= 2)
		for (int i = 0; i < w; i++)
			l[i] += l[i + w];
	return l[0];
}

static inline float z5_tree_max(float *l)
{
	for (int w = 8; w; w /= 2)
		for (int i = 0; i < w; i++)
			l[i] = z5_max(l[i], l[i + w]);
	return l[0];
}

#endif
