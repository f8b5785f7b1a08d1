// SPDX-License-Identifier: MIT
/*
 * From GGUF's rows to the packed groups that kernels.h describes, and one row back. Block formats: ggml's
 * docs and the k-quants pull request (llama.cpp#1684).
 */
#include <kernels/kernels.h>
#include <kernels/scalar.h>

static uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static void store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

/* Quads of row r from src to lines of dst: n words, each xor flip. */
static inline void spread(uint8_t *dst, const uint8_t *src, unsigned int r, size_t n, uint32_t flip)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t v = load32(src + 4 * j) ^ flip;

		memcpy(dst + 64 * j + 4 * r, &v, 4);
	}
}

/* ---- floats ---- */

static size_t group_f32(size_t k)
{
	return k * 64;
}

static void pack_f32(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	memset(dst, 0, group_f32(k));
	for (unsigned int r = 0; r < n_rows; r++)
		spread(dst, (const uint8_t *)src + r * k * 4, r, k, 0);
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
	for (unsigned int r = 0; r < n_rows; r++)
		for (size_t i = 0; i < k; i++)
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
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * k * 2;

		spread(dst, s, r, k / 2, 0);
		if (k % 2)
			memcpy((uint8_t *)dst + k / 2 * 64 + 4 * r, s + (k - 1) * 2, 2);
	}
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
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 34;

		for (size_t b = 0; b < nb; b++, s += 34) {
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
	for (unsigned int r = 0; r < n_rows; r++) {
		const uint8_t *s = (const uint8_t *)src + r * nb * 18;

		for (size_t b = 0; b < nb; b++, s += 18) {
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

/* ---- Q4_K: file block d, dmin, scales[12], nibbles[128] ---- */

#define Q4_K_BLOCK (36 * 64)

static size_t group_q4_k(size_t k)
{
	return k / 256 * Q4_K_BLOCK;
}

static void pack_q4_k(void *dst, const void *src, unsigned int n_rows, size_t k)
{
	size_t nb = k / 256;

	if (n_rows < Z5_GROUP)
		memset(dst, 0, group_q4_k(k));
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

/* Scale or minimum of sub-block s out of the 12 bytes b(0)..b(11) of a row. */
static void scale_q4_k(const uint8_t *scales, unsigned int r, unsigned int s, int *sc, int *m)
{
#define B(i) scales[(i) / 2 * 32 + 2 * r + (i) % 2]
	if (s < 4) {
		*sc = B(s) & 63;
		*m = B(s + 4) & 63;
	} else {
		*sc = (B(s + 4) & 15) | B(s - 4) >> 6 << 4;
		*m = B(s + 4) >> 4 | B(s) >> 6 << 4;
	}
#undef B
}

static void row_q4_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_q4_k(k);
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

static size_t group_q6_k(size_t k)
{
	return k / 256 * Q6_K_BLOCK + Z5_ALIGN64(k / 256 * 32);
}

static void pack_q6_k(void *dst, const void *src, unsigned int n_rows, size_t k)
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

static void row_q6_k(float *dst, const void *w, size_t row, size_t k)
{
	const uint8_t *o = (const uint8_t *)w + row / Z5_GROUP * group_q6_k(k);
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

const struct z5_type_ops z5_types[Z5_N_TYPES] = {
	[Z5_F32]  = { "F32",   0,   1,   4, Z5_ACT_F32,    group_f32,  pack_f32,  row_f32 },
	[Z5_F16]  = { "F16",   1,   1,   2, Z5_ACT_F32,    group_f16,  pack_f16,  row_f16 },
	[Z5_BF16] = { "BF16", 30,   1,   2, Z5_ACT_F32,    group_bf16, pack_bf16, row_bf16 },
	[Z5_Q8_0] = { "Q8_0",  8,  32,  34, Z5_ACT_Q8_32,  group_q8_0, pack_q8_0, row_q8_0 },
	[Z5_Q4_0] = { "Q4_0",  2,  32,  18, Z5_ACT_Q8_32,  group_q4_0, pack_q4_0, row_q4_0 },
	[Z5_Q4_K] = { "Q4_K", 12, 256, 144, Z5_ACT_Q8_256, group_q4_k, pack_q4_k, row_q4_k },
	[Z5_Q6_K] = { "Q6_K", 14, 256, 210, Z5_ACT_Q8_256, group_q6_k, pack_q6_k, row_q6_k },
};

const struct z5_type_ops *z5_type_by_ggml(uint32_t ggml)
{
	for (int i = 0; i < Z5_N_TYPES; i++)
		if (z5_types[i].ggml == ggml)
			return &z5_types[i];
	return NULL;
}
