// SPDX-License-Identifier: MIT
/*
 * The llama family: pre-norm transformer with RMSNorm, rotary positions, grouped-query attention and a SwiGLU
 * feed-forward (Touvron et al., arXiv 2302.13971 and 2307.09288; llama 3: 2407.21783; mistral: 2310.06825; qwen2:
 * 2407.10671, which adds biases to Q, K and V; qwen3: 2505.09388, which normalises each head's query and key).
 */
#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "mla.h"
#include "moe.h"

/* ---- binding ---- */

static int bind_ffn(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	struct z5_layer *l = &m->layers[i];
	int ret;

	ret = z5_bind_vector(ld, &l->ffn_norm, h->n_embd, false, "blk.%u.ffn_norm.weight", i);
	if (ret)
		return ret;
	if (h->moe.n && i >= h->moe.first)
		return z5_moe_bind(m, ld, i);
	if ((ret = z5_bind_matrix(ld, &l->gate, "ffn_gate", h->n_ff, h->n_embd, false,
				  "blk.%u.ffn_gate.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->up, "ffn_up", h->n_ff, h->n_embd, false,
				  "blk.%u.ffn_up.weight", i)))
		return ret;
	return z5_bind_matrix(ld, &l->down, "ffn_down", h->n_embd, h->n_ff, false,
			      "blk.%u.ffn_down.weight", i);
}

static int mla_layer(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	struct z5_layer *l = &m->layers[i];
	int ret;

	if ((ret = z5_bind_vector(ld, &l->attn_norm, h->n_embd, false, "blk.%u.attn_norm.weight", i)) ||
	    (ret = z5_mla_bind(m, ld, i)) ||
	    (ret = z5_bind_matrix(ld, &l->o, "attn_output", h->n_embd, (uint64_t)h->n_head * h->mla.v, false,
				  "blk.%u.attn_output.weight", i)))
		return ret;
	return bind_ffn(m, ld, i);
}

static int llama_bind_layer(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const bool bias = !m->arch->qkv_bias, norm = m->arch->qk_norm;
	const uint64_t nq = (uint64_t)h->n_head * h->hd_k, nk = (uint64_t)h->n_head_kv * h->hd_k;
	const uint64_t nv = (uint64_t)h->n_head_kv * h->hd_v, no = (uint64_t)h->n_head * h->hd_v;
	struct z5_layer *l = &m->layers[i];
	int ret;

	if (m->arch->mla)
		return mla_layer(m, ld, i);
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
	    (ret = bind_ffn(m, ld, i)))
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

/* acts = norm(x) * w */
static void prepare_norm(const struct z5_pass *p, const float *w, unsigned int forms)
{
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		p->k->rmsnorm(y, z5_row(&p->s->x, t), w, p->h->n_embd, p->h->eps);
		z5_quantize(p, p->acts, t, y, p->h->n_embd, forms);
	}
	z5_share_tokens(p);
}

/* x += y + bias, for the rows that this thread computed */
static void residual(const struct z5_pass *p, const struct z5_weight *w, const float *bias)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++) {
		float *y = z5_row(&p->s->y, t) + r0;

		if (bias)
			z5_add(y, bias + r0, r1 - r0);
		z5_add(z5_row(&p->s->x, t) + r0, y, r1 - r0);
	}
}

/* Embedding rows and rotary angles of the tokens. */
static void begin(const struct z5_pass *p)
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
static void turn(const struct z5_pass *p, float *x, uint64_t t, const float *bias, const float *norm)
{
	const struct z5_hparams *h = p->h;

	if (bias)
		z5_add(x, bias, h->hd_k);
	if (norm)
		p->k->rmsnorm(x, x, norm, h->hd_k, h->eps);
	z5_rope(x, z5_row(&p->s->cs, t), h->n_rot, p->m->arch->neox);
}

/* All heads of all tokens, queries first; keys and values go into the cache. */
static void turn_and_store(const struct z5_pass *p, unsigned int layer)
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
static void attention(const struct z5_pass *p, unsigned int layer)
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
			.hd_k = h->hd_k, .hd_v = hd_v, .scale = h->mla.kv_lora ? h->mla.scale : 1.0f / sqrtf((float)h->hd_k),
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
static void close_heads(const struct z5_pass *p)
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

static void silu(const struct z5_pass *p, const struct z5_weight *w)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		p->k->silu_mul(z5_row(&p->s->gate, t) + r0, z5_row(&p->s->up, t) + r0, r1 - r0);
	z5_barrier(p->t);
}

/* A chunk of a long prompt takes seconds on a large model: ask between layers whether it is still wanted. */
static void poll_cancel(const struct z5_pass *p, unsigned int layer)
{
	const struct z5_step *step = p->step;
	uint64_t done = step->done + (uint64_t)step->n * (layer + 1) / p->h->n_layer;

	if (z5_progress(p->m->rt, ZEN5RT_STAGE_PREFILL, done, step->total))
		atomic_store(&p->step->cancelled, true);
}

