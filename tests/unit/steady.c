// SPDX-License-Identifier: MIT
/*
 * A thousand tokens through session, sampler and detokenizer: not a block, not a mapping, not a page more than
 * after a hundred.
 */
#include "alloc_inject.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <zen5rt.h>

#include "tests/tap.h"

#define MODEL "tests/golden/data/small-llama-Q4_0.gguf"
#define N_CTX 2048

/*
 * Bytes of memory of its own that this process has been given, on the page: /proc/self/statm is only about right, and
 * pages of files come and go as the machine likes.
 */
static long resident(void)
{
	static const char *const what[] = { "\nAnonymous:", "\nSwap:" };
	char buf[4096];
	int fd = open("/proc/self/smaps_rollup", O_RDONLY);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof(buf) - 1);
	long sum = 0;

	if (fd >= 0)
		close(fd);
	if (n <= 0)
		return -1;
	buf[n] = '\0';
	for (int i = 0; i < 2; i++) {
		const char *p = strstr(buf, what[i]);

		sum += p ? strtol(p + strlen(what[i]), NULL, 10) << 10 : 0;
	}
	return sum;
}

struct state {
	long count, live, mapped, resident;
};

static struct state state(void)
{
	return (struct state){ alloc_count, alloc_live, alloc_mapped, resident() };
}

/* Chooses n tokens. What was held after every hundredth goes to at[]. */
static uint64_t generate(struct zen5rt_model *m, struct zen5rt_session *s, unsigned int n, struct state *at)
{
	const struct zen5rt_vocab *v = zen5rt_model_vocab(m);
	struct zen5rt_sampler_params p;
	struct zen5rt_sampler *sampler;
	struct zen5rt_detok *d;
	uint64_t sum = 0;
	int32_t id = 1;

	zen5rt_sampler_params_init(&p);
	p.repeat_penalty = 1.1f;
	p.seed = 7;
	if (zen5rt_sampler_new(&p, zen5rt_vocab_size(v), &sampler, NULL) || zen5rt_detok_new(v, true, &d, NULL))
		abort();
	for (unsigned int i = 0; i < n; i++) {
		size_t len;

		if (zen5rt_eval(s, &id, 1, NULL))
			abort();
		id = zen5rt_sampler_pick(sampler, zen5rt_logits(s));
		zen5rt_sampler_accept(sampler, id);
		zen5rt_detok_next(d, id, &len);
		sum = sum * 31 + (uint64_t)id + len;
		if ((i + 1) % 100 == 0 && at)
			at[i / 100] = state();
	}
	zen5rt_detok_free(d);
	zen5rt_sampler_free(sampler);
	return sum;
}

int main(void)
{
	struct zen5rt_session_params sp;
	struct zen5rt_params p;
	struct zen5rt_error err = { "" };
	struct zen5rt_session *s;
	struct zen5rt_model *m;
	struct state at[10], before;
	struct zen5rt *rt;
	uint64_t first;
	int bad = 0;

	/* the kernel may join pages in the background, and fill what is missing */
	prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
	zen5rt_params_init(&p);
	p.n_threads = 2;
	zen5rt_session_params_init(&sp);
	sp.n_ctx = N_CTX;
	if (!ok(!zen5rt_open(&p, &rt, &err) && !zen5rt_model_load(rt, MODEL, &m, &err) &&
		!zen5rt_session_new(m, &sp, &s, &err), "a session of %d positions: %s", N_CTX, err.message))
		return done();
	/*
	 * the cache is memory that was promised: a first round touches it, and whatever else is used for the first
	 * time
	 */
	first = generate(m, s, 1000, NULL);
	zen5rt_session_rewind(s, 0);
	before = state();
	ok(generate(m, s, 1000, at) == first, "a thousand tokens, the same the second time");
	for (int i = 1; i < 10; i++) {
		if (at[i].count == at[0].count && at[i].live == at[0].live && at[i].mapped == at[0].mapped &&
		    at[i].resident <= at[0].resident)
			continue;
		bad++;
		diag("after %d tokens: %ld allocations, %ld blocks, %ld mapped and %ld resident bytes more than after 100",
		     (i + 1) * 100, at[i].count - at[0].count, at[i].live - at[0].live, at[i].mapped - at[0].mapped,
		     at[i].resident - at[0].resident);
	}
	ok(!bad && at[0].resident > 0, "900 of them allocate nothing and %ld KiB stay resident", at[0].resident >> 10);
	ok(alloc_live == before.live && alloc_mapped == before.mapped, "sampler and detokenizer leave nothing behind");
	zen5rt_session_free(s);
	zen5rt_model_free(m);
	zen5rt_close(rt);
	return done();
}
