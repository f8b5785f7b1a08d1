// SPDX-License-Identifier: MIT
#include <topo/topo.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <error.h>
#include <topo/cgroup.h>
#include <topo/mask.h>

#define TOPO_SYS	"/sys/devices/system/cpu"

/*
 * A CPU before it is numbered. The keys are the lowest CPU that shares the core or the L3: the
 * kernel's own ids are neither dense nor everywhere unique.
 */
struct topo_raw {
	int cpu, core_key, l3_key, node, package;
	uint64_t l3_bytes;
	int core, l3, smt;
};

/* Keys of CPUs without an L3 lie above all CPU numbers: one domain a package. */
#define TOPO_PACKAGE_KEY	(1 << 20)

int z5_mask_parse(const char *s, struct z5_mask *mask)
{
	long from, to, lowest = -1;
	char *end;

	while (isdigit((unsigned char)*s)) {
		from = to = strtol(s, &end, 10);
		if (*end == '-' && isdigit((unsigned char)end[1]))
			to = strtol(end + 1, &end, 10);
		if (from < Z5_MASK_CPUS && (lowest < 0 || from < lowest))
			lowest = from;
		for (; mask && from <= to && from < Z5_MASK_CPUS; from++)
			CPU_SET_S(from, sizeof(*mask), mask->set);
		s = *end == ',' ? end + 1 : end;
	}
	return lowest;
}

static int topo_read_cpu(const char *root, int cpu, const char *file, char *buf, size_t len)
{
	char path[128];

	snprintf(path, sizeof(path), TOPO_SYS "/cpu%d/%s", cpu, file);
	return z5_read_text(root, path, buf, len);
}

/* A number from 0 to below limit; other if there is none. */
static int topo_int(const char *s, int limit, int other)
{
	long n;

	if (!isdigit((unsigned char)*s))
		return other;
	n = strtol(s, NULL, 10);
	return n < limit ? (int)n : other;
}

static int topo_cpu_int(const char *root, int cpu, const char *file, int other)
{
	char buf[32];

	if (topo_read_cpu(root, cpu, file, buf, sizeof(buf)) <= 0)
		return other;
	return topo_int(buf, TOPO_PACKAGE_KEY, other);
}

static int topo_core_key(const char *root, int cpu)
{
	char buf[4096];
	int key;

	/* The second name is what kernels before 5.3 have. */
	if (topo_read_cpu(root, cpu, "topology/core_cpus_list", buf, sizeof(buf)) <= 0)
		topo_read_cpu(root, cpu, "topology/thread_siblings_list", buf, sizeof(buf));
	key = z5_mask_parse(buf, NULL);
	return key < 0 ? cpu : key;
}

/* "32768K" */
static uint64_t topo_size(const char *s)
{
	char *end;
	uint64_t n = strtoull(s, &end, 10);

	if (*end == 'K')
		return n << 10;
	return *end == 'M' ? n << 20 : n;
}

/* The L3 is the index that says level 3, which is not index3 where a level is missing or split. */
static bool topo_l3(const char *root, struct topo_raw *c)
{
	char file[64], buf[4096];
	int i;

	for (i = 0; i < 16; i++) {
		snprintf(file, sizeof(file), "cache/index%d/level", i);
		if (topo_cpu_int(root, c->cpu, file, 0) != 3)
			continue;
		snprintf(file, sizeof(file), "cache/index%d/shared_cpu_list", i);
		topo_read_cpu(root, c->cpu, file, buf, sizeof(buf));
		c->l3_key = z5_mask_parse(buf, NULL);
		if (c->l3_key < 0)
			continue;
		snprintf(file, sizeof(file), "cache/index%d/size", i);
		topo_read_cpu(root, c->cpu, file, buf, sizeof(buf));
		c->l3_bytes = topo_size(buf);
		return true;
	}
	return false;
}

/*
 * cpuN/nodeM, which sysfs links and a recording has as a directory. Not asked of libnuma, which prints and exits where
 * memory runs out, as a library must not.
 */
