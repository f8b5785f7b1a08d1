// SPDX-License-Identifier: MIT
/* Tokenizers and the detokenizer over small vocabularies that are written here, in memory. */
#include "vocab_writer.h"

#include <math.h>

#include "vocab/charsmap.h"
#include "vocab/merge.h"
#include "vocab/pretok.h"

/* ---- SPM ---- */

static const struct token spm[] = {
	{ "<unk>", 0, UNKNOWN }, { "<s>", 0, CONTROL }, { "</s>", 0, CONTROL },		/* 0 */
	{ "<0x0A>", 0, BYTE }, { "<0xE2>", 0, BYTE }, { "<0x82>", 0, BYTE },		/* 3 */
	{ "<0xAC>", 0, BYTE }, { "<0xFF>", 0, BYTE }, { "<0xF0>", 0, BYTE },		/* 6 */
	{ "<0x9F>", 0, BYTE }, { "<0x98>", 0, BYTE }, { "<0x80>", 0, BYTE },		/* 9 */
	{ LB, -1, NORMAL }, { "a", -2, NORMAL }, { "b", -3, NORMAL },			/* 12 */
	{ "c", -4, NORMAL }, { "ab", -11, NORMAL }, { "bc", -10, NORMAL },		/* 15 */
	{ "abcc", -12, NORMAL }, { LB "a", -9, NORMAL }, { "aa", -13, NORMAL },		/* 18 */
	{ "aaaa", -14, NORMAL }, { "<|tool|>", 0, USER }, { "<", -20, NORMAL },		/* 21 */
	{ "s", -21, NORMAL }, { ">", -22, NORMAL }, { "<s", -23, NORMAL },		/* 24 */
	{ LB LB, -8, NORMAL }, { "\xc3\xa9", -30, NORMAL }, { "<|end|>", 0, NORMAL },	/* 27 */
	{ "a" LB, -31, NORMAL }, { "<|eot_id|>", 0, CONTROL },				/* 30 */
};

static struct zen5rt_vocab *spm_vocab(bool prefix)
{
	begin("llama");
	tokens(spm, sizeof(spm) / sizeof(*spm));
	flag("tokenizer.ggml.add_space_prefix", prefix);
	return must();
}

/* Anything quadratic would run into the alarm that main() sets. */
static void test_long(const struct zen5rt_vocab *v, const char *name, int64_t want)
{
	const size_t len = 400000;
	int32_t *ids = malloc(len * sizeof(*ids));
	char *text = malloc(len);
	int64_t n;

	if (!ids || !text)
		abort();
	memset(text, 'a', len);
	n = zen5rt_tokenize(v, text, len, SPECIAL, ids, len, NULL);
	ok(n == want, "%s: one word of %zu letters, %ld ids", name, len, (long)n);
	memset(text, '<', len);
	n = zen5rt_tokenize(v, text, len, SPECIAL, ids, len, NULL);
	ok(n >= 0, "%s: as many beginnings of special tokens, %ld ids", name, (long)n);
	free(text);
	free(ids);
}

