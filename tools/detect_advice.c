// SPDX-License-Identifier: MIT
#include "detect.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

static const char qemu_cpu[] = "give the guest the CPU of its host (QEMU: -cpu host)";

__attribute__((format(printf, 4, 5)))
static void add(struct advice *a, const char *what, const char *remedy, const char *why, ...)
{
	struct absent *x = &a->absent[a->n_absent];
	va_list ap;

	if (a->n_absent == MAX_ABSENT)
		return;
	a->n_absent++;
	x->what = what;
	va_start(ap, why);
	vsnprintf(x->why, sizeof(x->why), why, ap);
	va_end(ap);
	snprintf(x->remedy, sizeof(x->remedy), "%s", remedy);
}

/* ---- what is absent, why, and what helps ---- */

static void absent_cpu(struct advice *a, const struct machine *m)
{
	const struct zen5rt_cpu_info *c = &m->cpu;
	const char *remedy = "none: this CPU has no more";
	char what[160];

	if (!c->zen5) {
		cpu_what(c, what, sizeof(what));
		add(a, "Zen 5", "none needed: zen5rt runs on any x86-64 with the same answers, bit for bit",
		    "this is %s", what);
	}
	if (*c->missing) {
		if (c->hypervisor)
			remedy = qemu_cpu;
		else if (strstr(c->missing, "os-"))
			remedy = "boot without noxsave and clearcpuid";
		else if (c->zen5)
			remedy = "switch AVX-512 on in the firmware's setup";
		add(a, strcmp(c->level, "scalar") ? "level avx512vnni" : "level avx2", remedy, "missing: %s",
		    c->missing);
	}
	if (m->topo.l3s[0].bytes)
		return;
	if (c->hypervisor)
		add(a, "L3 domains", "let the guest see the caches of its host (QEMU: -cpu host,host-cache-info=on)",
		    "the hypervisor hides the L3: each package counts as one domain");
	else
		add(a, "L3 domains", "mount -t sysfs sysfs /sys; in containers: allow reading it",
		    "sysfs shows no L3: each package counts as one domain");
}

static void absent_pages(struct advice *a, const struct machine *m, const struct model *model)
{
	const struct z5_mem_info *mem = &m->mem;

	if (!m->cpu.pages_1g)
		add(a, "pages of 1 GiB", m->cpu.hypervisor ? qemu_cpu : "none needed: pages of 2 MiB serve",
		    m->cpu.hypervisor ? "the hypervisor hides them (pdpe1gb)" : "this CPU has none (pdpe1gb)");
	else if (!mem->pools[Z5_POOL_1G].present)
		add(a, "pages of 1 GiB", "a kernel with CONFIG_HUGETLBFS; in containers: allow reading /sys",
		    "this kernel has no pool of them");
	else if (mem->pools[Z5_POOL_1G].free == mem->pools[Z5_POOL_1G].reserved)
		add(a, "free pages of 1 GiB",
		    a->n_commands ? "the commands for this model" :
		    model->path ? "none: this model does not fit into the memory" :
				  "zen5-detect MODEL.gguf tells how many and the commands",
		    "%llu reserved for all, %llu of them free", (unsigned long long)mem->pools[Z5_POOL_1G].total,
		    (unsigned long long)(mem->pools[Z5_POOL_1G].free - mem->pools[Z5_POOL_1G].reserved));
	if (!mem->pools[Z5_POOL_2M].present)
		add(a, "pages of 2 MiB", "a kernel with CONFIG_HUGETLBFS; in containers: allow reading /sys",
		    "this kernel has no pool of them");
	if (!*mem->thp)
		add(a, "transparent huge pages", "a kernel with CONFIG_TRANSPARENT_HUGEPAGE",
		    "this kernel has none");
	else if (!strcmp(mem->thp, "never"))
		add(a, "transparent huge pages",
		    "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled", "switched off");
	if (!mem->device)
		add(a, "/dev/zen5mem",
		    "none needed: regions come from the kernel's own pages; or: sudo modprobe zen5mem",
		    "the module zen5mem is not loaded");
}

