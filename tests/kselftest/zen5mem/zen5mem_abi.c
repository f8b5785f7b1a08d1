// SPDX-License-Identifier: MIT
/* The ioctls as such: extensible structures, errors, names, and what the device tells. */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <kselftest.h>
#include "zen5mem_lib.h"

#define CPU_DIR "/sys/devices/system/cpu"
#define NODE_DIR "/sys/devices/system/node"
/* The same command with a structure of another size. */
#define RESIZED(cmd, size) _IOC(_IOC_DIR(cmd), _IOC_TYPE(cmd), _IOC_NR(cmd), size)

static const struct {
	const char *name;
	unsigned int cmd;
	int on_region;
} cmds[] = {
	{ "VERSION", Z5M_IOC_VERSION, 0 },	{ "CREATE", Z5M_IOC_CREATE, 0 },
	{ "OPEN", Z5M_IOC_OPEN, 0 },		{ "DESTROY", Z5M_IOC_DESTROY, 0 },
	{ "LIST", Z5M_IOC_LIST, 0 },		{ "DOMAIN", Z5M_IOC_DOMAIN, 0 },
	{ "NODE", Z5M_IOC_NODE, 0 },		{ "RESERVE", Z5M_IOC_RESERVE, 0 },
	{ "COUNTERS", Z5M_IOC_COUNTERS, 0 },
	{ "INFO", Z5M_IOC_INFO, 1 },		{ "SLOTS", Z5M_IOC_SLOTS, 1 },
	{ "SEAL", Z5M_IOC_SEAL, 1 },		{ "NAME", Z5M_IOC_NAME, 1 },
	{ "POPULATE", Z5M_IOC_POPULATE, 1 },	{ "DMABUF", Z5M_IOC_DMABUF, 1 },
};
#define N_CMDS ((int)(sizeof(cmds) / sizeof(cmds[0])))

static unsigned int count_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	unsigned int n = 0;

	need(dir);
	while (readdir(dir))
		n++;
	closedir(dir);
	return n;
}

static int small(const char *name)
{
	int fd = z5t_create(PAGE, Z5M_ORDER_4K, 0, name);

	need(fd >= 0);
	return fd;
}

static void abi_version(void)
{
	struct z5m_version v = z5t_version();

	check(v.abi == Z5M_ABI);
	check(!(v.features & ~(Z5M_FEATURE_MAP_1G | Z5M_FEATURE_DMABUF | Z5M_FEATURE_UNTESTED |
			       Z5M_FEATURE_COUNTERS)));
	check(v.features & Z5M_FEATURE_COUNTERS);
	check(v.max_bytes >= v.used_bytes);
	check(v.n_domains >= 1);
	check(v.n_nodes >= 1);
	check(v.reserved == 0);
}

static void abi_commands(void)
{
	char buf[16384] = "";
	int region = small(NULL), i, nr;

	for (i = 0; i < N_CMDS; i++) {
		int wrong = cmds[i].on_region ? z5t_dev : region;
		int right = cmds[i].on_region ? region : z5t_dev;
		int dir;

		if (!fails(ioctl(wrong, cmds[i].cmd, buf), ENOTTY))
			ksft_print_msg("%s on the other descriptor\n", cmds[i].name);
		for (dir = 0; dir < 3; dir++) {
			unsigned int cmd = _IOC(dir, Z5M_IOC_MAGIC, _IOC_NR(cmds[i].cmd),
						_IOC_SIZE(cmds[i].cmd));

			if (!fails(ioctl(right, cmd, buf), ENOTTY))
				ksft_print_msg("%s with direction %d\n", cmds[i].name, dir);
		}
	}
	for (nr = 0; nr < 256; nr++) {
		unsigned int cmd = _IOC(_IOC_READ | _IOC_WRITE, Z5M_IOC_MAGIC, nr, 64);

		if (nr >= 9)
			fails(ioctl(z5t_dev, cmd, buf), ENOTTY);
		if (nr < 32 || nr >= 38)
			fails(ioctl(region, cmd, buf), ENOTTY);
	}
	fails(ioctl(z5t_dev, 0, buf), ENOTTY);
	fails(ioctl(z5t_dev, ~0U, buf), ENOTTY);
	fails(ioctl(region, 0x5401, buf), ENOTTY);
}

