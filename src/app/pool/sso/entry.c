#include "sso/entry.h"

#include "audit/audit.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/json.h"
#include "os/clock.h"
#include "sso/backchannel.h"

enum { MEMORY_LIMIT = 512 * 1024, ANSWER_DEPTH = 16, ANSWER_VALUES = 256 };

/* Somebody who is logging in. */
typedef struct entry {
    pool *pool;
    provider *from;
    arena *memory; /* holds all of it; wiped */
    slice id_token;
    slice access_token;
    slice nonce;
    uint64_t logouts; /* that were taken before */
    auth_oidc_person person;
    login_granted *done;
    void *context;
} entry;

static void entry_free(entry *e) {
    arena *memory = e->memory;
    arena_wipe(memory);
    arena_free(memory);
}

static void note_refusal(const entry *e, const error *why) {
    log_warning("login refused", LOG_TEXT("provider", e->from->name), LOG_CAUSE(why));
    audit_note(e->pool, &(audit_record){.outcome = AUDIT_REFUSED,
                                        .action = "login",
                                        .target = slice_of_text(e->from->name),
                                        .actor = e->person.name,
                                        .detail = error_code_name(why->code)});
}

static void fail(entry *e, const error *why) {
    error kept = *why;
    login_granted *done = e->done;
    void *context = e->context;
    note_refusal(e, &kept);
    entry_free(e);
    done(context, NULL, &kept);
}

static void end_stored(void *context, const error *failure) {
    (void)context;
    if (failure != NULL) {
        log_error("sessions that have ended go on in the database", LOG_CAUSE(failure));
    }
}

static void end_in_store(const entry *e, const store_session_choice *choice) {
    error err = {0};
    if (!store_sessions_end(e->pool->store, choice, clock_unix_ms(), end_stored, NULL, &err)) {
        end_stored(NULL, &err);
    }
}

/* The provider has logged the person out while the session was being made: it found nothing to end. */
static void refuse_logged_out(entry *e, const login *made) {
    error err = {0};
    uint8_t id[STORE_SESSION_ID_SIZE];
    memcpy(id, made->id, sizeof id); /* it lies in the session that ends */
    (void)logins_end(e->pool, id);
    end_in_store(e, &(store_session_choice){.id = id});
    error_set(&err, ERROR_DENIED, "the identity provider has logged you out meanwhile; log in again");
    fail(e, &err);
}

static void session_made(void *context, const login_grant *grant, const error *failure) {
    entry *e = context;
    if (failure != NULL) {
        fail(e, failure);
        return;
    }
    if (backchannel_named_since(e->pool, e->logouts, e->from, e->person.subject,
                                e->person.provider_session)) {
        refuse_logged_out(e, grant->session);
        return;
    }
    audit_note(e->pool, &(audit_record){.outcome = AUDIT_NOTED,
                                        .action = "login",
                                        .target = slice_of_text(e->from->name),
                                        .actor = slice_of_text(grant->session->account.user_name),
                                        .role = auth_role_name(grant->session->account.role)});
    login_granted *done = e->done;
    void *done_context = e->context;
    entry_free(e);
    done(done_context, grant, NULL);
}

static void person_known(void *context, const store_known_person *known, const error *failure) {
    entry *e = context;
    error err = {0};
    if (failure != NULL) {
        fail(e, failure);
        return;
    }
    if (known->role_changed) {
        accounts_set_role(e->pool->accounts, known->user_id, e->person.role);
        logins_set_role(e->pool->logins, known->user_id, e->person.role);
    }
    login_wish wish = {.user_id = known->user_id,
                       .issuer = e->from->client.issuer,
                       .subject = e->person.subject,
                       .provider_session = e->person.provider_session};
    if (!logins_add(e->pool, &wish, session_made, e, &err)) {
        fail(e, &err);
    }
}

