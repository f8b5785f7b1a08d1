// SPDX-License-Identifier: MIT
/*
 * One step of the automaton is a closure: from the places that the byte leads to, go on through
 * splits, calls and ends of rules until every way stands before something to match.
 *
 * The order makes it exact without ever looking back. A rule that matches nothing is passed when it is
 * called, so that calls at this place come from starts of rules only, and these have ranks: when rule
 * after rule is opened by rank, all calls of it are known, its node is complete, and equal nodes can be
 * found by their edges. A call whose rule has nothing left to do afterwards hands on its own edges
 * instead of adding itself, so that lists written as recursion do not deepen the stack.
 */
#include "automaton.h"
#include "vocab/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

/* Two nodes that are always there: the end of the whole text, and root's, which returns to it. */
#define NODE_ACCEPT 0
#define NODE_ROOT 1

struct z5_scratch {
	/* places met in this step: an open hash and the list of those still to look at */
	struct { uint32_t pos, node, stamp; } *seen;
	uint32_t seen_mask, n_seen, stamp;
	struct { uint32_t pos, node; } *work;
	uint32_t n_work, cap_work;
	/* calls of rules that are not opened yet, by rule */
	struct { struct z5_edge edge; uint32_t next; } *call;
	uint32_t n_call, cap_call;
	uint32_t *called;	/* first call; Z5_NONE: not called */
	uint32_t *heap;		/* ranks of the rules called, smallest first */
	uint32_t n_heap;
	struct z5_edge *edge;	/* of the node being made */
	uint32_t n_edge, cap_edge;
	struct z5_item *item;	/* of the state being made */
	uint32_t n_item, cap_item;
	bool accept;
	uint32_t cost;
};

/* ---- nodes and states, each once ---- */

static uint32_t auto_hash(const struct z5_automaton *a, const void *p, size_t len)
{
	return (uint32_t)z5_hash(a->seed, p, len);
}

static int table_room(uint32_t **slot, uint32_t *mask, uint32_t n, const void *entry, size_t size,
		      size_t hash_at)
{
	uint32_t more = *slot ? *mask * 2 + 1 : 255, *s;

	if (*slot && n <= *mask / 2)
		return 0;
	s = calloc((size_t)more + 1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		uint32_t h, k;

		memcpy(&h, (const char *)entry + i * size + hash_at, sizeof(h));
		for (k = h & more; s[k]; k = (k + 1) & more)
			;
		s[k] = i + 1;
	}
	free(*slot);
	*slot = s;
	*mask = more;
	return 0;
}

/* The node with these edges, sorted and each once. Z5_NONE if it would be too deep. */
static int node_intern(struct z5_automaton *a, const struct z5_edge *e, uint32_t n, uint32_t *id)
{
	uint32_t hash = auto_hash(a, (const char *)e, n * sizeof(*e)), depth = 0, k;

	if (table_room(&a->node_slot, &a->node_mask, a->n_node, a->node, sizeof(*a->node),
		       offsetof(struct z5_node, hash)))
		return -ENOMEM;
	for (k = hash & a->node_mask; a->node_slot[k]; k = (k + 1) & a->node_mask) {
		const struct z5_node *o = &a->node[a->node_slot[k] - 1];

		if (o->hash == hash && o->n == n && !memcmp(a->edge + o->edge, e, n * sizeof(*e))) {
			*id = a->node_slot[k] - 1;
			return 0;
		}
	}
	for (uint32_t i = 0; i < n; i++)
		if (a->node[e[i].parent].depth >= depth)
			depth = a->node[e[i].parent].depth + 1;
	*id = Z5_NONE;
	if (depth > Z5_AUTOMATON_DEPTH)
		return 0;
	if (z5_grow(&a->node, a->n_node, &a->cap_node, sizeof(*a->node)))
		return -ENOMEM;
	a->node[a->n_node] = (struct z5_node){ a->n_edge, n, depth, hash };
	for (uint32_t i = 0; i < n; i++) {
		if (z5_grow(&a->edge, a->n_edge, &a->cap_edge, sizeof(*a->edge)))
			return -ENOMEM;
		a->edge[a->n_edge++] = e[i];
	}
	*id = a->n_node++;
	a->node_slot[k] = *id + 1;
	return 0;
}

