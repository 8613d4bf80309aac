#include "own_key.h"

#include "client/client_file.h"
#include "crypto/secret.h"
#include "os/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* `cellule key rotate`: another key in client.json. Each step leaves a key there that counts:
 *
 *   the old key asks for a new one ──> both are written ──> the new one asks for itself
 *     ──> and has the old one revoked ──> the old one is taken out
 *
 * A rotation that was interrupted leaves both in the file, and is ended by the next one. */

enum { BODY_LIMIT = 2048, PATH_SIZE = 64, LOCK_PATH_SIZE = CLIENT_PATH_SIZE + 8, LABEL_SIZE = 129 };

typedef struct rotation {
    api *pool;
    char path[CLIENT_PATH_SIZE];
    client_keys keys;
    uint64_t old_id;
    uint64_t new_id;
    char label[LABEL_SIZE];
} rotation;

static bool ask_number(api *a, const char *path, const char *name, uint64_t *number, error *err) {
    api_answer answer = {0};
    bool asked = api_call(a, "GET", path, (slice){NULL, 0}, &answer, err);
    *number = asked ? admin_number(answer.json, name) : 0;
    json_free(answer.json);
    return asked;
}

/* What is known of one of the keys; the caller frees `answer->json`. */
static bool find_key(api *a, uint64_t key_id, api_answer *answer, const json_value **key, error *err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "/v1/keys?after=%llu", (unsigned long long)(key_id - 1));
    if (key_id == 0 || !api_call(a, "GET", path, (slice){NULL, 0}, answer, err)) {
        return key_id != 0 || error_set(err, ERROR_CONFLICT, "no key asks here: cellule key add makes one");
    }
    *key = json_at(json_find(answer->json, "keys"), 0);
    return admin_number(*key, "id") == key_id ||
           error_set(err, ERROR_IO, "the pool doesn't list the key that asks");
}

/* Which key it was that made the one that asks. */
static bool find_maker(api *a, uint64_t key_id, uint64_t *maker, error *err) {
    api_answer answer = {0};
    const json_value *key = NULL;
    bool found = find_key(a, key_id, &answer, &key, err);
    *maker = found ? admin_number(key, "made_with") : 0;
    json_free(answer.json);
    if (found && *maker == 0) {
        found = error_set(err, ERROR_CONFLICT,
                          "the key in the file wasn't made with the one before it: take old_key out of the "
                          "file, and look at cellule key list");
    }
    return found;
}

/* It goes on under the same name where no other is wished for. */
static bool keep_label(rotation *r, own_key_wish *wish, error *err) {
    api_answer answer = {0};
    const json_value *key = NULL;
    bool found = find_key(r->pool, r->old_id, &answer, &key, err);
    if (found && wish->label[0] == '\0') {
        snprintf(r->label, sizeof r->label, "%.*s", SLICE_FORMAT(admin_text(key, "label")));
        wish->label = r->label;
    }
    json_free(answer.json);
    return found;
}

static bool make_new(rotation *r, const own_key_wish *wish, error *err) {
    api_answer answer = {0};
    buffer body = buffer_make(BODY_LIMIT);
    own_key_write_wish(&body, wish);
    bool made = (!buffer_failed(&body) || error_memory(err)) &&
                api_call(r->pool, "POST", "/v1/keys", buffer_slice(&body), &answer, err);
    slice key = made ? admin_text(answer.json, "key") : (slice){NULL, 0};
    if (made && (key.length == 0 || key.length >= CLIENT_KEY_SIZE)) {
        made = error_set(err, ERROR_IO, "the pool gave a key that is none");
    }
    if (made) {
        memcpy(r->keys.old_key, r->keys.key, sizeof r->keys.old_key);
        snprintf(r->keys.key, sizeof r->keys.key, "%.*s", SLICE_FORMAT(key));
        r->new_id = admin_number(answer.json, "key_id");
    }
    json_free(answer.json);
    buffer_free(&body);
    return made && client_file_write(r->path, &r->keys, err) && api_use_key(r->pool, r->keys.key, err);
}

