// SPDX-License-Identifier: MIT
/*
 * The generic netlink family, by hand: dumps, settings, thresholds, events, and what is not allowed.
 * Counters come from kmod/mock/zen5mem_mock.c, as in zen5mem_counters.c.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <linux/perf_event.h>
#include <linux/zen5mem_counters.h>
#include <linux/zen5mem_netlink.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define PERFMON "/sys/module/zen5mem/parameters/counters_perfmon"
#define ADVANCE "/sys/module/zen5mem_mock/parameters/advance_us"
#define COUNTERS "/sys/module/zen5mem_mock/parameters/counters"

/* ---- netlink by hand ---- */

struct message {
	struct nlmsghdr nl;
	struct genlmsghdr genl;
	char attrs[8192];
};

static int family, group;

static int nl_socket(void)
{
	const struct sockaddr_nl any = { .nl_family = AF_NETLINK };
	struct timeval limit = { .tv_sec = 20 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);

	need(fd >= 0);
	/* without an address of its own it would be taken for the sender of events */
	need(!bind(fd, (const struct sockaddr *)&any, sizeof(any)));
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	return fd;
}

static struct message request(int type, uint8_t cmd, int flags)
{
	struct message m = {
		.nl = { .nlmsg_len = NLMSG_LENGTH(GENL_HDRLEN), .nlmsg_type = type,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags, .nlmsg_seq = 1 },
		.genl = { .cmd = cmd, .version = 1 },
	};

	return m;
}

static void put(struct message *m, int type, const void *data, size_t len)
{
	struct nlattr *a = (struct nlattr *)((char *)m + NLMSG_ALIGN(m->nl.nlmsg_len));

	a->nla_type = type;
	a->nla_len = NLA_HDRLEN + len;
	memcpy((char *)a + NLA_HDRLEN, data, len);
	m->nl.nlmsg_len = NLMSG_ALIGN(m->nl.nlmsg_len) + NLA_ALIGN(a->nla_len);
}

static void put_u32(struct message *m, int type, uint32_t v)
{
	put(m, type, &v, sizeof(v));
}

static void put_u64(struct message *m, int type, uint64_t v)
{
	put(m, type, &v, sizeof(v));
}

/* Attribute type of a message or nest, NULL: none; the nth of several. */
static const struct nlattr *nth(const void *begin, size_t len, int type, unsigned int n)
{
	const struct nlattr *a = begin;

	while (len >= NLA_HDRLEN && a->nla_len >= NLA_HDRLEN && a->nla_len <= len) {
		if ((a->nla_type & NLA_TYPE_MASK) == type && !n--)
			return a;
		if ((size_t)NLA_ALIGN(a->nla_len) >= len)
			return NULL;
		len -= NLA_ALIGN(a->nla_len);
		a = (const void *)((const char *)a + NLA_ALIGN(a->nla_len));
	}
	return NULL;
}

static const struct nlattr *attr(const struct nlmsghdr *nl, int type, unsigned int n)
{
	return nth((const char *)nl + NLMSG_LENGTH(GENL_HDRLEN), nl->nlmsg_len - NLMSG_LENGTH(GENL_HDRLEN), type, n);
}

static const void *data(const struct nlattr *a)
{
	return (const char *)a + NLA_HDRLEN;
}

static uint64_t value(const struct nlattr *a)
{
	uint64_t v = 0;

	if (a)
		memcpy(&v, data(a), a->nla_len - NLA_HDRLEN < 8 ? a->nla_len - NLA_HDRLEN : 8);
	return v;
}

static uint64_t get(const struct nlmsghdr *nl, int type)
{
	return value(attr(nl, type, 0));
}

/* The answers to a request, one after the other; returns 0 or the errno that it ended with. */
static int ask(int fd, struct message *m, void (*each)(const struct nlmsghdr *nl, void *arg), void *arg)
{
	static char buf[65536];

	if (send(fd, m, m->nl.nlmsg_len, 0) < 0)
		return errno;
	for (;;) {
		ssize_t n = recv(fd, buf, sizeof(buf), 0);
		const struct nlmsghdr *nl = (const void *)buf;

		if (n < 0)
			return errno;
		for (; NLMSG_OK(nl, n); nl = NLMSG_NEXT(nl, n)) {
			if (nl->nlmsg_type == NLMSG_ERROR || nl->nlmsg_type == NLMSG_DONE)
				return -*(const int *)NLMSG_DATA(nl);
			if (each)
				each(nl, arg);
		}
	}
}

