/* SPDX-License-Identifier: MIT */
/*
 * What a loaded model is, and how an architecture's file binds its tensors. A member of a family costs an entry in
 * its table and the lines that are really new.
 */
#ifndef Z5_MODEL_H
#define Z5_MODEL_H

#include <gguf/gguf.h>
#include <kernels/kernels.h>
#include <mem/region.h>
#include <runtime.h>
#include <stdbool.h>
#include <vocab/vocab.h>

#include "hparams.h"

/* A matrix in packed form; ops == NULL: the model has none. */
struct z5_weight {
	const struct z5_type_ops *ops;
	uint64_t rows, k;
	void *data;
	unsigned int kind;	/* index into the model's kinds */
};

static inline size_t z5_weight_groups(const struct z5_weight *w)
{
	return (w->rows + Z5_GROUP - 1) / Z5_GROUP;
}

/* Matrices of one role, type and shape, for reports. */
struct z5_kind {
	const struct z5_type_ops *ops;
	const char *role;
	uint64_t rows, k, bytes;
	unsigned int count;
	uint64_t calls, columns;
};

struct z5_layer {
	struct z5_weight q, k, v, o, gate, up, down;
	const float *attn_norm, *ffn_norm;
	const float *q_bias, *k_bias, *v_bias, *o_bias;	/* NULL where there is none */
	const float *q_norm, *k_norm;			/* float[hd_k], NULL: none */
};

struct z5_arch;
struct z5_loader;

struct zen5rt_model {
	struct zen5rt *rt;
	const struct z5_arch *arch;
	char *name;
	struct zen5rt_vocab *vocab;
	struct z5_region region;
	struct z5_hparams h;
	struct z5_layer *layers;
	struct z5_weight embd, output;	/* output shares embd's data where they are tied */
	const float *output_norm, *rope_factors;	/* float[n_rot / 2], NULL: none */
	struct z5_kind *kinds;
	unsigned int n_kinds;
	uint64_t n_params, file_bytes, decode_bytes;
	double load_s;
};

struct z5_arch {
	const char *name;
	bool neox;		/* rotary pairs are half a head apart */
	bool qkv_bias;		/* demanded */
	bool qk_norm;		/* demanded */
	int (*bind)(struct zen5rt_model *m, struct z5_loader *ld);
	void (*forward)(const struct z5_thread *t, void *step);
};

extern const struct z5_arch z5_archs[];		/* ends with a NULL name */

/* ---- for bind functions; names are printf formats over the layer number ---- */

/* 0; -EINVAL with a line if the tensor is missing, or its shape or type is not what is asked. */
int z5_bind_matrix(struct z5_loader *ld, struct z5_weight *w, const char *role, uint64_t rows,
		   uint64_t k, bool optional, const char *fmt, unsigned int layer);
/* The same for a vector of n floats (F32, F16 or BF16 in the file, always float in memory). */
int z5_bind_vector(struct z5_loader *ld, const float **v, uint64_t n, bool optional,
		   const char *fmt, unsigned int layer);

#endif
