#include "evaluate.h"

typedef enum flow { FLOW_NEXT, FLOW_BREAK, FLOW_CONTINUE, FLOW_FAILED } flow;

static flow execute(run *r, frame *f, const node *n);

/* In the arena, since a macro that is defined in it may outlive it. */
static frame *inner_frame(run *r, frame *outer, const loop *l) {
    frame *f = run_allocate(r, 1, sizeof *f);
    if (f != NULL) {
        *f = (frame){.outer = outer, .loop = l};
    }
    return f;
}

/* What the statements write, as text. */
static flow capture(run *r, frame *f, const node *statements, text *t) {
    text_builder *outer = r->output;
    text_builder inner = run_builder(r);
    r->output = &inner;
    flow result = execute(r, f, statements);
    r->output = outer;
    return result != FLOW_FAILED && !run_built(r, &inner, t) ? FLOW_FAILED : result;
}

static flow execute_if(run *r, frame *f, const node *n) {
    /* an elif is an if that stands alone in the else of another */
    for (; n != NULL && n->kind == NODE_IF; n = n->d) {
        value condition;
        if (!evaluate(r, f, n->a, &condition)) {
            return FLOW_FAILED;
        }
        if (value_truth(&condition)) {
            return execute(r, f, n->children);
        }
        if (n->d == NULL || n->d->kind != NODE_IF || n->d->next != NULL) {
            return execute(r, f, n->d);
        }
    }
    return FLOW_NEXT;
}

/* Those of the items for which the loop's condition holds. */
static bool filter_items(run *r, frame *f, const node *n, const value **items, size_t *count) {
    size_t kept = 0;
    value *chosen = run_allocate(r, *count, sizeof *chosen);
    for (size_t i = 0; chosen != NULL && i < *count; i++) {
        value holds;
        frame *scope = inner_frame(r, f, f->loop);
        if (scope == NULL || !frame_assign(r, scope, n->a, &(*items)[i]) ||
            !evaluate(r, scope, n->c, &holds)) {
            return false;
        }
        if (value_truth(&holds)) {
            chosen[kept++] = (*items)[i];
        }
    }
    *items = chosen;
    *count = kept;
    return chosen != NULL;
}

static flow execute_for(run *r, frame *f, const node *n) {
    value over;
    const value *items = NULL;
    size_t count = 0;
    if (!evaluate(r, f, n->b, &over) || !value_iterate(r, &over, &items, &count) ||
        (n->c != NULL && !filter_items(r, f, n, &items, &count))) {
        return FLOW_FAILED;
    }
    loop *l = run_allocate(r, 1, sizeof *l);
    if (l == NULL) {
        return FLOW_FAILED;
    }
    *l = (loop){items, count, 0, 1};
    for (size_t i = 0; i < count; i++) {
        frame *scope = inner_frame(r, f, l);
        l->index = i;
        flow result = scope != NULL && frame_assign(r, scope, n->a, &items[i])
                          ? execute(r, scope, n->children)
                          : FLOW_FAILED;
        if (result == FLOW_FAILED || result == FLOW_BREAK) {
            return result == FLOW_FAILED ? FLOW_FAILED : FLOW_NEXT;
        }
    }
    if (count > 0 || n->d == NULL) {
        return FLOW_NEXT;
    }
    frame *scope = inner_frame(r, f, f->loop);
    return scope == NULL ? FLOW_FAILED : execute(r, scope, n->d);
}

static flow execute_set(run *r, frame *f, const node *n) {
    value v;
    return evaluate(r, f, n->b, &v) && frame_assign(r, f, n->a, &v) ? FLOW_NEXT : FLOW_FAILED;
}

/* Filters over what the block writes; without filters the text itself. */
static flow captured_value(run *r, frame *f, const node *n, value *v) {
    text t;
    frame *scope = inner_frame(r, f, f->loop);
    if (scope == NULL) {
        return FLOW_FAILED;
    }
    flow result = capture(r, scope, n->children, &t);
    if (result == FLOW_FAILED) {
        return FLOW_FAILED;
    }
    *v = value_text(t);
    r->captured = *v;
    return n->b == NULL || evaluate(r, f, n->b, v) ? result : FLOW_FAILED;
}

static flow execute_set_block(run *r, frame *f, const node *n) {
    value v;
    flow result = captured_value(r, f, n, &v);
    return result != FLOW_FAILED && !frame_assign(r, f, n->a, &v) ? FLOW_FAILED : result;
}

static flow execute_filter_block(run *r, frame *f, const node *n) {
    value v;
    flow result = captured_value(r, f, n, &v);
    return result != FLOW_FAILED && !value_print(r, &v, r->output) ? FLOW_FAILED : result;
}

static bool make_macro(run *r, frame *f, const node *n, value *v) {
    macro *m = run_allocate(r, 1, sizeof *m);
    if (m == NULL) {
        return false;
    }
    *m = (macro){n->children, n->d, n->name, f};
    *v = (value){.kind = VALUE_MACRO, .macro = m};
    return true;
}

static flow execute_macro(run *r, frame *f, const node *n) {
    value v;
    return make_macro(r, f, n, &v) && frame_set(r, f, n->symbol, &v) ? FLOW_NEXT : FLOW_FAILED;
}

