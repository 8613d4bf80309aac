#include "recompute.h"

#include "app_model/answer.h"
#include "app_model/tool.h"
#include "base/memory.h"
#include "crypto/start.h"

#include "unit.h"

#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Receipts of a worker that was honest or wasn't, computed again with the demo model. Each time in a process
 * of its own, as it enters the sandbox. Signatures were checked before; none is needed here. */
enum { PATH_SIZE = 4096, ANSWER_TOKENS = 24, TOKENS_MAX = 64 };

static char model_path[PATH_SIZE];
static signed_receipt honest;
static char honest_text[PATH_SIZE];
static size_t text_ends[TOKENS_MAX + 1]; /* where the text stands after so many tokens */
static size_t token_count;
static uint32_t tokens[TOKENS_MAX];
static receipt_message message = {SLICE_LITERAL("user"), SLICE_LITERAL("What is a receipt?")};
static request asked = {.messages = &message, .message_count = 1};

typedef struct result {
    outcome outcome;
    size_t token;
    error err;
} result;

static void keep_token(void *context, uint32_t token, slice text) {
    (void)context;
    tokens[token_count] = token;
    memcpy(honest_text + text_ends[token_count], text.data == NULL ? (const void *)"" : text.data,
           text.length);
    text_ends[token_count + 1] = text_ends[token_count] + text.length;
    token_count++;
}

static void fill_hashes(signed_receipt *s, const uint32_t *ids, size_t count, slice text) {
    error err;
    s->fields.completion_tokens = (uint32_t)count;
    assert_true(receipt_hash_tokens(ids, count, s->fields.token_hash, &err));
    assert_true(receipt_hash_answer(s->salt, text, s->fields.answer_hash, &err));
}

static slice text_of(size_t count) {
    return slice_of(honest_text, text_ends[count]);
}

/* The answer as the engine gives it, and its receipt. */
static bool answer_honestly(engine_model *model, error *err) {
    static const volatile sig_atomic_t never = 0;
    uint32_t *prompt = NULL;
    size_t count = 0;
    answer a = {0};
    engine_parameters parameters = {.top_p = 1, .repetition_penalty = 1, .max_tokens = ANSWER_TOKENS};
    engine_draw draw = {.seed = 7};
    const engine_message said = {.role = message.role, .content = message.content};
    if (!receipt_nonce(honest.salt, draw.nonce, err) ||
        !engine_prompt(model, &said, 1, (slice){NULL, 0}, &prompt, &count, err)) {
        return false;
    }
    const answer_request wanted = {.prompt = prompt,
                                   .prompt_count = count,
                                   .parameters = &parameters,
                                   .draw = &draw,
                                   .cancel = &never,
                                   .take = keep_token};
    bool good = answer_compute(&a, model, &wanted, err);
    receipt *r = &honest.fields;
    *r = (receipt){.version = RECEIPT_VERSION,
                   .engine_profile = ENGINE_PROFILE,
                   .top_p = 1,
                   .max_tokens = ANSWER_TOKENS,
                   .seed = 7,
                   .prompt_tokens = a.usage.prompt_tokens,
                   .finish = a.finish == ENGINE_LENGTH ? RECEIPT_FINISH_LENGTH : RECEIPT_FINISH_STOP};
    memcpy(r->model_digest, engine_describe(model)->digest, sizeof r->model_digest);
    fill_hashes(&honest, tokens, token_count, text_of(token_count));
    uint8_t text_hash[HASH_SIZE];
    good = good && hash_sha256(text_of(token_count), text_hash, err) &&
           receipt_commit(a.commitment, text_hash, r->prompt_tokens, r->finish == RECEIPT_FINISH_STOP,
                          r->commitment, err);
    answer_free(&a);
    memory_free(prompt);
    return good && receipt_hash_stop(NULL, 0, r->stop_hash, err);
}

static int start(void **state) {
    (void)state;
    error err;
    model_files files;
    snprintf(model_path, sizeof model_path, "%s/demo/cellule-demo.gguf", getenv("CELLULE_SOURCE"));
    memset(honest.salt, 0x88, sizeof honest.salt);
    if (!crypto_start(&err) || !model_files_map(model_path, &files, &err)) {
        return -1;
    }
    engine_model *model = engine_open(files.parts, files.count, NULL, &(engine_options){0}, &err);
    model_files_unmap(&files);
    bool good = model != NULL && answer_honestly(model, &err);
    engine_close(model);
    return good && token_count > 8 ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    crypto_stop();
    return 0;
}

