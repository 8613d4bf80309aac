#include "ledger/evidence.h"

#include "coder_internal.h"
#include "evidence_internal.h"
#include "succession_internal.h"

enum { MESSAGE_LIMIT = 8192 };

/* The worker's statement is one whole: bytes, key, signature. */
static void add_receipt(buffer *out, const signed_receipt *s) {
    envelope_add(out, slice_of(s->bytes, s->length));
    envelope_add(out, slice_of(s->worker_key, sizeof s->worker_key));
    envelope_add(out, slice_of(s->worker_signature, sizeof s->worker_signature));
}

static void add_finding(buffer *out, const signed_finding *s) {
    envelope_add(out, slice_of(s->bytes, s->length));
    envelope_add(out, slice_of(s->worker_key, sizeof s->worker_key));
    envelope_add(out, slice_of(s->worker_signature, sizeof s->worker_signature));
}

/* What the pool signs. Lengths have been checked. */
static bool make_message(const evidence *e, buffer *out, error *err) {
    envelope_begin(out, "cellule evidence v1");
    envelope_add_u32(out, e->version);
    envelope_add(out, slice_of(e->pool_id, sizeof e->pool_id));
    envelope_add(out, slice_of(e->convicted, sizeof e->convicted));
    envelope_add_u64(out, e->made_ms);
    add_receipt(out, &e->receipt);
    envelope_add_u32(out, (uint32_t)e->answer_count);
    for (size_t i = 0; i < e->answer_count; i++) {
        add_receipt(out, &e->answers[i]);
    }
    envelope_add_u32(out, (uint32_t)e->finding_count);
    for (size_t i = 0; i < e->finding_count; i++) {
        add_finding(out, &e->findings[i]);
    }
    if (e->version == EVIDENCE_VERSION_DECIDED) {
        envelope_add(out, slice_of_text(e->reason));
    }
    return !buffer_failed(out) || error_memory(err);
}

static bool check_counts(const evidence *e, error *err) {
    return (e->answer_count <= EVIDENCE_ANSWERS_MAX && e->finding_count <= EVIDENCE_FINDINGS_MAX) ||
           error_set(err, ERROR_CORRUPT, "the evidence has too many statements");
}

static bool check_time(const evidence *e, error *err) {
    return e->made_ms <= LEDGER_TIME_LIMIT ||
           error_set(err, ERROR_CORRUPT, "the time of this evidence is out of range");
}

static bool verify_findings(evidence *e, error *err) {
    for (size_t i = 0; i < e->finding_count; i++) {
        if (!finding_verify_worker(&e->findings[i], err)) {
            return error_context(err, "finding %zu of the evidence", i + 1);
        }
    }
    return true;
}

static bool countersign(signed_receipt *s, const sign_key *pool, const succession *keys, error *err) {
    memset(s->salt, 0, sizeof s->salt);
    return receipt_countersign(s, pool, keys, err);
}

static bool countersign_all(evidence *e, const sign_key *pool, const succession *keys, error *err) {
    if (!countersign(&e->receipt, pool, keys, err)) {
        return error_context(err, "the receipt of the evidence");
    }
    for (size_t i = 0; i < e->answer_count; i++) {
        if (!countersign(&e->answers[i], pool, keys, err)) {
            return error_context(err, "answer %zu of the evidence", i + 1);
        }
    }
    return true;
}

/* Of all keys that the pool has had. */
static bool name_pool(evidence *e, const sign_key *pool, const succession *keys, error *err) {
    if (keys == NULL) {
        return receipt_pool_id(sign_key_public(pool), e->pool_id, err);
    }
    memcpy(e->pool_id, keys->pool_id, sizeof e->pool_id);
    return succession_covers(keys, sign_key_public(pool), e->made_ms, err);
}

bool evidence_make(evidence *e, const sign_key *pool, const succession *keys, error *err) {
    e->version = e->reason[0] == '\0' ? EVIDENCE_VERSION : EVIDENCE_VERSION_DECIDED;
    buffer message = buffer_make(MESSAGE_LIMIT);
    bool good = check_counts(e, err) && check_time(e, err) && name_pool(e, pool, keys, err) &&
                countersign_all(e, pool, keys, err) && verify_findings(e, err) &&
                evidence_judge(e, NULL, err) && make_message(e, &message, err) &&
                sign_bytes(pool, buffer_slice(&message), e->pool_signature, err);
    if (good) {
        memcpy(e->pool_key, sign_key_public(pool), SIGN_PUBLIC_SIZE);
    }
    buffer_free(&message);
    return good;
}

bool evidence_version_is_known(const evidence *e, error *err) {
    if (e->version != EVIDENCE_VERSION && e->version != EVIDENCE_VERSION_DECIDED) {
        return error_set(err, ERROR_UNSUPPORTED,
                         "this evidence has version %u and only versions %d and %d are known",
                         (unsigned)e->version, EVIDENCE_VERSION, EVIDENCE_VERSION_DECIDED);
    }
    return (e->version == EVIDENCE_VERSION_DECIDED) == (e->reason[0] != '\0') ||
           error_set(err, ERROR_CORRUPT, "evidence of version %d, and no other, has a human's reason",
                     EVIDENCE_VERSION_DECIDED);
}

static bool verify_receipts(evidence *e, const uint8_t pool_id[HASH_SIZE], const succession *keys,
                            error *err) {
    if (!receipt_verify(&e->receipt, pool_id, keys, err)) {
        return error_context(err, "the receipt of the evidence");
    }
    for (size_t i = 0; i < e->answer_count; i++) {
        if (!receipt_verify(&e->answers[i], pool_id, keys, err)) {
            return error_context(err, "answer %zu of the evidence", i + 1);
        }
    }
    return true;
}

static bool verify_pool(const evidence *e, const uint8_t pool_id[HASH_SIZE], const succession *keys,
                        error *err) {
    if (!evidence_version_is_known(e, err)) {
        return false;
    }
    if (memcmp(e->pool_id, pool_id, HASH_SIZE) != 0) {
        return error_set(err, ERROR_CORRUPT, "this evidence is from another pool than the one expected");
    }
    return keys == NULL || hash_equal(keys->pool_id, pool_id, HASH_SIZE) ||
           error_set(err, ERROR_CORRUPT, "the keys given are another pool's");
}

static bool verify_signature(const evidence *e, const uint8_t pool_id[HASH_SIZE], const succession *keys,
                             error *err) {
    buffer message = buffer_make(MESSAGE_LIMIT);
    bool good = make_message(e, &message, err) &&
                (sign_verify(e->pool_key, buffer_slice(&message), e->pool_signature) ||
                 error_set(err, ERROR_CORRUPT, "the pool's signature does not match the evidence"));
    buffer_free(&message);
    return good && (keys == NULL ? succession_check_first(e->pool_key, pool_id, err)
                                 : succession_covers(keys, e->pool_key, e->made_ms, err));
}

bool evidence_verify(evidence *e, const uint8_t pool_id[HASH_SIZE], const succession *keys, error *err) {
    return check_counts(e, err) && verify_pool(e, pool_id, keys, err) && check_time(e, err) &&
           verify_receipts(e, pool_id, keys, err) && verify_findings(e, err) &&
           verify_signature(e, pool_id, keys, err) && evidence_judge(e, NULL, err);
}
