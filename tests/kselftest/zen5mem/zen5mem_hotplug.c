// SPDX-License-Identifier: MIT
/* CPUs that go and come back: the domains follow, and their numbers stay. */
#define _GNU_SOURCE
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define CPU_DIR "/sys/devices/system/cpu"
#define MAX_CPUS (Z5M_CPU_WORDS * 64)
#define MAX_DOMAINS 64

static char online_path[MAX_CPUS][64];

static int cpu_switch(unsigned int cpu, const char *to)
{
	return z5t_write_file(online_path[cpu], to);
}

static int has(const struct z5m_domain *d, unsigned int cpu)
{
	return d->cpus[cpu / 64] >> cpu % 64 & 1;
}

/* A CPU that can be switched off; the last one, since the first often cannot be. */
static int find_cpu(void)
{
	int cpu;

	z5t_need_root();
	for (cpu = MAX_CPUS - 1; cpu > 0; cpu--) {
		if (z5t_exists(online_path[cpu]) && !cpu_switch(cpu, "0")) {
			need(!cpu_switch(cpu, "1"));
			return cpu;
		}
	}
	z5t_skip("no CPU can be switched off");
}

static int domain_of(unsigned int cpu, struct z5m_domain *d)
{
	int i;

	for (i = 0; !z5t_domain(i, d); i++) {
		if (has(d, cpu))
			return i;
	}
	return -1;
}

static void hotplug_mask(void)
{
	int cpu = find_cpu(), i, n, count = z5t_version().n_domains;
	static struct z5m_domain before[MAX_DOMAINS], now;

	need(count <= MAX_DOMAINS);
	for (i = 0; i < count; i++)
		need(!z5t_domain(i, &before[i]));
	for (n = 0; n < 3; n++) {
		need(!cpu_switch(cpu, "0"));
		check(domain_of(cpu, &now) == -1, "CPU %d is off", cpu);
		for (i = 0; i < count; i++) {
			need(!z5t_domain(i, &now));
			check(now.n_cpus == before[i].n_cpus - has(&before[i], cpu));
			check(now.node == before[i].node);
			check(now.l3_bytes == before[i].l3_bytes);
		}
		check((int)z5t_version().n_domains == count);
		need(!cpu_switch(cpu, "1"));
		for (i = 0; i < count; i++) {
			need(!z5t_domain(i, &now));
			check(!memcmp(&now, &before[i], sizeof(now)), "domain %d", i);
		}
	}
}

/* A domain without any CPU keeps its number and its memory. */
static void hotplug_domain(void)
{
	struct z5m_domain d, now;
	struct z5m_create c;
	struct z5m_slot slot;
	uint32_t count = 1;
	int cpu = find_cpu(), index = domain_of(cpu, &d), i, fd;

	need(index >= 0);
	if (z5t_version().n_domains == 1 || has(&d, 0))
		z5t_skip("no domain can be switched off");
	for (i = 0; i < (int)MAX_CPUS; i++) {
		if (has(&d, i) && cpu_switch(i, "0"))
			z5t_skip("CPU %d cannot be switched off", i);
	}
	need(!z5t_domain(index, &now), "the number stays");
	check(now.n_cpus == 0 && now.node == d.node);
	fd = z5t_create_at(Z5M_PLACE_CCD, index, 4 * MIB, Z5M_ORDER_2M, 0, NULL, &c);
	check(fd >= 0, "its node has memory as before");
	if (fd >= 0) {
		check(z5t_slots(fd, 0, &slot, &count) == 1 && slot.node == d.node);
		check(z5t_info(fd).bytes_off_node == 0);
		close(fd);
	}
	for (i = 0; i < (int)MAX_CPUS; i++) {
		if (has(&d, i))
			check(!cpu_switch(i, "1"));
	}
	need(!z5t_domain(index, &now));
	check(!memcmp(&now, &d, sizeof(d)));
}

/* Regions come and go while CPUs do. */
static void hotplug_busy(void)
{
	int cpu = find_cpu(), i, fd;
	pid_t pid;
	char *p;

	pid = z5t_fork();
	if (!pid) {
		for (i = 0;; i++) {
			struct z5m_domain d;
			unsigned int index;

			for (index = 0; !z5t_domain(index, &d); index++) {
				fd = z5t_create_at(Z5M_PLACE_CCD, index, 2 * MIB, i % 2 * 9,
						   Z5M_CREATE_OTHER_NODES, NULL, NULL);
				if (fd < 0) {
					check(fd >= 0);
					z5t_end();
				}
				p = z5t_map(fd, 2 * MIB, PROT_READ | PROT_WRITE, 0);
				p[0] = 1;
				munmap(p, 2 * MIB);
				close(fd);
			}
		}
	}
	for (i = 0; i < 4; i++) {
		need(!cpu_switch(cpu, "0"));
		need(!cpu_switch(cpu, "1"));
	}
	z5t_kill(pid);
}

/* Anywhere, from a CPU whose node may have no memory: there is always an answer. */
static void hotplug_each_cpu(void)
{
	uint64_t online[Z5M_CPU_WORDS];
	char text[4096];
	unsigned int cpu;
	cpu_set_t set;
	int fd;

	z5t_read_file(CPU_DIR "/online", text, sizeof(text));
	z5t_list(text, online);
	for (cpu = 0; cpu < MAX_CPUS && cpu < CPU_SETSIZE; cpu++) {
		if (!(online[cpu / 64] >> cpu % 64 & 1))
			continue;
		CPU_ZERO(&set);
		CPU_SET(cpu, &set);
		if (sched_setaffinity(0, sizeof(set), &set))
			continue;
		fd = z5t_create(PAGE, 0, 0, NULL);
		check(fd >= 0, "CPU %u", cpu);
		close(fd);
	}
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(hotplug_mask), T(hotplug_domain), T(hotplug_busy), T(hotplug_each_cpu),
	};
	int cpu;

	for (cpu = 0; cpu < (int)MAX_CPUS; cpu++) {
		snprintf(online_path[cpu], sizeof(online_path[0]), CPU_DIR "/cpu%d/online", cpu);
		z5t_guard(online_path[cpu]);
	}
	return z5t_run(argc, argv, tests);
}
