/* SPDX-License-Identifier: MIT */
#ifndef Z5_HPARAMS_H
#define Z5_HPARAMS_H

#include <gguf/gguf.h>

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
	float scale;			/* of scores */
};

struct z5_hparams {
	uint32_t n_ctx, n_embd, n_layer, n_head, n_head_kv, n_ff;
	uint32_t n_vocab;		/* from the vocabulary */
	uint32_t hd_k, hd_v;		/* width of a head's key and value */
	uint32_t n_rot;			/* dimensions of a key that turn; even */
	float eps, freq_base;
	float freq_scale;		/* angles are multiplied by it */
	struct z5_moe_hparams moe;
	struct z5_mla_hparams mla;
};

/* Everything but n_vocab. -EINVAL with a line that names the key. */
int z5_hparams_read(const struct gguf *g, const char *arch, struct z5_hparams *h,
		    struct zen5rt_error *err);

#endif
