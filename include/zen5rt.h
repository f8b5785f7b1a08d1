/* SPDX-License-Identifier: MIT */
/*
 * zen5rt.h - the public interface of libzen5rt
 *
 * The library loads a GGUF model into memory regions made of the largest pages
 * that the machine gives, and evaluates it on a pool of pinned threads.
 *
 *	struct zen5rt_error err;
 *	struct zen5rt *rt;
 *	struct zen5rt_model *model;
 *	struct zen5rt_session *s;
 *
 *	if (zen5rt_open(NULL, &rt, &err) ||
 *	    zen5rt_model_load(rt, "model.gguf", &model, &err) ||
 *	    zen5rt_session_new(model, NULL, &s, &err))
 *		errx(1, "%s", err.message);
 *
 * Documentation/example.c is a complete program.
 *
 * Rules that hold everywhere:
 *
 *  - Functions that can fail return 0 (or a count) on success and a negative
 *    errno value on failure. errno itself means nothing after a call. Where a function takes a
 *    struct zen5rt_error it may be NULL; on failure it receives one line of text
 *    that says what failed, where, and what to do. It is untouched on success.
 *  - The library never prints, never exits, installs no signal handler and keeps
 *    no global state: any number of handles may exist side by side.
 *  - A handle is used by one thread at a time, vocabularies and grammars by any number. A
 *    struct zen5rt runs one evaluation at a time: models and sessions of the same zen5rt
 *    share its threads, and a second caller meanwhile gets -EBUSY.
 *  - What *_new, *_open and *_load return belongs to the caller and is released by
 *    the matching *_free or *_close, which accept NULL. Children first: sessions,
 *    then models, then the zen5rt. Strings that a getter returns live as long as
 *    the handle that it was asked of.
 *  - Structures that carry a size field are filled by their *_init function, which
 *    sets the size; fields may be added at the end in later versions.
 *  - The same model, tokens and settings give the same logits, bit for bit, at every
 *    ISA level, thread count and prefill chunk.
 */
#ifndef ZEN5RT_H
#define ZEN5RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ZEN5RT_API __attribute__((visibility("default")))

/* Text of a failure; always NUL-terminated, never with a newline. */
struct zen5rt_error {
	char message[512];
};

struct zen5rt;
struct zen5rt_model;
struct zen5rt_session;
struct zen5rt_vocab;
struct zen5rt_detok;
struct zen5rt_sampler;
struct zen5rt_grammar;
struct zen5rt_matcher;

/* Version of the library as "major.minor.patch". */
ZEN5RT_API const char *zen5rt_version(void);

/* ---- the CPU ---- */

struct zen5rt_cpu_info {
	char vendor[16];	/* "AuthenticAMD" */
	char brand[52];		/* "AMD Ryzen 9 9950X 16-Core Processor", "" if it has none */
	uint32_t family, model, stepping;
	const char *core;	/* "Zen 5", "Zen 6", "Zen 4", "Zen 3"; "" for all others */
	const char *product;	/* "Granite Ridge or Fire Range"; "" where core is no Zen 5 */
	/* AMD family 1Ah with a model that Linux counts as Zen 5 */
	bool zen5;
	uint32_t data_path_bits; /* of vector instructions: 512, 256 or 128; 0 not known */
	const char *level;	/* the best that this CPU and its operating system can do */
	/*
	 * Names, with blanks between them, of what the next level would need: CPUID flags as
	 * /proc/cpuinfo writes them, "os-avx" and "os-avx512" for registers that the operating
	 * system has not switched on. "" at the highest level.
	 */
	char missing[128];
	bool hypervisor;	/* this is a virtual machine */
	char hypervisor_vendor[16]; /* "KVMKVMKVM"; "" if it has no name */
	bool pages_1g;		/* pages of 1 GiB */
};
/* The CPU that the caller runs on; needs no runtime and cannot fail. */
ZEN5RT_API void zen5rt_cpu_info(struct zen5rt_cpu_info *info);

/* ---- the runtime: ISA level, topology, threads ---- */

enum zen5rt_log_level {
	ZEN5RT_LOG_WARNING,
	ZEN5RT_LOG_INFO,
	ZEN5RT_LOG_DEBUG,
};

/*
 * Receives one line without a newline. Called only by the thread that is inside a
 * function of the library, never concurrently for one handle.
 */
