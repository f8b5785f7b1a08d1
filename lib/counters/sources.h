/* SPDX-License-Identifier: MIT */
/*
 * Which sources of L3 and memory counters this machine offers: a reading of sysfs and procfs, nothing is opened.
 * Names of the PMUs: Linux, arch/x86/events/amd/uncore.c.
 */
#ifndef Z5_SOURCES_H
#define Z5_SOURCES_H

#include <stdbool.h>

struct z5_sources {
	bool l3, df;			/* PMUs amd_l3, amd_df */
	unsigned int n_umc;		/* PMUs amd_umc_N */
	int paranoid;			/* kernel.perf_event_paranoid; 2, the kernel's own default, if it is silent */
	unsigned int kernel_major, kernel_minor;	/* 0.0 unknown */
	bool resctrl, resctrl_mounted;	/* in this kernel; at /sys/fs/resctrl */
	unsigned int l3_monitoring;	/* what resctrl reads: Z5_CQM_* */
};

/* sysroot: "" for the machine itself, or a directory with a recorded proc/ and sys/. */
void z5_sources_read(const char *sysroot, struct z5_sources *s);

#endif
