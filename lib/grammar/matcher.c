// SPDX-License-Identifier: MIT
/*
 * Grammars and matchers as the public interface has them. A matcher is one number, a state of the
 * grammar's automaton; the automaton and its memory are shared by all matchers, under a lock.
 */
#include "automaton.h"
#include "error.h"
#include "matcher.h"
#include "vocab/internal.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* Steps looked at for one mask: seconds in the worst case. What is within does not depend on the cache. */
#define MASK_STEPS (1u << 26)

struct zen5rt_grammar {
	struct z5_program program;
	const struct zen5rt_vocab *vocab;	/* NULL: text only */
	const struct z5_pieces *pieces;
	pthread_mutex_t lock;
	struct z5_automaton a;
	uint32_t *walk;		/* states along one piece */
};

struct zen5rt_matcher {
	struct zen5rt_grammar *g;
	struct z5_ref ref;
	bool ended;		/* by a token that ends an answer */
	char tail[24];		/* of the text accepted, for messages */
	unsigned int n_tail;
};

/* ---- grammars ---- */

int zen5rt_grammar_new(const struct zen5rt_vocab *vocab, const char *text, size_t len,
		       const char *root, struct zen5rt_grammar **grammar, struct zen5rt_error *err)
{
	struct z5_gbnf parsed = { .text = text, .len = len, .vocab = vocab, .err = err };
	struct zen5rt_grammar *g = calloc(1, sizeof(*g));
	size_t mask = vocab ? ((size_t)vocab->n + 63) / 64 * 8 : 0;
	int r;

	if (!g)
		return z5_fail(err, -ENOMEM, "out of memory for a grammar");
	pthread_mutex_init(&g->lock, NULL);
	g->vocab = vocab;
	r = z5_gbnf_parse(&parsed);
	if (!r)
		r = z5_program_make(&g->program, &parsed, root ? root : "root");
	z5_gbnf_free(&parsed);
	if (r)
		goto fail;
	r = z5_automaton_init(&g->a, &g->program, sizeof(struct z5_mask) + mask);
	if (r == -E2BIG) {
		r = z5_fail(err, -EINVAL, "the grammar may begin in more than %u ways: use fewer optional "
			    "parts and alternatives", Z5_AUTOMATON_STEPS);
		goto fail;
	}
	if (!r && vocab) {
		g->pieces = z5_vocab_pieces(vocab);
		g->walk = g->pieces ? calloc(g->pieces->max_len + 1u, sizeof(*g->walk)) : NULL;
		r = g->walk ? 0 : -ENOMEM;
	}
	if (r) {
		z5_fail(err, r, "out of memory for a grammar of %zu bytes", len);
		goto fail;
	}
	*grammar = g;
	return 0;
fail:
	zen5rt_grammar_free(g);
	return r;
}

void zen5rt_grammar_free(struct zen5rt_grammar *g)
{
	if (!g)
		return;
	z5_automaton_free(&g->a);
	z5_program_free(&g->program);
	free(g->walk);
	pthread_mutex_destroy(&g->lock);
	free(g);
}

/* ---- matchers ---- */

int zen5rt_matcher_new(struct zen5rt_grammar *g, struct zen5rt_matcher **matcher,
		       struct zen5rt_error *err)
{
	struct zen5rt_matcher *m = calloc(1, sizeof(*m));

	if (!m)
		return z5_fail(err, -ENOMEM, "out of memory for a matcher");
	m->g = g;
	pthread_mutex_lock(&g->lock);
	m->ref.state = g->a.start;
	z5_ref_add(&g->a, &m->ref);
	pthread_mutex_unlock(&g->lock);
	*matcher = m;
	return 0;
}

void zen5rt_matcher_free(struct zen5rt_matcher *m)
{
	if (!m)
		return;
	pthread_mutex_lock(&m->g->lock);
	z5_ref_remove(&m->ref);
	pthread_mutex_unlock(&m->g->lock);
	free(m);
}

void zen5rt_matcher_reset(struct zen5rt_matcher *m)
{
	pthread_mutex_lock(&m->g->lock);
	m->ref.state = m->g->a.start;
	pthread_mutex_unlock(&m->g->lock);
	m->ended = false;
	m->n_tail = 0;
}

