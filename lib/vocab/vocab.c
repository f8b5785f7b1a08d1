// SPDX-License-Identifier: MIT
/* Vocabularies: the public functions, and what one call of zen5rt_tokenize() is made of. */
#include "error.h"
#include "internal.h"

#include <errno.h>
#include <stdlib.h>

#define TOKENIZE_MAX ((size_t)1 << 30)

int zen5rt_vocab_load(const char *path, struct zen5rt_vocab **vocab, struct zen5rt_error *err)
{
	struct gguf *g;
	int r;

	r = gguf_open(path, &g, err);
	if (r)
		return r;
	r = z5_vocab_read(g, vocab, err);
	gguf_close(g);
	return r;
}

void zen5rt_vocab_free(struct zen5rt_vocab *v)
{
	if (!v)
		return;
	z5_spm_free(v->spm);
	z5_bpe_free(v->bpe);
	z5_wpm_free(v->wpm);
	z5_ugm_free(v->ugm);
	z5_rwkv_free(v->rwkv);
	z5_pretok_free(v->pretok);
	z5_pieces_free(v->pieces);
	z5_strtab_free(&v->str);
	free(v->type);
	free(v->flag);
	free(v->special);
	free(v->chat_template);
	free(v);
}

uint32_t zen5rt_vocab_size(const struct zen5rt_vocab *v)
{
	return v->n;
}

int32_t zen5rt_vocab_bos(const struct zen5rt_vocab *v)
{
	return v->bos;
}

int32_t zen5rt_vocab_eos(const struct zen5rt_vocab *v)
{
	return v->eos;
}

bool zen5rt_vocab_is_eog(const struct zen5rt_vocab *v, int32_t id)
{
	return id >= 0 && (uint32_t)id < v->n && v->flag[id] & Z5_TOKEN_EOG;
}

const char *zen5rt_vocab_chat_template(const struct zen5rt_vocab *v)
{
	return v->chat_template;
}

/* ---- the cache of words ---- */

/* Worth its memory only where words come again: a slot for every 16 bytes of text. */
static int tok_cache_init(struct z5_tok *t, size_t len)
{
	uint32_t n = 8;

	while (n < 4096 && n < len / 16)
		n *= 2;
	t->cache = aligned_alloc(64, n * sizeof(*t->cache));
	if (!t->cache)
		return -ENOMEM;
	memset(t->cache, 0, n * sizeof(*t->cache));
	t->cache_mask = n - 1;
	return 0;
}

bool z5_tok_cached(struct z5_tok *t, const char *p, size_t len, struct z5_word **slot)
{
	struct z5_word *w;

	*slot = NULL;
	if (len > sizeof(w->key))
		return false;
	w = &t->cache[(uint32_t)z5_hash(t->v->str.seed, p, len) & t->cache_mask];
	*slot = w;
	if (w->len != len || memcmp(w->key, p, len))
		return false;
	for (unsigned int i = 0; i < w->n; i++)
		z5_tok_emit(t, (uint32_t)w->ids[i]);
	return true;
}

void z5_tok_cache(struct z5_tok *t, struct z5_word *w, const char *p, size_t len, int64_t from)
{
	int64_t n = t->n - from;

	/* What did not fit the caller's array is nowhere to be copied from. */
	if (!w || n > (int64_t)(sizeof(w->ids) / sizeof(*w->ids)) || (uint64_t)t->n > t->cap)
		return;
	w->len = (uint8_t)len;
	w->n = (uint8_t)n;
	memcpy(w->key, p, len);
	if (n)
		memcpy(w->ids, t->ids + from, (size_t)n * sizeof(*w->ids));
}

/* ---- tokenizing ---- */

struct tok_fragments {
	struct z5_tok *t;
	bool prefix;	/* SPM: at the start and after special tokens a space belongs before text */
};

static int tok_fragment(void *ctx, const char *p, size_t len, uint32_t id)
{
	struct tok_fragments *f = ctx;
	const struct zen5rt_vocab *v = f->t->v;
	bool prefix = f->prefix;

	f->prefix = id != Z5_NO_ID;
	if (id != Z5_NO_ID) {
		z5_tok_emit(f->t, id);
		return 0;
	}
	switch (v->kind) {
	case Z5_VOCAB_SPM:
		return z5_spm_text(f->t, p, len, prefix && v->add_space_prefix);
	case Z5_VOCAB_BPE:
		return z5_bpe_text(f->t, p, len);
	case Z5_VOCAB_WPM:
		return z5_wpm_text(f->t, p, len);
	case Z5_VOCAB_UGM:
		return z5_ugm_text(f->t, p, len);
	case Z5_VOCAB_RWKV:
		return z5_rwkv_text(f->t, p, len);
	}
	return -EINVAL;
}

int64_t zen5rt_tokenize(const struct zen5rt_vocab *v, const char *text, size_t len,
			unsigned int flags, int32_t *ids, size_t cap, struct zen5rt_error *err)
{
	struct z5_tok t = { .v = v, .ids = ids, .cap = cap };
	struct tok_fragments f = { &t, true };
	bool bos = flags & ZEN5RT_TOKENIZE_BOS;
	int r;

	if (flags & ~(ZEN5RT_TOKENIZE_BOS | ZEN5RT_TOKENIZE_SPECIAL))
		return z5_fail(err, -EINVAL, "unknown flags 0x%x for zen5rt_tokenize", flags);
	if (len > TOKENIZE_MAX)
		return z5_fail(err, -EOVERFLOW, "text of %zu bytes is more than the 1 GiB that can "
			       "be tokenized at once", len);
	r = tok_cache_init(&t, len);
	if (!r && v->kind == Z5_VOCAB_BPE) {
		t.run = z5_pretok_run_new(v->pretok);
		r = t.run ? 0 : -ENOMEM;
	}
	if (!r && bos && v->add_bos && v->bos >= 0)
		z5_tok_emit(&t, (uint32_t)v->bos);
	if (!r && len)
		r = z5_special_split(v, text, len, flags & ZEN5RT_TOKENIZE_SPECIAL, tok_fragment,
				     &f);
	if (!r && bos && v->add_eos && v->end >= 0)
		z5_tok_emit(&t, (uint32_t)v->end);
	z5_pretok_run_free(t.run);
	z5_ugm_run_free(t.ugm);
	free(t.cache);
	free(t.merge.sym);
	free(t.merge.heap);
	free(t.buf);
	return r ? z5_fail(err, r, "out of memory for tokenizing %zu bytes", len) : t.n;
}
