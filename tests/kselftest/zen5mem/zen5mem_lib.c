// SPDX-License-Identifier: MIT
/* What the programs share: the harness, regions, mappings, files of the kernel. */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define NUMA_BALANCING "/proc/sys/kernel/numa_balancing"
#define REFCOUNTS "/sys/kernel/debug/zen5mem/refcounts"
/* How long memory may take to come back before it counts as lost; a patience, not a measure. */
#define SETTLE_TRIES 600
#define GUARDS 64

int z5t_dev = -1;
int z5t_argc;
char **z5t_argv;

static int failures;
static char *skip_reason;	/* shared with the children */
static struct {
	const char *path;
	char text[256];
} guards[GUARDS];
static int n_guards;

int z5t_check(int ok, const char *func, int line, const char *what, const char *fmt, ...)
{
	int err = errno;
	char text[400];
	va_list args;

	if (ok)
		return 1;
	failures++;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	ksft_print_msg("%s:%d: %s:%s (errno %d)\n", func, line, what, text, err);
	return 0;
}

int z5t_fails(long ret, int err, const char *func, int line, const char *what)
{
	if (ret != -1)
		return z5t_check(0, func, line, what, " gives %ld", ret);
	return z5t_check(!err || errno == err, func, line, what, " errno %d expected", err);
}

void z5t_end(void)
{
	fflush(stdout);
	_exit(failures ? KSFT_FAIL : KSFT_PASS);
}

/* What failed before the reason to skip was met has still failed. */
void z5t_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(skip_reason, PAGE, fmt, args);
	va_end(args);
	fflush(stdout);
	_exit(failures ? KSFT_FAIL : KSFT_SKIP);
}

void z5t_need_root(void)
{
	if (geteuid())
		z5t_skip("not root");
}

pid_t z5t_fork(void)
{
	pid_t parent = getpid(), pid;

	fflush(stdout);
	pid = fork();
	if (pid < 0) {
		check(pid >= 0, "fork");
		z5t_end();
	}
	if (!pid) {
		failures = 0;
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(KSFT_FAIL);
	}
	return pid;
}

void z5t_reap(pid_t pid)
{
	int status = -1;

	need(waitpid(pid, &status, 0) == pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == KSFT_SKIP)
		_exit(failures ? KSFT_FAIL : KSFT_SKIP);
	check(WIFEXITED(status) && !WEXITSTATUS(status), "status %#x of the child", status);
}

void z5t_kill(pid_t pid)
{
	int status = -1;

	check(!kill(pid, SIGKILL));
	need(waitpid(pid, &status, 0) == pid);
	check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "status %#x", status);
}

void z5t_sync_init(struct z5t_sync *s)
{
	need(!pipe(s->there) && !pipe(s->back));
}

void z5t_tell(int fds[2])
{
	need(write(fds[1], "", 1) == 1);
}

void z5t_wait(int fds[2])
{
	char c;

	need(read(fds[0], &c, 1) == 1);
}

/*
 * Regions.
 */
void z5t_name_set(char to[Z5M_NAME_LEN], const char *name)
{
	memset(to, 0, Z5M_NAME_LEN);
	if (name)
		memcpy(to, name, strnlen(name, Z5M_NAME_LEN));
}

int z5t_create_at(uint32_t place, uint32_t id, uint64_t size, unsigned int order,
		  unsigned int flags, const char *name, struct z5m_create *out)
{
	struct z5m_create c = {
		.size = size, .flags = flags, .page_order = order, .place = place, .place_id = id,
	};
	int fd;

	z5t_name_set(c.name, name);
	fd = ioctl(z5t_dev, Z5M_IOC_CREATE, &c);
	if (out)
		*out = c;
	return fd;
}

int z5t_create(uint64_t size, unsigned int order, unsigned int flags, const char *name)
{
	return z5t_create_at(Z5M_PLACE_ANY, 0, size, order, flags, name, NULL);
}

