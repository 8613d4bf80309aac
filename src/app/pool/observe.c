#include "observe.h"

#include "audit/audit.h"
#include "proof/proof.h"
#include "reply.h"
#include "secrets/secrets.h"
#include "store/meta.h"

#include <inttypes.h>

enum { METRICS_LIMIT = 1024 * 1024 };

void observe_health(pool *p, http_request *request) {
    (void)p;
    http_respond(request, 200, NULL, 0, SLICE_LITERAL("ok\n"));
}

static void reply_ready(http_request *request, bool writable) {
    if (writable) {
        http_respond(request, 200, NULL, 0, SLICE_LITERAL("ready\n"));
    } else {
        reply_error(request, 503, NULL, "database", "the last write to the database failed; see the log");
    }
}

static void probe_written(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (later.request != NULL) {
        reply_ready(later.request, failure == NULL);
    }
}

/* After a failed write nobody is sent here any more, so the question itself has to find out that all is well
 * again. */
static void probe_store(pool *p, http_request *request) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, 0);
    if (later != NULL && !store_meta_set(p->store, SLICE_LITERAL("ready_probe"), SLICE_LITERAL("1"),
                                         probe_written, later, &err)) {
        reply_ready(reply_later_take(later).request, false);
    }
}

void observe_ready(pool *p, http_request *request) {
    store_statistics stats;
    store_stats(p->store, &stats);
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping");
    } else if (stats.failing) {
        probe_store(p, request);
    } else {
        reply_ready(request, true);
    }
}

