// SPDX-License-Identifier: MIT
/*
 * RWKV 6 (Peng et al., arXiv 2404.05892) and 7 (2503.14456): layers of a time mix, which carries a matrix for each head
 * from token to token, and a channel mix. Each input of a layer is mixed of the token's and its predecessor's. Products
 * take all tokens of a chunk at once; heads are divided among threads, each of which follows its own through all tokens
 * in order. rwkv6qwen2 (Goldstein et al., 2505.03005) and arwkv7 (Yueyu et al., 2501.15570) are a qwen2 whose attention
 * became a time mix.
 */
#include <math.h>
#include <string.h>

#include "layout.h"
#include "pass.h"
#include "rwkv.h"

/* Of the norm of heads; no key says so. */
#define HEAD_EPS 64e-5f

static void layout(struct zen5rt_session *s, struct z5_layout *l)
{
	const struct z5_wkv_hparams *h = &s->m->h.wkv;
	struct z5_rwkv_scratch *r = &s->rwkv;
	struct z5_buf *const wide[] = { &r->h, &r->r, &r->w, &r->k, &r->v, &r->g, &r->y };
	struct z5_buf *const seven[] = { &r->a, &r->kk, &r->first };
	const uint32_t rank[4] = { h->mix ? 5 * h->mix : h->gate, h->decay, h->iclr, h->value };
	const size_t n = s->n_ubatch, n_embd = s->m->h.n_embd;

	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++)
		z5_layout_floats(l, wide[i], n, n_embd);
	for (size_t i = 0; i < sizeof(seven) / sizeof(seven[0]); i++)
		z5_layout_floats(l, seven[i], h->mix ? 0 : n, n_embd);
	z5_layout_floats(l, &r->few_k, h->heads_kv ? n : 0, (size_t)h->heads_kv * h->size);
	z5_layout_floats(l, &r->few_v, h->heads_kv ? n : 0, (size_t)h->heads_kv * h->size);
	for (int i = 0; i < 4; i++)
		z5_layout_floats(l, &r->low[i], n, rank[i]);
	for (int i = 0; i < 5; i++)
		z5_layout_floats(l, &r->mix[i], h->mix ? n : 0, n_embd);
	for (unsigned int i = 0; i < z5_pool_n(s->m->rt->pool); i++)
		z5_layout_floats(l, &s->threads[i].h, 1, n_embd);
}

/* ---- token shift ---- */

/* The norm's result: every thread has a lone token's for itself. */
static const struct z5_buf *shifted(const struct z5_pass *p)
{
	return p->n > 1 ? &p->s->rwkv.h : &p->own->h;
}

static void shift_norm(const struct z5_pass *p, const struct z5_norm *norm)
{
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++)
		z5_norm(p, z5_row(shifted(p), t), z5_row(&p->s->x, t), norm);
	z5_share_tokens(p);
}

/* What token t's predecessor had; before the first of the chunk stands what the state keeps in a part. */
static const float *last(const struct z5_pass *p, unsigned int i, unsigned int part, uint64_t t)
{
	return t ? z5_row(shifted(p), t - 1) : z5_state_part(&p->s->state, i, part);
}

/* acts = the token mixed with its predecessor by mu, and by more, which may be NULL */
static void mixed(const struct z5_pass *p, unsigned int i, unsigned int part, const float *mu,
		  const struct z5_buf *more, unsigned int forms)
{
	const size_t n = p->h->n_embd;
	uint64_t t0, t1;

	/* others may still read what is there */
	z5_share_tokens(p);
	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		const float *x = z5_row(shifted(p), t), *before = last(p, i, part, t);
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		if (more)
			z5_lerp_more(y, x, before, mu, z5_row(more, t), n);
		else
			z5_lerp(y, x, before, mu, n);
		z5_quantize(p, p->acts, t, y, n, forms);
	}
	z5_share_tokens(p);
}

/* The last token's goes into the state, once nobody reads what was there: behind a barrier. */
static void keep_last(const struct z5_pass *p, unsigned int i, unsigned int part)
{
	uint64_t from, to;

	z5_split(p->t, p->h->n_embd, &from, &to);
	memcpy(z5_state_part(&p->s->state, i, part) + from, z5_row(shifted(p), p->n - 1) + from,
	       (to - from) * sizeof(float));
}

