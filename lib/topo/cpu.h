/* SPDX-License-Identifier: MIT */
/*
 * What CPU this is, from CPUID. Zen generations by family and model as Linux has them (arch/x86/kernel/cpu/amd.c,
 * bsp_init_amd()): a compiler's tables differ for some models, and the kernel's word is what perf goes by, too.
 */
#ifndef Z5_CPU_ID_H
#define Z5_CPU_ID_H

#include <stdbool.h>
#include <topo/cpuid.h>
#include <zen5rt.h>

void z5_cpu_identify(const struct z5_cpuid *src, struct zen5rt_cpu_info *info);

/* Memory controllers whose counters the CPU declares (leaf 80000022h); 0: none, or not said. */
unsigned int z5_cpu_n_umc(const struct z5_cpuid *src);
/* L3 monitoring that the CPU declares (leaf 0Fh): bits of the constants below. */
#define Z5_CQM_OCCUPANCY	1u
#define Z5_CQM_TOTAL		2u
#define Z5_CQM_LOCAL		4u
unsigned int z5_cpu_l3_monitoring(const struct z5_cpuid *src);

#endif