static int topo_node(const char *root, int cpu)
{
	char path[PATH_MAX];
	struct dirent *e;
	int node = -1;
	DIR *d;

	if (snprintf(path, sizeof(path), "%s" TOPO_SYS "/cpu%d", root, cpu) >= (int)sizeof(path))
		return -1;
	d = opendir(path);
	while (d && (e = readdir(d)))
		if (!strncmp(e->d_name, "node", 4))
			node = topo_int(e->d_name + 4, Z5_TOPO_NODES, node);
	if (d)
		closedir(d);
	return node;
}

static void topo_usable(const char *root, struct z5_mask *mask)
{
	char buf[16384];

	memset(mask, 0, sizeof(*mask));
	if (*root) {
		if (z5_read_text(root, TOPO_SYS "/online", buf, sizeof(buf)) > 0)
			z5_mask_parse(buf, mask);
	} else {
		sched_getaffinity(0, sizeof(*mask), mask->set);
	}
	if (!CPU_COUNT_S(sizeof(*mask), mask->set))
		CPU_SET_S(0, sizeof(*mask), mask->set);
}

static void topo_read_raw(const char *root, int cpu, struct topo_raw *c)
{
	c->cpu = cpu;
	c->core_key = topo_core_key(root, cpu);
	c->node = topo_node(root, cpu);
	c->package = topo_cpu_int(root, cpu, "topology/physical_package_id", 0);
	if (!topo_l3(root, c))
		c->l3_key = TOPO_PACKAGE_KEY + c->package;
}

static int topo_by_core(const void *a, const void *b)
{
	const struct topo_raw *x = a, *y = b;

	if (x->l3_key != y->l3_key)
		return x->l3_key < y->l3_key ? -1 : 1;
	if (x->core_key != y->core_key)
		return x->core_key < y->core_key ? -1 : 1;
	return x->cpu < y->cpu ? -1 : x->cpu > y->cpu;
}

static int topo_by_smt(const void *a, const void *b)
{
	const struct topo_raw *x = a, *y = b;

	if (x->l3 != y->l3)
		return x->l3 < y->l3 ? -1 : 1;
	if (x->smt != y->smt)
		return x->smt < y->smt ? -1 : 1;
	return x->core < y->core ? -1 : x->core > y->core;
}

static void topo_number(struct topo_raw *c, unsigned int n, struct z5_topo *t)
{
	unsigned int i;

	qsort(c, n, sizeof(*c), topo_by_core);
	for (i = 0; i < n; i++) {
		bool l3 = !i || c[i].l3_key != c[i - 1].l3_key;
		bool core = l3 || c[i].core_key != c[i - 1].core_key;

		t->n_l3s += l3;
		t->n_cores += core;
		c[i].l3 = t->n_l3s - 1;
		c[i].core = t->n_cores - 1;
		c[i].smt = core ? 0 : c[i - 1].smt + 1;
	}
	qsort(c, n, sizeof(*c), topo_by_smt);
}

static void topo_fill(const struct topo_raw *c, struct z5_topo *t)
{
	struct z5_l3 *l3;
	unsigned int i;

	for (i = 0; i < t->n_cpus; i++) {
		t->cpus[i] = (struct z5_cpu){
			.cpu = c[i].cpu, .core = c[i].core, .smt = c[i].smt,
			.l3 = c[i].l3, .node = c[i].node, .package = c[i].package,
		};
		l3 = &t->l3s[c[i].l3];
		if (!l3->n_cpus) {
			l3->bytes = c[i].l3_bytes;
			l3->node = c[i].node;
		}
		l3->n_cpus++;
		l3->n_cores += !c[i].smt;
	}
}

