// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers: how text is cut into words before BPE merges inside them. A name of
 * tokenizer.ggml.pre stands for one or more regular expressions; each is applied to what
 * the ones before it left, and what it does not match between two matches is a word too.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "error.h"
#include "internal.h"
#include "utf8.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * White space is spelled out: \s of PCRE2 has U+180E, which Unicode took out of the class
 * and which no tokenizer counts.
 */
#define WS	"\\p{Z}\\t-\\r\\x{85}"
#define SPACE	"[" WS "]"
#define TAIL	SPACE "+(?![^" WS "])|" SPACE "+"
#define ENGLISH	"'[sS]|'[tT]|'[rR][eE]|'[vV][eE]|'[mM]|'[lL][lL]|'[dD]"

#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" WS "\\p{L}\\p{N}]+|" TAIL
#define WORDS(digits) "(?:" ENGLISH ")|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
	"| ?[^" WS "\\p{L}\\p{N}]+[\\r\\n]*|" SPACE "*[\\r\\n]+|" TAIL

#define PRETOK_MAX 4	/* expressions of one name */

static const char *const pat_gpt2[PRETOK_MAX] = { GPT2 };
static const char *const pat_llama3[PRETOK_MAX] = { WORDS("\\p{N}{1,3}") };
static const char *const pat_qwen2[PRETOK_MAX] = { WORDS("\\p{N}") };
static const char *const pat_default[PRETOK_MAX] = {
	"[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]",
};

#define LLAMA3 pat_llama3, Z5_PRE_IGNORE_MERGES | Z5_PRE_ADD_BOS

static const struct pretok_name {
	const char *name;
	const char *const *pattern;
	unsigned int flags;
} pretok_names[] = {
	{ "default", pat_default, 0 },
	{ "llama-bpe", LLAMA3 },
	{ "llama3", LLAMA3 },
	{ "llama-v3", LLAMA3 },
	{ "falcon3", LLAMA3 },
	{ "falcon-h1", LLAMA3 },
	{ "pixtral", LLAMA3 },
	{ "midm-2.0", LLAMA3 },
	{ "lfm2", LLAMA3 },
	{ "dbrx", pat_llama3, 0 },
	{ "smaug-bpe", pat_llama3, 0 },
	{ "glm4", pat_llama3, 0 },
	{ "chatglm-bpe", pat_llama3, 0 },
	{ "gpt-2", pat_gpt2, 0 },
	{ "phi-2", pat_gpt2, 0 },
	{ "mpt", pat_gpt2, 0 },
	{ "olmo", pat_gpt2, 0 },
	{ "jais", pat_gpt2, 0 },
	{ "trillion", pat_gpt2, 0 },
	{ "exaone4", pat_gpt2, 0 },
	{ "gigachat", pat_gpt2, 0 },
	{ "a.x-4.0", pat_gpt2, 0 },
	{ "mellum", pat_gpt2, 0 },
	{ "granite-docling", pat_gpt2, 0 },
	{ "qwen2", pat_qwen2, 0 },
	{ "deepseek-r1-qwen", pat_qwen2, 0 },
	{ "megrez", pat_qwen2, 0 },
	{ "stablelm2", pat_qwen2, 0 },
	{ "hunyuan", pat_qwen2, 0 },
	{ "solar-open", pat_qwen2, 0 },
	{ "grok-2", pat_qwen2, 0 },
	{ "kormo", pat_qwen2, 0 },
};

struct z5_pretok {
	pcre2_code *code[PRETOK_MAX];
	bool jit[PRETOK_MAX];
	unsigned int n;
	pcre2_match_context *limits;
};

struct z5_pretok_run {
	const struct z5_pretok *p;
	pcre2_match_data *match[PRETOK_MAX];
};

static const struct pretok_name *pretok_find(struct gguf_str name)
{
	for (size_t i = 0; i < sizeof(pretok_names) / sizeof(*pretok_names); i++)
		if (strlen(pretok_names[i].name) == name.len &&
		    !memcmp(pretok_names[i].name, name.p, name.len))
			return &pretok_names[i];
	return NULL;
}

static int pretok_unknown(struct gguf_str name, const char *path, struct zen5rt_error *err)
{
	char known[1024] = "";
	size_t len = 0;

	for (size_t i = 0; i < sizeof(pretok_names) / sizeof(*pretok_names); i++)
		len += (size_t)snprintf(known + len, len < sizeof(known) ? sizeof(known) - len : 0,
					"%s%s", i ? " " : "", pretok_names[i].name);
	return z5_fail(err, -EINVAL,
		       "%s: pre-tokenizer '%.*s' (tokenizer.ggml.pre) is not supported; known: %s",
		       path, name.len > 64 ? 64 : (int)name.len, name.p, known);
}

