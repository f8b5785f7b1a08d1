// SPDX-License-Identifier: GPL-2.0-only
/* 6.17: alloc_contig_range() takes flags instead of a migrate type. */
#include <linux/gfp.h>

int probe(void);
int probe(void)
{
	return alloc_contig_range(0, 1, ACR_FLAGS_NONE, GFP_KERNEL);
}
