// SPDX-License-Identifier: MIT
/* Attention: types of the cache, head sizes, chunk edges, queries that see different numbers of positions. */
#include "checkasm.h"

#include <math.h>
#include <string.h>

#include <kernels/half.h>
#include <kernels/scalar.h>

#define MAX_Q 9

struct case_of_attn {
	enum z5_kv_type type;
	size_t hd_k, hd_v;
	unsigned int n_q;
	uint32_t n_kv[MAX_Q];
	enum shape shape;
	bool high;
	uint32_t window;	/* 0: none */
	float softcap;
	bool sinks;
};

static const char *const kv_names[Z5_N_KV_TYPES] = { "f32", "f16", "bf16", "q8_0" };

static uint16_t half_of(enum shape shape)
{
	switch (shape) {
	case SHAPE_SPECIAL:
		return rnd_special_half();
	case SHAPE_ZERO:
		return (uint16_t)(rnd() & 0x8000);
	case SHAPE_DENORMAL:
		return (uint16_t)(rnd() & 0x83ff);
	case SHAPE_HUGE:
		return (uint16_t)((rnd() & 0x8fff) | 0x6000);
	case SHAPE_BITS:
		return (uint16_t)rnd();
	case SHAPE_RARE:
		return rnd_below(50) ? z5_to_f16(rnd_normal()) : rnd_special_half();
	default:
		return z5_to_f16(rnd_normal());
	}
}

/* n elements at p of a cache in floats or halves of them. */
static void fill_elements(void *p, size_t n, enum z5_kv_type type, enum shape shape)
{
	uint16_t *h = p;
	float f;

	if (type == Z5_KV_F32) {
		fill_floats(p, n, shape);
		return;
	}
	for (size_t i = 0; i < n; i++) {
		fill_floats(&f, 1, shape);
		h[i] = type == Z5_KV_F16 ? half_of(shape) : (uint16_t)(z5_f32_bits(f) >> 16);
	}
}

/* Any quanta, scales of a shape. */
static void fill_q8(uint8_t *group, size_t quanta, size_t n_scales, enum shape shape)
{
	for (size_t i = 0; i < quanta; i++)
		group[i] = (uint8_t)rnd();
	fill_floats((float *)(void *)(group + quanta), n_scales, shape);
}

static void fill_cache(const struct case_of_attn *c, uint8_t *k, uint8_t *v, size_t groups, size_t n_v)
{
	const size_t blocks = z5_kv_blocks(c->hd_k);

	if (c->type != Z5_KV_Q8_0) {
		fill_elements(k, groups * 16 * c->hd_k, c->type, c->shape);
		fill_elements(v, n_v * c->hd_v, c->type, c->shape);
		return;
	}
	for (size_t b = 0; b < groups * blocks; b++)
		fill_q8(k + b * 9 * 64, 8 * 64, 16, c->shape);
	for (size_t g = 0; g < groups; g++)
		fill_q8(v + g * z5_kv_v_group(c->type, c->hd_v), 16 * c->hd_v, 16 * z5_kv_blocks(c->hd_v), c->shape);
}

/* A key of a position that no query sees: finite, and larger than any score. */
static void unseen_key(const struct case_of_attn *c, uint8_t *k, size_t p)
{
	const size_t r = p % 16;

	k += p / 16 * z5_kv_k_group(c->type, c->hd_k);
	if (c->type == Z5_KV_Q8_0) {
		for (size_t b = 0; b < z5_kv_blocks(c->hd_k); b++)
			((float *)(void *)(k + b * 9 * 64 + 8 * 64))[r] = 1e18f;
		return;
	}
	for (size_t d = 0; d < c->hd_k; d++) {
		const size_t i = d * 16 + r;

		if (c->type == Z5_KV_F32)
			((float *)(void *)k)[i] = 1e18f * rnd_normal();
		else
			((uint16_t *)(void *)k)[i] = (uint16_t)((rnd() & 0x8000) | 0x7b00);
	}
}

