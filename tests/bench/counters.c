// SPDX-License-Identifier: MIT
/* What a reading of counters costs, source by source, and what the module's samples cost. counters [seconds] */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <counters/counters.h>
#include <mem/device.h>

#include "timing.h"

#define BATCH	16

/* source NULL: the software one, which needs no list. */
static void measure(const struct z5_source *source, double seconds)
{
	const struct z5_source *const list[2] = { source };
	static double took[200000];
	static struct z5_reading r;
	struct zen5rt_error err;
	struct z5_counters *c;
	double end, from, to;
	unsigned int n = 0;

	if (z5_counters_open(list, &c, &err)) {
		fprintf(stderr, "counters: %s\n", err.message);
		exit(1);
	}
	if (*z5_counters_missing(c)) {
		printf("%s\n", z5_counters_missing(c));
		z5_counters_close(c);
		return;
	}
	from = now();
	end = from + seconds;
	while (from < end && n < sizeof(took) / sizeof(*took)) {
		for (unsigned int i = 0; i < BATCH; i++)
			z5_counters_read(c, &r);
		to = now();
		took[n++] = (to - from) / BATCH;
		from = to;
	}
	/* a source that ended meanwhile would be another's numbers */
	if (r.epoch) {
		printf("%s\n", z5_counters_missing(c));
	} else {
		in_order(took, n);
		printf("%-12s %10.0f ns median %10.0f ns best  (%u domains, %u channels)\n", r.source,
		       took[n / 2] * 1e9, took[0] * 1e9, r.n_domains, r.n_channels);
	}
	z5_counters_close(c);
}

/* The header between two samples. */
static void header(const void *page, struct z5m_counters *h)
{
	const _Atomic uint32_t *seq = &((const _Atomic uint32_t *)page)[offsetof(struct z5m_counters, seq) / 4];
	uint32_t before;

	do {
		before = atomic_load_explicit(seq, memory_order_acquire);
		memcpy(h, page, sizeof(*h));
		atomic_thread_fence(memory_order_acquire);
	} while (before & 1 || before != atomic_load_explicit(seq, memory_order_relaxed));
}

/* The share of a core that the module's thread takes, from what it says itself. */
static void share(int dev, uint32_t interval_us, double seconds)
{
	const struct timespec first = { .tv_nsec = 300000000 };
	struct z5m_counters_open o = { .interval_us = interval_us };
	struct z5m_counters a, b;
	int fd = z5_dev_ioctl(dev, Z5M_IOC_COUNTERS, &o);
	void *page;

	if (fd < 0) {
		printf("samples at %u us: %s\n", interval_us, strerror(-fd));
		return;
	}
	page = mmap(NULL, Z5M_COUNTERS_BYTES, PROT_READ, MAP_SHARED, fd, 0);
	close(fd);
	if (page == MAP_FAILED) {
		perror("counters: mmap");
		exit(1);
	}
	nanosleep(&first, NULL);
	header(page, &a);
	nanosleep(&(struct timespec){ (time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9) }, NULL);
	header(page, &b);
	munmap(page, Z5M_COUNTERS_BYTES);
	if (b.samples == a.samples || b.ts_ns <= a.ts_ns) {
		printf("samples at %u us: none came\n", interval_us);
		return;
	}
	printf("samples at %5u us: %.3f %% of a core, %.1f us each, %llu of them, %llu late; %s\n", b.interval_us,
	       100.0 * (double)(b.cost_ns - a.cost_ns) / (double)(b.ts_ns - a.ts_ns),
	       (double)(b.cost_ns - a.cost_ns) / (double)(b.samples - a.samples) / 1e3,
	       (unsigned long long)(b.samples - a.samples), (unsigned long long)(b.late - a.late),
	       *b.source ? b.source : "no PMU");
}

int main(int argc, char **argv)
{
	const double seconds = argc > 1 ? atof(argv[1]) : 1;
	struct z5m_version v;
	char why[256];
	int dev;

	if (!(seconds > 0 && seconds <= 3600)) {
		fprintf(stderr, "counters: seconds: more than 0, at most 3600\n");
		return 64;
	}
	measure(&z5_source_page, seconds);
	measure(&z5_source_perf, seconds);
	measure(&z5_source_resctrl, seconds);
	measure(NULL, seconds);
	dev = z5_dev_open(&v, why, sizeof(why));
	if (dev < 0) {
		printf("samples: %s\n", why);
		return 0;
	}
	share(dev, 10000, 5 * seconds);
	share(dev, 1000, 5 * seconds);
	close(dev);
	return 0;
}
