#include "base/log.h"
#include "codec/json.h"
#include "crypto/hash.h"
#include "rekey/rekey.h"
#include "reply.h"

enum { BODY_DEPTH = 4, BODY_VALUES = 64 };

static void write_progress(const pool *p, http_request *request) {
    rekey_progress progress;
    reply_json answer;
    rekey_describe(p, &progress);
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.rotation"));
    json_add_u64(&answer.w, "epoch", progress.epoch);
    json_add_u64(&answer.w, "workers", progress.workers);
    json_add_u64(&answer.w, "done", progress.done);
    json_add_u64(&answer.w, "away", progress.away);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

void admin_rotation(pool *p, http_request *request, const account *who, slice segment) {
    (void)who;
    (void)segment;
    write_progress(p, request);
}

static void epoch_raised(void *context, const error *failure) {
    reply_later later = reply_later_take(context);
    if (failure == NULL) {
        log_warning("all workers are asked for another key", LOG_U64("by", later.user_id),
                    LOG_U64("epoch", later.pool->key_epoch));
    }
    if (reply_later_waits(&later, failure)) {
        write_progress(later.pool, later.request);
    }
    reply_later_end(&later);
}

/* {"all": true}: said, and not by mistake. False: the request has been answered. */
static bool means_all(pool *p, http_request *request) {
    error err = {0};
    bool all = false;
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
    bool read = root != NULL && json_get_bool(root, "all", &all, &err);
    json_free(root);
    if (!read) {
        reply_unreadable(request, "all", &err);
    } else if (!all) {
        reply_error(request, 400, "all", NULL, "all must be true");
    }
    return read && all;
}

void admin_rotate_all(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    if (!means_all(p, request)) {
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later != NULL && !rekey_all(p, epoch_raised, later, &err)) {
        reply_later_fail(later, &err);
    }
}

void admin_rotate(pool *p, http_request *request, const account *who, slice worker_id) {
    uint8_t id[STORE_WORKER_ID_SIZE];
    fleet_worker *worker = hex_decode(worker_id, id, sizeof id) ? fleet_find(p->fleet, id) : NULL;
    if (worker == NULL) {
        reply_error(request, 404, NULL, "not_found",
                    "no worker with this id is enrolled; the worker list shows them");
    } else if (!rekey_one(worker)) {
        reply_error(request, 409, NULL, "conflict",
                    "this worker isn't connected under this id, or is being asked for another key already");
    } else {
        log_warning("a worker is asked for another key", LOG_U64("by", who->user_id),
                    LOG_TEXT("worker", worker->id_hex));
        reply_done(request);
    }
}
