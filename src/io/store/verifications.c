#include "verifications_internal.h"

static uint32_t read_u32(query *q) {
    uint64_t value = query_read_u64(q);
    return value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
}

bool verifications_read(query *q, arena *memory, store_verification *v, error *err) {
    v->number = query_read_u64(q);
    query_read_bytes(q, v->id, sizeof v->id);
    query_read_bytes(q, v->job_id, sizeof v->job_id);
    v->user_id = query_read_u64(q);
    query_read_bytes(q, v->worker_id, sizeof v->worker_id);
    v->model = query_read_slice(q, memory);
    v->mode = query_read_slice(q, memory);
    v->state = query_read_slice(q, memory);
    v->created_ms = query_read_u64(q);
    v->decided_ms = query_read_u64(q);
    v->recheck = query_read_u64(q) != 0;
    v->has_verifier = query_read_bytes(q, v->verifier_id, sizeof v->verifier_id);
    v->has_referee = query_read_bytes(q, v->referee_id, sizeof v->referee_id);
    v->independence = query_read_slice(q, memory);
    bool same = query_column_is_null(q);
    uint64_t position = query_read_u64(q);
    v->position = same ? -1 : (int64_t)position;
    v->attempts = read_u32(q);
    v->referees = read_u32(q);
    v->findings = query_read_slice(q, memory);
    v->payload = query_read_slice(q, memory);
    return query_columns_fit(q, err);
}

typedef struct verification_put {
    request base;
    store_verification verification;
    bool wipe;
    store_done *done;
    void *context;
} verification_put;

static void verification_put_answer(request *base, const error *failure) {
    const verification_put *r = (const verification_put *)base;
    r->done(r->context, failure);
}

/* The parameters that adding and updating share, in their order. */
static void give_course(query *q, const store_verification *v) {
    query_text(q, v->state);
    if (v->decided_ms == 0) {
        query_null(q);
    } else {
        query_u64(q, v->decided_ms);
    }
    if (v->has_verifier) {
        query_bytes(q, v->verifier_id, sizeof v->verifier_id);
    } else {
        query_null(q);
    }
    if (v->has_referee) {
        query_bytes(q, v->referee_id, sizeof v->referee_id);
    } else {
        query_null(q);
    }
    query_text(q, v->independence);
    if (v->position < 0) {
        query_null(q);
    } else {
        query_u64(q, (uint64_t)v->position);
    }
    query_u64(q, v->attempts);
    query_u64(q, v->referees);
    query_bytes(q, v->findings.data, v->findings.length);
}

static bool add_payload(database *d, slice payload, error *err) {
    query q;
    query_start(&q, d, "INSERT INTO inference_payloads (number, payload) VALUES (last_insert_rowid(), ?)");
    query_bytes(&q, payload.data, payload.length);
    return query_run(&q, err);
}

