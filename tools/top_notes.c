// SPDX-License-Identifier: MIT
/* Why something is not shown, or not to be taken as it stands: a line a reason. */
#include "top.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Counters of one kind, of all its entries: L3 domains, channels or ports. */
struct kind {
	const char *one, *many;		/* what an entry is called */
	const char *const *counter;
	unsigned int n_counters, n;
	unsigned int index[64];
	const struct z5_total *total[64];	/* an entry's counters */
};

_Static_assert(Z5_READ_DOMAINS <= 64 && Z5_READ_CHANNELS <= 64 && Z5_READ_PORTS <= 64, "entries are bits of a word");

/* "0-3,8" of the entries in mask, which are in order. */
static void ranges(const struct kind *k, uint64_t mask, char *buf, size_t n)
{
	size_t at = 0;

	*buf = '\0';
	for (unsigned int i = 0; i < k->n && at < n - 24; i++) {
		unsigned int j = i;

		if (!(mask >> i & 1))
			continue;
		while (j + 1 < k->n && mask >> (j + 1) & 1 && k->index[j + 1] == k->index[j] + 1)
			j++;
		at += (size_t)snprintf(buf + at, n - at, "%s%u", at ? "," : "", k->index[i]);
		if (j > i)
			at += (size_t)snprintf(buf + at, n - at, "-%u", k->index[j]);
		i = j;
	}
}

/* Which entries have counter c in the state of *like. */
static uint64_t alike(const struct kind *k, unsigned int c, const struct z5_total *like)
{
	uint64_t mask = 0;

	for (unsigned int i = 0; i < k->n; i++)
		mask |= (uint64_t)(k->total[i][c].state == like->state && k->total[i][c].error == like->error) << i;
	return mask;
}

/* One line for the state of *like in the entries of mask, with all counters from c on of which the same is true. */
static uint32_t say(const struct kind *k, unsigned int c, uint64_t mask, const struct z5_total *like,
		    void (*note)(void *, const char *), void *arg)
{
	char which[200], counters[128] = "", line[512];
	bool several = mask & (mask - 1);
	uint32_t said = 0;
	size_t at = 0;

	for (; c < k->n_counters; c++) {
		if (alike(k, c, like) != mask)
			continue;
		at += (size_t)snprintf(counters + at, sizeof(counters) - at, "%s%s", at ? ", " : "", k->counter[c]);
		said |= 1u << c;
	}
	ranges(k, mask, which, sizeof(which));
	snprintf(line, sizeof(line), "%s %s: %s: %s%s%s", several ? k->many : k->one, which, counters,
		 z5_counter_state_text(like->state), like->state == Z5M_COUNTER_REFUSED ? ": " : "",
		 like->state == Z5M_COUNTER_REFUSED ? strerror(like->error) : "");
	note(arg, line);
	return said;
}

static void note_kind(const struct kind *k, void (*note)(void *, const char *), void *arg)
{
	uint64_t all = k->n == 64 ? ~0ull : (1ull << k->n) - 1, told[8] = { 0 };	/* told: entries, by counter */

	for (unsigned int i = 0; i < k->n; i++) {
		for (unsigned int c = 0; c < k->n_counters; c++) {
			const struct z5_total *t = &k->total[i][c];
			uint64_t mask = alike(k, c, t);
			uint32_t said;

			/* That no entry has it is told of the source. */
			if (t->state == Z5M_COUNTER_OK || told[c] >> i & 1 ||
			    (t->state == Z5M_COUNTER_ABSENT && mask == all))
				continue;
			said = say(k, c, mask, t, note, arg);
			for (unsigned int s = c; s < k->n_counters; s++)
				told[s] |= said >> s & 1 ? mask : 0;
		}
	}
}

static void note_states(const struct z5_reading *r, void (*note)(void *, const char *), void *arg)
{
	static const char *const l3[] = { "accesses", "misses", "DRAM latency", "DRAM requests" };
	static const char *const umc[] = { "clock", "reads", "writes", "bus" };
	static const char *const df[] = { "reads", "writes" };
	static const char *const bytes[] = { "bytes" };
	struct kind k = { "L3 domain", "L3 domains", l3, Z5M_DOMAIN_COUNTERS, r->n_domains, { 0 }, { NULL } };
	struct kind mbm = { "L3 domain", "L3 domains", bytes, 1, r->n_domains, { 0 }, { NULL } };
	struct kind ch = { "channel", "channels", umc, Z5M_CHANNEL_COUNTERS, r->n_channels, { 0 }, { NULL } };
	struct kind port = { "port", "ports", df, Z5M_PORT_COUNTERS, r->n_ports, { 0 }, { NULL } };

	for (unsigned int i = 0; i < r->n_domains; i++) {
		k.index[i] = mbm.index[i] = r->domain[i].domain;
		k.total[i] = r->domain[i].l3;
		mbm.total[i] = &r->domain[i].bytes;
	}
	for (unsigned int i = 0; i < r->n_channels; i++) {
		ch.index[i] = r->channel[i].channel;
		ch.total[i] = r->channel[i].umc;
	}
	for (unsigned int i = 0; i < r->n_ports; i++) {
		port.index[i] = r->port[i].port;
		port.total[i] = r->port[i].df;
	}
	note_kind(&k, note, arg);
	note_kind(&mbm, note, arg);
	note_kind(&ch, note, arg);
	note_kind(&port, note, arg);
}

static bool begins(const char *text, const char *with)
{
	return !strncmp(text, with, strlen(with));
}

/* What the source in use cannot have. */
static void note_source(const struct z5_reading *r, void (*note)(void *, const char *), void *arg)
{
	if (begins(r->source, "zen5mem") || begins(r->source, "perf")) {
		if (!r->n_domains)
			note(arg, "L3: this kernel has no PMU amd_l3 for this CPU");
		if (!r->n_channels)
			note(arg, "channels: this kernel has no PMU amd_umc_N (Linux 6.7, Zen 4) or may not use it");
	} else if (begins(r->source, "resctrl")) {
		note(arg, "L3 hit rate, DRAM latency, channels: resctrl counts bytes alone");
	} else {
		note(arg, "L3 and channels: nothing here counts them");
	}
}

void top_notes(const struct top *t, void (*note)(void *arg, const char *line), void *arg)
{
	const char *p = t->missing;
	char line[512];

	if (t->source_changed) {
		snprintf(line, sizeof(line), "counters: now from %s: rates begin anew", t->reading.source);
		note(arg, line);
	}
	note_source(&t->reading, note, arg);
	while (*p) {
		size_t n = strcspn(p, "\n");

		snprintf(line, sizeof(line), "%.*s", (int)(n < sizeof(line) ? n : sizeof(line) - 1), p);
		if (n)
			note(arg, line);
		p += n + (p[n] == '\n');
	}
	note_states(&t->reading, note, arg);
	if (*t->no_regions) {
		snprintf(line, sizeof(line), "regions: %.400s", t->no_regions);
		note(arg, line);
	}
	if (t->users.n && !t->users.all && geteuid())
		note(arg, "regions: of other users' processes only root sees what they have open");
	if (t->hidden && geteuid())
		note(arg, "processes: those of other users are shown to root alone");
}
