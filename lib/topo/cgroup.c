// SPDX-License-Identifier: MIT
#include <topo/cgroup.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int z5_read_text(const char *sysroot, const char *path, char *buf, size_t len)
{
	char full[PATH_MAX];
	size_t got = 0;
	ssize_t n;
	int fd;

	buf[0] = '\0';
	if (snprintf(full, sizeof(full), "%s%s", sysroot, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	fd = open(full, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	do {
		n = read(fd, buf + got, len - 1 - got);
		got += n > 0 ? n : 0;
	} while (n > 0 || (n < 0 && errno == EINTR));
	n = n < 0 ? -errno : 0;
	close(fd);
	if (got && buf[got - 1] == '\n')
		got--;
	buf[got] = '\0';
	return n < 0 ? (int)n : (int)got;
}

/* One hierarchy that may bind us: where it is mounted, and our own place below that. */
struct cgroup_dir {
	bool v2;
	size_t mount_len;	/* the part of path that is the mount point */
	char path[PATH_MAX];
};

/* Sums up one level; called from the process' own group up to the mount point. */
typedef void (*cgroup_fn)(const char *sysroot, const struct cgroup_dir *dir, void *arg);

static int cgroup_read(const char *sysroot, const struct cgroup_dir *dir, const char *file,
		       char *buf, size_t len)
{
	char path[PATH_MAX + 64];

	snprintf(path, sizeof(path), "%s/%s", dir->path, file);
	return z5_read_text(sysroot, path, buf, len);
}

/* True with the value if the file holds a number; "max" and v1's -1 are none. */
static bool cgroup_number(const char *sysroot, const struct cgroup_dir *dir, const char *file,
			  uint64_t *value)
{
	char buf[64], *end;

	if (cgroup_read(sysroot, dir, file, buf, sizeof(buf)) <= 0 || buf[0] < '0' || buf[0] > '9')
		return false;
	*value = strtoull(buf, &end, 10);
	return !*end;
}

/* The field of a line of memory.stat; 0 if there is none. */
static uint64_t cgroup_stat(const char *stat, const char *field)
{
	size_t len = strlen(field);
	const char *line;

	for (line = stat; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, field, len) && line[len] == ' ')
			return strtoull(line + len + 1, NULL, 10);
	}
	return 0;
}

/* True if list, "a,b,c", has the word. */
static bool cgroup_has(const char *list, const char *word)
{
	size_t len = strlen(word);
	const char *p;

	for (p = list; (p = strstr(p, word)); p += len)
		if ((p == list || p[-1] == ',') && (!p[len] || p[len] == ','))
			return true;
	return false;
}

/* /proc writes blanks and backslashes of a path as \040 and the like. */
static void cgroup_unescape(char *s)
{
	char *to = s;

	while (*s) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] && s[3]) {
			*to++ = (s[1] - '0') * 64 + (s[2] - '0') * 8 + (s[3] - '0');
			s += 4;
		} else {
			*to++ = *s++;
		}
	}
	*to = '\0';
}

/* Our path in the hierarchy, from /proc/self/cgroup: "5:cpu,cpuacct:/path", v2 "0::/path". */
static bool cgroup_own_path(FILE *f, bool v2, const char *controller, char *path, size_t len)
{
	char line[PATH_MAX + 256], *list, *p;

	rewind(f);
	while (fgets(line, sizeof(line), f)) {
		line[strcspn(line, "\n")] = '\0';
		list = strchr(line, ':');
		p = list ? strchr(list + 1, ':') : NULL;
		if (!p)
			continue;
		*p++ = '\0';
		if (v2 ? !strncmp(line, "0:", 2) && !list[1] : cgroup_has(list + 1, controller))
			return snprintf(path, len, "%s", p) < (int)len;
	}
	return false;
}

/*
 * A line of /proc/self/mountinfo: "id parent major:minor root mountpoint options [tags] - type
 * source super-options". Only our own path is relative to the hierarchy, root is what is mounted
 * of it.
 */
