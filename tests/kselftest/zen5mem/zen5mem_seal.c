// SPDX-License-Identifier: MIT
/* A sealed region, and a read-only descriptor, against every way to write. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <linux/dma-buf.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define SEED 31

/* A filled region without a mapping. */
static int filled(uint64_t size, unsigned int order, const char *name)
{
	int fd = z5t_get(size, order, name);
	char *p = z5t_map(fd, size, RW, 0);

	z5t_fill(p, size, PAGE, SEED);
	munmap(p, size);
	return fd;
}

/* Everything that might write through a descriptor that must not. */
static void attack_fd(int fd, uint64_t size, const char *what)
{
	char path[64], *p;
	int flags[] = { O_RDWR, O_WRONLY, O_RDWR | O_TRUNC }, again, i;
	struct stat st;

	p = mmap(NULL, size, RW, MAP_SHARED, fd, 0);
	check(p == MAP_FAILED, "%s: a writable mapping", what);
	p = mmap(NULL, size, PROT_WRITE, MAP_SHARED, fd, 0);
	check(p == MAP_FAILED, "%s: a mapping that is only written", what);
	p = mmap(NULL, size, RW, MAP_PRIVATE, fd, 0);
	check(p == MAP_FAILED, "%s: a private mapping", what);
	check(pwrite(fd, "x", 1, 0) == -1, "%s: write", what);
	check(ftruncate(fd, 0) == -1, "%s: ftruncate", what);
	check(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE) == -1,
	      "%s: fallocate", what);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	check(truncate(path, 0) == -1, "%s: truncate", what);
	for (i = 0; i < 3; i++) {
		again = open(path, flags[i]);
		if (again < 0)
			continue;
		p = mmap(NULL, size, RW, MAP_SHARED, again, 0);
		check(p == MAP_FAILED, "%s: opened again in /proc", what);
		fails(z5t_dmabuf(again, Z5M_DMABUF_WRITE), 0);
		close(again);
	}
	fcntl(fd, F_SETFL, O_RDWR);
	p = mmap(NULL, size, RW, MAP_SHARED, fd, 0);
	check(p == MAP_FAILED, "%s: after F_SETFL", what);
	check(!fstat(fd, &st) && (uint64_t)st.st_size == size);
}

/* Everything that might write into a read-only mapping. */
static void attack_map(char *p, uint64_t len, const char *what)
{
	int mem = open("/proc/self/mem", O_RDWR), zero = open("/dev/zero", O_RDONLY), pfd[2];
	char buf[PAGE];
	struct iovec local = { buf, sizeof(buf) }, remote = { p, sizeof(buf) };

	memset(buf, 0xee, sizeof(buf));
	need(mem >= 0 && zero >= 0 && !pipe(pfd));
	check(z5t_try_write(p, 1) == SIGSEGV, "%s: a store", what);
	fails(mprotect(p, len, RW), EACCES);
	fails(mprotect(p, len, PROT_WRITE), EACCES);
	fails(mprotect(p + len - PAGE, PAGE, RW), EACCES);
	check(z5t_try_write(p, 1) == SIGSEGV, "%s: a store after mprotect", what);
	check(pwrite(mem, buf, sizeof(buf), (uintptr_t)p) <= 0, "%s: /proc/self/mem", what);
	check(pwrite(mem, buf, 8, (uintptr_t)p + len - 8) <= 0, "%s: /proc/self/mem", what);
	check(process_vm_writev(getpid(), &local, 1, &remote, 1, 0) <= 0,
	      "%s: process_vm_writev", what);
	fails(read(zero, p, PAGE), EFAULT);
	check(write(pfd[1], buf, 8) == 8);
	fails(read(pfd[0], p, 8), EFAULT);
	check(z5t_try_read(p) == 0);
	close(mem);
	close(zero);
	close(pfd[0]);
	close(pfd[1]);
}

