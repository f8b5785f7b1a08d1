// SPDX-License-Identifier: MIT
#include "explain.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "common.h"

static bool has_kv(const struct run *r)
{
	return *zen5rt_session_kv_type(r->session);
}

/* Bytes of KV cache that a token at the run's middle position reads, and those of state that it reads and writes. */
static double kv_bytes(const struct run *r)
{
	struct zen5rt_region_info kv;
	struct zen5rt_model_info m;
	double middle = (double)r->n_prompt + (double)r->n_eval / 2;

	zen5rt_model_info(r->model, &m);
	if (!has_kv(r) || zen5rt_session_region(r->session, 0, &kv))
		return 2 * (double)m.state_bytes;
	return 2 * (double)m.state_bytes + (double)kv.asked * middle / (double)zen5rt_session_n_ctx(r->session);
}

static double decode_rate(const struct run *r)
{
	return r->n_eval && r->decode_s > 0 ? (double)r->n_eval / r->decode_s : 0;
}

void summary(const struct run *r)
{
	struct zen5rt_model_info m;

	zen5rt_model_info(r->model, &m);
	fprintf(stderr, "load %.2f s, prompt %zu tokens %.1f tok/s, first token after %.3f s, ",
		r->load_s, r->n_prompt - r->n_kept, (double)(r->n_prompt - r->n_kept) / r->prompt_s,
		r->n_out ? r->first_s : r->prompt_s);
	if (r->n_eval)
		fprintf(stderr, "decode %zu tokens %.2f tok/s", r->n_eval, decode_rate(r));
	else
		fprintf(stderr, "nothing decoded");
	if (*m.resident)
		fprintf(stderr, ", %s %s", m.attached ? "attached to resident region" : "left resident as", m.resident);
	fputc('\n', stderr);
}

/* Third-level cache of the domains that threads run in; they stand side by side in the list. */
static double cache_bytes(const struct run *r)
{
	struct zen5rt_thread_info t;
	double sum = 0;
	int last = -1;

	for (unsigned int i = 0; !zen5rt_thread_info(r->rt, i, &t); i++) {
		if (t.l3 != last)
			sum += (double)t.l3_bytes;
		last = t.l3;
	}
	return sum;
}

static void explain_region(const struct zen5rt_region_info *i)
{
	char asked[32], size[32], page[32];

	fprintf(stderr, "  %-9s %10s in %s, pages of %s (%s mapped", i->use,
		human_bytes(asked, sizeof(asked), (double)i->asked), i->backend,
		human_bytes(page, sizeof(page), (double)i->page),
		human_bytes(size, sizeof(size), (double)i->size));
	if (*i->pages)
		fprintf(stderr, ": %s", i->pages);
	if (i->page_bytes < i->size && i->page > 4096)
		fprintf(stderr, ", %s of it in such pages so far",
			human_bytes(size, sizeof(size), (double)i->page_bytes));
	fputs(")\n", stderr);
	if (*i->why)
		fprintf(stderr, "            refused before: %s\n", i->why);
}

static void explain_cache(const struct run *r)
{
	struct zen5rt_region_info kv;
	struct zen5rt_model_info m;
	char bytes[32];

	zen5rt_model_info(r->model, &m);
	if (m.state_bytes)
		fprintf(stderr, "state:      %s for any number of positions, and copies of two to go back to\n",
			human_bytes(bytes, sizeof(bytes), (double)m.state_bytes));
	if (has_kv(r) && !zen5rt_session_region(r->session, 0, &kv))
		fprintf(stderr, "KV cache:   %s, %s a position\n", zen5rt_session_kv_type(r->session),
			human_bytes(bytes, sizeof(bytes), (double)kv.asked / zen5rt_session_n_ctx(r->session)));
}

