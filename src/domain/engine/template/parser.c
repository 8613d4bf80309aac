#include "parser.h"

#include "template.h"

static bool parse_statements(parser *p, const char *const ends[], node **first);

bool parser_error(parser *p, const char *what) {
    return error_set(p->err, ERROR_INVALID, "the chat template can't be read: line %u: %s", p->at->line,
                     what);
}

bool parser_missing(parser *p, const char *what, slice name) {
    return error_set(p->err, ERROR_UNSUPPORTED,
                     "the chat template, line %u, uses the %s '%.*s', which this engine doesn't have",
                     p->at->line, what, SLICE_FORMAT(slice_part(name, 0, 64)));
}

void node_list_append(node_list *list, node *n) {
    if (list->first == NULL) {
        list->first = n;
    } else {
        list->last->next = n;
    }
    list->last = n;
}

node *parser_node(parser *p, node_kind kind) {
    if (p->node_count == TEMPLATE_NODES_MAX) {
        error_set(p->err, ERROR_LIMIT, "the chat template has more than %d parts", TEMPLATE_NODES_MAX);
        return NULL;
    }
    node *n = arena_allocate(p->memory, sizeof *n);
    if (n == NULL) {
        error_memory(p->err);
        return NULL;
    }
    n->kind = kind;
    n->line = p->at->line;
    p->node_count++;
    return n;
}

uint32_t symbol_find(const symbol_table *table, slice name) {
    for (uint32_t i = 1; i < table->count; i++) {
        if (slice_equal(table->names[i], name)) {
            return i;
        }
    }
    return SYMBOL_NONE;
}

static bool symbol_put(parser *p, slice name, uint32_t *symbol) {
    *symbol = symbol_find(p->symbols, name);
    if (*symbol != SYMBOL_NONE) {
        return true;
    }
    if (p->symbols->count == SYMBOLS_MAX) {
        return error_set(p->err, ERROR_LIMIT, "the chat template has more than %d names", SYMBOLS_MAX);
    }
    *symbol = p->symbols->count++;
    p->symbols->names[*symbol] = name;
    return true;
}

node *parser_name_node(parser *p, node_kind kind, slice name) {
    node *n = parser_node(p, kind);
    if (n == NULL || !symbol_put(p, name, &n->symbol)) {
        return NULL;
    }
    n->name = name;
    return n;
}

static bool is_lexeme(const parser *p, lexeme_kind kind, const char *text) {
    return p->at->kind == kind && slice_equal_text(p->at->text, text);
}

bool parser_is_operator(const parser *p, const char *text) {
    return is_lexeme(p, LEXEME_OPERATOR, text);
}

bool parser_is_name(const parser *p, const char *text) {
    return is_lexeme(p, LEXEME_NAME, text);
}

bool parser_take_operator(parser *p, const char *text) {
    bool there = parser_is_operator(p, text);
    p->at += there ? 1 : 0;
    return there;
}

bool parser_take_name(parser *p, const char *text) {
    bool there = parser_is_name(p, text);
    p->at += there ? 1 : 0;
    return there;
}

bool parser_expect_operator(parser *p, const char *text) {
    return parser_take_operator(p, text) ||
           error_set(p->err, ERROR_INVALID, "the chat template can't be read: line %u: '%s' is expected",
                     p->at->line, text);
}

bool parser_enter(parser *p) {
    if (p->depth == TEMPLATE_NESTING_MAX) {
        return error_set(p->err, ERROR_LIMIT, "the chat template nests deeper than %d", TEMPLATE_NESTING_MAX);
    }
    p->depth++;
    return true;
}

void parser_leave(parser *p) {
    p->depth--;
}

static bool end_block(parser *p) {
    if (p->at->kind != LEXEME_BLOCK_END) {
        return parser_error(p, "'%}' is expected");
    }
    p->at++;
    return true;
}

/* What stands up to {% end %}, end included. */
static bool parse_until(parser *p, const char *end, node **first) {
    const char *const ends[] = {end, NULL};
    if (!end_block(p) || !parse_statements(p, ends, first)) {
        return false;
    }
    p->at++; /* the end's name */
    return end_block(p);
}

