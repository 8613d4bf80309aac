#include "parser.h"

/* Precedence as in Jinja, from loose to tight: if-else, or, and, not, comparisons, + and -, ~, * / // %, **;
 * then operands. */

static bool is_argument_end(const parser *p) {
    return p->at->kind == LEXEME_PRINT_END || p->at->kind == LEXEME_BLOCK_END || parser_is_operator(p, ")") ||
           parser_is_operator(p, "=") || parser_is_name(p, "in");
}

node *parse_tuple(parser *p, node *(*element)(parser *p)) {
    node *first = element(p);
    if (first == NULL || !parser_is_operator(p, ",")) {
        return first;
    }
    node *tuple = parser_node(p, NODE_TUPLE);
    node_list list = {first, first};
    if (tuple == NULL) {
        return NULL;
    }
    while (parser_take_operator(p, ",") && !is_argument_end(p)) {
        node *n = element(p);
        if (n == NULL) {
            return NULL;
        }
        node_list_append(&list, n);
    }
    tuple->children = list.first;
    return tuple;
}

static node *parse_one_target(parser *p) {
    if (!parser_enter(p)) {
        return NULL;
    }
    node *n = NULL;
    if (parser_take_operator(p, "(")) {
        n = parse_tuple(p, parse_one_target);
        n = n != NULL && parser_expect_operator(p, ")") ? n : NULL;
    } else if (p->at->kind == LEXEME_NAME) {
        n = parser_name_node(p, NODE_NAME, (p->at++)->text);
    } else {
        parser_error(p, "a variable's name is expected");
    }
    parser_leave(p);
    return n;
}

node *parse_target(parser *p, bool attribute) {
    if (!attribute || p->at->kind != LEXEME_NAME || p->at[1].kind != LEXEME_OPERATOR ||
        !slice_equal_text(p->at[1].text, ".")) {
        return parse_tuple(p, parse_one_target);
    }
    node *object = parser_name_node(p, NODE_NAME, (p->at++)->text);
    node *n = object == NULL ? NULL : parser_node(p, NODE_ATTRIBUTE);
    p->at++; /* the dot */
    if (n == NULL) {
        return NULL;
    }
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "an attribute's name is expected");
        return NULL;
    }
    n->a = object;
    n->name = (p->at++)->text;
    return n;
}

typedef struct operator_name {
    const char *text;
    operator_kind kind;
} operator_name;

/* Operators of one precedence, from the left; each nests the tree by one. */
static node *parse_binary(parser *p, node *(*operand)(parser *p), const operator_name *operators,
                          size_t count) {
    node *left = operand(p);
    uint32_t steps = 0;
    for (size_t i = 0; left != NULL && i < count; i++) {
        if (!parser_is_operator(p, operators[i].text)) {
            continue;
        }
        node *n = parser_enter(p) ? parser_node(p, NODE_BINARY) : NULL;
        steps++;
        p->at++;
        if (n == NULL || (n->b = operand(p)) == NULL) {
            return NULL;
        }
        n->a = left;
        n->sign = operators[i].kind;
        left = n;
        i = SIZE_MAX; /* from the first again */
    }
    p->depth -= steps;
    return left;
}

static node *parse_power(parser *p) {
    static const operator_name operators[] = {{"**", OPERATOR_POWER}};
    return parse_binary(p, parse_operand, operators, 1);
}

static node *parse_product(parser *p) {
    static const operator_name operators[] = {
        {"*", OPERATOR_MULTIPLY}, {"/", OPERATOR_DIVIDE}, {"//", OPERATOR_FLOOR}, {"%", OPERATOR_MODULO}};
    return parse_binary(p, parse_power, operators, 4);
}

