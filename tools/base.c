// SPDX-License-Identifier: MIT
#include "base.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common.h"

static const char ours[8] = { 'z', '5', 'l', 'o', 'g', 'i', 't', 's' };
static const char llama_cpp[8] = { '_', 'l', 'o', 'g', 'i', 't', 's', '_' };

/* What is being written and must not stay behind. */
static const char *unfinished;

void base_discard(void)
{
	if (unfinished)
		unlink(unfinished);
	unfinished = NULL;
}

static uint32_t n_rows(const struct base *b)
{
	return b->n_ctx - 1 - b->n_ctx / 2;
}

static size_t packed_len(const struct base *b)
{
	return 4 + ((size_t)b->n_vocab + 1) / 2 * 2;
}

static void allocate(struct base *b)
{
	b->row = malloc(b->n_vocab * sizeof(*b->row));
	b->packed = calloc(packed_len(b), sizeof(*b->packed));
	if (!b->row || !b->packed)
		die("%s: out of memory", b->path);
}

/* ---- reading ---- */

static void get(struct base *b, void *p, size_t n)
{
	if (fread(p, 1, n, b->f) != n)
		die("%s: %s", b->path, ferror(b->f) ? strerror(errno) : "ends too early");
}

/* Bytes that a file with these numbers has; 0 if that is more than a file can have. */
static uint64_t file_size(const struct base *b)
{
	uint64_t row = b->llama ? packed_len(b) * sizeof(uint16_t) : (uint64_t)b->n_vocab * sizeof(float);
	uint64_t chunk, all;

	if (__builtin_mul_overflow(row, n_rows(b), &chunk) ||
	    __builtin_add_overflow(chunk, (uint64_t)b->n_ctx * sizeof(int32_t), &chunk) ||
	    __builtin_mul_overflow(chunk, b->n_chunk, &all) || all > INT64_MAX - 20)
		return 0;
	return all + 20;
}

