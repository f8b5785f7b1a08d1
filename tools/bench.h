/* SPDX-License-Identifier: MIT */
/* What the parts of zen5-bench share. */
#ifndef TOOLS_BENCH_H
#define TOOLS_BENCH_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <zen5rt.h>

/* A list of whole numbers as options give it: "1,2,4-6". */
struct numbers {
	uint32_t *v;
	size_t n;
};

/* What is timed: pp tokens of prompt, then tg tokens one by one, behind depth tokens of context. */
struct bench_test {
	uint32_t pp, tg, depth;
};

/* Another engine: its own llama-bench, and the name it has in the output. */
struct bench_peer {
	char *name, *path;
	char **args;		/* ahead of those that say what to run; ends with NULL */
};

struct bench_samples {
	double *v;
	size_t n;
};

struct bench_stats {
	double mean, sd, median, min, max;
	double ci;		/* half of the 95 % interval of the mean, NAN below two samples */
};

/* One engine's figures for one test in one setting; zen5-bench's own where peer is NULL. */
struct bench_row {
	const char *model;		/* the file */
	const struct bench_peer *peer;
	struct bench_test test;
	uint32_t threads, ubatch;
	const char *level, *backend, *pages, *kv_type;	/* pages as asked, "" */
	struct bench_samples rate;	/* tokens a second, a repetition each */
	/* of zen5-bench alone; 0 where they say nothing */
	double bytes;			/* read by one decoded token: weights and the KV cache at mid-test */
	double ops, float_ops;		/* of matrix products by one token of prompt; those with float weights */
	struct bench_samples read;	/* bytes a second, ahead of each repetition of a decode */
	double bandwidth;		/* their median; without a decode the better of before and after */
	struct zen5rt_peak peak;
	uint64_t page, page_bytes, region_bytes, rss;
	double load_s, cold_load_s;	/* cold: NAN where the file could not be dropped from memory */
	/* of a peer: its rate by ours */
	double ratio, ratio_lo, ratio_hi;
	/* of ours: the second half of each pair of repetitions by the first, what noise alone makes */
	double aa, aa_lo, aa_hi;
	char failed[256];		/* why a peer has no figures */
};

struct bench_machine {
	char cpu[160], kernel[160], governor[32], thp[32];
	bool zen5;
	double load_1, steal, foreign;	/* shares of all CPUs' time while the benchmark ran; NAN unknown */
	double mem_total;
};

struct bench_report {
	struct bench_machine machine;
	struct bench_row *row;
	size_t n;
	uint32_t reps;
};

enum bench_format { BENCH_MD, BENCH_CSV, BENCH_JSON, BENCH_JSONL, BENCH_SQL, BENCH_N_FORMATS };
extern const char *const bench_formats[BENCH_N_FORMATS];

/* ---- bench_stats.c ---- */

struct bench_stats bench_stats(const struct bench_samples *s);
/*
 * Geometric mean of b[i] / a[i] with its 95 % interval (Student's t over the logarithms of the n ratios); all NAN
 * where there is none, the interval below two pairs.
 */
void bench_ratio(const double *a, const double *b, size_t n, double *ratio, double *lo, double *hi);
/* The same for samples that are no pairs (Welch's t); for a run against another. */
void bench_ratio_apart(const struct bench_samples *a, const struct bench_samples *b, double *ratio, double *lo,
		       double *hi);
/* Two-sided 95 % of Student's t. */
double bench_t95(double df);

/* ---- bench_machine.c ---- */

/* Between the two: what other processes and the hypervisor took. */
void bench_machine_begin(struct bench_machine *m);
void bench_machine_end(struct bench_machine *m);
/* Resident memory of this process in bytes. */
uint64_t bench_rss(void);

/* ---- bench_peer.c ---- */

/* "NAME=PATH ARGS...", words between blanks; dies on what is none. */
struct bench_peer bench_peer_parse(const char *arg);
/* One repetition: tokens a second; NAN, and why in failed. */
double bench_peer_run(const struct bench_peer *p, const char *model, const struct bench_test *t, uint32_t threads,
		      uint32_t ubatch, char *failed, size_t len);

/* ---- bench_print.c ---- */

/* "pp512", "tg128 @ d4096", "pp512+tg128" */
const char *bench_test_name(const struct bench_test *t, char *buf, size_t n);
void bench_print(const struct bench_report *r, enum bench_format format, FILE *f);

/* ---- bench_compare.c ---- */

/* Two files of -o json. Returns the exit status: 0 nothing slower, 1 something is. */
int bench_compare(const char *a, const char *b, bool json);

#endif
