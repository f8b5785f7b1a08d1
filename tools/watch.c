// SPDX-License-Identifier: MIT
#include "watch.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

volatile sig_atomic_t interrupted;

static volatile sig_atomic_t prompting;

static void on_interrupt(int sig)
{
	/* a second Ctrl-C ends the process, should the first one not get through */
	if (interrupted && !prompting)
		_exit(128 + sig);
	interrupted = 1;
}

void watch_interrupts(void)
{
	struct sigaction sa = { .sa_handler = on_interrupt }, old;

	if (!sigaction(SIGINT, NULL, &old) && old.sa_handler != SIG_IGN)
		sigaction(SIGINT, &sa, NULL);
}

void watch_prompt(bool on)
{
	prompting = on;
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int on_progress(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	static const char *const names[] = {
		[ZEN5RT_STAGE_LOAD] = "loading", [ZEN5RT_STAGE_QUANTIZE] = "quantizing",
		[ZEN5RT_STAGE_CHECK] = "checking",
	};
	struct watch *w = user;
	double s;

	if (interrupted)
		return 1;
	if (stage != w->stage) {
		w->stage = stage;
		w->start = now();
	}
	s = now() - w->start;
	if (stage >= sizeof(names) / sizeof(names[0]) || !names[stage] || s < 0.2 || !isatty(2))
		return 0;
	fprintf(stderr, "\r%-10s %3.0f %%  %.2f GiB/s ", names[stage], 100.0 * (double)done / (double)total,
		(double)done / s / 1073741824.0);
	w->shown = true;
	return 0;
}

void watch_clear(struct watch *w)
{
	if (w->shown)
		fputs("\r\033[K", stderr);
	w->shown = false;
}

static void on_log(void *user, enum zen5rt_log_level level, const char *line)
{
	if (level > ZEN5RT_LOG_WARNING)
		return;
	watch_clear(user);
	fprintf(stderr, "%s: %s\n", program_invocation_short_name, line);
}

void watch_params(struct watch *w, struct zen5rt_params *p)
{
	*w = (struct watch){ .start = now() };
	p->progress = on_progress;
	p->log = on_log;
	p->user = w;
}
