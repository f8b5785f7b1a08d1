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

/* ---- grids: the first lines of a block are words of indices, a byte each ---- */

/* Byte i of row r's words from a line on. */
static inline unsigned int byte_at(const uint8_t *o, unsigned int line, unsigned int r,
				   unsigned int i)
{
	return o[64 * (line + i / 4) + 4 * r + i % 4];
}

/* n bits of row r's words from a line on, from bit at (which they do not straddle a word with). */
static inline unsigned int bits_at(const uint8_t *o, unsigned int line, unsigned int r,
				   unsigned int at, unsigned int n)
{
	return word_at(o, line + at / 32, r) >> at % 32 & ((1u << n) - 1);
}

/* v, or -v if the sign of column i is set; the masks of all quads are 8 lines. */
static inline int signed_at(const uint8_t *o, unsigned int line, unsigned int r, unsigned int i,
			    int v)
{
	const uint8_t *mask = o + 64 * line + 8 * (i / 4);

	return mask[r / 2] >> (r % 2 * 4 + i % 4) & 1 ? -v : v;
}

static inline int weight_iq2_xxs(const uint8_t *o, unsigned int r, unsigned int i)
{
	return signed_at(o, 8, r, i,
			 z5_iq2_weight(z5_iq2_xxs_grid[byte_at(o, 0, r, i / 8)], i % 8));
}

static inline int weight_iq2_xs(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int at = byte_at(o, 0, r, i / 8) | bits_at(o, 18, r, i / 8, 1) << 8;

	return signed_at(o, 8, r, i, z5_iq2_weight(z5_iq2_xs_grid[at], i % 8));
}

static inline int weight_iq2_s(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int at = byte_at(o, 0, r, i / 8) | bits_at(o, 18, r, i / 8 * 2, 2) << 8;

	return signed_at(o, 8, r, i, z5_iq2_weight(z5_iq2_s_grid[at], i % 8));
}

static inline int weight_iq3_xxs(const uint8_t *o, unsigned int r, unsigned int i)
{
	return signed_at(o, 16, r, i,
			 z5_iq3_weight(z5_iq3_xxs_grid[byte_at(o, 0, r, i / 4)], i % 4));
}

static inline int weight_iq3_s(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int at = byte_at(o, 0, r, i / 4) | bits_at(o, 25, r, i / 4, 1) << 8;

	return signed_at(o, 16, r, i, z5_iq3_weight(z5_iq3_s_grid[at], i % 4));
}

/* In eighths, so that delta is whole. */
static inline int weight_iq1_s(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int ib = i / 32, at = byte_at(o, 0, r, i / 8);

	at |= bits_at(o, 8, r, 16 * ib + i % 32 / 8 * 3, 3) << 8;
	return 8 * z5_iq1_weight(z5_iq1_grid[at], i % 8) +
	       (bits_at(o, 8, r, 16 * ib + 15, 1) ? -1 : 1);
}

static inline int weight_iq1_m(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int high = bits_at(o, 8, r, i / 8 * 4, 4);
	unsigned int at = byte_at(o, 0, r, i / 8) | (high & 7) << 8;

	return 8 * z5_iq1_weight(z5_iq1_grid[at], i % 8) + (high & 8 ? -1 : 1);
}

/* 2 s + 1 of nibble n of the words of scales. */
static inline int odd_scale(const uint8_t *o, unsigned int line, unsigned int r, unsigned int n)
{
	return 2 * (int)bits_at(o, line, r, 4 * n, 4) + 1;
}

static inline int scale_iq2_xxs(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 16, r, s);
}

static inline int scale_iq2_xs(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 16, r, s);
}

static inline int scale_iq2_s(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 16, r, s);
}

static inline int scale_iq3_xxs(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 24, r, s);
}

static inline int scale_iq3_s(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 24, r, s);
}

static inline int scale_iq1_s(const uint8_t *o, unsigned int r, unsigned int s)
{
	return 2 * (int)bits_at(o, 8, r, 16 * s + 12, 3) + 1;
}

static inline int scale_iq1_m(const uint8_t *o, unsigned int r, unsigned int s)
{
	return odd_scale(o, 12, r, s);
}

#endif
