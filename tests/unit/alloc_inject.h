/* SPDX-License-Identifier: MIT */
/*
 * Allocations of the whole program, counted and refused at will: malloc and its kin and mmap, with sanitizers too,
 * whose own functions stand behind these. For tests alone.
 */
#ifndef ALLOC_INJECT_H
#define ALLOC_INJECT_H

#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __SANITIZE_ADDRESS__
#define REAL(name) __interceptor_##name
#else
#define REAL(name) __libc_##name
#endif

extern void *REAL(malloc)(size_t n);
extern void *REAL(calloc)(size_t n, size_t m);
extern void *REAL(realloc)(void *p, size_t n);
extern void *REAL(memalign)(size_t align, size_t n);
extern void REAL(free)(void *p);

/* seen by libc and the other libraries too */
#pragma GCC visibility push(default)
void *malloc(size_t n);
void *calloc(size_t n, size_t m);
void *realloc(void *p, size_t n);
void *aligned_alloc(size_t align, size_t n);
int posix_memalign(void **p, size_t align, size_t n);
void free(void *p);
#ifndef __SANITIZE_ADDRESS__
void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off);
int munmap(void *addr, size_t n);
#endif
#pragma GCC visibility pop

/* What is held now: blocks, and bytes of mappings. */
static _Atomic long alloc_live, alloc_mapped;
/* Allocations asked for since the program began. */
static _Atomic long alloc_count;
/* The one that is refused, counted from alloc_arm(), and with alloc_rest all after it; 0: none. */
static _Atomic long alloc_fail_at, alloc_seen, alloc_refused;
static _Atomic int alloc_rest;
/* A sanitizer does not survive what is refused to it in a thread that begins: only the one that asked for it then. */
static _Thread_local int alloc_here;
#ifdef __SANITIZE_ADDRESS__
#define ALLOC_EVERYWHERE 0
#else
#define ALLOC_EVERYWHERE 1
#endif

__attribute__((unused))
static void alloc_arm(long at, int rest)
{
	alloc_seen = 0;
	alloc_refused = 0;
	alloc_rest = rest;
	alloc_here = 1;
	alloc_fail_at = at;
}

/* Returns how many were refused. */
__attribute__((unused))
static long alloc_disarm(void)
{
	alloc_fail_at = 0;
	return alloc_refused;
}

static int alloc_refuse(void)
{
	long at = alloc_fail_at, n;

	alloc_count++;
	if (!at || !(alloc_here || ALLOC_EVERYWHERE))
		return 0;
	n = ++alloc_seen;
	if (n != at && !(alloc_rest && n > at))
		return 0;
	alloc_refused++;
	errno = ENOMEM;
	return 1;
}

static void *alloc_got(void *p)
{
	alloc_live += p != NULL;
	return p;
}

void *malloc(size_t n)
{
	return alloc_refuse() ? NULL : alloc_got(REAL(malloc)(n));
}

void *calloc(size_t n, size_t m)
{
	return alloc_refuse() ? NULL : alloc_got(REAL(calloc)(n, m));
}

void *realloc(void *p, size_t n)
{
	void *to = alloc_refuse() ? NULL : REAL(realloc)(p, n);

	alloc_live += !p && to;
	return to;
}

void *aligned_alloc(size_t align, size_t n)
{
	return alloc_refuse() ? NULL : alloc_got(REAL(memalign)(align, n));
}

int posix_memalign(void **p, size_t align, size_t n)
{
	void *got = alloc_refuse() ? NULL : alloc_got(REAL(memalign)(align, n));

	if (got)
		*p = got;
	return got ? 0 : ENOMEM;
}

void free(void *p)
{
	alloc_live -= p != NULL;
	REAL(free)(p);
}

/* A sanitizer maps memory of its own through these. */
#ifndef __SANITIZE_ADDRESS__
static size_t alloc_pages(size_t n)
{
	return (n + 4095) & ~(size_t)4095;
}

void *mmap(void *addr, size_t n, int prot, int flags, int fd, off_t off)
{
	void *p;

	if (alloc_refuse())
		return MAP_FAILED;
	p = (void *)syscall(SYS_mmap, addr, n, prot, flags, fd, off);
	if (p != MAP_FAILED && !(flags & MAP_FIXED))
		alloc_mapped += (long)alloc_pages(n);
	return p;
}

int munmap(void *addr, size_t n)
{
	int ret = (int)syscall(SYS_munmap, addr, n);

	if (!ret)
		alloc_mapped -= (long)alloc_pages(n);
	return ret;
}
#endif

#endif
