// SPDX-License-Identifier: MIT
/* WordPiece, unigram, RWKV, raw BPE; types by text; special tokens that overlap; lies. */
#include "vocab_writer.h"

#include <math.h>

#include "vocab/charsmap.h"

#define N(t) (sizeof(t) / sizeof(*(t)))

/* ---- WPM ---- */

static const struct token wpm[] = {
	{ "[UNK]", 0, UNKNOWN }, { "[CLS]", 0, CONTROL }, { "[SEP]", 0, CONTROL },	/* 0 */
	{ LB "un", 0, NORMAL }, { LB "a", 0, NORMAL }, { "aff", 0, NORMAL },		/* 3 */
	{ "able", 0, NORMAL }, { "a", 0, NORMAL }, { LB "!", 0, NORMAL },		/* 6 */
	{ LB "\xe6\xb1\x89", 0, NORMAL }, { LB "e", 0, NORMAL },			/* 9 */
	{ LB "\xe1\x84\x92", 0, NORMAL }, { "\xe1\x85\xa1", 0, NORMAL },		/* 11 */
	{ "\xe1\x86\xab", 0, NORMAL }, { LB "[", 0, NORMAL }, { "un", 0, NORMAL },	/* 13 */
};

static struct zen5rt_vocab *wpm_vocab(bool lowercase, bool strip)
{
	begin("bert");
	tokens(wpm, N(wpm));
	number("tokenizer.ggml.unknown_token_id", 0);
	number("tokenizer.ggml.cls_token_id", 1);
	number("tokenizer.ggml.seperator_token_id", 2);
	flag("tokenizer.ggml.normalizer.lowercase", lowercase);
	flag("tokenizer.ggml.normalizer.strip_accents", strip);
	return must();
}

static void test_wpm(void)
{
	struct zen5rt_vocab *v = wpm_vocab(true, true);
	char longest[202] = "";

	CHECK(v, "unaffable", 0, "3 5 6", "WPM: the longest tokens of a word");
	CHECK(v, "unx a", 0, "0 4", "a word that they do not cover is unknown, whole");
	CHECK(v, "UN  A\n", 0, "3 4", "capitals and white space");
	CHECK(v, "a!a", 0, "4 8 4", "punctuation stands alone");
	CHECK(v, "a\xe6\xb1\x89" "a", 0, "4 9 4", "so do ideographs");
	CHECK(v, "\xc3\x89 e\xcc\x81", 0, "10 10", "accents go, composed or not");
	CHECK(v, "\xed\x95\x9c", 0, "11 12 13", "a syllable of Hangul is its letters");
	CHECK(v, "u\xe2\x80\x8bn\x01 \xff" "a", 0, "3 4", "control characters and stray bytes go");
	CHECK(v, "a", BOS, "1 4 2", "[CLS] and [SEP]");
	CHECK(v, "[SEP]", 0, "14 0 0", "text is no special token");
	CHECK(v, "[SEP]a", SPECIAL, "2 4", "unless asked for");
	memset(longest, 'a', 100);
	ok(zen5rt_tokenize(v, longest, 100, 0, NULL, 0, NULL) == 100, "a word of a hundred");
	memset(longest, 'a', 101);
	check(v, longest, 101, 0, "0", "more are unknown");
	zen5rt_vocab_free(v);
	v = wpm_vocab(false, false);
	CHECK(v, "UN un \xc3\xa9", 0, "0 3 0", "case and accents stay where the model wants them");
	zen5rt_vocab_free(v);
}

/* ---- UGM ---- */

static const struct token ugm[] = {
	{ "<pad>", 0, CONTROL }, { "</s>", 0, CONTROL }, { "<unk>", 0, UNKNOWN },	/* 0 */
	{ LB, -2, NORMAL }, { "a", -3, NORMAL }, { "b", -3, NORMAL },			/* 3 */
	{ "ab", -5, NORMAL }, { LB "a", -4, NORMAL }, { "bc", -1, NORMAL },		/* 6 */
	{ "c", -9, NORMAL }, { "x", NAN, NORMAL }, { "y", -INFINITY, NORMAL },		/* 9 */
	{ "", 0, NORMAL }, { "\xe2", -1, NORMAL },					/* 12 */
};

