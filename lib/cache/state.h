/* SPDX-License-Identifier: MIT */
/*
 * What a recurrent model keeps of a sequence: in each layer some parts of a fixed size, however long the sequence is.
 * A token changes all of it for good, so there is no way back but to copies that were made on the way.
 */
#ifndef Z5_STATE_H
#define Z5_STATE_H

#include <mem/region.h>
#include <stdbool.h>
#include <stdint.h>

#define Z5_STATE_PARTS	3
#define Z5_STATE_COPIES	2

struct z5_state {
	struct z5_region region;	/* the state, then the copies */
	size_t part[Z5_STATE_PARTS];	/* where each begins in a layer */
	size_t layer_bytes, bytes;	/* of one layer, of all */
	struct {
		bool used;
		uint32_t pos;
	} copy[Z5_STATE_COPIES];
};

/*
 * Fills everything but the region, for parts of so many floats; *bytes gets what the region will need. -EINVAL if that
 * overflows.
 */
int z5_state_shape(struct z5_state *s, const size_t *floats, size_t n_layer, size_t *bytes, struct zen5rt_error *err);
/* The same with its region, all zero: the state of an empty sequence. -ENOMEM, -EINVAL. */
int z5_state_init(struct z5_state *s, const size_t *floats, size_t n_layer, struct zen5rt_error *err);
void z5_state_free(struct z5_state *s);

static inline float *z5_state_part(const struct z5_state *s, size_t layer, unsigned int part)
{
	return (float *)(void *)((uint8_t *)s->region.addr + layer * s->layer_bytes + s->part[part]);
}

/* Copies the state, which is that of position pos, over the older copy; unless there is one of pos already. */
void z5_state_keep(struct z5_state *s, uint32_t pos);
/* The last position up to pos that it can go back to from where it is: that of a copy, or 0. */
uint32_t z5_state_back(const struct z5_state *s, uint32_t pos);
/* Goes back to pos, of which there is a copy, or 0; copies of later ones are forgotten. -ENOTSUP: there is none. */
int z5_state_rewind(struct z5_state *s, uint32_t pos);
/* No copy is of this sequence any more. */
void z5_state_forget(struct z5_state *s);

#endif
