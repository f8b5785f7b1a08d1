// SPDX-License-Identifier: MIT
#include "kv.h"

#include <errno.h>
#include <string.h>

#include "error.h"

const char *z5_kv_type_name(unsigned int i)
{
	static const char *const names[Z5_N_KV_TYPES] = {
		[Z5_KV_F32] = "f32", [Z5_KV_F16] = "f16", [Z5_KV_BF16] = "bf16", [Z5_KV_Q8_0] = "q8_0",
	};

	return i < Z5_N_KV_TYPES ? names[i] : NULL;
}

int z5_kv_type_of(const char *name, enum z5_kv_type *type, struct zen5rt_error *err)
{
	const char *known;

	*type = Z5_KV_F32;
	if (!name)
		return 0;
	for (unsigned int i = 0; (known = z5_kv_type_name(i)); i++)
		if (!strcmp(name, known)) {
			*type = (enum z5_kv_type)i;
			return 0;
		}
	return z5_fail(err, -EINVAL, "%s is no type of KV cache: f32, f16, bf16 or q8_0", name);
}

int z5_kv_shape(struct z5_kv *kv, enum z5_kv_type type, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
		size_t n_ctx, size_t *bytes, struct zen5rt_error *err)
{
	const size_t groups = (n_ctx + Z5_ATTN_CHUNK - 1) / Z5_ATTN_CHUNK * (Z5_ATTN_CHUNK / 16);
	size_t heads, k_group, v_group;

	kv->type = type;
	kv->hd_k = hd_k;
	kv->hd_v = (hd_v + 15) / 16 * 16;
	kv->n_head_kv = n_head_kv;
	/* widths of heads come from 32 bits: a group of them is far from the end of 64 */
	k_group = z5_kv_k_group(type, kv->hd_k);
	v_group = z5_kv_v_group(type, kv->hd_v);
	if (__builtin_mul_overflow(groups, k_group, &kv->v_off) ||
	    __builtin_mul_overflow(groups, k_group + v_group, &kv->head_bytes) ||
	    __builtin_mul_overflow(n_layer, n_head_kv, &heads) ||
	    __builtin_mul_overflow(kv->head_bytes, heads, bytes))
		return z5_fail(err, -EINVAL, "a KV cache of %zu positions exceeds the address space",
			       n_ctx);
	return 0;
}

int z5_kv_init(struct z5_kv *kv, enum z5_kv_type type, size_t n_layer, size_t n_head_kv, size_t hd_k, size_t hd_v,
	       size_t n_ctx, struct zen5rt_error *err)
{
	size_t bytes = 0;
	int ret = z5_kv_shape(kv, type, n_layer, n_head_kv, hd_k, hd_v, n_ctx, &bytes, err);

	return ret ? ret : z5_region_alloc(&kv->region, "KV cache", bytes, Z5_PAGE_2M, err);
}

void z5_kv_free(struct z5_kv *kv)
{
	z5_region_free(&kv->region);
}
