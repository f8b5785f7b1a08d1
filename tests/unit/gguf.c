// SPDX-License-Identifier: MIT
/*
 * The GGUF reader on good files, on every cut and every flipped byte of one, on large ones,
 * and on what is no file. What other readers fell for is in gguf_scars.c.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "gguf_writer.h"

static void test_getters(const struct gguf *g, const char *v)
{
	struct zen5rt_error err = { "" };
	struct gguf_str s = { NULL, 0 };
	uint32_t u = 42;
	float f = 0;
	bool b = false;

	ok(gguf_get_u32(g, "k.u8", &u, &err) == 1 && u == 200, "%s: u8", v);
	ok(gguf_get_u32(g, "k.u16", &u, &err) == 1 && u == 60000, "%s: u16", v);
	ok(gguf_get_u32(g, "k.i16", &u, &err) == 1 && u == 1234, "%s: i16", v);
	ok(gguf_get_u32(g, "k.u32", &u, &err) == 1 && u == UINT32_MAX, "%s: u32", v);
	ok(gguf_get_u32(g, "k.u64", &u, &err) == 1 && u == 7, "%s: u64 that fits", v);
	ok(gguf_get_f32(g, "k.f32", &f, &err) == 1 && f == 1.5f, "%s: f32", v);
	ok(gguf_get_f32(g, "k.f64", &f, &err) == 1 && f == 0.25f, "%s: f64", v);
	ok(gguf_get_bool(g, "k.bool", &b, &err) == 1 && b, "%s: bool", v);
	ok(gguf_get_str(g, "k.str", &s, &err) == 1 && s.len == 4 && !memcmp(s.p, "text", 4),
	   "%s: string", v);
	ok(!err.message[0], "%s: the error is untouched on success", v);
}

static void refused(int rc, const struct zen5rt_error *err, const char *words, const char *what)
{
	if (!ok(rc == -EINVAL && strstr(err->message, words), "%s", what))
		diag("rc %d, %s", rc, err->message);
}

static void test_getter_errors(const struct gguf *g)
{
	struct zen5rt_error e = { "" };
	struct gguf_str s;
	uint32_t u = 42;
	float f = 42;
	bool b;

	ok(!gguf_get_u32(g, "absent", &u, &e) && u == 42 && !e.message[0], "absent: 0, untouched");
	ok(!gguf_get_u32(g, "k.u3", &u, &e) && !gguf_get_u32(g, "k.u322", &u, &e) &&
	   !gguf_get_u32(g, "", &u, &e), "a part of a key is not the key");
	refused(gguf_get_u32(g, "k.i8", &u, &e), &e, "'k.i8': -3 is negative", "i8 below 0");
	refused(gguf_get_u32(g, "k.i32", &u, &e), &e, "negative", "i32 below 0");
	refused(gguf_get_u32(g, "k.i64", &u, &e), &e, "negative", "i64 below 0");
	refused(gguf_get_u32(g, "k.u64big", &u, &e), &e, "4294967296 is above", "u64 above u32");
	refused(gguf_get_u32(g, "k.f32", &u, &e), &e, "is f32 where an", "float as integer");
	refused(gguf_get_u32(g, "k.bool", &u, &e), &e, "is bool", "bool as integer");
	refused(gguf_get_u32(g, "k.str", &u, &e), &e, "is string", "string as integer");
	refused(gguf_get_u32(g, "a.i32", &u, &e), &e, "an array of i32", "array as integer");
	refused(gguf_get_f32(g, "k.f64big", &f, &e), &e, "1e+300", "f64 above f32");
	refused(gguf_get_f32(g, "k.u32", &f, &e), &e, "is u32", "integer as float");
	refused(gguf_get_bool(g, "k.u8", &b, &e), &e, "is u8", "integer as bool");
	refused(gguf_get_str(g, "k.u32", &s, &e), &e, "is u32", "integer as string");
	ok(u == 42 && f == 42, "outputs are untouched after errors");
	ok(gguf_get_u32(g, "k.str", &u, NULL) == -EINVAL, "the error may be NULL");
}

static void test_arrays(const struct gguf *g)
{
	struct zen5rt_error e = { "" };
	struct gguf_array a;
	struct gguf_str s;

	ok(gguf_get_array(g, "a.str", GGUF_STRING, &a, &e) == 1 && a.n == 3, "array of strings");
	s = gguf_array_str(&a, 2);
	ok(s.len == 3 && !memcmp(s.p, "ccc", 3) && !gguf_array_str(&a, 1).len, "its elements");
	s = gguf_array_str(&a, 3);
	ok(!s.len && s.p && gguf_array_i32(&a, 0) == 0 && gguf_array_f32(&a, 0) == 0,
	   "behind its end and by the wrong accessor there is nothing");
	ok(gguf_get_array(g, "a.f32", GGUF_F32, &a, &e) == 1 && a.n == 2 &&
	   gguf_array_f32(&a, 1) == 2 && gguf_array_f32(&a, 2) == 0, "array of floats");
	ok(gguf_get_array(g, "a.i32", GGUF_I32, &a, &e) == 1 && gguf_array_i32(&a, 0) == -5 &&
	   gguf_array_i32(&a, 2) == 0, "array of integers");
	ok(gguf_get_array(g, "a.bool", GGUF_BOOL, &a, &e) == 1 && gguf_array_i32(&a, 1) == 1,
	   "array of bools");
	/* Vocabularies were cast to strings or floats without a look at the element type. */
	refused(gguf_get_array(g, "a.i32", GGUF_STRING, &a, &e), &e,
		"an array of i32 where an array of string", "integers as strings");
	refused(gguf_get_array(g, "a.str", GGUF_F32, &a, &e), &e, "of string", "strings as floats");
	refused(gguf_get_array(g, "a.i32", GGUF_F32, &a, &e), &e, "of i32", "integers as floats");
	refused(gguf_get_array(g, "k.u32", GGUF_I32, &a, &e), &e, "is u32", "number as array");
	ok(!gguf_get_array(g, "absent", GGUF_F32, &a, &e), "absent array");
	ok(gguf_kind(g, "a.i32") == GGUF_ARRAY && gguf_kind(g, "k.f64") == GGUF_F64 &&
	   gguf_kind(g, "absent") == -1, "kinds of keys");
}

