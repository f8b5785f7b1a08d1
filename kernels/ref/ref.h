/* SPDX-License-Identifier: MIT */
#ifndef Z5_REF_H
#define Z5_REF_H

#include <kernels/kernels.h>

/* One row of one group against one token; what a type has to define. */
typedef float (*ref_dot_fn)(const uint8_t *group, unsigned int r, size_t k, const void *x);

static inline __attribute__((always_inline))
void ref_matmul(Z5_MATMUL_ARGS, size_t group_bytes, ref_dot_fn dot)
{
	for (size_t g = g0; g < g1; g++)
		for (size_t t = 0; t < n; t++)
			for (unsigned int r = 0; r < Z5_GROUP; r++)
				y[t * y_stride + g * Z5_GROUP + r] =
					dot((const uint8_t *)w + g * group_bytes, r, k,
					    (const uint8_t *)x + t * x_stride);
}

/* Of matmul_iq.c */
void z5_ref_matmul_iq4_nl(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq4_xs(Z5_MATMUL_ARGS);
void z5_ref_matmul_mxfp4(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq2_xxs(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq2_xs(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq2_s(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq3_xxs(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq3_s(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq1_s(Z5_MATMUL_ARGS);
void z5_ref_matmul_iq1_m(Z5_MATMUL_ARGS);

/* Of ops.c */
void z5_ref_quant_q8_32(void *dst, const float *x, size_t k);
void z5_ref_softcap(float *x, size_t n, float cap);
/* Of recur.c */
extern const z5_map_fn z5_ref_map[Z5_N_MAPS];
void z5_ref_conv(const struct z5_conv *c);
void z5_ref_scan(const struct z5_scan *s);
void z5_ref_wkv6(const struct z5_wkv *w);
void z5_ref_wkv7(const struct z5_wkv *w);
void z5_ref_gla(const struct z5_wkv *w);
/* Of attn.c */
void z5_ref_attn(const struct z5_attn *a);

extern const z5_matmul_fn z5_ref_matmul[Z5_N_TYPES];

#endif
