#include "syntax.h"
#include "template.h"
#include "tokenizer/utf8.h"

#include <errno.h>

/* Whitespace control as in Jinja with trim_blocks and lstrip_blocks: a block or comment tag takes the newline
 * behind it and the blanks before it on its line; `-` takes all whitespace on its side, `+` leaves all. */
typedef struct lexer {
    slice source;
    size_t position;
    uint32_t line;
    arena *memory;
    lexeme *lexemes;
    size_t count;
    size_t capacity;
    bool line_starts; /* what was read last ended a line, or nothing was read */
    error *err;
} lexer;

enum { BRACES_MAX = 256 };

static bool fail(const lexer *x, const char *what) {
    return error_set(x->err, ERROR_INVALID, "the chat template can't be read: line %u: %s", x->line, what);
}

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r') || (c >= 0x1c && c <= 0x1f);
}

static bool is_digit(uint8_t c) {
    return c >= '0' && c <= '9';
}

static bool is_letter(uint8_t c) {
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static uint8_t peek(const lexer *x, size_t ahead) {
    size_t at = x->position + ahead;
    return at < x->source.length ? x->source.data[at] : 0;
}

static bool stands(const lexer *x, size_t at, const char *text) {
    return slice_starts_with(slice_after(x->source, at), slice_of_text(text));
}

static void skip(lexer *x, size_t length) {
    for (size_t i = 0; i < length; i++) {
        x->line += x->source.data[x->position + i] == '\n' ? 1 : 0;
    }
    x->position += length;
}

static void skip_space(lexer *x) {
    while (x->position < x->source.length && is_space(peek(x, 0))) {
        skip(x, 1);
    }
}

static bool append(lexer *x, lexeme_kind kind, slice text) {
    if (x->count == x->capacity) {
        if (x->capacity >= TEMPLATE_NODES_MAX) {
            return error_set(x->err, ERROR_LIMIT, "the chat template has more than %d words",
                             TEMPLATE_NODES_MAX);
        }
        size_t capacity = x->capacity == 0 ? 256 : x->capacity * 2;
        lexeme *grown = arena_allocate_array(x->memory, capacity, sizeof *grown);
        if (grown == NULL) {
            return error_memory(x->err);
        }
        if (x->count > 0) {
            memcpy(grown, x->lexemes, x->count * sizeof *grown);
        }
        x->lexemes = grown;
        x->capacity = capacity;
    }
    x->lexemes[x->count++] = (lexeme){kind, x->line, text};
    return true;
}

/* Line ends become \n, and one at the very end is dropped. */
static bool copy_source(lexer *x, slice source) {
    uint8_t *copy = arena_allocate(x->memory, source.length + 1);
    if (copy == NULL) {
        return error_memory(x->err);
    }
    size_t length = 0;
    for (size_t i = 0; i < source.length; i++) {
        bool ends = source.data[i] == '\r';
        copy[length++] = ends ? '\n' : source.data[i];
        i += ends && i + 1 < source.length && source.data[i + 1] == '\n' ? 1 : 0;
    }
    length -= length > 0 && copy[length - 1] == '\n' ? 1 : 0;
    x->source = slice_of(copy, length);
    return true;
}

/* The text from `start` to where a tag with `sign` begins. `strips` is false for a print tag without a sign.
 */
static bool append_data(lexer *x, size_t start, uint8_t sign, bool strips) {
    slice text = slice_part(x->source, start, x->position - start);
    if (sign == '-') {
        while (text.length > 0 && is_space(text.data[text.length - 1])) {
            text.length--;
        }
    } else if (sign != '+' && strips) {
        size_t end = text.length;
        while (end > 0 && is_space(text.data[end - 1]) && text.data[end - 1] != '\n') {
            end--;
        }
        bool whole_line = end > 0 ? text.data[end - 1] == '\n' : x->line_starts;
        text.length = whole_line ? end : text.length;
    }
    return text.length == 0 || append(x, LEXEME_DATA, text);
}

/* Behind a tag's end of two characters, of which `sign` stands before. */
static void leave_tag(lexer *x, uint8_t sign, bool trims) {
    size_t start = x->position;
    skip(x, (sign == 0 ? 0 : 1) + 2);
    if (sign == '-') {
        skip_space(x);
    } else if (sign == 0 && trims && peek(x, 0) == '\n') {
        skip(x, 1);
    }
    x->line_starts = x->position > start && x->source.data[x->position - 1] == '\n';
}

static bool read_comment(lexer *x) {
    while (x->position < x->source.length) {
        uint8_t sign = peek(x, 0) == '-' || peek(x, 0) == '+' ? peek(x, 0) : 0;
        if (stands(x, x->position + (sign == 0 ? 0 : 1), "#}")) {
            leave_tag(x, sign, true);
            return true;
        }
        skip(x, 1);
    }
    return fail(x, "a comment isn't closed by #}");
}

static uint32_t hexadecimal(slice text, size_t start, size_t count, bool *good) {
    uint32_t value = 0;
    for (size_t i = start; i < start + count; i++) {
        uint8_t c = i < text.length ? text.data[i] : 0;
        uint8_t low = (uint8_t)(c | 0x20);
        bool letter = low >= 'a' && low <= 'f';
        *good = *good && (is_digit(c) || letter);
        value = value * 16 + (uint32_t)(is_digit(c) ? c - '0' : letter ? low - 'a' + 10 : 0);
    }
    return value;
}

/* One escape of Python's string literals; `*at` is behind the backslash. */
static bool read_escape(lexer *x, slice text, size_t *at, uint8_t *out, size_t *length) {
    static const char names[] = "\\'\"abfnrtv";
    static const char values[] = "\\'\"\a\b\f\n\r\t\v";
    uint8_t c = text.data[*at];
    const char *found = strchr(names, c);
    bool good = true;
    size_t digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (c != 0 && found != NULL) {
        out[(*length)++] = (uint8_t)values[found - names];
        *at += 1;
        return true;
    }
    if (c == '\n') { /* the line goes on */
        *at += 1;
        return true;
    }
    if (digits > 0) {
        uint32_t character = hexadecimal(text, *at + 1, digits, &good);
        if (!good || character > 0x10ffff || (character >= 0xd800 && character < 0xe000)) {
            return fail(x, "an escape in a string names no character");
        }
        *length += utf8_write(character, out + *length);
        *at += 1 + digits;
        return true;
    }
    if ((c >= '0' && c <= '7') || c == 'N') {
        return fail(x, "octal and named characters in strings are not supported");
    }
    out[(*length)++] = '\\'; /* not an escape: both characters stay */
    return true;
}

static bool read_string(lexer *x) {
    uint8_t quote = peek(x, 0);
    size_t end = x->position + 1;
    while (end < x->source.length && x->source.data[end] != quote) {
        end += x->source.data[end] == '\\' ? 2 : 1;
    }
    if (end >= x->source.length) {
        return fail(x, "a string isn't closed");
    }
    slice text = slice_part(x->source, x->position + 1, end - x->position - 1);
    uint8_t *out = arena_allocate(x->memory, text.length + 1);
    if (out == NULL) {
        return error_memory(x->err);
    }
    size_t length = 0;
    for (size_t i = 0; i < text.length;) {
        if (text.data[i] != '\\' || i + 1 == text.length) {
            out[length++] = text.data[i++];
            continue;
        }
        i++;
        if (!read_escape(x, text, &i, out, &length)) {
            return false;
        }
    }
    if (!append(x, LEXEME_TEXT, slice_of(out, length))) {
        return false;
    }
    skip(x, end + 1 - x->position);
    return true;
}

static size_t digits_from(const lexer *x, size_t ahead) {
    size_t i = ahead;
    while (is_digit(peek(x, i)) || (peek(x, i) == '_' && i > ahead && is_digit(peek(x, i + 1)))) {
        i++;
    }
    return i - ahead;
}

static bool read_number(lexer *x) {
    size_t length = digits_from(x, 0);
    bool whole = true;
    size_t fraction = peek(x, length) == '.' ? digits_from(x, length + 1) : 0;
    if (fraction > 0) {
        length += 1 + fraction;
        whole = false;
    }
    if ((peek(x, length) | 0x20) == 'e') {
        size_t sign = peek(x, length + 1) == '+' || peek(x, length + 1) == '-' ? 1 : 0;
        size_t exponent = digits_from(x, length + 1 + sign);
        length += exponent > 0 ? 1 + sign + exponent : 0;
        whole = whole && exponent == 0;
    }
    if (is_letter(peek(x, length)) || (whole && length > 1 && peek(x, 0) == '0')) {
        return fail(x, "a number is written in a way that this engine doesn't read");
    }
    slice text = slice_part(x->source, x->position, length);
    skip(x, length);
    return append(x, whole ? LEXEME_INTEGER : LEXEME_FLOAT, text);
}

static size_t operator_length(const lexer *x) {
    static const char *const pairs[] = {"//", "**", "==", "!=", "<=", ">="};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        if (stands(x, x->position, pairs[i])) {
            return 2;
        }
    }
    return peek(x, 0) != 0 && strchr("+-/*%~[](){}<>=.:|,;", peek(x, 0)) != NULL ? 1 : 0;
}

