// SPDX-License-Identifier: MIT
/*
 * The throttle against simulated machines (memsim.h): the controller and the readings are the real
 * ones, only memory and time are not. With --table it prints what it found instead of testing.
 */
#include <stdio.h>

#include <sched/throttle.h>

#include "../tap.h"
#include "memsim.h"

struct run {
	struct sim sim;
	struct z5_throttle *t;
	struct z5_counters *c;
	struct z5_source source;
	const struct z5_source *list[2];
	double bytes, seconds;		/* since the last mark */
};

struct scenario {
	const char *name;
	double noise, outliers;
	enum sim_fault fault;
	struct sim_others others;
	double bytes;
};

static const struct scenario scenarios[] = {
	{ "quiet", 0, 0, SIM_WELL, { 0, false }, 4e9 },
	{ "noise 1 %", 0.01, 0, SIM_WELL, { 0, false }, 4e9 },
	{ "noise 2 %, outliers", 0.02, 0.02, SIM_WELL, { 0, false }, 4e9 },
	{ "others stream", 0.01, 0, SIM_WELL, { 3, false }, 4e9 },
	{ "others take cores", 0.01, 0, SIM_WELL, { 4, true }, 4e9 },
	{ "small model", 0.01, 0, SIM_WELL, { 0, false }, 7e8 },
	{ "counters stuck", 0.01, 0, SIM_STUCK, { 0, false }, 4e9 },
	{ "counters lie", 0.01, 0, SIM_LYING, { 0, false }, 4e9 },
	{ "counters noisy", 0.01, 0, SIM_NOISY, { 0, false }, 4e9 },
	{ "counters backward", 0.01, 0, SIM_BACKWARD, { 0, false }, 4e9 },
	{ "counters end", 0.01, 0, SIM_DIES, { 0, false }, 4e9 },
};

#define SCENARIOS	(sizeof(scenarios) / sizeof(*scenarios))

static bool begin(struct run *r, const struct sim_machine *m, const struct scenario *s, enum z5_throttle_mode mode,
		  uint64_t seed)
{
	struct z5_throttle_params p = { .mode = mode, .n_domains = m->n_domains };

	*r = (struct run){
		.sim = { .m = m, .bytes = s->bytes, .noise = s->noise, .outliers = s->outliers, .fault = s->fault,
			.others = s->others, .seed = seed },
	};
	for (unsigned int d = 0; d < m->n_domains; d++)
		p.all[d] = m->cores;
	r->source = (struct z5_source){ "sim", sim_open, sim_read, sim_close, &r->sim };
	r->list[0] = &r->source;
	r->t = z5_throttle_new(&p);
	return r->t && !z5_counters_open(r->list, &r->c, NULL);
}

static void end(struct run *r)
{
	z5_throttle_free(r->t);
	z5_counters_close(r->c);
}

static void decode(struct run *r, unsigned int tokens)
{
	for (unsigned int i = 0; i < tokens; i++) {
		uint64_t ns = sim_token(&r->sim, z5_throttle_counts(r->t));

		z5_counters_streamed(r->c, (uint64_t)r->sim.bytes, ns);
		z5_throttle_token(r->t, r->c, ns);
		r->bytes += r->sim.bytes;
		r->seconds += (double)ns * 1e-9;
	}
}

static struct z5_throttle_info info(const struct run *r)
{
	struct z5_throttle_info i;

	z5_throttle_info(r->t, &i);
	return i;
}

/* Until the first search is over; 0: it never was. */
static unsigned int settle(struct run *r)
{
	const unsigned int searches = info(r).searches;
	unsigned int tokens;

	for (tokens = 0; tokens < 20000 && info(r).searches == searches; tokens++)
		decode(r, 1);
	return info(r).searches == searches ? 0 : tokens;
}

/* The best that any setting gives: all pairs with two domains, else all numbers a domain. */
static double best_rate(struct sim *s, unsigned int *best)
{
	unsigned int n[SIM_DOMAINS], a, b, d;
	double top = 0, rate;

	for (a = 1; a <= s->m->cores; a++) {
		for (b = 0; b <= s->m->cores; b++) {
			for (d = 0; d < s->m->n_domains; d++)
				n[d] = s->m->n_domains == 2 && d ? b : a;
			rate = sim_rate(s, n);
			if (rate > top) {
				top = rate;
				memcpy(best, n, sizeof(n));
			}
		}
	}
	return top;
}

static double all_rate(struct sim *s)
{
	unsigned int n[SIM_DOMAINS];

	for (unsigned int d = 0; d < SIM_DOMAINS; d++)
		n[d] = s->m->cores;
	return sim_rate(s, n);
}

