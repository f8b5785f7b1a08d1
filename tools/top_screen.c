// SPDX-License-Identifier: MIT
/* Snapshots on a terminal. */
#include "top.h"

#include <curses.h>
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <term.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "common.h"
#include "watch.h"

/* The first rates come sooner than a long interval. */
#define FIRST_S 0.5

struct screen {
	struct top_source *source;
	struct top_record *record;
	struct top now;
	struct top_text text;
	double interval, next;		/* seconds; by the clock of now() */
	size_t top;			/* first line that is shown */
	int left;			/* columns that are not */
	bool paused, help;
};

static volatile sig_atomic_t ended;
static struct termios saved;

/* ---- the terminal ---- */

const char *top_no_screen(void)
{
	const char *term = getenv("TERM"), *move;
	int err;

	if (!isatty(0))
		return "standard input is no terminal";
	if (!isatty(1))
		return "standard output is no terminal";
	if (!term || !*term)
		return "TERM is not set";
	if (setupterm(NULL, 1, &err) != OK)
		return "the terminal in TERM is unknown";
	move = tigetstr("cup");
	if (!move || move == (char *)-1)
		return "the terminal in TERM cannot move its cursor";
	return NULL;
}

static void on_signal(int sig)
{
	/* The terminal takes no output: what was asked for twice is done without it. */
	if (ended) {
		tcsetattr(0, TCSANOW, &saved);
		_exit(128 + sig);
	}
	ended = sig;
}

static void give_back(void)
{
	endwin();
}

