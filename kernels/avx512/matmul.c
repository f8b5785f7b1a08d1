// SPDX-License-Identifier: MIT
/*
 * Matrix products with vpdpbusd. A register of weights is 16 rows x 4 columns, the activation's 4 columns are
 * broadcast, so that each lane sums one output row and nothing is ever added across lanes.
 */
#include "avx512.h"

/*
 * How far ahead of the one-token loop its weights are asked for: hardware prefetchers stop at 4 KiB, and the
 * stream is all that counts there.
 */
#define AHEAD 3072

AVX512_INLINE void ahead(const uint8_t *p, size_t bytes, const int nt)
{
	if (nt == 1)
		for (size_t i = 0; i < bytes; i += 64)
			_mm_prefetch((const char *)p + AHEAD + i, _MM_HINT_T0);
}

/* ---- Q8_0, Q4_0: weights are stored + 128 and + 8, so a block's sum starts from -128 and -8 times that of x ---- */

AVX512_INLINE void tile_block32(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
				size_t xs, const int nt, const bool nibbles)
{
	const size_t nb = k / 32, line = nibbles ? 256 : 512;
	const size_t od = z5_q8_32_d(k), on = z5_q8_32_nsum(k);
	const uint8_t *d = w + nb * line;
	__m512 acc[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t b = 0; b < nb; b++, w += line) {
		const __m512 dw = avx512_halves(d + 32 * b);
		__m512i v[8];

		ahead(w, line, nt);
		if (nibbles) {
			const __m512i low = _mm512_set1_epi8(15);

			for (int j = 0; j < 4; j++) {
				__m512i u = avx512_load(w + 64 * j);

				v[j] = _mm512_and_si512(u, low);
				v[j + 4] = _mm512_and_si512(_mm512_srli_epi16(u, 4), low);
			}
		} else {
			for (int j = 0; j < 8; j++)
				v[j] = avx512_load(w + 64 * j);
		}
		for (int t = 0; t < nt; t++) {
			const uint8_t *xt = x + t * xs;
			__m512i s = _mm512_slli_epi32(avx512_quad(xt + on + 4 * b), nibbles ? 3 : 7);
			__m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));

			for (int j = 0; j < 8; j++)
				s = _mm512_dpbusd_epi32(s, v[j], avx512_quad(xt + 32 * b + 4 * j));
			acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(dw, dx), _mm512_cvtepi32_ps(s), acc[t]);
		}
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

AVX512_INLINE void tile_q8_0(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			     size_t xs, const int nt)
{
	tile_block32(y, ys, w, k, x, xs, nt, false);
}

AVX512_INLINE void tile_q4_0(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			     size_t xs, const int nt)
{
	tile_block32(y, ys, w, k, x, xs, nt, true);
}

/* ---- Q4_K ---- */

/* The 6-bit scales and minima of 16 rows as bytes: sc[32 p + 2 r + i] for sub-block 2p + i. */
AVX512_INLINE void q4_k_scales(const uint8_t *s, uint8_t *sc, uint8_t *m)
{
	const __m512i b0 = avx512_load(s), b4 = avx512_load(s + 64), b8 = avx512_load(s + 128);
	const __m512i low6 = _mm512_set1_epi8(63), low4 = _mm512_set1_epi8(15),
		      high2 = _mm512_set1_epi8(0x30);

	_mm512_store_si512(sc, _mm512_and_si512(b0, low6));
	_mm512_store_si512(m, _mm512_and_si512(b4, low6));
	_mm512_store_si512(sc + 64, _mm512_or_si512(_mm512_and_si512(b8, low4),
			   _mm512_and_si512(_mm512_srli_epi16(b0, 2), high2)));
	_mm512_store_si512(m + 64, _mm512_or_si512(_mm512_and_si512(_mm512_srli_epi16(b8, 4), low4),
			   _mm512_and_si512(_mm512_srli_epi16(b4, 2), high2)));
}

AVX512_INLINE __m512i pair_u8(const uint8_t *p)
{
	return _mm512_cvtepu8_epi16(_mm256_load_si256((const __m256i *)p));
}