static void attack_ptrace(long *p, const char *what)
{
	pid_t pid = z5t_fork();
	char path[64];
	int status, mem;

	if (!pid) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		z5t_end();
	}
	need(waitpid(pid, &status, 0) == pid);
	if (!WIFSTOPPED(status)) {
		ksft_print_msg("no ptrace\n");
		return;
	}
	check(ptrace(PTRACE_POKEDATA, pid, p, 0x99L) == -1, "%s: PTRACE_POKEDATA", what);
	errno = 0;
	ptrace(PTRACE_PEEKDATA, pid, p, NULL);
	check(!errno, "%s: PTRACE_PEEKDATA", what);
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	mem = open(path, O_RDWR);
	if (mem >= 0) {
		check(pwrite(mem, "12345678", 8, (uintptr_t)p) <= 0, "%s: %s", what, path);
		close(mem);
	}
	ptrace(PTRACE_CONT, pid, NULL, NULL);
	z5t_reap(pid);
}

static void sealed(uint64_t size, unsigned int order)
{
	int fd = filled(size, order, NAME("seal")), r, before;
	char *old = z5t_map(fd, size, PROT_READ, 0), *p;

	before = z5t_open(NAME("seal"), Z5M_OPEN_WRITE);
	need(before >= 0);
	check(z5t_info(fd).n_writable == 0, "a read-only mapping of a writable descriptor");
	need(!z5t_seal(fd));
	check(!z5t_seal(fd), "twice is no error");
	check(z5t_info(fd).flags & Z5M_REGION_SEALED);
	attack_fd(fd, size, "the descriptor that sealed it");
	attack_fd(before, size, "a descriptor from before");
	attack_map(old, size, "a mapping from before");
	attack_ptrace((long *)old, "a mapping from before");
	fails(z5t_open(NAME("seal"), Z5M_OPEN_WRITE), EPERM);
	r = z5t_open(NAME("seal"), 0);
	need(r >= 0);
	attack_fd(r, size, "a descriptor from after");
	p = z5t_map(r, size, PROT_READ, 0);
	attack_map(p, size, "a mapping from after");
	check(!z5t_populate(r, p, size));
	check(!z5t_populate(fd, old, size));
	attack_map(p, size, "a populated mapping");
	attack_map(old, size, "a populated mapping");
	attack_ptrace((long *)p, "a populated mapping");
	munmap(p, size);
	p = z5t_map(fd, PAGE, PROT_READ, 5 * PAGE);
	attack_map(p, PAGE, "a mapping of a part");
	if (z5t_version().features & Z5M_FEATURE_DMABUF) {
		fails(z5t_dmabuf(fd, Z5M_DMABUF_WRITE), EPERM);
		close(z5t_dmabuf(fd, 0));
	}
	check(z5t_differ(old, size, PAGE, SEED) == 0);
	check(z5t_info(fd).n_writable == 0);
	check(!z5t_destroy(NAME("seal")), "a sealed region can still be destroyed");
	check(!z5t_name(before, NAME("seal")), "and named, by a descriptor from before");
	check(!z5t_destroy(NAME("seal")));
	check(z5t_info(fd).flags == Z5M_REGION_SEALED, "for ever");
}

static void seal_1g(void)
{
	sealed(GIB, Z5M_ORDER_1G);
}

static void seal_2m(void)
{
	sealed(4 * MIB, Z5M_ORDER_2M);
}

static void seal_4k(void)
{
	sealed(MIB, Z5M_ORDER_4K);
}

/* The same for a region that is not sealed: a read-only descriptor stays one. */
static void seal_readonly_descriptor(void)
{
	int fd = filled(4 * MIB, Z5M_ORDER_2M, NAME("ro")), r = z5t_open(NAME("ro"), 0);
	char *p;

	need(r >= 0);
	attack_fd(r, 4 * MIB, "read-only");
	p = z5t_map(r, 4 * MIB, PROT_READ, 0);
	attack_map(p, 4 * MIB, "read-only");
	attack_ptrace((long *)p, "read-only");
	check(!z5t_populate(r, p, 4 * MIB));
	attack_map(p, 4 * MIB, "read-only and populated");
	fails(z5t_seal(r), EBADF);
	if (z5t_version().features & Z5M_FEATURE_DMABUF)
		fails(z5t_dmabuf(r, Z5M_DMABUF_WRITE), EACCES);
	/* A writable mapping of the same process is beside it, and changes nothing for this one. */
	*(char *)z5t_map(fd, 4 * MIB, RW, 0) = 0;
	attack_map(p, 4 * MIB, "read-only beside a writable one");
	check(!z5t_destroy(NAME("ro")));
}

