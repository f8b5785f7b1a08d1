// SPDX-License-Identifier: MIT
/*
 * Files: Linux, Documentation/arch/x86/resctrl.rst. That MB is a rate and no share is AMD's: its
 * bandwidth_gran is 1 and its limits go up to 2048 or more, where a share ends at 100.
 */
#include <sched/cap.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <error.h>

#define CAP_DOMAINS	64
#define CAP_PATH	2048
#define CAP_UNITS	8e-9	/* of a byte a second: 1/8 GB/s */
#define CAP_SHARE_MAX	100	/* whose limits end here are shares */

struct z5_cap {
	const struct z5_cap_ops *ops;
	char root[CAP_PATH];
	int record;		/* open and locked as long as the cap is */
	char record_path[CAP_PATH];
};

static const struct z5_cap_ops cap_system = { mkdir, rmdir };

/* The MB line of a schemata file: ids and limits of the domains. */
struct cap_line {
	unsigned int n;
	unsigned int id[CAP_DOMAINS], limit[CAP_DOMAINS];
};

static int cap_read(const char *path, char *text, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, len - 1);
	close(fd);
	if (n < 0)
		return -EIO;
	text[n] = '\0';
	return 0;
}

static int cap_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	int ret = 0;

	if (fd < 0)
		return -errno;
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text))
		ret = errno ? -errno : -EIO;
	close(fd);
	return ret;
}

static bool cap_parse(const char *text, struct cap_line *l)
{
	const char *p = text;

	l->n = 0;
	for (;;) {
		while (*p == ' ')
			p++;
		if (!strncmp(p, "MB:", 3))
			break;
		p = strchr(p, '\n');
		if (!p)
			return false;
		p++;
	}
	p += 3;
	while (l->n < CAP_DOMAINS) {
		int used = 0;

		if (sscanf(p, " %9u = %9u %n", &l->id[l->n], &l->limit[l->n], &used) != 2 || !used)
			return false;
		l->n++;
		p += used;
		if (*p != ';')
			return true;
		p++;
	}
	return false;
}

static void cap_format(const struct cap_line *l, char *text, size_t len)
{
	size_t n = (size_t)snprintf(text, len, "MB:");

	for (unsigned int i = 0; i < l->n && n < len; i++)
		n += (size_t)snprintf(text + n, len - n, "%s%u=%u", i ? ";" : "", l->id[i], l->limit[i]);
	if (n < len)
		snprintf(text + n, len - n, "\n");
}

/* What the record says: the group's name and the root group's line. */
static bool cap_record(const char *text, char *group, size_t len, char *line, size_t line_len)
{
	const char *nl = strchr(text, '\n');
	struct cap_line l;

	if (!nl || (size_t)(nl - text) >= len || strncmp(text, "zen5rt.", 7) || memchr(text, '/', (size_t)(nl - text)))
		return false;
	memcpy(group, text, (size_t)(nl - text));
	group[nl - text] = '\0';
	if (!cap_parse(nl + 1, &l))
		return false;
	cap_format(&l, line, line_len);
	return true;
}

/* Undoes what the locked record fd tells of, and empties it. */
static int cap_undo(const char *root, int fd, const struct z5_cap_ops *ops, struct zen5rt_error *err)
{
	char text[2048], group[64], line[1024], path[PATH_MAX];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
	int ret;

	if (n <= 0)
		return 0;
	text[n] = '\0';
	if (!cap_record(text, group, sizeof(group), line, sizeof(line)))
		return z5_fail(err, -EINVAL, "cap-others: the record of an earlier run is damaged: look at %s/schemata, then remove the record", root);
	snprintf(path, sizeof(path), "%s/schemata", root);
	ret = cap_write(path, line);
	/* unmounted since then: the kernel has undone it all */
	if (ret && ret != -ENOENT)
		return z5_fail(err, ret, "cap-others: %s: what others were allowed cannot be given back (%.200s): %s", path,
			       line, strerror(-ret));
	snprintf(path, sizeof(path), "%s/%s", root, group);
	if (ops->rmdir(path) && errno != ENOENT)
		return z5_fail(err, -errno, "cap-others: %s cannot be removed: %s", path, strerror(errno));
	if (ftruncate(fd, 0))
		return z5_fail(err, -errno, "cap-others: the record cannot be emptied: %s", strerror(errno));
	return 1;
}

int z5_cap_recover(const char *root, const char *record, const struct z5_cap_ops *ops, struct zen5rt_error *err)
{
	int fd = open(record, O_RDWR | O_CLOEXEC | O_NOFOLLOW), ret = 0;

	if (fd < 0)
		return 0;
	if (!flock(fd, LOCK_EX | LOCK_NB))
		ret = cap_undo(root, fd, ops ? ops : &cap_system, err);
	close(fd);
	return ret;
}

/* All threads of this process into the group; those to come are born there. */
static int cap_move(const char *group, struct zen5rt_error *err)
{
	char path[CAP_PATH + 80], tid[32];
	struct dirent *e;
	DIR *d = opendir("/proc/self/task");
	int ret = 0;

	if (!d)
		return z5_fail(err, -errno, "cap-others: /proc/self/task: %s", strerror(errno));
	snprintf(path, sizeof(path), "%s/tasks", group);
	while (!ret && (e = readdir(d))) {
		if (*e->d_name == '.')
			continue;
		snprintf(tid, sizeof(tid), "%.20s\n", e->d_name);
		ret = cap_write(path, tid);
		/* a thread that has ended meanwhile */
		ret = ret == -ESRCH ? 0 : ret;
	}
	closedir(d);
	return ret ? z5_fail(err, ret, "cap-others: %s: %s", path, strerror(-ret)) : 0;
}

