// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions: what they are made of, who keeps them alive, and their names.
 *
 * Open files hold a region, mappings hold files, and a name holds a region. Its inode lives as
 * long as it does, since all its files share it; and its file system, so that the module stays
 * while there is a region.
 */
#include <linux/cred.h>
#include <linux/file.h>
#include <linux/magic.h>
#include <linux/module.h>
#include <linux/mount.h>
#include <linux/poll.h>
#include <linux/pseudo_fs.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "trace.h"
#include "zen5mem.h"

#define Z5M_FS_MAGIC	0x5a354d45

/* What is walked under a lock has an end. */
#define Z5M_REGIONS_MAX	65536

/* The list of all regions, their names and the number of the last one. */
static DEFINE_MUTEX(z5m_regions_lock);
static LIST_HEAD(z5m_regions);
static unsigned int z5m_n_regions;
static u64 z5m_region_last_id;

static atomic64_t z5m_region_events;
static DECLARE_WAIT_QUEUE_HEAD(z5m_region_wait);

static void z5m_region_event(void)
{
	atomic64_inc(&z5m_region_events);
	wake_up_interruptible(&z5m_region_wait);
}

u64 z5m_region_generation(void)
{
	return atomic64_read(&z5m_region_events);
}

void z5m_region_poll(struct file *file, struct poll_table_struct *wait)
{
	poll_wait(file, &z5m_region_wait, wait);
}

/* ---- the file system that inodes of regions are in ---- */

static struct vfsmount *z5m_region_mnt;
static int z5m_region_mnt_count;

/* In /proc/PID/fd and /proc/PID/maps: /dev/zen5mem:ID. */
static char *z5m_region_dname(struct dentry *dentry, char *buffer, int len)
{
	char text[40];
	int size = snprintf(text, sizeof(text), "/dev/zen5mem:%pd", dentry) + 1;

	return size <= len ? memcpy(buffer + len - size, text, size) : ERR_PTR(-ENAMETOOLONG);
}

static const struct dentry_operations z5m_region_dops = {
	.d_dname = z5m_region_dname,
};

static int z5m_region_fs_init(struct fs_context *fc)
{
	struct pseudo_fs_context *ctx = init_pseudo(fc, Z5M_FS_MAGIC);

	if (!ctx)
		return -ENOMEM;
	ctx->dops = &z5m_region_dops;
	return 0;
}

static struct file_system_type z5m_region_fs = {
	.owner = THIS_MODULE,
	.name = "zen5mem",
	.init_fs_context = z5m_region_fs_init,
	.kill_sb = kill_anon_super,
};

static int z5m_region_inode(struct z5m_region *r)
{
	struct inode *inode;
	int ret;

	ret = simple_pin_fs(&z5m_region_fs, &z5m_region_mnt, &z5m_region_mnt_count);
	if (ret)
		return ret;
	inode = alloc_anon_inode(z5m_region_mnt->mnt_sb);
	if (IS_ERR(inode)) {
		simple_release_fs(&z5m_region_mnt, &z5m_region_mnt_count);
		return PTR_ERR(inode);
	}
	inode->i_ino = r->id;
	/* A DAX inode that is a regular file would be one of a file system's. */
	inode->i_mode = S_IFCHR | 0600;
	inode->i_flags |= Z5M_INODE_FLAGS;
	inode->i_uid = r->uid;
	i_size_write(inode, r->size);
	r->inode = inode;
	return 0;
}

/* ---- memory ---- */

static void z5m_slot_free(struct z5m_kslot *s)
{
	if (s->order == Z5M_ORDER_1G) {
		z5m_node_used_add(s->nid, -(s64)Z5M_SLOT_SIZE);
		z5m_reserve_put(s->window);
		return;
	}
	z5m_small_free(s->order, s->pfns, s->n_pages, s->dirty);
	kvfree(s->pfns);
}

