#include "operation.h"

/* Where parts of text are collected. */
typedef struct parts {
    run *r;
    value *items;
    size_t count;
    size_t capacity;
} parts;

static bool add(parts *p, text t) {
    if (p->count == p->capacity) {
        size_t capacity = p->capacity == 0 ? 8 : p->capacity * 2;
        value *grown = run_allocate(p->r, capacity, sizeof *grown);
        if (grown == NULL) {
            return false;
        }
        if (p->count > 0) {
            memcpy(grown, p->items, p->count * sizeof *grown);
        }
        p->items = grown;
        p->capacity = capacity;
    }
    p->items[p->count++] = value_text(t);
    return run_step(p->r, 1 + t.bytes.length / 16);
}

static bool strip(run *r, const value *subject, const value *given, bool left, bool right, value *result) {
    text characters;
    const value *set = given != NULL && given->kind == VALUE_NONE ? NULL : given;
    if (!argument_text(r, set, "chars", (slice){NULL, 0}, &characters)) {
        return false;
    }
    *result = value_text(text_strip(&subject->text, set == NULL ? NULL : &characters.bytes, left, right));
    return run_step(r, subject->text.bytes.length / 16);
}

static bool method_strip(run *r, const value *subject, const value *const given[], value *result) {
    return strip(r, subject, given[0], true, true, result);
}

static bool method_lstrip(run *r, const value *subject, const value *const given[], value *result) {
    return strip(r, subject, given[0], true, false, result);
}

static bool method_rstrip(run *r, const value *subject, const value *const given[], value *result) {
    return strip(r, subject, given[0], false, true, result);
}

/* At runs of whitespace. */
static bool split_spaces(parts *p, const text *t, int64_t limit) {
    text rest = text_strip(t, NULL, true, false);
    while (rest.bytes.length > 0) {
        size_t end = 0;
        while (end < rest.bytes.length && text_space_at_start(slice_after(rest.bytes, end)) == 0) {
            end += text_character_size(slice_after(rest.bytes, end));
        }
        end = limit == 0 ? rest.bytes.length : end;
        if (!add(p, text_part(&rest, 0, end))) {
            return false;
        }
        limit -= limit > 0 ? 1 : 0;
        rest = text_part(&rest, end, SIZE_MAX);
        rest = text_strip(&rest, NULL, true, false);
    }
    return true;
}

static bool split_text(parts *p, const text *t, slice separator, int64_t limit) {
    size_t at = 0;
    for (; limit != 0; limit -= limit > 0 ? 1 : 0) {
        size_t found = slice_find_slice(slice_after(t->bytes, at), separator);
        if (found == SIZE_MAX) {
            break;
        }
        if (!add(p, text_part(t, at, found))) {
            return false;
        }
        at += found + separator.length;
    }
    return add(p, text_part(t, at, SIZE_MAX));
}

/* The last place before `end` where the separator stands, or SIZE_MAX. */
static size_t find_last(slice bytes, size_t end, slice separator) {
    for (size_t at = end < separator.length ? 0 : end - separator.length + 1; at-- > 0;) {
        if (slice_starts_with(slice_after(bytes, at), separator)) {
            return at;
        }
    }
    return SIZE_MAX;
}

/* Of find_last, which compares at each place. */
static size_t search_cost(slice bytes, slice separator) {
    return bytes.length / 16 * (1 + separator.length / 16);
}

/* From the end, `limit` times; the parts are put in order afterwards. */
static bool split_text_right(parts *p, const text *t, slice separator, int64_t limit) {
    size_t end = t->bytes.length;
    if (!run_step(p->r, search_cost(t->bytes, separator))) {
        return false;
    }
    for (; limit != 0; limit -= limit > 0 ? 1 : 0) {
        size_t found = find_last(t->bytes, end, separator);
        if (found == SIZE_MAX) {
            break;
        }
        if (!add(p, text_part(t, found + separator.length, end - found - separator.length))) {
            return false;
        }
        end = found;
    }
    if (!add(p, text_part(t, 0, end))) {
        return false;
    }
    for (size_t i = 0; i < p->count / 2; i++) {
        value swapped = p->items[i];
        p->items[i] = p->items[p->count - 1 - i];
        p->items[p->count - 1 - i] = swapped;
    }
    return true;
}

