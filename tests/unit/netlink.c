// SPDX-License-Identifier: MIT
/*
 * The client of the module's netlink family: libnl itself, over a kernel of the test's own making, which answers what
 * the script says.
 */
#include <errno.h>
#include <linux/genetlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <netlink/attr.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

#include <counters/netlink.h>

#include "../tap.h"

#define FAMILY	42

static struct {
	int error;		/* what requests are refused with */
	bool no_family, no_group, unreachable;
	struct nlmsghdr request;	/* the last one */
	uint8_t cmd;
	uint32_t u32[Z5M_A_MAX + 1];
	uint64_t u64[Z5M_A_MAX + 1];
	unsigned char answer[65536];	/* what is read next; as a socket does it keeps what was not read */
	size_t n;
	unsigned int thresholds;	/* that a dump gives */
} kernel;

static struct nlmsghdr *answer_begin(uint16_t type, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *h = (struct nlmsghdr *)(kernel.answer + kernel.n);

	*h = (struct nlmsghdr){ .nlmsg_len = NLMSG_HDRLEN, .nlmsg_type = type, .nlmsg_flags = flags, .nlmsg_seq = seq };
	return h;
}

static void answer_put(struct nlmsghdr *h, const void *data, size_t len)
{
	memcpy((unsigned char *)h + h->nlmsg_len, data, len);
	h->nlmsg_len += (uint32_t)len;
}

static void answer_end(const struct nlmsghdr *h)
{
	kernel.n += NLMSG_ALIGN(h->nlmsg_len);
}

static struct nlmsghdr *answer_genl(uint8_t cmd, uint16_t flags, uint32_t seq)
{
	struct nlmsghdr *h = answer_begin(FAMILY, flags, seq);

	answer_put(h, &(struct genlmsghdr){ .cmd = cmd, .version = Z5M_GENL_VERSION }, GENL_HDRLEN);
	return h;
}

static void answer_attr(struct nlmsghdr *h, uint16_t type, const void *data, uint16_t len)
{
	static const char pad[NLA_ALIGNTO];

	answer_put(h, &(struct nlattr){ .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type }, NLA_HDRLEN);
	answer_put(h, data, len);
	answer_put(h, pad, NLA_ALIGN(len) - len);
}

static void answer_u32(struct nlmsghdr *h, uint16_t type, uint32_t v)
{
	answer_attr(h, type, &v, sizeof(v));
}

static void answer_u64(struct nlmsghdr *h, uint16_t type, uint64_t v)
{
	answer_attr(h, type, &v, sizeof(v));
}

/* An acknowledgement, which an error is too. */
static void answer_ack(const struct nlmsghdr *request, int error)
{
	struct nlmsghdr *h = answer_begin(NLMSG_ERROR, 0, request->nlmsg_seq);

	answer_put(h, &(struct nlmsgerr){ .error = -error, .msg = *request }, sizeof(struct nlmsgerr));
	answer_end(h);
}

static void answer_thresholds(const struct nlmsghdr *request)
{
	struct nlmsghdr *h;

	for (unsigned int i = 0; i < kernel.thresholds; i++) {
		h = answer_genl(Z5M_CMD_THRESHOLD_GET, NLM_F_MULTI, request->nlmsg_seq);
		answer_u32(h, Z5M_A_THRESHOLD, i + 1);
		answer_u32(h, Z5M_A_QUANTITY, Z5M_QUANTITY_BUS_USE);
		answer_u32(h, Z5M_A_INDEX, i);
		answer_u64(h, Z5M_A_HIGH, 5000000000 + i);
		answer_u64(h, Z5M_A_LOW, 4000000000 + i);
		answer_u32(h, Z5M_A_ABOVE, i % 2);
		answer_end(h);
	}
	h = answer_begin(NLMSG_DONE, NLM_F_MULTI, request->nlmsg_seq);
	answer_put(h, &(int){ 0 }, sizeof(int));
	answer_end(h);
}

