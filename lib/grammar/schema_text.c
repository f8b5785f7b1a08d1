// SPDX-License-Identifier: MIT
/*
 * Strings of a JSON schema: lengths, formats, and patterns, which are regular expressions as ECMA-262
 * writes them. A pattern is about the value of a string, a grammar about how JSON writes it: characters
 * that JSON escapes appear as escapes, and each character has one way to be written here.
 */
#include "schema.h"
#include "grammar.h"
#include "vocab/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct pattern {
	struct z5_schema *s;
	const char *p, *end;
	struct z5_buf *out;
	unsigned int depth;
};

/* Escapes of JSON that a pattern's characters may need: all but \u. */
static const struct { char c, letter; } json_escape[] = {
	{ '"', '"' }, { '\\', '\\' }, { '\b', 'b' }, { '\f', 'f' }, { '\n', 'n' }, { '\r', 'r' }, { '\t', 't' },
};
#define N_ESCAPE (sizeof(json_escape) / sizeof(*json_escape))

static int pattern_fail(struct pattern *p, const char *what)
{
	return z5_schema_fail(p->s, "\"pattern\" before \"%.20s\": %s", p->p < p->end ? p->p : "", what);
}

/* ---- sets of characters ---- */

#define SET_RANGES 256

struct set {
	struct z5_range r[2 * SET_RANGES + 8];
	size_t n;
};

static int set_add(struct pattern *p, struct set *set, uint32_t lo, uint32_t hi)
{
	if (set->n == SET_RANGES)
		return pattern_fail(p, "a class of too many ranges");
	set->r[set->n++] = (struct z5_range){ lo, hi };
	return 0;
}

static int set_merge(struct pattern *p, struct set *set, const struct z5_range *r, size_t n)
{
	int ret = 0;

	for (size_t i = 0; i < n && !ret; i++)
		ret = set_add(p, set, r[i].lo, r[i].hi);
	return ret;
}

/* \d \w \s, and in capitals what they are not (ECMA-262, CharacterClassEscape). */
static int set_named(struct pattern *p, struct set *set, char name)
{
	static const struct z5_range digit[] = { { '0', '9' } };
	static const struct z5_range word[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
	static const struct z5_range space[] = { { '\t', '\r' }, { ' ', ' ' }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 },
		{ 0x2000, 0x200a }, { 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f },
		{ 0x3000, 0x3000 }, { 0xfeff, 0xfeff } };
	const struct z5_range *r = space;
	struct set other = { .n = 0 };
	size_t n = sizeof(space) / sizeof(*space);

	if (name == 'd' || name == 'D') {
		r = digit;
		n = 1;
	} else if (name == 'w' || name == 'W') {
		r = word;
		n = sizeof(word) / sizeof(*word);
	}
	if (name >= 'a')
		return set_merge(p, set, r, n);
	memcpy(other.r, r, n * sizeof(*r));
	other.n = z5_set_normalise(other.r, n, true);
	return set_merge(p, set, other.r, other.n);
}

static bool set_has(const struct set *set, uint32_t c)
{
	for (size_t i = 0; i < set->n; i++)
		if (set->r[i].lo <= c && c <= set->r[i].hi)
			return true;
	return false;
}

/* The set in GBNF: what JSON writes as it is, and escapes for the rest. */
static int set_write(struct pattern *p, struct set *set, bool negate)
{
	struct z5_range *r = set->r;
	bool any = false;
	size_t n = set->n = z5_set_normalise(r, set->n, negate);

	z5_buf_add(p->out, "(");
	for (size_t i = 0; i < n; i++) {
		/* cut at what is escaped: controls, the quote and the backslash */
		static const struct z5_range plain[] = { { ' ', '!' }, { '#', '[' }, { ']', '~' },
							 { 0x80, 0x10ffff } };

		for (size_t k = 0; k < sizeof(plain) / sizeof(*plain); k++) {
			uint32_t lo = r[i].lo > plain[k].lo ? r[i].lo : plain[k].lo;
			uint32_t hi = r[i].hi < plain[k].hi ? r[i].hi : plain[k].hi;

			if (lo > hi)
				continue;
			z5_buf_add(p->out, any ? "" : "[");
			any = true;
			z5_buf_add(p->out, "\\U%08x-\\U%08x", lo, hi);
		}
	}
	z5_buf_add(p->out, any ? "]" : "");
	for (size_t i = 0; i < N_ESCAPE; i++) {
		const char text[2] = { '\\', json_escape[i].letter };

		if (!set_has(set, (uint8_t)json_escape[i].c))
			continue;
		z5_buf_add(p->out, any ? " | " : "");
		any = true;
		z5_buf_literal(p->out, text, 2);
	}
	z5_buf_add(p->out, ")");
	return any ? 0 : pattern_fail(p, "a class of which JSON has no character to write");
}

