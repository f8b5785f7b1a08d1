// SPDX-License-Identifier: MIT
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "common.h"

/* First line of a file, "" where it cannot be read. */
static void first_line(const char *path, char *buf, size_t n)
{
	FILE *f = fopen(path, "re");

	*buf = '\0';
	if (f) {
		if (!fgets(buf, (int)n, f))
			*buf = '\0';
		fclose(f);
	}
	buf[strcspn(buf, "\n")] = '\0';
}

/* Ticks of all CPUs: all, busy, stolen; and of this process and the children it waited for. */
struct ticks {
	double all, busy, steal, own;
};

static bool ticks(struct ticks *t)
{
	double v[8] = { 0 };
	struct rusage self, children;
	FILE *f = fopen("/proc/stat", "re");
	int n = 0;

	if (f) {
		n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", v, v + 1, v + 2, v + 3, v + 4, v + 5, v + 6,
			   v + 7);
		fclose(f);
	}
	if (n < 8 || getrusage(RUSAGE_SELF, &self) || getrusage(RUSAGE_CHILDREN, &children))
		return false;
	memset(t, 0, sizeof(*t));
	for (int i = 0; i < 8; i++)
		t->all += v[i];
	t->steal = v[7];
	t->busy = t->all - v[3] - v[4] - v[7];
	for (int i = 0; i < 4; i++) {
		const struct timeval *tv = i == 0 ? &self.ru_utime : i == 1 ? &self.ru_stime :
					   i == 2 ? &children.ru_utime : &children.ru_stime;

		t->own += ((double)tv->tv_sec + 1e-6 * (double)tv->tv_usec) * (double)sysconf(_SC_CLK_TCK);
	}
	return true;
}

static struct ticks began;
static bool began_known;

void bench_machine_begin(struct bench_machine *m)
{
	struct zen5rt_cpu_info cpu;
	struct utsname u;
	char text[128], *p, *end;

	memset(m, 0, sizeof(*m));
	zen5rt_cpu_info(&cpu);
	cpu_what(&cpu, m->cpu, sizeof(m->cpu));
	m->zen5 = cpu.zen5;
	if (!uname(&u))
		snprintf(m->kernel, sizeof(m->kernel), "%s %s", u.sysname, u.release);
	first_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", m->governor, sizeof(m->governor));
	if (!*m->governor)
		snprintf(m->governor, sizeof(m->governor), "none");
	first_line("/sys/kernel/mm/transparent_hugepage/enabled", text, sizeof(text));
	p = strchr(text, '[');
	end = p ? strchr(p, ']') : NULL;
	if (end)
		snprintf(m->thp, sizeof(m->thp), "%.*s", (int)(end - p - 1), p + 1);
	m->mem_total = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
	began_known = ticks(&began);
}

void bench_machine_end(struct bench_machine *m)
{
	struct ticks now;

	m->load_1 = m->steal = m->foreign = NAN;
	if (getloadavg(&m->load_1, 1) != 1)
		m->load_1 = NAN;
	if (!began_known || !ticks(&now) || now.all <= began.all)
		return;
	m->steal = (now.steal - began.steal) / (now.all - began.all);
	m->foreign = (now.busy - began.busy - (now.own - began.own)) / (now.all - began.all);
	/* the kernel counts in ticks, and the process in microseconds */
	m->foreign = m->foreign > 0 ? m->foreign : 0;
}

uint64_t bench_rss(void)
{
	unsigned long long pages = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (f) {
		if (fscanf(f, "%*u %llu", &pages) != 1)
			pages = 0;
		fclose(f);
	}
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
