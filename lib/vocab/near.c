// SPDX-License-Identifier: MIT
/* Words of a text whose tokens write spaces as U+2581: SPM, UGM, and BPE over raw UTF-8. */
#include "internal.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>

static uint32_t near_bit(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u >> (64 - Z5_NEAR_BITS));
}

void z5_near_add(struct z5_near *near, const char *p, size_t len)
{
	uint32_t prev = 0, cp, bit;

	for (size_t i = 0, n; i < len; i += n, prev = cp) {
		n = utf8_next(p + i, len - i, &cp);
		if (!i)
			continue;
		bit = near_bit(prev, cp);
		near->bit[bit / 64] |= 1ull << (bit % 64);
	}
}

int z5_tok_append(struct z5_tok *t, const char *p, size_t len)
{
	if (t->n_buf + len > t->cap_buf) {
		size_t cap = (t->n_buf + len) * 3 / 2 + 256;
		char *buf = realloc(t->buf, cap);

		if (!buf)
			return -ENOMEM;
		t->buf = buf;
		t->cap_buf = cap;
	}
	memcpy(t->buf + t->n_buf, p, len);
	t->n_buf += len;
	/* Offsets of symbols are 32 bits wide, and one number is taken. */
	return t->n_buf < UINT32_MAX ? 0 : -ENOMEM;
}

int z5_near_split(struct z5_tok *t, const struct z5_near *near, const char *p, size_t len,
		  bool prefix, z5_escaped_fn fn)
{
	uint32_t prev = Z5_SPACE_CP, cp, bit;
	bool apart;
	int r = 0;

	t->n_buf = 0;
	if (prefix)
		r = z5_tok_append(t, Z5_SPACE, 3);
	for (size_t i = 0, n; i < len && !r; i += n, prev = cp) {
		n = utf8_next(p + i, len - i, &cp);
		if (cp == ' ')
			cp = Z5_SPACE_CP;
		bit = near_bit(prev, cp);
		apart = near ? !(near->bit[bit / 64] >> (bit % 64) & 1) : cp == Z5_SPACE_CP;
		if (t->n_buf && apart) {
			r = fn(t, t->buf, t->n_buf);
			t->n_buf = 0;
		}
		if (!r)
			r = cp == Z5_SPACE_CP ? z5_tok_append(t, Z5_SPACE, 3) :
						z5_tok_append(t, p + i, n);
	}
	if (!r && t->n_buf)
		r = fn(t, t->buf, t->n_buf);
	t->n_buf = 0;
	return r;
}
