#include "base/map.h"
#include "base/memory.h"
#include "crypto/hash.h"
#include "sample/grammar.h"

/* GBNF as llama.cpp's documents describe it. A rule is `name ::= alternatives` up to the end of the line;
 * within parentheses and behind `|` and `::=` it goes on over lines. */
typedef struct parser {
    slice text;
    size_t at;
    network net;
    map *names; /* of rules: the address of their place in `known`, which is the id */
    struct {
        slice name;
        size_t used_at; /* first */
    } known[NETWORK_RULES_MAX];
    unsigned depth;
} parser;

static bool is_word(uint8_t c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* The byte at the place; 0, which begins nothing, behind the end. */
static uint8_t peek(const parser *p) {
    return p->at < p->text.length ? p->text.data[p->at] : 0;
}

static bool fail_at(parser *p, size_t place, const char *what) {
    size_t line = 1;
    size_t column = 1;
    for (size_t i = 0; i < place && i < p->text.length; i++) {
        bool ends = p->text.data[i] == '\n';
        line += ends ? 1 : 0;
        column = ends ? 1 : column + 1;
    }
    return network_fail(&p->net, ERROR_INVALID, "grammar, line %zu, column %zu: %s", line, column, what);
}

static bool fail(parser *p, const char *what) {
    return fail_at(p, p->at, what);
}

static void skip_space(parser *p, bool lines) {
    for (; p->at < p->text.length; p->at++) {
        uint8_t c = peek(p);
        if (c == '#') {
            while (p->at + 1 < p->text.length && p->text.data[p->at + 1] != '\n') {
                p->at++;
            }
        } else if (c != ' ' && c != '\t' && !(lines && (c == '\r' || c == '\n'))) {
            break;
        }
    }
}

static slice read_name(parser *p) {
    size_t start = p->at;
    while (is_word(peek(p))) {
        p->at++;
    }
    return slice_part(p->text, start, p->at - start);
}

static uint32_t rule_named(parser *p, slice name, size_t place) {
    void *found = map_get(p->names, name);
    if (found != NULL) {
        return (uint32_t)((char *)found - (char *)p->known) / (uint32_t)sizeof p->known[0];
    }
    uint32_t made = network_rule(&p->net);
    if (!p->net.failed) {
        p->known[made].name = name;
        p->known[made].used_at = place;
        if (!map_put(p->names, name, &p->known[made])) {
            network_fail(&p->net, ERROR_MEMORY, "out of memory");
        }
    }
    return made;
}

static bool read_hexadecimal(parser *p, size_t digits, uint32_t *value) {
    *value = 0;
    for (size_t i = 0; i < digits; i++, p->at++) {
        uint8_t c = peek(p);
        uint8_t lower = c | 0x20;
        if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'f')) {
            return fail(p, "a hexadecimal digit is missing");
        }
        *value = *value << 4 | (uint32_t)(c <= '9' ? c - '0' : lower - 'a' + 10);
    }
    return true;
}

static bool read_escape(parser *p, uint32_t *character) {
    uint8_t c = peek(p);
    p->at++;
    switch (c) {
    case 'x':
        return read_hexadecimal(p, 2, character);
    case 'u':
        return read_hexadecimal(p, 4, character);
    case 'U':
        return read_hexadecimal(p, 8, character);
    case 't':
        *character = '\t';
        return true;
    case 'r':
        *character = '\r';
        return true;
    case 'n':
        *character = '\n';
        return true;
    case '\\':
    case '"':
    case '[':
    case ']':
    case '-':
    case '^':
        *character = c;
        return true;
    default:
        p->at--;
        return fail(p, "an escape is not one of \\x \\u \\U \\t \\r \\n \\\\ \\\" \\[ \\]");
    }
}