static void test_spm(void)
{
	struct zen5rt_vocab *v = spm_vocab(false);
	char longest[601] = "";

	CHECK(v, "", BOS | SPECIAL, "1", "empty text is BOS alone");
	CHECK(v, "", 0, "", "or nothing");
	CHECK(v, "abc", 0, "13 17", "the best score merges first, not the longest or leftmost");
	CHECK(v, "abab", 0, "16 16", "pairs merge");
	CHECK(v, "aaaaa", 0, "21 13", "of equal scores the leftmost merges first");
	CHECK(v, " a", 0, "19", "a space merges into the word");
	CHECK(v, "b a", 0, "14 19", "between words too");
	CHECK(v, "a b", 0, "30 14", "a token may end in a space");
	CHECK(v, "a a", 0, "13 19", "and then scores decide");
	CHECK(v, "b  a", 0, "14 27 13", "two spaces are one token");
	CHECK(v, "\n", 0, "3", "what is no token falls back to bytes");
	CHECK(v, "\xe2\x82\xac", 0, "4 5 6", "all bytes of a character");
	CHECK(v, "\xc3\xa9", 0, "28", "a character of two bytes that is a token");
	CHECK(v, "a\xff" "b\xe2\x82", 0, "13 7 14 4 5", "stray bytes stand for themselves");
	CHECK(v, "q", 0, "0", "without a byte token it is unknown");
	CHECK(v, "\xd0\x96", 0, "0", "one unknown a character");
	CHECK(v, "a\0b", 0, "13 0 14", "a zero byte is text like any other");
	CHECK(v, "<s>", 0, "26 25", "text never turns into a control token by merging");
	CHECK(v, "<s>", SPECIAL, "1", "unless special tokens were asked for");
	CHECK(v, "a<|tool|>b", 0, "13 22 14", "user-defined tokens are found either way");
	CHECK(v, "</s></s>a", SPECIAL | BOS, "1 2 2 13", "neighbouring special tokens");
	for (int i = 0; i < 600; i++)
		longest[i] = 'a';
	ok(zen5rt_tokenize(v, longest, 600, 0, NULL, 0, NULL) == 150, "a long word, counted only");
	test_long(v, "SPM", 100000);
	ok(zen5rt_tokenize(v, "a", 1, 4, NULL, 0, NULL) == -EINVAL, "unknown flags are refused");
	ok(zen5rt_tokenize(v, "a", ((size_t)1 << 30) + 1, 0, NULL, 0, NULL) == -EOVERFLOW,
	   "so is more than 1 GiB");
	zen5rt_vocab_free(v);

	v = spm_vocab(true);
	CHECK(v, "a", 0, "19", "a space is put before the text");
	CHECK(v, " a", 0, "27 13", "even if there is one");
	CHECK(v, "a</s>a<|tool|>a", SPECIAL, "19 2 19 22 19", "and after special tokens");
	CHECK(v, "", BOS, "1", "but not before nothing");
	ok(zen5rt_vocab_size(v) == sizeof(spm) / sizeof(*spm) && zen5rt_vocab_bos(v) == 1 &&
	   zen5rt_vocab_eos(v) == 2, "size, BOS and EOS");
	ok(zen5rt_vocab_is_eog(v, 2) && zen5rt_vocab_is_eog(v, 31), "EOS and <|eot_id|> end it");
	ok(zen5rt_vocab_is_eog(v, 29), "a normal token spelled <|end|> is what it says");
	ok(!zen5rt_vocab_is_eog(v, -1) && !zen5rt_vocab_is_eog(v, 32), "nor does what is no token");
	zen5rt_vocab_free(v);
}

static void test_room(void)
{
	struct zen5rt_vocab *v = spm_vocab(false);
	int32_t ids[3] = { -7, -7, -7 };

	ok(zen5rt_tokenize(v, "b b b b", 7, 0, ids, 2, NULL) == 7 && ids[0] == 14 && ids[1] == 12 &&
	   ids[2] == -7, "too little room: all counted, none written past it");
	ok(zen5rt_tokenize(v, "b b b b", 7, BOS, NULL, 0, NULL) == 8, "no room at all: counted");
	zen5rt_vocab_free(v);
}

/* ---- BPE ---- */

static const struct token bpe[] = {
	{ "a", 0, NORMAL }, { "b", 0, NORMAL }, { "c", 0, NORMAL },			/* 0 */
	{ "\xc4\xa0", 0, NORMAL },							/* 3 */
	{ "ab", 0, NORMAL }, { "bc", 0, NORMAL }, { "\xc4\xa0" "a", 0, NORMAL },	/* 4 */
	{ "abc", 0, NORMAL }, { "1", 0, NORMAL }, { "\xc3\xb0", 0, NORMAL },		/* 7 */
	{ "\xc5\x81", 0, NORMAL }, { "\xc4\xba", 0, NORMAL }, { "\xc4\xa2", 0, NORMAL }, /* 10 */
	{ "<|endoftext|>", 0, CONTROL }, { "<|im_end|>", 0, CONTROL },			/* 13 */
	{ "cab", 0, NORMAL }, { "<think>", 0, USER }, { "<|im", 0, USER },		/* 15 */
	{ "  ", 0, USER }, { "end|>x", 0, USER }, { "\xc3\xbf", 0, NORMAL },		/* 18 */
	{ "\xc4\x8a", 0, NORMAL }, { "x y", 0, NORMAL },				/* 21 */
};

