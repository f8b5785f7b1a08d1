/* SPDX-License-Identifier: MIT */
/* A small vocabulary of each kind of tokenizer. For tests alone. */
#ifndef VOCAB_SMALL_H
#define VOCAB_SMALL_H

#include "vocab_writer.h"

#define N_KINDS 8
#define ALL_BYTES 256

static const char *const small_pieces[] = {
	LB, "th", "he", "the", LB "t", LB "the", "in", LB LB, "a" LB, "\xc3\xa9",
	"\xe4\xbd\xa0", "12", "\xf0\x9f\x98\x80", "ab", "abab",
	"...", "'s", "\xcc\x81", LB "\xd0\xb6",
};

#define N_PIECES (sizeof(small_pieces) / sizeof(*small_pieces))

static struct token small_token[ALL_BYTES + N_PIECES + 8];
static char small_name[ALL_BYTES][8];

/* GPT-2's character for a byte; the name of a byte token; RWKV's escape. */
static void small_byte_names(char form)
{
	unsigned int next = 256;

	for (unsigned int b = 0; b < ALL_BYTES; b++) {
		bool prints = (b > ' ' && b < 127) || (b > 0xa0 && b != 0xad);
		unsigned int cp = prints ? b : next++;

		if (form == '<')
			sprintf(small_name[b], "<0x%02X>", b);
		else if (form == '\\')
			sprintf(small_name[b], "\\x%02x", b);
		else if (cp < 0x80)
			sprintf(small_name[b], "%c", (char)cp);
		else
			sprintf(small_name[b], "%c%c", (char)(0xc0 | cp >> 6),
				(char)(0x80 | (cp & 0x3f)));
	}
}

/* <unk> <s> </s> <|x|> <|x|>y, then the bytes if there is a form for them, then the pieces. */
static void small_begin(const char *model, char form)
{
	static const struct token first[] = {
		{ "<unk>", 0, UNKNOWN }, { "<s>", 0, CONTROL }, { "</s>", 0, CONTROL },
		{ "<|x|>", 0, CONTROL }, { "<|x|>y", 0, USER },
	};
	size_t n = sizeof(first) / sizeof(*first);

	memcpy(small_token, first, sizeof(first));
	if (form)
		small_byte_names(form);
	for (unsigned int b = 0; form && b < ALL_BYTES; b++)
		small_token[n++] = (struct token){ small_name[b], 0, form == '<' ? BYTE : NORMAL };
	for (size_t i = 0; i < N_PIECES && form != '2'; i++) {
		float score = -1.0f - (float)(i * 7 % 11);

		small_token[n++] = (struct token){ small_pieces[i], score, NORMAL };
	}
	begin(model);
	tokens(small_token, n);
	number("tokenizer.ggml.bos_token_id", 1);
	number("tokenizer.ggml.eos_token_id", 2);
	number("tokenizer.ggml.unknown_token_id", 0);
}

/* NFKC-like rules for a few characters; see lib/vocab/charsmap.h. */
static void small_charsmap(void)
{
	static const char text[] = "fi\0 \0";
	uint32_t unit[1024] = { 0 }, size = sizeof(unit);

	unit[0] = 1u << 10;
	unit[1 ^ 0xef] = 0xef | ((1 ^ 0xef) ^ 0x200u) << 10;
	unit[0x200 ^ 0xac] = 0xac | ((0x200 ^ 0xac) ^ 0x300u) << 10;
	unit[0x300 ^ 0x81] = 0x81 | 1u << 8 | ((0x300 ^ 0x81) ^ 0x201u) << 10;
	unit[0x201] = 1u << 31;
	unit[1 ^ '\t'] = '\t' | 1u << 8 | ((1 ^ '\t') ^ 0x3feu) << 10;
	unit[0x3fe] = 1u << 31 | 3;
	array(&file, "tokenizer.ggml.precompiled_charsmap", GGUF_U8,
	      4 + sizeof(unit) + sizeof(text));
	put(&file, &size, 4);
	put(&file, unit, sizeof(unit));
	put(&file, text, sizeof(text));
	n_keys++;
}

/* Writes the vocabulary of a kind into file. */
static void small_write(unsigned int kind)
{
	static const char *const bytes[] = { "t h", "th e", "\xc4\xa0 t", "\xc4\xa0t he", "a b",
					     "ab ab", "\xc3\x83 \xc2\xa9", "1 2", NULL };
	static const char *const raw[] = { "t h", "th e", LB " t", LB "t he", "a b", "ab ab",
					   LB " " LB, NULL };
	static const char *const models[N_KINDS] = {
		"llama", "gpt2", "bert", "t5", "rwkv", "gemma4", "gpt2", "gpt2",
	};
	static const char *const pre[N_KINDS] = {
		[1] = "llama-bpe", [6] = "kimi-k2", [7] = "afmoe",
	};
	bool bpe = kind == 1 || kind > 5;

	small_begin(models[kind], kind == 4 ? '\\' : bpe ? '2' : kind == 2 || kind == 3 ? 0 : '<');
	if (pre[kind])
		string("tokenizer.ggml.pre", pre[kind]);
	if (bpe || kind == 5)
		strings("tokenizer.ggml.merges", bpe ? bytes : raw);
	if (kind == 3) {
		flag("tokenizer.ggml.add_space_prefix", true);
		flag("tokenizer.ggml.remove_extra_whitespaces", true);
		small_charsmap();
	}
	memcpy(file.p + 16, &n_keys, 8);
}

#endif
