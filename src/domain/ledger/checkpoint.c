#include "ledger/checkpoint.h"

#include "codec/base64.h"
#include "ledger/merkle.h"
#include "note_internal.h"

bool checkpoint_write(const checkpoint *c, buffer *text, error *err) {
    char root[BASE64_LENGTH(HASH_SIZE) + 1];
    if (!note_name_is_good(slice_of_text(c->origin))) {
        return error_set(err, ERROR_INVALID, "the origin of a log has neither spaces nor a plus sign");
    }
    base64_encode(slice_of(c->root, HASH_SIZE), root);
    return buffer_append_format(text, "%s\n%llu\n%s\n", c->origin, (unsigned long long)c->size, root) ||
           error_memory(err);
}

bool checkpoint_parse(slice text, checkpoint *c, error *err) {
    slice origin;
    slice size;
    slice root;
    slice more;
    size_t length = 0;
    memset(c, 0, sizeof *c);
    bool good = note_take_line(&text, &origin) && note_name_is_good(origin) && note_take_line(&text, &size) &&
                slice_to_u64(size, &c->size) && c->size <= MERKLE_SIZE_MAX && note_take_line(&text, &root) &&
                base64_decode(root, c->root, sizeof c->root, &length) && length == HASH_SIZE;
    while (good && text.length > 0) {
        good = note_take_line(&text, &more) && more.length > 0;
    }
    if (!good) {
        memset(c, 0, sizeof *c);
        return error_set(err, ERROR_INVALID, "not the checkpoint of a log");
    }
    memcpy(c->origin, origin.data, origin.length);
    return true;
}
