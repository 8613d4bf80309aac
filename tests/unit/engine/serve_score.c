#include "serving.h"
#include "unit.h"

#include "base/memory.h"
#include "crypto/hash.h"
#include "crypto/start.h"

#include <stdio.h>
#include <stdlib.h>

/* An answer is taken for right when it is what was drawn, and only then. CELLULE_SCORE_TOKENS asks for a
 * longer run. */
enum { PROMPT_MAX = 100, USUAL_TOKENS = 6000 };

static const gguf_type types[] = {GGUF_Q8_0, GGUF_Q4_0, GGUF_Q4_1, GGUF_Q5_0, GGUF_Q5_1, GGUF_F16,
                                  GGUF_BF16, GGUF_F32,  GGUF_Q4_K, GGUF_Q5_K, GGUF_Q6_K};

typedef struct score {
    engine_score_result result; /* tokens: copied */
    uint32_t tokens[ANSWER_MAX];
    uint8_t commitment[ENGINE_DIGEST_SIZE];
} score;

static void run_score(engine_model *m, const request *r, const uint32_t *tokens, size_t count, score *out) {
    engine_sequence *s = serving_start_score(m, r, tokens, count);
    assert_int_equal(serving_finish(m, s), ENGINE_SCORED);
    out->result = engine_sequence_score(s);
    assert_int_equal(out->result.count, count);
    memcpy(out->tokens, out->result.tokens, count * sizeof *tokens);
    out->result.tokens = out->tokens;
    engine_sequence_commitment(s, out->commitment);
    engine_sequence_free(s);
}

/* As messages carry it: the tokens of these models write U+0000, too. */
static void assert_text(const score *s, slice text) {
    static uint8_t bytes[3 * ANSWER_TEXT_MAX];
    uint8_t digest[ENGINE_DIGEST_SIZE];
    error err;
    size_t length = 0;
    for (size_t i = 0; i < text.length; i++) {
        static const uint8_t replacement[] = {0xEF, 0xBF, 0xBD};
        size_t count = text.data[i] == 0 ? sizeof replacement : 1;
        memcpy(bytes + length, text.data[i] == 0 ? replacement : text.data + i, count);
        length += count;
    }
    assert_true(hash_sha256(slice_of(bytes, length), digest, &err));
    assert_memory_equal(s->result.text_digest, digest, sizeof digest);
}

static void assert_right(engine_model *m, const request *r, const answer *a) {
    static score s;
    run_score(m, r, a->tokens, a->count, &s);
    assert_int_equal(s.result.agreed, a->count);
    assert_true(s.result.complete);
    assert_memory_equal(s.tokens, a->tokens, a->count * sizeof *a->tokens);
    assert_int_equal(s.result.stopped, a->finish == ENGINE_STOP);
    assert_text(&s, slice_of(a->text, a->length));
    assert_memory_equal(s.commitment, a->commitment, sizeof a->commitment);
}

static request draw_request(uint32_t *prompt, uint64_t *random) {
    size_t count = 1 + test_random(random) % PROMPT_MAX;
    serving_fill_prompt(prompt, count, random);
    engine_parameters p = {.temperature = (float)(test_random(random) % 5) * 0.4f,
                           .top_p = test_random(random) % 2 == 0 ? 1 : 0.8f,
                           .top_k = test_random(random) % 3 == 0 ? 40 : 0,
                           .min_p = test_random(random) % 4 == 0 ? 0.05f : 0,
                           .repetition_penalty = test_random(random) % 3 == 0 ? 1.2f : 1,
                           .frequency_penalty = test_random(random) % 4 == 0 ? 0.6f : 0,
                           .max_tokens = 1 + (uint32_t)(test_random(random) % 120)};
    return (request){prompt, count, p, test_random(random), NULL};
}

static void test_every_honest_answer_is_right_in_every_format(void **state) {
    (void)state;
    static answer a;
    const char *wish = getenv("CELLULE_SCORE_TOKENS");
    size_t wanted = wish == NULL ? USUAL_TOKENS : strtoul(wish, NULL, 10);
    uint64_t random = 11;
    const size_t formats = sizeof types / sizeof types[0];
    for (size_t i = 0; i < formats; i++) {
        model_file file;
        model_shape shape = model_shape_small;
        shape.type = types[i];
        if (gguf_type_block(types[i]) > 32) { /* rows are whole blocks */
            shape.width = 256;
            shape.hidden = 256;
        }
        model_file_make(&file, &shape, i + 1);
        engine_model *m = serving_open(&file, NULL);
        engine_model *checker = serving_open(&file, &(engine_options){.batch = 37});
        for (size_t done = 0; done < wanted / formats; done += a.count) {
            uint32_t prompt[PROMPT_MAX];
            request r = draw_request(prompt, &random);
            serving_answer(m, &r, &a);
            assert_right(checker, &r, &a);
        }
        engine_close(m);
        engine_close(checker);
        model_file_free(&file);
    }
}