static recomputation task_of(const signed_receipt *entry, const slice *given) {
    return (recomputation){.entry = entry,
                           .asked = &asked,
                           .answer = given,
                           .answer_is_receipts = true,
                           .load = {.model = model_path,
                                    .threads = 1,
                                    .slots = 1,
                                    .memory_mib = 64,
                                    .program = "test",
                                    .digest = entry->fields.model_digest}};
}

/* `failing` ≥ 0: that allocation fails. */
static result run(const recomputation *task, int failing) {
    result r = {0};
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (failing >= 0) {
            fault_fail_nth(failing);
        }
        r.outcome = recompute(task, &r.token, &r.err);
        tool_exit(write(ends[1], &r, sizeof r) == (ssize_t)sizeof r ? 0 : 1);
    }
    int status = -1;
    close(ends[1]);
    assert_int_equal(read(ends[0], &r, sizeof r), sizeof r);
    close(ends[0]);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    return r;
}

static void assert_outcome(const signed_receipt *entry, const slice *given, outcome wanted, size_t token,
                           const char *words) {
    const recomputation task = task_of(entry, given);
    result r = run(&task, -1);
    if (r.outcome != wanted || (wanted != OUTCOME_GOOD && strstr(r.err.text, words) == NULL)) {
        fail_msg("%d: %s", (int)r.outcome, r.err.text);
    }
    assert_int_equal(r.token, token);
}

static void test_an_honest_answer_is_proved(void **state) {
    (void)state;
    slice text = text_of(token_count);
    assert_outcome(&honest, NULL, OUTCOME_GOOD, 0, "");
    assert_outcome(&honest, &text, OUTCOME_GOOD, 0, "");
}

/* The worker signed what it gave out, but the model gives something else. */
static void test_a_signed_wrong_answer_is_refuted_at_its_token(void **state) {
    (void)state;
    for (size_t place = 1; place < token_count - 1; place += 5) {
        signed_receipt s = honest;
        uint32_t other[TOKENS_MAX];
        char text[PATH_SIZE];
        if (text_ends[place] == text_ends[place - 1]) {
            continue;
        }
        memcpy(other, tokens, sizeof other);
        memcpy(text, honest_text, sizeof text);
        other[place - 1] ^= 1;
        text[text_ends[place - 1]] ^= 1;
        slice given = slice_of(text, text_ends[token_count]);
        fill_hashes(&s, other, token_count, given);
        assert_outcome(&s, &given, OUTCOME_REFUTED, place, "refuted at token");
        assert_outcome(&s, NULL, OUTCOME_REFUTED, 0, "refuted: ");
    }
}

static void test_the_same_text_from_other_tokens_is_refuted(void **state) {
    (void)state;
    signed_receipt s = honest;
    uint32_t other[TOKENS_MAX];
    slice text = text_of(token_count);
    memcpy(other, tokens, sizeof other);
    other[3] ^= 1;
    fill_hashes(&s, other, token_count, text);
    assert_outcome(&s, &text, OUTCOME_REFUTED, 0, "refuted: ");
}

static void test_an_answer_cut_short_that_claims_to_have_ended_is_refuted(void **state) {
    (void)state;
    signed_receipt s = honest;
    fill_hashes(&s, tokens, 6, text_of(6));
    s.fields.finish = RECEIPT_FINISH_STOP;
    assert_outcome(&s, NULL, OUTCOME_REFUTED, 7, "goes on");
}

static void test_an_answer_that_ended_for_want_of_room_needs_the_context(void **state) {
    (void)state;
    signed_receipt s = honest;
    fill_hashes(&s, tokens, 6, text_of(6));
    s.fields.finish = RECEIPT_FINISH_LENGTH;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "--context");
    recomputation task = task_of(&s, NULL);
    task.load.context = honest.fields.prompt_tokens + 8;
    result r = run(&task, -1);
    assert_int_equal(r.outcome, OUTCOME_REFUTED);
    assert_int_equal(r.token, 7);
    task.load.context = honest.fields.prompt_tokens + 6;
    r = run(&task, -1);
    assert_int_equal(r.outcome, OUTCOME_REFUTED); /* the commitment is still the whole answer's */
    assert_non_null(strstr(r.err.text, "logits"));
}