typedef void (*zen5rt_log_fn)(void *user, enum zen5rt_log_level level,
			      const char *line);

enum zen5rt_stage {
	ZEN5RT_STAGE_LOAD,	/* done and total count bytes of the file */
	ZEN5RT_STAGE_PREFILL,	/* done and total count tokens of one eval */
	ZEN5RT_STAGE_QUANTIZE,	/* done and total count bytes of the input's tensors */
	ZEN5RT_STAGE_CHECK,	/* the same, while the new file is compared with the old */
};

/*
 * Called now and then during long work by the calling thread. Non-zero cancels: the
 * function under way returns -ECANCELED and leaves its handles as they were.
 */
typedef int (*zen5rt_progress_fn)(void *user, enum zen5rt_stage stage,
				  uint64_t done, uint64_t total);

struct zen5rt_params {
	size_t size;
	/*
	 * "scalar", "avx2" or "avx512vnni"; NULL takes the environment's ZEN5RT_LEVEL,
	 * else the best that this CPU has. -ENOTSUP if the CPU lacks it.
	 */
	const char *level;
	/* 0: one a physical core that this process may use; at most 1024 */
	unsigned int n_threads;
	/* false leaves the threads unpinned */
	bool pin;
	zen5rt_log_fn log;
	zen5rt_progress_fn progress;
	void *user;
	/*
	 * Threads of each L3 domain that decode lone tokens (prefill always has all of them). NULL: the smallest number
	 * that is within 1 % of the best rate is searched for, as slowly as it takes to cost less than 1 % itself. "auto":
	 * at once. "off": all. "N": so many of each domain; "N,N,...": by domain.
	 */
	const char *throttle;
	/* Bytes of weights and KV cache a second, that all threads together may read; 0: no limit. */
	double bandwidth_budget;
	/*
	 * Bytes a second that all other processes together may read and write, by resctrl; 0: no
	 * limit. One process at a time; undone by zen5rt_close(), and after a kill by the next
	 * zen5rt_open() of who may. -ENOTSUP, -EBUSY, -EACCES, -ERANGE.
	 */
	double cap_others;
};

ZEN5RT_API void zen5rt_params_init(struct zen5rt_params *params);

/* params NULL: all defaults. -EINVAL, -ENOTSUP, -ENOMEM, -EAGAIN (no more threads). */
ZEN5RT_API int zen5rt_open(const struct zen5rt_params *params, struct zen5rt **rt,
			   struct zen5rt_error *err);
ZEN5RT_API void zen5rt_close(struct zen5rt *rt);

/* The level in use, one of the names above. */
ZEN5RT_API const char *zen5rt_level(const struct zen5rt *rt);
ZEN5RT_API unsigned int zen5rt_n_threads(const struct zen5rt *rt);

/* Where thread number i runs; -EINVAL past the last one. */
struct zen5rt_thread_info {
	int cpu;		/* -1: not pinned */
	int core;		/* physical core, numbered from 0 on this machine */
	int l3;			/* L3 domain, numbered from 0 */
	int node;		/* NUMA node, -1 unknown */
	uint64_t l3_bytes;	/* size of that L3, 0 unknown */
};
ZEN5RT_API int zen5rt_thread_info(const struct zen5rt *rt, unsigned int i,
				  struct zen5rt_thread_info *info);

/* The domains with threads are numbered from 0 in the order of zen5rt_thread_info(). */
#define ZEN5RT_THROTTLE_DOMAINS	64

struct zen5rt_throttle_info {
	const char *mode;	/* "off", "fixed", "auto", "patient" */
	bool searching;
	unsigned int n_domains;
	/* threads by domain: of the next token, between searches, and that there are */
	unsigned int now[ZEN5RT_THROTTLE_DOMAINS], held[ZEN5RT_THROTTLE_DOMAINS], all[ZEN5RT_THROTTLE_DOMAINS];
	unsigned int decisions;	/* windows measured in searches */
	unsigned int searches;	/* that ended */
	unsigned int changes;	/* of what is held, the first choice not counted */
	/* rates of decoding with those threads and with all, where last measured; 0: not yet */
	double held_bytes_s, all_bytes_s;
	double noise;		/* from one window to the next, relative */
	const char *why;	/* of the last search; static */
	const char *counters;	/* where the readings came from: "zen5mem", "perf", "resctrl", "software", ""; static */
	double budget, cap_others;	/* as asked for */
	char text[160];		/* all in a line: "auto: 4+4 of 8+8 threads, held" */
};
ZEN5RT_API void zen5rt_throttle_info(const struct zen5rt *rt, struct zen5rt_throttle_info *info);

