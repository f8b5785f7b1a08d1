// SPDX-License-Identifier: MIT
/* The numbers that shape a model: read from <arch>.* keys, every one checked before anything depends on it. */
#include "hparams.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "error.h"
#include "keys.h"
#include "model.h"

/* Gemma's largest models scale scores by the width of a head as if heads filled the residual stream; no key says so. */
static float default_attn_scale(const struct z5_hparams *h, const struct z5_arch *arch)
{
	float width = (float)h->hd_k;

	if (arch->wide_at_layers && h->n_layer == arch->wide_at_layers)
		width = (float)h->n_embd / (float)h->n_head;
	return 1.0f / sqrtf(width);
}

/* Factors that some architectures put on what flows; absent keys change nothing. */
static int read_scales(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	int ret;

	if ((ret = key_f32(k, "embedding_scale", 1e-6f, 1e6f, arch->embd_sqrt ? sqrtf((float)h->n_embd) : 1.0f,
			   &h->embd_scale)) ||
	    (ret = key_f32(k, "residual_scale", 1e-6f, 1e6f, 1.0f, &h->residual_scale)) ||
	    (ret = key_f32(k, "logit_scale", 1e-6f, 1e6f, 1.0f, &h->logit_scale)) ||
	    (ret = key_f32(k, "attention.scale", 1e-6f, 1e6f, default_attn_scale(h, arch), &h->attn_scale)) ||
	    (ret = key_f32(k, "attn_logit_softcapping", 0.0f, 1e6f, arch->attn_softcap, &h->attn_softcap)) ||
	    (ret = key_f32(k, "final_logit_softcapping", 0.0f, 1e6f, arch->final_softcap, &h->final_softcap)))
		return ret;
	if (arch->logit_divisor)
		h->logit_scale = 1.0f / h->logit_scale;
	return 0;
}

/* The pattern as one yes or no a layer has to be that of the architecture. */
static int check_pattern(const struct keys *k, const char *name, const struct z5_hparams *h)
{
	struct gguf_array a;
	int ret = gguf_get_array(k->g, name, GGUF_BOOL, &a, k->err);

	if (ret < 0)
		return ret;
	for (uint32_t i = 0; i < h->n_layer; i++)
		if (i >= a.n || (gguf_array_i32(&a, i) != 0) != z5_layer_local(h, i))
			return z5_fail(k->err, -EINVAL, "%s: %s: layer %u is not as in other models of architecture %s",
				       gguf_path(k->g), name, i, k->arch);
	return 0;
}

/* Which layers see only a window: all, or all but every period-th; the file may give the period. */
static int read_window(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	char name[128];
	int ret;

	if (!arch->window_period)
		return 0;
	h->window_period = arch->window_period;
	ret = key_u32(k, "attention.sliding_window", 0, 1u << 30, arch->window, &h->window);
	if (ret)
		return ret;
	if (gguf_kind(k->g, key_name(name, sizeof(name), k, "attention.sliding_window_pattern")) == GGUF_ARRAY)
		return check_pattern(k, name, h);
	return key_u32(k, "attention.sliding_window_pattern", 1, 1024, h->window_period, &h->window_period);
}

/* One number for all layers, or one for each: 0, or the same wherever it is not 0. Layers that have it get the bit. */
static int read_layers(const struct keys *k, const char *suffix, uint32_t hi, struct z5_hparams *h, uint8_t bit,
		       uint32_t *out)
{
	struct gguf_array a = { 0 };
	char name[128];
	int ret;

	*out = 0;
	if (gguf_kind(k->g, key_name(name, sizeof(name), k, suffix)) != GGUF_ARRAY) {
		ret = key_u32(k, suffix, 1, hi, 0, out);
		for (uint32_t i = 0; i < h->n_layer; i++)
			h->does[i] |= bit;
		return ret;
	}
	ret = gguf_get_array(k->g, name, GGUF_I32, &a, k->err);
	if (ret < 0)
		return ret;
	if (a.n != h->n_layer)
		return z5_fail(k->err, -EINVAL, "%s: %s has %zu numbers for %u layers", gguf_path(k->g), name, a.n,
			       h->n_layer);
	for (uint32_t i = 0; i < h->n_layer; i++) {
		const int32_t v = gguf_array_i32(&a, i);

		if (!v)
			continue;
		if (v < 0 || (uint32_t)v > hi || (*out && (uint32_t)v != *out))
			return z5_fail(k->err, -EINVAL, "%s: %s is %d in layer %u, expected 0 or, in all others the same, 1 to %u",
				       gguf_path(k->g), name, v, i, hi);
		*out = (uint32_t)v;
		h->does[i] |= bit;
	}
	return *out ? 0 : z5_fail(k->err, -EINVAL, "%s: %s is 0 in all layers", gguf_path(k->g), name);
}

