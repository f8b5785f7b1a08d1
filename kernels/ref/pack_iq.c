// SPDX-License-Identifier: MIT
/*
 * Table-driven types packed and unpacked: IQ4_NL, IQ4_XS, MXFP4. kernels/iq.h says what the file's
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