static void on_family(const struct nlmsghdr *nl, void *unused)
{
	const struct nlattr *groups = attr(nl, CTRL_ATTR_MCAST_GROUPS, 0), *one;

	(void)unused;
	family = get(nl, CTRL_ATTR_FAMILY_ID);
	one = groups ? nth(data(groups), groups->nla_len - NLA_HDRLEN, 1, 0) : NULL;
	if (one)
		group = value(nth(data(one), one->nla_len - NLA_HDRLEN, CTRL_ATTR_MCAST_GRP_ID, 0));
}

static int nl_open(void)
{
	struct message m = request(GENL_ID_CTRL, CTRL_CMD_GETFAMILY, 0);
	int fd = nl_socket();

	put(&m, CTRL_ATTR_FAMILY_NAME, Z5M_GENL_NAME, sizeof(Z5M_GENL_NAME));
	need(!ask(fd, &m, on_family, NULL));
	need(family && group);
	return fd;
}

/* ---- the mock, with a clock that the test moves ---- */

static void mock_gone(void)
{
	int i;

	for (i = 0; i < 3000 && syscall(SYS_delete_module, "zen5mem_mock", O_NONBLOCK) && errno != ENOENT; i++)
		usleep(10000);
	check(i < 3000, "zen5mem_mock cannot be unloaded");
}

static void mock(const char *params)
{
	const char *dir = getenv("Z5_MODULES");
	char path[512];
	int fd;

	z5t_need_root();
	mock_gone();
	snprintf(path, sizeof(path), "%s/zen5mem_mock.ko", dir ? dir : ".");
	fd = open(path, O_RDONLY);
	if (fd < 0)
		z5t_skip("no zen5mem_mock.ko");
	need(!syscall(SYS_finit_module, fd, params, 0));
	close(fd);
}

