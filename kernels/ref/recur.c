// SPDX-License-Identifier: MIT
/* What recurrent models compute from token to token, the definition. */
#include <kernels/kernels.h>
#include <kernels/scalar.h>

#include "ref.h"

#define LANES 16

static void map_sigmoid(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = z5_sigmoid(x[i]);
}

static void map_tanh(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = z5_tanh(x[i]);
}

static void map_softplus(float *x, size_t n)
{
	for (size_t i = 0; i < n; i++)
		x[i] = z5_softplus(x[i]);
}

const z5_map_fn z5_ref_map[Z5_N_MAPS] = {
	[Z5_MAP_SIGMOID] = map_sigmoid, [Z5_MAP_TANH] = map_tanh, [Z5_MAP_SOFTPLUS] = map_softplus,
};

void z5_ref_conv(const struct z5_conv *c)
{
	const size_t past = c->width - 1;

	for (size_t ch = 0; ch < c->groups * LANES; ch++) {
		const size_t g = ch / LANES, lane = ch % LANES;
		const float *w = c->w + g * c->width * LANES + lane;
		float *state = c->state + g * past * LANES + lane;

		for (size_t t = 0; t < c->n; t++) {
			float *x = c->x + t * c->stride + ch, in = *x, y = c->bias[ch];

			for (size_t j = 0; j < past; j++)
				y = fmaf(w[j * LANES], state[j * LANES], y);
			y = fmaf(w[past * LANES], in, y);
			*x = y / (1.0f + z5_exp(-y));
			for (size_t j = 0; j + 1 < past; j++)
				state[j * LANES] = state[(j + 1) * LANES];
			state[(past - 1) * LANES] = in;
		}
	}
}

static float four(const float *sum)
{
	return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

void z5_ref_scan(const struct z5_scan *s)
{
	for (size_t ch = 0; ch < s->groups * LANES; ch++) {
		const size_t g = ch / LANES, lane = ch % LANES, own = s->head ? g / s->head : ch;
		float *state = s->state + g * s->n_state * LANES + lane;

		for (size_t t = 0; t < s->n; t++) {
			const float *b = s->b + t * s->bc_stride, *c = s->c + t * s->bc_stride;
			const float x = s->x[t * s->x_stride + ch], dt = s->dt[t * s->dt_stride + own], dtx = dt * x;
			float sum[4] = { 0 };

			for (size_t i = 0; i < s->n_state; i++) {
				const float a = s->head ? s->a[own] : s->a[(g * s->n_state + i) * LANES + lane];
				float *h = state + i * LANES;

				*h = fmaf(z5_exp(dt * a), *h, dtx * b[i]);
				sum[i % 4] = fmaf(*h, c[i], sum[i % 4]);
			}
			s->y[t * s->y_stride + ch] = fmaf(s->d[own], x, four(sum));
		}
	}
}

/* What dimension j of a head's value has for dimension 0 of its key. */
static float *wkv_state(const struct z5_wkv *w, size_t head, size_t j)
{
	return w->state + head * z5_wkv_floats(w->size) + j / LANES * w->size * LANES + j % LANES;
}

void z5_ref_wkv6(const struct z5_wkv *w)
{
	for (size_t ch = 0; ch < w->heads * w->size; ch++) {
		const size_t from = ch / w->size * w->size;
		float *state = wkv_state(w, ch / w->size, ch % w->size);

		for (size_t t = 0; t < w->n; t++) {
			const size_t at = t * w->stride + from;
			const float v = w->v[t * w->stride + ch];
			float sum[4] = { 0 };

			for (size_t i = 0; i < w->size; i++) {
				float *s = state + i * LANES, kv = w->k[at + i] * v;

				sum[i % 4] = fmaf(w->r[at + i], fmaf(w->u[from + i], kv, *s), sum[i % 4]);
				*s = fmaf(w->w[at + i], *s, kv);
			}
			w->y[t * w->stride + ch] = four(sum);
		}
	}
}

void z5_ref_wkv7(const struct z5_wkv *w)
{
	for (size_t ch = 0; ch < w->heads * w->size; ch++) {
		const size_t from = ch / w->size * w->size;
		float *state = wkv_state(w, ch / w->size, ch % w->size);

		for (size_t t = 0; t < w->n; t++) {
			const size_t at = t * w->stride + from;
			const float v = w->v[t * w->stride + ch];
			float sum[4] = { 0 }, sa;

			for (size_t i = 0; i < w->size; i++)
				sum[i % 4] = fmaf(state[i * LANES], w->a[at + i], sum[i % 4]);
			sa = four(sum);
			memset(sum, 0, sizeof(sum));
			for (size_t i = 0; i < w->size; i++) {
				float *s = state + i * LANES;

				*s = fmaf(w->w[at + i], *s, fmaf(sa, w->b[at + i], w->k[at + i] * v));
				sum[i % 4] = fmaf(w->r[at + i], *s, sum[i % 4]);
			}
			w->y[t * w->stride + ch] = four(sum);
		}
	}
}

void z5_ref_gla(const struct z5_wkv *w)
{
	for (size_t ch = 0; ch < w->heads * w->size; ch++) {
		const size_t from = ch / w->size * w->size;
		float *state = wkv_state(w, ch / w->size, ch % w->size);

		for (size_t t = 0; t < w->n; t++) {
			const size_t at = t * w->stride + from;
			const float v = w->v[t * w->stride + ch];
			float sum[4] = { 0 };

			for (size_t i = 0; i < w->size; i++) {
				float *s = state + i * LANES;

				*s = fmaf(w->w[at + i], *s, w->k[at + i] * v);
				sum[i % 4] = fmaf(w->r[at + i], *s, sum[i % 4]);
			}
			w->y[t * w->stride + ch] = four(sum);
		}
	}
}
