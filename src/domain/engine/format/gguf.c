#include "engine/gguf.h"

#include "base/memory.h"
#include "metadata.h"
#include "reader.h"

/* A file is: header, keys with values, tensor descriptions, padding, tensor data. It is walked once, front to
 * back. Of a split model each file is one, with descriptions and data of its own tensors. */
enum {
    NAME_MAX_LENGTH = 127,
    DESCRIPTION_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8,
    ALIGNMENT_DEFAULT = 32,
    ALIGNMENT_MAX = 65536
};
static const uint64_t weights_max = UINT64_C(1) << 40;

typedef struct header {
    uint32_t version;
    uint64_t tensor_count;
    uint64_t key_count;
} header;

/* Where a tensor stands in the data of its part. */
typedef struct extent {
    uint64_t offset;
    uint64_t size;
} extent;

struct gguf {
    uint32_t version;
    size_t part_count;
    metadata keys;
    gguf_tensor *tensors;
    extent *extents;
    uint32_t *by_offset; /* of one part's tensors, while it is read */
    name_index names;
};

const metadata *metadata_of(const gguf *file) {
    return &file->keys;
}

static bool check_version(uint32_t version, error *err) {
    if (version == 2 || version == 3) {
        return true;
    }
    if ((version & 0xffff) == 0) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "the GGUF file is big-endian: this engine reads version 2 and 3, little-endian");
    }
    return error_set(err, ERROR_UNSUPPORTED,
                     "the GGUF file has version %u: this engine reads version 2 and 3", version);
}

static bool read_header(slice *rest, header *h, error *err) {
    slice magic;
    if (!take_bytes(rest, 4, &magic) || !slice_equal_text(magic, "GGUF")) {
        return error_set(err, ERROR_CORRUPT, "this is not a GGUF file");
    }
    if (!take_u32(rest, &h->version)) {
        return cut_short(err, "the header");
    }
    if (!check_version(h->version, err)) {
        return false;
    }
    if (!take_u64(rest, &h->tensor_count) || !take_u64(rest, &h->key_count)) {
        return cut_short(err, "the header");
    }
    if (h->tensor_count > GGUF_TENSORS_MAX || h->key_count > GGUF_KEYS_MAX) {
        return error_set(err, ERROR_CORRUPT, "the GGUF file claims more keys or tensors than a model has");
    }
    return h->tensor_count <= rest->length / DESCRIPTION_BYTES_MIN ||
           cut_short(err, "the tensor descriptions");
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
        if (i < t->dimension_count && !take_u64(rest, &size)) {
            return cut_short(err, "the tensor descriptions");
        }
        if (size == 0 || size > weights_max / *count) {
            return error_set(err, ERROR_CORRUPT, "a dimension is empty or too large");
        }
        t->dimensions[i] = size;
        *count *= size;
    }
    return true;
}

