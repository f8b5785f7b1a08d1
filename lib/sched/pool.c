// SPDX-License-Identifier: MIT
/*
 * The pool is two kinds of words to wait on, both one a domain: `start`, which the caller bumps to
 * begin a run, and `gen`, which the last thread to arrive at a barrier bumps. The end of a run is
 * a barrier at which only the caller waits.
 *
 * A word counts in steps of two; its lowest bit says that somebody sleeps on it. So whoever bumps
 * the word learns by the same exchange whether a wake is needed, and a wake that nobody needs
 * costs nothing.
 *
 * A run may leave threads out. Who is to leave is told in a run of its own in which nothing is done, so that it has
 * arrived at its end, and knows, before the next run can begin; then it sleeps on a word of its own.
 */
#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <x86intrin.h>

#include <error.h>
#include <sched/pool.h>
#include <topo/mask.h>

/* Two lines: the prefetchers of the L2 fetch a line's neighbour along with it. */
#define POOL_LINE	128

/* All exceptions masked, round to nearest, FTZ and DAZ: what every kernel is defined under. */
#define POOL_MXCSR	(0x1f80 | 0x8040)

/* In ticks of the TSC, which runs at 2 to 5 GHz on everything that we run on: 40 to 100 us. */
#define POOL_SPIN	200000
#define POOL_STACK	(1024 * 1024)

#define POOL_SLEEPER	1u

struct pool_domain {
	_Alignas(POOL_LINE) atomic_uint arrived;
	unsigned int n;			/* that take part; 0: nobody waits here */
	unsigned int all, l3;
	/* Apart from arrived: those who wait must not slow down those who still arrive. */
	_Alignas(POOL_LINE) atomic_uint gen;
	_Alignas(POOL_LINE) atomic_uint start;
};

struct pool_slot {
	_Alignas(POOL_LINE) struct z5_thread t;
	struct pool_domain *domain;
	unsigned int rank;		/* in its domain */
	pthread_t pthread;
	/* Written by the caller ahead of a run, read by the thread in it. */
	bool leaves;
	/* For who has left: where the domain's start word stands when it is called back. */
	unsigned int seen;
	_Alignas(POOL_LINE) atomic_uint back;
};

struct z5_pool {
	unsigned int n, n_domains;
	unsigned int n_active, n_active_domains;
	unsigned int n_started;		/* workers that exist: slots 1..n_started */
	unsigned int n_cpus;		/* that it may use; with more threads than that nobody spins */
	_Atomic uint64_t spin;
	struct pool_slot *slots;
	struct pool_domain *domains;
	struct z5_mask caller_mask;
	/* Written by the caller before it bumps start, read by the workers after. */
	z5_work_fn fn;			/* NULL: leave */
	void *arg;
	_Alignas(POOL_LINE) atomic_uint domains_arrived;
	_Alignas(POOL_LINE) atomic_bool busy;
};

static void pool_futex(atomic_uint *word, int op, unsigned int val)
{
	/* Every caller looks at the word again, whatever the outcome. */
	syscall(SYS_futex, word, op | FUTEX_PRIVATE_FLAG, val, NULL, NULL, 0);
}

static bool pool_moved(atomic_uint *word, unsigned int seen)
{
	return (atomic_load_explicit(word, memory_order_acquire) & ~POOL_SLEEPER) != seen;
}

/* Returns when the word is no longer at seen; sleeps after so many ticks. */
static void pool_wait(atomic_uint *word, unsigned int seen, uint64_t spin)
{
	unsigned int i, v;
	uint64_t since;

	if (spin) {
		since = __rdtsc();
		do {
			for (i = 0; i < 16; i++) {
				if (pool_moved(word, seen))
					return;
				_mm_pause();
			}
		} while (__rdtsc() - since < spin);
	}
	/*
	 * No sched_yield(2) in between: next to a busy process of somebody else it gives away a
	 * whole time slice, where a sleeper is back at once. Measured with a busy loop on one of
	 * two cores: 500 barriers a second with two yields, 29,000 to 86,000 without.
	 */
	while (!pool_moved(word, seen)) {
		v = seen;
		if (atomic_compare_exchange_strong(word, &v, seen | POOL_SLEEPER) ||
		    v == (seen | POOL_SLEEPER))
			pool_futex(word, FUTEX_WAIT, seen | POOL_SLEEPER);
	}
}

