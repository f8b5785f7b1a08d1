/* SPDX-License-Identifier: MIT */
/*
 * Grammars inside the library. A GBNF text becomes a syntax tree (parse.c), the tree a program of
 * small steps over bytes (compile.c), and the program is run by an automaton that remembers what it
 * has met (automaton.c). The public face is in zen5rt.h, the dialect in Documentation/grammar.rst.
 */
#ifndef Z5_GRAMMAR_H
#define Z5_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* Bounds on what a text may ask for; a text beyond one of them is refused with its name. */
#define Z5_GRAMMAR_TEXT		(1u << 20)	/* bytes of GBNF or of a JSON schema */
#define Z5_GRAMMAR_RULES	(1u << 16)	/* rules with a name */
#define Z5_GRAMMAR_NEST		100		/* parentheses in parentheses */
#define Z5_GRAMMAR_CHAIN	4		/* repetitions of one another, as in x*? */
#define Z5_GRAMMAR_REPEAT	(1u << 16)	/* a count of a repetition */
#define Z5_GRAMMAR_STEPS	(1u << 20)	/* of the program, repetitions written out */
#define Z5_GRAMMAR_SETS		(1u << 18)	/* byte ranges of all character classes */

#define Z5_NONE UINT32_MAX

/* Makes room for one more element of size bytes in *p; -ENOMEM. */
int z5_grow(void *p, uint32_t n, uint32_t *cap, size_t size);

/* ---- set.c: classes of characters as automata over the bytes of UTF-8 ---- */

struct z5_range {
	uint32_t lo, hi;	/* code points, both included */
};

struct z5_byte_range {
	uint8_t lo, hi;
	uint32_t to;		/* the next set state, or Z5_SET_DONE */
};

#define Z5_SET_DONE 0

struct z5_sets {
	struct z5_byte_range *edge;
	uint32_t n_edge, cap_edge;
	struct z5_set_state { uint32_t edge, n; } *state;	/* 0 is Z5_SET_DONE */
	uint32_t n_state, cap_state;
	uint32_t full[4];	/* any i continuation bytes; 0: not made yet */
};

/* Sorts and merges r[0..n), drops surrogates, complements if asked to; returns the new count. */
size_t z5_set_normalise(struct z5_range *r, size_t n, bool negate);
/* The first state of a set for r, normalised and not empty. -ENOMEM, -E2BIG. */
int z5_set_add(struct z5_sets *s, const struct z5_range *r, size_t n, uint32_t *state);

/* ---- parse.c ---- */

enum z5_ast_kind {
	Z5_AST_EMPTY,
	Z5_AST_BYTES,		/* a: where in bytes, b: how many */
	Z5_AST_SET,		/* a: state of sets */
	Z5_AST_RULE,		/* a: number of the rule */
	Z5_AST_TOKEN,		/* a: id */
	Z5_AST_NOT_TOKEN,
	Z5_AST_SEQ,		/* a: the last child; next leads to the ones before it */
	Z5_AST_ALT,		/* likewise */
	Z5_AST_REPEAT,		/* a: child, b: least, c: most or Z5_NONE */
};

struct z5_ast {
	uint32_t kind, a, b, c;
	uint32_t next;
	uint32_t at;		/* in the text, for messages */
};

struct z5_rule {
	uint32_t name, name_len;	/* in the text */
	uint32_t body;			/* node; Z5_NONE: used and not defined yet */
	uint32_t at;			/* of the definition, else of the first use */
};

struct z5_gbnf {
	const char *text;
	size_t len;
	const struct zen5rt_vocab *vocab;	/* NULL: no token may be named */
	struct zen5rt_error *err;
	struct z5_ast *node;
	uint32_t n_node, cap_node;
	struct z5_rule *rule;
	uint32_t n_rule, cap_rule;
	char *bytes;
	uint32_t n_bytes, cap_bytes;
	struct z5_sets sets;
};

/* Fills g, of which text, len, vocab and err are set and the rest is zero. -EINVAL, -ENOMEM. */
int z5_gbnf_parse(struct z5_gbnf *g);
void z5_gbnf_free(struct z5_gbnf *g);
/* Writes "grammar:LINE:COLUMN: ..." for the place at and returns -EINVAL. */
int z5_gbnf_fail(const struct z5_gbnf *g, size_t at, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
/* Number of the rule of that name; Z5_NONE if there is none. */
uint32_t z5_gbnf_rule(const struct z5_gbnf *g, const char *name, size_t len);

/* ---- compile.c ---- */

enum z5_op {
	Z5_OP_END,		/* the rule is complete; only at Z5_END */
	Z5_OP_BYTE,		/* arg: the byte */
	Z5_OP_SET,		/* arg: state of sets */
	Z5_OP_SPLIT,		/* go on at arg and at next */
	Z5_OP_CALL,		/* arg: rule; go on at next after it */
	Z5_OP_TOKEN,		/* arg: id; a whole token */
	Z5_OP_NOT_TOKEN,	/* any token but arg and those that end an answer */
};

#define Z5_END 0

struct z5_step {
	uint32_t op, arg, next;
};

struct z5_program {
	struct z5_step *code;
	uint32_t n_code, cap_code;
	uint32_t n_rule;	/* those with a name and those made for groups */
	uint32_t *start;	/* of each rule */
	/*
	 * A rule that another one may begin with has the greater rank: when the ranks below are
	 * done, all who call it at this place are known. Left recursion has no ranks and is refused.
	 */
	uint32_t *rank, *by_rank;
	bool *nullable;		/* may match nothing */
	uint32_t root;
	struct z5_sets sets;
	uint8_t class[256];	/* bytes that no step tells apart share a class */
	unsigned int n_class;
};

/* Takes the sets out of g. root: name of the first rule. -EINVAL with a line, -ENOMEM. */
int z5_program_make(struct z5_program *p, struct z5_gbnf *g, const char *root);
void z5_program_free(struct z5_program *p);

#endif
