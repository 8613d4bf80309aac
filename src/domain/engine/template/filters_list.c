#include "evaluate.h"

static bool filter_length(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    size_t count = 0;
    bool good = value_count(r, subject, &count);
    *result = value_integer((int64_t)count);
    return good;
}

static bool filter_default(run *r, const value *subject, const value *const given[], value *result) {
    (void)r;
    bool missing =
        subject->kind == VALUE_UNDEFINED || (argument_truth(given[1], false) && !value_truth(subject));
    *result = !missing           ? *subject
              : given[0] == NULL ? value_text(text_trusted(SLICE_LITERAL("")))
                                 : *given[0];
    return true;
}

static bool filter_first(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    const value *items = NULL;
    size_t count = 0;
    bool good = value_iterate(r, subject, &items, &count);
    *result = count > 0 ? items[0] : value_undefined(SLICE_LITERAL("first"));
    return good;
}

static bool filter_last(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    const value *items = NULL;
    size_t count = 0;
    if (subject->kind == VALUE_ITERATOR) {
        return run_fail(r, "an iterator has no last element: make it a list");
    }
    bool good = value_iterate(r, subject, &items, &count);
    *result = count > 0 ? items[count - 1] : value_undefined(SLICE_LITERAL("last"));
    return good;
}

static bool filter_list(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    const value *items = NULL;
    size_t count = 0;
    bool good = value_iterate(r, subject, &items, &count);
    *result = value_list(VALUE_LIST, items, count);
    return good;
}

static bool filter_items(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    *result = value_list(VALUE_ITERATOR, NULL, 0);
    if (subject->kind == VALUE_UNDEFINED) {
        return true;
    }
    if (subject->kind != VALUE_DICT) {
        return run_fail(r, "%s has no items", value_type_name(subject));
    }
    arguments none = {0};
    bool good = operation_call(r, method_find(VALUE_DICT, SLICE_LITERAL("items")), subject, &none, result);
    result->kind = VALUE_ITERATOR;
    return good;
}

bool text_join(run *r, const value *items, size_t count, const text *separator, text *joined) {
    text_builder b = run_builder(r);
    bool before = true;
    for (size_t i = 0; i < count; i++) {
        text t;
        if (!run_step(r, 1) || !value_to_text(r, &items[i], &t)) {
            return false;
        }
        bool trusted = text_is_trusted(&t);
        if (i > 0) {
            text_append_bytes(&b, separator->bytes, before && trusted && text_is_trusted(separator));
        }
        text_append(&b, &t);
        before = trusted;
        if (b.failed) {
            break;
        }
    }
    return run_built(r, &b, joined);
}

/* "a.b.0" of an object. */
static bool attribute_of(run *r, const value *object, const value *path, value *result) {
    *result = *object;
    if (path == NULL || path->kind == VALUE_NONE) {
        return true;
    }
    if (path->kind != VALUE_TEXT) {
        return value_item(r, object, path, result);
    }
    slice rest = path->text.bytes;
    bool more = true;
    while (more) {
        size_t dot = slice_find(rest, '.');
        slice name = slice_part(rest, 0, dot);
        uint64_t index = 0;
        value key = slice_to_u64(name, &index) && index < INT32_MAX ? value_integer((int64_t)index)
                                                                    : value_text(text_trusted(name));
        value object_now = *result;
        if (!run_step(r, 1) || !value_item(r, &object_now, &key, result)) {
            return false;
        }
        more = dot != SIZE_MAX;
        rest = more ? slice_after(rest, dot + 1) : rest;
    }
    return true;
}

/* What each item is sorted or told apart by: an attribute, text in lower case unless the case counts. */
static bool keys_of(run *r, const value *items, size_t count, const value *attribute, bool case_counts,
                    value **keys) {
    *keys = run_allocate(r, count, sizeof **keys);
    for (size_t i = 0; *keys != NULL && i < count; i++) {
        value *key = &(*keys)[i];
        if (!run_step(r, 1) || !attribute_of(r, &items[i], attribute, key)) {
            return false;
        }
        if (!case_counts && key->kind == VALUE_TEXT && !text_to_case(r, &key->text, CASE_LOWER, &key->text)) {
            return false;
        }
    }
    return *keys != NULL;
}

