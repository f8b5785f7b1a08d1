// SPDX-License-Identifier: MIT
/* What regions there are, for zen5-mem and zen5-top. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"
#include "mem.h"

int mem_regions_read(struct mem_regions *r, int dev)
{
	struct z5m_info info = { 0 };
	int ret;

	*r = (struct mem_regions){ 0 };
	while (!(ret = z5_dev_ioctl(dev, Z5M_IOC_LIST, &info))) {
		struct z5m_info *p = realloc(r->info, (r->n + 1) * sizeof(*p));

		if (!p)
			die("out of memory");
		r->info = p;
		r->info[r->n++] = info;
		/* the next one, whatever the module left in the other fields */
		info = (struct z5m_info){ .after = info.id };
	}
	if (ret == -ENOENT)
		return 0;
	mem_regions_free(r);
	return ret;
}

void mem_regions_free(struct mem_regions *r)
{
	free(r->info);
	*r = (struct mem_regions){ 0 };
}

int mem_region_look(int dev, const struct z5m_info *info)
{
	struct z5m_open o = { .flags = 0 };
	struct z5m_info now = { 0 };
	int fd;

	if (!*info->name)
		return -1;
	memcpy(o.name, info->name, sizeof(o.name));
	fd = z5_dev_ioctl(dev, Z5M_IOC_OPEN, &o);
	if (fd >= 0 && (z5_dev_ioctl(fd, Z5M_IOC_INFO, &now) < 0 || now.id != info->id)) {
		close(fd);
		fd = -1;
	}
	return fd < 0 ? -1 : fd;
}

dev_t mem_regions_dev(const struct mem_regions *r, int dev)
{
	struct z5m_create c = { .size = 4096, .page_order = Z5M_ORDER_4K };
	dev_t found = 0;
	struct stat st;
	int fd = -1;

	for (size_t i = 0; i < r->n && fd < 0; i++)
		fd = mem_region_look(dev, &r->info[i]);
	/* Where none can be opened, a page of our own tells. */
	if (fd < 0 && r->n)
		fd = z5_dev_ioctl(dev, Z5M_IOC_CREATE, &c);
	if (fd >= 0 && !fstat(fd, &st))
		found = st.st_dev;
	if (fd >= 0)
		close(fd);
	return found;
}
