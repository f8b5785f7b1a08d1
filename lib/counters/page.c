// SPDX-License-Identifier: MIT
/* Source "zen5mem": the module's counter page. What is in it is checked before it is used: a device may be another's. */
#include <counters/counters.h>

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>
#include <x86intrin.h>

#include <clock.h>
#include <counters/page.h>
#include <mem/device.h>

/* The writer is busy for microseconds; where it is not done by then its CPU was taken away, as in virtual machines. */
#define PAGE_TRIES	20000

/* The first sample comes at once, unless the machine is very busy. */
#define PAGE_FIRST_MS	500

bool z5_page_ok(const struct z5m_counters *h, char *why, size_t len)
{
	const struct {
		const char *what;
		uint64_t n, offset, size, max;
	} arrays[] = {
		{ "domains", h->n_domains, h->domain_offset, h->domain_size, Z5_READ_DOMAINS },
		{ "channels", h->n_channels, h->channel_offset, h->channel_size, Z5_READ_CHANNELS },
		{ "ports", h->n_ports, h->port_offset, h->port_size, Z5_READ_PORTS },
	};

	if (h->magic != Z5M_COUNTERS_MAGIC || h->version != Z5M_COUNTERS_VERSION) {
		snprintf(why, len, "the counter page has version %u, this program knows %u", h->version,
			 (unsigned int)Z5M_COUNTERS_VERSION);
		return false;
	}
	for (unsigned int i = 0; i < sizeof(arrays) / sizeof(*arrays); i++) {
		if (arrays[i].n > arrays[i].max || arrays[i].size < 8 || arrays[i].size % 8 || arrays[i].offset % 8 ||
		    arrays[i].offset > Z5M_COUNTERS_BYTES ||
		    arrays[i].n * arrays[i].size > Z5M_COUNTERS_BYTES - arrays[i].offset) {
			snprintf(why, len, "the counter page's %s are outside of it", arrays[i].what);
			return false;
		}
	}
	return true;
}

/* An entry as this file knows it: what an older module's lacks is zero, which reads as absent. */
static void page_entry(void *to, size_t ours, const uint8_t *from, size_t theirs)
{
	memset(to, 0, ours);
	memcpy(to, from, theirs < ours ? theirs : ours);
}

static void page_totals(struct z5_total *t, const struct z5m_counter *c, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		t[i] = (struct z5_total){ .n = c[i].total,
					 .state = (enum z5m_counter_state)c[i].state,
					 .error = (int)c[i].error };
}

static void page_copy(const uint8_t *page, const struct z5m_counters *h, struct z5_reading *r)
{
	for (unsigned int i = 0; i < h->n_domains; i++) {
		struct z5m_counter_domain d;

		page_entry(&d, sizeof(d), page + h->domain_offset + (size_t)i * h->domain_size, h->domain_size);
		r->domain[i] = (struct z5_read_domain){ .domain = d.domain };
		page_totals(r->domain[i].l3, d.counter, Z5M_DOMAIN_COUNTERS);
	}
	for (unsigned int i = 0; i < h->n_channels; i++) {
		struct z5m_counter_channel c;

		page_entry(&c, sizeof(c), page + h->channel_offset + (size_t)i * h->channel_size, h->channel_size);
		r->channel[i] = (struct z5_read_channel){ .channel = c.channel };
		page_totals(r->channel[i].umc, c.counter, Z5M_CHANNEL_COUNTERS);
	}
	for (unsigned int i = 0; i < h->n_ports; i++) {
		struct z5m_counter_port p;

		page_entry(&p, sizeof(p), page + h->port_offset + (size_t)i * h->port_size, h->port_size);
		r->port[i] = (struct z5_read_port){ .port = p.port };
		page_totals(r->port[i].df, p.counter, Z5M_PORT_COUNTERS);
	}
	r->n_domains = h->n_domains;
	r->n_channels = h->n_channels;
	r->n_ports = h->n_ports;
	r->ns = h->ts_ns;
	r->source = h->flags & Z5M_COUNTERS_MOCK ? "zen5mem MOCK" : "zen5mem";
}

