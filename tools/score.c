// SPDX-License-Identifier: MIT
#include "score.h"

#include <math.h>
#include <stdlib.h>

void mean_add(struct mean *m, double x)
{
	m->sum += x;
	m->sum2 += x * x;
	m->n++;
}

double mean_of(const struct mean *m)
{
	return m->n ? m->sum / (double)m->n : 0;
}

double mean_error(const struct mean *m)
{
	double mean = mean_of(m), var;

	if (m->n < 2)
		return 0;
	var = m->sum2 / (double)m->n - mean * mean;
	return var > 0 ? sqrt(var / (double)(m->n - 1)) : 0;
}

double log_sum_exp(const float *x, size_t n)
{
	float max = x[0];
	double sum = 0;

	for (size_t i = 1; i < n; i++)
		max = x[i] > max ? x[i] : max;
	for (size_t i = 0; i < n; i++)
		sum += exp((double)x[i] - max);
	/* cppcheck-suppress invalidFunctionArg ; the largest adds 1 */
	return max + log(sum);
}

static size_t top(const float *x, size_t n)
{
	size_t best = 0;

	for (size_t i = 1; i < n; i++)
		if (x[i] > x[best])
			best = i;
	return best;
}

struct divergence divergence(const float *logits, const struct base_row *base, size_t n_vocab, int32_t next)
{
	double shift = log_sum_exp(logits, n_vocab);
	struct divergence d = {
		.nll = shift - logits[next], .nll_base = base->shift - base->log_p[next],
		.same_top = top(logits, n_vocab) == top(base->log_p, n_vocab),
	};

	d.dp = exp(-d.nll) - exp(-d.nll_base);
	for (size_t i = 0; i < n_vocab; i++) {
		double b = base->log_p[i] - base->shift;

		if (b > base->floor)
			d.kl += exp(b) * (b - (logits[i] - shift));
	}
	return d;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void sort_doubles(double *v, size_t n)
{
	qsort(v, n, sizeof(*v), compare);
}

double quantile(const double *sorted, size_t n, double q)
{
	double at = q * (double)(n - 1);
	size_t i = (size_t)at;

	at -= (double)i;
	return i + 1 < n ? (1 - at) * sorted[i] + at * sorted[i + 1] : sorted[n - 1];
}
