// SPDX-License-Identifier: MIT
/* From the names of tensors to what an architecture calls them by, and a place in the region for each. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "loader.h"

static int loader_add(struct z5_loader *ld, const struct item *it, size_t bytes)
{
	if (ld->n_items == ld->cap_items) {
		unsigned int cap = ld->cap_items ? 2 * ld->cap_items : 256;
		struct item *p = realloc(ld->items, cap * sizeof(*p));

		if (!p)
			return z5_fail(ld->err, -ENOMEM, "out of memory");
		ld->items = p;
		ld->cap_items = cap;
	}
	ld->items[ld->n_items] = *it;
	ld->items[ld->n_items].off = ld->size;
	if (__builtin_add_overflow(ld->size, Z5_ALIGN64(bytes), &ld->size) || ld->size > SIZE_MAX / 2)
		return z5_fail(ld->err, -EINVAL, "%s: the weights exceed the address space",
			       gguf_path(ld->g));
	ld->n_items++;
	return 0;
}

#define NAME_MAX_BYTES 64

/* The tensor named over layer and part, NULL if absent. */
static const struct gguf_tensor *loader_named(const struct z5_loader *ld, char *name, const char *fmt,
					      unsigned int layer, unsigned int part)
{
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(name, NAME_MAX_BYTES, fmt, layer, part);
#pragma GCC diagnostic pop
	return gguf_find_tensor(ld->g, name);
}

/* The same with its type's operations; 1 found, 0 absent and optional, or an error. */
static int loader_find(struct z5_loader *ld, const char *fmt, unsigned int layer, unsigned int part, bool optional,
		       const struct gguf_tensor **t, const struct z5_type_ops **ops)
{
	char name[NAME_MAX_BYTES];

	*t = loader_named(ld, name, fmt, layer, part);
	if (!*t)
		return optional ? 0 : z5_fail(ld->err, -EINVAL, "%s: tensor %s is missing",
					      gguf_path(ld->g), name);
	*ops = z5_type_by_ggml((*t)->type);
	if (!*ops)
		return z5_fail(ld->err, -EINVAL, "%s: tensor %s has type %s, which this version cannot run",
			       gguf_path(ld->g), name, gguf_type_info((*t)->type)->name);
	/* I2_S in a file has shorter blocks */
	if ((*t)->ne[0] % (*ops)->block)
		return z5_fail(ld->err, -EINVAL, "%s: tensor %s: rows of %llu; of type %s only multiples of %u can be run",
			       gguf_path(ld->g), name, (unsigned long long)(*t)->ne[0], (*ops)->name, (*ops)->block);
	return 1;
}

static int loader_shape3(struct z5_loader *ld, const struct gguf_tensor *t, uint64_t k, uint64_t rows, uint64_t n)
{
	char third[32] = "";

	if (t->ne[0] == k && t->ne[1] == rows && t->ne[2] == n && t->ne[3] == 1)
		return 0;
	if (n != 1)
		snprintf(third, sizeof(third), " x %llu", (unsigned long long)n);
	return z5_fail(ld->err, -EINVAL,
		       "%s: tensor %s has shape %llu x %llu x %llu x %llu, expected %llu x %llu%s",
		       gguf_path(ld->g), t->name, (unsigned long long)t->ne[0],
		       (unsigned long long)t->ne[1], (unsigned long long)t->ne[2],
		       (unsigned long long)t->ne[3], (unsigned long long)k, (unsigned long long)rows, third);
}

static int loader_shape(struct z5_loader *ld, const struct gguf_tensor *t, uint64_t k, uint64_t rows)
{
	return loader_shape3(ld, t, k, rows, 1);
}

/* The kind that n matrices like w belong to, made if they are the first; a token takes `used` of the n. */
static int loader_kind(struct z5_loader *ld, struct z5_weight *w, const char *role, size_t bytes, uint32_t n,
		       uint32_t used)
{
	struct zen5rt_model *m = ld->m;
	struct z5_kind *p;
	unsigned int i;

	for (i = 0; i < m->n_kinds; i++) {
		p = &m->kinds[i];
		if (p->ops == w->ops && p->rows == w->rows && p->k == w->k && !strcmp(p->role, role))
			break;
	}
	if (i == m->n_kinds) {
		p = realloc(m->kinds, (i + 1) * sizeof(*p));
		if (!p)
			return z5_fail(ld->err, -ENOMEM, "out of memory");
		m->kinds = p;
		m->kinds[i] = (struct z5_kind){ .ops = w->ops, .role = role, .rows = w->rows, .k = w->k,
						  .used = used, .of = n };
		m->n_kinds++;
	}
	m->kinds[i].count += n;
	m->kinds[i].bytes += bytes * n;
	w->kind = i;
	return 0;
}

/* Shape and bytes of the packed matrix that an item becomes; counts its weights. */
static int loader_packed(struct z5_loader *ld, struct z5_weight *w, const struct item *it, size_t *bytes)
{
	w->ops = it->to;
	w->rows = it->rows;
	w->k = it->k;
	if (__builtin_mul_overflow(it->to->group_bytes(it->k), z5_weight_groups(w), bytes))
		return z5_fail(ld->err, -EINVAL, "%s: tensor %s is too large", gguf_path(ld->g), it->t->name);
	ld->used[it->t - gguf_tensor(ld->g, 0)] = true;
	ld->m->n_params += it->rows * it->k;
	return 0;
}

