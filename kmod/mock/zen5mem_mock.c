// SPDX-License-Identifier: GPL-2.0-only
/*
 * PMUs that look like amd_l3, amd_umc_0, amd_umc_1 and amd_df and count what a script says: for
 * tests in virtual machines, which have none. It taints the kernel, loads on no real machine, and
 * everything that reads it says MOCK.
 *
 * A counter is a clock times a rate. The clock is the machine's own, or with manual=1 one that only
 * moves by what is written to the parameter advance_us. Counts a microsecond, for L3 domain d:
 *
 *	accesses 400 * (d + 1), misses 100 * (d + 1), latency requests d + 1,
 *	latency 9 * (d + 1) * (d + 1), which is 90 * (d + 1) ns
 *
 * channel c: clocks 3000, reads 40 * (c + 1), writes 10 * (c + 1), data slots 600 * (c + 1), which
 * is a tenth of the time for channel 0; ports: reads 20, writes 5.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <linux/spinlock.h>

#include "../pmu.h"

static bool mock_manual;
module_param_named(manual, mock_manual, bool, 0444);
MODULE_PARM_DESC(manual, "the clock only moves by writes to advance_us (default N)");

static unsigned int mock_dom_cpus = 4;
module_param_named(dom_cpus, mock_dom_cpus, uint, 0444);
MODULE_PARM_DESC(dom_cpus, "CPUs that share an L3, in a row (default 4)");

static bool mock_migrate = true;
module_param_named(migrate, mock_migrate, bool, 0644);
MODULE_PARM_DESC(migrate, "move events when their CPU goes offline, as amd_uncore does (default Y)");

static unsigned int mock_counters = 16;
module_param_named(counters, mock_counters, uint, 0644);
MODULE_PARM_DESC(counters, "hardware counters of each PMU and domain (default 16)");

static unsigned int mock_silent;
module_param_named(silent, mock_silent, uint, 0644);
MODULE_PARM_DESC(silent, "low 16 bits of the config that reads 0, as 0xff04 (default 0: none)");

/* Where counters begin: what is near 2^48 wraps soon. */
static u64 mock_start;
module_param_named(start, mock_start, ullong, 0644);
MODULE_PARM_DESC(start, "value that counters begin at (default 0)");

static atomic64_t mock_clock_us;
static atomic_t mock_backward = ATOMIC_INIT(0), mock_cleared = ATOMIC_INIT(0);

#define MOCK_MASK	(BIT_ULL(48) - 1)

static int mock_advance_set(const char *val, const struct kernel_param *kp)
{
	u64 us;
	int ret = kstrtoull(val, 0, &us);

	if (!ret)
		atomic64_add(us, &mock_clock_us);
	return ret;
}

static int mock_count_set(const char *val, const struct kernel_param *kp)
{
	atomic_inc((atomic_t *)kp->arg);
	return 0;
}

static const struct kernel_param_ops mock_advance_ops = { .set = mock_advance_set };
static const struct kernel_param_ops mock_count_ops = { .set = mock_count_set };

module_param_cb(advance_us, &mock_advance_ops, NULL, 0200);
MODULE_PARM_DESC(advance_us, "moves the clock of manual=1");
module_param_cb(backward, &mock_count_ops, &mock_backward, 0200);
MODULE_PARM_DESC(backward, "each write lets every event step back once");
module_param_cb(clear, &mock_count_ops, &mock_cleared, 0200);
MODULE_PARM_DESC(clear, "each write sets the hardware's counters to 0 behind the driver's back");

static u64 mock_clock(void)
{
	return mock_manual ? atomic64_read(&mock_clock_us) :
			     div_u64(ktime_get_ns(), NSEC_PER_USEC);
}

enum mock_kind { MOCK_L3, MOCK_UMC, MOCK_DF };

#define MOCK_DOMAINS	64

struct mock_pmu {
	struct pmu pmu;
	enum mock_kind kind;
	unsigned int index;		/* of a channel */
	int cpu[MOCK_DOMAINS];		/* that domain's events are on, -1: none */
	unsigned int used[MOCK_DOMAINS];
};

static DEFINE_SPINLOCK(mock_lock);

