// SPDX-License-Identifier: MIT
/* A pass from end to end: from tokens to the residual stream, layer after layer, and from there to logits. */
#include <stdatomic.h>
#include <string.h>

#include "pass.h"

void z5_norm(const struct z5_pass *p, float *y, const float *x, const struct z5_norm *n)
{
	if (p->m->arch->layer_norm)
		p->k->layernorm(y, x, n->w, n->b, p->h->n_embd, p->h->eps);
	else
		p->k->rmsnorm(y, x, n->w, p->h->n_embd, p->h->eps);
}

void z5_prepare_norm(const struct z5_pass *p, const struct z5_norm *n, unsigned int forms)
{
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		if (n->w)
			z5_norm(p, y, z5_row(&p->s->x, t), n);
		else
			memcpy(y, z5_row(&p->s->x, t), p->h->n_embd * sizeof(float));
		z5_quantize(p, p->acts, t, y, p->h->n_embd, forms);
	}
	z5_share_tokens(p);
}

/* Embedding rows and rotary angles of the tokens. */
static void begin(const struct z5_pass *p)
{
	const struct z5_hparams *h = p->h;
	uint64_t t0, t1;

	z5_split(p->t, p->n, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		p->m->embd.ops->unpack_row(z5_row(&p->s->x, t), p->m->embd.data,
					   (size_t)p->step->tokens[t], h->n_embd);
		z5_weight_scale(&p->m->embd, z5_row(&p->s->x, t), h->n_embd);
		if (h->embd_scale != 1)
			z5_scale(z5_row(&p->s->x, t), h->embd_scale, h->n_embd);
		if (p->m->embd_norm.w)
			z5_norm(p, z5_row(&p->s->x, t), z5_row(&p->s->x, t), &p->m->embd_norm);
	}
	z5_pass_angles(p);
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

void z5_layer_end(const struct z5_pass *p, unsigned int i)
{
	if (p->t->i == 0 && p->n > 1)
		poll_cancel(p, i);
	z5_barrier(p->t);
}

/* What becomes of n products with the output matrix. */
static void finish_logits(const struct z5_pass *p, float *x, size_t n)
{
	if (p->h->logit_scale != 1)
		z5_scale(x, p->h->logit_scale, n);
	if (p->h->final_softcap > 0)
		p->k->softcap(x, n, p->h->final_softcap);
}

/* Logits of the last token, which every thread prepares for itself. */
static void logits(const struct z5_pass *p)
{
	float *x = (float *)p->own->acts.form[Z5_ACT_F32].p;
	uint64_t r0, r1;

	z5_norm(p, x, z5_row(&p->s->x, p->n - 1), &p->m->output_norm);
	z5_quantize(p, &p->own->acts, 0, x, p->h->n_embd, z5_form(&p->m->output));
	z5_product(p, &p->m->output, &p->own->acts, 1, p->s->logits, 0);
	z5_own_rows(p, &p->m->output, &r0, &r1);
	if (r0 < r1)
		finish_logits(p, p->s->logits + r0, r1 - r0);
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

			z5_norm(p, x, z5_row(&p->s->x, from + t), &p->m->output_norm);
			z5_quantize(p, &p->s->acts, t, x, p->h->n_embd, z5_form(&p->m->output));
		}
		z5_barrier(p->t);
		z5_product(p, &p->m->output, &p->s->acts, n, (float *)p->s->rows.p, p->s->rows.stride);
		z5_barrier(p->t);
		for (uint64_t t = t0; t < t1; t++) {
			float *row = p->step->all + (from + t) * n_vocab;

			memcpy(row, z5_row(&p->s->rows, t), n_vocab * sizeof(float));
			finish_logits(p, row, n_vocab);
		}
	}
}

void z5_pass_run(const struct z5_thread *t, void *arg, void (*layer)(const struct z5_pass *p, unsigned int i))
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
