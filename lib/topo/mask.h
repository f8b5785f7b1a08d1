/* SPDX-License-Identifier: MIT */
/* A set of CPUs as large as any kernel for x86-64 is built for; cpu_set_t ends at 1,024. */
#ifndef Z5_MASK_H
#define Z5_MASK_H

#include <sched.h>

#define Z5_MASK_CPUS	8192

struct z5_mask {
	cpu_set_t set[Z5_MASK_CPUS / CPU_SETSIZE];
};

#endif
