// SPDX-License-Identifier: MIT
#include "imatrix.h"

#include <errno.h>
#include <gguf/gguf.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"

/* Names are those of tensors. */
#define MAX_NAME	127
#define MAX_ENTRIES	65536

struct entry {
	char *name;
	float *v;
	size_t n;
};

struct z5_imatrix {
	struct entry *e;
	size_t n, cap;
};

/* v becomes the matrix's; name is copied. */
static int add(struct z5_imatrix *im, const char *path, const char *name, float *v, size_t n,
	       struct zen5rt_error *err)
{
	float max = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(v[i]) || v[i] < 0) {
			z5_fail(err, -EINVAL, "%s: %s: value %zu is %g, no mean square", path, name, i, (double)v[i]);
			free(v);
			return -EINVAL;
		}
		max = v[i] > max ? v[i] : max;
	}
	for (size_t i = 0; i < n && max > 0; i++)
		v[i] /= max;
	if (im->n == im->cap) {
		size_t cap = im->cap ? 2 * im->cap : 64;
		struct entry *e = realloc(im->e, cap * sizeof(*e));

		if (!e)
			goto no_memory;
		im->e = e;
		im->cap = cap;
	}
	im->e[im->n].name = strdup(name);
	if (!im->e[im->n].name)
		goto no_memory;
	im->e[im->n].v = v;
	im->e[im->n].n = n;
	im->n++;
	return 0;

no_memory:
	free(v);
	return z5_fail(err, -ENOMEM, "%s: out of memory", path);
}

/* ---- GGUF ---- */

/* NAME.in_sum2 and, beside it, NAME.counts: a count for each matrix of the tensor. */
static int read_pair(struct z5_imatrix *im, const struct gguf *g, const struct gguf_tensor *t, const char *path,
		     struct zen5rt_error *err)
{
	size_t len = strlen(t->name) - strlen(".in_sum2"), n = t->size / sizeof(float);
	const struct gguf_tensor *c;
	char name[MAX_NAME + 1];
	float *v, *counts;
	int ret;

	snprintf(name, sizeof(name), "%.*s.counts", (int)len, t->name);
	c = gguf_find_tensor(g, name);
	name[len] = 0;
	if (!c || t->type || c->type || c->size / sizeof(float) != n / t->ne[0])
		return z5_fail(err, -EINVAL, "%s: %s: its sums have no counts that fit them", path, name);
	v = malloc(t->size);
	counts = malloc(c->size);
	if (!v || !counts) {
		ret = z5_fail(err, -ENOMEM, "%s: out of memory", path);
		goto out;
	}
	ret = gguf_pread(g, t, v, 0, t->size, err);
	if (!ret)
		ret = gguf_pread(g, c, counts, 0, c->size, err);
	if (ret)
		goto out;
	/* an expert that was never chosen is known nothing of: zeros, which stand for "all alike" */
	for (size_t i = 0; i < n; i++)
		v[i] = counts[i / t->ne[0]] > 0 ? v[i] / counts[i / t->ne[0]] : 0;
	ret = add(im, path, name, v, n, err);
	v = NULL;
out:
	free(v);
	free(counts);
	return ret;
}

static int load_gguf(struct z5_imatrix *im, const char *path, struct zen5rt_error *err)
{
	static const char suffix[] = ".in_sum2";
	struct gguf *g;
	int ret = gguf_open(path, &g, err);

	if (ret)
		return ret;
	for (size_t i = 0; i < gguf_n_tensors(g) && !ret; i++) {
		const struct gguf_tensor *t = gguf_tensor(g, i);
		size_t len = strlen(t->name);

		if (len > strlen(suffix) && !strcmp(t->name + len - strlen(suffix), suffix))
			ret = read_pair(im, g, t, path, err);
	}
	if (!ret && !im->n)
		ret = z5_fail(err, -EINVAL, "%s: is a GGUF file but no importance matrix: no tensor ends in %s",
			      path, suffix);
	gguf_close(g);
	return ret;
}

/* ---- the older format ---- */

struct in {
	FILE *f;
	const char *path;
	uint64_t left;		/* bytes that the file still has */
	struct zen5rt_error *err;
};

static int get(struct in *in, void *p, size_t n)
{
	if (n > in->left || fread(p, 1, n, in->f) != n)
		return z5_fail(in->err, -EINVAL, "%s: is no importance matrix, or ends too early", in->path);
	in->left -= n;
	return 0;
}

