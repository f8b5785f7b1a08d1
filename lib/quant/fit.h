/* SPDX-License-Identifier: MIT */
/*
 * The search that all quantizers share. Given the integers q, the scale that makes sum w (x - d q)^2 smallest is
 * d = sum w x q / sum w q^2 (least squares), which leaves an error of sum w x^2 - (sum w x q)^2 / sum w q^2; so
 * only the way in which values are rounded to integers has to be tried: a number of scales around the one that just
 * holds the largest value, then the least-squares scale of the best of them once more, and again. With an offset it
 * is the same with two unknowns.
 *
 * Values are grouped in at most Z5_FIT_MAX; n is a multiple of 8. Sums run in 8 lanes, which fixes their order.
 */
#ifndef Z5_FIT_H
#define Z5_FIT_H

#include <float.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define Z5_FIT_MAX	32
#define Z5_LANES	8

/* Values whose largest is below this are zeros: its inverse must be finite, and no type has scales as small. */
#define Z5_FIT_TINY	1e-30f

#define Z5_INLINE static inline __attribute__((always_inline))

/* To the nearest integer, ties to even; |x| < 2^22. One add and one subtraction wherever SSE4.1 is not at hand. */
Z5_INLINE float z5_round(float x)
{
	return (x + 12582912.0f) - 12582912.0f;
}

Z5_INLINE float z5_clamp(float x, float lo, float hi)
{
	x = x > lo ? x : lo;
	return x < hi ? x : hi;
}

Z5_INLINE float z5_fold(const float *l)
{
	return ((l[0] + l[4]) + (l[2] + l[6])) + ((l[1] + l[5]) + (l[3] + l[7]));
}

/* Value of the largest magnitude, with its sign. */
Z5_INLINE float z5_extreme(const float *x, size_t n)
{
	float best = 0, a = 0;

	for (size_t i = 0; i < n; i++) {
		float b = x[i] < 0 ? -x[i] : x[i];

		if (b > a) {
			a = b;
			best = x[i];
		}
	}
	return best;
}

/* Column weights of a block: w, or ones where there are none or all are zero. */
Z5_INLINE const float *z5_weights(const float *w, size_t n)
{
	static const float ones[256] = {
#define Z5_ONES16 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1
		Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16,
		Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16, Z5_ONES16,
#undef Z5_ONES16
	};

	if (!w || z5_extreme(w, n) < 1e-18f)
		return ones;
	return w;
}

/* Rounds to a level of the type. arg is the type's own. */
typedef float (*z5_level_fn)(float x, const void *arg);

/* ---- levels times one scale ---- */

/* For the levels of x * id: the least-squares scale into *d; returns the error that it saves. */
Z5_INLINE float z5_scale_gain(const float *x, const float *w, size_t n, float id, z5_level_fn level, const void *arg,
			      float *d)
{
	float xq[Z5_LANES] = { 0 }, qq[Z5_LANES] = { 0 }, a, b;

	for (size_t i = 0; i < n; i += Z5_LANES)
		for (size_t l = 0; l < Z5_LANES; l++) {
			float q = level(x[i + l] * id, arg), wq = w[i + l] * q;

			xq[l] += wq * x[i + l];
			qq[l] += wq * q;
		}
	a = z5_fold(xq);
	b = z5_fold(qq);
	if (!(b > 0))
		return 0;
	*d = a / b;
	return a * *d;
}

/*
 * The scale for n values. The largest magnitude is tried at `steps` places from `from` to `to`, in levels, and at
 * the same places with the other sign if `both`. 0 if the values are zero.
 */
Z5_INLINE float z5_fit_scale(const float *x0, const float *w, size_t n, z5_level_fn level, const void *arg, float from,
			     float to, unsigned int steps, bool both)
{
	float max = z5_extreme(x0, n), best = 0, d = 0, x[Z5_FIT_MAX];

	if (!(max >= Z5_FIT_TINY || max <= -Z5_FIT_TINY))
		return 0;
	for (size_t i = 0; i < n; i++)
		x[i] = x0[i] / max;
	for (unsigned int side = 0; side < (both ? 2 : 1); side++)
		for (unsigned int s = 0; s < steps; s++) {
			float t = from + (to - from) * (float)s / (float)(steps - 1), dd = 0;
			float g = z5_scale_gain(x, w, n, side ? -t : t, level, arg, &dd);

			if (g > best) {
				best = g;
				d = dd;
			}
		}
	for (int again = 0; again < 3 && (d > 1e-6f || d < -1e-6f); again++) {
		float dd = 0, g = z5_scale_gain(x, w, n, 1.0f / d, level, arg, &dd);

		if (!(g > best))
			break;
		best = g;
		d = dd;
	}
	return d * max;
}

/* Weighted squared error of n values at scale d; writes the levels to q unless it is NULL. */
Z5_INLINE float z5_scale_error(const float *x, const float *w, size_t n, float d, z5_level_fn level, const void *arg,
			       float *q)
{
	float id = d > Z5_FIT_TINY || d < -Z5_FIT_TINY ? 1.0f / d : 0, e[Z5_LANES] = { 0 };

	for (size_t i = 0; i < n; i += Z5_LANES)
		for (size_t l = 0; l < Z5_LANES; l++) {
			float v = level(z5_clamp(x[i + l] * id, -1e6f, 1e6f), arg), r = x[i + l] - d * v;

			e[l] += w[i + l] * r * r;
			if (q)
				q[i + l] = v;
		}
	return z5_fold(e);
}

