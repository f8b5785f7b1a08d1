// SPDX-License-Identifier: MIT
/*
 * Allocations that fail inside each call, one after the other: the first, the second, and so on
 * until the call comes through without one. Wants a kernel with CONFIG_FAULT_INJECTION,
 * CONFIG_FAILSLAB and CONFIG_FAIL_PAGE_ALLOC; the faults strike this thread only, between two
 * writes to fail-nth.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#if __has_include(<sys/rseq.h>)
#include <sys/rseq.h>
#endif
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define NTH "/proc/thread-self/fail-nth"
#define DEBUG "/sys/kernel/debug"

static int nth_fd;
static int usercopy_too;

/*
 * The C library's restartable sequences are written by the kernel whenever the thread is moved; one
 * such write that fails ends the thread with a signal, which is none of the module's.
 */
static void no_rseq(void)
{
#ifdef RSEQ_SIG
	char *self;

	__asm__("mov %%fs:0, %0" : "=r"(self));
	if (__rseq_size)
		syscall(SYS_rseq, self + __rseq_offset, 32, RSEQ_FLAG_UNREGISTER, RSEQ_SIG);
#endif
}

static void prepare(void)
{
	static const char *const types[] = { "failslab", "fail_page_alloc" };
	char path[128];
	int i;

	z5t_need_root();
	nth_fd = open(NTH, O_RDWR);
	if (nth_fd < 0)
		z5t_skip("no fault injection in this kernel");
	if (!z5t_exists(DEBUG "/failslab"))
		mount("debugfs", DEBUG, "debugfs", 0, NULL);
	if (!z5t_exists(DEBUG "/failslab") && !z5t_exists(DEBUG "/fail_page_alloc"))
		z5t_skip("no failslab and no fail_page_alloc");
	no_rseq();
	usercopy_too = z5t_exists(DEBUG "/fail_usercopy");
	/* By default allocations that may wait are left alone, and those are ours. */
	for (i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), DEBUG "/%s/ignore-gfp-wait", types[i]);
		z5t_write_file(path, "N");
		snprintf(path, sizeof(path), DEBUG "/%s/verbose", types[i]);
		z5t_write_file(path, "0");
	}
	z5t_write_file(DEBUG "/fail_page_alloc/ignore-gfp-highmem", "N");
	z5t_write_file(DEBUG "/fail_page_alloc/min-order", "0");
	z5t_write_file(DEBUG "/fail_usercopy/verbose", "0");
}

static void arm(unsigned int nth)
{
	char text[16];
	int len = snprintf(text, sizeof(text), "%u", nth);

	need(pwrite(nth_fd, text, len, 0) == len);
}

/* Whether the fault came. One that did not may strike here, where user memory is copied. */
static int disarm(void)
{
	char text[16] = "";
	int err = errno, hit;

	hit = pread(nth_fd, text, sizeof(text) - 1, 0) > 0 && atoi(text) == 0;
	if (pwrite(nth_fd, "0", 1, 0) != 1)
		need(pwrite(nth_fd, "0", 1, 0) == 1);
	errno = err;
	return hit;
}

/*
 * One call: gives -1 and errno, or what undo takes. most bounds the calls, for long ones.
 */
static void each_fault(const char *what, long (*call)(void), void (*undo)(long), unsigned int most)
{
	uint64_t used = z5t_used();
	unsigned int regions = z5t_regions(), nth, failed = 0;
	long ret;
	int hit;

	/* Once without, so that what is allocated but once is there. */
	ret = call();
	if (ret == -1 && errno == ENOMEM) {
		ksft_print_msg("%s: no memory to begin with\n", what);
		return;
	}
	need(ret != -1, "%s", what);
	undo(ret);
	for (nth = 1; nth <= most; nth++) {
		arm(nth);
		ret = call();
		hit = disarm();
		if (ret == -1) {
			check(hit && (errno == ENOMEM || (usercopy_too && errno == EFAULT)),
			      "%s, fault %u", what, nth);
			failed++;
		} else {
			undo(ret);
		}
		check(z5t_settled(used), "%s, fault %u: bytes are lost", what, nth);
		check(z5t_regions() == regions, "%s, fault %u: a region is left", what, nth);
		if (!hit)
			break;
	}
	ksft_print_msg("%s: %u faults, %u of them an error%s\n", what, nth - 1, failed,
		       nth > most ? ", and there are more" : "");
}

