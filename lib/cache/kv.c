// SPDX-License-Identifier: MIT
#include "kv.h"

#include <errno.h>
#include <kernels/kernels.h>

#include "error.h"

int z5_kv_shape(struct z5_kv *kv, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
		size_t n_ctx, size_t *bytes, struct zen5rt_error *err)
{
	size_t cap = (n_ctx + Z5_ATTN_CHUNK - 1) / Z5_ATTN_CHUNK * Z5_ATTN_CHUNK;
	size_t heads;

	kv->hd_k = hd_k;
	kv->hd_v = (hd_v + 15) / 16 * 16;
	kv->n_head_kv = n_head_kv;
	if (__builtin_mul_overflow(cap, hd_k, &kv->v_off) ||
	    __builtin_mul_overflow(cap, kv->hd_k + kv->hd_v, &kv->head_floats) ||
	    __builtin_mul_overflow(n_layer, n_head_kv, &heads) ||
	    __builtin_mul_overflow(kv->head_floats, heads, bytes) ||
	    __builtin_mul_overflow(*bytes, sizeof(float), bytes))
		return z5_fail(err, -EINVAL, "a KV cache of %zu positions exceeds the address space",
			       n_ctx);
	return 0;
}

int z5_kv_init(struct z5_kv *kv, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
	       size_t n_ctx, struct zen5rt_error *err)
{
	size_t bytes = 0;
	int ret = z5_kv_shape(kv, n_layer, n_head_kv, hd_k, hd_v, n_ctx, &bytes, err);

	return ret ? ret : z5_region_alloc(&kv->region, "KV cache", bytes, Z5_PAGE_2M, err);
}

void z5_kv_free(struct z5_kv *kv)
{
	z5_region_free(&kv->region);
}
