#include "base/buffer.h"
#include "base/memory.h"
#include "codec/json_writer.h"
#include "sample/schema.h"

/* Numbers within bounds, digit by digit. A digit's place counts from the left of 16 before the point; the
 * point itself has a place, and 15 digits stand behind it. */
enum {
    WHOLE_DIGITS = 16,
    FRACTION_DIGITS = 15,
    DIGITS = WHOLE_DIGITS + FRACTION_DIGITS,
    MULTIPLE_MAX = 1000
};

typedef struct decimal {
    bool negative;
    bool is_zero;
    bool is_huge; /* more digits before the point than this engine writes */
    bool exclusive;
    uint8_t digits[DIGITS];
} decimal;

typedef struct range {
    const decimal *low; /* magnitudes */
    const decimal *high;
} range;

/* What a way through the digits depends on: the place, whether the digits so far are the lower bound's, the
 * upper bound's, and what they leave over when divided. */
typedef struct numbers {
    network *net;
    range within;
    uint32_t fraction; /* most digits behind the point */
    uint32_t multiple; /* of 10^-places */
    uint32_t places;
    uint32_t *states; /* by place, low, high, rest */
    uint32_t end;
} numbers;

enum {
    PLACES = WHOLE_DIGITS + 1 + FRACTION_DIGITS + 1
}; /* behind the last whole digit, and behind the point */

/* From the text that JSON has for it. False: too many digits. */
static bool read_decimal(slice text, decimal *d) {
    uint8_t digits[64];
    size_t count = 0;
    int64_t point = -1;
    int64_t exponent = 0;
    size_t i = 0;
    *d = (decimal){.negative = text.length > 0 && text.data[0] == '-'};
    for (i = d->negative ? 1 : 0; i < text.length && text.data[i] != 'e' && text.data[i] != 'E'; i++) {
        if (text.data[i] == '.') {
            point = (int64_t)count;
        } else if (count == sizeof digits) {
            return false;
        } else {
            digits[count++] = (uint8_t)(text.data[i] - '0');
        }
    }
    if (i < text.length) {
        bool down = text.data[++i] == '-';
        i += down || text.data[i] == '+' ? 1 : 0;
        for (; i < text.length && exponent < 1000; i++) {
            exponent = exponent * 10 + (text.data[i] - '0');
        }
        exponent = down ? -exponent : exponent;
    }
    int64_t shift = WHOLE_DIGITS - (point < 0 ? (int64_t)count : point) - exponent;
    d->is_zero = true;
    for (size_t k = 0; k < count; k++) {
        int64_t place = (int64_t)k + shift;
        if (digits[k] != 0 && place >= DIGITS) {
            return false;
        }
        d->is_huge = d->is_huge || (digits[k] != 0 && place < 0);
        if (digits[k] != 0 && place >= 0) {
            d->digits[place] = digits[k];
        }
        d->is_zero = d->is_zero && digits[k] == 0;
    }
    return true;
}

static bool read_keyword(schema *s, const view *v, const char *name, decimal *d, bool *there) {
    const json_value *value = schema_keyword(s, v, name);
    *there = value != NULL;
    if (value == NULL) {
        return true;
    }
    buffer text = buffer_make(64);
    json_writer w = json_writer_make(&text);
    if (json_kind_of(value) == JSON_KIND_NUMBER) {
        json_write_value(&w, value);
    }
    bool good = buffer_length(&text) > 0 && read_decimal(buffer_slice(&text), d);
    bool failed = buffer_failed(&text);
    buffer_free(&text);
    if (failed) {
        return network_fail(&s->net, ERROR_MEMORY, "out of memory");
    }
    return good ||
           network_fail(&s->net, ERROR_UNSUPPORTED,
                        "schema: '%s' is not a number of at most 16 digits before and 15 behind the point",
                        name);
}

static int compare(const decimal *a, const decimal *b) {
    int order = memcmp(a->digits, b->digits, sizeof a->digits);
    bool negative_a = a->negative && !a->is_zero;
    bool negative_b = b->negative && !b->is_zero;
    if (negative_a != negative_b) {
        return negative_a ? -1 : 1;
    }
    return negative_a ? -order : order;
}

