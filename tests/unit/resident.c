// SPDX-License-Identifier: MIT
/*
 * Regions of zen5mem and models that stay in them, against a stand-in for the device: order and refusals, labels, who
 * is believed, and that attached weights are the file's.
 */
#include "fakedev.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include <mem/backend.h>
#include <mem/label.h>
#include <mem/resident.h>
#include <model/model.h>
#include <zen5rt.h>

#include "../tap.h"

#define TINY "tests/models/zen5-tiny.gguf"

static char dir[64], file[128];

/* errno `error` from that call of the device, 0: none. */
static void refuse(const char *call, int error)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", error);
	setenv(call, text, 1);
}

static bool there(const char *name)
{
	char path[PATH_MAX];

	return !access(fakedev_path(path, "%s", name), F_OK);
}

static void forget(const char *name)
{
	char path[PATH_MAX];

	unlink(fakedev_path(path, "%s", name));
}

static unsigned int entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned int n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n;
}

/* Regions that this process maps. */
static unsigned int mapped(void)
{
	unsigned int n = 0;
	char line[4352];
	FILE *f = fopen("/proc/self/maps", "re");

	while (f && fgets(line, sizeof(line), f))
		n += strstr(line, dir) != NULL;
	if (f)
		fclose(f);
	return n;
}

/* ---- the backend ---- */

static void test_pages(void)
{
	static const struct {
		size_t asked;
		uint64_t size, page;
		const char *pages;
	} cases[] = {
		{ 1, 2 << 20, 2 << 20, "1 x 2 MiB" },
		{ (5 << 20) + 1, 6 << 20, 2 << 20, "3 x 2 MiB" },
		{ (size_t)1 << 30, 1ull << 30, 1ull << 30, "1 x 1 GiB" },
		{ (size_t)1331 << 20, 1332ull << 20, 2 << 20, "1 x 1 GiB + 154 x 2 MiB" },
		/* a rest that nearly fills a window gets one */
		{ (size_t)970 << 20, 1ull << 30, 1ull << 30, "1 x 1 GiB" },
		{ (size_t)900 << 20, 900 << 20, 2 << 20, "450 x 2 MiB" },
	};
	struct zen5rt_region_info info;
	struct z5_region r;

	if (z5_mem_available() < (uint64_t)1400 << 20) {
		skip("too little memory for regions of a GiB");
		return;
	}
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		if (!ok(!z5_region_alloc(&r, "weights", cases[i].asked, Z5_PAGE_1G, NULL), "%zu bytes", cases[i].asked))
			continue;
		z5_region_info(&r, &info);
		ok(!strcmp(info.backend, "zen5mem") && info.asked == cases[i].asked && info.size == cases[i].size &&
		   info.page == cases[i].page && info.page_bytes == info.size && !strcmp(info.pages, cases[i].pages) &&
		   !*info.why, "are %s", info.pages);
		((char *)r.addr)[0] = ((char *)r.addr)[r.size - 1] = 1;
		ok(mapped() == 1, "there");
		z5_region_free(&r);
		ok(!mapped(), "and gone");
	}
	ok(!z5_region_alloc(&r, "KV cache", 4096, Z5_PAGE_2M, NULL) && strcmp(r.backend->name, "zen5mem"),
	   "what asks for 2 MiB does not come from the device");
	z5_region_free(&r);
}

static void test_refusals(void)
{
	static const struct {
		const char *call;
		int error;
		const char *why;
	} cases[] = {
		{ "FAKEDEV_OPEN", ENOENT, "zen5mem: no /dev/zen5mem (modprobe zen5mem)" },
		{ "FAKEDEV_OPEN", EIO, "zen5mem: /dev/zen5mem: Input/output error" },
		{ "FAKEDEV_CREATE", EPERM, "zen5mem: needs 1.0 MiB locked, the limit is " },
		{ "FAKEDEV_CREATE", EDQUOT, "max_gib" },
		{ "FAKEDEV_CREATE", ENOMEM, "zen5mem: needs 1.0 MiB, the module finds no memory for it" },
		{ "FAKEDEV_CREATE", EMFILE, "Too many open files" },
		{ "FAKEDEV_4K", 1, "zen5mem: memory is too fragmented" },
	};
	struct z5_region r;
	char why[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		refuse(cases[i].call, cases[i].error);
		ok(!z5_region_alloc(&r, "weights", 1 << 20, Z5_PAGE_1G, NULL) && strcmp(r.backend->name, "zen5mem") &&
		   strstr(r.why, cases[i].why), "another backend serves: %.100s", r.why);
		z5_region_free(&r);
		unsetenv(cases[i].call);
	}
	refuse("FAKEDEV_4K", 1);
	ok(!z5_resident_alloc(&r, "weights", 1 << 20, why, sizeof(why)) && r.page == 4096, "to stay, small pages will do");
	z5_region_free(&r);
	unsetenv("FAKEDEV_4K");
	r = (struct z5_region){ .asked = SIZE_MAX - 5 };
	ok(z5_device_alloc(&r, why, sizeof(why)) == -EOVERFLOW, "SIZE_MAX - 5: %s", why);
	r.asked = (size_t)1 << 50;
	ok(z5_device_alloc(&r, why, sizeof(why)) == -ENOMEM && strstr(why, "available"), "a PiB: %s", why);
}