static const struct z5m_counters *reader(void)
{
	struct z5m_counters_open o = { .interval_us = 1000 };
	int fd = ioctl(z5t_dev, Z5M_IOC_COUNTERS, &o);
	void *p;

	need(fd >= 0);
	p = mmap(NULL, Z5M_COUNTERS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	need(p != MAP_FAILED);
	return p;
}

/* Two more samples. */
static void sampled(const volatile struct z5m_counters *page)
{
	uint64_t from = page->samples;
	int i;

	for (i = 0; i < 30000 && page->samples < from + 2; i++)
		usleep(1000);
	need(page->samples >= from + 2);
}

/* ---- dumps ---- */

struct seen {
	unsigned int domains, channels, ports, counters, wrong;
	uint64_t accesses[Z5M_COUNTERS_DOMAINS];
	char source[64], cpus[64];
};

static void on_counters(const struct nlmsghdr *nl, void *arg)
{
	struct seen *s = arg;
	const struct nlattr *c;
	unsigned int i;

	s->wrong += nl->nlmsg_type != family;
	s->domains += !!attr(nl, Z5M_A_DOMAIN, 0);
	s->channels += !!attr(nl, Z5M_A_CHANNEL, 0);
	s->ports += !!attr(nl, Z5M_A_PORT, 0);
	s->wrong += !attr(nl, Z5M_A_TS_NS, 0) || !attr(nl, Z5M_A_SOURCE, 0) || !attr(nl, Z5M_A_CPU, 0);
	if (attr(nl, Z5M_A_SOURCE, 0))
		snprintf(s->source, sizeof(s->source), "%s", (const char *)data(attr(nl, Z5M_A_SOURCE, 0)));
	for (i = 0; (c = attr(nl, Z5M_A_COUNTER, i)); i++) {
		const void *in = data(c);
		size_t len = c->nla_len - NLA_HDRLEN;

		s->counters++;
		s->wrong += value(nth(in, len, Z5M_A_COUNTER_ID, 0)) != i || !nth(in, len, Z5M_A_COUNTER_STATE, 0);
		if (attr(nl, Z5M_A_DOMAIN, 0) && i == Z5M_L3_ACCESSES && get(nl, Z5M_A_DOMAIN) < Z5M_COUNTERS_DOMAINS)
			s->accesses[get(nl, Z5M_A_DOMAIN)] = value(nth(in, len, Z5M_A_COUNTER_TOTAL, 0));
	}
}

static void on_domain(const struct nlmsghdr *nl, void *arg)
{
	struct seen *s = arg;
	struct z5m_domain d;
	uint64_t cpus[Z5M_CPU_WORDS];

	if (z5t_domain(get(nl, Z5M_A_DOMAIN), &d) || !attr(nl, Z5M_A_CPUS, 0)) {
		s->wrong++;
		return;
	}
	s->domains++;
	z5t_list(data(attr(nl, Z5M_A_CPUS, 0)), cpus);
	s->wrong += memcmp(cpus, d.cpus, sizeof(cpus)) || get(nl, Z5M_A_L3_BYTES) != d.l3_bytes ||
		    (int32_t)get(nl, Z5M_A_NODE) != d.node || get(nl, Z5M_A_LOCALITY) != d.locality;
}

static void netlink_domains(void)
{
	struct seen s = { 0 };
	int fd = nl_open();
	struct message m = request(family, Z5M_CMD_DOMAIN_GET, NLM_F_DUMP);

	check(!ask(fd, &m, on_domain, &s));
	check(s.domains == z5t_version().n_domains && !s.wrong, "%u, %u wrong", s.domains, s.wrong);
}

/* A dump samples by itself, and totals are those of the page. */
static void netlink_counters(void)
{
	struct seen a = { 0 }, b = { 0 };
	struct message m;
	int fd;

	mock("manual=1");
	fd = nl_open();
	m = request(family, Z5M_CMD_COUNTER_GET, NLM_F_DUMP);
	check(!ask(fd, &m, on_counters, &a));
	check(a.domains == z5t_version().n_domains && a.channels == 2 && !a.wrong, "%u %u, %u wrong", a.domains,
	      a.channels, a.wrong);
	check(a.counters == 4 * (a.domains + a.channels) + 2 * a.ports);
	check(!strncmp(a.source, "MOCK: ", 6), "%s", a.source);
	need(!z5t_write_file(ADVANCE, "1000"));
	sampled(reader());
	m = request(family, Z5M_CMD_COUNTER_GET, NLM_F_DUMP);
	check(!ask(fd, &m, on_counters, &b));
	check(b.accesses[0] - a.accesses[0] == 400000, "%llu", (unsigned long long)(b.accesses[0] - a.accesses[0]));
}

static void on_config(const struct nlmsghdr *nl, void *arg)
{
	((uint64_t *)arg)[0] = get(nl, Z5M_A_INTERVAL_US);
	((uint64_t *)arg)[1] = get(nl, Z5M_A_READERS);
}

static int set_interval(int fd, uint32_t us)
{
	struct message m = request(family, Z5M_CMD_CONFIG_SET, 0);

	put_u32(&m, Z5M_A_INTERVAL_US, us);
	return ask(fd, &m, NULL, NULL);
}

static void netlink_config(void)
{
	int fd = nl_open();
	struct message m = request(family, Z5M_CMD_CONFIG_GET, 0);
	uint64_t now[2] = { 0 }, was;

	z5t_need_root();
	check(!ask(fd, &m, on_config, now) && now[0] >= 1000);
	was = now[0];
	check(set_interval(fd, 999) == EINVAL && set_interval(fd, 10000001) == EINVAL);
	check(!set_interval(fd, 2000));
	reader();
	m = request(family, Z5M_CMD_CONFIG_GET, 0);
	check(!ask(fd, &m, on_config, now) && now[0] == 2000 && now[1] >= 1, "%llu us, %llu readers",
	      (unsigned long long)now[0], (unsigned long long)now[1]);
	check(!set_interval(fd, was));
	m = request(family, Z5M_CMD_CONFIG_SET, 0);
	check(ask(fd, &m, NULL, NULL) == EINVAL, "nothing to set");
}

/* ---- events ---- */

static int listen_events(void)
{
	int fd = nl_socket();

	need(!setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)));
	return fd;
}

