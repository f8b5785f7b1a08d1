// SPDX-License-Identifier: GPL-2.0-only
/*
 * Mappings of regions: at the door (mmap), where they lie, and what their faults find.
 *
 * Pages are mapped as bare page frames: nothing outside takes a reference to them, so that a
 * region's memory is free the moment its last user is gone. compat/compat.h says how each kernel
 * wants that done.
 */
#include <linux/highmem.h>
#include <linux/mman.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "trace.h"
#include "zen5mem.h"

bool z5m_map_has_1g(void)
{
	return boot_cpu_has(X86_FEATURE_GBPAGES) &&
	       IS_ENABLED(CONFIG_HAVE_ARCH_TRANSPARENT_HUGEPAGE_PUD) &&
	       IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE);
}

static u64 z5m_map_offset(const struct vm_area_struct *vma, unsigned long addr)
{
	return ((u64)vma->vm_pgoff << PAGE_SHIFT) + (addr - vma->vm_start);
}

/* The order of the page that is, or would be, mapped at byte off if it lies at addr. */
static unsigned int z5m_map_order(const struct z5m_region *r, u64 off, unsigned long addr)
{
	unsigned int order = r->slots[off >> Z5M_SLOT_SHIFT].order;

	if (order == Z5M_ORDER_1G && ((off ^ addr) & (PUD_SIZE - 1) || !z5m_map_has_1g()))
		order = Z5M_ORDER_2M;
	if (order == Z5M_ORDER_2M && (off ^ addr) & (PMD_SIZE - 1))
		order = Z5M_ORDER_4K;
	return order;
}

/* ---- faults ---- */

static vm_fault_t z5m_map_huge(struct vm_fault *vmf, unsigned int order)
{
	unsigned long size = PAGE_SIZE << order, addr = vmf->address & ~(size - 1);
	struct vm_area_struct *vma = vmf->vma;
	struct z5m_region *r = vma->vm_private_data;
	bool write = vmf->flags & FAULT_FLAG_WRITE;
	vm_fault_t ret;
	u64 off;

	if (order != Z5M_ORDER_1G && order != Z5M_ORDER_2M)
		return VM_FAULT_FALLBACK;
	if (addr < vma->vm_start || vma->vm_end - addr < size)
		return VM_FAULT_FALLBACK;
	off = z5m_map_offset(vma, addr);
	if (off >= r->size)
		return VM_FAULT_SIGBUS;
	if (r->size - off < size || z5m_map_order(r, off, addr) < order)
		return VM_FAULT_FALLBACK;

	if (vma->vm_flags & VM_WRITE)
		z5m_region_mark_dirty(r, off);
	if (order == Z5M_ORDER_1G)
		ret = z5m_insert_pud(vmf, z5m_region_pfn(r, off), write);
	else
		ret = z5m_insert_pmd(vmf, z5m_region_pfn(r, off), write);
	trace_zen5mem_fault(r, off, order, ret);
	return ret;
}

Z5M_HUGE_FAULT(z5m_vm_huge_fault, z5m_map_huge)

static vm_fault_t z5m_vm_fault(struct vm_fault *vmf)
{
	struct vm_area_struct *vma = vmf->vma;
	struct z5m_region *r = vma->vm_private_data;
	u64 off = z5m_map_offset(vma, vmf->address & PAGE_MASK);
	vm_fault_t ret;

	if (off >= r->size)
		return VM_FAULT_SIGBUS;
	if (vma->vm_flags & VM_WRITE)
		z5m_region_mark_dirty(r, off);
	ret = vmf_insert_pfn(vma, vmf->address & PAGE_MASK, z5m_region_pfn(r, off));
	trace_zen5mem_fault(r, off, Z5M_ORDER_4K, ret);
	return ret;
}

/* ---- the life of a mapping ---- */

static void z5m_vm_open(struct vm_area_struct *vma)
{
	struct z5m_region *r = vma->vm_private_data;

	mutex_lock(&r->lock);
	r->n_maps++;
	if (vma->vm_flags & VM_WRITE)
		r->n_writable++;
	mutex_unlock(&r->lock);
}

static void z5m_vm_close(struct vm_area_struct *vma)
{
	struct z5m_region *r = vma->vm_private_data;

	mutex_lock(&r->lock);
	r->n_maps--;
	if (vma->vm_flags & VM_WRITE)
		r->n_writable--;
	mutex_unlock(&r->lock);
}

