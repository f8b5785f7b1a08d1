// SPDX-License-Identifier: MIT
/* Matrix products: quanta at the ends of their ranges, every tile remainder, every border. */
#include "checkasm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <kernels/scalar.h>

static const char *const weight_names[N_WEIGHT_SHAPES] = {
	"sane", "min", "max", "ends", "zero", "scales", "bits",
};
static const char *const act_names[N_ACT_SHAPES] = {
	"quant", "max", "min", "ends", "zero", "random", "scales",
};

/* ---- weights, as a GGUF file has them ---- */

/* A positive half of ordinary size. */
static uint16_t sane_half(void)
{
	return (uint16_t)(0x1400 + rnd_below(0x1800)) | (uint16_t)(rnd_below(8) ? 0 : 0x8000);
}

static void put16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

static uint16_t scale_of(unsigned int shape)
{
	switch (shape) {
	case WEIGHT_ZERO:
		return 0;
	case WEIGHT_SCALES:
		return rnd_special_half();
	case WEIGHT_BITS:
		return (uint16_t)rnd();
	default:
		return sane_half();
	}
}

/* One value for each byte of a run, or a choice between the two ends a byte. */
static void put_quanta(uint8_t *p, size_t n, uint8_t min, uint8_t max, unsigned int shape)
{
	for (size_t i = 0; i < n; i++) {
		if (shape == WEIGHT_MIN)
			p[i] = min;
		else if (shape == WEIGHT_MAX)
			p[i] = max;
		else if (shape == WEIGHT_ENDS)
			p[i] = rnd_below(2) ? min : max;
		else if (shape == WEIGHT_ZERO)
			p[i] = 0;
		else
			p[i] = (uint8_t)rnd();
	}
}

/* IQ1_M has its scale in four top nibbles. */
static void put_iq1_m_scale(uint8_t *p, uint16_t d)
{
	for (int i = 0; i < 4; i++)
		p[2 * i + 1] = (uint8_t)((p[2 * i + 1] & 15) | (d >> 4 * i & 15) << 4);
}

/* MXFP4's scale byte; 0 and 1 would be denormal, 255 is NaN in the standard. */
static uint8_t e8m0_of(unsigned int shape)
{
	static const uint8_t special[] = { 0, 1, 2, 3, 127, 252, 253, 254, 255 };

	switch (shape) {
	case WEIGHT_ZERO:
		return 0;
	case WEIGHT_SCALES:
		return special[rnd_below(sizeof(special))];
	case WEIGHT_BITS:
		return (uint8_t)rnd();
	default:
		return (uint8_t)(110 + rnd_below(20));
	}
}

static void fill_float_weight(uint8_t *p, enum z5_type type, unsigned int shape)
{
	static const enum shape shapes[N_WEIGHT_SHAPES] = {
		SHAPE_NORMAL, SHAPE_DENORMAL, SHAPE_HUGE, SHAPE_SPECIAL,
		SHAPE_ZERO,   SHAPE_RARE,     SHAPE_BITS,
	};
	float f;
	uint32_t u;
	uint16_t h;

	fill_floats(&f, 1, shapes[shape]);
	memcpy(&u, &f, 4);
	if (type == Z5_F32) {
		memcpy(p, &u, 4);
		return;
	}
	if (type == Z5_BF16) {
		put16(p, shape == WEIGHT_ENDS ? rnd_special_bf16() : (uint16_t)(u >> 16));
		return;
	}
	switch (shape) {
	case WEIGHT_SANE:
		h = (uint16_t)(sane_half() + 0x0800) ^ (uint16_t)(rnd() & 0x8000);
		break;
	case WEIGHT_MIN:
		h = (uint16_t)(rnd() & 0x87ff);
		break;
	case WEIGHT_MAX:
		h = rnd_below(2) ? 0x7bff : 0xfbff;
		break;
	case WEIGHT_ENDS:
	case WEIGHT_SCALES:
		h = shape == WEIGHT_ENDS || !rnd_below(50) ? rnd_special_half() : sane_half();
		break;
	case WEIGHT_ZERO:
		h = (uint16_t)(rnd() & 0x8000);
		break;
	default:
		h = (uint16_t)rnd();
		break;
	}
	put16(p, h);
}