/* Why a PMU of amd_uncore is not there. */
static void absent_pmu(struct advice *a, const struct machine *m, const char *what, bool declared)
{
	const struct z5_sources *s = &m->sources;
	bool umc = !strcmp(what, "amd_umc");

	if (strcmp(m->cpu.vendor, "AuthenticAMD"))
		add(a, what, "none", "only AMD CPUs have this counter");
	else if (m->cpu.hypervisor)
		add(a, what, "count on the host", "a virtual machine does not see it");
	else if (!declared)
		add(a, what, "look for a newer firmware", "CPU and firmware declare none (leaf 80000022h)");
	else if (umc && s->kernel_major && (s->kernel_major < 6 || (s->kernel_major == 6 && s->kernel_minor < 7)))
		add(a, what, "a kernel from 6.7 on", "kernel %u.%u has no driver for it", s->kernel_major,
		    s->kernel_minor);
	else
		add(a, what, "sudo modprobe amd_uncore", "the driver amd_uncore is not there or not loaded");
}

static void absent_counters(struct advice *a, const struct machine *m)
{
	const struct z5_sources *s = &m->sources;

	if (!s->l3)
		absent_pmu(a, m, "amd_l3", true);
	if (!s->n_umc)
		absent_pmu(a, m, "amd_umc", m->n_umc > 0);
	if ((s->l3 || s->n_umc) && s->paranoid > 0)
		add(a, "counters for all users", "sudo sysctl kernel.perf_event_paranoid=0, or run with CAP_PERFMON",
		    "kernel.perf_event_paranoid is %d", s->paranoid);
	if (!m->l3_monitoring)
		add(a, "resctrl", m->cpu.hypervisor ? "count on the host" : "none",
		    m->cpu.hypervisor ? "a virtual machine does not see it" : "this CPU has no L3 monitoring");
	else if (!s->resctrl)
		add(a, "resctrl", "a kernel with CONFIG_X86_CPU_RESCTRL", "this kernel does not have it");
	else if (!s->resctrl_mounted)
		add(a, "resctrl", "sudo mount -t resctrl resctrl /sys/fs/resctrl", "it is not mounted");
	else if (!(s->l3_monitoring & (Z5_CQM_TOTAL | Z5_CQM_LOCAL)))
		add(a, "resctrl bandwidth", "boot without rdt=!mbmtotal,!mbmlocal",
		    "the kernel does not offer L3 bandwidth (MBM)");
}

/* ---- pages ---- */

static void choose_pages(struct advice *a, const struct machine *m)
{
	const struct z5_mem_info *mem = &m->mem;
	const bool thp = *mem->thp && strcmp(mem->thp, "never");

	a->instead = thp ? "transparent pages of 2 MiB" : "pages of 4 KiB";
	if (m->cpu.pages_1g && mem->pools[Z5_POOL_1G].present) {
		a->pages = "hugetlb-1g";
		a->page = z5_pool_page[Z5_POOL_1G];
	} else if (mem->pools[Z5_POOL_2M].present) {
		a->pages = "hugetlb-2m";
		a->page = z5_pool_page[Z5_POOL_2M];
	} else if (thp) {
		a->pages = "thp";
		a->page = z5_pool_page[Z5_POOL_2M];
	} else {
		a->pages = "plain";
		a->page = 4096;
	}
}

/* "echo N | sudo tee FILE" at the end of the list. */
static void command(struct advice *a, int node, uint64_t pages)
{
	char dir[64] = "/sys/kernel/mm", *text;
	char **p = realloc(a->commands, (a->n_commands + 1) * sizeof(*p));

	if (node >= 0)
		snprintf(dir, sizeof(dir), "/sys/devices/system/node/node%d", node);
	if (!p || asprintf(&text, "echo %llu | sudo tee %s/hugepages/hugepages-%llukB/nr_hugepages",
			   (unsigned long long)pages, dir, (unsigned long long)a->page >> 10) < 0)
		die("out of memory");
	a->commands = p;
	p[a->n_commands++] = text;
}

/* Pages that a node's memory can hold. */
static uint64_t node_room(const struct z5_mem_node *node, unsigned int pool)
{
	return node->pools[pool].present ? node->total / z5_pool_page[pool] : 0;
}

/* Adds want pages to the nodes' shares as evenly as their memory allows. Returns how many found no place. */
static uint64_t spread(uint64_t *share, uint64_t want, const struct z5_mem_info *mem, unsigned int pool)
{
	unsigned int open;

	do {
		uint64_t each;

		open = 0;
		for (unsigned int i = 0; i < mem->n_nodes; i++)
			open += share[i] < node_room(&mem->nodes[i], pool);
		/* In the last round there are fewer pages than nodes: the first ones take one each. */
		each = open && want / open ? want / open : 1;
		for (unsigned int i = 0; i < mem->n_nodes && want; i++) {
			uint64_t room = node_room(&mem->nodes[i], pool) - share[i], take = each < want ? each : want;

			take = take < room ? take : room;
			share[i] += take;
			want -= take;
		}
	} while (want && open);
	return want;
}