static void undo_close(long fd)
{
	close(fd);
}

static void undo_nothing(long ret)
{
	(void)ret;
}

static uint64_t the_size;
static unsigned int the_order, the_flags;
static const char *the_name;
static int the_fd;
static char *the_map;

static long call_create(void)
{
	return z5t_create(the_size, the_order, the_flags, the_name);
}

static void undo_create(long fd)
{
	close(fd);
	if (the_name)
		check(!z5t_destroy(the_name));
}

static void create_faults(uint64_t size, unsigned int order, unsigned int most)
{
	char what[64];
	int i;

	prepare();
	the_size = size;
	the_order = order;
	for (i = 0; i < 2; i++) {
		the_flags = i ? Z5M_CREATE_STRICT : 0;
		the_name = i ? NAME("fault") : NULL;
		snprintf(what, sizeof(what), "create of order %u%s", order,
			 i ? ", strict and named" : "");
		each_fault(what, call_create, undo_create, most);
	}
}

static void fault_create_4k(void)
{
	create_faults(8 * PAGE, Z5M_ORDER_4K, 400);
}

static void fault_create_2m(void)
{
	create_faults(4 * MIB, Z5M_ORDER_2M, 400);
}

/* Each of these clears a window, so they are fewer. */
static void fault_create_1g(void)
{
	create_faults(GIB, Z5M_ORDER_1G, 24);
}

static long call_open(void)
{
	return z5t_open(NAME("fault"), Z5M_OPEN_WRITE);
}

static void fault_open(void)
{
	prepare();
	the_fd = z5t_get(PAGE, 0, NAME("fault"));
	each_fault("open", call_open, undo_close, 400);
	check(z5t_info(the_fd).n_files == 1);
	check(!z5t_destroy(NAME("fault")));
}

static long call_name(void)
{
	int ret = z5t_name(the_fd, NAME("fault"));

	/* Where it is the answer that cannot be written, the name is there already. */
	if (ret == -1 && errno == EFAULT) {
		z5t_destroy(NAME("fault"));
		errno = EFAULT;
	}
	return ret;
}

static void undo_name(long ret)
{
	check(!ret && !z5t_destroy(NAME("fault")));
}

static void fault_name(void)
{
	prepare();
	the_fd = z5t_get(PAGE, 0, NULL);
	each_fault("name", call_name, undo_name, 400);
	check(!(z5t_info(the_fd).flags & Z5M_REGION_NAMED));
}

static long call_seal(void)
{
	return z5t_seal(the_fd);
}

static long call_slots(void)
{
	struct z5m_slot slot;
	uint32_t count = 1;

	return z5t_slots(the_fd, 0, &slot, &count);
}

static long call_info(void)
{
	struct z5m_info i = { .after = 0 };

	return ioctl(the_fd, Z5M_IOC_INFO, &i) | ioctl(z5t_dev, Z5M_IOC_LIST, &i);
}

static long call_domain(void)
{
	struct z5m_domain d;

	return z5t_domain(0, &d);
}

static long call_device(void)
{
	return open(Z5M_DEVICE, O_RDWR);
}

static void fault_small(void)
{
	prepare();
	the_fd = z5t_get(PAGE, 0, NULL);
	each_fault("slots", call_slots, undo_nothing, 400);
	each_fault("info and list", call_info, undo_nothing, 400);
	each_fault("domain", call_domain, undo_nothing, 400);
	each_fault("open of the device", call_device, undo_close, 400);
	each_fault("seal", call_seal, undo_nothing, 400);
}

static long call_map(void)
{
	return (long)mmap(NULL, the_size, RW, MAP_SHARED, the_fd, 0);
}

static void undo_map(long p)
{
	munmap((void *)p, the_size);
}

static void fault_map(void)
{
	prepare();
	the_size = 4 * MIB;
	the_fd = z5t_get(the_size, Z5M_ORDER_2M, NULL);
	each_fault("mmap", call_map, undo_map, 400);
	check(z5t_info(the_fd).n_maps == 0 && z5t_info(the_fd).n_writable == 0);
	check(!z5t_seal(the_fd), "no writable mapping is left counted");
	/* The device's own mapping creates a region as well. */
	the_fd = z5t_dev;
	the_size = 8 * PAGE;
	each_fault("mmap of the device", call_map, undo_map, 400);
}

