// SPDX-License-Identifier: MIT
/* The file: what it is, its header, its tensor list, and reading tensors from it. */
#include "gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"
#include "internal.h"

/* The largest mixture of experts published, its experts not merged, has under 100,000. */
#define GGUF_MAX_TENSORS	(1u << 20)
/* ggml keeps names in 64 bytes with the NUL. */
#define GGUF_MAX_NAME		63
#define GGUF_ALIGNMENT		32
#define GGUF_MIN_ALIGNMENT	8
#define GGUF_MAX_ALIGNMENT	(1u << 30)
/* One pread() returns at most 2 GiB less a page. */
#define GGUF_READ_MAX		(1u << 30)

/* ---- what is it? ---- */

static const struct {
	const char *magic;
	size_t len;
	const char *is;
} gguf_others[] = {
#define CONVERT ": make a GGUF file of the original model with llama.cpp's convert_hf_to_gguf.py"
#define REDO ": download or convert the model anew, this format has been replaced by GGUF"
	{ "lmgg", 4, "a GGML file of 2023" REDO },
	{ "fmgg", 4, "a GGMF file of 2023" REDO },
	{ "tjgg", 4, "a GGJT file of 2023" REDO },
	{ "ggml", 4, "a GGML file of 2023" REDO },
	{ "ggmf", 4, "a GGMF file of 2023" REDO },
	{ "ggjt", 4, "a GGJT file of 2023" REDO },
	{ "algg", 4, "a GGLA adapter (LoRA) of 2023 and no model" },
	{ "GGLA", 4, "a GGLA adapter (LoRA) of 2023 and no model" },
	{ "FUGG", 4, "a GGUF file with its bytes swapped: convert the model for little-endian" },
	{ "PK\3\4", 4, "a zip archive, as PyTorch writes" CONVERT },
	{ "\x80\2", 2, "a Python pickle, as PyTorch wrote once" CONVERT },
	{ "version https://git-lfs", 23,
	  "a Git LFS pointer and not the model itself: fetch it with git lfs pull" },
	{ "<!DOCTYPE", 9, "a web page: the download did not deliver the model" },
	{ "<html", 5, "a web page: the download did not deliver the model" },
#undef CONVERT
#undef REDO
};

static int gguf_not_gguf(struct gguf *g, const uint8_t *p, size_t n, struct zen5rt_error *err)
{
	for (size_t i = 0; i < sizeof(gguf_others) / sizeof(gguf_others[0]); i++)
		if (n >= gguf_others[i].len && !memcmp(p, gguf_others[i].magic, gguf_others[i].len))
			return z5_fail(err, -EINVAL, "%s: is %s", g->name, gguf_others[i].is);
	if (n >= 9 && p[8] == '{')
		return z5_fail(err, -EINVAL, "%s: is a safetensors file: make a GGUF file of its "
			       "directory with llama.cpp's convert_hf_to_gguf.py", g->name);
	if (n < 4)
		return z5_fail(err, -EINVAL, "%s: is no GGUF file: it has %zu bytes; is the "
			       "download complete?", g->name, n);
	return z5_fail(err, -EINVAL, "%s: is no GGUF file: it starts with '%s' "
		       "(%02x %02x %02x %02x)", g->name, cursor_label(p, 4).s, p[0], p[1], p[2],
		       p[3]);
}

static int gguf_check_magic(struct gguf *g, struct cursor *c)
{
	size_t n = c->file_size < 32 ? c->file_size : 32;
	int rc;

	if (!n)
		return z5_fail(c->err, -EINVAL, "%s: is empty (0 bytes); did the download fail?",
			       g->name);
	cursor_at(c, "header");
	rc = cursor_need(c, n, "the header");
	if (rc)
		return rc;
	if (n < 4 || memcmp(c->buf, "GGUF", 4))
		return gguf_not_gguf(g, c->buf, n, c->err);
	c->pos = 4;
	return 0;
}

static int gguf_check_version(struct cursor *c)
{
	uint32_t version;
	int rc = cursor_u32(c, "the version", &version);

	if (rc)
		return rc;
	if (version == 2 || version == 3)
		return 0;
	c->pos -= 4;
	if (version == 1)
		return cursor_fail(c, -EINVAL, "GGUF version 1 had other counts and is not "
				   "supported: download or convert the model anew");
	if (version && !(version & 0xffff))
		return cursor_fail(c, -EINVAL, "a big-endian GGUF file (version %u): convert the "
				   "model for little-endian", __builtin_bswap32(version));
	return cursor_fail(c, -EINVAL, "GGUF version %u is unknown; 2 and 3 are supported",
			   version);
}

