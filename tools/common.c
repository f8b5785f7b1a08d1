// SPDX-License-Identifier: MIT
#include "common.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

void (*before_die)(void);

void die(const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (before_die)
		before_die();
	fflush(stdout);
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	for (unsigned char *p = (unsigned char *)line; *p; p++)
		if (*p < 0x20 || *p == 0x7f || (*p == 0xc2 && p[1] >= 0x80 && p[1] < 0xa0))
			*p = '?';
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
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

/* For a descriptor that somebody made non-blocking. */
static bool wait_for(int fd, short what)
{
	struct pollfd p = { .fd = fd, .events = what };

	return poll(&p, 1, -1) >= 0 || errno == EINTR;
}

int write_all(int fd, const char *buf, size_t len)
{
	while (len) {
		ssize_t n = write(fd, buf, len);

		if (n < 0 && errno == EAGAIN && wait_for(fd, POLLOUT))
			continue;
		if (n < 0)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

const char *arg_kv_type(const char *option, const char *arg)
{
	const char *name;

	for (unsigned int i = 0; (name = zen5rt_kv_type(i)); i++)
		if (!strcmp(arg, name))
			return name;
	fprintf(stderr, "%s: %s %s: expected", program_invocation_short_name, option, arg);
	for (unsigned int i = 0; (name = zen5rt_kv_type(i)); i++)
		fprintf(stderr, "%s %s", !i ? "" : zen5rt_kv_type(i + 1) ? "," : " or", name);
	fputc('\n', stderr);
	exit(EX_USAGE);
}

const char *arg_auto(const char *option, const char *arg)
{
	if (!strcmp(arg, "auto") || !strcmp(arg, "on") || !strcmp(arg, "off"))
		return arg;
	fprintf(stderr, "%s: %s %s: expected auto, on or off\n", program_invocation_short_name, option, arg);
	exit(EX_USAGE);
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
		if (got < 0 && errno == EAGAIN && wait_for(fd, POLLIN))
			continue;
		if (got < 0)
			die("%s: %s", name, strerror(errno));
		if (!got)
			break;
		n += (size_t)got;
		if (n > 1u << 30)
			die("%s: more than 1 GiB of text", name);
		if (n + 1 == cap)
			/* cppcheck-suppress memleakOnRealloc ; the program ends without it */
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

void cpu_what(const struct zen5rt_cpu_info *cpu, char *buf, size_t n)
{
	snprintf(buf, n, "%s (%s family %02Xh, model %02Xh%s%s%s)",
		 *cpu->brand ? cpu->brand : "a CPU without a name",
		 strcmp(cpu->vendor, "AuthenticAMD") ? *cpu->vendor ? cpu->vendor : "unknown" : "AMD", cpu->family,
		 cpu->model, *cpu->core ? ", " : "", cpu->core,
		 cpu->hypervisor ? ", as a virtual machine shows it" : "");
}

void require_zen5(const struct zen5rt_cpu_info *cpu)
{
	struct zen5rt_cpu_info here;
	char what[160];

	if (!cpu) {
		zen5rt_cpu_info(&here);
		cpu = &here;
	}
	if (cpu->zen5)
		return;
	cpu_what(cpu, what, sizeof(what));
	fflush(stdout);
	fprintf(stderr, "%s: requires an AMD Zen 5 processor (family 1Ah), this is %s\n",
		program_invocation_short_name, what);
	exit(3);
}

char *shell_word(const char *s)
{
	static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+,:=@%";
	char *out = malloc(4 * strlen(s) + 3), *p = out;

	if (!out)
		die("out of memory");
	if (*s && *s != '-' && !s[strspn(s, plain)])
		return strcpy(out, s);
	*p++ = '\'';
	for (; *s; s++) {
		if (*s == '\'')
			p = stpcpy(p, "'\\''");
		else
			*p++ = *s;
	}
	*p++ = '\'';
	*p = '\0';
	return out;
}
