// SPDX-License-Identifier: MIT
#include "write.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"

struct out {
	uint8_t *p;
	size_t n, cap;
	bool failed;
};

static void put(struct out *o, const void *p, size_t n)
{
	if (o->failed || !n)
		return;
	if (n > o->cap - o->n) {
		size_t cap = (o->n + n) * 2;
		uint8_t *more = realloc(o->p, cap);

		if (!more) {
			o->failed = true;
			return;
		}
		o->p = more;
		o->cap = cap;
	}
	memcpy(o->p + o->n, p, n);
	o->n += n;
}

static void put_u32(struct out *o, uint32_t v)
{
	put(o, &v, sizeof(v));
}

static void put_u64(struct out *o, uint64_t v)
{
	put(o, &v, sizeof(v));
}

static void put_str(struct out *o, const char *s)
{
	put_u64(o, strlen(s));
	put(o, s, strlen(s));
}

static void put_set(struct out *o, const struct gguf_set *s)
{
	put_str(o, s->key);
	if (s->text) {
		put_u32(o, GGUF_STRING);
		put_str(o, s->text);
	} else {
		put_u32(o, GGUF_U32);
		put_u32(o, s->number);
	}
}

static const struct gguf_set *find_set(const struct gguf_set *set, size_t n, struct gguf_str key)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(set[i].key) == key.len && !memcmp(set[i].key, key.p, key.len))
			return &set[i];
	return NULL;
}

static void put_pairs(struct out *o, const struct gguf *src, const struct gguf_set *set, size_t n_set)
{
	for (size_t i = 0; i < gguf_n_keys(src); i++) {
		const struct gguf_set *s = find_set(set, n_set, gguf_key(src, i));
		struct gguf_str raw = gguf_raw_pair(src, i);

		if (s)
			put_set(o, s);
		else
			put(o, raw.p, raw.len);
	}
	for (size_t i = 0; i < n_set; i++)
		if (gguf_kind(src, set[i].key) < 0)
			put_set(o, &set[i]);
}

/* The reader has checked it. */
static uint32_t alignment(const struct gguf *g)
{
	uint32_t a = 32;

	gguf_get_u32(g, "general.alignment", &a, NULL);
	return a;
}

static int size_of(const struct gguf_tensor *t, uint32_t type, uint64_t *size)
{
	const struct gguf_type_info *info = gguf_type_info(type);

	*size = t->size;
	if (type == t->type)
		return 0;
	if (__builtin_mul_overflow(t->ne[0] / info->block, (uint64_t)info->bytes, size))
		return -EINVAL;
	for (unsigned int d = 1; d < t->n_dims; d++)
		if (__builtin_mul_overflow(*size, t->ne[d], size))
			return -EINVAL;
	return __builtin_add_overflow(*size, (uint64_t)info->tail, size) ? -EINVAL : 0;
}

/* Sizes, and offsets from where the data starts. */
static int place(struct gguf_head *h, const struct gguf *src, const uint32_t *types, uint32_t align, uint64_t *total)
{
	uint64_t at = 0;

	for (size_t i = 0; i < gguf_n_tensors(src); i++) {
		uint64_t size;

		if (size_of(gguf_tensor(src, i), types[i], &size))
			return -EINVAL;
		h->offset[i] = at;
		h->size[i] = size;
		if (__builtin_add_overflow(at, size, &at) || at > INT64_MAX / 2)
			return -EINVAL;
		at = (at + align - 1) & ~(uint64_t)(align - 1);
	}
	*total = at;
	return 0;
}

static size_t count_new(const struct gguf *src, const struct gguf_set *set, size_t n)
{
	size_t count = 0;

	for (size_t i = 0; i < n; i++)
		count += gguf_kind(src, set[i].key) < 0;
	return count;
}

int gguf_head_make(struct gguf_head *h, const struct gguf *src, const struct gguf_set *set, size_t n_set,
		   const uint32_t *types, struct zen5rt_error *err)
{
	size_t n = gguf_n_tensors(src);
	uint32_t align = alignment(src);
	struct out o = { 0 };
	uint64_t total;

	memset(h, 0, sizeof(*h));
	h->offset = calloc(n + 1, sizeof(*h->offset));
	h->size = calloc(n + 1, sizeof(*h->size));
	if (!h->offset || !h->size)
		goto no_memory;
	if (place(h, src, types, align, &total))
		return z5_fail(err, -EINVAL, "%s: its tensors would not fit into a file", gguf_path(src));
	put(&o, "GGUF", 4);
	put_u32(&o, 3);
	put_u64(&o, n);
	put_u64(&o, gguf_n_keys(src) + count_new(src, set, n_set));
	put_pairs(&o, src, set, n_set);
	for (size_t i = 0; i < n; i++) {
		const struct gguf_tensor *t = gguf_tensor(src, i);

		put_str(&o, t->name);
		put_u32(&o, t->n_dims);
		put(&o, t->ne, t->n_dims * sizeof(t->ne[0]));
		put_u32(&o, types[i]);
		put_u64(&o, h->offset[i]);
	}
	while (o.n % align && !o.failed)
		put(&o, "", 1);
	h->p = o.p;
	h->n = o.n;
	if (o.failed)
		goto no_memory;
	for (size_t i = 0; i < n; i++)
		h->offset[i] += h->n;
	h->file_size = h->n + total;
	return 0;

no_memory:
	return z5_fail(err, -ENOMEM, "out of memory for the head of the new file");
}

void gguf_head_free(struct gguf_head *h)
{
	free(h->p);
	free(h->offset);
	free(h->size);
	memset(h, 0, sizeof(*h));
}
