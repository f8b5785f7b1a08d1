// SPDX-License-Identifier: MIT
#include "cursor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"

#define CURSOR_FIRST_READ (64u << 10)

struct cursor_label cursor_label(const void *p, size_t len)
{
	const unsigned char *s = p;
	struct cursor_label l;
	size_t n = len < 64 ? len : 64;

	for (size_t i = 0; i < n; i++)
		l.s[i] = s[i] >= 0x20 && s[i] < 0x7f ? (char)s[i] : '?';
	strcpy(l.s + n, len > n ? "..." : "");
	return l;
}

struct cursor_label cursor_label_str(const char *s)
{
	return cursor_label(s, strlen(s));
}

void cursor_at(struct cursor *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->where, sizeof(c->where), fmt, ap);
	va_end(ap);
}

int cursor_fail(struct cursor *c, int code, const char *fmt, ...)
{
	char text[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	return z5_fail(c->err, code, "%s: %s (byte %zu): %s", c->name, c->where, c->pos, text);
}

static uint64_t cursor_left(const struct cursor *c)
{
	uint64_t end = c->file_size < CURSOR_MAX ? c->file_size : CURSOR_MAX;

	return end - c->pos;
}

static int cursor_too_far(struct cursor *c, uint64_t n, const char *what)
{
	if (c->file_size > CURSOR_MAX)
		return cursor_fail(c, -EINVAL, "%s needs %llu bytes; all metadata may have %u MiB",
				   what, (unsigned long long)n, CURSOR_MAX >> 20);
	return cursor_fail(c, -EINVAL,
			   "%s needs %llu bytes, the file has %llu more; is the download complete?",
			   what, (unsigned long long)n, (unsigned long long)cursor_left(c));
}

/* Doubling keeps the memory within twice the bytes that the file has really delivered. */
static int cursor_grow(struct cursor *c)
{
	uint64_t end = c->pos + cursor_left(c);
	size_t cap = c->cap ? 2 * c->cap : CURSOR_FIRST_READ;
	uint8_t *buf;

	if (cap > end)
		cap = end;
	buf = realloc(c->buf, cap);
	if (!buf)
		return cursor_fail(c, -ENOMEM, "no memory for %zu bytes of metadata", cap);
	c->buf = buf;
	c->cap = cap;
	return 0;
}

static int cursor_fill(struct cursor *c, size_t end)
{
	while (c->have < end) {
		ssize_t n;

		if (c->have == c->cap) {
			int rc = cursor_grow(c);

			if (rc)
				return rc;
		}
		n = pread(c->fd, c->buf + c->have, c->cap - c->have, (off_t)c->have);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int e = errno;

			return cursor_fail(c, -e, "reading failed: %s", strerror(e));
		}
		if (!n)
			return cursor_fail(c, -EIO, "the file became shorter while it was read");
		c->have += (size_t)n;
	}
	return 0;
}

int cursor_need(struct cursor *c, uint64_t n, const char *what)
{
	if (n > cursor_left(c))
		return cursor_too_far(c, n, what);
	return cursor_fill(c, c->pos + (size_t)n);
}

int cursor_room(struct cursor *c, uint64_t count, uint32_t each, const char *what)
{
	if (count > cursor_left(c) / each)
		return cursor_fail(c, -EINVAL, "%s is %llu, but only %llu bytes can follow", what,
				   (unsigned long long)count, (unsigned long long)cursor_left(c));
	return 0;
}

int cursor_u32(struct cursor *c, const char *what, uint32_t *v)
{
	int rc = cursor_need(c, sizeof(*v), what);

	if (rc)
		return rc;
	memcpy(v, c->buf + c->pos, sizeof(*v));
	c->pos += sizeof(*v);
	return 0;
}

int cursor_u64(struct cursor *c, const char *what, uint64_t *v)
{
	int rc = cursor_need(c, sizeof(*v), what);

	if (rc)
		return rc;
	memcpy(v, c->buf + c->pos, sizeof(*v));
	c->pos += sizeof(*v);
	return 0;
}

int cursor_skip(struct cursor *c, uint64_t n, const char *what)
{
	int rc = cursor_need(c, n, what);

	if (rc)
		return rc;
	c->pos += (size_t)n;
	return 0;
}

int cursor_str(struct cursor *c, const char *what, uint32_t *off, uint32_t *len)
{
	uint64_t n;
	int rc = cursor_u64(c, what, &n);

	if (rc)
		return rc;
	*off = (uint32_t)c->pos;
	rc = cursor_skip(c, n, what);
	if (rc)
		return rc;
	*len = (uint32_t)n;
	return 0;
}
