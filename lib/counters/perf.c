// SPDX-License-Identifier: MIT
/*
 * Source "perf": the PMUs amd_l3 and amd_umc_N by perf_event_open(2), one set of events for each L3 domain and memory
 * channel. Encodings: linux-perf, pmu-events/arch/x86/amdzen5, as in ../shared/facts/zen5.md 4.3.
 */
#include <counters/counters.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <clock.h>
#include <counters/perf.h>
#include <topo/cgroup.h>
#include <topo/mask.h>

/*
 * Kernels before 6.16 leave a channel's counter at 2^48 - 1 once it is there, the clocks after a day: a new event
 * begins at 0. 2^46 is hours away from it.
 */
#define PERF_UMC_RENEW	(1ULL << 46)

static const uint64_t l3_events[Z5M_DOMAIN_COUNTERS] = {
	[Z5M_L3_ACCESSES] = 0x0300C0000000FF04, [Z5M_L3_MISSES] = 0x0300C00000000104,
	[Z5M_L3_DRAM_LATENCY] = 0x0303C000000003AC, [Z5M_L3_DRAM_REQUESTS] = 0x0303C000000003AD,
};

static const uint64_t umc_events[Z5M_CHANNEL_COUNTERS] = {
	[Z5M_UMC_CLOCKS] = 0x00, [Z5M_UMC_READS] = 0x10a, [Z5M_UMC_WRITES] = 0x20a, [Z5M_UMC_DATA_SLOTS] = 0x14,
};

/* What read(2) gives. */
struct perf_value {
	uint64_t value, enabled, running;
};

struct perf_counter {
	int fd;			/* -1: not open */
	int error;
	bool taken;		/* when last read */
	struct perf_value last;
	double total;
};

struct perf_source {
	const struct z5_perf_machine *machine;
	bool mock;
	unsigned int n_domains, n_channels;
	unsigned int channel[Z5_READ_CHANNELS];
	uint32_t umc_type[Z5_READ_CHANNELS];	/* of the PMU, and the CPU that it is read on */
	int umc_cpu[Z5_READ_CHANNELS];
	struct perf_counter l3[Z5_READ_DOMAINS][Z5M_DOMAIN_COUNTERS];
	struct perf_counter umc[Z5_READ_CHANNELS][Z5M_CHANNEL_COUNTERS];
};

