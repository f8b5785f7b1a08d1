/* SPDX-License-Identifier: MIT */
/*
 * Compute kernels: pure functions over memory. No allocation, no I/O, no threads, no model knowledge.
 *
 * ref/ is the definition in plain C; avx2/ and avx512/ give the same bits faster. All of them expect
 * MXCSR with FTZ and DAZ set and rounding to nearest, as the thread pool sets it.
 *
 * The numerics contract: each output element is summed by one thread over K in increasing block order,
 * one fma a block; sums across lanes (norms, softmax) use a fixed tree of 16 lanes. So results do not
 * depend on the level, the number of threads or how tokens are batched.
 */
#ifndef Z5_KERNELS_H
#define Z5_KERNELS_H

#include <stddef.h>
#include <stdint.h>

/* ---- weight types and their packed layout ----
 *
 * A matrix of `rows` x `k` weights is packed in groups of 16 rows (the last one padded with zero rows);
 * a group is contiguous and a multiple of 64 bytes. "quad j" is columns 4j..4j+3 of a block; a line of
 * 64 bytes holds a quad of each of the 16 rows, row r in bytes 4r..4r+3: the operand of one vpdpbusd.
 *
 *  F32   line k: column k of rows 0..15.
 *  F16   column k at byte 32k: 16 halves.
 *  BF16  columns 2j, 2j+1 at byte 64j: row r has both in bytes 4r..4r+3, the even one first.
 *  Q8_0  blocks of 32 columns: 8 lines (quads 0..7), weights + 128 as unsigned; after all blocks of the
 *        group, 16 half-precision scales a block.
 *  Q4_0  blocks of 32: 4 lines, line j has quad j in the low and quad j + 4 in the high nibbles
 *        (weight + 8); scales as Q8_0.
 *  Q4_1  blocks of 32, 5 lines each: 4 lines as Q4_0 (the weight as it is), 1 line: 16 d, 16 m (halves).
 *  Q5_0  blocks of 32, 5 lines each: 4 lines of nibbles and 1 of fifth bits (weight + 16), see below; scales as Q8_0.
 *  Q5_1  blocks of 32, 6 lines each: 5 as Q5_0 (the weight as it is), 1 line: 16 d, 16 m.
 *  Q4_K  blocks of 256, 36 lines each: 32 lines of nibbles (line 8i + j: quad j of sub-block 2i low, of
 *        sub-block 2i + 1 high; a sub-block is 32 columns), 3 lines of 6-bit scales and minima (the 12
 *        bytes of GGUF, bytes 2p and 2p + 1 of row r at 32p + 2r), 1 line: 16 d, 16 dmin (halves).
 *  Q6_K  blocks of 256, 52 lines each (weight + 32): 32 lines of nibbles (line 16h + j, h the half of 128 columns:
 *        quad j of the half low, quad j + 16 high), 16 lines with the two other bits of a weight (line 8h + j: the
 *        low nibble belongs to line 16h + j, the high one to 16h + j + 8; its upper two bits are the highest of the
 *        low quad, its lower two the lowest of the high quad), 4 lines of int8 scales (sub-blocks of 16 columns; those
 *        of 2p and 2p + 1 for row r at 32p + 2r); after all blocks of the group 16 halves d a block.
 *  Q5_K  blocks of 256, 44 lines each: 32 lines of nibbles in the order of Q4_K, 8 lines of fifth bits (line j: those
 *        of quad j of all sub-blocks), 4 lines as Q4_K.
 *  Q2_K  blocks of 256, 21 lines each: 16 lines of weights (line 8h + j, h the half of 128 columns: bits 2p, 2p + 1
 *        are quad j + 8p of the half), 4 lines: bytes of scale (low nibble) and minimum (high) for sub-blocks of 16
 *        columns, those of 2p and 2p + 1 for row r at 32p + 2r; 1 line: 16 d, 16 dmin.
 *  Q3_K  blocks of 256, 28 lines each: 16 lines with two of a weight's three bits (weight + 4) in the order of Q2_K,
 *        8 lines with the third (line j, bits 4h .. 4h + 3: quads j, j + 16, j + 8, j + 24 of half h), which is the
 *        highest of quads j and j + 8, the lowest of j + 16 and j + 24; 4 lines of int8 scales as Q6_K (the file has
 *        6 bits: 3.6 % more to read, nothing to unpack); after all blocks of the group 16 halves d a block.
 *
 * Five bits in a nibble and a bit: of the quad in low nibbles the fifth is the highest bit, of the quad in high nibbles
 * it is the lowest, and the two lie side by side, the former above: pair i of a line (i counts nibble lines, or
 * sub-blocks by two) in bits 2i + 1 and 2i. One shift puts both where their nibbles need them, and the high quad is
 * used in place, 8 times too large, where that is divided out of a sum. The third bits of Q3_K and the two of Q6_K are
 * split for the same end.
 *
 * A "word" of a line is a row's 4 bytes of it, row r at 4r.
 *
 *  IQ4_NL  blocks of 32: 4 lines of nibbles as Q4_0 (levels of iq.h); scales as Q8_0.
 *  MXFP4   the same; after all blocks of the group 16 bytes e a block.
 *  IQ4_XS  blocks of 256, 34 lines each: 4 lines of nibbles for each of 8 sub-blocks, as Q4_0; 1 line of
 *          words, nibble s of which is the low part of scale s; 1 line: 16 halfwords with the high parts
 *          (2 bits each), 16 halves d.
 *
 * Types with a grid: blocks of 256, sub-blocks ib of 32; indices and signs apart, since the kernels use
 * the one in a gather and the other as a mask. Scales are words, nibble s for sub-block s (of 32
 * columns or, IQ2_XS, IQ2_S and IQ1_M, of 16). After all blocks of the group 16 halves d a block. In
 * brackets the bytes of a row's block here and in the file. Line by line:
 *
 *  IQ2_XXS  8 words of indices (byte l of word ib: group l of 8 columns), 8 signs (8 bytes for each of 64
 *           quads, bit 4r + i for column i of row r), 1 scales. (70, 66: the 8th sign is written out)
 *  IQ2_XS   8 indices, 8 signs, 2 scales, 1 words with bit 8 of the 32 indices. (78, 74)
 *  IQ2_S    8 indices, 8 signs, 2 scales, 2 words with bits 8 and 9 of 16 indices each. (82, 82)
 *  IQ3_XXS  16 words of indices (byte i of word m: quad 4m + i), 8 signs, 1 scales. (102, 98)
 *  IQ3_S    16 indices, 8 signs, 1 scales, 2 words with bit 8 of 32 indices each. (110, 110)
 *  IQ1_S    8 indices as IQ2_XXS, 4 words, the file's `high` of sub-blocks 2p and 2p + 1. (50, 50)
 *  IQ1_M    8 indices, 4 words of the file's `high`, 2 scales. (58, 56: scales of 3 bits in 4)
 *
 * Ternary weights, stored + 1 in two bits; those of TQ2_0 can also be 2, which files have no use for.
 *
 *  TQ2_0, TQ1_0  blocks of 256, 16 lines each in the order of Q2_K; after all blocks of the group 16 halves d a block.
 *  I2_S          the same without d: the file has one scale for a whole matrix, which is not the kernels' business. A
 *                row is 64 bytes for 256 columns: for each half of 128 a byte for columns i, i + 32, i + 64 and i + 96,
 *                the first in the highest bits.
 */
