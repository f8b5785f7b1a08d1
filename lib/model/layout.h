/* SPDX-License-Identifier: MIT */
/*
 * Lays the buffers of a session out one after the other. With base NULL only counts, so that the size and the layout
 * are one piece of code. Widths are bounded by the model's checked numbers and rows by n_ubatch: no overflow in 64
 * bits.
 */
#ifndef Z5_LAYOUT_H
#define Z5_LAYOUT_H

#include "session.h"

struct z5_layout {
	uint8_t *base;
	size_t size;
};

static inline void *z5_layout_bytes(struct z5_layout *l, size_t bytes)
{
	uint8_t *p = l->base ? l->base + l->size : NULL;

	l->size += Z5_ALIGN64(bytes);
	return p;
}

static inline void z5_layout_buf(struct z5_layout *l, struct z5_buf *b, size_t rows, size_t bytes)
{
	b->stride = Z5_ALIGN64(bytes);
	b->p = z5_layout_bytes(l, rows * b->stride);
}

/* The same for rows of floats. */
static inline void z5_layout_floats(struct z5_layout *l, struct z5_buf *b, size_t rows, size_t floats)
{
	z5_layout_buf(l, b, rows, floats * sizeof(float));
}

#endif
