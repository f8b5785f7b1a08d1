// SPDX-License-Identifier: MIT
/*
 * Multi-head latent attention (DeepSeek-V2, arXiv 2405.04434, section 2.1), in the absorbed form: a position leaves
 * one latent vector c and one turned key for all heads in the cache. A head's keys would be k_b c; instead its
 * query becomes transposed k_b q, and meets c itself. The weighted sum of c then goes through the head's v_b. So
 * the cache is that of one KV head of kv_lora + n_rot, for as many heads as there are.
 */
#include "mla.h"

#include <string.h>

/* ---- binding ---- */

/*
 * Files have k_b, transposed, and v_b, each in a tensor of heads; old ones have both in attn_kv_b, a head's rows of k_b
 * before those of its v_b.
 */
int z5_mla_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const struct z5_mla_hparams *a = &h->mla;
	const uint64_t n_q = (uint64_t)h->n_head * (a->nope + h->rope.n_rot);
	struct z5_mla *l = &m->layers[i].mla;
	int ret;

	if (a->q_lora)
		ret = (ret = z5_bind_matrix(ld, &l->q_a, "attn_q_a", a->q_lora, h->n_embd, false,
					    "blk.%u.attn_q_a.weight", i)) ? ret :
		      (ret = z5_bind_vector(ld, &l->q_a_norm, a->q_lora, false,
					    "blk.%u.attn_q_a_norm.weight", i)) ? ret :
		      z5_bind_matrix(ld, &l->q_b, "attn_q_b", n_q, a->q_lora, false, "blk.%u.attn_q_b.weight", i);
	else
		ret = z5_bind_matrix(ld, &l->q_b, "attn_q", n_q, h->n_embd, false, "blk.%u.attn_q.weight", i);
	if (ret ||
	    (ret = z5_bind_matrix(ld, &l->kv_a, "attn_kv_a_mqa", a->kv_lora + h->rope.n_rot, h->n_embd, false,
				  "blk.%u.attn_kv_a_mqa.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->kv_a_norm, a->kv_lora, false, "blk.%u.attn_kv_a_norm.weight", i)))
		return ret;
	if (!z5_bind_has(ld, "blk.%u.attn_k_b.weight", i)) {
		const char *name = "blk.%u.attn_kv_b.weight";

		ret = z5_bind_slices(ld, &l->k_b, "attn_k_b", h->n_head, a->kv_lora, a->nope, 0, a->nope + a->v,
				     true, name, i);
		return ret ? ret : z5_bind_slices(ld, &l->v_b, "attn_v_b", h->n_head, a->v, a->kv_lora, a->nope,
						  a->nope + a->v, false, name, i);
	}
	/* some files have both forms */
	z5_bind_nothing(ld, "blk.%u.attn_kv_b.weight", i);
	ret = z5_bind_stack(ld, &l->k_b, "attn_k_b", h->n_head, h->n_head, a->kv_lora, a->nope,
			    "blk.%u.attn_k_b.weight", i);
	return ret ? ret : z5_bind_stack(ld, &l->v_b, "attn_v_b", h->n_head, h->n_head, a->v, a->kv_lora,
					 "blk.%u.attn_v_b.weight", i);
}

unsigned int z5_mla_forms(const struct z5_mla *l)
{
	return z5_form(&l->kv_a) | z5_form(l->q_a.ops ? &l->q_a : &l->q_b);
}

/* ---- a matrix of each head ---- */

/*
 * For each head of w and each token: y[head * y_width] = w x[head * x_width]. Threads own groups of rows, counted
 * through all heads; each prepares the inputs of its heads for itself, some tokens at a time.
 */
static void by_head(const struct z5_pass *p, const struct z5_stack *w, const struct z5_buf *x, size_t x_width,
		    const struct z5_buf *y, size_t y_width)
{
	const uint64_t groups = z5_weight_groups(&w->w);
	uint64_t from, to;

	z5_split(p->t, groups * w->n, &from, &to);
	for (uint64_t g = from; g < to; ) {
		const uint32_t head = (uint32_t)(g / groups);
		const uint64_t g0 = g % groups, g1 = to - g < groups - g0 ? g0 + (to - g) : groups;

		for (uint32_t t = 0, n; t < p->n; t += n) {
			n = p->n - t < Z5_MLA_TOKENS ? p->n - t : Z5_MLA_TOKENS;
			for (uint32_t i = 0; i < n; i++)
				z5_quantize(p, &p->own->head, i, z5_row(x, t + i) + head * x_width, w->w.k,
					    z5_form(&w->w));
			z5_product_groups(p, &w->w, z5_stack_at(w, head), g0, g1, &p->own->head, 0, n,
					  z5_row(y, t) + head * y_width, y->stride);
		}
		g += g1 - g0;
	}
	z5_product_count(p, &w->w, w->n, (uint64_t)w->n * p->n);
}

/* ---- before attention ---- */

/* Latent vectors and turned keys into the cache. */
static void store(const struct z5_pass *p, unsigned int layer)
{
	const struct z5_hparams *h = p->h;
	uint64_t t0, t1;

	z5_split(p->t, p->n, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *c = z5_row(&p->s->mla.kv_a, t);

		p->k->rmsnorm(c, c, p->m->layers[layer].mla.kv_a_norm, h->mla.kv_lora, h->eps);
		z5_rope(c + h->mla.kv_lora, z5_row(&p->s->cs[Z5_ROPE_GLOBAL], t), h->rope.n_rot, p->m->arch->neox);
		z5_pass_store(p, layer, 0, t, c, c);
	}
}

/* Queries from their low-rank form. */
static void queries(const struct z5_pass *p, const struct z5_mla *l)
{
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		p->k->rmsnorm(y, z5_row(&p->s->mla.q_a, t), l->q_a_norm, p->h->mla.q_lora, p->h->eps);
		z5_quantize(p, p->acts, t, y, p->h->mla.q_lora, z5_form(&l->q_b));
	}
	z5_share_tokens(p);
	z5_product_buf(p, &l->q_b, &p->s->mla.q);
}

/* The part of each query that turns, behind where its absorbed part goes. */
static void turn_queries(const struct z5_pass *p)
{
	const struct z5_hparams *h = p->h;
	const uint32_t nope = h->mla.nope, width = nope + h->rope.n_rot;
	uint64_t u0, u1;

	z5_split(p->t, (uint64_t)p->n * h->n_head, &u0, &u1);
	for (uint64_t u = u0; u < u1; u++) {
		const uint64_t t = u / h->n_head, i = u % h->n_head;
		float *q = z5_row(&p->s->q, t) + i * h->hd_k + h->mla.kv_lora;

		memcpy(q, z5_row(&p->s->mla.q, t) + i * width + nope, h->rope.n_rot * sizeof(*q));
		z5_rope(q, z5_row(&p->s->cs[Z5_ROPE_GLOBAL], t), h->rope.n_rot, p->m->arch->neox);
	}
}

void z5_mla_heads(const struct z5_pass *p, unsigned int layer)
{
	const struct z5_mla *l = &p->m->layers[layer].mla;
	const struct z5_hparams *h = p->h;

	z5_product_buf(p, &l->kv_a, &p->s->mla.kv_a);
	if (l->q_a.ops)
		z5_product_buf(p, &l->q_a, &p->s->mla.q_a);
	else
		z5_product_buf(p, &l->q_b, &p->s->mla.q);
	z5_barrier(p->t);
	store(p, layer);
	if (l->q_a.ops) {
		queries(p, l);
		z5_barrier(p->t);
	}
	turn_queries(p);
	by_head(p, &l->k_b, &p->s->mla.q, h->mla.nope + h->rope.n_rot, &p->s->q, h->hd_k);
	z5_barrier(p->t);
}

/* ---- behind it ---- */

void z5_mla_result(const struct z5_pass *p, const struct z5_mla *l, const struct z5_weight *o)
{
	const size_t from = z5_weight_groups(&l->v_b.w) * Z5_GROUP, to = p->h->mla.v;
	uint64_t t0, t1;

	by_head(p, &l->v_b, &p->s->att, p->s->kv.hd_v, &p->s->mla.out, from);
	z5_barrier(p->t);
	if (from != to) {
		/* whole groups were written, the next matrix wants heads side by side */
		z5_split(p->t, p->n, &t0, &t1);
		for (uint64_t t = t0; t < t1; t++)
			for (uint32_t i = 1; i < p->h->n_head; i++)
				memmove(z5_row(&p->s->mla.out, t) + i * to, z5_row(&p->s->mla.out, t) + i * from,
					to * sizeof(float));
		z5_barrier(p->t);
	}
	z5_prepare(p, &p->s->mla.out, o);
}