/* One character of a literal or class. */
static bool read_character(parser *p, uint32_t *character) {
    slice rest = slice_after(p->text, p->at);
    if (rest.length == 0) {
        return fail(p, "the text ends within a literal or a class");
    }
    if (rest.data[0] == '\\') {
        p->at++;
        return read_escape(p, character) &&
               ((*character <= CHARACTER_MOST && (*character < 0xd800 || *character > 0xdfff)) ||
                fail(p, "an escape is not a character"));
    }
    size_t length = slice_utf8_first(rest, character);
    p->at += length;
    return length > 0 || fail(p, "the text is not UTF-8");
}

static piece read_literal(parser *p) {
    piece whole = network_nothing(&p->net);
    p->at++;
    while (peek(p) != '"' && !p->net.failed) {
        uint32_t character = 0;
        characters one = {0};
        if (read_character(p, &character) && characters_add(&one, character, character)) {
            whole = network_join(&p->net, whole, network_characters(&p->net, &one));
        }
    }
    p->at++;
    return whole;
}

static piece read_class(parser *p) {
    characters set = {0};
    p->at++;
    bool negated = peek(p) == '^';
    p->at += negated ? 1 : 0;
    bool fits = true;
    while (peek(p) != ']' && !p->net.failed && fits) {
        uint32_t low = 0;
        if (!read_character(p, &low)) {
            break;
        }
        uint32_t high = low;
        if (peek(p) == '-' && p->at + 1 < p->text.length && p->text.data[p->at + 1] != ']') {
            p->at++;
            if (!read_character(p, &high)) {
                break;
            }
        }
        if (high < low) {
            fail(p, "a range of characters goes backwards");
        }
        fits = characters_add(&set, low, high);
    }
    p->at++;
    fits = fits && (negated ? characters_negate(&set) : characters_normalise(&set));
    if (!fits) {
        fail(p, "a class has too many ranges");
    }
    return network_characters(&p->net, &set);
}

static piece read_any(parser *p) {
    characters set = {0};
    p->at++;
    return characters_negate(&set) ? network_characters(&p->net, &set) : network_never(&p->net);
}

static piece read_alternatives(parser *p, bool nested);

static piece read_group(parser *p) {
    p->at++;
    skip_space(p, true);
    if (++p->depth > GRAMMAR_DEPTH_MAX) {
        fail(p, "groups are nested too deep");
        return (piece){0};
    }
    piece inner = read_alternatives(p, true);
    p->depth--;
    if (peek(p) != ')') {
        fail(p, "a ')' is missing");
    }
    p->at++;
    return inner;
}

static bool read_number(parser *p, uint32_t *number) {
    size_t start = p->at;
    *number = 0;
    while (peek(p) >= '0' && peek(p) <= '9') {
        *number = *number * 10 + (uint32_t)(peek(p) - '0');
        p->at++;
        if (*number > NETWORK_STATES_MAX) {
            return network_fail(&p->net, ERROR_LIMIT,
                                "grammar: a repetition is larger than this engine follows");
        }
    }
    return p->at > start || fail(p, "a number is missing");
}

static bool read_bounds(parser *p, uint32_t *least, uint32_t *most) {
    p->at++;
    skip_space(p, false);
    if (!read_number(p, least)) {
        return false;
    }
    *most = *least;
    skip_space(p, false);
    if (peek(p) == ',') {
        p->at++;
        skip_space(p, false);
        *most = NETWORK_UNBOUNDED;
        if (peek(p) != '}' && !read_number(p, most)) {
            return false;
        }
        skip_space(p, false);
    }
    if (peek(p) != '}') {
        return fail(p, "a '}' is missing");
    }
    p->at++;
    return *most >= *least || fail(p, "a repetition's most is below its least");
}

static piece read_repetition(parser *p, piece body, bool *repeated) {
    uint32_t least = 0;
    uint32_t most = NETWORK_UNBOUNDED;
    uint8_t c = peek(p);
    *repeated = c == '*' || c == '+' || c == '?' || c == '{';
    if (!*repeated) {
        return body;
    }
    if (c == '{') {
        if (!read_bounds(p, &least, &most)) {
            return body;
        }
    } else {
        p->at++;
        least = c == '+' ? 1 : 0;
        most = c == '?' ? 1 : NETWORK_UNBOUNDED;
    }
    return network_repeat(&p->net, body, least, most);
}

