// SPDX-License-Identifier: MIT
/*
 * The counter page over PMUs whose values are made up: kmod/mock/zen5mem_mock.c has the script.
 * ZEN5MEM_MOCK, or $Z5_MODULES/zen5mem_mock.ko, is its file. Its clock moves when the test says so,
 * so that every total is known exactly.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include <linux/zen5mem_counters.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define MOCK "/sys/module/zen5mem_mock/parameters/"
#define PERFMON "/sys/module/zen5mem/parameters/counters_perfmon"
#define CPU_DIR "/sys/devices/system/cpu"

/* ---- the mock ---- */

static int mock_unload(void)
{
	return syscall(SYS_delete_module, "zen5mem_mock", O_NONBLOCK) ? errno : 0;
}

/* Events hold it for as long as the thread that samples has not noticed that nobody reads. */
static void mock_gone(void)
{
	int i, err = 0;

	for (i = 0; i < 3000; i++) {
		err = mock_unload();
		if (!err || err == ENOENT)
			return;
		usleep(10000);
	}
	check(0, "zen5mem_mock cannot be unloaded: %s", strerror(err));
}

static void mock(const char *params)
{
	const char *dir = getenv("Z5_MODULES"), *path = getenv("ZEN5MEM_MOCK");
	char text[512];
	int fd;

	z5t_need_root();
	mock_gone();
	if (!path && dir) {
		snprintf(text, sizeof(text), "%s/zen5mem_mock.ko", dir);
		path = text;
	}
	fd = path ? open(path, O_RDONLY) : -1;
	if (fd < 0)
		z5t_skip("no zen5mem_mock.ko");
	need(!syscall(SYS_finit_module, fd, params, 0));
	close(fd);
}

static void mock_set(const char *name, const char *value)
{
	char path[128];

	snprintf(path, sizeof(path), MOCK "%s", name);
	need(!z5t_write_file(path, value));
}

/* ---- the page ---- */

static int counters(uint32_t interval_us)
{
	struct z5m_counters_open o = { .interval_us = interval_us };

	return ioctl(z5t_dev, Z5M_IOC_COUNTERS, &o);
}

static const struct z5m_counters *map_page(int fd)
{
	void *p = mmap(NULL, Z5M_COUNTERS_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	need(p != MAP_FAILED);
	return p;
}

/* A whole copy of it. */
static void copy_page(const struct z5m_counters *page, struct z5m_counters *to)
{
	const _Atomic uint32_t *seq = (const _Atomic uint32_t *)&page->seq;
	uint32_t before;

	do {
		before = atomic_load_explicit(seq, memory_order_acquire);
		memcpy(to, page, Z5M_COUNTERS_BYTES);
		atomic_thread_fence(memory_order_acquire);
	} while (before & 1 || atomic_load_explicit(seq, memory_order_relaxed) != before);
}

/* The copy of a sample that began after now: two samples from here. */
static void next_page(const struct z5m_counters *page, struct z5m_counters *to)
{
	uint64_t samples;
	int i;

	copy_page(page, to);
	samples = to->samples;
	for (i = 0; i < 30000 && to->samples < samples + 2; i++) {
		usleep(1000);
		copy_page(page, to);
	}
	need(to->samples >= samples + 2, "nothing is sampled");
}

static const struct z5m_counter_domain *domain(const struct z5m_counters *p, unsigned int i)
{
	return (const void *)((const char *)p + p->domain_offset + i * p->domain_size);
}

static unsigned int domain_state(const struct z5m_counters *p, unsigned int i, unsigned int k)
{
	return domain(p, i)->counter[k].state;
}

static const struct z5m_counter_channel *channel(const struct z5m_counters *p, unsigned int i)
{
	return (const void *)((const char *)p + p->channel_offset + i * p->channel_size);
}

static const struct z5m_counter_port *port(const struct z5m_counters *p, unsigned int i)
{
	return (const void *)((const char *)p + p->port_offset + i * p->port_size);
}

static struct z5m_counters *buffer(void)
{
	void *p = calloc(1, Z5M_COUNTERS_BYTES);

	need(p);
	return p;
}

/* What the mock's clock adds to each counter of domain d, channel c in so many microseconds. */
static void check_grown(const struct z5m_counters *a, const struct z5m_counters *b, uint64_t us)
{
	unsigned int i, k;

	check(b->n_domains == z5t_version().n_domains && b->n_channels == 2);
	for (i = 0; i < b->n_domains; i++) {
		const uint64_t d = i + 1, rate[] = { 400 * d, 100 * d, 9 * d * d, d };

		for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			check(domain(b, i)->counter[k].total - domain(a, i)->counter[k].total == rate[k] * us,
			      "domain %u counter %u: %llu", i, k, (unsigned long long)
			      (domain(b, i)->counter[k].total - domain(a, i)->counter[k].total));
	}
	for (i = 0; i < b->n_channels; i++) {
		const uint64_t c = i + 1, rate[] = { 3000, 40 * c, 10 * c, 600 * c };

		for (k = 0; k < Z5M_CHANNEL_COUNTERS; k++)
			check(channel(b, i)->counter[k].total - channel(a, i)->counter[k].total == rate[k] * us,
			      "channel %u counter %u: %llu", i, k, (unsigned long long)
			      (channel(b, i)->counter[k].total - channel(a, i)->counter[k].total));
	}
}

static void advance(uint64_t us)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)us);
	mock_set("advance_us", text);
}

