#include "base/buffer.h"
#include "codec/base64.h"
#include "codec/json.h"

#include <jansson.h>
#include <math.h>

/* Each getter comes in two forms over one reader: the reader checks and converts a value that is there. */

static bool missing(const char *name, const char *kind, error *err) {
    return error_set(err, ERROR_INVALID, "\"%s\" is missing: it must be %s", name, kind);
}

static bool wrong(const char *name, const char *kind, error *err) {
    return error_set(err, ERROR_INVALID, "\"%s\" must be %s", name, kind);
}

/* NULL if absent or null. */
static const json_t *find(const json_value *object, const char *name) {
    const json_t *value = json_object_get(object, name);
    return json_is_null(value) ? NULL : value;
}

static const char a_text[] = "a string";

static bool read_text(const json_t *member, const char *name, slice *value, error *err) {
    if (!json_is_string(member)) {
        return wrong(name, a_text, err);
    }
    *value = json_text_of(member);
    return true;
}

bool json_get_text(const json_value *object, const char *name, slice *value, error *err) {
    const json_t *member = find(object, name);
    return member == NULL ? missing(name, a_text, err) : read_text(member, name, value, err);
}

bool json_get_text_or(const json_value *object, const char *name, slice fallback, slice *value, error *err) {
    const json_t *member = find(object, name);
    *value = fallback;
    return member == NULL || read_text(member, name, value, err);
}

/* 2^53: beyond it a double no longer stands for one integer. */
static const double largest_exact = 9007199254740992.0;

static bool to_u64(const json_t *member, uint64_t *value) {
    if (json_is_integer(member)) {
        json_int_t number = json_integer_value(member);
        *value = number < 0 ? 0 : (uint64_t)number;
        return number >= 0;
    }
    double number = json_real_value(member); /* 0 if it is no number */
    bool whole = json_is_real(member) && number >= 0 && number <= largest_exact && floor(number) == number;
    *value = whole ? (uint64_t)number : 0;
    return whole;
}

bool json_to_u64(const json_value *value, uint64_t least, uint64_t most, uint64_t *number) {
    return to_u64(value, number) && *number >= least && *number <= most;
}

static bool read_u64(const json_t *member, const char *name, uint64_t least, uint64_t most, uint64_t *value,
                     error *err) {
    uint64_t number = 0;
    if (!to_u64(member, &number) || number < least || number > most) {
        return error_set(err, ERROR_INVALID, "\"%s\" must be an integer from %llu to %llu", name,
                         (unsigned long long)least, (unsigned long long)most);
    }
    *value = number;
    return true;
}

bool json_get_u64(const json_value *object, const char *name, uint64_t least, uint64_t most, uint64_t *value,
                  error *err) {
    const json_t *member = find(object, name);
    return member == NULL ? missing(name, "an integer", err)
                          : read_u64(member, name, least, most, value, err);
}

bool json_get_u64_or(const json_value *object, const char *name, uint64_t least, uint64_t most,
                     uint64_t fallback, uint64_t *value, error *err) {
    const json_t *member = find(object, name);
    *value = fallback;
    return member == NULL || read_u64(member, name, least, most, value, err);
}

static bool read_double(const json_t *member, const char *name, double least, double most, double *value,
                        error *err) {
    double number = json_number_value(member);
    if (!json_is_number(member) || !(number >= least && number <= most)) {
        return error_set(err, ERROR_INVALID, "\"%s\" must be a number from %g to %g", name, least, most);
    }
    *value = number;
    return true;
}

bool json_get_double(const json_value *object, const char *name, double least, double most, double *value,
                     error *err) {
    const json_t *member = find(object, name);
    return member == NULL ? missing(name, "a number", err)
                          : read_double(member, name, least, most, value, err);
}

bool json_get_double_or(const json_value *object, const char *name, double least, double most,
                        double fallback, double *value, error *err) {
    const json_t *member = find(object, name);
    *value = fallback;
    return member == NULL || read_double(member, name, least, most, value, err);
}

static const char a_bool[] = "true or false";

static bool read_bool(const json_t *member, const char *name, bool *value, error *err) {
    if (!json_is_boolean(member)) {
        return wrong(name, a_bool, err);
    }
    *value = json_is_true(member);
    return true;
}

bool json_get_bool(const json_value *object, const char *name, bool *value, error *err) {
    const json_t *member = find(object, name);
    return member == NULL ? missing(name, a_bool, err) : read_bool(member, name, value, err);
}

bool json_get_bool_or(const json_value *object, const char *name, bool fallback, bool *value, error *err) {
    const json_t *member = find(object, name);
    *value = fallback;
    return member == NULL || read_bool(member, name, value, err);
}

static const char an_array[] = "an array";
static const char an_object[] = "an object";

bool json_get_array(const json_value *object, const char *name, const json_value **value, error *err) {
    return json_get_array_or(object, name, value, err) && (*value != NULL || missing(name, an_array, err));
}

bool json_get_array_or(const json_value *object, const char *name, const json_value **value, error *err) {
    const json_t *member = find(object, name);
    *value = json_is_array(member) ? member : NULL;
    return member == NULL || *value != NULL || wrong(name, an_array, err);
}

bool json_get_object(const json_value *object, const char *name, const json_value **value, error *err) {
    return json_get_object_or(object, name, value, err) && (*value != NULL || missing(name, an_object, err));
}

bool json_get_object_or(const json_value *object, const char *name, const json_value **value, error *err) {
    const json_t *member = find(object, name);
    *value = json_is_object(member) ? member : NULL;
    return member == NULL || *value != NULL || wrong(name, an_object, err);
}

bool json_get_bytes(const json_value *object, const char *name, uint8_t *bytes, size_t length, error *err) {
    slice text = {0};
    if (!json_get_text(object, name, &text, err)) {
        return false;
    }
    return base64url_decode_exact(text, bytes, length) ||
           error_set(err, ERROR_INVALID, "\"%s\" must be %zu bytes in base64url without padding", name,
                     length);
}

bool json_get_u64_text(const json_value *object, const char *name, uint64_t *value, error *err) {
    slice text = {0};
    return json_get_text(object, name, &text, err) &&
           (slice_to_u64(text, value) || wrong(name, "a decimal number from 0 to 2^64-1 in a string", err));
}
