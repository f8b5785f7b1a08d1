// SPDX-License-Identifier: MIT
/*
 * Types of 256 columns a block, whose sub-blocks have integer scales of one half-precision scale (formats: ggml's block
 * structures; llama.cpp#1684). The sub-blocks are fitted alone; then the block's scale and the sub-blocks' integers
 * are improved in turns: integers near the ideal by trying, the block's scale by least squares.
 */
#include "fit.h"
#include "quant.h"

#include <kernels/half.h>
#include <kernels/iq.h>
#include <string.h>

#define ROUNDS 3

static float positive(float x)
{
	return x > 0 ? x : 0;
}

/* ---- scale and minimum: Q2_K, Q4_K, Q5_K ---- */

struct offset_shape {
	unsigned int n, sub;	/* sub-blocks, columns in one */
	float top;		/* levels 0..top */
	float most;		/* integers 0..most of a sub-block */
	unsigned int reach;	/* how far around the ideal integers are tried */
	unsigned int steps;	/* of the fit of a sub-block */
	float inward;
};

struct offset_block {
	float d, m;		/* of the block, as halves hold them */
	uint8_t sc[16], mn[16];
	uint8_t q[256];
	float error;
};

/* Integers and levels of one sub-block at the block's scales; adds to the sums for the next scales. */
Z5_INLINE float offset_sub(struct offset_block *b, unsigned int j, const float *x, const float *w,
			   struct z5_affine ideal, const struct offset_shape *s, double *sums)
{
	int s0 = (int)z5_round(z5_clamp(b->d > 0 ? ideal.d / b->d : 0, 0, s->most));
	int m0 = (int)z5_round(z5_clamp(b->m > 0 ? -ideal.m / b->m : 0, 0, s->most));
	int reach = (int)s->reach, most = (int)s->most;
	float best = FLT_MAX, level[Z5_FIT_MAX];
	struct z5_affine a;

	b->sc[j] = (uint8_t)s0;
	b->mn[j] = (uint8_t)m0;
	for (int sc = s0 - reach; sc <= s0 + reach; sc++)
		for (int mn = m0 - reach; mn <= m0 + reach; mn++) {
			float e;

			if (sc < 0 || mn < 0 || sc > most || mn > most)
				continue;
			a.d = b->d * (float)sc;
			a.m = -(b->m * (float)mn);
			e = z5_affine_error(x, w, s->sub, a, s->top, NULL);
			if (e < best) {
				best = e;
				b->sc[j] = (uint8_t)sc;
				b->mn[j] = (uint8_t)mn;
			}
		}
	a.d = b->d * (float)b->sc[j];
	a.m = -(b->m * (float)b->mn[j]);
	best = z5_affine_error(x, w, s->sub, a, s->top, level);
	for (unsigned int i = 0; i < s->sub; i++) {
		double u = (double)b->sc[j] * level[i], v = b->mn[j], wx = (double)w[i] * x[i];

		b->q[j * s->sub + i] = (uint8_t)(int)level[i];
		sums[0] += w[i] * u * u;
		sums[1] += w[i] * u * v;
		sums[2] += w[i] * v * v;
		sums[3] += wx * u;
		sums[4] += wx * v;
	}
	return best;
}

/* x ~ d u - m v: what makes the error of the whole block smallest. */
static void offset_solve(const double *sums, float *d, float *m)
{
	double det = sums[0] * sums[2] - sums[1] * sums[1];

	if (det > 1e-9 * sums[0] * sums[2]) {
		*d = (float)((sums[3] * sums[2] - sums[4] * sums[1]) / det);
		*m = (float)((sums[3] * sums[1] - sums[4] * sums[0]) / det);
	} else if (sums[0] > 0) {
		*d = (float)(sums[3] / sums[0]);
		*m = 0;
	} else if (sums[2] > 0) {
		*m = (float)(-sums[4] / sums[2]);
	}
	*d = positive(*d);
	*m = positive(*m);
}

