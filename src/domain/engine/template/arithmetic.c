#include "evaluate.h"

#include <math.h>

/* Operators as in Python, on 64-bit integers, floats, text and lists. */

static bool overflow(run *r) {
    return run_limit(r, "digits of a number");
}

static bool power(run *r, int64_t base, int64_t exponent, value *result) {
    int64_t product = 1;
    if (exponent < 0) {
        return run_fail(r, "the operator ** takes whole numbers, the second not negative");
    }
    for (; exponent > 0; exponent--) {
        if (__builtin_mul_overflow(product, base, &product)) {
            return overflow(r);
        }
        if (product == 0 || (product == 1 && base == 1)) {
            break;
        }
        if (!run_step(r, 1)) {
            return false;
        }
    }
    *result = value_integer(product);
    return true;
}

/* Rounds down, as Python does; the remainder has the divisor's sign. */
static bool divide_whole(run *r, int64_t a, int64_t b, bool remainder, value *result) {
    if (b == 0) {
        return run_fail(r, "a number is divided by 0");
    }
    if (b == -1) {
        *result = value_integer(0);
        return remainder || !__builtin_sub_overflow(0, a, &result->integer) || overflow(r);
    }
    bool down = a % b != 0 && (a % b < 0) != (b < 0);
    *result = value_integer(remainder ? a % b + (down ? b : 0) : a / b - (down ? 1 : 0));
    return true;
}

static bool whole_binary(run *r, operator_kind sign, int64_t a, int64_t b, value *result) {
    int64_t number = 0;
    bool over = false;
    switch (sign) {
    case OPERATOR_ADD:
        over = __builtin_add_overflow(a, b, &number);
        break;
    case OPERATOR_SUBTRACT:
        over = __builtin_sub_overflow(a, b, &number);
        break;
    case OPERATOR_MULTIPLY:
        over = __builtin_mul_overflow(a, b, &number);
        break;
    case OPERATOR_DIVIDE:
        *result = value_float(b == 0 ? 0 : (double)a / (double)b);
        return b != 0 || run_fail(r, "a number is divided by 0");
    case OPERATOR_POWER:
        return power(r, a, b, result);
    default:
        return divide_whole(r, a, b, sign == OPERATOR_MODULO, result);
    }
    *result = value_integer(number);
    return !over || overflow(r);
}

static bool float_binary(run *r, operator_kind sign, double a, double b, value *result) {
    bool divides = sign == OPERATOR_DIVIDE || sign == OPERATOR_FLOOR || sign == OPERATOR_MODULO;
    if (divides && b == 0) {
        return run_fail(r, "a number is divided by 0");
    }
    switch (sign) {
    case OPERATOR_ADD:
        *result = value_float(a + b);
        return true;
    case OPERATOR_SUBTRACT:
        *result = value_float(a - b);
        return true;
    case OPERATOR_MULTIPLY:
        *result = value_float(a * b);
        return true;
    case OPERATOR_DIVIDE:
        *result = value_float(a / b);
        return true;
    default:
        return run_fail(r, "the operators **, // and %% take whole numbers");
    }
}

