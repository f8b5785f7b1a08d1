// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>

#include "zen5mem.h"

#define CREATE_TRACE_POINTS
#include "trace.h"
