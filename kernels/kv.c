// SPDX-License-Identifier: MIT
/* The KV cache's writing side, and what attention has at every level around its chunks. */
#include <math.h>
#include <string.h>

#include "half.h"
#include "kernels.h"

/* ---- storing ---- */

static uint16_t to_f16(float x)
{
	return z5_to_f16(z5_min(65504.0f, z5_max(-65504.0f, x)));
}

static uint16_t to_bf16(float x)
{
	const float top = z5_bits_f32(0x7f7f0000);

	return z5_to_bf16(z5_min(top, z5_max(-top, x)));
}

/* Block b of a head of hd dimensions, filled up with zeros. */
static void quantized(struct z5_attn_block *to, const float *x, size_t hd, size_t b, z5_quant_fn quant)
{
	uint8_t act[192] __attribute__((aligned(64)));	/* z5_act_bytes(Z5_ACT_Q8_32, 32) */
	float padded[32] = { 0 };

	x += 32 * b;
	if (hd < 32 * b + 32)
		x = memcpy(padded, x, (hd - 32 * b) * sizeof(*x));
	quant(act, x, 32);
	memcpy(to->q, act, 32);
	memcpy(&to->d, act + z5_q8_32_d(32), sizeof(to->d));
	memcpy(&to->nsum, act + z5_q8_32_nsum(32), sizeof(to->nsum));
}

/* Keys have their positions side by side, 16 elements from one dimension to the next. */
static void store_16(uint16_t *to, size_t step, const float *x, size_t n, enum z5_kv_type type)
{
	for (size_t i = 0; i < n; i++)
		to[i * step] = type == Z5_KV_F16 ? to_f16(x[i]) : to_bf16(x[i]);
}

static void store_key_q8(uint8_t *group, size_t r, const float *key, size_t hd, z5_quant_fn quant)
{
	struct z5_attn_block block;

	for (size_t b = 0; b < z5_kv_blocks(hd); b++, group += 9 * 64) {
		quantized(&block, key, hd, b, quant);
		for (size_t i = 0; i < 32; i++)
			group[i / 4 * 64 + 4 * r + i % 4] = (uint8_t)(block.q[i] + 128);
		memcpy(group + 8 * 64 + 4 * r, &block.d, sizeof(block.d));
	}
}

static void store_value_q8(uint8_t *group, size_t r, const float *value, size_t hd, size_t hd_padded,
			   z5_quant_fn quant)
{
	uint8_t *q = group + r * hd_padded, *d = group + 16 * hd_padded + 4 * r;
	struct z5_attn_block block;

	for (size_t b = 0; b < z5_kv_blocks(hd); b++) {
		quantized(&block, value, hd, b, quant);
		memcpy(q + 32 * b, block.q, hd_padded < 32 * b + 32 ? hd_padded - 32 * b : 32);
		memcpy(d + 64 * b, &block.d, sizeof(block.d));
	}
}

void z5_kv_store(enum z5_kv_type type, void *k, void *v, size_t pos, const float *key, size_t hd_k,
		 const float *value, size_t hd_v, size_t hd_v_padded, z5_quant_fn quant)
{
	uint8_t *kg = (uint8_t *)k + pos / 16 * z5_kv_k_group(type, hd_k);
	uint8_t *vg = (uint8_t *)v + pos / 16 * z5_kv_v_group(type, hd_v_padded);
	const size_t r = pos % 16;

	switch (type) {
	case Z5_KV_F16:
	case Z5_KV_BF16:
		store_16((uint16_t *)kg + r, 16, key, hd_k, type);
		store_16((uint16_t *)vg + r * hd_v_padded, 1, value, hd_v, type);
		break;
	case Z5_KV_Q8_0:
		store_key_q8(kg, r, key, hd_k, quant);
		store_value_q8(vg, r, value, hd_v, hd_v_padded, quant);
		break;
	default:
		for (size_t d = 0; d < hd_k; d++)
			((float *)kg)[d * 16 + r] = key[d];
		memcpy((float *)vg + r * hd_v_padded, value, hd_v * sizeof(float));
		break;
	}
}

/* ---- around the chunks ---- */

struct z5_attn_span z5_attn_begin(const struct z5_attn *a, z5_quant_fn quant)
{
	const size_t blocks = z5_kv_blocks(a->hd_k);
	struct z5_attn_span s = { SIZE_MAX, 0 };

	for (unsigned int i = 0; i < a->n_q; i++) {
		const size_t from = a->from ? a->from[i] : 0;

		/* a sink is a score that has been seen: its own weight is exp(0) */
		a->state[2 * i] = a->sinks ? a->sinks[i] : -INFINITY;
		a->state[2 * i + 1] = a->sinks ? 1.0f : 0.0f;
		memset(a->out[i], 0, a->hd_v * sizeof(float));
		s.from = from < s.from ? from : s.from;
		s.to = a->n_kv[i] > s.to ? a->n_kv[i] : s.to;
		if (a->type == Z5_KV_Q8_0)
			for (size_t b = 0; b < blocks; b++)
				quantized(&a->blocks[i * blocks + b], a->q[i], a->hd_k, b, quant);
	}
	s.from = s.from / Z5_ATTN_CHUNK * Z5_ATTN_CHUNK;
	return s;
}

unsigned int z5_attn_alike(const struct z5_attn *a, unsigned int i, size_t p, unsigned int most)
{
	const struct z5_attn_span sees = z5_attn_sees(a, i, p);
	unsigned int n = 1;

	while (n < most && i + n < a->n_q) {
		const struct z5_attn_span next = z5_attn_sees(a, i + n, p);

		if (next.from != sees.from || next.to != sees.to)
			break;
		n++;
	}
	return n;
}

void z5_attn_end(const struct z5_attn *a)
{
	for (unsigned int i = 0; i < a->n_q; i++) {
		float inv = 1.0f / a->state[2 * i + 1];

		for (size_t d = 0; d < a->hd_v; d++)
			a->out[i][d] *= inv;
	}
}
