#include "request.h"

/* A million rows of keys or workers, while their array doubles. */
enum { REQUEST_MEMORY_LIMIT = 1024 * 1024 * 1024, FIRST_ROWS = 16 };

void *request_new(const operation *o, size_t size, error *err) {
    arena *memory = arena_new(REQUEST_MEMORY_LIMIT);
    request *r = memory == NULL ? NULL : arena_allocate(memory, size);
    if (r == NULL) {
        arena_free(memory);
        error_memory(err);
        return NULL;
    }
    r->operation = o;
    r->memory = memory;
    return r;
}

void request_free(request *r) {
    if (r != NULL) {
        arena_free(r->memory);
    }
}

slice request_copy(request *r, slice input) {
    slice copy = {NULL, 0};
    r->memory_out = !arena_copy(r->memory, input, &copy) || r->memory_out;
    return copy;
}

static bool is_power_of_two(size_t n) {
    return (n & (n - 1)) == 0;
}

void *request_add_row(request *r, void **rows, size_t *count, size_t size, error *err) {
    if (*count == STORE_LOAD_MAX) {
        error_set(err, ERROR_LIMIT, "there are more than %d rows to load", (int)STORE_LOAD_MAX);
        return NULL;
    }
    bool full = *count == 0 || (*count >= FIRST_ROWS && is_power_of_two(*count));
    if (full) {
        void *larger = arena_allocate_array(r->memory, *count == 0 ? FIRST_ROWS : *count * 2, size);
        if (larger == NULL) {
            error_memory(err);
            return NULL;
        }
        if (*count > 0) {
            memcpy(larger, *rows, *count * size);
        }
        *rows = larger;
    }
    return (uint8_t *)*rows + size * (*count)++;
}

bool request_check_list(size_t limit, error *err) {
    return (limit > 0 && limit <= STORE_LIST_MAX) ||
           error_set(err, ERROR_INVALID, "ask for 1 to %d rows", (int)STORE_LIST_MAX);
}

bool request_text_is_valid(slice text, size_t most) {
    if (text.length > most || !slice_is_utf8(text)) {
        return false;
    }
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] < ' ' || text.data[i] == 0x7F) {
            return false;
        }
    }
    return true;
}

bool request_mode_is_known(slice mode) {
    return slice_equal_text(mode, "off") || slice_equal_text(mode, "spot") ||
           slice_equal_text(mode, "every") || slice_equal_text(mode, "proved") ||
           slice_equal_text(mode, "required");
}

bool store_display_name_is_valid(slice name) {
    return name.length > 0 && request_text_is_valid(name, STORE_NAME_MAX);
}

bool store_user_name_is_valid(slice name) {
    if (name.length == 0 || name.length > STORE_NAME_MAX) {
        return false;
    }
    for (size_t i = 0; i < name.length; i++) {
        uint8_t c = name.data[i];
        bool allowed =
            (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '@' || c == '-';
        if (!allowed) {
            return false;
        }
    }
    return true;
}
