/* SPDX-License-Identifier: MIT */
/*
 * One pool of pinned threads. The caller of z5_pool_run() is thread 0 for the length of the run
 * (pinned and with FTZ/DAZ set for that time, then put back as it was); the other threads belong
 * to the pool and spin a little, then sleep, between runs. No lock and no allocation in run or
 * barrier.
 *
 * A child of fork(2) has none of the threads: it must not touch a pool of its parent, not even
 * free it. Workers block every signal that is sent to the process, so that Ctrl-C reaches the
 * caller; a handler that leaves a run by longjmp(3) breaks the pool.
 */
#ifndef Z5_POOL_H
#define Z5_POOL_H

#include <stdbool.h>
#include <stdint.h>
#include <topo/topo.h>

#define Z5_POOL_MAX	1024

struct z5_pool;

struct z5_thread {
	unsigned int i, n;	/* thread i of the n that take part in the run */
	struct z5_pool *pool;
	struct z5_cpu cpu;	/* where it is pinned; cpu.cpu == -1: not pinned */
};

typedef void (*z5_work_fn)(const struct z5_thread *t, void *arg);

/*
 * n threads placed by z5_topo_place(); n == 0: its default. A CPU that may no longer be used
 * leaves its thread unpinned. -EINVAL above Z5_POOL_MAX, -ENOMEM, -EAGAIN, with a line.
 */
int z5_pool_new(const struct z5_topo *topo, unsigned int n, bool pin, struct z5_pool **out,
		struct zen5rt_error *err);
/* Accepts NULL. Not from inside a run. */
void z5_pool_free(struct z5_pool *p);
unsigned int z5_pool_n(const struct z5_pool *p);
/* NULL past the last one. */
const struct z5_thread *z5_pool_thread(const struct z5_pool *p, unsigned int i);

/*
 * fn(thread, arg) on every thread at once; returns 0 when all have returned. -EBUSY, and fn is not
 * called, if the pool is in a run already: from inside fn, or from another thread of the program.
 */
int z5_pool_run(struct z5_pool *p, z5_work_fn fn, void *arg);

/*
 * The same with counts[d] threads of each domain d, its first ones, where it has more; the others sleep. The caller
 * always takes part, in domain 0. To call it with other counts than before costs a run that does nothing where threads
 * leave, and a wake for those who come back. NULL: all.
 */
int z5_pool_run_on(struct z5_pool *p, const unsigned int *counts, z5_work_fn fn, void *arg);

/* L3 domains that the pool has threads in, numbered from 0 in the order of its threads. */
unsigned int z5_pool_domains(const struct z5_pool *p);
/* Threads that the pool has in domain d, 0 past the last one; l3 (may be NULL): its index in the topology. */
unsigned int z5_pool_domain(const struct z5_pool *p, unsigned int d, unsigned int *l3);

/*
 * Two levels: threads of an L3 domain meet on a line of their own, the last of each domain on a
 * global one. Spins, then sleeps on a futex; with more threads than CPUs sleeps at once. Never
 * yields, which next to another busy process costs whole time slices. Full memory barrier. Only
 * from inside a run, by every thread of the pool.
 */
void z5_barrier(const struct z5_thread *t);

/*
 * The slice of total units (below 2^53) that thread t owns: [*from, *to), sizes differ by at most
 * one.
 */
static inline void z5_split(const struct z5_thread *t, uint64_t total, uint64_t *from, uint64_t *to)
{
	*from = total * t->i / t->n;
	*to = total * (t->i + 1) / t->n;
}

#endif
