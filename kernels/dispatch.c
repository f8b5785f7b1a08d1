// SPDX-License-Identifier: MIT
/* One table, filled level by level; a level stands for a fixed set of CPUID bits, so there are no combinations. */
#include "kernels.h"

#include <cpuid.h>
#include <stdbool.h>
#include <string.h>

const char *const z5_level_names[Z5_N_LEVELS] = { "scalar", "avx2", "avx512vnni" };

/* clang 14 does not know the name "f16c"; the operating system's part of the question is that of avx2. */
static bool has_f16c(void)
{
	unsigned int a, b, c = 0, d;

	return __get_cpuid(1, &a, &b, &c, &d) && (c & bit_F16C);
}

unsigned int z5_level_best(void)
{
	__builtin_cpu_init();
	if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
	    !has_f16c())
		return 0;
#ifdef Z5_EMULATE_AVX512
	return 2;
#endif
	if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
	    !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl") ||
	    !__builtin_cpu_supports("avx512vnni"))
		return 1;
	return 2;
}

void z5_kernels_init(struct z5_kernels *k, unsigned int level)
{
	memset(k, 0, sizeof(*k));
	k->level = z5_level_names[level];
	z5_kernels_ref(k);
	if (level < 1)
		return;
	z5_kernels_avx2(k);
	if (level < 2)
		return;
	z5_kernels_avx512(k);
}
