// SPDX-License-Identifier: MIT
/* A snapshot as lines of text, the same for a terminal's screen and for a pipe. */
#include "top.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#include <vocab/utf8.h>

#include "common.h"

/* ---- lines ---- */

static void new_line(struct top_text *t)
{
	/* by doubling: n is the count and, at powers of two, the room */
	if (!(t->n & (t->n - 1))) {
		struct top_line *p = realloc(t->line, (t->n ? 2 * t->n : 1) * sizeof(*p));

		if (!p)
			die("out of memory");
		t->line = p;
	}
	t->line[t->n].len = 0;
	t->line[t->n++].text[0] = '\0';
}

void top_text_free(struct top_text *t)
{
	free(t->line);
	t->line = NULL;
	t->n = 0;
}

static int char_columns(uint32_t c)
{
	return c < 0x7f ? 1 : utf8proc_charwidth((utf8proc_int32_t)c);
}

size_t top_char(const struct top_line *l, size_t at, int *columns)
{
	uint32_t c;
	size_t n = utf8_next(l->text + at, l->len - at, &c);

	*columns = char_columns(c);
	return n;
}

/* Columns so far of the line that is being made. */
static int column(const struct top_text *t)
{
	const struct top_line *l = &t->line[t->n - 1];
	int all = 0, c;

	for (size_t at = 0; at < l->len; all += c)
		at += top_char(l, at, &c);
	return all;
}

