// SPDX-License-Identifier: MIT
/*
 * The types that users know by name are mixes: some tensors, which matter more, get more bits. Which ones is taken
 * from what llama.cpp does (src/llama-quant.cpp, and the numbers of LLAMA_FTYPE in llama.h), so that a name means the
 * same here and there; written down as a table, of which the first line that fits a tensor decides.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "plan.h"

#include <errno.h>
#include <kernels/kernels.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "error.h"
#include "quant.h"

/* ---- mixes ---- */

enum mix {
	F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q2_K, Q2_K_S, Q3_K_S, Q3_K_M, Q3_K_L, Q4_K_S, Q4_K_M, Q5_K_S,
	Q5_K_M, Q6_K, IQ4_NL, IQ4_XS, MXFP4, MXFP4_MOE, IQ3_M, IQ3_S, IQ3_XS, IQ3_XXS, IQ2_M, IQ2_S, IQ2_XS, IQ2_XXS,
	IQ1_M, IQ1_S, TQ1_0, TQ2_0, N_MIXES
};

static const struct {
	const char *name;
	uint32_t file_type, base;
} mixes[N_MIXES] = {
	[F32]       = { "F32", 0, GGML_F32 },
	[F16]       = { "F16", 1, GGML_F16 },
	[BF16]      = { "BF16", 32, GGML_BF16 },
	[Q8_0]      = { "Q8_0", 7, GGML_Q8_0 },
	[Q4_0]      = { "Q4_0", 2, GGML_Q4_0 },
	[Q4_1]      = { "Q4_1", 3, GGML_Q4_1 },
	[Q5_0]      = { "Q5_0", 8, GGML_Q5_0 },
	[Q5_1]      = { "Q5_1", 9, GGML_Q5_1 },
	[Q2_K]      = { "Q2_K", 10, GGML_Q2_K },
	[Q2_K_S]    = { "Q2_K_S", 21, GGML_Q2_K },
	[Q3_K_S]    = { "Q3_K_S", 11, GGML_Q3_K },
	[Q3_K_M]    = { "Q3_K_M", 12, GGML_Q3_K },
	[Q3_K_L]    = { "Q3_K_L", 13, GGML_Q3_K },
	[Q4_K_S]    = { "Q4_K_S", 14, GGML_Q4_K },
	[Q4_K_M]    = { "Q4_K_M", 15, GGML_Q4_K },
	[Q5_K_S]    = { "Q5_K_S", 16, GGML_Q5_K },
	[Q5_K_M]    = { "Q5_K_M", 17, GGML_Q5_K },
	[Q6_K]      = { "Q6_K", 18, GGML_Q6_K },
	[IQ4_NL]    = { "IQ4_NL", 25, GGML_IQ4_NL },
	[IQ4_XS]    = { "IQ4_XS", 30, GGML_IQ4_XS },
	[MXFP4]     = { "MXFP4", 38, GGML_MXFP4 },
	[MXFP4_MOE] = { "MXFP4_MOE", 38, GGML_MXFP4 },
	[IQ3_M]     = { "IQ3_M", 27, GGML_IQ3_S },
	[IQ3_S]     = { "IQ3_S", 26, GGML_IQ3_S },
	[IQ3_XS]    = { "IQ3_XS", 22, GGML_IQ3_S },
	[IQ3_XXS]   = { "IQ3_XXS", 23, GGML_IQ3_XXS },
	[IQ2_M]     = { "IQ2_M", 29, GGML_IQ2_S },
	[IQ2_S]     = { "IQ2_S", 28, GGML_IQ2_XS },
	[IQ2_XS]    = { "IQ2_XS", 20, GGML_IQ2_XS },
	[IQ2_XXS]   = { "IQ2_XXS", 19, GGML_IQ2_XXS },
	[IQ1_M]     = { "IQ1_M", 31, GGML_IQ1_M },
	[IQ1_S]     = { "IQ1_S", 24, GGML_IQ1_S },
	[TQ1_0]     = { "TQ1_0", 36, GGML_TQ1_0 },
	[TQ2_0]     = { "TQ2_0", 37, GGML_TQ2_0 },
};

/* Names that users shorten. */
static const struct {
	const char *name;
	enum mix mix;
} aliases[] = { { "Q3_K", Q3_K_M }, { "Q4_K", Q4_K_M }, { "Q5_K", Q5_K_M } };

const char *z5_mix_name(unsigned int i)
{
	return i < N_MIXES ? mixes[i].name : NULL;
}

