// SPDX-License-Identifier: MIT
/* Matrix products, the definition. A row's sum runs over its blocks in order, one fma a block. */
#include "pack.h"
#include "ref.h"

static uint16_t half_at(const void *p, size_t i)
{
	return load16((const uint8_t *)p + 2 * i);
}

static float dot_f32(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const float *w = (const float *)group + r, *a = x;
	float acc = 0;

	for (size_t i = 0; i < k; i++)
		acc = fmaf(w[i * 16], a[i], acc);
	return acc;
}

static float dot_f16(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const float *a = x;
	float acc = 0;

	for (size_t i = 0; i < k; i++)
		acc = fmaf(z5_f16(half_at(group, i * 16 + r)), a[i], acc);
	return acc;
}

static float dot_bf16(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const float *a = x;
	float acc = 0;

	for (size_t i = 0; i < k; i++)
		acc = fmaf(z5_bf16(half_at(group, i / 2 * 32 + 2 * r + i % 2)), a[i], acc);
	return acc;
}

static float dot_q8_0(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const uint8_t *dw = group + k / 32 * 512;
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, group += 512, q += 32) {
		int32_t sum = 0;

		for (int i = 0; i < 32; i++)
			sum += (group[i / 4 * 64 + 4 * r + i % 4] - 128) * q[i];
		acc = fmaf(z5_f16(half_at(dw, b * 16 + r)) * dx[b], (float)sum, acc);
	}
	return acc;
}

static float dot_q4_0(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const uint8_t *dw = group + k / 32 * 256;
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, group += 256, q += 32) {
		int32_t sum = 0;

		for (int i = 0; i < 16; i++) {
			uint8_t v = group[i / 4 * 64 + 4 * r + i % 4];

			sum += ((v & 15) - 8) * q[i] + ((v >> 4) - 8) * q[i + 16];
		}
		acc = fmaf(z5_f16(half_at(dw, b * 16 + r)) * dx[b], (float)sum, acc);
	}
	return acc;
}

/* Weights as they are, with a minimum: d and m of the block at the end of its lines. */
static float block_min(float acc, const uint8_t *d, unsigned int r, float dx, int32_t sum, int32_t nsum)
{
	acc = fmaf(z5_f16(half_at(d, r)) * dx, (float)sum, acc);
	return fmaf(-(z5_f16(half_at(d, 16 + r)) * dx), (float)nsum, acc);
}

static float dot_q4_1(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const int32_t *nsum = (const void *)((const uint8_t *)x + z5_q8_32_nsum(k));
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, group += 5 * 64, q += 32) {
		int32_t sum = 0;

		for (int i = 0; i < 16; i++) {
			uint8_t v = group[i / 4 * 64 + 4 * r + i % 4];

			sum += (v & 15) * q[i] + (v >> 4) * q[i + 16];
		}
		acc = block_min(acc, group + 4 * 64, r, dx[b], sum, nsum[b]);
	}
	return acc;
}

/* 32 weights of 5 bits, unsigned. */
static int32_t dot_five(const uint8_t *block, unsigned int r, const int8_t *q)
{
	int32_t sum = 0;

	for (unsigned int i = 0; i < 16; i++) {
		uint8_t v = block[i / 4 * 64 + 4 * r + i % 4], fifth = block[4 * 64 + 4 * r + i % 4];

		sum += low_five(v, fifth, i / 4) * q[i] + high_five(v, fifth, i / 4) * q[i + 16];
	}
	return sum;
}

static float dot_q5_0(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const int32_t *nsum = (const void *)((const uint8_t *)x + z5_q8_32_nsum(k));
	const uint8_t *dw = group + k / 32 * 5 * 64;
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, group += 5 * 64, q += 32)
		acc = fmaf(z5_f16(half_at(dw, b * 16 + r)) * dx[b],
			   (float)(dot_five(group, r, q) + 16 * nsum[b]), acc);
	return acc;
}

static float dot_q5_1(const uint8_t *group, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const int32_t *nsum = (const void *)((const uint8_t *)x + z5_q8_32_nsum(k));
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, group += 6 * 64, q += 32)
		acc = block_min(acc, group + 5 * 64, r, dx[b], dot_five(group, r, q), nsum[b]);
	return acc;
}

static float dot_q2_k(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	const int16_t *s16 = (const void *)((const uint8_t *)x + z5_q8_256_s16(k));
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += 21 * 64, q += 256, s16 += 16) {
		int32_t sum = 0, min = 0;

		for (int s = 0; s < 16; s++) {
			uint8_t sc = o[16 * 64 + s / 2 * 32 + 2 * r + s % 2];
			int32_t dot = 0;

			for (int i = s * 16; i < s * 16 + 16; i++)
				dot += (o[(i / 128 * 8 + i % 32 / 4) * 64 + 4 * r + i % 4] >> i % 128 / 32 * 2 & 3) *
				       q[i];
			sum += (sc & 15) * dot;
			min += (sc >> 4) * s16[s];
		}
		acc = block_min(acc, o + 20 * 64, r, dx[b], sum, min);
	}
	return acc;
}

static float dot_q3_k(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	const uint8_t *d = o + k / 256 * 28 * 64;
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += 28 * 64, q += 256) {
		int32_t sum = 0;

		for (unsigned int s = 0; s < 16; s++) {
			int32_t dot = 0;

			for (unsigned int i = s * 16; i < s * 16 + 16; i++)
				dot += (get_three(o, r, i) - 4) * q[i];
			sum += (int8_t)o[24 * 64 + s / 2 * 32 + 2 * r + s % 2] * dot;
		}
		acc = fmaf(z5_f16(half_at(d, b * 16 + r)) * dx[b], (float)sum, acc);
	}
	return acc;
}

