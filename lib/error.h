/* SPDX-License-Identifier: MIT */
/* How every layer of the library reports a failure. */
#ifndef Z5_ERROR_H
#define Z5_ERROR_H

#include <zen5rt.h>

/*
 * Writes the message into err (if not NULL) and returns code, so that a failure is one
 * statement: return z5_fail(err, -EINVAL, "%s: no tensors", path);
 * Control characters in the result, those of Unicode's second set too, become '?': texts may come out of a hostile file.
 */
int z5_fail(struct zen5rt_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
