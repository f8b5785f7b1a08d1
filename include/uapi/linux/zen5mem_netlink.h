/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * Generic netlink family "zen5mem": settings, dumps and events for monitors.
 * Documentation/netlink/specs/zen5mem.yaml is the same in the form that the kernel's tools read.
 *
 * Whoever may open the device may dump: Z5M_A_DEVICE is a descriptor of /dev/zen5mem; without it a
 * dump needs CAP_PERFMON. With counters_perfmon=1 counters need CAP_PERFMON in any case. Settings
 * and the multicast group need CAP_NET_ADMIN. The family is there in the initial network namespace.
 *
 * Errors: EPERM, EINVAL, ENOENT, EBADF (Z5M_A_DEVICE), ENOSPC (more than Z5M_THRESHOLDS_MAX).
 */
#ifndef _UAPI_LINUX_ZEN5MEM_NETLINK_H
#define _UAPI_LINUX_ZEN5MEM_NETLINK_H

#define Z5M_GENL_NAME		"zen5mem"
#define Z5M_GENL_VERSION	1
#define Z5M_GENL_EVENTS		"events"	/* the multicast group */

enum z5m_cmd {
	Z5M_CMD_UNSPEC,
	Z5M_CMD_DOMAIN_GET,	/* dump: one message a domain */
	Z5M_CMD_COUNTER_GET,	/* dump: one message a domain, channel and port */
	Z5M_CMD_CONFIG_GET,	/* do */
	Z5M_CMD_CONFIG_SET,	/* do: Z5M_A_INTERVAL_US */
	Z5M_CMD_THRESHOLD_GET,	/* dump */
	Z5M_CMD_THRESHOLD_ADD,	/* do: quantity, index, high, low; answers with the id */
	Z5M_CMD_THRESHOLD_DEL,	/* do: id */
	/* Events. */
	Z5M_CMD_REGION_CREATED,
	Z5M_CMD_REGION_NAMED,
	Z5M_CMD_REGION_SEALED,
	Z5M_CMD_REGION_DESTROYED,	/* its memory was given back */
	Z5M_CMD_ALLOC_FAILED,	/* size, place, place id, error */
	Z5M_CMD_THRESHOLD_CROSSED,	/* id, quantity, index, value, above */
	__Z5M_CMD_MAX,
};

#define Z5M_CMD_MAX	(__Z5M_CMD_MAX - 1)

enum z5m_attr {
	Z5M_A_UNSPEC,
	Z5M_A_PAD,
	Z5M_A_DEVICE,		/* u32: descriptor of /dev/zen5mem */
	Z5M_A_DOMAIN,		/* u32: index */
	Z5M_A_CHANNEL,		/* u32: N of amd_umc_N */
	Z5M_A_PORT,		/* u32 */
	Z5M_A_NODE,		/* s32 */
	Z5M_A_LOCALITY,		/* u32: enum z5m_locality */
	Z5M_A_L3_BYTES,		/* u64 */
	Z5M_A_CPUS,		/* string: "0-3,8" */
	Z5M_A_CPU,		/* s32: that the counters are read on */
	Z5M_A_TS_NS,		/* u64 */
	Z5M_A_SOURCE,		/* string */
	Z5M_A_MOCK,		/* flag */
	Z5M_A_COUNTER,		/* nest, several: Z5M_A_COUNTER_* */
	Z5M_A_INTERVAL_US,	/* u32: 1000 to 10000000 */
	Z5M_A_READERS,		/* u32: descriptors of the counter page */
	Z5M_A_THRESHOLD,	/* u32: id */
	Z5M_A_QUANTITY,		/* u32: enum z5m_quantity */
	Z5M_A_INDEX,		/* u32: domain or channel */
	Z5M_A_HIGH,		/* u64 */
	Z5M_A_LOW,		/* u64 */
	Z5M_A_VALUE,		/* u64 */
	Z5M_A_ABOVE,		/* u32: 1 it reached high, 0 it fell to low */
	Z5M_A_REGION,		/* u64: id */
	Z5M_A_NAME,		/* string */
	Z5M_A_SIZE,		/* u64: bytes */
	Z5M_A_PLACE,		/* u32: enum z5m_place */
	Z5M_A_PLACE_ID,		/* u32 */
	Z5M_A_UID,		/* u32 */
	Z5M_A_ERROR,		/* u32: errno */
	__Z5M_A_MAX,
};

#define Z5M_A_MAX	(__Z5M_A_MAX - 1)

enum z5m_counter_attr {
	Z5M_A_COUNTER_UNSPEC,
	Z5M_A_COUNTER_PAD,
	Z5M_A_COUNTER_ID,	/* u32: enum z5m_domain_counter and its kin */
	Z5M_A_COUNTER_TOTAL,	/* u64 */
	Z5M_A_COUNTER_STATE,	/* u32: enum z5m_counter_state */
	Z5M_A_COUNTER_ERROR,	/* u32 */
	Z5M_A_COUNTER_GLITCHES,	/* u32 */
	Z5M_A_COUNTER_RENEWALS,	/* u32 */
	__Z5M_A_COUNTER_MAX,
};

#define Z5M_A_COUNTER_MAX	(__Z5M_A_COUNTER_MAX - 1)

/*
 * What a threshold is of; measured from sample to sample. An event tells that the value has reached
 * high, and the next one that it has fallen to low, which is below high. A threshold does not make
 * the module sample: somebody holds a descriptor of the counter page, or dumps. It stays until it
 * is deleted or the module goes.
 */
enum z5m_quantity {
	Z5M_QUANTITY_L3_MISS_RATE,	/* domain: bytes a second, 64 a miss */
	Z5M_QUANTITY_DRAM_LATENCY,	/* domain: ns */
	Z5M_QUANTITY_READ_RATE,		/* channel: bytes a second */
	Z5M_QUANTITY_WRITE_RATE,	/* channel: the same */
	Z5M_QUANTITY_BUS_USE,		/* channel: thousandths of the time */
	__Z5M_QUANTITY_MAX,
};

#define Z5M_THRESHOLDS_MAX	256

#endif /* _UAPI_LINUX_ZEN5MEM_NETLINK_H */
