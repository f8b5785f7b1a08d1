// SPDX-License-Identifier: MIT
/*
 * Transparent huge pages. Nothing is populated here: the threads that fill the region touch it
 * first, each from its own node. Whether the kernel had 2 MiB pages to give is known only then,
 * and reported by z5_region_page_bytes().
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include <mem/backend.h>
#include <mem/pages.h>
#include <topo/cgroup.h>

#define THP_SYS	"/sys/kernel/mm/transparent_hugepage"

/* "always [madvise] never": the word in brackets into mode. */
static bool thp_word(const char *sysroot, const char *file, char *mode, size_t len)
{
	char text[128];
	const char *p;

	if (z5_read_text(sysroot, file, text, sizeof(text)) <= 0)
		return false;
	p = strchr(text, '[');
	if (!p)
		return false;
	snprintf(mode, len, "%.*s", (int)strcspn(p + 1, "]"), p + 1);
	return true;
}

const char *z5_thp_mode(const char *sysroot, char *mode, size_t len)
{
	static const char own[] = THP_SYS "/hugepages-2048kB/enabled", general[] = THP_SYS "/enabled";

	*mode = '\0';
	/* Kernels before 6.8 have only the general one. */
	if (thp_word(sysroot, own, mode, len) && strcmp(mode, "inherit"))
		return own;
	return thp_word(sysroot, general, mode, len) ? general : NULL;
}

static int thp_switch(char *why, size_t why_len)
{
	char mode[16];
	const char *file = z5_thp_mode("", mode, sizeof(mode));

	if (!file) {
		snprintf(why, why_len, "this kernel has no transparent huge pages");
		return -ENOTSUP;
	}
	if (!strcmp(mode, "never")) {
		snprintf(why, why_len, "switched off (echo madvise > %s)", file);
		return -ENOTSUP;
	}
	return 0;
}

int z5_thp_alloc(struct z5_region *r, char *why, size_t why_len)
{
	int ret;

	ret = thp_switch(why, why_len);
	if (ret)
		return ret;
	/* Not 3, which since 6.18 means: except where madvise(2) asks for them, as we do. */
	if (prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0) == 1) {
		snprintf(why, why_len, "switched off for this process (PR_SET_THP_DISABLE)");
		return -ENOTSUP;
	}
	ret = z5_mem_map(r, Z5_2M, why, why_len);
	if (ret)
		return ret;
	if (madvise(r->addr, r->size, MADV_HUGEPAGE)) {
		ret = -errno;
		snprintf(why, why_len, "MADV_HUGEPAGE: %s", strerror(-ret));
		z5_mem_unmap(r);
	}
	return ret;
}
