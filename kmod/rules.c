// SPDX-License-Identifier: GPL-2.0-only
/* Pure functions over numbers and names, so that KUnit can ask them everything. */
#include <linux/ctype.h>
#include <linux/errno.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/overflow.h>
#include <linux/string.h>

#include "zen5mem.h"

static bool z5m_rules_name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       (c && strchr("._:@+-", c));
}

int z5m_rules_name(const char name[Z5M_NAME_LEN])
{
	size_t len = strnlen(name, Z5M_NAME_LEN), i;

	if (!len || len == Z5M_NAME_LEN || strchr("._:@+-", name[0]))
		return -EINVAL;
	for (i = 0; i < len; i++)
		if (!z5m_rules_name_char(name[i]))
			return -EINVAL;
	for (; i < Z5M_NAME_LEN; i++)
		if (name[i])
			return -EINVAL;
	return 0;
}

int z5m_rules_optional_name(const char name[Z5M_NAME_LEN])
{
	return memchr_inv(name, 0, Z5M_NAME_LEN) ? z5m_rules_name(name) : 0;
}

int z5m_rules_create(struct z5m_create *c)
{
	u64 unit;

	if (c->flags & ~(Z5M_CREATE_STRICT | Z5M_CREATE_OTHER_NODES | Z5M_CREATE_MOVABLE))
		return -EINVAL;
	if (c->page_order != Z5M_ORDER_1G && c->page_order != Z5M_ORDER_2M &&
	    c->page_order != Z5M_ORDER_4K)
		return -EINVAL;
	if (c->place > Z5M_PLACE_NODE || (c->place == Z5M_PLACE_ANY && c->place_id))
		return -EINVAL;
	if (z5m_rules_optional_name(c->name))
		return -EINVAL;
	if (c->place == Z5M_PLACE_ANY)
		c->flags |= Z5M_CREATE_OTHER_NODES;

	if (c->flags & Z5M_CREATE_STRICT)
		unit = (u64)PAGE_SIZE << c->page_order;
	else
		unit = (u64)PAGE_SIZE << min_t(u32, c->page_order, Z5M_ORDER_2M);
	if (!c->size)
		return -EINVAL;
	if (c->size & (unit - 1)) {
		if (c->flags & Z5M_CREATE_STRICT)
			return -EINVAL;
		if (check_add_overflow(c->size, unit - 1, &c->size))
			return -EINVAL;
		c->size &= ~(unit - 1);
	}
	/* Offsets into a region are loff_t. */
	return c->size > S64_MAX ? -EINVAL : 0;
}

unsigned int z5m_rules_first_order(const struct z5m_create *c, u64 bytes)
{
	return bytes < Z5M_SLOT_SIZE ? min_t(u32, c->page_order, Z5M_ORDER_2M) : c->page_order;
}

int z5m_rules_next_order(const struct z5m_create *c, unsigned int order)
{
	if (c->flags & Z5M_CREATE_STRICT)
		return -1;
	switch (order) {
	case Z5M_ORDER_1G:
		return Z5M_ORDER_2M;
	case Z5M_ORDER_2M:
		return Z5M_ORDER_4K;
	default:
		return -1;
	}
}

int z5m_rules_limit(u64 used, u64 bytes, u64 max)
{
	return used > max || bytes > max - used ? -EDQUOT : 0;
}

u64 z5m_rules_max_bytes(unsigned int max_gib, u64 machine)
{
	return max_gib ? min((u64)max_gib << Z5M_SLOT_SHIFT, machine) : machine - machine / 4;
}
