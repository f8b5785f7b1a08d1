// SPDX-License-Identifier: MIT
/*
 * How long a region lives: descriptors, mappings, names, processes that are killed, and the module.
 * The module's file is the first argument or ZEN5MEM_KO; without it the module stays loaded.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define SEED 21
#define PARAMS "/sys/module/zen5mem/parameters"

static void life_close(void)
{
	struct z5t_counts before;
	uint64_t size = 4 * MIB;
	int fd, copy;
	char *p;

	z5t_count(&before);
	fd = z5t_get(size, Z5M_ORDER_4K, NULL);
	check(z5t_used() == before.used + size);
	copy = dup(fd);
	close(fd);
	check(z5t_used() == before.used + size, "a duplicate holds it");
	p = z5t_map(copy, size, RW, 0);
	z5t_fill(p, size, PAGE, SEED);
	close(copy);
	check(z5t_used() == before.used + size, "a mapping holds it");
	check(!munmap(p, size / 2));
	check(z5t_used() == before.used + size, "a part of a mapping holds it");
	check(z5t_differ(p + size / 2, size / 2, PAGE, SEED) == size / 2 / PAGE);
	check(!munmap(p + size / 2, size / 2));
	z5t_check_counts(&before, "the last mapping");

	fd = z5t_window();
	check(z5t_used() == before.used + GIB);
	close(fd);
	z5t_check_counts(&before, "a window");
}

static void life_name(void)
{
	struct z5t_counts before;
	pid_t pid;
	char *p;
	int fd;

	z5t_count(&before);
	pid = z5t_fork();
	if (!pid) {
		fd = z5t_get(2 * MIB, Z5M_ORDER_2M, NAME("life"));
		p = z5t_map(fd, 2 * MIB, RW, 0);
		z5t_fill(p, 2 * MIB, PAGE, SEED);
		z5t_end();
	}
	z5t_reap(pid);
	check(z5t_used() == before.used + 2 * MIB, "it outlives its creator");
	pid = z5t_fork();
	if (!pid) {
		fd = z5t_open(NAME("life"), 0);
		need(fd >= 0);
		check(z5t_info(fd).n_files == 1);
		p = z5t_map(fd, 2 * MIB, PROT_READ, 0);
		check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
		kill(getpid(), SIGKILL);
	}
	need(waitpid(pid, NULL, 0) == pid);
	fd = z5t_open(NAME("life"), 0);
	need(fd >= 0);
	p = z5t_map(fd, 2 * MIB, PROT_READ, 0);
	close(fd);
	check(!z5t_destroy(NAME("life")), "while it is mapped");
	check(z5t_used() == before.used + 2 * MIB);
	check(z5t_regions() == before.regions + 1);
	check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
	munmap(p, 2 * MIB);
	z5t_check_counts(&before, "destroy, then munmap");

	/* Named later, and destroyed with nobody there. */
	fd = z5t_get(PAGE, 0, NULL);
	check(!z5t_name(fd, NAME("life")));
	close(fd);
	check(z5t_used() == before.used + PAGE);
	check(!z5t_destroy(NAME("life")));
	z5t_check_counts(&before, "destroy");
}

static void life_socket(void)
{
	struct z5t_counts before;
	int sv[2], fd;
	pid_t pid;
	char *p;

	z5t_count(&before);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = z5t_fork();
	if (!pid) {
		fd = z5t_get(2 * MIB, Z5M_ORDER_2M, NULL);
		p = z5t_map(fd, 2 * MIB, RW, 0);
		z5t_fill(p, 2 * MIB, PAGE, SEED);
		need(!z5t_send_fd(sv[1], fd));
		pause();
	}
	close(sv[1]);
	fd = z5t_recv_fd(sv[0]);
	if (fd < 0)
		z5t_reap(pid);
	z5t_kill(pid);
	check(z5t_used() == before.used + 2 * MIB);
	check(z5t_info(fd).n_files == 1 && z5t_info(fd).n_maps == 0);
	p = z5t_map(fd, 2 * MIB, RW, 0);
	check(z5t_differ(p, 2 * MIB, PAGE, SEED) == 0);
	check(!z5t_try_write(p, 1), "the descriptor may still write");
	close(fd);
	munmap(p, 2 * MIB);
	z5t_check_counts(&before, "after the creator was killed");

	/* One that nobody takes out of the socket, sent by a process that is gone. */
	close(sv[0]);
	need(!socketpair(AF_UNIX, SOCK_STREAM, 0, sv));
	pid = z5t_fork();
	if (!pid) {
		fd = z5t_get(PAGE, 0, NULL);
		need(!z5t_send_fd(sv[1], fd));
		z5t_end();
	}
	z5t_reap(pid);
	check(z5t_used() == before.used + PAGE, "the socket holds it");
	close(sv[0]);
	close(sv[1]);
	z5t_check_counts(&before, "the socket is gone");
}