static bool verification_add_run(request *base, database *d, error *err) {
    const store_verification *v = &((const verification_put *)base)->verification;
    query q;
    query_start(
        &q, d,
        "INSERT INTO inference_verifications (state, decided_ms, verifier_id, referee_id, "
        "independence, position, attempts, referees, findings, id, job_id, user_id, worker_id, model, "
        "mode, created_ms, recheck) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    give_course(&q, v);
    query_bytes(&q, v->id, sizeof v->id);
    query_bytes(&q, v->job_id, sizeof v->job_id);
    query_u64(&q, v->user_id);
    query_bytes(&q, v->worker_id, sizeof v->worker_id);
    query_text(&q, v->model);
    query_text(&q, v->mode);
    query_u64(&q, v->created_ms);
    query_u64(&q, v->recheck);
    bool added = query_run(&q, err) && (v->payload.length == 0 || add_payload(d, v->payload, err));
    return added || error_context(err, "verification");
}

static const operation verification_add_operation = {DATABASE_WRITE | OPERATION_BLIND, verification_add_run,
                                                     verification_put_answer};

static bool delete_payload(database *d, const store_verification *v, error *err) {
    query q;
    query_start(&q, d,
                "DELETE FROM inference_payloads "
                "WHERE number = (SELECT number FROM inference_verifications WHERE id = ?)");
    query_bytes(&q, v->id, sizeof v->id);
    if (!query_run(&q, err)) {
        return false;
    }
    if (database_changes(d) > 0) {
        database_note_wipe(d);
    }
    return true;
}

static bool verification_update_run(request *base, database *d, error *err) {
    const verification_put *r = (const verification_put *)base;
    query q;
    query_start(&q, d,
                "UPDATE inference_verifications SET state = ?, decided_ms = ?, verifier_id = ?, "
                "referee_id = ?, independence = ?, position = ?, attempts = ?, referees = ?, findings = ? "
                "WHERE id = ?");
    give_course(&q, &r->verification);
    query_bytes(&q, r->verification.id, sizeof r->verification.id);
    if (!query_run(&q, err)) {
        return error_context(err, "verification");
    }
    if (database_changes(d) == 0) {
        return error_set(err, ERROR_NOT_FOUND, "there is no such verification");
    }
    return !r->wipe || delete_payload(d, &r->verification, err);
}

static const operation verification_update_operation = {DATABASE_WRITE, verification_update_run,
                                                        verification_put_answer};

static bool check(const store_verification *v, error *err) {
    if (v->payload.length > STORE_PAYLOAD_MAX || v->findings.length > STORE_FINDINGS_MAX) {
        return error_set(err, ERROR_INVALID,
                         "a verification has a payload of at most %d bytes, findings of %d",
                         (int)STORE_PAYLOAD_MAX, (int)STORE_FINDINGS_MAX);
    }
    return request_text_is_valid(v->model, STORE_MODEL_MAX) ||
           error_set(err, ERROR_INVALID, "a model's name is text of at most %d bytes", (int)STORE_MODEL_MAX);
}

bool store_verification_add(store *s, const store_verification *verification, store_done *done, void *context,
                            error *err) {
    if (!check(verification, err)) {
        return false;
    }
    verification_put *r = request_new(&verification_add_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->verification = *verification;
    r->verification.model = request_copy(&r->base, verification->model);
    r->verification.mode = request_copy(&r->base, verification->mode);
    r->verification.state = request_copy(&r->base, verification->state);
    r->verification.independence = request_copy(&r->base, verification->independence);
    r->verification.findings = request_copy(&r->base, verification->findings);
    r->verification.payload = request_copy(&r->base, verification->payload);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_verification_update(store *s, const store_verification *verification, bool wipe, store_done *done,
                               void *context, error *err) {
    if (verification->findings.length > STORE_FINDINGS_MAX) {
        return error_set(err, ERROR_INVALID, "a verification has findings of at most %d bytes",
                         (int)STORE_FINDINGS_MAX);
    }
    verification_put *r = request_new(&verification_update_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    r->verification = *verification;
    r->verification.state = request_copy(&r->base, verification->state);
    r->verification.independence = request_copy(&r->base, verification->independence);
    r->verification.findings = request_copy(&r->base, verification->findings);
    r->wipe = wipe;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

typedef struct verification_get {
    request base;
    store_verification verification;
    bool first;
    store_verification_found *done;
    void *context;
} verification_get;

static bool read_one(query *q, verification_get *r, error *err) {
    bool row = false;
    if (!query_row(q, &row, err)) {
        return false;
    }
    return row ? verifications_read(q, r->base.memory, &r->verification, err)
               : error_set(err, ERROR_NOT_FOUND, "there is no such verification");
}

static void verification_get_answer(request *base, const error *failure) {
    const verification_get *r = (const verification_get *)base;
    r->done(r->context, failure == NULL ? &r->verification : NULL, failure);
}

static bool verification_get_run(request *base, database *d, error *err) {
    verification_get *r = (verification_get *)base;
    query q;
    query_start(&q, d, VERIFICATION_WITH_PAYLOAD "WHERE id = ?");
    query_bytes(&q, r->verification.id, sizeof r->verification.id);
    return read_one(&q, r, err);
}

static const operation verification_get_operation = {DATABASE_READ, verification_get_run,
                                                     verification_get_answer};

bool store_verification_get(store *s, const uint8_t id[STORE_VERIFICATION_ID_SIZE],
                            store_verification_found *done, void *context, error *err) {
    verification_get *r = request_new(&verification_get_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->verification.id, id, sizeof r->verification.id);
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

static bool verification_of_job_run(request *base, database *d, error *err) {
    verification_get *r = (verification_get *)base;
    query q;
    query_start(&q, d,
                r->first
                    ? VERIFICATION_WITH_FINDINGS "WHERE job_id = ? AND user_id = ? ORDER BY v.number LIMIT 1"
                    : VERIFICATION_ALONE "WHERE job_id = ? AND user_id = ? ORDER BY v.number DESC LIMIT 1");
    query_bytes(&q, r->verification.job_id, sizeof r->verification.job_id);
    query_u64(&q, r->verification.user_id);
    return read_one(&q, r, err);
}

static const operation verification_of_job_operation = {DATABASE_READ, verification_of_job_run,
                                                        verification_get_answer};

static bool find_of_job(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id, bool first,
                        store_verification_found *done, void *context, error *err) {
    verification_get *r = request_new(&verification_of_job_operation, sizeof *r, err);
    if (r == NULL) {
        return false;
    }
    memcpy(r->verification.job_id, job_id, sizeof r->verification.job_id);
    r->verification.user_id = user_id;
    r->first = first;
    r->done = done;
    r->context = context;
    return request_submit(s, &r->base, err);
}

bool store_verification_of_job(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id,
                               store_verification_found *done, void *context, error *err) {
    return find_of_job(s, job_id, user_id, false, done, context, err);
}

bool store_verification_first_of_job(store *s, const uint8_t job_id[STORE_JOB_ID_SIZE], uint64_t user_id,
                                     store_verification_found *done, void *context, error *err) {
    return find_of_job(s, job_id, user_id, true, done, context, err);
}
