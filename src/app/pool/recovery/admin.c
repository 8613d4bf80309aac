#include "audit/audit.h"
#include "base/log.h"
#include "codec/base64.h"
#include "recovery/recovery.h"
#include "recovery/write.h"

/* What officers do. Each of their acts is in the audit log before it is done (audit/gate.h). */

enum { BODY_DEPTH = 2, BODY_VALUES = 8 };

void recovery_list(pool *p, http_request *request, const account *who, slice segment) {
    reply_json answer;
    (void)segment;
    reply_list_begin(&answer, "recoveries");
    for (const recovery *r = recovery_next(p->recoveries, NULL, who->user_id); r != NULL;
         r = recovery_next(p->recoveries, r, who->user_id)) {
        recovery_write(&answer.w, r, false);
    }
    reply_list_end(&answer, request, false);
}

/* NULL: it was answered. */
static recovery *find(pool *p, http_request *request, slice id) {
    uint8_t bytes[RECOVERY_ID_SIZE];
    recovery *r = hex_decode(id, bytes, sizeof bytes) ? recovery_find(p->recoveries, bytes) : NULL;
    if (r == NULL) {
        reply_error(request, 404, NULL, "not_found",
                    "there is no such request, or it has ended: after a day, with a restart of the pool, or "
                    "with its key; the list shows those there are");
    }
    return r;
}

void recovery_get_share(pool *p, http_request *request, const account *who, slice id) {
    error err = {0};
    const recovery *r = find(p, request, id);
    if (r == NULL) {
        return;
    }
    const recovery_expected *share = recovery_expect(r, who, &err);
    if (share == NULL) {
        reply_failure(request, &err);
        return;
    }
    reply_json answer;
    reply_json_begin(&answer);
    json_write_object_begin(&answer.w);
    json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.recovery.share"));
    json_add_bytes(&answer.w, "share", slice_of(share->sealed, share->sealed_length));
    json_write_key(&answer.w, "recovery");
    recovery_write(&answer.w, r, false);
    json_write_object_end(&answer.w);
    reply_json_end(&answer, request, 200);
}

static bool read_share(const pool *p, const http_request *request, uint8_t share[RECOVERY_SEALED_MAX],
                       size_t *length, error *err) {
    slice text = {NULL, 0};
    json_value *root = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, err);
    bool read = root != NULL && json_get_text(root, "share", &text, err) &&
                (base64url_decode(text, share, RECOVERY_SEALED_MAX, length) ||
                 error_set(err, ERROR_INVALID, "share: must be a sealed share as base64url"));
    json_free(root);
    return read;
}

static void note_ready(pool *p, const recovery *r) {
    char id[2 * RECOVERY_ID_SIZE + 1];
    hex_encode(slice_of(r->id, sizeof r->id), id);
    audit_note(p, &(audit_record){.outcome = AUDIT_NOTED,
                                  .action = "recovery_ready",
                                  .person = slice_of_text(r->user_name),
                                  .target = slice_of_text(id)});
}

void recovery_put_share(pool *p, http_request *request, const account *who, slice id) {
    uint8_t share[RECOVERY_SEALED_MAX];
    size_t length = 0;
    error err = {0};
    recovery *r = find(p, request, id);
    if (r == NULL) {
        return;
    }
    if (!read_share(p, request, share, &length, &err)) {
        reply_unreadable(request, "share", &err);
        return;
    }
    uint64_t user_id = r->user_id; /* it may end */
    if (!recovery_give(r, who, slice_of(share, length), &err)) {
        log_warning("an officer's share wasn't taken", LOG_U64("by", who->user_id), LOG_U64("for", user_id),
                    LOG_CAUSE(&err));
        reply_failure(request, &err);
        return;
    }
    log_info("an officer has given a share of a user's memory", LOG_U64("by", who->user_id),
             LOG_U64("for", user_id), LOG_U64("given", r->given_count));
    if (r->data_key != NULL) {
        note_ready(p, r);
    }
    recovery_reply(request, r, false, 200);
}

void recovery_refuse(pool *p, http_request *request, const account *who, slice id) {
    error err = {0};
    recovery *r = find(p, request, id);
    if (r == NULL) {
        return;
    }
    if (recovery_expect(r, who, &err) == NULL && err.code != ERROR_CONFLICT) {
        reply_failure(request, &err);
        return;
    }
    log_info("an officer has refused to give a user's memory back", LOG_U64("by", who->user_id),
             LOG_U64("for", r->user_id));
    recovery_end(r);
    reply_done(request);
}