int z5_topo_read(const char *sysroot, struct z5_topo *t, struct zen5rt_error *err)
{
	struct z5_mask usable;
	struct topo_raw *raw;
	unsigned int i = 0;
	int cpu;

	memset(t, 0, sizeof(*t));
	topo_usable(sysroot, &usable);
	t->n_cpus = CPU_COUNT_S(sizeof(usable), usable.set);
	raw = calloc(t->n_cpus, sizeof(*raw));
	if (!raw)
		goto err_nomem;
	for (cpu = 0; cpu < Z5_MASK_CPUS; cpu++)
		if (z5_mask_has(&usable, cpu))
			topo_read_raw(sysroot, cpu, &raw[i++]);
	topo_number(raw, t->n_cpus, t);

	t->cpus = calloc(t->n_cpus, sizeof(*t->cpus));
	t->l3s = calloc(t->n_l3s, sizeof(*t->l3s));
	if (!t->cpus || !t->l3s)
		goto err_nomem;
	topo_fill(raw, t);
	t->quota = z5_cgroup_cpus(sysroot);
	free(raw);
	return 0;

err_nomem:
	free(raw);
	z5_topo_free(t);
	return z5_fail(err, -ENOMEM, "no memory for the table of CPUs");
}

void z5_topo_free(struct z5_topo *t)
{
	free(t->cpus);
	free(t->l3s);
	memset(t, 0, sizeof(*t));
}

static unsigned int topo_default(const struct z5_topo *t)
{
	return t->quota && t->quota < t->n_cores ? t->quota : t->n_cores;
}

/* Room of a domain: its cores, or what SMT adds to them. */
static unsigned int topo_room(const struct z5_l3 *l3, bool smt)
{
	return smt ? l3->n_cpus - l3->n_cores : l3->n_cores;
}

/* What domain d gets of n when all are filled like communicating vessels. */
static unsigned int topo_level(const struct z5_topo *t, unsigned int n, unsigned int d, bool smt)
{
	unsigned int i, open, level = 0, share;

	for (;;) {
		for (i = 0, open = 0; i < t->n_l3s; i++)
			open += topo_room(&t->l3s[i], smt) > level;
		if (!open || n < open)
			break;
		n -= open;
		level++;
	}
	share = topo_room(&t->l3s[d], smt);
	if (share <= level)
		return share;
	for (i = 0, open = 0; i < d; i++)
		open += topo_room(&t->l3s[i], smt) > level;
	return level + (open < n);
}

static unsigned int topo_share(const struct z5_topo *t, unsigned int n, unsigned int d)
{
	unsigned int share = n / t->n_cpus * t->l3s[d].n_cpus;

	n %= t->n_cpus;
	if (n <= t->n_cores)
		return share + topo_level(t, n, d, false);
	return share + t->l3s[d].n_cores + topo_level(t, n - t->n_cores, d, true);
}

unsigned int z5_topo_place(const struct z5_topo *t, unsigned int n, const struct z5_cpu **cpus)
{
	const struct z5_cpu *first = t->cpus;
	unsigned int d, i, share, k = 0;

	if (!n)
		n = topo_default(t);
	for (d = 0; cpus && d < t->n_l3s; d++) {
		share = topo_share(t, n, d);
		/* CPUs of a domain are ordered cores first: its head is what we want. */
		for (i = 0; i < share; i++)
			cpus[k++] = &first[i % t->l3s[d].n_cpus];
		first += t->l3s[d].n_cpus;
	}
	return n;
}

enum z5_locality z5_topo_locality(const struct z5_topo *t)
{
	bool l3_is_node = true, split = false;
	unsigned int i, j;

	for (i = 0; i < t->n_cpus; i++) {
		const struct z5_cpu *a = &t->cpus[i];

		if (a->node < 0 || !t->l3s[a->l3].bytes)
			return Z5_LOCALITY_NONE;
		if (a->node != t->l3s[a->l3].node)
			return Z5_LOCALITY_NONE;
		split |= a->package == t->cpus[0].package && a->node != t->cpus[0].node;
	}
	for (i = 0; i < t->n_l3s; i++)
		for (j = 0; j < i; j++)
			l3_is_node &= t->l3s[i].node != t->l3s[j].node;
	if (!split)
		return Z5_LOCALITY_NONE;
	return l3_is_node ? Z5_LOCALITY_SRAT_LLC : Z5_LOCALITY_QUADRANT;
}
