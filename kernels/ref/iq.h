/* SPDX-License-Identifier: MIT */
/*
 * The integers in packed blocks of the table-driven types (kernels.h has the layout, kernels/iq.h
 * the meaning): weight i of row r of a block, and the scale of its sub-block s. o is the block.
 */
#ifndef Z5_REF_IQ_H
#define Z5_REF_IQ_H

#include <kernels/iq.h>

#include "pack.h"

/* Row r's word of a line. */
static inline uint32_t word_at(const uint8_t *o, unsigned int line, unsigned int r)
{
	return load32(o + 64 * line + 4 * r);
}

/* Nibble i of 32, stored as in Q4_0. */
static inline unsigned int nibble_at(const uint8_t *o, unsigned int r, unsigned int i)
{
	return o[i % 16 / 4 * 64 + 4 * r + i % 4] >> (i / 16 * 4) & 15;
}

static inline int weight_iq4_nl(const uint8_t *o, unsigned int r, unsigned int i)
{
	return z5_iq4_levels[nibble_at(o, r, i)];
}

static inline int weight_mxfp4(const uint8_t *o, unsigned int r, unsigned int i)
{
	return z5_mxfp4_levels[nibble_at(o, r, i)];
}

static inline int weight_iq4_xs(const uint8_t *o, unsigned int r, unsigned int i)
{
	return z5_iq4_levels[nibble_at(o + i / 32 * 256, r, i % 32)];
}

static inline int scale_iq4_xs(const uint8_t *o, unsigned int r, unsigned int s)
{
	unsigned int low = word_at(o, 32, r) >> 4 * s & 15;
	unsigned int high = (unsigned int)load16(o + 33 * 64 + 2 * r) >> 2 * s & 3;

	return (int)(low | high << 4) - 32;
}

#endif
