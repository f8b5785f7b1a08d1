// SPDX-License-Identifier: MIT
/* Products with K-quants: blocks of 256 columns, integer scales for sub-blocks of 16 or 32. */
#include "matmul.h"

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

AVX2_INLINE void tile_q4_k(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	for (size_t b = 0; b < k / 256; b++, w += 36 * 64) {
		struct rows sc[8], m[4], isum[TILE], sum[2][TILE];

		scales_q4_k(w + 32 * 64, sc, m);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int i = 0; i < 4; i++) {
			if (nt == 1)
				ahead(w + 9 * 64 * i, 9);
			for (int t = 0; t < nt; t++)
				sum[0][t] = sum[1][t] = both(_mm256_setzero_si256());
			for (int j = 0; j < 8; j++) {
				struct rows v = line(w + (8 * i + j) * 64);
				struct rows low = masked(v, 0, 15), high = masked(v, 4, 15);

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
		for (int t = 0; t < nt; t++)
			block_q4_k(&acc[t], w + 35 * 64, x + (size_t)t * x_stride, k, b, isum[t], m);
	}
}

AVX2_INLINE void tile_q5_k(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	for (size_t b = 0; b < k / 256; b++, w += 44 * 64) {
		struct rows sc[8], m[4], isum[TILE], sum[2][TILE];

		scales_q4_k(w + 40 * 64, sc, m);
		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
		for (int i = 0; i < 4; i++) {
			if (nt == 1)
				ahead(w + 11 * 64 * i, 11);
			/* 16 bits hold half a sub-block */
			for (int j0 = 0; j0 < 8; j0 += 4) {
				for (int t = 0; t < nt; t++)
					sum[0][t] = sum[1][t] = both(_mm256_setzero_si256());
				for (int j = j0; j < j0 + 4; j++) {
					struct rows low, high;

					five(line(w + (8 * i + j) * 64), line(w + (32 + j) * 64), i, &low, &high);
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
			block_q4_k(&acc[t], w + 43 * 64, x + (size_t)t * x_stride, k, b, isum[t], m);
	}
}

/* ---- Q2_K, Q3_K ---- */

/* Line j of half h as weights of quad j + 8p; the third bit of Q3_K is above the other two for p < 2, else below. */
AVX2_INLINE struct rows weights_k16(const uint8_t *w, const int h, int j, const int p, const int three)
{
	struct rows v = line(w + (8 * h + j) * 64), third;

	if (!three)
		return masked(v, 2 * p, 3);
	third = line(w + (16 + j) * 64);
	third = h ? down16(third, 2) : up16(third, 2);
	v = merged(v, 3 << 2 * p, third, p == 0 ? 0x04 : p == 1 ? 0x10 : p == 2 ? 0x08 : 0x20);
	return p ? down16(v, p == 1 ? 2 : p == 2 ? 3 : 5) : v;
}

AVX2_INLINE void tile_k16(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			  const uint8_t *x, size_t x_stride, const int three)
{
	const size_t size = (three ? 28 : 21) * 64, scales = (three ? 24 : 16) * 64;
	const uint8_t *dw = w + k / 256 * size;

	for (size_t b = 0; b < k / 256; b++, w += size, dw += 32) {
		struct rows isum[TILE];

		for (int t = 0; t < nt; t++)
			isum[t] = both(_mm256_setzero_si256());
#pragma GCC unroll 8
		for (int u = 0; u < 8; u++) {
			struct rows sc = three ? pairs_i8(w + scales + 32 * u) :
					 masked(pairs_u8(w + scales + 32 * u), 0, 15);

			if (nt == 1)
				ahead(w + u * (three ? 224 : 168), three ? 4 : 3);
			for (int odd = 0; odd < 2; odd++) {
				struct rows sum[TILE], by = twice(sc, odd);

				for (int t = 0; t < nt; t++)
					sum[t] = both(_mm256_setzero_si256());
				for (int j = 4 * odd; j < 4 * odd + 4; j++) {
					struct rows v = weights_k16(w, u / 4, j, u % 4, three);

					for (int t = 0; t < nt; t++) {
						const int8_t *q = (const int8_t *)x + (size_t)t * x_stride +
								  256 * b + 32 * u + 4 * j;

						sum[t] = add16(sum[t], pairs(v, q));
					}
				}
				for (int t = 0; t < nt; t++)
					isum[t] = add32(isum[t], widen(sum[t], by));
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

AVX2_INLINE void tile_q2_k(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	tile_k16(nt, acc, w, k, x, x_stride, 0);
}

AVX2_INLINE void tile_q3_k(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	tile_k16(nt, acc, w, k, x, x_stride, 1);
}

/* ---- Q6_K ---- */

/* Quad j + 8p of a half block: of low nibbles with their two highest bits for p < 2, else of high ones, two lowest. */
AVX2_INLINE struct rows weights_q6_k(const uint8_t *low, const uint8_t *more, int j, const int p)
{
	struct rows q = line(low + (j + p % 2 * 8) * 64), bits = line(more + j * 64);

	bits = p % 2 ? down16(bits, 2) : up16(bits, 2);
	return p < 2 ? merged(q, 0x0f, bits, 0x30) : down16(merged(q, 0xf0, bits, 0x0c), 2);
}

/*
 * Half a block (128 columns, sub-blocks 8h to 8h + 7). Quads j, j + 8, j + 16 and j + 24 share the
 * line of high bits; two neighbours at a time is what 16 bits hold. Lines are read again for each
 * p: registers are scarcer than loads.
 */
AVX2_INLINE void half_q6_k(const int nt, struct rows *isum, const uint8_t *w, const int h,
			   const uint8_t *x, size_t x_stride)
{
	const uint8_t *low = w + 16 * h * 64, *high = w + (32 + 8 * h) * 64,
		      *scales = w + 48 * 64 + 128 * h;

	for (int j = 0; j < 8; j += 2) {
		for (int p = 0; p < 4; p++) {
			struct rows sc = twice(pairs_i8(scales + 32 * p), j / 4);
			struct rows v0 = weights_q6_k(low, high, j, p),
				    v1 = weights_q6_k(low, high, j + 1, p);

			for (int t = 0; t < nt; t++) {
				const int8_t *q = (const int8_t *)x + (size_t)t * x_stride +
						  128 * h + 4 * (j + 8 * p);
				struct rows sum = add16(pairs(v0, q), pairs(v1, q + 4));

				isum[t] = add32(isum[t], widen(sum, sc));
			}
		}
	}
}

AVX2_INLINE void tile_q6_k(const int nt, struct sums *acc, const uint8_t *w, size_t k,
			   const uint8_t *x, size_t x_stride)
{
	const uint8_t *dw = w + k / 256 * 52 * 64;

	for (size_t b = 0; b < k / 256; b++, w += 52 * 64, dw += 32) {
		struct rows isum[TILE];

		for (int t = 0; t < nt; t++)
			isum[t] = less_bias(both(_mm256_setzero_si256()),
					    scales_by_sums(w + 48 * 64, x + (size_t)t * x_stride, k, b, 0), 5);
		for (int h = 0; h < 2; h++) {
			if (nt == 1)
				ahead(w + 26 * 64 * h, 26);
			half_q6_k(nt, isum, w, h, x + 256 * b, x_stride);
		}
		for (int t = 0; t < nt; t++) {
			const float *dx = (const void *)(x + (size_t)t * x_stride + z5_q8_256_d(k));

			block(&acc[t], halves(dw), dx[b], isum[t]);
		}
	}
}

MATMUL(Z5_Q2_K, q2_k)
MATMUL(Z5_Q3_K, q3_k)
MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q5_K, q5_k)
MATMUL(Z5_Q6_K, q6_k)
