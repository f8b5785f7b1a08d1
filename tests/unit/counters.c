// SPDX-License-Identifier: MIT
/* The reader of counters over sources of the test's own making, and each source over a fake of what it reads. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <counters/counters.h>
#include <counters/page.h>
#include <counters/perf.h>

#include "../tap.h"

static char dir[64];

static void put(const char *path, const char *text)
{
	char full[PATH_MAX];
	FILE *f;

	snprintf(full, sizeof(full), "%s%s", dir, path);
	for (char *p = full + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		mkdir(full, 0755);
		*p = '/';
	}
	f = fopen(full, "w");
	if (!f || fputs(text, f) < 0 || fclose(f))
		ok(false, "%s: %s", full, strerror(errno));
}

static unsigned int descriptors(void)
{
	unsigned int n = 0;
	DIR *d = opendir("/proc/self/fd");

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-9 * fabs(b);
}

/* ---- the page ---- */

/* A page as the module writes it, or with other sizes of entries. */
static void page_make(uint8_t *page, uint32_t domain_size, uint32_t channel_size)
{
	struct z5m_counters *h = (struct z5m_counters *)page;

	memset(page, 0, Z5M_COUNTERS_BYTES);
	*h = (struct z5m_counters){
		.magic = Z5M_COUNTERS_MAGIC, .version = Z5M_COUNTERS_VERSION, .header_size = sizeof(*h),
		.ts_ns = 1, .samples = 1, .source = "amd_l3 amd_umc",
		.n_domains = 2, .domain_offset = 256, .domain_size = domain_size,
		.n_channels = 3, .channel_offset = 256 + 64 * domain_size, .channel_size = channel_size,
		.n_ports = 1, .port_offset = 60000, .port_size = sizeof(struct z5m_counter_port),
	};
}

