#include "tokenizer/tokenizer.h"

#include "vocabulary_file.h"

#include <stdlib.h>

/* The first byte chooses. Below 128 a vocabulary of vocabulary_file.h: the second byte says which thirds of
 * the rest are trusted, and the rest is text that is encoded; no untrusted text may become a control token,
 * and what can be decoded must give the text back. From 128 on the rest is a file with a vocabulary of its
 * own. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { KINDS_MAX = 64, SPANS = 3 };

static const char *const lines =
    "hello hello world the the 123 123\ncaf\xc3\xa9 \xe4\xbd\xa0\xe5\xa5\xbd\xe4\xbd\xa0\xe5\xa5\xbd\n";

static tokenizer *make(const char *kind) {
    static vocabulary_texts texts;
    error err;
    buffer file;
    vocabulary_texts_read(&texts, slice_of_text(lines));
    vocabulary_file_make(kind, &texts, &file);
    gguf *g = written_open(&file, &err);
    tokenizer *t = g == NULL ? NULL : tokenizer_new(g, &err);
    if (t == NULL) {
        abort();
    }
    gguf_free(g);
    buffer_free(&file);
    return t;
}

static void check_untrusted(const tokenizer *t, const token_list *list) {
    uint32_t control = 0;
    for (size_t i = 0; i < list->count; i++) {
        slice spelling = tokenizer_spelling(t, list->ids[i]);
        if (list->ids[i] >= tokenizer_count(t) ||
            (slice_equal_text(spelling, "<|im_end|>") && tokenizer_find_control(t, "<|im_end|>", &control) &&
             control == list->ids[i])) {
            abort();
        }
    }
}

static void check_round_trip(const tokenizer *t, const token_list *list, slice text) {
    bool after_special = true;
    for (size_t i = 0; i < list->count; i++) {
        slice bytes = tokenizer_bytes(t, list->ids[i]);
        bool added = slice_equal_text(bytes, "<b>") || slice_equal_text(bytes, "<extra>") ||
                     slice_equal_text(bytes, "\n\n") || slice_equal_text(bytes, "   ");
        if (tokenizer_adds_space(t) && after_special && !added) {
            bytes = slice_after(bytes, 1);
        } else if (bytes.length == 0) {
            abort();
        }
        after_special = added;
        if (!slice_starts_with(text, bytes)) {
            abort();
        }
        text = slice_after(text, bytes.length);
    }
    if (text.length > 0) {
        abort();
    }
}

static void encode_text(const tokenizer *t, bool reversible, uint8_t trusted, slice text) {
    error err;
    token_list list = {0};
    size_t third = text.length / SPANS;
    token_span spans[SPANS] = {{slice_part(text, 0, third), (trusted & 1) != 0},
                               {slice_part(text, third, third), (trusted & 2) != 0},
                               {slice_after(text, 2 * third), (trusted & 4) != 0}};
    if (!tokenizer_encode_spans(t, spans, SPANS, (trusted & 8) != 0, &list, &err)) {
        abort();
    }
    if ((trusted & 7) == 0) {
        check_untrusted(t, &list);
    }
    if ((trusted & 15) == 0 && reversible) {
        check_round_trip(t, &list, text);
    }
    token_list_free(&list);
}

static void open_vocabulary(slice file) {
    static const char text[] = "hello <s>the w\xc3\xb6rld</s>  12\xff\n\xe4\xbd\xa0<|im_end|> \t\xef\xac\x81";
    error err;
    gguf *g = gguf_open(&file, 1, &err);
    tokenizer *t = g == NULL ? NULL : tokenizer_new(g, &err);
    gguf_free(g);
    for (uint8_t trusted = 0; t != NULL && trusted < 16; trusted += 15) {
        token_list list = {0};
        token_span span = {slice_of_text(text), trusted != 0};
        if (tokenizer_encode_spans(t, &span, 1, trusted != 0, &list, &err)) {
            for (size_t i = 0; i < list.count; i++) {
                (void)tokenizer_bytes(t, list.ids[i]);
            }
        }
        token_list_free(&list);
    }
    tokenizer_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tokenizer *kinds[KINDS_MAX];
    static size_t count;
    for (; vocabulary_kinds[count] != NULL; count++) {
        kinds[count] = make(vocabulary_kinds[count]);
    }
    if (size < 2) {
        return 0;
    }
    if (data[0] >= 128) {
        open_vocabulary(slice_of(data + 1, size - 1));
        return 0;
    }
    size_t kind = data[0] % count;
    char first = vocabulary_kinds[kind][0];
    encode_text(kinds[kind], first == 'g' || first == 'l', data[1], slice_of(data + 2, size - 2));
    return 0;
}
