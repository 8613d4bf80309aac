#include "memory/fact.h"
#include "crypto/start.h"
#include "memory/embedder.h"
#include "memory/vectors.h"

#include <stdlib.h>

/* Any bytes as what a fact's record holds, and as a text: what opens seals to the same bytes again, and a
 * text's vector has length 1 or none. */
enum { MEMORY = 1 << 20 };

static const uint8_t key[RECORD_KEY_SIZE] = {1};
static const uint8_t id[RECORD_ID_SIZE] = {2};
static const record_place place = {.kind = RECORD_FACT, .user_id = 3, .id = {2}};

/* What doesn't fit the memory that there is says nothing. */
static void check_again(const fact *f, slice content) {
    error err;
    buffer sealed = buffer_make(FACT_SEALED_MAX);
    buffer again = buffer_make(FACT_SEALED_MAX);
    arena *a = arena_new(MEMORY);
    fact second;
    if (!fact_text_is_valid(f->text) || f->dimensions > FACT_DIMENSIONS_MAX || a == NULL ||
        !fact_seal(key, 3, id, f, &sealed, &err) ||
        !record_open(key, &place, buffer_slice(&sealed), &again, &err) ||
        !fact_open(key, 3, id, buffer_slice(&sealed), a, &second, &err)) {
        abort();
    }
    /* A vector of another size is brought to the usual one; from then on nothing changes. */
    size_t before_vector = content.length - 2 * f->dimensions;
    slice other = buffer_slice(&again);
    if (other.length != content.length || memcmp(other.data, content.data, before_vector) != 0 ||
        second.dimensions != f->dimensions) {
        abort();
    }
    arena_free(a);
    buffer_wipe(&sealed);
    buffer_wipe(&again);
}

static void check_content(slice content) {
    error err;
    fact f;
    buffer sealed = buffer_make(1 << 20);
    arena *a = arena_new(MEMORY);
    if (a != NULL && record_seal(key, &place, 4, content, &sealed, &err) &&
        fact_open(key, 3, id, buffer_slice(&sealed), a, &f, &err)) {
        check_again(&f, content);
    }
    arena_free(a);
    buffer_wipe(&sealed);
}

static void check_text(slice text) {
    float vector[EMBEDDER_DIMENSIONS];
    double sum = 0;
    embedder_embed(text, vector);
    for (size_t i = 0; i < EMBEDDER_DIMENSIONS; i++) {
        sum += (double)vector[i] * vector[i];
    }
    if (!(sum == 0 || (sum > 0.9999 && sum < 1.0001))) {
        abort();
    }
    error err;
    vectors_found found;
    vectors *v = vectors_new(EMBEDDER_DIMENSIONS, &err);
    bool put = v != NULL && vectors_put(v, 1, vector, &err);
    if (v != NULL && (put != (sum != 0) || vectors_search(v, vector, &found, 1) != (put ? 1U : 0U) ||
                      (put && found.score < 0.999f))) {
        abort();
    }
    vectors_free(v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static bool started;
    error err;
    if (!started && !crypto_start(&err)) {
        abort();
    }
    started = true;
    check_content(slice_of(data, size));
    check_text(slice_of(data, size));
    return 0;
}