enum z5_type {
	Z5_F32, Z5_F16, Z5_BF16, Z5_Q8_0, Z5_Q4_0, Z5_Q4_K, Z5_Q6_K,
	Z5_Q4_1, Z5_Q5_0, Z5_Q5_1, Z5_Q2_K, Z5_Q3_K, Z5_Q5_K,
	Z5_IQ4_NL, Z5_IQ4_XS, Z5_MXFP4,
	Z5_IQ2_XXS, Z5_IQ2_XS, Z5_IQ2_S, Z5_IQ3_XXS, Z5_IQ3_S, Z5_IQ1_S, Z5_IQ1_M,
	Z5_TQ1_0, Z5_TQ2_0, Z5_I2_S,
	Z5_N_TYPES
};

#define Z5_GROUP 16

/* ---- activations ----
 *
 *  F32     float[k].
 *  Q8_32   blocks of 32: x = d * q, d = max|x| / 127, q rounded to nearest even, |q| <= 127.
 *          Planes, each from a multiple of 64 bytes: int8 q[k]; float d[k/32]; int32 -sum(q) [k/32].
 *  Q8_256  the same with blocks of 256: int8 q[k]; float d[k/256]; int16 sums of 16 [k/16], of 32 [k/32].
 */
enum z5_act { Z5_ACT_F32, Z5_ACT_Q8_32, Z5_ACT_Q8_256, Z5_N_ACTS };