static int kernel_send(struct nl_sock *sk, struct nl_msg *msg)
{
	struct nlmsghdr *h = nlmsg_hdr(msg), *a;
	struct nlattr *attrs[Z5M_A_MAX + 1];

	(void)sk;
	if (kernel.unreachable)
		return -NLE_FAILURE;
	kernel.request = *h;
	kernel.cmd = ((struct genlmsghdr *)nlmsg_data(h))->cmd;
	memset(kernel.u32, 0, sizeof(kernel.u32));
	memset(kernel.u64, 0, sizeof(kernel.u64));
	if (genlmsg_parse(h, 0, attrs, Z5M_A_MAX, NULL))
		return -NLE_INVAL;
	for (int i = 0; i <= Z5M_A_MAX; i++) {
		if (attrs[i] && nla_len(attrs[i]) == 4)
			kernel.u32[i] = nla_get_u32(attrs[i]);
		if (attrs[i] && nla_len(attrs[i]) == 8)
			kernel.u64[i] = nla_get_u64(attrs[i]);
	}
	if (kernel.error) {
		answer_ack(h, kernel.error);
	} else if (h->nlmsg_flags & NLM_F_DUMP) {
		answer_thresholds(h);
	} else {
		a = answer_genl(kernel.cmd, 0, h->nlmsg_seq);
		if (kernel.cmd == Z5M_CMD_THRESHOLD_ADD)
			answer_u32(a, Z5M_A_THRESHOLD, 17);
		if (kernel.cmd == Z5M_CMD_CONFIG_GET) {
			answer_u32(a, Z5M_A_INTERVAL_US, 10000);
			answer_u32(a, Z5M_A_READERS, 3);
		}
		if (kernel.cmd == Z5M_CMD_THRESHOLD_ADD || kernel.cmd == Z5M_CMD_CONFIG_GET)
			answer_end(a);
		answer_ack(h, 0);
	}
	return (int)h->nlmsg_len;
}

static int kernel_receive(struct nl_sock *sk, struct sockaddr_nl *from, unsigned char **buf, struct ucred **creds)
{
	const struct nlmsghdr *h = (const struct nlmsghdr *)kernel.answer;
	size_t len = kernel.n;

	(void)sk;
	(void)creds;
	/* an answer and its acknowledgement come one by one, a dump as one piece */
	if (len && !(h->nlmsg_flags & NLM_F_MULTI))
		len = NLMSG_ALIGN(h->nlmsg_len);
	if (!len)
		return -NLE_AGAIN;
	*from = (struct sockaddr_nl){ .nl_family = AF_NETLINK };
	*buf = malloc(len);
	if (!*buf)
		return -NLE_NOMEM;
	memcpy(*buf, kernel.answer, len);
	kernel.n -= len;
	memmove(kernel.answer, kernel.answer + len, kernel.n);
	return (int)len;
}

/* In place of libnl's, which would ask the kernel that runs. */
int genl_connect(struct nl_sock *sk)
{
	struct nl_cb *cb = nl_socket_get_cb(sk);

	nl_cb_overwrite_send(cb, kernel_send);
	nl_cb_overwrite_recv(cb, kernel_receive);
	nl_cb_put(cb);
	return 0;
}

int genl_ctrl_resolve(struct nl_sock *sk, const char *name)
{
	(void)sk;
	return kernel.no_family || strcmp(name, Z5M_GENL_NAME) != 0 ? -NLE_OBJ_NOTFOUND : FAMILY;
}

int genl_ctrl_resolve_grp(struct nl_sock *sk, const char *family, const char *group)
{
	(void)sk;
	return strcmp(family, Z5M_GENL_NAME) != 0 || strcmp(group, Z5M_GENL_EVENTS) != 0 ? -NLE_OBJ_NOTFOUND : 7;
}

int nl_socket_add_memberships(struct nl_sock *sk, int group, ...)
{
	(void)sk;
	return kernel.no_group || group != 7 ? -NLE_PERM : 0;
}

int nl_socket_add_membership(struct nl_sock *sk, int group)
{
	return nl_socket_add_memberships(sk, group, 0);
}

