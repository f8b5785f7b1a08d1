// SPDX-License-Identifier: MIT
/*
 * GBNF text to a syntax tree. The dialect is that of llama.cpp's grammars/README.md, written down in
 * Documentation/grammar.rst. Parentheses are the only recursion here, and Z5_GRAMMAR_NEST bounds it.
 */
#include "error.h"
#include "grammar.h"
#include "vocab/internal.h"
#include "vocab/utf8.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct gbnf_parser {
	struct z5_gbnf *g;
	struct z5_strtab names;		/* their numbers are those of the rules */
	struct z5_range *range;		/* of one class */
	uint32_t cap_range;
	size_t at;
	unsigned int depth;
};

int z5_gbnf_fail(const struct z5_gbnf *g, size_t at, const char *fmt, ...)
{
	unsigned int line = 1, column = 1;
	char what[400];
	va_list ap;

	for (size_t i = 0; i < at && i < g->len; i++) {
		if (g->text[i] == '\n') {
			line++;
			column = 1;
		} else if ((g->text[i] & 0xc0) != 0x80) {
			column++;
		}
	}
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	return z5_fail(g->err, -EINVAL, "grammar:%u:%u: %s", line, column, what);
}

static int gbnf_nomem(const struct z5_gbnf *g)
{
	return z5_fail(g->err, -ENOMEM, "out of memory for a grammar of %zu bytes", g->len);
}

/* The next byte, 0 at the end: a NUL in the text is refused before. */
static char gbnf_peek(const struct gbnf_parser *ps, size_t ahead)
{
	return ps->at + ahead < ps->g->len ? ps->g->text[ps->at + ahead] : 0;
}

static bool gbnf_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

/* Passes white space and comments, and line ends if they mean nothing here. */
static void gbnf_space(struct gbnf_parser *ps, bool lines)
{
	for (;;) {
		char c = gbnf_peek(ps, 0);

		if (c == '#')
			while ((c = gbnf_peek(ps, 0)) && c != '\n' && c != '\r')
				ps->at++;
		else if (c == ' ' || c == '\t' || (lines && (c == '\n' || c == '\r')))
			ps->at++;
		else
			return;
	}
}

static int gbnf_node(struct gbnf_parser *ps, struct z5_ast n, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;

	if (z5_grow(&g->node, g->n_node, &g->cap_node, sizeof(*g->node)))
		return gbnf_nomem(g);
	g->node[g->n_node] = n;
	*id = g->n_node++;
	return 0;
}

/* ---- characters ---- */

static int gbnf_hex(struct gbnf_parser *ps, unsigned int digits, uint32_t *cp)
{
	size_t start = ps->at - 2;
	uint32_t v = 0;

	for (unsigned int i = 0; i < digits; i++, ps->at++) {
		char c = gbnf_peek(ps, 0);
		unsigned int d;

		if (c >= '0' && c <= '9')
			d = (unsigned int)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			d = (unsigned int)(c & 7) + 9;
		else
			return z5_gbnf_fail(ps->g, start, "\\%c takes %u hexadecimal digits",
					    ps->g->text[start + 1], digits);
		v = v << 4 | d;
	}
	if (v > 0x10ffff)
		return z5_gbnf_fail(ps->g, start, "U+%X is no character: the last one is U+10FFFF", v);
	if (v >= 0xd800 && v <= 0xdfff)
		return z5_gbnf_fail(ps->g, start, "U+%X is half of a surrogate pair: write the whole "
				    "character as \\U and 8 digits", v);
	*cp = v;
	return 0;
}

