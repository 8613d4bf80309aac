#include "client/client.h"

#include "client/pool_keys.h"
#include "codec/json_writer.h"
#include "options/terminal.h"
#include "os/file.h"
#include "receipt_check.h"

#include <stdio.h>

enum {
    ANSWER_LIMIT = 16 * 1024 * 1024,
    BODY_LIMIT = 1024 * 1024,
    NAME_SIZE = 256,
    HEADER_SIZE = 64,
    RECEIPT_PATH_SIZE = 128
};

typedef struct ask {
    api_options pool;
    const char *model;
    const char *system;
    const char *mode;
    const char *receipt_path;
    const char *request_path;
    const char *keys_path;
    uint64_t max_tokens;
    bool json;

    api *api;
    char model_name[NAME_SIZE];
    receipt_message messages[2];
    size_t message_count;
    uint8_t pool_id[HASH_SIZE];
    succession keys;
    bool needs_keys; /* to verify the receipt: the pool has exchanged its first one */
    buffer answer;
    char finish[16];
    bool complete; /* [DONE] came */
    error failure; /* that the pool told in mid-answer */
    char notice[513];
} ask;

/* A pool of before embeddings says nothing of kinds. */
static bool generates(const json_value *model) {
    const json_value *kinds = json_find(model, "kinds");
    bool found = kinds == NULL;
    for (size_t i = 0; i < json_count(kinds) && !found; i++) {
        found = slice_equal_text(json_text_of(json_at(kinds, i)), "generate");
    }
    return found;
}

/* The first model that answers questions, where the user names none. */
static bool choose_model(ask *a, error *err) {
    api_answer answer;
    if (a->model != NULL) {
        snprintf(a->model_name, sizeof a->model_name, "%s", a->model);
        return true;
    }
    if (!api_call(a->api, "GET", "/v1/models", (slice){0}, &answer, err)) {
        return false;
    }
    const json_value *models = json_find(answer.json, "data");
    size_t first = 0;
    while (first < json_count(models) && !generates(json_at(models, first))) {
        first++;
    }
    slice id = json_text_of(json_find(json_at(models, first), "id"));
    bool found = id.length > 0 && id.length < sizeof a->model_name;
    if (found) {
        memcpy(a->model_name, id.data, id.length);
    }
    json_free(answer.json);
    return found ||
           error_set(err, ERROR_NOT_FOUND, "no worker with a model is connected; try again in a moment");
}

