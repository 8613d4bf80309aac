#ifndef TEMPLATE_EVALUATE_H
#define TEMPLATE_EVALUATE_H

#include "operation.h"

/* Variables of one scope; a name that isn't in it is looked for in the scope around it. Private to the room.
 */
typedef struct binding {
    uint32_t symbol;
    value value;
    struct binding *next;
} binding;

struct frame {
    frame *outer;
    binding *bindings;
    const loop *loop; /* the innermost within the same macro */
};

struct macro {
    const node *parameters; /* siblings */
    const node *body;
    slice name;
    frame *scope; /* where it was defined */
};

MUST_CHECK bool frame_set(run *r, frame *f, uint32_t symbol, const value *v);
/* To a name, names or a namespace's attribute. */
MUST_CHECK bool frame_assign(run *r, frame *f, const node *target, const value *v);

MUST_CHECK bool evaluate(run *r, frame *f, const node *n, value *result);
MUST_CHECK bool value_binary(run *r, operator_kind sign, const value *a, const value *b, value *result);
MUST_CHECK bool value_slice(run *r, const value *object, const value *from, const value *to,
                            const value *step, value *result);

/* execute.c. The body's output as text. `caller` is NULL outside call blocks. */
MUST_CHECK bool macro_call(run *r, const macro *m, const arguments *given, const value *caller,
                           value *result);
MUST_CHECK bool call_arguments(run *r, frame *f, const node *children, arguments *given);
/* Writes what the statements write to r->output. */
MUST_CHECK bool execute_template(run *r, frame *f, const node *statements);

#endif
