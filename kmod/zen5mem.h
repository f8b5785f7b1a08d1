/* SPDX-License-Identifier: GPL-2.0-only */
/* What the files of the module share, by file. */
#ifndef Z5M_ZEN5MEM_H
#define Z5M_ZEN5MEM_H

#include <linux/bits.h>
#include <linux/cpumask.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/mutex.h>
#include <linux/nodemask.h>
#include <linux/uidgid.h>
#include <linux/zen5mem.h>
#include <linux/zen5mem_counters.h>
#include <linux/zen5mem_netlink.h>

#define Z5M_SLOT_SIZE		BIT_ULL(Z5M_SLOT_SHIFT)
#define Z5M_WINDOW_PAGES	BIT(Z5M_ORDER_1G)

struct user_struct;

/* ---- rules.c: what is allowed, of numbers and names alone ---- */

/* 0 or -EINVAL: 1 to 63 characters of the alphabet, and zeros behind them. */
int z5m_rules_name(const char name[Z5M_NAME_LEN]);
/* The same for a name that may be absent. */
int z5m_rules_optional_name(const char name[Z5M_NAME_LEN]);
/* Checks everything about c that needs no machine, and rounds c->size up. 0 or -EINVAL. */
int z5m_rules_create(struct z5m_create *c);
/* The order to try after order for a slot, -1: none. */
int z5m_rules_next_order(const struct z5m_create *c, unsigned int order);
/* The order to begin with for a slot of bytes. */
unsigned int z5m_rules_first_order(const struct z5m_create *c, u64 bytes);
/* 0, or -EDQUOT if used + bytes is above max. */
int z5m_rules_limit(u64 used, u64 bytes, u64 max);
/*
 * Bytes that max_gib allows on a machine of so many, never more than it has; 0 is three quarters
 * of it.
 */
u64 z5m_rules_max_bytes(unsigned int max_gib, u64 machine);

/* ---- window.c: which 1 GiB windows of a zone are worth trying ---- */

/* What a look at a window finds. */
struct z5m_sight {
	/* Pages that look as if they could not be moved; a look may stop at the limit below. */
	u32 fixed;
	u32 used;	/* pages that would have to be moved */
};

/* More than so many fixed pages do not go away by themselves. */
#define Z5M_WINDOW_FIXED_MAX	64

struct z5m_candidate {
	unsigned long pfn;
	struct z5m_sight sight;
};

/* False: it can never be a window (a hole, reserved pages, another zone). */
typedef bool (*z5m_look_fn)(void *ctx, unsigned long pfn, struct z5m_sight *sight);

/* Windows that fit into [start, end). */
unsigned long z5m_window_count(unsigned long start, unsigned long end);
/*
 * Looks at each aligned window of [start, end), and puts those worth trying into c[0..room), the
 * best first. Returns their number, or -EINTR.
 */
long z5m_window_scan(unsigned long start, unsigned long end, z5m_look_fn look, void *ctx,
		     struct z5m_candidate *c, unsigned long room);
/* Of n candidates, how many have no fixed page. */
unsigned long z5m_window_clean(const struct z5m_candidate *c, unsigned long n);

/* ---- tally.c: totals, and what thresholds make of them ---- */

struct z5m_tally {
	u64 total;
	u64 raw, enabled, running;	/* as last read */
	u64 since;			/* of total, by the event that is there now */
	u64 load;			/* what said that it should move, meanwhile */
	u32 reads;			/* of that event */
	u32 state, error, glitches, renewals;
	bool odd;			/* the last step was not believed */
};

/* A new event begins at 0. */
void z5m_tally_start(struct z5m_tally *t);
/* What perf_event_read_value() gave. Sets total, state, glitches. */
void z5m_tally_add(struct z5m_tally *t, u64 raw, u64 enabled, u64 running);
/*
 * Others have moved by so much since the last reading; once that is enough for it to have moved,
 * too, and it has not, it is silent.
 */
