#include "receipts.h"

#include "base/log.h"
#include "base/memory.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "reply.h"
#include "session.h"
#include "store/receipts.h"
#include "store/verifications.h"

#include <stdio.h>

enum {
    EXPIRE_BATCH = 500,
    CHECKED_FIRST = 20,      /* receipts of a session that are always verified */
    CHECKED_PER_SECOND = 50, /* and these after it, of all sessions */
    CHECKED_SHARE = 32       /* beyond, one in this many */
};

static bool wants_check(pool *p, uint64_t receipts_of_session, uint8_t draw) {
    uint64_t second = ev_now_ms(p->loop) / 1000;
    if (second != p->check_second) {
        p->check_second = second;
        p->checked_in_second = 0;
    }
    if (receipts_of_session > CHECKED_FIRST && p->checked_in_second >= CHECKED_PER_SECOND) {
        return draw < 256 / CHECKED_SHARE;
    }
    p->checked_in_second++;
    return true;
}

bool receipts_check(job *j, session *worker_session, signed_receipt *entry, error *err) {
    pool *p = j->work.pool;
    if (!wants_check(p, session_count_receipt(worker_session), j->check_draw)) {
        return true;
    }
    p->counters.receipts_checked++;
    bool holds = receipt_verify_worker(entry, err);
    p->counters.receipts_refused += !holds && err->code == ERROR_CORRUPT;
    return holds;
}

/* Outlives the job, which may end while the store works. */
struct receipt_storing {
    void (*stored)(void *context, const error *failure); /* NULL once forgotten */
    void *context;
};

static void stored(void *context, const error *failure) {
    receipt_storing storing = *(receipt_storing *)context;
    memory_free(context);
    if (storing.stored != NULL) {
        storing.stored(storing.context, failure);
    }
}

receipt_storing *receipts_keep(pool *p, const receipt_keeping *wanted, error *err) {
    receipt_storing *storing = memory_allocate(sizeof *storing);
    if (storing == NULL) {
        error_memory(err);
        return NULL;
    }
    *storing = (receipt_storing){.stored = wanted->stored, .context = wanted->context};
    const signed_receipt *entry = wanted->entry;
    store_receipt record = {.user_id = wanted->user_id,
                            .created_ms = clock_unix_ms(),
                            .receipt = slice_of(entry->bytes, entry->length)};
    memcpy(record.job_id, wanted->job_id, sizeof record.job_id);
    memcpy(record.worker_id, wanted->worker_id, sizeof record.worker_id);
    memcpy(record.worker_signature, entry->worker_signature, sizeof record.worker_signature);
    memcpy(record.worker_key, entry->worker_key, sizeof record.worker_key);
    memcpy(record.salt, entry->salt, sizeof record.salt);
    if (!store_receipt_add(p->store, &record, stored, storing, err)) {
        memory_free(storing);
        return NULL;
    }
    return storing;
}

static void stored_for_job(void *context, const error *failure) {
    job_receipt_stored(context, failure);
}

receipt_storing *receipts_store(pool *p, job *j, const fleet_worker *worker, const signed_receipt *entry,
                                error *err) {
    return receipts_keep(p,
                         &(receipt_keeping){.user_id = j->user_id,
                                            .job_id = j->work.id.bytes,
                                            .worker_id = worker->id,
                                            .entry = entry,
                                            .stored = stored_for_job,
                                            .context = j},
                         err);
}

void receipts_forget(receipt_storing *storing) {
    storing->stored = NULL;
}

/* The store's failure to keep a countersignature costs nothing: it is made again at the next fetch. */
static void countersignature_kept(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_warning("countersignature not kept", LOG_CAUSE(failure));
    }
}

static bool sign_found(pool *p, const store_receipt *found, signed_receipt *entry, error *err) {
    *entry = (signed_receipt){.length = found->receipt.length};
    if (found->receipt.length > sizeof entry->bytes) {
        return error_set(err, ERROR_CORRUPT, "the stored receipt is too long");
    }
    memcpy(entry->bytes, found->receipt.data, found->receipt.length);
    memcpy(entry->worker_key, found->worker_key, sizeof entry->worker_key);
    memcpy(entry->worker_signature, found->worker_signature, sizeof entry->worker_signature);
    memcpy(entry->salt, found->salt, sizeof entry->salt);
    return receipt_verify_worker(entry, err) && receipt_countersign(entry, p->site.key, &p->site.keys, err);
}

/* Lies in reply_later's `bytes` while the store is asked. */
typedef struct pair_found {
    uint8_t job_id[STORE_JOB_ID_SIZE]; /* of the answer that is asked about */
    uint8_t worker[STORE_WORKER_ID_SIZE];
    uint8_t other_worker[STORE_WORKER_ID_SIZE];
    uint8_t other_job[STORE_JOB_ID_SIZE]; /* all zero: no two workers answered at once */
} pair_found;
_Static_assert(sizeof(pair_found) == sizeof((reply_later){0}.bytes), "it fits");

static void add_partner(buffer *body, const pair_found *pair) {
    static const uint8_t none[STORE_JOB_ID_SIZE];
    char worker[2 * STORE_WORKER_ID_SIZE + 1];
    char receipt_id[2 * STORE_JOB_ID_SIZE + 1];
    if (memcmp(pair->other_job, none, sizeof none) != 0) {
        hex_encode(slice_of(pair->other_worker, sizeof pair->other_worker), worker);
        hex_encode(slice_of(pair->other_job, sizeof pair->other_job), receipt_id);
        buffer_append_format(body, ",\"agreed_with\":{\"worker\":\"%s\",\"receipt\":\"%s\"}", worker,
                             receipt_id);
    }
}

