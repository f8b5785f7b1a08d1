// SPDX-License-Identifier: MIT
/* Objects and arrays of a JSON schema. */
#include "schema.h"
#include "error.h"
#include "grammar.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- objects ---- */

/* The expression of one member, "name": value; NULL value stands for any. */
static int object_member(struct z5_schema *s, const char *name, const json_t *value, struct z5_buf *out)
{
	json_t *key = json_string(name);
	size_t up = z5_schema_down(s, "properties", 0);
	int r;

	if (!key)
		return z5_schema_nomem(s);
	z5_schema_down(s, name, 0);
	r = z5_schema_literal(s, key, out);
	json_decref(key);
	z5_buf_add(out, " ws \":\" ws ");
	if (!r && value)
		r = z5_schema_value(s, value, out);
	else
		z5_buf_add(out, "%s", z5_schema_basic(s, "value"));
	z5_buf_add(out, " ws");
	z5_schema_up(s, up);
	return r;
}

struct member {
	const char *name;
	const json_t *value;	/* NULL: any */
	bool required;
};

static int member_order(const void *a, const void *b)
{
	const struct member *const *x = a, *const *y = b;

	return strcmp((*x)->name, (*y)->name);
}

/* Bytes of one unit of a string: an escape of two bytes or a character of UTF-8. */
static size_t unit_len(const char *p)
{
	uint8_t c = (uint8_t)*p;

	return c == '\\' && p[1] ? 2 : c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/* Names longer than this need no rule for each of their letters. */
#define NAME_MAX_UNITS 256

/*
 * Writes the rule "key-number" for the rest of a key of which the first at bytes are those of all of name[0..n),
 * sorted, and which is none of them. Keys that are not named use neither \u nor \/, so that none can be written in
 * two ways.
 */
static int other_key(struct z5_schema *s, char *const *name, size_t n, size_t at, unsigned int depth,
		     unsigned int number)
{
	static const char letters[] = "\"\\bfnrt";
	bool used[128] = { false }, ends = !name[0][at];
	struct z5_buf body = { NULL, 0, 0, 0 }, set = { NULL, 0, 0, 0 };
	size_t i = ends, from, left = 0;
	int r = 0;

	if (depth > NAME_MAX_UNITS)
		r = z5_schema_fail(s, "a name of more than %u characters beside \"additionalProperties\"",
				   NAME_MAX_UNITS);
	while (i < n && !r) {
		size_t len = unit_len(name[i] + at);
		unsigned int below = s->n_rule++;

		for (from = i; i < n && !strncmp(name[i] + at, name[from] + at, len); i++)
			;
		if (name[from][at] == '\\') {
			used[name[from][at + 1] & 127] = true;
			/* a name with \u is out of reach */
			if (name[from][at + 1] == 'u')
				continue;
		} else {
			if (strchr("-]^", name[from][at]))
				z5_buf_add(&set, "\\");
			z5_buf_bytes(&set, name[from] + at, len);
		}
		z5_buf_literal(&body, name[from] + at, len);
		z5_buf_add(&body, " key-%u | ", below);
		r = other_key(s, name + from, i - from, at + len, depth + 1, below);
	}
	z5_buf_add(&body, "([^\"\\\\\\x00-\\x1f\\x7f");
	z5_buf_bytes(&body, set.p ? set.p : "", set.n);
	z5_buf_add(&body, "]");
	for (const char *e = letters; *e; e++) {
		if (used[(uint8_t)*e])
			continue;
		z5_buf_add(&body, left++ ? "%s%c" : " | \"\\\\\" [%s%c", *e == '\\' ? "\\" : "", *e);
	}
	z5_buf_add(&body, "%s) %s*%s", left ? "]" : "", z5_schema_basic(s, "plain"), ends ? "" : " | \"\"");
	free(set.p);
	if (set.failed)
		body.failed = set.failed;
	if (r) {
		free(body.p);
		return r;
	}
	return z5_schema_rule(s, "key", number, &body);
}

/* The rule for a member that is not named in the schema. */
static int object_other(struct z5_schema *s, const struct member *m, size_t n, const json_t *value,
			unsigned int number)
{
	const struct member **sorted = calloc(n + 1, sizeof(*sorted));
	unsigned int key = s->n_rule++;
	char **name = calloc(n + 1, sizeof(*name));
	struct z5_buf body = { NULL, 0, 0, 0 };
	int r = 0;

	if (!sorted || !name) {
		free(sorted);
		free(name);
		return z5_schema_nomem(s);
	}
	for (size_t i = 0; i < n; i++)
		sorted[i] = &m[i];
	qsort(sorted, n, sizeof(*sorted), member_order);
	for (size_t i = 0; i < n && !r; i++) {
		json_t *text = json_string(sorted[i]->name);

		/* as it stands in JSON, without the quotes */
		name[i] = text ? json_dumps(text, JSON_ENCODE_ANY) : NULL;
		json_decref(text);
		if (!name[i]) {
			r = z5_schema_nomem(s);
		} else {
			size_t len = strlen(name[i]);

			memmove(name[i], name[i] + 1, len - 2);
			name[i][len - 2] = '\0';
		}
	}
	z5_buf_add(&body, "\"\\\"\" ");
	if (!r && n)
		r = other_key(s, name, n, 0, 0, key);
	if (n)
		z5_buf_add(&body, "key-%u", key);
	else
		z5_buf_add(&body, "%s*", z5_schema_basic(s, "plain"));
	z5_buf_add(&body, " \"\\\"\" ws \":\" ws ");
	if (!r && json_is_object(value)) {
		size_t up = z5_schema_down(s, "additionalProperties", 0);

		r = z5_schema_value(s, value, &body);
		z5_schema_up(s, up);
	} else {
		z5_buf_add(&body, "%s", z5_schema_basic(s, "value"));
	}
	z5_buf_add(&body, " ws");
	for (size_t i = 0; i < n; i++)
		free(name[i]);
	free(name);
	free(sorted);
	if (r) {
		free(body.p);
		return r;
	}
	return z5_schema_rule(s, "other", number, &body);
}

/* Members where none is required: the first one that comes has no comma before it. */
static int object_optional(struct z5_schema *s, const struct member *m, size_t n, unsigned int other,
			   struct z5_buf *out)
{
	unsigned int first = s->n_rule, rest = first + (unsigned int)n + 1;
	struct z5_buf body = { NULL, 0, 0, 0 };
	int r = 0;

	/* first-i: no member of those before i has come; rest-i: one has */
	s->n_rule += 2 * ((unsigned int)n + 1);
	for (size_t i = 0; i < n && !r; i++) {
		unsigned int number = s->n_rule++;

		r = object_member(s, m[i].name, m[i].value, &body);
		if (!r)
			r = z5_schema_rule(s, "member", number, &body);
		z5_buf_add(&body, "member-%u rest-%zu | first-%zu", number, rest + i + 1, first + i + 1);
		if (!r)
			r = z5_schema_rule(s, "first", first + (unsigned int)i, &body);
		z5_buf_add(&body, "(\",\" ws member-%u)? rest-%zu", number, rest + i + 1);
		if (!r)
			r = z5_schema_rule(s, "rest", rest + (unsigned int)i, &body);
	}
	if (other != Z5_NONE)
		z5_buf_add(&body, "(other-%u (\",\" ws other-%u)*)?", other, other);
	if (!r)
		r = z5_schema_rule(s, "first", first + (unsigned int)n, &body);
	if (other != Z5_NONE)
		z5_buf_add(&body, "(\",\" ws other-%u)*", other);
	if (!r)
		r = z5_schema_rule(s, "rest", rest + (unsigned int)n, &body);
	free(body.p);
	z5_buf_add(out, "first-%u", first);
	return r;
}

/* Members in their order, around the first one that is required. */
static int object_members(struct z5_schema *s, const struct member *m, size_t n, unsigned int other,
			  struct z5_buf *out)
{
	size_t first = 0;
	int r = 0;

	while (first < n && !m[first].required)
		first++;
	if (first == n)
		return object_optional(s, m, n, other, out);
	for (size_t i = 0; i < n && !r; i++) {
		const char *open = m[i].required ? "" : "(", *close = m[i].required ? "" : ")?";

		z5_buf_add(out, " %s%s", open, i > first ? "\",\" ws " : "");
		r = object_member(s, m[i].name, m[i].value, out);
		z5_buf_add(out, "%s%s", i < first ? " \",\" ws" : "", close);
	}
	if (other != Z5_NONE)
		z5_buf_add(out, " (\",\" ws other-%u)*", other);
	return r;
}

/* The members that are named, by properties and then by required; *m is for the caller to free. */
static int object_names(struct z5_schema *s, const json_t *schema, struct member **m, size_t *n)
{
	const json_t *props = json_object_get(schema, "properties");
	const json_t *required = json_object_get(schema, "required");
	const json_t *more = json_object_get(schema, "additionalProperties");
	json_t *names = json_object(), *v;
	const char *name;
	size_t i;

	*n = 0;
	if (!names || json_array_append_new(s->keep, names))
		return z5_schema_nomem(s);
	*m = calloc(json_object_size(props) + json_array_size(required) + 1, sizeof(**m));
	if (!*m)
		return z5_schema_nomem(s);
	if ((props && !json_is_object(props)) || (required && !json_is_array(required)))
		return z5_schema_fail(s, "\"properties\" must be an object and \"required\" an array");
	json_array_foreach((json_t *)required, i, v) {
		if (!json_is_string(v))
			return z5_schema_fail(s, "\"required\" must be an array of names");
		if (json_object_set(names, json_string_value(v), v))
			return z5_schema_nomem(s);
	}
	json_object_foreach((json_t *)props, name, v)
		(*m)[(*n)++] = (struct member){ name, v, json_object_get(names, name) };
	json_object_foreach(names, name, v) {
		if (json_object_get(props, name))
			continue;
		if (json_is_false(more))
			return z5_schema_fail(s, "\"%.80s\" is required, but \"properties\" has it not and "
					      "\"additionalProperties\" is false", name);
		(*m)[(*n)++] = (struct member){ name, json_is_object(more) ? more : NULL, true };
	}
	return 0;
}

int z5_schema_object(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *more = json_object_get(schema, "additionalProperties");
	struct z5_buf body = { NULL, 0, 0, 0 };
	unsigned int number = s->n_rule++, other = Z5_NONE;
	struct member *m = NULL;
	size_t n = 0;
	int r;

	if (!z5_schema_has(schema, z5_object_keys)) {
		z5_buf_add(out, "%s", z5_schema_basic(s, "object"));
		return 0;
	}
	if (more && !json_is_object(more) && !json_is_boolean(more))
		return z5_schema_fail(s, "\"additionalProperties\" must be a schema, true or false");
	z5_schema_basic(s, "ws");
	r = object_names(s, schema, &m, &n);
	/* without properties nothing is said about which there may be */
	if (!r && (json_is_true(more) || json_is_object(more) ||
		   (!more && !json_object_get(schema, "properties")))) {
		other = s->n_rule++;
		r = object_other(s, m, n, more, other);
	}
	z5_buf_add(&body, "\"{\" ws ");
	if (!r)
		r = object_members(s, m, n, other, &body);
	z5_buf_add(&body, " \"}\"");
	free(m);
	if (r) {
		free(body.p);
		return r;
	}
	r = z5_schema_rule(s, "object", number, &body);
	z5_buf_add(out, "object-%u", number);
	return r;
}

/* ---- arrays ---- */

static int array_item(struct z5_schema *s, const json_t *item, const char *key, size_t i,
		      struct z5_buf *out)
{
	size_t up = z5_schema_down(s, key, 0);
	int r;

	if (i != SIZE_MAX)
		z5_schema_down(s, NULL, i);
	r = z5_schema_value(s, item, out);
	z5_schema_up(s, up);
	z5_buf_add(out, " ws");
	return r;
}

/* least to most of what item says, each after a comma unless it is the first of the array. */
static void array_rest(struct z5_buf *out, const char *item, bool first, uint32_t least, uint32_t most)
{
	char range[32] = "*";

	if (!most)
		return;
	if (first) {
		z5_buf_add(out, least ? "%s " : "(%s ", item);
		array_rest(out, item, false, least ? least - 1 : 0, most == Z5_NONE ? most : most - 1);
		z5_buf_add(out, least ? "" : ")?");
		return;
	}
	if (most != Z5_NONE)
		snprintf(range, sizeof(range), "{%u,%u}", least, most);
	else if (least)
		snprintf(range, sizeof(range), "{%u,}", least);
	z5_buf_add(out, "(\",\" ws %s)%s", item, range);
}

int z5_schema_array(struct z5_schema *s, const json_t *schema, struct z5_buf *out)
{
	const json_t *items = json_object_get(schema, "items");
	const json_t *prefix = json_object_get(schema, "prefixItems");
	const char *prefix_key = "prefixItems", *items_key = "items";
	struct z5_buf body = { NULL, 0, 0, 0 }, one = { NULL, 0, 0, 0 };
	unsigned int number = s->n_rule++, item = s->n_rule++;
	uint32_t least, most, n;
	char name[32];
	int r = z5_schema_count(s, schema, "minItems", 0, &least);

	if (!r)
		r = z5_schema_count(s, schema, "maxItems", Z5_NONE, &most);
	if (r)
		return r;
	if (!z5_schema_has(schema, z5_array_keys)) {
		z5_buf_add(out, "%s", z5_schema_basic(s, "array"));
		return 0;
	}
	/* as drafts before 2020-12 wrote tuples */
	if (json_is_array(items) && !prefix) {
		prefix = items;
		items = json_object_get(schema, "additionalItems");
		prefix_key = "items";
		items_key = "additionalItems";
	}
	if ((prefix && !json_is_array(prefix)) ||
	    (items && !json_is_object(items) && !json_is_boolean(items)))
		return z5_schema_fail(s, "\"items\" must be a schema, and \"prefixItems\" an array of them");
	if (most < least)
		return z5_schema_fail(s, "\"maxItems\" is less than \"minItems\"");
	n = (uint32_t)json_array_size(prefix);
	/* a tuple is complete, and nothing comes after it unless the schema says what or how many */
	if (n > most)
		n = most;
	if (json_is_false(items) || (n && !items && least <= n))
		most = n;
	if (least > most)
		return z5_schema_fail(s, "\"minItems\" is more than there are items");
	z5_buf_add(&body, "\"[\" %s ", z5_schema_basic(s, "ws"));
	for (uint32_t i = 0; i < n && !r; i++) {
		z5_buf_add(&body, i ? "\",\" ws " : "");
		r = array_item(s, json_array_get(prefix, i), prefix_key, i, &body);
		z5_buf_add(&body, " ");
	}
	if (!r && most > n) {
		if (json_is_object(items))
			r = array_item(s, items, items_key, SIZE_MAX, &one);
		else
			z5_buf_add(&one, "%s ws", z5_schema_basic(s, "value"));
		if (!r)
			r = z5_schema_rule(s, "item", item, &one);
		snprintf(name, sizeof(name), "item-%u", item);
		array_rest(&body, name, !n, least > n ? least - n : 0, most == Z5_NONE ? most : most - n);
	}
	z5_buf_add(&body, " \"]\"");
	free(one.p);
	if (r) {
		free(body.p);
		return r;
	}
	r = z5_schema_rule(s, "array", number, &body);
	z5_buf_add(out, "array-%u", number);
	return r;
}

