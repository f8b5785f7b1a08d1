// SPDX-License-Identifier: MIT
/* Products with K-quants: blocks of 256 columns, integer scales for sub-blocks of 16 or 32. */
#include "panel.h"

/* Scales of two neighbouring sub-blocks of each row, as a pair of 16 bits. */
AVX2_INLINE struct rows pairs_i8(const uint8_t *p)
{
	return (struct rows){ _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)p)),
			      _mm256_cvtepi8_epi16(_mm_load_si128((const __m128i *)(p + 16))) };
}

AVX2_INLINE struct rows pairs_u8(const uint8_t *p)
{
	return (struct rows){ _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)p)),
			      _mm256_cvtepu8_epi16(_mm_load_si128((const __m128i *)(p + 16))) };
}

/* The even or the odd one of the pair in both halves. */
AVX2_INLINE struct rows twice(struct rows p, int odd)
{
	const __m256i even_at = _mm256_set1_epi64x(0x0504050401000100),
		      odd_at = _mm256_set1_epi64x(0x0706070603020302);
	const __m256i lanes = _mm256_set_epi64x(0x0808080808080808, 0, 0x0808080808080808, 0);
	__m256i at = _mm256_add_epi8(odd ? odd_at : even_at, lanes);

	return (struct rows){ _mm256_shuffle_epi8(p.lo, at), _mm256_shuffle_epi8(p.hi, at) };
}

/* Those of a block of 16 sub-blocks by the activation's sums of 16 columns. */
AVX2_INLINE struct rows scales_by_sums(const uint8_t *scales, const uint8_t *x, size_t k, size_t b, const int shift)
{
	const int8_t *s16 = (const void *)(x + z5_q8_256_s16(k) + 32 * b);
	struct rows sum = both(_mm256_setzero_si256());

	for (int p = 0; p < 8; p++) {
		struct rows sc = shift ? down16(pairs_u8(scales + 32 * p), shift) : pairs_i8(scales + 32 * p);

		sum = add32(sum, widen(sc, both(avx2_quad(s16 + 4 * p))));
	}
	return sum;
}

/* Weights are stored + (1 << bits): what is too much in a sum goes. */
AVX2_INLINE struct rows less_bias(struct rows isum, struct rows sums, const int bits)
{
	return (struct rows){ _mm256_sub_epi32(isum.lo, _mm256_slli_epi32(sums.lo, bits)),
			      _mm256_sub_epi32(isum.hi, _mm256_slli_epi32(sums.hi, bits)) };
}

/* ---- Q4_K, Q5_K ---- */

/*
 * The 6-bit scales of a block: sc[s] has that of sub-block s in both 16-bit halves of a row's lane,
 * as the multiplier of its pairs; m[p] has the minima of 2p and 2p + 1, as they meet the pair of
 * sums of the activation.
 */
AVX2_INLINE void scales_q4_k(const uint8_t *p, struct rows sc[8], struct rows m[4])
{
	const __m256i low6 = _mm256_set1_epi8(63), low4 = _mm256_set1_epi8(15),
		      top2 = _mm256_set1_epi8(48);
	__m256i b[6], s[4], n[4];

	for (int i = 0; i < 6; i++)
		b[i] = avx2_load(p + 32 * i);
	for (int i = 0; i < 2; i++) {
		s[i] = _mm256_and_si256(b[i], low6);
		n[i] = _mm256_and_si256(b[i + 2], low6);
		s[i + 2] = _mm256_or_si256(_mm256_and_si256(b[i + 4], low4),
					   _mm256_and_si256(_mm256_srli_epi16(b[i], 2), top2));
		n[i + 2] = _mm256_or_si256(_mm256_and_si256(_mm256_srli_epi16(b[i + 4], 4), low4),
					   _mm256_and_si256(_mm256_srli_epi16(b[i + 2], 2), top2));
	}
	for (int i = 0; i < 4; i++) {
		/* the rows in an order that the unpacking within 128 bits undoes */
		__m256i v = _mm256_permute4x64_epi64(s[i], 0xd8);
		__m256i even = _mm256_and_si256(v, _mm256_set1_epi16(255)),
			odd = _mm256_srli_epi16(v, 8);

		sc[2 * i].lo = _mm256_unpacklo_epi16(even, even);
		sc[2 * i].hi = _mm256_unpackhi_epi16(even, even);
		sc[2 * i + 1].lo = _mm256_unpacklo_epi16(odd, odd);
		sc[2 * i + 1].hi = _mm256_unpackhi_epi16(odd, odd);
		m[i].lo = _mm256_cvtepu8_epi16(_mm256_castsi256_si128(n[i]));
		m[i].hi = _mm256_cvtepu8_epi16(_mm256_extracti128_si256(n[i], 1));
	}
}

