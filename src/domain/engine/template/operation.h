#ifndef TEMPLATE_OPERATION_H
#define TEMPLATE_OPERATION_H

#include "value.h"

/* Filters, tests, methods and global functions: tables of names and what they do. Private to the room. */
enum { OPERATION_PARAMETERS_MAX = 4 };

/* The arguments of a call as they stand. */
typedef struct keyword_argument {
    slice name;
    value value;
} keyword_argument;
typedef struct arguments {
    const value *items;
    size_t count;
    const keyword_argument *keywords;
    size_t keyword_count;
} arguments;

typedef struct operation {
    const char *name;
    const char *parameters[OPERATION_PARAMETERS_MAX]; /* in order; those behind the last are NULL */
    /* `given` holds an argument or NULL for each parameter. `subject` is what stands before | or the dot;
     * NULL for a function. */
    bool (*call)(run *r, const value *subject, const value *const given[], value *result);
    /* Instead, for those that take what comes. */
    bool (*call_any)(run *r, const value *subject, const arguments *given, value *result);
} operation;

const operation *filter_find(slice name); /* NULL: there is none */
const operation *test_find(slice name);   /* gives VALUE_BOOL */
const operation *function_find(slice name);
const operation *method_find(value_kind kind, slice name);
/* Whether values of any kind have such a method. */
bool operation_is_method(slice name);

MUST_CHECK bool operation_call(run *r, const operation *o, const value *subject, const arguments *given,
                               value *result);

/* object.name and object[key], as Jinja looks them up: what isn't there is undefined. */
MUST_CHECK bool value_attribute(run *r, const value *object, slice name, value *result);
MUST_CHECK bool value_item(run *r, const value *object, const value *key, value *result);

/* The tables' parts: each ends with an operation without a name. */
extern const operation text_filters[];
extern const operation list_filters[];
extern const operation choice_filters[];
extern const operation tests[];
extern const operation functions[];
extern const operation text_methods[];
extern const operation dict_methods[];
extern const operation list_methods[];
extern const operation loop_methods[];

/* For operations: the argument as what it must be, or the fallback where it is NULL. */
MUST_CHECK bool argument_text(run *r, const value *given, const char *name, slice fallback, text *t);
MUST_CHECK bool argument_whole(run *r, const value *given, const char *name, int64_t fallback,
                               int64_t *number);
bool argument_truth(const value *given, bool fallback);

/* Shared by filters and methods of the same name. `upper`, `lower` change ASCII letters only. */
typedef enum letter_case { CASE_UPPER, CASE_LOWER, CASE_CAPITALIZED, CASE_WORDS, CASE_TITLE } letter_case;
MUST_CHECK bool text_to_case(run *r, const text *t, letter_case letters, text *changed);
/* At most `limit` replacements, all if negative. What is put in is trusted only if what it replaces was, too.
 */
MUST_CHECK bool text_replace(run *r, const text *t, const text *old, const text *new, int64_t limit,
                             text *changed);
/* A separator is trusted only between trusted texts. */
MUST_CHECK bool text_join(run *r, const value *items, size_t count, const text *separator, text *joined);

struct loop {
    const value *items;
    size_t count;
    size_t index; /* from 0 */
    size_t depth; /* from 1 */
};

#endif