static const char *const merges[] = {
	"b c", "a b", "\xc4\xa0 a", "ab c", "a a", "nothing", "b c", "\xe2\x82\xac a", NULL
};

static struct zen5rt_vocab *bpe_vocab(const char *pre)
{
	begin("gpt2");
	tokens(bpe, sizeof(bpe) / sizeof(*bpe));
	strings("tokenizer.ggml.merges", merges);
	if (pre)
		string("tokenizer.ggml.pre", pre);
	number("tokenizer.ggml.eos_token_id", 13);
	return must();
}

static void test_bpe(void)
{
	struct zen5rt_vocab *v = bpe_vocab("gpt-2");

	CHECK(v, "abc", 0, "0 5", "the merge of lowest rank comes first");
	CHECK(v, "ab", 0, "4", "a pair");
	CHECK(v, "aab", 0, "0 4", "ranks decide");
	CHECK(v, "aa", 0, "0 0", "a merge into what is no token falls apart again");
	CHECK(v, "ab a", 0, "4 6", "words begin with their space");
	CHECK(v, "cab", 0, "2 4", "a whole word that is a token but does not merge");
	CHECK(v, "\xf0\x9f\x98\x80", 0, "9 10 11 12", "bytes of a character that is no token");
	CHECK(v, "a\xff\xff" "b", 0, "0 20 20 1", "stray bytes");
	CHECK(v, "azb", 0, "0 1", "a byte without token and unknown token is left out");
	CHECK(v, "\n", BOS, "21", "a line feed, no BOS");
	CHECK(v, "<|im_end|>", SPECIAL, "14", "the longest special token wins");
	CHECK(v, "<|im_end|>x", SPECIAL, "14", "even if another overlaps it");
	CHECK(v, "<|im_end|>", 0, "17", "user-defined tokens are found where control ones are not");
	CHECK(v, "a   b", 0, "0 18 3 1", "tokens of white space");
	CHECK(v, "a<think>b<|endoftext|>", SPECIAL, "0 16 1 13", "special tokens between text");
	ok(zen5rt_vocab_is_eog(v, 13) && zen5rt_vocab_is_eog(v, 14) && !zen5rt_vocab_is_eog(v, 16),
	   "what ends an answer");
	ok(zen5rt_vocab_bos(v) == -1, "no BOS is made up");
	test_long(v, "BPE", 400000);
	zen5rt_vocab_free(v);

	v = bpe_vocab("llama-bpe");
	CHECK(v, "cab", 0, "15", "llama-bpe takes a whole word that is a token");
	zen5rt_vocab_free(v);
	for (size_t i = 0; i < 4; i++) {
		static const char *const arch[] = { "bitnet-25", "bitnet-b1.58", "bitnet", "llama" };

		begin("gpt2");
		string("general.architecture", arch[i]);
		tokens(bpe, sizeof(bpe) / sizeof(*bpe));
		strings("tokenizer.ggml.merges", merges);
		v = must();
		CHECK(v, "cab", 0, i < 2 ? "15" : "2 4", arch[i]);
		zen5rt_vocab_free(v);
	}
}

/* GPT-2: bytes that print are themselves, the others follow from 256 on. */
static void test_alphabet(void)
{
	unsigned int next = 256, wrong = 0;

	for (unsigned int b = 0; b < 256; b++) {
		bool prints = (b > ' ' && b < 127) || (b > 0xa0 && b != 0xad);
		unsigned int cp = prints ? b : next++;
		char c[2] = { (char)cp }, out[2];
		size_t len = 1;

		if (cp >= 0x80) {
			c[0] = (char)(0xc0 | cp >> 6);
			c[1] = (char)(0x80 | (cp & 0x3f));
			len = 2;
		}
		wrong += z5_bpe_decode(c, len, out) != 1 || (uint8_t)out[0] != b;
	}
	ok(!wrong, "the alphabet: %u bytes wrong", wrong);
	ok(z5_bpe_decode(" ", 1, (char[1]){ 0 }) < 0, "a space is not in it");
	ok(z5_bpe_decode("\xc5\x84", 2, (char[2]){ 0 }) < 0, "nor is what follows the last");
}

/* Ids cannot tell where words end if nothing merges: each case lists its words. */
static int words(void *ctx, const char *p, size_t len)
{
	char *out = ctx;

	if (*out)
		strcat(out, "|");
	strncat(out, p, len);
	return 0;
}

