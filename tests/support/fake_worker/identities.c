#include "fake.h"

#include "base/memory.h"
#include "codec/json.h"
#include "codec/json_writer.h"
#include "crypto/secret.h"
#include "http/client.h"
#include "os/file.h"
#include "os/random.h"
#include "proto/enrolment.h"

#include <stdio.h>

/* The state folder is a worker's (home.h: the key in it is session 0's); "seeds" beside it has one key seed a
 * line, all sessions'. */
enum {
    FILE_LIMIT = 64 * 1024 * 1024,
    ANSWER_LIMIT = 65536,
    IN_FLIGHT = 32,
    SEED_LINE = 2 * SIGN_SEED_SIZE + 1
};

typedef struct enrolment {
    fake *owner;
    ev_loop *loop;
    http_client *client;
    slice tokens; /* lines not used yet */
    size_t asked;
    size_t done;
    size_t wanted;
    error failure;
} enrolment;

static sign_key *key_of(const fake_identity *who, error *err) {
    return who->key != NULL ? who->key : sign_key_from_seed(who->seed, err);
}

bool fake_sign(const fake_identity *who, slice bytes, uint8_t signature[SIGN_SIGNATURE_SIZE], error *err) {
    sign_key *key = key_of(who, err);
    bool signed_it = key != NULL && sign_bytes(key, bytes, signature, err);
    if (key != who->key) {
        sign_key_free(key);
    }
    return signed_it;
}

/* Fills in what follows from the seed. */
static bool identity_complete(fake_identity *who, bool keep_key, error *err) {
    sign_key *key = sign_key_from_seed(who->seed, err);
    if (key == NULL) {
        return false;
    }
    memcpy(who->public_key, sign_key_public(key), sizeof who->public_key);
    if (keep_key) {
        who->key = key;
    } else {
        sign_key_free(key);
    }
    return receipt_worker_id(who->public_key, who->worker_id, err);
}

static bool next_line(slice *rest, slice *line) {
    size_t end = slice_find(*rest, '\n');
    *line = slice_trim(slice_part(*rest, 0, end));
    *rest = end == SIZE_MAX ? (slice){0} : slice_after(*rest, end + 1);
    return line->length > 0;
}

static bool build_body(const fake_identity *who, const auth_join_token *token, buffer *body, error *err) {
    proto_enrolment wish = {.name = SLICE_LITERAL("fake"), .class_name = SLICE_LITERAL("cpu")};
    buffer bytes = buffer_make(PROTO_ENROLMENT_MAX);
    memcpy(wish.token_id, token->id, sizeof wish.token_id);
    memcpy(wish.token_secret, token->secret, sizeof wish.token_secret);
    memcpy(wish.public_key, who->public_key, sizeof wish.public_key);
    proto_enrolment_bytes(&wish, &bytes);
    bool built = !buffer_failed(&bytes) && fake_sign(who, buffer_slice(&bytes), wish.signature, err) &&
                 proto_enrolment_encode(&wish, body, err);
    buffer_wipe(&bytes);
    return built;
}

static void answered(void *context, const http_client_answer *answer);

static bool ask(enrolment *e, error *err) {
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char url[512];
    slice line;
    auth_join_token token;
    fake_identity *who = &e->owner->identities[e->asked];
    buffer body = buffer_make(PROTO_ENROLMENT_MAX);
    if (!next_line(&e->tokens, &line) || !auth_join_token_parse(line, &token, err)) {
        return error_set(err, ERROR_INVALID, "the file needs %zu join tokens, one a line", e->wanted);
    }
    http_client_options options = {.pin = token.pin, .timeout_ms = 60000, .max_bytes = ANSWER_LIMIT};
    snprintf(url, sizeof url, "https://%s%s", token.address, PROTO_ENROLMENT_PATH);
    e->asked++;
    bool sent = random_bytes(who->seed, sizeof who->seed, err) &&
                identity_complete(who, e->asked <= FAKE_KEYS_KEPT, err) &&
                build_body(who, &token, &body, err) &&
                http_client_request(e->client, "POST", url, headers, buffer_slice(&body), &options, answered,
                                    e, err) != NULL;
    buffer_wipe(&body);
    return sent;
}

/* What the first enrolment tells about the pool is kept as `worker join` keeps it. */
static bool keep_home(enrolment *e, slice body, error *err) {
    const char *state = e->owner->options.state;
    char path[HOME_PATH_SIZE];
    char worker_id[2 * PROTO_ID_SIZE + 1];
    slice pool_id;
    slice ca;
    slice line;
    auth_join_token token;
    buffer tokens = buffer_make(FILE_LIMIT);
    json_value *root = json_parse(body, (json_limits){.size = ANSWER_LIMIT, .depth = 3}, err);
    snprintf(path, sizeof path, "%s/worker.key", state);
    hex_encode(slice_of(e->owner->identities[0].worker_id, PROTO_ID_SIZE), worker_id);
    bool kept = root != NULL && file_make_folder(state, 0700, err) &&
                file_read_all(e->owner->options.join, &tokens, err);
    slice rest = buffer_slice(&tokens);
    kept = kept && next_line(&rest, &line) && auth_join_token_parse(line, &token, err) &&
           json_get_text(root, "pool_id", &pool_id, err) && json_get_text(root, "ca", &ca, err) &&
           sign_key_save(e->owner->identities[0].key, path, err) &&
           worker_home_save(state,
                            &(worker_enrolment){.address = token.address,
                                                .pool_id_hex = pool_id,
                                                .worker_id_hex = slice_of_text(worker_id),
                                                .class_name = SLICE_LITERAL("cpu"),
                                                .ca_pem = ca},
                            err);
    buffer_wipe(&tokens);
    json_free(root);
    return kept;
}

