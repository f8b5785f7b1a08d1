/* SPDX-License-Identifier: MIT */
/* Between binding (bind.c), which says what the weights will be, and loading (load.c), which fetches them. */
#ifndef Z5_LOADER_H
#define Z5_LOADER_H

#include "model.h"

/* A tensor on its way into the region. */
struct item {
	const struct gguf_tensor *t;
	const struct z5_type_ops *ops;	/* of the file */
	const struct z5_type_ops *to;	/* of the result, the same unless it is turned, or floats that are ternary */
	void **dest;			/* where the pointer to the result goes; NULL: nowhere */
	uint64_t rows, k;
	uint64_t row0;			/* the first one's number in the tensor */
	size_t off;			/* in the region */
	bool vector;			/* becomes float[k] */
	bool scale;			/* a vector of one, of a matrix; must be finite */
	float size;			/* where floats become ternary: of all that are not 0; no scale is read then */
	bool turned;			/* rows of the result are columns of k rows in the tensor */
};

enum z5_ternary { Z5_TERNARY_AUTO, Z5_TERNARY_ON, Z5_TERNARY_OFF };

struct z5_loader {
	struct zen5rt_model *m;
	struct gguf *g;
	struct zen5rt_error *err;
	const char *path;		/* as the caller wrote it */
	const char *resident;		/* name to stay under, "" for one of our making; NULL: none */
	enum z5_page pages;		/* the first that are tried */
	enum z5_ternary ternary;	/* whether matrices of floats are looked at */
	bool every_row;			/* ... at all of each, not at a few rows */
	struct item *items;
	unsigned int n_items, cap_items;
	bool *used;			/* tensors that some item takes */
	size_t size;			/* of the region so far */
};

/* ---- ternary.c ---- */

/*
 * Whether a matrix of floats seems to be ternary: *size is then that of its weights that are not 0, else 0. Where only
 * a few rows are looked at z5_ternary_pack() has the last word.
 */
int z5_ternary_look(const struct z5_loader *ld, const struct item *it, float *size);
/* n floats at p, a multiple of 128, as rows of I2_S in place; false if one is no 0 and no size with either sign. */
bool z5_ternary_pack(uint8_t *p, size_t n, const struct z5_type_ops *from, float size);
/* Whether n bytes of I2_S have only three values. */
bool z5_ternary_whole(const uint8_t *p, size_t n);

#endif
