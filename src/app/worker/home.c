#include "home.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "ledger/receipt.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { POOL_FILE_LIMIT = 4096 };

#define NEXT_KEY "worker.key.next"

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

bool worker_home_replace_ca(const char *folder, worker_home *home, slice ca_pem, error *err) {
    char path[HOME_PATH_SIZE];
    uint8_t pin[CERTIFICATE_PIN_SIZE];
    buffer kept = buffer_make(HOME_CA_LIMIT);
    bool replaced = certificate_pin(ca_pem, pin, err) &&
                    (buffer_append(&kept, ca_pem) || error_memory(err)) &&
                    path_in(folder, "ca.pem", path, err) && file_write_atomic(path, ca_pem, 0644, err);
    if (!replaced) {
        buffer_free(&kept);
        return false;
    }
    buffer_free(&home->ca_pem);
    home->ca_pem = kept;
    memcpy(home->ca_pin, pin, sizeof home->ca_pin);
    return true;
}

static bool put_next_key(const char *folder, error *err) {
    char next[HOME_PATH_SIZE];
    char path[HOME_PATH_SIZE];
    return path_in(folder, NEXT_KEY, next, err) && path_in(folder, "worker.key", path, err) &&
           file_replace(next, path, err);
}

bool worker_home_stage_key(const char *folder, worker_home *home, error *err) {
    char path[HOME_PATH_SIZE];
    uint8_t id[PROTO_ID_SIZE];
    sign_key *key = sign_key_generate(err);
    bool staged = key != NULL && receipt_worker_id(sign_key_public(key), id, err) &&
                  path_in(folder, NEXT_KEY, path, err) && sign_key_save(key, path, err);
    if (!staged) {
        sign_key_free(key);
        return false;
    }
    sign_key_free(home->next_key);
    home->next_key = key;
    memcpy(home->next_worker_id, id, sizeof id);
    return true;
}

bool worker_home_commit_key(const char *folder, const worker_home *home, error *err) {
    char address[AUTH_ADDRESS_MAX + 16];
    char pool_id[2 * HASH_SIZE + 1];
    char worker_id[2 * PROTO_ID_SIZE + 1];
    bool is_ipv6 = strchr(home->host, ':') != NULL;
    snprintf(address, sizeof address, "%s%s%s:%u", is_ipv6 ? "[" : "", home->host, is_ipv6 ? "]" : "",
             home->port);
    hex_encode(slice_of(home->pool_id, sizeof home->pool_id), pool_id);
    hex_encode(slice_of(home->next_worker_id, sizeof home->next_worker_id), worker_id);
    const worker_enrolment enrolment = {.address = address,
                                        .pool_id_hex = slice_of_text(pool_id),
                                        .worker_id_hex = slice_of_text(worker_id),
                                        .class_name = slice_of_text(proto_class_name(home->class)),
                                        .ca_pem = buffer_slice(&home->ca_pem)};
    return worker_home_save(folder, &enrolment, err) && put_next_key(folder, err);
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
    bool good = read && proto_class_parse(class_name, &home->class) &&
                auth_address_split(address, &host, &home->port) && host.length <= AUTH_ADDRESS_MAX &&
                hex_decode(pool_id, home->pool_id, sizeof home->pool_id) &&
                hex_decode(worker_id, home->worker_id, sizeof home->worker_id);
    if (good) {
        memcpy(home->host, host.data, host.length);
        hex_encode(slice_of(home->worker_id, sizeof home->worker_id), home->worker_id_hex);
    } else if (read) {
        error_set(err, ERROR_CORRUPT, "pool.json is damaged; join again with a new token");
    }
    json_free(root);
    return good;
}

/* pool.json is written before the key takes its place: if it names the next key, that is the key. */
static bool load_next_key(const char *folder, worker_home *home, error *err) {
    char path[HOME_PATH_SIZE];
    if (!path_in(folder, NEXT_KEY, path, err)) {
        return false;
    }
    if (!file_exists(path)) {
        return true;
    }
    home->next_key = sign_key_load(path, err);
    if (home->next_key == NULL ||
        !receipt_worker_id(sign_key_public(home->next_key), home->next_worker_id, err)) {
        return false;
    }
    if (memcmp(home->next_worker_id, home->worker_id, sizeof home->worker_id) != 0) {
        return true;
    }
    sign_key_free(home->key);
    home->key = home->next_key;
    home->next_key = NULL;
    return put_next_key(folder, err);
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
        !certificate_pin(buffer_slice(&home->ca_pem), home->ca_pin, err) ||
        !path_in(folder, "worker.key", path, err)) {
        return false;
    }
    home->key = sign_key_load(path, err);
    if (home->key == NULL || !load_next_key(folder, home, err) ||
        !receipt_worker_id(sign_key_public(home->key), own_id, err)) {
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

static bool path_of_pool(const char *folder, const worker_home *home, const char *what, const char *ending,
                         char path[HOME_PATH_SIZE], error *err) {
    char hex[HASH_HEX_SIZE];
    char name[HASH_HEX_SIZE + 32];
    hex_encode(slice_of(home->pool_id, sizeof home->pool_id), hex);
    snprintf(name, sizeof name, "%s-%s.%s", what, hex, ending);
    return path_in(folder, name, path, err);
}

bool worker_home_checkpoint_path(const char *folder, const worker_home *home, bool forked,
                                 char path[HOME_PATH_SIZE], error *err) {
    return path_of_pool(folder, home, "audit", forked ? "forked" : "checkpoint", path, err);
}

bool worker_home_keys_path(const char *folder, const worker_home *home, bool forked,
                           char path[HOME_PATH_SIZE], error *err) {
    return path_of_pool(folder, home, "keys", forked ? "forked" : "json", path, err);
}

void worker_home_free(worker_home *home) {
    sign_key_free(home->key);
    sign_key_free(home->next_key);
    home->key = NULL;
    home->next_key = NULL;
    buffer_free(&home->ca_pem);
}
