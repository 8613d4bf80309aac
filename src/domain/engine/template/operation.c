#include "operation.h"

static const operation *find_in(const operation *table, slice name) {
    for (; table->name != NULL; table++) {
        if (slice_equal_text(name, table->name)) {
            return table;
        }
    }
    return NULL;
}

const operation *filter_find(slice name) {
    const operation *o = find_in(text_filters, name);
    o = o != NULL ? o : find_in(list_filters, name);
    return o != NULL ? o : find_in(choice_filters, name);
}

const operation *test_find(slice name) {
    return find_in(tests, name);
}

const operation *function_find(slice name) {
    return find_in(functions, name);
}

const operation *method_find(value_kind kind, slice name) {
    switch (kind) {
    case VALUE_TEXT:
        return find_in(text_methods, name);
    case VALUE_DICT:
        return find_in(dict_methods, name);
    case VALUE_LIST:
    case VALUE_TUPLE:
        return find_in(list_methods, name);
    case VALUE_LOOP:
        return find_in(loop_methods, name);
    default:
        return NULL;
    }
}

bool operation_is_method(slice name) {
    return find_in(text_methods, name) != NULL || find_in(dict_methods, name) != NULL ||
           find_in(list_methods, name) != NULL || find_in(loop_methods, name) != NULL;
}

static bool place(run *r, const operation *o, const arguments *given, const value *placed[]) {
    size_t parameters = 0;
    while (parameters < OPERATION_PARAMETERS_MAX && o->parameters[parameters] != NULL) {
        parameters++;
    }
    if (given->count > parameters) {
        return run_fail(r, "'%s' takes at most %zu arguments", o->name, parameters);
    }
    for (size_t i = 0; i < given->count; i++) {
        placed[i] = &given->items[i];
    }
    for (size_t k = 0; k < given->keyword_count; k++) {
        const keyword_argument *keyword = &given->keywords[k];
        size_t i = 0;
        while (i < parameters && !slice_equal_text(keyword->name, o->parameters[i])) {
            i++;
        }
        if (i == parameters || placed[i] != NULL) {
            return run_fail(r, "'%s' has no argument '%.*s', or has it twice", o->name,
                            SLICE_FORMAT(slice_part(keyword->name, 0, 64)));
        }
        placed[i] = &keyword->value;
    }
    return true;
}

bool operation_call(run *r, const operation *o, const value *subject, const arguments *given, value *result) {
    const value *placed[OPERATION_PARAMETERS_MAX] = {NULL};
    *result = (value){.kind = VALUE_NONE};
    if (!run_enter(r)) { /* map may call map */
        return false;
    }
    bool good = o->call_any != NULL ? o->call_any(r, subject, given, result)
                                    : place(r, o, given, placed) && o->call(r, subject, placed, result);
    run_leave(r);
    return good;
}

bool argument_text(run *r, const value *given, const char *name, slice fallback, text *t) {
    if (given == NULL) {
        *t = text_trusted(fallback);
        return true;
    }
    *t = given->text;
    return given->kind == VALUE_TEXT ||
           run_fail(r, "the argument '%s' is %s, not text", name, value_type_name(given));
}

bool argument_whole(run *r, const value *given, const char *name, int64_t fallback, int64_t *number) {
    *number = given == NULL || !value_is_whole(given) ? fallback : value_whole(given);
    return given == NULL || value_is_whole(given) ||
           run_fail(r, "the argument '%s' is %s, not a whole number", name, value_type_name(given));
}

bool argument_truth(const value *given, bool fallback) {
    return given == NULL ? fallback : value_truth(given);
}

static bool loop_attribute(const loop *l, slice name, value *result) {
    const struct {
        const char *name;
        value value;
    } attributes[] = {
        {"index", value_integer((int64_t)l->index + 1)},
        {"index0", value_integer((int64_t)l->index)},
        {"revindex", value_integer((int64_t)(l->count - l->index))},
        {"revindex0", value_integer((int64_t)(l->count - l->index) - 1)},
        {"first", value_bool(l->index == 0)},
        {"last", value_bool(l->index + 1 == l->count)},
        {"length", value_integer((int64_t)l->count)},
        {"depth", value_integer((int64_t)l->depth)},
        {"depth0", value_integer((int64_t)l->depth - 1)},
        {"previtem", l->index == 0 ? value_undefined(name) : l->items[l->index - 1]},
        {"nextitem", l->index + 1 >= l->count ? value_undefined(name) : l->items[l->index + 1]},
    };
    for (size_t i = 0; i < sizeof attributes / sizeof attributes[0]; i++) {
        if (slice_equal_text(name, attributes[i].name)) {
            *result = attributes[i].value;
            return true;
        }
    }
    return false;
}

static bool undefined_used(run *r, const value *object) {
    return run_fail(r, "'%.*s' is undefined", SLICE_FORMAT(slice_part(object->name, 0, 64)));
}

bool value_attribute(run *r, const value *object, slice name, value *result) {
    *result = value_undefined(name);
    if (object->kind == VALUE_UNDEFINED) {
        return undefined_used(r, object);
    }
    const operation *method = method_find(object->kind, name);
    if (method != NULL) {
        value *self = run_allocate(r, 1, sizeof *self);
        if (self == NULL) {
            return false;
        }
        *self = *object;
        *result = (value){.kind = VALUE_METHOD, .method = {method, self}};
        return true;
    }
    if (object->kind == VALUE_DICT || object->kind == VALUE_NAMESPACE) {
        const value *found = dict_find_text(object->dict, name);
        *result = found == NULL ? *result : *found;
        return run_step(r, object->dict->count / 16);
    }
    if (object->kind == VALUE_LOOP) {
        loop_attribute(object->loop, name, result);
    }
    return true;
}

static bool character_at(run *r, const text *t, int64_t index, value *result) {
    size_t at = 0;
    if (index < 0) {
        index += (int64_t)text_character_count(t->bytes);
    }
    for (; index > 0 && at < t->bytes.length; index--) {
        at += text_character_size(slice_after(t->bytes, at));
    }
    if (index == 0 && at < t->bytes.length) {
        *result = value_text(text_part(t, at, text_character_size(slice_after(t->bytes, at))));
    }
    return run_step(r, t->bytes.length / 16);
}

bool value_item(run *r, const value *object, const value *key, value *result) {
    slice name = key->kind == VALUE_TEXT ? key->text.bytes : SLICE_LITERAL("item");
    *result = value_undefined(name);
    if (object->kind == VALUE_UNDEFINED) {
        return undefined_used(r, object);
    }
    if (value_is_list(key) || key->kind == VALUE_DICT) {
        return true;
    }
    if (object->kind == VALUE_DICT) {
        const value *found = NULL;
        if (!dict_find(r, object->dict, key, &found)) {
            return false;
        }
        if (found != NULL) {
            *result = *found;
            return true;
        }
    }
    if (key->kind == VALUE_TEXT) {
        return value_attribute(r, object, name, result);
    }
    if (!value_is_whole(key)) {
        return true;
    }
    int64_t index = value_whole(key);
    if (object->kind == VALUE_TEXT) {
        return character_at(r, &object->text, index, result);
    }
    if (object->kind == VALUE_LIST || object->kind == VALUE_TUPLE) {
        int64_t count = (int64_t)object->list.count;
        index += index < 0 ? count : 0;
        if (index >= 0 && index < count) {
            *result = object->list.items[index];
        }
    }
    return true;
}
