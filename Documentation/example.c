// SPDX-License-Identifier: MIT
/* Continues a text with libzen5rt: cc example.c $(pkg-config --cflags --libs zen5rt) && ./a.out model.gguf "Once upon" */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zen5rt.h>

int main(int argc, char **argv)
{
	struct zen5rt_sampler_params sp;
	struct zen5rt_sampler *sampler;
	struct zen5rt_session *session;
	struct zen5rt_detok *detok;
	struct zen5rt_model *model;
	struct zen5rt_error e;
	struct zen5rt *rt;
	int32_t ids[512];
	int64_t n;

	if (argc != 3)
		errx(64, "usage: example MODEL.gguf TEXT");

	/* one runtime, one model, one session: NULL takes every default */
	if (zen5rt_open(NULL, &rt, &e) || zen5rt_model_load(rt, argv[1], &model, &e) ||
	    zen5rt_session_new(model, NULL, &session, &e))
		errx(1, "%s", e.message);

	const struct zen5rt_vocab *vocab = zen5rt_model_vocab(model);

	n = zen5rt_tokenize(vocab, argv[2], strlen(argv[2]), ZEN5RT_TOKENIZE_BOS, ids, 512, &e);
	if (n < 0 || n > 512)
		errx(1, "%s", n < 0 ? e.message : "the text has more than 512 tokens");

	zen5rt_sampler_params_init(&sp);
	sp.seed = 1;
	if (zen5rt_sampler_new(&sp, zen5rt_vocab_size(vocab), &sampler, &e) ||
	    zen5rt_detok_new(vocab, false, &detok, &e) ||
	    zen5rt_eval(session, ids, (size_t)n, &e))
		errx(1, "%s", e.message);
	for (int64_t i = 0; i < n; i++)
		fputs(zen5rt_detok_next(detok, ids[i], NULL), stdout);

	/* choose a token, print what it adds, feed it back, until the answer ends */
	for (int i = 0; i < 100; i++) {
		int32_t id = zen5rt_sampler_pick(sampler, zen5rt_logits(session));

		if (id < 0 || zen5rt_vocab_is_eog(vocab, id))
			break;
		fputs(zen5rt_detok_next(detok, id, NULL), stdout);
		zen5rt_sampler_accept(sampler, id);
		if (zen5rt_eval(session, &id, 1, &e))
			errx(1, "%s", e.message);
	}
	puts(zen5rt_detok_end(detok, NULL));

	zen5rt_detok_free(detok);
	zen5rt_sampler_free(sampler);
	zen5rt_session_free(session);
	zen5rt_model_free(model);
	zen5rt_close(rt);
	return 0;
}
