// SPDX-License-Identifier: MIT
/*
 * Fuzz target of grammars. An input is a GBNF text, then, after a byte 0xff (which no UTF-8 has), a text to match:
 * at once and byte by byte it must be the same, and of a small vocabulary the mask must let in exactly the tokens
 * that can be accepted. tests/fuzz/driver.h says how to run it.
 */
#include <errno.h>
#include <math.h>

#include "tests/unit/vocab_writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define TEXT_MAX 64

static struct zen5rt_vocab *fuzz_vocab;

static void fuzz_fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	abort();
}

static void fuzz_vocabulary(void)
{
	static const char *const pieces[] = { "ab", "abc", "bab", "\xc3\xa9", "\xf0\x9f\x98\x80", "\": \"", "12", "\",", "{\"" };
	static struct token t[256 + sizeof(pieces) / sizeof(*pieces) + 4];
	static char name[256][8];
	size_t n = 0;

	t[n++] = (struct token){ "<unk>", 0, UNKNOWN };
	t[n++] = (struct token){ "<s>", 0, CONTROL };
	t[n++] = (struct token){ "</s>", 0, CONTROL };
	t[n++] = (struct token){ "<|x|>", 0, CONTROL };
	for (unsigned int b = 0; b < 256; b++) {
		sprintf(name[b], "<0x%02X>", b);
		t[n++] = (struct token){ name[b], 0, BYTE };
	}
	for (size_t i = 0; i < sizeof(pieces) / sizeof(*pieces); i++)
		t[n++] = (struct token){ pieces[i], -1, NORMAL };
	begin("llama");
	tokens(t, n);
	fuzz_vocab = must();
}

static void fuzz_check_error(int r, const struct zen5rt_error *err)
{
	size_t len = strnlen(err->message, sizeof(err->message));

	if (r >= 0 || !len || len == sizeof(err->message))
		fuzz_fail("refused without a word");
	for (size_t i = 0; i < len; i++)
		if ((unsigned char)err->message[i] < 0x20 || err->message[i] == 0x7f)
			fuzz_fail("a control character in the message");
}

/* Every token is accepted if and only if the mask lets it in. */
static void fuzz_mask(struct zen5rt_matcher *m, struct zen5rt_matcher *try)
{
	static float logits[512];
	struct zen5rt_error err = { "" };
	uint32_t n = zen5rt_vocab_size(fuzz_vocab);
	int64_t count, seen = 0;

	memset(logits, 0, sizeof(logits));
	count = zen5rt_matcher_mask(m, logits, n, &err);
	if (count < 0)
		fuzz_check_error((int)count, &err);
	if (count < 0 && count != -EDOM)
		return;
	for (uint32_t id = 0; id < n; id++) {
		bool in;

		zen5rt_matcher_copy(try, m);
		in = !zen5rt_matcher_accept(try, (int32_t)id, NULL);
		seen += in;
		if (count > 0 && in != (logits[id] > -1))
			fuzz_fail("mask and acceptance differ");
	}
	if (seen != (count < 0 ? 0 : count))
		fuzz_fail("another count of tokens");
}

static void fuzz_match(struct zen5rt_grammar *g, const char *text, size_t len)
{
	struct zen5rt_matcher *m, *one, *try;
	struct zen5rt_error err = { "" };
	size_t i = 0;
	int r, s = 0;

	if (zen5rt_matcher_new(g, &m, NULL) || zen5rt_matcher_new(g, &one, NULL) || zen5rt_matcher_new(g, &try, NULL))
		abort();
	fuzz_mask(m, try);
	r = zen5rt_matcher_text(m, text, len, &err);
	if (r)
		fuzz_check_error(r, &err);
	while (i < len && !s)
		s = zen5rt_matcher_text(one, text + i++, 1, NULL);
	if (r != s || (!r && zen5rt_matcher_can_end(m) != zen5rt_matcher_can_end(one)))
		fuzz_fail("byte by byte it is different");
	/* after an error it stands where it stood */
	fuzz_mask(one, try);
	zen5rt_matcher_free(try);
	zen5rt_matcher_free(one);
	zen5rt_matcher_free(m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *text = (const char *)data, *rest = memchr(data, 0xff, size);
	size_t len = rest ? (size_t)(rest - text) : size, n = rest ? size - len - 1 : 0;
	struct zen5rt_error err = { "" };
	struct zen5rt_grammar *g;
	int r;

	if (!fuzz_vocab)
		fuzz_vocabulary();
	r = zen5rt_grammar_new(fuzz_vocab, text, len, NULL, &g, &err);
	if (r) {
		fuzz_check_error(r, &err);
		return 0;
	}
	fuzz_match(g, rest ? rest + 1 : "", n < TEXT_MAX ? n : TEXT_MAX);
	zen5rt_grammar_free(g);
	return 0;
}

__attribute__((unused))
static const char *const fuzz_seeds[] = {
	"root ::= \"ab\" | [a-c]+ \"x\"{2,3}\xff" "ab",
	"root ::= (\"(\" root \")\")* | \"x\"?\xff" "((x))()",
	"root ::= obj\nobj ::= \"{\" ws (str \":\" ws val (\",\" ws str \":\" ws val)*)? \"}\"\nstr ::= \"\\\"\" [^\"\\\\\\x00-\\x1f]* \"\\\"\"\n"
	"val ::= obj | str | [0-9]{1,3} # n\nws ::= [ \\n]?\xff{\"a\":{\"b\": 12}}",
	"root ::= <|x|> !<|x|>* <[3]> .\xff" "a", "root ::= \"\xc3\xa9\\u00e9\\U0001F600\\n\" [^\\u0400-\\uFFFF]\xff\xc3\xa9\xc3\xa9",
	"root ::= (\"a\"?){20} (((\"b\"*)*)*)* a-1\na-1 ::= b_2 | (\"c\" | \"\"){0,4}\nb_2 ::= \"d\" a-1 \"e\" | \"\"\xff" "aabbdde",
	"root ::= [a-\\]\\-^] | \"a\" root x root | \"a\" root\nx ::= \"b\"?\xff" "aaabab", "root ::= root \"a\" | b\nb ::= \"\"",
	NULL,
};

#include "driver.h"
