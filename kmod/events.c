// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events of the PMUs amd_l3, amd_umc_N and amd_df, for each L3 domain, memory channel and CCD port.
 * The kernel owns the MSRs behind them: they are used through in-kernel perf events alone, which
 * are not pinned, so that whoever runs perf gets a share.
 */
#include <linux/cpu.h>
#include <linux/perf_event.h>
#include <linux/slab.h>

#include "compat.h"
#include "pmu.h"
#include "zen5mem.h"

/*
 * Encodings: linux/tools/perf/pmu-events/arch/x86/amdzen5. L3: all slices and cores, both threads
 * (0x0300c00000000000); sampled latencies have no slice of their own (slice 3 by convention there),
 * umask 03 is near and far DRAM.
 */
static const u64 z5m_l3_configs[] = {
	[Z5M_L3_ACCESSES] = 0x0300c0000000ff04,
	[Z5M_L3_MISSES] = 0x0300c00000000104,
	[Z5M_L3_DRAM_LATENCY] = 0x0303c000000003ac,
	[Z5M_L3_DRAM_REQUESTS] = 0x0303c000000003ad,
};

static const u64 z5m_umc_configs[] = {
	[Z5M_UMC_CLOCKS] = 0x00,
	[Z5M_UMC_READS] = 0x10a,
	[Z5M_UMC_WRITES] = 0x20a,
	[Z5M_UMC_DATA_SLOTS] = 0x14,
};

#define Z5M_PORTS	16

static u64 z5m_df_configs[Z5M_PORTS][Z5M_PORT_COUNTERS];

/* Bits 0-7 of the event, bits 8-13 at 32; bits 0-7 of the umask at 8, bits 8-11 at 24. */
static u64 z5m_df_config(u64 event, u64 umask)
{
	return (event & 0xff) | (event >> 8) << 32 | (umask & 0xff) << 8 | (umask >> 8) << 24;
}

/*
 * Port n: event 41e + 40h * n for 0 to 7, 41f + 40h * (n - 8) for 8 to 15; umask ffe is what comes
 * into the CCD, fff what goes out, local and remote.
 */
static void z5m_df_configs_init(void)
{
	unsigned int n;

	for (n = 0; n < Z5M_PORTS; n++) {
		u64 event = n < 8 ? 0x41e + 0x40 * n : 0x41f + 0x40 * (n - 8);

		z5m_df_configs[n][Z5M_PORT_READS] = z5m_df_config(event, 0xffe);
		z5m_df_configs[n][Z5M_PORT_WRITES] = z5m_df_config(event, 0xfff);
	}
}

/* A load of so many counts that others must have moved: 64 MiB of lines. */
#define Z5M_LOAD		BIT_ULL(20)
/* One fill in some hundreds is sampled. */
#define Z5M_LOAD_SAMPLED	BIT_ULL(24)
/* Readings that themselves run on a CPU of the domain. */
#define Z5M_LOAD_READS		100

/* ---- a set ---- */

static void z5m_event_close(struct z5m_set *s, unsigned int i)
{
	if (s->event[i])
		perf_event_release_kernel(s->event[i]);
	s->event[i] = NULL;
}

static void z5m_event_open(struct z5m_set *s, unsigned int i)
{
	struct perf_event_attr attr = {
		.type = s->type,
		.size = sizeof(attr),
		.config = s->configs[i],
	};
	struct z5m_tally *t = &s->tally[i];
	struct perf_event *event;

	z5m_tally_start(t);
	if (s->type < 0) {
		t->state = Z5M_COUNTER_ABSENT;
		return;
	}
	if (s->cpu < 0) {
		t->state = Z5M_COUNTER_OFFLINE;
		return;
	}
	event = perf_event_create_kernel_counter(&attr, s->cpu, NULL, NULL, NULL);
	if (IS_ERR(event)) {
		t->error = -PTR_ERR(event);
		t->state = Z5M_COUNTER_REFUSED;
		return;
	}
	s->event[i] = event;
	t->state = Z5M_COUNTER_OK;
}