static void abi_shorter(void)
{
	struct z5m_version v;
	struct z5m_create c;
	struct z5m_info i;
	struct z5m_domain d;
	int fd = small(NULL), other;
	size_t at;

	/* Nothing is written behind the size that the command has. */
	memset(&v, 0xa5, sizeof(v));
	v.reserved = 0;
	need(!ioctl(z5t_dev, RESIZED(Z5M_IOC_VERSION, 8), &v));
	check(v.abi == Z5M_ABI);
	check(v.features == 0xa5a5a5a5a5a5a5a5);

	memset(&c, 0xa5, sizeof(c));
	c.size = PAGE;
	c.flags = c.page_order = c.place = c.place_id = 0;
	other = ioctl(z5t_dev, RESIZED(Z5M_IOC_CREATE, offsetof(struct z5m_create, name)), &c);
	need(other >= 0);
	check(c.name[0] == (char)0xa5, "the name was not in the structure");
	check(c.id == 0xa5a5a5a5a5a5a5a5);
	check(z5t_info(other).name[0] == 0);
	close(other);

	memset(&i, 0xa5, sizeof(i));
	i.after = 0;
	need(!ioctl(fd, RESIZED(Z5M_IOC_INFO, offsetof(struct z5m_info, place)), &i));
	check(i.id == z5t_info(fd).id);
	check(i.size == PAGE);
	for (at = offsetof(struct z5m_info, place); at < sizeof(i); at++)
		need(((unsigned char *)&i)[at] == 0xa5, "byte %zu", at);

	memset(&d, 0xa5, sizeof(d));
	d.index = d.flags = 0;
	need(!ioctl(z5t_dev, RESIZED(Z5M_IOC_DOMAIN, 16), &d));
	check(d.l3_bytes == 0xa5a5a5a5a5a5a5a5);
}

/* Each command that succeeds with its own size, with more bytes behind it. */
static void longer(int fd, unsigned int cmd, const void *arg, const char *name)
{
	static const unsigned int more[] = { 1, 8, 64, 4000 };
	size_t size = _IOC_SIZE(cmd);
	unsigned char *buf = calloc(1, 16384);
	unsigned int i, j;
	int ret;

	need(buf);
	for (i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		memset(buf, 0, 16384);
		memcpy(buf, arg, size);
		ret = ioctl(fd, RESIZED(cmd, size + more[i]), buf);
		check(ret >= 0, "%s, %u more", name, more[i]);
		for (j = 0; j < more[i]; j++)
			need(!buf[size + j], "%s writes behind what it knows", name);
		if (ret > 0)
			close(ret);
		memcpy(buf, arg, size);
		buf[size + more[i] - 1] = 1;
		if (!fails(ioctl(fd, RESIZED(cmd, size + more[i]), buf), E2BIG))
			ksft_print_msg("%s, %u more, the last not 0\n", name, more[i]);
		check(buf[size + more[i] - 1] == 1);
	}
	free(buf);
}

static void abi_longer(void)
{
	int fd = small(NULL), named = small(NAME("longer"));
	struct z5m_create c = { .size = PAGE };
	struct z5m_open o = { .name = NAME("longer") };
	struct z5m_slot slot;
	struct z5m_slots s = { .count = 1, .slots = (uintptr_t)&slot };
	struct z5m_populate p = { .len = PAGE };
	struct z5m_node node = { .node = 0 };
	char zero[1024] = "";
	uint32_t n;

	longer(z5t_dev, Z5M_IOC_VERSION, zero, "VERSION");
	longer(z5t_dev, Z5M_IOC_CREATE, &c, "CREATE");
	longer(z5t_dev, Z5M_IOC_OPEN, &o, "OPEN");
	longer(z5t_dev, Z5M_IOC_LIST, zero, "LIST");
	longer(z5t_dev, Z5M_IOC_DOMAIN, zero, "DOMAIN");
	for (n = 0; n < z5t_version().n_nodes; n++) {
		node.node = n;
		if (!ioctl(z5t_dev, Z5M_IOC_NODE, &node)) {
			node = (struct z5m_node){ .node = n };
			longer(z5t_dev, Z5M_IOC_NODE, &node, "NODE");
			break;
		}
	}
	longer(fd, Z5M_IOC_INFO, zero, "INFO");
	longer(fd, Z5M_IOC_SLOTS, &s, "SLOTS");
	p.addr = (uintptr_t)z5t_map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
	longer(fd, Z5M_IOC_POPULATE, &p, "POPULATE");
	munmap((void *)(uintptr_t)p.addr, PAGE);
	if (z5t_version().features & Z5M_FEATURE_DMABUF)
		longer(fd, Z5M_IOC_DMABUF, zero, "DMABUF");
	longer(fd, Z5M_IOC_SEAL, zero, "SEAL");
	close(named);
	check(!z5t_destroy(NAME("longer")));
}

