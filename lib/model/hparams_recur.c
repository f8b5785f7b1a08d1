// SPDX-License-Identifier: MIT
/* The numbers of recurrent architectures. Kernels work on 16 channels at a time, so widths are multiples of that. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "error.h"
#include "keys.h"
#include "model.h"

/* Of what no layer has there are none. */
static int read_common(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	int ret;

	h->embd_scale = h->residual_scale = h->logit_scale = 1;
	if ((ret = key_u32(k, "context_length", 1, 1u << 30, 0, &h->n_ctx)) ||
	    (ret = key_u32(k, "embedding_length", 1, 1u << 20, 0, &h->n_embd)) ||
	    (ret = key_u32(k, "block_count", 1, Z5_MAX_LAYERS, 0, &h->n_layer)))
		return ret;
	memset(h->does, Z5_RECURS, h->n_layer);
	return key_f32(k, arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
		       0.0f, 1.0f, NAN, &h->eps);
}

static int multiple(const struct keys *k, const char *suffix, uint32_t v, uint32_t of)
{
	return v % of ? z5_fail(k->err, -EINVAL, "%s: %s.%s is %u, which is no multiple of %u", gguf_path(k->g),
				k->arch, suffix, v, of) : 0;
}

static int read_ssm(const struct keys *k, struct z5_hparams *h)
{
	struct z5_ssm_hparams *s = &h->ssm;
	int ret;

	if ((ret = key_u32(k, "ssm.conv_kernel", 2, Z5_CONV_WIDTH, 0, &s->conv)) ||
	    (ret = key_u32(k, "ssm.inner_size", 16, 1u << 20, 0, &s->inner)) ||
	    (ret = key_u32(k, "ssm.state_size", 4, 1024, 0, &s->state)) ||
	    (ret = key_u32(k, "ssm.time_step_rank", 1, 1u << 16, 0, &s->rank)))
		return ret;
	return multiple(k, "ssm.inner_size", s->inner, 16);
}

/* What a block of Mamba keeps, in the layers that have one. */
static void keep_ssm(struct z5_hparams *h)
{
	const struct z5_ssm_hparams *s = &h->ssm;

	h->keeps[Z5_SSM_CONV] = (size_t)(s->conv - 1) * s->width;
	h->keeps[Z5_SSM_STATE] = (size_t)s->state * s->inner;
	for (uint32_t i = 0; i < h->n_layer; i++)
		h->n_kept += (h->does[i] & Z5_RECURS) != 0;
}

int z5_hparams_ssm1(const struct keys *k, struct z5_hparams *h)
{
	struct z5_ssm_hparams *s = &h->ssm;
	int ret;

	if ((ret = read_ssm(k, h)) ||
	    (ret = multiple(k, "ssm.state_size", s->state, 4)) ||
	    (ret = key_bool(k, "ssm.dt_b_c_rms", false, &s->rms)))
		return ret;
	s->width = s->inner;
	keep_ssm(h);
	return 0;
}

int z5_hparams_mamba(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	int ret = read_common(&k, arch, h);

	return ret ? ret : z5_hparams_ssm1(&k, h);
}

int z5_hparams_ssm2(const struct keys *k, struct z5_hparams *h)
{
	struct z5_ssm_hparams *s = &h->ssm;
	int ret;

	if ((ret = read_ssm(k, h)) ||
	    (ret = multiple(k, "ssm.state_size", s->state, 16)) ||
	    (ret = key_u32(k, "ssm.group_count", 1, 1024, 1, &s->groups)))
		return ret;
	if (s->inner % s->rank || s->inner / s->rank % 16)
		return z5_fail(k->err, -EINVAL, "%s: %s.ssm.inner_size %u in %u heads (time_step_rank): heads are multiples of 16",
			       gguf_path(k->g), k->arch, s->inner, s->rank);
	if (s->rank % s->groups)
		return z5_fail(k->err, -EINVAL, "%s: %s.ssm.group_count %u does not divide the %u heads (time_step_rank)",
			       gguf_path(k->g), k->arch, s->groups, s->rank);
	s->width = s->inner + 2 * s->groups * s->state;
	keep_ssm(h);
	return 0;
}

