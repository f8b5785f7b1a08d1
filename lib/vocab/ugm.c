// SPDX-License-Identifier: MIT
/*
 * SentencePiece's unigram model, as T5 and XLM-RoBERTa have it: text is normalized by rules that
 * the file brings, and of all ways to write it in tokens the one of the best sum of scores is taken
 * (Viterbi; Kudo 2018, "Subword Regularization"). A character that is no token costs as much as
 * the worst token and ten more; neighbouring ones are one unknown token.
 */
#include "charsmap.h"
#include "error.h"
#include "internal.h"
#include "trie.h"
#include "utf8.h"

#include <errno.h>
#include <float.h>
#include <stdlib.h>

#define UGM_UNKNOWN_COST 10	/* kUnkPenalty of SentencePiece */

struct z5_ugm {
	struct z5_trie trie;
	double *score;		/* of a token */
	double unknown;
	struct z5_charsmap map;
	bool merge_spaces;
	struct z5_near near;
};

/* The best way to a position in a word. */
struct ugm_best {
	double score;
	uint32_t from, id;
};

struct z5_ugm_run {
	char *norm;
	size_t n_norm, cap_norm;
	struct ugm_best *best;
	uint32_t *ids;
	size_t cap_best;
	bool unknown;		/* what was emitted last */
};

static int ugm_charsmap(struct z5_ugm *u, const struct gguf *g, struct zen5rt_error *err)
{
	static const char key[] = "tokenizer.ggml.precompiled_charsmap";
	struct gguf_array a = { 0 };
	uint8_t *bytes;
	int r = gguf_get_array(g, key, GGUF_U8, &a, NULL);

	if (r < 0)
		r = gguf_get_array(g, key, GGUF_I8, &a, err);
	if (r <= 0)
		return r;
	bytes = malloc(a.n + 1);
	if (!bytes)
		return z5_fail(err, -ENOMEM, "out of memory for the normalization rules");
	for (size_t i = 0; i < a.n; i++)
		bytes[i] = (uint8_t)gguf_array_i32(&a, i);
	r = z5_charsmap_read(&u->map, bytes, a.n);
	free(bytes);
	if (r == -EINVAL)
		return z5_fail(err, r, "%s: %s does not hold what its first bytes promise, or a replacement is above 255 bytes",
			       gguf_path(g), key);
	return r ? z5_fail(err, r, "out of memory for the normalization rules") : 0;
}

/* Scores are made finite, so that sums of a billion of them are. */
static double ugm_score(float s)
{
	if (s != s || s < -FLT_MAX)
		return -FLT_MAX;
	return s > FLT_MAX ? FLT_MAX : s;
}

static int ugm_tokens(struct zen5rt_vocab *v, const struct gguf_array *scores)
{
	struct z5_ugm *u = v->ugm;
	double worst = 0;
	bool any = false;
	int r = z5_trie_init(&u->trie, v->str.seed);

	for (uint32_t id = 0; id < v->n && !r; id++) {
		struct gguf_str s = z5_strtab_get(&v->str, id);
		uint8_t type = v->type[id];

		u->score[id] = type == Z5_TOKEN_USER ? 0 : ugm_score(gguf_array_f32(scores, id));
		if (type == Z5_TOKEN_NORMAL && (!any || u->score[id] < worst)) {
			worst = u->score[id];
			any = true;
		}
		if (type != Z5_TOKEN_NORMAL && type != Z5_TOKEN_USER && type != Z5_TOKEN_UNUSED)
			continue;
		r = z5_trie_add(&u->trie, s.p, s.len, id);
		z5_near_add(&u->near, s.p, s.len);
	}
	u->unknown = worst - UGM_UNKNOWN_COST;
	return r;
}

int z5_ugm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_array scores = { 0 };
	struct z5_ugm *u;
	int r = gguf_get_array(g, "tokenizer.ggml.scores", GGUF_F32, &scores, err);

	if (r < 0)
		return r;
	if (!r || scores.n < v->n)
		return z5_fail(err, -EINVAL, "%s: tokenizer.ggml.scores has %zu entries for %u "
			       "tokens", gguf_path(g), r ? scores.n : 0, v->n);
	u = calloc(1, sizeof(*u));
	v->ugm = u;
	if (u)
		u->score = malloc(v->n * sizeof(*u->score));
	if (!u || !u->score || ugm_tokens(v, &scores))
		return z5_fail(err, -ENOMEM, "out of memory for the vocabulary");
	v->add_eos = true;
	v->escape = true;
	r = gguf_get_bool(g, "tokenizer.ggml.remove_extra_whitespaces", &u->merge_spaces, err);
	return r < 0 ? r : ugm_charsmap(u, g, err);
}

void z5_ugm_free(struct z5_ugm *u)
{
	if (!u)
		return;
	z5_trie_free(&u->trie);
	z5_charsmap_free(&u->map);
	free(u->score);
	free(u);
}

void z5_ugm_run_free(struct z5_ugm_run *run)
{
	if (!run)
		return;
	free(run->norm);
	free(run->best);
	free(run->ids);
	free(run);
}

/* ---- normalization ---- */

