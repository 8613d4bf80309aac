#include "metadata.h"
#include "reader.h"

typedef enum wanted { WANTED_NUMBER, WANTED_FLOAT, WANTED_BOOL, WANTED_TEXT } wanted;

static bool is_wanted(gguf_value_type type, wanted what) {
    switch (type) {
    case GGUF_VALUE_F32:
        return what == WANTED_FLOAT;
    case GGUF_VALUE_BOOL:
        return what == WANTED_BOOL;
    case GGUF_VALUE_TEXT:
        return what == WANTED_TEXT;
    case GGUF_VALUE_F64:
    case GGUF_VALUE_ARRAY:
        return false;
    default:
        return what == WANTED_NUMBER;
    }
}

static bool open_array(const gguf *file, const char *key, wanted what, gguf_array *array, error *err) {
    static const char *const names[] = {"an array of whole numbers", "an array of f32", "an array of bool",
                                        "an array of strings"};
    const metadata_value *v = metadata_need(metadata_of(file), key, err);
    if (v == NULL) {
        return false;
    }
    bool alone = v->type != GGUF_VALUE_ARRAY && what != WANTED_TEXT;
    *array = alone ? (gguf_array){v->type, 1, v->bytes} : v->array;
    return ((alone || v->type == GGUF_VALUE_ARRAY) && is_wanted(array->type, what)) ||
           metadata_wrong_type(v, key, names[what], err);
}

static const uint8_t *element(const gguf_array *array, size_t index) {
    return array->bytes.data + index * metadata_size(array->type);
}

static bool open_numbers(const gguf *file, const char *key, int64_t least, uint64_t most, gguf_array *array,
                         error *err) {
    if (!open_array(file, key, WANTED_NUMBER, array, err)) {
        return false;
    }
    for (size_t i = 0; i < array->count; i++) {
        uint64_t bits = 0;
        if (!metadata_load(array->type, element(array, i), least, most, &bits)) {
            return error_set(err, ERROR_CORRUPT, "key '%s': element %zu is %stoo large", key, i,
                             least == 0 ? "negative or " : "");
        }
    }
    return true;
}

bool gguf_u32_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    return open_numbers(file, key, 0, UINT32_MAX, array, err);
}

bool gguf_i32_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    return open_numbers(file, key, INT32_MIN, INT32_MAX, array, err);
}

bool gguf_f32_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    return open_array(file, key, WANTED_FLOAT, array, err);
}

bool gguf_byte_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    const metadata_value *v = metadata_need(metadata_of(file), key, err);
    if (v == NULL) {
        return false;
    }
    *array = v->array;
    return (v->type == GGUF_VALUE_ARRAY && metadata_size(array->type) == 1 &&
            array->type != GGUF_VALUE_BOOL) ||
           metadata_wrong_type(v, key, "an array of bytes", err);
}

bool gguf_bool_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    return open_array(file, key, WANTED_BOOL, array, err);
}

bool gguf_text_array(const gguf *file, const char *key, gguf_array *array, error *err) {
    return open_array(file, key, WANTED_TEXT, array, err);
}

uint32_t gguf_array_u32(gguf_array array, size_t index) {
    return (uint32_t)load_number(element(&array, index), metadata_size(array.type));
}

int32_t gguf_array_i32(gguf_array array, size_t index) {
    uint64_t bits = 0;
    bool good = metadata_load(array.type, element(&array, index), INT32_MIN, INT32_MAX, &bits);
    uint32_t low = good ? (uint32_t)bits : 0;
    int32_t value = 0;
    memcpy(&value, &low, sizeof value);
    return value;
}

float gguf_array_f32(gguf_array array, size_t index) {
    return metadata_float(element(&array, index));
}

bool gguf_array_bool(gguf_array array, size_t index) {
    return *element(&array, index) == 1;
}

bool gguf_next_text(gguf_array *rest, slice *text) {
    if (rest->count == 0 || !take_text(&rest->bytes, GGUF_STRING_MAX, text)) {
        return false;
    }
    rest->count--;
    return true;
}

static double load_real(const uint8_t *bytes, size_t size) {
    uint64_t bits = load_number(bytes, size);
    double value = 0;
    memcpy(&value, &bits, sizeof value);
    return size == 4 ? (double)metadata_float(bytes) : value;
}

/* A value that is neither string nor array. */
static gguf_value decode(gguf_value_type type, const uint8_t *bytes) {
    gguf_value v = {.type = type};
    uint64_t bits = 0;
    switch (type) {
    case GGUF_VALUE_F32:
    case GGUF_VALUE_F64:
        v.real = load_real(bytes, metadata_size(type));
        break;
    case GGUF_VALUE_BOOL:
        v.truth = bytes[0] == 1;
        break;
    default:
        if (metadata_load(type, bytes, INT64_MIN, UINT64_MAX, &bits)) {
            memcpy(&v.natural, &bits, sizeof bits); /* `whole` has the same bits */
        }
    }
    return v;
}

size_t gguf_key_count(const gguf *file) {
    return metadata_of(file)->names.count;
}

slice gguf_key_name(const gguf *file, size_t index) {
    return metadata_of(file)->names.names[index];
}

gguf_value gguf_key_value(const gguf *file, size_t index) {
    const metadata_value *v = &metadata_of(file)->values[index];
    if (v->type == GGUF_VALUE_ARRAY) {
        return (gguf_value){.type = v->type, .array = v->array};
    }
    return v->type == GGUF_VALUE_TEXT ? (gguf_value){.type = v->type, .text = v->bytes}
                                      : decode(v->type, v->bytes.data);
}

bool gguf_next_value(gguf_array *rest, gguf_value *value) {
    slice bytes;
    if (rest->count == 0) {
        return false;
    }
    *value = (gguf_value){.type = rest->type};
    if (rest->type == GGUF_VALUE_TEXT) {
        return gguf_next_text(rest, &value->text);
    }
    if (rest->type == GGUF_VALUE_ARRAY) {
        if (!metadata_take_array(&rest->bytes, &value->array)) {
            return false;
        }
    } else if (take_bytes(&rest->bytes, metadata_size(rest->type), &bytes)) {
        *value = decode(rest->type, bytes.data);
    } else {
        return false;
    }
    rest->count--;
    return true;
}