static int state_intern(struct z5_automaton *a, const struct z5_item *item, uint32_t n, bool accept,
			uint32_t *id)
{
	uint32_t hash = auto_hash(a, (const char *)item, n * sizeof(*item)) ^ accept, k;

	if (table_room(&a->state_slot, &a->state_mask, a->n_state, a->state, sizeof(*a->state),
		       offsetof(struct z5_state, hash)))
		return -ENOMEM;
	for (k = hash & a->state_mask; a->state_slot[k]; k = (k + 1) & a->state_mask) {
		const struct z5_state *o = &a->state[a->state_slot[k] - 1];

		if (o->hash == hash && o->n == n && o->accept == accept &&
		    (!n || !memcmp(a->item + o->item, item, n * sizeof(*item)))) {
			*id = a->state_slot[k] - 1;
			return 0;
		}
	}
	if (z5_grow(&a->state, a->n_state, &a->cap_state, sizeof(*a->state)))
		return -ENOMEM;
	a->state[a->n_state] = (struct z5_state){ .item = a->n_item, .n = n, .hash = hash,
						  .accept = accept };
	for (uint32_t i = 0; i < n; i++) {
		if (z5_grow(&a->item, a->n_item, &a->cap_item, sizeof(*a->item)))
			return -ENOMEM;
		a->item[a->n_item++] = item[i];
	}
	*id = a->n_state++;
	a->state_slot[k] = *id + 1;
	return 0;
}

/* ---- closure ---- */

static uint32_t seen_hash(const struct z5_automaton *a, uint32_t pos, uint32_t node)
{
	/* the seed keeps a grammar from choosing where its places fall */
	return (uint32_t)z5_mix(pos ^ a->seed, 0x9e3779b97f4a7c15u ^ node);
}

static int seen_grow(struct z5_automaton *a)
{
	struct z5_scratch *s = a->scratch;
	uint32_t more = s->seen ? s->seen_mask * 2 + 1 : 255;
	typeof(s->seen) seen = calloc((size_t)more + 1, sizeof(*seen));

	if (!seen)
		return -ENOMEM;
	for (uint32_t i = 0; s->seen && i <= s->seen_mask; i++) {
		uint32_t k;

		if (s->seen[i].stamp != s->stamp)
			continue;
		k = seen_hash(a, s->seen[i].pos, s->seen[i].node) & more;
		while (seen[k].stamp == s->stamp)
			k = (k + 1) & more;
		seen[k] = s->seen[i];
	}
	free(s->seen);
	s->seen = seen;
	s->seen_mask = more;
	return 0;
}

/* -E2BIG: past the bound, inside this file only. */
static int visit(struct z5_automaton *a, uint32_t pos, uint32_t node)
{
	struct z5_scratch *s = a->scratch;
	uint32_t k;

	if (++s->cost > Z5_AUTOMATON_STEPS)
		return -E2BIG;
	if (s->n_seen > s->seen_mask / 2 && seen_grow(a))
		return -ENOMEM;
	k = seen_hash(a, pos, node) & s->seen_mask;
	for (; s->seen[k].stamp == s->stamp; k = (k + 1) & s->seen_mask)
		if (s->seen[k].pos == pos && s->seen[k].node == node)
			return 0;
	s->seen[k].pos = pos;
	s->seen[k].node = node;
	s->seen[k].stamp = s->stamp;
	s->n_seen++;
	if (z5_grow(&s->work, s->n_work, &s->cap_work, sizeof(*s->work)))
		return -ENOMEM;
	s->work[s->n_work].pos = pos;
	s->work[s->n_work++].node = node;
	return 0;
}

static int add_item(struct z5_scratch *s, uint32_t pos, uint32_t sub, uint32_t node)
{
	if (z5_grow(&s->item, s->n_item, &s->cap_item, sizeof(*s->item)))
		return -ENOMEM;
	s->item[s->n_item++] = (struct z5_item){ pos, sub, node };
	return 0;
}

static void heap_push(struct z5_scratch *s, uint32_t rank)
{
	uint32_t i = s->n_heap++;

	for (; i && s->heap[(i - 1) / 2] > rank; i = (i - 1) / 2)
		s->heap[i] = s->heap[(i - 1) / 2];
	s->heap[i] = rank;
}