static int perf_open_real(struct perf_event_attr *attr, int cpu)
{
	return (int)syscall(SYS_perf_event_open, attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
}

static const struct z5_perf_machine perf_real = { "", perf_open_real };

/* A PMU's type, and the CPUs that it is read on; returns the first of them, -1: there is no such PMU. */
static int perf_pmu(const char *sysroot, const char *name, uint32_t *type, struct z5_mask *cpus)
{
	char path[128], text[4096];

	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/type", name);
	if (z5_read_text(sysroot, path, text, sizeof(text)) <= 0)
		return -1;
	*type = (uint32_t)strtoul(text, NULL, 10);
	snprintf(path, sizeof(path), "/sys/bus/event_source/devices/%s/cpumask", name);
	memset(cpus, 0, sizeof(*cpus));
	return z5_read_text(sysroot, path, text, sizeof(text)) > 0 ? z5_mask_parse(text, cpus) : -1;
}

static bool perf_event(const struct z5_perf_machine *m, struct perf_counter *c, uint64_t config, uint32_t type, int cpu)
{
	struct perf_event_attr attr = {
		.type = type, .size = sizeof(attr), .config = config,
		.read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
	};

	c->fd = m->open(&attr, cpu);
	c->error = c->fd < 0 ? errno : 0;
	return c->fd >= 0;
}

/* Number of counters that were opened. */
static unsigned int perf_set(const struct z5_perf_machine *m, struct perf_counter *c,
			     const uint64_t *events, unsigned int n, uint32_t type, int cpu)
{
	unsigned int opened = 0;

	for (unsigned int i = 0; i < n; i++)
		opened += perf_event(m, &c[i], events[i], type, cpu);
	return opened;
}

static void perf_close(void *state)
{
	struct perf_source *s = state;

	for (unsigned int d = 0; d < s->n_domains; d++)
		for (unsigned int i = 0; i < Z5M_DOMAIN_COUNTERS; i++)
			if (s->l3[d][i].fd >= 0)
				close(s->l3[d][i].fd);
	for (unsigned int d = 0; d < s->n_channels; d++)
		for (unsigned int i = 0; i < Z5M_CHANNEL_COUNTERS; i++)
			if (s->umc[d][i].fd >= 0)
				close(s->umc[d][i].fd);
	free(s);
}

static void perf_refused(const struct z5_perf_machine *m, const struct perf_source *s, char *why, size_t len)
{
	const int error = s->n_domains ? s->l3[0][0].error : s->n_channels ? s->umc[0][0].error : ENOENT;
	char text[64] = "";

	if (error == ENOENT) {
		snprintf(why, len, "no PMU amd_l3 or amd_umc_0 (amd_uncore of an AMD kernel on bare metal)");
	} else if (error == EACCES || error == EPERM) {
		z5_read_text(m->sysroot, "/proc/sys/kernel/perf_event_paranoid", text, sizeof(text));
		snprintf(why, len, "not permitted: kernel.perf_event_paranoid is %.*s, it takes 0 or CAP_PERFMON",
			 (int)strcspn(text, "\n"), text);
	} else {
		snprintf(why, len, "perf_event_open: %s", strerror(error));
	}
}

static int perf_open(void *arg, void **state, char *why, size_t why_len)
{
	const struct z5_perf_machine *m = arg ? arg : &perf_real;
	struct perf_source *s = calloc(1, sizeof(*s));
	unsigned int opened = 0;
	struct z5_mask cpus;
	uint32_t type;
	int cpu;
	char text[16];

	if (!s)
		return -ENOMEM;
	s->machine = m;
	s->mock = z5_read_text(m->sysroot, "/sys/module/zen5mem_mock/initstate", text, sizeof(text)) > 0;
	cpu = perf_pmu(m->sysroot, "amd_l3", &type, &cpus);
	for (; cpu >= 0 && cpu < Z5_MASK_CPUS && s->n_domains < Z5_READ_DOMAINS; cpu++)
		if (z5_mask_has(&cpus, cpu))
			opened += perf_set(m, s->l3[s->n_domains++], l3_events, Z5M_DOMAIN_COUNTERS, type, cpu);
	for (unsigned int i = 0; i < Z5_READ_CHANNELS; i++) {
		char name[32];

		snprintf(name, sizeof(name), "amd_umc_%u", i);
		cpu = perf_pmu(m->sysroot, name, &type, &cpus);
		if (cpu < 0)
			continue;
		s->channel[s->n_channels] = i;
		s->umc_type[s->n_channels] = type;
		s->umc_cpu[s->n_channels] = cpu;
		opened += perf_set(m, s->umc[s->n_channels++], umc_events, Z5M_CHANNEL_COUNTERS, type, cpu);
	}
	if (!opened) {
		perf_refused(m, s, why, why_len);
		perf_close(s);
		return -EACCES;
	}
	*state = s;
	return 0;
}

/* true: it could be read. */
static bool perf_total(struct perf_counter *c, struct z5_total *t)
{
	struct perf_value v;

	*t = (struct z5_total){ .state = Z5M_COUNTER_REFUSED, .error = c->error };
	if (c->fd < 0)
		return false;
	errno = 0;
	if (read(c->fd, &v, sizeof(v)) != (ssize_t)sizeof(v)) {
		/* 0 bytes: the event could not be kept */
		t->error = errno ? errno : EIO;
		return false;
	}
	t->state = c->taken ? Z5M_COUNTER_TAKEN : Z5M_COUNTER_OK;
	if (v.enabled > c->last.enabled) {
		const uint64_t enabled = v.enabled - c->last.enabled, running = v.running - c->last.running;
		const double value = v.value >= c->last.value ? (double)(v.value - c->last.value) : 0;

		c->taken = !running;
		t->state = !running ? Z5M_COUNTER_TAKEN : running < enabled ? Z5M_COUNTER_SHARED : Z5M_COUNTER_OK;
		if (running)
			c->total += value * (double)enabled / (double)running;
		c->last = v;
	}
	t->n = (uint64_t)c->total;
	return true;
}

/* The old event goes first: with it there may be no counter left for the new one. */
static void perf_renew(const struct perf_source *s, struct perf_counter *c, unsigned int channel, uint64_t config)
{
	close(c->fd);
	c->last = (struct perf_value){ 0 };
	perf_event(s->machine, c, config, s->umc_type[channel], s->umc_cpu[channel]);
}

static int perf_read(void *state, struct z5_reading *r)
{
	struct perf_source *s = state;
	unsigned int good = 0;

	r->source = s->mock ? "perf MOCK" : "perf";
	r->n_domains = s->n_domains;
	r->n_channels = s->n_channels;
	r->n_ports = 0;
	for (unsigned int d = 0; d < s->n_domains; d++) {
		r->domain[d] = (struct z5_read_domain){ .domain = d };
		for (unsigned int i = 0; i < Z5M_DOMAIN_COUNTERS; i++)
			good += perf_total(&s->l3[d][i], &r->domain[d].l3[i]);
	}
	for (unsigned int d = 0; d < s->n_channels; d++) {
		r->channel[d] = (struct z5_read_channel){ .channel = s->channel[d] };
		for (unsigned int i = 0; i < Z5M_CHANNEL_COUNTERS; i++) {
			good += perf_total(&s->umc[d][i], &r->channel[d].umc[i]);
			if (s->umc[d][i].fd >= 0 && s->umc[d][i].last.value >= PERF_UMC_RENEW)
				perf_renew(s, &s->umc[d][i], d, umc_events[i]);
		}
	}
	r->ns = z5_now_ns();
	return good ? 0 : -EIO;
}

const struct z5_source z5_source_perf = { "perf", perf_open, perf_read, perf_close, NULL };