/* One character of a literal or a class, escapes resolved; there is one. */
static int gbnf_char(struct gbnf_parser *ps, uint32_t *cp)
{
	const struct z5_gbnf *g = ps->g;
	char c;

	if (gbnf_peek(ps, 0) != '\\') {
		ps->at += utf8_next(g->text + ps->at, g->len - ps->at, cp);
		return 0;
	}
	c = gbnf_peek(ps, 1);
	ps->at += 2;
	switch (c) {
	case 'x': return gbnf_hex(ps, 2, cp);
	case 'u': return gbnf_hex(ps, 4, cp);
	case 'U': return gbnf_hex(ps, 8, cp);
	case 't': *cp = '\t'; return 0;
	case 'n': *cp = '\n'; return 0;
	case 'r': *cp = '\r'; return 0;
	}
	if (c <= ' ' || c == 0x7f || gbnf_word(c)) {
		if (c == '-' || c == '_') {
			*cp = (uint8_t)c;
			return 0;
		}
		return z5_gbnf_fail(g, ps->at - 2, "unknown escape: use \\n \\r \\t \\xHH \\uHHHH "
				    "\\UHHHHHHHH, or \\ before punctuation");
	}
	*cp = (uint8_t)c;
	return 0;
}

static int gbnf_put(struct gbnf_parser *ps, uint32_t cp)
{
	struct z5_gbnf *g = ps->g;
	char c[4];
	uint32_t n = 0;

	if (cp < 0x80) {
		c[n++] = (char)cp;
	} else if (cp < 0x800) {
		c[n++] = (char)(0xc0 | cp >> 6);
	} else if (cp < 0x10000) {
		c[n++] = (char)(0xe0 | cp >> 12);
		c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	} else {
		c[n++] = (char)(0xf0 | cp >> 18);
		c[n++] = (char)(0x80 | (cp >> 12 & 0x3f));
		c[n++] = (char)(0x80 | (cp >> 6 & 0x3f));
	}
	if (cp >= 0x80)
		c[n++] = (char)(0x80 | (cp & 0x3f));
	for (uint32_t i = 0; i < n; i++) {
		if (z5_grow(&g->bytes, g->n_bytes, &g->cap_bytes, 1))
			return gbnf_nomem(g);
		g->bytes[g->n_bytes++] = c[i];
	}
	return 0;
}

/* "text" */
static int gbnf_literal(struct gbnf_parser *ps, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;
	uint32_t from = g->n_bytes, cp;
	size_t start = ps->at++;
	int r;

	while (gbnf_peek(ps, 0) != '"') {
		if (ps->at >= g->len)
			return z5_gbnf_fail(g, start, "this \" has no end: close it with another one");
		r = gbnf_char(ps, &cp);
		if (!r)
			r = gbnf_put(ps, cp);
		if (r)
			return r;
	}
	ps->at++;
	return gbnf_node(ps, (struct z5_ast){
		.kind = g->n_bytes > from ? Z5_AST_BYTES : Z5_AST_EMPTY,
		.a = from, .b = g->n_bytes - from, .at = (uint32_t)start }, id);
}

/* [abc] [a-z] [^...] and the dot, which is the negation of nothing */
static int gbnf_class(struct gbnf_parser *ps, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;
	size_t start = ps->at, n = 0, from;
	bool negate = true, dot = gbnf_peek(ps, 0) == '.';
	uint32_t state;
	int r;

	ps->at++;
	if (!dot) {
		negate = gbnf_peek(ps, 0) == '^';
		ps->at += negate;
	}
	while (!dot && gbnf_peek(ps, 0) != ']') {
		struct z5_range c = { 0, 0 };

		from = ps->at;
		if (from >= g->len)
			return z5_gbnf_fail(g, start, "this [ has no end: close it with ]");
		r = gbnf_char(ps, &c.lo);
		c.hi = c.lo;
		if (!r && gbnf_peek(ps, 0) == '-' && gbnf_peek(ps, 1) && gbnf_peek(ps, 1) != ']') {
			ps->at++;
			r = gbnf_char(ps, &c.hi);
		}
		if (r)
			return r;
		if (c.lo > c.hi)
			return z5_gbnf_fail(g, from, "a range that ends before it begins: swap its ends");
		if (z5_grow(&ps->range, (uint32_t)n + 2, &ps->cap_range, sizeof(*ps->range)))
			return gbnf_nomem(g);
		ps->range[n++] = c;
	}
	ps->at += !dot;
	if (z5_grow(&ps->range, (uint32_t)n + 2, &ps->cap_range, sizeof(*ps->range)))
		return gbnf_nomem(g);
	n = z5_set_normalise(ps->range, n, negate);
	if (!n)
		return z5_gbnf_fail(g, start, "a class that no character is in: nothing could match it");
	r = z5_set_add(&g->sets, ps->range, n, &state);
	if (r == -E2BIG)
		return z5_gbnf_fail(g, start, "character classes of more than %u byte ranges",
				    Z5_GRAMMAR_SETS);
	if (r)
		return gbnf_nomem(g);
	return gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_SET, .a = state,
			 .at = (uint32_t)start }, id);
}

