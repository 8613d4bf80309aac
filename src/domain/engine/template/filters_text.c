#include "operation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_TEXT_MAX = 256, PRECISION_MAX = 64 };

static bool is_upper(uint8_t c) {
    return c >= 'A' && c <= 'Z';
}

static bool is_letter(uint8_t c) {
    return is_upper((uint8_t)(c & 0xdf)) || c >= 0x80;
}

/* Where Jinja's title filter begins a word; the others of Python's title are all that isn't a letter. */
static bool begins_word(uint8_t before) {
    return before == '-' || before == '(' || before == '{' || before == '[' || before == '<' ||
           before == ' ' || (before >= '\t' && before <= '\r');
}

static bool wants_upper(const uint8_t *bytes, size_t i, letter_case letters) {
    switch (letters) {
    case CASE_UPPER:
        return true;
    case CASE_LOWER:
        return false;
    case CASE_CAPITALIZED:
        return i == 0;
    case CASE_WORDS:
        return i == 0 || begins_word(bytes[i - 1]);
    default:
        return i == 0 || !is_letter(bytes[i - 1]);
    }
}

bool text_to_case(run *r, const text *t, letter_case letters, text *changed) {
    uint8_t *bytes = run_allocate(r, t->bytes.length, 1);
    if (bytes == NULL || !run_step(r, t->bytes.length / 16)) {
        return false;
    }
    for (size_t i = 0; i < t->bytes.length; i++) {
        uint8_t c = t->bytes.data[i];
        bool letter = is_upper((uint8_t)(c & 0xdf)) && c < 0x80;
        bool upper = letter && wants_upper(t->bytes.data, i, letters);
        bytes[i] = (uint8_t)(!letter ? c : upper ? c & 0xdf : c | 0x20);
    }
    *changed = (text){slice_of(bytes, t->bytes.length), t->marks, t->trusted};
    return true;
}

/* An empty `old` stands before each character and at the end. */
bool text_replace(run *r, const text *t, const text *old, const text *new, int64_t limit, text *changed) {
    text_builder b = run_builder(r);
    bool new_trusted = text_is_trusted(new);
    bool all_trusted = text_is_trusted(t);
    size_t at = 0;
    while (limit != 0 && at <= t->bytes.length && !b.failed) {
        slice rest = slice_after(t->bytes, at);
        size_t found = slice_find_slice(rest, old->bytes);
        if (found == SIZE_MAX) {
            break;
        }
        text before = text_part(t, at, found);
        text replaced = text_part(t, at + found, old->bytes.length);
        bool trusted = new_trusted && (old->bytes.length == 0 ? all_trusted : text_is_trusted(&replaced));
        text_append(&b, &before);
        text_append_bytes(&b, new->bytes, trusted);
        at += found + old->bytes.length;
        limit -= limit > 0 ? 1 : 0;
        if (old->bytes.length == 0) {
            size_t size = at < t->bytes.length ? text_character_size(slice_after(t->bytes, at)) : 1;
            text character = text_part(t, at, size);
            text_append(&b, &character);
            at += size;
        }
        if (!run_step(r, 1 + found / 64)) {
            return false;
        }
    }
    text rest = text_part(t, at, SIZE_MAX);
    text_append(&b, &rest);
    return run_built(r, &b, changed);
}

static bool filter_trim(run *r, const value *subject, const value *const given[], value *result) {
    text t;
    text characters;
    const value *set = given[0] != NULL && given[0]->kind == VALUE_NONE ? NULL : given[0];
    if (!value_to_text(r, subject, &t) || !argument_text(r, set, "chars", (slice){NULL, 0}, &characters)) {
        return false;
    }
    *result = value_text(text_strip(&t, set == NULL ? NULL : &characters.bytes, true, true));
    return run_step(r, t.bytes.length / 16);
}