/* ---- tensors ---- */

/* Factors are checked before products: a dimension of 0 would hide that the others overflow. */
static int gguf_size_tensor(struct cursor *c, struct gguf_tensor *t)
{
	const struct gguf_type_info *info = gguf_type_info(t->type);
	uint64_t elements = 1, rows = 1, row;
	bool over = false;

	if (!info)
		return cursor_fail(c, -EINVAL, "tensor type %u is unknown or was removed from ggml",
				   t->type);
	for (unsigned int i = 0; i < t->n_dims; i++) {
		if (!t->ne[i])
			return cursor_fail(c, -EINVAL, "dimension %u is 0", i);
		over |= __builtin_mul_overflow(elements, t->ne[i], &elements);
		if (i)
			over |= __builtin_mul_overflow(rows, t->ne[i], &rows);
	}
	if (over || elements > INT64_MAX)
		return cursor_fail(c, -EINVAL, "%llux%llux%llux%llu elements are more than 2^63",
				   (unsigned long long)t->ne[0], (unsigned long long)t->ne[1],
				   (unsigned long long)t->ne[2], (unsigned long long)t->ne[3]);
	if (t->ne[0] % info->block)
		return cursor_fail(c, -EINVAL, "rows of %llu are no multiple of %s's block of %u",
				   (unsigned long long)t->ne[0], info->name, info->block);
	if (__builtin_mul_overflow(t->ne[0] / info->block, (uint64_t)info->bytes, &row) ||
	    __builtin_mul_overflow(row, rows, &t->size) ||
	    __builtin_add_overflow(t->size, (uint64_t)info->tail, &t->size))
		return cursor_fail(c, -EINVAL, "its size in bytes is more than 2^64");
	return 0;
}

static int gguf_read_name(struct cursor *c, uint32_t *off, uint32_t *len)
{
	int rc = cursor_str(c, "the tensor's name", off, len);

	if (rc)
		return rc;
	if (!*len || *len > GGUF_MAX_NAME)
		return cursor_fail(c, -EINVAL, "a tensor name of %u bytes; 1 to %d are allowed",
				   *len, GGUF_MAX_NAME);
	cursor_at(c, "tensor '%s'", cursor_label(c->buf + *off, *len).s);
	for (uint32_t i = 0; i < *len; i++)
		if (c->buf[*off + i] < 0x20 || c->buf[*off + i] == 0x7f)
			return cursor_fail(c, -EINVAL, "a control character in its name");
	return 0;
}

static int gguf_read_tensor(struct cursor *c, struct gguf_tensor *t)
{
	uint32_t name_off, name_len, n_dims;
	int rc = gguf_read_name(c, &name_off, &name_len);

	if (rc)
		return rc;
	rc = cursor_u32(c, "the number of dimensions", &n_dims);
	if (rc)
		return rc;
	if (!n_dims || n_dims > GGUF_MAX_DIMS)
		return cursor_fail(c, -EINVAL, "%u dimensions; 1 to %d are allowed", n_dims,
				   GGUF_MAX_DIMS);
	/* The byte behind the name has just been used, so the name can end in place. */
	c->buf[name_off + name_len] = 0;
	t->n_dims = n_dims;
	for (unsigned int i = 0; i < GGUF_MAX_DIMS; i++) {
		t->ne[i] = 1;
		if (i >= n_dims)
			continue;
		rc = cursor_u64(c, "the dimensions", &t->ne[i]);
		if (rc)
			return rc;
	}
	rc = cursor_u32(c, "the tensor's type", &t->type);
	if (rc)
		return rc;
	rc = gguf_size_tensor(c, t);
	if (rc)
		return rc;
	rc = cursor_u64(c, "the tensor's offset", &t->offset);
	if (rc)
		return rc;
	/* Becomes a pointer when the buffer has stopped moving. */
	t->name = (const char *)(uintptr_t)name_off;
	return 0;
}

