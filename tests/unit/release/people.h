#ifndef TESTS_RELEASE_PEOPLE_H
#define TESTS_RELEASE_PEOPLE_H

#include "crypto/start.h"
#include "release/maintainers.h"

#include "unit.h"

/* Maintainers with keys from their number. */
enum { PEOPLE = 4 };
static const char *const people_names[PEOPLE] = {"ann", "bob", "eve", "dan"};
static sign_key *people[PEOPLE];

static int people_start(void **state) {
    error err;
    (void)state;
    if (!crypto_start(&err)) {
        return -1;
    }
    for (int i = 0; i < PEOPLE; i++) {
        uint8_t seed[SIGN_SEED_SIZE] = {(uint8_t)(i + 1)};
        people[i] = sign_key_from_seed(seed, &err);
        if (people[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int people_stop(void **state) {
    (void)state;
    for (size_t i = 0; i < PEOPLE; i++) {
        sign_key_free(people[i]);
    }
    crypto_stop();
    return 0;
}

static note_key person(size_t i) {
    note_key key = {.kind = NOTE_ED25519};
    snprintf(key.name, sizeof key.name, "%s", people_names[i]);
    memcpy(key.public_key, sign_key_public(people[i]), sizeof key.public_key);
    return key;
}

/* The first `count` of them, of whom `threshold` must sign. */
static maintainers list_of(uint64_t generation, uint32_t threshold, size_t count) {
    maintainers m = {.generation = generation, .threshold = threshold, .count = count};
    for (size_t i = 0; i < count; i++) {
        m.keys[i] = person(i);
    }
    return m;
}

/* `who`: the numbers of those who sign. The caller frees it. */
static buffer sign_text(slice text, const char *who) {
    error err;
    buffer out = buffer_make(RELEASE_NOTE_MAX);
    buffer_append(&out, text);
    buffer_append_text(&out, "\n");
    for (; *who != '\0'; who++) {
        size_t i = (size_t)(*who - '0');
        note_key key = person(i);
        assert_true(note_sign(text, &key, people[i], 0, &out, &err));
    }
    return out;
}

#endif
