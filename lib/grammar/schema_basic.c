// SPDX-License-Identifier: MIT
/* What all parts of JSON schema to GBNF need: rules that every grammar may have, text, messages. */
#include "schema.h"
#include "error.h"
#include "grammar.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rules that a grammar gets when something refers to them. */
static const struct {
	const char *name, *body, *needs[6];
} basics[] = {
	/* white space between parts: bounded, so that a model cannot lose itself in it */
	{ "ws", "\" \"? | \"\\n\" [ \\t]{0,20}", { NULL } },
	{ "value", "object | array | string | number | \"true\" | \"false\" | \"null\"",
	  { "object", "array", "string", "number", NULL } },
	{ "object", "\"{\" ws (member (\",\" ws member)*)? \"}\"", { "ws", "member", NULL } },
	{ "member", "string ws \":\" ws value ws", { "string", "ws", "value", NULL } },
	{ "array", "\"[\" ws (value ws (\",\" ws value ws)*)? \"]\"", { "ws", "value", NULL } },
	{ "string", "\"\\\"\" char* \"\\\"\"", { "char", NULL } },
	/* one character of the value; of \u escapes no half of a pair alone (RFC 8259, section 7) */
	{ "char", "[^\"\\\\\\x00-\\x1f\\x7f] | \"\\\\\" ([\"\\\\/bfnrt] | \"u\" unit)", { "unit", NULL } },
	/* one that can be written in one way only */
	{ "plain", "[^\"\\\\\\x00-\\x1f\\x7f] | \"\\\\\" [\"\\\\bfnrt]", { NULL } },
	{ "unit", "([0-9abcefABCEF] hex | [dD] [0-7]) hex hex | "
		  "[dD] [89abAB] hex hex \"\\\\u\" [dD] [c-fC-F] hex hex", { "hex", NULL } },
	{ "hex", "[0-9a-fA-F]", { NULL } },
	{ "integer", "\"-\"? (\"0\" | [1-9] [0-9]{0,15})", { NULL } },
	{ "number", "integer (\".\" [0-9]{1,16})? ([eE] [-+]? [0-9]{1,2})?", { "integer", NULL } },
	/* RFC 3339, section 5.6; leap years by the Gregorian rule, no leap seconds */
	{ "date", "year \"-\" (\"0\" [13578] | \"1\" [02]) \"-\" (day | \"29\" | \"3\" [01]) | "
		  "year \"-\" (\"0\" [469] | \"11\") \"-\" (day | \"29\" | \"30\") | "
		  "year \"-02-\" day | leap \"-02-29\"", { "year", "day", "leap", NULL } },
	{ "year", "[0-9]{4}", { NULL } },
	{ "day", "\"0\" [1-9] | \"1\" [0-9] | \"2\" [0-8]", { NULL } },
	{ "leap", "[0-9]{2} (\"0\" [48] | [2468] [048] | [13579] [26]) | "
		  "([02468] [048] | [13579] [26]) \"00\"", { NULL } },
	{ "time", "hour \":\" sixty \":\" sixty (\".\" [0-9]{1,9})? (\"Z\" | [-+] hour \":\" sixty)",
	  { "hour", "sixty", NULL } },
	{ "hour", "[01] [0-9] | \"2\" [0-3]", { NULL } },
	{ "sixty", "[0-5] [0-9]", { NULL } },
	{ "date-time", "date \"T\" time", { "date", "time", NULL } },
	/* RFC 9562, section 4 */
	{ "uuid", "hex{8} \"-\" hex{4} \"-\" hex{4} \"-\" hex{4} \"-\" hex{12}", { "hex", NULL } },
	{ "ipv4", "octet (\".\" octet){3}", { "octet", NULL } },
	{ "octet", "[0-9] | [1-9] [0-9] | \"1\" [0-9]{2} | \"2\" ([0-4] [0-9] | \"5\" [0-5])", { NULL } },
	/* less than the RFCs allow, and nothing that they do not */
	{ "hostname", "label (\".\" label){0,3}", { "label", NULL } },
	{ "label", "[a-zA-Z0-9] ([-a-zA-Z0-9]{0,28} [a-zA-Z0-9])?", { NULL } },
	{ "email", "word (\".\" word){0,3} \"@\" hostname", { "word", "hostname", NULL } },
	{ "word", "[-a-zA-Z0-9_+]{1,15}", { NULL } },
	{ "uri", "[a-z] [-a-z0-9+.]{0,15} \"://\" hostname (\":\" [1-9] [0-9]{0,3})? "
		 "(\"/\" segment)* (\"?\" segment)? (\"#\" segment)?", { "hostname", "segment", NULL } },
	{ "segment", "([-a-zA-Z0-9._~!$&'()*+,;=:@] | \"%\" hex hex)*", { "hex", NULL } },
};

