// SPDX-License-Identifier: MIT
/*
 * The llama family: transformers with rotary positions, grouped-query attention and one feed-forward a layer. llama
 * (Touvron et al., arXiv 2302.13971 and 2307.09288; llama 3: 2407.21783; mistral: 2310.06825), qwen2 (2407.10671),
 * qwen3 (2505.09388), gemma (2403.08295), gemma 2 (2408.00118), gemma 3 (2503.19786), phi 3 (2404.14219), olmo 2
 * (2501.00656), granite (2407.13739), stablelm 2 (2402.17834), starcoder 2 (2402.19173), command-r (Cohere's model
 * card and published code), BitNet b1.58 (2402.17764, 2504.12285); with experts in moe.c and latent attention in mla.c:
 * mixtral, qwen 2 and 3 MoE, deepseek 2; with blocks of Mamba, of mamba.c, in some layers: Jamba (2403.19887), granite
 * 4 (IBM's model card and published code), Nemotron-H (2504.03624), Falcon-H1 (2507.22448). What sets them apart is in
 * the table at the end.
 */
#include "mamba.h"
#include "mla.h"
#include "moe.h"

/* ---- binding ---- */

static int bind_scale(struct zen5rt_model *m, struct z5_loader *ld, struct z5_weight *w, const char *name,
		      unsigned int i)
{
	return m->arch->sub_norm ? z5_bind_scale(ld, w, name, i) : 0;
}

