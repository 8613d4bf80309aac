#include "forward/forward.h"

#include "unit.h"

#include "arithmetic/arithmetic.h"
#include "engine_pass.h"

#include <stdlib.h>

/* What a pass promises: the same bits however it is made up. That they are the right ones is for
 * architectures.c. */
enum { LENGTH = 70 /* past a page */, SEQUENCES = 3, WIDTH_MAX = 256, BATCH = 96 };

static model_file file;

typedef struct sequence {
    uint32_t tokens[LENGTH];
    uint32_t count;
    uint32_t done;
    page *pages[2];
    float states[LENGTH * WIDTH_MAX];
    float wanted[LENGTH * WIDTH_MAX];
} sequence;

static sequence sequences[SEQUENCES];

typedef struct machine {
    architecture a;
    page_pool pool;
    crew *members;
    forward *f;
} machine;

static void start(machine *m, const kernels *form, uint32_t threads) {
    error err;
    gguf *g = written_open(&file.bytes, &err);
    m->members = crew_new(threads, &err);
    assert_true(g != NULL && m->members != NULL);
    architecture_source source = {.file = g, .crew = m->members};
    assert_true(architecture_read(&m->a, &source, &err));
    gguf_free(g);
    page_pool_start(&m->pool, &m->a, UINT64_C(1) << 30);
    m->f = forward_new(&m->a, form, m->members, BATCH, &err);
    assert_non_null(m->f);
}

static void stop(machine *m) {
    for (size_t s = 0; s < SEQUENCES; s++) {
        page_release(&m->pool, sequences[s].pages[0]);
        page_release(&m->pool, sequences[s].pages[1]);
        sequences[s].pages[0] = sequences[s].pages[1] = NULL;
    }
    assert_int_equal(m->pool.used, 0);
    forward_free(m->f);
    architecture_free(&m->a);
    crew_free(m->members);
}

static void give_pages(machine *m) {
    error err;
    for (size_t s = 0; s < SEQUENCES; s++) {
        sequences[s].pages[0] = page_take(&m->pool, &err);
        sequences[s].pages[1] = page_take(&m->pool, &err);
        assert_true(sequences[s].pages[0] != NULL && sequences[s].pages[1] != NULL);
    }
}

static void begin_sequences(uint64_t *random) {
    static const uint32_t counts[SEQUENCES] = {LENGTH, 66, 5};
    for (size_t s = 0; s < SEQUENCES; s++) {
        sequences[s].count = counts[s];
        sequences[s].done = 0;
        memset(sequences[s].states, 0, sizeof sequences[s].states);
        for (size_t i = 0; i < LENGTH; i++) {
            sequences[s].tokens[i] = (uint32_t)(test_random(random) % MODEL_VOCABULARY);
        }
    }
}

static forward_part part_of(sequence *s, uint32_t count) {
    return (forward_part){.tokens = s->tokens + s->done,
                          .count = count,
                          .position = s->done,
                          .pages = s->pages,
                          .wanted = count};
}

/* Some sequences, some tokens of each; true while there is more to do. */
static bool step(machine *m, uint64_t *random) {
    error err;
    arithmetic_state saved;
    forward_part parts[SEQUENCES];
    sequence *of[SEQUENCES];
    size_t count = 0;
    uint32_t room = BATCH;
    bool more = false;
    for (size_t i = 0; i < SEQUENCES; i++) {
        sequence *s = &sequences[i];
        uint32_t left = s->count - s->done;
        uint32_t most = left < room ? left : room;
        uint32_t size = m->a.causal ? (uint32_t)(test_random(random) % (most + 1)) : left <= room ? left : 0;
        more = more || left > 0;
        if (size > 0) {
            of[count] = s;
            parts[count++] = part_of(s, size);
            room -= size;
        }
    }
    assert_true(arithmetic_enter(&saved));
    assert_true(count == 0 || forward_pass(m->f, parts, count, &err));
    arithmetic_leave(&saved);
    for (size_t p = 0; p < count; p++) {
        assert_false(parts[p].failed);
        for (uint32_t i = 0; i < parts[p].count; i++) {
            float *to = of[p]->states + (size_t)(of[p]->done + i) * m->a.width;
            memcpy(to, forward_hidden(m->f, parts[p].row + i), m->a.width * sizeof(float));
        }
        of[p]->done += parts[p].count;
    }
    return more;
}

