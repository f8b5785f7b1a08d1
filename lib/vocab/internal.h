/* SPDX-License-Identifier: MIT */
/* What the files of lib/vocab share among themselves. */
#ifndef Z5_VOCAB_INTERNAL_H
#define Z5_VOCAB_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <vocab/vocab.h>

/* Far above any real vocabulary, and low enough that ids and sizes never meet a sign or a wrap. */
#define Z5_VOCAB_MAX (1u << 24)
#define Z5_NO_ID UINT32_MAX

/* tokenizer.ggml.token_type */
enum z5_token_type {
	Z5_TOKEN_UNDEFINED, Z5_TOKEN_NORMAL, Z5_TOKEN_UNKNOWN, Z5_TOKEN_CONTROL,
	Z5_TOKEN_USER, Z5_TOKEN_UNUSED, Z5_TOKEN_BYTE,
};

/* Flags of a token. */
#define Z5_TOKEN_EOG	(1u << 0)	/* ends an answer */
#define Z5_TOKEN_RSTRIP	(1u << 1)	/* white space after it belongs to it */

enum z5_vocab_kind {
	Z5_VOCAB_SPM, Z5_VOCAB_BPE, Z5_VOCAB_WPM, Z5_VOCAB_UGM, Z5_VOCAB_RWKV,
};

/*
 * Strings numbered from 0, one after the other in one block, and an open hash from string to
 * number. The hash is keyed by a seed of its own, so that no file can be made to collide.
 */
struct z5_strtab {
	char *bytes;
	size_t n_bytes, cap_bytes;
	struct z5_span { uint32_t off, len; } *at;
	uint32_t n, cap;
	struct z5_slot { uint32_t hash, id; } *slot;	/* id + 1; 0 is empty */
	uint32_t mask, used;
	uint64_t seed;
};

int z5_strtab_init(struct z5_strtab *t, uint32_t expect);
void z5_strtab_free(struct z5_strtab *t);
/* Appends a string that lookups do not find; -ENOMEM, -EOVERFLOW. */
int z5_strtab_append(struct z5_strtab *t, const char *p, size_t len);
/* Makes string id findable; of equal strings the first stays. */
int z5_strtab_index(struct z5_strtab *t, uint32_t id);
/* The number of a string, appended and indexed if it is new. */
int z5_strtab_intern(struct z5_strtab *t, const char *p, size_t len, uint32_t *id);
uint32_t z5_strtab_find(const struct z5_strtab *t, const char *p, size_t len);

static inline struct gguf_str z5_strtab_get(const struct z5_strtab *t, uint32_t id)
{
	return (struct gguf_str){ t->bytes + t->at[id].off, t->at[id].len };
}