int zen5rt_matcher_copy(struct zen5rt_matcher *to, const struct zen5rt_matcher *from)
{
	if (to->g != from->g)
		return -EINVAL;
	pthread_mutex_lock(&to->g->lock);
	to->ref.state = from->ref.state;
	pthread_mutex_unlock(&to->g->lock);
	to->ended = from->ended;
	to->n_tail = from->n_tail;
	memcpy(to->tail, from->tail, sizeof(to->tail));
	return 0;
}

/* The last of the text, without half characters; what does not print becomes '?' in z5_fail(). */
static void matcher_tail(struct zen5rt_matcher *m, const char *p, size_t len)
{
	size_t keep = sizeof(m->tail);

	if (len < keep) {
		keep -= len;
		if (m->n_tail > keep) {
			memmove(m->tail, m->tail + m->n_tail - keep, keep);
			m->n_tail = (unsigned int)keep;
		}
	} else {
		p += len - keep;
		len = keep;
		m->n_tail = 0;
	}
	memcpy(m->tail + m->n_tail, p, len);
	m->n_tail += (unsigned int)len;
}

static int matcher_fail(const struct zen5rt_matcher *m, int code, struct zen5rt_error *err,
			const char *what)
{
	unsigned int from = 0, to = m->n_tail;

	while (from < to && (m->tail[from] & 0xc0) == 0x80)
		from++;
	if (code == -E2BIG)
		return z5_fail(err, code, "after \"%.*s\" the grammar can go on in too many ways (bound: "
			       "%u steps a byte, %u rules deep): make it less ambiguous", (int)(to - from),
			       m->tail + from, Z5_AUTOMATON_STEPS, Z5_AUTOMATON_DEPTH);
	if (code == -ENOMEM)
		return z5_fail(err, code, "out of memory for the states of a grammar");
	return z5_fail(err, code, "%s %s\"%.*s\"", what, to ? "after " : "at the beginning ",
		       (int)(to - from), m->tail + from);
}

/* Under the lock: the state after p[0..len). */
static int grammar_text(struct zen5rt_grammar *g, uint32_t *state, const char *p, size_t len)
{
	struct z5_move move = { *state, 0 };

	for (size_t i = 0; i < len && move.to != Z5_STATE_DEAD; i++) {
		int r = z5_automaton_step(&g->a, move.to, (uint8_t)p[i], &move);

		if (r)
			return r;
	}
	*state = move.to;
	return 0;
}

/* Under the lock: the state after token id, which is within the vocabulary and ends no answer. */
static int grammar_token(struct zen5rt_grammar *g, uint32_t *state, uint32_t id, char *piece,
			 size_t *len)
{
	uint32_t text = Z5_STATE_DEAD;
	int r = 0;

	*len = z5_vocab_piece(g->vocab, id, piece);
	if (*len) {
		text = *state;
		r = grammar_text(g, &text, piece, *len);
	}
	if (!r)
		r = z5_automaton_token(&g->a, *state, id, false, text, state);
	return r;
}

int zen5rt_matcher_text(struct zen5rt_matcher *m, const char *text, size_t len,
			struct zen5rt_error *err)
{
	uint32_t state;
	int r;

	pthread_mutex_lock(&m->g->lock);
	r = z5_automaton_trim(&m->g->a);
	state = m->ref.state;
	for (size_t i = 0; i < len && !r && state != Z5_STATE_DEAD; i++) {
		struct z5_move move;

		/* a long text must not fill the memory either */
		if (i % 1024 == 1023) {
			uint32_t walk = state;

			m->g->a.walk = &walk;
			m->g->a.n_walk = 1;
			r = z5_automaton_trim(&m->g->a);
			m->g->a.n_walk = 0;
			state = walk;
			if (r)
				break;
		}
		r = z5_automaton_step(&m->g->a, state, (uint8_t)text[i], &move);
		state = move.to;
	}
	if (!r && (m->ended || (len && state == Z5_STATE_DEAD)))
		r = -EDOM;
	if (!r && state == Z5_STATE_BEYOND)
		r = -E2BIG;
	if (!r)
		m->ref.state = state;
	pthread_mutex_unlock(&m->g->lock);
	if (r)
		return matcher_fail(m, r, err, "the grammar does not allow this text");
	matcher_tail(m, text, len);
	return 0;
}