/* The tighter of a bound and its exclusive form. NULL: neither is there. */
static const decimal *choose_bound(decimal *inclusive, bool has_inclusive, decimal *exclusive,
                                   bool has_exclusive, int sign) {
    exclusive->exclusive = true;
    if (has_inclusive && has_exclusive) {
        return compare(inclusive, exclusive) * sign > 0 ? inclusive : exclusive;
    }
    return has_inclusive ? inclusive : has_exclusive ? exclusive : NULL;
}

static size_t whole_length(const decimal *d) {
    size_t i = 0;
    while (i < WHOLE_DIGITS - 1 && d->digits[i] == 0) {
        i++;
    }
    return WHOLE_DIGITS - i;
}

static bool rest_is_zero(const decimal *d, size_t from) {
    for (size_t i = from; i < DIGITS; i++) {
        if (d->digits[i] != 0) {
            return false;
        }
    }
    return true;
}

static uint32_t *state_at(numbers *b, size_t place, bool low, bool high, uint32_t rest) {
    return &b->states[((place * 2 + low) * 2 + high) * b->multiple + rest];
}

static void edge_to(numbers *b, uint32_t from, uint8_t byte, size_t place, bool low, bool high,
                    uint32_t rest) {
    uint32_t *to = state_at(b, place, low, high, rest);
    if (*to == NETWORK_NONE) {
        *to = network_state(b->net);
    }
    network_bytes_edge(b->net, from, byte, byte, *to);
}

/* The digits that may stand at `digit`, leading to `place`. */
static void add_digits(numbers *b, uint32_t from, size_t digit, size_t place, bool low, bool high,
                       uint32_t rest, uint8_t least) {
    uint8_t first = low ? b->within.low->digits[digit] : 0;
    uint8_t last = high ? b->within.high->digits[digit] : 9;
    for (uint8_t d = first > least ? first : least; d <= last; d++) {
        edge_to(b, from, (uint8_t)('0' + d), place, low && d == first, high && d == last,
                (rest * 10 + d) % b->multiple);
    }
}

/* Whether the number may end with so many digits behind the point, zeros being meant for the others. */
static bool may_end(const numbers *b, size_t fraction, bool low, bool high, uint32_t rest) {
    const decimal *least = b->within.low;
    const decimal *most = b->within.high;
    size_t next = WHOLE_DIGITS + fraction;
    bool at_least = !low || (rest_is_zero(least, next) && !least->exclusive);
    bool at_most = !high || !rest_is_zero(most, next) || !most->exclusive;
    for (size_t i = fraction; b->multiple > 1 && i < b->places; i++) {
        rest = rest * 10 % b->multiple;
    }
    return at_least && at_most && rest == 0;
}

static void leave_place(numbers *b, size_t place, bool low, bool high, uint32_t rest) {
    uint32_t from = *state_at(b, place, low, high, rest);
    if (from == NETWORK_NONE) {
        return;
    }
    if (place < WHOLE_DIGITS) {
        add_digits(b, from, place, place + 1, low, high, rest, 0);
        return;
    }
    size_t fraction = place == WHOLE_DIGITS ? 0 : place - WHOLE_DIGITS - 1;
    if (place != WHOLE_DIGITS + 1 && may_end(b, fraction, low, high, rest)) {
        network_empty_edge(b->net, from, b->end);
    }
    if (place == WHOLE_DIGITS && b->fraction > 0) {
        edge_to(b, from, '.', place + 1, low, high, rest);
    } else if (place > WHOLE_DIGITS && fraction < b->fraction) {
        add_digits(b, from, WHOLE_DIGITS + fraction, place + 1, low, high, rest, 0);
    }
}

/* Magnitudes from the lower to the upper bound, from `start` to b->end. */
static void add_magnitudes(numbers *b, uint32_t start) {
    size_t count = (size_t)PLACES * 4 * b->multiple;
    size_t shortest = whole_length(b->within.low);
    size_t longest = whole_length(b->within.high);
    b->states = memory_allocate(count * sizeof *b->states);
    if (b->states == NULL) {
        network_fail(b->net, ERROR_MEMORY, "out of memory");
        return;
    }
    for (size_t i = 0; i < count; i++) {
        b->states[i] = NETWORK_NONE;
    }
    for (size_t length = shortest; length <= longest; length++) {
        size_t digit = WHOLE_DIGITS - length;
        add_digits(b, start, digit, digit + 1, length == shortest, length == longest, 0, length > 1 ? 1 : 0);
    }
    for (size_t place = 0; place < PLACES && !b->net->failed; place++) {
        for (uint32_t i = 0; i < 4 * b->multiple; i++) {
            leave_place(b, place, i / b->multiple / 2 != 0, i / b->multiple % 2 != 0, i % b->multiple);
        }
    }
    memory_free(b->states);
}

