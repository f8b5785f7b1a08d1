// SPDX-License-Identifier: MIT
#include <sched/throttle.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <error.h>

/* A window is so many tokens and so long at least; noise makes it longer. */
#define WINDOW_TOKENS	2
#define WINDOW_NS	20000000
#define WINDOW_GROWTH	16
/* What one window may differ from the next so that a few of them tell 1 % apart. */
#define NOISE_GOOD	0.003

#define CALIBRATION	5	/* windows that tell the noise */
#define CANDIDATE_MAX	4	/* windows of a candidate at most */
#define REFERENCES	6	/* the last windows of the reference count */
#define SEARCH_MAX	46	/* windows of a search, then the best so far is taken */

/* The greater part of the 1 % that is allowed is left to the noise. */
#define AS_GOOD		0.996	/* for fewer threads */
#define WORTH_IT	1.005	/* for more */

#define MOVED		0.05	/* the held rate has changed */
#define MOVED_WINDOWS	4	/* if so many windows in a row say so */
#define ALL_BETTER	1.01	/* what all threads must give for a search */
#define CHECK_FIRST	320	/* windows (without growth) between looks at all threads; a good look doubles it */
#define CHECK_LAST	4096
#define GUARD_GOOD	0.998
#define GUARD_FIRST	512	/* windows between comparisons that the guard starts, which double, too */
#define GUARD_LAST	16384
#define SEARCH_AGAIN	16u	/* windows after a search that changed something */

#define LATENCY_HIGH	2.0	/* times the smallest seen */
#define BUS_HIGH	0.85

/* Up to so many domains are looked at one by one. */
#define SINGLE_DOMAINS	4

#define PATIENCE	0.01	/* share of the time that candidates may cost */

const char *const z5_throttle_modes[] = {
	[Z5_THROTTLE_OFF] = "off", [Z5_THROTTLE_FIXED] = "fixed", [Z5_THROTTLE_PATIENT] = "patient",
	[Z5_THROTTLE_AUTO] = "auto",
};

struct setting {
	unsigned int n[Z5_THROTTLE_DOMAINS];
};

enum phase { CALIBRATE, SEARCH, HOLD };
enum stage { ALL, BISECT, MOVES, ALONE, DONE };
enum verdict { UNDECIDED, FAIL, PASS };

/* A candidate and the reference measured in turns, the candidate first. */
struct trial {
	bool on, candidate;		/* candidate: the window under way is its */
	struct setting with;
	double bar;			/* what it has to reach of the reference's rate */
	double rate[CANDIDATE_MAX];
	unsigned int n;
};

struct z5_throttle {
	struct z5_throttle_params p;
	unsigned int level_max;		/* threads of the largest domain */
	struct setting now, held, all;
	struct setting before;		/* held when the search began */
	enum phase phase;
	const char *why;

	/* the window under way */
	bool skip;			/* the next token comes after a change: caches are cold, it is not counted */
	unsigned int tokens, growth;
	uint64_t ns;
	struct z5_reading from, to;
	struct z5_rates rates;

	double calibration[CALIBRATION];
	unsigned int n_calibration;
	double noise;

	/* the search */
	enum stage stage;
	struct setting ref;		/* the best so far */
	double refs[REFERENCES];
	unsigned int n_refs;
	unsigned int lo, hi;		/* BISECT, levels: too few, enough */
	unsigned int level;
	unsigned int move, stride;	/* MOVES: which way */
	unsigned int in_vain;		/* moves since one was good */
	struct setting failed[SEARCH_MAX];
	unsigned int n_failed;
	struct trial trial;
	double slack;			/* held's rate by the best one's, where it is lower */
	double credit;			/* seconds that candidates may still cost */

	/* hold */
	double settled, all_rate;
	int moved;			/* windows in a row above what was settled, negative: below */
	unsigned int since_check, check_every, since_guard, guard_every, since_search;
	unsigned int unchanged;		/* searches in a row that found what was held before */
	double latency_min;
	enum { NOTHING, CHECK, GUARD } probe;