static int z5m_slot_window_on(struct z5m_kslot *s, struct z5m_search *search, int nid)
{
	struct z5m_window *w = z5m_reserve_get(nid);
	int ret;

	if (!w) {
		ret = z5m_window_alloc(search, nid, &w);
		if (ret)
			return ret;
	}
	*s = (struct z5m_kslot){ .order = Z5M_ORDER_1G, .nid = nid, .n_pages = 1, .window = w };
	z5m_node_used_add(nid, Z5M_SLOT_SIZE);
	return 0;
}

/* A window of node home, or of the others in order of distance. */
static int z5m_slot_window(struct z5m_kslot *s, struct z5m_search *search, int home, bool others)
{
	nodemask_t tried = NODE_MASK_NONE;
	int nid = home, ret;

	do {
		ret = z5m_slot_window_on(s, search, nid);
		if ((ret != -ENOMEM && ret != -EDQUOT) || !others)
			return ret;
		node_set(nid, tried);
		nid = z5m_nearest_node(home, &tried);
	} while (nid != NUMA_NO_NODE);
	return ret;
}

static int z5m_slot_small(struct z5m_kslot *s, unsigned int order, u64 bytes, int home,
			  bool others, u64 *off_node)
{
	u32 n = bytes >> (PAGE_SHIFT + order), off = 0;
	unsigned long *pfns;
	int ret, nid = home;

	pfns = kvmalloc_array(n, sizeof(*pfns), GFP_KERNEL);
	if (!pfns)
		return -ENOMEM;
	ret = z5m_small_alloc(home, others, order, pfns, n, &nid, &off);
	if (ret) {
		kvfree(pfns);
		return ret;
	}
	*s = (struct z5m_kslot){ .order = order, .nid = nid, .n_pages = n, .pfns = pfns };
	*off_node += (u64)off << (PAGE_SHIFT + order);
	return 0;
}

static int z5m_slot_alloc(struct z5m_region *r, struct z5m_kslot *s, u64 bytes, int home,
			  struct z5m_search *search)
{
	bool others = r->asked.flags & Z5M_CREATE_OTHER_NODES;
	int order = z5m_rules_first_order(&r->asked, bytes), ret;

	do {
		if (order == Z5M_ORDER_1G)
			ret = z5m_slot_window(s, search, home, others);
		else
			ret = z5m_slot_small(s, order, bytes, home, others, &r->bytes_off_node);
		if (ret != -ENOMEM && ret != -EDQUOT)
			break;
		order = z5m_rules_next_order(&r->asked, order);
	} while (order >= 0);
	if (ret)
		return ret;
	if (s->order == Z5M_ORDER_1G && s->nid != home)
		r->bytes_off_node += bytes;
	r->bytes[s->order] += bytes;
	r->min_order = min_t(unsigned int, r->min_order, s->order);
	r->max_order = max_t(unsigned int, r->max_order, s->order);
	return 0;
}

static void z5m_region_free_memory(struct z5m_region *r)
{
	while (r->n_slots)
		z5m_slot_free(&r->slots[--r->n_slots]);
}

static int z5m_region_fill(struct z5m_region *r, int home)
{
	struct z5m_search search = { .movable = r->asked.flags & Z5M_CREATE_MOVABLE };
	u64 done, bytes;
	int ret = 0;

	r->min_order = Z5M_ORDER_1G;
	for (done = 0; done < r->size; done += bytes) {
		bytes = min(r->size - done, Z5M_SLOT_SIZE);
		ret = z5m_slot_alloc(r, &r->slots[r->n_slots], bytes, home, &search);
		if (ret)
			break;
		r->n_slots++;
	}
	z5m_search_end(&search);
	if (ret)
		z5m_region_free_memory(r);
	return ret;
}