static int count(void *ctx, const char *p, size_t len)
{
	(void)p, (void)len;
	++*(unsigned int *)ctx;
	return 0;
}

static void test_pretok(void)
{
	static const struct { const char *name, *text, *want; } cases[] = {
		{ "gpt-2", "I'll go 1234  \n x!? don't", "I|'ll| go| 1234|  \n| x|!?| don|'t" },
		{ "llama-bpe", "I'LL go 1234  \n x!?\n\ndon't",
		  "I|'LL| go| |123|4|  \n| x|!?\n\n|don|'t" },
		{ "qwen2", "a 12.5\t\tb", "a| |1|2|.|5|\t|\tb" },
		{ "default", "a+1234b, c", "a|+|123|4|b|,| c" },
		{ "gpt-2", "\xc3\xa9t\xc3\xa9 \xff\xfe" "a\xe1\xa0\x8e\xc2\xa0" "b",
		  "\xc3\xa9t\xc3\xa9| |\xff\xfe|a|\xe1\xa0\x8e|\xc2\xa0|b" },
		{ "llama3", "   ", "   " },
		{ "gpt-2", "   a", "  | a" },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct gguf_str name = { cases[i].name, strlen(cases[i].name) };
		struct z5_pretok_run *run;
		struct z5_pretok *p;
		unsigned int flags;
		char got[256] = "";

		if (z5_pretok_new(name, "t", &p, &flags, NULL))
			abort();
		run = z5_pretok_run_new(p);
		z5_pretok_split(run, cases[i].text, strlen(cases[i].text), words, got);
		if (!ok(!strcmp(got, cases[i].want), "%s cuts case %zu", cases[i].name, i))
			diag("got %s, want %s", got, cases[i].want);
		z5_pretok_run_free(run);
		z5_pretok_free(p);
	}
}

/* Reads a field up to a tab or the end of the line, without its escapes; false if there is none. */
static bool field(char **line, char *out)
{
	char *p = *line;

	if (!*p || *p == '\n')
		return false;
	for (; *p && *p != '\t' && *p != '\n'; p++, out++) {
		*out = *p;
		if (*p == '\\')
			*out = *++p == 'n' ? '\n' : *p == 'r' ? '\r' : *p == 't' ? '\t' : *p;
	}
	*out = '\0';
	*line = p + (*p == '\t');
	return true;
}

struct wanted {
	char *line;
	bool equal;
};

static int word_wanted(void *ctx, const char *p, size_t len)
{
	struct wanted *w = ctx;
	char want[512];

	w->equal &= field(&w->line, want) && strlen(want) == len && !memcmp(want, p, len);
	return 0;
}

/* Every name, on texts that tell them apart; what the words are is in a file. */
static void test_pretok_names(void)
{
	FILE *f = fopen("tests/models/tokcases/pretok.tsv", "r");
	char line[2048], name[64], text[512], last[64] = "";
	struct z5_pretok_run *run = NULL;
	struct z5_pretok *p = NULL;
	unsigned int n = 0, names = 0, flags;

	while (f && fgets(line, sizeof(line), f)) {
		struct wanted w = { line, true };

		if (*line == '#' || !field(&w.line, name) || !field(&w.line, text))
			continue;
		if (strcmp(name, last)) {
			z5_pretok_run_free(run);
			z5_pretok_free(p);
			if (z5_pretok_new((struct gguf_str){ name, strlen(name) }, "t", &p, &flags,
					  NULL))
				abort();
			run = z5_pretok_run_new(p);
			strcpy(last, name);
			names++;
		}
		z5_pretok_split(run, text, strlen(text), word_wanted, &w);
		n++;
		if (!w.equal || (*w.line && *w.line != '\n'))
			ok(false, "%s cuts '%s'", name, text);
	}
	z5_pretok_run_free(run);
	z5_pretok_free(p);
	if (f)
		fclose(f);
	ok(names == 92 && n > 600, "%u pre-tokenizers, %u texts", names, n);
}