static uint32_t heap_pop(struct z5_scratch *s)
{
	uint32_t top = s->heap[0], last = s->heap[--s->n_heap], i = 0, k;

	for (; (k = 2 * i + 1) < s->n_heap; i = k) {
		if (k + 1 < s->n_heap && s->heap[k + 1] < s->heap[k])
			k++;
		if (s->heap[k] >= last)
			break;
		s->heap[i] = s->heap[k];
	}
	s->heap[i] = last;
	return top;
}

static int add_call(struct z5_automaton *a, uint32_t rule, struct z5_edge e)
{
	struct z5_scratch *s = a->scratch;

	if (++s->cost > Z5_AUTOMATON_STEPS)
		return -E2BIG;
	if (z5_grow(&s->call, s->n_call, &s->cap_call, sizeof(*s->call)))
		return -ENOMEM;
	if (s->called[rule] == Z5_NONE)
		heap_push(s, a->p->rank[rule]);
	s->call[s->n_call].edge = e;
	s->call[s->n_call].next = s->called[rule];
	s->called[rule] = s->n_call++;
	return 0;
}

static int close_call(struct z5_automaton *a, const struct z5_step *step, uint32_t node)
{
	int r = 0;

	if (step->next != Z5_END) {
		r = add_call(a, step->arg, (struct z5_edge){ step->next, node });
	} else {
		for (uint32_t i = 0; i < a->node[node].n && !r; i++)
			r = add_call(a, step->arg, a->edge[a->node[node].edge + i]);
	}
	if (!r && a->p->nullable[step->arg])
		r = visit(a, step->next, node);
	return r;
}

static int close_work(struct z5_automaton *a)
{
	struct z5_scratch *s = a->scratch;
	int r = 0;

	while (s->n_work && !r) {
		uint32_t pos = s->work[--s->n_work].pos, node = s->work[s->n_work].node;
		const struct z5_step *step = &a->p->code[pos];

		switch (step->op) {
		case Z5_OP_END:
			if (node == NODE_ACCEPT)
				s->accept = true;
			for (uint32_t i = 0; i < a->node[node].n && !r; i++) {
				struct z5_edge e = a->edge[a->node[node].edge + i];

				r = visit(a, e.ret, e.parent);
			}
			break;
		case Z5_OP_SPLIT:
			r = visit(a, step->arg, node);
			if (!r)
				r = visit(a, step->next, node);
			break;
		case Z5_OP_CALL:
			r = close_call(a, step, node);
			break;
		default:
			r = add_item(s, pos, step->op == Z5_OP_SET ? step->arg : 0, node);
		}
	}
	return r;
}

static int edge_order(const void *a, const void *b)
{
	const struct z5_edge *x = a, *y = b;

	if (x->ret != y->ret)
		return x->ret < y->ret ? -1 : 1;
	return x->parent < y->parent ? -1 : x->parent > y->parent;
}

static int item_order(const void *a, const void *b)
{
	const struct z5_item *x = a, *y = b;

	if (x->pos != y->pos)
		return x->pos < y->pos ? -1 : 1;
	if (x->sub != y->sub)
		return x->sub < y->sub ? -1 : 1;
	return x->node < y->node ? -1 : x->node > y->node;
}

/* Opens the rule: its node is complete, its first step is a place. */
static int close_rule(struct z5_automaton *a, uint32_t rule)
{
	struct z5_scratch *s = a->scratch;
	uint32_t n = 0, node;
	int r;

	s->n_edge = 0;
	for (uint32_t k = s->called[rule]; k != Z5_NONE; k = s->call[k].next) {
		if (z5_grow(&s->edge, s->n_edge, &s->cap_edge, sizeof(*s->edge)))
			return -ENOMEM;
		s->edge[s->n_edge++] = s->call[k].edge;
	}
	s->called[rule] = Z5_NONE;
	if (s->n_edge > 1)
		qsort(s->edge, s->n_edge, sizeof(*s->edge), edge_order);
	for (uint32_t i = 0; i < s->n_edge; i++)
		if (!n || edge_order(&s->edge[n - 1], &s->edge[i]))
			s->edge[n++] = s->edge[i];
	r = node_intern(a, s->edge, n, &node);
	if (r)
		return r;
	return node == Z5_NONE ? -E2BIG : visit(a, a->p->start[rule], node);
}