AVX512_INLINE void tile_q4_k(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			     size_t xs, const int nt)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s32(k);
	const __m512i low = _mm512_set1_epi8(15);
	uint8_t sc[128] __attribute__((aligned(64))), m[128] __attribute__((aligned(64)));
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t b = 0; b < k / 256; b++, w += 36 * 64) {
		const __m512 d = avx512_halves(w + 35 * 64), dmin = avx512_halves(w + 35 * 64 + 32);

		ahead(w, 36 * 64, nt);
		q4_k_scales(w + 32 * 64, sc, m);
		for (int t = 0; t < nt; t++)
			sum[t] = _mm512_setzero_si512();
		for (int s = 0; s < 8; s++) {
			const __m512i pair = pair_u8(sc + s / 2 * 32);
			const __m512i scale = s % 2 ? _mm512_srli_epi32(pair, 16)
						    : _mm512_and_si512(pair, _mm512_set1_epi32(0xffff));
			__m512i v[8];

			for (int j = 0; j < 8; j++) {
				__m512i u = avx512_load(w + (s / 2 * 8 + j) * 64);

				v[j] = _mm512_and_si512(s % 2 ? _mm512_srli_epi16(u, 4) : u, low);
			}
			for (int t = 0; t < nt; t++) {
				const uint8_t *q = x + t * xs + b * 256 + s * 32;
				__m512i dot = _mm512_setzero_si512();

				for (int j = 0; j < 8; j++)
					dot = _mm512_dpbusd_epi32(dot, v[j], avx512_quad(q + 4 * j));
				sum[t] = _mm512_add_epi32(sum[t], _mm512_mullo_epi32(dot, scale));
			}
		}
		for (int t = 0; t < nt; t++) {
			const uint8_t *xt = x + t * xs;
			const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(xt + od + 4 * b));
			__m512i min = _mm512_setzero_si512();

			for (int p = 0; p < 4; p++)
				min = _mm512_dpwssd_epi32(min, pair_u8(m + 32 * p),
							  avx512_quad(xt + os + 16 * b + 4 * p));
			acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(d, dx), _mm512_cvtepi32_ps(sum[t]), acc[t]);
			acc[t] = _mm512_fnmadd_ps(_mm512_mul_ps(dmin, dx), _mm512_cvtepi32_ps(min), acc[t]);
		}
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

/* ---- Q6_K: weights are stored + 32 ---- */

AVX512_INLINE __m512i pair_i8(const uint8_t *p)
{
	return _mm512_cvtepi8_epi16(_mm256_load_si256((const __m256i *)p));
}

