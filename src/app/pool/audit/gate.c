#include "audit/gate.h"

#include "audit/subject.h"
#include "audit_internal.h"
#include "base/memory.h"
#include "os/clock.h"
#include "reply.h"

#include <stdio.h>

enum { STRANGERS_IN_SECOND = 10 };

/* From the entry to the answer's head; freed by what comes last. */
typedef struct passage {
    pool *pool;
    http_request *request; /* NULL: the client has left */
    audit_outcome outcome;
    audit_go_on *go_on;
    const void *what;
    slice segment; /* lives as long as the request */
    char id[AUDIT_ID_SIZE];
    char actor[AUDIT_PERSON_MAX + 1];
    const char *role;
    const char *action;
} passage;

static audit_record record_of(http_request *request, const audit_act *act, const audit_about *s) {
    return (audit_record){
        .action = auth_action_name(act->action),
        .actor = act->who == NULL ? (slice){NULL, 0} : slice_of_text(act->who->user_name),
        .role = act->who == NULL ? NULL : auth_role_name(act->who->role),
        .target = slice_of_text(s->target),
        .person = s->person,
        .address = slice_of_text(http_request_peer(request)),
    };
}

static void client_left(void *context) {
    ((passage *)context)->request = NULL;
}

static void refuse_unwritten(http_request *request, const error *failure) {
    reply_error(request, 503, NULL, "audit_unavailable",
                "this can't be entered in the audit log, so it isn't done: %s", failure->text);
}

static void note_outcome(const passage *pass, audit_outcome outcome, const char *detail) {
    audit_note(pass->pool, &(audit_record){.outcome = outcome,
                                           .action = pass->action,
                                           .actor = slice_of_text(pass->actor),
                                           .role = pass->role,
                                           .request = pass->id,
                                           .detail = detail});
}

static void answered(void *context, unsigned status) {
    passage *pass = context;
    char detail[32];
    if (status == 0) {
        note_outcome(pass, AUDIT_NOTED, "the client left before the answer");
    } else if (status >= 400) {
        snprintf(detail, sizeof detail, "status %u", status);
        note_outcome(pass, AUDIT_FAILED, detail);
    }
    memory_free(pass);
}

static void entry_written(void *context, const error *failure) {
    passage *pass = context;
    http_request *request = pass->request;
    if (request == NULL) {
        if (failure == NULL && pass->outcome == AUDIT_ALLOWED) {
            note_outcome(pass, AUDIT_FAILED, "the client left before it was done");
        }
        memory_free(pass);
        return;
    }
    http_request_on_closed(request, NULL, NULL);
    if (failure != NULL) {
        memory_free(pass);
        refuse_unwritten(request, failure);
        return;
    }
    passage taken = *pass;
    if (taken.outcome == AUDIT_ALLOWED) {
        http_request_on_answered(request, answered, pass);
    } else {
        memory_free(pass);
    }
    taken.go_on(taken.pool, request, taken.what, taken.segment);
}

void audit_gate(pool *p, http_request *request, const audit_act *act, audit_outcome outcome,
                audit_go_on *go_on, const void *what) {
    error err = {0};
    audit_about s;
    passage *pass = memory_allocate_zeroed(1, sizeof *pass);
    if (pass == NULL) {
        reply_out_of_memory(request);
        return;
    }
    audit_describe(p, request, act, &s);
    audit_record record = record_of(request, act, &s);
    *pass = (passage){.pool = p,
                      .request = request,
                      .outcome = outcome,
                      .go_on = go_on,
                      .what = what,
                      .segment = act->segment,
                      .role = record.role,
                      .action = record.action};
    snprintf(pass->actor, sizeof pass->actor, "%.*s", SLICE_FORMAT(record.actor));
    record.outcome = outcome;
    record.request = pass->id;
    http_request_on_closed(request, client_left, pass);
    if (!audit_make_id(pass->id, &err) || !audit_write(p, &record, entry_written, pass, &err)) {
        http_request_on_closed(request, NULL, NULL);
        memory_free(pass);
        refuse_unwritten(request, &err);
    }
    audit_about_free(&s);
}

/* So that nobody without a right can fill the log, or the disk. */
static bool may_write_stranger(audit *a) {
    uint64_t second = clock_unix_ms() / 1000;
    if (second != a->stranger_second) {
        a->stranger_second = second;
        a->strangers_in_second = 0;
    }
    if (a->strangers_in_second >= STRANGERS_IN_SECOND) {
        a->strangers_unwritten++;
        return false;
    }
    a->strangers_in_second++;
    return true;
}

void audit_refusal(pool *p, http_request *request, const audit_act *act, const char *why) {
    char detail[128];
    audit_about s;
    audit *a = p->audit;
    if (act->who == NULL && !may_write_stranger(a)) {
        return;
    }
    audit_describe_path(act, &s);
    audit_record record = record_of(request, act, &s);
    snprintf(detail, sizeof detail, "%s", why);
    if (act->who == NULL && a->strangers_unwritten > 0) {
        snprintf(detail, sizeof detail, "%s; %llu more before it were not written", why,
                 (unsigned long long)a->strangers_unwritten);
        a->strangers_unwritten = 0;
    }
    record.outcome = AUDIT_REFUSED;
    record.detail = detail;
    audit_note(p, &record);
}
