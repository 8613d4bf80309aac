#include "secrets/pool_key.h"

#include "crypto/secret.h"
#include "os/random.h"
#include "secrets/staging.h"

#include <stdio.h>

static const site_file files[] = {SITE_POOL_KEY, SITE_SUCCESSION};
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

/* Of the exchange that is on its way: nothing counts before both are there. */
static bool stage(const char *folder, const sign_key *key, const succession *keys, error *err) {
    char path[SITE_PATH_SIZE];
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool staged = succession_write_json(keys, &json, err) && staging_path(folder, SITE_POOL_KEY, path, err) &&
                  sign_key_save(key, path, err) &&
                  staging_write(folder, SITE_SUCCESSION, buffer_slice(&json), err);
    buffer_free(&json);
    return staged;
}

bool pool_key_exchange(const char *folder, uint64_t now_unix_ms, const uint8_t seal_key[SEAL_KEY_SIZE],
                       succession *keys, buffer *sealed, error *err) {
    uint8_t seed[SIGN_SEED_SIZE];
    sign_key *former = pool_key_settle(folder, err) ? pool_key_load(folder, err) : NULL;
    sign_key *next =
        former != NULL && random_bytes(seed, sizeof seed, err) ? sign_key_from_seed(seed, err) : NULL;
    bool done = next != NULL && pool_key_read_succession(folder, sign_key_public(former), keys, err) &&
                succession_append(keys, former, next, now_unix_ms, err) &&
                seal(seal_key, slice_of_text(place), slice_of(seed, sizeof seed), sealed, err) &&
                stage(folder, next, keys, err) && pool_key_settle(folder, err);
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
