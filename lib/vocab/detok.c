// SPDX-License-Identifier: MIT
/*
 * From ids to text. Tokens are bytes, and a character may be spread over several of them: a
 * small machine lets out whole characters only. What cannot become one is U+FFFD, one for
 * each maximal subpart (Unicode, chapter 3, "U+FFFD Substitution of Maximal Subparts").
 */
#include "error.h"
#include "internal.h"
#include "utf8.h"

#include <errno.h>
#include <stdlib.h>

struct zen5rt_detok {
	const struct zen5rt_vocab *v;
	bool special;
	bool start;		/* a leading space would be the one that the tokenizer put there */
	uint8_t held[4];
	unsigned int n_held;
	struct utf8_lead need;	/* what must follow the bytes held */
	char *out;
	size_t n;
};

int zen5rt_detok_new(const struct zen5rt_vocab *v, bool special, struct zen5rt_detok **detok,
		     struct zen5rt_error *err)
{
	struct zen5rt_detok *d = calloc(1, sizeof(*d));

	/* Each byte can at worst become a U+FFFD of three, and so can what is held. */
	if (d)
		d->out = malloc(3 * (size_t)v->max_len + 8);
	if (!d || !d->out) {
		free(d);
		return z5_fail(err, -ENOMEM, "out of memory for a detokenizer");
	}
	d->v = v;
	d->special = special;
	d->start = true;
	*detok = d;
	return 0;
}

void zen5rt_detok_free(struct zen5rt_detok *d)
{
	if (!d)
		return;
	free(d->out);
	free(d);
}

static void detok_put(struct zen5rt_detok *d, const void *p, size_t len)
{
	memcpy(d->out + d->n, p, len);
	d->n += len;
}

static void detok_bad(struct zen5rt_detok *d)
{
	detok_put(d, "\xef\xbf\xbd", 3);
	d->n_held = 0;
}

static void detok_byte(struct zen5rt_detok *d, uint8_t b)
{
	if (d->n_held && b >= d->need.lo && b <= d->need.hi) {
		d->held[d->n_held++] = b;
		d->need = (struct utf8_lead){ d->need.more - 1, 0x80, 0xbf };
		if (!d->need.more) {
			detok_put(d, d->held, d->n_held);
			d->n_held = 0;
		}
		return;
	}
	if (d->n_held)
		detok_bad(d);
	d->need = utf8_lead(b);
	if (d->need.more) {
		d->held[0] = b;
		d->n_held = 1;
	} else if (d->need.lo > d->need.hi) {
		detok_bad(d);
	} else {
		detok_put(d, &b, 1);
	}
}

/* The bytes of an ordinary token where U+2581 is a space. */
static void detok_escaped(struct zen5rt_detok *d, struct gguf_str s)
{
	bool strip = d->start && d->v->add_space_prefix;

	for (size_t i = 0; i < s.len; ) {
		if (s.len - i >= 3 && !memcmp(s.p + i, "\xe2\x96\x81", 3)) {
			if (!strip)
				detok_byte(d, ' ');
			i += 3;
		} else {
			detok_byte(d, (uint8_t)s.p[i++]);
		}
		strip = false;
	}
}

static const char *detok_done(struct zen5rt_detok *d, size_t *len)
{
	d->out[d->n] = '\0';
	if (len)
		*len = d->n;
	return d->out;
}

const char *zen5rt_detok_next(struct zen5rt_detok *d, int32_t id, size_t *len)
{
	const struct zen5rt_vocab *v = d->v;
	struct gguf_str s;
	int b = -1;

	d->n = 0;
	if (id < 0 || (uint32_t)id >= v->n)
		return detok_done(d, len);
	s = z5_strtab_get(&v->str, (uint32_t)id);
	if (z5_vocab_reserved(v, (uint32_t)id) || v->type[id] == Z5_TOKEN_USER) {
		for (size_t i = 0; i < s.len && (d->special || v->type[id] == Z5_TOKEN_USER); i++)
			detok_byte(d, (uint8_t)s.p[i]);
		d->start = true;
		return detok_done(d, len);
	}
	if (v->type[id] == Z5_TOKEN_BYTE)
		b = z5_vocab_byte_name(s);
	if (b >= 0)
		detok_byte(d, (uint8_t)b);
	else if (v->escape)
		detok_escaped(d, s);
	else
		for (size_t i = 0; i < s.len; i++)
			detok_byte(d, (uint8_t)s.p[i]);
	if (s.len)
		d->start = false;
	return detok_done(d, len);
}

const char *zen5rt_detok_end(struct zen5rt_detok *d, size_t *len)
{
	d->n = 0;
	if (d->n_held)
		detok_bad(d);
	d->start = true;
	return detok_done(d, len);
}