static bool split(run *r, const value *subject, const value *const given[], bool right, value *result) {
    parts p = {.r = r};
    bool spaces = given[0] == NULL || given[0]->kind == VALUE_NONE;
    text separator;
    int64_t limit = 0;
    if (!argument_text(r, spaces ? NULL : given[0], "sep", (slice){NULL, 0}, &separator) ||
        !argument_whole(r, given[1], "maxsplit", -1, &limit)) {
        return false;
    }
    if (!spaces && separator.bytes.length == 0) {
        return run_fail(r, "text is split at an empty separator");
    }
    if (spaces && right && limit >= 0) {
        return run_fail(r, "'rsplit' with a limit takes a separator here");
    }
    bool good = spaces  ? split_spaces(&p, &subject->text, limit)
                : right ? split_text_right(&p, &subject->text, separator.bytes, limit)
                        : split_text(&p, &subject->text, separator.bytes, limit);
    *result = value_list(VALUE_LIST, p.items, p.count);
    return good;
}

static bool method_split(run *r, const value *subject, const value *const given[], value *result) {
    return split(r, subject, given, false, result);
}

static bool method_rsplit(run *r, const value *subject, const value *const given[], value *result) {
    return split(r, subject, given, true, result);
}

static bool method_splitlines(run *r, const value *subject, const value *const given[], value *result) {
    parts p = {.r = r};
    const text *t = &subject->text;
    bool keeps = argument_truth(given[0], false);
    for (size_t at = 0; at < t->bytes.length;) {
        size_t end = at;
        size_t length = 0;
        while (end < t->bytes.length && (length = text_line_end(slice_after(t->bytes, end))) == 0) {
            end++;
        }
        if (!add(&p, text_part(t, at, end - at + (keeps ? length : 0)))) {
            return false;
        }
        at = end + length;
    }
    *result = value_list(VALUE_LIST, p.items, p.count);
    return true;
}

static bool has_affix(slice bytes, slice affix, bool end) {
    if (affix.length > bytes.length) {
        return false;
    }
    return slice_starts_with(end ? slice_after(bytes, bytes.length - affix.length) : bytes, affix) ||
           affix.length == 0;
}

/* One text, or a tuple of which one is enough. */
static bool affix(run *r, const value *subject, const value *given, bool end, value *result) {
    const value *items = given;
    size_t count = given == NULL ? 0 : 1;
    if (given != NULL && given->kind == VALUE_TUPLE) {
        items = given->list.items;
        count = given->list.count;
    }
    *result = value_bool(false);
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != VALUE_TEXT) {
            return run_fail(r, "text begins or ends with text, not with %s", value_type_name(&items[i]));
        }
        result->boolean = result->boolean || has_affix(subject->text.bytes, items[i].text.bytes, end);
    }
    return given != NULL || run_fail(r, "startswith and endswith take a text");
}

static bool method_startswith(run *r, const value *subject, const value *const given[], value *result) {
    return affix(r, subject, given[0], false, result);
}

static bool method_endswith(run *r, const value *subject, const value *const given[], value *result) {
    return affix(r, subject, given[0], true, result);
}

static bool without_affix(run *r, const value *subject, const value *given, bool end, value *result) {
    text part;
    const text *t = &subject->text;
    if (!argument_text(r, given, "affix", (slice){NULL, 0}, &part)) {
        return false;
    }
    size_t cut = has_affix(t->bytes, part.bytes, end) ? part.bytes.length : 0;
    *result = value_text(text_part(t, end ? 0 : cut, t->bytes.length - cut));
    return true;
}

static bool method_removeprefix(run *r, const value *subject, const value *const given[], value *result) {
    return without_affix(r, subject, given[0], false, result);
}

static bool method_removesuffix(run *r, const value *subject, const value *const given[], value *result) {
    return without_affix(r, subject, given[0], true, result);
}

static bool change_case(run *r, const value *subject, letter_case letters, value *result) {
    text changed;
    if (!text_to_case(r, &subject->text, letters, &changed)) {
        return false;
    }
    *result = value_text(changed);
    return true;
}

static bool method_upper(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return change_case(r, subject, CASE_UPPER, result);
}

static bool method_lower(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return change_case(r, subject, CASE_LOWER, result);
}

static bool method_title(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return change_case(r, subject, CASE_TITLE, result);
}

