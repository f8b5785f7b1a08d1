// SPDX-License-Identifier: MIT
#include "options.h"

#include <argp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "chat.h"
#include "common.h"

enum {
	OPT_TEMP = 256, OPT_TOP_K, OPT_TOP_P, OPT_MIN_P, OPT_REPEAT, OPT_REPEAT_N, OPT_UBATCH, OPT_TOKENS,
	OPT_LOGITS, OPT_JSON, OPT_EXPLAIN, OPT_NO_DISPLAY, OPT_IGNORE_EOS, OPT_NO_PIN,
	OPT_CHAT, OPT_NO_CHAT, OPT_SYSTEM, OPT_TEMPLATE, OPT_STOP, OPT_NO_SHIFT,
	OPT_REQUIRE_ZEN5, OPT_RESIDENT, OPT_THROTTLE, OPT_BUDGET, OPT_CAP_OTHERS,
	OPT_GRAMMAR, OPT_GRAMMAR_FILE, OPT_SCHEMA, OPT_SCHEMA_FILE, OPT_KV_TYPE, OPT_PROMPT_CACHE, OPT_TERNARY,
};

static const struct argp_option options[] = {
	{ NULL, 0, NULL, 0, "Text:", 1 },
	{ "model", 'm', "FILE", 0, "The model, if not given as argument", 0 },
	{ "prompt", 'p', "TEXT", 0, "Text to continue (else -f, else standard input if it is no terminal)", 0 },
	{ "file", 'f', "FILE", 0, "Read the prompt from FILE (- for standard input)", 0 },
	{ "prompt-cache", OPT_PROMPT_CACHE, "FILE", 0, "Leave what evaluating the prompt gave in FILE, or take it up from there", 0 },
	{ "n-predict", 'n', "N", 0, "Tokens to generate; -1: until the answer ends or the context is full (default -1)", 0 },
	{ "no-display-prompt", OPT_NO_DISPLAY, NULL, 0, "Print only what is generated", 0 },
	{ "ignore-eos", OPT_IGNORE_EOS, NULL, 0, "Go on after the end of the answer", 0 },
	{ "stop", OPT_STOP, "TEXT", 0, "End the answer before TEXT; may be given several times", 0 },
	{ NULL, 0, NULL, 0, "Chat:", 2 },
	{ "chat", OPT_CHAT, NULL, 0, "Converse: -p or -f is one turn, else each line of standard input is", 0 },
	{ "no-chat", OPT_NO_CHAT, NULL, 0, "Continue text even if the model could converse", 0 },
	{ "system", OPT_SYSTEM, "TEXT", 0, "What the model is told before the conversation; implies --chat", 0 },
	{ "chat-template", OPT_TEMPLATE, "NAME", 0, "Instead of the model's own, see below; implies --chat", 0 },
	{ "no-context-shift", OPT_NO_SHIFT, NULL, 0, "End when the context is full instead of forgetting the oldest turns", 0 },
	{ NULL, 0, NULL, 0, "Evaluation:", 3 },
	{ "ctx-size", 'c', "N", 0, "Positions of context; 0: as many as the model was trained for (default: that, at most 4096)", 0 },
	{ "threads", 't', "N", 0, "Threads (default: one a physical core)", 0 },
	{ "ubatch", OPT_UBATCH, "N", 0, "Tokens a prefill chunk (default 512)", 0 },
	{ "kv-type", OPT_KV_TYPE, "f32|f16|bf16|q8_0", 0, "How keys and values of the context are kept: exact, in half the bytes, in 28 % (default f32)", 0 },
	{ "ternary", OPT_TERNARY, "auto|on|off", 0, "Two bits a weight where floats are ternary; rounds activations to 8 bits (default auto: for BitNet)", 0 },
	{ "no-pin", OPT_NO_PIN, NULL, 0, "Leave the threads unpinned", 0 },
	{ "require-zen5", OPT_REQUIRE_ZEN5, NULL, 0, "Exit status 3 and one line unless the CPU is a Zen 5", 0 },
	{ "resident", OPT_RESIDENT, "NAME", OPTION_ARG_OPTIONAL, "Leave the weights in memory for the next run, or use those that are there (needs the module zen5mem)", 0 },
	{ "throttle", OPT_THROTTLE, "off|auto|N[,N...]", 0, "Threads of each L3 domain that decode (default: as few as do as well, searched for slowly)", 0 },
	{ "bandwidth-budget", OPT_BUDGET, "GB/s", 0, "Read no more memory than that, for the sake of others", 0 },
	{ "cap-others", OPT_CAP_OTHERS, "GB/s", 0, "Let all other processes together have no more than that while this runs (resctrl, root)", 0 },
	{ NULL, 0, NULL, 0, "Sampling:", 4 },
	{ "temp", OPT_TEMP, "T", 0, "Temperature; 0: always the likeliest token (default 0.8)", 0 },
	{ "top-k", OPT_TOP_K, "N", 0, "Only the N likeliest tokens; 0: off (default 40)", 0 },
	{ "top-p", OPT_TOP_P, "P", 0, "Only the likeliest tokens that together have probability P; 1: off (default 0.95)", 0 },
	{ "min-p", OPT_MIN_P, "P", 0, "Only tokens at least P times as likely as the likeliest; 0: off (default 0.05)", 0 },
	{ "repeat-penalty", OPT_REPEAT, "X", 0, "Make recent tokens less likely; 1: off (default 1)", 0 },
	{ "repeat-last-n", OPT_REPEAT_N, "N", 0, "How far back that looks (default 64)", 0 },
	{ "seed", 's', "N", 0, "Same seed, same text (default: random)", 0 },
	{ "grammar", OPT_GRAMMAR, "TEXT", 0, "Only answers that this GBNF grammar allows", 0 },
	{ "grammar-file", OPT_GRAMMAR_FILE, "FILE", 0, "Likewise, from FILE", 0 },
	{ "json-schema", OPT_SCHEMA, "TEXT", 0, "Only JSON that this schema describes", 0 },
	{ "json-schema-file", OPT_SCHEMA_FILE, "FILE", 0, "Likewise, from FILE", 0 },
	{ NULL, 0, NULL, 0, "For machines and the curious:", 5 },
	{ "tokens", OPT_TOKENS, "1,2,3", 0, "Feed token ids instead of text", 0 },
	{ "logits", OPT_LOGITS, "FILE", 0, "Write the raw float32 logits after the last prompt token", 0 },
	{ "json", OPT_JSON, NULL, 0, "One JSON object on standard output instead of text", 0 },
	{ "explain", OPT_EXPLAIN, NULL, 0, "Say what ran where: level, memory, threads, kernels, GB/s", 0 },
	{ NULL, 0, NULL, 0, NULL, 0 },
};