/* x -> "a", xx -> "  b", X -> "": a double array by hand; see charsmap.h. */
static size_t ugm_map(uint8_t *out)
{
	uint32_t unit[512] = { 0 }, size = sizeof(unit);
	static const char text[] = "a\0  b\0";

	unit[0] = 1u << 10;				/* children of the root at 1 ^ label */
	unit[1 ^ 'x'] = 'x' | 1u << 8 | ((1 ^ 'x') ^ 256u) << 10;
	unit[256] = 1u << 31 | 0;			/* "a" */
	unit[256 ^ 'x'] = 'x' | 1u << 8 | ((256 ^ 'x') ^ 300u) << 10;
	unit[300] = 1u << 31 | 2;			/* "  b" */
	unit[1 ^ 'X'] = 'X' | 1u << 8 | ((1 ^ 'X') ^ 310u) << 10;
	unit[310] = 1u << 31 | 1;			/* "" */
	memcpy(out, &size, 4);
	memcpy(out + 4, unit, sizeof(unit));
	memcpy(out + 4 + sizeof(unit), text, sizeof(text));
	return 4 + sizeof(unit) + sizeof(text);
}

static void ugm_begin(const uint8_t *map, size_t n)
{
	begin("t5");
	tokens(ugm, N(ugm));
	flag("tokenizer.ggml.add_space_prefix", true);
	if (!n)
		return;
	array(&file, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, n);
	put(&file, map, n);
	n_keys++;
}

static void test_ugm(void)
{
	uint8_t map[4096];
	size_t n = ugm_map(map);
	struct zen5rt_vocab *v;

	ugm_begin(NULL, 0);
	v = must();
	CHECK(v, "a", 0, "7", "UGM: the best score");
	CHECK(v, "abc", 0, "7 8", "the best sum, not the longest token first");
	CHECK(v, "ab", 0, "3 6", "of equal sums the one that was found first");
	CHECK(v, "a  b", 0, "7 3 3 5", "spaces are kept");
	CHECK(v, "aqq\xff" "a", 0, "7 2 4", "what is no token is unknown, once");
	CHECK(v, "q q", 0, "3 2 3 2", "once a run");
	CHECK(v, "xy", 0, "3 10 11", "scores that are none");
	CHECK(v, "a", BOS, "7 1", "EOS and no BOS");
	CHECK(v, "", BOS, "1", "nothing is EOS alone");
	zen5rt_vocab_free(v);

	ugm_begin(map, n);
	flag("tokenizer.ggml.remove_extra_whitespaces", true);
	v = must();
	CHECK(v, "  a   b ", 0, "7 3 5", "spaces are merged");
	CHECK(v, "bx", 0, "3 5 4", "a rule");
	CHECK(v, "bxx", 0, "3 5 3 5", "the longest rule, and the spaces that it makes");
	CHECK(v, "aXb", 0, "3 6", "a rule that leaves nothing");
	CHECK(v, "\0a", 0, "3 2 4", "a zero byte is text");
	zen5rt_vocab_free(v);
}

/* Unknown characters cost ten more than the worst token. */
static void test_unknown(void)
{
	static const struct token t[] = {
		{ "<unk>", 0, UNKNOWN }, { "zq", -25, NORMAL }, { "z", -3, NORMAL },
		{ "zx", -25, NORMAL }, { "x", -21, NORMAL }, { "wq", -12, NORMAL },
	};
	struct zen5rt_vocab *v;

	begin("t5");
	tokens(t, N(t));
	number("tokenizer.ggml.unknown_token_id", 0);
	v = must();
	CHECK(v, "zq", 0, "1", "-25 is better than -3 and an unknown character");
	CHECK(v, "zx", 0, "2 4", "-3 and -21 are better still");
	zen5rt_vocab_free(v);
}

