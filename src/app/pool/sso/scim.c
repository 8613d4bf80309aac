#include "sso/scim.h"

#include "audit/audit.h"
#include "auth/scim.h"
#include "auth/token.h"
#include "base/log.h"
#include "base/memory.h"
#include "codec/form.h"
#include "codec/json_writer.h"
#include "crypto/hash.h"
#include "job.h"
#include "os/clock.h"
#include "reply.h"
#include "sso/logins.h"
#include "sso/strangers.h"
#include "store/sessions.h"

#include <stdio.h>

enum { ANSWER_LIMIT = 4 * 1024 * 1024, PAGE_MAX = 200, ADDRESS_SIZE = 64 };

#define USERS_PATH "/scim/v2/Users/"

static const http_header scim_type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/scim+json")};

static void send_body(http_request *request, unsigned status, buffer *body) {
    const http_header headers[] = {scim_type, {SLICE_LITERAL("WWW-Authenticate"), SLICE_LITERAL("Bearer")}};
    if (buffer_failed(body)) {
        reply_out_of_memory(request);
    } else {
        http_respond(request, status, headers, status == 401 ? 2 : 1, buffer_slice(body));
    }
    buffer_free(body);
}

static void add_schema(json_writer *w, const char *name) {
    json_write_key(w, "schemas");
    json_write_array_begin(w);
    json_write_text(w, slice_of_text(name));
    json_write_array_end(w);
}

/* RFC 7644 §3.12. */
static void reply_scim_error(http_request *request, unsigned status, const char *detail) {
    char number[8];
    buffer body = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&body);
    snprintf(number, sizeof number, "%u", status);
    json_write_object_begin(&w);
    add_schema(&w, "urn:ietf:params:scim:api:messages:2.0:Error");
    json_add_text(&w, "status", slice_of_text(number));
    json_add_text(&w, "detail", slice_of_text(detail));
    json_write_object_end(&w);
    send_body(request, status, &body);
}

static void reply_scim_failure(http_request *request, const error *failure) {
    reply_scim_error(request, reply_status_of(failure->code), failure->text);
}

static void write_user(json_writer *w, const store_identity *one) {
    char id[24];
    snprintf(id, sizeof id, "%llu", (unsigned long long)one->user_id);
    json_write_object_begin(w);
    add_schema(w, "urn:ietf:params:scim:schemas:core:2.0:User");
    json_add_text(w, "id", slice_of_text(id));
    json_add_text(w, "userName", one->user_name);
    json_add_text(w, "externalId", one->subject);
    json_add_bool(w, "active", one->active);
    json_write_object_end(w);
}

/* By the token that it brings; each provider's is compared in full. NULL: it has been answered. */
static provider *find_asking(pool *p, http_request *request) {
    error err = {0};
    slice field;
    slice token;
    uint8_t digest[HASH_SIZE];
    provider *found = NULL;
    provider *one = NULL;
    bool brought = http_request_header_count(request, "authorization") == 1 &&
                   http_request_header(request, "authorization", &field) &&
                   auth_bearer_parse(field, &token) && hash_sha256(token, digest, &err);
    for (size_t i = 0; brought && (one = providers_at(p->providers, i)) != NULL; i++) {
        found = one->has_scim && hash_equal(one->scim_hash, digest, sizeof digest) ? one : found;
    }
    if (found == NULL) {
        bool too_often = strangers_failed(p, http_request_peer(request));
        p->counters.unauthorized++;
        if (too_often) {
            reply_scim_error(request, 429, "too many wrong tokens from this address; wait a while");
            return NULL;
        }
        reply_scim_error(request, 401, "this is not the SCIM token of an identity provider of this site");
    }
    return found;
}

static uint64_t number_in(slice query, const char *name, uint64_t initial, http_request *request) {
    error ignored = {0};
    slice text;
    uint64_t number = 0;
    return form_get(query, name, http_request_arena(request), &text, &ignored) && slice_to_u64(text, &number)
               ? number
               : initial;
}

static void listed(void *context, const store_identity *identities, size_t count, size_t total,
                   const error *failure) {
    reply_later later = reply_later_take(context);
    if (later.request == NULL) {
        return;
    }
    if (failure != NULL) {
        reply_scim_failure(later.request, failure);
        return;
    }
    if (later.user_id == 0) { /* RFC 7644 §3.4.2.4: the number alone is wanted */
        count = 0;
    }
    buffer body = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&body);
    json_write_object_begin(&w);
    add_schema(&w, "urn:ietf:params:scim:api:messages:2.0:ListResponse");
    json_add_u64(&w, "totalResults", total);
    json_add_u64(&w, "startIndex", later.key_id);
    json_add_u64(&w, "itemsPerPage", count);
    json_write_key(&w, "Resources");
    json_write_array_begin(&w);
    for (size_t i = 0; i < count; i++) {
        write_user(&w, &identities[i]);
    }
    json_write_array_end(&w);
    json_write_object_end(&w);
    send_body(later.request, 200, &body);
}