/*
 * Reads memory with all threads for about half a second and returns the best rate seen in
 * bytes a second: the yardstick for decode rates. -ENOMEM.
 */
ZEN5RT_API int zen5rt_read_bandwidth(struct zen5rt *rt, double *bytes_per_s,
				     struct zen5rt_error *err);

struct zen5rt_peak {
	double int8_ops;		/* a second, all threads together; 0: the level has no vectors */
	double f32_ops;
	const char *int8_by;		/* the instruction that was counted: "vpdpbusd"; "" */
};
/*
 * What all threads together multiply and add from registers in a second, measured for about 0.2 s each: the yardstick
 * for prefill. Two operations are one product and its sum.
 */
ZEN5RT_API int zen5rt_compute_peak(struct zen5rt *rt, struct zen5rt_peak *peak,
				   struct zen5rt_error *err);

/* ---- models ---- */

/*
 * Loads the GGUF file at path, repacks its weights into a region of their own.
 * -ENOENT and other errno of open(2); -EINVAL for a file that is malformed or of an
 * unsupported architecture or type; -ENOMEM; -EIO; -ECANCELED.
 */
ZEN5RT_API int zen5rt_model_load(struct zen5rt *rt, const char *path,
				 struct zen5rt_model **model,
				 struct zen5rt_error *err);

struct zen5rt_model_params {
	size_t size;
	/*
	 * Not NULL: the repacked weights stay in memory under this name when the process ends,
	 * sealed, in a region of the kernel module zen5mem; the next one that asks for the name
	 * attaches to them and reads only the header of the file. "": a name made of the file's
	 * path. Names are 1 to 63 of A-Z a-z 0-9 . _ : @ + -, the first one a letter or a digit.
	 *
	 * Only sealed regions of the caller's own user or root's are attached to, and only if they
	 * hold exactly this file (device, inode, size, time of modification, of every part) in
	 * this version's layout. If not, a region under a name of the library's making is
	 * replaced, one under a name of the caller's is left alone. Where weights cannot be
	 * resident, the module is not loaded for instance, they are loaded as without this, and
	 * zen5rt_model_info.not_resident says why.
	 */
	const char *resident;
	/* The largest pages that are tried for the weights: "1g", "2m" or "4k"; NULL: "1g". Not of what is resident. */
	const char *pages;
	/*
	 * Matrices of floats (F32, F16, BF16) whose weights are all 0 or one size with either sign
	 * can be held in two bits a weight, which loses nothing of them; but then what they are
	 * multiplied with is rounded to 8 bits, as with quantized types. "auto", NULL: so for BitNet,
	 * whose definition rounds as well; "on": for every architecture; "off": never.
	 */
	const char *ternary;
};
ZEN5RT_API void zen5rt_model_params_init(struct zen5rt_model_params *params);
/* As zen5rt_model_load(); params NULL: all defaults. -EINVAL also for what is no name. */
ZEN5RT_API int zen5rt_model_load_with(struct zen5rt *rt, const char *path,
				      const struct zen5rt_model_params *params,
				      struct zen5rt_model **model,
				      struct zen5rt_error *err);
ZEN5RT_API void zen5rt_model_free(struct zen5rt_model *model);

struct zen5rt_model_info {
	const char *arch;	/* general.architecture */
	const char *name;	/* general.name, "" if the file has none */
	uint32_t n_ctx_train;
	uint32_t n_vocab;
	uint32_t n_embd;
	uint32_t n_layer;
	uint32_t n_head;
	uint32_t n_head_kv;
	uint32_t n_ff;
	uint64_t n_params;
	uint64_t file_bytes;
	uint64_t weight_bytes;	/* repacked, in the region */
	uint64_t decode_bytes;	/* weight bytes that one decoded token streams */
	double load_s;
	const char *resident;	/* name under which the weights stay in memory, "" if they do not */
	bool attached;		/* they were there already: only the header of the file was read */
	const char *not_resident; /* why they do not stay though that was asked for, one line; "" */
	/*
	 * What a recurrent model keeps of a sequence; a token reads and writes all of it. 0: it has only a KV cache. A
	 * hybrid, some of whose layers attend, has both.
	 */
	uint64_t state_bytes;
};
ZEN5RT_API void zen5rt_model_info(const struct zen5rt_model *model,
				  struct zen5rt_model_info *info);

