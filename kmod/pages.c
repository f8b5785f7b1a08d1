// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory from the machine and back to it.
 *
 * A window is had by alloc_contig_range(), which moves whatever is in the way. It is asked for in
 * steps: one call over a whole window zeroes 1 GiB without ever looking up (init_on_alloc), long
 * enough for the soft-lockup watchdog on a slow machine, and for a user who has pressed Ctrl-C.
 */
#include <linux/highmem.h>
#include <linux/memory_hotplug.h>
#include <linux/mmzone.h>
#include <linux/page-flags.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "trace.h"
#include "zen5mem.h"

#define Z5M_STEP_PAGES	(1UL << (27 - PAGE_SHIFT))	/* 128 MiB, a memory section */
#define Z5M_BREATH_PAGES	512

/* Two searches would only make each other's windows busy. */
static DEFINE_MUTEX(z5m_pages_lock);

/* Whether what the page allocator hands out is zero already. */
static bool z5m_pages_come_zeroed(void)
{
	return want_init_on_alloc(GFP_KERNEL) || want_init_on_free();
}

static int z5m_pages_zero(unsigned long pfn, unsigned long n, bool killable)
{
	unsigned long i;

	for (i = 0; i < n; i++) {
		/* Touching a broken one would be a machine check; the allocator takes it out. */
		if (!PageHWPoison(pfn_to_page(pfn + i)))
			clear_highpage(pfn_to_page(pfn + i));
		if (i % Z5M_BREATH_PAGES)
			continue;
		cond_resched();
		if (killable && fatal_signal_pending(current))
			return -EINTR;
	}
	return 0;
}

/* In steps, as they were taken. */
static void z5m_pages_free(unsigned long pfn, unsigned long n)
{
	unsigned long done;

	for (done = 0; done < n; done += Z5M_STEP_PAGES) {
		free_contig_range(pfn + done, Z5M_STEP_PAGES);
		cond_resched();
	}
}

/* ---- which windows ---- */

/*
 * Number of pages from page on that share its fate. Nothing is locked: what is read may be gone
 * in the next moment, and only the order of trying hangs on it.
 */
static unsigned long z5m_pages_look_at(struct page *page, struct z5m_sight *sight)
{
	unsigned long n = 1;

	if (PageBuddy(page)) {
		unsigned long order = READ_ONCE(page_private(page));

		return order <= 10 ? 1UL << order : 1;
	}
	if (PageHead(page))
		n = min(1UL << compound_order(page), Z5M_WINDOW_PAGES);
	else if (!page_count(page))
		return 1;	/* on a CPU's list of free pages, or a tail */
	if (PageLRU(page))
		sight->used += n;
	else
		sight->fixed += n;
	return n;
}

static bool z5m_pages_look(void *ctx, unsigned long pfn, struct z5m_sight *sight)
{
	unsigned long i, n;
	struct zone *zone = ctx;

	for (i = 0; i < Z5M_WINDOW_PAGES; i += n) {
		struct page *page = pfn_to_online_page(pfn + i);

		if (!page || page_zone(page) != zone || PageReserved(page) || PageHuge(page))
			return false;
		n = z5m_pages_look_at(page, sight);
		if (sight->fixed >= Z5M_WINDOW_FIXED_MAX)
			return true;
		if (i % Z5M_BREATH_PAGES == 0)
			cond_resched();
	}
	return true;
}

/* Fills c with the windows of one zone; like z5m_window_scan(). */
static long z5m_pages_scan_zone(struct zone *zone, struct z5m_candidate *c, unsigned long room)
{
	return z5m_window_scan(zone->zone_start_pfn, zone_end_pfn(zone), z5m_pages_look, zone, c,
			       room);
}

/*
 * Zones that may have windows, in the order in which they are used up: memory that devices of 32
 * bits need comes last.
 */
static const enum zone_type z5m_pages_zones[] = {
	ZONE_NORMAL,
	ZONE_MOVABLE,
#ifdef CONFIG_ZONE_DMA32
	ZONE_DMA32,
#endif
};

