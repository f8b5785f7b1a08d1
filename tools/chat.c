// SPDX-License-Identifier: MIT
#include "chat.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

__attribute__((format(printf, 3, 4)))
static int chat_fail(struct zen5rt_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->message, sizeof(err->message), fmt, ap);
		va_end(ap);
	}
	return code;
}

/* ---- which template ---- */

const struct chat_template *chat_by_name(const char *name)
{
	for (const struct chat_template *t = chat_templates; t->name; t++)
		if (!strcmp(t->name, name))
			return t;
	return NULL;
}

const struct chat_template *chat_by_jinja(const char *jinja)
{
	for (const struct chat_template *t = chat_templates; t->name; t++) {
		bool fits = true;

		for (size_t i = 0; i < sizeof(t->marks) / sizeof(*t->marks) && t->marks[i]; i++)
			fits = fits && strstr(jinja, t->marks[i]);
		for (size_t i = 0; i < sizeof(t->absent) / sizeof(*t->absent) && t->absent[i]; i++)
			fits = fits && !strstr(jinja, t->absent[i]);
		if (fits)
			return t;
	}
	return NULL;
}

int32_t chat_token(const struct zen5rt_vocab *vocab, const char *text)
{
	int32_t id[2];

	return zen5rt_tokenize(vocab, text, strlen(text), ZEN5RT_TOKENIZE_SPECIAL, id, 2, NULL) == 1 ? id[0] : -1;
}

const struct chat_template *chat_by_tokens(const struct zen5rt_vocab *vocab)
{
	const struct chat_template *best = NULL;

	/* the last that fits is the plainest of its kin: no default system text, no thoughts */
	for (const struct chat_template *t = chat_templates; t->name; t++) {
		bool fits = t->tokens[0];

		for (size_t i = 0; i < sizeof(t->tokens) / sizeof(*t->tokens) && t->tokens[i]; i++)
			fits = fits && chat_token(vocab, t->tokens[i]) >= 0;
		if (fits && (!best || !strcmp(best->tokens[0], t->tokens[0])))
			best = t;
	}
	return best;
}

char *chat_names(char *buf, size_t n)
{
	size_t at = 0;

	for (const struct chat_template *t = chat_templates; t->name && at < n; t++)
		at += (size_t)snprintf(buf + at, n - at, "%s%s", at ? ", " : "", t->name);
	return buf;
}

/* ---- rendering ---- */

struct render {
	struct chat_text *out;
	const char *bos, *eos;
	size_t cap;
	bool failed;
};

static void put(struct render *r, const char *p, size_t len)
{
	struct chat_text *t = r->out;

	if (r->failed)
		return;
	if (len >= r->cap - t->len) {
		size_t cap = (t->len + len + 1) * 2;
		char *q = realloc(t->text, cap);

		if (!q) {
			r->failed = true;
			return;
		}
		t->text = q;
		r->cap = cap;
	}
	if (len)
		memcpy(t->text + t->len, p, len);
	t->len += len;
	t->text[t->len] = '\0';
}

/* A string of the table. */
static void put_marker(struct render *r, const char *s)
{
	for (; s && *s; s++) {
		if (*s == *CHAT_BOS)
			put(r, r->bos, strlen(r->bos));
		else if (*s == *CHAT_EOS)
			put(r, r->eos, strlen(r->eos));
		else
			put(r, s, 1);
	}
}

/* Words of a party to the conversation. */
static void put_words(struct render *r, const char *p, size_t len, const int32_t *ids, size_t n_ids)
{
	struct chat_text *t = r->out;
	size_t from = t->len;

	put(r, p, len);
	if (!r->failed)
		t->span[t->n_span++] = (struct chat_span){ from, t->len, ids, n_ids };
}

static bool is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

static void trim(const char **p, size_t *len)
{
	while (*len && is_space(**p)) {
		++*p;
		--*len;
	}
	while (*len && is_space((*p)[*len - 1]))
		--*len;
}