static int read_entry(struct z5_imatrix *im, struct in *in, int32_t i)
{
	char name[MAX_NAME + 1];
	int32_t len = 0, calls = 0, n = 0;
	float *v;
	int ret = get(in, &len, 4);

	if (ret)
		return ret;
	if (len < 1 || len > MAX_NAME)
		return z5_fail(in->err, -EINVAL, "%s: entry %d has a name of %d bytes; 1 to %d are expected",
			       in->path, i, len, MAX_NAME);
	ret = get(in, name, (size_t)len);
	if (!ret)
		ret = get(in, &calls, 4);
	if (!ret)
		ret = get(in, &n, 4);
	if (ret)
		return ret;
	name[len] = 0;
	if (n < 1 || (uint64_t)n > in->left / sizeof(*v))
		return z5_fail(in->err, -EINVAL, "%s: %s has %d values, the file holds %llu more bytes", in->path,
			       name, n, (unsigned long long)in->left);
	v = calloc((size_t)n, sizeof(*v));
	if (!v)
		return z5_fail(in->err, -ENOMEM, "%s: out of memory", in->path);
	ret = get(in, v, (size_t)n * sizeof(*v));
	if (ret) {
		free(v);
		return ret;
	}
	return add(im, in->path, name, v, (size_t)n, in->err);
}

static int load_dat(struct z5_imatrix *im, struct in *in)
{
	int32_t n = 0;
	int ret = get(in, &n, 4);

	if (ret)
		return ret;
	if (n < 1 || n > MAX_ENTRIES)
		return z5_fail(in->err, -EINVAL, "%s: is no importance matrix: it would have %d entries", in->path, n);
	for (int32_t i = 0; i < n && !ret; i++)
		ret = read_entry(im, in, i);
	return ret;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct entry *)a)->name, ((const struct entry *)b)->name);
}

static int sort(struct z5_imatrix *im, const char *path, struct zen5rt_error *err)
{
	if (im->n)
		qsort(im->e, im->n, sizeof(*im->e), by_name);
	for (size_t i = 1; i < im->n; i++)
		if (!by_name(&im->e[i - 1], &im->e[i]))
			return z5_fail(err, -EINVAL, "%s: %s is there twice", path, im->e[i].name);
	return 0;
}

static int load(struct z5_imatrix *im, const char *path, struct zen5rt_error *err)
{
	struct in in = { .path = path, .err = err };
	char magic[4];
	struct stat st;
	int ret;

	/* gguf_open() looks at what kind of file it is before it opens it; here the same */
	if (stat(path, &st))
		return z5_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		return z5_fail(err, -EINVAL, "%s: is no ordinary file", path);
	in.f = fopen(path, "rbe");
	if (!in.f)
		return z5_fail(err, -errno, "%s: %s", path, strerror(errno));
	in.left = (uint64_t)st.st_size;
	ret = get(&in, magic, sizeof(magic));
	if (!ret && !memcmp(magic, "GGUF", 4)) {
		ret = load_gguf(im, path, err);
	} else if (!ret) {
		rewind(in.f);
		in.left = (uint64_t)st.st_size;
		ret = load_dat(im, &in);
	}
	fclose(in.f);
	return ret ? ret : sort(im, path, err);
}

int z5_imatrix_load(const char *path, struct z5_imatrix **out, struct zen5rt_error *err)
{
	struct z5_imatrix *im = calloc(1, sizeof(*im));
	int ret;

	if (!im)
		return z5_fail(err, -ENOMEM, "out of memory");
	ret = load(im, path, err);
	if (ret)
		z5_imatrix_free(im);
	else
		*out = im;
	return ret;
}

void z5_imatrix_free(struct z5_imatrix *im)
{
	if (!im)
		return;
	for (size_t i = 0; i < im->n; i++) {
		free(im->e[i].name);
		free(im->e[i].v);
	}
	free(im->e);
	free(im);
}

size_t z5_imatrix_n(const struct z5_imatrix *im)
{
	return im->n;
}

const float *z5_imatrix_find(const struct z5_imatrix *im, const char *name, size_t *n)
{
	struct entry key = { .name = (char *)name };
	const struct entry *e = bsearch(&key, im->e, im->n, sizeof(*im->e), by_name);

	if (!e)
		return NULL;
	*n = e->n;
	return e->v;
}