/*
 * Weight matrices, a line for each group of equal type and shape. calls and columns
 * count since load: a call is one matrix product, a column one token in it.
 */
struct zen5rt_weight_info {
	const char *type;	/* GGUF name: "Q4_K" */
	const char *role;	/* "ffn_down" */
	const char *kernel;	/* level of the kernel that runs for it: "avx512vnni" */
	uint64_t rows, cols;	/* output and input width */
	unsigned int count;	/* matrices of this kind in the model */
	uint64_t bytes;		/* all of them together, repacked */
	uint64_t calls, columns;
};
ZEN5RT_API int zen5rt_weight_info(const struct zen5rt_model *model, unsigned int i,
				  struct zen5rt_weight_info *info);

/*
 * What a model will need, from the header of its file: nothing is loaded, and no runtime is needed.
 */
struct zen5rt_model_plan {
	char arch[64];		/* general.architecture, "" if missing; ASCII, other bytes are ? */
	uint64_t file_bytes;
	/*
	 * Repacked weights: what zen5rt_model_info.weight_bytes will be. Tensors of types that
	 * this version cannot run count with their bytes in the file.
	 */
	uint64_t weight_bytes;
	uint64_t kv_bytes;	/* KV cache of n_ctx positions in f32; 0 where refused says why it is unknown */
	uint32_t n_ctx;		/* as asked, else what a session takes by default */
	uint32_t n_ctx_train;
	uint32_t n_tensors;
	uint32_t n_unsupported;	/* tensors of such types */
	char unsupported[128];	/* and those types: "Q2_K, TQ1_0" */
	uint32_t n_parts;	/* files that it is in; all sizes are of all of them */
	char refused[512];	/* one line why this version would not run it, "" if nothing is known */
	/*
	 * The state of a recurrent model or hybrid and the copies that a session goes back to, for any number of
	 * positions; else 0.
	 */
	uint64_t state_bytes;
};
/* n_ctx 0: the session's default. Errors as zen5rt_model_load() gives them for a malformed file. */
ZEN5RT_API int zen5rt_model_plan(const char *path, uint32_t n_ctx,
				 struct zen5rt_model_plan *plan,
				 struct zen5rt_error *err);

/* The vocabulary of a model; owned by the model. */
ZEN5RT_API const struct zen5rt_vocab *
zen5rt_model_vocab(const struct zen5rt_model *model);

/*
 * Reads the model's weights with all threads for about half a second and returns the best rate seen in bytes a second:
 * what decode could reach in this memory and these pages.
 */
ZEN5RT_API int zen5rt_model_read_bandwidth(struct zen5rt_model *model, double *bytes_per_s,
					   struct zen5rt_error *err);

/* ---- memory regions ---- */

struct zen5rt_region_info {
	const char *use;	/* "weights", "KV cache", "state", "scratch" */
	const char *backend;	/* "zen5mem", "hugetlb-1g", "hugetlb-2m", "thp", "plain" */
	uint64_t asked;		/* bytes needed */
	uint64_t size;		/* bytes reserved, whole pages */
	uint64_t page;		/* page size got, in bytes; of several the smallest */
	/*
	 * Bytes that the kernel reports as really backed by pages of that size or larger. Less
	 * than size only where transparent huge pages were not to be had.
	 */
	uint64_t page_bytes;
	const char *why;	/* "" or what was refused before, and why */
	const char *pages;	/* "1 x 1 GiB + 154 x 2 MiB" for zen5mem, "" for the others */
};
/*
 * Regions of a model (its weights) and of a session (KV cache, or state where there is none; scratch; state where there
 * are both); -EINVAL past the last one.
 */
ZEN5RT_API int zen5rt_model_region(const struct zen5rt_model *model, unsigned int i,
				   struct zen5rt_region_info *info);
ZEN5RT_API int zen5rt_session_region(const struct zen5rt_session *session,
				     unsigned int i,
				     struct zen5rt_region_info *info);

/* ---- vocabularies ---- */

/*
 * Reads only the vocabulary of the GGUF file at path, which needs no tensors.
 * Errors as zen5rt_model_load().
 */
