// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink: dumps, settings, thresholds, events. include/uapi/linux/zen5mem_netlink.h is the
 * manual.
 */
#include <linux/capability.h>
#include <linux/cpumask.h>
#include <linux/file.h>
#include <linux/slab.h>
#include <linux/user_namespace.h>
#include <net/genetlink.h>

#include "compat.h"
#include "zen5mem.h"

static struct genl_family z5m_genl;

static const struct nla_policy z5m_genl_policy[Z5M_A_MAX + 1] = {
	[Z5M_A_DEVICE] = { .type = NLA_U32 },
	[Z5M_A_INTERVAL_US] = { .type = NLA_U32 },
	[Z5M_A_THRESHOLD] = { .type = NLA_U32 },
	[Z5M_A_QUANTITY] = { .type = NLA_U32 },
	[Z5M_A_INDEX] = { .type = NLA_U32 },
	[Z5M_A_HIGH] = { .type = NLA_U64 },
	[Z5M_A_LOW] = { .type = NLA_U64 },
};

struct z5m_watch {
	struct list_head list;
	struct z5m_threshold t;
};

static DEFINE_MUTEX(z5m_watches_lock);
static LIST_HEAD(z5m_watches);
static unsigned int z5m_n_watches;
static u32 z5m_watch_id;

/* ---- who may ---- */

/*
 * Whoever may open the device shows it by a descriptor. At the start of a dump, which is the
 * sender's own call: a part that did not fit is made when the answer is read, by whoever then has
 * the socket, and with his descriptors.
 */
static int z5m_genl_may_dump(struct netlink_callback *cb)
{
	struct nlattr *attrs[Z5M_A_MAX + 1];
	struct file *file;
	bool is;
	int ret;

	ret = genlmsg_parse(cb->nlh, &z5m_genl, attrs, Z5M_A_MAX, z5m_genl_policy, cb->extack);
	if (ret)
		return ret;
	if (netlink_capable(cb->skb, CAP_PERFMON) || netlink_capable(cb->skb, CAP_SYS_ADMIN))
		return 0;
	if (!attrs[Z5M_A_DEVICE])
		return -EPERM;
	file = fget(nla_get_u32(attrs[Z5M_A_DEVICE]));
	if (!file)
		return -EBADF;
	is = z5m_dev_is(file);
	fput(file);
	return is ? 0 : -EBADF;
}

static int z5m_genl_may_count(struct netlink_callback *cb)
{
	int ret = z5m_counters_permitted() ? z5m_genl_may_dump(cb) : -EPERM;

	return ret ?: z5m_counters_poke();
}

/* ---- dumps ---- */

/*
 * A dump goes on from args[0] until what comes next does not fit; put returns -ENOENT past the last
 * one.
 */
static int z5m_genl_dump(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd,
			 int (*put)(struct sk_buff *skb, unsigned long i))
{
	void *head;
	int ret;

	for (;; cb->args[0]++) {
		head = genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq, &z5m_genl,
				   NLM_F_MULTI, cmd);
		if (!head) {
			ret = -EMSGSIZE;
			break;
		}
		ret = put(skb, cb->args[0]);
		if (ret) {
			genlmsg_cancel(skb, head);
			break;
		}
		genlmsg_end(skb, head);
	}
	/* What does not fit goes into the next message, unless it had this one for itself. */
	if (ret == -ENOENT || (ret == -EMSGSIZE && skb->len))
		return skb->len;
	return ret;
}