/* piece has room for max_len bytes. */
static int matcher_next(struct zen5rt_matcher *m, int32_t id, uint32_t *state, bool *ended,
			char *piece, size_t *len)
{
	struct zen5rt_grammar *g = m->g;
	int r;

	*len = 0;
	*ended = false;
	if (!g->vocab || id < 0 || (uint32_t)id >= g->vocab->n || m->ended)
		return -EDOM;
	*state = m->ref.state;
	if (zen5rt_vocab_is_eog(g->vocab, id)) {
		*ended = g->a.state[*state].accept;
		return *ended ? 0 : -EDOM;
	}
	r = grammar_token(g, state, (uint32_t)id, piece, len);
	if (!r && *state < Z5_STATE_FIRST)
		r = *state == Z5_STATE_BEYOND ? -E2BIG : -EDOM;
	return r;
}

int zen5rt_matcher_accept(struct zen5rt_matcher *m, int32_t id, struct zen5rt_error *err)
{
	struct zen5rt_grammar *g = m->g;
	char *piece = malloc(g->pieces ? g->pieces->max_len + 1u : 1);
	uint32_t state;
	bool ended;
	size_t len;
	int r;

	if (!piece)
		return matcher_fail(m, -ENOMEM, err, "");
	pthread_mutex_lock(&g->lock);
	r = z5_automaton_trim(&g->a);
	if (!r)
		r = matcher_next(m, id, &state, &ended, piece, &len);
	if (!r) {
		m->ref.state = state;
		m->ended = ended;
	}
	pthread_mutex_unlock(&g->lock);
	if (!r)
		matcher_tail(m, piece, len);
	free(piece);
	return r ? matcher_fail(m, r, err, "the grammar does not allow this token") : 0;
}

bool zen5rt_matcher_allows(struct zen5rt_matcher *m, int32_t id)
{
	struct zen5rt_grammar *g = m->g;
	char *piece = malloc(g->pieces ? g->pieces->max_len + 1u : 1);
	uint32_t state;
	bool ended;
	size_t len;
	int r = -ENOMEM;

	if (!piece)
		return false;
	pthread_mutex_lock(&g->lock);
	r = z5_automaton_trim(&g->a);
	if (!r)
		r = matcher_next(m, id, &state, &ended, piece, &len);
	pthread_mutex_unlock(&g->lock);
	free(piece);
	return !r;
}

bool zen5rt_matcher_can_end(const struct zen5rt_matcher *m)
{
	bool accept;

	pthread_mutex_lock(&m->g->lock);
	accept = m->ended || m->g->a.state[m->ref.state].accept;
	pthread_mutex_unlock(&m->g->lock);
	return accept;
}

/* ---- which tokens may come next ---- */

/* Sets the bit of every token whose text may come; g->walk[0] is the state. -ENOMEM, -E2BIG. */
static int mask_pieces(struct zen5rt_grammar *g, struct z5_mask *mask, bool *beyond)
{
	const struct z5_pieces *ps = g->pieces;
	uint32_t dead = 0, i = 0;	/* dead: bytes of the piece before after which nothing may come */
	uint64_t cost = 0;

	while (i < ps->n) {
		const struct z5_piece *p = &ps->piece[i];
		const uint8_t *bytes = (const uint8_t *)ps->bytes + p->off;
		uint32_t k;
		int r;

		if (dead && p->lcp >= dead) {
			i = dead == 1 ? ps->first[bytes[0] + 1] : i + 1;
			continue;
		}
		r = z5_automaton_trim(&g->a);
		if (r)
			return r;
		dead = 0;
		for (k = p->lcp; k < p->len && !dead; k++) {
			struct z5_move move;

			r = z5_automaton_step(&g->a, g->walk[k], bytes[k], &move);
			if (r)
				return r;
			cost += move.cost;
			g->walk[k + 1] = move.to;
			g->a.n_walk = k + 2;
			if (move.to < Z5_STATE_FIRST) {
				*beyond |= move.to == Z5_STATE_BEYOND;
				dead = k + 1;
			}
		}
		if (cost > MASK_STEPS)
			return -E2BIG;
		if (!dead)
			mask->bits[p->id / 64] |= 1ull << p->id % 64;
		i++;
	}
	return 0;
}