void z5m_tally_judge(struct z5m_tally *t, u64 moved, u64 enough);
/* Whether what it has grown by since the sample before is a rate; else 0 means nothing. */
bool z5m_tally_counts(const struct z5m_tally *t);
/* Whether the event is to be made again before its counter is at its end. */
bool z5m_tally_full(const struct z5m_tally *t);

struct z5m_threshold {
	u32 id, quantity, index;
	u64 high, low;
	bool above;
};

/* Else it is of a channel. */
bool z5m_quantity_of_domain(u32 quantity);
/* A bit for each counter that it is made of, 0: no such quantity. */
u32 z5m_quantity_counters(u32 quantity);
/*
 * Of what the counters of a domain or channel have grown by within ns. 0, -EINVAL: no such
 * quantity, -ENODATA: nothing to tell it by.
 */
int z5m_quantity_value(u32 quantity, const u64 *d, u64 ns, u64 *value);
/* true: it was crossed, t->above says which way. */
bool z5m_threshold_step(struct z5m_threshold *t, u64 value);

/* ---- pages.c: memory, from the machine and back to it ---- */

/* A 1 GiB window that the module owns; all zero unless dirty. */
struct z5m_window {
	struct list_head list;
	unsigned long pfn;
	int nid;
	bool reserve;		/* goes back to the reserve */
	bool dirty;
};

/* State of a search that goes on over several windows. Zero-initialise, then z5m_search_end(). */
struct z5m_search {
	bool movable;		/* ZONE_MOVABLE too */
	nodemask_t exhausted;
	int nid;		/* of the candidates */
	struct z5m_candidate *candidates;
	unsigned long n, next;
};

/* A window of node nid at run time, held. 0, -ENOMEM, -EDQUOT, -EINTR. */
int z5m_window_alloc(struct z5m_search *s, int nid, struct z5m_window **out);
void z5m_search_end(struct z5m_search *s);
/* Zeroes it if it is dirty. Not interruptible. */
void z5m_window_wipe(struct z5m_window *w);
/* Whether no page of it was found broken (memory_failure()). */
bool z5m_window_sound(const struct z5m_window *w);
/* Back to the machine, wiped. */
void z5m_window_free(struct z5m_window *w);
/* Windows on a node that could perhaps be had. 0 or -EINTR, -ENOMEM. */
int z5m_window_possible(int nid, unsigned int *normal, unsigned int *movable);

/*
 * n pages of an order below 1 GiB, zeroed, held, into pfns; on other nodes too if others. Adds the
 * pages on another node to off_node. *got_nid is the node of all of them or -1. 0, -ENOMEM,
 * -EDQUOT, -EINTR; then nothing is kept.
 */
int z5m_small_alloc(int nid, bool others, unsigned int order, unsigned long *pfns, u32 n,
		    int *got_nid, u32 *off_node);
void z5m_small_free(unsigned int order, unsigned long *pfns, u32 n, bool dirty);

/* The node with memory that is nearest to nid, nid itself if it has some. */
int z5m_nearest_node(int nid, const nodemask_t *except);

/* ---- reserve.c: windows taken early ---- */

int z5m_reserve_init(void);
void z5m_reserve_exit(void);
/* A window of the reserve of nid, NULL: none left. */
struct z5m_window *z5m_reserve_get(int nid);
/* Takes a window back from a region, into the reserve if it came from there. */
void z5m_reserve_put(struct z5m_window *w);
int z5m_reserve_set(int nid, unsigned int windows, bool movable, unsigned int *got);
void z5m_reserve_count(int nid, unsigned int *n_free, unsigned int *n_used);

/* ---- account.c ---- */

struct z5m_charge {
	u64 bytes;
	struct user_struct *user;	/* NULL: not against RLIMIT_MEMLOCK */
};

