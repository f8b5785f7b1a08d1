// SPDX-License-Identifier: MIT
#include <sched/budget.h>

#include <time.h>
#include <x86intrin.h>

#include <clock.h>

/* Timers are up to so late; what is shorter is waited for awake. */
#define BUDGET_AWAKE_NS	60000

void z5_budget_wait(struct z5_budget *b, double bytes_s, uint64_t bytes)
{
	const uint64_t now = z5_now_ns(), wait = z5_budget_take(b, now, bytes_s, bytes);
	struct timespec t = { .tv_sec = (time_t)((now + wait) / 1000000000u),
			     .tv_nsec = (long)((now + wait) % 1000000000u) };

	if (wait > BUDGET_AWAKE_NS)
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, NULL);
	while (wait && z5_now_ns() < now + wait)
		_mm_pause();
}