Z5_INLINE void offset_fit(struct offset_block *out, const float *x, const float *w, const struct offset_shape *s)
{
	struct offset_block b = { 0 };
	struct z5_affine ideal[16];
	float d = 0, m = 0;

	for (unsigned int j = 0; j < s->n; j++) {
		ideal[j] = z5_fit_affine(x + j * s->sub, w + j * s->sub, s->sub, s->top, false, s->steps, s->inward);
		d = ideal[j].d > d ? ideal[j].d : d;
		m = -ideal[j].m > m ? -ideal[j].m : m;
	}
	d /= s->most;
	m /= s->most;
	for (int round = 0; round < ROUNDS; round++) {
		double sums[5] = { 0 };

		b.d = z5_f16(z5_to_f16(d));
		b.m = z5_f16(z5_to_f16(m));
		b.error = 0;
		for (unsigned int j = 0; j < s->n; j++)
			b.error += offset_sub(&b, j, x + j * s->sub, w + j * s->sub, ideal[j], s, sums);
		if (round && !(b.error < out->error))
			break;
		*out = b;
		offset_solve(sums, &d, &m);
	}
}

/* Columns 32 p + l of each half of 128 at bits 2 p of byte l. */
static void put_low_2(uint8_t *dst, const uint8_t *q)
{
	for (int h = 0; h < 2; h++)
		for (int l = 0; l < 32; l++) {
			const uint8_t *p = q + 128 * h + l;

			dst[32 * h + l] =
				(uint8_t)((p[0] & 3) | (p[32] & 3) << 2 | (p[64] & 3) << 4 | (p[96] & 3) << 6);
		}
}

/* Block: 16 bytes of scale and minimum, levels, d, dmin */
void z5_quant_q2_k(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct offset_shape s = { 16, 16, 3, 15, 2, 6, 0.07f };

	for (size_t i = 0; i < k / 256; i++, dst += 84, x += 256) {
		struct offset_block b = { 0 };

		offset_fit(&b, x, z5_weights(w ? w + 256 * i : NULL, 256), &s);
		for (int j = 0; j < 16; j++)
			dst[j] = (uint8_t)(b.sc[j] | b.mn[j] << 4);
		put_low_2(dst + 16, b.q);
		z5_put_f16(dst + 80, b.d);
		z5_put_f16(dst + 82, b.m);
	}
}

/* Eight scales and eight minima of 6 bits in 12 bytes. */
static void put_scales_12(uint8_t *dst, const struct offset_block *b)
{
	for (int j = 0; j < 4; j++) {
		dst[j] = (uint8_t)(b->sc[j] | b->sc[j + 4] >> 4 << 6);
		dst[j + 4] = (uint8_t)(b->mn[j] | b->mn[j + 4] >> 4 << 6);
		dst[j + 8] = (uint8_t)((b->sc[j + 4] & 15) | (b->mn[j + 4] & 15) << 4);
	}
}

/* Columns 64 i + l and 64 i + 32 + l in the nibbles of byte 32 i + l. */
static void put_nibbles_k(uint8_t *dst, const uint8_t *q)
{
	for (int i = 0; i < 4; i++)
		for (int l = 0; l < 32; l++)
			dst[32 * i + l] = (uint8_t)((q[64 * i + l] & 15) | (q[64 * i + 32 + l] & 15) << 4);
}

/* Block: d, dmin, scales, nibbles */
void z5_quant_q4_k(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct offset_shape s = { 8, 32, 15, 63, 1, 5, 0.03f };

	for (size_t i = 0; i < k / 256; i++, dst += 144, x += 256) {
		struct offset_block b = { 0 };

		offset_fit(&b, x, z5_weights(w ? w + 256 * i : NULL, 256), &s);
		z5_put_f16(dst, b.d);
		z5_put_f16(dst + 2, b.m);
		put_scales_12(dst + 4, &b);
		put_nibbles_k(dst + 16, b.q);
	}
}

/* Block: d, dmin, scales, fifth bits (that of column 32 j + l at bit j of byte l), nibbles */
void z5_quant_q5_k(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct offset_shape s = { 8, 32, 31, 63, 1, 5, 0.015f };

	for (size_t i = 0; i < k / 256; i++, dst += 176, x += 256) {
		struct offset_block b = { 0 };

		offset_fit(&b, x, z5_weights(w ? w + 256 * i : NULL, 256), &s);
		z5_put_f16(dst, b.d);
		z5_put_f16(dst + 2, b.m);
		put_scales_12(dst + 4, &b);
		memset(dst + 16, 0, 32);
		for (int c = 0; c < 256; c++)
			dst[16 + c % 32] |= (uint8_t)((b.q[c] >> 4) << (c / 32));
		put_nibbles_k(dst + 48, b.q);
	}
}

