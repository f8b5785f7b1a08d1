// SPDX-License-Identifier: MIT
#include "runtime.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clock.h"
#include "error.h"
#include "mem/region.h"

const char *zen5rt_version(void)
{
	return Z5_VERSION;
}

void zen5rt_params_init(struct zen5rt_params *params)
{
	memset(params, 0, sizeof(*params));
	params->size = sizeof(*params);
	params->pin = true;
}

double z5_now(void)
{
	return (double)z5_now_ns() * 1e-9;
}

void z5_log(const struct zen5rt *rt, enum zen5rt_log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;

	if (!rt->params.log)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	rt->params.log(rt->params.user, level, line);
}

int z5_progress(const struct zen5rt *rt, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	if (rt->params.progress && rt->params.progress(rt->params.user, stage, done, total))
		return -ECANCELED;
	return 0;
}

int z5_enter(struct zen5rt *rt, struct zen5rt_error *err)
{
	if (atomic_exchange(&rt->busy, true))
		return z5_fail(err, -EBUSY, "another thread is inside this runtime");
	return 0;
}

void z5_leave(struct zen5rt *rt)
{
	atomic_store(&rt->busy, false);
}

/* Number of the level that params, else the environment, asks for. */
static int runtime_level(const char *name, unsigned int *level, struct zen5rt_error *err)
{
	const char *whose = "level";
	unsigned int best = z5_level_best();

	if (!name) {
		name = getenv("ZEN5RT_LEVEL");
		whose = "ZEN5RT_LEVEL";
	}
	if (!name || !*name) {
		*level = best;
		return 0;
	}
	for (unsigned int i = 0; i < Z5_N_LEVELS; i++) {
		if (strcmp(name, z5_level_names[i]))
			continue;
		if (i > best)
			return z5_fail(err, -ENOTSUP, "%s=%s: this CPU has no more than %s", whose,
				       name, z5_level_names[best]);
		*level = i;
		return 0;
	}
	return z5_fail(err, -EINVAL, "%s=%.32s: unknown, take one of scalar, avx2, avx512vnni",
		       whose, name);
}

int zen5rt_open(const struct zen5rt_params *params, struct zen5rt **out, struct zen5rt_error *err)
{
	struct zen5rt_cpu_info cpu;
	struct zen5rt_error cap_err;
	struct zen5rt_params p;
	struct zen5rt *rt;
	unsigned int level = 0;
	int ret;

	zen5rt_params_init(&p);
	if (params) {
		if (params->size < sizeof(size_t) || params->size > sizeof(p))
			return z5_fail(err, -EINVAL, "zen5rt_params: size %zu is not of this version",
				       params->size);
		memcpy(&p, params, params->size);
	}
	if (p.n_threads > 1024)
		return z5_fail(err, -EINVAL, "%u threads: at most 1024", p.n_threads);
	if (!(p.bandwidth_budget >= 0) || (p.bandwidth_budget > 0 && !(p.bandwidth_budget >= 1e6)))
		return z5_fail(err, -EINVAL, "bandwidth budget of %g bytes a second: at least 1e6", p.bandwidth_budget);
	if (!(p.cap_others >= 0))
		return z5_fail(err, -EINVAL, "others capped to %g bytes a second: a positive number", p.cap_others);
	ret = runtime_level(p.level, &level, err);
	if (ret)
		return ret;
	rt = calloc(1, sizeof(*rt));
	if (!rt)
		return z5_fail(err, -ENOMEM, "out of memory");
	rt->params = p;
	z5_kernels_init(&rt->k, level);
	ret = z5_govern_cap(&rt->govern, p.cap_others, &cap_err);
	if (ret && p.cap_others > 0) {
		z5_fail(err, ret, "%s", cap_err.message);
		goto err_govern;
	}
	/* what an earlier run has left is no reason not to run */
	if (ret)
		z5_log(rt, ZEN5RT_LOG_WARNING, "%s", cap_err.message);
	ret = z5_topo_read("", &rt->topo, err);
	if (ret)
		goto err_govern;
	ret = z5_pool_new(&rt->topo, p.n_threads, p.pin, &rt->pool, err);
	if (ret)
		goto err_topo;
	ret = z5_govern_open(&rt->govern, &p, rt->pool, err);
	if (ret)
		goto err_pool;
	zen5rt_cpu_info(&cpu);
	z5_log(rt, ZEN5RT_LOG_INFO, "level %s on %s, %s", rt->k.level, *cpu.brand ? cpu.brand : "a CPU without a name",
	       cpu.zen5 ? "a Zen 5" : "not a Zen 5: runs all the same");
	*out = rt;
	return 0;

err_pool:
	z5_pool_free(rt->pool);
err_topo:
	z5_topo_free(&rt->topo);
err_govern:
	z5_govern_close(&rt->govern);
	free(rt);
	return ret;
}

void zen5rt_close(struct zen5rt *rt)
{
	if (!rt)
		return;
	z5_govern_close(&rt->govern);
	z5_pool_free(rt->pool);
	z5_topo_free(&rt->topo);
	free(rt);
}

const char *zen5rt_level(const struct zen5rt *rt)
{
	return rt->k.level;
}

unsigned int zen5rt_n_threads(const struct zen5rt *rt)
{
	return z5_pool_n(rt->pool);
}

int zen5rt_thread_info(const struct zen5rt *rt, unsigned int i, struct zen5rt_thread_info *info)
{
	const struct z5_thread *t;

	if (i >= z5_pool_n(rt->pool))
		return -EINVAL;
	t = z5_pool_thread(rt->pool, i);
	info->cpu = t->cpu.cpu;
	info->core = t->cpu.core;
	info->l3 = t->cpu.l3;
	info->node = t->cpu.node;
	info->l3_bytes = t->cpu.l3 >= 0 && (unsigned int)t->cpu.l3 < rt->topo.n_l3s ?
			 rt->topo.l3s[t->cpu.l3].bytes : 0;
	return 0;
}

