/* SPDX-License-Identifier: MIT */
/*
 * A hard limit for everybody else's memory traffic, by resctrl's memory bandwidth allocation (AMD:
 * CPUID 80000020, in steps of 1/8 GB/s for each L3 domain). This process moves into a group of its
 * own, which keeps what the root group was allowed, and the root group gets the limit. Groups that
 * others have made are left alone.
 *
 * What the root group had is written down in a file beside before anything is changed. It is given
 * back when the cap is closed, and after kill -9 by the next start that finds the file without its
 * owner.
 */
#ifndef Z5_CAP_H
#define Z5_CAP_H

#include <sys/types.h>
#include <zen5rt.h>

#define Z5_CAP_ROOT	"/sys/fs/resctrl"
#define Z5_CAP_RECORD	"/run/zen5rt-cap-others"

/* How groups come and go: tests have no resctrl. */
struct z5_cap_ops {
	int (*mkdir)(const char *path, mode_t mode);
	int (*rmdir)(const char *path);
};

struct z5_cap;

/*
 * Limits all others to bytes_s together, in equal parts for each L3 domain. Before threads are
 * made, or they stay outside. ops NULL: the system's. -ENOTSUP no resctrl, no MBA, or limits that
 * are no rates; -EBUSY another process of ours does it; -EACCES; -ERANGE; each with a line.
 */
int z5_cap_open(const char *root, const char *record, const struct z5_cap_ops *ops, double bytes_s, struct z5_cap **out,
		struct zen5rt_error *err);
/* Gives back what was. Accepts NULL. */
void z5_cap_close(struct z5_cap *c);

/*
 * Undoes what a killed process left behind. 1: it did; 0: there was nothing, or it may not be
 * looked at; a negative errno with a line if it cannot be undone.
 */
int z5_cap_recover(const char *root, const char *record, const struct z5_cap_ops *ops, struct zen5rt_error *err);

#endif
