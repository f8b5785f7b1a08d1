/* SPDX-License-Identifier: MIT */
/*
 * One reader over everything that counts memory traffic. Sources, best first:
 *
 *  zen5mem   the module's counter page: L3 and memory channels, a reading costs no system call
 *  perf      the same PMUs through perf_event_open(2); kernel.perf_event_paranoid <= 0 or CAP_PERFMON
 *  resctrl   bytes that each L3 domain moved (MBM), from /sys/fs/resctrl
 *  software  what this process says that it streamed; always there
 *
 * A reading is of totals, and names its source. When a source ends under the reader (the module is gone, a file says
 * "Unavailable" for good, an event is refused) the next reading comes from the next source and has another epoch:
 * totals of different epochs have nothing to do with each other. A better source that comes later is not looked for:
 * who wants it opens anew.
 */
#ifndef Z5_COUNTERS_H
#define Z5_COUNTERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uapi/linux/zen5mem_counters.h>
#include <zen5rt.h>

#define Z5_READ_DOMAINS		Z5M_COUNTERS_DOMAINS
#define Z5_READ_CHANNELS	Z5M_COUNTERS_CHANNELS
#define Z5_READ_PORTS		Z5M_COUNTERS_PORTS

/* A total, and whether it can be believed: what the state of the module's counter means, for every source. */
struct z5_total {
	uint64_t n;
	enum z5m_counter_state state;
	int error;		/* errno of Z5M_COUNTER_REFUSED */
};

struct z5_read_domain {
	unsigned int domain;	/* L3 domain: the module's number, or the index in struct z5_topo */
	struct z5_total l3[Z5M_DOMAIN_COUNTERS];
	struct z5_total bytes;	/* resctrl's: moved between this L3 and memory, in both directions */
};

struct z5_read_channel {
	unsigned int channel;	/* N of amd_umc_N */
	struct z5_total umc[Z5M_CHANNEL_COUNTERS];
};

struct z5_read_port {
	unsigned int port;
	struct z5_total df[Z5M_PORT_COUNTERS];
};

struct z5_reading {
	const char *source;	/* "zen5mem", "zen5mem MOCK", "perf", "perf MOCK", "resctrl", "software"; static */
	unsigned int epoch;	/* counts the sources so far */
	uint64_t ns;		/* of the clock that the source uses, which only goes forward; 0: no sample yet */
	uint64_t streamed;	/* bytes that this process said it streamed; of every source */
	uint64_t busy_ns;	/* time that it said this took */
	unsigned int n_domains, n_channels, n_ports;
	struct z5_read_domain domain[Z5_READ_DOMAINS];
	struct z5_read_channel channel[Z5_READ_CHANNELS];
	struct z5_read_port port[Z5_READ_PORTS];
};

/*
 * What a source has to be. Everything returns 0 or a negative errno, with one line in why where there is one. Tests and
 * the simulated machines of tests bring their own.
 */
struct z5_source {
	const char *name;
	/* state for the calls below; why says what is missing. arg is the list entry's. */
	int (*open)(void *arg, void **state, char *why, size_t why_len);
	/*
	 * Fills all but epoch, streamed and busy_ns. -EAGAIN: not now, but later; anything else:
	 * this source is over.
	 */
	int (*read)(void *state, struct z5_reading *r);
	void (*close)(void *state);
	void *arg;
};

struct z5_counters;

/*
 * Opens the first source of list (ends with NULL, outlives c) that can be opened; the software one stands behind every
 * list, so that only -ENOMEM is possible. NULL: the machine's own sources. Not to be shared by threads.
 */
int z5_counters_open(const struct z5_source *const *list, struct z5_counters **out, struct zen5rt_error *err);
/* Accepts NULL. */
void z5_counters_close(struct z5_counters *c);

/* Cannot fail: at worst the software source answers. */
void z5_counters_read(struct z5_counters *c, struct z5_reading *r);

/* This process has streamed so many bytes within ns of time. Any thread. */
void z5_counters_streamed(struct z5_counters *c, uint64_t bytes, uint64_t ns);

/* Why better sources than the present one are not in use: one a line, "" if it is the best. Lives as long as c. */
const char *z5_counters_missing(const struct z5_counters *c);

/* The machine's own. sysroot as for z5_topo_read(); strings and arg live as long as the process. */
extern const struct z5_source z5_source_page, z5_source_perf, z5_source_resctrl;

/* ---- rates: between two readings ---- */

struct z5_rate_domain {
	unsigned int domain;
	double hit_rate;	/* of L3 lookups, 0 to 1; each of these is NaN if it is not known */
	double miss_bytes_s;	/* 64 bytes a miss */
	double dram_ns;		/* mean latency of sampled fills from DRAM */
	double bytes_s;		/* resctrl's */
};

struct z5_rate_channel {
	unsigned int channel;
	double read_bytes_s, write_bytes_s;
	double bus;		/* share of the time that the data bus is in use, 0 to 1 */
	double clock_hz;	/* of the memory */
};

struct z5_rate_port {
	unsigned int port;
	double read_bytes_s, write_bytes_s;
};

struct z5_rates {
	const char *source;
	double seconds;		/* between the readings */
	double streamed_bytes_s;	/* by this process, of its busy time; NaN if it streamed nothing */
	/* Over everything that is known: the mean latency weighted by requests, the bus use of all channels. */
	double dram_ns, bus, read_bytes_s, write_bytes_s;
	unsigned int n_domains, n_channels, n_ports;
	struct z5_rate_domain domain[Z5_READ_DOMAINS];
	struct z5_rate_channel channel[Z5_READ_CHANNELS];
	struct z5_rate_port port[Z5_READ_PORTS];
};

/*
 * false, and nothing but source is filled, if the readings are of different epochs or no time lies between them. What a
 * counter with a state other than OK or SHARED would give is NaN, and what steps backward, too.
 */
bool z5_rates(const struct z5_reading *from, const struct z5_reading *to, struct z5_rates *r);

/* "ok", "shared", "taken by others", "not delivered by this firmware", ... */
const char *z5_counter_state_text(enum z5m_counter_state state);

#endif
