// SPDX-License-Identifier: MIT
/* Mappings: faults, addresses, what is refused, fork, core dumps, other ways into the memory. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define THP "/sys/kernel/mm/transparent_hugepage/enabled"
#define PATTERN "/proc/sys/kernel/core_pattern"
#define USES_PID "/proc/sys/kernel/core_uses_pid"
#define SEED 5

#ifndef MADV_COLLAPSE
#define MADV_COLLAPSE 25
#endif
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

/* An address that is aligned to 1 GiB, with room of len behind it. */
static char *room(uint64_t len)
{
	char *p = mmap(NULL, len + GIB, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
		       -1, 0);

	need(p != MAP_FAILED);
	munmap(p, len + GIB);
	return (char *)(((uintptr_t)p + GIB - 1) & ~(GIB - 1));
}

static void need_1g_entries(void)
{
	if (!(z5t_version().features & Z5M_FEATURE_MAP_1G))
		z5t_skip("no 1 GiB page-table entries");
}

/* A strict region of 2 MiB pages, as large as can be had up to 1 GiB. */
static int get_2m(uint64_t *size)
{
	int fd;

	for (*size = GIB; *size >= 2 * MIB; *size /= 2) {
		fd = z5t_create(*size, Z5M_ORDER_2M, Z5M_CREATE_STRICT, NULL);
		if (fd >= 0)
			return fd;
		need(errno == ENOMEM);
	}
	z5t_skip("no 2 MiB page");
}

static void map_fault_1g(void)
{
	int fd = z5t_window();
	char *p = z5t_map(fd, GIB, RW, 0);

	need_1g_entries();
	check(!((uintptr_t)p % GIB), "%p", p);
	check(z5t_touch(p, GIB, PAGE, 1) == 1);
	check(z5t_touch(p, GIB, PAGE, 1) == 0);
	check(z5t_touch(p, GIB, PAGE, 0) == 0);
	munmap(p, GIB);
	/* Read first: the one entry is good for writing as well. */
	p = z5t_map(fd, GIB, RW, 0);
	check(p[GIB - 1] == 0 && p[0] == 1);
	check(z5t_touch(p, GIB, PAGE, 1) == 0, "a write after a read faults anew");
	munmap(p, GIB);
	p = z5t_map(fd, GIB, PROT_READ, 0);
	check(z5t_touch(p, GIB, PAGE, 0) == 1);
}

static void map_fault_2g(void)
{
	int fd = z5t_get(2 * GIB, Z5M_ORDER_1G, NULL);
	char *p = z5t_map(fd, 2 * GIB, RW, 0);

	need_1g_entries();
	check(z5t_touch(p, 2 * GIB, 2 * MIB, 1) == 2);
	z5t_fill(p, 2 * GIB, 2 * MIB, SEED);
	check(!munmap(p, GIB), "a whole page of two");
	check(z5t_try_read(p) == SIGSEGV);
	check(z5t_differ(p + GIB, GIB, 2 * MIB, SEED) == GIB / (2 * MIB));
	munmap(p + GIB, GIB);
	p = z5t_map(fd, 2 * GIB, PROT_READ, 0);
	check(z5t_differ(p, 2 * GIB, 2 * MIB, SEED) == 0);
	check(!munmap(p + GIB, GIB), "the other one");
	check(z5t_try_read(p + GIB) == SIGSEGV);
	check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0);
	fails(munmap(p, 512 * MIB), EINVAL);
	check(z5t_info(fd).n_maps == 1);
	munmap(p, GIB);
	check(z5t_info(fd).n_maps == 0);
	p = z5t_map(fd, GIB, PROT_READ, GIB);
	check(!((uintptr_t)p % GIB));
	check(*(uint64_t *)p != 0, "the second page from its offset on");
	check(z5t_touch(p, GIB, PAGE, 0) == 0);
}

