// SPDX-License-Identifier: MIT
/* Memory is zero when it is handed out, whatever it held before. */
#define _GNU_SOURCE
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define SEED 41
/* A step that is no multiple of a page's size looks at another place in each page. */
#define UNEVEN (PAGE + 64)

/* Creates, looks, fills, gives back. step is the distance of the words that are looked at. */
static void cycle(uint64_t size, unsigned int order, unsigned int flags, uint64_t step)
{
	int fd = z5t_create(size, order, flags, NULL);
	uint64_t n;
	char *p;

	if (fd < 0 && errno == ENOMEM)
		z5t_skip("no %lu MiB of pages of order %u", (unsigned long)(size / MIB), order);
	need(fd >= 0);
	p = z5t_map(fd, size, RW, 0);
	n = z5t_nonzero(p, size, step);
	check(n == 0, "%lu words of %lu are not 0", (unsigned long)n, (unsigned long)(size / step));
	/* The beginning, the middle and the end of each page are dirty afterwards. */
	z5t_fill(p, size, PAGE / 2, SEED);
	z5t_fill(p + PAGE - 8, size - PAGE + 8, PAGE, SEED);
	munmap(p, size);
	close(fd);
}

static void cycles(uint64_t size, unsigned int order, int times)
{
	int i;

	for (i = 0; i < times; i++)
		cycle(size, order, Z5M_CREATE_STRICT, i & 1 ? PAGE : PAGE / 2);
}

static void zero_4k(void)
{
	cycles(8 * MIB, Z5M_ORDER_4K, 6);
	cycle(8 * MIB, Z5M_ORDER_4K, Z5M_CREATE_STRICT, 8);
}

static void zero_2m(void)
{
	cycles(64 * MIB, Z5M_ORDER_2M, 6);
	cycle(64 * MIB, Z5M_ORDER_2M, Z5M_CREATE_STRICT, 8);
}

static void zero_1g(void)
{
	cycles(GIB, Z5M_ORDER_1G, 2);
	cycle(GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, 8);
}

/* The reserve keeps its windows, so the same memory comes again and again. */
static void zero_reserve(void)
{
	struct z5m_slot slot;
	uint32_t count = 1;
	int fd = z5t_window(), i;
	char *p;

	check(z5t_slots(fd, 0, &slot, &count) == 1);
	if (!(slot.flags & Z5M_SLOT_RESERVE))
		z5t_skip("the window is not from the reserve");
	for (i = 0; i < 2; i++) {
		p = z5t_map(fd, GIB, RW, 0);
		check(z5t_nonzero(p, GIB, i ? UNEVEN : 64) == 0);
		z5t_fill(p, GIB, 512, SEED + i);
		munmap(p, GIB);
		close(fd);
		fd = z5t_window();
	}
}

/* Filled through other pages than it is looked at: windows, then 2 MiB, then 4 KiB, and back. */
static void zero_mixed(void)
{
	int i;

	for (i = 0; i < 2; i++) {
		cycle(128 * MIB, Z5M_ORDER_2M, 0, PAGE);
		cycle(32 * MIB, Z5M_ORDER_4K, 0, PAGE);
		cycle(GIB, Z5M_ORDER_1G, 0, UNEVEN);
	}
}

/* What a process that was killed left behind. */
static void zero_killed(void)
{
	pid_t pid;
	int i, fd;
	char *p;

	for (i = 0; i < 4; i++) {
		pid = z5t_fork();
		if (!pid) {
			p = mmap(NULL, 8 * MIB, RW, MAP_SHARED, z5t_dev, 0);
			if (p != MAP_FAILED)
				z5t_fill(p, 8 * MIB, PAGE, SEED);
			pause();
		}
		usleep(100000);
		z5t_kill(pid);
		fd = z5t_create(8 * MIB, i & 1 ? Z5M_ORDER_2M : Z5M_ORDER_4K, 0, NULL);
		need(fd >= 0);
		p = z5t_map(fd, 8 * MIB, PROT_READ, 0);
		check(z5t_nonzero(p, 8 * MIB, 512) == 0);
		munmap(p, 8 * MIB);
		close(fd);
	}
}

/* What other programs had in their memory. */
static void zero_foreign(void)
{
	int fd, i;
	char *p;

	for (i = 0; i < 3; i++) {
		p = mmap(NULL, 32 * MIB, RW, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		need(p != MAP_FAILED);
		memset(p, 0xa7, 32 * MIB);
		munmap(p, 32 * MIB);
		fd = z5t_create(32 * MIB, i == 2 ? Z5M_ORDER_4K : Z5M_ORDER_2M, 0, NULL);
		need(fd >= 0);
		p = z5t_map(fd, 32 * MIB, PROT_READ, 0);
		check(z5t_nonzero(p, 32 * MIB, 512) == 0);
		munmap(p, 32 * MIB);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(zero_4k), T(zero_2m), T(zero_1g), T(zero_reserve), T(zero_mixed), T(zero_killed),
		T(zero_foreign),
	};

	return z5t_run(argc, argv, tests);
}