static bool to_case(run *r, const value *subject, letter_case letters, value *result) {
    text t;
    text changed;
    if (!value_to_text(r, subject, &t) || !text_to_case(r, &t, letters, &changed)) {
        return false;
    }
    *result = value_text(changed);
    return true;
}

static bool filter_upper(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return to_case(r, subject, CASE_UPPER, result);
}

static bool filter_lower(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return to_case(r, subject, CASE_LOWER, result);
}

static bool filter_capitalize(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return to_case(r, subject, CASE_CAPITALIZED, result);
}

static bool filter_title(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return to_case(r, subject, CASE_WORDS, result);
}

static bool filter_replace(run *r, const value *subject, const value *const given[], value *result) {
    text t;
    text old;
    text new;
    text changed;
    int64_t limit = 0;
    if (given[0] == NULL || given[1] == NULL) {
        return run_fail(r, "'replace' takes what to replace and with what");
    }
    if (!value_to_text(r, subject, &t) || !value_to_text(r, given[0], &old) ||
        !value_to_text(r, given[1], &new) ||
        !argument_whole(r, given[2] != NULL && given[2]->kind == VALUE_NONE ? NULL : given[2], "count", -1,
                        &limit) ||
        !text_replace(r, &t, &old, &new, limit, &changed)) {
        return false;
    }
    *result = value_text(changed);
    return true;
}

static bool indentation_of(run *r, const value *width, text *indentation) {
    int64_t spaces = 4;
    if (width != NULL && width->kind == VALUE_TEXT) {
        *indentation = width->text;
        return true;
    }
    if (!argument_whole(r, width, "width", 4, &spaces)) {
        return false;
    }
    if (spaces > NUMBER_TEXT_MAX) {
        return run_limit(r, "indentation");
    }
    text_builder b = run_builder(r);
    for (int64_t i = 0; i < spaces; i++) {
        text_append_literal(&b, " ", true);
    }
    return run_built(r, &b, indentation);
}

/* Every line but the first, and but empty ones; `first` and `blank` ask for these, too. */
static bool filter_indent(run *r, const value *subject, const value *const given[], value *result) {
    text t;
    text indentation;
    bool blank = argument_truth(given[2], false);
    if (!value_to_text(r, subject, &t) || !indentation_of(r, given[0], &indentation)) {
        return false;
    }
    bool trusted = text_is_trusted(&t) && text_is_trusted(&indentation);
    text_builder b = run_builder(r);
    for (size_t at = 0, line = 0; at <= t.bytes.length && !b.failed; line++) {
        size_t end = at;
        size_t length = 0;
        while (end < t.bytes.length && (length = text_line_end(slice_after(t.bytes, end))) == 0) {
            end++;
        }
        bool last = end >= t.bytes.length;
        text_append_bytes(&b, line > 0 ? SLICE_LITERAL("\n") : (slice){NULL, 0}, trusted);
        if (line == 0 ? argument_truth(given[1], false) : blank || end > at) {
            text_append_bytes(&b, indentation.bytes, trusted);
        }
        text words = text_part(&t, at, end - at);
        text_append(&b, &words);
        at = last ? t.bytes.length + 1 : end + length;
        if (!run_step(r, 1 + words.bytes.length / 16)) {
            return false;
        }
    }
    text changed;
    *result = value_undefined(SLICE_LITERAL("indent"));
    if (!run_built(r, &b, &changed)) {
        return false;
    }
    *result = value_text(changed);
    return true;
}

