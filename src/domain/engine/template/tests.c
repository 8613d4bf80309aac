#include "operation.h"

/* What stands behind `is`. */

#define KIND_TEST(name, condition)                                                                           \
    static bool is_##name(run *r, const value *v, const value *const given[], value *result) {               \
        (void)r;                                                                                             \
        (void)given;                                                                                         \
        *result = value_bool(condition);                                                                     \
        return true;                                                                                         \
    }

KIND_TEST(defined, v->kind != VALUE_UNDEFINED)
KIND_TEST(undefined, v->kind == VALUE_UNDEFINED)
KIND_TEST(none, v->kind == VALUE_NONE)
KIND_TEST(boolean, v->kind == VALUE_BOOL)
KIND_TEST(true, v->kind == VALUE_BOOL && v->boolean)
KIND_TEST(false, v->kind == VALUE_BOOL && !v->boolean)
KIND_TEST(integer, v->kind == VALUE_INTEGER)
KIND_TEST(float, v->kind == VALUE_FLOAT)
KIND_TEST(number, value_is_number(v))
KIND_TEST(string, v->kind == VALUE_TEXT)
KIND_TEST(mapping, v->kind == VALUE_DICT)
KIND_TEST(callable, v->kind == VALUE_MACRO || v->kind == VALUE_FUNCTION || v->kind == VALUE_METHOD)
KIND_TEST(sequence, v->kind == VALUE_UNDEFINED || v->kind == VALUE_TEXT || v->kind == VALUE_LIST ||
                        v->kind == VALUE_TUPLE || v->kind == VALUE_DICT)
KIND_TEST(iterable,
          v->kind == VALUE_UNDEFINED || v->kind == VALUE_TEXT || v->kind == VALUE_DICT || value_is_list(v))

static bool whole(run *r, const value *v, const char *test, int64_t *number) {
    *number = value_is_whole(v) ? value_whole(v) : 0;
    return value_is_whole(v) || run_fail(r, "%s is neither %s nor not", value_type_name(v), test);
}

static bool is_odd(run *r, const value *v, const value *const given[], value *result) {
    (void)given;
    int64_t number = 0;
    bool good = whole(r, v, "odd", &number);
    *result = value_bool(number % 2 != 0);
    return good;
}

static bool is_even(run *r, const value *v, const value *const given[], value *result) {
    (void)given;
    int64_t number = 0;
    bool good = whole(r, v, "even", &number);
    *result = value_bool(number % 2 == 0);
    return good;
}

static bool is_divisibleby(run *r, const value *v, const value *const given[], value *result) {
    int64_t number = 0;
    int64_t by = 0;
    if (!whole(r, v, "divisible", &number) || !argument_whole(r, given[0], "num", 0, &by)) {
        return false;
    }
    *result = value_bool(by == -1 || (by != 0 && number % by == 0));
    return by != 0 || run_fail(r, "'divisibleby' takes a number other than 0");
}

/* Whether changing the case leaves it as it is, with one letter at least. */
static bool in_case(run *r, const value *v, bool upper, value *result) {
    text t;
    bool letters = false;
    bool all = true;
    if (!value_to_text(r, v, &t)) {
        return false;
    }
    for (size_t i = 0; i < t.bytes.length; i++) {
        uint8_t c = t.bytes.data[i];
        bool large = c >= 'A' && c <= 'Z';
        bool small = c >= 'a' && c <= 'z';
        letters = letters || large || small;
        all = all && !(upper ? small : large);
    }
    *result = value_bool(letters && all);
    return run_step(r, t.bytes.length / 16);
}

static bool is_lower(run *r, const value *v, const value *const given[], value *result) {
    (void)given;
    return in_case(r, v, false, result);
}

static bool is_upper(run *r, const value *v, const value *const given[], value *result) {
    (void)given;
    return in_case(r, v, true, result);
}

static bool equal_to(run *r, const value *v, const value *other, bool wanted, value *result) {
    bool equal = false;
    if (other == NULL || !value_equal(r, v, other, &equal)) {
        return other == NULL ? run_fail(r, "a test takes what to compare with") : false;
    }
    *result = value_bool(equal == wanted);
    return true;
}

static bool is_eq(run *r, const value *v, const value *const given[], value *result) {
    return equal_to(r, v, given[0], true, result);
}

