/* SPDX-License-Identifier: MIT */
/* The head of a new GGUF file, made after that of another: everything ahead of the tensors' data. */
#ifndef Z5_GGUF_WRITE_H
#define Z5_GGUF_WRITE_H

#include "gguf.h"

/* A pair to set: it takes the place of the one with its key, or comes last. text NULL: a U32. */
struct gguf_set {
	const char *key;
	const char *text;
	uint32_t number;
};

struct gguf_head {
	uint8_t *p;		/* GGUF version 3, padded to where the data starts */
	size_t n;
	uint64_t *offset;	/* of each tensor, from the start of the file */
	uint64_t *size;
	uint64_t file_size;
};

/*
 * Head of a file with src's pairs and tensors in src's order, tensor i of type types[i], whose block its rows fill.
 * -ENOMEM; -EINVAL if the sizes overflow. Free with gguf_head_free(), also after an error.
 */
int gguf_head_make(struct gguf_head *h, const struct gguf *src, const struct gguf_set *set, size_t n_set,
		   const uint32_t *types, struct zen5rt_error *err);
void gguf_head_free(struct gguf_head *h);

#endif
