// SPDX-License-Identifier: MIT
/*
 * Table-driven types packed and unpacked. kernels/iq.h says what the file's
 * blocks are and where that is from. A weight is a product of numbers that together have less than
 * 24 bits, so that unpacked floats are exact whatever the order of the factors.
 */
#include "iq.h"

/* ---- IQ4_NL: file block d, nibbles[16] ---- */

size_t z5_group_iq4_nl(size_t k)
{
	return k / 32 * 256 + Z5_ALIGN64(k / 32 * 32);
}

void z5_pack_iq4_nl(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;
	uint8_t *d = (uint8_t *)dst + nb * 256;

	memset(dst, 0, z5_group_iq4_nl(k));
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 18;

		for (size_t b = 0; b < nb; b++, s += 18) {
			spread((uint8_t *)dst + b * 256, s + 2, r, 4, 0);
			memcpy(d + b * 32 + 2 * r, s, 2);
		}
	}
}

void z5_row_iq4_nl(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_iq4_nl(k);
	unsigned int r = row % Z5_GROUP;
	const uint8_t *d = o + k / 32 * 256 + 2 * r;

	for (size_t b = 0; b < k / 32; b++, o += 256, d += 32, dst += 32)
		for (unsigned int i = 0; i < 32; i++)
			dst[i] = z5_f16(load16(d)) * (float)weight_iq4_nl(o, r, i);
}

/* ---- MXFP4: file block e, nibbles[16] ---- */

size_t z5_group_mxfp4(size_t k)
{
	return k / 32 * 256 + Z5_ALIGN64(k / 32 * 16);
}

void z5_pack_mxfp4(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;
	uint8_t *e = (uint8_t *)dst + nb * 256;

	memset(dst, 0, z5_group_mxfp4(k));
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 17;

		for (size_t b = 0; b < nb; b++, s += 17) {
			spread((uint8_t *)dst + b * 256, s + 1, r, 4, 0);
			e[b * 16 + r] = *s;
		}
	}
}

void z5_row_mxfp4(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_mxfp4(k);
	unsigned int r = row % Z5_GROUP;
	const uint8_t *e = o + k / 32 * 256 + r;

	for (size_t b = 0; b < k / 32; b++, o += 256, e += 16, dst += 32)
		for (unsigned int i = 0; i < 32; i++)
			dst[i] = z5_bits_f32(z5_mxfp4_scale(*e)) * (float)weight_mxfp4(o, r, i);
}

/* ---- IQ4_XS: file block d, high, low[4], nibbles[128] ---- */

#define IQ4_XS_BLOCK (34 * 64)

size_t z5_group_iq4_xs(size_t k)
{
	return k / 256 * IQ4_XS_BLOCK;
}

void z5_pack_iq4_xs(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	memset(dst, 0, z5_group_iq4_xs(k));
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 136;
		uint8_t *o = dst;

		for (size_t b = 0; b < nb; b++, s += 136, o += IQ4_XS_BLOCK) {
			spread(o, s + 8, r, 32, 0);
			spread(o + 32 * 64, s + 4, r, 1, 0);
			memcpy(o + 33 * 64 + 2 * r, s + 2, 2);
			memcpy(o + 33 * 64 + 32 + 2 * r, s, 2);
		}
	}
}

void z5_row_iq4_xs(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_iq4_xs(k);
	unsigned int r = row % Z5_GROUP;

	for (size_t b = 0; b < k / 256; b++, o += IQ4_XS_BLOCK, dst += 256) {
		float d = z5_f16(load16(o + 33 * 64 + 32 + 2 * r));

		for (unsigned int i = 0; i < 256; i++)
			dst[i] = d * (float)scale_iq4_xs(o, r, i / 32) *
				 (float)weight_iq4_xs(o, r, i);
	}
}

/* ---- grids ---- */

/* Signs of the 8 columns from 8 g on: 4 bits a quad. o is zero there. */
static void put_signs(uint8_t *o, unsigned int line, unsigned int r, unsigned int g,
		      unsigned int signs)
{
	uint8_t *mask = o + 64 * line + 16 * g + r / 2;

	mask[0] = (uint8_t)(mask[0] | (signs & 15) << (r % 2 * 4));
	mask[8] = (uint8_t)(mask[8] | signs >> 4 << (r % 2 * 4));
}

/* n bits, as bits_at() finds them. o is zero there. */
static void put_bits(uint8_t *o, unsigned int line, unsigned int r, unsigned int at, uint32_t v)
{
	uint8_t *p = o + 64 * (line + at / 32) + 4 * r;
	uint32_t word = load32(p) | v << at % 32;

	memcpy(p, &word, 4);
}

/* One row of one block from the file's bytes; o is zero. */
static void block_iq2_xxs(uint8_t *o, const uint8_t *s, unsigned int r)
{
	for (unsigned int ib = 0; ib < 8; ib++) {
		uint32_t rest = load32(s + 6 + 8 * ib);

		spread(o + 64 * ib, s + 2 + 8 * ib, r, 1, 0);
		for (unsigned int l = 0; l < 4; l++)
			put_signs(o, 8, r, 4 * ib + l, z5_iq_signs(rest >> 7 * l));
		put_bits(o, 16, r, 4 * ib, rest >> 28);
	}
}

