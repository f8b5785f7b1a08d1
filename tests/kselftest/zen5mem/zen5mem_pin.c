// SPDX-License-Identifier: MIT
/*
 * Input and output with a mapping as the buffer. What copies works; what would take references of
 * the pages fails with EFAULT, and no page's reference count is another one afterwards.
 * A block device for O_DIRECT is the first argument or ZEN5MEM_BLK: its beginning is overwritten.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <linux/aio_abi.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define SEED 11
#define IO_LEN (MIB)

#ifndef MADV_SOFT_OFFLINE
#define MADV_SOFT_OFFLINE 101
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY 60
#endif
#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY 0x4000000
#endif

/* A region of each page size in turn, one test of what it is told. */
struct buffer {
	int fd;
	uint64_t len;
	char *p;
};

static void counts_right(const char *after)
{
	long odd = z5t_odd_refs();

	check(odd <= 0, "%ld pages with another reference count after %s", odd, after);
}

static void each_order(void (*run)(struct buffer *b))
{
	static const unsigned int orders[] = { Z5M_ORDER_4K, Z5M_ORDER_2M, Z5M_ORDER_1G };
	struct buffer b;
	unsigned int i, had = 0;

	if (z5t_odd_refs() < 0)
		ksft_print_msg("no reference counts in debugfs\n");
	for (i = 0; i < 3; i++) {
		b.len = i == 2 ? GIB : 4 * MIB;
		b.fd = z5t_create(b.len, orders[i], Z5M_CREATE_STRICT, NULL);
		if (b.fd < 0) {
			need(errno == ENOMEM);
			ksft_print_msg("no pages of order %u\n", orders[i]);
			continue;
		}
		had++;
		b.p = z5t_map(b.fd, b.len, RW, 0);
		z5t_fill(b.p, b.len, PAGE, SEED);
		run(&b);
		check(z5t_differ(b.p, b.len, PAGE, SEED) == 0, "order %u", orders[i]);
		munmap(b.p, b.len);
		counts_right("munmap");
		close(b.fd);
	}
	if (!had)
		z5t_skip("no memory");
}

/* A file in memory whose content is a pattern. */
static int file(void)
{
	int fd = memfd_create("kselftest", 0);
	char *buf = malloc(IO_LEN);

	need(fd >= 0 && buf);
	z5t_fill(buf, IO_LEN, 8, SEED + 1);
	need(write(fd, buf, IO_LEN) == (ssize_t)IO_LEN);
	free(buf);
	return fd;
}

static void copies(struct buffer *b)
{
	int f = file(), sv[2], pfd[2], null = open("/dev/null", O_WRONLY);
	char *p = b->p + 2 * MIB, back[256];
	struct iovec iov[2];

	check(pread(f, p, IO_LEN, 0) == (ssize_t)IO_LEN);
	check(z5t_differ(p, IO_LEN, 8, SEED + 1) == 0);
	check(pread(f, p + 13, 1000, 0) == 1000, "a part of a page");
	z5t_fill(p, IO_LEN, PAGE, SEED + 2);
	check(pwrite(f, p, IO_LEN, 0) == (ssize_t)IO_LEN);
	memset(p, 0, IO_LEN);
	iov[0] = (struct iovec){ p, 5000 };
	iov[1] = (struct iovec){ p + 5000, IO_LEN - 5000 };
	check(preadv(f, iov, 2, 0) == (ssize_t)IO_LEN);
	check(z5t_differ(p, IO_LEN, PAGE, SEED + 2) == 0);
	check(write(null, p, IO_LEN) == (ssize_t)IO_LEN);

	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv) && !pipe(pfd));
	strcpy(p, "through a socket and a pipe");
	check(send(sv[0], p, 64, 0) == 64);
	check(recv(sv[1], p + 4096, 64, 0) == 64 && !strcmp(p, p + 4096));
	check(write(pfd[1], p, 64) == 64);
	check(read(pfd[0], back, 64) == 64 && !strcmp(p, back));
	check(write(pfd[1], back, 64) == 64);
	check(read(pfd[0], p + 8192, 64) == 64 && !strcmp(p + 8192, back));
	close(f);
	close(null);
	close(sv[0]);
	close(sv[1]);
	close(pfd[0]);
	close(pfd[1]);
	counts_right("copies");
	z5t_fill(b->p, b->len, PAGE, SEED);
}

static void pin_copies(void)
{
	each_order(copies);
}

static const char *block_device(void)
{
	if (z5t_argc > 1)
		return z5t_argv[1];
	return getenv("ZEN5MEM_BLK");
}

