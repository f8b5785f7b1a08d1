// SPDX-License-Identifier: MIT
/*
 * Random calls with plausible and with hostile values, from several processes of two threads each,
 * some of which are killed on the way. zen5mem_fuzz SECONDS [SEED]: 120 and the time by default. It
 * passes if the kernel survives and in the end no region and no byte is left.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define MAX_GIB "/sys/module/zen5mem/parameters/max_gib"
#define PROCESSES 4
#define FDS 24
#define MAPS 16
/* Where MAP_FIXED and mremap may go: nothing else of the process is in there. */
#define ARENA (8 * GIB)
#define MAX_NODES 16

struct map {
	char *p;
	uint64_t len;
	int fd;
};

/* Shared by the threads of a process without any lock: that they fall over each other is wanted. */
static volatile int fds[FDS];
static struct map maps[MAPS];
static char *arena;
/* Shared by all processes: what was called, and how often a call of the device's succeeded. */
static struct {
	unsigned long calls, done[64], maps, touched, other;
} *stats;
static uint32_t reserve_of[MAX_NODES];
static int has_node[MAX_NODES];

static __thread uint64_t rnd;
static __thread sigjmp_buf *jump;

static uint64_t r(uint64_t below)
{
	return z5t_random(&rnd) % below;
}

static void on_signal(int sig)
{
	if (jump)
		siglongjmp(*jump, sig);
	_exit(0);
}

static const uint64_t odd_values[] = {
	0, 1, 7, 4095, PAGE, PAGE + 1, 2 * MIB - 1, 2 * MIB, GIB - 1, GIB, GIB + 1, 1UL << 31,
	1UL << 32, (1UL << 32) - 1, 1UL << 46, 1UL << 47, 1UL << 62, 1UL << 63, ~0UL, ~0UL - 4095,
	~0UL - GIB, 0xffff888000000000, 0x00007ffffffff000,
};

static uint64_t hostile(void)
{
	if (r(8) == 0)
		return z5t_random(&rnd) >> r(64);
	return odd_values[r(sizeof(odd_values) / sizeof(odd_values[0]))];
}

static uint64_t length(void)
{
	switch (r(16)) {
	case 0:
		return hostile();
	case 1:
		return GIB;
	case 2:
		return r(GIB / PAGE) * PAGE;
	case 3:
	case 4:
		return r(16) * 2 * MIB;
	default:
		return r(512) * PAGE;
	}
}

/* Sizes of regions: large ones seldom, since the machine is small; hostile ones meet max_gib. */
static uint64_t size(void)
{
	switch (r(40)) {
	case 0:
		return hostile();
	case 1:
		return GIB;
	case 2:
		return r(64 * MIB);
	case 3:
		return r(16) * 2 * MIB;
	default:
		return r(256) * PAGE + r(2);
	}
}

static uint32_t flags(void)
{
	return r(8) ? r(8) & r(8) : hostile();
}

static int any_fd(void)
{
	return r(16) ? fds[r(FDS)] : -1;
}

/* A call of the device's, counted if it succeeds. */
static int call(int fd, unsigned int cmd, void *arg)
{
	int ret = ioctl(fd, cmd, arg);

	if (ret >= 0 && _IOC_NR(cmd) < 64)
		stats->done[_IOC_NR(cmd)]++;
	return ret;
}

static void keep_fd(int fd)
{
	int i = r(FDS), old = fds[i];

	if (fd < 0)
		return;
	fds[i] = fd;
	if (old >= 0)
		close(old);
}

static void name(char *to)
{
	memset(to, 0, Z5M_NAME_LEN);
	switch (r(12)) {
	case 0:
		memset(to, r(256), Z5M_NAME_LEN);
		break;
	case 1:
		break;
	case 2:
		snprintf(to, Z5M_NAME_LEN, NAME("%c"), (int)r(256));
		break;
	default:
		snprintf(to, Z5M_NAME_LEN, NAME("fuzz%u"), (unsigned int)r(6));
	}
}

/* An address in a mapping of ours, near one, in the arena, or anywhere. */
static char *address(void)
{
	struct map m = maps[r(MAPS)];

	switch (r(12)) {
	case 0:
		return (char *)hostile();
	case 1:
		return arena + r(ARENA / PAGE) * PAGE;
	case 2:
		return arena + r(ARENA / GIB) * GIB;
	case 3:
		return m.p + r(m.len + 1);
	case 4:
	case 5:
		return m.p + r(m.len / PAGE + 1) * PAGE;
	default:
		return m.p;
	}
}

