// SPDX-License-Identifier: MIT
/*
 * The throttle against all threads, on this machine and a real model:
 * throttle MODEL [ROUNDS [TOKENS [HOG_CPU]]]. Three runtimes decode in turns, some tokens each: all
 * threads (A), the throttle (B), all threads again (A'). Prints the rate of A, and the medians and
 * quartiles of B/A and A'/A by rounds; what B has to find out before it settles comes first and is
 * told apart. With HOG_CPU a process that streams memory sits on that CPU meanwhile.
 */
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include <zen5rt.h>

#include "timing.h"

#define ARMS 3

struct arm {
	struct zen5rt *rt;
	struct zen5rt_model *model;
	struct zen5rt_session *session;
	double *rate;		/* tokens a second, by round */
	double tokens, seconds;
};

static pid_t hog(int cpu)
{
	const size_t n = (256u << 20) / sizeof(uint64_t);
	pid_t pid = fork();
	volatile uint64_t sink = 0;
	uint64_t *p, sum = 0;
	cpu_set_t set;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	p = aligned_alloc(4096, n * sizeof(*p));
	if (!p || sched_setaffinity(0, sizeof(set), &set))
		_exit(1);
	memset(p, 1, n * sizeof(*p));
	for (;;) {
		for (size_t i = 0; i < n; i += 8)
			sum += p[i];
		sink = sum;
	}
	(void)sink;
}

static bool arm_open(struct arm *a, const char *model, const char *throttle, unsigned int rounds)
{
	struct zen5rt_session_params sp;
	struct zen5rt_params p;
	struct zen5rt_error err;
	const int32_t first = 1;

	zen5rt_params_init(&p);
	p.throttle = throttle;
	zen5rt_session_params_init(&sp);
	sp.n_ctx = 512;
	a->rate = calloc(rounds, sizeof(*a->rate));
	if (!a->rate || zen5rt_open(&p, &a->rt, &err) || zen5rt_model_load(a->rt, model, &a->model, &err) ||
	    zen5rt_session_new(a->model, &sp, &a->session, &err) || zen5rt_eval(a->session, &first, 1, &err)) {
		fprintf(stderr, "throttle: %s\n", a->rate ? err.message : "out of memory");
		return false;
	}
	return true;
}

/* Always at the same positions, so that the KV cache costs the same. */
static double decode(struct arm *a, unsigned int tokens)
{
	const int32_t id = 1;
	double start;

	zen5rt_session_rewind(a->session, 1);
	start = now();
	for (unsigned int i = 0; i < tokens; i++)
		if (zen5rt_eval(a->session, &id, 1, NULL))
			exit(1);
	a->seconds += now() - start;
	a->tokens += tokens;
	return tokens / (now() - start);
}

static int by_size(const void *x, const void *y)
{
	const double a = *(const double *)x, b = *(const double *)y;

	return a < b ? -1 : a > b;
}

static void ratio(const char *what, const struct arm *b, const struct arm *a, unsigned int rounds)
{
	double *r = calloc(rounds, sizeof(*r));

	for (unsigned int i = 0; r && i < rounds; i++)
		r[i] = b->rate[i] / a->rate[i];
	if (r) {
		qsort(r, rounds, sizeof(*r), by_size);
		printf("%-22s %.3f (quartiles %.3f to %.3f)\n", what, r[rounds / 2], r[rounds / 4], r[rounds * 3 / 4]);
	}
	free(r);
}

int main(int argc, char **argv)
{
	static const char *const modes[ARMS] = { "off", "auto", "off" };
	const unsigned int rounds = argc > 2 ? (unsigned int)atoi(argv[2]) : 60;
	const unsigned int tokens = argc > 3 ? (unsigned int)atoi(argv[3]) : 8;
	const pid_t other = argc > 4 ? hog(atoi(argv[4])) : 0;
	struct zen5rt_throttle_info t;
	struct arm arm[ARMS] = { 0 };
	unsigned int settle = 0;

	if (argc < 2 || !rounds || !tokens || tokens > 500) {
		fprintf(stderr, "usage: throttle MODEL [ROUNDS [TOKENS [HOG_CPU]]]\n");
		return 64;
	}
	for (unsigned int i = 0; i < ARMS; i++)
		if (!arm_open(&arm[i], argv[1], modes[i], rounds))
			return 1;
	for (zen5rt_throttle_info(arm[1].rt, &t); !t.searches && settle < 3000; zen5rt_throttle_info(arm[1].rt, &t))
		settle += decode(&arm[1], tokens) > 0 ? tokens : 0;
	printf("%-22s %u tokens at %.2f tok/s, %u decisions\n", "B settles in", settle, arm[1].tokens / arm[1].seconds,
	       t.decisions);
	for (unsigned int r = 0; r < rounds; r++)
		for (unsigned int i = 0; i < ARMS; i++) {
			const unsigned int k = r % 2 ? ARMS - 1 - i : i;

			arm[k].rate[r] = decode(&arm[k], tokens);
		}
	zen5rt_throttle_info(arm[1].rt, &t);
	printf("%-22s %s; %u searches, %u changes\n", "B holds", t.text, t.searches, t.changes);
	printf("%-22s %.2f tok/s\n", "A, mean", arm[0].tokens / arm[0].seconds);
	ratio("A'/A", &arm[2], &arm[0], rounds);
	ratio("B/A", &arm[1], &arm[0], rounds);
	if (other > 0) {
		kill(other, SIGKILL);
		waitpid(other, NULL, 0);
	}
	return 0;
}