static void explain_threads(const struct run *r)
{
	unsigned int n = zen5rt_n_threads(r->rt);
	struct zen5rt_thread_info t, u;
	char l3[32];

	fprintf(stderr, "threads:    %u\n", n);
	for (unsigned int i = 0; i < n; ) {
		unsigned int j = i;

		if (zen5rt_thread_info(r->rt, i, &t))
			break;
		fprintf(stderr, "  L3 domain %d (%s, node %d): CPUs", t.l3,
			t.l3_bytes ? human_bytes(l3, sizeof(l3), (double)t.l3_bytes) : "size unknown", t.node);
		while (j < n && !zen5rt_thread_info(r->rt, j, &u) && u.l3 == t.l3) {
			if (u.cpu < 0)
				fputs(" unpinned", stderr);
			else
				fprintf(stderr, " %d", u.cpu);
			j++;
		}
		fputc('\n', stderr);
		i = j;
	}
}

static void explain_throttle(const struct run *r)
{
	struct zen5rt_throttle_info t;

	zen5rt_throttle_info(r->rt, &t);
	fprintf(stderr, "throttle:   %s", t.text);
	if (t.searches)
		fprintf(stderr, "; %u searches in %u windows, the last because of %s", t.searches, t.decisions, t.why);
	fputc('\n', stderr);
	if (t.searches && t.all_bytes_s > 0 && t.held_bytes_s > 0)
		fprintf(stderr, "            %.2f GB/s so, %.2f GB/s when last tried with all threads (readings: %s)\n",
			t.held_bytes_s / 1e9, t.all_bytes_s / 1e9, t.counters);
	if (t.budget > 0)
		fprintf(stderr, "            no more than %g GB/s\n", t.budget / 1e9);
	if (t.cap_others > 0)
		fprintf(stderr, "            others no more than %g GB/s\n", t.cap_others / 1e9);
}

void explain(const struct run *r)
{
	struct zen5rt_region_info region;
	struct zen5rt_weight_info w;
	struct zen5rt_model_info m;
	struct zen5rt_cpu_info cpu;
	char a[32], b[32], what[160];
	double bytes;

	zen5rt_model_info(r->model, &m);
	fprintf(stderr, "model:      %s%s%s, %.2f M parameters, %u layers, width %u, ", m.arch, *m.name ? " " : "", m.name,
		(double)m.n_params / 1e6, m.n_layer, m.n_embd);
	if (m.n_head)
		fprintf(stderr, "%u heads (%u KV), ", m.n_head, m.n_head_kv);
	fprintf(stderr, "context %u of %u\n", zen5rt_session_n_ctx(r->session), m.n_ctx_train);
	zen5rt_cpu_info(&cpu);
	cpu_what(&cpu, what, sizeof(what));
	fprintf(stderr, "CPU:        %s%s\n", what, cpu.zen5 ? "" : ": not a Zen 5, runs all the same");
	fprintf(stderr, "level:      %s\n", zen5rt_level(r->rt));
	fputs("memory:\n", stderr);
	for (unsigned int i = 0; !zen5rt_model_region(r->model, i, &region); i++)
		explain_region(&region);
	for (unsigned int i = 0; !zen5rt_session_region(r->session, i, &region); i++)
		explain_region(&region);
	if (*m.resident)
		fprintf(stderr, "resident:   %s %s\n", m.attached ? "attached to resident region" : "left resident as",
			m.resident);
	else if (*m.not_resident)
		fprintf(stderr, "resident:   no: %s\n", m.not_resident);
	explain_cache(r);
	explain_threads(r);
	explain_throttle(r);
	fputs("weights:    type  role                rows x columns     count       bytes  kernel       calls   columns\n", stderr);
	for (unsigned int i = 0; !zen5rt_weight_info(r->model, i, &w); i++)
		fprintf(stderr, "            %-5s %-18s %6llu x %-8llu %6u %11s  %-10s %7llu %9llu\n", w.type, w.role,
			(unsigned long long)w.rows, (unsigned long long)w.cols, w.count,
			human_bytes(a, sizeof(a), (double)w.bytes), w.kernel,
			(unsigned long long)w.calls, (unsigned long long)w.columns);
	bytes = (double)m.decode_bytes + kv_bytes(r);
	fprintf(stderr, "a token:    streams %s of weights and %s of %s\n",
		human_bytes(a, sizeof(a), (double)m.decode_bytes), human_bytes(b, sizeof(b), kv_bytes(r)),
		!m.state_bytes ? "KV cache" : has_kv(r) ? "KV cache, and state read and written" : "state, read and written");
	if (r->have_bandwidth)
		fprintf(stderr, "bandwidth:  %.2f GB/s, measured now by reading memory with these threads\n",
			r->bandwidth / 1e9);
	else
		fputs("bandwidth:  not measured, too little free memory\n", stderr);
	if (r->n_eval) {
		fprintf(stderr, "decode:     %.2f GB/s", bytes * decode_rate(r) / 1e9);
		if (r->have_bandwidth)
			fprintf(stderr, ", %.0f %% of that", 100 * bytes * decode_rate(r) / r->bandwidth);
		fputs(bytes < cache_bytes(r) ? " (a model this small stays in the caches)\n" : "\n", stderr);
	}
}

