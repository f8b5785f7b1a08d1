// SPDX-License-Identifier: MIT
/* Reading a vocabulary from the tokenizer.* keys of a GGUF file. Nothing in the file is trusted. */
#include "error.h"
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

static int read_oom(struct zen5rt_error *err)
{
	return z5_fail(err, -ENOMEM, "out of memory for the vocabulary");
}

static int read_model(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	static const struct { const char *name; enum z5_vocab_kind kind; } known[] = {
		{ "llama", Z5_VOCAB_SPM }, { "gpt2", Z5_VOCAB_BPE }, { "gemma4", Z5_VOCAB_BPE },
		{ "bert", Z5_VOCAB_WPM }, { "t5", Z5_VOCAB_UGM }, { "rwkv", Z5_VOCAB_RWKV },
	};
	struct gguf_str model;
	int r = gguf_get_str(g, "tokenizer.ggml.model", &model, err);

	if (r < 0)
		return r;
	if (!r)
		return z5_fail(err, -EINVAL,
			       "%s: no vocabulary (tokenizer.ggml.model is not there)",
			       gguf_path(g));
	for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++) {
		if (strlen(known[i].name) != model.len ||
		    memcmp(known[i].name, model.p, model.len))
			continue;
		v->kind = known[i].kind;
		return 0;
	}
	return z5_fail(err, -EINVAL, "%s: tokenizer model '%.*s' is not supported; known: "
		       "llama gpt2 gemma4 bert t5 rwkv", gguf_path(g),
		       model.len > 64 ? 64 : (int)model.len, model.p);
}

void z5_vocab_byte_tokens(const struct zen5rt_vocab *v, uint32_t byte[256])
{
	for (unsigned int b = 0; b < 256; b++) {
		char c = (char)b;

		byte[b] = z5_strtab_find(&v->str, &c, 1);
	}
	for (uint32_t id = v->n; id-- > 0; ) {
		int b = z5_vocab_byte_name(z5_strtab_get(&v->str, id));

		if (b >= 0)
			byte[b] = id;
	}
}

int z5_vocab_byte_name(struct gguf_str s)
{
	int b = 0;

	if (s.len != 6 || memcmp(s.p, "<0x", 3) || s.p[5] != '>')
		return -1;
	for (unsigned int i = 3; i < 5; i++) {
		char c = s.p[i];

		if (c >= '0' && c <= '9')
			b = b * 16 + c - '0';
		else if (c >= 'A' && c <= 'F')
			b = b * 16 + c - 'A' + 10;
		else if (c >= 'a' && c <= 'f')
			b = b * 16 + c - 'a' + 10;
		else
			return -1;
	}
	return b;
}

static int read_types(struct zen5rt_vocab *v, const struct gguf *g,
		      const struct gguf_array *tokens, struct zen5rt_error *err)
{
	struct gguf_array types;
	int r = gguf_get_array(g, "tokenizer.ggml.token_type", GGUF_I32, &types, err);

	if (r < 0)
		return r;
	if (r && types.n < v->n)
		return z5_fail(err, -EINVAL,
			       "%s: tokenizer.ggml.token_type has %zu entries for %u tokens",
			       gguf_path(g), types.n, v->n);
	v->type = malloc(v->n);
	v->flag = calloc(v->n, 1);
	if (!v->type || !v->flag)
		return read_oom(err);
	for (uint32_t id = 0; id < v->n; id++) {
		int32_t type = Z5_TOKEN_NORMAL;

		if (r)
			type = gguf_array_i32(&types, id);
		else if (v->kind == Z5_VOCAB_SPM &&	/* files from before types */
			 z5_vocab_byte_name(gguf_array_str(tokens, id)) >= 0)
			type = Z5_TOKEN_BYTE;
		v->type[id] = type < 0 || type > Z5_TOKEN_BYTE ? Z5_TOKEN_UNDEFINED : (uint8_t)type;
	}
	z5_special_types(v, g, tokens);
	return 0;
}