/* ---- labels ---- */

static void test_label(void)
{
	struct z5_label *l = malloc(sizeof(*l)), *bad = malloc(sizeof(*bad));
	const uint64_t size = 4 << 20;
	static uint8_t key[sizeof(l->key) + 1];

	if (!l || !bad)
		return;
	ok(!z5_label_write(l, size, 1000, "key", 3, "llama", "/a/b.gguf") && !z5_label_wrong(l, size), "a label");
	ok(!strcmp(l->path, "/a/b.gguf") && !strcmp(l->kind, "llama"), "says what the region holds");
	for (size_t i = 0; i < Z5_LABEL_HEAD + 4; i += i < 120 ? 1 : 331) {
		memcpy(bad, l, sizeof(*l));
		((uint8_t *)bad)[i] ^= 0x40;
		if (!z5_label_wrong(bad, size))
			ok(false, "byte %zu changed and nothing seen", i);
	}
	ok(z5_label_wrong(l, size + 4096) != NULL, "of another region: %s", z5_label_wrong(l, size + 4096));
	memset(bad, 0, sizeof(*bad));
	ok(!strcmp(z5_label_wrong(bad, size), "it has no label"), "zeroes are none");
	z5_label_write(bad, size, size - Z5_LABEL_BYTES + 1, "key", 3, "llama", "x");
	ok(z5_label_wrong(bad, size) != NULL, "more contents than room: %s", z5_label_wrong(bad, size));
	z5_label_write(bad, 4096, 0, "key", 3, "llama", "x");
	ok(z5_label_wrong(bad, 4096) != NULL, "a region smaller than a label");
	ok(z5_label_write(bad, size, 0, key, sizeof(key), "llama", "x") == -E2BIG, "a key too long");
	ok(!z5_label_write(bad, size, 0, key, sizeof(key) - 1, "llama", "x") && !z5_label_wrong(bad, size),
	   "the longest key");
	free(l);
	free(bad);
}

/* ---- publishing and attaching ---- */

static struct z5_resident wanted(const char *name, const char *key)
{
	struct z5_resident w = { .key = key, .key_len = strlen(key), .kind = "llama", .path = "/m.gguf" };

	snprintf(w.name, sizeof(w.name), "%s", name);
	return w;
}

/* A region of asked bytes c under its name. */
static int leave(const struct z5_resident *w, size_t asked, int c, struct z5_region *r, char *why)
{
	int ret = z5_resident_alloc(r, "weights", asked, why, 256);

	if (ret)
		return ret;
	memset(r->addr, c, asked);
	return z5_resident_publish(r, w, why, 256);
}

static bool store_crashes(void *addr)
{
	int status = 0;
	pid_t pid = fork();

	if (!pid) {
		signal(SIGSEGV, SIG_DFL);
		*(volatile char *)addr = 1;
		_exit(0);
	}
	waitpid(pid, &status, 0);
	/* sanitizers turn the signal into a status */
	return WIFSIGNALED(status) || WEXITSTATUS(status);
}

