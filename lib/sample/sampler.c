// SPDX-License-Identifier: MIT
/*
 * Choosing the next token. Same parameters, logits and accepted tokens: same choice, on every
 * machine. So the generator and the exponential are our own, sums run in a fixed order, and
 * candidates are compared as integers: ties, signed zeros and denormals depend on no mode.
 */
#include "error.h"
#include "fpenv.h"
#include "grammar/matcher.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Looking back further than any context goes would only cost memory. */
#define REPEAT_MAX (1u << 20)
#define VOCAB_MAX (1u << 28)

/* A logit in the upper half, as an integer of the same order, and the inverted id in the lower. */
typedef uint64_t cand_t;

struct zen5rt_sampler {
	struct zen5rt_sampler_params p;
	uint32_t n_vocab;
	uint64_t rng[4];
	int32_t *last;		/* ring of accepted tokens; NULL where no penalty asks for it */
	uint32_t n_last, at;
	float *logits;		/* after the penalty; NULL likewise */
	cand_t *cand;
	double *weight;
	struct zen5rt_matcher *matcher;
	float *allowed;		/* logits, -infinity where the matcher says no; NULL: never needed */
};

void zen5rt_sampler_params_init(struct zen5rt_sampler_params *p)
{
	*p = (struct zen5rt_sampler_params){
		.size = sizeof(*p), .temp = 0.8f, .top_k = 40, .top_p = 0.95f, .min_p = 0.05f,
		.repeat_penalty = 1, .repeat_last_n = 64,
	};
}

static int sampler_check(const struct zen5rt_sampler_params *p, uint32_t n_vocab,
			 struct zen5rt_error *err)
{
	if (!n_vocab || n_vocab > VOCAB_MAX)
		return z5_fail(err, -EINVAL, "a sampler for %u tokens", n_vocab);
	if (!isfinite(p->temp))
		return z5_fail(err, -EINVAL, "temp must be a finite number");
	if (!(p->top_p >= 0) || !isfinite(p->top_p))
		return z5_fail(err, -EINVAL, "top_p is %g, must be at least 0", p->top_p);
	if (!(p->min_p >= 0 && p->min_p <= 1))
		return z5_fail(err, -EINVAL, "min_p is %g, must be from 0 to 1", p->min_p);
	if (!(p->repeat_penalty > 0) || !isfinite(p->repeat_penalty))
		return z5_fail(err, -EINVAL, "repeat_penalty is %g, must be above 0",
			       p->repeat_penalty);
	if (p->repeat_last_n > REPEAT_MAX)
		return z5_fail(err, -EINVAL, "repeat_last_n is %u, must be at most %u",
			       p->repeat_last_n, REPEAT_MAX);
	return 0;
}

/* splitmix64 spreads the seed, so that neighbouring seeds have nothing in common. */
static void sampler_seed(struct zen5rt_sampler *s, uint64_t seed)
{
	for (unsigned int i = 0; i < 4; i++) {
		uint64_t z = seed += 0x9e3779b97f4a7c15u;

		z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
		z = (z ^ z >> 27) * 0x94d049bb133111ebu;
		s->rng[i] = z ^ z >> 31;
	}
}

int zen5rt_sampler_new(const struct zen5rt_sampler_params *params, uint32_t n_vocab,
		       struct zen5rt_sampler **sampler, struct zen5rt_error *err)
{
	struct zen5rt_sampler_params p;
	struct zen5rt_sampler *s;
	bool penalty;
	int r;

