// SPDX-License-Identifier: MIT
/* Memory regions: every backend by itself, the order among them, and what a refusal says. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <mem/backend.h>
#include <mem/region.h>
#include <topo/cgroup.h>
#include "../tap.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOW	1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOW	1
#endif
#endif
#ifndef SHADOW
#define SHADOW	0
#endif

#define HUGE_SYS "/sys/kernel/mm/hugepages/hugepages-%lukB/%s"

static long count(uint64_t page, const char *file)
{
	char path[128], text[32];

	snprintf(path, sizeof(path), HUGE_SYS, (unsigned long)(page >> 10), file);
	return z5_read_text("", path, text, sizeof(text)) > 0 ? atol(text) : -1;
}

static bool set_pages(uint64_t page, long n)
{
	char path[128], text[32];
	int fd, len;
	bool done;

	snprintf(path, sizeof(path), HUGE_SYS, (unsigned long)(page >> 10), "nr_hugepages");
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	len = snprintf(text, sizeof(text), "%ld", n);
	done = write(fd, text, len) == len;
	close(fd);
	return done;
}

static const struct z5_mem_backend *backend(const char *name)
{
	const struct z5_mem_backend *b;

	for (b = z5_mem_backends; b->name && strcmp(b->name, name); b++)
		;
	return b;
}

/* What every region must be, wherever it comes from; fills it, so that its pages are there. */
static void check_region(struct z5_region *r, const char *name, size_t asked)
{
	unsigned char *p = r->addr, any = 0;
	size_t i;

	ok(r->backend && !strcmp(r->backend->name, name), "%s: is the backend", name);
	ok(r->size >= asked && !(r->size % r->page) && r->size - asked < r->page,
	   "%s: %zu bytes for %zu, whole pages of %" PRIu64, name, r->size, asked, r->page);
	ok(!((uintptr_t)p % r->page), "%s: aligned to its pages", name);
	for (i = 0; i < r->size; i += 64)
		any |= p[i];
	for (i = 0; i < r->size; i += 4096)
		any |= p[i + 4095];
	ok(!any, "%s: zeroed", name);
	memset(p, 0xa5, r->size);
	ok(p[0] == 0xa5 && p[r->size - 1] == 0xa5, "%s: writable to the last byte", name);
}

/* The field of the mapping that starts at addr, from smaps. */
static bool smaps_line(const void *addr, const char *field, char *out, size_t len)
{
	char line[4352];
	uint64_t from, to;
	bool inside = false, found = false;
	FILE *f = fopen("/proc/self/smaps", "re");

	while (f && !found && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%" SCNx64 "-%" SCNx64 " ", &from, &to) == 2)
			inside = from == (uintptr_t)addr;
		else if (inside && !strncmp(line, field, strlen(field)))
			found = snprintf(out, len, "%s", line + strlen(field));
	}
	if (f)
		fclose(f);
	return found;
}

static void test_plain(void)
{
	const size_t asked = 3 * 4096 + 1;
	struct zen5rt_error err = { "" };
	struct zen5rt_region_info info;
	struct z5_region r, zero = { 0 };
	char flags[512] = "";

	ok(!z5_region_alloc(&r, "scratch", asked, Z5_PAGE_4K, &err), "plain: allocated %s",
	   err.message);
	check_region(&r, "plain", asked);
	z5_region_info(&r, &info);
	ok(!strcmp(info.use, "scratch") && !strcmp(info.backend, "plain") && info.asked == asked &&
	   info.size == 4 * 4096 && info.page == 4096 && info.page_bytes == 4 * 4096 && !*info.why,
	   "plain: its report");
	if (smaps_line(r.addr, "VmFlags:", flags, sizeof(flags))) {
		ok(strstr(flags, " dd") != NULL, "plain: left out of core dumps");
		ok(strstr(flags, " nh") != NULL,
		   "plain: 4 KiB also where huge pages are on for all");
	} else {
		skip("no VmFlags in smaps");
	}
	z5_region_free(&r);
	ok(!memcmp(&r, &zero, sizeof(r)), "plain: all zero after free");
	z5_region_free(&r);
}

