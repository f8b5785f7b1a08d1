// SPDX-License-Identifier: MIT
/* Limits and permissions. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <linux/capability.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define FILE_MAX "/proc/sys/fs/file-max"
#define MAX_GIB "/sys/module/zen5mem/parameters/max_gib"
/* Users that nobody else is. */
#define ALICE 61234
#define BOB 61235

static void become(uid_t uid, uint64_t memlock)
{
	struct rlimit limit = { memlock, memlock };

	need(!setrlimit(RLIMIT_MEMLOCK, &limit));
	need(!setgroups(0, NULL) && !setgid(uid) && !setuid(uid));
	/* A change of the user takes this back. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
}

static int four_k(uint64_t size)
{
	return z5t_create(size, Z5M_ORDER_4K, 0, NULL);
}

static void limit_memlock(void)
{
	pid_t pid;

	z5t_need_root();
	pid = z5t_fork();
	if (!pid) {
		int a, b, i;
		char *p;

		become(ALICE, 2 * MIB);
		a = four_k(MIB);
		b = four_k(MIB);
		need(a >= 0 && b >= 0);
		fails(four_k(PAGE), EPERM);
		fails(four_k(GIB), EPERM);
		close(b);
		b = four_k(MIB - PAGE);
		need(b >= 0, "what was given back is charged no more");
		i = four_k(PAGE);
		check(i >= 0, "exactly as much as the limit");
		fails(four_k(PAGE), EPERM);
		close(i);
		close(b);
		/* A mapping holds the charge as the descriptor does. */
		p = z5t_map(a, PAGE, RW, 0);
		close(a);
		fails(four_k(2 * MIB), EPERM);
		munmap(p, PAGE);
		for (i = 0; i < 60; i++) {
			a = four_k(2 * MIB - i % 3 * PAGE);
			need(a >= 0, "cycle %d", i);
			if (i % 3 == 0)
				fails(four_k(PAGE), EPERM);
			close(a);
		}
		/* What fails for another reason is charged to nobody. */
		for (i = 0; i < 4; i++) {
			fails(z5t_create(2 * MIB, 0, 1U << 31, NULL), EINVAL);
			fails(z5t_create(2 * MIB, 0, 0, "-"), EINVAL);
		}
		/* The rounded size counts. */
		fails(z5t_create(2 * MIB + 1, 0, 0, NULL), EPERM);
		a = z5t_create(MIB, Z5M_ORDER_2M, 0, NULL);
		if (a >= 0)
			fails(four_k(PAGE), EPERM);
		close(a);
		p = mmap(NULL, 2 * MIB, RW, MAP_SHARED, z5t_dev, 0);
		check(p != MAP_FAILED, "the device's own mapping");
		fails(four_k(PAGE), EPERM);
		check(mmap(NULL, PAGE, RW, MAP_SHARED, z5t_dev, 0) == MAP_FAILED);
		munmap(p, 2 * MIB);
		a = four_k(2 * MIB);
		check(a >= 0);
		z5t_end();
	}
	z5t_reap(pid);
}

/* The charge is the creator's, whoever has the memory now, and stays with it for a name. */
static void limit_memlock_creator(void)
{
	int sv[2], fd;
	pid_t pid;

	z5t_need_root();
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = z5t_fork();
	if (!pid) {
		become(ALICE, 2 * MIB);
		fd = four_k(MIB);
		need(fd >= 0 && !z5t_send_fd(sv[1], fd));
		close(fd);
		fd = z5t_create(MIB, 0, 0, NAME("charged"));
		check(fd >= 0);
		z5t_end();
	}
	z5t_reap(pid);
	fd = z5t_recv_fd(sv[0]);
	need(fd >= 0);
	pid = z5t_fork();
	if (!pid) {
		close(fd);
		become(ALICE, 2 * MIB);
		fails(four_k(PAGE), EPERM);
		z5t_end();
	}
	z5t_reap(pid);
	pid = z5t_fork();
	if (!pid) {
		close(fd);
		become(BOB, 2 * MIB);
		check(four_k(2 * MIB) >= 0, "another user has a limit of his own");
		z5t_end();
	}
	z5t_reap(pid);
	close(fd);
	check(!z5t_destroy(NAME("charged")), "root may");
	pid = z5t_fork();
	if (!pid) {
		become(ALICE, 2 * MIB);
		check(four_k(2 * MIB) >= 0, "all of it came back");
		z5t_end();
	}
	z5t_reap(pid);
}

