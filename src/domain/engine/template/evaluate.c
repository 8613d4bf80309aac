#include "evaluate.h"

#include "template.h"

#include <math.h>

static const value *find(const frame *f, uint32_t symbol) {
    for (; f != NULL; f = f->outer) {
        for (const binding *b = f->bindings; b != NULL; b = b->next) {
            if (b->symbol == symbol) {
                return &b->value;
            }
        }
    }
    return NULL;
}

bool frame_set(run *r, frame *f, uint32_t symbol, const value *v) {
    for (binding *b = f->bindings; b != NULL; b = b->next) {
        if (b->symbol == symbol) {
            b->value = *v;
            return true;
        }
    }
    binding *b = run_allocate(r, 1, sizeof *b);
    if (b == NULL) {
        return false;
    }
    *b = (binding){symbol, *v, f->bindings};
    f->bindings = b;
    return true;
}

static bool assign_attribute(run *r, frame *f, const node *target, const value *v) {
    const value *object = find(f, target->a->symbol);
    value key = value_text(text_trusted(target->name));
    if (object == NULL || object->kind != VALUE_NAMESPACE) {
        return run_fail(r, "an attribute is set of what isn't a namespace");
    }
    return dict_put(r, object->dict, &key, v);
}

bool frame_assign(run *r, frame *f, const node *target, const value *v) {
    if (target->kind == NODE_NAME) {
        return frame_set(r, f, target->symbol, v);
    }
    if (target->kind == NODE_ATTRIBUTE) {
        return assign_attribute(r, f, target, v);
    }
    const value *items = NULL;
    size_t count = 0;
    size_t i = 0;
    if (!value_iterate(r, v, &items, &count)) {
        return false;
    }
    for (const node *n = target->children; n != NULL; n = n->next, i++) {
        if (i == count) {
            return run_fail(r, "there are fewer values than names to take them");
        }
        if (!frame_assign(r, f, n, &items[i])) {
            return false;
        }
    }
    return i == count || run_fail(r, "there are more values than names to take them");
}

static bool evaluate_name(run *r, const frame *f, const node *n, value *result) {
    if (n->symbol == SYMBOL_LOOP && f->loop != NULL) {
        *result = (value){.kind = VALUE_LOOP, .loop = f->loop};
        return true;
    }
    const value *found = find(f, n->symbol);
    if (found != NULL) {
        *result = *found;
        return true;
    }
    const operation *function = function_find(n->name);
    bool absent = function == NULL || (slice_equal_text(n->name, "strftime_now") && !r->has_now);
    *result = absent ? value_undefined(n->name) : (value){.kind = VALUE_FUNCTION, .function = function};
    return true;
}

static size_t count_nodes(const node *n) {
    size_t count = 0;
    for (; n != NULL; n = n->next) {
        count++;
    }
    return count;
}

static bool evaluate_items(run *r, frame *f, const node *n, value_kind kind, value *result) {
    size_t count = count_nodes(n->children);
    value *items = run_allocate(r, count, sizeof *items);
    size_t i = 0;
    for (const node *child = n->children; items != NULL && child != NULL; child = child->next) {
        if (!evaluate(r, f, child, &items[i++])) {
            return false;
        }
    }
    *result = value_list(kind, items, count);
    return items != NULL;
}

static bool evaluate_dict(run *r, frame *f, const node *n, value *result) {
    dict *d = dict_new(r);
    for (const node *pair = n->children; d != NULL && pair != NULL; pair = pair->next) {
        value key;
        value item;
        if (!evaluate(r, f, pair->a, &key) || !evaluate(r, f, pair->b, &item) ||
            !dict_put(r, d, &key, &item)) {
            return false;
        }
    }
    *result = (value){.kind = VALUE_DICT, .dict = d};
    return d != NULL;
}

bool call_arguments(run *r, frame *f, const node *children, arguments *given) {
    size_t keywords = 0;
    for (const node *n = children; n != NULL; n = n->next) {
        keywords += n->kind == NODE_KEYWORD ? 1 : 0;
    }
    size_t count = count_nodes(children) - keywords;
    value *items = count == 0 ? NULL : run_allocate(r, count, sizeof *items);
    keyword_argument *named = keywords == 0 ? NULL : run_allocate(r, keywords, sizeof *named);
    if ((count > 0 && items == NULL) || (keywords > 0 && named == NULL)) {
        return false;
    }
    *given = (arguments){items, count, named, keywords};
    for (const node *n = children; n != NULL; n = n->next) {
        bool keyword = n->kind == NODE_KEYWORD;
        value *place = keyword ? &named->value : items;
        if (!evaluate(r, f, keyword ? n->a : n, place)) {
            return false;
        }
        if (keyword) {
            (named++)->name = n->name;
        } else {
            items++;
        }
    }
    return true;
}