/* All totals of the page become n. */
static void page_fill(uint8_t *page, uint64_t n)
{
	const struct z5m_counters *h = (const struct z5m_counters *)page;

	for (unsigned int i = 0; i < h->n_domains; i++) {
		struct z5m_counter_domain *d = (void *)(page + h->domain_offset + i * h->domain_size);

		d->domain = i;
		for (unsigned int k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			d->counter[k] = (struct z5m_counter){ .total = n, .state = Z5M_COUNTER_OK };
	}
	for (unsigned int i = 0; i < h->n_channels; i++) {
		struct z5m_counter_channel *c = (void *)(page + h->channel_offset + i * h->channel_size);

		c->channel = i + 4;
		for (unsigned int k = 0; k < Z5M_CHANNEL_COUNTERS; k++)
			c->counter[k] = (struct z5m_counter){ .total = n, .state = Z5M_COUNTER_SHARED };
	}
}

struct writer {
	uint8_t *page;
	atomic_bool stop;
};

static void *page_writer(void *arg)
{
	struct writer *w = arg;
	struct z5m_counters *h = (struct z5m_counters *)w->page;
	_Atomic uint32_t *seq = (_Atomic uint32_t *)&h->seq;

	for (uint64_t n = 1; !w->stop; n++) {
		atomic_store_explicit(seq, *seq + 1, memory_order_relaxed);
		atomic_thread_fence(memory_order_seq_cst);
		h->ts_ns = n;
		page_fill(w->page, n);
		memcpy(h->source, &n, sizeof(n));
		atomic_store_explicit(seq, *seq + 1, memory_order_release);
	}
	return NULL;
}

/* The module's writer is not preempted; this one is, and then a reader may give up for the moment. */
static void test_page_torn(uint8_t *page)
{
	static struct z5_reading r;
	struct writer w = { .page = page };
	unsigned int torn = 0, whole = 0, later = 0, backward = 0, headers = 0, split = 0;
	struct z5m_counters h;
	uint64_t last = 0;
	pthread_t thread;

	page_make(page, sizeof(struct z5m_counter_domain), sizeof(struct z5m_counter_channel));
	page_fill(page, 1);
	memcpy(((struct z5m_counters *)page)->source, &(uint64_t){ 1 }, sizeof(uint64_t));
	pthread_create(&thread, NULL, page_writer, &w);
	for (unsigned int i = 0; whole < 20000 && i < 2000000; i++) {
		int ret = z5_page_read(page, &r);

		if (!z5_page_header(page, &h)) {
			headers++;
			split += memcmp(h.source, &h.ts_ns, sizeof(h.ts_ns)) != 0;
		}
		later += ret == -EAGAIN;
		if (ret)
			continue;
		whole++;
		for (unsigned int d = 0; d < 2; d++)
			for (unsigned int k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
				torn += r.domain[d].l3[k].n != r.ns;
		for (unsigned int c = 0; c < 3; c++)
			for (unsigned int k = 0; k < Z5M_CHANNEL_COUNTERS; k++)
				torn += r.channel[c].umc[k].n != r.ns;
		backward += r.ns < last;
		last = r.ns;
	}
	w.stop = true;
	pthread_join(thread, NULL);
	ok(whole == 20000 && !torn && !backward, "%u readings beside a writer: %u torn, %u backward (%u later)", whole, torn, backward,
	   later);
	ok(headers && !split, "%u headers beside it: time and source are of one sample in all but %u", headers, split);
}

static void test_page(uint8_t *page)
{
	static const struct {
		const char *what;
		size_t at;
		uint32_t value;
	} bad[] = {
		{ "magic", offsetof(struct z5m_counters, magic), 1 },
		{ "version", offsetof(struct z5m_counters, version), 2 },
		{ "more domains than there is room", offsetof(struct z5m_counters, n_domains), 65 },
		{ "a huge number of channels", offsetof(struct z5m_counters, n_channels), 0xffffffff },
		{ "domains behind the page", offsetof(struct z5m_counters, domain_offset), Z5M_COUNTERS_BYTES },
		{ "an offset that wraps", offsetof(struct z5m_counters, channel_offset), 0xfffffff8 },
		{ "an odd offset", offsetof(struct z5m_counters, port_offset), 60001 },
		{ "an entry without size", offsetof(struct z5m_counters, domain_size), 0 },
		{ "an entry larger than the page", offsetof(struct z5m_counters, channel_size), 0xfffffff8 },
		{ "ports that end behind it", offsetof(struct z5m_counters, port_offset), Z5M_COUNTERS_BYTES - 8 },
	};
	static struct z5_reading r;

	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		page_make(page, sizeof(struct z5m_counter_domain), sizeof(struct z5m_counter_channel));
		memcpy(page + bad[i].at, &bad[i].value, sizeof(bad[i].value));
		ok(z5_page_read(page, &r) == -EPROTO, "a page with %s is refused", bad[i].what);
	}
	page_make(page, sizeof(struct z5m_counter_domain), sizeof(struct z5m_counter_channel));
	((struct z5m_counters *)page)->seq = 1;
	ok(z5_page_read(page, &r) == -EAGAIN && z5_page_header(page, &(struct z5m_counters){ 0 }) == -EAGAIN,
	   "a writer that never ends: later");
	page_make(page, sizeof(struct z5m_counter_domain) + 48, sizeof(struct z5m_counter_channel) + 8);
	page_fill(page, 7);
	((struct z5m_counters *)page)->flags = Z5M_COUNTERS_MOCK;
	ok(!z5_page_read(page, &r) && r.n_domains == 2 && r.n_channels == 3 && r.domain[1].l3[3].n == 7 &&
	   r.channel[2].channel == 6 && r.channel[2].umc[3].state == Z5M_COUNTER_SHARED && !strcmp(r.source, "zen5mem MOCK"),
	   "entries of a newer module");
	page_make(page, 8 + sizeof(struct z5m_counter), sizeof(struct z5m_counter_channel));
	((struct z5m_counter_domain *)(page + 256))->counter[0] =
	    (struct z5m_counter){.total = 9, .state = Z5M_COUNTER_OK};
	ok(!z5_page_read(page, &r) && r.domain[0].l3[0].n == 9 &&
	       r.domain[0].l3[1].state == Z5M_COUNTER_ABSENT && !strcmp(r.source, "zen5mem"),
	   "entries of an older module: what they lack is absent");
}

/* ---- perf ---- */

struct value {
	uint64_t value, enabled, running;
};

#define EVENTS 64

static struct {
	int fd[EVENTS];
	uint64_t config[EVENTS];
	int cpu[EVENTS];
	unsigned int n;
	int error;
} fake;

static int fake_open(struct perf_event_attr *attr, int cpu)
{
	char name[] = "/tmp/z5perf-XXXXXX";
	int fd;

	if (fake.error || fake.n == EVENTS) {
		errno = fake.error;
		return -1;
	}
	/* the test's own end, and one that is read from the beginning each time through /proc */
	fd = mkstemp(name);
	unlink(name);
	fake.config[fake.n] = attr->config;
	fake.cpu[fake.n] = cpu;
	fake.fd[fake.n++] = fd;
	return dup(fd);
}

/* What the event will read next: its descriptor shares the offset with ours. */
static void fake_set(unsigned int i, uint64_t value, uint64_t enabled, uint64_t running)
{
	struct value v = { value, enabled, running };

	if (pwrite(fake.fd[i], &v, sizeof(v), 0) != (ssize_t)sizeof(v))
		ok(false, "fake event");
	lseek(fake.fd[i], 0, SEEK_SET);
}

/* All fakes are where they were, but one. */
static void fake_but(unsigned int i, uint64_t value, uint64_t time)
{
	for (unsigned int k = 0; k < fake.n; k++)
		lseek(fake.fd[k], 0, SEEK_SET);
	fake_set(i, value, time, time);
}

/* Event 8 are the clocks of the first channel, event 1 the misses of the first domain. */
static void test_perf_renewed(void *s, struct z5_reading *r)
{
	const uint64_t full = 1ULL << 46;
	uint64_t before;

	fake_but(8, full - 1, 4000);
	ok(!z5_source_perf.read(s, r) && fake.n == 16, "a channel's counter that has room is left alone");
	fake_but(8, full, 5000);
	ok(!z5_source_perf.read(s, r) && fake.n == 17 && fake.config[16] == fake.config[8] &&
	   fake.cpu[16] == fake.cpu[8], "one that fills up is counted by a new event");
	before = r->channel[0].umc[Z5M_UMC_CLOCKS].n;
	fake_but(16, 7, 100);
	ok(before == full && !z5_source_perf.read(s, r) && r->channel[0].umc[Z5M_UMC_CLOCKS].n == full + 7 &&
	   r->channel[0].umc[Z5M_UMC_CLOCKS].state == Z5M_COUNTER_OK, "and its total goes on");
	fake_but(1, full, 6000);
	ok(!z5_source_perf.read(s, r) && fake.n == 17, "L3 counters wrap: the kernel sees to them");
	fake.error = EBUSY;
	fake_but(16, full, 7000);
	ok(!z5_source_perf.read(s, r) && r->channel[0].umc[Z5M_UMC_CLOCKS].n == 2 * full, "the last of it is counted");
	fake_but(9, 1000, 8000);
	ok(!z5_source_perf.read(s, r) && r->channel[0].umc[Z5M_UMC_CLOCKS].state == Z5M_COUNTER_REFUSED &&
	   r->channel[0].umc[Z5M_UMC_CLOCKS].error == EBUSY, "where no new one can be had, that is told");
	fake.error = 0;
}

static void test_perf(void)
{
	static struct z5_reading r;
	struct z5_perf_machine m = { .sysroot = dir, .open = fake_open };
	const unsigned int before = descriptors();
	char why[256] = "";
	void *s;

	ok(z5_source_perf.open(&m, &s, why, sizeof(why)) < 0 && strstr(why, "amd_l3"), "no PMU: %s", why);
	put("/sys/bus/event_source/devices/amd_l3/type", "11\n");
	put("/sys/bus/event_source/devices/amd_l3/cpumask", "0,8\n");
	put("/sys/bus/event_source/devices/amd_umc_0/type", "12\n");
	put("/sys/bus/event_source/devices/amd_umc_0/cpumask", "0\n");
	put("/sys/bus/event_source/devices/amd_umc_5/type", "13\n");
	put("/sys/bus/event_source/devices/amd_umc_5/cpumask", "0-1\n");
	put("/proc/sys/kernel/perf_event_paranoid", "2\n");
	fake.error = EACCES;
	ok(z5_source_perf.open(&m, &s, why, sizeof(why)) < 0 && strstr(why, "perf_event_paranoid is 2"), "not permitted: %s", why);
	fake.error = 0;
	if (!ok(!z5_source_perf.open(&m, &s, why, sizeof(why)) && fake.n == 16, "two domains, two channels"))
		return;
	ok(fake.config[1] == 0x0300C00000000104 && fake.cpu[4] == 8 && fake.config[9] == 0x10a, "as they are encoded, each on its CPU");
	for (unsigned int i = 0; i < fake.n; i++)
		fake_set(i, 100 * i, 1000, 1000);
	ok(!z5_source_perf.read(s, &r) && !strcmp(r.source, "perf") && r.n_domains == 2 && r.n_channels == 2 &&
	   r.channel[1].channel == 5 && r.domain[1].l3[3].n == 700 && r.channel[1].umc[3].n == 1500, "totals");
	fake_set(0, 500, 3000, 2000);	/* half of the time */
	fake_set(1, 100, 3000, 1000);	/* others had the counters */
	fake_set(2, 150, 3000, 3000);	/* a step backward */
	for (unsigned int i = 3; i < fake.n; i++)
		fake_set(i, 100 * i, 1000, 1000);
	ok(!z5_source_perf.read(s, &r) && r.domain[0].l3[0].n == 1000 && r.domain[0].l3[0].state == Z5M_COUNTER_SHARED,
	   "turns with others are extrapolated");
	ok(r.domain[0].l3[1].state == Z5M_COUNTER_TAKEN && r.domain[0].l3[1].n == 100, "taken by others");
	ok(r.domain[0].l3[2].n == 200, "never backward");
	test_perf_renewed(s, &r);
	for (unsigned int i = 0; i < fake.n; i++)
		if (ftruncate(fake.fd[i], 0))
			ok(false, "truncate");
	ok(z5_source_perf.read(s, &r) == -EIO && r.domain[0].l3[0].state == Z5M_COUNTER_REFUSED, "events that ended: the source is over");
	z5_source_perf.close(s);
	for (unsigned int i = 0; i < fake.n; i++)
		close(fake.fd[i]);
	put("/sys/module/zen5mem_mock/initstate", "live\n");
	fake.n = 0;
	ok(!z5_source_perf.open(&m, &s, why, sizeof(why)), "again");
	for (unsigned int i = 0; i < fake.n; i++)
		fake_set(i, 1, 1, 1);
	ok(!z5_source_perf.read(s, &r) && !strcmp(r.source, "perf MOCK"), "made-up PMUs say so");
	z5_source_perf.close(s);
	for (unsigned int i = 0; i < fake.n; i++)
		close(fake.fd[i]);
	ok(descriptors() == before, "no descriptor is left");
}

/* ---- resctrl ---- */

#define MBM(id) "/sys/fs/resctrl/mon_data/mon_L3_" id "/mbm_total_bytes"

static void test_resctrl(void)
{
	static struct z5_reading r;
	char why[256] = "", path[PATH_MAX];
	void *s;

	ok(z5_source_resctrl.open(dir, &s, why, sizeof(why)) < 0 && strstr(why, "not mounted"), "not mounted: %s", why);
	put(MBM("08"), "5000\n");
	put(MBM("00"), "1000\n");
	if (!ok(!z5_source_resctrl.open(dir, &s, why, sizeof(why)), "opens"))
		return;
	ok(!z5_source_resctrl.read(s, &r) && r.n_domains == 2 && !r.domain[0].bytes.n &&
	       r.domain[1].bytes.state == Z5M_COUNTER_OK,
	   "what was before is not counted");
	put(MBM("00"), "1600\n");
	put(MBM("08"), "Unavailable\n");
	ok(!z5_source_resctrl.read(s, &r) && r.domain[0].bytes.n == 600 && r.domain[1].bytes.state == Z5M_COUNTER_TAKEN,
	   "by id; unavailable is said");
	put(MBM("00"), "100\n");
	put(MBM("08"), "5500\n");
	ok(!z5_source_resctrl.read(s, &r) && r.domain[0].bytes.n == 600 && r.domain[1].bytes.n == 500, "a counter that begins again");
	put(MBM("00"), "150\n");
	ok(!z5_source_resctrl.read(s, &r) && r.domain[0].bytes.n == 650, "goes on");
	snprintf(path, sizeof(path), "%s" MBM("00"), dir);
	unlink(path);
	ok(!z5_source_resctrl.read(s, &r) && r.domain[0].bytes.state == Z5M_COUNTER_TAKEN, "a file that is gone");
	snprintf(path, sizeof(path), "%s" MBM("08"), dir);
	unlink(path);
	ok(z5_source_resctrl.read(s, &r) == -ENOENT, "all of them: the source is over");
	z5_source_resctrl.close(s);
}

/* ---- rates ---- */

static void set(struct z5_total *t, uint64_t n)
{
	*t = (struct z5_total){ .n = n, .state = Z5M_COUNTER_OK };
}

static void test_rates(void)
{
	static struct z5_reading a, b;
	static struct z5_rates r;

	a = (struct z5_reading){ .source = "x", .ns = 1000000000, .n_domains = 2, .n_channels = 2, .n_ports = 1 };
	for (unsigned int d = 0; d < 2; d++)
		for (unsigned int k = 0; k < Z5M_DOMAIN_COUNTERS; k++)
			set(&a.domain[d].l3[k], 50);
	for (unsigned int c = 0; c < 2; c++)
		for (unsigned int k = 0; k < Z5M_CHANNEL_COUNTERS; k++)
			set(&a.channel[c].umc[k], 50);
	set(&a.port[0].df[Z5M_PORT_READS], 0);
	set(&a.port[0].df[Z5M_PORT_WRITES], 0);
	set(&a.domain[0].bytes, 10);
	b = a;
	b.ns = 3000000000;
	b.streamed = 6000;
	b.busy_ns = 500000000;
	b.domain[0].bytes.n += 4000;
	b.domain[0].l3[Z5M_L3_ACCESSES].n += 1000;
	b.domain[0].l3[Z5M_L3_MISSES].n += 250;
	b.domain[0].l3[Z5M_L3_DRAM_LATENCY].n += 90;
	b.domain[0].l3[Z5M_L3_DRAM_REQUESTS].n += 10;
	b.domain[1].l3[Z5M_L3_DRAM_LATENCY].n += 60;
	b.domain[1].l3[Z5M_L3_DRAM_REQUESTS].n += 5;
	b.channel[0].umc[Z5M_UMC_CLOCKS].n += 6000;
	b.channel[0].umc[Z5M_UMC_READS].n += 100;
	b.channel[0].umc[Z5M_UMC_WRITES].n += 20;
	b.channel[0].umc[Z5M_UMC_DATA_SLOTS].n += 1200;
	b.channel[1].umc[Z5M_UMC_CLOCKS].n += 6000;
	b.channel[1].umc[Z5M_UMC_DATA_SLOTS].n += 3600;
	b.channel[1].umc[Z5M_UMC_READS].n -= 1;
	b.channel[1].umc[Z5M_UMC_WRITES].state = Z5M_COUNTER_SILENT;
	b.port[0].df[Z5M_PORT_READS].n = 10;
	b.port[0].df[Z5M_PORT_WRITES].n = 10;
	ok(z5_rates(&a, &b, &r) && r.seconds == 2 && near(r.streamed_bytes_s, 12000), "seconds, and what was streamed in busy time");
	ok(near(r.domain[0].hit_rate, 0.75) && near(r.domain[0].miss_bytes_s, 8000) && near(r.domain[0].dram_ns, 90) &&
	   near(r.domain[0].bytes_s, 2000), "a domain");
	ok(isnan(r.domain[1].hit_rate) && near(r.domain[1].dram_ns, 120) &&
	       isnan(r.domain[1].bytes_s) && r.domain[1].miss_bytes_s == 0,
	   "without lookups there is no share of hits");
	ok(near(r.dram_ns, 100), "mean latency, weighted by requests: %g", r.dram_ns);
	ok(near(r.channel[0].read_bytes_s, 3200) && near(r.channel[0].write_bytes_s, 640) &&
	       near(r.channel[0].bus, 0.1) && near(r.channel[0].clock_hz, 3000),
	   "a channel");
	ok(isnan(r.channel[1].read_bytes_s) && isnan(r.channel[1].write_bytes_s) && near(r.channel[1].bus, 0.3),
	   "a step backward and a silent counter give nothing");
	ok(near(r.read_bytes_s, 3200) && near(r.write_bytes_s, 640) && near(r.bus, 0.2), "sums of what is known");
	ok(near(r.port[0].read_bytes_s, 160) && near(r.port[0].write_bytes_s, 320), "a port");
	b.ns = a.ns;
	ok(!z5_rates(&a, &b, &r), "no time, no rates");
	b.ns = 3000000000;
	b.epoch = 1;
	ok(!z5_rates(&a, &b, &r), "nor over a change of source");
	a.epoch = 1;
	a.ns = 0;
	ok(!z5_rates(&a, &b, &r), "nor from before the first sample");
	for (int i = Z5M_COUNTER_ABSENT; i <= Z5M_COUNTER_REFUSED; i++)
		if (!*z5_counter_state_text((enum z5m_counter_state)i))
			ok(false, "state %d has no text", i);
}

/* ---- the reader ---- */

struct script {
	int open;		/* what open gives */
	int reads;		/* readings that succeed before error */
	int error;
	unsigned int opened, closed;
};

static int script_open(void *arg, void **state, char *why, size_t why_len)
{
	struct script *s = arg;

	*state = s;
	if (s->open)
		snprintf(why, why_len, "because");
	else
		s->opened++;
	return s->open;
}

static int script_read(void *state, struct z5_reading *r)
{
	struct script *s = state;

	if (s->reads-- <= 0)
		return s->error;
	r->source = "script";
	r->ns = 1000 - (uint64_t)s->reads;
	r->n_domains = 1;
	r->n_channels = r->n_ports = 0;
	return 0;
}

static void script_close(void *state)
{
	((struct script *)state)->closed++;
}

#define SOURCE(name, s) &(const struct z5_source){ name, script_open, script_read, script_close, s }

static void *stream(void *arg)
{
	for (unsigned int i = 0; i < 100000; i++)
		z5_counters_streamed(arg, 3, 2);
	return NULL;
}

/* Sources end under a running reader, while others tell it what they stream. */
static void test_reader(void)
{
	struct script none = {.open = -ENOENT}, first = {.reads = 3, .error = -ENODEV},
		      second = {.reads = 2, .error = -EIO};
	const struct z5_source *const list[] = {
		SOURCE("none", &none), SOURCE("first", &first), SOURCE("second", &second), NULL,
	};
	static struct z5_reading r[8];
	struct zen5rt_error err;
	struct z5_counters *c;
	unsigned int wrong = 0;
	pthread_t thread[2];

	if (!ok(!z5_counters_open(list, &c, &err) && first.opened == 1, "the first that can be opened"))
		return;
	ok(!strcmp(z5_counters_missing(c), "none: because"), "why not a better one: %s", z5_counters_missing(c));
	for (int i = 0; i < 2; i++)
		pthread_create(&thread[i], NULL, stream, c);
	for (int i = 0; i < 8; i++)
		z5_counters_read(c, &r[i]);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	for (int i = 1; i < 8; i++)
		wrong += r[i].epoch < r[i - 1].epoch || r[i].streamed < r[i - 1].streamed;
	ok(r[2].epoch == 0 && r[3].epoch == 1 && r[4].epoch == 1 && r[5].epoch == 2 && r[7].epoch == 2 && !wrong,
	   "each end of a source is an epoch");
	ok(!strcmp(r[4].source, "script") && !strcmp(r[5].source, "software") && !r[5].n_domains, "at last the software itself");
	ok(first.closed == 1 && second.opened == 1 && second.closed == 1, "each is closed once");
	ok(strstr(z5_counters_missing(c), "second: ended"), "and told: %s", strrchr(z5_counters_missing(c), '\n') + 1);
	z5_counters_read(c, &r[0]);
	ok(r[0].streamed == 600000 && r[0].busy_ns == 400000, "nothing that was streamed is lost");
	z5_counters_close(c);
	ok(first.closed == 1 && second.closed == 1, "closed sources stay closed");

	first = (struct script){ .reads = 1, .error = -EAGAIN };
	if (!ok(!z5_counters_open(list + 1, &c, &err), "opened"))
		return;
	z5_counters_read(c, &r[0]);
	z5_counters_read(c, &r[1]);
	ok(r[1].epoch == 0 && r[1].ns == r[0].ns && !first.closed, "what comes later is no end");
	ok(!strcmp(r[1].source, "script"), "and is called as what came before: %s", r[1].source);
	z5_counters_close(c);
	ok(first.closed == 1, "and is closed with the reader");
	z5_counters_close(NULL);

	first = (struct script){ .reads = 1, .error = -EIO };
	second = (struct script){ .reads = 0, .error = -EAGAIN };
	if (!ok(!z5_counters_open(list + 1, &c, &err), "opened again"))
		return;
	z5_counters_read(c, &r[0]);
	z5_counters_read(c, &r[1]);
	ok(r[1].epoch == 1 && !r[1].ns && !strcmp(r[1].source, "second"), "time of one source is not that of the next");
	z5_counters_close(c);
}

int main(void)
{
	uint8_t *page = mmap(NULL, Z5M_COUNTERS_BYTES + 4096, PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct zen5rt_error err;
	struct z5_counters *c;
	char cmd[128];

	snprintf(dir, sizeof(dir), "/tmp/z5counters-XXXXXX");
	if (!ok(mkdtemp(dir) && page != MAP_FAILED, "a directory and a page"))
		return done();
	/* whatever is read behind the page is a crash */
	mprotect(page + Z5M_COUNTERS_BYTES, 4096, PROT_NONE);
	test_page(page);
	test_page_torn(page);
	test_rates();
	test_reader();
	test_perf();
	test_resctrl();
	ok(!z5_counters_open(NULL, &c, &err), "this machine's own sources");
	z5_counters_close(c);
	snprintf(cmd, sizeof(cmd), "rm -r %s", dir);
	ok(!system(cmd), "cleaned up");
	return done();
}