static const model_shape shapes[] = {
    {.width = 64, .hidden = 96, .layers = 2, .heads = 4, .key_heads = 2, .context = 128, .type = GGUF_Q8_0},
    {.family = "gemma3",
     .width = 256,
     .hidden = 256,
     .layers = 2,
     .heads = 4,
     .key_heads = 1,
     .context = 128,
     .type = GGUF_Q4_K,
     .mixed = true,
     .window = 10,
     .window_pattern = 2},
    {.family = "bert",
     .width = 54,
     .hidden = 101,
     .layers = 2,
     .heads = 3,
     .key_heads = 3,
     .context = 128,
     .type = GGUF_F16,
     .pooling = 1},
};
enum { SHAPES = sizeof shapes / sizeof shapes[0] };

static void test_a_sequence_computes_the_same_in_any_company_and_portions(void **state) {
    (void)state;
    uint64_t random = 2;
    for (size_t i = 0; i < SHAPES; i++) {
        model_file_make(&file, &shapes[i], 3);
        for (uint32_t threads = 1; threads <= 3; threads++) {
            machine m;
            begin_sequences(&random);
            for (size_t s = 0; s < SEQUENCES; s++) {
                sequence *q = &sequences[s];
                engine_pass(&file, kernels_best(), q->tokens, q->count, q->count, q->wanted, NULL);
            }
            start(&m, kernels_best(), threads);
            give_pages(&m);
            while (step(&m, &random)) {
            }
            for (size_t s = 0; s < SEQUENCES; s++) {
                size_t size = (size_t)sequences[s].count * m.a.width * sizeof(float);
                assert_memory_equal(sequences[s].states, sequences[s].wanted, size);
            }
            stop(&m);
        }
        model_file_free(&file);
    }
}

static void test_only_the_wanted_rows_are_kept_and_logits_are_of_those(void **state) {
    (void)state;
    error err;
    machine m;
    arithmetic_state saved;
    uint64_t random = 4;
    static float states[LENGTH * WIDTH_MAX];
    static float logits[LENGTH * MODEL_VOCABULARY];
    model_file_make(&file, &shapes[0], 3);
    begin_sequences(&random);
    engine_pass(&file, kernels_best(), sequences[2].tokens, 5, 5, states, logits);
    start(&m, kernels_best(), 2);
    give_pages(&m);
    forward_part parts[2] = {part_of(&sequences[0], 20), part_of(&sequences[2], 5)};
    parts[0].wanted = 0;
    parts[1].wanted = 2;
    assert_true(arithmetic_enter(&saved));
    assert_true(forward_pass(m.f, parts, 2, &err));
    float *rows = NULL;
    assert_true(forward_logits(m.f, parts[1].row, 2, &rows, &err));
    for (size_t i = 0; i < 2; i++) {
        assert_memory_equal(rows + i * forward_logits_stride(m.f), logits + (3 + i) * MODEL_VOCABULARY,
                            MODEL_VOCABULARY * sizeof *logits);
    }
    assert_false(forward_logits(m.f, parts[1].row, 3, &rows, &err)); /* not kept */
    arithmetic_leave(&saved);
    stop(&m);
    model_file_free(&file);
}

static void test_a_weight_that_is_not_finite_fails_the_sequence_that_meets_it_and_no_other(void **state) {
    (void)state;
    machine m;
    error err;
    arithmetic_state saved;
    uint64_t random = 5;
    static const struct {
        const char *name;
        uint32_t row;
        bool capped; /* a cap would make an ordinary number of it */
    } cases[] = {{"token_embd.weight", 0, false},     {"blk.1.attn_k.weight", 0, false},
                 {"blk.0.ffn_down.weight", 0, false}, {"output_norm.weight", 0, false},
                 {"blk.1.attn_q.weight", 0, true},    {"token_embd.weight", 5, true}};
    for (size_t n = 0; n < sizeof cases / sizeof cases[0]; n++) {
        model_shape shape = shapes[0];
        shape.type = GGUF_F32;
        shape.tied = cases[n].capped;
        shape.family = cases[n].capped ? "gemma2" : shape.family;
        shape.attention_cap = shape.logit_cap = cases[n].capped ? 3 : 0;
        model_file_make(&file, &shape, 3);
        gguf *g = written_open(&file.bytes, &err);
        uint32_t infinity = 0x7f800000;
        const gguf_tensor *t = gguf_find_tensor(g, cases[n].name);
        memcpy((uint8_t *)(uintptr_t)t->data.data + cases[n].row * t->dimensions[0] * 4, &infinity, 4);
        gguf_free(g);
        begin_sequences(&random);
        memset(sequences[0].tokens, 0, sizeof sequences[0].tokens); /* the first row of the embedding */
        for (size_t i = 0; i < 5; i++) {
            sequences[2].tokens[i] = 1;
        }
        start(&m, kernels_best(), 1);
        give_pages(&m);
        forward_part parts[2] = {part_of(&sequences[0], 8), part_of(&sequences[2], 5)};
        float *rows = NULL;
        assert_true(arithmetic_enter(&saved));
        assert_true(forward_pass(m.f, parts, 2, &err));
        assert_true(forward_logits(m.f, parts[0].row, 1, &rows, &err));
        arithmetic_leave(&saved);
        assert_true(parts[0].failed || rows[0] != rows[0]);
        assert_true(n > 0 || !parts[1].failed);
        stop(&m);
        model_file_free(&file);
    }
}

