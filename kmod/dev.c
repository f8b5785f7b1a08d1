// SPDX-License-Identifier: GPL-2.0-only
/* /dev/zen5mem and the files of regions: two tables of ioctls behind one door. */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "zen5mem.h"

/* What a descriptor of the device knows. */
struct z5m_dev_file {
	u64 seen;	/* generation of the last listing */
};

union z5m_arg {
	struct z5m_version version;
	struct z5m_create create;
	struct z5m_open open;
	struct z5m_destroy destroy;
	struct z5m_info info;
	struct z5m_domain domain;
	struct z5m_node node;
	struct z5m_reserve reserve;
	struct z5m_counters_open counters;
	struct z5m_slots slots;
	struct z5m_seal seal;
	struct z5m_name name;
	struct z5m_populate populate;
	struct z5m_dmabuf dmabuf;
};

/*
 * One call: fills arg, which goes back to the caller. If the command is one that opens, *opened
 * becomes the file.
 */
typedef int (*z5m_ioctl_fn)(struct file *file, union z5m_arg *arg, struct file **opened);

/* Returns a descriptor; has fields marked out. What has none cannot fail after it has been done. */
#define Z5M_OPENS	BIT(0)
#define Z5M_ANSWERS	BIT(1)

struct z5m_ioctl {
	unsigned int cmd;
	unsigned int kind;
	z5m_ioctl_fn fn;
	/* Of what outlives the file that the caller will not get. */
	void (*undo)(struct file *opened);
};

/* ---- the device ---- */

static int z5m_dev_version(struct file *file, union z5m_arg *arg, struct file **opened)
{
	int nid, n_nodes = 0;

	if (arg->version.reserved)
		return -EINVAL;
	for_each_node_state(nid, N_MEMORY)
		n_nodes = nid + 1;
	arg->version = (struct z5m_version){
		.abi = Z5M_ABI,
		.features = (z5m_map_has_1g() && Z5M_LARGE_SURE ? Z5M_FEATURE_MAP_1G : 0) |
			    (IS_ENABLED(CONFIG_DMA_SHARED_BUFFER) ? Z5M_FEATURE_DMABUF : 0) |
			    (z5m_kernel_tested() ? 0 : Z5M_FEATURE_UNTESTED) |
			    Z5M_FEATURE_COUNTERS,
		.max_bytes = z5m_max_bytes(),
		.used_bytes = z5m_used_bytes(),
		.n_domains = z5m_domains_count(),
		.n_nodes = n_nodes,
	};
	return 0;
}

static int z5m_dev_create(struct file *file, union z5m_arg *arg, struct file **opened)
{
	struct z5m_region *r = z5m_region_create(&arg->create);

	if (IS_ERR(r))
		return PTR_ERR(r);
	kref_get(&r->ref);
	*opened = z5m_region_file(r, O_RDWR);
	/* Its maker would not know that it is there. */
	if (IS_ERR(*opened))
		z5m_region_unname(r);
	z5m_region_put(r);
	return PTR_ERR_OR_ZERO(*opened);
}

/* The same where only the answer did not arrive. */
static void z5m_dev_create_undo(struct file *opened)
{
	z5m_region_unname(opened->private_data);
}

static int z5m_dev_open_region(struct file *file, union z5m_arg *arg, struct file **opened)
{
	*opened = z5m_region_open(&arg->open);
	return PTR_ERR_OR_ZERO(*opened);
}

static int z5m_dev_destroy(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->destroy.flags || arg->destroy.reserved)
		return -EINVAL;
	return z5m_region_destroy(arg->destroy.name);
}

static int z5m_dev_list(struct file *file, union z5m_arg *arg, struct file **opened)
{
	struct z5m_dev_file *dev = file->private_data;
	u64 after = arg->info.after;
	struct z5m_region *r;

	if (!after)
		WRITE_ONCE(dev->seen, z5m_region_generation());
	r = z5m_region_next(after);
	if (!r)
		return -ENOENT;
	z5m_region_info(r, &arg->info);
	arg->info.after = after;
	z5m_region_put(r);
	return 0;
}

