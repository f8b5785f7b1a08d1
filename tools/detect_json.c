// SPDX-License-Identifier: MIT
/* The report as one JSON object. Keys keep their order and are always there; what is not known is null. */
#include "detect.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

static json_t *number(uint64_t n)
{
	return json_integer(n > INT64_MAX ? INT64_MAX : (json_int_t)n);
}

static json_t *text_or_null(const char *s)
{
	return *s ? json_string(s) : json_null();
}

static json_t *number_or_null(uint64_t n)
{
	return n ? number(n) : json_null();
}

/* Words between blanks as a list. */
static json_t *words(const char *s)
{
	json_t *list = json_array();

	while (*s) {
		size_t n = strcspn(s, " ");

		json_array_append_new(list, json_stringn(s, n));
		s += n + (s[n] == ' ');
	}
	return list;
}

static json_t *json_cpu(const struct machine *m)
{
	const struct zen5rt_cpu_info *c = &m->cpu;

	return json_pack("{s:s, s:o, s:i, s:i, s:i, s:o, s:o, s:b, s:o, s:s, s:o, s:b, s:o, s:b}", "vendor", c->vendor,
			 "brand", text_or_null(c->brand), "family", (int)c->family, "model", (int)c->model,
			 "stepping", (int)c->stepping, "core", text_or_null(c->core),
			 "product", text_or_null(c->product), "zen5", c->zen5,
			 "data_path_bits", number_or_null(c->data_path_bits), "level", c->level,
			 "next_level_needs", words(c->missing), "hypervisor", c->hypervisor,
			 "hypervisor_vendor", text_or_null(c->hypervisor_vendor), "pages_1g", c->pages_1g);
}

static json_t *json_domain(const struct z5_topo *t, unsigned int d)
{
	json_t *cores = json_array();
	char *cpus = domain_cpus(t, d, -1);
	json_t *o;

	for (unsigned int i = 0; i < t->n_cpus; i++) {
		char *core;

		if ((unsigned int)t->cpus[i].l3 != d || t->cpus[i].smt)
			continue;
		core = domain_cpus(t, d, t->cpus[i].core);
		json_array_append_new(cores, json_string(core));
		free(core);
	}
	o = json_pack("{s:o, s:o, s:s, s:o}", "l3_bytes", number_or_null(t->l3s[d].bytes),
		      "node", t->l3s[d].node < 0 ? json_null() : json_integer(t->l3s[d].node), "cpus", cpus,
		      "cores", cores);
	free(cpus);
	return o;
}

static json_t *json_topology(const struct machine *m)
{
	const struct z5_topo *t = &m->topo;
	json_t *domains = json_array();

	for (unsigned int i = 0; i < t->n_l3s; i++)
		json_array_append_new(domains, json_domain(t, i));
	return json_pack("{s:i, s:i, s:i, s:i, s:o, s:s, s:o}", "cpus", (int)t->n_cpus, "cores", (int)t->n_cores,
			 "packages", (int)m->n_packages, "nodes", (int)m->n_nodes, "quota", number_or_null(t->quota),
			 "locality", locality_word(m), "l3_domains", domains);
}

static json_t *json_pool(const struct z5_mem_info *mem, unsigned int i)
{
	const struct z5_page_pool *p = &mem->pools[i];
	json_t *nodes = json_array();

	for (unsigned int k = 0; k < mem->n_nodes; k++)
		json_array_append_new(nodes, json_pack("{s:i, s:o, s:o}", "node", mem->nodes[k].node,
				      "total", number(mem->nodes[k].pools[i].total),
				      "free", number(mem->nodes[k].pools[i].free)));
	return json_pack("{s:o, s:b, s:o, s:o, s:o, s:o}", "page", number(z5_pool_page[i]), "pool", p->present,
			 "total", number(p->total), "free", number(p->free), "reserved", number(p->reserved),
			 "nodes", nodes);
}