	zen5rt_sampler_params_init(&p);
	if (params) {
		if (params->size < sizeof(size_t) || params->size > sizeof(p))
			return z5_fail(err, -EINVAL, "zen5rt_sampler_params: size %zu is not of this "
				       "version", params->size);
		memcpy(&p, params, params->size);
	}
	r = sampler_check(&p, n_vocab, err);
	if (r)
		return r;
	s = calloc(1, sizeof(*s));
	if (!s)
		goto nomem;
	s->p = p;
	s->n_vocab = n_vocab;
	sampler_seed(s, p.seed);
	penalty = p.repeat_penalty != 1 && p.repeat_last_n;
	if (penalty) {
		s->last = malloc(p.repeat_last_n * sizeof(*s->last));
		s->logits = malloc(n_vocab * sizeof(*s->logits));
	}
	s->cand = malloc(n_vocab * sizeof(*s->cand));
	s->weight = malloc(n_vocab * sizeof(*s->weight));
	if (!s->cand || !s->weight || (penalty && (!s->last || !s->logits)))
		goto nomem;
	*sampler = s;
	return 0;
nomem:
	zen5rt_sampler_free(s);
	return z5_fail(err, -ENOMEM, "out of memory for a sampler of %u tokens", n_vocab);
}

void zen5rt_sampler_free(struct zen5rt_sampler *s)
{
	if (!s)
		return;
	free(s->last);
	free(s->logits);
	free(s->cand);
	free(s->weight);
	free(s->allowed);
	free(s);
}

void zen5rt_sampler_accept(struct zen5rt_sampler *s, int32_t id)
{
	if (!s->last || id < 0 || (uint32_t)id >= s->n_vocab)
		return;
	s->last[s->at] = id;
	s->at = (s->at + 1) % s->p.repeat_last_n;
	if (s->n_last < s->p.repeat_last_n)
		s->n_last++;
}

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

/* xoshiro256**; the upper 53 bits as a number in [0, 1) */
static double sampler_random(struct zen5rt_sampler *s)
{
	uint64_t *r = s->rng, result = rotl(r[1] * 5, 7) * 9, t = r[1] << 17;

	r[2] ^= r[0];
	r[3] ^= r[1];
	r[1] ^= r[2];
	r[0] ^= r[3];
	r[2] ^= t;
	r[3] = rotl(r[3], 45);
	return (double)(result >> 11) * 0x1p-53;
}

/*
 * exp(x) for x <= 0, to about one unit in the last place. What would be denormal is 0: a caller's
 * flush-to-zero mode must not show.
 */
static double sampler_exp(double x)
{
	static const double inv[] = {	/* 1/13! ... 1/2! */
		0x1.6124613a86d09p-33, 0x1.1eed8eff8d898p-29, 0x1.ae64567f544e4p-26,
		0x1.27e4fb7789f5cp-22, 0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16,
		0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,
		0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1,
	};
	double r, y = inv[0];
	uint64_t bits;
	int k;

	if (!(x > -708))
		return 0;
	k = (int)(x * 0x1.71547652b82fep+0 - 0.5);
	/* ln 2 in two parts, of which the first times k is exact */
	r = x - k * 0x1.62e42fee00000p-1;
	r -= k * 0x1.a39ef35793c76p-33;
	for (unsigned int i = 1; i < sizeof(inv) / sizeof(*inv); i++)
		y = y * r + inv[i];
	y = y * r * r + r + 1;
	bits = (uint64_t)(1023 + k) << 52;
	memcpy(&r, &bits, sizeof(r));
	return y * r;
}

/* 0 for what must never be chosen: NaN and -infinity */
static cand_t cand_make(float logit, uint32_t id)
{
	uint32_t u;

	memcpy(&u, &logit, sizeof(u));
	if (u << 1 > 0xff000000u || u == 0xff800000u)
		return 0;
	if (!(u << 1))
		u = 0;
	u = u >> 31 ? ~u : u | 1u << 31;
	return (cand_t)u << 32 | (UINT32_MAX - id);
}

static int32_t cand_id(cand_t c)
{
	return (int32_t)(UINT32_MAX - (uint32_t)c);
}

static double cand_logit(cand_t c)
{
	uint32_t u = (uint32_t)(c >> 32);
	float f;

	u = u >> 31 ? u & ~(1u << 31) : ~u;
	memcpy(&f, &u, sizeof(f));
	return f;
}

