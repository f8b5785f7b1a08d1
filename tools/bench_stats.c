// SPDX-License-Identifier: MIT
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int by_value(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_t95(double df)
{
	static const double t[] = { 12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228 };
	double z = 1.959964, z3 = z * z * z, z5 = z3 * z * z;

	if (!(df >= 1))
		return NAN;
	/* between the first values by the inverse of df, which is nearly a line; then Abramowitz and Stegun 26.7.5 */
	if (df < 10) {
		const int i = (int)df;
		const double a = 1.0 / i, b = 1.0 / (i + 1), at = 1 / df;

		return t[i - 1] + (t[i] - t[i - 1]) * (a - at) / (a - b);
	}
	return z + (z3 + z) / (4 * df) + (5 * z5 + 16 * z3 + 3 * z) / (96 * df * df);
}

/* Mean and standard deviation of n values. */
static double moments(const double *v, size_t n, double *sd)
{
	double mean = 0, sum = 0;

	for (size_t i = 0; i < n; i++)
		mean += v[i] / (double)n;
	for (size_t i = 0; i < n; i++)
		sum += (v[i] - mean) * (v[i] - mean);
	*sd = n > 1 ? sqrt(sum / (double)(n - 1)) : NAN;
	return mean;
}

struct bench_stats bench_stats(const struct bench_samples *s)
{
	struct bench_stats r = { NAN, NAN, NAN, NAN, NAN, NAN };
	double *v;

	if (!s->n)
		return r;
	v = malloc(s->n * sizeof(*v));
	if (!v)
		return r;
	memcpy(v, s->v, s->n * sizeof(*v));
	qsort(v, s->n, sizeof(*v), by_value);
	r.mean = moments(v, s->n, &r.sd);
	r.median = (v[(s->n - 1) / 2] + v[s->n / 2]) / 2;
	r.min = v[0];
	r.max = v[s->n - 1];
	r.ci = bench_t95((double)s->n - 1) * r.sd / sqrt((double)s->n);
	free(v);
	return r;
}

static double *logs(const double *v, const double *by, size_t n)
{
	double *l = malloc((n ? n : 1) * sizeof(*l));

	for (size_t i = 0; l && i < n; i++)
		l[i] = log(by ? v[i] / by[i] : v[i]);
	return l;
}

static void interval(double mean, double half, double *ratio, double *lo, double *hi)
{
	*ratio = exp(mean);
	*lo = exp(mean - half);
	*hi = exp(mean + half);
}

void bench_ratio(const double *a, const double *b, size_t n, double *ratio, double *lo, double *hi)
{
	double *l = logs(b, a, n), sd, mean;

	*ratio = *lo = *hi = NAN;
	if (l && n) {
		mean = moments(l, n, &sd);
		interval(mean, bench_t95((double)n - 1) * sd / sqrt((double)n), ratio, lo, hi);
	}
	free(l);
}

void bench_ratio_apart(const struct bench_samples *a, const struct bench_samples *b, double *ratio, double *lo,
		       double *hi)
{
	double *x = logs(a->v, NULL, a->n), *y = logs(b->v, NULL, b->n), sx, sy;

	*ratio = *lo = *hi = NAN;
	if (x && y && a->n && b->n) {
		const double mean = moments(y, b->n, &sy) - moments(x, a->n, &sx);
		const double vx = sx * sx / (double)a->n, vy = sy * sy / (double)b->n;
		const double df = (vx + vy) * (vx + vy) /
				  (vx * vx / ((double)a->n - 1) + vy * vy / ((double)b->n - 1));

		interval(mean, vx + vy > 0 ? bench_t95(df) * sqrt(vx + vy) : a->n > 1 && b->n > 1 ? 0 : NAN, ratio,
			 lo, hi);
	}
	free(x);
	free(y);
}