static void z5m_set_close(struct z5m_set *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		z5m_event_close(s, i);
}

static void z5m_set_open(struct z5m_set *s)
{
	unsigned int i;

	for (i = 0; i < s->n; i++)
		z5m_event_open(s, i);
}

/*
 * Whether an event has lost its CPU. A PMU that moves its events may have moved them; one that does
 * not leaves them switched off for good, also when the CPU comes back. (On 6.12 the kernel's
 * perf_pmu_migrate_context() moves the first event only.)
 */
static bool z5m_set_lost(const struct z5m_set *s)
{
	unsigned int i;

	if (s->type < 0)
		return false;
	for (i = 0; i < s->n; i++) {
		const struct perf_event *event = s->event[i];

		if (!event) {
			/* ENODEV: the PMU does not know yet that the CPU is back */
			if (s->tally[i].state == Z5M_COUNTER_OFFLINE ||
			    s->tally[i].error == ENODEV)
				return true;
			continue;
		}
		if (event->cpu < 0 || !cpu_online(event->cpu) ||
		    READ_ONCE(event->state) < PERF_EVENT_STATE_INACTIVE)
			return true;
	}
	return false;
}

/*
 * While a PMU moves its events, which takes a grace period of RCU, they look as if they were lost.
 */
#define Z5M_LOST_NS		(200 * (u64)NSEC_PER_MSEC)

/* Whether it is for us to make the events again. */
static bool z5m_set_gone(struct z5m_set *s)
{
	u64 now = ktime_get_ns();

	if (!z5m_set_lost(s)) {
		s->lost_ns = 0;
		return false;
	}
	if (!s->lost_ns)
		s->lost_ns = now;
	return now - s->lost_ns >= Z5M_LOST_NS;
}

static void z5m_set_renewed(struct z5m_set *s)
{
	unsigned int i;

	s->lost_ns = 0;
	for (i = 0; i < s->n; i++)
		s->tally[i].renewals += !!s->event[i];
}

static void z5m_set_renew(struct z5m_set *s, int cpu)
{
	z5m_set_close(s);
	s->cpu = cpu;
	z5m_set_open(s);
	z5m_set_renewed(s);
}

static void z5m_set_read(struct z5m_set *s)
{
	u64 raw, enabled, running;
	unsigned int i;

	for (i = 0; i < s->n; i++) {
		struct z5m_tally *t = &s->tally[i];

		s->last[i] = t->total;
		if (!s->event[i])
			continue;
		/* the PMU may have moved it */
		s->cpu = s->event[i]->cpu;
		raw = perf_event_read_value(s->event[i], &enabled, &running);
		z5m_tally_add(t, raw, enabled, running);
		if (z5m_tally_full(t)) {
			z5m_event_close(s, i);
			z5m_event_open(s, i);
			t->renewals++;
		}
	}
}

/* ---- which CPU ---- */

/* A CPU that is online in a package, -1: none. */
static int z5m_package_cpu(int package)
{
	unsigned int i;
	int of, cpu;

	for (i = 0; i < z5m_domains_count(); i++) {
		cpu = z5m_domains_cpu(i, &of);
		if (cpu >= 0 && of == package)
			return cpu;
	}
	return -1;
}

/*
 * A channel's PMU is one package's, and refuses the CPUs of others; which one's is not said.
 */
static void z5m_channel_open(struct z5m_set *s)
{
	unsigned int i;

	s->cpu = -1;
	for (i = 0; i < z5m_domains_count(); i++) {
		int cpu = z5m_domains_cpu(i, NULL);

		if (cpu < 0)
			continue;
		z5m_set_close(s);
		s->cpu = cpu;
		z5m_set_open(s);
		if (s->event[0])
			return;
	}
	if (s->cpu < 0)
		z5m_set_open(s);
}

/* ---- all of them ---- */