#define Z5_ALIGN64(n) (((size_t)(n) + 63) & ~(size_t)63)

static inline size_t z5_q8_32_d(size_t k)    { return Z5_ALIGN64(k); }
static inline size_t z5_q8_32_nsum(size_t k) { return z5_q8_32_d(k) + Z5_ALIGN64(k / 32 * 4); }
static inline size_t z5_q8_256_d(size_t k)   { return Z5_ALIGN64(k); }
static inline size_t z5_q8_256_s16(size_t k) { return z5_q8_256_d(k) + Z5_ALIGN64(k / 256 * 4); }
static inline size_t z5_q8_256_s32(size_t k) { return z5_q8_256_s16(k) + Z5_ALIGN64(k / 16 * 2); }

/* Bytes of one token's activation of width k, a multiple of 64. */
size_t z5_act_bytes(enum z5_act act, size_t k);

/* What holds for a weight type at every level. */
struct z5_type_ops {
	const char *name;	/* as in GGUF */
	uint32_t ggml;		/* its number there */
	uint32_t block;		/* columns; k is a multiple of it */
	uint32_t bytes;		/* of one block in the file */
	enum z5_act act;	/* what the matmul kernel takes */
	/* Bytes of a packed group of 16 rows. */
	size_t (*group_bytes)(size_t k);
	/*
	 * Packs n_rows (1..16) rows of a GGUF tensor, src row-major, into one group.
	 * dst is 64-byte aligned, every byte of it is written.
	 */
	void (*pack)(void *dst, const void *src, unsigned int n_rows, size_t k);
	/* Row number row of a packed matrix, as float[k]. */
	void (*unpack_row)(float *dst, const void *w, size_t row, size_t k);
};

extern const struct z5_type_ops z5_types[Z5_N_TYPES];

/* NULL for a ggml type number that has no kernels. */
const struct z5_type_ops *z5_type_by_ggml(uint32_t ggml);
static inline enum z5_type z5_type_of(const struct z5_type_ops *ops)
{
	return (enum z5_type)(ops - z5_types);
}

/* ---- kernel signatures ---- */

/*
 * y[t * y_stride + r] for tokens t < n and rows r of the groups [g0, g1) = the dot product of row r and
 * the activation of token t, found at x + t * x_stride bytes. All 16 rows of a group are written, padding rows too.
 */
#define Z5_MATMUL_ARGS float *y, size_t y_stride, const void *w, size_t k, size_t g0, size_t g1, \
		       const void *x, size_t x_stride, size_t n
typedef void (*z5_matmul_fn)(Z5_MATMUL_ARGS);

/* Quantizes float[k] into one token's activation; k is a multiple of the activation's block. */
typedef void (*z5_quant_fn)(void *dst, const float *x, size_t k);