/* The next event of that kind, 0: it does not come. */
static int event(int fd, uint8_t cmd, struct message *m)
{
	for (;;) {
		ssize_t n = recv(fd, m, sizeof(*m), 0);

		if (n < (ssize_t)NLMSG_LENGTH(GENL_HDRLEN))
			return 0;
		if (m->nl.nlmsg_type == family && m->genl.cmd == cmd)
			return 1;
	}
}

static void netlink_regions(void)
{
	struct z5m_info info;
	struct message m;
	int fd, r;

	z5t_need_root();
	close(nl_open());
	fd = listen_events();
	r = z5t_get(PAGE, 0, NULL);
	info = z5t_info(r);
	need(event(fd, Z5M_CMD_REGION_CREATED, &m));
	check(get(&m.nl, Z5M_A_REGION) == info.id && get(&m.nl, Z5M_A_SIZE) == PAGE && get(&m.nl, Z5M_A_UID) == 0);
	need(!z5t_name(r, NAME("netlink")));
	need(event(fd, Z5M_CMD_REGION_NAMED, &m));
	check(attr(&m.nl, Z5M_A_NAME, 0) && !strcmp(data(attr(&m.nl, Z5M_A_NAME, 0)), NAME("netlink")));
	need(!z5t_seal(r));
	need(event(fd, Z5M_CMD_REGION_SEALED, &m));
	check(get(&m.nl, Z5M_A_REGION) == info.id);
	need(!z5t_seal(r), "twice is no news");
	need(!z5t_destroy(NAME("netlink")));
	close(r);
	need(event(fd, Z5M_CMD_REGION_DESTROYED, &m));
	check(get(&m.nl, Z5M_A_REGION) == info.id);
	fails(z5t_create(1UL << 50, 0, 0, NULL), 0);
	need(event(fd, Z5M_CMD_ALLOC_FAILED, &m));
	check(get(&m.nl, Z5M_A_SIZE) == 1UL << 50 && get(&m.nl, Z5M_A_ERROR) == EDQUOT, "%llu",
	      (unsigned long long)get(&m.nl, Z5M_A_ERROR));
}

static void on_id(const struct nlmsghdr *nl, void *arg)
{
	*(uint64_t *)arg = get(nl, Z5M_A_THRESHOLD);
}

static int threshold_add(int fd, uint32_t quantity, uint32_t index, uint64_t high, uint64_t low, uint64_t *id)
{
	struct message m = request(family, Z5M_CMD_THRESHOLD_ADD, 0);

	put_u32(&m, Z5M_A_QUANTITY, quantity);
	put_u32(&m, Z5M_A_INDEX, index);
	put_u64(&m, Z5M_A_HIGH, high);
	put_u64(&m, Z5M_A_LOW, low);
	return ask(fd, &m, on_id, id);
}

static int threshold_del(int fd, uint32_t id)
{
	struct message m = request(family, Z5M_CMD_THRESHOLD_DEL, 0);

	put_u32(&m, Z5M_A_THRESHOLD, id);
	return ask(fd, &m, NULL, NULL);
}

static void on_threshold(const struct nlmsghdr *nl, void *arg)
{
	uint64_t *v = arg;

	v[0]++;
	v[1] = get(nl, Z5M_A_HIGH);
	v[2] = get(nl, Z5M_A_ABOVE);
}

