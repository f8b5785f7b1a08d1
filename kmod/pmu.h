/* SPDX-License-Identifier: GPL-2.0-only */
/* Finding a PMU by name: what the counters and the mock need. */
#ifndef Z5M_PMU_H
#define Z5M_PMU_H

#include <linux/cpumask.h>
#include <linux/device.h>
#include <linux/err.h>
#include <linux/module.h>
#include <linux/perf_event.h>
#include <linux/string.h>

/*
 * The type of the PMU of that name, for struct perf_event_attr; -ENOENT. Types are dynamic, and
 * nothing that is exported tells them: they are found by way of the bus that any event's PMU is on.
 * owner (may be NULL): the module whose it is, "" for the kernel itself.
 */
static inline int z5m_pmu_find(const char *name, char owner[MODULE_NAME_LEN])
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.config = PERF_COUNT_SW_DUMMY,
		.size = sizeof(attr),
		.disabled = 1,
	};
	struct perf_event *event;
	const struct pmu *pmu;
	struct device *dev = NULL;
	int ret = -ENOENT;

	event = perf_event_create_kernel_counter(&attr, cpumask_first(cpu_online_mask), NULL, NULL,
						 NULL);
	if (IS_ERR(event))
		return PTR_ERR(event);
	if (event->pmu->dev && event->pmu->dev->bus)
		dev = bus_find_device_by_name(event->pmu->dev->bus, NULL, name);
	pmu = dev ? dev_get_drvdata(dev) : NULL;
	if (pmu) {
		ret = pmu->type;
		if (owner)
			strscpy(owner, pmu->module ? module_name(pmu->module) : "",
				MODULE_NAME_LEN);
	}
	put_device(dev);
	perf_event_release_kernel(event);
	return ret;
}

#endif