static bool cgroup_mount(char *line, FILE *self, const char *controller, struct cgroup_dir *dir)
{
	char own[PATH_MAX], *root, *mount, *rest, *type, *super, *save;
	size_t len;
	int i;

	line[strcspn(line, "\n")] = '\0';
	rest = strstr(line, " - ");
	if (!rest)
		return false;
	*rest = '\0';
	type = strtok_r(rest + 3, " ", &save);
	super = type ? strtok_r(NULL, " ", &save) : NULL;
	super = super ? strtok_r(NULL, " ", &save) : NULL;
	if (!super || (strcmp(type, "cgroup2") && strcmp(type, "cgroup")))
		return false;
	dir->v2 = !strcmp(type, "cgroup2");
	if (!dir->v2 && !cgroup_has(super, controller))
		return false;

	root = strtok_r(line, " ", &save);
	for (i = 0; i < 3 && root; i++)
		root = strtok_r(NULL, " ", &save);
	mount = root ? strtok_r(NULL, " ", &save) : NULL;
	if (!mount || !cgroup_own_path(self, dir->v2, controller, own, sizeof(own)))
		return false;
	cgroup_unescape(root);
	cgroup_unescape(mount);
	cgroup_unescape(own);

	/*
	 * Outside what is mounted, or above the root of our namespace ("/.."): the mount point is
	 * the nearest that we can see.
	 */
	len = strcmp(root, "/") ? strlen(root) : 0;
	if (strncmp(own, root, len) || (own[len] && own[len] != '/') || strstr(own, "/.."))
		own[len = 0] = '\0';
	dir->mount_len = strlen(mount);
	i = snprintf(dir->path, sizeof(dir->path), "%s%s", mount, own + len);
	if (i >= (int)sizeof(dir->path))
		return false;
	while (i > (int)dir->mount_len && dir->path[i - 1] == '/')
		dir->path[--i] = '\0';
	return true;
}

static void cgroup_walk(const char *sysroot, const char *controller, cgroup_fn fn, void *arg)
{
	char path[PATH_MAX], line[2 * PATH_MAX];
	struct cgroup_dir dir;
	FILE *self, *mounts;

	if (snprintf(path, sizeof(path), "%s/proc/self/cgroup", sysroot) >= (int)sizeof(path))
		return;
	self = fopen(path, "re");
	snprintf(path, sizeof(path), "%s/proc/self/mountinfo", sysroot);
	mounts = fopen(path, "re");
	while (self && mounts && fgets(line, sizeof(line), mounts)) {
		if (!cgroup_mount(line, self, controller, &dir))
			continue;
		for (;;) {
			fn(sysroot, &dir, arg);
			if (strlen(dir.path) <= dir.mount_len)
				break;
			*strrchr(dir.path, '/') = '\0';
		}
	}
	if (self)
		fclose(self);
	if (mounts)
		fclose(mounts);
}

static void cgroup_cpu(const char *sysroot, const struct cgroup_dir *dir, void *arg)
{
	uint64_t quota, period, cpus;
	unsigned int *least = arg;
	char buf[64], *end;

	if (dir->v2) {
		if (cgroup_read(sysroot, dir, "cpu.max", buf, sizeof(buf)) <= 0 ||
		    buf[0] < '0' || buf[0] > '9')
			return;
		quota = strtoull(buf, &end, 10);
		period = strtoull(end, NULL, 10);
	} else if (!cgroup_number(sysroot, dir, "cpu.cfs_quota_us", &quota) ||
		   !cgroup_number(sysroot, dir, "cpu.cfs_period_us", &period)) {
		return;
	}
	if (!quota || !period)
		return;
	cpus = quota / period + !!(quota % period);
	if (cpus <= INT_MAX && (!*least || cpus < *least))
		*least = cpus;
}

unsigned int z5_cgroup_cpus(const char *sysroot)
{
	unsigned int least = 0;

	cgroup_walk(sysroot, "cpu", cgroup_cpu, &least);
	return least;
}

static void cgroup_mem(const char *sysroot, const struct cgroup_dir *dir, void *arg)
{
	uint64_t limit = UINT64_MAX, high, used, cache, *least = arg;
	char stat[8192] = "";

	if (dir->v2) {
		if (!cgroup_number(sysroot, dir, "memory.max", &limit))
			limit = UINT64_MAX;
		/* Not fatal to exceed, but then the kernel slows us down to a crawl. */
		if (cgroup_number(sysroot, dir, "memory.high", &high) && high < limit)
			limit = high;
	} else if (!cgroup_number(sysroot, dir, "memory.limit_in_bytes", &limit)) {
		return;
	}
	/* v1 writes "none" as the largest number of pages. */
	if (limit >= INT64_MAX - 65535)
		return;
	if (!cgroup_number(sysroot, dir, dir->v2 ? "memory.current" : "memory.usage_in_bytes",
			   &used))
		used = 0;
	if (cgroup_read(sysroot, dir, "memory.stat", stat, sizeof(stat)) < 0)
		stat[0] = '\0';
	if (dir->v2)
		cache = cgroup_stat(stat, "inactive_file") + cgroup_stat(stat, "active_file");
	else
		cache = cgroup_stat(stat, "total_inactive_file") +
			cgroup_stat(stat, "total_active_file");
	used -= cache < used ? cache : used;
	limit -= used < limit ? used : limit;
	if (limit < *least)
		*least = limit;
}

uint64_t z5_cgroup_mem_available(const char *sysroot)
{
	uint64_t least = UINT64_MAX;

	cgroup_walk(sysroot, "memory", cgroup_mem, &least);
	return least;
}