unsigned long z5m_region_pfn(const struct z5m_region *r, u64 off)
{
	const struct z5m_kslot *s = &r->slots[off >> Z5M_SLOT_SHIFT];
	unsigned long page = (off & (Z5M_SLOT_SIZE - 1)) >> PAGE_SHIFT;

	if (s->order == Z5M_ORDER_1G)
		return s->window->pfn + page;
	return s->pfns[page >> s->order] + (page & ((1UL << s->order) - 1));
}

void z5m_region_mark_dirty(struct z5m_region *r, u64 off)
{
	struct z5m_kslot *s = &r->slots[off >> Z5M_SLOT_SHIFT];

	if (s->order == Z5M_ORDER_1G)
		WRITE_ONCE(s->window->dirty, true);
	else
		WRITE_ONCE(s->dirty, true);
}

/* ---- life ---- */

/* The node that c asks for, with memory; -ENODEV. */
static int z5m_region_home(const struct z5m_create *c)
{
	int nid;

	switch (c->place) {
	case Z5M_PLACE_CCD:
		nid = z5m_domains_node(c->place_id);
		if (nid < 0)
			return nid;
		break;
	case Z5M_PLACE_NODE:
		if (c->place_id >= nr_node_ids || !node_state(c->place_id, N_MEMORY))
			return -ENODEV;
		return c->place_id;
	default:
		nid = numa_node_id();
	}
	return z5m_nearest_node(nid, NULL);
}

static struct z5m_region *z5m_region_named(const char *name)
{
	struct z5m_region *r;

	lockdep_assert_held(&z5m_regions_lock);
	list_for_each_entry(r, &z5m_regions, list)
		if (r->named && !strcmp(r->name, name))
			return r;
	return NULL;
}

/* Gives r its number, its name if it has one, and its place in the list. */
static int z5m_region_publish(struct z5m_region *r)
{
	int ret;

	mutex_lock(&z5m_regions_lock);
	ret = r->asked.name[0] && z5m_region_named(r->asked.name) ? -EEXIST : 0;
	if (z5m_n_regions == Z5M_REGIONS_MAX)
		ret = -ENFILE;
	if (!ret) {
		r->id = ++z5m_region_last_id;
		ret = z5m_region_inode(r);
	}
	if (!ret) {
		if (r->asked.name[0]) {
			memcpy(r->name, r->asked.name, sizeof(r->name));
			r->named = true;
			kref_get(&r->ref);
		}
		list_add_tail(&r->list, &z5m_regions);
		z5m_n_regions++;
	}
	mutex_unlock(&z5m_regions_lock);
	return ret;
}

struct z5m_region *z5m_region_create(struct z5m_create *c)
{
	struct z5m_charge charge;
	struct z5m_region *r;
	int home, ret;

	ret = z5m_rules_create(c);
	if (ret)
		return ERR_PTR(ret);
	home = z5m_region_home(c);
	if (home < 0)
		return ERR_PTR(home);
	/* Before minutes of work are thrown away; what counts is asked again at the end. */
	mutex_lock(&z5m_regions_lock);
	ret = c->name[0] && z5m_region_named(c->name) ? -EEXIST : 0;
	mutex_unlock(&z5m_regions_lock);
	if (ret)
		return ERR_PTR(ret);

