#include "verify.h"

#include "client/client.h"
#include "codec/json.h"
#include "crypto/start.h"
#include "options/options.h"
#include "os/random.h"

bool verify_start(const char *pool_id_hex, uint8_t pool_id[HASH_SIZE], error *err) {
    uint64_t seed = 0;
    if (!hex_decode(slice_of_text(pool_id_hex), pool_id, HASH_SIZE)) {
        return error_set(
            err, ERROR_INVALID,
            "say which pool you trust: --pool-id HEX, the 64 digits that `cellule pool init` printed");
    }
    if (!crypto_start(err) || !random_bytes(&seed, sizeof seed, err)) {
        return false;
    }
    json_start(seed);
    return true;
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