static bool same(const struct level *l, const struct case_of_attn *c)
{
	const float *q[MAX_Q];
	const size_t blocks = z5_kv_blocks(c->hd_k);
	float *want[MAX_Q], *got[MAX_Q], *qs, *ys, *zs;
	struct z5_attn a = { .type = c->type,
			     .hd_k = c->hd_k,
			     .hd_v = c->hd_v,
			     .scale = 1.0f / sqrtf((float)c->hd_k),
			     .n_q = c->n_q,
			     .q = q,
			     .n_kv = c->n_kv };
	size_t most = 0, groups, n_v, n_out = c->n_q * c->hd_v, i;
	uint32_t from[MAX_Q];
	float sinks[MAX_Q];
	uint8_t *k, *v;

	for (i = 0; i < c->n_q; i++) {
		most = c->n_kv[i] > most ? c->n_kv[i] : most;
		from[i] = c->window && c->n_kv[i] > c->window ? c->n_kv[i] - c->window : 0;
		sinks[i] = rnd_normal();
	}
	a.from = c->window ? from : NULL;
	a.sinks = c->sinks ? sinks : NULL;
	a.softcap = c->softcap;
	groups = (most + 15) / 16;
	/* floats of a value's position are read only where it is seen; quanta come in whole groups */
	n_v = c->type == Z5_KV_Q8_0 ? groups * 16 : most;
	k = guarded(SLOT_W, groups * z5_kv_k_group(c->type, c->hd_k), c->high);
	v = guarded(SLOT_X, n_v * z5_kv_v_group(c->type, c->hd_v) / 16, c->high);
	qs = guarded(SLOT_AUX, c->n_q * c->hd_k * sizeof(float), c->high);
	ys = guarded(SLOT_Y, n_out * sizeof(float), c->high);
	zs = guarded(SLOT_Z, n_out * sizeof(float), c->high);
	a.state = guarded(SLOT_AUX2, 2 * c->n_q * sizeof(float), c->high);
	a.blocks = guarded(SLOT_AUX3, c->n_q * blocks * sizeof(*a.blocks), c->high);
	a.k = k;
	a.v = v;
	fill_cache(c, k, v, groups, n_v);
	fill_floats(qs, c->n_q * c->hd_k, c->shape);
	for (size_t p = most; p < groups * 16; p++)
		unseen_key(c, k, p);
	for (i = 0; i < c->n_q; i++) {
		q[i] = qs + i * c->hd_k;
		want[i] = ys + i * c->hd_v;
		got[i] = zs + i * c->hd_v;
	}

	a.out = want;
	l->ref->attn(&a);
	memset(a.state, CANARY, 2 * c->n_q * sizeof(float));
	memset(a.blocks, CANARY, c->n_q * blocks * sizeof(*a.blocks));
	a.out = got;
	l->k->attn(&a);

	i = differ(ys, zs, n_out);
	if (i == n_out && guards_whole(SLOT_Z) && guards_whole(SLOT_AUX2) && guards_whole(SLOT_AUX3))
		return true;
	note("%s, hd_k %zu, hd_v %zu, n_q %u, n_kv[0] %u, most %zu, window %u, softcap %g, sinks %d, %s%s",
	     kv_names[c->type], c->hd_k, c->hd_v, c->n_q, c->n_kv[0], most, c->window, (double)c->softcap, c->sinks,
	     shape_name(c->shape), i == n_out ? ": written outside of out or scratch" : "");
	if (i < n_out)
		note("query %zu (sees %u), dimension %zu: ref %08x (%g), %s %08x (%g)", i / c->hd_v,
		     c->n_kv[i / c->hd_v], i % c->hd_v, z5_f32_bits(ys[i]), (double)ys[i],
		     l->k->level, z5_f32_bits(zs[i]), (double)zs[i]);
	return false;
}

/* Every type in turn: the cases are many, and each type has its share of all. */
static bool shapes_same(const struct level *l, enum z5_kv_type type)
{
	static const size_t hd_k[] = { 8, 24, 48, 64, 80, 96, 128, 1, 33, 576 };
	static const size_t hd_v[] = { 16, 32, 48, 64, 80, 96, 112, 128, 512 };
	struct case_of_attn c;

	for (size_t i = 0; i < sizeof(hd_k) / sizeof(*hd_k); i++) {
		for (size_t j = 0; j < sizeof(hd_v) / sizeof(*hd_v); j++) {
			/* wide heads cost the definition as much as all others, and are made of the same tiles */
			const unsigned int step = hd_k[i] > 128 || hd_v[j] > 128 ? 4 : 1;

			for (unsigned int shape = 0; shape < N_SHAPES; shape++) {
				for (unsigned int n_q = 1; n_q <= MAX_Q; n_q += step) {
					const bool alike = rnd_below(2);

					c = (struct case_of_attn){
						type, hd_k[i], hd_v[j], n_q, { 0 },
						(enum shape)shape, rnd_below(2), 0, 0, false
					};
					for (unsigned int q = 0; q < n_q; q++)
						c.n_kv[q] = q && alike ? c.n_kv[0] :
							    1 + rnd_below(rnd_below(2) ? 200 : 20);
					if (!same(l, &c))
						return false;
				}
			}
		}
	}
	return true;
}

static bool spans_same(const struct level *l, enum z5_kv_type type)
{
	struct case_of_attn c;

	/* a batch of a prompt: each query sees one position more, over every edge of a chunk */
	for (uint32_t n = 1; n <= 200; n++) {
		c = (struct case_of_attn){ type, 24, 48, 1 + n % MAX_Q, { 0 }, SHAPE_NORMAL, n % 2, 0, 0, false };
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
		c = (struct case_of_attn){ type, 24, 48, 1 + n % MAX_Q, { 0 }, (enum shape)(n % N_SHAPES), n % 2,
					   1 + rnd_below(n % 3 ? 150 : 20), n % 4 ? 0 : 50.0f, n % 5 < 2 };
		for (unsigned int q = 0; q < c.n_q; q++)
			c.n_kv[q] = n % 7 < 3 ? n : n % 2 ? n + q : 1 + rnd_below(n);
		if (!same(l, &c))
			return false;
	}
	return true;
}

void check_attn(const struct level *l)
{
	for (unsigned int t = 0; t < Z5_N_KV_TYPES; t++)
		if (own_kernel(l, l->k->attn != l->below->attn, "attn %s", kv_names[t]))
			check(shapes_same(l, (enum z5_kv_type)t) && spans_same(l, (enum z5_kv_type)t), "%s attn %s",
			      l->k->level, kv_names[t]);
}
