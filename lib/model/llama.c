// SPDX-License-Identifier: MIT
/*
 * The llama family: pre-norm transformer with RMSNorm, rotary positions, grouped-query attention and a SwiGLU
 * feed-forward (Touvron et al., arXiv 2302.13971 and 2307.09288; llama 3: 2407.21783; mistral: 2310.06825; qwen2:
 * 2407.10671, which adds biases to Q, K and V; qwen3: 2505.09388, which normalises each head's query and key).
 *
 * A pass is one function that all threads run side by side. A thread owns a slice of each matrix's rows, so what it
 * wrote itself it may go on working with; a barrier stands wherever it needs what others wrote.
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "session.h"

/* ---- binding ---- */

static int llama_bind_layer(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const bool bias = !m->arch->qkv_bias, norm = m->arch->qk_norm;
	const uint64_t nq = (uint64_t)h->n_head * h->hd_k, nk = (uint64_t)h->n_head_kv * h->hd_k;
	const uint64_t nv = (uint64_t)h->n_head_kv * h->hd_v, no = (uint64_t)h->n_head * h->hd_v;
	struct z5_layer *l = &m->layers[i];
	int ret;

	if ((ret = z5_bind_vector(ld, &l->attn_norm, h->n_embd, false, "blk.%u.attn_norm.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->q, "attn_q", nq, h->n_embd, false, "blk.%u.attn_q.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->k, "attn_k", nk, h->n_embd, false, "blk.%u.attn_k.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->v, "attn_v", nv, h->n_embd, false, "blk.%u.attn_v.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->q_bias, nq, bias, "blk.%u.attn_q.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->k_bias, nk, bias, "blk.%u.attn_k.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->v_bias, nv, bias, "blk.%u.attn_v.bias", i)) ||
	    (ret = z5_bind_matrix(ld, &l->o, "attn_output", h->n_embd, no, false,
				  "blk.%u.attn_output.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->o_bias, h->n_embd, true, "blk.%u.attn_output.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->ffn_norm, h->n_embd, false, "blk.%u.ffn_norm.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->gate, "ffn_gate", h->n_ff, h->n_embd, false,
				  "blk.%u.ffn_gate.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->up, "ffn_up", h->n_ff, h->n_embd, false,
				  "blk.%u.ffn_up.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->down, "ffn_down", h->n_embd, h->n_ff, false,
				  "blk.%u.ffn_down.weight", i)))
		return ret;
	if (norm && ((ret = z5_bind_vector(ld, &l->q_norm, h->hd_k, false, "blk.%u.attn_q_norm.weight", i)) ||
		     (ret = z5_bind_vector(ld, &l->k_norm, h->hd_k, false, "blk.%u.attn_k_norm.weight", i))))
		return ret;
	return 0;
}

