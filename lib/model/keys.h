/* SPDX-License-Identifier: MIT */
/* Keys <arch>.* of a file, every number checked against its range before anything depends on it. */
#ifndef Z5_KEYS_H
#define Z5_KEYS_H

#include <errno.h>
#include <math.h>
#include <stdio.h>

#include <error.h>
#include <gguf/gguf.h>

/* The keys of one architecture in one file. */
struct keys {
	const struct gguf *g;
	const char *arch;
	struct zen5rt_error *err;
};

static inline const char *key_name(char *buf, size_t n, const struct keys *k, const char *suffix)
{
	snprintf(buf, n, "%s.%s", k->arch, suffix);
	return buf;
}

/* A whole number in [lo, hi]; absent: dflt, or an error where dflt is below lo. *out is set in any case. */
static inline int key_u32(const struct keys *k, const char *suffix, uint32_t lo, uint32_t hi, uint32_t dflt,
			  uint32_t *out)
{
	char name[128];
	uint32_t v = dflt;
	int ret = gguf_get_u32(k->g, key_name(name, sizeof(name), k, suffix), &v, k->err);

	*out = dflt;
	if (ret < 0)
		return ret;
	if (!ret && dflt < lo)
		return z5_fail(k->err, -EINVAL, "%s: %s is missing", gguf_path(k->g), name);
	if (ret && (v < lo || v > hi))
		return z5_fail(k->err, -EINVAL, "%s: %s is %u, expected %u to %u", gguf_path(k->g),
			       name, v, lo, hi);
	*out = v;
	return 0;
}

/* A finite number in [lo, hi]; absent: dflt, or an error where that is NaN. */
static inline int key_f32(const struct keys *k, const char *suffix, float lo, float hi, float dflt,
			  float *out)
{
	char name[128];
	float v = dflt;
	int ret = gguf_get_f32(k->g, key_name(name, sizeof(name), k, suffix), &v, k->err);

	*out = dflt;
	if (ret < 0)
		return ret;
	if (!ret && isnan(dflt))
		return z5_fail(k->err, -EINVAL, "%s: %s is missing", gguf_path(k->g), name);
	if (ret && !(v >= lo && v <= hi))
		return z5_fail(k->err, -EINVAL, "%s: %s is %g, expected %g to %g", gguf_path(k->g),
			       name, (double)v, (double)lo, (double)hi);
	*out = v;
	return 0;
}

/* A yes or no; absent: dflt. */
static inline int key_bool(const struct keys *k, const char *suffix, bool dflt, bool *out)
{
	char name[128];
	int ret;

	*out = dflt;
	ret = gguf_get_bool(k->g, key_name(name, sizeof(name), k, suffix), out, k->err);
	return ret < 0 ? ret : 0;
}

#endif
