// SPDX-License-Identifier: MIT
/* The way of an answer's text: stop strings are held back whole, however they are cut; channels become thoughts. */
#include "gguf_writer.h"

#include <string.h>

#include "tools/answer.h"
#include "tools/stop.h"
#include "vocab/internal.h"

/* Feeds text in pieces of the given size; shown gets what was let through, by the last call apart. */
static bool feed(const char *const *stops, size_t n, const char *text, size_t piece, char *shown)
{
	struct stop s;
	const char *p;
	size_t len, at = 0, total = strlen(text);
	bool met;

	stop_init(&s, stops, n);
	while (at < total) {
		size_t k = piece < total - at ? piece : total - at;

		p = stop_next(&s, text + at, k, &len);
		memcpy(shown, p, len);
		shown += len;
		at += k;
	}
	met = s.met;
	if (!met) {
		p = stop_end(&s, &len);
		memcpy(shown, p, len);
		shown += len;
	}
	*shown = '\0';
	stop_free(&s);
	return met;
}

static void stops(void)
{
	static const char *const two[] = { "User:", "\n\n##" };
	static const char *const overlap[] = { "aab", "ab" };
	static const char *const inner[] = { "xabcy", "bc" };
	char shown[64];
	bool all = true;

	for (size_t piece = 1; piece < 12; piece++) {
		all &= feed(two, 2, "One\nUs, Use\n\nUser: more", piece, shown) && !strcmp(shown, "One\nUs, Use\n\n");
		all &= feed(two, 2, "a\n\n\n##b", piece, shown) && !strcmp(shown, "a\n");
		all &= !feed(two, 2, "ends in doubt: \n\n#", piece, shown) && !strcmp(shown, "ends in doubt: \n\n#");
		all &= feed(overlap, 2, "aaaab", piece, shown) && !strcmp(shown, "aa");
		all &= !feed(NULL, 0, "nothing stops this", piece, shown) && !strcmp(shown, "nothing stops this");
	}
	ok(all, "text up to the stop string, in pieces of every size");
	ok(feed(inner, 2, "xabcz", 5, shown) && !strcmp(shown, "xa"), "a stop string inside the beginning of another");
}

static void holding(void)
{
	static const char *const stop[] = { "END." };
	struct stop s;
	size_t n;

	stop_init(&s, stop, 1);
	ok(stop_next(&s, "to the E", 8, &n) && n == 7, "what may begin a stop string is held");
	ok(stop_next(&s, "N", 1, &n) && n == 0, "and held on");
	ok(!memcmp(stop_next(&s, "E", 1, &n), "EN", 2) && n == 2 && !s.met, "until it cannot; the new doubt is held");
	ok(stop_next(&s, "ND.x", 4, &n) && n == 0 && s.met, "a complete one stops, nothing of it is let through");
	ok(stop_next(&s, "more", 4, &n) && n == 0, "nor what follows");
	stop_free(&s);
}

/* ---- channels ---- */

enum { CHANNEL = 0, MESSAGE, START, END, RETURN, ANALYSIS, FINAL, ASSISTANT, HM, YES, N_TOKENS };

static struct zen5rt_vocab *harmony_vocab(void)
{
	static const char *const words[N_TOKENS] = {
		"<|channel|>", "<|message|>", "<|start|>", "<|end|>", "<|return|>", "analysis", "final", "assistant", "hm", "yes",
	};
	struct file f;
	struct gguf *g;
	struct zen5rt_vocab *v;
	struct zen5rt_error err;

	head(&f, 0, 5);
	key(&f, "tokenizer.ggml.model", GGUF_STRING);
	str(&f, "gpt2");
	key(&f, "tokenizer.ggml.pre", GGUF_STRING);
	str(&f, "gpt-2");
	array(&f, "tokenizer.ggml.tokens", GGUF_STRING, N_TOKENS);
	for (int i = 0; i < N_TOKENS; i++)
		str(&f, words[i]);
	array(&f, "tokenizer.ggml.token_type", GGUF_I32, N_TOKENS);
	for (int32_t i = 0; i < N_TOKENS; i++) {
		int32_t type = i <= RETURN ? 3 : 1;

		put(&f, &type, 4);
	}
	array(&f, "tokenizer.ggml.merges", GGUF_STRING, 0);
	if (open_bytes(f.p, f.n, &g, &err) || z5_vocab_read(g, &v, &err)) {
		diag("%s", err.message);
		abort();
	}
	gguf_close(g);
	return v;
}

static void collect(void *user, const char *text, size_t len)
{
	strncat(user, text, len);
}

static void channels(void)
{
	static const int32_t ids[] = { CHANNEL, ANALYSIS, MESSAGE, HM, HM, END, START, ASSISTANT, CHANNEL, FINAL,
		MESSAGE, YES };
	struct zen5rt_vocab *v = harmony_vocab();
	static const char *const stop[] = { "yes" };
	char text[128] = "";
	struct answer a;

	answer_begin(&a, v, NULL, 0, true, collect, text, NULL);
	for (size_t i = 0; i < sizeof(ids) / sizeof(*ids); i++)
		answer_token(&a, ids[i]);
	answer_end(&a);
	if (!ok(!strcmp(text, "<think>\nhmhm</think>\n\nyes") && !strcmp(a.text, text), "analysis, then the final channel"))
		diag("%s", text);
	answer_free(&a);
	*text = '\0';
	answer_begin(&a, v, NULL, 0, true, collect, text, NULL);
	for (size_t i = 0; i < 4; i++)
		answer_token(&a, ids[i]);
	answer_end(&a);
	ok(!strcmp(text, "<think>\nhm</think>\n\n"), "a thought that is cut off is closed");
	answer_free(&a);
	*text = '\0';
	answer_begin(&a, v, NULL, 0, false, collect, text, NULL);
	for (size_t i = 0; i < 4; i++)
		answer_token(&a, ids[i]);
	answer_end(&a);
	ok(!strcmp(text, "analysishm"), "other families have no channels");
	answer_free(&a);
	*text = '\0';
	answer_begin(&a, v, stop, 1, false, collect, text, NULL);
	ok(!answer_token(&a, HM) && answer_token(&a, YES), "a stop string tells the loop");
	answer_end(&a);
	ok(!strcmp(text, "hm"), "and is not in the text");
	answer_free(&a);
	zen5rt_vocab_free(v);
}

int main(void)
{
	stops();
	holding();
	channels();
	return done();
}
