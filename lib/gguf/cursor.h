/* SPDX-License-Identifier: MIT */
/*
 * The only way in which the reader touches a file: a position in a buffer that pread() fills as
 * far as was asked for. It cannot move behind the end of the file, and every failure says where
 * it was. Offsets fit in 32 bits, because metadata is capped.
 */
#ifndef Z5_GGUF_CURSOR_H
#define Z5_GGUF_CURSOR_H

#include <stddef.h>
#include <stdint.h>
#include <zen5rt.h>

/*
 * The largest vocabularies published come to 20 MB. A cap is needed at all because a sparse file
 * can claim terabytes of array without a byte on the disk.
 */
#define CURSOR_MAX (256u << 20)

struct cursor {
	int fd;
	const char *name;		/* of the file, for messages */
	struct zen5rt_error *err;
	uint64_t file_size;
	uint8_t *buf;			/* the file's first bytes; moves when it grows */
	size_t have;
	size_t cap;
	size_t pos;			/* <= have */
	char where[96];
};

/* Names out of a file, made fit for a message: cut, and with nothing that a terminal would obey. */
struct cursor_label {
	char s[68];
};
struct cursor_label cursor_label(const void *p, size_t len);
struct cursor_label cursor_label_str(const char *s);

/* What is being read, for the messages that follow. */
void cursor_at(struct cursor *c, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* One line with file, place and byte; returns code. */
int cursor_fail(struct cursor *c, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Makes n bytes from pos on available in buf, without moving. */
int cursor_need(struct cursor *c, uint64_t n, const char *what);
/* Asked before allocating: can count items of at least each bytes still come? Reads nothing. */
int cursor_room(struct cursor *c, uint64_t count, uint32_t each, const char *what);

/* The position moves behind what was read. */
int cursor_u32(struct cursor *c, const char *what, uint32_t *v);
int cursor_u64(struct cursor *c, const char *what, uint64_t *v);
int cursor_skip(struct cursor *c, uint64_t n, const char *what);
/* A length of 8 bytes and as many bytes as it says. */
int cursor_str(struct cursor *c, const char *what, uint32_t *off, uint32_t *len);

#endif
