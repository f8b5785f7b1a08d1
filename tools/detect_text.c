// SPDX-License-Identifier: MIT
#include "detect.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mem/device.h>

#include "common.h"

static const char *bytes_text(char buf[32], uint64_t bytes)
{
	return human_bytes(buf, 32, (double)bytes);
}

/* "1 page", "2 pages" */
static const char *plural(uint64_t n)
{
	return n == 1 ? "" : "s";
}

static void text_cpu(const struct machine *m)
{
	const struct zen5rt_cpu_info *c = &m->cpu;

	printf("CPU:        %s\n", *c->brand ? c->brand : "without a name");
	printf("            %s family %02Xh, model %02Xh, stepping %u%s%s%s%s%s\n",
	       *c->vendor ? c->vendor : "unknown vendor", c->family, c->model, c->stepping,
	       *c->core ? ": " : "", c->core, *c->product ? " (" : "", c->product, *c->product ? ")" : "");
	printf("Zen 5:      %s", c->zen5 ? "yes" : "no");
	if (c->data_path_bits)
		printf(", %u-bit data path", c->data_path_bits);
	printf("\nlevel:      %s", c->level);
	if (*c->missing)
		printf(" (the next one needs: %s)", c->missing);
	putchar('\n');
	if (c->hypervisor)
		printf("hypervisor: %s\n", *c->hypervisor_vendor ? c->hypervisor_vendor : "yes, without a name");
}

static void text_topology(const struct machine *m)
{
	const struct z5_topo *t = &m->topo;
	char buf[32];

	printf("cores:      %u core%s, %u CPU%s, %u package%s, %u node%s", t->n_cores, plural(t->n_cores), t->n_cpus,
	       plural(t->n_cpus), m->n_packages, plural(m->n_packages), m->n_nodes, plural(m->n_nodes));
	if (t->quota)
		printf("; the control group allows %u CPU%s", t->quota, plural(t->quota));
	putchar('\n');
	for (unsigned int i = 0; i < t->n_l3s; i++) {
		char *cpus = domain_cpus(t, i, -1);

		printf("  L3 %-3u    %s, node ", i,
		       t->l3s[i].bytes ? bytes_text(buf, t->l3s[i].bytes) : "size unknown");
		if (t->l3s[i].node < 0)
			putchar('?');
		else
			printf("%d", t->l3s[i].node);
		printf(", %u core%s, CPUs %s\n", t->l3s[i].n_cores, plural(t->l3s[i].n_cores), cpus);
		free(cpus);
	}
	if (t->n_cpus > t->n_cores) {
		char *cpus = domain_cpus(t, 0, 0);

		printf("  siblings  second threads share a core: CPUs %s are the first core\n", cpus);
		free(cpus);
	}
	printf("locality:   %s (%s)\n", locality_word(m), locality_text(m));
}

static void text_memory(const struct machine *m)
{
	static const char *const names[Z5_N_POOLS] = { "1 GiB", "2 MiB" };
	const struct z5_mem_info *mem = &m->mem;
	char a[32], b[32];

	if (mem->total)
		printf("memory:     %s, %s available\n", bytes_text(a, mem->total), bytes_text(b, mem->available));
	else
		puts("memory:     size unknown");
	for (unsigned int i = 0; i < Z5_N_POOLS; i++) {
		const struct z5_page_pool *p = &mem->pools[i];

		if (!p->present || (i == Z5_POOL_1G && !m->cpu.pages_1g))
			continue;
		printf("  %s     %llu reserved for all, %llu free", names[i], (unsigned long long)p->total,
		       (unsigned long long)(p->free - p->reserved));
		for (unsigned int k = 0; p->total && mem->n_nodes > 1 && k < mem->n_nodes; k++)
			printf("%s node %d: %llu of %llu", k ? "," : ";", mem->nodes[k].node,
			       (unsigned long long)mem->nodes[k].pools[i].free,
			       (unsigned long long)mem->nodes[k].pools[i].total);
		putchar('\n');
	}
	printf("  THP       %s\n", *mem->thp ? mem->thp : "none");
}

static void text_counters(const struct machine *m)
{
	const struct z5_sources *s = &m->sources;

	printf("counters:   amd_l3 %s, amd_umc ", s->l3 ? "yes" : "no");
	if (s->n_umc)
		printf("%u", s->n_umc);
	else
		fputs("no", stdout);
	printf(", amd_df %s; perf_event_paranoid %d\n", s->df ? "yes" : "no", s->paranoid);
	printf("resctrl:    %s%s\n", s->resctrl_mounted ? "mounted" : s->resctrl ? "not mounted" : "no",
	       s->l3_monitoring & (Z5_CQM_TOTAL | Z5_CQM_LOCAL) ? ", L3 bandwidth (MBM)" : "");
}

