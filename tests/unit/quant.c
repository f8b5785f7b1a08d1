// SPDX-License-Identifier: MIT
/* Quantizers: shaped rows to blocks and back through the kernels' own readers, errors, weights; importance matrices. */
#include <errno.h>
#include <kernels/half.h>
#include <kernels/kernels.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <xmmintrin.h>

#include "gguf_writer.h"
#include "quant/imatrix.h"
#include "quant/quant.h"
#include "tests/tap.h"

#define K	1024

/* RMS error over RMS value that normally distributed weights may have; a little over what they have. */
static const struct {
	uint32_t ggml;
	double gauss;
} cases[] = {
	{ GGML_F32, 0 }, { GGML_F16, 3e-4 }, { GGML_BF16, 2e-3 }, { GGML_Q8_0, 0.0055 }, { GGML_Q4_0, 0.084 },
	{ GGML_Q4_1, 0.072 }, { GGML_Q5_0, 0.042 }, { GGML_Q5_1, 0.0355 }, { GGML_Q2_K, 0.27 }, { GGML_Q3_K, 0.149 },
	{ GGML_Q4_K, 0.0725 }, { GGML_Q5_K, 0.036 }, { GGML_Q6_K, 0.0175 }, { GGML_IQ4_NL, 0.076 },
	{ GGML_IQ4_XS, 0.0765 }, { GGML_MXFP4, 0.116 }, { GGML_IQ3_S, 0.134 }, { GGML_IQ3_XXS, 0.187 },
	{ GGML_IQ2_S, 0.251 }, { GGML_IQ2_XS, 0.305 }, { GGML_IQ2_XXS, 0.356 }, { GGML_IQ1_M, 0.45 },
	{ GGML_IQ1_S, 0.49 }, { GGML_TQ1_0, 0.82 }, { GGML_TQ2_0, 0.82 },
};
#define N_CASES (sizeof(cases) / sizeof(cases[0]))

static uint64_t state = 88172645463325252u;

static double uniform(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (double)(state >> 11) / 9007199254740992.0;
}

static float normal(void)
{
	double s = 0;

	for (int i = 0; i < 12; i++)
		s += uniform();
	return (float)(s - 6);
}

/* Quantizes a row and reads it as a model's row would be. */
static void round_trip(const struct z5_quant_type *q, const struct z5_type_ops *ops, const float *x, const float *w,
		       float *y)
{
	static uint8_t raw[K * 4];
	void *group = aligned_alloc(64, ops->group_bytes(K));

	memset(raw, 0x55, sizeof(raw));
	q->row(raw, x, w, K);
	ops->pack(group, raw, 1, K);
	ops->unpack_row(y, group, 0, K);
	free(group);
}

static double relative(const float *x, const float *y, const float *w)
{
	double e = 0, v = 0;

	for (int i = 0; i < K; i++) {
		double d = (double)x[i] - y[i];

		e += (w ? w[i] : 1) * d * d;
		v += (w ? w[i] : 1) * (double)x[i] * x[i];
	}
	return v > 0 ? sqrt(e / v) : e > 0 ? INFINITY : 0;
}

static bool all_finite(const float *y)
{
	for (int i = 0; i < K; i++)
		if (!isfinite(y[i]))
			return false;
	return true;
}