static const char doc[] =
	"Continues a text with the GGUF model MODEL, or converses with it: on a terminal, without a prompt, with a model that "
	"carries a chat template, and wherever --chat is given."
	"\vThe text goes to standard output, everything else to standard error. Ctrl-C ends the answer; in a "
	"conversation it goes on, and Ctrl-D or Ctrl-C twice leaves.\n"
	"Environment: ZEN5RT_LEVEL=scalar|avx2|avx512vnni chooses the instruction set.\n"
	"Exit status: 0 done, 1 failed, 3 not a Zen 5 (with --require-zen5), 64 wrong usage, 130 ended by Ctrl-C.";

/* The list of names is that of the table. */
static char *help_filter(int key, const char *text, void *input)
{
	char names[1024], *p;

	(void)input;
	if (key != ARGP_KEY_HELP_POST_DOC)
		return (char *)text;
	if (asprintf(&p, "%s\nChat templates: %s.", text, chat_names(names, sizeof(names))) < 0)
		return NULL;
	return p;
}

static void add_stop(struct options *o, const char *text, struct argp_state *state)
{
	if (!*text)
		argp_error(state, "--stop: an empty text would end every answer at once");
	/* one more is left for the template's own */
	o->stops = realloc(o->stops, (o->n_stops + 2) * sizeof(*o->stops));
	if (!o->stops)
		die("out of memory");
	o->stops[o->n_stops++] = text;
}

static bool has_grammar(const struct options *a)
{
	return a->grammar || a->grammar_file || a->schema || a->schema_file;
}

static void set_grammar(const struct options *a, const char **to, const char *arg, struct argp_state *state)
{
	if (has_grammar(a))
		argp_error(state, "more than one grammar or schema");
	*to = arg;
}