static inline uint64_t z5_mix(uint64_t a, uint64_t b)
{
	unsigned __int128 m = (unsigned __int128)a * b;

	return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static inline uint64_t z5_hash(uint64_t seed, const char *p, size_t len)
{
	uint64_t h = seed ^ len, w;

	for (; len > 8; p += 8, len -= 8) {
		memcpy(&w, p, 8);
		h = z5_mix(h ^ w, 0x9e3779b97f4a7c15u ^ seed);
	}
	/* two overlapping reads instead of a copy of variable length */
	if (len >= 4) {
		uint32_t lo, hi;

		memcpy(&lo, p, 4);
		memcpy(&hi, p + len - 4, 4);
		w = (uint64_t)hi << 32 | lo;
	} else {
		w = len ? (uint64_t)(uint8_t)p[len / 2] << 16 |
			  (uint64_t)(uint8_t)p[len - 1] << 8 | (uint8_t)p[0] : 0;
	}
	return z5_mix(h ^ w, 0xd6e8feb86659fd93u ^ seed);
}

/*
 * Pairs of characters that stand side by side in a token, hashed; errs towards yes. Text falls
 * apart between characters that no token joins, without changing what it becomes: mostly
 * before a space, which keeps words short enough to remember.
 */
#define Z5_NEAR_BITS 20

struct z5_near {
	uint64_t bit[(1u << Z5_NEAR_BITS) / 64];
};

void z5_near_add(struct z5_near *near, const char *p, size_t len);

struct z5_pretok;
struct z5_bpe;
struct z5_spm;
struct z5_wpm;
struct z5_ugm;
struct z5_rwkv;

struct zen5rt_vocab {
	enum z5_vocab_kind kind;
	uint32_t n;
	/*
	 * Strings 0..n-1 are the tokens: for BPE and RWKV as bytes where the text decodes,
	 * else as in the file. Strings from n on are BPE symbols that are no token.
	 */
	struct z5_strtab str;
	uint8_t *type;			/* enum z5_token_type */
	uint8_t *flag;			/* Z5_TOKEN_* below */
	uint32_t max_len;		/* bytes of the longest token */
	int32_t bos, eos, unk;		/* -1: none */
	int32_t end;			/* what add_eos adds: EOS, or the separator of WPM */
	bool add_bos, add_eos, add_space_prefix;
	bool escape;			/* U+2581 stands for a space in tokens */
	/* Tokens that are searched for in the text, sorted by their text. */
	uint32_t *special;
	uint32_t n_special;
	uint32_t special_first[257];	/* where those that begin with a byte begin */
	char *chat_template;		/* NULL: none */
	struct z5_spm *spm;
	struct z5_bpe *bpe;
	struct z5_wpm *wpm;
	struct z5_ugm *ugm;
	struct z5_rwkv *rwkv;
	struct z5_pretok *pretok;
	struct z5_pieces *pieces;	/* NULL until somebody asks */
};

/* Types of tokens that text alone, without ZEN5RT_TOKENIZE_SPECIAL, must never turn into. */
static inline bool z5_vocab_reserved(const struct zen5rt_vocab *v, uint32_t id)
{
	return v->type[id] == Z5_TOKEN_CONTROL || v->type[id] == Z5_TOKEN_UNKNOWN;
}

/* The byte that a token named "<0xXX>" stands for, -1 for any other name. */
int z5_vocab_byte_name(struct gguf_str s);

/* ---- piece.c ---- */

struct z5_piece {
	uint32_t id;
	uint32_t off, len;	/* in bytes */
	uint32_t lcp;		/* bytes shared with the piece before */
};

/* What tokens add to a text, sorted by it; those that add nothing are not there. */
struct z5_pieces {
	char *bytes;
	struct z5_piece *piece;
	uint32_t n;
	uint32_t max_len;
	uint32_t first[257];	/* where those that begin with a byte begin */
};

/* Owned by the vocabulary, made once, by any thread. NULL if out of memory. */
const struct z5_pieces *z5_vocab_pieces(const struct zen5rt_vocab *v);
void z5_pieces_free(struct z5_pieces *ps);
/*
 * Writes the bytes that token id adds inside a text, at most max_len, and returns how many: 0 for tokens
 * that are no text (control, unknown, unused).
 */
size_t z5_vocab_piece(const struct zen5rt_vocab *v, uint32_t id, char *out);

/* ---- one call of zen5rt_tokenize ---- */

/* A word met again costs one lookup. One cache line an entry. */
struct z5_word {
	uint8_t len, n;
	char key[30];
	int32_t ids[8];
} __attribute__((aligned(64)));

struct z5_merge {
	struct z5_sym *sym;
	size_t cap_sym;
	struct z5_bigram *heap;
	size_t n_heap, cap_heap;
};

struct z5_tok {
	const struct zen5rt_vocab *v;
	int32_t *ids;
	size_t cap;
	int64_t n;
	struct z5_word *cache;
	uint32_t cache_mask;
	struct z5_merge merge;
	char *buf;			/* the escaped or normalized text of one word */
	size_t n_buf, cap_buf;
	struct z5_pretok_run *run;	/* BPE: scratch of the regex engine */
	struct z5_ugm_run *ugm;		/* UGM: scratch */
};

/* Appends to buf, which stays below 4 GiB. -ENOMEM. */
int z5_tok_append(struct z5_tok *t, const char *p, size_t len);

#define Z5_SPACE "\xe2\x96\x81"	/* U+2581 stands for a space in tokens */
#define Z5_SPACE_CP 0x2581

/* One word of text, from t->buf. */
typedef int (*z5_escaped_fn)(struct z5_tok *t, const char *p, size_t len);

/*
 * Escapes the spaces of text, puts one in front on request, and hands on words that stand apart;
 * without near, a word begins at each space.
 */
int z5_near_split(struct z5_tok *t, const struct z5_near *near, const char *p, size_t len,
		  bool prefix, z5_escaped_fn fn);

static inline void z5_tok_emit(struct z5_tok *t, uint32_t id)
{
	if ((uint64_t)t->n < t->cap)
		t->ids[t->n] = (int32_t)id;
	t->n++;
}

/* Emits the ids of word p[0..len) if the cache has it; else *slot is its place there, or NULL. */
bool z5_tok_cached(struct z5_tok *t, const char *p, size_t len, struct z5_word **slot);
/* Remembers the ids emitted since position from as those of the word. */
void z5_tok_cache(struct z5_tok *t, struct z5_word *slot, const char *p, size_t len, int64_t from);

/* ---- special.c ---- */

/* Called with text (id == Z5_NO_ID) or a special token. Non-zero stops and is returned. */
typedef int (*z5_fragment_fn)(void *ctx, const char *p, size_t len, uint32_t id);

/* Sets types of tokens, and which end an answer, by their text. tokens: as in the file. */
void z5_special_types(struct zen5rt_vocab *v, const struct gguf *g,
		      const struct gguf_array *tokens);
/* Builds the table of special tokens from the types; rstrip: phi-3's rule. -ENOMEM. */
int z5_special_init(struct zen5rt_vocab *v, bool rstrip);
/* Cuts text at special tokens; control: at those of control type too. */
int z5_special_split(const struct zen5rt_vocab *v, const char *text, size_t len, bool control,
		     z5_fragment_fn fn, void *ctx);

/* ---- the tokenizers: 0 or -ENOMEM, -EINVAL with a line ---- */

/* The tokens of single bytes, "<0xXX>" or else the byte itself; Z5_NO_ID where there is none. */
void z5_vocab_byte_tokens(const struct zen5rt_vocab *v, uint32_t byte[256]);

int z5_spm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err);
void z5_spm_free(struct z5_spm *spm);
/* prefix: a space belongs before the text */
int z5_spm_text(struct z5_tok *t, const char *p, size_t len, bool prefix);

