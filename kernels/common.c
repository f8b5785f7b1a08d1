// SPDX-License-Identifier: MIT
/*
 * Work that is the same code at every level: moves and elementwise sums, which the compiler vectorises without a
 * choice.
 */
#include "kernels.h"

#include <math.h>
#include <string.h>

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

struct z5_attn_span z5_attn_begin(const struct z5_attn *a)
{
	struct z5_attn_span s = { SIZE_MAX, 0 };

	for (unsigned int i = 0; i < a->n_q; i++) {
		const size_t from = a->from ? a->from[i] : 0;

		/* a sink is a score that has been seen: its own weight is exp(0) */
		a->state[2 * i] = a->sinks ? a->sinks[i] : -INFINITY;
		a->state[2 * i + 1] = a->sinks ? 1.0f : 0.0f;
		memset(a->out[i], 0, a->hd_v * sizeof(float));
		s.from = from < s.from ? from : s.from;
		s.to = a->n_kv[i] > s.to ? a->n_kv[i] : s.to;
	}
	s.from = s.from / Z5_ATTN_CHUNK * Z5_ATTN_CHUNK;
	return s;
}

void z5_attn_end(const struct z5_attn *a)
{
	for (unsigned int i = 0; i < a->n_q; i++) {
		float inv = 1.0f / a->state[2 * i + 1];

		for (size_t d = 0; d < a->hd_v; d++)
			a->out[i][d] *= inv;
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

void z5_kv_store(float *k, float *v, size_t pos, const float *key, size_t hd_k,
		 const float *value, size_t hd_v, size_t hd_v_padded)
{
	float *kp = k + pos / 16 * hd_k * 16 + pos % 16;

	for (size_t d = 0; d < hd_k; d++)
		kp[d * 16] = key[d];
	memcpy(v + pos * hd_v_padded, value, hd_v * sizeof(float));
}