static void test_tokens_beyond_the_end_are_refuted(void **state) {
    (void)state;
    signed_receipt s = honest;
    uint32_t longer[TOKENS_MAX] = {0};
    memcpy(longer, tokens, token_count * sizeof *tokens);
    fill_hashes(&s, longer, token_count + 1, text_of(token_count));
    assert_outcome(&s, NULL, OUTCOME_REFUTED, 0, "refuted: ");
    fill_hashes(&s, NULL, 0, text_of(0));
    assert_outcome(&s, NULL, OUTCOME_REFUTED, 1, "goes on"); /* every answer has a token */
}

static void test_what_else_the_receipt_claims_is_compared(void **state) {
    (void)state;
    slice text = text_of(token_count);
    signed_receipt s = honest;
    s.fields.commitment[31] ^= 1;
    assert_outcome(&s, &text, OUTCOME_REFUTED, 0, "logits");
    s = honest;
    s.fields.prompt_tokens--;
    assert_outcome(&s, &text, OUTCOME_REFUTED, 0, "the prompt has");
    s = honest;
    s.fields.finish =
        honest.fields.finish == RECEIPT_FINISH_STOP ? RECEIPT_FINISH_LENGTH : RECEIPT_FINISH_STOP;
    assert_outcome(&s, &text, OUTCOME_REFUTED, 0, "why they ended");
    s = honest;
    s.salt[0] ^= 1; /* another nonce: another commitment, another text's hash */
    assert_outcome(&s, NULL, OUTCOME_REFUTED, 0, "isn't theirs");
    s = honest;
    honest_text[0] ^= 1;
    fill_hashes(&s, tokens, token_count, text);
    assert_outcome(&s, &text, OUTCOME_REFUTED, 1, "isn't theirs");
    honest_text[0] ^= 1;
}

static void test_what_cannot_be_computed_here_is_not_refuted(void **state) {
    (void)state;
    signed_receipt s = honest;
    snprintf(s.fields.engine_profile, sizeof s.fields.engine_profile, "vendor");
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "vendor");
    s = honest;
    s.fields.finish = RECEIPT_FINISH_CANCELLED;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "cancelled");
    s = honest;
    s.fields.model_digest[0] ^= 1;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "another model");
    s = honest;
    s.fields.completion_tokens = UINT32_MAX;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "longer than any context");
    s = honest;
    s.fields.stop_hash[0] ^= 1;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "--stop");
    s = honest;
    s.fields.top_p = 0;
    assert_outcome(&s, NULL, OUTCOME_UNCHECKED, 0, "cannot be checked here");
    recomputation task = task_of(&honest, NULL);
    const request nothing = {0};
    task.asked = &nothing;
    assert_int_equal(run(&task, -1).outcome, OUTCOME_UNCHECKED);
    task.asked = &asked;
    task.load.model = "/nonexistent.gguf";
    assert_int_equal(run(&task, -1).outcome, OUTCOME_UNCHECKED);
}

/* Memory that is out never speaks against a worker. */
static void test_an_allocation_that_fails_refutes_nothing(void **state) {
    (void)state;
    const recomputation task = task_of(&honest, NULL);
    for (int nth = 0; nth < 4000; nth += 1 + nth / 2) {
        result r = run(&task, nth);
        if (r.outcome == OUTCOME_REFUTED) {
            fail_msg("allocation %d: %s", nth, r.err.text);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_honest_answer_is_proved),
        cmocka_unit_test(test_a_signed_wrong_answer_is_refuted_at_its_token),
        cmocka_unit_test(test_the_same_text_from_other_tokens_is_refuted),
        cmocka_unit_test(test_an_answer_cut_short_that_claims_to_have_ended_is_refuted),
        cmocka_unit_test(test_an_answer_that_ended_for_want_of_room_needs_the_context),
        cmocka_unit_test(test_tokens_beyond_the_end_are_refuted),
        cmocka_unit_test(test_what_else_the_receipt_claims_is_compared),
        cmocka_unit_test(test_what_cannot_be_computed_here_is_not_refuted),
        cmocka_unit_test(test_an_allocation_that_fails_refutes_nothing),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
