#include "engine/gguf.h"

#include "base/memory.h"

/* A file is: header, keys with values, tensor descriptions, padding, tensor data. It is walked once, front to
 * back; a value keeps only where it stands, so nothing grows with what the file claims to hold. */
enum value_type {
    VALUE_U8,
    VALUE_I8,
    VALUE_U16,
    VALUE_I16,
    VALUE_U32,
    VALUE_I32,
    VALUE_F32,
    VALUE_BOOL,
    VALUE_TEXT,
    VALUE_ARRAY,
    VALUE_U64,
    VALUE_I64,
    VALUE_F64,
    VALUE_TYPES
};

enum { KEY_MAX = 65535, NAME_MAX_LENGTH = 127, ALIGNMENT_DEFAULT = 32 };
static const uint64_t array_count_max = 1 << 21;
static const uint8_t value_sizes[VALUE_TYPES] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
static const char *const value_names[VALUE_TYPES] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                     "bool", "string", "array", "u64", "i64", "f64"};

typedef struct entry {
    slice key;
    uint32_t type;
    uint32_t element_type; /* of an array */
    uint64_t element_count;
    slice value; /* of an array: its elements */
} entry;

struct gguf {
    entry *entries;
    size_t entry_count;
    gguf_tensor *tensors;
    uint64_t *offsets; /* of the tensors, in the data section */
    size_t tensor_count;
};

static uint64_t load(const uint8_t *bytes, size_t length) {
    uint64_t value = 0;
    for (size_t i = 0; i < length; i++) {
        value |= (uint64_t)bytes[i] << (8 * i);
    }
    return value;
}

static bool take(slice *rest, uint64_t length, slice *taken) {
    if (length > rest->length) {
        return false;
    }
    *taken = slice_of(rest->data, (size_t)length);
    rest->data += length;
    rest->length -= (size_t)length;
    return true;
}

static bool take_number(slice *rest, size_t size, uint64_t *value) {
    slice bytes;
    if (!take(rest, size, &bytes)) {
        return false;
    }
    *value = load(bytes.data, size);
    return true;
}

static bool take_u32(slice *rest, uint32_t *value) {
    uint64_t number = 0;
    bool good = take_number(rest, 4, &number);
    *value = (uint32_t)number;
    return good;
}

static bool take_text(slice *rest, uint64_t most, slice *text) {
    uint64_t length = 0;
    return take_number(rest, 8, &length) && length <= most && take(rest, length, text);
}

static bool cut_short(error *err, const char *where) {
    return error_set(err, ERROR_CORRUPT,
                     "the GGUF file ends within %s, or a length there is too large: fetch it again", where);
}

static bool is_scalar(uint32_t type) {
    return type < VALUE_TYPES && value_sizes[type] > 0;
}

static bool read_array(slice *rest, entry *e, error *err) {
    if (!take_u32(rest, &e->element_type) || !take_number(rest, 8, &e->element_count)) {
        return cut_short(err, "an array");
    }
    if (e->element_count > array_count_max) {
        return error_set(err, ERROR_CORRUPT, "key '%.*s' has too many elements", SLICE_FORMAT(e->key));
    }
    if (is_scalar(e->element_type)) {
        return take(rest, e->element_count * value_sizes[e->element_type], &e->value) ||
               cut_short(err, "an array");
    }
    if (e->element_type != VALUE_TEXT) {
        return error_set(err, ERROR_UNSUPPORTED, "key '%.*s' is an array of type %u", SLICE_FORMAT(e->key),
                         e->element_type);
    }
    const uint8_t *start = rest->data;
    for (uint64_t i = 0; i < e->element_count; i++) {
        slice text;
        if (!take_text(rest, GGUF_STRING_MAX, &text)) {
            return cut_short(err, "an array of strings");
        }
    }
    e->value = slice_of(start, (size_t)(rest->data - start));
    return true;
}