static int gguf_read_tensors(struct gguf *g, struct cursor *c, uint64_t n)
{
	int rc;

	cursor_at(c, "header");
	if (n > GGUF_MAX_TENSORS)
		return cursor_fail(c, -EINVAL, "%llu tensors; at most %u are allowed",
				   (unsigned long long)n, GGUF_MAX_TENSORS);
	/* name length, a byte of name, number of dimensions, one, type, offset */
	rc = cursor_room(c, n, 8 + 1 + 4 + 8 + 4 + 8, "the number of tensors");
	if (rc)
		return rc;
	g->tensors = calloc(n ? n : 1, sizeof(*g->tensors));
	if (!g->tensors)
		return cursor_fail(c, -ENOMEM, "no memory for %llu tensors",
				   (unsigned long long)n);
	for (uint64_t i = 0; i < n; i++) {
		cursor_at(c, "tensor %llu of %llu", (unsigned long long)i + 1,
			  (unsigned long long)n);
		rc = gguf_read_tensor(c, &g->tensors[i]);
		if (rc)
			return rc;
	}
	g->n_tensors = n;
	return 0;
}

static int gguf_alignment(struct gguf *g, uint32_t *alignment, struct zen5rt_error *err)
{
	const struct gguf_kv *kv = gguf_find_kv(g, "general.alignment");
	uint32_t a;

	*alignment = GGUF_ALIGNMENT;
	if (!kv)
		return 0;
	if (kv->type != GGUF_U32)
		return z5_fail(err, -EINVAL, "%s: key 'general.alignment': is %s and not u32",
			       g->name, gguf_value_type_name(kv->type));
	memcpy(&a, g->meta + kv->off, sizeof(a));
	if (a < GGUF_MIN_ALIGNMENT || a > GGUF_MAX_ALIGNMENT || (a & (a - 1)))
		return z5_fail(err, -EINVAL, "%s: key 'general.alignment': %u is no power of two "
			       "from %d to %u", g->name, a, GGUF_MIN_ALIGNMENT, GGUF_MAX_ALIGNMENT);
	*alignment = a;
	return 0;
}

/* For what is found when the cursor is done. */
__attribute__((format(printf, 5, 6)))
static int gguf_fail(const struct gguf *g, const struct gguf_tensor *t, struct zen5rt_error *err,
		     int code, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return z5_fail(err, code, "%s: tensor '%s': %s", t->part ? g->parts[t->part - 1]->name : g->name,
		       cursor_label_str(t->name).s, text);
}

/* Turns offsets from the data's start into offsets in the file. */
static int gguf_place_tensors(struct gguf *g, uint64_t data, uint32_t alignment,
			      struct zen5rt_error *err)
{
	for (size_t i = 0; i < g->n_tensors; i++) {
		struct gguf_tensor *t = &g->tensors[i];
		uint64_t end;

		if (t->offset % alignment)
			return gguf_fail(g, t, err, -EINVAL,
					 "offset %llu is no multiple of the alignment %u",
					 (unsigned long long)t->offset, alignment);
		if (__builtin_add_overflow(t->offset, data, &t->offset) ||
		    __builtin_add_overflow(t->offset, t->size, &end) || end > g->file_size)
			return gguf_fail(g, t, err, -EINVAL, "its %llu bytes do not end before the "
					 "file does, at byte %llu; is the download complete?",
					 (unsigned long long)t->size,
					 (unsigned long long)g->file_size);
	}
	return 0;
}

static int gguf_compare_offset(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	return (x->offset > y->offset) - (x->offset < y->offset);
}

static int gguf_compare_name(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;

	return strcmp(x->name, y->name);
}

/*
 * In the order of their offsets, tensors must follow each other with nothing but padding between:
 * an overlap or a gap means that a type or a shape is not what was written. llama.cpp refuses both
 * as well, and even another order, so no file in use is lost. g->by_name serves to sort.
 */
static int gguf_check_gaps(struct gguf *g, uint64_t data, uint32_t alignment,
			   struct zen5rt_error *err)
{
	const struct gguf_tensor *before = NULL;
	uint64_t end = data;

	qsort(g->by_name, g->n_tensors, sizeof(*g->by_name), gguf_compare_offset);
	for (size_t i = 0; i < g->n_tensors; i++) {
		const struct gguf_tensor *t = g->by_name[i];

		if (t->offset < end || t->offset - end >= alignment)
			return gguf_fail(g, t, err, -EINVAL, "starts at byte %llu, but %s%s%s ends "
					 "at %llu: a type, shape or offset is wrong",
					 (unsigned long long)t->offset,
					 before ? "'" : "the metadata",
					 before ? cursor_label_str(before->name).s : "",
					 before ? "' before it" : "", (unsigned long long)end);
		before = t;
		end = t->offset + t->size;
	}
	return 0;
}

