// SPDX-License-Identifier: MIT
/*
 * From GGUF's rows to the packed groups that kernels.h describes, and one row back: floats, blocks of 32 columns, and
 * the table of all types. Block formats: ggml's docs.
 */
#include "pack.h"

/* ---- floats ---- */

/* Whole rows of n words, some columns of all at a time: what is written stays in the cache until its lines are full. */
static void spread_rows(uint8_t *dst, const uint8_t *src, unsigned int n_rows, size_t row, size_t n)
{
	for (size_t at = 0; at < n; at += 64)
		for (unsigned int r = 0; r < n_rows; r++)
			spread(dst + 64 * at, src + r * row + 4 * at, r, n - at < 64 ? n - at : 64, 0);
}

static size_t group_f32(size_t k)
{
	return k * 64;
}

static void pack_f32(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	memset(dst, 0, group_f32(k));
	spread_rows(dst, src, n_rows, k * 4, k);
}

static void row_f32(float *dst, const void *w, size_t row, size_t k)
{
	const float *g = (const float *)w + row / Z5_GROUP * k * Z5_GROUP + row % Z5_GROUP;

	for (size_t i = 0; i < k; i++)
		dst[i] = g[i * Z5_GROUP];
}

static size_t group_f16(size_t k)
{
	return Z5_ALIGN64(k * 32);
}

static void pack_f16(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	memset(dst, 0, group_f16(k));
	for (size_t at = 0; at < k; at += 128)
		for (unsigned int r = 0; r < n_rows; r++)
			for (size_t i = at; i < at + 128 && i < k; i++)
				store16((uint8_t *)dst + 32 * i + 2 * r,
					load16((const uint8_t *)src + (r * k + i) * 2));
}

static void row_f16(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *g = (const uint8_t *)w + row / Z5_GROUP * group_f16(k) + row % Z5_GROUP * 2;

	for (size_t i = 0; i < k; i++)
		dst[i] = z5_f16(load16(g + 32 * i));
}

static size_t group_bf16(size_t k)
{
	return (k + 1) / 2 * 64;
}

static void pack_bf16(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	memset(dst, 0, group_bf16(k));
	spread_rows(dst, src, n_rows, k * 2, k / 2);
	for (unsigned int r = 0; k % 2 && r < n_rows; r++)
		memcpy((uint8_t *)dst + k / 2 * 64 + 4 * r, (const uint8_t *)src + (r * k + k - 1) * 2, 2);
}

static void row_bf16(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *g = (const uint8_t *)w + row / Z5_GROUP * group_bf16(k) + row % Z5_GROUP * 4;

	for (size_t i = 0; i < k; i++)
		dst[i] = z5_bf16(load16(g + i / 2 * 64 + i % 2 * 2));
}

/* ---- Q8_0, Q4_0 ---- */

static size_t group_q8_0(size_t k)
{
	return k / 32 * 512 + Z5_ALIGN64(k / 32 * 32);
}

static void pack_q8_0(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;
	uint8_t *q = dst, *d = q + nb * 512;

	if (n_rows < Z5_GROUP)
		memset(q, 0x80, nb * 512);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 34;

			memcpy(d + b * 32 + r * 2, s, 2);
			spread(q + b * 512, s + 2, r, 8, 0x80808080);
		}
	}
}

static void row_q8_0(float *dst, const void *w, size_t row, size_t k)
{
	size_t nb = k / 32;
	const uint8_t *q = (const uint8_t *)w + row / Z5_GROUP * group_q8_0(k);
	const uint8_t *d = q + nb * 512 + row % Z5_GROUP * 2;

	q += row % Z5_GROUP * 4;
	for (size_t i = 0; i < k; i++)
		dst[i] = z5_f16(load16(d + i / 32 * 32)) * (float)(q[i / 4 * 64 + i % 4] - 128);
}

static size_t group_q4_0(size_t k)
{
	return k / 32 * 256 + Z5_ALIGN64(k / 32 * 32);
}

static void pack_q4_0(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;
	uint8_t *q = dst, *d = q + nb * 256;

	if (n_rows < Z5_GROUP)
		memset(q, 0x88, nb * 256);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 18;

			memcpy(d + b * 32 + r * 2, s, 2);
			spread(q + b * 256, s + 2, r, 4, 0);
		}
	}
}

static void row_q4_0(float *dst, const void *w, size_t row, size_t k)
{
	size_t nb = k / 32;
	const uint8_t *q = (const uint8_t *)w + row / Z5_GROUP * group_q4_0(k);
	const uint8_t *d = q + nb * 256 + row % Z5_GROUP * 2;

	q += row % Z5_GROUP * 4;
	for (size_t i = 0; i < k; i++) {
		size_t j = i % 16;
		int v = q[i / 32 * 256 + j / 4 * 64 + j % 4] >> (i % 32 < 16 ? 0 : 4) & 15;

		dst[i] = z5_f16(load16(d + i / 32 * 32)) * (float)(v - 8);
	}
}

