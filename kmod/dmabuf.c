// SPDX-License-Identifier: GPL-2.0-only
/* A region as a dma-buf, for devices that read weights where they lie. */
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/module.h>
#include <linux/scatterlist.h>
#include <linux/sched.h>
#include <linux/sizes.h>
#include <linux/slab.h>

#include "compat.h"
#include "zen5mem.h"

struct z5m_export {
	struct z5m_region *region;
	bool write;
};

/* Bytes from off on that are contiguous, at most max. */
static u64 z5m_export_run(const struct z5m_region *r, u64 off, u64 max)
{
	u64 page = PAGE_SIZE << r->slots[off >> Z5M_SLOT_SHIFT].order;

	return min(page - (off & (page - 1)), max);
}

static u64 z5m_export_segments(const struct z5m_region *r, u64 max)
{
	u64 off, n = 0;

	for (off = 0; off < r->size; off += z5m_export_run(r, off, max))
		if (++n % SZ_1K == 0)
			cond_resched();
	return n;
}

static int z5m_export_table(const struct z5m_region *r, u64 max, struct sg_table *table)
{
	u64 n = z5m_export_segments(r, max), off = 0;
	struct scatterlist *sg;
	unsigned int i;
	int ret;

	if (n > UINT_MAX)
		return -EOVERFLOW;
	ret = sg_alloc_table(table, n, GFP_KERNEL);
	if (ret)
		return ret;
	for_each_sgtable_sg(table, sg, i) {
		u64 run = z5m_export_run(r, off, max);

		sg_set_page(sg, pfn_to_page(z5m_region_pfn(r, off)), run, 0);
		off += run;
		if (i % SZ_1K == 0)
			cond_resched();
	}
	return 0;
}

static struct sg_table *z5m_export_map(struct dma_buf_attachment *attachment,
				       enum dma_data_direction dir)
{
	struct z5m_export *x = attachment->dmabuf->priv;
	u64 max = dma_get_max_seg_size(attachment->dev) & PAGE_MASK, off;
	struct sg_table *table;
	int ret;

	if (dir != DMA_TO_DEVICE && !x->write)
		return ERR_PTR(-EPERM);
	table = kzalloc(sizeof(*table), GFP_KERNEL);
	if (!table)
		return ERR_PTR(-ENOMEM);
	/* A length in a scatter list has 32 bits. */
	ret = z5m_export_table(x->region, clamp_t(u64, max, PAGE_SIZE, Z5M_SLOT_SIZE), table);
	if (ret)
		goto err_free;
	if (dir != DMA_TO_DEVICE)
		for (off = 0; off < x->region->size; off += Z5M_SLOT_SIZE)
			z5m_region_mark_dirty(x->region, off);
	ret = dma_map_sgtable(attachment->dev, table, dir, 0);
	if (ret)
		goto err_table;
	return table;

err_table:
	sg_free_table(table);
err_free:
	kfree(table);
	return ERR_PTR(ret);
}

static void z5m_export_unmap(struct dma_buf_attachment *attachment, struct sg_table *table,
			     enum dma_data_direction dir)
{
	dma_unmap_sgtable(attachment->dev, table, dir, 0);
	sg_free_table(table);
	kfree(table);
}

static void z5m_export_free(struct z5m_export *x)
{
	if (x->write)
		z5m_region_writer_put(x->region);
	z5m_region_put(x->region);
	kfree(x);
}

static void z5m_export_release(struct dma_buf *buf)
{
	z5m_export_free(buf->priv);
}

static const struct dma_buf_ops z5m_export_ops = {
	.map_dma_buf = z5m_export_map,
	.unmap_dma_buf = z5m_export_unmap,
	.release = z5m_export_release,
};

struct file *z5m_dmabuf_file(struct z5m_region *r, bool write)
{
	DEFINE_DMA_BUF_EXPORT_INFO(info);
	struct z5m_export *x;
	struct dma_buf *buf;
	int ret;

	x = kzalloc(sizeof(*x), GFP_KERNEL);
	if (!x)
		return ERR_PTR(-ENOMEM);
	if (write) {
		ret = z5m_region_writer_get(r);
		if (ret) {
			kfree(x);
			return ERR_PTR(ret);
		}
	}
	kref_get(&r->ref);
	*x = (struct z5m_export){ .region = r, .write = write };
	info.ops = &z5m_export_ops;
	info.size = r->size;
	info.flags = write ? O_RDWR : O_RDONLY;
	info.priv = x;
	buf = dma_buf_export(&info);
	if (IS_ERR(buf)) {
		z5m_export_free(x);
		return ERR_CAST(buf);
	}
	return buf->file;
}

#ifdef Z5M_HAVE_IMPORT_NS_TOKEN
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif
