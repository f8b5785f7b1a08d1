// SPDX-License-Identifier: MIT
/*
 * JSON schema to GBNF: which keywords there are, and values, objects and arrays. What is written here
 * is valid under the schema; where a grammar cannot say all that a schema allows it allows less, and a
 * keyword that would be violated is refused. Documentation/grammar.rst has the list.
 */
#include "schema.h"
#include "error.h"
#include "grammar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- which keywords ---- */

enum keyword_use { SAYS_NOTHING, ASSERTS, REFUSED };

static enum keyword_use keyword_use(const char *key, const json_t *v)
{
	static const char *const asserts[] = {
		"$ref", "enum", "const", "anyOf", "oneOf", "allOf", "type", "properties", "required",
		"additionalProperties", "items", "prefixItems", "additionalItems", "minItems", "maxItems",
		"minLength", "maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
		"exclusiveMaximum",
	};
	static const char *const refused[] = {
		"not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies",
		"patternProperties", "propertyNames", "minProperties", "maxProperties",
		"unevaluatedProperties", "unevaluatedItems", "contains", "uniqueItems", "multipleOf",
		"$dynamicRef", "$recursiveRef",
	};

	for (size_t i = 0; i < sizeof(asserts) / sizeof(*asserts); i++)
		if (!strcmp(key, asserts[i]))
			return ASSERTS;
	/* those that ask for nothing */
	if ((!strcmp(key, "uniqueItems") && json_is_false(v)) ||
	    (!strcmp(key, "minProperties") && json_is_integer(v) && !json_integer_value(v)))
		return SAYS_NOTHING;
	for (size_t i = 0; i < sizeof(refused) / sizeof(*refused); i++)
		if (!strcmp(key, refused[i]))
			return REFUSED;
	return SAYS_NOTHING;
}

/* -EINVAL if schema has a keyword that is refused, or one that asserts and is none of the two named. */
static int schema_keywords(struct z5_schema *s, const json_t *schema, const char *only, const char *and)
{
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)schema, key, v) {
		enum keyword_use use = keyword_use(key, v);

		if (use == REFUSED)
			return z5_schema_fail(s, "\"%s\" cannot be made a grammar: leave it out", key);
		if (use == ASSERTS && only && strcmp(key, only) && (!and || strcmp(key, and)))
			return z5_schema_fail(s, "\"%s\" beside \"%s\": only one of them can be made a "
					      "grammar", key, only);
	}
	return 0;
}

bool z5_schema_has(const json_t *schema, const char *const *keys)
{
	for (; *keys; keys++)
		if (json_object_get(schema, *keys))
			return true;
	return false;
}

const char *const z5_object_keys[] = { "properties", "required", "additionalProperties", NULL };
const char *const z5_array_keys[] = { "items", "prefixItems", "minItems", "maxItems",
					  "additionalItems", NULL };
static const char *const string_keys[] = { "minLength", "maxLength", "pattern", "format", NULL };
static const char *const number_keys[] = { "minimum", "maximum", "exclusiveMinimum",
					   "exclusiveMaximum", NULL };

/* ---- references ---- */

/* The part of a JSON pointer up to the next '/', decoded from %XX and ~0 ~1; moves *p past it. */
static bool pointer_part(const char **p, char *out, size_t size)
{
	size_t n = 0;

	for (; **p && **p != '/'; (*p)++) {
		unsigned int c = (uint8_t)**p;

		if (c == '%') {
			if (strspn(*p + 1, "0123456789abcdefABCDEF") < 2 ||
			    sscanf(*p + 1, "%2x", &c) != 1 || !c)
				return false;
			*p += 2;
		}
		if (c == '~' && ((*p)[1] == '0' || (*p)[1] == '1'))
			c = *++*p == '0' ? '~' : '/';
		if (n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

/* What a $ref refers to; NULL and a line if that is nowhere. */
static const json_t *schema_resolve(struct z5_schema *s, const char *ref)
{
	const json_t *at = s->root;
	const char *p = ref + 1;
	char part[256];

	if (*ref != '#' || (ref[1] && ref[1] != '/')) {
		z5_schema_fail(s, "\"$ref\": \"%.80s\": only references into this schema, \"#/...\", are "
			       "followed", ref);
		return NULL;
	}
	while (at && *p == '/') {
		char *end;
		size_t i;

		p++;
		if (!pointer_part(&p, part, sizeof(part))) {
			at = NULL;
		} else if (json_is_array(at)) {
			i = strtoul(part, &end, 10);
			at = *part >= '0' && *part <= '9' && !*end ? json_array_get(at, i) : NULL;
		} else {
			at = json_object_get(at, part);
		}
	}
	if (!at || (!json_is_object(at) && !json_is_boolean(at))) {
		z5_schema_fail(s, "\"$ref\": \"%.80s\" leads to no schema", ref);
		return NULL;
	}
	return at;
}

static int ref_room(struct z5_schema *s)
{
	uint32_t more = s->ref_slot ? s->ref_mask * 2 + 1 : 63, *slot;

	if (z5_grow(&s->ref, s->n_ref, &s->cap_ref, sizeof(*s->ref)))
		return -ENOMEM;
	if (s->ref_slot && s->n_ref < s->ref_mask / 2)
		return 0;
	slot = calloc((size_t)more + 1, sizeof(*slot));
	if (!slot)
		return -ENOMEM;
	for (uint32_t i = 0; i < s->n_ref; i++) {
		uint32_t k = (uint32_t)((uintptr_t)s->ref[i].to >> 4) & more;

		while (slot[k])
			k = (k + 1) & more;
		slot[k] = i + 1;
	}
	free(s->ref_slot);
	s->ref_slot = slot;
	s->ref_mask = more;
	return 0;
}

static int schema_ref(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *ref = json_object_get(schema, "$ref"), *to;
	uint32_t k;
	int r = schema_keywords(s, schema, "$ref", NULL);

	if (r)
		return r;
	if (!json_is_string(ref))
		return z5_schema_fail(s, "\"$ref\" must be a string");
	to = schema_resolve(s, json_string_value(ref));
	if (!to)
		return -EINVAL;
	if (ref_room(s))
		return z5_schema_nomem(s);
	for (k = (uint32_t)((uintptr_t)to >> 4) & s->ref_mask; s->ref_slot[k]; k = (k + 1) & s->ref_mask)
		if (s->ref[s->ref_slot[k] - 1].to == to)
			break;
	if (!s->ref_slot[k]) {
		char *path = strdup(json_string_value(ref) + 1);

		if (!path)
			return z5_schema_nomem(s);
		s->ref[s->n_ref] = (struct z5_schema_ref){ to, path, s->n_rule++ };
		s->ref_slot[k] = ++s->n_ref;
	}
	z5_buf_add(out, "ref-%u", s->ref[s->ref_slot[k] - 1].number);
	return 0;
}

/* ---- values ---- */

/*
 * -ENOMEM, or -EINVAL and at. Where memory runs out jansson 2.14 speaks of a bad token, and errno alone tells; or
 * it drops the end of a long token and says nothing: what is read twice alike is whole.
 */
static int schema_load(const char *text, size_t len, size_t flags, json_t **v, json_error_t *at)
{
	json_t *again;
	bool same;

	errno = 0;
	*v = json_loadb(text, len, flags, at);
	if (!*v)
		return errno == ENOMEM ? -ENOMEM : -EINVAL;
	again = json_loadb(text, len, flags, at);
	same = again && json_equal(*v, again);
	json_decref(again);
	if (same)
		return 0;
	json_decref(*v);
	*v = NULL;
	return -ENOMEM;
}

/* A value as it stands in the schema. */
int z5_schema_literal(struct z5_schema *s, const json_t *v, struct z5_buf *out)
{
	const size_t flags = JSON_COMPACT | JSON_ENCODE_ANY;
	char *text = json_dumps(v, flags | JSON_REAL_PRECISION(15));
	json_t *back = NULL;

	if (!text || schema_load(text, strlen(text), JSON_DECODE_ANY, &back, NULL) == -ENOMEM) {
		free(text);
		return z5_schema_nomem(s);
	}
	/* 15 digits are enough for what people write, 17 for every number */
	if (!back || !json_equal(back, v)) {
		free(text);
		text = json_dumps(v, flags);
	}
	json_decref(back);
	if (!text)
		return z5_schema_nomem(s);
	z5_buf_literal(out, text, strlen(text));
	free(text);
	return 0;
}

static bool type_is(const char *type, const json_t *v)
{
	switch (json_typeof(v)) {
	case JSON_OBJECT: return !strcmp(type, "object");
	case JSON_ARRAY: return !strcmp(type, "array");
	case JSON_STRING: return !strcmp(type, "string");
	case JSON_INTEGER: return !strcmp(type, "integer") || !strcmp(type, "number");
	case JSON_REAL: return !strcmp(type, "number");
	case JSON_NULL: return !strcmp(type, "null");
	default: return !strcmp(type, "boolean");
	}
}

static bool types_allow(const json_t *types, const json_t *v)
{
	size_t i;
	json_t *t;

	if (!types)
		return true;
	if (json_array_size(types) > 16)	/* there are seven */
		return false;
	if (json_is_string(types))
		return type_is(json_string_value(types), v);
	json_array_foreach((json_t *)types, i, t)
		if (json_is_string(t) && type_is(json_string_value(t), v))
			return true;
	return false;
}

static int schema_enum(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *values = json_object_get(schema, "enum"), *one = json_object_get(schema, "const");
	const json_t *types = json_object_get(schema, "type");
	struct z5_buf body = { NULL, 0, 0, 0 };
	unsigned int n = 0, number = s->n_rule++;
	int r = schema_keywords(s, schema, one ? "const" : "enum", "type");
	size_t i;
	json_t *v;

	if (!r && !one && !json_is_array(values))
		return z5_schema_fail(s, "\"enum\" must be an array");
	if (!r && one && types_allow(types, one))
		return z5_schema_literal(s, one, out);
	for (i = 0; !r && !one && i < json_array_size(values); i++) {
		v = json_array_get(values, i);
		if (!types_allow(types, v))
			continue;
		if (n++)
			z5_buf_add(&body, " | ");
		r = z5_schema_literal(s, v, &body);
	}
	if (!r && !n)
		r = z5_schema_fail(s, "no value is allowed here: see its type and %s",
				   one ? "\"const\"" : "\"enum\"");
	if (r) {
		free(body.p);
		return r;
	}
	r = z5_schema_rule(s, "enum", number, &body);
	z5_buf_add(out, "enum-%u", number);
	return r;
}

/* True if all that schema lets in is surely of that type. */
static bool schema_is(struct z5_schema *s, const json_t *schema, const char *type)
{
	const json_t *t, *ref;
	unsigned int n = 0;

	while ((ref = json_object_get(schema, "$ref")) && json_is_string(ref) && n++ < Z5_SCHEMA_NEST)
		schema = schema_resolve(s, json_string_value(ref));
	t = json_object_get(schema, "type");
	if (t)
		return json_is_string(t) && !strcmp(json_string_value(t), type);
	return (!strcmp(type, "object") && z5_schema_has(schema, z5_object_keys)) ||
	       (!strcmp(type, "array") && z5_schema_has(schema, z5_array_keys)) ||
	       (!strcmp(type, "string") && z5_schema_has(schema, string_keys)) ||
	       (!strcmp(type, "number") && z5_schema_has(schema, number_keys));
}

/* The schemas of an array as alternatives: anyOf, and oneOf, of which a grammar cannot forbid that two match. */
static int schema_any(struct z5_schema *s, const json_t *schema, const char *key, struct z5_buf *out)
{
	const json_t *list = json_object_get(schema, key);
	struct z5_buf body = { NULL, 0, 0, 0 };
	unsigned int number = s->n_rule++;
	const json_t *type = json_object_get(schema, "type");
	int r = schema_keywords(s, schema, key, json_is_string(type) ? "type" : NULL);
	size_t i, up;

	if (!r && (!json_is_array(list) || !json_array_size(list)))
		r = z5_schema_fail(s, "\"%s\" must be an array of schemas", key);
	for (i = 0; !r && i < json_array_size(list); i++) {
		up = z5_schema_down(s, key, 0);
		z5_schema_down(s, NULL, i);
		if (type && !schema_is(s, json_array_get(list, i), json_string_value(type)))
			r = z5_schema_fail(s, "not of the \"type\" beside \"%s\"", key);
		if (i)
			z5_buf_add(&body, " | ");
		if (!r)
			r = z5_schema_value(s, json_array_get(list, i), &body);
		z5_schema_up(s, up);
	}
	if (r) {
		free(body.p);
		return r;
	}
	r = z5_schema_rule(s, "any", number, &body);
	z5_buf_add(out, "any-%u", number);
	return r;
}

/* ---- allOf ---- */

/* Schemas joined by all of them together; references may make many of few. */
#define SCHEMA_JOINS 256

/* Adds the keywords of one object schema to the joined one. */
static int all_join(struct z5_schema *s, json_t *joined, const json_t *part, unsigned int depth)
{
	json_t *props = json_object_get(joined, "properties");
	json_t *required = json_object_get(joined, "required");
	const char *key, *name;
	json_t *v, *w;
	size_t i;
	int r = 0;

	if (depth > Z5_SCHEMA_NEST || ++s->n_join > SCHEMA_JOINS)
		return z5_schema_fail(s, "\"allOf\" and \"$ref\" in one another more than %u times, or %u of them",
				      Z5_SCHEMA_NEST, SCHEMA_JOINS);
	if (!json_is_object(part))
		return z5_schema_fail(s, "\"allOf\" can join object schemas only");
	json_object_foreach((json_t *)part, key, v) {
		enum keyword_use use = keyword_use(key, v);

		if (use == SAYS_NOTHING)
			continue;
		if (!strcmp(key, "$ref") && json_is_string(v)) {
			const json_t *to = schema_resolve(s, json_string_value(v));

			r = to ? all_join(s, joined, to, depth + 1) : -EINVAL;
		} else if (!strcmp(key, "allOf") && json_is_array(v)) {
			for (i = 0; i < json_array_size(v) && !r; i++)
				r = all_join(s, joined, json_array_get(v, i), depth + 1);
		} else if (!strcmp(key, "properties") && json_is_object(v)) {
			json_object_foreach(v, name, w) {
				json_t *have = json_object_get(props, name);

				if (have && !json_equal(have, w))
					return z5_schema_fail(s, "\"allOf\" has two different schemas for "
							      "\"%.80s\"", name);
				if (!have && json_object_set(props, name, w))
					return z5_schema_nomem(s);
			}
		} else if (!strcmp(key, "required") && json_is_array(v)) {
			if (json_array_size(required) + json_array_size(v) > Z5_GRAMMAR_RULES)
				return z5_schema_fail(s, "more than %u names in \"required\"", Z5_GRAMMAR_RULES);
			if (json_array_extend(required, v))
				return z5_schema_nomem(s);
		} else if (!strcmp(key, "additionalProperties") && json_is_boolean(v)) {
			/* false in one part would forbid what the others name; joined, it closes the whole */
			if ((json_is_false(v) || !json_object_get(joined, key)) &&
			    json_object_set(joined, key, v))
				return z5_schema_nomem(s);
		} else if (strcmp(key, "type") || !json_is_string(v) || strcmp(json_string_value(v), "object")) {
			return z5_schema_fail(s, "\"%s\" within \"allOf\": only objects' properties, required "
					      "and additionalProperties can be joined", key);
		}
		if (r)
			return r;
	}
	return 0;
}

static int schema_all(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	json_t *list = json_object_get(schema, "allOf"), *joined;
	const char *key;
	bool alone = true;
	json_t *v;
	int r;

	if (!json_is_array(list) || !json_array_size(list))
		return z5_schema_fail(s, "\"allOf\" must be an array of schemas");
	json_object_foreach((json_t *)schema, key, v)
		alone &= !strcmp(key, "allOf") || keyword_use(key, v) == SAYS_NOTHING;
	if (alone && json_array_size(list) == 1)
		return z5_schema_value(s, json_array_get(list, 0), out);
	joined = json_pack("{s:s, s:{}, s:[]}", "type", "object", "properties", "required");
	if (!joined || json_array_append_new(s->keep, joined))
		return z5_schema_nomem(s);
	r = all_join(s, joined, schema, 0);
	return r ? r : z5_schema_object(s, joined, out);
}

/* ---- any schema ---- */

static int schema_type(struct z5_schema *s, const json_t *schema, const char *type, struct z5_buf *out)
{
	if (!strcmp(type, "object"))
		return z5_schema_object(s, schema, out);
	if (!strcmp(type, "array"))
		return z5_schema_array(s, schema, out);
	if (!strcmp(type, "string"))
		return z5_schema_string(s, schema, out);
	if (!strcmp(type, "integer") || !strcmp(type, "number"))
		return z5_schema_number(s, schema, *type == 'i', out);
	if (!strcmp(type, "null")) {
		z5_buf_add(out, "\"null\"");
		return 0;
	}
	if (!strcmp(type, "boolean")) {
		z5_buf_add(out, "(\"true\" | \"false\")");
		return 0;
	}
	return z5_schema_fail(s, "no such \"type\": \"%.40s\"", type);
}

static int schema_typed(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *type = json_object_get(schema, "type"), *t;
	int r = schema_keywords(s, schema, NULL, NULL);

	if (r)
		return r;
	if (json_is_string(type))
		return schema_type(s, schema, json_string_value(type), out);
	if (type) {
		if (!json_is_array(type) || !json_array_size(type))
			return z5_schema_fail(s, "\"type\" must be a name or an array of names");
		z5_buf_add(out, "(");
		for (size_t i = 0; i < json_array_size(type) && !r; i++) {
			t = json_array_get(type, i);
			if (!json_is_string(t))
				return z5_schema_fail(s, "\"type\" must be a name or an array of names");
			z5_buf_add(out, i ? " | " : "");
			r = schema_type(s, schema, json_string_value(t), out);
		}
		z5_buf_add(out, ")");
		return r;
	}
	/* without a type, the one that the other keywords are about */
	if (z5_schema_has(schema, z5_object_keys))
		return z5_schema_object(s, schema, out);
	if (z5_schema_has(schema, z5_array_keys))
		return z5_schema_array(s, schema, out);
	if (z5_schema_has(schema, string_keys))
		return z5_schema_string(s, schema, out);
	if (z5_schema_has(schema, number_keys))
		return z5_schema_number(s, schema, false, out);
	z5_buf_add(out, "%s", z5_schema_basic(s, "value"));
	return 0;
}

int z5_schema_value(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	int r;

	if (json_is_true(schema)) {
		z5_buf_add(out, "%s", z5_schema_basic(s, "value"));
		return 0;
	}
	if (json_is_false(schema))
		return z5_schema_fail(s, "false allows no value");
	if (!json_is_object(schema))
		return z5_schema_fail(s, "a schema must be an object, true or false");
	/* what is too large already need not be finished */
	if (s->out.failed || out->failed)
		return s->out.failed ? s->out.failed : out->failed;
	if (++s->depth > Z5_SCHEMA_NEST)
		return z5_schema_fail(s, "schemas in one another more than %u times: use \"$ref\"",
				      Z5_SCHEMA_NEST);
	if (json_object_get(schema, "$ref") && !json_object_get(schema, "allOf"))
		r = schema_ref(s, schema, out);
	else if (json_object_get(schema, "const") || json_object_get(schema, "enum"))
		r = schema_enum(s, schema, out);
	else if (json_object_get(schema, "anyOf"))
		r = schema_any(s, schema, "anyOf", out);
	else if (json_object_get(schema, "oneOf"))
		r = schema_any(s, schema, "oneOf", out);
	else if (json_object_get(schema, "allOf"))
		r = schema_all(s, schema, out);
	else
		r = schema_typed(s, schema, out);
	s->depth--;
	return r;
}

/* Rules of all references, those that come up meanwhile too, then the basic ones. */
static int schema_rules(struct z5_schema *s)
{
	struct z5_buf body = { NULL, 0, 0, 0 };
	int r = z5_schema_value(s, s->root, &body);

	if (!r)
		r = body.failed;
	z5_buf_add(&s->out, "root ::= ");
	z5_buf_bytes(&s->out, body.p ? body.p : "", body.n);
	z5_buf_add(&s->out, "\n");
	free(body.p);
	while (!r && s->done_ref < s->n_ref) {
		struct z5_schema_ref ref = s->ref[s->done_ref++];

		body = (struct z5_buf){ NULL, 0, 0, 0 };
		s->n_path = 0;
		if (ref.path[0])
			z5_schema_down(s, ref.path + 1, 0);
		r = z5_schema_value(s, ref.to, &body);
		if (!r)
			r = z5_schema_rule(s, "ref", ref.number, &body);
		free(body.p);
	}
	if (!r)
		z5_schema_basics(s);
	return r ? r : s->out.failed;
}

/* What was written must compile: it may have become too large, or a reference lead to itself. */
static int schema_check(struct z5_schema *s)
{
	struct zen5rt_error err;
	struct z5_gbnf g = { .text = s->out.p, .len = s->out.n, .err = &err };
	struct z5_program p = { .n_code = 0 };
	int r = z5_gbnf_parse(&g);

	if (!r)
		r = z5_program_make(&p, &g, "root");
	z5_program_free(&p);
	z5_gbnf_free(&g);
	if (r == -EINVAL && strstr(err.message, "left recursion"))
		return z5_fail(s->err, r, "schema: a \"$ref\" leads back to itself with nothing between");
	return r == -EINVAL ? z5_fail(s->err, r, "schema: its grammar is refused: %s", err.message) : r;
}

int zen5rt_grammar_from_schema(const char *text, size_t len, char **gbnf, struct zen5rt_error *err)
{
	struct z5_schema s = { .err = err };
	json_error_t at;
	int r;

	if (len > Z5_GRAMMAR_TEXT)
		return z5_fail(err, -EINVAL, "a JSON schema of %zu bytes: at most %u are allowed", len,
			       Z5_GRAMMAR_TEXT);
	r = schema_load(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, &s.root, &at);
	if (r == -ENOMEM)
		return z5_schema_nomem(&s);
	if (r)
		return z5_fail(err, -EINVAL, "schema:%d:%d: %s", at.line, at.column, at.text);
	s.keep = json_array();
	r = s.keep ? schema_rules(&s) : -ENOMEM;
	if (!r)
		r = schema_check(&s);
	if (r == -E2BIG)
		r = z5_fail(err, -EINVAL, "the grammar of this schema is larger than %u bytes", Z5_GRAMMAR_TEXT);
	if (r == -ENOMEM)
		z5_schema_nomem(&s);
	for (uint32_t i = 0; i < s.n_ref; i++)
		free(s.ref[i].path);
	free(s.ref);
	free(s.ref_slot);
	free(s.length);
	json_decref(s.keep);
	json_decref(s.root);
	if (r)
		free(s.out.p);
	else
		*gbnf = s.out.p;
	return r;
}
