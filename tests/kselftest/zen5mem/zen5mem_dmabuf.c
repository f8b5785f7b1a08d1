// SPDX-License-Identifier: MIT
/*
 * Regions as dma-bufs, seen by the importer of kmod/mock (a device without hardware).
 * ZEN5MEM_IMPORTER, or $Z5_MODULES/zen5mem_importer.ko, is its file.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define IMPORT "/sys/kernel/debug/zen5mem_importer/import"
#define RW (PROT_READ | PROT_WRITE)
#define SEED 77

static void load_importer(void)
{
	const char *dir = getenv("Z5_MODULES"), *path = getenv("ZEN5MEM_IMPORTER");
	char text[512];
	int fd;

	z5t_need_root();
	if (!(z5t_version().features & Z5M_FEATURE_DMABUF))
		z5t_skip("this kernel has no dma-buf");
	if (z5t_exists(IMPORT))
		return;
	if (!path && dir) {
		snprintf(text, sizeof(text), "%s/zen5mem_importer.ko", dir);
		path = text;
	}
	fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd < 0)
		z5t_skip("no zen5mem_importer.ko");
	need(!syscall(SYS_finit_module, fd, "", 0));
	close(fd);
	need(z5t_exists(IMPORT), "debugfs is not mounted");
}

/* 0 or an errno. */
static int import(int fd, const char *how)
{
	char text[32];

	snprintf(text, sizeof(text), "%d %s", fd, how);
	return z5t_write_file(IMPORT, text);
}

static void seen(uint64_t *bytes, uint64_t *sum)
{
	char text[128] = "";
	unsigned int segments = 0;

	*bytes = *sum = 0;
	need(!z5t_read_file(IMPORT, text, sizeof(text)));
	if (*text)
		need(sscanf(text, "bytes=%lu segments=%u sum=%lu", bytes, &segments, sum) == 3, "%s",
		     text);
	check(!*text || segments > 0);
}

static uint64_t sum_of(const void *p, uint64_t len)
{
	const uint64_t *words = p;
	uint64_t sum = 0, i;

	for (i = 0; i < len / sizeof(*words); i++)
		sum += words[i];
	return sum;
}

static void read_through(uint64_t size, unsigned int order)
{
	int fd = z5t_get(size, order, NULL), dma;
	unsigned char *p = z5t_map(fd, size, RW, 0);
	uint64_t bytes, sum;

	z5t_fill(p, size, PAGE, SEED);
	p[size - 1] = 0xee;
	dma = z5t_dmabuf(fd, 0);
	need(dma >= 0);
	check(!import(dma, "read"));
	seen(&bytes, &sum);
	check(bytes == size, "%lu", bytes);
	check(sum == sum_of(p, size), "%lu, not %lu", sum, sum_of(p, size));
	/* What is written meanwhile is seen, since nothing is copied. */
	p[size / 2]++;
	seen(&bytes, &sum);
	check(sum == sum_of(p, size));
	check(!z5t_write_file(IMPORT, "release"));
	check(z5t_odd_refs() == 0, "somebody holds pages");
	close(dma);
}

static void dmabuf_read(void)
{
	load_importer();
	read_through(6 * MIB, Z5M_ORDER_2M);
	read_through(20 * PAGE, Z5M_ORDER_4K);
}

static void dmabuf_read_1g(void)
{
	load_importer();
	close(z5t_window());
	read_through(GIB, Z5M_ORDER_1G);
}

static void dmabuf_write(void)
{
	int fd, dma;
	unsigned char *p;

	load_importer();
	fd = z5t_window();
	dma = z5t_dmabuf(fd, Z5M_DMABUF_WRITE);
	need(dma >= 0);
	check(!import(dma, "write"));
	p = z5t_map(fd, GIB, PROT_READ, 0);
	check(p[0] == 0xd5 && p[GIB / 2 + 4097] == 0xd5 && p[GIB - 1] == 0xd5);
	munmap(p, GIB);
	check(!z5t_write_file(IMPORT, "release"));
	close(dma);
	/* Nobody has mapped it for writing, and it is not clean. */
	close(fd);
	fd = z5t_window();
	p = z5t_map(fd, GIB, PROT_READ, 0);
	check(z5t_nonzero(p, GIB, PAGE) == 0, "what a device wrote is in the next region");
}

static void dmabuf_rights(void)
{
	int fd, dma, ro;

	load_importer();
	fd = z5t_get(2 * MIB, Z5M_ORDER_2M, NAME("dmabuf"));
	ro = z5t_open(NAME("dmabuf"), 0);
	need(ro >= 0);
	fails(z5t_dmabuf(ro, Z5M_DMABUF_WRITE), EACCES);
	dma = z5t_dmabuf(ro, 0);
	need(dma >= 0);
	check(import(dma, "write") == EPERM, "a device writes through a read-only dma-buf");
	check(!import(dma, "read"));
	check(!z5t_write_file(IMPORT, "release"));
	check(!z5t_seal(fd), "a read-only one is nobody who writes");
	close(dma);
	fails(z5t_dmabuf(fd, Z5M_DMABUF_WRITE), EPERM);
	dma = z5t_dmabuf(fd, 0);
	need(dma >= 0);
	check(import(dma, "write") == EPERM);
	close(dma);
	check(!z5t_destroy(NAME("dmabuf")));
}

static void dmabuf_seal(void)
{
	int fd, dma;

	load_importer();
	fd = z5t_get(2 * MIB, Z5M_ORDER_2M, NULL);
	dma = z5t_dmabuf(fd, Z5M_DMABUF_WRITE);
	need(dma >= 0);
	check(z5t_info(fd).n_writable == 1);
	fails(z5t_seal(fd), EBUSY);
	check(!import(dma, "write"));
	close(dma);
	fails(z5t_seal(fd), EBUSY);
	check(!z5t_write_file(IMPORT, "release"));
	check(z5t_info(fd).n_writable == 0);
	check(!z5t_seal(fd));
}

/* The importer alone keeps the region. */
static void dmabuf_life(void)
{
	uint64_t used, bytes, sum;
	unsigned char *p;
	int fd, dma;

	load_importer();
	used = z5t_used();
	fd = z5t_get(4 * MIB, Z5M_ORDER_2M, NULL);
	p = z5t_map(fd, 4 * MIB, RW, 0);
	p[8] = 200;
	munmap(p, 4 * MIB);
	dma = z5t_dmabuf(fd, 0);
	need(dma >= 0);
	check(!import(dma, "read"));
	close(dma);
	close(fd);
	check(z5t_used() == used + 4 * MIB);
	seen(&bytes, &sum);
	check(bytes == 4 * MIB && sum == 200);
	check(!z5t_write_file(IMPORT, "release"));
	check(z5t_settled(used));
}

static void dmabuf_unload(void)
{
	load_importer();
	check(!syscall(SYS_delete_module, "zen5mem_importer", O_NONBLOCK));
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(dmabuf_read), T(dmabuf_read_1g), T(dmabuf_write), T(dmabuf_rights),
		T(dmabuf_seal), T(dmabuf_life), T(dmabuf_unload),
	};

	return z5t_run(argc, argv, tests);
}
