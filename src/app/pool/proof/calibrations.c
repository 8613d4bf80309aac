#include "proof/calibrations.h"

#include "base/log.h"
#include "base/memory.h"
#include "codec/envelope.h"
#include "store/meta.h"

#include <stdio.h>

enum { SAVED_EACH = 32 /* pairs */ };

typedef struct place {
    calibrations *all;
    bool taken;
    bool unknown; /* the store couldn't say what it has there: nothing is put over it */
    calibration_key key;
    agreement_calibration values;
    uint64_t used; /* number of its last use */
    uint32_t unsaved;
} place;

struct calibrations {
    place places[CALIBRATIONS_MAX];
    bool asked;
    size_t waiting; /* for the store's answers */
    bool closed;    /* freed with the last of them */
    uint64_t uses;
};

bool calibration_key_of(const uint8_t digest[HASH_SIZE], const char *profile, calibration_kind kind,
                        calibration_key *key, error *err) {
    static const char *const labels[CALIBRATION_KINDS] = {"cellule calibration v1",
                                                          "cellule calibration with logprobs v1"};
    buffer text = buffer_make(256);
    envelope_begin(&text, labels[kind]);
    envelope_add(&text, slice_of(digest, HASH_SIZE));
    envelope_add_text(&text, profile);
    bool made = buffer_failed(&text) ? error_memory(err) : hash_sha256(buffer_slice(&text), key->bytes, err);
    buffer_free(&text);
    return made;
}

calibrations *calibrations_new(error *err) {
    calibrations *all = memory_allocate_zeroed(1, sizeof *all);
    if (all == NULL) {
        error_memory(err);
        return NULL;
    }
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        all->places[i].all = all;
    }
    return all;
}

static void release(calibrations *all) {
    if (all->closed && all->waiting == 0) {
        memory_free(all);
    }
}

static void put_number(uint8_t *bytes, size_t index, uint32_t value) {
    for (size_t k = 0; k < 4; k++) {
        bytes[HASH_SIZE + 4 * index + k] = (uint8_t)(value >> (24 - 8 * k));
    }
}

static uint32_t take_number(const uint8_t *bytes, size_t index) {
    uint32_t value = 0;
    for (size_t k = 0; k < 4; k++) {
        value = value << 8 | bytes[HASH_SIZE + 4 * index + k];
    }
    return value;
}

void calibration_encode(const calibration_key *key, const agreement_calibration *c,
                        uint8_t bytes[CALIBRATION_ENCODED_SIZE]) {
    memcpy(bytes, key->bytes, sizeof key->bytes);
    put_number(bytes, 0, c->pairs);
    put_number(bytes, 1, c->by_referees);
    for (size_t i = 0; i < AGREEMENT_BINS; i++) {
        put_number(bytes, 2 + i, c->bins[i]);
    }
}

bool calibration_decode(slice bytes, calibration_key *key, agreement_calibration *c, error *err) {
    *c = (agreement_calibration){0};
    if (bytes.length != CALIBRATION_ENCODED_SIZE) {
        return error_set(err, ERROR_CORRUPT, "a calibration has the wrong size");
    }
    memcpy(key->bytes, bytes.data, sizeof key->bytes);
    c->pairs = take_number(bytes.data, 0);
    c->by_referees = take_number(bytes.data, 1);
    for (size_t i = 0; i < AGREEMENT_BINS; i++) {
        c->bins[i] = take_number(bytes.data, 2 + i);
    }
    bool sound = agreement_check(c, err);
    *c = sound ? *c : (agreement_calibration){0};
    return sound;
}

/* "calibration-07": the names are as many as the places, so what is stored is bounded too. */
static slice name_of(const place *p, char name[32]) {
    snprintf(name, 32, "calibration-%02d", (int)(p - p->all->places));
    return slice_of_text(name);
}