/* One token; tmp has room for its text. Text becomes it only if it is indexed. */
static int read_token(struct zen5rt_vocab *v, uint32_t id, struct gguf_str s, char *tmp)
{
	bool index = s.len && !z5_vocab_reserved(v, id) && v->type[id] != Z5_TOKEN_BYTE;
	int r;

	if (v->kind == Z5_VOCAB_RWKV && index)
		s = (struct gguf_str){ tmp, z5_rwkv_unescape(s.p, s.len, tmp) };
	/* Special tokens are written as they are read; those that only look encoded stay so. */
	if (v->kind == Z5_VOCAB_BPE && index && !z5_bpe_raw(v)) {
		int64_t n = z5_bpe_decode(s.p, s.len, tmp);

		if (v->type[id] == Z5_TOKEN_USER)
			index = n == (int64_t)s.len && !memcmp(tmp, s.p, s.len);
		else
			index = n >= 0;
		if (index)
			s = (struct gguf_str){ tmp, (size_t)n };
	}
	r = z5_strtab_append(&v->str, s.p, s.len);
	if (!r && index)
		r = z5_strtab_index(&v->str, id);
	if (s.len > v->max_len)
		v->max_len = (uint32_t)s.len;
	return r;
}

static int read_tokens(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	struct gguf_array tokens;
	size_t longest = 0;
	char *tmp;
	int r = gguf_get_array(g, "tokenizer.ggml.tokens", GGUF_STRING, &tokens, err);

	if (r < 0)
		return r;
	if (!r || !tokens.n)
		return z5_fail(err, -EINVAL, "%s: tokenizer.ggml.tokens is %s", gguf_path(g),
			       r ? "empty" : "not there");
	if (tokens.n > Z5_VOCAB_MAX)
		return z5_fail(err, -EINVAL,
			       "%s: tokenizer.ggml.tokens has %zu entries, more than %u",
			       gguf_path(g), tokens.n, Z5_VOCAB_MAX);
	v->n = (uint32_t)tokens.n;
	r = read_types(v, g, &tokens, err);
	if (r)
		return r;
	for (uint32_t id = 0; id < v->n; id++) {
		size_t len = gguf_array_str(&tokens, id).len;

		if (len > longest)
			longest = len;
	}
	tmp = malloc(longest + 1);
	if (!tmp)
		return read_oom(err);
	r = z5_strtab_init(&v->str, v->n);
	for (uint32_t id = 0; id < v->n && !r; id++)
		r = read_token(v, id, gguf_array_str(&tokens, id), tmp);
	free(tmp);
	if (r == -EOVERFLOW)
		return z5_fail(err, -EINVAL, "%s: tokenizer.ggml.tokens holds more than 4 GiB",
			       gguf_path(g));
	return r ? read_oom(err) : 0;
}

/* Leaves *id alone if the key is not there. */
static int read_id(const struct zen5rt_vocab *v, const struct gguf *g, const char *key, int32_t *id,
		   struct zen5rt_error *err)
{
	uint32_t val;
	int r = gguf_get_u32(g, key, &val, err);

	if (r <= 0)
		return r;
	if (val == UINT32_MAX) {	/* how some converters write "none" */
		*id = -1;
		return 0;
	}
	if (val >= v->n)
		return z5_fail(err, -EINVAL, "%s: %s is %u, but the vocabulary has %u tokens",
			       gguf_path(g), key, val, v->n);
	*id = (int32_t)val;
	return 0;
}

/* The places that a kind's tokens have had since before there were keys for them. */
static void read_default_ids(struct zen5rt_vocab *v)
{
	static const struct { int32_t bos, eos, unk, end; } place[] = {
		[Z5_VOCAB_SPM] = { 1, 2, 0, -1 }, [Z5_VOCAB_BPE] = { -1, -1, -1, -1 },
		[Z5_VOCAB_WPM] = { 101, -1, 100, 102 }, [Z5_VOCAB_UGM] = { -1, 1, 2, -1 },
		[Z5_VOCAB_RWKV] = { -1, -1, -1, -1 },
	};
	int32_t n = (int32_t)v->n;

	v->bos = place[v->kind].bos < n ? place[v->kind].bos : -1;
	v->eos = place[v->kind].eos < n ? place[v->kind].eos : -1;
	v->unk = place[v->kind].unk < n ? place[v->kind].unk : -1;
	v->end = place[v->kind].end < n ? place[v->kind].end : -1;
}

