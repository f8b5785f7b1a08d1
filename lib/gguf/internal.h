/* SPDX-License-Identifier: MIT */
/* What gguf.c (file, header, tensors) and kv.c (metadata) share. */
#ifndef Z5_GGUF_INTERNAL_H
#define Z5_GGUF_INTERNAL_H

#include "cursor.h"
#include "gguf.h"

struct gguf_kv {
	uint32_t key_off;		/* all offsets are from the start of the file */
	uint32_t key_len;
	uint32_t type;
	uint32_t elem;			/* element type of an array */
	uint32_t off;			/* of the value: number, text, first element */
	uint32_t n;			/* bytes of a string, elements of an array */
	uint32_t *index;		/* string arrays: offset of each element's length */
	const struct gguf *g;
};

struct gguf {
	int fd;
	char *path;
	char name[208];			/* the path, or its end, short enough for every message */
	uint64_t file_size;
	uint8_t *meta;			/* the file up to the end of the tensor list */
	/*
	 * Looked up through sorted pointers and not a hash table: finding 10,000 names costs the
	 * same few milliseconds, and no file can be made that degrades it.
	 */
	struct gguf_kv *kv;
	const struct gguf_kv **by_key;
	size_t n_kv;
	struct gguf_tensor *tensors;
	const struct gguf_tensor **by_name;
	size_t n_tensors;
	struct gguf **parts;		/* of a model in several files, the second and on */
	uint32_t n_parts;
};

/* Reads n_kv pairs; g->kv grows with those that were complete, so that closing g frees them. */
int gguf_read_kv(struct gguf *g, struct cursor *c, uint64_t n_kv);
/* Sorts the keys and refuses the second of a pair. g->meta is final from here on. */
int gguf_index_kv(struct gguf *g, struct zen5rt_error *err);
void gguf_free_kv(struct gguf *g);
/* Fills g->by_name and refuses the second of a pair. */
int gguf_index_names(struct gguf *g, struct zen5rt_error *err);
/* NULL if absent. */
const struct gguf_kv *gguf_find_kv(const struct gguf *g, const char *key);
const char *gguf_value_type_name(uint32_t type);

#endif
