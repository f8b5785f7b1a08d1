// SPDX-License-Identifier: GPL-2.0-only
/* tally.c asked everything: totals, what is not believed, thresholds. */
#include <kunit/test.h>

#include "tally.c"

#define MS	NSEC_PER_MSEC
#define S	((u64)NSEC_PER_SEC)
#define VALUE	z5m_quantity_value
#define BITS48	BIT_ULL(48)

static void tally_test_plain(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 100, MS, MS);
	KUNIT_EXPECT_EQ(test, t.total, 100ULL);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	z5m_tally_add(&t, 350, 2 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 350ULL);
	z5m_tally_add(&t, 350, 3 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 350ULL);
	KUNIT_EXPECT_EQ(test, t.reads, 3U);
	KUNIT_EXPECT_EQ(test, t.glitches, 0U);
}

/* A new event counts from 0; the total goes on. */
static void tally_test_renewal(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 100, MS, MS);
	z5m_tally_start(&t);
	KUNIT_EXPECT_EQ(test, t.total, 100ULL);
	KUNIT_EXPECT_EQ(test, t.since, 0ULL);
	z5m_tally_add(&t, 7, MS, MS);
	KUNIT_EXPECT_EQ(test, t.total, 107ULL);
	KUNIT_EXPECT_EQ(test, t.since, 7ULL);
	KUNIT_EXPECT_EQ(test, t.glitches, 0U);
}

static void tally_test_wrap(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	t.raw = BITS48 - 40;
	z5m_tally_add(&t, 60, MS, MS);
	KUNIT_EXPECT_EQ(test, t.total, 100ULL);
	KUNIT_EXPECT_EQ(test, t.glitches, 0U);
}

static void tally_test_backward(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 1000, MS, MS);
	z5m_tally_add(&t, 400, 2 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 1000ULL);
	KUNIT_EXPECT_EQ(test, t.glitches, 1U);
	z5m_tally_add(&t, 450, 3 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 1050ULL);
}

/* Cleared behind the driver: a leap of almost 2^48, and the way on from there. */
static void tally_test_leap(struct kunit *test)
{
	struct z5m_tally t = {};
	u64 leap = BITS48 - 1000;

	z5m_tally_start(&t);
	z5m_tally_add(&t, 1000, MS, MS);
	z5m_tally_add(&t, 1000 + leap, 2 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 1000ULL);
	KUNIT_EXPECT_EQ(test, t.glitches, 1U);
	KUNIT_EXPECT_TRUE(test, z5m_tally_full(&t));
	z5m_tally_add(&t, 1005 + leap, 3 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 1005ULL);
	/* the fastest that is believed, and one more than that and its allowance */
	t = (struct z5m_tally){};
	z5m_tally_add(&t, 128 * MS, MS, MS);
	KUNIT_EXPECT_EQ(test, t.total, 128ULL * MS);
	z5m_tally_add(&t, 128 * MS + 128 * (MS + 10000) + 1, 2 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.total, 128ULL * MS);
	KUNIT_EXPECT_EQ(test, t.glitches, 1U);
}

static void tally_test_shared(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 100, 4 * MS, MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_SHARED);
	KUNIT_EXPECT_EQ(test, t.total, 400ULL);
	/* ten seconds at 100 a ns, a quarter of them seen: nothing overflows */
	t = (struct z5m_tally){};
	z5m_tally_add(&t, 250 * S, 10 * S, 25 * S / 10);
	KUNIT_EXPECT_LE(test, t.total, 1001 * S);
	KUNIT_EXPECT_GE(test, t.total, 999 * S);
}

static void tally_test_taken(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 100, MS, MS);
	z5m_tally_add(&t, 100, 2 * MS, MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_TAKEN);
	KUNIT_EXPECT_EQ(test, t.total, 100ULL);
	/* what went by while others had the counter is not made up for afterwards */
	z5m_tally_add(&t, 150, 3 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	KUNIT_EXPECT_EQ(test, t.total, 150ULL);
	z5m_tally_add(&t, 150, 3 * MS, 2 * MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OFFLINE);
}