	unsigned int decisions, search_decisions, searches, changes;
};

/* ---- settings ---- */

/* level threads of the largest domain, and of the others in proportion. */
static struct setting at_level(const struct z5_throttle *t, unsigned int level)
{
	struct setting s = { { 0 } };

	for (unsigned int d = 0; d < t->p.n_domains; d++)
		s.n[d] = (t->p.all[d] * level + t->level_max - 1) / t->level_max;
	return s;
}

static bool same(const struct setting *a, const struct setting *b)
{
	return !memcmp(a, b, sizeof(*a));
}

static unsigned int threads(const struct setting *s)
{
	unsigned int n = 0;

	for (unsigned int d = 0; d < Z5_THROTTLE_DOMAINS; d++)
		n += s->n[d];
	return n;
}

static unsigned int level_of(const struct z5_throttle *t, const struct setting *s)
{
	unsigned int level = 1;

	for (unsigned int i = 1; i <= t->level_max; i++) {
		struct setting at = at_level(t, i);

		if (threads(&at) <= threads(s))
			level = i;
	}
	return level;
}

static void use(struct z5_throttle *t, const struct setting *s)
{
	t->skip |= !same(&t->now, s);
	t->now = *s;
}

static double median(const double *v, unsigned int n)
{
	double a[REFERENCES];

	memcpy(a, v, n * sizeof(*a));
	for (unsigned int i = 1; i < n; i++)
		for (unsigned int k = i; k > 0 && a[k] < a[k - 1]; k--) {
			double x = a[k];

			a[k] = a[k - 1];
			a[k - 1] = x;
		}
	return n % 2 ? a[n / 2] : (a[n / 2 - 1] + a[n / 2]) / 2;
}

/* ---- trials ---- */

static double ref_rate(const struct z5_throttle *t)
{
	return median(t->refs, t->n_refs < REFERENCES ? t->n_refs : REFERENCES);
}

static void trial_begin(struct z5_throttle *t, const struct setting *s)
{
	t->trial = (struct trial){ .on = true, .candidate = true, .with = *s, .bar = WORTH_IT };
	if (threads(s) < threads(&t->ref))
		t->trial.bar = AS_GOOD;
	/* as many as now: it has to be better than what is held, which may be below the reference */
	if (threads(s) == threads(&t->held))
		t->trial.bar = WORTH_IT * t->slack;
	use(t, s);
}

static double trial_ratio(const struct z5_throttle *t)
{
	return median(t->trial.rate, t->trial.n) / ref_rate(t);
}

/* One window is enough where all is clear, four where nothing is. */
static enum verdict trial_verdict(const struct z5_throttle *t)
{
	/* by windows so far: in noises, and beside it */
	static const double sure[CANDIDATE_MAX + 1] = { 0, 5, 2.5, 1.5, 0 };
	static const double margin[CANDIDATE_MAX + 1] = { 0, 0.01, 0.003, 0, 0 };
	const double off = trial_ratio(t) - t->trial.bar;
	const unsigned int n = t->trial.n;

	if (fabs(off) < sure[n] * t->noise + margin[n])
		return UNDECIDED;
	return off < 0 ? FAIL : PASS;
}

/* A window of the trial has given rate. */
static enum verdict trial_window(struct z5_throttle *t, double rate)
{
	struct trial *r = &t->trial;
	enum verdict v = UNDECIDED;

	if (r->candidate) {
		r->rate[r->n++] = rate;
		v = trial_verdict(t);
	} else {
		t->refs[t->n_refs++ % REFERENCES] = rate;
	}
	if (v == UNDECIDED) {
		r->candidate = !r->candidate;
		use(t, r->candidate ? &r->with : &t->ref);
	} else {
		r->on = false;
	}
	return v;
}

/* ---- search ---- */

