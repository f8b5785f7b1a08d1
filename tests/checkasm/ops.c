// SPDX-License-Identifier: MIT
/* Quantization, norm, activation function and the bandwidth reader. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#include <kernels/scalar.h>

static void explain(const struct level *l, const float *want, const float *got, size_t i)
{
	note("index %zu: ref %08x (%g), %s %08x (%g)", i, z5_f32_bits(want[i]), (double)want[i],
	     l->k->level, z5_f32_bits(got[i]), (double)got[i]);
}

/* ---- quant ---- */

/*
 * x / d falls on or right beside n + 1/2. The largest value is 127 in every second block, where
 * ties are exact; in the others the product with the inverse and a division go different ways.
 */
static void fill_ties(float *x, size_t n, size_t block)
{
	for (size_t b = 0; b < n; b += block) {
		float amax = b / block % 2 || rnd_below(2)
				     ? 127.0f * (1.0f + (float)rnd_below(1 << 20) / (1 << 20))
				     : 127.0f;

		for (size_t i = b; i < b + block; i++) {
			float tie = ((float)((int)rnd_below(254) - 127) + 0.5f) * (amax / 127.0f);

			x[i] = z5_bits_f32(z5_f32_bits(tie) + rnd_below(3) - 1);
		}
		x[b + rnd_below((uint32_t)block)] = rnd_below(2) ? amax : -amax;
	}
}

static bool same_quant(const struct level *l, enum z5_act act, size_t k, unsigned int shape,
		       bool high)
{
	size_t block = act == Z5_ACT_Q8_32 ? 32 : 256, n = z5_act_bytes(act, k), at, sums;
	float *x = guarded(SLOT_X, k * sizeof(float), high);
	uint8_t *want = guarded(SLOT_Y, n, high), *got = guarded(SLOT_Z, n, high);
	const char *name = shape < N_SHAPES ? shape_name(shape) : "ties";

	if (shape < N_SHAPES)
		fill_floats(x, k, shape);
	else
		fill_ties(x, k, block);
	l->ref->quant[act](want, x, k);
	l->k->quant[act](got, x, k);
	if (!guards_whole(SLOT_Y) || !guards_whole(SLOT_Z)) {
		note("k %zu, %s: written outside of dst", k, name);
		return false;
	}

	/* planes are compared one by one: what pads them to 64 bytes is nobody's */
	for (size_t i = 0; i < k; i++) {
		if (want[i] != got[i]) {
			note("k %zu, %s, x[%zu] = %08x: q ref %d, %s %d", k, name, i,
			     z5_f32_bits(x[i]), (int8_t)want[i], l->k->level, (int8_t)got[i]);
			return false;
		}
	}
	at = act == Z5_ACT_Q8_32 ? z5_q8_32_d(k) : z5_q8_256_d(k);
	sums = differ((void *)(want + at), (void *)(got + at), k / block);
	if (sums < k / block) {
		note("k %zu, %s: scales", k, name);
		explain(l, (void *)(want + at), (void *)(got + at), sums);
		return false;
	}
	if (act == Z5_ACT_Q8_32) {
		at = z5_q8_32_nsum(k);
		sums = (size_t)memcmp(want + at, got + at, k / 32 * 4);
	} else {
		at = z5_q8_256_s16(k);
		sums = (size_t)memcmp(want + at, got + at, k / 16 * 2);
		at = z5_q8_256_s32(k);
		sums |= (size_t)memcmp(want + at, got + at, k / 32 * 2);
	}
	if (sums)
		note("k %zu, %s: sums", k, name);
	return !sums;
}

static bool all_quant(const struct level *l, enum z5_act act)
{
	static const size_t blocks[] = { 1, 2, 3, 4, 5, 8, 9, 16, 17, 31 };
	size_t block = act == Z5_ACT_Q8_32 ? 32 : 256;

	for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
		for (unsigned int shape = 0; shape <= N_SHAPES; shape++)
			for (int run = 0; run < (shape == N_SHAPES ? 40 : 6); run++)
				if (!same_quant(l, act, blocks[i] * block, shape, run % 2))
					return false;
	return true;
}

/* ---- rmsnorm ---- */

static bool same_rmsnorm(const struct level *l, size_t n, enum shape shape, float eps, bool inplace,
			 bool high)
{
	float *x = guarded(SLOT_X, n * sizeof(float), high),
	      *w = guarded(SLOT_W, n * sizeof(float), high);
	float *want = guarded(SLOT_Y, n * sizeof(float), high),
	      *got = guarded(SLOT_Z, n * sizeof(float), high);
	size_t i;

	fill_floats(x, n, shape);
	fill_floats(w, n, shape == SHAPE_NORMAL ? SHAPE_NORMAL : SHAPE_RARE);
	l->ref->rmsnorm(want, x, w, n, eps);
	if (inplace)
		memcpy(got, x, n * sizeof(float));
	l->k->rmsnorm(got, inplace ? got : x, w, n, eps);
	i = differ(want, got, n);
	if (i == n && guards_whole(SLOT_Z))
		return true;
	note("n %zu, %s, eps %g%s%s", n, shape_name(shape), (double)eps,
	     inplace ? ", in place" : "", i == n ? ": written outside of y" : "");
	if (i < n)
		explain(l, want, got, i);
	return false;
}