int z5t_get(uint64_t size, unsigned int order, const char *name)
{
	int fd = z5t_create(size, order, Z5M_CREATE_STRICT, name);

	if (fd < 0 && errno == ENOMEM)
		z5t_skip("no %lu KiB of pages of order %u", (unsigned long)(size / KIB), order);
	need(fd >= 0);
	return fd;
}

int z5t_window(void)
{
	return z5t_get(GIB, Z5M_ORDER_1G, NULL);
}

int z5t_open(const char *name, unsigned int flags)
{
	struct z5m_open o = { .flags = flags };

	z5t_name_set(o.name, name);
	return ioctl(z5t_dev, Z5M_IOC_OPEN, &o);
}

int z5t_destroy(const char *name)
{
	struct z5m_destroy d = { .flags = 0 };

	z5t_name_set(d.name, name);
	return ioctl(z5t_dev, Z5M_IOC_DESTROY, &d);
}

int z5t_name(int fd, const char *name)
{
	struct z5m_name n = { .flags = 0 };

	z5t_name_set(n.name, name);
	return ioctl(fd, Z5M_IOC_NAME, &n);
}

int z5t_seal(int fd)
{
	struct z5m_seal s = { .flags = 0 };

	return ioctl(fd, Z5M_IOC_SEAL, &s);
}

int z5t_populate(int fd, void *p, uint64_t len)
{
	struct z5m_populate a = { .addr = (uintptr_t)p, .len = len };

	return ioctl(fd, Z5M_IOC_POPULATE, &a);
}

int z5t_dmabuf(int fd, unsigned int flags)
{
	struct z5m_dmabuf d = { .flags = flags };

	return ioctl(fd, Z5M_IOC_DMABUF, &d);
}

int z5t_slots(int fd, uint32_t first, struct z5m_slot *slots, uint32_t *count)
{
	struct z5m_slots s = { .first = first, .count = *count, .slots = (uintptr_t)slots };

	if (ioctl(fd, Z5M_IOC_SLOTS, &s))
		return -1;
	*count = s.count;
	return s.total;
}

int z5t_reserve(uint32_t node, uint32_t windows, unsigned int flags, uint32_t *got)
{
	struct z5m_reserve r = { .node = node, .windows = windows, .flags = flags };
	int ret = ioctl(z5t_dev, Z5M_IOC_RESERVE, &r);

	if (got)
		*got = r.got;
	return ret;
}

int z5t_node(uint32_t node, unsigned int flags, struct z5m_node *out)
{
	*out = (struct z5m_node){ .node = node, .flags = flags };
	return ioctl(z5t_dev, Z5M_IOC_NODE, out);
}

int z5t_domain(uint32_t index, struct z5m_domain *out)
{
	*out = (struct z5m_domain){ .index = index };
	return ioctl(z5t_dev, Z5M_IOC_DOMAIN, out);
}

struct z5m_info z5t_info(int fd)
{
	struct z5m_info i = { .after = 0 };

	need(!ioctl(fd, Z5M_IOC_INFO, &i));
	return i;
}

struct z5m_version z5t_version(void)
{
	struct z5m_version v = { .reserved = 0 };

	need(!ioctl(z5t_dev, Z5M_IOC_VERSION, &v));
	return v;
}

uint64_t z5t_used(void)
{
	return z5t_version().used_bytes;
}

unsigned int z5t_regions(void)
{
	struct z5m_info i = { .after = 0 };
	unsigned int n = 0;

	for (; !ioctl(z5t_dev, Z5M_IOC_LIST, &i); n++)
		i = (struct z5m_info){ .after = i.id };
	check(errno == ENOENT);
	return n;
}

/* Files that pass through a socket or a ring of the kernel's may be closed some time later. */
int z5t_settled(uint64_t used)
{
	int i;

	for (i = 0; z5t_used() != used; i++) {
		if (i == SETTLE_TRIES)
			return 0;
		usleep(50000);
	}
	return 1;
}

