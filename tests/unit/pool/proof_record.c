#include "base/memory.h"
#include "crypto/start.h"
#include "proof/record.h"
#include "unit.h"

/* Answers as they are sealed, findings as they are stored. */

static const receipt_message messages[] = {{SLICE_LITERAL("system"), SLICE_LITERAL("Be brief.")},
                                           {SLICE_LITERAL("user"), SLICE_LITERAL("What is Cellule?")}};
static const slice stops[] = {SLICE_LITERAL("\n\n"), SLICE_LITERAL("END")};
static const uint32_t tokens[] = {1, 70000, 31999, 0};

static sign_key *new_key(void) {
    error err = {0};
    uint8_t seed[SIGN_SEED_SIZE] = {7};
    sign_key *key = sign_key_from_seed(seed, &err);
    assert_non_null(key);
    return key;
}

static answer_record new_record(void) {
    error err = {0};
    answer_record record = {.model = SLICE_LITERAL("demo"),
                            .messages = messages,
                            .message_count = 2,
                            .stops = stops,
                            .stop_count = 2,
                            .tokens = tokens,
                            .token_count = 4};
    receipt *r = &record.entry.fields;
    sign_key *key = new_key();
    *r = (receipt){.version = RECEIPT_VERSION,
                   .engine_profile = "exact-1",
                   .temperature = 1,
                   .top_p = 1,
                   .max_tokens = 16,
                   .completion_tokens = 4,
                   .prompt_tokens = 9,
                   .finish = RECEIPT_FINISH_STOP,
                   .started_ms = 1,
                   .finished_ms = 2};
    memset(record.entry.salt, 5, sizeof record.entry.salt);
    assert_true(receipt_hash_prompt(record.entry.salt, messages, 2, r->prompt_hash, &err));
    assert_true(receipt_hash_stop(stops, 2, r->stop_hash, &err));
    assert_true(receipt_hash_tokens(tokens, 4, r->token_hash, &err));
    assert_true(receipt_worker_id(sign_key_public(key), r->worker_id, &err));
    assert_true(receipt_sign_worker(&record.entry, key, &err));
    sign_key_free(key);
    return record;
}

static buffer encoded(const answer_record *record) {
    error err = {0};
    buffer out = buffer_make(RECORD_LIMIT);
    assert_true(record_encode(record, &out, &err));
    assert_true(buffer_length(&out) <= record_size(record));
    return out;
}

static bool decodes(slice bytes, error_code expected) {
    error err = {0};
    answer_record record;
    arena *memory = arena_new(1024 * 1024);
    assert_non_null(memory);
    bool decoded = record_decode(bytes, memory, &record, &err);
    assert_true(err.code == expected || (expected == ERROR_CORRUPT && err.code == ERROR_UNSUPPORTED));
    arena_free(memory);
    return decoded;
}

static void test_an_answer_comes_back_as_it_was(void **state) {
    (void)state;
    error err = {0};
    const answer_record record = new_record();
    buffer bytes = encoded(&record);
    arena *memory = arena_new(1024 * 1024);
    answer_record back;
    assert_true(record_decode(buffer_slice(&bytes), memory, &back, &err));
    assert_true(slice_equal(back.model, record.model));
    assert_int_equal(back.message_count, 2);
    assert_true(slice_equal(back.messages[1].content, messages[1].content));
    assert_int_equal(back.stop_count, 2);
    assert_true(slice_equal(back.stops[1], stops[1]));
    assert_int_equal(back.token_count, 4);
    assert_memory_equal(back.tokens, tokens, sizeof tokens);
    assert_memory_equal(back.entry.salt, record.entry.salt, sizeof record.entry.salt);
    arena_free(memory);
    buffer_free(&bytes);
}

static void test_a_cut_or_lengthened_answer_is_refused(void **state) {
    (void)state;
    const answer_record record = new_record();
    buffer bytes = encoded(&record);
    for (size_t length = 0; length < buffer_length(&bytes); length++) {
        assert_false(decodes(slice_part(buffer_slice(&bytes), 0, length), ERROR_CORRUPT));
    }
    buffer_append_byte(&bytes, 0);
    assert_false(decodes(buffer_slice(&bytes), ERROR_CORRUPT));
    buffer_free(&bytes);
}

