// SPDX-License-Identifier: MIT
/*
 * The status page of a process: what one thread or process writes another reads whole, whatever else is under its name
 * is refused, and a writer that is killed or stopped leaves nothing behind and holds nobody up.
 */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <sched/status.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../tap.h"

#define ROUNDS 10000

/* A status of which every field tells n. */
static struct z5_status of_number(uint32_t n)
{
	struct z5_status s = { .decoded = n, .prefilled = n, .decode_ns = n, .prefill_ns = n, .streamed = n,
			       .updated_ns = n, .n_threads = 64, .n_active = n % 65, .n_domains = 64,
			       .budget_bytes_s = n, .cap_others_bytes_s = n };

	memset(s.active, (int)(n % 65), sizeof(s.active));
	memset(s.model, 'a' + (int)(n % 26), sizeof(s.model) - 1);
	memset(s.throttle, 'a' + (int)(n % 26), sizeof(s.throttle) - 1);
	memset(s.counters, 'a' + (int)(n % 26), sizeof(s.counters) - 1);
	return s;
}

static bool whole(const struct z5_status *s)
{
	struct z5_status want = of_number((uint32_t)s->decoded);
	const size_t from = offsetof(struct z5_status, decoded), to = offsetof(struct z5_status, counters);

	return !memcmp((const char *)s + from, (const char *)&want + from, to - from) &&
		!strcmp(s->counters, want.counters) && s->budget_bytes_s == want.budget_bytes_s &&
		s->cap_others_bytes_s == want.cap_others_bytes_s;
}

static atomic_bool stop;

static void *writer(void *arg)
{
	for (uint32_t n = 1; !atomic_load(&stop); n++) {
		struct z5_status s = of_number(n);

		z5_status_write(arg, &s);
		/* A token takes longer than this; without a pause a reader would find it odd all the time. */
		for (volatile int i = 0; i < 20000; i++)
			;
	}
	return NULL;
}

static void torn(void)
{
	struct z5_status_page *p = z5_status_new();
	unsigned int good = 0, bad = 0, again = 0;
	struct z5_status s;
	uint64_t last = 0;
	bool forward = true;
	pthread_t t;

	ok(p != NULL, "a page");
	ok(!z5_status_read(getpid(), &s) && !s.decoded && !*s.model, "which is empty at first");
	s = of_number(1);
	z5_status_write(p, &s);
	ok(!z5_status_read(getpid(), &s) && whole(&s) && s.magic == Z5_STATUS_MAGIC && s.size == sizeof(s),
	   "then what was written");
	if (pthread_create(&t, NULL, writer, p))
		abort();
	for (int i = 0; i < ROUNDS; i++) {
		int ret = z5_status_read(getpid(), &s);

		good += !ret && whole(&s);
		bad += ret ? ret != -EAGAIN : !whole(&s);
		again += ret == -EAGAIN;
		forward = forward && (ret || s.decoded >= last);
		last = ret ? last : s.decoded;
	}
	atomic_store(&stop, true);
	pthread_join(t, NULL);
	ok(!bad && good > ROUNDS / 2, "%u readings beside a writer, none is torn", good);
	diag("%u came to no end", again);
	ok(forward && last > 1, "and none is older than the one before");
	z5_status_free(p);
	ok(z5_status_read(getpid(), &s) == -ENOENT, "a page that is freed is gone");
	z5_status_free(NULL);
	z5_status_write(NULL, &s);
}

/* A file under our name that holds these bytes. */
static int fake(const void *bytes, size_t n, int seals)
{
	int fd = memfd_create(Z5_STATUS_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, bytes, n) != (ssize_t)n || fcntl(fd, F_ADD_SEALS, seals))
		abort();
	return fd;
}

#define SEALS (F_SEAL_SHRINK | F_SEAL_GROW)

static void refused(int want, const struct z5_status *s, size_t n, int seals, const char *what)
{
	struct z5_status got;
	int fd = fake(s, n, seals), ret = z5_status_read(getpid(), &got);

	ok(ret == want, "%s: %s", what, strerror(-want));
	if (ret != want)
		diag("%d", ret);
	close(fd);
}

static struct z5_status valid(void)
{
	struct z5_status s = of_number(40);

	s.magic = Z5_STATUS_MAGIC;
	s.version = Z5_STATUS_VERSION;
	s.size = sizeof(s);
	s.seq = 2;
	return s;
}

#define REFUSED(want, change, what) do { \
	s = valid(); \
	change; \
	refused(want, &s, sizeof(s), SEALS, what); \
} while (0)