void z5t_count(struct z5t_counts *c)
{
	struct z5m_node n;
	uint32_t node;

	memset(c, 0, sizeof(*c));
	c->used = z5t_used();
	c->regions = z5t_regions();
	for (node = 0; node < Z5T_NODES; node++) {
		if (z5t_node(node, 0, &n))
			continue;
		c->bytes[node] = n.used_bytes;
		c->reserve[node] = n.reserve;
		c->reserve_used[node] = n.reserve_used;
	}
}

void z5t_check_counts(const struct z5t_counts *before, const char *what)
{
	struct z5t_counts now;

	check(z5t_settled(before->used), "%s", what);
	z5t_count(&now);
	check(!memcmp(&now, before, sizeof(now)), "%s: %llu and %llu bytes, %llu and %llu regions",
	      what, (unsigned long long)before->used, (unsigned long long)now.used,
	      (unsigned long long)before->regions, (unsigned long long)now.regions);
}

/*
 * Mappings.
 */
void *z5t_map(int fd, uint64_t len, int prot, uint64_t offset)
{
	void *p = mmap(NULL, len, prot, MAP_SHARED, fd, offset);

	need(p != MAP_FAILED, "%lu KiB at %#lx", (unsigned long)(len / KIB), (unsigned long)offset);
	return p;
}

static sigjmp_buf jump;

static void on_signal(int sig)
{
	siglongjmp(jump, sig);
}

static int try(volatile char *p, int write, int byte)
{
	struct sigaction act = { .sa_handler = on_signal }, segv, bus;
	int sig;

	sigaction(SIGSEGV, &act, &segv);
	sigaction(SIGBUS, &act, &bus);
	sig = sigsetjmp(jump, 1);
	if (!sig) {
		if (write)
			*p = byte;
		else
			(void)*p;
	}
	sigaction(SIGSEGV, &segv, NULL);
	sigaction(SIGBUS, &bus, NULL);
	return sig;
}

int z5t_try_read(const void *p)
{
	return try((char *)(uintptr_t)p, 0, 0);
}

int z5t_try_write(void *p, int byte)
{
	return try(p, 1, byte);
}

long z5t_minflt(void)
{
	struct rusage u;

	need(!getrusage(RUSAGE_THREAD, &u));
	return u.ru_minflt;
}

long z5t_touch(void *p, uint64_t len, uint64_t step, int write)
{
	volatile char *c = p;
	long before;
	uint64_t i;

	/* Once in vain, so that the code and the stack of the counting itself are there. */
	z5t_minflt();
	before = z5t_minflt();
	for (i = 0; i < len; i += step) {
		if (write)
			c[i] = 1;
		else
			(void)c[i];
	}
	return z5t_minflt() - before;
}

static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 31) * 0x9e3779b97f4a7c15;
	x = (x ^ x >> 29) * 0xbf58476d1ce4e5b9;
	return x ^ x >> 32;
}

uint64_t z5t_random(uint64_t *state)
{
	return mix(++*state * 0x9e3779b97f4a7c15);
}

/* Never 0: zeros are what a lost page reads as. */
static uint64_t word(uint64_t seed, uint64_t at)
{
	return mix(seed + at) | 1;
}

void z5t_fill(void *p, uint64_t len, uint64_t step, uint64_t seed)
{
	uint64_t i;

	for (i = 0; i < len; i += step)
		*(volatile uint64_t *)((char *)p + i) = word(seed, i);
}

uint64_t z5t_differ(const void *p, uint64_t len, uint64_t step, uint64_t seed)
{
	uint64_t i, n = 0;

	for (i = 0; i < len; i += step)
		n += *(const volatile uint64_t *)((const char *)p + i) != word(seed, i);
	return n;
}

uint64_t z5t_nonzero(const void *p, uint64_t len, uint64_t step)
{
	uint64_t i, n = 0;

	for (i = 0; i < len; i += step)
		n += *(const volatile uint64_t *)((const char *)p + i) != 0;
	return n;
}

/*
 * Files of the kernel's.
 */