static int z5m_put_domain(struct sk_buff *skb, unsigned long i)
{
	static struct z5m_domain d;	/* half a KiB; dumps come one at a time */
	struct cpumask *cpus;
	unsigned int cpu;
	char *text;
	int ret;

	d = (struct z5m_domain){ .index = i };
	ret = z5m_domains_get(&d);
	if (ret)
		return ret;
	cpus = kzalloc(cpumask_size(), GFP_KERNEL);
	if (!cpus)
		return -ENOMEM;
	for_each_possible_cpu(cpu)
		if (cpu / 64 < Z5M_CPU_WORDS && d.cpus[cpu / 64] & BIT_ULL(cpu % 64))
			cpumask_set_cpu(cpu, cpus);
	text = kasprintf(GFP_KERNEL, "%*pbl", cpumask_pr_args(cpus));
	kfree(cpus);
	if (!text)
		return -ENOMEM;
	if (nla_put_u32(skb, Z5M_A_DOMAIN, i) || nla_put_s32(skb, Z5M_A_NODE, d.node) ||
	    nla_put_u32(skb, Z5M_A_LOCALITY, d.locality) ||
	    nla_put_u64_64bit(skb, Z5M_A_L3_BYTES, d.l3_bytes, Z5M_A_PAD) ||
	    nla_put_string(skb, Z5M_A_CPUS, text))
		ret = -EMSGSIZE;
	kfree(text);
	return ret;
}

static int z5m_genl_domains(struct sk_buff *skb, struct netlink_callback *cb)
{
	return z5m_genl_dump(skb, cb, Z5M_CMD_DOMAIN_GET, z5m_put_domain);
}

static int z5m_put_counters(struct sk_buff *skb, const struct z5m_set *s)
{
	unsigned int i;

	if (nla_put_s32(skb, Z5M_A_CPU, s->cpu))
		return -EMSGSIZE;
	for (i = 0; i < s->n; i++) {
		const struct z5m_tally *t = &s->tally[i];
		struct nlattr *nest = nla_nest_start(skb, Z5M_A_COUNTER);

		if (!nest || nla_put_u32(skb, Z5M_A_COUNTER_ID, i) ||
		    nla_put_u64_64bit(skb, Z5M_A_COUNTER_TOTAL, t->total, Z5M_A_COUNTER_PAD) ||
		    nla_put_u32(skb, Z5M_A_COUNTER_STATE, t->state) ||
		    nla_put_u32(skb, Z5M_A_COUNTER_ERROR, t->error) ||
		    nla_put_u32(skb, Z5M_A_COUNTER_GLITCHES, t->glitches) ||
		    nla_put_u32(skb, Z5M_A_COUNTER_RENEWALS, t->renewals))
			return -EMSGSIZE;
		nla_nest_end(skb, nest);
	}
	return 0;
}

/* Domains, then channels, then ports. */
static int z5m_put_set(struct sk_buff *skb, unsigned long i)
{
	const struct z5m_sets *s;
	const struct z5m_set *set = NULL;
	u32 attr = Z5M_A_PORT;
	int ret = -EMSGSIZE;
	u64 ts;

	s = z5m_counters_lock(&ts);
	if (i < s->n_domains) {
		set = &s->domain[i];
		attr = Z5M_A_DOMAIN;
	} else if (i - s->n_domains < s->n_channels) {
		set = &s->channel[i - s->n_domains];
		attr = Z5M_A_CHANNEL;
	} else if (i - s->n_domains - s->n_channels < s->n_ports) {
		set = &s->port[i - s->n_domains - s->n_channels];
	}
	if (!set)
		ret = -ENOENT;
	else if (!nla_put_u32(skb, attr, set->id) &&
		 !nla_put_u64_64bit(skb, Z5M_A_TS_NS, ts, Z5M_A_PAD) &&
		 !nla_put_string(skb, Z5M_A_SOURCE, s->source) &&
		 (!s->mock || !nla_put_flag(skb, Z5M_A_MOCK)))
		ret = z5m_put_counters(skb, set);
	z5m_counters_unlock();
	return ret;
}

static int z5m_genl_counters(struct sk_buff *skb, struct netlink_callback *cb)
{
	return z5m_genl_dump(skb, cb, Z5M_CMD_COUNTER_GET, z5m_put_set);
}

