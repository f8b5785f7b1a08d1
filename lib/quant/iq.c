// SPDX-License-Identifier: MIT
/*
 * Types whose weights are points of a table: IQ2 and IQ3 (magnitudes of 8 or 4 weights, and their signs), IQ1 (8
 * weights of -1, 0, 1, all moved by an eighth). Formats: kernels/iq.h. 16 or 32 weights, a unit here, share an odd
 * factor of the block's scale.
 *
 * For a scale, each group of weights gets the nearest point of the table. It is looked for among the points next to
 * the group rounded to levels, which are listed once for every such combination. Scales are found as for the other
 * types: some are tried for each unit alone, then the block's scale and the units' factors are improved in turns.
 */
#include "fit.h"
#include "quant.h"

#include <kernels/half.h>
#include <kernels/iq.h>
#include <pthread.h>
#include <string.h>

#define NEAR		16
#define MAX_POINTS	2048
#define MAX_CODES	6561	/* three levels of 8 weights; eight of 4 are 4096 */
#define ROUNDS		3
#define DELTA		0.125f

/* ---- tables of points ---- */

struct table {
	unsigned int n, dim;		/* points, weights of each */
	unsigned int n_levels;
	float level[8], border[8];	/* border[i]: between level i and i + 1 */
	float point[MAX_POINTS][8];
	uint16_t near[MAX_CODES][NEAR];
};

static float distance(const float *a, const float *b, unsigned int dim)
{
	float d = 0;

	for (unsigned int i = 0; i < dim; i++)
		d += (a[i] - b[i]) * (a[i] - b[i]);
	return d;
}

/* The NEAR points closest to the combination of levels `code`; of equally close ones the first. */
static void list_near(struct table *t, unsigned int code)
{
	float at[8], best[NEAR];
	unsigned int n = 0, c = code;

	for (unsigned int i = 0; i < t->dim; i++, c /= t->n_levels)
		at[i] = t->level[c % t->n_levels];
	for (unsigned int p = 0; p < t->n; p++) {
		float d = distance(at, t->point[p], t->dim);
		unsigned int j = n < NEAR ? n++ : NEAR;

		if (j == NEAR && d >= best[NEAR - 1])
			continue;
		if (j == NEAR)
			j--;
		for (; j && best[j - 1] > d; j--) {
			best[j] = best[j - 1];
			t->near[code][j] = t->near[code][j - 1];
		}
		best[j] = d;
		t->near[code][j] = (uint16_t)p;
	}
}

/* level: those of the table in increasing order; the points are filled in. */
static void finish(struct table *t, unsigned int n, unsigned int dim, unsigned int n_levels, const float *level)
{
	unsigned int codes = 1;

	t->n = n;
	t->dim = dim;
	t->n_levels = n_levels;
	for (unsigned int i = 0; i < n_levels; i++)
		t->level[i] = level[i];
	for (unsigned int i = 0; i + 1 < n_levels; i++)
		t->border[i] = (level[i] + level[i + 1]) / 2;
	for (unsigned int i = 0; i < dim; i++)
		codes *= n_levels;
	for (unsigned int c = 0; c < codes; c++)
		list_near(t, c);
}

static void make_iq2(struct table *t, const uint32_t *grid, unsigned int n)
{
	static const float level[3] = { 8, 25, 43 };

	for (unsigned int p = 0; p < n; p++)
		for (unsigned int i = 0; i < 8; i++)
			t->point[p][i] = (float)z5_iq2_weight(grid[p], i);
	finish(t, n, 8, 3, level);
}

static void make_iq3(struct table *t, const uint32_t *grid, unsigned int n, const float *level)
{
	for (unsigned int p = 0; p < n; p++)
		for (unsigned int i = 0; i < 4; i++)
			t->point[p][i] = (float)z5_iq3_weight(grid[p], i);
	finish(t, n, 4, 8, level);
}