static void map_fault_2m(void)
{
	uint64_t size;
	int fd = get_2m(&size);
	char *p = z5t_map(fd, size, RW, 0);

	check(!((uintptr_t)p % (2 * MIB)), "%p", p);
	check(z5t_info(fd).bytes_2m == size);
	check(z5t_touch(p, size, PAGE, 1) == (long)(size / (2 * MIB)));
	check(z5t_touch(p, size, PAGE, 1) == 0);
	ksft_print_msg("%lu MiB of 2 MiB pages\n", (unsigned long)(size / MIB));
	fails(munmap(p, PAGE), EINVAL);
	fails(munmap(p + PAGE, 2 * MIB), EINVAL);
	if (size >= 4 * MIB) {
		check(!munmap(p + 2 * MIB, 2 * MIB), "a whole page");
		check(z5t_try_read(p + 2 * MIB) == SIGSEGV);
		check(p[0] == 1);
	}
}

static void map_fault_4k(void)
{
	int fd = z5t_get(16 * MIB, Z5M_ORDER_4K, NULL);
	char *p = z5t_map(fd, 16 * MIB, RW, 0);

	check(z5t_touch(p, 16 * MIB, PAGE, 1) == 4096);
	check(z5t_touch(p, 16 * MIB, PAGE, 1) == 0);
	check(!munmap(p + PAGE, PAGE), "a whole page");
	check(z5t_try_read(p + PAGE) == SIGSEGV);
	check(p[0] == 1 && p[2 * PAGE] == 1);
}

static void map_populate(void)
{
	int fd = z5t_window(), small;
	char *p = z5t_map(fd, GIB, RW, 0), *q;
	long before;

	check(!z5t_populate(fd, p, GIB));
	check(z5t_touch(p, GIB, PAGE, 1) == 0);
	check(!z5t_populate(fd, p, GIB), "twice");
	check(!z5t_populate(fd, p, 0) || errno == EINVAL);
	fails(z5t_populate(fd, p, GIB + PAGE), ENOMEM);
	fails(z5t_populate(fd, p - PAGE, GIB), ENOMEM);
	fails(z5t_populate(fd, p, ~0UL & ~(PAGE - 1)), 0);
	fails(z5t_populate(fd, (void *)0xffff888000000000, PAGE), 0);
	munmap(p, GIB);
	fails(z5t_populate(fd, p, GIB), ENOMEM);
	p = z5t_map(fd, GIB, PROT_READ, 0);
	check(!z5t_populate(fd, p, GIB), "a read-only mapping");
	check(z5t_touch(p, GIB, PAGE, 0) == 0);

	small = z5t_get(MIB, Z5M_ORDER_4K, NULL);
	q = z5t_map(small, MIB, RW, 0);
	fails(z5t_populate(fd, q, MIB), ENOMEM);
	check(!z5t_populate(small, q + 64 * PAGE, 64 * PAGE));
	check(z5t_touch(q + 64 * PAGE, 64 * PAGE, PAGE, 1) == 0);
	check(z5t_touch(q, MIB, PAGE, 1) == 192, "the others are not there yet");
	munmap(q, MIB);

	/* Several mappings, one call; MAP_POPULATE and mlock have no effect. */
	q = mmap(NULL, MIB, RW, MAP_SHARED | MAP_POPULATE, small, 0);
	need(q != MAP_FAILED);
	check(!mlock(q, MIB));
	check(!munmap(q + 10 * PAGE, PAGE));
	fails(z5t_populate(small, q, MIB), ENOMEM);
	need(mmap(q + 10 * PAGE, PAGE, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, small, 10 * PAGE) ==
	     MAP_FAILED, "MAP_FIXED beside a mapping of the same region");
	munmap(q, MIB);
	q = mmap(NULL, MIB, RW, MAP_SHARED | MAP_POPULATE, small, 0);
	need(q != MAP_FAILED);
	check(z5t_touch(q, MIB, PAGE, 1) == 256, "MAP_POPULATE does nothing");
	munmap(q, MIB);
	check(!mlockall(MCL_CURRENT | MCL_FUTURE));
	q = z5t_map(small, MIB, RW, 0);
	before = z5t_touch(q, MIB, PAGE, 1);
	check(before == 256, "mlockall does nothing: %ld", before);
	munlockall();
}

