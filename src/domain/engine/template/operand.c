#include "parser.h"

#include "operation.h"

#include <stdlib.h>

/* What operators join: a value with its signs, then what stands behind it: attributes, calls, filters, tests.
 */

static node *parse_unary(parser *p, bool with_filters);
static node *parse_postfix(parser *p, node *n);

/* Behind the opening parenthesis, to behind the closing one. */
static bool parse_arguments(parser *p, node *owner) {
    node_list list = {NULL, NULL};
    bool keyword = false;
    while (!parser_is_operator(p, ")")) {
        if (list.first != NULL && !parser_expect_operator(p, ",")) {
            return false;
        }
        if (parser_is_operator(p, ")")) { /* behind a last comma */
            break;
        }
        if (parser_is_operator(p, "*") || parser_is_operator(p, "**")) {
            return parser_missing(p, "argument", p->at->text);
        }
        node *n = NULL;
        bool named = p->at->kind == LEXEME_NAME && p->at[1].kind == LEXEME_OPERATOR &&
                     slice_equal_text(p->at[1].text, "=");
        if (named) {
            n = parser_name_node(p, NODE_KEYWORD, p->at->text);
            p->at += 2;
            keyword = true;
            if (n == NULL || (n->a = parse_expression(p)) == NULL) {
                return false;
            }
        } else if (keyword) {
            return parser_error(p, "an argument without a name stands behind one with a name");
        } else if ((n = parse_expression(p)) == NULL) {
            return false;
        }
        node_list_append(&list, n);
    }
    owner->children = list.first;
    return parser_expect_operator(p, ")");
}

static node *parse_list(parser *p) {
    node *n = parser_node(p, NODE_LIST);
    node_list list = {NULL, NULL};
    while (n != NULL && !parser_is_operator(p, "]")) {
        if (list.first != NULL && !parser_expect_operator(p, ",")) {
            return NULL;
        }
        if (parser_is_operator(p, "]")) {
            break;
        }
        node *element = parse_expression(p);
        if (element == NULL) {
            return NULL;
        }
        node_list_append(&list, element);
    }
    if (n == NULL || !parser_expect_operator(p, "]")) {
        return NULL;
    }
    n->children = list.first;
    return n;
}

static node *parse_dict(parser *p) {
    node *n = parser_node(p, NODE_DICT);
    node_list list = {NULL, NULL};
    while (n != NULL && !parser_is_operator(p, "}")) {
        if (list.first != NULL && !parser_expect_operator(p, ",")) {
            return NULL;
        }
        if (parser_is_operator(p, "}")) {
            break;
        }
        node *pair = parser_node(p, NODE_PAIR);
        if (pair == NULL || (pair->a = parse_expression(p)) == NULL || !parser_expect_operator(p, ":") ||
            (pair->b = parse_expression(p)) == NULL) {
            return NULL;
        }
        node_list_append(&list, pair);
    }
    if (n == NULL || !parser_expect_operator(p, "}")) {
        return NULL;
    }
    n->children = list.first;
    return n;
}

static node *parse_parentheses(parser *p) {
    if (parser_take_operator(p, ")")) {
        return parser_node(p, NODE_TUPLE);
    }
    node *n = parse_tuple(p, parse_expression);
    return n != NULL && parser_expect_operator(p, ")") ? n : NULL;
}

static node *parse_name(parser *p) {
    slice name = (p->at++)->text;
    bool yes = slice_equal_text(name, "true") || slice_equal_text(name, "True");
    if (yes || slice_equal_text(name, "false") || slice_equal_text(name, "False")) {
        node *n = parser_node(p, NODE_BOOL);
        if (n != NULL) {
            n->boolean = yes;
        }
        return n;
    }
    if (slice_equal_text(name, "none") || slice_equal_text(name, "None")) {
        return parser_node(p, NODE_NONE);
    }
    return parser_name_node(p, NODE_NAME, name);
}

/* Digits may have _ between them. */
static node *parse_number(parser *p) {
    char digits[64];
    size_t length = 0;
    slice words = p->at->text;
    bool whole = p->at->kind == LEXEME_INTEGER;
    for (size_t i = 0; i < words.length && length + 1 < sizeof digits; i++) {
        digits[length] = (char)words.data[i];
        length += words.data[i] == '_' ? 0 : 1;
    }
    digits[length] = 0;
    uint64_t integer = 0;
    if (length + 1 == sizeof digits ||
        (whole && (!slice_to_u64(slice_of(digits, length), &integer) || integer > INT64_MAX))) {
        parser_error(p, "a number is too large");
        return NULL;
    }
    node *n = parser_node(p, whole ? NODE_INTEGER : NODE_FLOAT);
    if (n != NULL && whole) {
        n->integer = (int64_t)integer;
    } else if (n != NULL) {
        n->number = strtod(digits, NULL);
    }
    p->at++;
    return n;
}

