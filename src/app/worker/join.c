#include "commands.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "crypto/key_file.h"
#include "crypto/secret.h"
#include "crypto/start.h"
#include "home.h"
#include "http/client.h"
#include "net/egress.h"
#include "options/options.h"
#include "os/host.h"
#include "os/random.h"
#include "proto/enrolment.h"

#include <stdio.h>
#include <unistd.h>

enum { JOIN_TIMEOUT_MS = 20000, URL_SIZE = 512, ANSWER_LIMIT = 65536 };

typedef struct join {
    const char *state;
    const char *name;
    const char *class_name;
    const char *passphrase_file;
    bool json;
    bool is_public;
    auth_join_token token;
    sign_key *key;
    ev_loop *loop;
    error failure;
    bool done;
} join;

static void keep_answer(join *j, slice body) {
    slice worker_id;
    slice pool_id;
    slice ca;
    error *err = &j->failure;
    json_value *root = json_parse(body, (json_limits){.size = ANSWER_LIMIT, .depth = 3}, err);
    j->done = root != NULL && json_get_text(root, "worker_id", &worker_id, err) &&
              json_get_text(root, "pool_id", &pool_id, err) && json_get_text(root, "ca", &ca, err) &&
              worker_home_save(j->state,
                               &(worker_enrolment){.address = j->token.address,
                                                   .pool_id_hex = pool_id,
                                                   .worker_id_hex = worker_id,
                                                   .class_name = slice_of_text(j->class_name),
                                                   .ca_pem = ca},
                               err);
    if (j->done && j->json) {
        printf("{\"worker_id\":\"%.*s\",\"pool\":\"%s\"}\n", SLICE_FORMAT(worker_id), j->token.address);
    } else if (j->done) {
        bool usual = strcmp(j->state, worker_home_default()) == 0;
        printf("this machine is enrolled at %s as worker %.*s\n"
               "Next: cellule worker run %s%s%s--model FILE.gguf\n",
               j->token.address, SLICE_FORMAT(worker_id), usual ? "" : "--state ", usual ? "" : j->state,
               usual ? "" : " ");
    }
    json_free(root);
}

/* The pool says why in {"error":{"message":…}}. */
static void keep_refusal(join *j, unsigned status, slice body) {
    error ignored = {0};
    const json_value *details = NULL;
    slice message = SLICE_LITERAL("no reason given");
    json_value *root = json_parse(body, (json_limits){.size = ANSWER_LIMIT, .depth = 4}, &ignored);
    if (root != NULL && json_get_object(root, "error", &details, &ignored)) {
        (void)!json_get_text(details, "message", &message, &ignored);
    }
    error_set(&j->failure, ERROR_DENIED, "the pool refused (%u): %.*s", status, SLICE_FORMAT(message));
    json_free(root);
}

static void answered(void *context, const http_client_answer *answer) {
    join *j = context;
    if (answer->cause != NULL) {
        j->failure = *answer->cause;
        error_context(&j->failure, "asking the pool at %s", j->token.address);
    } else if (answer->status == 201) {
        keep_answer(j, answer->body);
    } else {
        keep_refusal(j, answer->status, answer->body);
    }
    ev_loop_stop(j->loop);
}

static bool build_body(join *j, buffer *body, error *err) {
    proto_enrolment wish = {.name = slice_of_text(j->name), .class_name = slice_of_text(j->class_name)};
    buffer bytes = buffer_make(PROTO_ENROLMENT_MAX);
    memcpy(wish.token_id, j->token.id, sizeof wish.token_id);
    memcpy(wish.token_secret, j->token.secret, sizeof wish.token_secret);
    memcpy(wish.public_key, sign_key_public(j->key), sizeof wish.public_key);
    proto_enrolment_bytes(&wish, &bytes);
    bool built = (!buffer_failed(&bytes) || error_memory(err)) &&
                 sign_bytes(j->key, buffer_slice(&bytes), wish.signature, err) &&
                 proto_enrolment_encode(&wish, body, err);
    buffer_wipe(&bytes);
    secret_wipe(&wish, sizeof wish);
    return built;
}

static bool ask_pool(join *j, error *err) {
    static const char *const headers[] = {"Content-Type: application/json", NULL};
    char url[URL_SIZE];
    http_client_options options = {
        .pin = j->token.pin, .timeout_ms = JOIN_TIMEOUT_MS, .max_bytes = ANSWER_LIMIT};
    buffer body = buffer_make(PROTO_ENROLMENT_MAX);
    snprintf(url, sizeof url, "https://%s%s", j->token.address, PROTO_ENROLMENT_PATH);
    j->loop = ev_loop_new(err);
    http_client *client = j->loop == NULL ? NULL : http_client_new(j->loop, err);
    bool asked = client != NULL && build_body(j, &body, err) &&
                 http_client_request(client, "POST", url, headers, buffer_slice(&body), &options, answered, j,
                                     err) != NULL;
    if (asked) {
        ev_loop_run(j->loop);
        *err = j->failure;
    }
    http_client_free(client);
    ev_loop_free(j->loop);
    buffer_wipe(&body);
    return asked && j->done;
}

static bool name_egress(const join *j, error *err) {
    slice host;
    uint16_t port = 0;
    net_egress_begin("give --public if that is meant");
    return (auth_address_split(slice_of_text(j->token.address), &host, &port) ||
            error_set(err, ERROR_INVALID, "the token's address is wrong: ask for a new one")) &&
           net_egress_allow_host(host, port, j->is_public, err);
}

static bool run_join(join *j, const char *token, error *err) {
    uint64_t seed = 0;
    if (!random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    if (!auth_join_token_parse(slice_of_text(token), &j->token, err) || !name_egress(j, err)) {
        return false;
    }
    j->key = worker_home_ensure_key(j->state, err);
    return j->key != NULL && ask_pool(j, err);
}

int worker_join_main(int argc, char **argv) {
    char machine[65] = "worker";
    (void)gethostname(machine, sizeof machine - 1);
    join j = {.state = worker_home_default(), .name = machine, .class_name = "cpu"};
    const option_row rows[] = {
        {"state", OPTION_TEXT, &j.state, "DIR", "folder for this worker's key and enrolment", 0, 0},
        {"name", OPTION_TEXT, &j.name, "NAME", "how the admin will see this machine", 0, 0},
        {"class", OPTION_TEXT, &j.class_name, "CLASS", "cpu, gpu or npu", 0, 0},
        OPTION_PASSPHRASE_ROW(&j.passphrase_file),
        {"public", OPTION_FLAG, &j.is_public, NULL, "the pool may be at a public address", 0, 0},
        {"json", OPTION_FLAG, &j.json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule worker join [options] TOKEN",
        .summary =
            "Enrols this machine: makes its key, shows the token to the pool that the token names (whose\n"
            "authority the token pins), and keeps the answer. The token works once, and not for long.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    const char *word = NULL;
    int status = 0;
    error err = {0};
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    bool done = crypto_start(&err) && key_file_use_from(j.passphrase_file, &err) && run_join(&j, word, &err);
    sign_key_free(j.key);
    secret_wipe(&j.token, sizeof j.token);
    key_file_forget();
    crypto_stop();
    return done ? 0 : options_fail("cellule worker join", &err);
}
