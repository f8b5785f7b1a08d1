/* SPDX-License-Identifier: MIT */
/*
 * Where CPUID leaves come from: this machine, or a recording of another one. Everything that looks at a CPU asks here.
 *
 * A recording is DIR/cpuid.txt in the form that cpuid(1) prints with -r, of which the first CPU counts:
 *
 *	   0x8000001a 0x00: eax=0x0000000a ebx=0x00000000 ecx=0x00000000 edx=0x00000000
 *
 * and, optional, one line "xcr0=0x2e7": which vector registers the operating system has switched on. Other lines
 * are headings or comments.
 */
#ifndef Z5_CPUID_H
#define Z5_CPUID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

struct z5_leaf {
	uint32_t leaf, sub;
	uint32_t a, b, c, d;
};

struct z5_cpuid {
	struct z5_leaf *leaves;		/* of the recording; NULL: this machine */
	size_t n;
	bool have_xcr0;
	uint64_t xcr0;
};

/*
 * sysroot: "" for this machine, else a directory with cpuid.txt. -ENOENT and other errno of open(2); -EINVAL with a
 * line for a recording without leaf 0 or with more than 4,096 leaves; -ENOMEM.
 */
int z5_cpuid_open(const char *sysroot, struct z5_cpuid *src, struct zen5rt_error *err);
/* Accepts a source that is all zero. */
void z5_cpuid_close(struct z5_cpuid *src);

/* False, and l->a to l->d 0, for a leaf that the CPU or the recording does not have. */
bool z5_cpuid_get(const struct z5_cpuid *src, uint32_t leaf, uint32_t sub, struct z5_leaf *l);

/*
 * The register XCR0; 0 where the operating system has no XSAVE. A recording without it counts as one with all on
 * that the CPU can save (leaf 0Dh).
 */
uint64_t z5_cpuid_xcr0(const struct z5_cpuid *src);

#endif
