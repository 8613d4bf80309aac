#include "privilege/keeper.h"

#include "codec/envelope.h"
#include "crypto/key_file.h"
#include "os/clock.h"
#include "os/file.h"
#include "os/sandbox.h"
#include "settings.h"
#include "site.h"

#include <stdio.h>

enum { READ_CERTIFICATE, READ_KEY, READ_SETTINGS, WRITE_CHECKPOINT, EXCHANGE, EXCHANGE_KEY };
enum {
    SEALED_SIZE = SIGN_SEED_SIZE + SEAL_OVERHEAD,
    KEY_ANSWER_MAX = 4 + SEALED_SIZE + 4 + SUCCESSION_JSON_LIMIT
};

typedef struct kept_files {
    const char *folder;
    const char *settings_path;
    const uint8_t *transfer;
} kept_files;

static void folder_of(const char *path, char folder[SITE_PATH_SIZE]) {
    const char *slash = strrchr(path, '/');
    int length = slash == NULL ? 1 : slash == path ? 1 : (int)(slash - path);
    snprintf(folder, SITE_PATH_SIZE, "%.*s", length, slash == NULL ? "." : path);
}

static bool prepare(void *context, buffer *first, error *err) {
    const kept_files *k = context;
    char settings_folder[SITE_PATH_SIZE];
    sandbox_walls walls;
    folder_of(k->settings_path, settings_folder); /* an editor puts a new file in place of the old one */
    const sandbox_place places[] = {{k->folder, SANDBOX_READ | SANDBOX_WRITE},
                                    {settings_folder, SANDBOX_READ}};
    const sandbox_profile profile = {
        .rights = SANDBOX_READ | SANDBOX_WRITE, .places = places, .place_count = 2};
    if (!sandbox_confine(&profile, &walls, err)) {
        return false;
    }
    buffer_append_byte(first, walls.calls && walls.files);
    return true;
}

/* The authority's key is read here alone. */
static bool exchange(const kept_files *k, slice question, buffer *content, error *err) {
    secrets_issued issued = secrets_issued_make();
    bool done = (question.length == 1 || error_set(err, ERROR_INTERNAL, "which secret?")) &&
                secrets_make(k->folder, (secrets_act)question.data[0], &issued, err);
    if (done) {
        envelope_add(content, buffer_slice(&issued.server.certificate));
        envelope_add(content, buffer_slice(&issued.server.key));
        envelope_add(content, buffer_slice(&issued.ca_pem));
    }
    secrets_issued_free(&issued);
    return done;
}

/* The pool's key, the one before and the next, is here while it is exchanged. Room for the answer is there
 * before, for nothing may fail once it is done. */
static bool exchange_key(const kept_files *k, slice checkpoint, buffer *content, error *err) {
    pool_key_issued issued = pool_key_issued_make();
    bool done = (buffer_reserve(content, KEY_ANSWER_MAX) != NULL || error_memory(err)) &&
                pool_key_exchange(k->folder, clock_unix_ms(), checkpoint, k->transfer, &issued, err);
    if (done) {
        envelope_add(content, buffer_slice(&issued.sealed));
        envelope_add(content, buffer_slice(&issued.keys));
    }
    pool_key_issued_free(&issued);
    return done;
}

static bool answer(void *context, uint8_t what, slice question, buffer *content, error *err) {
    const kept_files *k = context;
    char path[SITE_PATH_SIZE];
    switch (what) {
    case READ_CERTIFICATE:
        return site_path(k->folder, SITE_SERVER_CERTIFICATE, path, err) && file_read_all(path, content, err);
    case READ_KEY:
        return site_path(k->folder, SITE_SERVER_KEY, path, err) && key_file_read(path, content, err);
    case READ_SETTINGS:
        return file_read_all(k->settings_path, content, err);
    case WRITE_CHECKPOINT:
        return site_path(k->folder, SITE_AUDIT, path, err) && file_write_atomic(path, question, 0600, err);
    case EXCHANGE:
        return exchange(k, question, content, err);
    case EXCHANGE_KEY:
        return exchange_key(k, question, content, err);
    default:
        return error_set(err, ERROR_INVALID, "the pool has no right to this file");
    }
}

