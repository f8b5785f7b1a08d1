// SPDX-License-Identifier: MIT
/* Metadata: key-value pairs, checked once when they are read, and the getters over them. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "internal.h"

/* Real files have about fifty keys. */
#define GGUF_MAX_KV	65536
#define GGUF_MAX_KEY	65535

static const struct {
	const char *name;
	uint32_t bytes;			/* in a file, for a string the least: its length */
} gguf_values[] = {
	[GGUF_U8]     = { "u8", 1 },
	[GGUF_I8]     = { "i8", 1 },
	[GGUF_U16]    = { "u16", 2 },
	[GGUF_I16]    = { "i16", 2 },
	[GGUF_U32]    = { "u32", 4 },
	[GGUF_I32]    = { "i32", 4 },
	[GGUF_F32]    = { "f32", 4 },
	[GGUF_BOOL]   = { "bool", 1 },
	[GGUF_STRING] = { "string", 8 },
	[GGUF_ARRAY]  = { "array", 12 },
	[GGUF_U64]    = { "u64", 8 },
	[GGUF_I64]    = { "i64", 8 },
	[GGUF_F64]    = { "f64", 8 },
};

const char *gguf_value_type_name(uint32_t type)
{
	return type <= GGUF_F64 ? gguf_values[type].name : "unknown";
}

/* ---- reading ---- */

static int gguf_check_bools(struct cursor *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (c->buf[c->pos + i] > 1)
			return cursor_fail(c, -EINVAL, "a bool is %u, neither 0 nor 1",
					   c->buf[c->pos + i]);
	return 0;
}

static int gguf_read_strings(struct cursor *c, struct gguf_kv *kv)
{
	/* Room for n lengths has been seen in the file, so this is at most half of its size. */
	kv->index = malloc(kv->n ? kv->n * sizeof(*kv->index) : 1);
	if (!kv->index)
		return cursor_fail(c, -ENOMEM, "no memory for %u strings", kv->n);
	for (uint32_t i = 0; i < kv->n; i++) {
		uint32_t off, len;
		int rc;

		kv->index[i] = (uint32_t)c->pos;
		rc = cursor_str(c, "a string of the array", &off, &len);
		if (rc)
			return rc;
	}
	return 0;
}

static int gguf_read_array(struct cursor *c, struct gguf_kv *kv)
{
	uint32_t bytes;
	uint64_t n;
	int rc;

	rc = cursor_u32(c, "the array's element type", &kv->elem);
	if (rc)
		return rc;
	if (kv->elem > GGUF_F64)
		return cursor_fail(c, -EINVAL, "array element type %u does not exist", kv->elem);
	if (kv->elem == GGUF_ARRAY)
		return cursor_fail(c, -EINVAL, "arrays of arrays are not supported");
	rc = cursor_u64(c, "the array's length", &n);
	if (rc)
		return rc;
	bytes = gguf_values[kv->elem].bytes;
	rc = cursor_room(c, n, bytes, "the array's length");
	if (rc)
		return rc;
	kv->n = (uint32_t)n;
	kv->off = (uint32_t)c->pos;
	if (kv->elem == GGUF_STRING)
		return gguf_read_strings(c, kv);
	rc = cursor_need(c, n * bytes, "the array");
	if (rc)
		return rc;
	if (kv->elem == GGUF_BOOL) {
		rc = gguf_check_bools(c, kv->n);
		if (rc)
			return rc;
	}
	return cursor_skip(c, n * bytes, "the array");
}

static int gguf_read_value(struct cursor *c, struct gguf_kv *kv)
{
	int rc;

	switch (kv->type) {
	case GGUF_STRING:
		return cursor_str(c, "the string", &kv->off, &kv->n);
	case GGUF_ARRAY:
		return gguf_read_array(c, kv);
	}
	rc = cursor_need(c, gguf_values[kv->type].bytes, "the value");
	if (rc)
		return rc;
	if (kv->type == GGUF_BOOL) {
		rc = gguf_check_bools(c, 1);
		if (rc)
			return rc;
	}
	kv->off = (uint32_t)c->pos;
	return cursor_skip(c, gguf_values[kv->type].bytes, "the value");
}

static int gguf_read_key(struct cursor *c, struct gguf_kv *kv)
{
	uint64_t len;
	int rc = cursor_need(c, sizeof(len), "its length");

	if (rc)
		return rc;
	memcpy(&len, c->buf + c->pos, sizeof(len));
	if (!len || len > GGUF_MAX_KEY)
		return cursor_fail(c, -EINVAL, "a key of %llu bytes; 1 to %d are allowed",
				   (unsigned long long)len, GGUF_MAX_KEY);
	rc = cursor_str(c, "the key", &kv->key_off, &kv->key_len);
	if (rc)
		return rc;
	for (uint32_t i = 0; i < kv->key_len; i++)
		if (c->buf[kv->key_off + i] < 0x20 || c->buf[kv->key_off + i] == 0x7f)
			return cursor_fail(c, -EINVAL, "a control character in key '%s'",
					   cursor_label(c->buf + kv->key_off, kv->key_len).s);
	return 0;
}

