#ifndef LEDGER_EVIDENCE_H
#define LEDGER_EVIDENCE_H

#include "ledger/finding.h"

/* Why a worker was convicted: what it signed, and what two others signed who agree with each other and
 * contradict it; or, where nobody could settle it, what one other signed and why a human decided so. Signed
 * by the pool; checked offline; tells nothing of the prompt, as no salt is in it. The README has the rules.
 */
enum {
    EVIDENCE_VERSION = 1,
    EVIDENCE_VERSION_DECIDED = 2, /* by a human */
    EVIDENCE_REASON_MAX = 256,
    EVIDENCE_ANSWERS_MAX = 3,
    EVIDENCE_FINDINGS_MAX = 4,
    EVIDENCE_JSON_LIMIT = 65536
};

typedef struct evidence {
    uint32_t version;
    uint8_t pool_id[HASH_SIZE];
    uint8_t convicted[RECEIPT_WORKER_SIZE]; /* the worker that signed one of the statements below */
    uint64_t made_ms;                       /* Unix, by the pool's clock; at most 2^53 */
    char reason[EVIDENCE_REASON_MAX + 1];   /* of the human who decided, UTF-8; empty: the statements alone */
    signed_receipt receipt;                 /* the answer in question; its salt is zeros */
    size_t answer_count;
    signed_receipt answers[EVIDENCE_ANSWERS_MAX]; /* of others to the same question; their salts are zeros */
    size_t finding_count;
    signed_finding findings[EVIDENCE_FINDINGS_MAX]; /* of verifiers and referees, about the receipt */
    uint8_t pool_key[SIGN_PUBLIC_SIZE];
    uint8_t pool_signature[SIGN_SIGNATURE_SIZE];
} evidence;

/* Statements are counted through: 0 is the receipt, behind it the answers, behind these the findings. */
typedef struct evidence_ruling {
    size_t convicted;     /* the statement of the convicted one */
    size_t witnesses[2];  /* two that agree and contradict it; one that does where a human decided */
    size_t witness_count; /* 2, or 1 */
} evidence_ruling;

/* The statement's worker, or NULL if there is no such statement. */
const uint8_t *evidence_worker(const evidence *e, size_t statement);
/* The finding that a statement is, or NULL; the receipt or answer that it is, or NULL. */
const signed_finding *evidence_finding(const evidence *e, size_t statement);
const signed_receipt *evidence_answer(const evidence *e, size_t statement);

/* Whether the statements convict, signatures aside: all are about one question in an exact profile, no two by
 * one worker, and one by the convicted contradicts two others that agree, or, with a reason, one other.
 * ERROR_CORRUPT says what doesn't hold. `ruling` may be NULL. */
MUST_CHECK bool evidence_judge(const evidence *e, evidence_ruling *ruling, error *err);
/* Pool: `convicted`, `made_ms`, `reason` and the statements are given, each with bytes, worker_key and
 * worker_signature; countersigns the receipts, drops their salts, fills in the rest. What doesn't convict
 * isn't signed: ERROR_CORRUPT. `keys` as for receipt_countersign. */
MUST_CHECK bool evidence_make(evidence *e, const sign_key *pool, const succession *keys, error *err);
/* Anyone: all signatures and evidence_judge. `pool_id` is the pool that the caller trusts: it alone knows
 * which keys are workers. `keys` and errors as for receipt_verify. */
MUST_CHECK bool evidence_verify(evidence *e, const uint8_t pool_id[HASH_SIZE], const succession *keys,
                                error *err);

/* One JSON object; the receipts and findings stand in it as they do alone. Reading is as strict as theirs and
 * takes no salt; it does not verify: evidence_verify does. */
MUST_CHECK bool evidence_write_json(const evidence *e, buffer *out, error *err);
MUST_CHECK bool evidence_read_json(slice json, evidence *e, error *err);

#endif