static long call_populate(void)
{
	return z5t_populate(the_fd, the_map, the_size);
}

/* A fresh mapping for each, since the entries of a populated one are there. */
static void undo_populate(long ret)
{
	(void)ret;
	check(!munmap(the_map, the_size));
	the_map = z5t_map(the_fd, the_size, RW, 0);
}

static void populate_faults(uint64_t size, unsigned int order, const char *what)
{
	the_size = size;
	the_fd = z5t_get(size, order, NULL);
	the_map = z5t_map(the_fd, size, RW, 0);
	each_fault(what, call_populate, undo_populate, 400);
	check(!z5t_populate(the_fd, the_map, size));
	z5t_fill(the_map, size, PAGE, 1);
	check(z5t_differ(the_map, size, PAGE, 1) == 0);
	munmap(the_map, size);
	close(the_fd);
}

static void fault_populate(void)
{
	prepare();
	populate_faults(2 * MIB, Z5M_ORDER_4K, "populate of 4 KiB pages");
	populate_faults(4 * MIB, Z5M_ORDER_2M, "populate of 2 MiB pages");
	populate_faults(GIB, Z5M_ORDER_1G, "populate of a window");
}

static long call_dmabuf(void)
{
	return z5t_dmabuf(the_fd, Z5M_DMABUF_WRITE);
}

static void fault_dmabuf(void)
{
	prepare();
	the_fd = z5t_get(4 * MIB, Z5M_ORDER_4K, NULL);
	if (!(z5t_version().features & Z5M_FEATURE_DMABUF))
		z5t_skip("the kernel has no dma-buf");
	each_fault("dma-buf", call_dmabuf, undo_close, 400);
	check(z5t_info(the_fd).n_writable == 0);
	check(!z5t_seal(the_fd));
}

/* To fork a process that has mappings: the copy counts only if it came to be. */
static void fault_fork(void)
{
	unsigned int nth;
	pid_t pid;
	int hit;
	char *p;

	prepare();
	the_fd = z5t_get(MIB, Z5M_ORDER_4K, NULL);
	p = z5t_map(the_fd, MIB, RW, 0);
	z5t_fill(p, MIB, PAGE, 3);
	for (nth = 1; nth < 2000; nth++) {
		fflush(stdout);
		arm(nth);
		pid = fork();
		if (!pid)
			_exit(0);
		hit = disarm();
		if (pid > 0)
			z5t_reap(pid);
		else
			check(hit && errno == ENOMEM, "fault %u", nth);
		need(z5t_info(the_fd).n_maps == 1 && z5t_info(the_fd).n_writable == 1,
		     "fault %u", nth);
		if (!hit)
			break;
	}
	check(z5t_differ(p, MIB, PAGE, 3) == 0);
	ksft_print_msg("fork: %u faults\n", nth - 1);
}

/* The reserve: what cannot be had is no error, but it must not be lost. */
static long call_reserve(void)
{
	uint32_t got;

	return z5t_reserve(0, the_size, 0, &got);
}

static void fault_reserve(void)
{
	struct z5m_node n;

	prepare();
	if (z5t_node(0, 0, &n) || n.reserve_used)
		z5t_skip("the reserve of node 0 is in use");
	the_size = n.reserve;
	each_fault("reserve", call_reserve, undo_nothing, 24);
	check(!z5t_node(0, 0, &n) && n.reserve == the_size && !n.reserve_used);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(fault_create_4k), T(fault_create_2m), T(fault_create_1g), T(fault_open),
		T(fault_name), T(fault_small), T(fault_map), T(fault_populate), T(fault_dmabuf),
		T(fault_fork), T(fault_reserve),
	};
	static const char *const guarded[] = {
		DEBUG "/failslab/ignore-gfp-wait", DEBUG "/failslab/verbose",
		DEBUG "/fail_page_alloc/ignore-gfp-wait", DEBUG "/fail_page_alloc/verbose",
		DEBUG "/fail_page_alloc/ignore-gfp-highmem", DEBUG "/fail_page_alloc/min-order",
		DEBUG "/fail_usercopy/verbose",
	};
	unsigned int i;

	for (i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++)
		z5t_guard(guarded[i]);
	return z5t_run(argc, argv, tests);
}
