// SPDX-License-Identifier: MIT
#include "session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "fpenv.h"
#include "layout.h"

void zen5rt_session_params_init(struct zen5rt_session_params *params)
{
	memset(params, 0, sizeof(*params));
	params->size = sizeof(*params);
}

const char *zen5rt_kv_type(unsigned int i)
{
	return z5_kv_type_name(i);
}

static size_t at_least(size_t a, size_t b)
{
	return a > b ? a : b;
}

static void layout_acts(struct z5_layout *l, struct z5_acts *a, size_t rows, const struct z5_hparams *h)
{
	size_t k = at_least(h->n_embd, at_least(h->n_ff, h->moe.n_ff_shared));

	k = at_least(k, (size_t)h->n_head * h->hd_v);
	k = at_least(k, at_least(h->mla.q_lora, (size_t)h->n_head * h->mla.v));
	k = at_least(k, at_least(h->ssm.inner, h->ssm.rank));
	k = at_least(k, at_least(h->wkv.mix, h->wkv.decay));
	k = at_least(k, at_least(h->wkv.iclr, at_least(h->wkv.value, h->wkv.gate)));
	for (int i = 0; i < Z5_N_ACTS; i++)
		z5_layout_buf(l, &a->form[i], rows, z5_act_bytes(i, k));
}

/* Acts in some forms only. */
static void layout_forms(struct z5_layout *l, struct z5_acts *a, size_t rows, size_t k, unsigned int forms)
{
	for (int i = 0; i < Z5_N_ACTS; i++)
		if (forms >> i & 1)
			z5_layout_buf(l, &a->form[i], rows, z5_act_bytes(i, k));
}

/* As many as a matrix of so many rows writes. */
static size_t padded(size_t rows)
{
	return (rows + Z5_GROUP - 1) / Z5_GROUP * Z5_GROUP;
}

static void layout_moe(struct z5_layout *l, struct zen5rt_session *s)
{
	const struct z5_moe_hparams *h = &s->m->h.moe;
	const size_t n = s->n_ubatch, slots = n * h->used, n_embd = s->m->h.n_embd, f = sizeof(float);
	struct z5_moe_scratch *m = &s->moe;
	unsigned int in = 0, mid = 0;

	if (!h->n)
		return;
	for (uint32_t i = h->first; i < s->m->h.n_layer; i++) {
		const struct z5_moe *w = &s->m->layers[i].moe;

		if (!w->router.ops)
			continue;
		in |= 1u << w->gate.w.ops->act | 1u << w->up.w.ops->act;
		mid |= 1u << w->down.w.ops->act;
	}
	z5_layout_buf(l, &m->logits, n, h->n * f);
	z5_layout_buf(l, &m->shared_weight, n, Z5_GROUP * f);
	m->expert = z5_layout_bytes(l, slots * sizeof(*m->expert));
	m->slot = z5_layout_bytes(l, slots * sizeof(*m->slot));
	m->weight = z5_layout_bytes(l, slots * sizeof(*m->weight));
	m->token = z5_layout_bytes(l, slots * sizeof(*m->token));
	m->next = z5_layout_bytes(l, h->n * sizeof(*m->next));
	m->jobs = z5_layout_bytes(l, h->n * sizeof(*m->jobs));
	layout_forms(l, &m->acts, n > 1 ? slots : 0, at_least(n_embd, h->n_ff), in | mid);
	z5_layout_buf(l, &m->gate, slots, h->n_ff * f);
	z5_layout_buf(l, &m->up, slots, h->n_ff * f);
	z5_layout_buf(l, &m->y, slots, n_embd * f);
	for (unsigned int i = 0; i < z5_pool_n(s->m->rt->pool); i++) {
		struct z5_moe_private *p = &s->threads[i].moe;

		p->logits = z5_layout_bytes(l, h->n * f);
		p->choice = z5_layout_bytes(l, h->n * f);
		p->group = z5_layout_bytes(l, h->n * f);
		p->chosen = z5_layout_bytes(l, h->n * sizeof(*p->chosen));
		p->weight = z5_layout_bytes(l, h->used * f);
		p->slot = z5_layout_bytes(l, h->used * sizeof(*p->slot));
		p->jobs = z5_layout_bytes(l, h->used * sizeof(*p->jobs));
		layout_forms(l, &p->mid, h->used, h->n_ff, mid);
	}
}

