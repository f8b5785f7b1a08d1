// SPDX-License-Identifier: MIT
/*
 * The bytes that each token adds to a text, sorted, for those who walk over all of them: with the
 * length that each shares with the one before it the list is a trie.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

size_t z5_vocab_piece(const struct zen5rt_vocab *v, uint32_t id, char *out)
{
	struct gguf_str s = z5_strtab_get(&v->str, id);
	size_t n = 0;
	int b;

	switch (v->type[id]) {
	case Z5_TOKEN_CONTROL:
	case Z5_TOKEN_UNKNOWN:
	case Z5_TOKEN_UNUSED:
		return 0;
	case Z5_TOKEN_BYTE:
		b = z5_vocab_byte_name(s);
		if (b >= 0) {
			*out = (char)b;
			return 1;
		}
		break;
	case Z5_TOKEN_USER:
		memcpy(out, s.p, s.len);
		return s.len;
	}
	for (size_t i = 0; i < s.len; ) {
		if (v->escape && s.len - i >= 3 &&
		    !memcmp(s.p + i, "\xe2\x96\x81", 3)) {
			out[n++] = ' ';
			i += 3;
		} else {
			out[n++] = s.p[i++];
		}
	}
	return n;
}

struct piece_sort {
	uint64_t prefix;	/* the first eight bytes, comparable as a number */
	uint32_t off, len, id;
	const char *bytes;
};

static int piece_order(const void *a, const void *b)
{
	const struct piece_sort *x = a, *y = b;
	int r;

	if (x->prefix != y->prefix)
		return x->prefix < y->prefix ? -1 : 1;
	r = memcmp(x->bytes + x->off, y->bytes + y->off, x->len < y->len ? x->len : y->len);
	if (r || x->len != y->len)
		return r ? r : x->len < y->len ? -1 : 1;
	return x->id < y->id ? -1 : x->id > y->id;
}

static uint64_t piece_prefix(const char *p, size_t len)
{
	uint64_t v = 0;

	for (unsigned int i = 0; i < 8; i++)
		v = v << 8 | (i < len ? (uint8_t)p[i] : 0);
	return v;
}

static void pieces_fill(const struct zen5rt_vocab *v, struct z5_pieces *ps, struct piece_sort *s)
{
	uint32_t off = 0, len, lcp;

	for (uint32_t id = 0; id < v->n; id++) {
		len = (uint32_t)z5_vocab_piece(v, id, ps->bytes + off);
		if (!len)
			continue;
		s[ps->n++] = (struct piece_sort){ piece_prefix(ps->bytes + off, len), off, len, id,
						  ps->bytes };
		off += len;
		if (len > ps->max_len)
			ps->max_len = len;
	}
	qsort(s, ps->n, sizeof(*s), piece_order);
	for (uint32_t i = 0; i < ps->n; i++) {
		const char *p = ps->bytes + s[i].off;

		lcp = 0;
		while (i && lcp < s[i].len && lcp < s[i - 1].len &&
		       p[lcp] == ps->bytes[s[i - 1].off + lcp])
			lcp++;
		ps->piece[i] = (struct z5_piece){ s[i].id, s[i].off, s[i].len, lcp };
		if (!i || !lcp)
			ps->first[(uint8_t)p[0]] = i;
	}
	/* where a byte begins no piece, those of the next one begin */
	ps->first[256] = ps->n;
	for (unsigned int b = 256; b-- > 0; )
		if (ps->first[b] == Z5_NO_ID)
			ps->first[b] = ps->first[b + 1];
}

void z5_pieces_free(struct z5_pieces *ps)
{
	if (!ps)
		return;
	free(ps->bytes);
	free(ps->piece);
	free(ps);
}

const struct z5_pieces *z5_vocab_pieces(const struct zen5rt_vocab *v)
{
	/* built at the first call, which leaves all that others see of the vocabulary as it was */
	struct z5_pieces **place = (struct z5_pieces **)&v->pieces, *ps, *other = NULL;
	struct piece_sort *s;
	size_t bytes = 0;

	ps = __atomic_load_n(place, __ATOMIC_ACQUIRE);
	if (ps)
		return ps;
	for (uint32_t id = 0; id < v->n; id++)
		bytes += z5_strtab_get(&v->str, id).len;
	ps = calloc(1, sizeof(*ps));
	s = malloc(v->n * sizeof(*s) + 1);
	if (ps) {
		ps->bytes = malloc(bytes + 1);
		ps->piece = malloc(v->n * sizeof(*ps->piece) + 1);
		memset(ps->first, 0xff, sizeof(ps->first));
	}
	if (!ps || !s || !ps->bytes || !ps->piece) {
		z5_pieces_free(ps);
		free(s);
		return NULL;
	}
	pieces_fill(v, ps, s);
	free(s);
	if (!__atomic_compare_exchange_n(place, &other, ps, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		z5_pieces_free(ps);
		ps = other;
	}
	return ps;
}