static bool all_rmsnorm(const struct level *l)
{
	static const size_t more[] = { 63, 64, 65, 100, 127, 128, 288, 511, 1000, 2048 };

	for (size_t i = 1; i <= 40 + sizeof(more) / sizeof(*more); i++) {
		size_t n = i <= 40 ? i : more[i - 41];

		for (int run = 0; run < 4 * N_SHAPES; run++)
			if (!same_rmsnorm(l, n, (enum shape)(run / 4), run % 3 ? 1e-5f : 0.0f,
					  run & 1, run & 2))
				return false;
	}
	return true;
}

/* ---- layernorm ---- */

static bool same_layernorm(const struct level *l, size_t n, enum shape shape, bool bias, bool inplace, bool high)
{
	float *x = guarded(SLOT_X, n * sizeof(float), high), *w = guarded(SLOT_W, n * sizeof(float), high);
	float *b = guarded(SLOT_AUX, n * sizeof(float), high);
	float *want = guarded(SLOT_Y, n * sizeof(float), high), *got = guarded(SLOT_Z, n * sizeof(float), high);
	size_t i;

	fill_floats(x, n, shape);
	fill_floats(w, n, shape == SHAPE_NORMAL ? SHAPE_NORMAL : SHAPE_RARE);
	fill_floats(b, n, shape);
	l->ref->layernorm(want, x, w, bias ? b : NULL, n, 1e-5f);
	if (inplace)
		memcpy(got, x, n * sizeof(float));
	l->k->layernorm(got, inplace ? got : x, w, bias ? b : NULL, n, 1e-5f);
	i = differ(want, got, n);
	if (i == n && guards_whole(SLOT_Z))
		return true;
	note("n %zu, %s%s%s%s", n, shape_name(shape), bias ? ", bias" : "", inplace ? ", in place" : "",
	     i == n ? ": written outside of y" : "");
	if (i < n)
		explain(l, want, got, i);
	return false;
}

static bool all_layernorm(const struct level *l)
{
	static const size_t more[] = { 63, 64, 65, 100, 127, 128, 288, 511, 1000, 2048 };

	for (size_t i = 1; i <= 40 + sizeof(more) / sizeof(*more); i++) {
		size_t n = i <= 40 ? i : more[i - 41];

		for (int run = 0; run < 8 * N_SHAPES; run++)
			if (!same_layernorm(l, n, (enum shape)(run / 8), run & 1, run & 2, run & 4))
				return false;
	}
	return true;
}

/* ---- gelu_mul, swiglu_oai, exp, softcap ---- */

/* What a level does to n floats; u is NULL in every second run. */
typedef void (*bend_fn)(const struct z5_kernels *k, float *x, const float *u, size_t n);

static void bend_gelu(const struct z5_kernels *k, float *x, const float *u, size_t n)
{
	k->gelu_mul(x, u, n);
}

static void bend_oai(const struct z5_kernels *k, float *x, const float *u, size_t n)
{
	k->swiglu_oai(x, u ? u : x, n);
}

static void bend_exp(const struct z5_kernels *k, float *x, const float *u, size_t n)
{
	k->exp(x, x, u ? 3.0f : 0.0f, n);
}

static void bend_softcap(const struct z5_kernels *k, float *x, const float *u, size_t n)
{
	k->softcap(x, n, u ? 30.0f : 0.7f);
}

static bool same_bend(const struct level *l, bend_fn bend, size_t n, const float *src, bool with_u, bool high)
{
	float *want = guarded(SLOT_Y, n * sizeof(float), high), *got = guarded(SLOT_Z, n * sizeof(float), high);
	float *u = guarded(SLOT_X, n * sizeof(float), high);
	size_t i;

	memcpy(want, src, n * sizeof(float));
	memcpy(got, src, n * sizeof(float));
	fill_floats(u, n, SHAPE_NORMAL);
	bend(l->ref, want, with_u ? u : NULL, n);
	bend(l->k, got, with_u ? u : NULL, n);
	i = differ(want, got, n);
	if (i == n && guards_whole(SLOT_Z))
		return true;
	note("n %zu%s", n, i == n ? ": written outside of x" : "");
	if (i < n)
		explain(l, want, got, i);
	return false;
}

/* Short lengths in all shapes, then every 16001st float there is, and all between 0.5 and 4 that a step of 7 meets. */
static bool all_bend(const struct level *l, bend_fn bend)
{
	static float x[65536];
	size_t n = 0;

	for (size_t i = 0; i <= 70; i++) {
		for (int run = 0; run < 4 * N_SHAPES; run++) {
			fill_floats(x, i, (enum shape)(run / 4));
			if (!same_bend(l, bend, i, x, run & 1, run & 2))
				return false;
		}
	}
	for (uint64_t u = 0, step; u <= UINT32_MAX; u += step) {
		const uint32_t bits = (uint32_t)u & 0x7fffffff;

		step = bits >= z5_f32_bits(0.5f) && bits < z5_f32_bits(4.0f) ? 7 : 16001;
		x[n] = z5_bits_f32((uint32_t)u);
		if (++n < sizeof(x) / sizeof(*x))
			continue;
		if (!same_bend(l, bend, n, x, false, true))
			return false;
		n = 0;
	}
	return same_bend(l, bend, n, x, true, true);
}

