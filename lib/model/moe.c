// SPDX-License-Identifier: MIT
/*
 * Mixture of experts (Shazeer et al., arXiv 1701.06538; as used since mixtral: 2401.04088). A token's result does not
 * depend on the tokens around it: its experts are chosen from its own logits by fixed rules, each expert's product is
 * that of any matrix, and the results are summed in order of rank.
 *
 * Tokens of a chunk are sorted by expert, so that each expert's weights are read once; a lone token's experts are
 * done side by side. A job is an expert with the slots, rows of the scratch buffers, of its tokens.
 */
#include "moe.h"

#include <math.h>
#include <string.h>

/* ---- binding ---- */

/* Experts in one tensor, or as old files have them, each in its own. */
static int bind_experts(struct zen5rt_model *m, struct z5_loader *ld, struct z5_stack *s, const char *role,
			uint64_t rows, uint64_t k, const char *merged, const char *parts, unsigned int i)
{
	const struct z5_moe_hparams *h = &m->h.moe;

	if (!z5_bind_has(ld, merged, i) && z5_bind_has(ld, parts, i))
		return z5_bind_parts(ld, s, role, h->n, h->used, rows, k, parts, i);
	return z5_bind_stack(ld, s, role, h->n, h->used, rows, k, merged, i);
}

static int bind_shared(struct zen5rt_model *m, struct z5_loader *ld, struct z5_moe *l, unsigned int i)
{
	const uint64_t n_embd = m->h.n_embd, n_ff = m->h.moe.n_ff_shared;
	int ret;

	if (!n_ff)
		return 0;
	if ((ret = z5_bind_matrix(ld, &l->shared_gate, "ffn_gate_shexp", n_ff, n_embd, false,
				  "blk.%u.ffn_gate_shexp.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->shared_up, "ffn_up_shexp", n_ff, n_embd, false,
				  "blk.%u.ffn_up_shexp.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->shared_down, "ffn_down_shexp", n_embd, n_ff, false,
				  "blk.%u.ffn_down_shexp.weight", i)))
		return ret;
	if (!m->arch->moe->shared)
		return 0;
	return z5_bind_matrix(ld, &l->shared_router, "ffn_gate_inp_shexp", 1, n_embd, false,
			      "blk.%u.ffn_gate_inp_shexp.weight", i);
}

static int bind_biases(struct zen5rt_model *m, struct z5_loader *ld, struct z5_moe *l, unsigned int i)
{
	const struct z5_moe_hparams *h = &m->h.moe;
	int ret;

	if ((ret = z5_bind_vector(ld, &l->router_bias, h->n, false, "blk.%u.ffn_gate_inp.bias", i)) ||
	    (ret = z5_bind_vectors(ld, &l->gate_bias, h->n_ff, h->n, false, "blk.%u.ffn_gate_exps.bias", i)) ||
	    (ret = z5_bind_vectors(ld, &l->up_bias, h->n_ff, h->n, false, "blk.%u.ffn_up_exps.bias", i)))
		return ret;
	return z5_bind_vectors(ld, &l->down_bias, m->h.n_embd, h->n, false, "blk.%u.ffn_down_exps.bias", i);
}

int z5_moe_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const uint64_t n_embd = m->h.n_embd, n_ff = m->h.moe.n_ff;
	struct z5_moe *l = &m->layers[i].moe;
	int ret;

	if ((ret = z5_bind_matrix(ld, &l->router, "ffn_gate_inp", m->h.moe.n, n_embd, false,
				  "blk.%u.ffn_gate_inp.weight", i)) ||
	    (ret = bind_experts(m, ld, &l->gate, "ffn_gate_exps", n_ff, n_embd, "blk.%u.ffn_gate_exps.weight",
				"blk.%u.ffn_gate.%u.weight", i)) ||
	    (ret = bind_experts(m, ld, &l->up, "ffn_up_exps", n_ff, n_embd, "blk.%u.ffn_up_exps.weight",
				"blk.%u.ffn_up.%u.weight", i)) ||
	    (ret = bind_experts(m, ld, &l->down, "ffn_down_exps", n_embd, n_ff, "blk.%u.ffn_down_exps.weight",
				"blk.%u.ffn_down.%u.weight", i)) ||
	    (ret = bind_shared(m, ld, l, i)) ||
	    (ret = z5_bind_vector(ld, &l->choice_bias, m->h.moe.n, true, "blk.%u.exp_probs_b.bias", i)))
		return ret;
	return m->arch->moe->oai ? bind_biases(m, ld, l, i) : 0;
}

