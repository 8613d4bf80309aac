#include "sample/choose.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "crypto/secret.h"

enum { LANES = 16, BLOCK = 1024, BANDS = 4096, NOWHERE = BANDS };
static const float distance_least = -80.0f; /* below it a token has no weight */

static void exponentials_one_by_one(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        x[i] = exponential(x[i]);
    }
}

bool chooser_start(chooser *c, size_t vocabulary, void (*exponentials)(float *, size_t), error *err) {
    *c = (chooser){.vocabulary = vocabulary,
                   .exponentials = exponentials == NULL ? exponentials_one_by_one : exponentials,
                   .weights = memory_allocate_zeroed(vocabulary, sizeof *c->weights),
                   .places = memory_allocate_zeroed(vocabulary, sizeof *c->places),
                   .bands = memory_allocate_zeroed(BANDS, sizeof *c->bands),
                   .heap = memory_allocate_zeroed(vocabulary, sizeof *c->heap)};
    return (c->weights != NULL && c->places != NULL && c->bands != NULL && c->heap != NULL) ||
           error_memory(err);
}

static void wipe_and_free(void *block, size_t size) {
    if (block != NULL) {
        secret_wipe(block, size);
        memory_free(block);
    }
}

void chooser_free(chooser *c) {
    wipe_and_free(c->weights, c->vocabulary * sizeof *c->weights);
    wipe_and_free(c->places, c->vocabulary * sizeof *c->places);
    wipe_and_free(c->bands, BANDS * sizeof *c->bands);
    wipe_and_free(c->heap, c->vocabulary * sizeof *c->heap);
    *c = (chooser){0};
}

/* In lanes, which compilers turn into vectors; the largest is the same in any order. */
static float largest_of(const float *logits, size_t count) {
    float lanes[LANES];
    size_t whole = count - count % LANES;
    for (size_t j = 0; j < LANES; j++) {
        lanes[j] = logits[0];
    }
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lanes[j] = logits[i + j] > lanes[j] ? logits[i + j] : lanes[j];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[0] = logits[i] > lanes[0] ? logits[i] : lanes[0];
    }
    for (size_t j = 1; j < LANES; j++) {
        lanes[0] = lanes[j] > lanes[0] ? lanes[j] : lanes[0];
    }
    return lanes[0];
}

static float smallest_of(const float *logits, size_t count) {
    float lanes[LANES];
    size_t whole = count - count % LANES;
    for (size_t j = 0; j < LANES; j++) {
        lanes[j] = logits[0];
    }
    for (size_t i = 0; i < whole; i += LANES) {
        for (size_t j = 0; j < LANES; j++) {
            lanes[j] = logits[i + j] < lanes[j] ? logits[i + j] : lanes[j];
        }
    }
    for (size_t i = whole; i < count; i++) {
        lanes[0] = logits[i] < lanes[0] ? logits[i] : lanes[0];
    }
    for (size_t j = 1; j < LANES; j++) {
        lanes[0] = lanes[j] < lanes[0] ? lanes[j] : lanes[0];
    }
    return lanes[0];
}

uint32_t choose_largest(const float *logits, size_t count) {
    float largest = largest_of(logits, count);
    size_t i = 0;
    while (i + 1 < count && logits[i] != largest) { /* the bound stops a NaN, which no caller gives */
        i++;
    }
    return (uint32_t)i;
}

static bool before(const candidate *a, const candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sink(chooser *c, size_t i) {
    candidate moved = c->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= c->waiting) {
            break;
        }
        if (child + 1 < c->waiting && before(&c->heap[child + 1], &c->heap[child])) {
            child++;
        }
        if (!before(&c->heap[child], &moved)) {
            break;
        }
        c->heap[i] = c->heap[child];
        i = child;
    }
    c->heap[i] = moved;
}

/* Bands per unit of distance, so that they share what distances there are. Nothing depends on its bits. */
static float band_scale(float farthest) {
    static const float nearest = -0x1p-20f;
    farthest = farthest >= distance_least ? farthest : distance_least;
    farthest = farthest <= nearest ? farthest : nearest;
    return (float)(BANDS - 1) / farthest;
}

/* Distances and places of one block; rounding keeps order, in the distance as in the place. */
static void place(const float *logits, size_t count, float largest, float temperature, float scale,
                  float *distances, uint16_t *places) {
    for (size_t i = 0; i < count; i++) {
        float distance = (logits[i] - largest) / temperature;
        float within = distance >= distance_least ? distance : distance_least;
        int32_t at = (int32_t)(within * scale);
        at = at < BANDS ? at : BANDS - 1;
        distances[i] = within;
        places[i] = (uint16_t)(distance >= distance_least ? at : NOWHERE);
    }
}

/* Gives the tokens their weights and bands; returns the sum of weights, in order of id. */
static double weigh(chooser *c, const float *logits, float largest, float temperature) {
    const float scale = band_scale((smallest_of(logits, c->vocabulary) - largest) / temperature);
    double total = 0;
    c->count = 0;
    for (size_t b = 0; b < BANDS; b++) {
        c->bands[b] = (band){.least = 1};
    }
    for (size_t first = 0; first < c->vocabulary; first += BLOCK) {
        size_t count = c->vocabulary - first < BLOCK ? c->vocabulary - first : BLOCK;
        float *weights = c->weights + first;
        uint16_t *places = c->places + first;
        place(logits + first, count, largest, temperature, scale, weights, places);
        c->exponentials(weights, count);
        for (size_t i = 0; i < count; i++) {
            if (places[i] != NOWHERE) {
                band *b = &c->bands[places[i]];
                b->sum += (double)weights[i];
                b->least = weights[i] < b->least ? weights[i] : b->least;
                b->count++;
                c->count++;
                total += (double)weights[i];
            }
        }
    }
    return total;
}