/* 0, -EDQUOT, -EPERM; bytes is a multiple of PAGE_SIZE. */
int z5m_charge(struct z5m_charge *c, u64 bytes);
void z5m_uncharge(struct z5m_charge *c);
/* Takes memory from the machine, for a region or the reserve, and gives it back. 0 or -EDQUOT. */
int z5m_hold(u64 bytes);
void z5m_unhold(u64 bytes);
bool z5m_can_hold(u64 bytes);
u64 z5m_used_bytes(void);
u64 z5m_max_bytes(void);
/* Bytes of regions on a node. */
void z5m_node_used_add(int nid, s64 bytes);
u64 z5m_node_used(int nid);

/* ---- region.c ---- */

struct z5m_kslot {
	u8 order;
	bool dirty;		/* may not be all zero; of small pages, a window knows itself */
	int nid;		/* -1: several */
	u32 n_pages;
	union {
		struct z5m_window *window;	/* order Z5M_ORDER_1G */
		unsigned long *pfns;
	};
};

struct z5m_region {
	struct kref ref;	/* files and the name */
	struct list_head list;	/* of all regions, by id */
	u64 id;
	struct z5m_create asked;	/* with the rounded size */
	u64 size;
	u64 bytes[Z5M_ORDER_1G + 1];	/* got, by order */
	u64 bytes_off_node;
	unsigned int min_order, max_order;
	struct inode *inode;
	kuid_t uid;
	u64 created_ns;
	struct z5m_charge charge;
	atomic_t n_files;

	/* name and named: under z5m_regions_lock too */
	char name[Z5M_NAME_LEN];
	bool named;

	struct mutex lock;	/* what follows; inside mmap_lock and z5m_regions_lock */
	bool sealed;
	u32 n_maps, n_writable;

	u32 n_slots;
	struct z5m_kslot slots[];
};

/* A region with a reference for the caller; fills c's out fields. */
struct z5m_region *z5m_region_create(struct z5m_create *c);
void z5m_region_put(struct z5m_region *r);
/* The one with the smallest id above after, with a reference; NULL: none. */
struct z5m_region *z5m_region_next(u64 after);
/* A new open file. Takes over the caller's reference, also on failure. */
struct file *z5m_region_file(struct z5m_region *r, unsigned int flags);
struct file *z5m_region_open(const struct z5m_open *o);
int z5m_region_destroy(const char name[Z5M_NAME_LEN]);
int z5m_region_seal(struct z5m_region *r);
/* Takes away the name that it has, if it has one. */
void z5m_region_unname(struct z5m_region *r);
int z5m_region_name(struct z5m_region *r, const char name[Z5M_NAME_LEN]);
void z5m_region_info(struct z5m_region *r, struct z5m_info *info);
/* Counts a writable user. 0 or -EPERM: it is sealed. */
int z5m_region_writer_get(struct z5m_region *r);
void z5m_region_writer_put(struct z5m_region *r);
/* Of the page at byte off of the region. */
unsigned long z5m_region_pfn(const struct z5m_region *r, u64 off);
void z5m_region_mark_dirty(struct z5m_region *r, u64 off);
unsigned int z5m_region_count(void);
/* Goes up with each event that poll() reports. */
u64 z5m_region_generation(void);
void z5m_region_poll(struct file *file, struct poll_table_struct *wait);

/* ---- map.c ---- */

/* Makes vma a mapping of r, whose file it has or is about to get. */
int z5m_map_vma(struct z5m_region *r, struct vm_area_struct *vma);
unsigned long z5m_map_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				    unsigned long pgoff, unsigned long flags);
unsigned long z5m_map_region_area(struct file *file, unsigned long addr, unsigned long len,
				  unsigned long pgoff, unsigned long flags);
int z5m_map_populate(struct z5m_region *r, u64 addr, u64 len);
/* Whether page-table entries of 1 GiB can be made. */
bool z5m_map_has_1g(void);

