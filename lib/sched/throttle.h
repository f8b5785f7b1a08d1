/* SPDX-License-Identifier: MIT */
/*
 * How many threads of each L3 domain stream weights while single tokens are decoded. Decode is
 * bound by memory: past some number more threads add nothing but power, latency for others, and
 * where CPUs are shared even cost.
 *
 * What it goes by is what this process streams in what time, as lib/counters tells: nobody else's
 * traffic is in it, and no hardware counter can lie about it. Latency and bus use from better
 * sources only ever start a comparison.
 *
 *  search   the smallest number that is within 1 % of the best: bisection of a number for all
 *           domains; then, with few of them, more or fewer threads in single domains, or a thread
 *           from one to another; then one domain alone. Each candidate is compared with the best
 *           so far in windows side by side, and decided as soon as that is clear.
 *  hold     until the rate moves for good (others came or went, clocks changed), then search
 *           again. Now and then, ever more seldom, all threads are tried: are they better, it
 *           searches, too.
 *  guard    DRAM latency above twice the smallest seen, with the bus in use for more than 85 %: is
 *           a thread less as good?
 */
#ifndef Z5_THROTTLE_H
#define Z5_THROTTLE_H

#include <counters/counters.h>
#include <stdbool.h>
#include <stdint.h>

#define Z5_THROTTLE_DOMAINS	64

enum z5_throttle_mode {
	Z5_THROTTLE_OFF,
	Z5_THROTTLE_FIXED,
	/*
	 * Searches, but what candidates have cost so far stays below 1 % of the time: a short run
	 * is never slower for it.
	 */
	Z5_THROTTLE_PATIENT,
	Z5_THROTTLE_AUTO,	/* searches at once */
};

struct z5_throttle_params {
	enum z5_throttle_mode mode;
	unsigned int n_domains;				/* at most Z5_THROTTLE_DOMAINS, else it is off */
	unsigned int all[Z5_THROTTLE_DOMAINS];		/* threads that there are, at least 1 */
	unsigned int fixed[Z5_THROTTLE_DOMAINS];	/* for Z5_THROTTLE_FIXED */
};

struct z5_throttle_info {
	enum z5_throttle_mode mode;
	bool searching;
	unsigned int n_domains;
	unsigned int now[Z5_THROTTLE_DOMAINS];	/* threads of the next token */
	unsigned int held[Z5_THROTTLE_DOMAINS];	/* between searches */
	unsigned int decisions;		/* windows that searches have measured so far */
	unsigned int search_decisions;	/* of them in the last search */
	unsigned int searches;		/* finished */
	unsigned int changes;		/* of what is held, the first search's not counted */
	double held_bytes_s, all_bytes_s;	/* as last compared; NaN: not yet */
	double noise;			/* of a window, relative */
	const char *why;		/* why it searched last, static */
	const char *source;		/* of the readings, static; "" before the first */
};

/* "off", "fixed", "patient", "auto", by mode. */
extern const char *const z5_throttle_modes[];

struct z5_throttle;

/* NULL: out of memory. */
struct z5_throttle *z5_throttle_new(const struct z5_throttle_params *p);
/* Accepts NULL. */
void z5_throttle_free(struct z5_throttle *t);

/* Threads by domain for the next token: for z5_pool_run_on(). NULL: all of them. */
const unsigned int *z5_throttle_counts(const struct z5_throttle *t);

/*
 * A token was decoded with those threads within ns, and z5_counters_streamed() told c of it. c is read when a window is
 * complete.
 */
void z5_throttle_token(struct z5_throttle *t, struct z5_counters *c, uint64_t ns);

/* Another model, or another machine below: what was learnt is forgotten. */
void z5_throttle_reset(struct z5_throttle *t);

void z5_throttle_info(const struct z5_throttle *t, struct z5_throttle_info *info);

/* "auto: 4+4 of 8+8 threads, held" */
void z5_throttle_text(const struct z5_throttle *t, char *text, size_t len);

/*
 * "off", "auto", "N" threads of every domain, or "N,N,..." by domain; NULL: patient. Fills mode and fixed of p, whose
 * n_domains and all are set. -EINVAL with a line that quotes the text.
 */
int z5_throttle_parse(const char *text, struct z5_throttle_params *p, struct zen5rt_error *err);

#endif
