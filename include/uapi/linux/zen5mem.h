/* SPDX-License-Identifier: (GPL-2.0-only WITH Linux-syscall-note) OR MIT */
/*
 * /dev/zen5mem: resident memory of 1 GiB pages near a chosen L3 domain.
 *
 * THE DEVICE
 *
 * open(2) of /dev/zen5mem gives a descriptor for the ioctls below that are marked D. Whoever may
 * open the device (root and the group zen5mem) may use all of them that do not say otherwise.
 *
 * mmap(2) of the descriptor itself needs no ioctl: it gives an unnamed region of that length,
 * placed near the CPU that makes the call, in the largest pages that can be had (best effort,
 * other nodes allowed). offset must be 0. The region dies with its last mapping. This may take as
 * long as creating a region does, and other threads cannot map or unmap meanwhile: a runtime that
 * minds creates the region by ioctl.
 *
 * poll(2): the descriptor is readable when a region was created, named, sealed or destroyed since
 * its last Z5M_IOC_LIST with after = 0 (or since open, if there was none).
 *
 * REGIONS
 *
 * A region is memory with a size, a place, a page size (asked and got) and maybe a name. It is a
 * file descriptor of its own, for the ioctls marked R, mmap(2) and fstat(2) (st_size; st_dev and
 * st_ino tell which region it is). Descriptors, mappings and the name each keep it alive. Memory
 * is zero when it is handed out, and zeroed when it is given back.
 *
 * It is made of slots of 1 GiB, the last one maybe smaller. Each slot is one 1 GiB page, or 2 MiB
 * pages, or 4 KiB pages; Z5M_IOC_SLOTS tells what each one got and where.
 *
 * A region that is not named dies with its last descriptor or mapping. A named one outlives every
 * process, until Z5M_IOC_DESTROY; then it goes on without a name for those who still have it. Names
 * are 1 to 63 of A-Z a-z 0-9 . _ : @ + -, the first one a letter or a digit.
 *
 * Z5M_IOC_OPEN gives a read-only descriptor, unless the owner (the effective user who created the
 * region) asks for Z5M_OPEN_WRITE.
 *
 * Sealing a region makes it read-only for everybody for ever. It is refused with EBUSY while a
 * writable mapping exists (unmap first), and needs a writable descriptor.
 *
 * Pages count against max_gib of the module, as the reserve does, and against RLIMIT_MEMLOCK of the
 * creating user unless the creator has CAP_IPC_LOCK, from creation until the memory is given back.
 * There may be 65536 regions (ENFILE).
 *
 * MAPPINGS
 *
 * MAP_SHARED only, never PROT_EXEC. offset is a multiple of 4 KiB. A region gets an address that
 * is aligned as its pages are; with MAP_FIXED or an odd offset it may be mapped with smaller pages
 * than it has. MAP_FIXED is refused where the process maps this region already, since that cannot
 * be told from mremap(2), which would lose the mapping.
 *   mprotect       EACCES, unless it changes nothing: what a mapping may do is decided by mmap
 *   munmap         EINVAL for a part that would cut a page of the region
 *   mremap         EINVAL or EFAULT; it may shrink by whole pages, as munmap does
 *   fork           the child shares the mapping
 *   MAP_POPULATE, mlock: accepted, no effect; Z5M_IOC_POPULATE does it
 *   madvise        an error for what would drop, free or move pages
 * The first touch of each page is one minor fault; none after Z5M_IOC_POPULATE. (On kernels since
 * 6.12 a reader of /proc/PID/smaps or numa_maps drops 1 GiB entries: the next touch is a fault
 * again.)
 * read(2), write(2) and send(2) into and out of a mapping work; O_DIRECT, vmsplice,
 * process_vm_readv and RDMA fail with EFAULT. ptrace and /proc/PID/mem work within what the mapping
 * allows. Core dumps leave it out. prctl(PR_SET_THP_DISABLE) makes all mappings of the process use
 * 4 KiB entries.
 *
 * STRUCTURES
 *
 * The size is part of the ioctl's number, and structures grow at the end. An older kernel takes a
 * longer structure if all that it does not know is zero (else E2BIG), and writes zeros behind what
 * it knows; a newer kernel takes a shorter one as if the rest were zero. Unknown flags and
 * non-zero reserved fields are EINVAL; what fields marked out hold before the call is ignored.
 *
 * ERRORS common to all: ENOTTY unknown command; EFAULT bad pointer; EINVAL a field out of range, an
 * unknown flag or a reserved field; EINTR a signal came that kills the caller.
 */
