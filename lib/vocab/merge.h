/* SPDX-License-Identifier: MIT */
/*
 * Greedy pair merging, the heart of SPM and BPE alike: of all neighbours that may merge take the
 * pair of lowest rank, the leftmost of equals, until none is left. The caller's pair function
 * is a compile-time argument, so that each tokenizer gets a loop of its own.
 */
#ifndef Z5_MERGE_H
#define Z5_MERGE_H

#include <errno.h>
#include <stdlib.h>
#include <vocab/internal.h>

#include "error.h"
#include "utf8.h"

#define MERGE_NONE UINT32_MAX	/* neither a neighbour nor a rank */
#define MERGE_SCAN 32		/* up to here a scan for the minimum beats a heap */

/* A symbol is numbered by the offset of its first byte: memory grows with the text alone. */
struct z5_sym {
	uint32_t len;		/* 0: swallowed by its left neighbour */
	uint32_t prev, next;
	uint32_t id;
};

struct z5_bigram {
	uint64_t key;		/* rank, then left: what the order is about */
	uint32_t right;
	uint32_t size;		/* of both together: tells that it is out of date */
};

/*
 * May the symbols at offsets l and r merge? Returns the rank, and in *id what they become;
 * MERGE_NONE if not. len is that of both together.
 */
typedef uint32_t (*z5_pair_fn)(const struct zen5rt_vocab *v, const char *text, uint32_t l,
			       uint32_t len, uint32_t lid, uint32_t rid, uint32_t *id);

static inline int merge_push(struct z5_merge *m, struct z5_bigram b)
{
	size_t i;

	if (m->n_heap == m->cap_heap) {
		size_t cap = m->cap_heap * 2 + 256;
		struct z5_bigram *heap = realloc(m->heap, cap * sizeof(*heap));

		if (!heap)
			return -ENOMEM;
		m->heap = heap;
		m->cap_heap = cap;
	}
	for (i = m->n_heap++; i && m->heap[(i - 1) / 2].key > b.key; i = (i - 1) / 2)
		m->heap[i] = m->heap[(i - 1) / 2];
	m->heap[i] = b;
	return 0;
}

static inline struct z5_bigram merge_pop(struct z5_merge *m)
{
	struct z5_bigram top = m->heap[0], last = m->heap[--m->n_heap];
	size_t i = 0, c;

	while ((c = 2 * i + 1) < m->n_heap) {
		if (c + 1 < m->n_heap && m->heap[c + 1].key < m->heap[c].key)
			c++;
		if (m->heap[c].key >= last.key)
			break;
		m->heap[i] = m->heap[c];
		i = c;
	}
	m->heap[i] = last;
	return top;
}

/* The rank of symbol l with its right neighbour. */
static inline __attribute__((always_inline)) uint32_t
merge_rank(const struct z5_merge *m, const struct zen5rt_vocab *v, const char *text, uint32_t l,
	   uint32_t *id, z5_pair_fn pair)
{
	const struct z5_sym *s = m->sym;
	uint32_t r = s[l].next;

	if (r == MERGE_NONE)
		return MERGE_NONE;
	return pair(v, text, l, s[l].len + s[r].len, s[l].id, s[r].id, id);
}

/* Queues the pair that begins with symbol l, if there is one. */
static inline __attribute__((always_inline)) int
merge_queue(struct z5_merge *m, const struct zen5rt_vocab *v, const char *text, uint32_t l,
	    z5_pair_fn pair)
{
	uint32_t rank, id, r;

	if (l == MERGE_NONE)
		return 0;
	rank = merge_rank(m, v, text, l, &id, pair);
	if (rank == MERGE_NONE)
		return 0;
	r = m->sym[l].next;
	return merge_push(m, (struct z5_bigram){ (uint64_t)rank << 32 | l, r,
						 m->sym[l].len + m->sym[r].len });
}

/* Room for the symbols of len bytes of text; the caller then fills in the chain from 0 on. */
static inline int merge_reserve(struct z5_merge *m, size_t len)
{
	struct z5_sym *sym;
	size_t cap = len * 5 / 4 + 64;

	if (len <= m->cap_sym)
		return 0;
	sym = realloc(m->sym, cap * sizeof(*sym));
	if (!sym)
		return -ENOMEM;
	m->sym = sym;
	m->cap_sym = cap;
	return 0;
}

