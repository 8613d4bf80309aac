#include "metadata.h"

#include "base/memory.h"
#include "reader.h"

enum { KEY_MAX = 65535, KEY_BYTES_MIN = 8 + 1 + 4 + 1 };

static const struct {
    const char *name;
    uint8_t size; /* 0: as its length says */
} types[GGUF_VALUE_TYPES] = {
    [GGUF_VALUE_U8] = {"u8", 1},       [GGUF_VALUE_I8] = {"i8", 1},     [GGUF_VALUE_U16] = {"u16", 2},
    [GGUF_VALUE_I16] = {"i16", 2},     [GGUF_VALUE_U32] = {"u32", 4},   [GGUF_VALUE_I32] = {"i32", 4},
    [GGUF_VALUE_F32] = {"f32", 4},     [GGUF_VALUE_BOOL] = {"bool", 1}, [GGUF_VALUE_TEXT] = {"string", 0},
    [GGUF_VALUE_ARRAY] = {"array", 0}, [GGUF_VALUE_U64] = {"u64", 8},   [GGUF_VALUE_I64] = {"i64", 8},
    [GGUF_VALUE_F64] = {"f64", 8},
};

const char *gguf_value_type_name(gguf_value_type type) {
    return (uint32_t)type < GGUF_VALUE_TYPES ? types[type].name : "unknown";
}

static bool take_type(slice *rest, gguf_value_type *type, error *err) {
    uint32_t number = 0;
    if (!take_u32(rest, &number)) {
        return cut_short(err, "a type");
    }
    *type = (gguf_value_type)number;
    return number < GGUF_VALUE_TYPES || error_set(err, ERROR_CORRUPT, "it has the unknown type %u", number);
}

static bool check_truths(slice bytes, error *err) {
    for (size_t i = 0; i < bytes.length; i++) {
        if (bytes.data[i] > 1) {
            return error_set(err, ERROR_CORRUPT, "it is neither true nor false");
        }
    }
    return true;
}

static bool take_array(slice *rest, uint32_t depth, gguf_array *array, error *err);

/* Strings and arrays: their lengths are found by walking over them. */
static bool skip_elements(slice *rest, const gguf_array *array, uint32_t depth, error *err) {
    for (size_t i = 0; i < array->count; i++) {
        slice text;
        gguf_array inner;
        if (array->type == GGUF_VALUE_ARRAY) {
            if (!take_array(rest, depth + 1, &inner, err)) {
                return false;
            }
        } else if (!take_text(rest, GGUF_STRING_MAX, &text)) {
            return cut_short(err, "an array of strings");
        }
    }
    return true;
}

static bool take_array(slice *rest, uint32_t depth, gguf_array *array, error *err) {
    uint64_t count = 0;
    if (depth > GGUF_NESTING_MAX) {
        return error_set(err, ERROR_CORRUPT, "its arrays are nested deeper than %d", GGUF_NESTING_MAX);
    }
    if (!take_type(rest, &array->type, err)) {
        return false;
    }
    if (!take_u64(rest, &count)) {
        return cut_short(err, "an array");
    }
    if (count > GGUF_ELEMENTS_MAX) {
        return error_set(err, ERROR_CORRUPT, "it has more than %d elements", GGUF_ELEMENTS_MAX);
    }
    array->count = (size_t)count;
    if (types[array->type].size > 0) {
        return take_bytes(rest, count * types[array->type].size, &array->bytes)
                   ? array->type != GGUF_VALUE_BOOL || check_truths(array->bytes, err)
                   : cut_short(err, "an array");
    }
    slice start = *rest;
    if (!skip_elements(rest, array, depth, err)) {
        return false;
    }
    array->bytes = slice_part(start, 0, start.length - rest->length);
    return true;
}

bool metadata_take_array(slice *rest, gguf_array *array) {
    error ignored;
    return take_array(rest, 1, array, &ignored);
}

static bool take_value(slice *rest, metadata_value *v, error *err) {
    if (v->type == GGUF_VALUE_ARRAY) {
        return take_array(rest, 1, &v->array, err);
    }
    if (v->type == GGUF_VALUE_TEXT) {
        return take_text(rest, GGUF_STRING_MAX, &v->bytes) || cut_short(err, "a string");
    }
    if (!take_bytes(rest, types[v->type].size, &v->bytes)) {
        return cut_short(err, "a value");
    }
    return v->type != GGUF_VALUE_BOOL || check_truths(v->bytes, err);
}

static bool take_entry(metadata *m, slice *rest, error *err) {
    slice key;
    metadata_value *v = &m->values[m->names.count];
    if (!take_text(rest, KEY_MAX, &key)) {
        return cut_short(err, "the keys");
    }
    if (key.length == 0 || !slice_is_utf8(key)) {
        return error_set(err, ERROR_CORRUPT, "key %u of the GGUF file has no readable name",
                         (unsigned)m->names.count);
    }
    if (!take_type(rest, &v->type, err) || !take_value(rest, v, err)) {
        return error_context(err, "key '%.*s'", SLICE_FORMAT(key));
    }
    return name_index_add(&m->names, key) ||
           error_set(err, ERROR_CORRUPT, "key '%.*s' stands twice", SLICE_FORMAT(key));
}

bool metadata_read(metadata *m, slice *rest, uint64_t count, error *err) {
    *m = (metadata){0};
    if (count > rest->length / KEY_BYTES_MIN) {
        return cut_short(err, "the keys");
    }
    m->values = memory_allocate_zeroed((size_t)count, sizeof *m->values);
    if (!name_index_new(&m->names, (size_t)count) || m->values == NULL) {
        return error_memory(err);
    }
    for (uint64_t i = 0; i < count; i++) {
        if (!take_entry(m, rest, err)) {
            return false;
        }
    }
    return true;
}

