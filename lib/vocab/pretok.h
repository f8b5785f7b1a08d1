/* SPDX-License-Identifier: MIT */
/* What the table of pre-tokenizers and the engine that runs it share. */
#ifndef Z5_PRETOK_H
#define Z5_PRETOK_H

#include <vocab/internal.h>

#define Z5_PRETOK_MAX 8	/* steps of one name */

/* Calls fn for every piece of p[0..len), in order; together the pieces are the whole text. */
typedef int (*z5_cut_fn)(const char *p, size_t len, z5_word_fn fn, void *ctx);

/* An expression in PCRE2's dialect, or a cut that is none; neither ends the list. */
struct z5_pretok_step {
	const char *re;
	z5_cut_fn cut;
};

struct z5_pretok_name {
	const char *name;
	const struct z5_pretok_step *step;
	unsigned int flags;	/* Z5_PRE_* */
};

/* Ends with a NULL name. */
extern const struct z5_pretok_name z5_pretok_names[];

/*
 * Digits in groups of three counted from the right, as numbers are written: 1|234|567. All take
 * valid UTF-8. numbers: every run of \p{N} stands apart and is grouped. digits_bounded: a run of
 * decimal digits does if no letter, mark or underscore follows it. digits: cuts are made before
 * groups alone, so that what precedes the first one keeps the digits that are left over.
 */
int z5_cut_numbers(const char *p, size_t len, z5_word_fn fn, void *ctx);
int z5_cut_digits_bounded(const char *p, size_t len, z5_word_fn fn, void *ctx);
int z5_cut_digits(const char *p, size_t len, z5_word_fn fn, void *ctx);

#endif
