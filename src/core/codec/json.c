#include "codec/json.h"

#include "base/list.h"
#include "base/memory.h"

#include <jansson.h>
#include <setjmp.h>

/* jansson can't go on without memory: it passes over some failed allocations, stumbles over what is missing
 * (an assertion), and forgets what it holds. So a failed allocation leaves the parse at once, with longjmp,
 * and what the parse has taken is freed here: it is kept in a ring, whose head is this; each block stands
 * behind its node. */
typedef struct parse {
    list_node taken;
    jmp_buf out_of_memory;
} parse;

static _Thread_local parse *parse_under_way;

static void *allocate(size_t size) {
    list_node *node = size > SIZE_MAX - sizeof *node ? NULL : memory_allocate(sizeof *node + size);
    if (node == NULL && parse_under_way != NULL) {
        longjmp(parse_under_way->out_of_memory, 1);
    }
    if (node == NULL) {
        return NULL;
    }
    list_init(node);
    if (parse_under_way != NULL) {
        list_append(&parse_under_way->taken, node);
    }
    return node + 1;
}

static void release(void *block) {
    if (block != NULL) {
        list_node *node = (list_node *)block - 1;
        list_remove(node);
        memory_free(node);
    }
}

void json_start(uint64_t seed) {
    json_set_alloc_funcs(allocate, release);
    /* 0 would make jansson look for a seed of its own. */
    json_object_seed(seed == 0 ? 1 : (size_t)seed);
}

/* Bounds the nesting before jansson's recursive parser sees it, and how much it has to build. What is in
 * strings doesn't count. */
static bool check_shape(slice text, unsigned depth_limit, size_t value_limit, error *err) {
    unsigned depth = 0;
    size_t values = 0;
    bool inside = false;
    for (size_t i = 0; i < text.length; i++) {
        uint8_t c = text.data[i];
        if (inside) {
            i += c == '\\';
            inside = c != '"';
            continue;
        }
        bool opens = c == '[' || c == '{';
        inside = c == '"';
        depth += opens ? 1 : 0;
        depth -= (c == ']' || c == '}') && depth > 0 ? 1 : 0;
        values += opens || c == ',' ? 1 : 0;
        if (depth > depth_limit) {
            return error_set(err, ERROR_LIMIT, "JSON is nested deeper than the %u levels allowed",
                             depth_limit);
        }
        if (value_limit > 0 && values > value_limit) {
            return error_set(err, ERROR_LIMIT, "JSON has more than the %zu values allowed", value_limit);
        }
    }
    return true;
}

/* Our words, since jansson's quote the text, which may be a prompt. */
static const char *reason_of(const json_error_t *problem) {
    switch (json_error_code(problem)) {
    case json_error_premature_end_of_input:
        return "it ends too early";
    case json_error_end_of_input_expected:
        return "something stands behind its end";
    case json_error_invalid_utf8:
        return "it is not UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key:
        return "a string has a NUL";
    case json_error_duplicate_key:
        return "an object has a key twice";
    case json_error_numeric_overflow:
        return "a number is too large";
    default:
        return "a syntax error";
    }
}

/* NULL if it failed; `*memory_is_out` says whether it was that. */
static json_t *load(slice text, json_error_t *problem, bool *memory_is_out) {
    parse here;
    list_init(&here.taken);
    *memory_is_out = setjmp(here.out_of_memory) != 0;
    if (!*memory_is_out) {
        parse_under_way = &here;
        json_t *root = json_loadb((const char *)text.data, text.length, JSON_REJECT_DUPLICATES, problem);
        parse_under_way = NULL;
        if (root != NULL) {
            list_remove(&here.taken);
            return root;
        }
    }
    parse_under_way = NULL;
    while (!list_is_empty(&here.taken)) {
        release(list_first(&here.taken) + 1);
    }
    return NULL;
}

json_value *json_parse(slice text, json_limits limits, error *err) {
    if (text.length > limits.size) {
        error_set(err, ERROR_LIMIT, "JSON of %zu bytes is larger than the %zu allowed", text.length,
                  limits.size);
        return NULL;
    }
    unsigned depth = limits.depth < JSON_DEPTH_LIMIT ? limits.depth : JSON_DEPTH_LIMIT;
    if (!check_shape(text, depth, limits.values, err)) {
        return NULL;
    }
    if (text.length == 0) {
        error_set(err, ERROR_INVALID, "JSON is expected and there is none");
        return NULL;
    }
    json_error_t problem = {0};
    bool memory_is_out = false;
    json_t *root = load(text, &problem, &memory_is_out);
    if (memory_is_out) {
        error_memory(err);
    } else if (root == NULL) {
        error_set(err, ERROR_INVALID, "this is not valid JSON: %s (line %d, column %d)", reason_of(&problem),
                  problem.line, problem.column);
    }
    return root;
}

void json_free(json_value *root) {
    json_decref(root);
}

json_kind json_kind_of(const json_value *value) {
    switch (value == NULL ? JSON_NULL : json_typeof(value)) {
    case JSON_OBJECT:
        return JSON_KIND_OBJECT;
    case JSON_ARRAY:
        return JSON_KIND_ARRAY;
    case JSON_STRING:
        return JSON_KIND_TEXT;
    case JSON_INTEGER:
    case JSON_REAL:
        return JSON_KIND_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE:
        return JSON_KIND_BOOL;
    default:
        return JSON_KIND_NULL;
    }
}

const json_value *json_find(const json_value *object, const char *name) {
    return json_object_get(object, name);
}

size_t json_count(const json_value *value) {
    return json_is_array(value) ? json_array_size(value) : json_object_size(value);
}

const json_value *json_at(const json_value *array, size_t index) {
    return json_array_get(array, index);
}

bool json_next_member(const json_value *object, const char **name, const json_value **value) {
    json_t *mutable = (json_t *)(uintptr_t)object; /* iterating changes nothing */
    void *at = *name == NULL ? json_object_iter(mutable)
                             : json_object_iter_next(mutable, json_object_key_to_iter(*name));
    if (at == NULL) {
        return false;
    }
    *name = json_object_iter_key(at);
    *value = json_object_iter_value(at);
    return true;
}

slice json_text_of(const json_value *value) {
    return slice_of(json_string_value(value), json_string_length(value));
}

bool json_to_i64(const json_value *value, int64_t *number) {
    *number = json_integer_value(value);
    return json_is_integer(value);
}

double json_to_double(const json_value *value) {
    return json_number_value(value);
}

bool json_to_bool(const json_value *value) {
    return json_is_true(value);
}

bool json_values_equal(const json_value *a, const json_value *b) {
    return json_equal(a, b) == 1;
}
