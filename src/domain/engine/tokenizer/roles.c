#include "vocabulary.h"

#include <stdio.h>

/* Spellings at which answers end, in the order in which they are taken for the end of a turn when the file
 * names none (llama.cpp, llama-vocab.cpp). The last ones end answers only. */
static const char *const end_spellings[] = {
    "<|eot_id|>",         "<|im_end|>",   "<|end|>",     "<end_of_turn>", "<|endoftext|>",
    "<|end_of_text|>",    "<EOT>",        "_<EOT>",      "[EOT]",         "<｜end▁of▁sentence｜>",
    "<end_of_utterance>", "<|eom_id|>",   "<|return|>",  "<|call|>",      "<|flush|>",
    "<|calls|>",          "</s>",         "<eos>",       "[EOS]",         "<|fim_pad|>",
    "<|repo_name|>",      "<|fim_repo|>", "<|file_sep|>"};
enum { END_SPELLINGS = sizeof end_spellings / sizeof end_spellings[0], TURN_END_SPELLINGS = 11 };

bool vocabulary_is_end_spelling(slice text) {
    size_t i = 0;
    while (i < END_SPELLINGS && !slice_equal_text(text, end_spellings[i])) {
        i++;
    }
    return i < END_SPELLINGS;
}

static const char *const role_names[TOKEN_ROLES] = {"bos",       "eos",     "eot", "unknown",
                                                    "seperator", "padding", "mask"}; /* sic */

/* What files leave out because it has always been so. */
static const struct {
    const char *model;
    uint32_t ids[TOKEN_ROLES];
} defaults[] = {
    {"llama", {1, 2, NO_TOKEN, 0, NO_TOKEN, NO_TOKEN, NO_TOKEN}},
    {"t5", {NO_TOKEN, 1, NO_TOKEN, 2, NO_TOKEN, 0, NO_TOKEN}},
    {"bert", {101, NO_TOKEN, NO_TOKEN, 100, 102, 0, 103}},
    {"gpt2", {NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN, NO_TOKEN}},
};

static bool read_role(vocabulary *v, const char *name, uint32_t *id, const gguf *file, error *err) {
    char key[64];
    snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", name);
    if (!gguf_has(file, key)) {
        *id = *id < v->count ? *id : NO_TOKEN;
        return true;
    }
    return gguf_u32(file, key, id, err) &&
           (*id < v->count ||
            error_set(err, ERROR_CORRUPT, "key '%s' names a token that the vocabulary lacks", key));
}

static void add_end(vocabulary *v, uint32_t id) {
    bool known = id == NO_TOKEN || v->end_count == TOKEN_ENDS_MAX;
    for (size_t i = 0; i < v->end_count; i++) {
        known = known || v->ends[i] == id;
    }
    if (!known) {
        v->ends[v->end_count++] = id;
    }
}

/* The spelling is text for a token of another kind: in some vocabularies "</s>" is an HTML tag. */
static uint32_t find_control(const vocabulary *v, const char *spelling) {
    uint32_t id = trie_find(&v->special, slice_of_text(spelling));
    return id != NO_TOKEN && v->kinds[id] == KIND_CONTROL ? id : NO_TOKEN;
}

bool vocabulary_read_roles(vocabulary *v, const char *model, const gguf *file, error *err) {
    size_t kind = 0;
    while (strcmp(defaults[kind].model, model) != 0) {
        kind++;
    }
    for (size_t role = 0; role < TOKEN_ROLES; role++) {
        v->roles[role] = defaults[kind].ids[role];
        if (!read_role(v, role_names[role], &v->roles[role], file, err)) {
            return false;
        }
    }
    uint32_t message_end = NO_TOKEN;
    bool has_class = v->form == VOCABULARY_WORDS && !gguf_has(file, "tokenizer.ggml.bos_token_id");
    if (!read_role(v, "eom", &message_end, file, err) ||
        (has_class && !read_role(v, "cls", &v->roles[TOKEN_FIRST], file, err))) {
        return false;
    }
    for (size_t i = 0; i < TURN_END_SPELLINGS && v->roles[TOKEN_TURN_END] == NO_TOKEN; i++) {
        v->roles[TOKEN_TURN_END] = find_control(v, end_spellings[i]);
    }
    add_end(v, v->roles[TOKEN_END]);
    add_end(v, v->roles[TOKEN_TURN_END]);
    add_end(v, message_end);
    for (size_t i = 0; i < END_SPELLINGS; i++) {
        add_end(v, find_control(v, end_spellings[i]));
    }
    return true;
}