static node *parse_concatenation(parser *p) {
    node *first = parse_product(p);
    if (first == NULL || !parser_is_operator(p, "~")) {
        return first;
    }
    node *n = parser_node(p, NODE_CONCATENATE);
    node_list list = {first, first};
    while (n != NULL && parser_take_operator(p, "~")) {
        node *operand = parse_product(p);
        if (operand == NULL) {
            return NULL;
        }
        node_list_append(&list, operand);
    }
    if (n != NULL) {
        n->children = list.first;
    }
    return n;
}

static node *parse_sum(parser *p) {
    static const operator_name operators[] = {{"+", OPERATOR_ADD}, {"-", OPERATOR_SUBTRACT}};
    return parse_binary(p, parse_concatenation, operators, 2);
}

static bool take_comparison(parser *p, operator_kind *kind) {
    static const operator_name operators[] = {
        {"==", OPERATOR_EQUAL}, {"!=", OPERATOR_UNEQUAL}, {"<=", OPERATOR_LESS_EQUAL},
        {"<", OPERATOR_LESS},   {">", OPERATOR_GREATER},  {">=", OPERATOR_GREATER_EQUAL},
    };
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (parser_take_operator(p, operators[i].text)) {
            *kind = operators[i].kind;
            return true;
        }
    }
    *kind = OPERATOR_IN;
    if (parser_take_name(p, "in")) {
        return true;
    }
    *kind = OPERATOR_NOT_IN;
    if (parser_is_name(p, "not") && p->at[1].kind == LEXEME_NAME && slice_equal_text(p->at[1].text, "in")) {
        p->at += 2;
        return true;
    }
    return false;
}

static node *parse_comparison(parser *p) {
    node *first = parse_sum(p);
    node_list list = {NULL, NULL};
    operator_kind kind;
    while (first != NULL && take_comparison(p, &kind)) {
        node *operand = parser_node(p, NODE_OPERAND);
        if (operand == NULL || (operand->a = parse_sum(p)) == NULL) {
            return NULL;
        }
        operand->sign = kind;
        node_list_append(&list, operand);
    }
    if (first == NULL || list.first == NULL) {
        return first;
    }
    node *n = parser_node(p, NODE_COMPARE);
    if (n != NULL) {
        n->a = first;
        n->children = list.first;
    }
    return n;
}

static node *parse_not(parser *p) {
    if (!parser_is_name(p, "not")) {
        return parse_comparison(p);
    }
    node *n = parser_enter(p) ? parser_node(p, NODE_NOT) : NULL;
    p->at++;
    if (n == NULL || (n->a = parse_not(p)) == NULL) {
        return NULL;
    }
    parser_leave(p);
    return n;
}

/* `a word b word c`, from the left. */
static node *parse_words(parser *p, node *(*operand)(parser *p), const char *word, node_kind kind) {
    node *left = operand(p);
    uint32_t steps = 0;
    while (left != NULL && parser_take_name(p, word)) {
        node *n = parser_enter(p) ? parser_node(p, kind) : NULL;
        steps++;
        if (n == NULL || (n->b = operand(p)) == NULL) {
            return NULL;
        }
        n->a = left;
        left = n;
    }
    p->depth -= steps;
    return left;
}

static node *parse_and(parser *p) {
    return parse_words(p, parse_not, "and", NODE_AND);
}

node *parse_or(parser *p) {
    return parse_words(p, parse_and, "or", NODE_OR);
}

node *parse_expression(parser *p) {
    if (!parser_enter(p)) {
        return NULL;
    }
    node *n = parse_or(p);
    uint32_t steps = 1;
    while (n != NULL && parser_take_name(p, "if")) {
        node *conditional = parser_enter(p) ? parser_node(p, NODE_CONDITIONAL) : NULL;
        steps++;
        if (conditional == NULL || (conditional->b = parse_or(p)) == NULL ||
            (parser_take_name(p, "else") && (conditional->c = parse_expression(p)) == NULL)) {
            return NULL;
        }
        conditional->a = n;
        n = conditional;
    }
    p->depth -= steps;
    return n;
}