static flow execute_call_block(run *r, frame *f, const node *n) {
    value caller;
    value function;
    value written;
    arguments given;
    if (!make_macro(r, f, n, &caller) || !evaluate(r, f, n->a->a, &function) ||
        !call_arguments(r, f, n->a->children, &given)) {
        return FLOW_FAILED;
    }
    if (function.kind != VALUE_MACRO) {
        run_fail(r, "a call block calls %s, not a macro", value_type_name(&function));
        return FLOW_FAILED;
    }
    return macro_call(r, function.macro, &given, &caller, &written) && value_print(r, &written, r->output)
               ? FLOW_NEXT
               : FLOW_FAILED;
}

static flow execute_scope(run *r, frame *f, const node *n) {
    frame *scope = inner_frame(r, f, f->loop);
    if (scope == NULL) {
        return FLOW_FAILED;
    }
    for (const node *pair = n->a; pair != NULL; pair = pair->next) {
        value v;
        if (!evaluate(r, f, pair->b, &v) || !frame_assign(r, scope, pair->a, &v)) {
            return FLOW_FAILED;
        }
    }
    return execute(r, scope, n->children);
}

static flow execute_print(run *r, frame *f, const node *n) {
    value v;
    return evaluate(r, f, n->a, &v) && value_print(r, &v, r->output) ? FLOW_NEXT : FLOW_FAILED;
}

static flow execute_one(run *r, frame *f, const node *n) {
    switch (n->kind) {
    case NODE_DATA:
        text_append_bytes(r->output, n->name, true);
        return run_step(r, n->name.length / 64) ? FLOW_NEXT : FLOW_FAILED;
    case NODE_PRINT:
        return execute_print(r, f, n);
    case NODE_IF:
        return execute_if(r, f, n);
    case NODE_FOR:
        return execute_for(r, f, n);
    case NODE_SET:
        return execute_set(r, f, n);
    case NODE_SET_BLOCK:
        return execute_set_block(r, f, n);
    case NODE_FILTER_BLOCK:
        return execute_filter_block(r, f, n);
    case NODE_MACRO:
        return execute_macro(r, f, n);
    case NODE_CALL_BLOCK:
        return execute_call_block(r, f, n);
    case NODE_SCOPE:
        return execute_scope(r, f, n);
    case NODE_BREAK:
        return FLOW_BREAK;
    case NODE_CONTINUE:
        return FLOW_CONTINUE;
    default:
        run_fail(r, "a value stands where a statement should");
        return FLOW_FAILED;
    }
}

static flow execute(run *r, frame *f, const node *n) {
    flow result = FLOW_NEXT;
    if (!run_enter(r)) {
        return FLOW_FAILED;
    }
    for (; n != NULL && result == FLOW_NEXT; n = n->next) {
        r->line = n->line;
        result = run_step(r, 1) ? execute_one(r, f, n) : FLOW_FAILED;
        if (r->output->failed) {
            text ignored;
            result = run_built(r, r->output, &ignored) ? result : FLOW_FAILED;
        }
    }
    run_leave(r);
    return result;
}

static const value *keyword_of(const arguments *given, slice name, size_t *used) {
    for (size_t i = 0; i < given->keyword_count; i++) {
        if (slice_equal(given->keywords[i].name, name)) {
            (*used)++;
            return &given->keywords[i].value;
        }
    }
    return NULL;
}

/* Positions first, then names, then defaults, which see the parameters before them. */
static bool bind_parameters(run *r, frame *scope, const macro *m, const arguments *given, size_t *used) {
    size_t i = 0;
    for (const node *parameter = m->parameters; parameter != NULL; parameter = parameter->next, i++) {
        value v = value_undefined(parameter->name);
        const value *named = keyword_of(given, parameter->name, used);
        if (i < given->count) {
            if (named != NULL) {
                return run_fail(r, "a macro is given an argument twice");
            }
            v = given->items[i];
        } else if (named != NULL) {
            v = *named;
        } else if (parameter->a != NULL && !evaluate(r, scope, parameter->a, &v)) {
            return false;
        }
        if (!frame_set(r, scope, parameter->symbol, &v)) {
            return false;
        }
    }
    return given->count <= i || run_fail(r, "a macro is given more arguments than it has parameters");
}

bool macro_call(run *r, const macro *m, const arguments *given, const value *caller, value *result) {
    size_t used = 0;
    text t;
    uint32_t line = r->line;
    frame *scope = inner_frame(r, m->scope, NULL);
    if (scope == NULL) {
        return false;
    }
    const value *named = keyword_of(given, SLICE_LITERAL("caller"), &used);
    caller = caller == NULL ? named : caller;
    if (caller != NULL && !frame_set(r, scope, SYMBOL_CALLER, caller)) {
        return false;
    }
    if (!bind_parameters(r, scope, m, given, &used)) {
        return false;
    }
    if (used < given->keyword_count) {
        return run_fail(r, "a macro is given an argument that it has no parameter for");
    }
    if (capture(r, scope, m->body, &t) == FLOW_FAILED) {
        return false;
    }
    r->line = line;
    *result = value_text(t);
    return true;
}

bool execute_template(run *r, frame *f, const node *statements) {
    return execute(r, f, statements) != FLOW_FAILED;
}
