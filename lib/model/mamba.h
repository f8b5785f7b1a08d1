/* SPDX-License-Identifier: MIT */
/* Blocks of Mamba, 1 and 2, in layers of any family. */
#ifndef Z5_MAMBA_H
#define Z5_MAMBA_H

#include "pass.h"

/* Layer i's tensors; without its norm. */
int z5_ssm_bind(struct zen5rt_model *m, struct z5_loader *ld, unsigned int i);
void z5_ssm_layout(struct zen5rt_session *s, struct z5_layout *l);
/* The forms of input that a block takes; 0 where there is none. */
unsigned int z5_ssm_forms(const struct z5_ssm *l);
/*
 * y of the session = the result for the tokens in the pass's acts: to every thread the rows that it owns of the output
 * matrix, without a barrier behind them. Ends with other contents of the acts.
 */
void z5_ssm_block(const struct z5_pass *p, unsigned int i);

#endif
