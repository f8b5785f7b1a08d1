// SPDX-License-Identifier: MIT
#include <sched/status.h>

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <vocab/utf8.h>

/* What readlink(2) says of its descriptor. */
static const char link_text[] = "/memfd:" Z5_STATUS_NAME " (deleted)";

/* Version 1 ends here; what came after it is zero in a shorter page. */
#define STATUS_MIN	sizeof(struct z5_status)
#define STATUS_MAX	65536

/* More threads than that no pool has. */
#define STATUS_THREADS	65536

/* ---- the writer ---- */

struct z5_status_page {
	int fd;
	struct z5_status *map;
	uint32_t seq;		/* ours: what is in the page is there for others to see, not to be believed */
};

/* The page's sequence number is read by other processes. */
static _Atomic uint32_t *page_seq(struct z5_status_page *p)
{
	return (_Atomic uint32_t *)&p->map->seq;
}

struct z5_status_page *z5_status_new(void)
{
	struct z5_status_page *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->fd = memfd_create(Z5_STATUS_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (p->fd < 0)
		goto err_free;
	/* The size stays: who maps it cannot be made to fault. */
	if (ftruncate(p->fd, sizeof(*p->map)) ||
	    fcntl(p->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		goto err_close;
	p->map = mmap(NULL, sizeof(*p->map), PROT_READ | PROT_WRITE, MAP_SHARED, p->fd, 0);
	if (p->map == MAP_FAILED)
		goto err_close;
	p->map->version = Z5_STATUS_VERSION;
	p->map->size = sizeof(*p->map);
	/* Without it nobody reads. */
	atomic_store_explicit((_Atomic uint32_t *)&p->map->magic, Z5_STATUS_MAGIC, memory_order_release);
	return p;

err_close:
	close(p->fd);
err_free:
	free(p);
	return NULL;
}

void z5_status_free(struct z5_status_page *p)
{
	if (!p)
		return;
	munmap(p->map, sizeof(*p->map));
	close(p->fd);
	free(p);
}

void z5_status_write(struct z5_status_page *p, const struct z5_status *s)
{
	const size_t from = offsetof(struct z5_status, decoded);

	if (!p)
		return;
	atomic_store_explicit(page_seq(p), ++p->seq, memory_order_relaxed);
	atomic_thread_fence(memory_order_release);
	memcpy((char *)p->map + from, (const char *)s + from, sizeof(*s) - from);
	atomic_store_explicit(page_seq(p), ++p->seq, memory_order_release);
}

/* ---- the reader ---- */

/* Terminated, and nothing in it that a terminal would obey. */
static void clean(char *text, size_t size)
{
	size_t len, at = 0;

	text[size - 1] = '\0';
	len = strlen(text);
	while (at < len) {
		uint32_t c;
		size_t n = utf8_next(text + at, len - at, &c);

		if (c < 0x20 || (c >= 0x7f && c < 0xa0) || c >= UTF8_STRAY)
			memset(text + at, '?', n);
		at += n;
	}
}

static bool rate_ok(double bytes_s)
{
	return isfinite(bytes_s) && bytes_s >= 0;
}

static int check(struct z5_status *s)
{
	if (s->n_threads > STATUS_THREADS || s->n_active > s->n_threads || s->n_domains > Z5_STATUS_DOMAINS ||
	    !rate_ok(s->budget_bytes_s) || !rate_ok(s->cap_others_bytes_s))
		return -EPROTO;
	clean(s->model, sizeof(s->model));
	clean(s->throttle, sizeof(s->throttle));
	clean(s->counters, sizeof(s->counters));
	return 0;
}

/* 1: it is being written. */
static int read_once(int fd, struct z5_status *s)
{
	const size_t head = offsetof(struct z5_status, decoded);
	struct z5_status before, after;

	/* Three calls, since the order of loads within one of them is nobody's promise. */
	if (pread(fd, &before, head, 0) != (ssize_t)head)
		return -EPROTO;
	/* The writer has not come so far yet. */
	if (!before.magic)
		return 1;
	if (before.magic != Z5_STATUS_MAGIC || before.version != Z5_STATUS_VERSION || before.size < STATUS_MIN ||
	    before.size > STATUS_MAX)
		return -EPROTO;
	if (before.seq & 1)
		return 1;
	if (pread(fd, s, sizeof(*s), 0) != (ssize_t)sizeof(*s) || pread(fd, &after, head, 0) != (ssize_t)head)
		return -EPROTO;
	return memcmp(&before, &after, head) ? 1 : memcmp(&before, s, head) ? 1 : 0;
}

static int read_file(int fd, struct z5_status *s)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	const int want = F_SEAL_SHRINK | F_SEAL_GROW;
	struct stat st;
	int ret;

	if (fstat(fd, &st) || !S_ISREG(st.st_mode) || st.st_size < (off_t)STATUS_MIN || st.st_size > STATUS_MAX ||
	    (fcntl(fd, F_GET_SEALS) & want) != want)
		return -EPROTO;
	/* A page takes a microsecond to write: who is not through by then has been stopped in the middle. */
	for (int i = 0; i < 100; i++) {
		ret = read_once(fd, s);
		if (ret <= 0)
			return ret ? ret : check(s);
		nanosleep(&pause, NULL);
	}
	return -EAGAIN;
}

int z5_status_read(pid_t pid, struct z5_status *s)
{
	char path[300], to[sizeof(link_text) + 1];
	struct dirent *e;
	int ret = -ENOENT;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/fd", (int)pid);
	d = opendir(path);
	if (!d)
		return errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
	while (ret == -ENOENT && (e = readdir(d))) {
		ssize_t n;
		int fd;

		if (!isdigit((unsigned char)*e->d_name))
			continue;
		snprintf(path, sizeof(path), "/proc/%d/fd/%.255s", (int)pid, e->d_name);
		n = readlink(path, to, sizeof(to));
		if (n < 0 && (errno == EACCES || errno == EPERM)) {
			ret = -EACCES;
			break;
		}
		if (n != sizeof(link_text) - 1 || memcmp(to, link_text, sizeof(link_text) - 1))
			continue;
		/* By now it may be something else, which must not hold us up. */
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (fd < 0) {
			ret = errno == EACCES || errno == EPERM ? -EACCES : -ENOENT;
			continue;
		}
		ret = read_file(fd, s);
		close(fd);
	}
	closedir(d);
	return ret;
}
