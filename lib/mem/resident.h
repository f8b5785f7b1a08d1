/* SPDX-License-Identifier: MIT */
/*
 * Regions that outlive their process: filled without a name, labelled, sealed, and only then named, so that who is
 * killed on the way leaves nothing and nobody ever sees half of one. The next process attaches by name if owner, seal
 * and key are right.
 */
#ifndef Z5_RESIDENT_H
#define Z5_RESIDENT_H

#include <mem/region.h>

#define Z5_RESIDENT_NAME	64

/* What is wanted. */
struct z5_resident {
	char name[Z5_RESIDENT_NAME];
	const void *key;		/* equal keys mean equal contents */
	size_t key_len;
	const char *kind, *path;	/* for who lists regions */
	bool replace;			/* one of this name with another key goes, if it is the caller's */
};

/* Whether text may be a name, and in words what may. */
bool z5_resident_name_ok(const char *text);
#define Z5_RESIDENT_NAMES "1 to 63 of A-Z a-z 0-9 . _ : @ + -, the first one a letter or a digit"

/*
 * 0: r is the region of that name, read-only, asked bytes of what the key stands for. 1: there is none, or no more:
 * fill one and publish it. Negative errno: it cannot be, and why says so in a line; go on without.
 */
int z5_resident_attach(struct z5_region *r, const char *use, size_t asked, const struct z5_resident *want, char *why,
		       size_t why_len);

/* As z5_region_alloc(), of memory that can be published. Negative errno and why: there is none, go on without. */
int z5_resident_alloc(struct z5_region *r, const char *use, size_t asked, char *why, size_t why_len);

/*
 * A region of z5_resident_alloc() that is filled becomes read-only, by which its address changes. 0: it has its name
 * now. 1: another process was faster, and r is its region instead. Negative errno and why: it has no name and goes with
 * the process, but is as good as before, and r as valid.
 */
int z5_resident_publish(struct z5_region *r, const struct z5_resident *want, char *why, size_t why_len);

#endif
