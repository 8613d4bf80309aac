/* What others say of a log: notes, checkpoints, keys, entries, bundles of entries. What is read is written
 * again alike; nothing that the fuzzer makes up is signed. */
#include "codec/json.h"
#include "crypto/start.h"
#include "ledger/audit_entry.h"
#include "ledger/checkpoint.h"
#include "ledger/layout.h"

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

static void try_key(slice text) {
    note_key key;
    note_key back;
    char written[NOTE_KEY_TEXT_MAX + 1];
    error err;
    if (note_key_parse(text, &key, &err)) {
        require(note_key_write(&key, written, &err));
        require(note_key_parse(slice_of_text(written), &back, &err));
        require(memcmp(&key, &back, sizeof key) == 0);
    }
}

static void try_checkpoint(slice text) {
    checkpoint c;
    checkpoint back;
    error err;
    if (checkpoint_parse(text, &c, &err)) {
        buffer written = buffer_make(1024);
        require(checkpoint_write(&c, &written, &err));
        require(slice_starts_with(text, buffer_slice(&written)));
        require(checkpoint_parse(buffer_slice(&written), &back, &err));
        require(memcmp(&c, &back, sizeof c) == 0);
        buffer_free(&written);
    }
}

static void try_note(slice bytes) {
    static const note_key nobody = {.name = "nobody", .kind = NOTE_COSIGNATURE, .public_key = {1}};
    note n;
    uint64_t time = 0;
    error err;
    if (note_parse(bytes, &n, &err)) {
        require(n.count > 0 && n.text.length > 0 && n.text.data[n.text.length - 1] == '\n');
        require(!note_verify(&n, &nobody, &time, &err) && time == 0);
        try_checkpoint(n.text);
    }
}

static void try_entry(slice bytes) {
    audit_entry entry;
    error err;
    if (audit_entry_parse(bytes, &entry, &err)) {
        buffer written = buffer_make(AUDIT_ENTRY_SIZE_MAX);
        require(audit_entry_write(&entry, &written, &err));
        require(slice_equal(bytes, buffer_slice(&written)));
        buffer_free(&written);
    }
}

static void try_bundle(slice bytes) {
    buffer written = buffer_make(LAYOUT_BUNDLE_MAX);
    slice rest = bytes;
    slice entry;
    while (layout_bundle_next(&rest, &entry)) {
        try_entry(entry);
        require(layout_bundle_append(&written, entry));
    }
    require(slice_starts_with(bytes, buffer_slice(&written)));
    buffer_free(&written);
}

/* The first hash as the leaf or the older root, the second as the root, the rest as the proof. What is proved
 * of one root is proved of no other. */
static void try_proof(slice bytes) {
    merkle_proof proof = {0};
    uint64_t numbers[2];
    uint8_t hashes[2][HASH_SIZE];
    uint8_t other[HASH_SIZE];
    error err;
    if (bytes.length < sizeof numbers + sizeof hashes) {
        return;
    }
    memcpy(numbers, bytes.data, sizeof numbers);
    memcpy(hashes, bytes.data + sizeof numbers, sizeof hashes);
    memcpy(other, hashes[1], sizeof other);
    other[0] ^= 1;
    slice rest = slice_after(bytes, sizeof numbers + sizeof hashes);
    proof.count = rest.length / HASH_SIZE < MERKLE_PROOF_MAX ? rest.length / HASH_SIZE : MERKLE_PROOF_MAX;
    if (proof.count > 0) {
        memcpy(proof.hashes, rest.data, proof.count * HASH_SIZE);
    }
    if (merkle_verify_inclusion(hashes[0], numbers[0], numbers[1], hashes[1], &proof, &err)) {
        require(!merkle_verify_inclusion(hashes[0], numbers[0], numbers[1], other, &proof, &err));
    }
    if (numbers[0] > 0 && /* a log of nothing is the beginning of any */
        merkle_verify_consistency(numbers[0], hashes[0], numbers[1], hashes[1], &proof, &err)) {
        require(!merkle_verify_consistency(numbers[0], hashes[0], numbers[1], other, &proof, &err));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    slice bytes = slice_of(data, size);
    try_key(bytes);
    try_checkpoint(bytes);
    try_note(bytes);
    try_entry(bytes);
    try_bundle(bytes);
    try_proof(bytes);
    return 0;
}