static void step_begin(struct z5_automaton *a)
{
	struct z5_scratch *s = a->scratch;

	/* after 2^32 steps old stamps would be taken for new ones */
	if (!++s->stamp && s->seen) {
		for (uint32_t i = 0; i <= s->seen_mask; i++)
			s->seen[i].stamp = 0;
	}
	s->stamp += !s->stamp;
	s->n_seen = s->n_work = s->n_call = s->n_item = s->cost = 0;
	s->accept = false;
}

/* r is what came of the places to begin with; *to and *cost the step's result. */
static int step_end(struct z5_automaton *a, int r, struct z5_move *to)
{
	struct z5_scratch *s = a->scratch;
	uint32_t n = 0;

	if (!r)
		r = close_work(a);
	while (!r && s->n_heap) {
		r = close_rule(a, a->p->by_rank[heap_pop(s)]);
		if (!r)
			r = close_work(a);
	}
	while (s->n_heap)
		s->called[a->p->by_rank[s->heap[--s->n_heap]]] = Z5_NONE;
	/* where a bound was met depends on the order, the cost must not */
	to->cost = r == -E2BIG ? Z5_AUTOMATON_STEPS : s->cost;
	to->to = r == -E2BIG ? Z5_STATE_BEYOND : Z5_STATE_DEAD;
	if (r)
		return r == -E2BIG ? 0 : r;
	if (s->n_item > 1)
		qsort(s->item, s->n_item, sizeof(*s->item), item_order);
	for (uint32_t i = 0; i < s->n_item; i++)
		if (!n || item_order(&s->item[n - 1], &s->item[i]))
			s->item[n++] = s->item[i];
	return n || s->accept ? state_intern(a, s->item, n, s->accept, &to->to) : 0;
}

/* ---- the public part ---- */

static int step_compute(struct z5_automaton *a, uint32_t state, uint8_t byte, struct z5_move *to)
{
	struct z5_scratch *s = a->scratch;
	const struct z5_program *p = a->p;
	int r = 0;

	step_begin(a);
	s->cost = a->state[state].n;
	for (uint32_t i = 0; i < a->state[state].n && !r; i++) {
		struct z5_item it = a->item[a->state[state].item + i];
		const struct z5_step *step = &p->code[it.pos];
		const struct z5_byte_range *e, *end;

		if (step->op == Z5_OP_BYTE && step->arg == byte)
			r = visit(a, step->next, it.node);
		if (step->op != Z5_OP_SET)
			continue;
		e = p->sets.edge + p->sets.state[it.sub].edge;
		end = e + p->sets.state[it.sub].n;
		while (e < end && e->hi < byte)
			e++;
		if (e == end || e->lo > byte)
			continue;
		r = e->to == Z5_SET_DONE ? visit(a, step->next, it.node) :
		    add_item(s, it.pos, e->to, it.node);
	}
	return step_end(a, r, to);
}

int z5_automaton_step(struct z5_automaton *a, uint32_t state, uint8_t byte, struct z5_move *to)
{
	unsigned int class = a->p->class[byte];
	struct z5_move *row;
	int r;

	to->to = state;
	to->cost = 0;
	if (state < Z5_STATE_FIRST)
		return 0;
	row = a->state[state].row;
	if (!row) {
		row = calloc(a->p->n_class, sizeof(*row));
		if (!row)
			return -ENOMEM;
		a->state[state].row = row;
		a->bytes += a->p->n_class * sizeof(*row);
	}
	if (row[class].to == Z5_STATE_UNKNOWN) {
		r = step_compute(a, state, byte, to);
		if (r)
			return r;
		row[class] = *to;
	}
	*to = row[class];
	return 0;
}

int z5_automaton_token(struct z5_automaton *a, uint32_t state, uint32_t id, bool eog, uint32_t text,
		       uint32_t *to)
{
	struct z5_scratch *s = a->scratch;
	struct z5_move move;
	bool any = false;
	int r = 0;

	*to = text;
	if (state < Z5_STATE_FIRST)
		return 0;
	step_begin(a);
	for (uint32_t i = 0; i < a->state[state].n && !r; i++) {
		struct z5_item it = a->item[a->state[state].item + i];
		const struct z5_step *step = &a->p->code[it.pos];

		if ((step->op == Z5_OP_TOKEN && step->arg == id) ||
		    (step->op == Z5_OP_NOT_TOKEN && step->arg != id && !eog)) {
			r = visit(a, step->next, it.node);
			any = true;
		}
	}
	if (!any || text == Z5_STATE_BEYOND)
		return r == -E2BIG ? 0 : r;
	/* what the text of the token leads to is closed already */
	if (text >= Z5_STATE_FIRST) {
		s->accept |= a->state[text].accept;
		for (uint32_t i = 0; i < a->state[text].n && !r; i++) {
			struct z5_item it = a->item[a->state[text].item + i];

			r = add_item(s, it.pos, it.sub, it.node);
		}
	}
	r = step_end(a, r, &move);
	*to = move.to;
	return r;
}

