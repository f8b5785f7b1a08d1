// SPDX-License-Identifier: GPL-2.0-only
/*
 * A dma-buf importer without a device behind it, for tests. By the file import of
 * /sys/kernel/debug/zen5mem_importer:
 *
 *   echo "FD read"  > import   attaches the dma-buf and maps it for a device that reads
 *   echo "FD write" > import   ... that also writes: its own byte, 0xd5, over the whole of it
 *   echo release > import      unmaps and detaches
 *   cat import                 bytes=N segments=N sum=N: what the device sees now; sum is that of
 *                              all 64-bit words
 */
#include <linux/debugfs.h>
#include <linux/dma-buf.h>
#include <linux/dma-mapping.h>
#include <linux/highmem.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "config.h"

static DEFINE_MUTEX(importer_lock);
static struct platform_device *importer_dev;
static struct dentry *importer_dir;
static struct dma_buf *importer_buf;
static struct dma_buf_attachment *importer_attachment;
static struct sg_table *importer_table;
static enum dma_data_direction importer_dir_dma;

static void importer_release(void)
{
	if (!importer_buf)
		return;
	dma_buf_unmap_attachment_unlocked(importer_attachment, importer_table, importer_dir_dma);
	dma_buf_detach(importer_buf, importer_attachment);
	dma_buf_put(importer_buf);
	importer_buf = NULL;
}

static void importer_write(void)
{
	struct sg_page_iter i;

	for_each_sgtable_page(importer_table, &i, 0) {
		void *p = kmap_local_page(sg_page_iter_page(&i));

		memset(p, 0xd5, PAGE_SIZE);
		kunmap_local(p);
		cond_resched();
	}
}

static int importer_import(int fd, bool write)
{
	int ret;

	importer_release();
	importer_buf = dma_buf_get(fd);
	if (IS_ERR(importer_buf)) {
		ret = PTR_ERR(importer_buf);
		goto err;
	}
	importer_attachment = dma_buf_attach(importer_buf, &importer_dev->dev);
	if (IS_ERR(importer_attachment)) {
		ret = PTR_ERR(importer_attachment);
		goto err_put;
	}
	importer_dir_dma = write ? DMA_BIDIRECTIONAL : DMA_TO_DEVICE;
	importer_table = dma_buf_map_attachment_unlocked(importer_attachment, importer_dir_dma);
	if (IS_ERR(importer_table)) {
		ret = PTR_ERR(importer_table);
		goto err_detach;
	}
	if (write)
		importer_write();
	return 0;

err_detach:
	dma_buf_detach(importer_buf, importer_attachment);
err_put:
	dma_buf_put(importer_buf);
err:
	importer_buf = NULL;
	return ret;
}

static ssize_t importer_file_write(struct file *file, const char __user *from, size_t len,
				   loff_t *pos)
{
	char text[32] = "", word[8] = "";
	int fd, ret = -EINVAL;

	if (len >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, len))
		return -EFAULT;
	mutex_lock(&importer_lock);
	if (!strncmp(text, "release", 7)) {
		importer_release();
		ret = 0;
	} else if (sscanf(text, "%d %7s", &fd, word) == 2 &&
		   (!strcmp(word, "read") || !strcmp(word, "write"))) {
		ret = importer_import(fd, !strcmp(word, "write"));
	}
	mutex_unlock(&importer_lock);
	return ret ?: len;
}

static u64 importer_sum(void)
{
	struct sg_page_iter i;
	u64 sum = 0;

	for_each_sgtable_page(importer_table, &i, 0) {
		const u64 *p = kmap_local_page(sg_page_iter_page(&i));
		unsigned int k;

		for (k = 0; k < PAGE_SIZE / sizeof(*p); k++)
			sum += p[k];
		kunmap_local(p);
		cond_resched();
	}
	return sum;
}

static int importer_show(struct seq_file *m, void *unused)
{
	struct scatterlist *sg;
	unsigned int i;
	u64 bytes = 0;

	mutex_lock(&importer_lock);
	if (importer_buf) {
		for_each_sgtable_sg(importer_table, sg, i)
			bytes += sg->length;
		seq_printf(m, "bytes=%llu segments=%u sum=%llu\n", bytes,
			   importer_table->orig_nents, importer_sum());
	}
	mutex_unlock(&importer_lock);
	return 0;
}

static int importer_open(struct inode *inode, struct file *file)
{
	return single_open(file, importer_show, NULL);
}

static const struct file_operations importer_fops = {
	.owner = THIS_MODULE,
	.open = importer_open,
	.read = seq_read,
	.write = importer_file_write,
	.llseek = seq_lseek,
	.release = single_release,
};

static int __init importer_init(void)
{
	int ret;

	importer_dev = platform_device_register_simple("zen5mem_importer", -1, NULL, 0);
	if (IS_ERR(importer_dev))
		return PTR_ERR(importer_dev);
	ret = dma_coerce_mask_and_coherent(&importer_dev->dev, DMA_BIT_MASK(64));
	if (ret) {
		platform_device_unregister(importer_dev);
		return ret;
	}
	importer_dir = debugfs_create_dir("zen5mem_importer", NULL);
	debugfs_create_file("import", 0600, importer_dir, NULL, &importer_fops);
	return 0;
}

static void __exit importer_exit(void)
{
	debugfs_remove(importer_dir);
	importer_release();
	platform_device_unregister(importer_dev);
}

module_init(importer_init);
module_exit(importer_exit);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("dma-buf importer without a device, for tests of zen5mem");
#ifdef Z5M_HAVE_IMPORT_NS_TOKEN
MODULE_IMPORT_NS(DMA_BUF);
#else
MODULE_IMPORT_NS("DMA_BUF");
#endif
