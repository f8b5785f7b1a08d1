/* SPDX-License-Identifier: MIT */
/* Latent attention: what comes before and behind the attention that all architectures share. */
#ifndef Z5_MLA_H
#define Z5_MLA_H

#include "pass.h"

/* Layer i's tensors but the norm before and the matrix behind the heads. */
int z5_mla_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i);
/* The forms of input that the layer's first matrices take. */
unsigned int z5_mla_forms(const struct z5_mla *l);
/* From acts to queries in q of the session, keys and values in the cache; a barrier behind it. */
void z5_mla_heads(const struct z5_pass *p, unsigned int layer);
/* From heads' results in att to the acts of matrix o; shared among threads. */
void z5_mla_result(const struct z5_pass *p, const struct z5_mla *l, const struct z5_weight *o);

#endif