static void was_loaded(void *context, slice value, const error *failure) {
    place *p = context;
    calibrations *all = p->all;
    error err = {0};
    if (failure == NULL && calibration_decode(value, &p->key, &p->values, &err)) {
        p->taken = true;
    } else if (failure == NULL) {
        log_warning("a calibration can't be used: it is learnt anew", LOG_CAUSE(&err));
    } else if (failure->code != ERROR_NOT_FOUND) {
        p->unknown = true;
        log_warning("a calibration can't be read: it is learnt anew", LOG_CAUSE(failure));
    }
    all->waiting--;
    release(all);
}

void calibrations_load(calibrations *all, store *s) {
    char name[32];
    if (all->asked) {
        return;
    }
    all->asked = true;
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        place *p = &all->places[i];
        error err = {0};
        all->waiting++;
        if (!store_meta_get(s, name_of(p, name), was_loaded, p, &err)) {
            was_loaded(p, (slice){0}, &err);
        }
    }
}

static void was_saved(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("a calibration was not stored", LOG_CAUSE(failure));
    }
}

static void save(place *p, store *s) {
    uint8_t bytes[CALIBRATION_ENCODED_SIZE];
    char name[32];
    error err = {0};
    p->unsaved = 0;
    calibration_encode(&p->key, &p->values, bytes);
    if (!store_meta_set(s, name_of(p, name), slice_of(bytes, sizeof bytes), was_saved, NULL, &err)) {
        was_saved(NULL, &err);
    }
}

void calibrations_free(calibrations *all, store *s) {
    if (all == NULL) {
        return;
    }
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        if (all->places[i].unsaved > 0) {
            save(&all->places[i], s);
        }
    }
    all->closed = true;
    release(all);
}

static place *find(calibrations *all, const calibration_key *key) {
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        place *p = &all->places[i];
        if (p->taken && memcmp(p->key.bytes, key->bytes, sizeof key->bytes) == 0) {
            p->used = ++all->uses;
            return p;
        }
    }
    return NULL;
}

const agreement_calibration *calibrations_find(calibrations *all, const calibration_key *key) {
    static const agreement_calibration nothing;
    const place *p = all->waiting > 0 ? NULL : find(all, key);
    return p == NULL ? &nothing : &p->values;
}

/* How much would be lost with it. */
static unsigned worth(const place *p) {
    return !p->taken ? 0 : p->values.by_referees > 0 ? 3 : agreement_is_calibrated(&p->values) ? 2 : 1;
}

/* NULL: all that is there is worth more than what workers say. */
static place *make_room(calibrations *all, learning_lesson lesson) {
    place *least = NULL;
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        place *p = &all->places[i];
        bool may = !p->unknown && (worth(p) < 3 || lesson == LESSON_OF_REFEREES);
        if (may && (least == NULL || worth(p) < worth(least) ||
                    (worth(p) == worth(least) && p->used < least->used))) {
            least = p;
        }
    }
    return least;
}

bool calibrations_learn(calibrations *all, store *s, const calibration_key *key, learning_lesson lesson,
                        double score) {
    if (lesson == LESSON_NONE || !all->asked || all->waiting > 0) {
        return false;
    }
    place *p = find(all, key);
    if (p == NULL) {
        p = make_room(all, lesson);
        if (p == NULL) {
            return false;
        }
        *p = (place){.all = all, .taken = true, .key = *key, .used = ++all->uses};
    }
    bool was_calibrated = agreement_is_calibrated(&p->values);
    learning_take(&p->values, lesson, score);
    bool is_enough = !was_calibrated && agreement_is_calibrated(&p->values);
    if (++p->unsaved >= SAVED_EACH || is_enough) {
        save(p, s);
    }
    return is_enough;
}

size_t calibrations_learning(const calibrations *all) {
    size_t count = 0;
    for (size_t i = 0; i < CALIBRATIONS_MAX; i++) {
        count += all->places[i].taken && !agreement_is_calibrated(&all->places[i].values);
    }
    return count;
}
