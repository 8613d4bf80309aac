#include "sample/schema.h"

/* A regular expression, each character as a JSON string writes it. What isn't regular, or depends on what
 * stands around, is refused: backreferences, lookaround, \b, and anchors but at both ends of an alternative.
 */
typedef struct expression {
    network *net;
    slice text;
    size_t at;
    unsigned depth;
} expression;

static bool is_at_end(const expression *e) {
    return e->at >= e->text.length;
}

static uint8_t peek(const expression *e) {
    return is_at_end(e) ? 0 : e->text.data[e->at];
}

static bool looks_at(const expression *e, const char *what) {
    return slice_starts_with(slice_after(e->text, e->at), slice_of_text(what));
}

static bool take(expression *e, const char *what) {
    bool there = looks_at(e, what);
    e->at += there ? strlen(what) : 0;
    return there;
}

static bool fail(expression *e, const char *what) {
    return network_fail(e->net, ERROR_UNSUPPORTED, "schema: 'pattern', byte %zu: %s", e->at + 1, what);
}

static void add(expression *e, characters *set, uint32_t low, uint32_t high) {
    if (!characters_add(set, low, high)) {
        fail(e, "a class has too many ranges");
    }
}

static void normalise(expression *e, characters *set, bool negated) {
    if (!(negated ? characters_negate(set) : characters_normalise(set))) {
        fail(e, "a class has too many ranges");
    }
}

/* \d, \w or \s, or the upper-case letter for all others. */
static void add_named_class(expression *e, characters *set, uint8_t name) {
    static const struct {
        uint8_t name;
        uint32_t low;
        uint32_t high;
    } ranges[] = {{'d', '0', '9'},       {'w', '0', '9'},       {'w', 'A', 'Z'},       {'w', '_', '_'},
                  {'w', 'a', 'z'},       {'s', '\t', '\r'},     {'s', ' ', ' '},       {'s', 0xa0, 0xa0},
                  {'s', 0x1680, 0x1680}, {'s', 0x2000, 0x200a}, {'s', 0x2028, 0x2029}, {'s', 0x202f, 0x202f},
                  {'s', 0x205f, 0x205f}, {'s', 0x3000, 0x3000}, {'s', 0xfeff, 0xfeff}};
    characters named = {0};
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (ranges[i].name == (name | 0x20)) {
            add(e, &named, ranges[i].low, ranges[i].high);
        }
    }
    normalise(e, &named, name < 'a');
    for (size_t i = 0; i < named.count; i++) {
        add(e, set, named.ranges[i].low, named.ranges[i].high);
    }
}

static uint32_t read_hexadecimal(expression *e, size_t digits) {
    uint32_t value = 0;
    for (size_t i = 0; i < digits; i++, e->at++) {
        uint8_t c = peek(e);
        uint8_t lower = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f')) {
            fail(e, "a hexadecimal digit is missing");
            return 0;
        }
        value = value << 4 | (uint32_t)(c <= '9' ? c - '0' : lower - 'a' + 10);
    }
    return value;
}

/* Behind a backslash. True: a single character; false: a class, which was added to the set, or failure. */
static bool read_escape(expression *e, characters *set, uint32_t *character) {
    static const char letters[] = {'t', '\t', 'n', '\n', 'r', '\r', 'f', '\f', 'v', '\v'};
    uint8_t c = peek(e);
    e->at++;
    for (size_t i = 0; i < sizeof letters; i += 2) {
        if (c == (uint8_t)letters[i]) {
            *character = (uint32_t)letters[i + 1];
            return true;
        }
    }
    if (c != 0 && strchr("dDwWsS", c) != NULL) {
        add_named_class(e, set, c);
        return false;
    }
    if (c == 'x' || c == 'u') {
        *character = read_hexadecimal(e, c == 'x' ? 2 : 4);
        return *character < 0xd800 || *character > 0xdfff || fail(e, "an escape is half a character");
    }
    if (c < 0x21 || c > 0x7e || (c >= '0' && c <= '9') || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z')) {
        e->at--;
        return fail(e, "this escape isn't one that this engine follows");
    }
    *character = c;
    return true;
}

/* One character of the text, or an escape. True: a single character. */
static bool read_character(expression *e, characters *set, uint32_t *character) {
    if (take(e, "\\")) {
        return read_escape(e, set, character);
    }
    slice rest = slice_after(e->text, e->at);
    size_t length = slice_utf8_first(rest, character);
    if (length == 0) {
        return fail(e, "the expression ends too early");
    }
    e->at += length;
    return true;
}