/* ---- characters ---- */

static int hex_digits(struct pattern *p, unsigned int n, uint32_t *cp)
{
	uint32_t v = 0;

	for (unsigned int i = 0; i < n; i++, p->p++) {
		char c = p->p < p->end ? *p->p : 0;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if ((c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'))
			v = v << 4 | ((uint32_t)(c & 7) + 9);
		else
			return pattern_fail(p, "hexadecimal digits are missing");
	}
	*cp = v;
	return 0;
}

/*
 * One character or class after a backslash. *named is the letter of a class, 0 for a character, which
 * is then *cp.
 */
static int pattern_escape(struct pattern *p, char *named, uint32_t *cp)
{
	char c = p->p < p->end ? *p->p : 0;
	int r = 0;

	*named = 0;
	if (c && strchr("dDwWsS", c)) {
		*named = c;
		p->p++;
		return 0;
	}
	if (!c || (uint8_t)c >= 0x80 || (c >= 'a' && c <= 'z' && !strchr("tnrfvxu", c)) ||
	    (c >= 'A' && c <= 'Z') || (c >= '1' && c <= '9'))
		return pattern_fail(p, "this escape cannot be made a grammar");
	p->p++;
	switch (c) {
	case 't': *cp = '\t'; break;
	case 'n': *cp = '\n'; break;
	case 'r': *cp = '\r'; break;
	case 'f': *cp = '\f'; break;
	case 'v': *cp = '\v'; break;
	case '0': *cp = 0; break;
	case 'x': r = hex_digits(p, 2, cp); break;
	case 'u': r = hex_digits(p, 4, cp); break;
	default: *cp = (uint8_t)c;
	}
	/* two escapes for one character outside the first plane */
	if (!r && c == 'u' && *cp >= 0xd800 && *cp < 0xdc00 && p->end - p->p >= 6 && p->p[0] == '\\' &&
	    p->p[1] == 'u') {
		uint32_t low;

		p->p += 2;
		r = hex_digits(p, 4, &low);
		if (!r && low >= 0xdc00 && low < 0xe000)
			*cp = 0x10000 + ((*cp - 0xd800) << 10) + (low - 0xdc00);
	}
	if (!r && *cp >= 0xd800 && *cp < 0xe000)
		return pattern_fail(p, "half of a surrogate pair is no character");
	return r;
}

static int pattern_char(struct pattern *p, char *named, uint32_t *cp)
{
	*named = 0;
	if (*p->p == '\\') {
		p->p++;
		return pattern_escape(p, named, cp);
	}
	p->p += utf8_next(p->p, (size_t)(p->end - p->p), cp);
	return 0;
}

static int pattern_class(struct pattern *p)
{
	struct set set = { .n = 0 };
	bool negate;
	int r = 0;

	p->p++;
	negate = p->p < p->end && *p->p == '^';
	p->p += negate;
	while (!r && p->p < p->end && *p->p != ']') {
		uint32_t lo = 0, hi;
		char named = 0;

		/* \b is a backspace here */
		if (p->end - p->p > 1 && p->p[0] == '\\' && p->p[1] == 'b') {
			p->p += 2;
			named = 0;
			lo = '\b';
		} else {
			r = pattern_char(p, &named, &lo);
		}
		if (r)
			break;
		if (named) {
			r = set_named(p, &set, named);
			continue;
		}
		hi = lo;
		if (p->end - p->p > 1 && p->p[0] == '-' && p->p[1] != ']') {
			p->p++;
			r = pattern_char(p, &named, &hi);
			if (!r && (named || hi < lo))
				r = pattern_fail(p, "a range that is none");
		}
		if (!r)
			r = set_add(p, &set, lo, hi);
	}
	if (!r && p->p == p->end)
		r = pattern_fail(p, "a [ without ]");
	p->p++;
	return r ? r : set_write(p, &set, negate);
}

/* ---- expressions ---- */

static int pattern_alternatives(struct pattern *p);

static int pattern_group(struct pattern *p)
{
	int r;

	p->p++;
	if (p->p < p->end && *p->p == '?') {
		const char *close;

		/* (?:...) and the name of (?<name>...) say nothing about the text */
		if (p->end - p->p > 1 && p->p[1] == ':') {
			p->p += 2;
		} else if (p->end - p->p > 2 && p->p[1] == '<' && p->p[2] != '=' && p->p[2] != '!') {
			close = memchr(p->p, '>', (size_t)(p->end - p->p));
			if (!close)
				return pattern_fail(p, "a group's name without >");
			p->p = close + 1;
		} else {
			return pattern_fail(p, "looking ahead or back cannot be made a grammar");
		}
	}
	if (++p->depth > Z5_SCHEMA_NEST / 2)
		return pattern_fail(p, "too many groups in one another");
	r = pattern_alternatives(p);
	p->depth--;
	if (r)
		return r;
	if (p->p == p->end)
		return pattern_fail(p, "a ( without )");
	p->p++;
	return 0;
}

/* An atom; what it is made of is one symbol of GBNF. */
static int pattern_atom(struct pattern *p)
{
	struct set set = { .n = 0 };
	uint32_t cp = 0;
	char named = 0;
	int r;

	switch (*p->p) {
	case '(':
		return pattern_group(p);
	case '[':
		return pattern_class(p);
	case '.':
		/* anything but a line's end */
		p->p++;
		set_add(p, &set, '\n', '\n');
		set_add(p, &set, '\r', '\r');
		set_add(p, &set, 0x2028, 0x2029);
		return set_write(p, &set, true);
	case '*':
	case '+':
	case '?':
	case '{':
	case '}':
	case ']':
		return pattern_fail(p, "nothing to repeat: put \\ before the character if it is meant itself");
	case '^':
	case '$':
		return pattern_fail(p, "^ and $ can only begin and end the pattern");
	}
	r = pattern_char(p, &named, &cp);
	if (r)
		return r;
	r = named ? set_named(p, &set, named) : set_add(p, &set, cp, cp);
	return r ? r : set_write(p, &set, false);
}

static int pattern_number(struct pattern *p, uint32_t *n)
{
	uint32_t v = 0;

	if (p->p == p->end || *p->p < '0' || *p->p > '9')
		return pattern_fail(p, "a repetition is written {2}, {2,} or {2,5}");
	for (; p->p < p->end && *p->p >= '0' && *p->p <= '9'; p->p++) {
		v = v * 10 + (uint32_t)(*p->p - '0');
		if (v > Z5_GRAMMAR_REPEAT)
			return pattern_fail(p, "a repetition of more than 65536 times");
	}
	*n = v;
	return 0;
}

static int pattern_repeat(struct pattern *p)
{
	uint32_t least = 0, most = 0;
	int r;

	if (p->p == p->end || !strchr("*+?{", *p->p))
		return 0;
	if (*p->p != '{') {
		z5_buf_bytes(p->out, p->p++, 1);
	} else {
		p->p++;
		r = pattern_number(p, &least);
		most = least;
		if (!r && p->p < p->end && *p->p == ',') {
			p->p++;
			most = Z5_NONE;
			if (p->p < p->end && *p->p != '}')
				r = pattern_number(p, &most);
		}
		if (r)
			return r;
		if (p->p == p->end || *p->p != '}' || most < least)
			return pattern_fail(p, "a repetition is written {2}, {2,} or {2,5}");
		p->p++;
		if (most == Z5_NONE)
			z5_buf_add(p->out, "{%u,}", least);
		else
			z5_buf_add(p->out, "{%u,%u}", least, most);
	}
	/* a lazy repetition matches the same texts */
	if (p->p < p->end && *p->p == '?')
		p->p++;
	if (p->p < p->end && strchr("*+?{", *p->p))
		return pattern_fail(p, "a repetition of a repetition");
	return 0;
}

/*
 * Alternatives up to a ) or the end. Outside groups each may begin with ^ and end with $, else anything may be
 * there.
 */
static int pattern_alternatives(struct pattern *p)
{
	bool top = !p->depth;
	int r = 0;

	z5_buf_add(p->out, "(");
	for (;;) {
		bool closed = false;

		if (top && p->p < p->end && *p->p == '^')
			p->p++;
		else if (top)
			z5_buf_add(p->out, "%s* ", z5_schema_basic(p->s, "plain"));
		while (!r && p->p < p->end && *p->p != '|' && *p->p != ')') {
			if (top && *p->p == '$' && (p->p + 1 == p->end || p->p[1] == '|')) {
				p->p++;
				closed = true;
				break;
			}
			r = pattern_atom(p);
			if (!r)
				r = pattern_repeat(p);
			z5_buf_add(p->out, " ");
		}
		if (r)
			return r;
		if (top && p->p < p->end && *p->p == ')')
			return pattern_fail(p, "a ) without (");
		if (top && !closed)
			z5_buf_add(p->out, "%s*", z5_schema_basic(p->s, "plain"));
		if (p->p == p->end || *p->p != '|')
			break;
		p->p++;
		z5_buf_add(p->out, " | ");
	}
	z5_buf_add(p->out, ")");
	return p->out->failed;
}

/* ---- strings ---- */

/* A rule for strings of these lengths, shared: counts are what makes grammars large. */
static int string_length(struct z5_schema *s, uint32_t least, uint32_t most, struct z5_buf *out)
{
	for (uint32_t i = s->n_length > 256 ? s->n_length - 256 : 0; i < s->n_length; i++) {
		if (s->length[i].least == least && s->length[i].most == most) {
			z5_buf_add(out, "text-%u", i);
			return 0;
		}
	}
	if (z5_grow(&s->length, s->n_length, &s->cap_length, sizeof(*s->length)))
		return -ENOMEM;
	s->length[s->n_length].least = least;
	s->length[s->n_length].most = most;
	z5_buf_add(&s->out, "text-%u ::= \"\\\"\" %s", s->n_length, z5_schema_basic(s, "char"));
	if (most == Z5_NONE)
		z5_buf_add(&s->out, "{%u,} \"\\\"\"\n", least);
	else
		z5_buf_add(&s->out, "{%u,%u} \"\\\"\"\n", least, most);
	z5_buf_add(out, "text-%u", s->n_length++);
	return 0;
}

static int string_format(struct z5_schema *s, const json_t *format, struct z5_buf *out)
{
	static const char *const names[] = { "date", "time", "date-time", "uuid", "ipv4", "hostname", "email",
					     "uri" };
	const char *name = json_string_value(format);

	for (size_t i = 0; name && i < sizeof(names) / sizeof(*names); i++) {
		if (strcmp(names[i], name))
			continue;
		z5_buf_add(out, "(\"\\\"\" %s \"\\\"\")", z5_schema_basic(s, name));
		return 0;
	}
	return z5_schema_fail(s, "no grammar for \"format\" \"%.40s\": there are date, time, date-time, uuid, ipv4, "
			      "hostname, email, uri; leave out others", name ? name : "");
}

int z5_schema_string(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *pattern = json_object_get(schema, "pattern"), *format = json_object_get(schema, "format");
	struct pattern p = { .s = s, .out = out };
	uint32_t least, most;
	int r = z5_schema_count(s, schema, "minLength", 0, &least);

	if (!r)
		r = z5_schema_count(s, schema, "maxLength", Z5_NONE, &most);
	if (r)
		return r;
	if (most < least)
		return z5_schema_fail(s, "\"maxLength\" is less than \"minLength\"");
	if ((pattern != NULL) + (format != NULL) + (least > 0 || most < Z5_NONE) > 1)
		return z5_schema_fail(s, "of \"pattern\", \"format\" and lengths only one can be made a grammar: "
				      "put the lengths into the pattern");
	if (format)
		return string_format(s, format, out);
	if (!pattern && !least && most == Z5_NONE) {
		z5_buf_add(out, "%s", z5_schema_basic(s, "string"));
		return 0;
	}
	if (!pattern)
		return string_length(s, least, most, out);
	if (!json_is_string(pattern))
		return z5_schema_fail(s, "\"pattern\" must be a string");
	p.p = json_string_value(pattern);
	p.end = p.p + json_string_length(pattern);
	z5_buf_add(out, "(\"\\\"\" ");
	r = pattern_alternatives(&p);
	z5_buf_add(out, " \"\\\"\")");
	return r;
}
