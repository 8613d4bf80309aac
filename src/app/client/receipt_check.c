#include "receipt_check.h"

static bool check_job(const signed_receipt *entry, const char *job_hex, error *err) {
    uint8_t job[RECEIPT_JOB_SIZE];
    return (hex_decode(slice_of_text(job_hex), job, sizeof job) &&
            memcmp(job, entry->fields.job_id, sizeof job) == 0) ||
           error_set(err, ERROR_CORRUPT, "the receipt is of another job");
}

static bool check_prompt(const signed_receipt *entry, const receipt_claims *claims, error *err) {
    uint8_t digest[HASH_SIZE];
    return receipt_hash_prompt(entry->salt, claims->messages, claims->message_count, digest, err) &&
           (memcmp(digest, entry->fields.prompt_hash, sizeof digest) == 0 ||
            error_set(err, ERROR_CORRUPT, "the receipt is about another question"));
}

static bool check_answer(const signed_receipt *entry, slice answer, error *err) {
    uint8_t digest[HASH_SIZE];
    return receipt_hash_answer(entry->salt, answer, digest, err) &&
           (memcmp(digest, entry->fields.answer_hash, sizeof digest) == 0 ||
            error_set(err, ERROR_CORRUPT, "the receipt is about another answer"));
}

bool receipt_check(slice json, const receipt_claims *claims, signed_receipt *entry, error *err) {
    return receipt_read_json(json, entry, err) && receipt_verify(entry, claims->pool_id, claims->keys, err) &&
           (claims->job_hex == NULL || check_job(entry, claims->job_hex, err)) &&
           (claims->messages == NULL || check_prompt(entry, claims, err)) &&
           (claims->answer == NULL || check_answer(entry, *claims->answer, err));
}