static struct mock_pmu *mock_of(struct pmu *pmu)
{
	return container_of(pmu, struct mock_pmu, pmu);
}

/* A channel and the fabric are the whole package's. */
static unsigned int mock_domain(const struct mock_pmu *m, unsigned int cpu)
{
	return m->kind == MOCK_L3 ? min(cpu / mock_dom_cpus, MOCK_DOMAINS - 1U) : 0;
}

/* Counts a microsecond. */
static u64 mock_rate(const struct mock_pmu *m, unsigned int domain, u64 config)
{
	u64 d = domain + 1, c = m->index + 1;

	if (mock_silent && mock_silent == (config & 0xffff))
		return 0;
	switch (m->kind) {
	case MOCK_L3:
		switch (config & 0xffff) {
		case 0xff04: return 400 * d;
		case 0x0104: return 100 * d;
		case 0x03ac: return 9 * d * d;
		case 0x03ad: return d;
		}
		break;
	case MOCK_UMC:
		switch (config & 0xffff) {
		case 0x000: return 3000;
		case 0x10a: return 40 * c;
		case 0x20a: return 10 * c;
		case 0x014: return 600 * c;
		}
		break;
	case MOCK_DF:
		return (config >> 8 & 0xff) == 0xff ? 5 : 20;
	}
	return 0;
}

/*
 * Of one event: where its hardware counter began and what has been done to it since. The rate may
 * change under it, so it adds up.
 */
struct mock_hw {
	u64 clock, count;
	int backward, cleared;
};

static struct mock_hw *mock_hw(struct perf_event *event)
{
	return event->pmu_private;
}

static u64 mock_hw_read(struct perf_event *event)
{
	const struct mock_pmu *m = mock_of(event->pmu);
	struct mock_hw *hw = mock_hw(event);
	u64 now = mock_clock();

	hw->count += (now - hw->clock) * mock_rate(m, mock_domain(m, event->cpu),
						   event->attr.config);
	hw->clock = now;
	if (hw->cleared != atomic_read(&mock_cleared)) {
		hw->cleared = atomic_read(&mock_cleared);
		hw->count = 0;
	}
	return hw->count & MOCK_MASK;
}

static void mock_read(struct perf_event *event)
{
	struct mock_hw *hw = mock_hw(event);
	u64 now = mock_hw_read(event), before = local64_xchg(&event->hw.prev_count, now);

	local64_add((now - before) & MOCK_MASK, &event->count);
	if (hw->backward != atomic_read(&mock_backward)) {
		hw->backward = atomic_read(&mock_backward);
		local64_sub(min_t(u64, local64_read(&event->count), 1000), &event->count);
	}
}

static void mock_start_event(struct perf_event *event, int flags)
{
	mock_hw(event)->clock = mock_clock();
	local64_set(&event->hw.prev_count, mock_hw_read(event));
	event->hw.state = 0;
	perf_event_update_userpage(event);
}

static void mock_stop_event(struct perf_event *event, int flags)
{
	if (event->hw.state & PERF_HES_STOPPED)
		return;
	mock_read(event);
	event->hw.state |= PERF_HES_STOPPED | PERF_HES_UPTODATE;
}

static int mock_add(struct perf_event *event, int flags)
{
	struct mock_pmu *m = mock_of(event->pmu);
	unsigned int d = mock_domain(m, event->cpu);
	int ret = -EAGAIN;

	spin_lock(&mock_lock);
	if (m->used[d] < READ_ONCE(mock_counters)) {
		m->used[d]++;
		ret = 0;
	}
	spin_unlock(&mock_lock);
	if (ret)
		return ret;
	event->hw.state = PERF_HES_STOPPED | PERF_HES_UPTODATE;
	if (flags & PERF_EF_START)
		mock_start_event(event, PERF_EF_RELOAD);
	return 0;
}

static void mock_del(struct perf_event *event, int flags)
{
	struct mock_pmu *m = mock_of(event->pmu);

	mock_stop_event(event, PERF_EF_UPDATE);
	spin_lock(&mock_lock);
	m->used[mock_domain(m, event->cpu)]--;
	spin_unlock(&mock_lock);
}

