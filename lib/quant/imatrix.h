/* SPDX-License-Identifier: MIT */
/*
 * Importance matrices as llama.cpp's llama-imatrix writes them: for each weight matrix the mean square of each input
 * column over some text. Both of its formats are read: GGUF files with tensors NAME.in_sum2 and NAME.counts, and the
 * older binary one (i32 entries; each: i32 length, name, i32 calls, i32 values, f32 values[]; what follows is ignored).
 */
#ifndef Z5_IMATRIX_H
#define Z5_IMATRIX_H

#include <stddef.h>
#include <zen5rt.h>

struct z5_imatrix;

/* -EINVAL for a file that is neither, or malformed, with a line; errno of open and read; -ENOMEM. */
int z5_imatrix_load(const char *path, struct z5_imatrix **out, struct zen5rt_error *err);
void z5_imatrix_free(struct z5_imatrix *im);

size_t z5_imatrix_n(const struct z5_imatrix *im);
/*
 * Weights of the columns of matrix `name`, scaled so that the largest is 1 (all may be 0), one matrix after the other
 * where a tensor holds several; their number into *n. NULL if the file has none.
 */
const float *z5_imatrix_find(const struct z5_imatrix *im, const char *name, size_t *n);

#endif
