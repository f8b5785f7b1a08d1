/* SPDX-License-Identifier: MIT */
/* What packers share: reading a file's bytes and laying quads out in lines. */
#ifndef Z5_PACK_H
#define Z5_PACK_H

#include <kernels/kernels.h>
#include <kernels/scalar.h>

static inline uint16_t load16(const uint8_t *p)
{
	uint16_t v;

	memcpy(&v, p, 2);
	return v;
}

static inline uint32_t load32(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static inline void store32(uint8_t *p, uint32_t v)
{
	memcpy(p, &v, 4);
}

static inline void store16(uint8_t *p, uint16_t v)
{
	memcpy(p, &v, 2);
}

/* Quads of row r from src to lines of dst: n words, each xor flip. */
static inline void spread(uint8_t *dst, const uint8_t *src, unsigned int r, size_t n, uint32_t flip)
{
	for (size_t j = 0; j < n; j++) {
		uint32_t v = load32(src + 4 * j) ^ flip;

		memcpy(dst + 64 * j + 4 * r, &v, 4);
	}
}

/* Scale or minimum of sub-block s out of the 12 bytes b(0)..b(11) of a row. */
static inline void scale_q4_k(const uint8_t *scales, unsigned int r, unsigned int s, int *sc, int *m)
{
#define B(i) scales[(i) / 2 * 32 + 2 * r + (i) % 2]
	if (s < 4) {
		*sc = B(s) & 63;
		*m = B(s + 4) & 63;
	} else {
		*sc = (B(s + 4) & 15) | B(s - 4) >> 6 << 4;
		*m = B(s + 4) >> 4 | B(s) >> 6 << 4;
	}
#undef B
}

/* The same in each byte of a word. */
#define BYTES(v) ((v) * 0x01010101u)

/* Four bits into the lowest of four bytes each. */
static inline uint32_t bits_apart(uint32_t four)
{
	return four * 0x00204081 & BYTES(1);
}

/*
 * Five bits a weight, four bytes at a time: nibbles q as the file has them and the fifth bits of the low and of the
 * high ones, each in the lowest bit of its byte. Returns the nibbles as the lines have them, and adds pair i to *fifth.
 */
static inline uint32_t put_five(uint32_t q, uint32_t *fifth, unsigned int i, uint32_t low, uint32_t high)
{
	*fifth |= low << (2 * i + 1) | (q >> 4 & BYTES(1)) << 2 * i;
	return (q & BYTES(15)) | ((q >> 5 & BYTES(7)) | high << 3) << 4;
}

static inline int low_five(uint8_t q, uint8_t fifth, unsigned int i)
{
	return (q & 15) | (fifth >> (2 * i + 1) & 1) << 4;
}

static inline int high_five(uint8_t q, uint8_t fifth, unsigned int i)
{
	return q >> 4 << 1 | (fifth >> 2 * i & 1);
}

/* Weights of Q4_K and Q5_K: column i of sub-block s of row r. */
typedef int (*get_k32_fn)(const uint8_t *o, unsigned int r, unsigned int s, unsigned int i);

static inline int get_q4_k(const uint8_t *o, unsigned int r, unsigned int s, unsigned int i)
{
	return o[s / 2 * 512 + i / 4 * 64 + 4 * r + i % 4] >> s % 2 * 4 & 15;
}

static inline int get_q5_k(const uint8_t *o, unsigned int r, unsigned int s, unsigned int i)
{
	unsigned int at = i / 4 * 64 + 4 * r + i % 4;

	return (s % 2 ? high_five : low_five)(o[s / 2 * 512 + at], o[32 * 64 + at], s / 2);
}

/* Q3_K: where the third bit of quads 8p .. 8p + 7 of half h is. */
static inline unsigned int third_bit(unsigned int h, unsigned int p)
{
	return 4 * h + p % 2 * 2 + p / 2;
}

/* Its weight + 4 for column i of a block, from the lines of row r. */
static inline int get_three(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int at = i % 32 / 4 * 64 + 4 * r + i % 4, h = i / 128, p = i % 128 / 32;
	int two = o[h * 512 + at] >> 2 * p & 3, third = o[16 * 64 + at] >> third_bit(h, p) & 1;

	return p < 2 ? two | third << 2 : two << 1 | third;
}

/* Q6_K's weight + 32 for column i of a block, from the lines of row r. */
static inline int get_six(const uint8_t *o, unsigned int r, unsigned int i)
{
	unsigned int h = i / 128, j = i % 128 / 4, at = 4 * r + i % 4;
	uint8_t q = o[(16 * h + j % 16) * 64 + at];
	int more = o[(32 + 8 * h + j % 8) * 64 + at] >> j % 16 / 8 * 4;

	return j < 16 ? (more >> 2 & 3) << 4 | (q & 15) : q >> 4 << 2 | (more & 3);
}

/* Ternary weight + 1 for column i of a block, from the lines of row r. */
static inline int get_ternary(const uint8_t *o, unsigned int r, unsigned int i)
{
	return o[(i / 128 * 8 + i % 32 / 4) * 64 + 4 * r + i % 4] >> i % 128 / 32 * 2 & 3;
}

/* The three functions of struct z5_type_ops for types that have a file of their own. */
#define Z5_PACKED(name)								\
size_t z5_group_##name(size_t k);						\
void z5_pack_##name(void *dst, const void *src, unsigned int n_rows, size_t k);	\
void z5_row_##name(float *dst, const void *w, size_t row, size_t k)

Z5_PACKED(q2_k);
Z5_PACKED(q3_k);
Z5_PACKED(q4_k);
Z5_PACKED(q5_k);
Z5_PACKED(q6_k);
Z5_PACKED(iq4_nl);
Z5_PACKED(iq4_xs);
Z5_PACKED(mxfp4);
Z5_PACKED(iq2_xxs);
Z5_PACKED(iq2_xs);
Z5_PACKED(iq2_s);
Z5_PACKED(iq3_xxs);
Z5_PACKED(iq3_s);
Z5_PACKED(iq1_s);
Z5_PACKED(iq1_m);
Z5_PACKED(tq1_0);
Z5_PACKED(tq2_0);
Z5_PACKED(i2_s);

#endif
