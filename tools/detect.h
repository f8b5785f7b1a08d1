/* SPDX-License-Identifier: MIT */
/* The parts of zen5-detect: a reading of the machine, what follows from it, and three ways to put it down. */
#ifndef TOOLS_DETECT_H
#define TOOLS_DETECT_H

#include <counters/sources.h>
#include <mem/pages.h>
#include <topo/cpu.h>
#include <topo/cpuid.h>
#include <topo/mask.h>
#include <topo/topo.h>
#include <zen5rt.h>

/* ---- what is there: detect_machine.c ---- */

struct machine {
	const char *root;		/* "" for this machine, else the recording's directory */
	struct z5_cpuid cpuid;
	struct zen5rt_cpu_info cpu;
	struct z5_topo topo;
	struct z5_mem_info mem;
	struct z5_sources sources;
	unsigned int n_packages, n_nodes;	/* of the CPUs in topo; nodes at least 1 */
	unsigned int n_umc;		/* controllers with counters that the CPU declares */
	unsigned int l3_monitoring;	/* that the CPU declares: Z5_CQM_* */
};

/* Dies with a line if the recording cannot be read. */
void machine_read(struct machine *m, const char *root);
void machine_free(struct machine *m);

/* "none", "quadrant", "srat-llc"; and that as a sentence. */
const char *locality_word(const struct machine *m);
const char *locality_text(const struct machine *m);

/* CPU numbers of a domain, or of one of its cores, as "0-7,16-23" for the caller to free. core -1: all. */
char *domain_cpus(const struct z5_topo *t, unsigned int l3, int core);

/* ---- what follows: detect_advice.c ---- */

struct absent {
	const char *what;
	char why[192], remedy[256];
};

#define MAX_ABSENT	16

struct advice {
	unsigned int threads;
	const char *threads_why;
	const char *pages;		/* name of the region backend to aim at */
	uint64_t page;			/* its page size */
	const char *instead;		/* what serves where no such pages are free */
	const char *prefix;		/* "numactl --interleave=all " or "" */

	/* With a model: */
	uint64_t need;			/* pages of that size for the weights */
	uint64_t missing;		/* of which so many are not free */
	bool fits;			/* weights and cache into the memory of this machine */
	char **commands;		/* that reserve what is missing at run time */
	unsigned int n_commands;
	char boot[256];			/* the kernel's parameter for the same; "" where nothing is to be reserved */
	char *run;			/* the command that runs the model */

	struct absent absent[MAX_ABSENT];
	unsigned int n_absent;
};

struct model {
	const char *path;		/* NULL: none was given */
	long long ctx;			/* as asked, 0: default */
	struct zen5rt_model_plan plan;
};

void advice_make(struct advice *a, const struct machine *m, const struct model *model);
void advice_free(struct advice *a);

/* ---- how it is told: detect_text.c, detect_json.c, detect_record.c ---- */

void print_text(const struct machine *m, const struct model *model, const struct advice *a);
void print_json_report(const struct machine *m, const struct model *model, const struct advice *a);

/* Makes the directory and writes what a report of this machine needs, for --root. Dies with a line. */
void record(const struct machine *m, const char *dir);

#endif
