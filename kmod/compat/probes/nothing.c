// SPDX-License-Identifier: GPL-2.0-only
/* Compiles everywhere, or the probing itself is broken. */
#include <linux/fs.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/huge_mm.h>
#include <linux/module.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>