static bool method_capitalize(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return change_case(r, subject, CASE_CAPITALIZED, result);
}

static bool method_replace(run *r, const value *subject, const value *const given[], value *result) {
    text old;
    text new;
    text changed;
    int64_t limit = 0;
    if (given[0] == NULL || given[1] == NULL) {
        return run_fail(r, "'replace' takes what to replace and with what");
    }
    if (!argument_text(r, given[0], "old", (slice){NULL, 0}, &old) ||
        !argument_text(r, given[1], "new", (slice){NULL, 0}, &new) ||
        !argument_whole(r, given[2], "count", -1, &limit) ||
        !text_replace(r, &subject->text, &old, &new, limit, &changed)) {
        return false;
    }
    *result = value_text(changed);
    return true;
}

static bool method_join(run *r, const value *subject, const value *const given[], value *result) {
    const value *items = NULL;
    size_t count = 0;
    text joined;
    if (given[0] == NULL || !value_iterate(r, given[0], &items, &count)) {
        return given[0] != NULL || run_fail(r, "'join' takes a list");
    }
    for (size_t i = 0; i < count; i++) {
        if (items[i].kind != VALUE_TEXT) {
            return run_fail(r, "%s can't be joined to text", value_type_name(&items[i]));
        }
    }
    if (!text_join(r, items, count, &subject->text, &joined)) {
        return false;
    }
    *result = value_text(joined);
    return true;
}

static bool find(run *r, const value *subject, const value *given, bool last, value *result) {
    text wanted;
    slice bytes = subject->text.bytes;
    if (given == NULL || !argument_text(r, given, "sub", (slice){NULL, 0}, &wanted)) {
        return given == NULL ? run_fail(r, "'find' takes a text") : false;
    }
    if (last && !run_step(r, search_cost(bytes, wanted.bytes))) {
        return false;
    }
    size_t at = last ? find_last(bytes, bytes.length, wanted.bytes) : slice_find_slice(bytes, wanted.bytes);
    if (last && wanted.bytes.length == 0) {
        at = bytes.length;
    }
    *result = value_integer(at == SIZE_MAX ? -1 : (int64_t)text_character_count(slice_part(bytes, 0, at)));
    return run_step(r, bytes.length / 16);
}

static bool method_find_text(run *r, const value *subject, const value *const given[], value *result) {
    return find(r, subject, given[0], false, result);
}

static bool method_rfind(run *r, const value *subject, const value *const given[], value *result) {
    return find(r, subject, given[0], true, result);
}

static bool text_count(run *r, const value *subject, const value *const given[], value *result) {
    text wanted;
    slice bytes = subject->text.bytes;
    if (given[0] == NULL || !argument_text(r, given[0], "value", (slice){NULL, 0}, &wanted)) {
        return given[0] == NULL ? run_fail(r, "'count' takes a text") : false;
    }
    size_t count = wanted.bytes.length == 0 ? text_character_count(bytes) + 1 : 0;
    for (size_t at = 0; wanted.bytes.length > 0;) {
        size_t found = slice_find_slice(slice_after(bytes, at), wanted.bytes);
        if (found == SIZE_MAX) {
            break;
        }
        count++;
        at += found + wanted.bytes.length;
    }
    *result = value_integer((int64_t)count);
    return run_step(r, bytes.length / 16);
}

static bool method_isdigit(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    slice bytes = subject->text.bytes;
    *result = value_bool(bytes.length > 0);
    for (size_t i = 0; i < bytes.length; i++) {
        result->boolean = result->boolean && bytes.data[i] >= '0' && bytes.data[i] <= '9';
    }
    return run_step(r, bytes.length / 16);
}

