// SPDX-License-Identifier: MIT
/* zen5-quantize: a GGUF model's weights in another type. */
#include <argp.h>
#include <errno.h>
#include <jansson.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

#include "common.h"
#include "watch.h"

const char *argp_program_version = "zen5-quantize " Z5_VERSION;

enum {
	OPT_IMATRIX = 256, OPT_TENSOR, OPT_OUTPUT, OPT_EMBD, OPT_PURE, OPT_LEAVE, OPT_REQUANT, OPT_FORCE,
	OPT_DRY, OPT_JSON, OPT_REQUIRE_ZEN5,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Which tensor gets which type:", 1 },
	{ "tensor-type", OPT_TENSOR, "PATTERN=TYPE", 0,
	  "TYPE for the tensors whose name PATTERN is found in; may be given more than once, the first that fits counts", 0 },
	{ "output-tensor-type", OPT_OUTPUT, "TYPE", 0, "TYPE for the output matrix", 0 },
	{ "token-embedding-type", OPT_EMBD, "TYPE", 0, "TYPE for the token embeddings", 0 },
	{ "leave-output-tensor", OPT_LEAVE, NULL, 0, "Copy output.weight as it is", 0 },
	{ "pure", OPT_PURE, NULL, 0, "The type itself for every matrix, not the mix that goes by its name", 0 },
	{ NULL, 0, NULL, 0, "Files:", 2 },
	{ "imatrix", OPT_IMATRIX, "FILE", 0, "Importance matrix, as llama-imatrix writes it (either format)", 0 },
	{ "allow-requantize", OPT_REQUANT, NULL, 0, "Take an input that is quantized already", 0 },
	{ "force", OPT_FORCE, NULL, 0, "Replace an output that is there", 0 },
	{ "dry-run", OPT_DRY, NULL, 0, "Say what would become of each tensor, write nothing", 0 },
	{ NULL, 0, NULL, 0, "Running:", 3 },
	{ "threads", 't', "N", 0, "Threads (default: one a physical core)", 0 },
	{ "json", OPT_JSON, NULL, 0, "The report as one JSON object", 0 },
	{ "require-zen5", OPT_REQUIRE_ZEN5, NULL, 0, "Fail with status 3 unless this is an AMD Zen 5", 0 },
	{ "quiet", 'q', NULL, 0, "No line a tensor", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

struct args {
	const char *in, *out;
	unsigned int n_args;
	long long threads;
	bool json, quiet, require_zen5;
	struct zen5rt_quantize_params p;
	struct zen5rt_quantize_override *over;
};

static void add_override(struct args *a, char *arg, struct argp_state *state)
{
	char *equals = strrchr(arg, '=');

	if (!equals || equals == arg || !equals[1]) {
		argp_error(state, "--tensor-type %s: PATTERN=TYPE is expected", arg);
		return;
	}
	*equals = 0;
	a->over = realloc(a->over, (a->p.n_overrides + 1) * sizeof(*a->over));
	if (!a->over)
		die("out of memory");
	a->over[a->p.n_overrides++] = (struct zen5rt_quantize_override){ arg, equals + 1 };
	a->p.overrides = a->over;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct args *a = state->input;

	switch (key) {
	case 't': a->threads = arg_int("-t", arg, 1, 1024); break;
	case 'q': a->quiet = true; break;
	case OPT_JSON: a->json = true; break;
	case OPT_REQUIRE_ZEN5: a->require_zen5 = true; break;
	case OPT_TENSOR: add_override(a, arg, state); break;
	case OPT_OUTPUT: a->p.output_type = arg; break;
	case OPT_EMBD: a->p.embedding_type = arg; break;
	case OPT_LEAVE: a->p.leave_output = true; break;
	case OPT_PURE: a->p.pure = true; break;
	case OPT_IMATRIX: a->p.imatrix = arg; break;
	case OPT_REQUANT: a->p.allow_requantize = true; break;
	case OPT_FORCE: a->p.force = true; break;
	case OPT_DRY: a->p.dry_run = true; break;
	case ARGP_KEY_ARGS: {
		int n = state->argc - state->next;
		char **v = state->argv + state->next;

		/* a dry run needs no name for what it does not write */
		if (n != 3 && !(n == 2 && a->p.dry_run))
			argp_error(state, "IN OUT TYPE are expected, with --dry-run IN TYPE");
		a->in = v[0];
		a->out = n == 3 ? v[1] : NULL;
		a->p.type = v[n - 1];
		if (a->out && !strcmp(a->out, "-"))
			argp_error(state, "OUT cannot be standard output: name a file");
		break;
	}
	case ARGP_KEY_NO_ARGS:
		argp_error(state, "IN OUT TYPE are expected");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

/* The types, wrapped at 76 columns, behind the text that argp prints last. */
static char *help_filter(int key, const char *text, void *input)
{
	char *all;
	size_t n;
	FILE *f;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC || !(f = open_memstream(&all, &n)))
		return (char *)text;
	fputs("Types: ", f);
	for (unsigned int i = 0; zen5rt_quantize_type(i); i++)
		fprintf(f, "%s%s", i ? " " : "", zen5rt_quantize_type(i));
	fprintf(f, ".\n%s", text);
	fclose(f);
	return all;
}

static const struct argp argp = {
	options, parse, "IN OUT TYPE",
	"Writes the GGUF model IN to OUT with its weights in TYPE."
	"\vIN holds F32, F16 or BF16. OUT appears when it is complete and has been read back and compared with IN. "
	"The same input gives the same bytes on every machine.\n"
	"Exit status: 0 done, 1 failed, 64 wrong usage, 130 ended by Ctrl-C; OUT is there only after 0.",
	NULL, help_filter, NULL
};

/* ---- the report ---- */

struct report {
	const struct args *a;
	struct watch *watch;
	json_t *tensors;
	int output_error;	/* errno of standard output; 0: it takes the lines */
};

static int print_tensor(const struct zen5rt_quantize_tensor *t)
{
	char shape[64], from[32], to[32];
	int n = snprintf(shape, sizeof(shape), "%llu", (unsigned long long)t->ne[0]);

	for (int i = 1; i < 4; i++)
		if (t->ne[i] > 1)
			n += snprintf(shape + n, sizeof(shape) - (size_t)n, "x%llu", (unsigned long long)t->ne[i]);
	printf("%-32s %-14s %5s %10s  ->  %-8s %10s", t->name, shape, t->from,
	       human_bytes(from, sizeof(from), t->bytes_from), t->to, human_bytes(to, sizeof(to), t->bytes_to));
	if (t->rms > 0)
		printf("  rmse %.3e (%.2f %%)", t->rmse, 100 * t->rmse / t->rms);
	printf("%s%s\n", t->weighted ? " weighted" : "", t->narrow ? " (rows fill no block of the type meant)" : "");
	/* line by line, and nothing more once the reader has gone */
	return fflush(stdout) || ferror(stdout);
}

static int on_tensor(void *user, const struct zen5rt_quantize_tensor *t)
{
	struct report *r = user;
	json_t *j;

	watch_clear(r->watch);
	if (interrupted)
		return 1;
	if (!r->a->json) {
		if (r->a->quiet || !print_tensor(t))
			return 0;
		r->output_error = errno ? errno : EIO;
		return 1;
	}
	j = json_pack("{s:s,s:s,s:s,s:[I,I,I,I],s:I,s:I,s:b,s:b}", "name", t->name, "from", t->from, "to", t->to, "ne",
		      (json_int_t)t->ne[0], (json_int_t)t->ne[1], (json_int_t)t->ne[2], (json_int_t)t->ne[3],
		      "bytes_from", (json_int_t)t->bytes_from, "bytes_to", (json_int_t)t->bytes_to, "narrow", t->narrow,
		      "weighted", t->weighted);
	if (!r->a->p.dry_run && (json_object_set_new(j, "rmse", json_real(t->rmse)) ||
				 json_object_set_new(j, "rms", json_real(t->rms)) ||
				 json_object_set_new(j, "max_error", json_real(t->max_error))))
		die("out of memory for JSON");
	if (json_array_append_new(r->tensors, j))
		die("out of memory for JSON");
	return 0;
}

static void print_sum(const struct report *r, const struct zen5rt_quantize_info *i, double seconds)
{
	double bits = i->n_params ? 8.0 * (double)i->bytes_to / (double)i->n_params : 0;
	char from[32], to[32];
	json_t *j;

	if (r->a->json) {
		j = json_pack("{s:s,s:b,s:I,s:I,s:I,s:f,s:I,s:f,s:O}", "type", i->type, "dry_run", r->a->p.dry_run,
			      "parameters", (json_int_t)i->n_params, "bytes_from", (json_int_t)i->bytes_from,
			      "bytes_to", (json_int_t)i->bytes_to, "bits_per_weight", bits, "narrow",
			      (json_int_t)i->n_narrow, "seconds", seconds, "tensors", r->tensors);
		if (!j || json_dumpf(j, stdout, JSON_COMPACT))
			die("cannot print JSON");
		putchar('\n');
		json_decref(j);
		return;
	}
	printf("%s: %zu tensors, %s -> %s, %.2f bits a weight", i->type, i->n_tensors,
	       human_bytes(from, sizeof(from), (double)i->bytes_from),
	       human_bytes(to, sizeof(to), (double)i->bytes_to), bits);
	if (i->n_narrow)
		printf(", %zu not in the type meant", i->n_narrow);
	if (r->a->p.dry_run)
		printf("; nothing written\n");
	else
		printf(", %.1f s\n", seconds);
}

int main(int argc, char **argv)
{
	struct args a = { 0 };
	struct zen5rt_quantize_info info;
	struct zen5rt_params rp;
	struct zen5rt_error err;
	struct report report = { .a = &a };
	struct watch watch;
	struct zen5rt *rt;
	double start = now();
	int ret;

	zen5rt_quantize_params_init(&a.p);
	argp_parse(&argp, argc, argv, 0, NULL, &a);
	if (a.require_zen5)
		require_zen5(NULL);
	/* too large a file and a reader who leaves are errors to report, not reasons to die */
	signal(SIGXFSZ, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	watch_interrupts();
	zen5rt_params_init(&rp);
	rp.n_threads = (unsigned int)a.threads;
	watch_params(&watch, &rp);
	report.watch = &watch;
	report.tensors = a.json ? json_array() : NULL;
	a.p.tensor = on_tensor;
	a.p.user = &report;
	if (zen5rt_open(&rp, &rt, &err))
		die("%s", err.message);
	ret = zen5rt_quantize(rt, a.in, a.out, &a.p, &info, &err);
	watch_clear(&watch);
	if (!ret)
		print_sum(&report, &info, now() - start);
	json_decref(report.tensors);
	zen5rt_close(rt);
	free(a.over);
	if (ret == -ECANCELED && interrupted)
		return 130;
	if (ret && report.output_error)
		die("standard output: %s", strerror(report.output_error));
	if (ret)
		die("%s%s", err.message, ret == -EEXIST ? "; --force replaces it" :
		    ret == -EPERM ? "; --allow-requantize takes it all the same" : "");
	finish_stdout();
	return 0;
}