/* A manual mock and a reader with a sample of it. */
static const struct z5m_counters *begin(const char *params, int *fd, struct z5m_counters *a)
{
	const struct z5m_counters *page;

	mock(params);
	*fd = counters(1000);
	need(*fd >= 0);
	page = map_page(*fd);
	next_page(page, a);
	return page;
}

/* ---- tests ---- */

static void counters_access(void)
{
	struct z5m_counters_open o = { .flags = 1 };
	struct stat st;
	void *p;
	int fd;

	fails(ioctl(z5t_dev, Z5M_IOC_COUNTERS, &o), EINVAL);
	fails(counters(999), EINVAL);
	fails(counters(10000001), EINVAL);
	fd = counters(0);
	need(fd >= 0);
	check(fcntl(fd, F_GETFD) == FD_CLOEXEC && (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	check(!fstat(fd, &st));
	fails(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), EACCES);
	fails(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), EACCES);
	fails(mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0), 0);
	fails(mmap(NULL, Z5M_COUNTERS_BYTES + PAGE, PROT_READ, MAP_SHARED, fd, 0), EINVAL);
	fails(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, Z5M_COUNTERS_BYTES), EINVAL);
	p = (void *)map_page(fd);
	fails(mprotect(p, PAGE, PROT_READ | PROT_WRITE), EACCES);
	fails(mprotect(p, PAGE, PROT_READ | PROT_EXEC), EACCES);
	check(z5t_try_write(p, 1) == SIGSEGV);
	fails(ioctl(fd, Z5M_IOC_COUNTERS, &o), ENOTTY);
	check(read(fd, &o, 1) == -1);
	p = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
	check(p != MAP_FAILED && ((struct z5m_counters *)p)->magic == Z5M_COUNTERS_MAGIC);
}

/* Without any PMU the page says that there is none, also where there was one. */
static void counters_absent(void)
{
	struct z5m_counters *a = buffer();
	const struct z5m_counters *page;
	unsigned int i, k;
	int fd;

	mock_gone();
	if (z5t_exists("/sys/bus/event_source/devices/amd_l3"))
		z5t_skip("this machine has counters");
	page = begin("", &fd, a);
	check(*a->source);
	munmap((void *)page, Z5M_COUNTERS_BYTES);
	close(fd);
	mock_gone();
	fd = counters(1000);
	need(fd >= 0);
	next_page(map_page(fd), a);
	check(!*a->source, "%s", a->source);
	check(a->version == Z5M_COUNTERS_VERSION && a->header_size == sizeof(*a));
	check(!(a->flags & Z5M_COUNTERS_MOCK) && a->interval_us == 1000);
	check(a->n_domains == z5t_version().n_domains);
	for (i = 0; i < a->n_domains; i++)
		for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			check(domain(a, i)->counter[k].state == Z5M_COUNTER_ABSENT);
}

