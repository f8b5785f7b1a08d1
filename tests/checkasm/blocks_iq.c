// SPDX-License-Identifier: MIT
/*
 * Weight i of a row of ggml's blocks with grids, counted as dequantize_row_*() of ggml-quants.c
 * does. The grids themselves are checked elsewhere (tests/unit/iq.c, against what llama.cpp makes of
 * every entry).
 */
#include "checkasm.h"

#include <kernels/iq.h>

static unsigned int u16(const uint8_t *p)
{
	return p[0] | (unsigned int)p[1] << 8;
}

static uint32_t u32(const uint8_t *p)
{
	return u16(p) | (uint32_t)u16(p + 2) << 16;
}

static bool odd(unsigned int v)
{
	bool o = false;

	for (; v; v &= v - 1)
		o = !o;
	return o;
}

/* The sign of weight j of 8 where 7 bits are stored. */
static int sign7(unsigned int bits, size_t j)
{
	return (j < 7 ? bits >> j & 1 : odd(bits & 127)) ? -1 : 1;
}

static int sign8(unsigned int bits, size_t j)
{
	return bits >> j & 1 ? -1 : 1;
}

static double iq1(unsigned int at, size_t j, bool minus)
{
	return z5_iq1_weight(z5_iq1_grid[at], (unsigned int)j) + (minus ? -0.125 : 0.125);
}

double column_grid(enum z5_type type, const uint8_t *b, size_t i, uint16_t *d)
{
	size_t ib = i / 32, l = i % 32 / 8, j = i % 8, m = i % 32 / 4;
	unsigned int at, s, jj = (unsigned int)j;
	const uint8_t *p;

	*d = (uint16_t)u16(b);
	switch (type) {
	case Z5_IQ2_XXS:
		p = b + 2 + 8 * ib;
		return (0.5 + (u32(p + 4) >> 28)) * 0.25 * z5_iq2_weight(z5_iq2_xxs_grid[p[l]], jj) *
		       sign7(u32(p + 4) >> 7 * l, j);
	case Z5_IQ2_XS:
		at = u16(b + 2 + 2 * (4 * ib + l));
		s = l < 2 ? b[66 + ib] % 16 : b[66 + ib] / 16;
		return (0.5 + s) * 0.25 * z5_iq2_weight(z5_iq2_xs_grid[at % 512], jj) *
		       sign7(at / 512, j);
	case Z5_IQ2_S:
		at = b[2 + 4 * ib + l] + 256 * (b[66 + ib] >> 2 * l & 3);
		s = l < 2 ? b[74 + ib] % 16 : b[74 + ib] / 16;
		return (0.5 + s) * 0.25 * z5_iq2_weight(z5_iq2_s_grid[at], jj) *
		       sign8(b[34 + 4 * ib + l], j);
	case Z5_IQ3_XXS:
		p = b + 66 + 4 * ib;
		at = b[2 + 8 * ib + m];
		return (0.5 + (u32(p) >> 28)) * 0.5 * z5_iq3_weight(z5_iq3_xxs_grid[at], jj % 4) *
		       sign7(u32(p) >> 7 * l, j);
	case Z5_IQ3_S:
		at = b[2 + 8 * ib + m] + 256 * (b[66 + ib] >> m & 1);
		s = ib % 2 ? b[106 + ib / 2] / 16 : b[106 + ib / 2] % 16;
		return (1 + 2.0 * s) * z5_iq3_weight(z5_iq3_s_grid[at], jj % 4) *
		       sign8(b[74 + 4 * ib + l], j);
	case Z5_IQ1_S:
		s = u16(b + 34 + 2 * ib);
		at = b[2 + 4 * ib + l] + 256 * (s >> 3 * l & 7);
		return (2.0 * (s >> 12 & 7) + 1) * iq1(at, j, s & 0x8000);
	default:	/* IQ1_M */
		p = b + 48;
		*d = (uint16_t)(p[1] / 16 + p[3] / 16 * 16 + p[5] / 16 * 256 + p[7] / 16 * 4096);
		s = u16(p + 2 * (ib / 2)) >> (6 * (ib % 2) + 3 * (l / 2)) & 7;
		at = b[32 + 2 * ib + l / 2] >> 4 * (l % 2);
		return (2.0 * s + 1) * iq1(b[4 * ib + l] + 256 * (at & 7), j, at & 8);
	}
}