static int ugm_put(struct z5_ugm_run *run, const char *p, size_t len)
{
	if (run->n_norm + len > run->cap_norm) {
		size_t cap = (run->n_norm + len) * 3 / 2 + 256;
		char *norm = realloc(run->norm, cap);

		if (!norm)
			return -ENOMEM;
		run->norm = norm;
		run->cap_norm = cap;
	}
	memcpy(run->norm + run->n_norm, p, len);
	run->n_norm += len;
	return 0;
}

struct ugm_spaces {
	bool in_word, prefix;	/* prefix: a space belongs before the next word */
};

/* What a rule, or a character that none takes, became: spaces in it are looked at one by one. */
static int ugm_piece(const struct z5_ugm *u, struct z5_ugm_run *run, struct ugm_spaces *s,
		     const char *p, size_t len)
{
	int r = 0;

	for (size_t i = 0; i < len && !r; i++) {
		if (p[i] == ' ') {
			if (!u->merge_spaces)
				r = ugm_put(run, Z5_SPACE, 3);
			else if (s->in_word)
				s->prefix = true;
			s->in_word = false;
			continue;
		}
		if (!s->in_word && s->prefix)
			r = ugm_put(run, Z5_SPACE, 3);
		if (!s->in_word)
			s->prefix = false;
		s->in_word = true;
		if (!r)
			r = ugm_put(run, p + i, 1);
	}
	return r;
}

static int ugm_normalize(struct z5_tok *t, const char *p, size_t len)
{
	const struct z5_ugm *u = t->v->ugm;
	struct ugm_spaces s = { false, t->v->add_space_prefix };
	const char *out;
	size_t n, out_len;
	uint32_t cp;
	int r = 0;

	t->ugm->n_norm = 0;
	for (size_t i = 0; i < len && !r; i += n) {
		n = z5_charsmap_find(&u->map, p + i, len - i, &out, &out_len);
		if (!n) {
			n = out_len = utf8_next(p + i, len - i, &cp);
			out = p + i;
			if (cp >= UTF8_STRAY) {
				out = "\xef\xbf\xbd";
				out_len = 3;
			}
		}
		r = ugm_piece(u, t->ugm, &s, out, out_len);
	}
	return r;
}

/* ---- the best way through a word ---- */

static int ugm_reserve(struct z5_ugm_run *run, size_t len)
{
	size_t cap = len * 5 / 4 + 64;
	void *p;

	if (len < run->cap_best)
		return 0;
	p = realloc(run->best, cap * sizeof(*run->best));
	if (p)
		run->best = p;
	if (p)
		p = realloc(run->ids, cap * sizeof(*run->ids));
	if (!p)
		return -ENOMEM;
	run->ids = p;
	run->cap_best = cap;
	return 0;
}

static void ugm_offer(struct ugm_best *b, double score, uint32_t from, uint32_t id)
{
	if (score > b->score)
		*b = (struct ugm_best){ score, from, id };
}

static void ugm_search(const struct z5_ugm *u, struct ugm_best *best, const char *p, uint32_t len)
{
	uint32_t cp, n;

	best[0] = (struct ugm_best){ 0, 0, Z5_NO_ID };
	for (uint32_t i = 1; i <= len; i++)
		best[i].score = -DBL_MAX;
	for (uint32_t i = 0; i < len; i += n) {
		uint32_t node = 0;
		bool alone = false;

		n = (uint32_t)utf8_next(p + i, len - i, &cp);
		for (uint32_t k = i; k < len; ) {
			node = z5_trie_step(&u->trie, node, p[k++]);
			if (!node)
				break;
			if (u->trie.value[node] == Z5_NO_ID)
				continue;
			alone |= k - i == n;
			ugm_offer(&best[k], best[i].score + u->score[u->trie.value[node]], i,
				  u->trie.value[node]);
		}
		if (!alone)
			ugm_offer(&best[i + n], best[i].score + u->unknown, i, Z5_NO_ID);
	}
}

static int ugm_word(struct z5_tok *t, const char *p, size_t len)
{
	struct z5_ugm_run *run = t->ugm;
	bool whole = true;
	struct z5_word *slot;
	int64_t from = t->n;
	size_t n = 0;

	if (z5_tok_cached(t, p, len, &slot)) {
		run->unknown = false;
		return 0;
	}
	if (ugm_reserve(run, len))
		return -ENOMEM;
	ugm_search(t->v->ugm, run->best, p, (uint32_t)len);
	for (uint32_t i = (uint32_t)len; i; i = run->best[i].from)
		run->ids[n++] = run->best[i].id;
	while (n--) {
		bool unknown = run->ids[n] == Z5_NO_ID;

		if (!unknown)
			z5_tok_emit(t, run->ids[n]);
		else if (!run->unknown && t->v->unk >= 0)
			z5_tok_emit(t, (uint32_t)t->v->unk);
		run->unknown = unknown;
		whole &= !unknown;
	}
	/* How many unknown tokens there are depends on the words around. */
	if (whole)
		z5_tok_cache(t, slot, p, len, from);
	return 0;
}

int z5_ugm_text(struct z5_tok *t, const char *p, size_t len)
{
	int r = 0;

	if (!t->ugm) {
		t->ugm = calloc(1, sizeof(*t->ugm));
		r = t->ugm ? 0 : -ENOMEM;
	}
	if (!r)
		r = ugm_normalize(t, p, len);
	if (r)
		return r;
	t->ugm->unknown = false;
	return z5_near_split(t, &t->v->ugm->near, t->ugm->norm, t->ugm->n_norm, false, ugm_word);
}