unsigned int z5_moe_forms(const struct z5_moe *l)
{
	return z5_form(&l->router) | z5_form(&l->gate.w) | z5_form(&l->up.w) | z5_form(&l->shared_gate) |
	       z5_form(&l->shared_up) | z5_form(&l->shared_router);
}

/* ---- routing ---- */

/* The n_best largest of x, best first, the lower index first among equals. A NaN counts as the least of all. */
static void best(uint32_t *index, uint32_t n_best, float *x, uint32_t n)
{
	uint32_t have = 0;

	for (uint32_t i = 0; i < n; i++) {
		uint32_t j;

		x[i] = isnan(x[i]) ? -INFINITY : x[i];
		if (have < n_best)
			have++;
		else if (!(x[i] > x[index[have - 1]]))
			continue;
		for (j = have - 1; j && x[i] > x[index[j - 1]]; j--)
			index[j] = index[j - 1];
		index[j] = i;
	}
}

/*
 * Leaves only the experts of the best groups. A group is as good as its best expert (DeepSeek-V2, arXiv 2405.04434)
 * or, where experts are scored by a sigmoid, as its two best together (DeepSeek-V3, 2412.19437).
 */
static void choose_groups(const struct z5_moe_hparams *h, float *choice, struct z5_private *own)
{
	const uint32_t size = h->n / h->groups, top = h->gating == Z5_GATING_SIGMOID && size > 1 ? 2 : 1;
	float *score = own->moe.group;

	for (uint32_t g = 0; g < h->groups; g++) {
		float *x = choice + g * size;
		uint32_t two[2] = { 0, 0 };

		best(two, top, x, size);
		score[g] = x[two[0]];
		if (top > 1)
			score[g] += x[two[1]];
	}
	/* the best ones' scores become NaN as a mark */
	best(own->moe.chosen, h->groups_used, score, h->groups);
	for (uint32_t i = 0; i < h->groups_used; i++)
		score[own->moe.chosen[i]] = NAN;
	for (uint32_t g = 0; g < h->groups; g++)
		for (uint32_t i = 0; i < size && !isnan(score[g]); i++)
			choice[g * size + i] = -INFINITY;
}

static float sum(const float *x, uint32_t n)
{
	float s = 0;

	for (uint32_t i = 0; i < n; i++)
		s += x[i];
	return s;
}

static void scale(float *x, float by, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		x[i] *= by;
}

static void softmax(const struct z5_pass *p, float *x, uint32_t n)
{
	float max = -INFINITY;

	for (uint32_t i = 0; i < n; i++)
		max = x[i] > max ? x[i] : max;
	p->k->exp(x, x, max, n);
	scale(x, 1.0f / sum(x, n), n);
}

static void sigmoid(const struct z5_pass *p, float *x, uint32_t n)
{
	scale(x, -1.0f, n);
	p->k->exp(x, x, 0, n);
	for (uint32_t i = 0; i < n; i++)
		x[i] = 1.0f / (1.0f + x[i]);
}

