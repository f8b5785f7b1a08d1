// SPDX-License-Identifier: GPL-2.0-only
/* rules.c asked everything: names, what a region may be made like, limits. */
#include <kunit/test.h>

#include "rules.c"

#define MIB	BIT_ULL(20)
#define GIB	BIT_ULL(30)

/* ---- names ---- */

static int rules_test_named(const char *text)
{
	char name[Z5M_NAME_LEN] = "";

	strscpy(name, text, sizeof(name));
	return z5m_rules_name(name);
}

static void rules_test_names(struct kunit *test)
{
	static const char * const good[] = {
		"a", "Z", "0", "9", "llama", "A.b_c:d@e+f-g", "7b", "a-", "a.", "a:", "a@", "a+",
		"a_", "a..",
		"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.",	/* 63 */
	};
	static const char * const bad[] = {
		"", ".", "..", "-", "-a", "_a", ":a", "@a", "+a", ".a", " ", "a b", "a/b", "/",
		"a\n", "a\t", "a\x7f", "a\x80", "\xc3\xa4", "a%s", "a*", "a\\", "a~", "a,b", "a=b",
		"a\"", "a'", "a;b", "a#",
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(good); i++)
		KUNIT_EXPECT_EQ_MSG(test, rules_test_named(good[i]), 0, "\"%s\"", good[i]);
	for (i = 0; i < ARRAY_SIZE(bad); i++)
		KUNIT_EXPECT_EQ_MSG(test, rules_test_named(bad[i]), -EINVAL, "\"%s\"", bad[i]);
}

/* Each byte there is, as the first character, as the second, and as the last of 63. */
static void rules_test_alphabet(struct kunit *test)
{
	static const char alnum[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char name[Z5M_NAME_LEN];
	unsigned int c;

	for (c = 1; c < 256; c++) {
		int first = strchr(alnum, c) ? 0 : -EINVAL;
		int other = strchr(alnum, c) || strchr("._:@+-", c) ? 0 : -EINVAL;

		memset(name, 0, sizeof(name));
		name[0] = c;
		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_name(name), first, "%#x first", c);
		name[0] = 'a';
		name[1] = c;
		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_name(name), other, "%#x second", c);
		memset(name, 'a', Z5M_NAME_LEN - 1);
		name[Z5M_NAME_LEN - 2] = c;
		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_name(name), other, "%#x last", c);
	}
}

/* 63 characters, and zeros to the end: two different names may not look the same. */
static void rules_test_name_end(struct kunit *test)
{
	char name[Z5M_NAME_LEN];
	unsigned int i;

	memset(name, 'a', sizeof(name));
	KUNIT_EXPECT_EQ(test, z5m_rules_name(name), -EINVAL);
	KUNIT_EXPECT_EQ(test, z5m_rules_optional_name(name), -EINVAL);
	name[Z5M_NAME_LEN - 1] = 0;
	KUNIT_EXPECT_EQ(test, z5m_rules_name(name), 0);

	for (i = 2; i < Z5M_NAME_LEN; i++) {
		memset(name, 0, sizeof(name));
		name[0] = 'a';
		name[i] = 'b';
		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_name(name), -EINVAL, "behind the end, %u", i);
	}
}

static void rules_test_optional_name(struct kunit *test)
{
	char name[Z5M_NAME_LEN] = "";

	KUNIT_EXPECT_EQ(test, z5m_rules_optional_name(name), 0);
	name[0] = 'a';
	KUNIT_EXPECT_EQ(test, z5m_rules_optional_name(name), 0);
	name[0] = '-';
	KUNIT_EXPECT_EQ(test, z5m_rules_optional_name(name), -EINVAL);
	/* empty, and something behind it */
	name[0] = 0;
	name[Z5M_NAME_LEN - 1] = 'a';
	KUNIT_EXPECT_EQ(test, z5m_rules_optional_name(name), -EINVAL);
}

