/* SPDX-License-Identifier: MIT */
/* UTF-8 as the Unicode standard has it: no surrogates, nothing overlong, nothing past U+10FFFF. */
#ifndef Z5_UTF8_H
#define Z5_UTF8_H

#include <stddef.h>
#include <stdint.h>

/* A byte that begins no valid character gets a code point of its own, beyond all real ones. */
#define UTF8_STRAY 0x110000u

/* What may follow a lead byte: how many bytes, and the range of the first of them. */
struct utf8_lead {
	uint8_t more, lo, hi;
};

/* more is 0 for ASCII and, with lo > hi, for bytes that cannot begin a character. */
static inline struct utf8_lead utf8_lead(uint8_t b)
{
	if (b < 0x80)
		return (struct utf8_lead){ 0, 0x80, 0xbf };
	if (b < 0xc2 || b > 0xf4)
		return (struct utf8_lead){ 0, 1, 0 };
	if (b < 0xe0)
		return (struct utf8_lead){ 1, 0x80, 0xbf };
	if (b < 0xf0)
		return (struct utf8_lead){ 2, b == 0xe0 ? 0xa0 : 0x80, b == 0xed ? 0x9f : 0xbf };
	return (struct utf8_lead){ 3, b == 0xf0 ? 0x90 : 0x80, b == 0xf4 ? 0x8f : 0xbf };
}

/* Length of the first character of p[0..len), len > 0; a stray byte counts as one of length 1. */
static inline size_t utf8_next(const char *p, size_t len, uint32_t *cp)
{
	const uint8_t *s = (const uint8_t *)p;
	struct utf8_lead l;
	uint32_t c;

	if (s[0] < 0x80) {
		*cp = s[0];
		return 1;
	}
	l = utf8_lead(s[0]);
	*cp = UTF8_STRAY + s[0];
	if (l.more == 0 || l.more >= len || s[1] < l.lo || s[1] > l.hi)
		return 1;
	c = s[0] & (0x3f >> l.more);
	for (unsigned int i = 1; i <= l.more; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (s[i] & 0x3f);
	}
	*cp = c;
	return l.more + 1u;
}

#endif
