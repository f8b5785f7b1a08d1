// SPDX-License-Identifier: MIT
#include "rope.h"

#include <string.h>

#include "model.h"

static bool str_is(const struct gguf_str *s, const char *want)
{
	return s->len == strlen(want) && !memcmp(s->p, want, s->len);
}

static int read_type(const struct keys *k, struct z5_rope *r)
{
	struct gguf_str type = { "linear", 6 };
	char name[128];
	int ret = gguf_get_str(k->g, key_name(name, sizeof(name), k, "rope.scaling.type"), &type, k->err);

	if (ret < 0)
		return ret;
	if (str_is(&type, "none"))
		r->factor = 1.0f;
	else if (str_is(&type, "yarn"))
		r->type = Z5_ROPE_YARN;
	else if (str_is(&type, "longrope"))
		r->type = Z5_ROPE_LONGROPE;
	else if (!str_is(&type, "linear"))
		return z5_fail(k->err, -EINVAL, "%s: %s is \"%.*s\", known are none, linear, yarn and longrope",
			       gguf_path(k->g), name, (int)(type.len < 32 ? type.len : 32), type.p);
	return 0;
}

int z5_rope_read(const struct keys *k, const struct z5_arch *arch, uint32_t hd_k, uint32_t n_ctx_train,
		 struct z5_rope *r)
{
	float attn_factor;
	int ret;

	memset(r, 0, sizeof(*r));
	r->n_ctx_train = n_ctx_train;
	ret = key_u32(k, "rope.dimension_count", 2, hd_k, hd_k, &r->n_rot);
	if (ret)
		return ret;
	if (r->n_rot % 2)
		return z5_fail(k->err, -EINVAL, "%s: %s.rope.dimension_count is %u, expected an even number",
			       gguf_path(k->g), k->arch, r->n_rot);
	/* scale_linear is the name of old files; a factor without a type is linear, and 0 stands for none */
	if ((ret = key_f32(k, "rope.freq_base", 1e-3f, 1e30f, 10000.0f, &r->base[Z5_ROPE_GLOBAL])) ||
	    (ret = key_f32(k, "rope.freq_base_swa", 1e-3f, 1e30f,
			   arch->local_base > 0 ? arch->local_base : r->base[Z5_ROPE_GLOBAL],
			   &r->base[Z5_ROPE_LOCAL])) ||
	    (ret = key_f32(k, "rope.scale_linear", 0.0f, 1e6f, 1.0f, &r->factor)) ||
	    (ret = key_f32(k, "rope.scaling.factor", 0.0f, 1e6f, r->factor, &r->factor)))
		return ret;
	if (r->factor <= 0)
		r->factor = 1.0f;
	if ((ret = read_type(k, r)) ||
	    (ret = key_u32(k, "rope.scaling.original_context_length", 1, 1u << 30, n_ctx_train, &r->n_ctx_orig)) ||
	    (ret = key_f32(k, "rope.scaling.attn_factor", 0.0f, 1e3f, 0.0f, &attn_factor)) ||
	    (ret = key_f32(k, "rope.scaling.yarn_attn_factor", 0.0f, 1e3f, attn_factor, &r->magnitude)) ||
	    (ret = key_f32(k, "rope.scaling.yarn_ext_factor", 0.0f, 1.0f, 1.0f, &r->ext)) ||
	    (ret = key_f32(k, "rope.scaling.yarn_beta_fast", 1e-3f, 1e6f, 32.0f, &r->beta_fast)) ||
	    (ret = key_f32(k, "rope.scaling.yarn_beta_slow", 1e-3f, 1e6f, 1.0f, &r->beta_slow)) ||
	    (ret = key_f32(k, "rope.scaling.yarn_log_multiplier", 0.0f, 1e3f, 0.0f, &r->log_mul)))
		return ret;
	r->stretched[Z5_ROPE_GLOBAL] = true;
	r->stretched[Z5_ROPE_LOCAL] = !arch->local_unstretched;
	return 0;
}

/* The dimension whose wave turns `turns` times in the original context. */
static double yarn_dimension(const struct z5_rope *r, double base, double turns)
{
	return r->n_rot * log(r->n_ctx_orig / (turns * 2 * M_PI)) / (2 * log(base));
}

/*
 * Fast waves stay, slow ones are stretched, those between in parts. The borders are whole dimensions, as in the
 * authors' code.
 */
static double yarn_kept(const struct z5_rope *r, double base, uint32_t pair)
{
	double lo = floor(yarn_dimension(r, base, r->beta_fast)), hi = ceil(yarn_dimension(r, base, r->beta_slow));
	double at;

	lo = lo > 0 ? lo : 0;
	hi = hi < r->n_rot - 1 ? hi : r->n_rot - 1;
	at = (pair - lo) / (hi - lo > 0.001 ? hi - lo : 0.001);
	return (1 - (at < 0 ? 0 : at > 1 ? 1 : at)) * (double)r->ext;
}

double z5_rope_angles(const struct z5_rope *r, enum z5_rope_set set, const float *factors, double *angle)
{
	const double base = (double)r->base[set], squeeze = r->stretched[set] ? 1 / (double)r->factor : 1;
	const double given = r->magnitude > 0 ? (double)r->magnitude : 1;

	for (uint32_t i = 0; i < r->n_rot / 2; i++) {
		double a = pow(base, -2.0 * i / r->n_rot), kept = 0;

		if (factors && r->stretched[set])
			a /= (double)factors[i];
		if (r->type == Z5_ROPE_YARN && r->stretched[set])
			kept = yarn_kept(r, base, i);
		angle[i] = a * (squeeze * (1 - kept) + kept);
	}
	if (!r->stretched[set])
		return 1;
	/* files of phi 3 with LongRoPE name no type, only what it makes of the magnitude */
	if (r->type == Z5_ROPE_LINEAR)
		return given;
	if (r->type == Z5_ROPE_LONGROPE) {
		double longer = (double)r->n_ctx_train / r->n_ctx_orig;

		if (r->magnitude > 0 || longer <= 1)
			return given;
		return sqrt(1 + log(longer) / log(r->n_ctx_orig));
	}
	/* with log_mul the whole of the correction is in the scale of scores */
	if (r->log_mul > 0 || r->ext <= 0 || r->factor <= 1)
		return given;
	return given * (1 + 0.1 * log((double)r->factor));
}
