// SPDX-License-Identifier: MIT
/*
 * What recurrent models compute from token to token: results and the state that is left, and that chunks do not matter.
 */
#include "checkasm.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <kernels/scalar.h>

#define LANES 16

static void explain(const struct level *l, const char *what, const float *want, const float *got, size_t i)
{
	note("%s %zu: ref %08x (%g), %s %08x (%g)", what, i, z5_f32_bits(want[i]), (double)want[i], l->k->level,
	     z5_f32_bits(got[i]), (double)got[i]);
}

/* Whether n floats are the same, else says where not. */
static bool same(const struct level *l, const char *what, const float *want, const float *got, size_t n)
{
	const size_t i = differ(want, got, n);

	if (i < n)
		explain(l, what, want, got, i);
	return i == n;
}

/* ---- maps ---- */

static bool same_map(const struct level *l, enum z5_map map, size_t n, const float *src, bool high)
{
	float *want = guarded(SLOT_Y, n * sizeof(float), high), *got = guarded(SLOT_Z, n * sizeof(float), high);

	memcpy(want, src, n * sizeof(float));
	memcpy(got, src, n * sizeof(float));
	l->ref->map[map](want, n);
	l->k->map[map](got, n);
	if (same(l, "number", want, got, n) && guards_whole(SLOT_Z))
		return true;
	note("%zu numbers", n);
	return false;
}

/* Short lengths in all shapes, then every 16001st float there is, and all between 1/16 and 4 that a step of 7 meets. */
static bool all_map(const struct level *l, enum z5_map map)
{
	static float x[65536];
	size_t n = 0;

	for (size_t i = 0; i <= 70; i++) {
		for (int run = 0; run < 2 * N_SHAPES; run++) {
			fill_floats(x, i, (enum shape)(run / 2));
			if (!same_map(l, map, i, x, run & 1))
				return false;
		}
	}
	for (uint64_t u = 0, step; u <= UINT32_MAX; u += step) {
		const uint32_t bits = (uint32_t)u & 0x7fffffff;

		step = bits >= z5_f32_bits(0.0625f) && bits < z5_f32_bits(4.0f) ? 7 : 16001;
		x[n] = z5_bits_f32((uint32_t)u);
		if (++n < sizeof(x) / sizeof(*x))
			continue;
		if (!same_map(l, map, n, x, false))
			return false;
		n = 0;
	}
	return same_map(l, map, n, x, true);
}

/* ---- state and rows ---- */

/*
 * The same state and rows twice, for the definition and for the level, which may have them in two steps of tokens, and
 * works in place. Rows are a float longer than the groups, so that no group of the second begins at a line.
 */
struct twice {
	size_t n_state, n_rows;
	float *state[2], *rows[2];
};

static struct twice begin(size_t n_state, size_t n_rows, enum shape shape, bool high)
{
	struct twice w = { .n_state = n_state, .n_rows = n_rows };

	w.state[0] = guarded(SLOT_W, n_state * sizeof(float), high);
	w.state[1] = guarded(SLOT_X, n_state * sizeof(float), high);
	w.rows[0] = guarded(SLOT_Y, n_rows * sizeof(float), high);
	w.rows[1] = guarded(SLOT_Z, n_rows * sizeof(float), high);
	fill_floats(w.state[0], n_state, shape);
	fill_floats(w.rows[0], n_rows, shape);
	memcpy(w.state[1], w.state[0], n_state * sizeof(float));
	memcpy(w.rows[1], w.rows[0], n_rows * sizeof(float));
	return w;
}

static bool end(const struct level *l, const struct twice *w, const char *what)
{
	if (same(l, "result", w->rows[0], w->rows[1], w->n_rows) &&
	    same(l, "state", w->state[0], w->state[1], w->n_state) && guards_whole(SLOT_X) && guards_whole(SLOT_Z))
		return true;
	note("%s", what);
	return false;
}

/* Tokens of the level's first step, of n; 0 where it takes all at once. */
static size_t first_step(size_t n)
{
	return rnd_below(2) ? 0 : rnd_below((uint32_t)n + 1);
}

/* ---- convolution ---- */

