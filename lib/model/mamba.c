// SPDX-License-Identifier: MIT
/*
 * Mamba (Gu and Dao, arXiv 2312.00752) and Mamba 2 (Dao and Gu, 2405.21060): blocks of a gated selective scan behind a
 * short convolution. Products take all tokens of a chunk at once; what runs from token to token is divided among
 * threads by channels, or heads, each of which one thread follows through all tokens in order.
 */
#include "mamba.h"

#include "layout.h"

/* ---- binding ---- */

static int bind_ends(struct zen5rt_model *m, struct z5_loader *ld)
{
	const struct z5_hparams *h = &m->h;
	int ret;

	if ((ret = z5_bind_matrix(ld, &m->embd, "token_embd", h->n_vocab, h->n_embd, false, "token_embd.weight", 0)) ||
	    (ret = z5_bind_matrix(ld, &m->output, "output", h->n_vocab, h->n_embd, true, "output.weight", 0)))
		return ret;
	return z5_bind_norm(ld, &m->output_norm, false, "output_norm.weight", "output_norm.bias", 0);
}

static int bind_mamba(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	static const char in[] = "blk.%u.ssm_in.weight";
	const struct z5_ssm_hparams *h = &m->h.ssm;
	const uint64_t n_embd = m->h.n_embd, inner = h->inner;
	struct z5_ssm *l = &m->layers[i].ssm;
	int ret;

	if ((ret = z5_bind_rows(ld, &l->in_x, "ssm_in", 0, inner, 2 * inner, n_embd, in, i)) ||
	    (ret = z5_bind_rows(ld, &l->in_z, "ssm_in", inner, inner, 2 * inner, n_embd, in, i)) ||
	    (ret = z5_bind_matrix(ld, &l->x, "ssm_x", h->rank + 2 * (uint64_t)h->state, inner, false,
				  "blk.%u.ssm_x.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->dt, "ssm_dt", inner, h->rank, false, "blk.%u.ssm_dt.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->dt_bias, inner, false, "blk.%u.ssm_dt.bias", i)) ||
	    (ret = z5_bind_lines(ld, &l->a, inner, h->state, "blk.%u.ssm_a", i)))
		return ret;
	if (m->arch->ssm_norms &&
	    ((ret = z5_bind_vector(ld, &l->dt_norm, h->rank, false, "blk.%u.ssm_dt_norm.weight", i)) ||
	     (ret = z5_bind_vector(ld, &l->b_norm, h->state, false, "blk.%u.ssm_b_norm.weight", i)) ||
	     (ret = z5_bind_vector(ld, &l->c_norm, h->state, false, "blk.%u.ssm_c_norm.weight", i))))
		return ret;
	return z5_bind_vector(ld, &l->d, inner, false, "blk.%u.ssm_d", i);
}

static int bind_mamba2(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	static const char in[] = "blk.%u.ssm_in.weight";
	const struct z5_ssm_hparams *h = &m->h.ssm;
	const uint64_t n_embd = m->h.n_embd, inner = h->inner, all = inner + h->width + h->rank;
	struct z5_ssm *l = &m->layers[i].ssm;
	int ret;

	if ((ret = z5_bind_rows(ld, &l->in_z, "ssm_in", 0, inner, all, n_embd, in, i)) ||
	    (ret = z5_bind_rows(ld, &l->in_x, "ssm_in", inner, h->width, all, n_embd, in, i)) ||
	    (ret = z5_bind_rows(ld, &l->dt, "ssm_in", inner + h->width, h->rank, all, n_embd, in, i)) ||
	    (ret = z5_bind_vector(ld, &l->dt_bias, h->rank, false, "blk.%u.ssm_dt.bias", i)) ||
	    (ret = z5_bind_vectors(ld, &l->a, 1, h->rank, false, "blk.%u.ssm_a", i)) ||
	    (ret = z5_bind_vectors(ld, &l->d, 1, h->rank, false, "blk.%u.ssm_d", i)))
		return ret;
	return z5_bind_vectors(ld, &l->norm, inner / h->groups, h->groups, m->arch->hybrid == Z5_HYBRID_BOTH,
			       "blk.%u.ssm_norm.weight", i);
}