#define N_BASIC (sizeof(basics) / sizeof(*basics))
_Static_assert(N_BASIC <= 32, "a bit each");

/* ---- text ---- */

void z5_buf_bytes(struct z5_buf *b, const char *p, size_t n)
{
	if (b->failed)
		return;
	if (n > Z5_GRAMMAR_TEXT - b->n) {
		b->failed = -E2BIG;
		return;
	}
	if (b->n + n + 1 > b->cap) {
		size_t cap = (b->n + n) * 2 + 256;
		char *q = realloc(b->p, cap);

		if (!q) {
			b->failed = -ENOMEM;
			return;
		}
		b->p = q;
		b->cap = cap;
	}
	memcpy(b->p + b->n, p, n);
	b->n += n;
	b->p[b->n] = '\0';
}

/* For text of a bounded length: names and numbers. */
void z5_buf_add(struct z5_buf *b, const char *fmt, ...)
{
	char text[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(text))
		b->failed = -E2BIG;
	else
		z5_buf_bytes(b, text, (size_t)n);
}

void z5_buf_literal(struct z5_buf *b, const char *p, size_t n)
{
	z5_buf_bytes(b, "\"", 1);
	for (size_t i = 0; i < n; i++) {
		if (p[i] == '"' || p[i] == '\\')
			z5_buf_bytes(b, "\\", 1);
		if ((uint8_t)p[i] < 0x20 || p[i] == 0x7f)
			z5_buf_add(b, "\\x%02x", (unsigned int)p[i]);
		else
			z5_buf_bytes(b, p + i, 1);
	}
	z5_buf_bytes(b, "\"", 1);
}

/* ---- helpers ---- */

int z5_schema_fail(struct z5_schema *s, const char *fmt, ...)
{
	char what[300];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return z5_fail(s->err, -EINVAL, "schema #%.*s: %s", (int)s->n_path, s->path, what);
}

int z5_schema_nomem(struct z5_schema *s)
{
	return z5_fail(s->err, -ENOMEM, "out of memory for a JSON schema");
}

/* Goes down by one name or, if it is NULL, number; returns what to give to z5_schema_up(). */
size_t z5_schema_down(struct z5_schema *s, const char *name, size_t number)
{
	size_t before = s->n_path, room = sizeof(s->path) - s->n_path;
	int n = name ? snprintf(s->path + s->n_path, room, "/%s", name) :
		snprintf(s->path + s->n_path, room, "/%zu", number);

	s->n_path += n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
	return before;
}

void z5_schema_up(struct z5_schema *s, size_t before)
{
	s->n_path = before;
}

const char *z5_schema_basic(struct z5_schema *s, const char *name)
{
	for (size_t i = 0; i < N_BASIC; i++) {
		if (strcmp(basics[i].name, name))
			continue;
		if (s->basic >> i & 1)
			return basics[i].name;
		s->basic |= 1u << i;
		for (size_t k = 0; basics[i].needs[k]; k++)
			z5_schema_basic(s, basics[i].needs[k]);
		return basics[i].name;
	}
	return NULL;
}

int z5_schema_count(struct z5_schema *s, const json_t *schema, const char *key, uint32_t none,
		    uint32_t *n)
{
	const json_t *v = json_object_get(schema, key);
	double d = json_number_value(v);	/* 0 for what is no number */

	*n = none;
	if (!v)
		return 0;
	if (!json_is_number(v) || !(d >= 0 && d <= Z5_GRAMMAR_REPEAT) || d != (double)(uint32_t)d)
		return z5_schema_fail(s, "%s must be an integer from 0 to %u", key, Z5_GRAMMAR_REPEAT);
	*n = (uint32_t)d;
	return 0;
}

/* Writes out the rule "name-number ::= body" and frees body. */
int z5_schema_rule(struct z5_schema *s, const char *name, unsigned int number, struct z5_buf *body)
{
	int failed = body->failed;

	z5_buf_add(&s->out, "%s-%u ::= ", name, number);
	z5_buf_bytes(&s->out, body->n ? body->p : "\"\"", body->n ? body->n : 2);
	z5_buf_bytes(&s->out, "\n", 1);
	free(body->p);
	*body = (struct z5_buf){ NULL, 0, 0, 0 };
	return failed ? failed : s->out.failed;
}

void z5_schema_basics(struct z5_schema *s)
{
	for (size_t i = 0; i < N_BASIC; i++)
		if (s->basic >> i & 1)
			z5_buf_add(&s->out, "%s ::= %s\n", basics[i].name, basics[i].body);
}