static void test_publish(void)
{
	struct z5_resident w = wanted("one", "key of one");
	const size_t asked = 3000000;
	struct z5_region a, b, c;
	char why[256] = "";
	const unsigned int fds = entries("/proc/self/fd");

	ok(z5_resident_attach(&a, "weights", asked, &w, why, sizeof(why)) == 1, "nothing to attach to");
	ok(!z5_resident_alloc(&a, "weights", asked, why, sizeof(why)) && a.asked == asked &&
	   a.size >= asked + Z5_LABEL_BYTES, "room for a label");
	memset(a.addr, 'a', asked);
	ok(!there("one"), "no name while it is filled");
	ok(!z5_resident_publish(&a, &w, why, sizeof(why)) && there("one"), "published %s", why);
	ok(((char *)a.addr)[0] == 'a' && ((char *)a.addr)[asked - 1] == 'a', "with its contents");
	ok(store_crashes(a.addr), "and read-only");
	ok(!z5_resident_attach(&b, "weights", asked, &w, why, sizeof(why)) && b.asked == asked &&
	   !memcmp(a.addr, b.addr, asked) && !strcmp(b.backend->name, "zen5mem"), "attached %s", why);
	ok(store_crashes(b.addr), "read-only, too");
	ok(leave(&w, asked, 'c', &c, why) == 1 && ((char *)c.addr)[0] == 'a', "who comes second takes the first one's");
	z5_region_free(&a);
	z5_region_free(&c);
	ok(((char *)b.addr)[asked - 1] == 'a', "it stays");
	z5_region_free(&b);
	ok(there("one") && entries("/proc/self/fd") == fds && !mapped(), "no descriptor and no mapping is left");
	ok(!leave(&w, 1 << 20, 'x', &a, why) || a.addr, "the same name for another size");
	z5_region_free(&a);
	forget("one");

	if (z5_resident_alloc(&a, "weights", asked, why, sizeof(why)))
		return;
	a.open = false;
	close(a.fd);
	ok(z5_resident_publish(&a, &w, why, sizeof(why)) < 0 && a.addr, "what cannot be published is kept: %s", why);
	z5_region_free(&a);
	w.name[0] = '.';
	ok(leave(&w, asked, 'd', &a, why) < 0 && *why && ((char *)a.addr)[5] == 'd', "what cannot be named, too: %s", why);
	z5_region_free(&a);
}

/* What is found under the name "odd" is refused with `ret` and a line like `like`, and stays. */
static void odd(const char *name, int ret, const char *like, bool replace)
{
	struct z5_resident w = wanted("odd", "the key");
	struct z5_region r;
	char why[256] = "";
	int got;

	w.replace = replace;
	got = z5_resident_attach(&r, "weights", 100000, &w, why, sizeof(why));
	ok(got == ret && strstr(why, like) && !r.addr == !!got, "%s: %d %s", name, got, why);
	z5_region_free(&r);
	ok(there("odd") == (ret != 1), "%s: %s", name, ret == 1 ? "replaced" : "left alone");
	forget("odd");
}

/* A region "odd" of the user's own making; its label is changed at byte `at`. */
static void make_odd(bool seal, const char *key, size_t asked, size_t at)
{
	struct z5_resident w = wanted("odd", key);
	struct z5m_name n = { .flags = 0 };
	struct z5m_seal s = { .flags = 0 };
	struct z5_region r;
	struct z5_label *l;
	char why[256];

	if (z5_resident_alloc(&r, "weights", asked, why, sizeof(why)))
		return;
	l = (struct z5_label *)((char *)r.addr + r.size - Z5_LABEL_BYTES);
	z5_label_write(l, r.size, asked, w.key, w.key_len, w.kind, w.path);
	if (at != SIZE_MAX)
		((uint8_t *)l)[at] ^= 1;
	munmap(r.addr, r.size);
	strcpy(n.name, "odd");
	if (seal)
		ioctl(r.fd, Z5M_IOC_SEAL, &s);
	ioctl(r.fd, Z5M_IOC_NAME, &n);
	close(r.fd);
}

