// SPDX-License-Identifier: MIT
#include "checkasm.h"

#include <immintrin.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../tap.h"

bool check(bool good, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	return ok(good, "%s", line);
}

void note(const char *fmt, ...)
{
	char line[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	diag("%s", line);
}

/* The kernel on trial, for on_fault(). */
static char on_trial[256] = "scalar";

bool own_kernel(const struct level *l, bool own, const char *fmt, ...)
{
	char line[200];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(on_trial, sizeof(on_trial), "%s %s", l->k->level, line);
	if (own)
		return true;
	skip("%s %s: inherited from %s", l->k->level, line, l->below->level);
	return false;
}

/* A fault comes out of a kernel, not out of stdio: printing is safe enough, going on is not. */
static void on_fault(int sig)
{
	ok(false, "%s: %s", on_trial,
	   sig == SIGILL ? "an instruction that the level does not have"
			 : "memory outside of its buffers, or not aligned");
	printf("Bail out! signal %d\n", sig);
	fflush(stdout);
	_exit(1);
}

/* ---- memory ---- */

#define PAGE	4096
#define MARGIN	512

static struct {
	uint8_t *base;		/* of the usable part */
	uint8_t *lo, *hi;	/* of the last buffer */
} slots[N_SLOTS];

void *guarded(enum slot slot, size_t n, bool high)
{
	uint8_t *base = slots[slot].base;

	if (!base) {
		base = mmap(NULL, SLOT_BYTES + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			    0);
		if (base == MAP_FAILED ||
		    mprotect(base + PAGE, SLOT_BYTES, PROT_READ | PROT_WRITE)) {
			printf("Bail out! no memory\n");
			exit(1);
		}
		base += PAGE;
		slots[slot].base = base;
	}
	if (n + MARGIN > SLOT_BYTES) {
		printf("Bail out! a case of %zu bytes\n", n);
		exit(1);
	}
	slots[slot].lo = high ? base + SLOT_BYTES - n : base;
	slots[slot].hi = slots[slot].lo + n;
	if (high)
		memset(slots[slot].lo - MARGIN, CANARY, n + MARGIN);
	else
		memset(slots[slot].lo, CANARY, n + MARGIN);
	return slots[slot].lo;
}

bool guards_whole(enum slot slot)
{
	const uint8_t *p =
		slots[slot].lo == slots[slot].base ? slots[slot].hi : slots[slot].lo - MARGIN;

	for (int i = 0; i < MARGIN; i++)
		if (p[i] != CANARY)
			return false;
	return true;
}

/* ---- inputs ---- */

static uint64_t rnd_state = 0x9e3779b97f4a7c15;

/* xorshift64* (Marsaglia; Vigna) */
uint64_t rnd(void)
{
	rnd_state ^= rnd_state >> 12;
	rnd_state ^= rnd_state << 25;
	rnd_state ^= rnd_state >> 27;
	return (rnd_state * 0x2545f4914f6cdd1d) >> 8;
}

uint32_t rnd_below(uint32_t n)
{
	return (uint32_t)(rnd() % n);
}

float rnd_normal(void)
{
	float sum = 0;

	for (int i = 0; i < 12; i++)
		sum += (float)(rnd() & 0xffffff) / 16777216.0f;
	return sum - 6.0f;
}

static float float_of(uint32_t u)
{
	float f;

	memcpy(&f, &u, 4);
	return f;
}

float rnd_any_float(void)
{
	return float_of((uint32_t)rnd());
}

float rnd_special(void)
{
	static const uint32_t bits[] = {
		0x00000000, 0x80000000, 0x00000001, 0x807fffff, 0x00400000, 0x00800000, 0x80800001,
		0x7f7fffff, 0xff7fffff, 0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff,
		0x3f800000, 0xbf800000, 0x71c00000, 0x0da24260,
	};
	size_t i = rnd_below(2 * sizeof(bits) / sizeof(*bits));

	return i < sizeof(bits) / sizeof(*bits) ? float_of(bits[i]) : rnd_normal();
}

uint16_t rnd_special_half(void)
{
	static const uint16_t bits[] = {
		0x0000, 0x8000, 0x0001, 0x8001, 0x03ff, 0x0400, 0x8400, 0x3c00,
		0xbc00, 0x7bff, 0xfbff, 0x7c00, 0xfc00, 0x7e00, 0x7c01, 0xffff,
	};
	size_t i = rnd_below(2 * sizeof(bits) / sizeof(*bits));

	return i < sizeof(bits) / sizeof(*bits) ? bits[i] : (uint16_t)rnd();
}

uint16_t rnd_special_bf16(void)
{
	uint32_t u;
	float f = rnd_special();

	memcpy(&u, &f, 4);
	return rnd_below(4) ? (uint16_t)(u >> 16) : (uint16_t)rnd();
}

static const char *const shape_names[N_SHAPES] = {
	"normal", "special", "zero", "denormal", "huge", "bits", "rare",
};

const char *shape_name(enum shape shape)
{
	return shape_names[shape];
}

void fill_floats(float *x, size_t n, enum shape shape)
{
	for (size_t i = 0; i < n; i++) {
		float f = 0;

		switch (shape) {
		case SHAPE_NORMAL:
			f = rnd_normal();
			break;
		case SHAPE_SPECIAL:
			f = rnd_special();
			break;
		case SHAPE_ZERO:
			f = rnd_below(2) ? -0.0f : 0.0f;
			break;
		case SHAPE_DENORMAL:
			f = float_of((uint32_t)rnd() & 0x80ffffff);
			break;
		case SHAPE_HUGE:
			f = float_of(((uint32_t)rnd() & 0x83ffffff) | 0x7c000000);
			f = f - f == 0 ? f : 1e38f;
			break;
		case SHAPE_BITS:
			f = rnd_any_float();
			break;
		case SHAPE_RARE: /* one special among many: most of the result stays finite */
			f = rnd_below(50) ? rnd_normal() : rnd_special();
			break;
		default:
			break;
		}
		memcpy(x + i, &f, 4);
	}
}

/* ---- comparison ---- */

static uint32_t canonical(const float *f)
{
	uint32_t u;

	memcpy(&u, f, 4);
	return (u & 0x7fffffff) > 0x7f800000 ? 0x7fc00000 : u;
}

size_t differ(const float *a, const float *b, size_t n)
{
	size_t i = 0;

	while (i < n && canonical(a + i) == canonical(b + i))
		i++;
	return i;
}

int main(int argc, char **argv)
{
	struct z5_kernels k[Z5_N_LEVELS];
	unsigned int best = z5_level_best();
	int level = -1;
	bool benching = false;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--bench")) {
			benching = true;
		} else if (!strcmp(argv[i], "--level") && i + 1 < argc) {
			i++;
			for (unsigned int j = 0; j <= best; j++)
				if (!strcasecmp(argv[i], z5_level_names[j]))
					level = (int)j;
			if (level < 0) {
				fprintf(stderr, "checkasm: no level %s here\n", argv[i]);
				return 1;
			}
		} else {
			fprintf(stderr, "usage: checkasm [--bench] [--level NAME]\n");
			return 1;
		}
	}

	/* FTZ and DAZ, as the thread pool sets them */
	_mm_setcsr(_mm_getcsr() | 0x8040);
	if (benching)
		return bench(level);

	signal(SIGSEGV, on_fault);
	signal(SIGBUS, on_fault);
	signal(SIGILL, on_fault);
	z5_kernels_init(&k[0], 0);
	if (level < 0) {
		check_types(&k[0]);
		check_exp();
		check_maps();
	}
	for (unsigned int i = 1; i < Z5_N_LEVELS; i++) {
		struct level l = { &k[0], &k[i - 1], &k[i] };

		if (i > best) {
			skip("%s: not on this machine", z5_level_names[i]);
			continue;
		}
		z5_kernels_init(&k[i], i);
		if (level >= 0 && (unsigned int)level != i)
			continue;
		check_matmul(&l);
		check_ops(&l);
		check_kv(&l);
		check_attn(&l);
		check_recur(&l);
	}
	return done();
}
