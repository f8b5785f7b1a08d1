// SPDX-License-Identifier: MIT
/*
 * Ternary weights packed and unpacked. Block formats: the ternary pull request of llama.cpp (8151); I2_S: the quantizer
 * of microsoft/BitNet for x86. All become the same lines of two bits.
 */
#include "pack.h"

#define LINES		16
#define BLOCK		(LINES * 64)

/* All weights 0, in the file's rows and in those that pad. */
static void clear(uint8_t *dst, size_t blocks)
{
	memset(dst, 0x55, blocks * BLOCK);
}

static size_t group_scaled(size_t k)
{
	return k / 256 * BLOCK + Z5_ALIGN64(k / 256 * 32);
}

static void row_ternary(float *dst, const uint8_t *o, unsigned int r, size_t k, const uint8_t *d)
{
	for (size_t b = 0; b < k / 256; b++, o += BLOCK, dst += 256) {
		float scale = d ? z5_f16(load16(d + 32 * b + 2 * r)) : 1.0f;

		for (unsigned int i = 0; i < 256; i++)
			dst[i] = scale * (float)(get_ternary(o, r, i) - 1);
	}
}

/* ---- TQ2_0: file block weights[64], d ---- */

size_t z5_group_tq2_0(size_t k)
{
	return group_scaled(k);
}

void z5_pack_tq2_0(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;
	uint8_t *o = dst, *d = o + nb * BLOCK;

	if (n_rows < Z5_GROUP)
		clear(dst, nb);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 66;

			spread(o + b * BLOCK, s, r, LINES, 0);
			memcpy(d + b * 32 + r * 2, s + 64, 2);
		}
	}
}

void z5_row_tq2_0(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_scaled(k);

	row_ternary(dst, o, row % Z5_GROUP, k, o + k / 256 * BLOCK);
}

/*
 * ---- TQ1_0: file block five digits a byte[48], four a byte[4], d ----
 *
 * A byte is a fraction of 256 whose digits to base 3 are weights + 1, the first one highest; the first 32 bytes have
 * columns i, i + 32 .. i + 128 of a block, 16 more 160 + i, 176 + i .. 224 + i, the last four 240 + i, 244 + i ..
 */

/* Digits n of some bytes, from column `at` on. */
static void digits(uint8_t *code, const uint8_t *s, unsigned int bytes, unsigned int n, unsigned int at)
{
	for (unsigned int i = 0; i < bytes; i++) {
		uint8_t q = s[i];

		for (unsigned int j = 0; j < n; j++, q = (uint8_t)(3 * q))
			code[at + j * bytes + i] = (uint8_t)(3 * q >> 8);
	}
}

size_t z5_group_tq1_0(size_t k)
{
	return group_scaled(k);
}

void z5_pack_tq1_0(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;
	uint8_t *o = dst, *d = o + nb * BLOCK, code[256], two[64];

	if (n_rows < Z5_GROUP)
		clear(dst, nb);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 54;

			digits(code, s, 32, 5, 0);
			digits(code, s + 32, 16, 5, 160);
			digits(code, s + 48, 4, 4, 240);
			for (unsigned int i = 0; i < 64; i++) {
				const uint8_t *c = code + i / 32 * 128 + i % 32;

				two[i] = (uint8_t)(c[0] | c[32] << 2 | c[64] << 4 | c[96] << 6);
			}
			spread(o + b * BLOCK, two, r, LINES, 0);
			memcpy(d + b * 32 + r * 2, s + 52, 2);
		}
	}
}

void z5_row_tq1_0(float *dst, const void *w, size_t row, size_t k)
{
	z5_row_tq2_0(dst, w, row, k);
}

/* ---- I2_S ---- */

size_t z5_group_i2_s(size_t k)
{
	return k / 256 * BLOCK;
}

/* The four weights of each byte the other way round. */
static uint32_t turned(uint32_t v)
{
	v = (v >> 4 & BYTES(15)) | (v & BYTES(15)) << 4;
	return (v >> 2 & BYTES(0x33)) | (v & BYTES(0x33)) << 2;
}

void z5_pack_i2_s(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		clear(dst, nb);
	for (size_t b = 0; b < nb; b++)
		for (unsigned int r = 0; r < n_rows; r++)
			for (unsigned int j = 0; j < LINES; j++)
				store32((uint8_t *)dst + b * BLOCK + 64 * j + 4 * r,
					turned(load32((const uint8_t *)src + (r * nb + b) * 64 + 4 * j)));
}

void z5_row_i2_s(float *dst, const void *w, size_t row, size_t k)
{
	row_ternary(dst, (const uint8_t *)w + row / Z5_GROUP * z5_group_i2_s(k), row % Z5_GROUP, k, NULL);
}