#ifndef _UAPI_LINUX_ZEN5MEM_H
#define _UAPI_LINUX_ZEN5MEM_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define Z5M_DEVICE	"/dev/zen5mem"
#define Z5M_NAME_LEN	64	/* with the terminating 0 */
#define Z5M_SLOT_SHIFT	30	/* log2 of a slot's bytes */

/* Page sizes are orders: log2 of the number of 4 KiB pages. */
#define Z5M_ORDER_4K	0
#define Z5M_ORDER_2M	9
#define Z5M_ORDER_1G	18

/* What Z5M_IOC_VERSION answers. ABI 1 is this file; features are tested without versions. */
#define Z5M_ABI		1
#define Z5M_FEATURE_MAP_1G	(1ULL << 0)	/* 1 GiB page-table entries (CPU and kernel) */
#define Z5M_FEATURE_DMABUF	(1ULL << 1)	/* Z5M_IOC_DMABUF */
#define Z5M_FEATURE_UNTESTED	(1ULL << 2)	/* the module was not tested on this kernel */
#define Z5M_FEATURE_COUNTERS	(1ULL << 3)	/* Z5M_IOC_COUNTERS and netlink */

struct z5m_version {
	__u32 abi;		/* out */
	__u32 reserved;
	__u64 features;		/* out: Z5M_FEATURE_* */
	__u64 max_bytes;	/* out: limit for all regions together */
	__u64 used_bytes;	/* out: in regions now */
	__u32 n_domains;	/* out: L3 domains */
	__u32 n_nodes;		/* out: highest node with memory, plus one */
};

enum z5m_place {
	Z5M_PLACE_ANY,		/* the calling CPU's node, then the others */
	Z5M_PLACE_CCD,		/* place_id is an L3 domain's number, as in Z5M_IOC_DOMAIN */
	Z5M_PLACE_NODE,		/* place_id is a NUMA node */
};

#define Z5M_CREATE_STRICT	(1U << 0)	/* page_order or ENOMEM, never smaller pages */
#define Z5M_CREATE_OTHER_NODES	(1U << 1)	/* another node before smaller pages or ENOMEM */
#define Z5M_CREATE_MOVABLE	(1U << 2)	/* ZONE_MOVABLE too: it cannot be unplugged then */

/*
 * D  Z5M_IOC_CREATE. Returns a region's descriptor (read and write, close-on-exec) and fills the
 * out fields. Strict: size is a multiple of the page size. Else it is rounded up to whole pages of
 * min(page_order, 2 MiB); a last slot of less than 1 GiB is made of 2 MiB pages, or of 4 KiB
 * pages. Each slot tries page_order first: the reserve (1 GiB), then the node's memory, then
 * smaller pages. Z5M_PLACE_ANY implies Z5M_CREATE_OTHER_NODES.
 *   EEXIST  the name is taken
 *   ENOMEM  no such pages (strict), or no memory
 *   EDQUOT  max_gib of the module
 *   EPERM   RLIMIT_MEMLOCK
 *   ENODEV  no such domain or node, or a node without memory (a domain whose node has none gets the
 *           nearest one that has)
 *   EMFILE, ENFILE as open(2)
 */
struct z5m_create {
	__u64 size;		/* in: bytes, > 0; out: rounded */
	__u32 flags;		/* in: Z5M_CREATE_* */
	__u32 page_order;	/* in: Z5M_ORDER_*, the largest wanted */
	__u32 place;		/* in: enum z5m_place */
	__u32 place_id;		/* in: domain or node; 0 for Z5M_PLACE_ANY */
	char name[Z5M_NAME_LEN];	/* in: "" for none */
	__u64 id;		/* out: number of the region, never used twice; its st_ino */
	__u32 min_order;	/* out: smallest page order that some slot got */
	__u32 n_windows;	/* out: slots of one 1 GiB page */
};

#define Z5M_OPEN_WRITE	(1U << 0)	/* owner only; EPERM if sealed */

/*
 * D  Z5M_IOC_OPEN. Returns a descriptor, close-on-exec. ENOENT; EACCES not the owner; EPERM sealed.
 */
struct z5m_open {
	char name[Z5M_NAME_LEN];
	__u32 flags;		/* in: Z5M_OPEN_* */
	__u32 reserved;
};