void base_open(struct base *b, const char *path)
{
	uint64_t n_tokens, size;
	char magic[8];
	struct stat st;

	*b = (struct base){ .path = path };
	if (stat(path, &st))
		die("%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode))
		die("%s: is no ordinary file", path);
	b->f = fopen(path, "rbe");
	if (!b->f)
		die("%s: %s", path, strerror(errno));
	get(b, magic, sizeof(magic));
	b->llama = !memcmp(magic, llama_cpp, sizeof(magic));
	if (!b->llama && memcmp(magic, ours, sizeof(magic)))
		die("%s: is no file of a base run: make one with --kl-divergence-base alone", path);
	get(b, &b->n_ctx, 4);
	get(b, &b->n_vocab, 4);
	get(b, &b->n_chunk, 4);
	if (b->n_ctx < 4 || b->n_ctx > 1u << 24 || !b->n_vocab || b->n_vocab > 1u << 24 || !b->n_chunk ||
	    b->n_chunk > INT32_MAX)
		die("%s: %u chunks of %u tokens of a vocabulary of %u: the file is damaged", path, b->n_chunk, b->n_ctx,
		    b->n_vocab);
	size = file_size(b);
	if (size != (uint64_t)st.st_size)
		die("%s: has %lld bytes where its head speaks of %llu: it is damaged or was not finished", path,
		    (long long)st.st_size, (unsigned long long)size);
	n_tokens = (uint64_t)b->n_chunk * b->n_ctx;
	b->tokens = malloc(n_tokens * sizeof(*b->tokens));
	if (!b->tokens)
		die("%s: out of memory", path);
	get(b, b->tokens, n_tokens * sizeof(*b->tokens));
	for (uint64_t i = 0; i < n_tokens; i++)
		if (b->tokens[i] < 0 || (uint32_t)b->tokens[i] >= b->n_vocab)
			die("%s: token %llu is %d, outside the vocabulary of %u: the file is damaged", path,
			    (unsigned long long)i, b->tokens[i], b->n_vocab);
	allocate(b);
}

struct base_row base_read(struct base *b)
{
	struct base_row r = { .log_p = b->row, .floor = -INFINITY };
	float scale, low;

	if (!b->llama) {
		get(b, b->row, b->n_vocab * sizeof(*b->row));
		r.shift = log_sum_exp(b->row, b->n_vocab);
		if (!isfinite(r.shift))
			die("%s: holds logits that are no numbers: it is damaged", b->path);
		return r;
	}
	get(b, b->packed, packed_len(b) * sizeof(*b->packed));
	memcpy(&scale, b->packed, sizeof(scale));
	memcpy(&low, b->packed + 2, sizeof(low));
	if (!isfinite(scale) || !isfinite(low) || scale < 0)
		die("%s: holds logits that are no numbers: it is damaged", b->path);
	for (uint32_t i = 0; i < b->n_vocab; i++)
		b->row[i] = scale * (float)b->packed[4 + i] + low;
	/* llama.cpp leaves those out, too */
	r.floor = -16;
	return r;
}

/* ---- writing ---- */

static void put(struct base *b, const void *p, size_t n)
{
	if (fwrite(p, 1, n, b->f) != n) {
		base_discard();
		die("%s: %s", b->path, strerror(errno));
	}
}

/* A slip of the keyboard must not cost a model. */
static void check_replaced(const char *path)
{
	char magic[8];
	FILE *f = fopen(path, "rbe");
	size_t n;

	if (!f)
		return;
	n = fread(magic, 1, sizeof(magic), f);
	fclose(f);
	if (n && (n < sizeof(magic) || (memcmp(magic, ours, sizeof(magic)) && memcmp(magic, llama_cpp, sizeof(magic)))))
		die("%s: is there and no file of a base run: it is not replaced", path);
}

void base_create(struct base *b, const char *path, bool llama, uint32_t n_ctx, uint32_t n_vocab, uint32_t n_chunk,
		 const int32_t *tokens)
{
	*b = (struct base){ .path = path, .llama = llama, .n_ctx = n_ctx, .n_vocab = n_vocab, .n_chunk = n_chunk };
	check_replaced(path);
	b->f = fopen(path, "wbe");
	if (!b->f)
		die("%s: %s", path, strerror(errno));
	unfinished = path;
	allocate(b);
	put(b, llama ? llama_cpp : ours, sizeof(ours));
	put(b, &n_ctx, 4);
	put(b, &n_vocab, 4);
	put(b, &n_chunk, 4);
	put(b, tokens, (size_t)n_chunk * n_ctx * sizeof(*tokens));
}

static void pack(struct base *b, const float *logits)
{
	double shift = log_sum_exp(logits, b->n_vocab);
	float max = logits[0], min = logits[0], scale, low;

	for (uint32_t i = 1; i < b->n_vocab; i++) {
		max = logits[i] > max ? logits[i] : max;
		min = logits[i] < min ? logits[i] : min;
	}
	min = min > max - 16 ? min : max - 16;
	scale = (max - min) / 65535;
	low = (float)(min - shift);
	memcpy(b->packed, &scale, sizeof(scale));
	memcpy(b->packed + 2, &low, sizeof(low));
	for (uint32_t i = 0; i < b->n_vocab; i++) {
		float q = scale > 0 ? rintf((logits[i] - min) / scale) : 0;

		b->packed[4 + i] = (uint16_t)(q < 0 ? 0 : q > 65535 ? 65535 : q);
	}
}

void base_write(struct base *b, const float *logits)
{
	if (!b->llama) {
		put(b, logits, b->n_vocab * sizeof(*logits));
		return;
	}
	pack(b, logits);
	put(b, b->packed, packed_len(b) * sizeof(*b->packed));
}

void base_close(struct base *b, bool complete)
{
	bool writing = unfinished != NULL;

	if (writing && !complete)
		base_discard();
	if (b->f && fclose(b->f) && writing) {
		base_discard();
		die("%s: %s", b->path, strerror(errno));
	}
	unfinished = NULL;
	free(b->tokens);
	free(b->packed);
	free(b->row);
}
