/* SPDX-License-Identifier: MIT */
/* The grammar that the options ask for, and what it has to say while an answer is generated. */
#ifndef TOOLS_CONSTRAIN_H
#define TOOLS_CONSTRAIN_H

#include <zen5rt.h>

#include "options.h"

/* Both NULL: any text, as with a pointer to none. */
struct constraint {
	struct zen5rt_grammar *grammar;
	struct zen5rt_matcher *matcher;
};

/* Makes the sampler choose what the grammar allows, if one was asked for. */
void constrain_open(struct constraint *c, const struct options *o, const struct zen5rt_vocab *vocab,
		    struct zen5rt_sampler *smp);
/* After the sampler is no longer used. */
void constrain_close(struct constraint *c);

/* A new answer begins. */
void constrain_begin(struct constraint *c);
/* A token was chosen that does not end the answer. */
void constrain_accept(struct constraint *c, int32_t id);
/*
 * The sampler found nothing to choose, ret is what it returned. Returns if the grammar is complete and the vocabulary
 * has no token that says so; else dies with the reason.
 */
void constrain_stuck(struct constraint *c, int32_t ret, const char *model);

#endif