/*
 * D  Z5M_IOC_DESTROY takes the name away; the memory goes with the last descriptor and mapping.
 * The owner's and CAP_SYS_ADMIN's. ENOENT, EPERM.
 */
struct z5m_destroy {
	char name[Z5M_NAME_LEN];
	__u32 flags;		/* 0 */
	__u32 reserved;
};

#define Z5M_REGION_SEALED	(1U << 0)
#define Z5M_REGION_NAMED	(1U << 1)

/* R  Z5M_IOC_INFO, and what Z5M_IOC_LIST gives. All out but after. */
struct z5m_info {
	__u64 after;		/* in, LIST: an id, 0 to begin; INFO: 0 */
	__u64 id;
	__u64 size;		/* bytes */
	__u32 flags;		/* Z5M_REGION_* */
	__u32 page_order;	/* asked for */
	__u32 place, place_id;	/* asked for */
	__u64 bytes_1g, bytes_2m, bytes_4k;	/* got; their sum is size */
	__u64 bytes_off_node;	/* on another node than asked for */
	__u32 uid;		/* owner, as the caller's user namespace sees it */
	__u32 n_files;		/* open files; a mapping keeps its own after close(2) */
	__u32 n_maps;		/* mappings */
	__u32 n_writable;	/* of them writable, with dma-bufs that may be written */
	__u64 created_ns;	/* CLOCK_BOOTTIME */
	char name[Z5M_NAME_LEN];	/* "" if it has none */
};

/* D  Z5M_IOC_LIST: the region with the smallest id above after; ENOENT: no more. */

/* One slot of Z5M_IOC_SLOTS. Never a physical address. */
struct z5m_slot {
	__u32 order;		/* Z5M_ORDER_* got */
	__s32 node;		/* of its memory; -1: of several nodes */
	__u32 flags;		/* Z5M_SLOT_* */
	__u32 n_pages;		/* of that order */
};

#define Z5M_SLOT_RESERVE	(1U << 0)	/* from the reserve */

/* R  Z5M_IOC_SLOTS: up to count slots from first on, into an array of the caller's. */
struct z5m_slots {
	__u32 first;		/* in */
	__u32 count;		/* in: room; out: written */
	__u64 slots;		/* in: pointer to struct z5m_slot[count] */
	__u32 total;		/* out: slots of the region */
	__u32 reserved;
};

/*
 * R  Z5M_IOC_SEAL. EBUSY a writable mapping exists; EBADF the descriptor is read-only. Twice is no
 * error.
 */
struct z5m_seal {
	__u32 flags;		/* 0 */
	__u32 reserved;
};

/*
 * R  Z5M_IOC_NAME gives a name to a region that has none: fill and seal it first, and nobody ever
 * sees half of it. EEXIST the name is taken; EBUSY the region has a name; EBADF the descriptor is
 * read-only.
 */
struct z5m_name {
	char name[Z5M_NAME_LEN];
	__u32 flags;		/* 0 */
	__u32 reserved;
};

/*
 * R  Z5M_IOC_POPULATE makes the page-table entries of [addr, addr + len) of the caller's
 * mapping(s) of this region, so that no touch faults. ENOMEM: not all of it maps this region;
 * EFAULT: a mapping with PROT_NONE.
 */
struct z5m_populate {
	__u64 addr, len;	/* in: multiples of 4 KiB */
	__u32 flags;		/* 0 */
	__u32 reserved;
};

/*
 * R  Z5M_IOC_DMABUF returns a dma-buf's descriptor over the whole region. A writable one counts as
 * a writable mapping. EACCES Z5M_DMABUF_WRITE without a writable descriptor; EPERM with a sealed
 * region; ENOTTY the kernel has no dma-buf.
 */
struct z5m_dmabuf {
	__u32 flags;		/* in: Z5M_DMABUF_* */
	__u32 reserved;
};

#define Z5M_DMABUF_WRITE	(1U << 0)

enum z5m_locality {
	Z5M_LOCALITY_NONE,	/* "none": one node */
	Z5M_LOCALITY_QUADRANT,	/* "quadrant": a node is a part of the package, with memory */
	Z5M_LOCALITY_SRAT_LLC,	/* "srat-llc": each L3 is called a node; distances say nothing */
};

#define Z5M_CPU_WORDS	64

