// SPDX-License-Identifier: GPL-2.0-only
/*
 * The thread that samples, while somebody reads, and the page that they read. The page is written
 * in one go, with preemption off, from sets that only the thread touches.
 */
#include <linux/anon_inodes.h>
#include <linux/capability.h>
#include <linux/file.h>
#include <linux/hrtimer.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>
#include <linux/wait.h>

#include "compat.h"
#include "zen5mem.h"

#define Z5M_INTERVAL_MIN	1000
#define Z5M_INTERVAL_MAX	10000000

static unsigned int z5m_interval_us = 10000;
module_param_named(interval_us, z5m_interval_us, uint, 0444);
MODULE_PARM_DESC(interval_us, "time between samples of the counters, 1000 to 10000000 (default 10000)");

static bool z5m_perfmon;
module_param_named(counters_perfmon, z5m_perfmon, bool, 0644);
MODULE_PARM_DESC(counters_perfmon, "counters need CAP_PERFMON (default N: whoever may open the device)");

/* How long after a dump the thread goes on, so that who dumps once a second gets rates. */
#define Z5M_GRACE_US	(2 * USEC_PER_SEC)

struct z5m_reader {
	struct list_head list;
	u32 interval_us;	/* 0: the default */
};

static DEFINE_SPINLOCK(z5m_readers_lock);
static LIST_HEAD(z5m_readers);
static unsigned int z5m_n_readers;
static u64 z5m_grace_until;	/* ns, monotonic */

/* The sets, by the thread and by who dumps. */
static DEFINE_MUTEX(z5m_sets_lock);
static struct z5m_sets *z5m_sets;
static u64 z5m_sampled_ns;

static struct task_struct *z5m_thread;
static struct z5m_counters *z5m_page;
static DECLARE_WAIT_QUEUE_HEAD(z5m_sampled);
static u64 z5m_samples;		/* under z5m_sets_lock */
static bool z5m_sampling;	/* the thread has its events */

/* ---- the page ---- */

#define Z5M_PAGE_DOMAINS	ALIGN(sizeof(struct z5m_counters), 64)
#define Z5M_PAGE_CHANNELS	(Z5M_PAGE_DOMAINS + \
				 Z5M_COUNTERS_DOMAINS * sizeof(struct z5m_counter_domain))
#define Z5M_PAGE_PORTS		(Z5M_PAGE_CHANNELS + \
				 Z5M_COUNTERS_CHANNELS * sizeof(struct z5m_counter_channel))
#define Z5M_PAGE_END		(Z5M_PAGE_PORTS + \
				 Z5M_COUNTERS_PORTS * sizeof(struct z5m_counter_port))
static_assert(Z5M_PAGE_END <= Z5M_COUNTERS_BYTES);

static void z5m_page_init(void)
{
	*z5m_page = (struct z5m_counters){
		.magic = Z5M_COUNTERS_MAGIC,
		.version = Z5M_COUNTERS_VERSION,
		.header_size = sizeof(struct z5m_counters),
		.interval_us = z5m_interval_us,
		.domain_offset = Z5M_PAGE_DOMAINS,
		.domain_size = sizeof(struct z5m_counter_domain),
		.channel_offset = Z5M_PAGE_CHANNELS,
		.channel_size = sizeof(struct z5m_counter_channel),
		.port_offset = Z5M_PAGE_PORTS,
		.port_size = sizeof(struct z5m_counter_port),
	};
}

/* What entries of domains, channels and ports have in common: all but the number of counters. */
struct z5m_page_entry {
	u32 id;
	s32 cpu;
	struct z5m_counter counter[];
};

static void z5m_page_sets(u32 offset, u32 size, const struct z5m_set *s, unsigned int n)
{
	unsigned int i, k;

	for (i = 0; i < n; i++, s++) {
		struct z5m_page_entry *e = (void *)z5m_page + offset + i * size;

		e->id = s->id;
		e->cpu = s->cpu;
		for (k = 0; k < s->n; k++) {
			const struct z5m_tally *t = &s->tally[k];

			e->counter[k] = (struct z5m_counter){
				.total = t->total,
				.state = t->state,
				.error = t->error,
				.glitches = t->glitches,
				.renewals = t->renewals,
			};
		}
	}
}