static void abi_pointers(void)
{
	int fd = small(NULL), i;
	char *edge = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);
	struct z5m_create *c = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct z5m_slots s = { .count = 1 };
	unsigned int fds, regions;
	uint64_t used;

	need(edge != MAP_FAILED && c != MAP_FAILED);
	need(!munmap(edge + PAGE, PAGE));
	for (i = 0; i < N_CMDS; i++) {
		int on = cmds[i].on_region ? fd : z5t_dev, none = EFAULT;
		void *bad[] = { NULL, (void *)0xffff888000000000, (void *)-4096L,
				(void *)0x00007fffffffffff,
				edge + PAGE - _IOC_SIZE(cmds[i].cmd) / 2 };
		unsigned int j;

		if (cmds[i].cmd == Z5M_IOC_DMABUF && !(z5t_version().features & Z5M_FEATURE_DMABUF))
			none = ENOTTY;
		for (j = 0; j < sizeof(bad) / sizeof(bad[0]); j++) {
			if (!fails(ioctl(on, cmds[i].cmd, bad[j]), none))
				ksft_print_msg("%s at %p\n", cmds[i].name, bad[j]);
		}
	}
	/* The answer cannot be written: nothing may stay behind. */
	fds = count_fds();
	used = z5t_used();
	regions = z5t_regions();
	c->size = PAGE;
	strcpy(c->name, NAME("lost"));
	need(!mprotect(c, PAGE, PROT_READ));
	fails(ioctl(z5t_dev, Z5M_IOC_CREATE, c), EFAULT);
	check(count_fds() == fds);
	check(z5t_settled(used));
	check(z5t_regions() == regions);
	fails(z5t_open(NAME("lost"), 0), ENOENT);
	need(!mprotect(c, PAGE, PROT_READ | PROT_WRITE));
	memset(c, 0, PAGE);
	need(!mprotect(c, PAGE, PROT_READ));
	fails(ioctl(z5t_dev, Z5M_IOC_VERSION, c), EFAULT);
	fails(ioctl(z5t_dev, Z5M_IOC_LIST, c), EFAULT);
	fails(ioctl(z5t_dev, Z5M_IOC_DOMAIN, c), EFAULT);
	fails(ioctl(fd, Z5M_IOC_INFO, c), EFAULT);
	fails(ioctl(fd, Z5M_IOC_SLOTS, &s), EFAULT);
	s.slots = 0xffff888000000000;
	fails(ioctl(fd, Z5M_IOC_SLOTS, &s), EFAULT);
	s.slots = (uintptr_t)edge + PAGE - 8;
	fails(ioctl(fd, Z5M_IOC_SLOTS, &s), EFAULT);
}

static void create_fails(struct z5m_create c, int err, const char *why)
{
	int fd = ioctl(z5t_dev, Z5M_IOC_CREATE, &c);

	check(fd == -1 && errno == err, "%s: %d", why, fd);
	if (fd >= 0)
		close(fd);
}

static void abi_invalid_create(void)
{
	struct z5m_version v = z5t_version();
	unsigned int bit;
	int fd;

	for (bit = 3; bit < 32; bit++)
		create_fails((struct z5m_create){ .size = PAGE, .flags = 1U << bit }, EINVAL,
			     "flag");
	create_fails((struct z5m_create){ .size = 0 }, EINVAL, "size 0");
	create_fails((struct z5m_create){ .size = PAGE, .page_order = 1 }, EINVAL, "order 1");
	create_fails((struct z5m_create){ .size = PAGE, .page_order = 19 }, EINVAL, "order 19");
	create_fails((struct z5m_create){ .size = PAGE, .page_order = ~0U }, EINVAL, "order ~0");
	create_fails((struct z5m_create){ .size = PAGE, .place = 3 }, EINVAL, "place 3");
	create_fails((struct z5m_create){ .size = PAGE, .place_id = 1 }, EINVAL, "an id of any");
	create_fails((struct z5m_create){ .size = PAGE, .place = Z5M_PLACE_CCD,
		     .place_id = v.n_domains }, ENODEV, "domain past the last");
	create_fails((struct z5m_create){ .size = PAGE, .place = Z5M_PLACE_CCD,
		     .place_id = ~0U }, ENODEV, "domain ~0");
	create_fails((struct z5m_create){ .size = PAGE, .place = Z5M_PLACE_NODE,
		     .place_id = v.n_nodes }, ENODEV, "node past the last");
	create_fails((struct z5m_create){ .size = PAGE, .place = Z5M_PLACE_NODE,
		     .place_id = ~0U }, ENODEV, "node ~0");
	create_fails((struct z5m_create){ .size = PAGE + 1, .flags = Z5M_CREATE_STRICT }, EINVAL,
		     "strict, a part of a page");
	create_fails((struct z5m_create){ .size = 3 * MIB, .page_order = Z5M_ORDER_2M,
		     .flags = Z5M_CREATE_STRICT }, EINVAL, "strict, a part of 2 MiB");
	create_fails((struct z5m_create){ .size = GIB + 2 * MIB, .page_order = Z5M_ORDER_1G,
		     .flags = Z5M_CREATE_STRICT }, EINVAL, "strict, a part of 1 GiB");
	/* Sizes near the end of the number: whatever the error is, no small region comes of it. */
	for (bit = 0; bit < 3; bit++) {
		struct z5m_create c = { .size = ~0ULL - bit * PAGE, .page_order = bit * 9 };

		fd = ioctl(z5t_dev, Z5M_IOC_CREATE, &c);
		check(fd == -1 && (errno == EINVAL || errno == EDQUOT || errno == ENOMEM),
		      "size %#llx: %d", (unsigned long long)c.size, fd);
	}
}