int gguf_read_kv(struct gguf *g, struct cursor *c, uint64_t n_kv)
{
	int rc;

	cursor_at(c, "header");
	if (n_kv > GGUF_MAX_KV)
		return cursor_fail(c, -EINVAL, "%llu keys; at most %d are allowed",
				   (unsigned long long)n_kv, GGUF_MAX_KV);
	/* key length, a byte of key, type, a byte of value */
	rc = cursor_room(c, n_kv, 8 + 1 + 4 + 1, "the number of keys");
	if (rc)
		return rc;
	g->kv = calloc(n_kv ? n_kv : 1, sizeof(*g->kv));
	if (!g->kv)
		return cursor_fail(c, -ENOMEM, "no memory for %llu keys", (unsigned long long)n_kv);
	for (uint64_t i = 0; i < n_kv; i++) {
		struct gguf_kv *kv = &g->kv[g->n_kv++];

		kv->g = g;
		cursor_at(c, "key %llu of %llu", (unsigned long long)i + 1,
			  (unsigned long long)n_kv);
		rc = gguf_read_key(c, kv);
		if (rc)
			return rc;
		cursor_at(c, "key '%s'", cursor_label(c->buf + kv->key_off, kv->key_len).s);
		rc = cursor_u32(c, "the value's type", &kv->type);
		if (rc)
			return rc;
		if (kv->type > GGUF_F64)
			return cursor_fail(c, -EINVAL, "value type %u does not exist", kv->type);
		rc = gguf_read_value(c, kv);
		if (rc)
			return rc;
	}
	return 0;
}

/* ---- lookup ---- */

static int gguf_compare(const void *a, size_t a_len, const void *b, size_t b_len)
{
	int d = memcmp(a, b, a_len < b_len ? a_len : b_len);

	return d ? d : (a_len > b_len) - (a_len < b_len);
}

static int gguf_compare_kv(const void *a, const void *b)
{
	const struct gguf_kv *x = *(const struct gguf_kv *const *)a;
	const struct gguf_kv *y = *(const struct gguf_kv *const *)b;

	return gguf_compare(x->g->meta + x->key_off, x->key_len, y->g->meta + y->key_off,
			    y->key_len);
}

int gguf_index_kv(struct gguf *g, struct zen5rt_error *err)
{
	g->by_key = malloc(g->n_kv ? g->n_kv * sizeof(*g->by_key) : 1);
	if (!g->by_key)
		return z5_fail(err, -ENOMEM, "%s: no memory for %zu keys", g->name, g->n_kv);
	for (size_t i = 0; i < g->n_kv; i++)
		g->by_key[i] = &g->kv[i];
	qsort(g->by_key, g->n_kv, sizeof(*g->by_key), gguf_compare_kv);
	for (size_t i = 1; i < g->n_kv; i++) {
		const struct gguf_kv *kv = g->by_key[i];

		if (!gguf_compare_kv(&g->by_key[i - 1], &g->by_key[i]))
			return z5_fail(err, -EINVAL, "%s: key '%s' is there twice", g->name,
				       cursor_label(g->meta + kv->key_off, kv->key_len).s);
	}
	return 0;
}

void gguf_free_kv(struct gguf *g)
{
	for (size_t i = 0; i < g->n_kv; i++)
		free(g->kv[i].index);
	free(g->kv);
	free(g->by_key);
}

const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key)
{
	size_t lo = 0, hi = g->n_kv, len = strlen(key);

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct gguf_kv *kv = g->by_key[mid];
		int d = gguf_compare(key, len, g->meta + kv->key_off, kv->key_len);

		if (!d)
			return kv;
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

size_t gguf_n_keys(const struct gguf *g)
{
	return g->n_kv;
}

struct gguf_str gguf_key(const struct gguf *g, size_t i)
{
	struct gguf_str s = { "", 0 };

	if (i < g->n_kv) {
		s.p = (const char *)g->meta + g->kv[i].key_off;
		s.len = g->kv[i].key_len;
	}
	return s;
}

/* Where the value of kv ends in the metadata. */
static size_t gguf_value_end(const struct gguf *g, const struct gguf_kv *kv)
{
	uint64_t len;

	if (kv->type == GGUF_STRING)
		return kv->off + kv->n;
	if (kv->type != GGUF_ARRAY)
		return kv->off + gguf_values[kv->type].bytes;
	if (kv->elem != GGUF_STRING)
		return kv->off + (size_t)kv->n * gguf_values[kv->elem].bytes;
	if (!kv->n)
		return kv->off;
	memcpy(&len, g->meta + kv->index[kv->n - 1], sizeof(len));
	return kv->index[kv->n - 1] + sizeof(len) + len;
}

struct gguf_str gguf_raw_pair(const struct gguf *g, size_t i)
{
	struct gguf_str s = { "", 0 };

	if (i < g->n_kv) {
		s.p = (const char *)g->meta + g->kv[i].key_off - sizeof(uint64_t);
		s.len = gguf_value_end(g, &g->kv[i]) - (g->kv[i].key_off - sizeof(uint64_t));
	}
	return s;
}

int gguf_kind(const struct gguf *g, const char *key)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);

	return kv ? (int)kv->type : -1;
}

