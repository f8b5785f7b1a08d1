// SPDX-License-Identifier: MIT
/* The sampler against a plain second implementation, and against its own past. */
#include "tests/tap.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <time.h>
#include <zen5rt.h>

static struct zen5rt_sampler_params defaults(void)
{
	struct zen5rt_sampler_params p;

	zen5rt_sampler_params_init(&p);
	return p;
}

/* Everything off: plain sampling from the softmax. */
static struct zen5rt_sampler_params plain(void)
{
	struct zen5rt_sampler_params p = defaults();

	p.temp = 1;
	p.top_k = 0;
	p.top_p = 1;
	p.min_p = 0;
	return p;
}

static struct zen5rt_sampler *make(struct zen5rt_sampler_params p, uint32_t n)
{
	struct zen5rt_sampler *s;
	struct zen5rt_error err;

	if (zen5rt_sampler_new(&p, n, &s, &err)) {
		diag("%s", err.message);
		abort();
	}
	return s;
}

static int32_t pick(struct zen5rt_sampler_params p, const float *logits, uint32_t n)
{
	struct zen5rt_sampler *s = make(p, n);
	int32_t id = zen5rt_sampler_pick(s, logits);

	zen5rt_sampler_free(s);
	return id;
}

/* A generator for test data that is not the sampler's. */
static uint32_t rnd(uint32_t *state)
{
	*state = *state * 1664525 + 1013904223;
	return *state >> 8;
}

static void test_greedy(void)
{
	struct zen5rt_sampler_params p = defaults();
	const float minus = -INFINITY;

	p.temp = 0;
	ok(pick(p, (float[]){ 1, 3, 2, 3 }, 4) == 1, "greedy takes the lowest id of equals");
	ok(pick(p, (float[]){ NAN, -5, -NAN, -4, NAN }, 5) == 3, "greedy never takes NaN");
	ok(pick(p, (float[]){ -0.0f, 0.0f }, 2) == 0, "zero and minus zero are equal");
	ok(pick(p, (float[]){ -1e-44f, 1e-44f }, 2) == 1, "denormals are told apart");
	ok(pick(p, (float[]){ 1, INFINITY, 2 }, 3) == 1, "infinity is the greatest");
	for (int temp = 0; temp < 2; temp++) {
		p.temp = (float)temp;
		ok(pick(p, (float[]){ NAN, minus, NAN }, 3) == -EDOM,
		   "temp %d: nothing to choose is -EDOM", temp);
		ok(pick(p, (float[]){ NAN, minus, -7 }, 3) == 2, "temp %d: what is left", temp);
		ok(pick(p, (float[]){ 1, INFINITY, 2 }, 3) == 1, "temp %d: infinity wins", temp);
	}
}

static void test_penalty(void)
{
	struct zen5rt_sampler_params p = defaults();
	struct zen5rt_sampler *s;

	p.temp = 0;
	p.repeat_penalty = 1.05f;
	s = make(p, 3);
	zen5rt_sampler_accept(s, 0);
	zen5rt_sampler_accept(s, 0);
	zen5rt_sampler_accept(s, -1);
	zen5rt_sampler_accept(s, 3);
	ok(zen5rt_sampler_pick(s, (float[]){ 2, 1.9f, 0 }) == 0, "a token is penalized once");
	ok(zen5rt_sampler_pick(s, (float[]){ 2, 1.91f, 0 }) == 1, "a positive logit is divided");
	ok(zen5rt_sampler_pick(s, (float[]){ -2, -2.05f, -9 }) == 1, "a negative one multiplied");
	zen5rt_sampler_free(s);

	p.repeat_last_n = 2;
	p.repeat_penalty = 4;
	s = make(p, 4);
	zen5rt_sampler_accept(s, 0);
	zen5rt_sampler_accept(s, 1);
	ok(zen5rt_sampler_pick(s, (float[]){ 4, 3, 2, 1 }) == 2, "two tokens back are remembered");
	zen5rt_sampler_accept(s, 2);
	ok(zen5rt_sampler_pick(s, (float[]){ 4, 3, 2, 1 }) == 0, "and no more");
	zen5rt_sampler_free(s);
}

/* ---- the set of tokens that may come out, computed the obvious way ---- */

static const float *by_logits;

static int by_logit(const void *a, const void *b)
{
	int x = *(const int *)a, y = *(const int *)b;

	if (by_logits[x] != by_logits[y])
		return by_logits[x] > by_logits[y] ? -1 : 1;
	return x - y;
}