static void test_an_answer_with_any_bit_changed_is_refused_but_for_the_model_s_name(void **state) {
    (void)state;
    const answer_record record = new_record();
    buffer bytes = encoded(&record);
    size_t name = slice_find_slice(buffer_slice(&bytes), record.model);
    for (size_t i = 0; i < buffer_length(&bytes); i++) {
        bytes.bytes[i] ^= 1;
        bool in_name = i >= name && i < name + record.model.length;
        assert_int_equal(decodes(buffer_slice(&bytes), in_name ? ERROR_NONE : ERROR_CORRUPT), in_name);
        bytes.bytes[i] ^= 1;
    }
    buffer_free(&bytes);
}

static signed_finding new_finding(uint32_t agreed) {
    error err = {0};
    const answer_record record = new_record();
    const receipt *r = &record.entry.fields;
    sign_key *key = new_key();
    signed_finding made = {.fields = {.version = FINDING_VERSION,
                                      .engine_profile = "exact-1",
                                      .temperature = 1,
                                      .top_p = 1,
                                      .max_tokens = 16,
                                      .claimed_tokens = 4,
                                      .agreed = agreed,
                                      .has_expected = true,
                                      .expected = 3,
                                      .prompt_tokens = 9,
                                      .started_ms = 1,
                                      .finished_ms = 2}};
    memcpy(made.fields.prompt_hash, r->prompt_hash, sizeof made.fields.prompt_hash);
    memcpy(made.fields.worker_id, r->worker_id, sizeof made.fields.worker_id);
    assert_true(finding_sign_worker(&made, key, &err));
    sign_key_free(key);
    return made;
}

static void test_findings_come_back_and_what_is_no_finding_does_not(void **state) {
    (void)state;
    error err = {0};
    const finding_list list = {.count = 2, .items = {new_finding(1), new_finding(2)}};
    finding_list back;
    buffer bytes = buffer_make(65536);
    assert_true(findings_encode(&list, &bytes, &err));
    assert_true(findings_decode(buffer_slice(&bytes), &back, &err));
    assert_int_equal(back.count, 2);
    assert_int_equal(back.items[1].fields.agreed, 2);
    for (size_t length = 1; length < buffer_length(&bytes); length++) {
        assert_false(findings_decode(slice_part(buffer_slice(&bytes), 0, length), &back, &err));
        assert_int_equal(err.code, ERROR_CORRUPT);
        assert_int_equal(back.count, 0);
    }
    buffer_free(&bytes);
    assert_true(findings_decode((slice){0}, &back, &err));
    assert_int_equal(back.count, 0);
}

static void test_every_allocation_of_an_answer_may_fail(void **state) {
    (void)state;
    const answer_record record = new_record();
    bool reached = true;
    for (int nth = 0; reached; nth++) {
        error err = {0};
        answer_record back;
        buffer out = buffer_make(RECORD_LIMIT);
        fault_fail_nth(nth);
        arena *memory = arena_new(1024 * 1024);
        bool whole = memory != NULL && record_encode(&record, &out, &err) &&
                     record_decode(buffer_slice(&out), memory, &back, &err);
        reached = fault_stop();
        assert_true(whole || reached); /* growing less after a refusal is no failure */
        assert_true(whole || memory == NULL || err.code == ERROR_MEMORY);
        arena_free(memory);
        buffer_free(&out);
    }
}

static int start(void **state) {
    (void)state;
    error err = {0};
    return crypto_start(&err) ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_answer_comes_back_as_it_was),
        cmocka_unit_test(test_a_cut_or_lengthened_answer_is_refused),
        cmocka_unit_test(test_an_answer_with_any_bit_changed_is_refused_but_for_the_model_s_name),
        cmocka_unit_test(test_findings_come_back_and_what_is_no_finding_does_not),
        cmocka_unit_test(test_every_allocation_of_an_answer_may_fail),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
