// SPDX-License-Identifier: MIT
/*
 * A recording: the CPUID leaves and the files that a report is made of, and nothing else. No serial number, host
 * name, boot parameter, mount or control group goes into it.
 */
#include "detect.h"

#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <topo/cgroup.h>

#include "common.h"

/* Leaves that say what a CPU is and can do; { leaf, number of sub-leaves }. Leaf 3, the serial number, is not one. */
static const struct {
	uint32_t leaf, subs;
} leaves[] = {
	{ 0, 1 }, { 1, 1 }, { 7, 2 }, { 0xd, 1 }, { 0xf, 2 }, { 0x10, 2 }, { 0x40000000, 1 },
	{ 0x80000000, 1 }, { 0x80000001, 1 }, { 0x80000002, 1 }, { 0x80000003, 1 }, { 0x80000004, 1 },
	{ 0x80000008, 1 }, { 0x8000001a, 1 }, { 0x8000001d, 5 }, { 0x80000020, 4 }, { 0x80000021, 1 },
	{ 0x80000022, 1 }, { 0x80000026, 4 },
};

/* Files, as glob(7) patterns. */
static const char *const files[] = {
	"/sys/devices/system/cpu/online",
	"/sys/devices/system/cpu/cpu[0-9]*/topology/physical_package_id",
	"/sys/devices/system/cpu/cpu[0-9]*/topology/core_cpus_list",
	"/sys/devices/system/cpu/cpu[0-9]*/topology/thread_siblings_list",
	"/sys/devices/system/cpu/cpu[0-9]*/cache/index*/level",
	"/sys/devices/system/cpu/cpu[0-9]*/cache/index*/size",
	"/sys/devices/system/cpu/cpu[0-9]*/cache/index*/shared_cpu_list",
	"/sys/devices/system/node/online",
	"/sys/devices/system/node/node[0-9]*/distance",
	"/sys/devices/system/node/node[0-9]*/meminfo",
	"/sys/devices/system/node/node[0-9]*/hugepages/*/*_hugepages",
	"/sys/kernel/mm/hugepages/*/*_hugepages",
	"/sys/kernel/mm/transparent_hugepage/enabled",
	"/sys/kernel/mm/transparent_hugepage/hugepages-2048kB/enabled",
	"/sys/bus/event_source/devices/amd_*/cpumask",
	"/sys/fs/resctrl/info/L3_MON/mon_features",
	"/proc/meminfo",
	"/proc/filesystems",
	"/proc/sys/kernel/perf_event_paranoid",
	"/proc/sys/kernel/osrelease",
};

/* Of these the names alone count. */
static const char *const directories[] = {
	"/sys/devices/system/cpu/cpu[0-9]*/node[0-9]*",
	"/sys/fs/resctrl/info",
	"/dev/zen5mem",
};

/* dir + path, with all directories on the way. */
static void make_path(char full[PATH_MAX], const char *dir, const char *path)
{
	if (snprintf(full, PATH_MAX, "%s%s", dir, path) >= PATH_MAX)
		die("%s%s: path too long", dir, path);
	for (char *p = full + strlen(dir) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		if (mkdir(full, 0777) && errno != EEXIST)
			die("%s: %s", full, strerror(errno));
	}
}

static void put(const char *dir, const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;
	int bad;

	make_path(full, dir, path);
	f = fopen(full, "we");
	bad = !f || fputs(text, f) < 0;
	if ((f && fclose(f)) || bad)
		die("%s: %s", full, strerror(errno));
}

static void record_cpuid(const struct machine *m, const char *dir)
{
	char *text = NULL;
	struct z5_leaf l;
	size_t len;
	FILE *f = open_memstream(&text, &len);

	if (!f)
		die("out of memory");
	fprintf(f, "CPU:\nxcr0=0x%llx\n", (unsigned long long)z5_cpuid_xcr0(&m->cpuid));
	for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
		for (uint32_t sub = 0; sub < leaves[i].subs; sub++) {
			if (!z5_cpuid_get(&m->cpuid, leaves[i].leaf, sub, &l))
				continue;
			/* the number of the CPU that this ran on is nobody's business and differs each time */
			if (l.leaf == 1)
				l.b &= 0x00ffffff;
			if (l.leaf == 0x80000026)
				l.d = 0;
			fprintf(f, "   0x%08x 0x%02x: eax=0x%08x ebx=0x%08x ecx=0x%08x edx=0x%08x\n", l.leaf, l.sub,
				l.a, l.b, l.c, l.d);
		}
	}
	if (fclose(f))
		die("out of memory");
	put(dir, "/cpuid.txt", text);
	free(text);
}

/* Calls fn for each path of the machine that fits the pattern. */
static void each(const char *root, const char *pattern, const char *dir,
		 void (*fn)(const char *root, const char *path, const char *dir))
{
	char full[PATH_MAX];
	glob_t g = { 0 };

	if (snprintf(full, sizeof(full), "%s%s", root, pattern) >= (int)sizeof(full))
		return;
	if (!glob(full, 0, NULL, &g))
		for (size_t i = 0; i < g.gl_pathc; i++)
			fn(root, g.gl_pathv[i] + strlen(root), dir);
	globfree(&g);
}

static void copy_file(const char *root, const char *path, const char *dir)
{
	char text[16384];

	/* What may not be read is as good as absent, for the report too. */
	if (z5_read_text(root, path, text, sizeof(text) - 1) < 0)
		return;
	strcat(text, "\n");
	put(dir, path, text);
}

static void copy_name(const char *root, const char *path, const char *dir)
{
	char full[PATH_MAX];

	(void)root;
	make_path(full, dir, path);
	if (mkdir(full, 0777) && errno != EEXIST)
		die("%s: %s", full, strerror(errno));
}

void record(const struct machine *m, const char *dir)
{
	if (mkdir(dir, 0777))
		die("%s: %s", dir, strerror(errno));
	record_cpuid(m, dir);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		each(m->root, files[i], dir, copy_file);
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
		each(m->root, directories[i], dir, copy_name);
}