static bool filter_string(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    text t;
    if (!value_to_text(r, subject, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

static bool filter_safe(run *r, const value *subject, const value *const given[], value *result) {
    return filter_string(r, subject, given, result);
}

/* A decimal number as Python's float reads it, without what C reads beside. */
static bool read_number(slice words, double *number) {
    char digits[NUMBER_TEXT_MAX];
    char *end = NULL;
    size_t length = 0;
    if (words.length == 0 || words.length >= sizeof digits) {
        return false;
    }
    for (size_t i = 0; i < words.length; i++) {
        uint8_t c = words.data[i];
        if (strchr("0123456789+-.eE", c) == NULL || c == 0) {
            return false;
        }
        digits[length++] = (char)c;
    }
    digits[length] = 0;
    *number = strtod(digits, &end);
    return end == digits + length;
}

/* Digits of a base, with a sign and, where the base has one, its prefix. */
static bool read_whole(run *r, slice words, int64_t base, int64_t *number, bool *good) {
    bool negative = words.length > 0 && words.data[0] == '-';
    words = slice_after(words, words.length > 0 && (negative || words.data[0] == '+') ? 1 : 0);
    uint8_t mark = words.length > 1 && words.data[0] == '0' ? (uint8_t)(words.data[1] | 0x20) : 0;
    if ((base == 16 && mark == 'x') || (base == 8 && mark == 'o') || (base == 2 && mark == 'b')) {
        words = slice_after(words, 2);
    }
    *good = words.length > 0;
    *number = 0;
    for (size_t i = 0; *good && i < words.length; i++) {
        uint8_t c = words.data[i];
        uint8_t low = (uint8_t)(c | 0x20);
        int64_t digit = c >= '0' && c <= '9' ? c - '0' : low >= 'a' && low <= 'z' ? low - 'a' + 10 : base;
        *good = digit < base;
        if (*good && (__builtin_mul_overflow(*number, base, number) ||
                      __builtin_add_overflow(*number, negative ? -digit : digit, number))) {
            return run_limit(r, "digits of a number");
        }
    }
    return true;
}

static bool whole_of_number(double number, int64_t *whole) {
    bool fits = number > -9.2e18 && number < 9.2e18;
    *whole = fits ? (int64_t)number : 0;
    return fits;
}

static bool filter_int(run *r, const value *subject, const value *const given[], value *result) {
    int64_t base = 10;
    int64_t whole = 0;
    double number = 0;
    bool good = false;
    *result = given[0] == NULL ? value_integer(0) : *given[0];
    if (!argument_whole(r, given[1], "base", 10, &base)) {
        return false;
    }
    if (base < 2 || base > 36) {
        return run_fail(r, "'int' reads the bases 2 to 36");
    }
    if (value_is_whole(subject)) {
        whole = value_whole(subject);
        good = true;
    } else if (subject->kind == VALUE_FLOAT) {
        good = whole_of_number(subject->number, &whole);
    } else if (subject->kind == VALUE_TEXT) {
        text t = text_strip(&subject->text, NULL, true, true);
        if (!read_whole(r, t.bytes, base, &whole, &good)) {
            return false;
        }
        good = good || (read_number(t.bytes, &number) && whole_of_number(number, &whole));
    } else if (subject->kind == VALUE_UNDEFINED) {
        return run_fail(r, "'%.*s' is undefined", SLICE_FORMAT(slice_part(subject->name, 0, 64)));
    }
    *result = good ? value_integer(whole) : *result;
    return true;
}

static bool filter_float(run *r, const value *subject, const value *const given[], value *result) {
    double number = 0;
    *result = given[0] == NULL ? value_float(0) : *given[0];
    if (value_is_number(subject)) {
        *result = value_float(value_number(subject));
    } else if (subject->kind == VALUE_TEXT) {
        text t = text_strip(&subject->text, NULL, true, true);
        *result = read_number(t.bytes, &number) ? value_float(number) : *result;
    } else if (subject->kind == VALUE_UNDEFINED) {
        return run_fail(r, "'%.*s' is undefined", SLICE_FORMAT(slice_part(subject->name, 0, 64)));
    }
    return true;
}

/* As Python's round: the decimal that is nearest, exact halves to even. */
static double round_common(double number, int precision) {
    char digits[512];
    snprintf(digits, sizeof digits, "%.*f", precision, number);
    return strtod(digits, NULL);
}

static bool filter_round(run *r, const value *subject, const value *const given[], value *result) {
    int64_t precision = 0;
    text method;
    if (!value_is_number(subject)) {
        return run_fail(r, "%s can't be rounded", value_type_name(subject));
    }
    if (!argument_whole(r, given[0], "precision", 0, &precision) ||
        !argument_text(r, given[1], "method", SLICE_LITERAL("common"), &method)) {
        return false;
    }
    if (precision < 0 || precision > PRECISION_MAX) {
        return run_fail(r, "'round' takes a precision of 0 to %d", PRECISION_MAX);
    }
    double number = value_number(subject);
    if (slice_equal_text(method.bytes, "common")) {
        if (subject->kind != VALUE_FLOAT) { /* Python leaves whole numbers whole */
            *result = value_integer(value_whole(subject));
            return true;
        }
        *result = value_float(isfinite(number) ? round_common(number, (int)precision) : number);
        return true;
    }
    bool up = slice_equal_text(method.bytes, "ceil");
    if (!up && !slice_equal_text(method.bytes, "floor")) {
        return run_fail(r, "'round' knows the methods common, ceil and floor");
    }
    double scale = 1;
    for (int64_t i = 0; i < precision; i++) {
        scale *= 10;
    }
    *result = value_float((up ? ceil(number * scale) : floor(number * scale)) / scale);
    return true;
}

static bool filter_abs(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    if (subject->kind == VALUE_FLOAT) {
        *result = value_float(fabs(subject->number));
        return true;
    }
    if (!value_is_whole(subject) || value_whole(subject) == INT64_MIN) {
        return run_fail(r, "%s has no absolute value", value_type_name(subject));
    }
    *result = value_integer(value_whole(subject) < 0 ? -value_whole(subject) : value_whole(subject));
    return true;
}

static bool separators_of(run *r, const value *given, json_style *style) {
    style->item_separator = style->indented ? SLICE_LITERAL(",") : SLICE_LITERAL(", ");
    style->key_separator = SLICE_LITERAL(": ");
    if (given == NULL || given->kind == VALUE_NONE) {
        return true;
    }
    if (!value_is_list(given) || given->list.count != 2 || given->list.items[0].kind != VALUE_TEXT ||
        given->list.items[1].kind != VALUE_TEXT) {
        return run_fail(r, "'tojson' takes two texts as separators");
    }
    style->item_separator = given->list.items[0].text.bytes;
    style->key_separator = given->list.items[1].text.bytes;
    return true;
}

static bool filter_tojson(run *r, const value *subject, const value *const given[], value *result) {
    json_style style = {.ascii = argument_truth(given[0], false), .sorted = argument_truth(given[3], false)};
    text indentation = text_trusted((slice){NULL, 0});
    text t;
    style.indented = given[1] != NULL && given[1]->kind != VALUE_NONE;
    if ((style.indented && !indentation_of(r, given[1], &indentation)) ||
        !separators_of(r, given[2], &style)) {
        return false;
    }
    style.indentation = indentation.bytes;
    if (!value_to_json(r, subject, &style, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

const operation text_filters[] = {
    {.name = "trim", .parameters = {"chars"}, .call = filter_trim},
    {.name = "upper", .call = filter_upper},
    {.name = "lower", .call = filter_lower},
    {.name = "capitalize", .call = filter_capitalize},
    {.name = "title", .call = filter_title},
    {.name = "replace", .parameters = {"old", "new", "count"}, .call = filter_replace},
    {.name = "indent", .parameters = {"width", "first", "blank"}, .call = filter_indent},
    {.name = "string", .call = filter_string},
    {.name = "safe", .call = filter_safe},
    {.name = "int", .parameters = {"default", "base"}, .call = filter_int},
    {.name = "float", .parameters = {"default"}, .call = filter_float},
    {.name = "round", .parameters = {"precision", "method"}, .call = filter_round},
    {.name = "abs", .call = filter_abs},
    {.name = "tojson",
     .parameters = {"ensure_ascii", "indent", "separators", "sort_keys"},
     .call = filter_tojson},
    {.name = NULL},
};
