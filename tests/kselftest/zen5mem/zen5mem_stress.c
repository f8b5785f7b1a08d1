// SPDX-License-Identifier: MIT
/*
 * Threads that create, map, fill, name, seal and destroy, and read each other's regions, for the
 * seconds that the first argument says (60). Every region holds a pattern made of its number, so
 * that whoever opens it can tell whether the memory is the right one.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define THREADS 8
#define NAMES 6
/* What a look takes of a region, so that a window does not take all of the time. */
#define STEP(size) ((size) > 16 * MIB ? MIB : PAGE)

struct worker {
	pthread_t thread;
	uint64_t rnd;
	unsigned long created, opened, no_memory, no_quota, windows;
};

static time_t deadline;
static unsigned int n_domains;

static time_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec;
}

static void name_of(char *name, uint64_t n)
{
	snprintf(name, Z5M_NAME_LEN, NAME("stress%u"), (unsigned int)n);
}

static int create(struct worker *w, uint64_t *size)
{
	static const uint64_t sizes[] = { PAGE, 3 * PAGE, 256 * KIB, MIB, 2 * MIB, 6 * MIB };
	uint64_t r = z5t_random(&w->rnd);
	unsigned int order = r % 3 * 9, flags = Z5M_CREATE_OTHER_NODES;
	struct z5m_create c;
	int fd;

	*size = sizes[(r >> 8) % 6];
	if ((r >> 16) % 32 == 0) {
		*size = GIB;
		order = Z5M_ORDER_1G;
		flags |= Z5M_CREATE_STRICT;
	}
	if (r >> 24 & 1)
		fd = z5t_create_at(Z5M_PLACE_CCD, (r >> 32) % n_domains, *size, order, flags, NULL,
				   &c);
	else
		fd = z5t_create_at(Z5M_PLACE_ANY, 0, *size, order, flags, NULL, &c);
	if (fd < 0) {
		/* Eight windows at once are more than the limit where that is three quarters of 10 GiB. */
		check(errno == ENOMEM || errno == EDQUOT);
		w->no_memory += errno == ENOMEM;
		w->no_quota += errno == EDQUOT;
		return -1;
	}
	need(c.size >= *size);
	*size = c.size;
	w->created++;
	w->windows += c.n_windows;
	return fd;
}

static void look(struct worker *w)
{
	char name[Z5M_NAME_LEN];
	struct z5m_info i;
	int fd;
	char *p;

	name_of(name, z5t_random(&w->rnd) % NAMES);
	fd = z5t_open(name, 0);
	if (fd < 0) {
		check(errno == ENOENT);
		return;
	}
	i = z5t_info(fd);
	check(i.flags & Z5M_REGION_SEALED, "it was sealed before it was named");
	p = z5t_map(fd, i.size, PROT_READ, 0);
	check(z5t_differ(p, i.size, STEP(i.size), i.id) == 0, "region %llu",
	      (unsigned long long)i.id);
	munmap(p, i.size);
	close(fd);
	w->opened++;
}

static void use(struct worker *w)
{
	char name[Z5M_NAME_LEN], *p, *q;
	uint64_t size, id, r = z5t_random(&w->rnd);
	int fd = create(w, &size);

	if (fd < 0)
		return;
	id = z5t_info(fd).id;
	p = z5t_map(fd, size, RW, 0);
	check(z5t_nonzero(p, size, STEP(size)) == 0, "not zero");
	if (r & 1)
		check(!z5t_populate(fd, p, size));
	z5t_fill(p, size, STEP(size), id);
	if (r & 2) {
		q = z5t_map(fd, size, PROT_READ, 0);
		check(z5t_differ(q, size, STEP(size), id) == 0);
		munmap(q, size);
	}
	check(z5t_differ(p, size, STEP(size), id) == 0);
	if (r & 4) {
		/* The descriptor first, then the mapping, or the other way round. */
		close(fd);
		check(z5t_differ(p, size, STEP(size), id) == 0);
		munmap(p, size);
		return;
	}
	munmap(p, size);
	if (r & 8) {
		check(!z5t_seal(fd));
		name_of(name, (r >> 8) % NAMES);
		if (z5t_name(fd, name)) {
			check(errno == EEXIST);
			check(!z5t_destroy(name) || errno == ENOENT);
		}
	}
	close(fd);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	while (now() < deadline) {
		if (z5t_random(&w->rnd) % 4 == 0)
			look(w);
		else
			use(w);
	}
	return NULL;
}

static void stress_threads(void)
{
	int seconds = z5t_argc > 1 ? atoi(z5t_argv[1]) : 60, i;
	struct worker w[THREADS] = { { .rnd = 0 } }, sum = { .rnd = 0 };
	char name[Z5M_NAME_LEN];
	uint64_t used = z5t_used();

	n_domains = z5t_version().n_domains;
	deadline = now() + (seconds > 0 ? seconds : 60);
	for (i = 0; i < THREADS; i++) {
		w[i].rnd = (uint64_t)i << 32;
		need(!pthread_create(&w[i].thread, NULL, work, &w[i]));
	}
	for (i = 0; i < THREADS; i++) {
		pthread_join(w[i].thread, NULL);
		sum.created += w[i].created;
		sum.opened += w[i].opened;
		sum.windows += w[i].windows;
		sum.no_memory += w[i].no_memory;
		sum.no_quota += w[i].no_quota;
	}
	for (i = 0; i < NAMES; i++) {
		name_of(name, i);
		check(!z5t_destroy(name) || errno == ENOENT);
	}
	ksft_print_msg("%lu created, %lu windows, %lu opened by name, %lu times no memory, %lu above the limit\n",
		       sum.created, sum.windows, sum.opened, sum.no_memory, sum.no_quota);
	check(sum.created > 0 && sum.opened > 0);
	check(z5t_settled(used));
	check(z5t_odd_refs() <= 0);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = { T(stress_threads) };

	return z5t_run(argc, argv, tests);
}
