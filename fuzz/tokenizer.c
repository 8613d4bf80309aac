#include "../src/domain/engine/tokenizer/tokenizer.h"

#include "base/buffer.h"

#include <stdlib.h>

/* Any text: the first byte chooses the pre-tokenizer, the rest is encoded and must decode to itself. The
 * vocabulary is the 256 bytes and five merged tokens. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put(buffer *b, uint64_t value, size_t size) {
    for (size_t i = 0; i < size; i++) {
        buffer_append_byte(b, (uint8_t)(value >> (8 * i)));
    }
}

static void put_text(buffer *b, const char *text) {
    put(b, strlen(text), 8);
    buffer_append_text(b, text);
}

/* The letter that GPT-2 writes a byte as. */
static const char *letter(unsigned byte, char text[3]) {
    unsigned character = 256;
    for (unsigned b = 0; b <= byte; b++) {
        bool printed = (b >= '!' && b <= '~') || (b >= 0xa1 && b <= 0xac) || b >= 0xae;
        if (b == byte && printed) {
            character = b;
        } else if (b < byte && !printed) {
            character++;
        }
    }
    memset(text, 0, 3);
    text[0] = (char)(character < 128 ? character : 0xc0 | character >> 6);
    text[1] = (char)(character < 128 ? 0 : 0x80 | (character & 0x3f));
    return text;
}

static void put_array(buffer *b, const char *key, uint32_t type, uint64_t count) {
    put_text(b, key);
    put(b, 9, 4);
    put(b, type, 4);
    put(b, count, 8);
}

static void write_vocabulary(buffer *b, const char *pretokenizer) {
    static const char *const merged[] = {"he", "\xc4\xa0t", "the", "\xc4\xa0the", "ll"};
    static const char *const merges[] = {"h e", "\xc4\xa0 t", "t he", "\xc4\xa0t he", "l l"};
    char text[3];
    buffer_append_text(b, "GGUF");
    put(b, 3, 4);
    put(b, 0, 8);
    put(b, 5, 8);
    put_text(b, "tokenizer.ggml.model");
    put(b, 8, 4);
    put_text(b, "gpt2");
    put_text(b, "tokenizer.ggml.pre");
    put(b, 8, 4);
    put_text(b, pretokenizer);
    put_array(b, "tokenizer.ggml.tokens", 8, 256 + 5);
    for (unsigned id = 0; id < 256 + 5; id++) {
        put_text(b, id < 256 ? letter(id, text) : merged[id - 256]);
    }
    put_array(b, "tokenizer.ggml.token_type", 5, 256 + 5);
    for (unsigned id = 0; id < 256 + 5; id++) {
        put(b, 1, 4);
    }
    put_array(b, "tokenizer.ggml.merges", 8, 5);
    for (size_t i = 0; i < 5; i++) {
        put_text(b, merges[i]);
    }
}

static tokenizer *make(const char *pretokenizer) {
    error err;
    buffer b = buffer_make(1 << 16);
    write_vocabulary(&b, pretokenizer);
    slice bytes = buffer_slice(&b);
    gguf *file = gguf_open(&bytes, 1, &err);
    tokenizer *t = file == NULL ? NULL : tokenizer_new(file, &err);
    if (t == NULL) {
        abort();
    }
    gguf_free(file);
    buffer_free(&b);
    return t;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static tokenizer *kinds[3];
    error err;
    token_list list = {0};
    if (size == 0) {
        return 0;
    }
    if (kinds[0] == NULL) {
        kinds[0] = make("gpt-2");
        kinds[1] = make("smollm");
        kinds[2] = make("qwen2");
    }
    const tokenizer *t = kinds[data[0] % 3];
    slice rest = slice_of(data + 1, size - 1);
    if (!tokenizer_encode(t, rest, &list, &err)) {
        abort();
    }
    for (size_t i = 0; i < list.count; i++) {
        slice bytes = tokenizer_bytes(t, list.ids[i]);
        if (bytes.length == 0 || !slice_starts_with(rest, bytes)) {
            abort();
        }
        rest = slice_after(rest, bytes.length);
    }
    if (rest.length > 0) {
        abort();
    }
    token_list_free(&list);
    return 0;
}