/* ---- Q4_1: file block d, m, nibbles[16] ---- */

#define Q4_1_BLOCK (5 * 64)

static size_t group_q4_1(size_t k)
{
	return k / 32 * Q4_1_BLOCK;
}

static void pack_q4_1(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, group_q4_1(k));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q4_1_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 20;

			spread(o, s + 4, r, 4, 0);
			memcpy(o + 4 * 64 + 2 * r, s, 2);
			memcpy(o + 4 * 64 + 32 + 2 * r, s + 2, 2);
		}
	}
}

static void row_q4_1(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_q4_1(k);
	unsigned int r = row % Z5_GROUP;

	for (size_t b = 0; b < k / 32; b++, o += Q4_1_BLOCK, dst += 32) {
		float d = z5_f16(load16(o + 4 * 64 + 2 * r)), m = z5_f16(load16(o + 4 * 64 + 32 + 2 * r));

		for (unsigned int i = 0; i < 16; i++) {
			uint8_t q = o[i / 4 * 64 + 4 * r + i % 4];

			dst[i] = d * (float)(q & 15) + m;
			dst[i + 16] = d * (float)(q >> 4) + m;
		}
	}
}

/* ---- Q5_0, Q5_1: file block d, m of Q5_1, a word of fifth bits (bit i for column i), nibbles[16] ---- */

static void pack_five(uint8_t *o, const uint8_t *s, unsigned int r)
{
	uint32_t high = load32(s), fifth = 0;

	for (unsigned int j = 0; j < 4; j++)
		store32(o + 64 * j + 4 * r, put_five(load32(s + 4 + 4 * j), &fifth, j, bits_apart(high >> 4 * j & 15),
						     bits_apart(high >> (4 * j + 16) & 15)));
	store32(o + 4 * 64 + 4 * r, fifth);
}

static void unpack_five(uint8_t *v, const uint8_t *o, unsigned int r)
{
	for (unsigned int i = 0; i < 16; i++) {
		uint8_t q = o[i / 4 * 64 + 4 * r + i % 4], fifth = o[4 * 64 + 4 * r + i % 4];

		v[i] = (uint8_t)low_five(q, fifth, i / 4);
		v[i + 16] = (uint8_t)high_five(q, fifth, i / 4);
	}
}

#define Q5_0_BLOCK (5 * 64)

static size_t group_q5_0(size_t k)
{
	return k / 32 * Q5_0_BLOCK + Z5_ALIGN64(k / 32 * 32);
}

static void pack_q5_0(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;
	uint8_t *d = (uint8_t *)dst + nb * Q5_0_BLOCK;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, nb * Q5_0_BLOCK);
	memset(d, 0, Z5_ALIGN64(nb * 32));
	for (size_t b = 0; b < nb; b++) {
		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 22;

			memcpy(d + b * 32 + r * 2, s, 2);
			pack_five((uint8_t *)dst + b * Q5_0_BLOCK, s + 2, r);
		}
	}
}

static void row_q5_0(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_q5_0(k);
	const uint8_t *d = o + k / 32 * Q5_0_BLOCK + row % Z5_GROUP * 2;
	uint8_t v[32];

	for (size_t b = 0; b < k / 32; b++, o += Q5_0_BLOCK, dst += 32) {
		unpack_five(v, o, row % Z5_GROUP);
		for (unsigned int i = 0; i < 32; i++)
			dst[i] = z5_f16(load16(d + b * 32)) * (float)(v[i] - 16);
	}
}

#define Q5_1_BLOCK (6 * 64)

static size_t group_q5_1(size_t k)
{
	return k / 32 * Q5_1_BLOCK;
}

static void pack_q5_1(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 32;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, group_q5_1(k));
	for (size_t b = 0; b < nb; b++) {
		uint8_t *o = (uint8_t *)dst + b * Q5_1_BLOCK;

		for (unsigned int r = 0; r < n_rows; r++) {
			const uint8_t *s = (const uint8_t *)src + (r * nb + b) * 24;

			pack_five(o, s + 4, r);
			memcpy(o + 5 * 64 + 2 * r, s, 2);
			memcpy(o + 5 * 64 + 32 + 2 * r, s + 2, 2);
		}
	}
}

