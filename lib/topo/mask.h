/* SPDX-License-Identifier: MIT */
/* A set of CPUs as large as any kernel for x86-64 is built for; cpu_set_t ends at 1,024. */
#ifndef Z5_MASK_H
#define Z5_MASK_H

#include <sched.h>
#include <stdbool.h>

#define Z5_MASK_CPUS	8192

struct z5_mask {
	cpu_set_t set[Z5_MASK_CPUS / CPU_SETSIZE];
};

/* "0-3,8,10-11" is added to mask, which may be NULL; returns the lowest, -1 if there is none. In topo.c. */
int z5_mask_parse(const char *s, struct z5_mask *mask);

static inline bool z5_mask_has(const struct z5_mask *m, int cpu)
{
	return CPU_ISSET_S(cpu, sizeof(*m), m->set);
}

#endif