static void hold(struct z5_throttle *t)
{
	const bool other = !same(&t->before, &t->held);

	t->changes += t->searches && other;
	t->searches++;
	/* what changes its mind is worth looking at again soon, what does not is not */
	t->check_every = other ? CHECK_FIRST : t->check_every * 2;
	t->check_every = t->check_every < CHECK_LAST ? t->check_every : CHECK_LAST;
	t->unchanged = other ? 0 : t->unchanged + 1;
	/* of now, not of later: what comes between the search and a measurement would never be noticed */
	t->settled = ref_rate(t) * t->slack;
	t->moved = 0;
	t->since_check = t->since_search = 0;
	t->probe = NOTHING;
	t->phase = HOLD;
	use(t, &t->held);
}

/* Ways to go from what is held: each domain up, then each down; with many domains all of them at once. */
static unsigned int axes(const struct z5_throttle *t)
{
	return t->p.n_domains <= SINGLE_DOMAINS ? t->p.n_domains : 1;
}

/* by threads more (up) or fewer on an axis; false if there is no such setting. */
static bool step(const struct z5_throttle *t, unsigned int axis, bool up, unsigned int by, struct setting *s)
{
	*s = t->held;
	if (axes(t) < t->p.n_domains) {
		unsigned int level = level_of(t, s);

		if (up ? level == t->level_max : level <= by)
			return false;
		level = up ? level + by : level - by;
		*s = at_level(t, level < t->level_max ? level : t->level_max);
		return true;
	}
	if (up ? s->n[axis] == t->p.all[axis] : s->n[axis] < by + !axis)
		return false;
	s->n[axis] = up ? s->n[axis] + by : s->n[axis] - by;
	s->n[axis] = s->n[axis] < t->p.all[axis] ? s->n[axis] : t->p.all[axis];
	return true;
}

/* What failed against a reference fails against a better one. */
static bool failed(const struct z5_throttle *t, const struct setting *s)
{
	for (unsigned int i = 0; i < t->n_failed; i++)
		if (same(&t->failed[i], s))
			return true;
	return same(s, &t->ref) || same(s, &t->held);
}

static unsigned int moves(const struct z5_throttle *t)
{
	return 2 * axes(t) + axes(t) * (axes(t) - 1);
}

/* Each axis up, then each down, then a thread from one domain to another. */
static bool move(const struct z5_throttle *t, struct setting *s)
{
	const unsigned int n = axes(t), pair = t->move - 2 * n;
	unsigned int from, to;

	if (t->move < 2 * n)
		return step(t, t->move % n, t->move < n, t->stride, s);
	from = pair / (n - 1);
	to = pair % (n - 1);
	to += to >= from;
	*s = t->held;
	if (s->n[from] < 1 + !from || s->n[to] == t->p.all[to])
		return false;
	s->n[from]--;
	s->n[to]++;
	return true;
}

static void next_move(struct z5_throttle *t)
{
	t->move = (t->move + 1) % moves(t);
	t->stride = 1;
	t->in_vain++;
}

/* The next candidate that is worth measuring; false: there is none any more. */
static bool next_candidate(struct z5_throttle *t, struct setting *s)
{
	switch (t->stage) {
	case ALL:
		*s = t->all;
		if (!same(s, &t->ref))
			return true;
		t->stage = BISECT;
		/* fall through */
	case BISECT:
		t->level = (t->lo + t->hi) / 2;
		*s = at_level(t, t->level);
		if (t->hi - t->lo > 1)
			return true;
		t->stage = MOVES;
		t->move = t->in_vain = 0;
		t->stride = 1;
		/* fall through */
	case MOVES:
		for (; t->in_vain < moves(t); next_move(t))
			if (move(t, s) && !failed(t, s))
				return true;
		t->stage = ALONE;
		/* fall through */
	case ALONE:
		/* two that have to wait for each other may be slower than one */
		*s = (struct setting){ { t->p.all[0] } };
		if (t->p.n_domains == 2 && !failed(t, s))
			return true;
		t->stage = DONE;
		/* fall through */
	case DONE:
		break;
	}
	return false;
}

