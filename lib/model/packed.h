/* SPDX-License-Identifier: MIT */
/* How many bytes a tensor takes in the region of the weights: one arithmetic for the loader and for who asks before. */
#ifndef Z5_PACKED_H
#define Z5_PACKED_H

#include <errno.h>
#include <kernels/kernels.h>

/*
 * Goes up with every change of what packing writes, of the kernels' layout and of the loader's: weights that another
 * process left in memory are used as they are. tests/unit/resident.c sees most changes.
 */
#define Z5_PACKING	1

/* A matrix of rows x k, in whole groups. -EOVERFLOW; *bytes means nothing then. */
static inline int z5_packed_matrix(const struct z5_type_ops *ops, uint64_t rows, uint64_t k, size_t *bytes)
{
	uint64_t groups = rows / Z5_GROUP + (rows % Z5_GROUP != 0);

	if (__builtin_mul_overflow(ops->group_bytes(k), groups, bytes) || *bytes > SIZE_MAX / 2)
		return -EOVERFLOW;
	*bytes = Z5_ALIGN64(*bytes);
	return 0;
}

/* A vector of n values, which are floats in memory. n is bounded by the size of a file. */
static inline size_t z5_packed_vector(uint64_t n)
{
	return Z5_ALIGN64(n * sizeof(float));
}

#endif