static pid_t crash(const struct z5_region *r, ptrdiff_t at)
{
	pid_t pid = fork();
	struct rlimit none = { 0, 0 };

	if (!pid) {
		setrlimit(RLIMIT_CORE, &none);
		signal(SIGSEGV, SIG_DFL);
		((volatile char *)r->addr)[at] = 1;
		_exit(0);
	}
	return pid;
}

static void test_guards(void)
{
	struct z5_region r;
	int status[2] = { 0, 0 };

	if (z5_region_alloc(&r, "scratch", 4096, Z5_PAGE_4K, NULL))
		return;
	waitpid(crash(&r, -1), &status[0], 0);
	waitpid(crash(&r, r.size), &status[1], 0);
	ok(WIFSIGNALED(status[0]) && WIFSIGNALED(status[1]), "plain: a guard before and after");
	z5_region_free(&r);
}

static bool thp_possible(void)
{
	struct z5_region r = { .asked = 1 };
	char why[256];

	if (backend("thp")->alloc(&r, why, sizeof(why))) {
		diag("%s", why);
		return false;
	}
	backend("thp")->free(&r);
	return true;
}

static void test_thp(void)
{
	const struct z5_mem_backend *b = backend("thp");
	const size_t asked = 7 << 20;
	struct z5_region r[2] = { { .asked = asked }, { .asked = asked } };
	char why[256] = "", flags[512];
	uint64_t got;
	int i;

	if (!thp_possible()) {
		skip("no transparent huge pages here");
		return;
	}
	/* Two at once, and likely neighbours: neither may count the pages of the other. */
	for (i = 0; i < 2; i++) {
		ok(!b->alloc(&r[i], why, sizeof(why)), "thp: allocated %s", why);
		r[i].backend = b;
	}
	ok(z5_region_page_bytes(&r[0]) == 0, "thp: nothing there before the first touch");
	check_region(&r[0], "thp", asked);
	got = z5_region_page_bytes(&r[0]);
	/* A fragmented machine may have none to give; a wrong report is more than there can be. */
	ok(got <= r[0].size && !(got % Z5_2M), "thp: %" PRIu64 " of %zu bytes in huge pages", got,
	   r[0].size);
	ok(z5_region_page_bytes(&r[1]) == 0, "thp: and none of them in its neighbour");
	if (smaps_line(r[0].addr, "VmFlags:", flags, sizeof(flags)))
		ok(strstr(flags, " hg") && strstr(flags, " dd"),
		   "thp: advised, and left out of core dumps");
	z5_region_free(&r[0]);
	z5_region_free(&r[1]);

	if (prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)) {
		skip("no PR_SET_THP_DISABLE");
		return;
	}
	r[0] = (struct z5_region){ .asked = asked };
	ok(b->alloc(&r[0], why, sizeof(why)) == -ENOTSUP && strstr(why, "PR_SET_THP_DISABLE"),
	   "thp: refused where the process has it off: %s", why);
	ok(!z5_region_alloc(&r[0], "KV cache", asked, Z5_PAGE_2M, NULL) &&
	   (!strcmp(r[0].backend->name, "hugetlb-2m") ||
	    (!strcmp(r[0].backend->name, "plain") && strstr(r[0].why, "; thp: switched off"))),
	   "then the next in order, and why: %s", r[0].why);
	z5_region_free(&r[0]);
	prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0);
}

static void test_thp_never(void)
{
	static const char *const file = "/sys/kernel/mm/transparent_hugepage/enabled";
	struct z5_region r = { .asked = 1 };
	char before[128], why[256] = "", *from;
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	/* The switch is the machine's: only for a moment, and only where it would be put back. */
	if (fd < 0 || z5_read_text("", file, before, sizeof(before)) <= 0 ||
	    !(from = strchr(before, '['))) {
		skip("the switch for transparent huge pages cannot be moved");
		if (fd >= 0)
			close(fd);
		return;
	}
	from++;
	from[strcspn(from, "]")] = '\0';
	if (write(fd, "never", 5) != 5)
		diag("%s cannot be written", file);
	ok(backend("thp")->alloc(&r, why, sizeof(why)) == -ENOTSUP &&
		   strstr(why, "switched off (echo"),
	   "thp: refused where the machine has it off: %s", why);
	if (write(fd, from, strlen(from)) < 0)
		diag("%s is left at never", file);
	close(fd);
}