static void pool_bump(atomic_uint *word)
{
	unsigned int next;

	/* Nobody else bumps it now; only the sleeper bit may change under us. */
	next = (atomic_load_explicit(word, memory_order_relaxed) & ~POOL_SLEEPER) + 2;
	if (atomic_exchange(word, next) & POOL_SLEEPER)
		pool_futex(word, FUTEX_WAKE, INT_MAX);
}

static unsigned int pool_value(atomic_uint *word)
{
	return atomic_load_explicit(word, memory_order_relaxed) & ~POOL_SLEEPER;
}

static uint64_t pool_spin(struct z5_pool *p)
{
	return atomic_load_explicit(&p->spin, memory_order_relaxed);
}

static void pool_release(struct z5_pool *p)
{
	unsigned int i;

	/* The exchanges below cannot overlap each other; fetching the lines can. */
	for (i = p->n_domains - 1; i > 0; i--)
		__builtin_prefetch(&p->domains[i].gen, 1);
	/*
	 * The caller's domain, number 0, comes last. Workers do not wait at the end of a run: were
	 * the caller let go first, it could start the next one, and a worker would take the bump
	 * of its domain that is still to come for that of its next barrier.
	 */
	for (i = p->n_domains; i-- > 0;)
		if (p->domains[i].n)
			pool_bump(&p->domains[i].gen);
}

static void pool_arrive(struct z5_pool *p, struct pool_domain *d)
{
	/* Read before arriving: afterwards the run may be over, and the next one of other threads. */
	const unsigned int n = d->n, n_domains = p->n_active_domains;

	/* The counters go back to zero before the release, which nobody can overtake. */
	if (atomic_fetch_add(&d->arrived, 1) + 1 != n)
		return;
	atomic_store_explicit(&d->arrived, 0, memory_order_relaxed);
	if (n_domains > 1) {
		if (atomic_fetch_add(&p->domains_arrived, 1) + 1 != n_domains)
			return;
		atomic_store_explicit(&p->domains_arrived, 0, memory_order_relaxed);
	}
	pool_release(p);
}

static void pool_meet(struct z5_pool *p, struct pool_domain *d)
{
	/* Read before arriving: afterwards the last one may already have bumped it. */
	unsigned int seen = pool_value(&d->gen);

	pool_arrive(p, d);
	pool_wait(&d->gen, seen, pool_spin(p));
}

void z5_barrier(const struct z5_thread *t)
{
	/* the first member of its slot */
	pool_meet(t->pool, ((const struct pool_slot *)t)->domain);
}

static bool pool_pin(int cpu)
{
	struct z5_mask mask;

	if (cpu < 0 || cpu >= Z5_MASK_CPUS)
		return false;
	CPU_ZERO_S(sizeof(mask), mask.set);
	CPU_SET_S(cpu, sizeof(mask), mask.set);
	return !sched_setaffinity(0, sizeof(mask), mask.set);
}

/* Pins the calling thread as thread 0, and says whether there is a mask to go back to. */
static bool pool_pin_caller(struct z5_pool *p)
{
	struct z5_mask *mask = &p->caller_mask;

	if (p->slots[0].t.cpu.cpu < 0 ||
	    sched_getaffinity(0, sizeof(*mask), mask->set) < 0)
		return false;
	return pool_pin(p->slots[0].t.cpu.cpu);
}

static void pool_unpin_caller(struct z5_pool *p)
{
	/* Refused only if the cpuset has moved away meanwhile; then we are where it put us. */
	sched_setaffinity(0, sizeof(p->caller_mask), p->caller_mask.set);
}

static void *pool_worker(void *arg)
{
	struct pool_slot *s = arg;
	struct z5_pool *p = s->t.pool;
	unsigned int seen = 0;
	char name[16];

	snprintf(name, sizeof(name), "zen5rt-%u", s->t.i);
	pthread_setname_np(pthread_self(), name);
	if (!pool_pin(s->t.cpu.cpu))
		s->t.cpu.cpu = -1;
	_mm_setcsr(POOL_MXCSR);
	pool_arrive(p, s->domain);

	for (;;) {
		unsigned int back;
		bool leaves;

		pool_wait(&s->domain->start, seen, pool_spin(p));
		seen += 2;
		if (!p->fn)
			return NULL;
		leaves = s->leaves;
		back = pool_value(&s->back);
		p->fn(&s->t, p->arg);
		pool_arrive(p, s->domain);
		if (leaves) {
			pool_wait(&s->back, back, 0);
			seen = s->seen;
		}
	}
}

