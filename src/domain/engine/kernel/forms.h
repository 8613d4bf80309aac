#ifndef ENGINE_KERNEL_FORMS_H
#define ENGINE_KERNEL_FORMS_H

#include "kernel/kernels.h"

/* One per file; NULL where the build's or the machine's processor lacks what it needs. */
const kernels *kernels_plain(void);
const kernels *kernels_avx2(void);
const kernels *kernels_avx512(void);
const kernels *kernels_avx512_vnni(void);
const kernels *kernels_neon(void);

#endif