static bool same_conv(const struct level *l, size_t width, size_t groups, size_t n, enum shape shape, bool high)
{
	const size_t ch = groups * LANES, stride = ch + 1, step = first_step(n);
	float *w = guarded(SLOT_AUX, width * ch * sizeof(float), high);
	float *bias = guarded(SLOT_AUX2, ch * sizeof(float), high);
	struct twice m = begin((width - 1) * ch, n * stride, shape, high);
	struct z5_conv c = { .width = width, .groups = groups, .w = w, .bias = bias, .stride = stride };
	char what[128];

	fill_floats(w, width * ch, shape == SHAPE_NORMAL ? SHAPE_NORMAL : SHAPE_RARE);
	fill_floats(bias, ch, shape);
	c.n = n;
	c.state = m.state[0];
	c.x = m.rows[0];
	l->ref->conv(&c);
	c.state = m.state[1];
	c.x = m.rows[1];
	c.n = step;
	l->k->conv(&c);
	c.x += step * stride;
	c.n = n - step;
	l->k->conv(&c);
	snprintf(what, sizeof(what), "width %zu, %zu groups, %zu tokens (%zu first), %s", width, groups, n, step,
		 shape_name(shape));
	return end(l, &m, what);
}

static bool all_conv(const struct level *l)
{
	for (size_t width = 2; width <= Z5_CONV_WIDTH; width++)
		for (size_t groups = 1; groups <= 3; groups++)
			for (size_t n = 1; n <= 13; n += 3)
				for (int run = 0; run < 4 * N_SHAPES; run++)
					if (!same_conv(l, width, groups, n, (enum shape)(run / 4), run & 1))
						return false;
	return true;
}

/* ---- scan ---- */

static bool same_scan(const struct level *l, size_t n_state, size_t groups, size_t head, size_t n, enum shape shape,
		      bool high)
{
	const size_t ch = groups * LANES, stride = ch + 1, own = head ? groups / head : ch, step = first_step(n);
	const size_t lines = head ? own : n_state * ch;
	float *ad = guarded(SLOT_AUX, (lines + own) * sizeof(float), high);
	float *dt = guarded(SLOT_AUX2, n * own * sizeof(float), high);
	float *bc = guarded(SLOT_AUX3, n * 2 * n_state * sizeof(float), high);
	struct twice m = begin(n_state * ch, n * stride, shape, high);
	struct z5_scan s = {
		.n_state = n_state, .groups = groups, .head = head, .a = ad, .d = ad + lines, .dt = dt, .b = bc,
		.c = bc + n_state, .x_stride = stride, .y_stride = stride, .dt_stride = own, .bc_stride = 2 * n_state,
	};
	char what[128];

	fill_floats(ad, lines + own, shape);
	fill_floats(dt, n * own, shape);
	fill_floats(bc, n * 2 * n_state, shape == SHAPE_NORMAL ? SHAPE_NORMAL : SHAPE_RARE);
	for (size_t i = 0; i < lines && shape == SHAPE_NORMAL; i++)
		ad[i] = -fabsf(ad[i]);
	s.n = n;
	s.state = m.state[0];
	s.x = s.y = m.rows[0];
	l->ref->scan(&s);
	s.state = m.state[1];
	s.x = s.y = m.rows[1];
	s.n = step;
	l->k->scan(&s);
	s.x = s.y += step * stride;
	s.dt += step * own;
	s.b += step * 2 * n_state;
	s.c += step * 2 * n_state;
	s.n = n - step;
	l->k->scan(&s);
	snprintf(what, sizeof(what), "%zu states, %zu groups, heads of %zu, %zu tokens (%zu first), %s", n_state, groups,
		 head, n, step, shape_name(shape));
	return end(l, &m, what);
}

static bool all_scan(const struct level *l, bool heads)
{
	static const size_t states[] = { 4, 8, 12, 16, 64, 128, 256 };

	for (size_t i = 0; i < sizeof(states) / sizeof(*states); i++)
		for (size_t head = 1; head <= (heads ? 4 : 1); head++)
			for (size_t n = 1; n <= 13; n += 4)
				for (int run = 0; run < 4 * N_SHAPES; run++)
					if (!same_scan(l, states[i], head * (1 + rnd_below(3)), heads ? head : 0, n,
						       (enum shape)(run / 4), run & 1))
						return false;
	return true;
}

/* ---- time mix ---- */

