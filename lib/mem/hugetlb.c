// SPDX-License-Identifier: MIT
/*
 * Pages of hugetlbfs, 1 GiB and 2 MiB, from the pool that the administrator has set aside.
 *
 * mmap(2) reserves them in the pool, but a limit of the hugetlb cgroup, or a cpuset whose nodes
 * have none left, strikes only at the first touch, with SIGBUS. So all are touched here, where it
 * is still an error.
 */
#include <cpuid.h>
#include <errno.h>
#include <linux/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <mem/backend.h>
#include <topo/cgroup.h>

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE	23
#endif

#define HUGETLB_SYS	"/sys/kernel/mm/hugepages/hugepages-%llukB/%s"

/* A counter of the pool; -1 if this kernel has no pages of that size. */
static long long hugetlb_count(uint64_t page, const char *file)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), HUGETLB_SYS, (unsigned long long)page >> 10, file);
	if (z5_read_text("", path, text, sizeof(text)) <= 0)
		return -1;
	return strtoll(text, NULL, 10);
}

static bool hugetlb_cpu_has_1g(void)
{
	unsigned int a, b, c, d;

	return __get_cpuid(0x80000001, &a, &b, &c, &d) && (d & (1u << 26));
}

/* mmap(2) has said -ENOMEM, which is the pool, ulimit -v or the nodes of the cpuset. */
static void hugetlb_refused(uint64_t page, uint64_t need, char *why, size_t why_len)
{
	long long total = hugetlb_count(page, "nr_hugepages");
	long long left = hugetlb_count(page, "free_hugepages");
	long long resv = hugetlb_count(page, "resv_hugepages");
	char path[128];

	/* Reserved ones are counted free until they are touched, but they are somebody's. */
	left -= resv > 0 && resv <= left ? resv : 0;
	if (left < (long long)need) {
		snprintf(path, sizeof(path), HUGETLB_SYS, (unsigned long long)page >> 10,
			 "nr_hugepages");
		snprintf(why, why_len,
			 "needs %llu page%s, %lld free of %lld (reserve: echo %lld > %s)",
			 (unsigned long long)need, need == 1 ? "" : "s", left, total,
			 total - left + (long long)need, path);
	} else if (!z5_mem_over_limit(why, why_len, need * page)) {
		snprintf(why, why_len,
			 "needs %llu page%s, %lld free of %lld, but not on the nodes that "
			 "this process may use",
			 (unsigned long long)need, need == 1 ? "" : "s", left, total);
	}
}

static int hugetlb_populate(void *addr, size_t size, uint64_t page)
{
	int ret;

	do {
		ret = madvise(addr, size, MADV_POPULATE_WRITE) ? -errno : 0;
	} while (ret == -EINTR || ret == -EAGAIN);
	/* Kernels before 5.14 do not know it. */
	return ret == -EINVAL ? z5_mem_touch(addr, size, page) : ret;
}

static int hugetlb_alloc(struct z5_region *r, uint64_t page, int flag, char *why, size_t why_len)
{
	uint64_t need;
	size_t size;
	void *addr;
	int ret;

	/* Also where mmap() would take the flag and ignore it, as some sandboxes do. */
	if (hugetlb_count(page, "nr_hugepages") < 0) {
		if (page == Z5_1G && !hugetlb_cpu_has_1g())
			snprintf(why, why_len, "this CPU has no 1 GiB pages (pdpe1gb)");
		else
			snprintf(why, why_len, "this kernel has no pool of such pages");
		return -ENOTSUP;
	}
	if (__builtin_add_overflow(r->asked, page - 1, &size)) {
		snprintf(why, why_len, "%zu bytes in whole pages do not fit the address space",
			 r->asked);
		return -EOVERFLOW;
	}
	size &= ~(page - 1);
	need = size / page;

	addr = mmap(NULL, size, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | flag, -1, 0);
	if (addr == MAP_FAILED) {
		if (errno == ENOMEM)
			hugetlb_refused(page, need, why, why_len);
		else
			z5_mem_refused(why, why_len, size, errno);
		return -ENOMEM;
	}
	ret = hugetlb_populate(addr, size, page);
	if (ret) {
		munmap(addr, size);
		snprintf(why, why_len,
			 "%llu page%s reserved but not to be had: %s (hugetlb limit of "
			 "the cgroup, or nodes of the cpuset)",
			 (unsigned long long)need, need == 1 ? "" : "s", strerror(-ret));
		return -ENOMEM;
	}
	madvise(addr, size, MADV_DONTDUMP);
	r->addr = addr;
	r->size = size;
	r->page = page;
	return 0;
}

int z5_hugetlb_1g_alloc(struct z5_region *r, char *why, size_t why_len)
{
	return hugetlb_alloc(r, Z5_1G, MAP_HUGE_1GB, why, why_len);
}

int z5_hugetlb_2m_alloc(struct z5_region *r, char *why, size_t why_len)
{
	return hugetlb_alloc(r, Z5_2M, MAP_HUGE_2MB, why, why_len);
}

void z5_hugetlb_free(struct z5_region *r)
{
	munmap(r->addr, r->size);
}