/* ---- creation ---- */

struct rules_test_case {
	const char *what;
	u64 size;
	u32 flags, order, place, place_id;
	int ret;
	u64 rounded;
};

#define STRICT	Z5M_CREATE_STRICT
#define NODE	Z5M_PLACE_NODE
#define LARGEST	(S64_MAX & ~(2 * MIB - 1))

static const struct rules_test_case rules_test_cases[] = {
	{ "nothing", 0, 0, Z5M_ORDER_1G, NODE, 0, -EINVAL },
	{ "nothing, strict", 0, STRICT, Z5M_ORDER_4K, NODE, 0, -EINVAL },
	{ "a byte of 4 KiB pages", 1, 0, Z5M_ORDER_4K, NODE, 0, 0, PAGE_SIZE },
	{ "a byte of 2 MiB pages", 1, 0, Z5M_ORDER_2M, NODE, 0, 0, 2 * MIB },
	{ "a byte of 1 GiB pages", 1, 0, Z5M_ORDER_1G, NODE, 0, 0, 2 * MIB },
	{ "one page", PAGE_SIZE, 0, Z5M_ORDER_4K, NODE, 0, 0, PAGE_SIZE },
	{ "a byte more", PAGE_SIZE + 1, 0, Z5M_ORDER_4K, NODE, 0, 0, 2 * PAGE_SIZE },
	{ "1 GiB", GIB, 0, Z5M_ORDER_1G, NODE, 0, 0, GIB },
	{ "1 GiB and a byte", GIB + 1, 0, Z5M_ORDER_1G, NODE, 0, 0, GIB + 2 * MIB },
	{ "1 GiB less a byte", GIB - 1, 0, Z5M_ORDER_1G, NODE, 0, 0, GIB },
	{ "strict, whole", 3 * GIB, STRICT, Z5M_ORDER_1G, NODE, 0, 0, 3 * GIB },
	{ "strict, half a page", GIB / 2, STRICT, Z5M_ORDER_1G, NODE, 0, -EINVAL },
	{ "strict, 2 MiB", GIB / 2, STRICT, Z5M_ORDER_2M, NODE, 0, 0, GIB / 2 },
	{ "strict, odd of 2 MiB", MIB, STRICT, Z5M_ORDER_2M, NODE, 0, -EINVAL },
	{ "strict, 4 KiB", MIB, STRICT, Z5M_ORDER_4K, NODE, 0, 0, MIB },
	{ "strict, odd of 4 KiB", MIB + 1, STRICT, Z5M_ORDER_4K, NODE, 0, -EINVAL },
	{ "the largest", LARGEST, 0, Z5M_ORDER_1G, NODE, 0, 0, LARGEST },
	{ "rounded past loff_t", S64_MAX, 0, Z5M_ORDER_1G, NODE, 0, -EINVAL },
	{ "2^63", 1ULL << 63, 0, Z5M_ORDER_1G, NODE, 0, -EINVAL },
	{ "2^63, strict", 1ULL << 63, STRICT, Z5M_ORDER_1G, NODE, 0, -EINVAL },
	{ "rounding wraps", U64_MAX, 0, Z5M_ORDER_4K, NODE, 0, -EINVAL },
	{ "rounding wraps, 2 MiB", U64_MAX - MIB, 0, Z5M_ORDER_2M, NODE, 0, -EINVAL },
	{ "order 1", GIB, 0, 1, NODE, 0, -EINVAL },
	{ "order 10", GIB, 0, 10, NODE, 0, -EINVAL },
	{ "order 17", GIB, 0, 17, NODE, 0, -EINVAL },
	{ "order 19", GIB, 0, 19, NODE, 0, -EINVAL },
	{ "order 64", GIB, 0, 64, NODE, 0, -EINVAL },
	{ "order -1", GIB, 0, U32_MAX, NODE, 0, -EINVAL },
	{ "anywhere", GIB, 0, Z5M_ORDER_1G, Z5M_PLACE_ANY, 0, 0, GIB },
	{ "anywhere, strict", GIB, STRICT, Z5M_ORDER_1G, Z5M_PLACE_ANY, 0, 0, GIB },
	{ "anywhere, and a number", GIB, 0, Z5M_ORDER_1G, Z5M_PLACE_ANY, 1, -EINVAL },
	/* whether there is such a place is not for the rules to say */
	{ "a domain", GIB, 0, Z5M_ORDER_1G, Z5M_PLACE_CCD, U32_MAX, 0, GIB },
	{ "a node", GIB, 0, Z5M_ORDER_1G, NODE, U32_MAX, 0, GIB },
	{ "another kind of place", GIB, 0, Z5M_ORDER_1G, NODE + 1, 0, -EINVAL },
	{ "place -1", GIB, 0, Z5M_ORDER_1G, U32_MAX, 0, -EINVAL },
};