static int reference(const struct zen5rt_sampler_params *p, const float *logits, int n, int *order,
		     double *prob)
{
	double total = 0, sum = 0, max;
	int kept = n;

	for (int i = 0; i < n; i++)
		order[i] = i;
	by_logits = logits;
	qsort(order, (size_t)n, sizeof(*order), by_logit);
	max = logits[order[0]];
	if (p->top_k && (int)p->top_k < kept)
		kept = (int)p->top_k;
	for (int i = 0; i < kept; i++)
		total += exp(logits[order[i]] - max);
	for (int i = 0; i < kept && p->top_p < 1; i++) {
		sum += exp(logits[order[i]] - max) / total;
		if (sum >= p->top_p)
			kept = i + 1;
	}
	while (kept > 1 && exp(logits[order[kept - 1]] - max) < p->min_p)
		kept--;
	total = 0;
	for (int i = 0; i < kept; i++)
		total += prob[i] = exp((logits[order[i]] - max) / p->temp);
	for (int i = 0; i < kept; i++)
		prob[i] /= total;
	return kept;
}

static void against_reference(const char *name, struct zen5rt_sampler_params p)
{
	enum { N = 60, DRAWS = 20000 };
	static int order[N], count[N];
	static double prob[N];
	float logits[N];
	struct zen5rt_sampler *s;
	uint32_t state = 7;
	double chi = 0;
	int kept, outside = 0;

	for (int i = 0; i < N; i++)
		logits[i] = (float)(rnd(&state) % 600) / 100;
	logits[5] = logits[17] = 5.5f;
	kept = reference(&p, logits, N, order, prob);
	memset(count, 0, sizeof(count));
	s = make(p, N);
	for (int i = 0; i < DRAWS; i++)
		count[zen5rt_sampler_pick(s, logits)]++;
	zen5rt_sampler_free(s);
	for (int i = 0; i < N; i++) {
		double want = i < kept ? prob[i] * DRAWS : 0, diff = count[order[i]] - want;

		outside += i < kept ? 0 : count[order[i]];
		if (want > 0)
			chi += diff * diff / want;
	}
	/* mean kept - 1, variance twice that: eight sigma, and the seed is fixed */
	if (!ok(!outside && chi < kept + 8 * sqrt(2.0 * kept), "%s: %d candidates", name, kept))
		diag("%d draws outside the set, chi square %g", outside, chi);
}

static void test_reference(void)
{
	struct zen5rt_sampler_params p = plain();

	against_reference("plain", p);
	p.temp = 2.5f;
	against_reference("hot", p);
	p = plain();
	p.top_k = 7;
	against_reference("top-k", p);
	p = plain();
	p.top_p = 0.6f;
	against_reference("top-p", p);
	p.temp = 3;
	against_reference("top-p, then temperature", p);
	p = plain();
	p.min_p = 0.3f;
	against_reference("min-p", p);
	p.temp = 5;
	against_reference("min-p, then temperature", p);
	p = defaults();
	p.top_k = 12;
	p.min_p = 0.1f;
	against_reference("all of them", p);
	p.top_k = 59;
	p.top_p = 0.5f;
	against_reference("wide top-k, narrow top-p", p);
}

static void test_edges(void)
{
	struct zen5rt_sampler_params p = plain();
	float logits[] = { 0, 2, 1, 2 };
	unsigned int seen = 0;

	p.top_k = 1;
	ok(pick(p, logits, 4) == 1, "top_k 1 is greedy, lowest id of equals");
	p.top_k = 0;
	p.top_p = 0;
	ok(pick(p, logits, 4) == 1, "top_p 0 leaves one");
	p.top_p = 1;
	p.min_p = 1;
	for (p.seed = 0; p.seed < 20; p.seed++)
		seen |= 1u << pick(p, logits, 4);
	ok(seen == (1u << 1 | 1u << 3), "min_p 1 leaves the best and its equals");
	p = plain();
	p.temp = 1e-38f;
	ok(pick(p, (float[]){ -1, 3, 2 }, 3) == 1, "a tiny temperature is greedy");
	p.temp = 3e38f;
	ok(pick(p, (float[]){ -1, 3, 2 }, 3) >= 0, "a huge one is no error");
	p.temp = 1;
	ok(pick(p, (float[]){ -3e38f, 3e38f, 0 }, 3) == 1, "logits at the ends of float");
	ok(pick(p, (float[]){ 4 }, 1) == 0, "a vocabulary of one");
}

