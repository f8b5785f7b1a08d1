// SPDX-License-Identifier: MIT
#include <mem/backend.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <topo/cgroup.h>

struct z5_size_text z5_size_text(uint64_t bytes)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	double value = bytes / 1024.0;
	struct z5_size_text t;
	unsigned int i;

	for (i = 0; value >= 1024 && i < 5; i++)
		value /= 1024;
	snprintf(t.s, sizeof(t.s), "%.1f %s", value, units[i]);
	return t;
}

bool z5_mem_over_limit(char *why, size_t why_len, uint64_t size)
{
	uint64_t used = 0, sum;
	struct rlimit lim;
	char statm[128];

	if (getrlimit(RLIMIT_AS, &lim) || lim.rlim_cur == RLIM_INFINITY)
		return false;
	if (z5_read_text("", "/proc/self/statm", statm, sizeof(statm)) > 0)
		used = strtoull(statm, NULL, 10) * sysconf(_SC_PAGESIZE);
	if (!__builtin_add_overflow(used, size, &sum) && sum <= lim.rlim_cur)
		return false;
	snprintf(why, why_len,
		 "needs %s of address space, %s of the limit of %s are in use (ulimit -v)",
		 z5_size_text(size).s, z5_size_text(used).s, z5_size_text(lim.rlim_cur).s);
	return true;
}

void z5_mem_refused(char *why, size_t why_len, uint64_t size, int error)
{
	if (!z5_mem_over_limit(why, why_len, size))
		snprintf(why, why_len, "mapping %s: %s", z5_size_text(size).s, strerror(error));
}

int z5_mem_map(struct z5_region *r, uint64_t page, char *why, size_t why_len)
{
	const size_t guard = Z5_4K;
	uintptr_t from, addr;
	size_t size, total;
	void *map;

	if (__builtin_add_overflow(r->asked, page - 1, &size) ||
	    __builtin_add_overflow(size & ~(page - 1), page + 2 * guard, &total)) {
		snprintf(why, why_len, "%zu bytes in whole pages do not fit the address space",
			 r->asked);
		return -EOVERFLOW;
	}
	size &= ~(page - 1);

	/* One page more than needed has an aligned start in it wherever the kernel puts it. */
	map = mmap(NULL, total, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (map == MAP_FAILED) {
		z5_mem_refused(why, why_len, total, errno);
		return -ENOMEM;
	}
	from = (uintptr_t)map;
	addr = (from + guard + page - 1) & ~(uintptr_t)(page - 1);
	/*
	 * The guard pages that stay catch a write past the end, and keep the kernel from merging
	 * two regions into one mapping, whose huge pages could no longer be told apart.
	 */
	if (addr - guard > from)
		munmap(map, addr - guard - from);
	if (addr + size + guard < from + total)
		munmap((void *)(addr + size + guard), from + total - (addr + size + guard));
	if (mprotect((void *)addr, size, PROT_READ | PROT_WRITE)) {
		/* This is where strict overcommit counts. */
		z5_mem_refused(why, why_len, size, errno);
		munmap((void *)(addr - guard), size + 2 * guard);
		return -ENOMEM;
	}
	/* A core dump of 40 GB of weights helps nobody. */
	madvise((void *)addr, size, MADV_DONTDUMP);
	r->addr = (void *)addr;
	r->size = size;
	r->page = page;
	return 0;
}

void z5_mem_unmap(struct z5_region *r)
{
	munmap((char *)r->addr - Z5_4K, r->size + 2 * Z5_4K);
}

int z5_mem_touch(void *addr, size_t size, uint64_t page)
{
	char *p = addr, *end = p + size;

	for (; p < end; p += page) {
		if (syscall(SYS_clock_gettime, CLOCK_MONOTONIC, p) < 0)
			return -errno;
		memset(p, 0, sizeof(struct timespec));
	}
	return 0;
}

uint64_t z5_mem_anon_huge(const void *addr, size_t size)
{
	uint64_t from, to, kb, sum = 0;
	bool inside = false;
	char line[4352];
	FILE *f;

	f = fopen("/proc/self/smaps", "re");
	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
			inside = from >= (uintptr_t)addr && to <= (uintptr_t)addr + size;
		else if (inside && sscanf(line, "AnonHugePages: %" SCNu64, &kb) == 1)
			sum += kb << 10;
	}
	fclose(f);
	return sum;
}