static int z5m_vm_may_split(struct vm_area_struct *vma, unsigned long addr)
{
	struct z5m_region *r = vma->vm_private_data;
	u64 off = z5m_map_offset(vma, addr);

	if (off >= r->size)
		return -EINVAL;
	return off & ((PAGE_SIZE << r->slots[off >> Z5M_SLOT_SHIFT].order) - 1) ? -EINVAL : 0;
}

/* 6.1 would let large entries keep their rights, and split them where they must not be. */
static int z5m_vm_mprotect(struct vm_area_struct *vma, unsigned long start, unsigned long end,
			   unsigned long flags)
{
	return (flags ^ vma->vm_flags) & ~VM_SOFTDIRTY ? -EACCES : 0;
}

/*
 * For ptrace and /proc/PID/mem, which reach what get_user_pages() cannot. They may write where
 * the process may not: not here.
 */
static int z5m_vm_access(struct vm_area_struct *vma, unsigned long addr, void *buf, int len,
			 int write)
{
	struct z5m_region *r = vma->vm_private_data;
	int done = 0;

	if (!(vma->vm_flags & (write ? VM_WRITE : VM_READ)))
		return -EACCES;
	while (done < len) {
		u64 off = z5m_map_offset(vma, addr + done);
		int n = min_t(int, len - done, PAGE_SIZE - offset_in_page(off));
		void *page;

		if (addr + done >= vma->vm_end || off >= r->size)
			break;
		if (write)
			z5m_region_mark_dirty(r, off);
		page = kmap_local_page(pfn_to_page(z5m_region_pfn(r, off)));
		if (write)
			memcpy(page + offset_in_page(off), buf + done, n);
		else
			memcpy(buf + done, page + offset_in_page(off), n);
		kunmap_local(page);
		done += n;
	}
	return done ?: -EFAULT;
}

static unsigned long z5m_vm_pagesize(struct vm_area_struct *vma)
{
	struct z5m_region *r = vma->vm_private_data;

	return PAGE_SIZE << r->min_order;
}

static const struct vm_operations_struct z5m_vm_ops = {
	.open = z5m_vm_open,
	.close = z5m_vm_close,
	.may_split = z5m_vm_may_split,
	.mprotect = z5m_vm_mprotect,
	.fault = z5m_vm_fault,
	.huge_fault = z5m_vm_huge_fault,
	.access = z5m_vm_access,
	.pagesize = z5m_vm_pagesize,
};

int z5m_map_vma(struct z5m_region *r, struct vm_area_struct *vma)
{
	u64 off = (u64)vma->vm_pgoff << PAGE_SHIFT;
	int ret;

	/*
	 * A private copy of weights is what the device is there to avoid, and page frames cannot
	 * be copied on write.
	 */
	if (!(vma->vm_flags & VM_MAYSHARE))
		return -EINVAL;
	if (vma->vm_flags & VM_EXEC)
		return -EPERM;
	if (vma->vm_pgoff > r->size >> PAGE_SHIFT || vma->vm_end - vma->vm_start > r->size - off)
		return -EINVAL;
	if (vma->vm_flags & VM_WRITE) {
		ret = z5m_region_writer_get(r);
		if (ret)
			return ret;
	}
	mutex_lock(&r->lock);
	r->n_maps++;
	mutex_unlock(&r->lock);

	vm_flags_set(vma, VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP | VM_IO);
	vm_flags_clear(vma, VM_MAYEXEC | (vma->vm_flags & VM_WRITE ? 0 : VM_MAYWRITE));
	vma->vm_private_data = r;
	vma->vm_ops = &z5m_vm_ops;
	return 0;
}

/* ---- where a mapping lies ---- */

/* Whether the calling process has a mapping of r. */
static bool z5m_map_present(const struct z5m_region *r)
{
	struct vm_area_struct *vma;
	unsigned long addr;

	mmap_assert_locked(current->mm);
	for (addr = 0; (vma = find_vma(current->mm, addr)); addr = vma->vm_end)
		if (vma->vm_ops == &z5m_vm_ops && vma->vm_private_data == r)
			return true;
	return false;
}