void fill_weights(uint8_t *p, enum z5_type type, size_t rows, size_t k, unsigned int shape)
{
	const struct z5_type_ops *ops = &z5_types[type];

	for (size_t i = 0; i < rows * (k / ops->block); i++, p += ops->bytes) {
		/* in a matrix of ends some whole blocks are at one of them: the largest sums */
		unsigned int s =
			shape == WEIGHT_ENDS && rnd_below(2) ? WEIGHT_MIN + rnd_below(2) : shape;

		switch (type) {
		case Z5_Q8_0:
			put16(p, scale_of(shape));
			put_quanta(p + 2, 32, 0x80, 0x7f, s);
			break;
		case Z5_Q4_0:
			put16(p, scale_of(shape));
			put_quanta(p + 2, 16, 0x00, 0xff, s);
			break;
		case Z5_Q4_K:
			put16(p, scale_of(shape));
			put16(p + 2, scale_of(shape));
			put_quanta(p + 4, 12, 0xff, 0xff, s == WEIGHT_ENDS ? WEIGHT_BITS : s);
			put_quanta(p + 16, 128, 0x00, 0xff, s);
			break;
		case Z5_Q6_K:
			put_quanta(p, 128, 0x00, 0xff, s);
			put_quanta(p + 128, 64, 0x00, 0xff, s);
			put_quanta(p + 192, 16, 0x80, s == WEIGHT_MAX && rnd_below(2) ? 0x80 : 0x7f,
				   s);
			put16(p + 208, scale_of(shape));
			break;
		case Z5_Q4_1:
			put16(p, scale_of(shape));
			put16(p + 2, scale_of(shape));
			put_quanta(p + 4, 16, 0x00, 0xff, s);
			break;
		case Z5_Q5_0:
			put16(p, scale_of(shape));
			put_quanta(p + 2, 20, 0x00, 0xff, s);
			break;
		case Z5_Q5_1:
			put16(p, scale_of(shape));
			put16(p + 2, scale_of(shape));
			put_quanta(p + 4, 20, 0x00, 0xff, s);
			break;
		case Z5_Q2_K:
			put_quanta(p, 16, 0xff, 0xff, s);
			put_quanta(p + 16, 64, 0x00, 0xff, s);
			put16(p + 80, scale_of(shape));
			put16(p + 82, scale_of(shape));
			break;
		case Z5_Q3_K:
			put_quanta(p, 96, 0x00, 0xff, s);
			/* the lowest scale, -32, is the largest */
			put_quanta(p + 96, 12, 0x00, s == WEIGHT_MAX && rnd_below(2) ? 0x00 : 0xff, s);
			put16(p + 108, scale_of(shape));
			break;
		case Z5_Q5_K:
			put16(p, scale_of(shape));
			put16(p + 2, scale_of(shape));
			put_quanta(p + 4, 12, 0xff, 0xff, s == WEIGHT_ENDS ? WEIGHT_BITS : s);
			put_quanta(p + 16, 160, 0x00, 0xff, s);
			break;
		case Z5_IQ4_NL:
			put16(p, scale_of(shape));
			put_quanta(p + 2, 16, 0x00, 0xff, s);
			break;
		case Z5_IQ4_XS:
			put16(p, scale_of(shape));
			put_quanta(p + 2, 6, 0x00, s == WEIGHT_MAX && rnd_below(2) ? 0x00 : 0xff,
				   s);
			put_quanta(p + 8, 128, 0x00, 0xff, s);
			break;
		case Z5_IQ2_XXS:
		case Z5_IQ2_XS:
		case Z5_IQ2_S:
		case Z5_IQ3_XXS:
		case Z5_IQ3_S:
		case Z5_IQ1_S:
			/* the last entries of the grids have the largest weights */
			put16(p, scale_of(shape));
			put_quanta(p + 2, ops->bytes - 2, 0x00, 0xff, s);
			break;
		case Z5_IQ1_M:
			put_quanta(p, 56, 0x00, 0xff, s);
			put_iq1_m_scale(p + 48, scale_of(shape));
			break;
		case Z5_TQ1_0:
		case Z5_TQ2_0:
			put_quanta(p, ops->bytes - 2, 0x00, 0xff, s);
			put16(p + ops->bytes - 2, scale_of(shape));
			break;
		case Z5_I2_S:
			put_quanta(p, 64, 0x00, 0xff, s);
			break;
		case Z5_MXFP4:
			*p = e8m0_of(shape);
			put_quanta(p + 1, 16, 0x77, 0xff, s);
			break;
		default:
			fill_float_weight(p, type, s);
			break;
		}
	}
}

/* ---- activations ---- */

static int8_t quantum(unsigned int shape)
{
	switch (shape) {
	case ACT_MAX:
		return 127;
	case ACT_MIN:
		return -127;
	case ACT_ENDS:
		return rnd_below(2) ? 127 : -127;
	case ACT_ZERO:
		return 0;
	default:
		return (int8_t)((int)rnd_below(255) - 127);
	}
}

