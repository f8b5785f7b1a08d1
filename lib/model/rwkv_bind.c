// SPDX-License-Identifier: MIT
/* The tensors of RWKV 6 and 7, and of what qwen2 became with their time mixes; rwkv.c runs them. */
#include "rwkv.h"

static int bind_low_rank(struct zen5rt_model *m, struct z5_loader *ld, struct z5_low_rank *l, const char *role,
			 uint64_t rank, const char *a, const char *b, unsigned int i)
{
	int ret = z5_bind_matrix(ld, &l->a, role, rank, m->h.n_embd, false, a, i);

	return ret ? ret : z5_bind_matrix(ld, &l->b, role, m->h.n_embd, rank, false, b, i);
}

/* What all have. */
static int bind_time_mix(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_wkv_hparams *h = &m->h.wkv;
	const uint64_t n = m->h.n_embd, n_kv = h->heads_kv ? (uint64_t)h->heads_kv * h->size : n;
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if ((ret = z5_bind_norm(ld, &m->layers[i].attn_norm, false, "blk.%u.attn_norm.weight",
				"blk.%u.attn_norm.bias", i)) ||
	    (ret = z5_bind_matrix(ld, &l->r, "time_mix_receptance", n, n, false,
				  "blk.%u.time_mix_receptance.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->k, "time_mix_key", n_kv, n, false, "blk.%u.time_mix_key.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->v, "time_mix_value", n_kv, n, false, "blk.%u.time_mix_value.weight", i)))
		return ret;
	return z5_bind_matrix(ld, &l->out, "time_mix_output", n, n, false, "blk.%u.time_mix_output.weight", i);
}

static int bind_head_norm(struct zen5rt_model *m, struct z5_loader *ld, bool optional, unsigned int i)
{
	static const char weight[] = "blk.%u.time_mix_ln.weight";
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if (optional && !z5_bind_has(ld, weight, i))
		return 0;
	ret = z5_bind_vector(ld, &l->ln, m->h.n_embd, false, weight, i);
	return ret ? ret : z5_bind_vector(ld, &l->ln_bias, m->h.n_embd, false, "blk.%u.time_mix_ln.bias", i);
}

static int bind_channel_mix(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const uint64_t n = m->h.n_embd, n_ff = m->h.n_ff;
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if ((ret = z5_bind_norm(ld, &m->layers[i].ffn_norm, false, "blk.%u.attn_norm_2.weight",
				"blk.%u.attn_norm_2.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->mix_key, n, false, "blk.%u.channel_mix_lerp_k.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->key, "channel_mix_key", n_ff, n, false,
				  "blk.%u.channel_mix_key.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->value, "channel_mix_value", n, n_ff, false,
				  "blk.%u.channel_mix_value.weight", i)))
		return ret;
	if (!m->h.wkv.mix)
		return 0;
	ret = z5_bind_vector(ld, &l->mix_receptance, n, false, "blk.%u.channel_mix_lerp_r.weight", i);
	return ret ? ret : z5_bind_matrix(ld, &l->receptance, "channel_mix_receptance", n, n, false,
					  "blk.%u.channel_mix_receptance.weight", i);
}

