/* SPDX-License-Identifier: MIT */
#ifndef Z5_REF_H
#define Z5_REF_H

#include <kernels/kernels.h>

extern const z5_matmul_fn z5_ref_matmul[Z5_N_TYPES];

#endif