static int drop(int cap)
{
	struct __user_cap_header_struct h = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct d[2];

	if (syscall(SYS_capget, &h, d))
		return -1;
	d[cap / 32].effective &= ~(1U << cap % 32);
	d[cap / 32].permitted &= ~(1U << cap % 32);
	return syscall(SYS_capset, &h, d);
}

static void limit_capability(void)
{
	struct rlimit none = { 0, 0 };
	int fd;

	z5t_need_root();
	need(!setrlimit(RLIMIT_MEMLOCK, &none));
	fd = four_k(MIB);
	check(fd >= 0, "CAP_IPC_LOCK has no limit");
	need(!drop(CAP_IPC_LOCK));
	fails(four_k(PAGE), EPERM);
	close(fd);
	fails(four_k(PAGE), EPERM);
}

/* Windows of the reserve of all nodes: they count, whoever has them. */
static uint32_t reserve(void)
{
	struct z5m_node node;
	uint32_t n, sum = 0;

	for (n = 0; n < z5t_version().n_nodes; n++)
		if (!z5t_node(n, 0, &node))
			sum += node.reserve + node.reserve_used;
	return sum;
}

static void limit_max_gib(void)
{
	const uint32_t windows = reserve();
	struct z5m_version v = z5t_version();
	uint32_t got;
	char text[16], *p;
	uint64_t used;
	int fd, i;

	z5t_need_root();
	if (v.used_bytes)
		z5t_skip("there are regions of others");
	snprintf(text, sizeof(text), "%u", windows + 1);
	i = z5t_write_file(MAX_GIB, text);
	if (i)
		z5t_skip("max_gib cannot be written: errno %d", i);
	check(z5t_version().max_bytes == (windows + 1) * GIB);
	fd = z5t_create(2 * MIB, Z5M_ORDER_4K, 0, NULL);
	need(fd >= 0);
	used = z5t_used();
	check(used == 2 * MIB);
	fails(z5t_create(GIB, Z5M_ORDER_2M, Z5M_CREATE_STRICT, NULL), EDQUOT);
	fails(z5t_create(GIB, Z5M_ORDER_2M, 0, NULL), EDQUOT);
	fails(z5t_create(GIB - 2 * MIB + PAGE, Z5M_ORDER_4K, 0, NULL), EDQUOT);
	fails(z5t_create(GIB - 2 * MIB + 1, Z5M_ORDER_4K, 0, NULL), EDQUOT);
	fails(z5t_create(1UL << 50, Z5M_ORDER_4K, 0, NULL), EDQUOT);
	fails(z5t_create((windows + 1) * GIB, Z5M_ORDER_1G, 0, NULL), EDQUOT);
	fails(z5t_reserve(0, windows + 1, 0, &got), EDQUOT);
	check(z5t_used() == used, "what was refused is not counted");
	p = mmap(NULL, (windows + 1) * GIB, RW, MAP_SHARED, z5t_dev, 0);
	check(p == MAP_FAILED && errno == EDQUOT);
	close(fd);
	for (i = 0; i < 5; i++) {
		fd = z5t_create(4 * MIB, Z5M_ORDER_4K, 0, NULL);
		need(fd >= 0);
		close(fd);
	}
	fd = z5t_create(GIB, Z5M_ORDER_2M, 0, NULL);
	if (fd >= 0) {
		fails(z5t_create(PAGE, 0, 0, NULL), EDQUOT);
		close(fd);
		close(z5t_create(PAGE, 0, 0, NULL));
	} else {
		check(errno == ENOMEM, "exactly the limit is within it");
	}
	check(z5t_settled(0));
	check(reserve() == windows);
}

/* Threads at the limit: never above it, and none of what they were refused stays counted. */
static void *quota_thread(void *arg)
{
	int i, *got = arg;

	for (i = 0; i < 12; i++) {
		int fd = z5t_create(12 * MIB, Z5M_ORDER_2M, 0, NULL);

		if (fd >= 0) {
			++*got;
			/* A call counts before it is refused for want of what the reserve leaves. */
			if (z5t_used() > z5t_version().max_bytes)
				*got = -1000000;
			close(fd);
		} else if (errno != EDQUOT && errno != ENOMEM) {
			*got = -1000000;
		}
	}
	return NULL;
}

