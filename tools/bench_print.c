// SPDX-License-Identifier: MIT
/* One table of fields for every format. */
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

const char *const bench_formats[BENCH_N_FORMATS] = { "md", "csv", "json", "jsonl", "sql" };

const char *bench_test_name(const struct bench_test *t, char *buf, size_t n)
{
	char depth[24] = "";

	if (t->depth)
		snprintf(depth, sizeof(depth), " @ d%u", t->depth);
	if (t->pp && t->tg)
		snprintf(buf, n, "pp%u+tg%u%s", t->pp, t->tg, depth);
	else
		snprintf(buf, n, "%s%u%s", t->pp ? "pp" : "tg", t->pp ? t->pp : t->tg, depth);
	return buf;
}

/* ---- what is made of the figures ---- */

/* Bytes a second while decoding; NAN where prompt and decode were timed together. */
static double rate_bytes(const struct bench_row *r, const struct bench_stats *s)
{
	return r->bytes > 0 && !r->test.pp ? r->bytes * s->median : NAN;
}

static double rate_ops(const struct bench_row *r, const struct bench_stats *s)
{
	return r->ops > 0 && !r->test.tg ? r->ops * s->median : NAN;
}

/* Of the time that a prompt took, what its products would take at the peak of the multiplier that does them. */
static double peak_share(const struct bench_row *r, const struct bench_stats *s)
{
	if (!(r->ops > 0) || r->test.tg || !(r->peak.int8_ops > 0) || !(r->peak.f32_ops > 0))
		return NAN;
	return s->median * ((r->ops - r->float_ops) / r->peak.int8_ops + r->float_ops / r->peak.f32_ops);
}

static double share(double part, double whole)
{
	return whole > 0 ? part / whole : NAN;
}