static void test_shapes(const struct z5_quant_type *q, const struct z5_type_ops *ops)
{
	bool points = (!strncmp(ops->name, "IQ", 2) && ops->name[2] < '4') || *ops->name == 'T';
	const char *name = ops->name;
	float x[K], y[K];

	memset(x, 0, sizeof(x));
	round_trip(q, ops, x, NULL, y);
	ok(relative(x, y, NULL) == 0, "%s: zeros stay zeros", name);
	for (int i = 0; i < K; i++)
		x[i] = -0.37f;
	round_trip(q, ops, x, NULL, y);
	/* a table need not have a point with eight equal weights */
	ok(relative(x, y, NULL) < (points ? 0.5 * q->tolerance : 0.06), "%s: a constant is kept within %g: %.2g", name,
	   points ? 0.5 * q->tolerance : 0.06, relative(x, y, NULL));
	for (int i = 0; i < K; i++)
		x[i] = -(float)(0.5 + uniform());
	round_trip(q, ops, x, NULL, y);
	ok(relative(x, y, NULL) < q->tolerance + 1e-9 || !q->tolerance, "%s: negatives only: %.2g", name,
	   relative(x, y, NULL));
	for (int i = 0; i < K; i++)
		x[i] = 0.01f * normal();
	x[K / 2 + 5] = 3000;
	round_trip(q, ops, x, NULL, y);
	ok(all_finite(y) && fabsf(y[K / 2 + 5] - 3000) < (points ? 3000 * q->tolerance : 310), "%s: one value 300,000 times the others: %g", name,
	   (double)y[K / 2 + 5]);
	for (int i = 0; i < K; i++)
		x[i] = z5_bits_f32((uint32_t)(uniform() * 8388608.0) | (uint32_t)(i & 1) << 31);
	round_trip(q, ops, x, NULL, y);
	ok(all_finite(y) && fabsf(y[0]) < 1e-30f && fabsf(y[K - 1]) < 1e-30f, "%s: denormals do no harm", name);
	for (int i = 0; i < K; i++)
		x[i] = (i & 1 ? -1 : 1) * 3e38f;
	round_trip(q, ops, x, NULL, y);
	ok(true, "%s: the largest floats are survived", name);
}

static void test_error(const struct z5_quant_type *q, const struct z5_type_ops *ops, double limit)
{
	float x[K], y[K], w[K], weighted[K];
	double plain = 0, with = 0, worst = 0;

	for (int round = 0; round < 20; round++) {
		for (int i = 0; i < K; i++) {
			x[i] = 0.02f * normal();
			w[i] = (float)exp(-6 * uniform());
		}
		round_trip(q, ops, x, NULL, y);
		round_trip(q, ops, x, w, weighted);
		worst += relative(x, y, NULL) / 20;
		plain += relative(x, y, w);
		with += relative(x, weighted, w);
	}
	ok(worst <= limit, "%s: error of normal weights %.4g (limit %.4g)", ops->name, worst, limit);
	if (ops->block > 1 && q->ggml != GGML_Q8_0 && *ops->name != 'T')
		ok(with < plain, "%s: importance lowers the error that it weighs: %.4f to %.4f", ops->name, plain / 20,
		   with / 20);
	memset(w, 0, sizeof(w));
	round_trip(q, ops, x, w, weighted);
	round_trip(q, ops, x, NULL, y);
	ok(!memcmp(y, weighted, sizeof(y)), "%s: importance of zero everywhere is none", ops->name);
}

/* Blocks with halves of their largest weight, which are ties, and zeros: the bytes that llama-quantize 0.7.0 makes. */
static void test_ternary(void)
{
	static const struct {
		uint32_t ggml;
		size_t bytes;
		uint64_t sum;
	} want[] = { { GGML_TQ1_0, 54, 0x9ca6fb4c53776e75 }, { GGML_TQ2_0, 66, 0xbf1163d65ab94749 } };
	static float x[4096];

	for (uint32_t i = 0; i < 256 * 15; i++) {
		const float top = (float)(1 + i / 256) / 8;

		x[i] = (float)((int)(i * 2654435761u >> 20) - 2048) / 2048 * top;
		if (i % 256 == 7)
			x[i] = top;
		else if (i % 256 == 9 || i % 256 == 11)
			x[i] = i % 256 == 9 ? top / 2 : -top / 2;
	}
	for (int t = 0; t < 2; t++) {
		uint64_t sum = 0xcbf29ce484222325;
		uint8_t raw[16 * 66];

		z5_quant_type(want[t].ggml)->row(raw, x, NULL, 4096);
		for (size_t i = 0; i < 16 * want[t].bytes; i++)
			sum = (sum ^ raw[i]) * 0x100000001b3;
		ok(sum == want[t].sum, "%s: llama.cpp's bytes: %llx", t ? "TQ2_0" : "TQ1_0", (unsigned long long)sum);
	}
}