static void test_requests(struct z5_netlink *nl)
{
	struct z5_netlink_threshold t = {
		.quantity = Z5M_QUANTITY_READ_RATE, .index = 5, .high = 9000000000, .low = 8000000000,
	};
	struct zen5rt_error err;
	uint32_t us = 0, readers = 0;

	/* all on one socket: what one leaves unread the next would take for its own */
	ok(!z5_netlink_config(nl, &us, &readers, &err) && us == 10000 && readers == 3, "settings are read");
	ok(!z5_netlink_set_interval(nl, 2000, &err) && kernel.cmd == Z5M_CMD_CONFIG_SET &&
	   kernel.u32[Z5M_A_INTERVAL_US] == 2000, "the interval is set");
	ok(!z5_netlink_threshold_add(nl, &t, &err) && t.id == 17 && kernel.u64[Z5M_A_HIGH] == t.high &&
	   kernel.u64[Z5M_A_LOW] == t.low && kernel.u32[Z5M_A_INDEX] == 5, "a threshold gets its id");
	ok(!z5_netlink_threshold_del(nl, 17, &err) && kernel.cmd == Z5M_CMD_THRESHOLD_DEL &&
	   kernel.u32[Z5M_A_THRESHOLD] == 17, "and is deleted by it");
	ok(!kernel.n, "nothing is left unread");
}

static void test_refused(struct z5_netlink *nl)
{
	static const struct {
		int error, ret;
		const char *text;
	} cases[] = {
		{ EPERM, -EPERM, "CAP_NET_ADMIN" },
		{ EINVAL, -EINVAL, "out of range" },
		{ ENOENT, -ENOENT, "no such thing" },
		{ ENOSPC, -ENOSPC, "there are 256 already" },
		{ ENOMEM, -ENOMEM, "Cannot allocate memory" },
		{ EMSGSIZE, -EMSGSIZE, "Message too long" },
	};
	struct z5_netlink_threshold t = { .high = 2, .low = 1 };
	struct zen5rt_error err = { .message = "not at all" };
	uint32_t us, readers;
	int ret;

	for (unsigned int i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		kernel.error = cases[i].error;
		ret = z5_netlink_threshold_add(nl, &t, &err);
		ok(ret == cases[i].ret && strstr(err.message, cases[i].text), "refused: %s", err.message);
	}
	kernel.error = EPERM;
	ret = z5_netlink_thresholds(nl, &t, 1, &err);
	ok(ret == -EPERM && strstr(err.message, "CAP_PERFMON"), "refused: %s", err.message);
	kernel.error = 0;
	ok(!z5_netlink_config(nl, &us, &readers, &err), "what was refused before does not matter");
}

static void test_unreachable(void)
{
	struct zen5rt_error err = { .message = "not at all" };
	struct z5_netlink *nl;

	if (!ok(!z5_netlink_open(&nl, &err), "opened"))
		return;
	kernel.error = EINVAL;
	z5_netlink_set_interval(nl, 0, &err);
	kernel.error = 0;
	kernel.unreachable = true;
	ok(z5_netlink_set_interval(nl, 2000, &err) == -EIO, "what does not reach the kernel was not refused by it: %s", err.message);
	kernel.unreachable = false;
	z5_netlink_close(nl);
}

static void test_list(struct z5_netlink *nl)
{
	static struct z5_netlink_threshold t[Z5M_THRESHOLDS_MAX];
	struct zen5rt_error err;
	unsigned int wrong = 0;

	ok(z5_netlink_thresholds(nl, t, Z5M_THRESHOLDS_MAX, &err) == 0 && kernel.request.nlmsg_flags & NLM_F_DUMP,
	   "no thresholds");
	kernel.thresholds = Z5M_THRESHOLDS_MAX;
	ok(z5_netlink_thresholds(nl, t, Z5M_THRESHOLDS_MAX, &err) == Z5M_THRESHOLDS_MAX, "as many as there can be");
	for (unsigned int i = 0; i < Z5M_THRESHOLDS_MAX; i++)
		wrong += t[i].id != i + 1 || t[i].quantity != Z5M_QUANTITY_BUS_USE || t[i].index != i ||
			 t[i].high != 5000000000u + i || t[i].low != 4000000000u + i || t[i].above != i % 2;
	ok(!wrong, "with all that they are: %u are wrong", wrong);
	t[3].id = 99;
	ok(z5_netlink_thresholds(nl, t, 3, &err) == Z5M_THRESHOLDS_MAX && t[2].id == 3 && t[3].id == 99,
	   "no more than there is room for");
}