static bool read_value(slice *rest, entry *e, error *err) {
    if (e->type == VALUE_ARRAY) {
        return read_array(rest, e, err);
    }
    if (e->type == VALUE_TEXT) {
        return take_text(rest, GGUF_STRING_MAX, &e->value) || cut_short(err, "a string");
    }
    if (!is_scalar(e->type)) {
        return error_set(err, ERROR_CORRUPT, "key '%.*s' has the unknown type %u", SLICE_FORMAT(e->key),
                         e->type);
    }
    if (!take(rest, value_sizes[e->type], &e->value)) {
        return cut_short(err, "a value");
    }
    return e->type != VALUE_BOOL || e->value.data[0] <= 1 ||
           error_set(err, ERROR_CORRUPT, "key '%.*s' is neither true nor false", SLICE_FORMAT(e->key));
}

static const entry *find(const gguf *file, slice key) {
    for (size_t i = 0; i < file->entry_count; i++) {
        if (slice_equal(file->entries[i].key, key)) {
            return &file->entries[i];
        }
    }
    return NULL;
}

static bool read_entries(gguf *file, slice *rest, uint64_t count, error *err) {
    for (uint64_t i = 0; i < count; i++) {
        entry e = {0};
        if (!take_text(rest, KEY_MAX, &e.key) || !take_u32(rest, &e.type)) {
            return cut_short(err, "the keys");
        }
        if (e.key.length == 0 || !slice_is_utf8(e.key)) {
            return error_set(err, ERROR_CORRUPT, "key %u of the GGUF file has no readable name", (unsigned)i);
        }
        if (find(file, e.key) != NULL) {
            return error_set(err, ERROR_CORRUPT, "key '%.*s' stands twice", SLICE_FORMAT(e.key));
        }
        if (!read_value(rest, &e, err)) {
            return error_context(err, "key '%.*s'", SLICE_FORMAT(e.key));
        }
        file->entries[file->entry_count++] = e;
    }
    return true;
}

static bool read_dimensions(slice *rest, gguf_tensor *t, uint64_t *count, error *err) {
    if (!take_u32(rest, &t->dimension_count)) {
        return cut_short(err, "the tensor descriptions");
    }
    if (t->dimension_count == 0 || t->dimension_count > GGUF_DIMENSIONS_MAX) {
        return error_set(err, ERROR_CORRUPT, "it has %u dimensions", t->dimension_count);
    }
    *count = 1;
    for (size_t i = 0; i < GGUF_DIMENSIONS_MAX; i++) {
        uint64_t size = 1;
        if (i < t->dimension_count && !take_number(rest, 8, &size)) {
            return cut_short(err, "the tensor descriptions");
        }
        if (size == 0 || size > (UINT64_C(1) << 40) / *count) {
            return error_set(err, ERROR_CORRUPT, "a dimension is empty or too large");
        }
        t->dimensions[i] = size;
        *count *= size;
    }
    return true;
}

static bool read_tensor_body(slice *rest, gguf_tensor *t, uint64_t *offset, error *err) {
    uint64_t count = 0;
    uint32_t type = 0;
    if (!read_dimensions(rest, t, &count, err)) {
        return false;
    }
    if (!take_u32(rest, &type) || !take_number(rest, 8, offset)) {
        return cut_short(err, "the tensor descriptions");
    }
    t->type = (gguf_type)type;
    uint32_t block = gguf_type_block(t->type);
    if (block == 0) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "it has type %s (%u), which this engine doesn't read: convert the model to a type "
                         "such as Q8_0 or Q4_K",
                         gguf_type_name(type), type);
    }
    if (t->dimensions[0] % block != 0) {
        return error_set(err, ERROR_CORRUPT, "its rows are not whole blocks of %u", block);
    }
    /* At most 2^40 weights of 4 bytes. The place is known once the descriptions are read. */
    t->data.length = (size_t)(count / block * gguf_type_bytes(t->type));
    return true;
}

static bool read_tensors(gguf *file, slice *rest, uint64_t count, error *err) {
    for (uint64_t i = 0; i < count; i++) {
        gguf_tensor t = {0};
        if (!take_text(rest, NAME_MAX_LENGTH, &t.name)) {
            return cut_short(err, "the tensor descriptions");
        }
        if (t.name.length == 0 || !slice_is_utf8(t.name)) {
            return error_set(err, ERROR_CORRUPT, "tensor %u has no readable name", (unsigned)i);
        }
        for (size_t other = 0; other < file->tensor_count; other++) {
            if (slice_equal(file->tensors[other].name, t.name)) {
                return error_set(err, ERROR_CORRUPT, "tensor '%.*s' stands twice", SLICE_FORMAT(t.name));
            }
        }
        if (!read_tensor_body(rest, &t, &file->offsets[i], err)) {
            return error_context(err, "tensor '%.*s'", SLICE_FORMAT(t.name));
        }
        file->tensors[file->tensor_count++] = t;
    }
    return true;
}

