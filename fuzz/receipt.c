/* Receipts and findings. What decodes encodes to the same bytes; what reads as JSON comes back the same
 * through JSON; no receipt that the fuzzer makes up verifies, and a finding does or doesn't in both forms. */
#include "codec/json.h"
#include "crypto/start.h"
#include "ledger/finding.h"

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

static void try_bytes(slice input) {
    error err;
    receipt r;
    if (!receipt_decode(input, &r, &err)) {
        return;
    }
    buffer again = buffer_make(RECEIPT_ENCODED_LIMIT);
    require(receipt_encode(&r, &again, &err));
    require(slice_equal(buffer_slice(&again), input));
    buffer_free(&again);
}

static void try_json(slice input) {
    error err;
    signed_receipt s;
    signed_receipt back;
    if (!receipt_read_json(input, &s, &err)) {
        return;
    }
    buffer text = buffer_make(RECEIPT_JSON_LIMIT);
    require(receipt_write_json(&s, &text, &err));
    require(receipt_read_json(buffer_slice(&text), &back, &err));
    require(back.length == s.length && memcmp(back.bytes, s.bytes, s.length) == 0);
    buffer_free(&text);
    static const uint8_t pool_id[HASH_SIZE] = {1};
    require(!receipt_verify(&s, pool_id, NULL, &err));
}

static void try_finding_bytes(slice input) {
    error err;
    finding f;
    if (!finding_decode(input, &f, &err)) {
        return;
    }
    buffer again = buffer_make(FINDING_ENCODED_LIMIT);
    require(finding_encode(&f, &again, &err));
    require(slice_equal(buffer_slice(&again), input));
    buffer_free(&again);
    require(f.agreed <= f.claimed_tokens && !(f.complete && f.has_expected));
}

static void try_finding_json(slice input) {
    error err;
    signed_finding s;
    signed_finding back;
    if (!finding_read_json(input, &s, &err)) {
        return;
    }
    buffer text = buffer_make(FINDING_JSON_LIMIT);
    require(finding_write_json(&s, &text, &err));
    require(finding_read_json(buffer_slice(&text), &back, &err));
    require(back.length == s.length && memcmp(back.bytes, s.bytes, s.length) == 0);
    buffer_free(&text);
    require(finding_verify_worker(&s, &err) == finding_verify_worker(&back, &err));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    try_bytes(slice_of(data, size));
    try_json(slice_of(data, size));
    try_finding_bytes(slice_of(data, size));
    try_finding_json(slice_of(data, size));
    return 0;
}
