/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between kernels, each behind one name. config.h is written at build time by
 * probe.sh, from the headers of the kernel that the module is built for.
 *
 * How pages are mapped is the dangerous part, since what is wrong on one kernel is silent
 * corruption there. A page-table entry of ours must be one that get_user_pages() refuses and that
 * unmapping does not take for a folio's:
 *
 *   6.1   no special PUD: get_user_pages_fast() would pin a plain one, and put pages that it does
 *         not own. Marked as device memory without a pagemap it is refused. Large entries need a
 *         DAX inode.
 *   6.12  PUDs of pfn mappings are special. A DAX inode makes large entries independent of the
 *         switch for transparent huge pages; the mark for device memory is not needed.
 *   7.2   unmapping takes entries in a mapping of a DAX inode for folios': never a DAX inode.
 *         Large entries of pfn mappings are independent of the switch.
 */
#ifndef Z5M_COMPAT_H
#define Z5M_COMPAT_H

#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/huge_mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
#include <linux/version.h>

#include "config.h"

#ifdef Z5M_HAVE_PFN_T
#include <linux/pfn_t.h>
#endif
#ifdef Z5M_HAVE_CPUID_API
#include <asm/cpuid/api.h>
#else
#include <asm/processor.h>
#endif

/*
 * The series that the test matrix runs; where it ends nobody knows whether the entries above are
 * right.
 */
static inline bool z5m_kernel_tested(void)
{
	return (LINUX_VERSION_CODE >> 8) == (KERNEL_VERSION(6, 1, 0) >> 8) ||
	       (LINUX_VERSION_CODE >> 8) == (KERNEL_VERSION(6, 12, 0) >> 8) ||
	       (LINUX_VERSION_CODE >> 8) == (KERNEL_VERSION(7, 2, 0) >> 8);
}

#ifndef Z5M_HAVE_VM_FLAGS_SET
static inline void vm_flags_set(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags |= flags;
}

static inline void vm_flags_clear(struct vm_area_struct *vma, vm_flags_t flags)
{
	vma->vm_flags &= ~flags;
}
#endif

/*
 * Z5M_LARGE_SURE: large entries do not depend on the switch for transparent huge pages. Kernels
 * without CONFIG_FS_DAX define S_DAX as 0.
 */
#ifdef Z5M_HAVE_PFN_T
#define Z5M_INODE_FLAGS	S_DAX
#define Z5M_LARGE_SURE	(S_DAX != 0)
#ifdef Z5M_HAVE_PUD_SPECIAL
#define Z5M_PFN_FLAGS	PFN_DEV
#else
#define Z5M_PFN_FLAGS	(PFN_DEV | PFN_MAP)
#endif

static inline vm_fault_t z5m_insert_pud(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pud(vmf, __pfn_to_pfn_t(pfn, Z5M_PFN_FLAGS), write);
}

static inline vm_fault_t z5m_insert_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, __pfn_to_pfn_t(pfn, Z5M_PFN_FLAGS), write);
}
#else
#define Z5M_INODE_FLAGS	0
#define Z5M_LARGE_SURE	true

static inline vm_fault_t z5m_insert_pud(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pud(vmf, pfn, write);
}

static inline vm_fault_t z5m_insert_pmd(struct vm_fault *vmf, unsigned long pfn, bool write)
{
	return vmf_insert_pfn_pmd(vmf, pfn, write);
}
#endif

/* Defines the name_huge_fault that vm_operations_struct wants from one that takes an order. */
#ifdef Z5M_HAVE_PAGE_ENTRY_SIZE
#define Z5M_HUGE_FAULT(name, by_order)						\
	static vm_fault_t name(struct vm_fault *vmf, enum page_entry_size pe)	\
	{									\
		return by_order(vmf, pe == PE_SIZE_PUD ? PUD_SHIFT - PAGE_SHIFT :	\
				     pe == PE_SIZE_PMD ? PMD_SHIFT - PAGE_SHIFT : 0); \
	}
#else
#define Z5M_HUGE_FAULT(name, by_order)						\
	static vm_fault_t name(struct vm_fault *vmf, unsigned int order)	\
	{									\
		return by_order(vmf, order);					\
	}
#endif

/* The address that the process would get without a wish of the file. */
static inline unsigned long z5m_base_unmapped_area(struct file *file, unsigned long addr,
						   unsigned long len, unsigned long pgoff,
						   unsigned long flags)
{
#if defined(Z5M_HAVE_GUA_FILE)
	return mm_get_unmapped_area(file, addr, len, pgoff, flags);
#elif defined(Z5M_HAVE_GUA_MM)
	return mm_get_unmapped_area(current->mm, file, addr, len, pgoff, flags);
#else
	return current->mm->get_unmapped_area(file, addr, len, pgoff, flags);
#endif
}

#if !defined(Z5M_HAVE_ACR_FLAGS) && defined(ACR_FLAGS_NONE)
#error "probe acr_flags: MIGRATE_MOVABLE would be taken for a flag"
#endif

/* Pages of their own, each with a reference count of 1; free_contig_range() is the way back. */
static inline int z5m_contig_alloc(unsigned long pfn, unsigned long n)
{
	const gfp_t gfp = GFP_KERNEL | __GFP_NOWARN | __GFP_RETRY_MAYFAIL;

#ifdef Z5M_HAVE_ACR_FLAGS
	return alloc_contig_range(pfn, pfn + n, ACR_FLAGS_NONE, gfp);
#else
	return alloc_contig_range(pfn, pfn + n, MIGRATE_MOVABLE, gfp);
#endif
}

#endif
