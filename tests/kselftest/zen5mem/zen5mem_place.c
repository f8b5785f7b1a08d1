// SPDX-License-Identifier: MIT
/* Where the memory is, what is answered when there is none, and the reserve. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define RW (PROT_READ | PROT_WRITE)
#define MAX_GIB "/sys/module/zen5mem/parameters/max_gib"
#define MAX_HELD 64
#define PIPE_BYTES MIB
#define MAX_PIPES 8192
/* A kernel that checks everything takes minutes for a node: what these seconds allow will do. */
#define PATIENCE 60
/* What must stay free of a node, so that the machine does not kill what it needs. */
#define LEAVE (320 * MIB)

/* The next node with memory from this one on; -1 if there is none. */
static int node_from(int node)
{
	struct z5m_node n;

	for (; node < Z5T_NODES; node++) {
		if (!z5t_node(node, 0, &n))
			return node;
	}
	return -1;
}

/* What is free of a node for what cannot be moved, which is what the module asks for. */
static uint64_t free_bytes(int node)
{
	char line[256], zone[32];
	uint64_t sum = 0, pages;
	int at = -1, fits = 0;
	FILE *f = fopen("/proc/zoneinfo", "r");

	if (!f)
		return 0;
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %d, zone %31s", &at, zone) == 2)
			fits = at == node && strcmp(zone, "Movable");
		else if (fits && sscanf(line, " pages free %lu", &pages) == 1)
			sum += pages * PAGE;
	}
	fclose(f);
	return sum;
}

/* INFO, SLOTS and CREATE must tell the same of a region; gives the bytes on the node. */
static uint64_t consistent(int fd, const struct z5m_create *c, int node)
{
	struct z5m_info i = z5t_info(fd);
	struct z5m_slot s[MAX_HELD];
	uint32_t total, k, n = MAX_HELD, windows = 0, min = Z5M_ORDER_1G;
	uint64_t by[3] = { 0 }, here = 0;

	total = z5t_slots(fd, 0, s, &n);
	check(total == (i.size + GIB - 1) / GIB && n == total);
	for (k = 0; k < n; k++) {
		uint64_t bytes = s[k].n_pages * PAGE_OF(s[k].order);

		need(s[k].order == 0 || s[k].order == 9 || s[k].order == 18);
		check(bytes == (k + 1 < n || i.size % GIB == 0 ? GIB : i.size % GIB));
		check(!(s[k].flags & ~Z5M_SLOT_RESERVE));
		check(!(s[k].flags & Z5M_SLOT_RESERVE) || s[k].order == Z5M_ORDER_1G);
		by[s[k].order / 9] += bytes;
		windows += s[k].order == Z5M_ORDER_1G;
		min = s[k].order < min ? s[k].order : min;
		if (s[k].node == node)
			here += bytes;
		else if (s[k].node == -1)
			ksft_print_msg("slot %u is of several nodes\n", k);
	}
	check(by[0] == i.bytes_4k && by[1] == i.bytes_2m && by[2] == i.bytes_1g);
	check(by[0] + by[1] + by[2] == i.size);
	check(c->n_windows == windows && c->min_order == min);
	check(min <= c->page_order);
	return here;
}

static void on_node(uint32_t place, uint32_t id, int node)
{
	static const struct {
		uint64_t size;
		unsigned int order;
	} what[] = {
		{ 4 * MIB, Z5M_ORDER_4K }, { 16 * MIB, Z5M_ORDER_2M }, { GIB, Z5M_ORDER_1G },
	};
	struct z5m_create c;
	struct z5t_counts before, now;
	unsigned int k;
	int fd;

	for (k = 0; k < 3; k++) {
		z5t_count(&before);
		fd = z5t_create_at(place, id, what[k].size, what[k].order, Z5M_CREATE_STRICT, NULL,
				   &c);
		if (fd < 0) {
			check(errno == ENOMEM);
			ksft_print_msg("node %d: nothing of order %u\n", node, what[k].order);
			z5t_count(&now);
			check(!memcmp(&now, &before, sizeof(now)));
			continue;
		}
		check(c.min_order == what[k].order);
		check(consistent(fd, &c, node) == what[k].size, "all of it on node %d", node);
		check(z5t_info(fd).bytes_off_node == 0);
		check(z5t_info(fd).place == place && z5t_info(fd).place_id == id);
		z5t_count(&now);
		check(now.bytes[node] == before.bytes[node] + what[k].size);
		close(fd);
		z5t_check_counts(&before, "everything is back");
	}
}

