// SPDX-License-Identifier: MIT
#include <counters/netlink.h>

#include <errno.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <error.h>
#include <mem/device.h>

struct z5_netlink {
	struct nl_sock *sock;
	int family;
	int error;		/* errno that the kernel refused the request with, 0: it did not */
	bool acknowledged;
	z5_netlink_event_fn fn;
	void *arg;
};

static struct nla_policy netlink_policy[Z5M_A_MAX + 1] = {
	[Z5M_A_INTERVAL_US] = { .type = NLA_U32 },
	[Z5M_A_READERS] = { .type = NLA_U32 },
	[Z5M_A_THRESHOLD] = { .type = NLA_U32 },
	[Z5M_A_QUANTITY] = { .type = NLA_U32 },
	[Z5M_A_INDEX] = { .type = NLA_U32 },
	[Z5M_A_HIGH] = { .type = NLA_U64 },
	[Z5M_A_LOW] = { .type = NLA_U64 },
	[Z5M_A_VALUE] = { .type = NLA_U64 },
	[Z5M_A_ABOVE] = { .type = NLA_U32 },
	[Z5M_A_REGION] = { .type = NLA_U64 },
	[Z5M_A_NAME] = { .type = NLA_STRING },
	[Z5M_A_SIZE] = { .type = NLA_U64 },
	[Z5M_A_PLACE] = { .type = NLA_U32 },
	[Z5M_A_PLACE_ID] = { .type = NLA_U32 },
	[Z5M_A_UID] = { .type = NLA_U32 },
	[Z5M_A_ERROR] = { .type = NLA_U32 },
};

/* libnl makes one number of many errnos (ENOSPC becomes "unspecific"): what the kernel says is kept as it said it. */
static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *arg)
{
	(void)from;
	((struct z5_netlink *)arg)->error = -e->error;
	return NL_STOP;
}

static int on_ack(struct nl_msg *msg, void *arg)
{
	(void)msg;
	((struct z5_netlink *)arg)->acknowledged = true;
	return NL_STOP;
}

/* nle is libnl's: of the kernel's refusal if there is one, else of libnl itself. */
static int netlink_fail(struct z5_netlink *nl, struct zen5rt_error *err, int nle, const char *what)
{
	const int error = nl->error;

	nl->error = 0;
	switch (error) {
	case 0:
		break;
	case EPERM:
	case EACCES:
		return z5_fail(err, -EPERM, "%s: not permitted: it takes CAP_NET_ADMIN", what);
	case ENOENT:
		return z5_fail(err, -ENOENT, "%s: there is no such thing", what);
	case EINVAL:
	case ERANGE:
		return z5_fail(err, -EINVAL, "%s: a value is out of range", what);
	case ENOSPC:
		return z5_fail(err, -ENOSPC, "%s: there are %u already", what, Z5M_THRESHOLDS_MAX);
	default:
		return z5_fail(err, -error, "%s: %s", what, strerror(error));
	}
	switch (-nle) {
	case NLE_PERM:
	case NLE_NOACCESS:
		return z5_fail(err, -EPERM, "%s: not permitted: it takes CAP_NET_ADMIN", what);
	case NLE_OBJ_NOTFOUND:
		return z5_fail(err, -ENOENT, "%s: there is no such thing", what);
	case NLE_NOMEM:
		/* of a socket's receive buffer that was too small, too: ENOBUFS */
		return z5_fail(err, -ENOBUFS, "%s: no room", what);
	case NLE_INTR:
		return z5_fail(err, -EINTR, "%s: interrupted", what);
	}
	return z5_fail(err, -EIO, "%s: %s", what, nl_geterror(nle));
}

int z5_netlink_open(struct z5_netlink **out, struct zen5rt_error *err)
{
	struct z5_netlink *nl = calloc(1, sizeof(*nl));
	int ret;

	if (!nl)
		return z5_fail(err, -ENOMEM, "out of memory");
	nl->sock = nl_socket_alloc();
	if (!nl->sock) {
		free(nl);
		return z5_fail(err, -ENOMEM, "out of memory");
	}
	ret = genl_connect(nl->sock);
	if (ret) {
		ret = netlink_fail(nl, err, ret, "netlink");
		z5_netlink_close(nl);
		return ret;
	}
	nl->family = genl_ctrl_resolve(nl->sock, Z5M_GENL_NAME);
	if (nl->family < 0) {
		z5_netlink_close(nl);
		return z5_fail(err, -ENOENT, "no netlink family zen5mem: the module is not loaded (modprobe zen5mem)");
	}
	nl_socket_modify_err_cb(nl->sock, NL_CB_CUSTOM, on_error, nl);
	nl_socket_modify_cb(nl->sock, NL_CB_ACK, NL_CB_CUSTOM, on_ack, nl);
	*out = nl;
	return 0;
}

void z5_netlink_close(struct z5_netlink *nl)
{
	if (!nl)
		return;
	nl_socket_free(nl->sock);
	free(nl);
}

/* A request, to be filled; NULL without memory. */
static struct nl_msg *netlink_request(const struct z5_netlink *nl, uint8_t cmd)
{
	struct nl_msg *msg = nlmsg_alloc();

