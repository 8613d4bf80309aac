#include "secrets/pool_key.h"

#include "base/log.h"
#include "crypto/secret.h"
#include "ledger/note.h"
#include "os/random.h"
#include "secrets/staging.h"

static const site_file files[] = {SITE_POOL_KEY, SITE_AUDIT, SITE_SUCCESSION};
static const staging_list exchanged = {files, sizeof files / sizeof files[0]};
static const char place[] = "the pool's next key";

bool pool_key_settle(const char *folder, error *err) {
    return staging_settle(folder, &exchanged, err) || error_context(err, "exchanging the pool's key");
}

/* The file, or the one that takes its place. */
static bool path_of(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err) {
    return (staging_counts(folder, &exchanged) && staging_path(folder, file, path, err) &&
            file_exists(path)) ||
           site_path(folder, file, path, err);
}

sign_key *pool_key_load(const char *folder, error *err) {
    char path[SITE_PATH_SIZE];
    return path_of(folder, SITE_POOL_KEY, path, err) ? sign_key_load(path, err) : NULL;
}

bool pool_key_read_succession(const char *folder, const uint8_t current[SIGN_PUBLIC_SIZE], succession *keys,
                              error *err) {
    char path[SITE_PATH_SIZE];
    if (!site_path(folder, SITE_SUCCESSION, path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return succession_begin(current, keys, err);
    }
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool read =
        file_read_all(path, &json, err) &&
        (succession_read_json(buffer_slice(&json), NULL, keys, err) || error_context(err, "%s", path));
    buffer_free(&json);
    if (read && memcmp(succession_current(keys), current, SIGN_PUBLIC_SIZE) != 0) {
        read = error_set(err, ERROR_CORRUPT,
                         "pool.key isn't the last key that %s names; restore both from one backup", path);
    }
    return read;
}

pool_key_issued pool_key_issued_make(void) {
    return (pool_key_issued){.sealed = buffer_make(SIGN_SEED_SIZE + SEAL_OVERHEAD),
                             .keys = buffer_make(SUCCESSION_JSON_LIMIT)};
}

void pool_key_issued_free(pool_key_issued *issued) {
    buffer_wipe(&issued->sealed);
    buffer_free(&issued->keys);
}

/* What the key before has signed, and nothing else. Both sign it: as long as it is the newest one, the
 * database's last note may still be by the key before (audit/check.c). */
static bool sign_anew(slice bytes, const succession *keys, const sign_key *former, const sign_key *next,
                      buffer *out, error *err) {
    note n;
    const note_key key = succession_log_key(keys, keys->count - 1);
    const note_key next_key = succession_log_key(keys, keys->count);
    uint64_t ignored = 0;
    if (!note_parse(bytes, &n, err) || !note_verify(&n, &key, &ignored, err)) {
        return error_context(err, "the audit log's checkpoint");
    }
    return ((buffer_append(out, n.text) && buffer_append_byte(out, '\n')) || error_memory(err)) &&
           note_sign(n.text, &next_key, next, 0, out, err) && note_sign(n.text, &key, former, 0, out, err);
}

static bool stage_note(const char *folder, slice bytes, const succession *keys, const sign_key *former,
                       const sign_key *next, error *err) {
    buffer fresh = buffer_make(NOTE_SIZE_MAX);
    bool staged = bytes.length == 0 || (sign_anew(bytes, keys, former, next, &fresh, err) &&
                                        staging_write(folder, SITE_AUDIT, buffer_slice(&fresh), err));
    buffer_free(&fresh);
    return staged;
}

/* Nothing counts before the last of them is there; what counts is put in place, at the latest by who opens
 * the site next. */
static bool put(const char *folder, const sign_key *key, slice keys, error *err) {
    char path[SITE_PATH_SIZE];
    if (!staging_path(folder, SITE_POOL_KEY, path, err) || !sign_key_save(key, path, err)) {
        return false;
    }
    if (!staging_write(folder, SITE_SUCCESSION, keys, err) && !staging_counts(folder, &exchanged)) {
        return false;
    }
    error failure = {0};
    if (!pool_key_settle(folder, &failure)) {
        log_error("the pool's new key counts, but isn't in its place", LOG_CAUSE(&failure));
    }
    return true;
}

/* A clock that was wrong once, or was set back, keeps nobody from replacing a key that leaked. */
static uint64_t time_of_next(const succession *keys, uint64_t now_unix_ms) {
    uint64_t last = keys->count == 0 ? 0 : keys->steps[keys->count - 1].made_ms;
    return now_unix_ms < last ? last : now_unix_ms;
}

static bool exchange(const char *folder, uint64_t now_unix_ms, slice checkpoint, const sign_key *former,
                     const sign_key *next, pool_key_issued *issued, error *err) {
    succession keys;
    return pool_key_read_succession(folder, sign_key_public(former), &keys, err) &&
           succession_append(&keys, former, next, time_of_next(&keys, now_unix_ms), err) &&
           succession_write_json(&keys, &issued->keys, err) &&
           stage_note(folder, checkpoint, &keys, former, next, err) &&
           put(folder, next, buffer_slice(&issued->keys), err);
}

bool pool_key_exchange(const char *folder, uint64_t now_unix_ms, slice checkpoint,
                       const uint8_t seal_key[SEAL_KEY_SIZE], pool_key_issued *issued, error *err) {
    uint8_t seed[SIGN_SEED_SIZE];
    sign_key *former = pool_key_settle(folder, err) ? pool_key_load(folder, err) : NULL;
    sign_key *next =
        former != NULL && random_bytes(seed, sizeof seed, err) ? sign_key_from_seed(seed, err) : NULL;
    bool done = next != NULL &&
                seal(seal_key, slice_of_text(place), slice_of(seed, sizeof seed), &issued->sealed, err) &&
                exchange(folder, now_unix_ms, checkpoint, former, next, issued, err);
    secret_wipe(seed, sizeof seed);
    sign_key_free(former);
    sign_key_free(next);
    return done;
}

sign_key *pool_key_unseal(slice sealed, const uint8_t seal_key[SEAL_KEY_SIZE], error *err) {
    buffer seed = buffer_make(SIGN_SEED_SIZE);
    bool opened = (buffer_reserve(&seed, SIGN_SEED_SIZE) != NULL || error_memory(err)) &&
                  seal_open(seal_key, slice_of_text(place), sealed, &seed, err);
    if (opened && buffer_length(&seed) != SIGN_SEED_SIZE) {
        opened = error_set(err, ERROR_CORRUPT, "the pool's next key is no key");
    }
    sign_key *key = opened ? sign_key_from_seed(buffer_slice(&seed).data, err) : NULL;
    buffer_wipe(&seed);
    return key;
}
