/* SPDX-License-Identifier: MIT */
/*
 * A token bucket that keeps a thread's reading of memory within a rate: for the sake of others,
 * since pausing gains nothing for who pauses. The bucket holds what may be read within a
 * millisecond, so that neither a long pause before nor a late wake-up lets more through later than
 * that.
 */
#ifndef Z5_BUDGET_H
#define Z5_BUDGET_H

#include <stdint.h>

#define Z5_BUDGET_DEPTH_NS	1000000

/* One a thread, all zero at first. */
struct z5_budget {
	uint64_t due;		/* ns: when what was taken so far is paid for */
};

/* Takes bytes at time now; ns that have to pass before they are read. bytes_s > 0. */
static inline uint64_t z5_budget_take(struct z5_budget *b, uint64_t now, double bytes_s, uint64_t bytes)
{
	if (b->due + Z5_BUDGET_DEPTH_NS < now)
		b->due = now - Z5_BUDGET_DEPTH_NS;
	b->due += (uint64_t)((double)bytes / bytes_s * 1e9);
	return b->due > now ? b->due - now : 0;
}

/* The same, and lets that time pass. */
void z5_budget_wait(struct z5_budget *b, double bytes_s, uint64_t bytes);

#endif
