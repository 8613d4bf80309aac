#include "schema_internal.h"

#include "codec/base64.h"
#include "crypto/hash.h"

/* Nearly all messages come exactly as proto_encode writes them: the schema's members in its order, nothing
 * between them. Every step here takes that form alone; a tree of JSON values costs several times as much. */

enum { FRACTION_DIGITS = 15 };
#define FRACTION_MOST 999999999999999U

static bool take(slice *rest, slice expected) {
    if (!slice_starts_with(*rest, expected)) {
        return false;
    }
    *rest = slice_after(*rest, expected.length);
    return true;
}

/* At most 16 digits: beyond that the bound is passed anyway. */
static bool take_number(slice *rest, uint64_t least, uint64_t most, uint64_t *value) {
    size_t i = 0;
    uint64_t sum = 0;
    while (i < rest->length && i < 17 && rest->data[i] >= '0' && rest->data[i] <= '9') {
        sum = sum * 10 + (uint64_t)(rest->data[i++] - '0');
    }
    if (i == 0 || i > 16 || sum < least || sum > most || (i > 1 && rest->data[0] == '0')) {
        return false;
    }
    *rest = slice_after(*rest, i);
    *value = sum;
    return true;
}

/* Digits, perhaps with a point among them: with at most 15 digits both parts of the fraction are exact, and
 * so is their quotient but for the one rounding that strtod does, too (Clinger 1990). */
static bool take_fraction(slice *rest, const field *f, double *value) {
    uint64_t digits = 0;
    uint64_t after = 0;
    double scale = 1;
    slice whole = *rest;
    if (!take_number(rest, 0, FRACTION_MOST, &digits)) {
        return false;
    }
    size_t length = whole.length - rest->length;
    if (take(rest, SLICE_LITERAL("."))) {
        size_t places = 0;
        while (places < rest->length && rest->data[places] >= '0' && rest->data[places] <= '9') {
            if (++places + length > FRACTION_DIGITS) {
                return false;
            }
            after = after * 10 + (uint64_t)(rest->data[places - 1] - '0');
            scale *= 10;
        }
        if (places == 0) {
            return false;
        }
        *rest = slice_after(*rest, places);
    }
    *value = ((double)digits * scale + (double)after) / scale;
    return *value >= (double)f->least && *value <= (double)f->most;
}

/* The byte that the escape at `at` stands for; 0 for those that are left to the general decoder. */
static uint8_t unescape(slice text, size_t *at) {
    static const char forms[] = "\"\"\\\\//b\bf\fn\nr\rt\t";
    if (text.length - *at < 2) {
        return 0;
    }
    for (size_t i = 0; forms[i] != '\0'; i += 2) {
        if (text.data[*at + 1] == (uint8_t)forms[i]) {
            *at += 2;
            return (uint8_t)forms[i + 1];
        }
    }
    return 0;
}

/* Up to the closing quote: points into the input, or into the arena if there were escapes. */
static bool take_text(slice *rest, arena *a, slice *text) {
    size_t end = 0;
    bool escaped = false;
    while (end < rest->length && rest->data[end] != '"' && rest->data[end] >= ' ') {
        bool escape = rest->data[end] == '\\';
        escaped = escaped || escape;
        end += escape ? 2 : 1;
    }
    if (end >= rest->length || rest->data[end] != '"') {
        return false;
    }
    *text = slice_part(*rest, 0, end);
    *rest = slice_after(*rest, end + 1);
    if (!slice_is_utf8(*text)) {
        return false;
    }
    if (!escaped) {
        return true;
    }
    uint8_t *copy = arena_allocate(a, text->length);
    size_t length = 0;
    for (size_t i = 0; copy != NULL && i < text->length; length++) {
        copy[length] = text->data[i] == '\\' ? unescape(*text, &i) : text->data[i++];
        if (copy[length] == 0) {
            return false;
        }
    }
    *text = slice_of(copy, length);
    return copy != NULL;
}

static bool take_logprob(slice *rest, const field *f, float *value) {
    double below = 0;
    bool is_negative = take(rest, SLICE_LITERAL("-"));
    if (!take_fraction(rest, f, &below) || (!is_negative && below > 0)) {
        return false;
    }
    *value = (float)-below + 0.0F; /* as the general decoder: -0 becomes 0 */
    return true;
}

static size_t count_commas(slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == ',' ? 1 : 0;
    }
    return count;
}

static bool take_element(slice *rest, const field *element, uint8_t *place) {
    uint64_t number = 0;
    if (element->kind == FIELD_LOGPROB) {
        return take_logprob(rest, element, (float *)(void *)place);
    }
    bool taken = take_number(rest, element->least, element->most, &number);
    *(uint32_t *)(void *)place = (uint32_t)number;
    return taken;
}

static bool is_numeric(const field *element) {
    return element->name == NULL && (element->kind == FIELD_U32 || element->kind == FIELD_LOGPROB);
}

