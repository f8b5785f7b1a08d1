// SPDX-License-Identifier: MIT
/* What can be quantized to. */
#include "quant.h"

#include <stddef.h>

/*
 * The tolerances are three to four times the error that normally distributed weights have, and never so strict
 * that one large value among small ones goes beyond them.
 */
static const struct z5_quant_type types[] = {
	{ GGML_F32,    GGML_F32,    0,     z5_quant_f32 },
	{ GGML_F16,    GGML_F16,    2e-3f, z5_quant_f16 },
	{ GGML_BF16,   GGML_BF16,   1e-2f, z5_quant_bf16 },
	{ GGML_Q8_0,   GGML_F16,    0.05f, z5_quant_q8_0 },
	{ GGML_Q4_0,   GGML_F16,    0.4f,  z5_quant_q4_0 },
	{ GGML_Q4_1,   GGML_F16,    0.4f,  z5_quant_q4_1 },
	{ GGML_Q5_0,   GGML_F16,    0.2f,  z5_quant_q5_0 },
	{ GGML_Q5_1,   GGML_F16,    0.2f,  z5_quant_q5_1 },
	{ GGML_Q2_K,   GGML_Q4_0,   0.8f,  z5_quant_q2_k },
	{ GGML_Q3_K,   GGML_Q4_0,   0.5f,  z5_quant_q3_k },
	{ GGML_Q4_K,   GGML_Q5_0,   0.3f,  z5_quant_q4_k },
	{ GGML_Q5_K,   GGML_Q5_1,   0.2f,  z5_quant_q5_k },
	{ GGML_Q6_K,   GGML_Q8_0,   0.1f,  z5_quant_q6_k },
	{ GGML_IQ4_NL, GGML_F16,    0.4f,  z5_quant_iq4_nl },
	{ GGML_IQ4_XS, GGML_IQ4_NL, 0.4f,  z5_quant_iq4_xs },
	{ GGML_MXFP4,  GGML_F16,    0.5f,  z5_quant_mxfp4 },
	{ GGML_IQ3_S,  GGML_IQ4_NL, 0.6f,  z5_quant_iq3_s },
	{ GGML_IQ3_XXS, GGML_IQ4_NL, 0.7f, z5_quant_iq3_xxs },
	{ GGML_IQ2_S,  GGML_IQ4_NL, 0.9f,  z5_quant_iq2_s },
	{ GGML_IQ2_XS, GGML_IQ4_NL, 0.9f,  z5_quant_iq2_xs },
	{ GGML_IQ2_XXS, GGML_IQ4_NL, 0.9f, z5_quant_iq2_xxs },
	{ GGML_IQ1_M,  GGML_IQ4_NL, 0.98f, z5_quant_iq1_m },
	{ GGML_IQ1_S,  GGML_IQ4_NL, 0.98f, z5_quant_iq1_s },
	/* a weight that is rounded to 0 loses all of itself, none loses more */
	{ GGML_TQ1_0,  GGML_Q4_0,   1.01f, z5_quant_tq1_0 },
	{ GGML_TQ2_0,  GGML_Q4_0,   1.01f, z5_quant_tq2_0 },
};

const struct z5_quant_type *z5_quant_type(uint32_t ggml)
{
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (types[i].ggml == ggml)
			return &types[i];
	return NULL;
}
