/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * The counter page of /dev/zen5mem: what L3 caches and memory channels do, for whoever maps it.
 *
 * Z5M_IOC_COUNTERS (zen5mem.h) gives a descriptor; mmap(2) of it from offset 0, PROT_READ only and
 * MAP_SHARED or MAP_PRIVATE, gives the page: struct z5m_counters, and behind it, where its offsets
 * say, arrays of domains, channels and ports. A length beyond Z5M_COUNTERS_BYTES is EINVAL. All of
 * it is written by one kernel thread every interval, as long as a descriptor or a mapping exists
 * (and for two seconds after a dump by netlink); nothing is sampled otherwise, and totals stand
 * still.
 *
 * Reading takes no system call. seq is odd while the thread writes:
 *
 *	do {
 *		seq = load_acquire(&page->seq);
 *		copy what is wanted;
 *		fence_acquire();
 *	} while (seq & 1 || seq != load_relaxed(&page->seq));
 *
 * The thread is not preempted while seq is odd, which takes microseconds.
 *
 * COUNTERS are totals that only grow, from when the module was loaded; their rate is the difference
 * of two readings by the difference of their ts_ns. Where the hardware steps backward, wraps at 48
 * bits, stops at its highest value or leaps further than hardware can, the total goes on from where
 * it was and glitches counts that. Where others use the same few hardware counters the kernel takes
 * turns; what was missed meanwhile is extrapolated, and the state says so.
 *
 * The structures grow at their ends: sizes and offsets in the header are to be used, not those of
 * this file, and version changes only if that does not suffice.
 */
#ifndef _UAPI_LINUX_ZEN5MEM_COUNTERS_H
#define _UAPI_LINUX_ZEN5MEM_COUNTERS_H

#include <linux/types.h>

#define Z5M_COUNTERS_MAGIC	0x7a35636e	/* "z5cn" */
#define Z5M_COUNTERS_VERSION	1
#define Z5M_COUNTERS_BYTES	(64 * 1024)

/* Room of the page. What a machine has beyond that is not counted. */
#define Z5M_COUNTERS_DOMAINS	64
#define Z5M_COUNTERS_CHANNELS	64
#define Z5M_COUNTERS_PORTS	64

/* Why a total moves, or does not. */
enum z5m_counter_state {
	Z5M_COUNTER_ABSENT,	/* this machine or kernel has no such counter */
	Z5M_COUNTER_OK,
	Z5M_COUNTER_SHARED,	/* in turns with others: extrapolated */
	Z5M_COUNTER_TAKEN,	/* others have all of the hardware's counters: stands still */
	/*
	 * Stays 0 under a load that must move it: not delivered by this firmware, or a channel
	 * without memory behind it (then other channels do count).
	 */
	Z5M_COUNTER_SILENT,
	Z5M_COUNTER_OFFLINE,	/* no CPU is online that could read it */
	Z5M_COUNTER_REFUSED,	/* the kernel refused the event: error */
};

struct z5m_counter {
	__u64 total;
	__u32 state;		/* enum z5m_counter_state */
	__u32 error;		/* errno of Z5M_COUNTER_REFUSED, else 0 */
	__u32 glitches;		/* steps of the hardware that were not believed */
	__u32 renewals;		/* times that the event was made again: CPUs, saturation */
};

/* PMU amd_l3, of one L3 domain. */
enum z5m_domain_counter {
	Z5M_L3_ACCESSES,	/* lookups */
	Z5M_L3_MISSES,		/* of them */
	/* Sampled fills from DRAM: 10 * latency / requests is their mean latency in ns. */
	Z5M_L3_DRAM_LATENCY,
	Z5M_L3_DRAM_REQUESTS,
	Z5M_DOMAIN_COUNTERS
};

/* PMU amd_umc_N, of one memory channel; kernels since 6.7. */
enum z5m_channel_counter {
	Z5M_UMC_CLOCKS,		/* of the memory */
	Z5M_UMC_READS,		/* CAS commands, 64 bytes each */
	Z5M_UMC_WRITES,
	Z5M_UMC_DATA_SLOTS,	/* half of it by the clocks is how much the bus is in use */
	Z5M_CHANNEL_COUNTERS
};

/*
 * PMU amd_df, the port of one CCD: only where AMD documents it (EPYC 9005, family 1Ah models
 * 0-1Fh).
 */
enum z5m_port_counter {
	Z5M_PORT_READS,		/* into the CCD, 32 bytes each */
	Z5M_PORT_WRITES,	/* out of it, 64 bytes each */
	Z5M_PORT_COUNTERS
};

struct z5m_counter_domain {
	__u32 domain;		/* as Z5M_IOC_DOMAIN numbers them */
	__s32 cpu;		/* that the counters are read on, -1: none is online */
	struct z5m_counter counter[Z5M_DOMAIN_COUNTERS];
};

struct z5m_counter_channel {
	__u32 channel;		/* N of amd_umc_N */
	__s32 cpu;
	struct z5m_counter counter[Z5M_CHANNEL_COUNTERS];
};

struct z5m_counter_port {
	__u32 port;		/* number of the port, which is not that of an L3 domain */
	__s32 cpu;
	struct z5m_counter counter[Z5M_PORT_COUNTERS];
};

/* A PMU does not belong to the kernel itself: the numbers are made up (zen5mem_mock). */
#define Z5M_COUNTERS_MOCK	(1U << 0)

struct z5m_counters {
	__u32 magic;		/* Z5M_COUNTERS_MAGIC */
	__u32 version;		/* Z5M_COUNTERS_VERSION */
	__u32 seq;
	__u32 flags;		/* Z5M_COUNTERS_* */
	__u32 header_size;
	__u32 interval_us;	/* between samples, as asked for */
	__u64 ts_ns;		/* CLOCK_MONOTONIC of the last sample, 0: none yet */
	__u64 samples;
	__u64 late;		/* samples that came more than an interval late */
	__u64 cost_ns;		/* time that sampling has taken */
	__u32 n_domains, domain_offset, domain_size;	/* size: of an entry */
	__u32 n_channels, channel_offset, channel_size;
	__u32 n_ports, port_offset, port_size;
	__u32 reserved;
	char source[64];	/* "amd_l3 amd_umc", or "MOCK: " before it; "": none */
};

#endif /* _UAPI_LINUX_ZEN5MEM_COUNTERS_H */
