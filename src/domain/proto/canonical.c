#include "schema_internal.h"

#include "crypto/hash.h"

/* Nearly all messages are deltas, and nearly all of them are written as proto_encode writes them:
 * {"type":"delta","id":"…","seq":0,"text":"…","tokens":[1,2]}
 * Every step here takes that form alone. */

static bool take(slice *rest, slice expected) {
    if (!slice_starts_with(*rest, expected)) {
        return false;
    }
    *rest = slice_after(*rest, expected.length);
    return true;
}

/* At most 16 digits: beyond that the bound is passed anyway. */
static bool take_number(slice *rest, uint64_t most, uint64_t *value) {
    size_t i = 0;
    uint64_t sum = 0;
    while (i < rest->length && i < 17 && rest->data[i] >= '0' && rest->data[i] <= '9') {
        sum = sum * 10 + (uint64_t)(rest->data[i++] - '0');
    }
    if (i == 0 || i > 16 || sum > most || (i > 1 && rest->data[0] == '0')) {
        return false;
    }
    *rest = slice_after(*rest, i);
    *value = sum;
    return true;
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

static size_t count_commas(slice text) {
    size_t count = 0;
    for (size_t i = 0; i < text.length; i++) {
        count += text.data[i] == ',' ? 1 : 0;
    }
    return count;
}

/* What stands between the brackets. */
static bool take_tokens(slice list, arena *a, proto_delta *delta) {
    size_t count = list.length == 0 ? 0 : count_commas(list) + 1;
    uint32_t *tokens = count > PROTO_TOKENS_MAX ? NULL : arena_allocate_array(a, count, sizeof *tokens);
    if (tokens == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t token = 0;
        if ((i > 0 && !take(&list, SLICE_LITERAL(","))) || !take_number(&list, PROTO_TOKEN_ID_MAX, &token)) {
            return false;
        }
        tokens[i] = (uint32_t)token;
    }
    delta->tokens = tokens;
    delta->token_count = count;
    return list.length == 0;
}

bool proto_delta_decode(slice text, arena *a, proto_message *out) {
    static const slice tail = {(const uint8_t *)"]}", 2};
    proto_delta delta;
    if (text.length > PROTO_MESSAGE_MAX || !take(&text, SLICE_LITERAL("{\"type\":\"delta\",\"id\":\"")) ||
        !hex_decode(slice_part(text, 0, 2 * sizeof delta.id), delta.id, sizeof delta.id)) {
        return false;
    }
    text = slice_after(text, 2 * sizeof delta.id);
    if (!take(&text, SLICE_LITERAL("\",\"seq\":")) || !take_number(&text, PROTO_INTEGER_MAX, &delta.seq) ||
        !take(&text, SLICE_LITERAL(",\"text\":\"")) || !take_text(&text, a, &delta.text) ||
        !take(&text, SLICE_LITERAL(",\"tokens\":[")) || text.length < tail.length ||
        !slice_equal(slice_after(text, text.length - tail.length), tail) ||
        !take_tokens(slice_part(text, 0, text.length - tail.length), a, &delta)) {
        return false;
    }
    out->type = PROTO_DELTA;
    out->delta = delta;
    return true;
}
