// SPDX-License-Identifier: MIT
/*
 * The table-driven types against llama.cpp: iq.blocks (made by tests/models/mkiq.py) has blocks with
 * every entry of every grid, every pattern of signs, every scale, and a hash of the floats that
 * llama.cpp makes of each. So a wrong entry, which all levels would share, is seen here.
 */
#include <errno.h>
#include <kernels/iq.h>
#include <kernels/kernels.h>
#include <kernels/scalar.h>
#include <string.h>

#include "../tap.h"

#define FIXTURE "tests/unit/iq.blocks"

struct block {
	uint8_t bytes[136];
	uint64_t hash;
};

static uint64_t fnv(const float *f, size_t n)
{
	uint64_t h = 0xcbf29ce484222325;

	for (size_t i = 0; i < n; i++) {
		uint32_t u = z5_f32_bits(f[i]);

		for (int j = 0; j < 4; j++, u >>= 8)
			h = (h ^ (u & 255)) * 0x100000001b3;
	}
	return h;
}

/* n blocks, 16 at most, as the rows of a group; the first that is not as llama.cpp has it, or n. */
static unsigned int first_bad(const struct z5_type_ops *ops, const struct block *blocks, unsigned int n)
{
	_Alignas(64) static uint8_t group[256 * 64];
	static uint8_t src[16 * 136];
	float row[256];
	unsigned int r;

	for (r = 0; r < n; r++)
		memcpy(src + r * ops->bytes, blocks[r].bytes, ops->bytes);
	if (ops->group_bytes(ops->block) > sizeof(group))
		return 0;
	ops->pack(group, src, n, ops->block);
	for (r = 0; r < n; r++) {
		ops->unpack_row(row, group, r, ops->block);
		if (fnv(row, ops->block) != blocks[r].hash)
			break;
	}
	return r;
}

static bool parse(const char *line, const struct z5_type_ops *ops, struct block *b)
{
	const char *hex = strchr(line, ' ');

	if (!hex)
		return false;
	hex++;
	for (uint32_t i = 0; i < ops->bytes; i++, hex += 2) {
		unsigned int v;

		if (sscanf(hex, "%2x", &v) != 1)
			return false;
		b->bytes[i] = (uint8_t)v;
	}
	return sscanf(hex, " %lx", &b->hash) == 1;
}

static void check_type(const struct z5_type_ops *ops, unsigned int at_least)
{
	char line[512];
	struct block blocks[16];
	unsigned int n = 0, seen = 0, bad = 0;
	size_t len = strlen(ops->name);
	FILE *f = fopen(FIXTURE, "r");

	if (!f) {
		ok(false, "%s: %s: %s (run from the top of the source)", ops->name, FIXTURE,
		   strerror(errno));
		return;
	}
	while (!bad && fgets(line, sizeof(line), f)) {
		if (strncmp(line, ops->name, len) || line[len] != ' ')
			continue;
		if (!parse(line, ops, &blocks[n])) {
			diag("not a line of this file: %.40s", line);
			bad = 1;
		}
		seen++;
		if (++n == 16) {
			bad |= first_bad(ops, blocks, n) != n;
			n = 0;
		}
	}
	fclose(f);
	if (n && !bad)
		bad = first_bad(ops, blocks, n) != n;
	ok(!bad && seen >= at_least, "%s: %u blocks are what llama.cpp makes of them", ops->name, seen);
	if (bad)
		diag("among the 16 blocks up to number %u", seen);
}

static float mxfp4(uint8_t e, uint8_t nibble)
{
	_Alignas(64) uint8_t group[256 + 64];
	uint8_t src[17];
	float row[32];

	memset(src, nibble, sizeof(src));
	src[0] = e;
	z5_types[Z5_MXFP4].pack(group, src, 1, 32);
	z5_types[Z5_MXFP4].unpack_row(row, group, 0, 32);
	return row[0];
}

int main(void)
{
	/* entries of the grid by entries in a block */
	static const struct {
		enum z5_type type;
		unsigned int blocks;
	} types[] = {
		{ Z5_IQ1_S, 2048 / 32 },  { Z5_IQ1_M, 2048 / 32 },   { Z5_IQ2_XXS, 256 / 32 },
		{ Z5_IQ2_XS, 512 / 32 },  { Z5_IQ2_S, 1024 / 32 },   { Z5_IQ3_XXS, 256 / 64 },
		{ Z5_IQ3_S, 512 / 64 },	  { Z5_IQ4_NL, 1 },	     { Z5_IQ4_XS, 8 },
		{ Z5_MXFP4, 253 },
	};

	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++)
		check_type(&z5_types[types[i].type], types[i].blocks);
	ok(mxfp4(0, 0x77) == 0 && mxfp4(1, 0x77) == 0, "MXFP4: scales of 2^-127 and less are zero");
	ok(mxfp4(2, 0x11) == z5_bits_f32(1u << 23), "MXFP4: the smallest scale is the smallest normal float");
	ok(mxfp4(255, 0x11) == 0x1p127f, "MXFP4: 255 is read as ggml does");
	return done();
}