/* In the search, held is the smallest setting that is as good as the best. */
static void accept(struct z5_throttle *t)
{
	const double ratio = trial_ratio(t);

	t->held = t->trial.with;
	t->slack = ratio < 1 ? ratio : 1;
	if (ratio <= 1)
		return;
	t->ref = t->trial.with;
	memcpy(t->refs, t->trial.rate, sizeof(t->trial.rate));
	t->n_refs = t->trial.n;
}

static void search_step(struct z5_throttle *t, bool pass)
{
	if (pass)
		accept(t);
	else
		t->failed[t->n_failed++] = t->trial.with;
	switch (t->stage) {
	case ALL:
		if (pass) {
			t->lo = t->hi;
			t->hi = t->level_max;
		}
		t->stage = BISECT;
		break;
	case BISECT:
		if (pass)
			t->hi = t->level;
		else
			t->lo = t->level;
		break;
	case MOVES:
		if (pass) {
			t->in_vain = 0;
			t->stride *= t->move < axes(t) ? 2 : 1;
		} else {
			next_move(t);
		}
		break;
	case ALONE:
	case DONE:
		t->stage = DONE;
		break;
	}
}

/* Whether the time so far allows to measure this candidate, were it as slow as it has fewer threads. */
static bool affordable(const struct z5_throttle *t, const struct setting *s)
{
	double share = (double)threads(s) / threads(&t->ref);
	double seconds;

	if (t->p.mode != Z5_THROTTLE_PATIENT || share >= 1)
		return true;
	/* the token that is not counted is one of the window's more */
	seconds = 1.5 * (double)t->ns * 1e-9 / share;
	return t->credit >= (1 - share) * seconds;
}

static void search_go_on(struct z5_throttle *t)
{
	struct setting s;

	if (t->search_decisions >= SEARCH_MAX || !next_candidate(t, &s)) {
		t->stage = DONE;
		hold(t);
		return;
	}
	if (affordable(t, &s))
		trial_begin(t, &s);
	else
		use(t, &t->ref);
}

static void search_window(struct z5_throttle *t, double rate)
{
	enum verdict v;

	if (t->trial.on) {
		t->decisions++;
		t->search_decisions++;
		v = trial_window(t, rate);
		if (t->trial.on && t->search_decisions < SEARCH_MAX)
			return;
		t->trial.on = false;
		if (v != UNDECIDED)
			search_step(t, v == PASS);
	}
	search_go_on(t);
}

static void search_begin(struct z5_throttle *t, const char *why)
{
	t->why = why;
	t->phase = CALIBRATE;
	t->n_calibration = 0;
	t->search_decisions = 0;
	t->trial.on = false;
	t->growth = 1;
	t->before = t->ref = t->held;
	t->slack = 1;
	t->n_failed = 0;
	t->hi = level_of(t, &t->held);
	t->lo = 0;
	t->stage = ALL;
	use(t, &t->ref);
}

/* The windows that tell what a window is worth. */
static void calibrate_window(struct z5_throttle *t, double rate)
{
	double dev[CALIBRATION];

	t->decisions++;
	t->search_decisions++;
	t->calibration[t->n_calibration++] = rate;
	if (t->n_calibration < CALIBRATION)
		return;
	memcpy(t->refs, t->calibration, sizeof(t->calibration));
	t->n_refs = CALIBRATION;
	for (unsigned int i = 0; i < CALIBRATION; i++)
		dev[i] = fabs(t->calibration[i] / ref_rate(t) - 1);
	/* of a normal distribution */
	t->noise = 1.4826 * median(dev, CALIBRATION);
	if (t->noise > NOISE_GOOD) {
		double growth = (t->noise / NOISE_GOOD) * (t->noise / NOISE_GOOD);

		t->growth = growth < WINDOW_GROWTH ? (unsigned int)growth + 1 : WINDOW_GROWTH;
		t->noise /= sqrt(t->growth);
	}
	t->phase = SEARCH;
	search_go_on(t);
}

