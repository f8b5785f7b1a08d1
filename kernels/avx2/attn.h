/* SPDX-License-Identifier: MIT */
/* What attention's files share. Tiles are of 1, 2 or 4 queries that see the same positions of a chunk. */
#ifndef Z5_AVX2_ATTN_H
#define Z5_AVX2_ATTN_H

#include "avx2.h"

#define ATTN_TILE 4

/* s[q][64] = scale * q . k for the groups of 16 positions that are seen, of nq queries from i on. */
#define SCORES_ARGS const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees, \
		    float (*s)[Z5_ATTN_CHUNK]
/* out = out * corr + s . v over the positions seen. */
#define VALUES_ARGS const struct z5_attn *a, unsigned int i, size_t p0, struct z5_attn_span sees, \
		    const float (*s)[Z5_ATTN_CHUNK], const float *corr

/*
 * While keys are read, the values of the same chunk are asked for, and while those are, the next chunk's keys, each
 * from the same offset: a tile takes a part of each row, an order that the hardware does not foresee. Into the second
 * level, since a chunk of both may be larger than the first.
 */
AVX2_INLINE void attn_ahead(const uint8_t *p)
{
	_mm_prefetch((const char *)p, _MM_HINT_T1);
}

void z5_avx2_attn_scores_q8_1(SCORES_ARGS);
void z5_avx2_attn_scores_q8_2(SCORES_ARGS);
void z5_avx2_attn_scores_q8_4(SCORES_ARGS);
void z5_avx2_attn_values_q8_1(VALUES_ARGS);
void z5_avx2_attn_values_q8_2(VALUES_ARGS);
void z5_avx2_attn_values_q8_4(VALUES_ARGS);

#endif
