// SPDX-License-Identifier: MIT
#include <mem/pages.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <error.h>
#include <topo/cgroup.h>
#include <topo/topo.h>

#define NODE_SYS	"/sys/devices/system/node"

const uint64_t z5_pool_page[Z5_N_POOLS] = { (uint64_t)1 << 30, (uint64_t)2 << 20 };

/* More than any machine has, and far from where bytes overflow. */
#define PAGES_MAX_COUNT	((uint64_t)1 << 32)
#define PAGES_MAX_KB	((uint64_t)1 << 50)

/* "MemTotal:  123 kB" in text, as bytes. */
static uint64_t pages_kb(const char *text, const char *what)
{
	const char *p = strstr(text, what);
	uint64_t kb;

	if (!p)
		return UINT64_MAX;
	kb = strtoull(p + strlen(what), NULL, 10);
	return kb < PAGES_MAX_KB ? kb << 10 : UINT64_MAX;
}

uint64_t z5_meminfo(const char *sysroot, const char *what)
{
	char text[8192];

	z5_read_text(sysroot, "/proc/meminfo", text, sizeof(text));
	return pages_kb(text, what);
}

static uint64_t pages_known(uint64_t bytes)
{
	return bytes == UINT64_MAX ? 0 : bytes;
}

static bool pages_count(const char *sysroot, const char *dir, uint64_t page, const char *file, uint64_t *n)
{
	char path[160], text[32];

	*n = 0;
	snprintf(path, sizeof(path), "%s/hugepages-%llukB/%s", dir, (unsigned long long)page >> 10, file);
	if (z5_read_text(sysroot, path, text, sizeof(text)) <= 0)
		return false;
	if (!isdigit((unsigned char)*text))
		return true;
	*n = strtoull(text, NULL, 10);
	if (*n > PAGES_MAX_COUNT)
		*n = 0;
	return true;
}

static void pages_pool(const char *sysroot, const char *dir, struct z5_page_pool *pools)
{
	for (unsigned int i = 0; i < Z5_N_POOLS; i++) {
		struct z5_page_pool *p = &pools[i];

		p->present = pages_count(sysroot, dir, z5_pool_page[i], "nr_hugepages", &p->total);
		pages_count(sysroot, dir, z5_pool_page[i], "free_hugepages", &p->free);
		pages_count(sysroot, dir, z5_pool_page[i], "resv_hugepages", &p->reserved);
		p->free = p->free < p->total ? p->free : p->total;
		p->reserved = p->reserved < p->free ? p->reserved : p->free;
	}
}

static int pages_by_number(const void *a, const void *b)
{
	const struct z5_mem_node *x = a, *y = b;

	return (x->node > y->node) - (x->node < y->node);
}

static int pages_nodes(const char *sysroot, struct z5_mem_info *m, struct zen5rt_error *err)
{
	struct z5_mem_node *p;
	char path[PATH_MAX];
	struct dirent *e;
	int ret = 0;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s" NODE_SYS, sysroot) >= (int)sizeof(path))
		return 0;
	d = opendir(path);
	while (d && (e = readdir(d))) {
		char *end;
		long n;

		if (strncmp(e->d_name, "node", 4) || !isdigit((unsigned char)e->d_name[4]))
			continue;
		n = strtol(e->d_name + 4, &end, 10);
		if (*end || n >= Z5_TOPO_NODES)
			continue;
		p = realloc(m->nodes, (m->n_nodes + 1) * sizeof(*p));
		if (!p) {
			ret = z5_fail(err, -ENOMEM, "out of memory");
			break;
		}
		m->nodes = p;
		m->nodes[m->n_nodes++] = (struct z5_mem_node){ .node = (int)n };
	}
	if (d)
		closedir(d);
	if (m->n_nodes)
		qsort(m->nodes, m->n_nodes, sizeof(*m->nodes), pages_by_number);
	return ret;
}

static void pages_node(const char *sysroot, struct z5_mem_node *n)
{
	char path[128], text[4096];

	snprintf(path, sizeof(path), NODE_SYS "/node%d/meminfo", n->node);
	z5_read_text(sysroot, path, text, sizeof(text));
	n->total = pages_known(pages_kb(text, "MemTotal:"));
	n->free = pages_known(pages_kb(text, "MemFree:"));
	snprintf(path, sizeof(path), NODE_SYS "/node%d/hugepages", n->node);
	pages_pool(sysroot, path, n->pools);
}

int z5_mem_info_read(const char *sysroot, struct z5_mem_info *m, struct zen5rt_error *err)
{
	char path[PATH_MAX];
	uint64_t group;
	int ret;

	memset(m, 0, sizeof(*m));
	ret = pages_nodes(sysroot, m, err);
	if (ret) {
		z5_mem_info_free(m);
		return ret;
	}
	for (unsigned int i = 0; i < m->n_nodes; i++)
		pages_node(sysroot, &m->nodes[i]);
	pages_pool(sysroot, "/sys/kernel/mm/hugepages", m->pools);
	m->total = pages_known(z5_meminfo(sysroot, "MemTotal:"));
	m->available = pages_known(z5_meminfo(sysroot, "MemAvailable:"));
	group = z5_cgroup_mem_available(sysroot);
	if (group < m->available)
		m->available = group;
	z5_thp_mode(sysroot, m->thp, sizeof(m->thp));
	m->device = snprintf(path, sizeof(path), "%s/dev/zen5mem", sysroot) < (int)sizeof(path) &&
		    !access(path, F_OK);
	return 0;
}

void z5_mem_info_free(struct z5_mem_info *m)
{
	free(m->nodes);
	memset(m, 0, sizeof(*m));
}
