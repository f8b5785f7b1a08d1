// SPDX-License-Identifier: MIT
/*
 * Character classes over bytes. The code points that begin with given bytes of UTF-8 are a block of
 * consecutive ones, so the automaton of a class is found by cutting its ranges into those blocks:
 * 128 single bytes, then blocks of 64, 64 * 64 and 64 * 64 * 64 (RFC 3629, section 4). Nothing but
 * valid UTF-8 is ever matched.
 */
#include "error.h"
#include "grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SET_LAST 0x10ffffu

int z5_grow(void *p, uint32_t n, uint32_t *cap, size_t size)
{
	void *q;
	uint32_t more;

	if (n < *cap)
		return 0;
	if (*cap > UINT32_MAX / 2)
		return -ENOMEM;
	more = *cap ? *cap * 2 : 64;
	/* p is the address of a pointer of any type */
	memcpy(&q, p, sizeof(q));
	/* cppcheck-suppress memleakOnRealloc ; the caller's pointer still has it */
	q = reallocarray(q, more, size);
	if (!q)
		return -ENOMEM;
	memcpy(p, &q, sizeof(q));
	*cap = more;
	return 0;
}

static int set_order(const void *a, const void *b)
{
	const struct z5_range *x = a, *y = b;

	return x->lo < y->lo ? -1 : x->lo > y->lo;
}

/* r has room for n + 2 ranges: the surrogates are one more, and so are the gaps between n + 1. */
size_t z5_set_normalise(struct z5_range *r, size_t n, bool negate)
{
	size_t k = 0;
	uint32_t from = 0;

	r[n++] = (struct z5_range){ 0xd800, 0xdfff };
	qsort(r, n, sizeof(*r), set_order);
	for (size_t i = 0; i < n; i++) {
		if (k && r[i].lo <= r[k - 1].hi + 1) {
			if (r[i].hi > r[k - 1].hi)
				r[k - 1].hi = r[i].hi;
		} else {
			r[k++] = r[i];
		}
	}
	n = k;
	if (negate) {
		/* the gaps between ranges that hold the surrogates */
		for (size_t i = k = 0; i < n; i++) {
			struct z5_range cur = r[i];

			if (cur.lo > from)
				r[k++] = (struct z5_range){ from, cur.lo - 1 };
			from = cur.hi + 1;
		}
		if (from <= SET_LAST)
			r[k++] = (struct z5_range){ from, SET_LAST };
		return k;
	}
	for (size_t i = 0; i < n; i++) {
		if (r[i].lo > 0xd800 || r[i].hi < 0xdfff)
			continue;
		if (r[i].hi > 0xdfff)
			r[n++] = (struct z5_range){ 0xe000, r[i].hi };
		if (r[i].lo < 0xd800)
			r[i].hi = 0xd7ff;
		else
			r[i] = r[--n];
		break;
	}
	qsort(r, n, sizeof(*r), set_order);
	return n;
}

struct set_build {
	struct z5_sets *s;
	const struct z5_range *r;
	size_t n;
	uint32_t clip_lo, clip_hi;	/* code points of the length of UTF-8 that is at hand */
};

enum set_cover { SET_NOT, SET_PART, SET_ALL };

static enum set_cover set_cover(const struct set_build *b, uint32_t lo, uint32_t hi)
{
	size_t from = 0, to = b->n;

	while (from < to) {
		size_t mid = from + (to - from) / 2;

		if (b->r[mid].hi < lo)
			from = mid + 1;
		else
			to = mid;
	}
	if (from == b->n || b->r[from].lo > hi || hi < b->clip_lo || lo > b->clip_hi)
		return SET_NOT;
	return b->r[from].lo <= lo && b->r[from].hi >= hi && lo >= b->clip_lo && hi <= b->clip_hi ?
	       SET_ALL : SET_PART;
}

