#include "value.h"

#include "template.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

bool run_fail(run *r, const char *format, ...) {
    char words[ERROR_TEXT_SIZE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    return error_set(r->err, ERROR_INVALID, "the chat template, line %u: %s", r->line, words);
}

bool run_limit(run *r, const char *what) {
    return error_set(r->err, ERROR_LIMIT,
                     "the chat template, line %u, takes more %s than a rendering is given: shorten the "
                     "conversation",
                     r->line, what);
}

bool run_step(run *r, size_t count) {
    if (r->steps < count) {
        return run_limit(r, "steps");
    }
    r->steps -= count;
    return true;
}

bool run_enter(run *r) {
    if (r->depth == TEMPLATE_DEPTH_MAX) {
        return run_limit(r, "depth");
    }
    r->depth++;
    return run_step(r, 1);
}

void run_leave(run *r) {
    r->depth--;
}

void *run_allocate(run *r, size_t count, size_t size) {
    size_t total = 0;
    size_t used = arena_used(r->memory);
    if (__builtin_mul_overflow(count, size, &total) || used >= r->memory_limit ||
        total > r->memory_limit - used) {
        run_limit(r, "memory");
        return NULL;
    }
    void *block = arena_allocate(r->memory, total);
    if (block == NULL) {
        error_memory(r->err);
    }
    return block;
}

text_builder run_builder(run *r) {
    return (text_builder){
        .memory = r->memory, .memory_limit = r->memory_limit, .length_limit = TEMPLATE_OUTPUT_MAX};
}

bool run_built(run *r, const text_builder *b, text *t) {
    if (!b->failed) {
        *t = text_finish(b);
        return run_step(r, b->length / 64);
    }
    size_t used = arena_used(r->memory);
    bool large = b->length > TEMPLATE_OUTPUT_MAX / 2 || used > r->memory_limit / 2;
    return large ? run_limit(r, "text") : error_memory(r->err);
}

value value_undefined(slice name) {
    return (value){.kind = VALUE_UNDEFINED, .name = name};
}

value value_bool(bool boolean) {
    return (value){.kind = VALUE_BOOL, .boolean = boolean};
}

value value_integer(int64_t integer) {
    return (value){.kind = VALUE_INTEGER, .integer = integer};
}

value value_float(double number) {
    return (value){.kind = VALUE_FLOAT, .number = number};
}

value value_text(text t) {
    return (value){.kind = VALUE_TEXT, .text = t};
}

value value_list(value_kind kind, const value *items, size_t count) {
    return (value){.kind = kind, .list = {items, count}};
}

bool value_is_list(const value *v) {
    return v->kind >= VALUE_LIST && v->kind <= VALUE_ITERATOR;
}

bool value_is_whole(const value *v) {
    return v->kind == VALUE_INTEGER || v->kind == VALUE_BOOL;
}

bool value_is_number(const value *v) {
    return value_is_whole(v) || v->kind == VALUE_FLOAT;
}

int64_t value_whole(const value *v) {
    return v->kind == VALUE_BOOL ? v->boolean : v->integer;
}

double value_number(const value *v) {
    return v->kind == VALUE_FLOAT ? v->number : (double)value_whole(v);
}

bool value_truth(const value *v) {
    switch (v->kind) {
    case VALUE_UNDEFINED:
    case VALUE_NONE:
        return false;
    case VALUE_BOOL:
        return v->boolean;
    case VALUE_INTEGER:
        return v->integer != 0;
    case VALUE_FLOAT:
        return v->number != 0;
    case VALUE_TEXT:
        return v->text.bytes.length > 0;
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_VIEW:
        return v->list.count > 0;
    case VALUE_DICT:
        return v->dict->count > 0;
    default:
        return true;
    }
}

const char *value_type_name(const value *v) {
    static const char *const names[] = {
        [VALUE_UNDEFINED] = "an undefined value",
        [VALUE_NONE] = "none",
        [VALUE_BOOL] = "a boolean",
        [VALUE_INTEGER] = "an integer",
        [VALUE_FLOAT] = "a float",
        [VALUE_TEXT] = "text",
        [VALUE_LIST] = "a list",
        [VALUE_TUPLE] = "a tuple",
        [VALUE_VIEW] = "a view of a mapping",
        [VALUE_ITERATOR] = "an iterator",
        [VALUE_DICT] = "a mapping",
        [VALUE_NAMESPACE] = "a namespace",
        [VALUE_MACRO] = "a macro",
        [VALUE_FUNCTION] = "a function",
        [VALUE_METHOD] = "a method",
        [VALUE_LOOP] = "a loop",
    };
    return names[v->kind];
}

static bool lists_equal(run *r, const value *a, const value *b, bool *equal) {
    *equal = a->kind == b->kind && a->list.count == b->list.count;
    for (size_t i = 0; *equal && i < a->list.count; i++) {
        if (!value_equal(r, &a->list.items[i], &b->list.items[i], equal)) {
            return false;
        }
    }
    return true;
}

static bool dicts_equal(run *r, const dict *a, const dict *b, bool *equal) {
    *equal = a->count == b->count;
    for (size_t i = 0; *equal && i < a->count; i++) {
        const value *other = NULL;
        if (!dict_find(r, b, &a->entries[i].key, &other) ||
            (other != NULL && !value_equal(r, &a->entries[i].value, other, equal))) {
            return false;
        }
        *equal = *equal && other != NULL;
    }
    return true;
}

bool value_equal(run *r, const value *a, const value *b, bool *equal) {
    if (!run_enter(r)) {
        return false;
    }
    bool good = true;
    if (value_is_whole(a) && value_is_whole(b)) {
        *equal = value_whole(a) == value_whole(b);
    } else if (value_is_number(a) && value_is_number(b)) {
        *equal = value_number(a) == value_number(b);
    } else if (a->kind != b->kind) {
        *equal = false;
    } else if (a->kind == VALUE_TEXT) {
        *equal = slice_equal(a->text.bytes, b->text.bytes);
        good = run_step(r, a->text.bytes.length / 64);
    } else if (value_is_list(a)) {
        good = lists_equal(r, a, b, equal);
    } else if (a->kind == VALUE_DICT) {
        good = dicts_equal(r, a->dict, b->dict, equal);
    } else if (a->kind == VALUE_NAMESPACE) {
        *equal = a->dict == b->dict;
    } else if (a->kind == VALUE_MACRO) {
        *equal = a->macro == b->macro;
    } else {
        *equal = a->kind == VALUE_UNDEFINED || a->kind == VALUE_NONE;
    }
    run_leave(r);
    return good;
}

static int order_texts(slice a, slice b) {
    size_t shorter = a.length < b.length ? a.length : b.length;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    return order != 0 ? order : (a.length > b.length) - (a.length < b.length);
}

static bool order_lists(run *r, const value *a, const value *b, int *order) {
    for (size_t i = 0; i < a->list.count && i < b->list.count; i++) {
        bool equal = false;
        if (!value_equal(r, &a->list.items[i], &b->list.items[i], &equal)) {
            return false;
        }
        if (!equal) {
            return value_order(r, &a->list.items[i], &b->list.items[i], order);
        }
    }
    *order = (a->list.count > b->list.count) - (a->list.count < b->list.count);
    return true;
}

bool value_order(run *r, const value *a, const value *b, int *order) {
    if (!run_enter(r)) {
        return false;
    }
    bool good = true;
    if (value_is_whole(a) && value_is_whole(b)) {
        *order = (value_whole(a) > value_whole(b)) - (value_whole(a) < value_whole(b));
    } else if (value_is_number(a) && value_is_number(b)) {
        *order = (value_number(a) > value_number(b)) - (value_number(a) < value_number(b));
    } else if (a->kind == VALUE_TEXT && b->kind == VALUE_TEXT) {
        *order = order_texts(a->text.bytes, b->text.bytes);
        good = run_step(r, a->text.bytes.length / 64);
    } else if (a->kind == b->kind && (a->kind == VALUE_LIST || a->kind == VALUE_TUPLE)) {
        good = order_lists(r, a, b, order);
    } else {
        good = run_fail(r, "%s and %s can't be ordered", value_type_name(a), value_type_name(b));
    }
    run_leave(r);
    return good;
}

bool value_contains(run *r, const value *container, const value *wanted, bool *there) {
    *there = false;
    if (container->kind == VALUE_TEXT) {
        if (wanted->kind != VALUE_TEXT) {
            return run_fail(r, "%s is looked for in text", value_type_name(wanted));
        }
        *there = slice_find_slice(container->text.bytes, wanted->text.bytes) != SIZE_MAX;
        return run_step(r, container->text.bytes.length / 16);
    }
    if (container->kind == VALUE_DICT) {
        const value *found = NULL;
        bool good = dict_find(r, container->dict, wanted, &found);
        *there = found != NULL;
        return good;
    }
    const value *items = NULL;
    size_t count = 0;
    if (!value_iterate(r, container, &items, &count)) {
        return false;
    }
    for (size_t i = 0; !*there && i < count; i++) {
        if (!value_equal(r, &items[i], wanted, there)) {
            return false;
        }
    }
    return true;
}

static bool iterate_text(run *r, const text *t, const value **items, size_t *count) {
    *count = text_character_count(t->bytes);
    value *characters = run_allocate(r, *count, sizeof *characters);
    if (characters == NULL || !run_step(r, *count)) {
        return false;
    }
    size_t at = 0;
    for (size_t i = 0; i < *count; i++) {
        size_t size = text_character_size(slice_after(t->bytes, at));
        characters[i] = value_text(text_part(t, at, size));
        at += size;
    }
    *items = characters;
    return true;
}

bool value_iterate(run *r, const value *v, const value **items, size_t *count) {
    *items = NULL;
    *count = 0;
    if (v->kind == VALUE_UNDEFINED) {
        return true;
    }
    if (value_is_list(v)) {
        *items = v->list.items;
        *count = v->list.count;
        return true;
    }
    if (v->kind == VALUE_TEXT) {
        return iterate_text(r, &v->text, items, count);
    }
    if (v->kind != VALUE_DICT) {
        return run_fail(r, "%s can't be looped over", value_type_name(v));
    }
    value *keys = run_allocate(r, v->dict->count, sizeof *keys);
    if (keys == NULL || !run_step(r, v->dict->count)) {
        return false;
    }
    for (size_t i = 0; i < v->dict->count; i++) {
        keys[i] = v->dict->entries[i].key;
    }
    *items = keys;
    *count = v->dict->count;
    return true;
}

bool value_count(run *r, const value *v, size_t *count) {
    switch (v->kind) {
    case VALUE_UNDEFINED:
        *count = 0;
        return true;
    case VALUE_TEXT:
        *count = text_character_count(v->text.bytes);
        return run_step(r, v->text.bytes.length / 16);
    case VALUE_LIST:
    case VALUE_TUPLE:
    case VALUE_VIEW:
        *count = v->list.count;
        return true;
    case VALUE_DICT:
        *count = v->dict->count;
        return true;
    default:
        return run_fail(r, "%s has no length", value_type_name(v));
    }
}

bool dict_find(run *r, const dict *d, const value *key, const value **found) {
    *found = NULL;
    if ((value_is_list(key) && key->kind != VALUE_TUPLE) || key->kind == VALUE_DICT) {
        return run_fail(r, "%s can't be a key", value_type_name(key));
    }
    for (size_t i = 0; *found == NULL && i < d->count; i++) {
        bool equal = false;
        if (key->kind == VALUE_TEXT && d->entries[i].key.kind == VALUE_TEXT) {
            equal = slice_equal(key->text.bytes, d->entries[i].key.text.bytes);
        } else if (!value_equal(r, key, &d->entries[i].key, &equal)) {
            return false;
        }
        *found = equal ? &d->entries[i].value : NULL;
    }
    return run_step(r, d->count / 16);
}

const value *dict_find_text(const dict *d, slice key) {
    for (size_t i = 0; i < d->count; i++) {
        if (d->entries[i].key.kind == VALUE_TEXT && slice_equal(d->entries[i].key.text.bytes, key)) {
            return &d->entries[i].value;
        }
    }
    return NULL;
}

bool dict_append(run *r, dict *d, const value *key, const value *item) {
    if (d->count == d->capacity) {
        size_t capacity = d->capacity == 0 ? 4 : d->capacity * 2;
        dict_entry *grown = run_allocate(r, capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        if (d->count > 0) {
            memcpy(grown, d->entries, d->count * sizeof *grown);
        }
        d->entries = grown;
        d->capacity = capacity;
    }
    d->entries[d->count++] = (dict_entry){*key, *item};
    return true;
}

bool dict_put(run *r, dict *d, const value *key, const value *item) {
    const value *found = NULL;
    if (!dict_find(r, d, key, &found)) {
        return false;
    }
    if (found == NULL) {
        return dict_append(r, d, key, item);
    }
    for (size_t i = 0; i < d->count; i++) {
        if (&d->entries[i].value == found) {
            d->entries[i].value = *item;
        }
    }
    return true;
}

dict *dict_new(run *r) {
    return run_allocate(r, 1, sizeof(dict));
}