int z5_pretok_new(struct gguf_str name, const char *path, struct z5_pretok **out,
		  unsigned int *flags, struct zen5rt_error *err)
{
	const struct pretok_name *def = pretok_find(name);
	struct z5_pretok *p;

	if (!def)
		return pretok_unknown(name, path, err);
	p = calloc(1, sizeof(*p));
	if (!p)
		goto nomem;
	p->limits = pcre2_match_context_create(NULL);
	if (!p->limits)
		goto nomem;
	/* The expressions are ours and linear; a long text is no reason to give up. */
	pcre2_set_match_limit(p->limits, UINT32_MAX);
	for (; p->n < PRETOK_MAX && def->pattern[p->n]; p->n++) {
		int code;
		PCRE2_SIZE at;

		p->code[p->n] = pcre2_compile((PCRE2_SPTR)def->pattern[p->n], PCRE2_ZERO_TERMINATED,
					      PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
		if (!p->code[p->n] && code == PCRE2_ERROR_HEAP_FAILED)
			goto nomem;
		if (!p->code[p->n]) {
			z5_pretok_free(p);
			return z5_fail(err, -EINVAL,
				       "this PCRE2 cannot compile pre-tokenizer '%s' (error %d)",
				       def->name, code);
		}
		/* refused where memory may not become executable: slower, and equal */
		p->jit[p->n] = !pcre2_jit_compile(p->code[p->n], PCRE2_JIT_COMPLETE);
	}
	*out = p;
	*flags = def->flags;
	return 0;
nomem:
	z5_pretok_free(p);
	return z5_fail(err, -ENOMEM, "out of memory for the pre-tokenizer");
}

void z5_pretok_free(struct z5_pretok *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < PRETOK_MAX; i++)
		pcre2_code_free(p->code[i]);
	pcre2_match_context_free(p->limits);
	free(p);
}

struct z5_pretok_run *z5_pretok_run_new(const struct z5_pretok *p)
{
	struct z5_pretok_run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->p = p;
	for (unsigned int i = 0; i < p->n; i++) {
		run->match[i] = pcre2_match_data_create(1, NULL);
		if (!run->match[i]) {
			z5_pretok_run_free(run);
			return NULL;
		}
	}
	return run;
}

void z5_pretok_run_free(struct z5_pretok_run *run)
{
	if (!run)
		return;
	for (unsigned int i = 0; i < PRETOK_MAX; i++)
		pcre2_match_data_free(run->match[i]);
	free(run);
}

/* The first match at or after byte from; false if there is none. */
static bool pretok_match(struct z5_pretok_run *run, unsigned int i, const char *p, size_t len,
			 size_t from, size_t *start, size_t *end)
{
	const PCRE2_SIZE *at = pcre2_get_ovector_pointer(run->match[i]);
	PCRE2_SPTR s = (PCRE2_SPTR)p;
	int r = PCRE2_ERROR_JIT_STACKLIMIT;

	if (run->p->jit[i])
		r = pcre2_jit_match(run->p->code[i], s, len, from, PCRE2_NO_UTF_CHECK,
				    run->match[i], run->p->limits);
	if (r < PCRE2_ERROR_NOMATCH)
		r = pcre2_match(run->p->code[i], s, len, from, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
				run->match[i], run->p->limits);
	/* Beyond its means, the engine leaves the rest in one piece: no byte of it is lost. */
	if (r < 0 || at[1] <= at[0])
		return false;
	*start = at[0];
	*end = at[1];
	return true;
}

/* Expression i and those after it, over valid UTF-8. */
static int pretok_level(struct z5_pretok_run *run, unsigned int i, const char *p, size_t len,
			z5_word_fn fn, void *ctx)
{
	size_t done = 0, start, end;
	int r = 0;

	if (i == run->p->n)
		return fn(ctx, p, len);
	while (!r && done < len && pretok_match(run, i, p, len, done, &start, &end)) {
		if (start > done)
			r = pretok_level(run, i + 1, p + done, start - done, fn, ctx);
		if (!r)
			r = pretok_level(run, i + 1, p + start, end - start, fn, ctx);
		done = end;
	}
	if (!r && done < len)
		r = pretok_level(run, i + 1, p + done, len - done, fn, ctx);
	return r;
}

int z5_pretok_split(struct z5_pretok_run *run, const char *p, size_t len, z5_word_fn fn, void *ctx)
{
	size_t good = 0, bad, n;
	uint32_t cp;
	int r = 0;

	/* The engine takes valid UTF-8 alone: runs of stray bytes stand between as words. */
	while (!r && len) {
		for (good = 0; good < len; good += n) {
			n = utf8_next(p + good, len - good, &cp);
			if (cp >= UTF8_STRAY)
				break;
		}
		if (good)
			r = pretok_level(run, 0, p, good, fn, ctx);
		for (bad = good; bad < len; bad++) {
			utf8_next(p + bad, len - bad, &cp);
			if (cp < UTF8_STRAY)
				break;
		}
		if (!r && bad > good)
			r = fn(ctx, p + good, bad - good);
		p += bad;
		len -= bad;
	}
	return r;
}