/* ---- silu_mul ---- */

static bool same_silu(const struct level *l, size_t n, const float *src, enum shape shape,
		      bool high)
{
	float *want = guarded(SLOT_Y, n * sizeof(float), high),
	      *got = guarded(SLOT_Z, n * sizeof(float), high);
	float *u = guarded(SLOT_X, n * sizeof(float), high);
	size_t i;

	if (src) {
		memcpy(want, src, n * sizeof(float));
		for (i = 0; i < n; i++)
			u[i] = 1.0f;
	} else {
		fill_floats(want, n, shape);
		fill_floats(u, n, rnd_below(2) ? SHAPE_NORMAL : shape);
		for (i = 0; i < n && shape == SHAPE_NORMAL; i++)
			want[i] *= 20.0f;
	}
	memcpy(got, want, n * sizeof(float));
	l->ref->silu_mul(want, u, n);
	l->k->silu_mul(got, u, n);
	i = differ(want, got, n);
	if (i == n && guards_whole(SLOT_Z))
		return true;
	note("n %zu, %s%s", n, src ? "sweep" : shape_name(shape),
	     i == n ? ": written outside of g" : "");
	if (i < n)
		explain(l, want, got, i);
	return false;
}

/* Every step-th float with bits in [from, to]. */
static bool sweep(const struct level *l, uint64_t from, uint64_t to, uint32_t step)
{
	static float x[65536];
	size_t n = 0;

	for (uint64_t u = from; u <= to; u += step) {
		x[n] = z5_bits_f32((uint32_t)u);
		if (++n < sizeof(x) / sizeof(*x))
			continue;
		if (!same_silu(l, n, x, 0, true))
			return false;
		n = 0;
	}
	return same_silu(l, n, x, 0, true);
}

static bool all_silu(const struct level *l)
{
	for (size_t i = 0; i <= 70; i++)
		for (int run = 0; run < 4 * N_SHAPES; run++)
			if (!same_silu(l, i, NULL, (enum shape)(run / 4), run & 1))
				return false;
	/*
	 * Every magnitude and both signs; then each float where 1 + exp(-x) is exp(-x), so that
	 * nothing hides a rounding of the exponential: the inner steps of the polynomial show in
	 * one of thousands.
	 */
	return sweep(l, 0, UINT32_MAX, 16001) &&
	       sweep(l, z5_f32_bits(-17.0f), z5_f32_bits(-89.0f), 1);
}

/* ---- read ---- */

static bool all_read(const struct level *l)
{
	for (size_t n = 0; n <= 8192; n += n < 2048 ? 64 : 1024) {
		uint8_t *p = guarded(SLOT_X, n, n % 128);

		for (size_t i = 0; i < n; i++)
			p[i] = (uint8_t)rnd();
		if (l->ref->read(p, n) != l->k->read(p, n)) {
			note("n %zu", n);
			return false;
		}
	}
	return true;
}

void check_ops(const struct level *l)
{
	const struct z5_kernels *k = l->k, *below = l->below;

	if (own_kernel(l, k->quant[Z5_ACT_Q8_32] != below->quant[Z5_ACT_Q8_32], "quant q8_32"))
		check(all_quant(l, Z5_ACT_Q8_32), "%s quant q8_32", k->level);
	if (own_kernel(l, k->quant[Z5_ACT_Q8_256] != below->quant[Z5_ACT_Q8_256], "quant q8_256"))
		check(all_quant(l, Z5_ACT_Q8_256), "%s quant q8_256", k->level);
	if (own_kernel(l, k->rmsnorm != below->rmsnorm, "rmsnorm"))
		check(all_rmsnorm(l), "%s rmsnorm", k->level);
	if (own_kernel(l, k->layernorm != below->layernorm, "layernorm"))
		check(all_layernorm(l), "%s layernorm", k->level);
	if (own_kernel(l, k->gelu_mul != below->gelu_mul, "gelu_mul"))
		check(all_bend(l, bend_gelu), "%s gelu_mul", k->level);
	if (own_kernel(l, k->swiglu_oai != below->swiglu_oai, "swiglu_oai"))
		check(all_bend(l, bend_oai), "%s swiglu_oai", k->level);
	if (own_kernel(l, k->exp != below->exp, "exp"))
		check(all_bend(l, bend_exp), "%s exp", k->level);
	if (own_kernel(l, k->softcap != below->softcap, "softcap"))
		check(all_bend(l, bend_softcap), "%s softcap", k->level);
	if (own_kernel(l, k->silu_mul != below->silu_mul, "silu_mul"))
		check(all_silu(l), "%s silu_mul", k->level);
	if (own_kernel(l, k->read != below->read, "read"))
		check(all_read(l), "%s read", k->level);
}
