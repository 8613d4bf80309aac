#include "succession_internal.h"

#include "codec/envelope.h"

#include <stdio.h>

enum { STATEMENT_LIMIT = 512 };

static const char log_prefix[] = "cellule/";
static const char label[] = "cellule succession v1";

/* The key that signed before step `number`. */
static const uint8_t *key_before(const succession *s, size_t number) {
    return number == 0 ? s->first_key : s->steps[number - 1].key;
}

/* What both keys sign. Each statement names its place and the signatures of the one before, and so all before
 * it. */
static bool make_statement(const succession *s, size_t number, const succession_step *step, buffer *out,
                           error *err) {
    envelope_begin(out, label);
    envelope_add(out, slice_of(s->pool_id, sizeof s->pool_id));
    envelope_add_u32(out, (uint32_t)number + 1);
    if (number == 0) {
        envelope_add(out, (slice){NULL, 0});
        envelope_add(out, (slice){NULL, 0});
    } else {
        const succession_step *before = &s->steps[number - 1];
        envelope_add(out, slice_of(before->former_signature, sizeof before->former_signature));
        envelope_add(out, slice_of(before->signature, sizeof before->signature));
    }
    envelope_add(out, slice_of(key_before(s, number), SIGN_PUBLIC_SIZE));
    envelope_add(out, slice_of(step->key, sizeof step->key));
    envelope_add_u64(out, step->made_ms);
    return !buffer_failed(out) || error_memory(err);
}

/* Of the first `count` steps; SIZE_MAX if it isn't among them. 0 is the first key, n that of step n. */
static size_t find(const succession *s, size_t count, const uint8_t key[SIGN_PUBLIC_SIZE]) {
    for (size_t i = 0; i <= count; i++) {
        if (memcmp(key_before(s, i), key, SIGN_PUBLIC_SIZE) == 0) {
            return i;
        }
    }
    return SIZE_MAX;
}

/* Everything but the signatures. */
static bool check_place(const succession *s, size_t number, const succession_step *step, error_code code,
                        error *err) {
    if (find(s, number, step->key) != SIZE_MAX) {
        return error_set(err, code, "the pool has had this key before");
    }
    return number == 0 || step->made_ms >= s->steps[number - 1].made_ms ||
           error_set(err, code, "it is older than the key before it");
}

bool succession_is_statement(slice bytes) {
    const envelope_reader r = envelope_open(bytes, label);
    return !r.failed;
}

bool succession_begin(const uint8_t first_key[SIGN_PUBLIC_SIZE], succession *s, error *err) {
    memset(s, 0, sizeof *s);
    memcpy(s->first_key, first_key, SIGN_PUBLIC_SIZE);
    return hash_sha256(slice_of(first_key, SIGN_PUBLIC_SIZE), s->pool_id, err);
}

bool succession_append(succession *s, const sign_key *former, const sign_key *next, uint64_t made_ms,
                       error *err) {
    succession_step step = {.made_ms = made_ms};
    if (s->count == SUCCESSION_MAX) {
        return error_set(err, ERROR_LIMIT,
                         "the pool's key has been exchanged %d times, which is all it can be",
                         SUCCESSION_MAX);
    }
    memcpy(step.key, sign_key_public(next), sizeof step.key);
    if (memcmp(sign_key_public(former), succession_current(s), SIGN_PUBLIC_SIZE) != 0) {
        return error_set(err, ERROR_INVALID, "the key that is to be replaced isn't the pool's");
    }
    buffer bytes = buffer_make(STATEMENT_LIMIT);
    bool made = check_place(s, s->count, &step, ERROR_INVALID, err) &&
                make_statement(s, s->count, &step, &bytes, err) &&
                sign_bytes(former, buffer_slice(&bytes), step.former_signature, err) &&
                sign_bytes(next, buffer_slice(&bytes), step.signature, err);
    buffer_free(&bytes);
    if (made) {
        s->steps[s->count++] = step;
    }
    return made;
}

const uint8_t *succession_current(const succession *s) {
    return key_before(s, s->count);
}