/* ---- dmabuf.c ---- */

/* A dma-buf over all of r, which keeps a reference of its own. -EPERM: write, and it is sealed. */
struct file *z5m_dmabuf_file(struct z5m_region *r, bool write);

/* ---- dev.c ---- */

int z5m_dev_init(void);
void z5m_dev_exit(void);
/* Whether it is a file of the device itself. */
bool z5m_dev_is(const struct file *file);
extern const struct file_operations z5m_region_fops;

/* ---- domains.c ---- */

int z5m_domains_init(void);
void z5m_domains_exit(void);
unsigned int z5m_domains_count(void);
/* -ENOENT past the last one. */
int z5m_domains_get(struct z5m_domain *d);
/* Node of a domain, -ENODEV: no such domain. */
int z5m_domains_node(unsigned int index);

/*
 * First CPU of a domain that is online, -1: none; its package, which may be NULL. -ENODEV: no such
 * domain.
 */
int z5m_domains_cpu(unsigned int index, int *package);

/* ---- events.c: the PMUs ---- */

/* Events of one L3 domain, channel or port. */
#define Z5M_SET_MAX	4

struct z5m_set {
	u32 id;			/* domain, N of amd_umc_N, port */
	unsigned int n;
	const u64 *configs;
	int type;		/* of the PMU, negative: there is none */
	int package;		/* of a port */
	int cpu;		/* -1: none */
	u64 lost_ns;		/* when its CPU was first missed, 0: it is there */
	struct perf_event *event[Z5M_SET_MAX];
	struct z5m_tally tally[Z5M_SET_MAX];
	u64 last[Z5M_SET_MAX];	/* totals of the sample before */
};

struct z5m_sets {
	unsigned int n_domains, n_channels, n_ports;
	struct z5m_set domain[Z5M_COUNTERS_DOMAINS];
	struct z5m_set channel[Z5M_COUNTERS_CHANNELS];
	struct z5m_set port[Z5M_COUNTERS_PORTS];
	char source[64];
	bool mock;
};

/* Finds the PMUs and makes the events; totals stay what they were. */
void z5m_sets_open(struct z5m_sets *s);
void z5m_sets_close(struct z5m_sets *s);
/* Makes again what lost its CPU. */
void z5m_sets_mend(struct z5m_sets *s);
void z5m_sets_read(struct z5m_sets *s);

/* ---- counters.c: the thread that samples, and its page ---- */

int z5m_counters_init(void);
void z5m_counters_exit(void);
/* A descriptor's file for Z5M_IOC_COUNTERS. */
struct file *z5m_counters_file(const struct z5m_counters_open *o);
/* Whether the caller may read counters. */
bool z5m_counters_permitted(void);
/* Samples for a while, and waits for the first sample. 0, -EINTR. */
int z5m_counters_poke(void);
/* The sets as last sampled, and when, until z5m_counters_unlock(). */
const struct z5m_sets *z5m_counters_lock(u64 *ts_ns);
void z5m_counters_unlock(void);
u32 z5m_counters_interval(void);
/* -EINVAL: out of range. */
int z5m_counters_set_interval(u32 us);
unsigned int z5m_counters_readers(void);

/* ---- netlink.c ---- */

int z5m_netlink_init(void);
void z5m_netlink_exit(void);
/* A region's event; sleeps. */
void z5m_netlink_region(u8 cmd, const struct z5m_region *r);
void z5m_netlink_failed(const struct z5m_create *c, int error);
/* After each sample, by the thread that takes them. ns: since the one before. */
void z5m_netlink_thresholds(const struct z5m_sets *s, u64 ns);

/* ---- sysfs.c, debugfs.c ---- */

int z5m_sysfs_init(void);
void z5m_sysfs_exit(void);
extern const struct attribute_group **z5m_sysfs_groups;
void z5m_debugfs_init(void);
void z5m_debugfs_exit(void);

#endif