/* ---- tokens: <[id]> <text>, and ! before them ---- */

static int gbnf_token_id(struct gbnf_parser *ps, size_t start, uint32_t *id)
{
	uint64_t v = 0;
	bool any = false;

	for (; gbnf_peek(ps, 0) >= '0' && gbnf_peek(ps, 0) <= '9' && v <= UINT32_MAX; any = true)
		v = v * 10 + (uint64_t)(ps->g->text[ps->at++] - '0');
	if (!any || gbnf_peek(ps, 0) != ']' || gbnf_peek(ps, 1) != '>')
		return z5_gbnf_fail(ps->g, start, "a token is written <[123]> by its id or <text> by "
				    "its text");
	ps->at += 2;
	if (v >= zen5rt_vocab_size(ps->g->vocab))
		return z5_gbnf_fail(ps->g, start, "the vocabulary has no token of that id, the last is "
				    "%u", zen5rt_vocab_size(ps->g->vocab) - 1);
	*id = (uint32_t)v;
	return 0;
}

static int gbnf_token_text(struct gbnf_parser *ps, size_t start, uint32_t *id)
{
	const struct z5_gbnf *g = ps->g;
	size_t from = ps->at - 1;
	int32_t ids[2];
	int64_t n;

	while (gbnf_peek(ps, 0) && gbnf_peek(ps, 0) != '>' && gbnf_peek(ps, 0) != '\n')
		ps->at++;
	if (gbnf_peek(ps, 0) != '>')
		return z5_gbnf_fail(g, start, "this < has no end: close it with >");
	ps->at++;
	n = zen5rt_tokenize(g->vocab, g->text + from, ps->at - from, ZEN5RT_TOKENIZE_SPECIAL, ids, 2,
			    g->err);
	if (n < 0)
		return (int)n;
	if (n != 1)
		return z5_gbnf_fail(g, start, "this text is %lld tokens of the vocabulary and not one: "
				    "name the token by its id, <[123]>", (long long)n);
	*id = (uint32_t)ids[0];
	return 0;
}

static int gbnf_token(struct gbnf_parser *ps, uint32_t *node)
{
	const struct z5_gbnf *g = ps->g;
	size_t start = ps->at;
	bool inverse = gbnf_peek(ps, 0) == '!';
	uint32_t id = 0;
	int r;

	ps->at += inverse;
	if (gbnf_peek(ps, 0) != '<')
		return z5_gbnf_fail(g, start, "! stands before a token only: !<[123]> or !<text>");
	if (!g->vocab)
		return z5_gbnf_fail(g, start, "a token needs a vocabulary, and this grammar is made "
				    "without one");
	ps->at++;
	if (gbnf_peek(ps, 0) == '[') {
		ps->at++;
		r = gbnf_token_id(ps, start, &id);
	} else {
		r = gbnf_token_text(ps, start, &id);
	}
	if (r)
		return r;
	if (!inverse && zen5rt_vocab_is_eog(g->vocab, (int32_t)id))
		return z5_gbnf_fail(g, start, "this token ends the answer: leave it out, the end of the "
				    "grammar allows it");
	return gbnf_node(ps, (struct z5_ast){ .kind = inverse ? Z5_AST_NOT_TOKEN : Z5_AST_TOKEN, .a = id,
			 .at = (uint32_t)start }, node);
}

