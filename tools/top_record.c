// SPDX-License-Identifier: MIT
/* Snapshots for other programs: a JSON object a line, on standard output or in a recording, and CSV. */
#include "top.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common.h"

/* Every line begins with it: the key by which a recording is known, and the version of what follows. */
#define RECORD_KEY	"zen5_top"
#define RECORD_VERSION	1

/* ---- JSON ---- */

/* null if it is not known. */
static json_t *real(double v)
{
	return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text(const char *s)
{
	json_t *j = json_string(s);

	return j ? j : json_string("?");
}

static json_t *json_domain(const struct top *t, unsigned int i)
{
	const struct z5_rate_domain none = { 0, NAN, NAN, NAN, NAN };
	const struct z5_rate_domain *d = t->has_rates && i < t->rates.n_domains ? &t->rates.domain[i] : &none;

	return json_pack("{s:i, s:o, s:o, s:o, s:o}", "domain", (int)t->reading.domain[i].domain, "hit_rate",
			 real(d->hit_rate), "miss_bytes_s", real(d->miss_bytes_s), "dram_ns", real(d->dram_ns),
			 "bytes_s", real(d->bytes_s));
}

static json_t *json_channel(const struct top *t, unsigned int i)
{
	const struct z5_rate_channel none = { 0, NAN, NAN, NAN, NAN };
	const struct z5_rate_channel *c = t->has_rates && i < t->rates.n_channels ? &t->rates.channel[i] : &none;

	return json_pack("{s:i, s:o, s:o, s:o, s:o}", "channel", (int)t->reading.channel[i].channel, "read_bytes_s",
			 real(c->read_bytes_s), "write_bytes_s", real(c->write_bytes_s), "bus", real(c->bus),
			 "clock_hz", real(c->clock_hz));
}

static json_t *json_port(const struct top *t, unsigned int i)
{
	const struct z5_rate_port *p = t->has_rates && i < t->rates.n_ports ? &t->rates.port[i] : NULL;

	return json_pack("{s:i, s:o, s:o}", "port", (int)t->reading.port[i].port, "read_bytes_s",
			 real(p ? p->read_bytes_s : NAN), "write_bytes_s", real(p ? p->write_bytes_s : NAN));
}

static json_t *json_region(const struct top *t, const struct z5m_info *r)
{
	json_t *users = json_array();

	for (size_t i = 0; i < t->users.n; i++) {
		const struct mem_user *u = &t->users.user[i];

		if (u->id == r->id && u->pid != getpid())
			json_array_append_new(users, json_pack("{s:i, s:s, s:b, s:b}", "pid", (int)u->pid, "command",
					      u->command, "open", u->open, "mapped", u->mapped));
	}
	return json_pack("{s:I, s:o, s:I, s:I, s:I, s:I, s:b, s:o}", "id", (json_int_t)r->id, "name",
			 *r->name ? text(r->name) : json_null(), "size", (json_int_t)r->size, "bytes_1g",
			 (json_int_t)r->bytes_1g, "bytes_2m", (json_int_t)r->bytes_2m, "bytes_4k",
			 (json_int_t)r->bytes_4k, "sealed", !!(r->flags & Z5M_REGION_SEALED), "users", users);
}

static json_t *json_process(const struct top_process *p)
{
	const struct z5_status *s = &p->status;
	json_t *o = json_object(), *active = json_array();

	for (unsigned int d = 0; d < s->n_domains; d++)
		json_array_append_new(active, json_integer(s->active[d]));
	json_object_set_new(o, "pid", json_integer(p->pid));
	json_object_set_new(o, "command", text(p->command));
	json_object_set_new(o, "model", *s->model ? text(s->model) : json_null());
	json_object_set_new(o, "decode_tok_s", real(p->decode_tok_s));
	json_object_set_new(o, "prefill_tok_s", real(p->prefill_tok_s));
	json_object_set_new(o, "busy", real(p->busy));
	json_object_set_new(o, "bytes_s", real(p->bytes_s));
	json_object_set_new(o, "decoded", json_integer((json_int_t)s->decoded));
	json_object_set_new(o, "prefilled", json_integer((json_int_t)s->prefilled));
	json_object_set_new(o, "threads", json_integer(s->n_threads));
	json_object_set_new(o, "active", json_integer(s->n_active));
	json_object_set_new(o, "active_by_domain", active);
	json_object_set_new(o, "throttle", *s->throttle ? text(s->throttle) : json_null());
	json_object_set_new(o, "counters", *s->counters ? text(s->counters) : json_null());
	json_object_set_new(o, "budget_bytes_s", s->budget_bytes_s > 0 ? json_real(s->budget_bytes_s) : json_null());
	json_object_set_new(o, "cap_others_bytes_s",
			    s->cap_others_bytes_s > 0 ? json_real(s->cap_others_bytes_s) : json_null());
	return o;
}

static void json_note(void *notes, const char *line)
{
	json_array_append_new(notes, text(line));
}

static json_t *json_all(const struct top *t)
{
	json_t *o = json_object(), *domains = json_array(), *channels = json_array(), *ports = json_array();
	json_t *regions = *t->no_regions ? json_null() : json_array(), *processes = json_array(), *notes = json_array();
	const struct z5_rates *r = &t->rates;

	for (unsigned int i = 0; i < t->reading.n_domains; i++)
		json_array_append_new(domains, json_domain(t, i));
	for (unsigned int i = 0; i < t->reading.n_channels; i++)
		json_array_append_new(channels, json_channel(t, i));
	for (unsigned int i = 0; i < t->reading.n_ports; i++)
		json_array_append_new(ports, json_port(t, i));
	for (size_t i = 0; i < t->regions.n; i++)
		json_array_append_new(regions, json_region(t, &t->regions.info[i]));
	for (size_t i = 0; i < t->n_processes; i++)
		json_array_append_new(processes, json_process(&t->process[i]));
	top_notes(t, json_note, notes);

	json_object_set_new(o, RECORD_KEY, json_integer(RECORD_VERSION));
	json_object_set_new(o, "time", json_real(t->time));
	json_object_set_new(o, "seconds", json_real(t->seconds));
	json_object_set_new(o, "source", text(t->reading.source));
	json_object_set_new(o, "mock", json_boolean(t->mock));
	json_object_set_new(o, "epoch", json_integer(t->reading.epoch));
	json_object_set_new(o, "dram_ns", real(t->has_rates ? r->dram_ns : NAN));
	json_object_set_new(o, "bus", real(t->has_rates ? r->bus : NAN));
	json_object_set_new(o, "read_bytes_s", real(t->has_rates ? r->read_bytes_s : NAN));
	json_object_set_new(o, "write_bytes_s", real(t->has_rates ? r->write_bytes_s : NAN));
	json_object_set_new(o, "domains", domains);
	json_object_set_new(o, "channels", channels);
	json_object_set_new(o, "ports", ports);
	json_object_set_new(o, "regions", regions);
	json_object_set_new(o, "processes", processes);
	json_object_set_new(o, "notes", notes);
	return o;
}

char *top_json_line(const struct top *t)
{
	json_t *all = json_all(t);
	char *dump = json_dumps(all, JSON_COMPACT | JSON_REAL_PRECISION(15)), *line;

	json_decref(all);
	if (!dump || asprintf(&line, "%s\n", dump) < 0)
		die("out of memory");
	free(dump);
	return line;
}

/* ---- CSV ---- */

static void csv_start(FILE *f, const struct top *t, const char *kind, uint64_t index, const char *name)
{
	time_t s = (time_t)t->time;
	char when[32] = "";
	struct tm tm;

	if (gmtime_r(&s, &tm))
		strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%S", &tm);
	fprintf(f, "%s.%03dZ,%s,%llu,%s,", when, (int)((t->time - floor(t->time)) * 1000), kind, (unsigned long long)index,
		name);
}

/* What is not known has no line. */
static void csv_number(FILE *f, const struct top *t, const char *kind, uint64_t index, const char *name, double v)
{
	if (!isfinite(v))
		return;
	csv_start(f, t, kind, index, name);
	fprintf(f, "%.15g\n", v);
}

/* Somebody else's words: a spreadsheet takes what begins like a formula for one. */
static void csv_text(FILE *f, const struct top *t, const char *kind, uint64_t index, const char *name, const char *v)
{
	csv_start(f, t, kind, index, name);
	putc('"', f);
	if (*v && strchr("=+-@", *v))
		putc('\'', f);
	for (; *v; v++) {
		if (*v == '"')
			putc('"', f);
		putc(*v, f);
	}
	fputs("\"\n", f);
}

void top_csv_head(FILE *f)
{
	fputs("time,kind,index,name,value\n", f);
}

static void csv_counters(FILE *f, const struct top *t)
{
	const struct z5_rates *r = &t->rates;

	csv_text(f, t, "counters", t->reading.epoch, "source", t->reading.source);
	if (!t->has_rates)
		return;
	for (unsigned int i = 0; i < r->n_domains; i++) {
		const struct z5_rate_domain *d = &r->domain[i];

		csv_number(f, t, "domain", d->domain, "hit_rate", d->hit_rate);
		csv_number(f, t, "domain", d->domain, "miss_bytes_s", d->miss_bytes_s);
		csv_number(f, t, "domain", d->domain, "dram_ns", d->dram_ns);
		csv_number(f, t, "domain", d->domain, "bytes_s", d->bytes_s);
	}
	for (unsigned int i = 0; i < r->n_channels; i++) {
		const struct z5_rate_channel *c = &r->channel[i];

		csv_number(f, t, "channel", c->channel, "read_bytes_s", c->read_bytes_s);
		csv_number(f, t, "channel", c->channel, "write_bytes_s", c->write_bytes_s);
		csv_number(f, t, "channel", c->channel, "bus", c->bus);
		csv_number(f, t, "channel", c->channel, "clock_hz", c->clock_hz);
	}
	for (unsigned int i = 0; i < r->n_ports; i++) {
		csv_number(f, t, "port", r->port[i].port, "read_bytes_s", r->port[i].read_bytes_s);
		csv_number(f, t, "port", r->port[i].port, "write_bytes_s", r->port[i].write_bytes_s);
	}
}

void top_csv(FILE *f, const struct top *t)
{
	csv_counters(f, t);
	for (size_t i = 0; i < t->regions.n; i++) {
		const struct z5m_info *r = &t->regions.info[i];

		csv_text(f, t, "region", r->id, "name", r->name);
		csv_number(f, t, "region", r->id, "size", (double)r->size);
		csv_number(f, t, "region", r->id, "sealed", r->flags & Z5M_REGION_SEALED ? 1 : 0);
		csv_number(f, t, "region", r->id, "open", r->n_files);
		csv_number(f, t, "region", r->id, "mapped", r->n_maps);
	}
	for (size_t i = 0; i < t->n_processes; i++) {
		const struct top_process *p = &t->process[i];
		uint64_t pid = (uint64_t)p->pid;

		csv_text(f, t, "process", pid, "command", p->command);
		csv_text(f, t, "process", pid, "model", p->status.model);
		csv_number(f, t, "process", pid, "decode_tok_s", p->decode_tok_s);
		csv_number(f, t, "process", pid, "prefill_tok_s", p->prefill_tok_s);
		csv_number(f, t, "process", pid, "busy", p->busy);
		csv_number(f, t, "process", pid, "bytes_s", p->bytes_s);
		csv_number(f, t, "process", pid, "active", p->status.n_active);
		csv_number(f, t, "process", pid, "threads", p->status.n_threads);
	}
}

/* ---- recordings ---- */

/* Dies unless the file is empty or begins with a snapshot; takes off what a killed process left of its last line. */
static void check_recording(const struct top_record *r, off_t size)
{
	static const char want[] = "{\"" RECORD_KEY "\":";
	char head[sizeof(want) - 1], last;

	if (!size)
		return;
	if (pread(r->fd, head, sizeof(head), 0) != sizeof(head) || memcmp(head, want, sizeof(head)))
		die("%s: is there and no recording of zen5-top: it is left as it is", r->path);
	while (size && pread(r->fd, &last, 1, size - 1) == 1 && last != '\n')
		size--;
	if (ftruncate(r->fd, size))
		die("%s: %s", r->path, strerror(errno));
}

void top_record_open(struct top_record *r, const char *path)
{
	struct stat st;

	/* Nothing that is waited for here, and no terminal that becomes ours. */
	*r = (struct top_record){ .path = path };
	r->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);
	if (r->fd < 0 || fstat(r->fd, &st))
		die("%s: %s", path, strerror(errno));
	if (S_ISREG(st.st_mode))
		check_recording(r, st.st_size);
	else if (!S_ISCHR(st.st_mode))
		die("%s: is no ordinary file", path);
}

void top_record_add(struct top_record *r, const struct top *t)
{
	char *line;
	int ret;

	if (r->fd < 0)
		return;
	line = top_json_line(t);
	ret = write_all(r->fd, line, strlen(line));
	free(line);
	if (ret)
		die("%s: %s", r->path, strerror(-ret));
}
