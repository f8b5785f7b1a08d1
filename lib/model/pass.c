// SPDX-License-Identifier: MIT
#include "pass.h"

#include <string.h>

void z5_own_groups(const struct z5_pass *p, const struct z5_weight *w, uint64_t *g0, uint64_t *g1)
{
	z5_split(p->t, z5_weight_groups(w), g0, g1);
}

void z5_own_rows(const struct z5_pass *p, const struct z5_weight *w, uint64_t *r0, uint64_t *r1)
{
	z5_own_groups(p, w, r0, r1);
	*r0 *= Z5_GROUP;
	*r1 *= Z5_GROUP;
	*r1 = *r1 < w->rows ? *r1 : w->rows;
}

void z5_own_tokens(const struct z5_pass *p, uint64_t *t0, uint64_t *t1)
{
	*t0 = 0;
	*t1 = 1;
	if (p->n > 1)
		z5_split(p->t, p->n, t0, t1);
}

void z5_share_tokens(const struct z5_pass *p)
{
	if (p->n > 1)
		z5_barrier(p->t);
}

/* Tokens whose activations stay in the second-level cache while all rows pass by. */
#define CACHED_BYTES (512u << 10)

static void product_range(const struct z5_pass *p, const struct z5_weight *w, const void *data,
			  uint64_t g0, uint64_t g1, const struct z5_acts *acts, size_t row,
			  uint32_t n, float *y, size_t y_stride)
{
	const struct z5_buf *x = &acts->form[w->ops->act];
	size_t at_once = CACHED_BYTES / z5_act_bytes(w->ops->act, w->k) / 8 * 8;

	at_once = at_once < 16 ? 16 : at_once;
	for (size_t t = 0; t < n; t += at_once) {
		const size_t part = n - t < at_once ? n - t : at_once;
		float *to = y + t * y_stride / sizeof(float);

		p->k->matmul[z5_type_of(w->ops)](to, y_stride / sizeof(float), data, w->k, g0, g1,
						 x->p + (row + t) * x->stride, x->stride, part);
		for (size_t i = 0; i < part; i++, to += y_stride / sizeof(float))
			z5_weight_scale(w, to + g0 * Z5_GROUP, (g1 - g0) * Z5_GROUP);
	}
}

/* What is read between two looks at the budget, in seconds of it: a quarter of its bucket. */
#define BUDGET_STEP (0.25e-9 * Z5_BUDGET_DEPTH_NS)

void z5_product_groups(const struct z5_pass *p, const struct z5_weight *w, const void *data, uint64_t g0, uint64_t g1,
		       const struct z5_acts *acts, size_t row, uint32_t n, float *y, size_t y_stride)
{
	const double budget = p->m->rt->govern.budget / p->t->n;
	const size_t group = w->ops->group_bytes(w->k);
	uint64_t step;

	if (!(budget > 0)) {
		product_range(p, w, data, g0, g1, acts, row, n, y, y_stride);
		return;
	}
	step = (uint64_t)(budget * BUDGET_STEP / (double)group) + 1;
	for (uint64_t g = g0; g < g1; g += step) {
		const uint64_t end = g1 - g < step ? g1 : g + step;

		z5_budget_wait(&p->own->budget, budget, group * (end - g));
		product_range(p, w, data, g, end, acts, row, n, y, y_stride);
	}
}

void z5_product_count(const struct z5_pass *p, const struct z5_weight *w, uint64_t calls, uint64_t n)
{
	if (p->t->i == 0) {
		struct z5_kind *kind = &p->s->m->kinds[w->kind];

		kind->calls += calls;
		kind->columns += n;
	}
}

void z5_product(const struct z5_pass *p, const struct z5_weight *w, const struct z5_acts *acts, uint32_t n,
		float *y, size_t y_stride)
{
	uint64_t g0, g1;

	z5_own_groups(p, w, &g0, &g1);
	z5_product_groups(p, w, w->data, g0, g1, acts, 0, n, y, y_stride);
	z5_product_count(p, w, 1, n);
}

void z5_product_buf(const struct z5_pass *p, const struct z5_weight *w, struct z5_buf *y)
{
	z5_product(p, w, p->acts, p->n, (float *)y->p, y->stride);
}

void z5_quantize(const struct z5_pass *p, struct z5_acts *acts, size_t t, const float *x, size_t k,
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

void z5_prepare(const struct z5_pass *p, const struct z5_buf *x, const struct z5_weight *w)
{
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++)
		z5_quantize(p, p->acts, t, z5_row(x, t), w->k, z5_form(w));
	z5_share_tokens(p);
}

void z5_add_product(const struct z5_pass *p, const struct z5_weight *w)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++)
		z5_add(z5_row(&p->s->x, t) + r0, z5_row(&p->s->y, t) + r0, r1 - r0);
}

void z5_state_wait(const struct z5_pass *p)
{
	const double budget = p->m->rt->govern.budget / p->t->n;

	if (budget > 0)
		z5_budget_wait(&p->own->budget, budget, p->s->state.layer_bytes / p->t->n);
}