void scim_list(pool *p, http_request *request) {
    error err = {0};
    slice text;
    auth_scim_filter filter;
    slice query = http_request_query(request);
    provider *from = find_asking(p, request);
    if (from == NULL) {
        return;
    }
    if (!form_get(query, "filter", http_request_arena(request), &text, &err) ||
        !auth_scim_read_filter(text, http_request_arena(request), &filter, &err)) {
        reply_scim_failure(request, &err);
        return;
    }
    uint64_t first = number_in(query, "startIndex", 1, request);
    uint64_t count = number_in(query, "count", PAGE_MAX, request);
    first = first == 0 ? 1 : first;
    store_identity_choice choice = {.issuer = from->client.issuer,
                                    .user_name = filter.user_name,
                                    .subject = filter.external_id,
                                    .skip = first - 1,
                                    .limit = count == 0         ? 1
                                             : count > PAGE_MAX ? PAGE_MAX
                                                                : (size_t)count};
    reply_later *later = reply_later_new(p, request, count);
    if (later == NULL) {
        return;
    }
    later->key_id = first;
    if (!store_identity_list(p->store, &choice, listed, later, &err)) {
        reply_later taken = reply_later_take(later);
        reply_scim_failure(taken.request, &err);
    }
}

/* A request about one person, until it is answered. */
typedef struct person_request {
    pool *pool;
    http_request *request; /* NULL: it has left; what it asked is done all the same */
    provider *from;
    uint64_t user_id;
    auth_scim_active wish; /* AUTH_SCIM_UNSAID: only show */
    bool is_delete;
    bool shut_out;
    store_identity known; /* its texts are in the next two */
    char user_name[STORE_NAME_MAX + 1];
    char subject[STORE_SUBJECT_MAX + 1];
    char address[ADDRESS_SIZE];
} person_request;

static void forget_request(void *context) {
    ((person_request *)context)->request = NULL;
}

static http_request *end_person_request(person_request *r) {
    http_request *request = r->request;
    if (request != NULL) {
        http_request_on_closed(request, NULL, NULL);
    }
    memory_free(r);
    return request;
}

static void end_failed(person_request *r, const error *failure) {
    bool shut = r->shut_out;
    http_request *request = end_person_request(r);
    if (request == NULL) {
        return;
    }
    if (shut) {
        reply_scim_error(request, 503,
                         "shut out until the pool restarts, but that could not be stored; try again");
    } else {
        reply_scim_failure(request, failure);
    }
}

static void end_shown(person_request *r) {
    buffer body = buffer_make(ANSWER_LIMIT);
    json_writer w = json_writer_make(&body);
    bool is_delete = r->is_delete;
    r->known.user_name = slice_of_text(r->user_name);
    r->known.subject = slice_of_text(r->subject);
    write_user(&w, &r->known);
    http_request *request = end_person_request(r);
    if (request == NULL) {
        buffer_free(&body);
    } else if (is_delete) {
        buffer_free(&body);
        http_respond(request, 204, NULL, 0, (slice){NULL, 0});
    } else {
        send_body(request, 200, &body);
    }
}

static void drop_person(person_request *r) {
    pool *p = r->pool;
    accounts_remove_user(p->accounts, r->user_id);
    (void)logins_end_user(p, r->user_id);
    job_end_revoked(p, r->user_id, 0);
}

static void read_again(void *context, const store_identity *identities, size_t count, size_t total,
                       const error *failure);

static bool look_up(person_request *r, store_identities_listed *done, error *err) {
    store_identity_choice choice = {.issuer = r->from->client.issuer, .user_id = r->user_id, .limit = 1};
    return store_identity_list(r->pool->store, &choice, done, r, err);
}

static void activity_stored(void *context, const error *failure) {
    person_request *r = context;
    error err = {0};
    if (failure == NULL && r->wish == AUTH_SCIM_INACTIVE) {
        drop_person(r); /* keys and sessions that were being added meanwhile */
    }
    if (failure != NULL) {
        end_failed(r, failure);
    } else if (!look_up(r, read_again, &err)) {
        r->shut_out = false;
        end_failed(r, &err);
    }
}

