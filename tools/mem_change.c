// SPDX-License-Identifier: MIT
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "mem.h"

static void usage(const char *what, const char *arg, const char *expected) __attribute__((noreturn));
static void usage(const char *what, const char *arg, const char *expected)
{
	fprintf(stderr, "zen5-mem: %s %.80s: %s\n", what, arg, expected);
	exit(EX_USAGE);
}

/* ---- create ---- */

/* "3G", "512MiB", "4096" */
static uint64_t parse_size(const char *arg)
{
	static const char units[] = "kmgt";
	const char *unit;
	uint64_t n;
	char *end;

	errno = 0;
	n = strtoull(arg, &end, 10);
	if (isdigit((unsigned char)*arg) && !errno) {
		unit = *end ? strchr(units, tolower((unsigned char)*end)) : NULL;
		if (unit) {
			if (__builtin_mul_overflow(n, (uint64_t)1 << (10 * (unit - units + 1)), &n))
				n = 0;
			end++;
			if (!strcmp(end, "iB") || !strcmp(end, "B"))
				end += strlen(end);
		}
		if (!*end && n && n <= INT64_MAX)
			return n;
	}
	usage("create", arg, "expected a size above 0, in bytes or with K, M, G or T behind it");
}

static uint64_t file_size(int fd, const char *path)
{
	struct stat st;

	if (fstat(fd, &st))
		die("%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size)
		die("%s: is no ordinary file with contents", path);
	return (uint64_t)st.st_size;
}

static void fill(int fd, const struct z5m_create *c, int from, const char *path, uint64_t size)
{
	char *p;

	if (size > c->size)
		die("%s: has %llu bytes, the region %llu", path, (unsigned long long)size, (unsigned long long)c->size);
	p = mmap(NULL, c->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		die("mapping the region: %s", strerror(errno));
	for (uint64_t at = 0; at < size; ) {
		ssize_t n = pread(from, p + at, size - at < 1u << 30 ? size - at : 1u << 30, (off_t)at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			die("%s: %s", path, n ? strerror(errno) : "has become shorter");
		at += (uint64_t)n;
	}
	munmap(p, c->size);
}

static void create_request(const struct mem_options *o, struct z5m_create *c)
{
	*c = (struct z5m_create){ .page_order = o->order };
	c->flags = (o->strict ? Z5M_CREATE_STRICT : 0) | (o->other_nodes ? Z5M_CREATE_OTHER_NODES : 0) |
		   (o->movable ? Z5M_CREATE_MOVABLE : 0);
	if (o->ccd >= 0) {
		c->place = Z5M_PLACE_CCD;
		c->place_id = (uint32_t)o->ccd;
	} else if (o->node >= 0) {
		c->place = Z5M_PLACE_NODE;
		c->place_id = (uint32_t)o->node;
	}
}

/* Named last: who finds it by its name finds it complete. */
int mem_create(const struct mem_options *o)
{
	struct z5m_name name = { .flags = 0 };
	struct z5m_seal seal = { .flags = 0 };
	struct z5m_info info = { 0 };
	struct z5m_version v;
	struct z5m_create c;
	int dev, fd, from = -1, ret;
	uint64_t size = 0;
	char why[256];

	mem_check_name(o->args[0]);
	snprintf(name.name, sizeof(name.name), "%s", o->args[0]);
	create_request(o, &c);
	if (o->n_args > 1)
		c.size = parse_size(o->args[1]);
	if (o->from) {
		from = open(o->from, O_RDONLY | O_CLOEXEC);
		if (from < 0)
			die("%s: %s", o->from, strerror(errno));
		size = file_size(from, o->from);
		c.size = c.size ? c.size : size;
	}
	if (o->strict && c.size & (((uint64_t)4096 << c.page_order) - 1))
		usage("--strict", o->args[0], "the size is not a multiple of the page size");
	dev = mem_device(&v);
	/* without anything to do before, the name is tried before the memory is */
	if (!o->from && !o->seal)
		memcpy(c.name, name.name, sizeof(c.name));
	fd = z5_dev_ioctl(dev, Z5M_IOC_CREATE, &c);
	if (fd < 0) {
		z5_dev_create_refused(&v, &c, fd, why, sizeof(why));
		die("%s: %s", o->args[0], why);
	}
	if (from >= 0) {
		fill(fd, &c, from, o->from, size);
		close(from);
	}
	ret = o->seal ? z5_dev_ioctl(fd, Z5M_IOC_SEAL, &seal) : 0;
	if (ret >= 0 && !*c.name)
		ret = z5_dev_ioctl(fd, Z5M_IOC_NAME, &name);
	if (ret >= 0)
		ret = z5_dev_ioctl(fd, Z5M_IOC_INFO, &info);
	if (ret < 0)
		die("%s: %s", o->args[0], ret == -EEXIST ? "the name is taken" : strerror(-ret));
	info.n_files -= info.n_files > 0;
	if (o->json)
		mem_dump(mem_json_region(fd, &info));
	else
		mem_print_region(fd, &info);
	close(fd);
	close(dev);
	return 0;
}

/* ---- destroy ---- */

int mem_destroy(const struct mem_options *o)
{
	json_t *gone = json_array();
	int dev, failed = 0;

	for (unsigned int i = 0; i < o->n_args; i++)
		mem_check_name(o->args[i]);
	dev = mem_device(NULL);
	for (unsigned int i = 0; i < o->n_args; i++) {
		struct z5m_destroy d = { .flags = 0 };
		int ret;

		snprintf(d.name, sizeof(d.name), "%s", o->args[i]);
		ret = z5_dev_ioctl(dev, Z5M_IOC_DESTROY, &d);
		if (ret >= 0) {
			json_array_append_new(gone, json_string(o->args[i]));
			continue;
		}
		failed++;
		fprintf(stderr, "zen5-mem: %s: %s\n", o->args[i],
			ret == -ENOENT ? "no region has this name (zen5-mem list)" :
			ret == -EPERM ? "is another user's: its owner and root can destroy it" : strerror(-ret));
	}
	if (o->json)
		mem_dump(gone);
	else
		json_decref(gone);
	close(dev);
	return failed ? 1 : 0;
}

/* ---- reserve ---- */

struct reserve {
	struct z5m_reserve *r;
	unsigned int n;
};

static void add_reserve(struct reserve *to, uint32_t node, uint32_t windows)
{
	struct z5m_reserve *p;

	for (unsigned int i = 0; i < to->n; i++)
		if (to->r[i].node == node) {
			fprintf(stderr, "zen5-mem: reserve: node %u is there twice\n", node);
			exit(EX_USAGE);
		}
	p = realloc(to->r, (to->n + 1) * sizeof(*p));
	if (!p)
		die("out of memory");
	to->r = p;
	to->r[to->n++] = (struct z5m_reserve){ .node = node, .windows = windows };
}

/* As even as it goes over the nodes that have memory. */
static void spread(struct reserve *to, int dev, const struct z5m_version *v, uint32_t windows)
{
	uint32_t with = 0, at = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t n = 0; n < v->n_nodes; n++) {
			struct z5m_node node = { .node = n };

			if (z5_dev_ioctl(dev, Z5M_IOC_NODE, &node) < 0)
				continue;
			if (pass)
				add_reserve(to, n, windows / with + (at < windows % with));
			at += pass;
			with += !pass;
		}
		if (!with)
			die("the module knows of no node with memory");
	}
}

/* "4" or "4@1"; false for anything else. */
static bool parse_reserve(const char *arg, uint32_t *windows, int *node)
{
	unsigned long long n, at = 0;
	char *end;

	*node = -1;
	errno = 0;
	n = strtoull(arg, &end, 10);
	if (!isdigit((unsigned char)*arg) || errno || n > 1u << 20)
		return false;
	*windows = (uint32_t)n;
	if (!*end)
		return true;
	if (*end++ != '@' || !isdigit((unsigned char)*end))
		return false;
	at = strtoull(end, &end, 10);
	*node = (int)at;
	return !*end && !errno && at < 65536;
}

/* The one that is over all nodes stands alone. */
static void parse_reserves(const struct mem_options *o, struct reserve *to, uint32_t *all, bool *spread_it)
{
	static const char expected[] = "expected N or N@NODE, numbers of 1 GiB pages";
	int node;

	*spread_it = false;
	for (unsigned int i = 0; i < o->n_args; i++) {
		if (!parse_reserve(o->args[i], all, &node))
			usage("reserve", o->args[i], expected);
		if (node >= 0)
			add_reserve(to, (uint32_t)node, *all);
		else if (o->n_args > 1)
			usage("reserve", o->args[i], "on which node? N@NODE where there are several");
		else
			*spread_it = true;
	}
}

int mem_reserve(const struct mem_options *o)
{
	struct reserve list = { NULL, 0 };
	json_t *all = json_array();
	struct z5m_version v;
	uint32_t windows;
	bool spread_it, fewer = false;
	int dev;

	parse_reserves(o, &list, &windows, &spread_it);
	dev = mem_device(&v);
	if (spread_it)
		spread(&list, dev, &v, windows);
	for (unsigned int i = 0; i < list.n; i++) {
		struct z5m_reserve *r = &list.r[i];
		int ret;

		r->flags = o->movable ? Z5M_CREATE_MOVABLE : 0;
		ret = z5_dev_ioctl(dev, Z5M_IOC_RESERVE, r);
		if (ret < 0)
			die("node %u: %s", r->node,
			    ret == -EPERM ? "only root changes the reserve" :
			    ret == -ENODEV ? "there is no such node with memory" :
			    ret == -EDQUOT ? "more than the module may have (parameter max_gib)" : strerror(-ret));
		fewer |= r->got < r->windows;
		if (o->json)
			json_array_append_new(all, json_pack("{s:i, s:i, s:i}", "node", (int)r->node, "asked",
					      (int)r->windows, "reserve", (int)r->got));
		else
			printf("node %u: %u page%s of 1 GiB in the reserve\n", r->node, r->got, r->got == 1 ? "" : "s");
	}
	if (o->json)
		mem_dump(all);
	else
		json_decref(all);
	finish_stdout();
	if (fewer)
		fprintf(stderr, "zen5-mem: fewer than asked: memory is in use or fragmented; early after boot there is more\n");
	free(list.r);
	close(dev);
	return fewer ? 1 : 0;
}

/* ---- wait ---- */

static double seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* 1 sealed, 0 not sealed, -1 not there. Listing from the beginning is what makes the device quiet for poll(2). */
static int state(int dev, const char *name, struct z5m_info *found)
{
	struct z5m_info info = { 0 };
	int ret, is = -1;

	while (!(ret = z5_dev_ioctl(dev, Z5M_IOC_LIST, &info))) {
		if (!strncmp(info.name, name, sizeof(info.name))) {
			*found = info;
			is = !!(info.flags & Z5M_REGION_SEALED);
		}
		info = (struct z5m_info){ .after = info.id };
	}
	if (ret != -ENOENT)
		die("the list of regions: %s", strerror(-ret));
	return is;
}

int mem_wait(const struct mem_options *o)
{
	const char *name = o->args[0];
	const double end = o->timeout < 0 ? 0 : seconds() + o->timeout;
	struct z5m_info info = { 0 };
	int dev, is;

	mem_check_name(name);
	dev = mem_device(NULL);
	while ((is = state(dev, name, &info)) != 1) {
		struct pollfd p = { .fd = dev, .events = POLLIN };
		double left = end - seconds();
		int ms = o->timeout < 0 ? -1 : left > 1e6 ? 1000000000 : left > 0 ? (int)(left * 1e3) + 1 : 0;

		if (!ms) {
			fprintf(stderr, "zen5-mem: %s: %s after %g s\n", name, is ? "is not there" : "is there and not sealed",
				o->timeout);
			return 2;
		}
		if (poll(&p, 1, ms) < 0 && errno != EINTR)
			die("waiting: %s", strerror(errno));
	}
	if (o->json) {
		int fd = mem_open(dev, name);

		mem_dump(mem_json_region(fd, &info));
		close(fd);
	}
	close(dev);
	return 0;
}
