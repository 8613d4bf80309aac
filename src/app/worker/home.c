#include "home.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "ledger/receipt.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>

enum { POOL_FILE_LIMIT = 4096 };

const char *worker_home_default(void) {
    static char path[HOME_PATH_SIZE];
    const char *home = getenv("HOME");
    if (home == NULL || home[0] != '/' ||
        snprintf(path, sizeof path, "%s/.cellule/worker", home) >= (int)sizeof path) {
        return "./worker";
    }
    return path;
}

static bool path_in(const char *folder, const char *name, char path[HOME_PATH_SIZE], error *err) {
    return snprintf(path, HOME_PATH_SIZE, "%s/%s", folder, name) < HOME_PATH_SIZE ||
           error_set(err, ERROR_LIMIT,
                     "the folder's path is too long; choose a shorter one with --state DIR");
}

static bool make_folder(const char *folder, error *err) {
    char parent[HOME_PATH_SIZE];
    snprintf(parent, sizeof parent, "%s", folder);
    char *last = strrchr(parent, '/');
    if (last != NULL && last != parent) {
        *last = '\0';
        if (!file_exists(parent) && !file_make_folder(parent, 0700, err)) {
            return false;
        }
    }
    return file_make_folder(folder, 0700, err);
}

sign_key *worker_home_ensure_key(const char *folder, error *err) {
    char path[HOME_PATH_SIZE];
    if (!path_in(folder, "worker.key", path, err) || !make_folder(folder, err)) {
        return NULL;
    }
    if (file_exists(path)) {
        return sign_key_load(path, err);
    }
    sign_key *key = sign_key_generate(err);
    if (key != NULL && !sign_key_save(key, path, err)) {
        sign_key_free(key);
        key = NULL;
    }
    return key;
}

bool worker_home_save(const char *folder, const worker_enrolment *enrolment, error *err) {
    char ca_path[HOME_PATH_SIZE];
    char pool_path[HOME_PATH_SIZE];
    buffer text = buffer_make(POOL_FILE_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_object_begin(&w);
    json_add_text(&w, "address", slice_of_text(enrolment->address));
    json_add_text(&w, "pool_id", enrolment->pool_id_hex);
    json_add_text(&w, "worker_id", enrolment->worker_id_hex);
    json_add_text(&w, "class", enrolment->class_name);
    json_write_object_end(&w);
    buffer_append_byte(&text, '\n');
    bool saved = (!buffer_failed(&text) || error_memory(err)) && path_in(folder, "ca.pem", ca_path, err) &&
                 path_in(folder, "pool.json", pool_path, err) &&
                 file_write_atomic(ca_path, enrolment->ca_pem, 0644, err) &&
                 file_write_atomic(pool_path, buffer_slice(&text), 0644, err);
    buffer_free(&text);
    return saved;
}

static bool read_pool(slice json, worker_home *home, error *err) {
    slice address;
    slice host;
    slice pool_id;
    slice worker_id;
    slice class_name;
    json_value *root = json_parse(json, (json_limits){.size = POOL_FILE_LIMIT, .depth = 2}, err);
    bool read = root != NULL && json_get_text(root, "address", &address, err) &&
                json_get_text(root, "pool_id", &pool_id, err) &&
                json_get_text(root, "worker_id", &worker_id, err) &&
                json_get_text_or(root, "class", SLICE_LITERAL("cpu"), &class_name, err);
    if (read &&
        (!proto_class_parse(class_name, &home->class) || !auth_address_split(address, &host, &home->port) ||
         host.length > AUTH_ADDRESS_MAX || !hex_decode(pool_id, home->pool_id, sizeof home->pool_id) ||
         !hex_decode(worker_id, home->worker_id, sizeof home->worker_id))) {
        read = error_set(err, ERROR_CORRUPT, "pool.json is damaged; join again with a new token");
    }
    if (read) {
        memcpy(home->host, host.data, host.length);
        hex_encode(slice_of(home->worker_id, sizeof home->worker_id), home->worker_id_hex);
    }
    json_free(root);
    return read;
}

static bool load_files(const char *folder, worker_home *home, buffer *json, error *err) {
    char path[HOME_PATH_SIZE];
    uint8_t own_id[RECEIPT_WORKER_SIZE];
    if (!path_in(folder, "pool.json", path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return error_set(
            err, ERROR_NOT_FOUND,
            "this machine isn't enrolled (%s): get a token from the admin, then: cellule worker join TOKEN",
            folder);
    }
    if (!file_read_all(path, json, err) || !read_pool(buffer_slice(json), home, err) ||
        !path_in(folder, "ca.pem", path, err) || !file_read_all(path, &home->ca_pem, err) ||
        !path_in(folder, "worker.key", path, err)) {
        return false;
    }
    home->key = sign_key_load(path, err);
    if (home->key == NULL || !receipt_worker_id(sign_key_public(home->key), own_id, err)) {
        return false;
    }
    return memcmp(own_id, home->worker_id, sizeof own_id) == 0 ||
           error_set(err, ERROR_CORRUPT,
                     "worker.key isn't the key that was enrolled; join again with a new token");
}

bool worker_home_load(const char *folder, worker_home *home, error *err) {
    buffer json = buffer_make(POOL_FILE_LIMIT);
    *home = (worker_home){.ca_pem = buffer_make(HOME_CA_LIMIT)};
    bool loaded = load_files(folder, home, &json, err);
    buffer_free(&json);
    if (!loaded) {
        worker_home_free(home);
    }
    return loaded;
}

bool worker_home_checkpoint_path(const char *folder, const worker_home *home, bool forked,
                                 char path[HOME_PATH_SIZE], error *err) {
    char hex[HASH_HEX_SIZE];
    char name[HASH_HEX_SIZE + 32];
    hex_encode(slice_of(home->pool_id, sizeof home->pool_id), hex);
    snprintf(name, sizeof name, "audit-%s.%s", hex, forked ? "forked" : "checkpoint");
    return path_in(folder, name, path, err);
}

void worker_home_free(worker_home *home) {
    sign_key_free(home->key);
    home->key = NULL;
    buffer_free(&home->ca_pem);
}
