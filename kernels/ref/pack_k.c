// SPDX-License-Identifier: MIT
/* K-quants packed and unpacked. Block formats: the k-quants pull request (llama.cpp#1684). */
#include "pack.h"

/* ---- Q2_K: file block scales[16], weights[64], d, dmin ---- */

#define Q2_K_BLOCK (21 * 64)

size_t z5_group_q2_k(size_t k)
{
	return k / 256 * Q2_K_BLOCK;
}

void z5_pack_q2_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, z5_group_q2_k(k));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q2_K_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 84;

			spread(o, s + 16, r, 16, 0);
			for (int p = 0; p < 8; p++)
				memcpy(o + 16 * 64 + 32 * p + 2 * r, s + 2 * p, 2);
			memcpy(o + 20 * 64 + 2 * r, s + 80, 2);
			memcpy(o + 20 * 64 + 32 + 2 * r, s + 82, 2);
		}
	}
}

void z5_row_q2_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_q2_k(k);
	unsigned int r = row % Z5_GROUP;

	for (size_t b = 0; b < k / 256; b++, o += Q2_K_BLOCK, dst += 256) {
		float d = z5_f16(load16(o + 20 * 64 + 2 * r));
		float dmin = z5_f16(load16(o + 20 * 64 + 32 + 2 * r));

		for (unsigned int i = 0; i < 256; i++) {
			int q = o[(i / 128 * 8 + i % 32 / 4) * 64 + 4 * r + i % 4] >> i % 128 / 32 * 2 & 3;
			uint8_t sc = o[16 * 64 + i / 32 * 32 + 2 * r + i / 16 % 2];

			dst[i] = d * (float)(sc & 15) * (float)q - dmin * (float)(sc >> 4);
		}
	}
}

/* ---- Q3_K: file block third bits[32], two bits[64], scales[12], d ---- */

#define Q3_K_BLOCK (28 * 64)

size_t z5_group_q3_k(size_t k)
{
	return k / 256 * Q3_K_BLOCK + Z5_ALIGN64(k / 256 * 32);
}

/*
 * A row of a block: columns i, i + 32, i + 64 and i + 96 of a half share a byte, all eight of both halves a byte of
 * bits.
 */
static void pack_three(uint8_t *o, const uint8_t *s, unsigned int r)
{
	for (unsigned int j = 0; j < 8; j++) {
		uint32_t third = 0;

		for (unsigned int h = 0; h < 2; h++) {
			uint32_t q = 0;

			for (unsigned int p = 0; p < 4; p++) {
				uint32_t two = load32(s + 32 + 32 * h + 4 * j) >> 2 * p & BYTES(3);
				uint32_t top = load32(s + 4 * j) >> (4 * h + p) & BYTES(1);

				q |= (p < 2 ? two : (two >> 1 & BYTES(1)) | top << 1) << 2 * p;
				third |= (p < 2 ? top : two & BYTES(1)) << third_bit(h, p);
			}
			store32(o + (8 * h + j) * 64 + 4 * r, q);
		}
		store32(o + (16 + j) * 64 + 4 * r, third);
	}
}

/* Scale j is 6 bits, less 32: the low four in nibble j of bytes 0..7, low nibbles first, the rest in bytes 8..11. */
static int8_t scale_q3_k(const uint8_t *s, unsigned int j)
{
	return (int8_t)(((s[j % 8] >> j / 8 * 4 & 15) | (s[8 + j % 4] >> j / 4 * 2 & 3) << 4) - 32);
}

void z5_pack_q3_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;
	uint8_t *d = (uint8_t *)dst + nb * Q3_K_BLOCK;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, nb * Q3_K_BLOCK);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q3_K_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 110;

			pack_three(o, s, r);
			for (unsigned int j = 0; j < 16; j++)
				o[24 * 64 + j / 2 * 32 + 2 * r + j % 2] = (uint8_t)scale_q3_k(s + 96, j);
			memcpy(d + b * 32 + 2 * r, s + 108, 2);
		}
	}
}

void z5_row_q3_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_q3_k(k);
	unsigned int r = row % Z5_GROUP;
	const uint8_t *d = o + k / 256 * Q3_K_BLOCK + 2 * r;

	for (size_t b = 0; b < k / 256; b++, o += Q3_K_BLOCK, d += 32, dst += 256) {
		for (unsigned int i = 0; i < 256; i++) {
			int sc = (int8_t)o[24 * 64 + i / 32 * 32 + 2 * r + i / 16 % 2];

			dst[i] = z5_f16(load16(d)) * (float)sc * (float)(get_three(o, r, i) - 4);
		}
	}
}

/* ---- Q4_K: file block d, dmin, scales[12], nibbles[128] ---- */

#define Q4_K_BLOCK (36 * 64)

size_t z5_group_q4_k(size_t k)
{
	return k / 256 * Q4_K_BLOCK;
}

/* The last 4 lines of a block: the head of the file's. */
static void tail_q4_k(uint8_t *o, const uint8_t *s, unsigned int r)
{
	for (int p = 0; p < 6; p++)
		memcpy(o + 32 * p + 2 * r, s + 4 + 2 * p, 2);
	memcpy(o + 3 * 64 + 2 * r, s, 2);
	memcpy(o + 3 * 64 + 32 + 2 * r, s + 2, 2);
}