static void counters_exact(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	unsigned int i, k;
	int fd;

	page = begin("manual=1", &fd, a);
	check(a->flags & Z5M_COUNTERS_MOCK && !strncmp(a->source, "MOCK: amd_l3 amd_umc", 20), "%s", a->source);
	advance(1000);
	next_page(page, b);
	check_grown(a, b, 1000);
	for (i = 0; i < b->n_domains; i++)
		for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			check(domain_state(b, i, k) == Z5M_COUNTER_OK &&
			      domain(b, i)->counter[k].glitches == domain(a, i)->counter[k].glitches &&
			      domain(b, i)->counter[k].renewals == domain(a, i)->counter[k].renewals);
	check(b->ts_ns > a->ts_ns && b->cost_ns > a->cost_ns);
	/* Totals go on where they were when nobody has read for a while. */
	munmap((void *)page, Z5M_COUNTERS_BYTES);
	close(fd);
	mock_gone();
	mock("manual=1");
	fd = counters(1000);
	page = map_page(fd);
	next_page(page, a);
	check_grown(b, a, 0);
	advance(77);
	next_page(page, b);
	check_grown(a, b, 77);
}

/* With as many hardware counters as events: else they take turns, and miss what a clock does that leaps. */
static void counters_ports(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	char text[4096], *p;
	const struct z5m_counters *page;
	unsigned int model = 0, i;
	int fd;

	page = begin("manual=1 counters=64", &fd, a);
	z5t_read_file("/proc/cpuinfo", text, sizeof(text));
	p = strstr(text, "\nmodel\t");
	need(p && sscanf(p, "\nmodel : %u", &model) == 1);
	if (model > 0x1f) {
		check(!a->n_ports && !strstr(a->source, "amd_df"), "ports of model %u are not documented", model);
		return;
	}
	advance(1000);
	next_page(page, b);
	check(b->n_ports == 16 && strstr(b->source, "amd_df"));
	for (i = 0; i < b->n_ports; i++) {
		check(port(b, i)->counter[Z5M_PORT_READS].total - port(a, i)->counter[Z5M_PORT_READS].total == 20000);
		check(port(b, i)->counter[Z5M_PORT_WRITES].total - port(a, i)->counter[Z5M_PORT_WRITES].total == 5000);
	}
}

#define TORN_SLOTS 4096
#define TORN_READS 20000

static struct {
	const struct z5m_counters *page;
	_Atomic uint64_t sum[TORN_SLOTS];	/* of what sample s held, in slot s % TORN_SLOTS */
	atomic_uint wrong, compared;
	atomic_int stop;
} torn;

static void *torn_reader(void *unused)
{
	struct z5m_counters *c = calloc(1, Z5M_COUNTERS_BYTES);
	unsigned int i, k;

	(void)unused;
	for (i = 0; c && i < TORN_READS; i++) {
		uint64_t sum = 14695981039346656037u, seen = 0;

		copy_page(torn.page, c);
		for (k = 0; k < Z5M_COUNTERS_BYTES / 8; k++)
			sum = (sum ^ ((const uint64_t *)c)[k]) * 1099511628211u;
		/* the sample's number with it: another sample's sum is replaced */
		sum = (sum & ~0xffffffull) | (c->samples & 0xffffff);
		seen = atomic_exchange(&torn.sum[c->samples % TORN_SLOTS], sum);
		if (seen && (seen & 0xffffff) == (sum & 0xffffff)) {
			atomic_fetch_add(&torn.compared, 1);
			atomic_fetch_add(&torn.wrong, seen != sum);
		}
	}
	free(c);
	return NULL;
}

/* Whoever reads a sample reads the same. */
static void counters_torn(void)
{
	pthread_t thread[3];
	int fd, i;

	mock("");
	fd = counters(1000);
	need(fd >= 0);
	torn.page = map_page(fd);
	for (i = 0; i < 3; i++)
		need(!pthread_create(&thread[i], NULL, torn_reader, NULL));
	for (i = 0; i < 3; i++)
		pthread_join(thread[i], NULL);
	check(!torn.wrong && torn.compared > 100, "%u of %u", torn.wrong, torn.compared);
}

