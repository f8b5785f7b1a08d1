// SPDX-License-Identifier: MIT
#include "resident.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "error.h"
#include "packed.h"

/*
 * Weights of equal keys are equal bytes: the same files in the same state, laid out the same way. Packing is the same
 * at every instruction-set level, so that is not part of it.
 */
struct key {
	uint32_t packing;	/* Z5_PACKING */
	uint32_t n_files;
	uint64_t layout, bytes;
	struct key_file {
		uint64_t dev, ino, size;
		int64_t mtime_s;
		uint64_t mtime_ns;
	} files[];
};

static void key_file(struct key_file *f, const struct stat *st)
{
	f->dev = st->st_dev;
	f->ino = st->st_ino;
	f->size = (uint64_t)st->st_size;
	f->mtime_s = st->st_mtim.tv_sec;
	f->mtime_ns = (uint64_t)st->st_mtim.tv_nsec;
}

/*
 * By path, so that what replaces a file also replaces its weights in memory: "tiny.gguf-" and a sum over the path as a
 * whole, which differs where names are the same.
 */
static void resident_auto_name(char *name, const char *full)
{
	const char *base = strrchr(full, '/');
	uint64_t sum = 0xcbf29ce484222325;
	size_t n = 0;

	for (const char *p = full; *p; p++)
		sum = (sum ^ (uint8_t)*p) * 0x100000001b3;
	base = base ? base + 1 : full;
	for (char c[2] = ""; (*c = *base) && n < 40; base++) {
		bool fits;

		name[n] = *c;
		name[n + 1] = '\0';
		fits = z5_resident_name_ok(c) || (n && strchr("._:@+-", *c));
		name[n] = fits ? *c : n ? '_' : 'm';
		n++;
	}
	snprintf(name + n, Z5_RESIDENT_NAME - n, "-%012llx", (unsigned long long)(sum >> 16));
}

int z5_model_resident(struct z5_resident *want, const struct gguf *g, const char *path, const char *name,
		      const char *arch, uint64_t layout, uint64_t bytes, struct zen5rt_error *err)
{
	uint32_t n = gguf_n_files(g);
	struct key *key;
	struct stat st;
	char *full;
	int ret;

	memset(want, 0, sizeof(*want));
	want->path = full = realpath(path, NULL);
	if (!full)
		return z5_fail(err, -errno, "%s: %s", path, strerror(errno));
	if (*name)
		snprintf(want->name, sizeof(want->name), "%s", name);
	else
		resident_auto_name(want->name, full);
	want->replace = !*name;
	want->kind = arch;
	want->key_len = sizeof(*key) + n * sizeof(*key->files);
	want->key = key = calloc(1, want->key_len);
	if (!key)
		return z5_fail(err, -ENOMEM, "out of memory");
	key->packing = Z5_PACKING;
	key->n_files = n;
	key->layout = layout;
	key->bytes = bytes;
	for (uint32_t i = 0; i < n; i++) {
		ret = gguf_stat(g, i, &st);
		if (ret)
			return z5_fail(err, ret, "%s: %s", path, strerror(-ret));
		key_file(&key->files[i], &st);
	}
	return 0;
}

void z5_model_resident_free(struct z5_resident *want)
{
	free((void *)want->key);
	free((void *)want->path);
}

bool z5_model_unchanged(const struct z5_resident *want, const struct gguf *g)
{
	const struct key *key = want->key;
	struct key_file now = { 0 };
	struct stat st;

	for (uint32_t i = 0; i < key->n_files; i++) {
		if (gguf_stat(g, i, &st))
			return false;
		key_file(&now, &st);
		if (memcmp(&now, &key->files[i], sizeof(now)))
			return false;
	}
	return true;
}