static struct z5m_create rules_test_create_of(const struct rules_test_case *t)
{
	return (struct z5m_create){
		.size = t->size,
		.flags = t->flags,
		.page_order = t->order,
		.place = t->place,
		.place_id = t->place_id,
	};
}

static void rules_test_create(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules_test_cases); i++) {
		const struct rules_test_case *t = &rules_test_cases[i];
		struct z5m_create c = rules_test_create_of(t);

		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_create(&c), t->ret, "%s", t->what);
		if (!t->ret)
			KUNIT_EXPECT_EQ_MSG(test, c.size, t->rounded, "%s", t->what);
	}
}

static void rules_test_create_flags(struct kunit *test)
{
	const u32 known = STRICT | Z5M_CREATE_OTHER_NODES | Z5M_CREATE_MOVABLE;
	unsigned int bit;

	for (bit = 0; bit < 32; bit++) {
		struct z5m_create c = {
			.size = GIB, .page_order = Z5M_ORDER_1G, .place = NODE, .flags = BIT(bit),
		};

		KUNIT_EXPECT_EQ_MSG(test, z5m_rules_create(&c), known & BIT(bit) ? 0 : -EINVAL,
				    "bit %u", bit);
		KUNIT_EXPECT_EQ(test, c.flags, BIT(bit));
	}
}

/* "Any" is the only place that brings other nodes with it. */
static void rules_test_create_any(struct kunit *test)
{
	u32 place;

	for (place = Z5M_PLACE_ANY; place <= NODE; place++) {
		struct z5m_create c = { .size = GIB, .page_order = Z5M_ORDER_1G, .place = place };

		KUNIT_EXPECT_EQ(test, z5m_rules_create(&c), 0);
		KUNIT_EXPECT_EQ(test, c.flags, place == Z5M_PLACE_ANY ? Z5M_CREATE_OTHER_NODES : 0);
	}
}

/* Fields that go out may come in as anything: a structure is used again. */
static void rules_test_create_again(struct kunit *test)
{
	const struct z5m_create good = {
		.size = GIB, .page_order = Z5M_ORDER_1G, .name = "model",
		.id = 7, .min_order = 9, .n_windows = 3,
	};
	struct z5m_create c = good;

	KUNIT_EXPECT_EQ(test, z5m_rules_create(&c), 0);
	KUNIT_EXPECT_STREQ(test, c.name, "model");
	c = good;
	c.name[0] = '/';
	KUNIT_EXPECT_EQ(test, z5m_rules_create(&c), -EINVAL);
	c = good;
	c.name[Z5M_NAME_LEN - 1] = 'x';
	KUNIT_EXPECT_EQ(test, z5m_rules_create(&c), -EINVAL);
}

/* ---- orders ---- */

