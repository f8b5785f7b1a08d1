// SPDX-License-Identifier: GPL-2.0-only
/* /sys/kernel/debug/zen5mem: every region, and whether anybody holds pages of one. */
#include <linux/debugfs.h>
#include <linux/mm.h>
#include <linux/sched/signal.h>
#include <linux/seq_file.h>
#include <linux/user_namespace.h>

#include "zen5mem.h"

static struct dentry *z5m_debugfs;

static int z5m_regions_show(struct seq_file *m, void *unused)
{
	struct z5m_region *r;
	u64 after = 0;

	seq_puts(m, "id name size bytes_1g bytes_2m bytes_4k off_node uid files maps writable sealed\n");
	while ((r = z5m_region_next(after))) {
		struct z5m_info i;

		z5m_region_info(r, &i);
		seq_printf(m, "%llu %s %llu %llu %llu %llu %llu %u %u %u %u %d\n", i.id,
			   i.name[0] ? i.name : "-", i.size, i.bytes_1g, i.bytes_2m, i.bytes_4k,
			   i.bytes_off_node, i.uid, i.n_files, i.n_maps, i.n_writable,
			   !!(i.flags & Z5M_REGION_SEALED));
		after = r->id;
		z5m_region_put(r);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(z5m_regions);

/*
 * References that a page has while nobody but the module holds it: windows are single pages, 2
 * MiB pages one block.
 */
static int z5m_expected_refs(const struct z5m_region *r, u64 off)
{
	const struct z5m_kslot *s = &r->slots[off >> Z5M_SLOT_SHIFT];

	return s->order == Z5M_ORDER_2M && off & (PMD_SIZE - 1) ? 0 : 1;
}

static int z5m_refcounts_show(struct seq_file *m, void *unused)
{
	struct z5m_region *r;
	u64 after = 0, off;

	while ((r = z5m_region_next(after))) {
		u64 odd = 0;

		for (off = 0; off < r->size; off += PAGE_SIZE) {
			odd += page_ref_count(pfn_to_page(z5m_region_pfn(r, off))) !=
			       z5m_expected_refs(r, off);
			if (off & (PMD_SIZE - 1))
				continue;
			cond_resched();
			if (fatal_signal_pending(current)) {
				z5m_region_put(r);
				return -EINTR;
			}
		}
		seq_printf(m, "%llu pages=%llu odd=%llu\n", r->id, r->size >> PAGE_SHIFT, odd);
		after = r->id;
		z5m_region_put(r);
	}
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(z5m_refcounts);

void z5m_debugfs_init(void)
{
	z5m_debugfs = debugfs_create_dir("zen5mem", NULL);
	debugfs_create_file("regions", 0400, z5m_debugfs, NULL, &z5m_regions_fops);
	debugfs_create_file("refcounts", 0400, z5m_debugfs, NULL, &z5m_refcounts_fops);
}

void z5m_debugfs_exit(void)
{
	debugfs_remove(z5m_debugfs);
}
