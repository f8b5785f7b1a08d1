// SPDX-License-Identifier: MIT
/*
 * Each type's matrix product beside what bounds it: reading the same weights, and the arithmetic peak, in turn with it
 * round by round. kernels [-t threads] [-n tokens,...] [-k columns] [-m MiB] [-r rounds] [-l level] [TYPE...]
 *
 * -m 0: weights that the second-level cache holds, so that only instructions count.
 */
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>
#include <xmmintrin.h>

#include <kernels/kernels.h>

#include "timing.h"

#define MAX_THREADS	64
#define MAX_ROUNDS	999
#define MAX_TOKENS	512
/* Groups of one call, about what the runtime hands a thread at once. */
#define CALL		128
#define PACKED		16
#define PEAK_SECONDS	0.01
#define L2_BYTES	(256u << 10)

enum arm { KERNEL, READ, PEAK, N_ARMS };

static struct z5_kernels kern;
static pthread_barrier_t start_line;
static double took[N_ARMS][MAX_ROUNDS];

struct job {
	enum z5_type type;
	size_t k, groups, gb, tokens, repeat;
	uint8_t *w, *x;
	float *y;
	unsigned int rounds, threads;
	uint64_t turns;			/* of the peak loop */
};

struct thread {
	const struct job *job;
	unsigned int i;
	uint64_t ops, sink;
};

static void *need(void *p)
{
	if (p)
		return p;
	fputs("kernels: out of memory\n", stderr);
	exit(1);
}

static z5_peak_fn peak_of(enum z5_type type)
{
	return z5_types[type].act == Z5_ACT_F32 ? kern.peak_f32 : kern.peak_int8;
}

/* Turns of the peak loop that take long enough for starting and stopping the threads to be nothing. */
static uint64_t peak_turns(enum z5_type type)
{
	uint64_t turns = 1u << 16, ops;
	double start, took_s;

	if (!peak_of(type))
		return 0;
	do {
		turns *= 2;
		start = now();
		peak_of(type)(turns, &ops);
		took_s = now() - start;
	} while (took_s < PEAK_SECONDS);
	return turns;
}

static void turn(struct thread *t, enum arm arm)
{
	const struct job *j = t->job;
	const size_t g0 = j->groups * t->i / j->threads, g1 = j->groups * (t->i + 1) / j->threads;

	if (arm == PEAK && peak_of(j->type)) {
		t->sink ^= peak_of(j->type)(j->turns, &t->ops);
		return;
	}
	for (size_t r = 0; r < j->repeat && arm == READ; r++)
		t->sink ^= kern.read(j->w + g0 * j->gb, (g1 - g0) * j->gb);
	for (size_t r = 0; r < j->repeat && arm == KERNEL; r++)
		for (size_t g = g0; g < g1; g += CALL)
			kern.matmul[j->type](j->y, j->groups * Z5_GROUP, j->w, j->k, g, g + CALL < g1 ? g + CALL : g1,
					     j->x, z5_act_bytes(z5_types[j->type].act, j->k), j->tokens);
}

