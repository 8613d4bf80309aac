#include "proof/calibrations.h"

#include "base/log.h"
#include "base/memory.h"
#include "store/meta.h"

#include <stdio.h>

enum { SAVED_EACH = 32 /* pairs */, KEY_DIGEST = 16 /* bytes of the digest that name it in the store */ };

typedef struct calibration {
    agreement_calibration values;
    uint8_t digest[HASH_SIZE];
    bool loaded; /* until then it neither says nor learns anything */
    uint32_t unsaved;
} calibration;

struct calibrations {
    map *by_digest;
    size_t waiting; /* for the store's answers */
    bool closed;    /* freed with the last of them */
};

typedef struct loading {
    calibrations *all;
    uint8_t digest[HASH_SIZE];
} loading;

calibrations *calibrations_new(const uint8_t seed[MAP_SEED_SIZE], error *err) {
    calibrations *all = memory_allocate_zeroed(1, sizeof *all);
    map *by_digest = map_new(seed);
    if (all == NULL || by_digest == NULL) {
        memory_free(all);
        map_free(by_digest);
        error_memory(err);
        return NULL;
    }
    all->by_digest = by_digest;
    return all;
}

static void release(calibrations *all) {
    if (all->closed && all->waiting == 0) {
        void *value = NULL;
        for (size_t i = 0; map_next(all->by_digest, &i, NULL, &value);) {
            memory_free(value);
        }
        map_free(all->by_digest);
        memory_free(all);
    }
}

void calibrations_free(calibrations *all) {
    if (all != NULL) {
        all->closed = true;
        release(all);
    }
}

void calibration_encode(const agreement_calibration *c, uint8_t bytes[CALIBRATION_ENCODED_SIZE]) {
    for (size_t i = 0; i <= AGREEMENT_BINS; i++) {
        uint32_t value = i == 0 ? c->pairs : c->bins[i - 1];
        for (size_t k = 0; k < 4; k++) {
            bytes[4 * i + k] = (uint8_t)(value >> (24 - 8 * k));
        }
    }
}

bool calibration_decode(slice bytes, agreement_calibration *c, error *err) {
    *c = (agreement_calibration){0};
    if (bytes.length != CALIBRATION_ENCODED_SIZE) {
        return error_set(err, ERROR_CORRUPT, "a calibration has the wrong size");
    }
    for (size_t i = 0; i <= AGREEMENT_BINS; i++) {
        uint32_t value = 0;
        for (size_t k = 0; k < 4; k++) {
            value = value << 8 | bytes.data[4 * i + k];
        }
        *(i == 0 ? &c->pairs : &c->bins[i - 1]) = value;
    }
    bool sound = agreement_check(c, err);
    *c = sound ? *c : (agreement_calibration){0};
    return sound;
}

/* "calibration-" and half of the digest, as the store takes names. */
static slice key_of(const uint8_t digest[HASH_SIZE], char key[64]) {
    char hex[2 * KEY_DIGEST + 1];
    hex_encode(slice_of(digest, KEY_DIGEST), hex);
    snprintf(key, 64, "calibration-%s", hex);
    return slice_of_text(key);
}

static calibration *find(const calibrations *all, const uint8_t digest[HASH_SIZE]) {
    return map_get(all->by_digest, slice_of(digest, HASH_SIZE));
}

static void was_loaded(void *context, slice value, const error *failure) {
    loading *l = context;
    calibrations *all = l->all;
    calibration *c = find(all, l->digest);
    error err = {0};
    if (failure != NULL && failure->code != ERROR_NOT_FOUND) {
        log_warning("a calibration can't be read: it is learnt anew", LOG_CAUSE(failure));
    } else if (failure == NULL && !calibration_decode(value, &c->values, &err)) {
        log_warning("a calibration can't be used: it is learnt anew", LOG_CAUSE(&err));
    }
    c->loaded = true;
    memory_free(l);
    all->waiting--;
    release(all);
}

static bool load(calibrations *all, store *s, const uint8_t digest[HASH_SIZE], error *err) {
    char key[64];
    loading *l = memory_allocate_zeroed(1, sizeof *l);
    if (l == NULL) {
        return error_memory(err);
    }
    l->all = all;
    memcpy(l->digest, digest, sizeof l->digest);
    if (!store_meta_get(s, key_of(digest, key), was_loaded, l, err)) {
        memory_free(l);
        return false;
    }
    all->waiting++;
    return true;
}

/* NULL: not known yet, or there is no room for it. */
static calibration *calibration_of(calibrations *all, store *s, const uint8_t digest[HASH_SIZE]) {
    calibration *c = find(all, digest);
    error err = {0};
    if (c != NULL) {
        return c->loaded ? c : NULL;
    }
    if (map_count(all->by_digest) >= CALIBRATIONS_MAX) {
        return NULL;
    }
    c = memory_allocate_zeroed(1, sizeof *c);
    if (c == NULL) {
        return NULL;
    }
    memcpy(c->digest, digest, sizeof c->digest);
    if (!map_put(all->by_digest, slice_of(c->digest, sizeof c->digest), c)) {
        memory_free(c);
        return NULL;
    }
    if (!load(all, s, digest, &err)) {
        log_warning("a calibration can't be read now", LOG_CAUSE(&err));
        map_remove(all->by_digest, slice_of(digest, HASH_SIZE));
        memory_free(c);
    }
    return NULL;
}

double calibrations_ratio(calibrations *all, store *s, const uint8_t digest[HASH_SIZE], double score) {
    const calibration *c = calibration_of(all, s, digest);
    return c == NULL ? 0 : agreement_ratio(&c->values, score);
}

static void was_saved(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("a calibration was not stored", LOG_CAUSE(failure));
    }
}

void calibrations_learn(calibrations *all, store *s, const uint8_t digest[HASH_SIZE], double score) {
    calibration *c = calibration_of(all, s, digest);
    uint8_t bytes[CALIBRATION_ENCODED_SIZE];
    char key[64];
    error err = {0};
    if (c == NULL) {
        return;
    }
    agreement_calibrate(&c->values, score);
    if (++c->unsaved < SAVED_EACH) {
        return;
    }
    c->unsaved = 0;
    calibration_encode(&c->values, bytes);
    if (!store_meta_set(s, key_of(digest, key), slice_of(bytes, sizeof bytes), was_saved, NULL, &err)) {
        was_saved(NULL, &err);
    }
}