static int z5m_dev_domain(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->domain.flags || arg->domain.reserved)
		return -EINVAL;
	return z5m_domains_get(&arg->domain);
}

static int z5m_dev_node(struct file *file, union z5m_arg *arg, struct file **opened)
{
	struct z5m_node *n = &arg->node;
	u32 node = n->node, flags = n->flags;

	if (flags & ~Z5M_NODE_SCAN)
		return -EINVAL;
	if (node >= nr_node_ids || !node_state(node, N_MEMORY))
		return -ENOENT;
	*n = (struct z5m_node){ .node = node, .flags = flags, .used_bytes = z5m_node_used(node) };
	z5m_reserve_count(node, &n->reserve, &n->reserve_used);
	return flags & Z5M_NODE_SCAN ?
	       z5m_window_possible(node, &n->possible, &n->possible_movable) : 0;
}

static int z5m_dev_reserve(struct file *file, union z5m_arg *arg, struct file **opened)
{
	struct z5m_reserve *v = &arg->reserve;

	if (v->flags & ~Z5M_CREATE_MOVABLE)
		return -EINVAL;
	if (!capable(CAP_SYS_ADMIN))
		return -EPERM;
	if (v->node >= nr_node_ids)
		return -ENODEV;
	return z5m_reserve_set(v->node, v->windows, v->flags & Z5M_CREATE_MOVABLE, &v->got);
}

static int z5m_dev_counters(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->counters.flags)
		return -EINVAL;
	*opened = z5m_counters_file(&arg->counters);
	return PTR_ERR_OR_ZERO(*opened);
}

static const struct z5m_ioctl z5m_dev_ioctls[] = {
	{ Z5M_IOC_VERSION, Z5M_ANSWERS, z5m_dev_version },
	{ Z5M_IOC_CREATE, Z5M_OPENS | Z5M_ANSWERS, z5m_dev_create, z5m_dev_create_undo },
	{ Z5M_IOC_OPEN, Z5M_OPENS, z5m_dev_open_region },
	{ Z5M_IOC_DESTROY, 0, z5m_dev_destroy },
	{ Z5M_IOC_LIST, Z5M_ANSWERS, z5m_dev_list },
	{ Z5M_IOC_DOMAIN, Z5M_ANSWERS, z5m_dev_domain },
	{ Z5M_IOC_NODE, Z5M_ANSWERS, z5m_dev_node },
	{ Z5M_IOC_RESERVE, Z5M_ANSWERS, z5m_dev_reserve },
	{ Z5M_IOC_COUNTERS, Z5M_OPENS, z5m_dev_counters },
};

/* ---- a region ---- */

static int z5m_file_info(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->info.after)
		return -EINVAL;
	z5m_region_info(file->private_data, &arg->info);
	return 0;
}

static int z5m_file_slots(struct file *file, union z5m_arg *arg, struct file **opened)
{
	struct z5m_region *r = file->private_data;
	struct z5m_slots *v = &arg->slots;
	struct z5m_slot __user *to = u64_to_user_ptr(v->slots);
	u32 i;

	if (v->reserved)
		return -EINVAL;
	v->total = r->n_slots;
	v->count = v->first < r->n_slots ? min(v->count, r->n_slots - v->first) : 0;
	for (i = 0; i < v->count; i++) {
		const struct z5m_kslot *s = &r->slots[v->first + i];
		struct z5m_slot slot = {
			.order = s->order,
			.node = s->nid,
			.n_pages = s->n_pages,
		};

		if (s->order == Z5M_ORDER_1G && s->window->reserve)
			slot.flags |= Z5M_SLOT_RESERVE;
		if (copy_to_user(to + i, &slot, sizeof(slot)))
			return -EFAULT;
	}
	return 0;
}

static int z5m_file_seal(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->seal.flags || arg->seal.reserved)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	return z5m_region_seal(file->private_data);
}

static int z5m_file_name(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->name.flags || arg->name.reserved)
		return -EINVAL;
	if (!(file->f_mode & FMODE_WRITE))
		return -EBADF;
	return z5m_region_name(file->private_data, arg->name.name);
}

