#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "recovery/cover.h"
#include "recovery/recovery.h"
#include "recovery/write.h"

/* What a user asks about his own memory. */

static void write_officers(json_writer *w, const officers *present) {
    json_write_key(w, "officers");
    json_write_array_begin(w);
    for (size_t i = 0; i < present->count; i++) {
        json_write_text(w, slice_of_text(present->all[i].name));
    }
    json_write_array_end(w);
}

static void found_to_show(void *context, const store_recovery *found, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        officers present;
        reply_json answer;
        bool on = officers_present(later.pool, &present);
        const recovery *r = recovery_of(later.pool->recoveries, later.user_id);
        reply_json_begin(&answer);
        json_write_object_begin(&answer.w);
        json_add_text(&answer.w, "object", SLICE_LITERAL("cellule.memory.recovery"));
        json_add_bool(&answer.w, "on", on);
        json_add_u64(&answer.w, "needed", present.needed);
        write_officers(&answer.w, &present);
        json_add_u64(&answer.w, "shares", found == NULL ? 0 : found->count);
        json_add_bool(&answer.w, "covered",
                      on && found != NULL && cover_is_present(later.pool, found, &present));
        if (r != NULL) {
            json_write_key(&answer.w, "request");
            recovery_write(&answer.w, r, true);
        } else {
            json_add_null(&answer.w, "request");
        }
        json_write_object_end(&answer.w);
        reply_json_end(&answer, later.request, 200);
    }
    reply_later_end(&later);
}

void recovery_show(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    reply_later *later = reply_later_new(p, request, who->user_id);
    (void)segment;
    if (later != NULL &&
        !store_recovery_get(p->store, who->user_id, who->key_id, found_to_show, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* A request that isn't in the audit log yet. */
typedef struct asking {
    reply_later *later;
    recovery *made;
} asking;

static void entered(void *context, const error *failure) {
    asking a = *(asking *)context;
    reply_later later = reply_later_take(a.later);
    memory_free(context);
    if (failure != NULL) {
        recovery_end(a.made);
    } else {
        recovery_enter(a.made);
        log_info("a user asks the officers for his memory", LOG_U64("user", a.made->user_id));
    }
    if (reply_later_waits(&later, failure)) {
        recovery_reply(later.request, a.made, true, 201);
    }
    reply_later_end(&later);
}

static bool enter(reply_later *later, recovery *made, error *err) {
    char id[2 * RECOVERY_ID_SIZE + 1];
    asking *a = memory_allocate(sizeof *a);
    if (a == NULL) {
        return error_memory(err);
    }
    *a = (asking){.later = later, .made = made};
    hex_encode(slice_of(made->id, sizeof made->id), id);
    bool writes = audit_write(later->pool,
                              &(audit_record){.outcome = AUDIT_NOTED,
                                              .action = "recovery_requested",
                                              .actor = slice_of_text(made->user_name),
                                              .target = slice_of_text(id)},
                              entered, a, err);
    if (!writes) {
        memory_free(a);
    }
    return writes;
}

static bool check_found(const store_recovery *found, error *err) {
    if (found == NULL || found->count == 0) {
        return error_set(err, ERROR_NOT_FOUND,
                         found == NULL ? "nothing is kept for you, so there is nothing to recover"
                                       : "no officer has a share of what you keep: it was last opened before "
                                         "recovery was on, and opens with one of your keys alone");
    }
    return !found->opens ||
           error_set(err, ERROR_CONFLICT, "this key opens what you keep; nothing has to be recovered");
}

/* The caller may have lost the key meanwhile. */
static const account *caller(const reply_later *later, error *err) {
    const account *who = accounts_find_key_id(later->pool->accounts, later->key_id);
    if (who == NULL || who->user_id != later->user_id) {
        error_set(err, ERROR_DENIED, "this key has ended");
        return NULL;
    }
    return who;
}

static void found_to_ask(void *context, const store_recovery *found, const error *failure) {
    reply_later *later = context;
    error err = {0};
    if (later->request == NULL) {
        reply_later gone = reply_later_take(context);
        reply_later_end(&gone);
        return;
    }
    if (failure != NULL) {
        reply_later_fail(later, failure);
        return;
    }
    const account *who = caller(later, &err);
    recovery *made = who != NULL && check_found(found, &err)
                         ? recovery_make(later->pool->recoveries, who, found, &err)
                         : NULL;
    if (made == NULL) {
        reply_later_fail(later, &err);
    } else if (!enter(later, made, &err)) {
        recovery_end(made);
        reply_later_fail(later, &err);
    }
}

void recovery_request(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    const recovery *has = recovery_of(p->recoveries, who->user_id);
    (void)segment;
    if (p->settings.recovery_needed == 0) {
        reply_error(request, 409, NULL, "recovery_off",
                    "memory isn't recovered here: it opens with the keys of its user alone");
        return;
    }
    if (who->login != 0) {
        reply_error(request, 409, NULL, "key_needed",
                    "ask with the key itself that is to open your memory, not with a session");
        return;
    }
    if (has != NULL && has->key_id == who->key_id) {
        recovery_reply(request, has, true, 200);
        return;
    }
    reply_later *later = reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        return;
    }
    later->key_id = who->key_id;
    if (!store_recovery_get(p->store, who->user_id, who->key_id, found_to_ask, later, &err)) {
        reply_later_fail(later, &err);
    }
}