static int bind_qkv(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const struct z5_arch *arch = m->arch;
	const bool bias = !arch->qkv_bias;
	const uint64_t nq = (uint64_t)h->n_head * h->hd_k, nk = (uint64_t)h->n_head_kv * h->hd_k;
	const uint64_t nv = (uint64_t)h->n_head_kv * h->hd_v, all = nq + nk + nv;
	struct z5_layer *l = &m->layers[i];
	static const char fused[] = "blk.%u.attn_qkv.weight";
	int ret;

	if (arch->fused) {
		if ((ret = z5_bind_rows(ld, &l->q, "attn_q", 0, nq, all, h->n_embd, fused, i)) ||
		    (ret = z5_bind_rows(ld, &l->k, "attn_k", nq, nk, all, h->n_embd, fused, i)))
			return ret;
		return z5_bind_rows(ld, &l->v, "attn_v", nq + nk, nv, all, h->n_embd, fused, i);
	}
	if ((ret = z5_bind_matrix(ld, &l->q, "attn_q", nq, h->n_embd, false, "blk.%u.attn_q.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->k, "attn_k", nk, h->n_embd, false, "blk.%u.attn_k.weight", i)) ||
	    (ret = z5_bind_matrix(ld, &l->v, "attn_v", nv, h->n_embd, false, "blk.%u.attn_v.weight", i)) ||
	    (ret = bind_scale(m, ld, &l->q, "blk.%u.attn_q.scale", i)) ||
	    (ret = bind_scale(m, ld, &l->k, "blk.%u.attn_k.scale", i)) ||
	    (ret = bind_scale(m, ld, &l->v, "blk.%u.attn_v.scale", i)) ||
	    (ret = z5_bind_vector(ld, &l->q_bias, nq, bias, "blk.%u.attn_q.bias", i)) ||
	    (ret = z5_bind_vector(ld, &l->k_bias, nk, bias, "blk.%u.attn_k.bias", i)))
		return ret;
	return z5_bind_vector(ld, &l->v_bias, nv, bias, "blk.%u.attn_v.bias", i);
}

static int bind_qk_norm(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	static const char q[] = "blk.%u.attn_q_norm.weight", k[] = "blk.%u.attn_k_norm.weight";
	const struct z5_hparams *h = &m->h;
	struct z5_layer *l = &m->layers[i];
	uint64_t nq = h->hd_k, nk = nq;
	int ret;

	switch (m->arch->qk_norm) {
	case Z5_QK_NONE:
		return 0;
	case Z5_QK_OPTIONAL:
		ret = z5_bind_vectors(ld, &l->q_norm, nq, h->n_head, true, q, i);
		return ret ? ret : z5_bind_vectors(ld, &l->k_norm, nk, h->n_head_kv, true, k, i);
	case Z5_QK_WIDE:
		nq *= h->n_head;
		nk *= h->n_head_kv;
		break;
	case Z5_QK_HEAD:
		break;
	}
	ret = z5_bind_vector(ld, &l->q_norm, nq, false, q, i);
	return ret ? ret : z5_bind_vector(ld, &l->k_norm, nk, false, k, i);
}

static int bind_ffn(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	static const char up[] = "blk.%u.ffn_up.weight";
	const struct z5_hparams *h = &m->h;
	const bool plain = m->arch->plain_ffn;
	const uint64_t n = h->n_ff;
	struct z5_layer *l = &m->layers[i];
	int ret;

	/* layers of a hybrid may have experts or not */
	if (h->moe.n && i >= h->moe.first &&
	    (!m->arch->hybrid || z5_bind_has(ld, "blk.%u.ffn_gate_inp.weight", i)))
		return z5_moe_bind(m, ld, i);
	if (m->arch->fused)
		ret = z5_bind_rows(ld, &l->gate, "ffn_gate", 0, n, 2 * n, h->n_embd, up, i);
	else if (!plain && !m->arch->no_gate)
		ret = z5_bind_matrix(ld, &l->gate, "ffn_gate", n, h->n_embd, false, "blk.%u.ffn_gate.weight", i);
	else
		ret = z5_bind_vector(ld, &l->up_bias, n, !plain, "blk.%u.ffn_up.bias", i);
	if (ret)
		return ret;
	if (m->arch->fused)
		ret = z5_bind_rows(ld, &l->up, "ffn_up", n, n, 2 * n, h->n_embd, up, i);
	else
		ret = z5_bind_matrix(ld, &l->up, "ffn_up", n, h->n_embd, false, up, i);
	if (ret)
		return ret;
	ret = z5_bind_vector(ld, &l->down_bias, h->n_embd, !plain, "blk.%u.ffn_down.bias", i);
	return ret ? ret : z5_bind_matrix(ld, &l->down, "ffn_down", h->n_embd, n, false, "blk.%u.ffn_down.weight", i);
}

/* BitNet's: the norms before o and down, and the scales of o and the feed-forward. */
static int bind_sub(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const uint64_t att = (uint64_t)h->n_head * h->hd_v;
	struct z5_layer *l = &m->layers[i];
	int ret;

	if (!m->arch->sub_norm)
		return 0;
	if ((ret = z5_bind_vector(ld, &l->attn_sub_norm, att, false, "blk.%u.attn_sub_norm.weight", i)) ||
	    (ret = z5_bind_vector(ld, &l->ffn_sub_norm, h->n_ff, false, "blk.%u.ffn_sub_norm.weight", i)) ||
	    (ret = bind_scale(m, ld, &l->o, "blk.%u.attn_output.scale", i)) ||
	    (ret = bind_scale(m, ld, &l->gate, "blk.%u.ffn_gate.scale", i)) ||
	    (ret = bind_scale(m, ld, &l->up, "blk.%u.ffn_up.scale", i)))
		return ret;
	return bind_scale(m, ld, &l->down, "blk.%u.ffn_down.scale", i);
}

static int bind_norms(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	static const char attn[] = "blk.%u.attn_norm.weight", attn_bias[] = "blk.%u.attn_norm.bias";
	static const char bare[] = "blk.%u.ffn_norm";
	const struct z5_arch *arch = m->arch;
	const unsigned int does = m->h.does[i];
	struct z5_layer *l = &m->layers[i];
	int ret = 0;

	if (arch->no_pre_norm)
		return 0;
	if (does & (Z5_ATTENDS | Z5_RECURS))
		ret = z5_bind_norm(ld, &l->attn_norm, false, attn, attn_bias, i);
	if (ret || !(does & Z5_FEEDS))
		return ret;
	/* the only norm of a layer has that name whatever the layer does */
	if (arch->hybrid == Z5_HYBRID_SOLE)
		return z5_bind_norm(ld, &l->ffn_norm, false, attn, attn_bias, i);
	/* files of Falcon-H1 have it so */
	if (arch->hybrid == Z5_HYBRID_BOTH && z5_bind_has(ld, bare, i))
		return z5_bind_norm(ld, &l->ffn_norm, false, bare, NULL, i);
	/* stablelm 2 12B has none: its blocks are parallel */
	return z5_bind_norm(ld, &l->ffn_norm, arch->parallel,
			    arch->sinks ? "blk.%u.post_attention_norm.weight" : "blk.%u.ffn_norm.weight",
			    "blk.%u.ffn_norm.bias", i);
}

static int bind_attention(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const struct z5_hparams *h = &m->h;
	const struct z5_arch *arch = m->arch;
	struct z5_layer *l = &m->layers[i];
	const bool local = h->window && z5_layer_local(h, i);
	int ret;

	l->window = local ? h->window : 0;
	l->rope = local ? Z5_ROPE_LOCAL : Z5_ROPE_GLOBAL;
	if (arch->sinks && (ret = z5_bind_vector(ld, &l->sinks, h->n_head, false, "blk.%u.attn_sinks.weight", i)))
		return ret;
	if (arch->post_norm &&
	    ((ret = z5_bind_vector(ld, &l->attn_post_norm, h->n_embd, false, "blk.%u.post_attention_norm.weight", i)) ||
	     (ret = z5_bind_vector(ld, &l->ffn_post_norm, h->n_embd, false, "blk.%u.post_ffw_norm.weight", i))))
		return ret;
	if ((ret = arch->mla ? z5_mla_bind(m, ld, i) : bind_qkv(m, ld, i)) ||
	    (ret = bind_qk_norm(m, ld, i)) ||
	    (ret = bind_sub(m, ld, i)) ||
	    (ret = z5_bind_matrix(ld, &l->o, "attn_output", h->n_embd,
				  (uint64_t)h->n_head * (arch->mla ? h->mla.v : h->hd_v), false,
				  "blk.%u.attn_output.weight", i)))
		return ret;
	return z5_bind_vector(ld, &l->o_bias, h->n_embd, !arch->plain_ffn, "blk.%u.attn_output.bias", i);
}

static int bind_layer(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i)
{
	const unsigned int does = m->h.does[i];
	int ret = bind_norms(m, ld, i);

	if (!ret && does & Z5_RECURS)
		ret = z5_ssm_bind(m, ld, i);
	if (!ret && does & Z5_ATTENDS)
		ret = bind_attention(m, ld, i);
	if (!ret && does & Z5_FEEDS)
		ret = bind_ffn(m, ld, i);
	return ret;
}

static int llama_bind(struct zen5rt_model *m, struct z5_loader *ld)
{
	const struct z5_hparams *h = &m->h;
	const uint32_t pairs = h->rope.n_rot / 2;
	const bool longrope = h->rope.type == Z5_ROPE_LONGROPE;
	int ret;

	if ((ret = z5_bind_matrix(ld, &m->embd, "token_embd", h->n_vocab, h->n_embd, false,
				  "token_embd.weight", 0)) ||
	    (ret = z5_bind_matrix(ld, &m->output, "output", h->n_vocab, h->n_embd, true,
				  "output.weight", 0)) ||
	    (ret = z5_bind_norm(ld, &m->output_norm, false, "output_norm.weight", "output_norm.bias", 0)) ||
	    (ret = z5_bind_vector(ld, &m->rope_factors, pairs, true, "rope_freqs.weight", 0)) ||
	    (ret = z5_bind_vector(ld, &m->rope_short, pairs, !longrope, "rope_factors_short.weight", 0)) ||
	    (ret = z5_bind_vector(ld, &m->rope_long, pairs, !longrope, "rope_factors_long.weight", 0)))
		return ret;
	for (unsigned int i = 0; i < h->n_layer; i++) {
		ret = bind_layer(m, ld, i);
		if (ret)
			return ret;
	}
	return 0;
}

/* ---- the pass ---- */

/* acts = x, or norm(x) */
static void prepare_sub(const struct z5_pass *p, const struct z5_buf *x, const float *sub_norm,
			const struct z5_weight *w)
{
	uint64_t t0, t1;

	if (!sub_norm) {
		z5_prepare(p, x, w);
		return;
	}
	z5_own_tokens(p, &t0, &t1);
	for (uint64_t t = t0; t < t1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		p->k->rmsnorm(y, z5_row(x, t), sub_norm, w->k, p->h->eps);
		z5_quantize(p, p->acts, t, y, w->k, z5_form(w));
	}
	z5_share_tokens(p);
}

/* x += y, for n floats of it */
static void add_residual(const struct z5_pass *p, float *x, float *y, size_t n)
{
	if (p->h->residual_scale != 1)
		z5_scale(y, p->h->residual_scale, n);
	z5_add(x, y, n);
}

/* x += norm(y): a norm needs all rows of y. A lone token is normalised by every thread, of which each adds a part. */
static void residual_norm(const struct z5_pass *p, const struct z5_weight *w, const float *post_norm)
{
	const struct z5_hparams *h = p->h;
	uint64_t t0, t1, r0 = 0, r1 = h->n_embd;

	z5_barrier(p->t);
	z5_own_tokens(p, &t0, &t1);
	if (p->n == 1)
		z5_own_rows(p, w, &r0, &r1);
	for (uint64_t t = t0; t < t1 && r0 < r1; t++) {
		float *y = z5_row(&p->acts->form[Z5_ACT_F32], t);

		p->k->rmsnorm(y, z5_row(&p->s->y, t), post_norm, h->n_embd, h->eps);
		add_residual(p, z5_row(&p->s->x, t) + r0, y + r0, r1 - r0);
	}
}

/* x += y + bias, for the rows that this thread computed. A barrier has to follow. */
static void residual(const struct z5_pass *p, const struct z5_weight *w, const float *bias,
		     const float *post_norm)
{
	uint64_t r0, r1;

	z5_own_rows(p, w, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++) {
		float *y = z5_row(&p->s->y, t) + r0;

		if (bias)
			z5_add(y, bias + r0, r1 - r0);
		if (!post_norm)
			add_residual(p, z5_row(&p->s->x, t) + r0, y, r1 - r0);
	}
	if (post_norm)
		residual_norm(p, w, post_norm);
}

static unsigned int qkv_forms(const struct z5_layer *l)
{
	return z5_form(&l->q) | z5_form(&l->k) | z5_form(&l->v);
}

static unsigned int ffn_forms(const struct z5_layer *l)
{
	return z5_form(&l->gate) | z5_form(&l->up);
}

/* gate = act(gate) * up, or act(up + bias) where there is no gate; from the acts that were prepared */
static void ffn_up(const struct z5_pass *p, const struct z5_layer *l)
{
	const bool gated = l->gate.ops;
	uint64_t r0, r1;

	if (gated)
		z5_product_buf(p, &l->gate, &p->s->gate);
	z5_product_buf(p, &l->up, gated ? &p->s->up : &p->s->gate);
	z5_own_rows(p, &l->up, &r0, &r1);
	for (uint32_t t = 0; t < p->n && r0 < r1; t++) {
		float *g = z5_row(&p->s->gate, t) + r0;

		if (l->up_bias)
			z5_add(gated ? z5_row(&p->s->up, t) + r0 : g, l->up_bias + r0, r1 - r0);
		if (p->m->arch->gelu)
			p->k->gelu_mul(g, gated ? z5_row(&p->s->up, t) + r0 : NULL, r1 - r0);
		else if (p->m->arch->relu2 && !gated)
			z5_relu_squared(g, r1 - r0);
		else if (p->m->arch->relu2)
			z5_relu2_mul(g, z5_row(&p->s->up, t) + r0, r1 - r0);
		else
			p->k->silu_mul(g, z5_row(&p->s->up, t) + r0, r1 - r0);
	}
	z5_barrier(p->t);
}

static void ffn_down(const struct z5_pass *p, const struct z5_layer *l)
{
	prepare_sub(p, &p->s->gate, l->ffn_sub_norm, &l->down);
	z5_product_buf(p, &l->down, &p->s->y);
	residual(p, &l->down, l->down_bias, l->ffn_post_norm);
}

/* x += attention, or a block of Mamba, or both. A barrier has to follow. */
static void mix(const struct z5_pass *p, unsigned int i, bool parallel)
{
	const struct z5_layer *l = &p->m->layers[i];

	if (!(p->h->does[i] & Z5_ATTENDS)) {
		z5_prepare_norm(p, &l->attn_norm, z5_ssm_forms(&l->ssm));
		z5_ssm_block(p, i);
		residual(p, &l->ssm.out, NULL, NULL);
		return;
	}
	if (p->m->arch->mla) {
		z5_prepare_norm(p, &l->attn_norm, z5_mla_forms(&l->mla));
		z5_mla_heads(p, i);
		z5_attention(p, i);
		z5_mla_result(p, &l->mla, &l->o);
	} else {
		z5_prepare_norm(p, &l->attn_norm, qkv_forms(l) | (parallel ? ffn_forms(l) : 0) | z5_ssm_forms(&l->ssm));
		z5_product_buf(p, &l->q, &p->s->q);
		z5_product_buf(p, &l->k, &p->s->k);
		z5_product_buf(p, &l->v, &p->s->v);
		if (l->ssm.out.ops) {
			z5_ssm_block(p, i);
			residual(p, &l->ssm.out, NULL, NULL);
		} else if (parallel) {
			ffn_up(p, l);
		} else {
			z5_barrier(p->t);
		}
		z5_turn_and_store(p, i);
		z5_attention(p, i);
		prepare_sub(p, &p->s->att, l->attn_sub_norm, &l->o);
	}
	z5_product_buf(p, &l->o, &p->s->y);
	residual(p, &l->o, l->o_bias, l->attn_post_norm);
}

/* x += the feed-forward. A barrier has to follow. */
static void feed(const struct z5_pass *p, const struct z5_layer *l, bool parallel)
{
	if (l->moe.router.ops) {
		z5_prepare_norm(p, &l->ffn_norm, z5_moe_forms(&l->moe));
		z5_moe_ffn(p, &l->moe);
		residual(p, &l->moe.down.w, NULL, l->ffn_post_norm);
	} else if (parallel) {
		ffn_down(p, l);
	} else {
		z5_prepare_norm(p, &l->ffn_norm, ffn_forms(l));
		ffn_up(p, l);
		ffn_down(p, l);
	}
}

static void layer(const struct z5_pass *p, unsigned int i)
{
	const struct z5_layer *l = &p->m->layers[i];
	const unsigned int does = p->h->does[i];
	/* the feed-forward reads what attention reads, and is done with it before the acts are used again */
	const bool parallel = p->m->arch->parallel && !l->ffn_norm.w;

	if (does & (Z5_ATTENDS | Z5_RECURS))
		mix(p, i, parallel);
	if (does & Z5_FEEDS) {
		if (does != Z5_FEEDS)
			z5_barrier(p->t);
		feed(p, l, parallel);
	}
	z5_layer_end(p, i);
}

static void llama_forward(const struct z5_thread *t, void *arg)
{
	z5_pass_run(t, arg, layer);
}

#define LLAMA .bind = llama_bind, .forward = llama_forward
#define HYBRID LLAMA, .layout = z5_ssm_layout

static const struct z5_moe_kind mixtral = { .gating = Z5_GATING_SOFTMAX, .norm = true };
static const struct z5_moe_kind qwen2moe = {
	.required = true, .gating = Z5_GATING_SOFTMAX, .share_width = true, .shared = true,
};
static const struct z5_moe_kind qwen3moe = {
	.required = true, .gating = Z5_GATING_SOFTMAX, .norm = true, .share_width = true,
};
static const struct z5_moe_kind gptoss = {
	.required = true, .gating = Z5_GATING_SOFTMAX_CHOSEN, .oai = true,
};
static const struct z5_moe_kind olmoe = { .required = true, .gating = Z5_GATING_SOFTMAX };
static const struct z5_moe_kind granitemoe = { .required = true, .gating = Z5_GATING_SOFTMAX, .norm = true };
static const struct z5_moe_kind jamba = { .gating = Z5_GATING_SOFTMAX };
static const struct z5_moe_kind granitehybrid = { .gating = Z5_GATING_SOFTMAX, .norm = true };
static const struct z5_moe_kind deepseek = { .gating = Z5_GATING_SOFTMAX };

const struct z5_arch z5_llama_archs[] = {
	{ .name = "llama", LLAMA, .moe = &mixtral },
	{ .name = "qwen2", LLAMA, .neox = true, .qkv_bias = true },
	{ .name = "qwen3", LLAMA, .neox = true, .qk_norm = Z5_QK_HEAD },
	{ .name = "qwen2moe", LLAMA, .moe = &qwen2moe, .neox = true, .qkv_bias = true },
	{ .name = "qwen3moe", LLAMA, .moe = &qwen3moe, .neox = true, .qk_norm = Z5_QK_HEAD },
	{ .name = "gpt-oss", LLAMA, .moe = &gptoss, .neox = true, .qkv_bias = true, .sinks = true,
	  .window_period = 2 },
	{ .name = "olmoe", LLAMA, .moe = &olmoe, .neox = true, .qk_norm = Z5_QK_WIDE },
	{ .name = "granitemoe", LLAMA, .moe = &granitemoe, .logit_divisor = true },
	{ .name = "deepseek2", LLAMA, .moe = &deepseek, .mla = true },
	{ .name = "gemma", LLAMA, .neox = true, .gelu = true, .embd_sqrt = true },
	/* the first files have no keys for windows and caps */
	{ .name = "gemma2", LLAMA, .neox = true, .gelu = true, .embd_sqrt = true, .post_norm = true,
	  .window_period = 2, .window = 4096, .attn_softcap = 50.0f, .final_softcap = 30.0f, .wide_at_layers = 46 },
	{ .name = "gemma3", LLAMA, .neox = true, .gelu = true, .embd_sqrt = true, .post_norm = true,
	  .qk_norm = Z5_QK_HEAD, .window_period = 6, .local_base = 10000.0f, .local_unstretched = true,
	  .wide_at_layers = 62 },
	{ .name = "phi3", LLAMA, .neox = true, .fused = true, .window_period = Z5_ALL_LOCAL },
	/* olmo 3 is an olmo 2 with windows */
	{ .name = "olmo2", LLAMA, .neox = true, .no_pre_norm = true, .post_norm = true, .qk_norm = Z5_QK_WIDE,
	  .window_period = 4, .local_unstretched = true },
	{ .name = "granite", LLAMA, .logit_divisor = true },
	{ .name = "granitehybrid", HYBRID, .ssm = z5_hparams_ssm2, .hybrid = Z5_HYBRID_EITHER, .moe = &granitehybrid,
	  .logit_divisor = true, .rope_switch = true },
	/* its files have the published multipliers in their weights */
	{ .name = "falcon-h1", HYBRID, .ssm = z5_hparams_ssm2, .hybrid = Z5_HYBRID_BOTH, .neox = true },
	{ .name = "jamba", HYBRID, .ssm = z5_hparams_ssm1, .ssm_norms = true, .hybrid = Z5_HYBRID_EITHER, .moe = &jamba,
	  .unturned = true },
	{ .name = "nemotron_h", HYBRID, .ssm = z5_hparams_ssm2, .hybrid = Z5_HYBRID_SOLE, .unturned = true,
	  .no_gate = true, .relu2 = true },
	{ .name = "stablelm", LLAMA, .neox = true, .layer_norm = true, .norm_bias = true, .parallel = true,
	  .qk_norm = Z5_QK_OPTIONAL },
	{ .name = "starcoder2", LLAMA, .neox = true, .layer_norm = true, .norm_bias = true, .qkv_bias = true,
	  .plain_ffn = true, .gelu = true, .window_period = Z5_ALL_LOCAL },
	{ .name = "bitnet", LLAMA, .neox = true, .sub_norm = true },
	/* 2B4T: the name that Microsoft's first converter gave, and that of the files they publish */
	{ .name = "bitnet-25", LLAMA, .neox = true, .sub_norm = true, .relu2 = true },
	{ .name = "bitnet-b1.58", LLAMA, .neox = true, .sub_norm = true, .relu2 = true },
	{ .name = "command-r", LLAMA, .layer_norm = true, .parallel = true, .qk_norm = Z5_QK_OPTIONAL },
	{ .name = NULL },
};
