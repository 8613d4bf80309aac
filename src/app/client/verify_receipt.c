#include "app_model/tool.h"
#include "codec/json_writer.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/file.h"
#include "receipt_check.h"
#include "recompute.h"
#include "verify.h"

#include <stdio.h>

enum {
    ANSWER_LIMIT = 16 * 1024 * 1024,
    REQUEST_MEMORY = 64 * 1024 * 1024,
    RESULT_LIMIT = 16384,
    MEMORY_MIB = 1024,
    MEMORY_MIB_MAX = 1 << 20
};

static const char program[] = "cellule verify receipt";

static const char more[] =
    "With --model the answer is computed again: the model file that the receipt names, what was asked, the "
    "receipt's parameters and\nseed give the same tokens on every machine. The result is one of\n"
    "  proved                          exit 0: the model gives this answer, to the bit\n"
    "  refuted, refuted at token 17    exit 1: it doesn't, or the receipt isn't valid or about something "
    "else\n"
    "  cannot be checked here: ...     exit 2: why not; also where FILE is no whole receipt\n"
    "Without --model, 0 says that the receipt is valid and about what is given. A line end behind the answer "
    "in FILE, as `ask` prints\none, doesn't count.";

typedef struct verification {
    const char *path;
    const char *pool_id_hex;
    const char *keys_path;
    const char *question;
    const char *messages_path;
    const char *answer_path;
    option_texts stops;
    load_options load;
    bool json;

    arena *memory;
    buffer file;
    buffer answer_file;
    succession keys;
    signed_receipt entry;
    bool valid; /* the receipt itself */
    request asked;
    slice answer;
    bool answer_is_receipts;
    size_t token;
} verification;

static bool read_asked(verification *v, error *err) {
    buffer json = buffer_make(REQUEST_FILE_LIMIT);
    request *r = &v->asked;
    bool good = v->messages_path == NULL || file_read_all(v->messages_path, &json, err);
    if (good && v->messages_path != NULL) {
        good = request_read(buffer_slice(&json), v->memory, r, err) ||
               error_context(err, "%s", v->messages_path);
    }
    buffer_wipe(&json);
    if (good && v->question != NULL) {
        r->messages = arena_allocate_array(v->memory, 1, sizeof *r->messages);
        if (r->messages == NULL) {
            return error_memory(err);
        }
        r->messages[0] = (receipt_message){SLICE_LITERAL("user"), slice_of_text(v->question)};
        r->message_count = 1;
    }
    if (v->stops.count > 0) {
        r->knows_stops = true;
        r->stop_count = v->stops.count;
        for (size_t i = 0; i < v->stops.count; i++) {
            r->stops[i] = slice_of_text(v->stops.texts[i]);
        }
    }
    return good;
}

static bool read_files(verification *v, error *err) {
    v->memory = arena_new(REQUEST_MEMORY);
    return (v->memory != NULL || error_memory(err)) && read_asked(v, err) &&
           (v->answer_path == NULL || file_read_all(v->answer_path, &v->answer_file, err));
}

static bool is_receipts(const verification *v, slice text, bool *same, error *err) {
    uint8_t digest[HASH_SIZE];
    bool good = receipt_hash_answer(v->entry.salt, text, digest, err);
    *same = good && memcmp(digest, v->entry.fields.answer_hash, sizeof digest) == 0;
    return good;
}

/* As the file has it, else without the line end that was printed behind it. */
static bool find_answer(verification *v, error *err) {
    v->answer = buffer_slice(&v->answer_file);
    if (!is_receipts(v, v->answer, &v->answer_is_receipts, err)) {
        return false;
    }
    size_t length = v->answer.length;
    if (!v->answer_is_receipts && length > 0 && v->answer.data[length - 1] == '\n') {
        v->answer.length--;
        return is_receipts(v, v->answer, &v->answer_is_receipts, err);
    }
    return true;
}

static outcome tell(outcome result, error *err) {
    error_context(err, "%s", result == OUTCOME_REFUTED ? "refuted" : "cannot be checked here");
    return result;
}

