// SPDX-License-Identifier: MIT
/*
 * Ternary matrices in files of floats: each weight is 0 or one size with either sign, as BitNet's converters leave
 * them. Two bits and the size say the same, to the bit. Rows are those of I2_S.
 */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include <kernels/scalar.h>

#include "error.h"
#include "loader.h"

/* Denormals are 0 to every kernel, but not to the thread that binds. */
static float float_at(const uint8_t *p, enum z5_type type, size_t i)
{
	uint16_t h;
	float f;

	if (type == Z5_F32) {
		memcpy(&f, p + 4 * i, 4);
	} else {
		memcpy(&h, p + 2 * i, 2);
		f = type == Z5_F16 ? z5_f16(h) : z5_bf16(h);
	}
	return fabsf(f) < FLT_MIN ? 0 : f;
}

/* -1, 0 or 1, or 2 for what is none. */
static int sign_of(float f, float size)
{
	return f == 0 ? 0 : f == size ? 1 : f == -size ? -1 : 2;
}

/* *size, where it is still 0, becomes that of the first weight that is not; false if they are not ternary. */
static bool look_at(const uint8_t *p, enum z5_type type, size_t n, float *size)
{
	for (size_t i = 0; i < n; i++) {
		float f = float_at(p, type, i);

		if (*size == 0)
			*size = fabsf(f);
		if (!(*size <= FLT_MAX) || sign_of(f, *size) == 2)
			return false;
	}
	return true;
}

int z5_ternary_look(const struct z5_loader *ld, const struct item *it, float *size)
{
	const uint64_t n = ld->every_row ? it->rows : 3;
	const size_t row = it->k * it->ops->bytes;
	bool good = true;
	uint8_t *p;
	int ret = 0;

	*size = 0;
	if (it->ops->act != Z5_ACT_F32 || it->k % 256)
		return 0;
	p = malloc(row);
	if (!p)
		return z5_fail(ld->err, -ENOMEM, "out of memory");
	for (uint64_t i = 0; i < n && good && !ret; i++) {
		const uint64_t r = ld->every_row ? i : i * (it->rows - 1) / 2;

		ret = gguf_pread(ld->g, it->t, p, (it->row0 + r) * row, row, ld->err);
		if (!ret)
			good = look_at(p, z5_type_of(it->ops), it->k, size);
	}
	free(p);
	if (!good)
		*size = 0;
	return ret;
}

bool z5_ternary_pack(uint8_t *p, size_t n, const struct z5_type_ops *from, float size)
{
	const enum z5_type type = z5_type_of(from);
	bool good = true;

	/* what is written lies before what is still to be read */
	for (size_t i = 0; i < n; i += 128) {
		uint8_t two[32] = { 0 };

		for (size_t j = 0; j < 128; j++) {
			const int sign = sign_of(float_at(p, type, i + j), size);

			good &= sign != 2;
			two[j % 32] |= (uint8_t)((sign + 1) << (6 - j / 32 * 2));
		}
		memcpy(p + i / 4, two, sizeof(two));
	}
	return good;
}

bool z5_ternary_whole(const uint8_t *p, size_t n)
{
	uint8_t three = 0;

	for (size_t i = 0; i < n; i++)
		three |= p[i] & p[i] >> 1;
	return !(three & 0x55);
}
