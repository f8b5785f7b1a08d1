/* SPDX-License-Identifier: MIT */
/* A sequence: its KV cache, and the scratch that a forward pass works in. */
#ifndef Z5_SESSION_H
#define Z5_SESSION_H

#include <cache/kv.h>

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

/* What a thread has for itself: a lone token is quantized by every thread, which costs less than a barrier. */
struct z5_private {
	struct z5_acts acts;
	const float **q;	/* pointers for struct z5_attn, ATTN_QUERIES of each */
	float **out;
	uint32_t *n_kv;
	float *state;
};

/* Queries that one call of the attention kernel takes at most. */
#define Z5_ATTN_QUERIES 64

/* Tokens whose logits are computed at a time where those of all are wanted. */
#define Z5_LOGITS_ROWS 16

struct zen5rt_session {
	struct zen5rt_model *m;
	uint32_t n_ctx, n_ubatch, pos;
	struct z5_kv kv;
	struct z5_region scratch;
	struct z5_buf x;		/* residual stream, n_embd */
	struct z5_buf q, k, v, att;	/* heads of queries, keys, values; attention's result */
	struct z5_buf y;		/* product to be added to x */
	struct z5_buf gate, up;
	struct z5_buf cs;		/* cosines and sines of each token's position */
	struct z5_acts acts;
	struct z5_private *threads;
	float *logits;
	struct z5_buf rows;		/* logits of Z5_LOGITS_ROWS tokens, where all are wanted */
	bool have_logits;
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