static void *work(void *arg)
{
	struct thread *t = arg;
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(t->i, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	_mm_setcsr(_mm_getcsr() | 0x8040);	/* FTZ, DAZ */
	for (unsigned int r = 0; r < t->job->rounds; r++) {
		for (unsigned int a = 0; a < N_ARMS; a++) {
			const enum arm arm = (a + r) % N_ARMS;
			double start;

			pthread_barrier_wait(&start_line);
			start = now();
			turn(t, arm);
			pthread_barrier_wait(&start_line);
			if (!t->i)
				took[arm][r] = now() - start;
		}
	}
	return NULL;
}

/* Quartiles of other / kernel, round by round. */
static void shares(double *q, enum arm other, unsigned int rounds, double by)
{
	double v[MAX_ROUNDS];

	for (unsigned int r = 0; r < rounds; r++)
		v[r] = by * took[other][r] / took[KERNEL][r];
	in_order(v, rounds);
	for (int i = 0; i < 3; i++)
		q[i] = 100 * v[rounds * (i + 1) / 4];
}

static void measure(struct job *j)
{
	const double ops = 2.0 * (double)j->k * (double)j->groups * Z5_GROUP * (double)j->tokens * (double)j->repeat;
	const double bytes = (double)j->gb * (double)j->groups * (double)j->repeat;
	struct thread t[MAX_THREADS] = { 0 };
	pthread_t id[MAX_THREADS];
	double peak_ops = 0, read[3], peak[3], kernel[MAX_ROUNDS];

	pthread_barrier_init(&start_line, NULL, j->threads);
	for (unsigned int i = 0; i < j->threads; i++) {
		t[i] = (struct thread){ .job = j, .i = i };
		if (i && pthread_create(&id[i], NULL, work, &t[i]))
			need(NULL);
	}
	work(&t[0]);
	for (unsigned int i = 1; i < j->threads; i++)
		pthread_join(id[i], NULL);
	for (unsigned int i = 0; i < j->threads; i++)
		peak_ops += (double)t[i].ops;
	memcpy(kernel, took[KERNEL], j->rounds * sizeof(*kernel));
	in_order(kernel, j->rounds);
	shares(read, READ, j->rounds, 1);
	shares(peak, PEAK, j->rounds, peak_ops ? ops / peak_ops : 0);
	printf("%-8s %3zu  %7.2f GB/s  %3.0f (%3.0f to %3.0f) %% of reading  %7.1f GOPS  %3.0f (%3.0f to %3.0f) %% of the peak\n",
	       z5_types[j->type].name, j->tokens, bytes / kernel[j->rounds / 2] / 1e9, read[1], read[0], read[2],
	       ops / kernel[j->rounds / 2] / 1e9, peak[1], peak[0], peak[2]);
	fflush(stdout);
	pthread_barrier_destroy(&start_line);
}

/* Floats of ordinary size in the blocks of a file; quantized types have small scales wherever they keep them. */
static void fill_source(uint8_t *src, enum z5_type type, size_t bytes)
{
	uint64_t s = 88172645463325252u;

	for (size_t i = 0; i < bytes; i++) {
		s = s * 6364136223846793005u + 1442695040888963407u;
		src[i] = (uint8_t)(s >> 56);
	}
	for (size_t i = 0; i + 4 <= bytes; i += 4) {
		/* exponents of a normal distribution's bulk */
		const uint8_t e = (uint8_t)(0x3a + (src[i] & 3));

		if (type == Z5_F32)
			src[i + 3] = (src[i + 3] & 0x80) | e;
		else if (!strncmp(z5_types[type].name, "BF16", 4))
			src[i + 1] = (src[i + 1] & 0x80) | e, src[i + 3] = (src[i + 3] & 0x80) | e;
		else if (type == Z5_F16)
			src[i + 1] &= 0xaf, src[i + 3] &= 0xaf;
	}
}

static void *map(size_t n)
{
	const size_t big = 2u << 20;
	uint8_t *p = mmap(NULL, n + big, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		need(NULL);
	p = (void *)(((uintptr_t)p + big - 1) & ~(uintptr_t)(big - 1));
	madvise(p, n, MADV_HUGEPAGE);
	return p;
}

static void prepare(struct job *j, size_t mib)
{
	const struct z5_type_ops *ops = &z5_types[j->type];
	const size_t row = j->k / ops->block * ops->bytes;
	const size_t size = mib ? mib << 20 : (size_t)L2_BYTES * j->threads;
	uint8_t *src = need(malloc(Z5_GROUP * row));
	float *x = need(malloc(j->k * sizeof(*x)));
	const size_t xs = z5_act_bytes(ops->act, j->k);

	j->gb = ops->group_bytes(j->k);
	j->groups = size / j->gb / j->threads * j->threads;
	j->groups = j->groups ? j->groups : j->threads;
	j->w = map(j->groups * j->gb);
	j->x = need(aligned_alloc(64, MAX_TOKENS * xs));
	j->y = need(aligned_alloc(64, j->groups * Z5_GROUP * MAX_TOKENS * sizeof(*j->y)));
	fill_source(src, j->type, Z5_GROUP * row);
	for (size_t g = 0; g < j->groups && g < PACKED; g++)
		ops->pack(j->w + g * j->gb, src, Z5_GROUP, j->k);
	for (size_t g = PACKED; g < j->groups; g++)
		memcpy(j->w + g * j->gb, j->w + g % PACKED * j->gb, j->gb);
	for (size_t i = 0; i < j->k; i++)
		x[i] = (float)(i % 17) - 8;
	for (size_t t = 0; t < MAX_TOKENS; t++) {
		if (ops->act == Z5_ACT_F32)
			memcpy(j->x + t * xs, x, j->k * sizeof(*x));
		else
			kern.quant[ops->act](j->x + t * xs, x, j->k);
	}
	free(src);
	free(x);
}

static void release(struct job *j)
{
	munmap(j->w, j->groups * j->gb);
	free(j->x);
	free(j->y);
}

static unsigned int number(const char *s, unsigned int most)
{
	char *end;
	const unsigned long v = strtoul(s, &end, 10);

	if (*s < '0' || *s > '9' || *end || v > most) {
		fprintf(stderr, "kernels: %s: not a number up to %u\n", s, most);
		exit(64);
	}
	return (unsigned int)v;
}

static bool wanted(const char *name, char **list)
{
	for (char **p = list; *p; p++)
		if (!strcasecmp(*p, name))
			return true;
	return !*list;
}

int main(int argc, char **argv)
{
	struct job j = { .k = 4096, .rounds = 15, .threads = 1 };
	unsigned int level = z5_level_best(), mib = 192;
	char *tokens = need(strdup("1")), *save;
	int c;

	while ((c = getopt(argc, argv, "t:n:k:m:r:l:")) != -1) {
		switch (c) {
		case 't': j.threads = number(optarg, MAX_THREADS); break;
		case 'n': free(tokens); tokens = need(strdup(optarg)); break;
		case 'k': j.k = number(optarg, 1u << 16) / 256 * 256; break;
		case 'm': mib = number(optarg, 1u << 14); break;
		case 'r': j.rounds = number(optarg, MAX_ROUNDS); break;
		case 'l': level = number(optarg, z5_level_best()); break;
		default: return 64;
		}
	}
	if (!j.threads || !j.k || !j.rounds) {
		fputs("kernels: threads, columns and rounds are 1 or more, columns 256\n", stderr);
		return 64;
	}
	z5_kernels_init(&kern, level);
	printf("%s, %u threads, %zu columns, %u MiB, medians (quartiles) of %u rounds; peak of %s and of float fma\n", kern.level,
	       j.threads, j.k, mib, j.rounds, kern.peak_int8 ? kern.int8_by : "nothing");
	for (j.type = 0; j.type < Z5_N_TYPES; j.type++) {
		char *list, *word;

		if (!wanted(z5_types[j.type].name, argv + optind))
			continue;
		prepare(&j, mib);
		list = need(strdup(tokens));
		for (word = strtok_r(list, ",", &save); word; word = strtok_r(NULL, ",", &save)) {
			j.tokens = number(word, MAX_TOKENS);
			j.repeat = mib ? 1 : 1 + 20000 / (j.groups * (j.tokens + 1));
			j.turns = peak_turns(j.type);
			if (j.tokens)
				measure(&j);
		}
		free(list);
		release(&j);
	}
	free(tokens);
	return 0;
}
