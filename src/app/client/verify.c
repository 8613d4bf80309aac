#include "client/client.h"

#include "codec/json.h"
#include "codec/json_writer.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/file.h"
#include "os/random.h"
#include "receipt_check.h"

#include <stdio.h>

enum { ANSWER_LIMIT = 16 * 1024 * 1024 };

typedef struct verify_options {
    const char *pool_id;
    const char *question;
    const char *answer; /* path */
    bool json;
} verify_options;

static bool check_file(const verify_options *options, const char *path, signed_receipt *entry, error *err) {
    uint8_t pool_id[HASH_SIZE];
    uint64_t seed = 0;
    buffer json = buffer_make(RECEIPT_JSON_LIMIT);
    buffer answer = buffer_make(ANSWER_LIMIT);
    if (!hex_decode(slice_of_text(options->pool_id), pool_id, sizeof pool_id)) {
        return error_set(
            err, ERROR_INVALID,
            "say which pool you trust: --pool-id HEX, the 64 digits that `cellule pool init` printed");
    }
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    receipt_message message = {SLICE_LITERAL("user"), slice_of_text(options->question)};
    receipt_claims claims = {.pool_id = pool_id};
    if (options->question != NULL) {
        claims.messages = &message;
        claims.message_count = 1;
    }
    bool valid = file_read_all(path, &json, err) &&
                 (options->answer == NULL || file_read_all(options->answer, &answer, err));
    slice text = buffer_slice(&answer);
    claims.answer = options->answer == NULL ? NULL : &text;
    valid = valid && receipt_check(buffer_slice(&json), &claims, entry, err);
    buffer_free(&json);
    buffer_free(&answer);
    return valid;
}

static void print_result(const verify_options *options, const signed_receipt *entry) {
    char job[2 * RECEIPT_JOB_SIZE + 1];
    char worker[2 * RECEIPT_WORKER_SIZE + 1];
    char model[HASH_HEX_SIZE];
    hex_encode(slice_of(entry->fields.job_id, RECEIPT_JOB_SIZE), job);
    hex_encode(slice_of(entry->fields.worker_id, RECEIPT_WORKER_SIZE), worker);
    hex_encode(slice_of(entry->fields.model_digest, HASH_SIZE), model);
    if (options->json) {
        printf("{\"receipt\":\"valid\",\"job\":\"%s\",\"worker\":\"%s\",\"model_digest\":\"%s\"}\n", job,
               worker, model);
        return;
    }
    printf("receipt: valid\n  job     %s\n  worker  %s\n  model   %s\n  tokens  %u + %u\n", job, worker,
           model, entry->fields.prompt_tokens, entry->fields.completion_tokens);
    if (options->question == NULL || options->answer == NULL) {
        printf("Signatures only; with --question and --answer it is also held against these.\n");
    }
}

static int verify_receipt_main(int argc, char **argv) {
    verify_options options = {0};
    const option_row rows[] = {
        {"pool-id", OPTION_REQUIRED, &options.pool_id, "HEX", "the pool that you trust", 0, 0},
        {"question", OPTION_TEXT, &options.question, "TEXT", "must be what was asked (one user message)", 0,
         0},
        {"answer", OPTION_TEXT, &options.answer, "FILE", "must be what was answered, byte for byte", 0, 0},
        {"json", OPTION_FLAG, &options.json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule verify receipt --pool-id HEX [options] FILE",
        .summary = "Checks a receipt offline: that the worker signed it, that the pool countersigned it, "
                   "and, where\n"
                   "they are given, that it is about this question and this answer.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
    };
    const char *word = NULL;
    int status = 0;
    error err = {0};
    signed_receipt entry;
    if (!options_parse(&table, argc, argv, &word, &status)) {
        return status;
    }
    bool valid = check_file(&options, word, &entry, &err);
    if (valid) {
        print_result(&options, &entry);
    }
    crypto_stop();
    return valid ? 0 : options_fail("cellule verify receipt", &err);
}

int verify_main(int argc, char **argv) {
    static const verb verbs[] = {{"receipt", verify_receipt_main, "check a receipt"}};
    return options_run_verb("cellule verify", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