/* What block b adds: d has its scale and that of the minima m. */
AVX2_INLINE void block_q4_k(struct sums *acc, const uint8_t *d, const uint8_t *x, size_t k, size_t b,
			    struct rows isum, const struct rows m[4])
{
	const float *dx = (const void *)(x + z5_q8_256_d(k));
	const int8_t *s32 = (const void *)(x + z5_q8_256_s32(k) + 16 * b);
	struct rows min = widen(m[0], both(avx2_quad(s32)));

	for (int p = 1; p < 4; p++)
		min = add32(min, widen(m[p], both(avx2_quad(s32 + 4 * p))));
	block(acc, halves(d), dx[b], isum);
	block_less(acc, halves(d + 32), dx[b], min);
}

AVX2_INLINE void tile_k32(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			  const uint8_t *x, size_t x_stride, struct asking *next, const int with_fifth)
{
	/* lines a block; quads that 16 bits hold: of five bits half a sub-block */
	const int lines = with_fifth ? 44 : 36, step = with_fifth ? 4 : 8;

	for (size_t b = 0; b < blocks; b++, w += lines * 64) {
		struct rows sc[8], m[4], isum[TILE], sum[2][TILE];

		scales_q4_k(w + (lines - 4) * 64, sc, m);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			ask(next, lines / 4 * 64);
			for (int j0 = 0; j0 < 8; j0 += step) {
				for (int t = 0; t < nt; t++)
					sum[0][t] = sum[1][t] = both(_mm256_setzero_si256());
				for (int j = j0; j < j0 + step; j++) {
					struct rows v = line(w + (8 * i + j) * 64);
					struct rows low = masked(v, 0, 15), high = masked(v, 4, 15);

					if (with_fifth)
						five(v, line(w + (32 + j) * 64), i, &low, &high);
					for (int t = 0; t < nt; t++) {
						const int8_t *q = (const int8_t *)x + (size_t)t * x_stride +
								  256 * b + 64 * i + 4 * j;

						sum[0][t] = add16(sum[0][t], pairs(low, q));
						sum[1][t] = add16(sum[1][t], pairs(high, q + 32));
					}
				}
				for (int t = 0; t < nt; t++) {
					isum[t] = add32(isum[t], widen(sum[0][t], sc[2 * i]));
					isum[t] = add32(isum[t], widen(sum[1][t], sc[2 * i + 1]));
				}
			}
		}
		for (int t = 0; t < nt; t++)
			block_q4_k(&acc[t], w + (lines - 1) * 64, x + (size_t)t * x_stride, k, b, isum[t], m);
	}
}

AVX2_INLINE void tile_q4_k(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_k32(nt, acc, w, k, blocks, x, x_stride, next, 0);
}

AVX2_INLINE void tile_q5_k(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_k32(nt, acc, w, k, blocks, x, x_stride, next, 1);
}

/* ---- Q2_K, Q3_K ---- */

/*
 * Line j of half h as weights of quads j + 16m and, 4 times too large, j + 16m + 8: one shift for both. Sums of 4 such
 * quads still fit, 4 * 7112, and the shift that puts them right is one for all.
 */
