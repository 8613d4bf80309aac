#include "tokenizer/tokenizer.h"

#include "unit.h"

#include "model_file.h"

#include <math.h>

/* Vocabularies with one thing wrong. */
static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<0x41>", "a"};
static const int32_t kinds[] = {2, 3, 3, 6, 1};
static const float scores[] = {0, 0, 0, 0, -1};
enum { COUNT = 5 };

typedef struct broken {
    const char *model;
    const char *byte; /* how token 3 is spelled */
    int32_t kind;     /* of token 3 */
    float score;      /* of token 4 */
    size_t score_count;
    const char *flag; /* a key that is true */
    const char *role; /* a key that is `role_id` */
    uint32_t role_id;
    slice map;
} broken;

static const broken sound = {.model = "t5", .byte = "<0x41>", .kind = 6, .score = -1, .score_count = COUNT};

static tokenizer *open_broken(const broken *b, error *err) {
    gguf_writer w;
    buffer file;
    const char *spellings[COUNT];
    int32_t all_kinds[COUNT];
    float all_scores[COUNT];
    memcpy(spellings, tokens, sizeof tokens);
    memcpy(all_kinds, kinds, sizeof kinds);
    memcpy(all_scores, scores, sizeof scores);
    spellings[3] = b->byte;
    all_kinds[3] = b->kind;
    all_scores[4] = b->score;
    writer_start(&w);
    writer_text(&w, "tokenizer.ggml.model", b->model);
    writer_texts(&w, "tokenizer.ggml.tokens", spellings, COUNT);
    writer_i32s(&w, "tokenizer.ggml.token_type", all_kinds, COUNT);
    writer_array(&w, "tokenizer.ggml.scores", GGUF_VALUE_F32, b->score_count, all_scores,
                 b->score_count * sizeof(float));
    if (b->flag != NULL) {
        writer_bool(&w, b->flag, true);
    }
    if (b->role != NULL) {
        writer_u32(&w, b->role, b->role_id);
    }
    if (b->map.length > 0) {
        writer_array(&w, "tokenizer.ggml.precompiled_charsmap", GGUF_VALUE_U8, b->map.length, b->map.data,
                     b->map.length);
    }
    writer_finish(&w, &file);
    gguf *g = written_open(&file, err);
    assert_non_null(g);
    tokenizer *t = tokenizer_new(g, err);
    gguf_free(g);
    buffer_free(&file);
    return t;
}

static void assert_refused(const broken *b, const char *says) {
    error err = {0};
    tokenizer *t = open_broken(b, &err);
    assert_null(t);
    if (strstr(err.text, says) == NULL) {
        fail_msg("says: %s", err.text);
    }
}

static void test_a_sound_vocabulary_is_read(void **state) {
    (void)state;
    error err;
    static const char *const models[] = {"t5", "llama"};
    for (size_t i = 0; i < 2; i++) {
        broken b = sound;
        b.model = models[i];
        tokenizer *t = open_broken(&b, &err);
        assert_non_null(t);
        assert_true(slice_equal_text(tokenizer_bytes(t, 3), "A"));
        tokenizer_free(t);
    }
}

static void test_tokens_and_scores_must_hold_together(void **state) {
    (void)state;
    broken b = sound;
    b.score_count = COUNT - 1;
    assert_refused(&b, "5 tokens, but 4 scores");
    b = sound;
    b.score = NAN;
    assert_refused(&b, "score of token 4");
    b.score = -INFINITY;
    assert_refused(&b, "score of token 4");
    b = sound;
    b.byte = "<0x4G>";
    assert_refused(&b, "byte token 3");
    b.byte = "A";
    assert_refused(&b, "byte token 3");
    b = sound;
    b.kind = 7;
    assert_refused(&b, "kind 7");
    b.kind = 0;
    assert_refused(&b, "kind 0");
}

static void test_roles_and_wishes_must_name_tokens(void **state) {
    (void)state;
    broken b = sound;
    b.role = "tokenizer.ggml.unknown_token_id";
    b.role_id = COUNT;
    assert_refused(&b, "unknown_token_id");
    b = sound;
    b.flag = "tokenizer.ggml.add_bos_token"; /* t5 has no token for it */
    assert_refused(&b, "add_bos_token");
    b = sound;
    b.model = "bert"; /* 100 and so on are beyond the vocabulary, byte tokens unknown */
    assert_refused(&b, "kind 6");
    b.kind = 1;
    assert_refused(&b, "unknown");
    b.role = "tokenizer.ggml.unknown_token_id";
    b.role_id = 0;
    assert_refused(&b, "[CLS]");
}

static void test_a_broken_character_map_is_refused_or_an_error(void **state) {
    (void)state;
    error err;
    static const uint8_t cut[] = {8, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t odd[] = {3, 0, 0, 0, 0, 0, 0, 0};
    static const uint8_t unended[] = {4, 0, 0, 0, 0, 0, 0, 0, 'a'};
    static const uint8_t empty[] = {0, 0, 0, 0, 0};
    const slice refused[] = {slice_of(cut, 2), slice_of(cut, sizeof cut), slice_of(odd, sizeof odd),
                             slice_of(unended, sizeof unended), slice_of(empty, sizeof empty)};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        broken b = sound;
        b.map = refused[i];
        assert_refused(&b, "precompiled_charsmap");
    }
    /* The root's offset leads outside; then a leaf does; then a replacement. */
    static const uint32_t wild[][4] = {
        {0xfffffc00, 0, 0, 0}, {'a' << 10, 0, 0, 0}, {('a' ^ 1) << 10, 'a' | 1 << 8 | 1 << 10, 0, 0}};
    for (size_t i = 0; i < 3; i++) {
        uint8_t map[4 + sizeof wild[0] + 1] = {sizeof wild[0]};
        memcpy(map + 4, wild[i], sizeof wild[0]);
        broken b = sound;
        token_list list = {0};
        b.map = slice_of(map, sizeof map);
        tokenizer *t = open_broken(&b, &err);
        assert_non_null(t);
        bool good = tokenizer_encode(t, SLICE_LITERAL("aa"), &list, &err);
        assert_true(good || err.code == ERROR_CORRUPT);
        assert_int_equal(good, i == 1); /* there the unit is no child of the root */
        token_list_free(&list);
        tokenizer_free(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sound_vocabulary_is_read),
        cmocka_unit_test(test_tokens_and_scores_must_hold_together),
        cmocka_unit_test(test_roles_and_wishes_must_name_tokens),
        cmocka_unit_test(test_a_broken_character_map_is_refused_or_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
