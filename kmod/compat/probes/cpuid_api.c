// SPDX-License-Identifier: GPL-2.0-only
/* 6.15: cpuid_count() has a header of its own. */
#include <asm/cpuid/api.h>

unsigned int probe(void);
unsigned int probe(void)
{
	return cpuid_eax(0);
}
