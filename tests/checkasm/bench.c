// SPDX-License-Identifier: MIT
/* One thread's speed a kernel and level, median of several runs. Not a test. */
#include "checkasm.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#define RUNS		9
#define MATRIX		((size_t)32 << 20)
#define WIDTH		4096
#define PREFILL		128
#define BATCH_TIME	0.03

/* Time that this thread ran: what else the machine does is not the kernel's. */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

/* Median seconds of RUNS calls of call, after one that warms up. */
#define TIME(call) ({						\
	double seconds[RUNS];					\
								\
	call;							\
	for (int run = 0; run < RUNS; run++) {			\
		double began = now();				\
								\
		call;						\
		seconds[run] = now() - began;			\
	}							\
	qsort(seconds, RUNS, sizeof(double), by_value);		\
	seconds[RUNS / 2];					\
})

static void *memory(size_t n)
{
	void *p = mmap(NULL, n + (2 << 20), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);

	if (p == MAP_FAILED) {
		perror("checkasm");
		exit(1);
	}
	p = (void *)(((uintptr_t)p + (2 << 20) - 1) & ~(uintptr_t)((2 << 20) - 1));
	madvise(p, n, MADV_HUGEPAGE);
	memset(p, 0, n);
	return p;
}

static const size_t batches[] = { 2, 4, 8, 16, PREFILL };

static void bench_matmul(const struct z5_kernels *k, enum z5_type t, uint8_t *w)
{
	const struct z5_type_ops *ops = &z5_types[t];
	size_t gb = ops->group_bytes(WIDTH), groups = MATRIX / gb,
	       act = z5_act_bytes(ops->act, WIDTH);
	size_t row = WIDTH / ops->block * ops->bytes;
	uint8_t *x = memory(PREFILL * act), *src = malloc(Z5_GROUP * row);
	float *y = memory(PREFILL * groups * Z5_GROUP * sizeof(float));
	double one;

	fill_weights(src, t, Z5_GROUP, WIDTH, WEIGHT_SANE);
	ops->pack(w, src, Z5_GROUP, WIDTH);
	for (size_t g = 1; g < groups; g++)
		memcpy(w + g * gb, w, gb);
	free(src);
	for (size_t i = 0; i < PREFILL; i++)
		fill_act(k, x + i * act, ops->act, WIDTH, ACT_QUANT);

	one = TIME(k->matmul[t](y, groups * Z5_GROUP, w, WIDTH, 0, groups, x, act, 1));
	printf("%-12s matmul %-7s from %-12s %8.2f GB/s at n 1, GOPS at n", k->level, ops->name,
	       k->matmul_level[t], (double)(groups * gb) / one * 1e-9);
	for (size_t i = 0; i < sizeof(batches) / sizeof(*batches); i++) {
		size_t n = batches[i], part;
		double start = now(), many;

		k->matmul[t](y, groups * Z5_GROUP, w, WIDTH, 0, 4, x, act, n);
		part = (size_t)(BATCH_TIME / (now() - start) * 4);
		part = part < 1 ? 1 : part > groups ? groups : part;
		many = TIME(k->matmul[t](y, groups * Z5_GROUP, w, WIDTH, 0, part, x, act, n));
		printf(" %zu: %.1f", n, 2.0 * (double)(part * Z5_GROUP * n) * WIDTH / many * 1e-9);
	}
	printf("\n");
}

static void bench_ops(const struct z5_kernels *k, uint8_t *w)
{
	static float x[WIDTH], y[WIDTH], z[WIDTH];
	_Alignas(64) static uint8_t a[3 * WIDTH];
	volatile uint64_t sink;
	double s;

	fill_floats(x, WIDTH, SHAPE_NORMAL);
	fill_floats(z, WIDTH, SHAPE_NORMAL);
	s = TIME(for (int i = 0; i < 100; i++) k->quant[Z5_ACT_Q8_32](a, x, WIDTH)) / 100;
	printf("%-12s quant q8_32    %d floats %10.2f us %8.2f GB/s\n", k->level, WIDTH, s * 1e6,
	       sizeof(x) / s * 1e-9);
	s = TIME(for (int i = 0; i < 100; i++) k->quant[Z5_ACT_Q8_256](a, x, WIDTH)) / 100;
	printf("%-12s quant q8_256   %d floats %10.2f us %8.2f GB/s\n", k->level, WIDTH, s * 1e6,
	       sizeof(x) / s * 1e-9);
	s = TIME(for (int i = 0; i < 100; i++) k->rmsnorm(y, x, z, WIDTH, 1e-5f)) / 100;
	printf("%-12s rmsnorm        %d floats %10.2f us %8.2f GB/s\n", k->level, WIDTH, s * 1e6,
	       sizeof(x) / s * 1e-9);
	s = TIME(for (int i = 0; i < 100; i++) {
		memcpy(y, x, sizeof(x));
		k->silu_mul(y, z, WIDTH);
	}) / 100;
	printf("%-12s silu_mul       %d floats %10.2f us %8.2f GB/s\n", k->level, WIDTH, s * 1e6,
	       sizeof(x) / s * 1e-9);
	s = TIME(sink = k->read(w, MATRIX));
	(void)sink;
	printf("%-12s read           32 MiB      %10.2f us %8.2f GB/s\n", k->level, s * 1e6,
	       MATRIX / s * 1e-9);
}

