// SPDX-License-Identifier: MIT
#include "tmpfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "error.h"

static int fail(const struct z5_tmpfile *t, const char *what, struct zen5rt_error *err)
{
	int e = errno;

	return z5_fail(err, -e, "%s: %s: %s", t->path, what, strerror(e));
}

/* Directory of path, and `.NAME.XXXXXX` in it; for the caller to free. */
static char *temp_name(const char *path, char **dir)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
	int len = slash ? (int)(slash - path) : 0;
	char *temp = NULL;

	if (asprintf(dir, "%.*s", len ? len : 1, len ? path : slash ? "/" : ".") < 0)
		*dir = NULL;
	/* the name may be as long as names can be */
	if (!*dir || asprintf(&temp, "%s/.%.200s.XXXXXX", *dir, name) < 0) {
		free(*dir);
		return NULL;
	}
	return temp;
}

/* mode: who may read and write what it replaces; 0: there is nothing. */
static int create(struct z5_tmpfile *t, mode_t mode, struct zen5rt_error *err)
{
	char *dir, *temp = temp_name(t->path, &dir);
	mode_t mask;

	if (!temp)
		return z5_fail(err, -ENOMEM, "out of memory");
	/* a name is given to it through /proc */
	if (!access("/proc/self/fd", X_OK))
		t->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0666);
	free(dir);
	if (t->fd >= 0) {
		if (mode)
			fchmod(t->fd, mode);
		free(temp);
		return 0;
	}
	t->fd = mkostemp(temp, O_CLOEXEC);
	if (t->fd < 0) {
		free(temp);
		return fail(t, "its directory takes no new file", err);
	}
	t->temp = temp;
	/* mkostemp gives it to its owner alone */
	mask = umask(0);
	umask(mask);
	fchmod(t->fd, mode ? mode : 0666 & ~mask);
	return 0;
}

int z5_tmpfile_open(struct z5_tmpfile *t, const char *path, uint64_t size, bool replace, struct zen5rt_error *err)
{
	struct stat st;
	mode_t mode = 0;
	int ret;

	*t = (struct z5_tmpfile){ .fd = -1, .path = path, .replace = replace };
	/* a name that cannot be given is to be known before the work, not after it */
	if (!*path)
		return z5_fail(err, -EINVAL, "the result has no name: an empty one cannot be given");
	if (!stat(path, &st)) {
		if (!S_ISREG(st.st_mode))
			return z5_fail(err, -EINVAL, "%s: is there and no ordinary file", path);
		if (!replace)
			return z5_fail(err, -EEXIST, "%s: is there already", path);
		mode = st.st_mode & 0777;
	} else if (errno != ENOENT) {
		return fail(t, "cannot be a name for the result", err);
	} else if (!replace && !lstat(path, &st)) {
		return z5_fail(err, -EEXIST, "%s: is there already, a link to nothing", path);
	}
	ret = create(t, mode, err);
	if (ret)
		return ret;
	/* file systems that cannot reserve find out later */
	if (size && fallocate(t->fd, 0, 0, (off_t)size) && errno != EOPNOTSUPP && errno != ENOSYS) {
		char what[64];

		snprintf(what, sizeof(what), "no room for %llu MiB", (unsigned long long)(size >> 20) + 1);
		ret = fail(t, what, err);
		z5_tmpfile_abort(t);
		return ret;
	}
	return 0;
}

int z5_tmpfile_write(const struct z5_tmpfile *t, const void *buf, size_t n, uint64_t off, struct zen5rt_error *err)
{
	const uint8_t *p = buf;

	while (n) {
		ssize_t w = pwrite(t->fd, p, n < 1u << 30 ? n : 1u << 30, (off_t)off);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0) {
			if (!w)
				errno = ENOSPC;
			return fail(t, "writing failed", err);
		}
		p += w;
		off += (uint64_t)w;
		n -= (size_t)w;
	}
	return 0;
}

/* Gives the nameless file the name to. */
static int name_it(const struct z5_tmpfile *t, const char *to)
{
	char from[32];

	snprintf(from, sizeof(from), "/proc/self/fd/%d", t->fd);
	return linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW);
}

/* A link cannot replace a file, a rename can: so first a temporary name. */
static int name_temp(struct z5_tmpfile *t)
{
	char *dir, *temp = temp_name(t->path, &dir);
	int fd, ret;

	if (!temp) {
		errno = ENOMEM;
		return -1;
	}
	free(dir);
	/* mkostemp finds a free name; somebody who takes it in between makes the link fail, no more */
	fd = mkostemp(temp, O_CLOEXEC);
	if (fd < 0) {
		free(temp);
		return -1;
	}
	close(fd);
	unlink(temp);
	ret = name_it(t, temp);
	if (ret)
		free(temp);
	else
		t->temp = temp;
	return ret;
}

static void sync_directory(const char *path)
{
	char *dir, *temp = temp_name(path, &dir);
	int fd;

	if (!temp)
		return;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(dir);
	free(temp);
}

int z5_tmpfile_commit(struct z5_tmpfile *t, struct zen5rt_error *err)
{
	int ret = 0;

	if (fsync(t->fd))
		ret = fail(t, "writing to the disk failed", err);
	else if (!t->replace && t->temp)
		/* fails if the name has come to be meanwhile, as rename would not */
		ret = link(t->temp, t->path) ? fail(t, "giving it its name failed", err) : 0;
	else if (!t->replace)
		ret = name_it(t, t->path) ? fail(t, "giving it its name failed", err) : 0;
	else if (!t->temp && name_temp(t))
		ret = fail(t, "giving it a name failed", err);
	if (!ret && t->replace) {
		if (rename(t->temp, t->path)) {
			ret = fail(t, "giving it its name failed", err);
		} else {
			free(t->temp);
			t->temp = NULL;
		}
	}
	if (!ret)
		sync_directory(t->path);
	z5_tmpfile_abort(t);
	return ret;
}

void z5_tmpfile_abort(struct z5_tmpfile *t)
{
	if (t->temp)
		unlink(t->temp);
	free(t->temp);
	t->temp = NULL;
	if (t->fd >= 0)
		close(t->fd);
	t->fd = -1;
}