/* acts = k floats of x from column `from` on, bent by a map (Z5_N_MAPS: none), for a product with w */
static void bent(const struct z5_pass *p, const struct z5_buf *x, size_t from, unsigned int map,
		 const struct z5_weight *w)
{
	uint64_t t0, t1;

	z5_share_tokens(p);
	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		memcpy(y, z5_row(x, t) + from, w->k * sizeof(*y));
		if (map < Z5_N_MAPS)
			p->k->map[map](y, w->k);
		z5_quantize(p, p->acts, t, y, w->k, z5_form(w));
	}
	z5_share_tokens(p);
}

/* ---- heads ---- */

/* Heads [h0, h1) of some tokens. */
struct span {
	uint64_t h0, h1;
	uint32_t t, n;
};

/* A row's floats of these heads. */
static float *part(const struct z5_pass *p, const struct z5_buf *b, const struct span *s, uint32_t t)
{
	return z5_row(b, s->t + t) + s->h0 * p->h->wkv.size;
}

static struct z5_wkv wkv(const struct z5_pass *p, unsigned int i, const struct span *s)
{
	const struct z5_rwkv_scratch *b = &p->s->rwkv;
	const size_t size = p->h->wkv.size;

	return (struct z5_wkv){
		.size = size, .heads = s->h1 - s->h0, .n = s->n, .stride = b->r.stride / sizeof(float),
		.state = z5_state_part(&p->s->state, i, Z5_WKV_STATE) + s->h0 * z5_wkv_floats(size),
		.r = part(p, &b->r, s, 0), .w = part(p, &b->w, s, 0), .k = part(p, &b->k, s, 0),
		.v = part(p, &b->v, s, 0), .y = part(p, &b->y, s, 0),
	};
}

static void norm_heads(const struct z5_pass *p, const struct z5_rwkv *l, const struct span *s, float *y)
{
	const size_t size = p->h->wkv.size, at = s->h0 * size;

	for (size_t i = 0; i < (s->h1 - s->h0) * size && l->ln; i += size)
		p->k->layernorm(y + i, y + i, l->ln + at + i, l->ln_bias + at + i, size, HEAD_EPS);
}

/* What rwkv6 and rwkv6qwen2 leave of the state. */
static void decays6(const struct z5_pass *p, const struct z5_rwkv *l, const struct span *s, float *decay)
{
	const size_t at = s->h0 * p->h->wkv.size, n = (s->h1 - s->h0) * p->h->wkv.size;

	z5_add(decay, l->w0 + at, n);
	p->k->exp(decay, decay, 0, n);
	z5_scale(decay, -1, n);
	p->k->exp(decay, decay, 0, n);
}

/* The heads of rwkv6: r, w, k, v and g to g. */
static void heads6(const struct z5_pass *p, unsigned int i, const struct span *s)
{
	const struct z5_rwkv *l = &p->m->layers[i].rwkv;
	const struct z5_rwkv_scratch *b = &p->s->rwkv;
	const size_t at = s->h0 * p->h->wkv.size, n = (s->h1 - s->h0) * p->h->wkv.size;
	struct z5_wkv w = wkv(p, i, s);

	for (uint32_t t = 0; t < s->n; t++)
		decays6(p, l, s, part(p, &b->w, s, t));
	w.u = l->u + at;
	p->k->wkv6(&w);
	for (uint32_t t = 0; t < s->n; t++) {
		norm_heads(p, l, s, part(p, &b->y, s, t));
		p->k->silu_mul(part(p, &b->g, s, t), part(p, &b->y, s, t), n);
	}
}

/* y = what a row of few heads has for these heads */
static void spread(const struct z5_pass *p, const struct span *s, float *y, const float *few, const float *bias)
{
	const struct z5_wkv_hparams *h = &p->h->wkv;

	for (uint64_t i = s->h0; i < s->h1; i++, y += h->size) {
		const size_t at = i / (h->heads / h->heads_kv) * h->size;

		memcpy(y, few + at, h->size * sizeof(*y));
		if (bias)
			z5_add(y, bias + at, h->size);
	}
}

