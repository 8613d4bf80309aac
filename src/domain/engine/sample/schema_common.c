#include "base/memory.h"
#include "sample/schema.h"

/* A number whose digits are bounded, so that every reader of JSON can hold it: 16 before the point, 16 behind
 * it, two in the exponent. */
static piece plain_number(network *n, bool whole) {
    piece sign = network_repeat(n, network_literal(n, SLICE_LITERAL("-")), 0, 1);
    piece first = network_never(n);
    network_bytes_edge(n, first.start, '1', '9', first.end);
    piece digit = network_never(n);
    network_bytes_edge(n, digit.start, '0', '9', digit.end);
    piece digits = network_join(n, first, network_repeat(n, digit, 0, 15));
    piece p = network_join(n, sign, network_either(n, digits, network_literal(n, SLICE_LITERAL("0"))));
    if (whole) {
        return p;
    }
    piece point = network_literal(n, SLICE_LITERAL("."));
    digit = network_never(n);
    network_bytes_edge(n, digit.start, '0', '9', digit.end);
    piece fraction = network_join(n, point, network_repeat(n, digit, 1, 16));
    p = network_join(n, p, network_repeat(n, fraction, 0, 1));
    piece letter = network_never(n);
    network_bytes_edge(n, letter.start, 'e', 'e', letter.end);
    network_bytes_edge(n, letter.start, 'E', 'E', letter.end);
    sign = network_never(n);
    network_bytes_edge(n, sign.start, '-', '-', sign.end);
    network_bytes_edge(n, sign.start, '+', '+', sign.end);
    letter = network_join(n, letter, network_repeat(n, sign, 0, 1));
    digit = network_never(n);
    network_bytes_edge(n, digit.start, '0', '9', digit.end);
    piece exponent = network_join(n, letter, network_repeat(n, digit, 1, 2));
    return network_join(n, p, network_repeat(n, exponent, 0, 1));
}

/* Nothing, a space, or a new line with up to 20 spaces or tabs. */
static piece space(network *n) {
    piece line = network_literal(n, SLICE_LITERAL("\n"));
    piece blank = network_never(n);
    network_bytes_edge(n, blank.start, ' ', ' ', blank.end);
    network_bytes_edge(n, blank.start, '\t', '\t', blank.end);
    line = network_join(n, line, network_repeat(n, blank, 0, 20));
    piece p = network_either(n, line, network_literal(n, SLICE_LITERAL(" ")));
    return network_repeat(n, p, 0, 1);
}

static piece string(network *n) {
    piece quote = network_literal(n, SLICE_LITERAL("\""));
    piece inside = network_repeat(n, schema_any_character(n), 0, NETWORK_UNBOUNDED);
    return network_join(n, network_join(n, quote, inside), network_literal(n, SLICE_LITERAL("\"")));
}

static piece value(schema *s) {
    static const char *const words[] = {"null", "true", "false"};
    const uint32_t rules[] = {s->object, s->array, s->string, s->number};
    piece p = network_never(&s->net);
    for (size_t i = 0; i < 3; i++) {
        p = network_either(&s->net, p, network_literal(&s->net, slice_of_text(words[i])));
    }
    for (size_t i = 0; i < 4; i++) {
        p = network_either(&s->net, p, network_call(&s->net, rules[i]));
    }
    return p;
}

void schema_define_common(schema *s) {
    network *n = &s->net;
    uint32_t *const ids[] = {&s->space,  &s->value,  &s->object, &s->array,
                             &s->string, &s->number, &s->integer};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        *ids[i] = network_rule(n);
    }
    const view anything = {.count = 0};
    network_define(n, s->space, space(n));
    network_define(n, s->string, string(n));
    network_define(n, s->number, plain_number(n, false));
    network_define(n, s->integer, plain_number(n, true));
    network_define(n, s->value, value(s));
    network_define(n, s->array, schema_array(s, &anything));
    network_define(n, s->object, schema_object(s, &anything));
}

/* The names of the properties as a tree over their bytes. */
typedef struct letter {
    uint32_t first_child;
    uint32_t sibling;
    uint32_t state;
    uint8_t byte;
    bool ends_name;
} letter;

typedef struct names {
    letter *letters; /* the first is the root */
    uint32_t count;
    uint32_t capacity;
} names;

static bool add_letter(schema *s, names *tree, uint8_t byte) {
    if (tree->count == tree->capacity) {
        uint32_t capacity = tree->capacity == 0 ? 64 : 2 * tree->capacity;
        letter *letters = memory_resize(tree->letters, capacity * sizeof *letters);
        if (letters == NULL) {
            return network_fail(&s->net, ERROR_MEMORY, "out of memory");
        }
        tree->letters = letters;
        tree->capacity = capacity;
    }
    tree->letters[tree->count++] = (letter){NETWORK_NONE, NETWORK_NONE, network_state(&s->net), byte, false};
    return !s->net.failed;
}

