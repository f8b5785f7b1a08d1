// SPDX-License-Identifier: MIT
/*
 * What recurrent models compute from token to token. A line of 16 channels is two registers, done one after the other.
 */
#include "avx2.h"

#include <stdbool.h>

#define LANES 16
#define ZERO _mm256_setzero_ps()

/* All ones in the first n of 8 lanes. */
AVX2_INLINE __m256i first(size_t n)
{
	return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

/* ---- maps ---- */

AVX2_INLINE __m256 negative(__m256 x)
{
	return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f));
}

AVX2_INLINE __m256 sigmoid(__m256 x)
{
	const __m256 one = _mm256_set1_ps(1.0f);

	return _mm256_div_ps(one, _mm256_add_ps(one, avx2_exp(negative(x))));
}

AVX2_INLINE __m256 softplus(__m256 x)
{
	__m256 e = avx2_exp(_mm256_or_ps(x, _mm256_set1_ps(-0.0f)));
	__m256 s = _mm256_div_ps(e, _mm256_add_ps(_mm256_set1_ps(2.0f), e));
	__m256 q = _mm256_mul_ps(s, s), p = _mm256_set1_ps(1.0f / 15);

	for (int i = 13; i > 0; i -= 2)
		p = _mm256_fmadd_ps(p, q, _mm256_set1_ps(1.0f / (float)i));
	return _mm256_fmadd_ps(_mm256_add_ps(s, s), p, _mm256_max_ps(x, _mm256_setzero_ps()));
}

#define MAP(name, function)									\
static void name(float *x, size_t n)								\
{												\
	for (; n >= 8; n -= 8, x += 8)								\
		_mm256_storeu_ps(x, function(_mm256_loadu_ps(x)));				\
	if (n)											\
		_mm256_maskstore_ps(x, first(n), function(_mm256_maskload_ps(x, first(n))));	\
}

MAP(map_sigmoid, sigmoid)
MAP(map_tanh, avx2_tanh)
MAP(map_softplus, softplus)

const z5_map_fn z5_avx2_map[Z5_N_MAPS] = {
	[Z5_MAP_SIGMOID] = map_sigmoid, [Z5_MAP_TANH] = map_tanh, [Z5_MAP_SOFTPLUS] = map_softplus,
};

/* ---- convolution ---- */

AVX2_INLINE void conv_eight(const struct z5_conv *c, size_t width, size_t g, size_t off)
{
	const size_t past = width - 1;
	const float *w = c->w + g * width * LANES + off;
	const __m256 bias = _mm256_loadu_ps(c->bias + g * LANES + off), one = _mm256_set1_ps(1.0f);
	float *state = c->state + g * past * LANES + off, *x = c->x + g * LANES + off;
	__m256 in[Z5_CONV_WIDTH];

	for (size_t j = 0; j < past; j++)
		in[j] = _mm256_loadu_ps(state + j * LANES);
	for (size_t t = 0; t < c->n; t++, x += c->stride) {
		__m256 y = bias;

		in[past] = _mm256_loadu_ps(x);
		for (size_t j = 0; j < width; j++)
			y = _mm256_fmadd_ps(_mm256_loadu_ps(w + j * LANES), in[j], y);
		_mm256_storeu_ps(x, _mm256_div_ps(y, _mm256_add_ps(one, avx2_exp(negative(y)))));
		for (size_t j = 0; j < past; j++)
			in[j] = in[j + 1];
	}
	for (size_t j = 0; j < past; j++)
		_mm256_storeu_ps(state + j * LANES, in[j]);
}

void z5_avx2_conv(const struct z5_conv *c)
{
	for (size_t i = 0; i < 2 * c->groups; i++) {
		/* the width of all known models: its inputs stay in registers */
		if (c->width == 4)
			conv_eight(c, 4, i / 2, i % 2 * 8);
		else
			conv_eight(c, c->width, i / 2, i % 2 * 8);
	}
}

/* ---- selective scan ---- */

AVX2_INLINE __m256 four(const __m256 *sum)
{
	return _mm256_add_ps(_mm256_add_ps(sum[0], sum[1]), _mm256_add_ps(sum[2], sum[3]));
}

