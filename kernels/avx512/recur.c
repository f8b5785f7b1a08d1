// SPDX-License-Identifier: MIT
/* What recurrent models compute from token to token. A line of 16 channels is a register. */
#include "avx512.h"

#define LANES 16
#define ZERO _mm512_setzero_ps()

/* ---- maps ---- */

AVX512_INLINE __mmask16 first(size_t n)
{
	return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1);
}

AVX512_INLINE __m512 negative(__m512 x)
{
	return _mm512_xor_ps(x, _mm512_set1_ps(-0.0f));
}

AVX512_INLINE __m512 sigmoid(__m512 x)
{
	const __m512 one = _mm512_set1_ps(1.0f);

	return _mm512_div_ps(one, _mm512_add_ps(one, avx512_exp(negative(x))));
}

AVX512_INLINE __m512 softplus(__m512 x)
{
	__m512 e = avx512_exp(_mm512_or_ps(x, _mm512_set1_ps(-0.0f)));
	__m512 s = _mm512_div_ps(e, _mm512_add_ps(_mm512_set1_ps(2.0f), e));
	__m512 q = _mm512_mul_ps(s, s), p = _mm512_set1_ps(1.0f / 15);

	for (int i = 13; i > 0; i -= 2)
		p = _mm512_fmadd_ps(p, q, _mm512_set1_ps(1.0f / (float)i));
	return _mm512_fmadd_ps(_mm512_add_ps(s, s), p, _mm512_max_ps(x, _mm512_setzero_ps()));
}

#define MAP(name, function)								\
static void name(float *x, size_t n)							\
{											\
	for (size_t i = 0; i < n; i += 16) {						\
		const __mmask16 m = first(n - i);					\
											\
		_mm512_mask_storeu_ps(x + i, m, function(_mm512_maskz_loadu_ps(m, x + i)));	\
	}										\
}

MAP(map_sigmoid, sigmoid)
MAP(map_tanh, avx512_tanh)
MAP(map_softplus, softplus)

const z5_map_fn z5_avx512_map[Z5_N_MAPS] = {
	[Z5_MAP_SIGMOID] = map_sigmoid, [Z5_MAP_TANH] = map_tanh, [Z5_MAP_SOFTPLUS] = map_softplus,
};

/* ---- convolution ---- */

AVX512_INLINE void conv_group(const struct z5_conv *c, size_t width, size_t g)
{
	const size_t past = width - 1;
	const float *w = c->w + g * width * LANES;
	const __m512 bias = _mm512_loadu_ps(c->bias + g * LANES), one = _mm512_set1_ps(1.0f);
	float *state = c->state + g * past * LANES, *x = c->x + g * LANES;
	__m512 in[Z5_CONV_WIDTH];

	for (size_t j = 0; j < past; j++)
		in[j] = _mm512_loadu_ps(state + j * LANES);
	for (size_t t = 0; t < c->n; t++, x += c->stride) {
		__m512 y = bias;

		in[past] = _mm512_loadu_ps(x);
		for (size_t j = 0; j < width; j++)
			y = _mm512_fmadd_ps(_mm512_loadu_ps(w + j * LANES), in[j], y);
		_mm512_storeu_ps(x, _mm512_div_ps(y, _mm512_add_ps(one, avx512_exp(negative(y)))));
		for (size_t j = 0; j < past; j++)
			in[j] = in[j + 1];
	}
	for (size_t j = 0; j < past; j++)
		_mm512_storeu_ps(state + j * LANES, in[j]);
}

void z5_avx512_conv(const struct z5_conv *c)
{
	for (size_t g = 0; g < c->groups; g++) {
		/* the width of all known models: its inputs stay in registers */
		if (c->width == 4)
			conv_group(c, 4, g);
		else
			conv_group(c, c->width, g);
	}
}

/* ---- selective scan ---- */

AVX512_INLINE __m512 four(const __m512 *sum)
{
	return _mm512_add_ps(_mm512_add_ps(sum[0], sum[1]), _mm512_add_ps(sum[2], sum[3]));
}

AVX512_INLINE void scan_group(const struct z5_scan *s, bool heads, size_t g)
{
	const size_t at = g * LANES, own = heads ? g / s->head : at;
	const float *a = heads ? s->a + own : s->a + g * s->n_state * LANES;
	const __m512 d = heads ? _mm512_set1_ps(s->d[own]) : _mm512_loadu_ps(s->d + at);
	float *state = s->state + g * s->n_state * LANES;

	for (size_t t = 0; t < s->n; t++) {
		const float *b = s->b + t * s->bc_stride, *c = s->c + t * s->bc_stride;
		const float *at_dt = s->dt + t * s->dt_stride + own;
		const __m512 x = _mm512_loadu_ps(s->x + t * s->x_stride + at);
		const __m512 dt = heads ? _mm512_set1_ps(*at_dt) : _mm512_loadu_ps(at_dt);
		const __m512 dtx = _mm512_mul_ps(dt, x);
		__m512 sum[4] = { ZERO, ZERO, ZERO, ZERO };
		__m512 keep = _mm512_setzero_ps();

		if (heads)
			keep = avx512_exp(_mm512_mul_ps(dt, _mm512_set1_ps(*a)));
		for (size_t i = 0; i < s->n_state; i += 4) {
			for (size_t j = 0; j < 4; j++) {
				float *line = state + (i + j) * LANES;
				__m512 h = _mm512_loadu_ps(line);

				if (!heads)
					keep = avx512_exp(_mm512_mul_ps(dt, _mm512_loadu_ps(a + (i + j) * LANES)));
				h = _mm512_fmadd_ps(keep, h, _mm512_mul_ps(dtx, _mm512_set1_ps(b[i + j])));
				_mm512_storeu_ps(line, h);
				sum[j] = _mm512_fmadd_ps(h, _mm512_set1_ps(c[i + j]), sum[j]);
			}
		}
		_mm512_storeu_ps(s->y + t * s->y_stride + at, _mm512_fmadd_ps(d, x, four(sum)));
	}
}

