/* SPDX-License-Identifier: MIT */
/* Which type each tensor gets. */
#ifndef Z5_PLAN_H
#define Z5_PLAN_H

#include <gguf/gguf.h>

struct z5_planned {
	uint32_t type;		/* ggml type number; that of the input: copied as it is */
	bool narrow;		/* its rows do not fill a block of the type meant */
};

struct z5_plan {
	const char *name;	/* of the mix: "Q4_K_M" */
	uint32_t file_type;	/* general.file_type */
	struct z5_planned *t;	/* one a tensor of the input, in its order */
};

/*
 * Fills plan for the tensors of g. -EINVAL for an unknown type, a bad pattern, one that matches nothing; -EPERM for an
 * input that is quantized already and may not be quantized again; -ENOMEM. have_imatrix changes some choices.
 */
int z5_plan_make(struct z5_plan *plan, const struct gguf *g, const struct zen5rt_quantize_params *p,
		 bool have_imatrix, struct zen5rt_error *err);
void z5_plan_free(struct z5_plan *plan);

/* Name of mix i as zen5rt_quantize_type() gives it. */
const char *z5_mix_name(unsigned int i);

#endif