static int find_mix(const char *name)
{
	for (int i = 0; i < N_MIXES; i++)
		if (!strcasecmp(name, mixes[i].name))
			return i;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
		if (!strcasecmp(name, aliases[i].name))
			return aliases[i].mix;
	return -1;
}

/* ---- which tensors get more bits ---- */

enum role { OUTPUT, EMBD, ATTN_V, ATTN_K, ATTN_Q, ATTN_OUT, FFN_UP, FFN_GATE, FFN_DOWN, OTHER, N_ROLES };

enum when {
	ALWAYS,
	GQA4,			/* four query heads or more to a KV head */
	GQA4_OR_EXPERTS4,
	EXPERTS8,
	NO_IMATRIX,
	IMATRIX_EIGHTH,		/* the first eighth of the layers, and there is an importance matrix */
	NO_IMATRIX_EIGHTH,
	EIGHTH,
	SIXTEENTH,
	MIDDLE,			/* all but the first and the last eighth */
	MORE_BITS,		/* the first and the last eighth, and every third between */
	EXPERTS8_MORE_BITS,
	TWO,			/* the first two layers */
	FOUR,
	EXPERT_TENSOR,		/* holds the matrices of several experts */
};

#define M(x)	(UINT64_C(1) << (x))
#define LOW1	(M(IQ1_S) | M(IQ1_M))
#define LOW2X	(M(IQ2_XXS) | M(IQ2_XS))
#define LOW2S	(M(IQ2_S) | M(IQ2_M))
#define LOW	(LOW1 | LOW2X | LOW2S)
#define REST	(~LOW)
/* What the mix is named after. */
#define BASE	UINT32_MAX
#define OUT_8	(M(Q2_K) | M(IQ3_XS) | M(IQ3_XXS) | M(Q3_K_S) | M(Q3_K_M) | M(IQ4_NL) | M(Q4_K_S) | M(Q4_K_M) | \
		 M(IQ3_S) | M(IQ3_M) | M(IQ4_XS))