static int z5m_put_threshold(struct sk_buff *skb, unsigned long i)
{
	struct z5m_watch *w;
	int ret = -ENOENT;

	mutex_lock(&z5m_watches_lock);
	list_for_each_entry(w, &z5m_watches, list) {
		if (i--)
			continue;
		ret = nla_put_u32(skb, Z5M_A_THRESHOLD, w->t.id) ||
		      nla_put_u32(skb, Z5M_A_QUANTITY, w->t.quantity) ||
		      nla_put_u32(skb, Z5M_A_INDEX, w->t.index) ||
		      nla_put_u64_64bit(skb, Z5M_A_HIGH, w->t.high, Z5M_A_PAD) ||
		      nla_put_u64_64bit(skb, Z5M_A_LOW, w->t.low, Z5M_A_PAD) ||
		      nla_put_u32(skb, Z5M_A_ABOVE, w->t.above) ? -EMSGSIZE : 0;
		break;
	}
	mutex_unlock(&z5m_watches_lock);
	return ret;
}

static int z5m_genl_thresholds(struct sk_buff *skb, struct netlink_callback *cb)
{
	return z5m_genl_dump(skb, cb, Z5M_CMD_THRESHOLD_GET, z5m_put_threshold);
}

/* ---- single requests ---- */

static struct sk_buff *z5m_genl_answer(struct genl_info *info, u8 cmd, void **head)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);

	*head = skb ? genlmsg_put_reply(skb, info, &z5m_genl, 0, cmd) : NULL;
	if (*head)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

static int z5m_genl_config_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *answer;
	void *head;

	answer = z5m_genl_answer(info, Z5M_CMD_CONFIG_GET, &head);
	if (!answer)
		return -ENOMEM;
	if (nla_put_u32(answer, Z5M_A_INTERVAL_US, z5m_counters_interval()) ||
	    nla_put_u32(answer, Z5M_A_READERS, z5m_counters_readers())) {
		nlmsg_free(answer);
		return -EMSGSIZE;
	}
	genlmsg_end(answer, head);
	return genlmsg_reply(answer, info);
}

static int z5m_genl_config_set(struct sk_buff *skb, struct genl_info *info)
{
	if (!info->attrs[Z5M_A_INTERVAL_US])
		return -EINVAL;
	return z5m_counters_set_interval(nla_get_u32(info->attrs[Z5M_A_INTERVAL_US]));
}

static int z5m_genl_threshold_add(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr **a = info->attrs;
	struct sk_buff *answer;
	struct z5m_watch *w;
	void *head;
	int ret = 0;

	if (!a[Z5M_A_QUANTITY] || !a[Z5M_A_INDEX] || !a[Z5M_A_HIGH] || !a[Z5M_A_LOW])
		return -EINVAL;
	w = kzalloc(sizeof(*w), GFP_KERNEL_ACCOUNT);
	if (!w)
		return -ENOMEM;
	w->t.quantity = nla_get_u32(a[Z5M_A_QUANTITY]);
	w->t.index = nla_get_u32(a[Z5M_A_INDEX]);
	w->t.high = nla_get_u64(a[Z5M_A_HIGH]);
	w->t.low = nla_get_u64(a[Z5M_A_LOW]);
	if (w->t.quantity >= __Z5M_QUANTITY_MAX || w->t.low >= w->t.high)
		ret = -EINVAL;
	else if (w->t.index >= (z5m_quantity_of_domain(w->t.quantity) ? Z5M_COUNTERS_DOMAINS :
				Z5M_COUNTERS_CHANNELS))
		ret = -ENOENT;
	answer = ret ? NULL : z5m_genl_answer(info, Z5M_CMD_THRESHOLD_ADD, &head);
	if (!answer) {
		kfree(w);
		return ret ?: -ENOMEM;
	}
	mutex_lock(&z5m_watches_lock);
	if (z5m_n_watches >= Z5M_THRESHOLDS_MAX) {
		ret = -ENOSPC;
	} else {
		w->t.id = ++z5m_watch_id;
		ret = nla_put_u32(answer, Z5M_A_THRESHOLD, w->t.id);
	}
	if (!ret) {
		list_add_tail(&w->list, &z5m_watches);
		z5m_n_watches++;
	}
	mutex_unlock(&z5m_watches_lock);
	if (ret) {
		kfree(w);
		nlmsg_free(answer);
		return ret;
	}
	genlmsg_end(answer, head);
	return genlmsg_reply(answer, info);
}

