// SPDX-License-Identifier: MIT
/*
 * From a rendered conversation to ids. The text is cut at the template's special tokens, and only there: what lies
 * between two of them, a template's words ("user\n") and a party's alike, is tokenized as one piece, because merges
 * and the pre-tokenizer's words reach across that border. That piece is tokenized as plain text, so nothing that a
 * party wrote becomes a control token. Tokens of the user-defined type are matched in plain text, too; where such a
 * piece yields one of the template's tokens or one that ends an answer, it is cut inside the token's text.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"

#define MAX_MARKS (sizeof(((struct chat_template *)0)->tokens) / sizeof(char *) + 2)

struct mark {
	char text[64];
	size_t len;
	int32_t id;
	bool rstrip;		/* the vocabulary takes white space after it for part of it (phi-3) */
};

struct tokens {
	const struct zen5rt_vocab *vocab;
	struct mark mark[MAX_MARKS];
	size_t n_marks;
	char *run;		/* plain text since the last special token */
	size_t n_run;
	bool strip;		/* white space that follows is dropped */
	int32_t *ids;
	size_t n, cap;
	struct zen5rt_error *err;
};

static int tokens_fail(struct tokens *k)
{
	if (k->err)
		snprintf(k->err->message, sizeof(k->err->message), "out of memory for the tokens of a conversation");
	return -ENOMEM;
}

static int tokens_room(struct tokens *k, size_t n)
{
	size_t cap = (k->n + n) * 2 + 64;
	int32_t *p;

	if (n <= k->cap - k->n)
		return 0;
	p = realloc(k->ids, cap * sizeof(*p));
	if (!p)
		return tokens_fail(k);
	k->ids = p;
	k->cap = cap;
	return 0;
}

static int tokens_put(struct tokens *k, const int32_t *ids, size_t n)
{
	int ret = tokens_room(k, n);

	if (ret || !n)
		return ret;
	memcpy(k->ids + k->n, ids, n * sizeof(*ids));
	k->n += n;
	return 0;
}

/* ---- the template's special tokens in this vocabulary ---- */

static void add_mark(struct tokens *k, const char *text)
{
	struct mark *m = &k->mark[k->n_marks];
	int32_t id[2];

	m->len = strlen(text);
	if (!m->len || m->len + 2 > sizeof(m->text))
		return;
	memcpy(m->text, text, m->len + 1);
	m->id = chat_token(k->vocab, m->text);
	if (m->id < 0)
		return;
	m->text[m->len] = '\n';
	m->rstrip = zen5rt_tokenize(k->vocab, m->text, m->len + 1, ZEN5RT_TOKENIZE_SPECIAL, id, 2, NULL) == 1;
	k->n_marks++;
}

static const struct mark *find_mark(const struct tokens *k, const char *p, size_t len)
{
	const struct mark *best = NULL;

	for (size_t i = 0; i < k->n_marks; i++) {
		const struct mark *m = &k->mark[i];

		if (m->len <= len && !memcmp(p, m->text, m->len) && (!best || m->len > best->len))
			best = m;
	}
	return best;
}

/* Ids that no party may write. */
static bool is_reserved(const struct tokens *k, int32_t id)
{
	for (size_t i = 0; i < k->n_marks; i++)
		if (k->mark[i].id == id)
			return true;
	return zen5rt_vocab_is_eog(k->vocab, id);
}

/* The text of a token, for the caller to free; "" for id -1, NULL if out of memory. */
static char *token_text(const struct zen5rt_vocab *vocab, int32_t id, struct zen5rt_error *err)
{
	struct zen5rt_detok *d;
	char *text;

	if (zen5rt_detok_new(vocab, true, &d, err))
		return NULL;
	text = strdup(zen5rt_detok_next(d, id, NULL));
	if (!text && err)
		snprintf(err->message, sizeof(err->message), "out of memory");
	zen5rt_detok_free(d);
	return text;
}

/* ---- plain text ---- */

static int put_plain(struct tokens *k, const char *p, size_t len);

/*
 * Tokenizes p[0..len) in pieces that are cut after the first byte of each occurrence of a token's text; -ENOENT if it
 * does not occur. No piece has the token again, so this ends after as many levels as there are reserved tokens.
 */
static int put_cut(struct tokens *k, const char *p, size_t len, int32_t id)
{
	char *text = token_text(k->vocab, id, k->err);
	const char *q, *end = p + len;
	size_t n;
	int ret;

	if (!text)
		return -ENOMEM;
	n = strlen(text);
	q = n > 1 ? memmem(p, len, text, n) : NULL;
	ret = q ? 0 : -ENOENT;
	for (; q && !ret; q = memmem(p, (size_t)(end - p), text, n)) {
		ret = put_plain(k, p, (size_t)(q + 1 - p));
		p = q + 1;
	}
	free(text);
	return ret ? ret : put_plain(k, p, (size_t)(end - p));
}