void observe_pool(pool *p, http_request *request) {
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.pool"));
    json_add_text(&answer.w, "pool_id", slice_of_text(p->site.pool_id_hex));
    json_add_bytes(&answer.w, "public_key", slice_of(sign_key_public(p->site.key), SIGN_PUBLIC_SIZE));
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

void observe_keys(pool *p, http_request *request) {
    reply_json answer;
    reply_json_begin(&answer);
    buffer_append(&answer.body, secrets_keys(p));
    reply_json_end(&answer, request, 200);
}

void observe_release(pool *p, http_request *request) {
    const release_status *release = &p->release;
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.release"));
    json_add_text(&answer.w, "version", SLICE_LITERAL(CELLULE_VERSION));
    json_add_text(&answer.w, "program", slice_of_text(release->program_hex));
    json_add_text(&answer.w, "check", slice_of_text(release_state_name(release->state)));
    if (release->state == RELEASE_VERIFIED) {
        json_add_u64(&answer.w, "expires_s", release->expires_s);
        json_add_text(&answer.w, "manifest", buffer_slice(&release->manifest));
    }
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static void add_metric(buffer *out, const char *name, const char *type, const char *help, uint64_t value) {
    buffer_append_format(out, "# HELP cellule_%s %s\n# TYPE cellule_%s %s\ncellule_%s %" PRIu64 "\n", name,
                         help, name, type, name, value);
}

static void add_request_metrics(buffer *out, const pool *p) {
    const pool_counters *c = &p->counters;
    add_metric(out, "http_requests_total", "counter", "HTTP requests.", c->requests);
    add_metric(out, "http_unauthorized_total", "counter", "Requests refused for want of a key or a role.",
               c->unauthorized);
    add_metric(out, "http_connections", "gauge", "Open connections, workers included.",
               net_connection_count(p->net));
    add_metric(out, "chats_total", "counter", "Questions accepted.", c->chats);
    add_metric(out, "answers_total", "counter", "Answers completed with a stored receipt.", c->answers);
    add_metric(out, "answer_failures_total", "counter", "Answers that ended with an error.",
               c->answer_failures);
    add_metric(out, "clients_left_total", "counter", "Questions whose client left before the end.",
               c->clients_left);
    add_metric(out, "embeddings_total", "counter", "Requests for embeddings that were answered.",
               c->embeddings);
    add_metric(out, "completion_tokens_total", "counter", "Tokens taken from workers.", c->tokens);
    add_metric(out, "receipts_checked_total", "counter", "Receipts verified before the answer was completed.",
               c->receipts_checked);
    add_metric(out, "receipts_refused_total", "counter", "Receipts that did not hold.", c->receipts_refused);
}

static void add_dispatch_metrics(buffer *out, const pool *p) {
    dispatch_stats stats;
    dispatch_read_stats(p->dispatch, &stats);
    add_metric(out, "workers_enrolled", "gauge", "Workers in the database, revoked ones included.",
               fleet_count(p->fleet));
    add_metric(out, "workers_connected", "gauge", "Workers with a live session.", stats.workers);
    add_metric(out, "worker_sessions_total", "counter", "Sessions welcomed.", p->counters.sessions_opened);
    add_metric(out, "worker_violations_total", "counter", "Sessions closed for breaking the protocol.",
               p->counters.session_violations);
    add_metric(out, "slots", "gauge", "Jobs that all workers can run at once.", stats.slots);
    add_metric(out, "slots_busy", "gauge", "Of these, busy.", stats.busy);
    add_metric(out, "jobs_running", "gauge", "Jobs with a worker.", stats.running);
    add_metric(out, "jobs_queued", "gauge", "Jobs that wait for a worker.", stats.queued);
    add_metric(out, "jobs_redispatched_total", "counter", "Jobs moved to another worker.",
               stats.redispatched);
    add_metric(out, "jobs_hung_total", "counter", "Jobs taken from a worker that made no progress.",
               stats.hung);
    add_metric(out, "jobs_cancelled_total", "counter", "Jobs cancelled.", stats.cancelled);
    buffer_append_text(out, "# HELP cellule_jobs_failed_total Jobs given up, by reason.\n"
                            "# TYPE cellule_jobs_failed_total counter\n");
    for (int reason = 0; reason < DISPATCH_FAILURES; reason++) {
        buffer_append_format(out, "cellule_jobs_failed_total{reason=\"%s\"} %" PRIu64 "\n",
                             dispatch_failure_name((dispatch_failure)reason), stats.failed[reason]);
    }
}

static void add_audit_metrics(buffer *out, const pool *p) {
    add_metric(out, "audit_entries", "gauge", "Entries of the audit log.", audit_size(p->audit));
    add_metric(out, "audit_failing", "gauge", "1: it can't be written, and privileged acts are refused.",
               audit_is_failing(p->audit) ? 1 : 0);
    add_metric(out, "audit_unchecked", "gauge", "Entries that aren't checked yet since the pool started.",
               audit_unchecked(p->audit));
}

static void add_proof_metrics(buffer *out, const pool *p) {
    proof_statistics stats;
    proof_read_statistics(p, &stats);
    add_metric(out, "verify_answers_total", "counter", "Answers whose check was decided about.",
               stats.answers);
    add_metric(out, "verify_drawn_total", "counter", "Of these, to be checked.", stats.drawn);
    add_metric(out, "verify_agreed_total", "counter", "Checks that agreed.", stats.agreed);
    add_metric(out, "verify_disputed_total", "counter", "Checks that differed.", stats.disputed);
    add_metric(out, "verify_worker_wrong_total", "counter", "Answers proved wrong.", stats.worker_wrong);
    add_metric(out, "verify_verifier_wrong_total", "counter", "Findings proved wrong.", stats.verifier_wrong);
    add_metric(out, "verify_open_total", "counter", "Disputes that an admin has to decide.", stats.open);
    add_metric(out, "verify_open", "gauge",
               "Disputes that wait for an admin now: cellule admin verification list --open.",
               stats.open_now);
    add_metric(out, "verify_disputes", "gauge", "Disputes that wait for somebody who can judge them.",
               stats.disputed_now);
    add_metric(out, "workers_quarantined", "gauge",
               "Connected workers that get no prompt: suspected or convicted.", stats.quarantined);
    add_metric(out, "verify_given_up_total", "counter", "Checks that came to no result.", stats.given_up);
    add_metric(out, "verify_expired_total", "counter", "Of these, checks that nobody could do in time.",
               stats.expired);
    add_metric(out, "verify_lost_total", "counter", "Checks that their verifier didn't do.", stats.lost);
    add_metric(out, "verify_waiting", "gauge", "Checks that wait for a verifier.", stats.waiting);
    add_metric(out, "verify_running", "gauge", "Checks that a verifier has.", stats.running);
    add_metric(out, "verify_compared_total", "counter", "Answers of runtimes compared with another worker's.",
               stats.compared);
    add_metric(out, "verify_deviated_total", "counter", "Of these, that differ more than honest ones do.",
               stats.deviated);
    add_metric(out, "verify_uncompared_total", "counter",
               "Drawn answers of runtimes that nobody could be found to answer too.", stats.uncompared);
    add_metric(out, "verify_runtimes_learning", "gauge",
               "Runtimes of which it isn't known yet how alike honest answers are.", stats.learning);
    add_metric(out, "workers_convicted_total", "counter", "Workers proved wrong and shut out.",
               stats.convicted);
    add_metric(out, "honeytokens_sent_total", "counter", "Prompts with a marker sent to workers.",
               stats.honeytokens);
    add_metric(out, "honeytokens_seen_total", "counter",
               "Markers seen where they shouldn't be: prompts leak.", stats.leaks);
}

static void add_store_metrics(buffer *out, const pool *p) {
    store_statistics stats;
    store_stats(p->store, &stats);
    add_metric(out, "store_queued", "gauge", "Database operations waiting.", stats.queued);
    add_metric(out, "store_requests_total", "counter", "Database operations run.", stats.requests);
    add_metric(out, "store_failures_total", "counter", "Of these, failed.", stats.failures);
    add_metric(out, "store_commits_total", "counter", "Transactions committed.", stats.commits);
    add_metric(out, "store_last_commit_microseconds", "gauge", "Duration of the last commit.",
               stats.last_commit_us);
}

void observe_metrics(pool *p, http_request *request, const account *who, slice segment) {
    static const http_header type = {SLICE_LITERAL("Content-Type"),
                                     SLICE_LITERAL("text/plain; version=0.0.4; charset=utf-8")};
    (void)who;
    (void)segment;
    buffer text = buffer_make(METRICS_LIMIT);
    add_request_metrics(&text, p);
    add_dispatch_metrics(&text, p);
    add_audit_metrics(&text, p);
    add_proof_metrics(&text, p);
    add_store_metrics(&text, p);
    if (buffer_failed(&text)) {
        reply_out_of_memory(request);
    } else {
        http_respond(request, 200, &type, 1, buffer_slice(&text));
    }
    buffer_free(&text);
}

void observe_status(pool *p, http_request *request, const account *who, slice segment) {
    dispatch_stats stats;
    reply_json answer;
    (void)who;
    (void)segment;
    proof_statistics checks;
    proof_read_statistics(p, &checks);
    dispatch_read_stats(p->dispatch, &stats);
    reply_json_begin(&answer);
    json_writer *w = &answer.w;
    json_write_object_begin(w);
    json_add_text(w, "object", SLICE_LITERAL("cellule.status"));
    json_add_text(w, "version", SLICE_LITERAL(CELLULE_VERSION));
    json_add_text(w, "pool_id", slice_of_text(p->site.pool_id_hex));
    json_add_u64(w, "workers_enrolled", fleet_count(p->fleet));
    json_add_u64(w, "workers_connected", stats.workers);
    json_add_u64(w, "slots", stats.slots);
    json_add_u64(w, "jobs_running", stats.running);
    json_add_u64(w, "jobs_queued", stats.queued);
    json_add_u64(w, "answers", p->counters.answers);
    json_add_u64(w, "workers_quarantined", checks.quarantined);
    json_add_u64(w, "workers_convicted", checks.convicted_now);
    json_add_u64(w, "checks_waiting", checks.waiting);
    json_add_u64(w, "checks_running", checks.running);
    json_add_u64(w, "disputes_waiting", checks.disputed_now);
    json_add_u64(w, "disputes_open", checks.open_now);
    json_write_object_end(w);
    reply_json_end(&answer, request, 200);
}

/* Listed once, whatever it does. */
static bool is_listed(const pool *p, const dispatch_model_info *model) {
    return model->kind == DISPATCH_GENERATE ||
           !dispatch_has_model(p->dispatch, model->name, DISPATCH_GENERATE);
}

/* `kinds` is beyond what OpenAI's clients know. */
static void write_model(const pool *p, json_writer *w, const dispatch_model_info *model) {
    json_write_object_begin(w);
    json_add_text(w, "id", model->name);
    json_add_text(w, "object", SLICE_LITERAL("model"));
    json_add_u64(w, "created", 0);
    json_add_text(w, "owned_by", SLICE_LITERAL("cellule"));
    json_write_key(w, "kinds");
    json_write_array_begin(w);
    if (dispatch_has_model(p->dispatch, model->name, DISPATCH_GENERATE)) {
        json_write_text(w, SLICE_LITERAL("generate"));
    }
    if (dispatch_has_model(p->dispatch, model->name, DISPATCH_EMBED)) {
        json_write_text(w, SLICE_LITERAL("embed"));
    }
    json_write_array_end(w);
    json_write_object_end(w);
}

void observe_models(pool *p, http_request *request, const account *who, slice segment) {
    dispatch_model_info model;
    reply_json answer;
    (void)who;
    (void)segment;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("list"));
    json_write_key(&answer.w, "data");
    json_write_array_begin(&answer.w);
    for (size_t i = 0; dispatch_model_next(p->dispatch, &i, &model);) {
        if (is_listed(p, &model)) {
            write_model(p, &answer.w, &model);
        }
    }
    json_write_array_end(&answer.w);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

void observe_model(pool *p, http_request *request, const account *who, slice name) {
    dispatch_model_info model;
    (void)who;
    for (size_t i = 0; dispatch_model_next(p->dispatch, &i, &model);) {
        if (slice_equal(model.name, name)) {
            reply_json answer;
            reply_json_begin(&answer);
            write_model(p, &answer.w, &model);
            reply_json_end(&answer, request, 200);
            return;
        }
    }
    reply_error(request, 404, "model", "model_not_found", "no connected worker has this model");
}