static void map_thp_switch(void)
{
	static const char *const words[] = { "always", "madvise", "never" };
	int fd = z5t_window(), fd2 = z5t_get(4 * MIB, Z5M_ORDER_2M, NULL), i;
	char *p;

	z5t_need_root();
	need_1g_entries();
	if (!z5t_exists(THP))
		z5t_skip("no transparent huge pages");
	for (i = 0; i < 3; i++) {
		need(!z5t_write_file(THP, words[i]));
		p = z5t_map(fd, GIB, RW, 0);
		check(z5t_touch(p, GIB, PAGE, 1) == 1, "%s", words[i]);
		munmap(p, GIB);
		p = z5t_map(fd, GIB, RW, 0);
		check(!z5t_populate(fd, p, GIB));
		check(z5t_touch(p, GIB, PAGE, 1) == 0, "%s", words[i]);
		/* Switched while the entry is there. */
		need(!z5t_write_file(THP, words[(i + 1) % 3]));
		check(z5t_touch(p, GIB, PAGE, 1) == 0, "%s", words[i]);
		munmap(p, GIB);
		need(!z5t_write_file(THP, words[i]));
		p = z5t_map(fd2, 4 * MIB, RW, 0);
		check(z5t_touch(p, 4 * MIB, PAGE, 1) == 2, "%s, 2 MiB", words[i]);
		munmap(p, 4 * MIB);
	}
}

