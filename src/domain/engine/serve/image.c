#include "serve/image.h"

#include "base/memory.h"
#include "crypto/hash.h"

#include <stdatomic.h>
#include <string.h>

enum {
    PART = 1024 * 1024,
    ROUND = 256, /* parts between two words of progress */
    PROFILE_SIZE = 32,
    MAGIC_SIZE = 16,
    ALIGNMENT = 64,
    AT_LAYOUT = MAGIC_SIZE,
    AT_PART = AT_LAYOUT + 4,
    AT_SIZE = AT_PART + 4,
    AT_PROFILE = AT_SIZE + 8,
    AT_MODEL = AT_PROFILE + PROFILE_SIZE,
    AT_WEIGHTS = AT_MODEL + HASH_SIZE,
    AT_HEADER = IMAGE_HEADER_SIZE - HASH_SIZE,
};
static const char magic[MAGIC_SIZE] = "cellule packed";

typedef struct hashing {
    slice weights;
    size_t first; /* of the parts at hand */
    size_t parts;
    uint8_t *digests;
    atomic_bool failed;
} hashing;

static void hash_parts(void *context, crew_member *self) {
    hashing *h = context;
    size_t first = 0;
    size_t last = 0;
    while (crew_take(self, h->parts, 1, &first, &last)) {
        error ignored;
        size_t index = h->first + first;
        slice part = slice_part(h->weights, index * PART, PART);
        if (!hash_sha256(part, h->digests + index * HASH_SIZE, &ignored)) {
            atomic_store(&h->failed, true);
        }
    }
}

static bool hash_weights(slice weights, const image_work *work, uint8_t digest[HASH_SIZE], error *err) {
    const size_t parts = weights.length / PART + (weights.length % PART != 0);
    hashing h = {.weights = weights, .digests = memory_allocate_zeroed(parts + 1, HASH_SIZE)};
    if (h.digests == NULL) {
        return error_memory(err);
    }
    bool good = true;
    for (; good && h.first < parts; h.first += ROUND) {
        if (work->progress != NULL) {
            work->progress(work->context, h.first * PART, weights.length);
        }
        h.parts = parts - h.first < ROUND ? parts - h.first : ROUND;
        good = crew_run(work->members, hash_parts, &h, err);
    }
    if (good && atomic_load(&h.failed)) {
        good = error_memory(err);
    }
    good = good && hash_sha256(slice_of(h.digests, parts * HASH_SIZE), digest, err);
    memory_free(h.digests);
    return good;
}

static void put_number(uint8_t *place, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        place[i] = (uint8_t)(value >> (8 * i));
    }
}

/* All of the header but the digests of the weights and of itself. */
static void describe(uint8_t header[IMAGE_HEADER_SIZE], const uint8_t model[ENGINE_DIGEST_SIZE],
                     uint64_t size) {
    _Static_assert(sizeof ENGINE_PROFILE <= PROFILE_SIZE, "the profile's name fits");
    memset(header, 0, IMAGE_HEADER_SIZE);
    memcpy(header, magic, MAGIC_SIZE);
    put_number(header + AT_LAYOUT, IMAGE_LAYOUT, 4);
    put_number(header + AT_PART, PART, 4);
    put_number(header + AT_SIZE, size, 8);
    memcpy(header + AT_PROFILE, ENGINE_PROFILE, sizeof ENGINE_PROFILE);
    memcpy(header + AT_MODEL, model, ENGINE_DIGEST_SIZE);
}

bool image_write_header(uint8_t header[IMAGE_HEADER_SIZE], const uint8_t model[ENGINE_DIGEST_SIZE],
                        slice weights, const image_work *work, error *err) {
    describe(header, model, weights.length);
    return hash_weights(weights, work, header + AT_WEIGHTS, err) &&
           hash_sha256(slice_of(header, AT_HEADER), header + AT_HEADER, err);
}

bool image_read(slice image, const uint8_t model[ENGINE_DIGEST_SIZE], const image_work *work, slice *weights,
                error *err) {
    uint8_t expected[IMAGE_HEADER_SIZE];
    uint8_t digest[HASH_SIZE];
    if (image.length < IMAGE_HEADER_SIZE || (uintptr_t)image.data % ALIGNMENT != 0) {
        return error_set(err, ERROR_CORRUPT, "the packed weights are cut off or not aligned");
    }
    if (!hash_sha256(slice_of(image.data, AT_HEADER), digest, err)) {
        return false;
    }
    if (!hash_equal(digest, image.data + AT_HEADER, HASH_SIZE)) {
        return error_set(err, ERROR_CORRUPT, "the packed weights' header was damaged");
    }
    *weights = slice_after(image, IMAGE_HEADER_SIZE);
    describe(expected, model, weights->length);
    if (memcmp(expected, image.data, AT_SIZE) != 0 ||
        memcmp(expected + AT_PROFILE, image.data + AT_PROFILE, AT_WEIGHTS - AT_PROFILE) != 0) {
        return error_set(err, ERROR_CONFLICT, "the packed weights are of another model or build");
    }
    if (memcmp(expected + AT_SIZE, image.data + AT_SIZE, 8) != 0) {
        return error_set(err, ERROR_CORRUPT, "the packed weights are cut off");
    }
    return hash_weights(*weights, work, digest, err) &&
           (hash_equal(digest, image.data + AT_WEIGHTS, HASH_SIZE) ||
            error_set(err, ERROR_CORRUPT, "the packed weights were damaged"));
}
