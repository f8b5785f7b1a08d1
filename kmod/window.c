// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which windows of a zone are worth trying, and in which order. What a page is like is asked of
 * the caller, so that KUnit can invent memory.
 */
#include <linux/align.h>
#include <linux/errno.h>
#include <linux/sched/signal.h>
#include <linux/sort.h>

#include "zen5mem.h"

unsigned long z5m_window_count(unsigned long start, unsigned long end)
{
	start = ALIGN(start, Z5M_WINDOW_PAGES);
	end = ALIGN_DOWN(end, Z5M_WINDOW_PAGES);
	return end > start ? (end - start) / Z5M_WINDOW_PAGES : 0;
}

/* Fixed pages make it fail, used ones make it slow. */
static int z5m_window_better(const void *a, const void *b)
{
	const struct z5m_candidate *x = a, *y = b;

	if (x->sight.fixed != y->sight.fixed)
		return x->sight.fixed < y->sight.fixed ? -1 : 1;
	if (x->sight.used != y->sight.used)
		return x->sight.used < y->sight.used ? -1 : 1;
	return x->pfn < y->pfn ? -1 : x->pfn > y->pfn;
}

long z5m_window_scan(unsigned long start, unsigned long end, z5m_look_fn look, void *ctx,
		     struct z5m_candidate *c, unsigned long room)
{
	unsigned long i, n = 0, count = z5m_window_count(start, end);

	start = ALIGN(start, Z5M_WINDOW_PAGES);
	for (i = 0; i < count && n < room; i++) {
		unsigned long pfn = start + i * Z5M_WINDOW_PAGES;
		struct z5m_sight sight = { 0 };

		if (fatal_signal_pending(current))
			return -EINTR;
		if (look(ctx, pfn, &sight) && sight.fixed < Z5M_WINDOW_FIXED_MAX)
			c[n++] = (struct z5m_candidate){ .pfn = pfn, .sight = sight };
	}
	sort(c, n, sizeof(*c), z5m_window_better, NULL);
	return n;
}

unsigned long z5m_window_clean(const struct z5m_candidate *c, unsigned long n)
{
	unsigned long i, clean = 0;

	for (i = 0; i < n; i++)
		clean += !c[i].sight.fixed;
	return clean;
}
