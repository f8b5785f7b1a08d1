// SPDX-License-Identifier: MIT
/*
 * Byte-level BPE as GPT-2 has it. In the file every byte is written as one printable character;
 * here tokens and merges are decoded once, at load, and all work is on bytes and on pairs
 * of symbol numbers.
 *
 * Gemma 4 and its kin write tokens and merges as they are, with U+2581 for spaces ("raw" below).
 * There words are lines, symbols begin as characters, and what is no token falls back to
 * byte tokens.
 */
#include "error.h"
#include "internal.h"
#include "merge.h"

/* (left, right) -> what they become, and how early. */
struct bpe_pair {
	uint32_t left, right;	/* left is MERGE_NONE in an empty slot */
	uint32_t rank, id;
};

struct z5_bpe {
	struct bpe_pair *pair;
	uint32_t mask;
	unsigned int flags;	/* Z5_PRE_* */
	uint32_t byte[256];	/* the symbol of one byte; raw: its token, Z5_NO_ID if none */
	struct z5_near *near;	/* raw alone, and not where words begin at spaces */
};

/* The byte behind a character of the alphabet, -1 if it is none. */
static int bpe_byte(uint32_t cp)
{
	if ((cp > 32 && cp < 127) || (cp > 160 && cp < 256 && cp != 173))
		return (int)cp;
	if (cp < 256 || cp >= 256 + 68)
		return -1;
	/* The 68 bytes that do not print follow from 256 on, in order. */
	cp -= 256;
	if (cp < 33)
		return (int)cp;
	return cp < 67 ? (int)cp + 127 - 33 : 173;
}

int64_t z5_bpe_decode(const char *p, size_t len, char *out)
{
	int64_t n = 0;

	/* The whole alphabet lies below U+0144: one byte, or two that begin with c2 to c5. */
	for (size_t i = 0; i < len; i++) {
		uint32_t c = (uint8_t)p[i];
		int b;

		if (c >= 0x80) {
			if (c < 0xc2 || c > 0xc5 || ++i == len || ((uint8_t)p[i] & 0xc0) != 0x80)
				return -1;
			c = (c & 0x1f) << 6 | ((uint8_t)p[i] & 0x3f);
		}
		b = bpe_byte(c);
		if (b < 0)
			return -1;
		out[n++] = (char)b;
	}
	return n;
}

static uint32_t bpe_slot(const struct zen5rt_vocab *v, uint32_t l, uint32_t r)
{
	const struct z5_bpe *b = v->bpe;
	uint64_t seed = v->str.seed;
	uint64_t h = z5_mix(((uint64_t)l << 32 | r) ^ seed, 0x9e3779b97f4a7c15u ^ seed);
	uint32_t i;

	for (i = (uint32_t)h & b->mask; b->pair[i].left != MERGE_NONE; i = (i + 1) & b->mask)
		if (b->pair[i].left == l && b->pair[i].right == r)
			break;
	return i;
}

static uint32_t bpe_pair(const struct zen5rt_vocab *v, const char *text, uint32_t l, uint32_t len,
			 uint32_t lid, uint32_t rid, uint32_t *id)
{
	const struct bpe_pair *p = &v->bpe->pair[bpe_slot(v, lid, rid)];

	(void)text, (void)l, (void)len;
	if (p->left == MERGE_NONE)
		return MERGE_NONE;
	*id = p->id;
	return p->rank;
}

/* A side of a merge, decoded to out; how many bytes, 0 or less if it is none. */
static int64_t bpe_side(const struct zen5rt_vocab *v, const char *p, size_t len, char *out)
{
	if (!z5_bpe_raw(v))
		return z5_bpe_decode(p, len, out);
	memcpy(out, p, len);
	return (int64_t)len;
}

/*
 * One line of the merges, "left right" in the alphabet; tmp has room for all of it. Lines that no
 * text can lead to are kept out, as every reader of these files does.
 */