static void mock_destroy(struct perf_event *event)
{
	kfree(event->pmu_private);
}

static int mock_event_init(struct perf_event *event)
{
	struct mock_pmu *m = mock_of(event->pmu);
	struct mock_hw *hw;
	int cpu;

	if (event->attr.type != event->pmu->type)
		return -ENOENT;
	if (is_sampling_event(event) || event->cpu < 0)
		return -EINVAL;
	cpu = m->cpu[mock_domain(m, event->cpu)];
	if (cpu < 0)
		return -ENODEV;
	hw = kzalloc(sizeof(*hw), GFP_KERNEL);
	if (!hw)
		return -ENOMEM;
	event->cpu = cpu;
	hw->clock = mock_clock();
	hw->count = READ_ONCE(mock_start);
	hw->backward = atomic_read(&mock_backward);
	hw->cleared = atomic_read(&mock_cleared);
	event->pmu_private = hw;
	event->destroy = mock_destroy;
	event->hw.config = event->attr.config;
	event->hw.idx = -1;
	return 0;
}

/* ---- sysfs ---- */

static ssize_t cpumask_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct mock_pmu *m = mock_of(dev_get_drvdata(dev));
	cpumask_var_t mask;
	ssize_t len;
	int i;

	if (!zalloc_cpumask_var(&mask, GFP_KERNEL))
		return -ENOMEM;
	for (i = 0; i < MOCK_DOMAINS; i++)
		if (m->cpu[i] >= 0)
			cpumask_set_cpu(m->cpu[i], mask);
	len = cpumap_print_to_pagebuf(true, buf, mask);
	free_cpumask_var(mask);
	return len;
}
static DEVICE_ATTR_RO(cpumask);

static struct attribute *mock_attrs[] = { &dev_attr_cpumask.attr, NULL };
static const struct attribute_group mock_group = { .attrs = mock_attrs };

static ssize_t mock_format_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	const struct dev_ext_attribute *a = container_of(attr, struct dev_ext_attribute, attr);

	return sysfs_emit(buf, "%s\n", (const char *)a->var);
}

/* Those of amd_uncore: perf and others put their events together by them. */
#define MOCK_FORMAT(id, name, bits)						\
	static struct dev_ext_attribute mock_##id = {				\
		__ATTR(name, 0444, mock_format_show, NULL), (void *)(bits)	\
	}

MOCK_FORMAT(event8, event, "config:0-7");
MOCK_FORMAT(event14, event, "config:0-7,32-37");
MOCK_FORMAT(umask8, umask, "config:8-15");
MOCK_FORMAT(umask12, umask, "config:8-15,24-27");
MOCK_FORMAT(coreid, coreid, "config:42-44");
MOCK_FORMAT(enallslices, enallslices, "config:46");
MOCK_FORMAT(enallcores, enallcores, "config:47");
MOCK_FORMAT(sliceid, sliceid, "config:48-50");
MOCK_FORMAT(threadmask, threadmask, "config:56-57");
MOCK_FORMAT(rdwrmask, rdwrmask, "config:8-9");

static struct attribute *mock_l3_formats[] = {
	&mock_event8.attr.attr, &mock_umask8.attr.attr, &mock_coreid.attr.attr,
	&mock_enallslices.attr.attr, &mock_enallcores.attr.attr, &mock_sliceid.attr.attr,
	&mock_threadmask.attr.attr, NULL
};

static struct attribute *mock_umc_formats[] = {
	&mock_event8.attr.attr, &mock_rdwrmask.attr.attr, NULL
};

static struct attribute *mock_df_formats[] = {
	&mock_event14.attr.attr, &mock_umask12.attr.attr, NULL
};

static const struct attribute_group mock_format_groups[] = {
	[MOCK_L3] = { .name = "format", .attrs = mock_l3_formats },
	[MOCK_UMC] = { .name = "format", .attrs = mock_umc_formats },
	[MOCK_DF] = { .name = "format", .attrs = mock_df_formats },
};

