// SPDX-License-Identifier: MIT
#include "generate.h"

#include <errno.h>
#include <string.h>
#include <time.h>

#include "common.h"
#include "constrain.h"
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

void emit(void *user, const char *text, size_t len)
{
	int ret;

	if (user) {
		fwrite(text, 1, len, user);
		return;
	}
	ret = write_all(1, text, len);
	if (ret && !(ret == -EINTR && interrupted))
		die("standard output: %s", strerror(-ret));
}

/* Evaluates the token that was chosen last; NULL, or why the answer ends here. */
static const char *advance(const struct generation *g, struct run *r)
{
	struct zen5rt_session *s = r->session;
	struct zen5rt_error err;
	int ret;

	if (zen5rt_session_pos(s) == zen5rt_session_n_ctx(s)) {
		ret = g->full ? g->full(g->user) : -ENOSPC;
		if (ret)
			return ret == -ECANCELED ? "interrupted" : "context full";
	}
	ret = zen5rt_eval(s, r->ids + r->n_prompt + r->n_out - 1, 1, &err);
	if (ret == -ECANCELED)
		return "interrupted";
	if (ret)
		die("%s", err.message);
	r->n_eval++;
	return NULL;
}

void generate(const struct generation *g, struct run *r)
{
	const struct zen5rt_vocab *vocab = zen5rt_model_vocab(r->model);
	const struct options *o = g->o;
	double start = now();

	constrain_begin(r->constraint);
	r->end = NULL;
	while (!r->end) {
		int32_t id;

		if (o->n_predict >= 0 && r->n_out >= (size_t)o->n_predict) {
			r->end = "length";
			break;
		}
		if (interrupted) {
			r->end = "interrupted";
			break;
		}
		id = zen5rt_sampler_pick(g->sampler, zen5rt_logits(r->session));
		if (id < 0) {
			constrain_stuck(r->constraint, id, o->model);
			r->end = "grammar";
			break;
		}
		if (r->n_out == 0)
			r->first_s = now() - r->prompt_start;
		if ((zen5rt_vocab_is_eog(vocab, id) || id == g->end) && !o->ignore_eos) {
			r->end = "eos";
			break;
		}
		zen5rt_sampler_accept(g->sampler, id);
		constrain_accept(r->constraint, id);
		r->ids[r->n_prompt + r->n_out++] = id;
		if (answer_token(g->answer, id))
			r->end = "stop";
		else if (o->n_predict < 0 || r->n_out < (size_t)o->n_predict)
			r->end = advance(g, r);
		if (g->answer->failed)
			die("out of memory");
	}
	r->decode_s = now() - start;
}