/* The i-th of them, NULL if there is nothing for us in it. */
static struct zone *z5m_pages_zone(int nid, unsigned int i, bool movable)
{
	struct zone *zone = &NODE_DATA(nid)->node_zones[z5m_pages_zones[i]];

	if (z5m_pages_zones[i] == ZONE_MOVABLE && !movable)
		return NULL;
	if (zone_is_zone_device(zone) || !populated_zone(zone))
		return NULL;
	return zone;
}

static unsigned long z5m_pages_room(int nid, bool movable)
{
	unsigned long room = 0;
	struct zone *zone;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(z5m_pages_zones); i++) {
		zone = z5m_pages_zone(nid, i, movable);
		if (zone)
			room += z5m_window_count(zone->zone_start_pfn, zone_end_pfn(zone));
	}
	return room;
}

static int z5m_search_begin(struct z5m_search *s, int nid)
{
	unsigned long room = z5m_pages_room(nid, s->movable);
	struct zone *zone;
	unsigned int i;
	long n;

	z5m_search_end(s);
	s->nid = nid;
	if (!room)
		return 0;
	s->candidates = kvmalloc_array(room, sizeof(*s->candidates), GFP_KERNEL);
	if (!s->candidates)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(z5m_pages_zones) && s->n < room; i++) {
		zone = z5m_pages_zone(nid, i, s->movable);
		if (!zone)
			continue;
		n = z5m_pages_scan_zone(zone, s->candidates + s->n, room - s->n);
		if (n < 0)
			return n;
		s->n += n;
	}
	return 0;
}

void z5m_search_end(struct z5m_search *s)
{
	kvfree(s->candidates);
	s->candidates = NULL;
	s->n = 0;
	s->next = 0;
}

int z5m_window_possible(int nid, unsigned int *normal, unsigned int *movable)
{
	unsigned long room = z5m_pages_room(nid, true);
	struct z5m_candidate *c;
	struct zone *zone;
	unsigned int i;
	long n = 0;

	*normal = 0;
	*movable = 0;
	if (!room)
		return 0;
	c = kvmalloc_array(room, sizeof(*c), GFP_KERNEL);
	if (!c)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(z5m_pages_zones) && n >= 0; i++) {
		zone = z5m_pages_zone(nid, i, true);
		if (!zone)
			continue;
		n = z5m_pages_scan_zone(zone, c, room);
		if (n > 0)
			*(z5m_pages_zones[i] == ZONE_MOVABLE ? movable : normal) +=
				z5m_window_clean(c, n);
	}
	kvfree(c);
	return n < 0 ? n : 0;
}

/* ---- windows ---- */

/* The window at pfn, zeroed. 0, -EINTR, or another error for the next one to be tried. */
static int z5m_window_take(unsigned long pfn)
{
	unsigned long got;
	int ret;

	for (got = 0; got < Z5M_WINDOW_PAGES; got += Z5M_STEP_PAGES) {
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			goto err_free;
		}
		ret = z5m_contig_alloc(pfn + got, Z5M_STEP_PAGES);
		if (ret)
			goto err_free;
		cond_resched();
	}
	if (z5m_pages_come_zeroed())
		return 0;
	ret = z5m_pages_zero(pfn, Z5M_WINDOW_PAGES, true);
	if (!ret)
		return 0;

err_free:
	z5m_pages_free(pfn, got);
	return ret;
}

int z5m_window_alloc(struct z5m_search *s, int nid, struct z5m_window **out)
{
	struct z5m_window *w;
	int ret;

	if (node_isset(nid, s->exhausted))
		return -ENOMEM;
	ret = z5m_hold(Z5M_SLOT_SIZE);
	if (ret)
		return ret;
	w = kzalloc(sizeof(*w), GFP_KERNEL);
	if (!w || mutex_lock_killable(&z5m_pages_lock)) {
		z5m_unhold(Z5M_SLOT_SIZE);
		ret = w ? -EINTR : -ENOMEM;
		kfree(w);
		return ret;
	}
	if (!s->candidates || s->nid != nid)
		ret = z5m_search_begin(s, nid);
	if (!ret)
		ret = -ENOMEM;
	while (ret == -ENOMEM && s->next < s->n) {
		unsigned long pfn = s->candidates[s->next++].pfn;

		switch (z5m_window_take(pfn)) {
		case 0:
			*w = (struct z5m_window){ .pfn = pfn, .nid = nid };
			*out = w;
			ret = 0;
			break;
		case -EINTR:
			ret = -EINTR;
			break;
		}
	}
	mutex_unlock(&z5m_pages_lock);
	if (ret) {
		z5m_unhold(Z5M_SLOT_SIZE);
		kfree(w);
	}
	if (ret == -ENOMEM) {
		node_set(nid, s->exhausted);
		trace_zen5mem_alloc_failed(nid, Z5M_ORDER_1G, ret);
	}
	return ret;
}

