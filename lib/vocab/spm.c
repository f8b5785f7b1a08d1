// SPDX-License-Identifier: MIT
/*
 * SentencePiece's BPE as llama has it: characters merge into the token of the best score; a
 * character that is no token falls back to byte tokens.
 *
 * Merging is defined over the whole text. Two neighbouring characters that no token contains side
 * by side can never come together, so the text falls apart there without changing the
 * result: mostly before a space, which keeps words short enough to remember.
 */
#include "error.h"
#include "internal.h"
#include "merge.h"
#include "utf8.h"

#define SPM_SPACE "\xe2\x96\x81"	/* U+2581 stands for a space in tokens */
#define SPM_SPACE_CP 0x2581

#define SPM_NEAR_BITS 20

struct z5_spm {
	uint32_t *rank;			/* of a token: the better its score the lower */
	uint32_t byte[256];		/* the token of one byte, Z5_NO_ID if there is none */
	/* Hashed pairs of characters that stand side by side in a token; errs towards yes. */
	uint64_t near[(1u << SPM_NEAR_BITS) / 64];
};

static uint32_t spm_near_bit(uint32_t a, uint32_t b)
{
	return (uint32_t)(((uint64_t)a << 32 | b) * 0x9e3779b97f4a7c15u >> (64 - SPM_NEAR_BITS));
}

static bool spm_near(const struct z5_spm *s, uint32_t a, uint32_t b)
{
	uint32_t i = spm_near_bit(a, b);

	return s->near[i / 64] >> (i % 64) & 1;
}

/* Scores as integers in descending order; NaN last. */
static uint32_t spm_rank(float score)
{
	uint32_t u;

	if (score != score)
		return MERGE_NONE - 1;
	score += 0.0f;	/* there is one zero */
	memcpy(&u, &score, sizeof(u));
	u = u >> 31 ? ~u : u | 1u << 31;
	return ~u < MERGE_NONE - 1 ? ~u : MERGE_NONE - 1;
}

static uint32_t spm_pair(const struct zen5rt_vocab *v, const char *text, uint32_t l, uint32_t len,
			 uint32_t lid, uint32_t rid, uint32_t *id)
{
	(void)lid, (void)rid;
	if (len > v->max_len)
		return MERGE_NONE;
	*id = z5_strtab_find(&v->str, text + l, len);
	return *id == Z5_NO_ID ? MERGE_NONE : v->spm->rank[*id];
}

static void spm_neighbours(struct z5_spm *s, struct gguf_str str)
{
	uint32_t prev = 0, cp, bit;

	for (size_t i = 0, n; i < str.len; i += n, prev = cp) {
		n = utf8_next(str.p + i, str.len - i, &cp);
		if (!i)
			continue;
		bit = spm_near_bit(prev, cp);
		s->near[bit / 64] |= 1ull << (bit % 64);
	}
}

/* What a stray byte or an unknown character turns into, byte by byte. */
static void spm_bytes(struct zen5rt_vocab *v)
{
	struct z5_spm *s = v->spm;

	for (unsigned int b = 0; b < 256; b++) {
		char c = (char)b;

		s->byte[b] = z5_strtab_find(&v->str, &c, 1);
	}
	for (uint32_t id = v->n; id-- > 0; ) {
		int b = z5_vocab_byte_name(z5_strtab_get(&v->str, id));

		if (b >= 0)
			s->byte[b] = id;
	}
}

