// SPDX-License-Identifier: MIT
#include "answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"

int answer_begin(struct answer *a, const struct zen5rt_vocab *vocab, const char *const *stops, size_t n, bool harmony,
		 answer_fn fn, void *user, struct zen5rt_error *err)
{
	*a = (struct answer){ .harmony = harmony, .fn = fn, .user = user };
	stop_init(&a->stop, stops, n);
	if (harmony) {
		a->channel = chat_token(vocab, "<|channel|>");
		a->message = chat_token(vocab, "<|message|>");
		a->start = chat_token(vocab, "<|start|>");
		a->end = chat_token(vocab, "<|end|>");
		/* without them there are no channels to be told apart */
		a->harmony = a->channel >= 0 && a->message >= 0 && a->start >= 0 && a->end >= 0;
	}
	return zen5rt_detok_new(vocab, false, &a->detok, err);
}

const char *answer_prompt(struct answer *a, int32_t id, size_t *len)
{
	return zen5rt_detok_next(a->detok, id, len);
}

static void answer_out(struct answer *a, const char *text, size_t len)
{
	if (!len || a->failed)
		return;
	if (len + 1 > a->cap - a->len) {
		size_t cap = (a->len + len + 1) * 2;
		char *p = realloc(a->text, cap);

		if (!p) {
			a->failed = true;
			return;
		}
		a->text = p;
		a->cap = cap;
	}
	memcpy(a->text + a->len, text, len);
	a->len += len;
	a->text[a->len] = '\0';
	a->fn(a->user, text, len);
}

static void answer_text(struct answer *a, const char *text, size_t len)
{
	size_t n;
	const char *p = stop_next(&a->stop, text, len, &n);

	if (!p)
		a->failed = true;
	else
		answer_out(a, p, n);
}

static void answer_words(struct answer *a, const char *words)
{
	answer_text(a, words, strlen(words));
}

static void answer_close(struct answer *a)
{
	if (a->thinking)
		answer_words(a, "</think>\n\n");
	a->thinking = false;
	a->n_name = 0;
}

/* <|channel|>NAME<|message|>TEXT<|end|><|start|>assistant<|channel|>... */
static void answer_channels(struct answer *a, int32_t id, const char *text, size_t len)
{
	if (id == a->channel) {
		answer_close(a);
		a->state = ANSWER_CHANNEL;
	} else if (id == a->message) {
		if (a->n_name >= 8 && !memcmp(a->name, "analysis", 8)) {
			answer_words(a, "<think>\n");
			a->thinking = true;
		}
		a->state = ANSWER_BODY;
	} else if (id == a->end || id == a->start) {
		answer_close(a);
		a->state = ANSWER_HEAD;
	} else if (a->state == ANSWER_CHANNEL) {
		for (size_t i = 0; i < len && a->n_name < sizeof(a->name); i++)
			a->name[a->n_name++] = text[i];
	} else if (a->state == ANSWER_BODY) {
		answer_text(a, text, len);
	}
}

bool answer_token(struct answer *a, int32_t id)
{
	size_t len;
	const char *text = zen5rt_detok_next(a->detok, id, &len);

	if (a->harmony)
		answer_channels(a, id, text, len);
	else
		answer_text(a, text, len);
	return a->stop.met;
}

void answer_end(struct answer *a)
{
	size_t len;
	const char *text = zen5rt_detok_end(a->detok, &len);

	if (!a->harmony || a->state == ANSWER_BODY)
		answer_text(a, text, len);
	if (a->harmony)
		answer_close(a);
	if (!a->stop.met) {
		text = stop_end(&a->stop, &len);
		answer_out(a, text, len);
	}
}

void answer_free(struct answer *a)
{
	zen5rt_detok_free(a->detok);
	stop_free(&a->stop);
	free(a->text);
	*a = (struct answer){ 0 };
}
