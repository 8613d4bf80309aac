#include "random.h"

random_source random_make(uint64_t seed, uint64_t stream) {
    random_source source = {.state = 0, .increment = (stream << 1) | 1};
    (void)random_next(&source);
    source.state += seed;
    (void)random_next(&source);
    return source;
}

uint32_t random_next(random_source *source) {
    uint64_t old = source->state;
    source->state = old * 6364136223846793005U + source->increment;
    uint32_t shifted = (uint32_t)(((old >> 18) ^ old) >> 27);
    uint32_t turn = (uint32_t)(old >> 59);
    return (shifted >> turn) | (shifted << ((32 - turn) & 31));
}

uint32_t random_below(random_source *source, uint32_t limit) {
    uint32_t threshold = (0U - limit) % limit;
    uint32_t value = random_next(source);
    while (value < threshold) {
        value = random_next(source);
    }
    return value % limit;
}

int random_percent(random_source *source, uint32_t percent) {
    return random_below(source, 100) < percent;
}

float random_normal(random_source *source) {
    float sum = 0;
    for (int i = 0; i < 12; i++) {
        sum += (float)(random_next(source) >> 8) * 0x1p-24F;
    }
    return sum - 6.0F;
}
