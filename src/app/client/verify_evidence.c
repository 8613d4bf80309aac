#include "codec/json_writer.h"
#include "crypto/start.h"
#include "ledger/evidence.h"
#include "options/options.h"
#include "verify.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

enum { RESULT_LIMIT = 16384, TIME_SIZE = 32, WORKER_HEX_SIZE = 2 * RECEIPT_WORKER_SIZE + 1 };

static const char program[] = "cellule verify evidence";

static const char more[] = "Exit 0: it holds; 1: it doesn't, and says why; 2: it can't be checked here, or "
                           "is no whole evidence. That the workers in it are "
                           "different machines and\npeople is the pool's word; all else is checked.";

static bool read_evidence(const char *path, const char *pool_id_hex, const char *keys_path, evidence *e,
                          outcome *result, error *err) {
    uint8_t pool_id[HASH_SIZE];
    succession keys;
    buffer json = buffer_make(EVIDENCE_JSON_LIMIT);
    *result = OUTCOME_UNCHECKED;
    if (!verify_start(pool_id_hex, pool_id, err)) {
        return false;
    }
    bool good =
        verify_read(path, "cellule.evidence", &json, err) && verify_read_keys(keys_path, pool_id, &keys, err);
    if (good) {
        good = evidence_read_json(buffer_slice(&json), e, err) &&
               evidence_verify(e, pool_id, keys_path == NULL ? NULL : &keys, err);
        *result = good ? OUTCOME_GOOD : outcome_of(err);
        if (!good) {
            verify_ask_for_keys(err);
            error_context(err, "%s", path);
        }
    }
    buffer_free(&json);
    return good;
}

static void format_time(uint64_t unix_ms, char text[TIME_SIZE]) {
    struct tm parts;
    time_t seconds = (time_t)(unix_ms / 1000);
    if (gmtime_r(&seconds, &parts) == NULL ||
        strftime(text, TIME_SIZE, "%Y-%m-%d %H:%M:%S UTC", &parts) == 0) {
        snprintf(text, TIME_SIZE, "%" PRIu64 " ms", unix_ms);
    }
}

static void name_worker(const evidence *e, size_t statement, char text[WORKER_HEX_SIZE]) {
    hex_encode(slice_of(evidence_worker(e, statement), RECEIPT_WORKER_SIZE), text);
}

static void print_finding(const evidence *e, const finding *f) {
    unsigned claimed = f->claimed_tokens;
    unsigned place = (unsigned)f->agreed + 1;
    bool same = memcmp(f->commitment, e->receipt.fields.commitment, HASH_SIZE) == 0;
    if (f->agreed == f->claimed_tokens && f->prompt_tokens != e->receipt.fields.prompt_tokens) {
        printf("all %u tokens of the answer are what the model gives, but the prompt has %u and not %u",
               claimed, (unsigned)f->prompt_tokens, (unsigned)e->receipt.fields.prompt_tokens);
    } else if (f->agreed == f->claimed_tokens && f->complete) {
        printf("all %u tokens of the answer are what the model gives%s", claimed,
               same ? "" : ", but computed otherwise than by its worker");
    } else if (f->agreed == f->claimed_tokens) {
        printf("all %u tokens of the answer are what the model gives, but it doesn't end there", claimed);
    } else if (f->has_expected) {
        printf("at token %u of %u the model gives the token with id %u, the answer has another", place,
               claimed, (unsigned)f->expected);
    } else {
        printf("the answer should have ended before token %u of %u", place, claimed);
    }
}

static void print_answer(const evidence *e, const signed_receipt *answer) {
    printf("%s %u tokens and %s", answer == &e->receipt ? "answered with" : "answered the same question with",
           (unsigned)answer->fields.completion_tokens,
           answer->fields.finish == RECEIPT_FINISH_STOP ? "ended by itself" : "stopped for their number");
}

/* One statement in plain words. */
static void print_statement(const evidence *e, size_t statement) {
    enum { MARK = 8 };
    char worker[WORKER_HEX_SIZE];
    char mark[2 * MARK + 1] = "";
    const signed_receipt *answer = evidence_answer(e, statement);
    const signed_finding *found = evidence_finding(e, statement);
    name_worker(e, statement, worker);
    printf("  %s: ", worker);
    if (answer != NULL) {
        hex_encode(slice_of(answer->fields.commitment, MARK), mark);
        print_answer(e, answer);
    } else if (found != NULL) {
        hex_encode(slice_of(found->fields.commitment, MARK), mark);
        print_finding(e, &found->fields);
    }
    printf(" (computation %s)\n", mark);
}

/* Somebody else wrote it, and this may be a terminal. */
static void print_reason(const char *reason) {
    for (const char *c = reason; *c != '\0'; c++) {
        bool control = (unsigned char)*c < ' ' || *c == 0x7f;
        putchar(control ? '?' : *c);
    }
    putchar('\n');
}

static void print_text(const evidence *e, const evidence_ruling *ruling) {
    char worker[WORKER_HEX_SIZE];
    char job[2 * RECEIPT_JOB_SIZE + 1];
    char model[HASH_HEX_SIZE];
    char when[TIME_SIZE];
    const receipt *fields = &e->receipt.fields;
    hex_encode(slice_of(e->convicted, sizeof e->convicted), worker);
    hex_encode(slice_of(fields->job_id, sizeof fields->job_id), job);
    hex_encode(slice_of(fields->model_digest, sizeof fields->model_digest), model);
    format_time(e->made_ms, when);
    printf("evidence: holds\n  convicted  %s, of a wrong %s\n", worker,
           evidence_finding(e, ruling->convicted) == NULL ? "answer" : "finding about another's answer");
    printf("  answer     job %s\n  model      %s, profile %s\n  made       %s\n", job, model,
           fields->engine_profile, when);
    puts("What the convicted worker signed:");
    print_statement(e, ruling->convicted);
    if (ruling->witness_count == 2) {
        puts("What two others signed, who agree with each other:");
    } else {
        printf("Nobody could settle it; a human of the pool decided:\n  ");
        print_reason(e->reason);
        puts("What another signed that contradicts it:");
    }
    for (size_t i = 0; i < ruling->witness_count; i++) {
        print_statement(e, ruling->witnesses[i]);
    }
    puts("The number of a computation is the same only where all of it was, to the bit.");
}