/* Strings that stand beside each other are one. */
static node *parse_text(parser *p) {
    node *n = parser_node(p, NODE_TEXT);
    size_t length = 0;
    const lexeme *first = p->at;
    for (; p->at->kind == LEXEME_TEXT; p->at++) {
        length += p->at->text.length;
    }
    uint8_t *bytes = n == NULL ? NULL : arena_allocate(p->memory, length);
    if (bytes == NULL) {
        error_memory(p->err);
        return NULL;
    }
    n->name = slice_of(bytes, length);
    for (; first < p->at; first++) {
        if (first->text.length > 0) {
            memcpy(bytes, first->text.data, first->text.length);
        }
        bytes += first->text.length;
    }
    return n;
}

static node *parse_primary(parser *p) {
    switch (p->at->kind) {
    case LEXEME_NAME:
        return parse_name(p);
    case LEXEME_TEXT:
        return parse_text(p);
    case LEXEME_INTEGER:
    case LEXEME_FLOAT:
        return parse_number(p);
    default:
        break;
    }
    if (parser_take_operator(p, "(")) {
        return parse_parentheses(p);
    }
    if (parser_take_operator(p, "[")) {
        return parse_list(p);
    }
    if (parser_take_operator(p, "{")) {
        return parse_dict(p);
    }
    parser_error(p, "a value is expected");
    return NULL;
}

static bool is_slice_end(const parser *p) {
    return parser_is_operator(p, ":") || parser_is_operator(p, "]");
}

/* Behind the opening bracket. */
static node *parse_subscript(parser *p, node *object) {
    node *n = parser_node(p, NODE_ITEM);
    if (n == NULL) {
        return NULL;
    }
    n->a = object;
    if (!is_slice_end(p) && (n->b = parse_expression(p)) == NULL) {
        return NULL;
    }
    if (parser_take_operator(p, ":")) {
        n->kind = NODE_SLICE;
        if (!is_slice_end(p) && (n->c = parse_expression(p)) == NULL) {
            return NULL;
        }
        if (parser_take_operator(p, ":") && !is_slice_end(p) && (n->d = parse_expression(p)) == NULL) {
            return NULL;
        }
    } else if (n->b == NULL) {
        parser_error(p, "an index is expected");
        return NULL;
    }
    return parser_expect_operator(p, "]") ? n : NULL;
}

/* Behind the dot. */
static node *parse_attribute(parser *p, node *object) {
    if (p->at->kind == LEXEME_INTEGER) {
        node *n = parser_node(p, NODE_ITEM);
        if (n == NULL || (n->b = parse_number(p)) == NULL) {
            return NULL;
        }
        n->a = object;
        return n;
    }
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "an attribute's name is expected");
        return NULL;
    }
    slice name = p->at->text;
    bool called = p->at[1].kind == LEXEME_OPERATOR && slice_equal_text(p->at[1].text, "(");
    if (called && !operation_is_method(name)) {
        parser_missing(p, "method", name);
        return NULL;
    }
    node *n = parser_node(p, NODE_ATTRIBUTE);
    if (n != NULL) {
        n->a = object;
        n->name = name;
        p->at++;
    }
    return n;
}

static node *parse_call(parser *p, node *function) {
    node *n = parser_node(p, NODE_CALL);
    if (n == NULL || !parse_arguments(p, n)) {
        return NULL;
    }
    n->a = function;
    return n;
}

/* Each step behind a value nests the tree by one. */
static node *parse_step(parser *p, node *n, uint32_t *steps) {
    if (!parser_enter(p)) {
        return NULL;
    }
    (*steps)++;
    if (parser_take_operator(p, ".")) {
        return parse_attribute(p, n);
    }
    if (parser_take_operator(p, "[")) {
        return parse_subscript(p, n);
    }
    p->at++;
    return parse_call(p, n);
}

static node *parse_postfix(parser *p, node *n) {
    uint32_t steps = 0;
    while (n != NULL &&
           (parser_is_operator(p, ".") || parser_is_operator(p, "[") || parser_is_operator(p, "("))) {
        n = parse_step(p, n, &steps);
    }
    p->depth -= steps;
    return n;
}

