// SPDX-License-Identifier: MIT
#include "constrain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common.h"

/* The text of the grammar, for the caller to free; NULL if none is asked for. */
static char *grammar_text(const struct options *o, size_t *len)
{
	char *text;
	int fd;

	if (o->grammar) {
		text = strdup(o->grammar);
		if (!text)
			die("out of memory");
		*len = strlen(text);
		return text;
	}
	if (!o->grammar_file)
		return NULL;
	fd = open(o->grammar_file, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("%s: %s", o->grammar_file, strerror(errno));
	text = read_all(fd, o->grammar_file, len);
	close(fd);
	return text;
}

void constrain_open(struct constraint *c, const struct options *o, const struct zen5rt_vocab *vocab,
		    struct zen5rt_sampler *smp)
{
	const char *name = o->grammar_file ? o->grammar_file : "--grammar";
	struct zen5rt_error err;
	size_t len;
	char *text = grammar_text(o, &len);

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
