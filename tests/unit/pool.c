// SPDX-License-Identifier: MIT
/*
 * The pool: barriers that hold whatever the number of threads, and a caller who gets himself back.
 */
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>
#include <x86intrin.h>

#include <sched/pool.h>
#include "../tap.h"

#define MAX	8
#define MANY	32	/* of a machine with 16 domains */
#define ROUNDS	20000

struct meet {
	/* Plain on purpose: what makes them visible is the barrier, and TSan checks that. */
	uint64_t slot[MANY];
	unsigned int rounds;
	atomic_uint wrong;
};

static void meet(const struct z5_thread *t, void *arg)
{
	struct meet *m = arg;
	unsigned int r, i, wrong = 0;

	for (r = 1; r <= m->rounds; r++) {
		m->slot[t->i]++;
		z5_barrier(t);
		for (i = 0; i < t->n; i++)
			wrong += m->slot[i] != r;
		z5_barrier(t);
	}
	atomic_fetch_add(&m->wrong, wrong);
}

static struct z5_pool *pool(const struct z5_topo *topo, unsigned int n, bool pin)
{
	struct zen5rt_error err = { "" };
	struct z5_pool *p = NULL;

	if (z5_pool_new(topo, n, pin, &p, &err)) {
		diag("%s", err.message);
		return NULL;
	}
	return p;
}

/*
 * Domains as on a large machine, laid over the CPUs that there are: both levels of the barrier
 * count.
 */
static void split_domains(struct z5_topo *t, struct z5_cpu *cpus, struct z5_l3 *l3s, int n,
			  int domains)
{
	int i;

	memset(l3s, 0, domains * sizeof(*l3s));
	*t = (struct z5_topo){ cpus, n, l3s, domains, n, 0 };
	for (i = 0; i < n; i++) {
		/* Of unequal size, and no multiple of each other. */
		int d = i * i * domains / (n * n);

		cpus[i] = (struct z5_cpu){ .cpu = i % 2, .core = i, .l3 = d };
		l3s[d].n_cpus++;
		l3s[d].n_cores++;
	}
}

static void test_barrier(const struct z5_topo *topo, const char *what, unsigned int n, bool pin)
{
	static struct meet m;
	struct z5_pool *p = pool(topo, n, pin);

	memset(&m, 0, sizeof(m));
	/*
	 * Threads share cores here: valgrind and TSan need minutes for what a machine does in a
	 * second.
	 */
	m.rounds = getenv("Z5_TEST_ROUNDS") ? atoi(getenv("Z5_TEST_ROUNDS")) : n > MAX ? ROUNDS / 40 : ROUNDS / 2;
	if (!ok(p && z5_pool_n(p) == n, "%s: %u threads", what, n))
		return;
	ok(!z5_pool_run(p, meet, &m) && !m.wrong, "%s: %u barriers, everyone sees everyone", what,
	   2 * m.rounds);
	z5_pool_free(p);
}

static void meet_briefly(const struct z5_thread *t, void *arg)
{
	struct meet *m = arg;
	unsigned int i, wrong = 0, r = m->rounds;

	m->slot[t->i] = r;
	z5_barrier(t);
	for (i = 0; i < t->n; i++)
		wrong += m->slot[i] != r;
	z5_barrier(t);
	if (wrong)
		atomic_fetch_add(&m->wrong, wrong);
}

/* Runs as short as can be: the end of one overlaps with the start of the next. */
static void test_brief_runs(const struct z5_topo *topo, const char *what)
{
	static struct meet m;
	struct z5_pool *p;
	unsigned int i, new,
		runs = getenv("Z5_TEST_ROUNDS") ? atoi(getenv("Z5_TEST_ROUNDS")) : 3000;

	memset(&m, 0, sizeof(m));
	/* A few from each pool, for the first run has a barrier of its own before it. */
	for (new = 0; new < 20; new++) {
		p = pool(topo, MAX, true);
		for (i = 0; p && i < runs / 20 + 1; i++) {
			m.rounds++;
			z5_pool_run(p, meet_briefly, &m);
		}
		z5_pool_free(p);
	}
	ok(m.rounds && !m.wrong, "%s: %u brief runs", what, m.rounds);
}

/* Who took part in a run of some: threads by core, which the faked domains number from 0. */
struct team {
	struct meet m;
	unsigned int rank[MAX];		/* t->i + 1, 0: not there */
	unsigned int n[MAX];
	atomic_uint there;
};