AVX512_INLINE void tile_q6_k(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			     size_t xs, const int nt)
{
	const size_t od = z5_q8_256_d(k), os = z5_q8_256_s16(k);
	const __m512i low = _mm512_set1_epi8(15), high = _mm512_set1_epi8(0x30);
	const uint8_t *dw = w + k / 256 * 52 * 64;
	__m512 acc[AVX512_TILE];
	__m512i sum[AVX512_TILE], bias[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t b = 0; b < k / 256; b++, w += 52 * 64) {
		ahead(w, 52 * 64, nt);
		for (int t = 0; t < nt; t++)
			sum[t] = _mm512_setzero_si512();
		/* unit u: 32 columns, two sub-blocks; 4 units a half */
		for (int u = 0; u < 8; u++) {
			const __m512i pair = pair_i8(w + 48 * 64 + 32 * u);
			const __m512i even = _mm512_srai_epi32(_mm512_slli_epi32(pair, 16), 16);
			const __m512i odd = _mm512_srai_epi32(pair, 16);
			__m512i v[8];

			for (int j = 0; j < 8; j++) {
				__m512i l = avx512_load(w + (u / 4 * 16 + u % 2 * 8 + j) * 64);
				__m512i h = avx512_load(w + (32 + u / 4 * 8 + j) * 64);

				l = _mm512_and_si512(u % 4 < 2 ? l : _mm512_srli_epi16(l, 4), low);
				h = u % 4 == 0 ? _mm512_slli_epi16(h, 4) :
				    u % 4 == 1 ? _mm512_slli_epi16(h, 2) :
				    u % 4 == 2 ? h : _mm512_srli_epi16(h, 2);
				v[j] = _mm512_or_si512(l, _mm512_and_si512(h, high));
			}
			for (int t = 0; t < nt; t++) {
				const uint8_t *q = x + t * xs + b * 256 + u * 32;
				__m512i a = _mm512_setzero_si512(), c = _mm512_setzero_si512();

				for (int j = 0; j < 4; j++) {
					a = _mm512_dpbusd_epi32(a, v[j], avx512_quad(q + 4 * j));
					c = _mm512_dpbusd_epi32(c, v[j + 4], avx512_quad(q + 16 + 4 * j));
				}
				sum[t] = _mm512_add_epi32(sum[t],
					 _mm512_add_epi32(_mm512_mullo_epi32(a, even),
							  _mm512_mullo_epi32(c, odd)));
			}
		}
		for (int t = 0; t < nt; t++)
			bias[t] = _mm512_setzero_si512();
		for (int u = 0; u < 8; u++) {
			const __m512i pair = pair_i8(w + 48 * 64 + 32 * u);

			for (int t = 0; t < nt; t++)
				bias[t] = _mm512_dpwssd_epi32(bias[t], pair,
					  avx512_quad(x + t * xs + os + 32 * b + 4 * u));
		}
		for (int t = 0; t < nt; t++) {
			const __m512 dx = _mm512_set1_ps(*(const alias_f32 *)(x + t * xs + od + 4 * b));
			const __m512i s = _mm512_sub_epi32(sum[t], _mm512_slli_epi32(bias[t], 5));

			acc[t] = _mm512_fmadd_ps(_mm512_mul_ps(avx512_halves(dw + 32 * b), dx),
						 _mm512_cvtepi32_ps(s), acc[t]);
		}
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

/* ---- floats: columns in order, one fma each ---- */

AVX512_INLINE __m512 xf(const uint8_t *x, size_t xs, int t, size_t i)
{
	return _mm512_set1_ps(((const alias_f32 *)(x + t * xs))[i]);
}

AVX512_INLINE void tile_f32(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			    size_t xs, const int nt)
{
	__m512 acc[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t i = 0; i < k; i++, w += 64) {
		const __m512 v = _mm512_load_ps(w);

		ahead(w, 64, nt);
		for (int t = 0; t < nt; t++)
			acc[t] = _mm512_fmadd_ps(v, xf(x, xs, t, i), acc[t]);
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

AVX512_INLINE void tile_f16(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			    size_t xs, const int nt)
{
	__m512 acc[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t i = 0; i < k; i++, w += 32) {
		const __m512 v = avx512_halves(w);

		if (i % 2 == 0)
			ahead(w, 64, nt);
		for (int t = 0; t < nt; t++)
			acc[t] = _mm512_fmadd_ps(v, xf(x, xs, t, i), acc[t]);
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

AVX512_INLINE void tile_bf16(float *y, size_t ys, const uint8_t *w, size_t k, const uint8_t *x,
			     size_t xs, const int nt)
{
	__m512 acc[AVX512_TILE];

	for (int t = 0; t < nt; t++)
		acc[t] = _mm512_setzero_ps();
	for (size_t i = 0; i < k; i += 2, w += 64) {
		const __m512i v = avx512_load(w);
		const __m512 even = _mm512_castsi512_ps(_mm512_slli_epi32(v, 16));
		const __m512 odd = _mm512_castsi512_ps(_mm512_and_si512(v,
				   _mm512_set1_epi32((int)0xffff0000)));

		ahead(w, 64, nt);
		for (int t = 0; t < nt; t++)
			acc[t] = _mm512_fmadd_ps(even, xf(x, xs, t, i), acc[t]);
		/* of an odd k the last column stands alone */
		if (i + 1 == k)
			break;
		for (int t = 0; t < nt; t++)
			acc[t] = _mm512_fmadd_ps(odd, xf(x, xs, t, i + 1), acc[t]);
	}
	for (int t = 0; t < nt; t++)
		_mm512_storeu_ps(y + t * ys, acc[t]);
}

#define MATMUL(type, name)									\
static void avx512_matmul_##name(Z5_MATMUL_ARGS)						\
{												\
	const size_t bytes = z5_types[type].group_bytes(k);					\
												\
	for (size_t g = g0; g < g1; g++) {							\
		const uint8_t *wg = (const uint8_t *)w + g * bytes;				\
												\
		AVX512_TOKENS(n, t, TILE_##name);						\
	}											\
}
#define CALL(name, nt) tile_##name(y + t * y_stride + g * Z5_GROUP, y_stride, wg, k,		\
				   (const uint8_t *)x + t * x_stride, x_stride, nt)
#define TILE_f32(nt)	CALL(f32, nt)
#define TILE_f16(nt)	CALL(f16, nt)
#define TILE_bf16(nt)	CALL(bf16, nt)
#define TILE_q8_0(nt)	CALL(q8_0, nt)
#define TILE_q4_0(nt)	CALL(q4_0, nt)
#define TILE_q4_k(nt)	CALL(q4_k, nt)
#define TILE_q6_k(nt)	CALL(q6_k, nt)

MATMUL(Z5_F32, f32)
MATMUL(Z5_F16, f16)
MATMUL(Z5_BF16, bf16)
MATMUL(Z5_Q8_0, q8_0)
MATMUL(Z5_Q4_0, q4_0)
MATMUL(Z5_Q4_K, q4_k)
MATMUL(Z5_Q6_K, q6_k)

const z5_matmul_fn z5_avx512_matmul[Z5_N_TYPES] = {
	[Z5_F32] = avx512_matmul_f32, [Z5_F16] = avx512_matmul_f16, [Z5_BF16] = avx512_matmul_bf16,
	[Z5_Q8_0] = avx512_matmul_q8_0, [Z5_Q4_0] = avx512_matmul_q4_0,
	[Z5_Q4_K] = avx512_matmul_q4_k, [Z5_Q6_K] = avx512_matmul_q6_k,
};