/* The same for what unmaps or replaces: only where nothing of the program's own is. */
static int in_arena(const char *p, uint64_t len)
{
	return p >= arena && len <= ARENA && p + len <= arena + ARENA;
}

static void ioctl_random(void)
{
	static const unsigned int all[] = {
		Z5M_IOC_VERSION, Z5M_IOC_CREATE, Z5M_IOC_OPEN, Z5M_IOC_DESTROY, Z5M_IOC_LIST,
		Z5M_IOC_DOMAIN, Z5M_IOC_NODE, Z5M_IOC_INFO, Z5M_IOC_SLOTS, Z5M_IOC_SEAL,
		Z5M_IOC_NAME, Z5M_IOC_POPULATE, Z5M_IOC_DMABUF,
	};
	unsigned int cmd = all[r(sizeof(all) / sizeof(all[0]))], i;
	uint64_t buf[2048] = { 0 };
	int fd = r(2) ? z5t_dev : any_fd(), ret;

	/* CREATE with a size from anywhere is made by create_random; here it may be any bytes. */
	for (i = r(3) ? 0 : 16; i > 0; i--)
		buf[r(16)] = hostile();
	if (r(4) == 0)
		cmd = _IOC(_IOC_READ | _IOC_WRITE, Z5M_IOC_MAGIC, _IOC_NR(cmd),
			   r(r(2) ? 256 : 16384));
	/* The reserve is not for any number: reserve_random. */
	if (r(16) == 0 && _IOC_NR(cmd) != 7)
		cmd = (cmd & ~0xffU) | (r(256) == 7 ? 8 : r(6));
	ret = call(fd, cmd, r(12) ? (void *)buf : (void *)hostile());
	if (ret > 2 && (_IOC_NR(cmd) == 1 || _IOC_NR(cmd) == 2 || _IOC_NR(cmd) == 37))
		keep_fd(ret);
}

static void create_random(void)
{
	static const uint32_t orders[] = { 0, 9, 18 };
	struct z5m_create c = {
		.size = size(), .flags = flags(), .page_order = r(16) ? orders[r(3)] : hostile(),
		.place = r(16) ? r(3) : hostile(), .place_id = r(16) ? r(3) : hostile(),
	};

	if (!c.place && r(8))
		c.place_id = 0;
	if (r(3) == 0)
		name(c.name);
	keep_fd(call(z5t_dev, Z5M_IOC_CREATE, &c));
}

static void region_random(void)
{
	struct z5m_name n = { .flags = r(16) ? 0 : hostile() };
	struct z5m_open o = { .flags = r(16) ? r(2) : hostile() };
	struct z5m_destroy d = { .flags = r(16) ? 0 : hostile() };
	struct z5m_slot slots[8];
	struct z5m_slots s = { .first = r(4) ? 0 : hostile(), .count = r(9),
			       .slots = r(4) ? (uintptr_t)slots : hostile() };
	struct z5m_populate p = { .addr = (uintptr_t)address(), .len = length() };
	struct z5m_info i = { .after = r(2) ? 0 : hostile() };
	struct map m = maps[r(MAPS)];
	struct z5m_seal seal = { .flags = r(16) ? 0 : hostile() };
	struct z5m_dmabuf dma = { .flags = r(8) ? r(2) : hostile() };
	struct z5m_node node = { .node = r(8) ? r(3) : hostile(), .flags = r(40) == 0 };

	switch (r(12)) {
	case 0:
		name(n.name);
		call(any_fd(), Z5M_IOC_NAME, &n);
		break;
	case 1:
	case 2:
		name(o.name);
		keep_fd(call(z5t_dev, Z5M_IOC_OPEN, &o));
		break;
	case 3:
		name(d.name);
		call(z5t_dev, Z5M_IOC_DESTROY, &d);
		break;
	case 4:
		call(any_fd(), Z5M_IOC_SLOTS, &s);
		break;
	case 5:
		call(any_fd(), Z5M_IOC_POPULATE, &p);
		break;
	case 6:
		p.addr = (uintptr_t)m.p + r(2) * r(m.len / PAGE + 1) * PAGE;
		p.len = (uintptr_t)m.p + m.len - p.addr;
		call(m.fd, Z5M_IOC_POPULATE, &p);
		break;
	case 7:
		call(z5t_dev, Z5M_IOC_LIST, &i);
		break;
	case 8:
		if (r(4) == 0)
			call(any_fd(), Z5M_IOC_SEAL, &seal);
		break;
	case 9:
		keep_fd(call(any_fd(), Z5M_IOC_DMABUF, &dma));
		break;
	case 10:
		call(z5t_dev, Z5M_IOC_NODE, &node);
		break;
	default:
		call(any_fd(), Z5M_IOC_INFO, &i);
	}
}

