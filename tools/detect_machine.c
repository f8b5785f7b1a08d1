// SPDX-License-Identifier: MIT
#include "detect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "common.h"

/* How many different values CPUs have of what get gives; negative ones are one unknown. */
static unsigned int count_of(const struct z5_topo *t, int (*get)(const struct z5_cpu *c))
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < t->n_cpus; i++) {
		unsigned int j;

		/* CPUs of a package or node stand together for the most part: the look back is short. */
		for (j = i; j && get(&t->cpus[j - 1]) != get(&t->cpus[i]); j--)
			;
		n += !j;
	}
	return n;
}

static int cpu_package(const struct z5_cpu *c)
{
	return c->package;
}

static int cpu_node(const struct z5_cpu *c)
{
	return c->node;
}

void machine_read(struct machine *m, const char *root)
{
	struct zen5rt_error err;
	struct stat st;

	memset(m, 0, sizeof(*m));
	m->root = root;
	if (*root && stat(root, &st))
		die("%s: %s", root, strerror(errno));
	if (*root && !S_ISDIR(st.st_mode))
		die("%s: not a directory; --root wants one that --record has made", root);
	if (z5_cpuid_open(root, &m->cpuid, &err) || z5_topo_read(root, &m->topo, &err) ||
	    z5_mem_info_read(root, &m->mem, &err))
		die("%s", err.message);
	z5_cpu_identify(&m->cpuid, &m->cpu);
	z5_sources_read(root, &m->sources);
	m->n_umc = z5_cpu_n_umc(&m->cpuid);
	m->l3_monitoring = z5_cpu_l3_monitoring(&m->cpuid);
	m->n_packages = count_of(&m->topo, cpu_package);
	m->n_nodes = count_of(&m->topo, cpu_node);
}

void machine_free(struct machine *m)
{
	z5_mem_info_free(&m->mem);
	z5_topo_free(&m->topo);
	z5_cpuid_close(&m->cpuid);
}

const char *locality_word(const struct machine *m)
{
	switch (z5_topo_locality(&m->topo)) {
	case Z5_LOCALITY_QUADRANT: return "quadrant";
	case Z5_LOCALITY_SRAT_LLC: return "srat-llc";
	case Z5_LOCALITY_NONE: break;
	}
	return "none";
}

const char *locality_text(const struct machine *m)
{
	switch (z5_topo_locality(&m->topo)) {
	case Z5_LOCALITY_QUADRANT:
		return "each node has memory channels of its own, which the L3 domains of that node share";
	case Z5_LOCALITY_SRAT_LLC:
		return "the firmware declares each L3 a node; that is for schedulers and says nothing about the distance of memory";
	case Z5_LOCALITY_NONE:
		break;
	}
	if (m->n_nodes > 1 && m->n_packages > 1)
		return "within a package all memory is equally far from all cores; an L3 domain is cores, cache and link only. "
		       "The other packages' memory is farther";
	return "all memory is equally far from all cores; an L3 domain is cores, cache and link only";
}

char *domain_cpus(const struct z5_topo *t, unsigned int l3, int core)
{
	struct z5_mask *mask = calloc(1, sizeof(*mask));
	char *text = NULL;
	size_t len;
	FILE *f = open_memstream(&text, &len);
	bool first = true;

	if (!mask || !f)
		die("out of memory");
	for (unsigned int i = 0; i < t->n_cpus; i++)
		if ((unsigned int)t->cpus[i].l3 == l3 && (core < 0 || t->cpus[i].core == core))
			CPU_SET_S(t->cpus[i].cpu, sizeof(*mask), mask->set);
	for (int c = 0, end; c < Z5_MASK_CPUS; c = end + 1) {
		for (end = c; end < Z5_MASK_CPUS && CPU_ISSET_S(end, sizeof(*mask), mask->set); end++)
			;
		if (end == c)
			continue;
		fprintf(f, "%s%d", first ? "" : ",", c);
		if (end - c > 1)
			fprintf(f, "%c%d", end - c > 2 ? '-' : ',', end - 1);
		first = false;
	}
	if (fclose(f))
		die("out of memory");
	free(mask);
	return text;
}