ZEN5RT_API int zen5rt_vocab_load(const char *path, struct zen5rt_vocab **vocab,
				 struct zen5rt_error *err);
ZEN5RT_API void zen5rt_vocab_free(struct zen5rt_vocab *vocab);

ZEN5RT_API uint32_t zen5rt_vocab_size(const struct zen5rt_vocab *vocab);
/* Ids of special tokens; -1 if the vocabulary has none. */
ZEN5RT_API int32_t zen5rt_vocab_bos(const struct zen5rt_vocab *vocab);
ZEN5RT_API int32_t zen5rt_vocab_eos(const struct zen5rt_vocab *vocab);
/* True for every token that ends an answer: EOS, end of turn and their kin. */
ZEN5RT_API bool zen5rt_vocab_is_eog(const struct zen5rt_vocab *vocab, int32_t id);
/*
 * The chat template that the file carries, a Jinja program as text; NULL if it has none.
 * The library does not run it.
 */
ZEN5RT_API const char *
zen5rt_vocab_chat_template(const struct zen5rt_vocab *vocab);

#define ZEN5RT_TOKENIZE_BOS	(1u << 0)	/* add BOS (EOS) where the model asks for it */
#define ZEN5RT_TOKENIZE_SPECIAL	(1u << 1)	/* text of special tokens becomes the token */

/*
 * Writes the ids of text[0..len) to ids[0..cap) and returns how many ids the text
 * has; when that is more than cap, only cap were written: call again with room.
 * ids may be NULL if cap is 0. Any bytes are accepted, UTF-8 or not. -EINVAL for
 * unknown flags, -EOVERFLOW if len is above 1 GiB, -ENOMEM.
 */
ZEN5RT_API int64_t zen5rt_tokenize(const struct zen5rt_vocab *vocab, const char *text,
				   size_t len, unsigned int flags, int32_t *ids,
				   size_t cap, struct zen5rt_error *err);

/*
 * Turns ids into text, piece by piece, and never splits a UTF-8 character: bytes of
 * an incomplete one are held back until the next token completes it. Bytes that
 * cannot become valid UTF-8 come out as U+FFFD.
 */
ZEN5RT_API int zen5rt_detok_new(const struct zen5rt_vocab *vocab, bool special,
				struct zen5rt_detok **detok,
				struct zen5rt_error *err);
ZEN5RT_API void zen5rt_detok_free(struct zen5rt_detok *detok);
/*
 * The text that id adds, NUL-terminated, valid until the next call; *len (may be
 * NULL) gets its length. Never NULL: an id outside the vocabulary and, unless special
 * was asked for, a control token add "".
 */
ZEN5RT_API const char *zen5rt_detok_next(struct zen5rt_detok *detok, int32_t id,
					 size_t *len);
/* What is still held back, as U+FFFD; then the detokenizer starts afresh. */
ZEN5RT_API const char *zen5rt_detok_end(struct zen5rt_detok *detok, size_t *len);

/* ---- sessions: one sequence of tokens and its KV cache ---- */

/* Names that zen5rt_session_params.kv_type may have; NULL past the last one. */
ZEN5RT_API const char *zen5rt_kv_type(unsigned int i);

struct zen5rt_session_params {
	size_t size;
	/*
	 * positions; 0: the model's training context, at most 4096. A recurrent model without attention needs no memory
	 * for them: its training context.
	 */
	uint32_t n_ctx;
	uint32_t n_ubatch;	/* tokens a prefill chunk; 0: 512 */
	/*
	 * How keys and values are kept: "f32", "f16" or "bf16" (half as large, rounded to nearest even, what is larger than
	 * the type's largest number becomes that), "q8_0" (8 bits and a float for each 32 of a head: 28 % of f32). NULL:
	 * "f32". Each gives one answer, the same bits on every machine; they differ from each other. -EINVAL for any of
	 * them if no layer of the model attends.
	 */
	const char *kv_type;
};
ZEN5RT_API void zen5rt_session_params_init(struct zen5rt_session_params *params);

/* params NULL: all defaults. -EINVAL, -ENOMEM. */
ZEN5RT_API int zen5rt_session_new(struct zen5rt_model *model,
				  const struct zen5rt_session_params *params,
				  struct zen5rt_session **session,
				  struct zen5rt_error *err);