/* What moves the cursor, has no width of its own or turns the direction of a line is no part of a table. */
static bool may_be_shown(uint32_t c)
{
	return c >= 0x20 && !(c >= 0x7f && c < 0xa0) && c < UTF8_STRAY && char_columns(c) > 0 &&
	       !(c >= 0x200b && c <= 0x200f) && !(c >= 0x202a && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

/* Adds text to the last line, at most so many columns of it. */
static void add(struct top_text *t, enum top_style style, const char *text, int columns)
{
	struct top_line *l = &t->line[t->n - 1];
	size_t len = strlen(text), at = 0;

	while (at < len) {
		uint32_t c;
		size_t n = utf8_next(text + at, len - at, &c);
		bool plain = may_be_shown(c) && (c < 0x80 || t->utf8);
		const char *from = plain ? text + at : "?";
		size_t bytes = plain ? n : 1;

		columns -= plain ? char_columns(c) : 1;
		if (columns < 0 || l->len + bytes >= TOP_LINE)
			break;
		memcpy(l->text + l->len, from, bytes);
		memset(l->style + l->len, style, bytes);
		l->len += bytes;
		at += n;
	}
	l->text[l->len] = '\0';
}

__attribute__((format(printf, 3, 4)))
static void put(struct top_text *t, enum top_style style, const char *fmt, ...)
{
	char text[TOP_LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	add(t, style, text, TOP_LINE);
}

/* Text in a column of a table, cut to its width. */
static void cell(struct top_text *t, const char *text, int width)
{
	int end = column(t) + width;

	add(t, TOP_PLAIN, text, width);
	put(t, TOP_PLAIN, "%*s", end - column(t) + 1, "");
}

/* A number to the right in a column, in units of `unit`; "-" if it is not known. */
static void number(struct top_text *t, enum top_style style, double v, double unit, int width, int decimals)
{
	if (isfinite(v))
		put(t, style, "%*.*f", width, decimals, v / unit);
	else
		put(t, TOP_DIM, "%*s", width, "-");
}

/* ---- the parts ---- */

static void head(struct top_text *text, const struct top *t, double interval)
{
	time_t s = (time_t)t->time;
	char when[16] = "";
	struct tm tm;

	if (localtime_r(&s, &tm))
		strftime(when, sizeof(when), "%H:%M:%S", &tm);
	new_line(text);
	put(text, TOP_HEAD, "zen5-top");
	put(text, TOP_PLAIN, "  %s  every %.4g s", when, interval);
	put(text, t->mock ? TOP_ALARM : TOP_PLAIN, "  counters: %s", t->reading.source);
	if (t->reading.epoch > 1)
		put(text, TOP_DIM, " (source %u so far)", t->reading.epoch);
	if (!t->mock)
		return;
	new_line(text);
	put(text, TOP_ALARM, "MOCK: counters made up by zen5mem_mock, nothing of them was measured");
}

static void domains(struct top_text *text, const struct top *t)
{
	const struct z5_reading *r = &t->reading;
	bool mbm = false;

	if (!r->n_domains)
		return;
	for (unsigned int i = 0; i < r->n_domains; i++)
		mbm |= r->domain[i].bytes.state != Z5M_COUNTER_ABSENT;
	new_line(text);
	new_line(text);
	put(text, TOP_HEAD, "L3      hit %%  miss GB/s  DRAM ns%s", mbm ? "  moved GB/s" : "");
	for (unsigned int i = 0; i < r->n_domains; i++) {
		const struct z5_rate_domain none = { 0, NAN, NAN, NAN, NAN };
		const struct z5_rate_domain *d = t->has_rates && i < t->rates.n_domains ? &t->rates.domain[i] : &none;

		new_line(text);
		put(text, TOP_PLAIN, "%-5u", r->domain[i].domain);
		number(text, TOP_PLAIN, d->hit_rate, 0.01, 8, 1);
		number(text, TOP_PLAIN, d->miss_bytes_s, 1e9, 11, 2);
		number(text, TOP_PLAIN, d->dram_ns, 1, 9, 0);
		if (mbm)
			number(text, TOP_PLAIN, d->bytes_s, 1e9, 12, 2);
	}
	if (r->n_domains > 1 && t->has_rates && isfinite(t->rates.dram_ns)) {
		new_line(text);
		put(text, TOP_DIM, "%-24s", "all");
		number(text, TOP_PLAIN, t->rates.dram_ns, 1, 9, 0);
	}
}

/* Past it latency rises: what the throttle takes for a full bus. */
static enum top_style bus_style(double use)
{
	return use >= 0.85 ? TOP_WARN : TOP_PLAIN;
}

static void channels(struct top_text *text, const struct top *t)
{
	const struct z5_reading *r = &t->reading;
	const struct z5_rates *all = &t->rates;

	if (!r->n_channels)
		return;
	new_line(text);
	new_line(text);
	put(text, TOP_HEAD, "channel  read GB/s  write GB/s  bus %%  memory MHz");
	for (unsigned int i = 0; i < r->n_channels; i++) {
		const struct z5_rate_channel none = { 0, NAN, NAN, NAN, NAN };
		const struct z5_rate_channel *c = t->has_rates && i < all->n_channels ? &all->channel[i] : &none;

		new_line(text);
		put(text, TOP_PLAIN, "%-7u", r->channel[i].channel);
		number(text, TOP_PLAIN, c->read_bytes_s, 1e9, 11, 2);
		number(text, TOP_PLAIN, c->write_bytes_s, 1e9, 12, 2);
		number(text, bus_style(c->bus), c->bus, 0.01, 7, 1);
		number(text, TOP_PLAIN, c->clock_hz, 1e6, 12, 0);
	}
	if (r->n_channels > 1 && t->has_rates) {
		new_line(text);
		put(text, TOP_DIM, "%-7s", "all");
		number(text, TOP_PLAIN, all->read_bytes_s, 1e9, 11, 2);
		number(text, TOP_PLAIN, all->write_bytes_s, 1e9, 12, 2);
		number(text, bus_style(all->bus), all->bus, 0.01, 7, 1);
	}
}

static void ports(struct top_text *text, const struct top *t)
{
	const struct z5_reading *r = &t->reading;

	if (!r->n_ports)
		return;
	new_line(text);
	new_line(text);
	put(text, TOP_HEAD, "CCD port  read GB/s  write GB/s");
	for (unsigned int i = 0; i < r->n_ports; i++) {
		const struct z5_rate_port *p = t->has_rates && i < t->rates.n_ports ? &t->rates.port[i] : NULL;

		new_line(text);
		put(text, TOP_PLAIN, "%-8u", r->port[i].port);
		number(text, TOP_PLAIN, p ? p->read_bytes_s : NAN, 1e9, 11, 2);
		number(text, TOP_PLAIN, p ? p->write_bytes_s : NAN, 1e9, 12, 2);
	}
}

static void regions(struct top_text *text, const struct top *t)
{
	char size[32], used[32], max[32], pages[64], name[Z5M_NAME_LEN];

	if (*t->no_regions)
		return;
	new_line(text);
	new_line(text);
	put(text, TOP_HEAD, "%-24s %10s %-24s %-6s used by", "region", "size", "pages", "sealed");
	for (size_t i = 0; i < t->regions.n; i++) {
		const struct z5m_info *r = &t->regions.info[i];
		bool first = true;

		new_line(text);
		snprintf(name, sizeof(name), "%.63s", *r->name ? r->name : "(no name)");
		cell(text, name, 24);
		put(text, TOP_PLAIN, "%10s ", human_bytes(size, sizeof(size), (double)r->size));
		z5_dev_pages(r, pages, sizeof(pages));
		cell(text, pages, 24);
		put(text, TOP_PLAIN, "%-7s", r->flags & Z5M_REGION_SEALED ? "yes" : "no");
		for (size_t k = 0; k < t->users.n; k++) {
			const struct mem_user *u = &t->users.user[k];

			if (u->id != r->id || u->pid == getpid())
				continue;
			put(text, TOP_PLAIN, "%s%s %d", first ? "" : ", ", u->command, (int)u->pid);
			first = false;
		}
	}
	new_line(text);
	put(text, TOP_DIM, "%s in %zu region%s, at most %s", human_bytes(used, sizeof(used), (double)t->module.used_bytes),
	    t->regions.n, t->regions.n == 1 ? "" : "s", human_bytes(max, sizeof(max), (double)t->module.max_bytes));
}

/* "4+4": the threads of each L3 domain that decode. */
static void active(struct top_text *text, const struct z5_status *s)
{
	for (unsigned int d = 0; d < s->n_domains; d++)
		put(text, TOP_DIM, "%s%u", d ? "+" : "", s->active[d]);
}

static void process(struct top_text *text, const struct top_process *p)
{
	const struct z5_status *s = &p->status;
	char threads[32];

	new_line(text);
	put(text, TOP_PLAIN, "%7d ", (int)p->pid);
	cell(text, p->command, 15);
	number(text, TOP_GOOD, p->decode_tok_s, 1, 8, 1);
	number(text, TOP_PLAIN, p->prefill_tok_s, 1, 9, 1);
	number(text, TOP_PLAIN, p->busy, 0.01, 7, 0);
	number(text, TOP_PLAIN, p->bytes_s, 1e9, 8, 2);
	snprintf(threads, sizeof(threads), "%u/%u", s->n_active, s->n_threads);
	put(text, TOP_PLAIN, "  %-8s ", threads);
	add(text, TOP_PLAIN, *s->model ? s->model : "(no model)", 64);
	if (!s->n_domains && !*s->throttle && !(s->budget_bytes_s > 0) && !(s->cap_others_bytes_s > 0))
		return;
	new_line(text);
	put(text, TOP_DIM, "        ");
	if (s->n_domains) {
		put(text, TOP_DIM, "threads by L3 ");
		active(text, s);
	}
	if (*s->throttle)
		put(text, TOP_DIM, "%sthrottle %s", s->n_domains ? ", " : "", s->throttle);
	if (*s->counters)
		put(text, strstr(s->counters, "MOCK") ? TOP_ALARM : TOP_DIM, " (by %s)", s->counters);
	if (s->budget_bytes_s > 0)
		put(text, TOP_DIM, ", budget %g GB/s", s->budget_bytes_s / 1e9);
	if (s->cap_others_bytes_s > 0)
		put(text, TOP_DIM, ", others at most %.1f GB/s", s->cap_others_bytes_s / 1e9);
}

static void processes(struct top_text *text, const struct top *t)
{
	new_line(text);
	new_line(text);
	if (!t->n_processes) {
		put(text, TOP_DIM, "no process of zen5rt is running");
		return;
	}
	put(text, TOP_HEAD, "%7s %-15s %8s %8s %6s %7s  %-8s model", "PID", "command", "tok/s", "prompt/s", "busy %", "GB/s",
	    "threads");
	for (size_t i = 0; i < t->n_processes; i++)
		process(text, &t->process[i]);
}

static void note(void *arg, const char *line)
{
	new_line(arg);
	put(arg, TOP_DIM, "- ");
	put(arg, TOP_DIM, "%s", line);
}

void top_text_make(struct top_text *text, const struct top *t, double interval)
{
	top_text_free(text);
	head(text, t, interval);
	domains(text, t);
	channels(text, t);
	ports(text, t);
	regions(text, t);
	processes(text, t);
	new_line(text);
	top_notes(t, note, text);
	/* the blank line before notes that there are none of */
	if (!text->line[text->n - 1].len)
		text->n--;
}
