/* SPDX-License-Identifier: MIT */
/* Reading a counter page, apart from where it comes from. */
#ifndef Z5_COUNTER_PAGE_H
#define Z5_COUNTER_PAGE_H

#include <counters/counters.h>

/* Whether all that the header names lies within Z5M_COUNTERS_BYTES; else one line in why. */
bool z5_page_ok(const struct z5m_counters *h, char *why, size_t len);

/* The header of one sample. -EAGAIN the writer does not come to an end. What it says is not checked. */
int z5_page_header(const void *page, struct z5m_counters *h);

/*
 * A whole reading of Z5M_COUNTERS_BYTES at page. -EAGAIN the writer does not come to an end;
 * -EPROTO it is no such page.
 */
int z5_page_read(const void *page, struct z5_reading *r);

#endif