/* A filter or test given as text to map, select and the like is named as early as one that is written out. */
static bool check_named(parser *p, const node *n) {
    const node *argument = n->children;
    bool maps = slice_equal_text(n->name, "map");
    bool selects = slice_equal_text(n->name, "select") || slice_equal_text(n->name, "reject");
    if (slice_equal_text(n->name, "selectattr") || slice_equal_text(n->name, "rejectattr")) {
        argument = argument == NULL ? NULL : argument->next;
        selects = true;
    }
    if (argument == NULL || argument->kind != NODE_TEXT || (!maps && !selects)) {
        return true;
    }
    return (maps ? filter_find(argument->name) : test_find(argument->name)) != NULL ||
           parser_missing(p, maps ? "filter" : "test", argument->name);
}

/* Behind the bar. */
static node *parse_filter(parser *p, node *subject) {
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "a filter's name is expected");
        return NULL;
    }
    node *n = parser_node(p, NODE_FILTER);
    if (n == NULL) {
        return NULL;
    }
    n->a = subject;
    n->name = p->at->text;
    n->operation = filter_find(n->name);
    if (n->operation == NULL) {
        parser_missing(p, "filter", n->name);
        return NULL;
    }
    p->at++;
    if (parser_take_operator(p, "(") && !parse_arguments(p, n)) {
        return NULL;
    }
    return check_named(p, n) ? n : NULL;
}

node *parse_captured_filters(parser *p) {
    node *n = parser_node(p, NODE_CAPTURED);
    uint32_t steps = 0;
    do {
        n = n != NULL && parser_enter(p) ? parse_filter(p, n) : NULL;
        steps++;
    } while (n != NULL && parser_take_operator(p, "|"));
    p->depth -= n == NULL ? 0 : steps;
    return n;
}

static bool is_test_argument(const parser *p) {
    switch (p->at->kind) {
    case LEXEME_NAME:
        return !parser_is_name(p, "else") && !parser_is_name(p, "or") && !parser_is_name(p, "and") &&
               !parser_is_name(p, "if") && !parser_is_name(p, "not") && !parser_is_name(p, "in") &&
               !parser_is_name(p, "is");
    case LEXEME_TEXT:
    case LEXEME_INTEGER:
    case LEXEME_FLOAT:
        return true;
    default:
        return parser_is_operator(p, "[") || parser_is_operator(p, "{");
    }
}

/* Behind `is`. */
static node *parse_test(parser *p, node *subject) {
    bool negated = parser_take_name(p, "not");
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "a test's name is expected");
        return NULL;
    }
    node *n = parser_node(p, NODE_TEST);
    if (n == NULL) {
        return NULL;
    }
    n->a = subject;
    n->name = p->at->text;
    n->operation = test_find(n->name);
    if (n->operation == NULL) {
        parser_missing(p, "test", n->name);
        return NULL;
    }
    p->at++;
    if (parser_take_operator(p, "(")) {
        if (!parse_arguments(p, n)) {
            return NULL;
        }
    } else if (is_test_argument(p)) {
        n->children = parse_primary(p);
        n->children = n->children == NULL ? NULL : parse_postfix(p, n->children);
        if (n->children == NULL) {
            return NULL;
        }
    }
    node *outer = negated ? parser_node(p, NODE_NOT) : n;
    if (negated && outer != NULL) {
        outer->a = n;
    }
    return outer;
}

static node *parse_filters(parser *p, node *n) {
    uint32_t steps = 0;
    while (n != NULL) {
        bool filter = parser_is_operator(p, "|");
        bool test = parser_is_name(p, "is");
        if (!filter && !test && !parser_is_operator(p, "(")) {
            break;
        }
        if (!parser_enter(p)) {
            return NULL;
        }
        steps++;
        p->at++;
        n = filter ? parse_filter(p, n) : test ? parse_test(p, n) : parse_call(p, n);
    }
    p->depth -= steps;
    return n;
}

static node *parse_unary(parser *p, bool with_filters) {
    node *n = NULL;
    if (!parser_enter(p)) {
        return NULL;
    }
    if (parser_is_operator(p, "-") || parser_is_operator(p, "+")) {
        n = parser_node(p, parser_is_operator(p, "-") ? NODE_MINUS : NODE_PLUS);
        p->at++;
        if (n == NULL || (n->a = parse_unary(p, false)) == NULL) {
            return NULL;
        }
    } else {
        n = parse_primary(p);
    }
    n = n == NULL ? NULL : parse_postfix(p, n);
    n = n == NULL || !with_filters ? n : parse_filters(p, n);
    parser_leave(p);
    return n;
}

node *parse_operand(parser *p) {
    return parse_unary(p, true);
}
