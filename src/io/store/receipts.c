#include "store/receipts.h"

#include "request.h"

typedef struct receipt_add {
    request base;
    store_receipt receipt;
    store_done *done;
    void *context;
} receipt_add;

static bool receipt_add_run(request *base, database *d, error *err) {
    const store_receipt *receipt = &((const receipt_add *)base)->receipt;
    query q;
    query_start(&q, d,
                "INSERT INTO receipts (job_id, user_id, worker_id, created_ms, receipt, worker_signature, "
                "worker_key, "
                "salt, pool_signature) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)");
    query_bytes(&q, receipt->job_id, sizeof receipt->job_id);
    query_u64(&q, receipt->user_id);
    query_bytes(&q, receipt->worker_id, sizeof receipt->worker_id);
    query_u64(&q, receipt->created_ms);
    query_bytes(&q, receipt->receipt.data, receipt->receipt.length);
    query_bytes(&q, receipt->worker_signature, sizeof receipt->worker_signature);
    query_bytes(&q, receipt->worker_key, sizeof receipt->worker_key);
    query_bytes(&q, receipt->salt, sizeof receipt->salt);
    if (receipt->countersigned) {
        query_bytes(&q, receipt->pool_signature, sizeof receipt->pool_signature);
    }
    return query_run(&q, err) || error_context(err, "receipt");
}

static void receipt_add_answer(request *base, const error *failure) {
    const receipt_add *r = (const receipt_add *)base;
    r->done(r->context, failure);
}

static const operation receipt_add_operation = {DATABASE_WRITE | OPERATION_BLIND, receipt_add_run,
                                                receipt_add_answer};

bool store_receipt_add(store *s, const store_receipt *receipt, store_done *done, void *context, error *err) {
    if (receipt->receipt.length == 0 || receipt->receipt.length > STORE_RECEIPT_MAX) {
        return error_set(err, ERROR_INVALID, "a receipt has 1 to %d bytes", (int)STORE_RECEIPT_MAX);
    }
    receipt_add *r = request_new(&receipt_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->receipt = *receipt;
    r->receipt.receipt = request_copy(&r->base, receipt->receipt);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct receipt_get {
    request base;
    store_receipt receipt;
    store_receipt_found *done;
    void *context;
} receipt_get;

static bool receipt_get_run(request *base, database *d, error *err) {
    store_receipt *receipt = &((receipt_get *)base)->receipt;
    query q;
    query_start(&q, d,
                "SELECT worker_id, created_ms, receipt, worker_signature, worker_key, salt, pool_signature "
                "FROM receipts WHERE job_id = ? AND user_id = ?");
    query_bytes(&q, receipt->job_id, sizeof receipt->job_id);
    query_u64(&q, receipt->user_id);
    bool row = false;
    if (!query_row(&q, &row, err)) {
        return false;
    }
    if (!row) {
        return error_set(err, ERROR_NOT_FOUND, "there is no receipt for this job");
    }
    query_read_bytes(&q, receipt->worker_id, sizeof receipt->worker_id);
    receipt->created_ms = query_read_u64(&q);
    receipt->receipt = query_read_slice(&q, base->memory);
    query_read_bytes(&q, receipt->worker_signature, sizeof receipt->worker_signature);
    query_read_bytes(&q, receipt->worker_key, sizeof receipt->worker_key);
    query_read_bytes(&q, receipt->salt, sizeof receipt->salt);
    receipt->countersigned = query_read_bytes(&q, receipt->pool_signature, sizeof receipt->pool_signature);
    return query_columns_fit(&q, err);
}

static void receipt_get_answer(request *base, const error *failure) {
    const receipt_get *r = (const receipt_get *)base;
    r->done(r->context, failure == NULL ? &r->receipt : NULL, failure);
}

static const operation receipt_get_operation = {DATABASE_READ, receipt_get_run, receipt_get_answer};

bool store_receipt_get(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id,
                       store_receipt_found *done, void *context, error *err) {
    receipt_get *r = request_new(&receipt_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->receipt.job_id, job_id, sizeof r->receipt.job_id);
    r->receipt.user_id = user_id;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct receipt_sign {
    request base;
    uint8_t job_id[STORE_JOB_ID_SIZE];
    uint8_t signature[STORE_SIGNATURE_SIZE];
    store_done *done;
    void *context;
} receipt_sign;

static bool receipt_exists(database *d, const uint8_t *job_id, bool *exists, error *err) {
    query q;
    query_start(&q, d, "SELECT 1 FROM receipts WHERE job_id = ?");
    query_bytes(&q, job_id, STORE_JOB_ID_SIZE);
    return query_row(&q, exists, err);
}

static bool receipt_sign_run(request *base, database *d, error *err) {
    const receipt_sign *r = (const receipt_sign *)base;
    query q;
    query_start(&q, d,
                "UPDATE receipts SET pool_signature = ?1 "
                "WHERE job_id = ?2 AND (pool_signature IS NULL OR pool_signature = ?1)");
    query_bytes(&q, r->signature, sizeof r->signature);
    query_bytes(&q, r->job_id, sizeof r->job_id);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) == 1) {
        return true;
    }
    bool exists = false;
    if (!receipt_exists(d, r->job_id, &exists, err)) {
        return false;
    }
    return exists ? error_set(err, ERROR_CONFLICT, "the receipt is countersigned already")
                  : error_set(err, ERROR_NOT_FOUND, "there is no receipt for this job");
}

static void receipt_sign_answer(request *base, const error *failure) {
    const receipt_sign *r = (const receipt_sign *)base;
    r->done(r->context, failure);
}

static const operation receipt_sign_operation = {DATABASE_WRITE, receipt_sign_run, receipt_sign_answer};

bool store_receipt_set_pool_signature(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE],
                                      const uint8_t signature[STORE_SIGNATURE_SIZE], store_done *done,
                                      void *context, error *err) {
    receipt_sign *r = request_new(&receipt_sign_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->job_id, job_id, sizeof r->job_id);
    memcpy(r->signature, signature, sizeof r->signature);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct receipts_delete {
    request base;
    uint64_t before_ms;
    size_t limit;
    size_t count;
    store_receipts_deleted *done;
    void *context;
} receipts_delete;

static void give_bounds(const receipts_delete *r, query *q) {
    query_u64(q, r->before_ms);
    query_u64(q, r->limit);
}

/* Of each table at most `limit` rows: the greatest count tells whether more is left. */
static bool run_delete(receipts_delete *r, query *q, database *d, error *err) {
    if (!query_run(q, err)) {
        return false;
    }
    size_t count = (size_t)database_changes(d);
    if (count > 0) {
        database_note_wipe(d); /* salts, and payloads that a decision left */
    }
    r->count = count > r->count ? count : r->count;
    return true;
}

/* A dispute that nobody decided in all that time has no receipt any more. */
static bool delete_checks(receipts_delete *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM inference_verifications WHERE number IN "
                "(SELECT number FROM inference_verifications "
                "WHERE (decided_ms IS NOT NULL OR state = 'open') AND created_ms < ? "
                "ORDER BY created_ms LIMIT ?)");
    give_bounds(r, &q);
    return run_delete(r, &q, d, err);
}