static const struct attribute_group *mock_groups[][3] = {
	[MOCK_L3] = { &mock_group, &mock_format_groups[MOCK_L3] },
	[MOCK_UMC] = { &mock_group, &mock_format_groups[MOCK_UMC] },
	[MOCK_DF] = { &mock_group, &mock_format_groups[MOCK_DF] },
};

/* ---- the PMUs ---- */

static struct mock_pmu mock_pmus[] = {
	{ .kind = MOCK_L3 }, { .kind = MOCK_UMC }, { .kind = MOCK_UMC, .index = 1 },
	{ .kind = MOCK_DF },
};

static const char * const mock_names[] = { "amd_l3", "amd_umc_0", "amd_umc_1", "amd_df" };

/* The first CPU of a domain's, or of the package, that is online and not but. */
static int mock_some_cpu(const struct mock_pmu *m, unsigned int domain, int but)
{
	unsigned int cpu;

	for_each_online_cpu(cpu)
		if (cpu != but && mock_domain(m, cpu) == domain)
			return cpu;
	return -1;
}

static int mock_online(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mock_pmus); i++) {
		int *at = &mock_pmus[i].cpu[mock_domain(&mock_pmus[i], cpu)];

		if (*at < 0)
			*at = cpu;
	}
	return 0;
}

static int mock_offline(unsigned int cpu)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(mock_pmus); i++) {
		struct mock_pmu *m = &mock_pmus[i];
		unsigned int d = mock_domain(m, cpu);

		if (m->cpu[d] != cpu)
			continue;
		m->cpu[d] = mock_some_cpu(m, d, cpu);
		if (m->cpu[d] >= 0 && mock_migrate)
			perf_pmu_migrate_context(&m->pmu, cpu, m->cpu[d]);
	}
	return 0;
}

static enum cpuhp_state mock_state;

static void mock_unregister(unsigned int n)
{
	while (n--)
		perf_pmu_unregister(&mock_pmus[n].pmu);
}

static int __init mock_init(void)
{
	unsigned int i, d;
	int ret;

	if (!boot_cpu_has(X86_FEATURE_HYPERVISOR)) {
		pr_err("made-up counters are for virtual machines only\n");
		return -ENODEV;
	}
	if (!mock_dom_cpus)
		return -EINVAL;
	for (i = 0; i < ARRAY_SIZE(mock_pmus); i++) {
		if (z5m_pmu_find(mock_names[i], NULL) >= 0) {
			pr_err("this machine has a PMU %s of its own\n", mock_names[i]);
			return -EEXIST;
		}
	}
	for (i = 0; i < ARRAY_SIZE(mock_pmus); i++) {
		struct mock_pmu *m = &mock_pmus[i];

		for (d = 0; d < MOCK_DOMAINS; d++)
			m->cpu[d] = mock_some_cpu(m, d, -1);
		m->pmu = (struct pmu){
			.module = THIS_MODULE,
			.task_ctx_nr = perf_invalid_context,
			.attr_groups = mock_groups[m->kind],
			.event_init = mock_event_init,
			.add = mock_add,
			.del = mock_del,
			.start = mock_start_event,
			.stop = mock_stop_event,
			.read = mock_read,
			.capabilities = PERF_PMU_CAP_NO_EXCLUDE | PERF_PMU_CAP_NO_INTERRUPT,
		};
		ret = perf_pmu_register(&m->pmu, mock_names[i], -1);
		if (ret) {
			mock_unregister(i);
			return ret;
		}
	}
	ret = cpuhp_setup_state_nocalls(CPUHP_AP_ONLINE_DYN, "zen5mem_mock:online", mock_online,
					mock_offline);
	if (ret < 0) {
		mock_unregister(ARRAY_SIZE(mock_pmus));
		return ret;
	}
	mock_state = ret;
	add_taint(TAINT_TEST, LOCKDEP_STILL_OK);
	pr_notice("MOCK: the counters of amd_l3, amd_umc and amd_df are made up\n");
	return 0;
}

static void __exit mock_exit(void)
{
	cpuhp_remove_state_nocalls(mock_state);
	mock_unregister(ARRAY_SIZE(mock_pmus));
}

module_init(mock_init);
module_exit(mock_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Made-up counters for tests of zen5mem");