/* The heads of rwkv6qwen2: r, w, few_k, few_v and g to g. What is forgotten makes room for as much of the key. */
static void heads_gla(const struct z5_pass *p, unsigned int i, const struct span *s)
{
	const struct z5_rwkv *l = &p->m->layers[i].rwkv;
	const struct z5_rwkv_scratch *b = &p->s->rwkv;
	const size_t size = p->h->wkv.size, at = s->h0 * size, n = (s->h1 - s->h0) * size;
	const struct z5_wkv w = wkv(p, i, s);

	for (uint32_t t = 0; t < s->n; t++) {
		float *r = part(p, &b->r, s, t), *k = part(p, &b->k, s, t);

		decays6(p, l, s, part(p, &b->w, s, t));
		if (l->r_bias)
			z5_add(r, l->r_bias + at, n);
		z5_scale(r, 1.0f / sqrtf((float)size), n);
		spread(p, s, k, z5_row(&b->few_k, s->t + t), l->k_bias);
		z5_gla_key(k, part(p, &b->w, s, t), n);
		spread(p, s, part(p, &b->v, s, t), z5_row(&b->few_v, s->t + t), l->v_bias);
	}
	p->k->gla(&w);
	for (uint32_t t = 0; t < s->n; t++) {
		float *g = part(p, &b->g, s, t);

		p->k->map[Z5_MAP_SIGMOID](g, n);
		z5_mul(g, part(p, &b->y, s, t), n);
	}
}

/* Before the recurrence: decays, keys and values of token t from what products gave; y has that of in_v. */
static void begin7(const struct z5_pass *p, unsigned int i, const struct span *s, uint32_t t)
{
	const struct z5_rwkv *l = &p->m->layers[i].rwkv;
	const struct z5_rwkv_scratch *b = &p->s->rwkv;
	const size_t size = p->h->wkv.size, at = s->h0 * size, n = (s->h1 - s->h0) * size;
	float *w = part(p, &b->w, s, t), *a = part(p, &b->a, s, t), *v = part(p, &b->v, s, t);
	float *first = part(p, &b->first, s, t), *more = part(p, &b->y, s, t);

	z5_add(w, l->w0 + at, n);
	p->k->map[Z5_MAP_SIGMOID](w, n);
	/* exp(-0.5) */
	z5_scale(w, -0.606531f, n);
	p->k->exp(w, w, 0, n);
	z5_add(a, l->a0 + at, n);
	p->k->map[Z5_MAP_SIGMOID](a, n);
	if (i) {
		z5_add(more, l->v0 + at, n);
		p->k->map[Z5_MAP_SIGMOID](more, n);
		z5_lerp(v, v, first, more, n);
	} else {
		memcpy(first, v, n * sizeof(*v));
	}
	for (size_t j = 0; j < n; j += size)
		z5_wkv7_key(part(p, &b->k, s, t) + j, part(p, &b->kk, s, t) + j, a + j, l->k_k + at + j,
			    l->k_a + at + j, size);
}

/* The heads of rwkv7: what products gave to y. */
static void heads7(const struct z5_pass *p, unsigned int i, const struct span *s)
{
	const struct z5_rwkv *l = &p->m->layers[i].rwkv;
	const struct z5_rwkv_scratch *b = &p->s->rwkv;
	const size_t size = p->h->wkv.size, at = s->h0 * size, n = (s->h1 - s->h0) * size;
	struct z5_wkv w = wkv(p, i, s);

	for (uint32_t t = 0; t < s->n; t++)
		begin7(p, i, s, t);
	w.a = part(p, &b->kk, s, 0);
	w.b = part(p, &b->a, s, 0);
	p->k->wkv7(&w);
	for (uint32_t t = 0; t < s->n; t++) {
		float *y = part(p, &b->y, s, t);

		norm_heads(p, l, s, y);
		for (size_t j = 0; j < n; j += size)
			z5_wkv7_bonus(y + j, part(p, &b->r, s, t) + j, part(p, &b->k, s, t) + j,
				      part(p, &b->v, s, t) + j, l->r_k + at + j, size);
		if (l->in_g.b.ops)
			z5_mul(y, part(p, &b->g, s, t), n);
	}
}

/* This thread's heads through all tokens, some at a time. Barriers stand before and behind. */
static void through_heads(const struct z5_pass *p, unsigned int i,
			  void (*heads)(const struct z5_pass *p, unsigned int i, const struct span *s))
{
	struct span s = { .t = 0 };

	z5_barrier(p->t);
	z5_state_wait(p);
	z5_split(p->t, p->h->wkv.heads, &s.h0, &s.h1);
	for (; s.t < p->n && s.h0 < s.h1; s.t += s.n) {
		s.n = p->n - s.t < Z5_RECUR_TOKENS ? p->n - s.t : Z5_RECUR_TOKENS;
		heads(p, i, &s);
	}
	z5_barrier(p->t);
}