static void pool_start(struct z5_pool *p, z5_work_fn fn, void *arg)
{
	unsigned int i;

	p->fn = fn;
	p->arg = arg;
	for (i = 1; i < p->n_domains; i++)
		__builtin_prefetch(&p->domains[i].start, 1);
	for (i = 0; i < p->n_domains; i++)
		if (p->domains[i].n)
			pool_bump(&p->domains[i].start);
}

static void pool_nothing(const struct z5_thread *t, void *arg)
{
	(void)t;
	(void)arg;
}

/* Threads of domain d that are to take part. */
static unsigned int pool_wanted(const struct z5_pool *p, const unsigned int *counts, unsigned int d)
{
	unsigned int n = counts ? counts[d] : p->domains[d].all;

	n = n < p->domains[d].all ? n : p->domains[d].all;
	return d || n ? n : 1;		/* the caller is in the first one */
}

/* Between runs: sets who takes part in those to come. */
static void pool_choose(struct z5_pool *p, const unsigned int *counts)
{
	bool leaves = false, same = true;
	unsigned int i, d, n;

	for (d = 0; d < p->n_domains; d++) {
		n = pool_wanted(p, counts, d);
		leaves |= n < p->domains[d].n;
		same &= n == p->domains[d].n;
	}
	if (same)
		return;
	for (i = 1; i < p->n; i++) {
		struct pool_slot *s = &p->slots[i];

		s->leaves = s->rank >= pool_wanted(p, counts, (unsigned int)(s->domain - p->domains));
	}
	if (leaves) {
		pool_start(p, pool_nothing, NULL);
		pool_meet(p, p->slots[0].domain);
	}
	p->n_active = p->n_active_domains = 0;
	for (i = 0; i < p->n; i++) {
		struct pool_slot *s = &p->slots[i];

		if (i && s->leaves)
			continue;
		s->t.i = p->n_active++;
		if (s->rank >= s->domain->n) {
			s->seen = pool_value(&s->domain->start);
			pool_bump(&s->back);
		}
	}
	for (i = 0; i < p->n; i++)
		p->slots[i].t.n = p->n_active;
	for (d = 0; d < p->n_domains; d++) {
		p->domains[d].n = pool_wanted(p, counts, d);
		p->n_active_domains += p->domains[d].n > 0;
	}
	atomic_store_explicit(&p->spin, p->n_active > p->n_cpus ? 0 : POOL_SPIN, memory_order_relaxed);
}

int z5_pool_run(struct z5_pool *p, z5_work_fn fn, void *arg)
{
	return z5_pool_run_on(p, NULL, fn, arg);
}

int z5_pool_run_on(struct z5_pool *p, const unsigned int *counts, z5_work_fn fn, void *arg)
{
	struct pool_slot *s = &p->slots[0];
	unsigned int mxcsr;
	bool pinned;

	if (atomic_exchange(&p->busy, true))
		return -EBUSY;
	pool_choose(p, counts);
	pool_start(p, fn, arg);
	pinned = pool_pin_caller(p);
	mxcsr = _mm_getcsr();
	_mm_setcsr(POOL_MXCSR);
	fn(&s->t, arg);
	pool_meet(p, s->domain);
	_mm_setcsr(mxcsr);
	if (pinned)
		pool_unpin_caller(p);
	atomic_store(&p->busy, false);
	return 0;
}

unsigned int z5_pool_n(const struct z5_pool *p)
{
	return p->n;
}

unsigned int z5_pool_domains(const struct z5_pool *p)
{
	return p->n_domains;
}

unsigned int z5_pool_domain(const struct z5_pool *p, unsigned int d, unsigned int *l3)
{
	if (d >= p->n_domains)
		return 0;
	if (l3)
		*l3 = p->domains[d].l3;
	return p->domains[d].all;
}

const struct z5_thread *z5_pool_thread(const struct z5_pool *p, unsigned int i)
{
	return i < p->n ? &p->slots[i].t : NULL;
}

void z5_pool_free(struct z5_pool *p)
{
	unsigned int i;

	if (!p)
		return;
	if (p->n_started + 1 == p->n)
		pool_choose(p, NULL);
	pool_start(p, NULL, NULL);
	for (i = 1; i <= p->n_started; i++)
		pthread_join(p->slots[i].pthread, NULL);
	free(p->slots);
	free(p->domains);
	free(p);
}

static void *pool_zalloc(size_t n, size_t size)
{
	size_t bytes;
	void *mem;

	/* size is a multiple of its alignment, as aligned_alloc() wants it. */
	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	mem = aligned_alloc(POOL_LINE, bytes);
	return mem ? memset(mem, 0, bytes) : NULL;
}