int z5_hparams_mamba2(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	int ret = read_common(&k, arch, h);

	return ret ? ret : z5_hparams_ssm2(&k, h);
}

/* How many mixes of a layer see the token before. */
static int check_shifts(const struct keys *k, uint32_t n)
{
	uint32_t shifts;

	return key_u32(k, "token_shift_count", n, n, n, &shifts);
}

static int read_wkv(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	struct z5_wkv_hparams *w = &h->wkv;
	int ret;

	if ((ret = read_common(k, arch, h)) ||
	    (ret = key_u32(k, "feed_forward_length", 1, 1u << 22, 0, &h->n_ff)) ||
	    (ret = key_u32(k, "wkv.head_size", 8, 1024, 0, &w->size)) ||
	    (ret = multiple(k, "wkv.head_size", w->size, 8)) ||
	    (ret = multiple(k, "embedding_length", h->n_embd, w->size)))
		return ret;
	w->heads = h->n_embd / w->size;
	h->keeps[Z5_WKV_TIME] = h->keeps[Z5_WKV_CHANNEL] = h->n_embd;
	h->keeps[Z5_WKV_STATE] = w->heads * z5_wkv_floats(w->size);
	h->n_kept = h->n_layer;
	return 0;
}

static int read_wkv6(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	int ret;

	if ((ret = read_wkv(k, arch, h)) ||
	    (ret = key_u32(k, "time_mix_extra_dim", 1, 1u << 16, 0, &h->wkv.mix)))
		return ret;
	return key_u32(k, "time_decay_extra_dim", 1, 1u << 16, 0, &h->wkv.decay);
}

int z5_hparams_rwkv6(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	int ret;

	if ((ret = check_shifts(&k, 2)) ||
	    (ret = read_wkv6(&k, arch, h)))
		return ret;
	return key_u32(&k, "rescale_every_n_layers", 0, 1024, 0, &h->wkv.rescale);
}

static int read_wkv7(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	int ret;

	if ((ret = read_wkv(k, arch, h)) ||
	    (ret = key_u32(k, "attention.decay_lora_rank", 1, 1u << 16, 0, &h->wkv.decay)) ||
	    (ret = key_u32(k, "attention.iclr_lora_rank", 1, 1u << 16, 0, &h->wkv.iclr)))
		return ret;
	return key_u32(k, "attention.value_residual_mix_lora_rank", 1, 1u << 16, 0, &h->wkv.value);
}

int z5_hparams_rwkv7(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	int ret;

	if ((ret = check_shifts(&k, 2)) ||
	    (ret = read_wkv7(&k, arch, h)))
		return ret;
	return key_u32(&k, "attention.gate_lora_rank", 1, 1u << 16, 0, &h->wkv.gate);
}

/* Of the blocks of qwen2: only the time mix sees the token before. */
static int read_blocks(const struct keys *k, struct z5_hparams *h)
{
	h->keeps[Z5_WKV_CHANNEL] = 0;
	return check_shifts(k, 1);
}

int z5_hparams_rwkv6qwen2(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
			  struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	struct z5_wkv_hparams *w = &h->wkv;
	int ret;

	if ((ret = read_wkv6(&k, arch, h)) ||
	    (ret = read_blocks(&k, h)) ||
	    (ret = key_u32(&k, "attention.head_count_kv", 0, 1u << 20, 0, &w->heads_kv)))
		return ret;
	if (!w->heads_kv)
		w->heads_kv = w->heads;
	if (w->heads % w->heads_kv)
		return z5_fail(err, -EINVAL, "%s: %s.attention.head_count_kv %u does not divide the %u heads of %u (wkv.head_size)",
			       gguf_path(g), arch->name, w->heads_kv, w->heads, w->size);
	return 0;
}

int z5_hparams_arwkv7(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	int ret;

	if ((ret = read_wkv7(&k, arch, h)) ||
	    (ret = read_blocks(&k, h)))
		return ret;
	return key_u32(&k, "attention.gate_lora_rank", 0, 1u << 16, 0, &h->wkv.gate);
}