void z5_avx512_scan(const struct z5_scan *s)
{
	for (size_t g = 0; g < s->groups; g++) {
		if (s->head)
			scan_group(s, true, g);
		else
			scan_group(s, false, g);
	}
}

/* ---- time mix ---- */

AVX512_INLINE void wkv6_group(const struct z5_wkv *w, size_t head, size_t j, __mmask16 m)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j * w->size;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at, *u = w->u + from;
		const __m512 v = _mm512_maskz_loadu_ps(m, w->v + at + j);
		__m512 sum[4] = { ZERO, ZERO, ZERO, ZERO };

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m512 s = _mm512_maskz_loadu_ps(m, line);
				__m512 kv = _mm512_mul_ps(_mm512_set1_ps(k[i + l]), v);

				__m512 bonus = _mm512_fmadd_ps(_mm512_set1_ps(u[i + l]), kv, s);

				sum[l] = _mm512_fmadd_ps(_mm512_set1_ps(r[i + l]), bonus, sum[l]);
				_mm512_mask_storeu_ps(line, m, _mm512_fmadd_ps(_mm512_set1_ps(decay[i + l]), s, kv));
			}
		}
		_mm512_mask_storeu_ps(w->y + at + j, m, four(sum));
	}
}

AVX512_INLINE void wkv7_group(const struct z5_wkv *w, size_t head, size_t j, __mmask16 m)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j * w->size;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at, *a = w->a + at, *b = w->b + at;
		const __m512 v = _mm512_maskz_loadu_ps(m, w->v + at + j);
		__m512 sum[4] = { ZERO, ZERO, ZERO, ZERO }, sa;

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				__m512 s = _mm512_maskz_loadu_ps(m, state + (i + l) * LANES);

				sum[l] = _mm512_fmadd_ps(s, _mm512_set1_ps(a[i + l]), sum[l]);
			}
		}
		sa = four(sum);
		sum[0] = sum[1] = sum[2] = sum[3] = ZERO;
		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m512 s = _mm512_mul_ps(_mm512_set1_ps(k[i + l]), v);

				s = _mm512_fmadd_ps(sa, _mm512_set1_ps(b[i + l]), s);
				s = _mm512_fmadd_ps(_mm512_set1_ps(decay[i + l]), _mm512_maskz_loadu_ps(m, line), s);
				_mm512_mask_storeu_ps(line, m, s);
				sum[l] = _mm512_fmadd_ps(_mm512_set1_ps(r[i + l]), s, sum[l]);
			}
		}
		_mm512_mask_storeu_ps(w->y + at + j, m, four(sum));
	}
}

AVX512_INLINE void gla_group(const struct z5_wkv *w, size_t head, size_t j, __mmask16 m)
{
	const size_t from = head * w->size;
	float *state = w->state + head * z5_wkv_floats(w->size) + j * w->size;

	for (size_t t = 0; t < w->n; t++) {
		const size_t at = t * w->stride + from;
		const float *r = w->r + at, *k = w->k + at, *decay = w->w + at;
		const __m512 v = _mm512_maskz_loadu_ps(m, w->v + at + j);
		__m512 sum[4] = { ZERO, ZERO, ZERO, ZERO };

		for (size_t i = 0; i < w->size; i += 4) {
			for (size_t l = 0; l < 4; l++) {
				float *line = state + (i + l) * LANES;
				__m512 s = _mm512_mul_ps(_mm512_set1_ps(k[i + l]), v);

				s = _mm512_fmadd_ps(_mm512_set1_ps(decay[i + l]), _mm512_maskz_loadu_ps(m, line), s);
				_mm512_mask_storeu_ps(line, m, s);
				sum[l] = _mm512_fmadd_ps(_mm512_set1_ps(r[i + l]), s, sum[l]);
			}
		}
		_mm512_mask_storeu_ps(w->y + at + j, m, four(sum));
	}
}

/* Whole groups have a mask that the compiler knows. */
#define WKV(name, group)									\
void name(const struct z5_wkv *w)								\
{												\
	for (size_t head = 0; head < w->heads; head++) {					\
		for (size_t j = 0; j < w->size; j += LANES) {					\
			if (w->size - j >= LANES)						\
				group(w, head, j, 0xffff);					\
			else									\
				group(w, head, j, first(w->size - j));				\
		}										\
	}											\
}

WKV(z5_avx512_wkv6, wkv6_group)
WKV(z5_avx512_wkv7, wkv7_group)
WKV(z5_avx512_gla, gla_group)
