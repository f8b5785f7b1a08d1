/* SPDX-License-Identifier: MIT */
/*
 * The CPUs that this process may use, by physical core and L3 domain. From sysfs (cache/,
 * topology/), sched_getaffinity(2) and the cgroup's CPU quota.
 */
#ifndef Z5_TOPO_H
#define Z5_TOPO_H

#include <stdbool.h>
#include <stdint.h>
#include <zen5rt.h>

struct z5_cpu {
	int cpu;		/* Linux CPU number */
	int core;		/* index of the physical core, dense from 0 */
	int smt;		/* 0 for the first sibling that we may use, 1 for the second ... */
	int l3;			/* index into l3s, dense from 0 */
	int node;		/* NUMA node, -1 unknown */
	int package;		/* socket, 0 where sysfs does not say */
};

struct z5_l3 {
	uint64_t bytes;		/* 0 unknown */
	int node;		/* of its first CPU, -1 unknown */
	unsigned int n_cpus, n_cores;	/* usable by us */
};

struct z5_topo {
	struct z5_cpu *cpus;	/* usable CPUs, at least one, ordered by l3, then smt, then core */
	unsigned int n_cpus;
	struct z5_l3 *l3s;
	unsigned int n_l3s;
	unsigned int n_cores;
	unsigned int quota;	/* CPUs that the cgroup allows, rounded up; 0: no quota */
};

/*
 * sysroot: "" for the machine itself, or a directory that holds a recorded sys/devices/system/cpu,
 * and maybe proc/self and sys/fs/cgroup (for tests); then every CPU recorded there as online
 * counts as usable. A machine without an L3 (some VMs, containers) is one domain per package, or
 * one domain. Only -ENOMEM is an error.
 */
int z5_topo_read(const char *sysroot, struct z5_topo *t, struct zen5rt_error *err);
/* Accepts a topology that is all zero. */
void z5_topo_free(struct z5_topo *t);

/*
 * Chooses CPUs for n threads (0: one per core, at most quota if there is one) into cpus[0..n):
 * cores first, spread evenly over the L3 domains and contiguous within them, SMT siblings only
 * when the cores are used up, CPUs a second time only when n exceeds n_cpus. Returns the number of
 * threads chosen. cpus may be NULL to ask for the number.
 */
unsigned int z5_topo_place(const struct z5_topo *t, unsigned int n, const struct z5_cpu **cpus);

/* NUMA nodes are numbered below this in every kernel for x86-64 (NODES_SHIFT 10); others count as unknown. */
#define Z5_TOPO_NODES	1024

/*
 * What memory "near to an L3 domain" means here, seen from within a package:
 *
 *  none      the package is one node: all its cores are equally far from its memory.
 *  quadrant  a node is a part of the package with memory of its own (NPS2, NPS4).
 *  srat-llc  the firmware declares each L3 a node: the distances say nothing about memory.
 *
 * One L3 domain a node is taken as srat-llc, which promises less, though NPS4 with one die a quadrant looks the same.
 */
enum z5_locality { Z5_LOCALITY_NONE, Z5_LOCALITY_QUADRANT, Z5_LOCALITY_SRAT_LLC };
enum z5_locality z5_topo_locality(const struct z5_topo *t);

#endif
