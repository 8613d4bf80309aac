/* golden_models forms: names the forms of the kernels that there are.
 * golden_models FORM many|few FILE…: one line per model, its name and a hash of all logits (an encoder: final
 * states) of eight sequences. They are computed again for other numbers of threads, sequences in a pass and
 * tokens in a portion; a difference ends it with 1. With `few`, four such ways instead of 64. Needs threads
 * and the C library only, so that it is built for any machine from a few files. */
#include "arithmetic/arithmetic.h"
#include "base/memory.h"
#include "forward/forward.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEQUENCES = 8, TOKENS = 70, PAGES = (TOKENS + CHUNK - 1) / CHUNK, BATCH = SEQUENCES * TOKENS };

/* 0: all that is left; MIXED: in each pass another number of sequences, each with a portion of its own. */
static const uint32_t portions[] = {1, 7, 64, 0};
static const uint32_t groups[] = {1, 3, 8, 0};
enum { WAYS = 4, MIXED = 0 };

typedef struct sequence {
    uint32_t tokens[TOKENS];
    page *pages[PAGES];
    uint32_t done;
    uint64_t hash;
} sequence;

typedef struct computing {
    architecture a;
    forward *f;
    page_pool pool;
    sequence sequences[SEQUENCES];
} computing;

static void check(bool good, const error *err) {
    if (!good) {
        fprintf(stderr, "golden_models: %s\n", err->text);
        exit(1);
    }
}

/* FNV-1a of the numbers' bits, the lowest byte first. */
static uint64_t add_hash(uint64_t hash, const float *values, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t bits = bits_of_float(values[i]);
        for (size_t byte = 0; byte < 4; byte++) {
            hash = (hash ^ (bits >> (8 * byte) & 0xffU)) * UINT64_C(1099511628211);
        }
    }
    return hash;
}

static void take_results(computing *c, sequence *s, const forward_part *part) {
    error err;
    for (uint32_t i = 0; i < part->count; i++) {
        float *logits = NULL;
        if (!c->a.causal) {
            s->hash = add_hash(s->hash, forward_hidden(c->f, part->row + i), c->a.width);
            continue;
        }
        check(forward_logits(c->f, part->row + i, 1, &logits, &err), &err);
        s->hash = add_hash(s->hash, logits, c->a.vocabulary);
    }
}

static uint32_t portion_of(const computing *c, uint32_t wanted, uint32_t left) {
    return !c->a.causal || wanted == 0 || wanted > left ? left : wanted;
}

/* One pass over the first `group` sequences that have tokens left. False: none has. */
static bool pass(computing *c, uint32_t group, uint32_t portion, uint32_t turn, bool mixed) {
    error err;
    forward_part parts[SEQUENCES];
    sequence *owners[SEQUENCES];
    size_t count = 0;
    for (uint32_t i = 0; i < SEQUENCES && count < group; i++) {
        sequence *s = &c->sequences[i];
        if (s->done < TOKENS) {
            uint32_t size = portion_of(c, mixed ? portions[(i + turn) % WAYS] : portion, TOKENS - s->done);
            owners[count] = s;
            parts[count++] = (forward_part){.tokens = s->tokens + s->done,
                                            .count = size,
                                            .position = s->done,
                                            .pages = s->pages,
                                            .wanted = size};
        }
    }
    if (count == 0) {
        return false;
    }
    check(forward_pass(c->f, parts, count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        if (parts[i].failed) {
            fputs("golden_models: a value was not finite\n", stderr);
            exit(1);
        }
        take_results(c, owners[i], &parts[i]);
        owners[i]->done += parts[i].count;
    }
    return true;
}

static void start(computing *c) {
    error err;
    uint64_t random = 1;
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        sequence *s = &c->sequences[i];
        *s = (sequence){.hash = UINT64_C(14695981039346656037)};
        for (uint32_t t = 0; t < TOKENS; t++) {
            random = random * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            s->tokens[t] = (uint32_t)(random >> 33) % c->a.vocabulary;
        }
        for (uint32_t p = 0; p < PAGES; p++) {
            s->pages[p] = page_take(&c->pool, &err);
            check(s->pages[p] != NULL, &err);
        }
    }
}

static uint64_t compute(computing *c, uint32_t group, uint32_t portion) {
    uint64_t all = 0;
    start(c);
    uint32_t turn = 0;
    while (pass(c, group == MIXED ? 1 + turn % SEQUENCES : group, portion, turn, group == MIXED)) {
        turn++;
    }
    for (uint32_t i = 0; i < SEQUENCES; i++) {
        all = all * 31 + c->sequences[i].hash;
        for (uint32_t p = 0; p < PAGES; p++) {
            page_release(&c->pool, c->sequences[i].pages[p]);
        }
    }
    return all;
}

static slice map(const char *path) {
    struct stat status;
    int file = open(path, O_RDONLY);
    if (file < 0 || fstat(file, &status) != 0) {
        perror(path);
        exit(1);
    }
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (bytes == MAP_FAILED) {
        perror(path);
        exit(1);
    }
    return slice_of(bytes, (size_t)status.st_size);
}

/* All ways, or those on the diagonals, so that each value of each is there. */
static bool run_threads(computing *c, const kernels *form, size_t thread_way, bool many, uint64_t *hash) {
    static const uint32_t threads[WAYS] = {1, 2, 3, 7};
    error err;
    crew *members = crew_new(threads[thread_way], &err);
    check(members != NULL, &err);
    c->f = forward_new(&c->a, form, members, BATCH, &err);
    check(c->f != NULL, &err);
    bool same = true;
    for (size_t g = 0; g < WAYS; g++) {
        for (size_t p = 0; p < WAYS; p++) {
            if (!many && (g != thread_way || p != (thread_way + 1) % WAYS)) {
                continue;
            }
            uint64_t got = compute(c, groups[g], portions[p]);
            same = same && (*hash == 0 || got == *hash);
            *hash = got;
        }
    }
    forward_free(c->f);
    crew_free(members);
    return same;
}

static bool run_model(const kernels *form, bool many, const char *path) {
    error err;
    static computing c;
    slice file = map(path);
    gguf *g = gguf_open(&file, 1, &err);
    check(g != NULL, &err);
    architecture_source source = {.file = g};
    check(architecture_read(&c.a, &source, &err), &err);
    gguf_free(g);
    page_pool_start(&c.pool, &c.a, UINT64_C(1) << 30);
    uint64_t hash = 0;
    bool same = true;
    for (size_t way = 0; way < WAYS; way++) {
        same = run_threads(&c, form, way, many, &hash) && same;
    }
    architecture_free(&c.a);
    munmap((void *)(uintptr_t)file.data, file.length);
    const char *name = strrchr(path, '/');
    printf("%s %016" PRIx64 "%s\n", name == NULL ? path : name + 1, hash, same ? "" : " DIFFERS");
    return same;
}

static int print_forms(void) {
    const kernels *forms[KERNELS_MAX];
    size_t count = kernels_available(forms);
    for (size_t i = 0; i < count; i++) {
        puts(forms[i]->name);
    }
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "forms") == 0) {
        return print_forms();
    }
    const kernels *form = argc < 4 ? NULL : kernels_find(argv[1]);
    if (form == NULL) {
        fputs("usage: golden_models forms | FORM many|few FILE…\n", stderr);
        return 2;
    }
    bool same = true;
    for (int i = 3; i < argc; i++) {
        same = run_model(form, strcmp(argv[2], "many") == 0, argv[i]) && same;
    }
    return same ? 0 : 1;
}
