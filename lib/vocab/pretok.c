// SPDX-License-Identifier: MIT
/*
 * Pre-tokenizers: how text is cut into words before BPE merges inside them. A name of
 * tokenizer.ggml.pre stands for one or more steps (pretok_table.c); each is applied to what
 * the ones before it left, and what it does not match between two matches is a word too.
 */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "error.h"
#include "pretok.h"
#include "utf8.h"

#include <errno.h>
#include <pcre2.h>
#include <stdio.h>
#include <stdlib.h>

struct z5_pretok {
	const struct z5_pretok_step *step;
	pcre2_code *code[Z5_PRETOK_MAX];	/* NULL where the step is a cut */
	bool jit[Z5_PRETOK_MAX];
	unsigned int n;
	pcre2_match_context *limits;
};

struct z5_pretok_run {
	const struct z5_pretok *p;
	pcre2_match_data *match[Z5_PRETOK_MAX];
};

static const struct z5_pretok_name *pretok_find(struct gguf_str name)
{
	const struct z5_pretok_name *d;

	for (d = z5_pretok_names; d->name; d++)
		if (strlen(d->name) == name.len && !memcmp(d->name, name.p, name.len))
			return d;
	return NULL;
}

/* One expression; -EINVAL if it is not one. */
static int pretok_compile(struct z5_pretok *p, unsigned int i)
{
	int code;
	PCRE2_SIZE at;

	p->code[i] = pcre2_compile((PCRE2_SPTR)p->step[i].re, PCRE2_ZERO_TERMINATED,
				   PCRE2_UTF | PCRE2_UCP, &code, &at, NULL);
	if (!p->code[i])
		return code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EINVAL;
	/* refused where memory may not become executable: slower, and equal */
	p->jit[i] = !pcre2_jit_compile(p->code[i], PCRE2_JIT_COMPLETE);
	return 0;
}

int z5_pretok_new(struct gguf_str name, const char *path, struct z5_pretok **out,
		  unsigned int *flags, struct zen5rt_error *err)
{
	const struct z5_pretok_name *def = pretok_find(name);
	struct z5_pretok *p;
	int r = 0;

	if (!def)
		return z5_fail(err, -EINVAL, "%s: pre-tokenizer '%.*s' (tokenizer.ggml.pre) is not "
			       "supported; those of llama.cpp 0.7.0 are", path,
			       name.len > 64 ? 64 : (int)name.len, name.p);
	p = calloc(1, sizeof(*p));
	if (p)
		p->limits = pcre2_match_context_create(NULL);
	if (!p || !p->limits) {
		z5_pretok_free(p);
		return z5_fail(err, -ENOMEM, "out of memory for the pre-tokenizer");
	}
	/* The expressions are ours and linear; a long text is no reason to give up. */
	pcre2_set_match_limit(p->limits, UINT32_MAX);
	p->step = def->step;
	for (; !r && (p->step[p->n].re || p->step[p->n].cut); p->n++)
		if (p->step[p->n].re)
			r = pretok_compile(p, p->n);
	if (r) {
		z5_pretok_free(p);
		if (r == -ENOMEM)
			return z5_fail(err, r, "out of memory for the pre-tokenizer");
		return z5_fail(err, r, "this PCRE2 cannot compile pre-tokenizer '%s'", def->name);
	}
	*out = p;
	*flags = def->flags;
	return 0;
}

void z5_pretok_free(struct z5_pretok *p)
{
	if (!p)
		return;
	for (unsigned int i = 0; i < Z5_PRETOK_MAX; i++)
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
		if (p->code[i])
			run->match[i] = pcre2_match_data_create(1, NULL);
		if (p->code[i] && !run->match[i]) {
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
	for (unsigned int i = 0; i < Z5_PRETOK_MAX; i++)
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

static int pretok_next(void *ctx, const char *p, size_t len);

/* What a cut hands its pieces to. */
struct pretok_rest {
	struct z5_pretok_run *run;
	unsigned int step;
	z5_word_fn fn;
	void *ctx;
};

/* Step i and those after it, over valid UTF-8. */
static int pretok_level(struct z5_pretok_run *run, unsigned int i, const char *p, size_t len,
			z5_word_fn fn, void *ctx)
{
	size_t done = 0, start, end;
	int r = 0;

	if (i == run->p->n)
		return fn(ctx, p, len);
	if (run->p->step[i].cut)
		return run->p->step[i].cut(p, len, pretok_next,
					   &(struct pretok_rest){ run, i + 1, fn, ctx });
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

static int pretok_next(void *ctx, const char *p, size_t len)
{
	const struct pretok_rest *rest = ctx;

	return pretok_level(rest->run, rest->step, p, len, rest->fn, rest->ctx);
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
