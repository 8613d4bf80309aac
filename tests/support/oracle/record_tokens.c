#include "llamacpp.h"
#include "os/file.h"
#include "vocabulary_file.h"

#include <stdio.h>

/* Records what llama.cpp makes of texts, for the tests of the tokenizers: record_tokens LIBRARIES TEXTS
 * FOLDER writes FOLDER/KIND.txt for each kind of vocabulary_file.h. A line for each line of TEXTS: its
 * tokens, and behind a bar those with special tokens recognised, where they differ. */
enum { PATH_SIZE = 4096, TOKENS_MAX = 4096, FILE_MAX = 1 << 20 };

static bool append_tokens(llamacpp *l, const char *text, bool special, buffer *line, error *err) {
    static uint32_t tokens[TOKENS_MAX];
    size_t count = 0;
    if (!llamacpp_tokenize(l, slice_of_text(text), false, special, tokens, TOKENS_MAX, &count, err)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        buffer_append_format(line, "%s%u", i == 0 ? "" : " ", tokens[i]);
    }
    return true;
}

static bool record_text(llamacpp *l, const char *text, buffer *output, error *err) {
    buffer plain = buffer_make(FILE_MAX);
    buffer special = buffer_make(FILE_MAX);
    bool good = append_tokens(l, text, false, &plain, err) && append_tokens(l, text, true, &special, err);
    buffer_append(output, buffer_slice(&plain));
    if (!slice_equal(buffer_slice(&plain), buffer_slice(&special))) {
        buffer_append_text(output, "|");
        buffer_append(output, buffer_slice(&special));
    }
    buffer_append_text(output, "\n");
    buffer_free(&plain);
    buffer_free(&special);
    return good;
}

static bool record(const char *libraries, const char *kind, const vocabulary_texts *texts, const char *folder,
                   error *err) {
    char model[PATH_SIZE];
    char path[PATH_SIZE];
    buffer file;
    buffer output = buffer_make(FILE_MAX);
    snprintf(model, sizeof model, "%s/%s.gguf", folder, kind);
    snprintf(path, sizeof path, "%s/%s.txt", folder, kind);
    vocabulary_file_make(kind, texts, &file);
    bool good = file_write_atomic(model, buffer_slice(&file), 0600, err);
    llamacpp_setup setup = {.folder = libraries, .model = model, .threads = 1, .vocabulary_only = true};
    llamacpp *l = good ? llamacpp_open(&setup, err) : NULL;
    for (size_t i = 0; l != NULL && good && i < texts->count; i++) {
        good = record_text(l, texts->texts[i], &output, err);
    }
    good = good && l != NULL && file_write_atomic(path, buffer_slice(&output), 0644, err);
    llamacpp_close(l);
    remove(model);
    buffer_free(&file);
    buffer_free(&output);
    return good;
}

int main(int argc, char **argv) {
    static vocabulary_texts texts;
    error err;
    buffer lines = buffer_make(FILE_MAX);
    if (argc != 4) {
        fprintf(stderr, "usage: record_tokens LIBRARIES TEXTS FOLDER\n");
        return 2;
    }
    bool good = file_read_all(argv[2], &lines, &err);
    if (good) {
        vocabulary_texts_read(&texts, buffer_slice(&lines));
    }
    for (size_t i = 0; good && vocabulary_kinds[i] != NULL; i++) {
        good = record(argv[1], vocabulary_kinds[i], &texts, argv[3], &err);
    }
    if (!good) {
        fprintf(stderr, "record_tokens: %s\n", err.text);
    }
    buffer_free(&lines);
    return good ? 0 : 1;
}
