// SPDX-License-Identifier: MIT
/* The numbers of mixtures of experts and of latent attention. */
#include "keys.h"
#include "model.h"

#include <string.h>

#define MAX_EXPERTS 1024

static int read_groups(const struct keys *k, struct z5_moe_hparams *m)
{
	int ret;

	if ((ret = key_u32(k, "expert_group_count", 0, m->n, 1, &m->groups)))
		return ret;
	m->groups = m->groups ? m->groups : 1;
	if (m->n % m->groups)
		return z5_fail(k->err, -EINVAL, "%s: %u experts cannot form %u groups (%s.expert_group_count)",
			       gguf_path(k->g), m->n, m->groups, k->arch);
	ret = key_u32(k, "expert_group_used_count", 0, m->groups, m->groups, &m->groups_used);
	if (ret)
		return ret;
	m->groups_used = m->groups_used ? m->groups_used : m->groups;
	if (m->n / m->groups * m->groups_used < m->used)
		return z5_fail(k->err, -EINVAL,
			       "%s: a token uses %u experts, but the %u groups that it may choose from have %u",
			       gguf_path(k->g), m->used, m->groups_used, m->n / m->groups * m->groups_used);
	return 0;
}

/* Widths: experts' own, and that of the shared ones together. */
static int read_widths(const struct keys *k, const struct z5_moe_kind *kind, const struct z5_hparams *h,
		       struct z5_moe_hparams *m)
{
	uint32_t shared = 0, dflt = kind->share_width ? h->n_ff / m->used : h->n_ff;
	int ret;

	if ((ret = key_u32(k, "expert_feed_forward_length", 1, 1u << 22, dflt, &m->n_ff)) ||
	    (ret = key_u32(k, "expert_shared_count", 0, MAX_EXPERTS, 0, &shared)))
		return ret;
	dflt = kind->shared ? h->n_ff : 0;
	if (shared && __builtin_mul_overflow(shared, m->n_ff, &dflt))
		dflt = UINT32_MAX;
	ret = key_u32(k, "expert_shared_feed_forward_length", 0, 1u << 22, dflt, &m->n_ff_shared);
	if (!ret && m->n_ff_shared > 1u << 22)
		return z5_fail(k->err, -EINVAL, "%s: %u shared experts of width %u are too many",
			       gguf_path(k->g), shared, m->n_ff);
	return ret;
}

int z5_hparams_moe(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		   struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	const struct z5_moe_kind *kind = arch->moe;
	struct z5_moe_hparams *m = &h->moe;
	uint32_t gating = 0;
	int ret;

	ret = key_u32(&k, "expert_count", 0, UINT32_MAX, 0, &m->n);
	if (ret)
		return ret;
	if (!m->n && kind && kind->required)
		return z5_fail(err, -EINVAL, "%s: %s.expert_count is missing or 0", gguf_path(g), arch->name);
	if (!m->n)
		return 0;
	if (!kind)
		return z5_fail(err, -EINVAL, "%s: mixture of %u experts, which architecture %s has not",
			       gguf_path(g), m->n, arch->name);
	if (m->n > MAX_EXPERTS)
		return z5_fail(err, -EINVAL, "%s: %s.expert_count is %u, expected at most %u", gguf_path(g),
			       arch->name, m->n, MAX_EXPERTS);
	/* 0 stands for "not said" in the last three */
	if ((ret = key_u32(&k, "expert_used_count", 1, m->n, 0, &m->used)) ||
	    (ret = read_widths(&k, kind, h, m)) ||
	    (ret = key_u32(&k, "leading_dense_block_count", 0, h->n_layer, 0, &m->first)) ||
	    (ret = key_bool(&k, "expert_weights_norm", kind->norm, &m->norm)) ||
	    (ret = key_u32(&k, "expert_gating_func", 0, Z5_GATING_SOFTMAX_CHOSEN, 0, &gating)) ||
	    (ret = key_f32(&k, "expert_weights_scale", 0.0f, 1e6f, 0.0f, &m->scale)) ||
	    (ret = read_groups(&k, m)))
		return ret;
	m->gating = gating ? (enum z5_gating)gating : kind->gating;
	m->scale = m->scale > 0 ? m->scale : 1.0f;
	m->oai = kind->oai;
	return 0;
}

/*
 * Scores are scaled by 1 / sqrt(width of a key) and, where YaRN stretches the context, by the square of
 * 1 + 0.1 mscale_all_dim ln(factor) (DeepSeek-V2's and V3's published code); GGUF has 0.1 mscale_all_dim.
 */
static float attn_scale(const struct z5_hparams *h)
{
	float m = 1.0f;

	if (h->rope.type == Z5_ROPE_YARN && h->rope.factor > 1.0f)
		m += h->rope.log_mul * logf(h->rope.factor);
	return m * m / sqrtf((float)(h->mla.nope + h->rope.n_rot));
}

int z5_hparams_mla(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		   struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	struct z5_mla_hparams *m = &h->mla;
	uint32_t key;
	int ret;

	if (!arch->mla)
		return 0;
	if ((ret = key_u32(&k, "attention.kv_lora_rank", 1, 8192, 0, &m->kv_lora)) ||
	    (ret = key_u32(&k, "attention.q_lora_rank", 0, 1u << 16, 0, &m->q_lora)) ||
	    (ret = key_u32(&k, "attention.key_length_mla", 1, 8192, h->hd_k, &key)) ||
	    (ret = key_u32(&k, "attention.value_length_mla", 1, 8192, h->hd_v, &m->v)))
		return ret;
	if (m->kv_lora % 16)
		return z5_fail(err, -EINVAL, "%s: %s.attention.kv_lora_rank is %u, expected a multiple of 16",
			       gguf_path(g), arch->name, m->kv_lora);
	if (key <= h->rope.n_rot)
		return z5_fail(err, -EINVAL, "%s: %s: keys of %u with %u turned dimensions leave none unturned",
			       gguf_path(g), arch->name, key, h->rope.n_rot);
	m->nope = key - h->rope.n_rot;
	/* one key a position for all heads: the latent one, then the turned dimensions; the value is the latent one */
	h->n_head_kv = 1;
	h->hd_k = m->kv_lora + h->rope.n_rot;
	h->hd_v = m->kv_lora;
	h->attn_scale = attn_scale(h);
	return 0;
}
