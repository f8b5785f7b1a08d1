// SPDX-License-Identifier: MIT
#include <mem/label.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static const char label_magic[8] = "z5label";

_Static_assert(sizeof(struct z5_label) == Z5_LABEL_BYTES, "the label fills its place");

/* FNV-1a: against what is left of another program's data, not against an owner, who may write what he likes. */
static uint64_t label_sum(const struct z5_label *l)
{
	const uint8_t *p = (const uint8_t *)l;
	const size_t at = offsetof(struct z5_label, checksum);
	uint64_t sum = 0xcbf29ce484222325;

	for (size_t i = 0; i < sizeof(*l); i++)
		sum = (sum ^ (i - at < sizeof(l->checksum) ? 0 : p[i])) * 0x100000001b3;
	return sum;
}

int z5_label_write(struct z5_label *l, uint64_t region_size, uint64_t payload, const void *key, size_t key_len,
		   const char *kind, const char *path)
{
	if (key_len > sizeof(l->key))
		return -E2BIG;
	memset(l, 0, sizeof(*l));
	memcpy(l->magic, label_magic, sizeof(l->magic));
	l->version = Z5_LABEL_VERSION;
	l->key_len = (uint32_t)key_len;
	l->region_size = region_size;
	l->payload = payload;
	snprintf(l->kind, sizeof(l->kind), "%s", kind);
	if (strlen(path) < sizeof(l->path))
		memcpy(l->path, path, strlen(path));
	memcpy(l->key, key, key_len);
	l->checksum = label_sum(l);
	return 0;
}

const char *z5_label_wrong(const struct z5_label *l, uint64_t region_size)
{
	if (memcmp(l->magic, label_magic, sizeof(l->magic)))
		return "it has no label";
	if (l->version != Z5_LABEL_VERSION)
		return "its label is of another version";
	if (l->key_len > sizeof(l->key) || memchr(l->kind, 0, sizeof(l->kind)) == NULL ||
	    memchr(l->path, 0, sizeof(l->path)) == NULL || l->checksum != label_sum(l))
		return "its label is damaged";
	if (l->region_size != region_size || region_size < Z5_LABEL_BYTES ||
	    l->payload > region_size - Z5_LABEL_BYTES)
		return "its label speaks of another size";
	return NULL;
}

int z5_label_read(int fd, const struct z5m_info *info, struct z5_label *l, const char **why)
{
	void *p;

	*why = "it has no label";
	if (info->size < Z5_LABEL_BYTES || info->size > INT64_MAX)
		return -ENOENT;
	p = mmap(NULL, Z5_LABEL_BYTES, PROT_READ, MAP_SHARED, fd, (off_t)(info->size - Z5_LABEL_BYTES));
	if (p == MAP_FAILED) {
		*why = strerror(errno);
		return -errno;
	}
	/* A copy, since it may be written to while it is not sealed. */
	memcpy(l, p, sizeof(*l));
	munmap(p, Z5_LABEL_BYTES);
	*why = z5_label_wrong(l, info->size);
	if (!*why)
		return 0;
	return memcmp(l->magic, label_magic, sizeof(l->magic)) ? -ENOENT : -EINVAL;
}
