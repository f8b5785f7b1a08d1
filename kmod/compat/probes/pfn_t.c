// SPDX-License-Identifier: GPL-2.0-only
/* Until 6.16 a pfn carries flags. */
#include <linux/mm.h>
#include <linux/huge_mm.h>
#include <linux/pfn_t.h>

vm_fault_t probe(struct vm_fault *vmf);
vm_fault_t probe(struct vm_fault *vmf)
{
	return vmf_insert_pfn_pud(vmf, __pfn_to_pfn_t(0, PFN_DEV), true);
}
