// SPDX-License-Identifier: MIT
/*
 * Regions of the module zen5mem: 1 GiB pages that it reserved or finds at run time, and 2 MiB pages where a GiB is not
 * to be had or not needed.
 */
#include <mem/device.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mem/backend.h>
#include <mem/pages.h>

int z5_dev_ioctl(int fd, unsigned long cmd, void *arg)
{
	int ret;

	do {
		ret = ioctl(fd, cmd, arg);
	} while (ret < 0 && errno == EINTR);
	return ret < 0 ? -errno : ret;
}

static void dev_open_refused(int error, char *why, size_t why_len)
{
	struct stat st;

	if (error == ENOENT || error == ENODEV || error == ENXIO)
		snprintf(why, why_len, "no " Z5M_DEVICE " (modprobe zen5mem)");
	else if (error != EACCES || stat(Z5M_DEVICE, &st))
		snprintf(why, why_len, Z5M_DEVICE ": %s", strerror(error));
	else if (st.st_gid)
		snprintf(why, why_len, Z5M_DEVICE " is for the group zen5mem (usermod -aG zen5mem USER, log in anew)");
	else
		snprintf(why, why_len, Z5M_DEVICE " is root's alone: the udev rule for the group zen5mem is missing");
}

int z5_dev_open(struct z5m_version *v, char *why, size_t why_len)
{
	int fd = open(Z5M_DEVICE, O_RDWR | O_CLOEXEC), ret;

	memset(v, 0, sizeof(*v));
	if (fd < 0) {
		ret = -errno;
		dev_open_refused(-ret, why, why_len);
		return ret;
	}
	ret = z5_dev_ioctl(fd, Z5M_IOC_VERSION, v);
	if (ret < 0) {
		snprintf(why, why_len, Z5M_DEVICE " does not say its version: %s", strerror(-ret));
	} else if (v->abi != Z5M_ABI) {
		snprintf(why, why_len, "the module speaks ABI %u and this program %d: install them together", v->abi,
			 Z5M_ABI);
		ret = -EPROTO;
	}
	if (ret < 0) {
		close(fd);
		return ret;
	}
	return fd;
}

