#include "audit/gate.h"

#include "audit_internal.h"
#include "base/memory.h"
#include "codec/json.h"
#include "os/clock.h"
#include "reply.h"

#include <stdio.h>

enum { STRANGERS_IN_SECOND = 10, BODY_DEPTH = 4, BODY_VALUES = 64, TARGET_SIZE = AUDIT_TEXT_MAX + 1 };

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

/* What the record's texts point into. */
typedef struct subject {
    char target[TARGET_SIZE];
    slice person;
    json_value *body;
} subject;

static void describe_path(const audit_act *act, slice segment, char target[TARGET_SIZE]) {
    const char *star = strchr(act->pattern, '*');
    if (star == NULL || segment.length == 0) {
        snprintf(target, TARGET_SIZE, "%s %s", act->method, act->pattern);
        return;
    }
    snprintf(target, TARGET_SIZE, "%s %.*s%.*s%s", act->method, (int)(star - act->pattern), act->pattern,
             SLICE_FORMAT(slice_part(segment, 0, TARGET_SIZE)), star + 1);
}

static slice text_in(const subject *s, const char *name) {
    slice text = {NULL, 0};
    error err = {0};
    return s->body != NULL && json_kind_of(s->body) == JSON_KIND_OBJECT &&
                   json_get_text(s->body, name, &text, &err)
               ? text
               : (slice){NULL, 0};
}

static void read_body(const pool *p, const http_request *request, subject *s) {
    error err = {0};
    s->body = json_parse(
        http_request_body(request),
        (json_limits){.size = p->settings.body_limit, .depth = BODY_DEPTH, .values = BODY_VALUES}, &err);
}

static void add_to_target(subject *s, const char *word, slice value) {
    size_t length = strlen(s->target);
    snprintf(s->target + length, sizeof s->target - length, " %s %.*s", word,
             SLICE_FORMAT(slice_part(value, 0, 128)));
}

/* A body that can't be read names nobody: its handler refuses it. */
static void describe(const pool *p, const http_request *request, const audit_act *act, subject *s) {
    *s = (subject){.body = NULL};
    bool names_segment = act->subject == AUDIT_OF_SEGMENT || act->subject == AUDIT_OF_HASH;
    describe_path(act, names_segment ? act->segment : (slice){NULL, 0}, s->target);
    switch (act->subject) {
    case AUDIT_OF_NOTHING:
    case AUDIT_OF_SEGMENT:
        return;
    case AUDIT_OF_PERSON:
        s->person = act->segment;
        return;
    case AUDIT_OF_NAME:
        read_body(p, request, s);
        s->person = text_in(s, "name");
        return;
    case AUDIT_OF_OWNER:
        read_body(p, request, s);
        s->person = text_in(s, "owner");
        return;
    case AUDIT_OF_HASH:
        read_body(p, request, s);
        add_to_target(s, "sha256", text_in(s, "hash"));
        return;
    case AUDIT_OF_LISTED:
        read_body(p, request, s);
        if (slice_equal_text(text_in(s, "kind"), "owner")) {
            s->person = text_in(s, "value");
        } else {
            char kind[33];
            snprintf(kind, sizeof kind, "%.*s", SLICE_FORMAT(text_in(s, "kind")));
            add_to_target(s, kind, text_in(s, "value"));
        }
        return;
    }
}

static audit_record record_of(http_request *request, const audit_act *act, const subject *s) {
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
    subject s;
    passage *pass = memory_allocate_zeroed(1, sizeof *pass);
    if (pass == NULL) {
        reply_out_of_memory(request);
        return;
    }
    describe(p, request, act, &s);
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
    json_free(s.body);
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
    char target[TARGET_SIZE];
    audit *a = p->audit;
    if (act->who == NULL && !may_write_stranger(a)) {
        return;
    }
    describe_path(act, (slice){NULL, 0}, target);
    subject s = {.body = NULL};
    memcpy(s.target, target, sizeof target);
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
