/* SPDX-License-Identifier: MIT */
/*
 * What the programs share. Each test is a function that runs in a child of its own: a crash is a
 * failure of that test only, whatever it leaves open is closed, and after it the module must have
 * exactly the bytes and the regions that it had before.
 */
#ifndef ZEN5MEM_LIB_H
#define ZEN5MEM_LIB_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <linux/zen5mem.h>

#define KIB (1UL << 10)
#define MIB (1UL << 20)
#define GIB (1UL << 30)
#define PAGE 4096UL
#define PAGE_OF(order) (PAGE << (order))

/* What a name of a test's begins with: the harness takes such names away after each test. */
#define NAME(s) "kselftest." s

struct z5t_test {
	const char *name;
	void (*run)(void);
};
#define T(f) { #f, f }

/* The device, open for reading and writing in each test. */
extern int z5t_dev;
/* The arguments of the program. */
extern int z5t_argc;
extern char **z5t_argv;

int z5t_main(int argc, char **argv, const struct z5t_test *tests, int n);
#define z5t_run(argc, argv, tests) \
	z5t_main(argc, argv, tests, sizeof(tests) / sizeof((tests)[0]))

/* check() notes a failure and goes on, need() ends the test with it; both may have a message. */
int z5t_check(int ok, const char *func, int line, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
#define check(c, ...) z5t_check(!!(c), __func__, __LINE__, #c, " " __VA_ARGS__)
#define need(c, ...) do { \
	if (!z5t_check(!!(c), __func__, __LINE__, #c, " " __VA_ARGS__)) \
		z5t_end(); \
} while (0)
/* The call gives -1 (or MAP_FAILED) and this errno; 0 stands for any. */
int z5t_fails(long ret, int err, const char *func, int line, const char *what);
#define fails(call, err) \
	z5t_fails((errno = 0, (long)(call)), err, __func__, __LINE__, #call)

void z5t_end(void) __attribute__((noreturn));
void z5t_skip(const char *fmt, ...) __attribute__((noreturn, format(printf, 1, 2)));
void z5t_need_root(void);

/* A child that dies with its parent; it ends by z5t_end(), and z5t_reap() takes its result over. */
pid_t z5t_fork(void);
void z5t_reap(pid_t pid);
/* For one that is killed: waits, checks that it was. */
void z5t_kill(pid_t pid);
/* One byte each way between parent and child, or threads. */
struct z5t_sync {
	int there[2], back[2];
};
void z5t_sync_init(struct z5t_sync *s);
void z5t_tell(int fds[2]);
void z5t_wait(int fds[2]);

/* Regions. create gives -1 and errno; the others end the test, as skipped if there is no memory. */
int z5t_create_at(uint32_t place, uint32_t id, uint64_t size, unsigned int order,
		  unsigned int flags, const char *name, struct z5m_create *out);
int z5t_create(uint64_t size, unsigned int order, unsigned int flags, const char *name);
int z5t_get(uint64_t size, unsigned int order, const char *name);
int z5t_window(void);
int z5t_open(const char *name, unsigned int flags);
int z5t_destroy(const char *name);
int z5t_name(int fd, const char *name);
int z5t_seal(int fd);
int z5t_populate(int fd, void *p, uint64_t len);
int z5t_dmabuf(int fd, unsigned int flags);
/* Slots from first on; gives the total, count is what was written. */
int z5t_slots(int fd, uint32_t first, struct z5m_slot *slots, uint32_t *count);
int z5t_reserve(uint32_t node, uint32_t windows, unsigned int flags, uint32_t *got);
int z5t_node(uint32_t node, unsigned int flags, struct z5m_node *out);
int z5t_domain(uint32_t index, struct z5m_domain *out);
struct z5m_info z5t_info(int fd);
struct z5m_version z5t_version(void);
uint64_t z5t_used(void);
unsigned int z5t_regions(void);
/* Waits until used_bytes is this; 0 if it does not come. */
int z5t_settled(uint64_t used);
/* Everything that the device counts. Without padding: two are compared byte by byte. */
#define Z5T_NODES 16
struct z5t_counts {
	uint64_t used, regions;
	uint64_t bytes[Z5T_NODES];
	uint32_t reserve[Z5T_NODES], reserve_used[Z5T_NODES];
};
void z5t_count(struct z5t_counts *c);
/* Everything is as it was; a killed process's last file may be closed a moment later. */
void z5t_check_counts(const struct z5t_counts *before, const char *what);
void z5t_name_set(char to[Z5M_NAME_LEN], const char *name);

/* Mappings. */
void *z5t_map(int fd, uint64_t len, int prot, uint64_t offset);
/* 0, or the signal. */
int z5t_try_read(const void *p);
int z5t_try_write(void *p, int byte);
/* The minor faults of touching one byte every step bytes. */
long z5t_touch(void *p, uint64_t len, uint64_t step, int write);
long z5t_minflt(void);
/* A pattern that tells the place: fill, and the number of words that differ. */
void z5t_fill(void *p, uint64_t len, uint64_t step, uint64_t seed);
uint64_t z5t_differ(const void *p, uint64_t len, uint64_t step, uint64_t seed);
uint64_t z5t_nonzero(const void *p, uint64_t len, uint64_t step);
uint64_t z5t_random(uint64_t *state);

/* Files of sysfs and procfs: 0 or an errno. A guarded one is restored after each test. */
int z5t_read_file(const char *path, char *buf, size_t size);
int z5t_write_file(const char *path, const char *text);
void z5t_guard(const char *path);
int z5t_exists(const char *path);
/* "0-3,8" as bits; gives the number of them. */
unsigned int z5t_list(const char *text, uint64_t bits[Z5M_CPU_WORDS]);
/* The sum of "odd" over all regions in debugfs; -1 if there is no such file. */
long z5t_odd_refs(void);

int z5t_send_fd(int sock, int fd);
int z5t_recv_fd(int sock);

#endif /* ZEN5MEM_LIB_H */
