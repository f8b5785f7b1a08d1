// SPDX-License-Identifier: MIT
/*
 * Two runs of zen5-bench: what is faster, what is slower, and what nobody can say. A difference counts when its 95 %
 * interval leaves 1 out, and when it is larger than what repetitions of the same differed by in either run. Decode is
 * judged by its share of the bandwidth measured in the same run, if both have one, since that is what a machine that is
 * slower today changes; the same for prompts and the peak.
 */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common.h"

/* Fewer say nothing about their own noise. */
#define ENOUGH 3

static json_t *open_run(const char *path)
{
	json_error_t e;
	json_t *o = json_load_file(path, 0, &e);

	if (!o)
		die("%s: %s%s", path, e.line > 0 ? "no JSON: " : "", e.text);
	if (!json_is_integer(json_object_get(o, "zen5_bench")) || !json_is_array(json_object_get(o, "rows")))
		die("%s: not of zen5-bench -o json", path);
	return o;
}

static const char *string_of(const json_t *row, const char *key)
{
	const char *s = json_string_value(json_object_get(row, key));

	return s ? s : "";
}

static double number_of(const json_t *row, const char *key)
{
	const json_t *v = json_object_get(row, key);

	return json_is_number(v) ? json_number_value(v) : NAN;
}

static const char *base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

/* The same test of the same model by the same engine; where the file lay does not matter. */
static bool same(const json_t *a, const json_t *b)
{
	static const char *const words[] = { "engine", "test", "pages_asked", "kv_type" };
	static const char *const numbers[] = { "threads", "ubatch" };

	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++)
		if (strcmp(string_of(a, words[i]), string_of(b, words[i])))
			return false;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		if (!(number_of(a, numbers[i]) == number_of(b, numbers[i])))
			return false;
	return !strcmp(base(string_of(a, "model")), base(string_of(b, "model")));
}

/* Rates that are positive numbers, each divided by `by`. */
static struct bench_samples samples_of(const json_t *row, double by)
{
	const json_t *list = json_object_get(row, "samples");
	struct bench_samples s = { NULL, 0 };
	const size_t n = json_array_size(list);

	s.v = malloc((n ? n : 1) * sizeof(*s.v));
	if (!s.v)
		die("out of memory");
	for (size_t i = 0; i < n; i++) {
		const json_t *v = json_array_get(list, i);

		if (json_is_number(v) && json_number_value(v) > 0)
			s.v[s.n++] = json_number_value(v) / by;
	}
	return s;
}

/* What both runs measured of the machine's limit for such a test; NULL: nothing. */
static const char *limit_of(const json_t *a, const json_t *b)
{
	const char *key = number_of(a, "n_prompt") > 0 ? "int8_peak" : "read_bandwidth";

	if (number_of(a, "n_prompt") > 0 && number_of(a, "n_gen") > 0)
		return NULL;
	return number_of(a, key) > 0 && number_of(b, key) > 0 ? key : NULL;
}

/* How far apart repetitions of the same are, as a factor above 1. */
static double noise_of(const json_t *row)
{
	const double lo = number_of(row, "aa_lo"), hi = number_of(row, "aa_hi");
	double worst = 1;

	if (lo > 0 && 1 / lo > worst)
		worst = 1 / lo;
	return hi > worst ? hi : worst;
}

struct verdict {
	const char *word;
	double ratio, lo, hi, noise;
	const char *by;		/* the limit that rates were divided by, "" */
};

static struct verdict judge(const json_t *a, const json_t *b)
{
	const char *limit = limit_of(a, b);
	struct bench_samples x = samples_of(a, limit ? number_of(a, limit) : 1);
	struct bench_samples y = samples_of(b, limit ? number_of(b, limit) : 1);
	struct verdict v = { .by = limit ? limit : "" };

	bench_ratio_apart(&x, &y, &v.ratio, &v.lo, &v.hi);
	v.noise = fmax(noise_of(a), noise_of(b));
	if (x.n < ENOUGH || y.n < ENOUGH)
		v.word = "too few repetitions";
	else if (v.lo > 1 && v.ratio > v.noise)
		v.word = "faster";
	else if (v.hi < 1 && v.ratio < 1 / v.noise)
		v.word = "slower";
	else
		v.word = "no difference shown";
	free(x.v);
	free(y.v);
	return v;
}

static void say(const json_t *row, const struct verdict *v)
{
	printf("%-20s %s %s, %g threads, %s: %.3f (%.3f-%.3f)%s%s%s, noise up to %.3f\n", v->word,
	       base(string_of(row, "model")), string_of(row, "engine"), number_of(row, "threads"), string_of(row, "test"),
	       v->ratio, v->lo, v->hi, *v->by ? ", as shares of " : "", *v->by ? v->by : "", "", v->noise);
}

static json_t *real(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

int bench_compare(const char *path_a, const char *path_b, bool json)
{
	json_t *a = open_run(path_a), *b = open_run(path_b), *list = json_array(), *x, *y;
	const json_t *rows_a = json_object_get(a, "rows"), *rows_b = json_object_get(b, "rows");
	size_t i, k, found = 0;
	int slower = 0;

	json_array_foreach(rows_a, i, x) {
		json_array_foreach(rows_b, k, y) {
			struct verdict v;

			if (!same(x, y))
				continue;
			found++;
			v = judge(x, y);
			slower |= !strcmp(v.word, "slower");
			if (json)
				json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:f, s:s, s:o, s:o, s:o, s:o, s:s}",
					"model", string_of(x, "model"), "engine", string_of(x, "engine"),
					"test", string_of(x, "test"), "threads", number_of(x, "threads"),
					"verdict", v.word, "ratio", real(v.ratio), "lo", real(v.lo), "hi", real(v.hi),
					"noise", real(v.noise), "by", v.by));
			else
				say(x, &v);
		}
	}
	if (!found)
		die("%s and %s have no test in common", path_a, path_b);
	if (strcmp(string_of(json_object_get(a, "machine"), "cpu"), string_of(json_object_get(b, "machine"), "cpu")))
		fprintf(stderr, "zen5-bench: the two are of different CPUs: %s; %s\n",
			string_of(json_object_get(a, "machine"), "cpu"), string_of(json_object_get(b, "machine"), "cpu"));
	if (json) {
		json_dumpf(list, stdout, JSON_INDENT(1) | JSON_REAL_PRECISION(6));
		putchar('\n');
	}
	finish_stdout();
	json_decref(list);
	json_decref(a);
	json_decref(b);
	return slower;
}