static struct z5_netlink_event last;
static unsigned int events;

static void on_event(void *arg, const struct z5_netlink_event *e)
{
	(void)arg;
	last = *e;
	events++;
}

static void event_named(const char *name, uint16_t len)
{
	struct nlmsghdr *h = answer_genl(Z5M_CMD_REGION_CREATED, 0, 0);

	answer_u64(h, Z5M_A_REGION, 11);
	answer_attr(h, Z5M_A_NAME, name, len);
	answer_u64(h, Z5M_A_SIZE, 1ULL << 40);
	answer_u32(h, Z5M_A_UID, 1000);
	answer_end(h);
}

static void test_events(void)
{
	struct z5_netlink *nl;
	struct zen5rt_error err;
	struct nlmsghdr *h;
	char longer[200];

	if (!ok(!z5_netlink_open(&nl, &err), "opened"))
		return;
	kernel.no_group = true;
	ok(z5_netlink_listen(nl, on_event, NULL, &err) == -EPERM && strstr(err.message, "CAP_NET_ADMIN"), "no events: %s", err.message);
	kernel.no_group = false;
	ok(!z5_netlink_listen(nl, on_event, NULL, &err), "listening");
	event_named("model", 6);
	ok(!z5_netlink_receive(nl, &err) && events == 1 && last.cmd == Z5M_CMD_REGION_CREATED && last.region == 11 &&
	   last.size == 1ULL << 40 && last.uid == 1000 && !strcmp(last.name, "model") && !last.value, "an event");
	event_named("a\033[2Jb", 7);
	ok(!z5_netlink_receive(nl, &err) && events == 2 && !strcmp(last.name, "a?[2Jb"), "what a name may do to a terminal it does not");
	memset(longer, 'x', sizeof(longer));
	event_named(longer, sizeof(longer));
	ok(!z5_netlink_receive(nl, &err) && events == 2, "a name without end is none");
	longer[sizeof(longer) - 1] = '\0';
	event_named(longer, sizeof(longer));
	ok(!z5_netlink_receive(nl, &err) && events == 3 && strlen(last.name) == sizeof(last.name) - 1, "one that is too long is cut");
	h = answer_genl(Z5M_CMD_REGION_CREATED, 0, 0);
	answer_attr(h, Z5M_A_SIZE, "abc", 3);
	answer_end(h);
	ok(!z5_netlink_receive(nl, &err) && events == 3, "a number of three bytes is none");
	h = answer_begin(FAMILY + 1, 0, 0);
	answer_put(h, &(struct genlmsghdr){ .cmd = Z5M_CMD_REGION_CREATED }, GENL_HDRLEN);
	answer_end(h);
	ok(!z5_netlink_receive(nl, &err) && events == 3, "another family's message is not ours");
	h = answer_genl(Z5M_CMD_THRESHOLD_CROSSED, 0, 0);
	answer_u32(h, Z5M_A_THRESHOLD, 2);
	answer_u32(h, Z5M_A_QUANTITY, Z5M_QUANTITY_DRAM_LATENCY);
	answer_u64(h, Z5M_A_VALUE, 180);
	answer_u32(h, Z5M_A_ABOVE, 1);
	answer_end(h);
	ok(!z5_netlink_receive(nl, &err) && events == 4 && last.threshold == 2 && last.value == 180 && last.above &&
	   !last.region && !*last.name, "a threshold, with nothing of the event before");
	z5_netlink_close(nl);
}

int main(void)
{
	struct z5_netlink *nl;
	struct zen5rt_error err;

	kernel.no_family = true;
	ok(z5_netlink_open(&nl, &err) == -ENOENT && strstr(err.message, "modprobe zen5mem"), "no module: %s", err.message);
	kernel.no_family = false;
	if (!ok(!z5_netlink_open(&nl, &err), "opened"))
		return done();
	test_requests(nl);
	test_refused(nl);
	test_list(nl);
	z5_netlink_close(nl);
	z5_netlink_close(NULL);
	test_unreachable();
	test_events();
	return done();
}
