// SPDX-License-Identifier: GPL-2.0-only
/* window.c over invented memory: which windows are looked at, which are kept, in which order. */
#include <kunit/test.h>

#include "window.c"

#define W	Z5M_WINDOW_PAGES

#define WINDOW_TEST_MAX	8

/* Memory of a few windows from first on. */
struct window_test {
	unsigned long first;
	struct {
		bool hole;
		u32 fixed, used;
	} windows[WINDOW_TEST_MAX];
	unsigned long looked[WINDOW_TEST_MAX];
	unsigned int n_looked;
};

static bool window_test_look(void *ctx, unsigned long pfn, struct z5m_sight *sight)
{
	struct window_test *t = ctx;
	unsigned long i = (pfn - t->first) / W;

	if (t->n_looked < WINDOW_TEST_MAX)
		t->looked[t->n_looked] = pfn;
	t->n_looked++;
	if (i >= WINDOW_TEST_MAX || t->windows[i].hole)
		return false;
	sight->fixed += t->windows[i].fixed;
	sight->used += t->windows[i].used;
	return true;
}

static long window_test_scan(struct window_test *t, unsigned long start, unsigned long end,
			     struct z5m_candidate *c, unsigned long room)
{
	return z5m_window_scan(start, end, window_test_look, t, c, room);
}

static void window_test_count(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, z5m_window_count(0, 0), 0);
	KUNIT_EXPECT_EQ(test, z5m_window_count(0, W - 1), 0);
	KUNIT_EXPECT_EQ(test, z5m_window_count(0, W), 1);
	KUNIT_EXPECT_EQ(test, z5m_window_count(0, 2 * W - 1), 1);
	KUNIT_EXPECT_EQ(test, z5m_window_count(0, 2 * W), 2);
	KUNIT_EXPECT_EQ(test, z5m_window_count(1, 2 * W), 1);
	KUNIT_EXPECT_EQ(test, z5m_window_count(1, W), 0);
	KUNIT_EXPECT_EQ(test, z5m_window_count(W - 1, 2 * W), 1);
	KUNIT_EXPECT_EQ(test, z5m_window_count(W, 2 * W), 1);
	KUNIT_EXPECT_EQ(test, z5m_window_count(W + 1, 2 * W - 1), 0);
	KUNIT_EXPECT_EQ(test, z5m_window_count(W + 1, 3 * W - 1), 0);
	/* an end before the start, in the same window and in another */
	KUNIT_EXPECT_EQ(test, z5m_window_count(W + 2, W + 1), 0);
	KUNIT_EXPECT_EQ(test, z5m_window_count(5 * W, 2 * W), 0);
	/* 64 TiB, from the first GiB on */
	KUNIT_EXPECT_EQ(test, z5m_window_count(W, 65536 * W), 65535);
}

static void window_test_aligned(struct kunit *test)
{
	struct z5m_candidate c[WINDOW_TEST_MAX];
	struct window_test t = { .first = 5 * W };

	/* the windows at both ends are not whole */
	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 4 * W + 512, 8 * W + 512,
					       c, WINDOW_TEST_MAX), 3);
	KUNIT_ASSERT_EQ(test, t.n_looked, 3);
	KUNIT_EXPECT_EQ(test, t.looked[0], 5 * W);
	KUNIT_EXPECT_EQ(test, t.looked[1], 6 * W);
	KUNIT_EXPECT_EQ(test, t.looked[2], 7 * W);
	KUNIT_EXPECT_EQ(test, c[0].pfn, 5 * W);
	KUNIT_EXPECT_EQ(test, c[1].pfn, 6 * W);
	KUNIT_EXPECT_EQ(test, c[2].pfn, 7 * W);
}

static void window_test_none(struct kunit *test)
{
	struct z5m_candidate c[1];
	struct window_test t = { .first = 0 };

	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 0, 0, c, 1), 0);
	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 1, 2 * W - 1, c, 1), 0);
	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 2 * W, W, c, 1), 0);
	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 0, 4 * W, NULL, 0), 0);
	KUNIT_EXPECT_EQ(test, t.n_looked, 0);
}