static void abi_invalid(void)
{
	int fd = small(NULL);
	struct z5m_version v = { .reserved = 1 };
	struct z5m_open o = { .name = NAME("none"), .reserved = 1 };
	struct z5m_destroy d = { .name = NAME("none"), .reserved = 1 };
	struct z5m_domain dom = { .reserved = 1 };
	struct z5m_node node = { .flags = 2 };
	struct z5m_reserve r = { .flags = Z5M_CREATE_STRICT };
	struct z5m_slots s = { .reserved = 1 };
	struct z5m_seal seal = { .reserved = 1 };
	struct z5m_name name = { .name = NAME("none"), .reserved = 1 };
	struct z5m_populate p = { .len = PAGE, .reserved = 1 };
	struct z5m_dmabuf dma = { .reserved = 1 };

	fails(ioctl(z5t_dev, Z5M_IOC_VERSION, &v), EINVAL);
	fails(ioctl(z5t_dev, Z5M_IOC_OPEN, &o), EINVAL);
	o = (struct z5m_open){ .name = NAME("none"), .flags = 2 };
	fails(ioctl(z5t_dev, Z5M_IOC_OPEN, &o), EINVAL);
	fails(ioctl(z5t_dev, Z5M_IOC_DESTROY, &d), EINVAL);
	d = (struct z5m_destroy){ .name = NAME("none"), .flags = 1 };
	fails(ioctl(z5t_dev, Z5M_IOC_DESTROY, &d), EINVAL);
	fails(ioctl(z5t_dev, Z5M_IOC_DOMAIN, &dom), EINVAL);
	dom = (struct z5m_domain){ .flags = 1 };
	fails(ioctl(z5t_dev, Z5M_IOC_DOMAIN, &dom), EINVAL);
	fails(ioctl(z5t_dev, Z5M_IOC_NODE, &node), EINVAL);
	fails(ioctl(fd, Z5M_IOC_SLOTS, &s), EINVAL);
	fails(ioctl(fd, Z5M_IOC_SEAL, &seal), EINVAL);
	seal = (struct z5m_seal){ .flags = 1 };
	fails(ioctl(fd, Z5M_IOC_SEAL, &seal), EINVAL);
	fails(ioctl(fd, Z5M_IOC_NAME, &name), EINVAL);
	name = (struct z5m_name){ .name = NAME("none"), .flags = 1 };
	fails(ioctl(fd, Z5M_IOC_NAME, &name), EINVAL);
	check(!(z5t_info(fd).flags & (Z5M_REGION_SEALED | Z5M_REGION_NAMED)));

	p.addr = (uintptr_t)z5t_map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
	fails(ioctl(fd, Z5M_IOC_POPULATE, &p), EINVAL);
	p.reserved = 0;
	p.flags = 1;
	fails(ioctl(fd, Z5M_IOC_POPULATE, &p), EINVAL);
	p.flags = 0;
	p.len = PAGE - 1;
	fails(ioctl(fd, Z5M_IOC_POPULATE, &p), EINVAL);
	p.len = PAGE;
	p.addr++;
	fails(ioctl(fd, Z5M_IOC_POPULATE, &p), EINVAL);
	if (z5t_version().features & Z5M_FEATURE_DMABUF) {
		fails(ioctl(fd, Z5M_IOC_DMABUF, &dma), EINVAL);
		dma = (struct z5m_dmabuf){ .flags = 2 };
		fails(ioctl(fd, Z5M_IOC_DMABUF, &dma), EINVAL);
	} else {
		fails(z5t_dmabuf(fd, 0), ENOTTY);
	}
	if (!geteuid()) {
		fails(ioctl(z5t_dev, Z5M_IOC_RESERVE, &r), EINVAL);
		r = (struct z5m_reserve){ .flags = 1U << 31 };
		fails(ioctl(z5t_dev, Z5M_IOC_RESERVE, &r), EINVAL);
		r = (struct z5m_reserve){ .node = z5t_version().n_nodes };
		fails(ioctl(z5t_dev, Z5M_IOC_RESERVE, &r), ENODEV);
	}
}