static void add_hex(json_writer *w, const char *name, const uint8_t *bytes, size_t length) {
    char text[HASH_HEX_SIZE];
    hex_encode(slice_of(bytes, length), text);
    json_add_text(w, name, slice_of_text(text));
}

static void add_statement(json_writer *w, const evidence *e, size_t statement) {
    const signed_receipt *answer = evidence_answer(e, statement);
    const signed_finding *found = evidence_finding(e, statement);
    json_write_object_begin(w);
    add_hex(w, "worker", evidence_worker(e, statement), RECEIPT_WORKER_SIZE);
    if (answer != NULL) {
        json_add_text(w, "kind", SLICE_LITERAL("answer"));
        json_add_u64(w, "tokens", answer->fields.completion_tokens);
        add_hex(w, "commitment", answer->fields.commitment, HASH_SIZE);
    } else if (found != NULL) {
        json_add_text(w, "kind", SLICE_LITERAL("finding"));
        json_add_u64(w, "tokens", found->fields.claimed_tokens);
        json_add_u64(w, "agreed", found->fields.agreed);
        json_add_bool(w, "complete", found->fields.complete);
        if (found->fields.has_expected) {
            json_add_u64(w, "expected", found->fields.expected);
        }
        add_hex(w, "commitment", found->fields.commitment, HASH_SIZE);
    }
    json_write_object_end(w);
}

static void add_ruling(json_writer *w, const evidence *e, const evidence_ruling *ruling) {
    add_hex(w, "convicted", e->convicted, sizeof e->convicted);
    json_add_text(w, "of",
                  evidence_finding(e, ruling->convicted) == NULL ? SLICE_LITERAL("answer")
                                                                 : SLICE_LITERAL("finding"));
    add_hex(w, "job", e->receipt.fields.job_id, RECEIPT_JOB_SIZE);
    add_hex(w, "model_digest", e->receipt.fields.model_digest, HASH_SIZE);
    json_add_text(w, "engine_profile", slice_of_text(e->receipt.fields.engine_profile));
    json_add_u64(w, "made_ms", e->made_ms);
    json_write_key(w, "statement");
    add_statement(w, e, ruling->convicted);
    json_write_key(w, "witnesses");
    json_write_array_begin(w);
    for (size_t i = 0; i < ruling->witness_count; i++) {
        add_statement(w, e, ruling->witnesses[i]);
    }
    json_write_array_end(w);
    if (e->reason[0] != '\0') {
        json_add_text(w, "decided", slice_of_text(e->reason));
    }
}

/* `ruling` NULL: there is none, `err` says why. */
static void print_json(const evidence *e, const evidence_ruling *ruling, outcome result, const error *err) {
    buffer out = buffer_make(RESULT_LIMIT);
    json_writer w = json_writer_make(&out);
    json_write_object_begin(&w);
    json_add_text(&w, "result",
                  result == OUTCOME_GOOD      ? SLICE_LITERAL("holds")
                  : result == OUTCOME_REFUTED ? SLICE_LITERAL("refuted")
                                              : SLICE_LITERAL("unchecked"));
    if (ruling == NULL) {
        json_add_text(&w, "reason", slice_of_text(err->text));
    } else {
        add_ruling(&w, e, ruling);
    }
    json_write_object_end(&w);
    printf("%.*s\n", SLICE_FORMAT(buffer_slice(&out)));
    buffer_free(&out);
}

int verify_evidence_main(int argc, char **argv) {
    const char *pool_id_hex = NULL;
    const char *keys_path = NULL;
    const char *path = NULL;
    bool json = false;
    const option_row rows[] = {
        {"pool-id", OPTION_REQUIRED, &pool_id_hex, "HEX", "the pool that you trust", 0, 0},
        {"keys", OPTION_TEXT, &keys_path, "FILE",
         "all keys that the pool has had, as GET /v1/pool/keys gives them, if it has exchanged its own", 0,
         0},
        {"json", OPTION_FLAG, &json, NULL, "print the result as JSON", 0, 0},
    };
    const option_table table = {
        .usage = "cellule verify evidence --pool-id HEX [options] FILE",
        .summary =
            "Checks offline why a worker was convicted: every signature, and that what it signed "
            "contradicts what two\nothers signed who agree with each other, or what one signed where a "
            "human decided, and says so. - is the standard input.",
        .rows = rows,
        .row_count = sizeof rows / sizeof rows[0],
        .takes_word = true,
        .more = more,
    };
    int status = 0;
    error err = {0};
    evidence e;
    evidence_ruling ruling;
    outcome result = OUTCOME_UNCHECKED;
    if (!options_parse(&table, argc, argv, &path, &status)) {
        return status;
    }
    bool holds =
        read_evidence(path, pool_id_hex, keys_path, &e, &result, &err) && evidence_judge(&e, &ruling, &err);
    if (!holds) {
        error_context(&err, "%s", result == OUTCOME_REFUTED ? "refuted" : "cannot be checked here");
    }
    if (json) {
        print_json(&e, holds ? &ruling : NULL, result, &err);
    } else if (holds) {
        print_text(&e, &ruling);
    } else {
        (void)options_fail(program, &err);
    }
    crypto_stop();
    return (int)result;
}
