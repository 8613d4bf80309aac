#include "embeddings.h"

#include "codec/base64.h"
#include "embedding.h"
#include "embeddings_request.h"
#include "os/clock.h"
#include "proof/proof.h"
#include "proto/message.h"
#include "reply.h"

#include <stdio.h>

enum {
    JOBS_AT_ONCE = 4, /* of one request */
    NUMBER_SIZE = 24,
    FRAME_SIZE = 64, /* of a vector's object */
    TEXT_SIZE = 256,
    ANSWER_LIMIT = EMBEDDINGS_TEXTS_MAX * (PROTO_DIMENSION_MAX * NUMBER_SIZE + FRAME_SIZE) + 65536
};

typedef struct asking asking;

/* The texts of one job. */
typedef struct part {
    asking *asking;
    embedding *handle; /* while it is under way */
    size_t first, count;
    buffer out; /* its vectors as JSON, once it is done */
} part;

/* One request: lives in its arena, and ends with it. What the parts bring is looked at from the loop. */
struct asking {
    list_node node; /* in pool.embedding_requests */
    pool *pool;
    http_request *request;
    uint64_t user_id, key_id, login, expires_ms; /* account's */
    ev_timer expiry_timer;
    ev_deferred go_on;
    embeddings_request wanted;
    part *parts;
    size_t part_count, started, done, running;
    uint64_t tokens;
    uint32_t dimension; /* of the first vectors that came, and the file that they are of */
    uint8_t digest[PROTO_DIGEST_SIZE];
    unsigned failed; /* status; 0: nothing has */
    const char *failure_code;
    char failure_text[TEXT_SIZE];
};

/* Nothing points at it any more, and nothing is computed for it. The request is still to be ended. */
static void release(asking *a) {
    list_remove(&a->node);
    ev_timer_stop(&a->expiry_timer);
    ev_defer_cancel(&a->go_on);
    for (size_t i = 0; i < a->part_count; i++) {
        if (a->parts[i].handle != NULL) {
            embedding *handle = a->parts[i].handle;
            a->parts[i].handle = NULL;
            embedding_cancel(handle);
        }
        buffer_wipe(&a->parts[i].out);
    }
}

static void client_left(void *context) {
    release(context);
}

static void end_with_error(asking *a, unsigned status, const char *code, const char *text) {
    http_request *request = a->request;
    char said[TEXT_SIZE]; /* the text may be the request's */
    snprintf(said, sizeof said, "%s", text);
    release(a);
    reply_error(request, status, NULL, code, "%s", said);
}

static void append_numbers(buffer *out, const float *values, uint32_t dimension) {
    buffer_append_text(out, "[");
    for (uint32_t i = 0; i < dimension; i++) {
        char number[NUMBER_SIZE];
        /* With nine digits a binary32 comes back with all its bits. */
        int length = snprintf(number, sizeof number, "%s%.9g", i == 0 ? "" : ",", (double)values[i]);
        buffer_append(out, slice_of(number, (size_t)length));
    }
    buffer_append_text(out, "]");
}

static void append_base64(buffer *out, const float *values, uint32_t dimension) {
    uint8_t bytes[PROTO_DIMENSION_MAX * 4];
    char text[BASE64_LENGTH(sizeof bytes) + 1];
    for (uint32_t i = 0; i < dimension; i++) {
        uint32_t bits = 0;
        memcpy(&bits, &values[i], sizeof bits);
        for (uint32_t k = 0; k < 4; k++) {
            bytes[4 * i + k] = (uint8_t)(bits >> (8 * k));
        }
    }
    base64_encode(slice_of(bytes, (size_t)dimension * 4), text);
    buffer_append_format(out, "\"%s\"", text);
}

static void write_vectors(part *p, const embedding_answer *answer) {
    p->out = buffer_make(p->count * ((size_t)answer->dimension * NUMBER_SIZE + FRAME_SIZE));
    for (size_t i = 0; i < answer->count; i++) {
        const float *values = answer->values + i * answer->dimension;
        buffer_append_format(&p->out, "%s{\"object\":\"embedding\",\"index\":%zu,\"embedding\":",
                             p->first + i == 0 ? "" : ",", p->first + i);
        if (p->asking->wanted.base64) {
            append_base64(&p->out, values, answer->dimension);
        } else {
            append_numbers(&p->out, values, answer->dimension);
        }
        buffer_append_text(&p->out, "}");
    }
}

