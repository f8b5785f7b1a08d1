// SPDX-License-Identifier: MIT
/*
 * A conversation over the shipped model: whatever happened before (turns, a shift of the context, an interrupt), the
 * session's logits are those of a fresh session that evaluates the same tokens at once, bit for bit.
 */
#include <errno.h>
#include <string.h>

#include "../tap.h"
#include "tools/converse.h"
#include "tools/generate.h"
#include "tools/watch.h"

static struct options o;
static struct run run;
static struct converse c;
static char text[8192], notes[1024];
static int until_interrupt = -1;
static uint32_t n_vocab;

static void collect(void *user, const char *p, size_t len)
{
	(void)user;
	strncat(text, p, len);
	if (until_interrupt > 0 && !--until_interrupt)
		interrupted = 1;
}

static void note(const char *line)
{
	strcat(notes, line);
	strcat(notes, "\n");
}

static int say(const char *s)
{
	struct zen5rt_error err = { "" };
	int ret;

	*text = *notes = '\0';
	ret = converse_say(&c, s, strlen(s), &err);
	if (ret)
		note(err.message);
	return ret;
}

static void begin(uint32_t n_ctx, bool no_shift)
{
	struct zen5rt_session_params sp;
	struct zen5rt_sampler_params p;
	struct zen5rt_sampler *smp;

	zen5rt_session_params_init(&sp);
	sp.n_ctx = n_ctx;
	zen5rt_sampler_params_init(&p);
	p.temp = 0;
	if (zen5rt_session_new(run.model, &sp, &run.session, NULL) || zen5rt_sampler_new(&p, n_vocab, &smp, NULL))
		abort();
	o = (struct options){ .n_predict = 24, .model = "tiny", .no_shift = no_shift, .ignore_eos = true };
	converse_init(&c, &o, chat_by_name("chatml"), smp, &run, collect, NULL, note);
}

static void end(void)
{
	zen5rt_sampler_free(c.sampler);
	converse_free(&c);
	zen5rt_session_free(run.session);
}

/* The session holds the conversation before the last answer, and that, and gives the same logits from scratch. */
static bool exact(void)
{
	uint32_t pos = zen5rt_session_pos(run.session);
	struct zen5rt_session *s;
	int32_t *ids;
	size_t n;
	bool same;

	if (chat_ids(c.template, zen5rt_model_vocab(run.model), c.msg, c.n - 1, true, &ids, &n, NULL))
		abort();
	same = n == run.n_prompt && !memcmp(ids, run.ids, n * sizeof(*ids));
	free(ids);
	if (!same)
		return false;
	if (zen5rt_session_new(run.model, NULL, &s, NULL))
		abort();
	same = !zen5rt_eval(s, run.ids, pos, NULL) &&
	       !memcmp(zen5rt_logits(s), zen5rt_logits(run.session), n_vocab * sizeof(float));
	zen5rt_session_free(s);
	return same;
}

static void turns(void)
{
	size_t first;

	begin(512, false);
	ok(!say("Tell me a story.") && *text && !strcmp(run.end, "length"), "a first turn");
	ok(run.n_kept == 0 && exact(), "evaluated from nothing");
	first = zen5rt_session_pos(run.session);
	ok(!say("And then?") && run.n_kept == first, "the second turn evaluates only what is new");
	ok(exact(), "and gives the logits of the whole");
	until_interrupt = 5;
	ok(!say("Go on.") && !strcmp(run.end, "interrupted") && run.n_out == 5, "Ctrl-C ends the answer");
	interrupted = 0;
	until_interrupt = -1;
	first = zen5rt_session_pos(run.session);
	ok(!say("More.") && run.n_kept >= first && exact(), "and the conversation goes on from what it was");
	interrupted = 1;
	ok(say("Never said.") == -ECANCELED && !strcmp(c.msg[c.n - 1].role, "assistant"),
	   "Ctrl-C before the answer takes the turn back");
	interrupted = 0;
	ok(!say("After that.") && exact(), "and the conversation goes on");
	converse_clear(&c, "Be brief.");
	ok(!strcmp(converse_system(&c), "Be brief.") && !say("Hello.") && exact() && c.n == 3,
	   "a new conversation, a system text");
	end();
}

static void stopping(void)
{
	static const char *stop[2];
	char whole[sizeof(text)];

	begin(512, false);
	say("Tell me a story.");
	strcpy(whole, text);
	end();
	begin(512, false);
	stop[0] = strndup(whole + strlen(whole) / 2, 6);
	c.stops[0] = stop[0];	/* in the place of the template's own */
	ok(!say("Tell me a story.") && !strcmp(run.end, "stop") && !strstr(text, stop[0]),
	   "a stop string ends the answer before it");
	ok(!strncmp(whole, text, strlen(text)) && strlen(text) < strlen(whole), "the text up to there is what it was");
	ok(!c.msg[c.n - 1].ids && !say("And then?") && exact(),
	   "the next turn sees the text, not the tokens behind it");
	end();
	free((char *)stop[0]);
}

static void shifting(void)
{
	const char *long_text =
		"A long text that goes on and on, word after word, until nobody knows any more how it began, and then "
		"some words more, so that the context of this session can never hold all of it, whatever else is forgotten. "
		"A long text that goes on and on, word after word, until nobody knows any more how it began, and then some.";
	bool between = false, within = false, all = true;

	begin(160, false);
	converse_clear(&c, "Be kind.");
	for (int i = 0; i < 12; i++) {
		size_t had = c.n;

		/* some answers are longer than what is left */
		o.n_predict = i % 3 == 2 ? 70 : 8;
		all &= !say("Tell me a story.") && exact() && zen5rt_session_pos(run.session) <= 160;
		all &= !strcmp(c.msg[0].role, "system") && !strcmp(c.msg[1].role, "user");
		if (strstr(notes, "forgotten")) {
			between |= i % 3 != 2 && c.n < had + 2;
			within |= i % 3 == 2 && c.n < had + 2;
		}
	}
	ok(all, "twelve turns in a context of 160: always the exact logits, never without the system text");
	ok(between && within, "turns were forgotten between answers and within one");
	o.n_predict = -1;
	ok(!say("And now without end.") && !strcmp(run.end, "context full"),
	   "an answer that fills the context alone ends there");
	ok(exact() && zen5rt_session_pos(run.session) == 160, "with the last position used");
	ok(say(long_text) == -ENOSPC && strstr(notes, "160 positions"), "a text that never fits is refused");
	o.n_predict = 4;
	ok(!say("Hello?") && exact(), "and the conversation goes on");
	end();

	begin(160, true);
	all = false;
	for (int i = 0; i < 12 && !all; i++)
		all = say("Tell me a story.") == -ENOSPC;
	ok(all && !strstr(notes, "forgotten"), "without the shift the conversation ends");
	end();
}

int main(void)
{
	struct zen5rt_params p;
	struct zen5rt_error err;
	struct watch w;

	zen5rt_params_init(&p);
	p.n_threads = 2;
	watch_params(&w, &p);
	if (zen5rt_open(&p, &run.rt, &err) ||
	    zen5rt_model_load(run.rt, "tests/models/zen5-tiny.gguf", &run.model, &err)) {
		ok(false, "%s", err.message);
		return done();
	}
	n_vocab = zen5rt_vocab_size(zen5rt_model_vocab(run.model));
	turns();
	stopping();
	shifting();
	zen5rt_model_free(run.model);
	zen5rt_close(run.rt);
	return done();
}