static void block_iq2_xs(uint8_t *o, const uint8_t *s, unsigned int r)
{
	for (unsigned int g = 0; g < 32; g++) {
		unsigned int q = load16(s + 2 + 2 * g);

		put_bits(o, 0, r, 8 * g, q & 255);
		put_bits(o, 18, r, g, q >> 8 & 1);
		put_signs(o, 8, r, g, z5_iq_signs(q >> 9));
	}
	spread(o + 16 * 64, s + 66, r, 2, 0);
}

static void block_iq2_s(uint8_t *o, const uint8_t *s, unsigned int r)
{
	spread(o, s + 2, r, 8, 0);
	for (unsigned int g = 0; g < 32; g++)
		put_signs(o, 8, r, g, s[34 + g]);
	spread(o + 16 * 64, s + 74, r, 2, 0);
	spread(o + 18 * 64, s + 66, r, 2, 0);
}

static void block_iq3_xxs(uint8_t *o, const uint8_t *s, unsigned int r)
{
	spread(o, s + 2, r, 16, 0);
	for (unsigned int ib = 0; ib < 8; ib++) {
		uint32_t rest = load32(s + 66 + 4 * ib);

		for (unsigned int l = 0; l < 4; l++)
			put_signs(o, 16, r, 4 * ib + l, z5_iq_signs(rest >> 7 * l));
		put_bits(o, 24, r, 4 * ib, rest >> 28);
	}
}

static void block_iq3_s(uint8_t *o, const uint8_t *s, unsigned int r)
{
	spread(o, s + 2, r, 16, 0);
	for (unsigned int g = 0; g < 32; g++)
		put_signs(o, 16, r, g, s[74 + g]);
	spread(o + 24 * 64, s + 106, r, 1, 0);
	spread(o + 25 * 64, s + 66, r, 2, 0);
}

static void block_iq1_s(uint8_t *o, const uint8_t *s, unsigned int r)
{
	spread(o, s + 2, r, 12, 0);
}

static void block_iq1_m(uint8_t *o, const uint8_t *s, unsigned int r)
{
	spread(o, s, r, 12, 0);
	for (unsigned int j = 0; j < 16; j++)
		put_bits(o, 12, r, 4 * j, (unsigned int)load16(s + 48 + j / 4 * 2) >> j % 4 * 3 & 7);
}

static uint16_t d_first(const uint8_t *s)
{
	return load16(s);
}

/* IQ1_M keeps d in the top nibbles of its scales. */
static uint16_t d_iq1_m(const uint8_t *s)
{
	unsigned int d = 0;

	for (unsigned int i = 0; i < 4; i++)
		d |= (unsigned int)load16(s + 48 + 2 * i) >> 12 << 4 * i;
	return (uint16_t)d;
}

/*
 * The three functions of a type: lines of a packed block, bytes of the file's, columns that share a scale, and the
 * power of two that makes the integers whole. After all blocks 16 halves d a block.
 */
#define GRID(name, lines, bytes, sub, by, d_of)							\
size_t z5_group_##name(size_t k)								\
{												\
	return k / 256 * (lines) * 64 + Z5_ALIGN64(k / 256 * 32);				\
}												\
												\
void z5_pack_##name(void *dst, const void *src, unsigned int n_rows, size_t k)			\
{												\
	size_t nb = k / 256;									\
	uint8_t *d = (uint8_t *)dst + nb * (lines) * 64;					\
												\
	memset(dst, 0, z5_group_##name(k));							\
	for (unsigned int r = 0; r < n_rows; r++) {						\
		const uint8_t *s = (const uint8_t *)src + r * nb * (bytes);			\
												\
		for (size_t b = 0; b < nb; b++, s += (bytes)) {					\
			block_##name((uint8_t *)dst + b * (lines) * 64, s, r);			\
			store16(d + b * 32 + 2 * r, d_of(s));					\
		}										\
	}											\
}												\
												\
void z5_row_##name(float *dst, const void *w, size_t row, size_t k)				\
{												\
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_##name(k);		\
	unsigned int r = row % Z5_GROUP;							\
	const uint8_t *d = o + k / 256 * (lines) * 64 + 2 * r;					\
												\
	for (size_t b = 0; b < k / 256; b++, o += (lines) * 64, d += 32, dst += 256)		\
		for (unsigned int i = 0; i < 256; i++)						\
			dst[i] = z5_f16(load16(d)) * (by) * (float)scale_##name(o, r, i / (sub)) *	\
				 (float)weight_##name(o, r, i);					\
}

GRID(iq2_xxs, 17, 66, 32, 0.125f, d_first)
GRID(iq2_xs, 19, 74, 16, 0.125f, d_first)
GRID(iq2_s, 20, 82, 16, 0.125f, d_first)
GRID(iq3_xxs, 25, 98, 32, 0.25f, d_first)
GRID(iq3_s, 27, 110, 32, 1.0f, d_first)
GRID(iq1_s, 12, 50, 32, 0.125f, d_first)
GRID(iq1_m, 14, 56, 16, 0.125f, d_iq1_m)
