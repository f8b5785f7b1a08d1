// SPDX-License-Identifier: MIT
/* Nothing in the map is trusted: every index is checked where it is used. */
#include "charsmap.h"

#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A rule makes at most 18 characters of one in Unicode's NFKC; longer text would only serve to fill memory. */
#define CHARSMAP_MAX_TEXT 255

static bool charsmap_long(const uint8_t *p, size_t n)
{
	size_t run = 0;

	for (size_t i = 0; i < n && run <= CHARSMAP_MAX_TEXT; i++)
		run = p[i] ? run + 1 : 0;
	return run > CHARSMAP_MAX_TEXT;
}

int z5_charsmap_read(struct z5_charsmap *m, const uint8_t *p, size_t n)
{
	uint32_t size;

	memset(m, 0, sizeof(*m));
	if (!n)
		return 0;
	if (n < sizeof(size))
		return -EINVAL;
	memcpy(&size, p, sizeof(size));
	size = le32toh(size);
	p += sizeof(size);
	n -= sizeof(size);
	if (size >= n || size % 4 || charsmap_long(p + size, n - size))
		return -EINVAL;
	m->unit = malloc((size_t)size + 4);
	m->text = malloc(n - size + 1);
	if (!m->unit || !m->text) {
		z5_charsmap_free(m);
		return -ENOMEM;
	}
	memcpy(m->unit, p, size);
	m->n_unit = size / 4;
	for (size_t i = 0; i < m->n_unit; i++)
		m->unit[i] = le32toh(m->unit[i]);
	m->n_text = n - size + 1;
	memcpy(m->text, p + size, n - size);
	m->text[m->n_text - 1] = '\0';
	return 0;
}

void z5_charsmap_free(struct z5_charsmap *m)
{
	free(m->unit);
	free(m->text);
	memset(m, 0, sizeof(*m));
}

static uint32_t charsmap_offset(uint32_t unit)
{
	return (unit >> 10) << ((unit & (1u << 9)) >> 6);
}

size_t z5_charsmap_find(const struct z5_charsmap *m, const char *p, size_t len, const char **out,
			size_t *out_len)
{
	size_t found = 0;
	uint32_t at, unit, value;

	if (!m->n_unit)
		return 0;
	at = charsmap_offset(m->unit[0]);
	for (size_t i = 0; i < len && p[i]; i++) {
		at ^= (uint8_t)p[i];
		if (at >= m->n_unit)
			break;
		unit = m->unit[at];
		if ((unit & (1u << 31 | 0xff)) != (uint8_t)p[i])
			break;
		at ^= charsmap_offset(unit);
		if (at >= m->n_unit)
			break;
		if (!(unit >> 8 & 1))
			continue;
		value = m->unit[at] & ~(1u << 31);
		if (value < m->n_text) {
			found = i + 1;
			*out = m->text + value;
		}
	}
	if (found)
		*out_len = strlen(*out);
	return found;
}