/* ---- rules ---- */

/* The number of the rule named p[0..len); new ones wait for their definition. */
static int gbnf_rule(struct gbnf_parser *ps, size_t at, size_t len, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;

	if (z5_strtab_intern(&ps->names, g->text + at, len, id))
		return gbnf_nomem(g);
	if (*id < g->n_rule)
		return 0;
	if (g->n_rule == Z5_GRAMMAR_RULES)
		return z5_gbnf_fail(g, at, "more than %u rules", Z5_GRAMMAR_RULES);
	if (z5_grow(&g->rule, g->n_rule, &g->cap_rule, sizeof(*g->rule)))
		return gbnf_nomem(g);
	g->rule[g->n_rule++] = (struct z5_rule){ (uint32_t)at, (uint32_t)len, Z5_NONE, (uint32_t)at };
	return 0;
}

static size_t gbnf_name(struct gbnf_parser *ps)
{
	size_t from = ps->at;

	while (gbnf_word(gbnf_peek(ps, 0)))
		ps->at++;
	return ps->at - from;
}

static int gbnf_alternatives(struct gbnf_parser *ps, bool nested, uint32_t *id);

static int gbnf_group(struct gbnf_parser *ps, uint32_t *id)
{
	size_t start = ps->at++;
	int r;

	if (ps->depth == Z5_GRAMMAR_NEST)
		return z5_gbnf_fail(ps->g, start, "more than %u parentheses in one another: make rules "
				    "of them", Z5_GRAMMAR_NEST);
	ps->depth++;
	r = gbnf_alternatives(ps, true, id);
	ps->depth--;
	if (r)
		return r;
	if (gbnf_peek(ps, 0) != ')')
		return z5_gbnf_fail(ps->g, ps->at < ps->g->len ? ps->at : start, ps->at < ps->g->len ?
				    "expected ) or another symbol" :
				    "this ( has no end: close it with )");
	ps->at++;
	return 0;
}

static int gbnf_count(struct gbnf_parser *ps, size_t start, uint32_t *n)
{
	uint32_t v = 0;

	if (gbnf_peek(ps, 0) < '0' || gbnf_peek(ps, 0) > '9')
		return z5_gbnf_fail(ps->g, start, "a repetition is written {2}, {2,} or {2,5}");
	for (; gbnf_peek(ps, 0) >= '0' && gbnf_peek(ps, 0) <= '9'; ps->at++) {
		v = v * 10 + (uint32_t)(gbnf_peek(ps, 0) - '0');
		if (v > Z5_GRAMMAR_REPEAT)
			return z5_gbnf_fail(ps->g, start, "a repetition of more than %u times: use {m,} "
					    "or a smaller count", Z5_GRAMMAR_REPEAT);
	}
	*n = v;
	gbnf_space(ps, true);
	return 0;
}

static int gbnf_braces(struct gbnf_parser *ps, uint32_t *least, uint32_t *most)
{
	size_t start = ps->at++;
	int r;

	gbnf_space(ps, true);
	/* {,5} is {0,5} */
	*least = 0;
	r = gbnf_peek(ps, 0) == ',' ? 0 : gbnf_count(ps, start, least);
	*most = *least;
	if (!r && gbnf_peek(ps, 0) == ',') {
		ps->at++;
		gbnf_space(ps, true);
		*most = Z5_NONE;
		if (gbnf_peek(ps, 0) != '}')
			r = gbnf_count(ps, start, most);
	}
	if (r)
		return r;
	if (gbnf_peek(ps, 0) != '}')
		return z5_gbnf_fail(ps->g, start, "a repetition is written {2}, {2,} or {2,5}");
	ps->at++;
	if (*most < *least)
		return z5_gbnf_fail(ps->g, start, "a repetition of at least %u and at most %u times: swap "
				    "them", *least, *most);
	return 0;
}

