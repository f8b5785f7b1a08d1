// SPDX-License-Identifier: MIT
#include "common.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void die(const char *fmt, ...)
{
	va_list ap;

	fflush(stdout);
	fprintf(stderr, "%s: ", program_invocation_short_name);
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fputc('\n', stderr);
	exit(1);
}

static void usage(const char *option, const char *arg, double lo, double hi)
{
	fprintf(stderr, "%s: %s %s: expected a number from %.10g to %.10g\n",
		program_invocation_short_name, option, arg, lo, hi);
	exit(EX_USAGE);
}

long long arg_int(const char *option, const char *arg, long long lo, long long hi)
{
	char *end;
	long long v;

	errno = 0;
	v = strtoll(arg, &end, 10);
	if (end == arg || *end || errno || v < lo || v > hi)
		usage(option, arg, (double)lo, (double)hi);
	return v;
}

double arg_float(const char *option, const char *arg, double lo, double hi)
{
	char *end;
	double v = strtod(arg, &end);

	if (end == arg || *end || !(v >= lo && v <= hi))
		usage(option, arg, lo, hi);
	return v;
}

char *read_all(int fd, const char *name, size_t *len)
{
	size_t n = 0, cap = 1 << 16;
	char *p = malloc(cap);

	for (;;) {
		ssize_t got;

		if (!p)
			die("%s: out of memory", name);
		got = read(fd, p + n, cap - n - 1);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			die("%s: %s", name, strerror(errno));
		if (!got)
			break;
		n += (size_t)got;
		if (n > 1u << 30)
			die("%s: more than 1 GiB of text", name);
		if (n + 1 == cap)
			p = realloc(p, cap *= 2);
	}
	p[n] = 0;
	*len = n;
	return p;
}

void finish_stdout(void)
{
	if (fflush(stdout) || ferror(stdout))
		die("standard output: %s", strerror(errno ? errno : EIO));
}

const char *human_bytes(char *buf, size_t n, double bytes)
{
	static const char *const unit[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	int i = 0;

	while (bytes >= 1024 && i < 4) {
		bytes /= 1024;
		i++;
	}
	snprintf(buf, n, i ? "%.2f %s" : "%.0f %s", bytes, unit[i]);
	return buf;
}
