#ifndef TEMPLATE_PARSER_H
#define TEMPLATE_PARSER_H

#include "syntax.h"

/* What the parts of the parser share: statements in parser.c, expressions in expression.c, what operators
 * join in operand.c. */
typedef struct parser {
    const lexeme *at;
    arena *memory;
    symbol_table *symbols;
    uint32_t node_count;
    uint32_t depth;
    uint32_t loops; /* around what is being parsed, for break and continue */
    error *err;
} parser;

/* Where a list of siblings grows. */
typedef struct node_list {
    node *first;
    node *last;
} node_list;
void node_list_append(node_list *list, node *n);

/* NULL after setting the error. */
MUST_CHECK node *parser_node(parser *p, node_kind kind);
MUST_CHECK node *parser_name_node(parser *p, node_kind kind, slice name);
/* Always false. */
bool parser_error(parser *p, const char *what);
bool parser_missing(parser *p, const char *what, slice name);

bool parser_is_operator(const parser *p, const char *text);
bool parser_is_name(const parser *p, const char *text);
/* Steps over it if it is there. */
bool parser_take_operator(parser *p, const char *text);
bool parser_take_name(parser *p, const char *text);
MUST_CHECK bool parser_expect_operator(parser *p, const char *text);
MUST_CHECK bool parser_enter(parser *p);
void parser_leave(parser *p);

MUST_CHECK node *parse_expression(parser *p);
/* Without a conditional: what stands behind `in` of a for statement. */
MUST_CHECK node *parse_or(parser *p);
/* A value with its signs and all that stands behind it. */
MUST_CHECK node *parse_operand(parser *p);
/* One expression, or several with commas: a tuple. */
MUST_CHECK node *parse_tuple(parser *p, node *(*element)(parser *p));
/* `a`, `a, b`, `(a, b)`; with `attribute` also `a.b`. */
MUST_CHECK node *parse_target(parser *p, bool attribute);
/* `name` or `name(arguments)`, then more of them behind |, over NODE_CAPTURED. */
MUST_CHECK node *parse_captured_filters(parser *p);

#endif