static int bpe_merge(struct zen5rt_vocab *v, struct gguf_str s, uint32_t rank, char *tmp)
{
	const char *sp = s.len > 1 ? memchr(s.p + 1, ' ', s.len - 1) : NULL;
	uint32_t l, r, id, i;
	int64_t nl, nr;
	int e;

	if (!sp)
		return 0;
	nl = bpe_side(v, s.p, (size_t)(sp - s.p), tmp);
	if (nl <= 0)
		return 0;
	nr = bpe_side(v, sp + 1, s.len - (size_t)(sp - s.p) - 1, tmp + nl);
	if (nr <= 0)
		return 0;
	e = z5_strtab_intern(&v->str, tmp, (size_t)nl, &l);
	if (!e)
		e = z5_strtab_intern(&v->str, tmp + nl, (size_t)nr, &r);
	if (!e)
		e = z5_strtab_intern(&v->str, tmp, (size_t)(nl + nr), &id);
	if (e)
		return e;
	i = bpe_slot(v, l, r);
	if (v->bpe->pair[i].left == MERGE_NONE)
		v->bpe->pair[i] = (struct bpe_pair){ l, r, rank, id };
	if (v->bpe->near)
		z5_near_add(v->bpe->near, tmp, (size_t)(nl + nr));
	return 0;
}

/* Gives every byte a symbol, that of its token if it is one. */
static int bpe_bytes(struct zen5rt_vocab *v)
{
	int e = 0;

	if (z5_bpe_raw(v)) {
		z5_vocab_byte_tokens(v, v->bpe->byte);
		return 0;
	}
	for (unsigned int b = 0; b < 256 && !e; b++) {
		char c = (char)b;

		e = z5_strtab_intern(&v->str, &c, 1, &v->bpe->byte[b]);
	}
	return e;
}

static int bpe_merges(struct zen5rt_vocab *v, const struct gguf_array *a)
{
	size_t longest = 0, cap = 1024;
	char *tmp;
	int e = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct gguf_str s = gguf_array_str(a, i);

		if (s.len > longest)
			longest = s.len;
	}
	while (cap < a->n + a->n / 2)
		cap *= 2;
	v->bpe->pair = malloc(cap * sizeof(*v->bpe->pair));
	tmp = malloc(longest + 1);
	if (!v->bpe->pair || !tmp)
		e = -ENOMEM;
	v->bpe->mask = (uint32_t)cap - 1;
	for (size_t i = 0; i < cap && !e; i++)
		v->bpe->pair[i].left = MERGE_NONE;
	for (size_t i = 0; i < a->n && !e; i++)
		e = bpe_merge(v, gguf_array_str(a, i), (uint32_t)i, tmp);
	free(tmp);
	return e;
}

bool z5_bpe_raw(const struct zen5rt_vocab *v)
{
	return v->bpe->flags & Z5_PRE_RAW;
}

bool z5_bpe_force_bos(const struct zen5rt_vocab *v)
{
	return v->bpe->flags & Z5_PRE_FORCE_BOS;
}

/* The converter of BitNet 2B4T leaves the name of the pre-tokenizer out; its vocabulary is Llama 3's. */
static bool bpe_is_bitnet(const struct gguf *g)
{
	struct gguf_str s;

	if (gguf_get_str(g, "general.architecture", &s, NULL) != 1)
		return false;
	return (s.len == 9 && !memcmp(s.p, "bitnet-25", 9)) || (s.len == 12 && !memcmp(s.p, "bitnet-b1.58", 12));
}

int z5_bpe_begin(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_str pre = { "default", 7 }, model = { "", 0 };
	unsigned int flags = 0;
	int r = gguf_get_str(g, "tokenizer.ggml.model", &model, err);

	/* the model's name goes before that of the pre-tokenizer */
	if (r > 0 && model.len == 6 && !memcmp(model.p, "gemma4", 6))
		pre = model;
	else
		r = gguf_get_str(g, "tokenizer.ggml.pre", &pre, err);
	if (r < 0)
		return r;
	if (!r && bpe_is_bitnet(g))
		pre = (struct gguf_str){ "llama-bpe", 9 };
	r = z5_pretok_new(pre, gguf_path(g), &v->pretok, &flags, err);
	if (r)
		return r;
	v->bpe = calloc(1, sizeof(*v->bpe));
	if (v->bpe && (flags & (Z5_PRE_RAW | Z5_PRE_METASPACE)) == Z5_PRE_RAW) {
		v->bpe->near = calloc(1, sizeof(*v->bpe->near));
		if (!v->bpe->near)
			return z5_fail(err, -ENOMEM, "out of memory for the merges");
	}
	if (!v->bpe)
		return z5_fail(err, -ENOMEM, "out of memory for the merges");
	v->bpe->flags = flags;
	v->add_bos = flags & Z5_PRE_ADD_BOS;
	v->escape = flags & Z5_PRE_RAW;
	v->add_space_prefix = flags & Z5_PRE_METASPACE;	/* what the detokenizer takes off */
	return 0;
}

