/* SPDX-License-Identifier: MIT */
/*
 * A stand-in for /dev/zen5mem on machines without it: open(2) and ioctl(2) of the program that includes this, or under
 * LD_PRELOAD of any, over ordinary files in the directory $FAKEDEV. A region is a file, a name its name, what else
 * there is to know of it lies in meta/INODE. The rules are those of include/uapi/linux/zen5mem.h as far as user space
 * meets them; what the kernel does with pages is tested on the module itself. For tests alone.
 *
 * Environment: FAKEDEV_OPEN, FAKEDEV_CREATE: errno of that call. FAKEDEV_UID: owner of what is created. FAKEDEV_4K:
 * regions get pages of 4 KiB.
 */
#ifndef FAKEDEV_H
#define FAKEDEV_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <uapi/linux/zen5mem.h>

#pragma GCC visibility push(default)
int open(const char *path, int flags, ...);
int ioctl(int fd, unsigned long cmd, ...);
#pragma GCC visibility pop

struct fakedev_meta {
	struct z5m_info info;
	uint32_t order;		/* got */
};

#define FAKEDEV_MAX	((uint64_t)8 << 30)

static int fakedev_fail(int error)
{
	errno = error;
	return -1;
}

static int fakedev_env(const char *name)
{
	const char *text = getenv(name);

	return text ? atoi(text) : 0;
}