static void place_node(void)
{
	int node;

	for (node = node_from(0); node >= 0; node = node_from(node + 1))
		on_node(Z5M_PLACE_NODE, node, node);
}

static void place_ccd(void)
{
	struct z5m_domain d;
	struct z5m_node n;
	uint32_t index;

	for (index = 0; !z5t_domain(index, &d); index++) {
		if (!z5t_node(d.node, 0, &n))
			on_node(Z5M_PLACE_CCD, index, d.node);
		else
			fails(z5t_create_at(Z5M_PLACE_CCD, index, PAGE, 0, 0, NULL, NULL), ENODEV);
	}
}

/* Takes all windows of a node; the number of them. It is to be memory that ends, not the limit. */
static int take_all(int node, int *held)
{
	int n = 0;

	z5t_write_file(MAX_GIB, "1000000");
	while (n < MAX_HELD) {
		held[n] = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT,
					NULL, NULL);
		if (held[n] < 0)
			break;
		n++;
	}
	check(n < MAX_HELD && errno == ENOMEM);
	return n;
}

static void give_all(int *held, int n)
{
	while (n)
		close(held[--n]);
}

/* No window is left on a node: each way to ask has its own answer. */
static void place_exhausted(void)
{
	int node = node_from(0), other = node_from(node + 1), held[MAX_HELD + 1], n, fd;
	struct z5t_counts before, now;
	struct z5m_create c;
	uint64_t here;

	z5t_count(&before);
	n = take_all(node, held);
	ksft_print_msg("node %d: %d windows, %lu MiB left\n", node, n,
		       (unsigned long)(free_bytes(node) / MIB));
	z5t_count(&now);
	check(now.bytes[node] == before.bytes[node] + n * GIB);
	check(now.reserve[node] == 0, "the reserve is used first");
	fails(z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL, NULL),
	      ENOMEM);
	fails(z5t_create_at(Z5M_PLACE_NODE, node, 2 * GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT,
			    NULL, NULL), ENOMEM);

	/* Best effort: less than a window is of smaller pages in any case, a whole one may be. */
	fd = z5t_create_at(Z5M_PLACE_NODE, node, 16 * MIB, Z5M_ORDER_1G, 0, NULL, &c);
	if (fd >= 0) {
		check(c.n_windows == 0 && c.min_order < Z5M_ORDER_1G);
		check(consistent(fd, &c, node) == 16 * MIB, "on this node");
		check(z5t_info(fd).bytes_off_node == 0);
		close(fd);
	} else {
		check(errno == ENOMEM);
	}
	if (free_bytes(node) > GIB + LEAVE) {
		fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, 0, NULL, &c);
		if (check(fd >= 0 || errno == ENOMEM) && fd >= 0) {
			check(c.n_windows == 0 && c.min_order < Z5M_ORDER_1G, "honest");
			check(consistent(fd, &c, node) == GIB);
			check(z5t_info(fd).bytes_off_node == 0);
			close(fd);
		}
	}
	if (other >= 0) {
		fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G,
				   Z5M_CREATE_STRICT | Z5M_CREATE_OTHER_NODES, NULL, &c);
		if (check(fd >= 0 || errno == ENOMEM) && fd >= 0) {
			here = consistent(fd, &c, node);
			check(here == 0 && z5t_info(fd).bytes_off_node == GIB);
			check(c.n_windows == 1);
			close(fd);
		} else {
			ksft_print_msg("no window on another node\n");
		}
	}
	give_all(held, n);
	z5t_check_counts(&before, "everything is back");
	/* And again: what came back can be had. */
	if (n) {
		fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT,
				   NULL, NULL);
		check(fd >= 0 || !before.reserve[node]);
		close(fd);
	}
	z5t_check_counts(&before, "everything is back");
}

/* The same with all nodes, and a region that gets some windows but not all must give them back. */
static void place_exhausted_all(void)
{
	struct z5t_counts before, now, one;
	int held[MAX_HELD + 1], n = 0, fd;

	z5t_write_file(MAX_GIB, "1000000");
	z5t_count(&before);
	while (n < MAX_HELD) {
		held[n] = z5t_create(GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL);
		if (held[n] < 0)
			break;
		n++;
	}
	check(n < MAX_HELD && errno == ENOMEM);
	if (n < 2) {
		give_all(held, n);
		z5t_skip("%d windows in all", n);
	}
	ksft_print_msg("%d windows at once\n", n);
	give_all(held + 1, n - 1);
	z5t_settled(before.used + GIB);
	z5t_count(&one);
	fd = z5t_create(n * GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL);
	if (fd >= 0)
		ksft_print_msg("and one more\n");
	else
		check(errno == ENOMEM);
	close(fd);
	z5t_settled(before.used + GIB);
	z5t_count(&now);
	check(!memcmp(&now, &one, sizeof(now)), "nothing of what failed is kept");
	close(held[0]);
	z5t_check_counts(&before, "everything is back");
}