void z5_ref_add(struct z5_automaton *a, struct z5_ref *ref)
{
	ref->next = a->refs;
	ref->prev = &a->refs;
	if (ref->next)
		ref->next->prev = &ref->next;
	a->refs = ref;
}

void z5_ref_remove(struct z5_ref *ref)
{
	*ref->prev = ref->next;
	if (ref->next)
		ref->next->prev = ref->prev;
}

/* ---- forgetting ---- */

static void cache_free(struct z5_automaton *a)
{
	for (uint32_t i = 0; i < a->n_state; i++) {
		free(a->state[i].row);
		free(a->state[i].mask);
	}
	free(a->node);
	free(a->edge);
	free(a->item);
	free(a->state);
	free(a->node_slot);
	free(a->state_slot);
}

static void cache_empty(struct z5_automaton *a)
{
	a->node = NULL;
	a->edge = NULL;
	a->item = NULL;
	a->state = NULL;
	a->node_slot = a->state_slot = NULL;
	a->n_node = a->cap_node = a->n_edge = a->cap_edge = 0;
	a->n_item = a->cap_item = a->n_state = a->cap_state = 0;
	a->bytes = 0;
}

/* The two nodes and three numbers that are always there. */
static int cache_begin(struct z5_automaton *a)
{
	const struct z5_edge back = { Z5_END, NODE_ACCEPT };
	struct z5_node accept = { .hash = 0 };
	uint32_t id;

	cache_empty(a);
	if (z5_grow(&a->node, 0, &a->cap_node, sizeof(*a->node)) ||
	    z5_grow(&a->state, 0, &a->cap_state, sizeof(*a->state)))
		return -ENOMEM;
	a->node[a->n_node++] = accept;
	for (; a->n_state < Z5_STATE_FIRST; a->n_state++)
		a->state[a->n_state] = (struct z5_state){ .hash = 0 };
	return node_intern(a, &back, 1, &id);
}

static size_t cache_bytes(const struct z5_automaton *a)
{
	return a->bytes + a->cap_node * sizeof(*a->node) + a->cap_edge * sizeof(*a->edge) +
	       a->cap_item * sizeof(*a->item) + a->cap_state * sizeof(*a->state) +
	       ((size_t)a->node_mask + a->state_mask) * sizeof(uint32_t);
}

static void trim_mark(const struct z5_automaton *a, uint32_t state, uint32_t *map)
{
	for (uint32_t i = 0; i < a->state[state].n; i++)
		map[a->item[a->state[state].item + i].node] = 1;
}

/* Copies the nodes that map marks into to, and makes map their new numbers; order is kept. */
static int trim_nodes(const struct z5_automaton *a, struct z5_automaton *to, uint32_t *map)
{
	struct z5_scratch *s = to->scratch;

	/* a parent has the smaller number */
	for (uint32_t i = a->n_node; i-- > 0; )
		for (uint32_t k = 0; map[i] && k < a->node[i].n; k++)
			map[a->edge[a->node[i].edge + k].parent] = 1;
	map[NODE_ACCEPT] = NODE_ACCEPT;
	for (uint32_t i = NODE_ROOT; i < a->n_node; i++) {
		if (!map[i])
			continue;
		s->n_edge = 0;
		for (uint32_t k = 0; k < a->node[i].n; k++) {
			struct z5_edge e = a->edge[a->node[i].edge + k];

			if (z5_grow(&s->edge, s->n_edge, &s->cap_edge, sizeof(*s->edge)))
				return -ENOMEM;
			s->edge[s->n_edge++] = (struct z5_edge){ e.ret, map[e.parent] };
		}
		if (node_intern(to, s->edge, s->n_edge, &map[i]))
			return -ENOMEM;
	}
	return 0;
}