static const struct {
	uint64_t mixes;
	enum role role;
	enum when when;
	uint32_t type;
} rules[] = {
	{ M(MXFP4_MOE),			OTHER,	  EXPERT_TENSOR, GGML_MXFP4 },

	{ LOW | M(IQ3_XXS),		OUTPUT,	  ALWAYS,	GGML_Q5_K },
	{ ~M(Q8_0),			OUTPUT,	  ALWAYS,	GGML_Q6_K },

	{ LOW1 | LOW2X,			EMBD,	  ALWAYS,	GGML_Q2_K },
	{ LOW2S | M(IQ3_XXS),		EMBD,	  ALWAYS,	GGML_IQ3_S },
	{ M(TQ1_0) | M(TQ2_0),		EMBD,	  ALWAYS,	GGML_Q4_K },

	{ LOW,				ATTN_V,	  GQA4_OR_EXPERTS4, GGML_Q4_K },
	{ LOW2S,			ATTN_V,	  ALWAYS,	GGML_IQ3_S },
	{ LOW,				ATTN_V,	  ALWAYS,	GGML_Q2_K },
	{ LOW,				ATTN_K,	  EXPERTS8,	GGML_Q4_K },
	{ LOW2S,			FFN_DOWN, EIGHTH,	GGML_IQ3_S },
	{ LOW,				FFN_DOWN, EIGHTH,	GGML_Q2_K },
	{ LOW,				ATTN_OUT, EXPERTS8,	GGML_Q5_K },
	{ LOW1,				ATTN_OUT, ALWAYS,	GGML_IQ2_XXS },
	{ LOW2S,			ATTN_OUT, ALWAYS,	GGML_IQ3_S },

	{ REST,				ATTN_V,	  EXPERTS8,	GGML_Q8_0 },
	{ M(Q2_K) | M(Q2_K_S) | M(IQ3_XXS) | M(IQ3_XS) | M(IQ3_S),
					ATTN_V,	  GQA4,		GGML_Q4_K },
	{ M(Q2_K),			ATTN_V,	  ALWAYS,	GGML_Q3_K },
	{ M(IQ3_XXS),			ATTN_V,	  NO_IMATRIX,	GGML_IQ3_S },
	{ M(IQ3_M),			ATTN_V,	  ALWAYS,	GGML_Q4_K },
	{ M(Q3_K_M),			ATTN_V,	  TWO,		GGML_Q5_K },
	{ M(Q3_K_M),			ATTN_V,	  ALWAYS,	GGML_Q4_K },
	{ M(Q3_K_L),			ATTN_V,	  ALWAYS,	GGML_Q5_K },
	{ M(IQ4_NL) | M(IQ4_XS),	ATTN_V,	  GQA4,		GGML_Q5_K },
	{ M(Q4_K_M) | M(Q5_K_M),	ATTN_V,	  MORE_BITS,	GGML_Q6_K },
	{ M(Q4_K_S),			ATTN_V,	  FOUR,		GGML_Q5_K },

	{ REST,				ATTN_K,	  EXPERTS8,	GGML_Q8_0 },
	{ M(IQ3_XS),			ATTN_K,	  ALWAYS,	GGML_IQ3_XXS },
	{ M(IQ3_XXS),			ATTN_K,	  ALWAYS,	GGML_IQ2_S },
	{ M(IQ3_XS),			ATTN_Q,	  ALWAYS,	GGML_IQ3_XXS },
	{ M(IQ3_XXS),			ATTN_Q,	  ALWAYS,	GGML_IQ2_S },

	{ M(Q2_K),			FFN_DOWN, ALWAYS,	GGML_Q3_K },
	{ M(Q2_K_S),			FFN_DOWN, EIGHTH,	GGML_Q4_K },
	{ M(IQ3_XXS),			FFN_DOWN, NO_IMATRIX_EIGHTH, GGML_Q4_K },
	{ M(IQ3_XXS),			FFN_DOWN, NO_IMATRIX,	GGML_Q3_K },
	{ M(Q3_K_M),			FFN_DOWN, SIXTEENTH,	GGML_Q5_K },
	{ M(Q3_K_M),			FFN_DOWN, ALWAYS,	GGML_Q4_K },
	{ M(IQ3_M),			FFN_DOWN, EIGHTH,	GGML_Q4_K },
	{ M(IQ3_M),			FFN_DOWN, EXPERTS8_MORE_BITS, GGML_Q4_K },
	{ M(Q3_K_L),			FFN_DOWN, ALWAYS,	GGML_Q5_K },
	{ M(Q4_K_M) | M(Q5_K_M),	FFN_DOWN, MORE_BITS,	GGML_Q6_K },
	{ M(IQ4_NL) | M(IQ4_XS),	FFN_DOWN, NO_IMATRIX_EIGHTH, GGML_Q5_K },
	{ M(Q4_K_S),			FFN_DOWN, EIGHTH,	GGML_Q5_K },
	{ M(Q4_0),			FFN_DOWN, IMATRIX_EIGHTH, GGML_Q4_1 },
	{ M(Q5_0),			FFN_DOWN, IMATRIX_EIGHTH, GGML_Q5_1 },

	{ OUT_8,			ATTN_OUT, EXPERTS8,	GGML_Q5_K },
	{ REST,				ATTN_OUT, EXPERTS8,	BASE },
	{ M(Q2_K),			ATTN_OUT, ALWAYS,	GGML_Q3_K },
	{ M(IQ3_XXS),			ATTN_OUT, ALWAYS,	GGML_IQ3_S },
	{ M(Q3_K_M) | M(IQ3_M),		ATTN_OUT, ALWAYS,	GGML_Q4_K },
	{ M(Q3_K_L),			ATTN_OUT, ALWAYS,	GGML_Q5_K },

	{ M(IQ3_XS),			FFN_GATE, MIDDLE,	GGML_IQ3_XXS },
	{ M(IQ3_XS),			FFN_UP,	  MIDDLE,	GGML_IQ3_XXS },
};

static const struct {
	const char *part;
	enum role role;
} roles[] = {
	{ "attn_qkv.weight", ATTN_V }, { "attn_kv_b.weight", ATTN_V }, { "attn_v.weight", ATTN_V },
	{ "attn_k.weight", ATTN_K }, { "attn_q.weight", ATTN_Q }, { "attn_output.weight", ATTN_OUT },
	{ "ffn_up", FFN_UP }, { "ffn_gate", FFN_GATE }, { "ffn_down", FFN_DOWN },
};