static int llama_bind(struct zen5rt_model *m, struct z5_loader *ld)
{
	const struct z5_hparams *h = &m->h;
	int ret;

	if ((ret = z5_bind_matrix(ld, &m->embd, "token_embd", h->n_vocab, h->n_embd, false,
				  "token_embd.weight", 0)) ||
	    (ret = z5_bind_matrix(ld, &m->output, "output", h->n_vocab, h->n_embd, true,
				  "output.weight", 0)) ||
	    (ret = z5_bind_vector(ld, &m->output_norm, h->n_embd, false, "output_norm.weight", 0)) ||
	    (ret = z5_bind_vector(ld, &m->rope_factors, h->n_rot / 2, true, "rope_freqs.weight", 0)))
		return ret;
	for (unsigned int i = 0; i < h->n_layer; i++) {
		ret = llama_bind_layer(m, ld, i);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- the pass ---- */

/* A thread's view of the pass. */
struct pass {
	const struct z5_thread *t;
	const struct z5_step *step;
	struct zen5rt_session *s;
	const struct zen5rt_model *m;
	const struct z5_hparams *h;
	const struct z5_kernels *k;
	struct z5_private *own;
	struct z5_acts *acts;	/* of the matrices to come: own for a lone token, else shared */
	_Atomic bool *cancelled;
	uint32_t n;
};

/* Rows of w that this thread owns, in groups. */
static void own_groups(const struct pass *p, const struct z5_weight *w, uint64_t *g0, uint64_t *g1)
{
	z5_split(p->t, z5_weight_groups(w), g0, g1);
}

/* ... and in floats of a result, without the padding rows. */
static void own_rows(const struct pass *p, const struct z5_weight *w, uint64_t *r0, uint64_t *r1)
{
	own_groups(p, w, r0, r1);
	*r0 *= Z5_GROUP;
	*r1 *= Z5_GROUP;
	*r1 = *r1 < w->rows ? *r1 : w->rows;
}

/* Tokens whose activations stay in the second-level cache while all rows pass by. */
#define CACHED_BYTES (512u << 10)

/* y = w x for this thread's rows and all n tokens at x. */
static void product(const struct pass *p, const struct z5_weight *w, const struct z5_acts *acts,
		    uint32_t n, float *y, size_t y_stride)
{
	const struct z5_buf *x = &acts->form[w->ops->act];
	size_t at_once = CACHED_BYTES / z5_act_bytes(w->ops->act, w->k) / 8 * 8;
	uint64_t g0, g1;

	own_groups(p, w, &g0, &g1);
	at_once = at_once < 16 ? 16 : at_once;
	for (size_t t = 0; t < n; t += at_once)
		p->k->matmul[z5_type_of(w->ops)](y + t * y_stride / sizeof(float),
						 y_stride / sizeof(float), w->data, w->k, g0, g1,
						 x->p + t * x->stride, x->stride,
						 n - t < at_once ? n - t : at_once);
	if (p->t->i == 0) {
		struct z5_kind *kind = &p->s->m->kinds[w->kind];

		kind->calls++;
		kind->columns += n;
	}
}

static void product_buf(const struct pass *p, const struct z5_weight *w, struct z5_buf *y)
{
	product(p, w, p->acts, p->n, (float *)y->p, y->stride);
}

/* Puts row t of the acts into the forms that `forms` names, from the floats that are already there or at x. */
static void quantize(const struct pass *p, struct z5_acts *acts, size_t t, const float *x, size_t k,
		     unsigned int forms)
{
	for (int i = 0; i < Z5_N_ACTS; i++) {
		const struct z5_buf *b = &acts->form[i];

		if (!(forms >> i & 1))
			continue;
		if (i != Z5_ACT_F32)
			p->k->quant[i](b->p + t * b->stride, x, k);
		else if (x != z5_row(b, t))
			memcpy(z5_row(b, t), x, k * sizeof(float));
	}
}

/* Tokens that this thread prepares: all of them for a lone one, which then needs no barrier. */
static void own_tokens(const struct pass *p, uint64_t *t0, uint64_t *t1)
{
	*t0 = 0;
	*t1 = 1;
	if (p->n > 1)
		z5_split(p->t, p->n, t0, t1);
}

static void share_tokens(const struct pass *p)
{
	if (p->n > 1)
		z5_barrier(p->t);
}

static unsigned int form(const struct z5_weight *w)
{
	return 1u << w->ops->act;
}

/* acts = norm(x) * w */
static void prepare_norm(const struct pass *p, const float *w, unsigned int forms)
{
	uint64_t t0, t1;

	own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		p->k->rmsnorm(y, z5_row(&p->s->x, t), w, p->h->n_embd, p->h->eps);
		quantize(p, p->acts, t, y, p->h->n_embd, forms);
	}
	share_tokens(p);
}

/* acts = x, for a product with w */
static void prepare(const struct pass *p, const struct z5_buf *x, const struct z5_weight *w)
{
	uint64_t t0, t1;

	own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++)
		quantize(p, p->acts, t, z5_row(x, t), w->k, form(w));
	share_tokens(p);
}

/* x += y + bias, for the rows that this thread computed */
static void residual(const struct pass *p, const struct z5_weight *w, const float *bias)
{
	uint64_t r0, r1;

	own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++) {
		float *y = z5_row(&p->s->y, t) + r0;

		if (bias)
			z5_add(y, bias + r0, r1 - r0);
		z5_add(z5_row(&p->s->x, t) + r0, y, r1 - r0);
	}
}

/* Embedding rows and rotary angles of the tokens. */
static void begin(const struct pass *p)
{
	const struct z5_hparams *h = p->h;
	uint64_t t0, t1;

	z5_split(p->t, p->n, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *cs = z5_row(&p->s->cs, t);

		p->m->embd.ops->unpack_row(z5_row(&p->s->x, t), p->m->embd.data,
					   (size_t)p->step->tokens[t], h->n_embd);
		for (uint32_t i = 0; i < h->n_rot / 2; i++) {
			double a = (double)(p->step->pos + t) * (double)h->freq_scale *
				   pow((double)h->freq_base, -2.0 * i / h->n_rot);

			if (p->m->rope_factors)
				a /= (double)p->m->rope_factors[i];
			cs[2 * i] = (float)cos(a);
			cs[2 * i + 1] = (float)sin(a);
		}
	}
	z5_barrier(p->t);
}