/* ---- signed scale: Q3_K, Q6_K, IQ4_XS ---- */

struct scale_shape {
	unsigned int n, sub;
	float lo, hi;		/* levels */
	float least, most;	/* integers of a sub-block */
	int reach;
	float from, to;		/* of the fit of a sub-block */
	unsigned int steps;
};

struct scale_block {
	float d;
	int sc[16];
	float q[256];
	float error;
};

Z5_INLINE float scale_sub(struct scale_block *b, unsigned int j, const float *x, const float *w, float ideal,
			  const struct scale_shape *s, z5_level_fn level, const void *arg, double *sums)
{
	int s0 = (int)z5_round(z5_clamp(b->d != 0 ? ideal / b->d : 0, s->least, s->most));
	float best = FLT_MAX, *q = b->q + j * s->sub;

	b->sc[j] = s0;
	for (int sc = s0 - s->reach; sc <= s0 + s->reach; sc++) {
		float e;

		if ((float)sc < s->least || (float)sc > s->most)
			continue;
		e = z5_scale_error(x, w, s->sub, b->d * (float)sc, level, arg, NULL);
		if (e < best) {
			best = e;
			b->sc[j] = sc;
		}
	}
	best = z5_scale_error(x, w, s->sub, b->d * (float)b->sc[j], level, arg, q);
	for (unsigned int i = 0; i < s->sub; i++) {
		double u = (double)b->sc[j] * q[i];

		sums[0] += w[i] * u * u;
		sums[1] += (double)w[i] * x[i] * u;
	}
	return best;
}

Z5_INLINE void scale_fit(struct scale_block *out, const float *x, const float *w, const struct scale_shape *s,
			 z5_level_fn level, const void *arg)
{
	struct scale_block b = { 0 };
	float ideal[16], d;

	for (unsigned int j = 0; j < s->n; j++)
		ideal[j] = z5_fit_scale(x + j * s->sub, w + j * s->sub, s->sub, level, arg, s->from, s->to, s->steps,
					true);
	/* the negative integers reach one further */
	d = z5_extreme(ideal, s->n) / s->least;
	for (int round = 0; round < ROUNDS; round++) {
		double sums[2] = { 0 };

		b.d = z5_f16(z5_to_f16(d));
		b.error = 0;
		for (unsigned int j = 0; j < s->n; j++)
			b.error += scale_sub(&b, j, x + j * s->sub, w + j * s->sub, ideal[j], s, level, arg, sums);
		if (round && !(b.error < out->error))
			break;
		*out = b;
		if (!(sums[0] > 0))
			break;
		d = (float)(sums[1] / sums[0]);
	}
}

Z5_INLINE float in_shape(float x, const void *arg)
{
	const struct scale_shape *s = arg;

	return z5_round(z5_clamp(x, s->lo, s->hi));
}

/*
 * Importance for Q3_K: large values count more, 1 + x^2 / mean x^2. The smallest plain error is that of scales too
 * small for them; with so few levels a model suffers more from that than from the error that is added.
 */
static void emphasize(float *out, const float *x, const float *w)
{
	float max = z5_extreme(x, 256), lane[Z5_LANES] = { 0 }, mean;

	w = z5_weights(w, 256);
	memcpy(out, w, 256 * sizeof(*out));
	if (!(max >= Z5_FIT_TINY || max <= -Z5_FIT_TINY))
		return;
	for (int i = 0; i < 256; i++)
		lane[i % Z5_LANES] += (x[i] / max) * (x[i] / max);
	mean = z5_fold(lane) / 256;
	for (int i = 0; i < 256; i++)
		out[i] = w[i] * (1 + (x[i] / max) * (x[i] / max) / mean);
}

/* Block: third bits (that of column 32 j + l at bit j of byte l), low bits, 16 scales of 6 bits in 12 bytes, d */
void z5_quant_q3_k(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct scale_shape s = { 16, 16, -4, 3, -32, 31, 1, 2.4f, 4.8f, 13 };

	for (size_t i = 0; i < k / 256; i++, dst += 110, x += 256) {
		struct scale_block b = { 0 };
		float wb[256];
		uint8_t q[256];

		emphasize(wb, x, w ? w + 256 * i : NULL);
		scale_fit(&b, x, wb, &s, in_shape, &s);
		memset(dst, 0, 32);
		for (int c = 0; c < 256; c++) {
			q[c] = (uint8_t)((int)b.q[c] + 4);
			dst[c % 32] |= (uint8_t)((q[c] >> 2) << (c / 32));
		}
		put_low_2(dst + 32, q);
		memset(dst + 96, 0, 12);
		for (int j = 0; j < 16; j++) {
			int sc = b.sc[j] + 32;

			dst[96 + j % 8] |= (uint8_t)((sc & 15) << (j / 8 * 4));
			dst[104 + j % 4] |= (uint8_t)((sc >> 4) << (j / 4 * 2));
		}
		z5_put_f16(dst + 108, b.d);
	}
}