static bool read_tensor_body(slice *rest, gguf_tensor *t, extent *place, error *err) {
    uint64_t count = 0;
    uint32_t type = 0;
    if (!read_dimensions(rest, t, &count, err)) {
        return false;
    }
    if (!take_u32(rest, &type) || !take_u64(rest, &place->offset)) {
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
    place->size = count / block * gguf_type_bytes(t->type); /* at most 2^40 weights of 4 bytes */
    return true;
}

static bool read_tensor(gguf *file, slice *rest, uint32_t part, error *err) {
    size_t place = file->names.count;
    gguf_tensor *t = &file->tensors[place];
    *t = (gguf_tensor){.part = part};
    if (!take_text(rest, NAME_MAX_LENGTH, &t->name)) {
        return cut_short(err, "the tensor descriptions");
    }
    if (t->name.length == 0 || !slice_is_utf8(t->name)) {
        return error_set(err, ERROR_CORRUPT, "tensor %zu has no readable name", place);
    }
    if (!read_tensor_body(rest, t, &file->extents[place], err)) {
        return error_context(err, "tensor '%.*s'", SLICE_FORMAT(t->name));
    }
    return name_index_add(&file->names, t->name) ||
           error_set(err, ERROR_CORRUPT, "tensor '%.*s' stands twice", SLICE_FORMAT(t->name));
}

/* Puts tensor `index` among those of its part by offset, `count` of them so far. False if it overlaps one. */
static bool order_tensor(gguf *file, uint32_t index, size_t count) {
    const extent *new = &file->extents[index];
    size_t low = 0;
    size_t high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (file->extents[file->by_offset[middle]].offset <= new->offset) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    const extent *before = low > 0 ? &file->extents[file->by_offset[low - 1]] : NULL;
    const extent *after = low < count ? &file->extents[file->by_offset[low]] : NULL;
    if ((before != NULL && before->offset + before->size > new->offset) ||
        (after != NULL && new->offset + new->size > after->offset)) {
        return false;
    }
    memmove(file->by_offset + low + 1, file->by_offset + low, (count - low) * sizeof *file->by_offset);
    file->by_offset[low] = index;
    return true;
}

static bool place_tensor(gguf *file, size_t index, size_t first, slice data, uint32_t alignment, error *err) {
    gguf_tensor *t = &file->tensors[index];
    const extent *place = &file->extents[index];
    if (place->offset % alignment != 0) {
        return error_set(err, ERROR_CORRUPT, "tensor '%.*s' is not aligned to %u bytes",
                         SLICE_FORMAT(t->name), alignment);
    }
    if (place->offset > data.length || place->size > data.length - place->offset) {
        return error_set(err, ERROR_CORRUPT,
                         "tensor '%.*s' lies outside the file: the file was cut short, fetch it again",
                         SLICE_FORMAT(t->name));
    }
    if (!order_tensor(file, (uint32_t)index, index - first)) {
        return error_set(err, ERROR_CORRUPT, "tensor '%.*s' overlaps another", SLICE_FORMAT(t->name));
    }
    t->data = slice_of(data.data + place->offset, (size_t)place->size);
    return true;
}

static bool read_alignment(const metadata *keys, uint32_t *alignment, error *err) {
    static const char key[] = "general.alignment";
    *alignment = ALIGNMENT_DEFAULT;
    if (metadata_find(keys, slice_of_text(key)) != NULL && !metadata_u32(keys, key, alignment, err)) {
        return false;
    }
    bool power = (*alignment & (*alignment - 1)) == 0;
    return (*alignment >= 8 && *alignment <= ALIGNMENT_MAX && power) ||
           error_set(err, ERROR_CORRUPT, "key '%s' is %u, not a power of two from 8", key, *alignment);
}

/* The descriptions that `rest` begins with, and the data behind them. */
static bool read_tensors(gguf *file, slice whole, slice rest, const header *h, const metadata *keys,
                         uint32_t part, error *err) {
    uint32_t alignment = 0;
    size_t first = file->names.count;
    if (!read_alignment(keys, &alignment, err)) {
        return false;
    }
    for (uint64_t i = 0; i < h->tensor_count; i++) {
        if (!read_tensor(file, &rest, part, err)) {
            return false;
        }
    }
    size_t end = whole.length - rest.length;
    slice data = slice_after(whole, end + (alignment - end % alignment) % alignment);
    for (size_t i = first; i < file->names.count; i++) {
        if (!place_tensor(file, i, first, data, alignment, err)) {
            return false;
        }
    }
    return true;
}

/* "split.no", "split.count": what llama.cpp's gguf-split writes. A file without them is whole. */
static bool check_split(const metadata *keys, size_t part, size_t part_count, error *err) {
    uint32_t number = 0;
    uint32_t count = 1;
    bool split = metadata_find(keys, SLICE_LITERAL("split.count")) != NULL;
    if (split &&
        (!metadata_u32(keys, "split.count", &count, err) || !metadata_u32(keys, "split.no", &number, err))) {
        return false;
    }
    if (count == 0 || number >= count) {
        return error_set(err, ERROR_CORRUPT, "key 'split.no' is %u of a 'split.count' of %u", number, count);
    }
    if (count != part_count) {
        return error_set(err, ERROR_CORRUPT, "the model has %u files by key 'split.count', %zu %s given",
                         count, part_count, part_count == 1 ? "is" : "are");
    }
    return number == part ||
           error_set(err, ERROR_CORRUPT, "key 'split.no' is %u, where %zu is due: the files are out of order",
                     number, part);
}

/* What a later part says about the model too must be what the first says. */
static bool check_same_model(const metadata *first, const metadata *other, error *err) {
    for (size_t i = 0; i < other->names.count; i++) {
        slice key = other->names.names[i];
        const metadata_value *v = metadata_find(first, key);
        bool own = slice_equal_text(key, "split.no") || slice_equal_text(key, "general.alignment");
        if (v != NULL && !own && !metadata_same(v, &other->values[i])) {
            return error_set(err, ERROR_CORRUPT,
                             "key '%.*s' is not what the first part says: they are of different models",
                             SLICE_FORMAT(key));
        }
    }
    return true;
}

static bool read_part(gguf *file, slice whole, uint32_t part, error *err) {
    slice rest = whole;
    header h = {0};
    metadata later = {0};
    metadata *keys = part == 0 ? &file->keys : &later;
    bool good = read_header(&rest, &h, err) && metadata_read(keys, &rest, h.key_count, err) &&
                check_split(keys, part, file->part_count, err) && check_same_model(&file->keys, keys, err) &&
                read_tensors(file, whole, rest, &h, keys, part, err);
    metadata_free(&later);
    file->version = part == 0 ? h.version : file->version;
    return good;
}

/* Room for the tensors of all parts. */
static bool make_room(gguf *file, const slice *files, error *err) {
    size_t count = 0;
    for (size_t i = 0; i < file->part_count; i++) {
        slice rest = files[i];
        header h = {0};
        if (!read_header(&rest, &h, err)) {
            return file->part_count > 1 ? error_context(err, "part %zu of %zu", i + 1, file->part_count)
                                        : false;
        }
        count += (size_t)h.tensor_count;
    }
    if (count > GGUF_TENSORS_MAX) {
        return error_set(err, ERROR_CORRUPT, "the files claim more tensors than a model has");
    }
    bool named = name_index_new(&file->names, count);
    file->tensors = memory_allocate_zeroed(count, sizeof *file->tensors);
    file->extents = memory_allocate_zeroed(count, sizeof *file->extents);
    file->by_offset = memory_allocate_zeroed(count, sizeof *file->by_offset);
    return (named && file->tensors != NULL && file->extents != NULL && file->by_offset != NULL) ||
           error_memory(err);
}

static bool read_all(gguf *file, const slice *files, error *err) {
    if (!make_room(file, files, err)) {
        return false;
    }
    for (uint32_t i = 0; i < file->part_count; i++) {
        if (!read_part(file, files[i], i, err)) {
            return file->part_count > 1 ? error_context(err, "part %u of %zu", i + 1, file->part_count)
                                        : false;
        }
    }
    uint32_t count = 0;
    if (metadata_find(&file->keys, SLICE_LITERAL("split.tensors.count")) != NULL &&
        !metadata_u32(&file->keys, "split.tensors.count", &count, err)) {
        return false;
    }
    return count == 0 || count == file->names.count ||
           error_set(err, ERROR_CORRUPT,
                     "the model has %u tensors by key 'split.tensors.count', its files %zu", count,
                     file->names.count);
}

gguf *gguf_open(const slice *files, size_t file_count, error *err) {
    if (file_count == 0 || file_count > GGUF_PARTS_MAX) {
        error_set(err, ERROR_INVALID, "a model has 1 to %d files", GGUF_PARTS_MAX);
        return NULL;
    }
    gguf *file = memory_allocate_zeroed(1, sizeof *file);
    if (file == NULL) {
        error_memory(err);
        return NULL;
    }
    file->part_count = file_count;
    if (!read_all(file, files, err)) {
        gguf_free(file);
        return NULL;
    }
    return file;
}

void gguf_free(gguf *file) {
    if (file != NULL) {
        metadata_free(&file->keys);
        name_index_free(&file->names);
        memory_free(file->tensors);
        memory_free(file->extents);
        memory_free(file->by_offset);
        memory_free(file);
    }
}

uint32_t gguf_version(const gguf *file) {
    return file->version;
}

size_t gguf_part_count(const gguf *file) {
    return file->part_count;
}

size_t gguf_tensor_count(const gguf *file) {
    return file->names.count;
}

const gguf_tensor *gguf_tensor_at(const gguf *file, size_t index) {
    return &file->tensors[index];
}

const gguf_tensor *gguf_find_tensor(const gguf *file, const char *name) {
    size_t index = name_index_find(&file->names, slice_of_text(name));
    return index == SIZE_MAX ? NULL : &file->tensors[index];
}