/* Made when they are first needed; the same for ever. */
#define TABLE(name, make) \
	static struct table name ## _table; \
	static void name ## _make(void) { struct table *t = &name ## _table; make; } \
	static const struct table *name(void) \
	{ \
		static pthread_once_t once = PTHREAD_ONCE_INIT; \
		pthread_once(&once, name ## _make); \
		return &name ## _table; \
	}

static const float iq3_xxs_levels[8] = { 4, 12, 20, 28, 36, 44, 52, 62 };
static const float iq3_s_levels[8] = { 1, 3, 5, 7, 9, 11, 13, 15 };

TABLE(iq2_xxs, make_iq2(t, z5_iq2_xxs_grid, 256))
TABLE(iq2_xs, make_iq2(t, z5_iq2_xs_grid, 512))
TABLE(iq2_s, make_iq2(t, z5_iq2_s_grid, 1024))
TABLE(iq3_xxs, make_iq3(t, z5_iq3_xxs_grid, 256, iq3_xxs_levels))
TABLE(iq3_s, make_iq3(t, z5_iq3_s_grid, 512, iq3_s_levels))

static void make_iq1(struct table *t)
{
	static const float level[3] = { -1, 0, 1 };

	for (unsigned int p = 0; p < 2048; p++)
		for (unsigned int i = 0; i < 8; i++)
			t->point[p][i] = (float)z5_iq1_weight(z5_iq1_grid[p], i);
	finish(t, 2048, 8, 3, level);
}

TABLE(iq1, make_iq1(t))

/* ---- one unit at one scale ---- */

enum shift { SHIFT_NONE, SHIFT_UNIT, SHIFT_GROUP };	/* what DELTA, or -DELTA, is chosen for */

struct shape {
	const struct table *t;
	unsigned int n, unit;	/* units, weights in one */
	float c;		/* w = d c (2 s + 1) (point + shift) */
	int most;		/* s is 0..most */
	enum shift shift;
	float from, to;		/* where the largest magnitude of a unit is tried, in levels */
	unsigned int steps;
};

struct unit {
	uint16_t point[8];
	uint8_t down;		/* bit g: group g is moved by -DELTA */
	float xq, qq, error;	/* sums of w x q, w q q, w (x - D q)^2 */
};

Z5_INLINE unsigned int code_of(const struct table *t, const float *v, unsigned int dim)
{
	unsigned int code = 0, power = 1;

	for (unsigned int i = 0; i < dim; i++) {
		unsigned int u = 0;

		for (unsigned int b = 0; b + 1 < t->n_levels; b++)
			u += v[i] > t->border[b];
		code += u * power;
		power *= t->n_levels;
	}
	return code;
}

/* Best point for a group at scale 1 / id; returns its weighted squared distance, in levels. */
Z5_INLINE float nearest(const struct table *t, const float *x, const float *w, float id, float shift, unsigned int dim,
			uint16_t *point)
{
	float v[8], best = FLT_MAX;
	const uint16_t *near;

	for (unsigned int i = 0; i < dim; i++)
		v[i] = z5_clamp(x[i] * id, -1e6f, 1e6f) - shift;
	near = t->near[code_of(t, v, dim)];
	for (unsigned int j = 0; j < NEAR; j++) {
		const float *p = t->point[near[j]];
		float d = 0;

		for (unsigned int i = 0; i < dim; i++)
			d += w[i] * ((v[i] - p[i]) * (v[i] - p[i]));
		if (d < best) {
			best = d;
			*point = near[j];
		}
	}
	return best;
}

Z5_INLINE void sum_group(struct unit *u, const struct table *t, unsigned int g, const float *x, const float *w,
			 float shift, unsigned int dim)
{
	const float *p = t->point[u->point[g]];

	for (unsigned int i = 0; i < dim; i++) {
		float q = p[i] + shift, wq = w[i] * q;

		u->xq += wq * x[i];
		u->qq += wq * q;
	}
}

/* Points for a unit at scale D > 0. */
Z5_INLINE struct unit fit_unit(const struct shape *s, const float *x, const float *w, float D, unsigned int dim)
{
	float id = 1.0f / D;
	struct unit u = { 0 };

	if (s->shift == SHIFT_UNIT) {
		uint16_t a[8], b[8];
		float ea = 0, eb = 0;

		for (unsigned int g = 0; g < s->unit / dim; g++) {
			ea += nearest(s->t, x + g * dim, w + g * dim, id, DELTA, dim, &a[g]);
			eb += nearest(s->t, x + g * dim, w + g * dim, id, -DELTA, dim, &b[g]);
		}
		u.down = eb < ea ? 255 : 0;
		memcpy(u.point, eb < ea ? b : a, sizeof(a));
		u.error = eb < ea ? eb : ea;
	} else {
		for (unsigned int g = 0; g < s->unit / dim; g++) {
			const float *xg = x + g * dim, *wg = w + g * dim;
			float shift = s->shift == SHIFT_NONE ? 0 : DELTA;
			float e = nearest(s->t, xg, wg, id, shift, dim, &u.point[g]);

			if (s->shift == SHIFT_GROUP) {
				uint16_t other = 0;
				float e2 = nearest(s->t, xg, wg, id, -DELTA, dim, &other);

				if (e2 < e) {
					e = e2;
					u.point[g] = other;
					u.down |= (uint8_t)(1u << g);
				}
			}
			u.error += e;
		}
	}
	u.error *= D * D;
	for (unsigned int g = 0; g < s->unit / dim; g++)
		sum_group(&u, s->t, g, x + g * dim, w + g * dim,
			  s->shift == SHIFT_NONE ? 0 : u.down >> g & 1 ? -DELTA : DELTA, dim);
	return u;
}

/* Scale that suits a unit best if it stood alone. */
Z5_INLINE float scale_of_unit(const struct shape *s, const float *x, const float *w, unsigned int dim)
{
	float max = z5_extreme(x, s->unit), best = 0, d = 0;

	max = max < 0 ? -max : max;
	if (!(max >= Z5_FIT_TINY))
		return 0;
	for (unsigned int i = 0; i < s->steps + 2; i++) {
		/* after the steps, twice with the least squares of the best */
		float t = s->from + (s->to - s->from) * (float)i / (float)(s->steps - 1);
		struct unit u = fit_unit(s, x, w, i < s->steps ? max / t : d > 0 ? d : max, dim);

		if (u.xq > 0 && u.qq > 0 && u.xq * (u.xq / u.qq) > best) {
			best = u.xq * (u.xq / u.qq);
			d = u.xq / u.qq;
		}
	}
	return d;
}

/* ---- a block ---- */

struct block {
	float d;
	uint8_t sc[16];
	struct unit unit[16];
	float error;
	double ux, uu;			/* sums of w x u and w u u: x ~ d u */
};

/*
 * The least squares make a block smaller than it is, and products with it as well: of x the part rho^2 = (w x u)^2
 * / (w u u)(w x x) is met, 0.8 in IQ1. A scale larger by 1 / rho keeps the size, one larger by 1 / rho^2 the
 * product with x itself; halfway between them costs little more squared error than the smallest, and brings a model
 * nearer to what it said.
 */
static void undo_shrinking(struct block *b, const float *x, const float *w)
{
	double xx = 0, d, more;

	if (!(b->ux > 0 && b->uu > 0))
		return;
	for (int i = 0; i < 256; i++)
		xx += (double)w[i] * x[i] * x[i];
	d = b->ux / b->uu;
	more = __builtin_sqrt(__builtin_sqrt(xx / b->uu) * (xx / b->ux)) / d;
	/* beyond, the block is nothing like x, and larger would be worse */
	b->d = (float)(d * (more < 1.7 ? more : 1.7));
}

Z5_INLINE void fit_block(struct block *out, const struct shape *s, const float *x, const float *w, unsigned int dim)
{
	struct block b = { 0 };
	float ideal[16] = { 0 }, d = 0;

	for (unsigned int j = 0; j < s->n; j++) {
		ideal[j] = scale_of_unit(s, x + j * s->unit, w + j * s->unit, dim);
		d = ideal[j] > d ? ideal[j] : d;
	}
	d /= s->c * (float)(2 * s->most + 1);
	for (int round = 0; round < ROUNDS; round++) {
		b.d = z5_f16(z5_to_f16(d));
		b.error = 0;
		b.ux = b.uu = 0;
		for (unsigned int j = 0; j < s->n; j++) {
			float ratio = b.d > 0 ? ideal[j] / (b.d * s->c) : 0;
			int s0 = (int)z5_round(z5_clamp((ratio - 1) / 2, 0, (float)s->most));

			b.unit[j].error = FLT_MAX;
			for (int sc = s0 ? s0 - 1 : 0; sc <= s0 + 1 && sc <= s->most; sc++) {
				float D = b.d * s->c * (float)(2 * sc + 1);
				struct unit u;

				/* all is 0 whatever the points are */
				if (!(D >= Z5_FIT_TINY && D < FLT_MAX)) {
					memset(&b.unit[j], 0, sizeof(b.unit[j]));
					break;
				}
				u = fit_unit(s, x + j * s->unit, w + j * s->unit, D, dim);
				if (u.error < b.unit[j].error) {
					b.unit[j] = u;
					b.sc[j] = (uint8_t)sc;
				}
			}
			b.error += b.unit[j].error;
			b.ux += (double)b.unit[j].xq * s->c * (2 * b.sc[j] + 1);
			b.uu += (double)b.unit[j].qq * (s->c * (2 * b.sc[j] + 1)) * (s->c * (2 * b.sc[j] + 1));
		}
		if (round && !(b.error < out->error))
			break;
		*out = b;
		if (!(b.uu > 0 && b.ux > 0))
			break;
		d = (float)(b.ux / b.uu);
	}
	undo_shrinking(out, x, w);
}

/*
 * Magnitudes of x in y, and the signs of every 8 as bits. Where only even numbers of negatives can be stored, the
 * weight whose wrong sign costs least gets it, as a negative magnitude.
 */
static void take_signs(float *y, uint8_t *signs, const float *x, const float *w, bool even)
{
	for (int g = 0; g < 32; g++) {
		unsigned int bits = 0, least = 0;
		float cost = FLT_MAX;

		for (unsigned int i = 0; i < 8; i++) {
			float v = x[8 * g + i], c = w[8 * g + i] * (v * v);

			bits |= (unsigned int)(v < 0) << i;
			y[8 * g + i] = v < 0 ? -v : v;
			if (c < cost) {
				cost = c;
				least = i;
			}
		}
		if (even && (__builtin_popcount(bits) & 1)) {
			bits ^= 1u << least;
			y[8 * g + least] = -y[8 * g + least];
		}
		signs[g] = (uint8_t)bits;
	}
}

struct signed_block {
	struct block b;
	uint8_t signs[32];
};

Z5_INLINE void fit_signed(struct signed_block *o, const struct shape *s, const float *x, const float *w, bool even,
			  unsigned int dim)
{
	float y[256];

	w = z5_weights(w, 256);
	take_signs(y, o->signs, x, w, even);
	fit_block(&o->b, s, y, w, dim);
}

/* ---- IQ2 ---- */

void z5_quant_iq2_xxs(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq2_xxs(), 8, 32, 0.125f, 15, SHIFT_NONE, 26, 50, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 66, x += 256) {
		struct signed_block o = { 0 };

		fit_signed(&o, &s, x, w ? w + 256 * i : NULL, true, 8);
		z5_put_f16(dst, o.b.d);
		for (int j = 0; j < 8; j++) {
			uint32_t rest = (uint32_t)o.b.sc[j] << 28;

			for (int l = 0; l < 4; l++) {
				dst[2 + 8 * j + l] = (uint8_t)o.b.unit[j].point[l];
				rest |= (uint32_t)(o.signs[4 * j + l] & 127) << (7 * l);
			}
			memcpy(dst + 6 + 8 * j, &rest, 4);
		}
	}
}

