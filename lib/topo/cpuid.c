// SPDX-License-Identifier: MIT
#include <topo/cpuid.h>

#include <cpuid.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <error.h>

#define CPUID_MAX_LEAVES	4096
#define CPUID_HYPERVISOR	(1u << 31)	/* leaf 1 ECX */
#define CPUID_OSXSAVE		(1u << 27)

static bool cpuid_here(uint32_t leaf, uint32_t sub, struct z5_leaf *l)
{
	uint32_t base = leaf & 0xffff0000, a, b, c, d;

	if (base == 0x40000000) {
		/* On bare metal the numbers of hypervisors answer with those of another leaf. */
		__cpuid(1, a, b, c, d);
		if (!(c & CPUID_HYPERVISOR))
			return false;
		__cpuid(base, a, b, c, d);
	} else {
		a = __get_cpuid_max(base, NULL);
	}
	if (a < leaf)
		return false;
	__cpuid_count(leaf, sub, l->a, l->b, l->c, l->d);
	return true;
}

bool z5_cpuid_get(const struct z5_cpuid *src, uint32_t leaf, uint32_t sub, struct z5_leaf *l)
{
	*l = (struct z5_leaf){ .leaf = leaf, .sub = sub };
	if (!src->leaves)
		return cpuid_here(leaf, sub, l);
	for (size_t i = 0; i < src->n; i++) {
		if (src->leaves[i].leaf == leaf && src->leaves[i].sub == sub) {
			*l = src->leaves[i];
			return true;
		}
	}
	return false;
}

uint64_t z5_cpuid_xcr0(const struct z5_cpuid *src)
{
	uint32_t low, high;
	struct z5_leaf l;

	if (!z5_cpuid_get(src, 1, 0, &l) || !(l.c & CPUID_OSXSAVE))
		return 0;
	if (!src->leaves) {
		__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
		return (uint64_t)high << 32 | low;
	}
	if (src->have_xcr0)
		return src->xcr0;
	z5_cpuid_get(src, 0xd, 0, &l);
	return (uint64_t)l.d << 32 | l.a;
}

/* ---- recordings ---- */

static int cpuid_add(struct z5_cpuid *src, const struct z5_leaf *l, size_t *cap, const char *name,
		     struct zen5rt_error *err)
{
	struct z5_leaf *p;

	if (src->n == CPUID_MAX_LEAVES)
		return z5_fail(err, -EINVAL, "%s: more than %d leaves", name, CPUID_MAX_LEAVES);
	if (src->n == *cap) {
		*cap = *cap ? 2 * *cap : 64;
		p = realloc(src->leaves, *cap * sizeof(*p));
		if (!p)
			return z5_fail(err, -ENOMEM, "out of memory");
		src->leaves = p;
	}
	src->leaves[src->n++] = *l;
	return 0;
}

static int cpuid_read(struct z5_cpuid *src, FILE *f, const char *name, struct zen5rt_error *err)
{
	char line[512];
	size_t cap = 0;
	int ret, cpus = 0;

	while (fgets(line, sizeof(line), f)) {
		unsigned long long xcr0;
		struct z5_leaf l;

		if (!strncmp(line, "CPU", 3) && ++cpus > 1)
			break;
		if (sscanf(line, "xcr0=0x%16llx", &xcr0) == 1) {
			src->have_xcr0 = true;
			src->xcr0 = xcr0;
		}
		if (sscanf(line, " 0x%8x 0x%8x: eax=0x%8x ebx=0x%8x ecx=0x%8x edx=0x%8x", &l.leaf, &l.sub,
			   &l.a, &l.b, &l.c, &l.d) != 6)
			continue;
		ret = cpuid_add(src, &l, &cap, name, err);
		if (ret)
			return ret;
	}
	if (ferror(f))
		return z5_fail(err, -EIO, "%s: %s", name, strerror(errno));
	for (size_t i = 0; i < src->n; i++)
		if (!src->leaves[i].leaf)
			return 0;
	return z5_fail(err, -EINVAL, "%s: no leaf 0 in it, expected what \"cpuid -r\" prints", name);
}

int z5_cpuid_open(const char *sysroot, struct z5_cpuid *src, struct zen5rt_error *err)
{
	char path[PATH_MAX];
	FILE *f;
	int ret;

	memset(src, 0, sizeof(*src));
	if (!*sysroot)
		return 0;
	if (snprintf(path, sizeof(path), "%s/cpuid.txt", sysroot) >= (int)sizeof(path))
		return z5_fail(err, -ENAMETOOLONG, "%.64s...: path too long", sysroot);
	f = fopen(path, "re");
	if (!f) {
		ret = -errno;
		return z5_fail(err, ret, "%s: %s", path, strerror(-ret));
	}
	ret = cpuid_read(src, f, path, err);
	fclose(f);
	if (ret)
		z5_cpuid_close(src);
	return ret;
}

void z5_cpuid_close(struct z5_cpuid *src)
{
	free(src->leaves);
	memset(src, 0, sizeof(*src));
}
