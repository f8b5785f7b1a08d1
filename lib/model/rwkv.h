/* SPDX-License-Identifier: MIT */
/* RWKV: between binding (rwkv_bind.c) and running (rwkv.c). */
#ifndef Z5_RWKV_H
#define Z5_RWKV_H

#include "model.h"

/* Whether layers have a channel mix; else a feed-forward like that of transformers. */
static inline bool z5_rwkv_channel(const struct z5_hparams *h)
{
	return h->keeps[Z5_WKV_CHANNEL];
}

/* For struct z5_arch. */
int z5_rwkv_bind(struct zen5rt_model *m, struct z5_loader *ld);

#endif