/* Of this machine's module more can be told than of a recorded one's. */
static void text_device(const struct machine *m)
{
	unsigned int reserve = 0, used = 0;
	struct z5m_version v;
	char a[32], b[32];
	char why[256];
	int dev;

	printf("zen5mem:    %s", m->mem.device ? Z5M_DEVICE : "no");
	if (m->mem.device && !*m->root) {
		dev = z5_dev_open(&v, why, sizeof(why));
		if (dev < 0)
			printf(": %s", why);
		for (uint32_t n = 0; dev >= 0 && n < v.n_nodes; n++) {
			struct z5m_node node = { .node = n };

			if (z5_dev_ioctl(dev, Z5M_IOC_NODE, &node) < 0)
				continue;
			reserve += node.reserve;
			used += node.reserve_used;
		}
		if (dev >= 0) {
			printf(", reserve of 1 GiB pages: %u free, %u used; %s of at most %s in regions; %s", reserve, used,
			       bytes_text(a, v.used_bytes), bytes_text(b, v.max_bytes),
			       v.features & Z5M_FEATURE_COUNTERS ? "counters (zen5-top)" : "a version without counters");
			close(dev);
		}
	}
	putchar('\n');
}

static void text_reserve(const struct advice *a)
{
	printf("            %llu of them to be reserved first (else: %s):\n", (unsigned long long)a->missing,
	       a->instead);
	for (unsigned int i = 0; i < a->n_commands; i++)
		printf("              %s\n", a->commands[i]);
	printf("            Memory that is in use already may leave fewer; then with the kernel's parameters at boot:\n"
	       "              %s\n", a->boot);
}

static void text_model(const struct machine *m, const struct model *model, const struct advice *a)
{
	const struct zen5rt_model_plan *p = &model->plan;
	char w[32], f[32], kv[32], page[32];

	printf("model:      %s: %s, %u tensor%s, %s in ", model->path, *p->arch ? p->arch : "no architecture",
	       p->n_tensors, plural(p->n_tensors), bytes_text(f, p->file_bytes));
	if (p->n_parts > 1)
		printf("%u files\n", p->n_parts);
	else
		puts("the file");
	printf("  weights   %s, repacked", bytes_text(w, p->weight_bytes));
	if (p->n_unsupported)
		printf(", of which %u tensor%s as in the file (%s)", p->n_unsupported, plural(p->n_unsupported),
		       p->unsupported);
	putchar('\n');
	if (p->kv_bytes)
		printf("  KV cache  %s for a context of %u (trained for %u)\n", bytes_text(kv, p->kv_bytes), p->n_ctx,
		       p->n_ctx_train);
	if (p->state_bytes)
		printf("  state     %s with two copies, for a context of any length (trained for %u)\n",
		       bytes_text(kv, p->state_bytes), p->n_ctx_train);
	if (*p->refused)
		printf("            this version cannot run it: %s\n", p->refused);
	if (a->page > 4096)
		printf("  pages     %llu page%s of %s for the weights (%s)\n", (unsigned long long)a->need,
		       plural(a->need), human_bytes(page, sizeof(page), (double)a->page), a->pages);
	if (m->mem.device)
		puts("            the module zen5mem serves them first (zen5-mem list; zen5-mem reserve N)");
	if (!a->fits)
		printf("            more than the %s of this machine: take a smaller type or context\n",
		       bytes_text(w, m->mem.total));
	else if (a->n_commands)
		text_reserve(a);
	else if (!strncmp(a->pages, "hugetlb", 7) && !a->missing)
		puts("            so many are free");
	if (!*p->refused && a->fits)
		printf("  run       %s\n", a->run);
}

void print_text(const struct machine *m, const struct model *model, const struct advice *a)
{
	text_cpu(m);
	text_topology(m);
	text_memory(m);
	text_counters(m);
	text_device(m);
	printf("take:       %u thread%s (%s), pages: %s", a->threads, plural(a->threads), a->threads_why, a->pages);
	if (*a->prefix)
		printf(", start with %.*s", (int)strlen(a->prefix) - 1, a->prefix);
	putchar('\n');
	if (model->path)
		text_model(m, model, a);
	if (a->n_absent)
		puts("absent:");
	for (unsigned int i = 0; i < a->n_absent; i++)
		printf("  %s: %s. Remedy: %s\n", a->absent[i].what, a->absent[i].why, a->absent[i].remedy);
}