/* ---- time mix ---- */

/* What the predecessor's part of each of the five inputs depends on. */
static void mixes6(const struct z5_pass *p, const struct z5_rwkv *l, unsigned int i)
{
	struct z5_rwkv_scratch *b = &p->s->rwkv;
	uint64_t g0, g1;

	mixed(p, i, Z5_WKV_TIME, l->mix_x, NULL, z5_form(&l->mix_a));
	z5_product_buf(p, &l->mix_a, &b->low[0]);
	z5_barrier(p->t);
	z5_own_groups(p, &l->mix_b.w, &g0, &g1);
	for (uint32_t j = 0; j < 5; j++) {
		bent(p, &b->low[0], (size_t)j * p->h->wkv.mix, Z5_MAP_TANH, &l->mix_b.w);
		z5_product_groups(p, &l->mix_b.w, z5_stack_at(&l->mix_b, j), g0, g1, p->acts, 0, p->n,
				  z5_row(&b->mix[j], 0), b->mix[j].stride);
	}
	z5_product_count(p, &l->mix_b.w, 5, 5 * (uint64_t)p->n);
	z5_barrier(p->t);
}

static void time_mix6(const struct z5_pass *p, const struct z5_rwkv *l, unsigned int i)
{
	const bool few = p->h->wkv.heads_kv;
	struct z5_rwkv_scratch *b = &p->s->rwkv;
	const struct {
		const struct z5_weight *w;
		struct z5_buf *y;
	} in[5] = {
		{ &l->w.a, &b->low[1] }, { &l->k, few ? &b->few_k : &b->k }, { &l->v, few ? &b->few_v : &b->v },
		{ &l->r, &b->r }, { &l->g, &b->g },
	};

	mixes6(p, l, i);
	for (int j = 0; j < 5; j++) {
		mixed(p, i, Z5_WKV_TIME, l->mix + (size_t)j * p->h->n_embd, &b->mix[j], z5_form(in[j].w));
		z5_product_buf(p, in[j].w, in[j].y);
	}
	z5_barrier(p->t);
	keep_last(p, i, Z5_WKV_TIME);
	bent(p, &b->low[1], 0, Z5_MAP_TANH, &l->w.b);
	z5_product_buf(p, &l->w.b, &b->w);
	through_heads(p, i, few ? heads_gla : heads6);
	z5_prepare(p, &b->g, &l->out);
}

static void time_mix7(const struct z5_pass *p, const struct z5_rwkv *l, unsigned int i)
{
	struct z5_rwkv_scratch *b = &p->s->rwkv;
	/* in the order of the mixes: r, w, k, v, a, g; and of in_v, which has the input of v */
	const struct {
		const struct z5_weight *w, *also;
		struct z5_buf *y, *also_y;
	} in[6] = {
		{ &l->r, NULL, &b->r, NULL }, { &l->w.a, NULL, &b->low[1], NULL }, { &l->k, NULL, &b->k, NULL },
		{ &l->v, i ? &l->in_v.a : NULL, &b->v, &b->low[3] }, { &l->in_a.a, NULL, &b->low[2], NULL },
		{ &l->in_g.a, NULL, &b->low[0], NULL },
	};
	const struct {
		const struct z5_weight *w;
		struct z5_buf *x, *y;
		unsigned int map;
	} low[4] = {
		{ &l->w.b, &b->low[1], &b->w, Z5_MAP_TANH }, { &l->in_a.b, &b->low[2], &b->a, Z5_N_MAPS },
		{ &l->in_g.b, &b->low[0], &b->g, Z5_MAP_SIGMOID }, { &l->in_v.b, &b->low[3], &b->y, Z5_N_MAPS },
	};

	for (int j = 0; j < 6 && in[j].w->ops; j++) {
		mixed(p, i, Z5_WKV_TIME, l->mix + (size_t)j * p->h->n_embd, NULL,
		      z5_form(in[j].w) | (in[j].also ? z5_form(in[j].also) : 0));
		z5_product_buf(p, in[j].w, in[j].y);
		if (in[j].also)
			z5_product_buf(p, in[j].also, in[j].also_y);
	}
	z5_barrier(p->t);
	keep_last(p, i, Z5_WKV_TIME);
	for (int j = 0; j < 4; j++) {
		if (!low[j].w->ops)
			continue;
		bent(p, low[j].x, 0, low[j].map, low[j].w);
		z5_product_buf(p, low[j].w, low[j].y);
	}
	through_heads(p, i, heads7);
	z5_prepare(p, &b->y, &l->out);
}

