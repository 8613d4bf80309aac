#include "memory/vectors.h"

#include "../samples.h"

#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* How long one thread searches so many vectors, beside how long it reads as many bytes: bench_search COUNT
 * DIMENSIONS. Prints one JSON object; of each the best of ROUNDS. */
enum { ROUNDS = 21, FOUND = 10, LINE = 128, BYTES_MAX = 1 << 30 };

typedef uint64_t (*reader)(const uint8_t *bytes, size_t size);

static uint64_t read_plain(const uint8_t *bytes, size_t size) {
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < size; i += 64) {
        for (size_t k = 0; k < 8; k++) {
            uint64_t word;
            memcpy(&word, bytes + i + 8 * k, sizeof word);
            sums[k] += word;
        }
    }
    return sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *bytes, size_t size) {
    __m256i a = _mm256_setzero_si256();
    __m256i b = a;
    for (size_t i = 0; i < size; i += LINE) {
        const __m256i *at = (const __m256i *)(const void *)(bytes + i);
        _mm_prefetch((const char *)(bytes + i) + 4096, _MM_HINT_T0);
        _mm_prefetch((const char *)(bytes + i) + 4096 + 64, _MM_HINT_T0);
        a = _mm256_add_epi64(a, _mm256_add_epi64(_mm256_load_si256(at), _mm256_load_si256(at + 1)));
        b = _mm256_add_epi64(b, _mm256_add_epi64(_mm256_load_si256(at + 2), _mm256_load_si256(at + 3)));
    }
    uint64_t sums[4];
    _mm256_storeu_si256((__m256i *)(void *)sums, _mm256_add_epi64(a, b));
    return sums[0] + sums[1] + sums[2] + sums[3];
}
#endif

static reader best_reader(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2")) {
        return read_avx2;
    }
#endif
    return read_plain;
}

/* In [-1, 1), the same at each run. */
static float draw(uint64_t *state) {
    *state = *state * 6364136223846793005U + 1442695040888963407U;
    return (float)(int32_t)(*state >> 32) * 0x1p-31f;
}

static void draw_vector(float *vector, size_t dimensions, uint64_t *state) {
    for (size_t i = 0; i < dimensions; i++) {
        vector[i] = draw(state);
    }
}

static vectors *filled(size_t count, size_t dimensions, uint64_t *state, error *err) {
    float vector[VECTORS_DIMENSIONS_MAX];
    vectors *v = vectors_new(dimensions, err);
    for (size_t i = 0; v != NULL && i < count; i++) {
        draw_vector(vector, dimensions, state);
        if (!vectors_put(v, i + 1, vector, err)) {
            vectors_free(v);
            return NULL;
        }
    }
    return v;
}

static double search_seconds(const vectors *v, size_t dimensions, uint64_t *state, double *sum) {
    float query[VECTORS_DIMENSIONS_MAX];
    vectors_found found[FOUND];
    double best = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        draw_vector(query, dimensions, state);
        uint64_t from = bench_now_ns();
        size_t count = vectors_search(v, query, found, FOUND);
        double seconds = (double)(bench_now_ns() - from) / 1e9;
        best = round == 0 || seconds < best ? seconds : best;
        *sum += count == 0 ? 0 : found[0].score;
    }
    return best;
}

static double read_seconds(const uint8_t *bytes, size_t size, double *sum) {
    reader read = best_reader();
    double best = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t from = bench_now_ns();
        *sum += (double)read(bytes, size);
        double seconds = (double)(bench_now_ns() - from) / 1e9;
        best = round == 0 || seconds < best ? seconds : best;
    }
    return best;
}

int main(int argc, char **argv) {
    size_t count = argc == 3 ? strtoul(argv[1], NULL, 10) : 0;
    size_t dimensions = argc == 3 ? strtoul(argv[2], NULL, 10) : 0;
    if (count == 0 || count > VECTORS_COUNT_MAX || dimensions == 0 || dimensions > VECTORS_DIMENSIONS_MAX ||
        count * dimensions * 2 > BYTES_MAX) {
        fprintf(stderr, "usage: bench_search COUNT DIMENSIONS, of 1 GiB at most\n");
        return 2;
    }
    error err;
    uint64_t state = 1;
    double sum = 0;
    vectors *v = filled(count, dimensions, &state, &err);
    if (v == NULL) {
        fprintf(stderr, "bench_search: %s\n", err.text);
        return 1;
    }
    double searching = search_seconds(v, dimensions, &state, &sum);
    size_t held = vectors_size(v);
    vectors_free(v);
    size_t size = (count * dimensions * 2 + LINE - 1) / LINE * LINE;
    uint8_t *block = memory_allocate(size + LINE);
    if (block == NULL) {
        fprintf(stderr, "bench_search: memory is out\n");
        return 1;
    }
    uint8_t *bytes = block + (LINE - (uintptr_t)block % LINE);
    memory_prefer_large_pages(block, size + LINE);
    memset(bytes, 1, size); /* zero pages would all be one */
    double reading = read_seconds(bytes, size, &sum);
    printf("{\"vectors\":%zu,\"dimensions\":%zu,\"seconds\":%.6f,\"bytes\":%zu,\"read_seconds\":%.6f,"
           "\"held\":%zu,\"sum\":%.3f}\n",
           count, dimensions, searching, size, reading, held, sum);
    memory_free(block);
    return 0;
}
