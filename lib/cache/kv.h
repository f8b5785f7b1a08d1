/* SPDX-License-Identifier: MIT */
/* The KV cache of one sequence: for each layer and KV head, keys and values as struct z5_attn wants them. */
#ifndef Z5_KV_H
#define Z5_KV_H

#include <kernels/kernels.h>
#include <mem/region.h>

struct z5_kv {
	struct z5_region region;
	enum z5_kv_type type;
	size_t hd_k, hd_v;		/* hd_v padded to 16 */
	size_t head_bytes;		/* keys and values of one head, all positions */
	size_t n_head_kv;
	size_t v_off;			/* bytes from a head's keys to its values */
};

/* Names of the types, NULL past the last one. */
const char *z5_kv_type_name(unsigned int i);
/* The type of a name, NULL the default. -EINVAL with a line that lists them. */
int z5_kv_type_of(const char *name, enum z5_kv_type *type, struct zen5rt_error *err);

/*
 * Fills everything but the region, for n_ctx positions rounded up to whole chunks of attention, and *bytes with what
 * that will need. -EINVAL if the size overflows.
 */
int z5_kv_shape(struct z5_kv *kv, enum z5_kv_type type, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
		size_t n_ctx, size_t *bytes, struct zen5rt_error *err);
/* The same with its region. -ENOMEM, -EINVAL. */
int z5_kv_init(struct z5_kv *kv, enum z5_kv_type type, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
	       size_t n_ctx, struct zen5rt_error *err);
void z5_kv_free(struct z5_kv *kv);

static inline void *z5_kv_k(const struct z5_kv *kv, size_t layer, size_t head)
{
	return (uint8_t *)kv->region.addr + (layer * kv->n_head_kv + head) * kv->head_bytes;
}

static inline void *z5_kv_v(const struct z5_kv *kv, size_t layer, size_t head)
{
	return (uint8_t *)z5_kv_k(kv, layer, head) + kv->v_off;
}

#endif
