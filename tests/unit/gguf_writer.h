/* SPDX-License-Identifier: MIT */
/* Writes GGUF files into memory, field by field, so that every field can lie. For tests alone. */
#ifndef GGUF_WRITER_H
#define GGUF_WRITER_H

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "gguf/gguf.h"
#include "tests/tap.h"

struct file {
	uint8_t p[1 << 16];
	size_t n;
};

enum { T_F32 = 0, T_Q4_0 = 2, T_Q8_0 = 8, T_Q4_K = 12, T_I8 = 24 };

__attribute__((unused))
static void put(struct file *f, const void *p, size_t n)
{
	if (n > sizeof(f->p) - f->n)
		abort();
	memcpy(f->p + f->n, p, n);
	f->n += n;
}

__attribute__((unused))
static void u32(struct file *f, uint32_t v)
{
	put(f, &v, sizeof(v));
}

__attribute__((unused))
static void u64(struct file *f, uint64_t v)
{
	put(f, &v, sizeof(v));
}

__attribute__((unused))
static void str(struct file *f, const char *s)
{
	u64(f, strlen(s));
	put(f, s, strlen(s));
}

__attribute__((unused))
static void zero(struct file *f, size_t n)
{
	while (n--)
		put(f, "", 1);
}

__attribute__((unused))
static struct file *head(struct file *f, uint64_t n_tensors, uint64_t n_kv)
{
	f->n = 0;
	put(f, "GGUF", 4);
	u32(f, 3);
	u64(f, n_tensors);
	u64(f, n_kv);
	return f;
}

__attribute__((unused))
static void key(struct file *f, const char *name, uint32_t type)
{
	str(f, name);
	u32(f, type);
}

__attribute__((unused))
static void kv(struct file *f, const char *name, uint32_t type, const void *p, size_t n)
{
	key(f, name, type);
	put(f, p, n);
}

__attribute__((unused))
static void array(struct file *f, const char *name, uint32_t type, uint64_t n)
{
	key(f, name, GGUF_ARRAY);
	u32(f, type);
	u64(f, n);
}

__attribute__((unused))
static void tensor(struct file *f, const char *name, uint64_t ne0, uint64_t ne1, uint32_t type,
		   uint64_t off)
{
	str(f, name);
	u32(f, 2);
	u64(f, ne0);
	u64(f, ne1);
	u32(f, type);
	u64(f, off);
}

/* Padding to the data and n bytes of it. */
__attribute__((unused))
static void data(struct file *f, size_t n)
{
	zero(f, -f->n % 32);
	for (size_t i = 0; i < n; i++)
		put(f, &(uint8_t){ (uint8_t)(i * 7 + 1) }, 1);
}

__attribute__((unused))
static int open_bytes(const void *p, size_t n, struct gguf **g, struct zen5rt_error *err)
{
	int fd = memfd_create("gguf", MFD_CLOEXEC), rc;

	if (fd < 0 || write(fd, p, n) != (ssize_t)n)
		abort();
	rc = gguf_open_fd(fd, "t", g, err);
	close(fd);
	return rc;
}

/* A good file with every type of value in it. */
__attribute__((unused))
static void good(struct file *f, uint32_t version)
{
	head(f, 3, 18);
	memcpy(f->p + 4, &version, 4);
	kv(f, "k.u8", GGUF_U8, &(uint8_t){ 200 }, 1);
	kv(f, "k.i8", GGUF_I8, &(int8_t){ -3 }, 1);
	kv(f, "k.u16", GGUF_U16, &(uint16_t){ 60000 }, 2);
	kv(f, "k.i16", GGUF_I16, &(int16_t){ 1234 }, 2);
	kv(f, "k.u32", GGUF_U32, &(uint32_t){ UINT32_MAX }, 4);
	kv(f, "k.i32", GGUF_I32, &(int32_t){ INT32_MIN }, 4);
	kv(f, "k.f32", GGUF_F32, &(float){ 1.5f }, 4);
	kv(f, "k.bool", GGUF_BOOL, "\1", 1);
	key(f, "k.str", GGUF_STRING);
	str(f, "text");
	kv(f, "k.u64", GGUF_U64, &(uint64_t){ 7 }, 8);
	kv(f, "k.u64big", GGUF_U64, &(uint64_t){ 1ull << 32 }, 8);
	kv(f, "k.i64", GGUF_I64, &(int64_t){ -1 }, 8);
	kv(f, "k.f64", GGUF_F64, &(double){ 0.25 }, 8);
	kv(f, "k.f64big", GGUF_F64, &(double){ 1e300 }, 8);
	array(f, "a.str", GGUF_STRING, 3);
	str(f, "a");
	str(f, "");
	str(f, "ccc");
	array(f, "a.f32", GGUF_F32, 2);
	put(f, (float[]){ -1, 2 }, 8);
	array(f, "a.i32", GGUF_I32, 2);
	put(f, (int32_t[]){ -5, 6 }, 8);
	array(f, "a.bool", GGUF_BOOL, 3);
	put(f, "\0\1\1", 3);
	tensor(f, "x", 32, 2, T_Q8_0, 0);	/* 68 bytes, padded to 96 */
	tensor(f, "y.z", 3, 5, T_F32, 96);	/* 60 bytes, padded to 64 */
	tensor(f, "b", 1, 1, T_I8, 160);
	data(f, 161);
}

__attribute__((unused))
static size_t good_meta(const struct file *f)
{
	return f->n - 161;
}

#endif