static void test_tensors(const struct gguf *g, const struct file *f)
{
	const struct gguf_tensor *x = gguf_find_tensor(g, "x"), *y = gguf_find_tensor(g, "y.z");
	struct zen5rt_error e = { "" };
	uint8_t buf[68];

	ok(gguf_n_tensors(g) == 3 && gguf_tensor(g, 0) == x && gguf_tensor(g, 1) == y &&
	   !gguf_tensor(g, 3) && !gguf_find_tensor(g, "y") && !gguf_find_tensor(g, ""), "tensors");
	ok(x->n_dims == 2 && x->ne[0] == 32 && x->ne[1] == 2 && x->ne[2] == 1 && x->ne[3] == 1 &&
	   x->type == T_Q8_0 && x->size == 68 && x->offset == good_meta(f), "shape, size, offset");
	ok(y->size == 60 && y->offset == x->offset + 96 && !strcmp(y->name, "y.z"), "the second");
	ok(!gguf_pread(g, x, buf, 0, 68, &e) && !memcmp(buf, f->p + x->offset, 68), "its bytes");
	ok(!gguf_pread(g, x, buf, 34, 34, &e) && !memcmp(buf, f->p + x->offset + 34, 34),
	   "its end");
	ok(!gguf_pread(g, x, buf, 68, 0, &e), "nothing at its end");
	refused(gguf_pread(g, x, buf, 1, 68, &e), &e, "tensor 'x'", "a byte too many");
	refused(gguf_pread(g, x, buf, UINT64_MAX, 2, &e), &e, "tensor 'x'", "offset + n wraps");
	refused(gguf_pread(g, x, buf, 2, SIZE_MAX, &e), &e, "tensor 'x'", "n is SIZE_MAX");
}

static void test_good(void)
{
	static struct file f;
	struct zen5rt_error err = { "" };
	struct gguf *g;

	for (uint32_t version = 2; version <= 3; version++) {
		good(&f, version);
		if (!ok(!open_bytes(f.p, f.n, &g, &err), "version %u opens", version)) {
			diag("%s", err.message);
			continue;
		}
		ok(!strcmp(gguf_path(g), "t") && gguf_file_size(g) == f.n, "path and size");
		ok(gguf_n_keys(g) == 18 && gguf_key(g, 0).len == 4 &&
		   !memcmp(gguf_key(g, 0).p, "k.u8", 4) && !gguf_key(g, 18).len, "keys in order");
		test_getters(g, version == 2 ? "v2" : "v3");
		test_getter_errors(g);
		test_arrays(g);
		test_tensors(g, &f);
		gguf_close(g);
	}
	head(&f, 0, 0);
	ok(!open_bytes(f.p, f.n, &g, &err), "no keys and no tensors: for others to judge");
	gguf_close(g);
	gguf_close(NULL);
}

/* ---- every cut, every byte ---- */