/* The experts of a token and their weights, from the router's logits, which are lost. */
static void route(const struct z5_pass *p, const struct z5_moe *l, float *x, uint32_t *expert, float *weight)
{
	const struct z5_moe_hparams *h = &p->h->moe;
	float *choice = p->own->moe.choice;

	if (l->router_bias)
		z5_add(x, l->router_bias, h->n);
	if (h->gating == Z5_GATING_SOFTMAX)
		softmax(p, x, h->n);
	else if (h->gating == Z5_GATING_SIGMOID)
		sigmoid(p, x, h->n);
	memcpy(choice, x, h->n * sizeof(*x));
	if (l->choice_bias)
		z5_add(choice, l->choice_bias, h->n);
	if (h->groups_used < h->groups)
		choose_groups(h, choice, p->own);
	best(expert, h->used, choice, h->n);
	for (uint32_t i = 0; i < h->used; i++)
		weight[i] = x[expert[i]];
	if (h->gating == Z5_GATING_SOFTMAX_CHOSEN)
		softmax(p, weight, h->used);
	else if (h->norm)
		scale(weight, 1.0f / (sum(weight, h->used) + 1e-20f), h->used);
	scale(weight, h->scale, h->used);
}

/* ---- jobs ---- */

/* What a pass over some tokens works through: of the session for a chunk, of each thread for a lone token. */
struct plan {
	const struct z5_moe *l;
	const struct z5_moe_job *jobs;
	uint32_t n_jobs;
	const struct z5_acts *in;	/* input by slot; for a lone token the row that all share */
	struct z5_acts *mid;		/* by slot: input of the down matrices */
	const float *weight;		/* by token and rank */
	const uint32_t *slot;		/* the same */
};

static void plan_one(const struct z5_pass *p, struct plan *plan)
{
	const struct z5_moe_hparams *h = &p->h->moe;
	struct z5_private *own = p->own;

	memcpy(own->moe.logits, z5_row(&p->s->moe.logits, 0), h->n * sizeof(float));
	route(p, plan->l, own->moe.logits, own->moe.chosen, own->moe.weight);
	for (uint32_t i = 0; i < h->used; i++) {
		own->moe.jobs[i] = (struct z5_moe_job){ own->moe.chosen[i], i, 1 };
		own->moe.slot[i] = i;
	}
	plan->jobs = own->moe.jobs;
	plan->n_jobs = h->used;
	plan->in = p->acts;
	plan->mid = &own->moe.mid;
	plan->weight = own->moe.weight;
	plan->slot = own->moe.slot;
}

/* Slots in order of experts, then of tokens. */
static void sort(const struct z5_pass *p)
{
	const struct z5_moe_hparams *h = &p->h->moe;
	struct z5_moe_scratch *s = &p->s->moe;
	uint32_t slots = 0;

	s->n_jobs = 0;
	memset(s->next, 0, h->n * sizeof(*s->next));
	for (size_t i = 0; i < (size_t)p->n * h->used; i++)
		s->next[s->expert[i]]++;
	for (uint32_t e = 0; e < h->n; e++) {
		uint32_t n = s->next[e];

		s->next[e] = slots;
		if (n)
			s->jobs[s->n_jobs++] = (struct z5_moe_job){ e, slots, n };
		slots += n;
	}
	for (size_t i = 0; i < (size_t)p->n * h->used; i++) {
		s->slot[i] = s->next[s->expert[i]]++;
		s->token[s->slot[i]] = (uint32_t)(i / h->used);
	}
}

static void plan_many(const struct z5_pass *p, struct plan *plan)
{
	const struct z5_moe_hparams *h = &p->h->moe;
	const unsigned int forms = z5_form(&plan->l->gate.w) | z5_form(&plan->l->up.w);
	struct z5_moe_scratch *s = &p->s->moe;
	uint64_t from, to;

	z5_split(p->t, p->n, &from, &to);
	for (uint64_t t = from; t < to; t++)
		route(p, plan->l, z5_row(&s->logits, t), s->expert + t * h->used, s->weight + t * h->used);
	z5_barrier(p->t);
	if (p->t->i == 0)
		sort(p);
	z5_barrier(p->t);
	z5_split(p->t, (uint64_t)p->n * h->used, &from, &to);
	for (int i = 0; i < Z5_N_ACTS; i++)
		for (uint64_t u = from; u < to && forms >> i & 1; u++)
			memcpy(s->acts.form[i].p + u * s->acts.form[i].stride,
			       p->acts->form[i].p + s->token[u] * p->acts->form[i].stride,
			       z5_act_bytes((enum z5_act)i, p->h->n_embd));
	z5_barrier(p->t);
	plan->jobs = s->jobs;
	plan->n_jobs = s->n_jobs;
	plan->in = plan->mid = &s->acts;
	plan->weight = s->weight;
	plan->slot = s->slot;
}

