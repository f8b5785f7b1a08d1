// SPDX-License-Identifier: MIT
/*
 * The definition itself, against something that shares no code with it: blocks read as ggml's
 * documentation describes them, products summed in double precision, exponentials of the C library.
 */
#include "checkasm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <kernels/scalar.h>

#define ROWS 37		/* two groups and a part of one */

/* ---- ggml's blocks, column i of a row, without a look at how we pack ---- */

static double half(const uint8_t *p)
{
	unsigned int h = p[0] | (unsigned int)p[1] << 8, e = h >> 10 & 31, m = h & 1023;
	double v;

	if (e == 31)
		v = m ? NAN : INFINITY;
	else
		v = e ? ldexp(1024 + m, (int)e - 25) : ldexp(m, -24);
	return h & 0x8000 ? -v : v;
}

static double column_q8_0(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 34;

	return half(b) * (int8_t)b[2 + i % 32];
}

static double column_q4_0(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 18;
	int v = b[2 + i % 16];

	return half(b) * ((i % 32 < 16 ? v & 15 : v / 16) - 8);
}

/* get_scale_min_k4() of ggml-quants.c */
static void scale_min_k4(const uint8_t *s, size_t j, int *sc, int *m)
{
	if (j < 4) {
		*sc = s[j] % 64;
		*m = s[j + 4] % 64;
	} else {
		*sc = s[j + 4] % 16 + s[j - 4] / 64 * 16;
		*m = s[j + 4] / 16 + s[j] / 64 * 16;
	}
}

/* Q4_1 (fifth NULL), Q5_1: d * q + m */
static double column_affine(const uint8_t *b, const uint8_t *fifth, const uint8_t *q, size_t i)
{
	int v = i < 16 ? q[i] % 16 : q[i - 16] / 16;

	if (fifth && (fifth[i / 8] >> i % 8 & 1))
		v += 16;
	return half(b) * v + half(b + 2);
}

static double column_q4_1(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 20;

	return column_affine(b, NULL, b + 4, i % 32);
}

static double column_q5_1(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 24;

	return column_affine(b, b + 4, b + 8, i % 32);
}

static double column_q5_0(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 22;
	int v = b[6 + i % 16];

	v = i % 32 < 16 ? v % 16 : v / 16;
	return half(b) * (v + 16 * (b[2 + i % 32 / 8] >> i % 8 & 1) - 16);
}

static double column_q2_k(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 84, *q = b + 16 + i % 256 / 128 * 32;
	int sc = b[i % 256 / 16];

	return half(b + 80) * (sc % 16) * (q[i % 32] >> i % 128 / 32 * 2 & 3) - half(b + 82) * (sc / 16);
}