ZEN5RT_API void zen5rt_session_free(struct zen5rt_session *session);

ZEN5RT_API uint32_t zen5rt_session_n_ctx(const struct zen5rt_session *session);
/* One of zen5rt_kv_type(); "" if no layer of the model attends and there is no such cache. */
ZEN5RT_API const char *zen5rt_session_kv_type(const struct zen5rt_session *session);
/* Number of positions filled. */
ZEN5RT_API uint32_t zen5rt_session_pos(const struct zen5rt_session *session);

/*
 * Appends n tokens to the sequence and computes the logits after the last of them.
 * -EINVAL for n == 0 or an id outside the vocabulary, -ENOSPC if the context has no
 * room for n more, -ECANCELED; the sequence is unchanged after an error.
 */
ZEN5RT_API int zen5rt_eval(struct zen5rt_session *session, const int32_t *tokens,
			   size_t n, struct zen5rt_error *err);

/*
 * As zen5rt_eval(), and row i of logits, float[n][n_vocab], holds those after tokens[i]: the
 * same bits as one call a token gives. logits is the caller's; undefined after an error.
 */
ZEN5RT_API int zen5rt_eval_all(struct zen5rt_session *session, const int32_t *tokens,
			       size_t n, float *logits, struct zen5rt_error *err);

/*
 * float[n_vocab] after the last eval, valid until the next;
 * NULL before the first, and where zen5rt_eval_all() was cancelled.
 */
ZEN5RT_API const float *zen5rt_logits(const struct zen5rt_session *session);

/*
 * Forgets all positions from pos on. -EINVAL if pos is past the end; -ENOTSUP, and nothing is changed, if the model has
 * a state and cannot go back there: a token changes the whole of its state, so that there are only copies to go back
 * to. These are of the two latest positions at which an evaluation of more than one token began or ended; going back
 * to the empty sequence is always possible.
 */
ZEN5RT_API int zen5rt_session_rewind(struct zen5rt_session *session, uint32_t pos);
/* The last position that is not after pos and can be gone back to: pos itself, unless the model has a state. */
ZEN5RT_API uint32_t zen5rt_session_can_rewind(const struct zen5rt_session *session, uint32_t pos);

/*
 * Makes `to` stand where from stands, with its logits; both go on by themselves. A recurrent model's can be rewound
 * only to its beginning then. -EINVAL if they are of different models or types of KV cache, -ENOSPC if the context of
 * `to` is too small; it is then unchanged.
 */
ZEN5RT_API int zen5rt_session_copy(struct zen5rt_session *to, const struct zen5rt_session *from,
				   struct zen5rt_error *err);

/*
 * Writes the session to a file, so that what has been evaluated need not be again; tokens are those it was evaluated
 * with, one a position. The file appears when it is complete. errno of writing; -EINVAL for an empty session.
 */
ZEN5RT_API int zen5rt_session_save(const struct zen5rt_session *session, const char *path, const int32_t *tokens,
				   struct zen5rt_error *err);
/*
 * Puts the session where the one of the file was, and the tokens into tokens, which has room for all of the context;
 * zen5rt_session_pos() says how many they are. That of a model with a state can be rewound only to its beginning then.
 * errno of open(2); -EINVAL for a file that is malformed, damaged, or of another model or type of KV cache, -ENOSPC if
 * the context is too small. Where reading fails half way, the session is empty.
 */
ZEN5RT_API int zen5rt_session_restore(struct zen5rt_session *session, const char *path, int32_t *tokens,
				      struct zen5rt_error *err);

/* ---- grammars: what a model may say ---- */

/*
 * Compiles the GBNF text[0..len), UTF-8; Documentation/grammar.rst has the dialect. root names the rule
 * that the whole answer matches, NULL: "root". vocab may be NULL for matching text alone, else it must
 * outlive the grammar. A grammar may be used by matchers in any number of threads at once: what they
 * find out about it is shared, memory above 64 MiB is given back.
 * -EINVAL with a line "grammar:LINE:COLUMN: ..." for a text that is wrong, refers to rules that are not
 * there, has a rule that can begin with itself, or is larger than the bounds; -ENOMEM.
 */
ZEN5RT_API int zen5rt_grammar_new(const struct zen5rt_vocab *vocab, const char *text, size_t len,
				  const char *root, struct zen5rt_grammar **grammar,
				  struct zen5rt_error *err);
