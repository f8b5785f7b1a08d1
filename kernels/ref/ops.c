// SPDX-License-Identifier: MIT
/* Everything of a transformer layer that is no matrix product and no attention, the definition. */
#include <kernels/kernels.h>
#include <kernels/scalar.h>

#include "ref.h"

/*
 * Scale and quanta of one block. The maximum is taken on the bits, so that it is the same in any order and a NaN
 * in x makes the scale NaN. Below 1e-30 the block is zero: 127 / amax must not overflow.
 */
static float ref_quant_block(int8_t *q, const float *x, size_t n)
{
	uint32_t bits = 0;
	float amax, inv;

	for (size_t i = 0; i < n; i++) {
		uint32_t u = z5_f32_bits(x[i]) & 0x7fffffff;

		bits = u > bits ? u : bits;
	}
	amax = z5_bits_f32(bits);
	inv = amax >= 1e-30f ? 127.0f / amax : 0.0f;
	for (size_t i = 0; i < n; i++)
		q[i] = (int8_t)rintf(z5_min(z5_max(x[i] * inv, -127.0f), 127.0f));
	return amax < 1e-30f ? 0.0f : amax / 127.0f;
}

static int ref_sum(const int8_t *q, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += q[i];
	return sum;
}

void z5_ref_quant_q8_32(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_32_d(k));
	int32_t *nsum = (void *)((uint8_t *)dst + z5_q8_32_nsum(k));

	for (size_t b = 0; b < k / 32; b++) {
		d[b] = ref_quant_block(q + 32 * b, x + 32 * b, 32);
		nsum[b] = -ref_sum(q + 32 * b, 32);
	}
}

static void ref_quant_q8_256(void *dst, const float *x, size_t k)
{
	int8_t *q = dst;
	float *d = (void *)((uint8_t *)dst + z5_q8_256_d(k));
	int16_t *s16 = (void *)((uint8_t *)dst + z5_q8_256_s16(k));
	int16_t *s32 = (void *)((uint8_t *)dst + z5_q8_256_s32(k));

	for (size_t b = 0; b < k / 256; b++)
		d[b] = ref_quant_block(q + 256 * b, x + 256 * b, 256);
	for (size_t i = 0; i < k / 16; i++)
		s16[i] = (int16_t)ref_sum(q + 16 * i, 16);
	for (size_t i = 0; i < k / 32; i++)
		s32[i] = (int16_t)(s16[2 * i] + s16[2 * i + 1]);
}

static void ref_rmsnorm(float *y, const float *x, const float *w, size_t n, float eps)
{
	float lane[16] = { 0 }, scale;

	for (size_t i = 0; i < n; i++)
		lane[i % 16] = fmaf(x[i], x[i], lane[i % 16]);
	scale = 1.0f / sqrtf(z5_tree_add(lane) / (float)n + eps);
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] * scale * w[i];
}

static void ref_layernorm(float *y, const float *x, const float *w, const float *b, size_t n, float eps)
{
	float lane[16] = { 0 }, mean, scale;

	for (size_t i = 0; i < n; i++)
		lane[i % 16] += x[i];
	mean = z5_tree_add(lane) / (float)n;
	memset(lane, 0, sizeof(lane));
	for (size_t i = 0; i < n; i++)
		lane[i % 16] = fmaf(x[i] - mean, x[i] - mean, lane[i % 16]);
	scale = 1.0f / sqrtf(z5_tree_add(lane) / (float)n + eps);
	for (size_t i = 0; i < n; i++) {
		float v = (x[i] - mean) * scale;

		y[i] = b ? fmaf(v, w[i], b[i]) : v * w[i];
	}
}

static void ref_silu_mul(float *g, const float *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		g[i] = g[i] / (1.0f + z5_exp(-g[i])) * u[i];
}

static void ref_swiglu_oai(float *g, const float *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		g[i] = z5_swiglu_oai(g[i], u[i]);
}

static void ref_exp(float *y, const float *x, float shift, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = z5_exp(x[i] - shift);
}

static void ref_gelu_mul(float *g, const float *u, size_t n)
{
	for (size_t i = 0; i < n; i++)
		g[i] = u ? z5_gelu(g[i]) * u[i] : z5_gelu(g[i]);
}

void z5_ref_softcap(float *x, size_t n, float cap)
{
	const float inv = 1.0f / cap;

	for (size_t i = 0; i < n; i++)
		x[i] = cap * z5_tanh(x[i] * inv);
}

static uint64_t ref_read(const void *p, size_t n)
{
	const uint64_t *w = p;
	uint64_t x = 0;

	for (size_t i = 0; i < n / 8; i++)
		x ^= w[i];
	return x;
}

void z5_kernels_ref(struct z5_kernels *k)
{
	for (int i = 0; i < Z5_N_TYPES; i++) {
		k->matmul[i] = z5_ref_matmul[i];
		k->matmul_level[i] = "scalar";
	}
	k->quant[Z5_ACT_Q8_32] = z5_ref_quant_q8_32;
	k->quant[Z5_ACT_Q8_256] = ref_quant_q8_256;
	k->rmsnorm = ref_rmsnorm;
	k->layernorm = ref_layernorm;
	k->silu_mul = ref_silu_mul;
	k->gelu_mul = ref_gelu_mul;
	k->swiglu_oai = ref_swiglu_oai;
	k->exp = ref_exp;
	k->softcap = z5_ref_softcap;
	k->attn = z5_ref_attn;
	for (int i = 0; i < Z5_N_MAPS; i++)
		k->map[i] = z5_ref_map[i];
	k->conv = z5_ref_conv;
	k->scan = z5_ref_scan;
	k->wkv6 = z5_ref_wkv6;
	k->wkv7 = z5_ref_wkv7;
	k->gla = z5_ref_gla;
	k->read = ref_read;
}