/* Tokens that the grammar names, and those that end the answer. */
static void mask_tokens(const struct zen5rt_grammar *g, uint32_t state, struct z5_mask *mask)
{
	const struct z5_state *s = &g->a.state[state];
	uint32_t n = g->vocab->n, n_not = 0, not = 0;

	/* two different tokens that are not allowed leave none that is not */
	for (uint32_t i = 0; i < s->n && n_not < 2; i++) {
		const struct z5_step *step = &g->program.code[g->a.item[s->item + i].pos];

		if (step->op != Z5_OP_NOT_TOKEN)
			continue;
		n_not += !n_not || not != step->arg;
		not = step->arg;
	}
	for (uint32_t id = 0; id < n && n_not; id++)
		if (n_not > 1 || id != not)
			mask->bits[id / 64] |= 1ull << id % 64;
	for (uint32_t i = 0; i < s->n; i++) {
		const struct z5_step *step = &g->program.code[g->a.item[s->item + i].pos];

		if (step->op == Z5_OP_TOKEN)
			mask->bits[step->arg / 64] |= 1ull << step->arg % 64;
	}
	for (uint32_t id = 0; id < n; id++) {
		if (!(g->vocab->flag[id] & Z5_TOKEN_EOG))
			continue;
		mask->bits[id / 64] &= ~(1ull << id % 64);
		if (s->accept)
			mask->bits[id / 64] |= 1ull << id % 64;
	}
}

/* Under the lock: the mask of the state that m is in, owned by the automaton. */
static int matcher_mask(struct zen5rt_matcher *m, const struct z5_mask **out)
{
	struct zen5rt_grammar *g = m->g;
	struct z5_mask *mask;
	bool beyond = false;
	int r;

	r = z5_automaton_trim(&g->a);
	if (r)
		return r;
	*out = g->a.state[m->ref.state].mask;
	if (*out)
		return 0;
	mask = calloc(1, g->a.mask_bytes);
	if (!mask)
		return -ENOMEM;
	g->walk[0] = m->ref.state;
	g->a.walk = g->walk;
	g->a.n_walk = 1;
	r = mask_pieces(g, mask, &beyond);
	g->a.n_walk = 0;
	if (r == -ENOMEM) {
		free(mask);
		return r;
	}
	if (!r)
		mask_tokens(g, m->ref.state, mask);
	for (uint32_t i = 0; i < (g->vocab->n + 63) / 64; i++)
		mask->count += (uint32_t)__builtin_popcountll(mask->bits[i]);
	mask->error = r ? r : mask->count ? 0 : beyond ? -E2BIG : -EDOM;
	g->a.state[m->ref.state].mask = mask;
	g->a.bytes += g->a.mask_bytes;
	*out = mask;
	return 0;
}

int64_t zen5rt_matcher_mask(struct zen5rt_matcher *m, float *logits, uint32_t n,
			    struct zen5rt_error *err)
{
	struct zen5rt_grammar *g = m->g;
	const struct z5_mask *mask;
	uint32_t count = 0;
	int r;

	if (!g->vocab)
		return z5_fail(err, -EINVAL, "this grammar was made without a vocabulary");
	if (m->ended)
		return matcher_fail(m, -EDOM, err, "the answer has ended");
	pthread_mutex_lock(&g->lock);
	r = matcher_mask(m, &mask);
	if (!r)
		r = mask->error;
	if (!r)
		count = mask->count;
	for (uint32_t id = 0; id < n && !r; id++)
		if (id >= g->vocab->n || !(mask->bits[id / 64] >> id % 64 & 1))
			logits[id] = -INFINITY;
	pthread_mutex_unlock(&g->lock);
	if (r)
		return matcher_fail(m, r, err, "the grammar allows no token of this vocabulary");
	return count;
}

bool z5_matcher_fits(const struct zen5rt_matcher *m, uint32_t n_vocab)
{
	return m->g->vocab && m->g->vocab->n <= n_vocab;
}
