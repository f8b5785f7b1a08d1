/* SPDX-License-Identifier: MIT */
#ifndef Z5_HPARAMS_H
#define Z5_HPARAMS_H

#include <gguf/gguf.h>

struct z5_hparams {
	uint32_t n_ctx, n_embd, n_layer, n_head, n_head_kv, n_ff;
	uint32_t n_vocab;		/* from the vocabulary */
	uint32_t hd_k, hd_v;		/* width of a head's key and value */
	uint32_t n_rot;			/* dimensions of a key that turn; even */
	float eps, freq_base;
	float freq_scale;		/* angles are multiplied by it */
};

/* Everything but n_vocab. -EINVAL with a line that names the key. */
int z5_hparams_read(const struct gguf *g, const char *arch, struct z5_hparams *h,
		    struct zen5rt_error *err);

#endif
