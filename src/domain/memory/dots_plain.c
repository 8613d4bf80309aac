#include "dots.h"
#include "half.h"

static float sum_lanes(float lanes[DOTS_LANES]) {
    for (size_t step = DOTS_LANES / 2; step > 0; step /= 2) {
        for (size_t l = 0; l < step; l++) {
            lanes[l] += lanes[l + step];
        }
    }
    return lanes[0];
}

static void dots(float *products, const uint16_t *rows, size_t count, size_t width, const float *vector) {
    for (size_t r = 0; r < count; r++) {
        float lanes[DOTS_LANES] = {0};
        for (size_t i = 0; i < width; i += DOTS_LANES) {
            for (size_t l = 0; l < DOTS_LANES; l++) {
                float product = float_of_half(rows[r * width + i + l]) * vector[i + l];
                lanes[l] += product;
            }
        }
        products[r] = sum_lanes(lanes);
    }
}

const dots_form *dots_plain(void) {
    static const dots_form form = {"plain", dots};
    return &form;
}