static int sum_of(const int8_t *q, size_t n)
{
	int sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += q[i];
	return sum;
}

void fill_act(const struct z5_kernels *ref, void *x, enum z5_act act, size_t k, unsigned int shape)
{
	static const enum shape shapes[N_ACT_SHAPES] = {
		SHAPE_NORMAL, SHAPE_HUGE, SHAPE_DENORMAL, SHAPE_SPECIAL,
		SHAPE_ZERO,   SHAPE_BITS, SHAPE_RARE,
	};
	size_t block = act == Z5_ACT_Q8_32 ? 32 : 256;
	int8_t *q = x;
	float *d;

	/* padding is no one's to use: NaN */
	memset(x, 0xff, z5_act_bytes(act, k));
	if (act == Z5_ACT_F32) {
		fill_floats(x, k, shapes[shape]);
		return;
	}
	if (shape == ACT_QUANT) {
		float *f = malloc(k * sizeof(float));

		fill_floats(f, k, SHAPE_NORMAL);
		ref->quant[act](x, f, k);
		free(f);
		return;
	}
	for (size_t i = 0; i < k; i++)
		q[i] = quantum(shape == ACT_ENDS && i / 32 % 2 ? ACT_MAX + rnd() % 2 : shape);
	d = (void *)((uint8_t *)x + (act == Z5_ACT_Q8_32 ? z5_q8_32_d(k) : z5_q8_256_d(k)));
	for (size_t b = 0; b < k / block; b++) {
		if (shape == ACT_SCALES)
			d[b] = rnd_special();
		else if (shape == ACT_ZERO)
			d[b] = 0;
		else
			d[b] = (float)(1 + rnd_below(1000)) / 4096.0f;
	}
	if (act == Z5_ACT_Q8_32) {
		int32_t *nsum = (void *)((uint8_t *)x + z5_q8_32_nsum(k));

		for (size_t b = 0; b < k / 32; b++)
			nsum[b] = -sum_of(q + 32 * b, 32);
	} else {
		int16_t *s16 = (void *)((uint8_t *)x + z5_q8_256_s16(k));
		int16_t *s32 = (void *)((uint8_t *)x + z5_q8_256_s32(k));

		for (size_t i = 0; i < k / 16; i++)
			s16[i] = (int16_t)sum_of(q + 16 * i, 16);
		for (size_t i = 0; i < k / 32; i++)
			s32[i] = (int16_t)sum_of(q + 32 * i, 32);
	}
}

/* ---- one comparison ---- */

struct shape_of_case {
	enum z5_type type;
	size_t k, groups, g0, g1, n, x_extra, y_extra;
	unsigned int weights, act;
	bool high;
};

/* Whether level and definition agree; explains the first difference. */
static bool same(const struct level *l, const struct shape_of_case *c)
{
	const struct z5_type_ops *ops = &z5_types[c->type];
	size_t gb = ops->group_bytes(c->k), act = z5_act_bytes(ops->act, c->k);
	size_t x_stride = act + c->x_extra, y_stride = c->groups * Z5_GROUP + c->y_extra;
	size_t y_n = c->n ? (c->n - 1) * y_stride + c->groups * Z5_GROUP : 1;
	size_t row = c->k / ops->block * ops->bytes, i;
	uint8_t *w = guarded(SLOT_W, c->groups * gb, c->high);
	uint8_t *x = guarded(SLOT_X, c->n ? (c->n - 1) * x_stride + act : 64, c->high);
	float *want = guarded(SLOT_Y, y_n * sizeof(float), c->high);
	float *got = guarded(SLOT_Z, y_n * sizeof(float), c->high);
	uint8_t *src = malloc(Z5_GROUP * row);
	bool whole;

	for (size_t g = 0; g < c->groups; g++) {
		unsigned int rows = g + 1 < c->groups ? Z5_GROUP : 1 + rnd_below(Z5_GROUP);

		fill_weights(src, c->type, rows, c->k, c->weights);
		ops->pack(w + g * gb, src, rows, c->k);
	}
	for (size_t t = 0; t < c->n; t++)
		fill_act(l->ref, x + t * x_stride, ops->act, c->k, c->act);
	free(src);

	l->ref->matmul[c->type](want, y_stride, w, c->k, c->g0, c->g1, x, x_stride, c->n);
	l->k->matmul[c->type](got, y_stride, w, c->k, c->g0, c->g1, x, x_stride, c->n);
	whole = guards_whole(SLOT_Y) && guards_whole(SLOT_Z);
	i = differ(want, got, y_n);
	if (i == y_n && whole)
		return true;
	note("k %zu, groups [%zu, %zu) of %zu, %zu tokens, x_stride %zu, y_stride %zu, weights %s, "
	     "activations %s, %s",
	     c->k, c->g0, c->g1, c->groups, c->n, x_stride, y_stride, weight_names[c->weights],
	     act_names[c->act], c->high ? "high" : "low");
	if (!whole)
		note("written before or behind y");
	if (i < y_n)
		note("token %zu, row %zu: ref %08x (%g), %s %08x (%g)", i / y_stride, i % y_stride,
		     z5_f32_bits(want[i]), (double)want[i], l->k->level, z5_f32_bits(got[i]),
		     (double)got[i]);
	return false;
}