/* Matrices that are small, or not multiplied with activations, or known to suffer. */
static const char *const kept[] = {
	"_norm.weight", "ffn_gate_inp.weight", "ffn_gate_tid2eid.weight", "altup", "laurel", "per_layer_model_proj",
	"ssm_conv1d", "shortconv.conv.weight", "indexer.k_proj.weight", "indexer.q_proj.weight", "time_mix_first.weight",
	"time_mix_w0.weight", "time_mix_w1.weight", "time_mix_w2.weight", "time_mix_v0.weight", "time_mix_v1.weight",
	"time_mix_v2.weight", "time_mix_a0.weight", "time_mix_a1.weight", "time_mix_a2.weight", "time_mix_g1.weight",
	"time_mix_g2.weight", "time_mix_decay_w1.weight", "time_mix_decay_w2.weight", "time_mix_lerp_fused.weight",
	"attn_rel_b.weight", "position_embd", "token_types", ".rel_pos", ".patch_embd", ".patch_merger",
};

/* ---- the plan of one file ---- */

struct override {
	pcre2_code *code;
	uint32_t type;
	bool used;
};

struct planner {
	const struct gguf *g;
	const struct zen5rt_quantize_params *p;
	struct zen5rt_error *err;
	enum mix mix;
	bool have_imatrix, tied;
	uint32_t gqa, experts, n_layer;
	uint32_t n[N_ROLES];		/* tensors of each role */
	int64_t output_type, embd_type;	/* -1: not given */
	struct override *over;
	pcre2_match_data *match;
};

static enum role role_of(const char *name)
{
	if (!strcmp(name, "output.weight"))
		return OUTPUT;
	if (!strcmp(name, "token_embd.weight") || !strcmp(name, "per_layer_token_embd.weight"))
		return EMBD;
	for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
		if (strstr(name, roles[i].part))
			return roles[i].role;
	return OTHER;
}

static bool more_bits(uint32_t i, uint32_t n)
{
	return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2;
}

static bool holds(const struct planner *pl, enum when when, const struct gguf_tensor *t, uint32_t n)
{
	unsigned int layer = 0;
	bool eighth, more;

	sscanf(t->name, "blk.%u.", &layer);
	eighth = layer < n / 8;
	more = more_bits(layer, n);
	switch (when) {
	case ALWAYS:		 return true;
	case GQA4:		 return pl->gqa >= 4;
	case GQA4_OR_EXPERTS4:	 return pl->gqa >= 4 || pl->experts >= 4;
	case EXPERTS8:		 return pl->experts == 8;
	case NO_IMATRIX:	 return !pl->have_imatrix;
	case IMATRIX_EIGHTH:	 return pl->have_imatrix && eighth;
	case NO_IMATRIX_EIGHTH:	 return !pl->have_imatrix && eighth;
	case EIGHTH:		 return eighth;
	case SIXTEENTH:		 return layer < n / 16;
	case MIDDLE:		 return layer >= n / 8 && layer < 7 * n / 8;
	case MORE_BITS:		 return more;
	case EXPERTS8_MORE_BITS: return pl->experts == 8 && more;
	case TWO:		 return layer < 2;
	case FOUR:		 return layer < 4;
	case EXPERT_TENSOR:	 return t->ne[2] > 1;
	}
	return false;
}

static uint32_t by_rule(const struct planner *pl, const struct gguf_tensor *t, enum role role)
{
	uint32_t base = mixes[pl->mix].base, type = base;

	if (role == EMBD && pl->tied)
		role = OUTPUT;
	if (role == OUTPUT && pl->output_type >= 0)
		return (uint32_t)pl->output_type;
	/* the name says one type for all, or it is a float type */
	if (pl->p->pure || pl->mix == MXFP4 || pl->mix <= BF16)
		return base;
	if (pl->mix == MXFP4_MOE) {
		if (role == OUTPUT)
			return GGML_Q8_0;
		role = OTHER;
		type = GGML_Q8_0;
	} else if (role == OUTPUT && t->ne[0] % gguf_type_info(base)->block) {
		return GGML_Q8_0;
	}
	for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++)
		if (rules[i].mixes & M(pl->mix) && rules[i].role == role &&
		    holds(pl, rules[i].when, t, pl->n[role])) {
			type = rules[i].type == BASE ? base : rules[i].type;
			break;
		}
	/* with 80 layers attn_v is small beside the rest (llama 2 70B) */
	if (role == ATTN_V && pl->n_layer == 80 && !(LOW & M(pl->mix)) && (type == GGML_Q3_K || type == GGML_Q4_K))
		type = GGML_Q5_K;
	return type;
}

/* Is it one of those that a type is chosen for at all? Vectors are not, however many dimensions of 1 they have. */
static bool is_weight(const struct planner *pl, const struct gguf_tensor *t)
{
	size_t len = strlen(t->name);

	if (t->ne[1] * t->ne[2] * t->ne[3] < 2 || len < 6 || strcmp(t->name + len - 6, "weight"))
		return false;
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
		if (strstr(t->name, kept[i]))
			return false;
	return !(pl->p->leave_output && !strcmp(t->name, "output.weight"));
}