/* ---- the experts ---- */

/* What a group of rows costs beside its tokens' work: to be read from memory. */
#define READ_COST 4

static uint64_t job_cost(const struct z5_moe_job *j)
{
	return j->n + READ_COST;
}

/* gate = activation(gate x) * up x for groups [g0, g1) of one job. */
static void expert_in(const struct z5_pass *p, const struct plan *plan, const struct z5_moe_job *j, uint64_t g0,
		      uint64_t g1)
{
	const struct z5_moe *l = plan->l;
	const size_t row = p->n > 1 ? j->slot : 0, n_ff = p->h->moe.n_ff, bias = j->expert * n_ff;
	const uint64_t r0 = g0 * Z5_GROUP, r1 = g1 * Z5_GROUP < n_ff ? g1 * Z5_GROUP : n_ff;
	const struct z5_buf *gate = &p->s->moe.gate, *up = &p->s->moe.up;

	z5_product_groups(p, &l->gate.w, z5_stack_at(&l->gate, j->expert), g0, g1, plan->in, row, j->n,
			  z5_row(gate, j->slot), gate->stride);
	z5_product_groups(p, &l->up.w, z5_stack_at(&l->up, j->expert), g0, g1, plan->in, row, j->n,
			  z5_row(up, j->slot), up->stride);
	for (uint32_t s = j->slot; s < j->slot + j->n; s++) {
		float *g = z5_row(gate, s) + r0, *u = z5_row(up, s) + r0;

		if (l->gate_bias) {
			z5_add(g, l->gate_bias + bias + r0, r1 - r0);
			z5_add(u, l->up_bias + bias + r0, r1 - r0);
		}
		if (p->h->moe.oai)
			p->k->swiglu_oai(g, u, r1 - r0);
		else
			p->k->silu_mul(g, u, r1 - r0);
	}
}

/* All jobs' first half; a thread's share is a run of groups over all of them. */
static void experts_in(const struct z5_pass *p, const struct plan *plan)
{
	const uint64_t groups = z5_weight_groups(&plan->l->gate.w);
	uint64_t total = 0, at = 0, from, to;

	for (uint32_t i = 0; i < plan->n_jobs; i++)
		total += job_cost(&plan->jobs[i]) * groups;
	z5_split(p->t, total, &from, &to);
	for (uint32_t i = 0; i < plan->n_jobs && at < to; i++) {
		const uint64_t cost = job_cost(&plan->jobs[i]), end = at + cost * groups;

		/* a group belongs to the thread whose share it begins in */
		if (end > from) {
			uint64_t g0 = from > at ? (from - at + cost - 1) / cost : 0;
			uint64_t g1 = to < end ? (to - at + cost - 1) / cost : groups;

			if (g0 < g1)
				expert_in(p, plan, &plan->jobs[i], g0, g1);
		}
		at = end;
	}
	z5_product_count(p, &plan->l->gate.w, plan->n_jobs, (uint64_t)p->n * p->h->moe.used);
	z5_product_count(p, &plan->l->up.w, plan->n_jobs, (uint64_t)p->n * p->h->moe.used);
	z5_barrier(p->t);
}

