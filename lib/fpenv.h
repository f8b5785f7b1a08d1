/* SPDX-License-Identifier: MIT */
/*
 * Floating point as the library is defined under, for work on the caller's thread: a caller may have set another
 * rounding mode, and the answer must not depend on that.
 */
#ifndef Z5_FPENV_H
#define Z5_FPENV_H

#include <xmmintrin.h>

/* Round to nearest, all exceptions masked; returns what was set, for z5_fp_leave(). */
static inline unsigned int z5_fp_enter(void)
{
	unsigned int old = _mm_getcsr();

	_mm_setcsr(0x1f80);
	return old;
}

static inline void z5_fp_leave(unsigned int old)
{
	_mm_setcsr(old);
}

#endif