/* The mean latency of domain 0 is 90 ns all the time: one event, and no other as long as it stays. */
static void netlink_thresholds(void)
{
	const struct z5m_counters *page;
	uint64_t id = 0, list[3] = { 0 };
	struct message m;
	int fd, events, i;

	mock("");
	fd = nl_open();
	events = listen_events();
	page = reader();
	sampled(page);
	check(threshold_add(fd, Z5M_QUANTITY_DRAM_LATENCY, 0, 90, 90, &id) == EINVAL, "low below high");
	check(threshold_add(fd, __Z5M_QUANTITY_MAX, 0, 90, 80, &id) == EINVAL);
	check(threshold_add(fd, Z5M_QUANTITY_DRAM_LATENCY, Z5M_COUNTERS_DOMAINS, 90, 80, &id) == ENOENT);
	need(!threshold_add(fd, Z5M_QUANTITY_DRAM_LATENCY, 0, 50, 1, &id) && id);
	need(event(events, Z5M_CMD_THRESHOLD_CROSSED, &m));
	check(get(&m.nl, Z5M_A_THRESHOLD) == id && get(&m.nl, Z5M_A_VALUE) >= 50 && get(&m.nl, Z5M_A_VALUE) < 1000 &&
	      get(&m.nl, Z5M_A_ABOVE) == 1 && get(&m.nl, Z5M_A_QUANTITY) == Z5M_QUANTITY_DRAM_LATENCY, "%llu",
	      (unsigned long long)get(&m.nl, Z5M_A_VALUE));
	for (i = 0; i < 20; i++)
		sampled(page);
	check(recv(events, &m, sizeof(m), MSG_DONTWAIT) < 0, "more of the same is no event");
	m = request(family, Z5M_CMD_THRESHOLD_GET, NLM_F_DUMP);
	check(!ask(fd, &m, on_threshold, list));
	check(list[0] == 1 && list[1] == 50 && list[2] == 1);
	check(!threshold_del(fd, id));
	check(threshold_del(fd, id) == ENOENT);
}

/* Up, down, up: one event each, by way of a channel's reads. */
static void netlink_hysteresis(void)
{
	const struct z5m_counters *page;
	uint64_t id = 0;
	struct message m;
	int fd, events, i;

	mock("manual=1");
	fd = nl_open();
	events = listen_events();
	page = reader();
	sampled(page);
	need(!threshold_add(fd, Z5M_QUANTITY_READ_RATE, 0, 2, 1, &id));
	for (i = 0; i < 3; i++) {
		need(!z5t_write_file(ADVANCE, "1000"));
		need(event(events, Z5M_CMD_THRESHOLD_CROSSED, &m));
		check(get(&m.nl, Z5M_A_THRESHOLD) == id && get(&m.nl, Z5M_A_ABOVE) == 1 && get(&m.nl, Z5M_A_VALUE) > 2);
		need(event(events, Z5M_CMD_THRESHOLD_CROSSED, &m), "and down again, since the clock stands");
		check(get(&m.nl, Z5M_A_ABOVE) == 0 && get(&m.nl, Z5M_A_VALUE) == 0);
	}
	sampled(page);
	check(recv(events, &m, sizeof(m), MSG_DONTWAIT) < 0, "silence");
	check(!threshold_del(fd, id));
}

static uint32_t reads_state(const volatile struct z5m_counters *page)
{
	const volatile struct z5m_counter_channel *c = (const void *)((const char *)page + page->channel_offset);

	return c->counter[Z5M_UMC_READS].state;
}

/* Whether the channel's reads get to be in that state. */
static int becomes(const volatile struct z5m_counters *page, uint32_t state)
{
	int i;

	for (i = 0; i < 30000 && reads_state(page) != state; i++)
		usleep(1000);
	return i < 30000;
}

/* An event of amd_umc_0 of our own, for which there is no hardware counter left: then others have to make room. */
static int rob(void)
{
	struct perf_event_attr attr = { .size = sizeof(attr) };
	char type[32];
	int fd;

	need(!z5t_write_file(COUNTERS, "0"));
	need(!z5t_read_file("/sys/bus/event_source/devices/amd_umc_0/type", type, sizeof(type)));
	attr.type = strtoul(type, NULL, 10);
	fd = syscall(SYS_perf_event_open, &attr, -1, 0, -1, 0);
	need(fd >= 0);
	return fd;
}

/*
 * A counter that others have taken says nothing, and does not fall. (Taken or given back within a microsecond of a
 * sample it may be read as 0: three times in a row that does not happen.)
 */