static void build_body(const ask *a, buffer *body) {
    json_writer w = json_writer_make(body);
    json_write_object_begin(&w);
    json_add_text(&w, "model", slice_of_text(a->model_name));
    json_add_bool(&w, "stream", true);
    json_add_double(&w, "temperature", 0);
    if (a->max_tokens > 0) {
        json_add_u64(&w, "max_tokens", a->max_tokens);
    }
    json_write_key(&w, "messages");
    json_write_array_begin(&w);
    for (size_t i = 0; i < a->message_count; i++) {
        json_write_object_begin(&w);
        json_add_text(&w, "role", a->messages[i].role);
        json_add_text(&w, "content", a->messages[i].content);
        json_write_object_end(&w);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
}

static void show(const ask *a, slice text) {
    if (!a->json && text.length > 0) {
        terminal_write(stdout, text);
        fflush(stdout);
    }
}

/* One chunk; false ends the stream: all has come, or it can't go on. */
static bool take_chunk(void *context, slice data) {
    ask *a = context;
    if (slice_equal_text(data, "[DONE]")) {
        a->complete = true;
        return false;
    }
    json_value *root = json_parse(data, (json_limits){.size = ANSWER_LIMIT, .depth = 32}, &a->failure);
    if (root == NULL) {
        return false;
    }
    const json_value *failure = json_find(root, "error");
    const json_value *choice = json_at(json_find(root, "choices"), 0);
    slice text = json_text_of(json_find(json_find(choice, "delta"), "content"));
    slice finish = json_text_of(json_find(choice, "finish_reason"));
    if (failure != NULL) {
        slice message = json_text_of(json_find(failure, "message"));
        error_set(&a->failure, ERROR_IO, "the answer broke off: %.*s", SLICE_FORMAT(message));
    } else if (!buffer_append(&a->answer, text)) {
        error_set(&a->failure, ERROR_LIMIT, "the answer is too long");
    }
    if (finish.length > 0 && finish.length < sizeof a->finish) {
        memcpy(a->finish, finish.data, finish.length);
        a->finish[finish.length] = '\0';
    }
    show(a, text);
    json_free(root);
    return a->failure.code == ERROR_NONE;
}

static bool stream_answer(ask *a, char job[64], error *err) {
    api_answer answer = {0};
    buffer body = buffer_make(BODY_LIMIT);
    char header[HEADER_SIZE];
    build_body(a, &body);
    snprintf(header, sizeof header, "X-Cellule-Verify: %.32s", a->mode == NULL ? "" : a->mode);
    bool done =
        (!buffer_failed(&body) || error_set(err, ERROR_LIMIT, "the question is too long")) &&
        (a->request_path == NULL || file_write_atomic(a->request_path, buffer_slice(&body), 0600, err)) &&
        api_stream(a->api, "/v1/chat/completions", a->mode == NULL ? NULL : header, buffer_slice(&body),
                   take_chunk, a, &answer, err);
    buffer_wipe(&body);
    json_free(answer.json);
    if (done && !a->complete) {
        *err = a->failure;
        done = a->failure.code == ERROR_NONE ? error_set(err, ERROR_IO, "the answer broke off before its end")
                                             : false;
    }
    memcpy(job, answer.job, sizeof answer.job);
    memcpy(a->notice, answer.notice, sizeof a->notice);
    return done;
}

/* The pool's id comes over TLS from the pool itself, so trust in it rests on the site's CA. */
static bool fetch_pool_id(ask *a, error *err) {
    api_answer answer;
    if (!api_call(a->api, "GET", "/v1/pool", (slice){0}, &answer, err)) {
        return false;
    }
    bool read = hex_decode(json_text_of(json_find(answer.json, "pool_id")), a->pool_id, HASH_SIZE) ||
                error_set(err, ERROR_CORRUPT, "the pool doesn't say its id");
    json_free(answer.json);
    return read;
}

static bool fetch_receipt(ask *a, const char *job, buffer *json, error *err) {
    char path[RECEIPT_PATH_SIZE];
    api_answer answer;
    snprintf(path, sizeof path, "/v1/receipts/%s", job);
    if (!api_call(a->api, "GET", path, (slice){0}, &answer, err)) {
        return false;
    }
    json_writer w = json_writer_make(json);
    json_write_value(&w, answer.json);
    json_free(answer.json);
    return (!buffer_failed(json) || error_memory(err)) &&
           (a->receipt_path == NULL || file_write_atomic(a->receipt_path, buffer_slice(json), 0644, err));
}

/* With the pool's first key, else with the one that it names as its own. */
static bool check_signed(ask *a, slice json, receipt_claims *claims, signed_receipt *entry, error *err) {
    bool valid = receipt_check(json, claims, entry, err);
    a->needs_keys = !valid && err->code == ERROR_NOT_FOUND;
    if (!a->needs_keys) {
        return valid;
    }
    claims->keys = &a->keys;
    return pool_keys_get(a->api, a->pool_id, &a->keys, err) && receipt_check(json, claims, entry, err);
}

static bool save_keys(ask *a, error *err) {
    return a->keys_path == NULL ||
           ((a->needs_keys || pool_keys_get(a->api, a->pool_id, &a->keys, err)) &&
            pool_keys_write(&a->keys, a->keys_path, err)) ||
           error_context(err, "receipt: valid, but the keys can't be kept");
}

static bool check_receipt(ask *a, const char *job, signed_receipt *entry, error *err) {
    buffer json = buffer_make(RECEIPT_JSON_LIMIT);
    slice text = buffer_slice(&a->answer);
    receipt_claims claims = {.pool_id = a->pool_id,
                             .job_hex = job,
                             .messages = a->messages,
                             .message_count = a->message_count,
                             .answer = &text};
    bool valid = fetch_pool_id(a, err) && fetch_receipt(a, job, &json, err) &&
                 check_signed(a, buffer_slice(&json), &claims, entry, err);
    buffer_free(&json);
    return valid;
}

static void print_json(const ask *a, const char *job, const signed_receipt *entry) {
    buffer text = buffer_make(2 * ANSWER_LIMIT);
    json_writer w = json_writer_make(&text);
    json_write_object_begin(&w);
    json_add_text(&w, "model", slice_of_text(a->model_name));
    json_add_text(&w, "answer", buffer_slice(&a->answer));
    json_add_text(&w, "finish_reason", slice_of_text(a->finish));
    json_add_u64(&w, "prompt_tokens", entry->fields.prompt_tokens);
    json_add_u64(&w, "completion_tokens", entry->fields.completion_tokens);
    json_add_text(&w, "job", slice_of_text(job));
    json_add_text(&w, "receipt", SLICE_LITERAL("valid"));
    if (a->notice[0] != '\0') {
        json_add_text(&w, "notice", slice_of_text(a->notice));
    }
    json_write_object_end(&w);
    printf("%.*s\n", SLICE_FORMAT(buffer_slice(&text)));
    buffer_wipe(&text);
}

/* How anyone checks the answer without asking the pool. */
static void print_next_step(const ask *a) {
    char pool_id[HASH_HEX_SIZE];
    hex_encode(slice_of(a->pool_id, sizeof a->pool_id), pool_id);
    bool one_message = a->request_path == NULL && a->system == NULL;
    const char *asked = one_message ? "TEXT" : a->request_path != NULL ? a->request_path : "FILE";
    if (a->needs_keys && a->keys_path == NULL) {
        fprintf(stderr, "keep the pool's keys: curl --cacert %s %s/v1/pool/keys > KEYS\n",
                api_ca_path(a->api), api_url(a->api));
    }
    bool names_keys = a->needs_keys || a->keys_path != NULL;
    fprintf(stderr, "compute it again: cellule verify receipt --pool-id %s%s%s %s %s --model M.gguf %s\n",
            pool_id, names_keys ? " --keys " : "",
            !names_keys            ? ""
            : a->keys_path != NULL ? a->keys_path
                                   : "KEYS",
            one_message ? "--question" : "--messages", asked, a->receipt_path);
}

static bool run_ask(ask *a, error *err) {
    char job[64] = "";
    signed_receipt entry;
    a->api = api_open(&a->pool, err);
    if (a->api == NULL || !choose_model(a, err)) {
        return false;
    }
    bool answered = stream_answer(a, job, err);
    if (buffer_length(&a->answer) > 0) {
        show(a, SLICE_LITERAL("\n"));
    }
    if (a->notice[0] != '\0') {
        fputs("notice: ", stderr);
        terminal_write(stderr, slice_of_text(a->notice));
        fputs("\n", stderr);
    }
    if (!answered) {
        return false;
    }
    if (!check_receipt(a, job, &entry, err)) {
        return error_context(err, "receipt: NOT VALID, don't rely on this answer");
    }
    if (!save_keys(a, err)) {
        return false;
    }
    if (a->json) {
        print_json(a, job, &entry);
    } else {
        fprintf(stderr, "receipt: valid (job %s)\n", job);
        if (a->receipt_path != NULL) {
            print_next_step(a);
        }
    }
    return true;
}

int ask_main(int argc, char **argv) {
    ask a = {.answer = buffer_make(ANSWER_LIMIT)};
    const option_row rows[] = {
        API_OPTION_ROWS(&a.pool),
        {"model", OPTION_TEXT, &a.model, "NAME", "the model; else the first there is", 0, 0},
        {"system", OPTION_TEXT, &a.system, "TEXT", "a system message before the question", 0, 0},
        {"max-tokens", OPTION_U64, &a.max_tokens, "N", "length of the answer; 0: as the pool has it", 0,
         1048576},
        {"verify", OPTION_TEXT, &a.mode, "MODE",
         "check the answer at least like this: spot, every, proved or required", 0, 0},
        {"save-receipt", OPTION_TEXT, &a.receipt_path, "FILE", "keep the receipt, for cellule verify", 0, 0},
        {"save-request", OPTION_TEXT, &a.request_path, "FILE",
         "keep what is asked, for cellule verify receipt --messages", 0, 0},
        {"save-keys", OPTION_TEXT, &a.keys_path, "FILE",
         "keep all keys that the pool has had, for cellule verify --keys", 0, 0},
        {"json", OPTION_FLAG, &a.json, NULL, "print one JSON object at the end instead of streaming", 0, 0},
    };
    const option_table table = {
        .usage = "cellule ask [options] QUESTION",
        .summary =
            "Asks the pool, streams the answer to standard output and checks its receipt: both signatures,\n"
            "and that it is about this question and this answer. Exit 0 only if all that holds.",
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
    if (a.system != NULL) {
        a.messages[a.message_count++] = (receipt_message){SLICE_LITERAL("system"), slice_of_text(a.system)};
    }
    a.messages[a.message_count++] = (receipt_message){SLICE_LITERAL("user"), slice_of_text(word)};
    bool done = run_ask(&a, &err);
    api_close(a.api);
    buffer_wipe(&a.answer);
    return done ? 0 : options_fail("cellule ask", &err);
}