static void direct(struct buffer *b)
{
	int r = open(block_device(), O_RDONLY | O_DIRECT);
	int w = open(block_device(), O_WRONLY | O_DIRECT);
	void *plain = aligned_alloc(PAGE, PAGE);
	struct iovec mixed[2] = { { plain, PAGE }, { b->p, PAGE } };
	uint64_t at;

	need(r >= 0 && w >= 0 && plain);
	if (pread(r, plain, PAGE, 0) != PAGE)
		z5t_skip("%s cannot be read", block_device());
	for (at = 0; at < 4 * MIB; at += MIB) {
		fails(pread(r, b->p + at, IO_LEN, 0), EFAULT);
		counts_right("O_DIRECT read");
		fails(pwrite(w, b->p + at, IO_LEN, 0), EFAULT);
		counts_right("O_DIRECT write");
	}
	fails(pread(r, b->p + b->len - PAGE, PAGE, 0), EFAULT);
	/* What is left after the first buffer may be copied through the cache. */
	check(preadv(r, mixed, 2, 0) <= 2 * (ssize_t)PAGE);
	counts_right("O_DIRECT of two buffers");
	close(r);
	close(w);
	/* Through the block device's cache it is a copy. */
	r = open(block_device(), O_RDONLY);
	check(pread(r, b->p, PAGE, 0) == PAGE);
	check(!memcmp(b->p, plain, PAGE));
	z5t_fill(b->p, PAGE, PAGE, SEED);
	close(r);
	free(plain);
}

static void pin_direct(void)
{
	if (!block_device() || !z5t_exists(block_device()))
		z5t_skip("no block device was named");
	each_order(direct);
}

/* Asynchronous input and output takes its buffer when it is submitted. */
static void aio(struct buffer *b)
{
	aio_context_t ctx = 0;
	struct iocb cb = {
		.aio_lio_opcode = IOCB_CMD_PREAD, .aio_buf = (uintptr_t)b->p, .aio_nbytes = IO_LEN,
	}, *list = &cb;
	struct io_event event = { .res = 0 };
	int f = open(block_device(), O_RDONLY | O_DIRECT);

	need(f >= 0);
	cb.aio_fildes = f;
	if (syscall(SYS_io_setup, 1, &ctx))
		z5t_skip("no asynchronous I/O");
	if (syscall(SYS_io_submit, ctx, 1, &list) == 1) {
		check(syscall(SYS_io_getevents, ctx, 1, 1, &event, NULL) == 1);
		check(event.res == -EFAULT, "%lld", (long long)event.res);
	} else {
		check(errno == EFAULT);
	}
	syscall(SYS_io_destroy, ctx);
	close(f);
	counts_right("io_submit");
}

static void pin_aio(void)
{
	if (!block_device() || !z5t_exists(block_device()))
		z5t_skip("no block device was named");
	each_order(aio);
}

static void splice_from(struct buffer *b)
{
	struct iovec iov = { b->p, 2 * PAGE };
	int pfd[2];

	need(!pipe(pfd));
	fails(vmsplice(pfd[1], &iov, 1, 0), EFAULT);
	counts_right("vmsplice");
	fails(vmsplice(pfd[1], &iov, 1, SPLICE_F_GIFT), EFAULT);
	iov.iov_base = b->p + b->len - 2 * PAGE;
	fails(vmsplice(pfd[1], &iov, 1, 0), EFAULT);
	counts_right("vmsplice");
	/* The other way round it is a copy into user memory: it is the content that counts. */
	check(write(pfd[1], "x", 1) == 1);
	iov.iov_base = b->p + 2 * MIB;
	iov.iov_len = 1;
	check(vmsplice(pfd[0], &iov, 1, 0) == 1 ? b->p[2 * MIB] == 'x' : errno == EFAULT);
	z5t_fill(b->p, b->len, PAGE, SEED);
	counts_right("vmsplice into it");
	close(pfd[0]);
	close(pfd[1]);
}

static void pin_vmsplice(void)
{
	each_order(splice_from);
}

static void process_vm(struct buffer *b)
{
	char buf[2 * PAGE];
	struct iovec local = { buf, sizeof(buf) }, remote = { b->p, sizeof(buf) };
	pid_t pid = z5t_fork();

	if (!pid) {
		pause();
		z5t_end();
	}
	fails(process_vm_readv(getpid(), &local, 1, &remote, 1, 0), EFAULT);
	fails(process_vm_writev(getpid(), &local, 1, &remote, 1, 0), EFAULT);
	fails(process_vm_readv(pid, &local, 1, &remote, 1, 0), EFAULT);
	fails(process_vm_writev(pid, &local, 1, &remote, 1, 0), EFAULT);
	remote.iov_base = b->p + b->len - PAGE;
	fails(process_vm_readv(pid, &local, 1, &remote, 1, 0), EFAULT);
	counts_right("process_vm_readv");
	z5t_kill(pid);
}

