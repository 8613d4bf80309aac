#include "site.h"

#include "base/log.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "os/random.h"
#include "secrets/files.h"
#include "secrets/pool_key.h"

#include <stdio.h>

enum { VERIFY_KEY_SIZE = 32, PLACE_SIZE = 64 + SITE_RECORD_ID_SIZE };

static const char *const file_names[SITE_FILE_COUNT] = {
    [SITE_SETTINGS] = "pool.yaml",     [SITE_DATABASE] = "pool.db",  [SITE_LOCK] = "lock",
    [SITE_CA_CERTIFICATE] = "ca.pem",  [SITE_CA_KEY] = "ca.key",     [SITE_SERVER_CERTIFICATE] = "server.pem",
    [SITE_SERVER_KEY] = "server.key",  [SITE_POOL_KEY] = "pool.key", [SITE_VERIFY_KEY] = "verify.key",
    [SITE_AUDIT] = "audit.checkpoint", [SITE_SSO] = "sso.yaml",      [SITE_SUCCESSION] = "succession.json",
};

bool site_path(const char *folder, site_file file, char path[SITE_PATH_SIZE], error *err) {
    int length = snprintf(path, SITE_PATH_SIZE, "%s/%s", folder, file_names[file]);
    if (length < 0 || length >= SITE_PATH_SIZE) {
        return error_set(err, ERROR_LIMIT, "the site's path is longer than %d bytes; choose a shorter one",
                         SITE_PATH_SIZE - 1);
    }
    return true;
}

static bool read_keys(site *s, error *err) {
    char path[SITE_PATH_SIZE];
    if (s->key == NULL) {
        s->key = site_path(s->folder, SITE_POOL_KEY, path, err) ? sign_key_load(path, err) : NULL;
    }
    if (s->key == NULL || !pool_key_read_succession(s->folder, sign_key_public(s->key), &s->keys, err)) {
        return false;
    }
    memcpy(s->pool_id, s->keys.pool_id, sizeof s->pool_id);
    hex_encode(slice_of(s->pool_id, sizeof s->pool_id), s->pool_id_hex);
    return site_path(s->folder, SITE_CA_CERTIFICATE, path, err) && file_read_all(path, &s->ca_pem, err) &&
           (certificate_pin(buffer_slice(&s->ca_pem), s->ca_pin, err) || error_context(err, "%s", path));
}

bool site_make_verify_key(const char *folder, error *err) {
    char path[SITE_PATH_SIZE];
    uint8_t root[VERIFY_KEY_SIZE];
    bool made = site_path(folder, SITE_VERIFY_KEY, path, err) && random_bytes(root, sizeof root, err) &&
                key_file_write(path, slice_of(root, sizeof root), err);
    secret_wipe(root, sizeof root);
    return made;
}

static bool derive_verify_keys(site *s, slice root, error *err) {
    slice salt = slice_of(s->pool_id, sizeof s->pool_id);
    site_verify_keys *keys = s->verify;
    return hash_derive(root, salt, SLICE_LITERAL("cellule seal v1"), keys->seal, sizeof keys->seal, err) &&
           hash_derive(root, salt, SLICE_LITERAL("cellule draw secret v1"), keys->draw, sizeof keys->draw,
                       err) &&
           hash_derive(root, salt, SLICE_LITERAL("cellule honeytoken v1"), keys->honeytoken,
                       sizeof keys->honeytoken, err) &&
           hash_derive(root, salt, SLICE_LITERAL("cellule recovery v1"), keys->recovery,
                       sizeof keys->recovery, err) &&
           hash_derive(root, salt, SLICE_LITERAL("cellule session key seal v1"), keys->session_keys,
                       sizeof keys->session_keys, err);
}