static void note_failure(asking *a, unsigned status, const char *code, const char *text) {
    if (a->failed == 0) {
        a->failed = status;
        a->failure_code = code;
        snprintf(a->failure_text, sizeof a->failure_text, "%s", text);
    }
}

/* Vectors of two files in one answer would be compared with each other. */
static bool is_of_one_model(asking *a, const embedding_answer *answer) {
    if (a->done == 0) {
        a->dimension = answer->dimension;
        memcpy(a->digest, answer->digest, sizeof a->digest);
    }
    return a->dimension == answer->dimension && memcmp(a->digest, answer->digest, sizeof a->digest) == 0;
}

static void part_done(void *context, const embedding_answer *answer, const embedding_failure *failure) {
    part *p = context;
    asking *a = p->asking;
    p->handle = NULL;
    a->running--;
    if (failure != NULL) {
        note_failure(a, failure->status, failure->code, failure->text);
    } else if (!is_of_one_model(a, answer)) {
        note_failure(a, 502, "models_differ",
                     "workers have different files under this model's name; ask the admin to say which it is "
                     "(model_files)");
    } else {
        a->done++;
        a->tokens += answer->tokens;
        write_vectors(p, answer);
        if (buffer_failed(&p->out)) {
            note_failure(a, 503, "memory", "the pool is out of memory; ask again");
        }
    }
    ev_defer(a->pool->loop, &a->go_on);
}

static void answer(asking *a) {
    static const http_header type = {SLICE_LITERAL("Content-Type"), SLICE_LITERAL("application/json")};
    http_request *request = a->request;
    buffer body = buffer_make(ANSWER_LIMIT);
    buffer_append_text(&body, "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < a->part_count; i++) {
        buffer_append(&body, buffer_slice(&a->parts[i].out));
    }
    buffer_append_text(&body, "],\"model\":\"");
    json_append_escaped(&body, a->wanted.model);
    buffer_append_format(&body, "\",\"usage\":{\"prompt_tokens\":%llu,\"total_tokens\":%llu}}",
                         (unsigned long long)a->tokens, (unsigned long long)a->tokens);
    if (buffer_failed(&body)) {
        buffer_wipe(&body);
        end_with_error(a, 503, "memory", "the pool is out of memory; ask again");
        return;
    }
    a->pool->counters.embeddings++;
    release(a); /* before the answer: it lives in the request's arena, which ends with it */
    http_respond(request, 200, &type, 1, buffer_slice(&body));
    buffer_wipe(&body);
}

static void refuse(asking *a, const error *failure) {
    http_request *request = a->request;
    slice model = a->wanted.model;
    bool generates = dispatch_has_model(a->pool->dispatch, model, DISPATCH_GENERATE);
    release(a);
    if (failure->code == ERROR_NOT_FOUND && generates) {
        reply_error(request, 400, "model", "model_generates",
                    "the model \"%.*s\" computes no embeddings; GET /v1/models lists what each does",
                    SLICE_FORMAT(model));
    } else if (failure->code == ERROR_NOT_FOUND) {
        reply_error(request, 404, "model", "model_not_found",
                    "no connected worker has the model \"%.*s\"; GET /v1/models lists those there are",
                    SLICE_FORMAT(model));
    } else if (failure->code == ERROR_LIMIT) {
        reply_error(request, 429, NULL, "queue_full", "%s", failure->text);
    } else {
        reply_failure(request, failure);
    }
}

/* What finds no room in the queue waits for the request's own jobs that have. False: it has ended. */
static bool start_parts(asking *a) {
    while (a->failed == 0 && a->started < a->part_count && a->running < JOBS_AT_ONCE) {
        part *p = &a->parts[a->started];
        error err = {0};
        embedding_wish wish = {.user_id = a->user_id,
                               .model = a->wanted.model,
                               .texts = a->wanted.texts + p->first,
                               .count = p->count,
                               .done = part_done,
                               .context = p};
        p->handle = embedding_ask(a->pool, &wish, &err);
        if (p->handle == NULL && err.code == ERROR_LIMIT && a->running > 0) {
            return true;
        }
        if (p->handle == NULL) {
            refuse(a, &err);
            return false;
        }
        a->started++;
        a->running++;
    }
    return true;
}

static void go_on(void *context) {
    asking *a = context;
    if (a->failed != 0) {
        end_with_error(a, a->failed, a->failure_code, a->failure_text);
    } else if (a->done == a->part_count) {
        answer(a);
    } else {
        (void)!start_parts(a);
    }
}

