// SPDX-License-Identifier: MIT
#include "avx2.h"

void z5_kernels_avx2(struct z5_kernels *k)
{
	k->matmul[Z5_F32] = z5_avx2_matmul_f32;
	k->matmul[Z5_F16] = z5_avx2_matmul_f16;
	k->matmul[Z5_BF16] = z5_avx2_matmul_bf16;
	k->matmul[Z5_Q8_0] = z5_avx2_matmul_q8_0;
	k->matmul[Z5_Q4_0] = z5_avx2_matmul_q4_0;
	k->matmul[Z5_Q4_K] = z5_avx2_matmul_q4_k;
	k->matmul[Z5_Q6_K] = z5_avx2_matmul_q6_k;
	k->matmul[Z5_Q4_1] = z5_avx2_matmul_q4_1;
	k->matmul[Z5_Q5_0] = z5_avx2_matmul_q5_0;
	k->matmul[Z5_Q5_1] = z5_avx2_matmul_q5_1;
	k->matmul[Z5_Q2_K] = z5_avx2_matmul_q2_k;
	k->matmul[Z5_Q3_K] = z5_avx2_matmul_q3_k;
	k->matmul[Z5_Q5_K] = z5_avx2_matmul_q5_k;
	k->matmul[Z5_IQ4_NL] = z5_avx2_matmul_iq4_nl;
	k->matmul[Z5_IQ4_XS] = z5_avx2_matmul_iq4_xs;
	k->matmul[Z5_MXFP4] = z5_avx2_matmul_mxfp4;
	k->matmul[Z5_IQ2_XXS] = z5_avx2_matmul_iq2_xxs;
	k->matmul[Z5_IQ2_XS] = z5_avx2_matmul_iq2_xs;
	k->matmul[Z5_IQ2_S] = z5_avx2_matmul_iq2_s;
	k->matmul[Z5_IQ3_XXS] = z5_avx2_matmul_iq3_xxs;
	k->matmul[Z5_IQ3_S] = z5_avx2_matmul_iq3_s;
	k->matmul[Z5_IQ1_S] = z5_avx2_matmul_iq1_s;
	k->matmul[Z5_IQ1_M] = z5_avx2_matmul_iq1_m;
	k->matmul[Z5_TQ1_0] = z5_avx2_matmul_tq2_0;
	k->matmul[Z5_TQ2_0] = z5_avx2_matmul_tq2_0;
	k->matmul[Z5_I2_S] = z5_avx2_matmul_i2_s;
	for (int i = 0; i < Z5_N_TYPES; i++)
		k->matmul_level[i] = z5_level_names[1];

	k->quant[Z5_ACT_Q8_32] = z5_avx2_quant_q8_32;
	k->quant[Z5_ACT_Q8_256] = z5_avx2_quant_q8_256;
	k->rmsnorm = z5_avx2_rmsnorm;
	k->layernorm = z5_avx2_layernorm;
	k->silu_mul = z5_avx2_silu_mul;
	k->gelu_mul = z5_avx2_gelu_mul;
	k->swiglu_oai = z5_avx2_swiglu_oai;
	k->exp = z5_avx2_exp;
	k->softcap = z5_avx2_softcap;
	k->attn = z5_avx2_attn;
	for (int i = 0; i < Z5_N_MAPS; i++)
		k->map[i] = z5_avx2_map[i];
	k->conv = z5_avx2_conv;
	k->scan = z5_avx2_scan;
	k->wkv6 = z5_avx2_wkv6;
	k->wkv7 = z5_avx2_wkv7;
	k->gla = z5_avx2_gla;
	k->read = z5_avx2_read;
	k->peak_int8 = z5_avx2_peak_int8;
	k->peak_f32 = z5_avx2_peak_f32;
	k->int8_by = "vpmaddubsw";
}