/* Digits in threes, and lengths at which an expression would take for ever. */
static void test_cuts(void)
{
	static const struct { z5_cut_fn cut; const char *text, *want; } cases[] = {
		{ z5_cut_numbers, "a1234567b12 123", "a|1|234|567|b|12| |123" },
		{ z5_cut_numbers, "\xc2\xbd" "123", "\xc2\xbd|123" },
		{ z5_cut_digits, "ab12345c12", "ab12|345|c12" },
		{ z5_cut_digits, "123456", "123|456" },
		{ z5_cut_digits_bounded, "1234 1234a 12_ 12", "1|234| 1234a 12_ |12" },
		{ z5_cut_digits_bounded, "x", "x" },
	};
	const size_t len = 3000001;
	char *text = malloc(len);
	unsigned int n = 0;

	if (!text)
		abort();
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char got[256] = "";

		cases[i].cut(cases[i].text, strlen(cases[i].text), words, got);
		if (!ok(!strcmp(got, cases[i].want), "digits, case %zu", i))
			diag("got %s, want %s", got, cases[i].want);
	}
	memset(text, '7', len);
	z5_cut_digits_bounded(text, len, count, &n);
	ok(n == len / 3 + 1, "three million digits, %u words", n);
	free(text);
}

/* ---- merging: the scan for short words and the heap for long ones must agree ---- */

static uint32_t merge_toy(const struct zen5rt_vocab *v, const char *text, uint32_t l, uint32_t len,
			  uint32_t lid, uint32_t rid, uint32_t *id)
{
	uint32_t h = (lid * 31 + rid) * 2654435761u;

	(void)v, (void)text, (void)l;
	*id = h >> 8 & 0xff;
	/* few ranks, so that there are many ties */
	return len > 12 || h % 3 == 0 ? MERGE_NONE : h >> 16 & 7;
}

static void merge_fill(struct z5_sym *s, const char *text, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		s[i] = (struct z5_sym){ 1, i - 1, i + 1, (uint8_t)text[i] };
	s[n - 1].next = MERGE_NONE;
}

/* By definition: look at all pairs, merge the lowest, begin again. */
static void merge_plain(struct z5_sym *s, const char *text)
{
	struct z5_merge m = { .sym = s };
	uint32_t best, best_id = 0, at = 0, id, rank;

	do {
		best = MERGE_NONE;
		for (uint32_t l = 0; s[l].next != MERGE_NONE; l = s[l].next) {
			rank = merge_toy(NULL, text, l, s[l].len + s[s[l].next].len, s[l].id,
					 s[s[l].next].id, &id);
			if (rank < best) {
				best = rank;
				best_id = id;
				at = l;
			}
		}
		if (best != MERGE_NONE)
			merge_join(&m, at, s[at].next, best_id);
	} while (best != MERGE_NONE);
}

static char letter(uint32_t *seed, uint32_t n)
{
	*seed = *seed * 1664525 + 1013904223;
	return (char)('a' + (*seed >> 24) % n);
}

static void test_merge(void)
{
	struct z5_merge m = { 0 };
	struct z5_sym want[200];
	uint32_t seed = 1, wrong = 0, done = 0;
	char text[200];

	if (merge_reserve(&m, sizeof(text)))
		abort();
	for (uint32_t n = 1; n <= sizeof(text); n++) {
		for (uint32_t k = 0; k < 20; k++, done++) {
			for (uint32_t i = 0; i < n; i++)
				text[i] = letter(&seed, k + 1);
			merge_fill(want, text, n);
			merge_plain(want, text);
			merge_fill(m.sym, text, n);
			if (merge_run(&m, NULL, text, n, merge_toy))
				abort();
			for (uint32_t i = 0; i != MERGE_NONE; i = want[i].next)
				if (want[i].len != m.sym[i].len || want[i].id != m.sym[i].id ||
				    want[i].next != m.sym[i].next) {
					wrong++;
					break;
				}
		}
	}
	free(m.sym);
	free(m.heap);
	ok(!wrong, "merging is what its definition says, short and long: %u words, %u wrong", done,
	   wrong);
}

/* ---- detokenizer ---- */

static void detok(const struct zen5rt_vocab *v, bool special, const char *ids, const char *want,
		  const char *name)
{
	struct zen5rt_detok *d;
	char got[512] = "", *p;
	size_t len;

	if (zen5rt_detok_new(v, special, &d, NULL))
		abort();
	/* pieces are joined with | so that it shows when they came */
	for (long id; id = strtol(ids, &p, 10), p != ids; ids = p) {
		strcat(got, zen5rt_detok_next(d, (int32_t)id, &len));
		strcat(got, "|");
	}
	strcat(got, zen5rt_detok_end(d, NULL));
	if (!ok(!strcmp(got, want), "%s", name))
		diag("got %s, want %s", got, want);
	zen5rt_detok_free(d);
}