static node *parse_for(parser *p) {
    static const char *const ends[] = {"else", "endfor", NULL};
    node *n = parser_node(p, NODE_FOR);
    if (n == NULL || (n->a = parse_target(p, false)) == NULL) {
        return NULL;
    }
    if (!parser_take_name(p, "in")) {
        parser_error(p, "'in' is expected");
        return NULL;
    }
    if ((n->b = parse_tuple(p, parse_or)) == NULL ||
        (parser_take_name(p, "if") && (n->c = parse_expression(p)) == NULL)) {
        return NULL;
    }
    if (parser_is_name(p, "recursive")) {
        parser_missing(p, "statement", SLICE_LITERAL("for … recursive"));
        return NULL;
    }
    p->loops++;
    bool good = end_block(p) && parse_statements(p, ends, &n->children);
    p->loops--;
    if (!good) {
        return NULL;
    }
    if (parser_take_name(p, "else")) {
        return parse_until(p, "endfor", &n->d) ? n : NULL;
    }
    p->at++;
    return end_block(p) ? n : NULL;
}

static node *parse_if(parser *p) {
    static const char *const ends[] = {"elif", "else", "endif", NULL};
    node *first = NULL;
    node **link = &first;
    do { /* each elif is an if in the else of the one before */
        node *n = parser_node(p, NODE_IF);
        if (n == NULL || (n->a = parse_tuple(p, parse_expression)) == NULL || !end_block(p) ||
            !parse_statements(p, ends, &n->children)) {
            return NULL;
        }
        *link = n;
        link = &n->d;
    } while (parser_take_name(p, "elif"));
    if (parser_take_name(p, "else")) {
        return parse_until(p, "endif", link) ? first : NULL;
    }
    p->at++;
    return end_block(p) ? first : NULL;
}

static node *parse_set(parser *p) {
    node *n = parser_node(p, NODE_SET);
    if (n == NULL || (n->a = parse_target(p, true)) == NULL) {
        return NULL;
    }
    if (parser_take_operator(p, "=")) {
        n->b = parse_tuple(p, parse_expression);
        return n->b != NULL && end_block(p) ? n : NULL;
    }
    n->kind = NODE_SET_BLOCK;
    if (parser_take_operator(p, "|") && (n->b = parse_captured_filters(p)) == NULL) {
        return NULL;
    }
    return parse_until(p, "endset", &n->children) ? n : NULL;
}

/* `(a, b=1)`: the parameters of a macro or of a call block, as children of `owner`. */
static bool parse_parameters(parser *p, node *owner) {
    node_list list = {NULL, NULL};
    if (!parser_expect_operator(p, "(")) {
        return false;
    }
    while (!parser_is_operator(p, ")")) {
        if (list.first != NULL && !parser_expect_operator(p, ",")) {
            return false;
        }
        if (p->at->kind != LEXEME_NAME) {
            return parser_error(p, "a parameter's name is expected");
        }
        node *parameter = parser_name_node(p, NODE_PARAMETER, (p->at++)->text);
        if (parameter == NULL ||
            (parser_take_operator(p, "=") && (parameter->a = parse_expression(p)) == NULL)) {
            return false;
        }
        node_list_append(&list, parameter);
    }
    owner->children = list.first;
    return parser_expect_operator(p, ")");
}

/* The body of a macro isn't in the loop around it. */
static bool parse_macro_body(parser *p, const char *end, node **first) {
    uint32_t loops = p->loops;
    p->loops = 0;
    bool good = parse_until(p, end, first);
    p->loops = loops;
    return good;
}

static node *parse_macro(parser *p) {
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "a macro's name is expected");
        return NULL;
    }
    node *n = parser_name_node(p, NODE_MACRO, (p->at++)->text);
    return n != NULL && parse_parameters(p, n) && parse_macro_body(p, "endmacro", &n->d) ? n : NULL;
}

static node *parse_call_block(parser *p) {
    node *n = parser_node(p, NODE_CALL_BLOCK);
    if (n == NULL || (parser_is_operator(p, "(") && !parse_parameters(p, n))) {
        return NULL;
    }
    n->a = parse_expression(p);
    if (n->a != NULL && n->a->kind != NODE_CALL) {
        parser_error(p, "a call is expected");
        return NULL;
    }
    return n->a != NULL && parse_macro_body(p, "endcall", &n->d) ? n : NULL;
}

static node *parse_filter_block(parser *p) {
    node *n = parser_node(p, NODE_FILTER_BLOCK);
    return n != NULL && (n->b = parse_captured_filters(p)) != NULL &&
                   parse_until(p, "endfilter", &n->children)
               ? n
               : NULL;
}

static node *parse_with(parser *p) {
    node *n = parser_node(p, NODE_SCOPE);
    node_list pairs = {NULL, NULL};
    while (n != NULL && p->at->kind != LEXEME_BLOCK_END) {
        node *pair = parser_node(p, NODE_SET);
        if (pair == NULL || (pairs.first != NULL && !parser_expect_operator(p, ",")) ||
            (pair->a = parse_target(p, false)) == NULL || !parser_expect_operator(p, "=") ||
            (pair->b = parse_expression(p)) == NULL) {
            return NULL;
        }
        node_list_append(&pairs, pair);
    }
    if (n == NULL) {
        return NULL;
    }
    n->a = pairs.first;
    return parse_until(p, "endwith", &n->children) ? n : NULL;
}