static bool delete_notices(receipts_delete *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM notices WHERE id IN "
                "(SELECT id FROM notices WHERE created_ms < ? ORDER BY created_ms LIMIT ?)");
    give_bounds(r, &q);
    return run_delete(r, &q, d, err);
}

static bool delete_receipts(receipts_delete *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM receipts WHERE job_id IN "
                "(SELECT job_id FROM receipts WHERE created_ms < ? ORDER BY created_ms LIMIT ?)");
    give_bounds(r, &q);
    return run_delete(r, &q, d, err);
}

/* Those that were seen somewhere stay. */
static bool delete_honeytokens(receipts_delete *r, database *d, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM honeytokens WHERE id IN "
                "(SELECT id FROM honeytokens WHERE seen_ms IS NULL AND created_ms < ? ORDER BY created_ms "
                "LIMIT ?)");
    uint64_t longer = STORE_HONEYTOKEN_DAYS * UINT64_C(86400000);
    query_u64(&q, r->before_ms > longer ? r->before_ms - longer : 0);
    query_u64(&q, r->limit);
    return run_delete(r, &q, d, err);
}

static bool receipts_delete_run(request *base, database *d, error *err) {
    receipts_delete *r = (receipts_delete *)base;
    return delete_receipts(r, d, err) && delete_checks(r, d, err) && delete_notices(r, d, err) &&
           delete_honeytokens(r, d, err);
}

static void receipts_delete_answer(request *base, const error *failure) {
    const receipts_delete *r = (const receipts_delete *)base;
    r->done(r->context, failure == NULL ? r->count : 0, failure);
}

static const operation receipts_delete_operation = {DATABASE_WRITE, receipts_delete_run,
                                                    receipts_delete_answer};

bool store_receipts_delete_before(store *s, uint64_t before_ms, size_t limit, store_receipts_deleted *done,
                                  void *context, error *err) {
    if (!request_check_list(limit, err)) {
        return false;
    }
    receipts_delete *r = request_new(&receipts_delete_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->before_ms = before_ms;
    r->limit = limit;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}