static void layer(const struct z5_pass *p, unsigned int i)
{
	const struct z5_layer *l = &p->m->layers[i];

	if (p->m->arch->mla) {
		prepare_norm(p, l->attn_norm, z5_mla_forms(&l->mla));
		z5_mla_heads(p, i);
		attention(p, i);
		z5_mla_result(p, &l->mla, &l->o);
	} else {
		prepare_norm(p, l->attn_norm, z5_form(&l->q) | z5_form(&l->k) | z5_form(&l->v));
		z5_product_buf(p, &l->q, &p->s->q);
		z5_product_buf(p, &l->k, &p->s->k);
		z5_product_buf(p, &l->v, &p->s->v);
		z5_barrier(p->t);
		turn_and_store(p, i);
		attention(p, i);
		close_heads(p);
		z5_prepare(p, &p->s->att, &l->o);
	}
	z5_product_buf(p, &l->o, &p->s->y);
	residual(p, &l->o, l->o_bias);
	z5_barrier(p->t);
	if (l->moe.router.ops) {
		prepare_norm(p, l->ffn_norm, z5_moe_forms(&l->moe));
		z5_moe_ffn(p, &l->moe);
		residual(p, &l->moe.down.w, NULL);
	} else {
		prepare_norm(p, l->ffn_norm, z5_form(&l->gate) | z5_form(&l->up));
		z5_product_buf(p, &l->gate, &p->s->gate);
		z5_product_buf(p, &l->up, &p->s->up);
		silu(p, &l->gate);
		z5_prepare(p, &p->s->gate, &l->down);
		z5_product_buf(p, &l->down, &p->s->y);
		residual(p, &l->down, NULL);
	}
	if (p->t->i == 0 && p->n > 1)
		poll_cancel(p, i);
	z5_barrier(p->t);
}

/* Logits of the last token, which every thread prepares for itself. */
static void logits(const struct z5_pass *p)
{
	float *x = (float *)p->own->acts.form[Z5_ACT_F32].p;

	p->k->rmsnorm(x, z5_row(&p->s->x, p->n - 1), p->m->output_norm, p->h->n_embd, p->h->eps);
	z5_quantize(p, &p->own->acts, 0, x, p->h->n_embd, z5_form(&p->m->output));
	z5_product(p, &p->m->output, &p->own->acts, 1, p->s->logits, 0);
}

/*
 * Logits of every token, some rows at a time: the matrix writes whole groups of rows, so the caller's memory, which
 * has no room for padding between tokens, gets a copy.
 */
static void all_logits(const struct z5_pass *p)
{
	const uint64_t n_vocab = p->h->n_vocab;

	for (uint32_t from = 0, n; from < p->n; from += n) {
		uint64_t t0, t1;

		n = p->n - from < Z5_LOGITS_ROWS ? p->n - from : Z5_LOGITS_ROWS;
		z5_split(p->t, n, &t0, &t1);
		for (uint64_t t = t0; t < t1; t++) {
			float *x = z5_row(&p->s->acts.form[Z5_ACT_F32], t);

			p->k->rmsnorm(x, z5_row(&p->s->x, from + t), p->m->output_norm, p->h->n_embd,
				      p->h->eps);
			z5_quantize(p, &p->s->acts, t, x, p->h->n_embd, z5_form(&p->m->output));
		}
		z5_barrier(p->t);
		z5_product(p, &p->m->output, &p->s->acts, n, (float *)p->s->rows.p, p->s->rows.stride);
		z5_barrier(p->t);
		for (uint64_t t = t0; t < t1; t++)
			memcpy(p->step->all + (from + t) * n_vocab, z5_row(&p->s->rows, t),
			       n_vocab * sizeof(float));
	}
}

static void llama_forward(const struct z5_thread *t, void *arg)
{
	struct z5_step *step = arg;
	struct zen5rt_session *s = step->s;
	struct z5_pass p = {
		.t = t, .step = step, .s = s, .m = s->m, .h = &s->m->h, .k = &s->m->rt->k,
		.own = &s->threads[t->i], .n = step->n,
	};

	p.acts = p.n > 1 ? &s->acts : &p.own->acts;
	begin(&p);
	for (unsigned int i = 0; i < p.h->n_layer && !atomic_load(&step->cancelled); i++)
		layer(&p, i);
	if (atomic_load(&step->cancelled))
		return;
	if (step->all)
		all_logits(&p);
	else if (step->logits)
		logits(&p);
}

static const struct z5_moe_kind mixtral = { .gating = Z5_GATING_SOFTMAX, .norm = true };
static const struct z5_moe_kind qwen2moe = {
	.required = true, .gating = Z5_GATING_SOFTMAX, .share_width = true, .shared = true,
};
static const struct z5_moe_kind qwen3moe = {
	.required = true, .gating = Z5_GATING_SOFTMAX, .norm = true, .share_width = true,
};
static const struct z5_moe_kind deepseek = { .gating = Z5_GATING_SOFTMAX };

const struct z5_arch z5_archs[] = {
	{ .name = "llama", .moe = &mixtral, .bind = llama_bind, .forward = llama_forward },
	{ .name = "qwen2", .bind = llama_bind, .forward = llama_forward, .neox = true, .qkv_bias = true },
	{ .name = "qwen3", .bind = llama_bind, .forward = llama_forward, .neox = true, .qk_norm = true },
	{ .name = "qwen2moe", .moe = &qwen2moe, .bind = llama_bind, .forward = llama_forward, .neox = true,
	  .qkv_bias = true },
	{ .name = "qwen3moe", .moe = &qwen3moe, .bind = llama_bind, .forward = llama_forward, .neox = true,
	  .qk_norm = true },
	{ .name = "deepseek2", .moe = &deepseek, .mla = true, .bind = llama_bind, .forward = llama_forward },
	{ .name = NULL },
};