/* Matchers first. */
ZEN5RT_API void zen5rt_grammar_free(struct zen5rt_grammar *grammar);

/*
 * One text that a grammar follows while it is written: the state of one sequence. A matcher is small,
 * and copying is as cheap as assigning a number: keep a copy for what may have to be taken back.
 */
ZEN5RT_API int zen5rt_matcher_new(struct zen5rt_grammar *grammar, struct zen5rt_matcher **matcher,
				  struct zen5rt_error *err);
ZEN5RT_API void zen5rt_matcher_free(struct zen5rt_matcher *matcher);
/* Back to the beginning. */
ZEN5RT_API void zen5rt_matcher_reset(struct zen5rt_matcher *matcher);
/* Makes to stand where from stands; -EINVAL if they are of different grammars. */
ZEN5RT_API int zen5rt_matcher_copy(struct zen5rt_matcher *to, const struct zen5rt_matcher *from);

/*
 * Goes on by a token, or by text that need not end with a whole character. -EDOM if the grammar does
 * not allow it, -E2BIG if it is too ambiguous to be followed, -ENOMEM; the matcher is then unchanged.
 * A token that ends an answer is allowed exactly where the grammar can end, and nothing after it.
 * Control tokens are no text: only a grammar that names them allows them.
 */
ZEN5RT_API int zen5rt_matcher_accept(struct zen5rt_matcher *matcher, int32_t id,
				     struct zen5rt_error *err);
ZEN5RT_API int zen5rt_matcher_text(struct zen5rt_matcher *matcher, const char *text, size_t len,
				   struct zen5rt_error *err);
/* True if zen5rt_matcher_accept() would be content with the token. */
ZEN5RT_API bool zen5rt_matcher_allows(struct zen5rt_matcher *matcher, int32_t id);
/* True if the text so far is complete. */
ZEN5RT_API bool zen5rt_matcher_can_end(const struct zen5rt_matcher *matcher);
/*
 * Sets those of logits[0..n) that are of tokens not allowed next to -infinity and returns how many
 * tokens of the vocabulary are allowed, at least 1. n may be 0. -EDOM if there are none, or the answer
 * has ended; -E2BIG, -ENOMEM; then logits are unchanged.
 */
ZEN5RT_API int64_t zen5rt_matcher_mask(struct zen5rt_matcher *matcher, float *logits, uint32_t n,
				       struct zen5rt_error *err);

/*
 * Writes a grammar for the JSON values that the JSON schema text[0..len) describes;
 * Documentation/grammar.rst lists the keywords. *gbnf is NUL-terminated and for the caller to free(); it
 * is one that zen5rt_grammar_new() does not refuse, unless it may begin in too many ways.
 * -EINVAL with a line that names the place in the schema; -ENOMEM.
 */
ZEN5RT_API int zen5rt_grammar_from_schema(const char *text, size_t len, char **gbnf,
					  struct zen5rt_error *err);

/* ---- sampling ---- */

struct zen5rt_sampler_params {
	size_t size;
	float temp;		/* <= 0: greedy; default 0.8 */
	uint32_t top_k;		/* 0: off; default 40 */
	float top_p;		/* >= 1: off; default 0.95 */
	float min_p;		/* 0: off; default 0.05 */
	float repeat_penalty;	/* 1: off; default 1 */
	uint32_t repeat_last_n;	/* tokens that the penalty looks back on; default 64 */
	uint64_t seed;
};
ZEN5RT_API void zen5rt_sampler_params_init(struct zen5rt_sampler_params *params);

/* -EINVAL for values out of range or not finite, -ENOMEM. */
ZEN5RT_API int zen5rt_sampler_new(const struct zen5rt_sampler_params *params,
				  uint32_t n_vocab, struct zen5rt_sampler **sampler,
				  struct zen5rt_error *err);
ZEN5RT_API void zen5rt_sampler_free(struct zen5rt_sampler *sampler);

/* Makes a token known to the repetition penalty: prompt tokens, and those chosen. */
ZEN5RT_API void zen5rt_sampler_accept(struct zen5rt_sampler *sampler, int32_t id);