static void test_distrust(void)
{
	struct z5m_create c = { .size = 4096, .page_order = Z5M_ORDER_4K, .name = "odd" };
	struct z5m_seal s = { .flags = 0 };
	int dev, fd;

	make_odd(false, "the key", 100000, SIZE_MAX);
	odd("not sealed", -EBUSY, "is not sealed", true);
	setenv("FAKEDEV_UID", "12345", 1);
	make_odd(true, "the key", 100000, SIZE_MAX);
	odd("another user's", -EPERM, "belongs to user 12345", true);
	setenv("FAKEDEV_UID", "65534", 1);
	make_odd(true, "the key", 100000, SIZE_MAX);
	odd("nobody's", -EPERM, "belongs to user 65534", true);
	setenv("FAKEDEV_UID", "0", 1);
	make_odd(true, "the key", 100000, SIZE_MAX);
	odd("root's", 0, "", true);
	unsetenv("FAKEDEV_UID");
	make_odd(true, "another", 100000, SIZE_MAX);
	odd("another key", -ESTALE, "holds another model, or another state", false);
	make_odd(true, "another", 100000, SIZE_MAX);
	odd("another key, name of ours", 1, "", true);
	make_odd(true, "the key and more", 100000, SIZE_MAX);
	odd("a longer key", -ESTALE, "holds another", false);
	make_odd(true, "the key", 100001, SIZE_MAX);
	odd("another size", -ESTALE, "holds another", false);
	make_odd(true, "the key", 100000, 0);
	odd("no label", -ESTALE, "it has no label", false);
	make_odd(true, "the key", 100000, 8);
	odd("another version", -ESTALE, "of another version", false);
	make_odd(true, "the key", 100000, 8);
	odd("another version, name of ours", 1, "", true);
	make_odd(true, "the key", 100000, 200);
	odd("a damaged label", -ESTALE, "damaged", false);

	dev = open(Z5M_DEVICE, O_RDWR);
	fd = ioctl(dev, Z5M_IOC_CREATE, &c);
	ok(fd >= 0 && !ioctl(fd, Z5M_IOC_SEAL, &s), "a region of a page");
	odd("smaller than a label", -ESTALE, "it has no label", false);
	close(fd);
	close(dev);
}

/* ---- models ---- */

/* Loads and evaluates; a sum over the logits, 0 on failure. info is valid until the model is freed: copied. */
static uint64_t answer(struct zen5rt *rt, const char *resident, struct zen5rt_model_info *info, char name[64],
		       char why[512])
{
	static const int32_t ids[] = { 1, 17, 300, 5 };
	struct zen5rt_model_params mp;
	uint64_t sum = 0xcbf29ce484222325;
	struct zen5rt_session *s = NULL;
	struct zen5rt_model *m = NULL;
	struct zen5rt_error err = { "" };

	zen5rt_model_params_init(&mp);
	mp.resident = resident;
	if (zen5rt_model_load_with(rt, file, &mp, &m, &err) || zen5rt_session_new(m, NULL, &s, &err) ||
	    zen5rt_eval(s, ids, 4, &err)) {
		diag("%s", err.message);
		sum = 0;
	} else {
		const uint8_t *p = (const uint8_t *)zen5rt_logits(s);

		zen5rt_model_info(m, info);
		snprintf(name, 64, "%s", info->resident);
		snprintf(why, 512, "%s", info->not_resident);
		for (size_t i = 0; i < info->n_vocab * sizeof(float); i++)
			sum = (sum ^ p[i]) * 0x100000001b3;
	}
	zen5rt_session_free(s);
	zen5rt_model_free(m);
	return sum;
}

static int cancel(void *user, enum zen5rt_stage stage, uint64_t done, uint64_t total)
{
	(void)user;
	return stage == ZEN5RT_STAGE_LOAD && done == total;
}

/* All that lies behind the first MiB of the file becomes zero, which nobody can see from its state. */
static void hollow(void)
{
	static const char zero[65536];
	struct stat st;
	int fd = open(file, O_RDWR | O_CLOEXEC);
	struct timespec t[2];

	if (fd < 0 || fstat(fd, &st))
		return;
	for (off_t at = 1 << 20; at < st.st_size; at += sizeof(zero)) {
		size_t left = (size_t)(st.st_size - at);

		if (pwrite(fd, zero, left < sizeof(zero) ? left : sizeof(zero), at) < 0)
			break;
	}
	close(fd);
	t[0] = st.st_atim;
	t[1] = st.st_mtim;
	utimensat(AT_FDCWD, file, t, 0);
}

