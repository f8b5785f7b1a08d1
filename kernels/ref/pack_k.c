// SPDX-License-Identifier: MIT
/* K-quants packed and unpacked. Block formats: the k-quants pull request (llama.cpp#1684). */
#include "pack.h"

/* ---- Q4_K: file block d, dmin, scales[12], nibbles[128] ---- */

#define Q4_K_BLOCK (36 * 64)

size_t z5_group_q4_k(size_t k)
{
	return k / 256 * Q4_K_BLOCK;
}

void z5_pack_q4_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, z5_group_q4_k(k));
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 144;
		uint8_t *o = dst;

		for (size_t b = 0; b < nb; b++, s += 144, o += Q4_K_BLOCK) {
			spread(o, s + 16, r, 32, 0);
			for (int p = 0; p < 6; p++)
				memcpy(o + 32 * 64 + 32 * p + 2 * r, s + 4 + 2 * p, 2);
			memcpy(o + 35 * 64 + 2 * r, s, 2);
			memcpy(o + 35 * 64 + 32 + 2 * r, s + 2, 2);
		}
	}
}

void z5_row_q4_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * z5_group_q4_k(k);
	unsigned int r = row % Z5_GROUP;

	for (size_t b = 0; b < k / 256; b++, o += Q4_K_BLOCK, dst += 256) {
		float d = z5_f16(load16(o + 35 * 64 + 2 * r));
		float dmin = z5_f16(load16(o + 35 * 64 + 32 + 2 * r));

		for (unsigned int s = 0; s < 8; s++) {
			int sc, m;

			scale_q4_k(o + 32 * 64, r, s, &sc, &m);
			for (unsigned int i = 0; i < 32; i++) {
				int q = o[(s / 2 * 8 + i / 4) * 64 + 4 * r + i % 4] >> (s % 2 * 4) & 15;

				dst[s * 32 + i] = d * (float)sc * (float)q - dmin * (float)m;
			}
		}
	}
}

/* ---- Q6_K: file block low[128], high[64], scales[16], d ---- */

#define Q6_K_BLOCK (52 * 64)

size_t z5_group_q6_k(size_t k)
{
	return k / 256 * Q6_K_BLOCK + Z5_ALIGN64(k / 256 * 32);
}

void z5_pack_q6_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;
	uint8_t *d = (uint8_t *)dst + nb * Q6_K_BLOCK;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, nb * Q6_K_BLOCK);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 210;
		uint8_t *o = dst;

		for (size_t b = 0; b < nb; b++, s += 210, o += Q6_K_BLOCK) {
			spread(o, s, r, 32, 0);
			spread(o + 32 * 64, s + 128, r, 16, 0);
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
			unsigned int h = i / 128, j = i % 128 / 4;
			int lo = o[(16 * h + j % 16) * 64 + 4 * r + i % 4] >> (j / 16 * 4) & 15;
			int hi = o[(32 + 8 * h + j % 8) * 64 + 4 * r + i % 4] >> (j / 8 * 2) & 3;
			int sc = (int8_t)o[48 * 64 + i / 32 * 32 + 2 * r + i / 16 % 2];

			dst[i] = z5_f16(load16(d)) * (float)sc * (float)((hi << 4 | lo) - 32);
		}
	}
}