static bool call_value(run *r, const value *function, const arguments *given, value *result) {
    switch (function->kind) {
    case VALUE_MACRO:
        return macro_call(r, function->macro, given, NULL, result);
    case VALUE_FUNCTION:
        return operation_call(r, function->function, NULL, given, result);
    case VALUE_METHOD:
        return operation_call(r, function->method.operation, function->method.self, given, result);
    default:
        return run_fail(r, "%s can't be called", value_type_name(function));
    }
}

static bool missing_function(run *r, const node *n) {
    bool clock = slice_equal_text(n->name, "strftime_now");
    return error_set(r->err, ERROR_UNSUPPORTED,
                     "the chat template, line %u, uses the function '%.*s', which %s", r->line,
                     SLICE_FORMAT(slice_part(n->name, 0, 64)),
                     clock ? "needs a date that this request doesn't give" : "this engine doesn't have");
}

static bool missing_method(run *r, const node *n, const value *self) {
    if (self->kind == VALUE_UNDEFINED) {
        return run_fail(r, "'%.*s' is undefined", SLICE_FORMAT(slice_part(self->name, 0, 64)));
    }
    return run_fail(r, "%s has no method '%.*s'", value_type_name(self),
                    SLICE_FORMAT(slice_part(n->name, 0, 64)));
}

static bool evaluate_call(run *r, frame *f, const node *n, value *result) {
    value function;
    value self;
    arguments given;
    if (n->a->kind == NODE_ATTRIBUTE) {
        if (!evaluate(r, f, n->a->a, &self)) {
            return false;
        }
        const operation *method = method_find(self.kind, n->a->name);
        if (method != NULL) {
            return call_arguments(r, f, n->children, &given) &&
                   operation_call(r, method, &self, &given, result);
        }
        if (!value_attribute(r, &self, n->a->name, &function)) {
            return false;
        }
        if (function.kind == VALUE_UNDEFINED) {
            return missing_method(r, n->a, &self);
        }
    } else if (!evaluate(r, f, n->a, &function)) {
        return false;
    }
    if (function.kind == VALUE_UNDEFINED && n->a->kind == NODE_NAME) {
        return missing_function(r, n->a);
    }
    return call_arguments(r, f, n->children, &given) && call_value(r, &function, &given, result);
}

static bool evaluate_operation(run *r, frame *f, const node *n, value *result) {
    value subject;
    arguments given;
    return evaluate(r, f, n->a, &subject) && call_arguments(r, f, n->children, &given) &&
           operation_call(r, n->operation, &subject, &given, result);
}

static bool compare(run *r, operator_kind sign, const value *a, const value *b, bool *result) {
    int order = 0;
    switch (sign) {
    case OPERATOR_EQUAL:
        return value_equal(r, a, b, result);
    case OPERATOR_UNEQUAL: {
        bool good = value_equal(r, a, b, result);
        *result = !*result;
        return good;
    }
    case OPERATOR_IN:
        return value_contains(r, b, a, result);
    case OPERATOR_NOT_IN: {
        bool good = value_contains(r, b, a, result);
        *result = !*result;
        return good;
    }
    default:
        break;
    }
    if (!value_order(r, a, b, &order)) {
        return false;
    }
    *result = sign == OPERATOR_LESS         ? order < 0
              : sign == OPERATOR_LESS_EQUAL ? order <= 0
              : sign == OPERATOR_GREATER    ? order > 0
                                            : order >= 0;
    return true;
}

/* a < b < c: each holds between neighbours; stops at the first that doesn't. */
static bool evaluate_comparison(run *r, frame *f, const node *n, value *result) {
    value left;
    value right;
    bool holds = true;
    if (!evaluate(r, f, n->a, &left)) {
        return false;
    }
    for (const node *operand = n->children; holds && operand != NULL; operand = operand->next) {
        holds = false;
        if (!evaluate(r, f, operand->a, &right) || !compare(r, operand->sign, &left, &right, &holds)) {
            return false;
        }
        left = right;
    }
    *result = value_bool(holds);
    return true;
}

static bool evaluate_sign(run *r, frame *f, const node *n, value *result) {
    value v;
    if (!evaluate(r, f, n->a, &v)) {
        return false;
    }
    if (!value_is_number(&v)) {
        return run_fail(r, "%s has no sign", value_type_name(&v));
    }
    if (v.kind == VALUE_FLOAT) {
        *result = value_float(n->kind == NODE_MINUS ? -v.number : v.number);
        return true;
    }
    *result = value_integer(value_whole(&v));
    return n->kind != NODE_MINUS || !__builtin_sub_overflow(0, result->integer, &result->integer) ||
           run_limit(r, "digits of a number");
}