static json_t *json_memory(const struct machine *m)
{
	const struct z5_mem_info *mem = &m->mem;
	json_t *nodes = json_array(), *pools = json_array();

	for (unsigned int i = 0; i < mem->n_nodes; i++)
		json_array_append_new(nodes, json_pack("{s:i, s:o, s:o}", "node", mem->nodes[i].node, "total",
						       number_or_null(mem->nodes[i].total), "free",
						       number(mem->nodes[i].free)));
	for (unsigned int i = 0; i < Z5_N_POOLS; i++)
		json_array_append_new(pools, json_pool(mem, i));
	return json_pack("{s:o, s:o, s:o, s:o, s:o, s:b}", "total", number_or_null(mem->total),
			 "available", mem->total ? number(mem->available) : json_null(), "nodes", nodes,
			 "hugetlb", pools, "thp", text_or_null(mem->thp), "zen5mem", mem->device);
}

static json_t *json_counters(const struct machine *m)
{
	const struct z5_sources *s = &m->sources;
	char kernel[32] = "";

	if (s->kernel_major)
		snprintf(kernel, sizeof(kernel), "%u.%u", s->kernel_major, s->kernel_minor);
	return json_pack("{s:b, s:i, s:i, s:b, s:i, s:o, s:{s:b, s:b, s:b, s:b, s:b}}", "amd_l3", s->l3,
			 "amd_umc", (int)s->n_umc, "amd_umc_declared", (int)m->n_umc, "amd_df", s->df,
			 "perf_event_paranoid", s->paranoid, "kernel", text_or_null(kernel),
			 "resctrl", "cpu", m->l3_monitoring != 0, "kernel", s->resctrl, "mounted", s->resctrl_mounted,
			 "mbm_total", (s->l3_monitoring & Z5_CQM_TOTAL) != 0,
			 "mbm_local", (s->l3_monitoring & Z5_CQM_LOCAL) != 0);
}

static json_t *json_model(const struct model *model, const struct advice *a)
{
	const struct zen5rt_model_plan *p = &model->plan;
	json_t *commands;

	if (!model->path)
		return json_null();
	commands = json_array();
	for (unsigned int i = 0; i < a->n_commands; i++)
		json_array_append_new(commands, json_string(a->commands[i]));
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:o, s:o, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o}",
			 /* a name of a file is bytes, JSON is UTF-8 */
			 "path", json_string(model->path) ?: json_null(), "architecture", text_or_null(p->arch),
			 "file_bytes", number(p->file_bytes), "tensors", (int)p->n_tensors, "parts", (int)p->n_parts,
			 "weight_bytes", number(p->weight_bytes), "context", number_or_null(p->n_ctx),
			 "context_trained", number_or_null(p->n_ctx_train), "kv_bytes", number_or_null(p->kv_bytes),
			 "state_bytes", number_or_null(p->state_bytes),
			 "unsupported_tensors", (int)p->n_unsupported, "unsupported_types", text_or_null(p->unsupported),
			 "refused", text_or_null(p->refused), "pages_needed", number(a->need),
			 "pages_missing", number(a->missing), "fits", a->fits, "reserve_now", commands,
			 "reserve_at_boot", text_or_null(a->boot),
			 "run", *p->refused || !a->fits ? json_null() : json_string(a->run) ?: json_null());
}

void print_json_report(const struct machine *m, const struct model *model, const struct advice *a)
{
	json_t *absent = json_array(), *o;

	for (unsigned int i = 0; i < a->n_absent; i++)
		json_array_append_new(absent, json_pack("{s:s, s:s, s:s}", "what", a->absent[i].what, "why",
				      a->absent[i].why, "remedy", a->absent[i].remedy));
	o = json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:{s:i, s:s, s:o, s:o}, s:o, s:o}", "version", zen5rt_version(),
		      "recorded", *m->root != 0, "cpu", json_cpu(m), "topology", json_topology(m),
		      "memory", json_memory(m), "counters", json_counters(m), "recommended", "threads", (int)a->threads,
		      "pages", a->pages, "page", number(a->page), "options", words(a->prefix),
		      "model", json_model(model, a), "absent", absent);
	if (!o || json_dumpf(o, stdout, JSON_INDENT(1)) || putchar('\n') == EOF)
		die("standard output: cannot write JSON");
	json_decref(o);
}