AVX2_INLINE void weights_k16(const uint8_t *w, const int h, int j, const int m, const int three,
			     struct rows *one, struct rows *four)
{
	struct rows v = line(w + (8 * h + j) * 64), third;

	if (!three) {
		v = m ? down16(v, 4) : v;
		*one = masked(v, 0, 0x03);
		*four = masked(v, 0, 0x0c);
		return;
	}
	third = line(w + (16 + j) * 64);
	if (m) {	/* the lowest bits */
		v = down16(v, 3);
		third = down16(third, h ? 5 : 1);
		*one = merged(v, 0x06, third, 0x01);
		*four = merged(v, 0x18, third, 0x04);
	} else {	/* the highest */
		third = h ? down16(third, 2) : up16(third, 2);
		*one = merged(v, 0x03, third, 0x04);
		*four = merged(v, 0x0c, third, 0x10);
	}
}

AVX2_INLINE struct rows quarter(struct rows a)
{
	return (struct rows){ _mm256_srai_epi16(a.lo, 2), _mm256_srai_epi16(a.hi, 2) };
}

/* The scales of a pair of sub-blocks, of the even or the odd one only, by its sums. */
AVX2_INLINE struct rows scales_k16(const uint8_t *p, const int odd, const int three)
{
	return twice(three ? pairs_i8(p) : masked(pairs_u8(p), 0, 15), odd);
}

/*
 * The even or odd sub-blocks of two pairs: first, columns q on, and second, 32 further on. A lone token takes both at
 * once; with more of them their sums would not fit in registers.
 */
AVX2_INLINE void part_k16(const int nt, struct rows *isum, const uint8_t *w, const int i, const int odd,
			  const uint8_t *sc, const int8_t *q, size_t x_stride, const int three,
			  const int first, const int second)
{
	struct rows sum[2][TILE];

	for (int t = 0; t < nt; t++)
		sum[0][t] = sum[1][t] = both(_mm256_setzero_si256());
	for (int j = 4 * odd; j < 4 * odd + 4; j++) {
		struct rows one, four;

		weights_k16(w, i / 2, j, i % 2, three, &one, &four);
		for (int t = 0; t < nt; t++) {
			const int8_t *qt = q + (size_t)t * x_stride + 4 * j;

			if (first)
				sum[0][t] = add16(sum[0][t], pairs(one, qt));
			if (second)
				sum[1][t] = add16(sum[1][t], pairs(four, qt + 32));
		}
	}
	for (int t = 0; t < nt; t++) {
		if (first)
			isum[t] = add32(isum[t], widen(sum[0][t], scales_k16(sc, odd, three)));
		if (second)
			isum[t] = add32(isum[t], widen(quarter(sum[1][t]), scales_k16(sc + 32, odd, three)));
	}
}

AVX2_INLINE void tile_k16(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			  const uint8_t *x, size_t x_stride, struct asking *next, const int three)
{
	const size_t size = (three ? 28 : 21) * 64, scales = (three ? 24 : 16) * 64;
	const uint8_t *dw = w + k / 256 * size;

	for (size_t b = 0; b < blocks; b++, w += size, dw += 32) {
		struct rows isum[TILE];

		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
#pragma GCC unroll 4
		for (int i = 0; i < 4; i++) {
			const uint8_t *sc = w + scales + 64 * i;

			ask(next, three ? size / 4 + 8 : size / 4);
			for (int odd = 0; odd < 2; odd++) {
				const int8_t *q = (const int8_t *)x + 256 * b + 64 * i;

				if (nt == 1) {
					part_k16(1, isum, w, i, odd, sc, q, x_stride, three, 1, 1);
				} else {
					part_k16(nt, isum, w, i, odd, sc, q, x_stride, three, 1, 0);
					part_k16(nt, isum, w, i, odd, sc, q, x_stride, three, 0, 1);
				}
			}
		}
		for (int t = 0; t < nt; t++) {
			const uint8_t *a = x + (size_t)t * x_stride;
			const float *dx = (const void *)(a + z5_q8_256_d(k));
			struct rows sums = scales_by_sums(w + scales, a, k, b, three ? 0 : 4);

			if (three) {
				block(&acc[t], halves(dw), dx[b], less_bias(isum[t], sums, 2));
			} else {
				block(&acc[t], halves(w + 20 * 64), dx[b], isum[t]);
				block_less(&acc[t], halves(w + 20 * 64 + 32), dx[b], sums);
			}
		}
	}
}