static void test_model(struct zen5rt *rt)
{
	struct zen5rt_model_params mp = { .size = sizeof(mp) };
	struct zen5rt_model_info info = { 0 };
	struct zen5rt_error err = { "" };
	char name[64] = "", why[512] = "", first[64];
	struct zen5rt_params rp;
	struct zen5rt_model *m;
	struct zen5rt *other;
	uint64_t want;

	want = answer(rt, NULL, &info, name, why);
	ok(want && !*name && !*why && !info.attached, "a model that does not stay");
	ok(answer(rt, "", &info, first, why) == want && *first && !info.attached && there(first), "left as %s", first);
	ok(strstr(first, ".m_odel_.gguf-") != NULL, "a name made of the path");
	ok(answer(rt, "", &info, name, why) == want && !strcmp(name, first) && info.attached, "attached: the same logits");
	ok(answer(rt, "mine", &info, name, why) == want && !strcmp(name, "mine") && !info.attached, "under a given name");
	hollow();
	ok(answer(rt, "mine", &info, name, why) == want && info.attached, "of the file nothing is read but its header");
	utimensat(AT_FDCWD, file, NULL, 0);
	ok(answer(rt, "mine", &info, name, why) != want && !*name && strstr(why, "another state of this one"),
	   "the file was touched: %s", why);
	ok(answer(rt, "", &info, name, why) != want && !strcmp(name, first) && !info.attached,
	   "what has a name of ours is replaced");
	ok(answer(rt, "", &info, name, why) && info.attached && entries(dir) == 5, "once: ., .., meta and two regions");
	refuse("FAKEDEV_OPEN", EACCES);
	ok(answer(rt, "mine", &info, name, why) && !*name && *why, "without the device: %s", why);
	unsetenv("FAKEDEV_OPEN");
	refuse("FAKEDEV_CREATE", ENOMEM);
	ok(answer(rt, "new", &info, name, why) && !*name && strstr(why, "finds no memory"), "without memory: %s", why);
	unsetenv("FAKEDEV_CREATE");

	mp.resident = "a b";
	ok(zen5rt_model_load_with(rt, file, &mp, &m, &err) == -EINVAL && strstr(err.message, "is no name"), "%s", err.message);
	mp.size++;
	ok(zen5rt_model_load_with(rt, file, &mp, &m, &err) == -EINVAL, "%s", err.message);
	mp.size = sizeof(mp);
	mp.resident = "half";
	zen5rt_params_init(&rp);
	rp.n_threads = 2;
	rp.progress = cancel;
	if (zen5rt_open(&rp, &other, &err))
		return;
	ok(zen5rt_model_load_with(other, file, &mp, &m, &err) == -ECANCELED && !there("half"), "cancelled: nothing stays");
	zen5rt_close(other);
}

/*
 * If this fails, what packing writes has changed: Z5_PACKING in lib/model/packed.h goes up by one, or processes of this
 * version take weights that another has left for theirs.
 */
static void test_packing(struct zen5rt *rt)
{
	uint64_t sum = 0xcbf29ce484222325;
	struct zen5rt_model *m;
	const uint8_t *p;

	if (!ok(!zen5rt_model_load(rt, TINY, &m, NULL), "packing of every type in the small model"))
		return;
	p = m->region.addr;
	for (size_t i = 0; i < m->region.asked; i++)
		sum = (sum ^ p[i]) * 0x100000001b3;
	ok(sum == 0xa1572183b8346e8e, "is that of version 1: 0x%llx", (unsigned long long)sum);
	zen5rt_model_free(m);
}

int main(void)
{
	struct zen5rt_params rp;
	struct zen5rt *rt = NULL;
	struct z5_resident w = wanted("one", "key");
	char command[256], why[256];
	struct z5_region r;

	unsetenv("FAKEDEV");
	if (access(Z5M_DEVICE, F_OK))
		ok(z5_resident_attach(&r, "weights", 5, &w, why, sizeof(why)) == -ENOENT && strstr(why, "modprobe"),
		   "no device: %s", why);
	/* where files without a name can be made */
	snprintf(dir, sizeof(dir), "%s/zen5-fakedev-XXXXXX", access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm");
	if (!mkdtemp(dir)) {
		skip("no directory for the stand-in");
		return done();
	}
	setenv("FAKEDEV", dir, 1);
	snprintf(file, sizeof(file), "%s.m odel\xc3.gguf", dir);
	snprintf(command, sizeof(command), "mkdir %s/meta && cp " TINY " '%s.m odel\xc3.gguf'", dir, dir);
	if (system(command))
		diag("%s failed", command);
	test_pages();
	test_refusals();
	test_label();
	test_publish();
	test_distrust();
	zen5rt_params_init(&rp);
	rp.n_threads = 2;
	if (ok(!zen5rt_open(&rp, &rt, NULL), "a runtime")) {
		test_model(rt);
		test_packing(rt);
	}
	zen5rt_close(rt);
	snprintf(command, sizeof(command), "rm -rf %s '%s'", dir, file);
	if (system(command))
		diag("%s stays", dir);
	return done();
}
