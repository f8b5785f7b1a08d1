// SPDX-License-Identifier: GPL-2.0-only
/* What regions may take: of the machine (max_gib) and of a user (RLIMIT_MEMLOCK). */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/module.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

#include "zen5mem.h"

static unsigned int z5m_max_gib;
module_param_named(max_gib, z5m_max_gib, uint, 0644);
MODULE_PARM_DESC(max_gib, "GiB that all regions and the reserve together may have (default 0: three quarters of the memory)");

/*
 * used is what regions have. What the machine is without is held: the reserve, in use or not, and
 * what regions have from elsewhere. The limit is for both.
 */
static DEFINE_SPINLOCK(z5m_account_lock);
static u64 z5m_account_used, z5m_account_held;
static atomic64_t z5m_account_nodes[MAX_NUMNODES];

u64 z5m_max_bytes(void)
{
	return z5m_rules_max_bytes(READ_ONCE(z5m_max_gib), (u64)totalram_pages() << PAGE_SHIFT);
}

u64 z5m_used_bytes(void)
{
	u64 used;

	spin_lock(&z5m_account_lock);
	used = z5m_account_used;
	spin_unlock(&z5m_account_lock);
	return used;
}

void z5m_node_used_add(int nid, s64 bytes)
{
	atomic64_add(bytes, &z5m_account_nodes[nid]);
}

u64 z5m_node_used(int nid)
{
	return atomic64_read(&z5m_account_nodes[nid]);
}

static int z5m_charge_machine(u64 bytes)
{
	int ret;

	spin_lock(&z5m_account_lock);
	ret = z5m_rules_limit(z5m_account_used, bytes, z5m_max_bytes());
	if (!ret)
		z5m_account_used += bytes;
	spin_unlock(&z5m_account_lock);
	return ret;
}

static void z5m_uncharge_machine(u64 bytes)
{
	spin_lock(&z5m_account_lock);
	z5m_account_used -= bytes;
	spin_unlock(&z5m_account_lock);
}

int z5m_hold(u64 bytes)
{
	int ret;

	spin_lock(&z5m_account_lock);
	ret = z5m_rules_limit(z5m_account_held, bytes, z5m_max_bytes());
	if (!ret)
		z5m_account_held += bytes;
	spin_unlock(&z5m_account_lock);
	return ret;
}

void z5m_unhold(u64 bytes)
{
	spin_lock(&z5m_account_lock);
	z5m_account_held -= bytes;
	spin_unlock(&z5m_account_lock);
}

bool z5m_can_hold(u64 bytes)
{
	bool fits;

	spin_lock(&z5m_account_lock);
	fits = !z5m_rules_limit(z5m_account_held, bytes, z5m_max_bytes());
	spin_unlock(&z5m_account_lock);
	return fits;
}

/* The same counter as io_uring and perf use, so that they share one limit. */
static int z5m_charge_user(struct user_struct *user, unsigned long pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK), old;

	old = atomic_long_read(&user->locked_vm);
	if (limit != RLIM_INFINITY)
		limit >>= PAGE_SHIFT;
	do {
		if (old > limit || pages > limit - old)
			return -EPERM;
	} while (!atomic_long_try_cmpxchg(&user->locked_vm, &old, old + pages));
	return 0;
}

int z5m_charge(struct z5m_charge *c, u64 bytes)
{
	int ret;

	ret = z5m_charge_machine(bytes);
	if (ret)
		return ret;
	*c = (struct z5m_charge){ .bytes = bytes };
	if (capable(CAP_IPC_LOCK))
		return 0;
	ret = z5m_charge_user(current_user(), bytes >> PAGE_SHIFT);
	if (ret) {
		z5m_uncharge_machine(bytes);
		return ret;
	}
	c->user = get_uid(current_user());
	return 0;
}

void z5m_uncharge(struct z5m_charge *c)
{
	if (c->user) {
		atomic_long_sub(c->bytes >> PAGE_SHIFT, &c->user->locked_vm);
		free_uid(c->user);
	}
	z5m_uncharge_machine(c->bytes);
}
