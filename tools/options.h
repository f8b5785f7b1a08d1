/* SPDX-License-Identifier: MIT */
/* The command line of zen5-run. */
#ifndef TOOLS_OPTIONS_H
#define TOOLS_OPTIONS_H

#include <stdbool.h>
#include <zen5rt.h>

#include "chat.h"

enum chat_mode { CHAT_AUTO, CHAT_ON, CHAT_OFF };

struct options {
	const char *model, *prompt, *prompt_file, *prompt_cache, *tokens, *logits;
	const char *throttle, *kv_type, *ternary;		/* NULL: not given */
	double bandwidth_budget, cap_others;		/* bytes a second, 0: none */
	const char *resident;				/* NULL: not asked for, "": a name of the library's making */
	const char *grammar, *grammar_file, *schema, *schema_file;	/* at most one */
	long long n_predict, ctx, threads, ubatch, seed;	/* -1 or 0: not given */
	bool no_display, ignore_eos, json, explain, no_pin, require_zen5;
	struct zen5rt_sampler_params sampler;
	enum chat_mode chat;
	const char *system;
	const struct chat_template *chat_template;	/* NULL: the model's own */
	const char **stops;				/* at least n_stops, none empty */
	size_t n_stops;
	bool no_shift;
};

/* Fills o; wrong usage ends the process with status 64, --help and --version with 0. */
void parse_options(int argc, char **argv, struct options *o);

#endif
