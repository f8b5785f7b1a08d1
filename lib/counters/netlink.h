/* SPDX-License-Identifier: MIT */
/* The module's generic netlink family (uapi/linux/zen5mem_netlink.h), by libnl: settings, thresholds and events. */
#ifndef Z5_NETLINK_H
#define Z5_NETLINK_H

#include <stdbool.h>
#include <stdint.h>
#include <uapi/linux/zen5mem_netlink.h>
#include <zen5rt.h>

struct z5_netlink;

/* -ENOENT there is no such family (no module, or one without counters); -ENOMEM; with a line. */
int z5_netlink_open(struct z5_netlink **out, struct zen5rt_error *err);
/*
 * Accepts NULL. Refusals leave nl as it was; after -EIO, which is libnl's own trouble, close is all that is left to do.
 */
void z5_netlink_close(struct z5_netlink *nl);

/* The module's default time between samples, and how many descriptors of the counter page there are. */
int z5_netlink_config(struct z5_netlink *nl, uint32_t *interval_us, uint32_t *readers, struct zen5rt_error *err);
/* -EPERM, -EINVAL: from 1000 to 10000000. */
int z5_netlink_set_interval(struct z5_netlink *nl, uint32_t us, struct zen5rt_error *err);

struct z5_netlink_threshold {
	uint32_t id, quantity, index;	/* enum z5m_quantity; domain or channel */
	uint64_t high, low;
	bool above;
};

/* Fills t->id. -EPERM, -EINVAL, -ENOENT, -ENOSPC. */
int z5_netlink_threshold_add(struct z5_netlink *nl, struct z5_netlink_threshold *t, struct zen5rt_error *err);
/* -EPERM, -ENOENT. */
int z5_netlink_threshold_del(struct z5_netlink *nl, uint32_t id, struct zen5rt_error *err);
/*
 * How many there are, of all processes; the first max of them, at most Z5M_THRESHOLDS_MAX, in t. -EPERM: whoever may
 * open the device may list, or has CAP_PERFMON.
 */
int z5_netlink_thresholds(struct z5_netlink *nl, struct z5_netlink_threshold *t, unsigned int max,
			  struct zen5rt_error *err);

/* What the module tells; which fields are filled depends on cmd, the others are 0. */
struct z5_netlink_event {
	enum z5m_cmd cmd;
	uint64_t region, size, value;
	uint32_t uid, place, place_id, error, threshold, quantity, index;
	bool above;
	char name[64];			/* printable */
};

typedef void (*z5_netlink_event_fn)(void *arg, const struct z5_netlink_event *e);

/* From now on events come to this socket. -EPERM it takes CAP_NET_ADMIN. Nothing can be asked of nl any more. */
int z5_netlink_listen(struct z5_netlink *nl, z5_netlink_event_fn fn, void *arg, struct zen5rt_error *err);
/* To be polled for reading. */
int z5_netlink_fd(const struct z5_netlink *nl);
/* Calls fn for the events that are there, waiting for the first one. -EINTR; -ENOBUFS some were lost. */
int z5_netlink_receive(struct z5_netlink *nl, struct zen5rt_error *err);

#endif