static void reserve_is(int node, uint32_t unused, uint32_t used)
{
	struct z5m_node n;

	need(!z5t_node(node, 0, &n));
	check(n.reserve == unused && n.reserve_used == used, "%u free, %u used; %u and %u expected",
	      n.reserve, n.reserve_used, unused, used);
}

static void place_reserve(void)
{
	struct z5m_slot slot;
	struct z5m_node n;
	uint32_t got, size, was, k = 1;
	int node, fd;

	z5t_need_root();
	if (z5t_used())
		z5t_skip("there are regions of others");
	/* A node that has a reserve; a first window is not always to be had. */
	for (node = node_from(0); node >= 0; node = node_from(node + 1)) {
		need(!z5t_node(node, 0, &n));
		if (n.reserve)
			break;
	}
	if (node < 0) {
		node = node_from(0);
		need(!z5t_node(node, 0, &n));
	}
	was = n.reserve;
	/* Grow, or what comes nearest to it. */
	need(!z5t_reserve(node, was + 1, 0, &got));
	check(got == was || got == was + 1, "%u", got);
	reserve_is(node, got, 0);
	if (!got)
		z5t_skip("no window for the reserve");
	ksft_print_msg("node %d: %u windows in the reserve, %u before\n", node, got, was);
	size = got;
	fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL, NULL);
	need(fd >= 0);
	need(z5t_slots(fd, 0, &slot, &k) == 1);
	check(slot.flags & Z5M_SLOT_RESERVE && slot.node == node);
	reserve_is(node, size - 1, 1);
	need(!z5t_reserve(node, size, 0, &got));
	check(got == size, "windows in use count");
	reserve_is(node, size - 1, 1);
	/* Smaller than what is in use: that stays until it is given back. */
	need(!z5t_reserve(node, 0, 0, &got));
	check(got == 1, "%u", got);
	reserve_is(node, 0, 1);
	close(fd);
	z5t_settled(0);
	reserve_is(node, 0, 0);
	need(!z5t_reserve(node, was, 0, &got));
	if (got != was)
		ksft_print_msg("node %d: %u windows in the reserve, not %u again\n", node, got,
			       was);
	reserve_is(node, got, 0);
}

/* Used and given back, made smaller and larger again. */
static void place_reserve_back(void)
{
	struct z5t_counts before, now;
	int node, fd;
	uint32_t got;

	z5t_need_root();
	z5t_count(&before);
	for (node = node_from(0); node >= 0; node = node_from(node + 1)) {
		if (before.reserve[node] && !before.reserve_used[node])
			break;
	}
	if (node < 0)
		z5t_skip("no unused reserve");
	fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL, NULL);
	need(fd >= 0);
	close(fd);
	z5t_check_counts(&before, "everything is back");
	need(!z5t_reserve(node, before.reserve[node] - 1, 0, &got));
	check(got == before.reserve[node] - 1);
	reserve_is(node, got, 0);
	need(!z5t_reserve(node, before.reserve[node], 0, &got));
	if (got != before.reserve[node])
		ksft_print_msg("node %d: %u windows in the reserve, not %u again\n", node, got,
			       before.reserve[node]);
	/* Windows of ZONE_MOVABLE by the flag only; where there are none that is no error. */
	need(!z5t_reserve(node, got, Z5M_CREATE_MOVABLE, &got));
	/* Any number may be asked for. */
	need(!z5t_reserve(node, got, 0, &got));
	z5t_count(&now);
	check(now.used == before.used);
}

/* Memory in pieces: pages that cannot be moved, one in each MiB of what the node had free. */
static int pipes[MAX_PIPES][2];

