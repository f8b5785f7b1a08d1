/* SPDX-License-Identifier: MIT */
#ifndef Z5_HPARAMS_H
#define Z5_HPARAMS_H

#include <cache/state.h>
#include <gguf/gguf.h>

#include "rope.h"

/* How logits of the router become weights of experts. */
enum z5_gating {
	Z5_GATING_SOFTMAX = 1,		/* numbers as in GGUF */
	Z5_GATING_SIGMOID = 2,
	Z5_GATING_SOFTMAX_CHOSEN = 3,	/* softmax over the chosen ones alone */
};

struct z5_moe_hparams {
	uint32_t n, used;		/* experts, and how many a token takes; 0: none */
	uint32_t n_ff, n_ff_shared;	/* width of one; of the shared ones together, 0: none */
	uint32_t first;			/* layers before it are dense */
	uint32_t groups, groups_used;	/* experts are chosen from the best groups; 1 of 1: from all */
	enum z5_gating gating;
	bool norm, oai;
	float scale;			/* of the weights */
};

struct z5_mla_hparams {
	uint32_t q_lora, kv_lora;	/* q_lora 0: none; kv_lora 0: no latent attention */
	uint32_t nope, v;		/* width of a head's unturned query, and of its result */
};

/* Of Mamba; 0 where there are none. */
struct z5_ssm_hparams {
	uint32_t conv;			/* inputs that the convolution sees */
	uint32_t inner, state;		/* channels, and what each keeps */
	uint32_t rank;			/* inner width of dt; mamba2: heads */
	uint32_t groups;		/* mamba2: of heads that share B and C */
	uint32_t width;			/* channels of the convolution */
	bool rms;			/* mamba: dt, B and C are normalised, without weights */
};

/* Of RWKV; 0 where there are none. */
struct z5_wkv_hparams {
	uint32_t size, heads;			/* width of a head */
	uint32_t heads_kv;			/* rwkv6qwen2: of keys and values; else 0 */
	uint32_t mix;				/* rwkv6: inner width of the mixes */
	uint32_t decay, iclr, value, gate;	/* inner widths of these; rwkv6 has only decay; gate 0: none */
	uint32_t rescale;			/* rwkv6: every so many layers all is halved; 0: never */
};

/* Parts of the state: of Mamba, of RWKV. */
enum { Z5_SSM_CONV, Z5_SSM_STATE };
enum { Z5_WKV_TIME, Z5_WKV_CHANNEL, Z5_WKV_STATE };

#define Z5_MAX_LAYERS 1024

/* What a layer does, as bits. */
enum {
	Z5_ATTENDS = 1,		/* to keys and values in the cache */
	Z5_RECURS = 2,		/* keeps a state */
	Z5_FEEDS = 4,		/* has a feed-forward */
};

struct z5_hparams {
	uint64_t sum;			/* of all pairs of the file that are the architecture's */
	uint32_t n_ctx, n_embd, n_layer, n_head, n_head_kv, n_ff;
	uint32_t n_vocab;		/* from the vocabulary */
	uint32_t hd_k, hd_v;		/* width of a head's key and value */
	uint8_t does[Z5_MAX_LAYERS];	/* of each layer; recurrent architectures have all in one */
	uint32_t n_cached, n_kept;	/* layers with keys and values, and with a state */
	float eps;			/* of norms */
	struct z5_rope rope;
	uint32_t window;		/* positions that local layers see, 0: all */
	uint32_t window_period;		/* every one of so many layers sees all */
	float embd_scale, residual_scale;	/* of embeddings; of what a block adds */
	float attn_scale, attn_softcap;	/* of scores; softcap 0: none */
	float logit_scale, final_softcap;
	struct z5_moe_hparams moe;
	struct z5_mla_hparams mla;
	struct z5_ssm_hparams ssm;
	struct z5_wkv_hparams wkv;
	/* floats that a layer with a state keeps between tokens, part by part */
	size_t keeps[Z5_STATE_PARTS];
};

/* Whether layer i sees only the last h->window positions, if there is a window at all. */
static inline bool z5_layer_local(const struct z5_hparams *h, uint32_t i)
{
	return h->window_period && (i + 1) % h->window_period;
}

/* Positions of a session that was not told how many: memory only grows with them where there are keys and values. */
static inline uint32_t z5_default_ctx(const struct z5_hparams *h)
{
	return h->n_ctx > 4096 && h->n_cached ? 4096 : h->n_ctx;
}

/* Everything but n_vocab. -EINVAL with a line that names the key. */
int z5_hparams_read(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		    struct zen5rt_error *err);

#endif
