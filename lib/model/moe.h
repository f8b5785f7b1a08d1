/* SPDX-License-Identifier: MIT */
/* Feed-forward layers with a router that sends each token to a few of many experts. */
#ifndef Z5_MOE_H
#define Z5_MOE_H

#include "pass.h"

/* Layer i's tensors; only for layers from h.moe.first on. */
int z5_moe_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i);
/* The forms of input that layer i's experts and router take. */
unsigned int z5_moe_forms(const struct z5_moe *l);
/*
 * y of the session = the result for the tokens in the pass's acts: to every thread the rows that it owns of
 * experts' down matrices, without a barrier behind them. Ends with other contents of the acts.
 */
void z5_moe_ffn(const struct z5_pass *p, const struct z5_moe *l);

#endif