static void layout_mla(struct z5_layout *l, struct zen5rt_session *s)
{
	const struct z5_hparams *h = &s->m->h;
	const struct z5_mla_hparams *m = &h->mla;
	const size_t n = s->n_ubatch, f = sizeof(float);
	unsigned int forms = 0;

	if (!m->kv_lora)
		return;
	for (uint32_t i = 0; i < h->n_layer; i++)
		forms |= 1u << s->m->layers[i].mla.k_b.w.ops->act | 1u << s->m->layers[i].mla.v_b.w.ops->act;
	z5_layout_buf(l, &s->mla.q_a, n, m->q_lora * f);
	z5_layout_buf(l, &s->mla.kv_a, n, ((size_t)m->kv_lora + h->rope.n_rot) * f);
	z5_layout_buf(l, &s->mla.q, n, (size_t)h->n_head * (m->nope + h->rope.n_rot) * f);
	z5_layout_buf(l, &s->mla.out, n, h->n_head * padded(m->v) * f);
	for (unsigned int i = 0; i < z5_pool_n(s->m->rt->pool); i++)
		layout_forms(l, &s->threads[i].head, Z5_MLA_TOKENS, at_least(m->nope, m->kv_lora), forms);
}

static void session_layout(struct zen5rt_session *s, struct z5_layout *l)
{
	const struct z5_hparams *h = &s->m->h;
	const size_t n = s->n_ubatch, f = sizeof(float);

	z5_layout_buf(l, &s->x, n, h->n_embd * f);
	z5_layout_buf(l, &s->q, n, (size_t)h->n_head * h->hd_k * f);
	z5_layout_buf(l, &s->k, n, (size_t)h->n_head_kv * h->hd_k * f);
	z5_layout_buf(l, &s->v, n, (size_t)h->n_head_kv * h->hd_v * f);
	z5_layout_buf(l, &s->att, n, (size_t)h->n_head * s->kv.hd_v * f);
	z5_layout_buf(l, &s->y, n, h->n_embd * f);
	z5_layout_buf(l, &s->gate, n, at_least(h->n_ff, h->moe.n_ff_shared) * f);
	z5_layout_buf(l, &s->up, n, at_least(h->n_ff, h->moe.n_ff_shared) * f);
	for (int i = 0; i < Z5_ROPE_SETS; i++) {
		z5_layout_buf(l, &s->cs[i], n, h->rope.n_rot * f);
		s->angle[i] = z5_layout_bytes(l, h->rope.n_rot / 2 * sizeof(double));
	}
	layout_acts(l, &s->acts, n, h);
	layout_moe(l, s);
	layout_mla(l, s);
	if (s->m->arch->layout)
		s->m->arch->layout(s, l);
	for (unsigned int i = 0; i < z5_pool_n(s->m->rt->pool); i++) {
		struct z5_private *p = &s->threads[i];

		layout_acts(l, &p->acts, 1, h);
		p->q = z5_layout_bytes(l, Z5_ATTN_QUERIES * sizeof(*p->q));
		p->out = z5_layout_bytes(l, Z5_ATTN_QUERIES * sizeof(*p->out));
		p->n_kv = z5_layout_bytes(l, Z5_ATTN_QUERIES * sizeof(*p->n_kv));
		p->from = z5_layout_bytes(l, Z5_ATTN_QUERIES * sizeof(*p->from));
		p->state = z5_layout_bytes(l, Z5_ATTN_QUERIES * 2 * sizeof(*p->state));
		p->sinks = z5_layout_bytes(l, Z5_ATTN_QUERIES * sizeof(*p->sinks));
		if (s->kv.type == Z5_KV_Q8_0)
			p->blocks = z5_layout_bytes(l, Z5_ATTN_QUERIES * z5_kv_blocks(h->hd_k) * sizeof(*p->blocks));
	}
	s->logits = z5_layout_bytes(l, ((size_t)h->n_vocab + 15) / 16 * 16 * f);
	z5_layout_buf(l, &s->rows, Z5_LOGITS_ROWS < n ? Z5_LOGITS_ROWS : n, ((size_t)h->n_vocab + 15) / 16 * 16 * f);
}

/* LongRoPE has one set of divisors for contexts up to the original one and another beyond. */
static void session_angles(struct zen5rt_session *s)
{
	const struct zen5rt_model *m = s->m;
	const float *longrope = s->n_ctx > m->h.rope.n_ctx_orig ? m->rope_long : m->rope_short;
	const unsigned int fp = z5_fp_enter();

	for (int i = 0; i < Z5_ROPE_SETS; i++)
		s->magnitude[i] = z5_rope_angles(&m->h.rope, (enum z5_rope_set)i,
						 m->rope_factors ? m->rope_factors : longrope, s->angle[i]);
	z5_fp_leave(fp);
}

