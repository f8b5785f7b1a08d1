/* SPDX-License-Identifier: MIT */
/* The handle that everything else hangs on: level, topology, threads, callbacks. */
#ifndef Z5_RUNTIME_H
#define Z5_RUNTIME_H

#include <kernels/kernels.h>
#include <sched/govern.h>
#include <sched/pool.h>
#include <topo/topo.h>

struct zen5rt {
	struct zen5rt_params params;
	struct z5_topo topo;
	struct z5_pool *pool;
	struct z5_kernels k;
	struct z5_govern govern;
	_Atomic bool busy;
};

void z5_log(const struct zen5rt *rt, enum zen5rt_log_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* 0, or -ECANCELED if the caller's callback says so. */
int z5_progress(const struct zen5rt *rt, enum zen5rt_stage stage, uint64_t done, uint64_t total);

/*
 * Around everything that uses the threads, for its whole length: -EBUSY with a line for a second caller meanwhile.
 */
int z5_enter(struct zen5rt *rt, struct zen5rt_error *err);
void z5_leave(struct zen5rt *rt);

/* Best rate of reading size bytes (a page at least) at p, by all threads for about half a second. */
int z5_read_bandwidth_of(struct zen5rt *rt, void *p, size_t size, double *bytes_per_s, struct zen5rt_error *err);

/* Monotonic, in seconds. */
double z5_now(void);

#endif
