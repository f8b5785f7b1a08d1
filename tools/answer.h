/* SPDX-License-Identifier: MIT */
/*
 * From the tokens of an answer to its text: characters are whole, stop strings and what may become one are held back,
 * and where a model answers in channels (gpt-oss) its analysis stands between <think> and </think>, as
 * other models write their thoughts. Knows neither terminals nor files.
 */
#ifndef TOOLS_ANSWER_H
#define TOOLS_ANSWER_H

#include <stdbool.h>
#include <stdint.h>
#include <zen5rt.h>

#include "stop.h"

/* Receives text as soon as it is certain. */
typedef void (*answer_fn)(void *user, const char *text, size_t len);

struct answer {
	struct zen5rt_detok *detok;
	struct stop stop;
	answer_fn fn;
	void *user;
	char *text;			/* all that fn received */
	size_t len, cap;
	bool failed;			/* out of memory */
	/* channels */
	bool harmony;
	int32_t channel, message, end, start;	/* the tokens that structure an answer */
	enum { ANSWER_HEAD, ANSWER_CHANNEL, ANSWER_BODY } state;
	char name[16];
	size_t n_name;
	bool thinking;
};

/* stops: n stop strings, the caller's; harmony: the answer comes in channels. 0 or -ENOMEM with a line in err. */
int answer_begin(struct answer *a, const struct zen5rt_vocab *vocab, const char *const *stops, size_t n, bool harmony,
		 answer_fn fn, void *user, struct zen5rt_error *err);
/* Lets a token of the prompt pass, so that what follows is spaced as its continuation; returns its text. */
const char *answer_prompt(struct answer *a, int32_t id, size_t *len);
/* A token of the answer; true if a stop string is complete. */
bool answer_token(struct answer *a, int32_t id);
/* The answer is over: what was held back is text. */
void answer_end(struct answer *a);
void answer_free(struct answer *a);

#endif
