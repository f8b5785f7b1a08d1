/* SPDX-License-Identifier: MIT */
/* How every layer of the library reports a failure. */
#ifndef Z5_ERROR_H
#define Z5_ERROR_H

#include <zen5rt.h>

/*
 * Writes the message into err (if not NULL) and returns code, so that a failure is one
 * statement: return z5_fail(err, -EINVAL, "%s: no tensors", path);
 * Control characters in the result, those of Unicode's second set too, become '?': texts may come out of a hostile
 * file.
 */
int z5_fail(struct zen5rt_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#ifdef Z5_ANALYSER
/*
 * An analyser reads one file at a time, and no calls with "...": here it learns that the result is the code, and is
 * not 0.
 */
static inline int z5_failed(int code)
{
	if (!code)
		__builtin_unreachable();
	return code;
}
#define z5_fail(err, code, ...) (z5_fail(err, code, __VA_ARGS__), z5_failed(code))
#define Z5_KNOWN(truth) do { if (!(truth)) __builtin_unreachable(); } while (0)
#else
/* What an analyser cannot see from here, and the line above says why it is so. Nothing is checked. */
#define Z5_KNOWN(truth) ((void)0)
#endif

#endif
