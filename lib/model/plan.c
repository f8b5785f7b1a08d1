// SPDX-License-Identifier: MIT
/* What a model will need, from the header of its file alone. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <cache/kv.h>

#include "error.h"
#include "model.h"
#include "packed.h"

/* Adds name to a list like "Q5_K, IQ4_XS" if it is not in it and fits. */
static void plan_name(char *list, size_t size, const char *name)
{
	size_t len = strlen(list), n = strlen(name);

	for (const char *p = list; (p = strstr(p, name)); p += n)
		if ((p == list || p[-1] == ' ') && (p[n] == ',' || !p[n]))
			return;
	if (len + n + 3 <= size)
		snprintf(list + len, size - len, "%s%s", len ? ", " : "", name);
}

static bool plan_ends(const char *name, const char *end)
{
	size_t n = strlen(name), m = strlen(end);

	return n >= m && !strcmp(name + n - m, end);
}

/*
 * The tensor that old files of latent attention have for both k_b and v_b, of each head one after the other: z5_mla_bind()
 * takes it apart and turns k_b, or does not need it. Returns 1 if it is not like that.
 */
static int plan_kv_b(const struct gguf *g, const struct gguf_tensor *t, const struct z5_type_ops *ops,
		     const struct z5_hparams *h, size_t *bytes)
{
	const struct z5_type_ops *k = ops->act == Z5_ACT_F32 ? ops : &z5_types[Z5_F32];
	size_t k_b, v_b;
	char name[64];

	if (!h || !h->mla.kv_lora || !plan_ends(t->name, ".attn_kv_b.weight") || t->ne[0] != h->mla.kv_lora)
		return 1;
	*bytes = 0;
	snprintf(name, sizeof(name), "%.*s_k_b.weight", (int)(strlen(t->name) - strlen("_kv_b.weight")), t->name);
	if (gguf_find_tensor(g, name))
		return 0;
	if (z5_packed_matrix(k, h->mla.kv_lora, h->mla.nope, &k_b) ||
	    z5_packed_matrix(ops, h->mla.v, h->mla.kv_lora, &v_b) || __builtin_add_overflow(k_b, v_b, bytes) ||
	    __builtin_mul_overflow(*bytes, h->n_head, bytes))
		*bytes = SIZE_MAX;
	return 0;
}

/* Queries, keys and values, or gate and up, in one tensor: each becomes a matrix of its own. 1 if it is not like that. */
static int plan_fused(const struct gguf_tensor *t, const struct z5_type_ops *ops, const struct z5_hparams *h,
		      size_t *bytes)
{
	uint64_t rows[3] = { 0 }, sum;

	if (!h)
		return 1;
	if (plan_ends(t->name, ".attn_qkv.weight")) {
		rows[0] = (uint64_t)h->n_head * h->hd_k;
		rows[1] = (uint64_t)h->n_head_kv * h->hd_k;
		rows[2] = (uint64_t)h->n_head_kv * h->hd_v;
	} else if (plan_ends(t->name, ".ffn_up.weight")) {
		rows[0] = rows[1] = h->n_ff;
	}
	sum = rows[0] + rows[1] + rows[2];
	if (t->ne[1] != sum || t->ne[2] != 1 || t->ne[3] != 1)
		return 1;
	*bytes = 0;
	for (int i = 0; i < 3; i++) {
		size_t part;

		if (z5_packed_matrix(ops, rows[i], t->ne[0], &part) || __builtin_add_overflow(*bytes, part, bytes)) {
			*bytes = SIZE_MAX;
			break;
		}
	}
	return 0;
}

/*
 * Dimensions above the second count matrices, as the experts of a mixture do. A tensor of one row is a vector, but for
 * the router of shared experts, and one of biases or norms is a list of them. h: NULL where the numbers are not known.
 */
static int plan_tensor(const struct gguf *g, const struct gguf_tensor *t, const struct z5_hparams *h,
		       struct zen5rt_model_plan *plan, struct zen5rt_error *err)
{
	const struct z5_type_ops *ops = z5_type_by_ggml(t->type);
	uint64_t n = t->ne[2] * t->ne[3];	/* the reader has checked the product of all four */
	bool vector = t->ne[1] == 1 && n == 1 && !plan_ends(t->name, ".ffn_gate_inp_shexp.weight");
	size_t bytes;