static void reserve_random(void)
{
	struct z5m_reserve res = { .node = r(MAX_NODES), .flags = r(8) ? 0 : hostile() };

	if (r(8))
		return;
	/* Of a node that exists about what it had, or nothing would be left for others. */
	if (has_node[res.node])
		res.windows = reserve_of[res.node] ? reserve_of[res.node] - r(2) : r(2);
	else
		res.windows = hostile();
	call(z5t_dev, Z5M_IOC_RESERVE, &res);
}

static void map_random(void)
{
	static const int prots[] = {
		PROT_READ, RW, RW, RW, PROT_NONE, PROT_WRITE, PROT_EXEC, RW | PROT_EXEC,
	};
	int how = MAP_SHARED, fd = r(20) ? any_fd() : z5t_dev;
	uint64_t len = length(), offset = r(3) ? 0 : r(2) ? r(512) * PAGE : hostile();
	struct map *m = &maps[r(MAPS)], old = *m;
	struct z5m_info i = { .after = 0 };
	char *at = NULL, *p;

	/* Mostly what the region has, in whole or in part. */
	if (r(4) && !call(fd, Z5M_IOC_INFO, &i)) {
		offset = r(3) ? 0 : r(i.size / PAGE) * PAGE;
		len = r(3) ? i.size - offset : r((i.size - offset) / PAGE) * PAGE + PAGE;
	}

	if (fd == z5t_dev && len > 16 * MIB)
		len = 16 * MIB;
	if (r(12) == 0)
		how = r(2) ? MAP_PRIVATE : MAP_SHARED_VALIDATE;
	if (r(8) == 0)
		how |= MAP_POPULATE;
	if (r(4) == 0) {
		at = arena + (r(2) ? r(ARENA / PAGE) * PAGE : r(ARENA / (2 * MIB)) * 2 * MIB);
		if (in_arena(at, len))
			how |= r(4) ? MAP_FIXED : MAP_FIXED_NOREPLACE;
	} else if (r(8) == 0) {
		at = (char *)hostile();
	}
	p = mmap(at, len, prots[r(8)], how, fd, offset);
	if (p == MAP_FAILED)
		return;
	*m = (struct map){ p, len, fd };
	stats->maps++;
	/* What lies in the arena stays until something comes over it. */
	if (old.p && old.p != p && !in_arena(old.p, old.len))
		munmap(old.p, old.len);
}

static void unmap_random(void)
{
	struct map *m = &maps[r(MAPS)], old = *m;
	uint64_t from, len;

	if (!old.len)
		return;
	if (r(2)) {
		*m = (struct map){ NULL, 0, -1 };
		munmap(old.p, old.len);
		return;
	}
	from = r(old.len / PAGE + 1) * PAGE;
	len = r(2) ? PAGE : r((old.len - from) / PAGE + 1) * PAGE;
	if (from + len <= old.len)
		munmap(old.p + from, len);
}

static void change_random(void)
{
	static const int advices[] = {
		0, 1, 2, 3, 4, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 25,
		102, 103,
	};
	struct map m = maps[r(MAPS)];
	uint64_t from = r(2) ? 0 : r(m.len / PAGE + 1) * PAGE, len = m.len - from;
	char *to;

	if (!m.len)
		return;
	if (r(2))
		len = r(len / PAGE + 1) * PAGE;
	switch (r(6)) {
	case 0:
		mprotect(m.p + from, len, r(8));
		break;
	case 1:
		to = arena + r(ARENA / (2 * MIB)) * 2 * MIB;
		if (in_arena(to, len))
			mremap(m.p + from, r(8) ? len : 0, len, MREMAP_MAYMOVE | MREMAP_FIXED, to);
		break;
	case 2:
		mremap(m.p + from, len, r(2) ? len + PAGE : len / 2, r(2) * MREMAP_MAYMOVE);
		break;
	case 3:
		mlock(m.p + from, len);
		munlock(m.p + from, len);
		break;
	case 4:
		msync(m.p + from, len, MS_SYNC);
		break;
	default:
		madvise(m.p + from, len, advices[r(sizeof(advices) / sizeof(advices[0]))]);
	}
}

