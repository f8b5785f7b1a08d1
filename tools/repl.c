// SPDX-License-Identifier: MIT
#include "repl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"
#include "lineedit.h"
#include "watch.h"

/* ---- turns from a pipe or a file ---- */

/* The next turn: a line, and the lines after it where a backslash ends one. False at the end of the input. */
static bool next_turn(char **text, size_t *len)
{
	char *line = NULL;
	size_t cap = 0, had = 0;
	ssize_t n;

	*text = NULL;
	*len = 0;
	while ((n = getline(&line, &cap, stdin)) >= 0) {
		size_t k = (size_t)n;
		bool more;

		if (k && line[k - 1] == '\n')
			k--;
		more = k && line[k - 1] == '\\';
		if (more)
			line[k - 1] = '\n';
		*text = realloc(*text, had + k + 1);
		if (!*text)
			die("out of memory");
		memcpy(*text + had, line, k);
		had += k;
		if (!more)
			break;
	}
	free(line);
	if (!*text && ferror(stdin) && !interrupted)
		die("standard input: %s", strerror(errno));
	*len = had;
	return *text != NULL;
}

static int lines(struct converse *c)
{
	struct zen5rt_error err;
	char *text;
	size_t len;
	int ret = 0;

	while (!interrupted && next_turn(&text, &len)) {
		ret = len ? converse_say(c, text, len, &err) : 0;
		free(text);
		if (ret == -ENOSPC)
			die("%s", err.message);
		if (ret || !len)
			continue;
		putchar('\n');
		finish_stdout();
		if (!strcmp(c->run->end, "context full"))
			c->note("the context is full: the answer ends here");
	}
	return interrupted ? 130 : 0;
}

/* ---- turns from a terminal ---- */

static const char help[] =
	"/help            this list\n"
	"/clear           forget the conversation\n"
	"/system [TEXT]   tell the model TEXT before a new conversation; without TEXT show what it was told\n"
	"/stats           load time and rates of the last turn\n"
	"/exit            leave, as Ctrl-D does\n"
	"A backslash at the end of a line continues the text on the next one. Ctrl-C stops an answer.\n"
	"To say a text that begins with a slash, put a space before it.\n";

/* A line that begins with a slash; true if it says to leave. */
static bool command(struct converse *c, char *line)
{
	size_t n = strcspn(line, " \t\n");
	const char *arg = line + n + strspn(line + n, " \t\n");

	if (n == 5 && !strncmp(line, "/exit", n))
		return true;
	if (n == 5 && !strncmp(line, "/help", n)) {
		fputs(help, stderr);
	} else if (n == 6 && !strncmp(line, "/clear", n)) {
		char *system = converse_system(c) ? strdup(converse_system(c)) : NULL;

		converse_clear(c, system);
		free(system);
	} else if (n == 7 && !strncmp(line, "/system", n) && *arg) {
		converse_clear(c, arg);
	} else if (n == 7 && !strncmp(line, "/system", n)) {
		fprintf(stderr, "%s\n", converse_system(c) ? converse_system(c) : "(nothing)");
	} else if (n == 6 && !strncmp(line, "/stats", n)) {
		if (c->run->end)
			summary(c->run);
		else
			fputs("(no turn yet)\n", stderr);
	} else {
		fprintf(stderr, "no command %.*s; /help lists them\n", (int)(n < 40 ? n : 40), line);
	}
	return false;
}

static void say(struct converse *c, const char *text)
{
	struct zen5rt_error err;
	int ret = converse_say(c, text, strlen(text), &err);

	if (ret == -ENOSPC)
		c->note(err.message);
	else if (ret)
		c->note("stopped before the answer began; the question is forgotten");
	if (ret)
		return;
	putchar('\n');
	finish_stdout();
	if (!strcmp(c->run->end, "context full"))
		c->note("the context is full: the answer ends here");
}

static int terminal(struct converse *c)
{
	struct lineedit *le = lineedit_open();
	struct zen5rt_model_info info;
	bool leave = false, warned = false;
	char *text;

	zen5rt_model_info(c->run->model, &info);
	fprintf(stderr, "%s%s%s, chat template %s; /help lists commands, Ctrl-D leaves\n", info.arch,
		*info.name ? " " : "", info.name, c->template->name);
	while (!leave) {
		enum lineedit_end end = lineedit_read(le, "> ", &text);

		interrupted = 0;
		if (end == LINEEDIT_EOF || (end == LINEEDIT_INTERRUPT && warned))
			leave = true;
		else if (end == LINEEDIT_INTERRUPT)
			fputs("(Ctrl-C again or Ctrl-D leaves)\n", stderr);
		else if (*text == '/')
			leave = command(c, text);
		else if (text[strspn(text, " \t\n")])
			say(c, text);
		interrupted = 0;
		warned = end == LINEEDIT_INTERRUPT;
		free(text);
	}
	lineedit_close(le);
	return 0;
}

int repl(struct converse *c)
{
	return isatty(0) ? terminal(c) : lines(c);
}