static int read_ids(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	static const char *const ends[] = {
		"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
		"tokenizer.ggml.fim_pad_token_id", "tokenizer.ggml.fim_rep_token_id",
		"tokenizer.ggml.fim_sep_token_id",
	};
	int r = 0;

	read_default_ids(v);
	if (v->kind == Z5_VOCAB_WPM)
		r = read_id(v, g, "tokenizer.ggml.cls_token_id", &v->bos, err);
	if (!r)
		r = read_id(v, g, "tokenizer.ggml.bos_token_id", &v->bos, err);
	if (!r)
		r = read_id(v, g, "tokenizer.ggml.eos_token_id", &v->eos, err);
	if (!r)
		r = read_id(v, g, "tokenizer.ggml.unknown_token_id", &v->unk, err);
	if (!r && v->kind == Z5_VOCAB_WPM)	/* the key is spelled so */
		r = read_id(v, g, "tokenizer.ggml.seperator_token_id", &v->end, err);
	else
		v->end = v->eos;
	for (size_t i = 0; i < sizeof(ends) / sizeof(*ends) && !r; i++) {
		int32_t id = -1;

		r = read_id(v, g, ends[i], &id, err);
		if (!r && id >= 0)
			v->flag[id] |= Z5_TOKEN_EOG;
	}
	if (!r && v->eos >= 0)
		v->flag[v->eos] |= Z5_TOKEN_EOG;
	return r;
}

static int read_flags(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	int r = gguf_get_bool(g, "tokenizer.ggml.add_bos_token", &v->add_bos, err);

	if (r >= 0)
		r = gguf_get_bool(g, "tokenizer.ggml.add_eos_token", &v->add_eos, err);
	if (r >= 0)
		r = gguf_get_bool(g, "tokenizer.ggml.add_space_prefix", &v->add_space_prefix, err);
	/* Some converters wrote no where the model was trained with BOS, always. */
	if (v->kind == Z5_VOCAB_BPE && z5_bpe_force_bos(v))
		v->add_bos = true;
	return r < 0 ? r : 0;
}

/* A template of another type, or one with a NUL in it, is none: no reason to refuse a model. */
static int read_chat_template(struct zen5rt_vocab *v, const struct gguf *g)
{
	struct gguf_str s;

	if (gguf_get_str(g, "tokenizer.chat_template", &s, NULL) != 1 || memchr(s.p, 0, s.len))
		return 0;
	v->chat_template = strndup(s.p, s.len);
	return v->chat_template ? 0 : -ENOMEM;
}

/* Phi-3's tokenizer swallows white space after special tokens, and no key of the file says so. */
static bool read_is_phi3(const struct gguf *g)
{
	struct gguf_str s;

	if (gguf_get_str(g, "general.name", &s, NULL) != 1)
		return false;
	for (size_t i = 0; i + 4 <= s.len; i++)
		if (!strncasecmp(s.p + i, "phi3", 4) ||
		    (i + 5 <= s.len && !strncasecmp(s.p + i, "phi-3", 5)))
			return true;
	return false;
}

static int read_kind(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err)
{
	switch (v->kind) {
	case Z5_VOCAB_SPM:
		return z5_spm_init(v, g, err);
	case Z5_VOCAB_BPE:
		return z5_bpe_init(v, g, err);
	case Z5_VOCAB_WPM:
		return z5_wpm_init(v, g, err);
	case Z5_VOCAB_UGM:
		return z5_ugm_init(v, g, err);
	case Z5_VOCAB_RWKV:
		return z5_rwkv_init(v, err);
	}
	return -EINVAL;
}

int z5_vocab_read(const struct gguf *g, struct zen5rt_vocab **out, struct zen5rt_error *err)
{
	struct zen5rt_vocab *v = calloc(1, sizeof(*v));
	int r;

	if (!v)
		return read_oom(err);
	r = read_model(v, g, err);
	if (!r && v->kind == Z5_VOCAB_BPE)
		r = z5_bpe_begin(v, g, err);
	if (!r)
		r = read_tokens(v, g, err);
	if (!r)
		r = read_kind(v, g, err);
	if (!r)
		r = read_ids(v, g, err);
	if (!r)
		r = read_flags(v, g, err);
	if (!r && read_chat_template(v, g))
		r = read_oom(err);
	if (!r && z5_special_init(v, v->kind == Z5_VOCAB_SPM && read_is_phi3(g)))
		r = read_oom(err);
	if (r) {
		zen5rt_vocab_free(v);
		return r;
	}
	*out = v;
	return 0;
}