static void touch_random(void)
{
	struct map m = maps[r(MAPS)];
	sigjmp_buf here;
	uint64_t n, step = r(2) ? PAGE : 2 * MIB, at;
	volatile char *p;

	if (!m.len)
		return;
	if (!sigsetjmp(here, 1)) {
		jump = &here;
		at = r(m.len);
		for (n = r(64); n && at < m.len; n--, at += step) {
			p = m.p + at;
			if (r(2))
				*p = n;
			else
				(void)*p;
			stats->touched++;
		}
	}
	jump = NULL;
}

static void io_random(void)
{
	char buf[3 * PAGE] = "", *p = address();
	struct iovec local = { buf, r(sizeof(buf)) }, remote = { p, local.iov_len };
	int fd = any_fd(), pfd[2] = { -1, -1 };
	struct pollfd poll_fd = { .fd = r(2) ? z5t_dev : fd, .events = r(256) };
	struct stat st;

	switch (r(10)) {
	case 0:
	case 1:
		fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
		if (r(2) || !in_arena(p, sizeof(buf)))
			stats->other += pread(fd, buf, local.iov_len, (uintptr_t)p) > 0;
		else
			stats->other += pwrite(fd, buf, local.iov_len, (uintptr_t)p) > 0;
		close(fd);
		break;
	case 2:
		process_vm_readv(getpid(), &local, 1, &remote, 1, 0);
		break;
	case 3:
		if (!pipe2(pfd, O_NONBLOCK | O_CLOEXEC)) {
			vmsplice(pfd[1], &remote, 1, SPLICE_F_NONBLOCK);
			if (write(pfd[1], p, local.iov_len) > 0 && in_arena(p, sizeof(buf)))
				stats->other += read(pfd[0], p, local.iov_len) > 0;
			close(pfd[0]);
			close(pfd[1]);
		}
		break;
	case 4:
		poll(&poll_fd, 1, 0);
		break;
	case 5:
		fstat(fd, &st);
		stats->other += ftruncate(fd, hostile()) == 0;
		break;
	case 6:
		lseek(fd, hostile(), r(5));
		stats->other += read(fd, buf, 16) > 0;
		stats->other += write(fd, buf, 16) > 0;
		break;
	case 7:
		z5t_read_file(r(2) ? "/proc/self/smaps" : "/proc/self/numa_maps", buf, sizeof(buf));
		break;
	case 8:
		if (r(8) == 0)
			prctl(PR_SET_THP_DISABLE, r(2), 0, 0, 0);
		break;
	default:
		syscall(SYS_fallocate, fd, r(64), hostile(), hostile());
	}
}

static void fd_random(void)
{
	int i = r(FDS), old = fds[i];

	switch (r(3)) {
	case 0:
		keep_fd(fcntl(any_fd(), F_DUPFD_CLOEXEC, 3));
		break;
	case 1:
		keep_fd(open(Z5M_DEVICE, (r(2) ? O_RDWR : O_RDONLY) | O_CLOEXEC | O_NONBLOCK));
		break;
	default:
		fds[i] = -1;
		if (old >= 0)
			close(old);
	}
}

static void one_call(void);

static void fork_random(void)
{
	int n = r(20), status;
	pid_t pid;

	if (r(16))
		return;
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		rnd ^= getpid();
		while (n--)
			one_call();
		if (r(2))
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	if (pid > 0) {
		if (r(2))
			kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
	}
}

static void one_call(void)
{
	static void (*const what[])(void) = {
		ioctl_random, create_random, region_random, region_random, map_random, map_random,
		unmap_random, change_random, touch_random, touch_random, io_random, fd_random,
		fork_random, reserve_random,
	};
	what[r(sizeof(what) / sizeof(what[0]))]();
	stats->calls++;
}

static void *work(void *arg)
{
	rnd = (uintptr_t)arg;
	for (;;)
		one_call();
	return NULL;
}