int z5_ssm_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	struct z5_ssm *l = &m->layers[i].ssm;
	int ret;

	if ((ret = z5_bind_lines(ld, &l->conv, h->ssm.width, h->ssm.conv, "blk.%u.ssm_conv1d.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->conv_bias, h->ssm.width, false, "blk.%u.ssm_conv1d.bias", i)) ||
	    (ret = z5_bind_matrix(ld, &l->out, "ssm_out", h->n_embd, h->ssm.inner, false, "blk.%u.ssm_out.weight", i)))
		return ret;
	return h->ssm.groups ? bind_mamba2(m, ld, i) : bind_mamba(m, ld, i);
}

static int bind(struct zen5rt_model *m, struct z5_loader *ld)
{
	int ret = bind_ends(m, ld);

	for (unsigned int i = 0; i < m->h.n_layer && !ret; i++) {
		ret = z5_bind_norm(ld, &m->layers[i].attn_norm, false, "blk.%u.attn_norm.weight", "blk.%u.attn_norm.bias", i);
		if (!ret)
			ret = z5_ssm_bind(m, ld, i);
	}
	return ret;
}

void z5_ssm_layout(struct zen5rt_session *s, struct z5_layout *l)
{
	const struct z5_ssm_hparams *h = &s->m->h.ssm;

	z5_layout_floats(l, &s->ssm.x, s->n_ubatch, h->width);
	z5_layout_floats(l, &s->ssm.z, s->n_ubatch, h->inner);
	z5_layout_floats(l, &s->ssm.bc, s->n_ubatch, h->groups ? 0 : h->rank + 2 * (size_t)h->state);
	z5_layout_floats(l, &s->ssm.dt, s->n_ubatch, h->groups ? h->rank : h->inner);
}

/* ---- the pass ---- */

unsigned int z5_ssm_forms(const struct z5_ssm *l)
{
	/* Mamba 1 makes dt of what was inside */
	return z5_form(&l->in_x) | z5_form(&l->in_z) | (l->x.ops ? 0 : z5_form(&l->dt));
}

/* Of layer i's state. */
static float *kept(const struct z5_pass *p, unsigned int i, unsigned int part)
{
	return z5_state_part(&p->s->state, p->m->layers[i].kept, part);
}

static size_t stride(const struct z5_buf *b)
{
	return b->stride / sizeof(float);
}

/* Inputs to the scan: products, and the convolution of what this thread computed. Ends with a barrier. */
static void inputs(const struct z5_pass *p, const struct z5_ssm *l, unsigned int i)
{
	const struct z5_ssm_hparams *h = &p->h->ssm;
	struct z5_ssm_scratch *s = &p->s->ssm;
	uint64_t g0, g1;
	struct z5_conv c = { .width = h->conv, .n = p->n, .stride = stride(&s->x) };

	z5_product_buf(p, &l->in_x, &s->x);
	z5_product_buf(p, &l->in_z, &s->z);
	if (h->groups)
		z5_product_buf(p, &l->dt, &s->dt);
	z5_own_groups(p, &l->in_x, &g0, &g1);
	c.groups = g1 - g0;
	c.w = l->conv + g0 * Z5_GROUP * h->conv;
	c.bias = l->conv_bias + g0 * Z5_GROUP;
	c.state = kept(p, i, Z5_SSM_CONV) + g0 * Z5_GROUP * (h->conv - 1);
	c.x = z5_row(&s->x, 0) + g0 * Z5_GROUP;
	p->k->conv(&c);
	z5_barrier(p->t);
}

static uint32_t tile(uint32_t left)
{
	return left < Z5_RECUR_TOKENS ? left : Z5_RECUR_TOKENS;
}

/* z = silu(z) y, for n floats of tokens [t, t + n_t) */
static void gate(const struct z5_pass *p, uint32_t t, uint32_t n_t, size_t from, size_t n)
{
	for (uint32_t i = t; i < t + n_t; i++)
		p->k->silu_mul(z5_row(&p->s->ssm.z, i) + from, z5_row(&p->s->ssm.x, i) + from, n);
}

/* dt = softplus(dt + bias), for the same */
static void steps(const struct z5_pass *p, const float *bias, uint32_t t, uint32_t n_t, size_t from, size_t n)
{
	for (uint32_t i = t; i < t + n_t; i++) {
		float *dt = z5_row(&p->s->ssm.dt, i) + from;

		z5_add(dt, bias + from, n);
		p->k->map[Z5_MAP_SOFTPLUS](dt, n);
	}
}

static void inner_norm(const struct z5_pass *p, float *x, const float *w, size_t n)
{
	if (w)
		p->k->rmsnorm(x, x, w, n, p->h->eps);
	else
		z5_unit_rms(x, n, p->h->eps);
}

/* dt's low rank form, B and C normalised, in the models that do so (Jamba, FalconMamba). */
static void inner_norms(const struct z5_pass *p, const struct z5_ssm *l)
{
	const struct z5_ssm_hparams *h = &p->h->ssm;
	uint64_t t0, t1;

	if (!l->dt_norm && !h->rms)
		return;
	z5_split(p->t, p->n, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *x = z5_row(&p->s->ssm.bc, t);

		inner_norm(p, x, l->dt_norm, h->rank);
		inner_norm(p, x + h->rank, l->b_norm, h->state);
		inner_norm(p, x + h->rank + h->state, l->c_norm, h->state);
	}
	z5_barrier(p->t);
}

/* acts = the gated result */
static void mamba(const struct z5_pass *p, const struct z5_ssm *l, unsigned int i)
{
	const struct z5_ssm_hparams *h = &p->h->ssm;
	struct z5_ssm_scratch *s = &p->s->ssm;
	struct z5_scan scan = {
		.n_state = h->state, .x_stride = stride(&s->x), .y_stride = stride(&s->x), .dt_stride = stride(&s->dt),
		.bc_stride = stride(&s->bc),
	};
	uint64_t r0, r1;

	z5_prepare(p, &s->x, &l->x);
	z5_product_buf(p, &l->x, &s->bc);
	z5_barrier(p->t);
	inner_norms(p, l);
	z5_prepare(p, &s->bc, &l->dt);
	z5_product_buf(p, &l->dt, &s->dt);
	z5_state_wait(p);
	/* in_x, in_z and dt have the same rows */
	z5_own_rows(p, &l->dt, &r0, &r1);
	scan.groups = (r1 - r0) / Z5_GROUP;
	scan.state = kept(p, i, Z5_SSM_STATE) + r0 * h->state;
	scan.a = l->a + r0 * h->state;
	scan.d = l->d + r0;
	for (uint32_t t = 0; t < p->n && r0 < r1; t += (uint32_t)scan.n) {
		scan.n = tile(p->n - t);
		steps(p, l->dt_bias, t, (uint32_t)scan.n, r0, r1 - r0);
		scan.x = scan.y = z5_row(&s->x, t) + r0;
		scan.dt = z5_row(&s->dt, t) + r0;
		scan.b = z5_row(&s->bc, t) + h->rank;
		scan.c = scan.b + h->state;
		p->k->scan(&scan);
		gate(p, t, (uint32_t)scan.n, r0, r1 - r0);
	}
	z5_barrier(p->t);
	z5_prepare(p, &s->z, &l->out);
}

/* Heads [h0, h1), which share B and C. */
static void scan_heads(const struct z5_pass *p, unsigned int i, uint64_t h0, uint64_t h1)
{
	const struct z5_ssm *l = &p->m->layers[i].ssm;
	const struct z5_ssm_hparams *h = &p->h->ssm;
	struct z5_ssm_scratch *s = &p->s->ssm;
	const size_t width = h->inner / h->rank, group = h0 / (h->rank / h->groups);
	struct z5_scan scan = {
		.n_state = h->state, .x_stride = stride(&s->x), .y_stride = stride(&s->x), .dt_stride = stride(&s->dt),
		.bc_stride = stride(&s->x), .head = width / Z5_GROUP, .groups = (h1 - h0) * width / Z5_GROUP,
		.state = kept(p, i, Z5_SSM_STATE) + h0 * width * h->state,
		.a = l->a + h0, .d = l->d + h0,
	};

	for (uint32_t t = 0; t < p->n; t += (uint32_t)scan.n) {
		scan.n = tile(p->n - t);
		steps(p, l->dt_bias, t, (uint32_t)scan.n, h0, h1 - h0);
		scan.x = scan.y = z5_row(&s->x, t) + h0 * width;
		scan.dt = z5_row(&s->dt, t) + h0;
		scan.b = z5_row(&s->x, t) + h->inner + group * h->state;
		scan.c = scan.b + (size_t)h->groups * h->state;
		p->k->scan(&scan);
		gate(p, t, (uint32_t)scan.n, h0 * width, (h1 - h0) * width);
	}
}

/* acts = the gated result, normalised by groups of heads */
static void group_norm(const struct z5_pass *p, const struct z5_ssm *l)
{
	const struct z5_ssm_hparams *h = &p->h->ssm;
	const size_t width = h->inner / h->groups;
	uint64_t t0, t1;

	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		for (size_t from = 0; from < h->inner; from += width)
			p->k->rmsnorm(y + from, z5_row(&p->s->ssm.z, t) + from, l->norm + from, width, p->h->eps);
		z5_quantize(p, p->acts, t, y, h->inner, z5_form(&l->out));
	}
	z5_share_tokens(p);
}