static int z5m_genl_threshold_del(struct sk_buff *skb, struct genl_info *info)
{
	struct z5m_watch *w;
	int ret = -ENOENT;
	u32 id;

	if (!info->attrs[Z5M_A_THRESHOLD])
		return -EINVAL;
	id = nla_get_u32(info->attrs[Z5M_A_THRESHOLD]);
	mutex_lock(&z5m_watches_lock);
	list_for_each_entry(w, &z5m_watches, list) {
		if (w->t.id != id)
			continue;
		list_del(&w->list);
		z5m_n_watches--;
		kfree(w);
		ret = 0;
		break;
	}
	mutex_unlock(&z5m_watches_lock);
	return ret;
}

/* ---- events ---- */

static struct sk_buff *z5m_event_new(u8 cmd, void **head)
{
	struct sk_buff *skb;

	if (!genl_has_listeners(&z5m_genl, &init_net, 0))
		return NULL;
	skb = genlmsg_new(NLMSG_DEFAULT_SIZE, GFP_KERNEL);
	*head = skb ? genlmsg_put(skb, 0, 0, &z5m_genl, 0, cmd) : NULL;
	if (*head)
		return skb;
	nlmsg_free(skb);
	return NULL;
}

/* Sends it, or drops what did not fit, which an event of ours always does. */
static void z5m_event_send(struct sk_buff *skb, void *head, bool whole)
{
	if (!whole) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast(&z5m_genl, skb, 0, 0, GFP_KERNEL);
}

void z5m_netlink_region(u8 cmd, const struct z5m_region *r)
{
	struct sk_buff *skb;
	void *head;

	skb = z5m_event_new(cmd, &head);
	if (!skb)
		return;
	z5m_event_send(skb, head,
		       !nla_put_u64_64bit(skb, Z5M_A_REGION, r->id, Z5M_A_PAD) &&
		       !nla_put_u64_64bit(skb, Z5M_A_SIZE, r->size, Z5M_A_PAD) &&
		       !nla_put_string(skb, Z5M_A_NAME, r->name) &&
		       !nla_put_u32(skb, Z5M_A_UID, from_kuid_munged(&init_user_ns, r->uid)));
}

void z5m_netlink_failed(const struct z5m_create *c, int error)
{
	struct sk_buff *skb;
	void *head;

	skb = z5m_event_new(Z5M_CMD_ALLOC_FAILED, &head);
	if (!skb)
		return;
	z5m_event_send(skb, head,
		       !nla_put_u64_64bit(skb, Z5M_A_SIZE, c->size, Z5M_A_PAD) &&
		       !nla_put_u32(skb, Z5M_A_PLACE, c->place) &&
		       !nla_put_u32(skb, Z5M_A_PLACE_ID, c->place_id) &&
		       !nla_put_u32(skb, Z5M_A_ERROR, -error));
}

/*
 * What the counters of a domain or channel have grown by; NULL: there is no such thing, or what t
 * is of does not count just now, which is no fall to 0.
 */
static const u64 *z5m_grown(const struct z5m_sets *s, const struct z5m_threshold *t,
			    u64 d[Z5M_SET_MAX])
{
	bool domain = z5m_quantity_of_domain(t->quantity);
	u32 needs = z5m_quantity_counters(t->quantity);
	const struct z5m_set *set = domain ? s->domain : s->channel;
	unsigned int n = domain ? s->n_domains : s->n_channels, i, k;

	for (i = 0; i < n && set[i].id != t->index; i++)
		;
	if (i == n)
		return NULL;
	for (k = 0; k < set[i].n; k++) {
		if (needs & BIT(k) && !z5m_tally_counts(&set[i].tally[k]))
			return NULL;
		d[k] = set[i].tally[k].total - set[i].last[k];
	}
	return d;
}