/* ---- JSON ---- */

static json_t *json_region(const struct zen5rt_region_info *i)
{
	return json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:s, s:s}", "use", i->use, "backend", i->backend,
			 "asked", (json_int_t)i->asked, "size", (json_int_t)i->size,
			 "page", (json_int_t)i->page, "page_bytes", (json_int_t)i->page_bytes, "pages", i->pages,
			 "refused", i->why);
}

static json_t *json_cache(const struct run *r)
{
	struct zen5rt_region_info kv = { 0 };

	zen5rt_session_region(r->session, 0, &kv);
	return json_pack("{s:s, s:I, s:I}", "type", zen5rt_session_kv_type(r->session), "positions",
			 (json_int_t)zen5rt_session_n_ctx(r->session), "bytes", (json_int_t)kv.asked);
}

static json_t *json_counts(const unsigned int *n, unsigned int domains)
{
	json_t *a = json_array();

	for (unsigned int d = 0; d < domains; d++)
		json_array_append_new(a, json_integer((json_int_t)n[d]));
	return a;
}

static json_t *json_throttle(const struct run *r)
{
	struct zen5rt_throttle_info t;
	json_t *o;

	zen5rt_throttle_info(r->rt, &t);
	o = json_pack("{s:s, s:b, s:o, s:o, s:o, s:i, s:i, s:i, s:s, s:s, s:f}", "mode", t.mode, "searching", t.searching,
		      "threads", json_counts(t.now, t.n_domains), "held", json_counts(t.held, t.n_domains),
		      "all", json_counts(t.all, t.n_domains), "decisions", (int)t.decisions,
		      "searches", (int)t.searches, "changes", (int)t.changes, "why", t.why, "counters", t.counters,
		      "noise", t.noise);
	json_object_set_new(o, "held_bytes_per_s", t.held_bytes_s > 0 ? json_real(t.held_bytes_s) : json_null());
	json_object_set_new(o, "all_bytes_per_s", t.all_bytes_s > 0 ? json_real(t.all_bytes_s) : json_null());
	json_object_set_new(o, "budget_bytes_per_s", t.budget > 0 ? json_real(t.budget) : json_null());
	json_object_set_new(o, "others_bytes_per_s", t.cap_others > 0 ? json_real(t.cap_others) : json_null());
	return o;
}