static void test_half(void)
{
	int bad = 0;

	for (uint32_t h = 0; h < 65536; h++) {
		float f = z5_f16((uint16_t)h);

		if (f == f && z5_to_f16(f) != h)
			bad++;
		if (f != f && (z5_to_f16(f) & 0x7c00) != 0x7c00)
			bad++;
	}
	ok(!bad, "every half comes back from its float");
	bad = 0;
	/* in the middle of two halves the even one, a step beside it the nearer one */
	for (uint32_t h = 0; h < 0x7bff; h++) {
		double a = z5_f16((uint16_t)h), b = z5_f16((uint16_t)(h + 1));
		float mid = (float)((a + b) / 2);

		bad += z5_to_f16(mid) != (h & 1 ? h + 1 : h);
		bad += z5_to_f16(nextafterf(mid, 1e9f)) != h + 1;
		bad += z5_to_f16(nextafterf(mid, 0)) != h;
		bad += z5_to_f16(-mid) != (0x8000 | (h & 1 ? h + 1 : h));
	}
	ok(!bad, "ties go to the even half, others to the nearer: %d wrong", bad);
	ok(z5_to_f16(65519.99f) == 0x7bff && z5_to_f16(65520) == 0x7c00, "65520 is too large for a half");
	ok(z5_to_bf16(z5_bits_f32(0x3f808000)) == 0x3f80 && z5_to_bf16(z5_bits_f32(0x3f818000)) == 0x3f82 &&
	   z5_to_bf16(z5_bits_f32(0x3f808001)) == 0x3f81, "bfloat16 rounds to nearest even");
	ok(z5_to_bf16(z5_bits_f32(0x7f800001)) == 0x7fc0, "and a NaN stays one");
}

/* ---- importance matrices ---- */

static const char *spill(const struct file *f)
{
	static char path[64];
	FILE *o;

	snprintf(path, sizeof(path), "/tmp/zen5-quant-test-%d", (int)getpid());
	o = fopen(path, "wb");
	if (!o || fwrite(f->p, 1, f->n, o) != f->n || fclose(o))
		abort();
	return path;
}

static void i32(struct file *f, int32_t v)
{
	put(f, &v, sizeof(v));
}

static void f32(struct file *f, float v)
{
	put(f, &v, sizeof(v));
}

static void entry(struct file *f, const char *name, int32_t n, float first)
{
	i32(f, (int32_t)strlen(name));
	put(f, name, strlen(name));
	i32(f, 7);
	i32(f, n);
	for (int32_t i = 0; i < n; i++)
		f32(f, first + (float)i);
}

static void refused(const struct file *f, const char *like, const char *what)
{
	struct zen5rt_error err = { "" };
	struct z5_imatrix *im = NULL;
	int ret = z5_imatrix_load(spill(f), &im, &err);

	ok(ret == -EINVAL && strstr(err.message, like), "importance matrix: %s: %s", what, err.message);
	if (!ret)
		z5_imatrix_free(im);
}

static void test_dat(void)
{
	static struct file f;
	struct zen5rt_error err = { "" };
	struct z5_imatrix *im;
	const float *v;
	size_t n = 0;

	i32(&f, 2);
	entry(&f, "b.weight", 4, 1);
	entry(&f, "a.weight", 2, 0);
	put(&f, "trailer", 7);
	ok(!z5_imatrix_load(spill(&f), &im, &err), "importance matrix: the old format, with what follows it: %s",
	   err.message);
	v = z5_imatrix_find(im, "b.weight", &n);
	ok(z5_imatrix_n(im) == 2 && n == 4 && v && v[3] == 1 && v[0] == 0.25f, "scaled to a largest value of 1");
	ok(!z5_imatrix_find(im, "c.weight", &n), "what is not there is not found");
	z5_imatrix_free(im);

	for (size_t cut = 0; cut < 60; cut += 3) {
		static struct file part;

		part = f;
		part.n = cut;
		refused(&part, cut < 4 ? "no importance matrix" : "", "cut short");
	}
	f.n = 0;
	i32(&f, -1);
	refused(&f, "-1 entries", "a negative number of entries");
	f.n = 0;
	i32(&f, INT32_MAX);
	refused(&f, "entries", "two milliards of entries");
	f.n = 0;
	i32(&f, 1);
	i32(&f, 1 << 30);
	refused(&f, "name of 1073741824", "a name of a GiB");
	f.n = 0;
	i32(&f, 1);
	i32(&f, 0);
	refused(&f, "name of 0", "no name");
	f.n = 0;
	i32(&f, 1);
	i32(&f, 1);
	put(&f, "a", 1);
	i32(&f, 1);
	i32(&f, INT32_MAX);
	f32(&f, 1);
	refused(&f, "2147483647 values", "more values than the file has");
	f.n = 0;
	i32(&f, 1);
	i32(&f, 1);
	put(&f, "a", 1);
	i32(&f, 1);
	i32(&f, -5);
	refused(&f, "-5 values", "a negative number of values");
	f.n = 0;
	i32(&f, 1);
	entry(&f, "a", 1, -1);
	refused(&f, "value 0 is -1, no mean square", "a negative value");
	f.n = 0;
	i32(&f, 1);
	entry(&f, "a", 1, NAN);
	refused(&f, "value 0 is nan, no mean square", "a NaN");
	f.n = 0;
	i32(&f, 2);
	entry(&f, "a", 1, 1);
	entry(&f, "a", 1, 1);
	refused(&f, "twice", "an entry twice");
}