/* Numbers that JSON has no word for are null. */
static json_t *number(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static void set(json_t *o, const char *key, json_t *v)
{
	if (!v || json_object_set_new(o, key, v))
		die("out of memory");
}

/* Words of others as JSON takes them: bytes that are no UTF-8 become ?. */
static json_t *text(const char *s)
{
	json_t *v = json_string(s);
	char *copy;

	if (v)
		return v;
	copy = strdup(s);
	if (!copy)
		die("out of memory");
	for (char *p = copy; *p; p++)
		if ((unsigned char)*p >= 0x80)
			*p = '?';
	v = json_string(copy);
	free(copy);
	return v;
}

static json_t *row_json(const struct bench_row *r)
{
	const struct bench_stats s = bench_stats(&r->rate);
	json_t *o = json_object(), *samples = json_array();
	char name[64];

	set(o, "model", text(r->model));
	set(o, "engine", text(r->peer ? r->peer->name : "zen5"));
	set(o, "test", json_string(bench_test_name(&r->test, name, sizeof(name))));
	set(o, "n_prompt", json_integer(r->test.pp));
	set(o, "n_gen", json_integer(r->test.tg));
	set(o, "depth", json_integer(r->test.depth));
	set(o, "threads", json_integer(r->threads));
	set(o, "ubatch", json_integer(r->ubatch));
	set(o, "pages_asked", json_string(*r->pages ? r->pages : "1g"));
	set(o, "kv_type", json_string(r->peer ? "" : r->kv_type));
	set(o, "tok_s_mean", number(s.mean));
	set(o, "tok_s_sd", number(s.sd));
	set(o, "tok_s_median", number(s.median));
	set(o, "tok_s_min", number(s.min));
	set(o, "tok_s_max", number(s.max));
	set(o, "tok_s_ci95", number(s.ci));
	for (size_t i = 0; i < r->rate.n; i++)
		json_array_append_new(samples, number(r->rate.v[i]));
	set(o, "samples", samples);
	if (r->peer) {
		set(o, "ratio", number(r->ratio));
		set(o, "ratio_lo", number(r->ratio_lo));
		set(o, "ratio_hi", number(r->ratio_hi));
		set(o, "failed", *r->failed ? text(r->failed) : json_null());
		return o;
	}
	set(o, "level", json_string(r->level));
	set(o, "backend", json_string(r->backend));
	set(o, "page", json_integer((json_int_t)r->page));
	set(o, "page_bytes", json_integer((json_int_t)r->page_bytes));
	set(o, "region_bytes", json_integer((json_int_t)r->region_bytes));
	set(o, "rss", json_integer((json_int_t)r->rss));
	set(o, "load_s", number(r->load_s));
	set(o, "cold_load_s", number(r->cold_load_s));
	set(o, "ttft_s", number(r->test.pp && !r->test.tg ? r->test.pp / s.median : NAN));
	set(o, "token_bytes", number(r->bytes > 0 ? r->bytes : NAN));
	set(o, "bytes_s", number(rate_bytes(r, &s)));
	set(o, "read_bandwidth", number(r->bandwidth));
	set(o, "bandwidth_share", number(share(rate_bytes(r, &s), r->bandwidth)));
	set(o, "token_ops", number(r->ops > 0 ? r->ops : NAN));
	set(o, "token_float_ops", number(r->ops > 0 ? r->float_ops : NAN));
	set(o, "ops_s", number(rate_ops(r, &s)));
	set(o, "int8_peak", number(r->peak.int8_ops));
	set(o, "int8_peak_by", json_string(r->peak.int8_by ? r->peak.int8_by : ""));
	set(o, "f32_peak", number(r->peak.f32_ops));
	set(o, "peak_share", number(peak_share(r, &s)));
	set(o, "aa", number(r->aa));
	set(o, "aa_lo", number(r->aa_lo));
	set(o, "aa_hi", number(r->aa_hi));
	return o;
}

static json_t *machine_json(const struct bench_machine *m)
{
	json_t *o = json_object();

	set(o, "cpu", text(m->cpu));
	set(o, "zen5", json_boolean(m->zen5));
	set(o, "kernel", text(m->kernel));
	set(o, "governor", text(m->governor));
	set(o, "thp", text(m->thp));
	set(o, "mem_total", number(m->mem_total));
	set(o, "load_1", number(m->load_1));
	set(o, "steal_share", number(m->steal));
	set(o, "foreign_share", number(m->foreign));
	return o;
}

/* ---- formats ---- */

static void print_md(const struct bench_report *r, FILE *f)
{
	const struct bench_machine *m = &r->machine;
	char name[64], got[32];

	fprintf(f, "%s%s; %s; governor %s, transparent huge pages %s; others took %.1f %% of the CPUs, the hypervisor "
		"%.1f %%\n\n", m->cpu, m->zen5 ? "" : " (not a Zen 5)", m->kernel, m->governor, *m->thp ? m->thp : "none",
		100 * m->foreign, 100 * m->steal);
	fputs("| model | engine | threads | test | tok/s | sd | median | GB/s | of read | GOPS | of peak | us/other "
	      "(95 %) |\n|---|---|--:|---|--:|--:|--:|--:|--:|--:|--:|---|\n", f);
	for (size_t i = 0; i < r->n; i++) {
		const struct bench_row *w = &r->row[i];
		const struct bench_stats s = bench_stats(&w->rate);
		const char *base = strrchr(w->model, '/');

		fprintf(f, "| %s | %s | %u | %s ", base ? base + 1 : w->model, w->peer ? w->peer->name : w->level,
			w->threads, bench_test_name(&w->test, name, sizeof(name)));
		if (*w->failed) {
			fprintf(f, "| failed: %s ||||||||\n", w->failed);
			continue;
		}
		fprintf(f, "| %.2f | %.2f | %.2f ", s.mean, s.sd, s.median);
		if (isfinite(rate_bytes(w, &s)))
			fprintf(f, "| %.1f | %.0f %% ", rate_bytes(w, &s) / 1e9,
				100 * share(rate_bytes(w, &s), w->bandwidth));
		else
			fputs("| | ", f);
		if (isfinite(rate_ops(w, &s)))
			fprintf(f, "| %.0f | %.0f %% ", rate_ops(w, &s) / 1e9, 100 * peak_share(w, &s));
		else
			fputs("| | ", f);
		if (w->peer)
			fprintf(f, "| %.3f (%.3f-%.3f) |\n", w->ratio, w->ratio_lo, w->ratio_hi);
		else if (isfinite(w->aa))
			fprintf(f, "| A/A %.3f (%.3f-%.3f) |\n", w->aa, w->aa_lo, w->aa_hi);
		else
			fputs("| |\n", f);
	}
	fputc('\n', f);
	for (size_t i = 0; i < r->n; i++) {
		const struct bench_row *w = &r->row[i];
		const struct bench_row *before = i ? w - 1 : NULL;

		while (before > r->row && before->peer)
			before--;
		if (w->peer || (before && before->model == w->model && before->threads == w->threads &&
				before->ubatch == w->ubatch && before->pages == w->pages &&
				before->kv_type == w->kv_type))
			continue;
		fprintf(f, "%s, %u threads, chunks of %u, %s%s: %s, pages of %s (%.0f %%); loaded in %.2f s", w->model,
			w->threads, w->ubatch, *w->kv_type ? "KV " : "a state", w->kv_type, w->backend,
			human_bytes(got, sizeof(got), (double)w->page),
			100 * share((double)w->page_bytes, (double)w->region_bytes), w->load_s);
		if (isfinite(w->cold_load_s))
			fprintf(f, ", from the disk in %.2f s", w->cold_load_s);
		fprintf(f, "; reads %.1f GB/s; %s %.0f GOPS, float %.0f GFLOPS; %s resident\n", w->bandwidth / 1e9,
			*w->peak.int8_by ? w->peak.int8_by : "no vectors", w->peak.int8_ops / 1e9,
			w->peak.f32_ops / 1e9, human_bytes(got, sizeof(got), (double)w->rss));
	}
}

static void print_json(const struct bench_report *r, FILE *f)
{
	json_t *o = json_object(), *rows = json_array();

	for (size_t i = 0; i < r->n; i++)
		json_array_append_new(rows, row_json(&r->row[i]));
	set(o, "zen5_bench", json_integer(1));
	set(o, "version", json_string(zen5rt_version()));
	set(o, "repetitions", json_integer(r->reps));
	set(o, "machine", machine_json(&r->machine));
	set(o, "rows", rows);
	json_dumpf(o, f, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
	fputc('\n', f);
	json_decref(o);
}

/* A row with the machine's fields in it and, of the lists, none: for formats that have one level. */
static json_t *flat(const struct bench_report *r, size_t i)
{
	static const struct bench_row none = { .model = "", .level = "", .backend = "", .pages = "", .kv_type = "" };
	json_t *o = row_json(&none), *row = row_json(&r->row[i]);

	/* the same columns in every row, in one order */
	set(o, "ratio", json_null());
	set(o, "ratio_lo", json_null());
	set(o, "ratio_hi", json_null());
	set(o, "failed", json_null());
	for (void *it = json_object_iter(o); it; it = json_object_iter_next(o, it))
		json_object_iter_set_new(o, it, json_null());
	json_object_update(o, row);
	json_object_del(o, "samples");
	json_object_update_new(o, machine_json(&r->machine));
	json_decref(row);
	return o;
}

/* A string with its quotes doubled. */
static void quoted(FILE *f, const char *s, char quote)
{
	fputc(quote, f);
	for (; *s; s++) {
		if (*s == quote)
			fputc(quote, f);
		fputc(*s, f);
	}
	fputc(quote, f);
}

static void print_value(FILE *f, const json_t *v, char quote, const char *nothing)
{
	if (json_is_string(v))
		quoted(f, json_string_value(v), quote);
	else if (json_is_integer(v))
		fprintf(f, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
	else if (json_is_real(v))
		fprintf(f, "%.9g", json_real_value(v));
	else if (json_is_boolean(v))
		fprintf(f, "%d", json_is_true(v));
	else
		fputs(nothing, f);
}

static void print_flat(const struct bench_report *r, enum bench_format format, FILE *f)
{
	for (size_t i = 0; i < r->n; i++) {
		json_t *o = flat(r, i), *v;
		const char *key;
		bool first = true;

		if (i == 0 && format == BENCH_SQL)
			fputs("CREATE TABLE IF NOT EXISTS zen5_bench (", f);
		if (i == 0)
			json_object_foreach(o, key, v) {
				fprintf(f, "%s%s", first ? "" : ",", key);
				first = false;
			}
		if (i == 0)
			fputs(format == BENCH_SQL ? ");\n" : "\n", f);
		if (format == BENCH_SQL)
			fputs("INSERT INTO zen5_bench VALUES (", f);
		first = true;
		json_object_foreach(o, key, v) {
			fputs(first ? "" : ",", f);
			first = false;
			print_value(f, v, format == BENCH_SQL ? '\'' : '"', format == BENCH_SQL ? "NULL" : "");
		}
		fputs(format == BENCH_SQL ? ");\n" : "\n", f);
		json_decref(o);
	}
}

void bench_print(const struct bench_report *r, enum bench_format format, FILE *f)
{
	switch (format) {
	case BENCH_MD:
		print_md(r, f);
		break;
	case BENCH_JSON:
		print_json(r, f);
		break;
	case BENCH_JSONL:
		for (size_t i = 0; i < r->n; i++) {
			json_t *o = row_json(&r->row[i]);

			set(o, "machine", machine_json(&r->machine));
			json_dumpf(o, f, JSON_COMPACT | JSON_REAL_PRECISION(9));
			fputc('\n', f);
			json_decref(o);
		}
		break;
	case BENCH_CSV:
	case BENCH_SQL:
	case BENCH_N_FORMATS:
		print_flat(r, format, f);
		break;
	}
}
