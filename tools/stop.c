// SPDX-License-Identifier: MIT
#include "stop.h"

#include <stdlib.h>
#include <string.h>

void stop_init(struct stop *s, const char *const *strings, size_t n)
{
	*s = (struct stop){ .strings = strings, .n = n };
}

void stop_free(struct stop *s)
{
	free(s->held);
	s->held = NULL;
}

/* Where the first complete stop string begins; n_held if there is none. */
static size_t stop_find(const struct stop *s)
{
	size_t first = s->n_held;

	for (size_t i = 0; i < s->n; i++) {
		const char *p = memmem(s->held, s->n_held, s->strings[i], strlen(s->strings[i]));

		if (p && (size_t)(p - s->held) < first)
			first = (size_t)(p - s->held);
	}
	return first;
}

/* Where the longest end of the text begins that a stop string could go on from. */
static size_t stop_doubt(const struct stop *s)
{
	size_t from = s->n_held;

	for (size_t i = 0; i < s->n; i++) {
		size_t len = strlen(s->strings[i]), most = len - 1 < s->n_held ? len - 1 : s->n_held;

		for (size_t k = most; k; k--) {
			if (memcmp(s->held + s->n_held - k, s->strings[i], k))
				continue;
			if (s->n_held - k < from)
				from = s->n_held - k;
			break;
		}
	}
	return from;
}

/* What the last call let out is done with. */
static void stop_drop(struct stop *s)
{
	memmove(s->held, s->held + s->out, s->n_held - s->out);
	s->n_held -= s->out;
	s->out = 0;
}

const char *stop_next(struct stop *s, const char *text, size_t len, size_t *n)
{
	size_t first;

	*n = 0;
	if (s->out)
		stop_drop(s);
	if (len + 1 > s->cap - s->n_held) {
		size_t cap = (s->n_held + len + 1) * 2;
		char *p = realloc(s->held, cap);

		if (!p)
			return NULL;
		s->held = p;
		s->cap = cap;
	}
	if (s->met)
		return "";
	memcpy(s->held + s->n_held, text, len);
	s->n_held += len;
	first = stop_find(s);
	if (first < s->n_held) {
		s->met = true;
		s->n_held = first;
		s->out = first;
	} else {
		s->out = stop_doubt(s);
	}
	*n = s->out;
	return s->held;
}

const char *stop_end(struct stop *s, size_t *n)
{
	if (s->out)
		stop_drop(s);
	s->out = s->n_held;
	*n = s->n_held;
	return s->held ? s->held : "";
}
