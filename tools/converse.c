// SPDX-License-Identifier: MIT
#include "converse.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"
#include "generate.h"
#include "watch.h"

/* ---- the messages ---- */

static void *copy(const void *p, size_t bytes)
{
	char *q = malloc(bytes + 1);

	if (!q)
		die("out of memory");
	if (bytes)
		memcpy(q, p, bytes);
	q[bytes] = '\0';
	return q;
}

static void add_message(struct converse *c, const char *role, const char *text, size_t len, const int32_t *ids,
			size_t n_ids)
{
	if (c->n == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 16;
		c->msg = realloc(c->msg, c->cap * sizeof(*c->msg));
		if (!c->msg)
			die("out of memory");
	}
	c->msg[c->n++] = (struct chat_message){
		.role = role, .text = copy(text, len), .len = len,
		.ids = ids ? copy(ids, n_ids * sizeof(*ids)) : NULL, .n_ids = n_ids,
	};
}

static void free_message(struct chat_message *m)
{
	free((void *)m->text);
	free((void *)m->ids);
}

static size_t first_turn(const struct converse *c)
{
	return c->n && !strcmp(c->msg[0].role, "system");
}

/* Forgets the oldest user turn and its answer, never the last user turn; false if there is no other. */
static bool drop_turn(struct converse *c)
{
	size_t i = first_turn(c);

	if (i + 2 >= c->n)
		return false;
	free_message(&c->msg[i]);
	free_message(&c->msg[i + 1]);
	memmove(&c->msg[i], &c->msg[i + 2], (c->n - i - 2) * sizeof(*c->msg));
	c->n -= 2;
	return true;
}

void converse_clear(struct converse *c, const char *system)
{
	for (size_t i = 0; i < c->n; i++)
		free_message(&c->msg[i]);
	c->n = 0;
	if (system)
		add_message(c, "system", system, strlen(system), NULL, 0);
}

const char *converse_system(const struct converse *c)
{
	return first_turn(c) ? c->msg[0].text : NULL;
}

/* ---- fitting it into the context ---- */

/* The ids of the conversation as it stands, asking for an answer; for the caller to free. */
static int32_t *conversation_ids(const struct converse *c, size_t *n)
{
	struct zen5rt_error err;
	int32_t *ids;

	if (chat_ids(c->template, zen5rt_model_vocab(c->run->model), c->msg, c->n, true, &ids, n, &err))
		die("%s", err.message);
	return ids;
}

/*
 * The ids of the conversation, oldest turns forgotten if they and `more` tokens would not fit into the context. A
 * quarter of it is freed at once where that can be, lest every few tokens cost another evaluation of everything.
 * NULL: it cannot fit.
 */
static int32_t *fitting_ids(struct converse *c, size_t more, size_t *n)
{
	size_t n_ctx = zen5rt_session_n_ctx(c->run->session), dropped = 0;
	int32_t *ids = conversation_ids(c, n);
	char line[128];

	if (*n + more < n_ctx)
		return ids;
	while (!c->o->no_shift && *n + more > n_ctx - n_ctx / 4 && drop_turn(c)) {
		free(ids);
		ids = conversation_ids(c, n);
		dropped++;
	}
	if (dropped) {
		snprintf(line, sizeof(line),
			 "the context of %zu positions is full: the oldest %zu turn%s forgotten", n_ctx, dropped,
			 dropped == 1 ? " is" : "s are");
		c->note(line);
	}
	if (*n + more < n_ctx)
		return ids;
	free(ids);
	return NULL;
}

/* Makes the session hold ids[0..n), which then is the prompt of the run; at least `again` tokens are evaluated. */
static int hold(struct converse *c, const int32_t *ids, size_t n, size_t again)
{
	struct run *r = c->run;
	size_t held = zen5rt_session_pos(r->session), same = 0;
	struct zen5rt_error err;
	int ret;

	while (same < held && same + again < n && r->ids[same] == ids[same])
		same++;
	/* a recurrent model goes back only as far as it can, and evaluates the rest again */
	same = zen5rt_session_can_rewind(r->session, (uint32_t)same);
	zen5rt_session_rewind(r->session, (uint32_t)same);
	memcpy(r->ids + same, ids + same, (n - same) * sizeof(*ids));
	r->n_kept = same;
	if (same == n)
		return 0;
	ret = zen5rt_eval(r->session, ids + same, n - same, &err);
	if (ret && ret != -ECANCELED)
		die("%s", err.message);
	return ret;
}