/* Domains are dense among the threads placed, which may leave out an L3 of the machine. */
static void pool_assign_domains(struct z5_pool *p)
{
	struct pool_slot *s;
	unsigned int i, k;

	for (i = 0; i < p->n; i++) {
		s = &p->slots[i];
		for (k = 0; k < i && p->slots[k].t.cpu.l3 != s->t.cpu.l3; k++)
			;
		s->domain = k < i ? p->slots[k].domain : &p->domains[p->n_domains++];
		s->domain->l3 = (unsigned int)s->t.cpu.l3;
		s->rank = s->domain->all++;
	}
	for (i = 0; i < p->n_domains; i++)
		p->domains[i].n = p->domains[i].all;
	p->n_active = p->n;
	p->n_active_domains = p->n_domains;
}

/* With more threads than CPUs the one that we wait for may need the CPU that we would spin on. */
static unsigned int pool_cpus(const struct z5_topo *topo)
{
	unsigned int n = topo->n_cpus;
	struct z5_mask mask;

	if (topo->quota && topo->quota < n)
		n = topo->quota;
	if (sched_getaffinity(0, sizeof(mask), mask.set) >= 0 &&
	    (unsigned int)CPU_COUNT_S(sizeof(mask), mask.set) < n)
		n = (unsigned int)CPU_COUNT_S(sizeof(mask), mask.set);
	return n;
}

static int pool_spawn(struct z5_pool *p)
{
	unsigned int i;
	pthread_attr_t attr;
	sigset_t all, old;
	int ret;

	ret = pthread_attr_init(&attr);
	if (ret)
		return -ret;
	pthread_attr_setstacksize(&attr, POOL_STACK);

	/* What a thread brings upon itself must still reach a handler of the program's. */
	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGTRAP);
	sigdelset(&all, SIGSYS);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	for (i = 1; i < p->n && !ret; i++) {
		ret = pthread_create(&p->slots[i].pthread, &attr, pool_worker, &p->slots[i]);
		if (!ret)
			p->n_started = i;
	}
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	pthread_attr_destroy(&attr);
	return -ret;
}

static struct z5_pool *pool_alloc(const struct z5_topo *topo, unsigned int n, bool pin)
{
	const struct z5_cpu **cpus;
	struct z5_pool *p;
	unsigned int i;

	p = pool_zalloc(1, sizeof(*p));
	cpus = calloc(n, sizeof(*cpus));
	if (!p || !cpus)
		goto err_free;
	p->slots = pool_zalloc(n, sizeof(*p->slots));
	p->domains = pool_zalloc(n, sizeof(*p->domains));
	if (!p->slots || !p->domains)
		goto err_free;

	p->n = n;
	z5_topo_place(topo, n, cpus);
	for (i = 0; i < n; i++)
		p->slots[i].t = (struct z5_thread){ i, n, p, *cpus[i] };
	pool_assign_domains(p);
	for (i = 0; i < n && !pin; i++)
		p->slots[i].t.cpu.cpu = -1;
	p->n_cpus = pool_cpus(topo);
	p->spin = n > p->n_cpus ? 0 : POOL_SPIN;
	free(cpus);
	return p;

err_free:
	if (p) {
		free(p->slots);
		free(p->domains);
	}
	free(p);
	free(cpus);
	return NULL;
}

int z5_pool_new(const struct z5_topo *topo, unsigned int n, bool pin, struct z5_pool **out,
		struct zen5rt_error *err)
{
	struct z5_pool *p;
	int ret;

	if (!n)
		n = z5_topo_place(topo, 0, NULL);
	if (n > Z5_POOL_MAX)
		return z5_fail(err, -EINVAL, "%u threads asked for, at most %u possible", n,
			       Z5_POOL_MAX);
	p = pool_alloc(topo, n, pin);
	if (!p)
		return z5_fail(err, -ENOMEM, "no memory for a pool of %u threads", n);

	ret = pool_spawn(p);
	if (ret) {
		z5_fail(err, ret, "thread %u of %u cannot be created: %s (limits: ulimit -u "
			"and -v, pids.max of the cgroup)", p->n_started + 1, n, strerror(-ret));
		z5_pool_free(p);
		return ret;
	}
	/* Once all have arrived, what they say about where they are pinned may be read. */
	pool_meet(p, p->slots[0].domain);
	if (pool_pin_caller(p))
		pool_unpin_caller(p);
	else
		p->slots[0].t.cpu.cpu = -1;
	*out = p;
	return 0;
}
