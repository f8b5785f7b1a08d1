// SPDX-License-Identifier: MIT
/*
 * Products with the table-driven types, the definition. Sums of a block stay far inside an int32, |x|
 * being 127 at most:
 *
 *  IQ4_NL   32 * 127 * 127 = 516,128
 *  MXFP4    32 * 12 * 127 = 48,768
 *  IQ4_XS   256 * 32 * 127 * 127 = 132,128,768
 *  IQ2_*    256 * 31 * 43 * 127 = 43,339,136
 *  IQ3_XXS  256 * 31 * 62 * 127 = 62,488,064; IQ3_S with weights up to 15 less
 *  IQ1_*    256 * 15 * 9 * 127 = 4,389,120, in eighths
 */
#include "iq.h"
#include "ref.h"

typedef int (*weight_fn)(const uint8_t *o, unsigned int r, unsigned int i);
typedef int (*scale_fn)(const uint8_t *o, unsigned int r, unsigned int s);

/* Weights r of a block of n by q, each sub-block of sub columns by its scale. */
static inline __attribute__((always_inline))
int32_t isum(const uint8_t *o, unsigned int r, const int8_t *q, unsigned int n, unsigned int sub,
	     weight_fn weight, scale_fn scale)
{
	int32_t sum = 0;

	for (unsigned int s = 0; s < n / sub; s++) {
		int32_t dot = 0;

		for (unsigned int i = s * sub; i < (s + 1) * sub; i++)
			dot += weight(o, r, i) * q[i];
		sum += scale(o, r, s) * dot;
	}
	return sum;
}

static int scale_none(const uint8_t *o, unsigned int r, unsigned int s)
{
	(void)o, (void)r, (void)s;
	return 1;
}

static float dot_iq4_nl(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const uint8_t *d = o + k / 32 * 256 + 2 * r;
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, o += 256, d += 32, q += 32)
		acc = fmaf(z5_f16(load16(d)) * dx[b],
			   (float)isum(o, r, q, 32, 32, weight_iq4_nl, scale_none), acc);
	return acc;
}

static float dot_mxfp4(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_32_d(k));
	const uint8_t *e = o + k / 32 * 256 + r;
	float acc = 0;

	for (size_t b = 0; b < k / 32; b++, o += 256, e += 16, q += 32)
		acc = fmaf(z5_bits_f32(z5_mxfp4_scale(*e)) * dx[b],
			   (float)isum(o, r, q, 32, 32, weight_mxfp4, scale_none), acc);
	return acc;
}

static float dot_iq4_xs(const uint8_t *o, unsigned int r, size_t k, const void *x)
{
	const int8_t *q = x;
	const float *dx = (const void *)((const uint8_t *)x + z5_q8_256_d(k));
	float acc = 0;

	for (size_t b = 0; b < k / 256; b++, o += 34 * 64, q += 256)
		acc = fmaf(z5_f16(load16(o + 33 * 64 + 32 + 2 * r)) * dx[b],
			   (float)isum(o, r, q, 256, 32, weight_iq4_xs, scale_iq4_xs), acc);
	return acc;
}

/*
 * Types with a grid: a row's block is looked up once for all tokens, whose sums wait in y. The
 * integers are weight * scale, so that isum is one plain product.
 */
static inline __attribute__((always_inline))
void grid_matmul(Z5_MATMUL_ARGS, size_t lines, unsigned int sub, float by, weight_fn weight,
		 scale_fn scale)
{
	size_t nb = k / 256, gb = nb * lines * 64 + Z5_ALIGN64(nb * 32);

	for (size_t g = g0; g < g1; g++) {
		const uint8_t *group = (const uint8_t *)w + g * gb;

		for (size_t i = 0; i < nb * Z5_GROUP; i++) {
			unsigned int r = (unsigned int)(i / nb);
			size_t b = i % nb;
			const uint8_t *o = group + b * lines * 64;
			float d = z5_f16(load16(group + nb * lines * 64 + b * 32 + 2 * r)) * by;
			int16_t v[256];

			for (unsigned int j = 0; j < 256; j++)
				v[j] = (int16_t)(weight(o, r, j) * scale(o, r, j / sub));
			for (size_t t = 0; t < n; t++) {
				const uint8_t *xt = (const uint8_t *)x + t * x_stride;
				const int8_t *q = (const int8_t *)xt + 256 * b;
				const float *dx = (const void *)(xt + z5_q8_256_d(k));
				float *out = y + t * y_stride + g * Z5_GROUP + r;
				int32_t sum = 0;

				for (int j = 0; j < 256; j++)
					sum += v[j] * q[j];
				*out = fmaf(d * dx[b], (float)sum, b ? *out : 0);
			}
		}
	}
}

#define MATMUL(type, name)									\
void z5_ref_matmul_##name(Z5_MATMUL_ARGS)							\
{												\
	ref_matmul(y, y_stride, w, k, g0, g1, x, x_stride, n,					\
		   z5_types[type].group_bytes(k), dot_##name);					\
}

MATMUL(Z5_IQ4_NL, iq4_nl)
MATMUL(Z5_MXFP4, mxfp4)
MATMUL(Z5_IQ4_XS, iq4_xs)

#define GRID(name, ...)									\
void z5_ref_matmul_##name(Z5_MATMUL_ARGS)							\
{												\
	grid_matmul(y, y_stride, w, k, g0, g1, x, x_stride, n, __VA_ARGS__,			\
		    weight_##name, scale_##name);						\
}

GRID(iq2_xxs, 17, 32, 0.125f)
GRID(iq2_xs, 19, 16, 0.125f)
GRID(iq2_s, 20, 16, 0.125f)
GRID(iq3_xxs, 25, 32, 0.25f)
GRID(iq3_s, 27, 32, 1.0f)
GRID(iq1_s, 12, 32, 0.125f)
GRID(iq1_m, 14, 16, 0.125f)