static bool read_operator(lexer *x, char braces[BRACES_MAX], size_t *depth) {
    static const char opening[] = "([{";
    static const char closing[] = ")]}";
    size_t length = operator_length(x);
    if (length == 0) {
        return fail(x, "a character has no meaning here");
    }
    uint8_t c = peek(x, 0);
    const char *opens = length == 1 ? strchr(opening, c) : NULL;
    if (opens != NULL) {
        if (*depth == BRACES_MAX) {
            return error_set(x->err, ERROR_LIMIT, "the chat template nests more than %d brackets",
                             BRACES_MAX);
        }
        braces[(*depth)++] = closing[opens - opening];
    } else if (length == 1 && strchr(closing, c) != NULL) {
        if (*depth == 0 || braces[*depth - 1] != (char)c) {
            return fail(x, "a bracket is closed that isn't open");
        }
        (*depth)--;
    }
    slice text = slice_part(x->source, x->position, length);
    skip(x, length);
    return append(x, LEXEME_OPERATOR, text);
}

/* What stands within a tag, its end included. */
static bool read_tag(lexer *x, bool block) {
    char braces[BRACES_MAX];
    size_t depth = 0;
    const char *end = block ? "%}" : "}}";
    for (;;) {
        skip_space(x);
        uint8_t c = peek(x, 0);
        uint8_t sign = c == '-' || (c == '+' && block) ? c : 0;
        if (depth == 0 && stands(x, x->position + (sign == 0 ? 0 : 1), end)) {
            leave_tag(x, sign, block);
            return append(x, block ? LEXEME_BLOCK_END : LEXEME_PRINT_END, (slice){NULL, 0});
        }
        if (x->position >= x->source.length) {
            return fail(x, "a tag isn't closed");
        }
        bool good = true;
        if (c == '"' || c == '\'') {
            good = read_string(x);
        } else if (is_digit(c)) {
            good = read_number(x);
        } else if (is_letter(c)) {
            size_t length = 1;
            while (is_letter(peek(x, length)) || is_digit(peek(x, length))) {
                length++;
            }
            good = append(x, LEXEME_NAME, slice_part(x->source, x->position, length));
            skip(x, length);
        } else {
            good = read_operator(x, braces, &depth);
        }
        if (!good) {
            return false;
        }
    }
}