static void mamba2(const struct z5_pass *p, const struct z5_ssm *l, unsigned int i)
{
	const uint64_t together = p->h->ssm.rank / p->h->ssm.groups;
	uint64_t h0, h1;

	z5_state_wait(p);
	z5_split(p->t, p->h->ssm.rank, &h0, &h1);
	while (h0 < h1) {
		const uint64_t end = (h0 / together + 1) * together;

		scan_heads(p, i, h0, end < h1 ? end : h1);
		h0 = end;
	}
	z5_barrier(p->t);
	if (l->norm)
		group_norm(p, l);
	else
		z5_prepare(p, &p->s->ssm.z, &l->out);
}

void z5_ssm_block(const struct z5_pass *p, unsigned int i)
{
	const struct z5_ssm *l = &p->m->layers[i].ssm;

	inputs(p, l, i);
	if (p->h->ssm.groups)
		mamba2(p, l, i);
	else
		mamba(p, l, i);
	z5_product_buf(p, &l->out, &p->s->y);
}

static void layer(const struct z5_pass *p, unsigned int i)
{
	const struct z5_layer *l = &p->m->layers[i];

	z5_prepare_norm(p, &l->attn_norm, z5_ssm_forms(&l->ssm));
	z5_ssm_block(p, i);
	z5_add_product(p, &l->ssm.out);
	z5_layer_end(p, i);
}

static void forward(const struct z5_thread *t, void *arg)
{
	z5_pass_run(t, arg, layer);
}

#define MAMBA .bind = bind, .layout = z5_ssm_layout, .forward = forward

const struct z5_arch z5_mamba_archs[] = {
	{ .name = "mamba", .hparams = z5_hparams_mamba, MAMBA },
	{ .name = "mamba2", .hparams = z5_hparams_mamba2, MAMBA },
	{ .name = NULL },
};
