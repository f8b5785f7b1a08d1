/* SPDX-License-Identifier: MIT */
/*
 * A conversation in one session. Each turn renders the whole of it and evaluates only what the session does not
 * hold already; so a turn gives the same logits as a fresh session with the same conversation would. When the
 * context is full the oldest turns are forgotten, and what is kept is evaluated anew: exact, as if they had never
 * been.
 */
#ifndef TOOLS_CONVERSE_H
#define TOOLS_CONVERSE_H

#include "answer.h"
#include "chat.h"
#include "explain.h"
#include "options.h"

struct converse {
	const struct options *o;
	const struct chat_template *template;
	struct zen5rt_sampler *sampler;
	struct run *run;		/* of the last turn; its ids are what the session holds */
	answer_fn fn;			/* receives the answers' text */
	void *user;
	void (*note)(const char *line);	/* receives what the user should know */
	struct chat_message *msg;	/* with texts and ids of their own */
	size_t n, cap;
	struct answer answer;		/* the last one */
	const char **stops;
	size_t n_stops;
	int32_t end;			/* the template's token that ends an answer, -1: none */
};

/*
 * o, sampler and run (with rt, model and session set) stay the caller's; run->ids is set here and freed by
 * converse_free(). The system text of o is taken. Dies if out of memory, as all functions here do.
 */
void converse_init(struct converse *c, const struct options *o, const struct chat_template *t,
		   struct zen5rt_sampler *sampler, struct run *run, answer_fn fn, void *user,
		   void (*note)(const char *line));
void converse_free(struct converse *c);

/* Forgets the conversation; system: what the model is told from now on, NULL for nothing. */
void converse_clear(struct converse *c, const char *system);
/* The system text, NULL if there is none. */
const char *converse_system(const struct converse *c);

/*
 * Says a user's text and generates the answer, of which run tells the rest. 0, also if Ctrl-C stopped the answer, which
 * is kept as far as it came. The turn is taken back, as if it had not been said, after -ECANCELED (Ctrl-C
 * before the answer began) and -ENOSPC (it does not fit into the context, with a line in err).
 */
int converse_say(struct converse *c, const char *text, size_t len, struct zen5rt_error *err);

#endif
