/* SPDX-License-Identifier: MIT */
/*
 * A machine's memory as a closed queueing network, for the throttle's tests: every thread keeps so
 * many lines on the way; a line passes the link of its CCD and one of the memory channels, where it
 * waits for those before it. Solved by Schweitzer's approximation of mean value analysis
 * (Lavenberg, Reiser: J. Appl. Prob. 17, 1980; P. Schweitzer 1979). Links, channels, their rates
 * and latencies: ../shared/facts/zen5.md, section 3, of which most is sourced and nothing was
 * measured by us; lines per thread and a core's own limit are assumptions that give 20 to 35 GB/s
 * to one thread. It shows how the controller behaves, not how fast a machine is.
 *
 * Time is the simulator's own.
 */
#ifndef MEMSIM_H
#define MEMSIM_H

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <counters/counters.h>

#define SIM_DOMAINS	12
#define SIM_LINE	64.0

struct sim_machine {
	const char *name;
	unsigned int n_domains, cores;	/* cores of each domain */
	double link;			/* bytes/s that a CCD reads */
	unsigned int n_channels;
	double channel;			/* bytes/s of one, at its peak */
	double efficiency;		/* of it, with few streams */
	double crowd;			/* share of it that is lost with all cores streaming */
	double latency;			/* s, unloaded */
	double lines;			/* on the way for one thread */
	double core[SIM_DOMAINS];	/* bytes/s that a core can make use of */
	double hit[SIM_DOMAINS];	/* share of its bytes that stays in the domain's L3 */
	double barrier, barrier_thread;	/* s a token: for all, and for each thread more */
};

static const struct sim_machine sim_machines[] = {
	/* 2 CCDs, DDR5-6400 */
	{ "9950X", 2, 8, 64e9, 2, 51.2e9, 0.86, 0.05, 80e-9, 36, { 45e9, 45e9 }, { 0, 0 }, 150e-6, 12e-6 },
	/* the first CCD with 96 MiB, and slower; DDR5-6000 */
	{ "9950X3D", 2, 8, 64e9, 2, 48e9, 0.86, 0.05, 82e-9, 36, { 38e9, 45e9 }, { 0.03, 0 }, 150e-6, 12e-6 },
	/* 12 CCDs with narrow links, 12 channels DDR5-6000, NPS1 */
	{ "EPYC 9655", 12, 8, 64e9, 12, 48e9, 0.82, 0.08, 115e-9, 32,
		{ 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9, 38e9 }, { 0 }, 400e-6, 4e-6 },
};

#define SIM_MACHINES	(sizeof(sim_machines) / sizeof(*sim_machines))

/* What others do: threads in the first domain that stream, and whether they take cores of ours. */
struct sim_others {
	unsigned int threads;
	bool same_cores;
};

struct sim_state {
	double rate[SIM_DOMAINS];	/* bytes/s of one of our threads */
	double latency;			/* s, mean of all lines from DRAM */
	double read;			/* bytes/s from DRAM, ours and others' */
	double bus;
};

/* One class of lines: our threads of a domain, or the others'. */
struct sim_class {
	double n, think, x, link, dram;	/* lines; s between them; lines/s; s at the stations */
	unsigned int domain;
};

static void sim_solve(const struct sim_machine *m, const unsigned int *threads, const struct sim_others *o,
		      struct sim_state *out)
{
	struct sim_class c[SIM_DOMAINS + 1];
	double all = (double)m->n_domains * m->cores, active = o->threads, share = 1, service, q_dram, q_link;
	unsigned int n = 0, i, k, round;

	for (i = 0; i < m->n_domains; i++) {
		active += threads[i];
		if (!threads[i])
			continue;
		c[n++] = (struct sim_class){
			.n = threads[i] * m->lines / (1 - m->hit[i]), .domain = i,
			.think = m->lines / (1 - m->hit[i]) * SIM_LINE / m->core[i],
		};
	}
	if (o->threads)
		c[n++] = (struct sim_class){ .n = o->threads * m->lines, .think = m->lines * SIM_LINE / 45e9 };
	/* Where they sit on our cores the slowest of our threads has half of one. */
	if (o->threads && o->same_cores && threads[0] + o->threads > m->cores)
		share = 0.5;
	service = SIM_LINE / (m->channel * m->efficiency * (1 - m->crowd * active / all));
	for (i = 0; i < n; i++) {
		c[i].x = 1e6;
		c[i].link = c[i].dram = 50e-9;
	}
	for (round = 0; round < 400; round++) {
		for (i = 0; i < n; i++) {
			q_dram = q_link = 0;
			for (k = 0; k < n; k++) {
				double self = k == i ? (c[k].n - 1) / c[k].n : 1;

				q_dram += c[k].x * c[k].dram * self / m->n_channels;
				q_link += c[k].domain == c[i].domain ? c[k].x * c[k].link * self : 0;
			}
			c[i].dram += 0.5 * (service * (1 + q_dram) - c[i].dram);
			c[i].link += 0.5 * (SIM_LINE / m->link * (1 + q_link) - c[i].link);
		}
		for (i = 0; i < n; i++)
			c[i].x = c[i].n / (c[i].think + m->latency + c[i].dram + c[i].link);
	}
	*out = (struct sim_state){ .read = 0 };
	for (i = 0; i < n; i++) {
		out->read += c[i].x * SIM_LINE;
		out->latency += c[i].x * SIM_LINE * (m->latency + c[i].dram + c[i].link);
		if (i < n - !!o->threads)
			out->rate[c[i].domain] = c[i].x * SIM_LINE / (1 - m->hit[c[i].domain]) /
						 threads[c[i].domain] * (c[i].domain ? 1 : share);
	}
	out->latency /= out->read > 0 ? out->read : 1;
	out->bus = out->read / (m->channel * m->n_channels);
}