static void put_system(struct render *r, const struct chat_template *t, const struct chat_message *system)
{
	const char *p = system ? system->text : t->system_default;
	size_t len = system ? system->len : p ? strlen(p) : 0;

	if (!p && !(t->flags & CHAT_SYSTEM_ALWAYS))
		return;
	if (p && t->flags & CHAT_TRIM && t->system_at == CHAT_SYSTEM_OWN)
		trim(&p, &len);
	put_marker(r, t->system[0]);
	put_words(r, p, len, NULL, 0);
	put_marker(r, t->system[1]);
}

/* What of a past answer is repeated to the model. */
static bool drop_thoughts(const struct chat_template *t, const char **p, size_t *len)
{
	static const char close[] = "</think>";
	const char *end = *p + *len, *q, *after = NULL;

	if (!(t->flags & CHAT_DROP_THOUGHTS))
		return false;
	for (q = *p; (q = memmem(q, (size_t)(end - q), close, sizeof(close) - 1)); q = after)
		after = q + sizeof(close) - 1;
	if (!after)
		return false;
	while (t->flags & CHAT_LSTRIP_ANSWER && after < end && *after == '\n')
		after++;
	*p = after;
	*len = (size_t)(end - after);
	return true;
}

static void put_answer(struct render *r, const struct chat_template *t, const struct chat_message *m)
{
	const char *p = m->text, *end = t->assistant[1];
	size_t len = m->len;
	bool dropped = drop_thoughts(t, &p, &len);

	if (m->ids && !dropped) {
		/* what the model saw: it was asked by the prompt and wrote any space itself */
		put_marker(r, t->prompt);
		put_words(r, p, len, m->ids, m->n_ids);
		put_marker(r, end + strspn(end, " "));
		return;
	}
	if (t->flags & CHAT_TRIM_ANSWER)
		trim(&p, &len);
	put_marker(r, t->assistant[0]);
	put_words(r, p, len, NULL, 0);
	put_marker(r, end);
}

/* System first or not at all, then user and assistant in turn. */
static int check_roles(const struct chat_message *m, size_t n, struct zen5rt_error *err)
{
	size_t first = n && !strcmp(m[0].role, "system");

	for (size_t i = first; i < n; i++)
		if (strcmp(m[i].role, (i - first) % 2 ? "assistant" : "user"))
			return chat_fail(err, -EINVAL, "message %zu has the role \"%.32s\": an optional system message comes first, then user and assistant in turn",
					 i + 1, m[i].role);
	return 0;
}

int chat_render(const struct chat_template *t, const char *bos, const char *eos, const struct chat_message *m, size_t n,
		bool generate, struct chat_text *out, struct zen5rt_error *err)
{
	const struct chat_message *system = n && !strcmp(m[0].role, "system") ? m : NULL;
	struct render r = { .out = out, .bos = bos, .eos = eos };
	size_t first = system ? 1 : 0, last_user = n - (n - first + 1) % 2 - 1;
	int ret = check_roles(m, n, err);

	*out = (struct chat_text){ 0 };
	if (ret)
		return ret;
	out->span = calloc(n + 1, sizeof(*out->span));
	if (!out->span)
		return chat_fail(err, -ENOMEM, "out of memory");
	put(&r, "", 0);
	put_marker(&r, t->begin);
	if (t->system_at == CHAT_SYSTEM_OWN)
		put_system(&r, t, system);
	for (size_t i = first; i < n; i++) {
		const char *p = m[i].text;
		size_t len = m[i].len;

		if ((i - first) % 2) {
			put_answer(&r, t, &m[i]);
			continue;
		}
		put_marker(&r, t->user[0]);
		if ((t->system_at == CHAT_SYSTEM_FIRST && i == first) ||
		    (t->system_at == CHAT_SYSTEM_LAST && i == last_user))
			put_system(&r, t, system);
		if (t->flags & CHAT_TRIM)
			trim(&p, &len);
		put_words(&r, p, len, NULL, 0);
		put_marker(&r, t->user[1]);
	}
	if (generate)
		put_marker(&r, t->prompt);
	if (r.failed) {
		chat_text_free(out);
		return chat_fail(err, -ENOMEM, "out of memory for a conversation of %zu messages", n);
	}
	return 0;
}

void chat_text_free(struct chat_text *text)
{
	free(text->text);
	free(text->span);
	*text = (struct chat_text){ 0 };
}