/* ---- hold ---- */

static void probe_end(struct z5_throttle *t, bool pass)
{
	const double ratio = trial_ratio(t);
	const bool check = t->probe == CHECK;

	t->probe = NOTHING;
	if (check) {
		t->all_rate = median(t->trial.rate, t->trial.n);
		t->check_every = t->check_every * 2 < CHECK_LAST ? t->check_every * 2 : CHECK_LAST;
		if (pass) {
			search_begin(t, "all threads were faster");
			return;
		}
	} else if (pass) {
		t->held = t->trial.with;
		t->slack *= ratio < 1 ? ratio : 1;
		t->changes++;
		t->settled *= ratio;
	} else {
		t->guard_every *= t->guard_every < GUARD_LAST ? 2 : 1;
	}
	use(t, &t->held);
}

/* A thread less in the domain that has most of them, or in every domain. */
static bool one_less(const struct z5_throttle *t, struct setting *s)
{
	unsigned int most = 0;

	for (unsigned int d = 1; d < axes(t); d++)
		if (t->held.n[d] >= t->held.n[most])
			most = d;
	return step(t, most, false, 1, s);
}

static bool overloaded(const struct z5_throttle *t)
{
	return t->rates.dram_ns > LATENCY_HIGH * t->latency_min && t->rates.bus > BUS_HIGH;
}

static void hold_window(struct z5_throttle *t, double rate)
{
	const bool high = overloaded(t);
	struct setting s;
	enum verdict v;
	double ratio;

	if (t->trial.on) {
		v = trial_window(t, rate);
		/* of a look at all threads one window is enough to see that they are no better */
		if (t->trial.on && t->probe == CHECK && trial_ratio(t) <= 1) {
			t->trial.on = false;
			v = FAIL;
		}
		if (!t->trial.on)
			probe_end(t, v == PASS);
		return;
	}
	/* in windows without growth: noise must not make it blind for longer */
	t->since_check += t->growth;
	t->since_guard += t->growth;
	t->since_search += t->growth;
	ratio = rate / t->settled;
	if (fabs(ratio - 1) <= MOVED + 4 * t->noise)
		t->moved = 0;
	else if (ratio > 1)
		t->moved = t->moved > 0 ? t->moved + 1 : 1;
	else
		t->moved = t->moved < 0 ? t->moved - 1 : -1;
	/* the more often it found nothing to change, the longer it waits */
	if (abs(t->moved) >= MOVED_WINDOWS &&
	    t->since_search >= SEARCH_AGAIN << (t->unchanged < 6 ? t->unchanged : 6)) {
		search_begin(t, rate < t->settled ? "the rate fell" : "the rate rose");
		return;
	}
	t->ref = t->held;
	t->refs[t->n_refs++ % REFERENCES] = rate;
	if (t->since_check >= t->check_every) {
		t->since_check = 0;
		if (same(&t->held, &t->all)) {
			search_begin(t, "a look at fewer threads");
			return;
		}
		t->probe = CHECK;
		trial_begin(t, &t->all);
		t->trial.bar = ALL_BETTER;
	} else if (high && t->since_guard >= t->guard_every && one_less(t, &s)) {
		t->since_guard = 0;
		t->probe = GUARD;
		trial_begin(t, &s);
		/* tried over and over, so chance must not carry it down */
		t->trial.bar = GUARD_GOOD / t->slack;
	}
}

/* ---- the door ---- */

