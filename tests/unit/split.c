// SPDX-License-Identifier: MIT
/* Models in several files: joined, and refused where a part is missing or another model's. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "gguf_writer.h"

static char dir[] = "/tmp/split-XXXXXX";

/* Part no of count with one tensor of four bytes, each being fill. */
static void part(const char *file, uint32_t no, uint32_t count, uint32_t tensors, const char *name, uint8_t fill)
{
	static struct file f;
	char path[128];
	int fd;

	head(&f, 1, 3);
	kv(&f, "split.no", GGUF_U16, &(uint16_t){ (uint16_t)no }, 2);
	kv(&f, "split.count", GGUF_U32, &count, 4);
	kv(&f, "split.tensors.count", GGUF_I32, &tensors, 4);
	tensor(&f, name, 4, 1, T_I8, 0);
	data(&f, 4);
	memset(f.p + f.n - 4, fill, 4);
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_CREAT | O_TRUNC | O_WRONLY, 0600);
	if (fd < 0 || write(fd, f.p, f.n) != (ssize_t)f.n)
		abort();
	close(fd);
}

static int try_open(const char *file, struct gguf **g, struct zen5rt_error *err)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	return gguf_open_model(path, g, err);
}

static void refuse(const char *file, int code, const char *words)
{
	struct zen5rt_error err = { "" };
	struct gguf *g;
	int rc = try_open(file, &g, &err);

	if (!ok(rc == code && strstr(err.message, words), "refused: %s", words))
		diag("rc %d, %s", rc, err.message);
	if (!rc)
		gguf_close(g);
}

static void test_joined(void)
{
	static const char *const names[] = { "c", "a", "b" };
	struct zen5rt_error err = { "" };
	const struct gguf_tensor *t;
	struct gguf *g;
	uint8_t buf[4];

	part("m-00001-of-00003.gguf", 0, 3, 3, "c", 11);
	part("m-00002-of-00003.gguf", 1, 3, 3, "a", 22);
	part("m-00003-of-00003.gguf", 2, 3, 3, "b", 33);
	if (!ok(!try_open("m-00001-of-00003.gguf", &g, &err), "three parts open: %s", err.message))
		return;
	ok(gguf_n_tensors(g) == 3, "with three tensors");
	for (int i = 0; i < 3; i++) {
		t = gguf_find_tensor(g, names[i]);
		ok(t && t == gguf_tensor(g, i) && !gguf_pread(g, t, buf, 0, 4, &err) && buf[0] == 11 * (i + 1) &&
		   buf[3] == 11 * (i + 1), "%s comes from part %d", names[i], i + 1);
	}
	ok(gguf_file_size(g) > 3 * 4 && gguf_pread(g, gguf_find_tensor(g, "b"), buf, 1, 4, &err) == -EINVAL,
	   "and no more than it has");
	gguf_close(g);
}

static void test_refused(void)
{
	char path[128];

	refuse("m-00002-of-00003.gguf", -EINVAL, "part 2 of a model in 3 parts: name the first one");
	part("m-00003-of-00003.gguf", 1, 3, 3, "b", 33);
	refuse("m-00001-of-00003.gguf", -EINVAL, "says that it is part 2 of 3, expected part 3 of 3");
	part("m-00003-of-00003.gguf", 2, 4, 3, "b", 33);
	refuse("m-00001-of-00003.gguf", -EINVAL, "says that it is part 3 of 4");
	part("m-00003-of-00003.gguf", 2, 3, 3, "c", 33);
	refuse("m-00001-of-00003.gguf", -EINVAL, "'c': is there twice");
	part("m-00001-of-00003.gguf", 0, 3, 4, "c", 11);
	part("m-00003-of-00003.gguf", 2, 3, 3, "b", 33);
	refuse("m-00001-of-00003.gguf", -EINVAL, "the parts have 3 tensors together, split.tensors.count is 4");
	snprintf(path, sizeof(path), "%s/m-00002-of-00003.gguf", dir);
	unlink(path);
	refuse("m-00001-of-00003.gguf", -ENOENT, "m-00002-of-00003.gguf");
	part("m.gguf", 0, 3, 3, "c", 11);
	refuse("m.gguf", -EINVAL, "should end in -00001-of-00003.gguf");
	part("m-00001-of-00002.gguf", 0, 3, 3, "c", 11);
	refuse("m-00001-of-00002.gguf", -EINVAL, "should end in -00001-of-00003.gguf");
	part("m-00001-of-70000.gguf", 0, 70000, 3, "c", 11);
	refuse("m-00001-of-70000.gguf", -EINVAL, "split.count is 70000");
	part("m-00001-of-4000000000.gguf", 0, 4000000000u, 3, "c", 11);
	refuse("m-00001-of-4000000000.gguf", -EINVAL, "split.count is 4000000000");
}

int main(void)
{
	char command[64];

	if (!mkdtemp(dir))
		abort();
	test_joined();
	test_refused();
	snprintf(command, sizeof(command), "rm -r %s", dir);
	ok(!system(command), "cleaned up");
	return done();
}
