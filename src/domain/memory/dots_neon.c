#include "dots.h"

#include <arm_neon.h>

#define INLINE static inline __attribute__((always_inline))
#ifdef __clang__
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 8")
#endif

/* Two rows of four registers at a time, so that their additions don't wait for one another. */
enum { ROWS = 2, PARTS = 4, AHEAD = 8192 };

INLINE float sum_lanes(const float32x4_t lanes[PARTS]) {
    float32x4_t four = vaddq_f32(vaddq_f32(lanes[0], lanes[2]), vaddq_f32(lanes[1], lanes[3]));
    float32x2_t two = vadd_f32(vget_low_f32(four), vget_high_f32(four));
    return vget_lane_f32(two, 0) + vget_lane_f32(two, 1);
}

INLINE float32x4_t load(const uint16_t *halves) {
    return vcvt_f32_f16(vreinterpret_f16_u16(vld1_u16(halves)));
}

/* R rows. What is asked for ahead is asked for in the order in which it lies in memory. */
INLINE void dots_of(size_t R, float *products, const uint16_t *rows, size_t width, const float *vector) {
    float32x4_t lanes[ROWS][PARTS];
    UNROLL for (size_t r = 0; r < R; r++) {
        UNROLL for (size_t p = 0; p < PARTS; p++) {
            lanes[r][p] = vdupq_n_f32(0);
        }
    }
    for (size_t i = 0; i < width; i += DOTS_LANES) {
        __builtin_prefetch((const char *)(rows + R * i) + AHEAD);
        UNROLL for (size_t r = 0; r < R; r++) {
            const uint16_t *at = rows + r * width + i;
            UNROLL for (size_t p = 0; p < PARTS; p++) {
                float32x4_t product = vmulq_f32(load(at + 4 * p), vld1q_f32(vector + i + 4 * p));
                lanes[r][p] = vaddq_f32(lanes[r][p], product);
            }
        }
    }
    UNROLL for (size_t r = 0; r < R; r++) {
        products[r] = sum_lanes(lanes[r]);
    }
}

static void dots(float *products, const uint16_t *rows, size_t count, size_t width, const float *vector) {
    size_t r = 0;
    for (; r + ROWS <= count; r += ROWS) {
        dots_of(ROWS, products + r, rows + r * width, width, vector);
    }
    for (; r < count; r++) {
        dots_of(1, products + r, rows + r * width, width, vector);
    }
}

const dots_form *dots_neon(void) {
    static const dots_form form = {"neon", dots};
    return &form;
}