static void touch(const struct gguf *g)
{
	struct zen5rt_error err;
	struct gguf_array a;
	uint8_t buf[256];
	uint32_t u;
	float f;

	for (size_t i = 0; i < gguf_n_tensors(g); i++) {
		const struct gguf_tensor *t = gguf_tensor(g, i);

		gguf_pread(g, t, buf, 0, t->size < sizeof(buf) ? t->size : sizeof(buf), &err);
	}
	gguf_get_u32(g, "k.u32", &u, &err);
	gguf_get_f32(g, "k.f64", &f, &err);
	if (gguf_get_array(g, "a.str", GGUF_STRING, &a, &err) > 0)
		for (size_t i = 0; i < a.n; i++) {
			struct gguf_str s = gguf_array_str(&a, i);

			for (size_t k = 0; k < s.len; k++)
				*(volatile char *)buf = s.p[k];
		}
}

static void test_cuts(void)
{
	static struct file f;
	size_t opened = 0, dirty = 0;
	struct gguf *g;

	good(&f, 3);
	for (size_t n = 0; n < f.n; n++) {
		struct zen5rt_error err = { "" };
		/* of its own size, so that ASan sees a byte too many */
		uint8_t *p = malloc(n ? n : 1);

		memcpy(p, f.p, n);
		if (!open_bytes(p, n, &g, &err)) {
			opened++;
			gguf_close(g);
		}
		dirty += strncmp(err.message, "t: ", 3) || strlen(err.message) < 10;
		free(p);
	}
	ok(!opened && !dirty, "cut at each of %zu bytes: refused with a line", f.n);
}

static void test_flips(void)
{
	static struct file f;
	static const uint8_t values[] = { 0, 0xff, 0x80 };
	size_t opened = 0, silent = 0;

	good(&f, 3);
	for (size_t at = 0; at < good_meta(&f); at++)
		for (size_t k = 0; k < sizeof(values); k++) {
			struct zen5rt_error err = { "" };
			uint8_t was = f.p[at];
			struct gguf *g;

			f.p[at] = values[k];
			if (!open_bytes(f.p, f.n, &g, &err)) {
				opened++;
				touch(g);
				gguf_close(g);
			} else {
				silent += !err.message[0];
			}
			f.p[at] = was;
		}
	ok(!silent, "each of %zu bytes set to 0, 255, 128: %zu still opened, none crashed",
	   good_meta(&f), opened);
}

/* ---- sizes ---- */

static void test_many(void)
{
	static struct file f;
	size_t n = 10000, missing = 0, size = 0;
	char *p, name[32];
	struct zen5rt_error err = { "" };
	struct gguf *g = NULL;
	FILE *m = open_memstream(&p, &size);

	head(&f, n, 0);
	fwrite(f.p, 1, f.n, m);
	for (size_t i = 0; i < n; i++) {
		/* 7919 is prime to n: every name once, in no order */
		uint64_t len = (uint64_t)sprintf(name, "t%zu", i * 7919 % n), ne = 32, off = 32 * i;

		fwrite(&len, 8, 1, m);
		fwrite(name, 1, len, m);
		fwrite(&(uint32_t){ 1 }, 4, 1, m);
		fwrite(&ne, 8, 1, m);
		fwrite(&(uint32_t){ T_I8 }, 4, 1, m);
		fwrite(&off, 8, 1, m);
	}
	for (size_t i = 0; i < 32 * n + 32; i++)
		fputc(0, m);
	fclose(m);
	ok(!open_bytes(p, size, &g, &err), "%zu tensors", n);
	for (size_t i = 0; g && i < n; i++) {
		const struct gguf_tensor *t;

		sprintf(name, "t%zu", i);
		t = gguf_find_tensor(g, name);
		missing += !t || strcmp(t->name, name);
	}
	ok(g && !missing, "each is found by name");
	gguf_close(g);
	free(p);
}

static void test_vocabulary(void)
{
	static struct file f;
	size_t n = 150000, wrong = 0, size = 0;
	char *p, text[32];
	struct zen5rt_error err = { "" };
	struct gguf *g = NULL;
	struct gguf_array a;
	FILE *m = open_memstream(&p, &size);

	array(head(&f, 0, 1), "a", GGUF_STRING, n);
	fwrite(f.p, 1, f.n, m);
	for (size_t i = 0; i < n; i++) {
		uint64_t len = (uint64_t)sprintf(text, "%zx", i);

		fwrite(&len, 8, 1, m);
		fwrite(text, 1, len, m);
	}
	fclose(m);
	if (ok(!open_bytes(p, size, &g, &err) &&
	       gguf_get_array(g, "a", GGUF_STRING, &a, &err) == 1 && a.n == n, "%zu tokens", n)) {
		for (size_t i = n; i-- > 0;) {
			struct gguf_str s = gguf_array_str(&a, i);

			wrong += s.len != (size_t)sprintf(text, "%zx", i) ||
				 memcmp(s.p, text, s.len);
		}
		ok(!wrong, "each is what was written");
	} else {
		diag("%s", err.message);
	}
	gguf_close(g);
	free(p);
}

