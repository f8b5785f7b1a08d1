/* SPDX-License-Identifier: MIT */
#ifndef Z5_MATCHER_H
#define Z5_MATCHER_H

#include <zen5rt.h>

/* True if the grammar was made for a vocabulary whose ids are all within n_vocab logits. */
bool z5_matcher_fits(const struct zen5rt_matcher *m, uint32_t n_vocab);

#endif