static int z5m_file_populate(struct file *file, union z5m_arg *arg, struct file **opened)
{
	if (arg->populate.flags || arg->populate.reserved)
		return -EINVAL;
	return z5m_map_populate(file->private_data, arg->populate.addr, arg->populate.len);
}

#ifdef CONFIG_DMA_SHARED_BUFFER
static int z5m_file_dmabuf(struct file *file, union z5m_arg *arg, struct file **opened)
{
	bool write = arg->dmabuf.flags & Z5M_DMABUF_WRITE;

	if (arg->dmabuf.flags & ~Z5M_DMABUF_WRITE || arg->dmabuf.reserved)
		return -EINVAL;
	if (write && !(file->f_mode & FMODE_WRITE))
		return -EACCES;
	*opened = z5m_dmabuf_file(file->private_data, write);
	return PTR_ERR_OR_ZERO(*opened);
}
#endif

/* From the first number of a region's commands on. */
#define Z5M_FILE_FIRST	_IOC_NR(Z5M_IOC_INFO)
static const struct z5m_ioctl z5m_file_ioctls[] = {
	{ Z5M_IOC_INFO, Z5M_ANSWERS, z5m_file_info },
	{ Z5M_IOC_SLOTS, Z5M_ANSWERS, z5m_file_slots },
	{ Z5M_IOC_SEAL, 0, z5m_file_seal },
	{ Z5M_IOC_NAME, 0, z5m_file_name },
	{ Z5M_IOC_POPULATE, 0, z5m_file_populate },
#ifdef CONFIG_DMA_SHARED_BUFFER
	{ Z5M_IOC_DMABUF, Z5M_OPENS, z5m_file_dmabuf },
#endif
};

/* ---- the door ---- */

/* The entry of a command whose size may be another than ours. */
static const struct z5m_ioctl *z5m_ioctl_find(const struct z5m_ioctl *table, size_t n,
					      unsigned int first, unsigned int cmd)
{
	unsigned int nr = _IOC_NR(cmd);

	if (_IOC_TYPE(cmd) != Z5M_IOC_MAGIC || _IOC_DIR(cmd) != (_IOC_READ | _IOC_WRITE) ||
	    nr < first || nr - first >= n)
		return NULL;
	return &table[array_index_nospec(nr - first, n)];
}

static int z5m_ioctl_give(void __user *to, size_t theirs, const void *from, size_t ours)
{
	size_t both = min(theirs, ours);

	if (copy_to_user(to, from, both) || clear_user(to + both, theirs - both))
		return -EFAULT;
	return 0;
}

static long z5m_ioctl_run(const struct z5m_ioctl *ioctl, struct file *file, unsigned int cmd,
			  unsigned long ptr)
{
	size_t ours = _IOC_SIZE(ioctl->cmd), theirs = _IOC_SIZE(cmd);
	void __user *user = (void __user *)ptr;
	struct file *opened = NULL;
	union z5m_arg arg;
	int ret, fd = -1;

	memset(&arg, 0, sizeof(arg));
	ret = copy_struct_from_user(&arg, ours, user, theirs);
	if (ret)
		return ret;
	/* A region that was minutes in the making does not fail for want of a number. */
	if (ioctl->kind & Z5M_OPENS) {
		fd = get_unused_fd_flags(O_CLOEXEC);
		if (fd < 0)
			return fd;
	}
	ret = ioctl->fn(file, &arg, &opened);
	if (!ret && ioctl->kind & Z5M_ANSWERS)
		ret = z5m_ioctl_give(user, theirs, &arg, ours);
	if (!(ioctl->kind & Z5M_OPENS))
		return ret;
	if (ret) {
		if (!IS_ERR_OR_NULL(opened)) {
			if (ioctl->undo)
				ioctl->undo(opened);
			fput(opened);
		}
		put_unused_fd(fd);
		return ret;
	}
	fd_install(fd, opened);
	return fd;
}