/* Up to the closing bracket. */
static bool take_numbers(slice *rest, const field *f, arena *a, uint8_t *message) {
    const field *element = &f->inner.fields[0];
    slice list = slice_part(*rest, 0, slice_find(*rest, ']'));
    size_t count = list.length == 0 ? 0 : count_commas(list) + 1;
    uint8_t *items =
        count < f->least || count > f->most ? NULL : arena_allocate_array(a, count, f->item_size);
    if (items == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if ((i > 0 && !take(rest, SLICE_LITERAL(","))) ||
            !take_element(rest, element, items + i * f->item_size)) {
            return false;
        }
    }
    *(void **)(void *)(message + f->offset) = items;
    *(size_t *)(void *)(message + f->count_offset) = count;
    return take(rest, SLICE_LITERAL("]"));
}

/* A string without escapes, up to its closing quote. */
static slice take_word(slice *rest) {
    size_t end = slice_find(*rest, '"');
    slice word = slice_part(*rest, 0, end);
    *rest = slice_after(*rest, end == SIZE_MAX ? rest->length : end + 1);
    return word;
}

static bool take_choice(slice *rest, const field *f, unsigned *place) {
    slice word = take_word(rest);
    for (unsigned i = 0; f->names[i] != NULL; i++) {
        if (slice_equal_text(word, f->names[i])) {
            *place = i;
            return true;
        }
    }
    return false;
}

static bool take_flag(slice *rest, bool *place) {
    *place = take(rest, SLICE_LITERAL("true"));
    return *place || take(rest, SLICE_LITERAL("false"));
}

static bool take_string(slice *rest, const field *f, arena *a, uint8_t *message) {
    void *place = message + f->offset;
    if (!take(rest, SLICE_LITERAL("\""))) {
        return false;
    }
    switch (f->kind) {
    case FIELD_HEX:
        return hex_decode(take_word(rest), place, (size_t)f->most);
    case FIELD_BYTES:
        return base64url_decode_exact(take_word(rest), place, (size_t)f->most);
    case FIELD_NAME:
        return take_choice(rest, f, place);
    case FIELD_TEXT: {
        slice *text = place;
        return take_text(rest, a, text) && text->length >= f->least && text->length <= f->most;
    }
    default:
        return false;
    }
}

static bool take_value(slice *rest, const field *f, arena *a, uint8_t *message) {
    uint64_t number = 0;
    switch (f->kind) {
    case FIELD_U32:
        if (!take_number(rest, f->least, f->most, &number)) {
            return false;
        }
        *(uint32_t *)(void *)(message + f->offset) = (uint32_t)number;
        return true;
    case FIELD_U64:
        return take_number(rest, f->least, f->most, (uint64_t *)(void *)(message + f->offset));
    case FIELD_DOUBLE:
        return take_fraction(rest, f, (double *)(void *)(message + f->offset));
    case FIELD_BOOL:
        return take_flag(rest, (bool *)(void *)(message + f->offset));
    case FIELD_ITEMS:
        return !f->in_place && is_numeric(&f->inner.fields[0]) && take(rest, SLICE_LITERAL("[")) &&
               take_numbers(rest, f, a, message);
    default:
        return take_string(rest, f, a, message);
    }
}

/* Of optional members only lists are frequent: they come last, and one that is missing is empty. */
static bool is_missing(slice rest, const field *f, uint8_t *message) {
    if (f->kind != FIELD_ITEMS || !f->optional || slice_starts_with(rest, SLICE_LITERAL(","))) {
        return false;
    }
    *(const void **)(void *)(message + f->offset) = NULL;
    *(size_t *)(void *)(message + f->count_offset) = 0;
    return true;
}

static bool take_member(slice *rest, const field *f, arena *a, uint8_t *message) {
    size_t length = strlen(f->name);
    if (!proto_field_applies(f, message) || is_missing(*rest, f, message)) {
        return true;
    }
    return (!f->optional || f->kind == FIELD_ITEMS) && take(rest, SLICE_LITERAL(",\"")) &&
           take(rest, slice_of(f->name, length)) && take(rest, SLICE_LITERAL("\":")) &&
           take_value(rest, f, a, message);
}

bool proto_canonical_decode(slice text, arena *a, proto_message *out) {
    if (text.length > PROTO_MESSAGE_MAX || !take(&text, SLICE_LITERAL("{\"type\":\"")) ||
        !proto_type_parse(take_word(&text), &out->type)) {
        return false;
    }
    const schema *s = proto_schema(out->type);
    for (size_t i = 0; i < s->count; i++) {
        if (!take_member(&text, &s->fields[i], a, proto_payload(out))) {
            return false;
        }
    }
    error ignored;
    return slice_equal(text, SLICE_LITERAL("}")) && proto_check_members(out, &ignored);
}