/*
 * Chooses a token from logits (float[n_vocab]). Order: repetition penalty, top-k,
 * top-p, min-p, temperature. Depends on nothing but params, the logits and the tokens
 * accepted. -EDOM if every logit is NaN or none is above -infinity. With a
 * matcher only tokens that it allows are chosen from, before everything else; -EDOM, -E2BIG or -ENOMEM if
 * it has none, and zen5rt_matcher_mask(matcher, NULL, 0, &err) says why. What was chosen goes to
 * zen5rt_matcher_accept() as well.
 */
ZEN5RT_API int32_t zen5rt_sampler_pick(struct zen5rt_sampler *sampler,
				       const float *logits);

/*
 * From now on choices follow the matcher, which stays the caller's and must outlive them; NULL: no more.
 * -EINVAL if it is of a vocabulary larger than n_vocab, -ENOMEM.
 */
ZEN5RT_API int zen5rt_sampler_set_matcher(struct zen5rt_sampler *sampler,
					  struct zen5rt_matcher *matcher,
					  struct zen5rt_error *err);

/* ---- quantizing ---- */

/* Names that zen5rt_quantize_params.type may have, the largest first; NULL past the last one. */
ZEN5RT_API const char *zen5rt_quantize_type(unsigned int i);

/* Tensors whose name pattern (PCRE2) is found in get type, a tensor's: "Q6_K", never a mix. */
struct zen5rt_quantize_override {
	const char *pattern;
	const char *type;
};

/* One tensor of the input, and what became of it. */
struct zen5rt_quantize_tensor {
	const char *name;
	const char *from, *to;		/* types; equal: copied as it is */
	uint64_t ne[4];			/* ne[0] is the contiguous one */
	uint64_t bytes_from, bytes_to;
	bool narrow;			/* another type than was meant: its rows fill no block of that */
	bool weighted;			/* the importance matrix was used */
	/*
	 * Of the difference between the two files, as read back: its root mean square, the largest magnitude, and the
	 * root mean square of the input. 0 with dry_run.
	 */
	double rmse, max_error, rms;
};

struct zen5rt_quantize_params {
	size_t size;
	/* "Q4_K_M" and its kin, in either case: see zen5rt_quantize_type() */
	const char *type;
	/* For the output matrix (the embeddings, where they serve as that) and the token embeddings; NULL: by rule. */
	const char *output_type, *embedding_type;
	/* The first that fits a tensor is taken, ahead of every rule. */
	const struct zen5rt_quantize_override *overrides;
	size_t n_overrides;
	const char *imatrix;		/* file of an importance matrix, NULL: none */
	bool pure;			/* every matrix gets the type itself, no rules */
	bool leave_output;		/* output.weight is copied as it is */
	bool allow_requantize;		/* the input may be quantized already */
	bool force;			/* the output may be there already */
	bool dry_run;			/* nothing is written, out may be NULL */
	/* NULL, or called for every tensor in order when all are done, with user; non-zero cancels. */
	int (*tensor)(void *user, const struct zen5rt_quantize_tensor *t);
	void *user;
};
ZEN5RT_API void zen5rt_quantize_params_init(struct zen5rt_quantize_params *params);

struct zen5rt_quantize_info {
	const char *type;		/* the mix, as zen5rt_quantize_type() writes it */
	uint64_t n_params;
	uint64_t bytes_from, bytes_to;	/* of the files */
	size_t n_tensors, n_narrow;
};

/*
 * Writes the model in the GGUF file `in` to `out`, its matrices in another type, on the threads of rt. All
 * metadata is kept but general.file_type, general.quantization_version and quantize.imatrix.*. The same input,
 * parameters and importance matrix give the same bytes on every machine and any number of threads.
 *
 * `out` appears when it is complete, on the disk, and has been read back and compared with `in`; until then it is a
 * nameless or hidden file in the same directory. A process that has SIGXFSZ not ignored dies of a file size limit.
 *
 * -EINVAL for unknown types, patterns, malformed files, NaN or infinite weights, or a result
 * that differs from the input more than its type can explain; -EPERM if the input is quantized already; -EEXIST;
 * -ENOSPC and other errno of reading and writing; -ENOMEM; -ECANCELED. info may be NULL; it is filled on success.
 */
ZEN5RT_API int zen5rt_quantize(struct zen5rt *rt, const char *in, const char *out,
			       const struct zen5rt_quantize_params *params,
			       struct zen5rt_quantize_info *info, struct zen5rt_error *err);

#ifdef __cplusplus
}
#endif
#endif