static int bind_ffn(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const uint64_t n = m->h.n_embd, n_ff = m->h.n_ff;
	struct z5_layer *l = &m->layers[i];
	int ret;

	if ((ret = z5_bind_norm(ld, &l->ffn_norm, false, "blk.%u.ffn_norm.weight", "blk.%u.ffn_norm.bias", i)) ||
	    (ret = z5_bind_matrix(ld, &l->gate, "ffn_gate", n_ff, n, false, "blk.%u.ffn_gate.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->up, "ffn_up", n_ff, n, false, "blk.%u.ffn_up.weight", i)))
		return ret;
	return z5_bind_matrix(ld, &l->down, "ffn_down", n, n_ff, false, "blk.%u.ffn_down.weight", i);
}

static int bind_biases(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const uint64_t n_kv = (uint64_t)m->h.wkv.heads_kv * m->h.wkv.size;
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if ((ret = z5_bind_vector(ld, &l->r_bias, m->h.n_embd, true, "blk.%u.time_mix_receptance.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->k_bias, n_kv, true, "blk.%u.time_mix_key.bias", i)))
		return ret;
	return z5_bind_vector(ld, &l->v_bias, n_kv, true, "blk.%u.time_mix_value.bias", i);
}

static int bind_rwkv6(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_wkv_hparams *h = &m->h.wkv;
	const uint64_t n = m->h.n_embd;
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if ((ret = z5_bind_vector(ld, &l->mix_x, n, false, "blk.%u.time_mix_lerp_x.weight", i)) ||
	    (ret = z5_bind_vectors(ld, &l->mix, n, 5, false, "blk.%u.time_mix_lerp_fused.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->mix_a, "time_mix_w1", 5 * (uint64_t)h->mix, n, false,
				  "blk.%u.time_mix_w1.weight", i)) ||
	    (ret = z5_bind_stack(ld, &l->mix_b, "time_mix_w2", 5, 5, n, h->mix, "blk.%u.time_mix_w2.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->w0, n, false, "blk.%u.time_mix_decay.weight", i)) ||
	    (ret = bind_low_rank(m, ld, &l->w, "time_mix_decay", h->decay, "blk.%u.time_mix_decay_w1.weight",
				 "blk.%u.time_mix_decay_w2.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->g, "time_mix_gate", n, n, false, "blk.%u.time_mix_gate.weight", i)))
		return ret;
	if (h->heads_kv)
		return bind_biases(m, ld, i);
	ret = z5_bind_vectors(ld, &l->u, h->size, h->heads, false, "blk.%u.time_mix_first.weight", i);
	return ret ? ret : bind_head_norm(m, ld, false, i);
}

/* The first layer mixes no values into its own; files have those weights or not. */
static int bind_values(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if (!i) {
		z5_bind_nothing(ld, "blk.%u.time_mix_v0.weight", i);
		z5_bind_nothing(ld, "blk.%u.time_mix_v1.weight", i);
		z5_bind_nothing(ld, "blk.%u.time_mix_v2.weight", i);
		return 0;
	}
	ret = z5_bind_vector(ld, &l->v0, m->h.n_embd, false, "blk.%u.time_mix_v0.weight", i);
	return ret ? ret : bind_low_rank(m, ld, &l->in_v, "time_mix_v", m->h.wkv.value, "blk.%u.time_mix_v1.weight",
					 "blk.%u.time_mix_v2.weight", i);
}

static int bind_rwkv7(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_wkv_hparams *h = &m->h.wkv;
	const uint64_t n = m->h.n_embd;
	struct z5_rwkv *l = &m->layers[i].rwkv;
	int ret;

	if ((ret = z5_bind_vectors(ld, &l->mix, n, h->gate ? 6 : 5, false, "blk.%u.time_mix_lerp_fused.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->w0, n, false, "blk.%u.time_mix_w0.weight", i)) ||
	    (ret = bind_low_rank(m, ld, &l->w, "time_mix_w", h->decay, "blk.%u.time_mix_w1.weight",
				 "blk.%u.time_mix_w2.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->a0, n, false, "blk.%u.time_mix_a0.weight", i)) ||
	    (ret = bind_low_rank(m, ld, &l->in_a, "time_mix_a", h->iclr, "blk.%u.time_mix_a1.weight",
				 "blk.%u.time_mix_a2.weight", i)) ||
	    (ret = bind_head_norm(m, ld, !z5_rwkv_channel(&m->h), i)) ||
	    (ret = z5_bind_vector(ld, &l->k_k, n, false, "blk.%u.time_mix_k_k.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->k_a, n, false, "blk.%u.time_mix_k_a.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->r_k, n, false, "blk.%u.time_mix_r_k.weight", i)) ||
	    (ret = bind_values(m, ld, i)))
		return ret;
	return h->gate ? bind_low_rank(m, ld, &l->in_g, "time_mix_g", h->gate, "blk.%u.time_mix_g1.weight",
				       "blk.%u.time_mix_g2.weight", i) : 0;
}

int z5_rwkv_bind(struct zen5rt_model *m, struct z5_loader *ld)
{
	const struct z5_hparams *h = &m->h;
	int ret;

	if ((ret = z5_bind_matrix(ld, &m->embd, "token_embd", h->n_vocab, h->n_embd, false, "token_embd.weight", 0)) ||
	    (ret = z5_bind_matrix(ld, &m->output, "output", h->n_vocab, h->n_embd, true, "output.weight", 0)) ||
	    (ret = z5_bind_norm(ld, &m->output_norm, false, "output_norm.weight", "output_norm.bias", 0)))
		return ret;
	if (z5_rwkv_channel(h))
		ret = z5_bind_norm(ld, &m->embd_norm, false, "token_embd_norm.weight", "token_embd_norm.bias", 0);
	for (unsigned int i = 0; i < h->n_layer && !ret; i++) {
		if ((ret = bind_time_mix(m, ld, i)) ||
		    (ret = h->wkv.mix ? bind_rwkv6(m, ld, i) : bind_rwkv7(m, ld, i)))
			break;
		ret = z5_rwkv_channel(h) ? bind_channel_mix(m, ld, i) : bind_ffn(m, ld, i);
	}
	return ret;
}