/* y = x / sqrt(mean(x^2) + eps) * w; y may be x. */
typedef void (*z5_rmsnorm_fn)(float *y, const float *x, const float *w, size_t n, float eps);

/*
 * y = (x - mean(x)) / sqrt(mean((x - mean(x))^2) + eps) * w + b (Ba et al., arXiv 1607.06450); b NULL: none; y may
 * be x.
 */
typedef void (*z5_layernorm_fn)(float *y, const float *x, const float *w, const float *b, size_t n, float eps);

/* g = silu(g) * u, silu(x) = x / (1 + exp(-x)) */
typedef void (*z5_silu_mul_fn)(float *g, const float *u, size_t n);

/*
 * g = gelu(g) * u, or gelu(g) where u is NULL. GELU in its tanh form (Hendrycks and Gimpel, arXiv 1606.08415),
 * 0.5 x (1 + tanh z) = x / (1 + exp(-2 z)) with z = sqrt(2 / pi) (x + 0.044715 x^3).
 */
typedef void (*z5_gelu_mul_fn)(float *g, const float *u, size_t n);

/*
 * g = x sigmoid(1.702 x) * (y + 1) with x = min(g, 7) and y = u bounded to [-7, 7]: the activation of gpt-oss (OpenAI's
 * published reference code, github.com/openai/gpt-oss).
 */
typedef void (*z5_swiglu_oai_fn)(float *g, const float *u, size_t n);

/* y = exp(x - shift); y may be x. */
typedef void (*z5_exp_fn)(float *y, const float *x, float shift, size_t n);

/* x = cap * tanh(x / cap) (Bello et al., arXiv 1611.09940; gemma 2: 2408.00118), cap > 0. */
typedef void (*z5_softcap_fn)(float *x, size_t n, float cap);

/* ---- the KV cache and attention ---- */

/*
 * Keys and values of one KV head, from a multiple of 64 bytes. A group is 16 positions; position p is number p % 16 of
 * group p / 16.
 *
 *  F32, F16, BF16
 *        K: a group is hd_k lines of 16 elements, line d the dimension d of its positions. V: position p, dimension d
 *        is element p * hd_v + d. Elements are widened to float as they are read, all sums are in float.
 *  Q8_0  blocks of 32 dimensions of a position, x = d * q as in Z5_ACT_Q8_32, the last one filled up with zeros.
 *        K: a group is blocks of 9 lines of 64 bytes: line j has quad j of its positions, q + 128 as unsigned, position
 *        r in bytes 4r .. 4r + 3; the last has the 16 scales d. V: a group is its 16 positions' q, hd_v signed bytes
 *        each, then for each block 16 scales d.
 *        Scales are floats: halves would save 6 % of the bytes, but lose the values of heads that are small throughout
 *        (below 0.008 the scale is no normal half) and not hold the largest.
 *
 * F16 and BF16 are rounded to nearest even; what is larger than the largest finite number becomes that, infinities too:
 * an infinite key makes NaN of every later position, a large one a large score. NaN stays NaN.
 */
enum z5_kv_type { Z5_KV_F32, Z5_KV_F16, Z5_KV_BF16, Z5_KV_Q8_0, Z5_N_KV_TYPES };

/* Positions of the KV cache that one step of the running softmax takes. */
#define Z5_ATTN_CHUNK 64

/* Blocks of Q8_0 in a head of so many dimensions. */
static inline size_t z5_kv_blocks(size_t hd)
{
	return (hd + 31) / 32;
}

/* Bytes of the keys of a group of 16 positions, and of their values; hd_v is a multiple of 16. */
static inline size_t z5_kv_k_group(enum z5_kv_type type, size_t hd_k)
{
	return type == Z5_KV_Q8_0 ? z5_kv_blocks(hd_k) * 9 * 64 : 16 * hd_k * (type == Z5_KV_F32 ? 4 : 2);
}
static inline size_t z5_kv_v_group(enum z5_kv_type type, size_t hd_v)
{
	return type == Z5_KV_Q8_0 ? 16 * hd_v + z5_kv_blocks(hd_v) * 64 : 16 * hd_v * (type == Z5_KV_F32 ? 4 : 2);
}