static bool begins_item(const parser *p) {
    uint8_t c = peek(p);
    return c == '"' || c == '[' || c == '(' || c == '.' || is_word(c);
}

static piece read_item(parser *p, bool nested) {
    uint8_t c = peek(p);
    piece item;
    if (c == '"') {
        item = read_literal(p);
    } else if (c == '[') {
        item = read_class(p);
    } else if (c == '.') {
        item = read_any(p);
    } else if (c == '(') {
        item = read_group(p);
    } else {
        size_t place = p->at;
        slice name = read_name(p);
        item = network_call(&p->net, rule_named(p, name, place));
    }
    bool repeated = true;
    while (repeated && !p->net.failed) {
        skip_space(p, nested);
        item = read_repetition(p, item, &repeated);
    }
    return item;
}

static piece read_sequence(parser *p, bool nested) {
    piece whole = network_nothing(&p->net);
    while (begins_item(p) && !p->net.failed) {
        whole = network_join(&p->net, whole, read_item(p, nested));
    }
    return whole;
}

static piece read_alternatives(parser *p, bool nested) {
    piece whole = read_sequence(p, nested);
    while (peek(p) == '|' && !p->net.failed) {
        p->at++;
        skip_space(p, true);
        whole = network_either(&p->net, whole, read_sequence(p, nested));
    }
    return whole;
}

static void read_rule(parser *p) {
    size_t place = p->at;
    slice name = read_name(p);
    if (name.length == 0) {
        fail(p, "a rule's name is missing");
        return;
    }
    uint32_t id = rule_named(p, name, place);
    skip_space(p, false);
    if (!slice_starts_with(slice_after(p->text, p->at), SLICE_LITERAL("::="))) {
        fail(p, "'::=' is missing");
        return;
    }
    p->at += 3;
    skip_space(p, true);
    if (!p->net.failed && p->net.rules[id].start != NETWORK_NONE) {
        fail_at(p, place, "the rule is there already");
        return;
    }
    network_define(&p->net, id, read_alternatives(p, false));
    if (p->at < p->text.length && peek(p) != '\n' && peek(p) != '\r') {
        fail(p, "something stands here that can't");
    }
    skip_space(p, true);
}

static void read_all(parser *p) {
    (void)rule_named(p, SLICE_LITERAL("root"), 0);
    skip_space(p, true);
    while (p->at < p->text.length && !p->net.failed) {
        read_rule(p);
    }
    for (uint32_t i = 0; i < p->net.rule_count && !p->net.failed; i++) {
        if (p->net.rules[i].start == NETWORK_NONE) {
            fail_at(p, p->known[i].used_at,
                    i == 0 ? "there is no rule 'root'" : "this rule isn't defined anywhere");
        }
    }
}

grammar *grammar_from_gbnf(slice text, error *err) {
    uint8_t digest[HASH_SIZE]; /* seeds the map, so that names can't be made for it */
    if (text.length > GRAMMAR_TEXT_MAX || !slice_is_utf8(text)) {
        error_set(err, text.length > GRAMMAR_TEXT_MAX ? ERROR_LIMIT : ERROR_INVALID,
                  "the grammar is not UTF-8 of at most %d bytes", GRAMMAR_TEXT_MAX);
        return NULL;
    }
    if (!hash_sha256(text, digest, err)) {
        return NULL;
    }
    parser *p = memory_allocate_zeroed(1, sizeof *p);
    map *names = map_new(digest);
    grammar *made = NULL;
    if (p == NULL || names == NULL) {
        error_memory(err);
    } else {
        p->text = text;
        p->names = names;
        read_all(p);
        made = grammar_new(&p->net, err);
    }
    map_free(names);
    memory_free(p);
    return made;
}