/* Q4_K and Q5_K: blocks of so many lines, the last four with scales and minima. */
static inline __attribute__((always_inline))
float dot_k32(const uint8_t *o, unsigned int r, size_t k, const void *x, size_t lines, get_k32_fn get)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	const int16_t *s32 = (const void *)((const uint8_t *)x + z5_q8_256_s32(k));
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += lines * 64, q += 256, s32 += 8) {
		int32_t sum = 0, min = 0;

		for (unsigned int s = 0; s < 8; s++) {
			int32_t dot = 0, sc, m;

			scale_q4_k(o + (lines - 4) * 64, r, s, &sc, &m);
			for (unsigned int i = 0; i < 32; i++)
				dot += get(o, r, s, i) * q[s * 32 + i];
			sum += sc * dot;
			min += m * s32[s];
		}
		acc = block_min(acc, o + (lines - 1) * 64, r, dx[b], sum, min);
	}
	return acc;
}

static float dot_q4_k(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	return dot_k32(o, r, k, x, 36, get_q4_k);
}

static float dot_q5_k(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	return dot_k32(o, r, k, x, 44, get_q5_k);
}

static float dot_q6_k(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	const uint8_t *d = o + k / 256 * 52 * 64;
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += 52 * 64, q += 256) {
		int32_t sum = 0;

		for (unsigned int s = 0; s < 16; s++) {
			int32_t dot = 0;

			for (unsigned int i = s * 16; i < s * 16 + 16; i++)
				dot += (get_six(o, r, i) - 32) * q[i];
			sum += (int8_t)o[48 * 64 + s / 2 * 32 + 2 * r + s % 2] * dot;
		}
		acc = fmaf(z5_f16(half_at(d, b * 16 + r)) * dx[b], (float)sum, acc);
	}
	return acc;
}

/* The scale of a block's weights is d's half or, with d NULL, 1. */
static inline __attribute__((always_inline))
float dot_ternary(const uint8_t *o, unsigned int r, size_t k, const void *x, const uint8_t *d)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += 16 * 64, q += 256) {
		int32_t sum = 0;

		for (unsigned int i = 0; i < 256; i++)
			sum += (get_ternary(o, r, i) - 1) * q[i];
		acc = fmaf(d ? z5_f16(half_at(d, b * 16 + r)) * dx[b] : dx[b], (float)sum, acc);
	}
	return acc;
}

static float dot_tq2_0(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	return dot_ternary(o, r, k, x, o + k / 256 * 16 * 64);
}

static float dot_i2_s(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	return dot_ternary(o, r, k, x, NULL);
}

#define MATMUL(type, dot)									\
static void ref_matmul_##dot(Z5_MATMUL_ARGS)							\
{												\
	ref_matmul(y, y_stride, w, k, g0, g1, x, x_stride, n,					\
		   z5_types[type].group_bytes(k), dot_##dot);					\
}

MATMUL(Z5_F32, f32)
MATMUL(Z5_F16, f16)
MATMUL(Z5_BF16, bf16)
MATMUL(Z5_Q8_0, q8_0)
MATMUL(Z5_Q4_0, q4_0)
MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q6_K, q6_k)
MATMUL(Z5_Q4_1, q4_1)
MATMUL(Z5_Q5_0, q5_0)
MATMUL(Z5_Q5_1, q5_1)
MATMUL(Z5_Q2_K, q2_k)
MATMUL(Z5_Q3_K, q3_k)
MATMUL(Z5_Q5_K, q5_k)
MATMUL(Z5_TQ2_0, tq2_0)
MATMUL(Z5_I2_S, i2_s)

const z5_matmul_fn z5_ref_matmul[Z5_N_TYPES] = {
	[Z5_F32] = ref_matmul_f32, [Z5_F16] = ref_matmul_f16, [Z5_BF16] = ref_matmul_bf16,
	[Z5_Q8_0] = ref_matmul_q8_0, [Z5_Q4_0] = ref_matmul_q4_0,
	[Z5_Q4_K] = ref_matmul_q4_k, [Z5_Q6_K] = ref_matmul_q6_k,
	[Z5_Q4_1] = ref_matmul_q4_1, [Z5_Q5_0] = ref_matmul_q5_0, [Z5_Q5_1] = ref_matmul_q5_1,
	[Z5_Q2_K] = ref_matmul_q2_k, [Z5_Q3_K] = ref_matmul_q3_k, [Z5_Q5_K] = ref_matmul_q5_k,
	[Z5_IQ4_NL] = z5_ref_matmul_iq4_nl, [Z5_IQ4_XS] = z5_ref_matmul_iq4_xs,
	[Z5_MXFP4] = z5_ref_matmul_mxfp4,
	[Z5_IQ2_XXS] = z5_ref_matmul_iq2_xxs,
	[Z5_IQ2_XS] = z5_ref_matmul_iq2_xs,
	[Z5_IQ2_S] = z5_ref_matmul_iq2_s,
	[Z5_IQ3_XXS] = z5_ref_matmul_iq3_xxs,
	[Z5_IQ3_S] = z5_ref_matmul_iq3_s,
	[Z5_IQ1_S] = z5_ref_matmul_iq1_s,
	[Z5_IQ1_M] = z5_ref_matmul_iq1_m,
	[Z5_TQ1_0] = ref_matmul_tq2_0, [Z5_TQ2_0] = ref_matmul_tq2_0, [Z5_I2_S] = ref_matmul_i2_s,
};
