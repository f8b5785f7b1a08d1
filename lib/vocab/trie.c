// SPDX-License-Identifier: MIT
#include "trie.h"

#include <errno.h>
#include <stdlib.h>

#define TRIE_NODES_MAX (1u << 31)

int z5_trie_init(struct z5_trie *t, uint64_t seed)
{
	memset(t, 0, sizeof(*t));
	t->seed = seed;
	t->mask = 1023;
	t->edge = calloc((size_t)t->mask + 1, sizeof(*t->edge));
	t->cap = 512;
	t->value = malloc(t->cap * sizeof(*t->value));
	if (!t->edge || !t->value)
		return -ENOMEM;
	t->n = 1;
	t->value[0] = Z5_NO_ID;
	return 0;
}

void z5_trie_free(struct z5_trie *t)
{
	free(t->edge);
	free(t->value);
}

/* Half of the slots stay empty. */
static int trie_grow(struct z5_trie *t)
{
	struct z5_trie next = *t;
	uint32_t *value;

	if (t->n < t->cap)
		return 0;
	if (t->n >= TRIE_NODES_MAX / 2)
		return -EOVERFLOW;
	value = realloc(t->value, 2 * (size_t)t->cap * sizeof(*value));
	if (!value)
		return -ENOMEM;
	t->value = value;
	next.value = value;
	next.cap = t->cap * 2;
	next.mask = t->mask * 2 + 1;
	next.edge = calloc((size_t)next.mask + 1, sizeof(*next.edge));
	if (!next.edge)
		return -ENOMEM;
	for (size_t i = 0; i <= t->mask; i++)
		if (t->edge[i].child)
			next.edge[z5_trie_slot(&next, t->edge[i].node, (uint8_t)t->edge[i].byte)] =
				t->edge[i];
	free(t->edge);
	t->edge = next.edge;
	t->cap = next.cap;
	t->mask = next.mask;
	return 0;
}

int z5_trie_add(struct z5_trie *t, const char *p, size_t len, uint32_t id)
{
	uint32_t node = 0;

	if (!len)
		return 0;
	for (size_t i = 0; i < len; i++) {
		uint32_t slot;
		int r = trie_grow(t);

		if (r)
			return r;
		slot = z5_trie_slot(t, node, (uint8_t)p[i]);
		if (!t->edge[slot].child) {
			t->edge[slot] = (struct z5_trie_edge){ node, t->n, (uint8_t)p[i] };
			t->value[t->n++] = Z5_NO_ID;
		}
		node = t->edge[slot].child;
	}
	if (t->value[node] == Z5_NO_ID)
		t->value[node] = id;
	return 0;
}
