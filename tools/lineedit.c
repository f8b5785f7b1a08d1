// SPDX-License-Identifier: MIT
#include "lineedit.h"

#include <errno.h>
#include <fcntl.h>
#include <histedit.h>
#include <locale.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <wchar.h>

#include "common.h"
#include "watch.h"

#define HISTORY_LINES 1000

struct lineedit {
	EditLine *el;
	History *history;
	char *path;			/* of the history; NULL: none */
	const char *prompt;
	struct sigaction old[3];
};

/* ---- signals: flags only, looked at where the terminal is read ---- */

static const int caught[] = { SIGTERM, SIGHUP, SIGCONT };
static volatile sig_atomic_t ending, continued;

/* A signal that ends the process must not leave the terminal without echo. */
static void on_signal(int sig)
{
	if (sig == SIGCONT) {
		continued = 1;
		return;
	}
	ending = sig;
	interrupted = 1;
}

/* libedit's way to a character: ends the line at a Ctrl-C, which its own would read on from. */
static int get_char(EditLine *el, wchar_t *out)
{
	mbstate_t state = { 0 };

	for (;;) {
		char byte;
		ssize_t n = interrupted ? -1 : read(0, &byte, 1);

		if (interrupted)
			return -1;
		if (n < 0 && errno == EINTR) {
			if (continued) {
				continued = 0;
				/* the shell has set the terminal for itself meanwhile */
				el_set(el, EL_PREP_TERM, 1);
				el_set(el, EL_REFRESH);
			}
			el_resize(el);
			continue;
		}
		if (n <= 0)
			return (int)n;
		switch (mbrtowc(out, &byte, 1, &state)) {
		case (size_t)-2:
			continue;
		case (size_t)-1:
			*out = L'?';
			return 1;
		default:
			return 1;
		}
	}
}

static char *get_prompt(EditLine *el)
{
	struct lineedit *le;

	el_get(el, EL_CLIENTDATA, &le);
	return (char *)le->prompt;
}

/* ---- history ---- */

/* The file's path, its directories made; NULL where there is no place for it. */
static char *history_path(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	char *path = NULL;
	int n;

	/* the XDG base directory specification: a relative path is to be ignored */
	if (state && *state == '/')
		n = asprintf(&path, "%s/zen5mem/history", state);
	/* a home that is not there is not meant to be: /nonexistent, as Debian gives to services */
	else if (home && *home == '/' && !access(home, F_OK))
		n = asprintf(&path, "%s/.local/state/zen5mem/history", home);
	else
		return NULL;
	if (n < 0)
		return NULL;
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		mkdir(path, 0700);
		*p = '/';
	}
	return path;
}

static void load_history(struct lineedit *le)
{
	HistEvent ev;

	if (le->path)
		history(le->history, &ev, H_LOAD, le->path);
}

/* Written beside and renamed, so that a process that dies here leaves the old one whole. */
static void save_history(struct lineedit *le)
{
	HistEvent ev;
	char *temp;
	FILE *f;
	int fd;

	if (!le->path || asprintf(&temp, "%s.XXXXXX", le->path) < 0)
		return;
	/* mode 0600 is what mkostemp() makes */
	fd = mkostemp(temp, O_CLOEXEC);
	f = fd < 0 ? NULL : fdopen(fd, "w");
	if (!f) {
		if (fd >= 0)
			close(fd);
	} else {
		bool bad = history(le->history, &ev, H_SAVE_FP, f) < 0;

		bad |= fclose(f) != 0;
		if (bad || rename(temp, le->path))
			unlink(temp);
	}
	free(temp);
}

static void remember(struct lineedit *le, const char *text)
{
	HistEvent ev;

	if (!text[strspn(text, " \t\n")])
		return;
	history(le->history, &ev, H_ENTER, text);
	save_history(le);
}

/* ---- lines ---- */

struct lineedit *lineedit_open(void)
{
	struct lineedit *le = calloc(1, sizeof(*le));
	struct sigaction sa = { .sa_handler = on_signal };
	HistEvent ev;

	if (!le)
		die("out of memory");
	/* characters of more than a byte, also where no locale is set */
	setlocale(LC_CTYPE, "");
	if (MB_CUR_MAX == 1)
		setlocale(LC_CTYPE, "C.UTF-8");
	le->el = el_init("zen5-run", stdin, isatty(1) ? stdout : stderr, stderr);
	le->history = history_init();
	if (!le->el || !le->history)
		die("out of memory");
	history(le->history, &ev, H_SETSIZE, HISTORY_LINES);
	history(le->history, &ev, H_SETUNIQUE, 1);
	el_set(le->el, EL_CLIENTDATA, le);
	el_set(le->el, EL_PROMPT, get_prompt);
	el_set(le->el, EL_EDITOR, "emacs");
	el_set(le->el, EL_SIGNAL, 0);
	el_set(le->el, EL_HIST, history, le->history);
	el_set(le->el, EL_GETCFN, get_char);
	el_source(le->el, NULL);
	le->path = history_path();
	load_history(le);
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaction(caught[i], &sa, &le->old[i]);
	return le;
}

void lineedit_close(struct lineedit *le)
{
	for (size_t i = 0; i < sizeof(caught) / sizeof(*caught); i++)
		sigaction(caught[i], &le->old[i], NULL);
	history_end(le->history);
	el_end(le->el);
	free(le->path);
	free(le);
	if (ending)
		raise(ending);
}

static enum lineedit_end stopped(struct lineedit *le, char **text)
{
	fputc('\n', isatty(1) ? stdout : stderr);
	fflush(stdout);
	free(*text);
	*text = NULL;
	el_reset(le->el);
	return interrupted && !ending ? LINEEDIT_INTERRUPT : LINEEDIT_EOF;
}

enum lineedit_end lineedit_read(struct lineedit *le, const char *prompt, char **text)
{
	size_t len = 0;

	*text = NULL;
	le->prompt = prompt;
	watch_prompt(true);
	for (;;) {
		const char *line;
		int n = 0;
		size_t k;
		bool more;

		/* before the prompt, not after it as libedit would: what is typed at once must not be echoed twice */
		el_set(le->el, EL_PREP_TERM, 1);
		line = el_gets(le->el, &n);
		k = line && n > 0 ? (size_t)n : 0;
		if (interrupted || ending || !k) {
			watch_prompt(false);
			return stopped(le, text);
		}
		if (line[k - 1] == '\n')
			k--;
		more = k && line[k - 1] == '\\';
		*text = realloc(*text, len + k + 1);
		if (!*text)
			die("out of memory");
		memcpy(*text + len, line, k);
		len += k;
		if (!more)
			break;
		(*text)[len - 1] = '\n';
		le->prompt = "  ";
	}
	(*text)[len] = '\0';
	watch_prompt(false);
	remember(le, *text);
	return LINEEDIT_LINE;
}