static void abi_names(void)
{
	static const char *const good[] = {
		"a", "Z", "0", "9kselftest", NAME("._:@+-"), NAME("AZaz09"),
	};
	static const char first[] = "._:@+-";
	char name[Z5M_NAME_LEN + 1], text[8];
	int fd, c;
	size_t i;

	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		fd = small(good[i]);
		check(!strcmp(z5t_info(fd).name, good[i]));
		check(z5t_info(fd).flags & Z5M_REGION_NAMED);
		close(fd);
		check(!z5t_destroy(good[i]), "%s", good[i]);
	}
	memset(name, 'x', sizeof(name));
	memcpy(name, NAME(""), strlen(NAME("")));
	name[63] = 0;
	fd = small(name);
	check(!strcmp(z5t_info(fd).name, name));
	close(fd);
	check(!z5t_destroy(name));
	name[63] = 'x';
	fails(z5t_create(PAGE, 0, 0, name), EINVAL);
	fails(z5t_open(name, 0), EINVAL);
	fails(z5t_destroy(name), EINVAL);

	fd = small(NULL);
	fails(z5t_name(fd, name), EINVAL);
	fails(z5t_name(fd, ""), EINVAL);
	fails(z5t_open("", 0), EINVAL);
	fails(z5t_destroy(""), EINVAL);
	for (i = 0; i < strlen(first); i++) {
		snprintf(text, sizeof(text), "%cx", first[i]);
		fails(z5t_create(PAGE, 0, 0, text), EINVAL);
		fails(z5t_name(fd, text), EINVAL);
	}
	for (c = 1; c < 256; c++) {
		if ((c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		    strchr(first, c))
			continue;
		snprintf(text, sizeof(text), "x%c", c);
		if (!fails(z5t_create(PAGE, 0, 0, text), EINVAL))
			ksft_print_msg("character %d\n", c);
		fails(z5t_name(fd, text), EINVAL);
		fails(z5t_open(text, 0), EINVAL);
	}
	check(!(z5t_info(fd).flags & Z5M_REGION_NAMED));
}

static void abi_naming(void)
{
	int a = small(NAME("a")), b = small(NULL), r, w;
	struct z5m_info i;
	size_t at;

	fails(z5t_create(PAGE, 0, 0, NAME("a")), EEXIST);
	fails(z5t_name(b, NAME("a")), EEXIST);
	fails(z5t_name(a, NAME("b")), EBUSY);
	check(!z5t_name(b, NAME("b")));
	fails(z5t_name(b, NAME("c")), EBUSY);
	i = z5t_info(b);
	check(!strcmp(i.name, NAME("b")));
	for (at = strlen(i.name); at < Z5M_NAME_LEN; at++)
		need(!i.name[at]);
	fails(z5t_open(NAME("c"), 0), ENOENT);
	fails(z5t_destroy(NAME("c")), ENOENT);

	r = z5t_open(NAME("b"), 0);
	w = z5t_open(NAME("b"), Z5M_OPEN_WRITE);
	need(r >= 0 && w >= 0);
	check((fcntl(r, F_GETFL) & O_ACCMODE) == O_RDONLY);
	check((fcntl(w, F_GETFL) & O_ACCMODE) == O_RDWR);
	check((fcntl(b, F_GETFL) & O_ACCMODE) == O_RDWR);
	check(fcntl(r, F_GETFD) & fcntl(w, F_GETFD) & fcntl(b, F_GETFD) & FD_CLOEXEC);
	check(z5t_info(r).id == i.id && z5t_info(w).id == i.id);

	check(!z5t_destroy(NAME("b")));
	fails(z5t_destroy(NAME("b")), ENOENT);
	fails(z5t_open(NAME("b"), 0), ENOENT);
	i = z5t_info(r);
	check(!(i.flags & Z5M_REGION_NAMED) && !i.name[0], "it goes on without a name");
	fails(z5t_name(r, NAME("c")), EBADF);
	check(!z5t_name(w, NAME("b")), "a name that was taken away may be given again");
	check(!z5t_destroy(NAME("b")));
	check(!z5t_destroy(NAME("a")));
}

