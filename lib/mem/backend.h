/* SPDX-License-Identifier: MIT */
/* What the backends share among themselves; nothing outside lib/mem includes this. */
#ifndef Z5_BACKEND_H
#define Z5_BACKEND_H

#include <mem/region.h>

/* The members of the table in region.c. */
int z5_device_alloc(struct z5_region *r, char *why, size_t why_len);
void z5_device_free(struct z5_region *r);
/* Its entry in the table. */
const struct z5_mem_backend *z5_device_backend(void);
int z5_hugetlb_1g_alloc(struct z5_region *r, char *why, size_t why_len);
int z5_hugetlb_2m_alloc(struct z5_region *r, char *why, size_t why_len);
void z5_hugetlb_free(struct z5_region *r);
int z5_thp_alloc(struct z5_region *r, char *why, size_t why_len);
int z5_plain_alloc(struct z5_region *r, char *why, size_t why_len);

#define Z5_4K	((uint64_t)4096)
#define Z5_2M	((uint64_t)2 << 20)
#define Z5_1G	((uint64_t)1 << 30)

/* "5.2 GiB", for messages. */
struct z5_size_text {
	char s[24];
};
struct z5_size_text z5_size_text(uint64_t bytes);

/*
 * Maps r->asked bytes of anonymous memory rounded up to whole pages of size page, aligned to it,
 * with a guard page on either side; fills addr, size and page. z5_mem_unmap() is the way back.
 */
int z5_mem_map(struct z5_region *r, uint64_t page, char *why, size_t why_len);
void z5_mem_unmap(struct z5_region *r);

/* Why a mapping of size bytes was refused with error (positive), as a text. */
void z5_mem_refused(char *why, size_t why_len, uint64_t size, int error);
/* False, and why untouched, if size more bytes are within RLIMIT_AS. */
bool z5_mem_over_limit(char *why, size_t why_len, uint64_t size);

/*
 * Touches each page by a system call that writes to it and zeroes what it wrote: where a store of
 * our own would end in SIGBUS the call answers -EFAULT.
 */
int z5_mem_touch(void *addr, size_t size, uint64_t page);

/* Sum of the AnonHugePages of the mappings inside [addr, addr + size). */
uint64_t z5_mem_anon_huge(const void *addr, size_t size);

#endif
