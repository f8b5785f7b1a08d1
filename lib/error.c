// SPDX-License-Identifier: MIT
#undef Z5_ANALYSER	/* the function itself is here */
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int z5_fail(struct zen5rt_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return code;
	va_start(ap, fmt);
	vsnprintf(err->message, sizeof(err->message), fmt, ap);
	va_end(ap);
	for (unsigned char *p = (unsigned char *)err->message; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			*p = '?';
	return code;
}