/* Bias, norm and rotation of one head's query or key. */
static void turn(const struct pass *p, float *x, uint64_t t, const float *bias, const float *norm)
{
	const struct z5_hparams *h = p->h;

	if (bias)
		z5_add(x, bias, h->hd_k);
	if (norm)
		p->k->rmsnorm(x, x, norm, h->hd_k, h->eps);
	z5_rope(x, z5_row(&p->s->cs, t), h->n_rot, p->m->arch->neox);
}

/* All heads of all tokens, queries first; keys and values go into the cache. */
static void turn_and_store(const struct pass *p, unsigned int layer)
{
	const struct z5_layer *l = &p->m->layers[layer];
	const struct z5_hparams *h = p->h;
	const uint32_t heads = h->n_head + h->n_head_kv;
	uint64_t u0, u1;

	z5_split(p->t, (uint64_t)p->n * heads, &u0, &u1);
	for (uint64_t u = u0; u < u1; u++) {
		uint64_t t = u / heads;
		uint32_t i = u % heads, kv = i - h->n_head;
		float *key, *value;

		if (i < h->n_head) {
			turn(p, z5_row(&p->s->q, t) + i * h->hd_k, t,
			     l->q_bias ? l->q_bias + i * h->hd_k : NULL, l->q_norm);
			continue;
		}
		key = z5_row(&p->s->k, t) + kv * h->hd_k;
		value = z5_row(&p->s->v, t) + kv * h->hd_v;
		turn(p, key, t, l->k_bias ? l->k_bias + kv * h->hd_k : NULL, l->k_norm);
		if (l->v_bias)
			z5_add(value, l->v_bias + kv * h->hd_v, h->hd_v);
		z5_kv_store(z5_kv_k(&p->s->kv, layer, kv), z5_kv_v(&p->s->kv, layer, kv),
			    p->step->pos + t, key, h->hd_k, value, h->hd_v, p->s->kv.hd_v);
	}
	z5_barrier(p->t);
}

/*
 * Attention of every query to the cache. A unit is a KV head, some tokens and some of the query heads that share it:
 * together they are as many queries as one call takes, unless smaller units are needed to keep all threads busy.
 */
static void attention(const struct pass *p, unsigned int layer)
{
	const struct z5_hparams *h = p->h;
	const uint32_t rep = h->n_head / h->n_head_kv;
	const uint32_t tokens = rep < Z5_ATTN_QUERIES ? Z5_ATTN_QUERIES / rep : 1;
	const uint32_t tiles = (p->n + tokens - 1) / tokens;
	const uint64_t wanted = (uint64_t)p->t->n;
	uint32_t parts = (rep + Z5_ATTN_QUERIES - 1) / Z5_ATTN_QUERIES;
	const size_t hd_v = p->s->kv.hd_v;

	if ((uint64_t)h->n_head_kv * tiles * parts < wanted)
		parts = (wanted + h->n_head_kv * tiles - 1) / (h->n_head_kv * tiles);
	parts = parts < rep ? parts : rep;
	for (uint64_t u = p->t->i; u < (uint64_t)h->n_head_kv * tiles * parts; u += p->t->n) {
		const uint32_t part = u % parts, kv = u / parts % h->n_head_kv;
		const uint32_t t0 = u / parts / h->n_head_kv * tokens;
		const uint32_t t1 = t0 + tokens < p->n ? t0 + tokens : p->n;
		const uint32_t h0 = kv * rep + (uint64_t)rep * part / parts;
		const uint32_t h1 = kv * rep + (uint64_t)rep * (part + 1) / parts;
		struct z5_attn a = {
			.k = z5_kv_k(&p->s->kv, layer, kv), .v = z5_kv_v(&p->s->kv, layer, kv),
			.hd_k = h->hd_k, .hd_v = hd_v, .scale = 1.0f / sqrtf((float)h->hd_k),
			.q = p->own->q, .out = p->own->out, .n_kv = p->own->n_kv,
			.state = p->own->state,
		};

		for (uint32_t t = t0; t < t1; t++) {
			for (uint32_t i = h0; i < h1; i++, a.n_q++) {
				p->own->q[a.n_q] = z5_row(&p->s->q, t) + i * h->hd_k;
				p->own->out[a.n_q] = z5_row(&p->s->att, t) + i * hd_v;
				p->own->n_kv[a.n_q] = p->step->pos + t + 1;
			}
		}
		p->k->attn(&a);
	}
	z5_barrier(p->t);
}