static bool same_wkv(const struct level *l, z5_wkv_fn ref, z5_wkv_fn fn, size_t size, size_t heads, size_t n,
		     enum shape shape, bool high)
{
	const size_t ch = size * heads, stride = ch + 1, step = first_step(n), row = n * stride;
	float *in = guarded(SLOT_AUX, 6 * row * sizeof(float), high);
	float *u = guarded(SLOT_AUX2, ch * sizeof(float), high);
	struct twice m = begin(heads * z5_wkv_floats(size), row, shape, high);
	struct z5_wkv w = {
		.size = size, .heads = heads, .r = in, .w = in + row, .k = in + 2 * row, .v = in + 3 * row,
		.a = in + 4 * row, .b = in + 5 * row, .u = u, .stride = stride,
	};
	char what[128];

	fill_floats(in, 6 * row, shape);
	fill_floats(u, ch, shape);
	w.n = n;
	w.state = m.state[0];
	w.y = m.rows[0];
	ref(&w);
	w.state = m.state[1];
	w.y = m.rows[1];
	w.n = step;
	fn(&w);
	w.r += step * stride;
	w.w += step * stride;
	w.k += step * stride;
	w.v += step * stride;
	w.a += step * stride;
	w.b += step * stride;
	w.y += step * stride;
	w.n = n - step;
	fn(&w);
	snprintf(what, sizeof(what), "%zu heads of %zu, %zu tokens (%zu first), %s", heads, size, n, step,
		 shape_name(shape));
	return end(l, &m, what);
}

static bool all_wkv(const struct level *l, z5_wkv_fn ref, z5_wkv_fn fn)
{
	static const size_t sizes[] = { 8, 16, 24, 32, 64, 128 };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
		for (size_t heads = 1; heads <= 3; heads++)
			for (size_t n = 1; n <= 9; n += 4)
				for (int run = 0; run < 4 * N_SHAPES; run++)
					if (!same_wkv(l, ref, fn, sizes[i], heads, n, (enum shape)(run / 4), run & 1))
						return false;
	return true;
}

void check_recur(const struct level *l)
{
	static const char *const maps[Z5_N_MAPS] = { "sigmoid", "tanh", "softplus" };
	const struct z5_kernels *k = l->k, *below = l->below;

	for (unsigned int i = 0; i < Z5_N_MAPS; i++)
		if (own_kernel(l, k->map[i] != below->map[i], "%s", maps[i]))
			check(all_map(l, (enum z5_map)i), "%s %s", k->level, maps[i]);
	if (own_kernel(l, k->conv != below->conv, "conv"))
		check(all_conv(l), "%s conv", k->level);
	if (own_kernel(l, k->scan != below->scan, "scan")) {
		check(all_scan(l, false), "%s scan", k->level);
		check(all_scan(l, true), "%s scan of heads", k->level);
	}
	if (own_kernel(l, k->wkv6 != below->wkv6, "wkv6"))
		check(all_wkv(l, l->ref->wkv6, k->wkv6), "%s wkv6", k->level);
	if (own_kernel(l, k->wkv7 != below->wkv7, "wkv7"))
		check(all_wkv(l, l->ref->wkv7, k->wkv7), "%s wkv7", k->level);
	if (own_kernel(l, k->gla != below->gla, "gla"))
		check(all_wkv(l, l->ref->gla, k->gla), "%s gla", k->level);
}

/* ---- the definition against the C library ---- */

/* Most ulp that f and its double differ by, over floats in [-top, top]. */
static double worst_ulp(float (*f)(float x), double (*exact)(double x), float top)
{
	double worst = 0;

	for (uint32_t sign = 0; sign < 2; sign++) {
		for (uint32_t u = 0x2f800000; u <= z5_f32_bits(top); u += 509) {
			float x = z5_bits_f32(u | sign << 31);
			double e = exact(x), err = fabs(f(x) - e) / ldexp(1, ilogb(e) - 23);

			worst = err > worst ? err : worst;
		}
	}
	return worst;
}

static double exact_sigmoid(double x)
{
	return 1 / (1 + exp(-x));
}

static double exact_softplus(double x)
{
	return log1p(exp(x));
}

void check_maps(void)
{
	double sigmoid = worst_ulp(z5_sigmoid, exact_sigmoid, 80);
	double softplus = worst_ulp(z5_softplus, exact_softplus, 80);

	note("sigmoid: at most %.3f ulp, softplus: %.3f ulp", sigmoid, softplus);
	check(sigmoid <= 3, "sigmoid is within 3 ulp");
	check(softplus <= 4, "softplus is within 4 ulp");
	check(z5_softplus(INFINITY) == INFINITY && z5_softplus(-INFINITY) == 0 && z5_softplus(100) == 100 &&
	      isnan(z5_softplus(NAN)), "softplus of what is large, small and no number");
}