/* ---- layers ---- */

/* Square of what is positive, for this thread's rows of the key. */
static void squares(const struct z5_pass *p, const struct z5_weight *key)
{
	uint64_t r0, r1;

	z5_own_rows(p, key, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		z5_relu_squared(z5_row(&p->s->gate, t) + r0, r1 - r0);
}

/* y = sigmoid(r) y for this thread's rows */
static void receive(const struct z5_pass *p, const struct z5_weight *w)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++) {
		float *r = z5_row(&p->s->rwkv.r, t) + r0;

		p->k->map[Z5_MAP_SIGMOID](r, r1 - r0);
		z5_mul(z5_row(&p->s->y, t) + r0, r, r1 - r0);
	}
}

static void channel_mix(const struct z5_pass *p, const struct z5_rwkv *l, unsigned int i)
{
	mixed(p, i, Z5_WKV_CHANNEL, l->mix_key, NULL, z5_form(&l->key));
	z5_product_buf(p, &l->key, &p->s->gate);
	squares(p, &l->key);
	if (l->receptance.ops) {
		mixed(p, i, Z5_WKV_CHANNEL, l->mix_receptance, NULL, z5_form(&l->receptance));
		z5_product_buf(p, &l->receptance, &p->s->rwkv.r);
	}
	z5_barrier(p->t);
	keep_last(p, i, Z5_WKV_CHANNEL);
	z5_prepare(p, &p->s->gate, &l->value);
	z5_product_buf(p, &l->value, &p->s->y);
	if (l->receptance.ops)
		receive(p, &l->receptance);
	z5_add_product(p, &l->value);
}

/* That of qwen2, which sees no other token. */
static void feed_forward(const struct z5_pass *p, const struct z5_layer *l)
{
	uint64_t r0, r1;

	z5_prepare_norm(p, &l->ffn_norm, z5_form(&l->gate) | z5_form(&l->up));
	z5_product_buf(p, &l->gate, &p->s->gate);
	z5_product_buf(p, &l->up, &p->s->up);
	z5_own_rows(p, &l->up, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		p->k->silu_mul(z5_row(&p->s->gate, t) + r0, z5_row(&p->s->up, t) + r0, r1 - r0);
	z5_barrier(p->t);
	z5_prepare(p, &p->s->gate, &l->down);
	z5_product_buf(p, &l->down, &p->s->y);
	z5_add_product(p, &l->down);
}

/* Files whose weights were made for it halve the residual stream now and then, so that it fits a half. */
static void halve(const struct z5_pass *p, const struct z5_weight *w)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		z5_scale(z5_row(&p->s->x, t) + r0, 0.5f, r1 - r0);
}

static void layer(const struct z5_pass *p, unsigned int i)
{
	const struct z5_rwkv *l = &p->m->layers[i].rwkv;
	const uint32_t rescale = p->h->wkv.rescale;

	shift_norm(p, &p->m->layers[i].attn_norm);
	if (p->h->wkv.mix)
		time_mix6(p, l, i);
	else
		time_mix7(p, l, i);
	z5_product_buf(p, &l->out, &p->s->y);
	z5_add_product(p, &l->out);
	z5_barrier(p->t);
	if (z5_rwkv_channel(p->h)) {
		shift_norm(p, &p->m->layers[i].ffn_norm);
		channel_mix(p, l, i);
	} else {
		feed_forward(p, &p->m->layers[i]);
	}
	if (rescale && (i + 1) % rescale == 0)
		halve(p, &l->value);
	z5_layer_end(p, i);
}

static void forward(const struct z5_thread *t, void *arg)
{
	z5_pass_run(t, arg, layer);
}

#define RWKV .bind = z5_rwkv_bind, .layout = layout, .forward = forward

const struct z5_arch z5_rwkv_archs[] = {
	{ .name = "rwkv6", RWKV, .layer_norm = true, .norm_bias = true, .hparams = z5_hparams_rwkv6 },
	{ .name = "rwkv7", RWKV, .layer_norm = true, .norm_bias = true, .hparams = z5_hparams_rwkv7 },
	{ .name = "rwkv6qwen2", RWKV, .hparams = z5_hparams_rwkv6qwen2 },
	{ .name = "arwkv7", RWKV, .hparams = z5_hparams_arwkv7 },
	{ .name = NULL },
};
