/* SPDX-License-Identifier: MIT */
/*
 * The file of a base run: its tokens, and what the model said at every scored position.
 *
 * Two formats, told apart by their first 8 bytes, all numbers little endian:
 *  ours        "z5logits", u32 n_ctx, n_vocab, n_chunk, i32 tokens[n_chunk][n_ctx], f32 logits[n_chunk][rows][n_vocab]
 *  llama.cpp   "_logits_", i32 the same three, the same tokens, then for each row u16[4 + n_vocab rounded up to even]: a
 *              float scale, a float low, and q, for log-probabilities low + scale q; those under low are q = 0. 16 bits
 *              lose about 1e-4 of a log-probability, and everything more than 16 below the likeliest token.
 * rows = n_ctx - 1 - n_ctx / 2 positions of a chunk are scored, from n_ctx / 2 on.
 */
#ifndef TOOLS_BASE_H
#define TOOLS_BASE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "score.h"

struct base {
	FILE *f;
	const char *path;
	bool llama;		/* llama.cpp's format */
	uint32_t n_ctx, n_vocab, n_chunk;
	int32_t *tokens;	/* [n_chunk][n_ctx], of a file that is read */
	uint16_t *packed;	/* a row of llama.cpp's */
	float *row;		/* float[n_vocab] */
};

/* Opens a file to read and checks it as a whole: dies on anything that does not fit together. */
void base_open(struct base *b, const char *path);
/* The next row, valid until the next call. */
struct base_row base_read(struct base *b);

/*
 * Begins a file of those numbers and tokens. Replaces a file of either format, and nothing else; base_close()
 * removes it unless `complete`.
 */
void base_create(struct base *b, const char *path, bool llama, uint32_t n_ctx, uint32_t n_vocab, uint32_t n_chunk,
		 const int32_t *tokens);
void base_write(struct base *b, const float *logits);
void base_close(struct base *b, bool complete);
/* Removes the file that is being written, on the way to die(); async-signal-safe. */
void base_discard(void);

#endif
