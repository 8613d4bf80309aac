#include "verify.h"

#include "client/client.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/file.h"
#include "os/random.h"

enum { SIZE_LIMIT = 4 * 1024 * 1024, DEPTH = 16, VALUES = 100000 };

bool verify_begin(error *err) {
    uint64_t seed = 0;
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    return true;
}

bool verify_start(const char *pool_id_hex, uint8_t pool_id[HASH_SIZE], error *err) {
    if (!hex_decode(slice_of_text(pool_id_hex), pool_id, HASH_SIZE)) {
        return error_set(
            err, ERROR_INVALID,
            "say which pool you trust: --pool-id HEX, the 64 digits that `cellule pool init` printed");
    }
    return verify_begin(err);
}

void verify_ask_for_keys(error *err) {
    if (err->code == ERROR_NOT_FOUND) {
        const error cause = *err;
        error_set(
            err, cause.code,
            "%s: if the pool has exchanged its key, give --keys FILE, made now with curl --cacert ca.pem "
            "https://POOL/v1/pool/keys > FILE",
            cause.text);
    }
}

bool verify_read_keys(const char *path, const uint8_t pool_id[HASH_SIZE], succession *keys, error *err) {
    buffer json = buffer_make(SUCCESSION_JSON_LIMIT);
    bool read =
        path == NULL ||
        (file_read_all(path, &json, err) &&
         (succession_read_json(buffer_slice(&json), pool_id, keys, err) || error_context(err, "%s", path)));
    buffer_free(&json);
    return read;
}

bool verify_read(const char *path, const char *object, buffer *json, error *err) {
    static const json_limits limits = {.size = SIZE_LIMIT, .depth = DEPTH, .values = VALUES};
    slice said = {0};
    if (!file_read_input(path, json, err)) {
        return false;
    }
    json_value *root = json_parse(buffer_slice(json), limits, err);
    bool is_one = root != NULL && json_get_text(root, "object", &said, err) &&
                  (slice_equal_text(said, object) ||
                   error_set(err, ERROR_INVALID, "\"object\" must be \"%s\"", object));
    json_free(root);
    return is_one || error_context(err, "%s isn't what is to be checked, or not whole", path);
}

int verify_main(int argc, char **argv) {
    static const verb verbs[] = {
        {"receipt", verify_receipt_main, "check a receipt, and compute its answer again"},
        {"evidence", verify_evidence_main, "check why a worker was convicted"},
        {"audit", verify_audit_main, "check a copy of a pool's audit log"},
        {"release", verify_release_main, "check an unpacked release"},
    };
    return options_run_verb("cellule verify", verbs, sizeof verbs / sizeof verbs[0], argc, argv);
}