void z5m_netlink_thresholds(const struct z5m_sets *s, u64 ns)
{
	u64 d[Z5M_SET_MAX], value;
	struct z5m_watch *w;
	struct sk_buff *skb;
	void *head;

	mutex_lock(&z5m_watches_lock);
	list_for_each_entry(w, &z5m_watches, list) {
		if (!z5m_grown(s, &w->t, d) ||
		    z5m_quantity_value(w->t.quantity, d, ns, &value) ||
		    !z5m_threshold_step(&w->t, value))
			continue;
		skb = z5m_event_new(Z5M_CMD_THRESHOLD_CROSSED, &head);
		if (!skb)
			continue;
		z5m_event_send(skb, head,
			       !nla_put_u32(skb, Z5M_A_THRESHOLD, w->t.id) &&
			       !nla_put_u32(skb, Z5M_A_QUANTITY, w->t.quantity) &&
			       !nla_put_u32(skb, Z5M_A_INDEX, w->t.index) &&
			       !nla_put_u64_64bit(skb, Z5M_A_VALUE, value, Z5M_A_PAD) &&
			       !nla_put_u32(skb, Z5M_A_ABOVE, w->t.above));
	}
	mutex_unlock(&z5m_watches_lock);
}

/* ---- the family ---- */

static const struct genl_ops z5m_genl_ops[] = {
	{ .cmd = Z5M_CMD_DOMAIN_GET, .start = z5m_genl_may_dump, .dumpit = z5m_genl_domains },
	{ .cmd = Z5M_CMD_COUNTER_GET, .start = z5m_genl_may_count, .dumpit = z5m_genl_counters },
	{ .cmd = Z5M_CMD_CONFIG_GET, .doit = z5m_genl_config_get },
	{ .cmd = Z5M_CMD_CONFIG_SET, .doit = z5m_genl_config_set, .flags = GENL_ADMIN_PERM },
	{ .cmd = Z5M_CMD_THRESHOLD_GET, .start = z5m_genl_may_dump, .dumpit = z5m_genl_thresholds },
	{ .cmd = Z5M_CMD_THRESHOLD_ADD, .doit = z5m_genl_threshold_add, .flags = GENL_ADMIN_PERM },
	{ .cmd = Z5M_CMD_THRESHOLD_DEL, .doit = z5m_genl_threshold_del, .flags = GENL_ADMIN_PERM },
};

/* Names of regions are the group's business, as the device is. */
static const struct genl_multicast_group z5m_genl_groups[] = {
	{ .name = Z5M_GENL_EVENTS, .flags = GENL_MCAST_CAP_NET_ADMIN },
};

static struct genl_family z5m_genl = {
	.name = Z5M_GENL_NAME,
	.version = Z5M_GENL_VERSION,
	.maxattr = Z5M_A_MAX,
	.policy = z5m_genl_policy,
	.module = THIS_MODULE,
	/* no resv_start_op: reserved bits are refused, so that they can get a meaning */
	.ops = z5m_genl_ops,
	.n_ops = ARRAY_SIZE(z5m_genl_ops),
	.mcgrps = z5m_genl_groups,
	.n_mcgrps = ARRAY_SIZE(z5m_genl_groups),
};

int z5m_netlink_init(void)
{
	return genl_register_family(&z5m_genl);
}

void z5m_netlink_exit(void)
{
	struct z5m_watch *w, *next;

	genl_unregister_family(&z5m_genl);
	list_for_each_entry_safe(w, next, &z5m_watches, list)
		kfree(w);
}
