#include "verify/honeytoken.h"

/* A text that turned up may be in another coding than the one in which the prompt was sent: each is undone
 * for itself, and what comes out is searched like the text. Escapes, base64 and hexadecimal digits in one
 * another are not looked for. */

enum {
    NO_DIGIT = 255,
    BASE64_RUN_MIN = 43, /* characters that 32 bytes take */
    HEX_RUN_MIN = 64,    /* digits that 32 bytes take */
    GAP_MAX = 8,         /* bytes between two pairs of digits */
    CODE_DIGITS_MAX = 8  /* of a number in an escape */
};

static bool search_plain(slice text, honeytoken_seen *seen, void *context) {
    char marker[HONEYTOKEN_LENGTH + 1];
    for (size_t at = 0; honeytoken_find(text, &at, marker);) {
        if (!seen(context, marker)) {
            return false;
        }
    }
    return true;
}

static uint8_t hex_value(uint8_t c) {
    uint8_t lower = c | 0x20;
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0');
    }
    return lower >= 'a' && lower <= 'f' ? (uint8_t)(lower - 'a' + 10) : NO_DIGIT;
}

/* Both alphabets of RFC 4648. */
static uint8_t base64_value(uint8_t c) {
    if (c >= 'A' && c <= 'Z') {
        return (uint8_t)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (uint8_t)(c - 'a' + 26);
    }
    if (c >= '0' && c <= '9') {
        return (uint8_t)(c - '0' + 52);
    }
    return c == '+' || c == '-' ? 62 : c == '/' || c == '_' ? 63 : NO_DIGIT;
}

/* The number that begins at `*at`, of at least `least` digits and at most `most`; `*at` moves behind it. */
static bool read_number(slice text, size_t *at, unsigned base, size_t least, size_t most, uint32_t *number) {
    size_t count = 0;
    *number = 0;
    while (count < most && *at < text.length) {
        uint8_t digit = hex_value(text.data[*at]);
        if (digit >= base) {
            break;
        }
        *number = *number * base + digit;
        (*at)++;
        count++;
    }
    return count >= least;
}

/* %61, \x61, \u0061, &#97; and &#x61; at `at`: how many bytes it takes; 0: it is none of these. */
static size_t read_escape(slice text, size_t at, uint32_t *code) {
    size_t next = at + 1;
    uint8_t first = text.data[at];
    uint8_t second = next < text.length ? text.data[next] : 0;
    if (first == '%') {
        return read_number(text, &next, 16, 2, 2, code) ? next - at : 0;
    }
    if (first == '\\' && (second == 'x' || second == 'u')) {
        size_t digits = second == 'x' ? 2 : 4;
        next++;
        return read_number(text, &next, 16, digits, digits, code) ? next - at : 0;
    }
    if (first == '&' && second == '#') {
        next++;
        bool hexadecimal = next < text.length && (text.data[next] | 0x20) == 'x';
        next += hexadecimal ? 1 : 0;
        if (read_number(text, &next, hexadecimal ? 16 : 10, 1, CODE_DIGITS_MAX, code)) {
            return next - at + (next < text.length && text.data[next] == ';' ? 1 : 0);
        }
    }
    return 0;
}

/* Beyond ASCII there is nothing that a marker is made of. */
static bool search_escaped(slice text, buffer *room, honeytoken_seen *seen, void *context) {
    bool any = false;
    buffer_clear(room);
    for (size_t at = 0; at < text.length;) {
        uint32_t code = 0;
        size_t taken = read_escape(text, at, &code);
        any = any || taken > 0;
        buffer_append_byte(room, taken == 0 ? text.data[at] : code < 128 ? (uint8_t)code : ' ');
        at += taken == 0 ? 1 : taken;
    }
    return !any || search_plain(buffer_slice(room), seen, context);
}

/* `values` has one digit of `bits` bits in each byte; decoded from each of them on that a byte may begin
 * with. */
static bool search_digits(slice values, unsigned bits, buffer *room, honeytoken_seen *seen, void *context) {
    for (size_t first = 0; first < (bits == 4 ? 2U : 4U); first++) {
        uint32_t kept = 0;
        unsigned count = 0;
        buffer_clear(room);
        for (size_t i = first; i < values.length; i++) {
            kept = kept << bits | values.data[i];
            count += bits;
            if (count >= 8) {
                count -= 8;
                buffer_append_byte(room, (uint8_t)(kept >> count));
                kept &= (1U << count) - 1;
            }
        }
        if (!search_plain(buffer_slice(room), seen, context)) {
            return false;
        }
    }
    return true;
}

/* Base64 goes on over line ends; hexadecimal digits over anything that is no letter or digit. */
static bool goes_on(uint8_t c, unsigned bits, size_t gap) {
    if (bits == 6) {
        return c == '\r' || c == '\n';
    }
    bool letter_or_digit = (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
    return !letter_or_digit && gap < GAP_MAX;
}

static bool search_coded(slice text, unsigned bits, buffer *run, buffer *room, honeytoken_seen *seen,
                         void *context) {
    size_t least = bits == 6 ? BASE64_RUN_MIN : HEX_RUN_MIN;
    size_t gap = 0;
    buffer_clear(run);
    for (size_t at = 0; at <= text.length; at++) {
        uint8_t c = at < text.length ? text.data[at] : 'z'; /* ends a run of hexadecimal digits */
        uint8_t value = at == text.length ? NO_DIGIT : bits == 6 ? base64_value(c) : hex_value(c);
        if (value != NO_DIGIT) {
            buffer_append_byte(run, value);
            gap = 0;
        } else if (at == text.length || !goes_on(c, bits, gap++)) {
            if (buffer_length(run) >= least && !search_digits(buffer_slice(run), bits, room, seen, context)) {
                return false;
            }
            buffer_clear(run);
            gap = 0;
        }
    }
    return true;
}

bool honeytoken_search(slice text, honeytoken_seen *seen, void *context, error *err) {
    buffer run = buffer_make(text.length + 1);
    buffer room = buffer_make(text.length + 1);
    bool made =
        buffer_reserve(&run, text.length + 1) != NULL && buffer_reserve(&room, text.length + 1) != NULL;
    if (!made) {
        error_memory(err);
    } else if (search_plain(text, seen, context) && search_escaped(text, &room, seen, context) &&
               search_coded(text, 6, &run, &room, seen, context)) {
        (void)search_coded(text, 4, &run, &room, seen, context);
    }
    buffer_wipe(&run);
    buffer_wipe(&room);
    return made;
}