/* Inputs of the down matrices: a lone token's by every thread for itself. */
static void prepare_mid(const struct z5_pass *p, const struct plan *plan)
{
	const struct z5_moe *l = plan->l;
	const struct z5_moe_hparams *h = &p->h->moe;
	uint64_t from = 0, to = h->used;

	if (p->n > 1)
		z5_split(p->t, (uint64_t)p->n * h->used, &from, &to);
	for (uint64_t s = from; s < to; s++)
		z5_quantize(p, plan->mid, s, z5_row(&p->s->moe.gate, s), h->n_ff, z5_form(&l->down.w));
	if (l->shared_down.ops)
		z5_prepare(p, &p->s->gate, &l->shared_down);
	else
		z5_share_tokens(p);
}

/* y = the shared experts' result as it is weighted, 0 without any; for this thread's rows. */
static void shared_out(const struct z5_pass *p, const struct z5_moe *l, uint64_t r0, uint64_t r1)
{
	for (uint32_t t = 0; t < p->n; t++) {
		float *y = z5_row(&p->s->y, t) + r0, weight;

		if (!l->shared_down.ops) {
			memset(y, 0, (r1 - r0) * sizeof(*y));
		} else if (l->shared_router.ops) {
			weight = *z5_row(&p->s->moe.shared_weight, t);
			sigmoid(p, &weight, 1);
			scale(y, weight, (uint32_t)(r1 - r0));
		}
	}
}

static void experts_out(const struct z5_pass *p, const struct plan *plan)
{
	const struct z5_stack *down = &plan->l->down;
	const struct z5_moe_hparams *h = &p->h->moe;
	const struct z5_buf *out = &p->s->moe.y;
	uint64_t g0, g1, r0, r1;

	z5_own_groups(p, &down->w, &g0, &g1);
	z5_own_rows(p, &down->w, &r0, &r1);
	z5_product_count(p, &down->w, plan->n_jobs, (uint64_t)p->n * h->used);
	if (plan->l->shared_down.ops)
		z5_product_buf(p, &plan->l->shared_down, &p->s->y);
	if (r0 >= r1)
		return;
	shared_out(p, plan->l, r0, r1);
	for (uint32_t i = 0; i < plan->n_jobs; i++) {
		const struct z5_moe_job *j = &plan->jobs[i];

		z5_product_groups(p, &down->w, z5_stack_at(down, j->expert), g0, g1, plan->mid, j->slot, j->n,
				  z5_row(out, j->slot), out->stride);
		for (uint32_t s = j->slot; s < j->slot + j->n && plan->l->down_bias; s++)
			z5_add(z5_row(out, s) + r0, plan->l->down_bias + (size_t)j->expert * p->h->n_embd + r0,
			       r1 - r0);
	}
	for (uint32_t t = 0; t < p->n; t++)
		for (size_t i = (size_t)t * h->used; i < (size_t)(t + 1) * h->used; i++)
			z5_add_scaled(z5_row(&p->s->y, t) + r0, z5_row(out, plan->slot[i]) + r0, plan->weight[i],
				      r1 - r0);
}

void z5_moe_ffn(const struct z5_pass *p, const struct z5_moe *l)
{
	struct plan plan = { .l = l };

	z5_product_buf(p, &l->router, &p->s->moe.logits);
	if (l->shared_gate.ops) {
		uint64_t r0, r1;

		z5_product_buf(p, &l->shared_gate, &p->s->gate);
		z5_product_buf(p, &l->shared_up, &p->s->up);
		z5_own_rows(p, &l->shared_gate, &r0, &r1);
		for (uint32_t t = 0; t < p->n && r0 < r1; t++)
			p->k->silu_mul(z5_row(&p->s->gate, t) + r0, z5_row(&p->s->up, t) + r0, r1 - r0);
	}
	if (l->shared_router.ops)
		z5_product_buf(p, &l->shared_router, &p->s->moe.shared_weight);
	z5_barrier(p->t);
	if (p->n > 1)
		plan_many(p, &plan);
	else
		plan_one(p, &plan);
	experts_in(p, &plan);
	prepare_mid(p, &plan);
	experts_out(p, &plan);
}