static bool is_ne(run *r, const value *v, const value *const given[], value *result) {
    return equal_to(r, v, given[0], false, result);
}

/* Of the same kind and equal: for the constants that it is used with. */
static bool is_sameas(run *r, const value *v, const value *const given[], value *result) {
    bool good = equal_to(r, v, given[0], true, result);
    result->boolean = good && result->boolean && v->kind == given[0]->kind;
    return good;
}

static bool is_in(run *r, const value *v, const value *const given[], value *result) {
    bool there = false;
    if (given[0] == NULL || !value_contains(r, given[0], v, &there)) {
        return given[0] == NULL ? run_fail(r, "'in' takes where to look") : false;
    }
    *result = value_bool(there);
    return true;
}

static bool ordered(run *r, const value *v, const value *other, int *order) {
    *order = 0;
    return other == NULL ? run_fail(r, "a test takes what to compare with") : value_order(r, v, other, order);
}

#define ORDER_TEST(name, condition)                                                                          \
    static bool is_##name(run *r, const value *v, const value *const given[], value *result) {               \
        int order = 0;                                                                                       \
        bool good = ordered(r, v, given[0], &order);                                                         \
        *result = value_bool(condition);                                                                     \
        return good;                                                                                         \
    }

ORDER_TEST(gt, order > 0)
ORDER_TEST(ge, order >= 0)
ORDER_TEST(lt, order < 0)
ORDER_TEST(le, order <= 0)

static bool is_filter(run *r, const value *v, const value *const given[], value *result) {
    (void)r;
    (void)given;
    *result = value_bool(v->kind == VALUE_TEXT && filter_find(v->text.bytes) != NULL);
    return true;
}

static bool is_test(run *r, const value *v, const value *const given[], value *result) {
    (void)r;
    (void)given;
    *result = value_bool(v->kind == VALUE_TEXT && test_find(v->text.bytes) != NULL);
    return true;
}

const operation tests[] = {
    {.name = "defined", .call = is_defined},
    {.name = "undefined", .call = is_undefined},
    {.name = "none", .call = is_none},
    {.name = "boolean", .call = is_boolean},
    {.name = "true", .call = is_true},
    {.name = "false", .call = is_false},
    {.name = "integer", .call = is_integer},
    {.name = "float", .call = is_float},
    {.name = "number", .call = is_number},
    {.name = "string", .call = is_string},
    {.name = "mapping", .call = is_mapping},
    {.name = "callable", .call = is_callable},
    {.name = "sequence", .call = is_sequence},
    {.name = "iterable", .call = is_iterable},
    {.name = "odd", .call = is_odd},
    {.name = "even", .call = is_even},
    {.name = "divisibleby", .parameters = {"num"}, .call = is_divisibleby},
    {.name = "lower", .call = is_lower},
    {.name = "upper", .call = is_upper},
    {.name = "eq", .parameters = {"other"}, .call = is_eq},
    {.name = "equalto", .parameters = {"other"}, .call = is_eq},
    {.name = "==", .parameters = {"other"}, .call = is_eq},
    {.name = "ne", .parameters = {"other"}, .call = is_ne},
    {.name = "!=", .parameters = {"other"}, .call = is_ne},
    {.name = "sameas", .parameters = {"other"}, .call = is_sameas},
    {.name = "in", .parameters = {"seq"}, .call = is_in},
    {.name = "gt", .parameters = {"other"}, .call = is_gt},
    {.name = "greaterthan", .parameters = {"other"}, .call = is_gt},
    {.name = ">", .parameters = {"other"}, .call = is_gt},
    {.name = "ge", .parameters = {"other"}, .call = is_ge},
    {.name = ">=", .parameters = {"other"}, .call = is_ge},
    {.name = "lt", .parameters = {"other"}, .call = is_lt},
    {.name = "lessthan", .parameters = {"other"}, .call = is_lt},
    {.name = "<", .parameters = {"other"}, .call = is_lt},
    {.name = "le", .parameters = {"other"}, .call = is_le},
    {.name = "<=", .parameters = {"other"}, .call = is_le},
    {.name = "filter", .call = is_filter},
    {.name = "test", .call = is_test},
    {.name = NULL},
};