	if (!ops) {
		plan->n_unsupported++;
		plan_name(plan->unsupported, sizeof(plan->unsupported), gguf_type_info(t->type)->name);
		bytes = t->size;
		n = 1;
	} else if (vector || plan_ends(t->name, ".bias") || plan_ends(t->name, "_norm.weight")) {
		bytes = z5_packed_vector(t->ne[0] * t->ne[1] * n);
		n = 1;
	} else if (!plan_kv_b(g, t, ops, h, &bytes) || !plan_fused(t, ops, h, &bytes)) {
		n = 1;
	} else if (z5_packed_matrix(ops, t->ne[1], t->ne[0], &bytes)) {
		bytes = SIZE_MAX;
	}
	if (__builtin_mul_overflow(bytes, n, &bytes) ||
	    __builtin_add_overflow(plan->weight_bytes, bytes, &plan->weight_bytes))
		return z5_fail(err, -EINVAL, "%s: tensor %s is too large", gguf_path(g), t->name);
	return 0;
}

static const struct z5_arch *plan_arch(const struct gguf *g, struct zen5rt_model_plan *plan,
				       struct zen5rt_error *why)
{
	struct gguf_str s = { "", 0 };
	int ret = gguf_get_str(g, "general.architecture", &s, why);

	if (ret <= 0) {
		if (!ret)
			z5_fail(why, -EINVAL, "%s: general.architecture is missing", gguf_path(g));
		return NULL;
	}
	/* names of architectures are ASCII; what is not stays away from terminals and JSON */
	for (size_t i = 0; i < s.len && i + 1 < sizeof(plan->arch); i++)
		plan->arch[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
	for (const struct z5_arch *a = z5_archs; a->name; a++)
		if (strlen(a->name) == s.len && !memcmp(a->name, s.p, s.len))
			return a;
	z5_fail(why, -EINVAL, "%s: architecture \"%s\" is not one that this version can run", gguf_path(g),
		plan->arch);
	return NULL;
}

/* The architecture's numbers and what they say of the cache; false, and why in plan->refused, if they are not to be had. */
static bool plan_cache(const struct gguf *g, uint32_t n_ctx, struct z5_hparams *h, struct zen5rt_model_plan *plan)
{
	struct zen5rt_error why = { "" };
	const struct z5_arch *arch = plan_arch(g, plan, &why);
	struct z5_kv kv;
	size_t bytes;

	if (!arch || z5_hparams_read(g, arch, h, &why) || z5_hparams_mla(g, arch, h, &why) ||
	    z5_hparams_moe(g, arch, h, &why)) {
		snprintf(plan->refused, sizeof(plan->refused), "%s", why.message);
		return false;
	}
	plan->n_ctx_train = h->n_ctx;
	plan->n_ctx = n_ctx ? n_ctx : h->n_ctx < 4096 ? h->n_ctx : 4096;
	if (z5_kv_shape(&kv, h->n_layer, h->n_head_kv, h->hd_k, h->hd_v, plan->n_ctx, &bytes, &why))
		snprintf(plan->refused, sizeof(plan->refused), "%s", why.message);
	else
		plan->kv_bytes = bytes;
	return true;
}

int zen5rt_model_plan(const char *path, uint32_t n_ctx, struct zen5rt_model_plan *plan,
		      struct zen5rt_error *err)
{
	struct z5_hparams h, *known;
	struct gguf *g;
	int ret;

	memset(plan, 0, sizeof(*plan));
	if (n_ctx > 1u << 30)
		return z5_fail(err, -EINVAL, "n_ctx %u: at most 2^30", n_ctx);
	ret = gguf_open_model(path, &g, err);
	if (ret)
		return ret;
	plan->file_bytes = gguf_file_size(g);
	plan->n_tensors = (uint32_t)gguf_n_tensors(g);
	plan->n_parts = 1;
	if (gguf_get_u32(g, "split.count", &plan->n_parts, NULL) < 0 || !plan->n_parts)
		plan->n_parts = 1;
	known = plan_cache(g, n_ctx, &h, plan) ? &h : NULL;
	for (size_t i = 0; !ret && i < gguf_n_tensors(g); i++)
		ret = plan_tensor(g, gguf_tensor(g, i), known, plan, err);
	if (plan->n_unsupported && !*plan->refused)
		snprintf(plan->refused, sizeof(plan->refused), "%s: tensor types that this version cannot run: %s",
			 gguf_path(g), plan->unsupported);
	gguf_close(g);
	return ret;
}