static void abi_info(void)
{
	struct timespec t0, t1;
	struct z5m_create c;
	struct z5m_info i;
	struct stat st, st2;
	uint32_t node = 0;
	struct z5m_node n;
	int fd, again, copy;
	char *p;

	while (z5t_node(node, 0, &n) && node < 64)
		node++;
	clock_gettime(CLOCK_BOOTTIME, &t0);
	fd = z5t_create_at(Z5M_PLACE_NODE, node, 3 * MIB + 1, Z5M_ORDER_4K,
			   Z5M_CREATE_OTHER_NODES, NAME("info"), &c);
	need(fd >= 0);
	clock_gettime(CLOCK_BOOTTIME, &t1);
	check(c.size == 3 * MIB + PAGE, "rounded up to whole pages");
	check(c.min_order == Z5M_ORDER_4K && c.n_windows == 0);
	i = z5t_info(fd);
	check(i.id == c.id && i.id);
	check(i.size == c.size);
	check(i.flags == Z5M_REGION_NAMED);
	check(i.page_order == Z5M_ORDER_4K);
	check(i.place == Z5M_PLACE_NODE && i.place_id == node);
	check(i.bytes_1g == 0 && i.bytes_2m == 0 && i.bytes_4k == i.size);
	check(i.bytes_off_node <= i.size);
	check(i.uid == geteuid());
	check(i.n_files == 1 && i.n_maps == 0 && i.n_writable == 0);
	check(i.created_ns >= t0.tv_sec * 1000000000ULL + t0.tv_nsec);
	check(i.created_ns <= t1.tv_sec * 1000000000ULL + t1.tv_nsec);
	check(!strcmp(i.name, NAME("info")));

	copy = dup(fd);
	check(z5t_info(fd).n_files == 1, "a duplicate is the same description");
	close(copy);
	again = z5t_open(NAME("info"), 0);
	need(again >= 0);
	check(z5t_info(fd).n_files == 2);
	p = z5t_map(fd, PAGE, PROT_READ | PROT_WRITE, 0);
	check(z5t_info(fd).n_maps == 1 && z5t_info(fd).n_writable == 1);
	z5t_map(again, PAGE, PROT_READ, 0);
	check(z5t_info(fd).n_maps == 2 && z5t_info(fd).n_writable == 1);
	munmap(p, PAGE);
	check(z5t_info(again).n_maps == 1 && z5t_info(again).n_writable == 0);

	need(!fstat(fd, &st) && !fstat(again, &st2));
	check((uint64_t)st.st_size == c.size);
	check(st.st_ino == c.id);
	check(st.st_ino == st2.st_ino && st.st_dev == st2.st_dev);
	close(again);
	again = small(NULL);
	need(!fstat(again, &st2));
	check(st.st_dev == st2.st_dev && st.st_ino != st2.st_ino);
	check(!z5t_destroy(NAME("info")));
}

static void abi_list(void)
{
	int fd[3] = { small(NULL), small(NAME("list")), small(NULL) }, seen = 0, j;
	struct z5m_info i = { .after = 0 };
	uint64_t last = 0, id[3];

	for (j = 0; j < 3; j++)
		id[j] = z5t_info(fd[j]).id;
	check(id[0] < id[1] && id[1] < id[2], "numbers are never used twice");
	for (; !ioctl(z5t_dev, Z5M_IOC_LIST, &i); i = (struct z5m_info){ .after = last }) {
		need(i.id > last);
		last = i.id;
		for (j = 0; j < 3; j++)
			seen += i.id == id[j];
		if (i.id == id[1])
			check(!strcmp(i.name, NAME("list")) && i.size == PAGE);
	}
	check(errno == ENOENT);
	check(seen == 3, "%d", seen);
	i.after = id[0];
	check(!ioctl(z5t_dev, Z5M_IOC_LIST, &i) && i.id == id[1]);
	i.after = ~0ULL;
	fails(ioctl(z5t_dev, Z5M_IOC_LIST, &i), ENOENT);
	close(fd[2]);
	fd[2] = small(NULL);
	check(z5t_info(fd[2]).id > id[2], "numbers are never used twice");
	check(!z5t_destroy(NAME("list")));
}

static void abi_slots(void)
{
	struct z5m_slot s[4];
	uint32_t count = 4;
	int fd = small(NULL);

	check(z5t_slots(fd, 0, s, &count) == 1 && count == 1);
	check(s[0].order == Z5M_ORDER_4K && s[0].n_pages == 1 && s[0].flags == 0);
	check(s[0].node >= -1 && s[0].node < (int)z5t_version().n_nodes);
	count = 0;
	check(z5t_slots(fd, 0, NULL, &count) == 1 && count == 0, "room for none asks the total");
	count = 4;
	check(z5t_slots(fd, 1, s, &count) == 1 && count == 0, "none from there on");
	close(fd);
	fd = z5t_create(3 * MIB, Z5M_ORDER_2M, 0, NULL);
	need(fd >= 0);
	check(z5t_info(fd).size == 4 * MIB, "rounded up to 2 MiB");
	count = 4;
	check(z5t_slots(fd, 0, s, &count) == 1 && count == 1);
	check(s[0].n_pages * PAGE_OF(s[0].order) == 4 * MIB);
	close(fd);
	fd = z5t_create(3 * MIB, Z5M_ORDER_1G, 0, NULL);
	need(fd >= 0);
	check(z5t_info(fd).size == 4 * MIB, "rounded up to 2 MiB");
	check(z5t_info(fd).page_order == Z5M_ORDER_1G);
	check(z5t_info(fd).bytes_1g == 0, "less than 1 GiB is never made of a window");
}

