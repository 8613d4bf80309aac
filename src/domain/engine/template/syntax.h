#ifndef TEMPLATE_SYNTAX_H
#define TEMPLATE_SYNTAX_H

#include "base/arena.h"

/* From source to tree. Private to the room. */

typedef enum lexeme_kind {
    LEXEME_END,
    LEXEME_DATA, /* text between the tags, trimmed as the tags around it want */
    LEXEME_PRINT_BEGIN,
    LEXEME_PRINT_END,
    LEXEME_BLOCK_BEGIN,
    LEXEME_BLOCK_END,
    LEXEME_NAME,
    LEXEME_TEXT, /* a string, its escapes resolved */
    LEXEME_INTEGER,
    LEXEME_FLOAT,
    LEXEME_OPERATOR,
} lexeme_kind;

typedef struct lexeme {
    lexeme_kind kind;
    uint32_t line;
    slice text;
} lexeme;

/* All of them, the last is LEXEME_END. `*lexemes` and what they point at live in `memory`. */
MUST_CHECK bool lexer_run(slice source, arena *memory, lexeme **lexemes, error *err);

typedef enum node_kind {
    NODE_NONE,
    NODE_BOOL,
    NODE_INTEGER,
    NODE_FLOAT,
    NODE_TEXT,
    NODE_NAME,
    NODE_LIST,        /* children: elements */
    NODE_TUPLE,       /* the same */
    NODE_DICT,        /* children: pairs */
    NODE_PAIR,        /* a: b */
    NODE_ATTRIBUTE,   /* a.name */
    NODE_ITEM,        /* a[b] */
    NODE_SLICE,       /* a[b:c:d] */
    NODE_CALL,        /* a(children) */
    NODE_KEYWORD,     /* name=a, among the children of a call, filter or test */
    NODE_FILTER,      /* a|operation(children) */
    NODE_TEST,        /* a is operation(children) */
    NODE_CAPTURED,    /* what a filter block or a set block with filters has captured */
    NODE_NOT,         /* not a */
    NODE_MINUS,       /* -a */
    NODE_PLUS,        /* +a */
    NODE_AND,         /* a and b */
    NODE_OR,          /* a or b */
    NODE_CONDITIONAL, /* a if b else c; c may be NULL */
    NODE_COMPARE,     /* a, then the children: operands */
    NODE_OPERAND,     /* sign a */
    NODE_BINARY,      /* a sign b */
    NODE_CONCATENATE, /* children, with ~ between */
    NODE_DATA,        /* text that is written as it is */
    NODE_PRINT,       /* a is written */
    NODE_FOR,         /* for a in b if c: children; else d */
    NODE_IF,          /* if a: children; else d */
    NODE_SET,         /* set a = b */
    NODE_SET_BLOCK,   /* set a = b of what the children write; b is NULL without filters */
    NODE_MACRO,       /* name; children: parameters; body d */
    NODE_PARAMETER,   /* name, default a or NULL */
    NODE_CALL_BLOCK,  /* a: the call; children: parameters of caller; body d */
    NODE_FILTER_BLOCK,
    NODE_SCOPE, /* children, with variables of their own; `with` sets the pairs of a: name = value */
    NODE_BREAK,
    NODE_CONTINUE,
} node_kind;

typedef enum operator_kind {
    OPERATOR_ADD,
    OPERATOR_SUBTRACT,
    OPERATOR_MULTIPLY,
    OPERATOR_DIVIDE,
    OPERATOR_FLOOR,
    OPERATOR_MODULO,
    OPERATOR_POWER,
    OPERATOR_EQUAL,
    OPERATOR_UNEQUAL,
    OPERATOR_LESS,
    OPERATOR_LESS_EQUAL,
    OPERATOR_GREATER,
    OPERATOR_GREATER_EQUAL,
    OPERATOR_IN,
    OPERATOR_NOT_IN,
} operator_kind;

struct operation;

typedef struct node {
    node_kind kind;
    operator_kind sign;
    uint32_t line;
    uint32_t symbol; /* of a name that is a variable; equal names have equal symbols */
    slice name;      /* of what has a name; the text of NODE_TEXT and NODE_DATA */
    union {
        bool boolean;
        int64_t integer;
        double number;
        const struct operation *operation;
    };
    struct node *a;
    struct node *b;
    struct node *c;
    struct node *d;
    struct node *children;
    struct node *next; /* sibling */
} node;

/* Symbols that the interpreter binds itself. */
typedef enum known_symbol { SYMBOL_NONE, SYMBOL_LOOP, SYMBOL_CALLER, SYMBOL_KNOWN_COUNT } known_symbol;

/* The table of names: symbol i is the name at index i. */
enum { SYMBOLS_MAX = 4096 };
typedef struct symbol_table {
    slice *names;
    uint32_t count;
} symbol_table;

/* SYMBOL_NONE if the template doesn't know the name. */
uint32_t symbol_find(const symbol_table *table, slice name);

/* `*statements` is the first of the template's statements, or NULL. */
MUST_CHECK bool parser_run(slice source, arena *memory, symbol_table *symbols, node **statements, error *err);

#endif
