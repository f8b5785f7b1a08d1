/* SPDX-License-Identifier: MIT */
/* The loop that picks token after token, and where their text goes. */
#ifndef TOOLS_GENERATE_H
#define TOOLS_GENERATE_H

#include <stdio.h>
#include <zen5rt.h>

#include "explain.h"
#include "options.h"

/* The sampler that the options ask for; *seed receives the seed in use. Dies on bad parameters. */
struct zen5rt_sampler *make_sampler(const struct options *o, uint32_t n_vocab, uint64_t *seed);

/* Prints a piece at once, unless it is kept for JSON. What an interrupt cut off is not printed later. */
void emit(FILE *keep, const char *text, size_t len);

/*
 * Generates after the evaluated prompt in r until something ends it; fills r's ids (room for a context and one more),
 * counts, times and reason.
 */
void generate(const struct options *o, struct zen5rt_sampler *smp, FILE *keep, struct run *r);

#endif