typedef struct sorter {
    run *r;
    const value *keys;
    bool reverse;
} sorter;

static bool merge(sorter *s, const size_t *from, size_t *to, size_t start, size_t middle, size_t end) {
    size_t left = start;
    size_t right = middle;
    for (size_t i = start; i < end; i++) {
        int order = 0;
        if (left < middle && right < end &&
            !value_order(s->r, &s->keys[from[left]], &s->keys[from[right]], &order)) {
            return false;
        }
        order = s->reverse ? -order : order;
        bool takes_left = right == end || (left < middle && order <= 0);
        to[i] = takes_left ? from[left++] : from[right++];
    }
    return true;
}

/* Merge sort from the bottom: stable, also in reverse. */
static bool sort(sorter *s, const value *items, size_t count, const value **sorted) {
    size_t *from = run_allocate(s->r, count, sizeof *from);
    size_t *to = from == NULL ? NULL : run_allocate(s->r, count, sizeof *to);
    value *result = to == NULL ? NULL : run_allocate(s->r, count, sizeof *result);
    if (result == NULL) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        from[i] = i;
    }
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            if (!merge(s, from, to, start, middle, end)) {
                return false;
            }
        }
        size_t *swapped = from;
        from = to;
        to = swapped;
    }
    for (size_t i = 0; i < count; i++) {
        result[i] = items[from[i]];
    }
    *sorted = result;
    return true;
}

static bool filter_sort(run *r, const value *subject, const value *const given[], value *result) {
    const value *items = NULL;
    const value *sorted = NULL;
    value *keys = NULL;
    size_t count = 0;
    if (given[2] != NULL && given[2]->kind == VALUE_TEXT &&
        slice_find(given[2]->text.bytes, ',') != SIZE_MAX) {
        return run_fail(r, "'sort' takes one attribute here");
    }
    if (!value_iterate(r, subject, &items, &count) ||
        !keys_of(r, items, count, given[2], argument_truth(given[1], false), &keys)) {
        return false;
    }
    sorter s = {r, keys, argument_truth(given[0], false)};
    if (!sort(&s, items, count, &sorted)) {
        return false;
    }
    *result = value_list(VALUE_LIST, sorted, count);
    return true;
}

static bool filter_dictsort(run *r, const value *subject, const value *const given[], value *result) {
    arguments none = {0};
    value pairs;
    text by;
    if (subject->kind != VALUE_DICT) {
        return run_fail(r, "%s is no mapping to be sorted", value_type_name(subject));
    }
    if (!argument_text(r, given[1], "by", SLICE_LITERAL("key"), &by) ||
        !operation_call(r, method_find(VALUE_DICT, SLICE_LITERAL("items")), subject, &none, &pairs)) {
        return false;
    }
    value column = value_integer(slice_equal_text(by.bytes, "value") ? 1 : 0);
    const value *const order[OPERATION_PARAMETERS_MAX] = {given[2], given[0], &column, NULL};
    return filter_sort(r, &pairs, order, result);
}

static bool filter_unique(run *r, const value *subject, const value *const given[], value *result) {
    const value *items = NULL;
    value *keys = NULL;
    size_t count = 0;
    size_t kept = 0;
    if (!value_iterate(r, subject, &items, &count) ||
        !keys_of(r, items, count, given[1], argument_truth(given[0], false), &keys)) {
        return false;
    }
    value *unique = run_allocate(r, count, sizeof *unique);
    for (size_t i = 0; unique != NULL && i < count; i++) {
        bool seen = false;
        for (size_t k = 0; !seen && k < kept; k++) {
            if (!value_equal(r, &keys[k], &keys[i], &seen)) {
                return false;
            }
        }
        if (!seen) {
            keys[kept] = keys[i];
            unique[kept++] = items[i];
        }
    }
    *result = value_list(VALUE_ITERATOR, unique, kept);
    return unique != NULL;
}

static bool extreme(run *r, const value *subject, const value *const given[], int wanted, value *result) {
    const value *items = NULL;
    value *keys = NULL;
    size_t count = 0;
    size_t best = 0;
    if (!value_iterate(r, subject, &items, &count) ||
        !keys_of(r, items, count, given[1], argument_truth(given[0], false), &keys)) {
        return false;
    }
    for (size_t i = 1; i < count; i++) {
        int order = 0;
        if (!value_order(r, &keys[i], &keys[best], &order)) {
            return false;
        }
        best = order * wanted > 0 ? i : best;
    }
    *result = count == 0 ? value_undefined(SLICE_LITERAL("min or max of nothing")) : items[best];
    return true;
}

