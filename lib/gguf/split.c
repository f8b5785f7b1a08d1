// SPDX-License-Identifier: MIT
/*
 * Models in several files: NAME-00001-of-00003.gguf and so on, as llama.cpp's gguf-split writes them. The first
 * part has the metadata; each has tensors and says in split.no and split.count which one it is.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "internal.h"

#define SPLIT_MAX_PARTS 1024
/* "-00001-of-00003.gguf" */
#define SPLIT_TAIL 20

static int split_number(const struct gguf *g, const char *key, uint32_t *out, struct zen5rt_error *err)
{
	int ret = gguf_get_u32(g, key, out, err);

	if (!ret)
		return z5_fail(err, -EINVAL, "%s: %s is missing", g->name, key);
	return ret < 0 ? ret : 0;
}

/* Part i has to say that it is part i of n. */
static int split_check(const struct gguf *part, uint32_t i, uint32_t n, struct zen5rt_error *err)
{
	uint32_t no, count;
	int ret;

	if ((ret = split_number(part, "split.no", &no, err)) ||
	    (ret = split_number(part, "split.count", &count, err)))
		return ret;
	if (no != i || count != n)
		return z5_fail(err, -EINVAL,
			       "%s: says that it is part %u of %u, expected part %u of %u: download it anew",
			       part->name, no + 1, count, i + 1, n);
	return 0;
}

/* The path of part i, in place: path has that of the first. */
static int split_path(const struct gguf *g, char *path, uint32_t i, uint32_t n, struct zen5rt_error *err)
{
	char tail[SPLIT_TAIL + 12];
	size_t len = strlen(path);

	snprintf(tail, sizeof(tail), "-00001-of-%05u.gguf", n);
	if (i == 1 && (len < SPLIT_TAIL || strcmp(path + len - SPLIT_TAIL, tail)))
		return z5_fail(err, -EINVAL,
			       "%s: first of %u parts, whose name should end in %s: the others are looked for by name",
			       g->name, n, tail);
	snprintf(tail, sizeof(tail), "-%05u-of-%05u.gguf", i + 1, n);
	memcpy(path + len - SPLIT_TAIL, tail, SPLIT_TAIL);
	return 0;
}

static int split_open_parts(struct gguf *g, uint32_t n, struct zen5rt_error *err)
{
	char *path = strdup(g->path);
	int ret = path ? 0 : z5_fail(err, -ENOMEM, "out of memory");

	for (uint32_t i = 1; !ret && i < n; i++) {
		ret = split_path(g, path, i, n, err);
		if (!ret)
			ret = gguf_open(path, &g->parts[i - 1], err);
		if (!ret) {
			g->n_parts++;
			ret = split_check(g->parts[i - 1], i, n, err);
		}
	}
	free(path);
	return ret;
}

/* All parts' tensors become g's. */
static int split_join(struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_tensor *all;
	size_t n = g->n_tensors;
	uint32_t said;
	int ret;

	for (uint32_t i = 0; i < g->n_parts; i++) {
		n += g->parts[i]->n_tensors;
		g->file_size += g->parts[i]->file_size;
	}
	ret = gguf_get_u32(g, "split.tensors.count", &said, err);
	if (ret < 0)
		return ret;
	if (ret && said != n)
		return z5_fail(err, -EINVAL, "%s: the parts have %zu tensors together, split.tensors.count is %u",
			       g->name, n, said);
	all = realloc(g->tensors, (n ? n : 1) * sizeof(*all));
	if (!all)
		return z5_fail(err, -ENOMEM, "%s: no memory for %zu tensors", g->name, n);
	g->tensors = all;
	for (uint32_t i = 0; i < g->n_parts; i++) {
		const struct gguf *part = g->parts[i];

		for (size_t j = 0; j < part->n_tensors; j++) {
			all[g->n_tensors] = part->tensors[j];
			all[g->n_tensors++].part = i + 1;
		}
	}
	free(g->by_name);
	g->by_name = NULL;
	return gguf_index_names(g, err);
}

int gguf_open_model(const char *path, struct gguf **out, struct zen5rt_error *err)
{
	struct gguf *g;
	uint32_t n = 1, no = 0;
	int ret = gguf_open(path, &g, err);

	if (ret)
		return ret;
	ret = gguf_get_u32(g, "split.count", &n, err);
	if (ret >= 0 && n > 1)
		ret = split_number(g, "split.no", &no, err);
	if (ret < 0)
		goto err_close;
	if (n > 1 && no) {
		ret = z5_fail(err, -EINVAL, "%s: part %u of a model in %u parts: name the first one", g->name,
			      no + 1, n);
	} else if (n > SPLIT_MAX_PARTS) {
		ret = z5_fail(err, -EINVAL, "%s: split.count is %u, expected at most %u", g->name, n, SPLIT_MAX_PARTS);
	} else if (n > 1) {
		g->parts = calloc(n - 1, sizeof(*g->parts));
		ret = g->parts ? split_open_parts(g, n, err) : z5_fail(err, -ENOMEM, "out of memory");
		if (!ret)
			ret = split_join(g, err);
	}
	if (ret < 0)
		goto err_close;
	*out = g;
	return 0;

err_close:
	gguf_close(g);
	return ret;
}

uint32_t gguf_n_files(const struct gguf *g)
{
	return g->n_parts + 1;
}

int gguf_stat(const struct gguf *g, uint32_t i, struct stat *st)
{
	if (i > g->n_parts)
		return -EINVAL;
	return fstat(i ? g->parts[i - 1]->fd : g->fd, st) ? -errno : 0;
}

bool gguf_is_file(const struct gguf *g, const struct stat *st)
{
	struct stat own;

	if (!fstat(g->fd, &own) && own.st_dev == st->st_dev && own.st_ino == st->st_ino)
		return true;
	for (uint32_t i = 0; i < g->n_parts; i++)
		if (gguf_is_file(g->parts[i], st))
			return true;
	return false;
}