static void limit_max_gib_threads(void)
{
	pthread_t thread[8];
	int got[8] = { 0 }, i, fd;
	char text[16];

	z5t_need_root();
	snprintf(text, sizeof(text), "%u", reserve() + 1);
	if (z5t_used() || z5t_write_file(MAX_GIB, text))
		z5t_skip("max_gib cannot be used");
	/* What is left is enough for four of the eight. */
	fd = z5t_create(GIB - 48 * MIB, Z5M_ORDER_2M, Z5M_CREATE_OTHER_NODES, NULL);
	if (fd < 0 && errno == ENOMEM)
		z5t_skip("no memory");
	need(fd >= 0);
	for (i = 0; i < 8; i++)
		need(!pthread_create(&thread[i], NULL, quota_thread, &got[i]));
	for (i = 0; i < 8; i++) {
		pthread_join(thread[i], NULL);
		check(got[i] >= 0, "above the limit, or another error than EDQUOT");
	}
	close(fd);
	check(z5t_settled(0));
}

static void limit_other_user(void)
{
	struct z5m_info info;
	pid_t pid;
	int fd;
	char *p;

	z5t_need_root();
	fd = z5t_create(PAGE, 0, 0, NAME("roots"));
	need(fd >= 0);
	pid = z5t_fork();
	if (!pid) {
		int r, own;

		become(ALICE, MIB);
		fails(z5t_open(NAME("roots"), Z5M_OPEN_WRITE), EACCES);
		fails(z5t_destroy(NAME("roots")), EPERM);
		fails(z5t_create(PAGE, 0, 0, NAME("roots")), EEXIST);
		r = z5t_open(NAME("roots"), 0);
		need(r >= 0, "anybody who has the device opens by name");
		info = z5t_info(r);
		check(info.uid == 0 && info.n_files == 2);
		fails(mmap(NULL, PAGE, RW, MAP_SHARED, r, 0), 0);
		p = z5t_map(r, PAGE, PROT_READ, 0);
		fails(mprotect(p, PAGE, RW), EACCES);
		fails(z5t_seal(r), EBADF);
		fails(z5t_name(r, NAME("mine")), EBADF);

		own = z5t_create(PAGE, 0, 0, NAME("alices"));
		need(own >= 0);
		check(z5t_info(own).uid == ALICE);
		close(own);
		own = z5t_open(NAME("alices"), Z5M_OPEN_WRITE);
		check(own >= 0, "the owner without any capability");
		check(!z5t_destroy(NAME("alices")), "the owner without any capability");
		own = z5t_create(PAGE, 0, 0, NAME("alices"));
		check(own >= 0);
		z5t_end();
	}
	z5t_reap(pid);
	/* Root is not the owner: it may take the name away, but not write. */
	fails(z5t_open(NAME("alices"), Z5M_OPEN_WRITE), EACCES);
	pid = z5t_fork();
	if (!pid) {
		become(BOB, MIB);
		fails(z5t_destroy(NAME("alices")), EPERM);
		z5t_end();
	}
	z5t_reap(pid);
	check(!z5t_destroy(NAME("alices")));
	check(!z5t_destroy(NAME("roots")));
}

/* It is the effective user that counts. */
static void limit_effective_user(void)
{
	int fd;

	z5t_need_root();
	need(!seteuid(ALICE));
	fd = z5t_create(PAGE, 0, 0, NAME("effective"));
	if (fd < 0)
		z5t_skip("RLIMIT_MEMLOCK of a user is too small here");
	check(z5t_info(fd).uid == ALICE);
	close(fd);
	fd = z5t_open(NAME("effective"), Z5M_OPEN_WRITE);
	check(fd >= 0);
	need(!seteuid(0));
	fails(z5t_open(NAME("effective"), Z5M_OPEN_WRITE), EACCES);
	check(!z5t_destroy(NAME("effective")));
}

static void limit_user_namespace(void)
{
	int fd = z5t_create(PAGE, 0, 0, NAME("ns"));
	uint32_t got;

	z5t_need_root();
	need(fd >= 0);
	if (unshare(CLONE_NEWUSER)) {
		z5t_destroy(NAME("ns"));
		z5t_skip("no user namespaces");
	}
	check(z5t_info(fd).uid == 65534, "root is nobody's number in here");
	fails(z5t_reserve(0, 0, 0, &got), EPERM);
	/* All capabilities of the namespace are none of the machine's. */
	need(!z5t_write_file("/proc/self/uid_map", "0 0 1"));
	check(z5t_info(fd).uid == 0);
	fails(z5t_reserve(0, 0, 0, &got), EPERM);
	check(!z5t_destroy(NAME("ns")), "the owner is the same user");
}

