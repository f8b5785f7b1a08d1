/* SPDX-License-Identifier: MIT */
/* Tokens by their bytes: for finding every token that a text begins with. */
#ifndef Z5_TRIE_H
#define Z5_TRIE_H

#include <vocab/internal.h>

/*
 * Nodes are numbered from 0, the root, in the order in which they were made; the way from a node
 * to its child is a hash of both and the byte between them. Keyed like z5_strtab.
 */
struct z5_trie {
	struct z5_trie_edge {
		uint32_t node, child;	/* child 0: an empty slot */
		uint32_t byte;
	} *edge;
	uint32_t mask;
	uint32_t *value;		/* of a node: an id, Z5_NO_ID if no token ends here */
	uint32_t n, cap;
	uint64_t seed;
};

int z5_trie_init(struct z5_trie *t, uint64_t seed);
void z5_trie_free(struct z5_trie *t);
/* Of equal strings the first stays; the empty one is left out. -ENOMEM, -EOVERFLOW. */
int z5_trie_add(struct z5_trie *t, const char *p, size_t len, uint32_t id);

static inline uint32_t z5_trie_slot(const struct z5_trie *t, uint32_t node, uint8_t byte)
{
	uint64_t h = ((uint64_t)node << 8 | byte) * 0x9e3779b97f4a7c15u ^ t->seed;
	uint32_t i;

	h = z5_mix(h, 0xd6e8feb86659fd93u);
	for (i = (uint32_t)h & t->mask; t->edge[i].child; i = (i + 1) & t->mask)
		if (t->edge[i].node == node && t->edge[i].byte == byte)
			break;
	return i;
}

/* The child of a node, 0 if it has none for that byte. */
static inline uint32_t z5_trie_step(const struct z5_trie *t, uint32_t node, char byte)
{
	return t->edge[z5_trie_slot(t, node, (uint8_t)byte)].child;
}

#endif