/*
 * Asks for pages of one size when none are free: the sentence must say so, and the next one be
 * tried.
 */
static void test_none_free(const char *name, uint64_t page, enum z5_page first)
{
	struct z5_region r = { .asked = 3 * page };
	char why[256] = "", want[128];
	long total = count(page, "nr_hugepages"), left = count(page, "free_hugepages");

	if (count(page, "nr_overcommit_hugepages") > 0) {
		skip("%s: this machine makes pages on demand", name);
		return;
	}
	if (left > 2) {
		r.asked = (left + 1) * page;
		if (r.asked > (size_t)1 << 40) {
			skip("%s: too many free to ask for more", name);
			return;
		}
	}
	ok(backend(name)->alloc(&r, why, sizeof(why)) < 0 && *why, "%s: refused: %s", name, why);
	if (total < 0) {
		ok(strstr(why, "pdpe1gb") || strstr(why, "no pool"),
		   "%s: the reason is that there are none", name);
	} else {
		snprintf(want, sizeof(want),
			 "needs %zu pages, %ld free of %ld (reserve: echo %zu > /sys/",
			 r.asked / page, left, total, total - left + r.asked / page);
		if (count(page, "resv_hugepages"))
			skip("%s: somebody has reserved pages", name);
		else
			ok(strstr(why, want) != NULL, "%s: the reason counts them", name);
	}
	if (left > 0)
		return;
	if (!ok(!z5_region_alloc(&r, "weights", 5000, first, NULL), "%s: another one serves", name))
		return;
	snprintf(want, sizeof(want), "%s:", name);
	ok(strcmp(r.backend->name, name) && strstr(r.why, want), "%s: and says why it is %s", name,
	   r.backend->name);
	z5_region_free(&r);
}

static void test_hugetlb(const char *name, uint64_t page, enum z5_page first, size_t asked)
{
	struct zen5rt_error err = { "" };
	long before = count(page, "nr_hugepages"), need = (asked + page - 1) / page, left;
	long resv = count(page, "resv_hugepages");
	struct z5_region r;
	char flags[512];

	/* Only where it leaves plenty: the machine need not be ours alone. */
	left = count(page, "free_hugepages") - count(page, "resv_hugepages");
	if (before >= 0 && left < need && z5_mem_available() > 4 * need * page)
		set_pages(page, before + need);
	left = count(page, "free_hugepages") - count(page, "resv_hugepages");
	if (left < need) {
		skip("%s: no pages, and none could be reserved (needs root and free memory)",
		     name);
	} else {
		ok(!z5_region_alloc(&r, "weights", asked, first, &err), "%s: allocated %s", name,
		   err.message);
		/* Before anything is written: no SIGBUS can come any more. */
		ok(count(page, "resv_hugepages") <= resv, "%s: populated", name);
		check_region(&r, name, asked);
		ok(!strstr(r.why, "hugetlb"), "%s: nothing of its kind was refused before", name);
		ok(z5_region_page_bytes(&r) == r.size && r.page == page, "%s: all in such pages",
		   name);
		if (smaps_line(r.addr, "KernelPageSize:", flags, sizeof(flags)))
			ok(strtoull(flags, NULL, 10) << 10 == page,
			   "%s: and the kernel says the same", name);
		if (smaps_line(r.addr, "VmFlags:", flags, sizeof(flags)))
			ok(strstr(flags, " dd") != NULL, "%s: left out of core dumps", name);
		z5_region_free(&r);
		ok(count(page, "free_hugepages") >= need, "%s: given back", name);
	}
	if (before >= 0 && count(page, "nr_hugepages") != before)
		set_pages(page, before);
}

/* Runs fn in a child whose address space ends limit bytes above what it has. */
static int limited(uint64_t limit, int (*fn)(void))
{
	struct rlimit lim;
	char statm[128];
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		z5_read_text("", "/proc/self/statm", statm, sizeof(statm));
		lim.rlim_cur = lim.rlim_max = strtoull(statm, NULL, 10) * 4096 + limit;
		setrlimit(RLIMIT_AS, &lim);
		_exit(fn());
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 255;
}