static unsigned long z5m_map_area(struct file *file, unsigned int order, unsigned long addr,
				  unsigned long len, unsigned long pgoff, unsigned long flags)
{
	unsigned long off = pgoff << PAGE_SHIFT, align, padded, ret;

	/* Entries larger than the mapping cannot be had. */
	while (order && PAGE_SIZE << order > len)
		order = order == Z5M_ORDER_1G ? Z5M_ORDER_2M : Z5M_ORDER_4K;
	align = PAGE_SIZE << order;
	if (flags & MAP_FIXED)
		return addr;
	if (addr && !((addr ^ off) & (align - 1))) {
		ret = z5m_base_unmapped_area(file, addr, len, pgoff, flags);
		if (ret == addr)
			return ret;
	}
	if (check_add_overflow(len, align, &padded))
		return -ENOMEM;
	ret = z5m_base_unmapped_area(file, 0, padded, pgoff, flags);
	if (IS_ERR_VALUE(ret))
		return ret;
	return ret + ((off - ret) & (align - 1));
}

unsigned long z5m_map_unmapped_area(struct file *file, unsigned long addr, unsigned long len,
				    unsigned long pgoff, unsigned long flags)
{
	return z5m_map_area(file, Z5M_ORDER_1G, addr, len, pgoff, flags);
}

unsigned long z5m_map_region_area(struct file *file, unsigned long addr, unsigned long len,
				  unsigned long pgoff, unsigned long flags)
{
	struct z5m_region *r = file->private_data;

	/*
	 * mremap() asks here, too, and cannot be told from mmap(): it would tear large entries
	 * out of their place.
	 */
	if (flags & MAP_FIXED && z5m_map_present(r))
		return -EINVAL;
	return z5m_map_area(file, r->max_order, addr, len, pgoff, flags);
}

/* ---- populating ---- */

/* Log2 of the pages that the page-table entry at addr covers; 0 also if there is none. */
static unsigned int z5m_map_entry_order(struct mm_struct *mm, unsigned long addr)
{
	pgd_t *pgd = pgd_offset(mm, addr);
	p4d_t *p4d;
	pud_t pud;
	pmd_t pmd;

	if (pgd_none(*pgd))
		return 0;
	p4d = p4d_offset(pgd, addr);
	if (p4d_none(*p4d))
		return 0;
	/* Copies: a reader of smaps may drop a large entry between two looks. */
	pud = READ_ONCE(*pud_offset(p4d, addr));
	if (!pud_present(pud))
		return 0;
	if (pud_leaf(pud))
		return Z5M_ORDER_1G;
	pmd = READ_ONCE(*pmd_offset(&pud, addr));
	return pmd_present(pmd) && pmd_leaf(pmd) ? Z5M_ORDER_2M : 0;
}

/* [addr, end) of mappings of r, as far as mmap_lock is kept; *addr is where to go on. */
static int z5m_map_populate_locked(struct z5m_region *r, unsigned long *addr, unsigned long end)
{
	struct mm_struct *mm = current->mm;
	bool unlocked = false;

	while (*addr < end && !unlocked) {
		struct vm_area_struct *vma = find_vma(mm, *addr);
		unsigned long size;
		int ret;

		if (!vma || vma->vm_start > *addr || vma->vm_ops != &z5m_vm_ops ||
		    vma->vm_private_data != r)
			return -ENOMEM;
		if (fatal_signal_pending(current))
			return -EINTR;
		ret = fixup_user_fault(mm, *addr, vma->vm_flags & VM_WRITE ? FAULT_FLAG_WRITE : 0,
				       &unlocked);
		if (ret)
			return ret;
		if (unlocked)
			break;	/* this address again, whatever is mapped there now */
		size = PAGE_SIZE << z5m_map_entry_order(mm, *addr);
		*addr = (*addr & ~(size - 1)) + size;
		/* Millions of small entries are no reason to keep other threads from mapping. */
		if (mmap_lock_is_contended(mm))
			break;
		cond_resched();
	}
	return 0;
}

int z5m_map_populate(struct z5m_region *r, u64 addr, u64 len)
{
	unsigned long at = addr, end;
	int ret = 0;

	if (!len || offset_in_page(addr) || offset_in_page(len) ||
	    check_add_overflow((unsigned long)addr, (unsigned long)len, &end) || end > TASK_SIZE)
		return -EINVAL;
	while (!ret && at < end) {
		if (mmap_read_lock_killable(current->mm))
			return -EINTR;
		ret = z5m_map_populate_locked(r, &at, end);
		mmap_read_unlock(current->mm);
	}
	return ret;
}