static void take_part(const struct z5_thread *t, void *arg)
{
	struct team *team = arg;

	team->rank[t->cpu.core] = t->i + 1;
	team->n[t->cpu.core] = t->n;
	atomic_fetch_add(&team->there, 1);
	meet_briefly(t, &team->m);
}

/* Runs of ever other threads: those asked for take part, numbered in order without a gap, and nobody else. */
static void test_teams(const struct z5_topo *topo, const char *what)
{
	const unsigned int runs = getenv("Z5_TEST_ROUNDS") ? atoi(getenv("Z5_TEST_ROUNDS")) : 3000;
	unsigned int counts[MAX], wrong = 0, seed = 1, d, i, k, l3, all = 0;
	static struct team team;
	struct z5_pool *p = pool(topo, MAX, true);

	if (!ok(p && z5_pool_domains(p) == topo->n_l3s, "%s: as many in the pool", what))
		return;
	for (d = 0; d < topo->n_l3s; d++) {
		all += z5_pool_domain(p, d, &l3);
		wrong += z5_pool_domain(p, d, NULL) != topo->l3s[d].n_cpus || l3 != d;
	}
	ok(!wrong && all == MAX && !z5_pool_domain(p, d, &l3), "%s: and every thread in its own", what);
	memset(&team, 0, sizeof(team));
	for (i = 0; i < runs; i++) {
		unsigned int core = 0, n = 0, total = 0;

		for (d = 0; d < topo->n_l3s; d++) {
			seed = seed * 1103515245 + 12345;
			/* mostly as before, at times above what there is, at times nobody */
			if (!i || !(seed >> 16 & 3))
				counts[d] = (seed >> 20) % (topo->l3s[d].n_cpus + 2);
			k = counts[d] < topo->l3s[d].n_cpus ? counts[d] : topo->l3s[d].n_cpus;
			total += !d && !k ? 1 : k;
		}
		memset(team.rank, 0, sizeof(team.rank));
		team.there = 0;
		team.m.rounds++;
		if (i % 7 == 6) {
			wrong += z5_pool_run(p, take_part, &team) != 0;
			wrong += team.there != MAX || team.n[0] != MAX || team.rank[MAX - 1] != MAX;
			continue;
		}
		wrong += z5_pool_run_on(p, counts, take_part, &team) != 0;
		wrong += team.there != total;
		for (d = 0; d < topo->n_l3s; d++) {
			for (k = 0; k < topo->l3s[d].n_cpus; k++, core++) {
				bool in = k < counts[d] || !core;

				wrong += team.rank[core] != (in ? ++n : 0) || (in && team.n[core] != total);
			}
		}
	}
	ok(!wrong && !team.m.wrong, "%s: %u runs of ever others (%u, %u wrong)", what, runs, wrong, team.m.wrong);
	counts[0] = 1;
	memset(counts + 1, 0, sizeof(counts) - sizeof(*counts));
	z5_pool_run_on(p, counts, take_part, &team);
	z5_pool_free(p);
	ok(true, "%s: freed while all but the caller are out", what);
}

struct env {
	unsigned int csr[MAX];
	double product[MAX];
	cpu_set_t mask[MAX];
	unsigned int caller_seen, wrong;
	pthread_t caller;
	sigset_t blocked[MAX];
};

static void env(const struct z5_thread *t, void *arg)
{
	volatile double denormal = 0x1p-1060, two = 2.0;
	struct env *e = arg;

	e->csr[t->i] = _mm_getcsr();
	e->product[t->i] = denormal * two;
	CPU_ZERO(&e->mask[t->i]);
	sched_getaffinity(0, sizeof(cpu_set_t), &e->mask[t->i]);
	pthread_sigmask(SIG_SETMASK, NULL, &e->blocked[t->i]);
	if (!t->i)
		e->caller_seen = pthread_equal(e->caller, pthread_self());
}

/* valgrind computes without FTZ and DAZ, and keeps no more of MXCSR than the rounding. */
static bool has_mxcsr(void)
{
	unsigned int before = _mm_getcsr(), got;

	_mm_setcsr(0x9fc0);
	got = _mm_getcsr();
	_mm_setcsr(before);
	return got == 0x9fc0;
}