/* Factors of units 2 j and 2 j + 1 in the nibbles of byte j. */
static void put_factors(uint8_t *dst, const uint8_t *sc, int n)
{
	for (int j = 0; j < n; j++)
		dst[j] = (uint8_t)(sc[2 * j] | sc[2 * j + 1] << 4);
}

void z5_quant_iq2_xs(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq2_xs(), 16, 16, 0.125f, 15, SHIFT_NONE, 26, 50, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 74, x += 256) {
		struct signed_block o = { 0 };

		fit_signed(&o, &s, x, w ? w + 256 * i : NULL, true, 8);
		z5_put_f16(dst, o.b.d);
		for (int g = 0; g < 32; g++)
			z5_put16(dst + 2 + 2 * g, (uint16_t)(o.b.unit[g / 2].point[g % 2] | (o.signs[g] & 127) << 9));
		put_factors(dst + 66, o.b.sc, 8);
	}
}

void z5_quant_iq2_s(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq2_s(), 16, 16, 0.125f, 15, SHIFT_NONE, 26, 50, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 82, x += 256) {
		struct signed_block o = { 0 };

		fit_signed(&o, &s, x, w ? w + 256 * i : NULL, false, 8);
		z5_put_f16(dst, o.b.d);
		memset(dst + 66, 0, 8);
		for (int g = 0; g < 32; g++) {
			unsigned int p = o.b.unit[g / 2].point[g % 2];

			dst[2 + g] = (uint8_t)p;
			dst[34 + g] = o.signs[g];
			dst[66 + g / 4] |= (uint8_t)((p >> 8) << (2 * (g % 4)));
		}
		put_factors(dst + 74, o.b.sc, 8);
	}
}

