// SPDX-License-Identifier: MIT
/*
 * Special tokens: finding them in text, and telling those that end an answer.
 *
 * Where occurrences overlap the longest token wins, of equal ones the lower id, then the leftmost
 * occurrence; that is the order in which llama.cpp cuts the text, done here in one pass.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

struct special_hit {
	const char *p;
	uint32_t len, id;
};

static int special_order(const void *a, const void *b, void *arg)
{
	const struct zen5rt_vocab *v = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	struct gguf_str s = z5_strtab_get(&v->str, x), t = z5_strtab_get(&v->str, y);
	int r = memcmp(s.p, t.p, s.len < t.len ? s.len : t.len);

	if (r || s.len != t.len)
		return r ? r : s.len < t.len ? -1 : 1;
	return x < y ? -1 : 1;
}

static bool special_named(const struct zen5rt_vocab *v, uint32_t id, const char *const *names)
{
	struct gguf_str s = z5_strtab_get(&v->str, id);

	for (; *names; names++)
		if (strlen(*names) == s.len && !memcmp(*names, s.p, s.len))
			return true;
	return false;
}

static bool special_is(const struct zen5rt_vocab *v, uint32_t id)
{
	return v->str.at[id].len && (z5_vocab_reserved(v, id) || v->type[id] == Z5_TOKEN_USER);
}

int z5_special_init(struct zen5rt_vocab *v, bool rstrip)
{
	static const char *const keep[] = { "<unk>", "<s>", "<|endoftext|>", NULL };
	uint32_t n = 0;

	for (uint32_t id = 0; id < v->n; id++)
		n += special_is(v, id);
	v->special = malloc(n * sizeof(*v->special) + 1);
	if (!v->special)
		return -ENOMEM;
	for (uint32_t id = 0; id < v->n; id++) {
		if (!special_is(v, id))
			continue;
		v->special[v->n_special++] = id;
		if (rstrip && !special_named(v, id, keep))
			v->flag[id] |= Z5_TOKEN_RSTRIP;
	}
	qsort_r(v->special, n, sizeof(*v->special), special_order, v);
	for (uint32_t i = 0; i < n; i++)
		v->special_first[(uint8_t)z5_strtab_get(&v->str, v->special[i]).p[0] + 1] = i + 1;
	for (unsigned int b = 1; b <= 256; b++)
		if (!v->special_first[b])
			v->special_first[b] = v->special_first[b - 1];
	return 0;
}

/* ---- tokens that are what their text says ---- */

/*
 * The text of a token says what it is where the file's types do not; the list is llama.cpp's.
 * Those of a key are left to the key if the file has it.
 */
struct special_text {
	const char *text;
	const char *key;
	bool ends;	/* ends an answer */
};

#define FIM(name) "tokenizer.ggml.fim_" name "_token_id"
#define BAR "\xef\xbd\x9c"	/* U+FF5C, with which DeepSeek writes its tokens */

static const struct special_text special_texts[] = {
	{ "<|eot_id|>", NULL, true }, { "<|im_end|>", NULL, true }, { "<|end|>", NULL, true },
	{ "<|return|>", NULL, true }, { "<|call|>", NULL, true }, { "<|flush|>", NULL, true },
	{ "<|calls|>", NULL, true }, { "<end_of_turn>", NULL, true },
	{ "<|endoftext|>", NULL, true }, { "</s>", NULL, true }, { "<|eom_id|>", NULL, true },
	{ "<EOT>", NULL, true }, { "_<EOT>", NULL, true }, { "[EOT]", NULL, true },
	{ "[EOS]", NULL, true }, { "<|end_of_text|>", NULL, true },
	{ "<end_of_utterance>", NULL, true }, { "<eos>", NULL, true }, { "<turn|>", NULL, true },
	{ "<|tool_response>", NULL, true }, { "[e~[", NULL, true },
	{ "<" BAR "end" Z5_SPACE "of" Z5_SPACE "sentence" BAR ">", NULL, true },
	{ "<|fim_pad|>", FIM("pad"), true }, { "<fim-pad>", FIM("pad"), true },
	{ "<fim_pad>", FIM("pad"), true }, { "<PAD>", FIM("pad"), true },
	{ "[PAD]", FIM("pad"), true }, { "<|fim_repo|>", FIM("rep"), true },
	{ "<|repo_name|>", FIM("rep"), true }, { "<fim-repo>", FIM("rep"), true },
	{ "<REPO>", FIM("rep"), true }, { "<reponame>", FIM("rep"), true },
	{ "<|file_sep|>", FIM("sep"), true },
	{ "<|fim_prefix|>", FIM("pre"), false }, { "<fim-prefix>", FIM("pre"), false },
	{ "<fim_prefix>", FIM("pre"), false }, { "<PRE>", FIM("pre"), false },
	{ Z5_SPACE "<PRE>", FIM("pre"), false }, { "<|code_prefix|>", FIM("pre"), false },
	{ "<|prefix|>", FIM("pre"), false },
	{ "<" BAR "fim" Z5_SPACE "begin" BAR ">", FIM("pre"), false },
	{ "<|fim_suffix|>", FIM("suf"), false }, { "<fim-suffix>", FIM("suf"), false },
	{ "<fim_suffix>", FIM("suf"), false }, { "<SUF>", FIM("suf"), false },
	{ Z5_SPACE "<SUF>", FIM("suf"), false }, { "<|code_suffix|>", FIM("suf"), false },
	{ "<|suffix|>", FIM("suf"), false },
	{ "<" BAR "fim" Z5_SPACE "hole" BAR ">", FIM("suf"), false },
	{ "<|fim_middle|>", FIM("mid"), false }, { "<fim-middle>", FIM("mid"), false },
	{ "<fim_middle>", FIM("mid"), false }, { "<MID>", FIM("mid"), false },
	{ Z5_SPACE "<MID>", FIM("mid"), false }, { "<|code_middle|>", FIM("mid"), false },
	{ "<|middle|>", FIM("mid"), false },
	{ "<" BAR "fim" Z5_SPACE "end" BAR ">", FIM("mid"), false },
};

