// SPDX-License-Identifier: MIT
/*
 * WordPiece as BERT has it: text is cleaned, lower-cased and freed of accents, cut at white space
 * and around punctuation and CJK ideographs, and each word becomes the longest tokens that it
 * begins with; a word that cannot be covered is one unknown token. In GGUF a word's first token
 * begins with U+2581, and those that follow have lost their "##".
 *
 * The rules are those of google-research/bert's tokenization.py, which trained the vocabularies.
 */
#include "error.h"
#include "internal.h"
#include "trie.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <utf8proc.h>

#define WPM_WORD_MAX 100	/* characters; max_input_chars_per_word of every published BERT */

struct z5_wpm {
	struct z5_trie trie;
	bool lowercase, strip_accents;
};

int z5_wpm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct z5_wpm *w = calloc(1, sizeof(*w));
	int r;

	v->wpm = w;
	r = w ? z5_trie_init(&w->trie, v->str.seed) : -ENOMEM;
	for (uint32_t id = 0; id < v->n && !r; id++) {
		struct gguf_str s = z5_strtab_get(&v->str, id);

		if (!z5_vocab_reserved(v, id))
			r = z5_trie_add(&w->trie, s.p, s.len, id);
	}
	if (r)
		return z5_fail(err, r, "out of memory for the vocabulary");
	v->add_bos = true;
	v->add_eos = true;
	v->add_space_prefix = true;	/* what the detokenizer takes off again */
	v->escape = true;
	w->lowercase = true;
	r = gguf_get_bool(g, "tokenizer.ggml.normalizer.lowercase", &w->lowercase, err);
	w->strip_accents = w->lowercase;
	if (r >= 0)
		r = gguf_get_bool(g, "tokenizer.ggml.normalizer.strip_accents", &w->strip_accents,
				  err);
	return r < 0 ? r : 0;
}

void z5_wpm_free(struct z5_wpm *w)
{
	if (!w)
		return;
	z5_trie_free(&w->trie);
	free(w);
}

/* The longest tokens from left to right; false if they do not cover the word. */
static bool wpm_cover(struct z5_tok *t, const char *p, size_t len)
{
	const struct z5_trie *trie = &t->v->wpm->trie;

	for (size_t i = 0, end; i < len; i = end) {
		uint32_t node = 0, id = Z5_NO_ID;

		end = i;
		for (size_t k = i; k < len; ) {
			node = z5_trie_step(trie, node, p[k++]);
			if (!node)
				break;
			if (trie->value[node] != Z5_NO_ID) {
				id = trie->value[node];
				end = k;
			}
		}
		if (id == Z5_NO_ID)
			return false;
		z5_tok_emit(t, id);
	}
	return true;
}

/* The word in t->buf, of n characters; afterwards the next one begins. */
static void wpm_word(struct z5_tok *t, size_t *n)
{
	size_t len = t->n_buf;
	struct z5_word *slot;
	int64_t from = t->n;

	if (*n && !z5_tok_cached(t, t->buf, len, &slot)) {
		if (*n > WPM_WORD_MAX || !wpm_cover(t, t->buf, len)) {
			t->n = from;
			if (t->v->unk >= 0)
				z5_tok_emit(t, (uint32_t)t->v->unk);
		}
		z5_tok_cache(t, slot, t->buf, len, from);
	}
	t->n_buf = 0;
	*n = 0;
}

/* One character of a word, behind the mark of its beginning if it is the first. */
static int wpm_put(struct z5_tok *t, const char *p, size_t len, size_t *n)
{
	int r = *n ? 0 : z5_tok_append(t, Z5_SPACE, 3);

	++*n;
	return r ? r : z5_tok_append(t, p, len);
}

static bool wpm_is_ideograph(uint32_t cp)
{
	/* 2b920 where Unicode's block begins at 2b820: so it is in the tokenizers library */
	return (cp >= 0x4e00 && cp <= 0x9fff) || (cp >= 0x3400 && cp <= 0x4dbf) ||
	       (cp >= 0x20000 && cp <= 0x2a6df) || (cp >= 0x2a700 && cp <= 0x2b81f) ||
	       (cp >= 0x2b920 && cp <= 0x2ceaf) || (cp >= 0xf900 && cp <= 0xfaff) ||
	       (cp >= 0x2f800 && cp <= 0x2fa1f);
}