static int limited_alloc(void)
{
	struct zen5rt_error err = { "" };
	struct z5_region r;

	if (z5_region_alloc(&r, "weights", 64 << 20, Z5_PAGE_2M, &err) != -ENOMEM)
		return 1;
	diag("%s", err.message);
	return !strstr(err.message, "ulimit -v") ||
	       !strstr(err.message, "weights: needs 64.0 MiB") || r.addr || r.backend;
}

static int limited_hugetlb(void)
{
	struct z5_region r = { .asked = 64 << 20 };
	char why[256] = "";

	if (backend("hugetlb-2m")->alloc(&r, why, sizeof(why)) != -ENOMEM)
		return 1;
	return !strstr(why, "ulimit -v");
}

static void test_limits(void)
{
	struct zen5rt_error err = { "" };
	struct z5_region r;
	uint64_t available = z5_mem_available();
	long before = count(Z5_2M, "nr_hugepages");
	int ret;

	ok(z5_region_alloc(&r, "weights", 0, Z5_PAGE_1G, &err) == -EINVAL, "no bytes: %s",
	   err.message);
	ok(available > 1 << 20 && available != UINT64_MAX, "%s available",
	   z5_size_text(available).s);
	ret = z5_region_alloc(&r, "weights", available + available / 2, Z5_PAGE_1G, &err);
	ok(ret == -ENOMEM && strstr(err.message, "available (free memory") &&
	   strstr(err.message, "hugetlb-1g:"), "more than there is: %s", err.message);
	ok(z5_region_alloc(&r, "weights", available + available / 2, Z5_PAGE_4K, NULL) == -ENOMEM,
	   "also without err, and of small pages");
	ret = z5_region_alloc(&r, "weights", SIZE_MAX - 5, Z5_PAGE_1G, &err);
	ok(ret == -ENOMEM && !r.addr, "SIZE_MAX - 5: %s", err.message);
	r = (struct z5_region){ .asked = SIZE_MAX - 5 };
	ok(backend("plain")->alloc(&r, err.message, 256) == -EOVERFLOW, "plain: %s", err.message);
	r.asked = SIZE_MAX - (3 << 20);
	ok(z5_mem_map(&r, Z5_2M, err.message, 256) == -EOVERFLOW, "with its guards: %s",
	   err.message);

	if (SHADOW) {
		skip("address space limits under a sanitizer");
		return;
	}
	ok(limited(16 << 20, limited_alloc) == 0, "RLIMIT_AS: refused with a line that names it");
	if (before >= 0 && count(Z5_2M, "free_hugepages") < 32)
		set_pages(Z5_2M, before + 32);
	if (count(Z5_2M, "free_hugepages") < 32)
		skip("RLIMIT_AS with hugetlb: no pages");
	else
		ok(limited(16 << 20, limited_hugetlb) == 0,
		   "RLIMIT_AS: hugetlb tells it from an empty pool");
	if (before >= 0 && count(Z5_2M, "nr_hugepages") != before)
		set_pages(Z5_2M, before);
}

/*
 * The way in for kernels without MADV_POPULATE_WRITE: a file's end stands for a page that is not
 * to be had.
 */
static void test_touch(void)
{
	char name[] = "/tmp/zen5-region-XXXXXX";
	int fd = mkstemp(name);
	char *p;

	if (fd < 0 || ftruncate(fd, 4096)) {
		skip("no file in /tmp");
		return;
	}
	unlink(name);
	p = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
	if (p != MAP_FAILED) {
		ok(z5_mem_touch(p, 4096, 4096) == 0 && !p[0] && !p[8], "touch: leaves zeroes");
		ok(z5_mem_touch(p, 8192, 4096) == -EFAULT,
		   "touch: an error where a store is SIGBUS");
		munmap(p, 8192);
	}
	close(fd);
}

static void put(const char *root, const char *path, const char *text)
{
	char full[512], *p;
	FILE *f;

	snprintf(full, sizeof(full), "%s/%s", root, path);
	for (p = full + strlen(root) + 1; (p = strchr(p, '/')); *p++ = '/') {
		*p = '\0';
		mkdir(full, 0755);
	}
	f = fopen(full, "we");
	if (f) {
		fputs(text, f);
		fclose(f);
	}
}