static void seal_busy(void)
{
	int fd = filled(4 * MIB, Z5M_ORDER_4K, NULL), dma;
	char *p = z5t_map(fd, 4 * MIB, RW, 0), *q;
	struct z5t_sync s;
	pid_t pid;

	fails(z5t_seal(fd), EBUSY);
	q = z5t_map(fd, PAGE, RW, 3 * PAGE);
	munmap(p, 4 * MIB);
	fails(z5t_seal(fd), EBUSY);
	/* In a child that has it from fork only. */
	z5t_sync_init(&s);
	pid = z5t_fork();
	if (!pid) {
		z5t_tell(s.there);
		z5t_wait(s.back);
		q[0] = 1;
		z5t_end();
	}
	z5t_wait(s.there);
	munmap(q, PAGE);
	fails(z5t_seal(fd), EBUSY);
	check(z5t_info(fd).n_writable == 1 && z5t_info(fd).n_maps == 1);
	z5t_tell(s.back);
	z5t_reap(pid);
	/* Half of a mapping is one. */
	p = z5t_map(fd, 4 * MIB, RW, 0);
	munmap(p, 2 * MIB);
	fails(z5t_seal(fd), EBUSY);
	munmap(p + 3 * MIB, PAGE);
	fails(z5t_seal(fd), EBUSY);
	munmap(p + 2 * MIB, 2 * MIB);
	check(z5t_info(fd).n_writable == 0);
	if (z5t_version().features & Z5M_FEATURE_DMABUF) {
		dma = z5t_dmabuf(fd, Z5M_DMABUF_WRITE);
		need(dma >= 0);
		check(z5t_info(fd).n_writable == 1);
		fails(z5t_seal(fd), EBUSY);
		close(dma);
		dma = z5t_dmabuf(fd, 0);
		need(dma >= 0);
		check(z5t_info(fd).n_writable == 0, "a dma-buf that is only read");
	} else {
		dma = -1;
	}
	check(!z5t_seal(fd));
	close(dma);
	/* A refused mapping leaves no count behind. */
	check(mmap(NULL, PAGE, RW, MAP_SHARED, fd, 0) == MAP_FAILED);
	check(z5t_info(fd).n_writable == 0 && z5t_info(fd).n_maps == 0);
}

static void seal_refused_maps(void)
{
	int fd = filled(MIB, Z5M_ORDER_4K, NULL);
	char *p = z5t_map(fd, PAGE, PROT_READ, 0);

	/* What fails on the way must not leave a writable mapping counted. */
	check(mmap(NULL, MIB, RW, MAP_PRIVATE, fd, 0) == MAP_FAILED);
	check(mmap(NULL, MIB, RW | PROT_EXEC, MAP_SHARED, fd, 0) == MAP_FAILED);
	check(mmap(p, PAGE, RW, MAP_SHARED | MAP_FIXED, fd, 0) == MAP_FAILED);
	check(mmap(NULL, 1UL << 46, RW, MAP_SHARED, fd, 0) == MAP_FAILED);
	fails(mremap(p, PAGE, 2 * PAGE, MREMAP_MAYMOVE), 0);
	check(z5t_info(fd).n_maps == 1 && z5t_info(fd).n_writable == 0);
	check(!z5t_seal(fd));
}