/* How far below the best; an infinite best leaves all others infinitely far. */
static double cand_below(cand_t c, cand_t best)
{
	return c >> 32 == best >> 32 ? 0 : cand_logit(c) - cand_logit(best);
}

/* One heap for both directions: flip is all ones to keep the smallest on top. */
static void heap_down(cand_t *h, size_t n, size_t i, cand_t flip)
{
	cand_t c = h[i];
	size_t k;

	while ((k = 2 * i + 1) < n) {
		if (k + 1 < n && (h[k + 1] ^ flip) > (h[k] ^ flip))
			k++;
		if ((h[k] ^ flip) <= (c ^ flip))
			break;
		h[i] = h[k];
		i = k;
	}
	h[i] = c;
}

static void heap_make(cand_t *h, size_t n, cand_t flip)
{
	for (size_t i = n / 2; i-- > 0; )
		heap_down(h, n, i, flip);
}

/* Moves the top to the end and returns it. */
static cand_t heap_pop(cand_t *h, size_t n, cand_t flip)
{
	cand_t top = h[0];

	h[0] = h[n - 1];
	h[n - 1] = top;
	heap_down(h, n - 1, 0, flip);
	return top;
}

/* The k best, best first. Returns how many there are. */
static size_t sampler_top_k(struct zen5rt_sampler *s, const float *logits, size_t k)
{
	const cand_t flip = ~(cand_t)0;
	cand_t *h = s->cand, c;
	size_t n = 0;
	uint32_t id = 0;

	for (; id < s->n_vocab && n < k; id++) {
		c = cand_make(logits[id], id);
		if (c)
			h[n++] = c;
	}
	heap_make(h, n, flip);
	for (; id < s->n_vocab; id++) {
		c = cand_make(logits[id], id);
		if (c > h[0]) {
			h[0] = c;
			heap_down(h, n, 0, flip);
		}
	}
	/* taking the smallest off to the end again and again leaves the rest sorted */
	for (size_t i = n; i > 1; i--)
		heap_pop(h, i, flip);
	return n;
}

static size_t sampler_all(struct zen5rt_sampler *s, const float *logits, cand_t *best)
{
	size_t n = 0;

	*best = 0;
	for (uint32_t id = 0; id < s->n_vocab; id++) {
		cand_t c = cand_make(logits[id], id);

		if (!c)
			continue;
		s->cand[n++] = c;
		if (c > *best)
			*best = c;
	}
	return n;
}

/*
 * The fewest candidates, best first, whose probabilities reach top_p. Where they are not sorted
 * yet a heap gives up no more of them than are needed.
 */
static size_t sampler_top_p(struct zen5rt_sampler *s, size_t n, cand_t best, bool sorted)
{
	double total = 0, sum = 0;
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		s->weight[i] = sampler_exp(cand_below(s->cand[i], best));
		total += s->weight[i];
	}
	total *= s->p.top_p;
	if (sorted) {
		do
			sum += s->weight[kept++];
		while (kept < n && sum < total);
		return kept;
	}
	heap_make(s->cand, n, 0);
	do
		sum += sampler_exp(cand_below(heap_pop(s->cand, n - kept++, 0), best));
	while (kept < n && sum < total);
	for (size_t i = 0, j = n - 1; i < j; i++, j--) {
		cand_t c = s->cand[i];

		s->cand[i] = s->cand[j];
		s->cand[j] = c;
	}
	return kept;
}

static size_t sampler_min_p(struct zen5rt_sampler *s, size_t n, cand_t best)
{
	size_t kept = 0;

	for (size_t i = 0; i < n; i++)
		if (sampler_exp(cand_below(s->cand[i], best)) >= s->p.min_p)
			s->cand[kept++] = s->cand[i];
	return kept;
}