static bool filter_min(run *r, const value *subject, const value *const given[], value *result) {
    return extreme(r, subject, given, -1, result);
}

static bool filter_max(run *r, const value *subject, const value *const given[], value *result) {
    return extreme(r, subject, given, 1, result);
}

static bool filter_sum(run *r, const value *subject, const value *const given[], value *result) {
    const value *items = NULL;
    size_t count = 0;
    if (!value_iterate(r, subject, &items, &count)) {
        return false;
    }
    *result = given[1] == NULL ? value_integer(0) : *given[1];
    for (size_t i = 0; i < count; i++) {
        value item;
        value total = *result;
        if (!attribute_of(r, &items[i], given[0], &item) ||
            !value_binary(r, OPERATOR_ADD, &total, &item, result)) {
            return false;
        }
    }
    return true;
}

static bool filter_join(run *r, const value *subject, const value *const given[], value *result) {
    const value *items = NULL;
    size_t count = 0;
    text separator = text_trusted((slice){NULL, 0});
    text joined;
    value *parts = NULL;
    if (!value_iterate(r, subject, &items, &count) ||
        (given[0] != NULL && !value_to_text(r, given[0], &separator)) ||
        !keys_of(r, items, count, given[1], true, &parts) ||
        !text_join(r, parts, count, &separator, &joined)) {
        return false;
    }
    *result = value_text(joined);
    return true;
}

static bool filter_reverse(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    const value *items = NULL;
    size_t count = 0;
    if (subject->kind == VALUE_TEXT) {
        value back = value_integer(-1);
        return value_slice(r, subject, NULL, NULL, &back, result);
    }
    if (!value_iterate(r, subject, &items, &count)) {
        return false;
    }
    value *reversed = run_allocate(r, count, sizeof *reversed);
    for (size_t i = 0; reversed != NULL && i < count; i++) {
        reversed[i] = items[count - 1 - i];
    }
    *result = value_list(VALUE_ITERATOR, reversed, count);
    return reversed != NULL;
}

const operation list_filters[] = {
    {.name = "length", .call = filter_length},
    {.name = "count", .call = filter_length},
    {.name = "default", .parameters = {"default_value", "boolean"}, .call = filter_default},
    {.name = "d", .parameters = {"default_value", "boolean"}, .call = filter_default},
    {.name = "first", .call = filter_first},
    {.name = "last", .call = filter_last},
    {.name = "list", .call = filter_list},
    {.name = "items", .call = filter_items},
    {.name = "join", .parameters = {"d", "attribute"}, .call = filter_join},
    {.name = "sort", .parameters = {"reverse", "case_sensitive", "attribute"}, .call = filter_sort},
    {.name = "dictsort", .parameters = {"case_sensitive", "by", "reverse"}, .call = filter_dictsort},
    {.name = "unique", .parameters = {"case_sensitive", "attribute"}, .call = filter_unique},
    {.name = "min", .parameters = {"case_sensitive", "attribute"}, .call = filter_min},
    {.name = "max", .parameters = {"case_sensitive", "attribute"}, .call = filter_max},
    {.name = "sum", .parameters = {"attribute", "start"}, .call = filter_sum},
    {.name = "reverse", .call = filter_reverse},
    {.name = NULL},
};

/* Some of the items, or what becomes of each. */
typedef struct choice {
    const operation *operation; /* NULL: the truth of the item */
    const value *attribute;     /* of the item; NULL: the item itself */
    arguments arguments;        /* for the operation */
    bool wanted;
} choice;