void z5_pack_q4_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, z5_group_q4_k(k));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q4_K_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 144;

			spread(o, s + 16, r, 32, 0);
			tail_q4_k(o + 32 * 64, s, r);
		}
	}
}

/* Row r of a group with blocks of so many lines, the last four those of tail_q4_k(). */
static void row_k32(float *dst, const uint8_t *o, unsigned int r, size_t k, size_t lines, get_k32_fn get)
{
	for (size_t b = 0; b < k / 256; b++, o += lines * 64) {
		const uint8_t *tail = o + (lines - 4) * 64;
		float d = z5_f16(load16(tail + 3 * 64 + 2 * r));
		float dmin = z5_f16(load16(tail + 3 * 64 + 32 + 2 * r));

		for (unsigned int s = 0; s < 8; s++) {
			int sc, m;

			scale_q4_k(tail, r, s, &sc, &m);
			for (unsigned int i = 0; i < 32; i++)
				*dst++ = d * (float)sc * (float)get(o, r, s, i) - dmin * (float)m;
		}
	}
}

void z5_row_q4_k(float *dst, const void *w, size_t row, size_t k)
{
	row_k32(dst, (const uint8_t *)w + row / Z5_GROUP * z5_group_q4_k(k), row % Z5_GROUP, k, 36, get_q4_k);
}

/* ---- Q5_K: file block d, dmin, scales[12], fifth bits[32] (bit s for sub-block s), nibbles[128] ---- */

#define Q5_K_BLOCK (44 * 64)

size_t z5_group_q5_k(size_t k)
{
	return k / 256 * Q5_K_BLOCK;
}

void z5_pack_q5_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, z5_group_q5_k(k));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q5_K_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 176;

			for (unsigned int j = 0; j < 8; j++) {
				uint32_t high = load32(s + 16 + 4 * j), fifth = 0;

				for (unsigned int p = 0; p < 4; p++)
					store32(o + p * 512 + 64 * j + 4 * r,
						put_five(load32(s + 48 + 32 * p + 4 * j), &fifth, p,
							 high >> 2 * p & BYTES(1), high >> (2 * p + 1) & BYTES(1)));
				store32(o + (32 + j) * 64 + 4 * r, fifth);
			}
			tail_q4_k(o + 40 * 64, s, r);
		}
	}
}

void z5_row_q5_k(float *dst, const void *w, size_t row, size_t k)
{
	row_k32(dst, (const uint8_t *)w + row / Z5_GROUP * z5_group_q5_k(k), row % Z5_GROUP, k, 44, get_q5_k);
}

/* ---- Q6_K: file block low[128], high[64], scales[16], d ---- */

#define Q6_K_BLOCK (52 * 64)

size_t z5_group_q6_k(size_t k)
{
	return k / 256 * Q6_K_BLOCK + Z5_ALIGN64(k / 256 * 32);
}

/* Columns l, l + 32 (low nibbles), l + 64 and l + 96 (high) of a half share a byte of high bits. */
static void pack_six(uint8_t *o, const uint8_t *s, unsigned int r)
{
	for (unsigned int j = 0; j < 16; j++) {
		unsigned int h = j / 8, l = j % 8;
		uint32_t more = 0;

		for (unsigned int p = 0; p < 2; p++) {
			uint32_t q = load32(s + 64 * h + 32 * p + 4 * l), high = load32(s + 128 + 4 * j) >> 2 * p;

			store32(o + (16 * h + 8 * p + l) * 64 + 4 * r,
				(q & BYTES(15)) | ((q >> 6 & BYTES(3)) | (high >> 4 & BYTES(3)) << 2) << 4);
			more |= ((high & BYTES(3)) << 2 | (q >> 4 & BYTES(3))) << 4 * p;
		}
		store32(o + (32 + 8 * h + l) * 64 + 4 * r, more);
	}
}

void z5_pack_q6_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;
	uint8_t *d = (uint8_t *)dst + nb * Q6_K_BLOCK;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, nb * Q6_K_BLOCK);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q6_K_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 210;

			pack_six(o, s, r);
			for (int p = 0; p < 8; p++)
				memcpy(o + 48 * 64 + 32 * p + 2 * r, s + 192 + 2 * p, 2);
			memcpy(d + b * 32 + 2 * r, s + 208, 2);
		}
	}
}

void z5_row_q6_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_q6_k(k);
	unsigned int r = row % Z5_GROUP;
	const uint8_t *d = o + k / 256 * Q6_K_BLOCK + 2 * r;

	for (size_t b = 0; b < k / 256; b++, o += Q6_K_BLOCK, d += 32, dst += 256) {
		for (unsigned int i = 0; i < 256; i++) {
			int sc = (int8_t)o[48 * 64 + i / 32 * 32 + 2 * r + i / 16 % 2];

			dst[i] = z5_f16(load16(d)) * (float)sc * (float)(get_six(o, r, i) - 32);
		}
	}
}
