// SPDX-License-Identifier: MIT
/* Cuts that regular expressions make in quadratic time: digits in groups of three. */
#include "pretok.h"
#include "utf8.h"

#include <utf8proc.h>

static bool cut_is_number(uint32_t cp)
{
	utf8proc_category_t c = utf8proc_category((utf8proc_int32_t)cp);

	return c == UTF8PROC_CATEGORY_ND || c == UTF8PROC_CATEGORY_NL || c == UTF8PROC_CATEGORY_NO;
}

static bool cut_is_digit(uint32_t cp)
{
	return utf8proc_category((utf8proc_int32_t)cp) == UTF8PROC_CATEGORY_ND;
}

/* \w */
static bool cut_is_word(uint32_t cp)
{
	switch (utf8proc_category((utf8proc_int32_t)cp)) {
	case UTF8PROC_CATEGORY_LU:
	case UTF8PROC_CATEGORY_LL:
	case UTF8PROC_CATEGORY_LT:
	case UTF8PROC_CATEGORY_LM:
	case UTF8PROC_CATEGORY_LO:
	case UTF8PROC_CATEGORY_MN:
	case UTF8PROC_CATEGORY_MC:
	case UTF8PROC_CATEGORY_ME:
	case UTF8PROC_CATEGORY_ND:
	case UTF8PROC_CATEGORY_NL:
	case UTF8PROC_CATEGORY_NO:
	case UTF8PROC_CATEGORY_PC:
		return true;
	default:
		return false;
	}
}

/* Bytes of the run of characters of a class that p begins with, and how many they are. */
static size_t cut_run(const char *p, size_t len, bool (*in)(uint32_t), size_t *n)
{
	size_t end = 0, c;
	uint32_t cp;

	for (*n = 0; end < len; end += c, ++*n) {
		c = utf8_next(p + end, len - end, &cp);
		if (!in(cp))
			break;
	}
	return end;
}

/* The first n characters, in bytes. */
static size_t cut_chars(const char *p, size_t len, size_t n)
{
	size_t end = 0;
	uint32_t cp;

	while (n--)
		end += utf8_next(p + end, len - end, &cp);
	return end;
}

static int cut_piece(const char *p, size_t len, z5_word_fn fn, void *ctx)
{
	return len ? fn(ctx, p, len) : 0;
}

/* The n characters p[0..len): what is beyond a multiple of three, then threes. */
static int cut_threes(const char *p, size_t len, size_t n, z5_word_fn fn, void *ctx)
{
	size_t take = n % 3, end;
	int r = 0;

	for (; n && !r; n -= take, p += end, len -= end, take = 3) {
		if (!take)
			take = 3;
		end = cut_chars(p, len, take);
		r = fn(ctx, p, end);
	}
	return r;
}

static bool cut_bounded(const char *p, size_t len)
{
	uint32_t cp;

	if (!len)
		return true;
	utf8_next(p, len, &cp);
	return !cut_is_word(cp);
}

static int cut_apart(const char *p, size_t len, bool (*in)(uint32_t), bool bounded, z5_word_fn fn,
		     void *ctx)
{
	size_t done = 0, at = 0, end, n;
	uint32_t cp;
	int r = 0;

	while (at < len && !r) {
		end = cut_run(p + at, len - at, in, &n);
		if (!n) {
			at += utf8_next(p + at, len - at, &cp);
			continue;
		}
		if (!bounded || cut_bounded(p + at + end, len - at - end)) {
			r = cut_piece(p + done, at - done, fn, ctx);
			if (!r)
				r = cut_threes(p + at, end, n, fn, ctx);
			done = at + end;
		}
		at += end;
	}
	return r ? r : cut_piece(p + done, len - done, fn, ctx);
}

int z5_cut_numbers(const char *p, size_t len, z5_word_fn fn, void *ctx)
{
	return cut_apart(p, len, cut_is_number, false, fn, ctx);
}

int z5_cut_digits_bounded(const char *p, size_t len, z5_word_fn fn, void *ctx)
{
	return cut_apart(p, len, cut_is_digit, true, fn, ctx);
}

int z5_cut_digits(const char *p, size_t len, z5_word_fn fn, void *ctx)
{
	size_t done = 0, at = 0, end, n, lead;
	uint32_t cp;
	int r = 0;

	while (at < len && !r) {
		end = cut_run(p + at, len - at, cut_is_digit, &n);
		if (n >= 3) {
			lead = cut_chars(p + at, end, n % 3);
			r = cut_piece(p + done, at + lead - done, fn, ctx);
			if (!r)
				r = cut_threes(p + at + lead, end - lead, n - n % 3, fn, ctx);
			done = at + end;
		}
		at += n ? end : utf8_next(p + at, len - at, &cp);
	}
	return r ? r : cut_piece(p + done, len - done, fn, ctx);
}