void z5_throttle_reset(struct z5_throttle *t)
{
	t->now = t->held = t->all;
	t->noise = 0;
	t->growth = 1;
	t->credit = 0;
	t->settled = t->all_rate = t->latency_min = NAN;
	t->searches = t->decisions = t->changes = 0;
	t->check_every = CHECK_FIRST;
	t->since_guard = 0;
	t->guard_every = GUARD_FIRST;
	t->unchanged = 0;
	t->probe = NOTHING;
	search_begin(t, "the start");
	t->skip = true;
}

struct z5_throttle *z5_throttle_new(const struct z5_throttle_params *p)
{
	struct z5_throttle *t = calloc(1, sizeof(*t));

	if (!t)
		return NULL;
	t->p = *p;
	if (!p->n_domains || p->n_domains > Z5_THROTTLE_DOMAINS) {
		t->p.mode = Z5_THROTTLE_OFF;
		t->p.n_domains = 0;
	}
	for (unsigned int d = 0; d < t->p.n_domains; d++) {
		t->all.n[d] = p->all[d];
		t->level_max = p->all[d] > t->level_max ? p->all[d] : t->level_max;
	}
	z5_throttle_reset(t);
	if (t->p.mode == Z5_THROTTLE_FIXED)
		memcpy(t->now.n, p->fixed, t->p.n_domains * sizeof(*p->fixed));
	t->held = t->now;
	/* with one thread there is nothing to choose */
	if (threads(&t->all) < 2 && t->p.mode != Z5_THROTTLE_FIXED)
		t->p.mode = Z5_THROTTLE_OFF;
	return t;
}

void z5_throttle_free(struct z5_throttle *t)
{
	free(t);
}

const unsigned int *z5_throttle_counts(const struct z5_throttle *t)
{
	return t->p.mode == Z5_THROTTLE_OFF ? NULL : t->now.n;
}

void z5_throttle_token(struct z5_throttle *t, struct z5_counters *c, uint64_t ns)
{
	uint64_t bytes, busy;
	double rate;

	if (t->p.mode == Z5_THROTTLE_OFF || t->p.mode == Z5_THROTTLE_FIXED)
		return;
	if (t->skip) {
		t->skip = false;
		z5_counters_read(c, &t->from);
		t->tokens = 0;
		t->ns = 0;
		return;
	}
	t->tokens++;
	t->ns += ns;
	if (t->tokens < WINDOW_TOKENS * t->growth || t->ns < (uint64_t)WINDOW_NS * t->growth)
		return;
	z5_counters_read(c, &t->to);
	bytes = t->to.streamed - t->from.streamed;
	busy = t->to.busy_ns - t->from.busy_ns;
	if (!z5_rates(&t->from, &t->to, &t->rates))
		t->rates.dram_ns = t->rates.bus = NAN;
	if (t->rates.dram_ns > 0 && !(t->latency_min <= t->rates.dram_ns))
		t->latency_min = t->rates.dram_ns;
	t->from = t->to;
	t->tokens = 0;
	if (!bytes || !busy)
		return;
	rate = (double)bytes / (double)busy * 1e9;
	t->credit += PATIENCE * (double)busy * 1e-9;
	if (t->trial.on && t->trial.candidate && rate < ref_rate(t))
		t->credit -= (1 - rate / ref_rate(t)) * (double)busy * 1e-9;
	if (same(&t->now, &t->all))
		t->all_rate = rate;
	switch (t->phase) {
	case CALIBRATE:
		calibrate_window(t, rate);
		break;
	case SEARCH:
		search_window(t, rate);
		break;
	case HOLD:
		hold_window(t, rate);
		break;
	}
	t->ns = 0;
}

/* ---- what it tells ---- */

