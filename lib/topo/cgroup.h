/* SPDX-License-Identifier: MIT */
/*
 * What the control groups of this process allow it, v1 and v2, at every level that is visible from
 * here: a container often sees only its own, and then that is the one that binds first.
 *
 * sysroot: "" for the machine itself, or a directory with a recorded proc/ and sys/fs/cgroup/.
 */
#ifndef Z5_CGROUP_H
#define Z5_CGROUP_H

#include <stddef.h>
#include <stdint.h>

/* CPUs that the quota allows, rounded up; 0: no quota. */
unsigned int z5_cgroup_cpus(const char *sysroot);

/*
 * Bytes that may still be used under the tightest limit, counting the file cache as free, as
 * MemAvailable does: the kernel drops it before it kills anyone. UINT64_MAX: no limit.
 */
uint64_t z5_cgroup_mem_available(const char *sysroot);

/*
 * Reads the file at sysroot + path, shortened to len - 1 bytes, as a string without its last
 * newline. Returns its length or a negative errno.
 */
int z5_read_text(const char *sysroot, const char *path, char *buf, size_t len);

#endif
