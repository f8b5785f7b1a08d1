// SPDX-License-Identifier: MIT
/*
 * Syntax tree to program. Steps are made from the end of a rule to its beginning, so that each knows
 * where it goes on. A repeated group that would be written out more than once becomes a rule of its
 * own: the program grows with the sum of the counts and not with their product.
 */
#include "error.h"
#include "grammar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct compile {
	struct z5_program *p;
	const struct z5_gbnf *g;
	uint32_t *body;		/* tree of each rule */
	uint32_t *named;	/* the rule with a name that it is a part of */
	uint32_t cap_body, cap_named, cap_start;
	int error;
};

static uint32_t compile_error(struct compile *c, int error)
{
	if (!c->error)
		c->error = error;
	return Z5_END;
}

static uint32_t compile_nomem(struct compile *c)
{
	return compile_error(c, z5_fail(c->g->err, -ENOMEM, "out of memory for a grammar of %zu bytes",
					c->g->len));
}

static uint32_t emit(struct compile *c, uint32_t at, uint32_t op, uint32_t arg, uint32_t next)
{
	struct z5_program *p = c->p;

	if (c->error)
		return Z5_END;
	if (p->n_code == Z5_GRAMMAR_STEPS)
		return compile_error(c, z5_gbnf_fail(c->g, at, "the grammar is larger than %u steps: use "
						     "smaller repetition counts", Z5_GRAMMAR_STEPS));
	if (z5_grow(&p->code, p->n_code, &p->cap_code, sizeof(*p->code)))
		return compile_nomem(c);
	p->code[p->n_code] = (struct z5_step){ op, arg, next };
	return p->n_code++;
}

/* A rule for the tree body, to be compiled in its turn. */
static uint32_t compile_rule(struct compile *c, uint32_t body, uint32_t named)
{
	struct z5_program *p = c->p;

	if (z5_grow(&c->body, p->n_rule, &c->cap_body, sizeof(*c->body)) ||
	    z5_grow(&c->named, p->n_rule, &c->cap_named, sizeof(*c->named)) ||
	    z5_grow(&p->start, p->n_rule, &c->cap_start, sizeof(*p->start)))
		return compile_nomem(c);
	c->body[p->n_rule] = body;
	c->named[p->n_rule] = named;
	return p->n_rule++;
}

static uint32_t compile_node(struct compile *c, uint32_t id, uint32_t next, uint32_t named);

static uint32_t compile_repeat(struct compile *c, const struct z5_ast *n, uint32_t next,
			       uint32_t named)
{
	const struct z5_ast *child = &c->g->node[n->a];
	uint32_t copies = n->c == Z5_NONE ? (n->b ? n->b : 1) : n->c;
	bool simple = child->kind == Z5_AST_SET || child->kind == Z5_AST_RULE ||
		      (child->kind == Z5_AST_BYTES && child->b == 1);
	uint32_t rule = 0, acc = next, one;

	if (!copies)
		return next;
	if (copies > 1 && !simple)
		rule = compile_rule(c, n->a, named);
#define ONE(to) (copies > 1 && !simple ? emit(c, n->at, Z5_OP_CALL, rule, to) : \
		 compile_node(c, n->a, to, named))
	if (n->c == Z5_NONE) {
		uint32_t loop = emit(c, n->at, Z5_OP_SPLIT, 0, next);

		one = ONE(loop);
		if (c->error)
			return Z5_END;
		c->p->code[loop].arg = one;
		acc = n->b ? one : loop;
		for (uint32_t i = 1; i < n->b && !c->error; i++)
			acc = ONE(acc);
		return acc;
	}
	for (uint32_t i = n->b; i < n->c && !c->error; i++) {
		one = ONE(acc);
		acc = emit(c, n->at, Z5_OP_SPLIT, one, next);
	}
	for (uint32_t i = 0; i < n->b && !c->error; i++)
		acc = ONE(acc);
#undef ONE
	return acc;
}