static void life_kill_create(void)
{
	struct z5t_counts before;
	uint64_t rnd = SEED;
	pid_t pid;
	int i;

	z5t_count(&before);
	for (i = 0; i < 8; i++) {
		pid = z5t_fork();
		if (!pid) {
			for (;;) {
				unsigned int order = i & 1 ? Z5M_ORDER_2M : Z5M_ORDER_1G;
				int fd = z5t_create(GIB, order, 0, NULL);

				if (fd >= 0)
					close(fd);
			}
		}
		usleep(z5t_random(&rnd) % 400000);
		z5t_kill(pid);
		z5t_check_counts(&before, "killed while it creates");
	}
	/* With a name it is there as a whole or not at all. */
	for (i = 0; i < 4; i++) {
		pid = z5t_fork();
		if (!pid) {
			z5t_create(64 * MIB, Z5M_ORDER_4K, 0, NAME("killed"));
			pause();
		}
		usleep(z5t_random(&rnd) % 300000);
		z5t_kill(pid);
		if (!z5t_destroy(NAME("killed")))
			z5t_check_counts(&before, "killed, but it was there");
		z5t_check_counts(&before, "killed while it creates with a name");
	}
}

struct storm {
	char *p;
	uint64_t from, len;
};

static void *storm_thread(void *arg)
{
	struct storm *s = arg;

	for (;;)
		z5t_touch(s->p + s->from, s->len, PAGE, 1);
	return NULL;
}

static void life_kill_fault(void)
{
	struct z5t_counts before;
	uint64_t rnd = SEED, size;
	unsigned int i, j;
	pid_t pid;

	z5t_count(&before);
	for (i = 0; i < 6; i++) {
		size = i == 5 ? GIB : 64 * MIB;
		pid = z5t_fork();
		if (!pid) {
			int fd = z5t_create(size, i == 5 ? Z5M_ORDER_1G : i % 2 * 9, 0, NULL);
			struct storm s[4];
			pthread_t thread;

			if (fd < 0)
				pause();
			for (;;) {
				char *p = z5t_map(fd, size, RW, 0);

				for (j = 0; j < 4; j++) {
					s[j] = (struct storm){ p, size / 4 * j, size / 4 };
					if (i < 3)
						pthread_create(&thread, NULL, storm_thread, &s[j]);
				}
				z5t_touch(p, size, PAGE, 1);
				munmap(p, size);
			}
		}
		usleep(100000 + z5t_random(&rnd) % 300000);
		/* Threads that touch what is unmapped by now end it with a signal of their own. */
		kill(pid, SIGKILL);
		need(waitpid(pid, NULL, 0) == pid);
		z5t_check_counts(&before, "killed while it faults");
	}
}

static void life_kill_populate(void)
{
	struct z5t_counts before;
	uint64_t rnd = SEED;
	pid_t pid;
	int i;

	z5t_count(&before);
	for (i = 0; i < 5; i++) {
		pid = z5t_fork();
		if (!pid) {
			int fd = z5t_create(64 * MIB, Z5M_ORDER_4K, 0, NULL);

			if (fd < 0)
				pause();
			for (;;) {
				char *p = z5t_map(fd, 64 * MIB, RW, 0);

				z5t_populate(fd, p, 64 * MIB);
				munmap(p, 64 * MIB);
			}
		}
		usleep(50000 + z5t_random(&rnd) % 300000);
		z5t_kill(pid);
		z5t_check_counts(&before, "killed while it populates");
	}
}

/* One thread unmaps and maps what another one populates and touches. */
static void *unmap_thread(void *arg)
{
	struct storm *s = arg;
	int fd = s->from, i;

	for (i = 0; i < 500; i++) {
		munmap(s->p, s->len);
		mmap(s->p, s->len, RW, MAP_SHARED | MAP_FIXED, fd, 0);
	}
	return NULL;
}

static void life_race_unmap(void)
{
	int fd = z5t_get(2 * MIB, Z5M_ORDER_4K, NULL), i;
	struct storm s = { z5t_map(fd, 2 * MIB, RW, 0), fd, 2 * MIB };
	pthread_t thread;

	need(!pthread_create(&thread, NULL, unmap_thread, &s));
	for (i = 0; i < 500; i++) {
		if (z5t_populate(fd, s.p, 2 * MIB))
			check(errno == ENOMEM);
		z5t_try_write(s.p + PAGE * (i % 512), 1);
	}
	pthread_join(thread, NULL);
	munmap(s.p, 2 * MIB);
	check(z5t_info(fd).n_maps == 0);
}