static void bench_attn(const struct z5_kernels *k, enum z5_kv_type type, size_t hd, unsigned int n_q, uint8_t *mem)
{
	enum { N_KV = 1024, MOST_Q = 8 };
	static const char *const names[Z5_N_KV_TYPES] = { "f32", "f16", "bf16", "q8_0" };
	static float key[128], value[128], q_mem[MOST_Q * 128], out_mem[MOST_Q * 128], state[2 * MOST_Q];
	static struct z5_attn_block blocks[MOST_Q * 4];
	const size_t n_k = N_KV / 16 * z5_kv_k_group(type, hd), n_v = N_KV / 16 * z5_kv_v_group(type, hd);
	float *out[MOST_Q];
	const float *q[MOST_Q];
	uint32_t n_kv[MOST_Q];
	struct z5_attn a = { .type = type,
			     .k = mem,
			     .v = mem + n_k,
			     .hd_k = hd,
			     .hd_v = hd,
			     .scale = 1.0f / sqrtf((float)hd),
			     .n_q = n_q,
			     .q = q,
			     .n_kv = n_kv,
			     .out = out,
			     .state = state,
			     .blocks = blocks };
	double s;

	for (size_t i = 0; i < N_KV; i++) {
		fill_floats(key, hd, SHAPE_NORMAL);
		fill_floats(value, hd, SHAPE_NORMAL);
		z5_kv_store(type, mem, mem + n_k, i, key, hd, value, hd, hd, k->quant[Z5_ACT_Q8_32]);
	}
	fill_floats(q_mem, MOST_Q * 128, SHAPE_NORMAL);
	for (unsigned int i = 0; i < n_q; i++) {
		q[i] = q_mem + i * hd;
		out[i] = out_mem + i * hd;
		n_kv[i] = N_KV;
	}
	s = TIME(for (int i = 0; i < 10; i++) k->attn(&a)) / 10;
	printf("%-12s attn %-4s      hd %3zu n_q %u n_kv %d %8.2f us %8.2f GB/s of KV %8.2f GFLOPS\n", k->level,
	       names[type], hd, n_q, N_KV, s * 1e6, (double)(n_k + n_v) / s * 1e-9,
	       4.0 * N_KV * (double)(hd * n_q) / s * 1e-9);
}

/* Layers of the models that people run, for a lone token and for 16: microseconds a token. */
static void bench_recur(const struct z5_kernels *k, uint8_t *mem)
{
	enum { TOKENS = 16, WIDE = 4096 };
	float *p = (void *)mem, *state = p + TOKENS * 6 * WIDE, *a = state + (size_t)WIDE * 128;
	struct z5_scan s = {
		.n_state = 16, .groups = WIDE / 16, .state = state, .a = a, .d = p, .x = p, .dt = p + TOKENS * WIDE,
		.b = p + 2 * TOKENS * WIDE, .c = p + 3 * TOKENS * WIDE, .y = p + 4 * TOKENS * WIDE, .x_stride = WIDE,
		.dt_stride = WIDE, .bc_stride = WIDE, .y_stride = WIDE,
	};
	struct z5_wkv w = {
		.size = 64, .heads = 32, .state = state, .r = p, .w = p + TOKENS * 2048, .k = p + 2 * TOKENS * 2048,
		.v = p + 3 * TOKENS * 2048, .a = p + 4 * TOKENS * 2048, .b = p + 5 * TOKENS * 2048, .u = p,
		.y = p + 6 * TOKENS * 2048, .stride = 2048,
	};

	for (size_t n = 1; n <= TOKENS; n += TOKENS - 1) {
		/* the state must neither grow nor become nothing */
		for (size_t i = 0; i < TOKENS * 6 * WIDE; i++)
			p[i] = 0.01f * rnd_normal();
		memset(state, 0, (size_t)WIDE * 128 * sizeof(float));
		for (size_t i = 0; i < WIDE * 16; i++)
			a[i] = -1;
		s.n = w.n = n;
		s.n_state = 16;
		s.head = 0;
		printf("%-12s scan 4096 x 16   n %2zu %8.2f us a token\n", k->level, n, TIME(k->scan(&s)) / (double)n * 1e6);
		s.n_state = 128;
		s.head = 4;
		printf("%-12s scan 64 x 64 x 128 n %2zu %6.2f us a token\n", k->level, n,
		       TIME(k->scan(&s)) / (double)n * 1e6);
		printf("%-12s wkv6 32 x 64 x 64 n %2zu %7.2f us a token\n", k->level, n,
		       TIME(k->wkv6(&w)) / (double)n * 1e6);
		printf("%-12s wkv7 32 x 64 x 64 n %2zu %7.2f us a token\n", k->level, n,
		       TIME(k->wkv7(&w)) / (double)n * 1e6);
		printf("%-12s gla 32 x 64 x 64  n %2zu %7.2f us a token\n", k->level, n,
		       TIME(k->gla(&w)) / (double)n * 1e6);
	}
}

int bench(int level)
{
	uint8_t *w = memory(MATRIX);

	for (unsigned int i = 0; i <= z5_level_best(); i++) {
		struct z5_kernels k;

		if (level >= 0 && (unsigned int)level != i)
			continue;
		z5_kernels_init(&k, i);
		for (int t = 0; t < Z5_N_TYPES; t++)
			bench_matmul(&k, (enum z5_type)t, w);
		bench_ops(&k, w);
		for (unsigned int n_q = 1; n_q <= 8; n_q *= 2)
			for (unsigned int t = 0; t < Z5_N_KV_TYPES; t++) {
				bench_attn(&k, (enum z5_kv_type)t, 64, n_q, w);
				bench_attn(&k, (enum z5_kv_type)t, 128, n_q, w);
			}
		bench_recur(&k, w);
	}
	return 0;
}