/* A GGUF file of in_sum2 and counts; each of them can be wrong. */
static void imatrix_gguf(struct file *f, const char *sums, uint64_t columns, uint64_t matrices, const char *counts,
			 uint64_t n_counts, float count)
{
	head(f, 2, 0);
	str(f, sums);
	u32(f, 2);
	u64(f, columns);
	u64(f, matrices);
	u32(f, 0);
	u64(f, 0);
	str(f, counts);
	u32(f, 2);
	u64(f, 1);
	u64(f, n_counts);
	u32(f, 0);
	u64(f, (columns * matrices * 4 + 31) / 32 * 32);
	while (f->n % 32)
		put(f, "", 1);
	for (uint64_t i = 0; i < columns * matrices; i++)
		f32(f, (float)(i + 1));
	while (f->n % 32)
		put(f, "", 1);
	for (uint64_t i = 0; i < n_counts; i++)
		f32(f, i ? 0 : count);
}

static void test_gguf(void)
{
	static struct file f;
	struct zen5rt_error err = { "" };
	struct z5_imatrix *im;
	const float *v;
	size_t n = 0;

	imatrix_gguf(&f, "a.weight.in_sum2", 4, 2, "a.weight.counts", 2, 10);
	ok(!z5_imatrix_load(spill(&f), &im, &err), "importance matrix: GGUF: %s", err.message);
	v = z5_imatrix_find(im, "a.weight", &n);
	ok(n == 8 && v && v[3] == 1 && v[0] == 0.25f, "divided by its count and scaled");
	ok(v && v[4] == 0 && v[7] == 0, "of an expert that was never chosen nothing is known");
	z5_imatrix_free(im);
	imatrix_gguf(&f, "a.weight.in_sum2", 4, 2, "b.weight.counts", 2, 10);
	refused(&f, "no counts", "sums without counts");
	imatrix_gguf(&f, "a.weight.in_sum2", 4, 2, "a.weight.counts", 3, 10);
	refused(&f, "no counts", "counts of other matrices");
	imatrix_gguf(&f, "a.weight", 4, 2, "a.weight.counts", 2, 10);
	refused(&f, "no importance matrix", "a GGUF file that is none");
	imatrix_gguf(&f, "a.weight.in_sum2", 4, 2, "a.weight.counts", 2, 1e-44f);
	refused(&f, "value 0 is inf, no mean square", "a quotient that is infinite");
	f.n -= 4;
	refused(&f, "", "a GGUF file that is cut");
	unlink(spill(&f));
}

int main(void)
{
	unsigned int csr = _mm_getcsr();

	test_half();
	test_ternary();
	/* as in the threads that quantize */
	_mm_setcsr(csr | 0x8040);
	for (size_t i = 0; i < N_CASES; i++) {
		const struct z5_quant_type *q = z5_quant_type(cases[i].ggml);
		const struct z5_type_ops *ops = z5_type_by_ggml(cases[i].ggml);

		if (!ok(q && q->row, "type %u has a quantizer", cases[i].ggml))
			continue;
		if (!ops) {
			skip("no kernels for type %u", cases[i].ggml);
			continue;
		}
		test_shapes(q, ops);
		test_error(q, ops, cases[i].gauss);
	}
	_mm_setcsr(csr);
	test_dat();
	test_gguf();
	return done();
}