static void limit_reserve(void)
{
	struct z5m_node n;
	uint32_t got, node = 0;
	pid_t pid;

	z5t_need_root();
	while (z5t_node(node, 0, &n))
		need(++node < 64);
	check(!z5t_reserve(node, n.reserve + n.reserve_used, 0, &got));
	check(got == n.reserve + n.reserve_used, "to stay as it is");
	pid = z5t_fork();
	if (!pid) {
		become(ALICE, MIB);
		fails(z5t_reserve(node, n.reserve + n.reserve_used, 0, &got), EPERM);
		fails(z5t_reserve(node, 0, 0, &got), EPERM);
		z5t_end();
	}
	z5t_reap(pid);
	need(!drop(CAP_SYS_ADMIN));
	fails(z5t_reserve(node, 0, 0, &got), EPERM);
}

static void limit_device(void)
{
	struct stat st;
	pid_t pid;

	z5t_need_root();
	need(!stat(Z5M_DEVICE, &st));
	check(S_ISCHR(st.st_mode));
	check((st.st_mode & 0777) == 0660, "%o", st.st_mode & 0777);
	pid = z5t_fork();
	if (!pid) {
		become(ALICE, MIB);
		fails(open(Z5M_DEVICE, O_RDWR), EACCES);
		fails(open(Z5M_DEVICE, O_RDONLY), EACCES);
		z5t_end();
	}
	z5t_reap(pid);
}

static void limit_files(void)
{
	struct rlimit limit, few;
	int fd = z5t_create(PAGE, 0, 0, NAME("files")), last = dup(fd), i;
	uint64_t used = z5t_used();
	unsigned int regions = z5t_regions();

	need(fd >= 0 && last >= 0);
	need(!getrlimit(RLIMIT_NOFILE, &limit));
	few = (struct rlimit){ last + 1, limit.rlim_max };
	need(!setrlimit(RLIMIT_NOFILE, &few));
	for (i = 0; i < 5; i++) {
		fails(z5t_create(PAGE, 0, 0, NULL), EMFILE);
		fails(z5t_create(PAGE, 0, 0, NAME("files2")), EMFILE);
		fails(z5t_open(NAME("files"), 0), EMFILE);
		if (z5t_version().features & Z5M_FEATURE_DMABUF)
			fails(z5t_dmabuf(fd, Z5M_DMABUF_WRITE), EMFILE);
	}
	need(!setrlimit(RLIMIT_NOFILE, &limit));
	check(z5t_settled(used) && z5t_regions() == regions);
	fails(z5t_open(NAME("files2"), 0), ENOENT);
	check(z5t_info(fd).n_files == 1 && z5t_info(fd).n_writable == 0);
	check(!z5t_destroy(NAME("files")));
}

/* The same with the machine's number of files, which stops a caller later than his own. */
static void limit_system_files(void)
{
	int fd, limit, i;
	unsigned int regions;
	uint64_t used;

	z5t_need_root();
	fd = z5t_create(PAGE, 0, 0, NAME("files"));
	limit = open(FILE_MAX, O_WRONLY);
	need(fd >= 0 && limit >= 0);
	/* The number is exact only where it is far above the limit. */
	for (i = 0; i < 900; i++)
		open("/dev/null", O_RDONLY);
	used = z5t_used();
	regions = z5t_regions();
	/* Who administers the machine is not bound by it. */
	need(!drop(CAP_SYS_ADMIN));
	need(write(limit, "1", 1) == 1);
	for (i = 0; i < 3; i++) {
		fails(z5t_create(PAGE, 0, 0, NULL), ENFILE);
		fails(z5t_create(PAGE, 0, 0, NAME("files2")), ENFILE);
		fails(z5t_open(NAME("files"), 0), ENFILE);
		check(mmap(NULL, PAGE, RW, MAP_SHARED, z5t_dev, 0) == MAP_FAILED);
	}
	need(pwrite(limit, "100000", 6, 0) == 6);
	fails(z5t_open(NAME("files2"), 0), ENOENT);
	check(z5t_info(fd).n_files == 1);
	check(z5t_used() == used && z5t_regions() == regions);
	check(!z5t_destroy(NAME("files")));
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(limit_memlock), T(limit_memlock_creator), T(limit_capability), T(limit_max_gib),
		T(limit_max_gib_threads), T(limit_other_user), T(limit_effective_user),
		T(limit_user_namespace), T(limit_reserve), T(limit_device), T(limit_files),
		T(limit_system_files),
	};

	z5t_guard(MAX_GIB);
	z5t_guard(FILE_MAX);
	return z5t_run(argc, argv, tests);
}