/* ---- levels 0..top times a scale, plus an offset ---- */

struct z5_affine {
	float d, m;		/* x ~ d q + m */
};

/* Weighted squared error; writes the levels to q unless it is NULL. */
Z5_INLINE float z5_affine_error(const float *x, const float *w, size_t n, struct z5_affine a, float top, float *q)
{
	float id = a.d > Z5_FIT_TINY ? 1.0f / a.d : 0, e[Z5_LANES] = { 0 };

	for (size_t i = 0; i < n; i += Z5_LANES)
		for (size_t l = 0; l < Z5_LANES; l++) {
			float v = z5_round(z5_clamp((x[i + l] - a.m) * id, 0, top)), r = x[i + l] - (a.d * v + a.m);

			e[l] += w[i + l] * r * r;
			if (q)
				q[i + l] = v;
		}
	return z5_fold(e);
}

/*
 * Rounds with a, then replaces a by the least squares for those levels, m above 0 only if positive; returns what the
 * error falls short of sum w x^2.
 */
Z5_INLINE float z5_affine_gain(const float *x, const float *w, size_t n, struct z5_affine *a, float top, bool positive,
			       float sw, float sx)
{
	float id = a->d > 0 ? 1.0f / a->d : 0, l1[Z5_LANES] = { 0 }, l2[Z5_LANES] = { 0 }, l3[Z5_LANES] = { 0 };
	float sq, sqq, sxq, det, d, m;

	for (size_t i = 0; i < n; i += Z5_LANES)
		for (size_t l = 0; l < Z5_LANES; l++) {
			float q = z5_round(z5_clamp((x[i + l] - a->m) * id, 0, top)), wq = w[i + l] * q;

			l1[l] += wq;
			l2[l] += wq * q;
			l3[l] += wq * x[i + l];
		}
	sq = z5_fold(l1);
	sqq = z5_fold(l2);
	sxq = z5_fold(l3);
	det = sw * sqq - sq * sq;
	if (det > 1e-9f * sw * sqq) {
		d = (sw * sxq - sx * sq) / det;
		m = (sqq * sx - sq * sxq) / det;
	} else {		/* one level only */
		d = 0;
		m = sx / sw;
	}
	if (m > 0 && !positive) {
		m = 0;
		d = sqq > 0 ? sxq / sqq : 0;
	}
	if (d < 0)
		d = 0;
	a->d = d;
	a->m = m;
	return 2 * (d * sxq + m * sx) - d * d * sqq - 2 * d * m * sq - m * m * sw;
}

/*
 * Scale and offset for n values and levels 0..top; m <= 0 unless positive. Both ends of the range are tried, moved
 * inwards in `steps` steps of `inward` (a part of the range) each.
 */
Z5_INLINE struct z5_affine z5_fit_affine(const float *x0, const float *w, size_t n, float top, bool positive,
					 unsigned int steps, float inward)
{
	float max = z5_extreme(x0, n), lo = 0, hi = 0, best = -FLT_MAX, sw, sx, x[Z5_FIT_MAX];
	float l1[Z5_LANES] = { 0 }, l2[Z5_LANES] = { 0 };
	struct z5_affine a = { 0, 0 };

	if (max < 0)
		max = -max;
	if (!(max >= Z5_FIT_TINY))
		return a;
	for (size_t i = 0; i < n; i++)
		x[i] = x0[i] / max;
	for (size_t i = 0; i < n; i += Z5_LANES)
		for (size_t l = 0; l < Z5_LANES; l++) {
			l1[l] += w[i + l];
			l2[l] += w[i + l] * x[i + l];
		}
	sw = z5_fold(l1);
	sx = z5_fold(l2);
	lo = hi = x[0];
	for (size_t i = 1; i < n; i++) {
		lo = x[i] < lo ? x[i] : lo;
		hi = x[i] > hi ? x[i] : hi;
	}
	if (lo > 0 && !positive)
		lo = 0;
	for (unsigned int s = 0; s < steps; s++)
		for (unsigned int t = 0; t < steps; t++) {
			struct z5_affine c = { .m = lo + (hi - lo) * inward * (float)s };
			float g;

			/* half a step outwards too: the range need not be hit exactly */
			c.d = (hi - (hi - lo) * inward * ((float)t - 1) - c.m) / top;
			g = z5_affine_gain(x, w, n, &c, top, positive, sw, sx);
			if (g > best) {
				best = g;
				a = c;
			}
		}
	for (int again = 0; again < 4; again++) {
		struct z5_affine c = a;
		float g = z5_affine_gain(x, w, n, &c, top, positive, sw, sx);

		if (!(g > best))
			break;
		best = g;
		a = c;
	}
	a.d *= max;
	a.m *= max;
	return a;
}

#endif
