// SPDX-License-Identifier: MIT
#include <counters/counters.h>

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <clock.h>
#include <error.h>

#define COUNTERS_MISSING	1024

struct z5_counters {
	const struct z5_source *const *source;	/* the one in use; NULL: the software one */
	void *state;
	unsigned int epoch;
	uint64_t last_ns;		/* of the last sample in this epoch, and what it called its source */
	const char *last_source;
	_Atomic uint64_t streamed, busy_ns;
	char missing[COUNTERS_MISSING];
};

static const struct z5_source *const counters_machine[] = {
	&z5_source_page, &z5_source_perf, &z5_source_resctrl, NULL,
};

__attribute__((format(printf, 2, 3)))
static void counters_miss(struct z5_counters *c, const char *fmt, ...)
{
	size_t n = strlen(c->missing);
	va_list ap;

	if (n + 2 >= sizeof(c->missing))
		return;
	if (n)
		c->missing[n++] = '\n';
	va_start(ap, fmt);
	vsnprintf(c->missing + n, sizeof(c->missing) - n, fmt, ap);
	va_end(ap);
}

/* The first that opens, from source on. */
static void counters_find(struct z5_counters *c)
{
	char why[256];

	for (; *c->source; c->source++) {
		*why = '\0';
		if (!(*c->source)->open((*c->source)->arg, &c->state, why, sizeof(why)))
			return;
		counters_miss(c, "%s: %s", (*c->source)->name, *why ? why : "cannot be opened");
	}
}

int z5_counters_open(const struct z5_source *const *list, struct z5_counters **out, struct zen5rt_error *err)
{
	struct z5_counters *c = calloc(1, sizeof(*c));

	if (!c)
		return z5_fail(err, -ENOMEM, "out of memory");
	c->source = list ? list : counters_machine;
	counters_find(c);
	*out = c;
	return 0;
}

void z5_counters_close(struct z5_counters *c)
{
	if (!c)
		return;
	if (*c->source)
		(*c->source)->close(c->state);
	free(c);
}

static void counters_software(struct z5_reading *r)
{
	r->source = "software";
	r->ns = z5_now_ns();
	r->n_domains = r->n_channels = r->n_ports = 0;
}

void z5_counters_read(struct z5_counters *c, struct z5_reading *r)
{
	while (*c->source) {
		int ret = (*c->source)->read(c->state, r);

		if (!ret)
			break;
		if (ret == -EAGAIN) {
			/* as if no time had passed: no rate comes of it; made-up numbers stay called so */
			r->source = c->last_source ? c->last_source : (*c->source)->name;
			r->ns = c->last_ns;
			r->n_domains = r->n_channels = r->n_ports = 0;
			break;
		}
		counters_miss(c, "%s: ended: %s", (*c->source)->name, strerror(-ret));
		(*c->source)->close(c->state);
		c->source++;
		c->epoch++;
		c->last_ns = 0;
		c->last_source = NULL;
		counters_find(c);
	}
	if (!*c->source)
		counters_software(r);
	c->last_ns = r->ns;
	c->last_source = r->source;
	r->epoch = c->epoch;
	r->streamed = atomic_load_explicit(&c->streamed, memory_order_relaxed);
	r->busy_ns = atomic_load_explicit(&c->busy_ns, memory_order_relaxed);
}

void z5_counters_streamed(struct z5_counters *c, uint64_t bytes, uint64_t ns)
{
	atomic_fetch_add_explicit(&c->streamed, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&c->busy_ns, ns, memory_order_relaxed);
}

const char *z5_counters_missing(const struct z5_counters *c)
{
	return c->missing;
}