int z5_spm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_array scores = { 0 };
	int r;

	r = gguf_get_array(g, "tokenizer.ggml.scores", GGUF_F32, &scores, err);
	if (r < 0)
		return r;
	if (r && scores.n < v->n)
		return z5_fail(err, -EINVAL,
			       "%s: tokenizer.ggml.scores has %zu entries for %u tokens",
			       gguf_path(g), scores.n, v->n);
	v->spm = calloc(1, sizeof(*v->spm));
	if (v->spm)
		v->spm->rank = malloc(v->n * sizeof(*v->spm->rank));
	if (!v->spm || !v->spm->rank)
		return z5_fail(err, -ENOMEM, "out of memory for the scores");
	v->add_bos = true;
	v->add_space_prefix = true;
	for (uint32_t id = 0; id < v->n; id++) {
		v->spm->rank[id] = spm_rank(r ? gguf_array_f32(&scores, id) : 0);
		spm_neighbours(v->spm, z5_strtab_get(&v->str, id));
	}
	spm_bytes(v);
	return 0;
}

void z5_spm_free(struct z5_spm *s)
{
	if (!s)
		return;
	free(s->rank);
	free(s);
}

static void spm_emit(struct z5_tok *t, const char *p, size_t len, uint32_t id)
{
	const struct zen5rt_vocab *v = t->v;
	bool unknown = false;

	if (id != Z5_NO_ID) {
		z5_tok_emit(t, id);
		return;
	}
	for (size_t i = 0; i < len; i++) {
		id = v->spm->byte[(uint8_t)p[i]];
		if (id != Z5_NO_ID)
			z5_tok_emit(t, id);
		else if (v->unk >= 0 && !unknown)
			z5_tok_emit(t, (uint32_t)v->unk);
		unknown |= id == Z5_NO_ID;
	}
}

/* The word that has gathered in t->buf. */
static int spm_word(struct z5_tok *t)
{
	const char *p = t->buf;
	size_t len = t->n_buf, n = 0;
	uint32_t prev = MERGE_NONE, cp;
	struct z5_word *slot;
	struct z5_sym *s;
	int64_t from = t->n;

	t->n_buf = 0;
	if (!len || z5_tok_cached(t, p, len, &slot))
		return 0;
	if (merge_reserve(&t->merge, len))
		return -ENOMEM;
	s = t->merge.sym;
	for (uint32_t i = 0; i < len; prev = i, i = s[i].next, n++) {
		uint32_t c = (uint32_t)utf8_next(p + i, len - i, &cp);

		s[i] = (struct z5_sym){ c, prev, i + c, z5_strtab_find(&t->v->str, p + i, c) };
	}
	s[prev].next = MERGE_NONE;
	if (merge_run(&t->merge, t->v, p, n, spm_pair))
		return -ENOMEM;
	for (uint32_t i = 0; i != MERGE_NONE; i = s[i].next)
		spm_emit(t, p + i, s[i].len, s[i].id);
	z5_tok_cache(t, slot, p, len, from);
	return 0;
}

static int spm_append(struct z5_tok *t, const char *p, size_t len)
{
	if (t->n_buf + len > t->cap_buf) {
		size_t cap = (t->n_buf + len) * 3 / 2 + 256;
		char *buf = realloc(t->buf, cap);

		if (!buf)
			return -ENOMEM;
		t->buf = buf;
		t->cap_buf = cap;
	}
	memcpy(t->buf + t->n_buf, p, len);
	t->n_buf += len;
	/* Offsets of symbols are 32 bits wide, and one number is taken. */
	return t->n_buf < MERGE_NONE ? 0 : -ENOMEM;
}

int z5_spm_text(struct z5_tok *t, const char *p, size_t len, bool prefix)
{
	uint32_t prev = SPM_SPACE_CP, cp;
	int r = 0;

	t->n_buf = 0;
	if (prefix)
		r = spm_append(t, SPM_SPACE, 3);
	for (size_t i = 0, n; i < len && !r; i += n, prev = cp) {
		n = utf8_next(p + i, len - i, &cp);
		if (cp == ' ')
			cp = SPM_SPACE_CP;
		if (t->n_buf && !spm_near(t->v->spm, prev, cp))
			r = spm_word(t);
		if (!r)
			r = cp == SPM_SPACE_CP ? spm_append(t, SPM_SPACE, 3) :
						 spm_append(t, p + i, n);
	}
	return r ? r : spm_word(t);
}