static long z5m_dev_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct z5m_ioctl *ioctl = z5m_ioctl_find(z5m_dev_ioctls, ARRAY_SIZE(z5m_dev_ioctls),
						       0, cmd);

	return ioctl ? z5m_ioctl_run(ioctl, file, cmd, arg) : -ENOTTY;
}

static long z5m_file_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	const struct z5m_ioctl *ioctl = z5m_ioctl_find(z5m_file_ioctls, ARRAY_SIZE(z5m_file_ioctls),
						       Z5M_FILE_FIRST, cmd);

	return ioctl ? z5m_ioctl_run(ioctl, file, cmd, arg) : -ENOTTY;
}

/* ---- files ---- */

static int z5m_dev_open(struct inode *inode, struct file *file)
{
	struct z5m_dev_file *dev = kzalloc(sizeof(*dev), GFP_KERNEL);

	if (!dev)
		return -ENOMEM;
	dev->seen = z5m_region_generation();
	file->private_data = dev;
	return 0;
}

static int z5m_dev_release(struct inode *inode, struct file *file)
{
	kfree(file->private_data);
	return 0;
}

static __poll_t z5m_dev_poll(struct file *file, struct poll_table_struct *wait)
{
	struct z5m_dev_file *dev = file->private_data;

	z5m_region_poll(file, wait);
	return READ_ONCE(dev->seen) != z5m_region_generation() ? EPOLLIN | EPOLLRDNORM : 0;
}

/* Without any ioctl: an unnamed region that nothing but this mapping has. */
static int z5m_dev_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct z5m_create c = {
		.size = vma->vm_end - vma->vm_start,
		.page_order = Z5M_ORDER_1G,
	};
	struct z5m_region *r;
	struct file *opened;
	int ret;

	if (vma->vm_pgoff || !(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	r = z5m_region_create(&c);
	if (IS_ERR(r))
		return PTR_ERR(r);
	opened = z5m_region_file(r, file->f_flags & O_ACCMODE);
	if (IS_ERR(opened))
		return PTR_ERR(opened);
	ret = z5m_map_vma(r, vma);
	if (!ret)
		vma_set_file(vma, opened);
	fput(opened);
	return ret;
}

static const struct file_operations z5m_dev_fops = {
	.owner = THIS_MODULE,
	.open = z5m_dev_open,
	.release = z5m_dev_release,
	.unlocked_ioctl = z5m_dev_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.poll = z5m_dev_poll,
	.mmap = z5m_dev_mmap,
	.get_unmapped_area = z5m_map_unmapped_area,
	.llseek = noop_llseek,
};

bool z5m_dev_is(const struct file *file)
{
	return file->f_op == &z5m_dev_fops;
}

static int z5m_file_mmap(struct file *file, struct vm_area_struct *vma)
{
	return z5m_map_vma(file->private_data, vma);
}

static int z5m_file_release(struct inode *inode, struct file *file)
{
	struct z5m_region *r = file->private_data;

	atomic_dec(&r->n_files);
	z5m_region_put(r);
	return 0;
}

static void z5m_file_fdinfo(struct seq_file *m, struct file *file)
{
	struct z5m_info info;

	z5m_region_info(file->private_data, &info);
	seq_printf(m, "zen5mem-id:\t%llu\nzen5mem-size:\t%llu\nzen5mem-name:\t%s\nzen5mem-sealed:\t%d\n",
		   info.id, info.size, info.name, !!(info.flags & Z5M_REGION_SEALED));
}

const struct file_operations z5m_region_fops = {
	.owner = THIS_MODULE,
	.release = z5m_file_release,
	.unlocked_ioctl = z5m_file_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
	.mmap = z5m_file_mmap,
	.get_unmapped_area = z5m_map_region_area,
	.show_fdinfo = z5m_file_fdinfo,
	.llseek = noop_llseek,
};

static struct miscdevice z5m_dev = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "zen5mem",
	.fops = &z5m_dev_fops,
	.mode = 0660,
};

int z5m_dev_init(void)
{
	z5m_dev.groups = z5m_sysfs_groups;
	return misc_register(&z5m_dev);
}

void z5m_dev_exit(void)
{
	misc_deregister(&z5m_dev);
}