static bool special_says(struct gguf_str s, const char *text)
{
	return strlen(text) == s.len && !memcmp(text, s.p, s.len);
}

/* What the vocabulary has, of the tokens that change what others mean. */
struct special_seen {
	bool parts, call, tool;
	uint32_t end, s;	/* <|end|> and </s> */
};

static void special_see(struct special_seen *seen, struct gguf_str s, uint32_t id)
{
	seen->parts |= special_says(s, "<|return|>") || special_says(s, "<|flush|>");
	seen->call |= special_says(s, "<|call|>") || special_says(s, "<|calls|>");
	seen->tool |= special_says(s, "<|tool_response>");
	if (special_says(s, "<|end|>"))
		seen->end = id;
	if (special_says(s, "</s>"))
		seen->s = id;
}

void z5_special_types(struct zen5rt_vocab *v, const struct gguf *g,
		      const struct gguf_array *tokens)
{
	struct special_seen seen = { .end = Z5_NO_ID, .s = Z5_NO_ID };
	const struct special_text *t;

	for (uint32_t id = 0; id < v->n; id++) {
		struct gguf_str s = gguf_array_str(tokens, id);

		/* all begin with one of < [ _ and U+2581 */
		if (s.len < 4 || !(s.p[0] == '<' || s.p[0] == '[' || s.p[0] == '_' ||
				   s.p[0] == Z5_SPACE[0]))
			continue;
		for (t = special_texts; t < special_texts + sizeof(special_texts) / sizeof(*t); t++)
			if (special_says(s, t->text))
				break;
		if (t == special_texts + sizeof(special_texts) / sizeof(*t) ||
		    (t->key && gguf_kind(g, t->key) >= 0))
			continue;
		if (t->ends)
			v->flag[id] |= Z5_TOKEN_EOG;
		if (v->type[id] != Z5_TOKEN_UNKNOWN)
			v->type[id] = Z5_TOKEN_CONTROL;
		special_see(&seen, s, id);
	}
	/* gpt-oss, solar: an answer has several parts, and <|end|> ends only one of them. */
	if (seen.parts && seen.call && seen.end != Z5_NO_ID)
		v->flag[seen.end] &= (uint8_t)~Z5_TOKEN_EOG;
	/* gemma 4 has an ordinary token that is spelled </s> */
	if (seen.tool && seen.s != Z5_NO_ID) {
		v->flag[seen.s] &= (uint8_t)~Z5_TOKEN_EOG;
		v->type[seen.s] = Z5_TOKEN_NORMAL;
	}
}

/* ---- finding them in text ---- */