static const _Atomic uint32_t *page_seq(const void *page)
{
	return (const _Atomic uint32_t *)((const uint8_t *)page + offsetof(struct z5m_counters, seq));
}

int z5_page_header(const void *page, struct z5m_counters *h)
{
	const _Atomic uint32_t *seq = page_seq(page);

	for (unsigned int i = 0; i < PAGE_TRIES; i++) {
		const uint32_t before = atomic_load_explicit(seq, memory_order_acquire);

		if (before & 1) {
			_mm_pause();
			continue;
		}
		memcpy(h, page, sizeof(*h));
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(seq, memory_order_relaxed) == before)
			return 0;
	}
	return -EAGAIN;
}

int z5_page_read(const void *page, struct z5_reading *r)
{
	char why[128];

	for (unsigned int i = 0; i < PAGE_TRIES; i++) {
		struct z5m_counters h;
		int ret = z5_page_header(page, &h);

		if (ret)
			return ret;
		if (!z5_page_ok(&h, why, sizeof(why)))
			return -EPROTO;
		page_copy(page, &h, r);
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(page_seq(page), memory_order_relaxed) == h.seq)
			return 0;
	}
	return -EAGAIN;
}

/*
 * Whether there is anything that counts, which the first sample since then tells: PMUs come and go
 * while nobody reads.
 */
static int page_counts(const void *page, uint64_t since, char *why, size_t len)
{
	const struct timespec ms = { .tv_nsec = 1000000 };
	struct z5m_counters h;

	for (unsigned int i = 0; i < PAGE_FIRST_MS; i++) {
		if (!z5_page_header(page, &h)) {
			if (!z5_page_ok(&h, why, len))
				return -EPROTO;
			if (h.ts_ns >= since && *h.source)
				return 0;
			if (h.ts_ns >= since) {
				snprintf(why, len, "the module is there, but no PMU amd_l3 or amd_umc_0");
				return -ENODEV;
			}
		}
		nanosleep(&ms, NULL);
	}
	snprintf(why, len, "the module does not sample");
	return -ENODEV;
}

static int page_open(void *arg, void **state, char *why, size_t why_len)
{
	struct z5m_counters_open o = { .interval_us = 0 };
	const uint64_t since = z5_now_ns();
	struct z5m_version v;
	void *page;
	int dev, fd, ret;

	(void)arg;
	dev = z5_dev_open(&v, why, why_len);
	if (dev < 0)
		return dev;
	fd = v.features & Z5M_FEATURE_COUNTERS ? z5_dev_ioctl(dev, Z5M_IOC_COUNTERS, &o) : -ENOTTY;
	close(dev);
	if (fd < 0) {
		snprintf(why, why_len, fd == -ENOTTY ? "this version of the module has no counters" :
			 fd == -EPERM ? "the module demands CAP_PERFMON (counters_perfmon)" : "Z5M_IOC_COUNTERS: %s", strerror(-fd));
		return fd;
	}
	page = mmap(NULL, Z5M_COUNTERS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	ret = page == MAP_FAILED ? -errno : 0;
	close(fd);
	if (ret) {
		snprintf(why, why_len, "the counter page cannot be mapped: %s", strerror(-ret));
		return ret;
	}
	ret = page_counts(page, since, why, why_len);
	if (ret)
		munmap(page, Z5M_COUNTERS_BYTES);
	else
		*state = page;
	return ret;
}

static int page_read(void *state, struct z5_reading *r)
{
	return z5_page_read(state, r);
}

static void page_close(void *state)
{
	munmap(state, Z5M_COUNTERS_BYTES);
}

const struct z5_source z5_source_page = { "zen5mem", page_open, page_read, page_close, NULL };