static void counters_grow(void)
{
	struct z5m_counters *a = buffer(), *b = buffer(), *c;
	const struct z5m_counters *page;
	unsigned int n, i, k;
	int fd;

	page = begin("", &fd, a);
	for (n = 0; n < 30; n++) {
		next_page(page, b);
		check(b->ts_ns > a->ts_ns && b->samples > a->samples);
		for (i = 0; i < b->n_domains; i++)
			for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
				check(domain(b, i)->counter[k].total > domain(a, i)->counter[k].total);
		c = a;
		a = b;
		b = c;
	}
}

/* Nobody reads, nothing runs: the events, and with them the mock, are let go. */
static void counters_idle(void)
{
	struct z5m_counters *a = buffer();
	const struct z5m_counters *page;
	int fd;

	page = begin("", &fd, a);
	check(mock_unload() == EAGAIN || mock_unload() == EBUSY, "a reader's events hold the PMU");
	close(fd);
	next_page(page, a);
	check(mock_unload() != 0, "a mapping is a reader, too");
	munmap((void *)page, Z5M_COUNTERS_BYTES);
	mock_gone();
}

static void counters_killed(void)
{
	struct z5m_counters *a = buffer();
	struct z5t_sync s;
	pid_t pid;
	int fd;

	mock("");
	z5t_sync_init(&s);
	pid = z5t_fork();
	if (!pid) {
		fd = counters(1000);
		need(fd >= 0);
		next_page(map_page(fd), a);
		z5t_tell(s.there);
		pause();
	}
	z5t_wait(s.there);
	check(mock_unload() != 0);
	z5t_kill(pid);
	mock_gone();
}

/* What reads 0 is told apart from what is idle. */
static void counters_silent(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	unsigned int i;
	int fd;

	page = begin("manual=1 silent=0xff04", &fd, a);
	for (i = 0; i < 60; i++)
		next_page(page, b);
	check(domain_state(b, 0, Z5M_L3_ACCESSES) == Z5M_COUNTER_SILENT);
	check(domain_state(b, 0, Z5M_L3_MISSES) == Z5M_COUNTER_OK, "nothing says that it should move");
	check(channel(b, 0)->counter[Z5M_UMC_READS].state == Z5M_COUNTER_OK);
	mock_set("silent", "0x10a");
	advance(20000);
	next_page(page, b);
	check(domain_state(b, 0, Z5M_L3_ACCESSES) == Z5M_COUNTER_OK, "it moves after all");
	check(channel(b, 0)->counter[Z5M_UMC_READS].state == Z5M_COUNTER_SILENT, "misses say that it should");
	check(channel(b, 0)->counter[Z5M_UMC_CLOCKS].state == Z5M_COUNTER_OK);
	mock_set("silent", "0");
	advance(10);
	next_page(page, a);
	check(channel(a, 0)->counter[Z5M_UMC_READS].state == Z5M_COUNTER_OK);
	check(channel(a, 0)->counter[Z5M_UMC_READS].total == channel(b, 0)->counter[Z5M_UMC_READS].total + 400);
}

static void counters_wrap(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	int fd;

	page = begin("manual=1 start=0xfffffffffc18", &fd, a);
	advance(10);
	next_page(page, b);
	check_grown(a, b, 10);
	check(domain(b, 0)->counter[Z5M_L3_ACCESSES].glitches == domain(a, 0)->counter[Z5M_L3_ACCESSES].glitches);
}

/* What the hardware does once is left out of the totals, counted, and no more than that. */
static void glitch(const char *what)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	int fd;

	page = begin("manual=1", &fd, a);
	advance(1000);
	next_page(page, b);
	check_grown(a, b, 1000);
	mock_set(what, "1");
	next_page(page, a);
	check_grown(b, a, 0);
	check(domain(a, 0)->counter[Z5M_L3_ACCESSES].glitches ==
	      domain(b, 0)->counter[Z5M_L3_ACCESSES].glitches + 1);
	advance(5);
	next_page(page, b);
	check_grown(a, b, 5);
	check(domain_state(b, 0, Z5M_L3_ACCESSES) == Z5M_COUNTER_OK);
}

