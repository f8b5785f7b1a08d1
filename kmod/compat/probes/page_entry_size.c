// SPDX-License-Identifier: GPL-2.0-only
/*
 * Until 6.5 huge_fault() takes an enumeration; then an order, which a compiler would not tell
 * from it.
 */
#include <linux/mm.h>

int probe(void);
int probe(void)
{
	return PE_SIZE_PUD;
}
