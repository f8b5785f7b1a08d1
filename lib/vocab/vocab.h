/* SPDX-License-Identifier: MIT */
/* Vocabularies inside the library; the public face is in zen5rt.h. */
#ifndef Z5_VOCAB_H
#define Z5_VOCAB_H

#include <gguf/gguf.h>

/* Reads tokenizer.* of g. -EINVAL with a line, -ENOMEM. n_vocab is then zen5rt_vocab_size(). */
int z5_vocab_read(const struct gguf *g, struct zen5rt_vocab **out, struct zen5rt_error *err);

#endif
