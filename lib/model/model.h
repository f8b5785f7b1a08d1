/* SPDX-License-Identifier: MIT */
/*
 * What a loaded model is, and how an architecture's file binds its tensors. A member of a family costs an entry in
 * its table and the lines that are really new.
 */
#ifndef Z5_MODEL_H
#define Z5_MODEL_H

#include <gguf/gguf.h>
#include <kernels/kernels.h>
#include <mem/region.h>
#include <mem/resident.h>
#include <runtime.h>
#include <stdbool.h>
#include <vocab/vocab.h>

#include "hparams.h"

/* A matrix in packed form; ops == NULL: the model has none. */
struct z5_weight {
	const struct z5_type_ops *ops;
	uint64_t rows, k;
	void *data;
	/* Factors of the whole matrix that its results still need: that of type I2_S, and a tensor's; NULL: none. */
	const float *scale[2];
	unsigned int kind;	/* index into the model's kinds */
};

/* n results of w, or weights of it, as they are meant. */
static inline void z5_weight_scale(const struct z5_weight *w, float *x, size_t n)
{
	for (int i = 0; i < 2; i++)
		if (w->scale[i])
			z5_scale(x, *w->scale[i], n);
}

static inline size_t z5_weight_groups(const struct z5_weight *w)
{
	return (w->rows + Z5_GROUP - 1) / Z5_GROUP;
}

/* Matrices of one type and shape behind each other: a layer's experts, or what each of its heads has. */
struct z5_stack {
	struct z5_weight w;	/* the first */
	uint32_t n;
	size_t stride;		/* bytes from one to the next */
};

static inline const void *z5_stack_at(const struct z5_stack *s, uint32_t i)
{
	return (const uint8_t *)s->w.data + i * s->stride;
}

/* Matrices of one role, type and shape, for reports. */
struct z5_kind {
	const struct z5_type_ops *ops;
	const char *role;
	uint64_t rows, k, bytes;
	unsigned int count;
	uint32_t used, of;	/* a token takes `used` of each `of` */
	uint64_t calls, columns;
};

/* The feed-forward of a layer that has experts; moe.c. */
struct z5_moe {
	struct z5_weight router;	/* a row an expert; ops == NULL: the layer is dense */
	const float *router_bias;	/* float[n], NULL: none */
	const float *choice_bias;	/* float[n], counts when experts are chosen and not as weight; NULL: none */
	struct z5_stack gate, up, down;
	const float *gate_bias, *up_bias, *down_bias;	/* n times float[rows], NULL: none */
	struct z5_weight shared_gate, shared_up, shared_down;	/* for every token; ops == NULL: none */
	struct z5_weight shared_router;	/* one row, its sigmoid weighs them; ops == NULL: weight 1 */
};

/* Latent attention; mla.c. */
struct z5_mla {
	struct z5_weight q_a, q_b;	/* q_a.ops == NULL: queries come straight from the residual stream */
	struct z5_weight kv_a;		/* kv_lora + n_rot rows */
	const float *q_a_norm, *kv_a_norm;
	struct z5_stack k_b, v_b;	/* a head each: kv_lora x nope, v x kv_lora */
};

/* A block of Mamba; mamba.c. Lines are those of struct z5_conv and z5_scan. out.ops == NULL: the layer has none. */
struct z5_ssm {
	struct z5_weight in_x, in_z;	/* what goes through the convolution, and the gate */
	struct z5_weight x;		/* dt's low rank form, B and C; mamba2: none, all but dt is in in_x */
	struct z5_weight dt, out;
	const float *conv, *conv_bias, *dt_bias, *a, *d;
	const float *dt_norm, *b_norm, *c_norm;	/* mamba: weights of norms of these, NULL: none */
	const float *norm;		/* mamba2, by group of heads; NULL: none */
};

/* A matrix of low rank: b f(a x). */
struct z5_low_rank {
	struct z5_weight a, b;
};

/* A layer of RWKV; rwkv.c. */
struct z5_rwkv {
	struct z5_weight r, k, v, g, out;	/* g: rwkv6 */
	struct z5_low_rank w;			/* decay */
	const float *w0;
	const float *mix;			/* of token and predecessor, for each input */
	const float *r_bias, *k_bias, *v_bias;	/* rwkv6qwen2; NULL: none */
	const float *ln, *ln_bias;		/* of heads; NULL: none */
	const float *mix_x, *u;			/* these two lines: rwkv6; u: not rwkv6qwen2 */
	struct z5_weight mix_a; struct z5_stack mix_b;
	struct z5_low_rank in_a, in_v, in_g;	/* these two: rwkv7; in_v: not in layer 0; in_g: arwkv7 may have none */
	const float *a0, *v0, *k_k, *k_a, *r_k;
	struct z5_weight key, value, receptance;	/* channel mix; receptance: rwkv6 */
	const float *mix_key, *mix_receptance;
};

/* Weight and bias of a norm; w == NULL: there is none, b == NULL: it has no bias. */
struct z5_norm {
	const float *w, *b;
};

