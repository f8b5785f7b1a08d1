// SPDX-License-Identifier: MIT
/* Formulas: linux-perf, pmu-events/arch/x86/amdzen5 (recommended.json), as in ../shared/facts/zen5.md 4.3. */
#include <counters/counters.h>

#include <math.h>

#define RATES_LINE	64.0	/* bytes of a cache line, and of a CAS command */
#define PORT_READ	32.0	/* bytes of a beat into a CCD, and out of it */
#define PORT_WRITE	64.0

/* What a total has grown by; NaN where it cannot be believed. */
static double grown(const struct z5_total *from, const struct z5_total *to)
{
	const bool good = (to->state == Z5M_COUNTER_OK || to->state == Z5M_COUNTER_SHARED) &&
			  (from->state == Z5M_COUNTER_OK || from->state == Z5M_COUNTER_SHARED);

	return good && to->n >= from->n ? (double)(to->n - from->n) : NAN;
}

/* a / b; NaN where b is nothing or either is not known. */
static double ratio(double a, double b)
{
	return b > 0 ? a / b : NAN;
}

/* Adds what is known; a sum that has anything is known. */
static void add(double *sum, double v)
{
	if (!isnan(v))
		*sum = isnan(*sum) ? v : *sum + v;
}

static void rate_domains(const struct z5_reading *from, const struct z5_reading *to, struct z5_rates *r)
{
	double latency = NAN, requests = NAN;

	r->n_domains = to->n_domains < from->n_domains ? to->n_domains : from->n_domains;
	for (unsigned int i = 0; i < r->n_domains; i++) {
		const struct z5_read_domain *a = &from->domain[i], *b = &to->domain[i];
		const double accesses = grown(&a->l3[Z5M_L3_ACCESSES], &b->l3[Z5M_L3_ACCESSES]);
		const double misses = grown(&a->l3[Z5M_L3_MISSES], &b->l3[Z5M_L3_MISSES]);
		const double lat = grown(&a->l3[Z5M_L3_DRAM_LATENCY], &b->l3[Z5M_L3_DRAM_LATENCY]);
		const double req = grown(&a->l3[Z5M_L3_DRAM_REQUESTS], &b->l3[Z5M_L3_DRAM_REQUESTS]);

		r->domain[i] = (struct z5_rate_domain){
			.domain = b->domain,
			.hit_rate = fmin(fmax(1 - ratio(misses, accesses), 0), 1),
			.miss_bytes_s = misses * RATES_LINE / r->seconds,
			.dram_ns = 10 * ratio(lat, req),
			.bytes_s = grown(&a->bytes, &b->bytes) / r->seconds,
		};
		/* fmin and fmax lose a NaN */
		if (isnan(misses) || !(accesses > 0))
			r->domain[i].hit_rate = NAN;
		if (!isnan(lat) && !isnan(req)) {
			add(&latency, lat);
			add(&requests, req);
		}
	}
	r->dram_ns = 10 * ratio(latency, requests);
}

static void rate_channels(const struct z5_reading *from, const struct z5_reading *to, struct z5_rates *r)
{
	double all_slots = NAN, all_clocks = NAN;

	r->n_channels = to->n_channels < from->n_channels ? to->n_channels : from->n_channels;
	r->read_bytes_s = r->write_bytes_s = NAN;
	for (unsigned int i = 0; i < r->n_channels; i++) {
		const struct z5_read_channel *a = &from->channel[i], *b = &to->channel[i];
		const double clocks = grown(&a->umc[Z5M_UMC_CLOCKS], &b->umc[Z5M_UMC_CLOCKS]);
		const double slots = grown(&a->umc[Z5M_UMC_DATA_SLOTS], &b->umc[Z5M_UMC_DATA_SLOTS]);

		r->channel[i] = (struct z5_rate_channel){
		    .channel = b->channel,
		    .read_bytes_s = grown(&a->umc[Z5M_UMC_READS], &b->umc[Z5M_UMC_READS]) *
				    RATES_LINE / r->seconds,
		    .write_bytes_s = grown(&a->umc[Z5M_UMC_WRITES], &b->umc[Z5M_UMC_WRITES]) *
				     RATES_LINE / r->seconds,
		    .bus = ratio(slots / 2, clocks),
		    .clock_hz = clocks / r->seconds,
		};
		add(&r->read_bytes_s, r->channel[i].read_bytes_s);
		add(&r->write_bytes_s, r->channel[i].write_bytes_s);
		if (!isnan(clocks) && !isnan(slots)) {
			add(&all_slots, slots);
			add(&all_clocks, clocks);
		}
	}
	r->bus = ratio(all_slots / 2, all_clocks);
}

bool z5_rates(const struct z5_reading *from, const struct z5_reading *to, struct z5_rates *r)
{
	const double bytes = (double)(to->streamed - from->streamed),
		     busy = (double)(to->busy_ns - from->busy_ns) * 1e-9;

	r->source = to->source;
	if (from->epoch != to->epoch || !from->ns || to->ns <= from->ns)
		return false;
	r->seconds = (double)(to->ns - from->ns) * 1e-9;
	r->streamed_bytes_s = bytes > 0 ? ratio(bytes, busy) : NAN;
	rate_domains(from, to, r);
	rate_channels(from, to, r);
	r->n_ports = to->n_ports < from->n_ports ? to->n_ports : from->n_ports;
	for (unsigned int i = 0; i < r->n_ports; i++) {
		const struct z5_read_port *a = &from->port[i], *b = &to->port[i];

		r->port[i] = (struct z5_rate_port){
		    .port = b->port,
		    .read_bytes_s = grown(&a->df[Z5M_PORT_READS], &b->df[Z5M_PORT_READS]) *
				    PORT_READ / r->seconds,
		    .write_bytes_s = grown(&a->df[Z5M_PORT_WRITES], &b->df[Z5M_PORT_WRITES]) *
				     PORT_WRITE / r->seconds,
		};
	}
	return true;
}

const char *z5_counter_state_text(enum z5m_counter_state state)
{
	switch (state) {
	case Z5M_COUNTER_ABSENT: return "not in this machine or kernel";
	case Z5M_COUNTER_OK: return "ok";
	case Z5M_COUNTER_SHARED: return "shared with others, extrapolated";
	case Z5M_COUNTER_TAKEN: return "taken by others";
	case Z5M_COUNTER_SILENT: return "not delivered by this firmware";
	case Z5M_COUNTER_OFFLINE: return "no CPU online";
	case Z5M_COUNTER_REFUSED: return "refused by the kernel";
	}
	return "unknown";
}
