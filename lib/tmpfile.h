/* SPDX-License-Identifier: MIT */
/*
 * A file that appears under its name only when it is complete. Until then it has no name at all where the file system
 * can do that (O_TMPFILE), so that not even a killed process leaves something behind; elsewhere it is
 * .NAME.XXXXXX in the same directory, removed on every way out that the process lives to see. What it replaces hands
 * its permissions on: those who could not read that cannot read this.
 */
#ifndef Z5_TMPFILE_H
#define Z5_TMPFILE_H

#include <stdbool.h>
#include <stdint.h>
#include <zen5rt.h>

struct z5_tmpfile {
	int fd;			/* to read and write */
	const char *path;	/* final name; the caller's, must outlive this */
	char *temp;		/* name meanwhile, NULL: none */
	bool replace;
};

/*
 * -EEXIST if path is there and may not be replaced, -EINVAL if it is there and no ordinary file; errno of open, and of
 * reserving size bytes (-ENOSPC, -EFBIG), with a line.
 */
int z5_tmpfile_open(struct z5_tmpfile *t, const char *path, uint64_t size, bool replace, struct zen5rt_error *err);
/* Writes all of it at offset off. Thread-safe. */
int z5_tmpfile_write(const struct z5_tmpfile *t, const void *buf, size_t n, uint64_t off, struct zen5rt_error *err);
/* To the disk, with its data and its name. Either way the temporary name is gone and the descriptor closed. */
int z5_tmpfile_commit(struct z5_tmpfile *t, struct zen5rt_error *err);
void z5_tmpfile_abort(struct z5_tmpfile *t);

#endif