/* The context is full in the middle of an answer. */
static int make_room(void *user)
{
	struct converse *c = user;
	struct run *r = c->run;
	size_t n, n_answer = r->n_out - 1;
	int32_t *ids = fitting_ids(c, r->n_out, &n), *all, last = r->ids[r->n_prompt + n_answer];
	int ret;

	if (!ids)
		return -ENOSPC;
	all = realloc(ids, (n + n_answer) * sizeof(*all));
	if (!all)
		die("out of memory");
	memcpy(all + n, r->ids + r->n_prompt, n_answer * sizeof(*all));
	ret = hold(c, all, n + n_answer, 0);
	r->n_prompt = n;
	memcpy(r->ids + n, all + n, n_answer * sizeof(*all));
	r->ids[n + n_answer] = last;
	free(all);
	return ret;
}

/* ---- a turn ---- */

/* The answer's tokens and text become a message. */
static void keep_answer(struct converse *c)
{
	const struct run *r = c->run;
	const struct answer *a = &c->answer;
	/* a text that was cut at a stop string is not what the tokens say */
	bool whole = strcmp(r->end, "stop");

	add_message(c, "assistant", a->text ? a->text : "", a->len, whole ? r->ids + r->n_prompt : NULL,
		    whole ? r->n_out : 0);
}

static void take_back(struct converse *c)
{
	free_message(&c->msg[--c->n]);
}

int converse_say(struct converse *c, const char *text, size_t len, struct zen5rt_error *err)
{
	struct generation g = {
		.o = c->o, .sampler = c->sampler, .answer = &c->answer, .end = c->end, .full = make_room, .user = c
	};
	struct run *r = c->run;
	struct zen5rt_error oom;
	int32_t *ids;
	size_t n;
	int ret;

	add_message(c, "user", text, len, NULL, 0);
	ids = fitting_ids(c, 0, &n);
	if (!ids) {
		take_back(c);
		snprintf(err->message, sizeof(err->message),
			 "the context of %u positions has no room for this: make it larger with -c",
			 zen5rt_session_n_ctx(r->session));
		return -ENOSPC;
	}
	r->n_prompt = n;
	r->n_out = r->n_eval = 0;
	r->first_s = r->decode_s = 0;
	r->prompt_start = now();
	/* one token at least: the logits after it are what the answer begins with */
	ret = hold(c, ids, n, 1);
	r->prompt_s = now() - r->prompt_start;
	for (size_t i = r->n_kept; i < n && !ret; i++)
		zen5rt_sampler_accept(c->sampler, ids[i]);
	free(ids);
	if (ret) {
		r->end = "interrupted";
		take_back(c);
		return ret;
	}
	answer_free(&c->answer);
	if (answer_begin(&c->answer, zen5rt_model_vocab(r->model), c->stops, c->n_stops,
			 c->template->flags & CHAT_HARMONY, c->fn, c->user, &oom))
		die("%s", oom.message);
	generate(&g, r);
	answer_end(&c->answer);
	keep_answer(c);
	return 0;
}

/* ---- beginning and end ---- */

void converse_init(struct converse *c, const struct options *o, const struct chat_template *t,
		   struct zen5rt_sampler *sampler, struct run *run, answer_fn fn, void *user,
		   void (*note)(const char *line))
{
	size_t n_ctx = zen5rt_session_n_ctx(run->session);

	*c = (struct converse){
		.o = o, .template = t, .sampler = sampler, .run = run, .fn = fn, .user = user, .note = note, .end = -1,
		.n_stops = o->n_stops,
	};
	/* a prompt and an answer, each as long as the context, and the token that does not fit any more */
	run->ids = malloc((2 * n_ctx + 1) * sizeof(*run->ids));
	c->stops = malloc((o->n_stops + 1) * sizeof(*c->stops));
	if (!run->ids || !c->stops)
		die("out of memory");
	if (o->n_stops)
		memcpy(c->stops, o->stops, o->n_stops * sizeof(*c->stops));
	if (t->end) {
		c->end = chat_token(zen5rt_model_vocab(run->model), t->end);
		/* a vocabulary without that token spells it out */
		if (c->end < 0)
			c->stops[c->n_stops++] = t->end;
	}
	converse_clear(c, o->system);
}

void converse_free(struct converse *c)
{
	converse_clear(c, NULL);
	answer_free(&c->answer);
	free(c->msg);
	free(c->stops);
	free(c->run->ids);
	c->run->ids = NULL;
}