/* Whose the PMU is: the kernel's own, or that of a module that is not amd_uncore. */
static int z5m_find(struct z5m_sets *s, const char *name)
{
	char owner[MODULE_NAME_LEN];
	int type = z5m_pmu_find(name, owner);

	if (type >= 0 && *owner && strcmp(owner, "amd_uncore"))
		s->mock = true;
	return type;
}

static void z5m_set_init(struct z5m_set *s, u32 id, int type, const u64 *configs, unsigned int n)
{
	s->id = id;
	s->type = type;
	s->configs = configs;
	s->n = n;
}

static void z5m_domains_open(struct z5m_sets *s)
{
	int type = z5m_find(s, "amd_l3");
	unsigned int i;

	s->n_domains = min_t(unsigned int, z5m_domains_count(), Z5M_COUNTERS_DOMAINS);
	for (i = 0; i < s->n_domains; i++) {
		z5m_set_init(&s->domain[i], i, type, z5m_l3_configs, ARRAY_SIZE(z5m_l3_configs));
		s->domain[i].cpu = z5m_domains_cpu(i, NULL);
		z5m_set_open(&s->domain[i]);
	}
	if (type >= 0)
		strlcat(s->source, " amd_l3", sizeof(s->source));
}

static void z5m_channels_open(struct z5m_sets *s)
{
	unsigned int i, n = 0, found = 0;
	char name[16];

	for (i = 0; i < Z5M_COUNTERS_CHANNELS && n < Z5M_COUNTERS_CHANNELS; i++) {
		int type;

		snprintf(name, sizeof(name), "amd_umc_%u", i);
		type = z5m_find(s, name);
		if (type < 0) {
			/* they are numbered without gaps; what was there before stays */
			if (i >= s->n_channels)
				break;
			type = -ENOENT;
		}
		found += type >= 0;
		z5m_set_init(&s->channel[n], i, type, z5m_umc_configs, ARRAY_SIZE(z5m_umc_configs));
		z5m_channel_open(&s->channel[n++]);
	}
	s->n_channels = n;
	if (found)
		strlcat(s->source, " amd_umc", sizeof(s->source));
}

/* Numbers of the ports are documented for EPYC 9005 alone. */
static bool z5m_ports_known(void)
{
	return boot_cpu_data.x86_vendor == X86_VENDOR_AMD && boot_cpu_data.x86 == 0x1a &&
	       boot_cpu_data.x86_model <= 0x1f;
}

static void z5m_ports_open(struct z5m_sets *s)
{
	int type, package, seen[Z5M_COUNTERS_PORTS / Z5M_PORTS];
	unsigned int i, k, n = 0;

	if (!z5m_ports_known())
		return;
	z5m_df_configs_init();
	type = z5m_find(s, "amd_df");
	if (type < 0 && !s->n_ports)
		return;
	for (i = 0; i < z5m_domains_count() && n < ARRAY_SIZE(seen); i++) {
		z5m_domains_cpu(i, &package);
		for (k = 0; k < n && seen[k] != package; k++)
			;
		if (k < n)
			continue;
		seen[n] = package;
		for (k = 0; k < Z5M_PORTS; k++) {
			struct z5m_set *p = &s->port[n * Z5M_PORTS + k];

			z5m_set_init(p, n * Z5M_PORTS + k, type, z5m_df_configs[k],
				     Z5M_PORT_COUNTERS);
			p->package = package;
			p->cpu = z5m_package_cpu(package);
			z5m_set_open(p);
		}
		n++;
	}
	s->n_ports = n * Z5M_PORTS;
	if (type >= 0)
		strlcat(s->source, " amd_df", sizeof(s->source));
}

void z5m_sets_open(struct z5m_sets *s)
{
	s->mock = false;
	*s->source = '\0';
	z5m_domains_open(s);
	z5m_channels_open(s);
	z5m_ports_open(s);
	if (s->mock) {
		char plain[sizeof(s->source)];

		strscpy(plain, s->source, sizeof(plain));
		snprintf(s->source, sizeof(s->source), "MOCK:%s", plain);
	} else if (*s->source) {
		memmove(s->source, s->source + 1, sizeof(s->source) - 1);
	}
}