static void malformed(void)
{
	static char large[70000];
	struct z5_status s = valid(), got;
	int fd = fake(&s, sizeof(s), SEALS);

	ok(!z5_status_read(getpid(), &got) && whole(&got), "a valid file of somebody else");
	close(fd);
	refused(-EPROTO, &s, 0, SEALS, "an empty file");
	refused(-EPROTO, &s, 12, SEALS, "half a head");
	refused(-EPROTO, &s, sizeof(s) - 1, SEALS, "a byte too few");
	refused(-EPROTO, &s, sizeof(s), F_SEAL_GROW, "a file that may shrink");
	memcpy(large, &s, sizeof(s));
	refused(-EPROTO, (void *)large, sizeof(large), SEALS, "a file too large");
	fd = fake(large, 8192, SEALS);
	ok(!z5_status_read(getpid(), &got) && whole(&got), "a longer one is of a later version of the same");
	close(fd);
	REFUSED(-EPROTO, s.magic++, "other magic");
	REFUSED(-EPROTO, s.version++, "other version");
	REFUSED(-EPROTO, s.size = 16, "a size too small");
	REFUSED(-EPROTO, s.size = 1u << 20, "a size too large");
	REFUSED(-EPROTO, s.n_domains = Z5_STATUS_DOMAINS + 1, "too many domains");
	REFUSED(-EPROTO, s.n_active = s.n_threads + 1, "more active threads than there are");
	REFUSED(-EPROTO, s.n_threads = -1u, "too many threads");
	REFUSED(-EPROTO, s.budget_bytes_s = NAN, "a budget that is no number");
	REFUSED(-EPROTO, s.budget_bytes_s = -1, "a negative one");
	REFUSED(-EPROTO, s.cap_others_bytes_s = INFINITY, "a cap without end");
	REFUSED(-EAGAIN, s.seq = 7, "a writer that stopped half way");
	REFUSED(-EAGAIN, s.magic = 0, "one that has not begun");

	s = valid();
	memset(s.model, 'm', sizeof(s.model));
	snprintf(s.throttle, sizeof(s.throttle), "a\x1b[2J\n\x7f\xc2\x9b \xff\xc3\xa9\xe2\x82");
	s.counters[0] = '\0';
	fd = fake(&s, sizeof(s), SEALS);
	ok(!z5_status_read(getpid(), &got) && strlen(got.model) == sizeof(got.model) - 1, "a text without an end has one");
	ok(!strcmp(got.throttle, "a?[2J????" " ?" "\xc3\xa9" "??"), "and none commands a terminal");
	if (strcmp(got.throttle, "a?[2J???? ?\xc3\xa9??"))
		diag("%s", got.throttle);
	close(fd);
}

/* A child that shows status n and then waits; its pid. */
static pid_t child(uint32_t n)
{
	int ready[2];
	char c;
	pid_t pid;

	if (pipe(ready))
		abort();
	pid = fork();
	if (pid < 0)
		abort();
	if (!pid) {
		struct z5_status_page *p = z5_status_new();
		struct z5_status s = of_number(n);

		z5_status_write(p, &s);
		if (write(ready[1], "", 1) != 1)
			abort();
		for (;;)
			pause();
	}
	close(ready[1]);
	if (read(ready[0], &c, 1) != 1)
		abort();
	close(ready[0]);
	return pid;
}

static void processes(void)
{
	pid_t a = child(3), b = child(5);
	struct z5_status s;

	ok(!z5_status_read(a, &s) && s.decoded == 3 && whole(&s), "another process");
	ok(!z5_status_read(b, &s) && s.decoded == 5 && whole(&s), "and a second one");
	ok(z5_status_read(getpid(), &s) == -ENOENT, "this one shows nothing");
	kill(a, SIGKILL);
	waitpid(a, NULL, 0);
	ok(z5_status_read(a, &s) == -ENOENT, "who is killed shows nothing any more");
	ok(!z5_status_read(b, &s), "the other one still does");
	kill(b, SIGKILL);
	/* not waited for yet: a zombie */
	siginfo_t info;
	waitid(P_PID, (id_t)b, &info, WEXITED | WNOWAIT);
	ok(z5_status_read(b, &s) != 0, "nor does a zombie");
	waitpid(b, NULL, 0);
	ok(z5_status_read(0, &s) == -ENOENT && z5_status_read(-1, &s) == -ENOENT, "no such process");
	if (geteuid())
		ok(z5_status_read(1, &s) == -EACCES, "a process of another user");
	else
		skip("root may look at all");
}

int main(void)
{
	torn();
	malformed();
	processes();
	return done();
}