/* Heads were written hd_v padded apart; the output matrix wants them side by side. */
static void close_heads(const struct pass *p)
{
	const size_t from = p->s->kv.hd_v, to = p->h->hd_v;
	uint64_t t0, t1;

	if (from == to)
		return;
	z5_split(p->t, p->n, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *x = z5_row(&p->s->att, t);

		for (uint32_t i = 1; i < p->h->n_head; i++)
			memmove(x + i * to, x + i * from, to * sizeof(float));
	}
	z5_barrier(p->t);
}

static void silu(const struct pass *p, const struct z5_weight *w)
{
	uint64_t r0, r1;

	own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		p->k->silu_mul(z5_row(&p->s->gate, t) + r0, z5_row(&p->s->up, t) + r0, r1 - r0);
	z5_barrier(p->t);
}

/* A chunk of a long prompt takes seconds on a large model: ask between layers whether it is still wanted. */
static void poll_cancel(const struct pass *p, unsigned int layer)
{
	const struct z5_step *step = p->step;
	uint64_t done = step->done + (uint64_t)step->n * (layer + 1) / p->h->n_layer;

	if (z5_progress(p->m->rt, ZEN5RT_STAGE_PREFILL, done, step->total))
		atomic_store(p->cancelled, true);
}

static void layer(const struct pass *p, unsigned int i)
{
	const struct z5_layer *l = &p->m->layers[i];

	prepare_norm(p, l->attn_norm, form(&l->q) | form(&l->k) | form(&l->v));
	product_buf(p, &l->q, &p->s->q);
	product_buf(p, &l->k, &p->s->k);
	product_buf(p, &l->v, &p->s->v);
	z5_barrier(p->t);
	turn_and_store(p, i);
	attention(p, i);
	close_heads(p);
	prepare(p, &p->s->att, &l->o);
	product_buf(p, &l->o, &p->s->y);
	residual(p, &l->o, l->o_bias);
	z5_barrier(p->t);
	prepare_norm(p, l->ffn_norm, form(&l->gate) | form(&l->up));
	product_buf(p, &l->gate, &p->s->gate);
	product_buf(p, &l->up, &p->s->up);
	silu(p, &l->gate);
	prepare(p, &p->s->gate, &l->down);
	product_buf(p, &l->down, &p->s->y);
	residual(p, &l->down, NULL);
	if (p->t->i == 0 && p->n > 1)
		poll_cancel(p, i);
	z5_barrier(p->t);
}

/* Logits of the last token, which every thread prepares for itself. */
static void logits(const struct pass *p)
{
	float *x = (float *)p->own->acts.form[Z5_ACT_F32].p;

	p->k->rmsnorm(x, z5_row(&p->s->x, p->n - 1), p->m->output_norm, p->h->n_embd, p->h->eps);
	quantize(p, &p->own->acts, 0, x, p->h->n_embd, form(&p->m->output));
	product(p, &p->m->output, &p->own->acts, 1, p->s->logits, 0);
}

static void llama_forward(const struct z5_thread *t, void *arg)
{
	struct z5_step *step = arg;
	struct zen5rt_session *s = step->s;
	struct pass p = {
		.t = t, .step = step, .s = s, .m = s->m, .h = &s->m->h, .k = &s->m->rt->k,
		.own = &s->threads[t->i], .n = step->n, .cancelled = &step->cancelled,
	};

	p.acts = p.n > 1 ? &s->acts : &p.own->acts;
	begin(&p);
	for (unsigned int i = 0; i < p.h->n_layer && !atomic_load(p.cancelled); i++)
		layer(&p, i);
	if (atomic_load(p.cancelled))
		return;
	if (step->logits)
		logits(&p);
}

const struct z5_arch z5_archs[] = {
	{ .name = "llama", .bind = llama_bind, .forward = llama_forward },
	{ .name = "qwen2", .bind = llama_bind, .forward = llama_forward, .neox = true, .qkv_bias = true },
	{ .name = "qwen3", .bind = llama_bind, .forward = llama_forward, .neox = true, .qk_norm = true },
	{ .name = NULL },
};
