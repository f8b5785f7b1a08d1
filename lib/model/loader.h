/* SPDX-License-Identifier: MIT */
/* Between binding (bind.c), which says what the weights will be, and loading (load.c), which fetches them. */
#ifndef Z5_LOADER_H
#define Z5_LOADER_H

#include "model.h"

/* A tensor on its way into the region. */
struct item {
	const struct gguf_tensor *t;
	const struct z5_type_ops *ops;	/* of the file */
	const struct z5_type_ops *to;	/* of the result, the same unless it is turned */
	void **dest;			/* where the pointer to the result goes; NULL: nowhere */
	uint64_t rows, k;
	uint64_t row0;			/* the first one's number in the tensor */
	size_t off;			/* in the region */
	bool vector;			/* becomes float[k] */
	bool turned;			/* rows of the result are columns of k rows in the tensor */
};

struct z5_loader {
	struct zen5rt_model *m;
	struct gguf *g;
	struct zen5rt_error *err;
	const char *path;		/* as the caller wrote it */
	const char *resident;		/* name to stay under, "" for one of our making; NULL: none */
	enum z5_page pages;		/* the first that are tried */
	struct item *items;
	unsigned int n_items, cap_items;
	bool *used;			/* tensors that some item takes */
	size_t size;			/* of the region so far */
};

#endif
