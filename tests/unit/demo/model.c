#include "base/memory.h"
#include "crypto/start.h"
#include "engine/engine.h"
#include "questions.h"

#include "unit.h"

#include <stdlib.h>

/* The demo model that is in the repository, computed by the engine. Arguments: the model, the folder of
 * questions, and N to ask every Nth question. */
enum { MODEL_SIZE_MAX = 8 * 1024 * 1024, ANSWER_MAX = 1024 };

static const char *model_path;
static const char *questions_path;
static size_t every;

static slice read_model(arena *a) {
    uint8_t *bytes = arena_allocate(a, MODEL_SIZE_MAX + 1);
    FILE *file = fopen(model_path, "rb");
    assert_non_null(bytes);
    assert_non_null(file);
    size_t length = fread(bytes, 1, MODEL_SIZE_MAX + 1, file);
    fclose(file);
    assert_in_range(length, 1, MODEL_SIZE_MAX);
    return slice_of(bytes, length);
}

static size_t ask(engine_model *model, slice asked, char answer[ANSWER_MAX]) {
    const engine_draw fixed = {.seed = 1};
    const engine_message message = {.role = SLICE_LITERAL("user"), .content = asked};
    const engine_parameters greedy = {
        .temperature = 0, .top_p = 1, .repetition_penalty = 1, .max_tokens = 200};
    uint32_t *tokens = NULL;
    size_t count = 0;
    size_t length = 0;
    error err;
    engine_output output = {.finish = ENGINE_RUNNING};
    assert_true(engine_prompt(model, &message, 1, (slice){NULL, 0}, &tokens, &count, &err));
    engine_sequence *sequence = engine_generate(model, tokens, count, &greedy, &fixed, &err);
    memory_free(tokens);
    assert_non_null(sequence);
    while (output.finish == ENGINE_RUNNING) {
        size_t told = 0;
        assert_true(engine_step(model, &output, &told, &err));
        if (told == 0) {
            continue;
        }
        assert_true(output.text.length < ANSWER_MAX - length);
        if (output.text.length > 0) {
            memcpy(answer + length, output.text.data, output.text.length);
            length += output.text.length;
        }
    }
    engine_sequence_free(sequence);
    return length;
}

static void test_the_demo_model_answers_its_questions(void **state) {
    (void)state;
    error err;
    char answer[ANSWER_MAX];
    question_set set;
    arena *a = arena_new((size_t)256 << 20);
    assert_non_null(a);
    assert_true(crypto_start(&err));
    assert_true(questions_load(a, questions_path, &set, &err));
    const slice file = read_model(a);
    engine_model *model = engine_open(&file, 1, NULL, &(engine_options){0}, &err);
    if (model == NULL) {
        fail_msg("%s", err.text);
    }
    size_t right = 0;
    size_t total = 0;
    for (size_t i = 0; i < set.count; i += every) {
        const question *q = &set.questions[i];
        size_t length = ask(model, q->phrasings[0], answer);
        total++;
        if (slice_equal(slice_of(answer, length), q->answer)) {
            right++;
        } else {
            print_message("%.*s: %.*s\n", SLICE_FORMAT(q->phrasings[0]), (int)length, answer);
        }
    }
    engine_close(model);
    crypto_stop();
    arena_free(a);
    assert_true(right * 100 >= total * 99);
}

/* The next letter or digit at *at or after it, small; 0 at the end. */
static uint8_t next_character(slice text, size_t *at) {
    while (*at < text.length) {
        uint8_t c = text.data[(*at)++];
        if (c >= 'A' && c <= 'Z') {
            return (uint8_t)(c - 'A' + 'a');
        }
        if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')) {
            return c;
        }
    }
    return 0;
}

static bool same_words(slice left, slice right) {
    size_t i = 0;
    size_t k = 0;
    uint8_t c = 0;
    do {
        c = next_character(left, &i);
        if (c != next_character(right, &k)) {
            return false;
        }
    } while (c != 0);
    return true;
}

static bool trained_on(const question_set *set, slice phrasing) {
    for (size_t i = 0; i < set->count; i++) {
        for (size_t k = 0; k < set->questions[i].phrasing_count; k++) {
            if (same_words(set->questions[i].phrasings[k], phrasing)) {
                return true;
            }
        }
    }
    return false;
}

static void test_no_held_out_phrasing_is_trained_on(void **state) {
    (void)state;
    error err;
    question_set set;
    size_t checked = 0;
    arena *a = arena_new((size_t)256 << 20);
    assert_non_null(a);
    assert_true(questions_load(a, questions_path, &set, &err));
    for (size_t i = 0; i < set.count; i++) {
        for (size_t k = 0; k < set.questions[i].held_out_count; k++) {
            slice phrasing = set.questions[i].held_out[k];
            checked++;
            if (trained_on(&set, phrasing)) {
                fail_msg("%.*s", SLICE_FORMAT(phrasing));
            }
        }
    }
    assert_true(checked >= set.count);
    arena_free(a);
}

int main(int count, char **words) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_the_demo_model_answers_its_questions),
                                       cmocka_unit_test(test_no_held_out_phrasing_is_trained_on)};
    if (count != 4 || strtoul(words[3], NULL, 10) == 0) {
        fputs("usage: model FILE.gguf QUESTIONS_FOLDER EVERY\n", stderr);
        return 2;
    }
    model_path = words[1];
    questions_path = words[2];
    every = strtoul(words[3], NULL, 10);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
