#include "app_model/model_files.h"

#include "os/file.h"

#include <limits.h>
#include <stdio.h>

static const uint64_t size_max = UINT64_C(1) << 40;

/* What gguf-split calls its files, behind the model's name. */
enum { DIGITS = 5, SUFFIX_LENGTH = 1 + DIGITS + 4 + DIGITS + 5 };

static bool read_digits(slice text, uint32_t *number) {
    *number = 0;
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < '0' || text.data[i] > '9') {
            return false;
        }
        *number = *number * 10 + (uint32_t)(text.data[i] - '0');
    }
    return text.length == DIGITS;
}

/* Whether a path ends in "-00001-of-00003.gguf". */
static bool read_suffix(slice path, uint32_t *number, uint32_t *count) {
    if (path.length <= SUFFIX_LENGTH) {
        return false;
    }
    slice suffix = slice_after(path, path.length - SUFFIX_LENGTH);
    return slice_starts_with(suffix, SLICE_LITERAL("-")) &&
           read_digits(slice_part(suffix, 1, DIGITS), number) &&
           slice_equal_text(slice_part(suffix, 1 + DIGITS, 4), "-of-") &&
           read_digits(slice_part(suffix, 5 + DIGITS, DIGITS), count) &&
           slice_equal_text(slice_after(suffix, 5 + 2 * DIGITS), ".gguf");
}

static bool map_part(const char *path, model_files *files, error *err) {
    slice *part = &files->parts[files->count];
    if (!file_map(path, part, err)) {
        return false;
    }
    files->count++;
    files->size += part->length;
    return files->size <= size_max ||
           error_set(err, ERROR_LIMIT, "%s is larger than any model: name another file", path);
}

static bool map_all(const char *path, model_files *files, error *err) {
    slice name = slice_of_text(path);
    uint32_t number = 0;
    uint32_t count = 0;
    if (!read_suffix(name, &number, &count)) {
        return map_part(path, files, err);
    }
    if (number != 1 || count < 1 || count > GGUF_PARTS_MAX) {
        return error_set(
            err, ERROR_INVALID,
            "%s is part %u of %u: name the first part of a model of at most %d, the others are found "
            "beside it",
            path, number, count, GGUF_PARTS_MAX);
    }
    for (uint32_t i = 1; i <= count; i++) {
        char part[PATH_MAX];
        int length = snprintf(part, sizeof part, "%.*s-%05u-of-%05u.gguf", (int)(name.length - SUFFIX_LENGTH),
                              path, i, count);
        if (length < 0 || (size_t)length >= sizeof part) {
            return error_set(err, ERROR_INVALID, "the path of the model is too long");
        }
        if (!map_part(part, files, err)) {
            return false;
        }
    }
    return true;
}

bool model_files_map(const char *path, model_files *files, error *err) {
    *files = (model_files){0};
    if (!map_all(path, files, err)) {
        model_files_unmap(files);
        return false;
    }
    return true;
}

void model_files_unmap(model_files *files) {
    for (size_t i = 0; i < files->count; i++) {
        file_unmap(files->parts[i]);
    }
    *files = (model_files){0};
}
