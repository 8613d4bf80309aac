#include "machine.h"

#include "base/log.h"
#include "codec/envelope.h"
#include "crypto/hash.h"
#include "os/file.h"

enum { ID_FILE_LIMIT = 4096 };

static bool hash_id(slice id, const uint8_t pool_id[PROTO_POOL_ID_SIZE], uint8_t machine[PROTO_MACHINE_SIZE],
                    error *err) {
    buffer bytes = buffer_make(2 * ID_FILE_LIMIT);
    envelope_begin(&bytes, "cellule machine v1");
    envelope_add(&bytes, slice_of(pool_id, PROTO_POOL_ID_SIZE));
    envelope_add(&bytes, id);
    bool done =
        (!buffer_failed(&bytes) || error_memory(err)) && hash_sha256(buffer_slice(&bytes), machine, err);
    buffer_wipe(&bytes);
    return done;
}

bool machine_identify(const char *path, const uint8_t pool_id[PROTO_POOL_ID_SIZE],
                      uint8_t machine[PROTO_MACHINE_SIZE], error *err) {
    error cause = {0};
    buffer text = buffer_make(ID_FILE_LIMIT);
    memset(machine, 0, PROTO_MACHINE_SIZE);
    bool read = file_exists(path) && file_read_all(path, &text, &cause);
    slice content = buffer_slice(&text);
    slice id = slice_trim(slice_part(content, 0, slice_find(content, '\n')));
    bool good = cause.code != ERROR_MEMORY || error_memory(err);
    if (!read || id.length == 0 || slice_equal(id, SLICE_LITERAL("uninitialized"))) {
        log_debug("this machine has no id", LOG_TEXT("file", path), LOG_CAUSE(&cause));
    } else {
        good = hash_id(id, pool_id, machine, err);
    }
    buffer_wipe(&text);
    return good;
}