int gguf_index_names(struct gguf *g, struct zen5rt_error *err)
{
	size_t n = g->n_tensors;

	g->by_name = malloc(n ? n * sizeof(*g->by_name) : 1);
	if (!g->by_name)
		return z5_fail(err, -ENOMEM, "%s: no memory for %zu tensors", g->name, n);
	for (size_t i = 0; i < n; i++)
		g->by_name[i] = &g->tensors[i];
	qsort(g->by_name, n, sizeof(*g->by_name), gguf_compare_name);
	for (size_t i = 1; i < n; i++)
		if (!gguf_compare_name(&g->by_name[i - 1], &g->by_name[i]))
			return gguf_fail(g, g->by_name[i], err, -EINVAL, "is there twice");
	return 0;
}

static int gguf_index_tensors(struct gguf *g, uint64_t data, uint32_t alignment,
			      struct zen5rt_error *err)
{
	int rc = gguf_index_names(g, err);

	if (!rc)
		rc = gguf_check_gaps(g, data, alignment, err);
	if (rc)
		return rc;
	qsort(g->by_name, g->n_tensors, sizeof(*g->by_name), gguf_compare_name);
	return 0;
}

size_t gguf_n_tensors(const struct gguf *g)
{
	return g->n_tensors;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i)
{
	return i < g->n_tensors ? &g->tensors[i] : NULL;
}

const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name)
{
	size_t lo = 0, hi = g->n_tensors;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int d = strcmp(name, g->by_name[mid]->name);

		if (!d)
			return g->by_name[mid];
		if (d < 0)
			hi = mid;
		else
			lo = mid + 1;
	}
	return NULL;
}

int gguf_pread(const struct gguf *g, const struct gguf_tensor *t, void *buf, uint64_t off,
	       size_t n, struct zen5rt_error *err)
{
	const int fd = t->part ? g->parts[t->part - 1]->fd : g->fd;
	uint8_t *p = buf;

	if (off > t->size || n > t->size - off)
		return gguf_fail(g, t, err, -EINVAL, "%zu bytes from %llu on asked for, of %llu", n,
				 (unsigned long long)off, (unsigned long long)t->size);
	while (n) {
		uint64_t at = t->offset + off;
		ssize_t got = pread(fd, p, n < GGUF_READ_MAX ? n : GGUF_READ_MAX, (off_t)at);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0) {
			int e = errno;

			return gguf_fail(g, t, err, -e, "reading at byte %llu failed: %s",
					 (unsigned long long)at, strerror(e));
		}
		if (!got)
			return gguf_fail(g, t, err, -EIO, "the file has become shorter: it ends at "
					 "byte %llu", (unsigned long long)at);
		p += got;
		off += (size_t)got;
		n -= (size_t)got;
	}
	return 0;
}

void gguf_will_need(const struct gguf *g, const struct gguf_tensor *t, uint64_t off, size_t n)
{
	const int fd = t->part ? g->parts[t->part - 1]->fd : g->fd;

	/* where that is not possible nothing is lost but time */
	if (off < t->size)
		posix_fadvise(fd, (off_t)(t->offset + off), (off_t)(n < t->size - off ? n : t->size - off),
			      POSIX_FADV_WILLNEED);
}

/* ---- opening ---- */

static int gguf_parse(struct gguf *g, struct cursor *c)
{
	uint64_t n_tensors, n_kv;
	uint32_t alignment;
	uint8_t *meta;
	uint64_t data;
	int rc;

	rc = gguf_check_magic(g, c);
	if (!rc)
		rc = gguf_check_version(c);
	if (!rc)
		rc = cursor_u64(c, "the number of tensors", &n_tensors);
	if (!rc)
		rc = cursor_u64(c, "the number of keys", &n_kv);
	if (!rc)
		rc = gguf_read_kv(g, c, n_kv);
	if (!rc)
		rc = gguf_read_tensors(g, c, n_tensors);
	if (rc)
		return rc;

	meta = realloc(c->buf, c->pos);
	if (!meta)
		return cursor_fail(c, -ENOMEM, "no memory for %zu bytes of metadata", c->pos);
	g->meta = c->buf = meta;
	for (size_t i = 0; i < g->n_tensors; i++)
		g->tensors[i].name = (const char *)meta + (uintptr_t)g->tensors[i].name;

	rc = gguf_index_kv(g, c->err);
	if (!rc)
		rc = gguf_alignment(g, &alignment, c->err);
	if (rc)
		return rc;
	data = (c->pos + alignment - 1) & ~(uint64_t)(alignment - 1);
	rc = gguf_place_tensors(g, data, alignment, c->err);
	if (!rc)
		rc = gguf_index_tensors(g, data, alignment, c->err);
	return rc;
}