static json_t *json_explain(const struct run *r)
{
	json_t *o = json_object(), *regions = json_array(), *threads = json_array(), *weights = json_array();
	struct zen5rt_region_info region;
	struct zen5rt_thread_info t;
	struct zen5rt_weight_info w;
	struct zen5rt_model_info m;
	struct zen5rt_cpu_info cpu;
	char what[160];

	zen5rt_model_info(r->model, &m);
	for (unsigned int i = 0; !zen5rt_model_region(r->model, i, &region); i++)
		json_array_append_new(regions, json_region(&region));
	for (unsigned int i = 0; !zen5rt_session_region(r->session, i, &region); i++)
		json_array_append_new(regions, json_region(&region));
	for (unsigned int i = 0; !zen5rt_thread_info(r->rt, i, &t); i++)
		json_array_append_new(threads, json_pack("{s:i, s:i, s:i, s:i, s:I}", "cpu", t.cpu, "core", t.core,
				      "l3", t.l3, "node", t.node, "l3_bytes", (json_int_t)t.l3_bytes));
	for (unsigned int i = 0; !zen5rt_weight_info(r->model, i, &w); i++)
		json_array_append_new(weights, json_pack("{s:s, s:s, s:s, s:I, s:I, s:i, s:I, s:I, s:I}",
				      "type", w.type, "role", w.role, "kernel", w.kernel,
				      "rows", (json_int_t)w.rows, "columns", (json_int_t)w.cols,
				      "count", (int)w.count, "bytes", (json_int_t)w.bytes,
				      "calls", (json_int_t)w.calls, "tokens", (json_int_t)w.columns));
	zen5rt_cpu_info(&cpu);
	cpu_what(&cpu, what, sizeof(what));
	json_object_set_new(o, "cpu", json_string(what));
	json_object_set_new(o, "zen5", json_boolean(cpu.zen5));
	json_object_set_new(o, "level", json_string(zen5rt_level(r->rt)));
	json_object_set_new(o, "regions", regions);
	json_object_set_new(o, "threads", threads);
	json_object_set_new(o, "weights", weights);
	json_object_set_new(o, "bytes_per_token", json_integer((json_int_t)((double)m.decode_bytes + kv_bytes(r))));
	json_object_set_new(o, "decode_bytes_per_s",
			    json_real(((double)m.decode_bytes + kv_bytes(r)) * decode_rate(r)));
	json_object_set_new(o, "read_bandwidth", r->have_bandwidth ? json_real(r->bandwidth) : json_null());
	return o;
}

static json_t *json_ids(const int32_t *id, size_t n)
{
	json_t *a = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(a, json_integer(id[i]));
	return a;
}

void print_json(const struct run *r, const char *text, size_t len, bool with_explain)
{
	json_t *o = json_object();
	struct zen5rt_model_info m;

	zen5rt_model_info(r->model, &m);
	json_object_set_new(o, "model", json_pack("{s:s, s:s, s:I, s:I}", "architecture", m.arch, "name", m.name,
			    "parameters", (json_int_t)m.n_params, "file_bytes", (json_int_t)m.file_bytes));
	json_object_set_new(o, "prompt_tokens", json_ids(r->ids, r->n_prompt));
	json_object_set_new(o, "text", text ? json_stringn(text, len) : json_string(""));
	json_object_set_new(o, "tokens", json_ids(r->ids + r->n_prompt, r->n_out));
	json_object_set_new(o, "end", json_string(r->end ? r->end : "length"));
	json_object_set_new(o, "seed", json_integer((json_int_t)r->seed));
	json_object_set_new(o, "load_s", json_real(r->load_s));
	if (*m.resident)
		json_object_set_new(o, "resident", json_pack("{s:s, s:b}", "name", m.resident, "attached", m.attached));
	else if (*m.not_resident)
		json_object_set_new(o, "resident", json_pack("{s:n, s:s}", "name", "refused", m.not_resident));
	json_object_set_new(o, "prompt_s", json_real(r->prompt_s));
	json_object_set_new(o, "first_token_s", json_real(r->n_out ? r->first_s : r->prompt_s));
	json_object_set_new(o, "decoded", json_integer((json_int_t)r->n_eval));
	json_object_set_new(o, "decode_s", json_real(r->decode_s));
	if (m.state_bytes)
		json_object_set_new(o, "state", json_pack("{s:I}", "bytes", (json_int_t)m.state_bytes));
	if (has_kv(r))
		json_object_set_new(o, "kv_cache", json_cache(r));
	json_object_set_new(o, "throttle", json_throttle(r));
	if (with_explain)
		json_object_set_new(o, "explain", json_explain(r));
	if (json_dumpf(o, stdout, JSON_INDENT(1)) || putchar('\n') == EOF)
		die("standard output: cannot write JSON");
	json_decref(o);
}