/* What transformers marks an assistant's words with, for training: here it only has its own variables. */
static node *parse_generation(parser *p) {
    node *n = parser_node(p, NODE_SCOPE);
    return n != NULL && parse_until(p, "endgeneration", &n->children) ? n : NULL;
}

static node *parse_jump(parser *p, node_kind kind) {
    if (p->loops == 0) {
        parser_error(p, "break and continue stand in a loop");
        return NULL;
    }
    node *n = parser_node(p, kind);
    return n != NULL && end_block(p) ? n : NULL;
}

static node *parse_statement(parser *p) {
    static const struct {
        const char *name;
        node *(*parse)(parser *p);
    } statements[] = {
        {"if", parse_if},           {"for", parse_for},
        {"set", parse_set},         {"macro", parse_macro},
        {"call", parse_call_block}, {"filter", parse_filter_block},
        {"with", parse_with},       {"generation", parse_generation},
    };
    if (p->at->kind != LEXEME_NAME) {
        parser_error(p, "a statement is expected");
        return NULL;
    }
    slice name = (p->at++)->text;
    for (size_t i = 0; i < sizeof statements / sizeof statements[0]; i++) {
        if (slice_equal_text(name, statements[i].name)) {
            return statements[i].parse(p);
        }
    }
    if (slice_equal_text(name, "break") || slice_equal_text(name, "continue")) {
        return parse_jump(p, slice_equal_text(name, "break") ? NODE_BREAK : NODE_CONTINUE);
    }
    p->at--;
    if (slice_starts_with(name, SLICE_LITERAL("end")) || slice_equal_text(name, "else") ||
        slice_equal_text(name, "elif")) {
        parser_error(p, "a block ends here that doesn't begin");
    } else {
        parser_missing(p, "statement", name);
    }
    return NULL;
}

static node *parse_print(parser *p) {
    node *n = parser_node(p, NODE_PRINT);
    if (n == NULL || (n->a = parse_tuple(p, parse_expression)) == NULL) {
        return NULL;
    }
    if (p->at->kind != LEXEME_PRINT_END) {
        parser_error(p, "'}}' is expected");
        return NULL;
    }
    p->at++;
    return n;
}

static bool is_one_of(const parser *p, const char *const names[]) {
    for (size_t i = 0; names[i] != NULL; i++) {
        if (parser_is_name(p, names[i])) {
            return true;
        }
    }
    return false;
}

static node *parse_data(parser *p) {
    node *n = parser_node(p, NODE_DATA);
    if (n != NULL) {
        n->name = (p->at++)->text;
    }
    return n;
}

/* Up to a block that begins with one of `ends`, or without them to the end; stops at that name. */
static bool parse_statements(parser *p, const char *const ends[], node **first) {
    static const char *const none[] = {NULL};
    node_list list = {NULL, NULL};
    if (!parser_enter(p)) {
        return false;
    }
    while (p->at->kind != LEXEME_END) {
        node *n = NULL;
        if (p->at->kind == LEXEME_DATA) {
            n = parse_data(p);
        } else if (p->at->kind == LEXEME_PRINT_BEGIN) {
            p->at++;
            n = parse_print(p);
        } else {
            p->at++; /* the only other kind between tags is BLOCK_BEGIN */
            if (is_one_of(p, ends == NULL ? none : ends)) {
                break;
            }
            n = parse_statement(p);
        }
        if (n == NULL) {
            return false;
        }
        node_list_append(&list, n);
    }
    parser_leave(p);
    *first = list.first;
    return p->at->kind != LEXEME_END || ends == NULL || parser_error(p, "a block isn't closed");
}

bool parser_run(slice source, arena *memory, symbol_table *symbols, node **statements, error *err) {
    lexeme *lexemes = NULL;
    parser p = {.memory = memory, .symbols = symbols, .err = err};
    if (!lexer_run(source, memory, &lexemes, err)) {
        return false;
    }
    p.at = lexemes;
    symbols->names = arena_allocate_array(memory, SYMBOLS_MAX, sizeof *symbols->names);
    if (symbols->names == NULL) {
        return error_memory(err);
    }
    symbols->names[SYMBOL_LOOP] = SLICE_LITERAL("loop");
    symbols->names[SYMBOL_CALLER] = SLICE_LITERAL("caller");
    symbols->count = SYMBOL_KNOWN_COUNT;
    return parse_statements(&p, NULL, statements);
}