static inline __attribute__((always_inline)) void
merge_join(struct z5_merge *m, uint32_t l, uint32_t r, uint32_t id)
{
	struct z5_sym *s = m->sym;

	s[l].len += s[r].len;
	s[l].next = s[r].next;
	s[l].id = id;
	s[r].len = 0;
	if (s[l].next != MERGE_NONE)
		s[s[l].next].prev = l;
}

/* Short words: the symbols stand in a row, and the lowest pair is looked for after each merge. */
static inline __attribute__((always_inline)) void
merge_scan(struct z5_merge *m, const struct zen5rt_vocab *v, const char *text, z5_pair_fn pair)
{
	/* rank and id are those with the right neighbour */
	struct { uint32_t l, rank, id; } row[MERGE_SCAN];
	struct z5_sym *s = m->sym;
	uint32_t n = 0, best = 0;

	for (uint32_t l = 0; l != MERGE_NONE; l = s[l].next)
		row[n++].l = l;
	for (uint32_t i = 0; i < n; i++)
		row[i].rank = merge_rank(m, v, text, row[i].l, &row[i].id, pair);
	for (;;) {
		best = 0;
		for (uint32_t i = 1; i < n; i++)
			if (row[i].rank < row[best].rank)
				best = i;
		if (row[best].rank == MERGE_NONE)
			return;
		/* the last one has no right neighbour, and so no rank */
		Z5_KNOWN(best + 1 < n);
		merge_join(m, row[best].l, row[best + 1].l, row[best].id);
		n--;
		for (uint32_t i = best + 1; i < n; i++)
			row[i] = row[i + 1];
		for (uint32_t i = best ? best - 1 : 0; i <= best; i++)
			row[i].rank = merge_rank(m, v, text, row[i].l, &row[i].id, pair);
	}
}

/* n: symbols in the chain. -ENOMEM. */
static inline __attribute__((always_inline)) int
merge_run(struct z5_merge *m, const struct zen5rt_vocab *v, const char *text, size_t n,
	  z5_pair_fn pair)
{
	struct z5_sym *s = m->sym;
	uint32_t id = 0;

	if (n <= MERGE_SCAN) {
		merge_scan(m, v, text, pair);
		return 0;
	}
	m->n_heap = 0;
	for (uint32_t l = 0; l != MERGE_NONE; l = s[l].next)
		if (merge_queue(m, v, text, l, pair))
			return -ENOMEM;
	while (m->n_heap) {
		struct z5_bigram b = merge_pop(m);
		uint32_t l = (uint32_t)b.key;

		if (!s[l].len || !s[b.right].len || s[l].len + s[b.right].len != b.size)
			continue;
		pair(v, text, l, b.size, s[l].id, s[b.right].id, &id);
		merge_join(m, l, b.right, id);
		if (merge_queue(m, v, text, s[l].prev, pair) || merge_queue(m, v, text, l, pair))
			return -ENOMEM;
	}
	return 0;
}

typedef void (*z5_emit_fn)(struct z5_tok *t, const char *p, size_t len, uint32_t id);

/* A word whose symbols begin as characters: merged, and each that is left goes to emit. -ENOMEM. */
static inline __attribute__((always_inline)) int
merge_chars(struct z5_tok *t, const char *p, size_t len, z5_pair_fn pair, z5_emit_fn emit)
{
	uint32_t prev = MERGE_NONE, cp;
	struct z5_word *slot;
	struct z5_sym *s;
	int64_t from = t->n;
	size_t n = 0;

	if (z5_tok_cached(t, p, len, &slot))
		return 0;
	if (merge_reserve(&t->merge, len))
		return -ENOMEM;
	s = t->merge.sym;
	for (uint32_t i = 0; i < len; prev = i, i = s[i].next, n++) {
		uint32_t c = (uint32_t)utf8_next(p + i, len - i, &cp);

		s[i] = (struct z5_sym){ c, prev, i + c, z5_strtab_find(&t->v->str, p + i, c) };
	}
	s[prev].next = MERGE_NONE;
	if (merge_run(&t->merge, t->v, p, n, pair))
		return -ENOMEM;
	for (uint32_t i = 0; i != MERGE_NONE; i = s[i].next)
		emit(t, p + i, s[i].len, s[i].id);
	z5_tok_cache(t, slot, p, len, from);
	return 0;
}

#endif