struct z5_layer {
	uint32_t cached, kept;		/* which of those with keys and values it is, and of those with a state */
	struct z5_weight q, k, v, o, gate, up, down;	/* gate.ops == NULL: the feed-forward is not gated */
	struct z5_norm attn_norm, ffn_norm;
	const float *attn_post_norm, *ffn_post_norm;	/* of what a block adds */
	const float *attn_sub_norm, *ffn_sub_norm;	/* of what o and down take */
	const float *q_bias, *k_bias, *v_bias, *o_bias, *up_bias, *down_bias;	/* NULL where there is none */
	const float *q_norm, *k_norm;			/* see enum z5_qk_norm */
	const float *sinks;				/* float[n_head] */
	uint32_t window;		/* positions that the layer sees, 0: all */
	enum z5_rope_set rope;
	struct z5_moe moe;
	struct z5_mla mla;
	struct z5_ssm ssm;
	struct z5_rwkv rwkv;
};

struct z5_arch;
struct z5_layout;
struct z5_loader;

struct zen5rt_model {
	struct zen5rt *rt;
	const struct z5_arch *arch;
	char *name;
	struct zen5rt_vocab *vocab;
	struct z5_region region;
	char resident[Z5_RESIDENT_NAME];	/* under which the weights stay, "" */
	bool attached;				/* they were there already */
	char not_resident[512];			/* why not, though it was asked for; "" */
	struct z5_hparams h;
	struct z5_layer *layers;
	struct z5_weight embd, output;	/* output shares embd's data where they are tied */
	struct z5_norm embd_norm, output_norm;
	/*
	 * divisors of rotary frequencies, float[n_rot / 2], NULL: none; LongRoPE has one set for short contexts and
	 * one for long
	 */
	const float *rope_factors, *rope_short, *rope_long;
	struct z5_kind *kinds;
	unsigned int n_kinds;
	uint64_t n_params, file_bytes, decode_bytes;
	double load_s;
};

/* What an architecture with experts does where its files do not say. */
struct z5_moe_kind {
	bool required;		/* else there may be files without experts */
	enum z5_gating gating;
	bool norm;		/* weights of the chosen are divided by their sum */
	bool share_width;	/* n_ff is the width of all chosen together */
	bool shared;		/* shared experts with a router of their own */
	bool oai;		/* biases and the clamped activation of gpt-oss */
};

/* How queries and keys are normalised before they turn. */
enum z5_qk_norm {
	Z5_QK_NONE,
	Z5_QK_HEAD,		/* RMS of each head, one weight for all: float[hd_k] */
	Z5_QK_WIDE,		/* RMS over all heads together: float[heads * hd_k] */
	Z5_QK_OPTIONAL,		/* where the file has it: LayerNorm of each head, its own weights: float[heads][hd_k] */
};

/* Which layers of a hybrid are blocks of Mamba. */
enum z5_hybrid {
	Z5_HYBRID_NONE,
	Z5_HYBRID_EITHER,	/* those without KV heads, instead of attention */
	Z5_HYBRID_BOTH,		/* all, beside attention; their own norm is optional */
	Z5_HYBRID_SOLE,		/* those that have neither KV heads nor a feed-forward: a layer does one thing */
};

struct keys;

/* All layers have a window. */
#define Z5_ALL_LOCAL UINT32_MAX

/* What an architecture does and its files do not say. */
struct z5_arch {
	const char *name;
	const struct z5_moe_kind *moe;	/* NULL: never experts */
	bool mla;
	bool sinks;		/* attention sinks; the norm before the feed-forward is named post_attention_norm */
	bool neox;		/* rotary pairs are half a head apart */
	bool qkv_bias;		/* demanded */
	bool layer_norm;	/* instead of RMSNorm */
	bool norm_bias;		/* LayerNorm has biases */
	bool no_pre_norm;	/* blocks read the residual stream as it is */
	bool post_norm;		/* what a block adds is normalised */
	bool parallel;		/* attention and feed-forward read the same; also where a layer has no norm between */
	bool fused;		/* Q, K and V are one tensor; gate and up are one */
	bool plain_ffn;		/* no gate, biases demanded */
	bool gelu, relu2;	/* instead of SiLU */
	bool sub_norm;		/* what o and down take is normalised; matrices may have scales (BitNet) */
	bool rope_switch;	/* the file may say that nothing turns */
	bool unturned;		/* nothing does */
	bool no_gate;		/* of the feed-forward; biases there as the file has them */
	enum z5_hybrid hybrid;
	int (*ssm)(const struct keys *k, struct z5_hparams *h);	/* of a hybrid: reads the numbers of Mamba */
	bool ssm_norms;		/* dt, B and C of Mamba 1 have norms with weights */
	bool embd_sqrt;		/* embeddings are multiplied by sqrt(n_embd) */
	bool logit_divisor;	/* logit_scale divides */
	bool local_unstretched;	/* rotary scaling is for layers without a window */
	enum z5_qk_norm qk_norm;
	uint32_t window_period;	/* every one of so many layers sees all; 0: there are no windows */
	uint32_t window;	/* these three: where the file does not say */
	float attn_softcap, final_softcap;
	float local_base;	/* rotary base of layers with a window; 0: that of the others */
	uint32_t wide_at_layers;	/* see default_attn_scale() in hparams.c */
	/* a recurrent architecture reads all of its numbers itself; else NULL */
	int (*hparams)(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		       struct zen5rt_error *err);
	int (*bind)(struct zen5rt_model *m, struct z5_loader *ld);
	void (*layout)(struct zen5rt_session *s, struct z5_layout *l);	/* of scratch that others have not; NULL */
	void (*forward)(const struct z5_thread *t, void *step);
};