static void life_destroy_race(void)
{
	struct z5t_counts before;
	pid_t pid[4];
	int i, n;

	z5t_count(&before);
	for (n = 0; n < 4; n++) {
		pid[n] = z5t_fork();
		if (pid[n])
			continue;
		for (i = 0; i < 300; i++) {
			int fd;

			switch ((i + n) % 4) {
			case 0:
				fd = z5t_create(PAGE, 0, 0, NAME("race"));
				check(fd >= 0 || errno == EEXIST);
				break;
			case 1:
				fd = z5t_open(NAME("race"), i & 8 ? Z5M_OPEN_WRITE : 0);
				check(fd >= 0 || errno == ENOENT);
				break;
			case 2:
				fd = -1;
				check(!z5t_destroy(NAME("race")) || errno == ENOENT);
				break;
			default:
				fd = z5t_create(PAGE, 0, 0, NULL);
				if (check(fd >= 0))
					check(!z5t_name(fd, NAME("race")) || errno == EEXIST);
			}
			if (fd >= 0) {
				char *p = z5t_map(fd, PAGE, PROT_READ, 0);

				z5t_info(fd);
				munmap(p, PAGE);
				close(fd);
			}
		}
		z5t_end();
	}
	for (n = 0; n < 4; n++)
		z5t_reap(pid[n]);
	z5t_destroy(NAME("race"));
	z5t_check_counts(&before, "names that come and go");
}

static void refused(const char *why)
{
	int ret = syscall(SYS_delete_module, "zen5mem", O_NONBLOCK);

	check(ret == -1 && (errno == EWOULDBLOCK || errno == EBUSY), "rmmod with %s: %d", why, ret);
}

/* The parameters that it has, so that it can be loaded with them again. */
static void params(char *text, size_t size)
{
	DIR *dir = opendir(PARAMS);
	struct dirent *e;
	size_t n = 0;

	text[0] = 0;
	while (dir && (e = readdir(dir))) {
		char path[400], value[256];

		if (e->d_name[0] == '.')
			continue;
		snprintf(path, sizeof(path), PARAMS "/%s", e->d_name);
		if (z5t_read_file(path, value, sizeof(value)))
			continue;
		value[strcspn(value, "\n")] = 0;
		if (value[0] && value[0] != '(')
			n += snprintf(text + n, size - n, "%s=%s ", e->d_name, value);
		need(n < size);
	}
	if (dir)
		closedir(dir);
}

static void life_module(void)
{
	const char *path = z5t_argc > 1 ? z5t_argv[1] : getenv("ZEN5MEM_KO");
	struct z5t_counts before, after;
	char text[2048], *p;
	int ko, fd, i;

	z5t_need_root();
	if (!path || !z5t_exists(path))
		z5t_skip("the module's file was not named");
	ko = open(path, O_RDONLY);
	need(ko >= 0);
	z5t_count(&before);
	if (before.regions)
		z5t_skip("there are regions of others");
	refused("the device open");
	fd = z5t_get(PAGE, 0, NULL);
	p = z5t_map(fd, PAGE, RW, 0);
	close(z5t_dev);
	refused("a region's descriptor");
	close(fd);
	refused("a mapping");
	p[0] = 1;
	munmap(p, PAGE);
	z5t_dev = open(Z5M_DEVICE, O_RDWR);
	need(z5t_dev >= 0);
	close(z5t_get(PAGE, 0, NAME("module")));
	close(z5t_dev);
	refused("a name");
	z5t_dev = open(Z5M_DEVICE, O_RDWR);
	check(!z5t_destroy(NAME("module")));
	close(z5t_dev);

	params(text, sizeof(text));
	ksft_print_msg("loaded again with %s\n", text);
	for (i = 0; i < 3; i++) {
		int tries = 0, ret;

		/* The last file of a test before may be on its way out. */
		while ((ret = syscall(SYS_delete_module, "zen5mem", O_NONBLOCK)) && tries++ < 200)
			usleep(50000);
		need(!ret, "nothing is in use");
		check(!z5t_exists(Z5M_DEVICE), "the device is still there");
		need(!syscall(SYS_finit_module, ko, text, 0));
	}
	z5t_dev = open(Z5M_DEVICE, O_RDWR);
	need(z5t_dev >= 0);
	z5t_count(&after);
	check(after.used == 0 && after.regions == 0);
	for (i = 0; i < Z5T_NODES; i++) {
		if (before.reserve[i] != after.reserve[i])
			ksft_print_msg("node %d: %u windows in the reserve, %u before\n", i,
				       after.reserve[i], before.reserve[i]);
	}
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(life_close), T(life_name), T(life_socket), T(life_kill_create),
		T(life_kill_fault), T(life_kill_populate), T(life_race_unmap),
		T(life_destroy_race), T(life_module),
	};

	return z5t_run(argc, argv, tests);
}
