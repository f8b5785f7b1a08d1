// SPDX-License-Identifier: GPL-2.0-only
/* 6.12: a PUD can say that there is no struct page behind it for anybody to take a reference to. */
#include <linux/mm.h>

bool probe(pud_t pud);
bool probe(pud_t pud)
{
	return pud_special(pud);
}
