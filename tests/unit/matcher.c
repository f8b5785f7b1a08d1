// SPDX-License-Identifier: MIT
/* Grammars over a vocabulary: tokens that end inside characters, masks, named tokens, the sampler. */
#include "gguf_writer.h"

#include <math.h>

#include "vocab/internal.h"

enum { NORMAL = 1, UNKNOWN, CONTROL, USER, UNUSED, BYTE };

static const struct { const char *text; int32_t type; } tokens[] = {
	{ "<unk>", UNKNOWN }, { "<s>", CONTROL }, { "</s>", CONTROL }, { "<|think|>", CONTROL },
	{ "<|user|>", USER }, { "gone", UNUSED }, { "a", NORMAL }, { "b", NORMAL }, { "ab", NORMAL },
	{ "abc", NORMAL }, { "c", NORMAL }, { "\xe2\x96\x81", NORMAL }, { "\xe2\x96\x81" "a", NORMAL },
	{ "{", NORMAL }, { "}", NORMAL }, { "\"", NORMAL }, { "\"}", NORMAL }, { "1", NORMAL }, { "12", NORMAL },
	{ ",", NORMAL }, { "\xc3\xa9", NORMAL }, { "<0xC3>", BYTE }, { "<0xA9>", BYTE }, { "<0xF0>", BYTE },
	{ "<0x9F>", BYTE }, { "<0x98>", BYTE }, { "<0x80>", BYTE }, { "<0x0A>", BYTE }, { "", NORMAL },
	{ "ab", NORMAL }, { "a\xc3\xa9" "b", NORMAL }, { "bc", NORMAL }, { "z", NORMAL },
};
enum { N = sizeof(tokens) / sizeof(*tokens), EOS = 2, THINK = 3, TOK_USER = 4, GONE = 5, A = 6, B = 7, AB = 8, ABC = 9,
       SPACE = 11, E_ACUTE = 20, C3 = 21, A9 = 22, F0 = 23, EMPTY = 28, AB2 = 29 };

static struct zen5rt_vocab *vocabulary(bool eos)
{
	static struct file f;
	struct zen5rt_vocab *v;
	struct zen5rt_error err;
	struct gguf *g;
	uint32_t eos_id = eos ? EOS : UINT32_MAX;

	head(&f, 0, 6);
	key(&f, "tokenizer.ggml.model", GGUF_STRING);
	str(&f, "llama");
	array(&f, "tokenizer.ggml.tokens", GGUF_STRING, N);
	for (size_t i = 0; i < N; i++)
		str(&f, i == EOS && !eos ? "none" : tokens[i].text);
	array(&f, "tokenizer.ggml.scores", GGUF_F32, N);
	for (size_t i = 0; i < N; i++)
		put(&f, &(float){ -(float)i }, 4);
	array(&f, "tokenizer.ggml.token_type", GGUF_I32, N);
	for (size_t i = 0; i < N; i++) {
		int32_t type = i == EOS && !eos ? UNUSED : tokens[i].type;

		put(&f, &type, 4);
	}
	kv(&f, "tokenizer.ggml.unknown_token_id", GGUF_U32, &(uint32_t){ 0 }, 4);
	kv(&f, "tokenizer.ggml.eos_token_id", GGUF_U32, &eos_id, 4);
	if (open_bytes(f.p, f.n, &g, &err) || z5_vocab_read(g, &v, &err)) {
		diag("%s", err.message);
		abort();
	}
	gguf_close(g);
	return v;
}

static struct zen5rt_grammar *grammar(const struct zen5rt_vocab *v, const char *text)
{
	struct zen5rt_grammar *g;
	struct zen5rt_error err;

	if (zen5rt_grammar_new(v, text, strlen(text), NULL, &g, &err)) {
		diag("%s", err.message);
		abort();
	}
	return g;
}

static struct zen5rt_matcher *matcher(struct zen5rt_grammar *g)
{
	struct zen5rt_matcher *m;

	if (zen5rt_matcher_new(g, &m, NULL))
		abort();
	return m;
}

/* Accepts ids up to the one that is refused; returns how many were. */
static int accepted(struct zen5rt_grammar *g, const int32_t *ids, int n)
{
	struct zen5rt_matcher *m = matcher(g);
	int i;

	for (i = 0; i < n && !zen5rt_matcher_accept(m, ids[i], NULL); i++)
		;
	zen5rt_matcher_free(m);
	return i;
}

#define ACCEPTED(g, ...) accepted(g, (int32_t[]){ __VA_ARGS__ }, sizeof((int32_t[]){ __VA_ARGS__ }) / 4)

