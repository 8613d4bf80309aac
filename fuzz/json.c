/* Whatever parses is written as JSON that parses to the same text again. */
#include "codec/json.h"
#include "codec/json_writer.h"

#include <stdlib.h>

static const json_limits limits = {.size = 1 << 16, .depth = 64};

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    json_start(1);
    return 0;
}

static bool write_value(const json_value *value, buffer *out) {
    json_writer w = json_writer_make(out);
    json_write_value(&w, value);
    return !buffer_failed(out);
}

static void use_getters(const json_value *root) {
    error err;
    slice text;
    uint64_t number = 0;
    double real = 0;
    const json_value *value = NULL;
    const char *name = NULL;
    while (json_next_member(root, &name, &value)) {
        if (json_get_text(root, name, &text, &err) && !slice_is_utf8(text)) {
            abort();
        }
        if (json_get_u64(root, name, 1, 100, &number, &err) && (number < 1 || number > 100)) {
            abort();
        }
        if (json_get_double(root, name, -1, 1, &real, &err) && !(real >= -1 && real <= 1)) {
            abort();
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    error err;
    json_value *root = json_parse(slice_of(data, size), limits, &err);
    if (root == NULL) {
        return 0;
    }
    use_getters(root);
    buffer first = buffer_make(1 << 22);
    buffer second = buffer_make(1 << 22);
    json_value *again = NULL;
    if (!write_value(root, &first)) {
        abort();
    }
    again = json_parse(buffer_slice(&first), (json_limits){.size = 1 << 22, .depth = 64}, &err);
    if (again == NULL || !write_value(again, &second) ||
        !slice_equal(buffer_slice(&first), buffer_slice(&second))) {
        abort();
    }
    json_free(again);
    json_free(root);
    buffer_free(&first);
    buffer_free(&second);
    return 0;
}