/* 32 dimensions of a query where keys are Q8_0. */
struct z5_attn_block {
	int8_t q[32];
	float d;
	int32_t nsum;		/* minus the sum of q */
	uint8_t pad[24];
} __attribute__((aligned(64)));

/*
 * Attention of n_q queries over one KV head, softmax(scale * q.K) V with a running softmax over chunks of
 * Z5_ATTN_CHUNK positions, in order (Milakov and Gimelshein, arXiv 1805.02867; Dao et al., 2205.14135).
 *
 * With float keys the score is one fma a dimension, in order. With Q8_0 the query is quantized in the same blocks, and
 * a block is one fma(d_k * d_q, exact sum of q_k q_q, score), in order; a position's value is added as
 * fma(weight * d, q, out).
 */
struct z5_attn {
	enum z5_kv_type type;
	const void *k, *v;
	size_t hd_k, hd_v;	/* hd_v is a multiple of 16, padded with zeros */
	float scale;
	unsigned int n_q;
	const float *const *q;	/* n_q pointers to float[hd_k] */
	const uint32_t *n_kv;	/* query i sees positions [from[i], n_kv[i]) */
	const uint32_t *from;	/* below n_kv[i]; NULL: from 0 */
	/*
	 * One score a query that takes its share of the softmax and has no value (Xiao et al., arXiv 2309.17453);
	 * NULL: none.
	 */
	const float *sinks;
	float softcap;		/* scores go through z5_softcap_fn; 0: not */
	float *const *out;	/* n_q pointers to float[hd_v] */
	float *state;		/* scratch, float[2 * n_q] */
	struct z5_attn_block *blocks;	/* scratch of Q8_0, n_q * z5_kv_blocks(hd_k) */
};
typedef void (*z5_attn_fn)(const struct z5_attn *a);

/* ---- recurrent models ----
 *
 * What they keep between tokens lies in lines of 16 floats, one for each of 16 channels (a group) that follow each
 * other: a channel is a lane whose sums run in order, and tokens follow one after the other, however many are given
 * at a time. A sum over a channel's lines is four, over lines 4i, 4i + 1, 4i + 2 and 4i + 3, in order, and
 * (sum 0 + sum 1) + (sum 2 + sum 3) of them: one would wait for itself.
 *
 * Strides are in floats, from a token to the next.
 */

/* Functions of one number, in place. */
enum z5_map {
	Z5_MAP_SIGMOID,		/* 1 / (1 + exp(-x)) */
	Z5_MAP_TANH,
	Z5_MAP_SOFTPLUS,	/* log(1 + exp(x)) */
	Z5_N_MAPS
};
typedef void (*z5_map_fn)(float *x, size_t n);

/*
 * A filter over the last `width` inputs of each channel, then SiLU (Mamba: Gu and Dao, arXiv 2312.00752, section 3.4):
 * x[t] = silu(bias + sum of w[j] x[t - width + 1 + j]), an fma a j, in order.
 */
#define Z5_CONV_WIDTH	8
struct z5_conv {
	size_t width;		/* 2 to Z5_CONV_WIDTH */
	size_t groups, n;
	const float *w;		/* `width` lines a group */
	const float *bias;	/* one */
	float *state;		/* width - 1: inputs before x, the oldest first */
	float *x;
	size_t stride;
};
typedef void (*z5_conv_fn)(const struct z5_conv *c);

/*
 * The selective scan (arXiv 2312.00752, algorithm 2; Mamba 2: Dao and Gu, 2405.21060, section 7). For each line i of a
 * channel: s[i] = exp(dt a[i]) s[i] + (dt x) b[i], and y = sum of s[i] c[i], + d x.
 */
