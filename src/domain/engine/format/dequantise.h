#ifndef ENGINE_DEQUANTISE_H
#define ENGINE_DEQUANTISE_H

#include "engine/gguf.h"

/* The weights of a row as f32: `count` is a multiple of gguf_type_block(type), `row` unaligned. These are the
 * values that the canonical arithmetic starts from (block layouts: ggml, ggml-common.h; `fl` and `fma` as in
 * README.md). F32, F16, BF16: exact. Q8_0: fl(d·w). Q4_0: fl(d·(n-8)). Q5_0: fl(d·(n-16)). Q4_1, Q5_1:
 * fma(d,n,m). Q4_K, Q5_K: fma(fl(d·scale),n,-fl(dmin·minimum)). Q6_K: fl(fl(d·scale)·(n-32)).
 * Expects the environment that arithmetic_enter sets. */
void dequantise_row(gguf_type type, const uint8_t *row, size_t count, float *out);

/* Scale and minimum, 0 to 63, of the sub-block (0 to 7) of 32 weights, from the 12 bytes that Q4_K and Q5_K
 * pack them into. */
static inline void dequantise_scale(const uint8_t packed[12], size_t sub_block, uint8_t *scale,
                                    uint8_t *minimum) {
    if (sub_block < 4) {
        *scale = packed[sub_block] & 63;
        *minimum = packed[sub_block + 4] & 63;
    } else {
        *scale = (uint8_t)((packed[sub_block + 4] & 15) | packed[sub_block - 4] >> 6 << 4);
        *minimum = (uint8_t)(packed[sub_block + 4] >> 4 | packed[sub_block] >> 6 << 4);
    }
}

#endif