static bool read_multiple(schema *s, const view *v, numbers *b) {
    decimal d = {0};
    bool there = false;
    uint64_t multiple = 0;
    if (!read_keyword(s, v, "multipleOf", &d, &there) || !there) {
        return !there && !s->net.failed;
    }
    for (size_t i = 0; i < DIGITS && multiple <= MULTIPLE_MAX; i++) {
        if (i >= WHOLE_DIGITS && rest_is_zero(&d, i)) {
            break;
        }
        multiple = multiple * 10 + d.digits[i];
        b->places = i >= WHOLE_DIGITS ? (uint32_t)(i - WHOLE_DIGITS + 1) : 0;
    }
    b->multiple = (uint32_t)multiple;
    b->fraction = b->fraction < b->places ? b->fraction : b->places;
    return (multiple > 0 && !d.is_huge && multiple <= MULTIPLE_MAX && !d.negative) ||
           network_fail(&s->net, ERROR_UNSUPPORTED,
                        "schema: 'multipleOf' is not above 0 with at most 1000 in its digits");
}

static bool read_bounds(schema *s, const view *v, decimal bounds[4], const decimal **low,
                        const decimal **high) {
    bool there[4] = {false};
    static const char *const names[] = {"minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum"};
    for (size_t i = 0; i < 4; i++) {
        if (!read_keyword(s, v, names[i], &bounds[i], &there[i])) {
            return false;
        }
        if (there[i] && bounds[i].is_huge) { /* no bound, or no number is left */
            there[i] = false;
            if (bounds[i].negative != (i < 2)) {
                return network_fail(&s->net, ERROR_UNSUPPORTED, "schema: '%s' asks for more than 16 digits",
                                    names[i]);
            }
        }
    }
    *low = choose_bound(&bounds[0], there[0], &bounds[1], there[1], 1);
    *high = choose_bound(&bounds[2], there[2], &bounds[3], there[3], -1);
    return true;
}

static void add_sides(numbers *b, uint32_t start, const decimal *low, const decimal *high) {
    decimal zero = {.is_zero = true};
    decimal above_zero = {.is_zero = true, .exclusive = true};
    decimal most = {.is_zero = false};
    memset(most.digits, 9, sizeof most.digits);
    bool low_negative = low == NULL || (low->negative && !low->is_zero);
    bool high_negative = high != NULL && high->negative && !high->is_zero;
    if (!high_negative) {
        b->within = (range){low == NULL || low_negative ? &zero : low, high == NULL ? &most : high};
        add_magnitudes(b, start);
    }
    if (low_negative) {
        uint32_t behind_sign = network_state(b->net);
        network_bytes_edge(b->net, start, '-', '-', behind_sign);
        b->within = (range){high_negative ? high : &above_zero, low == NULL ? &most : low};
        add_magnitudes(b, behind_sign);
    }
    b->within = (range){NULL, NULL}; /* what it was lived here */
}

piece schema_number(schema *s, const view *v, bool whole) {
    decimal bounds[4] = {{.is_zero = false}};
    const decimal *low = NULL;
    const decimal *high = NULL;
    numbers b = {.net = &s->net, .fraction = whole ? 0 : FRACTION_DIGITS, .multiple = 1};
    if (!read_bounds(s, v, bounds, &low, &high) || !read_multiple(s, v, &b)) {
        return (piece){0};
    }
    if (low == NULL && high == NULL && schema_keyword(s, v, "multipleOf") == NULL) {
        return network_call(&s->net, whole ? s->integer : s->number);
    }
    piece p = network_never(&s->net);
    b.end = p.end;
    if (low == NULL || high == NULL || compare(low, high) <= 0) {
        add_sides(&b, p.start, low, high);
    }
    return (piece){p.from, s->net.state_count, p.start, p.end};
}
