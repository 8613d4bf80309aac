#include "base/memory.h"
#include "codec/json.h"
#include "os/clock.h"
#include "proof/admin.h"
#include "proof/proof_internal.h"
#include "reply.h"
#include "store/honeytokens.h"
#include "verify/honeytoken.h"

enum { MARKERS_MAX = 1024 /* of one text, looked up */ };

static void write_token(json_writer *w, const store_honeytoken *token) {
    json_write_object_begin(w);
    json_add_u64(w, "id", token->id);
    json_add_text(w, "marker", token->marker);
    admin_add_id(w, "worker", token->worker_id);
    json_add_u64(w, "created_ms", token->created_ms);
    json_add_u64(w, "seen_ms", token->seen_ms);
    json_add_text(w, "seen_where", token->seen_where);
    json_write_object_end(w);
}

static void tokens_listed(void *context, const store_honeytoken *tokens, size_t count, const error *failure) {
    reply_later later = reply_later_take(context);
    if (reply_later_waits(&later, failure)) {
        reply_json answer;
        reply_list_begin(&answer, "honeytokens");
        for (size_t i = 0; i < count; i++) {
            write_token(&answer.w, &tokens[i]);
        }
        reply_list_end(&answer, later.request, count == STORE_LIST_MAX);
    }
    reply_later_end(&later);
}

/* Those that were seen where they shouldn't be. */
void admin_honeytoken_list(pool *p, http_request *request, const account *who, slice segment) {
    error err = {0};
    (void)segment;
    uint64_t after = 0;
    reply_later *later = reply_later_page(p, request, who->user_id, &after);
    if (later != NULL &&
        !store_honeytoken_list(p->store, true, after, STORE_LIST_MAX, tokens_listed, later, &err)) {
        reply_later_fail(later, &err);
    }
}

/* The markers of one text, looked up one after the other; the last one answers. */
typedef struct search {
    pool *pool;
    reply_later *later;
    size_t waiting;
    bool failed;
    buffer found; /* members of the JSON array */
} search;

static void finish(search *s) {
    reply_later later = reply_later_take(s->later);
    if (later.request != NULL && (s->failed || buffer_failed(&s->found))) {
        reply_error(later.request, 503, NULL, "database", "not all markers could be looked up; try again");
    } else if (later.request != NULL) {
        static const http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};
        buffer_append_text(&s->found, "]}");
        http_respond(later.request, 200, &type, 1, buffer_slice(&s->found));
    }
    reply_later_end(&later);
    buffer_free(&s->found);
    memory_free(s);
}

static void token_done(search *s) {
    if (--s->waiting == 0) {
        finish(s);
    }
}

static void token_seen(void *context, const store_honeytoken *token, const error *failure) {
    search *s = context;
    if (failure == NULL) {
        slice so_far = buffer_slice(&s->found);
        if (so_far.length > 0 && so_far.data[so_far.length - 1] != '[') {
            buffer_append_text(&s->found, ",");
        }
        json_writer w = json_writer_make(&s->found);
        write_token(&w, token);
    } else {
        s->failed = true;
    }
    token_done(s);
}

/* Most are of nobody: only what is ours is written down. */
static void token_found(void *context, const store_honeytoken *token, const error *failure) {
    search *s = context;
    error err = {0};
    if (failure == NULL &&
        store_honeytoken_seen(s->pool->store, token->marker, SLICE_LITERAL("in a document of the admin"),
                              clock_unix_ms(), token_seen, s, &err)) {
        return;
    }
    s->failed = s->failed || failure == NULL || failure->code != ERROR_NOT_FOUND;
    token_done(s);
}

static size_t count_markers(slice text) {
    char marker[HONEYTOKEN_LENGTH + 1];
    size_t count = 0;
    for (size_t at = 0; count <= MARKERS_MAX && honeytoken_find(text, &at, marker);) {
        count++;
    }
    return count;
}

void admin_honeytoken_check(pool *p, http_request *request, const account *who, slice segment) {
    (void)segment;
    error err = {0};
    char marker[HONEYTOKEN_LENGTH + 1];
    slice text = http_request_body(request);
    size_t position = 0;
    if (count_markers(text) > MARKERS_MAX) {
        reply_error(request, 400, NULL, "too_many_markers",
                    "more than %d things look like markers in it; send it in parts", MARKERS_MAX);
        return;
    }
    search *s = memory_allocate_zeroed(1, sizeof *s);
    reply_later *later = s == NULL ? NULL : reply_later_new(p, request, who->user_id);
    if (later == NULL) {
        if (s == NULL) {
            reply_out_of_memory(request);
        }
        memory_free(s);
        return;
    }
    *s = (search){.pool = p, .later = later, .waiting = 1, .found = buffer_make(1024 * 1024)};
    buffer_append_text(&s->found, "{\"object\":\"list\",\"honeytokens\":[");
    while (!s->failed && honeytoken_find(text, &position, marker)) {
        if (store_honeytoken_find(p->store, slice_of_text(marker), token_found, s, &err)) {
            s->waiting++;
        } else {
            s->failed = true;
        }
    }
    token_done(s);
}