/* What must be known before the tokens are read: the pre-tokenizer, v->bpe. */
int z5_bpe_begin(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err);
/* The tokens are raw UTF-8, not in GPT-2's alphabet. */
bool z5_bpe_raw(const struct zen5rt_vocab *v);
bool z5_bpe_force_bos(const struct zen5rt_vocab *v);
int z5_bpe_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err);
void z5_bpe_free(struct z5_bpe *bpe);
int z5_bpe_text(struct z5_tok *t, const char *p, size_t len);
/* Writes the bytes that a text in GPT-2's alphabet stands for; -1 if it is not in it. */
int64_t z5_bpe_decode(const char *p, size_t len, char *out);

int z5_wpm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err);
void z5_wpm_free(struct z5_wpm *wpm);
int z5_wpm_text(struct z5_tok *t, const char *p, size_t len);

int z5_ugm_init(struct zen5rt_vocab *v, const struct gguf *g, struct zen5rt_error *err);
void z5_ugm_free(struct z5_ugm *ugm);
int z5_ugm_text(struct z5_tok *t, const char *p, size_t len);
void z5_ugm_run_free(struct z5_ugm_run *run);

int z5_rwkv_init(struct zen5rt_vocab *v, struct zen5rt_error *err);
void z5_rwkv_free(struct z5_rwkv *rwkv);
int z5_rwkv_text(struct z5_tok *t, const char *p, size_t len);
/* Writes the bytes that an escaped token stands for, at most len; returns how many. */
size_t z5_rwkv_unescape(const char *p, size_t len, char *out);

/* ---- pretok.c ---- */

/* Properties that llama.cpp ties to a pre-tokenizer's name. */
#define Z5_PRE_IGNORE_MERGES	(1u << 0)	/* a word that is a token is that token */
#define Z5_PRE_ADD_BOS		(1u << 1)
#define Z5_PRE_FORCE_BOS	(1u << 2)	/* whatever the file says */
#define Z5_PRE_RAW		(1u << 3)	/* tokens are UTF-8, with U+2581 for spaces */
#define Z5_PRE_NEWLINES		(1u << 4)	/* line feeds that are a token are that token */
#define Z5_PRE_METASPACE	(1u << 5)	/* raw: lines and words begin with a space */

typedef int (*z5_word_fn)(void *ctx, const char *p, size_t len);

/* -EINVAL and a line that lists what is known; flags receives Z5_PRE_*. */
int z5_pretok_new(struct gguf_str name, const char *path, struct z5_pretok **out,
		  unsigned int *flags, struct zen5rt_error *err);
void z5_pretok_free(struct z5_pretok *p);
/* Scratch of one call; NULL if out of memory. */
struct z5_pretok_run *z5_pretok_run_new(const struct z5_pretok *p);
void z5_pretok_run_free(struct z5_pretok_run *run);
/* Calls fn for every word, in order; together the words are the whole text. */
int z5_pretok_split(struct z5_pretok_run *run, const char *p, size_t len, z5_word_fn fn, void *ctx);

#endif