static int32_t sampler_draw(struct zen5rt_sampler *s, size_t n, cand_t best)
{
	double total = 0, sum = 0, u;
	size_t i;

	for (i = 0; i < n; i++) {
		s->weight[i] = sampler_exp(cand_below(s->cand[i], best) / s->p.temp);
		total += s->weight[i];
	}
	u = sampler_random(s) * total;
	for (i = 0; i + 1 < n; i++) {
		sum += s->weight[i];
		if (sum > u)
			break;
	}
	/* rounding may carry u past the last one that has any weight */
	while (i && s->weight[i] == 0)
		i--;
	return cand_id(s->cand[i]);
}

static int32_t sampler_greedy(const struct zen5rt_sampler *s, const float *logits)
{
	cand_t best = 0;

	for (uint32_t id = 0; id < s->n_vocab; id++) {
		cand_t c = cand_make(logits[id], id);

		if (c > best)
			best = c;
	}
	return best ? cand_id(best) : -EDOM;
}

/* Each token of the ring once, however often it is there: always from the untouched logit. */
static const float *sampler_penalize(struct zen5rt_sampler *s, const float *logits)
{
	float penalty = s->p.repeat_penalty;

	if (!s->n_last)
		return logits;
	memcpy(s->logits, logits, s->n_vocab * sizeof(*logits));
	for (uint32_t i = 0; i < s->n_last; i++) {
		float l = logits[s->last[i]];

		s->logits[s->last[i]] = l > 0 ? l / penalty : l * penalty;
	}
	return s->logits;
}

static int32_t sampler_choose(struct zen5rt_sampler *s, const float *logits)
{
	bool sorted = s->p.top_k && s->p.top_k < s->n_vocab;
	cand_t best;
	size_t n;

	if (s->p.temp <= 0)
		return sampler_greedy(s, logits);
	if (sorted) {
		n = sampler_top_k(s, logits, s->p.top_k);
		best = s->cand[0];
	} else {
		n = sampler_all(s, logits, &best);
	}
	if (!n)
		return -EDOM;
	if (s->p.top_p < 1)
		n = sampler_top_p(s, n, best, sorted);
	if (s->p.min_p > 0)
		n = sampler_min_p(s, n, best);
	return sampler_draw(s, n, best);
}

static int32_t sampler_pick(struct zen5rt_sampler *s, const float *logits)
{
	int64_t r;

	logits = sampler_penalize(s, logits);
	if (!s->matcher)
		return sampler_choose(s, logits);
	if (s->p.temp <= 0) {
		/* mostly the likeliest token is one that is allowed, and a whole mask costs more than one token */
		int32_t id = sampler_greedy(s, logits);

		if (id < 0 || zen5rt_matcher_allows(s->matcher, id))
			return id;
	}
	memcpy(s->allowed, logits, s->n_vocab * sizeof(*logits));
	r = zen5rt_matcher_mask(s->matcher, s->allowed, s->n_vocab, NULL);
	return r < 0 ? (int32_t)r : sampler_choose(s, s->allowed);
}

int zen5rt_sampler_set_matcher(struct zen5rt_sampler *s, struct zen5rt_matcher *matcher,
			       struct zen5rt_error *err)
{
	if (matcher && !z5_matcher_fits(matcher, s->n_vocab))
		return z5_fail(err, -EINVAL, "the grammar is not of the vocabulary of this sampler's %u "
			       "tokens", s->n_vocab);
	if (matcher && !s->allowed)
		s->allowed = malloc(s->n_vocab * sizeof(*s->allowed));
	if (matcher && !s->allowed)
		return z5_fail(err, -ENOMEM, "out of memory for a grammar over %u tokens", s->n_vocab);
	s->matcher = matcher;
	return 0;
}

int32_t zen5rt_sampler_pick(struct zen5rt_sampler *s, const float *logits)
{
	unsigned int fp = z5_fp_enter();
	int32_t id = sampler_pick(s, logits);

	z5_fp_leave(fp);
	return id;
}
