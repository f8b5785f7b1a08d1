// SPDX-License-Identifier: GPL-2.0-only
/* Compiles everywhere, or the probing itself is broken. */
#include <linux/mm.h>
