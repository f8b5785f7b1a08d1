// SPDX-License-Identifier: MIT
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

int z5_strtab_init(struct z5_strtab *t, uint32_t expect)
{
	uint32_t cap = 1024;

	memset(t, 0, sizeof(*t));
	while (cap / 2 < expect)
		cap *= 2;
	/* No result depends on the seed; without entropy any number will do. */
	if (getrandom(&t->seed, sizeof(t->seed), GRND_NONBLOCK) != sizeof(t->seed))
		t->seed = (uint64_t)time(NULL) ^ (uintptr_t)t;
	t->slot = calloc(cap, sizeof(*t->slot));
	t->mask = cap - 1;
	return t->slot ? 0 : -ENOMEM;
}

void z5_strtab_free(struct z5_strtab *t)
{
	free(t->bytes);
	free(t->at);
	free(t->slot);
}

static bool strtab_same(const struct z5_strtab *t, uint32_t id, const char *p, size_t len)
{
	return t->at[id].len == len && !memcmp(t->bytes + t->at[id].off, p, len);
}

/* The slot that holds the string, or the empty one where it would go. */
static uint32_t strtab_probe(const struct z5_strtab *t, uint32_t hash, const char *p, size_t len)
{
	uint32_t i;

	for (i = hash & t->mask; t->slot[i].id; i = (i + 1) & t->mask)
		if (t->slot[i].hash == hash && strtab_same(t, t->slot[i].id - 1, p, len))
			break;
	return i;
}

static int strtab_grow(struct z5_strtab *t)
{
	uint32_t mask = t->mask * 2 + 1;
	struct z5_slot *slot = calloc((size_t)mask + 1, sizeof(*slot));

	if (!slot)
		return -ENOMEM;
	for (uint32_t i = 0; i <= t->mask; i++) {
		uint32_t j = t->slot[i].hash & mask;

		if (!t->slot[i].id)
			continue;
		while (slot[j].id)
			j = (j + 1) & mask;
		slot[j] = t->slot[i];
	}
	free(t->slot);
	t->slot = slot;
	t->mask = mask;
	return 0;
}

int z5_strtab_append(struct z5_strtab *t, const char *p, size_t len)
{
	if (len > UINT32_MAX - t->n_bytes || t->n >= 4 * Z5_VOCAB_MAX)
		return -EOVERFLOW;
	if (t->n_bytes + len > t->cap_bytes || !t->bytes) {
		size_t cap = (t->n_bytes + len) * 3 / 2 + 4096;
		char *bytes = realloc(t->bytes, cap);

		if (!bytes)
			return -ENOMEM;
		t->bytes = bytes;
		t->cap_bytes = cap;
	}
	if (t->n == t->cap) {
		uint32_t cap = t->cap * 2 + 1024;
		struct z5_span *at = realloc(t->at, cap * sizeof(*at));

		if (!at)
			return -ENOMEM;
		t->at = at;
		t->cap = cap;
	}
	if (len)
		memcpy(t->bytes + t->n_bytes, p, len);
	t->at[t->n++] = (struct z5_span){ (uint32_t)t->n_bytes, (uint32_t)len };
	t->n_bytes += len;
	return 0;
}

int z5_strtab_index(struct z5_strtab *t, uint32_t id)
{
	struct gguf_str s = z5_strtab_get(t, id);
	uint32_t hash = (uint32_t)z5_hash(t->seed, s.p, s.len), i;

	if (t->used > t->mask / 2 && strtab_grow(t))
		return -ENOMEM;
	i = strtab_probe(t, hash, s.p, s.len);
	if (t->slot[i].id)
		return 0;
	t->slot[i] = (struct z5_slot){ hash, id + 1 };
	t->used++;
	return 0;
}

uint32_t z5_strtab_find(const struct z5_strtab *t, const char *p, size_t len)
{
	uint32_t hash = (uint32_t)z5_hash(t->seed, p, len);

	return t->slot[strtab_probe(t, hash, p, len)].id - 1;
}

int z5_strtab_intern(struct z5_strtab *t, const char *p, size_t len, uint32_t *id)
{
	int r;

	*id = z5_strtab_find(t, p, len);
	if (*id != Z5_NO_ID)
		return 0;
	r = z5_strtab_append(t, p, len);
	if (r)
		return r;
	*id = t->n - 1;
	return z5_strtab_index(t, *id);
}
