/* SPDX-License-Identifier: MIT */
/*
 * What defines the table-driven block formats of GGUF (IQ1 to IQ4, MXFP4), for the kernels and for
 * whoever writes such blocks. Source: llama.cpp's ggml-common.h and dequantize_row_*() of
 * ggml-quants.c; MXFP4: OCP Microscaling Formats 1.0. Numbers are little endian; d is a half.
 *
 * Blocks of 32:
 *  IQ4_NL   18 bytes: d, 16 bytes of nibbles as Q4_0 (weight i low, weight i + 16 high).
 *           w = d * iq4[nibble]
 *  MXFP4    17 bytes: e, 16 bytes of nibbles likewise. w = 2^(e - 128) * mxfp4[nibble], see
 *           z5_mxfp4_scale()
 *
 * Blocks of 256; sub-block ib is 32 weights, l counts its groups of 8:
 *  IQ4_XS  136 bytes: d, u16 high, u8 low[4], 128 bytes of nibbles (16 a sub-block, as Q4_0). The
 *           scale s of sub-block ib is (nibble ib % 2 of low[ib / 2] | (high >> 2 ib & 3) << 4) - 32.
 *           w = d * s * iq4[nibble]
 *  IQ2_XXS  66 bytes: d, then a sub-block: u8 index[4], u32 rest. Signs l are the 7 bits of rest
 *           from 7 l (see z5_iq_signs()), s its top 4 bits.
 *           w = d / 8 * (2 s + 1) * grid * sign, grid: z5_iq2_xxs_grid
 *  IQ2_XS   74 bytes: d, u16 q[32] (index 9 bits, signs the 7 above), u8 scales[8] (the low nibble
 *           for l = 0, 1, the high one for l = 2, 3). w as IQ2_XXS, grid: z5_iq2_xs_grid
 *  IQ2_S    82 bytes: d, u8 index[32], u8 signs[32] (bit i for weight i), u8 high[8] (bits 8, 9 of
 *           index l are 2 bits from 2 l), scales[8] as IQ2_XS. w as IQ2_XXS, grid: z5_iq2_s_grid
 *  IQ3_XXS  98 bytes: d, u8 index[64] (one for 4 weights), then u32 rest[8] as in IQ2_XXS.
 *           w = d / 4 * (2 s + 1) * grid * sign, grid: z5_iq3_xxs_grid
 *  IQ3_S   110 bytes: d, u8 index[64], u8 high[8] (bit i: bit 8 of the index of quad i of the
 *           sub-block), u8 signs[32], u8 scales[4] (nibble ib % 2 of byte ib / 2).
 *           w = d * (2 s + 1) * grid * sign, grid: z5_iq3_s_grid
 *  IQ1_S    50 bytes: d, u8 index[32], u16 high[8]: bits 8..10 of index l are 3 bits from 3 l, s is
 *           3 bits from 12, bit 15 the sign of delta.
 *           w = d * (2 s + 1) * (grid + delta), delta 1/8 or -1/8 (bit set), grid: z5_iq1_grid
 *  IQ1_M    56 bytes: u8 index[32], u8 high[16] (a nibble for each group of 8: bits 8..10 of its
 *           index, bit 3 the sign of its delta), u16 scales[4]: scale s of 16 weights number j is
 *           3 bits from 3 (j % 4) of scales[j / 4]; the top nibbles of scales[0..3], lowest first,
 *           are d. w as IQ1_S
 */
#ifndef Z5_IQ_H
#define Z5_IQ_H

#include <stdint.h>

/* Eight weights of 0, 1 or 2: weight i < 4 in the low nibble of byte i, the others in the high ones. */
extern const uint32_t z5_iq2_xxs_grid[256], z5_iq2_xs_grid[512], z5_iq2_s_grid[1024];
extern const uint32_t z5_iq1_grid[2048];
/* Four weights, a byte each. */
extern const uint32_t z5_iq3_xxs_grid[256], z5_iq3_s_grid[512];

/* Weight i (0..7) of a grid entry, before its sign. */
static inline int z5_iq2_weight(uint32_t entry, unsigned int i)
{
	static const uint8_t levels[4] = { 8, 25, 43 };

	return levels[entry >> (i % 4 * 8 + i / 4 * 4) & 3];
}

static inline int z5_iq1_weight(uint32_t entry, unsigned int i)
{
	return (int)(entry >> (i % 4 * 8 + i / 4 * 4) & 3) - 1;
}

/* Weight i (0..3) */
static inline int z5_iq3_weight(uint32_t entry, unsigned int i)
{
	return (int)(entry >> 8 * i & 255);
}

/* Signs of 8 weights (bit set: negative) out of the 7 that are stored: their number is even. */
static inline unsigned int z5_iq_signs(unsigned int seven)
{
	seven &= 127;
	return seven | ((unsigned int)__builtin_popcount(seven) & 1) << 7;
}

/* What a nibble stands for. MXFP4 (e2m1) doubled, so that all are whole. */
static const int8_t z5_iq4_levels[16] = {
	-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113
};
static const int8_t z5_mxfp4_levels[16] = {
	0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12
};

/*
 * Bits of the float 2^(e - 128), for the doubled levels. e = 0 and 1 would be denormal: they are 0,
 * which is what DAZ makes of them anyway. e = 255 is NaN in the standard; llama.cpp's check of files
 * refuses it and its kernels read 2^127, and so do we.
 */
static inline uint32_t z5_mxfp4_scale(uint8_t e)
{
	return (uint32_t)(e > 1 ? e - 1 : 0) << 23;
}

#endif
