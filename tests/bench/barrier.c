// SPDX-License-Identifier: MIT
/* What meeting costs: one barrier, one hand-over of a run. barrier [threads [seconds]] */
#include <stdio.h>
#include <stdlib.h>

#include <sched/pool.h>

#include "timing.h"

#define BATCH	1000

static void meet(const struct z5_thread *t, void *arg)
{
	unsigned int i;

	(void)arg;
	for (i = 0; i < BATCH; i++)
		z5_barrier(t);
}

static void nothing(const struct z5_thread *t, void *arg)
{
	(void)t;
	(void)arg;
}

static void measure(struct z5_pool *p, const char *what, z5_work_fn fn, unsigned int per_run,
		    double seconds)
{
	static double took[200000];
	double end = now() + seconds, from = now(), to;
	unsigned int n = 0;
	double begin = from;

	while (from < end && n < sizeof(took) / sizeof(*took)) {
		z5_pool_run(p, fn, NULL);
		to = now();
		took[n++] = (to - from) / per_run;
		from = to;
	}
	in_order(took, n);
	printf("%-8s %8.0f ns median %8.0f ns best %10.0f a second\n", what, took[n / 2] * 1e9,
	       took[0] * 1e9, n * (double)per_run / (from - begin));
}

int main(int argc, char **argv)
{
	unsigned int n = argc > 1 ? atoi(argv[1]) : 0;
	double seconds = argc > 2 ? atof(argv[2]) : 0.5;
	struct zen5rt_error err;
	struct z5_topo topo;
	struct z5_pool *p;

	if (z5_topo_read("", &topo, &err) || z5_pool_new(&topo, n, true, &p, &err)) {
		fprintf(stderr, "barrier: %s\n", err.message);
		return 1;
	}
	printf("%u threads on %u cores, %u L3 domains\n", z5_pool_n(p), topo.n_cores, topo.n_l3s);
	measure(p, "barrier", meet, BATCH, seconds);
	measure(p, "run", nothing, 1, seconds);
	z5_pool_free(p);
	z5_topo_free(&topo);
	return 0;
}
