/* SPDX-License-Identifier: MIT */
#ifndef Z5_CLOCK_H
#define Z5_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Nanoseconds of a clock that only goes forward: CLOCK_MONOTONIC, which the module stamps its samples with. */
static inline uint64_t z5_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

#endif