static void read_class(expression *e, characters *set) {
    bool negated = take(e, "^");
    while (peek(e) != ']' && !e->net->failed) {
        uint32_t low = 0;
        uint32_t high = 0;
        if (!read_character(e, set, &low)) {
            continue;
        }
        high = low;
        if (peek(e) == '-' && e->at + 1 < e->text.length && e->text.data[e->at + 1] != ']') {
            e->at++;
            if (!read_character(e, set, &high)) {
                fail(e, "a range ends in a class");
            }
        }
        if (high < low) {
            fail(e, "a range of characters goes backwards");
        }
        add(e, set, low, high);
    }
    e->at++;
    normalise(e, set, negated);
}

static piece read_alternatives(expression *e, bool top);

static piece read_group(expression *e) {
    bool named = looks_at(e, "?<") && !looks_at(e, "?<=") && !looks_at(e, "?<!");
    while (named && !is_at_end(e) && peek(e) != '>') {
        e->at++;
    }
    e->at += named ? 1 : 0;
    if (!named && !take(e, "?:") && looks_at(e, "?")) {
        fail(e, "this kind of group isn't one that this engine follows");
    }
    if (++e->depth > GRAMMAR_DEPTH_MAX) {
        fail(e, "groups are nested too deep");
        return (piece){0};
    }
    piece inner = read_alternatives(e, false);
    e->depth--;
    if (!take(e, ")")) {
        fail(e, "a ')' is missing");
    }
    return inner;
}

static piece read_atom(expression *e) {
    characters set = {0};
    uint32_t character = 0;
    if (take(e, "(")) {
        return read_group(e);
    }
    if (take(e, "[")) {
        read_class(e, &set);
    } else if (take(e, ".")) {
        add(e, &set, '\n', '\n');
        add(e, &set, '\r', '\r');
        add(e, &set, 0x2028, 0x2029);
        normalise(e, &set, true);
    } else if (strchr("^$*+?{}]", peek(e)) != NULL) {
        fail(e, "this stands where this engine doesn't follow it");
    } else {
        if (read_character(e, &set, &character)) {
            add(e, &set, character, character);
        }
        normalise(e, &set, false);
    }
    return schema_characters(e->net, &set, false);
}

static uint32_t read_number(expression *e) {
    uint32_t number = 0;
    size_t start = e->at;
    for (; peek(e) >= '0' && peek(e) <= '9' && !e->net->failed; e->at++) {
        number = number * 10 + (uint32_t)(peek(e) - '0');
        if (number > NETWORK_STATES_MAX) {
            fail(e, "a repetition is larger than this engine follows");
        }
    }
    if (e->at == start) {
        fail(e, "a number is missing");
    }
    return number;
}

static piece read_repetition(expression *e, piece body) {
    uint32_t least = 0;
    uint32_t most = NETWORK_UNBOUNDED;
    if (take(e, "{")) {
        least = read_number(e);
        most = least;
        if (take(e, ",")) {
            most = peek(e) == '}' ? NETWORK_UNBOUNDED : read_number(e);
        }
        if (!take(e, "}") || most < least) {
            fail(e, "a repetition isn't {n}, {n,} or {n,m}");
        }
    } else if (take(e, "+")) {
        least = 1;
    } else if (take(e, "?")) {
        most = 1;
    } else if (!take(e, "*")) {
        return body;
    }
    (void)take(e, "?"); /* which of several ways is preferred makes no difference here */
    return network_repeat(e->net, body, least, most);
}

static piece anything(network *n) {
    return network_repeat(n, schema_any_character(n), 0, NETWORK_UNBOUNDED);
}

static piece read_sequence(expression *e, bool top) {
    piece whole = top && !take(e, "^") ? anything(e->net) : network_nothing(e->net);
    bool anchored = false;
    while (!e->net->failed && !is_at_end(e) && peek(e) != '|' && peek(e) != ')') {
        if (top && take(e, "$")) {
            anchored = true;
            if (!is_at_end(e) && peek(e) != '|') {
                fail(e, "'$' isn't at the end");
            }
            break;
        }
        piece atom = read_atom(e);
        if (!e->net->failed) {
            whole = network_join(e->net, whole, read_repetition(e, atom));
        }
    }
    return top && !anchored ? network_join(e->net, whole, anything(e->net)) : whole;
}

static piece read_alternatives(expression *e, bool top) {
    piece whole = read_sequence(e, top);
    while (!e->net->failed && take(e, "|")) {
        whole = network_either(e->net, whole, read_sequence(e, top));
    }
    return whole;
}

piece schema_pattern(network *n, slice pattern) {
    expression e = {.net = n, .text = pattern};
    piece whole = read_alternatives(&e, true);
    if (!is_at_end(&e)) {
        fail(&e, "a ')' stands without its '('");
    }
    return whole;
}
