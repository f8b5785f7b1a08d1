/* SPDX-License-Identifier: MIT */
/* A sequence: its KV cache, its state, and the scratch that a forward pass works in. */
#ifndef Z5_SESSION_H
#define Z5_SESSION_H

#include <cache/kv.h>
#include <cache/state.h>
#include <sched/budget.h>

#include "model.h"

/* Activations of up to n_ubatch tokens; stride is in bytes and a multiple of 64. */
struct z5_buf {
	uint8_t *p;
	size_t stride;
};

static inline float *z5_row(const struct z5_buf *b, size_t t)
{
	return (float *)(b->p + t * b->stride);
}

/* The input of matrices in each form that some weight type takes. */
struct z5_acts {
	struct z5_buf form[Z5_N_ACTS];
};

/* An expert and the slots of its tokens: rows [slot, slot + n) of the scratch buffers. */
struct z5_moe_job {
	uint32_t expert, slot, n;
};

/* For mixtures of experts; a slot is a token and one of its experts. */
struct z5_moe_scratch {
	struct z5_buf logits;		/* of the router */
	struct z5_buf shared_weight;	/* of the shared experts, one float */
	uint32_t *expert, *slot;	/* by token and rank */
	float *weight;
	uint32_t *token;		/* by slot */
	uint32_t *next;			/* by expert */
	struct z5_moe_job *jobs;	/* one an expert at most */
	uint32_t n_jobs;
	struct z5_acts acts;		/* by slot: input of the experts, then of their down matrices */
	struct z5_buf gate, up, y;	/* by slot */
};

/* The same for a lone token, which every thread routes for itself. */
struct z5_moe_private {
	float *logits, *choice, *group;	/* an expert each */
	uint32_t *chosen;		/* the same */
	float *weight;			/* by rank */
	uint32_t *slot;
	struct z5_moe_job *jobs;
	struct z5_acts mid;
};

/* For latent attention. */
struct z5_mla_scratch {
	struct z5_buf q_a, kv_a;	/* what queries, and keys and values, are made of */
	struct z5_buf q;		/* queries before their heads' k_b */
	struct z5_buf out;		/* heads' results, whole groups of rows apart */
};

/* For Mamba. */
struct z5_ssm_scratch {
	struct z5_buf x, z;		/* what goes through the convolution, and the gate */
	struct z5_buf bc, dt;		/* bc: as the product with x gives it */
};

/* For RWKV. */
struct z5_rwkv_scratch {
	struct z5_buf h;		/* the norm's result, which the next token mixes with its own */
	struct z5_buf r, w, k, v, g, y;	/* heads side by side; y: what they give */
	struct z5_buf a, kk, first;	/* rwkv7; first: values of the first layer */
	struct z5_buf few_k, few_v;	/* rwkv6qwen2: keys and values, before each is that of a group of heads */
	struct z5_buf low[4];		/* inner results of low-rank matrices */
	struct z5_buf mix[5];		/* rwkv6 */
};

/* Tokens that a layer's recurrence takes at a time: what they read and write stays near. */
#define Z5_RECUR_TOKENS 16

/* Tokens of one head that are prepared at a time. */
#define Z5_MLA_TOKENS 32

/* What a thread has for itself: a lone token is quantized by every thread, which costs less than a barrier. */
struct z5_private {
	struct z5_acts acts;
	const float **q;	/* pointers for struct z5_attn, ATTN_QUERIES of each */
	float **out;
	struct z5_moe_private moe;
	uint32_t *n_kv, *from;
	float *state, *sinks;
	struct z5_attn_block *blocks;	/* of ATTN_QUERIES, where the cache is quantized */
	struct z5_buf h;	/* the lone row of struct z5_rwkv_scratch's */
	struct z5_acts head;	/* Z5_MLA_TOKENS inputs of one head's k_b or v_b */
	struct z5_budget budget;
};

/* Queries that one call of the attention kernel takes at most. */
#define Z5_ATTN_QUERIES 64

/* Tokens whose logits are computed at a time where those of all are wanted. */
#define Z5_LOGITS_ROWS 16

struct zen5rt_session {
	struct zen5rt_model *m;
	uint32_t n_ctx, n_ubatch, pos;
	struct z5_kv kv;		/* one of these two, or of a hybrid both; else all zero */
	struct z5_state state;
	bool was_long;			/* the last evaluation was of more than a token */
	struct z5_region scratch;
	struct z5_buf x;		/* residual stream, n_embd */
	struct z5_buf q, k, v, att;	/* heads of queries, keys, values; attention's result */
	struct z5_buf y;		/* product to be added to x */
	struct z5_buf gate, up;
	struct z5_buf cs[Z5_ROPE_SETS];	/* cosines and sines of each token's position */
	double *angle[Z5_ROPE_SETS];	/* what a position adds to each rotary pair's */
	double magnitude[Z5_ROPE_SETS];
	struct z5_acts acts;
	struct z5_moe_scratch moe;
	struct z5_mla_scratch mla;
	struct z5_ssm_scratch ssm;
	struct z5_rwkv_scratch rwkv;
	struct z5_private *threads;
	float *logits;
	struct z5_buf rows;		/* logits of Z5_LOGITS_ROWS tokens, where all are wanted */
	bool have_logits;
	uint32_t logits_pos;		/* where they were computed */
};

/* One pass over n tokens at positions pos.. of the sequence, n <= n_ubatch. */
struct z5_step {
	struct zen5rt_session *s;
	const int32_t *tokens;
	uint32_t n, pos;
	bool logits;		/* of the last token, into s->logits */
	float *all;		/* NULL, or float[n][n_vocab] for those of every token */
	size_t done, total;	/* tokens of the whole evaluation, for progress */
	/*
	 * Set by thread 0 ahead of a layer's last barrier, read by all behind it: either every thread goes on to the
	 * next layer or none does.
	 */
	_Atomic bool cancelled;
};

#endif
