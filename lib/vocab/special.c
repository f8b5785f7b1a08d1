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

#define SPECIAL_HITS 64

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

/*
 * Tokens whose text ends an answer. Only control and user-defined ones: an ordinary token that
 * happens to be spelled so is text.
 */
void z5_special_eog(struct zen5rt_vocab *v)
{
	static const char *const ends[] = {
		"<|eot_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<|flush|>",
		"<|calls|>", "<end_of_turn>", "<|endoftext|>", "<|eom_id|>", "<EOT>", "_<EOT>",
		"[EOT]", "[EOS]", "<|end_of_text|>", "<end_of_utterance>", "</s>", "<eos>",
		"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]", "<|repo_name|>",
		"<fim-repo>", "<REPO>", "<reponame>", "<|file_sep|>",
		"<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>", NULL
	};
	static const char *const harmony[] = { "<|return|>", "<|flush|>", NULL };
	static const char *const call[] = { "<|call|>", "<|calls|>", NULL };
	static const char *const end[] = { "<|end|>", NULL };
	bool has_parts = false, has_call = false;

	for (uint32_t i = 0; i < v->n_special; i++) {
		uint32_t id = v->special[i];

		if (!special_named(v, id, ends))
			continue;
		v->flag[id] |= Z5_TOKEN_EOG;
		has_parts |= special_named(v, id, harmony);
		has_call |= special_named(v, id, call);
	}
	/* Where an answer has several parts, <|end|> ends only one of them. */
	for (uint32_t i = 0; i < v->n_special && has_parts && has_call; i++)
		if (special_named(v, v->special[i], end))
			v->flag[v->special[i]] &= (uint8_t)~Z5_TOKEN_EOG;
}

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

/* Tokens that text[0..len) begins with, the longest SPECIAL_HITS of them, longest last. */
static unsigned int special_at(const struct zen5rt_vocab *v, const char *p, size_t len,
			       bool control, struct special_hit *hit)
{
	uint32_t lo = v->special_first[(uint8_t)p[0]], hi = v->special_first[(uint8_t)p[0] + 1];
	unsigned int n = 0;

	for (uint32_t d = 1; lo < hi; d++) {
		bool found = false;

		for (; lo < hi && v->str.at[v->special[lo]].len == d; lo++) {
			uint32_t id = v->special[lo];

			if (found || (!control && z5_vocab_reserved(v, id)))
				continue;
			if (n == SPECIAL_HITS)
				memmove(hit, hit + 1, --n * sizeof(*hit));
			hit[n++] = (struct special_hit){ p, d, id };
			found = true;
		}
		if (d == len)
			break;
		lo = special_bound(v, lo, hi, d, (uint8_t)p[d]);
		hi = special_bound(v, lo, hi, d, (uint8_t)p[d] + 1u);
	}
	return n;
}

static int special_rank(const void *a, const void *b)
{
	const struct special_hit *x = a, *y = b;

	if (x->len != y->len)
		return x->len > y->len ? -1 : 1;
	if (x->id != y->id)
		return x->id < y->id ? -1 : 1;
	return x->p < y->p ? -1 : x->p > y->p;
}

static int special_position(const void *a, const void *b)
{
	const struct special_hit *x = a, *y = b;

	return x->p < y->p ? -1 : x->p > y->p;
}

/* Of n overlapping hits those that stand, in the order of the text. */
static unsigned int special_resolve(struct special_hit *hit, unsigned int n)
{
	unsigned int kept = 0, j;

	if (n < 2)
		return n;
	qsort(hit, n, sizeof(*hit), special_rank);
	for (unsigned int i = 0; i < n; i++) {
		for (j = 0; j < kept; j++)
			if (hit[i].p < hit[j].p + hit[j].len && hit[j].p < hit[i].p + hit[i].len)
				break;
		if (j == kept)
			hit[kept++] = hit[i];
	}
	qsort(hit, kept, sizeof(*hit), special_position);
	return kept;
}

/* Gathers hits from p on until none overlaps the next; returns how many. */
static unsigned int special_gather(const struct zen5rt_vocab *v, const char *p, const char *end,
				   bool control, struct special_hit *hit)
{
	struct special_hit here[SPECIAL_HITS];
	const char *reach = NULL;
	unsigned int n = 0, k;

	for (; p < end && (!n || p < reach) && n < SPECIAL_HITS; p++) {
		unsigned int b = (uint8_t)*p;

		if (v->special_first[b] == v->special_first[b + 1])
			continue;
		k = special_at(v, p, (size_t)(end - p), control, here);
		if (k && (!n || p + here[k - 1].len > reach))
			reach = p + here[k - 1].len;
		while (k && n < SPECIAL_HITS)
			hit[n++] = here[--k];
	}
	return n;
}

int z5_special_split(const struct zen5rt_vocab *v, const char *text, size_t len, bool control,
		     z5_fragment_fn fn, void *ctx)
{
	struct special_hit hit[SPECIAL_HITS];
	const char *done = text, *end = text + len;
	unsigned int n;
	int r = 0;

	while (!r && done < end && v->n_special) {
		n = special_resolve(hit, special_gather(v, done, end, control, hit));
		if (!n)
			break;
		for (unsigned int i = 0; i < n && !r; i++) {
			if (hit[i].p < done)
				continue;
			if (hit[i].p > done)
				r = fn(ctx, done, (size_t)(hit[i].p - done), Z5_NO_ID);
			if (!r)
				r = fn(ctx, hit[i].p, hit[i].len, hit[i].id);
			done = hit[i].p + hit[i].len;
			while (v->flag[hit[i].id] & Z5_TOKEN_RSTRIP && done < end &&
			       (*done == ' ' || (*done >= '\t' && *done <= '\r')))
				done++;
		}
	}
	if (!r && done < end)
		r = fn(ctx, done, (size_t)(end - done), Z5_NO_ID);
	return r;
}