int z5t_read_file(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), err;
	size_t n = 0;
	ssize_t r = 0;

	buf[0] = 0;
	if (fd < 0)
		return errno;
	while (n < size - 1 && (r = read(fd, buf + n, size - 1 - n)) > 0)
		n += r;
	err = r < 0 ? errno : 0;
	close(fd);
	buf[n] = 0;
	return err;
}

int z5t_write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC), err = 0;

	if (fd < 0)
		return errno;
	if (write(fd, text, strlen(text)) < 0)
		err = errno;
	close(fd);
	return err;
}

int z5t_exists(const char *path)
{
	return !access(path, F_OK);
}

/* A file that shows its choices has the valid one in brackets. */
static void guard_read(const char *path, char *text, size_t size)
{
	char *from, *to;

	z5t_read_file(path, text, size);
	text[strcspn(text, "\n")] = 0;
	from = strchr(text, '[');
	to = from ? strchr(from, ']') : NULL;
	if (to) {
		*to = 0;
		memmove(text, from + 1, to - from);
	}
}

void z5t_guard(const char *path)
{
	if (n_guards == GUARDS || !z5t_exists(path))
		return;
	guards[n_guards].path = path;
	guard_read(path, guards[n_guards].text, sizeof(guards[0].text));
	n_guards++;
}

static void guards_restore(void)
{
	char now[sizeof(guards[0].text)];
	int i, err;

	for (i = 0; i < n_guards; i++) {
		guard_read(guards[i].path, now, sizeof(now));
		if (!strcmp(now, guards[i].text))
			continue;
		err = z5t_write_file(guards[i].path, guards[i].text);
		if (err)
			ksft_print_msg("%s cannot be restored: errno %d\n", guards[i].path, err);
	}
}

unsigned int z5t_list(const char *text, uint64_t bits[Z5M_CPU_WORDS])
{
	unsigned int n = 0;
	char *end;

	memset(bits, 0, Z5M_CPU_WORDS * sizeof(bits[0]));
	while (isdigit((unsigned char)*text)) {
		unsigned long a = strtoul(text, &end, 10), b = a;

		if (*end == '-')
			b = strtoul(end + 1, &end, 10);
		for (; a <= b && a < Z5M_CPU_WORDS * 64; a++, n++)
			bits[a / 64] |= 1ULL << a % 64;
		text = *end == ',' ? end + 1 : end;
	}
	return n;
}

long z5t_odd_refs(void)
{
	char line[256], *odd;
	long sum = 0;
	FILE *f;

	if (!z5t_exists(REFCOUNTS))
		mount("debugfs", "/sys/kernel/debug", "debugfs", 0, NULL);
	f = fopen(REFCOUNTS, "r");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		odd = strstr(line, "odd=");
		if (odd && atol(odd + 4)) {
			ksft_print_msg("reference counts: %s", line);
			sum += atol(odd + 4);
		}
	}
	fclose(f);
	return sum;
}

int z5t_send_fd(int sock, int fd)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { .cmsg_len = 0 } };
	struct iovec iov = { "", 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *c = CMSG_FIRSTHDR(&msg);

	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	return sendmsg(sock, &msg, 0) == 1 ? 0 : -1;
}

