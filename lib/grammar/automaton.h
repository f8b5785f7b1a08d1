/* SPDX-License-Identifier: MIT */
/*
 * A program run over bytes. At any place in the text there is a set of steps that may come next, each
 * with the rules that wait for its own to be complete: a stack. Stacks share their lower parts, and
 * equal ones are one, so that a set of any number of them stays small: a node stands for "a rule was
 * called", with an edge for each place that goes on after it. Equal sets are one state, a number; a
 * transition that was computed once is looked up from then on.
 *
 * Everything here is a cache: z5_automaton_trim() may throw away what is not in use, and no answer
 * depends on what is there.
 */
#ifndef Z5_AUTOMATON_H
#define Z5_AUTOMATON_H

#include "grammar.h"

/* Steps looked at for one byte, that is: places in the grammar where the text may stand at once. */
#define Z5_AUTOMATON_STEPS	(1u << 16)
/* Rules that wait for one another. */
#define Z5_AUTOMATON_DEPTH	(1u << 14)
/* Memory above which states that are not in use are forgotten. */
#define Z5_AUTOMATON_BYTES	((size_t)64 << 20)

/* Numbers of states that are no sets. */
#define Z5_STATE_UNKNOWN	0	/* of a transition that was not computed yet */
#define Z5_STATE_DEAD		1	/* nothing may come here */
#define Z5_STATE_BEYOND		2	/* past one of the bounds above */
#define Z5_STATE_FIRST		3

struct z5_edge {
	uint32_t ret, parent;	/* go on at step ret with stack parent */
};

struct z5_node {
	uint32_t edge, n;
	uint32_t depth;
	uint32_t hash;
};

/* Only steps that match something: bytes, sets and tokens. */
struct z5_item {
	uint32_t pos;
	uint32_t sub;		/* set state, for a character of which some bytes have come */
	uint32_t node;
};

struct z5_move {
	uint32_t to;
	uint32_t cost;		/* steps that were looked at, whoever did it first */
};

/* Which tokens may come next. */
struct z5_mask {
	uint32_t count;
	int error;		/* 0, or -E2BIG: it is not known within the bounds */
	uint64_t bits[];
};

struct z5_state {
	uint32_t item, n;
	uint32_t hash;
	bool accept;		/* the text may end here */
	struct z5_move *row;	/* by class of byte; NULL: none yet */
	struct z5_mask *mask;
};

/* A state that somebody holds; trim() changes the number. */
struct z5_ref {
	uint32_t state;
	struct z5_ref *next, **prev;
};

struct z5_automaton {
	const struct z5_program *p;
	uint64_t seed;
	struct z5_node *node;
	uint32_t n_node, cap_node;
	struct z5_edge *edge;
	uint32_t n_edge, cap_edge;
	struct z5_item *item;
	uint32_t n_item, cap_item;
	struct z5_state *state;
	uint32_t n_state, cap_state;
	uint32_t *node_slot, *state_slot;	/* hash tables; 0 is empty */
	uint32_t node_mask, state_mask;
	uint32_t start;
	size_t bytes, trim_at;	/* of rows and masks; the arrays are counted when asked */
	size_t mask_bytes;	/* of one mask */
	struct z5_ref *refs;
	uint32_t *walk;		/* more states in use, for the time of one walk */
	uint32_t n_walk;
	/* scratch of one step, in automaton.c */
	struct z5_scratch *scratch;
};

/* -ENOMEM, or -E2BIG if the grammar's very beginning is beyond the bounds. */
int z5_automaton_init(struct z5_automaton *a, const struct z5_program *p, size_t mask_bytes);
void z5_automaton_free(struct z5_automaton *a);

void z5_ref_add(struct z5_automaton *a, struct z5_ref *ref);
void z5_ref_remove(struct z5_ref *ref);

/* The state after one more byte, DEAD and BEYOND included, and what it cost. -ENOMEM. */
int z5_automaton_step(struct z5_automaton *a, uint32_t state, uint8_t byte, struct z5_move *to);
/*
 * The state after token id, whose bytes lead to state text (DEAD if it has none). eog: the token is
 * one of those that end an answer. -ENOMEM.
 */
int z5_automaton_token(struct z5_automaton *a, uint32_t state, uint32_t id, bool eog, uint32_t text,
		       uint32_t *to);
/* Forgets what is not in use, if memory asks for it. Numbers in refs and walk change. -ENOMEM. */
int z5_automaton_trim(struct z5_automaton *a);

#endif