static void netlink_taken(void)
{
	const volatile struct z5m_counters *page;
	int fd, events, robber, try, fell = 1;
	uint64_t id = 0;
	struct message m;

	mock("");
	fd = nl_open();
	events = listen_events();
	page = reader();
	for (try = 0; try < 3 && fell; try++) {
		need(becomes(page, Z5M_COUNTER_OK));
		sampled((const void *)page);
		need(!threshold_add(fd, Z5M_QUANTITY_READ_RATE, 0, 2, 1, &id));
		need(event(events, Z5M_CMD_THRESHOLD_CROSSED, &m));
		check(get(&m.nl, Z5M_A_THRESHOLD) == id && get(&m.nl, Z5M_A_ABOVE) == 1);
		robber = rob();
		need(becomes(page, Z5M_COUNTER_TAKEN), "nobody makes room");
		sampled((const void *)page);
		need(!z5t_write_file(COUNTERS, "16"));
		need(becomes(page, Z5M_COUNTER_OK));
		sampled((const void *)page);
		close(robber);
		need(!threshold_del(fd, id));
		for (fell = 0; recv(events, &m, sizeof(m), MSG_DONTWAIT) > 0;)
			fell += get(&m.nl, Z5M_A_THRESHOLD) == id && get(&m.nl, Z5M_A_ABOVE) == 0;
	}
	check(!fell, "it fell %d times", fell);
}

static void netlink_many(void)
{
	uint64_t id[Z5M_THRESHOLDS_MAX], one;
	int fd, i, n = 0;
	uint64_t list[3] = { 0 };
	struct message m;

	z5t_need_root();
	fd = nl_open();
	while (n < Z5M_THRESHOLDS_MAX && !threshold_add(fd, Z5M_QUANTITY_BUS_USE, n % 64, 900, 800, &id[n]))
		n++;
	check(n == Z5M_THRESHOLDS_MAX, "%d", n);
	check(threshold_add(fd, Z5M_QUANTITY_BUS_USE, 0, 900, 800, &one) == ENOSPC);
	m = request(family, Z5M_CMD_THRESHOLD_GET, NLM_F_DUMP);
	check(!ask(fd, &m, on_threshold, list) && list[0] == Z5M_THRESHOLDS_MAX, "%llu in several parts",
	      (unsigned long long)list[0]);
	for (i = 0; i < n; i++)
		check(!threshold_del(fd, id[i]));
}

/* ---- who may ---- */

static int dump(int fd, uint8_t cmd, int device)
{
	struct message m = request(family, cmd, NLM_F_DUMP);
	struct seen s = { 0 };

	if (device >= -1)
		put_u32(&m, Z5M_A_DEVICE, device);
	return ask(fd, &m, cmd == Z5M_CMD_COUNTER_GET ? on_counters : on_domain, &s);
}

static void become_nobody(void)
{
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		z5t_skip("no user nobody");
}

static void netlink_rights(void)
{
	uint64_t id;
	int fd, null = open("/dev/null", O_RDONLY);

	z5t_need_root();
	need(!z5t_write_file(PERFMON, "N"));
	become_nobody();
	fd = nl_open();
	check(dump(fd, Z5M_CMD_DOMAIN_GET, -2) == EPERM);
	check(dump(fd, Z5M_CMD_COUNTER_GET, -2) == EPERM);
	check(!dump(fd, Z5M_CMD_DOMAIN_GET, z5t_dev), "by the device");
	check(!dump(fd, Z5M_CMD_COUNTER_GET, z5t_dev));
	check(dump(fd, Z5M_CMD_COUNTER_GET, null) == EBADF, "by another device");
	check(dump(fd, Z5M_CMD_COUNTER_GET, -1) == EBADF);
	check(set_interval(fd, 5000) == EPERM);
	check(threshold_add(fd, Z5M_QUANTITY_BUS_USE, 0, 2, 1, &id) == EPERM);
	check(threshold_del(fd, 1) == EPERM);
	fails(setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof(group)), EPERM);
}