/* The heap gets the tokens of one band. */
static void gather(chooser *c, const float *logits, size_t place_of_band) {
    enum { STRIDE = 64 }; /* looked over at once: most hold none */
    c->waiting = 0;
    for (size_t first = 0; first < c->vocabulary; first += STRIDE) {
        size_t last = c->vocabulary - first < STRIDE ? c->vocabulary : first + STRIDE;
        uint32_t any = 0;
        for (size_t i = first; i < last; i++) {
            any |= c->places[i] == place_of_band;
        }
        for (size_t i = first; any != 0 && i < last; i++) {
            if (c->places[i] == place_of_band) {
                c->heap[c->waiting++] = (candidate){logits[i], c->weights[i], (uint32_t)i};
            }
        }
    }
    for (size_t i = c->waiting / 2; i > 0; i--) {
        sink(c, i - 1);
    }
}

static candidate take(chooser *c) {
    candidate best = c->heap[0];
    c->heap[0] = c->heap[--c->waiting];
    if (c->waiting > 0) {
        sink(c, 0);
    }
    return best;
}

/* Where a walk from the first rank on ends: with so many ranks, with the rank whose sum reaches `enough`, or
 * before the first weight below `least`. */
typedef struct bounds {
    size_t most;
    double enough;
    float least;
} bounds;

typedef struct walked {
    size_t count;
    double sum; /* rank by rank */
    uint32_t last;
} walked;

/* Through one band rank by rank; true when the walk goes on behind it. */
static bool walk_band(chooser *c, const float *logits, size_t place_of_band, const bounds *to, walked *w) {
    gather(c, logits, place_of_band);
    while (c->waiting > 0) {
        candidate next = take(c);
        if (next.weight < to->least && w->count > 0) {
            return false;
        }
        w->last = next.id;
        w->sum += (double)next.weight;
        if (++w->count == to->most || !(w->sum < to->enough)) {
            return false;
        }
    }
    return true;
}

/* A band is passed as a whole where the walk can't end in it and its sum is the same in any order: all
 * weights so far are multiples of q = 2^-24·least or more, so sums up to 2^53·q are exact. */
static walked walk(chooser *c, const float *logits, const bounds *to) {
    walked w = {0};
    float least = 1;
    for (size_t i = 0; i < BANDS; i++) {
        const band *b = &c->bands[i];
        if (b->count == 0) {
            continue;
        }
        least = b->least < least ? b->least : least;
        double sum = w.sum + b->sum;
        if (w.count + b->count < to->most && sum < to->enough && b->least >= to->least &&
            sum <= 0x1p29 * (double)least) {
            w.count += b->count;
            w.sum = sum;
        } else if (!walk_band(c, logits, i, to, &w)) {
            break;
        }
    }
    return w;
}

/* Of a finite number from 0 on. */
static double next_above(double x) {
    uint64_t bits = 0;
    memcpy(&bits, &x, sizeof bits);
    bits++;
    memcpy(&x, &bits, sizeof x);
    return x;
}

uint32_t choose(chooser *c, const float *logits, const engine_parameters *p, double fraction) {
    double sum = weigh(c, logits, largest_of(logits, c->vocabulary), p->temperature);
    bounds to = {.most = c->count, .enough = INFINITY};
    if (p->top_k > 0) {
        to.most = p->top_k < c->count ? p->top_k : c->count;
        sum = walk(c, logits, &to).sum;
    }
    if (p->top_p < 1 || p->min_p > 0) {
        to.enough = p->top_p < 1 ? (double)p->top_p * sum : INFINITY;
        to.least = p->min_p;
        walked kept = walk(c, logits, &to);
        to.most = kept.count;
        sum = kept.sum;
    }
    return walk(c, logits, &(bounds){.most = to.most, .enough = next_above(fraction * sum)}).last;
}

logprob_base choose_logprob_base(chooser *c, const float *logits) {
    float largest = largest_of(logits, c->vocabulary);
    double sum = weigh(c, logits, largest, 1.0f);
    return (logprob_base){largest, logarithm(sum)};
}

float choose_logprob(const logprob_base *base, float logit) {
    return (float)(((double)logit - (double)base->largest) - base->log_sum);
}

size_t choose_top(const float *logits, size_t vocabulary, engine_logprob *top, size_t count) {
    size_t found = 0;
    for (size_t i = 0; i < vocabulary && count > 0; i++) {
        if (found == count && !(logits[i] > top[count - 1].logprob)) {
            continue;
        }
        size_t place = found < count ? found++ : count - 1;
        for (; place > 0 && logits[i] > top[place - 1].logprob; place--) {
            top[place] = top[place - 1];
        }
        top[place] = (engine_logprob){(uint32_t)i, logits[i]};
    }
    return found;
}