const operation text_methods[] = {
    {.name = "strip", .parameters = {"chars"}, .call = method_strip},
    {.name = "lstrip", .parameters = {"chars"}, .call = method_lstrip},
    {.name = "rstrip", .parameters = {"chars"}, .call = method_rstrip},
    {.name = "split", .parameters = {"sep", "maxsplit"}, .call = method_split},
    {.name = "rsplit", .parameters = {"sep", "maxsplit"}, .call = method_rsplit},
    {.name = "splitlines", .parameters = {"keepends"}, .call = method_splitlines},
    {.name = "startswith", .parameters = {"prefix"}, .call = method_startswith},
    {.name = "endswith", .parameters = {"suffix"}, .call = method_endswith},
    {.name = "removeprefix", .parameters = {"prefix"}, .call = method_removeprefix},
    {.name = "removesuffix", .parameters = {"suffix"}, .call = method_removesuffix},
    {.name = "upper", .call = method_upper},
    {.name = "lower", .call = method_lower},
    {.name = "title", .call = method_title},
    {.name = "capitalize", .call = method_capitalize},
    {.name = "replace", .parameters = {"old", "new", "count"}, .call = method_replace},
    {.name = "join", .parameters = {"iterable"}, .call = method_join},
    {.name = "find", .parameters = {"sub"}, .call = method_find_text},
    {.name = "rfind", .parameters = {"sub"}, .call = method_rfind},
    {.name = "count", .parameters = {"value"}, .call = text_count},
    {.name = "isdigit", .call = method_isdigit},
    {.name = NULL},
};

/* 0: keys, 1: values, 2: pairs of both. */
static bool view(run *r, const dict *d, int what, value *result) {
    value *items = run_allocate(r, d->count, sizeof *items);
    value *pairs = what == 2 && items != NULL ? run_allocate(r, d->count, 2 * sizeof *pairs) : NULL;
    if (items == NULL || (what == 2 && pairs == NULL) || !run_step(r, d->count)) {
        return false;
    }
    for (size_t i = 0; i < d->count; i++) {
        if (what == 2) {
            pairs[2 * i] = d->entries[i].key;
            pairs[2 * i + 1] = d->entries[i].value;
            items[i] = value_list(VALUE_TUPLE, pairs + 2 * i, 2);
        } else {
            items[i] = what == 0 ? d->entries[i].key : d->entries[i].value;
        }
    }
    *result = value_list(VALUE_VIEW, items, d->count);
    return true;
}

static bool method_keys(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return view(r, subject->dict, 0, result);
}

static bool method_values(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return view(r, subject->dict, 1, result);
}

static bool method_items(run *r, const value *subject, const value *const given[], value *result) {
    (void)given;
    return view(r, subject->dict, 2, result);
}

static bool method_get(run *r, const value *subject, const value *const given[], value *result) {
    const value *found = NULL;
    if (given[0] == NULL) {
        return run_fail(r, "'get' takes a key");
    }
    bool good = dict_find(r, subject->dict, given[0], &found);
    found = found != NULL ? found : given[1];
    *result = found == NULL ? (value){.kind = VALUE_NONE} : *found;
    return good;
}

const operation dict_methods[] = {
    {.name = "keys", .call = method_keys},
    {.name = "values", .call = method_values},
    {.name = "items", .call = method_items},
    {.name = "get", .parameters = {"key", "default"}, .call = method_get},
    {.name = NULL},
};

static bool list_index(run *r, const value *subject, const value *const given[], value *result) {
    for (size_t i = 0; given[0] != NULL && i < subject->list.count; i++) {
        bool equal = false;
        if (!value_equal(r, &subject->list.items[i], given[0], &equal)) {
            return false;
        }
        if (equal) {
            *result = value_integer((int64_t)i);
            return true;
        }
    }
    return run_fail(r, "'index' doesn't find the value in the list");
}

static bool list_count(run *r, const value *subject, const value *const given[], value *result) {
    int64_t count = 0;
    for (size_t i = 0; given[0] != NULL && i < subject->list.count; i++) {
        bool equal = false;
        if (!value_equal(r, &subject->list.items[i], given[0], &equal)) {
            return false;
        }
        count += equal ? 1 : 0;
    }
    *result = value_integer(count);
    return given[0] != NULL || run_fail(r, "'count' takes a value");
}

const operation list_methods[] = {
    {.name = "index", .parameters = {"value"}, .call = list_index},
    {.name = "count", .parameters = {"value"}, .call = list_count},
    {.name = NULL},
};

static bool loop_cycle(run *r, const value *subject, const arguments *given, value *result) {
    if (given->count == 0) {
        return run_fail(r, "'cycle' takes what it goes round");
    }
    *result = given->items[subject->loop->index % given->count];
    return true;
}

const operation loop_methods[] = {
    {.name = "cycle", .call_any = loop_cycle},
    {.name = NULL},
};