void metadata_free(metadata *m) {
    name_index_free(&m->names);
    memory_free(m->values);
    *m = (metadata){0};
}

const metadata_value *metadata_find(const metadata *m, slice key) {
    size_t place = name_index_find(&m->names, key);
    return place == SIZE_MAX ? NULL : &m->values[place];
}

bool metadata_same(const metadata_value *a, const metadata_value *b) {
    return a->type == b->type && slice_equal(a->bytes, b->bytes) && a->array.type == b->array.type &&
           a->array.count == b->array.count && slice_equal(a->array.bytes, b->array.bytes);
}

const metadata_value *metadata_need(const metadata *m, const char *key, error *err) {
    const metadata_value *v = metadata_find(m, slice_of_text(key));
    if (v == NULL) {
        error_set(err, ERROR_NOT_FOUND, "the model has no key '%s'", key);
    }
    return v;
}

bool metadata_wrong_type(const metadata_value *v, const char *key, const char *wanted, error *err) {
    bool array = v->type == GGUF_VALUE_ARRAY;
    return error_set(err, ERROR_CORRUPT, "key '%s' is of type %s%s, not %s", key, array ? "array of " : "",
                     gguf_value_type_name(array ? v->array.type : v->type), wanted);
}

size_t metadata_size(gguf_value_type type) {
    return types[type].size;
}

static bool is_natural(gguf_value_type type) {
    return type == GGUF_VALUE_U8 || type == GGUF_VALUE_U16 || type == GGUF_VALUE_U32 ||
           type == GGUF_VALUE_U64;
}

static bool is_whole(gguf_value_type type) {
    return type == GGUF_VALUE_I8 || type == GGUF_VALUE_I16 || type == GGUF_VALUE_I32 ||
           type == GGUF_VALUE_I64;
}

bool metadata_load(gguf_value_type type, const uint8_t *bytes, int64_t least, uint64_t most, uint64_t *bits) {
    size_t size = types[type].size;
    if (!is_natural(type) && !is_whole(type)) {
        return false;
    }
    *bits = load_number(bytes, size);
    uint64_t sign = UINT64_C(1) << (8 * size - 1);
    if (is_natural(type) || *bits < sign) {
        return *bits <= most;
    }
    *bits = (*bits ^ sign) - sign;
    return *bits >= (uint64_t)least && least < 0; /* of two negative numbers */
}

static bool read_number(const metadata *m, const char *key, int64_t least, uint64_t most, uint64_t *bits,
                        error *err) {
    const metadata_value *v = metadata_need(m, key, err);
    if (v == NULL) {
        return false;
    }
    if (!is_natural(v->type) && !is_whole(v->type)) {
        return metadata_wrong_type(v, key, "a whole number", err);
    }
    return metadata_load(v->type, v->bytes.data, least, most, bits) ||
           error_set(err, ERROR_CORRUPT, "key '%s' is %stoo large", key, least == 0 ? "negative or " : "");
}

bool metadata_u32(const metadata *m, const char *key, uint32_t *value, error *err) {
    uint64_t bits = 0;
    bool good = read_number(m, key, 0, UINT32_MAX, &bits, err);
    *value = good ? (uint32_t)bits : *value;
    return good;
}

bool gguf_has(const gguf *file, const char *key) {
    return metadata_find(metadata_of(file), slice_of_text(key)) != NULL;
}

bool gguf_u32(const gguf *file, const char *key, uint32_t *value, error *err) {
    return metadata_u32(metadata_of(file), key, value, err);
}

bool gguf_u64(const gguf *file, const char *key, uint64_t *value, error *err) {
    uint64_t bits = 0;
    bool good = read_number(metadata_of(file), key, 0, UINT64_MAX, &bits, err);
    *value = good ? bits : *value;
    return good;
}

bool gguf_i32(const gguf *file, const char *key, int32_t *value, error *err) {
    uint64_t bits = 0;
    if (!read_number(metadata_of(file), key, INT32_MIN, INT32_MAX, &bits, err)) {
        return false;
    }
    uint32_t low = (uint32_t)bits;
    memcpy(value, &low, sizeof low);
    return true;
}

/* The value if it has this type. */
static const metadata_value *need_type(const gguf *file, const char *key, gguf_value_type type, error *err) {
    const metadata_value *v = metadata_need(metadata_of(file), key, err);
    if (v != NULL && v->type != type) {
        metadata_wrong_type(v, key, gguf_value_type_name(type), err);
        return NULL;
    }
    return v;
}

float metadata_float(const uint8_t *bytes) {
    uint32_t bits = (uint32_t)load_number(bytes, 4);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool gguf_f32(const gguf *file, const char *key, float *value, error *err) {
    const metadata_value *v = need_type(file, key, GGUF_VALUE_F32, err);
    *value = v == NULL ? *value : metadata_float(v->bytes.data);
    return v != NULL;
}

bool gguf_bool(const gguf *file, const char *key, bool *value, error *err) {
    const metadata_value *v = need_type(file, key, GGUF_VALUE_BOOL, err);
    *value = v == NULL ? *value : v->bytes.data[0] == 1;
    return v != NULL;
}

bool gguf_text(const gguf *file, const char *key, slice *value, error *err) {
    const metadata_value *v = need_type(file, key, GGUF_VALUE_TEXT, err);
    *value = v == NULL ? *value : v->bytes;
    return v != NULL;
}
