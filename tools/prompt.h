/* SPDX-License-Identifier: MIT */
/* Where the prompt of zen5-run comes from: options, a file, standard input; as text or as token ids. */
#ifndef TOOLS_PROMPT_H
#define TOOLS_PROMPT_H

#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

#include "options.h"

struct ids {
	int32_t *id;
	size_t n;
};

/* Text of the prompt, for the caller to free; NULL if it is given as ids. Dies if there is none. */
char *prompt_text(const struct options *o, size_t *len);

/* "1,2,3"; dies on anything else. */
struct ids parse_ids(const char *s);

/* The ids of a prompt, texts of special tokens in it being those tokens. */
struct ids prompt_ids(const struct zen5rt_vocab *v, const char *text, size_t len);

#endif
