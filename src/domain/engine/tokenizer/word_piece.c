#include "base/memory.h"
#include "method.h"
#include "unicode.h"
#include "utf8.h"

/* BERT's normalisation (Devlin et al. 2018, tokenization.py): control characters go, accents go, letters
 * become small; words end at spaces, and punctuation and ideographs are words of their own. */

bool word_piece_read(word_piece *w, const vocabulary *v, const gguf *file, error *err) {
    *w = (word_piece){.v = v, .lowers = true};
    if (v->roles[TOKEN_UNKNOWN] == NO_TOKEN) {
        return error_set(err, ERROR_CORRUPT, "the vocabulary has no token for what is unknown");
    }
    if (!tokenizer_read_flag(file, "tokenizer.ggml.normalizer.lowercase", &w->lowers, err)) {
        return false;
    }
    w->strips_accents = w->lowers;
    return tokenizer_read_flag(file, "tokenizer.ggml.normalizer.strip_accents", &w->strips_accents, err);
}

/* The longest token at the front of `text`. */
static uint32_t longest(const trie *t, slice text, size_t *length) {
    uint32_t node = 0;
    uint32_t token = NO_TOKEN;
    for (size_t i = 0; i < text.length; i++) {
        node = trie_step(t, node, text.data[i]);
        if (node == TRIE_NOWHERE) {
            break;
        }
        if (t->nodes[node].token != NO_TOKEN) {
            token = t->nodes[node].token;
            *length = i + 1;
        }
    }
    return token;
}

/* Appends the word's tokens, or the unknown one if they don't make up all of it; empties it. */
static bool encode_word(const word_piece *w, buffer *word, token_list *list, error *err) {
    slice rest = buffer_slice(word);
    size_t before = list->count;
    if (rest.length <= SPACE_MARK_LENGTH) {
        return true;
    }
    while (rest.length > 0) {
        size_t length = 0;
        uint32_t token = longest(&w->v->normal, rest, &length);
        if (token == NO_TOKEN) {
            list->count = before;
            token = w->v->roles[TOKEN_UNKNOWN];
            length = rest.length;
        }
        if (!token_list_append(list, token, err)) {
            return false;
        }
        rest = slice_after(rest, length);
    }
    buffer_truncate(word, SPACE_MARK_LENGTH);
    return true;
}

/* `word` always begins with a mark. */
static bool add_character(const word_piece *w, uint32_t character, buffer *word, token_list *list,
                          error *err) {
    uint8_t bytes[4];
    character = w->lowers ? unicode_to_lower(character) : character;
    slice written = slice_of(bytes, utf8_write(character, bytes));
    bool alone = unicode_is_punctuation(character) || unicode_is_ideograph(character);
    if (alone && !encode_word(w, word, list, err)) {
        return false;
    }
    if (!buffer_append(word, written)) {
        return error_memory(err);
    }
    return !alone || encode_word(w, word, list, err);
}

static bool encode_character(const word_piece *w, uint32_t character, buffer *word, token_list *list,
                             error *err) {
    if (unicode_is_space(character)) {
        return encode_word(w, word, list, err);
    }
    if (character == 0xfffd || unicode_is_control(character)) {
        return true;
    }
    uint32_t bases[UNICODE_BASES_MAX] = {character};
    size_t count = w->strips_accents ? unicode_base(character, bases) : 1;
    for (size_t i = 0; i < count; i++) {
        if (!add_character(w, bases[i], word, list, err)) {
            return false;
        }
    }
    return true;
}

bool word_piece_encode(const word_piece *w, slice text, token_list *list, error *err) {
    buffer word = buffer_make(SIZE_MAX);
    bool good = buffer_append_text(&word, SPACE_MARK) || error_memory(err);
    while (good && text.length > 0) {
        size_t step = 0;
        uint32_t character = 0;
        bool whole = utf8_next(text, &step, &character) == UTF8_WHOLE; /* what is no character goes */
        good = !whole || encode_character(w, character, &word, list, err);
        text = slice_after(text, step);
    }
    good = good && encode_word(w, &word, list, err);
    buffer_wipe(&word);
    return good;
}
