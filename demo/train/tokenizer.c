#include "tokenizer.h"

static bool is_letter(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c >= 0x80;
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool is_mark(uint8_t c) {
    return !is_letter(c) && !is_digit(c) && !is_space(c);
}

static size_t run_length(slice text, size_t start, bool (*belongs)(uint8_t)) {
    size_t end = start;
    while (end < text.length && belongs(text.data[end])) {
        end++;
    }
    return end - start;
}

/* 's|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+ */
size_t tokenizer_split(slice text) {
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    static bool (*const classes[])(uint8_t) = {is_letter, is_digit, is_mark};
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (slice_starts_with(text, slice_of_text(endings[i]))) {
            return strlen(endings[i]);
        }
    }
    size_t lead = text.data[0] == ' ' ? 1 : 0;
    for (size_t i = 0; i < 3; i++) {
        size_t length = run_length(text, lead, classes[i]);
        if (length > 0) {
            return lead + length;
        }
    }
    size_t spaces = run_length(text, 0, is_space);
    return spaces < text.length && spaces > 1 ? spaces - 1 : spaces;
}

bool tokenizer_make(arena *a, const uint16_t (*pairs)[2], uint32_t merges, tokenizer *t, error *err) {
    static const char *const controls[TOKENIZER_CONTROLS] = {"<|endoftext|>", "<|im_start|>", "<|im_end|>"};
    uint32_t first_control = TOKENIZER_BYTES + merges;
    *t = (tokenizer){.vocabulary = first_control + TOKENIZER_CONTROLS,
                     .merges = merges,
                     .end_of_text = first_control,
                     .turn_start = first_control + 1,
                     .turn_end = first_control + 2};
    if (t->vocabulary > TOKENIZER_VOCABULARY_MAX) {
        return error_set(err, ERROR_LIMIT, "a vocabulary of more than %d tokens", TOKENIZER_VOCABULARY_MAX);
    }
    t->pieces = arena_allocate_array(a, t->vocabulary, sizeof *t->pieces);
    t->pairs = arena_allocate_array(a, merges, sizeof *t->pairs);
    t->joined = arena_allocate_array(a, (size_t)t->vocabulary * t->vocabulary, sizeof *t->joined);
    uint8_t *alphabet = arena_allocate(a, TOKENIZER_BYTES);
    if (t->pieces == NULL || t->pairs == NULL || t->joined == NULL || alphabet == NULL) {
        return error_memory(err);
    }
    for (uint32_t i = 0; i < TOKENIZER_BYTES; i++) {
        alphabet[i] = (uint8_t)i;
        t->pieces[i] = slice_of(alphabet + i, 1);
    }
    for (uint32_t i = 0; i < merges; i++) {
        uint32_t left = pairs[i][0];
        uint32_t right = pairs[i][1];
        if (left >= TOKENIZER_BYTES + i || right >= TOKENIZER_BYTES + i) {
            return error_set(err, ERROR_INVALID, "merge %u joins a token that comes after it", i);
        }
        slice first = t->pieces[left];
        slice second = t->pieces[right];
        uint8_t *piece = arena_allocate(a, first.length + second.length);
        if (piece == NULL) {
            return error_memory(err);
        }
        memcpy(piece, first.data, first.length);
        memcpy(piece + first.length, second.data, second.length);
        t->pieces[TOKENIZER_BYTES + i] = slice_of(piece, first.length + second.length);
        t->pairs[i][0] = (uint16_t)left;
        t->pairs[i][1] = (uint16_t)right;
        t->joined[(size_t)left * t->vocabulary + right] = (uint16_t)(TOKENIZER_BYTES + i);
    }
    for (uint32_t i = 0; i < TOKENIZER_CONTROLS; i++) {
        t->pieces[first_control + i] = slice_of_text(controls[i]);
    }
    return true;
}

/* Joins neighbours, the oldest merge first, until none is left. Returns the new length. */
static size_t join(const tokenizer *t, uint32_t *ids, size_t length) {
    for (;;) {
        uint32_t best = UINT32_MAX;
        for (size_t i = 0; i + 1 < length; i++) {
            uint32_t joined = t->joined[(size_t)ids[i] * t->vocabulary + ids[i + 1]];
            best = joined != 0 && joined < best ? joined : best;
        }
        if (best == UINT32_MAX) {
            return length;
        }
        size_t kept = 0;
        for (size_t i = 0; i < length; i++) {
            bool joins = i + 1 < length && t->joined[(size_t)ids[i] * t->vocabulary + ids[i + 1]] == best;
            ids[kept++] = joins ? best : ids[i];
            i += joins ? 1 : 0;
        }
        length = kept;
    }
}

bool tokenizer_encode(const tokenizer *t, slice text, uint32_t *ids, size_t *count, size_t capacity) {
    while (text.length > 0) {
        size_t length = tokenizer_split(text);
        if (length > capacity - *count) {
            return false;
        }
        for (size_t i = 0; i < length; i++) {
            ids[*count + i] = text.data[i];
        }
        *count += join(t, ids + *count, length);
        text = slice_after(text, length);
    }
    return true;
}