static void map_thp_disabled(void)
{
	int fd = z5t_get(4 * MIB, Z5M_ORDER_2M, NULL);
	char *p = z5t_map(fd, 4 * MIB, RW, 0);

	need(!prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
	check(z5t_touch(p, 4 * MIB, PAGE, 1) == 1024);
	check(z5t_touch(p, 4 * MIB, PAGE, 1) == 0);
	munmap(p, 4 * MIB);
	p = z5t_map(fd, 4 * MIB, RW, 0);
	check(!z5t_populate(fd, p, 4 * MIB));
	check(z5t_touch(p, 4 * MIB, PAGE, 1) == 0);
	check(p[0] == 1);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

/* Offsets and addresses that the pages do not have are mapped smaller; the content is the same. */
static void map_offset(void)
{
	int fd = z5t_window();
	char *p = z5t_map(fd, GIB, RW, 0), *q, *at;

	z5t_fill(p, GIB, PAGE, SEED);
	q = z5t_map(fd, GIB / 2, RW, GIB / 2);
	check(z5t_touch(q, GIB / 2, PAGE, 0) <= (long)(GIB / 2 / PAGE));
	check(!memcmp(q, p + GIB / 2, 64 * MIB));
	munmap(q, GIB / 2);
	q = z5t_map(fd, PAGE, RW, 123 * PAGE);
	check(!memcmp(q, p + 123 * PAGE, PAGE));
	q[0] = 77;
	check(p[123 * PAGE] == 77);
	munmap(q, PAGE);
	q = z5t_map(fd, 4 * MIB, RW, GIB - 4 * MIB);
	check(!memcmp(q, p + GIB - 4 * MIB, 4 * MIB));
	munmap(q, 4 * MIB);
	munmap(p, GIB);

	at = room(2 * GIB);
	q = mmap(at + 17 * PAGE, 8 * MIB, RW, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 4 * MIB + PAGE);
	need(q == at + 17 * PAGE);
	p = z5t_map(fd, GIB, RW, 0);
	check(!memcmp(q, p + 4 * MIB + PAGE, 8 * MIB));
	check(!munmap(q, 8 * MIB));
	check(!munmap(p, GIB));
	q = mmap(at, GIB, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	need(q == at, "MAP_FIXED where it fits");
	if (z5t_version().features & Z5M_FEATURE_MAP_1G)
		check(z5t_touch(q, GIB, PAGE, 0) == 1);
	check(!munmap(q, GIB));

	/* Past the end: refused, or nothing is there. */
	q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, GIB);
	check(q == MAP_FAILED || z5t_try_read(q) == SIGBUS);
	q = mmap(NULL, GIB + PAGE, RW, MAP_SHARED, fd, 0);
	check(q == MAP_FAILED || z5t_try_read(q + GIB) == SIGBUS);
	q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, -(off_t)PAGE);
	check(q == MAP_FAILED);
	q = mmap(NULL, PAGE, RW, MAP_SHARED, fd, 100);
	check(q == MAP_FAILED && errno == EINVAL);
}

static void map_fixed_twice(void)
{
	int fd = z5t_get(4 * MIB, Z5M_ORDER_4K, NULL), other = z5t_get(MIB, Z5M_ORDER_4K, NULL);
	char *p = z5t_map(fd, 4 * MIB, RW, 0), *at = room(16 * MIB), *q;
	pid_t pid;

	z5t_fill(p, 4 * MIB, PAGE, SEED);
	check(mmap(at, MIB, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED);
	check(mmap(p, MIB, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED, "over itself");
	check(mmap(at, MIB, PROT_READ, MAP_SHARED | MAP_FIXED_NOREPLACE, fd, 0) == MAP_FAILED);
	check(z5t_differ(p, 4 * MIB, PAGE, SEED) == 0);
	check(mmap(at, MIB, RW, MAP_SHARED | MAP_FIXED, other, 0) == at, "another region may");
	q = z5t_map(fd, MIB, RW, 0);
	check(q != p, "without MAP_FIXED it may");
	/* Another process that has no mapping of it may. */
	pid = z5t_fork();
	if (!pid) {
		munmap(p, 4 * MIB);
		munmap(q, MIB);
		check(mmap(at + 2 * MIB, MIB, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at + 2 * MIB);
		z5t_end();
	}
	z5t_reap(pid);
	munmap(p, 4 * MIB);
	munmap(q, MIB);
	check(mmap(at + 8 * MIB, MIB, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at + 8 * MIB);
}

static void refuse(int fd, uint64_t len)
{
	char *p, *q, *at;

	check(mmap(NULL, len, RW, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	check(mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == EINVAL);
	check(mmap(NULL, len, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED);
	check(mmap(NULL, len, RW | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED);

	p = z5t_map(fd, len, RW, 0);
	z5t_fill(p, len, 2 * MIB, SEED);
	check(!mprotect(p, len, RW), "it changes nothing");
	fails(mprotect(p, len, PROT_READ), EACCES);
	fails(mprotect(p, len, PROT_NONE), EACCES);
	fails(mprotect(p, len, RW | PROT_EXEC), EACCES);
	fails(mprotect(p + PAGE, PAGE, PROT_READ), EACCES);
	fails(mprotect(p + len / 2, len / 2, PROT_NONE), EACCES);
	check(!z5t_try_write(p + 8, 1), "it can still be written");

	/* munmap of a part, by itself and by what maps over it. */
	fails(munmap(p, PAGE), EINVAL);
	fails(munmap(p + PAGE, PAGE), EINVAL);
	fails(munmap(p + len - PAGE, PAGE), EINVAL);
	fails(munmap(p + len / 2 + PAGE, len / 2 - PAGE), EINVAL);
	q = mmap(p + PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	check(q == MAP_FAILED);
	check(z5t_differ(p, len, 2 * MIB, SEED) == 0);

	at = room(2 * len);
	fails(mremap(p, len, 2 * len, 0), 0);
	check(errno == EINVAL || errno == EFAULT || errno == ENOMEM, "errno %d", errno);
	fails(mremap(p, len, 2 * len, MREMAP_MAYMOVE), 0);
	check(errno == EINVAL || errno == EFAULT, "grow: errno %d", errno);
	fails(mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at), 0);
	check(errno == EINVAL || errno == EFAULT, "move: errno %d", errno);
	fails(mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at + 2 * MIB), 0);
	check(errno == EINVAL || errno == EFAULT, "move: errno %d", errno);
	fails(mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_FIXED, at + PAGE), 0);
	check(errno == EINVAL || errno == EFAULT, "move: errno %d", errno);
	fails(mremap(p, len, len, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, 0), 0);
	check(errno == EINVAL || errno == EFAULT, "DONTUNMAP: errno %d", errno);
	fails(mremap(p, 0, len, MREMAP_MAYMOVE), 0);
	check(errno == EINVAL || errno == EFAULT, "duplicate: errno %d", errno);
	fails(mremap(p, 0, PAGE, MREMAP_MAYMOVE), 0);
	fails(mremap(p, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at), 0);
	check(errno == EINVAL || errno == EFAULT, "move of a part: errno %d", errno);
	fails(mremap(p, len, len - PAGE, 0), 0);
	check(errno == EINVAL || errno == EFAULT, "shrink: errno %d", errno);
	q = mremap(p, len, len, 0);
	check(q == p || q == MAP_FAILED, "nothing to change");
	check(z5t_differ(p, len, 2 * MIB, SEED) == 0);
	check(z5t_try_read(at) == SIGSEGV, "nothing came to where it was to go");
	check(z5t_info(fd).n_maps == 1);
	check(!munmap(p, len));
	check(z5t_info(fd).n_maps == 0);
}

static void map_refused_1g(void)
{
	refuse(z5t_window(), GIB);
}

static void map_refused_2m(void)
{
	refuse(z5t_get(4 * MIB, Z5M_ORDER_2M, NULL), 4 * MIB);
}

/* With 4 KiB pages any part may be unmapped, but nothing moves and nothing changes its rights. */
static void map_refused_4k(void)
{
	int fd = z5t_get(16 * PAGE, Z5M_ORDER_4K, NULL);
	char *p = z5t_map(fd, 16 * PAGE, RW, 0), *at = room(MIB);

	z5t_fill(p, 16 * PAGE, PAGE, SEED);
	fails(mprotect(p + PAGE, PAGE, PROT_READ), EACCES);
	fails(mremap(p, 16 * PAGE, 16 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at), 0);
	fails(mremap(p + PAGE, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at), 0);
	fails(mremap(p, 16 * PAGE, 32 * PAGE, MREMAP_MAYMOVE), 0);
	fails(mremap(p, 0, 16 * PAGE, MREMAP_MAYMOVE), 0);
	check(!munmap(p + 4 * PAGE, PAGE));
	check(mmap(p + 4 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	      MAP_FAILED);
	*(uint64_t *)(p + 4 * PAGE) = 1;
	check(z5t_differ(p, 16 * PAGE, PAGE, SEED) == 1);
}

/* Newer kernels move several mappings in one call: not those of a region among them. */
static void map_mremap_several(void)
{
	int fd = z5t_get(4 * PAGE, Z5M_ORDER_4K, NULL);
	char *at = room(MIB), *to = room(2 * MIB) + MIB;

	need(mmap(at, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == at);
	need(mmap(at + PAGE, 4 * PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == at + PAGE);
	need(mmap(at + 5 * PAGE, PAGE, RW, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
	     MAP_FAILED);
	z5t_fill(at + PAGE, 4 * PAGE, PAGE, SEED);
	fails(mremap(at, 6 * PAGE, 6 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), 0);
	check(z5t_try_read(at + PAGE) == 0 && z5t_differ(at + PAGE, 4 * PAGE, PAGE, SEED) == 0);
	fails(mremap(at + PAGE, 5 * PAGE, 5 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, to), 0);
	check(z5t_try_read(at + PAGE) == 0 && z5t_differ(at + PAGE, 4 * PAGE, PAGE, SEED) == 0);
	check(z5t_info(fd).n_maps == 1);
}

/* O_RDONLY of the device: what is mapped of it cannot be written. */
static void map_device_readonly(void)
{
	int dev = open(Z5M_DEVICE, O_RDONLY);
	char *p;

	need(dev >= 0);
	fails(mmap(NULL, PAGE, RW, MAP_SHARED, dev, 0), EACCES);
	p = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, dev, 0);
	if (p == MAP_FAILED)
		return;
	check(p[0] == 0);
	fails(mprotect(p, PAGE, RW), EACCES);
	check(z5t_try_write(p, 1) == SIGSEGV);
}

static void map_madvise(void)
{
	static const struct {
		const char *name;
		int advice;
	} refused[] = {
		{ "DONTNEED", MADV_DONTNEED }, { "FREE", MADV_FREE }, { "COLD", MADV_COLD },
		{ "PAGEOUT", MADV_PAGEOUT }, { "COLLAPSE", MADV_COLLAPSE },
		{ "DODUMP", MADV_DODUMP },
		{ "POPULATE_READ", MADV_POPULATE_READ }, { "POPULATE_WRITE", MADV_POPULATE_WRITE },
		{ "GUARD_INSTALL", MADV_GUARD_INSTALL }, { "REMOVE", MADV_REMOVE },
	}, harmless[] = {
		{ "NORMAL", MADV_NORMAL }, { "RANDOM", MADV_RANDOM },
		{ "SEQUENTIAL", MADV_SEQUENTIAL },
		{ "WILLNEED", MADV_WILLNEED }, { "NOHUGEPAGE", MADV_NOHUGEPAGE },
		{ "HUGEPAGE", MADV_HUGEPAGE }, { "MERGEABLE", MADV_MERGEABLE },
		{ "UNMERGEABLE", MADV_UNMERGEABLE }, { "DONTDUMP", MADV_DONTDUMP },
	};
	int fd = z5t_window(), ret;
	char *p = z5t_map(fd, GIB, RW, 0);
	unsigned int i;

	z5t_fill(p, GIB, 2 * MIB, SEED);
	for (i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		ret = madvise(p, GIB, refused[i].advice);
		/* REMOVE is the file's to refuse, as something that it cannot do. */
		check(ret == -1 && (errno == EINVAL || refused[i].advice == MADV_REMOVE),
		      "%s: %d", refused[i].name, ret);
		ret = madvise(p + 4 * MIB, 2 * MIB, refused[i].advice);
		check(ret == -1, "%s of a part", refused[i].name);
		check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0, "%s", refused[i].name);
	}
	/* Whatever these answer, the memory is the same after them, in whole and in part. */
	for (i = 0; i < sizeof(harmless) / sizeof(harmless[0]); i++) {
		ret = madvise(p, GIB, harmless[i].advice);
		ret |= madvise(p + 4 * MIB, 2 * MIB, harmless[i].advice);
		check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0, "%s: %d", harmless[i].name, ret);
	}
	check(!msync(p, GIB, MS_SYNC) || errno == EINVAL);
	check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0);
}

static void map_fork(void)
{
	int fd = z5t_window();
	char *p = z5t_map(fd, GIB, RW, 0);
	struct z5t_sync s;
	pid_t pid;

	z5t_sync_init(&s);
	p[5] = 42;
	pid = z5t_fork();
	if (!pid) {
		check(p[5] == 42);
		check(!z5t_try_write(p + 6, 43));
		z5t_tell(s.there);
		z5t_wait(s.back);
		check(p[7] == 44, "what the parent writes later is seen");
		check(!munmap(p, GIB));
		z5t_end();
	}
	z5t_wait(s.there);
	check(p[6] == 43, "what the child writes is seen");
	check(z5t_info(fd).n_maps == 2 && z5t_info(fd).n_writable == 2);
	check(!z5t_try_write(p + 7, 44));
	z5t_tell(s.back);
	z5t_reap(pid);
	check(z5t_info(fd).n_maps == 1 && z5t_info(fd).n_writable == 1);
	check(p[5] == 42 && p[6] == 43 && p[7] == 44);
	p[GIB - 1] = 1;
	/* A grandchild, after its parent is gone; and one that runs another program. */
	pid = z5t_fork();
	if (!pid) {
		close(fd);
		pid = z5t_fork();
		if (!pid) {
			check(p[GIB - 1] == 1);
			z5t_end();
		}
		z5t_reap(pid);
		z5t_end();
	}
	z5t_reap(pid);
	pid = z5t_fork();
	if (!pid) {
		execl("/proc/self/exe", "none", "exec", NULL);
		_exit(1);
	}
	z5t_reap(pid);
	check(p[GIB - 1] == 1);
	check(z5t_info(fd).n_maps == 1);
}

static void map_core(void)
{
	struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int fd = z5t_get(64 * MIB, Z5M_ORDER_2M, NULL), status = 0;
	char *p = z5t_map(fd, 64 * MIB, RW, 0), dir[] = "/tmp/kselftestXXXXXX", path[64];
	struct stat st;
	pid_t pid;

	z5t_need_root();
	memset(p, 0x5a, 64 * MIB);
	if (!mkdtemp(dir) || chdir(dir))
		z5t_skip("no place for a core dump");
	snprintf(path, sizeof(path), "%s/core", dir);
	need(!z5t_write_file(PATTERN, "core"));
	z5t_write_file(USES_PID, "0");
	pid = z5t_fork();
	if (!pid) {
		setrlimit(RLIMIT_CORE, &unlimited);
		/* Also what asks for more in a dump does not put it there. */
		z5t_write_file("/proc/self/coredump_filter", "0x1ff");
		abort();
	}
	need(waitpid(pid, &status, 0) == pid);
	if (!WCOREDUMP(status) || stat(path, &st))
		z5t_skip("this kernel writes no core dump");
	check(st.st_size > 0 && st.st_size < (off_t)(32 * MIB), "%ld bytes", (long)st.st_size);
	unlink(path);
	check(!chdir("/"));
	rmdir(dir);
	check(p[0] == 0x5a);
}

static void map_proc_mem(void)
{
	int fd = z5t_window(), mem = open("/proc/self/mem", O_RDWR);
	char *p = z5t_map(fd, GIB, RW, 0), buf[3 * PAGE], *q;

	need(mem >= 0);
	z5t_fill(p, GIB, PAGE, SEED);
	check(pread(mem, buf, sizeof(buf), (uintptr_t)p + 100) == sizeof(buf));
	check(!memcmp(buf, p + 100, sizeof(buf)));
	check(pread(mem, buf, 100, (uintptr_t)p + GIB - 50) == 50, "as far as the mapping goes");
	memset(buf, 0x33, sizeof(buf));
	p[GIB / 2 + 7 + sizeof(buf)] = 0;
	check(pwrite(mem, buf, sizeof(buf), (uintptr_t)p + GIB / 2 + 7) == sizeof(buf));
	check(!memcmp(buf, p + GIB / 2 + 7, sizeof(buf)));
	check(p[GIB / 2 + 7 + sizeof(buf)] == 0, "no more than that");
	/* Of a mapping that nobody has touched yet, and one that begins inside of the region. */
	munmap(p, GIB);
	p = z5t_map(fd, GIB, RW, 0);
	memset(buf, 0, sizeof(buf));
	check(pread(mem, buf, 64, (uintptr_t)p + GIB / 2 + 7) == 64 && buf[63] == 0x33);
	q = z5t_map(fd, 4 * PAGE, RW, GIB / 2);
	memset(buf, 0, sizeof(buf));
	check(pread(mem, buf, 64, (uintptr_t)q + 7) == 64 && buf[63] == 0x33);
	check(z5t_touch(p, GIB, 2 * MIB, 1) <= (long)(GIB / PAGE));
}

static void map_ptrace(void)
{
	int fd = z5t_get(2 * MIB, Z5M_ORDER_2M, NULL), status;
	long *p = z5t_map(fd, 2 * MIB, RW, 0);
	pid_t pid;

	p[100] = 0x1234567;
	pid = z5t_fork();
	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		check(p[100] == 0x7654321);
		z5t_end();
	}
	need(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status))
		z5t_skip("no ptrace");
	errno = 0;
	check(ptrace(PTRACE_PEEKDATA, pid, p + 100, NULL) == 0x1234567);
	check(!errno);
	check(!ptrace(PTRACE_POKEDATA, pid, p + 100, 0x7654321));
	check(p[100] == 0x7654321);
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	z5t_reap(pid);
}

/* What reads page tables for a report may drop an entry of 1 GiB, but nothing else. */
static void map_smaps(void)
{
	static const char *const files[] = {
		"/proc/self/smaps", "/proc/self/smaps_rollup", "/proc/self/numa_maps",
		"/proc/self/maps", "/proc/self/status", "/proc/self/statm",
	};
	int fd = z5t_window(), map;
	char *p = z5t_map(fd, GIB, RW, 0), *text = malloc(4 * MIB), line[40];
	uint64_t entry;
	unsigned int i;

	need(text);
	z5t_fill(p, GIB, 2 * MIB, SEED);
	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		check(!z5t_read_file(files[i], text, 4 * MIB) || !z5t_exists(files[i]), "%s",
		      files[i]);
		check(z5t_touch(p + 8, GIB - 8, 2 * MIB, 1) <= 1, "after %s", files[i]);
		check(z5t_touch(p + 8, GIB - 8, 2 * MIB, 1) == 0, "after %s", files[i]);
	}
	z5t_read_file("/proc/self/maps", text, 4 * MIB);
	snprintf(line, sizeof(line), "%lx-%lx rw-s", (unsigned long)p, (unsigned long)p + GIB);
	check(strstr(text, line), "%s in maps", line);
	map = open("/proc/self/pagemap", O_RDONLY);
	if (map >= 0) {
		for (i = 0; i < GIB / PAGE; i += 1000)
			check(pread(map, &entry, 8, ((uintptr_t)p / PAGE + i) * 8) == 8);
		check(z5t_touch(p + 8, GIB - 8, 2 * MIB, 1) <= 1, "after pagemap");
	}
	z5t_write_file("/proc/self/clear_refs", "1");
	z5t_write_file("/proc/self/clear_refs", "4");
	check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0);
	if (!mincore(p, 64 * MIB, (void *)text))
		check(z5t_differ(p, GIB, 2 * MIB, SEED) == 0);
	free(text);
}

static void map_device(void)
{
	static const uint64_t lens[] = {
		1, PAGE, 3 * PAGE + 1, 2 * MIB, 2 * MIB + PAGE, 5 * MIB, GIB, GIB + PAGE,
	};
	uint64_t used = z5t_used(), len, step;
	unsigned int regions = z5t_regions(), i;
	char *p, *q;

	fails(mmap(NULL, PAGE, RW, MAP_SHARED, z5t_dev, PAGE), EINVAL);
	fails(mmap(NULL, PAGE, RW, MAP_PRIVATE, z5t_dev, 0), 0);
	fails(mmap(NULL, PAGE, RW | PROT_EXEC, MAP_SHARED, z5t_dev, 0), 0);
	for (i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		len = lens[i];
		step = len > 64 * MIB ? 2 * MIB : PAGE;
		p = mmap(NULL, len, RW, MAP_SHARED, z5t_dev, 0);
		if (p == MAP_FAILED && errno == ENOMEM) {
			ksft_print_msg("no memory for %lu KiB\n", (unsigned long)(len / KIB));
			continue;
		}
		need(p != MAP_FAILED, "%lu", (unsigned long)len);
		check(z5t_regions() == regions + 1);
		check(z5t_used() >= used + len);
		check(z5t_nonzero(p, len, step) == 0);
		z5t_fill(p, len, step, SEED);
		check(z5t_differ(p, len, step, SEED) == 0);
		check(!z5t_try_write(p + len - 1, 1), "the last byte");
		check(!munmap(p, len));
		check(z5t_settled(used) && z5t_regions() == regions, "it dies with its mapping");
	}
	/* Each call is a region of its own, which needs the device's descriptor no more. */
	p = mmap(NULL, PAGE, RW, MAP_SHARED, z5t_dev, 0);
	q = mmap(NULL, PAGE, RW, MAP_SHARED, z5t_dev, 0);
	need(p != MAP_FAILED && q != MAP_FAILED);
	check(z5t_regions() == regions + 2);
	close(z5t_dev);
	p[0] = 1;
	check(q[0] == 0);
	z5t_dev = open(Z5M_DEVICE, O_RDWR);
	munmap(q, PAGE);
	check(z5t_regions() == regions + 1);
	check(mmap(NULL, 1UL << 46, RW, MAP_SHARED, z5t_dev, 0) == MAP_FAILED,
	      "more than there is");
	check(p[0] == 1);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(map_fault_1g), T(map_fault_2g), T(map_fault_2m), T(map_fault_4k), T(map_populate),
		T(map_thp_switch), T(map_thp_disabled), T(map_offset), T(map_fixed_twice),
		T(map_refused_1g), T(map_refused_2m), T(map_refused_4k), T(map_mremap_several),
		T(map_device_readonly),
		T(map_madvise), T(map_fork), T(map_core), T(map_proc_mem), T(map_ptrace),
		T(map_smaps), T(map_device),
	};

	/* map_fork runs this program in a child. */
	if (argc > 1 && !strcmp(argv[1], "exec"))
		return 0;
	z5t_guard(THP);
	z5t_guard(PATTERN);
	z5t_guard(USES_PID);
	return z5t_run(argc, argv, tests);
}