static void z5m_page_write(const struct z5m_sets *s, u64 now, u32 interval_us, u64 cost_ns,
			   bool late)
{
	u32 seq = z5m_page->seq;

	/* Readers spin while seq is odd: nobody may come between. */
	preempt_disable();
	WRITE_ONCE(z5m_page->seq, seq + 1);
	smp_wmb();	/* readers: odd before anything else changes */
	z5m_page->flags = s->mock ? Z5M_COUNTERS_MOCK : 0;
	z5m_page->interval_us = interval_us;
	z5m_page->ts_ns = now;
	z5m_page->samples++;
	z5m_page->late += late;
	z5m_page->cost_ns = cost_ns;
	z5m_page->n_domains = s->n_domains;
	z5m_page->n_channels = s->n_channels;
	z5m_page->n_ports = s->n_ports;
	memcpy(z5m_page->source, s->source, sizeof(z5m_page->source));
	z5m_page_sets(Z5M_PAGE_DOMAINS, sizeof(struct z5m_counter_domain), s->domain, s->n_domains);
	z5m_page_sets(Z5M_PAGE_CHANNELS, sizeof(struct z5m_counter_channel), s->channel,
		      s->n_channels);
	z5m_page_sets(Z5M_PAGE_PORTS, sizeof(struct z5m_counter_port), s->port, s->n_ports);
	smp_wmb();	/* readers: even after everything has changed */
	WRITE_ONCE(z5m_page->seq, seq + 2);
	preempt_enable();
}

/* ---- the thread ---- */

/* Time between samples, 0: nobody reads. */
static u32 z5m_wanted_us(void)
{
	struct z5m_reader *r;
	u32 us = 0;

	spin_lock(&z5m_readers_lock);
	if (ktime_get_ns() < z5m_grace_until)
		us = min_t(u32, z5m_interval_us, Z5M_GRACE_US);
	list_for_each_entry(r, &z5m_readers, list) {
		u32 own = r->interval_us ?: z5m_interval_us;

		us = us ? min(us, own) : own;
	}
	spin_unlock(&z5m_readers_lock);
	return us;
}

static void z5m_sample(u32 us, u64 due)
{
	u64 start = ktime_get_ns(), ns;
	static u64 cost;

	mutex_lock(&z5m_sets_lock);
	if (!z5m_sampling) {
		z5m_sets_open(z5m_sets);
		z5m_sampling = true;
		z5m_sampled_ns = 0;
	} else {
		z5m_sets_mend(z5m_sets);
	}
	z5m_sets_read(z5m_sets);
	ns = z5m_sampled_ns ? start - z5m_sampled_ns : 0;
	z5m_sampled_ns = start;
	z5m_samples++;
	cost += ktime_get_ns() - start;
	z5m_page_write(z5m_sets, start, us, cost, start > due + (u64)us * NSEC_PER_USEC);
	mutex_unlock(&z5m_sets_lock);
	wake_up_all(&z5m_sampled);
	if (ns)
		z5m_netlink_thresholds(z5m_sets, ns);
}

static void z5m_sampling_stop(void)
{
	mutex_lock(&z5m_sets_lock);
	if (z5m_sampling)
		z5m_sets_close(z5m_sets);
	z5m_sampling = false;
	mutex_unlock(&z5m_sets_lock);
}

static int z5m_thread_fn(void *unused)
{
	u64 due = 0, now;
	ktime_t at;
	u32 us;

	while (!kthread_should_stop()) {
		us = z5m_wanted_us();
		if (!us) {
			z5m_sampling_stop();
			due = 0;
			set_current_state(TASK_IDLE);
			if (!z5m_wanted_us() && !kthread_should_stop())
				schedule();
			__set_current_state(TASK_RUNNING);
			continue;
		}
		now = ktime_get_ns();
		/* the first one, one after a shorter interval, or far behind */
		if (!due || due > now + (u64)us * NSEC_PER_USEC || due + NSEC_PER_SEC < now)
			due = now;
		if (due <= now) {
			z5m_sample(us, due);
			due += (u64)us * NSEC_PER_USEC;
		}
		/* whoever changes what is wanted wakes the thread afterwards */
		set_current_state(TASK_IDLE);
		at = ns_to_ktime(due);
		if (z5m_wanted_us() == us && !kthread_should_stop())
			schedule_hrtimeout(&at, HRTIMER_MODE_ABS);
		__set_current_state(TASK_RUNNING);
	}
	z5m_sampling_stop();
	return 0;
}

/* ---- who reads ---- */

bool z5m_counters_permitted(void)
{
	return !READ_ONCE(z5m_perfmon) || perfmon_capable();
}