static double held_rate(struct run *r)
{
	return sim_rate(&r->sim, info(r).held);
}

static void text(char *to, size_t len, const struct sim_machine *m, const unsigned int *n)
{
	if (m->n_domains == 2)
		snprintf(to, len, "%u+%u", n[0], n[1]);
	else
		snprintf(to, len, "%ux%u", m->n_domains, n[0]);
}

/* ---- the table ---- */

static void table(void)
{
	printf("%-10s %-20s %7s %8s %8s %8s %7s %7s %6s %7s\n", "machine", "scenario", "chosen", "GB/s", "best",
	       "all", "of best", "of all", "steps", "changes");
	for (unsigned int i = 0; i < SIM_MACHINES; i++) {
		for (unsigned int k = 0; k < SCENARIOS; k++) {
			const struct sim_machine *m = &sim_machines[i];
			unsigned int n[SIM_DOMAINS], decisions;
			char chosen[32];
			struct run r;
			double best, held, all;

			if (!begin(&r, m, &scenarios[k], Z5_THROTTLE_AUTO, 1))
				continue;
			settle(&r);
			decisions = info(&r).search_decisions;
			decode(&r, 5000);
			best = best_rate(&r.sim, n);
			held = held_rate(&r);
			all = all_rate(&r.sim);
			text(chosen, sizeof(chosen), m, info(&r).held);
			printf("%-10s %-20s %7s %8.1f %8.1f %8.1f %6.1f%% %6.1f%% %6u %7u\n", m->name,
			       scenarios[k].name, chosen, held / 1e9, best / 1e9, all / 1e9, 100 * held / best,
			       100 * held / all, decisions, info(&r).changes);
			end(&r);
		}
	}
}

/* ---- the tests ---- */

#define SEEDS	5

static void test_settles(const struct sim_machine *m, const struct scenario *s)
{
	const bool quiet = !s->noise;
	/* where a window's noise is above what is looked for, half of it is found */
	const double want = s->outliers ? 0.98 : 0.99;
	double worst = 1, worst_all = 10;
	unsigned int n[SIM_DOMAINS], steps = 0, changes = 0, never = 0;
	struct run r;

	for (uint64_t seed = 1; seed <= (quiet ? 1 : SEEDS); seed++) {
		double best, held;

		if (!begin(&r, m, s, Z5_THROTTLE_AUTO, seed)) {
			never++;
			continue;
		}
		never += !settle(&r);
		steps = info(&r).search_decisions > steps ? info(&r).search_decisions : steps;
		best = best_rate(&r.sim, n);
		held = held_rate(&r);
		decode(&r, 5000);
		changes = info(&r).changes > changes ? info(&r).changes : changes;
		held = held_rate(&r) < held ? held_rate(&r) : held;
		worst = held / best < worst ? held / best : worst;
		worst_all = held / all_rate(&r.sim) < worst_all ? held / all_rate(&r.sim) : worst_all;
		end(&r);
	}
	ok(!never && worst >= want, "%s, %s: within %.0f %% of the best (%.2f %%)", m->name, s->name, 100 - 100 * want,
	   100 * worst);
	ok(worst_all >= 0.99, "%s, %s: no more than 1 %% below all threads (%.2f %%)", m->name, s->name, 100 * worst_all);
	ok(steps < 50, "%s, %s: in %u decisions", m->name, s->name, steps);
	ok(changes <= (quiet ? 0 : 2), "%s, %s: and stays there for 5000 tokens (%u changes)", m->name, s->name, changes);
}

/* Others come and go again. */
static void test_follows(const struct sim_machine *m, const struct sim_others *others, const char *what)
{
	const struct scenario s = { "", 0.01, 0, SIM_WELL, { 0, false }, 4e9 };
	unsigned int n[SIM_DOMAINS], worse = 0;
	struct run r;

	if (!ok(begin(&r, m, &s, Z5_THROTTLE_AUTO, 7) && settle(&r), "%s: settles", m->name))
		return;
	for (unsigned int round = 0; round < 4; round++) {
		double best;

		r.sim.others = round % 2 ? (struct sim_others){ 0 } : *others;
		decode(&r, 3000);
		best = best_rate(&r.sim, n);
		diag("%s, %s %s: %.1f of %.1f GB/s, %u searches", m->name, what, round % 2 ? "went" : "came",
		     held_rate(&r) / 1e9, best / 1e9, info(&r).searches);
		worse += held_rate(&r) < 0.99 * best;
	}
	ok(!worse, "%s: follows %s that come and go (%u of 4 not)", m->name, what, worse);
	end(&r);
}

