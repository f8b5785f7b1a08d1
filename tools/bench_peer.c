// SPDX-License-Identifier: MIT
/* Other engines by their llama-bench, whose options and JSON llama.cpp and its forks share. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common.h"

extern char **environ;

#define MAX_ARGS 64

struct bench_peer bench_peer_parse(const char *arg)
{
	struct bench_peer p = { NULL, NULL, NULL };
	char *copy = strdup(arg), *eq, *word, *save = NULL;
	size_t n = 0;

	if (!copy)
		die("out of memory");
	eq = strchr(copy, '=');
	if (!eq || eq == copy || !eq[1])
		die("--peer %s: NAME=COMMAND, a llama-bench and its own options", arg);
	*eq = '\0';
	p.name = copy;
	p.args = calloc(MAX_ARGS + 1, sizeof(*p.args));
	if (!p.args)
		die("out of memory");
	for (word = strtok_r(eq + 1, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
		if (!p.path)
			p.path = word;
		else if (n < MAX_ARGS)
			p.args[n++] = word;
		else
			die("--peer %s: more than %d options", p.name, MAX_ARGS);
	}
	if (!p.path)
		die("--peer %s: no path", p.name);
	/* without a slash it is looked for in PATH, when it is run */
	if (strchr(p.path, '/') && access(p.path, X_OK))
		die("--peer %s: %s: %s", p.name, p.path, strerror(errno));
	return p;
}

/* What it prints to standard output, for the caller to free; its status as wait(2) has it. */
static char *run(char *const argv[], int *status, int *error)
{
	posix_spawn_file_actions_t fa;
	size_t len;
	int fd[2];
	char *text;
	pid_t pid;

	if (pipe(fd)) {
		*error = errno;
		return NULL;
	}
	posix_spawn_file_actions_init(&fa);
	posix_spawn_file_actions_adddup2(&fa, fd[1], 1);
	posix_spawn_file_actions_addclose(&fa, fd[0]);
	posix_spawn_file_actions_addclose(&fa, fd[1]);
	posix_spawn_file_actions_addopen(&fa, 0, "/dev/null", 0, 0);
	/* they tell of every model that they load */
	posix_spawn_file_actions_addopen(&fa, 2, "/dev/null", 1, 0);
	*error = posix_spawnp(&pid, argv[0], &fa, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&fa);
	close(fd[1]);
	if (*error) {
		close(fd[0]);
		return NULL;
	}
	text = read_all(fd[0], argv[0], &len);
	close(fd[0]);
	while (waitpid(pid, status, 0) < 0 && errno == EINTR)
		;
	return text;
}

/* The rate of the last result in the first line, and what follows, that begins a list; others print around it. */
static double rate_of(const char *text)
{
	double rate = NAN;

	while (*text && isnan(rate)) {
		json_t *list = *text == '[' ? json_loads(text, JSON_DISABLE_EOF_CHECK, NULL) : NULL;
		const json_t *last = json_array_get(list, json_array_size(list) - 1);
		const json_t *v = json_object_get(last, "avg_ts");

		if (json_is_number(v) && json_number_value(v) > 0)
			rate = json_number_value(v);
		json_decref(list);
		text += strcspn(text, "\n");
		text += *text != '\0';
	}
	return rate;
}

double bench_peer_run(const struct bench_peer *p, const char *model, const struct bench_test *t, uint32_t threads,
		      uint32_t ubatch, char *failed, size_t len)
{
	char pp[16], tg[16], pg[32], depth[16], n_threads[16], batch[16], *text;
	const char *argv[MAX_ARGS + 24];	/* the options that say what to run come last */
	int n = 0, status = 0, error = 0;
	double rate = NAN;

	snprintf(pp, sizeof(pp), "%u", t->tg ? 0 : t->pp);
	snprintf(tg, sizeof(tg), "%u", t->pp ? 0 : t->tg);
	snprintf(pg, sizeof(pg), "%u,%u", t->pp, t->tg);
	snprintf(depth, sizeof(depth), "%u", t->depth);
	snprintf(n_threads, sizeof(n_threads), "%u", threads);
	snprintf(batch, sizeof(batch), "%u", ubatch);
	argv[n++] = p->path;
	for (char **a = p->args; *a; a++)
		argv[n++] = *a;
	argv[n++] = "-m";
	argv[n++] = model;
	argv[n++] = "-p";
	argv[n++] = pp;
	argv[n++] = "-n";
	argv[n++] = tg;
	if (t->pp && t->tg) {
		argv[n++] = "-pg";
		argv[n++] = pg;
	}
	/* the oldest llama-bench knows no depth */
	if (t->depth) {
		argv[n++] = "-d";
		argv[n++] = depth;
	}
	argv[n++] = "-t";
	argv[n++] = n_threads;
	argv[n++] = "-ub";
	argv[n++] = batch;
	argv[n++] = "-r";
	argv[n++] = "1";
	argv[n++] = "-o";
	argv[n++] = "json";
	argv[n] = NULL;

	text = run((char *const *)argv, &status, &error);
	if (error)
		snprintf(failed, len, "%s: %s", p->path, strerror(error));
	else if (WIFSIGNALED(status))
		snprintf(failed, len, "%s: ended by signal %d", p->path, WTERMSIG(status));
	else if (status)
		snprintf(failed, len, "%s: exit status %d", p->path, WEXITSTATUS(status));
	else if (isnan(rate = rate_of(text)))
		snprintf(failed, len, "%s: no JSON with avg_ts", p->path);
	free(text);
	return rate;
}
