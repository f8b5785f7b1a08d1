// SPDX-License-Identifier: MIT
#include <sched/govern.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <clock.h>
#include <error.h>

/* Tokens between two looks at what the throttle says of itself. */
#define GOVERN_TEXT_EVERY	16

int z5_govern_cap(struct z5_govern *g, double bytes_s, struct zen5rt_error *err)
{
	if (!(bytes_s > 0)) {
		int ret = z5_cap_recover(Z5_CAP_ROOT, Z5_CAP_RECORD, NULL, err);

		return ret < 0 ? ret : 0;
	}
	return z5_cap_open(Z5_CAP_ROOT, Z5_CAP_RECORD, NULL, bytes_s, &g->cap, err);
}

/* A fresh look at who takes part. */
static void govern_show(struct z5_govern *g)
{
	const unsigned int *n = z5_throttle_counts(g->throttle);

	g->status.n_active = 0;
	for (unsigned int d = 0; d < g->params.n_domains; d++) {
		unsigned int k = n ? n[d] : g->params.all[d];

		g->status.n_active += k;
		if (d < Z5_STATUS_DOMAINS)
			g->status.active[d] = (uint8_t)(k < UINT8_MAX ? k : UINT8_MAX);
	}
	z5_throttle_text(g->throttle, g->status.throttle, sizeof(g->status.throttle));
	z5_status_write(g->page, &g->status);
}

int z5_govern_open(struct z5_govern *g, const struct zen5rt_params *p, const struct z5_pool *pool,
		   struct zen5rt_error *err)
{
	int ret;

	g->params.n_domains = z5_pool_domains(pool);
	if (g->params.n_domains > Z5_THROTTLE_DOMAINS)
		g->params.n_domains = 0;
	for (unsigned int d = 0; d < g->params.n_domains; d++)
		g->params.all[d] = z5_pool_domain(pool, d, NULL);
	ret = z5_throttle_parse(p->throttle, &g->params, err);
	if (ret)
		return ret;
	g->throttle = z5_throttle_new(&g->params);
	if (!g->throttle)
		return z5_fail(err, -ENOMEM, "out of memory");
	if (z5_throttle_counts(g->throttle) && g->params.mode != Z5_THROTTLE_FIXED) {
		ret = z5_counters_open(NULL, &g->counters, err);
		if (ret)
			return ret;
	}
	g->budget = p->bandwidth_budget;
	g->page = z5_status_new();
	g->status.n_threads = z5_pool_n(pool);
	g->status.n_domains = g->params.n_domains < Z5_STATUS_DOMAINS ? g->params.n_domains : Z5_STATUS_DOMAINS;
	g->status.budget_bytes_s = p->bandwidth_budget;
	g->status.cap_others_bytes_s = p->cap_others;
	govern_show(g);
	return 0;
}

void z5_govern_close(struct z5_govern *g)
{
	z5_cap_close(g->cap);
	z5_status_free(g->page);
	z5_throttle_free(g->throttle);
	z5_counters_close(g->counters);
}

void z5_govern_loaded(struct z5_govern *g, const char *path)
{
	const char *name = strrchr(path, '/');

	snprintf(g->status.model, sizeof(g->status.model), "%s", name ? name + 1 : path);
	z5_status_write(g->page, &g->status);
}

const unsigned int *z5_govern_counts(struct z5_govern *g, const void *model)
{
	if (g->model && g->model != model)
		z5_throttle_reset(g->throttle);
	g->model = model;
	return z5_throttle_counts(g->throttle);
}

void z5_govern_decoded(struct z5_govern *g, uint64_t bytes, uint64_t ns)
{
	g->status.decoded++;
	g->status.decode_ns += ns;
	g->status.streamed += bytes;
	g->status.updated_ns = z5_now_ns();
	if (g->counters) {
		z5_counters_streamed(g->counters, bytes, ns);
		z5_throttle_token(g->throttle, g->counters, ns);
	}
	if (g->status.decoded % GOVERN_TEXT_EVERY)
		z5_status_write(g->page, &g->status);
	else
		govern_show(g);
}

void z5_govern_prefilled(struct z5_govern *g, uint64_t tokens, uint64_t ns)
{
	g->status.prefilled += tokens;
	g->status.prefill_ns += ns;
	g->status.updated_ns = z5_now_ns();
	z5_status_write(g->page, &g->status);
}

void z5_govern_info(const struct z5_govern *g, struct zen5rt_throttle_info *info)
{
	struct z5_throttle_info t;

	z5_throttle_info(g->throttle, &t);
	*info = (struct zen5rt_throttle_info){
		.mode = z5_throttle_modes[t.mode], .searching = t.searching, .n_domains = t.n_domains,
		.decisions = t.decisions, .searches = t.searches, .changes = t.changes,
		.held_bytes_s = t.held_bytes_s > 0 ? t.held_bytes_s : 0,
		.all_bytes_s = t.all_bytes_s > 0 ? t.all_bytes_s : 0, .noise = t.noise, .why = t.why,
		.counters = t.source,
		.budget = g->budget, .cap_others = g->status.cap_others_bytes_s,
	};
	z5_throttle_text(g->throttle, info->text, sizeof(info->text));
	for (unsigned int d = 0; d < t.n_domains; d++) {
		info->now[d] = t.now[d];
		info->held[d] = t.held[d];
		info->all[d] = g->params.all[d];
	}
}