static bool end_old(rotation *r, error *err) {
    char path[PATH_SIZE];
    api_answer answer = {0};
    uint64_t asks = 0;
    if (!ask_number(r->pool, "/v1/session", "key_id", &asks, err)) {
        return error_context(err, "with the new key");
    }
    if (asks != r->new_id) {
        return error_set(err, ERROR_CONFLICT, "another key asks than the one that was made");
    }
    snprintf(path, sizeof path, "/v1/keys/%llu/revoke", (unsigned long long)r->old_id);
    bool ended = api_call(r->pool, "POST", path, SLICE_LITERAL("{}"), &answer, err);
    json_free(answer.json);
    secret_wipe(r->keys.old_key, sizeof r->keys.old_key);
    return ended && client_file_write(r->path, &r->keys, err);
}

/* One that was interrupted. True with *goes_on false: the new key doesn't count, and the old one is in its
 * place again. */
static bool resume(rotation *r, bool *goes_on, error *err) {
    *goes_on = true;
    if (ask_number(r->pool, "/v1/session", "key_id", &r->new_id, err)) {
        return find_maker(r->pool, r->new_id, &r->old_id, err);
    }
    if (err->code != ERROR_DENIED) {
        return false;
    }
    *goes_on = false;
    memcpy(r->keys.key, r->keys.old_key, sizeof r->keys.key);
    secret_wipe(r->keys.old_key, sizeof r->keys.old_key);
    return api_use_key(r->pool, r->keys.key, err) &&
           ask_number(r->pool, "/v1/session", "key_id", &r->old_id, err) &&
           client_file_write(r->path, &r->keys, err);
}

static bool rotate(rotation *r, own_key_wish *wish, error *err) {
    bool goes_on = false;
    if (!client_file_read(r->path, &r->keys, err) ||
        (r->keys.old_key[0] != '\0' && !resume(r, &goes_on, err))) {
        return false;
    }
    if (!goes_on && (!ask_number(r->pool, "/v1/session", "key_id", &r->old_id, err) ||
                     !keep_label(r, wish, err) || !make_new(r, wish, err))) {
        return false;
    }
    return end_old(r, err);
}

static bool find_file(const api_options *options, char path[CLIENT_PATH_SIZE], error *err) {
    if (options->site == NULL && getenv("CELLULE_KEY") != NULL) {
        return error_set(
            err, ERROR_CONFLICT,
            "your key comes from CELLULE_KEY, not from a file: make another with cellule key add, "
            "then revoke the old one with it");
    }
    return client_file_path(options->site, path) ||
           error_set(err, ERROR_NOT_FOUND,
                     "there is no client.json with a key: give --site DIR, or make a "
                     "key with cellule key add");
}

static bool run(const api_options *options, own_key_wish *wish, rotation *r, error *err) {
    char lock_path[LOCK_PATH_SIZE];
    if (!find_file(options, r->path, err)) {
        return false;
    }
    snprintf(lock_path, sizeof lock_path, "%s.lock", r->path);
    file_lock *lock = file_lock_take(lock_path, err);
    r->pool = lock == NULL ? NULL : api_open(options, err);
    bool done = r->pool != NULL && rotate(r, wish, err);
    api_close(r->pool);
    file_lock_release(lock);
    return done;
}

int own_key_rotate_main(int argc, char **argv) {
    api_options options = {0};
    own_key_wish wish = {.label = ""};
    const option_row rows[] = {
        API_OPTION_ROWS(&options),
        OWN_KEY_WISH_ROWS(&wish),
    };
    const option_table table = {
        .usage = "cellule key rotate [options]",
        .summary =
            "Makes a new key of your own, puts it into client.json, and has it revoke the old one: what "
            "that\n"
            "is asking ends with an error. Interrupted, it leaves a key there that counts; run it again.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0]};
    int status = 0;
    error err = {0};
    rotation r = {.old_id = 0};
    if (!options_parse(&table, argc, argv, NULL, &status)) {
        return status;
    }
    bool done = run(&options, &wish, &r, &err);
    secret_wipe(&r.keys, sizeof r.keys);
    if (!done) {
        return options_fail("cellule key rotate", &err);
    }
    printf("key %llu is in %s; key %llu was revoked\n", (unsigned long long)r.new_id, r.path,
           (unsigned long long)r.old_id);
    return 0;
}