/* What a dma-buf maps itself follows the same rules. */
static void seal_dmabuf(void)
{
	int fd = filled(2 * MIB, Z5M_ORDER_2M, NULL), dma;
	struct dma_buf_sync sync = { .flags = DMA_BUF_SYNC_START | DMA_BUF_SYNC_READ };
	struct stat st;
	char *p;

	if (!(z5t_version().features & Z5M_FEATURE_DMABUF)) {
		fails(z5t_dmabuf(fd, 0), ENOTTY);
		z5t_skip("the kernel has no dma-buf");
	}
	dma = z5t_dmabuf(fd, 0);
	need(dma >= 0);
	check(fcntl(dma, F_GETFD) & FD_CLOEXEC);
	check(lseek(dma, 0, SEEK_END) == 2 * (off_t)MIB);
	check(!fstat(dma, &st));
	p = mmap(NULL, 2 * MIB, RW, MAP_SHARED, dma, 0);
	check(p == MAP_FAILED, "a dma-buf that is only read");
	p = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, dma, 0);
	if (p != MAP_FAILED) {
		ioctl(dma, DMA_BUF_IOCTL_SYNC, &sync);
		check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
		check(mprotect(p, 2 * MIB, RW) == -1);
		check(z5t_try_write(p, 1) == SIGSEGV);
		munmap(p, 2 * MIB);
	}
	/* It keeps the memory alive by itself. */
	check(!z5t_name(fd, NAME("dma")));
	check(!z5t_destroy(NAME("dma")));
	close(fd);
	p = mmap(NULL, 2 * MIB, PROT_READ, MAP_SHARED, dma, 0);
	if (p != MAP_FAILED)
		check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
	close(dma);
	if (p != MAP_FAILED)
		check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
}

/* Who maps for writing while another seals: one of the two must lose. */
static pthread_barrier_t barrier;
static int race_fd;

static void *race_map(void *arg)
{
	int i;

	for (i = 0; i < 300; i++) {
		char *p;

		pthread_barrier_wait(&barrier);
		p = mmap(NULL, PAGE, RW, MAP_SHARED, race_fd, 0);
		if (p != MAP_FAILED) {
			p[0] = 1;
			*(int *)arg = !!(z5t_info(race_fd).flags & Z5M_REGION_SEALED);
			munmap(p, PAGE);
		}
		pthread_barrier_wait(&barrier);
	}
	return NULL;
}

static void seal_race(void)
{
	int wrong = 0, i, won = 0;
	pthread_t thread;

	need(!pthread_barrier_init(&barrier, NULL, 2));
	need(!pthread_create(&thread, NULL, race_map, &wrong));
	for (i = 0; i < 300; i++) {
		race_fd = z5t_create(PAGE, 0, 0, NULL);
		need(race_fd >= 0);
		pthread_barrier_wait(&barrier);
		if (z5t_seal(race_fd))
			check(errno == EBUSY);
		else
			won++;
		pthread_barrier_wait(&barrier);
		check(!wrong, "sealed and mapped writable at once");
		wrong = 0;
		close(race_fd);
	}
	pthread_join(thread, NULL);
	ksft_print_msg("sealing came first %d times of 300\n", won);
}

/* Filled, sealed and named last: nobody sees half of it. */
static void seal_then_name(void)
{
	int fd = filled(MIB, Z5M_ORDER_4K, NULL), r;

	check(!z5t_seal(fd));
	check(!z5t_name(fd, NAME("whole")));
	r = z5t_open(NAME("whole"), 0);
	need(r >= 0);
	check(z5t_info(r).flags == (Z5M_REGION_SEALED | Z5M_REGION_NAMED));
	check(z5t_differ(z5t_map(r, MIB, PROT_READ, 0), MIB, PAGE, SEED) == 0);
	check(!z5t_destroy(NAME("whole")));
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(seal_4k), T(seal_2m), T(seal_1g), T(seal_readonly_descriptor), T(seal_busy),
		T(seal_refused_maps), T(seal_dmabuf), T(seal_race), T(seal_then_name),
	};

	return z5t_run(argc, argv, tests);
}
