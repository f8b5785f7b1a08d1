/* SPDX-License-Identifier: MIT */
/*
 * JSON schema to GBNF. Each function of schema_*.c appends an expression that can stand anywhere in a rule.
 */
#ifndef Z5_SCHEMA_H
#define Z5_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* Schemas in schemas, and groups in a pattern. */
#define Z5_SCHEMA_NEST 64

/* Text that grows; after a failure it stays as it is and failed is set. */
struct z5_buf {
	char *p;
	size_t n, cap;
	int failed;		/* -ENOMEM, or -E2BIG above Z5_GRAMMAR_TEXT */
};

void z5_buf_add(struct z5_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void z5_buf_bytes(struct z5_buf *b, const char *p, size_t n);
/* p[0..n) as a GBNF literal. */
void z5_buf_literal(struct z5_buf *b, const char *p, size_t n);

struct z5_schema {
	json_t *root;
	struct zen5rt_error *err;
	struct z5_buf out;		/* rules that are complete */
	unsigned int n_rule;		/* of those numbered */
	unsigned int depth;
	uint32_t basic;			/* rules of schema.c's table that are needed */
	char path[200];			/* where in the schema, for messages */
	size_t n_path;
	/* references: their rules are made one after the other, each once */
	struct z5_schema_ref {
		const json_t *to;
		char *path;
		unsigned int number;
	} *ref;
	uint32_t n_ref, cap_ref, done_ref;
	uint32_t *ref_slot;		/* hash of the pointer to; 0 is empty */
	uint32_t ref_mask;
	/* strings of the same lengths share a rule */
	struct { uint32_t least, most; } *length;
	uint32_t n_length, cap_length;
	unsigned int n_join;
	json_t *keep;			/* array: what allOf was joined to */
};

/* ---- schema_basic.c ---- */

/* "schema #/path: ..." and -EINVAL. */
int z5_schema_fail(struct z5_schema *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* A count that a keyword gives, none if absent. -EINVAL for what is no count or above the repetition bound. */
int z5_schema_count(struct z5_schema *s, const json_t *schema, const char *key, uint32_t none,
		    uint32_t *n);
/* "out of memory" and -ENOMEM. */
int z5_schema_nomem(struct z5_schema *s);
/* The path goes down by one name or, if it is NULL, number; returns what to give to z5_schema_up(). */
size_t z5_schema_down(struct z5_schema *s, const char *name, size_t number);
void z5_schema_up(struct z5_schema *s, size_t before);
/* Writes out the rule "name-number ::= body" and empties body. -ENOMEM, -E2BIG. */
int z5_schema_rule(struct z5_schema *s, const char *name, unsigned int number, struct z5_buf *body);
/* Marks a rule of the table as needed and returns its name. */
const char *z5_schema_basic(struct z5_schema *s, const char *name);
/* Writes out those that are needed. */
void z5_schema_basics(struct z5_schema *s);

/* ---- schema.c ---- */

/* Any schema. */
int z5_schema_value(struct z5_schema *s, const json_t *schema, struct z5_buf *out);
/* A value as JSON writes it, as a GBNF literal. */
int z5_schema_literal(struct z5_schema *s, const json_t *v, struct z5_buf *out);
/* True if schema has one of these keywords, the last of which is NULL. */
bool z5_schema_has(const json_t *schema, const char *const *keys);

/* ---- schema_object.c, schema_text.c, schema_number.c: one type each, with what is beside it ---- */

extern const char *const z5_object_keys[], *const z5_array_keys[];
int z5_schema_object(struct z5_schema *s, const json_t *schema, struct z5_buf *out);
int z5_schema_array(struct z5_schema *s, const json_t *schema, struct z5_buf *out);
int z5_schema_string(struct z5_schema *s, const json_t *schema, struct z5_buf *out);
int z5_schema_number(struct z5_schema *s, const json_t *schema, bool integer, struct z5_buf *out);

#endif