void z5m_window_wipe(struct z5m_window *w)
{
	if (!w->dirty)
		return;
	z5m_pages_zero(w->pfn, Z5M_WINDOW_PAGES, false);
	w->dirty = false;
}

bool z5m_window_sound(const struct z5m_window *w)
{
	unsigned long i;

	for (i = 0; i < Z5M_WINDOW_PAGES; i++) {
		if (PageHWPoison(pfn_to_page(w->pfn + i)))
			return false;
		if (i % Z5M_STEP_PAGES == 0)
			cond_resched();
	}
	return true;
}

void z5m_window_free(struct z5m_window *w)
{
	/* The allocator would do it again. */
	if (!want_init_on_free())
		z5m_window_wipe(w);
	z5m_pages_free(w->pfn, Z5M_WINDOW_PAGES);
	z5m_unhold(Z5M_SLOT_SIZE);
	kfree(w);
}

/* ---- smaller pages ---- */

int z5m_small_alloc(int nid, bool others, unsigned int order, unsigned long *pfns, u32 n,
		    int *got_nid, u32 *off_node)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;
	u32 i, off = 0;
	int ret;

	ret = z5m_hold((u64)n << (PAGE_SHIFT + order));
	if (ret)
		return ret;
	ret = -ENOMEM;
	if (!others)
		gfp |= __GFP_THISNODE;
	for (i = 0; i < n; i++) {
		struct page *page;

		if (i % Z5M_BREATH_PAGES == 0)
			cond_resched();
		if (fatal_signal_pending(current)) {
			ret = -EINTR;
			goto err_free;
		}
		page = alloc_pages_node(nid, gfp, order);
		if (!page) {
			trace_zen5mem_alloc_failed(nid, order, -ENOMEM);
			goto err_free;
		}
		pfns[i] = page_to_pfn(page);
		z5m_node_used_add(page_to_nid(page), PAGE_SIZE << order);
		off += page_to_nid(page) != nid;
		if (!i)
			*got_nid = page_to_nid(page);
		else if (*got_nid != page_to_nid(page))
			*got_nid = NUMA_NO_NODE;
	}
	*off_node = off;
	return 0;

err_free:
	/* What is not given back below. */
	z5m_unhold((u64)(n - i) << (PAGE_SHIFT + order));
	z5m_small_free(order, pfns, i, false);
	return ret;
}

void z5m_small_free(unsigned int order, unsigned long *pfns, u32 n, bool dirty)
{
	u32 i;

	dirty = dirty && !want_init_on_free();
	for (i = 0; i < n; i++) {
		struct page *page = pfn_to_page(pfns[i]);

		if (dirty)
			z5m_pages_zero(pfns[i], 1UL << order, false);
		z5m_node_used_add(page_to_nid(page), -(s64)(PAGE_SIZE << order));
		__free_pages(page, order);
		if (i % Z5M_BREATH_PAGES == 0)
			cond_resched();
	}
	z5m_unhold((u64)n << (PAGE_SHIFT + order));
}

/* ---- nodes ---- */

int z5m_nearest_node(int nid, const nodemask_t *except)
{
	int node, best = NUMA_NO_NODE;

	for_each_node_state(node, N_MEMORY) {
		if (except && node_isset(node, *except))
			continue;
		if (node == nid)
			return node;
		if (best == NUMA_NO_NODE || node_distance(nid, node) < node_distance(nid, best))
			best = node;
	}
	return best;
}
