/* SPDX-License-Identifier: MIT */
/* What the commands share: how they name themselves, fail, and read numbers and files. */
#ifndef TOOLS_COMMON_H
#define TOOLS_COMMON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/* One line "<command>: ..." on stderr, control characters shown as ?, then exit status 1. */
void die(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* Called by die() before it says anything, if it is set: who holds the terminal gives it back. */
extern void (*before_die)(void);

/*
 * Whole argument as a number in [lo, hi]; anything else is a line that names the option, and exit status 64 as argp
 * gives it for usage errors.
 */
long long arg_int(const char *option, const char *arg, long long lo, long long hi);
double arg_float(const char *option, const char *arg, double lo, double hi);
/* One of zen5rt_kv_type(), likewise. */
const char *arg_kv_type(const char *option, const char *arg);
/* "auto", "on" or "off", likewise. */
const char *arg_auto(const char *option, const char *arg);

/* All of a stream, NUL-terminated, for the caller to free; dies on error or above 1 GiB. name is for the message. */
char *read_all(int fd, const char *name, size_t *len);

/*
 * All of buf to fd, waiting where fd does not block. 0; -EINTR if a signal came before the end, for the caller to
 * judge; or another negative errno.
 */
int write_all(int fd, const char *buf, size_t len);

/* Flushes stdout and dies if anything that was printed did not arrive. */
void finish_stdout(void);

/* "Intel(R) ... (GenuineIntel family 06h, model A7h)" into buf. */
void cpu_what(const struct zen5rt_cpu_info *cpu, char *buf, size_t n);

/*
 * The option --require-zen5: returns on a Zen 5, else one line and exit status 3. cpu NULL: the CPU that this runs
 * on.
 */
void require_zen5(const struct zen5rt_cpu_info *cpu);

/* s as a word of a shell command, quoted where it must be, for the caller to free. */
char *shell_word(const char *s);

/* "1.2 GiB" into buf. */
const char *human_bytes(char *buf, size_t n, double bytes);

#endif
