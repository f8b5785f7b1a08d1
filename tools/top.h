/* SPDX-License-Identifier: MIT */
/*
 * The parts of zen5-top: a snapshot of the machine (top_model.c), what keeps parts of it from being
 * known (top_notes.c), its text (top_text.c), a terminal's screen of that (top_screen.c), JSON, CSV
 * and recordings (top_record.c), events of the module (top_events.c).
 */
#ifndef TOOLS_TOP_H
#define TOOLS_TOP_H

#include <counters/counters.h>
#include <sched/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "mem.h"

#define TOP_INTERVAL_MIN	0.05
#define TOP_INTERVAL_MAX	3600.0

/* ---- a snapshot: top_model.c ---- */

struct top_process {
	pid_t pid;
	char command[32];		/* printable */
	struct z5_status status;
	/*
	 * Of the time between the snapshots; NaN where the earlier one did not have this process,
	 * or nothing was done.
	 */
	double decode_tok_s, prefill_tok_s;	/* of the time spent on it */
	double busy;			/* share of the time, 0 to 1 */
	double bytes_s;			/* streamed */
};

struct top {
	double time;			/* seconds since 1970 */
	double taken;			/* the same by a clock that only goes forward */
	double seconds;			/* between the snapshots, 0: there was none before */
	struct z5_reading reading;
	struct z5_rates rates;		/* of the same time */
	bool has_rates;
	bool mock;			/* the counters are made up */
	bool source_changed;		/* since the snapshot before: no rates this time */
	const char *missing;		/* of z5_counters_missing() */

	char no_regions[256];		/* why there are none to be seen, "" */
	struct mem_regions regions;
	struct mem_users users;		/* of them */
	struct z5m_version module;	/* if there are regions to be seen */

	struct top_process *process;	/* by pid */
	size_t n_processes;
	unsigned int hidden;		/* processes of others that could not be looked at */
};

struct top_source;

/* What snapshots are taken from. Dies without memory. */
struct top_source *top_open(void);
void top_close(struct top_source *s);

/* Takes a snapshot. before: the one to compare with, NULL if there is none. For top_free(). */
void top_take(struct top_source *s, struct top *t, const struct top *before);
void top_free(struct top *t);

/* ---- what is missing: top_notes.c ---- */

/* Calls note for each line that says why something is not shown. */
void top_notes(const struct top *t, void (*note)(void *arg, const char *line), void *arg);

/* ---- text: top_text.c ---- */

enum top_style { TOP_PLAIN, TOP_HEAD, TOP_DIM, TOP_GOOD, TOP_WARN, TOP_ALARM };

#define TOP_LINE 512

/* UTF-8, or ASCII where the terminal is not for UTF-8; no control characters. */
struct top_line {
	char text[TOP_LINE];
	uint8_t style[TOP_LINE];	/* enum top_style, of each byte */
	size_t len;
};

struct top_text {
	struct top_line *line;
	size_t n;
	bool utf8;			/* set by the caller: bytes above 127 may be shown */
};

/* The lines of a snapshot, in place of those that were there; interval is what is asked for, in seconds. */
void top_text_make(struct top_text *text, const struct top *t, double interval);
void top_text_free(struct top_text *text);

/* Bytes of the first character of a line from `at` on, and its columns. */
size_t top_char(const struct top_line *l, size_t at, int *columns);

/* ---- JSON, CSV, recordings: top_record.c ---- */

/* The snapshot as one line, with its end, for free(). Dies without memory. */
char *top_json_line(const struct top *t);

void top_csv_head(FILE *f);
/* A line a number. */
void top_csv(FILE *f, const struct top *t);

struct top_record {
	const char *path;
	int fd;				/* -1: nothing is recorded */
};

/* Opens a recording to append to, or begins one; dies at anything else of that name. */
void top_record_open(struct top_record *r, const char *path);
void top_record_add(struct top_record *r, const struct top *t);

/* ---- the module's netlink family: top_events.c ---- */

/* Prints events as they come, for ever; dies where there are none. */
void top_events(void) __attribute__((noreturn));
/* Sets the module's time between samples for whoever has no wish of his own; dies where that cannot be. */
void top_module_interval(uint32_t us);

/* ---- the screen: top_screen.c ---- */

/*
 * Shows snapshots on the terminal until a key, a signal or the number of them ends it (0: no number). Returns the
 * signal that is to be died of, or 0.
 */
int top_screen(struct top_source *s, struct top_record *r, double interval, unsigned long iterations);

/* Why standard input and output are no terminal for it, NULL if they are. */
const char *top_no_screen(void);

/* ---- shared by batch and screen: zen5-top.c ---- */

/* UTF-8 is what the user's terminal takes. */
bool top_utf8(void);

#endif