/* ---- IQ3 ---- */

void z5_quant_iq3_xxs(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq3_xxs(), 8, 32, 0.25f, 15, SHIFT_NONE, 44, 66, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 98, x += 256) {
		struct signed_block o = { 0 };

		fit_signed(&o, &s, x, w ? w + 256 * i : NULL, true, 4);
		z5_put_f16(dst, o.b.d);
		for (int j = 0; j < 8; j++) {
			uint32_t rest = (uint32_t)o.b.sc[j] << 28;

			for (int l = 0; l < 8; l++)
				dst[2 + 8 * j + l] = (uint8_t)o.b.unit[j].point[l];
			for (int l = 0; l < 4; l++)
				rest |= (uint32_t)(o.signs[4 * j + l] & 127) << (7 * l);
			memcpy(dst + 66 + 4 * j, &rest, 4);
		}
	}
}

void z5_quant_iq3_s(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq3_s(), 8, 32, 1, 15, SHIFT_NONE, 11, 16, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 110, x += 256) {
		struct signed_block o = { 0 };

		fit_signed(&o, &s, x, w ? w + 256 * i : NULL, false, 4);
		z5_put_f16(dst, o.b.d);
		memset(dst + 66, 0, 8);
		for (int q = 0; q < 64; q++) {
			unsigned int p = o.b.unit[q / 8].point[q % 8];

			dst[2 + q] = (uint8_t)p;
			dst[66 + q / 8] |= (uint8_t)((p >> 8) << (q % 8));
		}
		memcpy(dst + 74, o.signs, 32);
		put_factors(dst + 106, o.b.sc, 4);
	}
}