/* Recursion is as deep as the tree, which the parser has bounded. */
static uint32_t compile_node(struct compile *c, uint32_t id, uint32_t next, uint32_t named)
{
	const struct z5_ast *n = &c->g->node[id];
	uint32_t acc = Z5_NONE, one;

	if (c->error)
		return Z5_END;
	switch (n->kind) {
	case Z5_AST_BYTES:
		for (uint32_t i = n->b; i-- > 0 && !c->error; )
			next = emit(c, n->at, Z5_OP_BYTE, (uint8_t)c->g->bytes[n->a + i], next);
		return next;
	case Z5_AST_SET:
		return emit(c, n->at, Z5_OP_SET, n->a, next);
	case Z5_AST_RULE:
		return emit(c, n->at, Z5_OP_CALL, n->a, next);
	case Z5_AST_TOKEN:
		return emit(c, n->at, Z5_OP_TOKEN, n->a, next);
	case Z5_AST_NOT_TOKEN:
		return emit(c, n->at, Z5_OP_NOT_TOKEN, n->a, next);
	case Z5_AST_SEQ:
		for (uint32_t k = n->a; k != Z5_NONE && !c->error; k = c->g->node[k].next)
			next = compile_node(c, k, next, named);
		return next;
	case Z5_AST_ALT:
		for (uint32_t k = n->a; k != Z5_NONE && !c->error; k = c->g->node[k].next) {
			one = compile_node(c, k, next, named);
			acc = acc == Z5_NONE || acc == one ? one :
			      emit(c, n->at, Z5_OP_SPLIT, one, acc);
		}
		return acc;
	case Z5_AST_REPEAT:
		return compile_repeat(c, n, next, named);
	default:
		return next;
	}
}

static int compile_code(struct compile *c)
{
	struct z5_program *p = c->p;
	uint32_t named = c->g->n_rule;

	emit(c, 0, Z5_OP_END, 0, Z5_END);
	for (uint32_t i = 0; i < named && !c->error; i++)
		compile_rule(c, c->g->rule[i].body, i);
	for (uint32_t i = 0; i < p->n_rule && !c->error; i++) {
		uint32_t pos;

		/* compile_rule() has grown all three */
		Z5_KNOWN(c->body && c->named && p->start);
		pos = compile_node(c, c->body[i], Z5_END, c->named[i]);
		p->start[i] = pos;
	}
	return c->error;
}

/* ---- which rules match nothing, and which may begin with which ---- */

struct left {
	uint32_t from, to;	/* rule from may begin with rule to */
	uint32_t next;		/* another one of the same from */
};

struct analysis {
	struct left *left;
	uint32_t n_left, cap_left;
	uint32_t *first;	/* left calls of each rule */
	/* Places behind a call that are reached when its rule turns out to match nothing. */
	struct { uint32_t pos, rule, next; } *wait;
	uint32_t n_wait, cap_wait;
	uint32_t *waiting;	/* by the rule called */
	struct { uint32_t pos, rule; } *work;
	uint32_t n_work, cap_work;
	bool *seen;		/* steps */
	uint32_t *degree;
};

static void analysis_free(struct analysis *a)
{
	free(a->left);
	free(a->first);
	free(a->wait);
	free(a->waiting);
	free(a->work);
	free(a->seen);
	free(a->degree);
}

static int analysis_visit(struct analysis *a, uint32_t pos, uint32_t rule)
{
	if (pos != Z5_END) {
		if (a->seen[pos])
			return 0;
		a->seen[pos] = true;
	}
	if (z5_grow(&a->work, a->n_work, &a->cap_work, sizeof(*a->work)))
		return -ENOMEM;
	a->work[a->n_work].pos = pos;
	a->work[a->n_work++].rule = rule;
	return 0;
}

static int analysis_call(const struct z5_program *p, struct analysis *a, uint32_t pos, uint32_t rule)
{
	uint32_t to = p->code[pos].arg;

	if (z5_grow(&a->left, a->n_left, &a->cap_left, sizeof(*a->left)) ||
	    z5_grow(&a->wait, a->n_wait, &a->cap_wait, sizeof(*a->wait)))
		return -ENOMEM;
	a->left[a->n_left] = (struct left){ rule, to, a->first[rule] };
	a->first[rule] = a->n_left++;
	if (p->nullable[to])
		return analysis_visit(a, p->code[pos].next, rule);
	a->wait[a->n_wait].pos = p->code[pos].next;
	a->wait[a->n_wait].rule = rule;
	a->wait[a->n_wait].next = a->waiting[to];
	a->waiting[to] = a->n_wait++;
	return 0;
}

static int analysis_null(struct z5_program *p, struct analysis *a, uint32_t rule)
{
	int r = 0;

	if (p->nullable[rule])
		return 0;
	p->nullable[rule] = true;
	for (uint32_t w = a->waiting[rule]; w != Z5_NONE && !r; w = a->wait[w].next)
		r = analysis_visit(a, a->wait[w].pos, a->wait[w].rule);
	return r;
}

/* Follows every rule from its start as far as nothing is matched. Each step is met once. */
static int analysis_run(struct z5_program *p, struct analysis *a)
{
	int r = 0;

	for (uint32_t i = 0; i < p->n_rule; i++)
		a->first[i] = a->waiting[i] = Z5_NONE;
	for (uint32_t i = 0; i < p->n_rule && !r; i++) {
		r = analysis_visit(a, p->start[i], i);
		while (!r && a->n_work) {
			uint32_t pos = a->work[--a->n_work].pos, rule = a->work[a->n_work].rule;
			const struct z5_step *s = &p->code[pos];

			if (s->op == Z5_OP_END) {
				r = analysis_null(p, a, rule);
			} else if (s->op == Z5_OP_CALL) {
				r = analysis_call(p, a, pos, rule);
			} else if (s->op == Z5_OP_SPLIT) {
				r = analysis_visit(a, s->arg, rule);
				if (!r)
					r = analysis_visit(a, s->next, rule);
			}
		}
	}
	return r;
}

