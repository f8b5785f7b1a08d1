/* SPDX-License-Identifier: MIT */
/*
 * Reader for GGUF version 2 and 3 files (format: ggml's docs/gguf.md). Built for hostile files:
 * whatever this returns has been checked against the file's size, every count is capped
 * before anything is allocated for it, and memory grows only with bytes that were really read.
 * Metadata is held in memory; tensor data stays in the file and is read with gguf_pread(), so
 * that a file truncated under us is an error and not a SIGBUS.
 */
#ifndef Z5_GGUF_H
#define Z5_GGUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

#define GGUF_MAX_DIMS 4

enum gguf_value_type {
	GGUF_U8, GGUF_I8, GGUF_U16, GGUF_I16, GGUF_U32, GGUF_I32, GGUF_F32, GGUF_BOOL,
	GGUF_STRING, GGUF_ARRAY, GGUF_U64, GGUF_I64, GGUF_F64,
};

/* Not NUL-terminated; may hold any bytes. */
struct gguf_str {
	const char *p;
	size_t len;
};

struct gguf_tensor {
	const char *name;		/* NUL-terminated, 1..63 bytes, no control characters */
	unsigned int n_dims;		/* 1..GGUF_MAX_DIMS */
	uint64_t ne[GGUF_MAX_DIMS];	/* ne[0] is the contiguous one; none is 0, unused are 1 */
	uint32_t type;			/* a known ggml type number */
	uint32_t part;			/* the file that has it, of a model in several; 0: the first or only one */
	uint64_t offset;		/* from the start of that file */
	uint64_t size;			/* bytes; offset + size <= file size; no other's bytes */
};

/* What a ggml type number means for storage. block is in elements, bytes for one block. */
struct gguf_type_info {
	const char *name;
	uint32_t block;
	uint32_t bytes;
	uint32_t tail;		/* bytes behind all blocks of a tensor */
};

struct gguf;
struct stat;

/*
 * -EINVAL and one line that names the key, tensor or byte offset; errno of open/read; -ENOMEM;
 * -EISDIR; -EIO if the file became shorter meanwhile. Ordinary files only: no pipe, device or "-".
 */
int gguf_open(const char *path, struct gguf **out, struct zen5rt_error *err);
/* The same on a model that may be in several files, of which path names the first. */
int gguf_open_model(const char *path, struct gguf **out, struct zen5rt_error *err);
/* As gguf_open() on an open file, which stays the caller's; name is for messages and gguf_path(). */
int gguf_open_fd(int fd, const char *name, struct gguf **out, struct zen5rt_error *err);
void gguf_close(struct gguf *g);

const char *gguf_path(const struct gguf *g);
/* Files that the model is in, and what fstat(2) says of each; 0 or a negative errno. */
uint32_t gguf_n_files(const struct gguf *g);
int gguf_stat(const struct gguf *g, uint32_t i, struct stat *st);
/* Whether st is of one of the files, by whatever name. */
bool gguf_is_file(const struct gguf *g, const struct stat *st);
/* Of all files together. */
uint64_t gguf_file_size(const struct gguf *g);

/* NULL for a number that names no type (or one that was removed from ggml). */
const struct gguf_type_info *gguf_type_info(uint32_t type);

size_t gguf_n_tensors(const struct gguf *g);
/* In the order of the file; NULL behind the last. */
const struct gguf_tensor *gguf_tensor(const struct gguf *g, size_t i);
/* By name, in logarithmic time; NULL if absent. */
const struct gguf_tensor *gguf_find_tensor(const struct gguf *g, const char *name);
/*
 * Reads n bytes of tensor t from byte off on; -EINVAL if the tensor has not that many, -EIO if the
 * file has become shorter, errno of read. Thread-safe.
 */
int gguf_pread(const struct gguf *g, const struct gguf_tensor *t, void *buf, uint64_t off,
	       size_t n, struct zen5rt_error *err);
/* Asks the kernel to fetch such bytes meanwhile, if they are not in memory. Thread-safe. */
void gguf_will_need(const struct gguf *g, const struct gguf_tensor *t, uint64_t off, size_t n);

/* ---- metadata ----
 * Getters return 1 if the key is there and its value fits, 0 if the key is absent (*out untouched),
 * -EINVAL with a line if it is there with another type or out of range. Integers of every width and
 * sign are accepted where the value fits; floats accept F32 and F64; BOOL accepts BOOL alone.
 */
int gguf_get_u32(const struct gguf *g, const char *key, uint32_t *out, struct zen5rt_error *err);
int gguf_get_f32(const struct gguf *g, const char *key, float *out, struct zen5rt_error *err);
int gguf_get_bool(const struct gguf *g, const char *key, bool *out, struct zen5rt_error *err);
int gguf_get_str(const struct gguf *g, const char *key, struct gguf_str *out,
		 struct zen5rt_error *err);

/* Keys in the order of the file; none is there twice, none is empty or has control characters. */
size_t gguf_n_keys(const struct gguf *g);
struct gguf_str gguf_key(const struct gguf *g, size_t i);
/* Pair i as it stands in the file: the key's length, the key, the value's type, the value. */
struct gguf_str gguf_raw_pair(const struct gguf *g, size_t i);
/* enum gguf_value_type, or -1 if absent: for keys that may be a number or one a layer. */
int gguf_kind(const struct gguf *g, const char *key);

/* Arrays: type and number of elements are checked; elements are read through the accessors. */
struct gguf_array {
	uint32_t type;			/* element type: never GGUF_ARRAY */
	size_t n;
	const void *p;			/* internal */
};
/*
 * want: the element type demanded; GGUF_I32 accepts I32 and U32. Returns as above. Element i is
 * read with _f32 from F32, with _i32 from every integer type and BOOL (a U32 above INT32_MAX comes
 * out negative), with _str from STRING; 0 or "" for another type and behind the end.
 */
int gguf_get_array(const struct gguf *g, const char *key, enum gguf_value_type want,
		   struct gguf_array *out, struct zen5rt_error *err);
float gguf_array_f32(const struct gguf_array *a, size_t i);
int32_t gguf_array_i32(const struct gguf_array *a, size_t i);
/* In O(1): the index was built at open. */
struct gguf_str gguf_array_str(const struct gguf_array *a, size_t i);

#endif