static void test_tokens(struct zen5rt_vocab *v)
{
	struct zen5rt_grammar *g = grammar(v, "root ::= \"ab\" \" \"? [\\u00e0-\\u00ff] \"\\U0001F600\"?");

	ok(ACCEPTED(g, AB, E_ACUTE, EOS) == 3, "whole characters");
	ok(ACCEPTED(g, A, B, SPACE, C3, A9, EOS) == 6, "a character of two tokens");
	ok(ACCEPTED(g, AB, C3, EOS) == 2, "no end inside a character");
	ok(ACCEPTED(g, AB, C3, F0) == 2 && ACCEPTED(g, AB, A9) == 1, "and nothing but its rest");
	ok(ACCEPTED(g, AB2, C3, A9, F0, F0 + 1, F0 + 2, F0 + 3, EOS) == 8, "a character of four tokens");
	ok(ACCEPTED(g, AB, C3, A9, F0, F0 + 1, F0 + 2, EOS) == 6, "which is not complete before the fourth");
	ok(ACCEPTED(g, AB, E_ACUTE, EOS, EOS) == 3 && ACCEPTED(g, AB, E_ACUTE, EOS, F0) == 3, "nothing after the end");
	ok(ACCEPTED(g, EMPTY) == 0 && ACCEPTED(g, -1) == 0 && ACCEPTED(g, N) == 0, "no token without text or number");
	zen5rt_grammar_free(g);

	g = grammar(v, "root ::= .*");
	ok(ACCEPTED(g, 1) == 0 && ACCEPTED(g, 0) == 0 && ACCEPTED(g, THINK) == 0 && ACCEPTED(g, GONE) == 0,
	   "control, unknown and unused tokens are no text");
	ok(ACCEPTED(g, TOK_USER, SPACE + 1, EOS) == 3, "user-defined ones are");
	zen5rt_grammar_free(g);
}

static void test_named(struct zen5rt_vocab *v)
{
	static const struct { const char *text, *like; } bad[] = {
		{ "root ::= <[33]>", "1:10: the vocabulary has no token of that id, the last is 32" },
		{ "root ::= <[x]>", "1:10: a token is written" }, { "root ::= <[1>", "1:10: a token is written" },
		{ "root ::= <[99999999999999999999]>", "1:10: " }, { "root ::= <|think|", "1:10: this < has no end" },
		{ "root ::= <|thinking|>", "1:10: this text is " }, { "root ::= <[2]>", "1:10: this token ends the answer" },
		{ "root ::= </s>", "ends the answer" },
	};
	struct zen5rt_grammar *g = grammar(v, "root ::= <|think|> thought* <[3]> \"a\"\nthought ::= !<|think|>");
	struct zen5rt_error err;

	ok(ACCEPTED(g, THINK, THINK, A, EOS) == 4, "named tokens");
	ok(ACCEPTED(g, THINK, B, C3, 1, GONE, THINK, A, EOS) == 8, "any token but one, half characters too");
	ok(ACCEPTED(g, THINK, B, EOS) == 2, "which is not the end of the answer");
	ok(ACCEPTED(g, A) == 0 && ACCEPTED(g, THINK, THINK, THINK) == 2, "and nothing else");
	zen5rt_grammar_free(g);
	g = grammar(v, "root ::= \"abc\" | !<[8]> \"x\" | <[8]> \"b\"");
	ok(ACCEPTED(g, AB, 10, EOS) == 3 && ACCEPTED(g, AB, B, EOS) == 3, "a token as text and as itself at once");
	zen5rt_grammar_free(g);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		int r = zen5rt_grammar_new(v, bad[i].text, strlen(bad[i].text), NULL, &g, &err);

		if (!ok(r == -EINVAL && strstr(err.message, bad[i].like), "refused: %s", bad[i].text))
			diag("%s", err.message);
	}
}

/* The mask is what accept says of each token, along random walks. */
static void test_mask(struct zen5rt_vocab *v)
{
	static const char *const text[] = {
		("root ::= obj\nobj ::= \"{\" (str \" \"? val (\",\" str val)*)? \"}\"\nstr ::= \"\\\"\" [^\"\\n]* \"\\\"\"\n"
		"val ::= obj | [0-9]+ | str"),
		"root ::= (\"a\" | \"b\")* \"abc\" .{1,3}", "root ::= \"a\" root? \"b\"?", "root ::= [^a-y]+",
		"root ::= (!<[6]> \"a\" | <|think|> !<[7]> | \"ab\" | <[8]> \"c\")*",
		"root ::= (!<[6]> | !<[7]>){3}", "root ::= \"a\" [\\u00e9] [a-z]*", "root ::= (\"\\U0001F600\" | \"\\u00e9\" | \"\\n\"){0,4}",
	};
	uint32_t seed = 7;
	int wrong = 0, masks = 0;
	float logits[N + 5];

	for (size_t i = 0; i < sizeof(text) / sizeof(*text); i++) {
		struct zen5rt_grammar *g = grammar(v, text[i]);
		struct zen5rt_matcher *m = matcher(g), *try = matcher(g);

		for (int walk = 0; walk < 50; walk++) {
			zen5rt_matcher_reset(m);
			for (int step = 0; step < 12; step++) {
				int64_t n, count = 0;
				int32_t allowed[N], id;

				for (int k = 0; k < N + 5; k++)
					logits[k] = (float)k;
				n = zen5rt_matcher_mask(m, logits, N + 5, NULL);
				for (id = 0; id < N; id++) {
					bool yes;

					if (zen5rt_matcher_copy(try, m))
						abort();
					yes = !zen5rt_matcher_accept(try, id, NULL);
					wrong += yes != zen5rt_matcher_allows(m, id);
					wrong += n > 0 && logits[id] != (yes ? (float)id : -INFINITY);
					if (yes)
						allowed[count++] = id;
				}
				for (id = N; id < N + 5 && n > 0; id++)
					wrong += logits[id] != -INFINITY;
				wrong += n != (count ? count : -EDOM);
				masks++;
				if (!count)
					break;
				seed = seed * 1664525 + 1013904223;
				if (zen5rt_matcher_accept(m, allowed[(seed >> 8) % (uint32_t)count], NULL))
					wrong++;
			}
		}
		zen5rt_matcher_free(try);
		zen5rt_matcher_free(m);
		zen5rt_grammar_free(g);
	}
	ok(!wrong, "%d masks say what accept says", masks);
}