static const char *fakedev_path(char path[PATH_MAX], const char *fmt, ...)
{
	const char *dir = getenv("FAKEDEV");
	va_list ap;
	int n;

	n = snprintf(path, PATH_MAX, "%s/", dir ? dir : "/nonexistent");
	va_start(ap, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	vsnprintf(path + n, PATH_MAX - (size_t)n, fmt, ap);
#pragma GCC diagnostic pop
	va_end(ap);
	return path;
}

static int fakedev_openat(const char *path, int flags, int mode)
{
	return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* What is kept of inode ino, or of something else by number; false if there is nothing. */
static bool fakedev_load(uint64_t ino, void *p, size_t n)
{
	char path[PATH_MAX];
	int fd = fakedev_openat(fakedev_path(path, "meta/%llu", (unsigned long long)ino), O_RDONLY | O_CLOEXEC, 0);
	bool there = fd >= 0 && read(fd, p, n) == (ssize_t)n;

	if (fd >= 0)
		close(fd);
	return there;
}

static void fakedev_store(uint64_t ino, const void *p, size_t n)
{
	char path[PATH_MAX];
	int fd = fakedev_openat(fakedev_path(path, "meta/%llu", (unsigned long long)ino),
				O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd >= 0 && write(fd, p, n) != (ssize_t)n)
		abort();
	if (fd >= 0)
		close(fd);
}

static bool fakedev_name_ok(const char *name)
{
	size_t len = strnlen(name, Z5M_NAME_LEN);

	if (!len || len == Z5M_NAME_LEN || strchr("._:@+-", *name))
		return false;
	return strspn(name, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ._:@+-") == len;
}

static int fakedev_meta(int fd, struct fakedev_meta *m)
{
	struct stat st;

	if (fstat(fd, &st) || !fakedev_load(st.st_ino, m, sizeof(*m)))
		return fakedev_fail(ENOTTY);
	return 0;
}

static bool fakedev_writable(int fd)
{
	return (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDWR;
}

/* Whether this process maps the region for writing. */
static unsigned int fakedev_maps(uint64_t ino, bool writable)
{
	unsigned long long at;
	unsigned int n = 0;
	char line[4352], perm[8];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		n += sscanf(line, "%*s %4s %*s %*s %llu", perm, &at) == 2 && at == ino && (!writable || perm[1] == 'w');
	if (f)
		fclose(f);
	return n;
}

static int fakedev_name(int fd, const char *name)
{
	char from[64], path[PATH_MAX];
	struct fakedev_meta m;

	if (!fakedev_name_ok(name))
		return fakedev_fail(EINVAL);
	if (fakedev_meta(fd, &m))
		return -1;
	if (!fakedev_writable(fd))
		return fakedev_fail(EBADF);
	if (m.info.flags & Z5M_REGION_NAMED)
		return fakedev_fail(EBUSY);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", fd);
	m.info.flags |= Z5M_REGION_NAMED;
	strcpy(m.info.name, name);
	if (linkat(AT_FDCWD, from, AT_FDCWD, fakedev_path(path, "%s", name), AT_SYMLINK_FOLLOW))
		return -1;
	fakedev_store(m.info.id, &m, sizeof(m));
	return 0;
}

static int fakedev_create(struct z5m_create *c)
{
	uint64_t page = c->page_order >= Z5M_ORDER_2M ? 2 << 20 : 4096;
	struct fakedev_meta m = { .order = c->page_order };
	char path[PATH_MAX];
	struct stat st;
	int fd;

	if (fakedev_env("FAKEDEV_CREATE"))
		return fakedev_fail(fakedev_env("FAKEDEV_CREATE"));
	if (!c->size || c->flags > 7 || (c->page_order != Z5M_ORDER_4K && c->page_order != Z5M_ORDER_2M &&
	    c->page_order != Z5M_ORDER_1G) || c->place > Z5M_PLACE_NODE || (*c->name && !fakedev_name_ok(c->name)))
		return fakedev_fail(EINVAL);
	if (c->place_id)
		return fakedev_fail(c->place == Z5M_PLACE_ANY ? EINVAL : ENODEV);
	if (c->flags & Z5M_CREATE_STRICT && c->size & (((uint64_t)4096 << c->page_order) - 1))
		return fakedev_fail(EINVAL);
	c->size = (c->size + page - 1) & ~(page - 1);
	if (c->size > FAKEDEV_MAX)
		return fakedev_fail(EDQUOT);
	fd = fakedev_openat(fakedev_path(path, "."), O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	if (fd < 0 || ftruncate(fd, (off_t)c->size) || fstat(fd, &st))
		return fakedev_fail(EIO);
	if (fakedev_env("FAKEDEV_4K"))
		m.order = Z5M_ORDER_4K;
	c->n_windows = m.order == Z5M_ORDER_1G ? c->size >> 30 : 0;
	c->min_order = m.order == Z5M_ORDER_1G && c->size & 0x3fffffff ? Z5M_ORDER_2M : m.order;
	c->id = st.st_ino;
	m.info = (struct z5m_info){
		.id = st.st_ino, .size = c->size, .page_order = c->page_order,
		.place = c->place, .place_id = c->place_id,
		.uid = getenv("FAKEDEV_UID") ? (uint32_t)fakedev_env("FAKEDEV_UID") : geteuid(), .created_ns = st.st_ino,
		.bytes_1g = (uint64_t)c->n_windows << 30,
	};
	*(m.order ? &m.info.bytes_2m : &m.info.bytes_4k) = c->size - m.info.bytes_1g;
	fakedev_store(st.st_ino, &m, sizeof(m));
	if (*c->name && fakedev_name(fd, c->name)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int fakedev_open_region(const struct z5m_open *o)
{
	struct fakedev_meta m;
	char path[PATH_MAX];
	int fd;

	if (o->reserved || o->flags > 1 || !fakedev_name_ok(o->name))
		return fakedev_fail(EINVAL);
	fd = fakedev_openat(fakedev_path(path, "%s", o->name), (o->flags ? O_RDWR : O_RDONLY) | O_CLOEXEC, 0);
	if (fd >= 0 && !fakedev_meta(fd, &m) && o->flags &&
	    (m.info.uid != geteuid() || m.info.flags & Z5M_REGION_SEALED)) {
		close(fd);
		return fakedev_fail(m.info.uid != geteuid() ? EACCES : EPERM);
	}
	return fd;
}

static int fakedev_destroy(const struct z5m_destroy *d)
{
	struct fakedev_meta m = { .order = 0 };
	char path[PATH_MAX];
	struct stat st;

	if (!fakedev_name_ok(d->name) || d->flags)
		return fakedev_fail(EINVAL);
	if (stat(fakedev_path(path, "%s", d->name), &st) || !fakedev_load(st.st_ino, &m, sizeof(m)))
		return fakedev_fail(ENOENT);
	if (m.info.uid != geteuid() && geteuid())
		return fakedev_fail(EPERM);
	m.info.flags &= ~Z5M_REGION_NAMED;
	*m.info.name = '\0';
	fakedev_store(st.st_ino, &m, sizeof(m));
	return unlink(path);
}

static int fakedev_list(int dev, struct z5m_info *info)
{
	struct fakedev_meta m = { .order = 0 }, best = { .order = 0 };
	uint64_t after = info->after;
	char path[PATH_MAX], events[4096];
	struct dirent *e;
	DIR *d;

	while (!after && read(dev, events, sizeof(events)) > 0)
		;
	d = opendir(fakedev_path(path, "."));
	while (d && (e = readdir(d)))
		if (fakedev_load(e->d_ino, &m, sizeof(m)) && m.info.id > after && m.info.flags & Z5M_REGION_NAMED &&
		    (!best.info.id || m.info.id < best.info.id))
			best = m;
	if (d)
		closedir(d);
	if (!best.info.id)
		return fakedev_fail(ENOENT);
	*info = best.info;
	info->after = after;
	return 0;
}

static int fakedev_seal(int fd)
{
	struct fakedev_meta m;

	if (fakedev_meta(fd, &m))
		return -1;
	if (!fakedev_writable(fd))
		return fakedev_fail(EBADF);
	if (fakedev_maps(m.info.id, true))
		return fakedev_fail(EBUSY);
	m.info.flags |= Z5M_REGION_SEALED;
	fakedev_store(m.info.id, &m, sizeof(m));
	return 0;
}

static int fakedev_slots(int fd, struct z5m_slots *s)
{
	struct fakedev_meta m;
	struct z5m_slot *to = (struct z5m_slot *)(uintptr_t)s->slots;
	uint32_t n = 0;

	if (fakedev_meta(fd, &m))
		return -1;
	s->total = (uint32_t)((m.info.size + 0x3fffffff) >> 30);
	for (uint64_t i = s->first; i < s->total && n < s->count; i++, n++) {
		uint64_t left = m.info.size - (i << 30), bytes = left < 1 << 30 ? left : 1 << 30;
		uint32_t order = m.order == Z5M_ORDER_1G && bytes >> 30 ? Z5M_ORDER_1G : m.order ? Z5M_ORDER_2M : 0;

		to[n] = (struct z5m_slot){ .order = order, .n_pages = (uint32_t)(bytes >> (12 + order)) };
	}
	s->count = n;
	return 0;
}

static int fakedev_reserve(struct z5m_reserve *r)
{
	if (geteuid())
		return fakedev_fail(EPERM);
	if (r->node)
		return fakedev_fail(ENODEV);
	r->got = r->windows < 3 ? r->windows : 3;
	fakedev_store(0, &r->got, sizeof(r->got));
	return 0;
}

static int fakedev_node(struct z5m_node *n)
{
	if (n->node)
		return fakedev_fail(ENOENT);
	fakedev_load(0, &n->reserve, sizeof(n->reserve));
	n->possible = n->flags & Z5M_NODE_SCAN ? 5 : 0;
	return 0;
}

static int fakedev_domain(struct z5m_domain *d)
{
	if (d->index)
		return fakedev_fail(ENOENT);
	d->l3_bytes = 32 << 20;
	d->n_cpus = 2;
	d->cpus[0] = 3;
	return 0;
}

/* -1 with errno set as the kernel's functions return it. */
static int fakedev_ioctl(int fd, unsigned long cmd, void *arg)
{
	struct fakedev_meta m;

	switch (cmd) {
	case Z5M_IOC_VERSION:
		*(struct z5m_version *)arg = (struct z5m_version){ .abi = Z5M_ABI, .features = Z5M_FEATURE_MAP_1G,
			.max_bytes = FAKEDEV_MAX, .n_domains = 1, .n_nodes = 1 };
		return 0;
	case Z5M_IOC_CREATE: return fakedev_create(arg);
	case Z5M_IOC_OPEN: return fakedev_open_region(arg);
	case Z5M_IOC_DESTROY: return fakedev_destroy(arg);
	case Z5M_IOC_LIST: return fakedev_list(fd, arg);
	case Z5M_IOC_DOMAIN: return fakedev_domain(arg);
	case Z5M_IOC_NODE: return fakedev_node(arg);
	case Z5M_IOC_RESERVE: return fakedev_reserve(arg);
	case Z5M_IOC_SLOTS: return fakedev_slots(fd, arg);
	case Z5M_IOC_SEAL: return fakedev_seal(fd);
	case Z5M_IOC_NAME: return fakedev_name(fd, ((struct z5m_name *)arg)->name);
	case Z5M_IOC_POPULATE: return fakedev_meta(fd, &m);
	case Z5M_IOC_INFO:
		if (fakedev_meta(fd, &m))
			return -1;
		*(struct z5m_info *)arg = m.info;
		((struct z5m_info *)arg)->n_maps = fakedev_maps(m.info.id, false);
		return 0;
	default:
		return fakedev_fail(ENOTTY);
	}
}

int ioctl(int fd, unsigned long cmd, ...)
{
	va_list ap;
	void *arg;

	va_start(ap, cmd);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (_IOC_TYPE(cmd) == Z5M_IOC_MAGIC && getenv("FAKEDEV"))
		return fakedev_ioctl(fd, cmd, arg);
	return (int)syscall(SYS_ioctl, fd, cmd, arg);
}

/* Its descriptor is readable when something was created, named, sealed or destroyed. */
static int fakedev_open(void)
{
	char path[PATH_MAX];
	int fd;

	if (fakedev_env("FAKEDEV_OPEN"))
		return fakedev_fail(fakedev_env("FAKEDEV_OPEN"));
	fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	mkdir(fakedev_path(path, "meta"), 0777);
	inotify_add_watch(fd, path, IN_CLOSE_WRITE);
	inotify_add_watch(fd, fakedev_path(path, "."), IN_CREATE | IN_DELETE);
	return fd;
}

int open(const char *path, int flags, ...)
{
	int mode = 0;
	va_list ap;

	if (flags & (O_CREAT | __O_TMPFILE)) {
		va_start(ap, flags);
		mode = va_arg(ap, int);
		va_end(ap);
	}
	if (!strcmp(path, Z5M_DEVICE) && getenv("FAKEDEV"))
		return fakedev_open();
	return fakedev_openat(path, flags, mode);
}

#endif