AVX2_INLINE void scan_eight(const struct z5_scan *s, bool heads, size_t g, size_t off)
{
	const size_t at = g * LANES + off, own = heads ? g / s->head : at;
	const float *a = heads ? s->a + own : s->a + g * s->n_state * LANES + off;
	const __m256 d = heads ? _mm256_set1_ps(s->d[own]) : _mm256_loadu_ps(s->d + at);
	float *state = s->state + g * s->n_state * LANES + off;

	for (size_t t = 0; t < s->n; t++) {
		const float *b = s->b + t * s->bc_stride, *c = s->c + t * s->bc_stride;
		const float *at_dt = s->dt + t * s->dt_stride + own;
		const __m256 x = _mm256_loadu_ps(s->x + t * s->x_stride + at);
		const __m256 dt = heads ? _mm256_set1_ps(*at_dt) : _mm256_loadu_ps(at_dt);
		const __m256 dtx = _mm256_mul_ps(dt, x);
		__m256 sum[4] = { ZERO, ZERO, ZERO, ZERO };
		__m256 keep = _mm256_setzero_ps();

		if (heads)
			keep = avx2_exp(_mm256_mul_ps(dt, _mm256_set1_ps(*a)));
		for (size_t i = 0; i < s->n_state; i += 4) {
			for (size_t j = 0; j < 4; j++) {
				float *line = state + (i + j) * LANES;
				__m256 h = _mm256_loadu_ps(line);

				if (!heads)
					keep = avx2_exp(_mm256_mul_ps(dt, _mm256_loadu_ps(a + (i + j) * LANES)));
				h = _mm256_fmadd_ps(keep, h, _mm256_mul_ps(dtx, _mm256_set1_ps(b[i + j])));
				_mm256_storeu_ps(line, h);
				sum[j] = _mm256_fmadd_ps(h, _mm256_set1_ps(c[i + j]), sum[j]);
			}
		}
		_mm256_storeu_ps(s->y + t * s->y_stride + at, _mm256_fmadd_ps(d, x, four(sum)));
	}
}

void z5_avx2_scan(const struct z5_scan *s)
{
	for (size_t i = 0; i < 2 * s->groups; i++) {
		if (s->head)
			scan_eight(s, true, i / 2, i % 2 * 8);
		else
			scan_eight(s, false, i / 2, i % 2 * 8);
	}
}

/* ---- time mix ---- */

AVX2_INLINE void wkv6_eight(const struct z5_wkv *w, size_t head, size_t j)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j / LANES * w->size * LANES + j % LANES;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at, *u = w->u + from;
		const __m256 v = _mm256_loadu_ps(w->v + at + j);
		__m256 sum[4] = { ZERO, ZERO, ZERO, ZERO };

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m256 s = _mm256_loadu_ps(line), kv = _mm256_mul_ps(_mm256_set1_ps(k[i + l]), v);

				__m256 bonus = _mm256_fmadd_ps(_mm256_set1_ps(u[i + l]), kv, s);

				sum[l] = _mm256_fmadd_ps(_mm256_set1_ps(r[i + l]), bonus, sum[l]);
				_mm256_storeu_ps(line, _mm256_fmadd_ps(_mm256_set1_ps(decay[i + l]), s, kv));
			}
		}
		_mm256_storeu_ps(w->y + at + j, four(sum));
	}
}

AVX2_INLINE void wkv7_eight(const struct z5_wkv *w, size_t head, size_t j)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j / LANES * w->size * LANES + j % LANES;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at, *a = w->a + at, *b = w->b + at;
		const __m256 v = _mm256_loadu_ps(w->v + at + j);
		__m256 sum[4] = { ZERO, ZERO, ZERO, ZERO }, sa;

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				__m256 s = _mm256_loadu_ps(state + (i + l) * LANES);

				sum[l] = _mm256_fmadd_ps(s, _mm256_set1_ps(a[i + l]), sum[l]);
			}
		}
		sa = four(sum);
		sum[0] = sum[1] = sum[2] = sum[3] = ZERO;
		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m256 s = _mm256_mul_ps(_mm256_set1_ps(k[i + l]), v);

				s = _mm256_fmadd_ps(sa, _mm256_set1_ps(b[i + l]), s);
				s = _mm256_fmadd_ps(_mm256_set1_ps(decay[i + l]), _mm256_loadu_ps(line), s);
				_mm256_storeu_ps(line, s);
				sum[l] = _mm256_fmadd_ps(_mm256_set1_ps(r[i + l]), s, sum[l]);
			}
		}
		_mm256_storeu_ps(w->y + at + j, four(sum));
	}
}

AVX2_INLINE void gla_eight(const struct z5_wkv *w, size_t head, size_t j)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j / LANES * w->size * LANES + j % LANES;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at;
		const __m256 v = _mm256_loadu_ps(w->v + at + j);
		__m256 sum[4] = { ZERO, ZERO, ZERO, ZERO };

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m256 s = _mm256_mul_ps(_mm256_set1_ps(k[i + l]), v);

				s = _mm256_fmadd_ps(_mm256_set1_ps(decay[i + l]), _mm256_loadu_ps(line), s);
				_mm256_storeu_ps(line, s);
				sum[l] = _mm256_fmadd_ps(_mm256_set1_ps(r[i + l]), s, sum[l]);
			}
		}
		_mm256_storeu_ps(w->y + at + j, four(sum));
	}
}

void z5_avx2_wkv6(const struct z5_wkv *w)
{
	for (size_t head = 0; head < w->heads; head++)
		for (size_t j = 0; j < w->size; j += 8)
			wkv6_eight(w, head, j);
}

void z5_avx2_wkv7(const struct z5_wkv *w)
{
	for (size_t head = 0; head < w->heads; head++)
		for (size_t j = 0; j < w->size; j += 8)
			wkv7_eight(w, head, j);
}

void z5_avx2_gla(const struct z5_wkv *w)
{
	for (size_t head = 0; head < w->heads; head++)
		for (size_t j = 0; j < w->size; j += 8)
			gla_eight(w, head, j);
}