static void test_sparse(void)
{
	static struct file f;
	struct zen5rt_error err = { "" };
	int fd = memfd_create("sparse", MFD_CLOEXEC);
	struct gguf *g;

	array(head(&f, 0, 1), "k", GGUF_U8, 1ull << 42);
	ok(fd >= 0 && write(fd, f.p, f.n) == (ssize_t)f.n && !ftruncate(fd, 1ll << 43) &&
	   gguf_open_fd(fd, "t", &g, &err) == -EINVAL && strstr(err.message, "array's length"),
	   "a sparse file of 8 TiB with an array of 4 TiB is refused");
	close(fd);
}

/* ---- files and what is none ---- */

static void refuse_path(const char *path, int code, const char *words)
{
	struct zen5rt_error err = { "" };
	struct gguf *g;
	int rc = gguf_open(path, &g, &err);

	if (!ok(rc == code && strstr(err.message, words), "%s: %s", path ? path : "NULL", words))
		diag("rc %d, %s", rc, err.message);
}

static void test_files(void)
{
	static struct file f;
	char dir[] = "/tmp/gguf-XXXXXX", path[64], longname[5000];
	struct zen5rt_error err = { "" };
	struct gguf *g = NULL;
	struct stat st, other;
	bool cloexec = true;
	uint8_t buf[68];
	int fd;

	if (!mkdtemp(dir))
		abort();
	refuse_path(dir, -EISDIR, "is a directory");
	refuse_path("/dev/zero", -EINVAL, "is a device");
	refuse_path("/nonexistent/m.gguf", -ENOENT, "No such file");
	refuse_path("-", -EINVAL, "standard input");
	refuse_path("", -EINVAL, "no model file");
	refuse_path(NULL, -EINVAL, "no model file");
	snprintf(path, sizeof(path), "%s/p", dir);
	if (mkfifo(path, 0600))
		abort();
	refuse_path(path, -EINVAL, "is a pipe");
	unlink(path);

	good(&f, 3);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, f.p, f.n) != (ssize_t)f.n)
		abort();
	if (ok(!gguf_open(path, &g, &err) && !strcmp(gguf_path(g), path), "an ordinary file")) {
		const struct gguf_tensor *x = gguf_find_tensor(g, "x");

		/* Other descriptors may come from whoever runs this. */
		fstat(fd, &st);
		for (int i = 0; i < 256; i++)
			if (!fstat(i, &other) && other.st_ino == st.st_ino &&
			    other.st_dev == st.st_dev)
				cloexec &= fcntl(i, F_GETFD) == FD_CLOEXEC;
		ok(cloexec, "its descriptor does not leak into children");
		ok(!ftruncate(fd, (off_t)x->offset + 40) && !gguf_pread(g, x, buf, 0, 40, &err),
		   "cut after it was opened, what is left can be read");
		ok(gguf_pread(g, x, buf, 0, 68, &err) == -EIO && strstr(err.message, "tensor 'x'"),
		   "what is gone is -EIO and no SIGBUS");
		gguf_close(g);
	}
	memset(longname, 'd', sizeof(longname));
	strcpy(longname + sizeof(longname) - 8, "/m.gguf");
	ok(gguf_open_fd(fd, longname, &g, &err) == -EINVAL && !strncmp(err.message, "...", 3) &&
	   strstr(err.message, "/m.gguf: tensor 'x': its 68 bytes"),
	   "a long path leaves room for why");
	ok(gguf_open_fd(-1, "t", &g, &err) == -EBADF, "no descriptor");
	close(fd);
	unlink(path);
	rmdir(dir);
}

static void test_types(void)
{
	static const uint8_t holes[] = { 4, 5, 31, 32, 33, 37, 38, 43, 255 };
	size_t bad = 0;

	for (uint32_t t = 0; t < 256; t++) {
		const struct gguf_type_info *i = gguf_type_info(t);
		bool hole = t >= 43 || memchr(holes, (int)t, sizeof(holes));

		bad += hole ? !!i : !i || !i->block || !i->bytes || 256 % i->block;
	}
	ok(!bad && !gguf_type_info(UINT32_MAX), "types: the holes are unknown, others have sizes");
	ok(gguf_type_info(39)->bytes == 17 && gguf_type_info(14)->bytes == 210 &&
	   gguf_type_info(34)->bytes == 54 && !strcmp(gguf_type_info(30)->name, "BF16"), "a few");
}

int main(void)
{
	test_good();
	test_cuts();
	test_flips();
	test_many();
	test_vocabulary();
	test_sparse();
	test_files();
	test_types();
	return done();
}