/* Whoever is without a rank is called by another one without: going back must end in a circle. */
static int analysis_circle(const struct z5_program *p, const struct analysis *a,
			   const struct compile *c)
{
	const struct z5_gbnf *g = c->g;
	uint32_t *caller = a->waiting, rule = 0;

	for (uint32_t k = 0; k < a->n_left; k++)
		if (a->degree[a->left[k].from] && a->degree[a->left[k].to])
			caller[a->left[k].to] = a->left[k].from;
	while (!a->degree[rule])
		rule++;
	for (uint32_t i = 0; i < p->n_rule; i++)
		rule = caller[rule];
	rule = c->named[rule];
	return z5_gbnf_fail(g, g->rule[rule].at, "rule %.*s can begin with itself (left recursion): "
			    "write item (\",\" item)* instead of list \",\" item",
			    (int)(g->rule[rule].name_len < 100 ? g->rule[rule].name_len : 100),
			    g->text + g->rule[rule].name);
}

/* Ranks in the order in which no caller is left. */
static int analysis_rank(struct z5_program *p, struct analysis *a, const struct compile *c)
{
	uint32_t done = 0, n = 0;

	for (uint32_t k = 0; k < a->n_left; k++)
		a->degree[a->left[k].to]++;
	for (uint32_t i = 0; i < p->n_rule; i++)
		if (!a->degree[i])
			p->by_rank[n++] = i;
	for (; done < n; done++) {
		uint32_t rule = p->by_rank[done];

		p->rank[rule] = done;
		for (uint32_t k = a->first[rule]; k != Z5_NONE; k = a->left[k].next)
			if (!--a->degree[a->left[k].to])
				p->by_rank[n++] = a->left[k].to;
	}
	return done < p->n_rule ? analysis_circle(p, a, c) : 0;
}

static int compile_analyse(struct compile *c)
{
	struct z5_program *p = c->p;
	struct analysis a = { .left = NULL };
	size_t n = p->n_rule;
	int r;

	p->rank = calloc(n, sizeof(*p->rank));
	p->by_rank = calloc(n, sizeof(*p->by_rank));
	p->nullable = calloc(n, sizeof(*p->nullable));
	a.first = calloc(n, sizeof(*a.first));
	a.waiting = calloc(n, sizeof(*a.waiting));
	a.degree = calloc(n, sizeof(*a.degree));
	a.seen = calloc(p->n_code, sizeof(*a.seen));
	r = p->rank && p->by_rank && p->nullable && a.first && a.waiting && a.degree && a.seen ?
	    analysis_run(p, &a) : -ENOMEM;
	if (r) {
		compile_nomem(c);
		r = c->error;
	} else {
		r = analysis_rank(p, &a, c);
	}
	analysis_free(&a);
	return r;
}

/* Bytes between which no step and no set draws a line share a class. */
static void program_classes(struct z5_program *p)
{
	bool begins[257] = { true };
	unsigned int class = 0;

	for (uint32_t i = 0; i < p->n_code; i++)
		if (p->code[i].op == Z5_OP_BYTE)
			begins[p->code[i].arg] = begins[p->code[i].arg + 1] = true;
	for (uint32_t i = 0; i < p->sets.n_edge; i++)
		begins[p->sets.edge[i].lo] = begins[p->sets.edge[i].hi + 1] = true;
	for (unsigned int b = 0; b < 256; b++) {
		class += b && begins[b];
		p->class[b] = (uint8_t)class;
	}
	p->n_class = class + 1;
}

int z5_program_make(struct z5_program *p, struct z5_gbnf *g, const char *root)
{
	struct compile c = { .p = p, .g = g };
	int r;

	p->root = z5_gbnf_rule(g, root, strlen(root));
	if (p->root == Z5_NONE)
		return z5_fail(g->err, -EINVAL, "the grammar has no rule named %.100s: it is where every "
			       "text begins", root);
	r = compile_code(&c);
	if (!r)
		r = compile_analyse(&c);
	free(c.body);
	free(c.named);
	if (r)
		return r;
	p->sets = g->sets;
	memset(&g->sets, 0, sizeof(g->sets));
	program_classes(p);
	return 0;
}

void z5_program_free(struct z5_program *p)
{
	free(p->code);
	free(p->start);
	free(p->rank);
	free(p->by_rank);
	free(p->nullable);
	free(p->sets.edge);
	free(p->sets.state);
}