/* The length of `{% word %}` at `at`, or 0; `*sign` and `*end_sign` are its signs. */
static size_t word_tag(const lexer *x, size_t at, const char *word, uint8_t *sign, uint8_t *end_sign) {
    size_t i = at + 2;
    if (!stands(x, at, "{%")) {
        return 0;
    }
    uint8_t c = i < x->source.length ? x->source.data[i] : 0;
    *sign = c == '-' || c == '+' ? c : 0;
    i += *sign == 0 ? 0 : 1;
    while (i < x->source.length && is_space(x->source.data[i])) {
        i++;
    }
    if (!stands(x, i, word)) {
        return 0;
    }
    i += strlen(word);
    while (i < x->source.length && is_space(x->source.data[i])) {
        i++;
    }
    c = i < x->source.length ? x->source.data[i] : 0;
    *end_sign = c == '-' || c == '+' ? c : 0;
    i += *end_sign == 0 ? 0 : 1;
    return stands(x, i, "%}") ? i + 2 - at : 0;
}

/* From behind {% raw %} to behind {% endraw %}. */
static bool read_raw(lexer *x) {
    size_t start = x->position;
    while (x->position < x->source.length) {
        uint8_t sign = 0;
        uint8_t end_sign = 0;
        size_t length = word_tag(x, x->position, "endraw", &sign, &end_sign);
        if (length > 0) {
            if (!append_data(x, start, sign, true)) {
                return false;
            }
            skip(x, length - 2 - (end_sign == 0 ? 0 : 1));
            leave_tag(x, end_sign, true);
            return true;
        }
        skip(x, 1);
    }
    return fail(x, "{% raw %} isn't closed by {% endraw %}");
}