/* The scale of an I2_S tensor stands behind its weights; that of floats that are ternary is known. */
static int loader_scale(struct z5_loader *ld, const struct item *matrix, struct z5_weight *w)
{
	struct item it = { .t = matrix->t, .ops = &z5_types[Z5_F32], .rows = 1, .k = 1, .dest = (void **)&w->scale[0],
			   .vector = true, .scale = true, .size = matrix->size };

	if (matrix->to != &z5_types[Z5_I2_S])
		return 0;
	if (!it.size)
		it.row0 = (it.t->size - gguf_type_info(it.t->type)->tail) / sizeof(float);
	return loader_add(ld, &it, sizeof(float));
}

/* A matrix of floats may be ternary, which architectures with scales for matrices say they are. */
static int loader_ternary(struct z5_loader *ld, struct item *it)
{
	int ret;

	it->to = it->ops;
	if (ld->ternary == Z5_TERNARY_OFF || (ld->ternary == Z5_TERNARY_AUTO && !ld->m->arch->sub_norm))
		return 0;
	ret = z5_ternary_look(ld, it, &it->size);
	if (!ret && it->size)
		it->to = &z5_types[Z5_I2_S];
	return ret;
}

/* Where each matrix would have a scale of its own there is no place for them. */
static int loader_no_scale(struct z5_loader *ld, const struct item *it)
{
	if (it->ops != &z5_types[Z5_I2_S])
		return 0;
	return z5_fail(ld->err, -EINVAL, "%s: tensor %s has type %s, which cannot be run there", gguf_path(ld->g),
		       it->t->name, it->ops->name);
}

/* n matrices out of one tensor, step rows apart. */
static int loader_stack(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint32_t used,
			struct item *it, uint64_t step)
{
	size_t bytes = 0;
	int ret;

	for (uint32_t i = 0; i < n; i++, it->dest = NULL, it->row0 += step) {
		ret = loader_packed(ld, &s->w, it, &bytes);
		if (!ret)
			ret = loader_add(ld, it, bytes);
		if (ret)
			return ret;
	}
	s->n = n;
	s->stride = bytes;
	return loader_kind(ld, &s->w, role, bytes, n, used);
}

static int bind_rows(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t from, uint64_t rows,
		     uint64_t of, uint64_t k, bool optional, const char *fmt, unsigned int layer)
{
	struct item it = { .rows = rows, .row0 = from, .k = k, .dest = &w->data };
	size_t bytes;
	int ret;

	ret = loader_find(ld, fmt, layer, 0, optional, &it.t, &it.ops);
	if (ret <= 0)
		return ret;
	ret = loader_shape(ld, it.t, k, of);
	if (ret)
		return ret;
	if ((ret = loader_ternary(ld, &it)) ||
	    (ret = loader_packed(ld, w, &it, &bytes)) ||
	    (ret = loader_kind(ld, w, role, bytes, 1, 1)) ||
	    (ret = loader_add(ld, &it, bytes)))
		return ret;
	return loader_scale(ld, &it, w);
}

int z5_bind_matrix(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t rows,
		   uint64_t k, bool optional, const char *fmt, unsigned int layer)
{
	return bind_rows(ld, w, role, 0, rows, rows, k, optional, fmt, layer);
}

int z5_bind_rows(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t from, uint64_t rows,
		 uint64_t of, uint64_t k, const char *fmt, unsigned int layer)
{
	return bind_rows(ld, w, role, from, rows, of, k, false, fmt, layer);
}

int z5_bind_stack(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint32_t used,
		  uint64_t rows, uint64_t k, const char *fmt, unsigned int layer)
{
	struct item it = { .rows = rows, .k = k, .dest = &s->w.data };
	int ret;

	ret = loader_find(ld, fmt, layer, 0, false, &it.t, &it.ops);
	if (ret < 0)
		return ret;
	/* the matrices may also lie in two dimensions, one below the other */
	if (it.t->ne[2] == 1 && it.t->ne[1] == rows * n)
		ret = loader_shape(ld, it.t, k, rows * n);
	else
		ret = loader_shape3(ld, it.t, k, rows, n);
	if (ret)
		return ret;
	it.to = it.ops;
	ret = loader_scale(ld, &it, &s->w);
	return ret ? ret : loader_stack(ld, s, role, n, used, &it, rows);
}

