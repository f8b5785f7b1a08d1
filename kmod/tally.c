// SPDX-License-Identifier: GPL-2.0-only
/*
 * Totals from what hardware counters say, and what thresholds make of them: arithmetic alone, of
 * numbers that are given, so that it can be tested without hardware.
 */
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/string.h>

#include "zen5mem.h"

/* Counters have 48 bits. */
#define Z5M_TALLY_BITS		48
/*
 * No counter of these PMUs moves by more than a few a cycle; what moves faster was cleared, or set,
 * by somebody: the driver takes a step backward for a wrap.
 */
#define Z5M_TALLY_PER_NS	128
/*
 * Kernels before 6.16 let UMC counters stop at their highest value. At 10 counts a ns this is two
 * hours away from it.
 */
#define Z5M_TALLY_RENEW		BIT_ULL(46)

void z5m_tally_start(struct z5m_tally *t)
{
	t->raw = 0;
	t->enabled = 0;
	t->running = 0;
	t->since = 0;
	t->load = 0;
	t->reads = 0;
	t->error = 0;
}

/* part of whole, of a number that is too large to be multiplied by whole. */
static u64 z5m_extrapolate(u64 n, u64 whole, u64 part)
{
	while (whole >> 22) {
		whole >>= 1;
		part >>= 1;
	}
	return part ? div64_u64(n * whole, part) : n;
}

void z5m_tally_add(struct z5m_tally *t, u64 raw, u64 enabled, u64 running)
{
	u64 e = enabled - t->enabled, r = running - t->running, d;

	t->reads++;
	if (!e) {
		t->state = Z5M_COUNTER_OFFLINE;
		return;
	}
	t->enabled = enabled;
	t->running = running;
	if (!r) {
		t->state = Z5M_COUNTER_TAKEN;
		return;
	}
	if (raw >= t->raw)
		d = raw - t->raw;
	else if (t->raw - raw > BIT_ULL(Z5M_TALLY_BITS - 1))
		d = raw + BIT_ULL(Z5M_TALLY_BITS) - t->raw;
	else
		d = U64_MAX;
	t->raw = raw;
	/* With a little for the time between reading the clock and the counter. */
	t->odd = d > Z5M_TALLY_PER_NS * (r + NSEC_PER_USEC * 10);
	if (t->odd) {
		t->glitches++;
		d = 0;
	}
	t->state = r < e ? Z5M_COUNTER_SHARED : Z5M_COUNTER_OK;
	if (r < e)
		d = z5m_extrapolate(d, e, r);
	t->since += d;
	t->total += d;
}

void z5m_tally_judge(struct z5m_tally *t, u64 moved, u64 enough)
{
	/* one that was made just now has seen nothing of it */
	if (!t->reads || (t->state != Z5M_COUNTER_OK && t->state != Z5M_COUNTER_SHARED))
		return;
	t->load += moved;
	if (t->load > enough && !t->since)
		t->state = Z5M_COUNTER_SILENT;
}

bool z5m_tally_counts(const struct z5m_tally *t)
{
	/* the first reading of an event is of an unknown part of the time between samples */
	return t->reads > 1 && !t->odd &&
	       (t->state == Z5M_COUNTER_OK || t->state == Z5M_COUNTER_SHARED);
}

bool z5m_tally_full(const struct z5m_tally *t)
{
	return t->raw >= Z5M_TALLY_RENEW;
}

/* ---- thresholds ---- */

bool z5m_quantity_of_domain(u32 quantity)
{
	return quantity == Z5M_QUANTITY_L3_MISS_RATE || quantity == Z5M_QUANTITY_DRAM_LATENCY;
}

u32 z5m_quantity_counters(u32 quantity)
{
	switch (quantity) {
	case Z5M_QUANTITY_L3_MISS_RATE:
		return BIT(Z5M_L3_MISSES);
	case Z5M_QUANTITY_DRAM_LATENCY:
		return BIT(Z5M_L3_DRAM_LATENCY) | BIT(Z5M_L3_DRAM_REQUESTS);
	case Z5M_QUANTITY_READ_RATE:
		return BIT(Z5M_UMC_READS);
	case Z5M_QUANTITY_WRITE_RATE:
		return BIT(Z5M_UMC_WRITES);
	case Z5M_QUANTITY_BUS_USE:
		return BIT(Z5M_UMC_CLOCKS) | BIT(Z5M_UMC_DATA_SLOTS);
	}
	return 0;
}

static u64 z5m_per_second(u64 n, u64 ns)
{
	if (n <= div64_u64(U64_MAX, NSEC_PER_SEC))
		return div64_u64(n * NSEC_PER_SEC, ns);
	return z5m_extrapolate(n, NSEC_PER_SEC, ns);
}

int z5m_quantity_value(u32 quantity, const u64 *d, u64 ns, u64 *value)
{
	if (!ns)
		return -ENODATA;
	switch (quantity) {
	case Z5M_QUANTITY_L3_MISS_RATE:
		*value = z5m_per_second(d[Z5M_L3_MISSES] * 64, ns);
		return 0;
	case Z5M_QUANTITY_DRAM_LATENCY:
		if (!d[Z5M_L3_DRAM_REQUESTS])
			return -ENODATA;
		*value = div64_u64(10 * d[Z5M_L3_DRAM_LATENCY], d[Z5M_L3_DRAM_REQUESTS]);
		return 0;
	case Z5M_QUANTITY_READ_RATE:
		*value = z5m_per_second(d[Z5M_UMC_READS] * 64, ns);
		return 0;
	case Z5M_QUANTITY_WRITE_RATE:
		*value = z5m_per_second(d[Z5M_UMC_WRITES] * 64, ns);
		return 0;
	case Z5M_QUANTITY_BUS_USE:
		if (!d[Z5M_UMC_CLOCKS])
			return -ENODATA;
		*value = div64_u64(500 * d[Z5M_UMC_DATA_SLOTS], d[Z5M_UMC_CLOCKS]);
		return 0;
	}
	return -EINVAL;
}

bool z5m_threshold_step(struct z5m_threshold *t, u64 value)
{
	bool above = t->above ? value > t->low : value >= t->high;

	if (above == t->above)
		return false;
	t->above = above;
	return true;
}
