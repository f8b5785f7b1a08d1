/* SPDX-License-Identifier: MIT */
/* Which weights a resident region holds, as its key and its name say it. */
#ifndef Z5_MODEL_RESIDENT_H
#define Z5_MODEL_RESIDENT_H

#include <gguf/gguf.h>
#include <mem/resident.h>

/*
 * Fills all of want for weights of so many bytes that are laid out as `layout`, a sum over the list of tensors, says.
 * name "": one made of the file's path. path has the model. To be freed whatever it returns.
 */
int z5_model_resident(struct z5_resident *want, const struct gguf *g, const char *path, const char *name,
		      const char *arch, uint64_t layout, uint64_t bytes, struct zen5rt_error *err);

void z5_model_resident_free(struct z5_resident *want);

/* Whether the files are still those of the key. */
bool z5_model_unchanged(const struct z5_resident *want, const struct gguf *g);

#endif
