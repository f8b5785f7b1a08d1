/* SPDX-License-Identifier: MIT */
/* Small vocabularies, written in memory key by key. For tests alone. */
#ifndef VOCAB_WRITER_H
#define VOCAB_WRITER_H

#include "gguf_writer.h"
#include "vocab/internal.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

struct token {
	const char *text;
	float score;
	int32_t type;
};

static struct file file;
static uint64_t n_keys;

__attribute__((unused))
static void begin(const char *model)
{
	n_keys = 1;
	head(&file, 0, 0);
	key(&file, "tokenizer.ggml.model", GGUF_STRING);
	str(&file, model);
}

/* What the number of keys at the start of the file has to be is known only now. */
__attribute__((unused))
static int end(struct zen5rt_vocab **v, struct zen5rt_error *err)
{
	struct gguf *g;
	int r;

	memcpy(file.p + 16, &n_keys, 8);
	r = open_bytes(file.p, file.n, &g, err);
	if (r)
		return r;
	r = z5_vocab_read(g, v, err);
	gguf_close(g);
	return r;
}

__attribute__((unused))
static struct zen5rt_vocab *must(void)
{
	struct zen5rt_vocab *v;
	struct zen5rt_error err;

	if (end(&v, &err)) {
		diag("%s", err.message);
		abort();
	}
	return v;
}

__attribute__((unused))
static void tokens(const struct token *t, size_t n)
{
	array(&file, "tokenizer.ggml.tokens", GGUF_STRING, n);
	for (size_t i = 0; i < n; i++)
		str(&file, t[i].text);
	array(&file, "tokenizer.ggml.scores", GGUF_F32, n);
	for (size_t i = 0; i < n; i++)
		put(&file, &t[i].score, 4);
	array(&file, "tokenizer.ggml.token_type", GGUF_I32, n);
	for (size_t i = 0; i < n; i++)
		put(&file, &t[i].type, 4);
	n_keys += 3;
}

__attribute__((unused))
static void strings(const char *name, const char *const *s)
{
	size_t n = 0;

	while (s[n])
		n++;
	array(&file, name, GGUF_STRING, n);
	for (size_t i = 0; i < n; i++)
		str(&file, s[i]);
	n_keys++;
}

__attribute__((unused))
static void string(const char *name, const char *s)
{
	key(&file, name, GGUF_STRING);
	str(&file, s);
	n_keys++;
}

__attribute__((unused))
static void number(const char *name, uint32_t val)
{
	kv(&file, name, GGUF_U32, &val, 4);
	n_keys++;
}

__attribute__((unused))
static void flag(const char *name, bool val)
{
	kv(&file, name, GGUF_BOOL, val ? "\1" : "\0", 1);
	n_keys++;
}

/* Compares ids given as text, "1 2 3". */
__attribute__((unused))
static void check(const struct zen5rt_vocab *v, const char *text, size_t len, unsigned int flags,
		  const char *want, const char *name)
{
	int32_t ids[256];
	char got[2048] = "";
	int64_t n = zen5rt_tokenize(v, text, len, flags, ids, 256, NULL);

	for (int64_t i = 0; i < n && i < 256; i++)
		sprintf(got + strlen(got), i ? " %d" : "%d", ids[i]);
	if (!ok(!strcmp(got, want), "%s", name))
		diag("got %s, want %s", got, want);
}

#define CHECK(v, text, flags, want, name) check(v, text, sizeof(text) - 1, flags, want, name)
#define BOS ZEN5RT_TOKENIZE_BOS
#define SPECIAL ZEN5RT_TOKENIZE_SPECIAL
#define LB "\xe2\x96\x81"	/* the space of SPM */

#endif
