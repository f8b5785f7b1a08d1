/* SPDX-License-Identifier: MIT */
/*
 * What a runtime does beside computing: counts what it streams, lets the throttle choose the threads that decode, keeps
 * within a budget, caps others, and shows all of it (status.h).
 */
#ifndef Z5_GOVERN_H
#define Z5_GOVERN_H

#include <counters/counters.h>
#include <sched/cap.h>
#include <sched/pool.h>
#include <sched/status.h>
#include <sched/throttle.h>

struct z5_govern {
	struct z5_throttle_params params;
	struct z5_throttle *throttle;
	struct z5_counters *counters;	/* NULL: the throttle does not search */
	struct z5_status_page *page;
	struct z5_status status;
	struct z5_cap *cap;
	double budget;			/* bytes a second, 0: none */
	const void *model;		/* the last that was decoded with */
};

/*
 * Caps others (bytes_s 0: only undoes what a killed run has left). Ahead of the pool, since threads are born into the
 * group of their maker. g is all zero.
 */
int z5_govern_cap(struct z5_govern *g, double bytes_s, struct zen5rt_error *err);
/* Behind the pool. On failure z5_govern_close() is still to be called. */
int z5_govern_open(struct z5_govern *g, const struct zen5rt_params *p, const struct z5_pool *pool,
		   struct zen5rt_error *err);
void z5_govern_close(struct z5_govern *g);

/* The file whose name is shown. */
void z5_govern_loaded(struct z5_govern *g, const char *path);

/* Threads by domain for the next lone token of model: for z5_pool_run_on(). */
const unsigned int *z5_govern_counts(struct z5_govern *g, const void *model);
/* A lone token streamed so many bytes in so many ns. */
void z5_govern_decoded(struct z5_govern *g, uint64_t bytes, uint64_t ns);
/* Others were evaluated together. */
void z5_govern_prefilled(struct z5_govern *g, uint64_t tokens, uint64_t ns);

void z5_govern_info(const struct z5_govern *g, struct zen5rt_throttle_info *info);

#endif