static bool concatenate(run *r, frame *f, const node *n, value *result) {
    text_builder b = run_builder(r);
    text t;
    for (const node *child = n->children; child != NULL; child = child->next) {
        value v;
        if (!evaluate(r, f, child, &v) || !value_print(r, &v, &b)) {
            return false;
        }
    }
    if (!run_built(r, &b, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

static bool evaluate_slice(run *r, frame *f, const node *n, value *result) {
    value object;
    value bounds[3];
    const node *const nodes[3] = {n->b, n->c, n->d};
    const value *given[3] = {NULL, NULL, NULL};
    if (!evaluate(r, f, n->a, &object)) {
        return false;
    }
    for (size_t i = 0; i < 3; i++) {
        if (nodes[i] != NULL && !evaluate(r, f, nodes[i], &bounds[i])) {
            return false;
        }
        given[i] = nodes[i] == NULL || bounds[i].kind == VALUE_NONE ? NULL : &bounds[i];
    }
    return value_slice(r, &object, given[0], given[1], given[2], result);
}

/* `a and b`, `a or b`: the value that decided. */
static bool evaluate_words(run *r, frame *f, const node *n, value *result) {
    if (!evaluate(r, f, n->a, result)) {
        return false;
    }
    return value_truth(result) == (n->kind == NODE_OR) || evaluate(r, f, n->b, result);
}

static bool evaluate_conditional(run *r, frame *f, const node *n, value *result) {
    value condition;
    if (!evaluate(r, f, n->b, &condition)) {
        return false;
    }
    if (value_truth(&condition)) {
        return evaluate(r, f, n->a, result);
    }
    *result = value_undefined(SLICE_LITERAL("else of an if"));
    return n->c == NULL || evaluate(r, f, n->c, result);
}

static bool evaluate_pair(run *r, frame *f, const node *n, value *result) {
    value a;
    value b;
    if (!evaluate(r, f, n->a, &a) || !evaluate(r, f, n->b, &b)) {
        return false;
    }
    return n->kind == NODE_ITEM ? value_item(r, &a, &b, result) : value_binary(r, n->sign, &a, &b, result);
}

static bool evaluate_node(run *r, frame *f, const node *n, value *result) {
    switch (n->kind) {
    case NODE_NONE:
        *result = (value){.kind = VALUE_NONE};
        return true;
    case NODE_BOOL:
        *result = value_bool(n->boolean);
        return true;
    case NODE_INTEGER:
        *result = value_integer(n->integer);
        return true;
    case NODE_FLOAT:
        *result = value_float(n->number);
        return true;
    case NODE_TEXT:
        *result = value_text(text_trusted(n->name));
        return true;
    case NODE_NAME:
        return evaluate_name(r, f, n, result);
    case NODE_LIST:
        return evaluate_items(r, f, n, VALUE_LIST, result);
    case NODE_TUPLE:
        return evaluate_items(r, f, n, VALUE_TUPLE, result);
    case NODE_DICT:
        return evaluate_dict(r, f, n, result);
    case NODE_ATTRIBUTE: {
        value object;
        return evaluate(r, f, n->a, &object) && value_attribute(r, &object, n->name, result);
    }
    case NODE_ITEM:
    case NODE_BINARY:
        return evaluate_pair(r, f, n, result);
    case NODE_SLICE:
        return evaluate_slice(r, f, n, result);
    case NODE_CALL:
        return evaluate_call(r, f, n, result);
    case NODE_FILTER:
    case NODE_TEST:
        return evaluate_operation(r, f, n, result);
    case NODE_CAPTURED:
        *result = r->captured;
        return true;
    case NODE_NOT: {
        bool good = evaluate(r, f, n->a, result);
        *result = value_bool(good && !value_truth(result));
        return good;
    }
    case NODE_MINUS:
    case NODE_PLUS:
        return evaluate_sign(r, f, n, result);
    case NODE_AND:
    case NODE_OR:
        return evaluate_words(r, f, n, result);
    case NODE_CONDITIONAL:
        return evaluate_conditional(r, f, n, result);
    case NODE_COMPARE:
        return evaluate_comparison(r, f, n, result);
    case NODE_CONCATENATE:
        return concatenate(r, f, n, result);
    default:
        return run_fail(r, "a statement stands where a value should");
    }
}

bool evaluate(run *r, frame *f, const node *n, value *result) {
    r->line = n->line;
    *result = (value){.kind = VALUE_NONE};
    if (!run_enter(r)) {
        return false;
    }
    bool good = evaluate_node(r, f, n, result);
    run_leave(r);
    return good;
}