/* Block: low nibbles, high bits, 16 int8 scales, d */
void z5_quant_q6_k(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct scale_shape s = { 16, 16, -32, 31, -128, 127, 1, 28, 32.8f, 21 };

	for (size_t i = 0; i < k / 256; i++, dst += 210, x += 256) {
		struct scale_block b = { 0 };

		scale_fit(&b, x, z5_weights(w ? w + 256 * i : NULL, 256), &s, in_shape, &s);
		memset(dst, 0, 192);
		for (int c = 0; c < 256; c++) {
			int q = (int)b.q[c] + 32, h = c / 128, l = c % 128;

			dst[64 * h + l % 64] |= (uint8_t)((q & 15) << (l / 64 * 4));
			dst[128 + 32 * h + l % 32] |= (uint8_t)((q >> 4) << (l / 32 * 2));
		}
		for (int j = 0; j < 16; j++)
			dst[192 + j] = (uint8_t)b.sc[j];
		z5_put_f16(dst + 208, b.d);
	}
}

/* ---- levels of a table: IQ4_NL, IQ4_XS ---- */

/* Nearest level: every border that 2 x is above adds the step there. Compares and adds, in any number of lanes. */
Z5_INLINE float nl_level(float x, const void *arg)
{
	float v = z5_iq4_levels[0];

	(void)arg;
	for (int i = 0; i < 15; i++)
		v += x + x > (float)(z5_iq4_levels[i] + z5_iq4_levels[i + 1]) ?
		     (float)(z5_iq4_levels[i + 1] - z5_iq4_levels[i]) : 0;
	return v;
}

static int nl_index(float level)
{
	int i = 0;

	while (i < 15 && (float)z5_iq4_levels[i] < level)
		i++;
	return i;
}

/* Block: d, nibbles (columns j, j + 16) */
void z5_quant_iq4_nl(uint8_t *dst, const float *x, const float *w, size_t k)
{
	for (size_t i = 0; i < k / 32; i++, dst += 18, x += 32) {
		const float *wb = z5_weights(w ? w + 32 * i : NULL, 32);
		float q[32], d = z5_put_f16(dst, z5_fit_scale(x, wb, 32, nl_level, NULL, 80, 140, 20, true));

		z5_scale_error(x, wb, 32, d, nl_level, NULL, q);
		for (int j = 0; j < 16; j++)
			dst[2 + j] = (uint8_t)(nl_index(q[j]) | nl_index(q[j + 16]) << 4);
	}
}

/* Block: d, high 2 bits of 8 scales, low 4 bits, nibbles (columns j, j + 16 of a sub-block) */
void z5_quant_iq4_xs(uint8_t *dst, const float *x, const float *w, size_t k)
{
	static const struct scale_shape s = { .n = 8, .sub = 32, .least = -32, .most = 31, .reach = 1,
					      .from = 80, .to = 140, .steps = 20 };

	for (size_t i = 0; i < k / 256; i++, dst += 136, x += 256) {
		struct scale_block b = { 0 };
		uint16_t high = 0;

		scale_fit(&b, x, z5_weights(w ? w + 256 * i : NULL, 256), &s, nl_level, NULL);
		z5_put_f16(dst, b.d);
		memset(dst + 4, 0, 4);
		for (int j = 0; j < 8; j++) {
			int sc = b.sc[j] + 32;

			high |= (uint16_t)((sc >> 4) << (2 * j));
			dst[4 + j / 2] |= (uint8_t)((sc & 15) << (j % 2 * 4));
			for (int l = 0; l < 16; l++)
				dst[8 + 16 * j + l] = (uint8_t)(nl_index(b.q[32 * j + l]) |
								nl_index(b.q[32 * j + 16 + l]) << 4);
		}
		z5_put16(dst + 2, high);
	}
}