static int scatter(int node)
{
	unsigned long mask = 1UL << node;
	char *buf = malloc(PIPE_BYTES);
	struct rlimit files = { 2 * MAX_PIPES + 100, 2 * MAX_PIPES + 100 };
	time_t start = time(NULL);
	int n = 0, i;

	need(buf);
	memset(buf, 1, PIPE_BYTES);
	if (setrlimit(RLIMIT_NOFILE, &files))
		z5t_skip("RLIMIT_NOFILE");
	if (syscall(SYS_set_mempolicy, 2 /* MPOL_BIND */, &mask, 64))
		z5t_skip("no memory policy");
	while (n < MAX_PIPES && free_bytes(node) > LEAVE && time(NULL) - start < PATIENCE) {
		if (pipe2(pipes[n], O_NONBLOCK))
			break;
		if (fcntl(pipes[n][0], F_SETPIPE_SZ, PIPE_BYTES) < (int)PIPE_BYTES) {
			close(pipes[n][0]);
			close(pipes[n][1]);
			break;
		}
		n++;
		if (write(pipes[n - 1][1], buf, PIPE_BYTES) < (ssize_t)PIPE_BYTES)
			break;
	}
	/* All but the last page of each. */
	for (i = 0; i < n; i++) {
		if (read(pipes[i][0], buf, PIPE_BYTES - PAGE) <= 0)
			break;
	}
	syscall(SYS_set_mempolicy, 0, NULL, 0);
	free(buf);
	return n;
}

static void place_fragmented(void)
{
	time_t start = time(NULL);
	int node = node_from(node_from(0) + 1), held[MAX_HELD + 1], n, i, fd;
	struct z5t_counts before;
	struct z5m_create c;
	struct z5m_node scan;
	char *p;

	z5t_need_root();
	if (node < 0)
		node = node_from(0);
	z5t_count(&before);
	/* The windows of the reserve are not for others to take to pieces. */
	for (n = 0; n < (int)before.reserve[node] && n < MAX_HELD; n++) {
		held[n] = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT,
					NULL, NULL);
		need(held[n] >= 0);
	}
	i = scatter(node);
	if (!i)
		z5t_skip("node %d has too little memory", node);
	need(!z5t_node(node, Z5M_NODE_SCAN, &scan));
	ksft_print_msg("node %d: %d pages scattered, %lu MiB free, %u windows possible\n", node, i,
		       (unsigned long)(free_bytes(node) / MIB), scan.possible);
	fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, Z5M_CREATE_STRICT, NULL, &c);
	if (check(fd >= 0 || errno == ENOMEM) && fd >= 0) {
		check(c.n_windows == 1 && consistent(fd, &c, node) == GIB);
		close(fd);
	}
	ksft_print_msg("a window: %s\n", fd >= 0 ? "there was one" : "none left");
	fd = z5t_create_at(Z5M_PLACE_NODE, node, 64 * MIB, Z5M_ORDER_2M, Z5M_CREATE_STRICT, NULL,
			   &c);
	if (check(fd >= 0 || errno == ENOMEM) && fd >= 0) {
		check(c.min_order == Z5M_ORDER_2M && consistent(fd, &c, node) == 64 * MIB);
		close(fd);
	}
	/* Smaller pages there are. */
	fd = z5t_create_at(Z5M_PLACE_NODE, node, 64 * MIB, Z5M_ORDER_1G, 0, NULL, &c);
	if (check(fd >= 0, "best effort")) {
		check(consistent(fd, &c, node) == 64 * MIB);
		ksft_print_msg("64 MiB: the smallest are of order %u\n", c.min_order);
		p = z5t_map(fd, 64 * MIB, RW, 0);
		check(z5t_nonzero(p, 64 * MIB, PAGE) == 0);
		munmap(p, 64 * MIB);
		close(fd);
	}
	if (free_bytes(node) > GIB + LEAVE && time(NULL) - start < PATIENCE) {
		fd = z5t_create_at(Z5M_PLACE_NODE, node, GIB, Z5M_ORDER_1G, 0, NULL, &c);
		if (check(fd >= 0, "best effort")) {
			check(consistent(fd, &c, node) == GIB);
			ksft_print_msg("1 GiB: %u windows, the smallest are of order %u\n",
				       c.n_windows, c.min_order);
			close(fd);
		}
	}
	while (i-- > 0) {
		close(pipes[i][0]);
		close(pipes[i][1]);
	}
	give_all(held, n);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(place_node), T(place_ccd), T(place_exhausted), T(place_exhausted_all),
		T(place_reserve_back), T(place_reserve), T(place_fragmented),
	};

	z5t_guard(MAX_GIB);
	return z5t_run(argc, argv, tests);
}