static void bad_map(const uint8_t *map, size_t n, const char *name)
{
	struct zen5rt_error err = { "" };
	struct zen5rt_vocab *v = NULL;
	int r;

	ugm_begin(map, n);
	r = end(&v, &err);
	ok(r == -EINVAL && strstr(err.message, "charsmap"), "%s: %s", name, err.message);
}

/* Whatever the units say, nothing outside the map is read (the sanitizers look on). */
/* A short prompt may not become a long one. */
static void test_charsmap_text(size_t len, int want)
{
	uint8_t map[400] = { 4 };
	struct z5_charsmap m;
	int r;

	memset(map + 8, 'a', len);
	r = z5_charsmap_read(&m, map, 8 + len + 1);
	ok(r == want, "a replacement of %zu bytes: %d", len, r);
	if (!r)
		z5_charsmap_free(&m);
}

static void test_charsmap(void)
{
	struct z5_charsmap m;
	uint8_t map[4096], lie[4096];
	uint32_t seed = 1, found = 0;
	size_t n = ugm_map(map), out_len;
	const char *out;

	bad_map((const uint8_t *)"abc", 3, "a map of three bytes");
	bad_map((const uint8_t *)"\xff\xff\xff\xff" "abcd", 8, "a table of 4 GiB");
	bad_map((const uint8_t *)"\4\0\0\0abcd", 8, "no room for replacements");
	bad_map((const uint8_t *)"\3\0\0\0abcd", 8, "a table of three bytes");
	for (unsigned int k = 0; k < 20000; k++) {
		memcpy(lie, map, n);
		for (unsigned int i = 0; i < 40; i++) {
			uint32_t at, val;

			seed = seed * 1664525 + 1013904223;
			at = (seed >> 8) % (512 + 3);
			seed = seed * 1664525 + 1013904223;
			val = i % 2 ? seed : (seed >> 9 & 0x1ff) << 10 | 'x' | (seed & 0x300);
			memcpy(lie + 4 + 4 * (at < 512 ? at : 1 ^ 'x'), &val, 4);
		}
		if (z5_charsmap_read(&m, lie, n - k % 8))
			continue;
		for (int i = 0; i < 4; i++)
			found += !!z5_charsmap_find(&m, &"xxXx"[i], 4 - (size_t)i, &out, &out_len);
		z5_charsmap_free(&m);
	}
	ok(found, "20000 maps that lie, %u rules found in them", found);
}

/* ---- RWKV ---- */

static void test_rwkv(void)
{
	static const struct token t[] = {
		{ "<end>", 0, CONTROL }, { "a", 0, NORMAL }, { "ab", 0, NORMAL },	/* 0 */
		{ "abcd", 0, NORMAL }, { "\\n", 0, NORMAL }, { "\\xe2\\x82", 0, NORMAL },
		{ "\\xac", 0, NORMAL }, { "\\\\", 0, NORMAL }, { "\\x4", 0, NORMAL },	/* 6 */
		{ "", 0, NORMAL }, { "\\", 0, NORMAL }, { "b", 0, NORMAL },		/* 9 */
		{ "\\x00", 0, NORMAL }, { "\\'", 0, NORMAL },				/* 12 */
	};
	struct zen5rt_vocab *v;
	struct zen5rt_detok *d;
	int32_t ids[16];
	char got[64] = "";
	int64_t n;

	begin("rwkv");
	tokens(t, N(t));
	v = must();
	CHECK(v, "ababcd", 0, "2 3", "RWKV: the longest token");
	CHECK(v, "abca", 0, "2 1", "a byte that begins no token is left out");
	CHECK(v, "ab\n\xe2\x82\xac\\'", 0, "2 4 5 6 7 13", "escapes are bytes");
	CHECK(v, "a\0b", 0, "1 12 11", "zero bytes too");
	CHECK(v, "x4", 0, "8", "what is no escape loses its backslash alone");
	CHECK(v, "<end>a", BOS, "1", "text is no special token");
	CHECK(v, "<end>a", SPECIAL, "0 1", "unless asked for");
	n = zen5rt_tokenize(v, "ab\n\xe2\x82\xac", 6, 0, ids, 16, NULL);
	if (zen5rt_detok_new(v, false, &d, NULL))
		abort();
	for (int64_t i = 0; i < n; i++)
		strcat(got, zen5rt_detok_next(d, ids[i], NULL));
	ok(!strcmp(got, "ab\n\xe2\x82\xac"), "and bytes again");
	zen5rt_detok_free(d);
	zen5rt_vocab_free(v);
}

