// SPDX-License-Identifier: MIT
/* Around the recurrences of RWKV and Mamba: work that is the same code at every level, as in common.c. */
#include <math.h>

#include "kernels.h"
#include "scalar.h"

void z5_lerp(float *y, const float *x, const float *last, const float *mu, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] + (last[i] - x[i]) * mu[i];
}

void z5_lerp_more(float *y, const float *x, const float *last, const float *mu, const float *more, size_t n)
{
	for (size_t i = 0; i < n; i++)
		y[i] = x[i] + (last[i] - x[i]) * (mu[i] + more[i]);
}

void z5_mul(float *x, const float *y, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] *= y[i];
}

void z5_relu_squared(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = z5_relu2(x[i]);
}

/* In these, products and sums are rounded apart: fma is a function call where no level's flags are given. */

void z5_unit_rms(float *x, size_t n, float eps)
{
	float lane[16] = { 0 };

	for (size_t i = 0; i < n; i++)
		lane[i % 16] += x[i] * x[i];
	z5_scale(x, 1.0f / sqrtf(z5_tree_add(lane) / (float)n + eps), n);
}

void z5_wkv7_key(float *k, float *kk, float *a, const float *k_k, const float *k_a, size_t size)
{
	float lane[16] = { 0 }, scale;

	for (size_t i = 0; i < size; i++) {
		kk[i] = k[i] * k_k[i];
		lane[i % 16] += kk[i] * kk[i];
	}
	scale = -1.0f / z5_max(sqrtf(z5_tree_add(lane)), 1e-12f);
	for (size_t i = 0; i < size; i++) {
		kk[i] *= scale;
		k[i] *= 1.0f + (a[i] - 1.0f) * k_a[i];
		a[i] *= -kk[i];
	}
}

void z5_gla_key(float *k, const float *w, size_t n)
{
	for (size_t i = 0; i < n; i++)
		k[i] *= 1.0f - w[i];
}

void z5_wkv7_bonus(float *y, const float *r, const float *k, const float *v, const float *r_k, size_t size)
{
	float lane[16] = { 0 }, sum;

	for (size_t i = 0; i < size; i++)
		lane[i % 16] += r[i] * k[i] * r_k[i];
	sum = z5_tree_add(lane);
	for (size_t i = 0; i < size; i++)
		y[i] += sum * v[i];
}
