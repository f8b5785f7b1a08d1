// SPDX-License-Identifier: GPL-2.0-only
/* Windows taken early, while there are some: at load, and when the administrator says so. */
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "zen5mem.h"

static int z5m_reserve_gib[MAX_NUMNODES];
static int z5m_reserve_gib_n;
module_param_array_named(reserve_gib, z5m_reserve_gib, int, &z5m_reserve_gib_n, 0444);
MODULE_PARM_DESC(reserve_gib,
		 "1 GiB pages to reserve at load: one number is spread over the nodes, a list has one for each node (default 0)");

struct z5m_reserve_node {
	struct list_head free;
	unsigned int n_free, n_used, target;
};

static struct z5m_reserve_node *z5m_reserve;	/* nr_node_ids */
static DEFINE_SPINLOCK(z5m_reserve_lock);
/* One change of a target at a time. */
static DEFINE_MUTEX(z5m_reserve_set_lock);

struct z5m_window *z5m_reserve_get(int nid)
{
	struct z5m_reserve_node *n = &z5m_reserve[nid];
	struct z5m_window *w;

	spin_lock(&z5m_reserve_lock);
	w = list_first_entry_or_null(&n->free, struct z5m_window, list);
	if (w) {
		list_del(&w->list);
		n->n_free--;
		n->n_used++;
	}
	spin_unlock(&z5m_reserve_lock);
	return w;
}

void z5m_reserve_put(struct z5m_window *w)
{
	struct z5m_reserve_node *n = &z5m_reserve[w->nid];
	bool keep = false, sound;

	if (w->reserve) {
		/* What is in the reserve is ready to be handed out. */
		z5m_window_wipe(w);
		sound = z5m_window_sound(w);
		spin_lock(&z5m_reserve_lock);
		n->n_used--;
		keep = sound && n->n_free + n->n_used < n->target;
		if (keep) {
			list_add(&w->list, &n->free);
			n->n_free++;
		}
		spin_unlock(&z5m_reserve_lock);
	}
	if (!keep)
		z5m_window_free(w);
}

void z5m_reserve_count(int nid, unsigned int *n_free, unsigned int *n_used)
{
	spin_lock(&z5m_reserve_lock);
	*n_free = z5m_reserve[nid].n_free;
	*n_used = z5m_reserve[nid].n_used;
	spin_unlock(&z5m_reserve_lock);
}

/* One window more, if the target wants it: 1 added, 0 enough, or an error. */
static int z5m_reserve_add(struct z5m_reserve_node *n, int nid, struct z5m_search *s)
{
	struct z5m_window *w;
	bool want;
	int ret;

	spin_lock(&z5m_reserve_lock);
	want = n->n_free + n->n_used < n->target;
	spin_unlock(&z5m_reserve_lock);
	if (!want)
		return 0;
	ret = z5m_window_alloc(s, nid, &w);
	if (ret)
		return ret;
	w->reserve = true;
	spin_lock(&z5m_reserve_lock);
	list_add_tail(&w->list, &n->free);
	n->n_free++;
	spin_unlock(&z5m_reserve_lock);
	return 1;
}

/* One window that the target does not want; NULL: none. */
static struct z5m_window *z5m_reserve_surplus(struct z5m_reserve_node *n)
{
	struct z5m_window *w = NULL;

	spin_lock(&z5m_reserve_lock);
	if (n->n_free && n->n_free + n->n_used > n->target) {
		w = list_first_entry(&n->free, struct z5m_window, list);
		list_del(&w->list);
		n->n_free--;
	}
	spin_unlock(&z5m_reserve_lock);
	return w;
}

