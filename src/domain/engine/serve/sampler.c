#include "sampler.h"

#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "crypto/hash.h"

/* Candidates stand in a heap, best first, so that only as many are put in order as the draw looks at. */
typedef struct candidate {
    float logit;
    float weight;
    uint32_t id;
} candidate;

struct sampler {
    size_t vocabulary;
    size_t count;
    candidate *heap;
};

sampler *sampler_new(size_t vocabulary, error *err) {
    sampler *s = memory_allocate_zeroed(1, sizeof *s);
    candidate *heap = memory_allocate_zeroed(vocabulary, sizeof *heap);
    if (s == NULL || heap == NULL) {
        memory_free(s);
        memory_free(heap);
        error_memory(err);
        return NULL;
    }
    *s = (sampler){.vocabulary = vocabulary, .heap = heap};
    return s;
}

void sampler_free(sampler *s) {
    if (s != NULL) {
        memory_free(s->heap);
        memory_free(s);
    }
}

uint32_t sampler_argmax(const float *logits, size_t count) {
    size_t best = 0;
    for (size_t i = 1; i < count; i++) {
        best = logits[i] > logits[best] ? i : best;
    }
    return (uint32_t)best;
}

/* From 0 up to but not 1, a multiple of 2^-53. */
static bool draw_fraction(uint64_t seed, uint64_t position, double *fraction, error *err) {
    static const char label[] = "cellule draw v1";
    uint8_t input[sizeof label - 1 + 16];
    uint8_t digest[HASH_SIZE];
    memcpy(input, label, sizeof label - 1);
    for (size_t i = 0; i < 8; i++) {
        input[sizeof label - 1 + i] = (uint8_t)(seed >> (56 - 8 * i));
        input[sizeof label + 7 + i] = (uint8_t)(position >> (56 - 8 * i));
    }
    if (!hash_sha256(slice_of(input, sizeof input), digest, err)) {
        return false;
    }
    uint64_t bits = 0;
    for (size_t i = 0; i < 8; i++) {
        bits = bits << 8 | digest[i];
    }
    *fraction = (double)(bits >> 11) * 0x1p-53;
    return true;
}

static bool before(const candidate *a, const candidate *b) {
    return a->logit > b->logit || (a->logit == b->logit && a->id < b->id);
}

static void sink(sampler *s, size_t i) {
    candidate moved = s->heap[i];
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= s->count) {
            break;
        }
        if (child + 1 < s->count && before(&s->heap[child + 1], &s->heap[child])) {
            child++;
        }
        if (!before(&s->heap[child], &moved)) {
            break;
        }
        s->heap[i] = s->heap[child];
        i = child;
    }
    s->heap[i] = moved;
}

static candidate take_best(sampler *s) {
    candidate best = s->heap[0];
    s->heap[0] = s->heap[--s->count];
    if (s->count > 0) {
        sink(s, 0);
    }
    return best;
}

/* Fills the heap with the tokens of some weight; returns the sum of weights, in order of id. */
static double weigh_all(sampler *s, const float *logits, float temperature) {
    float largest = logits[sampler_argmax(logits, s->vocabulary)];
    double total = 0;
    s->count = 0;
    for (size_t i = 0; i < s->vocabulary; i++) {
        float z = (logits[i] - largest) / temperature;
        if (z >= -80.0f) {
            float weight = exponential(z);
            total += (double)weight;
            s->heap[s->count++] = (candidate){logits[i], weight, (uint32_t)i};
        }
    }
    for (size_t i = s->count / 2; i > 0; i--) {
        sink(s, i - 1);
    }
    return total;
}

/* Takes the best into the front of the freed end of the heap's array until their weights pass `limit`; that
 * many are kept, best last in the array. Returns the sum of what was taken. */
static double take_until(sampler *s, double limit, size_t *kept) {
    double sum = 0;
    *kept = 0;
    while (s->count > 0) {
        candidate best = take_best(s);
        s->heap[s->count] = best;
        sum += (double)best.weight;
        (*kept)++;
        if (sum >= limit) {
            break;
        }
    }
    return sum;
}

bool sampler_draw(sampler *s, const float *logits, float temperature, float top_p, uint64_t seed,
                  uint64_t position, uint32_t *token, error *err) {
    if (temperature == 0) {
        *token = sampler_argmax(logits, s->vocabulary);
        return true;
    }
    double fraction = 0;
    if (!draw_fraction(seed, position, &fraction, err)) {
        return false;
    }
    double total = weigh_all(s, logits, temperature);
    size_t all = s->count;
    size_t kept = 0;
    double sum = total;
    if (top_p < 1) {
        sum = take_until(s, (double)top_p * total, &kept);
    }
    double target = fraction * sum;
    double passed = 0;
    for (size_t i = 0; top_p < 1 ? i < kept : s->count > 0; i++) {
        /* The ones taken stand from the end of the array towards its front. */
        candidate next = top_p < 1 ? s->heap[all - 1 - i] : take_best(s);
        *token = next.id;
        passed += (double)next.weight;
        if (passed > target) {
            break;
        }
    }
    return true;
}
