/* SPDX-License-Identifier: MIT */
/*
 * The label of a resident region: its last 64 KiB, written before it is sealed, say whose weights it holds. Who
 * attaches compares the key; the rest is for those who list regions. What is in it was written by the region's owner:
 * nothing of it is believed before z5_label_read() has looked, and of other users nothing at all but for show.
 */
#ifndef Z5_LABEL_H
#define Z5_LABEL_H

#include <mem/device.h>

#define Z5_LABEL_BYTES		65536
#define Z5_LABEL_VERSION	1
#define Z5_LABEL_PATH		4096
#define Z5_LABEL_HEAD		(8 + 2 * 4 + 3 * 8 + 64 + Z5_LABEL_PATH)

struct z5_label {
	char magic[8];
	uint32_t version;
	uint32_t key_len;
	uint64_t region_size;
	uint64_t payload;		/* bytes from the region's start on */
	uint64_t checksum;		/* of the label, with this as 0 */
	char kind[64];			/* "llama" */
	char path[Z5_LABEL_PATH];	/* of the file, "" if it has a longer one */
	uint8_t key[Z5_LABEL_BYTES - Z5_LABEL_HEAD];	/* equal: the same weights */
};

/* -E2BIG if the key is too long. */
int z5_label_write(struct z5_label *l, uint64_t region_size, uint64_t payload, const void *key, size_t key_len,
		   const char *kind, const char *path);

/* NULL, or what is wrong with a label at the end of a region of that size. */
const char *z5_label_wrong(const struct z5_label *l, uint64_t region_size);

/*
 * A copy of the label of the region behind fd. -ENOENT: it has none; -EINVAL: what it has is no good, why says in what;
 * errno of mmap(2).
 */
int z5_label_read(int fd, const struct z5m_info *info, struct z5_label *l, const char **why);

#endif
