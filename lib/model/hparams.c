// SPDX-License-Identifier: MIT
/* The numbers that shape a model: read from <arch>.* keys, every one checked before anything depends on it. */
#include "hparams.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "error.h"
#include "keys.h"

static int read_rope(const struct keys *k, struct z5_hparams *h)
{
	char name[128];
	struct gguf_str type = { "linear", 6 };
	float factor;
	int ret;

	ret = key_u32(k, "rope.dimension_count", 2, h->hd_k, h->hd_k, &h->n_rot);
	if (ret)
		return ret;
	if (h->n_rot % 2)
		return z5_fail(k->err, -EINVAL, "%s: %s.rope.dimension_count is %u, expected an even number",
			       gguf_path(k->g), k->arch, h->n_rot);
	ret = key_f32(k, "rope.freq_base", 1e-3f, 1e30f, 10000.0f, &h->freq_base);
	if (ret)
		return ret;
	/* the name of old files; a linear factor, too */
	ret = key_f32(k, "rope.scale_linear", 0.0f, 1e6f, 1.0f, &factor);
	if (ret)
		return ret;
	ret = gguf_get_str(k->g, key_name(name, sizeof(name), k, "rope.scaling.type"), &type, k->err);
	if (ret < 0)
		return ret;
	/* llama.cpp takes a factor without a type as linear, too; 0 there stands for no factor */
	ret = key_f32(k, "rope.scaling.factor", 0.0f, 1e6f, factor, &factor);
	if (ret)
		return ret;
	if (type.len == 4 && !memcmp(type.p, "none", 4)) {
		factor = 1.0f;
	} else if (type.len != 6 || memcmp(type.p, "linear", 6)) {
		return z5_fail(k->err, -EINVAL, "%s: %s is \"%.*s\", this version knows none and linear",
			       gguf_path(k->g), name, (int)(type.len < 32 ? type.len : 32), type.p);
	}
	h->freq_scale = factor > 0 ? 1.0f / factor : 1.0f;
	return 0;
}

int z5_hparams_read(const struct gguf *g, const char *arch, struct z5_hparams *h,
		    struct zen5rt_error *err)
{
	const struct keys k = { g, arch, err };
	uint32_t hd = 0;
	int ret;

	memset(h, 0, sizeof(*h));
	if ((ret = key_u32(&k, "context_length", 1, 1u << 30, 0, &h->n_ctx)) ||
	    (ret = key_u32(&k, "embedding_length", 1, 1u << 20, 0, &h->n_embd)) ||
	    (ret = key_u32(&k, "block_count", 1, 1024, 0, &h->n_layer)) ||
	    (ret = key_u32(&k, "feed_forward_length", 1, 1u << 22, 0, &h->n_ff)) ||
	    (ret = key_u32(&k, "attention.head_count", 1, 4096, 0, &h->n_head)) ||
	    (ret = key_u32(&k, "attention.head_count_kv", 1, 4096, h->n_head, &h->n_head_kv)) ||
	    (ret = key_f32(&k, "attention.layer_norm_rms_epsilon", 0.0f, 1.0f, NAN, &h->eps)))
		return ret;
	if (h->n_head % h->n_head_kv)
		return z5_fail(err, -EINVAL, "%s: %s.attention.head_count %u is no multiple of head_count_kv %u",
			       gguf_path(g), arch, h->n_head, h->n_head_kv);
	if (h->n_embd % h->n_head == 0)
		hd = h->n_embd / h->n_head;
	/* where a head is not n_embd / n_head wide, the file has to say how wide it is */
	if ((ret = key_u32(&k, "attention.key_length", 1, 8192, hd, &h->hd_k)) ||
	    (ret = key_u32(&k, "attention.value_length", 1, 8192, hd ? hd : h->hd_k, &h->hd_v)))
		return ret;
	return read_rope(&k, h);
}
