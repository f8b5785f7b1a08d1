// SPDX-License-Identifier: MIT
/*
 * Topology: machines unfolded from tests/topo/, this one, and none at all. Run from the top
 * directory.
 */
#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <topo/cgroup.h>
#include <topo/mask.h>
#include <topo/topo.h>
#include "../tap.h"

#define CPU_DIR "sys/devices/system/cpu"

static char root[] = "/tmp/zen5-topo-XXXXXX";

static void put(const char *path, const char *text)
{
	char full[PATH_MAX], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(full, 0755);
	}
	if (!full[0] || full[strlen(full) - 1] == '/')
		return;
	f = fopen(full, "we");
	if (!f) {
		diag("%s: %s", full, strerror(errno));
		return;
	}
	for (; *text; text++) {
		bool newline = text[0] == '\\' && text[1] == 'n';

		fputc(newline ? '\n' : *text, f);
		text += newline;
	}
	fclose(f);
}

static void clear(void)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		diag("%s stays", root);
}

static bool unfold(const char *name)
{
	char command[128];

	clear();
	snprintf(command, sizeof(command), "tests/topo/unfold %s %s", name, root);
	return !system(command);
}

/* What the header promises of every topology. */
static bool sound(const struct z5_topo *t)
{
	unsigned int i, cpus = 0, cores = 0, bad = 0;
	const struct z5_cpu *c = t->cpus;

	bad += !t->n_cpus || !t->n_cores || !t->n_l3s;
	for (i = 0; i < t->n_l3s; i++) {
		cpus += t->l3s[i].n_cpus;
		cores += t->l3s[i].n_cores;
		bad += !t->l3s[i].n_cores || t->l3s[i].n_cores > t->l3s[i].n_cpus;
	}
	bad += cpus != t->n_cpus || cores != t->n_cores;
	for (i = 0; i < t->n_cpus; i++) {
		bad += c[i].cpu < 0 || c[i].smt < 0;
		bad += (unsigned int)c[i].core >= t->n_cores || (unsigned int)c[i].l3 >= t->n_l3s;
		if (i)
			bad += c[i].l3 < c[i - 1].l3 ||
			       (c[i].l3 == c[i - 1].l3 &&
				(c[i].smt < c[i - 1].smt ||
				 (c[i].smt == c[i - 1].smt && c[i].core <= c[i - 1].core)));
	}
	return !bad;
}

