/* SPDX-License-Identifier: MIT */
/*
 * Memory regions: large, page-aligned, zero-filled blocks from the best backend that the machine
 * gives. Everything above is backend-blind: it sees an address, a size and a report. Regions are
 * left out of core dumps.
 */
#ifndef Z5_REGION_H
#define Z5_REGION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* First choice of page; a refusal goes on to the next smaller. */
enum z5_page { Z5_PAGE_1G, Z5_PAGE_2M, Z5_PAGE_4K };
/* "1g", "2m", "4k"; false for anything else. */
bool z5_page_by_name(const char *name, enum z5_page *page);

struct z5_region {
	void *addr;
	size_t asked;			/* bytes that the caller needs */
	size_t size;			/* bytes mapped, whole pages */
	uint64_t page;			/* page size got, the smallest */
	char pages[64];			/* "1 x 1 GiB + 154 x 2 MiB", "" but for zen5mem */
	const struct z5_mem_backend *backend;
	const char *use;		/* for reports: "weights" */
	bool open;			/* fd is the region's descriptor, see mem/resident.h */
	int fd;
	char why[512];			/* refusals before this backend; "" if none */
};

struct z5_mem_backend {
	const char *name;		/* "zen5mem", "hugetlb-1g", "hugetlb-2m", "thp", "plain" */
	enum z5_page page;		/* the first choice at which this backend is tried first */
	bool pooled;			/* from pages set aside: not in MemAvailable */
	/* Fills addr, size, page and returns 0, or a negative errno and the reason in why. */
	int (*alloc)(struct z5_region *r, char *why, size_t why_len);
	void (*free)(struct z5_region *r);
};

/* In the order in which they are tried; ends with a NULL name. */
extern const struct z5_mem_backend z5_mem_backends[];

/*
 * asked > 0 bytes, zeroed, usable (populated as far as the backend must to be safe from SIGBUS).
 * use is kept, not copied. -EINVAL for 0 bytes, -EOVERFLOW where whole pages would not fit a
 * size_t. Refuses with -ENOMEM and a line that says how much was needed and how much there is when
 * the memory that this process may still use (MemAvailable, and its cgroup's limits) is less than
 * asked.
 */
int z5_region_alloc(struct z5_region *r, const char *use, size_t asked, enum z5_page first,
		    struct zen5rt_error *err);
/* Accepts a region that is all zero, and leaves it all zero. */
void z5_region_free(struct z5_region *r);
/*
 * Bytes of the region backed by pages of size r->page or larger ones. Transparent huge pages come with the first
 * touch: ask after filling (reads /proc/self/smaps then).
 */
uint64_t z5_region_page_bytes(const struct z5_region *r);
void z5_region_info(const struct z5_region *r, struct zen5rt_region_info *info);

/*
 * Bytes that this process may still allocate: the least of MemAvailable and, at each level of its
 * cgroup, limit minus use. UINT64_MAX if neither is known.
 */
uint64_t z5_mem_available(void);

#endif
