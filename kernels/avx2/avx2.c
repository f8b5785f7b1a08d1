// SPDX-License-Identifier: MIT
#include <kernels/kernels.h>

void z5_kernels_avx2(struct z5_kernels *k)
{
	(void)k;
}
