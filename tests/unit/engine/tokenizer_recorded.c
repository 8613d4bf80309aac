#include "tokenizer/tokenizer.h"

#include "unit.h"

#include "os/file.h"
#include "vocabulary_file.h"

#include <stdlib.h>

/* Each kind of tokenizer against what llama.cpp made of the same texts with the same vocabulary
 * (tests/support/oracle/record_tokens.c wrote the files). */
enum { PATH_SIZE = 4096, FILE_MAX = 1 << 20, LINE_MAX_SIZE = 8192 };

static vocabulary_texts texts;

static void read_file(const char *name, buffer *content) {
    error err;
    char path[PATH_SIZE];
    const char *root = getenv("CELLULE_SOURCE");
    *content = buffer_make(FILE_MAX);
    snprintf(path, sizeof path, "%s/tests/unit/engine/tokenizer/%s", root == NULL ? "." : root, name);
    if (!file_read_all(path, content, &err)) {
        fail_msg("%s", err.text);
    }
}

static tokenizer *make(const char *kind) {
    error err;
    buffer file;
    vocabulary_file_make(kind, &texts, &file);
    gguf *g = written_open(&file, &err);
    assert_non_null(g);
    tokenizer *t = tokenizer_new(g, &err);
    if (t == NULL) {
        fail_msg("%s: %s", kind, err.text);
    }
    gguf_free(g);
    buffer_free(&file);
    return t;
}

static void tell(const token_list *list, char line[LINE_MAX_SIZE]) {
    size_t used = 0;
    line[0] = 0;
    for (size_t i = 0; i < list->count; i++) {
        used += (size_t)snprintf(line + used, LINE_MAX_SIZE - used, "%s%u", i == 0 ? "" : " ", list->ids[i]);
        assert_true(used < LINE_MAX_SIZE);
    }
}

/* Where the reference is knowingly not followed: it drops spacing marks where BERT keeps them; its
 * expressions for cased words have no marks, which those of the models do; and phi3's plain added tokens
 * would swallow text of users. */
static bool is_exception(const char *kind, const char *text) {
    bool cased = strcmp(kind, "gpt2.gpt-4o") == 0 || strcmp(kind, "gpt2.tekken") == 0;
    bool lowered = strcmp(kind, "bert") == 0;
    bool stripped = strcmp(kind, "llama.phi3") == 0;
    return ((cased || lowered) && strstr(text, "नमस्ते") != NULL) ||
           (lowered && strstr(text, "বাংলা") != NULL) || (stripped && strstr(text, "<b> ") != NULL);
}

static size_t compare(const tokenizer *t, const char *kind, const char *text, bool trusted, slice expected) {
    error err;
    char line[LINE_MAX_SIZE];
    token_list list = {0};
    token_span span = {slice_of_text(text), trusted};
    assert_true(tokenizer_encode_spans(t, &span, 1, false, &list, &err));
    tell(&list, line);
    token_list_free(&list);
    if (slice_equal_text(expected, line) == !is_exception(kind, text)) {
        return 0;
    }
    print_error("%s, %s '%s':\n  recorded %.*s\n  here     %s\n", kind, trusted ? "trusted" : "plain", text,
                SLICE_FORMAT(expected), line);
    return 1;
}

static void test_texts_give_the_recorded_tokens(void **state) {
    (void)state;
    size_t wrong = 0;
    for (size_t k = 0; vocabulary_kinds[k] != NULL; k++) {
        char name[128];
        buffer recorded;
        tokenizer *t = make(vocabulary_kinds[k]);
        snprintf(name, sizeof name, "%s.txt", vocabulary_kinds[k]);
        read_file(name, &recorded);
        slice rest = buffer_slice(&recorded);
        for (size_t i = 0; i < texts.count; i++) {
            size_t end = slice_find(rest, '\n');
            assert_true(end != SIZE_MAX);
            slice line = slice_part(rest, 0, end);
            rest = slice_after(rest, end + 1);
            size_t bar = slice_find(line, '|');
            wrong += compare(t, vocabulary_kinds[k], texts.texts[i], false, slice_part(line, 0, bar));
            wrong += compare(t, vocabulary_kinds[k], texts.texts[i], true,
                             bar == SIZE_MAX ? line : slice_after(line, bar + 1));
        }
        assert_int_equal(rest.length, 0);
        buffer_free(&recorded);
        tokenizer_free(t);
    }
    assert_int_equal(wrong, 0);
}

int main(void) {
    buffer lines;
    read_file("texts.txt", &lines);
    vocabulary_texts_read(&texts, buffer_slice(&lines));
    buffer_free(&lines);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_texts_give_the_recorded_tokens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