int z5m_reserve_set(int nid, unsigned int windows, bool movable, unsigned int *got)
{
	struct z5m_search s = { .movable = movable };
	struct z5m_reserve_node *n;
	unsigned int n_free, n_used;
	struct z5m_window *w;
	int ret;

	if (nid < 0 || nid >= nr_node_ids || !node_state(nid, N_MEMORY))
		return -ENODEV;
	if (mutex_lock_killable(&z5m_reserve_set_lock))
		return -EINTR;
	n = &z5m_reserve[nid];
	z5m_reserve_count(nid, &n_free, &n_used);
	if (windows > n_free + n_used &&
	    !z5m_can_hold((u64)(windows - n_free - n_used) << Z5M_SLOT_SHIFT)) {
		ret = -EDQUOT;
		goto out;
	}
	spin_lock(&z5m_reserve_lock);
	n->target = windows;
	spin_unlock(&z5m_reserve_lock);

	do {
		ret = z5m_reserve_add(n, nid, &s);
	} while (ret > 0);
	z5m_search_end(&s);
	while ((w = z5m_reserve_surplus(n)))
		z5m_window_free(w);

	z5m_reserve_count(nid, &n_free, &n_used);
	*got = n_free + n_used;
	/*
	 * What could not be had now is not wanted later: a region's windows go back to the
	 * machine then.
	 */
	spin_lock(&z5m_reserve_lock);
	if (n->n_free + n->n_used < n->target)
		n->target = n->n_free + n->n_used;
	spin_unlock(&z5m_reserve_lock);
	ret = ret == -ENOMEM ? 0 : ret;
out:
	mutex_unlock(&z5m_reserve_set_lock);
	return ret;
}

/*
 * One number: each node its share, and the first ones what is left over; what a node has not, the
 * next ones get.
 */
static int z5m_reserve_spread(unsigned int windows)
{
	unsigned int left = windows, nodes = num_node_state(N_MEMORY), got;
	int nid, ret;

	for_each_node_state(nid, N_MEMORY) {
		if (!nodes)	/* memory that came meanwhile */
			break;
		ret = z5m_reserve_set(nid, DIV_ROUND_UP(left, nodes), false, &got);
		if (ret)
			return ret;
		left -= got;
		nodes--;
	}
	if (left)
		pr_warn("reserve: %u of %u GiB to be had\n", windows - left, windows);
	return 0;
}

static int z5m_reserve_list(void)
{
	unsigned int got;
	int i, ret;

	for (i = 0; i < z5m_reserve_gib_n; i++) {
		if (!z5m_reserve_gib[i])
			continue;
		ret = z5m_reserve_set(i, z5m_reserve_gib[i], false, &got);
		if (ret == -ENODEV) {
			pr_err("reserve_gib: node %d has no memory\n", i);
			return ret;
		}
		if (ret)
			return ret;
		if (got < z5m_reserve_gib[i])
			pr_warn("reserve: %u of %d GiB to be had on node %d\n", got,
				z5m_reserve_gib[i], i);
	}
	return 0;
}

int z5m_reserve_init(void)
{
	int i, ret = 0;

	for (i = 0; i < z5m_reserve_gib_n; i++) {
		if (z5m_reserve_gib[i] < 0 || z5m_reserve_gib[i] > 1 << 20) {
			pr_err("reserve_gib=%d: from 0 to %d\n", z5m_reserve_gib[i], 1 << 20);
			return -EINVAL;
		}
	}
	z5m_reserve = kcalloc(nr_node_ids, sizeof(*z5m_reserve), GFP_KERNEL);
	if (!z5m_reserve)
		return -ENOMEM;
	for (i = 0; i < nr_node_ids; i++)
		INIT_LIST_HEAD(&z5m_reserve[i].free);
	if (z5m_reserve_gib_n == 1 && z5m_reserve_gib[0])
		ret = z5m_reserve_spread(z5m_reserve_gib[0]);
	else
		ret = z5m_reserve_list();
	if (ret == -EDQUOT)
		pr_err("reserve_gib: more than max_gib allows (%llu GiB)\n",
		       z5m_max_bytes() >> Z5M_SLOT_SHIFT);
	if (ret)
		z5m_reserve_exit();
	return ret;
}

void z5m_reserve_exit(void)
{
	struct z5m_window *w;
	int i;

	for (i = 0; i < nr_node_ids; i++) {
		z5m_reserve[i].target = 0;
		while ((w = z5m_reserve_surplus(&z5m_reserve[i])))
			z5m_window_free(w);
	}
	kfree(z5m_reserve);
}
