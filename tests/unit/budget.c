// SPDX-License-Identifier: MIT
/* The token bucket: by its own clock, so that no test waits. */
#include <sched/budget.h>

#include "../tap.h"

/* Reads n pieces at times that take busy ns each, and pauses as it is told to; the bytes that were read by `until`. */
static uint64_t read_until(struct z5_budget *b, uint64_t *now, double bytes_s, uint64_t piece,
			   uint64_t busy, uint64_t until)
{
	uint64_t bytes = 0;

	while (*now < until) {
		*now += z5_budget_take(b, *now, bytes_s, piece);
		*now += busy;
		bytes += piece;
	}
	return bytes;
}

int main(void)
{
	struct z5_budget b = { 0 };
	uint64_t now = 5000000000, bytes, wait, total;

	bytes = read_until(&b, &now, 1e9, 250000, 10000, 6000000000);
	ok(bytes >= 1000000000 && bytes <= 1000000000 + 1000000 + 2 * 250000, "1 GB/s: %llu bytes in a second", (unsigned long long)bytes);
	bytes = read_until(&b, &now, 1e9, 250000, 500000, 7000000000);
	ok(bytes >= 495000000 && bytes <= 505000000, "a slow reader is not slowed down: %llu bytes", (unsigned long long)bytes);
	now += 10000000000;
	for (total = 0, wait = 0; !wait; total += 250000)
		wait = z5_budget_take(&b, now, 1e9, 250000);
	ok(total >= 1000000 && total <= 1250000, "after ten idle seconds no more than a millisecond's at once: %llu",
	   (unsigned long long)total);
	b = (struct z5_budget){ 0 };
	now = 1000000000;
	wait = z5_budget_take(&b, now, 1e9, 100000000);
	ok(wait == 99000000, "a piece of 100 ms waits for 99: %llu", (unsigned long long)wait);
	wait = z5_budget_take(&b, now + wait, 1e9, 0);
	ok(!wait, "and is then paid for");
	return done();
}