void zen5rt_throttle_info(const struct zen5rt *rt, struct zen5rt_throttle_info *info)
{
	z5_govern_info(&rt->govern, info);
}

/* ---- read bandwidth ---- */

struct bandwidth {
	const struct zen5rt *rt;
	uint8_t *p;
	size_t size;
	bool fill;
	double best;		/* seconds of the fastest pass; thread 0's */
	double until;
	bool stop;		/* thread 0 decides, all read it after the barrier */
	_Atomic uint64_t sink;
};

static void bandwidth_run(const struct z5_thread *t, void *arg)
{
	struct bandwidth *b = arg;
	uint64_t from, to, x = 0;

	z5_split(t, b->size / 4096, &from, &to);
	from *= 4096;
	to *= 4096;
	if (b->fill)
		memset(b->p + from, 1, to - from);
	do {
		/* Ahead of the barrier: with few CPUs others may have read before thread 0 goes on behind it. */
		const double start = t->i ? 0 : z5_now();

		z5_barrier(t);
		x ^= b->rt->k.read(b->p + from, to - from);
		z5_barrier(t);
		if (t->i == 0) {
			double now = z5_now();

			if (now - start < b->best)
				b->best = now - start;
			b->stop = now >= b->until;
		}
		z5_barrier(t);
	} while (!b->stop);
	atomic_fetch_xor(&b->sink, x);
}

static double bandwidth_of(struct zen5rt *rt, struct bandwidth *b)
{
	b->until = z5_now() + 0.4;
	z5_pool_run(rt->pool, bandwidth_run, b);
	return (double)b->size / b->best;
}

int zen5rt_read_bandwidth(struct zen5rt *rt, double *bytes_per_s, struct zen5rt_error *err)
{
	struct bandwidth b = { .rt = rt, .best = 1e9 };
	struct z5_region r = { 0 };
	uint64_t l3 = 0, avail = z5_mem_available();
	int ret;

	/* far more than the caches can hold, or the caches would be measured */
	for (unsigned int i = 0; i < rt->topo.n_l3s; i++)
		l3 += rt->topo.l3s[i].bytes;
	b.size = l3 * 4 > 256u << 20 ? l3 * 4 : 256u << 20;
	if (b.size > avail / 4)
		b.size = avail / 4;
	b.size &= ~(size_t)0x1fffff;
	if (b.size < 32u << 20)
		return z5_fail(err, -ENOMEM, "read bandwidth: too little free memory to measure");
	ret = z5_enter(rt, err);
	if (ret)
		return ret;
	ret = z5_region_alloc(&r, "bandwidth", b.size, Z5_PAGE_2M, err);
	if (!ret) {
		b.p = r.addr;
		b.fill = true;
		*bytes_per_s = bandwidth_of(rt, &b);
		z5_region_free(&r);
	}
	z5_leave(rt);
	return ret;
}

int z5_read_bandwidth_of(struct zen5rt *rt, void *p, size_t size, double *bytes_per_s, struct zen5rt_error *err)
{
	struct bandwidth b = { .rt = rt, .best = 1e9, .p = p, .size = size & ~(size_t)4095 };
	int ret = z5_enter(rt, err);

	if (ret)
		return ret;
	*bytes_per_s = bandwidth_of(rt, &b);
	z5_leave(rt);
	return 0;
}

/* ---- compute peak ---- */

struct peak {
	z5_peak_fn fn;
	_Atomic uint64_t sink;
	double ops[Z5_POOL_MAX];	/* a second, the best of each thread */
};

#define PEAK_TURN	0.005
#define PEAK_TIME	0.2

static void peak_run(const struct z5_thread *t, void *arg)
{
	struct peak *p = arg;
	double begin = z5_now(), now, start;
	uint64_t rounds = 1000, ops, x = 0;

	z5_barrier(t);
	do {
		start = z5_now();
		x ^= p->fn(rounds, &ops);
		now = z5_now();
		if (now - start < PEAK_TURN) {
			rounds *= 2;
			continue;
		}
		if ((double)ops / (now - start) > p->ops[t->i])
			p->ops[t->i] = (double)ops / (now - start);
	} while (now - begin < PEAK_TIME);
	atomic_fetch_xor(&p->sink, x);
}

static double peak_of(struct zen5rt *rt, struct peak *p, z5_peak_fn fn)
{
	const unsigned int n = z5_pool_n(rt->pool);
	double sum = 0;

	if (!fn)
		return 0;
	memset(p->ops, 0, sizeof(p->ops));
	p->fn = fn;
	z5_pool_run(rt->pool, peak_run, p);
	for (unsigned int i = 0; i < n; i++)
		sum += p->ops[i];
	/* each thread's best is that of a whole CPU, which more threads than CPUs share */
	return n > rt->topo.n_cpus ? sum * rt->topo.n_cpus / n : sum;
}

int zen5rt_compute_peak(struct zen5rt *rt, struct zen5rt_peak *peak, struct zen5rt_error *err)
{
	struct peak *p = calloc(1, sizeof(*p));
	int ret;

	if (!p)
		return z5_fail(err, -ENOMEM, "out of memory");
	ret = z5_enter(rt, err);
	if (!ret) {
		peak->int8_by = rt->k.int8_by ? rt->k.int8_by : "";
		peak->int8_ops = peak_of(rt, p, rt->k.peak_int8);
		peak->f32_ops = peak_of(rt, p, rt->k.peak_f32);
		z5_leave(rt);
	}
	free(p);
	return ret;
}