/* At a tag; `start` is where the text before it begins. */
static bool read_construct(lexer *x, size_t start) {
    uint8_t end_sign = 0;
    uint8_t sign = 0;
    uint8_t kind = peek(x, 1);
    size_t raw = word_tag(x, x->position, "raw", &sign, &end_sign);
    if (raw > 0 && end_sign != '+') {
        if (!append_data(x, start, sign, true)) {
            return false;
        }
        skip(x, raw - 2 - (end_sign == 0 ? 0 : 1));
        leave_tag(x, end_sign, false);
        return read_raw(x);
    }
    sign = peek(x, 2) == '-' || peek(x, 2) == '+' ? peek(x, 2) : 0;
    if (!append_data(x, start, sign, kind != '{')) {
        return false;
    }
    skip(x, sign == 0 ? 2 : 3);
    if (kind == '#') {
        return read_comment(x);
    }
    return append(x, kind == '%' ? LEXEME_BLOCK_BEGIN : LEXEME_PRINT_BEGIN, (slice){NULL, 0}) &&
           read_tag(x, kind == '%');
}

bool lexer_run(slice source, arena *memory, lexeme **lexemes, error *err) {
    lexer x = {.line = 1, .memory = memory, .line_starts = true, .err = err};
    if (source.length > TEMPLATE_SOURCE_MAX) {
        return error_set(err, ERROR_LIMIT, "the chat template is longer than %d bytes", TEMPLATE_SOURCE_MAX);
    }
    if (!slice_is_utf8(source)) {
        return fail(&x, "it is not UTF-8");
    }
    if (!copy_source(&x, source)) {
        return false;
    }
    size_t start = 0;
    while (x.position < x.source.length) {
        if (peek(&x, 0) == '{' && (peek(&x, 1) == '{' || peek(&x, 1) == '%' || peek(&x, 1) == '#')) {
            if (!read_construct(&x, start)) {
                return false;
            }
            start = x.position;
        } else {
            skip(&x, 1);
        }
    }
    slice rest = slice_after(x.source, start);
    *lexemes = NULL;
    if ((rest.length > 0 && !append(&x, LEXEME_DATA, rest)) || !append(&x, LEXEME_END, (slice){NULL, 0})) {
        return false;
    }
    *lexemes = x.lexemes;
    return true;
}
