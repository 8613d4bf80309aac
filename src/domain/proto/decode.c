#include "schema_internal.h"

#include "codec/json.h"
#include "crypto/hash.h"

/* An answer to be scored has the most values. */
enum { DEPTH_MAX = 8, VALUES_MAX = PROTO_ANSWER_MAX + 32768 };

static bool read_fields(const json_value *object, const schema *s, uint8_t *place, arena *a, error *err);

static bool wrong(const field *f, const char *what, error *err) {
    return error_set(err, ERROR_INVALID, "\"%s\" must be %s", f->name == NULL ? "an element" : f->name, what);
}

static bool read_hex(const json_value *object, const field *f, uint8_t *place, error *err) {
    slice text;
    return json_get_text(object, f->name, &text, err) &&
           (hex_decode(text, place, (size_t)f->most) ||
            wrong(f, "lower-case hexadecimal of its length", err));
}

static bool take_text(const field *f, slice text, void *place, arena *a, error *err) {
    if (!proto_text_is_good(f, text)) {
        return error_set(err, ERROR_INVALID, "\"%s\" must be %s of %llu to %llu bytes",
                         f->name == NULL ? "an element" : f->name,
                         f->kind == FIELD_CODE ? "lower-case letters, digits and '_'" : "text",
                         (unsigned long long)f->least, (unsigned long long)f->most);
    }
    return arena_copy(a, text, place) || error_memory(err);
}

static bool read_text(const json_value *object, const field *f, void *place, arena *a, error *err) {
    slice text;
    return json_get_text(object, f->name, &text, err) && take_text(f, text, place, a, err);
}

static bool read_u32(const json_value *object, const field *f, uint32_t *place, error *err) {
    uint64_t value = 0;
    bool good = json_get_u64(object, f->name, f->least, f->most, &value, err);
    *place = (uint32_t)value;
    return good;
}

static bool read_float(const json_value *object, const field *f, float *place, error *err) {
    double value = 0;
    bool good = json_get_double(object, f->name, (double)f->least, (double)f->most, &value, err);
    *place = (float)value;
    return good;
}

static bool take_name(const field *f, slice text, unsigned *place) {
    for (unsigned i = 0; f->names[i] != NULL; i++) {
        if (slice_equal_text(text, f->names[i])) {
            *place = i;
            return true;
        }
    }
    return false;
}

static bool read_name(const json_value *object, const field *f, unsigned *place, error *err) {
    slice text;
    return json_get_text(object, f->name, &text, err) &&
           (take_name(f, text, place) || wrong(f, "one of the words that the protocol has for it", err));
}

static bool read_logprob(const json_value *value, const field *f, float *place) {
    double number = json_to_double(value);
    *place = (float)number + 0.0F; /* -0 becomes 0, which is written in one way */
    return json_kind_of(value) == JSON_KIND_NUMBER && number <= 0 && number >= -(double)f->most;
}

static bool read_item(const json_value *value, const field *f, uint8_t *place, arena *a, error *err) {
    const field *bare = &f->inner.fields[0];
    if (bare->name != NULL) {
        return json_kind_of(value) == JSON_KIND_OBJECT ? read_fields(value, &f->inner, place, a, err)
                                                       : wrong(f, "an array of objects", err);
    }
    if (bare->kind == FIELD_TEXT) {
        return json_kind_of(value) == JSON_KIND_TEXT ? take_text(bare, json_text_of(value), place, a, err) ||
                                                           error_context(err, "\"%s\"", f->name)
                                                     : wrong(f, "an array of strings", err);
    }
    if (bare->kind == FIELD_LOGPROB) {
        return read_logprob(value, bare, (float *)(void *)place) ||
               wrong(f, "an array of numbers that are at most 0", err);
    }
    if (bare->kind == FIELD_NAME) {
        return take_name(bare, json_text_of(value), (unsigned *)(void *)place) ||
               wrong(f, "an array of words that the protocol has for it", err);
    }
    uint64_t number = 0;
    if (!json_to_u64(value, bare->least, bare->most, &number)) {
        return wrong(f, "an array of whole numbers in their bounds", err);
    }
    *(uint32_t *)(void *)place = (uint32_t)number;
    return true;
}