enum wpm_class { WPM_DROP, WPM_SPACE, WPM_PUNCT, WPM_LETTER };

static enum wpm_class wpm_class(uint32_t cp)
{
	if (cp == '\t' || cp == '\n' || cp == '\r' || cp == ' ')
		return WPM_SPACE;
	if ((cp >= '!' && cp <= '/') || (cp >= ':' && cp <= '@') || (cp >= '[' && cp <= '`') ||
	    (cp >= '{' && cp <= '~'))
		return WPM_PUNCT;
	if (cp == 0xfffd || cp >= UTF8_STRAY)
		return WPM_DROP;
	switch (utf8proc_category((utf8proc_int32_t)cp)) {
	case UTF8PROC_CATEGORY_CC:
	case UTF8PROC_CATEGORY_CF:
	case UTF8PROC_CATEGORY_CS:
	case UTF8PROC_CATEGORY_CO:
		return WPM_DROP;
	case UTF8PROC_CATEGORY_ZS:
	case UTF8PROC_CATEGORY_ZL:
	case UTF8PROC_CATEGORY_ZP:
		return WPM_SPACE;
	case UTF8PROC_CATEGORY_PC:
	case UTF8PROC_CATEGORY_PD:
	case UTF8PROC_CATEGORY_PS:
	case UTF8PROC_CATEGORY_PE:
	case UTF8PROC_CATEGORY_PI:
	case UTF8PROC_CATEGORY_PF:
	case UTF8PROC_CATEGORY_PO:
		return WPM_PUNCT;
	default:
		return WPM_LETTER;
	}
}

/* One character after normalization. */
static int wpm_char(struct z5_tok *t, uint32_t cp, bool alone, size_t *n)
{
	utf8proc_uint8_t out[4];
	size_t len = (size_t)utf8proc_encode_char((utf8proc_int32_t)cp, out);
	int r;

	alone = alone || wpm_class(cp) == WPM_PUNCT;
	if (alone)
		wpm_word(t, n);
	r = wpm_put(t, (const char *)out, len, n);
	if (alone && !r)
		wpm_word(t, n);
	return r;
}

/* One character that is neither dropped nor white space. */
static int wpm_normalize(struct z5_tok *t, uint32_t cp, size_t *n)
{
	const struct z5_wpm *w = t->v->wpm;
	bool alone = wpm_is_ideograph(cp);
	utf8proc_int32_t part[32] = { (utf8proc_int32_t)cp };
	utf8proc_ssize_t n_part = 1;
	int boundary = 0, r = 0;

	if (w->strip_accents && cp >= 0x80)
		n_part = utf8proc_decompose_char((utf8proc_int32_t)cp, part, 32,
						 UTF8PROC_STABLE | UTF8PROC_DECOMPOSE, &boundary);
	for (utf8proc_ssize_t i = 0; i < n_part && i < 32 && !r; i++) {
		if (w->strip_accents && part[i] >= 0x80 &&
		    utf8proc_category(part[i]) == UTF8PROC_CATEGORY_MN)
			continue;
		if (w->lowercase)
			part[i] = utf8proc_tolower(part[i]);
		r = wpm_char(t, (uint32_t)part[i], alone, n);
	}
	return r;
}

int z5_wpm_text(struct z5_tok *t, const char *p, size_t len)
{
	size_t n = 0;	/* characters of the word so far */
	uint32_t cp;
	int r = 0;

	t->n_buf = 0;
	for (size_t i = 0; i < len && !r; ) {
		i += utf8_next(p + i, len - i, &cp);
		switch (wpm_class(cp)) {
		case WPM_DROP:
			break;
		case WPM_SPACE:
			wpm_word(t, &n);
			break;
		default:
			r = wpm_normalize(t, cp, &n);
		}
	}
	if (!r)
		wpm_word(t, &n);
	return r;
}
