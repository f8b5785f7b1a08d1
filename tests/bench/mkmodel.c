// SPDX-License-Identifier: MIT
/*
 * mkmodel: writes a llama-shaped GGUF file with random weights, for measuring: any shape, any type. The weights are
 * scaled so that activations stay finite; the text such a model writes means nothing.
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
	  "tiny, 1.1b (TinyLlama's, the default), 7b (Mistral's) or moe (8 experts, 1.9 billion weights)", 0 },
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

struct args {
	const char *out;
	const struct z5_type_ops *type;
	unsigned int embd, ff, layers, heads, kv, vocab, experts, used;
	int pure, sparse;
};

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
					    a->sparse };
		else if (!strcmp(arg, "7b"))
			*a = (struct args){ a->out, a->type, 4096, 14336, 32, 32, 8, 32000, a->experts, a->used,
					    a->pure, a->sparse };
		else if (!strcmp(arg, "moe"))
			*a = (struct args){ a->out, a->type, 2048, 2816, 12, 16, 4, 32000, 8, 2, a->pure,
					    a->sparse };
		else if (strcmp(arg, "1.1b"))
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
static uint64_t written;

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

static void kv_u32(const char *key, uint32_t v) { str(key); u32(4); u32(v); }
static void kv_f32(const char *key, float v) { str(key); u32(6); put(&v, 4); }
static void kv_str(const char *key, const char *v) { str(key); u32(8); str(v); }

static void pad(void)
{
	static const char zero[32];

	put(zero, (32 - written % 32) % 32);
}

static void vocabulary(unsigned int n)
{
	char s[32];

	kv_str("tokenizer.ggml.model", "llama");
	str("tokenizer.ggml.tokens"), u32(9), u32(8), u64(n);
	for (unsigned int i = 0; i < n; i++) {
		if (i < 3)
			strcpy(s, i == 0 ? "<unk>" : i == 1 ? "<s>" : "</s>");
		else if (i < 259)
			sprintf(s, "<0x%02X>", i - 3);
		else
			sprintf(s, "\xe2\x96\x81w%u", i);
		str(s);
	}
	str("tokenizer.ggml.scores"), u32(9), u32(6), u64(n);
	for (unsigned int i = 0; i < n; i++) {
		float v = -(float)i;

		put(&v, 4);
	}
	str("tokenizer.ggml.token_type"), u32(9), u32(5), u64(n);
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
		case 39: *p = (uint8_t)(128 + ilogbf(sd / 5)); break;
		}
	}
}

struct tensor {
	char name[64];
	const struct z5_type_ops *type;
	uint64_t k, rows, n;		/* n matrices: three dimensions unless it is 1 */
};

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
	t->type = k % type->block ? &z5_types[Z5_F16] : type;
	t->k = k;
	t->rows = rows;
	t->n = n;
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(t->name, sizeof(t->name), fmt, layer);
}

static void add(const struct z5_type_ops *type, uint64_t k, uint64_t rows, const char *fmt, unsigned int layer)
{
	add_stack(type, k, rows, 1, fmt, layer);
}

static void plan(const struct args *a)
{
	const struct z5_type_ops *f32 = &z5_types[Z5_F32], *w = a->type, *out = w;
	const unsigned int nkv = a->embd / a->heads * a->kv;

	if (!a->pure && (w == &z5_types[Z5_Q4_0] || w == &z5_types[Z5_Q4_K]) && a->embd % 256 == 0)
		out = &z5_types[Z5_Q6_K];
	add(w, a->embd, a->vocab, "token_embd.weight", 0);
	add(out, a->embd, a->vocab, "output.weight", 0);
	add(f32, a->embd, 1, "output_norm.weight", 0);
	for (unsigned int i = 0; i < a->layers; i++) {
		add(f32, a->embd, 1, "blk.%u.attn_norm.weight", i);
		add(w, a->embd, a->embd, "blk.%u.attn_q.weight", i);
		add(w, a->embd, nkv, "blk.%u.attn_k.weight", i);
		add(w, a->embd, nkv, "blk.%u.attn_v.weight", i);
		add(w, a->embd, a->embd, "blk.%u.attn_output.weight", i);
		add(f32, a->embd, 1, "blk.%u.ffn_norm.weight", i);
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

int main(int argc, char **argv)
{
	static const struct argp argp = { options, parse, "OUT.gguf", "Writes a model with random weights.", 0, 0, 0 };
	struct args a = { NULL, &z5_types[Z5_Q8_0], 2048, 5632, 22, 32, 4, 32000, 0, 2, 0, 0 };
	uint64_t off = 0;

	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.vocab < 300 || a.embd % a.heads || a.heads % a.kv)
		die("vocab >= 300, embd a multiple of heads, heads of kv");
	if (a.experts && a.used > a.experts)
		die("more experts used than there are");
	f = fopen(a.out, "wb");
	if (!f)
		die(strerror(errno));
	plan(&a);
	put("GGUF", 4);
	u32(3);
	u64(n_tensors);
	u64(a.experts ? 19 : 17);
	kv_str("general.architecture", "llama");
	kv_str("general.name", "random weights");
	kv_u32("llama.context_length", 8192);
	kv_u32("llama.embedding_length", a.embd);
	kv_u32("llama.block_count", a.layers);
	kv_u32("llama.feed_forward_length", a.ff);
	kv_u32("llama.attention.head_count", a.heads);
	kv_u32("llama.attention.head_count_kv", a.kv);
	kv_u32("llama.rope.dimension_count", a.embd / a.heads);
	kv_f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
	if (a.experts) {
		kv_u32("llama.expert_count", a.experts);
		kv_u32("llama.expert_used_count", a.used);
	}
	vocabulary(a.vocab);
	for (size_t i = 0; i < n_tensors; i++) {
		const struct tensor *t = &tensors[i];

		str(t->name);
		u32(t->n > 1 ? 3 : t->rows == 1 ? 1 : 2);
		u64(t->k);
		if (t->rows > 1)
			u64(t->rows);
		if (t->n > 1)
			u64(t->n);
		u32(t->type->ggml);
		u64(off);
		off += (t->n * t->rows * (t->k / t->type->block * t->type->bytes) + 31) / 32 * 32;
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
			if (t->rows == 1)
				for (uint64_t j = 0; j < t->k; j++)
					((float *)p)[j] = 1;
			else
				row(p, t->type, t->k, 0.02f);
			put(p, bytes);
		}
		free(p);
		pad();
	}
	if (fclose(f))
		die(strerror(errno));
	return 0;
}
