#ifndef MEMORY_DOTS_H
#define MEMORY_DOTS_H

#include <stddef.h>
#include <stdint.h>

/* Dot products of one vector with many, in one form for each instruction set. All give the same bits: lane l
 * of 16 sums the products of columns l, l + 16 and so on in this order, each product rounded before it is
 * added; then lanes l and l + 8 are added, l and l + 4, l and l + 2, and the two that are left. */
enum { DOTS_LANES = 16, DOTS_FORMS_MAX = 3 };

typedef struct dots_form {
    const char *name;
    /* `count` rows of `width` halves, a multiple of DOTS_LANES, one behind the other. */
    void (*dots)(float *products, const uint16_t *rows, size_t count, size_t width, const float *vector);
} dots_form;

/* What this machine has, the fastest first; returns how many. The plain one is always there. */
size_t dots_forms(const dots_form *forms[DOTS_FORMS_MAX]);

/* One per file; NULL where the processor lacks what it needs. */
const dots_form *dots_plain(void);
const dots_form *dots_avx2(void);
const dots_form *dots_avx512(void);
const dots_form *dots_neon(void);

#endif