static void entry_written(void *context, const error *failure) {
    person_request *r = context;
    error err = {0};
    if (failure != NULL) {
        error_set(&err, ERROR_IO, "this can't be entered in the audit log, so it isn't done: %s",
                  failure->text);
        end_failed(r, &err);
        return;
    }
    if (r->wish == AUTH_SCIM_INACTIVE) {
        drop_person(r);
        r->shut_out = true;
    }
    log_info("active or not, as the provider says", LOG_TEXT("provider", r->from->name),
             LOG_U64("user", r->user_id), LOG_U64("active", r->wish == AUTH_SCIM_ACTIVE));
    if (!store_identity_set_active(r->pool->store, r->from->client.issuer, r->user_id,
                                   r->wish == AUTH_SCIM_ACTIVE, clock_unix_ms(), activity_stored, r, &err)) {
        end_failed(r, &err);
    }
}

static void take_known(person_request *r, const store_identity *known) {
    r->known = *known;
    snprintf(r->user_name, sizeof r->user_name, "%.*s", SLICE_FORMAT(known->user_name));
    snprintf(r->subject, sizeof r->subject, "%.*s", SLICE_FORMAT(known->subject));
}

static void read_again(void *context, const store_identity *identities, size_t count, size_t total,
                       const error *failure) {
    person_request *r = context;
    error err = {0};
    (void)total;
    if (failure == NULL && count > 0) {
        take_known(r, &identities[0]);
        end_shown(r);
        return;
    }
    error_set(&err, ERROR_IO, "it is done, but can't be shown; ask again");
    r->shut_out = false; /* it is stored */
    end_failed(r, failure != NULL ? failure : &err);
}

static void enter(person_request *r) {
    error err = {0};
    audit_record record = {.outcome = AUDIT_ALLOWED,
                           .action = r->wish == AUTH_SCIM_ACTIVE ? "person_let_in" : "person_shut_out",
                           .target = slice_of_text(r->from->name),
                           .person = slice_of_text(r->user_name),
                           .address = slice_of_text(r->address),
                           .detail = "said by the identity provider"};
    if (!audit_write(r->pool, &record, entry_written, r, &err)) {
        entry_written(r, &err);
    }
}

static void person_found(void *context, const store_identity *identities, size_t count, size_t total,
                         const error *failure) {
    person_request *r = context;
    error err = {0};
    (void)total;
    if (failure != NULL || count == 0) {
        error_set(&err, ERROR_NOT_FOUND, "nobody of this id has logged in here");
        end_failed(r, failure != NULL ? failure : &err);
        return;
    }
    take_known(r, &identities[0]);
    bool is_so = r->wish == AUTH_SCIM_UNSAID || (r->wish == AUTH_SCIM_ACTIVE) == r->known.active;
    if (is_so && r->wish != AUTH_SCIM_INACTIVE) {
        end_shown(r);
    } else {
        enter(r);
    }
}

static void begin(pool *p, http_request *request, provider *from, auth_scim_active wish, bool is_delete) {
    error err = {0};
    uint64_t user_id = 0;
    slice id = slice_after(http_request_path(request), sizeof USERS_PATH - 1);
    if (!slice_to_u64(id, &user_id) || user_id == 0) {
        reply_scim_error(request, 404, "nobody of this id has logged in here");
        return;
    }
    person_request *r = memory_allocate_zeroed(1, sizeof *r);
    if (r == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *r = (person_request){.pool = p,
                          .request = request,
                          .from = from,
                          .user_id = user_id,
                          .wish = wish,
                          .is_delete = is_delete};
    snprintf(r->address, sizeof r->address, "%s", http_request_peer(request));
    http_request_on_closed(request, forget_request, r);
    if (!look_up(r, person_found, &err)) {
        end_failed(r, &err);
    }
}

void scim_get(pool *p, http_request *request) {
    provider *from = find_asking(p, request);
    if (from != NULL) {
        begin(p, request, from, AUTH_SCIM_UNSAID, false);
    }
}

static void change(pool *p, http_request *request,
                   bool (*read)(slice json, auth_scim_active *active, error *err)) {
    error err = {0};
    auth_scim_active wish = AUTH_SCIM_UNSAID;
    provider *from = find_asking(p, request);
    if (from == NULL) {
        return;
    }
    if (!read(http_request_body(request), &wish, &err)) {
        reply_scim_error(request, err.code == ERROR_MEMORY ? 503 : 400, err.text);
        return;
    }
    begin(p, request, from, wish, false);
}

void scim_patch(pool *p, http_request *request) {
    change(p, request, auth_scim_read_patch);
}

void scim_put(pool *p, http_request *request) {
    change(p, request, auth_scim_read_resource);
}

void scim_delete(pool *p, http_request *request) {
    provider *from = find_asking(p, request);
    if (from != NULL) {
        begin(p, request, from, AUTH_SCIM_INACTIVE, true);
    }
}
