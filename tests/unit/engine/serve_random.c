#include "serving.h"
#include "unit.h"

#include "crypto/start.h"
#include "serve/model.h"

#include <stdlib.h>
#include <time.h>

/* A thousand sequences of all kinds come and go at random. A failure prints its seed; CELLULE_SERVE_SEED=n
 * repeats it. */
enum { SEQUENCES = 1000, KINDS = 24, PROMPT_MAX = 180, AT_ONCE = 12, USERS = 3 };

static model_file file;
static uint32_t prompts[KINDS][PROMPT_MAX];
static request requests[KINDS];
static answer alone[KINDS];
static size_t reused; /* tokens, in all */

/* Prompts of a user have beginnings in common, so that they are shared. */
static void make_requests(uint64_t *random) {
    static uint8_t salts[USERS][ENGINE_SALT_SIZE];
    for (size_t i = 0; i < KINDS; i++) {
        size_t user = i % (USERS + 1);
        size_t count = 1 + test_random(random) % PROMPT_MAX;
        serving_fill_prompt(prompts[i], PROMPT_MAX, random);
        if (i > USERS) {
            size_t shared = test_random(random) % PROMPT_MAX;
            memcpy(prompts[i], prompts[i % (USERS + 1)], shared * sizeof(uint32_t));
        }
        if (user < USERS) {
            salts[user][0] = (uint8_t)user;
        }
        requests[i] = (request){.prompt = prompts[i],
                                .prompt_count = count,
                                .parameters = {.temperature = (float)(test_random(random) % 3) * 0.6f,
                                               .top_p = 0.95f,
                                               .repetition_penalty = i % 5 == 0 ? 1.1f : 1,
                                               .max_tokens = 1 + (uint32_t)(test_random(random) % 50)},
                                .seed = test_random(random),
                                .salt = user < USERS ? salts[user] : NULL};
    }
}

typedef struct place {
    engine_sequence *sequence;
    size_t kind;
    bool scores;
    size_t count; /* of tokens so far */
} place;

/* Starts one where there is room for it; the memory may have none. */
static bool start(engine_model *m, place *p, uint64_t *random) {
    error err;
    size_t kind = test_random(random) % KINDS;
    const request *r = &requests[kind];
    engine_draw fixed = serving_draw(r);
    *p = (place){.kind = kind, .scores = test_random(random) % 4 == 0};
    p->sequence = p->scores ? engine_score(m, r->prompt, r->prompt_count, alone[kind].tokens,
                                           alone[kind].count, &r->parameters, &fixed, &err)
                            : engine_generate(m, r->prompt, r->prompt_count, &r->parameters, &fixed, &err);
    assert_true(p->sequence != NULL || err.code == ERROR_CONFLICT);
    return p->sequence != NULL;
}

static void check_output(place *p, const engine_output *out) {
    const answer *expected = &alone[p->kind];
    uint8_t commitment[ENGINE_DIGEST_SIZE];
    assert_int_not_equal(out->finish, ENGINE_FAILED);
    if (out->has_token) {
        assert_false(p->scores);
        assert_true(p->count < expected->count);
        assert_int_equal(out->token, expected->tokens[p->count++]);
    }
    if (out->finish == ENGINE_RUNNING) {
        return;
    }
    engine_sequence_commitment(p->sequence, commitment);
    assert_memory_equal(commitment, expected->commitment, sizeof commitment);
    if (p->scores) {
        assert_true(engine_sequence_score(p->sequence).complete);
    } else {
        assert_int_equal(p->count, expected->count);
    }
    uint32_t tokens = engine_sequence_usage(p->sequence).reused_tokens;
    assert_true(requests[p->kind].salt != NULL || tokens == 0);
    reused += tokens;
    engine_sequence_free(p->sequence);
    p->sequence = NULL;
}

static void step(engine_model *m, place *places) {
    static engine_output outputs[ENGINE_SLOTS_MAX];
    error err;
    size_t count = 0;
    if (!engine_step(m, outputs, &count, &err)) {
        fail_msg("%s", err.text);
    }
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (places[at].sequence != outputs[i].sequence) {
            at++;
            assert_true(at < AT_ONCE);
        }
        check_output(&places[at], &outputs[i]);
    }
}

static void play(engine_model *m, uint64_t *random) {
    place places[AT_ONCE] = {{0}};
    for (size_t started = 0; started < SEQUENCES;) {
        place *p = &places[test_random(random) % AT_ONCE];
        switch (test_random(random) % 8) {
        case 0: /* cancelled */
            engine_sequence_free(p->sequence);
            p->sequence = NULL;
            break;
        case 1:
        case 2:
        case 3:
            started += p->sequence == NULL && start(m, p, random);
            break;
        default:
            step(m, places);
        }
        assert_true(m->pool.used <= m->pool.limit);
        assert_true(m->pool.used + m->promised * m->pool.page_size <=
                    m->pool.limit + prefix_idle(m->prefixes) * m->pool.page_size);
    }
    for (size_t i = 0; i < AT_ONCE; i++) {
        engine_sequence_free(places[i].sequence);
    }
}

static void test_sequences_that_come_and_go_at_random_answer_as_if_alone(void **state) {
    (void)state;
    const char *wish = getenv("CELLULE_SERVE_SEED");
    uint64_t seed = wish == NULL ? (uint64_t)time(NULL) : strtoull(wish, NULL, 10);
    print_message("CELLULE_SERVE_SEED=%llu\n", (unsigned long long)seed);
    uint64_t random = seed;
    make_requests(&random);
    engine_model *quiet = serving_open(&file, NULL);
    for (size_t i = 0; i < KINDS; i++) {
        request unshared = requests[i];
        unshared.salt = NULL;
        serving_answer(quiet, &unshared, &alone[i]);
    }
    engine_close(quiet);
    engine_options options = {.batch = 1 + (uint32_t)(test_random(&random) % 90),
                              .memory_limit = UINT64_C(8192) * 2 * (16 + test_random(&random) % 30)};
    engine_model *m = serving_open(&file, &options);
    play(m, &random);
    assert_true(reused > 0);
    /* What is left is what may be shared, and all of it can go. */
    assert_int_equal(m->promised, 0);
    assert_int_equal(m->sequence_count, 0);
    assert_int_equal(m->pool.used, prefix_idle(m->prefixes) * m->pool.page_size);
    while (prefix_evict(m->prefixes)) {
    }
    assert_int_equal(m->pool.used, 0);
    engine_close(m);
}

static int set_up(void **state) {
    (void)state;
    error err;
    model_file_make(&file, &model_shape_small, 78);
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
        cmocka_unit_test(test_sequences_that_come_and_go_at_random_answer_as_if_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
