/* SPDX-License-Identifier: MIT */
/*
 * Chat templates: how a conversation becomes the text that a model was trained on, and that text tokens.
 *
 * A fixed list of families in our own words. The template that a GGUF file carries is a program (Jinja); it is searched
 * for marks that tell the family and never run. Nothing here knows of terminals or files.
 *
 * What the parties to a conversation wrote can never become a special token: see chat_tokenize().
 */
#ifndef TOOLS_CHAT_H
#define TOOLS_CHAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* In a template's strings these stand for the vocabulary's own BOS and EOS token. */
#define CHAT_BOS "\1"
#define CHAT_EOS "\2"

enum chat_system {
	CHAT_SYSTEM_OWN,		/* the system text is a turn of its own */
	CHAT_SYSTEM_FIRST,		/* it stands at the beginning of the first user turn */
	CHAT_SYSTEM_LAST,		/* ... of the last user turn */
};

#define CHAT_TRIM		(1u << 0)	/* white space around system and user texts is dropped */
#define CHAT_TRIM_ANSWER	(1u << 1)	/* ... around answers */
#define CHAT_DROP_THOUGHTS	(1u << 2)	/* of past answers only what follows the last </think> is kept */
#define CHAT_LSTRIP_ANSWER	(1u << 3)	/* ... without the newlines that follow it */
#define CHAT_SYSTEM_ALWAYS	(1u << 4)	/* the system turn is there without a system text, too */
#define CHAT_HARMONY		(1u << 5)	/* answers come in channels (gpt-oss) */

struct chat_template {
	const char *name;
	const char *models;		/* some that use it */
	const char *marks[4];		/* all of these are in the template's Jinja text ... */
	const char *absent[4];		/* ... and none of these */
	const char *begin;		/* before everything */
	const char *system[2];		/* around the system text */
	const char *system_default;	/* the text where none is given, NULL: no system part then */
	const char *user[2];		/* around a user's text */
	const char *assistant[2];	/* around an answer */
	const char *prompt;		/* what asks for an answer; it stands for assistant[0] there */
	const char *end;		/* the token that ends an answer; NULL: EOS */
	const char *tokens[8];		/* special tokens in these strings, BOS and EOS apart */
	enum chat_system system_at;
	unsigned int flags;
};

/* Ends with an entry whose name is NULL. Where several fit a file, the first does. */
extern const struct chat_template chat_templates[];

const struct chat_template *chat_by_name(const char *name);
/* By the Jinja text of a file; NULL if it is none of the list. */
const struct chat_template *chat_by_jinja(const char *jinja);
/* By special tokens of the vocabulary, for files that carry no template; NULL if they tell nothing. */
const struct chat_template *chat_by_tokens(const struct zen5rt_vocab *vocab);
/* "chatml, gemma, ..." into buf; returns buf. */
char *chat_names(char *buf, size_t n);

struct chat_message {
	const char *role;		/* "system" (only first), "user" or "assistant" */
	const char *text;		/* of any bytes */
	size_t len;
	/*
	 * An answer as the model gave it, if known: these ids are taken instead of the text's, so that nothing is
	 * evaluated twice. NULL: the text is tokenized.
	 */
	const int32_t *ids;
	size_t n_ids;
};

/* A rendered conversation; the strings of messages and their ids stay the caller's and must outlive it. */
struct chat_text {
	char *text;			/* special tokens as their texts, NUL-terminated */
	size_t len;
	struct chat_span {		/* in order; where the parties' words stand in it */
		size_t from, to;
		const int32_t *ids;	/* or NULL */
		size_t n_ids;
	} *span;
	size_t n_span;
};

/*
 * Renders n messages, system first if at all, then user and assistant in turn; with the prompt for an answer if
 * generate. bos and eos are the texts of the vocabulary's tokens, "" if it has none.
 * 0, -ENOMEM; -EINVAL for a role that is unknown or at the wrong place, with a line in err.
 */
int chat_render(const struct chat_template *t, const char *bos, const char *eos, const struct chat_message *m, size_t n,
		bool generate, struct chat_text *out, struct zen5rt_error *err);
void chat_text_free(struct chat_text *text);

/*
 * The ids of a rendered conversation, for the caller to free. BOS is added where the vocabulary asks for it and the
 * template does not already begin with it. The same ids as the whole text gives with ZEN5RT_TOKENIZE_SPECIAL, except
 * that texts of special tokens inside the parties' words are only text. 0 or a negative errno with a line in err.
 */
int chat_tokenize(const struct chat_template *t, const struct zen5rt_vocab *vocab, const struct chat_text *text,
		  int32_t **ids, size_t *n, struct zen5rt_error *err);

/* chat_render() and chat_tokenize() in one. */
int chat_ids(const struct chat_template *t, const struct zen5rt_vocab *vocab, const struct chat_message *m, size_t n,
	     bool generate, int32_t **ids, size_t *n_ids, struct zen5rt_error *err);

/* The one id that text is in the vocabulary as a special token, else -1. */
int32_t chat_token(const struct zen5rt_vocab *vocab, const char *text);

#endif
