// SPDX-License-Identifier: MIT
/* From products with the Q, K and V matrices to what attention gives: norms of heads, rotation, the cache. */
#include <math.h>
#include <string.h>

#include "pass.h"

void z5_pass_angles(const struct z5_pass *p)
{
	uint64_t t0, t1;

	z5_split(p->t, p->n, &t0, &t1);
	for (int set = 0; set < Z5_ROPE_SETS; set++) {
		const double *angle = p->s->angle[set], mag = p->s->magnitude[set];

		for (uint64_t t = t0; t < t1; t++) {
			float *cs = z5_row(&p->s->cs[set], t);

			for (uint32_t i = 0; i < p->h->rope.n_rot / 2; i++) {
				double a = (double)(p->step->pos + t) * angle[i];

				cs[2 * i] = (float)(cos(a) * mag);
				cs[2 * i + 1] = (float)(sin(a) * mag);
			}
		}
	}
}

/* Queries and keys of a token normalised over all of their heads; 2 n pieces of work. */
static void wide_norm(const struct z5_pass *p, const struct z5_layer *l)
{
	const struct z5_hparams *h = p->h;
	uint64_t u0, u1;

	z5_split(p->t, 2 * (uint64_t)p->n, &u0, &u1);
	for (uint64_t u = u0; u < u1; u++) {
		float *x = z5_row(u % 2 ? &p->s->k : &p->s->q, u / 2);
		const size_t n = (size_t)(u % 2 ? h->n_head_kv : h->n_head) * h->hd_k;
		const float *bias = u % 2 ? l->k_bias : l->q_bias;

		if (bias)
			z5_add(x, bias, n);
		p->k->rmsnorm(x, x, u % 2 ? l->k_norm : l->q_norm, n, h->eps);
	}
	z5_barrier(p->t);
}

/* Bias, norm and rotation of head i of a query or key. */
static void turn(const struct z5_pass *p, const struct z5_layer *l, float *x, uint64_t t, uint32_t i,
		 const float *bias, const float *norm)
{
	const struct z5_hparams *h = p->h;
	const enum z5_qk_norm kind = p->m->arch->qk_norm;

	if (bias && kind != Z5_QK_WIDE)
		z5_add(x, bias + i * h->hd_k, h->hd_k);
	if (norm && kind == Z5_QK_HEAD)
		p->k->rmsnorm(x, x, norm, h->hd_k, h->eps);
	else if (norm && kind == Z5_QK_OPTIONAL)
		p->k->layernorm(x, x, norm + i * h->hd_k, NULL, h->hd_k, h->eps);
	z5_rope(x, z5_row(&p->s->cs[l->rope], t), h->rope.n_rot, p->m->arch->neox);
}

void z5_pass_store(const struct z5_pass *p, unsigned int layer, uint32_t head, uint64_t t, const float *key,
		   const float *value)
{
	const struct z5_kv *kv = &p->s->kv;
	const uint32_t at = p->m->layers[layer].cached;

	z5_kv_store(kv->type, z5_kv_k(kv, at, head), z5_kv_v(kv, at, head), p->step->pos + t, key, p->h->hd_k,
		    value, p->h->hd_v, kv->hd_v, p->k->quant[Z5_ACT_Q8_32]);
}

void z5_turn_and_store(const struct z5_pass *p, unsigned int layer)
{
	const struct z5_layer *l = &p->m->layers[layer];
	const struct z5_hparams *h = p->h;
	const uint32_t heads = h->n_head + h->n_head_kv;
	uint64_t u0, u1;

	if (p->m->arch->qk_norm == Z5_QK_WIDE)
		wide_norm(p, l);
	z5_split(p->t, (uint64_t)p->n * heads, &u0, &u1);
	for (uint64_t u = u0; u < u1; u++) {
		uint64_t t = u / heads;
		uint32_t i = u % heads, kv = i - h->n_head;
		float *key, *value;

		if (i < h->n_head) {
			turn(p, l, z5_row(&p->s->q, t) + i * h->hd_k, t, i, l->q_bias, l->q_norm);
			continue;
		}
		key = z5_row(&p->s->k, t) + kv * h->hd_k;
		value = z5_row(&p->s->v, t) + kv * h->hd_v;
		turn(p, l, key, t, kv, l->k_bias, l->k_norm);
		if (l->v_bias)
			z5_add(value, l->v_bias + kv * h->hd_v, h->hd_v);
		z5_pass_store(p, layer, kv, t, key, value);
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

void z5_attention(const struct z5_pass *p, unsigned int layer)
{
	const struct z5_layer *l = &p->m->layers[layer];
	const struct z5_hparams *h = p->h;
	const uint32_t rep = h->n_head / h->n_head_kv;
	const uint32_t tokens = rep < Z5_ATTN_QUERIES ? Z5_ATTN_QUERIES / rep : 1;
	const uint32_t tiles = (p->n + tokens - 1) / tokens;
	const uint64_t wanted = (uint64_t)p->t->n;
	uint32_t parts = (rep + Z5_ATTN_QUERIES - 1) / Z5_ATTN_QUERIES;
	const size_t hd_v = p->s->kv.hd_v;
	const double budget = p->m->rt->govern.budget / p->t->n;

	if (budget > 0)
		z5_budget_wait(&p->own->budget, budget,
			       (uint64_t)((double)p->s->kv.region.asked / h->n_cached / p->s->n_ctx / p->t->n *
					  (p->step->pos + p->n)));
	/*
	 * A unit is a KV head, some tokens and some of the query heads that share it: together they are as many queries
	 * as one call takes, unless smaller units are needed to keep all threads busy.
	 */
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
			.type = p->s->kv.type, .k = z5_kv_k(&p->s->kv, l->cached, kv),
			.v = z5_kv_v(&p->s->kv, l->cached, kv),
			.hd_k = h->hd_k, .hd_v = hd_v, .scale = h->attn_scale, .softcap = h->attn_softcap,
			.q = p->own->q, .out = p->own->out, .n_kv = p->own->n_kv,
			.from = l->window ? p->own->from : NULL, .sinks = l->sinks ? p->own->sinks : NULL,
			.state = p->own->state, .blocks = p->own->blocks,
		};

		for (uint32_t t = t0; t < t1; t++) {
			const uint32_t sees = p->step->pos + t + 1;

			for (uint32_t i = h0; i < h1; i++, a.n_q++) {
				p->own->q[a.n_q] = z5_row(&p->s->q, t) + i * h->hd_k;
				p->own->out[a.n_q] = z5_row(&p->s->att, t) + i * hd_v;
				p->own->n_kv[a.n_q] = sees;
				p->own->from[a.n_q] = sees > l->window ? sees - l->window : 0;
				p->own->sinks[a.n_q] = l->sinks ? l->sinks[i] : 0;
			}
		}
		p->k->attn(&a);
	}
	z5_barrier(p->t);
	close_heads(p);
}
