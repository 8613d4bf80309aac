#include "../samples.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

/* What this machine can do at best: bytes read from memory and 8-bit integer operations in a second, by so
 * many threads: bench_limits THREADS. Prints one JSON object. */
enum {
    MEBIBYTE = 1 << 20,
    READ_SIZE = 512 * MEBIBYTE,
    THREADS_MAX = 256,
    ROUNDS = 7,
    CHAINS = 10,
    TURNS = 200000000
};

typedef uint64_t (*reader)(const uint8_t *bytes, size_t size);
/* Multiply-adds of `turns` rounds; 0: the processor has no such instruction. */
typedef double (*counter)(size_t turns, uint32_t *result);

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

static double count_none(size_t turns, uint32_t *result) {
    (void)turns;
    (void)result;
    return 0;
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static uint64_t read_avx2(const uint8_t *bytes, size_t size) {
    __m256i a = _mm256_setzero_si256();
    __m256i b = a;
    for (size_t i = 0; i < size; i += 128) {
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

__attribute__((target("avx512f"))) static uint64_t read_avx512(const uint8_t *bytes, size_t size) {
    __m512i a = _mm512_setzero_si512();
    __m512i b = a;
    for (size_t i = 0; i < size; i += 128) {
        _mm_prefetch((const char *)(bytes + i) + 4096, _MM_HINT_T0);
        _mm_prefetch((const char *)(bytes + i) + 4096 + 64, _MM_HINT_T0);
        a = _mm512_add_epi64(a, _mm512_load_si512(bytes + i));
        b = _mm512_add_epi64(b, _mm512_load_si512(bytes + i + 64));
    }
    return (uint64_t)_mm512_reduce_add_epi64(_mm512_add_epi64(a, b));
}

/* Independent chains, as many as hide the instruction's delay. */
__attribute__((target("avx512f,avx512vnni"))) static double count_avx512_vnni(size_t turns,
                                                                              uint32_t *result) {
    __m512i a = _mm512_setzero_si512();
    __m512i b = a, c = a, d = a, e = a, f = a, g = a, h = a, i = a, j = a;
    for (size_t turn = 0; turn < turns / CHAINS; turn++) {
        __asm__ volatile("vpdpbusd %[w], %[x], %[a]\n"
                         "vpdpbusd %[w], %[x], %[b]\n"
                         "vpdpbusd %[w], %[x], %[c]\n"
                         "vpdpbusd %[w], %[x], %[d]\n"
                         "vpdpbusd %[w], %[x], %[e]\n"
                         "vpdpbusd %[w], %[x], %[f]\n"
                         "vpdpbusd %[w], %[x], %[g]\n"
                         "vpdpbusd %[w], %[x], %[h]\n"
                         "vpdpbusd %[w], %[x], %[i]\n"
                         "vpdpbusd %[w], %[x], %[j]\n"
                         : [a] "+v"(a), [b] "+v"(b), [c] "+v"(c), [d] "+v"(d), [e] "+v"(e), [f] "+v"(f),
                           [g] "+v"(g), [h] "+v"(h), [i] "+v"(i), [j] "+v"(j)
                         : [w] "v"(_mm512_set1_epi8(5)), [x] "v"(_mm512_set1_epi8(3)));
    }
    __m512i sums = _mm512_add_epi32(_mm512_add_epi32(_mm512_add_epi32(a, b), _mm512_add_epi32(c, d)),
                                    _mm512_add_epi32(e, f));
    sums = _mm512_add_epi32(sums, _mm512_add_epi32(_mm512_add_epi32(g, h), _mm512_add_epi32(i, j)));
    *result += (uint32_t)_mm512_reduce_add_epi32(sums);
    size_t done = turns / CHAINS * CHAINS;
    return (double)done * 64;
}
#endif

typedef struct part {
    pthread_t thread;
    const uint8_t *bytes;
    size_t size;
    reader read;
    counter count;
    double done; /* bytes or multiply-adds */
    uint64_t result;
} part;

static void *work(void *context) {
    part *p = context;
    if (p->bytes != NULL) {
        p->result = p->read(p->bytes, p->size);
        p->done = (double)p->size;
    } else {
        uint32_t result = 0;
        p->done = p->count(TURNS, &result);
        p->result = result;
    }
    return NULL;
}

/* The best of several rounds, in units a second; 0 when a thread can't be had. */
static double measure(part *parts, size_t count, uint64_t *result) {
    double best = 0;
    for (size_t round = 0; round < ROUNDS; round++) {
        uint64_t from = bench_now_ns();
        for (size_t i = 1; i < count; i++) {
            if (pthread_create(&parts[i].thread, NULL, work, &parts[i]) != 0) {
                perror("bench_limits");
                exit(1);
            }
        }
        work(&parts[0]);
        double done = parts[0].done;
        for (size_t i = 1; i < count; i++) {
            pthread_join(parts[i].thread, NULL);
            done += parts[i].done;
        }
        double seconds = (double)(bench_now_ns() - from) / 1e9;
        best = done / seconds > best ? done / seconds : best;
        *result += parts[0].result;
    }
    return best;
}

int main(int argc, char **argv) {
    static part parts[THREADS_MAX];
    size_t count = argc == 2 ? strtoul(argv[1], NULL, 10) : 0;
    uint8_t *block = memory_allocate(READ_SIZE + 64);
    reader read = read_plain;
    counter operations = count_none;
    uint64_t result = 0;
    if (count == 0 || count > THREADS_MAX || block == NULL) {
        fprintf(stderr, block == NULL ? "bench_limits: memory is out\n" : "usage: bench_limits THREADS\n");
        return 2;
    }
#if defined(__x86_64__)
    read = __builtin_cpu_supports("avx2") ? read_avx2 : read;
    read = __builtin_cpu_supports("avx512f") ? read_avx512 : read;
    operations = __builtin_cpu_supports("avx512vnni") ? count_avx512_vnni : operations;
#endif
    uint8_t *bytes = block + (64 - (uintptr_t)block % 64) % 64;
    memset(bytes, 1, READ_SIZE); /* zero pages would all be one */
    size_t share = READ_SIZE / count / 128 * 128;
    for (size_t i = 0; i < count; i++) {
        parts[i] = (part){.bytes = bytes + i * share, .size = share, .read = read};
    }
    double reading = measure(parts, count, &result);
    for (size_t i = 0; i < count; i++) {
        parts[i] = (part){.count = operations};
    }
    double computing = measure(parts, count, &result);
    printf("{\"threads\":%zu,\"read_gb_per_second\":%.3f,\"int8_gops\":%.1f,\"sum\":%llu}\n", count,
           reading / 1e9, computing * 2 / 1e9, (unsigned long long)result);
    memory_free(block);
    return 0;
}