	if (msg && !genlmsg_put(msg, NL_AUTO_PORT, NL_AUTO_SEQ, nl->family, 0, 0, cmd, Z5M_GENL_VERSION)) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return msg;
}

/* 0: it is not there. */
static uint64_t number(struct nlattr *const *a, int type)
{
	if (!a[type])
		return 0;
	return nla_len(a[type]) >= 8 ? nla_get_u64(a[type]) : nla_get_u32(a[type]);
}

struct netlink_answer {
	uint32_t value[Z5M_A_MAX + 1];
};

static int on_answer(struct nl_msg *msg, void *arg)
{
	struct netlink_answer *a = arg;
	struct nlattr *attrs[Z5M_A_MAX + 1];

	if (genlmsg_parse(nlmsg_hdr(msg), 0, attrs, Z5M_A_MAX, netlink_policy))
		return NL_SKIP;
	for (int i = 0; i <= Z5M_A_MAX; i++)
		if (attrs[i] && nla_len(attrs[i]) == 4)
			a->value[i] = nla_get_u32(attrs[i]);
	return NL_OK;
}

/* Sends msg, which is gone afterwards, and takes the answer and the acknowledgement. */
static int netlink_do(struct z5_netlink *nl, struct nl_msg *msg, struct netlink_answer *a, const char *what,
		      struct zen5rt_error *err)
{
	int ret;

	nl_socket_modify_cb(nl->sock, NL_CB_VALID, NL_CB_CUSTOM, on_answer, a);
	nl->acknowledged = false;
	ret = nl_send_auto(nl->sock, msg);
	nlmsg_free(msg);
	/*
	 * The answer is a message of its own, the acknowledgement comes behind it: nl_wait_for_ack() reads only
	 * one, and the next request would take the other for its own.
	 */
	while (ret >= 0 && !nl->acknowledged)
		ret = nl_recvmsgs_default(nl->sock);
	return ret < 0 ? netlink_fail(nl, err, ret, what) : 0;
}

int z5_netlink_config(struct z5_netlink *nl, uint32_t *interval_us, uint32_t *readers, struct zen5rt_error *err)
{
	struct nl_msg *msg = netlink_request(nl, Z5M_CMD_CONFIG_GET);
	struct netlink_answer a = { { 0 } };
	int ret;

	if (!msg)
		return z5_fail(err, -ENOMEM, "out of memory");
	ret = netlink_do(nl, msg, &a, "the module's settings", err);
	if (ret)
		return ret;
	*interval_us = a.value[Z5M_A_INTERVAL_US];
	*readers = a.value[Z5M_A_READERS];
	return 0;
}

int z5_netlink_set_interval(struct z5_netlink *nl, uint32_t us, struct zen5rt_error *err)
{
	struct nl_msg *msg = netlink_request(nl, Z5M_CMD_CONFIG_SET);
	struct netlink_answer a = { { 0 } };

	if (!msg || nla_put_u32(msg, Z5M_A_INTERVAL_US, us)) {
		nlmsg_free(msg);
		return z5_fail(err, -ENOMEM, "out of memory");
	}
	return netlink_do(nl, msg, &a, "interval of the module's samples (1000 to 10000000 us)", err);
}

int z5_netlink_threshold_add(struct z5_netlink *nl, struct z5_netlink_threshold *t, struct zen5rt_error *err)
{
	struct nl_msg *msg = netlink_request(nl, Z5M_CMD_THRESHOLD_ADD);
	struct netlink_answer a = { { 0 } };
	int ret;

	if (!msg || nla_put_u32(msg, Z5M_A_QUANTITY, t->quantity) || nla_put_u32(msg, Z5M_A_INDEX, t->index) ||
	    nla_put_u64(msg, Z5M_A_HIGH, t->high) || nla_put_u64(msg, Z5M_A_LOW, t->low)) {
		nlmsg_free(msg);
		return z5_fail(err, -ENOMEM, "out of memory");
	}
	ret = netlink_do(nl, msg, &a, "a threshold", err);
	t->id = a.value[Z5M_A_THRESHOLD];
	return ret;
}

int z5_netlink_threshold_del(struct z5_netlink *nl, uint32_t id, struct zen5rt_error *err)
{
	struct nl_msg *msg = netlink_request(nl, Z5M_CMD_THRESHOLD_DEL);
	struct netlink_answer a = { { 0 } };

	if (!msg || nla_put_u32(msg, Z5M_A_THRESHOLD, id)) {
		nlmsg_free(msg);
		return z5_fail(err, -ENOMEM, "out of memory");
	}
	return netlink_do(nl, msg, &a, "a threshold", err);
}

struct netlink_list {
	struct z5_netlink_threshold *t;
	unsigned int n, max;
};