/* ---- a machine under way ---- */

enum sim_fault { SIM_WELL, SIM_STUCK, SIM_LYING, SIM_NOISY, SIM_DIES, SIM_BACKWARD };

struct sim {
	const struct sim_machine *m;
	struct sim_others others;
	double bytes;			/* of a token */
	double noise;			/* of a token's time, relative */
	double outliers;		/* share of tokens that take half as long again */
	enum sim_fault fault;
	uint64_t seed;
	double now;			/* s */
	uint64_t samples;
	double misses, latency, clocks, slots;
	/* the last that was solved */
	unsigned int threads[SIM_DOMAINS];
	struct sim_others solved_others;
	bool solved;
	struct sim_state state;
};

static double sim_random(struct sim *s)
{
	s->seed = s->seed * 6364136223846793005u + 1442695040888963407u;
	return (double)(s->seed >> 11) * 0x1p-53;
}

static double sim_gauss(struct sim *s)
{
	double sum = -6;

	for (int i = 0; i < 12; i++)
		sum += sim_random(s);
	return sum;
}

/* Seconds of a token with those threads, without noise. Rows are split evenly: the slowest thread is waited for. */
static double sim_token_time(struct sim *s, const unsigned int *threads)
{
	unsigned int n = 0, d;
	double slowest = INFINITY;

	if (!s->solved || memcmp(threads, s->threads, s->m->n_domains * sizeof(*threads)) ||
	    memcmp(&s->others, &s->solved_others, sizeof(s->others))) {
		sim_solve(s->m, threads, &s->others, &s->state);
		memcpy(s->threads, threads, s->m->n_domains * sizeof(*threads));
		s->solved_others = s->others;
		s->solved = true;
	}
	for (d = 0; d < s->m->n_domains; d++) {
		n += threads[d];
		if (threads[d] && s->state.rate[d] < slowest)
			slowest = s->state.rate[d];
	}
	return s->bytes / n / slowest + s->m->barrier + s->m->barrier_thread * n;
}

static double sim_rate(struct sim *s, const unsigned int *threads)
{
	return s->bytes / sim_token_time(s, threads);
}

/* Decodes a token: ns that it took, as it is measured. */
static uint64_t sim_token(struct sim *s, const unsigned int *threads)
{
	double t = sim_token_time(s, threads) * (1 + s->noise * sim_gauss(s));

	if (sim_random(s) < s->outliers)
		t *= 1.5;
	s->now += t;
	s->misses += s->state.read * t / SIM_LINE;
	s->latency += s->state.read * t / SIM_LINE / 1000 * s->state.latency * 1e9 / 10;
	s->clocks += 3e9 * t;
	s->slots += 2 * 3e9 * s->state.bus * t;
	return (uint64_t)(t * 1e9);
}

/* ---- as a source of lib/counters ---- */

static int sim_open(void *arg, void **state, char *why, size_t why_len)
{
	(void)why;
	(void)why_len;
	*state = arg;
	return 0;
}

static void sim_put(struct z5_total *t, double n)
{
	*t = (struct z5_total){ .n = (uint64_t)n, .state = Z5M_COUNTER_OK };
}

static int sim_read(void *state, struct z5_reading *r)
{
	struct sim *s = state;
	double error = 1;

	s->samples++;
	if (s->fault == SIM_DIES && s->samples > 20)
		return -ENODEV;
	r->source = "zen5mem MOCK";
	r->ns = (uint64_t)(s->now * 1e9) + 1;
	r->n_domains = s->m->n_domains;
	r->n_channels = s->m->n_channels;
	r->n_ports = 0;
	if (s->fault == SIM_NOISY)
		error = 1 + 0.3 * sim_gauss(s);
	if (s->fault == SIM_BACKWARD && s->samples % 3 == 0)
		error = 0.5;
	if (s->fault == SIM_LYING)
		error = s->samples % 2 ? 50 : 1e6;
	if (s->fault == SIM_STUCK)
		error = 0;
	for (unsigned int d = 0; d < r->n_domains; d++) {
		r->domain[d] = (struct z5_read_domain){ .domain = d };
		sim_put(&r->domain[d].l3[Z5M_L3_ACCESSES], s->misses * 1.2 / s->m->n_domains * error);
		sim_put(&r->domain[d].l3[Z5M_L3_MISSES], s->misses / s->m->n_domains * error);
		sim_put(&r->domain[d].l3[Z5M_L3_DRAM_LATENCY], s->latency / s->m->n_domains * error);
		sim_put(&r->domain[d].l3[Z5M_L3_DRAM_REQUESTS], s->misses / 1000 / s->m->n_domains);
	}
	for (unsigned int i = 0; i < r->n_channels; i++) {
		r->channel[i] = (struct z5_read_channel){ .channel = i };
		sim_put(&r->channel[i].umc[Z5M_UMC_CLOCKS], s->clocks);
		sim_put(&r->channel[i].umc[Z5M_UMC_READS], s->misses / s->m->n_channels * error);
		sim_put(&r->channel[i].umc[Z5M_UMC_WRITES], 0);
		sim_put(&r->channel[i].umc[Z5M_UMC_DATA_SLOTS],
			s->fault == SIM_LYING ? 2 * s->clocks : s->slots * error);
	}
	return 0;
}

static void sim_close(void *state)
{
	(void)state;
}

#endif