struct z5_scan {
	size_t n_state;		/* lines of a channel, a multiple of 4 */
	size_t groups, n;
	/*
	 * 0: each channel has its own dt and d, and an a a line. Else so many groups are a head, which has one of each.
	 */
	size_t head;
	float *state;
	const float *a, *d;	/* n_state lines and one a group, or a float a head */
	const float *x, *dt;	/* one line a group; dt: or a float a head */
	const float *b, *c;	/* n_state floats for all groups */
	float *y;		/* may be x */
	size_t x_stride, dt_stride, bc_stride, y_stride;
};
typedef void (*z5_scan_fn)(const struct z5_scan *s);

/*
 * RWKV's time mix, head by head. The channels of a group are dimensions of a head's value, a line is a dimension i of
 * its key: S[i] is what the state has for it.
 *
 *  wkv6 (Peng et al., arXiv 2404.05892, section 4): y = sum of r[i] (S[i] + u[i] k[i] v), then
 *  S[i] = w[i] S[i] + k[i] v.
 *  wkv7 (2503.14456, section 4): S[i] = w[i] S[i] + (sum of S[j] a[j]) b[i] + k[i] v, then y = sum of r[i] S[i].
 *  gla, gated linear attention (Yang et al., 2312.06635, section 4): S[i] = w[i] S[i] + k[i] v, then
 *  y = sum of r[i] S[i].
 */
struct z5_wkv {
	size_t size;		/* of a head, a multiple of 8 */
	size_t heads, n;
	float *state;		/* a head: `size` lines for each 16 dimensions of the value, and for what remains */
	const float *r, *w, *k, *v;	/* heads side by side */
	const float *u;		/* wkv6: the same for each token */
	const float *a, *b;	/* wkv7 */
	float *y;
	size_t stride;
};
typedef void (*z5_wkv_fn)(const struct z5_wkv *w);

/* Floats that such a head keeps. */
static inline size_t z5_wkv_floats(size_t size)
{
	return (size + 15) / 16 * 16 * size;
}

/*
 * `rounds` turns of a loop that multiplies and adds in registers and waits for nothing; *ops gets the operations, two
 * for each product that was added. Returns something made of the results, for the caller to keep.
 */
typedef uint64_t (*z5_peak_fn)(uint64_t rounds, uint64_t *ops);

/* One table a level. A level holds what is its own and inherits the rest from the level below. */
struct z5_kernels {
	const char *level;			/* "scalar", "avx2", "avx512vnni" */
	z5_matmul_fn matmul[Z5_N_TYPES];
	const char *matmul_level[Z5_N_TYPES];	/* where that function comes from */
	z5_quant_fn quant[Z5_N_ACTS];		/* none for Z5_ACT_F32 */
	z5_rmsnorm_fn rmsnorm;
	z5_layernorm_fn layernorm;
	z5_silu_mul_fn silu_mul;
	z5_gelu_mul_fn gelu_mul;
	z5_swiglu_oai_fn swiglu_oai;
	z5_exp_fn exp;
	z5_softcap_fn softcap;
	z5_attn_fn attn;
	z5_map_fn map[Z5_N_MAPS];
	z5_conv_fn conv;
	z5_scan_fn scan;
	z5_wkv_fn wkv6, wkv7, gla;
	/* Reads n bytes (multiple of 64) and folds them into one word, for bandwidth measurements. */
	uint64_t (*read)(const void *p, size_t n);
	z5_peak_fn peak_int8, peak_f32;		/* NULL: the level has no vectors */
	const char *int8_by;			/* the instruction that peak_int8 counts */
};

#define Z5_N_LEVELS 3
/* Names in increasing order. */
extern const char *const z5_level_names[Z5_N_LEVELS];
/* Highest level that this CPU and its operating system support. */
unsigned int z5_level_best(void);
/* Fills the table for a level, which must not be above z5_level_best(). */
void z5_kernels_init(struct z5_kernels *k, unsigned int level);