/* What each layer does, of an architecture that attends. */
static int read_kinds(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	const bool sole = arch->hybrid == Z5_HYBRID_SOLE;
	int ret;

	if (arch->hybrid) {
		ret = read_layers(k, "attention.head_count_kv", 4096, h, Z5_ATTENDS, &h->n_head_kv);
	} else {
		memset(h->does, Z5_ATTENDS, h->n_layer);
		ret = key_u32(k, "attention.head_count_kv", 1, 4096, h->n_head, &h->n_head_kv);
	}
	if (!ret && sole)
		ret = read_layers(k, "feed_forward_length", 1u << 22, h, Z5_FEEDS, &h->n_ff);
	else if (!ret)
		ret = key_u32(k, "feed_forward_length", 1, 1u << 22, 0, &h->n_ff);
	if (ret)
		return ret;
	for (uint32_t i = 0; i < h->n_layer; i++) {
		uint8_t *does = &h->does[i];

		if (*does == (Z5_ATTENDS | Z5_FEEDS))
			return z5_fail(k->err, -EINVAL, "%s: layer %u has attention (%s.attention.head_count_kv) and a feed-forward (feed_forward_length)",
				       gguf_path(k->g), i, arch->name);
		if (!*does || arch->hybrid == Z5_HYBRID_BOTH)
			*does |= Z5_RECURS;
		if (!sole)
			*does |= Z5_FEEDS;
		h->n_cached += (*does & Z5_ATTENDS) != 0;
	}
	return arch->ssm ? arch->ssm(k, h) : 0;
}

/* Whether anything turns: some say so in a key that once told of something else. */
static int read_rope(const struct keys *k, const struct z5_arch *arch, struct z5_hparams *h)
{
	bool turns = !arch->unturned;
	int ret = 0;

	if (arch->rope_switch)
		ret = key_bool(k, "rope.scaling.finetuned", true, &turns);
	if (ret || !turns)
		return ret;
	return z5_rope_read(k, arch, h->hd_k, h->n_ctx, &h->rope);
}

static uint64_t sum_pairs(const struct keys *k)
{
	const size_t len = strlen(k->arch);
	uint64_t sum = 0;

	for (size_t i = 0; i < gguf_n_keys(k->g); i++) {
		const struct gguf_str key = gguf_key(k->g, i), pair = gguf_raw_pair(k->g, i);

		if (key.len <= len || memcmp(key.p, k->arch, len) || key.p[len] != '.')
			continue;
		for (size_t j = 0; j < pair.len; j++) {
			sum = (sum ^ (uint8_t)pair.p[j]) * 0x100000001b3;
			sum ^= sum >> 29;
		}
	}
	return sum;
}

int z5_hparams_read(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		    struct zen5rt_error *err)
{
	const struct keys k = { g, arch->name, err };
	uint32_t hd = 0;
	int ret;

	memset(h, 0, sizeof(*h));
	h->sum = sum_pairs(&k);
	if (arch->hparams)
		return arch->hparams(g, arch, h, err);
	if ((ret = key_u32(&k, "context_length", 1, 1u << 30, 0, &h->n_ctx)) ||
	    (ret = key_u32(&k, "embedding_length", 1, 1u << 20, 0, &h->n_embd)) ||
	    (ret = key_u32(&k, "block_count", 1, Z5_MAX_LAYERS, 0, &h->n_layer)) ||
	    (ret = key_u32(&k, "attention.head_count", 1, 4096, 0, &h->n_head)) ||
	    (ret = read_kinds(&k, arch, h)) ||
	    (ret = key_f32(&k, arch->layer_norm ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon",
			   0.0f, 1.0f, NAN, &h->eps)))
		return ret;
	if (h->n_head % h->n_head_kv)
		return z5_fail(err, -EINVAL, "%s: %s.attention.head_count %u is no multiple of head_count_kv %u",
			       gguf_path(g), arch->name, h->n_head, h->n_head_kv);
	if (h->n_embd % h->n_head == 0)
		hd = h->n_embd / h->n_head;
	/* where a head is not n_embd / n_head wide, the file has to say how wide it is */
	if ((ret = key_u32(&k, "attention.key_length", 1, 8192, hd, &h->hd_k)) ||
	    (ret = key_u32(&k, "attention.value_length", 1, 8192, hd ? hd : h->hd_k, &h->hd_v)))
		return ret;
	if ((ret = read_scales(&k, arch, h)) ||
	    (ret = read_window(&k, arch, h)))
		return ret;
	return read_rope(&k, arch, h);
}