/* A dump without room at first goes on when its socket is read: by root, whose descriptor is no proof. */
static void netlink_rights_later(void)
{
	const int least = 1;
	struct message m;
	int fd, i, told = 0;
	pid_t pid;

	z5t_need_root();
	fd = nl_open();
	need(!setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &least, sizeof(least)));
	pid = z5t_fork();
	if (!pid) {
		become_nobody();
		for (i = 0; i < 200; i++) {
			m = request(family, 200, 0);
			send(fd, &m, m.nl.nlmsg_len, 0);
		}
		m = request(family, Z5M_CMD_DOMAIN_GET, NLM_F_DUMP);
		put_u32(&m, Z5M_A_DEVICE, z5t_dev);
		close(z5t_dev);
		send(fd, &m, m.nl.nlmsg_len, 0);
		z5t_end();
	}
	z5t_reap(pid);
	/* the first call may tell of the answers that found no room */
	for (i = 0; recv(fd, &m, sizeof(m), MSG_DONTWAIT) > 0 || errno == ENOBUFS; i++, errno = 0)
		told += m.nl.nlmsg_type == family;
	check(i > 1 && !told, "%d of %d", told, i);
}

/* Bits without a meaning are refused, so that they can get one. */
static void netlink_reserved(void)
{
	int fd = nl_open();
	struct message m = request(family, Z5M_CMD_CONFIG_GET, 0);

	check(!ask(fd, &m, NULL, NULL));
	m.genl.reserved = 1;
	check(ask(fd, &m, NULL, NULL) == EINVAL);
	m = request(family, Z5M_CMD_CONFIG_GET, NLM_F_CREATE);
	check(ask(fd, &m, NULL, NULL) == EINVAL);
}

static void netlink_rights_perfmon(void)
{
	int fd;

	z5t_need_root();
	need(!z5t_write_file(PERFMON, "Y"));
	fd = nl_open();
	check(!dump(fd, Z5M_CMD_COUNTER_GET, -2), "root has CAP_PERFMON");
	become_nobody();
	fd = nl_open();
	check(dump(fd, Z5M_CMD_COUNTER_GET, z5t_dev) == EPERM);
	check(!dump(fd, Z5M_CMD_DOMAIN_GET, z5t_dev), "domains are no counters");
}

/* Nonsense: errors, and nothing else. */
static void netlink_fuzz(void)
{
	uint64_t seed = 1, answered = 0;
	int fd = nl_open(), i;
	struct message m;

	z5t_need_root();
	for (i = 0; i < 20000; i++) {
		uint64_t r = z5t_random(&seed);
		unsigned int k, n = r % 5;

		m = request(family, r >> 8 & 15, r >> 12 & 1 ? NLM_F_DUMP : 0);
		/* no interval, no threshold that stays: cmd 4 and 6 without what they need */
		for (k = 0; k < n && m.genl.cmd != Z5M_CMD_CONFIG_SET && m.genl.cmd != Z5M_CMD_THRESHOLD_ADD; k++) {
			uint64_t bytes[4] = { z5t_random(&seed), z5t_random(&seed), 0, 0 };

			put(&m, z5t_random(&seed) % 40, bytes, z5t_random(&seed) % 17);
		}
		if (r >> 20 & 1 && m.nl.nlmsg_len > NLMSG_LENGTH(GENL_HDRLEN) + 4)
			m.nl.nlmsg_len -= r >> 24 & 3;
		answered += ask(fd, &m, NULL, NULL) != EAGAIN;
	}
	check(answered == 20000, "%llu", (unsigned long long)answered);
}

/* Who has dumped is a reader for two seconds only. */
static void netlink_unload(void)
{
	struct message m;
	int fd;

	mock("manual=1");
	fd = nl_open();
	m = request(family, Z5M_CMD_COUNTER_GET, NLM_F_DUMP);
	check(!ask(fd, &m, NULL, NULL));
	check(syscall(SYS_delete_module, "zen5mem_mock", O_NONBLOCK) != 0, "held by the events");
	mock_gone();
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(netlink_domains), T(netlink_counters), T(netlink_config), T(netlink_regions),
		T(netlink_thresholds), T(netlink_hysteresis), T(netlink_taken), T(netlink_many), T(netlink_rights),
		T(netlink_rights_later), T(netlink_rights_perfmon), T(netlink_reserved),
		T(netlink_fuzz), T(netlink_unload),
	};

	z5t_guard(PERFMON);
	return z5t_run(argc, argv, tests);
}