static int pattern_failed(struct planner *pl, size_t i, int code)
{
	PCRE2_UCHAR text[128];

	pcre2_get_error_message(code, text, sizeof(text));
	return z5_fail(pl->err, code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL,
		       "pattern %.64s: %s", pl->p->overrides[i].pattern, (const char *)text);
}

/* 1 and the type where a pattern is found in the name, 0, or an error: a pattern may take too long, or much memory. */
static int overridden(struct planner *pl, const char *name, uint32_t *type)
{
	for (size_t i = 0; i < pl->p->n_overrides; i++) {
		int ret = pcre2_match(pl->over[i].code, (PCRE2_SPTR)name, strlen(name), 0, 0, pl->match, NULL);

		if (ret >= 0) {
			pl->over[i].used = true;
			*type = pl->over[i].type;
			return 1;
		}
		if (ret != PCRE2_ERROR_NOMATCH)
			return pattern_failed(pl, i, ret);
	}
	return 0;
}

static bool is_float(uint32_t type)
{
	return type == GGML_F32 || type == GGML_F16 || type == GGML_BF16;
}

static int plan_tensor(struct planner *pl, const struct gguf_tensor *t, struct z5_planned *out)
{
	const struct gguf_type_info *from = gguf_type_info(t->type), *to;
	enum role role = role_of(t->name);
	uint32_t by_pattern = 0;
	int64_t type = -1;
	int ret = 0;

	out->type = t->type;
	if (!is_weight(pl, t))
		return 0;
	if (role == EMBD && pl->embd_type >= 0)
		type = pl->embd_type;
	else if (role == OUTPUT && pl->output_type >= 0)
		type = pl->output_type;
	if (type < 0 && (ret = overridden(pl, t->name, &by_pattern)) < 0)
		return ret;
	if (ret > 0)
		type = by_pattern;
	if (type < 0)
		type = by_rule(pl, t, role);
	if (!z5_quant_type((uint32_t)type))
		return z5_fail(pl->err, -EINVAL, "%s: tensor '%s': there is no quantizer for %s in this version",
			       gguf_path(pl->g), t->name, gguf_type_info((uint32_t)type)->name);
	/* at most twice: 256 columns, 32, then a float */
	while (t->ne[0] % gguf_type_info((uint32_t)type)->block) {
		type = z5_quant_type((uint32_t)type)->narrow;
		out->narrow = true;
	}
	out->type = (uint32_t)type;
	if (out->type == t->type)
		return 0;
	to = gguf_type_info(out->type);
	if (!z5_type_by_ggml(t->type))
		return z5_fail(pl->err, -EINVAL, "%s: tensor '%s': %s cannot be read as weights", gguf_path(pl->g),
			       t->name, from->name);
	/* I2_S in a file has shorter blocks */
	if (t->ne[0] % z5_type_by_ggml(t->type)->block)
		return z5_fail(pl->err, -EINVAL, "%s: tensor '%s': rows of %llu; of type %s only multiples of %u can be "
			       "read", gguf_path(pl->g), t->name, (unsigned long long)t->ne[0], from->name,
			       z5_type_by_ggml(t->type)->block);
	if (!z5_type_by_ggml(out->type))
		return z5_fail(pl->err, -EINVAL, "%s: tensor '%s': there are no kernels for %s in this version",
			       gguf_path(pl->g), t->name, to->name);
	if (!is_float(t->type) && !pl->p->allow_requantize)
		return z5_fail(pl->err, -EPERM, "%s: tensor '%s' is %s already; quantizing again loses more than "
			       "going from F32, F16 or BF16",
			       gguf_path(pl->g), t->name, from->name);
	return 0;
}

/* ---- what the caller asked for ---- */

/* A single type for a tensor: "Q4_K" is Q4_K here, not a mix. */
static int tensor_type(const struct planner *pl, const char *what, const char *name, int64_t *out)
{
	*out = -1;
	if (!name)
		return 0;
	for (uint32_t i = 0; i < 64; i++) {
		const struct gguf_type_info *info = gguf_type_info(i);

		if (info && !strcasecmp(info->name, name) && z5_quant_type(i)) {
			*out = i;
			return 0;
		}
	}
	return z5_fail(pl->err, -EINVAL, "%s: %.32s is no type that tensors can be quantized to", what, name);
}

