/* SPDX-License-Identifier: MIT */
/* Perplexity and Kullback-Leibler divergence: sums in double, in the order of the text. */
#ifndef TOOLS_SCORE_H
#define TOOLS_SCORE_H

#include <stddef.h>
#include <stdint.h>

/* Mean of what was added, and the standard error of the mean. */
struct mean {
	double sum, sum2;
	size_t n;
};

void mean_add(struct mean *m, double x);
double mean_of(const struct mean *m);
double mean_error(const struct mean *m);

/* log of the sum of exp(x[i]); not finite if an x is not. */
double log_sum_exp(const float *x, size_t n);

/*
 * The log-probabilities of one position of a base run. floor: those at or below it were cut off when they were
 * stored.
 */
struct base_row {
	const float *log_p;	/* float[n_vocab]: x - shift is the log-probability */
	double shift, floor;
};

/* One scored position against the same position of the base run. */
struct divergence {
	double kl;		/* sum of p_base (log p_base - log p) */
	double nll, nll_base;	/* of the token that follows */
	double dp;		/* p - p_base of that token */
	int same_top;		/* both hold the same token for the likeliest */
};
struct divergence divergence(const float *logits, const struct base_row *base, size_t n_vocab, int32_t next);

/* Value below which the part q (0..1) of the n sorted values lies, linear between two. */
double quantile(const double *sorted, size_t n, double q);
void sort_doubles(double *v, size_t n);

#endif
