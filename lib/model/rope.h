/* SPDX-License-Identifier: MIT */
/*
 * Rotary positions (Su et al., arXiv 2104.09864) and the ways to stretch them over longer contexts: linear (Chen et
 * al., 2306.15595), YaRN (Peng et al., 2309.00071), LongRoPE (Ding et al., 2402.13753), and divisors that the file
 * lists (llama 3.1: 2407.21783).
 */
#ifndef Z5_ROPE_H
#define Z5_ROPE_H

#include <stdbool.h>
#include <stdint.h>

#include "keys.h"

struct z5_arch;

enum z5_rope_type { Z5_ROPE_LINEAR, Z5_ROPE_YARN, Z5_ROPE_LONGROPE };

/* Layers that see everything and those with a window may turn differently. */
enum z5_rope_set { Z5_ROPE_GLOBAL, Z5_ROPE_LOCAL, Z5_ROPE_SETS };

struct z5_rope {
	enum z5_rope_type type;
	uint32_t n_rot;			/* dimensions that turn; even */
	uint32_t n_ctx_train, n_ctx_orig;	/* with and before stretching */
	float base[Z5_ROPE_SETS];
	bool stretched[Z5_ROPE_SETS];
	float factor;			/* > 0; 1: not stretched */
	float ext, beta_fast, beta_slow;	/* YaRN's ramp */
	float magnitude;		/* of cosines and sines; 0: what the type defines */
	float log_mul;			/* YaRN's factor of ln(factor) in the scale of scores (deepseek2); 0: none */
};

/* Reads rope.* keys; n_rot at most hd_k. -EINVAL with a line. */
int z5_rope_read(const struct keys *k, const struct z5_arch *arch, uint32_t hd_k, uint32_t n_ctx_train,
		 struct z5_rope *r);

/*
 * The angle that one position adds to each of the n_rot / 2 pairs; returns the magnitude. factors: divisors of the
 * frequencies, float[n_rot / 2], or NULL.
 */
double z5_rope_angles(const struct z5_rope *r, enum z5_rope_set set, const float *factors, double *angle);

#endif