static int z5m_counters_mmap(struct file *file, struct vm_area_struct *vma)
{
	if (vma->vm_flags & (VM_WRITE | VM_EXEC))
		return -EACCES;
	vm_flags_clear(vma, VM_MAYWRITE | VM_MAYEXEC);
	return remap_vmalloc_range(vma, z5m_page, vma->vm_pgoff);
}

static int z5m_counters_release(struct inode *inode, struct file *file)
{
	struct z5m_reader *r = file->private_data;

	spin_lock(&z5m_readers_lock);
	list_del(&r->list);
	z5m_n_readers--;
	spin_unlock(&z5m_readers_lock);
	kfree(r);
	wake_up_process(z5m_thread);
	return 0;
}

static const struct file_operations z5m_counters_fops = {
	.owner = THIS_MODULE,
	.mmap = z5m_counters_mmap,
	.release = z5m_counters_release,
	.llseek = noop_llseek,
};

struct file *z5m_counters_file(const struct z5m_counters_open *o)
{
	struct z5m_reader *r;
	struct file *file;

	if (o->interval_us &&
	    (o->interval_us < Z5M_INTERVAL_MIN || o->interval_us > Z5M_INTERVAL_MAX))
		return ERR_PTR(-EINVAL);
	if (!z5m_counters_permitted())
		return ERR_PTR(-EPERM);
	r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);
	if (!r)
		return ERR_PTR(-ENOMEM);
	r->interval_us = o->interval_us;
	file = anon_inode_getfile("[zen5mem-counters]", &z5m_counters_fops, r, O_RDONLY);
	if (IS_ERR(file)) {
		kfree(r);
		return file;
	}
	spin_lock(&z5m_readers_lock);
	list_add(&r->list, &z5m_readers);
	z5m_n_readers++;
	spin_unlock(&z5m_readers_lock);
	wake_up_process(z5m_thread);
	return file;
}

int z5m_counters_poke(void)
{
	u64 before;
	long ret;

	mutex_lock(&z5m_sets_lock);
	before = z5m_sampling ? 0 : z5m_samples + 1;
	mutex_unlock(&z5m_sets_lock);
	spin_lock(&z5m_readers_lock);
	z5m_grace_until = ktime_get_ns() + (u64)Z5M_GRACE_US * NSEC_PER_USEC;
	spin_unlock(&z5m_readers_lock);
	wake_up_process(z5m_thread);
	/* a thread that does not come by is no reason to hold up whoever asks */
	ret = wait_event_killable_timeout(z5m_sampled, READ_ONCE(z5m_samples) >= before, HZ);
	return ret < 0 ? -EINTR : 0;
}

const struct z5m_sets *z5m_counters_lock(u64 *ts_ns)
{
	mutex_lock(&z5m_sets_lock);
	*ts_ns = z5m_sampled_ns;
	return z5m_sets;
}

void z5m_counters_unlock(void)
{
	mutex_unlock(&z5m_sets_lock);
}

u32 z5m_counters_interval(void)
{
	return READ_ONCE(z5m_interval_us);
}

int z5m_counters_set_interval(u32 us)
{
	if (us < Z5M_INTERVAL_MIN || us > Z5M_INTERVAL_MAX)
		return -EINVAL;
	spin_lock(&z5m_readers_lock);
	z5m_interval_us = us;
	spin_unlock(&z5m_readers_lock);
	wake_up_process(z5m_thread);
	return 0;
}

unsigned int z5m_counters_readers(void)
{
	return READ_ONCE(z5m_n_readers);
}

int z5m_counters_init(void)
{
	int ret = -ENOMEM;

	if (z5m_interval_us < Z5M_INTERVAL_MIN || z5m_interval_us > Z5M_INTERVAL_MAX) {
		pr_err("interval_us=%u: from %u to %u\n", z5m_interval_us, Z5M_INTERVAL_MIN,
		       Z5M_INTERVAL_MAX);
		return -EINVAL;
	}
	z5m_sets = kvzalloc(sizeof(*z5m_sets), GFP_KERNEL);
	z5m_page = vmalloc_user(Z5M_COUNTERS_BYTES);
	if (!z5m_sets || !z5m_page)
		goto err_free;
	z5m_page_init();
	z5m_thread = kthread_run(z5m_thread_fn, NULL, "zen5mem");
	if (!IS_ERR(z5m_thread))
		return 0;
	ret = PTR_ERR(z5m_thread);

err_free:
	vfree(z5m_page);
	kvfree(z5m_sets);
	return ret;
}

/* There is no reader left: each holds the module. */
void z5m_counters_exit(void)
{
	kthread_stop(z5m_thread);
	vfree(z5m_page);
	kvfree(z5m_sets);
}