/* Cache and state were promised but not touched yet, so they still count as available. */
static int check_memory(const struct zen5rt_session *s, size_t scratch, struct zen5rt_error *err)
{
	const struct z5_region *const memory[] = { &s->kv.region, &s->state.region };
	const char *use = "";
	size_t sum = scratch;

	for (int i = 0; i < 2; i++)
		if (memory[i]->backend && !memory[i]->backend->pooled) {
			use = *use ? use : memory[i]->use;
			sum += memory[i]->asked;
		}
	if (!*use || z5_mem_available() >= sum)
		return 0;
	return z5_fail(err, -ENOMEM, "%s and scratch need %zu MiB together, %llu MiB are available: ask for a smaller context or chunk",
		       use, sum >> 20, (unsigned long long)(z5_mem_available() >> 20));
}

int zen5rt_session_new(struct zen5rt_model *m, const struct zen5rt_session_params *params,
		       struct zen5rt_session **out, struct zen5rt_error *err)
{
	struct zen5rt_session_params p;
	struct zen5rt_session *s;
	struct z5_layout l = { 0 };
	enum z5_kv_type type;
	int ret;

	zen5rt_session_params_init(&p);
	if (params) {
		if (params->size < sizeof(size_t) || params->size > sizeof(p))
			return z5_fail(err, -EINVAL, "zen5rt_session_params: size %zu is not of this version",
				       params->size);
		memcpy(&p, params, params->size);
	}
	if (p.n_ctx > 1u << 30 || p.n_ubatch > 1u << 20)
		return z5_fail(err, -EINVAL, "n_ctx %u, n_ubatch %u: at most 2^30 and 2^20",
			       p.n_ctx, p.n_ubatch);
	ret = z5_kv_type_of(p.kv_type, &type, err);
	if (!ret && p.kv_type && !z5_keeps_kv(&m->h))
		ret = z5_fail(err, -EINVAL, "kv_type %s: architecture %s has no KV cache but a state", p.kv_type,
			      m->arch->name);
	if (ret)
		return ret;
	s = calloc(1, sizeof(*s));
	if (!s)
		return z5_fail(err, -ENOMEM, "out of memory");
	s->m = m;
	s->n_ctx = p.n_ctx ? p.n_ctx : z5_default_ctx(&m->h);
	s->n_ubatch = p.n_ubatch ? p.n_ubatch : 512;
	if (s->n_ubatch > s->n_ctx)
		s->n_ubatch = s->n_ctx;
	if (z5_keeps_state(&m->h))
		ret = z5_state_init(&s->state, m->h.keeps, m->h.n_kept, err);
	if (!ret && z5_keeps_kv(&m->h))
		ret = z5_kv_init(&s->kv, type, m->h.n_cached, m->h.n_head_kv, m->h.hd_k, m->h.hd_v, s->n_ctx, err);
	if (ret)
		goto err_free;
	s->threads = calloc(z5_pool_n(m->rt->pool), sizeof(*s->threads));
	if (!s->threads) {
		ret = z5_fail(err, -ENOMEM, "out of memory");
		goto err_free;
	}
	session_layout(s, &l);
	ret = check_memory(s, l.size, err);
	if (ret)
		goto err_free;
	ret = z5_region_alloc(&s->scratch, "scratch", l.size, Z5_PAGE_4K, err);
	if (ret)
		goto err_free;
	l = (struct z5_layout){ .base = s->scratch.addr };
	session_layout(s, &l);
	session_angles(s);
	*out = s;
	return 0;

err_free:
	zen5rt_session_free(s);
	return ret;
}

void zen5rt_session_free(struct zen5rt_session *s)
{
	if (!s)
		return;
	z5_region_free(&s->scratch);
	z5_kv_free(&s->kv);
	z5_state_free(&s->state);
	free(s->threads);
	free(s);
}

uint32_t zen5rt_session_n_ctx(const struct zen5rt_session *s)
{
	return s->n_ctx;
}

const char *zen5rt_session_kv_type(const struct zen5rt_session *s)
{
	return z5_keeps_kv(&s->m->h) ? z5_kv_type_name(s->kv.type) : "";
}

uint32_t zen5rt_session_pos(const struct zen5rt_session *s)
{
	return s->pos;
}

/* What a token at the session's position streams of weights, of KV cache, and of state, which it reads and writes. */
static uint64_t session_bytes(const struct zen5rt_session *s)
{
	return s->m->decode_bytes + 2 * s->state.bytes +
	       (uint64_t)((double)s->kv.region.asked * (s->pos + 1) / s->n_ctx);
}

/* A lone token is bound by memory, where fewer threads may do as well; more of them are work for all. */
static void session_run(struct zen5rt_session *s, struct z5_step *step)
{
	struct zen5rt *rt = s->m->rt;
	const unsigned int *counts = step->total == 1 ? z5_govern_counts(&rt->govern, s->m) : NULL;
	const uint64_t start = z5_now_ns();
	uint64_t ns;

	z5_pool_run_on(rt->pool, counts, s->m->arch->forward, step);
	ns = z5_now_ns() - start;
	if (step->cancelled)
		return;
	if (step->total == 1)
		z5_govern_decoded(&rt->govern, session_bytes(s), ns);
	else
		z5_govern_prefilled(&rt->govern, step->n, ns);
}

