/* SPDX-License-Identifier: MIT */
/* Wall time, and order for medians: a neighbour on the machine makes the mean say nothing. */
#ifndef Z5_BENCH_TIMING_H
#define Z5_BENCH_TIMING_H

#include <stdlib.h>
#include <time.h>

/* Seconds. */
static inline double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static inline int by_value(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Puts n doubles in order; the median is v[n / 2]. */
static inline void in_order(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
}

#endif