/* Whatever the length of a run, what the search costs is below 1 % of it. */
static void test_patience(const struct sim_machine *m, const struct scenario *s)
{
	double worst = 10;
	struct run r;

	if (!ok(begin(&r, m, s, Z5_THROTTLE_PATIENT, 3), "%s: patient", m->name))
		return;
	for (unsigned int i = 0; i < 400; i++) {
		double of_all;

		decode(&r, 10);
		of_all = r.bytes / r.seconds / all_rate(&r.sim);
		worst = of_all < worst ? of_all : worst;
	}
	ok(worst >= 0.99 - 3 * s->noise / sqrt(10), "%s, %s: patient, never below all threads by 1 %% (%.2f %%)", m->name, s->name,
	   100 * worst);
	ok(info(&r).searches, "%s, %s: and searches all the same", m->name, s->name);
	end(&r);
}

static void test_modes(void)
{
	const struct scenario *s = &scenarios[0];
	struct z5_throttle_params p = { .n_domains = 2, .all = { 8, 6 } };
	static const char *const bad[] = { "", "on", "9", "0", "1,", ",1", "1,2,3", "4,7", "-1", "4 ", "99999999999999999999" };
	struct zen5rt_error err = { "" };
	struct z5_throttle *t;
	unsigned int refused = 0;
	char line[160];
	struct run r;

	if (ok(begin(&r, &sim_machines[0], s, Z5_THROTTLE_OFF, 1), "off")) {
		struct z5_throttle_info i;

		for (unsigned int k = 0; k < 100; k++)
			z5_throttle_token(r.t, r.c, 1000000);
		i = info(&r);
		ok(!z5_throttle_counts(r.t) && !i.decisions, "off: all threads, nothing is measured");
		end(&r);
	}
	for (unsigned int i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		refused += z5_throttle_parse(bad[i], &p, &err) == -EINVAL && strlen(err.message) > 10;
	ok(refused == sizeof(bad) / sizeof(*bad), "what is no setting is refused (%u)", refused);
	ok(!z5_throttle_parse("3", &p, &err) && p.mode == Z5_THROTTLE_FIXED && p.fixed[0] == 3 && p.fixed[1] == 3,
	   "3: of every domain");
	ok(!z5_throttle_parse("7", &p, &err) && p.fixed[0] == 7 && p.fixed[1] == 6, "7 of 8 and of 6: what there is");
	ok(!z5_throttle_parse("4,0", &p, &err) && p.fixed[0] == 4 && !p.fixed[1], "4,0: the second domain rests");
	t = z5_throttle_new(&p);
	ok(t && z5_throttle_counts(t)[0] == 4 && !z5_throttle_counts(t)[1], "fixed from the first token on");
	z5_throttle_text(t, line, sizeof(line));
	ok(!strcmp(line, "fixed: 4+0 of 8+6 threads"), "in words: %s", line);
	z5_throttle_free(t);
	ok(!z5_throttle_parse("auto", &p, &err) && p.mode == Z5_THROTTLE_AUTO && !z5_throttle_parse("off", &p, &err) &&
	   p.mode == Z5_THROTTLE_OFF && !z5_throttle_parse(NULL, &p, &err) && p.mode == Z5_THROTTLE_PATIENT, "auto, off, none");
	p = (struct z5_throttle_params){ .mode = Z5_THROTTLE_AUTO, .n_domains = 1, .all = { 1 } };
	t = z5_throttle_new(&p);
	ok(t && !z5_throttle_counts(t), "one thread: nothing to choose, off");
	z5_throttle_free(t);
	p = (struct z5_throttle_params){ .mode = Z5_THROTTLE_AUTO, .n_domains = 65 };
	t = z5_throttle_new(&p);
	ok(t && !z5_throttle_counts(t), "more domains than it knows: off");
	z5_throttle_free(t);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "--table")) {
		table();
		return 0;
	}
	test_modes();
	for (unsigned int i = 0; i < SIM_MACHINES; i++) {
		for (unsigned int k = 0; k < SCENARIOS; k++)
			test_settles(&sim_machines[i], &scenarios[k]);
		test_follows(&sim_machines[i], &(struct sim_others){ 3, false }, "others");
		test_follows(&sim_machines[i], &(struct sim_others){ 4, true }, "others on its cores");
		test_patience(&sim_machines[i], &scenarios[0]);
		test_patience(&sim_machines[i], &scenarios[1]);
	}
	return done();
}