static void process(uint64_t seed)
{
	struct sigaction act = { .sa_handler = on_signal };
	pthread_t thread;
	int i;

	sigaction(SIGSEGV, &act, NULL);
	sigaction(SIGBUS, &act, NULL);
	for (i = 0; i < FDS; i++)
		fds[i] = -1;
	arena = mmap(NULL, ARENA, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (arena == MAP_FAILED)
		_exit(1);
	pthread_create(&thread, NULL, work, (void *)(uintptr_t)(seed * 3 + 1));
	work((void *)(uintptr_t)(seed * 3 + 2));
}

static pid_t start(uint64_t seed)
{
	pid_t pid = z5t_fork();

	if (!pid) {
		setpgid(0, 0);
		process(seed);
	}
	return pid;
}

static void fuzz_calls(void)
{
	int seconds = z5t_argc > 1 ? atoi(z5t_argv[1]) : 120, i, died = 0, killed = 0;
	uint64_t seed = z5t_argc > 2 ? strtoull(z5t_argv[2], NULL, 0) : (uint64_t)time(NULL), n = 0;
	uint64_t used = z5t_used();
	unsigned int regions = z5t_regions();
	struct timespec t0, t1;
	struct z5m_info info;
	struct z5m_node node;
	pid_t pid[PROCESSES], gone;
	uint32_t got, reserve = 0;
	char text[16];

	z5t_need_root();
	stats = mmap(NULL, PAGE, RW, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	need(stats != MAP_FAILED);
	ksft_print_msg("seed %llu\n", (unsigned long long)seed);
	fflush(stdout);
	for (i = 0; i < MAX_NODES; i++) {
		has_node[i] = !z5t_node(i, 0, &node);
		if (has_node[i])
			reserve_of[i] = node.reserve + node.reserve_used;
		reserve += reserve_of[i];
	}
	/* The reserve counts as well. */
	snprintf(text, sizeof(text), "%u", reserve + 2);
	if (z5t_write_file(MAX_GIB, text))
		ksft_print_msg("max_gib cannot be set\n");
	rnd = seed;
	for (i = 0; i < PROCESSES; i++)
		pid[i] = start(seed ^ n++ << 20);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	do {
		usleep(100000 + r(400000));
		i = r(PROCESSES);
		if (r(3) == 0) {
			kill(pid[i], SIGKILL);
			killed++;
		}
		while ((gone = waitpid(-1, NULL, WNOHANG)) > 0) {
			for (i = 0; i < PROCESSES; i++) {
				if (pid[i] == gone) {
					pid[i] = start(seed ^ n++ << 20);
					died++;
				}
			}
		}
		clock_gettime(CLOCK_MONOTONIC, &t1);
	} while (t1.tv_sec - t0.tv_sec < seconds);
	for (i = 0; i < PROCESSES; i++) {
		kill(pid[i], SIGKILL);
		waitpid(pid[i], NULL, 0);
	}
	/* All names are the fuzzer's: one of random bytes may have been a good one. */
	info = (struct z5m_info){ .after = 0 };
	while (!ioctl(z5t_dev, Z5M_IOC_LIST, &info)) {
		if (info.name[0])
			z5t_destroy(info.name);
		info = (struct z5m_info){ .after = info.id };
	}
	check(z5t_settled(used), "%llu bytes are left", (unsigned long long)(z5t_used() - used));
	check(z5t_regions() == regions);
	for (i = 0; i < MAX_NODES; i++) {
		if (has_node[i] && !z5t_reserve(i, reserve_of[i], 0, &got) && got != reserve_of[i])
			ksft_print_msg("node %d: %u windows in the reserve, %u before\n", i, got,
				       reserve_of[i]);
	}
	check(z5t_odd_refs() <= 0);
	ksft_print_msg("%lu calls, %lu mappings, %lu touches, %lu other transfers\n", stats->calls,
		       stats->maps, stats->touched, stats->other);
	for (i = 0; i < 64; i++) {
		if (stats->done[i])
			ksft_print_msg("command %d succeeded %lu times\n", i, stats->done[i]);
	}
	check(stats->done[_IOC_NR(Z5M_IOC_CREATE)] && stats->touched, "nothing was done");
	ksft_print_msg("%d processes ended, %d of them killed\n", died, killed);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = { T(fuzz_calls) };

	z5t_guard(MAX_GIB);
	return z5t_run(argc, argv, tests);
}
