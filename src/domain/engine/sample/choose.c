#include "sample/choose.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "crypto/secret.h"

enum { LANES = 16 };
static const float distance_least = -80.0f; /* below it a token has no weight */

static void exponentials_one_by_one(float *x, size_t count) {
    for (size_t i = 0; i < count; i++) {
        x[i] = exponential(x[i]);
    }
}

bool chooser_start(chooser *c, size_t vocabulary, void (*exponentials)(float *, size_t), error *err) {
    *c = (chooser){.vocabulary = vocabulary,
                   .exponentials = exponentials == NULL ? exponentials_one_by_one : exponentials,
                   .distances = memory_allocate_zeroed(vocabulary, sizeof *c->distances),
                   .weights = memory_allocate_zeroed(vocabulary, sizeof *c->weights),
                   .ids = memory_allocate_zeroed(vocabulary, sizeof *c->ids),
                   .heap = memory_allocate_zeroed(vocabulary, sizeof *c->heap)};
    return (c->distances != NULL && c->weights != NULL && c->ids != NULL && c->heap != NULL) ||
           error_memory(err);
}

static void wipe_and_free(void *block, size_t size) {
    if (block != NULL) {
        secret_wipe(block, size);
        memory_free(block);
    }
}

void chooser_free(chooser *c) {
    wipe_and_free(c->distances, c->vocabulary * sizeof *c->distances);
    wipe_and_free(c->weights, c->vocabulary * sizeof *c->weights);
    wipe_and_free(c->ids, c->vocabulary * sizeof *c->ids);
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

/* Finds the tokens of some weight; returns the sum of weights, in order of id. */
static double weigh(chooser *c, const float *logits, float largest, float temperature) {
    c->count = 0;
    for (size_t i = 0; i < c->vocabulary; i++) {
        float distance = (logits[i] - largest) / temperature;
        if (distance >= distance_least) {
            c->ids[c->count] = (uint32_t)i;
            c->distances[c->count++] = distance;
        }
    }
    memcpy(c->weights, c->distances, c->count * sizeof *c->weights);
    c->exponentials(c->weights, c->count);
    double total = 0;
    for (size_t i = 0; i < c->count; i++) {
        total += (double)c->weights[i];
    }
    c->waiting = 0;
    c->taken = 0;
    c->level = 0;
    return total;
}

/* The heap gets the tokens in bands from the largest down, since a draw seldom looks beyond the first.
 * Rounding keeps order, so tokens of a nearer band come before all of a farther one. */
static bool refill(chooser *c, const float *logits) {
    static const float bands[] = {-2.0f, -6.0f, -18.0f, -80.0f};
    while (c->waiting == 0 && c->level < sizeof bands / sizeof bands[0]) {
        float most = c->level == 0 ? 1.0f : bands[c->level - 1];
        float least = bands[c->level++];
        for (size_t i = 0; i < c->count; i++) {
            if (c->distances[i] >= least && c->distances[i] < most) {
                uint32_t id = c->ids[i];
                c->heap[c->waiting++] = (candidate){logits[id], c->weights[i], id};
            }
        }
    }
    for (size_t i = c->waiting / 2; i > 0; i--) {
        sink(c, i - 1);
    }
    return c->waiting > 0;
}

/* The next in rank; NULL after the last. */
static const candidate *take(chooser *c, const float *logits) {
    if (c->waiting == 0 && !refill(c, logits)) {
        return NULL;
    }
    candidate best = c->heap[0];
    c->heap[0] = c->heap[--c->waiting];
    if (c->waiting > 0) {
        sink(c, 0);
    }
    candidate *place = &c->heap[c->count - 1 - c->taken++];
    *place = best;
    return place;
}

/* Of the ranks that were taken, the first so many are kept: until their sum reaches `limit`, and no further
 * than weights of at least `least`. */
static size_t keep(const chooser *c, double limit, float least, double *sum) {
    size_t kept = 0;
    *sum = 0;
    while (kept < c->taken && *sum < limit) {
        float weight = c->heap[c->count - 1 - kept].weight;
        if (weight < least && kept > 0) {
            break;
        }
        *sum += (double)weight;
        kept++;
    }
    return kept;
}

/* Takes what top_k, top_p and min_p, in this order, leave. */
static size_t filter(chooser *c, const float *logits, const engine_parameters *p, double total, double *sum) {
    size_t most = p->top_k > 0 ? p->top_k : SIZE_MAX;
    double limit = p->top_p < 1 && p->top_k == 0 ? (double)p->top_p * total : INFINITY;
    float least =
        p->top_p < 1 && p->top_k > 0 ? 0.0f : p->min_p; /* else the sum over top_k wants all of them */
    double taken = 0;
    const candidate *next = NULL;
    while (c->taken < most && taken < limit && (next = take(c, logits)) != NULL && next->weight >= least) {
        taken += (double)next->weight;
    }
    if (p->top_p < 1 && p->top_k > 0) {
        limit = (double)p->top_p * taken;
    }
    return keep(c, limit, p->min_p, sum);
}

uint32_t choose(chooser *c, const float *logits, const engine_parameters *p, double fraction) {
    double sum = weigh(c, logits, largest_of(logits, c->vocabulary), p->temperature);
    bool filters = p->top_k > 0 || p->top_p < 1 || p->min_p > 0;
    size_t kept = filters ? filter(c, logits, p, sum, &sum) : c->count;
    double target = fraction * sum;
    double passed = 0;
    uint32_t id = 0;
    for (size_t i = 0; i < kept; i++) {
        const candidate *next = filters ? &c->heap[c->count - 1 - i] : take(c, logits);
        id = next->id;
        passed += (double)next->weight;
        if (passed > target) {
            break;
        }
    }
    return id;
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