/* ---- BPE over raw UTF-8 ---- */

static void test_raw(void)
{
	static const struct token t[] = {
		{ "<pad>", 0, CONTROL }, { "<bos>", 0, CONTROL }, { "<0x0A>", 0, BYTE },
		{ "<0xE2>", 0, BYTE }, { "<0x82>", 0, BYTE }, { "<0xAC>", 0, BYTE },
		{ "a", 0, NORMAL }, { "b", 0, NORMAL }, { LB, 0, NORMAL },
		{ LB "a", 0, NORMAL },
		{ "\n\n", 0, NORMAL }, { "ab", 0, NORMAL }, { "<0xFF>", 0, BYTE },
	};
	static const char *const merges[] = { "a b", LB " a", NULL };
	struct zen5rt_vocab *v;

	for (int k = 0; k < 2; k++) {
		begin(k ? "gpt2" : "gemma4");
		tokens(t, N(t));
		strings("tokenizer.ggml.merges", merges);
		if (k)
			string("tokenizer.ggml.pre", "mmbert");
		number("tokenizer.ggml.bos_token_id", 1);
		flag("tokenizer.ggml.add_bos_token", false);
		v = must();
		if (k) {
			CHECK(v, "ab a\nb", 0, "8 11 9 2 8 7", "mmBERT: words begin with a space");
			zen5rt_vocab_free(v);
			continue;
		}
		CHECK(v, "a b ab", BOS, "1 6 8 7 8 11", "raw BPE: spaces, merges, BOS always");
		CHECK(v, " a", 0, "9", "a space merges");
		CHECK(v, "a\n\nb\n", 0, "6 10 7 2", "line feeds: a token, or a byte");
		CHECK(v, "a\xe2\x82\xac\xff", 0, "6 3 4 5 12", "bytes of what is no token");
		zen5rt_vocab_free(v);
	}
}

/* ---- what a token's text says ---- */

static void eog(const char *const *texts, int32_t type, const char *want, const char *name)
{
	struct token t[16] = { { "<unk>", 0, UNKNOWN }, { "<s>", 0, CONTROL }, { "a", 0, NORMAL } };
	struct zen5rt_vocab *v;
	char got[64] = "";
	size_t n = 3;

	for (; *texts; texts++)
		t[n++] = (struct token){ *texts, 0, type };
	begin("llama");
	tokens(t, n);
	number("tokenizer.ggml.eos_token_id", UINT32_MAX);
	v = must();
	for (size_t i = 0; i < n; i++)
		if (zen5rt_vocab_is_eog(v, (int32_t)i))
			sprintf(got + strlen(got), "%s%zu", *got ? " " : "", i);
	if (!ok(!strcmp(got, want), "%s", name))
		diag("got %s, want %s", got, want);
	zen5rt_vocab_free(v);
}

#define EOG(type, want, name, ...) eog((const char *const[]){ __VA_ARGS__, NULL }, type, want, name)