/* Pages that are free already count. The boot parameter asks for all that there will be, since it starts from none. */
static void reserve(struct advice *a, const struct machine *m, unsigned int pool)
{
	const struct z5_mem_info *mem = &m->mem;
	uint64_t want = a->need + mem->pools[pool].reserved, all = mem->pools[pool].total + a->missing;
	bool by_node = m->sources.kernel_major > 5 || !m->sources.kernel_major ||
		       (m->sources.kernel_major == 5 && m->sources.kernel_minor >= 16);
	uint64_t *share = calloc(mem->n_nodes + 1, sizeof(*share));
	unsigned int n = 0;
	size_t len;

	if (!share)
		die("out of memory");
	want = spread(share, want, mem, pool);
	len = (size_t)snprintf(a->boot, sizeof(a->boot), "hugepagesz=%s hugepages=", pool == Z5_POOL_1G ? "1G" : "2M");
	if (want || !mem->n_nodes) {
		/* No nodes, or they do not say what they have. */
		command(a, -1, all);
		snprintf(a->boot + len, sizeof(a->boot) - len, "%llu", (unsigned long long)all);
		free(share);
		return;
	}
	all = 0;
	for (unsigned int i = 0; i < mem->n_nodes; i++) {
		const struct z5_page_pool *p = &mem->nodes[i].pools[pool];
		uint64_t pages = p->total + (share[i] > p->free ? share[i] - p->free : 0);

		if (pages > p->total)
			command(a, mem->nodes[i].node, pages);
		if (pages)
			n++;
		all += pages;
		share[i] = pages;
	}
	if (n < 2 || !by_node)
		snprintf(a->boot + len, sizeof(a->boot) - len, "%llu", (unsigned long long)all);
	for (unsigned int i = 0, k = 0; n > 1 && by_node && i < mem->n_nodes && len < sizeof(a->boot); i++)
		if (share[i])
			len += (size_t)snprintf(a->boot + len, sizeof(a->boot) - len, "%s%d:%llu", k++ ? "," : "",
						mem->nodes[i].node, (unsigned long long)share[i]);
	free(share);
}

static void advise_model(struct advice *a, const struct machine *m, const struct model *model)
{
	const struct z5_mem_info *mem = &m->mem;
	const unsigned int pool = a->page == z5_pool_page[Z5_POOL_1G] ? Z5_POOL_1G : Z5_POOL_2M;
	uint64_t weights = model->plan.weight_bytes, left, bytes;
	char *path, ctx[32] = "";

	a->need = weights / a->page + (weights % a->page != 0);
	if (__builtin_mul_overflow(a->need, a->page, &bytes) ||
	    __builtin_add_overflow(bytes, model->plan.kv_bytes + model->plan.state_bytes, &bytes))
		bytes = UINT64_MAX;
	a->fits = !mem->total || bytes <= mem->total;
	if (model->ctx)
		snprintf(ctx, sizeof(ctx), "-c %lld ", model->ctx);
	path = shell_word(model->path);
	if (asprintf(&a->run, "%szen5-run %s%s", a->prefix, ctx, path) < 0)
		die("out of memory");
	free(path);
	if (strncmp(a->pages, "hugetlb", 7))
		return;
	left = mem->pools[pool].free - mem->pools[pool].reserved;
	a->missing = a->need > left ? a->need - left : 0;
	if (a->missing && a->fits && mem->total)
		reserve(a, m, pool);
}

void advice_make(struct advice *a, const struct machine *m, const struct model *model)
{
	const struct z5_topo *t = &m->topo;

	memset(a, 0, sizeof(*a));
	a->threads = z5_topo_place(t, 0, NULL);
	a->threads_why = a->threads < t->n_cores ? "the CPU quota of the control group" :
			 t->n_cpus > t->n_cores ? "one a core, none on second threads" : "one a core";
	/* One region of weights comes from the node of the thread that asks: the others' channels would idle. */
	a->prefix = m->n_nodes > 1 && z5_topo_locality(t) != Z5_LOCALITY_SRAT_LLC ? "numactl --interleave=all " : "";
	choose_pages(a, m);
	if (model->path)
		advise_model(a, m, model);
	absent_cpu(a, m);
	absent_pages(a, m, model);
	absent_counters(a, m);
}

void advice_free(struct advice *a)
{
	for (unsigned int i = 0; i < a->n_commands; i++)
		free(a->commands[i]);
	free(a->commands);
	free(a->run);
}
