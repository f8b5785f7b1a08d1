/* SPDX-License-Identifier: MIT */
/* The loop that picks token after token, and where their text goes. */
#ifndef TOOLS_GENERATE_H
#define TOOLS_GENERATE_H

#include <stdio.h>
#include <zen5rt.h>

#include "answer.h"
#include "explain.h"
#include "options.h"

/* The sampler that the options ask for; *seed receives the seed in use. Dies on bad parameters. */
struct zen5rt_sampler *make_sampler(const struct options *o, uint32_t n_vocab, uint64_t *seed);

/*
 * An answer_fn: prints a piece at once on standard output or, if user is a FILE, keeps it there for JSON. What an
 * interrupt cut off is not printed later.
 */
void emit(void *user, const char *text, size_t len);

struct generation {
	const struct options *o;
	struct zen5rt_sampler *sampler;
	struct answer *answer;		/* receives the tokens; begun, and not ended by generate() */
	int32_t end;			/* a token that ends the answer besides those of the vocabulary; -1: none */
	/*
	 * Called when the context is full: makes room, so that the session holds r's prompt and all of its answer
	 * but the last token. 0; -ENOSPC; -ECANCELED. NULL: as if it returned -ENOSPC.
	 */
	int (*full)(void *user);
	void *user;
};

/*
 * Generates after the evaluated prompt in r until something ends it; fills r's ids (room for a context and one more
 * after the prompt), counts, times and reason. Dies if the library fails.
 */
void generate(const struct generation *g, struct run *r);

#endif
