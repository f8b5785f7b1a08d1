/* SPDX-License-Identifier: MIT */
/* What a user sees and may do while the library works: progress, warnings, Ctrl-C, the clock. */
#ifndef TOOLS_WATCH_H
#define TOOLS_WATCH_H

#include <signal.h>
#include <stdbool.h>
#include <zen5rt.h>

/* Set by Ctrl-C once watch_interrupts() was called; the callbacks below then cancel what the library does. */
extern volatile sig_atomic_t interrupted;

/*
 * From here on Ctrl-C sets `interrupted`; a second one while it is set ends the process. Does nothing where whoever
 * started the process has SIGINT ignored.
 */
void watch_interrupts(void);

/* While on, a second Ctrl-C does not end the process: the terminal is being read, and set for that. */
void watch_prompt(bool on);

struct watch {
	bool shown;
	enum zen5rt_stage stage;
	double start;		/* of what is under way, by now() */
};

/* Puts the callbacks and w as their user into p. */
void watch_params(struct watch *w, struct zen5rt_params *p);
/* Takes a progress line off the terminal. */
void watch_clear(struct watch *w);

/* Seconds of a clock that only goes forward. */
double now(void);

#endif
