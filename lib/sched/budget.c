// SPDX-License-Identifier: MIT
#include <sched/budget.h>

#include <time.h>
#include <x86intrin.h>

/* Timers are up to so late; what is shorter is waited for awake. */
#define BUDGET_AWAKE_NS	60000

static uint64_t budget_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void z5_budget_wait(struct z5_budget *b, double bytes_s, uint64_t bytes)
{
	const uint64_t now = budget_now(), wait = z5_budget_take(b, now, bytes_s, bytes);
	struct timespec t = { .tv_sec = (time_t)((now + wait) / 1000000000u),
			     .tv_nsec = (long)((now + wait) % 1000000000u) };

	if (wait > BUDGET_AWAKE_NS)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	while (wait && budget_now() < now + wait)
		_mm_pause();
}