AVX2_INLINE void tile_q2_k(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_k16(nt, acc, w, k, blocks, x, x_stride, next, 0);
}

AVX2_INLINE void tile_q3_k(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	tile_k16(nt, acc, w, k, blocks, x, x_stride, next, 1);
}

/* ---- Q6_K ---- */

/* A line of nibbles as low and high quads; bits has the two highest ones of the former, the lowest of the latter. */
AVX2_INLINE void six(struct rows q, struct rows bits, const int odd, struct rows *low, struct rows *high)
{
	bits = odd ? down16(bits, 2) : up16(bits, 2);
	*low = merged(q, 0x0f, bits, 0x30);
	*high = down16(merged(q, 0xf0, bits, 0x0c), 2);
}

/*
 * Half a block (128 columns, sub-blocks 8h to 8h + 7). Lines j and j + 8 of nibbles share line j of bits; two
 * neighbours at a time is what 16 bits hold.
 */
AVX2_INLINE void half_q6_k(const int nt, struct rows *isum, const uint8_t *w, const int h,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	const uint8_t *nibbles = w + 16 * h * 64, *bits = w + (32 + 8 * h) * 64,
		      *scales = w + 48 * 64 + 128 * h;

	for (int j = 0; j < 8; j += 2) {
		ask(next, (52 * 64 + 32) / 8);
		for (int m = 0; m < 2; m++) {
			struct rows low[2], high[2];

			six(line(nibbles + (j + 8 * m) * 64), line(bits + j * 64), m, &low[0], &high[0]);
			six(line(nibbles + (j + 8 * m + 1) * 64), line(bits + (j + 1) * 64), m, &low[1],
			    &high[1]);
			for (int t = 0; t < nt; t++) {
				const int8_t *q = (const int8_t *)x + (size_t)t * x_stride +
						  128 * h + 4 * (j + 8 * m);
				struct rows sum = add16(pairs(low[0], q), pairs(low[1], q + 4));

				isum[t] = add32(isum[t], widen(sum, twice(pairs_i8(scales + 32 * m), j / 4)));
				sum = add16(pairs(high[0], q + 64), pairs(high[1], q + 68));
				isum[t] = add32(isum[t], widen(sum, twice(pairs_i8(scales + 64 + 32 * m), j / 4)));
			}
		}
	}
}

AVX2_INLINE void tile_q6_k(const int nt, struct sums *acc, const uint8_t *w, size_t k, size_t blocks,
			   const uint8_t *x, size_t x_stride, struct asking *next)
{
	const uint8_t *dw = w + k / 256 * 52 * 64;

	for (size_t b = 0; b < blocks; b++, w += 52 * 64, dw += 32) {
		struct rows isum[TILE];

		for (int t = 0; t < nt; t++)
			isum[t] = less_bias(both(_mm256_setzero_si256()),
					    scales_by_sums(w + 48 * 64, x + (size_t)t * x_stride, k, b, 0), 5);
		for (int h = 0; h < 2; h++) {
			half_q6_k(nt, isum, w, h, x + 256 * b, x_stride, next);
		}
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_256_d(k));

			block(&acc[t], halves(dw), dx[b], isum[t]);
		}
	}
}

/* ---- panels ---- */