static int on_threshold(struct nl_msg *msg, void *arg)
{
	struct netlink_list *list = arg;
	struct nlattr *a[Z5M_A_MAX + 1];

	if (genlmsg_parse(nlmsg_hdr(msg), 0, a, Z5M_A_MAX, netlink_policy) || !a[Z5M_A_THRESHOLD])
		return NL_SKIP;
	if (list->n < list->max)
		list->t[list->n] = (struct z5_netlink_threshold){
			.id = (uint32_t)number(a, Z5M_A_THRESHOLD), .quantity = (uint32_t)number(a, Z5M_A_QUANTITY),
			.index = (uint32_t)number(a, Z5M_A_INDEX), .high = number(a, Z5M_A_HIGH),
			.low = number(a, Z5M_A_LOW), .above = number(a, Z5M_A_ABOVE),
		};
	list->n++;
	return NL_OK;
}

int z5_netlink_thresholds(struct z5_netlink *nl, struct z5_netlink_threshold *t, unsigned int max,
			  struct zen5rt_error *err)
{
	struct nl_msg *msg = netlink_request(nl, Z5M_CMD_THRESHOLD_GET);
	struct netlink_list list = { .t = t, .max = max };
	struct z5m_version v;
	char why[128];
	int dev, ret;

	if (!msg)
		return z5_fail(err, -ENOMEM, "out of memory");
	nlmsg_hdr(msg)->nlmsg_flags |= NLM_F_DUMP;
	/* who may open the device needs no CAP_PERFMON; who may not is told by the answer */
	dev = z5_dev_open(&v, why, sizeof(why));
	if (dev >= 0 && nla_put_u32(msg, Z5M_A_DEVICE, (uint32_t)dev)) {
		nlmsg_free(msg);
		close(dev);
		return z5_fail(err, -ENOMEM, "out of memory");
	}
	nl_socket_modify_cb(nl->sock, NL_CB_VALID, NL_CB_CUSTOM, on_threshold, &list);
	ret = nl_send_auto(nl->sock, msg);
	nlmsg_free(msg);
	/* a dump is not acknowledged: its end is the answer's last message */
	if (ret >= 0)
		ret = nl_recvmsgs_default(nl->sock);
	if (dev >= 0)
		close(dev);
	if (ret < 0 && (nl->error == EPERM || nl->error == EACCES)) {
		nl->error = 0;
		return z5_fail(err, -EPERM, "the thresholds: not permitted: it takes access to the device, or CAP_PERFMON");
	}
	return ret < 0 ? netlink_fail(nl, err, ret, "the thresholds") : (int)list.n;
}

/* ---- events ---- */

static int on_event(struct nl_msg *msg, void *arg)
{
	const struct genlmsghdr *genl = nlmsg_data(nlmsg_hdr(msg));
	struct nlattr *a[Z5M_A_MAX + 1];
	struct z5_netlink *nl = arg;
	struct z5_netlink_event e;

	if (nlmsg_hdr(msg)->nlmsg_type != nl->family || genlmsg_parse(nlmsg_hdr(msg), 0, a, Z5M_A_MAX, netlink_policy))
		return NL_SKIP;
	e = (struct z5_netlink_event){
		.cmd = (enum z5m_cmd)genl->cmd,
		.region = number(a, Z5M_A_REGION), .size = number(a, Z5M_A_SIZE), .value = number(a, Z5M_A_VALUE),
		.uid = (uint32_t)number(a, Z5M_A_UID), .place = (uint32_t)number(a, Z5M_A_PLACE),
		.place_id = (uint32_t)number(a, Z5M_A_PLACE_ID), .error = (uint32_t)number(a, Z5M_A_ERROR),
		.threshold = (uint32_t)number(a, Z5M_A_THRESHOLD), .quantity = (uint32_t)number(a, Z5M_A_QUANTITY),
		.index = (uint32_t)number(a, Z5M_A_INDEX), .above = number(a, Z5M_A_ABOVE),
	};
	if (a[Z5M_A_NAME])
		nla_strlcpy(e.name, a[Z5M_A_NAME], sizeof(e.name));
	for (char *p = e.name; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
	nl->fn(nl->arg, &e);
	return NL_OK;
}

int z5_netlink_listen(struct z5_netlink *nl, z5_netlink_event_fn fn, void *arg, struct zen5rt_error *err)
{
	int group = genl_ctrl_resolve_grp(nl->sock, Z5M_GENL_NAME, Z5M_GENL_EVENTS), ret;

	if (group < 0)
		return netlink_fail(nl, err, group, "the module's events");
	ret = nl_socket_add_membership(nl->sock, group);
	if (ret)
		return netlink_fail(nl, err, ret, "the module's events");
	nl->fn = fn;
	nl->arg = arg;
	nl_socket_disable_seq_check(nl->sock);
	nl_socket_modify_cb(nl->sock, NL_CB_VALID, NL_CB_CUSTOM, on_event, nl);
	return 0;
}

int z5_netlink_fd(const struct z5_netlink *nl)
{
	return nl_socket_get_fd(nl->sock);
}

int z5_netlink_receive(struct z5_netlink *nl, struct zen5rt_error *err)
{
	int ret = nl_recvmsgs_default(nl->sock);

	return ret < 0 ? netlink_fail(nl, err, ret, "the module's events") : 0;
}
