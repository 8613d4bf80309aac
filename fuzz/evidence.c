/* What reads as JSON comes back the same through JSON; nothing that the fuzzer makes up verifies; judging
 * takes whatever can be read. */
#include "ledger/evidence.h"
#include "codec/json.h"
#include "crypto/start.h"

#include <stdlib.h>

int LLVMFuzzerInitialize(int *count, char ***arguments);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *count, char ***arguments) {
    (void)count;
    (void)arguments;
    error err;
    json_start(1);
    if (!crypto_start(&err)) {
        abort();
    }
    return 0;
}

static void require(bool condition) {
    if (!condition) {
        abort();
    }
}

/* A ruling names three statements, of three workers. */
static void try_judging(const evidence *e) {
    error err;
    evidence_ruling ruling;
    if (!evidence_judge(e, &ruling, &err)) {
        return;
    }
    require(memcmp(evidence_worker(e, ruling.convicted), e->convicted, RECEIPT_WORKER_SIZE) == 0);
    require(ruling.witnesses[0] < ruling.witnesses[1] && ruling.witnesses[0] != ruling.convicted &&
            ruling.witnesses[1] != ruling.convicted);
    require(memcmp(evidence_worker(e, ruling.witnesses[0]), evidence_worker(e, ruling.witnesses[1]),
                   RECEIPT_WORKER_SIZE) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t pool_id[HASH_SIZE] = {1};
    error err;
    evidence e;
    evidence back;
    if (!evidence_read_json(slice_of(data, size), &e, &err)) {
        return 0;
    }
    buffer text = buffer_make(EVIDENCE_JSON_LIMIT);
    buffer again = buffer_make(EVIDENCE_JSON_LIMIT);
    require(evidence_write_json(&e, &text, &err));
    require(evidence_read_json(buffer_slice(&text), &back, &err));
    require(evidence_write_json(&back, &again, &err));
    require(slice_equal(buffer_slice(&text), buffer_slice(&again)));
    buffer_free(&text);
    buffer_free(&again);
    try_judging(&e);
    require(!evidence_verify(&e, pool_id, NULL, &err));
    return 0;
}