static void answered(void *context, const http_client_answer *answer) {
    enrolment *e = context;
    error *err = &e->failure;
    bool good = answer->cause == NULL && answer->status == 201;
    if (!good) {
        error_set(err, ERROR_DENIED, "enrolment: status %u: %.*s %s", answer->status,
                  SLICE_FORMAT(answer->body), answer->cause == NULL ? "" : answer->cause->text);
    }
    good = good && (e->done > 0 || keep_home(e, answer->body, err));
    e->done++;
    good = good && (e->asked == e->wanted || ask(e, err));
    if (!good || e->done == e->wanted) {
        ev_loop_stop(e->loop);
    }
}

static bool save_seeds(const fake *f, error *err) {
    char path[HOME_PATH_SIZE];
    char line[SEED_LINE];
    buffer text = buffer_make(FILE_LIMIT);
    for (size_t i = 0; i < f->options.count; i++) {
        hex_encode(slice_of(f->identities[i].seed, SIGN_SEED_SIZE), line);
        buffer_append_format(&text, "%s\n", line);
    }
    snprintf(path, sizeof path, "%s/seeds", f->options.state);
    bool saved = (!buffer_failed(&text) || error_memory(err)) &&
                 file_write_atomic(path, buffer_slice(&text), 0600, err);
    buffer_wipe(&text);
    return saved;
}

static bool enrol(fake *f, error *err) {
    buffer tokens = buffer_make(FILE_LIMIT);
    enrolment e = {.owner = f, .wanted = (size_t)f->options.count};
    bool asked = file_read_all(f->options.join, &tokens, err);
    e.tokens = buffer_slice(&tokens);
    e.loop = asked ? ev_loop_new(err) : NULL;
    e.client = e.loop == NULL ? NULL : http_client_new(e.loop, err);
    asked = e.client != NULL;
    for (size_t i = 0; asked && i < e.wanted && i < IN_FLIGHT; i++) {
        asked = ask(&e, err);
    }
    if (asked) {
        ev_loop_run(e.loop);
        *err = e.failure;
        asked = e.failure.code == ERROR_NONE;
    }
    http_client_free(e.client);
    ev_loop_free(e.loop);
    buffer_wipe(&tokens);
    return asked && save_seeds(f, err);
}

static bool read_seeds(fake *f, const char *path, error *err) {
    buffer text = buffer_make(FILE_LIMIT);
    slice line;
    bool read = file_read_private(path, &text, err);
    slice rest = buffer_slice(&text);
    for (size_t i = 0; read && i < f->options.count; i++) {
        read = (next_line(&rest, &line) && hex_decode(line, f->identities[i].seed, SIGN_SEED_SIZE)) ||
               error_set(err, ERROR_NOT_FOUND, "%s has only %zu seeds", path, i);
        read = read && identity_complete(&f->identities[i], i < FAKE_KEYS_KEPT, err);
    }
    buffer_wipe(&text);
    return read;
}

/* A folder that `cellule worker join` made has one key and no seeds. */
static bool read_joined(fake *f, error *err) {
    fake_identity *who = &f->identities[0];
    char path[HOME_PATH_SIZE];
    snprintf(path, sizeof path, "%s/worker.key", f->options.state);
    who->key = f->options.count == 1 ? sign_key_load(path, err) : NULL;
    if (who->key == NULL) {
        return error_context(err, "--count 1 is all that this folder has keys for");
    }
    memcpy(who->public_key, sign_key_public(who->key), sizeof who->public_key);
    memcpy(who->worker_id, f->home.worker_id, sizeof who->worker_id);
    return true;
}

bool fake_identities_load(fake *f, error *err) {
    char path[HOME_PATH_SIZE];
    f->identities = memory_allocate_zeroed((size_t)f->options.count, sizeof *f->identities);
    if (f->identities == NULL) {
        return error_memory(err);
    }
    snprintf(path, sizeof path, "%s/seeds", f->options.state);
    if (f->options.join != NULL) {
        return enrol(f, err) && worker_home_load(f->options.state, &f->home, err);
    }
    return worker_home_load(f->options.state, &f->home, err) &&
           (file_exists(path) ? read_seeds(f, path, err) : read_joined(f, err));
}

void fake_identities_free(fake *f) {
    for (size_t i = 0; f->identities != NULL && i < f->options.count; i++) {
        sign_key_free(f->identities[i].key);
        secret_wipe(&f->identities[i], sizeof f->identities[i]);
    }
    memory_free(f->identities);
    worker_home_free(&f->home);
}
