// SPDX-License-Identifier: MIT
/*
 * The tokenizer of the RWKV world models: from left to right the longest token that the text begins
 * with. Tokens are any bytes; the file writes them with the escapes of a Python string.
 */
#include "error.h"
#include "internal.h"
#include "trie.h"

#include <errno.h>
#include <stdlib.h>

struct z5_rwkv {
	struct z5_trie trie;
};

static int rwkv_hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

size_t z5_rwkv_unescape(const char *p, size_t len, char *out)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = p[i];

		if (c != '\\' || i + 1 == len) {
			out[n++] = c;
			continue;
		}
		c = p[++i];
		if (c == 'x' && len - i > 2 && rwkv_hex(p[i + 1]) >= 0 && rwkv_hex(p[i + 2]) >= 0) {
			out[n++] = (char)(rwkv_hex(p[i + 1]) << 4 | rwkv_hex(p[i + 2]));
			i += 2;
		} else {
			out[n++] = c == 't' ? '\t' : c == 'n' ? '\n' : c == 'r' ? '\r' : c;
		}
	}
	return n;
}

int z5_rwkv_init(struct zen5rt_vocab *v, struct zen5rt_error *err)
{
	struct z5_rwkv *w = calloc(1, sizeof(*w));
	int r;

	v->rwkv = w;
	r = w ? z5_trie_init(&w->trie, v->str.seed) : -ENOMEM;
	for (uint32_t id = 0; id < v->n && !r; id++) {
		struct gguf_str s = z5_strtab_get(&v->str, id);

		if (!z5_vocab_reserved(v, id))
			r = z5_trie_add(&w->trie, s.p, s.len, id);
	}
	return r ? z5_fail(err, r, "out of memory for the vocabulary") : 0;
}

void z5_rwkv_free(struct z5_rwkv *w)
{
	if (!w)
		return;
	z5_trie_free(&w->trie);
	free(w);
}

int z5_rwkv_text(struct z5_tok *t, const char *p, size_t len)
{
	const struct z5_trie *trie = &t->v->rwkv->trie;

	for (size_t i = 0, end; i < len; i = end) {
		uint32_t node = 0, id = Z5_NO_ID;

		end = i + 1;
		for (size_t k = i; k < len; ) {
			node = z5_trie_step(trie, node, p[k++]);
			if (!node)
				break;
			if (trie->value[node] != Z5_NO_ID) {
				id = trie->value[node];
				end = k;
			}
		}
		if (id != Z5_NO_ID)
			z5_tok_emit(t, id);
		else if (t->v->unk >= 0)
			z5_tok_emit(t, (uint32_t)t->v->unk);
	}
	return 0;
}
