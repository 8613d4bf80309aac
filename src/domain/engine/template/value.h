#ifndef TEMPLATE_VALUE_H
#define TEMPLATE_VALUE_H

#include "syntax.h"
#include "text.h"

/* What expressions compute. Values are immutable but for namespaces, and live in the rendering's arena.
 * Private to the room. */
typedef enum value_kind {
    VALUE_UNDEFINED,
    VALUE_NONE,
    VALUE_BOOL,
    VALUE_INTEGER,
    VALUE_FLOAT,
    VALUE_TEXT,
    VALUE_LIST,
    VALUE_TUPLE,
    VALUE_VIEW,     /* of a dict: keys(), values(), items(); has a length, no index */
    VALUE_ITERATOR, /* from map, select and the like: neither */
    VALUE_DICT,
    VALUE_NAMESPACE,
    VALUE_MACRO,
    VALUE_FUNCTION, /* a global one */
    VALUE_METHOD,   /* of a value, not called yet */
    VALUE_LOOP,
} value_kind;

typedef struct value value;
typedef struct dict dict;
typedef struct macro macro;
typedef struct loop loop;
struct operation;

struct value {
    value_kind kind;
    union {
        slice name; /* of what is undefined */
        bool boolean;
        int64_t integer;
        double number;
        text text;
        struct {
            const value *items;
            size_t count;
        } list;     /* of the four kinds that are lists */
        dict *dict; /* of VALUE_DICT and VALUE_NAMESPACE */
        const macro *macro;
        const struct operation *function;
        struct {
            const struct operation *operation;
            const value *self;
        } method;
        const loop *loop;
    };
};

typedef struct dict_entry {
    value key;
    value value;
} dict_entry;

/* In the order of insertion. */
struct dict {
    dict_entry *entries;
    size_t count;
    size_t capacity;
    slice spelling; /* the JSON that a tool call's arguments came as: what they are as text; empty: Python's
                       form */
};

/* One rendering. */
typedef struct frame frame;
typedef struct run {
    arena *memory;
    size_t memory_limit; /* of the arena's use */
    uint64_t steps;      /* that are left */
    uint32_t depth;
    uint32_t line;        /* of what is being evaluated */
    text_builder *output; /* what is written goes here */
    value captured;
    const symbol_table *symbols;
    bool has_now;
    int64_t now;
    error *err;
} run;

/* Each sets the error, with the line, and gives false. */
bool run_fail(run *r, const char *format, ...) PRINTF_LIKE(2, 3);
bool run_limit(run *r, const char *what);
MUST_CHECK bool run_step(run *r, size_t count);
MUST_CHECK bool run_enter(run *r); /* one deeper; run_leave gives it back, not needed after a failure */
void run_leave(run *r);
/* An array, zeroed. NULL after setting the error. */
MUST_CHECK void *run_allocate(run *r, size_t count, size_t size);
text_builder run_builder(run *r);
/* False if the builder has failed. */
MUST_CHECK bool run_built(run *r, const text_builder *b, text *t);

value value_undefined(slice name);
value value_bool(bool boolean);
value value_integer(int64_t integer);
value value_float(double number);
value value_text(text t);
value value_list(value_kind kind, const value *items, size_t count);

bool value_is_list(const value *v);  /* any of the four kinds */
bool value_is_whole(const value *v); /* an integer or a bool, which counts as 0 or 1 */
bool value_is_number(const value *v);
int64_t value_whole(const value *v);
double value_number(const value *v);
bool value_truth(const value *v);
const char *value_type_name(const value *v); /* "a list" */

MUST_CHECK bool value_equal(run *r, const value *a, const value *b, bool *equal);
/* `*order` is below, at or above 0. Fails for what Python doesn't order. */
MUST_CHECK bool value_order(run *r, const value *a, const value *b, int *order);
MUST_CHECK bool value_contains(run *r, const value *container, const value *wanted, bool *there);
/* What a loop over it gives. */
MUST_CHECK bool value_iterate(run *r, const value *v, const value **items, size_t *count);
MUST_CHECK bool value_count(run *r, const value *v, size_t *count);

/* NULL if the key isn't there; the step budget bounds the search. */
MUST_CHECK bool dict_find(run *r, const dict *d, const value *key, const value **found);
const value *dict_find_text(const dict *d, slice key);
MUST_CHECK bool dict_put(run *r, dict *d, const value *key, const value *item);
/* Without looking whether the key is there. */
MUST_CHECK bool dict_append(run *r, dict *d, const value *key, const value *item);
MUST_CHECK dict *dict_new(run *r);

/* print.c. A value as text: Python's str; JSON as json.dumps writes it. Text stays what it is; all that is
 * written for other values is untrusted. */
typedef struct json_style {
    bool ascii;
    bool sorted;
    slice indentation; /* of one level */
    bool indented;
    slice item_separator;
    slice key_separator;
} json_style;
MUST_CHECK bool value_to_text(run *r, const value *v, text *t);
MUST_CHECK bool value_print(run *r, const value *v, text_builder *b);
MUST_CHECK bool value_to_json(run *r, const value *v, const json_style *style, text *t);

#endif
