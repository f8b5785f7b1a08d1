// SPDX-License-Identifier: MIT
#include "state.h"

#include <errno.h>
#include <string.h>

#include "error.h"

/* Parts begin at whole lines of memory. */
#define LINE ((size_t)64)

int z5_state_shape(struct z5_state *s, const size_t *floats, size_t n_layer, size_t *bytes, struct zen5rt_error *err)
{
	size_t all = 0;

	for (int i = 0; i < Z5_STATE_PARTS; i++) {
		size_t part;

		s->part[i] = all;
		if (__builtin_mul_overflow(floats[i], sizeof(float), &part) ||
		    __builtin_add_overflow(all, part + LINE - 1, &all) || part > SIZE_MAX / 2)
			goto overflow;
		all &= ~(LINE - 1);
	}
	s->layer_bytes = all;
	if (__builtin_mul_overflow(all, n_layer, &s->bytes) ||
	    __builtin_mul_overflow(s->bytes, 1 + Z5_STATE_COPIES, bytes))
		goto overflow;
	return 0;

overflow:
	return z5_fail(err, -EINVAL, "the state of %zu layers exceeds the address space", n_layer);
}

int z5_state_init(struct z5_state *s, const size_t *floats, size_t n_layer, struct zen5rt_error *err)
{
	size_t bytes = 0;
	int ret = z5_state_shape(s, floats, n_layer, &bytes, err);

	return ret ? ret : z5_region_alloc(&s->region, "state", bytes, Z5_PAGE_2M, err);
}

void z5_state_free(struct z5_state *s)
{
	z5_region_free(&s->region);
}

static void *copy_at(const struct z5_state *s, unsigned int i)
{
	return (uint8_t *)s->region.addr + (1 + i) * s->bytes;
}

/* The copy of position pos, -1: there is none. */
static int find_copy(const struct z5_state *s, uint32_t pos)
{
	for (int i = 0; i < Z5_STATE_COPIES; i++)
		if (s->copy[i].used && s->copy[i].pos == pos)
			return i;
	return -1;
}

/* One that is of no position any more, else that of the earliest. */
static unsigned int oldest_copy(const struct z5_state *s)
{
	unsigned int oldest = 0;

	for (unsigned int i = 0; i < Z5_STATE_COPIES; i++) {
		if (!s->copy[i].used)
			return i;
		if (s->copy[i].pos < s->copy[oldest].pos)
			oldest = i;
	}
	return oldest;
}

void z5_state_keep(struct z5_state *s, uint32_t pos)
{
	const unsigned int i = oldest_copy(s);

	if (!pos || find_copy(s, pos) >= 0)
		return;
	memcpy(copy_at(s, i), s->region.addr, s->bytes);
	s->copy[i].used = true;
	s->copy[i].pos = pos;
}

uint32_t z5_state_back(const struct z5_state *s, uint32_t pos)
{
	uint32_t best = 0;

	for (int i = 0; i < Z5_STATE_COPIES; i++)
		if (s->copy[i].used && s->copy[i].pos <= pos && s->copy[i].pos > best)
			best = s->copy[i].pos;
	return best;
}

int z5_state_rewind(struct z5_state *s, uint32_t pos)
{
	const int from = find_copy(s, pos);

	if (pos && from < 0)
		return -ENOTSUP;
	if (pos)
		memcpy(s->region.addr, copy_at(s, (unsigned int)from), s->bytes);
	else
		memset(s->region.addr, 0, s->bytes);
	for (int i = 0; i < Z5_STATE_COPIES; i++)
		s->copy[i].used &= s->copy[i].pos <= pos;
	return 0;
}

void z5_state_forget(struct z5_state *s)
{
	memset(s->copy, 0, sizeof(s->copy));
}