int z5_bpe_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_array merges;
	int r = gguf_get_array(g, "tokenizer.ggml.merges", GGUF_STRING, &merges, err);

	if (r < 0)
		return r;
	if (!r)
		return z5_fail(err, -EINVAL, "%s: a BPE vocabulary needs tokenizer.ggml.merges, "
			       "which is not there", gguf_path(g));
	if (merges.n > Z5_VOCAB_MAX)
		return z5_fail(err, -EINVAL,
			       "%s: tokenizer.ggml.merges has %zu lines, more than %u",
			       gguf_path(g), merges.n, Z5_VOCAB_MAX);
	r = bpe_bytes(v);
	if (!r)
		r = bpe_merges(v, &merges);
	if (r == -EOVERFLOW)
		return z5_fail(err, -EINVAL, "%s: tokenizer.ggml.merges is too large",
			       gguf_path(g));
	return r ? z5_fail(err, r, "out of memory for the merges") : 0;
}

void z5_bpe_free(struct z5_bpe *b)
{
	if (!b)
		return;
	free(b->pair);
	free(b->near);
	free(b);
}

/* A symbol that is no token falls apart into bytes, and a byte that is none becomes unknown. */
static void bpe_emit(struct z5_tok *t, const char *p, size_t len, uint32_t id)
{
	const struct zen5rt_vocab *v = t->v;

	if (id < v->n) {
		z5_tok_emit(t, id);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		id = v->bpe->byte[(uint8_t)p[i]];
		if (id < v->n)
			z5_tok_emit(t, id);
		else if (v->unk >= 0)
			z5_tok_emit(t, (uint32_t)v->unk);
	}
}

static int bpe_word(void *ctx, const char *p, size_t len)
{
	struct z5_tok *t = ctx;
	const struct zen5rt_vocab *v = t->v;
	struct z5_word *slot;
	struct z5_sym *s;
	int64_t from = t->n;
	uint32_t id;

	if (z5_tok_cached(t, p, len, &slot))
		return 0;
	if (v->bpe->flags & Z5_PRE_IGNORE_MERGES && len <= v->max_len) {
		id = z5_strtab_find(&v->str, p, len);
		if (id < v->n) {
			z5_tok_emit(t, id);
			z5_tok_cache(t, slot, p, len, from);
			return 0;
		}
	}
	if (merge_reserve(&t->merge, len))
		return -ENOMEM;
	s = t->merge.sym;
	for (uint32_t i = 0; i < len; i++)
		s[i] = (struct z5_sym){ 1, i - 1, i + 1, v->bpe->byte[(uint8_t)p[i]] };
	s[len - 1].next = MERGE_NONE;
	if (merge_run(&t->merge, v, p, len, bpe_pair))
		return -ENOMEM;
	for (uint32_t i = 0; i != MERGE_NONE; i = s[i].next)
		bpe_emit(t, p + i, s[i].len, s[i].id);
	z5_tok_cache(t, slot, p, len, from);
	return 0;
}

/* A word of raw BPE: symbols begin as characters. */
static int bpe_raw_word(struct z5_tok *t, const char *p, size_t len)
{
	return merge_chars(t, p, len, bpe_pair, bpe_emit);
}

static int bpe_raw_line(void *ctx, const char *p, size_t len)
{
	struct z5_tok *t = ctx;
	bool prefix = false;

	if (t->v->bpe->flags & Z5_PRE_NEWLINES && *p == '\n') {
		uint32_t id = z5_strtab_find(&t->v->str, p, len);

		if (id < t->v->n) {
			z5_tok_emit(t, id);
			return 0;
		}
	}
	if (t->v->bpe->flags & Z5_PRE_METASPACE)
		prefix = *p != ' ' && *p != '\n' && (len < 3 || memcmp(p, Z5_SPACE, 3));
	return z5_near_split(t, t->v->bpe->near, p, len, prefix, bpe_raw_word);
}

int z5_bpe_text(struct z5_tok *t, const char *p, size_t len)
{
	return z5_pretok_split(t->run, p, len, z5_bpe_raw(t->v) ? bpe_raw_line : bpe_word, t);
}
