// SPDX-License-Identifier: MIT
/* A snapshot: what the counters say, the regions of the module, the processes that show a status. */
#include "top.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "watch.h"

struct top_source {
	struct z5_counters *counters;
	dev_t regions;		/* the device that regions are files of, 0: not known yet */
};

struct top_source *top_open(void)
{
	struct top_source *s = calloc(1, sizeof(*s));
	struct zen5rt_error err;

	if (!s)
		die("out of memory");
	if (z5_counters_open(NULL, &s->counters, &err))
		die("%s", err.message);
	return s;
}

void top_close(struct top_source *s)
{
	z5_counters_close(s->counters);
	free(s);
}

/* ---- counters ---- */

static void take_counters(struct top_source *s, struct top *t, const struct top *before)
{
	z5_counters_read(s->counters, &t->reading);
	t->mock = strstr(t->reading.source, "MOCK") != NULL;
	t->missing = z5_counters_missing(s->counters);
	t->has_rates = before && z5_rates(&before->reading, &t->reading, &t->rates);
	t->source_changed = before && before->reading.epoch != t->reading.epoch;
}

/* ---- regions ---- */

static void take_regions(struct top_source *s, struct top *t)
{
	/* Opened anew each time: the module may come, and a descriptor that is kept would hold it. */
	int dev = z5_dev_open(&t->module, t->no_regions, sizeof(t->no_regions)), ret;

	if (dev < 0)
		return;
	*t->no_regions = '\0';
	ret = mem_regions_read(&t->regions, dev);
	if (ret < 0)
		snprintf(t->no_regions, sizeof(t->no_regions), "the list of regions: %s", strerror(-ret));
	if (!s->regions)
		s->regions = mem_regions_dev(&t->regions, dev);
	close(dev);
	if (t->regions.n && s->regions)
		mem_users_read(&t->users, s->regions);
}

/* ---- processes ---- */

static const struct top_process *find(const struct top *t, pid_t pid)
{
	for (size_t i = 0; t && i < t->n_processes; i++)
		if (t->process[i].pid == pid)
			return &t->process[i];
	return NULL;
}

/* What was done in ns of work, per second. */
static double rate(uint64_t n, uint64_t ns)
{
	return n && ns ? (double)n * 1e9 / (double)ns : NAN;
}

static void process_rates(struct top_process *p, const struct top_process *old, double seconds)
{
	const struct z5_status *a = old ? &old->status : NULL, *b = &p->status;
	uint64_t decode_ns, prefill_ns;

	p->decode_tok_s = p->prefill_tok_s = p->busy = p->bytes_s = NAN;
	/* Totals that step backward are another process with the same number. */
	if (!a || seconds <= 0 || b->decoded < a->decoded || b->prefilled < a->prefilled ||
	    b->decode_ns < a->decode_ns || b->prefill_ns < a->prefill_ns ||
	    b->streamed < a->streamed)
		return;
	decode_ns = b->decode_ns - a->decode_ns;
	prefill_ns = b->prefill_ns - a->prefill_ns;
	p->decode_tok_s = rate(b->decoded - a->decoded, decode_ns);
	p->prefill_tok_s = rate(b->prefilled - a->prefilled, prefill_ns);
	/* A token that began before the interval counts when it ends. */
	p->busy = fmin(1, ((double)decode_ns + (double)prefill_ns) * 1e-9 / seconds);
	p->bytes_s = (double)(b->streamed - a->streamed) / seconds;
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = ((const struct top_process *)a)->pid, y = ((const struct top_process *)b)->pid;

	return x < y ? -1 : x > y;
}

static void take_processes(struct top *t, const struct top *before)
{
	DIR *d = opendir("/proc");
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct top_process p, *all;
		int ret;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		p.pid = (pid_t)strtol(e->d_name, NULL, 10);
		ret = z5_status_read(p.pid, &p.status);
		t->hidden += ret == -EACCES;
		if (ret)
			continue;
		mem_command(p.pid, p.command);
		process_rates(&p, find(before, p.pid), t->seconds);
		all = realloc(t->process, (t->n_processes + 1) * sizeof(p));
		if (!all)
			die("out of memory");
		t->process = all;
		t->process[t->n_processes++] = p;
	}
	if (d)
		closedir(d);
	if (t->n_processes)
		qsort(t->process, t->n_processes, sizeof(*t->process), by_pid);
}

/* ---- all of it ---- */

void top_take(struct top_source *s, struct top *t, const struct top *before)
{
	struct timespec date;

	clock_gettime(CLOCK_REALTIME, &date);
	*t = (struct top){ .time = (double)date.tv_sec + (double)date.tv_nsec * 1e-9, .taken = now() };
	t->seconds = before ? t->taken - before->taken : 0;
	take_counters(s, t, before);
	take_regions(s, t);
	take_processes(t, before);
}

void top_free(struct top *t)
{
	mem_regions_free(&t->regions);
	mem_users_free(&t->users);
	free(t->process);
	*t = (struct top){ 0 };
}
