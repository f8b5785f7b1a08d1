// SPDX-License-Identifier: MIT
/*
 * SentencePiece's BPE as llama has it: characters merge into the token of the best score; a
 * character that is no token falls back to byte tokens. Merging is defined over the whole text.
 */
#include "error.h"
#include "internal.h"
#include "merge.h"

struct z5_spm {
	uint32_t *rank;			/* of a token: the better its score the lower */
	uint32_t byte[256];		/* the token of one byte, Z5_NO_ID if there is none */
	struct z5_near near;
};

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
	v->escape = true;
	for (uint32_t id = 0; id < v->n; id++) {
		v->spm->rank[id] = spm_rank(r ? gguf_array_f32(&scores, id) : 0);
		z5_near_add(&v->spm->near, v->str.bytes + v->str.at[id].off, v->str.at[id].len);
	}
	z5_vocab_byte_tokens(v, v->spm->byte);
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

static int spm_word(struct z5_tok *t, const char *p, size_t len)
{
	return merge_chars(t, p, len, spm_pair, spm_emit);
}

int z5_spm_text(struct z5_tok *t, const char *p, size_t len, bool prefix)
{
	return z5_near_split(t, &t->v->spm->near, p, len, prefix, spm_word);
}
