// SPDX-License-Identifier: GPL-2.0-only
/*
 * L3 domains: what AMD calls a core complex, and for Zen 5 the same as a CCD on the desktop and
 * in servers.
 *
 * A CPU says itself which others share its L3: CPUID leaf 8000001D (AMD) or 4 (Intel, the same
 * layout) of level 3 has the number of APIC IDs that do. The kernel knows, too, and exports
 * nothing of it to modules.
 */
#include <linux/cpu.h>
#include <linux/cpuhotplug.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <linux/topology.h>

#include "compat.h"
#include "zen5mem.h"

struct z5m_l3 {
	u64 key;		/* the same for all CPUs of the domain, and for no other */
	u64 bytes;
	int node, package;
	cpumask_var_t online;
};

/* Only ever gets longer: numbers stay when CPUs go. */
static struct z5m_l3 *z5m_l3s;	/* nr_cpu_ids */
static unsigned int z5m_n_l3s;
static DEFINE_MUTEX(z5m_l3s_lock);
static int z5m_l3s_state;

/* A machine that says nothing about its L3: one domain a node. */
#define Z5M_KEY_OF_NODE	BIT_ULL(63)

/* The feature bit is not asked for: some virtual machines have the leaf and not the bit. */
static unsigned int z5m_l3_leaf(void)
{
	switch (boot_cpu_data.x86_vendor) {
	case X86_VENDOR_AMD:
	case X86_VENDOR_HYGON:
		return cpuid_eax(0x80000000) >= 0x8000001d ? 0x8000001d : 0;
	case X86_VENDOR_INTEL:
		return cpuid_eax(0) >= 4 ? 4 : 0;
	}
	return 0;
}

static u32 z5m_l3_apic_id(void)
{
	u32 a, b, c, d;

	if (cpuid_eax(0) >= 0xb) {
		cpuid_count(0xb, 0, &a, &b, &c, &d);
		if (b)
			return d;
	}
	return cpuid_ebx(1) >> 24;
}

/* Of the CPU that it runs on. */
static void z5m_l3_read(struct z5m_l3 *l3, unsigned int cpu)
{
	unsigned int leaf = z5m_l3_leaf(), i;
	u32 a, b, c, d;

	l3->node = cpu_to_node(cpu) == NUMA_NO_NODE ? first_online_node : cpu_to_node(cpu);
	l3->package = topology_physical_package_id(cpu);
	l3->bytes = 0;
	l3->key = Z5M_KEY_OF_NODE | l3->node;
	for (i = 0; leaf && i < 16; i++) {
		cpuid_count(leaf, i, &a, &b, &c, &d);
		if (!(a & 0x1f))	/* no more caches */
			return;
		if (((a >> 5) & 7) != 3)
			continue;
		l3->key = z5m_l3_apic_id() >> order_base_2(((a >> 14) & 0xfff) + 1);
		l3->bytes = (u64)((b >> 22) + 1) * (((b >> 12) & 0x3ff) + 1) * ((b & 0xfff) + 1) *
			    ((u64)c + 1);
		return;
	}
}

/* Runs on the CPU. */
static int z5m_l3_online(unsigned int cpu)
{
	struct z5m_l3 l3;
	unsigned int i;
	int ret = 0;

	z5m_l3_read(&l3, cpu);
	mutex_lock(&z5m_l3s_lock);
	for (i = 0; i < z5m_n_l3s && z5m_l3s[i].key != l3.key; i++)
		;
	if (i == z5m_n_l3s) {
		/* That a CPU comes back with another L3 each time is no machine's habit. */
		if (z5m_n_l3s < nr_cpu_ids && zalloc_cpumask_var(&l3.online, GFP_KERNEL))
			z5m_l3s[z5m_n_l3s++] = l3;
		else
			ret = -ENOMEM;
	}
	if (!ret)
		cpumask_set_cpu(cpu, z5m_l3s[i].online);
	mutex_unlock(&z5m_l3s_lock);
	return ret;
}

static int z5m_l3_offline(unsigned int cpu)
{
	unsigned int i;

	mutex_lock(&z5m_l3s_lock);
	for (i = 0; i < z5m_n_l3s; i++)
		cpumask_clear_cpu(cpu, z5m_l3s[i].online);
	mutex_unlock(&z5m_l3s_lock);
	return 0;
}

/*
 * As lib/topo of the runtime does: one L3 domain a node is taken as srat-llc, which promises
 * less.
 */
static u32 z5m_locality(void)
{
	bool divided = false, shared = false;
	unsigned int i, k;

	lockdep_assert_held(&z5m_l3s_lock);
	for (i = 0; i < z5m_n_l3s; i++) {
		for (k = 0; k < i; k++) {
			if (z5m_l3s[i].package != z5m_l3s[k].package)
				continue;
			if (z5m_l3s[i].node == z5m_l3s[k].node)
				shared = true;
			else
				divided = true;
		}
	}
	if (!divided)
		return Z5M_LOCALITY_NONE;
	return shared ? Z5M_LOCALITY_QUADRANT : Z5M_LOCALITY_SRAT_LLC;
}

unsigned int z5m_domains_count(void)
{
	return READ_ONCE(z5m_n_l3s);
}

int z5m_domains_get(struct z5m_domain *d)
{
	const struct z5m_l3 *l3;
	unsigned int cpu;
	int ret = 0;

	mutex_lock(&z5m_l3s_lock);
	if (d->index < z5m_n_l3s) {
		l3 = &z5m_l3s[d->index];
		*d = (struct z5m_domain){
			.index = d->index,
			.node = l3->node,
			.locality = z5m_locality(),
			.l3_bytes = l3->bytes,
			.n_cpus = cpumask_weight(l3->online),
		};
		for_each_cpu(cpu, l3->online)
			if (cpu / 64 < Z5M_CPU_WORDS)
				d->cpus[cpu / 64] |= BIT_ULL(cpu % 64);
	} else {
		ret = -ENOENT;
	}
	mutex_unlock(&z5m_l3s_lock);
	return ret;
}

int z5m_domains_node(unsigned int index)
{
	int node = -ENODEV;

	mutex_lock(&z5m_l3s_lock);
	if (index < z5m_n_l3s)
		node = z5m_l3s[index].node;
	mutex_unlock(&z5m_l3s_lock);
	return node;
}

int z5m_domains_cpu(unsigned int index, int *package)
{
	int cpu = -ENODEV;

	mutex_lock(&z5m_l3s_lock);
	if (index < z5m_n_l3s) {
		cpu = cpumask_first(z5m_l3s[index].online);
		if (cpu >= nr_cpu_ids)
			cpu = -1;
		if (package)
			*package = z5m_l3s[index].package;
	}
	mutex_unlock(&z5m_l3s_lock);
	return cpu;
}

static void z5m_domains_free(void)
{
	while (z5m_n_l3s)
		free_cpumask_var(z5m_l3s[--z5m_n_l3s].online);
	kfree(z5m_l3s);
}

int z5m_domains_init(void)
{
	int ret;

	z5m_l3s = kcalloc(nr_cpu_ids, sizeof(*z5m_l3s), GFP_KERNEL);
	if (!z5m_l3s)
		return -ENOMEM;
	ret = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "zen5mem:online", z5m_l3_online,
				z5m_l3_offline);
	if (ret < 0) {
		z5m_domains_free();
		return ret;
	}
	z5m_l3s_state = ret;
	return 0;
}

void z5m_domains_exit(void)
{
	cpuhp_remove_state_nocalls(z5m_l3s_state);
	z5m_domains_free();
}