bool z5_dev_name_ok(const char *text)
{
	static const char first[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	static const char all[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz._:@+-";
	size_t len = strlen(text);

	return len && len < Z5M_NAME_LEN && strchr(first, *text) && strspn(text, all) == len;
}

void z5_dev_create_refused(const struct z5m_version *v, const struct z5m_create *c, int ret, char *why,
			   size_t why_len)
{
	struct rlimit lim;

	switch (ret) {
	case -EPERM:
		if (getrlimit(RLIMIT_MEMLOCK, &lim))
			lim.rlim_cur = 0;
		snprintf(why, why_len, "needs %s locked, the limit is %s (ulimit -l; \"memlock\" in limits.conf)",
			 z5_size_text(c->size).s, z5_size_text(lim.rlim_cur).s);
		break;
	case -EDQUOT:
		snprintf(why, why_len, "needs %s, %s of the module's %s are in use (parameter max_gib)",
			 z5_size_text(c->size).s, z5_size_text(v->used_bytes).s, z5_size_text(v->max_bytes).s);
		break;
	case -ENOMEM:
		snprintf(why, why_len, "needs %s, the module finds no memory for it", z5_size_text(c->size).s);
		break;
	case -ENODEV:
		snprintf(why, why_len, "no %s %u with memory", c->place == Z5M_PLACE_CCD ? "L3 domain" : "node",
			 c->place_id);
		break;
	case -EEXIST:
		snprintf(why, why_len, "the name is taken");
		break;
	default:
		snprintf(why, why_len, "a region of %s: %s", z5_size_text(c->size).s, strerror(-ret));
		break;
	}
}

uint64_t z5_dev_pages(const struct z5m_info *info, char *text, size_t len)
{
	const struct {
		uint64_t bytes, page;
		const char *name;
	} part[] = {
		{ info->bytes_1g, Z5_1G, "1 GiB" }, { info->bytes_2m, Z5_2M, "2 MiB" }, { info->bytes_4k, Z5_4K, "4 KiB" },
	};
	uint64_t smallest = Z5_4K;
	size_t at = 0;

	*text = '\0';
	for (unsigned int i = 0; i < 3; i++) {
		if (!part[i].bytes)
			continue;
		smallest = part[i].page;
		if (at < len)
			at += (size_t)snprintf(text + at, len - at, "%s%" PRIu64 " x %s", at ? " + " : "",
					       part[i].bytes / part[i].page, part[i].name);
	}
	return smallest;
}

int z5_dev_map(struct z5_region *r, int fd, bool writable, char *why, size_t why_len)
{
	struct z5m_populate populate = { 0 };
	struct z5m_info info = { 0 };
	void *addr;
	int ret;

	ret = z5_dev_ioctl(fd, Z5M_IOC_INFO, &info);
	if (ret < 0) {
		snprintf(why, why_len, "the region does not say what it is: %s", strerror(-ret));
		return ret;
	}
	if (info.size > SIZE_MAX / 2 || info.size < r->asked) {
		snprintf(why, why_len, "the region has %" PRIu64 " bytes where %zu are expected",
			 (uint64_t)info.size, r->asked);
		return -EINVAL;
	}
	addr = mmap(NULL, info.size, writable ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
	if (addr == MAP_FAILED) {
		ret = -errno;
		z5_mem_refused(why, why_len, info.size, -ret);
		return ret;
	}
	/* What is not populated costs a fault at its first touch and nothing else: no reason to do without. */
	populate.addr = (uintptr_t)addr;
	populate.len = info.size;
	z5_dev_ioctl(fd, Z5M_IOC_POPULATE, &populate);
	r->addr = addr;
	r->size = info.size;
	r->page = z5_dev_pages(&info, r->pages, sizeof(r->pages));
	return 0;
}

/* Windows that wait in the reserves, which MemAvailable does not count. */
static uint64_t dev_reserve(int fd, const struct z5m_version *v)
{
	uint64_t sum = 0;

	for (uint32_t n = 0; n < v->n_nodes && n < 1024; n++) {
		struct z5m_node node = { .node = n };

		if (z5_dev_ioctl(fd, Z5M_IOC_NODE, &node) >= 0)
			sum += (uint64_t)node.reserve << 30;
	}
	return sum;
}

/*
 * The module rounds up to 2 MiB and makes the last slot of 2 MiB pages if it is less than 1 GiB, so a window is never
 * taken for a small rest: 1.3 GiB are one page of 1 GiB and 154 of 2 MiB. Only a rest that comes within 64 MiB of a
 * window is given a whole one, and what is smaller than that altogether asks for 2 MiB pages at once.
 */
static void dev_choose(struct z5m_create *c)
{
	const uint64_t rest = c->size & (Z5_1G - 1);

	if (rest >= Z5_1G - (64 << 20))
		c->size += Z5_1G - rest;
	c->page_order = c->size >= Z5_1G ? Z5M_ORDER_1G : Z5M_ORDER_2M;
}

/*
 * Placed near the CPU that asks, other nodes rather than smaller pages: one region is read by the threads of all L3
 * domains, none of which it could be nearest to for all.
 */
int z5_dev_create(struct z5_region *r, size_t extra, bool small_pages, char *why, size_t why_len)
{
	struct z5m_create c = { .place = Z5M_PLACE_ANY };
	uint64_t available;
	struct z5m_version v;
	int dev, fd, ret;

	if (__builtin_add_overflow(r->asked, extra, &c.size) || c.size > SIZE_MAX / 4) {
		snprintf(why, why_len, "%zu bytes in whole pages do not fit the address space", r->asked);
		return -EOVERFLOW;
	}
	dev_choose(&c);
	dev = z5_dev_open(&v, why, why_len);
	if (dev < 0)
		return dev;
	/* Where nothing is known there is no limit; pages are refused by the kernel in the end. */
	available = z5_meminfo("", "MemAvailable:");
	if (available < c.size && __builtin_add_overflow(available, dev_reserve(dev, &v), &available))
		available = UINT64_MAX;
	if (available < c.size) {
		snprintf(why, why_len, "needs %s, %s available (free memory and the module's reserve)",
			 z5_size_text(c.size).s, z5_size_text(available).s);
		close(dev);
		return -ENOMEM;
	}
	fd = z5_dev_ioctl(dev, Z5M_IOC_CREATE, &c);
	if (fd < 0)
		z5_dev_create_refused(&v, &c, fd, why, why_len);
	close(dev);
	if (fd < 0)
		return fd;
	if (c.min_order < Z5M_ORDER_2M && !small_pages) {
		snprintf(why, why_len, "memory is too fragmented, some of it would be in pages of 4 KiB");
		close(fd);
		return -ENOMEM;
	}
	ret = z5_dev_map(r, fd, true, why, why_len);
	if (ret) {
		close(fd);
		return ret;
	}
	return fd;
}

int z5_device_alloc(struct z5_region *r, char *why, size_t why_len)
{
	int fd = z5_dev_create(r, 0, false, why, why_len);

	if (fd < 0)
		return fd;
	/* The mapping keeps it. */
	close(fd);
	return 0;
}

void z5_device_free(struct z5_region *r)
{
	if (r->open)
		close(r->fd);
	munmap(r->addr, r->size);
}