/* Outside of what is signed: last members of the object that has just been written. */
static void add_verification(buffer *body, const reply_later *later) {
    pair_found pair;
    memcpy(&pair, later->bytes, sizeof pair);
    slice text = buffer_slice(body);
    size_t length = text.length;
    while (length > 0 && text.data[length - 1] != '}') {
        length--;
    }
    if (length > 0) {
        buffer_truncate(body, length - 1);
        buffer_append_format(body, ",\"verification\":\"%s\"", later->name);
        add_partner(body, &pair);
        buffer_append_byte(body, '}');
    }
}

static void receipt_found(void *context, const store_receipt *found, const error *failure) {
    reply_later later = reply_later_take(context);
    signed_receipt entry;
    error err = {0};
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_error(later.request, reply_status_of(failure->code), NULL, error_code_name(failure->code), "%s",
                    failure->code == ERROR_NOT_FOUND ? "you have no receipt of this job" : failure->text);
        return;
    }
    bool signed_by_us = sign_found(later.pool, found, &entry, &err);
    if (!signed_by_us && err.code != ERROR_CORRUPT) {
        reply_failure(later.request, &err);
        return;
    }
    if (!signed_by_us) {
        later.pool->counters.receipts_refused++;
        log_error("a stored receipt does not hold", LOG_CAUSE(&err));
        reply_error(later.request, 502, NULL, "receipt_refused",
                    "the worker's signature on this receipt is not valid: do not rely on the answer; %s",
                    err.text);
        session_revoke_forger(later.pool, found->worker_id);
        return;
    }
    if (!found->countersigned &&
        !store_receipt_set_pool_signature(later.pool->store, found->job_id, entry.pool_signature,
                                          countersignature_kept, NULL, &err)) {
        countersignature_kept(NULL, &err);
    }
    reply_json answer;
    reply_json_begin(&answer);
    if (!receipt_write_json(&entry, &answer.body, &err)) {
        buffer_free(&answer.body);
        reply_failure(later.request, &err);
        return;
    }
    add_verification(&answer.body, &later);
    reply_json_end(&answer, later.request, 200);
}

static void note_state(reply_later *later, const store_verification *row) {
    snprintf(later->name, sizeof later->name, "%.*s",
             SLICE_FORMAT(proof_is_doubtful(later->pool, row) ? SLICE_LITERAL("doubtful") : row->state));
}

/* How its check stands goes into the request's name; then the receipt itself is asked for. */
static void latest_found(void *context, const store_verification *found, const error *failure) {
    reply_later *later = context;
    error err = {0};
    pair_found pair;
    memcpy(&pair, later->bytes, sizeof pair);
    if (failure != NULL && failure->code != ERROR_NOT_FOUND) {
        reply_later_fail(later, failure);
        return;
    }
    /* Of two and a third that they contradict, the third may have had the job's id. */
    if (failure == NULL && memcmp(found->worker_id, pair.worker, sizeof pair.worker) == 0) {
        note_state(later, found);
    }
    if (!store_receipt_get(later->pool->store, pair.job_id, later->user_id, receipt_found, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* Whether two workers agreed at once is put down before any check of what they said. */
static void first_found(void *context, const store_verification *found, const error *failure) {
    reply_later *later = context;
    error err = {0};
    pair_found pair = {0};
    if (failure != NULL && failure->code != ERROR_NOT_FOUND) {
        reply_later_fail(later, failure);
        return;
    }
    memcpy(pair.job_id, later->bytes, sizeof pair.job_id);
    snprintf(later->name, sizeof later->name, "none");
    if (failure == NULL) {
        memcpy(pair.worker, found->worker_id, sizeof pair.worker);
        memcpy(pair.other_worker, found->verifier_id, sizeof pair.other_worker);
        if (!proof_read_pair(found, pair.other_job)) {
            memset(pair.other_job, 0, sizeof pair.other_job);
        }
        note_state(later, found);
    }
    memcpy(later->bytes, &pair, sizeof pair);
    if (!store_verification_of_job(later->pool->store, pair.job_id, later->user_id, latest_found, later,
                                   &err)) {
        reply_later_fail(later, &err);
    }
}

void receipts_get(pool *p, http_request *request, const account *who, slice job_hex) {
    uint8_t job_id[STORE_JOB_ID_SIZE];
    error err = {0};
    if (!hex_decode(job_hex, job_id, sizeof job_id)) {
        reply_error(request, 404, NULL, "not_found", "a job's id is 32 lower-case hexadecimal digits");
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    memcpy(later->bytes, job_id, sizeof job_id);
    if (!store_verification_first_of_job(p->store, job_id, who->user_id, first_found, later, &err)) {
        reply_later_fail(later, &err);
    }
}

static void receipts_expired(void *context, size_t count, const error *failure) {
    pool *p = context;
    if (failure != NULL) {
        log_warning("old receipts not deleted", LOG_CAUSE(failure));
    } else if (count == EXPIRE_BATCH) {
        receipts_expire(p);
    }
}

void receipts_expire(pool *p) {
    uint64_t age_ms = p->settings.receipt_days * CLOCK_DAY_MS;
    uint64_t now = clock_unix_ms();
    error err = {0};
    if (now > age_ms &&
        !store_receipts_delete_before(p->store, now - age_ms, EXPIRE_BATCH, receipts_expired, p, &err)) {
        log_warning("old receipts not deleted", LOG_CAUSE(&err));
    }
}