static int set_state(struct z5_sets *s, const struct z5_byte_range *edge, uint32_t n, uint32_t *id)
{
	if (!s->n_state) {
		if (z5_grow(&s->state, 0, &s->cap_state, sizeof(*s->state)))
			return -ENOMEM;
		s->state[s->n_state++] = (struct z5_set_state){ 0, 0 };
	}
	if (s->n_edge + n > Z5_GRAMMAR_SETS)
		return -E2BIG;
	if (z5_grow(&s->state, s->n_state, &s->cap_state, sizeof(*s->state)))
		return -ENOMEM;
	s->state[s->n_state] = (struct z5_set_state){ s->n_edge, n };
	for (uint32_t i = 0; i < n; i++) {
		if (z5_grow(&s->edge, s->n_edge, &s->cap_edge, sizeof(*s->edge)))
			return -ENOMEM;
		s->edge[s->n_edge++] = edge[i];
	}
	*id = s->n_state++;
	return 0;
}

/* The state for any more continuation bytes. */
static int set_full(struct z5_sets *s, unsigned int more, uint32_t *id)
{
	uint32_t to = Z5_SET_DONE;

	for (unsigned int i = 1; i <= more; i++) {
		struct z5_byte_range e = { 0x80, 0xbf, to };
		int r = s->full[i] ? 0 : set_state(s, &e, 1, &s->full[i]);

		if (r)
			return r;
		to = s->full[i];
	}
	*id = to;
	return 0;
}

/* Appends an edge, or widens the last one if it leads to the same state. */
static void set_edge(struct z5_byte_range *edge, uint32_t *n, unsigned int byte, uint32_t to)
{
	if (*n && edge[*n - 1].to == to && edge[*n - 1].hi + 1u == byte)
		edge[*n - 1].hi = (uint8_t)byte;
	else
		edge[(*n)++] = (struct z5_byte_range){ (uint8_t)byte, (uint8_t)byte, to };
}

/* Adds edges for the bytes first..last, each of which begins a block of 64^more code points from lo on. */
static int set_blocks(struct set_build *b, unsigned int first, unsigned int last, uint32_t lo,
		      unsigned int more, struct z5_byte_range *edge, uint32_t *n)
{
	uint32_t size = 1u << 6 * more, to, k;
	int r;

	for (unsigned int byte = first; byte <= last; byte++, lo += size) {
		struct z5_byte_range below[64];
		enum set_cover c = set_cover(b, lo, lo + size - 1);

		if (c == SET_NOT)
			continue;
		if (c == SET_ALL) {
			r = set_full(b->s, more, &to);
		} else {
			/* at most three bytes follow the first one; of the last one's blocks of 1 none is in parts */
			Z5_KNOWN(more > 0 && more <= 3);
			k = 0;
			r = set_blocks(b, 0x80, 0xbf, lo, more - 1, below, &k);
			if (!r && !k)
				continue;
			if (!r)
				r = set_state(b->s, below, k, &to);
		}
		if (r)
			return r;
		set_edge(edge, n, byte, to);
	}
	return 0;
}

int z5_set_add(struct z5_sets *s, const struct z5_range *r, size_t n, uint32_t *state)
{
	static const struct { uint32_t lo, hi, base; uint8_t first, last, more; } len[] = {
		{ 0, 0x7f, 0, 0, 0x7f, 0 },
		{ 0x80, 0x7ff, 0x80, 0xc2, 0xdf, 1 },
		{ 0x800, 0xffff, 0, 0xe0, 0xef, 2 },
		{ 0x10000, SET_LAST, 0, 0xf0, 0xf4, 3 },
	};
	struct z5_byte_range edge[256];
	uint32_t n_edge = 0;

	for (size_t i = 0; i < sizeof(len) / sizeof(*len); i++) {
		struct set_build b = { s, r, n, len[i].lo, len[i].hi };
		int ret = set_blocks(&b, len[i].first, len[i].last, len[i].base, len[i].more, edge,
				     &n_edge);

		if (ret)
			return ret;
	}
	return set_state(s, edge, n_edge, state);
}