/* Each level's part; called in order by z5_kernels_init(). */
void z5_kernels_ref(struct z5_kernels *k);
void z5_kernels_avx2(struct z5_kernels *k);
void z5_kernels_avx512(struct z5_kernels *k);

/* ---- elementwise work that is the same code at every level ---- */

/* Positions [from, to) of a chunk. */
struct z5_attn_span {
	size_t from, to;
};

/*
 * Empties the running softmax of all queries, and quantizes them where keys are; quant is the level's of Z5_ACT_Q8_32.
 * Returns the range of chunks that some query sees, in positions.
 */
struct z5_attn_span z5_attn_begin(const struct z5_attn *a, z5_quant_fn quant);
/* What query i sees of the chunk at p; from == to: nothing. */
static inline struct z5_attn_span z5_attn_sees(const struct z5_attn *a, unsigned int i, size_t p)
{
	const size_t from = a->from && a->from[i] > p ? a->from[i] - p : 0;
	const size_t to = a->n_kv[i] <= p ? 0 : a->n_kv[i] - p < Z5_ATTN_CHUNK ? a->n_kv[i] - p : Z5_ATTN_CHUNK;

	return (struct z5_attn_span){ from, from < to ? to : from };
}
/* How many queries from i on, at most `most`, see the same of the chunk at p as query i. */
unsigned int z5_attn_alike(const struct z5_attn *a, unsigned int i, size_t p, unsigned int most);
/* Divides each result by the sum of its weights. */
void z5_attn_end(const struct z5_attn *a);

/*
 * Puts one position's key (float[hd_k]) and value (float[hd_v]) into the layout of struct z5_attn; quant is the level's
 * of Z5_ACT_Q8_32.
 */
void z5_kv_store(enum z5_kv_type type, void *k, void *v, size_t pos, const float *key, size_t hd_k,
		 const float *value, size_t hd_v, size_t hd_v_padded, z5_quant_fn quant);

/* x += y */
void z5_add(float *x, const float *y, size_t n);
/* x += y * by, rounded after the product and after the sum */
void z5_add_scaled(float *x, const float *y, float by, size_t n);
/* x *= s */
void z5_scale(float *x, float s, size_t n);
/* g = max(g, 0)^2 * u (So et al., arXiv 2109.08668) */
void z5_relu2_mul(float *g, const float *u, size_t n);
/*
 * Rotary embedding of one head (Su et al., arXiv 2104.09864). cs holds n_rot / 2 pairs (cos, sin). neox: dimension i
 * pairs with i + n_rot / 2, else 2i with 2i + 1.
 */
void z5_rope(float *x, const float *cs, size_t n_rot, int neox);

/* y = x + (last - x) mu, and with (mu + more): RWKV's token shift */
void z5_lerp(float *y, const float *x, const float *last, const float *mu, size_t n);
void z5_lerp_more(float *y, const float *x, const float *last, const float *mu, const float *more, size_t n);
/* x *= y */
void z5_mul(float *x, const float *y, size_t n);
/* x = x / sqrt(mean(x^2) + eps): a norm without weights */
void z5_unit_rms(float *x, size_t n, float eps);
/* x = max(x, 0)^2 */
void z5_relu_squared(float *x, size_t n);
/*
 * Of one head of wkv7 (Peng et al., arXiv 2503.14456, section 4.1): kk becomes minus the unit vector of k k_k, k
 * becomes k (1 + (a - 1) k_a), a becomes a times that unit vector: what z5_wkv has as a, k and b.
 */
void z5_wkv7_key(float *k, float *kk, float *a, const float *k_k, const float *k_a, size_t size);
/* k = k (1 - w) */
void z5_gla_key(float *k, const float *w, size_t n);
/* y += (sum of r k r_k) v */
void z5_wkv7_bonus(float *y, const float *r, const float *k, const float *v, const float *r_k, size_t size);

#endif