static void take_terminal(void)
{
	static const int sigs[] = { SIGINT, SIGTERM, SIGHUP };
	struct sigaction sa = { .sa_handler = on_signal }, old;

	tcgetattr(0, &saved);
	if (!initscr())
		die("the terminal cannot be used: use -b");
	before_die = give_back;
	/* after curses has set its own, and not where whoever started us has them ignored */
	for (size_t i = 0; i < sizeof(sigs) / sizeof(*sigs); i++)
		if (!sigaction(sigs[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(sigs[i], &sa, NULL);
	cbreak();
	noecho();
	nonl();
	keypad(stdscr, TRUE);
	nodelay(stdscr, TRUE);
	set_escdelay(25);
	curs_set(0);
	if (has_colors() && start_color() == OK && use_default_colors() == OK) {
		init_pair(TOP_GOOD, COLOR_GREEN, -1);
		init_pair(TOP_WARN, COLOR_YELLOW, -1);
		init_pair(TOP_ALARM, COLOR_RED, -1);
	}
}

static attr_t attribute(enum top_style style)
{
	switch (style) {
	case TOP_HEAD: return A_BOLD;
	case TOP_DIM: return A_DIM;
	case TOP_GOOD:
	case TOP_WARN: return A_BOLD | (attr_t)COLOR_PAIR(style);
	case TOP_ALARM: return A_BOLD | A_REVERSE | (attr_t)COLOR_PAIR(style);
	default: return A_NORMAL;
	}
}

/* ---- drawing ---- */

static void draw_line(int row, const struct top_line *l, int left)
{
	int column = -left, wide;

	for (size_t at = 0; at < l->len && column < COLS; column += wide) {
		size_t n = top_char(l, at, &wide);

		if (column >= 0 && column + wide <= COLS) {
			attrset(attribute(l->style[at]));
			mvaddnstr(row, column, l->text + at, (int)n);
		}
		at += n;
	}
	attrset(A_NORMAL);
}

static const char *const help[] = {
	"q, Ctrl-C      end",
	"p, space       pause; a recording goes on",
	"+ -            longer and shorter interval",
	"arrows, pages  move; Home: back to the top",
	"Ctrl-L         draw anew",
	"",
	"Rates are those of the last interval. tok/s is of the time spent on decoding,",
	"prompt/s of the time spent on prompts, busy the share of both in the interval.",
	"hit: L3 lookups that hit. miss: 64 bytes each. DRAM: mean of sampled fills.",
	"bus: share of the time in which a channel's data bus is in use.",
};

#define N_HELP (sizeof(help) / sizeof(*help))

/* Lines of the body: the last row is for the keys, if there is more than one. */
static size_t body_rows(void)
{
	return LINES > 1 ? (size_t)LINES - 1 : LINES > 0;
}

static void clamp(struct screen *s)
{
	size_t rows = body_rows(), most = s->text.n > rows ? s->text.n - rows : 0;

	s->top = s->top < most ? s->top : most;
	s->left = s->left < 0 ? 0 : s->left > TOP_LINE ? TOP_LINE : s->left;
}

static void draw_bar(const struct screen *s)
{
	size_t rows = body_rows();
	char bar[128];

	if (LINES < 2)
		return;
	snprintf(bar, sizeof(bar), "%severy %.4g s   q end  h help  p pause  + -%s", s->paused ? "PAUSED  " : "", s->interval,
		 s->text.n > rows ? "   more: arrows" : "");
	attrset(A_REVERSE);
	mvaddnstr(LINES - 1, 0, bar, COLS);
	attrset(A_NORMAL);
}

static void draw(struct screen *s)
{
	clamp(s);
	erase();
	if (s->help)
		for (size_t i = 0; i < N_HELP && i < body_rows(); i++)
			mvaddnstr((int)i, 0, help[i], COLS);
	else
		for (size_t i = 0; i < body_rows() && s->top + i < s->text.n; i++)
			draw_line((int)i, &s->text.line[s->top + i], s->left);
	draw_bar(s);
	wnoutrefresh(stdscr);
	doupdate();
}

/* ---- time and keys ---- */

static void take(struct screen *s, bool first)
{
	struct top t;

	top_take(s->source, &t, first ? NULL : &s->now);
	top_free(&s->now);
	s->now = t;
	if (!first)
		top_record_add(s->record, &t);
	if (!s->paused)
		top_text_make(&s->text, &t, s->interval);
}

static void change_interval(struct screen *s, double by)
{
	double to = s->interval * by;

	s->interval = fmin(TOP_INTERVAL_MAX, fmax(TOP_INTERVAL_MIN, to));
	s->next = fmin(s->next, now() + s->interval);
}

/* false: the end. */
static bool key(struct screen *s, int c)
{
	size_t page = body_rows() > 1 ? body_rows() - 1 : 1;

	if (s->help && c != KEY_RESIZE) {
		s->help = false;
		return c != 'q';
	}
	switch (c) {
	case 'q': case 'Q': return false;
	case 'h': case 'H': case '?': s->help = true; break;
	case 'p': case 'P': case ' ': s->paused = !s->paused; break;
	case '+': change_interval(s, 2); break;
	case '-': change_interval(s, 0.5); break;
	case KEY_DOWN: case 'j': s->top++; break;
	case KEY_UP: case 'k': s->top -= s->top > 0; break;
	case KEY_NPAGE: s->top += page; break;
	case KEY_PPAGE: s->top -= s->top < page ? s->top : page; break;
	case KEY_HOME: s->top = 0; s->left = 0; break;
	case KEY_END: s->top = s->text.n; break;
	case KEY_RIGHT: s->left += 8; break;
	case KEY_LEFT: s->left -= 8; break;
	case 'L' & 0x1f: clearok(stdscr, TRUE); break;
	default: break;
	}
	return true;
}

/* Waits for a key, a signal or the next snapshot's time. false: there will be no more keys. */
static bool wait_next(const struct screen *s)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	double left = fmax(0, s->next - now());
	struct timespec t = { .tv_sec = (time_t)left, .tv_nsec = (long)((left - floor(left)) * 1e9) };
	sigset_t block, before;
	int n = 0;

	sigemptyset(&block);
	sigaddset(&block, SIGINT);
	sigaddset(&block, SIGTERM);
	sigaddset(&block, SIGHUP);
	/* A signal that comes before the wait must end it, too. */
	sigprocmask(SIG_BLOCK, &block, &before);
	if (!ended)
		n = ppoll(&p, 1, &t, &before);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return n < 1 || !(p.revents & (POLLHUP | POLLERR | POLLNVAL));
}

int top_screen(struct top_source *source, struct top_record *record, double interval, unsigned long iterations)
{
	struct screen s = { .source = source, .record = record, .interval = interval, .text.utf8 = top_utf8() };
	unsigned long taken = 0;
	bool on = true;

	take_terminal();
	take(&s, true);
	s.next = s.now.taken + fmin(interval, FIRST_S);
	while (on && !ended) {
		int c;

		draw(&s);
		on = wait_next(&s);
		while (on && !ended && (c = getch()) != ERR)
			on = key(&s, c);
		if (!on || ended || now() < s.next)
			continue;
		take(&s, false);
		s.next = s.now.taken + s.interval;
		on = !iterations || ++taken < iterations;
	}
	endwin();
	before_die = NULL;
	top_text_free(&s.text);
	top_free(&s.now);
	return ended == SIGINT ? 0 : ended;
}