static int trim_state(const struct z5_automaton *a, struct z5_automaton *to, const uint32_t *map,
		      uint32_t state, uint32_t *id)
{
	struct z5_scratch *s = to->scratch;

	*id = state;
	if (state < Z5_STATE_FIRST)
		return 0;
	s->n_item = 0;
	for (uint32_t i = 0; i < a->state[state].n; i++) {
		struct z5_item it = a->item[a->state[state].item + i];

		if (add_item(s, it.pos, it.sub, map[it.node]))
			return -ENOMEM;
	}
	return state_intern(to, s->item, s->n_item, a->state[state].accept, id);
}

int z5_automaton_trim(struct z5_automaton *a)
{
	struct z5_automaton to = *a;
	uint32_t *map, *fresh, n = 0, n_ref = 0;
	int r;

	if (cache_bytes(a) <= a->trim_at)
		return 0;
	for (const struct z5_ref *ref = a->refs; ref; ref = ref->next)
		n_ref++;
	map = calloc(a->n_node, sizeof(*map));
	fresh = calloc((size_t)n_ref + a->n_walk + 1, sizeof(*fresh));
	r = cache_begin(&to);
	if (!map || !fresh)
		r = -ENOMEM;
	if (!r) {
		trim_mark(a, a->start, map);
		for (const struct z5_ref *ref = a->refs; ref; ref = ref->next)
			trim_mark(a, ref->state, map);
		for (uint32_t i = 0; i < a->n_walk; i++)
			trim_mark(a, a->walk[i], map);
		r = trim_nodes(a, &to, map);
	}
	if (!r)
		r = trim_state(a, &to, map, a->start, &fresh[n++]);
	for (const struct z5_ref *ref = a->refs; ref && !r; ref = ref->next)
		r = trim_state(a, &to, map, ref->state, &fresh[n++]);
	for (uint32_t i = 0; i < a->n_walk && !r; i++)
		r = trim_state(a, &to, map, a->walk[i], &fresh[n++]);
	if (r) {
		cache_free(&to);
	} else {
		n = 0;
		to.start = fresh[n++];
		for (struct z5_ref *ref = a->refs; ref; ref = ref->next)
			ref->state = fresh[n++];
		for (uint32_t i = 0; i < a->n_walk; i++)
			a->walk[i] = fresh[n++];
		cache_free(a);
		*a = to;
		/* what is in use may itself be large: leave it room */
		a->trim_at = 2 * cache_bytes(a);
		if (a->trim_at < Z5_AUTOMATON_BYTES)
			a->trim_at = Z5_AUTOMATON_BYTES;
	}
	free(map);
	free(fresh);
	return r;
}

int z5_automaton_init(struct z5_automaton *a, const struct z5_program *p, size_t mask_bytes)
{
	struct z5_move move;
	int r;

	memset(a, 0, sizeof(*a));
	a->p = p;
	a->mask_bytes = mask_bytes;
	a->trim_at = Z5_AUTOMATON_BYTES;
	/* No result depends on the seed; without entropy any number will do. */
	if (getrandom(&a->seed, sizeof(a->seed), GRND_NONBLOCK) != sizeof(a->seed))
		a->seed = (uint64_t)time(NULL) ^ (uintptr_t)a;
	a->scratch = calloc(1, sizeof(*a->scratch));
	if (!a->scratch)
		return -ENOMEM;
	a->scratch->called = malloc(p->n_rule * sizeof(uint32_t));
	a->scratch->heap = malloc(p->n_rule * sizeof(uint32_t));
	if (!a->scratch->called || !a->scratch->heap || cache_begin(a) || seen_grow(a))
		return -ENOMEM;
	for (uint32_t i = 0; i < p->n_rule; i++)
		a->scratch->called[i] = Z5_NONE;
	step_begin(a);
	r = add_call(a, p->root, (struct z5_edge){ Z5_END, NODE_ACCEPT });
	if (!r && p->nullable[p->root])
		r = visit(a, Z5_END, NODE_ACCEPT);
	r = step_end(a, r, &move);
	a->start = move.to;
	return r ? r : move.to == Z5_STATE_BEYOND ? -E2BIG : 0;
}

void z5_automaton_free(struct z5_automaton *a)
{
	struct z5_scratch *s = a->scratch;

	cache_free(a);
	if (!s)
		return;
	free(s->seen);
	free(s->work);
	free(s->call);
	free(s->called);
	free(s->heap);
	free(s->edge);
	free(s->item);
	free(s);
}