static model_file file;

static void test_every_change_of_one_token_is_found_where_it_is(void **state) {
    (void)state;
    static answer a;
    static score s;
    uint32_t prompt[PROMPT_MAX];
    uint64_t random = 23;
    engine_model *m = serving_open(&file, NULL);
    for (size_t round = 0; round < 6; round++) {
        request r = draw_request(prompt, &random);
        r.parameters.max_tokens = 20;
        serving_answer(m, &r, &a);
        for (size_t at = 0; at < a.count; at++) {
            uint32_t changed[ANSWER_MAX];
            memcpy(changed, a.tokens, sizeof changed);
            changed[at] = (changed[at] + 1 + (uint32_t)(test_random(&random) % (MODEL_VOCABULARY - 1))) %
                          MODEL_VOCABULARY;
            run_score(m, &r, changed, a.count, &s);
            assert_int_equal(s.result.agreed, at);
            assert_false(s.result.complete);
            assert_int_equal(s.tokens[at], a.tokens[at]);
        }
    }
    engine_close(m);
}

static void test_an_answer_cut_off_or_drawn_out_is_not_complete(void **state) {
    (void)state;
    static answer a;
    static score s;
    uint32_t prompt[PROMPT_MAX];
    uint64_t random = 31;
    engine_model *m = serving_open(&file, NULL);
    for (size_t round = 0; round < 20; round++) {
        request r = draw_request(prompt, &random);
        r.parameters.max_tokens = 2 + (uint32_t)round;
        serving_answer(m, &r, &a);
        if (a.count > 1) {
            run_score(m, &r, a.tokens, a.count - 1, &s);
            assert_int_equal(s.result.agreed, a.count - 1);
            assert_false(s.result.complete);
        }
        a.tokens[a.count] = 65;
        run_score(m, &r, a.tokens, a.count + 1, &s);
        assert_int_equal(s.result.agreed, a.count);
        assert_int_equal(s.tokens[a.count], ENGINE_NO_TOKEN);
        assert_false(s.result.complete);
        r.seed ^= 1;
        run_score(m, &r, a.tokens, a.count, &s); /* another seed's answer */
        assert_true(r.parameters.temperature == 0 || s.result.count < 4 || s.result.agreed < a.count);
    }
    engine_close(m);
}

static void test_an_answer_ended_by_a_stop_string_or_a_grammar_is_right(void **state) {
    (void)state;
    static answer a;
    uint32_t prompt[4] = {65, 66, 67, 68};
    engine_model *m = serving_open(&file, NULL);
    request r = {
        prompt, 4, {.temperature = 1.5f, .top_p = 1, .repetition_penalty = 1, .max_tokens = 200}, 3, NULL};
    r.parameters.grammar = SLICE_LITERAL("root ::= [a-f]{5,9} \"!\"");
    serving_answer(m, &r, &a);
    assert_int_equal(a.finish, ENGINE_STOP);
    assert_int_equal(a.text[a.length - 1], '!');
    assert_right(m, &r, &a);
    r.parameters.stops[0] = slice_of(a.text + 2, 2);
    r.parameters.stop_count = 1;
    char stop[2] = {a.text[2], a.text[3]};
    r.parameters.stops[0] = slice_of(stop, 2);
    serving_answer(m, &r, &a);
    assert_true(a.length <= 2);
    assert_right(m, &r, &a);
    /* A claim that the grammar forbids is no answer. */
    static score s;
    a.tokens[1] = 65 - 33;
    run_score(m, &r, a.tokens, a.count, &s);
    assert_int_equal(s.result.agreed, 1);
    engine_close(m);
}

/* Behind a wrong claim a text may be past what the engine follows: that doesn't save the liar from its score.
 */
