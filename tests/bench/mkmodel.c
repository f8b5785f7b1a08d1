// SPDX-License-Identifier: MIT
/*
 * mkmodel: writes a GGUF file with random weights, for measuring: any shape of llama and some of BitNet, Mamba and
 * RWKV, any type. The weights are scaled so that activations stay finite; the text such a model writes means nothing.
 */
#include <argp.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <kernels/kernels.h>

static const struct argp_option options[] = {
	{ "type", 't', "TYPE", 0,
	  "a weight type by its GGUF name; Q4_0 and Q4_K get a Q6_K output matrix, as usual", 0 },
	{ "shape", 's', "NAME", 0,
	  "tiny, 1.1b (TinyLlama's, the default), 7b (Mistral's), moe (8 experts, 1.9 billion weights) or bitnet (2B4T's; "
	  "tied embeddings in F16, Q6_K beside TQ1_0 and TQ2_0); mamba-130m, mamba-1.4b, mamba2-1.3b, rwkv6-1.6b, "
	  "rwkv7-1.5b; tiny-mamba, tiny-mamba2, tiny-rwkv6, tiny-rwkv7", 0 },
	{ "embd", 'e', "N", 0, "Width", 0 },
	{ "ff", 'f', "N", 0, "Width of the feed-forward", 0 },
	{ "layers", 'l', "N", 0, "Layers", 0 },
	{ "heads", 'n', "N", 0, "Heads", 0 },
	{ "kv", 'k', "N", 0, "KV heads", 0 },
	{ "vocab", 'v', "N", 0, "Vocabulary, at least 300", 0 },
	{ "experts", 'x', "N", 0, "Experts of width --ff in each layer, 0: none", 0 },
	{ "used", 'u', "N", 0, "Experts that a token takes, 2", 0 },
	{ "pure", 'p', NULL, 0, "The output matrix has TYPE, too", 0 },
	{ "sparse", 'S', NULL, 0, "A hole for the weights: to be looked at and not to be run", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

/* Of a recurrent model. */
struct recur {
	const char *name, *arch;
	unsigned int embd, layers, ff, vocab;
	unsigned int inner, state, rank, groups;	/* Mamba; rank: of dt, or heads */
	unsigned int size, decay, iclr, value, gate;	/* RWKV; rwkv6: iclr is the width of mixes */
	int tied;
};

static const struct recur recurs[] = {
	{ "mamba-130m", "mamba", 768, 24, 0, 50280, 1536, 16, 48, 0, 0, 0, 0, 0, 0, 1 },
	{ "mamba-1.4b", "mamba", 2048, 48, 0, 50280, 4096, 16, 128, 0, 0, 0, 0, 0, 0, 1 },
	{ "mamba2-1.3b", "mamba2", 2048, 48, 0, 50288, 4096, 128, 64, 1, 0, 0, 0, 0, 0, 1 },
	{ "rwkv6-1.6b", "rwkv6", 2048, 24, 7168, 65536, 0, 0, 0, 0, 64, 64, 32, 0, 0, 0 },
	{ "rwkv7-1.5b", "rwkv7", 2048, 24, 8192, 65536, 0, 0, 0, 0, 64, 96, 96, 64, 256, 0 },
	{ "tiny-mamba", "mamba", 256, 2, 0, 333, 512, 16, 32, 0, 0, 0, 0, 0, 0, 1 },
	{ "tiny-mamba2", "mamba2", 256, 2, 0, 333, 512, 48, 8, 2, 0, 0, 0, 0, 0, 1 },
	{ "tiny-rwkv6", "rwkv6", 192, 3, 320, 333, 0, 0, 0, 0, 64, 32, 32, 0, 0, 0 },
	{ "tiny-rwkv7", "rwkv7", 192, 3, 320, 333, 0, 0, 0, 0, 64, 32, 32, 32, 64, 0 },
};

struct args {
	const char *out;
	const struct z5_type_ops *type;
	unsigned int embd, ff, layers, heads, kv, vocab, experts, used;
	int pure, sparse, bitnet;
	const struct recur *recur;	/* NULL: a llama */
};

/* I2_S is Microsoft's and so is the architecture; llama.cpp has the other types under its own. */
static const char *arch(const struct args *a)
{
	if (a->recur)
		return a->recur->arch;
	return !a->bitnet ? "llama" : a->type == &z5_types[Z5_I2_S] ? "bitnet-b1.58" : "bitnet";
}

static void die(const char *what)
{
	fprintf(stderr, "mkmodel: %s\n", what);
	exit(1);
}

static unsigned int number(const char *arg)
{
	char *end;
	unsigned long v = strtoul(arg, &end, 10);

	if (*end || !v || v > 1u << 24)
		die("numbers are from 1 to 2^24");
	return (unsigned int)v;
}

static int shape_recur(struct args *a, const char *name)
{
	for (size_t i = 0; i < sizeof(recurs) / sizeof(recurs[0]); i++) {
		if (!strcmp(name, recurs[i].name)) {
			a->recur = &recurs[i];
			a->layers = recurs[i].layers;
			a->vocab = recurs[i].vocab;
			return 1;
		}
	}
	return 0;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 't':
		a->type = NULL;
		for (int i = 0; i < Z5_N_TYPES; i++)
			if (!strcmp(arg, z5_types[i].name))
				a->type = &z5_types[i];
		if (!a->type)
			argp_error(state, "unknown type %s", arg);
		break;
	case 's':
		if (!strcmp(arg, "tiny"))
			*a = (struct args){ a->out, a->type, 256, 512, 2, 8, 4, 512, a->experts, a->used, a->pure,
					    a->sparse, 0, NULL };
		else if (!strcmp(arg, "7b"))
			*a = (struct args){ a->out, a->type, 4096, 14336, 32, 32, 8, 32000, a->experts, a->used,
					    a->pure, a->sparse, 0, NULL };
		else if (!strcmp(arg, "moe"))
			*a = (struct args){ a->out, a->type, 2048, 2816, 12, 16, 4, 32000, 8, 2, a->pure,
					    a->sparse, 0, NULL };
		else if (!strcmp(arg, "bitnet"))
			*a = (struct args){ a->out, a->type, 2560, 6912, 30, 20, 5, 128256, 0, 2, a->pure,
					    a->sparse, 1, NULL };
		else if (strcmp(arg, "1.1b") && !shape_recur(a, arg))
			argp_error(state, "unknown shape %s", arg);
		break;
	case 'e': a->embd = number(arg); break;
	case 'f': a->ff = number(arg); break;
	case 'l': a->layers = number(arg); break;
	case 'n': a->heads = number(arg); break;
	case 'k': a->kv = number(arg); break;
	case 'v': a->vocab = number(arg); break;
	case 'x': a->experts = strcmp(arg, "0") ? number(arg) : 0; break;
	case 'u': a->used = number(arg); break;
	case 'p': a->pure = 1; break;
	case 'S': a->sparse = 1; break;
	case ARGP_KEY_ARG: a->out = arg; break;
	case ARGP_KEY_END:
		if (!a->out)
			argp_usage(state);
		break;
	default: return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* ---- writing ---- */

static FILE *f;
static uint64_t written, n_keys;

static void put(const void *p, size_t n)
{
	if (fwrite(p, 1, n, f) != n)
		die("write failed");
	written += n;
}

static void u32(uint32_t v) { put(&v, 4); }
static void u64(uint64_t v) { put(&v, 8); }

static void str(const char *s)
{
	u64(strlen(s));
	put(s, strlen(s));
}

static void key_of(const char *name, uint32_t type)
{
	str(name);
	u32(type);
	n_keys++;
}

static void kv_u32(const char *key, uint32_t v) { key_of(key, 4); u32(v); }
static void kv_f32(const char *key, float v) { key_of(key, 6); put(&v, 4); }
static void kv_str(const char *key, const char *v) { key_of(key, 8); str(v); }
static void kv_array(const char *key, uint32_t type, uint64_t n) { key_of(key, 9); u32(type); u64(n); }

static const char *named(const char *arch, const char *suffix)
{
	static char key[96];

	snprintf(key, sizeof(key), "%s.%s", arch, suffix);
	return key;
}

static void pad(void)
{
	static const char zero[32];

	put(zero, (32 - written % 32) % 32);
}

static void vocabulary(unsigned int n)
{
	char s[32];

	kv_str("tokenizer.ggml.model", "llama");
	kv_array("tokenizer.ggml.tokens", 8, n);
	for (unsigned int i = 0; i < n; i++) {
		if (i < 3)
			strcpy(s, i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
		else if (i < 259)
			sprintf(s, "<0x%02X>", i - 3);
		else
			sprintf(s, "\xe2\x96\x81w%u", i);
		str(s);
	}
	kv_array("tokenizer.ggml.scores", 6, n);
	for (unsigned int i = 0; i < n; i++) {
		float v = -(float)i;

		put(&v, 4);
	}
	kv_array("tokenizer.ggml.token_type", 5, n);
	for (unsigned int i = 0; i < n; i++)
		u32(i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
	kv_u32("tokenizer.ggml.bos_token_id", 1);
	kv_u32("tokenizer.ggml.eos_token_id", 2);
	kv_u32("tokenizer.ggml.unknown_token_id", 0);
}

/* ---- random blocks ---- */

static uint64_t rng = 88172645463325252u;

static uint64_t next(void)
{
	rng ^= rng << 13;
	rng ^= rng >> 7;
	return rng ^= rng << 17;
}

/* Half-precision number near v, 0 <= v < 1. */
static uint16_t half(float v)
{
	uint32_t u;

	if (v < 6.1035156e-5f)
		return (uint16_t)(v * 16777216.0f);
	memcpy(&u, &v, 4);
	return (uint16_t)((((u >> 23) - 112) << 10) | ((u >> 13) & 1023));
}

/* Ternary weights in two bits: each of the four in a byte is 0, 1 or 2. */
static void three_of_four(uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int r = (unsigned int)(next() >> 40) % 81;

		p[i] = (uint8_t)(r % 3 | r / 3 % 3 << 2 | r / 9 % 3 << 4 | r / 27 << 6);
	}
}

/* One row of k weights of standard deviation about sd. */
static void row(uint8_t *p, const struct z5_type_ops *t, size_t k, float sd)
{
	const size_t bytes = k / t->block * t->bytes;

	for (size_t i = 0; i + 8 <= bytes; i += 8) {
		uint64_t r = next();

		memcpy(p + i, &r, 8);
	}
	for (size_t b = 0; b < k / t->block; b++, p += t->bytes) {
		uint16_t h;
		float v = sd * 1.7f * ((float)(int32_t)next() / 2147483648.0f);

		switch (t->ggml) {
		case 0: memcpy(p, &v, 4); break;
		case 1: h = half(v < 0 ? -v : v) | (v < 0 ? 0x8000 : 0); memcpy(p, &h, 2); break;
		case 30: memcpy(p, (uint8_t *)&v + 2, 2); break;
		case 8: h = half(sd / 74); memcpy(p, &h, 2); break;
		case 2: h = half(sd / 4.6f); memcpy(p, &h, 2); break;
		/* a scale of 32 * 7.5 on average, less a minimum of the same size */
		case 3: h = half(sd / 4.6f); memcpy(p, &h, 2);
			h = half(sd / 4.6f * 7.5f) | 0x8000; memcpy(p + 2, &h, 2); break;
		case 6: h = half(sd / 9.2f); memcpy(p, &h, 2); break;
		case 7: h = half(sd / 9.2f); memcpy(p, &h, 2);
			h = half(sd / 9.2f * 15.5f) | 0x8000; memcpy(p + 2, &h, 2); break;
		case 10: h = half(sd / 15); memcpy(p + 80, &h, 2); h = half(sd / 9); memcpy(p + 82, &h, 2); break;
		case 11: h = half(sd / 42); memcpy(p + 108, &h, 2); break;
		case 13: h = half(sd / 510); memcpy(p, &h, 2); h = half(sd / 34); memcpy(p + 2, &h, 2); break;
		case 12: h = half(sd / 250); memcpy(p, &h, 2); h = half(sd / 34); memcpy(p + 2, &h, 2); break;
		case 14: h = half(sd / 1330); memcpy(p + 208, &h, 2); break;
		case 20: h = half(sd / 70); memcpy(p, &h, 2); break;
		case 23: h = half(sd / 1300); memcpy(p, &h, 2); break;
		case 16: case 17: case 22: h = half(sd / 45); memcpy(p, &h, 2); break;
		case 18: h = half(sd / 112); memcpy(p, &h, 2); break;
		case 21: h = half(sd / 126); memcpy(p, &h, 2); break;
		case 19: h = half(sd / 7); memcpy(p, &h, 2); break;
		/* in the top nibbles of four halfwords */
		case 29:
			h = half(sd / 7);
			for (int i = 0; i < 4; i++)
				p[49 + 2 * i] = (uint8_t)((p[49 + 2 * i] & 15) | (h >> 4 * i & 15) << 4);
			break;
		/* two thirds are not 0 */
		case 34: h = half(sd * 1.22f); memcpy(p + 52, &h, 2); break;
		case 35: three_of_four(p, 64); h = half(sd * 1.22f); memcpy(p + 64, &h, 2); break;
		case 36: three_of_four(p, 64); break;
		case 39: *p = (uint8_t)(128 + ilogbf(sd / 5)); break;
		}
	}
}

struct tensor {
	char name[64];
	const struct z5_type_ops *type;
	uint64_t k, rows, n;		/* n matrices: three dimensions unless it is 1 */
	unsigned int n_dims;
	float mean, spread;		/* of plain floats; both 0: weights */
};

/* I2_S has its scale behind all weights. */
static size_t tail(const struct tensor *t)
{
	return t->type == &z5_types[Z5_I2_S] ? 32 : 0;
}

static struct tensor *tensors;
static size_t n_tensors;

static void add_stack(const struct z5_type_ops *type, uint64_t k, uint64_t rows, uint64_t n, const char *fmt,
		      unsigned int layer)
{
	struct tensor *t;

	tensors = realloc(tensors, (n_tensors + 1) * sizeof(*tensors));
	if (!tensors)
		die("out of memory");
	t = &tensors[n_tensors++];
	*t = (struct tensor){ .type = k % type->block ? &z5_types[Z5_F16] : type, .k = k, .rows = rows, .n = n };
	t->n_dims = n > 1 ? 3 : rows == 1 ? 1 : 2;
	if (rows * n == 1)
		t->mean = 1;
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(t->name, sizeof(t->name), fmt, layer);
}

static void add(const struct z5_type_ops *type, uint64_t k, uint64_t rows, const char *fmt, unsigned int layer)
{
	add_stack(type, k, rows, 1, fmt, layer);
}

/* Floats about a mean, in a matrix where rows is not 1, whose rows may be the fourth dimension. */
static void plain(float mean, float spread, uint64_t k, uint64_t rows, int fourth, const char *fmt, unsigned int layer)
{
	struct tensor *t;

	add(&z5_types[Z5_F32], k, rows, fmt, layer);
	t = &tensors[n_tensors - 1];
	t->mean = mean;
	t->spread = spread;
	if (fourth)
		t->n_dims = 4;
}

static void plan_mamba(const struct recur *r, const struct z5_type_ops *w, unsigned int i)
{
	const unsigned int two = r->groups, conv = two ? r->inner + 2 * two * r->state : r->inner;

	plain(1, 0, r->embd, 1, 0, "blk.%u.attn_norm.weight", i);
	add(w, r->embd, r->inner + (two ? conv + r->rank : r->inner), "blk.%u.ssm_in.weight", i);
	plain(0, 0.3f, 4, conv, 0, "blk.%u.ssm_conv1d.weight", i);
	plain(0, 0.1f, conv, 1, 0, "blk.%u.ssm_conv1d.bias", i);
	plain(-3, 1, two ? r->rank : r->inner, 1, 0, "blk.%u.ssm_dt.bias", i);
	plain(-6, 3, two ? 1 : r->state, two ? r->rank : r->inner, 0, "blk.%u.ssm_a", i);
	if (two) {
		plain(1, 0.1f, 1, r->rank, 0, "blk.%u.ssm_d", i);
		plain(1, 0.1f, r->inner / two, two, 0, "blk.%u.ssm_norm.weight", i);
		/* one group is a matrix of one row, too */
		tensors[n_tensors - 1].n_dims = 2;
	} else {
		plain(1, 0.1f, r->inner, 1, 0, "blk.%u.ssm_d", i);
		add(w, r->inner, r->rank + 2 * r->state, "blk.%u.ssm_x.weight", i);
		add(w, r->rank, r->inner, "blk.%u.ssm_dt.weight", i);
	}
	add(w, r->inner, r->embd, "blk.%u.ssm_out.weight", i);
}

/* As llama-quantize leaves them: low-rank matrices stay floats. */
static void plan_rwkv(const struct recur *r, const struct z5_type_ops *w, unsigned int i)
{
	const struct z5_type_ops *f32 = &z5_types[Z5_F32];
	const unsigned int n = r->embd, six = !r->gate;

	plain(1, 0, n, 1, 0, "blk.%u.attn_norm.weight", i);
	plain(0, 0.1f, n, 1, 0, "blk.%u.attn_norm.bias", i);
	plain(1, 0, n, 1, 0, "blk.%u.attn_norm_2.weight", i);
	plain(0, 0.1f, n, 1, 0, "blk.%u.attn_norm_2.bias", i);
	plain(0.5f, 0.5f, n, six ? 5 : 6, 1, "blk.%u.time_mix_lerp_fused.weight", i);
	add(w, n, n, "blk.%u.time_mix_receptance.weight", i);
	add(w, n, n, "blk.%u.time_mix_key.weight", i);
	add(w, n, n, "blk.%u.time_mix_value.weight", i);
	add(w, n, n, "blk.%u.time_mix_output.weight", i);
	plain(1, 0, n, 1, 0, "blk.%u.time_mix_ln.weight", i);
	plain(0, 0.1f, n, 1, 0, "blk.%u.time_mix_ln.bias", i);
	plain(0.5f, 0.5f, n, 1, 0, "blk.%u.channel_mix_lerp_k.weight", i);
	add(w, n, r->ff, "blk.%u.channel_mix_key.weight", i);
	add(w, r->ff, n, "blk.%u.channel_mix_value.weight", i);
	if (six) {
		plain(0.5f, 0.5f, n, 1, 0, "blk.%u.time_mix_lerp_x.weight", i);
		add(f32, n, 5 * r->iclr, "blk.%u.time_mix_w1.weight", i);
		add_stack(f32, r->iclr, n, 5, "blk.%u.time_mix_w2.weight", i);
		plain(0, 0.5f, r->size, n / r->size, 0, "blk.%u.time_mix_first.weight", i);
		plain(-2, 2, n, 1, 0, "blk.%u.time_mix_decay.weight", i);
		add(f32, n, r->decay, "blk.%u.time_mix_decay_w1.weight", i);
		add(f32, r->decay, n, "blk.%u.time_mix_decay_w2.weight", i);
		add(w, n, n, "blk.%u.time_mix_gate.weight", i);
		plain(0.5f, 0.5f, n, 1, 0, "blk.%u.channel_mix_lerp_r.weight", i);
		add(w, n, n, "blk.%u.channel_mix_receptance.weight", i);
		return;
	}
	plain(-2, 2, n, 1, 0, "blk.%u.time_mix_w0.weight", i);
	add(f32, n, r->decay, "blk.%u.time_mix_w1.weight", i);
	add(f32, r->decay, n, "blk.%u.time_mix_w2.weight", i);
	plain(0, 1, n, 1, 0, "blk.%u.time_mix_a0.weight", i);
	add(f32, n, r->iclr, "blk.%u.time_mix_a1.weight", i);
	add(f32, r->iclr, n, "blk.%u.time_mix_a2.weight", i);
	plain(0, 1, n, 1, 0, "blk.%u.time_mix_v0.weight", i);
	/* unused in the first layer, where llama.cpp's files have them as wide as a1 and a2 */
	add(f32, n, i ? r->value : r->iclr, "blk.%u.time_mix_v1.weight", i);
	add(f32, i ? r->value : r->iclr, n, "blk.%u.time_mix_v2.weight", i);
	add(f32, n, r->gate, "blk.%u.time_mix_g1.weight", i);
	add(f32, r->gate, n, "blk.%u.time_mix_g2.weight", i);
	plain(1, 0.2f, n, 1, 0, "blk.%u.time_mix_k_k.weight", i);
	plain(1, 0.2f, n, 1, 0, "blk.%u.time_mix_k_a.weight", i);
	plain(0, 0.2f, n, 1, 0, "blk.%u.time_mix_r_k.weight", i);
}

static void plan_recur(const struct args *a)
{
	const struct recur *r = a->recur;
	const struct z5_type_ops *w = a->type, *out = w;

	if (!a->pure && (w == &z5_types[Z5_Q4_0] || w == &z5_types[Z5_Q4_K]) && r->embd % 256 == 0)
		out = &z5_types[Z5_Q6_K];
	add(r->tied ? out : w, r->embd, a->vocab, "token_embd.weight", 0);
	if (!r->tied)
		add(out, r->embd, a->vocab, "output.weight", 0);
	plain(1, 0, r->embd, 1, 0, "output_norm.weight", 0);
	if (r->size) {
		plain(0, 0.1f, r->embd, 1, 0, "output_norm.bias", 0);
		plain(1, 0, r->embd, 1, 0, "token_embd_norm.weight", 0);
		plain(0, 0.1f, r->embd, 1, 0, "token_embd_norm.bias", 0);
	}
	for (unsigned int i = 0; i < a->layers; i++)
		(r->size ? plan_rwkv : plan_mamba)(r, w, i);
}

static void plan(const struct args *a)
{
	const struct z5_type_ops *f32 = &z5_types[Z5_F32], *w = a->type, *out = w;
	const unsigned int nkv = a->embd / a->heads * a->kv;

	if (!a->pure && (w == &z5_types[Z5_Q4_0] || w == &z5_types[Z5_Q4_K]) && a->embd % 256 == 0)
		out = &z5_types[Z5_Q6_K];
	if (a->bitnet) {
		out = &z5_types[w == &z5_types[Z5_TQ1_0] || w == &z5_types[Z5_TQ2_0] ? Z5_Q6_K : Z5_F16];
		add(a->pure ? w : out, a->embd, a->vocab, "token_embd.weight", 0);
	} else {
		add(w, a->embd, a->vocab, "token_embd.weight", 0);
		add(out, a->embd, a->vocab, "output.weight", 0);
	}
	add(f32, a->embd, 1, "output_norm.weight", 0);
	for (unsigned int i = 0; i < a->layers; i++) {
		add(f32, a->embd, 1, "blk.%u.attn_norm.weight", i);
		add(w, a->embd, a->embd, "blk.%u.attn_q.weight", i);
		add(w, a->embd, nkv, "blk.%u.attn_k.weight", i);
		add(w, a->embd, nkv, "blk.%u.attn_v.weight", i);
		add(w, a->embd, a->embd, "blk.%u.attn_output.weight", i);
		add(f32, a->embd, 1, "blk.%u.ffn_norm.weight", i);
		if (a->bitnet) {
			add(f32, a->embd, 1, "blk.%u.attn_sub_norm.weight", i);
			add(f32, a->ff, 1, "blk.%u.ffn_sub_norm.weight", i);
		}
		if (a->experts) {
			add(f32, a->embd, a->experts, "blk.%u.ffn_gate_inp.weight", i);
			add_stack(w, a->embd, a->ff, a->experts, "blk.%u.ffn_gate_exps.weight", i);
			add_stack(w, a->embd, a->ff, a->experts, "blk.%u.ffn_up_exps.weight", i);
			add_stack(w, a->ff, a->embd, a->experts, "blk.%u.ffn_down_exps.weight", i);
			continue;
		}
		add(w, a->embd, a->ff, "blk.%u.ffn_gate.weight", i);
		add(w, a->embd, a->ff, "blk.%u.ffn_up.weight", i);
		add(w, a->ff, a->embd, "blk.%u.ffn_down.weight", i);
	}
}

static void keys_llama(const struct args *a)
{
	kv_u32(named(arch(a), "context_length"), 8192);
	kv_u32(named(arch(a), "embedding_length"), a->embd);
	kv_u32(named(arch(a), "block_count"), a->layers);
	kv_u32(named(arch(a), "feed_forward_length"), a->ff);
	kv_u32(named(arch(a), "attention.head_count"), a->heads);
	kv_u32(named(arch(a), "attention.head_count_kv"), a->kv);
	kv_u32(named(arch(a), "rope.dimension_count"), a->embd / a->heads);
	kv_f32(named(arch(a), "attention.layer_norm_rms_epsilon"), 1e-5f);
	if (a->experts) {
		kv_u32(named(arch(a), "expert_count"), a->experts);
		kv_u32(named(arch(a), "expert_used_count"), a->used);
	}
}

static void keys_recur(const struct args *a)
{
	const struct recur *r = a->recur;

	kv_u32(named(r->arch, "context_length"), 1u << 20);
	kv_u32(named(r->arch, "embedding_length"), r->embd);
	kv_u32(named(r->arch, "block_count"), a->layers);
	kv_u32(named(r->arch, "feed_forward_length"), r->ff);
	kv_u32(named(r->arch, "attention.head_count"), 0);
	kv_u32(named(r->arch, "vocab_size"), a->vocab);
	kv_f32(named(r->arch, r->size ? "attention.layer_norm_epsilon" : "attention.layer_norm_rms_epsilon"), 1e-5f);
	if (!r->size) {
		kv_u32(named(r->arch, "ssm.conv_kernel"), 4);
		kv_u32(named(r->arch, "ssm.inner_size"), r->inner);
		kv_u32(named(r->arch, "ssm.state_size"), r->state);
		kv_u32(named(r->arch, "ssm.time_step_rank"), r->rank);
		if (r->groups)
			kv_u32(named(r->arch, "ssm.group_count"), r->groups);
		return;
	}
	kv_u32(named(r->arch, "wkv.head_size"), r->size);
	if (r->gate) {
		kv_u32(named(r->arch, "attention.decay_lora_rank"), r->decay);
		kv_u32(named(r->arch, "attention.iclr_lora_rank"), r->iclr);
		kv_u32(named(r->arch, "attention.value_residual_mix_lora_rank"), r->value);
		kv_u32(named(r->arch, "attention.gate_lora_rank"), r->gate);
	} else {
		kv_u32(named(r->arch, "rescale_every_n_layers"), r->layers < 6 ? 2 : 0);
		kv_u32(named(r->arch, "time_mix_extra_dim"), r->iclr);
		kv_u32(named(r->arch, "time_decay_extra_dim"), r->decay);
	}
}

/* What comes before the tensors; the number of keys is known behind them. */
static void head(const struct args *a, FILE *out)
{
	char *keys = NULL;
	size_t n = 0;

	f = open_memstream(&keys, &n);
	if (!f)
		die("out of memory");
	kv_str("general.architecture", arch(a));
	kv_str("general.name", "random weights");
	if (a->recur)
		keys_recur(a);
	else
		keys_llama(a);
	vocabulary(a->vocab);
	if (fclose(f))
		die("out of memory");
	f = out;
	written = 0;
	put("GGUF", 4);
	u32(3);
	u64(n_tensors);
	u64(n_keys);
	put(keys, n);
	free(keys);
}

/* The values of a row of plain floats. */
static void plain_row(float *p, const struct tensor *t)
{
	for (uint64_t j = 0; j < t->k; j++)
		p[j] = t->mean + (t->spread > 0 ? t->spread * ((float)(int32_t)next() / 2147483648.0f) : 0);
}

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "OUT.gguf", "Writes a model with random weights.", 0, 0, 0 };
	struct args a = { NULL, &z5_types[Z5_Q8_0], 2048, 5632, 22, 32, 4, 32000, 0, 2, 0, 0, 0, NULL };
	uint64_t off = 0;
	FILE *out;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.vocab < 300 || a.embd % a.heads || a.heads % a.kv)
		die("vocab >= 300, embd a multiple of heads, heads of kv");
	if (a.bitnet && a.experts)
		die("no BitNet has experts");
	if (a.experts && a.used > a.experts)
		die("more experts used than there are");
	out = fopen(a.out, "wb");
	if (!out)
		die(strerror(errno));
	if (a.recur)
		plan_recur(&a);
	else
		plan(&a);
	head(&a, out);
	for (size_t i = 0; i < n_tensors; i++) {
		const struct tensor *t = &tensors[i];

		str(t->name);
		u32(t->n_dims);
		u64(t->k);
		if (t->n_dims == 4)
			u64(1), u64(1);
		if (t->n_dims > 1)
			u64(t->rows);
		if (t->n_dims == 3)
			u64(t->n);
		u32(t->type->ggml);
		u64(off);
		off += (t->n * t->rows * (t->k / t->type->block * t->type->bytes) + tail(t) + 31) / 32 * 32;
	}
	pad();
	if (a.sparse && (fflush(f) || ftruncate(fileno(f), ftell(f) + (off_t)off)))
		die(strerror(errno));
	for (size_t i = 0; i < n_tensors && !a.sparse; i++) {
		const struct tensor *t = &tensors[i];
		const size_t bytes = t->k / t->type->block * t->type->bytes;
		uint8_t *p = malloc(bytes);

		if (!p)
			die("out of memory");
		for (uint64_t r = 0; r < t->n * t->rows; r++) {
			if (t->mean != 0 || t->spread > 0)
				plain_row((float *)p, t);
			else
				row(p, t->type, t->k, 0.02f);
			put(p, bytes);
		}
		free(p);
		if (tail(t)) {
			const float scale[8] = { 0.02f * 1.22f };

			put(scale, sizeof(scale));
		}
		pad();
	}
	if (fclose(f))
		die(strerror(errno));
	return 0;
}