#define BAD "\xef\xbf\xbd"

static void test_detok(void)
{
	struct zen5rt_vocab *v = spm_vocab(true);

	detok(v, false, "19 19", "a| a|", "the first space is the tokenizer's, others are text");
	detok(v, false, "27 13", " |a|", "only one space is taken off");
	detok(v, false, "1 19 2 19 22 19", "|a||a|<|tool|>|a|", "after special tokens again");
	detok(v, true, "1 19 2", "<s>|a|</s>|", "special tokens on request");
	detok(v, false, "8 9 10 11", "|||\xf0\x9f\x98\x80|", "an emoji over four byte tokens");
	detok(v, false, "8 9 13", "||" BAD "a|", "a cut-off character is one U+FFFD");
	detok(v, false, "8 9", "||" BAD, "at the end too");
	detok(v, false, "7 7", BAD "|" BAD "|", "bytes that begin no character: one each");
	detok(v, false, "4 4 5 6", "|" BAD "||\xe2\x82\xac|", "a new lead byte begins anew");
	detok(v, false, "8 5 13", "|" BAD BAD "|a|", "a byte that cannot follow is not swallowed");
	detok(v, false, "4 2 5 6", "|||\xe2\x82\xac|", "a silent token breaks no character");
	detok(v, false, "-1 32 99999 13", "|||a|", "ids outside the vocabulary are silent");
	detok(v, false, "", "", "nothing");
	zen5rt_vocab_free(v);

	v = spm_vocab(false);
	detok(v, false, "19", " a|", "without the prefix a leading space is text");
	zen5rt_vocab_free(v);

	v = bpe_vocab("gpt-2");
	detok(v, false, "6 4 13", " a|ab||", "BPE: bytes behind the alphabet");
	detok(v, false, "9 10 11 12", "|||\xf0\x9f\x98\x80|", "BPE: an emoji over four tokens");
	detok(v, true, "13 22", "<|endoftext|>|x y|", "BPE: text outside the alphabet is kept");
	zen5rt_vocab_free(v);
}

/* Every text comes back, whole and in pieces, unless it is not UTF-8. */
static void test_round_trip(void)
{
	static const char *const texts[] = {
		"", "a", " a", "  a  b", "abc\nab", "\xf0\x9f\x98\x80", "a\xe2\x82\xac b ",
		"</s>a</s> a",
	};
	struct zen5rt_vocab *v = spm_vocab(true);

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		int32_t ids[64];
		int64_t n = zen5rt_tokenize(v, texts[i], strlen(texts[i]), SPECIAL, ids, 64, NULL);
		struct zen5rt_detok *d;
		char got[256] = "";

		if (zen5rt_detok_new(v, true, &d, NULL))
			abort();
		for (int64_t k = 0; k < n; k++)
			strcat(got, zen5rt_detok_next(d, ids[k], NULL));
		strcat(got, zen5rt_detok_end(d, NULL));
		ok(!strcmp(got, texts[i]), "text %zu comes back", i);
		zen5rt_detok_free(d);
	}
	zen5rt_vocab_free(v);
}

/* ---- files that lie ---- */

static void refused(const char *what)
{
	struct zen5rt_vocab *v = NULL;
	struct zen5rt_error err = { "" };
	int r = end(&v, &err);

	if (!ok(r == -EINVAL && !v && strstr(err.message, what), "refused: %s", err.message))
		diag("result %d, wanted a line with %s", r, what);
	zen5rt_vocab_free(v);
}

static void spm_begin(void)
{
	begin("llama");
	tokens(spm, sizeof(spm) / sizeof(*spm));
}

