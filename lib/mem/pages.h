/* SPDX-License-Identifier: MIT */
/*
 * What memory the machine has and what large pages it could give: a reading for reports. The backends find out for
 * themselves, by asking for the pages.
 *
 * sysroot: "" for the machine itself, or a directory with a recorded proc/, sys/ and dev/.
 */
#ifndef Z5_PAGES_H
#define Z5_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* A pool of hugetlb pages. */
struct z5_page_pool {
	bool present;			/* the kernel has one of this size */
	uint64_t total, free;		/* pages */
	uint64_t reserved;		/* of the free ones, promised to somebody; 0 for a node */
};

enum { Z5_POOL_1G, Z5_POOL_2M, Z5_N_POOLS };
extern const uint64_t z5_pool_page[Z5_N_POOLS];

struct z5_mem_node {
	int node;
	uint64_t total, free;		/* bytes; 0 for a node without memory */
	struct z5_page_pool pools[Z5_N_POOLS];
};

struct z5_mem_info {
	uint64_t total, available;	/* bytes, 0 where /proc/meminfo does not say */
	struct z5_page_pool pools[Z5_N_POOLS];
	struct z5_mem_node *nodes;	/* by number; none where the kernel has no NUMA */
	unsigned int n_nodes;
	char thp[16];			/* as z5_thp_mode() */
	bool device;			/* /dev/zen5mem is there */
};

/* Only -ENOMEM is an error. Numbers that cannot be are read as 0. */
int z5_mem_info_read(const char *sysroot, struct z5_mem_info *m, struct zen5rt_error *err);
void z5_mem_info_free(struct z5_mem_info *m);

/*
 * The word in force for transparent huge pages of 2 MiB into mode ("always", "madvise", "never"); returns the file
 * that rules, NULL and "" if this kernel has none: the switch of this size, unless it says to inherit the general one.
 */
const char *z5_thp_mode(const char *sysroot, char *mode, size_t len);

/* Bytes that /proc/meminfo gives for "MemTotal:" and the like; UINT64_MAX if it does not. */
uint64_t z5_meminfo(const char *sysroot, const char *what);

#endif