static void watch_expiry(asking *a);

static void check_expiry(void *context) {
    asking *a = context;
    if (clock_unix_ms() < a->expires_ms) { /* a date: the clock was set back, or runs slower */
        watch_expiry(a);
    } else if (a->login != 0) {
        end_with_error(a, 401, "session_ended", "this session has ended");
    } else {
        end_with_error(a, 401, "key_expired", "this key has expired; ask the admin for a new one");
    }
}

static void watch_expiry(asking *a) {
    uint64_t now = clock_unix_ms();
    ev_timer_init(&a->expiry_timer, check_expiry, a);
    if (a->expires_ms != 0) {
        ev_timer_start(a->pool->loop, &a->expiry_timer, a->expires_ms > now ? a->expires_ms - now : 0);
    }
}

/* As few jobs as hold all the texts. */
static bool split(asking *a, arena *memory) {
    const embeddings_request *wanted = &a->wanted;
    a->parts = arena_allocate_array(memory, wanted->count, sizeof *a->parts);
    if (a->parts == NULL) {
        return false;
    }
    for (size_t first = 0; first < wanted->count;) {
        size_t count = embedding_fits(wanted->texts + first, wanted->count - first);
        if (count == 0) {
            return false; /* can't be: each fits by itself */
        }
        a->parts[a->part_count++] = (part){.asking = a, .first = first, .count = count};
        first += count;
    }
    return true;
}

static void start(pool *p, http_request *request, const account *who, const embeddings_request *wanted) {
    arena *memory = http_request_arena(request);
    asking *a = arena_allocate(memory, sizeof *a);
    if (a == NULL) {
        reply_out_of_memory(request);
        return;
    }
    *a = (asking){.pool = p,
                  .request = request,
                  .user_id = who->user_id,
                  .key_id = who->key_id,
                  .login = who->login,
                  .expires_ms = who->expires_ms,
                  .wanted = *wanted};
    list_init(&a->node);
    ev_deferred_init(&a->go_on, go_on, a);
    watch_expiry(a);
    list_append(&p->embedding_requests, &a->node);
    if (!split(a, memory)) {
        release(a);
        reply_out_of_memory(request);
    } else if (start_parts(a)) {
        http_request_on_closed(request, client_left, a);
    }
}

void embeddings_create(pool *p, http_request *request, const account *who, slice segment) {
    const char *param = NULL;
    error err = {0};
    embeddings_request wanted;
    verify_mode mode;
    (void)segment;
    if (p->draining) {
        reply_error(request, 503, NULL, "pool_stopping", "the pool is stopping; ask again in a moment");
    } else if (!embeddings_request_parse(http_request_body(request), &p->settings,
                                         http_request_arena(request), &wanted, &param, &err)) {
        reply_unreadable(request, param, &err);
    } else if (proof_mode_of(p, who, wanted.model, request, &mode)) {
        if (mode >= VERIFY_PROVED) {
            reply_error(request, 400, NULL, "embeddings_unchecked",
                        "embeddings aren't checked yet, and this site, model, key or request takes only what "
                        "is proved");
        } else {
            start(p, request, who, &wanted);
        }
    }
}

static bool waits(const asking *a) {
    bool found = a->started < a->part_count;
    for (size_t i = 0; i < a->part_count && !found; i++) {
        found = a->parts[i].handle != NULL && embedding_waits(a->parts[i].handle);
    }
    return found;
}

static bool is_one_of(const asking *a, const embeddings_of *which) {
    return (which->user_id == 0 || a->user_id == which->user_id) &&
           (which->key_id == 0 || a->key_id == which->key_id) &&
           (which->login == 0 || a->login == which->login) && (!which->waiting || waits(a));
}

/* Set apart first, for ending one can end others: its cancel may find a worker's connection full. */
void embeddings_end(pool *p, const embeddings_of *which, unsigned status, const char *code,
                    const char *text) {
    list_node ending;
    list_init(&ending);
    for (list_node *node = p->embedding_requests.next, *next = NULL; node != &p->embedding_requests;
         node = next) {
        next = node->next;
        if (is_one_of(LIST_ENTRY(node, asking, node), which)) {
            list_remove(node);
            list_append(&ending, node);
        }
    }
    while (!list_is_empty(&ending)) {
        end_with_error(LIST_ENTRY(list_first(&ending), asking, node), status, code, text);
    }
}
