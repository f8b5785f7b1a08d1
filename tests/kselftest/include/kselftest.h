/* SPDX-License-Identifier: MIT */
/*
 * The part of the kernel's kselftest.h that these programs use, written anew so that they build
 * outside the kernel's tree: the same names, the same exit codes, KTAP on the standard output.
 */
#ifndef KSELFTEST_H
#define KSELFTEST_H

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define KSFT_PASS 0
#define KSFT_FAIL 1
#define KSFT_SKIP 4

static struct {
	unsigned int plan, pass, fail, skip;
} ksft;

static inline unsigned int ksft_test_num(void)
{
	return ksft.pass + ksft.fail + ksft.skip;
}

static inline void ksft_print_header(void)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (!getenv("KSFT_TAP_LEVEL"))
		printf("KTAP version 1\n");
}

static inline void ksft_set_plan(unsigned int plan)
{
	ksft.plan = plan;
	printf("1..%u\n", plan);
}

static inline __attribute__((format(printf, 1, 2))) void ksft_print_msg(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("# ");
	vprintf(fmt, args);
	va_end(args);
}

static inline void ksft_print_cnts(void)
{
	if (ksft.plan != ksft_test_num())
		printf("# %u tests planned, %u run\n", ksft.plan, ksft_test_num());
	printf("# Totals: pass:%u fail:%u xfail:0 xpass:0 skip:%u error:0\n",
	       ksft.pass, ksft.fail, ksft.skip);
}

static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_pass(const char *fmt, ...)
{
	va_list args;

	ksft.pass++;
	va_start(args, fmt);
	printf("ok %u ", ksft_test_num());
	vprintf(fmt, args);
	va_end(args);
}

static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_fail(const char *fmt, ...)
{
	va_list args;

	ksft.fail++;
	va_start(args, fmt);
	printf("not ok %u ", ksft_test_num());
	vprintf(fmt, args);
	va_end(args);
}

/* The text is the test's name, " # SKIP " and the reason. */
static inline __attribute__((format(printf, 1, 2))) void ksft_test_result_skip(const char *fmt, ...)
{
	va_list args;

	ksft.skip++;
	va_start(args, fmt);
	printf("ok %u ", ksft_test_num());
	vprintf(fmt, args);
	va_end(args);
}

#define ksft_test_result(condition, ...) do { \
	if (condition) \
		ksft_test_result_pass(__VA_ARGS__); \
	else \
		ksft_test_result_fail(__VA_ARGS__); \
} while (0)

static inline __attribute__((noreturn)) void ksft_exit_pass(void)
{
	ksft_print_cnts();
	exit(KSFT_PASS);
}

static inline __attribute__((noreturn)) void ksft_exit_fail(void)
{
	ksft_print_cnts();
	exit(KSFT_FAIL);
}

static inline __attribute__((noreturn, format(printf, 1, 2)))
void ksft_exit_fail_msg(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	printf("Bail out! ");
	vprintf(fmt, args);
	va_end(args);
	ksft_exit_fail();
}

static inline __attribute__((noreturn, format(printf, 1, 2)))
void ksft_exit_skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	if (!ksft.plan) {
		printf("1..0 # SKIP ");
	} else {
		ksft.skip++;
		printf("ok %u # SKIP ", ksft_test_num());
	}
	vprintf(fmt, args);
	va_end(args);
	exit(KSFT_SKIP);
}

static inline __attribute__((noreturn)) void ksft_finished(void)
{
	ksft_print_cnts();
	if (ksft.fail || ksft.plan != ksft_test_num())
		exit(KSFT_FAIL);
	exit(ksft.skip && !ksft.pass ? KSFT_SKIP : KSFT_PASS);
}

#endif /* KSELFTEST_H */