/* D  Z5M_IOC_DOMAIN. ENOENT: index is past the last one. Numbers stay when CPUs come and go. */
struct z5m_domain {
	__u32 index;		/* in */
	__u32 flags;		/* 0 */
	__s32 node;		/* out */
	__u32 locality;		/* out: enum z5m_locality */
	__u64 l3_bytes;		/* out: 0 where the CPU does not say */
	__u32 n_cpus;		/* out: online now */
	__u32 reserved;
	__u64 cpus[Z5M_CPU_WORDS];	/* out: bit c % 64 of word c / 64 is CPU c */
};

/*
 * D  Z5M_IOC_NODE. ENOENT: no such node, or one without memory. possible is an estimate by a scan
 * of the node's memory (milliseconds a GiB), made only with Z5M_NODE_SCAN.
 */
struct z5m_node {
	__u32 node;		/* in */
	__u32 flags;		/* in: Z5M_NODE_* */
	__u32 reserve;		/* out: 1 GiB windows in the reserve, free */
	__u32 reserve_used;	/* out: windows of the reserve that regions have */
	__u32 possible;		/* out: further windows that could perhaps be had at run time */
	__u32 possible_movable;	/* out: the same in ZONE_MOVABLE */
	__u64 used_bytes;	/* out: in regions, on this node */
};

#define Z5M_NODE_SCAN	(1U << 0)

/*
 * D  Z5M_IOC_RESERVE makes the reserve of a node n windows large, those in use by regions counted.
 * CAP_SYS_ADMIN. got is what it is afterwards; fewer than n is no error (windows in use stay until
 * they are given back, and there may be no more to be had). The same errors as Z5M_IOC_CREATE.
 */
struct z5m_reserve {
	__u32 node;		/* in */
	__u32 windows;		/* in */
	__u32 flags;		/* in: 0 or Z5M_CREATE_MOVABLE */
	__u32 got;		/* out */
};

/*
 * D  Z5M_IOC_COUNTERS returns a descriptor, read-only and close-on-exec, of the counter page
 * (zen5mem_counters.h). EPERM: the parameter counters_perfmon demands CAP_PERFMON. ENOMEM. That a
 * machine has no such counters is no error; the page says which it has. interval_us is the time
 * between samples that it asks for, 1000 to 10000000; 0: what netlink or the parameter interval_us
 * says. Of several descriptors' the shortest counts.
 */
struct z5m_counters_open {
	__u32 interval_us;
	__u32 flags;		/* 0 */
};

#define Z5M_IOC_MAGIC	0xD5

#define Z5M_IOC_VERSION		_IOWR(Z5M_IOC_MAGIC, 0, struct z5m_version)
#define Z5M_IOC_CREATE		_IOWR(Z5M_IOC_MAGIC, 1, struct z5m_create)
#define Z5M_IOC_OPEN		_IOWR(Z5M_IOC_MAGIC, 2, struct z5m_open)
#define Z5M_IOC_DESTROY		_IOWR(Z5M_IOC_MAGIC, 3, struct z5m_destroy)
#define Z5M_IOC_LIST		_IOWR(Z5M_IOC_MAGIC, 4, struct z5m_info)
#define Z5M_IOC_DOMAIN		_IOWR(Z5M_IOC_MAGIC, 5, struct z5m_domain)
#define Z5M_IOC_NODE		_IOWR(Z5M_IOC_MAGIC, 6, struct z5m_node)
#define Z5M_IOC_RESERVE		_IOWR(Z5M_IOC_MAGIC, 7, struct z5m_reserve)
#define Z5M_IOC_COUNTERS	_IOWR(Z5M_IOC_MAGIC, 8, struct z5m_counters_open)

#define Z5M_IOC_INFO		_IOWR(Z5M_IOC_MAGIC, 32, struct z5m_info)
#define Z5M_IOC_SLOTS		_IOWR(Z5M_IOC_MAGIC, 33, struct z5m_slots)
#define Z5M_IOC_SEAL		_IOWR(Z5M_IOC_MAGIC, 34, struct z5m_seal)
#define Z5M_IOC_NAME		_IOWR(Z5M_IOC_MAGIC, 35, struct z5m_name)
#define Z5M_IOC_POPULATE	_IOWR(Z5M_IOC_MAGIC, 36, struct z5m_populate)
#define Z5M_IOC_DMABUF		_IOWR(Z5M_IOC_MAGIC, 37, struct z5m_dmabuf)

#endif /* _UAPI_LINUX_ZEN5MEM_H */
