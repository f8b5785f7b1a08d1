/* SPDX-License-Identifier: MIT */
/*
 * Quantizers: rows of floats to the blocks of a GGUF type. Plain C without fma and without libm, so that the bytes
 * are the same on every machine. The formats are ggml's; how values are chosen is our own: each block is searched
 * for scales with a small squared error, weighted by the importance of its columns where one is known.
 */
#ifndef Z5_QUANT_H
#define Z5_QUANT_H

#include <stddef.h>
#include <stdint.h>

/* Type numbers of ggml that quantizers exist for. */
enum z5_ggml {
	GGML_F32 = 0, GGML_F16 = 1, GGML_Q4_0 = 2, GGML_Q4_1 = 3, GGML_Q5_0 = 6, GGML_Q5_1 = 7, GGML_Q8_0 = 8,
	GGML_Q2_K = 10, GGML_Q3_K = 11, GGML_Q4_K = 12, GGML_Q5_K = 13, GGML_Q6_K = 14, GGML_IQ2_XXS = 16,
	GGML_IQ2_XS = 17, GGML_IQ3_XXS = 18, GGML_IQ1_S = 19, GGML_IQ4_NL = 20, GGML_IQ3_S = 21, GGML_IQ2_S = 22,
	GGML_IQ4_XS = 23, GGML_IQ1_M = 29, GGML_BF16 = 30, GGML_TQ1_0 = 34, GGML_TQ2_0 = 35, GGML_MXFP4 = 39,
};

/*
 * Writes the blocks of k floats (a multiple of the type's block) to dst. w: importance of each column, float[k],
 * none negative, at most 1, not all 0; NULL: all alike. x is finite.
 */
typedef void (*z5_quant_row_fn)(uint8_t *dst, const float *x, const float *w, size_t k);

struct z5_quant_type {
	uint32_t ggml;
	uint32_t narrow;	/* type for rows that do not fill a block */
	/* Largest error of a whole tensor that is no sign of a fault: RMS of the error / RMS of the values. */
	float tolerance;
	z5_quant_row_fn row;
};

/* NULL for a type without quantizer. */
const struct z5_quant_type *z5_quant_type(uint32_t ggml);

void z5_quant_f32(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_f16(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_bf16(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q8_0(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q4_0(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q4_1(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q5_0(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q5_1(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q2_k(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q3_k(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q4_k(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q5_k(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_q6_k(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq4_nl(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq4_xs(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq3_s(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq3_xxs(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq2_s(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq2_xs(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq2_xxs(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq1_m(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_iq1_s(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_tq1_0(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_tq2_0(uint8_t *dst, const float *x, const float *w, size_t k);
void z5_quant_mxfp4(uint8_t *dst, const float *x, const float *w, size_t k);

#endif