static void gguf_set_name(struct gguf *g, const char *path)
{
	size_t len = strlen(path);

	if (len < sizeof(g->name)) {
		strcpy(g->name, path);
		return;
	}
	path += len - (sizeof(g->name) - 4);
	/* not in the middle of a UTF-8 character */
	while ((*path & 0xc0) == 0x80)
		path++;
	snprintf(g->name, sizeof(g->name), "...%s", path);
}

static int gguf_check_kind(const char *name, mode_t mode, struct zen5rt_error *err)
{
	if (S_ISREG(mode))
		return 0;
	if (S_ISDIR(mode))
		return z5_fail(err, -EISDIR, "%s: is a directory: name the .gguf file in it", name);
	return z5_fail(err, -EINVAL, "%s: is %s: a model must be an ordinary file, its parts are "
		       "read in any order", name, S_ISFIFO(mode) ? "a pipe" :
		       S_ISSOCK(mode) ? "a socket" : "a device");
}

/* fd is g's from here on. */
static int gguf_start(struct gguf *g, struct zen5rt_error *err)
{
	struct cursor c = { .fd = g->fd, .name = g->name, .err = err };
	struct stat st;
	int rc;

	if (fstat(g->fd, &st)) {
		int e = errno;

		return z5_fail(err, -e, "%s: %s", g->name, strerror(e));
	}
	rc = gguf_check_kind(g->name, st.st_mode, err);
	if (rc)
		return rc;
	g->file_size = c.file_size = (uint64_t)st.st_size;
	rc = gguf_parse(g, &c);
	g->meta = c.buf;
	return rc;
}

static int gguf_new(const char *path, struct gguf **out, struct zen5rt_error *err)
{
	struct gguf *g = calloc(1, sizeof(*g));

	if (g)
		g->path = strdup(path);
	if (!g || !g->path) {
		free(g);
		return z5_fail(err, -ENOMEM, "no memory to open %.200s", path);
	}
	g->fd = -1;
	gguf_set_name(g, path);
	*out = g;
	return 0;
}

int gguf_open(const char *path, struct gguf **out, struct zen5rt_error *err)
{
	struct stat st;
	struct gguf *g;
	int rc;

	if (!path || !*path)
		return z5_fail(err, -EINVAL, "no model file named");
	if (!strcmp(path, "-"))
		return z5_fail(err, -EINVAL, "-: a model cannot come from standard input: "
			       "name a file");
	rc = gguf_new(path, &g, err);
	if (rc)
		return rc;
	/* Looked at before it is opened: opening a device can do something. */
	if (stat(path, &st)) {
		int e = errno;

		rc = z5_fail(err, -e, "%s: %s", g->name, strerror(e));
		goto err_close;
	}
	rc = gguf_check_kind(g->name, st.st_mode, err);
	if (rc)
		goto err_close;
	/* O_NONBLOCK: were it replaced by a pipe just now, open() must not wait for a writer. */
	g->fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	if (g->fd < 0) {
		int e = errno;

		rc = z5_fail(err, -e, "%s: %s", g->name, strerror(e));
		goto err_close;
	}
	rc = gguf_start(g, err);
	if (rc)
		goto err_close;
	*out = g;
	return 0;

err_close:
	gguf_close(g);
	return rc;
}

int gguf_open_fd(int fd, const char *name, struct gguf **out, struct zen5rt_error *err)
{
	struct gguf *g;
	int rc = gguf_new(name, &g, err);

	if (rc)
		return rc;
	g->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (g->fd < 0) {
		int e = errno;

		rc = z5_fail(err, -e, "%s: %s", g->name, strerror(e));
		goto err_close;
	}
	rc = gguf_start(g, err);
	if (rc)
		goto err_close;
	*out = g;
	return 0;

err_close:
	gguf_close(g);
	return rc;
}

void gguf_close(struct gguf *g)
{
	if (!g)
		return;
	for (uint32_t i = 0; i < g->n_parts; i++)
		gguf_close(g->parts[i]);
	free(g->parts);
	gguf_free_kv(g);
	free(g->tensors);
	free(g->by_name);
	free(g->meta);
	if (g->fd >= 0)
		close(g->fd);
	free(g->path);
	free(g);
}

const char *gguf_path(const struct gguf *g)
{
	return g->name;
}

uint64_t gguf_file_size(const struct gguf *g)
{
	return g->file_size;
}
