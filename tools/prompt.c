// SPDX-License-Identifier: MIT
#include "prompt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

struct ids parse_ids(const char *s)
{
	struct ids r = { malloc((strlen(s) / 2 + 1) * sizeof(int32_t)), 0 };

	if (!r.id)
		die("out of memory");
	while (*s) {
		char *end;
		long long v;

		errno = 0;
		v = strtoll(s, &end, 10);
		if (end == s || errno || v < 0 || v > INT32_MAX || (*end && (*end != ',' || !end[1])))
			die("--tokens: expected ids separated by commas, found \"%.20s\"", s);
		r.id[r.n++] = (int32_t)v;
		s = *end ? end + 1 : end;
	}
	if (!r.n)
		die("--tokens: no ids");
	return r;
}

struct ids prompt_ids(const struct zen5rt_vocab *v, const char *text, size_t len)
{
	const unsigned int flags = ZEN5RT_TOKENIZE_BOS | ZEN5RT_TOKENIZE_SPECIAL;
	struct zen5rt_error err;
	struct ids r;
	int64_t n = zen5rt_tokenize(v, text, len, flags, NULL, 0, &err);

	if (n < 0)
		die("%s", err.message);
	r.n = (size_t)n;
	r.id = malloc((r.n + 1) * sizeof(*r.id));
	if (!r.id)
		die("out of memory");
	if (zen5rt_tokenize(v, text, len, flags, r.id, r.n, &err) < 0)
		die("%s", err.message);
	return r;
}

char *prompt_text(const struct options *a, size_t *len)
{
	char *text;
	int fd;

	if (a->tokens)
		return NULL;
	if (a->prompt) {
		*len = strlen(a->prompt);
		text = strdup(a->prompt);
		if (!text)
			die("out of memory");
		return text;
	}
	if (!a->prompt_file || !strcmp(a->prompt_file, "-")) {
		if (!a->prompt_file && isatty(0))
			die("no prompt: give one with -p TEXT, -f FILE or on standard input");
		return read_all(0, "standard input", len);
	}
	fd = open(a->prompt_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", a->prompt_file, strerror(errno));
	text = read_all(fd, a->prompt_file, len);
	close(fd);
	return text;
}