/* Somebody sets the hardware to 0 behind the driver, which takes it for a wrap. */
static void counters_cleared(void)
{
	glitch("clear");
}

static void counters_backward(void)
{
	glitch("backward");
}

/* Others have the hardware's counters, all or some of them. */
static void counters_taken(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	unsigned int i, k, shared = 0;
	uint64_t total;
	int fd;

	page = begin("counters=0", &fd, a);
	for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
		check(domain_state(a, 0, k) == Z5M_COUNTER_TAKEN, "%u", domain_state(a, 0, k));
	total = domain(a, 0)->counter[Z5M_L3_ACCESSES].total;
	next_page(page, b);
	check(domain(b, 0)->counter[Z5M_L3_ACCESSES].total == total, "stands still");
	mock_set("counters", "2");
	for (i = 0; i < 2000 && !shared; i++) {
		next_page(page, b);
		for (k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			shared += domain_state(b, 0, k) == Z5M_COUNTER_SHARED;
	}
	check(shared, "two for four events: they take turns");
	check(domain(b, 0)->counter[Z5M_L3_ACCESSES].total + domain(b, 0)->counter[Z5M_L3_MISSES].total > total);
}

/* ---- CPUs that go and come ---- */

static char online_path[Z5M_CPU_WORDS * 64][64];

static int cpu_switch(unsigned int cpu, const char *to)
{
	return z5t_write_file(online_path[cpu], to);
}

/* The CPU that the last domain's counters are on goes offline. renewed: so often, -1: either. */
static void hotplug(const char *params, int renewed)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	unsigned int last, cpu, i;
	int fd;

	page = begin(params, &fd, a);
	last = a->n_domains - 1;
	if (!last)
		z5t_skip("one domain: its first CPU cannot go");
	cpu = domain(a, last)->cpu;
	if (cpu_switch(cpu, "0"))
		z5t_skip("CPU %u cannot be switched off", cpu);
	for (i = 0; i < 3000; i++) {
		next_page(page, b);
		if ((unsigned int)domain(b, last)->cpu != cpu)
			break;
	}
	check((unsigned int)domain(b, last)->cpu != cpu && domain(b, last)->cpu >= 0);
	for (i = 0; i < Z5M_DOMAIN_COUNTERS; i++) {
		check(domain_state(b, last, i) == Z5M_COUNTER_OK);
		check(renewed < 0 ||
		      domain(b, last)->counter[i].renewals == domain(a, last)->counter[i].renewals + renewed, "%u",
		      domain(b, last)->counter[i].renewals - domain(a, last)->counter[i].renewals);
	}
	check_grown(a, b, 0);
	advance(100);
	next_page(page, a);
	check_grown(b, a, 100);
	check(!cpu_switch(cpu, "1"));
	advance(100);
	next_page(page, b);
	check_grown(a, b, 100);
}

/* Whether all of them are moved is the kernel's: 6.12 moves the first of a PMU only. */
static void counters_hotplug_migrate(void)
{
	hotplug("manual=1", -1);
}

static void counters_hotplug_renew(void)
{
	hotplug("manual=1 migrate=0", 1);
}