static void abi_domains(void)
{
	uint64_t all[Z5M_CPU_WORDS] = { 0 }, online[Z5M_CPU_WORDS], share[Z5M_CPU_WORDS];
	struct z5m_domain d;
	char path[128], text[4096];
	unsigned int w, cpu, n, sum = 0;
	uint32_t index;

	z5t_read_file(CPU_DIR "/online", text, sizeof(text));
	n = z5t_list(text, online);
	for (index = 0; !z5t_domain(index, &d); index++) {
		unsigned int here = 0;

		check(d.locality <= Z5M_LOCALITY_SRAT_LLC);
		check(d.reserved == 0 && d.index == index);
		for (w = 0; w < Z5M_CPU_WORDS; w++) {
			check(!(all[w] & d.cpus[w]), "domain %u shares CPUs", index);
			all[w] |= d.cpus[w];
			here += __builtin_popcountll(d.cpus[w]);
		}
		check(here == d.n_cpus);
		sum += here;
		for (cpu = 0; cpu < Z5M_CPU_WORDS * 64; cpu++) {
			if (!(d.cpus[cpu / 64] >> cpu % 64 & 1))
				continue;
			snprintf(path, sizeof(path), CPU_DIR "/cpu%u/node%d", cpu, d.node);
			check(z5t_exists(path) || !z5t_exists(NODE_DIR), "%s", path);
			snprintf(path, sizeof(path), CPU_DIR "/cpu%u/cache/index3/size", cpu);
			if (!z5t_read_file(path, text, sizeof(text)))
				check(strtoull(text, NULL, 10) * KIB == d.l3_bytes, "%s: %s, %llu",
				      path, text, (unsigned long long)d.l3_bytes);
			snprintf(path, sizeof(path), CPU_DIR "/cpu%u/cache/index3/shared_cpu_list",
				 cpu);
			if (z5t_read_file(path, text, sizeof(text)))
				continue;
			z5t_list(text, share);
			check(!memcmp(share, d.cpus, sizeof(share)), "%s: %s", path, text);
		}
	}
	check(errno == ENOENT);
	check(index == z5t_version().n_domains);
	check(sum == n && !memcmp(all, online, sizeof(all)), "the domains cover what is online");
	fails(z5t_domain(~0U, &d), ENOENT);
}

static void abi_nodes(void)
{
	uint64_t memory[Z5M_CPU_WORDS] = { 1 }, used = 0;
	struct z5m_version v = z5t_version();
	struct z5m_node n;
	char text[4096];
	uint32_t node, last = 0;

	if (!z5t_read_file(NODE_DIR "/has_memory", text, sizeof(text)))
		z5t_list(text, memory);
	for (node = 0; node < Z5M_CPU_WORDS * 64; node++) {
		if (memory[node / 64] >> node % 64 & 1) {
			last = node;
			need(!z5t_node(node, 0, &n), "node %u", node);
			check(!n.possible && !n.possible_movable, "no scan was asked for");
			used += n.used_bytes;
			need(!z5t_node(node, Z5M_NODE_SCAN, &n));
			check(n.possible + n.possible_movable < 1U << 20);
		} else {
			fails(z5t_node(node, 0, &n), ENOENT);
		}
	}
	check(v.n_nodes == last + 1);
	check(used == v.used_bytes, "the nodes' bytes are all bytes");
	fails(z5t_node(~0U, 0, &n), ENOENT);
}

static int readable(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLIN };

	return poll(&p, 1, 0) == 1 && p.revents & POLLIN;
}

static void look(int fd)
{
	struct z5m_info i = { .after = 0 };

	check(!ioctl(fd, Z5M_IOC_LIST, &i) || errno == ENOENT);
}

static void abi_poll(void)
{
	int dev = open(Z5M_DEVICE, O_RDWR), late, fd;
	struct z5m_info i = { .after = 0 };
	struct pollfd p = { .fd = dev, .events = POLLIN };
	pid_t pid;

	need(dev >= 0);
	check(!readable(dev));
	fd = small(NULL);
	check(readable(dev), "created");
	check(readable(dev), "looking at it takes nothing away");
	late = open(Z5M_DEVICE, O_RDWR);
	check(!readable(late), "nothing since it was opened");
	i.after = z5t_info(fd).id - 1;
	check(!ioctl(dev, Z5M_IOC_LIST, &i) && readable(dev), "only a list from the beginning");
	look(dev);
	check(!readable(dev));
	check(!z5t_name(fd, NAME("poll")));
	check(readable(dev) && readable(late), "named");
	look(dev);
	check(!readable(dev) && readable(late), "each descriptor for itself");
	check(!z5t_seal(fd));
	check(readable(dev), "sealed");
	look(dev);
	check(!z5t_destroy(NAME("poll")));
	check(readable(dev), "destroyed");
	look(dev);
	check(!readable(dev));
	close(late);

	/* One that sleeps in poll is woken. */
	pid = z5t_fork();
	if (!pid) {
		usleep(200000);
		small(NULL);
		z5t_end();
	}
	check(poll(&p, 1, 60000) == 1 && p.revents & POLLIN);
	z5t_reap(pid);
}