/* The operators after a symbol; several of them make a chain that counts as nesting. */
static int gbnf_repeats(struct gbnf_parser *ps, bool lines, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;

	for (unsigned int n = 0;; n++) {
		size_t start = ps->at;
		uint32_t least = 0, most = Z5_NONE;
		int r = 0;

		switch (gbnf_peek(ps, 0)) {
		case '*': ps->at++; break;
		case '+': ps->at++; least = 1; break;
		case '?': ps->at++; most = 1; break;
		case '{': r = gbnf_braces(ps, &least, &most); break;
		default: return 0;
		}
		if (!r && n == Z5_GRAMMAR_CHAIN)
			r = z5_gbnf_fail(g, start, "more than %u repetitions of one another",
					 Z5_GRAMMAR_CHAIN);
		if (!r)
			r = gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_REPEAT, .a = *id, .b = least,
				      .c = most, .at = (uint32_t)start }, id);
		if (r)
			return r;
		gbnf_space(ps, lines);
	}
}

/* One symbol. *id is Z5_NONE where the sequence ends. */
static int gbnf_symbol(struct gbnf_parser *ps, uint32_t *id)
{
	size_t at = ps->at, len;
	uint32_t rule;
	char c = gbnf_peek(ps, 0);
	int r;

	*id = Z5_NONE;
	if (c == '"')
		return gbnf_literal(ps, id);
	if (c == '[' || c == '.')
		return gbnf_class(ps, id);
	if (c == '(')
		return gbnf_group(ps, id);
	if (c == '<' || c == '!')
		return gbnf_token(ps, id);
	if (c == '*' || c == '+' || c == '?' || c == '{')
		return z5_gbnf_fail(ps->g, at, "nothing to repeat before %c", c);
	len = gbnf_name(ps);
	if (!len)
		return 0;
	r = gbnf_rule(ps, at, len, &rule);
	if (r)
		return r;
	return gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_RULE, .a = rule, .at = (uint32_t)at }, id);
}

static int gbnf_sequence(struct gbnf_parser *ps, bool lines, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;
	uint32_t last = Z5_NONE, one;
	size_t at = ps->at;
	int r;

	for (;;) {
		r = gbnf_symbol(ps, &one);
		if (r)
			return r;
		if (one == Z5_NONE)
			break;
		gbnf_space(ps, lines);
		r = gbnf_repeats(ps, lines, &one);
		if (r)
			return r;
		g->node[one].next = last;
		last = one;
	}
	if (last == Z5_NONE)
		return gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_EMPTY, .at = (uint32_t)at }, id);
	return gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_SEQ, .a = last, .at = (uint32_t)at }, id);
}

static int gbnf_alternatives(struct gbnf_parser *ps, bool nested, uint32_t *id)
{
	struct z5_gbnf *g = ps->g;
	uint32_t last = Z5_NONE, one = 0;
	size_t at = ps->at;
	int r;

	do {
		if (last != Z5_NONE)
			ps->at++;
		/* after ::= ( and | a line may end anywhere */
		gbnf_space(ps, true);
		r = gbnf_sequence(ps, nested, &one);
		if (r)
			return r;
		g->node[one].next = last;
		last = one;
	} while (gbnf_peek(ps, 0) == '|');
	return gbnf_node(ps, (struct z5_ast){ .kind = Z5_AST_ALT, .a = last, .at = (uint32_t)at }, id);
}