static void tally_test_silent(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 0, MS, MS);
	z5m_tally_judge(&t, 60, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	z5m_tally_judge(&t, 40, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	z5m_tally_judge(&t, 1, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_SILENT);
	/* it is judged afresh each time */
	z5m_tally_add(&t, 1, 2 * MS, 2 * MS);
	z5m_tally_judge(&t, 1000, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	/* what moved before an event was made says nothing about it */
	z5m_tally_start(&t);
	t.state = Z5M_COUNTER_OK;
	z5m_tally_judge(&t, 1000, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	z5m_tally_add(&t, 0, MS, MS);
	z5m_tally_judge(&t, 100, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
	/* what others have is not silent, and nothing counts against it meanwhile */
	t = (struct z5m_tally){};
	z5m_tally_add(&t, 0, MS, 0);
	z5m_tally_judge(&t, 1000, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_TAKEN);
	z5m_tally_add(&t, 0, 2 * MS, MS);
	z5m_tally_judge(&t, 100, 100);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OK);
}

/* No rate: the first reading of an event, and what does not count. */
static void tally_test_counts(struct kunit *test)
{
	struct z5m_tally t = {};

	z5m_tally_start(&t);
	z5m_tally_add(&t, 100, MS, MS);
	KUNIT_EXPECT_FALSE(test, z5m_tally_counts(&t));
	z5m_tally_add(&t, 200, 2 * MS, 2 * MS);
	KUNIT_EXPECT_TRUE(test, z5m_tally_counts(&t));
	z5m_tally_add(&t, 300, 4 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_SHARED);
	KUNIT_EXPECT_TRUE(test, z5m_tally_counts(&t));
	z5m_tally_add(&t, 300, 5 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_TAKEN);
	KUNIT_EXPECT_FALSE(test, z5m_tally_counts(&t));
	z5m_tally_add(&t, 300, 5 * MS, 3 * MS);
	KUNIT_EXPECT_EQ(test, t.state, (u32)Z5M_COUNTER_OFFLINE);
	KUNIT_EXPECT_FALSE(test, z5m_tally_counts(&t));
	t.state = Z5M_COUNTER_SILENT;
	KUNIT_EXPECT_FALSE(test, z5m_tally_counts(&t));
	/* a step that was not believed is no fall to 0 */
	z5m_tally_add(&t, 100, 6 * MS, 4 * MS);
	KUNIT_EXPECT_EQ(test, t.glitches, 1U);
	KUNIT_EXPECT_FALSE(test, z5m_tally_counts(&t));
	z5m_tally_add(&t, 150, 7 * MS, 5 * MS);
	KUNIT_EXPECT_TRUE(test, z5m_tally_counts(&t));
}

static void tally_test_full(struct kunit *test)
{
	struct z5m_tally t = { .raw = BIT_ULL(46) - 1 };

	KUNIT_EXPECT_FALSE(test, z5m_tally_full(&t));
	t.raw++;
	KUNIT_EXPECT_TRUE(test, z5m_tally_full(&t));
}

static void tally_test_quantities(struct kunit *test)
{
	u64 l3[] = { 4000, 1000, 900, 100 }, umc[] = { 3000, 40, 10, 600 }, none[4] = {}, v = 0;

	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_L3_MISS_RATE, l3, MS, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 64000000ULL);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_DRAM_LATENCY, l3, MS, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 90ULL);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_READ_RATE, umc, MS, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 2560000ULL);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_WRITE_RATE, umc, MS, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 640000ULL);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_BUS_USE, umc, MS, &v), 0);
	KUNIT_EXPECT_EQ(test, v, 100ULL);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_BUS_USE, none, MS, &v), -ENODATA);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_DRAM_LATENCY, none, MS, &v), -ENODATA);
	KUNIT_EXPECT_EQ(test, VALUE(Z5M_QUANTITY_READ_RATE, umc, 0, &v), -ENODATA);
	KUNIT_EXPECT_EQ(test, VALUE(__Z5M_QUANTITY_MAX, umc, MS, &v), -EINVAL);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(Z5M_QUANTITY_L3_MISS_RATE), 0x2U);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(Z5M_QUANTITY_DRAM_LATENCY), 0xcU);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(Z5M_QUANTITY_READ_RATE), 0x2U);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(Z5M_QUANTITY_WRITE_RATE), 0x4U);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(Z5M_QUANTITY_BUS_USE), 0x9U);
	KUNIT_EXPECT_EQ(test, z5m_quantity_counters(__Z5M_QUANTITY_MAX), 0U);
	KUNIT_EXPECT_TRUE(test, z5m_quantity_of_domain(Z5M_QUANTITY_DRAM_LATENCY));
	KUNIT_EXPECT_FALSE(test, z5m_quantity_of_domain(Z5M_QUANTITY_BUS_USE));
}

static void tally_test_threshold(struct kunit *test)
{
	static const struct {
		u64 value;
		bool crossed, above;
	} steps[] = {
		{ 0, false, false }, { 89, false, false }, { 90, true, true }, { 85, false, true },
		{ 81, false, true }, { 80, true, false }, { 89, false, false }, { 500, true, true },
		{ 90, false, true }, { 0, true, false },
	};
	struct z5m_threshold t = { .high = 90, .low = 80 };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(steps); i++) {
		KUNIT_EXPECT_EQ(test, z5m_threshold_step(&t, steps[i].value), steps[i].crossed);
		KUNIT_EXPECT_EQ(test, t.above, steps[i].above);
	}
}

static struct kunit_case tally_test_list[] = {
	KUNIT_CASE(tally_test_plain),
	KUNIT_CASE(tally_test_renewal),
	KUNIT_CASE(tally_test_wrap),
	KUNIT_CASE(tally_test_backward),
	KUNIT_CASE(tally_test_leap),
	KUNIT_CASE(tally_test_shared),
	KUNIT_CASE(tally_test_taken),
	KUNIT_CASE(tally_test_silent),
	KUNIT_CASE(tally_test_counts),
	KUNIT_CASE(tally_test_full),
	KUNIT_CASE(tally_test_quantities),
	KUNIT_CASE(tally_test_threshold),
	{}
};

static struct kunit_suite tally_test_suite = {
	.name = "zen5mem_tally",
	.test_cases = tally_test_list,
};

kunit_test_suite(tally_test_suite);