static void rules_test_orders(struct kunit *test)
{
	struct z5m_create c = { .page_order = Z5M_ORDER_1G };

	/* a last slot of less than 1 GiB cannot be a window */
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, GIB), Z5M_ORDER_1G);
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, GIB - 2 * MIB), Z5M_ORDER_2M);
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, 2 * MIB), Z5M_ORDER_2M);
	c.page_order = Z5M_ORDER_2M;
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, GIB), Z5M_ORDER_2M);
	c.page_order = Z5M_ORDER_4K;
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, GIB), Z5M_ORDER_4K);
	KUNIT_EXPECT_EQ(test, z5m_rules_first_order(&c, PAGE_SIZE), Z5M_ORDER_4K);

	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_1G), Z5M_ORDER_2M);
	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_2M), Z5M_ORDER_4K);
	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_4K), -1);
	c.flags = STRICT;
	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_1G), -1);
	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_2M), -1);
	KUNIT_EXPECT_EQ(test, z5m_rules_next_order(&c, Z5M_ORDER_4K), -1);
}

/* Whatever passes can be cut into slots, and each slot into pages of its order, without a rest. */
static void rules_test_slots(struct kunit *test)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rules_test_cases); i++) {
		struct z5m_create c = rules_test_create_of(&rules_test_cases[i]);
		u64 last;
		int order;

		if (z5m_rules_create(&c))
			continue;
		last = c.size & (GIB - 1) ?: GIB;
		order = z5m_rules_first_order(&c, last);
		do {
			KUNIT_EXPECT_EQ_MSG(test, last & ((PAGE_SIZE << order) - 1), 0,
					    "%s, order %d", rules_test_cases[i].what, order);
			order = z5m_rules_next_order(&c, order);
		} while (order >= 0);
	}
}

/* ---- limits ---- */

static void rules_test_limit(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(0, 0, 0), 0);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(0, 1, 0), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(0, GIB, GIB), 0);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(0, GIB + 1, GIB), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB, 0, GIB), 0);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB, 1, GIB), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB - 1, 1, GIB), 0);
	/* sums that wrap */
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB, U64_MAX, GIB), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(U64_MAX, U64_MAX, U64_MAX), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB, U64_MAX - GIB, U64_MAX), 0);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(GIB, U64_MAX - GIB + 1, U64_MAX), -EDQUOT);
	/* the administrator has lowered it below what is used */
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(2 * GIB, 0, GIB), -EDQUOT);
	KUNIT_EXPECT_EQ(test, z5m_rules_limit(2 * GIB, PAGE_SIZE, GIB), -EDQUOT);
}

static void rules_test_max_bytes(struct kunit *test)
{
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(0, 0), 0);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(0, 16 * GIB), 12 * GIB);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(0, U64_MAX), U64_MAX - U64_MAX / 4);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(1, 16 * GIB), GIB);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(16, 16 * GIB), 16 * GIB);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(17, 16 * GIB), 16 * GIB);
	KUNIT_EXPECT_EQ(test, z5m_rules_max_bytes(UINT_MAX, 16 * GIB), 16 * GIB);
}

static struct kunit_case rules_test_list[] = {
	KUNIT_CASE(rules_test_names),
	KUNIT_CASE(rules_test_alphabet),
	KUNIT_CASE(rules_test_name_end),
	KUNIT_CASE(rules_test_optional_name),
	KUNIT_CASE(rules_test_create),
	KUNIT_CASE(rules_test_create_flags),
	KUNIT_CASE(rules_test_create_any),
	KUNIT_CASE(rules_test_create_again),
	KUNIT_CASE(rules_test_orders),
	KUNIT_CASE(rules_test_slots),
	KUNIT_CASE(rules_test_limit),
	KUNIT_CASE(rules_test_max_bytes),
	{}
};

static struct kunit_suite rules_test_suite = {
	.name = "zen5mem_rules",
	.test_cases = rules_test_list,
};

kunit_test_suite(rules_test_suite);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("KUnit suites of zen5mem's pure logic");
