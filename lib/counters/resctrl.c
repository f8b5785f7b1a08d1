// SPDX-License-Identifier: MIT
/*
 * Source "resctrl": bytes between each L3 domain and memory, of the root group (memory bandwidth monitoring). Linux,
 * Documentation/arch/x86/resctrl.rst: a counter may read "Unavailable" for a while, and begin again when it is used for
 * another group meanwhile.
 */
#include <counters/counters.h>

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <clock.h>
#include <topo/cgroup.h>

struct resctrl_domain {
	unsigned int id;
	uint64_t last, total;
	bool begun;
};

struct resctrl_source {
	char dir[PATH_MAX / 2];
	unsigned int n;
	struct resctrl_domain domain[Z5_READ_DOMAINS];
};

static int by_id(const void *a, const void *b)
{
	const struct resctrl_domain *x = a, *y = b;

	return x->id < y->id ? -1 : x->id > y->id;
}

static int resctrl_open(void *arg, void **state, char *why, size_t why_len)
{
	struct resctrl_source *s = calloc(1, sizeof(*s));
	struct dirent *e;
	char path[PATH_MAX];
	DIR *d;

	if (!s)
		return -ENOMEM;
	snprintf(s->dir, sizeof(s->dir), "%s/sys/fs/resctrl/mon_data", arg ? (const char *)arg : "");
	d = opendir(s->dir);
	if (!d) {
		snprintf(why, why_len, errno == EACCES ? "not permitted to read %s" :
			 "not mounted, or this CPU and kernel have no such monitoring (%s)", s->dir);
		free(s);
		return -ENOENT;
	}
	while ((e = readdir(d)) && s->n < Z5_READ_DOMAINS) {
		unsigned int id;

		snprintf(path, sizeof(path), "%s/%.200s/mbm_total_bytes", s->dir, e->d_name);
		if (sscanf(e->d_name, "mon_L3_%9u", &id) == 1 && !access(path, R_OK))
			s->domain[s->n++] = (struct resctrl_domain){ .id = id };
	}
	closedir(d);
	if (!s->n) {
		snprintf(why, why_len, "no mbm_total_bytes in %s", s->dir);
		free(s);
		return -ENOENT;
	}
	/* ids grow with the domains of lib/topo, which are numbered without gaps */
	qsort(s->domain, s->n, sizeof(*s->domain), by_id);
	*state = s;
	return 0;
}

static int resctrl_read(void *state, struct z5_reading *r)
{
	struct resctrl_source *s = state;
	unsigned int there = 0;

	r->source = "resctrl";
	r->n_domains = s->n;
	r->n_channels = r->n_ports = 0;
	for (unsigned int i = 0; i < s->n; i++) {
		struct resctrl_domain *d = &s->domain[i];
		struct z5_total *bytes = &r->domain[i].bytes;
		char path[PATH_MAX], text[64], *end;
		uint64_t now;

		r->domain[i] = (struct z5_read_domain){ .domain = i };
		*bytes = (struct z5_total){ .n = d->total, .state = Z5M_COUNTER_TAKEN };
		snprintf(path, sizeof(path), "/mon_L3_%02u/mbm_total_bytes", d->id);
		if (z5_read_text(s->dir, path, text, sizeof(text)) <= 0)
			continue;
		there++;
		errno = 0;
		now = strtoull(text, &end, 10);
		/* "Unavailable", "Error", "Unassigned" */
		if (end == text || errno)
			continue;
		/*
		 * that it begins again is seen as a step backward: from 0, or what was missed would
		 * be counted as a leap
		 */
		if (d->begun && now >= d->last)
			d->total += now - d->last;
		d->last = now;
		d->begun = true;
		*bytes = (struct z5_total){ .n = d->total, .state = Z5M_COUNTER_OK };
	}
	r->ns = z5_now_ns();
	return there ? 0 : -ENOENT;
}

const struct z5_source z5_source_resctrl = { "resctrl", resctrl_open, resctrl_read, free, NULL };
