// SPDX-License-Identifier: MIT
#include "generate.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "watch.h"

struct zen5rt_sampler *make_sampler(const struct options *o, uint32_t n_vocab, uint64_t *seed)
{
	struct zen5rt_sampler_params p = o->sampler;
	struct zen5rt_sampler *smp;
	struct zen5rt_error err;

	p.seed = (uint64_t)o->seed;
	if (o->seed < 0) {
		struct timespec t;

		clock_gettime(CLOCK_REALTIME, &t);
		p.seed = ((uint64_t)t.tv_sec * 1000000007u + (uint64_t)t.tv_nsec) >> 1 & 0xffffffff;
	}
	*seed = p.seed;
	if (zen5rt_sampler_new(&p, n_vocab, &smp, &err))
		die("%s", err.message);
	return smp;
}

void emit(FILE *keep, const char *text, size_t len)
{
	int ret;

	if (keep) {
		fwrite(text, 1, len, keep);
		return;
	}
	ret = write_all(1, text, len);
	if (ret && !(ret == -EINTR && interrupted))
		die("standard output: %s", strerror(-ret));
}

void generate(const struct options *o, struct zen5rt_sampler *smp, FILE *keep, struct run *r)
{
	const struct zen5rt_vocab *vocab = zen5rt_model_vocab(r->model);
	struct zen5rt_session *s = r->session;
	struct zen5rt_detok *detok;
	struct zen5rt_error err;
	const char *text;
	double start = now();
	size_t len;
	int ret;

	if (zen5rt_detok_new(vocab, false, &detok, &err))
		die("%s", err.message);
	/* the prompt goes through the detokenizer, so that what follows is spaced as its continuation */
	for (size_t i = 0; i < r->n_prompt; i++) {
		text = zen5rt_detok_next(detok, r->ids[i], &len);
		if (!o->no_display && !o->json)
			emit(keep, text, len);
	}
	r->end = "length";
	for (;;) {
		int32_t id;

		if (o->n_predict >= 0 && r->n_out >= (size_t)o->n_predict)
			break;
		if (interrupted) {
			r->end = "interrupted";
			break;
		}
		id = zen5rt_sampler_pick(smp, zen5rt_logits(s));
		if (id < 0)
			die("%s: the logits are not numbers: the model's weights are damaged", o->model);
		if (r->n_out == 0)
			r->first_s = now() - r->prompt_start;
		if (zen5rt_vocab_is_eog(vocab, id) && !o->ignore_eos) {
			r->end = "eos";
			break;
		}
		zen5rt_sampler_accept(smp, id);
		r->ids[r->n_prompt + r->n_out++] = id;
		text = zen5rt_detok_next(detok, id, &len);
		emit(keep, text, len);
		if (zen5rt_session_pos(s) == zen5rt_session_n_ctx(s)) {
			r->end = "context full";
			break;
		}
		if (o->n_predict >= 0 && r->n_out >= (size_t)o->n_predict)
			break;
		ret = zen5rt_eval(s, &id, 1, &err);
		if (ret == -ECANCELED) {
			r->end = "interrupted";
			break;
		}
		if (ret)
			die("%s", err.message);
		r->n_eval++;
	}
	text = zen5rt_detok_end(detok, &len);
	emit(keep, text, len);
	r->decode_s = now() - start;
	zen5rt_detok_free(detok);
}