/* What a receipt says by itself. */
static outcome check_receipt(verification *v, const uint8_t pool_id[HASH_SIZE], error *err) {
    const receipt_claims claims = {.pool_id = pool_id, .keys = v->keys_path == NULL ? NULL : &v->keys};
    if (!verify_read_keys(v->keys_path, pool_id, &v->keys, err)) {
        return tell(OUTCOME_UNCHECKED, err);
    }
    if (!verify_read(v->path, "cellule.receipt", &v->file, err)) {
        return tell(OUTCOME_UNCHECKED, err);
    }
    if (!receipt_check(buffer_slice(&v->file), &claims, &v->entry, err)) {
        verify_ask_for_keys(err);
        error_context(err, "%s", v->path);
        return tell(outcome_of(err), err);
    }
    v->valid = true;
    if (!request_check(&v->asked, &v->entry, err) || (v->answer_path != NULL && !find_answer(v, err))) {
        return tell(outcome_of(err), err);
    }
    if (v->load.model == NULL && v->answer_path != NULL && !v->answer_is_receipts) {
        error_set(err, ERROR_CORRUPT, "the receipt is about another answer");
        return tell(outcome_of(err), err);
    }
    return OUTCOME_GOOD;
}

static outcome check_answer(verification *v, error *err) {
    v->load.program = program;
    v->load.digest = v->entry.fields.model_digest;
    const recomputation task = {.entry = &v->entry,
                                .asked = &v->asked,
                                .answer = v->answer_path == NULL ? NULL : &v->answer,
                                .answer_is_receipts = v->answer_is_receipts,
                                .load = v->load};
    return recompute(&task, &v->token, err);
}

static outcome verify(verification *v, error *err) {
    uint8_t pool_id[HASH_SIZE];
    if (!verify_start(v->pool_id_hex, pool_id, err)) {
        return OUTCOME_UNCHECKED;
    }
    if (!read_files(v, err)) {
        return tell(OUTCOME_UNCHECKED, err);
    }
    outcome result = check_receipt(v, pool_id, err);
    return result == OUTCOME_GOOD && v->load.model != NULL ? check_answer(v, err) : result;
}

static const char *result_name(const verification *v, outcome result) {
    switch (result) {
    case OUTCOME_GOOD:
        return v->load.model == NULL ? "valid" : "proved";
    case OUTCOME_REFUTED:
        return "refuted";
    case OUTCOME_UNCHECKED:
        break;
    }
    return "unchecked";
}

static void add_hex(json_writer *w, const char *name, const uint8_t *bytes, size_t length) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(bytes, length), text);
    json_add_text(w, name, slice_of_text(text));
}

static void print_json(const verification *v, outcome result, const error *err) {
    const receipt *fields = &v->entry.fields;
    buffer out = buffer_make(RESULT_LIMIT);
    json_writer w = json_writer_make(&out);
    json_write_object_begin(&w);
    json_add_text(&w, "result", slice_of_text(result_name(v, result)));
    if (v->token > 0) {
        json_add_u64(&w, "token", v->token);
    }
    if (result != OUTCOME_GOOD) {
        json_add_text(&w, "reason", slice_of_text(err->text));
    }
    if (v->valid) {
        json_add_text(&w, "receipt", SLICE_LITERAL("valid"));
        add_hex(&w, "job", fields->job_id, sizeof fields->job_id);
        add_hex(&w, "worker", fields->worker_id, sizeof fields->worker_id);
        add_hex(&w, "model_digest", fields->model_digest, sizeof fields->model_digest);
        json_add_text(&w, "engine_profile", slice_of_text(fields->engine_profile));
        json_add_u64(&w, "prompt_tokens", fields->prompt_tokens);
        json_add_u64(&w, "completion_tokens", fields->completion_tokens);
    }
    json_write_object_end(&w);
    printf("%.*s\n", SLICE_FORMAT(buffer_slice(&out)));
    buffer_free(&out);
}

