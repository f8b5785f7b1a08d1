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

/* The three functions of struct z5_type_ops for types that have a file of their own. */
#define Z5_PACKED(name)								\
size_t z5_group_##name(size_t k);						\
void z5_pack_##name(void *dst, const void *src, unsigned int n_rows, size_t k);	\
void z5_row_##name(float *dst, const void *w, size_t row, size_t k)

Z5_PACKED(q4_k);
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

#endif