static int by_number(const void *a, const void *b)
{
	const unsigned int *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* Placement of n threads against what the header promises; false at the first broken promise. */
static bool placed_well(const struct z5_topo *t, unsigned int n)
{
	const struct z5_cpu **c = calloc(n, sizeof(*c));
	unsigned int *cpu = calloc(t->n_cpus, sizeof(*cpu)),
		     *core = calloc(t->n_cores, sizeof(*core));
	unsigned int *l3 = calloc(t->n_l3s, sizeof(*l3)), least = UINT_MAX, i, bad = 0;

	bad += z5_topo_place(t, n, c) != n || z5_topo_place(t, n, NULL) != n;
	for (i = 0; i < n; i++) {
		cpu[c[i] - t->cpus]++;
		core[c[i]->core]++;
		l3[c[i]->l3]++;
		bad += i && c[i]->l3 < c[i - 1]->l3;
	}
	/* Even over the domains as long as the smallest has cores left. */
	for (i = 0; i < t->n_l3s; i++)
		least = t->l3s[i].n_cores < least ? t->l3s[i].n_cores : least;
	if (n <= least * t->n_l3s) {
		qsort(l3, t->n_l3s, sizeof(*l3), by_number);
		bad += l3[t->n_l3s - 1] - l3[0] > 1;
	}
	/* A core twice only when all are in use, a CPU again only when all are. */
	qsort(core, t->n_cores, sizeof(*core), by_number);
	qsort(cpu, t->n_cpus, sizeof(*cpu), by_number);
	bad += n <= t->n_cores ? core[t->n_cores - 1] > 1 : core[0] < 1;
	bad += cpu[t->n_cpus - 1] - cpu[0] > 1;
	free(c);
	free(cpu);
	free(core);
	free(l3);
	return !bad;
}

static void check_all_places(const struct z5_topo *t, const char *name)
{
	unsigned int n, bad = 0;

	for (n = 1; n <= 3 * t->n_cpus && !bad; n++)
		bad = placed_well(t, n) ? 0 : n;
	ok(!bad, "%s: every number of threads is placed as promised (%u)", name, bad);
}

/* The CPU numbers chosen for n threads, as "0 1 8 9". */
static const char *places(const struct z5_topo *t, unsigned int n)
{
	const struct z5_cpu *c[256];
	static char text[2048];
	unsigned int i, len = 0;

	n = z5_topo_place(t, n, NULL);
	if (n > 256)
		return "too many";
	z5_topo_place(t, n, c);
	text[0] = '\0';
	for (i = 0; i < n; i++)
		len += snprintf(text + len, sizeof(text) - len, "%s%d", i ? " " : "", c[i]->cpu);
	return text;
}

static void check_place(const struct z5_topo *t, const char *name, unsigned int n, const char *want)
{
	const char *got = places(t, n);

	if (!ok(!strcmp(got, want), "%s: %u threads on %s", name, n, want))
		diag("got %s", got);
}

static bool read_machine(const char *name, struct z5_topo *t, unsigned int cpus, unsigned int cores,
			 unsigned int l3s)
{
	struct zen5rt_error err = { "" };

	if (!ok(unfold(name) && !z5_topo_read(root, t, &err), "%s: read %s", name, err.message))
		return false;
	ok(t->n_cpus == cpus && t->n_cores == cores && t->n_l3s == l3s,
	   "%s: %u CPUs, %u cores, %u L3 domains", name, t->n_cpus, t->n_cores, t->n_l3s);
	ok(sound(t), "%s: sound", name);
	if (t->n_l3s != l3s)
		return false;
	check_all_places(t, name);
	return true;
}

static void test_9950x(void)
{
	const char *name = "ryzen-9950x";
	struct z5_topo t = { 0 };

	if (read_machine(name, &t, 32, 16, 2)) {
		ok(t.l3s[0].bytes == 32 << 20 && t.l3s[1].bytes == 32 << 20 &&
			   t.l3s[1].n_cpus == 16 && t.l3s[1].n_cores == 8 && t.l3s[1].node == 0,
		   "%s: two times 32 MiB, 8 cores", name);
		ok(t.cpus[8].cpu == 16 && t.cpus[8].smt == 1 && t.cpus[8].core == 0,
		   "%s: 16 is a sibling of 0", name);
		check_place(&t, name, 1, "0");
		check_place(&t, name, 5, "0 1 2 8 9");
		check_place(&t, name, 0, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15");
		check_place(&t, name, 19,
			    "0 1 2 3 4 5 6 7 16 17 8 9 10 11 12 13 14 15 24");
		ok(!t.quota, "%s: no quota", name);
		ok(z5_topo_locality(&t) == Z5_LOCALITY_NONE, "%s: one node, locality none", name);
	}
	z5_topo_free(&t);
}

static void test_hx370(void)
{
	const char *name = "ryzen-hx370";
	struct z5_topo t = { 0 };

	if (read_machine(name, &t, 24, 12, 2)) {
		ok(t.l3s[0].bytes == 16 << 20 && t.l3s[1].bytes == 8 << 20 &&
			   t.l3s[0].n_cores == 4 && t.l3s[1].n_cores == 8,
		   "%s: 16 MiB with 4 cores, 8 MiB with 8", name);
		check_place(&t, name, 6, "0 1 2 4 5 6");
		check_place(&t, name, 10, "0 1 2 3 4 5 6 7 8 9");
		check_place(&t, name, 14, "0 1 2 3 12 4 5 6 7 8 9 10 11 16");
	}
	z5_topo_free(&t);
}

static void test_epyc(void)
{
	const char *name = "epyc-9655-nps4";
	struct z5_topo t = { 0 };
	unsigned int i, bad = 0;

	if (read_machine(name, &t, 192, 96, 12)) {
		for (i = 0; i < 12; i++)
			bad += t.l3s[i].node != (int)i / 3 || t.l3s[i].n_cores != 8;
		for (i = 0; i < t.n_cpus; i++)
			bad += t.cpus[i].node != t.cpus[i].cpu % 96 / 24;
		ok(!bad, "%s: three L3 domains a node, every CPU on its node", name);
		ok(z5_topo_locality(&t) == Z5_LOCALITY_QUADRANT, "%s: quadrants", name);
		check_place(&t, name, 12, "0 8 16 24 32 40 48 56 64 72 80 88");
		check_place(&t, name, 14, "0 1 8 9 16 24 32 40 48 56 64 72 80 88");
	}
	z5_topo_free(&t);
}

static void test_vm(void)
{
	const char *name = "vm-no-l3";
	struct z5_topo t = { 0 };

	if (read_machine(name, &t, 8, 8, 2)) {
		ok(!t.l3s[0].bytes && t.l3s[0].node == -1 && t.cpus[4].l3 == 1,
		   "%s: a domain a package", name);
		ok(t.quota == 3, "%s: a quota of 2.5 is 3 CPUs (%u)", name, t.quota);
		ok(t.cpus[3].package == 0 && t.cpus[4].package == 1, "%s: packages", name);
		check_place(&t, name, 0, "0 1 4");
		check_place(&t, name, 4, "0 1 4 5");
	}
	z5_topo_free(&t);
}

static void test_holes(void)
{
	const char *name = "holes";
	struct z5_topo t = { 0 };

	if (read_machine(name, &t, 6, 4, 2)) {
		ok(t.l3s[0].bytes == 6 << 20 && t.l3s[0].n_cpus == 3,
		   "%s: the L3 is what says level 3", name);
		ok(t.cpus[0].cpu == 1 && t.cpus[1].cpu == 5 && t.cpus[2].cpu == 2 &&
			   t.cpus[2].smt == 1 && t.cpus[1].smt == 0,
		   "%s: a lone second thread is a core", name);
		ok(t.cpus[4].cpu == 8190 && t.cpus[4].node == 1 && t.cpus[0].node == -1,
		   "%s: CPU 8190, and nodes where they are known", name);
		ok(t.quota == 2, "%s: a quota of 1.5 in v1 (%u)", name, t.quota);
		check_place(&t, name, 0, "1 9");
		check_place(&t, name, 6, "1 5 2 9 8190 10");
	}
	z5_topo_free(&t);
}

/* Nodes put by hand: node n is on CPUs as of[cpu] says. */
static enum z5_locality locality(const char *name, unsigned int cpus, const int *of, const int *package)
{
	enum z5_locality word;
	struct z5_topo t;
	char path[96];

	unfold(name);
	for (unsigned int i = 0; i < cpus; i++) {
		snprintf(path, sizeof(path), CPU_DIR "/cpu%u/node%d/", i, of[i]);
		put(path, "");
		snprintf(path, sizeof(path), CPU_DIR "/cpu%u/topology/physical_package_id", i);
		put(path, package[i] ? "1" : "0");
	}
	if (z5_topo_read(root, &t, NULL))
		return (enum z5_locality)-1;
	word = z5_topo_locality(&t);
	z5_topo_free(&t);
	return word;
}

static void test_locality(void)
{
	static const int none[8] = { 0 }, halves[8] = { 0, 0, 0, 0, 1, 1, 1, 1 };
	struct z5_topo t;

	ok(unfold("epyc-9655-l3numa") && !z5_topo_read(root, &t, NULL) && t.l3s[11].node == 11 &&
		   z5_topo_locality(&t) == Z5_LOCALITY_SRAT_LLC,
	   "a node for each L3 is srat-llc");
	z5_topo_free(&t);
	ok(unfold("epyc-9655-nps1") && !z5_topo_read(root, &t, NULL) && z5_topo_locality(&t) == Z5_LOCALITY_NONE,
	   "NPS1 is none");
	z5_topo_free(&t);
	ok(locality("vm-no-l3", 8, halves, halves) == Z5_LOCALITY_NONE, "no L3 known: none");
	ok(locality("two-sockets", 8, halves, halves) == Z5_LOCALITY_NONE, "a node a package: none within one");
	ok(locality("two-sockets", 8, none, halves) == Z5_LOCALITY_NONE, "no nodes: none");
	ok(locality("two-sockets", 8, halves, none) == Z5_LOCALITY_QUADRANT, "halves of a package");
}

static void test_nothing(void)
{
	struct z5_topo t = { 0 };

	clear();
	mkdir(root, 0755);
	ok(!z5_topo_read(root, &t, NULL) && t.n_cpus == 1 && t.n_cores == 1 && t.n_l3s == 1 &&
		   sound(&t),
	   "no sysfs at all: one CPU in one domain");
	check_place(&t, "no sysfs", 3, "0 0 0");
	z5_topo_free(&t);

	put(CPU_DIR "/online", "0-3\\n");
	ok(!z5_topo_read(root, &t, NULL) && t.n_cpus == 4 && t.n_cores == 4 && t.n_l3s == 1 &&
		   sound(&t),
	   "nothing but the list: four cores in one domain");
	z5_topo_free(&t);

	put(CPU_DIR "/online", "7-3,x,,99999999999-2,-5,9-\\n");
	put(CPU_DIR "/cpu0/topology/core_cpus_list", "garbage");
	put(CPU_DIR "/cpu0/cache/index0/level", "3");
	put(CPU_DIR "/cpu0/cache/index0/shared_cpu_list", "-");
	ok(!z5_topo_read(root, &t, NULL) && sound(&t), "nonsense: still a machine");
	z5_topo_free(&t);

	put(CPU_DIR "/cpu0/topology/physical_package_id", "2147483647");
	put(CPU_DIR "/cpu0/cache/index0/level", "33333333333333333333");
	put(CPU_DIR "/cpu0/node99999999999/", "");
	ok(!z5_topo_read(root, &t, NULL) && sound(&t) && t.cpus[0].node == -1 && t.cpus[0].package == 0,
	   "numbers that no kernel gives: unknown");
	z5_topo_free(&t);
	z5_topo_free(&t);
	ok(!t.cpus && !t.n_cpus, "free leaves all zero, and takes that");
}

/* The quota of a line of cpu.max. */
static unsigned int quota(const char *text)
{
	put("proc/self/cgroup", "0::/\\n");
	put("proc/self/mountinfo", "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\\n");
	put("sys/fs/cgroup/cpu.max", text);
	return z5_cgroup_cpus(root);
}

static void test_quota(void)
{
	struct z5_topo t = { 0 };

	ok(quota("max 100000\\n") == 0, "max is no quota");
	ok(quota("100000 100000\\n") == 1, "1 CPU");
	ok(quota("1000 100000\\n") == 1, "a hundredth is 1 CPU");
	ok(quota("100001 100000\\n") == 2, "a little more than 1 is 2");
	ok(!quota("") && !quota("\\n") && !quota("5") && !quota("5 0") && !quota("-1 100") &&
		   !quota("0 100"),
	   "nonsense is no quota");
	if (unfold("ryzen-9950x")) {
		quota("400000 100000\\n");
		ok(!z5_topo_read(root, &t, NULL) && t.quota == 4, "four CPUs of a 9950X");
		check_place(&t, "quota", 0, "0 1 8 9");
		check_place(&t, "quota", 6, "0 1 2 8 9 10");
		z5_topo_free(&t);
	}
}

/* In a child: the affinity of the test itself stays. */
static int restricted(void)
{
	struct z5_mask mask;
	struct z5_topo t;
	int cpu, ret;

	if (sched_getaffinity(0, sizeof(mask), mask.set) < 0)
		return 2;
	for (cpu = Z5_MASK_CPUS - 1; cpu > 0 && !CPU_ISSET_S(cpu, sizeof(mask), mask.set); cpu--)
		;
	CPU_ZERO_S(sizeof(mask), mask.set);
	CPU_SET_S(cpu, sizeof(mask), mask.set);
	if (sched_setaffinity(0, sizeof(mask), mask.set) < 0)
		return 2;
	if (z5_topo_read("", &t, NULL))
		return 1;
	ret = t.n_cpus == 1 && t.cpus[0].cpu == cpu && sound(&t) ? 0 : 1;
	z5_topo_free(&t);
	return ret;
}

static void test_here(void)
{
	struct z5_topo t = { 0 };
	struct z5_mask mask;
	int status = 0;
	pid_t pid;

	if (!ok(!z5_topo_read("", &t, NULL) && sound(&t), "this machine is sound"))
		return;
	diag("%u CPUs, %u cores, %u L3 domains, the first of %llu KiB on node %d, quota %u",
	     t.n_cpus, t.n_cores, t.n_l3s, (unsigned long long)t.l3s[0].bytes >> 10, t.l3s[0].node,
	     t.quota);
	if (sched_getaffinity(0, sizeof(mask), mask.set) >= 0)
		ok((int)t.n_cpus == CPU_COUNT_S(sizeof(mask), mask.set),
		   "as many CPUs as we may use");
	check_all_places(&t, "this machine");
	z5_topo_free(&t);

	pid = fork();
	if (!pid)
		_exit(restricted());
	waitpid(pid, &status, 0);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		skip("affinity cannot be set");
	else
		ok(WIFEXITED(status) && !WEXITSTATUS(status), "restricted to one CPU, sees one");
}

int main(void)
{
	if (!mkdtemp(root)) {
		skip("no directory in /tmp");
		return done();
	}
	test_9950x();
	test_hx370();
	test_epyc();
	test_vm();
	test_holes();
	test_locality();
	test_nothing();
	test_quota();
	test_here();
	clear();
	return done();
}