static error_t parse(int key, char *arg, struct argp_state *state)
{
	struct options *a = state->input;
	char names[1024];

	switch (key) {
	case 'm': a->model = arg; break;
	case 'p': a->prompt = arg; break;
	case 'f': a->prompt_file = arg; break;
	case 'n': a->n_predict = arg_int("-n", arg, -1, 1 << 30); break;
	case 'c': a->ctx = arg_int("-c", arg, 0, 1 << 30); break;
	case 't': a->threads = arg_int("-t", arg, 1, 1024); break;
	case 's': a->seed = arg_int("--seed", arg, -1, INT64_MAX); break;
	case OPT_UBATCH: a->ubatch = arg_int("--ubatch", arg, 1, 1 << 20); break;
	case OPT_KV_TYPE: a->kv_type = arg_kv_type("--kv-type", arg); break;
	case OPT_PROMPT_CACHE: a->prompt_cache = arg; break;
	case OPT_TERNARY: a->ternary = arg_auto("--ternary", arg); break;
	case OPT_TEMP: a->sampler.temp = (float)arg_float("--temp", arg, 0, 1000); break;
	case OPT_TOP_K: a->sampler.top_k = (uint32_t)arg_int("--top-k", arg, 0, 1 << 30); break;
	case OPT_TOP_P: a->sampler.top_p = (float)arg_float("--top-p", arg, 0, 1); break;
	case OPT_MIN_P: a->sampler.min_p = (float)arg_float("--min-p", arg, 0, 1); break;
	case OPT_REPEAT: a->sampler.repeat_penalty = (float)arg_float("--repeat-penalty", arg, 0.01, 100); break;
	case OPT_REPEAT_N: a->sampler.repeat_last_n = (uint32_t)arg_int("--repeat-last-n", arg, 0, 1 << 20); break;
	case OPT_TOKENS: a->tokens = arg; break;
	case OPT_LOGITS: a->logits = arg; break;
	case OPT_JSON: a->json = true; break;
	case OPT_EXPLAIN: a->explain = true; break;
	case OPT_NO_DISPLAY: a->no_display = true; break;
	case OPT_IGNORE_EOS: a->ignore_eos = true; break;
	case OPT_NO_PIN: a->no_pin = true; break;
	case OPT_STOP: add_stop(a, arg, state); break;
	case OPT_CHAT: a->chat = CHAT_ON; break;
	case OPT_NO_CHAT: a->chat = CHAT_OFF; break;
	case OPT_SYSTEM: a->system = arg; break;
	case OPT_TEMPLATE:
		a->chat_template = chat_by_name(arg);
		if (!a->chat_template)
			argp_error(state, "--chat-template %s: known are %s", arg, chat_names(names, sizeof(names)));
		break;
	case OPT_NO_SHIFT: a->no_shift = true; break;
	case OPT_REQUIRE_ZEN5: a->require_zen5 = true; break;
	case OPT_RESIDENT:
		if (arg && !*arg)
			argp_error(state, "--resident=: which name?");
		a->resident = arg ? arg : "";
		break;
	case OPT_THROTTLE:
		if (strcmp(arg, "off") && strcmp(arg, "auto") && (!*arg || arg[strspn(arg, "0123456789,")]))
			argp_error(state, "--throttle %s: off, auto, a number of threads, or N,N,... by L3 domain", arg);
		a->throttle = arg;
		break;
	case OPT_BUDGET: a->bandwidth_budget = arg_float("--bandwidth-budget", arg, 0.001, 1e6) * 1e9; break;
	case OPT_CAP_OTHERS: a->cap_others = arg_float("--cap-others", arg, 0.001, 1e6) * 1e9; break;
	case OPT_GRAMMAR: set_grammar(a, &a->grammar, arg, state); break;
	case OPT_GRAMMAR_FILE: set_grammar(a, &a->grammar_file, arg, state); break;
	case OPT_SCHEMA: set_grammar(a, &a->schema, arg, state); break;
	case OPT_SCHEMA_FILE: set_grammar(a, &a->schema_file, arg, state); break;
	case ARGP_KEY_ARG:
		if (a->model)
			argp_error(state, "more than one model: %s and %s", a->model, arg);
		a->model = arg;
		break;
	case ARGP_KEY_END:
		if (!a->model)
			argp_error(state, "which model? zen5-run MODEL.gguf");
		if (!!a->prompt + !!a->prompt_file + !!a->tokens > 1)
			argp_error(state, "-p, -f and --tokens: one of them");
		if (a->ignore_eos && has_grammar(a))
			argp_error(state, "--ignore-eos with a grammar: the answer ends where the grammar does");
		if ((a->system || a->chat_template) && a->chat == CHAT_AUTO)
			a->chat = CHAT_ON;
		if (a->chat == CHAT_ON && (a->tokens || a->logits))
			argp_error(state, "--tokens and --logits are not for chat");
		if (a->chat == CHAT_ON && a->prompt_cache)
			argp_error(state, "--prompt-cache is not for chat");
		if (a->chat == CHAT_ON && a->json && !a->prompt && !a->prompt_file)
			argp_error(state, "--json tells of one answer: give the question with -p or -f");
		break;
	default:
		return ARGP_ERR_UNKNOWN;
	}
	return 0;
}

void parse_options(int argc, char **argv, struct options *o)
{
	static const struct argp argp = { options, parse, "MODEL", doc, NULL, help_filter, NULL };

	*o = (struct options){ .n_predict = -1, .ctx = -1, .seed = -1 };
	zen5rt_sampler_params_init(&o->sampler);
	argp_parse(&argp, argc, argv, 0, NULL, o);
}
