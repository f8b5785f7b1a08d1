/* SPDX-License-Identifier: MIT */
/*
 * What every architecture's pass is made of. A pass is one function that all threads run side by side. A thread owns a
 * slice of each matrix's rows, so what it wrote itself it may go on working with; a barrier stands wherever it needs
 * what others wrote.
 */
#ifndef Z5_PASS_H
#define Z5_PASS_H

#include "session.h"

/* A thread's view of the pass. */
struct z5_pass {
	const struct z5_thread *t;
	struct z5_step *step;
	struct zen5rt_session *s;
	const struct zen5rt_model *m;
	const struct z5_hparams *h;
	const struct z5_kernels *k;
	struct z5_private *own;
	struct z5_acts *acts;	/* of the matrices to come: own for a lone token, else shared */
	uint32_t n;
};

/* Rows of w that this thread owns, in groups. */
void z5_own_groups(const struct z5_pass *p, const struct z5_weight *w, uint64_t *g0, uint64_t *g1);
/* ... and in floats of a result, without the padding rows. */
void z5_own_rows(const struct z5_pass *p, const struct z5_weight *w, uint64_t *r0, uint64_t *r1);
/* Tokens that this thread prepares: all of them for a lone one, which then needs no barrier. */
void z5_own_tokens(const struct z5_pass *p, uint64_t *t0, uint64_t *t1);
/* The barrier behind what z5_own_tokens() began. */
void z5_share_tokens(const struct z5_pass *p);

/* y = w x for this thread's rows and all n tokens at x; y_stride in bytes. */
void z5_product(const struct z5_pass *p, const struct z5_weight *w, const struct z5_acts *x, uint32_t n,
		float *y, size_t y_stride);
/* y = w x for groups [g0, g1) of the packed rows at data, which are like w's, and n tokens from row `row` of x on. */
void z5_product_groups(const struct z5_pass *p, const struct z5_weight *w, const void *data, uint64_t g0, uint64_t g1,
		       const struct z5_acts *x, size_t row, uint32_t n, float *y, size_t y_stride);
/* For reports: matrices like w did n columns in `calls` products. One thread tells for all. */
void z5_product_count(const struct z5_pass *p, const struct z5_weight *w, uint64_t calls, uint64_t n);
/* The first one for the tokens of the pass. */
void z5_product_buf(const struct z5_pass *p, const struct z5_weight *w, struct z5_buf *y);

/* The form of input that w takes, as a bit. */
static inline unsigned int z5_form(const struct z5_weight *w)
{
	return w->ops ? 1u << w->ops->act : 0;
}

/* Puts k floats at x into row t of the acts, in the forms named; they may be there already as floats. */
void z5_quantize(const struct z5_pass *p, struct z5_acts *acts, size_t t, const float *x, size_t k,
		 unsigned int forms);
/* acts = x, for a product with w */
void z5_prepare(const struct z5_pass *p, const struct z5_buf *x, const struct z5_weight *w);

/* x += y, for the rows of a product with w that this thread computed. A barrier has to follow. */
void z5_add_product(const struct z5_pass *p, const struct z5_weight *w);
/* Waits until the budget has room for this thread's share of a layer's state. */
void z5_state_wait(const struct z5_pass *p);

/* ---- ends.c ---- */

void z5_norm(const struct z5_pass *p, float *y, const float *x, const struct z5_norm *n);
/* acts = norm(x), or x where the block has no norm of its own */
void z5_prepare_norm(const struct z5_pass *p, const struct z5_norm *n, unsigned int forms);
/* A layer's last barrier; thread 0 asks ahead of it whether a prompt is still wanted. */
void z5_layer_end(const struct z5_pass *p, unsigned int i);
/* The whole pass; arg is its step. */
void z5_pass_run(const struct z5_thread *t, void *arg, void (*layer)(const struct z5_pass *p, unsigned int i));

/* ---- attention.c ---- */

/* Cosines and sines of this thread's share of the tokens; a barrier has to follow. */
void z5_pass_angles(const struct z5_pass *p);
/* Key and value of KV head `head` of token t into the cache. */
void z5_pass_store(const struct z5_pass *p, unsigned int layer, uint32_t head, uint64_t t, const float *key,
		   const float *value);
/*
 * Bias, norm and rotation of all heads of all tokens, from the session's q, k and v; keys and values go into the cache.
 * Reads what other threads wrote, so a barrier stands before it; ends with one.
 */
void z5_turn_and_store(const struct z5_pass *p, unsigned int layer);
/* Attention of every query to the cache, heads side by side in the session's att. Ends with a barrier. */
void z5_attention(const struct z5_pass *p, unsigned int layer);

#endif