static bool read_items(const json_value *object, const field *f, uint8_t *message, arena *a, error *err) {
    const json_value *array = NULL;
    if (!json_get_array(object, f->name, &array, err)) {
        return false;
    }
    size_t count = json_count(array);
    if (count < f->least || count > f->most) {
        return error_set(err, ERROR_INVALID, "\"%s\" must have %llu to %llu elements", f->name,
                         (unsigned long long)f->least, (unsigned long long)f->most);
    }
    uint8_t *items = f->in_place ? message + f->offset : arena_allocate_array(a, count, f->item_size);
    if (items == NULL) {
        return error_memory(err);
    }
    if (!f->in_place) {
        *(void **)(void *)(message + f->offset) = items;
    }
    *(size_t *)(void *)(message + f->count_offset) = count;
    for (size_t i = 0; i < count; i++) {
        if (!read_item(json_at(array, i), f, items + i * f->item_size, a, err)) {
            return false;
        }
    }
    return true;
}

static bool read_object(const json_value *object, const field *f, uint8_t *message, arena *a, error *err) {
    const json_value *inner = NULL;
    return json_get_object(object, f->name, &inner, err) &&
           (read_fields(inner, &f->inner, message, a, err) || error_context(err, "\"%s\"", f->name));
}

static bool read_field(const json_value *object, const field *f, uint8_t *message, arena *a, error *err) {
    void *place = message + f->offset;
    switch (f->kind) {
    case FIELD_HEX:
        return read_hex(object, f, place, err);
    case FIELD_BYTES:
        return json_get_bytes(object, f->name, place, (size_t)f->most, err);
    case FIELD_TEXT:
    case FIELD_CODE:
        return read_text(object, f, place, a, err);
    case FIELD_U32:
        return read_u32(object, f, place, err);
    case FIELD_U64:
        return json_get_u64(object, f->name, f->least, f->most, place, err);
    case FIELD_U64_TEXT:
        return json_get_u64_text(object, f->name, place, err);
    case FIELD_DOUBLE:
        return json_get_double(object, f->name, (double)f->least, (double)f->most, place, err);
    case FIELD_FLOAT:
        return read_float(object, f, place, err);
    case FIELD_BOOL:
        return json_get_bool(object, f->name, place, err);
    case FIELD_NAME:
        return read_name(object, f, place, err);
    case FIELD_OBJECT:
        return read_object(object, f, message, a, err);
    case FIELD_ITEMS:
        return read_items(object, f, message, a, err);
    case FIELD_LOGPROB: /* an element: read_item */
        break;
    }
    return error_set(err, ERROR_INTERNAL, "a field of a kind that has no decoder");
}

static bool read_fields(const json_value *object, const schema *s, uint8_t *place, arena *a, error *err) {
    for (size_t i = 0; i < s->count; i++) {
        const field *f = &s->fields[i];
        if (!proto_field_applies(f, place) || (f->optional && json_find(object, f->name) == NULL)) {
            continue;
        }
        if (!read_field(object, f, place, a, err)) {
            return false;
        }
        if (f->optional && f->kind == FIELD_U32) {
            *(bool *)(place + f->flag_offset) = true;
        }
    }
    return true;
}

static bool read_message(const json_value *root, arena *a, proto_message *out, error *err) {
    slice name;
    if (json_kind_of(root) != JSON_KIND_OBJECT) {
        return error_set(err, ERROR_INVALID, "a message must be a JSON object");
    }
    if (!json_get_text(root, "type", &name, err)) {
        return false;
    }
    if (!proto_type_parse(name, &out->type)) {
        return error_set(err, ERROR_INVALID, "\"type\" is none of this protocol's messages");
    }
    return (read_fields(root, proto_schema(out->type), proto_payload(out), a, err) &&
            proto_check_members(out, err)) ||
           error_context(err, "%s", proto_type_name(out->type));
}

bool proto_general_decode(slice text, arena *a, proto_message *out, error *err) {
    memset(out, 0, sizeof *out);
    json_value *root =
        json_parse(text, (json_limits){.size = PROTO_JOB_MAX, .depth = DEPTH_MAX, .values = VALUES_MAX}, err);
    if (root == NULL) {
        return false;
    }
    bool good = read_message(root, a, out, err);
    if (good && text.length > proto_size_limit(out)) {
        good = error_set(err, ERROR_INVALID, "%s: longer than it may be", proto_type_name(out->type));
    }
    json_free(root);
    return good;
}

bool proto_decode(slice text, arena *a, proto_message *out, error *err) {
    return proto_canonical_decode(text, a, out) || proto_general_decode(text, a, out, err);
}
