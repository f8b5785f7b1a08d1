// SPDX-License-Identifier: MIT
/* zen5-tokenize: text to token ids and back, with the vocabulary of a GGUF file. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

#include "common.h"

const char *argp_program_version = "zen5-tokenize " Z5_VERSION;

struct options {
	const char *model;
	unsigned int flags;
	bool special, json, decode, require_zen5;
};

enum { OPT_NO_BOS = 256, OPT_NO_SPECIAL, OPT_JSON, OPT_DECODE, OPT_REQUIRE_ZEN5 };

static const struct argp_option option_table[] = {
	{ "no-bos", OPT_NO_BOS, NULL, 0,
	  "Do not add BOS and EOS where the model asks for them", 0 },
	{ "no-special", OPT_NO_SPECIAL, NULL, 0,
	  "Take text of special tokens as text; with --decode, leave special tokens out", 0 },
	{ "json", OPT_JSON, NULL, 0, "Print {\"tokens\":[...],\"n\":N}, or {\"text\":...}", 0 },
	{ "decode", OPT_DECODE, NULL, 0, "Read ids from standard input and print their text", 0 },
	{ "require-zen5", OPT_REQUIRE_ZEN5, NULL, 0, "Exit status 3 and one line unless the CPU is a Zen 5", 0 },
	{ 0 }
};

static error_t option_parse(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;

	switch (key) {
	case OPT_NO_BOS:
		o->flags &= ~ZEN5RT_TOKENIZE_BOS;
		return 0;
	case OPT_NO_SPECIAL:
		o->flags &= ~ZEN5RT_TOKENIZE_SPECIAL;
		o->special = false;
		return 0;
	case OPT_JSON:
		o->json = true;
		return 0;
	case OPT_DECODE:
		o->decode = true;
		return 0;
	case OPT_REQUIRE_ZEN5:
		o->require_zen5 = true;
		return 0;
	case ARGP_KEY_ARG:
		if (o->model)
			argp_error(state, "one MODEL only");
		o->model = arg;
		return 0;
	case ARGP_KEY_END:
		if (!o->model)
			argp_error(state, "a MODEL is needed");
		return 0;
	}
	return ARGP_ERR_UNKNOWN;
}

static const struct argp argp = {
	option_table, option_parse, "MODEL",
	"Reads text from standard input and prints its token ids, separated by spaces, on one line."
	"\vMODEL is a GGUF file; it may be one that holds a vocabulary and no tensors. "
	"Exit status: 0, 1 for bad input or a failed write, 3 not a Zen 5 (with --require-zen5), 64 for wrong usage.",
	NULL, NULL, NULL
};

static int fail(const char *what)
{
	fprintf(stderr, "zen5-tokenize: %s\n", what);
	return 1;
}

static int print_json(json_t *root)
{
	int r = root ? json_dumpf(root, stdout, JSON_COMPACT) : -1;

	json_decref(root);
	if (r && !ferror(stdout))
		return fail("out of memory for JSON");
	putchar('\n');
	return 0;
}

static int print_ids(const struct options *o, const int32_t *ids, int64_t n)
{
	json_t *list;

	if (!o->json) {
		for (int64_t i = 0; i < n; i++)
			printf(i ? " %d" : "%d", ids[i]);
		putchar('\n');
		return 0;
	}
	list = json_array();
	for (int64_t i = 0; i < n; i++)
		if (json_array_append_new(list, json_integer(ids[i])))
			return fail("out of memory for JSON");
	return print_json(json_pack("{s:o,s:I}", "tokens", list, "n", (json_int_t)n));
}

static int encode(const struct zen5rt_vocab *vocab, const struct options *o, const char *text,
		  size_t len)
{
	struct zen5rt_error err;
	size_t cap = len / 2 + 64;
	int32_t *ids = NULL, *more;
	int64_t n;
	int r;

	for (;;) {
		more = realloc(ids, cap * sizeof(*ids));
		if (!more) {
			free(ids);
			return fail("out of memory for the ids");
		}
		ids = more;
		n = zen5rt_tokenize(vocab, text, len, o->flags, ids, cap, &err);
		if (n < 0) {
			free(ids);
			return fail(err.message);
		}
		if ((uint64_t)n <= cap)
			break;
		cap = (size_t)n;
	}
	r = print_ids(o, ids, n);
	free(ids);
	return r;
}

/* Appends the text of one step; NULL if out of memory. */
static char *append(char *buf, size_t *n, size_t *cap, const char *p, size_t len)
{
	if (*n + len >= *cap) {
		char *more = realloc(buf, (*n + len) * 2 + 256);

		if (!more) {
			free(buf);
			return NULL;
		}
		*cap = (*n + len) * 2 + 256;
		buf = more;
	}
	memcpy(buf + *n, p, len);
	*n += len;
	buf[*n] = '\0';
	return buf;
}

static int decode(const struct zen5rt_vocab *vocab, const struct options *o, const char *text,
		  size_t len)
{
	struct zen5rt_error err;
	struct zen5rt_detok *detok;
	const char *p = text, *piece;
	size_t n = 0, cap = 0, piece_len;
	char *out = NULL, *end;
	int r = 0;

	if (zen5rt_detok_new(vocab, o->special, &detok, &err))
		return fail(err.message);
	for (;;) {
		long id;

		p += strspn(p, " \t\r\n,");
		if (p == text + len)
			break;
		errno = 0;
		id = strtol(p, &end, 10);
		if (end == p || errno || id < 0 || id >= (long)zen5rt_vocab_size(vocab)) {
			fprintf(stderr,
				"zen5-tokenize: byte %zu of standard input: no id from 0 to %u\n",
				(size_t)(p - text), zen5rt_vocab_size(vocab) - 1);
			r = 1;
			goto out;
		}
		p = end;
		piece = zen5rt_detok_next(detok, (int32_t)id, &piece_len);
		if (o->json)
			out = append(out, &n, &cap, piece, piece_len);
		else
			fwrite(piece, 1, piece_len, stdout);
		if (o->json && !out)
			break;
	}
	piece = zen5rt_detok_end(detok, &piece_len);
	if (!o->json) {
		fwrite(piece, 1, piece_len, stdout);
		goto out;
	}
	if (out || !n)
		out = append(out, &n, &cap, piece, piece_len);
	if (out)
		r = print_json(json_pack("{s:s%}", "text", out, n));
	else
		r = fail("out of memory for the text");
out:
	free(out);
	zen5rt_detok_free(detok);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.flags = ZEN5RT_TOKENIZE_BOS | ZEN5RT_TOKENIZE_SPECIAL, .special = true,
	};
	struct zen5rt_vocab *vocab;
	struct zen5rt_error err;
	size_t len;
	char *text;
	int r;

	argp_parse(&argp, argc, argv, 0, NULL, &o);
	if (o.require_zen5)
		require_zen5(NULL);
	if (zen5rt_vocab_load(o.model, &vocab, &err))
		return fail(err.message);
	text = read_all(0, "standard input", &len);
	r = o.decode ? decode(vocab, &o, text, len) : encode(vocab, &o, text, len);
	finish_stdout();
	free(text);
	zen5rt_vocab_free(vocab);
	return r;
}
