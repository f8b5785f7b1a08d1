/* SPDX-License-Identifier: MIT */
/*
 * SentencePiece's precompiled normalization rules (tokenizer.ggml.precompiled_charsmap): a
 * little-endian u32 with the size of a double array in bytes, the array, and the replacements, each
 * ended by a zero byte. The array is a Darts-clone trie (github.com/s-yata/darts-clone): of a
 * unit's 32 bits, 0..7 are its label and 31 is set in a value (the offset of a replacement); bit 8
 * says that a value follows; the offset to the children is bits 10.., times 256 if bit 9 is set.
 */
#ifndef Z5_CHARSMAP_H
#define Z5_CHARSMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct z5_charsmap {
	uint32_t *unit;
	size_t n_unit;
	char *text;		/* ends in a zero byte, whatever the file has */
	size_t n_text;
};

/*
 * Copies a map from the n bytes of a file; an empty one is none. -EINVAL, also for a replacement
 * above 255 bytes; -ENOMEM.
 */
int z5_charsmap_read(struct z5_charsmap *m, const uint8_t *p, size_t n);
void z5_charsmap_free(struct z5_charsmap *m);
/*
 * The longest rule that p[0..len) begins with: how many bytes it takes, 0 if none does, and in
 * *out what becomes of them.
 */
size_t z5_charsmap_find(const struct z5_charsmap *m, const char *p, size_t len, const char **out,
			size_t *out_len);

#endif