/* Holes and what is full of fixed pages are left out; the limit itself is one too many. */
static void window_test_kept(struct kunit *test)
{
	struct z5m_candidate c[WINDOW_TEST_MAX];
	struct window_test t = {
		.windows = {
			{ .hole = true, .fixed = 0 },
			{ .fixed = Z5M_WINDOW_FIXED_MAX },
			{ .fixed = Z5M_WINDOW_FIXED_MAX - 1 },
			{ .fixed = U32_MAX },
			{ .used = W },
			{ .hole = true },
		},
	};

	KUNIT_ASSERT_EQ(test, window_test_scan(&t, 0, 6 * W, c, WINDOW_TEST_MAX), 2);
	KUNIT_EXPECT_EQ(test, t.n_looked, 6);
	KUNIT_EXPECT_EQ(test, c[0].pfn, 4 * W);
	KUNIT_EXPECT_EQ(test, c[0].sight.used, W);
	KUNIT_EXPECT_EQ(test, c[1].pfn, 2 * W);
	KUNIT_EXPECT_EQ(test, c[1].sight.fixed, Z5M_WINDOW_FIXED_MAX - 1);
	KUNIT_EXPECT_EQ(test, z5m_window_clean(c, 2), 1);
}

/* Fewest fixed pages first, of these the fewest used ones, of these the lowest. */
static void window_test_order(struct kunit *test)
{
	static const unsigned int want[] = { 5, 2, 7, 0, 6, 4, 1, 3 };
	struct z5m_candidate c[WINDOW_TEST_MAX];
	struct window_test t = {
		.first = 3 * W,
		.windows = {
			{ .fixed = 0, .used = 9 },
			{ .fixed = 2, .used = 0 },
			{ .fixed = 0, .used = 5 },
			{ .fixed = 63, .used = 0 },
			{ .fixed = 1, .used = 7 },
			{ .fixed = 0, .used = 0 },
			{ .fixed = 1, .used = 2 },
			{ .fixed = 0, .used = 5 },
		},
	};
	unsigned int i;

	KUNIT_ASSERT_EQ(test, window_test_scan(&t, 3 * W, 11 * W, c, WINDOW_TEST_MAX),
			WINDOW_TEST_MAX);
	for (i = 0; i < WINDOW_TEST_MAX; i++)
		KUNIT_EXPECT_EQ_MSG(test, c[i].pfn, (3 + want[i]) * W, "place %u", i);
	KUNIT_EXPECT_EQ(test, z5m_window_clean(c, WINDOW_TEST_MAX), 4);
	KUNIT_EXPECT_EQ(test, z5m_window_clean(c, 3), 3);
	KUNIT_EXPECT_EQ(test, z5m_window_clean(c, 0), 0);
}

/* What one look leaves in the sight does not count for the next window. */
static void window_test_fresh(struct kunit *test)
{
	struct z5m_candidate c[WINDOW_TEST_MAX];
	struct window_test t = {
		.windows = { { .fixed = 60, .used = 60 }, { .fixed = 60, .used = 60 } },
	};

	KUNIT_ASSERT_EQ(test, window_test_scan(&t, 0, 2 * W, c, WINDOW_TEST_MAX), 2);
	KUNIT_EXPECT_EQ(test, c[0].sight.fixed, 60);
	KUNIT_EXPECT_EQ(test, c[1].sight.fixed, 60);
	KUNIT_EXPECT_EQ(test, c[1].sight.used, 60);
}

/* Room for fewer than there are: nothing is written behind it. */
static void window_test_room(struct kunit *test)
{
	struct z5m_candidate c[4];
	struct window_test t = { .windows = { { .hole = true } } };

	memset(c, 0xa5, sizeof(c));
	KUNIT_EXPECT_EQ(test, window_test_scan(&t, 0, WINDOW_TEST_MAX * W, c, 3), 3);
	KUNIT_EXPECT_EQ(test, c[0].pfn, W);
	KUNIT_EXPECT_EQ(test, c[2].pfn, 3 * W);
	KUNIT_EXPECT_TRUE(test, !memchr_inv(&c[3], 0xa5, sizeof(c[3])));
}

static struct kunit_case window_test_list[] = {
	KUNIT_CASE(window_test_count),
	KUNIT_CASE(window_test_aligned),
	KUNIT_CASE(window_test_none),
	KUNIT_CASE(window_test_kept),
	KUNIT_CASE(window_test_order),
	KUNIT_CASE(window_test_fresh),
	KUNIT_CASE(window_test_room),
	{}
};

static struct kunit_suite window_test_suite = {
	.name = "zen5mem_window",
	.test_cases = window_test_list,
};

kunit_test_suite(window_test_suite);