static void test_every_allocation_that_fails_is_an_error(void **state) {
    (void)state;
    machine m;
    bool done = false;
    model_file_make(&file, &shapes[1], 3);
    start(&m, kernels_best(), 1);
    for (int nth = 0; !done; nth++) {
        error err;
        fault_fail_nth(nth);
        forward *f = forward_new(&m.a, kernels_best(), m.members, 8, &err);
        done = !fault_stop();
        assert_true((f != NULL) == done);
        assert_true(done || err.code == ERROR_MEMORY);
        forward_free(f);
    }
    stop(&m);
    model_file_free(&file);
}

/* Pins the arithmetic of each family: any change of a rounding anywhere changes its number. */
static void test_the_logits_of_known_models_never_change(void **state) {
    (void)state;
    static const struct {
        const char *family;
        gguf_type type;
        uint64_t hash;
    } known[] = {
        {"llama", GGUF_Q8_0, 0x77d6a1774e82ee1a},  {"qwen2", GGUF_Q5_1, 0xd4713fdf0dbf3415},
        {"qwen3", GGUF_Q4_0, 0xf97a05cf9450ac5b},  {"gemma", GGUF_Q6_K, 0x80c7394790688bf2},
        {"gemma2", GGUF_Q4_K, 0x829e79a4587690f3}, {"gemma3", GGUF_Q5_K, 0x0a1b946425f87b4e},
        {"phi3", GGUF_F16, 0x540faf9efd6e1e35},    {"bert", GGUF_Q8_0, 0xb885e69488a9db63},
    };
    enum { COUNT = 6 };
    static float states[COUNT * WIDTH_MAX];
    static float logits[COUNT * MODEL_VOCABULARY];
    static const uint32_t tokens[COUNT] = {1, 200, 3, 40, 40, 271};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bool bert = strcmp(known[i].family, "bert") == 0;
        model_shape shape = {.family = known[i].family,
                             .width = 256,
                             .hidden = 256,
                             .layers = 2,
                             .heads = 4,
                             .key_heads = bert ? 4 : 2,
                             .context = 64,
                             .type = known[i].type,
                             .attention_cap = strcmp(known[i].family, "gemma2") == 0 ? 2 : 0,
                             .pooling = bert ? 1 : 0};
        model_file_make(&file, &shape, 2026);
        memset(logits, 0, sizeof logits);
        engine_pass(&file, kernels_best(), tokens, COUNT, COUNT, states, bert ? NULL : logits);
        uint64_t hash = 0xcbf29ce484222325U; /* FNV-1a */
        for (size_t n = 0; n < sizeof states / sizeof states[0]; n++) {
            hash = (hash ^ bits_of_float(states[n])) * 0x100000001b3U;
        }
        for (size_t n = 0; n < sizeof logits / sizeof logits[0]; n++) {
            hash = (hash ^ bits_of_float(logits[n])) * 0x100000001b3U;
        }
        if (hash != known[i].hash) {
            fail_msg("%s is now %#llx", known[i].family, (unsigned long long)hash);
        }
        model_file_free(&file);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sequence_computes_the_same_in_any_company_and_portions),
        cmocka_unit_test(test_only_the_wanted_rows_are_kept_and_logits_are_of_those),
        cmocka_unit_test(test_a_weight_that_is_not_finite_fails_the_sequence_that_meets_it_and_no_other),
        cmocka_unit_test(test_every_allocation_that_fails_is_an_error),
        cmocka_unit_test(test_the_logits_of_known_models_never_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
