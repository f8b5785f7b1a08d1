/* SPDX-License-Identifier: MIT */
/* What the source "perf" is opened on. */
#ifndef Z5_PERF_H
#define Z5_PERF_H

#include <linux/perf_event.h>

/* The source's arg; NULL: the machine itself. */
struct z5_perf_machine {
	const char *sysroot;	/* as for z5_topo_read() */
	/* A descriptor that read(2) gives value, time enabled and time running of; or -1 and errno. */
	int (*open)(struct perf_event_attr *attr, int cpu);
};

#endif
