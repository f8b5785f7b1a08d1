// SPDX-License-Identifier: MIT
/* Attention: head sizes, chunk edges, queries that see different numbers of positions. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#include <kernels/scalar.h>

#define MAX_Q 9

struct case_of_attn {
	size_t hd_k, hd_v;
	unsigned int n_q;
	uint32_t n_kv[MAX_Q];
	enum shape shape;
	bool high;
	uint32_t window;	/* 0: none */
	float softcap;
	bool sinks;
};

static bool same(const struct level *l, const struct case_of_attn *c)
{
	const float *q[MAX_Q];
	float *want[MAX_Q], *got[MAX_Q], *qs, *ys, *zs, *k, *v;
	struct z5_attn a = { .hd_k = c->hd_k,
			     .hd_v = c->hd_v,
			     .scale = 1.0f / sqrtf((float)c->hd_k),
			     .n_q = c->n_q,
			     .q = q,
			     .n_kv = c->n_kv };
	size_t most = 0, n_k, n_v, n_out = c->n_q * c->hd_v, i;
	uint32_t from[MAX_Q];
	float sinks[MAX_Q];

	for (i = 0; i < c->n_q; i++) {
		most = c->n_kv[i] > most ? c->n_kv[i] : most;
		from[i] = c->window && c->n_kv[i] > c->window ? c->n_kv[i] - c->window : 0;
		sinks[i] = rnd_normal();
	}
	a.from = c->window ? from : NULL;
	a.sinks = c->sinks ? sinks : NULL;
	a.softcap = c->softcap;
	n_k = (most + 15) / 16 * 16 * c->hd_k;
	n_v = most * c->hd_v;
	k = guarded(SLOT_W, n_k * sizeof(float), c->high);
	v = guarded(SLOT_X, n_v * sizeof(float), c->high);
	qs = guarded(SLOT_AUX, c->n_q * c->hd_k * sizeof(float), c->high);
	ys = guarded(SLOT_Y, n_out * sizeof(float), c->high);
	zs = guarded(SLOT_Z, n_out * sizeof(float), c->high);
	a.state = guarded(SLOT_AUX2, 2 * c->n_q * sizeof(float), c->high);
	a.k = k;
	a.v = v;
	fill_floats(k, n_k, c->shape);
	fill_floats(v, n_v, c->shape);
	fill_floats(qs, c->n_q * c->hd_k, c->shape);

	/* lanes of the last group that no query sees: finite, and larger than any score */
	for (size_t p = most; p < (most + 15) / 16 * 16; p++)
		for (size_t d = 0; d < c->hd_k; d++)
			k[(p / 16 * c->hd_k + d) * 16 + p % 16] = 1e18f * rnd_normal();
	for (i = 0; i < c->n_q; i++) {
		q[i] = qs + i * c->hd_k;
		want[i] = ys + i * c->hd_v;
		got[i] = zs + i * c->hd_v;
	}

	a.out = want;
	l->ref->attn(&a);
	memset(a.state, CANARY, 2 * c->n_q * sizeof(float));
	a.out = got;
	l->k->attn(&a);

	i = differ(ys, zs, n_out);
	if (i == n_out && guards_whole(SLOT_Z) && guards_whole(SLOT_AUX2))
		return true;
	note("hd_k %zu, hd_v %zu, n_q %u, n_kv[0] %u, most %zu, window %u, softcap %g, sinks %d, %s%s", c->hd_k,
	     c->hd_v, c->n_q, c->n_kv[0], most, c->window, (double)c->softcap, c->sinks, shape_name(c->shape),
	     i == n_out ? ": written outside of out or state" : "");
	if (i < n_out)
		note("query %zu (sees %u), dimension %zu: ref %08x (%g), %s %08x (%g)", i / c->hd_v,
		     c->n_kv[i / c->hd_v], i % c->hd_v, z5_f32_bits(ys[i]), (double)ys[i],
		     l->k->level, z5_f32_bits(zs[i]), (double)zs[i]);
	return false;
}

static bool all_same(const struct level *l)
{
	static const size_t hd_k[] = { 8, 24, 48, 64, 80, 128, 1, 33 };
	static const size_t hd_v[] = { 16, 32, 48, 64, 80, 96, 112, 128 };
	struct case_of_attn c;

	for (size_t i = 0; i < sizeof(hd_k) / sizeof(*hd_k); i++) {
		for (size_t j = 0; j < sizeof(hd_v) / sizeof(*hd_v); j++) {
			for (unsigned int shape = 0; shape < N_SHAPES; shape++) {
				for (unsigned int n_q = 1; n_q <= MAX_Q; n_q++) {
					c = (struct case_of_attn){
						hd_k[i], hd_v[j], n_q, { 0 },
						(enum shape)shape, rnd_below(2), 0, 0, false
					};
					for (unsigned int q = 0; q < n_q; q++)
						c.n_kv[q] = 1 + rnd_below(rnd_below(2) ? 200 : 20);
					if (!same(l, &c))
						return false;
				}
			}
		}
	}
	/* a batch of a prompt: each query sees one position more, over every edge of a chunk */
	for (uint32_t n = 1; n <= 200; n++) {
		c = (struct case_of_attn){ 24, 48, 1 + n % MAX_Q, { 0 }, SHAPE_NORMAL, n % 2, 0, 0, false };
		for (unsigned int q = 0; q < c.n_q; q++)
			c.n_kv[q] = n + q;
		if (!same(l, &c))
			return false;
		for (unsigned int q = 0; q < c.n_q; q++)
			c.n_kv[q] = n;
		c.hd_v = 64;
		if (!same(l, &c))
			return false;
	}
	/* windows whose edges fall on every place of a chunk, and what else bends the scores */
	for (uint32_t n = 1; n <= 300; n++) {
		c = (struct case_of_attn){ 24, 48, 1 + n % MAX_Q, { 0 }, (enum shape)(n % N_SHAPES), n % 2,
					   1 + rnd_below(n % 3 ? 150 : 20), n % 4 ? 0 : 50.0f, n % 5 < 2 };
		for (unsigned int q = 0; q < c.n_q; q++)
			c.n_kv[q] = n % 2 ? n + q : 1 + rnd_below(n);
		if (!same(l, &c))
			return false;
	}
	return true;
}

void check_attn(const struct level *l)
{
	if (own_kernel(l, l->k->attn != l->below->attn, "attn"))
		check(all_same(l), "%s attn", l->k->level);
}