helper *keeper_start(const char *site_folder, const char *settings_path,
                     const uint8_t transfer[SEAL_KEY_SIZE], bool *confined, error *err) {
    static const helper_task task = {.name = "cellule-keeper", .prepare = prepare, .answer = answer};
    kept_files k = {.folder = site_folder, .settings_path = settings_path, .transfer = transfer};
    buffer first = buffer_make(1);
    helper *h = helper_start(&task, &k, &first, err);
    *confined = h != NULL && slice_equal(buffer_slice(&first), SLICE_LITERAL("\1"));
    buffer_free(&first);
    return h;
}

static bool read_all(helper *keeper, uint8_t what, buffer *content, error *err) {
    return helper_ask(keeper, what, (slice){NULL, 0}, content, err);
}

bool keeper_read_server(helper *keeper, certificate_pair *server, error *err) {
    *server = certificate_pair_make();
    if (read_all(keeper, READ_CERTIFICATE, &server->certificate, err) &&
        read_all(keeper, READ_KEY, &server->key, err)) {
        return true;
    }
    certificate_pair_free(server);
    return error_context(err, "reading the server certificate");
}

/* The next of the parts that `exchange` wrote. */
static bool take_part(slice *rest, buffer *part, size_t limit) {
    if (rest->length < 4) {
        return false;
    }
    const uint8_t *d = rest->data;
    size_t length = (size_t)d[0] << 24 | (size_t)d[1] << 16 | (size_t)d[2] << 8 | d[3];
    if (length > rest->length - 4) {
        return false;
    }
    buffer_clear(part);
    part->limit = limit;
    bool kept = buffer_append(part, slice_part(*rest, 4, length));
    *rest = slice_after(*rest, 4 + length);
    return kept;
}

bool keeper_exchange(helper *keeper, secrets_act act, secrets_issued *issued, error *err) {
    const uint8_t which = (uint8_t)act;
    buffer parts = buffer_make(HELPER_MESSAGE_MAX);
    bool done = helper_ask(keeper, EXCHANGE, slice_of(&which, 1), &parts, err);
    slice rest = buffer_slice(&parts);
    done = done && ((take_part(&rest, &issued->server.certificate, SITE_PEM_LIMIT) &&
                     take_part(&rest, &issued->server.key, SITE_PEM_LIMIT) &&
                     take_part(&rest, &issued->ca_pem, SITE_PEM_LIMIT) && rest.length == 0) ||
                    error_memory(err));
    buffer_wipe(&parts);
    return done;
}

/* Room for all of it, before anything is done. */
static bool make_room(buffer *parts, pool_key_issued *issued, error *err) {
    return (buffer_reserve(parts, KEY_ANSWER_MAX) != NULL &&
            buffer_reserve(&issued->sealed, SEALED_SIZE) != NULL &&
            buffer_reserve(&issued->keys, SUCCESSION_JSON_LIMIT) != NULL) ||
           error_memory(err);
}

bool keeper_exchange_key(helper *keeper, slice checkpoint, pool_key_issued *issued, bool *unsure,
                         error *err) {
    buffer parts = buffer_make(HELPER_MESSAGE_MAX);
    bool answers = !helper_is_broken(keeper);
    bool done = make_room(&parts, issued, err) && helper_ask(keeper, EXCHANGE_KEY, checkpoint, &parts, err);
    slice rest = buffer_slice(&parts);
    done = done && ((take_part(&rest, &issued->sealed, SEALED_SIZE) &&
                     take_part(&rest, &issued->keys, SUCCESSION_JSON_LIMIT) && rest.length == 0) ||
                    error_set(err, ERROR_INTERNAL, "the keeper's answer is no key"));
    *unsure = answers && !done && helper_is_broken(keeper);
    buffer_wipe(&parts);
    return done;
}

bool keeper_read_settings(helper *keeper, buffer *text, error *err) {
    return read_all(keeper, READ_SETTINGS, text, err);
}

bool keeper_write_checkpoint(helper *keeper, slice signed_note, error *err) {
    buffer nothing = buffer_make(0);
    return helper_ask(keeper, WRITE_CHECKPOINT, signed_note, &nothing, err);
}