static void pin_process_vm(void)
{
	each_order(process_vm);
}

static void uring(struct buffer *b)
{
	struct io_uring_params params = { .flags = 0 };
	struct iovec iov = { b->p, IO_LEN };
	int ring = syscall(SYS_io_uring_setup, 4, &params);

	if (ring < 0)
		z5t_skip("no io_uring: %s", strerror(errno));
	fails(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1), EFAULT);
	iov = (struct iovec){ b->p + b->len - PAGE, PAGE };
	fails(syscall(SYS_io_uring_register, ring, IORING_REGISTER_BUFFERS, &iov, 1), EFAULT);
	counts_right("io_uring's registered buffers");
	close(ring);
}

static void pin_io_uring(void)
{
	each_order(uring);
}

/* What the manual has no word for may work or fail, as long as no reference stays. */
static void others(struct buffer *b)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(9) };
	struct ifreq lo = { .ifr_name = "lo" };
	int s = socket(AF_INET, SOCK_DGRAM, 0), one = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (s >= 0) {
		if (!ioctl(s, SIOCGIFFLAGS, &lo) && !(lo.ifr_flags & IFF_UP)) {
			lo.ifr_flags |= IFF_UP;
			ioctl(s, SIOCSIFFLAGS, &lo);
		}
		if (!setsockopt(s, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
			sendto(s, b->p, 8000, MSG_ZEROCOPY, (void *)&to, sizeof(to));
		close(s);
	}
	counts_right("MSG_ZEROCOPY");
	/* A shared futex looks for the page behind the address. */
	syscall(SYS_futex, b->p, FUTEX_WAKE, 1, NULL, NULL, 0);
	syscall(SYS_futex, b->p + b->len - 64, FUTEX_WAKE, 1, NULL, NULL, 0);
	counts_right("futex");
}

static void pin_others(void)
{
	each_order(others);
}

/* Nothing moves the pages to another node, nor takes them out of use. */
static void migrate(struct buffer *b)
{
	void *pages[2] = { b->p, b->p + b->len - PAGE };
	int nodes[2] = { 0, 0 }, status[2] = { 0, 0 };
	unsigned long mask = 1;

	syscall(SYS_move_pages, 0, 2, pages, nodes, status, 2 /* MPOL_MF_MOVE */);
	check(status[0] <= 0 && status[1] <= 0);
	syscall(SYS_move_pages, 0, 2, pages, NULL, status, 0);
	counts_right("move_pages");
	syscall(SYS_mbind, b->p, b->len, 2 /* MPOL_BIND */, &mask, 8, 3 /* STRICT | MOVE */);
	counts_right("mbind");
	syscall(SYS_migrate_pages, 0, 8, &mask, &mask);
	counts_right("migrate_pages");
	check(madvise(b->p, PAGE, MADV_SOFT_OFFLINE) == -1);
	check(madvise(b->p, PAGE, MADV_HWPOISON) == -1);
	counts_right("madvise");
}

static void pin_migrate(void)
{
	each_order(migrate);
}

/* Several that try at once while the mapping comes and goes. */
static void pin_storm(void)
{
	int fd = z5t_get(4 * MIB, Z5M_ORDER_2M, NULL), i, n;
	pid_t pid[3];

	for (n = 0; n < 3; n++) {
		pid[n] = z5t_fork();
		if (pid[n])
			continue;
		for (i = 0; i < 300; i++) {
			char *p = z5t_map(fd, 4 * MIB, RW, 0), buf[64];
			struct iovec iov = { p + n * PAGE, PAGE }, local = { buf, sizeof(buf) };
			int pfd[2];

			if (i & 1)
				p[0] = 1;
			need(!pipe(pfd));
			fails(vmsplice(pfd[1], &iov, 1, 0), EFAULT);
			fails(process_vm_readv(getpid(), &local, 1, &iov, 1, 0), EFAULT);
			close(pfd[0]);
			close(pfd[1]);
			munmap(p, 4 * MIB);
		}
		z5t_end();
	}
	for (n = 0; n < 3; n++)
		z5t_reap(pid[n]);
	counts_right("all of it");
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(pin_copies), T(pin_direct), T(pin_aio), T(pin_vmsplice), T(pin_process_vm),
		T(pin_io_uring), T(pin_others), T(pin_migrate), T(pin_storm),
	};

	return z5t_run(argc, argv, tests);
}
