// SPDX-License-Identifier: MIT
/* What a model will need, from the header of its file alone. */
#include <errno.h>
#include <stdbool.h>
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

/* For a file that will not load: what its tensors would take if each were one matrix or vector. */
static int plan_tensor(const struct gguf *g, const struct gguf_tensor *t, struct zen5rt_model_plan *plan,
		       struct zen5rt_error *err)
{
	const struct z5_type_ops *ops = z5_type_by_ggml(t->type);
	uint64_t n = t->ne[2] * t->ne[3];	/* the reader has checked the product of all four */
	size_t bytes;

	if (!ops) {
		plan->n_unsupported++;
		plan_name(plan->unsupported, sizeof(plan->unsupported), gguf_type_info(t->type)->name);
		bytes = t->size;
		n = 1;
	} else if (t->ne[1] == 1) {
		bytes = z5_packed_vector(t->ne[0]);
	} else if (z5_packed_matrix(ops, t->ne[1], t->ne[0], &bytes)) {
		bytes = SIZE_MAX;
	}
	if (__builtin_mul_overflow(bytes, n, &bytes) ||
	    __builtin_add_overflow(plan->weight_bytes, bytes, &plan->weight_bytes))
		return z5_fail(err, -EINVAL, "%s: tensor %s is too large", gguf_path(g), t->name);
	return 0;
}

/* Names of architectures are ASCII; what is not stays away from terminals and JSON. */
static void plan_arch(const struct gguf *g, struct zen5rt_model_plan *plan)
{
	struct gguf_str s = { "", 0 };

	gguf_get_str(g, "general.architecture", &s, NULL);
	for (size_t i = 0; i < s.len && i + 1 < sizeof(plan->arch); i++)
		plan->arch[i] = s.p[i] >= 0x20 && s.p[i] < 0x7f ? s.p[i] : '?';
}

/* The cache in its default type and the state of a model whose numbers are known. */
static void plan_cache(const struct z5_hparams *h, uint32_t n_ctx, struct zen5rt_model_plan *plan)
{
	struct zen5rt_error why = { "" };
	struct z5_state state;
	struct z5_kv kv;
	size_t bytes;

	plan->n_ctx_train = h->n_ctx;
	plan->n_ctx = n_ctx ? n_ctx : z5_default_ctx(h);
	if (z5_keeps_state(h) && !z5_state_shape(&state, h->keeps, h->n_kept, &bytes, &why))
		plan->state_bytes = bytes;
	if (z5_keeps_kv(h) && !z5_kv_shape(&kv, Z5_KV_F32, h->n_cached, h->n_head_kv, h->hd_k, h->hd_v, plan->n_ctx,
					   &bytes, &why))
		plan->kv_bytes = bytes;
	if (*why.message && !*plan->refused)
		snprintf(plan->refused, sizeof(plan->refused), "%s", why.message);
}

int zen5rt_model_plan(const char *path, uint32_t n_ctx, struct zen5rt_model_plan *plan,
		      struct zen5rt_error *err)
{
	struct zen5rt_error why = { "" };
	struct z5_hparams h;
	struct gguf *g;
	size_t bytes;
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
	plan_arch(g, plan);
	ret = z5_model_measure(g, &h, &bytes, &why);
	if (ret == -ENOMEM) {
		z5_fail(err, ret, "%s", why.message);
	} else if (!ret) {
		plan->weight_bytes = bytes;
		plan_cache(&h, n_ctx, plan);
	} else {
		snprintf(plan->refused, sizeof(plan->refused), "%s", why.message);
		ret = 0;
		for (size_t i = 0; !ret && i < gguf_n_tensors(g); i++)
			ret = plan_tensor(g, gguf_tensor(g, i), plan, err);
		if (z5_keeps_kv(&h) ? h.hd_k && h.hd_v : z5_keeps_state(&h))
			plan_cache(&h, n_ctx, plan);
	}
	gguf_close(g);
	return ret;
}