static void add_name(schema *s, names *tree, slice name) {
    uint32_t at = 0;
    for (size_t i = 0; i < name.length; i++) {
        uint32_t child = tree->letters[at].first_child;
        while (child != NETWORK_NONE && tree->letters[child].byte != name.data[i]) {
            child = tree->letters[child].sibling;
        }
        if (child == NETWORK_NONE) {
            child = tree->count;
            if (!add_letter(s, tree, name.data[i])) {
                return;
            }
            tree->letters[child].sibling = tree->letters[at].first_child;
            tree->letters[at].first_child = child;
        }
        at = child;
    }
    tree->letters[at].ends_name = true;
}

/* Where a key goes on that has left the tree. Behind these bytes the next is of that range, so many follow.
 */
typedef struct tails {
    uint32_t free; /* between characters */
    uint32_t one;  /* one more byte of a character */
    uint32_t two;
    uint32_t three;
    uint32_t e0;
    uint32_t ed;
    uint32_t f0;
    uint32_t f4;
} tails;

/* From between characters, by a byte that isn't taken: no quote, backslash or control character, since a key
 * with an escape could be a name in disguise. */
static void leave_tree(network *n, uint32_t from, const bool taken[256], const tails *t) {
    const struct {
        uint8_t low;
        uint8_t high;
        uint32_t to;
    } ways[] = {{0x20, 0x21, t->free}, {0x23, 0x5b, t->free},  {0x5d, 0x7f, t->free}, {0xc2, 0xdf, t->one},
                {0xe0, 0xe0, t->e0},   {0xe1, 0xec, t->two},   {0xed, 0xed, t->ed},   {0xee, 0xef, t->two},
                {0xf0, 0xf0, t->f0},   {0xf1, 0xf3, t->three}, {0xf4, 0xf4, t->f4}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        for (unsigned low = ways[i].low; low <= ways[i].high; low++) {
            unsigned next = low;
            while (next <= ways[i].high && !taken[next]) {
                next++;
            }
            if (next > low) {
                network_bytes_edge(n, from, (uint8_t)low, (uint8_t)(next - 1), ways[i].to);
            }
            low = next;
        }
    }
}

static tails make_tails(network *n) {
    static const bool none[256] = {false};
    tails t = {0};
    uint32_t *const states[] = {&t.free, &t.one, &t.two, &t.three, &t.e0, &t.ed, &t.f0, &t.f4};
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        *states[i] = network_state(n);
    }
    network_bytes_edge(n, t.one, 0x80, 0xbf, t.free);
    network_bytes_edge(n, t.two, 0x80, 0xbf, t.one);
    network_bytes_edge(n, t.three, 0x80, 0xbf, t.two);
    network_bytes_edge(n, t.e0, 0xa0, 0xbf, t.one);
    network_bytes_edge(n, t.ed, 0x80, 0x9f, t.one);
    network_bytes_edge(n, t.f0, 0x90, 0xbf, t.two);
    network_bytes_edge(n, t.f4, 0x80, 0x8f, t.two);
    leave_tree(n, t.free, none, &t);
    return t;
}

/* A key may leave the tree between characters only: one that shares the first byte of a name's character
 * beyond ASCII must share all of it. That leaves out some keys, and lets no name in. */
static void add_letter_edges(schema *s, const names *tree, const letter *at, const tails *t, uint32_t end) {
    bool taken[256] = {false};
    bool within = false;
    for (uint32_t c = at->first_child; c != NETWORK_NONE; c = tree->letters[c].sibling) {
        const letter *child = &tree->letters[c];
        taken[child->byte] = true;
        within = within || (child->byte & 0xc0) == 0x80;
        if (child->byte >= 0x20 && child->byte != '"' && child->byte != '\\') {
            network_bytes_edge(&s->net, at->state, child->byte, child->byte, child->state);
        }
    }
    if (!within) {
        leave_tree(&s->net, at->state, taken, t);
        if (!at->ends_name) {
            network_bytes_edge(&s->net, at->state, '"', '"', end);
        }
    }
}

uint32_t schema_other_key(schema *s, const view *v, uint32_t from) {
    names tree = {0};
    uint32_t end = network_state(&s->net);
    tails t = make_tails(&s->net);
    network_bytes_edge(&s->net, t.free, '"', '"', end);
    if (add_letter(s, &tree, 0) && tree.letters != NULL) {
        for (size_t i = 0; i < v->count; i++) {
            const json_value *properties = json_find(v->parts[i].schema, "properties");
            const json_value *required = json_find(v->parts[i].schema, "required");
            const json_value *ignored = NULL;
            for (const char *name = NULL; !s->net.failed && json_next_member(properties, &name, &ignored);) {
                add_name(s, &tree, slice_of_text(name));
            }
            for (size_t j = 0; j < json_count(required) && !s->net.failed; j++) {
                add_name(s, &tree, json_text_of(json_at(required, j)));
            }
        }
        network_bytes_edge(&s->net, from, '"', '"', tree.letters[0].state);
        for (uint32_t i = 0; i < tree.count && !s->net.failed; i++) {
            add_letter_edges(s, &tree, &tree.letters[i], &t, end);
        }
    }
    memory_free(tree.letters);
    return end;
}
