/* SPDX-License-Identifier: MIT */
/*
 * What a running process of ours shows to zen5-top: a page in a memfd named "zen5rt-status", found through
 * /proc/PID/fd by whoever may look there. Nothing is left behind by a process that is killed.
 */
#ifndef Z5_STATUS_H
#define Z5_STATUS_H

#include <stdint.h>
#include <sys/types.h>

#define Z5_STATUS_NAME		"zen5rt-status"
#define Z5_STATUS_MAGIC		0x7a357374	/* "z5st" */
#define Z5_STATUS_VERSION	1
#define Z5_STATUS_DOMAINS	64

/* The file begins with it. seq is odd while it is written. It grows at the end; size is what the writer knows. */
struct z5_status {
	uint32_t magic, version, size, seq;
	uint64_t decoded, prefilled;	/* tokens so far */
	uint64_t decode_ns, prefill_ns;	/* time that they took */
	uint64_t streamed;		/* bytes of weights and KV cache */
	uint64_t updated_ns;		/* CLOCK_MONOTONIC of the last token */
	uint32_t n_threads;		/* of the pool */
	uint32_t n_active;		/* that decode with now */
	uint32_t n_domains;
	uint8_t active[Z5_STATUS_DOMAINS];	/* threads by L3 domain */
	char model[128];		/* file's name, "" if none is loaded */
	char throttle[160];		/* one line: "auto: 4+4 of 8+8 threads, held (knee)" */
	char counters[32];		/* source of the throttle's readings */
	double budget_bytes_s;		/* 0: none */
	double cap_others_bytes_s;	/* 0: none */
};

/* ---- the writer ---- */

struct z5_status_page;

/* NULL where the kernel gives none: then nothing is shown. */
struct z5_status_page *z5_status_new(void);
void z5_status_free(struct z5_status_page *p);
/* All of s but magic, version, size and seq. No system call. Accepts NULL. One thread at a time. */
void z5_status_write(struct z5_status_page *p, const struct z5_status *s);

/* ---- the reader ---- */

/*
 * The status of a process. 0; -ENOENT it shows none; -EACCES it may not be looked at; -EPROTO it shows something else
 * under this name; -EAGAIN it was stopped while it wrote. Strings are terminated UTF-8 without control characters,
 * rates finite and not negative, n_active at most n_threads, n_domains at most Z5_STATUS_DOMAINS. At failure s holds
 * anything.
 */
int z5_status_read(pid_t pid, struct z5_status *s);

#endif