/* ---- IQ1 ---- */

void z5_quant_iq1_s(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq1(), 8, 32, 1, 7, SHIFT_UNIT, 1.0f, 3.2f, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 50, x += 256) {
		struct block b = { 0 };

		fit_block(&b, &s, x, z5_weights(w ? w + 256 * i : NULL, 256), 8);
		z5_put_f16(dst, b.d);
		for (int j = 0; j < 8; j++) {
			uint16_t high = (uint16_t)(b.sc[j] << 12 | (b.unit[j].down & 1) << 15);

			for (int l = 0; l < 4; l++) {
				dst[2 + 4 * j + l] = (uint8_t)b.unit[j].point[l];
				high |= (uint16_t)((b.unit[j].point[l] >> 8) << (3 * l));
			}
			z5_put16(dst + 34 + 2 * j, high);
		}
	}
}

void z5_quant_iq1_m(uint8_t *dst, const float *x, const float *w, size_t k)
{
	const struct shape s = { iq1(), 16, 16, 1, 7, SHIFT_GROUP, 1.0f, 3.0f, 14 };

	for (size_t i = 0; i < k / 256; i++, dst += 56, x += 256) {
		struct block b = { 0 };
		uint16_t d, scales[4];

		fit_block(&b, &s, x, z5_weights(w ? w + 256 * i : NULL, 256), 8);
		d = z5_to_f16(b.d);
		memset(dst + 32, 0, 16);
		for (int g = 0; g < 32; g++) {
			unsigned int p = b.unit[g / 2].point[g % 2], down = b.unit[g / 2].down >> (g % 2) & 1;

			dst[g] = (uint8_t)p;
			dst[32 + g / 2] |= (uint8_t)((p >> 8 | down << 3) << (4 * (g % 2)));
		}
		for (int j = 0; j < 4; j++)
			scales[j] = (uint16_t)(b.sc[4 * j] | b.sc[4 * j + 1] << 3 | b.sc[4 * j + 2] << 6 |
					       b.sc[4 * j + 3] << 9 | (d >> (4 * j) & 15) << 12);
		memcpy(dst + 48, scales, 8);
	}
}