static void test_same(void)
{
	/* Written down once: another machine, compiler or level must repeat it. */
	static const int32_t want[2][12] = {
		{ 695, 82, 841, 259, 91, 316, 808, 220, 929, 853, 871, 162 },
		{ 255, 681, 364, 987, 571, 250, 441, 933, 864, 335, 731, 761 },
	};
	float logits[1000];
	uint32_t state = 1;

	for (int i = 0; i < 1000; i++)
		logits[i] = (float)(rnd(&state) & 0xffff) / 8192;
	for (int k = 0; k < 2; k++) {
		struct zen5rt_sampler_params p = defaults();
		struct zen5rt_sampler *s;
		int32_t got[12];

		p.seed = 42 + (uint64_t)k;
		p.top_k = k ? 0 : 40;
		p.repeat_penalty = 1.1f;
		s = make(p, 1000);
		for (int i = 0; i < 12; i++) {
			got[i] = zen5rt_sampler_pick(s, logits);
			zen5rt_sampler_accept(s, got[i]);
		}
		zen5rt_sampler_free(s);
		if (ok(!memcmp(got, want[k], sizeof(got)), "seed %d: as it always was", 42 + k))
			continue;
		for (int i = 0; i < 12; i++)
			diag("%d,", got[i]);
	}
}

static void test_errors(void)
{
#define FIELD(name) #name, offsetof(struct zen5rt_sampler_params, name)
	static const struct { const char *name; size_t at; float val; } bad[] = {
		{ FIELD(temp), NAN }, { FIELD(temp), INFINITY },
		{ FIELD(top_p), NAN }, { FIELD(top_p), -0.1f },
		{ FIELD(min_p), 1.5f }, { FIELD(min_p), NAN },
		{ FIELD(repeat_penalty), 0 }, { FIELD(repeat_penalty), INFINITY },
	};
#undef FIELD
	struct zen5rt_sampler_params p = defaults();
	struct zen5rt_sampler *s = NULL;
	struct zen5rt_error err;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		p = defaults();
		memcpy((char *)&p + bad[i].at, &bad[i].val, sizeof(float));
		err.message[0] = '\0';
		ok(zen5rt_sampler_new(&p, 10, &s, &err) == -EINVAL &&
		   strstr(err.message, bad[i].name), "%g: %s", bad[i].val, err.message);
	}
	p = defaults();
	ok(zen5rt_sampler_new(&p, 0, &s, NULL) == -EINVAL, "an empty vocabulary is refused");
	p.repeat_last_n = UINT32_MAX;
	ok(zen5rt_sampler_new(&p, 10, &s, NULL) == -EINVAL, "an endless memory is refused");
	memset(&p, 0, sizeof(p));
	ok(zen5rt_sampler_new(&p, 10, &s, NULL) == -EINVAL, "so are parameters without a size");
	ok(!s, "nothing was handed out");
	zen5rt_sampler_free(NULL);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void test_speed(void)
{
	enum { N = 150000, RUNS = 20 };
	float *logits = malloc(N * sizeof(*logits));
	uint32_t state = 3;

	for (int i = 0; i < N; i++) {
		logits[i] = 0;
		for (int j = 0; j < 6; j++)
			logits[i] += (float)(rnd(&state) & 0xffff) / 16384;
	}
	for (int k = 0; k < 3; k++) {
		struct zen5rt_sampler_params p = defaults();
		struct zen5rt_sampler *s;
		double best = 1e9;

		p.top_k = k == 1 ? 0 : 40;
		p.repeat_penalty = k == 2 ? 1.1f : 1;
		s = make(p, N);
		for (int i = 0; i < RUNS; i++) {
			double t = now();

			zen5rt_sampler_accept(s, zen5rt_sampler_pick(s, logits));
			t = now() - t;
			best = t < best ? t : best;
		}
		zen5rt_sampler_free(s);
		diag("%d logits, top_k %u, repeat_penalty %g: %.3f ms", N, p.top_k,
		     p.repeat_penalty, best * 1e3);
	}
	free(logits);
}

int main(void)
{
	test_greedy();
	test_penalty();
	test_reference();
	test_edges();
	test_same();
	test_errors();
	test_speed();
	return done();
}