/* First of special[lo..hi), which agree in d bytes and are longer, whose byte d is at least b. */
static uint32_t special_bound(const struct zen5rt_vocab *v, uint32_t lo, uint32_t hi, uint32_t d,
			      unsigned int b)
{
	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if ((uint8_t)z5_strtab_get(&v->str, v->special[mid]).p[d] < b)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* The longest token that p[0..len) begins with, the first of equals; false if there is none. */
static bool special_longest(const struct zen5rt_vocab *v, const char *p, size_t len, bool control,
			    struct special_hit *hit)
{
	uint32_t lo, hi;

	hit->len = 0;
	if (!len)
		return false;
	lo = v->special_first[(uint8_t)p[0]];
	hi = v->special_first[(uint8_t)p[0] + 1];
	for (uint32_t d = 1; lo < hi; d++) {
		for (; lo < hi && v->str.at[v->special[lo]].len == d; lo++) {
			uint32_t id = v->special[lo];

			if (hit->len < d && (control || !z5_vocab_reserved(v, id)))
				*hit = (struct special_hit){ p, d, id };
		}
		if (d == len)
			break;
		lo = special_bound(v, lo, hi, d, (uint8_t)p[d]);
		hi = special_bound(v, lo, hi, d, (uint8_t)p[d] + 1u);
	}
	return hit->len;
}

/*
 * Occurrences that overlap, from the first that does not overlap one before it. Of each place only
 * the longest token that still fits is in the heap; the best of all is at its top.
 */
struct special_chain {
	struct special_hit *hit;
	size_t n, cap;
	const char *start, *reach;
	uint8_t *taken;		/* bytes of the chain that belong to a token */
	struct special_hit *kept;
	size_t n_kept;
};

static bool special_before(const struct special_hit *x, const struct special_hit *y)
{
	if (x->len != y->len)
		return x->len > y->len;
	return x->id != y->id ? x->id < y->id : x->p < y->p;
}

static void special_sift(struct special_hit *hit, size_t n, size_t i)
{
	struct special_hit h = hit[i];
	size_t c;

	while ((c = 2 * i + 1) < n) {
		if (c + 1 < n && special_before(&hit[c + 1], &hit[c]))
			c++;
		if (!special_before(&hit[c], &h))
			break;
		hit[i] = hit[c];
		i = c;
	}
	hit[i] = h;
}

static int special_position(const void *a, const void *b)
{
	const struct special_hit *x = a, *y = b;

	return x->p < y->p ? -1 : x->p > y->p;
}

/* The first chain at or after p, its hits in the order of the text. -ENOMEM. */
static int special_gather(const struct zen5rt_vocab *v, const char *p, const char *end,
			  bool control, struct special_chain *c)
{
	struct special_hit hit;

	c->n = 0;
	for (; p < end && (!c->n || p < c->reach); p++) {
		unsigned int b = (uint8_t)*p;

		if (v->special_first[b] == v->special_first[b + 1] ||
		    !special_longest(v, p, (size_t)(end - p), control, &hit))
			continue;
		if (c->n == c->cap) {
			size_t cap = c->cap * 2 + 16;
			struct special_hit *more = realloc(c->hit, cap * sizeof(*more));

			if (!more)
				return -ENOMEM;
			c->hit = more;
			c->cap = cap;
		}
		if (!c->n)
			c->start = p;
		if (!c->n || p + hit.len > c->reach)
			c->reach = p + hit.len;
		c->hit[c->n++] = hit;
	}
	return 0;
}

/* Of the hits of a chain those that stand, in the order of the text, in c->kept. -ENOMEM. */
static int special_resolve(const struct zen5rt_vocab *v, bool control, struct special_chain *c)
{
	size_t n = c->n;

	c->n_kept = 0;
	c->kept = malloc(n * sizeof(*c->kept));
	c->taken = calloc((size_t)(c->reach - c->start), 1);
	if (!c->kept || !c->taken)
		return -ENOMEM;
	for (size_t i = n / 2; i-- > 0; )
		special_sift(c->hit, n, i);
	while (n) {
		struct special_hit *top = c->hit;
		uint8_t *taken = c->taken + (top->p - c->start);
		const uint8_t *hole = memchr(taken, 1, top->len);

		if (!hole) {
			c->kept[c->n_kept++] = *top;
			memset(taken, 1, top->len);
		}
		/* What fits no longer gives way to a shorter token at its place. */
		if (!hole || !special_longest(v, top->p, (size_t)(hole - taken), control, top))
			*top = c->hit[--n];
		special_sift(c->hit, n, 0);
	}
	qsort(c->kept, c->n_kept, sizeof(*c->kept), special_position);
	return 0;
}

/* Text up to a token, then the token; *done moves behind it. */
static int special_emit(const struct zen5rt_vocab *v, const struct special_hit *hit,
			const char **done, const char *end, z5_fragment_fn fn, void *ctx)
{
	int r = 0;

	if (hit->p < *done)
		return 0;
	if (hit->p > *done)
		r = fn(ctx, *done, (size_t)(hit->p - *done), Z5_NO_ID);
	if (!r)
		r = fn(ctx, hit->p, hit->len, hit->id);
	*done = hit->p + hit->len;
	while (v->flag[hit->id] & Z5_TOKEN_RSTRIP && *done < end &&
	       (**done == ' ' || (**done >= '\t' && **done <= '\r')))
		++*done;
	return r;
}

int z5_special_split(const struct zen5rt_vocab *v, const char *text, size_t len, bool control,
		     z5_fragment_fn fn, void *ctx)
{
	struct special_chain c = { 0 };
	const char *done = text, *end = text + len;
	int r = 0;

	while (!r && done < end && v->n_special) {
		r = special_gather(v, done, end, control, &c);
		if (r || !c.n)
			break;
		if (c.n == 1) {
			r = special_emit(v, c.hit, &done, end, fn, ctx);
			continue;
		}
		r = special_resolve(v, control, &c);
		for (size_t i = 0; i < c.n_kept && !r; i++)
			r = special_emit(v, &c.kept[i], &done, end, fn, ctx);
		free(c.kept);
		free(c.taken);
	}
	free(c.hit);
	if (!r && done < end)
		r = fn(ctx, done, (size_t)(end - done), Z5_NO_ID);
	return r;
}
