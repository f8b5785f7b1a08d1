/* SPDX-License-Identifier: MIT */
/* The KV cache of one sequence: for each layer and KV head, keys and values as struct z5_attn wants them. */
#ifndef Z5_KV_H
#define Z5_KV_H

#include <mem/region.h>

struct z5_kv {
	struct z5_region region;
	size_t hd_k, hd_v;		/* hd_v padded to 16 */
	size_t head_floats;		/* keys and values of one head, all positions */
	size_t n_head_kv;
	size_t v_off;			/* floats from a head's keys to its values */
};

/* Fills everything but the region, and *bytes with what that will need. -EINVAL if the size overflows. */
int z5_kv_shape(struct z5_kv *kv, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
		size_t n_ctx, size_t *bytes, struct zen5rt_error *err);
/* n_ctx positions, rounded up to whole chunks of attention. -ENOMEM, -EINVAL if the size overflows. */
int z5_kv_init(struct z5_kv *kv, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
	       size_t n_ctx, struct zen5rt_error *err);
void z5_kv_free(struct z5_kv *kv);

static inline float *z5_kv_k(const struct z5_kv *kv, size_t layer, size_t head)
{
	return (float *)kv->region.addr + (layer * kv->n_head_kv + head) * kv->head_floats;
}

static inline float *z5_kv_v(const struct z5_kv *kv, size_t layer, size_t head)
{
	return z5_kv_k(kv, layer, head) + kv->v_off;
}

#endif
