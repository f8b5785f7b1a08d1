// SPDX-License-Identifier: GPL-2.0-only
/* /sys/class/misc/zen5mem: how much is used, and a folder a node. */
#include <linux/device.h>
#include <linux/slab.h>
#include <linux/sysfs.h>

#include "zen5mem.h"

static ssize_t regions_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", z5m_region_count());
}
static DEVICE_ATTR_RO(regions);

static ssize_t used_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", z5m_used_bytes());
}
static DEVICE_ATTR_RO(used_bytes);

static ssize_t max_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", z5m_max_bytes());
}
static DEVICE_ATTR_RO(max_bytes);

static struct attribute *z5m_sysfs_attrs[] = {
	&dev_attr_regions.attr,
	&dev_attr_used_bytes.attr,
	&dev_attr_max_bytes.attr,
	NULL
};

static const struct attribute_group z5m_sysfs_group = { .attrs = z5m_sysfs_attrs };

/* ---- nodes ---- */

struct z5m_node_attr {
	struct device_attribute attr;
	int nid;
};

static int z5m_attr_node(struct device_attribute *attr)
{
	return container_of(attr, struct z5m_node_attr, attr)->nid;
}

static ssize_t reserve_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	unsigned int n_free, n_used;

	z5m_reserve_count(z5m_attr_node(attr), &n_free, &n_used);
	return sysfs_emit(buf, "%u\n", n_free);
}

static ssize_t reserve_used_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	unsigned int n_free, n_used;

	z5m_reserve_count(z5m_attr_node(attr), &n_free, &n_used);
	return sysfs_emit(buf, "%u\n", n_used);
}

static ssize_t node_used_bytes_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%llu\n", z5m_node_used(z5m_attr_node(attr)));
}

static ssize_t possible_show(struct device *dev, struct device_attribute *attr, char *buf)
{
	unsigned int normal, movable;
	int ret;

	ret = z5m_window_possible(z5m_attr_node(attr), &normal, &movable);
	return ret ?: sysfs_emit(buf, "%u\n", normal);
}

static const struct device_attribute z5m_node_attrs[] = {
	__ATTR_RO(reserve),
	__ATTR_RO(reserve_used),
	__ATTR(used_bytes, 0444, node_used_bytes_show, NULL),
	/* A scan of the whole node: not for everybody to ask all the time. */
	__ATTR_RO_MODE(possible, 0400),
};

struct z5m_node_group {
	struct attribute_group group;
	char name[16];
	struct z5m_node_attr attrs[ARRAY_SIZE(z5m_node_attrs)];
	struct attribute *list[ARRAY_SIZE(z5m_node_attrs) + 1];
};

static struct z5m_node_group *z5m_node_groups;
const struct attribute_group **z5m_sysfs_groups;

static void z5m_node_group_init(struct z5m_node_group *g, int nid)
{
	unsigned int i;

	snprintf(g->name, sizeof(g->name), "node%d", nid);
	for (i = 0; i < ARRAY_SIZE(z5m_node_attrs); i++) {
		g->attrs[i] = (struct z5m_node_attr){ .attr = z5m_node_attrs[i], .nid = nid };
		sysfs_attr_init(&g->attrs[i].attr.attr);
		g->list[i] = &g->attrs[i].attr.attr;
	}
	g->group.name = g->name;
	g->group.attrs = g->list;
}

int z5m_sysfs_init(void)
{
	unsigned int n = num_node_state(N_MEMORY), i = 0;
	int nid;

	z5m_node_groups = kcalloc(n, sizeof(*z5m_node_groups), GFP_KERNEL);
	z5m_sysfs_groups = kcalloc(n + 2, sizeof(*z5m_sysfs_groups), GFP_KERNEL);
	if (!z5m_node_groups || !z5m_sysfs_groups) {
		z5m_sysfs_exit();
		return -ENOMEM;
	}
	z5m_sysfs_groups[0] = &z5m_sysfs_group;
	for_each_node_state(nid, N_MEMORY) {
		if (i == n)	/* memory that came meanwhile */
			break;
		z5m_node_group_init(&z5m_node_groups[i], nid);
		z5m_sysfs_groups[i + 1] = &z5m_node_groups[i].group;
		i++;
	}
	return 0;
}

void z5m_sysfs_exit(void)
{
	kfree(z5m_sysfs_groups);
	kfree(z5m_node_groups);
}