/* Whoever is in no group that has a role here has lost what he had, too. */
static void refuse_without_role(entry *e) {
    error err = {0};
    store_session_choice choice = {.issuer = e->from->client.issuer, .subject = e->person.subject};
    (void)logins_end_provided(e->pool, choice.issuer, choice.subject, (slice){NULL, 0});
    end_in_store(e, &choice);
    error_set(&err, ERROR_DENIED, "none of your groups has a role here; ask the admin which group you need");
    fail(e, &err);
}

static void know_person(entry *e) {
    error err = {0};
    if (e->person.role == AUTH_ROLE_COUNT) {
        refuse_without_role(e);
        return;
    }
    store_person person = {.issuer = e->from->client.issuer,
                           .subject = e->person.subject,
                           .name = e->person.name,
                           .role = slice_of_text(auth_role_name(e->person.role)),
                           .now_ms = clock_unix_ms()};
    if (!store_person_log_in(e->pool->store, &person, person_known, e, &err)) {
        fail(e, &err);
    }
}

static void userinfo_came(void *context, const http_client_answer *answer) {
    entry *e = context;
    error err = {0};
    bool good = answer->cause == NULL && answer->status == 200;
    if (!good) {
        error_set(&err, ERROR_IO, "the provider doesn't say who has logged in: %s",
                  answer->cause != NULL ? answer->cause->text : "its userinfo endpoint refuses");
    }
    good = good && auth_oidc_read_userinfo(answer->body, &e->from->client, e->memory, &e->person, &err);
    if (good) {
        know_person(e);
    } else {
        fail(e, &err);
    }
}

static void provider_is_ready(void *context, provider *from, const error *failure) {
    entry *e = context;
    error err = {0};
    if (failure != NULL) {
        fail(e, failure);
        return;
    }
    if (!auth_oidc_read_id_token(e->id_token, &from->client, from->keys, e->nonce, clock_unix_ms() / 1000,
                                 e->memory, &e->person, &err)) {
        fail(e, &err);
        return;
    }
    bool knows_all = e->person.groups_are_known && e->person.name.length > 0;
    if (knows_all || from->metadata.userinfo_endpoint.length == 0 || e->access_token.length == 0) {
        know_person(e);
    } else if (!provider_get(from, from->metadata.userinfo_endpoint, e->access_token, userinfo_came, e,
                             &err)) {
        fail(e, &err);
    }
}

static bool read_tokens(entry *e, slice tokens, error *err) {
    json_value *root = json_parse(
        tokens, (json_limits){.size = AUTH_OIDC_DOCUMENT_MAX, .depth = ANSWER_DEPTH, .values = ANSWER_VALUES},
        err);
    bool read = root != NULL && json_get_text(root, "id_token", &e->id_token, err) &&
                json_get_text_or(root, "access_token", (slice){NULL, 0}, &e->access_token, err);
    read = read && ((arena_copy(e->memory, e->id_token, &e->id_token) &&
                     arena_copy(e->memory, e->access_token, &e->access_token)) ||
                    error_memory(err));
    json_free(root);
    return read ||
           (err->code == ERROR_MEMORY
                ? false
                : error_set(err, ERROR_DENIED, "the provider gave no ID token: is openid among the scopes?"));
}

void entry_begin(provider *from, slice tokens, slice nonce, login_granted *done, void *context) {
    error err = {0};
    arena *memory = arena_new(MEMORY_LIMIT);
    entry *e = memory == NULL ? NULL : arena_allocate(memory, sizeof *e);
    if (e == NULL) {
        arena_free(memory);
        error_memory(&err);
        done(context, NULL, &err);
        return;
    }
    *e = (entry){.pool = provider_pool(from),
                 .from = from,
                 .memory = memory,
                 .logouts = backchannel_count(provider_pool(from)),
                 .person = {.role = AUTH_ROLE_COUNT},
                 .done = done,
                 .context = context};
    if (!read_tokens(e, tokens, &err) || !(arena_copy(memory, nonce, &e->nonce) || error_memory(&err))) {
        fail(e, &err);
        return;
    }
    provider_prepare(from, auth_oidc_key_id(e->id_token, memory), provider_is_ready, e);
}
