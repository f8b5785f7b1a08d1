// SPDX-License-Identifier: MIT
/* Attention over a KV cache of any type, the definition. */
#include <kernels/kernels.h>
#include <kernels/scalar.h>

#include "ref.h"

static float element(enum z5_kv_type type, const void *x, size_t i)
{
	switch (type) {
	case Z5_KV_F16:
		return z5_f16(((const uint16_t *)x)[i]);
	case Z5_KV_BF16:
		return z5_bf16(((const uint16_t *)x)[i]);
	default:
		return ((const float *)x)[i];
	}
}

/* Number i of the scales at p. */
static float scale(const uint8_t *p, size_t i)
{
	return ((const float *)(const void *)p)[i];
}

/* Query i times the key of position p. */
static float dot(const struct z5_attn *a, unsigned int i, size_t p)
{
	const uint8_t *k = (const uint8_t *)a->k + p / 16 * z5_kv_k_group(a->type, a->hd_k);
	float sum = 0;

	if (a->type == Z5_KV_Q8_0) {
		const struct z5_attn_block *q = a->blocks + i * z5_kv_blocks(a->hd_k);

		for (size_t b = 0; b < z5_kv_blocks(a->hd_k); b++, k += 9 * 64) {
			int32_t isum = 0;

			for (size_t d = 0; d < 32; d++)
				isum += (k[d / 4 * 64 + 4 * (p % 16) + d % 4] - 128) * q[b].q[d];
			sum = fmaf(scale(k + 8 * 64, p % 16) * q[b].d, (float)isum, sum);
		}
		return sum;
	}
	for (size_t d = 0; d < a->hd_k; d++)
		sum = fmaf(element(a->type, k, d * 16 + p % 16), a->q[i][d], sum);
	return sum;
}

/* Dimension d of position p, times weight w, added to sum. */
static float weighted(const struct z5_attn *a, size_t p, size_t d, float w, float sum)
{
	const uint8_t *v = (const uint8_t *)a->v + p / 16 * z5_kv_v_group(a->type, a->hd_v);

	if (a->type == Z5_KV_Q8_0) {
		const float by = scale(v + 16 * a->hd_v + d / 32 * 64, p % 16);

		return fmaf(w * by, (float)((const int8_t *)v)[p % 16 * a->hd_v + d], sum);
	}
	return fmaf(w, element(a->type, v, p % 16 * a->hd_v + d), sum);
}

/* One chunk of one query: what it sees of positions [p0, p0 + Z5_ATTN_CHUNK) of the cache. */
static void chunk(const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees)
{
	float s[Z5_ATTN_CHUNK], lane[16], m, corr, sum;
	float *mx = &a->state[2 * i], *l = &a->state[2 * i + 1], *out = a->out[i];

	for (size_t j = 0; j < Z5_ATTN_CHUNK; j++) {
		s[j] = -INFINITY;
		if (j < sees.from || j >= sees.to)
			continue;
		s[j] = dot(a, i, p0 + j) * a->scale;
		if (a->softcap != 0)
			z5_ref_softcap(&s[j], 1, a->softcap);
	}
	for (int j = 0; j < 16; j++)
		lane[j] = z5_max(z5_max(s[j], s[j + 16]), z5_max(s[j + 32], s[j + 48]));
	m = z5_max(*mx, z5_tree_max(lane));
	corr = z5_exp(*mx - m);
	for (size_t j = 0; j < Z5_ATTN_CHUNK; j++)
		s[j] = z5_exp(s[j] - m);
	for (int j = 0; j < 16; j++)
		lane[j] = (s[j] + s[j + 16]) + (s[j + 32] + s[j + 48]);
	sum = z5_tree_add(lane);
	*l = fmaf(*l, corr, sum);
	*mx = m;
	for (size_t d = 0; d < a->hd_v; d++) {
		float acc = out[d] * corr;

		for (size_t j = sees.from; j < sees.to; j++)
			acc = weighted(a, p0 + j, d, s[j], acc);
		out[d] = acc;
	}
}

void z5_ref_attn(const struct z5_attn *a)
{
	const struct z5_attn_span all = z5_attn_begin(a, z5_ref_quant_q8_32);

	for (size_t p = all.from; p < all.to; p += Z5_ATTN_CHUNK) {
		for (unsigned int i = 0; i < a->n_q; i++) {
			struct z5_attn_span sees = z5_attn_sees(a, i, p);

			if (sees.from < sees.to)
				chunk(a, i, p, sees);
		}
	}
	z5_attn_end(a);
}