AVX2_INLINE void panel_k32(struct panel *p, const uint8_t *w, size_t column, const int with_fifth)
{
	const size_t lines = with_fifth ? 44 : 36;

	w += column / 256 * lines * 64;
	scales_q4_k(w + (lines - 4) * 64, p->scale, p->min);
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 8; j++) {
			struct rows v = line(w + (8 * i + j) * 64);
			struct rows *low = &p->line[16 * i + j], *high = low + 8;

			if (with_fifth) {
				five(v, line(w + (32 + j) * 64), i, low, high);
			} else {
				*low = masked(v, 0, 15);
				*high = masked(v, 4, 15);
			}
		}
	}
	p->d[0] = halves(w + (lines - 1) * 64);
	p->dm[0] = halves(w + (lines - 1) * 64 + 32);
}

static void panel_q4_k(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	(void)k, (void)columns;
	panel_k32(p, w, column, 0);
}

static void panel_q5_k(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	(void)k, (void)columns;
	panel_k32(p, w, column, 1);
}

AVX2_INLINE void panel_k16(struct panel *p, const uint8_t *w, size_t k, size_t column, const int three)
{
	const size_t size = (three ? 28 : 21) * 64;
	const uint8_t *d = three ? w + k / 256 * size + column / 8 : w + column / 256 * size + 20 * 64;
	const uint8_t *scales;

	w += column / 256 * size;
	scales = w + (three ? 24 : 16) * 64;
#pragma GCC unroll 4
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 8; j++) {
			struct rows *one = &p->line[16 * i + j], four;

			weights_k16(w, i / 2, j, i % 2, three, one, &four);
			one[8] = down16(four, 2);
		}
	}
	for (int i = 0; i < 8; i++) {
		p->scale[2 * i] = scales_k16(scales + 32 * i, 0, three);
		p->scale[2 * i + 1] = scales_k16(scales + 32 * i, 1, three);
		if (!three)
			p->min[i] = down16(pairs_u8(scales + 32 * i), 4);
	}
	p->d[0] = halves(d);
	if (!three)
		p->dm[0] = halves(d + 32);
}

static void panel_q2_k(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	(void)columns;
	panel_k16(p, w, k, column, 0);
}

static void panel_q3_k(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	(void)columns;
	panel_k16(p, w, k, column, 1);
}

static void panel_q6_k(struct panel *p, const uint8_t *w, size_t k, size_t column, size_t columns)
{
	const uint8_t *d = w + k / 256 * 52 * 64 + column / 8;

	(void)columns;
	w += column / 256 * 52 * 64;
	for (int h = 0; h < 2; h++) {
		for (int j = 0; j < 16; j++) {
			struct rows *low = &p->line[32 * h + j];

			six(line(w + (16 * h + j) * 64), line(w + (32 + 8 * h + j % 8) * 64), j / 8, low, low + 16);
		}
	}
	for (int i = 0; i < 8; i++) {
		struct rows pair = pairs_i8(w + 48 * 64 + 32 * i);

		p->scale[2 * i] = twice(pair, 0);
		p->scale[2 * i + 1] = twice(pair, 1);
	}
	p->d[0] = halves(d);
}

MEET(meet_k16_min, panel_256, 4, 4, 8)
MEET(meet_k16, panel_256, 4, 4, 0)
MEET(meet_k32, panel_256, 8, 8, 4)
MEET(meet_k32_five, panel_256, 8, 4, 4)

MATMUL_PANELS(Z5_Q2_K, q2_k, 256, meet_k16_min, 0)
MATMUL_PANELS(Z5_Q3_K, q3_k, 256, meet_k16, 2)
MATMUL_PANELS(Z5_Q4_K, q4_k, 256, meet_k32, 0)
MATMUL_PANELS(Z5_Q5_K, q5_k, 256, meet_k32_five, 0)
MATMUL_PANELS(Z5_Q6_K, q6_k, 256, meet_k16, 5)
