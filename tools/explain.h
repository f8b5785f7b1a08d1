/* SPDX-License-Identifier: MIT */
/* What a run of zen5-run tells about itself: a summary line, --explain and --json. */
#ifndef TOOLS_EXPLAIN_H
#define TOOLS_EXPLAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

struct constraint;

struct run {
	struct zen5rt *rt;
	struct zen5rt_model *model;
	struct zen5rt_session *session;
	struct constraint *constraint;	/* of the sampler; NULL: none */
	int32_t *ids;			/* prompt, then what was generated */
	size_t n_prompt, n_out;
	size_t n_kept;			/* tokens of the prompt that an earlier turn has evaluated */
	size_t n_eval;			/* tokens decoded, which is one less than generated or equal */
	const char *end;		/* "eos", "length", "stop", "context full", "interrupted", "grammar" */
	uint64_t seed;
	double load_s, prompt_start, prompt_s;
	double first_s;			/* from the prompt's start to the first token */
	double decode_s;
	double bandwidth;		/* bytes a second that this machine reads */
	bool have_bandwidth;
};

/* One line on stderr: load time, prompt tok/s, time to first token, decode tok/s. */
void summary(const struct run *r);
/* Several lines on stderr. */
void explain(const struct run *r);
/* One JSON object on stdout. text is what was generated. */
void print_json(const struct run *r, const char *text, size_t len, bool explain);

#endif