	/*
	 * Whoever passes the limits asks for no more than the machine has, so the array of slots
	 * is of a size to be had.
	 */
	ret = z5m_charge(&charge, c->size);
	if (ret) {
		z5m_netlink_failed(c, ret);
		return ERR_PTR(ret);
	}
	r = kvzalloc(struct_size(r, slots, DIV_ROUND_UP_ULL(c->size, Z5M_SLOT_SIZE)), GFP_KERNEL);
	if (!r) {
		z5m_uncharge(&charge);
		return ERR_PTR(-ENOMEM);
	}
	r->charge = charge;
	kref_init(&r->ref);
	mutex_init(&r->lock);
	r->asked = *c;
	r->size = c->size;
	r->uid = current_euid();
	r->created_ns = ktime_get_boottime_ns();
	ret = z5m_region_fill(r, home);
	if (ret) {
		if (ret != -EINTR)
			z5m_netlink_failed(c, ret);
		goto err_uncharge;
	}
	ret = z5m_region_publish(r);
	if (ret)
		goto err_memory;
	c->id = r->id;
	c->min_order = r->min_order;
	c->n_windows = r->bytes[Z5M_ORDER_1G] >> Z5M_SLOT_SHIFT;
	trace_zen5mem_create(r);
	z5m_region_event();
	z5m_netlink_region(Z5M_CMD_REGION_CREATED, r);
	return r;

err_memory:
	z5m_region_free_memory(r);
err_uncharge:
	z5m_uncharge(&r->charge);
	kvfree(r);
	return ERR_PTR(ret);
}

static void z5m_region_release(struct kref *ref)
{
	struct z5m_region *r = container_of(ref, struct z5m_region, ref);

	list_del(&r->list);
	z5m_n_regions--;
	mutex_unlock(&z5m_regions_lock);
	trace_zen5mem_destroy(r);
	z5m_region_free_memory(r);
	z5m_uncharge(&r->charge);
	z5m_netlink_region(Z5M_CMD_REGION_DESTROYED, r);
	iput(r->inode);
	kvfree(r);
	simple_release_fs(&z5m_region_mnt, &z5m_region_mnt_count);
	z5m_region_event();
}

void z5m_region_put(struct z5m_region *r)
{
	kref_put_mutex(&r->ref, z5m_region_release, &z5m_regions_lock);
}

struct z5m_region *z5m_region_next(u64 after)
{
	struct z5m_region *r, *found = NULL;

	mutex_lock(&z5m_regions_lock);
	list_for_each_entry(r, &z5m_regions, list) {
		if (r->id > after) {
			kref_get(&r->ref);
			found = r;
			break;
		}
	}
	mutex_unlock(&z5m_regions_lock);
	return found;
}

unsigned int z5m_region_count(void)
{
	return READ_ONCE(z5m_n_regions);
}

/* ---- files and names ---- */

struct file *z5m_region_file(struct z5m_region *r, unsigned int flags)
{
	char name[24];
	struct file *file;

	snprintf(name, sizeof(name), "%llu", r->id);
	/* The file takes no reference to the module and gives one back. */
	__module_get(THIS_MODULE);
	ihold(r->inode);
	file = alloc_file_pseudo(r->inode, z5m_region_mnt, name, flags, &z5m_region_fops);
	if (IS_ERR(file)) {
		iput(r->inode);
		module_put(THIS_MODULE);
		z5m_region_put(r);
		return file;
	}
	file->private_data = r;
	atomic_inc(&r->n_files);
	return file;
}

struct file *z5m_region_open(const struct z5m_open *o)
{
	bool write = o->flags & Z5M_OPEN_WRITE;
	struct z5m_region *r;
	int ret = 0;

	if (o->flags & ~Z5M_OPEN_WRITE || o->reserved || z5m_rules_name(o->name))
		return ERR_PTR(-EINVAL);
	mutex_lock(&z5m_regions_lock);
	r = z5m_region_named(o->name);
	if (!r) {
		ret = -ENOENT;
	} else if (write && !uid_eq(r->uid, current_euid())) {
		ret = -EACCES;
	} else if (write) {
		mutex_lock(&r->lock);
		ret = r->sealed ? -EPERM : 0;
		mutex_unlock(&r->lock);
	}
	if (!ret)
		kref_get(&r->ref);
	mutex_unlock(&z5m_regions_lock);
	return ret ? ERR_PTR(ret) : z5m_region_file(r, write ? O_RDWR : O_RDONLY);
}

static void z5m_region_drop_name(struct z5m_region *r)
{
	lockdep_assert_held(&z5m_regions_lock);
	r->named = false;
	memset(r->name, 0, sizeof(r->name));
}