static bool place_tensors(gguf *file, slice whole, size_t end, error *err) {
    uint32_t alignment = ALIGNMENT_DEFAULT;
    if (gguf_has(file, "general.alignment") && !gguf_u32(file, "general.alignment", &alignment, err)) {
        return false;
    }
    if (alignment < 8 || alignment > 65536 || (alignment & (alignment - 1)) != 0) {
        return error_set(err, ERROR_CORRUPT, "key 'general.alignment' is %u, not a power of two from 8",
                         alignment);
    }
    size_t padding = (alignment - end % alignment) % alignment;
    slice data = slice_after(whole, end + padding);
    for (size_t i = 0; i < file->tensor_count; i++) {
        gguf_tensor *t = &file->tensors[i];
        uint64_t offset = file->offsets[i];
        if (offset % alignment != 0 || offset > data.length || t->data.length > data.length - offset) {
            return error_set(err, ERROR_CORRUPT,
                             "tensor '%.*s' lies outside the file: the file was cut short, fetch it again",
                             SLICE_FORMAT(t->name));
        }
        t->data.data = data.data + offset;
    }
    return true;
}

static bool read_header(slice *rest, uint64_t *tensor_count, uint64_t *key_count, error *err) {
    uint32_t version = 0;
    slice magic;
    if (!take(rest, 4, &magic) || !slice_equal_text(magic, "GGUF")) {
        return error_set(err, ERROR_CORRUPT, "this is not a GGUF file");
    }
    if (!take_u32(rest, &version)) {
        return cut_short(err, "the header");
    }
    if (version != 3) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the GGUF file has version %u: this engine reads version 3, little-endian", version);
    }
    if (!take_number(rest, 8, tensor_count) || !take_number(rest, 8, key_count)) {
        return cut_short(err, "the header");
    }
    if (*tensor_count > GGUF_TENSORS_MAX || *key_count > GGUF_KEYS_MAX) {
        return error_set(err, ERROR_CORRUPT, "the GGUF file claims more keys or tensors than a model has");
    }
    return true;
}

static bool read_all(gguf *file, slice whole, error *err) {
    slice rest = whole;
    uint64_t tensor_count = 0;
    uint64_t key_count = 0;
    if (!read_header(&rest, &tensor_count, &key_count, err)) {
        return false;
    }
    file->entries = memory_allocate_zeroed((size_t)key_count, sizeof *file->entries);
    file->tensors = memory_allocate_zeroed((size_t)tensor_count, sizeof *file->tensors);
    file->offsets = memory_allocate_zeroed((size_t)tensor_count, sizeof *file->offsets);
    if (file->entries == NULL || file->tensors == NULL || file->offsets == NULL) {
        return error_memory(err);
    }
    return read_entries(file, &rest, key_count, err) && read_tensors(file, &rest, tensor_count, err) &&
           place_tensors(file, whole, whole.length - rest.length, err);
}

gguf *gguf_open(slice whole, error *err) {
    gguf *file = memory_allocate_zeroed(1, sizeof *file);
    if (file == NULL) {
        error_memory(err);
        return NULL;
    }
    if (!read_all(file, whole, err)) {
        gguf_free(file);
        return NULL;
    }
    return file;
}

void gguf_free(gguf *file) {
    if (file != NULL) {
        memory_free(file->entries);
        memory_free(file->tensors);
        memory_free(file->offsets);
        memory_free(file);
    }
}

size_t gguf_key_count(const gguf *file) {
    return file->entry_count;
}

slice gguf_key_name(const gguf *file, size_t index) {
    return file->entries[index].key;
}

bool gguf_has(const gguf *file, const char *key) {
    return find(file, slice_of_text(key)) != NULL;
}

static const entry *need(const gguf *file, const char *key, error *err) {
    const entry *e = find(file, slice_of_text(key));
    if (e == NULL) {
        error_set(err, ERROR_NOT_FOUND, "the model has no key '%s'", key);
    }
    return e;
}