int z5_bind_parts(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint32_t used,
		  uint64_t rows, uint64_t k, const char *fmt, unsigned int layer)
{
	struct item it = { .rows = rows, .k = k, .dest = &s->w.data };
	const struct z5_type_ops *first = NULL;
	size_t bytes = 0;
	int ret;

	for (uint32_t i = 0; i < n; i++, it.dest = NULL) {
		ret = loader_find(ld, fmt, layer, i, false, &it.t, &it.ops);
		if (ret < 0)
			return ret;
		ret = loader_shape(ld, it.t, k, rows);
		if (ret)
			return ret;
		if (first && it.ops != first)
			return z5_fail(ld->err, -EINVAL, "%s: tensor %s has type %s, those before it %s",
				       gguf_path(ld->g), it.t->name, it.ops->name, first->name);
		first = it.to = it.ops;
		ret = loader_no_scale(ld, &it);
		if (!ret)
			ret = loader_packed(ld, &s->w, &it, &bytes);
		if (!ret)
			ret = loader_add(ld, &it, bytes);
		if (ret)
			return ret;
	}
	s->n = n;
	s->stride = bytes;
	return loader_kind(ld, &s->w, role, bytes, n, used);
}

int z5_bind_slices(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint64_t rows, uint64_t k,
		   uint64_t from, uint64_t step, bool turned, const char *fmt, unsigned int layer)
{
	struct item it = { .rows = rows, .k = k, .row0 = from, .dest = &s->w.data, .turned = turned };
	int ret;

	ret = loader_find(ld, fmt, layer, 0, false, &it.t, &it.ops);
	if (ret < 0)
		return ret;
	ret = loader_shape(ld, it.t, turned ? rows : k, n * step);
	if (ret)
		return ret;
	it.to = turned && it.ops->act != Z5_ACT_F32 ? &z5_types[Z5_F32] : it.ops;
	ret = loader_no_scale(ld, &it);
	if (ret)
		return ret;
	return loader_stack(ld, s, role, n, n, &it, step);
}

bool z5_bind_has(const struct z5_loader *ld, const char *fmt, unsigned int layer)
{
	char name[NAME_MAX_BYTES];

	return loader_named(ld, name, fmt, layer, 0);
}

void z5_bind_nothing(struct z5_loader *ld, const char *fmt, unsigned int layer)
{
	char name[NAME_MAX_BYTES];
	const struct gguf_tensor *t = loader_named(ld, name, fmt, layer, 0);

	if (t)
		ld->used[t - gguf_tensor(ld->g, 0)] = true;
}

int z5_bind_vector(struct z5_loader *ld, const float **v, uint64_t n, bool optional,
		   const char *fmt, unsigned int layer)
{
	return z5_bind_vectors(ld, v, n, 1, optional, fmt, layer);
}

int z5_bind_vectors(struct z5_loader *ld, const float **v, uint64_t n, uint32_t count, bool optional,
		    const char *fmt, unsigned int layer)
{
	struct item it = { .rows = 1, .k = n * count, .dest = (void **)v, .vector = true };
	int ret;

	ret = loader_find(ld, fmt, layer, 0, optional, &it.t, &it.ops);
	if (ret <= 0)
		return ret;
	/* the reader has checked the product of all four */
	if (it.t->ne[0] != n || it.t->ne[1] * it.t->ne[2] * it.t->ne[3] != count)
		return loader_shape(ld, it.t, n, count);
	if (it.ops->act != Z5_ACT_F32)
		return z5_fail(ld->err, -EINVAL, "%s: tensor %s has type %s, expected a float type",
			       gguf_path(ld->g), it.t->name, it.ops->name);
	ld->used[it.t - gguf_tensor(ld->g, 0)] = true;
	ld->m->n_params += it.k;
	return loader_add(ld, &it, it.k * sizeof(float));
}

int z5_bind_scale(struct z5_loader *ld, struct z5_weight *w, const char *fmt, unsigned int layer)
{
	const unsigned int n = ld->n_items;
	int ret = z5_bind_vector(ld, &w->scale[1], 1, true, fmt, layer);

	if (ld->n_items > n)
		ld->items[n].scale = true;
	return ret;
}

int z5_bind_lines(struct z5_loader *ld, const float **v, uint64_t rows, uint64_t k, const char *fmt,
		  unsigned int layer)
{
	struct item it = { .rows = rows, .k = k, .dest = (void **)v };
	struct z5_weight w;
	size_t bytes;
	int ret;

	ret = loader_find(ld, fmt, layer, 0, false, &it.t, &it.ops);
	if (ret < 0)
		return ret;
	ret = loader_shape(ld, it.t, k, rows);
	if (ret)
		return ret;
	if (it.ops != &z5_types[Z5_F32])
		return z5_fail(ld->err, -EINVAL, "%s: tensor %s has type %s, expected F32", gguf_path(ld->g), it.t->name,
			       it.ops->name);
	it.to = it.ops;
	ret = loader_packed(ld, &w, &it, &bytes);
	return ret ? ret : loader_add(ld, &it, bytes);
}

int z5_bind_norm(struct z5_loader *ld, struct z5_norm *norm, bool optional, const char *weight, const char *bias,
		 unsigned int i)
{
	const struct zen5rt_model *m = ld->m;
	int ret = z5_bind_vector(ld, &norm->w, m->h.n_embd, optional, weight, i);

	if (ret || !m->arch->norm_bias || (optional && !z5_bind_has(ld, weight, i)))
		return ret;
	return z5_bind_vector(ld, &norm->b, m->h.n_embd, false, bias, i);
}