static void test_what_follows_a_wrong_token_cannot_spoil_the_score(void **state) {
    (void)state;
    static char text[8192];
    static answer a;
    static score s;
    uint32_t prompt[4] = {65, 66, 67, 68};
    /* "zx" leads to more ways of reading than there may be. */
    size_t length = (size_t)snprintf(text, sizeof text, "root ::= \"a\" | \"zx\" (r0");
    for (unsigned i = 1; i < 300; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, " | r%u", i);
    }
    length += (size_t)snprintf(text + length, sizeof text - length, ")");
    for (unsigned i = 0; i < 300; i++) {
        length += (size_t)snprintf(text + length, sizeof text - length, "\nr%u ::= \"b\"", i);
    }
    engine_model *m = serving_open(&file, NULL);
    request r = {prompt, 4, {.top_p = 1, .repetition_penalty = 1, .max_tokens = 3}, 3, NULL};
    r.parameters.grammar = slice_of_text(text);
    uint32_t *ids[3];
    size_t count = 0;
    error err;
    const slice letters[3] = {SLICE_LITERAL("a"), SLICE_LITERAL("z"), SLICE_LITERAL("x")};
    for (size_t i = 0; i < 3; i++) {
        assert_true(engine_tokenize(m, letters[i], &ids[i], &count, &err));
        assert_int_equal(count, 1);
    }
    r.parameters.biases = &(engine_bias){*ids[0], 100};
    r.parameters.bias_count = 1;
    serving_answer(m, &r, &a);
    assert_int_equal(a.tokens[0], *ids[0]);
    assert_right(m, &r, &a);
    const uint32_t claim[3] = {*ids[1], *ids[2], *ids[0]};
    run_score(m, &r, claim, 3, &s);
    assert_int_equal(s.result.agreed, 0);
    assert_false(s.result.complete);
    assert_int_equal(s.tokens[0], *ids[0]);
    assert_int_equal(s.tokens[2], ENGINE_NO_TOKEN);
    for (size_t i = 0; i < 3; i++) {
        memory_free(ids[i]);
    }
    engine_close(m);
}

static void test_scores_run_beside_answers_without_touching_them(void **state) {
    (void)state;
    static answer honest[4];
    static answer mixed[4];
    uint32_t prompts[4][PROMPT_MAX];
    request r[4];
    uint64_t random = 41;
    engine_model *m = serving_open(&file, &(engine_options){.batch = 50});
    for (size_t i = 0; i < 4; i++) {
        r[i] = draw_request(prompts[i], &random);
        serving_answer(m, &r[i], &honest[i]);
    }
    engine_sequence *s[4];
    for (size_t i = 0; i < 4; i++) {
        s[i] = i % 2 == 0 ? serving_start(m, &r[i])
                          : serving_start_score(m, &r[i], honest[i].tokens, honest[i].count);
    }
    serving_run(m, s, mixed, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_memory_equal(mixed[i].commitment, honest[i].commitment, sizeof honest[i].commitment);
        assert_int_equal(mixed[i].finish, i % 2 == 0 ? honest[i].finish : ENGINE_SCORED);
    }
    engine_close(m);
}

static void test_what_cannot_be_scored_is_refused(void **state) {
    (void)state;
    error err;
    uint32_t tokens[300] = {0};
    const uint32_t outside = MODEL_VOCABULARY;
    const engine_parameters p = {.top_p = 1, .repetition_penalty = 1};
    engine_model *m = serving_open(&file, NULL);
    assert_null(engine_score(m, tokens, 3, tokens, 0, &p, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(engine_score(m, tokens, 3, &outside, 1, &p, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_INVALID);
    assert_null(engine_score(m, tokens, 3, tokens, 254, &p, &(engine_draw){0}, &err));
    assert_int_equal(err.code, ERROR_LIMIT);
    engine_sequence_free(engine_score(m, tokens, 3, tokens, 253, &p, &(engine_draw){0}, &err));
    engine_close(m);
}

static int set_up(void **state) {
    (void)state;
    error err;
    model_file_make(&file, &model_shape_small, 77);
    return crypto_start(&err) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    model_file_free(&file);
    crypto_stop();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_honest_answer_is_right_in_every_format),
        cmocka_unit_test(test_every_change_of_one_token_is_found_where_it_is),
        cmocka_unit_test(test_an_answer_cut_off_or_drawn_out_is_not_complete),
        cmocka_unit_test(test_an_answer_ended_by_a_stop_string_or_a_grammar_is_right),
        cmocka_unit_test(test_what_follows_a_wrong_token_cannot_spoil_the_score),
        cmocka_unit_test(test_scores_run_beside_answers_without_touching_them),
        cmocka_unit_test(test_what_cannot_be_scored_is_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