static void test_env(const struct z5_topo *topo)
{
	bool mxcsr = has_mxcsr();
	static struct env e;
	struct z5_pool *p = pool(topo, 4, true);
	unsigned int i, csr, flushed = 0, zero = 0, blocked = 0, placed = 0;
	cpu_set_t before, after;
	volatile double denormal = 0x1p-1060, two = 2.0;
	const struct z5_cpu *cpus[4];

	if (!ok(p != NULL, "pool of 4"))
		return;
	z5_topo_place(topo, 4, cpus);
	e.caller = pthread_self();
	/* Something of everything in it: another rounding, an unmasked exception, a sticky flag. */
	csr = (0x1f80 & ~_MM_MASK_DIV_ZERO) | _MM_ROUND_UP | _MM_EXCEPT_INEXACT;
	_mm_setcsr(csr);
	sched_getaffinity(0, sizeof(before), &before);
	z5_pool_run(p, env, &e);
	sched_getaffinity(0, sizeof(after), &after);
	if (mxcsr)
		ok(_mm_getcsr() == csr, "MXCSR of the caller is put back: %#x is %#x", csr,
		   _mm_getcsr());
	else
		skip("no MXCSR here");
	_mm_setcsr(0x1f80);
	ok(CPU_EQUAL(&before, &after), "affinity of the caller is put back");
	ok(e.caller_seen, "the caller is thread 0");
	ok(denormal * two != 0, "and denormals are back");
	for (i = 0; i < 4; i++) {
		const struct z5_thread *t = z5_pool_thread(p, i);

		flushed += (e.csr[i] & 0xffc0) == 0x9fc0;
		zero += e.product[i] == 0;
		blocked += i && sigismember(&e.blocked[i], SIGINT) &&
			   sigismember(&e.blocked[i], SIGTERM) &&
			   !sigismember(&e.blocked[i], SIGSEGV);
		if (t->cpu.cpu == -1)
			placed += CPU_EQUAL(&e.mask[i], &before);
		else
			placed += CPU_COUNT(&e.mask[i]) == 1 &&
				  CPU_ISSET(t->cpu.cpu, &e.mask[i]) && t->cpu.cpu == cpus[i]->cpu;
	}
	if (mxcsr) {
		ok(flushed == 4,
		   "FTZ, DAZ, round to nearest, nothing unmasked on every thread (%u of 4)",
		   flushed);
		ok(zero == 4, "a denormal product is 0 on every thread (%u of 4)", zero);
	} else {
		skip("no FTZ and DAZ here");
	}
	ok(blocked == 3, "workers leave signals to the caller (%u of 3)", blocked);
	ok(!sigismember(&e.blocked[0], SIGINT), "who blocks none himself");
	ok(placed == 4, "every thread is where it says (%u of 4)", placed);
	ok(!z5_pool_thread(p, 4), "no thread past the last");
	z5_pool_free(p);
}

static void test_unpinned(const struct z5_topo *topo)
{
	static struct env e;
	struct z5_topo absent = *topo;
	struct z5_cpu cpus[2] = { { .cpu = 8190, .node = -1 }, { .cpu = 100000, .core = 1, .node = -1 } };
	struct z5_l3 l3 = { .n_cpus = 2, .n_cores = 2 };
	struct z5_pool *p = pool(topo, 2, false);
	unsigned int i, same;
	cpu_set_t mine;

	CPU_ZERO(&mine);
	sched_getaffinity(0, sizeof(mine), &mine);
	z5_pool_run(p, env, &e);
	for (i = 0, same = 0; i < 2; i++)
		same += CPU_EQUAL(&e.mask[i], &mine) && z5_pool_thread(p, i)->cpu.cpu == -1;
	ok(same == 2, "pin = false leaves the mask alone");
	z5_pool_free(p);

	absent.cpus = cpus;
	absent.n_cpus = absent.n_cores = 2;
	absent.l3s = &l3;
	absent.n_l3s = 1;
	p = pool(&absent, 2, true);
	z5_pool_run(p, env, &e);
	for (i = 0, same = 0; i < 2; i++)
		same += CPU_EQUAL(&e.mask[i], &mine) && z5_pool_thread(p, i)->cpu.cpu == -1;
	ok(same == 2, "CPUs that cannot be had: goes on unpinned, and says so");
	z5_pool_free(p);
}

