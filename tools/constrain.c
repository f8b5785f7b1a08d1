// SPDX-License-Identifier: MIT
#include "constrain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

static char *file_text(const char *path, size_t *len)
{
	char *text;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("%s: %s", path, strerror(errno));
	text = read_all(fd, path, len);
	close(fd);
	return text;
}

/* The grammar that the options give or describe, for the caller to free, and what to call it; NULL: none. */
static char *grammar_text(const struct options *o, size_t *len, const char **name)
{
	const char *given = o->grammar ? o->grammar : o->schema;
	const char *path = o->grammar_file ? o->grammar_file : o->schema_file;
	struct zen5rt_error err;
	char *text, *gbnf;

	if (!given && !path)
		return NULL;
	*name = path ? path : o->grammar ? "--grammar" : "--json-schema";
	if (path) {
		text = file_text(path, len);
	} else {
		*len = strlen(given);
		text = strdup(given);
		if (!text)
			die("out of memory");
	}
	if (o->grammar || o->grammar_file)
		return text;
	if (zen5rt_grammar_from_schema(text, *len, &gbnf, &err))
		die("%s: %s", *name, err.message);
	free(text);
	*len = strlen(gbnf);
	return gbnf;
}

void constrain_open(struct constraint *c, const struct options *o, const struct zen5rt_vocab *vocab,
		    struct zen5rt_sampler *smp)
{
	struct zen5rt_error err;
	const char *name;
	size_t len;
	char *text = grammar_text(o, &len, &name);

	*c = (struct constraint){ NULL, NULL };
	if (!text)
		return;
	if (zen5rt_grammar_new(vocab, text, len, NULL, &c->grammar, &err))
		die("%s: %s", name, err.message);
	if (zen5rt_matcher_new(c->grammar, &c->matcher, &err) ||
	    zen5rt_sampler_set_matcher(smp, c->matcher, &err))
		die("%s", err.message);
	free(text);
}

void constrain_close(struct constraint *c)
{
	zen5rt_matcher_free(c->matcher);
	zen5rt_grammar_free(c->grammar);
}

void constrain_begin(struct constraint *c)
{
	if (c && c->matcher)
		zen5rt_matcher_reset(c->matcher);
}

void constrain_accept(struct constraint *c, int32_t id)
{
	struct zen5rt_error err;

	if (c && c->matcher && zen5rt_matcher_accept(c->matcher, id, &err))
		die("%s", err.message);
}

void constrain_stuck(struct constraint *c, int32_t ret, const char *model)
{
	struct zen5rt_error err;

	if (c && c->matcher && zen5rt_matcher_mask(c->matcher, NULL, 0, &err) < 0) {
		if (ret == -EDOM && zen5rt_matcher_can_end(c->matcher))
			return;
		die("%s", err.message);
	}
	if (ret != -EDOM)
		die("out of memory");
	die("%s: the logits are not numbers: the model's weights are damaged", model);
}