static int gbnf_definition(struct gbnf_parser *ps)
{
	struct z5_gbnf *g = ps->g;
	size_t at = ps->at, len = gbnf_name(ps);
	uint32_t id = 0, body = 0;
	int r;

	if (!len && gbnf_peek(ps, 0) == '|')
		return z5_gbnf_fail(g, at, "a line cannot begin with |: end the one before with it, or put "
				    "the rule in parentheses");
	if (!len)
		return z5_gbnf_fail(g, at, "expected the name of a rule: letters, digits, - and _");
	gbnf_space(ps, false);
	if (gbnf_peek(ps, 0) != ':' || gbnf_peek(ps, 1) != ':' || gbnf_peek(ps, 2) != '=')
		return z5_gbnf_fail(g, ps->at, "expected ::= after the name of the rule");
	ps->at += 3;
	r = gbnf_rule(ps, at, len, &id);
	if (r)
		return r;
	if (g->rule[id].body != Z5_NONE)
		return z5_gbnf_fail(g, at, "rule %.*s is defined twice: join the two with |",
				    (int)(len < 100 ? len : 100), g->text + at);
	g->rule[id].at = (uint32_t)at;
	/* no second definition inside the first one */
	r = gbnf_alternatives(ps, false, &body);
	if (r)
		return r;
	g->rule[id].body = body;
	if (ps->at < g->len && gbnf_peek(ps, 0) != '\n' && gbnf_peek(ps, 0) != '\r')
		return z5_gbnf_fail(g, ps->at, "expected a symbol, | or the end of the line");
	gbnf_space(ps, true);
	return 0;
}

static int gbnf_check_text(const struct z5_gbnf *g)
{
	uint32_t cp;

	if (g->len > Z5_GRAMMAR_TEXT)
		return z5_fail(g->err, -EINVAL, "a grammar of %zu bytes: at most %u are allowed", g->len,
			       Z5_GRAMMAR_TEXT);
	for (size_t i = 0; i < g->len; ) {
		size_t n = utf8_next(g->text + i, g->len - i, &cp);

		if (!cp)
			return z5_gbnf_fail(g, i, "a NUL byte: write \\x00 for the character");
		if (cp > 0x10ffff)
			return z5_gbnf_fail(g, i, "byte 0x%02x is not UTF-8: save the grammar as UTF-8",
					    (uint8_t)g->text[i]);
		i += n;
	}
	return 0;
}

int z5_gbnf_parse(struct z5_gbnf *g)
{
	struct gbnf_parser ps = { .g = g };
	int r = gbnf_check_text(g);

	if (r)
		return r;
	if (z5_strtab_init(&ps.names, 64))
		return gbnf_nomem(g);
	/* a mark that some editors put before UTF-8 */
	if (g->len >= 3 && !memcmp(g->text, "\xef\xbb\xbf", 3))
		ps.at = 3;
	gbnf_space(&ps, true);
	while (!r && ps.at < g->len)
		r = gbnf_definition(&ps);
	if (!r && !g->n_rule)
		r = z5_fail(g->err, -EINVAL, "the grammar has no rules: it takes at least root ::= ...");
	for (uint32_t i = 0; !r && i < g->n_rule; i++)
		if (g->rule[i].body == Z5_NONE)
			r = z5_gbnf_fail(g, g->rule[i].at, "rule %.*s is used and not defined",
					 (int)(g->rule[i].name_len < 100 ? g->rule[i].name_len : 100),
					 g->text + g->rule[i].name);
	z5_strtab_free(&ps.names);
	free(ps.range);
	return r;
}

uint32_t z5_gbnf_rule(const struct z5_gbnf *g, const char *name, size_t len)
{
	for (uint32_t i = 0; i < g->n_rule; i++)
		if (g->rule[i].name_len == len && !memcmp(g->text + g->rule[i].name, name, len))
			return i;
	return Z5_NONE;
}

void z5_gbnf_free(struct z5_gbnf *g)
{
	free(g->node);
	free(g->rule);
	free(g->bytes);
	free(g->sets.edge);
	free(g->sets.state);
}