static void test_types(void)
{
	static const struct token t[] = {
		{ "<unk>", 0, UNKNOWN }, { "<s>", 0, CONTROL }, { "</s>", 0, NORMAL },
		{ "<|im_end|>", 0, NORMAL }, { "<fim_pad>", 0, NORMAL }, { "<x>", 0, NORMAL },
	};
	struct zen5rt_vocab *v;

	EOG(NORMAL, "3 4 5", "ends of answers, whatever their type", "<|im_end|>", "<|eot_id|>",
	    "<end_of_turn>", "<|im_start|>");
	EOG(CONTROL, "3 4", "gpt-oss: <|end|> ends a part", "<|return|>", "<|call|>", "<|end|>",
	    "<|channel|>");
	EOG(CONTROL, "3 4", "solar: <|flush|> and <|calls|> say the same", "<|flush|>", "<|calls|>",
	    "<|end|>");
	EOG(CONTROL, "3 4", "phi: <|end|> ends the answer", "<|end|>", "<|return|>");
	EOG(NORMAL, "3 5", "gemma 4: </s> is text", "<turn|>", "</s>", "<|tool_response>");
	EOG(NORMAL, "3 4", "places to fill in: files and padding end", "<|fim_pad|>",
	    "<|file_sep|>", "<|fim_prefix|>");
	begin("llama");
	tokens(t, N(t));
	number("tokenizer.ggml.fim_pad_token_id", 5);
	v = must();
	ok(zen5rt_vocab_is_eog(v, 5) && !zen5rt_vocab_is_eog(v, 4), "a key goes before a text");
	CHECK(v, "<|im_end|>", SPECIAL, "3", "a normal token that ends an answer is found");
	ok(zen5rt_tokenize(v, "<|im_end|>", 10, 0, NULL, 0, NULL) != 1, "and text alone is not it");
	zen5rt_vocab_free(v);
}

/* ---- special tokens that overlap ---- */

/* a, aa, ... and "b" behind the longest: more at one place than any fixed table has. */
static void test_overlap(void)
{
	enum { DEPTH = 300 };
	static struct token t[DEPTH + 4];
	static char name[DEPTH + 1][DEPTH + 2];
	struct zen5rt_vocab *v;
	char text[2 * DEPTH + 2];
	int32_t ids[8];

	t[0] = (struct token){ "<unk>", 0, UNKNOWN };
	for (int i = 1; i <= DEPTH; i++) {
		memset(name[i], 'a', (size_t)i);
		t[i] = (struct token){ name[i], 0, USER };
	}
	memset(name[0], 'a', DEPTH);
	strcat(name[0], "b");
	t[DEPTH + 1] = (struct token){ name[0], 0, USER };
	t[DEPTH + 2] = (struct token){ "ba", 0, USER };
	begin("llama");
	tokens(t, DEPTH + 3);
	flag("tokenizer.ggml.add_space_prefix", false);
	v = must();
	memset(text, 'a', sizeof(text));
	ok(zen5rt_tokenize(v, text, DEPTH + 7, 0, ids, 8, NULL) == 2 && ids[0] == DEPTH &&
	   ids[1] == 7, "of %d tokens at one place the longest, then what is left", DEPTH);
	text[DEPTH + 5] = 'b';
	ok(zen5rt_tokenize(v, text, DEPTH + 8, 0, ids, 8, NULL) == 3 && ids[0] == 5 &&
	   ids[1] == DEPTH + 1 && ids[2] == 2,
	   "a longer one further on wins, a shorter one gives way");
	zen5rt_vocab_free(v);
}

static void test_refused(void)
{
	struct zen5rt_error err = { "" };
	struct zen5rt_vocab *v = NULL;

	begin("t5");
	strings("tokenizer.ggml.tokens", (const char *const[]){ "a", "b", NULL });
	ok(end(&v, &err) == -EINVAL && strstr(err.message, "scores"), "refused: %s", err.message);
	begin("plamo2");
	ok(end(&v, &err) == -EINVAL && strstr(err.message, "plamo2"), "refused: %s", err.message);
	begin("bert");
	tokens(wpm, N(wpm));
	number("tokenizer.ggml.seperator_token_id", 99);
	ok(end(&v, &err) == -EINVAL && strstr(err.message, "seperator"), "refused: %s",
	   err.message);
}

int main(void)
{
	alarm(120);
	test_wpm();
	test_ugm();
	test_unknown();
	test_charsmap();
	test_charsmap_text(255, 0);
	test_charsmap_text(256, -EINVAL);
	test_rwkv();
	test_raw();
	test_types();
	test_overlap();
	test_refused();
	return done();
}