static void test_sampler(struct zen5rt_vocab *v)
{
	struct zen5rt_grammar *g = grammar(v, "root ::= \"ab\" [0-9] \",\"");
	struct zen5rt_matcher *m = matcher(g);
	struct zen5rt_sampler_params p;
	struct zen5rt_sampler *s;
	struct zen5rt_error err;
	float logits[N];

	for (int i = 0; i < N; i++)
		logits[i] = (float)i;
	for (int temp = 0; temp < 2; temp++) {
		bool fine = true;

		zen5rt_sampler_params_init(&p);
		p.temp = (float)temp * 30;
		p.min_p = 0;
		p.repeat_penalty = 1.5f;
		if (zen5rt_sampler_new(&p, N, &s, &err) || zen5rt_sampler_set_matcher(s, m, &err))
			abort();
		for (int round = 0; round < 100; round++) {
			int32_t id = 0;

			zen5rt_matcher_reset(m);
			for (int i = 0; i < 8 && !zen5rt_vocab_is_eog(v, id); i++) {
				id = zen5rt_sampler_pick(s, logits);
				fine &= id >= 0 && !zen5rt_matcher_accept(m, id, &err);
				zen5rt_sampler_accept(s, id);
			}
			fine &= zen5rt_vocab_is_eog(v, id);
		}
		ok(fine, "temp %g: a hundred answers that the grammar allows", (double)p.temp);
		ok(zen5rt_sampler_pick(s, logits) == -EDOM, "and nothing after the end");
		zen5rt_sampler_set_matcher(s, NULL, NULL);
		ok(zen5rt_sampler_pick(s, logits) >= 0, "without the grammar anything");
		zen5rt_sampler_free(s);
	}
	/* logits that the grammar leaves nothing of */
	zen5rt_matcher_reset(m);
	for (int i = 0; i < N; i++)
		logits[i] = i == A || i == AB || i == AB2 ? NAN : 1;
	p.temp = 0;
	if (zen5rt_sampler_new(&p, N, &s, &err) || zen5rt_sampler_set_matcher(s, m, &err))
		abort();
	ok(zen5rt_sampler_pick(s, logits) == -EDOM, "what is allowed is NaN");
	zen5rt_sampler_free(s);
	if (zen5rt_sampler_new(&p, N - 1, &s, &err))
		abort();
	ok(zen5rt_sampler_set_matcher(s, m, &err) == -EINVAL, "a sampler of fewer tokens");
	zen5rt_sampler_free(s);
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
}

static void test_stuck(struct zen5rt_vocab *v)
{
	struct zen5rt_grammar *g = grammar(v, "root ::= \"a\" \"y\""), *h = grammar(NULL, "root ::= \"a\"");
	struct zen5rt_matcher *m = matcher(g), *k = matcher(h);
	struct zen5rt_vocab *bare = vocabulary(false);
	struct zen5rt_error err;
	float logits[N] = { 1, 2, 3 };

	ok(!zen5rt_matcher_accept(m, A, &err) && zen5rt_matcher_mask(m, logits, N, &err) == -EDOM &&
	   strstr(err.message, "no token of this vocabulary after \"a\""), "a letter that no token has");
	ok(logits[1] == 2, "leaves the logits alone");
	ok(zen5rt_matcher_copy(m, k) == -EINVAL, "no copy between grammars");
	ok(zen5rt_matcher_accept(k, A, &err) == -EDOM && zen5rt_matcher_mask(k, logits, N, &err) == -EINVAL,
	   "no tokens without a vocabulary");
	zen5rt_matcher_free(k);
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
	zen5rt_grammar_free(h);
	g = grammar(bare, "root ::= \"a\"");
	m = matcher(g);
	ok(!zen5rt_matcher_accept(m, A, &err) && zen5rt_matcher_can_end(m) &&
	   zen5rt_matcher_mask(m, logits, N, &err) == -EDOM, "the end in a vocabulary that has no token for it");
	zen5rt_matcher_free(m);
	zen5rt_grammar_free(g);
	zen5rt_vocab_free(bare);
}

int main(void)
{
	struct zen5rt_vocab *v = vocabulary(true);

	test_tokens(v);
	test_named(v);
	test_mask(v);
	test_sampler(v);
	test_stuck(v);
	zen5rt_vocab_free(v);
	return done();
}