static void print_good(const verification *v) {
    const receipt *fields = &v->entry.fields;
    char job[2 * RECEIPT_JOB_SIZE + 1];
    char worker[2 * RECEIPT_WORKER_SIZE + 1];
    char model[HASH_HEX_SIZE];
    hex_encode(slice_of(fields->job_id, RECEIPT_JOB_SIZE), job);
    hex_encode(slice_of(fields->worker_id, RECEIPT_WORKER_SIZE), worker);
    hex_encode(slice_of(fields->model_digest, HASH_SIZE), model);
    puts(v->load.model == NULL ? "receipt: valid" : "proved: the model gives this answer, to the bit");
    printf("  job     %s\n  worker  %s\n  model   %s\n  tokens  %u + %u\n", job, worker, model,
           (unsigned)fields->prompt_tokens, (unsigned)fields->completion_tokens);
    if (v->load.model == NULL && (v->asked.message_count == 0 || v->answer_path == NULL)) {
        puts("Signatures only; with --question or --messages and --answer it is also held against these.");
    }
    if (v->load.model == NULL) {
        puts("Whether the answer is right isn't told by that: --model M.gguf computes it again.");
    } else if (v->answer_path == NULL) {
        puts("It is the answer that the receipt is about; --answer FILE holds a text against it.");
    }
}

static void print_result(const verification *v, outcome result, const error *err) {
    if (v->json) {
        print_json(v, result, err);
    } else if (result == OUTCOME_GOOD) {
        print_good(v);
    } else {
        (void)options_fail(program, err);
    }
}

static void end(verification *v) {
    buffer_wipe(&v->answer_file);
    buffer_free(&v->file);
    if (v->memory != NULL) {
        arena_wipe(v->memory);
    }
    arena_free(v->memory);
}

static bool parse(int argc, char **argv, verification *v, int *status) {
    const option_row rows[] = {
        {"pool-id", OPTION_REQUIRED, &v->pool_id_hex, "HEX", "the pool that you trust", 0, 0},
        {"keys", OPTION_TEXT, &v->keys_path, "FILE",
         "all keys that the pool has had, as GET /v1/pool/keys gives them, if it has exchanged its own", 0,
         0},
        {"question", OPTION_TEXT, &v->question, "TEXT", "must be what was asked (one user message)", 0, 0},
        {"messages", OPTION_TEXT, &v->messages_path, "FILE",
         "must be what was asked: the messages in JSON, or the whole request", 0, 0},
        {"stop", OPTION_TEXTS, &v->stops, "TEXT", "a stop string of the request, in their order", 0,
         REQUEST_STOPS_MAX},
        {"answer", OPTION_TEXT, &v->answer_path, "FILE", "must be what was answered, byte for byte", 0, 0},
        {"model", OPTION_TEXT, &v->load.model, "FILE",
         "compute the answer again with this model (GGUF; of a split one the first part)", 0, 0},
        {"context", OPTION_U64, &v->load.context, "TOKENS",
         "of the worker, for an answer that ended for want of room; 0: as the model says", 0,
         ENGINE_CONTEXT_MAX},
        {"memory", OPTION_U64, &v->load.memory_mib, "MIB", "to compute with, beside the model", 1,
         MEMORY_MIB_MAX},
        {"threads", OPTION_U64, &v->load.threads, "N", "that compute; 0: one per core, also the most", 0,
         ENGINE_THREADS_MAX},
        {"json", OPTION_FLAG, &v->json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule verify receipt --pool-id HEX [options] FILE",
        .summary = "Checks a receipt offline: that the worker signed it, that the pool countersigned it, "
                   "and, where\n"
                   "they are given, that it is about this question and this answer, and that the model gives "
                   "this answer. - is the standard input.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
        .more = more,
    };
    if (!options_parse(&table, argc, argv, &v->path, status)) {
        return false;
    }
    if (v->question != NULL && v->messages_path != NULL) {
        fprintf(stderr, "%s: --question and --messages both say what was asked: give one\n", program);
        *status = OPTIONS_WRONG_USAGE;
        return false;
    }
    return true;
}

int verify_receipt_main(int argc, char **argv) {
    verification v = {.file = buffer_make(RECEIPT_JSON_LIMIT),
                      .answer_file = buffer_make(ANSWER_LIMIT),
                      .load = {.slots = 1, .memory_mib = MEMORY_MIB}};
    int status = 0;
    error err = {0};
    if (!parse(argc, argv, &v, &status)) {
        return status;
    }
    outcome result = verify(&v, &err);
    print_result(&v, result, &err);
    end(&v);
    if (v.load.model != NULL) {
        tool_exit((int)result); /* the sandbox has been entered */
    }
    crypto_stop();
    return (int)result;
}
