#include "model_file.h"

#include "tokenizer/utf8.h"

#include <stdio.h>

/* The 256 letters, five merges of them, the markers, and unused tokens up to MODEL_VOCABULARY. */
void model_vocabulary_write(gguf_writer *w, const char *pretokenizer) {
    static const char *const merged[] = {"he", "\xc4\xa0t", "the", "\xc4\xa0the", "ll"};
    static const char *const merges[] = {"h e", "\xc4\xa0 t", "t he", "\xc4\xa0t he", "l l"};
    static const char *const controls[] = {"<|im_start|>", "<|im_end|>", "<|endoftext|>"};
    static char letters[MODEL_VOCABULARY][8];
    const char *texts[MODEL_VOCABULARY];
    int32_t kinds[MODEL_VOCABULARY];
    uint32_t next = 256;
    for (uint32_t id = 0; id < MODEL_VOCABULARY; id++) {
        bool printed = (id >= '!' && id <= '~') || (id >= 0xa1 && id <= 0xac) || (id >= 0xae && id <= 0xff);
        memset(letters[id], 0, sizeof letters[id]);
        if (id < 256) {
            utf8_write(printed ? id : next++, (uint8_t *)letters[id]);
            texts[id] = letters[id];
        } else if (id < MODEL_MESSAGE_START) {
            texts[id] = merged[id - 256];
        } else if (id <= MODEL_END) {
            texts[id] = controls[id - MODEL_MESSAGE_START];
        } else {
            snprintf(letters[id], sizeof letters[id], "u%u", id);
            texts[id] = letters[id];
        }
        kinds[id] = id < MODEL_MESSAGE_START ? 1 : id <= MODEL_END ? 3 : 5;
    }
    writer_text(w, "tokenizer.ggml.model", "gpt2");
    writer_text(w, "tokenizer.ggml.pre", pretokenizer);
    writer_texts(w, "tokenizer.ggml.tokens", texts, MODEL_VOCABULARY);
    writer_i32s(w, "tokenizer.ggml.token_type", kinds, MODEL_VOCABULARY);
    writer_texts(w, "tokenizer.ggml.merges", merges, sizeof merges / sizeof merges[0]);
    writer_u32(w, "tokenizer.ggml.eos_token_id", MODEL_END);
    writer_bool(w, "tokenizer.ggml.add_bos_token", false);
}