static double column_q3_k(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 110, *s = b + 96;
	size_t j = i % 256 / 16;
	int v = b[32 + i % 256 / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3;
	/* the four words that dequantize_row_q3_K() makes of the twelve bytes, a byte of them at a time */
	int sc = j < 8 ? s[j] % 16 : s[j - 8] / 16;

	sc += (s[8 + j % 4] >> 2 * (j / 4)) % 4 * 16;
	if (!(b[i % 32] >> i % 256 / 32 & 1))
		v -= 4;
	return half(b + 108) * (sc - 32) * v;
}

static double column_q5_k(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 176;
	size_t j = i % 256 / 32;
	int v = b[48 + j / 2 * 32 + i % 32], sc, m;

	scale_min_k4(b + 4, j, &sc, &m);
	v = (j % 2 ? v / 16 : v % 16) + 16 * (b[16 + i % 32] >> j & 1);
	return half(b) * sc * v - half(b + 2) * m;
}

static double column_q4_k(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 144, *q = b + 16;
	size_t j = i % 256 / 32;
	int v = q[j / 2 * 32 + i % 32], sc, m;

	scale_min_k4(b + 4, j, &sc, &m);
	return half(b) * sc * (j % 2 ? v / 16 : v % 16) - half(b + 2) * m;
}

static double column_q6_k(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 210;
	size_t n = i % 256 / 128, l = i % 32,
	       part = i % 128 / 32; /* as dequantize_row_q6_K() counts */
	const uint8_t *ql = b + n * 64, *qh = b + 128 + n * 32;
	const int8_t *sc = (const int8_t *)b + 192 + n * 8;
	int lo = ql[part % 2 * 32 + l], hi = qh[l] >> (2 * part) & 3;

	lo = part < 2 ? lo % 16 : lo / 16;
	return half(b + 208) * sc[l / 16 + 2 * part] * (lo + 16 * hi - 32);
}

static const int iq4_values[] = { -127, -104, -83, -65, -49, -35, -22, -10,
				  1,	13,   25,  38,	53,  69,  89,  113 };

static double column_iq4_nl(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 32 * 18;
	int v = b[2 + i % 16];

	return half(b) * iq4_values[i % 32 < 16 ? v % 16 : v / 16];
}

static double column_iq4_xs(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 136;
	size_t ib = i % 256 / 32;
	int v = b[8 + ib * 16 + i % 16], high = b[2] | b[3] << 8, low = b[4 + ib / 2];
	int s = (ib % 2 ? low / 16 : low % 16) + 16 * (high >> 2 * ib & 3) - 32;

	return half(b) * s * iq4_values[i % 32 < 16 ? v % 16 : v / 16];
}

/* Values of the OCP specification, section 5.3.3, here not doubled; 2^-127 and 2^-128 are flushed. */
static double column_mxfp4(const uint8_t *row, size_t i)
{
	static const double e2m1[] = { 0, 0.5, 1, 1.5, 2, 3, 4, 6 };
	const uint8_t *b = row + i / 32 * 17;
	int v = i % 32 < 16 ? b[1 + i % 16] % 16 : b[1 + i % 16] / 16;
	double d = b[0] < 2 ? 0 : ldexp(1, b[0] - 127);

	return v > 8 ? -d * e2m1[v - 8] : d * e2m1[v % 8];
}

/* dequantize_row_tq1_0() of ggml-quants.c has the column as a power of 3 by which a byte is multiplied */
static double column_tq1_0(const uint8_t *row, size_t i)
{
	static const uint8_t pow3[] = { 1, 3, 9, 27, 81 };
	const uint8_t *b = row + i / 256 * 54;
	uint8_t q;

	i %= 256;
	if (i < 160)
		q = (uint8_t)(b[i % 32] * pow3[i / 32]);
	else if (i < 240)
		q = (uint8_t)(b[32 + i % 16] * pow3[(i - 160) / 16]);
	else
		q = (uint8_t)(b[48 + i % 4] * pow3[(i - 240) / 4]);
	return half(b + 52) * (q * 3 / 256 - 1);
}

static double column_tq2_0(const uint8_t *row, size_t i)
{
	const uint8_t *b = row + i / 256 * 66;

	return half(b + 64) * ((b[i % 256 / 128 * 32 + i % 32] >> i % 128 / 32 * 2 & 3) - 1);
}

/* quantize_i2_s() of ggml-bitnet-mad.cpp, x86 */
static double column_i2_s(const uint8_t *row, size_t i)
{
	return (row[i / 128 * 32 + i % 32] >> (6 - i % 128 / 32 * 2) & 3) - 1;
}

static double column_of_grid(enum z5_type type, const uint8_t *row, size_t i)
{
	uint16_t d;
	double v = column_grid(type, row + i / 256 * z5_types[type].bytes, i % 256, &d);
	uint8_t bytes[2];

	memcpy(bytes, &d, 2);
	return half(bytes) * v;
}

static float column(enum z5_type type, const uint8_t *row, size_t i)
{
	uint32_t u = 0;
	float f;

	switch (type) {
	case Z5_F32:
		memcpy(&f, row + 4 * i, 4);
		return f;
	case Z5_BF16:
		memcpy((uint8_t *)&u + 2, row + 2 * i, 2);
		memcpy(&f, &u, 4);
		return f;
	case Z5_F16:
		return (float)half(row + 2 * i);
	case Z5_Q8_0:
		return (float)column_q8_0(row, i);
	case Z5_Q4_0:
		return (float)column_q4_0(row, i);
	case Z5_Q4_K:
		return (float)column_q4_k(row, i);
	case Z5_Q6_K:
		return (float)column_q6_k(row, i);
	case Z5_Q4_1:
		return (float)column_q4_1(row, i);
	case Z5_Q5_0:
		return (float)column_q5_0(row, i);
	case Z5_Q5_1:
		return (float)column_q5_1(row, i);
	case Z5_Q2_K:
		return (float)column_q2_k(row, i);
	case Z5_Q3_K:
		return (float)column_q3_k(row, i);
	case Z5_Q5_K:
		return (float)column_q5_k(row, i);
	case Z5_IQ2_XXS:
	case Z5_IQ2_XS:
	case Z5_IQ2_S:
	case Z5_IQ3_XXS:
	case Z5_IQ3_S:
	case Z5_IQ1_S:
	case Z5_IQ1_M:
		return (float)column_of_grid(type, row, i);
	case Z5_IQ4_NL:
		return (float)column_iq4_nl(row, i);
	case Z5_IQ4_XS:
		return (float)column_iq4_xs(row, i);
	case Z5_MXFP4:
		return (float)column_mxfp4(row, i);
	case Z5_TQ1_0:
		return (float)column_tq1_0(row, i);
	case Z5_TQ2_0:
		return (float)column_tq2_0(row, i);
	case Z5_I2_S:
		return (float)column_i2_s(row, i);
	default:
		return NAN;
	}
}

static size_t row_bytes(enum z5_type type, size_t k)
{
	return k / z5_types[type].block * z5_types[type].bytes;
}

/* src (rows of a file) into packed groups at a fresh SLOT_W. */
static uint8_t *pack_all(enum z5_type type, const uint8_t *src, size_t rows, size_t k, bool high)
{
	const struct z5_type_ops *ops = &z5_types[type];
	size_t groups = (rows + Z5_GROUP - 1) / Z5_GROUP, gb = ops->group_bytes(k);
	uint8_t *w = guarded(SLOT_W, groups * gb, high);

	for (size_t g = 0; g < groups; g++) {
		size_t left = rows - g * Z5_GROUP;

		ops->pack(w + g * gb, src + g * Z5_GROUP * row_bytes(type, k),
			  left < Z5_GROUP ? (unsigned int)left : Z5_GROUP, k);
	}
	return w;
}

static bool unpacks(enum z5_type type, size_t k, size_t rows, unsigned int shape)
{
	size_t n = rows * row_bytes(type, k), padded = (rows + Z5_GROUP - 1) / Z5_GROUP * Z5_GROUP;
	/* the end of src is the end of the page: packing must not read beyond it */
	uint8_t *src = guarded(SLOT_X, n, true), *w;
	float *want = malloc(k * sizeof(float)), *got = guarded(SLOT_Y, k * sizeof(float), true);
	bool good = true;

	fill_weights(src, type, rows, k, shape);
	w = pack_all(type, src, rows, k, rnd_below(2));
	good = guards_whole(SLOT_W);
	if (!good)
		note("pack: written outside of the group");
	for (size_t r = 0; r < padded && good; r++) {
		size_t i;

		for (i = 0; i < k; i++)
			want[i] = r < rows ? column(type, src + r * row_bytes(type, k), i) : 0.0f;
		z5_types[type].unpack_row(got, w, r, k);
		if (r >= rows) {	/* rows that pad are zeros of either sign */
			for (i = 0; i < k && got[i] == 0; i++)
				;
		} else {
			i = differ(want, got, k);
		}
		good = i == k && guards_whole(SLOT_Y);
		if (!good && i < k)
			note("k %zu, row %zu of %zu, column %zu: %08x, unpacked %08x", k, r, rows,
			     i, z5_f32_bits(want[i]), z5_f32_bits(got[i]));
	}
	free(want);
	return good;
}

/* ---- products in double precision ---- */

static double act_value(enum z5_act act, const uint8_t *x, size_t k, size_t i)
{
	float f;

	if (act == Z5_ACT_F32) {
		memcpy(&f, x + 4 * i, 4);
		return f;
	}
	memcpy(&f,
	       x + (act == Z5_ACT_Q8_32 ? z5_q8_32_d(k) + i / 32 * 4
					: z5_q8_256_d(k) + i / 256 * 4),
	       4);
	return (double)f * (int8_t)x[i];
}

static bool multiplies(const struct z5_kernels *ref, enum z5_type type, size_t k,
		       unsigned int act_shape)
{
	const struct z5_type_ops *ops = &z5_types[type];
	size_t act = z5_act_bytes(ops->act, k), n = 3, y_n = (ROWS + 15) / 16 * 16;
	uint8_t *src = guarded(SLOT_AUX, ROWS * row_bytes(type, k), true), *w;
	uint8_t *x = guarded(SLOT_X, n * act, true);
	float *y = guarded(SLOT_Y, n * y_n * sizeof(float), true), *row = malloc(k * sizeof(float));
	bool good = true;

	fill_weights(src, type, ROWS, k, WEIGHT_SANE);
	w = pack_all(type, src, ROWS, k, true);
	for (size_t t = 0; t < n; t++)
		fill_act(ref, x + t * act, ops->act, k, act_shape);
	ref->matmul[type](y, y_n, w, k, 0, y_n / 16, x, act, n);
	for (size_t t = 0; t < n && good; t++) {
		for (size_t r = 0; r < ROWS && good; r++) {
			double sum = 0, size = 0, got = y[t * y_n + r];

			ops->unpack_row(row, w, r, k);
			for (size_t i = 0; i < k; i++) {
				double p = row[i] * act_value(ops->act, x + t * act, k, i);

				sum += p;
				size += fabs(p);
			}
			good = fabs(got - sum) <= 1e-6 * size;
			if (!good)
				note("k %zu, token %zu, row %zu: %.9g, in double %.9g, of terms "
				     "that sum to %g",
				     k, t, r, got, sum, size);
		}
	}
	free(row);
	return good;
}

/* What quant() promises: within half a step of x. Says nothing about ties. */
static bool quantizes(const struct z5_kernels *ref, enum z5_act act, size_t k)
{
	size_t block = act == Z5_ACT_Q8_32 ? 32 : 256;
	float *x = guarded(SLOT_X, k * sizeof(float), true);
	uint8_t *a = guarded(SLOT_Y, z5_act_bytes(act, k), true);

	fill_floats(x, k, SHAPE_NORMAL);
	ref->quant[act](a, x, k);
	for (size_t b = 0; b < k; b += block) {
		double amax = 0;

		for (size_t i = b; i < b + block; i++)
			amax = fmax(amax, fabs(x[i]));
		for (size_t i = b; i < b + block; i++) {
			double v = act_value(act, a, k, i);

			if (fabs(v - x[i]) > amax / 127 * 0.50001) {
				note("x[%zu] = %g became %g, largest of the block %g", i,
				     (double)x[i], v, amax);
				return false;
			}
		}
	}
	return true;
}

void check_types(const struct z5_kernels *ref)
{
	static const size_t float_k[] = { 1, 2, 3, 16, 33, 172 }, blocks[] = { 1, 2, 3, 5, 7 };
	static const enum z5_act acts[] = { Z5_ACT_Q8_32, Z5_ACT_Q8_256 };
	static const char *const names[] = { "q8_32", "q8_256" };

	for (int t = 0; t < Z5_N_TYPES; t++) {
		bool floats = z5_types[t].block == 1, good = true;
		size_t n_k = floats ? sizeof(float_k) / sizeof(*float_k)
				    : sizeof(blocks) / sizeof(*blocks);

		for (size_t i = 0; i < n_k; i++) {
			size_t k = floats ? float_k[i] : blocks[i] * z5_types[t].block;

			if (k > LONGEST_ROW)
				continue;
			for (unsigned int shape = 0; shape < N_WEIGHT_SHAPES && good; shape++)
				for (size_t rows = 1; rows <= ROWS && good;
				     rows += z5_types[t].block == 256 && rows % 16 == 3 ? 11 : 1)
					good = unpacks((enum z5_type)t, k, rows, shape);
		}
		check(good, "%s pack and unpack_row give what the file has", z5_types[t].name);
		good = true;
		for (size_t i = 0; i < n_k; i++)
			for (unsigned int a = 0; a < 2 && good; a++)
				good = multiplies(
					ref, (enum z5_type)t,
					(floats ? float_k[i] : blocks[i] * z5_types[t].block),
					a && !floats ? ACT_RANDOM : ACT_QUANT);
		check(good, "scalar matmul %s is the product of unpack_row and the activation",
		      z5_types[t].name);
	}
	for (int i = 0; i < 2; i++)
		check(quantizes(ref, acts[i], 2048), "scalar quant %s is within half a step",
		      names[i]);
}

/* ---- exp ---- */

void check_exp(void)
{
	uint32_t lo = z5_f32_bits(Z5_EXP_LO), hi = z5_f32_bits(Z5_EXP_HI), at = 0;
	double worst = 0;

	for (uint32_t sign = 0; sign < 2; sign++) {
		uint32_t end = sign ? lo & 0x7fffffff : hi;

		for (uint32_t u = 0x00800000; u <= end; u += u < 0x39800000 ? 509 : 7) {
			float x = z5_bits_f32(u | sign << 31);
			double e = exp(x), ulp = ldexp(1, ilogb(e) - 23),
			       err = fabs(z5_exp(x) - e) / ulp;

			if (err > worst) {
				worst = err;
				at = z5_f32_bits(x);
			}
		}
	}
	note("exp: at most %.3f ulp, at %08x", worst, at);
	check(worst <= 1.02, "exp is within 1.02 ulp");
	check(z5_exp(0) == 1 && z5_exp(-0.0f) == 1, "exp(0) is 1");
	check(z5_exp(-INFINITY) == 0 && z5_exp(-88) == 0, "exp is 0 below its range");
	check(z5_exp(INFINITY) == z5_exp(Z5_EXP_HI) && isfinite(z5_exp(INFINITY)),
	      "exp is finite above its range");
	check(isnan(z5_exp(NAN)), "exp(NaN) is NaN");
}