static void counters_offline(void)
{
	struct z5m_counters *a = buffer(), *b = buffer();
	const struct z5m_counters *page;
	struct z5m_domain d;
	unsigned int last, cpu, i;
	int fd;

	page = begin("manual=1", &fd, a);
	last = a->n_domains - 1;
	if (!last)
		z5t_skip("one domain: all of it cannot go");
	need(!z5t_domain(last, &d));
	for (cpu = 0; cpu < Z5M_CPU_WORDS * 64; cpu++)
		if (d.cpus[cpu / 64] >> cpu % 64 & 1 && cpu_switch(cpu, "0"))
			z5t_skip("CPU %u cannot be switched off", cpu);
	for (i = 0; i < 3000; i++) {
		next_page(page, b);
		if (domain_state(b, last, 0) == Z5M_COUNTER_OFFLINE && domain(b, last)->cpu == -1)
			break;
	}
	check(domain_state(b, last, 0) == Z5M_COUNTER_OFFLINE && domain(b, last)->cpu == -1);
	check(domain_state(b, 0, 0) != Z5M_COUNTER_OFFLINE);
	check_grown(a, b, 0);
	for (cpu = 0; cpu < Z5M_CPU_WORDS * 64; cpu++)
		if (d.cpus[cpu / 64] >> cpu % 64 & 1)
			check(!cpu_switch(cpu, "1"));
	/* what stands still for long would be silent */
	for (i = 0; i < 3000; i++) {
		advance(1);
		next_page(page, a);
		if (domain_state(a, last, 0) == Z5M_COUNTER_OK)
			break;
	}
	check(domain_state(a, last, 0) == Z5M_COUNTER_OK);
	advance(100);
	next_page(page, b);
	check_grown(a, b, 100);
}

/* ---- who, and how often ---- */

static void counters_perfmon(void)
{
	z5t_need_root();
	need(!z5t_write_file(PERFMON, "N"));
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		z5t_skip("no user nobody");
	check(counters(0) >= 0, "whoever has the device");
}

static void counters_perfmon_demanded(void)
{
	z5t_need_root();
	need(!z5t_write_file(PERFMON, "Y"));
	check(counters(0) >= 0, "root may");
	if (setgroups(0, NULL) || setgid(65534) || setuid(65534))
		z5t_skip("no user nobody");
	fails(counters(0), EPERM);
}

static void counters_interval(void)
{
	struct z5m_counters *a = buffer();
	const struct z5m_counters *page;
	int slow, fast, i;

	slow = counters(50000);
	need(slow >= 0);
	page = map_page(slow);
	next_page(page, a);
	check(a->interval_us == 50000, "%u", a->interval_us);
	fast = counters(2000);
	need(fast >= 0);
	for (i = 0; i < 20 && a->interval_us != 2000; i++)
		next_page(page, a);
	check(a->interval_us == 2000, "the shortest: %u", a->interval_us);
	close(fast);
	for (i = 0; i < 20 && a->interval_us != 50000; i++)
		next_page(page, a);
	check(a->interval_us == 50000, "and back: %u", a->interval_us);
	/* a reader of the longest interval is not what the next one has to wait for */
	close(slow);
	munmap((void *)page, Z5M_COUNTERS_BYTES);
	slow = counters(10000000);
	need(slow >= 0);
	fast = counters(1000);
	next_page(map_page(fast), a);
}

static void counters_unload(void)
{
	mock("");
	check(z5t_exists("/sys/bus/event_source/devices/amd_l3"));
	check(z5t_exists("/sys/bus/event_source/devices/amd_umc_1/format/rdwrmask") &&
	      !z5t_exists("/sys/bus/event_source/devices/amd_umc_1/format/umask"));
	mock_gone();
	check(!z5t_exists("/sys/bus/event_source/devices/amd_l3"));
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(counters_access), T(counters_absent), T(counters_exact), T(counters_ports),
		T(counters_torn), T(counters_grow), T(counters_idle), T(counters_killed),
		T(counters_silent), T(counters_wrap), T(counters_cleared), T(counters_backward),
		T(counters_taken), T(counters_hotplug_migrate), T(counters_hotplug_renew),
		T(counters_offline), T(counters_perfmon), T(counters_perfmon_demanded),
		T(counters_interval), T(counters_unload),
	};
	unsigned int cpu;

	z5t_guard(PERFMON);
	for (cpu = 0; cpu < Z5M_CPU_WORDS * 64; cpu++) {
		snprintf(online_path[cpu], sizeof(online_path[0]), CPU_DIR "/cpu%u/online", cpu);
		z5t_guard(online_path[cpu]);
	}
	return z5t_run(argc, argv, tests);
}