static void row_q5_1(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_q5_1(k);
	unsigned int r = row % Z5_GROUP;
	uint8_t v[32];

	for (size_t b = 0; b < k / 32; b++, o += Q5_1_BLOCK, dst += 32) {
		float d = z5_f16(load16(o + 5 * 64 + 2 * r)), m = z5_f16(load16(o + 5 * 64 + 32 + 2 * r));

		unpack_five(v, o, r);
		for (unsigned int i = 0; i < 32; i++)
			dst[i] = d * (float)v[i] + m;
	}
}

#define PACKED(name) z5_group_##name, z5_pack_##name, z5_row_##name

const struct z5_type_ops z5_types[Z5_N_TYPES] = {
	[Z5_F32]  = { "F32",   0,   1,   4, Z5_ACT_F32,    group_f32,  pack_f32,  row_f32 },
	[Z5_F16]  = { "F16",   1,   1,   2, Z5_ACT_F32,    group_f16,  pack_f16,  row_f16 },
	[Z5_BF16] = { "BF16", 30,   1,   2, Z5_ACT_F32,    group_bf16, pack_bf16, row_bf16 },
	[Z5_Q8_0] = { "Q8_0",  8,  32,  34, Z5_ACT_Q8_32,  group_q8_0, pack_q8_0, row_q8_0 },
	[Z5_Q4_0] = { "Q4_0",  2,  32,  18, Z5_ACT_Q8_32,  group_q4_0, pack_q4_0, row_q4_0 },
	[Z5_Q4_K] = { "Q4_K", 12, 256, 144, Z5_ACT_Q8_256, PACKED(q4_k) },
	[Z5_Q6_K] = { "Q6_K", 14, 256, 210, Z5_ACT_Q8_256, PACKED(q6_k) },
	[Z5_Q4_1] = { "Q4_1",  3,  32,  20, Z5_ACT_Q8_32,  group_q4_1, pack_q4_1, row_q4_1 },
	[Z5_Q5_0] = { "Q5_0",  6,  32,  22, Z5_ACT_Q8_32,  group_q5_0, pack_q5_0, row_q5_0 },
	[Z5_Q5_1] = { "Q5_1",  7,  32,  24, Z5_ACT_Q8_32,  group_q5_1, pack_q5_1, row_q5_1 },
	[Z5_Q2_K] = { "Q2_K", 10, 256,  84, Z5_ACT_Q8_256, PACKED(q2_k) },
	[Z5_Q3_K] = { "Q3_K", 11, 256, 110, Z5_ACT_Q8_256, PACKED(q3_k) },
	[Z5_Q5_K] = { "Q5_K", 13, 256, 176, Z5_ACT_Q8_256, PACKED(q5_k) },
	[Z5_IQ4_NL] = { "IQ4_NL", 20,  32,  18, Z5_ACT_Q8_32,  PACKED(iq4_nl) },
	[Z5_IQ4_XS] = { "IQ4_XS", 23, 256, 136, Z5_ACT_Q8_256, PACKED(iq4_xs) },
	[Z5_MXFP4]  = { "MXFP4",  39,  32,  17, Z5_ACT_Q8_32,  PACKED(mxfp4) },
	[Z5_IQ2_XXS] = { "IQ2_XXS", 16, 256, 66, Z5_ACT_Q8_256, PACKED(iq2_xxs) },
	[Z5_IQ2_XS] = { "IQ2_XS", 17, 256, 74, Z5_ACT_Q8_256, PACKED(iq2_xs) },
	[Z5_IQ2_S] = { "IQ2_S", 22, 256, 82, Z5_ACT_Q8_256, PACKED(iq2_s) },
	[Z5_IQ3_XXS] = { "IQ3_XXS", 18, 256, 98, Z5_ACT_Q8_256, PACKED(iq3_xxs) },
	[Z5_IQ3_S] = { "IQ3_S", 21, 256, 110, Z5_ACT_Q8_256, PACKED(iq3_s) },
	[Z5_IQ1_S] = { "IQ1_S", 19, 256, 50, Z5_ACT_Q8_256, PACKED(iq1_s) },
	[Z5_IQ1_M] = { "IQ1_M", 29, 256, 56, Z5_ACT_Q8_256, PACKED(iq1_m) },
	[Z5_TQ1_0] = { "TQ1_0", 34, 256, 54, Z5_ACT_Q8_256, PACKED(tq1_0) },
	[Z5_TQ2_0] = { "TQ2_0", 35, 256, 66, Z5_ACT_Q8_256, PACKED(tq2_0) },
	[Z5_I2_S] = { "I2_S", 36, 256, 64, Z5_ACT_Q8_256, PACKED(i2_s) },
};

const struct z5_type_ops *z5_type_by_ggml(uint32_t ggml)
{
	for (int i = 0; i < Z5_N_TYPES; i++)
		if (z5_types[i].ggml == ggml)
			return &z5_types[i];
	return NULL;
}