static void randomise(struct shape_of_case *c)
{
	size_t act_align = 64 * rnd_below(3);

	c->groups = 1 + rnd_below(9);
	c->g0 = rnd_below((uint32_t)c->groups);
	c->g1 = c->g0 + 1 + rnd_below((uint32_t)(c->groups - c->g0));
	c->n = 1 + rnd_below(20);
	c->x_extra = act_align;
	c->y_extra = rnd_below(4) ? rnd_below(20) : 0;
	c->high = rnd_below(2);
}

/* n tokens with every row of `groups` groups, so many blocks wide. */
static bool whole(const struct level *l, struct shape_of_case *c, size_t n, size_t groups, size_t blocks)
{
	randomise(c);
	c->k = z5_types[c->type].block * blocks;
	c->n = n;
	c->groups = groups;
	c->g0 = 0;
	c->g1 = groups;
	return same(l, c);
}

static bool all_same(const struct level *l, enum z5_type type)
{
	static const size_t float_k[] = { 1, 2, 3, 4, 7, 8, 15, 16, 17, 31,
					  32, 33, 64, 127, 172, 513 };
	static const size_t blocks[] = { 1, 2, 3, 4, 5, 7, 8, 16, 33 };
	bool floats = z5_types[type].block == 1;
	size_t n_k = floats ? sizeof(float_k) / sizeof(*float_k) : sizeof(blocks) / sizeof(*blocks);
	struct shape_of_case c = { .type = type };

	for (size_t i = 0; i < n_k; i++) {
		c.k = floats ? float_k[i] : blocks[i] * z5_types[type].block;
		if (c.k > LONGEST_ROW)
			continue;
		for (c.weights = 0; c.weights < N_WEIGHT_SHAPES; c.weights++) {
			for (c.act = 0; c.act < N_ACT_SHAPES; c.act++) {
				/* sane values show a wrong index, which extremes can hide */
				int runs = c.weights == WEIGHT_SANE && c.act == ACT_QUANT ? 8 : 1;

				while (runs--) {
					randomise(&c);
					if (!same(l, &c))
						return false;
				}
			}
		}
	}
	/* every tile and every remainder, by itself */
	c.weights = WEIGHT_SANE;
	c.act = ACT_QUANT;
	for (size_t n = 0; n <= 20; n++)
		for (size_t groups = 1; groups <= 9; groups++)
			if (!whole(l, &c, n, groups, floats ? 5 : 2))
				return false;
	/* a lone token: turns of several groups, whole ones and what is left of them */
	for (size_t groups = 3; groups <= 9; groups++)
		for (size_t n_blocks = 3; n_blocks <= 9 && n_blocks * z5_types[type].block <= LONGEST_ROW; n_blocks++)
			if (!whole(l, &c, 1, groups, n_blocks))
				return false;
	/* the tokens of a panel, some more, and panels that are not full */
	for (size_t n = 63; n <= 67; n++)
		for (size_t groups = 3; groups <= 5; groups++)
			if (!whole(l, &c, n, groups, floats ? 5 : z5_types[type].block == 32 ? 11 : 2))
				return false;
	randomise(&c);
	c.g1 = c.g0;
	return same(l, &c);
}

void check_matmul(const struct level *l)
{
	for (int i = 0; i < Z5_N_TYPES; i++) {
		enum z5_type t = (enum z5_type)i;
		char name[16];

		for (size_t j = 0; j < sizeof(name); j++) {
			char ch = z5_types[i].name[j];

			name[j] = (char)(ch >= 'A' && ch <= 'Z' ? ch + 32 : ch);
			if (!ch)
				break;
		}
		if (own_kernel(l, l->k->matmul[i] != l->below->matmul[i], "matmul %s", name))
			check(all_same(l, t), "%s matmul %s", l->k->level, name);
	}
}