static void z5m_sets_each(struct z5m_sets *s, void (*fn)(struct z5m_set *s))
{
	unsigned int i;

	for (i = 0; i < s->n_domains; i++)
		fn(&s->domain[i]);
	for (i = 0; i < s->n_channels; i++)
		fn(&s->channel[i]);
	for (i = 0; i < s->n_ports; i++)
		fn(&s->port[i]);
}

void z5m_sets_close(struct z5m_sets *s)
{
	z5m_sets_each(s, z5m_set_close);
}

void z5m_sets_mend(struct z5m_sets *s)
{
	unsigned int i, n = min_t(unsigned int, z5m_domains_count(), Z5M_COUNTERS_DOMAINS);

	for (i = 0; i < s->n_domains; i++)
		if (z5m_set_gone(&s->domain[i]))
			z5m_set_renew(&s->domain[i], z5m_domains_cpu(i, NULL));
	for (; i < n; i++) {
		z5m_set_init(&s->domain[i], i, s->domain[0].type, z5m_l3_configs,
			     ARRAY_SIZE(z5m_l3_configs));
		s->domain[i].cpu = z5m_domains_cpu(i, NULL);
		z5m_set_open(&s->domain[i]);
	}
	s->n_domains = n;
	for (i = 0; i < s->n_channels; i++) {
		if (!z5m_set_gone(&s->channel[i]))
			continue;
		z5m_channel_open(&s->channel[i]);
		z5m_set_renewed(&s->channel[i]);
	}
	for (i = 0; i < s->n_ports; i++)
		if (z5m_set_gone(&s->port[i]))
			z5m_set_renew(&s->port[i], z5m_package_cpu(s->port[i].package));
}

/* By how much a counter has moved in this sample. */
static u64 z5m_set_moved(const struct z5m_set *s, unsigned int i)
{
	return s->tally[i].total - s->last[i];
}

/*
 * A counter that stays 0 is only wrong if something says that it should have moved. That readings
 * run on the CPU makes its L3 work; accesses make misses, misses make samples of latency and
 * traffic on channels; a channel that moves says that its neighbours should. Ports are not judged:
 * one without a CCD has no traffic.
 */
static void z5m_sets_judge(struct z5m_sets *s)
{
	u64 misses = 0, moved = 0;
	unsigned int i;

	for (i = 0; i < s->n_domains; i++) {
		u64 own = z5m_set_moved(&s->domain[i], Z5M_L3_MISSES);
		u64 accesses = z5m_set_moved(&s->domain[i], Z5M_L3_ACCESSES);
		struct z5m_tally *t = s->domain[i].tally;

		misses += own;
		z5m_tally_judge(&t[Z5M_L3_ACCESSES], 1, Z5M_LOAD_READS);
		z5m_tally_judge(&t[Z5M_L3_MISSES], accesses, Z5M_LOAD);
		z5m_tally_judge(&t[Z5M_L3_DRAM_REQUESTS], own, Z5M_LOAD_SAMPLED);
		z5m_tally_judge(&t[Z5M_L3_DRAM_LATENCY], own, Z5M_LOAD_SAMPLED);
	}
	for (i = 0; i < s->n_channels; i++)
		moved = max(moved, z5m_set_moved(&s->channel[i], Z5M_UMC_READS));
	moved = max(moved, misses);
	for (i = 0; i < s->n_channels; i++) {
		struct z5m_tally *t = s->channel[i].tally;

		z5m_tally_judge(&t[Z5M_UMC_CLOCKS], moved, Z5M_LOAD);
		z5m_tally_judge(&t[Z5M_UMC_READS], moved, Z5M_LOAD);
		z5m_tally_judge(&t[Z5M_UMC_WRITES], moved, 64 * Z5M_LOAD);
		z5m_tally_judge(&t[Z5M_UMC_DATA_SLOTS], moved, Z5M_LOAD);
	}
}

void z5m_sets_read(struct z5m_sets *s)
{
	z5m_sets_each(s, z5m_set_read);
	z5m_sets_judge(s);
}