static int compile(struct planner *pl)
{
	for (size_t i = 0; i < pl->p->n_overrides; i++) {
		const char *pattern = pl->p->overrides[i].pattern;
		PCRE2_SIZE at;
		int64_t type;
		int code, ret = tensor_type(pl, pattern, pl->p->overrides[i].type, &type);

		if (ret)
			return ret;
		pl->over[i].type = (uint32_t)type;
		pl->over[i].code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED, 0, &code, &at, NULL);
		if (!pl->over[i].code)
			return pattern_failed(pl, i, code);
	}
	return 0;
}

/* A number, or the first of one a layer. */
static uint32_t hparam(const struct gguf *g, struct gguf_str arch, const char *name)
{
	struct gguf_array a;
	char key[128];
	uint32_t v = 0;

	snprintf(key, sizeof(key), "%.*s.%s", (int)(arch.len < 64 ? arch.len : 64), arch.p, name);
	if (gguf_get_u32(g, key, &v, NULL) == 1)
		return v;
	if (gguf_get_array(g, key, GGUF_I32, &a, NULL) == 1 && a.n)
		return (uint32_t)gguf_array_i32(&a, 0);
	return 0;
}

static int prepare(struct planner *pl)
{
	struct gguf_str arch = { "", 0 };
	uint32_t heads, kv;
	int ret = tensor_type(pl, "output tensor", pl->p->output_type, &pl->output_type);

	if (!ret)
		ret = tensor_type(pl, "token embeddings", pl->p->embedding_type, &pl->embd_type);
	if (ret)
		return ret;
	gguf_get_str(pl->g, "general.architecture", &arch, NULL);
	pl->experts = hparam(pl->g, arch, "expert_count");
	pl->n_layer = hparam(pl->g, arch, "block_count");
	heads = hparam(pl->g, arch, "attention.head_count");
	kv = hparam(pl->g, arch, "attention.head_count_kv");
	pl->gqa = heads && kv ? heads / kv : 1;
	pl->tied = !gguf_find_tensor(pl->g, "output.weight");
	for (size_t i = 0; i < gguf_n_tensors(pl->g); i++)
		if (is_weight(pl, gguf_tensor(pl->g, i)))
			pl->n[role_of(gguf_tensor(pl->g, i)->name)]++;
	pl->over = calloc(pl->p->n_overrides + 1, sizeof(*pl->over));
	pl->match = pcre2_match_data_create(1, NULL);
	if (!pl->over || !pl->match)
		return z5_fail(pl->err, -ENOMEM, "out of memory");
	return compile(pl);
}

static int fill(struct planner *pl, struct z5_plan *plan)
{
	size_t n = gguf_n_tensors(pl->g);

	plan->t = calloc(n ? n : 1, sizeof(*plan->t));
	if (!plan->t)
		return z5_fail(pl->err, -ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++) {
		int ret = plan_tensor(pl, gguf_tensor(pl->g, i), &plan->t[i]);

		if (ret)
			return ret;
	}
	for (size_t i = 0; i < pl->p->n_overrides; i++)
		if (!pl->over[i].used)
			return z5_fail(pl->err, -EINVAL, "pattern %.64s fits no tensor that a type is chosen for",
				       pl->p->overrides[i].pattern);
	return 0;
}

int z5_plan_make(struct z5_plan *plan, const struct gguf *g, const struct zen5rt_quantize_params *p,
		 bool have_imatrix, struct zen5rt_error *err)
{
	struct planner pl = { .g = g, .p = p, .err = err, .have_imatrix = have_imatrix };
	int mix = find_mix(p->type ? p->type : ""), ret;

	if (mix < 0)
		return z5_fail(err, -EINVAL, "%.32s: no type to quantize to; zen5-quantize --help lists them",
			       p->type ? p->type : "(none)");
	pl.mix = (enum mix)mix;
	plan->name = mixes[mix].name;
	plan->file_type = mixes[mix].file_type;
	ret = prepare(&pl);
	if (!ret && !z5_quant_type(mixes[mix].base))
		ret = z5_fail(err, -EINVAL, "%s: there is no quantizer for it in this version", plan->name);
	if (!ret)
		ret = fill(&pl, plan);
	if (pl.over)
		for (size_t i = 0; i < p->n_overrides; i++)
			pcre2_code_free(pl.over[i].code);
	free(pl.over);
	pcre2_match_data_free(pl.match);
	return ret;
}

void z5_plan_free(struct z5_plan *plan)
{
	free(plan->t);
	plan->t = NULL;
}