static int cap_limit(const char *root, const struct cap_line *was, double bytes_s,
		     struct cap_line *now, struct zen5rt_error *err)
{
	const double each = bytes_s * CAP_UNITS / was->n;
	char path[PATH_MAX], text[64];
	unsigned int least = 1;

	snprintf(path, sizeof(path), "%s/info/MB/min_bandwidth", root);
	if (!cap_read(path, text, sizeof(text)) && sscanf(text, "%9u", &least) != 1)
		least = 1;
	*now = *was;
	for (unsigned int i = 0; i < was->n; i++) {
		if (was->limit[i] <= CAP_SHARE_MAX)
			return z5_fail(err, -ENOTSUP, "cap-others: this CPU limits shares of bandwidth, not GB/s, or others are limited already (%s/schemata)",
				       root);
		if (each < least || each < 1 || each > was->limit[i])
			return z5_fail(err, -ERANGE, "cap-others: %g GB/s over %u L3 domains: %g to %g are possible", bytes_s / 1e9, was->n,
				       (least > 1 ? least : 1) * was->n / 8.0, was->limit[i] * (double)was->n / 8);
		now->limit[i] = (unsigned int)each;
	}
	return 0;
}

static int cap_apply(struct z5_cap *c, double bytes_s, struct zen5rt_error *err)
{
	char path[PATH_MAX], group[64], dir[CAP_PATH + 64], text[2048], record[2200];
	struct cap_line was, now;
	int ret;

	snprintf(path, sizeof(path), "%s/schemata", c->root);
	ret = cap_read(path, text, sizeof(text));
	if (ret)
		return z5_fail(err, ret == -ENOENT ? -ENOTSUP : ret, ret == -ENOENT ?
			       "cap-others: no %s: mount -t resctrl resctrl " Z5_CAP_ROOT ", on a CPU and kernel that have it" :
			       "cap-others: %s cannot be read: try as root", path);
	if (!cap_parse(text, &was))
		return z5_fail(err, -ENOTSUP, "cap-others: %s has no limits of memory bandwidth (MB)", path);
	ret = cap_limit(c->root, &was, bytes_s, &now, err);
	if (ret)
		return ret;
	snprintf(group, sizeof(group), "zen5rt.%d", (int)getpid());
	snprintf(dir, sizeof(dir), "%s/%s", c->root, group);
	cap_format(&was, text, sizeof(text));
	snprintf(record, sizeof(record), "%s\n%s", group, text);
	if (pwrite(c->record, record, strlen(record), 0) != (ssize_t)strlen(record) || fsync(c->record))
		return z5_fail(err, -EIO, "cap-others: %s cannot be written", c->record_path);
	if (c->ops->mkdir(dir, 0755))
		return z5_fail(err, -errno, "cap-others: %s: %s", dir, strerror(errno));
	snprintf(path, sizeof(path), "%s/schemata", dir);
	ret = cap_write(path, text);
	if (ret)
		return z5_fail(err, ret, "cap-others: %s: %s", path, strerror(-ret));
	ret = cap_move(dir, err);
	if (ret)
		return ret;
	cap_format(&now, text, sizeof(text));
	snprintf(path, sizeof(path), "%s/schemata", c->root);
	ret = cap_write(path, text);
	return ret ? z5_fail(err, ret, "cap-others: %s: %s", path, strerror(-ret)) : 0;
}

int z5_cap_open(const char *root, const char *record, const struct z5_cap_ops *ops, double bytes_s, struct z5_cap **out,
		struct zen5rt_error *err)
{
	struct z5_cap *c = calloc(1, sizeof(*c));
	int ret;

	if (!c)
		return z5_fail(err, -ENOMEM, "out of memory");
	c->ops = ops ? ops : &cap_system;
	snprintf(c->root, sizeof(c->root), "%s", root);
	snprintf(c->record_path, sizeof(c->record_path), "%s", record);
	c->record = open(record, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (c->record < 0) {
		ret = z5_fail(err, -errno, "cap-others: %s: %s: it takes root", record, strerror(errno));
		goto err_free;
	}
	if (flock(c->record, LOCK_EX | LOCK_NB)) {
		ret = z5_fail(err, -EBUSY, "cap-others: another process does it (%s is locked)", record);
		goto err_close;
	}
	ret = cap_undo(root, c->record, c->ops, err);
	if (ret < 0)
		goto err_close;
	ret = cap_apply(c, bytes_s, err);
	if (ret) {
		cap_undo(root, c->record, c->ops, NULL);
		goto err_close;
	}
	*out = c;
	return 0;

err_close:
	close(c->record);
err_free:
	free(c);
	return ret;
}

void z5_cap_close(struct z5_cap *c)
{
	if (!c)
		return;
	cap_undo(c->root, c->record, c->ops, NULL);
	close(c->record);
	free(c);
}
