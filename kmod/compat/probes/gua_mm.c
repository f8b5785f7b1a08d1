// SPDX-License-Identifier: GPL-2.0-only
/* 6.10: the process's own choice of an address is called by a function that takes the mm ... */
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

unsigned long probe(struct file *file);
unsigned long probe(struct file *file)
{
	return mm_get_unmapped_area(current->mm, file, 0, PAGE_SIZE, 0, 0);
}
