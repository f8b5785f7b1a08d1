// SPDX-License-Identifier: MIT
#include <counters/netlink.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "top.h"

static void put_event(void *arg, const struct z5_netlink_event *e)
{
	static const char *const quantities[] = { "L3 miss rate", "DRAM latency", "read rate", "write rate", "bus use" };
	static const char *const units[] = { "B/s", "ns", "B/s", "B/s", "per mille" };
	char size[32], at[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	(void)arg;
	if (localtime_r(&now, &tm))
		strftime(at, sizeof(at), "%H:%M:%S", &tm);
	human_bytes(size, sizeof(size), (double)e->size);
	switch (e->cmd) {
	case Z5M_CMD_REGION_CREATED:
		printf("%s region %" PRIu64 " created%s%s, %s, uid %u\n", at, e->region, *e->name ? " as " : "", e->name, size, e->uid);
		break;
	case Z5M_CMD_REGION_NAMED:
		printf("%s region %" PRIu64 " named %s\n", at, e->region, e->name);
		break;
	case Z5M_CMD_REGION_SEALED:
		printf("%s region %" PRIu64 " sealed\n", at, e->region);
		break;
	case Z5M_CMD_REGION_DESTROYED:
		printf("%s region %" PRIu64 " gone, %s\n", at, e->region, size);
		break;
	case Z5M_CMD_ALLOC_FAILED:
		printf("%s no region of %s: %s\n", at, size, strerror((int)e->error));
		break;
	case Z5M_CMD_THRESHOLD_CROSSED:
		if (e->quantity < sizeof(quantities) / sizeof(*quantities))
			printf("%s threshold %u: %s of %u is %s: %" PRIu64 " %s\n", at, e->threshold, quantities[e->quantity],
			       e->index, e->above ? "high" : "low again", e->value, units[e->quantity]);
		break;
	default:
		break;
	}
	finish_stdout();
}

void top_events(void)
{
	struct zen5rt_error err;
	struct z5_netlink *nl;
	int ret;

	if (z5_netlink_open(&nl, &err) || z5_netlink_listen(nl, put_event, NULL, &err))
		die("%s", err.message);
	for (;;) {
		ret = z5_netlink_receive(nl, &err);
		if (ret == -ENOBUFS)
			fprintf(stderr, "zen5-top: some events were lost\n");
		else if (ret && ret != -EINTR)
			die("%s", err.message);
	}
}

void top_module_interval(uint32_t us)
{
	struct zen5rt_error err;
	struct z5_netlink *nl;

	if (z5_netlink_open(&nl, &err) || z5_netlink_set_interval(nl, us, &err))
		die("%s", err.message);
	z5_netlink_close(nl);
}
