/* SPDX-License-Identifier: MIT */
/* Stop strings: text is let through until one appears, and no part of one is ever let through before it is known. */
#ifndef TOOLS_STOP_H
#define TOOLS_STOP_H

#include <stdbool.h>
#include <stddef.h>

struct stop {
	const char *const *strings;	/* the caller's, none of them empty */
	size_t n;
	char *held;			/* what may be the beginning of a stop string, then what is let out */
	size_t n_held, cap;
	size_t out;			/* bytes at the start of held that were let out by the last call */
	bool met;
};

/* strings stay the caller's. Nothing is allocated yet. */
void stop_init(struct stop *s, const char *const *strings, size_t n);
void stop_free(struct stop *s);

/*
 * Takes more text; returns what may be shown now, *len bytes, valid until the next call; NULL if out of memory. Once a
 * stop string is complete, s->met is set, what stood before it is returned, and everything later is swallowed.
 */
const char *stop_next(struct stop *s, const char *text, size_t len, size_t *n);
/* The text has ended: what is still held was no stop string. */
const char *stop_end(struct stop *s, size_t *n);

#endif