/* ---- getters ---- */

static int gguf_wrong_type(const struct gguf *g, const char *key, const struct gguf_kv *kv,
			   const char *want, struct zen5rt_error *err)
{
	bool array = kv->type == GGUF_ARRAY;

	return z5_fail(err, -EINVAL, "%s: key '%.64s': is %s%s where %s is expected", g->name, key,
		       array ? "an array of " : "",
		       gguf_value_type_name(array ? kv->elem : kv->type), want);
}

static bool gguf_load_int(uint32_t type, const void *p, __int128 *v)
{
	union {
		uint8_t u8;
		int8_t i8;
		uint16_t u16;
		int16_t i16;
		uint32_t u32;
		int32_t i32;
		uint64_t u64;
		int64_t i64;
	} x;

	if (type > GGUF_F64 || type == GGUF_STRING || type == GGUF_ARRAY)
		return false;
	memcpy(&x, p, gguf_values[type].bytes);
	switch (type) {
	case GGUF_U8:
	case GGUF_BOOL:
		*v = x.u8;
		return true;
	case GGUF_I8:
		*v = x.i8;
		return true;
	case GGUF_U16:
		*v = x.u16;
		return true;
	case GGUF_I16:
		*v = x.i16;
		return true;
	case GGUF_U32:
		*v = x.u32;
		return true;
	case GGUF_I32:
		*v = x.i32;
		return true;
	case GGUF_U64:
		*v = x.u64;
		return true;
	case GGUF_I64:
		*v = x.i64;
		return true;
	}
	return false;
}

int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);
	__int128 v;

	if (!kv)
		return 0;
	if (kv->type == GGUF_BOOL || !gguf_load_int(kv->type, g->meta + kv->off, &v))
		return gguf_wrong_type(g, key, kv, "an integer", err);
	if (v < 0)
		return z5_fail(err, -EINVAL, "%s: key '%.64s': %lld is negative", g->name, key,
			       (long long)v);
	if (v > UINT32_MAX)
		return z5_fail(err, -EINVAL, "%s: key '%.64s': %llu is above %u", g->name, key,
			       (unsigned long long)v, UINT32_MAX);
	*out = (uint32_t)v;
	return 1;
}

int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);
	double d;
	float f;

	if (!kv)
		return 0;
	if (kv->type == GGUF_F32) {
		memcpy(out, g->meta + kv->off, sizeof(*out));
		return 1;
	}
	if (kv->type != GGUF_F64)
		return gguf_wrong_type(g, key, kv, "a float", err);
	memcpy(&d, g->meta + kv->off, sizeof(d));
	f = (float)d;
	if (isfinite(d) && !isfinite(f))
		return z5_fail(err, -EINVAL, "%s: key '%.64s': %g is more than an f32 holds",
			       g->name, key, d);
	*out = f;
	return 1;
}

int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);

	if (!kv)
		return 0;
	if (kv->type != GGUF_BOOL)
		return gguf_wrong_type(g, key, kv, "a bool", err);
	*out = g->meta[kv->off];
	return 1;
}

int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
		 struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);

	if (!kv)
		return 0;
	if (kv->type != GGUF_STRING)
		return gguf_wrong_type(g, key, kv, "a string", err);
	out->p = (const char *)g->meta + kv->off;
	out->len = kv->n;
	return 1;
}

int gguf_get_array(const struct gguf *g, const char *key, enum gguf_value_type want,
		   struct gguf_array *out, struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, key);
	bool fits;

	if (!kv)
		return 0;
	fits = kv->elem == (uint32_t)want || (want == GGUF_I32 && kv->elem == GGUF_U32);
	if (kv->type != GGUF_ARRAY || !fits) {
		struct cursor_label l;

		snprintf(l.s, sizeof(l.s), "an array of %s", gguf_value_type_name(want));
		return gguf_wrong_type(g, key, kv, l.s, err);
	}
	out->type = kv->elem;
	out->n = kv->n;
	out->p = kv;
	return 1;
}

float gguf_array_f32(const struct gguf_array *a, size_t i)
{
	const struct gguf_kv *kv = a->p;
	float f = 0;

	if (i < kv->n && kv->elem == GGUF_F32)
		memcpy(&f, kv->g->meta + kv->off + i * sizeof(f), sizeof(f));
	return f;
}

int32_t gguf_array_i32(const struct gguf_array *a, size_t i)
{
	const struct gguf_kv *kv = a->p;
	__int128 v;

	if (i >= kv->n || !gguf_load_int(kv->elem, kv->g->meta + kv->off +
					 i * gguf_values[kv->elem].bytes, &v))
		return 0;
	return (int32_t)v;
}

struct gguf_str gguf_array_str(const struct gguf_array *a, size_t i)
{
	const struct gguf_kv *kv = a->p;
	struct gguf_str s = { "", 0 };
	uint64_t len;

	if (i >= kv->n || !kv->index)
		return s;
	memcpy(&len, kv->g->meta + kv->index[i], sizeof(len));
	s.p = (const char *)kv->g->meta + kv->index[i] + sizeof(len);
	s.len = len;
	return s;
}