static int put_plain(struct tokens *k, const char *p, size_t len)
{
	size_t from = k->n, to;
	int64_t n = zen5rt_tokenize(k->vocab, p, len, 0, NULL, 0, k->err);
	int ret;

	ret = n < 0 ? (int)n : tokens_room(k, (size_t)n);
	if (ret)
		return ret;
	n = zen5rt_tokenize(k->vocab, p, len, 0, k->ids + from, (size_t)n, k->err);
	if (n < 0)
		return (int)n;
	for (size_t i = from; i < from + (size_t)n; i++) {
		if (!is_reserved(k, k->ids[i]))
			continue;
		ret = put_cut(k, p, len, k->ids[i]);
		if (ret != -ENOENT)
			return ret;
	}
	/* a reserved token whose text is not found here cannot be cut: it is left out */
	to = from;
	for (size_t i = from; i < from + (size_t)n; i++)
		if (!is_reserved(k, k->ids[i]))
			k->ids[to++] = k->ids[i];
	k->n = to;
	return 0;
}

static int flush_run(struct tokens *k)
{
	int ret = k->n_run ? put_plain(k, k->run, k->n_run) : 0;

	k->n_run = 0;
	return ret;
}

static void add_text(struct tokens *k, const char *p, size_t len)
{
	while (k->strip && len && (*p == ' ' || (*p >= '\t' && *p <= '\r'))) {
		p++;
		len--;
	}
	if (len)
		k->strip = false;
	memcpy(k->run + k->n_run, p, len);
	k->n_run += len;
}

/* The template's own text: special tokens, and words between them. */
static int add_markers(struct tokens *k, const char *p, size_t len)
{
	const char *end = p + len;
	int ret = 0;

	while (p < end && !ret) {
		const struct mark *m = find_mark(k, p, (size_t)(end - p));

		if (!m) {
			add_text(k, p++, 1);
			continue;
		}
		ret = flush_run(k);
		if (!ret)
			ret = tokens_put(k, &m->id, 1);
		k->strip = m->rstrip;
		p += m->len;
	}
	return ret;
}

/* BOS where the vocabulary asks for it, unless the text brings it. */
static int add_bos(struct tokens *k, const struct chat_text *text, const char *bos)
{
	int32_t id = -1;

	if (*bos && !strncmp(text->text, bos, strlen(bos)))
		return 0;
	if (zen5rt_tokenize(k->vocab, "", 0, ZEN5RT_TOKENIZE_BOS, &id, 1, NULL) < 1 || id != zen5rt_vocab_bos(k->vocab))
		return 0;
	return tokens_put(k, &id, 1);
}

static int tokenize(struct tokens *k, const struct chat_text *text)
{
	size_t at = 0;
	int ret = 0;

	for (size_t i = 0; i < text->n_span && !ret; i++) {
		const struct chat_span *s = &text->span[i];

		ret = add_markers(k, text->text + at, s->from - at);
		at = s->to;
		if (ret)
			break;
		if (!s->ids) {
			add_text(k, text->text + s->from, s->to - s->from);
			continue;
		}
		ret = flush_run(k);
		if (!ret)
			ret = tokens_put(k, s->ids, s->n_ids);
		k->strip = false;
	}
	if (!ret)
		ret = add_markers(k, text->text + at, text->len - at);
	return ret ? ret : flush_run(k);
}

int chat_tokenize(const struct chat_template *t, const struct zen5rt_vocab *vocab, const struct chat_text *text,
		  int32_t **ids, size_t *n, struct zen5rt_error *err)
{
	struct tokens k = { .vocab = vocab, .err = err };
	char *bos = token_text(vocab, zen5rt_vocab_bos(vocab), err);
	char *eos = token_text(vocab, zen5rt_vocab_eos(vocab), err);
	int ret = -ENOMEM;

	if (bos && eos) {
		k.run = malloc(text->len + 1);
		ret = k.run ? tokens_room(&k, 1) : tokens_fail(&k);
	}
	if (!ret) {
		add_mark(&k, bos);
		add_mark(&k, eos);
		for (size_t i = 0; i < MAX_MARKS - 2 && t->tokens[i]; i++)
			add_mark(&k, t->tokens[i]);
		ret = add_bos(&k, text, bos);
	}
	if (!ret)
		ret = tokenize(&k, text);
	free(bos);
	free(eos);
	free(k.run);
	if (ret) {
		free(k.ids);
		return ret;
	}
	*ids = k.ids;
	*n = k.n;
	return 0;
}

int chat_ids(const struct chat_template *t, const struct zen5rt_vocab *vocab, const struct chat_message *m, size_t n,
	     bool generate, int32_t **ids, size_t *n_ids, struct zen5rt_error *err)
{
	char *bos = token_text(vocab, zen5rt_vocab_bos(vocab), err);
	char *eos = token_text(vocab, zen5rt_vocab_eos(vocab), err);
	struct chat_text text;
	int ret = -ENOMEM;

	if (bos && eos)
		ret = chat_render(t, bos, eos, m, n, generate, &text, err);
	if (!ret) {
		ret = chat_tokenize(t, vocab, &text, ids, n_ids, err);
		chat_text_free(&text);
	}
	free(bos);
	free(eos);
	return ret;
}