static void test_refused(void)
{
	begin("nosuch");
	refused("nosuch");
	begin("llama");
	refused("tokens");
	begin("llama");
	tokens(spm, 0);
	refused("empty");
	begin("llama");
	array(&file, "tokenizer.ggml.tokens", GGUF_I32, 2);
	put(&file, (int32_t[]){ 1, 2 }, 8);
	n_keys++;
	refused("tokens");
	begin("llama");
	strings("tokenizer.ggml.tokens", (const char *const[]){ "a", "b", NULL });
	array(&file, "tokenizer.ggml.scores", GGUF_F32, 1);
	put(&file, &(float){ 0 }, 4);
	n_keys++;
	refused("scores");
	begin("llama");
	strings("tokenizer.ggml.tokens", (const char *const[]){ "a", "b", NULL });
	array(&file, "tokenizer.ggml.token_type", GGUF_I32, 1);
	put(&file, &(int32_t){ 1 }, 4);
	n_keys++;
	refused("token_type");
	spm_begin();
	number("tokenizer.ggml.bos_token_id", 4000000000);
	refused("bos_token_id");
	spm_begin();
	number("tokenizer.ggml.eos_token_id", 32);
	refused("eos_token_id");
	spm_begin();
	number("tokenizer.ggml.unknown_token_id", 32);
	refused("unknown_token_id");
	spm_begin();
	string("tokenizer.ggml.add_bos_token", "yes");
	refused("add_bos_token");
	begin("gpt2");
	tokens(bpe, sizeof(bpe) / sizeof(*bpe));
	refused("merges");
	begin("gpt2");
	tokens(bpe, sizeof(bpe) / sizeof(*bpe));
	strings("tokenizer.ggml.merges", merges);
	string("tokenizer.ggml.pre", "klingon");
	refused("klingon");
}

/* Odd vocabularies that are no error: whatever comes out, it must come out. */
static void odd(const struct token *t, size_t n, const char *name)
{
	static const char text[] = "a b \xff\xe2\x82\xac <s> \0x";
	int32_t ids[256];

	for (int k = 0; k < 2; k++) {
		struct zen5rt_vocab *v;
		struct zen5rt_detok *d;
		int64_t got;

		begin(k ? "gpt2" : "llama");
		tokens(t, n);
		if (k)
			strings("tokenizer.ggml.merges", merges);
		v = must();
		got = zen5rt_tokenize(v, text, sizeof(text), BOS | SPECIAL, ids, 256, NULL);
		if (zen5rt_detok_new(v, true, &d, NULL))
			abort();
		for (int64_t i = 0; i < got && i < 256; i++)
			zen5rt_detok_next(d, ids[i], NULL);
		zen5rt_detok_end(d, NULL);
		zen5rt_detok_free(d);
		zen5rt_vocab_free(v);
		ok(got >= 0, "%s: %s, %ld ids", name, k ? "BPE" : "SPM", (long)got);
	}
}

#define ODD(name, ...) do { \
	static const struct token t[] = { __VA_ARGS__ }; \
	odd(t, sizeof(t) / sizeof(*t), name); \
} while (0)

static void test_odd(void)
{
	ODD("all the same", { "x", 0, NORMAL }, { "x", 0, NORMAL }, { "x", 0, NORMAL });
	ODD("all empty", { "", 0, NORMAL }, { "", 0, CONTROL }, { "", 0, USER });
	ODD("not UTF-8", { "\xff\xc0", 0, NORMAL }, { "\xff", 0, USER }, { "\xe2", 0, CONTROL });
	ODD("types from nowhere", { "a", 0, 99 }, { "b", 0, -1 }, { " ", 0, INT32_MIN });
	ODD("bytes that are none", { "<0xZZ>", 0, BYTE }, { "", 0, BYTE }, { "a", 0, BYTE });
	ODD("scores that are none", { "a", NAN, NORMAL }, { "ab", INFINITY, NORMAL },
	    { "b", -INFINITY, NORMAL });
	ODD("one token", { "a", 0, UNKNOWN });
	ODD("special tokens in each other", { "a", 0, USER }, { "a b", 0, USER },
	    { "b \xff", 0, USER }, { "a", 0, CONTROL }, { "<s> ", 0, CONTROL },
	    { "<s>", 0, CONTROL });
}

int main(void)
{
	alarm(120);
	test_spm();
	test_room();
	test_alphabet();
	test_bpe();
	test_pretok();
	test_pretok_names();
	test_cuts();
	test_merge();
	test_detok();
	test_round_trip();
	test_refused();
	test_odd();
	return done();
}