int z5m_region_destroy(const char name[Z5M_NAME_LEN])
{
	struct z5m_region *r;
	int ret = 0;

	if (z5m_rules_name(name))
		return -EINVAL;
	mutex_lock(&z5m_regions_lock);
	r = z5m_region_named(name);
	if (!r)
		ret = -ENOENT;
	else if (!uid_eq(r->uid, current_euid()) && !capable(CAP_SYS_ADMIN))
		ret = -EPERM;
	else
		z5m_region_drop_name(r);
	mutex_unlock(&z5m_regions_lock);
	if (ret)
		return ret;
	z5m_region_put(r);
	z5m_region_event();
	return 0;
}

void z5m_region_unname(struct z5m_region *r)
{
	bool named;

	mutex_lock(&z5m_regions_lock);
	named = r->named;
	if (named)
		z5m_region_drop_name(r);
	mutex_unlock(&z5m_regions_lock);
	if (named)
		z5m_region_put(r);
}

int z5m_region_name(struct z5m_region *r, const char name[Z5M_NAME_LEN])
{
	int ret = 0;

	if (z5m_rules_name(name))
		return -EINVAL;
	mutex_lock(&z5m_regions_lock);
	if (r->named) {
		ret = -EBUSY;
	} else if (z5m_region_named(name)) {
		ret = -EEXIST;
	} else {
		memcpy(r->name, name, sizeof(r->name));
		r->named = true;
		kref_get(&r->ref);
	}
	mutex_unlock(&z5m_regions_lock);
	if (!ret) {
		z5m_region_event();
		z5m_netlink_region(Z5M_CMD_REGION_NAMED, r);
	}
	return ret;
}

/* ---- sealing ---- */

int z5m_region_seal(struct z5m_region *r)
{
	bool news;
	int ret;

	mutex_lock(&r->lock);
	ret = r->n_writable ? -EBUSY : 0;
	news = !ret && !r->sealed;
	if (news)
		r->sealed = true;
	mutex_unlock(&r->lock);
	if (news) {
		trace_zen5mem_seal(r);
		z5m_region_event();
		z5m_netlink_region(Z5M_CMD_REGION_SEALED, r);
	}
	return ret;
}

int z5m_region_writer_get(struct z5m_region *r)
{
	int ret;

	mutex_lock(&r->lock);
	ret = r->sealed ? -EPERM : 0;
	if (!ret)
		r->n_writable++;
	mutex_unlock(&r->lock);
	return ret;
}

void z5m_region_writer_put(struct z5m_region *r)
{
	mutex_lock(&r->lock);
	r->n_writable--;
	mutex_unlock(&r->lock);
}

/* ---- what is said about it ---- */

void z5m_region_info(struct z5m_region *r, struct z5m_info *info)
{
	*info = (struct z5m_info){
		.id = r->id,
		.size = r->size,
		.page_order = r->asked.page_order,
		.place = r->asked.place,
		.place_id = r->asked.place_id,
		.bytes_1g = r->bytes[Z5M_ORDER_1G],
		.bytes_2m = r->bytes[Z5M_ORDER_2M],
		.bytes_4k = r->bytes[Z5M_ORDER_4K],
		.bytes_off_node = r->bytes_off_node,
		.uid = from_kuid_munged(current_user_ns(), r->uid),
		.n_files = atomic_read(&r->n_files),
		.created_ns = r->created_ns,
	};
	mutex_lock(&z5m_regions_lock);
	mutex_lock(&r->lock);
	info->flags = (r->sealed ? Z5M_REGION_SEALED : 0) | (r->named ? Z5M_REGION_NAMED : 0);
	info->n_maps = r->n_maps;
	info->n_writable = r->n_writable;
	memcpy(info->name, r->name, sizeof(info->name));
	mutex_unlock(&r->lock);
	mutex_unlock(&z5m_regions_lock);
}