static bool wrong_type(const entry *e, const char *wanted, error *err) {
    return error_set(err, ERROR_CORRUPT, "key '%.*s' is of type %s%s, not %s", SLICE_FORMAT(e->key),
                     value_names[e->type], e->type == VALUE_ARRAY ? " of another kind" : "", wanted);
}

bool gguf_u32(const gguf *file, const char *key, uint32_t *value, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    uint64_t number = 0;
    uint64_t most = UINT32_MAX;
    switch (e->type) {
    case VALUE_I8:
    case VALUE_I16:
    case VALUE_I32:
    case VALUE_I64:
        /* A negative number has the top bit of its width: refused as too large. */
        most = e->type == VALUE_I64 ? most : (UINT64_C(1) << (8 * e->value.length - 1)) - 1;
        break;
    case VALUE_U8:
    case VALUE_U16:
    case VALUE_U32:
    case VALUE_U64:
        break;
    default:
        return wrong_type(e, "a whole number", err);
    }
    number = load(e->value.data, e->value.length);
    if (number > most) {
        return error_set(err, ERROR_CORRUPT, "key '%s' is negative or too large", key);
    }
    *value = (uint32_t)number;
    return true;
}

bool gguf_f32(const gguf *file, const char *key, float *value, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    if (e->type != VALUE_F32) {
        return wrong_type(e, "f32", err);
    }
    uint32_t bits = (uint32_t)load(e->value.data, 4);
    memcpy(value, &bits, sizeof bits);
    return true;
}

bool gguf_bool(const gguf *file, const char *key, bool *value, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    if (e->type != VALUE_BOOL) {
        return wrong_type(e, "bool", err);
    }
    *value = e->value.data[0] == 1;
    return true;
}

bool gguf_text(const gguf *file, const char *key, slice *value, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    if (e->type != VALUE_TEXT) {
        return wrong_type(e, "string", err);
    }
    *value = e->value;
    return true;
}

bool gguf_text_array(const gguf *file, const char *key, gguf_texts *texts, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    if (e->type != VALUE_ARRAY || e->element_type != VALUE_TEXT) {
        return wrong_type(e, "an array of strings", err);
    }
    *texts = (gguf_texts){.rest = e->value, .count = e->element_count};
    return true;
}

bool gguf_next_text(gguf_texts *texts, slice *text) {
    if (texts->count == 0 || !take_text(&texts->rest, GGUF_STRING_MAX, text)) {
        return false;
    }
    texts->count--;
    return true;
}

/* An array whose elements have one of two types. */
static bool number_array(const gguf *file, const char *key, uint32_t type, uint32_t other, const char *wanted,
                         slice *values, error *err) {
    const entry *e = need(file, key, err);
    if (e == NULL) {
        return false;
    }
    if (e->type != VALUE_ARRAY || (e->element_type != type && e->element_type != other)) {
        return wrong_type(e, wanted, err);
    }
    *values = e->value;
    return true;
}

bool gguf_i32_array(const gguf *file, const char *key, slice *values, error *err) {
    return number_array(file, key, VALUE_I32, VALUE_U32, "an array of i32", values, err);
}

bool gguf_f32_array(const gguf *file, const char *key, slice *values, error *err) {
    return number_array(file, key, VALUE_F32, VALUE_F32, "an array of f32", values, err);
}

bool gguf_byte_array(const gguf *file, const char *key, slice *values, error *err) {
    return number_array(file, key, VALUE_I8, VALUE_U8, "an array of bytes", values, err);
}

int32_t gguf_array_i32(slice values, size_t index) {
    uint32_t bits = (uint32_t)load(values.data + 4 * index, 4);
    int32_t value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

float gguf_array_f32(slice values, size_t index) {
    uint32_t bits = (uint32_t)load(values.data + 4 * index, 4);
    float value = 0;
    memcpy(&value, &bits, sizeof value);
    return value;
}

size_t gguf_tensor_count(const gguf *file) {
    return file->tensor_count;
}

const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index) {
    return &file->tensors[index];
}

const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name) {
    for (size_t i = 0; i < file->tensor_count; i++) {
        if (slice_equal_text(file->tensors[i].name, name)) {
            return &file->tensors[i];
        }
    }
    return NULL;
}
