// SPDX-License-Identifier: MIT
/* 4 KiB pages: what is always there, and the other side of a comparison with the large ones. */
#include <sys/mman.h>

#include <mem/backend.h>

int z5_plain_alloc(struct z5_region *r, char *why, size_t why_len)
{
	int ret;

	ret = z5_mem_map(r, Z5_4K, why, why_len);
	if (ret)
		return ret;
	/* Where huge pages are on for everyone we would report 4 KiB and measure 2 MiB. */
	madvise(r->addr, r->size, MADV_NOHUGEPAGE);
	return 0;
}