static bool add_texts(run *r, const value *a, const value *b, value *result) {
    text t;
    text_builder builder = run_builder(r);
    if (!value_print(r, a, &builder) || !value_print(r, b, &builder) || !run_built(r, &builder, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

static bool add_lists(run *r, const value *a, const value *b, value *result) {
    size_t count = a->list.count + b->list.count;
    value *items = run_allocate(r, count, sizeof *items);
    if (items == NULL || !run_step(r, count)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        items[i] = i < a->list.count ? a->list.items[i] : b->list.items[i - a->list.count];
    }
    *result = value_list(a->kind, items, count);
    return true;
}

static bool repeat_text(run *r, const text *t, int64_t times, value *result) {
    text_builder b = run_builder(r);
    text repeated;
    for (int64_t i = 0; i < times && t->bytes.length > 0 && !b.failed; i++) {
        text_append(&b, t);
        if (!run_step(r, 1)) {
            return false;
        }
    }
    if (!run_built(r, &b, &repeated)) {
        return false;
    }
    *result = value_text(repeated);
    return true;
}

static bool repeat_list(run *r, const value *list, int64_t times, value *result) {
    size_t count = 0;
    times = times < 0 ? 0 : times;
    if (__builtin_mul_overflow(list->list.count, (size_t)times, &count) || !run_step(r, count)) {
        return run_limit(r, "values");
    }
    value *items = run_allocate(r, count, sizeof *items);
    for (size_t i = 0; items != NULL && i < count; i++) {
        items[i] = list->list.items[i % list->list.count];
    }
    *result = value_list(list->kind, items, count);
    return items != NULL;
}

static bool has_elements(const value *v) {
    return v->kind == VALUE_LIST || v->kind == VALUE_TUPLE;
}

/* A tool call's arguments are text where the template adds them to text. */
static bool is_spelled(const value *v) {
    return v->kind == VALUE_DICT && v->dict->spelling.length > 0;
}

static bool undefined_operand(run *r, const value *a, const value *b) {
    const value *undefined = a->kind == VALUE_UNDEFINED ? a : b;
    return run_fail(r, "'%.*s' is undefined", SLICE_FORMAT(slice_part(undefined->name, 0, 64)));
}

bool value_binary(run *r, operator_kind sign, const value *a, const value *b, value *result) {
    if (a->kind == VALUE_UNDEFINED || b->kind == VALUE_UNDEFINED) {
        return undefined_operand(r, a, b);
    }
    if (value_is_whole(a) && value_is_whole(b)) {
        return whole_binary(r, sign, value_whole(a), value_whole(b), result);
    }
    if (value_is_number(a) && value_is_number(b)) {
        return float_binary(r, sign, value_number(a), value_number(b), result);
    }
    bool texts = a->kind == VALUE_TEXT || b->kind == VALUE_TEXT;
    if (sign == OPERATOR_ADD && texts && (a->kind == VALUE_TEXT || is_spelled(a)) &&
        (b->kind == VALUE_TEXT || is_spelled(b))) {
        return add_texts(r, a, b, result);
    }
    if (sign == OPERATOR_ADD && has_elements(a) && a->kind == b->kind) {
        return add_lists(r, a, b, result);
    }
    if (sign == OPERATOR_MULTIPLY && (value_is_whole(a) || value_is_whole(b))) {
        const value *repeated = value_is_whole(a) ? b : a;
        int64_t times = value_whole(value_is_whole(a) ? a : b);
        if (repeated->kind == VALUE_TEXT) {
            return repeat_text(r, &repeated->text, times, result);
        }
        if (has_elements(repeated)) {
            return repeat_list(r, repeated, times, result);
        }
    }
    return run_fail(r, "an operator doesn't take %s and %s", value_type_name(a), value_type_name(b));
}

/* A bound as Python's slices have it: from the end if negative, cut to what is there. */
static bool bound(run *r, const value *given, int64_t count, int64_t least, int64_t most, int64_t fallback,
                  int64_t *at) {
    if (!argument_whole(r, given, "slice", fallback, at)) {
        return false;
    }
    if (given != NULL && *at < 0) {
        *at += count;
    }
    *at = *at < least ? least : *at > most ? most : *at;
    return true;
}

static bool slice_items(run *r, const value *object, int64_t from, int64_t count, int64_t step,
                        value *result) {
    const value *items = NULL;
    size_t ignored = 0;
    if (!value_iterate(r, object, &items, &ignored)) {
        return false;
    }
    value *chosen = step == 1 ? NULL : run_allocate(r, (size_t)count, sizeof *chosen);
    if (step == 1) {
        *result = value_list(object->kind, items + from, (size_t)count);
        return true;
    }
    for (int64_t i = 0; chosen != NULL && i < count; i++) {
        chosen[i] = items[from + i * step];
    }
    *result = value_list(object->kind, chosen, (size_t)count);
    return chosen != NULL && run_step(r, (size_t)count);
}

static bool slice_text(run *r, const value *object, int64_t from, int64_t count, int64_t step,
                       value *result) {
    text t;
    if (step == 1) {
        size_t start = 0;
        size_t end = 0;
        for (int64_t i = 0; i < from + count; i++) {
            start = i == from ? end : start;
            end += text_character_size(slice_after(object->text.bytes, end));
        }
        *result = value_text(text_part(&object->text, count == 0 ? 0 : start, count == 0 ? 0 : end - start));
        return run_step(r, end / 16);
    }
    value characters;
    text nothing = text_trusted((slice){NULL, 0});
    if (!slice_items(r, object, from, count, step, &characters) ||
        !text_join(r, characters.list.items, characters.list.count, &nothing, &t)) {
        return false;
    }
    *result = value_text(t);
    return true;
}

bool value_slice(run *r, const value *object, const value *from, const value *to, const value *step,
                 value *result) {
    size_t size = 0;
    int64_t stride = 1;
    int64_t start = 0;
    int64_t end = 0;
    if (object->kind == VALUE_UNDEFINED) {
        return undefined_operand(r, object, object);
    }
    if (object->kind != VALUE_TEXT && !has_elements(object)) {
        return run_fail(r, "%s can't be sliced", value_type_name(object));
    }
    if (!value_count(r, object, &size) || !argument_whole(r, step, "step", 1, &stride)) {
        return false;
    }
    if (stride == 0 || stride == INT64_MIN) {
        return run_fail(r, "a slice has a step of 0");
    }
    int64_t count = (int64_t)size;
    int64_t least = stride > 0 ? 0 : -1;
    int64_t most = stride > 0 ? count : count - 1;
    if (!bound(r, from, count, least, most, stride > 0 ? 0 : count - 1, &start) ||
        !bound(r, to, count, least, most, stride > 0 ? count : -1, &end)) {
        return false;
    }
    int64_t reach = stride > 0 ? end - start : start - end;
    int64_t length = stride > 0 ? stride : -stride;
    int64_t taken = reach <= 0 ? 0 : (reach - 1) / length + 1;
    start = taken == 0 ? 0 : start;
    return object->kind == VALUE_TEXT ? slice_text(r, object, start, taken, stride, result)
                                      : slice_items(r, object, start, taken, stride, result);
}