void z5_throttle_info(const struct z5_throttle *t, struct z5_throttle_info *info)
{
	*info = (struct z5_throttle_info){
		.mode = t->p.mode,
		.searching = t->p.mode >= Z5_THROTTLE_PATIENT && t->phase != HOLD,
		.n_domains = t->p.n_domains,
		.decisions = t->decisions,
		.search_decisions = t->search_decisions,
		.searches = t->searches,
		.changes = t->changes,
		.held_bytes_s = t->settled,
		.all_bytes_s = t->all_rate,
		.noise = t->noise,
		.why = t->why,
		.source = t->to.source ? t->to.source : "",
	};
	memcpy(info->now, t->now.n, sizeof(info->now));
	memcpy(info->held, t->held.n, sizeof(info->held));
}

/* "8+8"; of many domains only how many threads in how many. */
static void put_setting(char *text, size_t len, const struct z5_throttle *t, const struct setting *s)
{
	size_t n = 0;

	if (t->p.n_domains > SINGLE_DOMAINS) {
		snprintf(text, len, "%u in %u domains", threads(s), t->p.n_domains);
		return;
	}
	for (unsigned int d = 0; d < t->p.n_domains && n < len; d++)
		n += (size_t)snprintf(text + n, len - n, "%s%u", d ? "+" : "", s->n[d]);
}

void z5_throttle_text(const struct z5_throttle *t, char *text, size_t len)
{
	const char *const mode = z5_throttle_modes[t->p.mode];
	char now[64], all[64];

	if (t->p.mode == Z5_THROTTLE_OFF) {
		snprintf(text, len, "%s", mode);
		return;
	}
	put_setting(now, sizeof(now), t, &t->now);
	put_setting(all, sizeof(all), t, &t->all);
	if (t->p.mode == Z5_THROTTLE_FIXED)
		snprintf(text, len, "%s: %s of %s threads", mode, now, all);
	else if (t->phase == HOLD)
		snprintf(text, len, "%s: %s of %s threads, held", mode, now, all);
	else
		snprintf(text, len, "%s: %s of %s threads, searching (%s)", mode, now, all, t->why);
}

int z5_throttle_parse(const char *text, struct z5_throttle_params *p, struct zen5rt_error *err)
{
	const char *s = text;
	unsigned int n = 0;

	p->mode = Z5_THROTTLE_PATIENT;
	if (!text)
		return 0;
	if (!strcmp(text, "off") || !strcmp(text, "auto")) {
		p->mode = *text == 'o' ? Z5_THROTTLE_OFF : Z5_THROTTLE_AUTO;
		return 0;
	}
	p->mode = Z5_THROTTLE_FIXED;
	do {
		char *end;
		unsigned long v;

		if (*s < '0' || *s > '9')
			return z5_fail(err, -EINVAL, "throttle=%.32s: off, auto, a number of threads, or N,N,... by L3 domain", text);
		errno = 0;
		v = strtoul(s, &end, 10);
		if (n == p->n_domains)
			return z5_fail(err, -EINVAL, "throttle=%.32s: there are threads in %u L3 domains only", text,
				       p->n_domains);
		if (errno || v > p->all[n])
			return z5_fail(err, -EINVAL, "throttle=%.32s: L3 domain %u has %u threads", text, n, p->all[n]);
		p->fixed[n++] = (unsigned int)v;
		s = *end == ',' ? end + 1 : end;
		if (*end && *end != ',')
			return z5_fail(err, -EINVAL, "throttle=%.32s: off, auto, a number of threads, or N,N,... by L3 domain", text);
		if (*end == ',' && !*s)
			return z5_fail(err, -EINVAL, "throttle=%.32s: a number is missing at the end", text);
	} while (*s);
	for (unsigned int d = n; n == 1 && d < p->n_domains; d++)
		p->fixed[d] = p->fixed[0] < p->all[d] ? p->fixed[0] : p->all[d];
	if (n > 1 && n < p->n_domains)
		return z5_fail(err, -EINVAL, "throttle=%.32s: %u numbers for %u L3 domains", text, n, p->n_domains);
	if (!p->fixed[0])
		return z5_fail(err, -EINVAL, "throttle=%.32s: the first L3 domain has the caller's thread, so at least 1", text);
	return 0;
}
