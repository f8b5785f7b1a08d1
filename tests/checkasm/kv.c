// SPDX-License-Identifier: MIT
/* What is stored in the KV cache: the layout that kernels.h describes, rounding, bounds; the same at every level. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#include <kernels/half.h>
#include <kernels/scalar.h>

#define MOST_HD	576
#define N_POS	48

static const char *const kv_names[Z5_N_KV_TYPES] = { "f32", "f16", "bf16", "q8_0" };

/* Element i of a cache of halves that was made of x. */
static bool rounded(enum z5_kv_type type, const uint8_t *p, size_t i, float x)
{
	const float top = type == Z5_KV_F16 ? 65504.0f : z5_bits_f32(0x7f7f0000);
	/* denormal floats are zeros to what compares here */
	const float step = type == Z5_KV_F16 ? 0x1p-11f : 0x1p-8f, least = type == Z5_KV_F16 ? 0x1p-25f : 0x1p-126f;
	const uint16_t h = ((const uint16_t *)(const void *)p)[i];
	const double y = type == Z5_KV_F16 ? z5_f16(h) : z5_bf16(h), bounded = fmin(fmax(x, -top), top);

	if (x != x)
		return y != y;
	return !signbit(y) == !signbit(x) && fabs(y) <= top && fabs(y - bounded) <= fmax(fabs(bounded) * step, least);
}

/* The block of 32 whose quanta are `step` apart, of n numbers at x. */
static bool quantized(const int8_t *q, float d, const float *x, size_t n)
{
	double largest = 0;

	for (size_t i = 0; i < n; i++) {
		if (!isfinite(x[i]))
			return true;
		largest = fmax(largest, fabs((double)x[i]));
	}
	if (largest < 1e-30)
		return d == 0;
	for (size_t i = 0; i < n; i++)
		if (fabs(q[i] * (double)d - x[i]) > largest / 127 * 0.5001)
			return false;
	return fabs(d * 127.0 - largest) <= 1e-6 * largest;
}

static bool key_q8(const uint8_t *k, size_t pos, const float *x, size_t hd)
{
	k += pos / 16 * z5_kv_k_group(Z5_KV_Q8_0, hd);
	for (size_t b = 0; b < z5_kv_blocks(hd); b++, k += 9 * 64) {
		const size_t n = hd - 32 * b < 32 ? hd - 32 * b : 32;
		int8_t q[32];

		for (size_t i = 0; i < 32; i++) {
			q[i] = (int8_t)(k[i / 4 * 64 + 4 * (pos % 16) + i % 4] - 128);
			if (i >= n && q[i])
				return false;
		}
		if (!quantized(q, ((const float *)(const void *)(k + 8 * 64))[pos % 16], x + 32 * b, n))
			return false;
	}
	return true;
}

static bool value_q8(const uint8_t *v, size_t pos, const float *x, size_t hd, size_t padded)
{
	v += pos / 16 * z5_kv_v_group(Z5_KV_Q8_0, padded);
	for (size_t b = 0; b < z5_kv_blocks(hd); b++) {
		const size_t n = hd - 32 * b < 32 ? hd - 32 * b : 32;
		const int8_t *q = (const int8_t *)v + pos % 16 * padded + 32 * b;

		for (size_t i = n; i < 32 && 32 * b + i < padded; i++)
			if (q[i])
				return false;
		if (!quantized(q, ((const float *)(const void *)(v + 16 * padded))[16 * b + pos % 16], x + 32 * b, n))
			return false;
	}
	return true;
}

static bool as_described(enum z5_kv_type type, const uint8_t *k, const uint8_t *v, size_t pos, const float *key,
			 size_t hd_k, const float *value, size_t hd_v, size_t padded)
{
	if (type == Z5_KV_Q8_0)
		return key_q8(k, pos, key, hd_k) && value_q8(v, pos, value, hd_v, padded);
	for (size_t d = 0; d < hd_k; d++) {
		const size_t i = (pos / 16 * hd_k + d) * 16 + pos % 16;

		if (type == Z5_KV_F32 ? memcmp(k + 4 * i, key + d, 4) : !rounded(type, k, i, key[d]))
			return false;
	}
	for (size_t d = 0; d < hd_v; d++)
		if (type == Z5_KV_F32 ? memcmp(v + 4 * (pos * padded + d), value + d, 4) :
					!rounded(type, v, pos * padded + d, value[d]))
			return false;
	return true;
}

/* Positions in an order that is none, each stored twice; the level's bytes and the definition's. */
static bool stored(const struct level *l, enum z5_kv_type type, size_t hd_k, size_t hd_v, enum shape shape, bool high)
{
	static float key[N_POS][MOST_HD], value[N_POS][MOST_HD];
	const size_t padded = (hd_v + 15) / 16 * 16;
	const size_t n_k = N_POS / 16 * z5_kv_k_group(type, hd_k), n_v = N_POS / 16 * z5_kv_v_group(type, padded);
	uint8_t *k = guarded(SLOT_W, n_k, high), *v = guarded(SLOT_X, n_v, high);
	uint8_t *rk = guarded(SLOT_Y, n_k, high), *rv = guarded(SLOT_Z, n_v, high);

	for (size_t i = 0; i < 2 * N_POS; i++) {
		const size_t pos = i * 29 % N_POS;

		fill_floats(key[pos], hd_k, shape);
		fill_floats(value[pos], hd_v, shape);
		z5_kv_store(type, k, v, pos, key[pos], hd_k, value[pos], hd_v, padded, l->k->quant[Z5_ACT_Q8_32]);
		z5_kv_store(type, rk, rv, pos, key[pos], hd_k, value[pos], hd_v, padded, l->ref->quant[Z5_ACT_Q8_32]);
	}
	if (memcmp(k, rk, n_k) || memcmp(v, rv, n_v) || !guards_whole(SLOT_W) || !guards_whole(SLOT_X)) {
		note("%s, hd_k %zu, hd_v %zu, %s: other bytes than the definition's", kv_names[type], hd_k, hd_v,
		     shape_name(shape));
		return false;
	}
	for (size_t pos = 0; pos < N_POS; pos++)
		if (!as_described(type, k, v, pos, key[pos], hd_k, value[pos], hd_v, padded)) {
			note("%s, hd_k %zu, hd_v %zu, %s: position %zu is not what was stored", kv_names[type], hd_k, hd_v,
			     shape_name(shape), pos);
			return false;
		}
	return true;
}

static bool all_stored(const struct level *l, enum z5_kv_type type)
{
	static const size_t hd[] = { 1, 8, 16, 24, 33, 48, 64, 80, 96, 128, 576 };

	for (size_t i = 0; i < sizeof(hd) / sizeof(*hd); i++)
		for (size_t j = 0; j < sizeof(hd) / sizeof(*hd); j++)
			for (unsigned int shape = 0; shape < N_SHAPES; shape++)
				if (!stored(l, type, hd[i], hd[j], (enum shape)shape, shape % 2))
					return false;
	return true;
}

void check_kv(const struct level *l)
{
	for (unsigned int t = 0; t < Z5_N_KV_TYPES; t++)
		check(all_stored(l, (enum z5_kv_type)t), "%s kv_store %s", l->k->level, kv_names[t]);
}
