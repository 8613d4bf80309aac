#include "auth/scim.h"

#include "codec/json.h"

enum { BODY_SIZE = 65536, BODY_DEPTH = 16, BODY_VALUES = 4096, VALUE_MAX = 255, QUOTED_MAX = 2048 };

static const json_limits limits = {.size = BODY_SIZE, .depth = BODY_DEPTH, .values = BODY_VALUES};

/* Attribute names are compared without case (RFC 7643 §2.1). Two that differ in case alone are refused. */
static bool find_member(const json_value *object, const char *name, const json_value **found, error *err) {
    const json_value *value = NULL;
    *found = NULL;
    for (const char *member = NULL; json_next_member(object, &member, &value);) {
        if (!slice_equal_ignore_case(slice_of_text(member), slice_of_text(name))) {
            continue;
        }
        if (*found != NULL) {
            return error_set(err, ERROR_INVALID, "\"%s\" stands there twice", name);
        }
        *found = value;
    }
    return true;
}

static bool read_active(const json_value *value, auth_scim_active *active, error *err) {
    slice text = json_text_of(value);
    bool is_text = json_kind_of(value) == JSON_KIND_TEXT;
    if (json_kind_of(value) == JSON_KIND_BOOL) {
        *active = json_to_bool(value) ? AUTH_SCIM_ACTIVE : AUTH_SCIM_INACTIVE;
    } else if (is_text && slice_equal_ignore_case(text, SLICE_LITERAL("true"))) {
        *active = AUTH_SCIM_ACTIVE;
    } else if (is_text && slice_equal_ignore_case(text, SLICE_LITERAL("false"))) {
        *active = AUTH_SCIM_INACTIVE;
    } else {
        return error_set(err, ERROR_INVALID, "\"active\" must be true or false");
    }
    return true;
}

static bool read_active_of(const json_value *object, auth_scim_active *active, error *err) {
    const json_value *value = NULL;
    return find_member(object, "active", &value, err) && (value == NULL || read_active(value, active, err));
}

static bool is_path_of_active(slice path) {
    return slice_equal_ignore_case(path, SLICE_LITERAL("active")) ||
           slice_equal_ignore_case(path, SLICE_LITERAL("urn:ietf:params:scim:schemas:core:2.0:User:active"));
}

static bool read_operation(const json_value *operation, auth_scim_active *active, error *err) {
    const json_value *op = NULL;
    const json_value *path = NULL;
    const json_value *value = NULL;
    if (json_kind_of(operation) != JSON_KIND_OBJECT) {
        return error_set(err, ERROR_INVALID, "an operation must be an object");
    }
    if (!find_member(operation, "op", &op, err) || !find_member(operation, "path", &path, err) ||
        !find_member(operation, "value", &value, err)) {
        return false;
    }
    slice name = json_text_of(op);
    bool sets = slice_equal_ignore_case(name, SLICE_LITERAL("replace")) ||
                slice_equal_ignore_case(name, SLICE_LITERAL("add"));
    if (!sets && !slice_equal_ignore_case(name, SLICE_LITERAL("remove"))) {
        return error_set(err, ERROR_INVALID, "\"op\" must be add, replace or remove");
    }
    if (path != NULL && json_kind_of(path) != JSON_KIND_TEXT) {
        return error_set(err, ERROR_INVALID, "\"path\" must be a text");
    }
    if (path == NULL) {
        return !sets || read_active_of(value, active, err);
    }
    if (!is_path_of_active(json_text_of(path))) {
        return true;
    }
    return sets ? read_active(value, active, err)
                : error_set(err, ERROR_INVALID, "\"active\" can't be removed: say false");
}

bool auth_scim_read_patch(slice json, auth_scim_active *active, error *err) {
    const json_value *operations = NULL;
    *active = AUTH_SCIM_UNSAID;
    json_value *root = json_parse(json, limits, err);
    bool read = root != NULL && find_member(root, "Operations", &operations, err);
    if (read && (json_kind_of(operations) != JSON_KIND_ARRAY || json_count(operations) == 0)) {
        read = error_set(err, ERROR_INVALID, "\"Operations\" must be an array with something in it");
    }
    for (size_t i = 0; read && i < json_count(operations); i++) {
        read = read_operation(json_at(operations, i), active, err);
    }
    json_free(root);
    return read;
}

bool auth_scim_read_resource(slice json, auth_scim_active *active, error *err) {
    *active = AUTH_SCIM_UNSAID;
    json_value *root = json_parse(json, limits, err);
    bool read = root != NULL && (json_kind_of(root) == JSON_KIND_OBJECT ||
                                 error_set(err, ERROR_INVALID, "the body must be a JSON object"));
    read = read && read_active_of(root, active, err);
    json_free(root);
    return read;
}

static bool not_a_filter(error *err) {
    return error_set(err, ERROR_INVALID, "a filter is userName eq \"…\" or externalId eq \"…\"");
}

/* The text of the JSON string that is all of `quoted`: read as the only element of an array. */
static bool read_quoted(slice quoted, arena *a, slice *value, error *err) {
    uint8_t *array = quoted.length <= QUOTED_MAX ? arena_allocate(a, quoted.length + 2) : NULL;
    if (array == NULL) {
        return quoted.length <= QUOTED_MAX ? error_memory(err) : not_a_filter(err);
    }
    array[0] = '[';
    memcpy(array + 1, quoted.data, quoted.length);
    array[quoted.length + 1] = ']';
    json_value *root = json_parse(slice_of(array, quoted.length + 2), limits, err);
    if (root == NULL) {
        return err->code == ERROR_MEMORY ? false : not_a_filter(err);
    }
    slice text = json_count(root) == 1 ? json_text_of(json_at(root, 0)) : (slice){NULL, 0};
    bool fits = text.length > 0 && text.length <= VALUE_MAX;
    bool copied = fits && arena_copy(a, text, value);
    json_free(root);
    return copied || (fits ? error_memory(err) : not_a_filter(err));
}

static void lower(slice text) {
    uint8_t *bytes = (uint8_t *)(uintptr_t)text.data; /* our own copy */
    for (size_t i = 0; i < text.length; i++) {
        bytes[i] = bytes[i] >= 'A' && bytes[i] <= 'Z' ? (uint8_t)(bytes[i] + ('a' - 'A')) : bytes[i];
    }
}

bool auth_scim_read_filter(slice text, arena *a, auth_scim_filter *filter, error *err) {
    *filter = (auth_scim_filter){{NULL, 0}, {NULL, 0}};
    text = slice_trim(text);
    if (text.length == 0) {
        return true;
    }
    size_t first = slice_find(text, ' ');
    slice attribute = slice_part(text, 0, first);
    slice rest = first == SIZE_MAX ? (slice){NULL, 0} : slice_trim(slice_after(text, first));
    size_t second = slice_find(rest, ' ');
    if (second == SIZE_MAX || !slice_equal_ignore_case(slice_part(rest, 0, second), SLICE_LITERAL("eq"))) {
        return not_a_filter(err);
    }
    bool by_name = slice_equal_ignore_case(attribute, SLICE_LITERAL("userName"));
    if (!by_name && !slice_equal_ignore_case(attribute, SLICE_LITERAL("externalId"))) {
        return not_a_filter(err);
    }
    if (!read_quoted(slice_trim(slice_after(rest, second)), a,
                     by_name ? &filter->user_name : &filter->external_id, err)) {
        return false;
    }
    lower(filter->user_name);
    return true;
}
