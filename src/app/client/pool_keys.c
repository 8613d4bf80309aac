#include "client/pool_keys.h"

#include "codec/json_writer.h"
#include "os/file.h"

bool pool_keys_get(api *a, const uint8_t pool_id[HASH_SIZE], succession *keys, error *err) {
    api_answer answer;
    if (!api_call(a, "GET", "/v1/pool/keys", (slice){0}, &answer, err)) {
        return error_context(err, "asking for the keys that the pool has had");
    }
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    json_writer w = json_writer_make(&json);
    json_write_value(&w, answer.json);
    json_free(answer.json);
    bool read =
        (!buffer_failed(&json) || error_set(err, ERROR_LIMIT, "they are longer than any pool's can be")) &&
        succession_read_json(buffer_slice(&json), pool_id, keys, err);
    buffer_free(&json);
    return read || error_context(err, "the keys that the pool shows");
}

bool pool_keys_write(const succession *keys, const char *path, error *err) {
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool written =
        succession_write_json(keys, &json, err) && file_write_atomic(path, buffer_slice(&json), 0644, err);
    buffer_free(&json);
    return written;
}