/* Whether a session keeps a state, which cannot go back but to copies, and whether it keeps keys and values. */
static inline bool z5_keeps_state(const struct z5_hparams *h)
{
	return h->n_kept;
}

static inline bool z5_keeps_kv(const struct z5_hparams *h)
{
	return h->n_cached;
}

/* Each ends with a NULL name. */
extern const struct z5_arch z5_llama_archs[], z5_mamba_archs[], z5_rwkv_archs[];

/*
 * What loading the file would take, without reading more of the weights than rows that tell whether floats are ternary:
 * the model's numbers, as far as they could be read, and bytes of the region. Errors are those of loading.
 */
int z5_model_measure(struct gguf *g, struct z5_hparams *h, size_t *weight_bytes, struct zen5rt_error *err);

/* ---- for bind functions; names are printf formats over the layer number ---- */

/* 0; -EINVAL with a line if the tensor is missing, or its shape or type is not what is asked. */
int z5_bind_matrix(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t rows,
		   uint64_t k, bool optional, const char *fmt, unsigned int layer);
/* The same for rows [from, from + rows) of a tensor that has `of` rows. */
int z5_bind_rows(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t from, uint64_t rows,
		 uint64_t of, uint64_t k, const char *fmt, unsigned int layer);
/* The same for a vector of n floats (F32, F16 or BF16 in the file, always float in memory). */
int z5_bind_vector(struct z5_loader *ld, const float **v, uint64_t n, bool optional,
		   const char *fmt, unsigned int layer);
/* A matrix's own factor, one float that must be finite; optional. */
int z5_bind_scale(struct z5_loader *ld, struct z5_weight *w, const char *fmt, unsigned int layer);
/* count vectors of n floats in one tensor, in whatever dimensions. */
int z5_bind_vectors(struct z5_loader *ld, const float **v, uint64_t n, uint32_t count, bool optional,
		    const char *fmt, unsigned int layer);
/* A matrix of F32 in groups of 16 rows, a line of the group for each column; for kernels that are no products. */
int z5_bind_lines(struct z5_loader *ld, const float **v, uint64_t rows, uint64_t k, const char *fmt,
		  unsigned int layer);
/* A norm of n_embd; its bias is demanded where the architecture has biases. */
int z5_bind_norm(struct z5_loader *ld, struct z5_norm *norm, bool optional, const char *weight, const char *bias,
		 unsigned int layer);
/* Whether the file has such a tensor. */
bool z5_bind_has(const struct z5_loader *ld, const char *fmt, unsigned int layer);

/* n matrices of rows x k behind each other in one tensor; `used` of them are what a token streams. */
int z5_bind_stack(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint32_t used,
		  uint64_t rows, uint64_t k, const char *fmt, unsigned int layer);
/* The same in n tensors of one type, fmt over layer and number. */
int z5_bind_parts(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint32_t used,
		  uint64_t rows, uint64_t k, const char *fmt, unsigned int layer);
/*
 * n matrices out of one tensor of n * step rows, each from row `from` of its step on. turned: the tensor has their
 * transposes, k rows of `rows` columns; quantized ones become F32.
 */
int z5_bind_slices(struct z5_loader *ld, struct z5_stack *s, const char *role, uint32_t n, uint64_t rows, uint64_t k,
		   uint64_t from, uint64_t step, bool turned, const char *fmt, unsigned int layer);
/* A tensor that may be there and is not needed. */
void z5_bind_nothing(struct z5_loader *ld, const char *fmt, unsigned int layer);

/* ---- keys of mixtures of experts and latent attention; as z5_hparams_read(), after it, mla first ---- */

int z5_hparams_moe(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		   struct zen5rt_error *err);
/* Sets n_head_kv, hd_k and hd_v to what the cache holds. */
int z5_hparams_mla(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
		   struct zen5rt_error *err);
/* What hybrids have for z5_arch.ssm. */
int z5_hparams_ssm1(const struct keys *k, struct z5_hparams *h);
int z5_hparams_ssm2(const struct keys *k, struct z5_hparams *h);
/* What recurrent architectures have for z5_arch.hparams. */
int z5_hparams_mamba(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err);
int z5_hparams_mamba2(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err);
int z5_hparams_rwkv6(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err);
int z5_hparams_rwkv7(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err);
int z5_hparams_rwkv6qwen2(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h,
			  struct zen5rt_error *err);
int z5_hparams_arwkv7(const struct gguf *g, const struct z5_arch *arch, struct z5_hparams *h, struct zen5rt_error *err);

#endif