int z5t_recv_fd(int sock)
{
	union {
		struct cmsghdr hdr;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { .hdr = { .cmsg_len = 0 } };
	char byte;
	struct iovec iov = { &byte, 1 };
	struct msghdr msg = {
		.msg_iov = &iov, .msg_iovlen = 1,
		.msg_control = &control, .msg_controllen = sizeof(control.room),
	};
	struct cmsghdr *c;
	int fd = -1;

	if (recvmsg(sock, &msg, MSG_CMSG_CLOEXEC) != 1)
		return -1;
	c = CMSG_FIRSTHDR(&msg);
	if (c && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	return fd;
}

/*
 * The harness.
 */
struct state {
	uint64_t used;
	unsigned int regions;
};

static int state_read(struct state *s)
{
	struct z5m_version v = { .reserved = 0 };

	/* A test may have loaded the module anew, so the device is opened for each look. */
	z5t_dev = open(Z5M_DEVICE, O_RDWR | O_CLOEXEC);
	if (z5t_dev < 0 || ioctl(z5t_dev, Z5M_IOC_VERSION, &v))
		return 0;
	s->used = v.used_bytes;
	s->regions = z5t_regions();
	return 1;
}

static void names_remove(void)
{
	struct z5m_info i = { .after = 0 };

	while (!ioctl(z5t_dev, Z5M_IOC_LIST, &i)) {
		if (!strncmp(i.name, NAME(""), strlen(NAME("")))) {
			ksft_print_msg("%s is left over\n", i.name);
			failures++;
			z5t_destroy(i.name);
		}
		i = (struct z5m_info){ .after = i.id };
	}
}

static int state_restored(const struct state *before)
{
	struct state now = { 0, 0 };
	int i;

	for (i = 0; i < SETTLE_TRIES; i++) {
		if (!check(state_read(&now), "the device is gone"))
			return 0;
		names_remove();
		close(z5t_dev);
		if (now.used == before->used && now.regions == before->regions)
			return 1;
		usleep(50000);
	}
	return check(0, "%llu bytes in %u regions before, %llu in %u after",
		     (unsigned long long)before->used, before->regions,
		     (unsigned long long)now.used, now.regions);
}

static void one(const struct z5t_test *t)
{
	struct state before = { 0, 0 };
	struct timespec t0, t1;
	int status = -1;
	pid_t pid;

	failures = 0;
	skip_reason[0] = 0;
	if (!check(state_read(&before), "the device is gone")) {
		ksft_test_result_fail("%s\n", t->name);
		return;
	}
	close(z5t_dev);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	fflush(stdout);
	pid = fork();
	if (!pid) {
		z5t_dev = open(Z5M_DEVICE, O_RDWR | O_CLOEXEC);
		need(z5t_dev >= 0);
		/* It makes faults in the program's own memory, and faults are counted. */
		z5t_write_file(NUMA_BALANCING, "0");
		t->run();
		z5t_end();
	}
	check(pid > 0 && waitpid(pid, &status, 0) == pid);
	/* Children of the test that are still there come to this process: it is their reaper. */
	while (waitpid(-1, NULL, 0) > 0)
		;
	guards_restore();
	state_restored(&before);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	if (t1.tv_sec - t0.tv_sec > 3)
		ksft_print_msg("%s: %ld s\n", t->name, (long)(t1.tv_sec - t0.tv_sec));
	if (WIFSIGNALED(status))
		ksft_print_msg("killed by signal %d\n", WTERMSIG(status));
	if (failures || !WIFEXITED(status) ||
	    (WEXITSTATUS(status) != KSFT_PASS && WEXITSTATUS(status) != KSFT_SKIP))
		ksft_test_result_fail("%s\n", t->name);
	else if (WEXITSTATUS(status) == KSFT_SKIP)
		ksft_test_result_skip("%s # SKIP %s\n", t->name, skip_reason);
	else
		ksft_test_result_pass("%s\n", t->name);
}

/* Z5T_ONLY in the environment names the one test to run. */
int z5t_main(int argc, char **argv, const struct z5t_test *tests, int n)
{
	const char *only = getenv("Z5T_ONLY");
	int i, count = 0;

	z5t_argc = argc;
	z5t_argv = argv;
	ksft_print_header();
	z5t_dev = open(Z5M_DEVICE, O_RDWR | O_CLOEXEC);
	if (z5t_dev < 0)
		ksft_exit_skip("%s: %s\n", Z5M_DEVICE, strerror(errno));
	close(z5t_dev);
	skip_reason = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (skip_reason == MAP_FAILED)
		ksft_exit_fail_msg("no memory\n");
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	z5t_guard(NUMA_BALANCING);
	for (i = 0; i < n; i++)
		count += !only || !strcmp(only, tests[i].name);
	ksft_set_plan(count);
	for (i = 0; i < n; i++) {
		if (!only || !strcmp(only, tests[i].name))
			one(&tests[i]);
	}
	ksft_finished();
}
