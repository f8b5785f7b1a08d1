/* SPDX-License-Identifier: MIT */
/*
 * /dev/zen5mem as user space sees it: what lib/mem and the tool zen5-mem share. Nothing else knows of the device.
 */
#ifndef Z5_DEVICE_H
#define Z5_DEVICE_H

#include <mem/region.h>
#include <uapi/linux/zen5mem.h>

/*
 * Opens the device and asks for its version. A descriptor and v filled, or a negative errno and one line in why: no
 * module, no permission, another ABI.
 */
int z5_dev_open(struct z5m_version *v, char *why, size_t why_len);

/* ioctl(2) that goes on after a signal; what it returned, or a negative errno. */
int z5_dev_ioctl(int fd, unsigned long cmd, void *arg);

/* Why a region of c->size bytes was refused with ret (a negative errno), as a text. */
void z5_dev_create_refused(const struct z5m_version *v, const struct z5m_create *c, int ret, char *why,
			   size_t why_len);

/* What a region's memory is made of: "1 x 1 GiB + 154 x 2 MiB" into text; returns the smallest page size of it. */
uint64_t z5_dev_pages(const struct z5m_info *info, char *text, size_t len);

/* Maps all of the region behind fd and populates it. r->size, page and pages come with it; r->addr is NULL first. */
int z5_dev_map(struct z5_region *r, int fd, bool writable, char *why, size_t why_len);

/*
 * A region for r->asked bytes and extra more behind them, mapped and writable, into r; its descriptor, or a negative
 * errno and the reason in why.
 */
int z5_dev_create(struct z5_region *r, size_t extra, bool small_pages, char *why, size_t why_len);

/* Whether text may be a region's name. */
bool z5_dev_name_ok(const char *text);

#endif