/* Where evaluations of more than a token begin and end: there they are cancelled to, and rewound to. */
static void keep_state(struct zen5rt_session *s, size_t n)
{
	if (z5_keeps_state(&s->m->h) && (n > 1 || s->was_long))
		z5_state_keep(&s->state, s->pos);
	s->was_long = n > 1;
}

static int eval(struct zen5rt_session *s, const int32_t *tokens, size_t n, float *all,
		struct zen5rt_error *err)
{
	const size_t n_vocab = s->m->h.n_vocab;
	struct zen5rt *rt = s->m->rt;
	uint32_t start = s->pos;
	int ret;

	if (!n)
		return z5_fail(err, -EINVAL, "no tokens to evaluate");
	if (n > s->n_ctx - s->pos)
		return z5_fail(err, -ENOSPC, "%zu tokens do not fit into the context: %u of %u positions are filled",
			       n, s->pos, s->n_ctx);
	for (size_t i = 0; i < n; i++)
		if (tokens[i] < 0 || (uint32_t)tokens[i] >= s->m->h.n_vocab)
			return z5_fail(err, -EINVAL, "token %d is outside the vocabulary of %u",
				       tokens[i], s->m->h.n_vocab);
	ret = z5_enter(rt, err);
	if (ret)
		return ret;
	keep_state(s, n);
	for (size_t i = 0; i < n && !ret; ) {
		size_t left = n - i;
		struct z5_step step = {
			.s = s, .tokens = tokens + i, .pos = s->pos, .done = i, .total = n,
			.n = left < s->n_ubatch ? left : s->n_ubatch,
		};

		step.logits = step.n == left;
		step.all = all && step.n > 1 ? all + i * n_vocab : NULL;
		step.logits |= all && !step.all;
		if (z5_progress(rt, ZEN5RT_STAGE_PREFILL, i, n))
			step.cancelled = true;
		else
			session_run(s, &step);
		if (step.cancelled) {
			s->pos = start;
			if (z5_keeps_state(&s->m->h) && n > 1)
				z5_state_rewind(&s->state, start);
			/* chunks before this one have left theirs */
			if (all && i)
				s->have_logits = false;
			ret = z5_fail(err, -ECANCELED, "cancelled after %zu of %zu tokens", i, n);
		} else {
			s->pos += step.n;
			i += step.n;
			if (step.all)
				memcpy(s->logits, step.all + (step.n - 1) * n_vocab, n_vocab * sizeof(float));
			else if (all)
				memcpy(all + (i - 1) * n_vocab, s->logits, n_vocab * sizeof(float));
		}
	}
	z5_leave(rt);
	if (!ret) {
		s->have_logits = true;
		s->logits_pos = s->pos;
	}
	return ret;
}

int zen5rt_eval(struct zen5rt_session *s, const int32_t *tokens, size_t n, struct zen5rt_error *err)
{
	return eval(s, tokens, n, NULL, err);
}

int zen5rt_eval_all(struct zen5rt_session *s, const int32_t *tokens, size_t n, float *logits,
		    struct zen5rt_error *err)
{
	return eval(s, tokens, n, logits, err);
}

const float *zen5rt_logits(const struct zen5rt_session *s)
{
	return s->have_logits ? s->logits : NULL;
}

uint32_t zen5rt_session_can_rewind(const struct zen5rt_session *s, uint32_t pos)
{
	if (pos >= s->pos)
		return s->pos;
	return z5_keeps_state(&s->m->h) ? z5_state_back(&s->state, pos) : pos;
}

int zen5rt_session_rewind(struct zen5rt_session *s, uint32_t pos)
{
	int ret = 0;

	if (pos > s->pos)
		return -EINVAL;
	if (z5_keeps_state(&s->m->h) && pos < s->pos)
		ret = z5_state_rewind(&s->state, pos);
	if (!ret)
		s->pos = pos;
	return ret;
}

int zen5rt_session_region(const struct zen5rt_session *s, unsigned int i,
			  struct zen5rt_region_info *info)
{
	const struct z5_hparams *h = &s->m->h;
	const struct z5_region *const r[] = {
		z5_keeps_kv(h) ? &s->kv.region : &s->state.region, &s->scratch, &s->state.region,
	};

	if (i > 2 || (i == 2 && !(z5_keeps_kv(h) && z5_keeps_state(h))))
		return -EINVAL;
	z5_region_info(r[i], info);
	return 0;
}