static bool choose(run *r, const value *subject, const choice *c, value *result) {
    const value *items = NULL;
    size_t count = 0;
    size_t kept = 0;
    if (!value_iterate(r, subject, &items, &count)) {
        return false;
    }
    value *chosen = run_allocate(r, count, sizeof *chosen);
    for (size_t i = 0; chosen != NULL && i < count; i++) {
        value item;
        if (!run_step(r, 1) || !attribute_of(r, &items[i], c->attribute, &item)) {
            return false;
        }
        value verdict = item;
        if (c->operation != NULL && !operation_call(r, c->operation, &item, &c->arguments, &verdict)) {
            return false;
        }
        if (value_truth(&verdict) == c->wanted) {
            chosen[kept++] = items[i];
        }
    }
    *result = value_list(VALUE_ITERATOR, chosen, kept);
    return chosen != NULL;
}

static bool find_named(run *r, const value *name, bool filter, const operation **found) {
    if (name->kind != VALUE_TEXT) {
        return run_fail(r, "a %s is named by %s, not by text", filter ? "filter" : "test",
                        value_type_name(name));
    }
    *found = filter ? filter_find(name->text.bytes) : test_find(name->text.bytes);
    return *found != NULL || error_set(r->err, ERROR_UNSUPPORTED,
                                       "the chat template, line %u, uses a %s that this engine doesn't have",
                                       r->line, filter ? "filter" : "test");
}

static bool select_items(run *r, const value *subject, const arguments *given, bool attribute, bool wanted,
                         value *result) {
    choice c = {.wanted = wanted, .arguments = *given};
    if (attribute) {
        if (given->count == 0) {
            return run_fail(r, "'selectattr' and 'rejectattr' take an attribute");
        }
        c.attribute = &given->items[0];
        c.arguments.items++;
        c.arguments.count--;
    }
    if (c.arguments.count > 0) {
        if (!find_named(r, c.arguments.items, false, &c.operation)) {
            return false;
        }
        c.arguments.items++;
        c.arguments.count--;
    }
    return choose(r, subject, &c, result);
}

static bool filter_select(run *r, const value *subject, const arguments *given, value *result) {
    return select_items(r, subject, given, false, true, result);
}

static bool filter_reject(run *r, const value *subject, const arguments *given, value *result) {
    return select_items(r, subject, given, false, false, result);
}

static bool filter_selectattr(run *r, const value *subject, const arguments *given, value *result) {
    return select_items(r, subject, given, true, true, result);
}

static bool filter_rejectattr(run *r, const value *subject, const arguments *given, value *result) {
    return select_items(r, subject, given, true, false, result);
}

static const value *keyword_of(const arguments *given, const char *name) {
    for (size_t i = 0; i < given->keyword_count; i++) {
        if (slice_equal_text(given->keywords[i].name, name)) {
            return &given->keywords[i].value;
        }
    }
    return NULL;
}

static bool filter_map(run *r, const value *subject, const arguments *given, value *result) {
    const value *attribute = given->count == 0 ? keyword_of(given, "attribute") : NULL;
    const value *fallback = keyword_of(given, "default");
    const operation *applied = NULL;
    const value *items = NULL;
    size_t count = 0;
    if (attribute == NULL && given->count == 0) {
        return run_fail(r, "'map' takes a filter or an attribute");
    }
    if ((attribute == NULL && !find_named(r, &given->items[0], true, &applied)) ||
        !value_iterate(r, subject, &items, &count)) {
        return false;
    }
    arguments rest = *given;
    rest.items += attribute == NULL ? 1 : 0;
    rest.count -= attribute == NULL ? 1 : 0;
    value *mapped = run_allocate(r, count, sizeof *mapped);
    for (size_t i = 0; mapped != NULL && i < count; i++) {
        bool good =
            run_step(r, 1) && (attribute == NULL ? operation_call(r, applied, &items[i], &rest, &mapped[i])
                                                 : attribute_of(r, &items[i], attribute, &mapped[i]));
        if (!good) {
            return false;
        }
        if (attribute != NULL && fallback != NULL && mapped[i].kind == VALUE_UNDEFINED) {
            mapped[i] = *fallback;
        }
    }
    *result = value_list(VALUE_ITERATOR, mapped, count);
    return mapped != NULL;
}

const operation choice_filters[] = {
    {.name = "map", .call_any = filter_map},
    {.name = "select", .call_any = filter_select},
    {.name = "reject", .call_any = filter_reject},
    {.name = "selectattr", .call_any = filter_selectattr},
    {.name = "rejectattr", .call_any = filter_rejectattr},
    {.name = NULL},
};