static void test_cgroup(void)
{
	char root[] = "/tmp/zen5-cgroup-XXXXXX", command[64];
	uint64_t got;

	if (!mkdtemp(root)) {
		skip("no directory in /tmp");
		return;
	}
	ok(z5_cgroup_mem_available(root) == UINT64_MAX, "cgroup: none, no limit");

	put(root, "proc/self/cgroup", "0::/user.slice/job\n");
	put(root, "proc/self/mountinfo",
	    "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n");
	put(root, "sys/fs/cgroup/user.slice/job/memory.max", "8589934592\n");
	put(root, "sys/fs/cgroup/user.slice/job/memory.current", "2147483648\n");
	put(root, "sys/fs/cgroup/user.slice/job/memory.stat",
	    "anon 1000\nworkingset_inactive_file 7\ninactive_file 1073741824\n"
	    "active_file 536870912\n");
	got = z5_cgroup_mem_available(root);
	ok(got == 8589934592 - 536870912, "v2: limit less use, file cache counted as free: %s",
	   z5_size_text(got).s);
	put(root, "sys/fs/cgroup/user.slice/memory.max", "max\n");
	put(root, "sys/fs/cgroup/user.slice/memory.high", "3221225472\n");
	put(root, "sys/fs/cgroup/user.slice/memory.current", "2147483648\n");
	ok(z5_cgroup_mem_available(root) == 1073741824,
	   "v2: memory.high of the level above is tighter");
	put(root, "sys/fs/cgroup/user.slice/memory.current", "4147483648\n");
	ok(z5_cgroup_mem_available(root) == 0, "v2: nothing left");
	put(root, "sys/fs/cgroup/user.slice/memory.high", "max\n");
	put(root, "proc/self/cgroup", "0::/../elsewhere\n");
	put(root, "sys/fs/cgroup/memory.max", "4096\n");
	ok(z5_cgroup_mem_available(root) == 4096,
	   "v2: above the root of the namespace, the mount point counts");

	put(root, "proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n");
	put(root, "proc/self/mountinfo",
	    "31 23 0:27 /docker/abc /sys/fs/cgroup/me\\040mory rw - cgroup cgroup rw,memory\n");
	put(root, "sys/fs/cgroup/me mory/memory.limit_in_bytes", "1073741824\n");
	put(root, "sys/fs/cgroup/me mory/memory.usage_in_bytes", "104857600\n");
	put(root, "sys/fs/cgroup/me mory/memory.stat",
	    "inactive_file 1\ntotal_inactive_file 4857600\n");
	ok(z5_cgroup_mem_available(root) == 1073741824 - 100000000, "v1: in a container");
	put(root, "sys/fs/cgroup/me mory/memory.limit_in_bytes", "9223372036854771712\n");
	ok(z5_cgroup_mem_available(root) == UINT64_MAX, "v1: none");
	put(root, "proc/self/mountinfo", "nonsense\n1 2 3\n - cgroup2\n1 2 3:4 / / rw - cgroup2\n");
	put(root, "proc/self/cgroup", "::\n:\n\n0::\n");
	ok(z5_cgroup_mem_available(root) == UINT64_MAX, "nonsense is no limit");

	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		diag("%s stays", root);
}

int main(void)
{
	test_plain();
	test_guards();
	test_touch();
	test_cgroup();
	test_limits();
	test_thp();
	test_thp_never();
	if (access("/dev/zen5mem", R_OK | W_OK))
		test_none_free("hugetlb-1g", Z5_1G, Z5_PAGE_1G);
	else
		skip("hugetlb-1g: the module serves first");
	test_none_free("hugetlb-2m", Z5_2M, Z5_PAGE_2M);
	test_hugetlb("hugetlb-2m", Z5_2M, Z5_PAGE_2M, (6 << 20) + 1);
	if (access("/dev/zen5mem", R_OK | W_OK))
		test_hugetlb("hugetlb-1g", Z5_1G, Z5_PAGE_1G, 12345);
	return done();
}
