/* SPDX-License-Identifier: MIT */
/*
 * checkasm: every kernel of every level against kernels/ref, bit for bit. The idea and the name are
 * dav1d's.
 */
#ifndef CHECKASM_H
#define CHECKASM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <kernels/kernels.h>

/* What one level is compared with. */
struct level {
	const struct z5_kernels *ref;	/* the definition */
	const struct z5_kernels *below;	/* to tell what is inherited */
	const struct z5_kernels *k;
};

/* tap.h counts per file, so that only checkasm.c includes it. */
__attribute__((format(printf, 2, 3)))
bool check(bool good, const char *fmt, ...);
__attribute__((format(printf, 1, 2)))
void note(const char *fmt, ...);
/* Prints the skip line of a kernel that a level has not got of its own. Returns own. */
__attribute__((format(printf, 3, 4)))
bool own_kernel(const struct level *l, bool own, const char *fmt, ...);

/* ---- memory with a page that faults on both sides ---- */

enum slot { SLOT_W, SLOT_X, SLOT_Y, SLOT_Z, SLOT_AUX, SLOT_AUX2, SLOT_AUX3, N_SLOTS };

#define SLOT_BYTES ((size_t)4 << 20)

/*
 * n bytes that end (high) or start (low) at a page that faults; what borders them on the other side
 * is a canary. The content is CANARY. Aligned to a page if low, to the largest power of two in n if
 * high.
 */
void *guarded(enum slot slot, size_t n, bool high);
/* Whether the canaries next to the last guarded() of the slot are whole. */
bool guards_whole(enum slot slot);

#define CANARY 0xa5	/* four of them are a finite float */

/* ---- inputs ---- */

uint64_t rnd(void);		/* the same sequence in every run */
uint32_t rnd_below(uint32_t n);
float rnd_normal(void);		/* roughly normal, mean 0, variance 1 */
float rnd_any_float(void);	/* any bits */
/* Zeros, denormals, the largest, infinities, NaN, and ordinary ones between. */
float rnd_special(void);
uint16_t rnd_special_half(void);
uint16_t rnd_special_bf16(void);

/* What a slice of floats is made of. */
enum shape {
	SHAPE_NORMAL, SHAPE_SPECIAL, SHAPE_ZERO, SHAPE_DENORMAL,
	SHAPE_HUGE, SHAPE_BITS, SHAPE_RARE, N_SHAPES
};

void fill_floats(float *x, size_t n, enum shape shape);
const char *shape_name(enum shape shape);

/* ---- comparison ---- */

/*
 * First index at which n words differ, n if none. NaNs are equal: IEEE leaves open which payload an
 * operation hands on.
 */
size_t differ(const float *a, const float *b, size_t n);

/*
 * The longest row of a matrix. Under a sanitizer the definition takes ten times as long, and what a sanitizer finds, it
 * finds in two blocks.
 */
#ifdef __SANITIZE_ADDRESS__
#define LONGEST_ROW ((size_t)512)
#else
#define LONGEST_ROW ((size_t)2048)
#endif

/* ---- parts ---- */

/* Weight i of a block that has a grid, without its scale d, the half whose bits go to *d. */
double column_grid(enum z5_type type, const uint8_t *block, size_t i, uint16_t *d);
void check_types(const struct z5_kernels *ref);
void check_exp(void);
void check_maps(void);
void check_matmul(const struct level *l);
void check_ops(const struct level *l);
void check_attn(const struct level *l);
void check_kv(const struct level *l);
void check_recur(const struct level *l);
int bench(int level);

/* One token's activation of width k from plain floats or of an extreme form; see matmul.c. */
enum act_shape {
	ACT_QUANT, ACT_MAX, ACT_MIN, ACT_ENDS,
	ACT_ZERO, ACT_RANDOM, ACT_SCALES, N_ACT_SHAPES
};
void fill_act(const struct z5_kernels *ref, void *x, enum z5_act act, size_t k, unsigned int shape);
enum weight_shape {
	WEIGHT_SANE, WEIGHT_MIN, WEIGHT_MAX, WEIGHT_ENDS,
	WEIGHT_ZERO, WEIGHT_SCALES, WEIGHT_BITS, N_WEIGHT_SHAPES
};
void fill_weights(uint8_t *src, enum z5_type type, size_t rows, size_t k, unsigned int shape);

#endif
