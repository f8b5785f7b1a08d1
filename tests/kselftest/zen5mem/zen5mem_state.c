// SPDX-License-Identifier: MIT
/* What sysfs, debugfs and the tracepoints tell is what the ioctls tell. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define SYS "/sys/class/misc/zen5mem"
#define DEBUG "/sys/kernel/debug"
#define TRACING "/sys/kernel/tracing"
#define TEXT (1024 * 1024)

static unsigned long long number(const char *path)
{
	char text[64];

	need(!z5t_read_file(path, text, sizeof(text)), "%s", path);
	return strtoull(text, NULL, 10);
}

static unsigned long long of_node(unsigned int node, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), SYS "/node%u/%s", node, name);
	return number(path);
}

static void state_matches(void)
{
	struct z5m_version v = z5t_version();
	struct z5m_node n;
	uint32_t node;

	check(number(SYS "/used_bytes") == v.used_bytes);
	check(number(SYS "/max_bytes") == v.max_bytes);
	check(number(SYS "/regions") == z5t_regions());
	for (node = 0; node < v.n_nodes; node++) {
		if (z5t_node(node, 0, &n))
			continue;
		check(of_node(node, "used_bytes") == n.used_bytes);
		check(of_node(node, "reserve") == n.reserve);
		check(of_node(node, "reserve_used") == n.reserve_used);
		if (!geteuid())
			check(of_node(node, "possible") < 1U << 20);
	}
}

static void state_sysfs(void)
{
	uint64_t used = z5t_used();
	int fd;

	if (!z5t_exists(SYS "/used_bytes"))
		z5t_skip("no sysfs");
	state_matches();
	fd = z5t_get(3 * MIB, Z5M_ORDER_4K, NULL);
	check(number(SYS "/used_bytes") == used + 3 * MIB);
	state_matches();
	close(fd);
	state_matches();
	fd = z5t_window();
	state_matches();
	close(fd);
	state_matches();
}

static void state_debugfs(void)
{
	char *text = malloc(TEXT), line[200];
	struct z5m_info i;
	int fd;

	z5t_need_root();
	need(text);
	if (!z5t_exists(DEBUG "/zen5mem"))
		mount("debugfs", DEBUG, "debugfs", 0, NULL);
	if (!z5t_exists(DEBUG "/zen5mem/regions"))
		z5t_skip("no debugfs");
	fd = z5t_get(2 * MIB, Z5M_ORDER_4K, NAME("debugfs"));
	i = z5t_info(fd);
	need(!z5t_read_file(DEBUG "/zen5mem/regions", text, TEXT));
	snprintf(line, sizeof(line), "\n%llu %s %llu ", (unsigned long long)i.id, i.name,
		 (unsigned long long)i.size);
	check(strstr(text, line), "%s", text);
	check(z5t_odd_refs() == 0);
	check(!z5t_destroy(NAME("debugfs")));
	close(fd);
	need(!z5t_read_file(DEBUG "/zen5mem/regions", text, TEXT));
	check(!strstr(text, line));
	free(text);
}

static void state_trace(void)
{
	char *text = malloc(TEXT), line[64];
	unsigned long long id;
	int fd;
	char *p;

	z5t_need_root();
	need(text);
	if (!z5t_exists(TRACING "/trace"))
		mount("tracefs", TRACING, "tracefs", 0, NULL);
	if (!z5t_exists(TRACING "/events/zen5mem/enable"))
		z5t_skip("no tracepoints");
	need(!z5t_write_file(TRACING "/events/zen5mem/enable", "1"));
	fd = z5t_get(PAGE, 0, NULL);
	id = z5t_info(fd).id;
	p = z5t_map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
	p[0] = 1;
	munmap(p, PAGE);
	close(fd);
	fails(z5t_create(z5t_version().max_bytes / PAGE * PAGE, 0, 1U << 31, NULL), EINVAL);
	need(!z5t_write_file(TRACING "/events/zen5mem/enable", "0"));
	need(!z5t_read_file(TRACING "/trace", text, TEXT));
	check(strstr(text, "zen5mem_create:"), "%s", text);
	check(strstr(text, "zen5mem_fault:"));
	check(strstr(text, "zen5mem_destroy:"));
	snprintf(line, sizeof(line), "id=%llu", id);
	check(strstr(text, line), "%s in the trace", line);
	z5t_write_file(TRACING "/trace", "");
	free(text);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(state_sysfs), T(state_debugfs), T(state_trace),
	};

	return z5t_run(argc, argv, tests);
}