/*
 * A loop that asks again with the structure that it was answered in, as callers do: what is out is
 * not looked at.
 */
static void abi_reuse(void)
{
	struct z5m_slot slot;
	struct z5m_slots s = { .count = 1, .slots = (uintptr_t)&slot };
	struct z5m_version v = { .reserved = 0 };
	struct z5m_domain d = { .index = 0 };
	struct z5m_info i = { .after = 0 }, list = { .after = 0 };
	struct z5m_node n;
	struct z5m_reserve r;
	struct z5m_create c = { .size = PAGE };
	int fd = small(NULL), n_loop, other;
	uint32_t node = 0;

	while (z5t_node(node, 0, &n))
		need(++node < 64);
	r = (struct z5m_reserve){ .node = node, .windows = n.reserve + n.reserve_used };
	for (n_loop = 0; n_loop < 3; n_loop++) {
		check(!ioctl(fd, Z5M_IOC_SLOTS, &s), "SLOTS");
		check(!ioctl(z5t_dev, Z5M_IOC_VERSION, &v), "VERSION");
		check(!ioctl(z5t_dev, Z5M_IOC_DOMAIN, &d), "DOMAIN");
		check(!ioctl(z5t_dev, Z5M_IOC_NODE, &n), "NODE");
		check(!ioctl(fd, Z5M_IOC_INFO, &i), "INFO");
		check(!ioctl(z5t_dev, Z5M_IOC_LIST, &list), "LIST");
		check(list.after == 0, "what is in stays");
		check(geteuid() || !ioctl(z5t_dev, Z5M_IOC_RESERVE, &r), "RESERVE");
		other = ioctl(z5t_dev, Z5M_IOC_CREATE, &c);
		check(other >= 0, "CREATE");
		close(other);
	}
}

/* The 32-bit way into the kernel, from a 64-bit program: the structures are the same. */
static long ioctl32(int fd, unsigned int cmd, void *arg)
{
	long ret = 54 /* ioctl */;

	__asm__ volatile("int $0x80" : "+a"(ret) : "b"((long)fd), "c"((long)cmd), "d"(arg)
			 : "memory", "r8", "r9", "r10", "r11");
	return ret;
}

static void abi_32bit(void)
{
	struct z5m_version *v = mmap(NULL, PAGE, PROT_READ | PROT_WRITE,
				     MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	struct z5m_create *c = (void *)v;
	struct z5m_domain *d = (void *)v;
	char cmdline[4096];
	int fd;

	need(v != MAP_FAILED);
	/* Not tried where it is not: the kernel ends such a caller and says so in its log. */
	z5t_read_file("/proc/cmdline", cmdline, sizeof(cmdline));
	if (!z5t_exists("/proc/sys/abi/vsyscall32") || strstr(cmdline, "ia32_emulation="))
		z5t_skip("no 32-bit system calls");
	need(!ioctl32(z5t_dev, Z5M_IOC_VERSION, v));
	check(v->abi == Z5M_ABI && v->used_bytes == z5t_used());
	memset(v, 0, PAGE);
	check(!ioctl32(z5t_dev, Z5M_IOC_DOMAIN, d) && d->cpus[0]);
	memset(v, 0, PAGE);
	c->size = PAGE;
	fd = ioctl32(z5t_dev, Z5M_IOC_CREATE, c);
	need(fd >= 0, "%d", fd);
	check(z5t_info(fd).id == c->id);
	check(ioctl32(fd, Z5M_IOC_CREATE, c) == -ENOTTY);
}

int main(int argc, char **argv)
{
	static const struct z5t_test tests[] = {
		T(abi_version), T(abi_commands), T(abi_shorter), T(abi_longer), T(abi_pointers),
		T(abi_invalid_create), T(abi_invalid), T(abi_names), T(abi_naming), T(abi_info),
		T(abi_list), T(abi_slots), T(abi_domains), T(abi_nodes), T(abi_poll),
		T(abi_reuse), T(abi_32bit),
	};

	return z5t_run(argc, argv, tests);
}