static bool read_verify_key(site *s, error *err) {
    char path[SITE_PATH_SIZE];
    if (!site_path(s->folder, SITE_VERIFY_KEY, path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        if (!site_make_verify_key(s->folder, err)) {
            return false;
        }
        log_info("key made, as the site had none", LOG_TEXT("file", path));
    }
    buffer root = buffer_make(2 * VERIFY_KEY_SIZE);
    s->verify = secret_allocate(sizeof *s->verify, err);
    bool read = s->verify != NULL && key_file_read(path, &root, err);
    if (read && buffer_length(&root) != VERIFY_KEY_SIZE) {
        read =
            error_set(err, ERROR_CORRUPT, "%s does not hold %d bytes; restore it, or remove it for a new one",
                      path, (int)VERIFY_KEY_SIZE);
    }
    read = read && derive_verify_keys(s, buffer_slice(&root), err);
    buffer_wipe(&root);
    return read;
}

bool site_exists(const char *folder, error *err) {
    char path[SITE_PATH_SIZE];
    return site_path(folder, SITE_SETTINGS, path, err) &&
           (file_exists(path) ||
            error_set(err, ERROR_NOT_FOUND,
                      "there is no site in %s; make one with: cellule pool init --site %s", folder, folder));
}

bool site_is_served(const char *folder) {
    char path[SITE_PATH_SIZE];
    error err = {0};
    file_lock *lock = site_path(folder, SITE_LOCK, path, &err) ? file_lock_take(path, &err) : NULL;
    file_lock_release(lock);
    return lock == NULL && err.code == ERROR_CONFLICT;
}

bool site_open(const char *folder, site *s, error *err) {
    return site_open_with(folder, NULL, s, err);
}

bool site_open_with(const char *folder, sign_key *key, site *s, error *err) {
    char path[SITE_PATH_SIZE];
    *s = (site){.key = key, .ca_pem = buffer_make(SITE_PEM_LIMIT)};
    snprintf(s->folder, sizeof s->folder, "%s", folder);
    if (!site_exists(folder, err) || !site_path(folder, SITE_LOCK, path, err)) {
        return false;
    }
    s->lock = file_lock_take(path, err);
    if (s->lock == NULL) {
        return error_context(err, "another pool serves the site %s", folder);
    }
    if (!secrets_settle(folder, err) || !pool_key_settle(folder, err) || !read_keys(s, err) ||
        !read_verify_key(s, err)) {
        site_close(s);
        return error_context(err, "opening the site %s", folder);
    }
    return true;
}

void site_close(site *s) {
    sign_key_free(s->key);
    secret_free(s->verify);
    buffer_free(&s->ca_pem);
    file_lock_release(s->lock);
    s->key = NULL;
    s->verify = NULL;
    s->lock = NULL;
}

bool site_read_server(const char *folder, certificate_pair *server, error *err) {
    char path[SITE_PATH_SIZE];
    *server = certificate_pair_make();
    if (site_path(folder, SITE_SERVER_CERTIFICATE, path, err) &&
        file_read_all(path, &server->certificate, err) && site_path(folder, SITE_SERVER_KEY, path, err) &&
        key_file_read(path, &server->key, err)) {
        return true;
    }
    certificate_pair_free(server);
    return error_context(err, "reading the server certificate");
}

/* What a record is sealed to: the table, a zero byte, the id. */
static slice place_of(const char *table, const uint8_t id[SITE_RECORD_ID_SIZE], uint8_t place[PLACE_SIZE]) {
    size_t length = strnlen(table, PLACE_SIZE - SITE_RECORD_ID_SIZE - 1);
    memcpy(place, table, length);
    place[length] = 0;
    memcpy(place + length + 1, id, SITE_RECORD_ID_SIZE);
    return slice_of(place, length + 1 + SITE_RECORD_ID_SIZE);
}

bool site_seal(const site *s, const char *table, const uint8_t id[SITE_RECORD_ID_SIZE], slice plain,
               buffer *sealed, error *err) {
    uint8_t place[PLACE_SIZE];
    return seal(s->verify->seal, place_of(table, id, place), plain, sealed, err);
}

bool site_open_sealed(const site *s, const char *table, const uint8_t id[SITE_RECORD_ID_SIZE], slice sealed,
                      buffer *plain, error *err) {
    uint8_t place[PLACE_SIZE];
    return seal_open(s->verify->seal, place_of(table, id, place), sealed, plain, err);
}