static void count(const struct z5_thread *t, void *arg)
{
	atomic_fetch_add((atomic_uint *)arg, t->i + 1);
}

struct nest {
	int ret[MAX];
	atomic_uint ran;
};

static void nested(const struct z5_thread *t, void *arg)
{
	struct nest *n = arg;

	n->ret[t->i] = z5_pool_run(t->pool, count, &n->ran);
}

static void test_runs(const struct z5_topo *topo)
{
	struct z5_pool *p = pool(topo, 3, true), *other = pool(topo, 2, true);
	struct nest n = { { 0 }, 0 };
	atomic_uint sum = 0;
	unsigned int i;

	for (i = 0; i < 2000; i++) {
		z5_pool_run(p, count, &sum);
		z5_pool_run(other, count, &sum);
	}
	ok(sum == 2000 * (1 + 2 + 3 + 1 + 2),
	   "2,000 runs of two pools in turn, each on every thread once");
	/* Long enough that the workers sleep. */
	usleep(20000);
	z5_pool_run(p, count, &sum);
	ok(sum == 2000 * 9 + 6, "and one after a pause");
	z5_pool_run(p, nested, &n);
	ok(n.ret[0] == -EBUSY && n.ret[1] == -EBUSY && n.ret[2] == -EBUSY && !n.ran,
	   "a run inside a run is refused with -EBUSY");
	ok(!z5_pool_run(p, count, &sum) && sum == 2000 * 9 + 12, "and the pool works on");
	z5_pool_free(p);
	z5_pool_free(other);
}

static void test_limits(const struct z5_topo *topo)
{
	struct zen5rt_error err = { "" };
	struct z5_pool *p = NULL;

	ok(z5_pool_new(topo, Z5_POOL_MAX + 1, true, &p, &err) == -EINVAL &&
		   strstr(err.message, "1025"),
	   "more than Z5_POOL_MAX: %s", err.message);
	ok(z5_pool_new(topo, Z5_POOL_MAX + 1, true, &p, NULL) == -EINVAL && !p, "also without err");
	p = pool(topo, 0, true);
	ok(p && z5_pool_n(p) == z5_topo_place(topo, 0, NULL), "0 is the default of the topology");
	z5_pool_free(p);
	z5_pool_free(NULL);
}

static void test_split(void)
{
	static const uint64_t totals[] = {0,  1,  2,	   7,	       63,
					  64, 65, 1000003, 1ull << 40, (1ull << 53) - 1};
	unsigned int n, i, k, bad = 0;

	for (n = 1; n <= Z5_POOL_MAX; n += n < 20 ? 1 : 251) {
		for (k = 0; k < sizeof(totals) / sizeof(*totals); k++) {
			uint64_t next = 0, from, to;

			for (i = 0; i < n; i++) {
				struct z5_thread t = { .i = i, .n = n };

				z5_split(&t, totals[k], &from, &to);
				bad += from != next || to < from || to - from > totals[k] / n + 1 ||
				       to - from < totals[k] / n;
				next = to;
			}
			bad += next != totals[k];
		}
	}
	ok(!bad, "z5_split covers every total exactly and evenly");
}

int main(void)
{
	struct z5_cpu cpus[MANY];
	struct z5_l3 l3s[MANY];
	struct z5_topo topo, faked;
	unsigned int n;

	if (!ok(!z5_topo_read("", &topo, NULL), "topology of this machine"))
		return done();
	test_split();
	test_limits(&topo);
	test_env(&topo);
	test_unpinned(&topo);
	test_runs(&topo);
	for (n = 1; n <= MAX; n++)
		test_barrier(&topo, "this machine", n, true);
	test_barrier(&topo, "unpinned", 2, false);
	for (n = 2; n <= 4; n++) {
		char what[32];

		snprintf(what, sizeof(what), "%u domains", n);
		split_domains(&faked, cpus, l3s, MAX, n);
		test_barrier(&faked, what, MAX, true);
		test_brief_runs(&faked, what);
		test_teams(&faked, what);
	}
	for (n = 8; n <= 16; n *= 2) {
		char what[32];

		snprintf(what, sizeof(what), "%u domains", n);
		split_domains(&faked, cpus, l3s, MANY, n);
		test_barrier(&faked, what, MANY, true);
	}
	z5_topo_free(&topo);
	return done();
}