note_key succession_log_key(const succession *s, size_t number) {
    char id[HASH_HEX_SIZE];
    note_key key = {.kind = NOTE_ED25519};
    hex_encode(slice_of(s->pool_id, sizeof s->pool_id), id);
    snprintf(key.name, sizeof key.name, "%s%s", log_prefix, id);
    memcpy(key.public_key, key_before(s, number), sizeof key.public_key);
    return key;
}

bool succession_log_pool(const char *name, uint8_t pool_id[HASH_SIZE]) {
    slice rest = slice_of_text(name);
    return slice_starts_with(rest, slice_of_text(log_prefix)) &&
           hex_decode(slice_after(rest, sizeof log_prefix - 1), pool_id, HASH_SIZE);
}

bool succession_covers(const succession *s, const uint8_t key[SIGN_PUBLIC_SIZE], uint64_t at_ms, error *err) {
    size_t number = find(s, s->count, key);
    if (number == SIZE_MAX) {
        return error_set(
            err, ERROR_NOT_FOUND,
            "it isn't signed with the pool's key, nor with one that it has had, of %zu that are known",
            s->count + 1);
    }
    return number == s->count || at_ms <= s->steps[number].made_ms + SUCCESSION_LEEWAY_MS ||
           error_set(err, ERROR_CORRUPT, "the key that signed it had been replaced by then");
}

bool succession_check_first(const uint8_t key[SIGN_PUBLIC_SIZE], const uint8_t pool_id[HASH_SIZE],
                            error *err) {
    uint8_t id[HASH_SIZE];
    return hash_sha256(slice_of(key, SIGN_PUBLIC_SIZE), id, err) &&
           (hash_equal(id, pool_id, sizeof id) ||
            error_set(err, ERROR_NOT_FOUND,
                      "it isn't signed with the pool's first key, and nothing here names a later one"));
}

bool succession_goes_on(const succession *known, const succession *shown, error *err) {
    size_t shared = known->count < shown->count ? known->count : shown->count;
    if (memcmp(known->first_key, shown->first_key, sizeof known->first_key) != 0) {
        return error_set(err, ERROR_CORRUPT, "it is of another pool");
    }
    for (size_t i = 0; i < shared; i++) {
        const succession_step *a = &known->steps[i];
        const succession_step *b = &shown->steps[i];
        if (memcmp(a->key, b->key, sizeof a->key) != 0 || a->made_ms != b->made_ms) {
            return error_set(err, ERROR_CORRUPT, "the pool has shown another key in place of number %zu",
                             i + 2);
        }
    }
    return shown->count >= known->count ||
           error_set(err, ERROR_DENIED, "the pool puts an older key forward again");
}

static bool verify_step(const succession *s, size_t number, error *err) {
    const succession_step *step = &s->steps[number];
    buffer bytes = buffer_make(STATEMENT_LIMIT);
    bool made =
        check_place(s, number, step, ERROR_CORRUPT, err) && make_statement(s, number, step, &bytes, err);
    bool good = made && ((sign_verify(key_before(s, number), buffer_slice(&bytes), step->former_signature) &&
                          sign_verify(step->key, buffer_slice(&bytes), step->signature)) ||
                         error_set(err, ERROR_CORRUPT, "the keys before and after haven't both signed it"));
    buffer_free(&bytes);
    return good || error_context(err, "the pool's key number %zu", number + 2);
}

bool succession_verify(const succession *s, const uint8_t pool_id[HASH_SIZE], error *err) {
    uint8_t id[HASH_SIZE];
    if (!hash_sha256(slice_of(s->first_key, sizeof s->first_key), id, err)) {
        return false;
    }
    if (!hash_equal(id, s->pool_id, sizeof id) || (pool_id != NULL && !hash_equal(id, pool_id, sizeof id))) {
        return error_set(err, ERROR_CORRUPT, "these keys are another pool's than the one expected");
    }
    bool good = true;
    for (size_t i = 0; good && i < s->count; i++) {
        good = verify_step(s, i, err);
    }
    return good;
}
